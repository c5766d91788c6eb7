//! The built program as a script sees it: exit codes, stdout, stderr.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::{Command, Output, Stdio};

const SECRET: &str = "hunter2-correct-horse";

/// The program in an environment of its own.
fn kubetell(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubetell"));
    command.args(arguments).env_clear().env("HOME", "/home/kube").stdin(Stdio::null());
    command
}

fn output(arguments: &[&str]) -> Output {
    kubetell(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Runs it, wants this exit code, returns stdout and stderr.
fn check(arguments: &[&str], code: i32) -> (String, String) {
    let output = output(arguments);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{stdout}\n{stderr}");
    (stdout.to_owned(), stderr.to_owned())
}

#[test]
fn help_and_version_are_data() {
    for arguments in [
        &["--help"][..],
        &["-h"],
        &["--version"],
        &["demo", "--help"],
        &["run", "--help"],
        &["scan", "--help"],
        &["rules", "list", "--help"],
        &["rules", "show", "--help"],
        &["config", "check", "--help"],
        &["topics", "create", "--help"],
        &["state", "import", "--help"],
        &["backtest", "--help"],
        &["doctor", "--help"],
        &["schema", "--help"],
        &["completions", "--help"],
    ] {
        let (stdout, stderr) = check(arguments, 0);
        assert!(!stdout.is_empty() && stderr.is_empty(), "{arguments:?}");
    }
    let (version, _) = check(&["--version"], 0);
    assert_eq!(version, concat!("kubetell ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn wrong_usage_exits_64_and_says_why_on_stderr() {
    for (arguments, message) in [
        (&[][..], "Usage: kubetell"),
        (&["frobnicate"], "unrecognized subcommand"),
        (&["explain"], "--command <TEXT>"),
        (&["scan", "--frobnicate"], "unexpected argument"),
        (&["scan", "--learning", "soon", "-"], "`soon` is no duration"),
        (&["scan", "--only", "x", "-"], "there is no rule `x`"),
        (&["rules", "try", "user.nmae:x"], "did you mean `user.name`?"),
        (&["rules", "try", "user.name:(x"], "at line 1, column"),
        (&["rules", "check"], "<PATH>"),
        (&["scan", "--format", "ocsf", "-"], "`--format ocsf` is not available in this version"),
        (&["scan", "--since", "1h", "--until", "2h", "-"], "`--since` is not before `--until`"),
        (&["backtest"], "--from <TIME>"),
        (&["backtest", "--last", "1h", "--from", "2h"], "cannot be used with"),
        (&["backtest", "--from", "1h", "--to", "2h"], "`--from` is not before `--to`"),
        (&["backtest", "--last", "1h", "--only", "x"], "there is no rule `x`"),
        (&["doctor", "--last", "1h", "--from", "2h"], "cannot be used with"),
        (&["doctor", "--last", "1h", "-"], "cannot be used with"),
        (&["doctor", "--sample", "0"], "invalid value"),
        (&["demo", "--format", "ocsf"], "`--format ocsf` is not available in this version"),
        (&["schema", "ocsf"], "`schema ocsf` is not available in this version"),
        (&["rules", "test", "--filter", "no such case"], "no case holds the text of `--filter`"),
        (&["config", "show", "--set", "cluster"], "--set: expected KEY=VALUE"),
        (&["completions", "tcsh"], "invalid value"),
    ] {
        let (stdout, stderr) = check(arguments, 64);
        assert!(stdout.is_empty(), "{arguments:?}: {stdout}");
        assert!(stderr.contains(message), "{arguments:?}: {stderr}");
    }
}

#[test]
fn wrong_log_filter_exits_64() {
    let output =
        kubetell(&["config", "template"]).env("KUBETELL_LOG", "kubetell=loud").output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    let stderr = text(&output.stderr);
    assert!(stderr.starts_with("error: KUBETELL_LOG is no filter: "), "{stderr}");
    assert!(stderr.contains("\nhint: "), "{stderr}");
}

#[test]
fn a_check_that_nobody_answers_says_so_with_a_hint() {
    // A port that was free a moment ago: nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let servers = format!("kafka.bootstrap_servers=127.0.0.1:{port}");
    let (stdout, stderr) = check(&["config", "check", "--set", &servers], 69);
    assert_eq!(stdout, "configuration: valid\n");
    assert!(stderr.contains("answered within 5 s: "), "{stderr}");
    assert!(stderr.contains("Connection refused\nhint: nothing listens there: "), "{stderr}");
    let (_, stderr) = check(&["config", "check", "--timeout", "10ms", "--set", &servers], 64);
    assert!(stderr.contains("not from `100ms` to `1h`"), "{stderr}");
}

#[test]
fn wrong_configuration_exits_78_with_every_problem_and_its_hint() {
    for command in [
        &["run"][..],
        &["config", "check", "--offline"],
        &["config", "show"],
        &["topics", "check"],
        &["topics", "create"],
        &["state", "rebuild"],
        &["backtest", "--last", "1h"],
        &["doctor"],
    ] {
        let arguments: Vec<&str> = command
            .iter()
            .chain(&["--set", "clutser=x", "--set", "delivery=exactly-once"])
            .copied()
            .collect();
        let (stdout, stderr) = check(&arguments, 78);
        assert!(stdout.is_empty(), "{stdout}");
        assert_eq!(
            stderr,
            "error: --set: unknown key `clutser`\n\
             hint: did you mean `cluster`?\n\
             error: --set: `delivery = \"exactly-once\"` is not available in this version\n\
             hint: use \"at-least-once\"\n",
            "{command:?}"
        );
    }
    let (_, stderr) = check(&["config", "check", "--config", "/nowhere/kubetell.toml"], 78);
    assert!(stderr.starts_with("error: cannot read configuration file"), "{stderr}");
}

#[test]
fn secrets_stay_hidden() {
    let password = format!("kafka.properties.sasl.password={SECRET}");
    for format in ["text", "json"] {
        let show = ["config", "show", "--format", format, "--set", &password];
        let (stdout, stderr) = check(&show, 0);
        assert!(stdout.contains("********"), "{stdout}");
        assert!(!stdout.contains(SECRET) && !stderr.contains(SECRET));
    }
    let forgotten = format!("kafka.properties.sasl.password:{SECRET}");
    for (arguments, code) in [
        (&["config", "check", "--set", &password, "--set", "zzz=1"], 78),
        (&["config", "check", "--set", &forgotten, "--set", "zzz=1"], 64),
    ] {
        let (stdout, stderr) = check(arguments, code);
        assert!(!stdout.contains(SECRET) && !stderr.contains(SECRET), "{stderr}");
    }
}

#[test]
fn a_secret_that_is_nowhere_is_told_by_its_key_and_place() {
    let setting = format!("kafka.properties.sasl.password={SECRET}${{FILE:/no/such}}");
    for (setting, key) in
        [("kafka.properties.sasl.password_file=/no/such", "_file"), (setting.as_str(), "")]
    {
        for command in [&["config", "check", "--offline"][..], &["config", "show"], &["run"]] {
            let (stdout, stderr) = check(&[command, &["--set", setting]].concat(), 78);
            let message = format!(
                "error: --set: property `sasl.password{key}`: cannot read the file `/no/such`: "
            );
            assert!(stderr.starts_with(&message) && stderr.contains("\nhint: "), "{stderr}");
            assert!(!stdout.contains(SECRET) && !stderr.contains(SECRET), "{stderr}");
        }
    }
}

#[test]
fn template_passes_the_check_and_is_overridden_by_environment_and_set() {
    let (template, _) = check(&["config", "template"], 0);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kubetell.toml");
    fs::write(&path, template).unwrap();
    let path = path.to_str().unwrap();

    let (stdout, stderr) = check(&["config", "check", "--offline", "--config", path], 0);
    assert_eq!((stdout.as_str(), stderr.as_str()), ("configuration: valid\n", ""));

    let show = kubetell(&["config", "show", "--format", "json", "--set", "source.start=latest"])
        .env("KUBETELL_CONFIG", path)
        .env("KUBETELL_KAFKA__GROUP_ID", "other")
        .output()
        .unwrap();
    let shown: serde_json::Value = serde_json::from_slice(&show.stdout).unwrap();
    assert_eq!(shown["kafka.group_id"]["value"], "other");
    assert_eq!(shown["kafka.group_id"]["source"], "env KUBETELL_KAFKA__GROUP_ID");
    assert_eq!(shown["source.start"]["source"], "--set");
    let source = shown["cluster"]["source"].as_str().unwrap();
    assert!(source.starts_with(path), "{source}");
}

#[test]
fn empty_variable_names_no_configuration_file() {
    let mut check = kubetell(&["config", "check", "--offline"]);
    assert_eq!(check.env("KUBETELL_CONFIG", "").status().unwrap().code(), Some(0));
}

#[test]
fn a_listener_that_others_can_reach_is_told() {
    let check_listen = ["config", "check", "--offline", "--set", "admin.listen=0.0.0.0:9464"];
    let (_, stderr) = check(&check_listen, 0);
    assert!(stderr.starts_with("note: `admin.listen`: whoever reaches"), "{stderr}");
}

#[test]
fn schema_of_the_configuration_is_the_stored_one() {
    let (stdout, _) = check(&["schema", "config"], 0);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/config.schema.json");
    assert!(stdout == fs::read_to_string(path).unwrap());
    assert_eq!(stdout, check(&["config", "schema"], 0).0);
}

#[test]
fn completions_are_generated_for_each_shell() {
    for (shell, mark) in [
        ("bash", "complete -F _kubetell"),
        ("bash", "first-seen"),
        ("zsh", "#compdef kubetell"),
        ("zsh", "first-seen"),
        ("fish", "complete -c kubetell"),
        ("elvish", "edit:completion"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let (stdout, _) = check(&["completions", shell], 0);
        assert!(stdout.contains(mark), "{shell}");
        for word in ["unreadable", "offline", "rules"] {
            assert!(stdout.contains(word), "{shell} lacks {word}");
        }
        for word in ["ocsf", "exactly-once"] {
            assert!(!stdout.contains(word), "{shell} completes `{word}`, which is not available");
        }
    }
}

#[test]
fn reader_that_has_seen_enough_is_no_error() {
    for arguments in [&["completions", "bash"][..], &["--help"], &["config", "schema"]] {
        // The reading end is closed before the program starts.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = kubetell(arguments).stdout(writer).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert_eq!(text(&output.stderr), "", "{arguments:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn full_disk_behind_stdout_is_an_error() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = kubetell(&["config", "template"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(70));
    let stderr = text(&output.stderr);
    assert!(stderr.starts_with("error: cannot write to stdout: "), "{stderr}");
}

#[test]
fn no_colours_without_a_terminal() {
    for arguments in [&["--help"][..], &["scan", "--frobnicate"], &["schema", "ocsf"]] {
        let output = output(arguments);
        for bytes in [&output.stdout, &output.stderr] {
            assert!(!bytes.contains(&0x1b), "{arguments:?}");
        }
    }
}
