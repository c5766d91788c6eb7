//! `kubetell rules test`, as a person and a build server run it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::program;
use crate::xml::{self, Element};

fn fixtures(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cases").join(name);
    folder.to_str().unwrap().to_owned()
}

/// Exit code, stdout and stderr.
fn ran(arguments: &[&str]) -> (i32, String, String) {
    let arguments: Vec<&str> = ["rules", "test"].iter().chain(arguments).copied().collect();
    let output = program(&arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_built_in_rules_pass_without_any_argument() {
    let (code, stdout, stderr) = ran(&["--strict"]);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    for rule in ["pod-exec-sensitive-path", "secret-access-unusual-client", "pod-exec-interactive"]
    {
        let lines = stdout.lines().filter(|line| line.starts_with(rule));
        assert!(lines.filter(|line| line.ends_with(" ... ok")).count() >= 5, "{rule}: {stdout}");
    }
    let last = stdout.lines().last().unwrap();
    assert!(last.starts_with("test result: ok. "), "{last}");
    assert!(!stdout.contains('\u{1b}'), "colours are for terminals: {stdout}");
}

#[test]
fn the_rules_of_a_configuration_are_tested_beside_the_built_in_ones() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("kubetell.toml");
    fs::write(&config, format!("rules = [{:?}]\n", fixtures("good"))).unwrap();
    let config = config.to_str().unwrap();
    let (code, stdout, stderr) = ran(&["--config", config, "--rules", &fixtures("bare")]);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    for says in [
        "configmap-deleted: a person deletes one ... ok",
        "anonymous-request-was-answered: an answer ... ok",
        "pod-exec-sensitive-path: a harmless command ... ok",
        "rules without cases: without-cases",
        "; 0 failed; 0 filtered out; 1 rule without cases; finished in ",
    ] {
        assert!(stdout.contains(says), "`{says}` is not in\n{stdout}");
    }
    // Paths stand for themselves.
    let (code, stdout, _) = ran(&[&fixtures("good")]);
    assert_eq!(code, 0);
    assert!(stdout.contains("test result: ok. 8 passed; 0 failed; 0 filtered out"), "{stdout}");
    let (code, _, stderr) = ran(&["--config", config, &fixtures("good")]);
    assert_eq!(code, 64, "{stderr}");
}

#[test]
fn a_case_that_fails_says_what_was_expected_and_where() {
    let (code, stdout, stderr) = ran(&[&fixtures("failing")]);
    assert_eq!((code, stderr.as_str()), (1, ""), "{stdout}");
    for says in [
        "failing: passes ... ok\n",
        "failing: expects other fields ... FAILED\n",
        "failing.toml:23\n  alerts\n    expected: an alert\n    actual:   no alert\n",
        "    expected: no alert\n    actual:   2 alerts\n    - User \"jane\" asked to delete",
        "  `user.name` of alert 1\n    expected: \"joe\"\n    actual:   \"jane\"\n",
        "    expected: \"app\"\n    actual:   there is none\n",
        "test result: FAILED. 1 passed; 4 failed; 0 filtered out; finished in ",
    ] {
        assert!(stdout.contains(says), "`{says}` is not in\n{stdout}");
    }
    let hostile = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
    assert!(!stdout.contains(hostile), "{stdout:?}");
}

#[test]
fn strict_wants_cases_and_a_filter_chooses() {
    let bare = fixtures("bare");
    assert_eq!(ran(&[&bare]).0, 0);
    let (code, stdout, _) = ran(&["--strict", &bare]);
    assert_eq!(code, 1);
    assert!(stdout.contains("rules without cases: without-cases\n"), "{stdout}");
    assert!(stdout.contains("test result: FAILED. 0 passed; 0 failed;"), "{stdout}");

    let failing = fixtures("failing");
    let (code, stdout, _) = ran(&["--strict", "--filter", "failing: passes", &failing, &bare]);
    assert_eq!(code, 0);
    assert!(stdout.contains("test result: ok. 1 passed; 0 failed; 4 filtered out;"), "{stdout}");
    let (code, _, stderr) = ran(&["--filter", "no such case", &failing]);
    assert_eq!(code, 64);
    assert!(stderr.contains("no case holds the text"), "{stderr}");
}

#[test]
fn a_file_that_is_not_valid_is_told_and_the_others_are_run() {
    let dir = tempfile::tempdir().unwrap();
    let rule = fs::read_to_string(Path::new(&fixtures("bare")).join("without-cases.toml")).unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("a.toml", "id = 1");
    let mistyped = "[[tests]]\nname = 'x'\nexpect = 'alert'\nfields = { 'user.nmae' = 'x' }\nevents = [{ verb = 'get' }]\n";
    write("b.toml", &rule);
    write("b.tests.toml", mistyped);
    write("c.toml", &rule.replace("without-cases", "with-one"));
    write("c.tests.toml", "[[tests]]\nname = 'x'\nexpect = 'none'\nevents = [{ verb = 'get' }]\n");
    write("gone.tests.toml", "tests = []");
    let folder = dir.path().to_str().unwrap();
    let junit = dir.path().join("results.xml");
    let (code, stdout, stderr) = ran(&[folder, "--junit", junit.to_str().unwrap()]);
    assert_eq!(code, 78, "{stderr}");
    assert!(stdout.contains("with-one: x ... ok\n"), "{stdout}");
    assert!(stdout.contains("1 passed; 0 failed; 0 filtered out; 3 invalid files;"), "{stdout}");
    for says in [
        "a.toml` is no valid rule file",
        "b.tests.toml`: no alert has a field `user.nmae` at line 4, column 12\n",
        "4 | fields = { 'user.nmae' = 'x' }\n  |            ^^^^^^^^^^^\nhint: did you mean `user.name`?",
        "gone.toml` beside",
    ] {
        assert!(stderr.contains(says), "`{says}` is not in\n{stderr}");
    }
    let suites = parsed(&junit);
    assert_eq!(suites.attribute("errors"), "3");
    assert_eq!(suites.all("error").len(), 3);

    // `check` says the same of the files, and counts the cases of the others.
    let output = program(&["rules", "check", folder]).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    let (stdout, stderr) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(stdout.contains("c.toml: query rule `with-one`, 1 test case\n"), "{stdout}");
    assert!(stderr.contains("user.nmae") && stderr.contains("gone.toml` beside"), "{stderr}");
    let nothing = tempfile::tempdir().unwrap();
    let (code, _, stderr) = ran(&[nothing.path().to_str().unwrap()]);
    assert_eq!(code, 78, "{stderr}");
}

fn parsed(path: &PathBuf) -> Element {
    xml::parse(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn junit_is_well_formed_and_tells_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("results.xml");
    let arguments = [&fixtures("failing"), &fixtures("bare"), "--junit", path.to_str().unwrap()];
    let (code, _, stderr) = ran(&arguments);
    assert_eq!(code, 1, "{stderr}");
    let suites = parsed(&path);
    assert_eq!(suites.name, "testsuites");
    for (name, number) in [("tests", "6"), ("failures", "4"), ("errors", "0"), ("skipped", "1")] {
        assert_eq!(suites.attribute(name), number, "{name}");
    }
    let cases = suites.all("testcase");
    let names: Vec<&str> = cases.iter().map(|case| case.attribute("name")).collect();
    assert_eq!(names[1], "expects an alert where there is none");
    assert_eq!(names[4], "a \\u{1b}[2J<name> & \"one\"\\nthat is hostile\\u{202e}]]>");
    assert_eq!(cases[1].attribute("classname"), "failing");
    assert_eq!(cases[1].attribute("line"), "23");
    let failure = cases[1].all("failure")[0];
    assert_eq!(failure.attribute("message"), "alerts: expected an alert, actual no alert");
    assert!(failure.text.contains("actual:   no alert"), "{failure:?}");
    assert!(cases[0].children.is_empty(), "a case that passes has nothing to say");
    assert_eq!(cases[5].all("skipped").len(), 1);

    let nowhere = dir.path().join("none/results.xml");
    let (code, _, stderr) = ran(&[&fixtures("good"), "--junit", nowhere.to_str().unwrap()]);
    assert_eq!(code, 64);
    assert!(stderr.contains("cannot write"), "{stderr}");
}

#[test]
fn programs_get_one_json_object() {
    let (code, stdout, _) = ran(&["--format", "json", &fixtures("failing"), &fixtures("bare")]);
    assert_eq!(code, 1);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let cases = report["cases"].as_array().unwrap();
    assert_eq!(cases.iter().filter(|case| case["passed"] == true).count(), 1);
    assert_eq!(cases[1]["mismatches"][0]["expected"], "an alert");
    assert_eq!(cases[1]["line"], 23);
    assert_eq!(report["without_cases"], serde_json::json!(["without-cases"]));
    assert_eq!(report["invalid"], serde_json::json!([]));
}

#[test]
fn files_of_cases_are_no_rules_where_rules_are_put_in_force() {
    let good = fixtures("good");
    let beside = format!("{good}/anonymous.tests.toml");
    let output =
        program(&["rules", "list", "--rules", &good, "--rules", &beside]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("configmap-deleted"), "{text}");
    let events = format!("{good}/events/anonymous.ndjson");
    let scan = ["scan", &events, "--rules", &good, "--only", "anonymous-request-was-answered"];
    let output = program(&scan).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn the_schemas_are_printed() {
    for name in ["rule", "rule-tests"] {
        let output = program(&["schema", name]).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert!(schema["properties"]["tests"].is_object(), "{name}");
        jsonschema::meta::validate(&schema).unwrap();
    }
}

#[test]
fn cases_of_a_rule_that_is_left_out_are_skipped_and_fail_where_that_is_strict() {
    let dir = tempfile::tempdir().unwrap();
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rules/published");
    fs::copy(rules.join("another-language.toml"), dir.path().join("a\u{1b}[2J.toml")).unwrap();
    let case = "[[tests]]\nname = 'x'\nexpect = 'none'\nevents = [{ verb = 'get' }]\n";
    fs::write(dir.path().join("a\u{1b}[2J.tests.toml"), case).unwrap();
    let folder = dir.path().to_str().unwrap();
    let junit = dir.path().join("results.xml");
    for (more, code, element) in [(&[][..], 0, "skipped"), (&["--strict"], 1, "failure")] {
        let arguments = [&[folder, "--junit", junit.to_str().unwrap()], more].concat();
        let (found, stdout, stderr) = ran(&arguments);
        assert_eq!(found, code, "{stdout}{stderr}");
        assert!(stdout.contains(": x ... skipped\n"), "{stdout}");
        assert!(stdout.contains("; 1 case skipped; "), "{stdout}");
        assert!(stderr.contains("left out"), "{stderr}");
        assert!(!stdout.contains('\u{1b}') && !stderr.contains('\u{1b}'), "{stdout}{stderr}");
        let written = fs::read_to_string(&junit).unwrap();
        assert!(written.contains(&format!("<{element} ")), "{written}");
    }
    let (_, stdout, _) = ran(&[folder, "--format", "json"]);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["skipped"][0]["name"], "x");
}

#[test]
fn rules_that_cannot_be_in_force_together_are_told_in_the_file_too() {
    let dir = tempfile::tempdir().unwrap();
    let rule = Path::new(&fixtures("bare")).join("without-cases.toml");
    for name in ["a.toml", "b.toml"] {
        fs::copy(&rule, dir.path().join(name)).unwrap();
    }
    let junit = dir.path().join("results.xml");
    let folder = dir.path().to_str().unwrap();
    let (code, _, stderr) = ran(&[folder, "--junit", junit.to_str().unwrap()]);
    assert_eq!(code, 78, "{stderr}");
    let written = fs::read_to_string(&junit).unwrap();
    assert!(written.contains("<error type=\"invalid\""), "{written}");
}
