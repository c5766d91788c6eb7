use std::fs;

use super::*;
use crate::limits;

fn fixtures(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cases").join(name)
}

/// What is wrong with each case: `rule: name: what`, and nothing for those that pass.
fn ran(suites: &Suites) -> Vec<String> {
    let runner = Runner::new(suites.rules().unwrap()).unwrap();
    let mut wrong = Vec::new();
    for suite in &suites.suites {
        for placed in &suite.cases {
            let outcome = runner.run(suite, placed).unwrap();
            let (rule, name) = (suite.rule.id(), &placed.case.name);
            wrong.extend(outcome.mismatches.iter().map(|it| format!("{rule}: {name}: {it:?}")));
        }
    }
    wrong
}

/// Runs cases for a rule of the fixtures, written beside it.
fn check(rule: &str, cases: &str, wrong: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(fixtures(rule), dir.path().join("rule.toml")).unwrap();
    fs::write(dir.path().join("rule.tests.toml"), cases).unwrap();
    let suites = of_files(&[dir.path().to_owned()]);
    assert!(suites.errors.is_empty(), "{:?}", suites.errors);
    let got = ran(&suites);
    assert_eq!(got.len(), wrong.len(), "{got:#?}");
    for (got, says) in got.iter().zip(wrong) {
        assert!(got.contains(says), "`{says}` is not in {got}");
    }
}

#[test]
fn the_cases_of_the_built_in_rules_pass() {
    let all = builtin().unwrap();
    assert!(all.errors.is_empty(), "{:?}", all.errors);
    assert_eq!(ran(&all), Vec::<String>::new());
    for suite in &all.suites {
        let (id, cases) = (suite.rule.id(), suite.cases.len());
        assert!(cases >= 5, "`{id}` has {cases} cases");
        for raised in [true, false] {
            let none = cases::Count::Exactly(0);
            let has = suite.cases.iter().any(|it| (it.case.expected.alerts != none) == raised);
            assert!(has, "`{id}` has no case with expect = {raised}");
        }
    }
    let known: Vec<&str> = all.suites.iter().map(|suite| suite.rule.id()).collect();
    assert!(BUILTIN.iter().all(|(id, ..)| known.contains(id)), "{known:?}");
}

#[test]
fn the_cases_of_the_fixtures_pass() {
    let all = of_files(&[fixtures("good")]);
    assert!(all.errors.is_empty(), "{:?}", all.errors);
    assert_eq!(all.suites.iter().map(|suite| suite.cases.len()).sum::<usize>(), 8);
    assert_eq!(ran(&all), Vec::<String>::new());
}

#[test]
fn each_kind_of_difference_is_told() {
    let deleted = "{ verb = 'delete', user.username = 'jane', sourceIPs = ['10.0.0.1', '::1'], objectRef = { resource = 'configmaps' } }";
    let with =
        |expected: &str| format!("[[tests]]\nname = 'x'\nevents = [{deleted}]\n{expected}\n");
    for (expected, wrong) in [
        ("expect = 'alert'", &[][..]),
        ("alerts = 1", &[]),
        ("expect = 'none'", &["Alerts { expected: \"no alert\", actual: 1"][..]),
        ("alerts = 2", &["expected: \"2 alerts\", actual: 1"]),
        ("fields = { 'user.name' = 'jane', 'event.risk_score' = 21.0 }", &[]),
        ("fields = { 'user.name' = 'joe' }", &["actual: \"\\\"jane\\\"\""]),
        ("fields = { 'user.name' = 1 }", &["expected: \"1\""]),
        ("fields = { 'container.name' = '' }", &["there is none"]),
        ("fields = { 'source.ip' = '::1' }", &[]),
        ("fields = { 'source.ip' = ['10.0.0.1', '::1'] }", &[]),
        ("fields = { 'source.ip' = ['::1'] }", &["`source.ip`"]),
        ("fields = [{ 'user.name' = 'jane' }]", &[]),
        ("fields = [{ 'user.name' = 'jane' }, {}]", &["expected: \"2 alerts\""]),
        ("fields = [{ 'user.name' = 'joe' }]", &["Field { alert: 1"]),
    ] {
        let wrong: Vec<String> =
            wrong.iter().map(|it| it.replace("`source.ip`", "field: \"source.ip\"")).collect();
        let wrong: Vec<&str> = wrong.iter().map(String::as_str).collect();
        check("bare/without-cases.toml", &with(expected), &wrong);
    }
}

#[test]
fn only_the_rule_of_the_case_is_in_force_and_what_was_given_does_not_count() {
    // The exec is one that a built-in rule raises.
    check(
        "bare/without-cases.toml",
        "[[tests]]\nname = 'x'\nexpect = 'none'\ngiven = [{ verb = 'delete', objectRef.resource = 'configmaps' }]\nevents = [{ exec = ['cat', '/etc/shadow'] }]",
        &[],
    );
    // A later stage of what was given is no alert of its own.
    check(
        "bare/without-cases.toml",
        "[[tests]]\nname = 'x'\nexpect = 'none'\ngiven = [{ auditID = 'a', stage = 'RequestReceived', verb = 'delete', objectRef.resource = 'configmaps' }]\nevents = [{ auditID = 'a', verb = 'delete', objectRef.resource = 'configmaps' }]",
        &[],
    );
}

#[test]
fn each_case_begins_without_history() {
    let all = builtin().unwrap();
    let runner = Runner::new(all.rules().unwrap()).unwrap();
    let suite = all.suites.iter().find(|it| it.rule.id() == "secret-access-unusual-client");
    let suite = suite.unwrap();
    let first = &suite.cases[0];
    for _ in 0..2 {
        assert_eq!(runner.run(suite, first).unwrap().mismatches, []);
    }
}

#[test]
fn an_alert_is_compared_as_it_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.toml");
    let rule = include_str!("../../../tests/fixtures/rules/own/exec-in-kube-system.toml");
    let secret = "[[tests]]\nname = 'x'\nfields.'process.args' = ['mysql', '-phunter2']\nevents = [{ exec = ['mysql', '-phunter2'], objectRef.namespace = 'kube-system' }]";
    fs::write(&path, format!("{rule}\n{secret}")).unwrap();
    let got = ran(&of_files(&[path]));
    assert_eq!(got.len(), 1, "{got:?}");
    let actual = got[0].split("actual").nth(1).unwrap();
    assert!(!actual.contains("hunter2"), "a password left: {got:?}");
}

#[test]
fn files_of_events_are_read_beside_the_rule() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(fixtures("bare/without-cases.toml"), dir.path().join("a.toml")).unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("bad.json", "{\"kind\": \n nothing that is an event");
    let cases = |file: &str| {
        write(
            "a.tests.toml",
            &format!("[[tests]]\nname = 'x'\nexpect = 'none'\nevents = [{{ file = '{file}' }}]"),
        );
        let all = of_files(&[dir.path().to_owned()]);
        match all.errors.first() {
            Some((_, error)) => vec![error.to_string()],
            None => ran(&all),
        }
    };
    let bad = cases("bad.json");
    assert!(bad[0].contains("Unreadable") && bad[0].contains("bad.json:1"), "{bad:?}");
    assert!(cases("none.json")[0].contains("none.json` cannot be read"));
    assert!(cases(".")[0].contains("is no file"));
    assert!(cases("/etc/hosts")[0].contains("absolute"));
    let kept = tempfile::NamedTempFile::new_in(dir.path().parent().unwrap()).unwrap();
    let outside = (&kept, format!("../{}", kept.path().file_name().unwrap().display()));
    assert!(cases(&outside.1)[0].contains("leaves the folder"));
    std::os::unix::fs::symlink("/etc/hosts", dir.path().join("link.json")).unwrap();
    assert!(cases("link.json")[0].contains("leaves the folder"));
    write("blank.json", "\n\n");
    assert!(cases("blank.json")[0].contains("there is no event in it"));
    write("control.json", "{\"messageType\": \"CONTROL_MESSAGE\"}\n");
    assert!(cases("control.json")[0].contains("it is left out"), "a case that asks nothing passes");
    let large = fs::File::create(dir.path().join("large.json")).unwrap();
    large.set_len(limits::CASE_FILE_MAX_BYTES + 1).unwrap();
    assert!(cases("large.json")[0].contains("larger than 64 MiB"));
    let event = "{\"kind\": \"Event\", \"apiVersion\": \"audit.k8s.io/v1\"}\n";
    let many = event.repeat(limits::CASE_EVENTS_MAX + 1);
    write("many.json", &many);
    assert!(cases("many.json").iter().any(|it| it.contains("more than 10000 records")));
}

#[test]
fn a_file_of_cases_stands_for_its_rule_and_is_none() {
    let good = fixtures("good");
    let named = of_files(&[good.join("anonymous.tests.toml"), good.join("anonymous.toml")]);
    assert_eq!(named.suites.len(), 1);
    assert_eq!(named.suites[0].cases.len(), 2);
    // Where rules are put in force, it is not there.
    let files = rules::read(&[good.clone(), good.join("anonymous.tests.toml")]);
    assert!(files.iter().all(|file| !beside::is_cases_file(&file.path)), "{files:?}");
    assert_eq!(files.len(), 3);

    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("renamed.tests.toml"), "tests = []").unwrap();
    let all = of_files(&[dir.path().to_owned()]);
    assert_eq!(all.errors.len(), 1);
    let error = all.errors[0].1.to_string();
    assert!(error.contains("renamed.toml` beside"), "{error}");
}

#[test]
fn what_no_event_or_alert_has_is_told_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let rule = fs::read_to_string(fixtures("bare/without-cases.toml")).unwrap();
    let path = dir.path().join("a.toml");
    let error = |case: &str| {
        fs::write(&path, format!("{rule}\n[[tests]]\nname = 'x'\nexpect = 'alert'\n{case}\n"))
            .unwrap();
        let all = of_files(std::slice::from_ref(&path));
        assert!(all.suites.is_empty());
        all.errors[0].1.to_string()
    };
    let field = error("events = [{ verb = 'get' }]\nfields = { 'user.nmae' = 'x' }");
    assert!(field.contains("no alert has a field `user.nmae`"), "{field}");
    assert!(field.contains("column 12") && field.contains("did you mean `user.name`?"), "{field}");
    let event = error("events = [{ verb = 'get', sourceIPs = 1 }]");
    assert!(event.contains("`sourceIPs`") && event.contains("column 11"), "{event}");
    let json = error("events = '{\"verb\": \"get\", \"user\": {\"name\": \"x\"}}'");
    assert!(json.contains("has no key `user.name`") && json.contains("`username`"), "{json}");
    let wrapper = error("events = '{\"messageType\": \"CONTROL_MESSAGE\"}'");
    assert!(wrapper.contains("cannot be read"), "{wrapper}");
}

#[test]
fn cases_of_a_rule_that_is_left_out_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let rule = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/rules/published/another-language.toml"
    );
    fs::copy(rule, dir.path().join("a.toml")).unwrap();
    let cases = "[[tests]]\nname = 'x'\nexpect = 'none'\nevents = [{ verb = 'get' }]";
    fs::write(dir.path().join("a.tests.toml"), cases).unwrap();
    let all = of_files(&[dir.path().to_owned()]);
    assert!(all.suites.is_empty() && all.errors.is_empty(), "{:?}", all.errors);
    assert_eq!(all.left_out.len(), 1);
    assert_eq!(all.left_out[0].cases.len(), 1);
    // Wrong ones are errors all the same.
    fs::write(dir.path().join("a.tests.toml"), "[[tests]]\nname = 'x'").unwrap();
    assert_eq!(of_files(&[dir.path().to_owned()]).errors.len(), 1);
}

#[test]
fn fields_of_more_alerts_than_are_kept_are_not_taken_for_compared() {
    let event = "{ verb = 'delete', user.username = 'jane', objectRef.resource = 'configmaps' },\n";
    let events = event.repeat(limits::CASE_ALERTS_MAX + 1);
    let case = |expected: &str| format!("[[tests]]\nname = 'x'\nevents = [{events}]\n{expected}\n");
    check("bare/without-cases.toml", &case("alerts = 1001"), &[]);
    let fields = case("alerts = 1001\nfields.'user.name' = 'jane'");
    check("bare/without-cases.toml", &fields, &["TooMany { actual: 1001 }"]);
}
