use super::*;
use crate::audit::shell::pattern::Pattern;
use crate::audit::shell::pattern::testing::glob;
use crate::audit::shell::text::Steps;
use proptest::prelude::*;

#[track_caller]
fn check_clean(written: &str, expected: &str, step: bool) {
    let cleaned = clean(&glob(written));
    assert_eq!(cleaned.to_string(), expected, "{written}");
    assert_eq!(cleaned.steps.has(Step::PathCleaned), step, "{written}");
    assert_eq!(clean(&cleaned), cleaned, "cleaning `{written}` again");
}

#[test]
fn paths_are_cleaned() {
    for (written, expected, step) in [
        ("", "", false),
        ("/", "/", false),
        (".", ".", false),
        ("./", ".", true),
        ("..", "..", false),
        ("/etc/shadow", "/etc/shadow", false),
        ("etc/shadow", "etc/shadow", false),
        ("/etc/", "/etc", false),
        ("//etc///shadow", "/etc/shadow", true),
        ("/./etc/./shadow", "/etc/shadow", true),
        ("./shadow", "shadow", true),
        ("/tmp/../etc/shadow", "/etc/shadow", true),
        ("/../../etc", "/etc", true),
        ("/etc/x/y/../../shadow", "/etc/shadow", true),
        ("a/..", ".", true),
        ("/a/..", "/", true),
        ("../x", "../x", false),
        ("a/../../x", "../x", true),
        ("../../x/..", "../..", true),
        ("/etc/.ssh/...", "/etc/.ssh/...", false),
        ("/etc/..x/x..", "/etc/..x/x..", false),
        ("/etc/*/../shadow", "/etc/shadow", true),
        ("/etc/./sh*", "/etc/sh*", true),
        ("/etc/…/../shadow", "/etc/…shadow", true),
        ("/etc/a…/../shadow", "/etc/…shadow", true),
        ("/etc/…/..", "/etc/…", true),
        ("…/../x", "…x", true),
        ("…", "…", false),
        ("…/etc", "…/etc", false),
        ("…/", "…", false),
        ("/…", "/…", false),
        ("/etc//…/x", "/etc/…/x", true),
        ("/etc/x…/y…", "/etc/x…/y…", false),
        ("/etc/…x/./…", "/etc/…x/…", true),
        ("/etc/@(a/../b|c)/x", "/etc/@(a/../b|c)/x", false),
        ("/var/run/../etc/shadow", "/etc/shadow", true),
        ("/var/runs/../lib", "/var/lib", true),
        ("/…/.", "/…", true),
        ("/é/../ü", "/ü", true),
    ] {
        check_clean(written, expected, step);
    }
}

#[test]
fn components_keep_their_marks() {
    for (written, expected) in [
        ("/etc/sh*w", &["etc", "sh*w"][..]),
        ("//a//b/", &["a", "b"]),
        ("", &[]),
        ("/", &[]),
        ("…/a", &["…", "a"]),
        ("a…/…b/…", &["a…", "…b", "…"]),
        ("/@(a/b|c)/d", &["@(a/b|c)", "d"]),
        ("a/[x/y]", &["a", "[x", "y]"]),
    ] {
        let parts = components(&glob(written));
        let shown: Vec<String> = parts.iter().map(Text::to_string).collect();
        assert_eq!(shown, expected, "{written}");
    }
    let parts = components(&glob("/a*/b/c?"));
    let active: Vec<bool> = parts.iter().map(Text::has_active).collect();
    assert_eq!(active, [true, false, true]);
}

#[test]
fn a_path_is_joined_to_its_directory() {
    for (directory, path, expected) in [
        ("/etc", "shadow", "/etc/shadow"),
        ("/etc/", "shadow", "/etc/shadow"),
        ("/", "etc", "/etc"),
        ("/tmp", "/etc/shadow", "/etc/shadow"),
        ("/tmp", "../etc", "/tmp/../etc"),
        ("", "x", "x"),
        ("/etc", "", "/etc"),
        ("a", "b", "a/b"),
        ("/etc", "sh*", "/etc/sh*"),
        ("/etc", "…/x", "…/x"),
        ("/etc", "…", "…"),
        ("/etc", "…dow", "/etc/…dow"),
        ("…", "shadow", "…/shadow"),
        ("/a/…", "b", "/a/…/b"),
    ] {
        let joined = join(&glob(directory), &glob(path));
        assert_eq!(joined.to_string(), expected, "{directory} and {path}");
    }
    let directory = Text::literal("/etc").with_step(Step::Variable);
    let path = Text::literal("x").with_step(Step::Quotes);
    assert_eq!(join(&directory, &path).steps, Steps::of(Step::Variable).with(Step::Quotes));
    assert_eq!(join(&directory, &Text::literal("/x")).steps, Steps::NONE);
}

#[test]
fn other_names_of_the_root_are_removed() {
    for (written, expected) in [
        ("/proc/self/root/etc/shadow", Some("/etc/shadow")),
        ("/proc/1/root/etc/shadow", Some("/etc/shadow")),
        ("/proc/thread-self/root/etc", Some("/etc")),
        ("/proc/self/task/12/root/etc", Some("/etc")),
        ("/proc/*/root/etc/sh*", Some("/etc/sh*")),
        ("/proc/[0-9]*/root/etc", Some("/etc")),
        ("/proc/…/root/etc", Some("/etc")),
        ("/p*c/1/r??t/etc", Some("/etc")),
        ("/proc/1/root", Some("/")),
        ("/proc/1/root/proc/self/root/etc", Some("/etc")),
        ("/host/etc/shadow", Some("/etc/shadow")),
        ("/hostfs/etc", Some("/etc")),
        ("/rootfs/proc/1/root/etc", Some("/etc")),
        ("/proc/1/root/host/etc", Some("/etc")),
        ("/mnt/host/etc", Some("/etc")),
        ("/run/host/etc", Some("/etc")),
        ("/host", Some("/")),
        ("/host/host/etc", Some("/host/etc")),
        ("/host*/etc/shadow", Some("/etc/shadow")),
        ("/host/…", Some("/…")),
        ("/node/etc", Some("/etc")),
        ("/node", None),
        ("/hosts/etc", None),
        ("/host…/etc", None),
        ("/*/etc", None),
        ("/proc/x/root/etc", None),
        ("/proc/1/roots", None),
        ("/proc/self/cwd/x", None),
        ("/proc", None),
        ("/etc/host", None),
        ("host/etc", None),
        ("…/host/etc", None),
        ("/*/*/*/x", None),
    ] {
        let stripped = without_roots(&glob(written));
        assert_eq!(stripped.to_string(), expected.unwrap_or(written), "{written}");
        assert_eq!(stripped.steps.has(Step::RootPrefix), expected.is_some(), "{written}");
    }
}

#[test]
fn a_path_is_resolved_from_its_directory() {
    for (directory, path, expected) in [
        ("/etc", "shadow", "/etc/shadow"),
        ("/tmp", "../etc/./shadow", "/etc/shadow"),
        ("/etc", "/proc/self/cwd/shadow", "/etc/shadow"),
        ("/etc", "/proc/*/cwd/shadow", "/etc/shadow"),
        ("/tmp", "/proc/self/cwd/../etc", "/proc/self/etc"),
        ("/etc", "/proc/1/root/proc/self/cwd/x", "/etc/x"),
        ("/etc", "/host/etc/x", "/etc/x"),
        ("/", "/proc/self/cwd", "/"),
        ("/", "/proc/self/cwd/proc/self/cwd/etc", "/etc"),
        ("/host/etc", "x", "/etc/x"),
    ] {
        let resolved = resolve(&glob(directory), &glob(path));
        assert_eq!(resolved.to_string(), expected, "{path} from {directory}");
    }
    let link = resolve(&Text::literal("/etc"), &Text::literal("/proc/self/cwd/x"));
    assert!(link.steps.has(Step::WorkingDirectory));
}

#[test]
fn a_path_from_above_reaches_the_root() {
    for (written, expected) in [
        ("../../etc/shadow", Some("/etc/shadow")),
        ("../etc/sh*", Some("/etc/sh*")),
        ("../../…", Some("/…")),
        ("../../..", Some("/")),
        ("../..", None),
        ("..", None),
        ("etc/shadow", None),
        ("/etc/shadow", None),
        ("..x/y", None),
        ("…/../x", None),
        ("…../x", None),
        (".*/x", None),
    ] {
        let above = from_above(&glob(written)).map(|text| text.to_string());
        assert_eq!(above.as_deref(), expected, "{written}");
    }
}

#[test]
fn urls_of_files_name_paths() {
    for (url, expected) in [
        ("file:///etc/shadow", Some("/etc/shadow")),
        ("FILE:///etc/%73hadow", Some("/etc/shadow")),
        ("file://localhost/etc/shadow", Some("/etc/shadow")),
        ("file://127.0.0.1/etc/shadow", Some("/etc/shadow")),
        ("file:/etc/shadow", Some("/etc/shadow")),
        ("file:////etc/shadow", Some("//etc/shadow")),
        ("file:///etc%2Fshadow", Some("/etc/shadow")),
        ("file:///etc/%2573hadow", Some("/etc/shadow")),
        ("file:///etc/%25252573hadow", Some("/etc/%73hadow")),
        ("file:///etc/%zz%7", Some("/etc/%zz%7")),
        ("file:///%C3%A9", Some("/é")),
        ("file:///etc/shadow?x=1#y", Some("/etc/shadow")),
        ("file:///etc/…", Some("/etc/…")),
        ("file://…/etc/x", Some("…/etc/x")),
        ("file:///etc/%73…%68", Some("/etc/s…h")),
        ("file:///etc/{shadow,hosts}", Some("/etc/@(shadow|hosts)")),
        ("file:///etc/[r-t]hadow", Some("/etc/[r-t]hadow")),
        ("file:///etc/shadow?[a]…", Some("/etc/shadow")),
        ("jar:file:///x.jar!/a.class", Some("/x.jar")),
        ("url:file:///etc/shadow", Some("/etc/shadow")),
        ("netdoc:///etc/shadow", Some("/etc/shadow")),
        ("compress.zlib:///etc/shadow", Some("/etc/shadow")),
        ("php://filter/convert.base64-encode/resource=/etc/passwd", Some("/etc/passwd")),
        ("php://filter/read=x", None),
        ("file:etc/shadow", None),
        ("http://x/etc/shadow", None),
        ("/etc/shadow", None),
        ("fil…e:///etc", None),
        ("profile:///etc", None),
        ("", None),
    ] {
        let path = url_path(&glob(url)).map(|text| text.to_string());
        assert_eq!(path.as_deref(), expected, "{url}");
    }
    let path = url_path(&Text::literal("file:///etc/%73hadow")).unwrap();
    assert!(path.steps.has(Step::PercentDecoded));
    // What curl makes of a quoted URL.
    for (url, path) in [
        ("file:///etc/[r-t]hadow", "/etc/shadow"),
        ("file:///proc/[1-99]/environ", "/proc/12/environ"),
        ("file:///e{tc,nv}/{hosts,shadow}", "/etc/shadow"),
    ] {
        let set = url_path(&Text::literal(url)).unwrap();
        assert!(Pattern::new(&set).matches(path), "{url}");
    }
}

#[test]
fn long_paths_take_no_longer_than_their_length() {
    let many = 1 << 18;
    for path in [
        "../".repeat(many),
        "a/".repeat(many) + &"../".repeat(many),
        "/proc/self/root".repeat(many / 4),
        "/proc/self/cwd".repeat(many / 4),
        "/".repeat(many),
        "file:///".to_owned() + &"%2573".repeat(many),
        "file:///".to_owned() + &"[{".repeat(many) + "]}",
        "jar:".repeat(many),
    ] {
        let text = Text::literal(path);
        resolve(&Text::literal("/etc"), &text);
        from_above(&text);
        url_path(&text);
    }
    let holes = glob(&"…/x*/../".repeat(many / 16));
    resolve(&Text::literal("/etc"), &holes);
}

#[test]
fn no_mount_point_is_overlooked() {
    for mount in MOUNTS.iter().chain(&MOUNTS_WITH_MORE) {
        assert!(may_be_mount(mount), "{mount}");
        let path = Text::literal(format!("{mount}/etc/shadow"));
        assert_eq!(without_roots(&path).as_str(), "/etc/shadow", "{mount}");
    }
    assert!(!["", "/", "/etc", "/var/log", "/root", "/mnt"].iter().any(|path| may_be_mount(path)));
}

proptest! {
    #[test]
    fn cleaning_is_stable_and_nothing_panics(written in "[/.ax*?…é%:\\[\\](|){},-]{0,24}") {
        let text = glob(&written);
        let cleaned = clean(&text);
        prop_assert_eq!(&clean(&cleaned), &cleaned);
        prop_assert_eq!(is_absolute(&cleaned), is_absolute(&text));
        let directory = Text::literal("/etc");
        resolve(&directory, &text);
        from_above(&cleaned);
        url_path(&join(&Text::literal("file:///"), &text));
        // Each mark but those in what was removed is still one.
        prop_assert!(cleaned.marks().len() <= text.marks().len() + 1);
    }
}
