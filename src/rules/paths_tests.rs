use super::*;
use crate::audit::shell::pattern::testing::glob;
use crate::audit::shell::reading::Reach::{Listed, Named, Searched, Walked};
use crate::audit::shell::reading::{Access, Reach};
use proptest::prelude::*;
use serde::Deserialize;

use super::How::{BehindUnknown, GlobCovers, ParentCovers, Read};
use crate::audit::shell::text::Step;

/// A list like that of the built-in rule.
const PATHS: &str = r#"
paths = [
    { name = "irsa", path = "/{var/run,run}/secrets/eks.amazonaws.com/**", label = "AWS_IRSA_TOKEN", walks = false },
    { name = "token", path = "/{var/run,run}/secrets/kubernetes.io/serviceaccount/{token*,..data/token}" },
    { name = "secrets", path = "/{var/run,run}/secrets/**" },
    { name = "p12", path = "**/*.p12" },
    { name = "pem", path = "**/*.pem" },
    { name = "key", path = "**/*.key" },
    { name = "jks", path = "**/*.jks" },
    { name = "kubernetes", path = "/etc/kubernetes/**" },
    { name = "kubelet", path = "/var/lib/kubelet/**" },
    { name = "shadow", path = "/etc/{shadow*,gshadow*,shadow-}" },
    { name = "passwd", path = "/etc/{passwd*,passwd-}" },
    { name = "sudoers", path = "/etc/{sudoers*,sudoers.d/**}" },
    { name = "user", path = "/{root,home/*}/.{ssh/{id_rsa,id_ed25519,**},aws/{credentials,**},kube/**,config/gcloud/**}" },
    { name = "service", path = "/var/lib/*/.{ssh,aws}/**", walks = false },
    { name = "environ", path = "/proc/{self,thread-self,[0-9]*}/{environ,task/[0-9]*/environ}" },
]
"#;

#[derive(Deserialize)]
struct File {
    paths: Vec<PathEntry>,
}

fn set() -> PathSet {
    PathSet::compile(toml::from_str::<File>(PATHS).unwrap().paths).unwrap()
}

fn access(path: &str, reach: Reach, name: Option<&str>) -> Access {
    Access { path: glob(path), reach, name: name.map(glob), span: 0..0 }
}

/// What is found, as `name how`, in the order of the entries.
fn found(set: &PathSet, access: &Access) -> Vec<(String, How)> {
    let name = |found: &PathMatch| set.entries()[found.entry].name.clone();
    set.judge(access).iter().map(|found| (name(found), found.how)).collect()
}

/// Each case: path, and the names of the entries it counts against, all of them `how`.
#[track_caller]
fn check(reach: Reach, how: How, cases: &[(&str, &str)]) {
    let set = set();
    for (path, expected) in cases {
        let expected: Vec<(String, How)> =
            expected.split_whitespace().map(|name| (name.to_owned(), how)).collect();
        assert_eq!(found(&set, &access(path, reach, None)), expected, "{reach:?} `{path}`");
    }
}

#[test]
fn what_stands_behind_an_unknown_directory_has_to_tell() {
    let set = set();
    let cases = [
        ("/.ssh/id_rsa", "user service"),
        ("/.aws/credentials", "user service"),
        ("/.kube", "user"),
        ("/serviceaccount/token", "token"),
        ("/lib/kubelet/config.yaml", "kubelet"),
        ("/shadow", ""),
        ("/token", ""),
        ("/app/.ssh/id_rsa", ""),
    ];
    for (path, expected) in cases {
        let expected: Vec<(String, How)> =
            expected.split_whitespace().map(|name| (name.to_owned(), BehindUnknown)).collect();
        for step in [Step::UnsetVariable, Step::UnknownDirectory] {
            let mut access = access(path, Named, None);
            assert_eq!(found(&set, &access), [], "{path}");
            access.path.steps.add(step);
            assert_eq!(found(&set, &access), expected, "{path}");
        }
    }
    // As with `.`, what is below is not known.
    let mut walked = access("/", Walked, None);
    assert_ne!(found(&set, &walked), []);
    walked.path.steps.add(Step::UnsetVariable);
    assert_eq!(found(&set, &walked), []);
    // What is told without it stays as sure as it is.
    let mut access = access("/etc/shadow", Named, None);
    access.path.steps.add(Step::UnsetVariable);
    assert_eq!(found(&set, &access), [("shadow".to_owned(), Read)]);
}

#[test]
fn a_literal_path_is_one_of_the_entries_or_below_one() {
    let cases = [
        ("/etc/shadow", "shadow"),
        ("/etc/shadow-", "shadow"),
        ("/etc/gshadow", "shadow"),
        ("/etc/shadow.bak", "shadow"),
        ("/etc/shadow/x", "shadow"),
        ("/etc/passwd", "passwd"),
        ("/etc/passwd-policy.html", "passwd"),
        ("/etc/sudoers", "sudoers"),
        ("/etc/sudoers.d", "sudoers"),
        ("/etc/sudoers.d/admins", "sudoers"),
        ("/etc/kubernetes", "kubernetes"),
        ("/etc/kubernetes/admin.conf", "kubernetes"),
        ("/etc/kubernetes/pki/ca.key", "key kubernetes"),
        ("/var/lib/kubelet/config.yaml", "kubelet"),
        ("/run/secrets", "secrets"),
        ("/var/run/secrets", "secrets"),
        ("/var/run/secrets/x", "secrets"),
        ("/run/secrets/kubernetes.io/serviceaccount/token", "token secrets"),
        ("/run/secrets/kubernetes.io/serviceaccount/..data/token", "token secrets"),
        ("/run/secrets/kubernetes.io/serviceaccount/namespace", "secrets"),
        ("/var/run/secrets/eks.amazonaws.com/serviceaccount/token", "irsa secrets"),
        ("/root/.ssh", "user"),
        ("/root/.ssh/id_rsa", "user"),
        ("/root/.ssh/config", "user"),
        ("/home/alice/.aws/credentials", "user"),
        ("/home/alice/.config/gcloud/x", "user"),
        ("/var/lib/postgresql/.ssh/id_rsa", "service"),
        ("/proc/self/environ", "environ"),
        ("/proc/1/environ", "environ"),
        ("/proc/12/task/13/environ", "environ"),
        ("/app/tls.key", "key"),
        ("/app/server.pem", "pem"),
        ("/app/server.pem.bak", "pem"),
        ("/app/server.pem~", "pem"),
        ("/app/x.pem/y", "pem"),
        ("/app/.key", "key"),
        ("/etc/ssl/certs/ca.pem", "pem"),
        // Wherever the root is mounted.
        ("/mnt/foo/etc/shadow", "shadow"),
        ("/rootfs2/etc/shadow", "shadow"),
        ("/host/etc/kubernetes/x", "kubernetes"),
        ("/proc/1/root/etc/shadow", "shadow"),
        ("/a/b/c/root/.kube/config", "user"),
        ("/var/lib/docker/overlay2/0a1b/merged/etc/passwd", "passwd"),
        // Not cleaned yet.
        ("//etc//./shadow", "shadow"),
        ("/tmp/../etc/shadow", "shadow"),
        ("/etc/shadow/", "shadow"),
    ];
    for reach in [Named, Listed, Searched] {
        check(reach, Read, &cases);
    }
    let set = set();
    for (path, expected) in cases {
        let mut walked = found(&set, &access(path, Walked, None));
        walked.retain(|(_, how)| *how == Read);
        let names: Vec<String> = walked.into_iter().map(|(name, _)| name).collect();
        assert_eq!(names.join(" "), expected, "Walked `{path}`");
    }
}

#[test]
fn harmless_literal_paths_are_silent() {
    let cases = [
        "/etc/hosts",
        "/etc/resolv.conf",
        "/etc/shado",
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/kubernetes2/x",
        "/etcshadow",
        "/run/secretsx",
        "/run/secret",
        "/var/lib/kubelets/x",
        "/root/.bashrc",
        "/root/.sshx",
        "/home/.ssh",
        "/home/alice/src/.ssh2",
        "/root/.config/other",
        "/proc/self/status",
        "/proc/sys/environ",
        "/proc/cpuinfo",
        "/app/main.keys",
        "/app/key",
        "/app/pem.txt",
        "/app/x.pemx",
        "/app/shadow",
        "/usr/share/passwd",
        "/",
        "",
        ".",
        "..",
        "-",
        "jq .keys",
    ];
    for reach in [Named, Listed, Searched] {
        check(reach, Read, &cases.map(|path| (path, "")));
    }
}

#[test]
fn a_relative_path_needs_enough_of_the_entry() {
    check(
        Named,
        Read,
        &[
            ("etc/shadow", "shadow"),
            ("./etc/shadow", "shadow"),
            ("../etc/shadow", "shadow"),
            ("../../etc/shadow", "shadow"),
            ("rootfs/etc/shadow", "shadow"),
            (".ssh/id_rsa", "user service"),
            (".ssh/config", "user service"),
            ("../.ssh/config", "user service"),
            (".ssh", "user service"),
            (".kube/config", "user"),
            (".config/gcloud/x", "user"),
            ("alice/.aws/credentials", ""),
            ("root/.aws/credentials", "user"),
            ("run/secrets/kubernetes.io/serviceaccount/namespace", "secrets"),
            ("serviceaccount/token", "token"),
            ("lib/kubelet/config.yaml", "kubelet"),
            ("self/environ", "environ"),
            ("tls.key", "key"),
            ("a/b.p12", "p12"),
            ("shadow", ""),
            ("passwd", ""),
            ("token", ""),
            ("environ", ""),
            ("etc", ""),
            ("sudoers.d/x", ""),
            ("kubernetes/deployment.yaml", ""),
            ("secrets/values.yaml", ""),
            (".config/other", ""),
            (".config", ""),
            ("config/gcloud", ""),
            ("a/shadow", ""),
        ],
    );
}

#[test]
fn a_pattern_counts_where_it_can_match_an_entry() {
    check(
        Named,
        GlobCovers,
        &[
            ("/etc/sha?ow", "shadow"),
            ("/etc/sha*", "shadow"),
            ("/etc/*adow", "shadow"),
            ("/etc/shado[v-x]", "shadow"),
            ("/etc/shado[!v]", "shadow"),
            ("/etc/@(shadow|hosts)", "shadow"),
            ("/etc/!(hosts)", "shadow passwd sudoers"),
            ("/etc/*", "shadow passwd sudoers"),
            ("/???/shadow", "shadow"),
            ("/e*/sh*w", "shadow"),
            ("/*/shadow", "shadow"),
            ("/[e]tc/[s]hadow", "shadow"),
            ("/etc/pass??", "passwd"),
            ("/etc/p*", "passwd"),
            ("/etc/*-", "shadow passwd"),
            ("/etc/sudo*", "sudoers"),
            ("/etc/sudoers.?/*", "sudoers"),
            ("/etc/*.d/*", "sudoers"),
            ("/etc/kub*", "kubernetes"),
            ("/etc/kub*/*.conf", "kubernetes"),
            ("/etc/kubernetes/*", "kubernetes"),
            ("/etc/kubernetes/*/x", "kubernetes"),
            ("/var/lib/kubel*/x", "kubelet"),
            ("/run/secrets/*", "secrets"),
            ("/var/run/secrets/kubernetes.io/serviceaccount/*", "token secrets"),
            ("/run/secre?s/kubernetes.io/serviceaccount/token", "token secrets"),
            ("/run/*/*/*/token", "token"),
            ("/root/.ss?", "user"),
            ("/root/.s*/id_rsa", "user"),
            ("/root/.ssh/*", "user"),
            ("/home/*/.ssh/id_rsa", "user service"),
            ("/home/*/.kube/config", "user"),
            ("/h*/a*/.ss?/id*", "user"),
            ("/root/.*/*", "user"),
            ("/r??t/.aws/cred*", "user service"),
            ("/proc/*/environ", "environ"),
            ("/proc/[0-9]*/environ", "environ"),
            ("/proc/self/env*", "environ"),
            ("/proc/*/task/*/environ", "environ"),
            ("/host/etc/sh*", "shadow"),
            ("/proc/1/root/etc/sh*", "shadow"),
            ("/proc/*/root/etc/shadow", "shadow"),
            ("/mnt/*/etc/shadow", "shadow"),
            ("/var/lib/docker/overlay2/*/diff/etc/kubernetes/*", "kubernetes"),
            ("etc/sh*", "shadow"),
            ("../../etc/sh*", "shadow"),
            (".ssh/*", "user service"),
            (".ssh/id_*", "user service"),
            ("/etc/./sh*", "shadow"),
        ],
    );
}

#[test]
fn a_pattern_that_says_nothing_is_silent() {
    let silent = [
        "*",
        "*.*",
        "/*",
        "/app/*",
        "/app/*/*",
        "/app/*.conf",
        "/tmp/*",
        "/etc/*.conf",
        "/etc/*-release",
        "/etc/*release*",
        "/etc/cron*",
        "/etc/cron*/*",
        "/etc/host*",
        "/etc/nginx/*",
        "/etc/ssl/certs/*",
        "/etc/*/*",
        "/etc/*/*.conf",
        "/etc/[!sgp]*.d",
        "/etc/profile*",
        "/usr/*/shadow",
        "/var/lib/*",
        "/var/lib/*/*",
        "/var/lib/dpkg/info/*.list",
        "/run/*",
        "/run/*.pid",
        "/var/run/*",
        "/home/*",
        "/home/*/*",
        "/root/*",
        "/root/*/id_rsa",
        "/proc/*/status",
        "/proc/*/fd/*",
        "/proc/net/*",
        "/proc/sys/*/*",
        "/proc/sys/net/*",
        "/proc/[a-r]*/environ",
        "shadow*",
        "sh*w",
        "*/shadow",
        "etc*/shadow",
        "./*",
        "../*",
    ];
    check(Named, GlobCovers, &silent.map(|path| (path, "")));
}

#[test]
fn an_ending_has_to_be_asked_for() {
    check(
        Named,
        GlobCovers,
        &[
            ("*.pem", "pem"),
            ("/app/*.pem", "pem"),
            ("*.pe?", "pem"),
            ("*.p?m", "pem"),
            ("*.k*y", "key"),
            ("/app/*.p[e]m", "pem"),
            ("*.@(pem|key)", "pem key"),
            ("*.[pk]e[my]", "pem key"),
            ("*.key*", "key"),
            ("/app/my.server.k?y", "key"),
            ("/app/tls.k??", "key"),
            ("/app/tls?key", "key"),
            ("/app/server[.]pem", "pem"),
            ("/app/*/server.key", "key"),
            ("*.p1[0-9]", "p12"),
            ("…/tls.key", "key"),
            ("….pem", "pem"),
            ("/app/….pem", "pem"),
            ("/*/*.jks", "jks"),
            ("*.???", ""),
            ("*.*", ""),
            ("*.[a-z]*", ""),
            ("*.[!x]??", ""),
            ("tls.*", ""),
            ("tls*", ""),
            ("id_*", ""),
            ("*pem", ""),
            ("*key", ""),
            ("*key*", ""),
            ("?????key", ""),
            ("*.json*", ""),
            ("*.js*", ""),
            ("*.py", ""),
            ("*.conf*", ""),
            ("*.pub", ""),
            ("*.keys", ""),
            ("/app/*.crt", ""),
            ("….???", ""),
        ],
    );
}

#[test]
fn something_unknown_counts_only_with_enough_around_it() {
    check(
        Named,
        GlobCovers,
        &[
            ("…", ""),
            ("/…", ""),
            ("…/shadow", ""),
            ("…shadow", ""),
            ("…/token", ""),
            ("/etc/…", ""),
            ("/etc/…/x", ""),
            ("/etc/….conf", ""),
            ("/etc/s…", ""),
            ("/et…", ""),
            ("/app/…", ""),
            ("/var/lib/…", ""),
            ("/var/lib/…/config.yaml", ""),
            ("/proc/…/status", ""),
            ("/home/…", ""),
            ("/home/…/.bashrc", ""),
            ("/root/…", ""),
            ("/etc/sh…", "shadow"),
            ("/etc/…dow", "shadow"),
            ("/etc/s…w", "shadow"),
            ("/…/shadow", "shadow"),
            ("/etc/kub…", "kubernetes"),
            ("/etc/kubernetes/…", "kubernetes"),
            ("/etc/kub*/…", "kubernetes"),
            ("/run/secrets/…", "secrets"),
            ("/var/lib/kubelet/…/x", "kubelet"),
            ("/proc/…/environ", "environ"),
            ("/home/…/.ssh/id_rsa", "user service"),
            ("…/.ssh/id_rsa", "user service"),
            ("…/etc/shadow", "shadow"),
            ("/root/.ss…", "user"),
            ("/host/etc/sh…", "shadow"),
        ],
    );
}

#[test]
fn a_listing_needs_two_characters_of_the_name() {
    check(
        Listed,
        GlobCovers,
        &[
            ("/etc/sh*", "shadow"),
            ("/etc/?hadow", "shadow"),
            ("/root/.s*", "user"),
            ("/root/.ssh/*", "user"),
            ("/etc/kubernetes/*", "kubernetes"),
            ("/app/*.pem", "pem"),
            ("/proc/*/environ", "environ"),
            ("/etc/*", ""),
            ("/etc/s*", ""),
            ("/etc/pam*", ""),
            ("/*/*", ""),
            ("/root/.*", ""),
            ("/proc/*/*", ""),
            ("/etc/ssl/certs/*", ""),
            ("/etc/…w", ""),
        ],
    );
    check(Searched, GlobCovers, &[("/etc/*", ""), ("/etc/shad*", "shadow")]);
}

#[test]
fn a_walk_reads_what_lies_below() {
    let etc = "kubernetes shadow passwd sudoers";
    let set = set();
    check(
        Walked,
        ParentCovers,
        &[
            ("/etc", etc),
            ("/etc/", etc),
            ("/var", "token secrets kubelet"),
            ("/var/lib", "kubelet"),
            ("/run", "token secrets"),
            ("/var/run", "token secrets"),
            ("/root", "user"),
            ("/home", "user"),
            ("/home/alice", "user"),
            ("/home/alice/.config", "user"),
            ("/proc", "environ"),
            ("/proc/1", "environ"),
            ("/host/etc", etc),
            ("/proc/1/root/etc", etc),
            ("../../etc", etc),
            ("/e*", etc),
            ("/e?c", etc),
            ("/ho*/*", "user"),
            ("/app", ""),
            ("/var/lib/mysql", ""),
            ("/var/log", ""),
            ("/etc/nginx", ""),
            ("/etc/ssl", ""),
            ("/usr", ""),
            ("/home/alice/src", ""),
            (".", ""),
            ("..", ""),
            ("*", ""),
            ("etc", ""),
            ("src", ""),
            ("…", ""),
            ("/app/*", ""),
            ("/mnt/x/etc", ""),
        ],
    );
    let root = "token secrets kubernetes kubelet shadow passwd sudoers user environ";
    check(Walked, ParentCovers, &[("/", root), ("/host", root), ("../../..", root), ("/*", root)]);
    // What the walk begins at is read for certain, what lies deeper is likely.
    let both = found(&set, &access("/var/run/secrets", Walked, None));
    assert_eq!(both, [("token".to_owned(), ParentCovers), ("secrets".to_owned(), Read)]);
}

#[test]
fn a_search_without_a_name_reads_nothing_below() {
    check(Searched, ParentCovers, &[("/etc", ""), ("/", ""), ("/root", ""), (".", "")]);
    for name in ["*", "?*", "…", "[a-z]*"] {
        assert_eq!(set().judge(&access("/", Searched, Some(name))), [], "{name}");
    }
}

#[test]
fn a_search_by_name_counts_where_the_name_tells_the_entry() {
    let set = set();
    for (path, name, expected) in [
        ("/", "shadow", "shadow"),
        ("/", "sh?dow", "shadow"),
        ("/", "*shadow*", "shadow"),
        ("/", "sha*", "shadow"),
        ("/etc", "shadow", "shadow"),
        ("/e*", "shadow", "shadow"),
        ("/", "passwd", "passwd"),
        ("/", "pass*", "passwd"),
        ("/", "id_rsa", "user"),
        ("/", "id_*", "user"),
        ("/home", "id_rsa", "user"),
        ("/root", "*rsa", "user"),
        ("/", ".kube", "user"),
        ("/", ".ssh", "user service"),
        ("/", "*ssh", "user service"),
        ("/", "credentials", "user"),
        ("/", "*cred*", "user"),
        ("/", "token", "token"),
        ("/run", "token", "token"),
        ("/", "*token*", "token"),
        ("/", "kubelet", "kubelet"),
        ("/var", "kubelet", "kubelet"),
        ("/", "secrets", "secrets"),
        ("/", "environ", "environ"),
        ("/proc", "environ", "environ"),
        ("/host", "shadow", "shadow"),
        ("../../..", "shadow", "shadow"),
        ("etc", "shadow", "shadow"),
        (".", "shadow", "shadow"),
        (".", "id_rsa", "user"),
        (".", ".ssh", "user service"),
        ("…", "id_rsa", "user"),
        ("/", "*.pem", "pem"),
        ("/", "*.p?m", "pem"),
        (".", "*.key", "key"),
        ("/app", "*.key", "key"),
        ("…", "*.p12", "p12"),
        ("/app", "server.key", "key"),
        ("/", "*.@(pem|jks)", "pem jks"),
        ("/", "*.conf", ""),
        ("/etc", "*.conf", ""),
        ("/", "*.json", ""),
        ("/", "*.log", ""),
        ("/", "*.d", ""),
        ("/", "s*", ""),
        ("/", ".*", ""),
        ("/", "*.???", ""),
        ("/", "nginx.conf", ""),
        ("/", "core.*", ""),
        ("/", "*.so*", ""),
        ("/app", "shadow", ""),
        ("/var/log", "shadow", ""),
        ("/usr", "passwd", ""),
        ("src", "shadow", ""),
        (".", "secrets", ""),
        (".", "pass*", ""),
        ("/app", "config", ""),
        ("/", "config", ""),
    ] {
        let expected: Vec<(String, How)> =
            expected.split_whitespace().map(|name| (name.to_owned(), ParentCovers)).collect();
        for reach in [Searched, Walked] {
            let access = access(path, reach, Some(name));
            assert_eq!(found(&set, &access), expected, "{reach:?} `{path}` for `{name}`");
        }
    }
    // Files of one kind are read, and none of them is sensitive.
    assert_eq!(set.judge(&access("/etc", Walked, Some("*.conf"))), []);
    // An unknown name may be any.
    assert!(!set.judge(&access("/etc", Walked, Some("…"))).is_empty());
    assert_eq!(found(&set, &access("/root/.ssh", Searched, Some("x"))), [("user".into(), Read)]);
}

#[test]
fn the_example_is_a_path_that_can_be_reached() {
    for (path, reach, name, expected) in [
        ("/etc/shadow", Named, None, "/etc/shadow"),
        ("/mnt/etc/shadow", Named, None, "/mnt/etc/shadow"),
        ("/etc/sh*", Named, None, "/etc/shadow"),
        ("/etc/gs*", Named, None, "/etc/gshadow"),
        ("/etc/sh…", Named, None, "/etc/shadow"),
        ("/*/*/.ss?", Named, None, "/home/*/.ssh"),
        ("/home/bob/.s*/id_rsa", Named, None, "/home/bob/.ssh/id_rsa"),
        ("/home/bob", Walked, None, "/home/bob/.ssh/id_rsa"),
        ("/root", Walked, None, "/root/.ssh/id_rsa"),
        ("/proc/*/environ", Named, None, "/proc/self/environ"),
        ("/root/.ssh/*", Named, None, "/root/.ssh/*"),
        ("/run/secrets/…", Named, None, "/run/secrets/*"),
        ("…/etc/shadow", Named, None, "etc/shadow"),
        ("*.p?m", Named, None, "*.pem"),
        ("/", Searched, Some("*.pe?"), "*.pem"),
        ("/", Searched, Some("tls.key"), "tls.key"),
        ("/", Searched, Some("id_rsa"), "/root/.ssh/id_rsa"),
        ("/", Searched, Some("shadow"), "/etc/shadow"),
    ] {
        let found = set().judge(&access(path, reach, name));
        let examples: Vec<&str> = found.iter().map(|found| &*found.example).collect();
        assert_eq!(examples, [expected], "{reach:?} `{path}`");
    }
}

fn compile(path: &str) -> Result<PathSet, PathError> {
    let entry = PathEntry { name: "x".into(), path: path.into(), label: None, walks: true };
    PathSet::compile(vec![entry])
}

#[test]
fn the_language_of_entries() {
    for (path, access_path, expected) in [
        ("/a/{b,c/{d,e}}/f", "/a/c/e/f", true),
        ("/a/{b,c/{d,e}}/f", "/a/b/f", true),
        ("/a/{b,c/{d,e}}/f", "/a/c/f", false),
        ("/a{,-}", "/a-", true),
        ("/a/**/z", "/a/z", true),
        ("/a/**/z", "/a/b/c/z", true),
        ("/a/**/z", "/a/b/c", false),
        ("/a/**/y/z", "/a/y/x/y/z", true),
        ("/a/**/b/**/c", "/a/x/b/y/c/d", true),
        ("/a/*/c", "/a/.b/c", true),
        ("/a/*/c", "/a/b/d/c", false),
        ("/a/b?", "/a/bc", true),
        ("/a/[0-9]*", "/a/1x", true),
        ("/a/[!0-9]x", "/a/1x", false),
        ("/a\\*b", "/a*b", true),
        ("/a\\*b", "/axb", false),
        ("/\\{a\\}", "/{a}", true),
        ("/a,b", "/a,b", true),
        ("/*/b/c", "/x/b/c", true),
        ("**/id_rsa", "/srv/keys/id_rsa", true),
        ("**/id_rsa", "id_rsa", true),
        ("**/id_rsa", "/x/id_rsa2", false),
        ("**/.docker/config.json", "/w/.docker/config.json", true),
        ("**/secrets/**", "/w/secrets/x", true),
        ("**/*.tar.gz", "/x.tar.gz", true),
        ("**/*.tar.gz", "/x.gz", false),
        ("/**/x", "/a/b/x", true),
    ] {
        let set = compile(path).unwrap();
        let found = set.judge(&access(&access_path.replace('*', "\\*"), Named, None));
        assert_eq!(!found.is_empty(), expected, "`{path}` and `{access_path}`");
    }
    for (path, access_path, expected) in [
        ("/a/**/z", "/a/b/z?", false),
        ("/a/**/z", "/a/b/*/z", true),
        ("/a/**/zz", "/a/?/z?", true),
        ("**/id_rsa", "/srv/id_r*", true),
        ("**/id_rsa", "/srv/i*", false),
        ("**/id_rsa", "/srv/*", false),
        ("**/.docker/config.json", "/w/.d*/conf*", true),
    ] {
        let found = compile(path).unwrap().judge(&access(access_path, Named, None));
        assert_eq!(!found.is_empty(), expected, "`{path}` and `{access_path}`");
    }
    let deep = compile("/a/**/zz").unwrap();
    assert_eq!(deep.judge(&access("/a/x/y", Walked, None)).len(), 1);
    assert_eq!(deep.judge(&access("/", Searched, Some("zz"))).len(), 1);
    assert_eq!(deep.judge(&access("/b", Walked, None)), []);
}

#[test]
fn entries_that_cannot_be_used_are_refused() {
    for (path, expected) in [
        ("etc/shadow", "must begin"),
        ("", "must begin"),
        ("**", "must begin"),
        ("/", "matches everything"),
        ("/**", "matches everything"),
        ("**/*", "matches everything"),
        ("/*/*", "matches everything"),
        ("/*/**", "matches everything"),
        ("/a//b", "empty component"),
        ("/a/", "empty component"),
        ("/a/../b", "`..`"),
        ("/a/./b", "`..`"),
        ("/a**", "no whole component"),
        ("/a/{b", "without its `}`"),
        ("/a/b}", "without its `{`"),
        ("/a/[b", "without its `]`"),
        ("/a/b]", "without its `[`"),
        ("/a\\", "backslash"),
        ("/{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}", "more than 256"),
        ("/{{{{{{{{{{a}}}}}}}}}}", "too deep"),
    ] {
        let error = compile(path).unwrap_err().to_string();
        assert!(error.contains(expected), "`{path}`: {error}");
    }
    assert!(matches!(compile(&format!("/{}", "a".repeat(5_000))), Err(PathError::TooLong { .. })));
    let entry = PathEntry { name: "x".into(), path: "/a".into(), label: None, walks: true };
    let many = vec![entry.clone(); limits::RULE_PATTERNS_MAX + 1];
    assert_eq!(PathSet::compile(many).unwrap_err(), PathError::TooMany);
    let wide = PathEntry { path: "/{a,b,c,d}{a,b,c,d}{a,b,c,d}".into(), ..entry };
    let wide = vec![wide; limits::RULE_PATTERNS_MAX];
    assert_eq!(PathSet::compile(wide).unwrap_err(), PathError::TooLarge);
    assert!(toml::from_str::<File>("paths = [{ name = 'a', path = '/a', walk = true }]").is_err());
}

#[test]
fn no_access_takes_long() {
    let set = set();
    for path in [
        "/etc".repeat(20_000),
        "/*".repeat(10_000),
        "/etc/…".repeat(10_000),
        "/.".repeat(20_000) + "x",
        "a.".repeat(40_000),
        "/@(a|b*)".repeat(2_000),
        "/etc/".to_owned() + &"*a".repeat(2_000),
        "/proc/1/root".repeat(10_000) + "/etc",
    ] {
        for reach in [Named, Walked, Searched, Listed] {
            set.judge(&access(&path, reach, Some(&path)));
        }
    }
    let deep = compile("/a/**/b/**/c/**/d").unwrap();
    deep.judge(&access(&"/a/b/c".repeat(5_000), Walked, None));
    deep.judge(&access(&"/*".repeat(5_000), Walked, None));
}

proptest! {
    #[test]
    fn a_pattern_that_matches_nothing_else_is_judged_like_its_path(
        path in prop::sample::select(vec![
            "/etc/shadow", "/etc/passwd", "/root/.ssh/id_rsa", "/proc/self/environ",
            "/run/secrets/kubernetes.io/serviceaccount/token", "/app/tls.key",
        ]),
        at in 0_usize..60,
    ) {
        // `[x]` in the place of a character `x`.
        let mut text = crate::audit::shell::text::Text::new();
        for (index, character) in path.chars().enumerate() {
            if index == at && character != '/' && character != '.' {
                text.push_active('[');
                text.push(character);
                text.push_active(']');
            } else {
                text.push(character);
            }
        }
        let set = set();
        let one = Access { path: text, reach: Named, name: None, span: 0..0 };
        prop_assert!(!set.judge(&one).is_empty());
    }

    #[test]
    fn nothing_panics(path in "[/.ax*?…é\\[\\](|)@s-]{0,16}", name in "[.ax*?…k]{0,6}") {
        let set = set();
        for reach in [Named, Walked, Searched, Listed] {
            set.judge(&access(&path, reach, Some(&name)));
            set.judge(&access(&path, reach, None));
        }
        let _ = compile(&path);
    }
}
