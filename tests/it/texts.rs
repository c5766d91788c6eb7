//! Texts that people and their documents rely on, as a whole.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::support::program;

/// The width of a terminal does not reach these tests, so the lines break where they do.
fn check(name: &str, arguments: &[&str]) {
    let output = program(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    assert!(output.stderr.is_empty(), "{arguments:?}");
    insta::assert_snapshot!(name, String::from_utf8(output.stdout).unwrap());
}

#[test]
fn help_is_complete() {
    check("help", &["--help"]);
    check("help_run", &["run", "--help"]);
    check("help_scan", &["scan", "--help"]);
    check("help_doctor", &["doctor", "--help"]);
    check("help_state", &["state", "--help"]);
    check("help_state_show", &["state", "show", "--help"]);
    check("help_state_rebuild", &["state", "rebuild", "--help"]);
    check("help_state_export", &["state", "export", "--help"]);
    check("help_state_import", &["state", "import", "--help"]);
}

#[test]
fn rules_are_shown() {
    check("rules_list", &["rules", "list"]);
    check("rules_show_exec", &["rules", "show", "pod-exec-sensitive-path"]);
}
