use super::*;

const FILE: &str = "rules/x.tests.toml";

fn read(text: &str) -> Result<Vec<Case>, CaseError> {
    beside_rule(Source { file: FILE, text })
}

/// The one case of a text.
fn case(text: &str) -> Case {
    let mut cases = read(&format!("[[tests]]\nname = 'x'\n{text}")).unwrap();
    assert_eq!(cases.len(), 1);
    cases.pop().unwrap()
}

/// Its events.
fn events(text: &str) -> Vec<Value> {
    let case = case(&format!("expect = 'alert'\n{text}"));
    let records = case.events.iter().map(|input| match input {
        Input::Record { record, .. } => serde_json::from_slice(record).unwrap(),
        Input::File { path, .. } => Value::from(path.as_str()),
    });
    records.collect()
}

#[test]
fn the_forms_of_events_are_the_same() {
    let inline = events("events = [{ verb = 'get', user = { username = 'jane' } }]");
    for text in [
        "[[tests.events]]\nverb = 'get'\nuser.username = 'jane'",
        "events = '{\"verb\": \"get\", \"user\": {\"username\": \"jane\"}}'",
        "events = ['{\"verb\": \"get\", \"user\": {\"username\": \"jane\"}}']",
        "events = '''\n[{\n\"verb\": \"get\", \"user\":\n{\"username\": \"jane\"}}]\n'''",
    ] {
        assert_eq!(events(text), inline, "{text}");
    }
    let two = events("events = '''{\"verb\": \"get\"}\n{\"verb\": \"list\"} '''");
    assert_eq!(two.len(), 2);
    let mixed = events("events = [{ file = 'a/b.json' }, { verb = 'get' }, '{\"verb\": \"x\"}']");
    assert_eq!(mixed[0], "a/b.json");
    assert_eq!(mixed[1]["auditID"], "event-1");
    assert_eq!(mixed[2]["auditID"], "event-2");
}

#[test]
fn what_an_event_leaves_out_is_filled_in() {
    let filled = events("events = [{ verb = 'get' }, { verb = 'get', stage = 'Panic' }]");
    let expected = serde_json::json!({
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": "event-1",
        "stage": "ResponseComplete",
        "verb": "get",
        "requestReceivedTimestamp": "2026-01-01T00:00:00Z",
        "stageTimestamp": "2026-01-01T00:00:00Z",
    });
    assert_eq!(filled[0], expected);
    assert_eq!(filled[1]["stage"], "Panic");
    assert_eq!(filled[1]["auditID"], "event-2");
    assert_eq!(filled[1]["requestReceivedTimestamp"], "2026-01-01T00:00:01Z");
    let body = events("events = [{ verb = 'create', requestObject.spec.hostPID = true }]");
    assert_eq!(body[0]["level"], "RequestResponse");
    // What is there stays, null included; and the text of a wrapper stays as it is.
    let null = events("events = '{\"verb\": \"get\", \"stage\": null, \"auditID\": \"a\"}'");
    assert_eq!((&null[0]["stage"], &null[0]["auditID"]), (&Value::Null, &Value::from("a")));
    let wrapped = "{\"log\": \"{}\",  \"n\": 1.0}";
    let case = case(&format!("expect = 'none'\nevents = '{wrapped}'"));
    assert!(
        matches!(&case.events[0], Input::Record { record, .. } if record == wrapped.as_bytes())
    );
}

#[test]
fn the_clock_of_a_case_goes_on_from_event_to_event() {
    let times = |text: &str| -> Vec<String> {
        let time = |event: &Value, key: &str| event[key].as_str().unwrap().to_owned();
        let events = events(text);
        let both = events.iter().map(|it| {
            format!("{} {}", time(it, "requestReceivedTimestamp"), time(it, "stageTimestamp"))
        });
        both.collect()
    };
    let after_a_given_one = times(
        "events = [{ requestReceivedTimestamp = 2026-03-01T08:00:00Z }, { verb = 'get' }, { stageTimestamp = '2026-04-01T00:00:00Z' }]",
    );
    assert_eq!(
        after_a_given_one,
        [
            "2026-03-01T08:00:00Z 2026-03-01T08:00:00Z",
            "2026-03-01T08:00:01Z 2026-03-01T08:00:01Z",
            "2026-04-01T00:00:00Z 2026-04-01T00:00:00Z",
        ]
    );
    // The stages of one request were received at one time.
    let stages = times("events = [{ auditID = 'a' }, { verb = 'get' }, { auditID = 'a' }]");
    assert_eq!(stages[2], "2026-01-01T00:00:00Z 2026-01-01T00:00:02Z");
    let latest = "events = [{ stageTimestamp = '9999-12-30T22:00:00.9Z' }, { verb = 'get' }]";
    assert_eq!(times(latest).len(), 2);
}

#[test]
fn given_events_and_events_share_ids_and_clock() {
    let case = case("expect = 'none'\nevents = [{ verb = 'get' }]\ngiven = [{ verb = 'get' }]");
    let id = |input: &Input| match input {
        Input::Record { record, .. } => {
            serde_json::from_slice::<Value>(record).unwrap()["auditID"].clone()
        }
        Input::File { .. } => Value::Null,
    };
    assert_eq!((id(&case.given[0]), id(&case.events[0])), ("event-1".into(), "event-2".into()));
}

#[test]
fn exec_stands_for_the_request_of_an_exec() {
    let event = &events("events = [{ exec = ['sh', '-c', 'echo \"ä&+%\"'] }]")[0];
    assert_eq!(
        event["requestURI"],
        "/api/v1/namespaces/default/pods/pod/exec?command=sh&command=-c&command=echo%20%22%C3%A4%26%2B%25%22&container=main&stderr=true&stdout=true"
    );
    assert_eq!(event["verb"], "get");
    assert_eq!(event["objectRef"]["subresource"], "exec");
    assert_eq!(event["exec"], Value::Null);
    let other = &events("events = [{ exec = ['ls'], verb = 'create', objectRef.name = 'p' }]")[0];
    assert_eq!(other["verb"], "create");
    assert!(
        other["requestURI"].as_str().unwrap().starts_with("/api/v1/namespaces/default/pods/p/")
    );
}

#[test]
fn expectations_are_read() {
    let expected = |text: &str| case(&format!("{text}\nevents = [{{ verb = 'get' }}]")).expected;
    for (text, count) in [
        ("expect = 'alert'", Count::AtLeastOne),
        ("expect = 'none'", Count::Exactly(0)),
        ("alerts = 3", Count::Exactly(3)),
        ("fields = { 'user.name' = 'x' }", Count::AtLeastOne),
        ("fields = [{ 'user.name' = 'x' }, {}]", Count::Exactly(2)),
        ("expect = 'alert'\nfields = [{ 'user.name' = 'x' }, {}]", Count::Exactly(2)),
    ] {
        assert_eq!(expected(text).alerts, count, "{text}");
    }
    for text in ["fields.user.name = 'x'", "fields.'user.name' = 'x'", "fields.user.name = \"x\""] {
        let fields = expected(text).fields;
        let all: Vec<(&str, &Value)> =
            fields.all().map(|it| (it.path.as_str(), &it.value)).collect();
        assert_eq!(all, [("user.name", &Value::from("x"))], "{text}");
    }
}

#[test]
fn a_rules_own_keys_are_none_of_its_cases() {
    let text = include_str!("../../tests/fixtures/cases/good/configmap-deleted.toml");
    let cases = of_rule(Source { file: FILE, text }).unwrap();
    let lines: Vec<usize> = cases.iter().map(|case| case.line).collect();
    let names = cases.iter().map(|case| text.lines().nth(case.line - 1).unwrap().to_owned());
    assert!(names.zip(&cases).all(|(line, case)| line.contains(&case.name)), "{lines:?}");
    let without = include_str!("../../tests/fixtures/cases/bare/without-cases.toml");
    assert_eq!(of_rule(Source { file: FILE, text: without }).unwrap(), []);
}

#[test]
fn a_rule_in_force_knows_nothing_of_its_cases() {
    let text = include_str!("../../tests/fixtures/cases/bare/without-cases.toml");
    let rule = |text: &str| crate::rules::rule::Rule::from_toml("x.toml", text);
    // Whatever stands there.
    for tests in ["[[tests]]\nname = 1", "[[tests]]\nsurplus = { a = [1] }", "[tests]\na = 1"] {
        let with = rule(&format!("{text}\n{tests}")).unwrap();
        assert_eq!(with.info(), rule(text).unwrap().info(), "{tests}");
    }
}

#[test]
fn errors_say_where_and_what_to_do() {
    let events = "events = [{ verb = 'get' }]";
    let check = |case: &str, says: &[&str]| {
        let text = format!("[[tests]]\nname = 'a'\n{case}\n");
        let error = read(&text).map(|cases| format!("{cases:?}")).unwrap_err().to_string();
        assert!(error.contains(FILE), "{error}");
        for part in says {
            assert!(error.contains(part), "{case}\n`{part}` is not in\n{error}");
        }
    };
    check("nmae = 'x'", &["line 3, column 1", "^^^^", "unknown field `nmae`"]);
    check(events, &["does not say what to expect", "line 2, column 8", "hint: write `expect"]);
    check(&format!("{events}\nexpect = 'both'"), &["line 4, column 10", "`alert` or `none`"]);
    check(
        &format!("{events}\nexpect = 'alert'\nalerts = 1"),
        &["line 5, column 10", "one of both"],
    );
    check("expect = 'alert'", &["missing field `events`"]);
    check("expect = 'alert'\nevents = []", &["no event in `events`", "line 4, column 10"]);
    check("expect = 'alert'\nevents = ' '", &["no event in `events`"]);
    check("expect = 'alert'\nevents = 1", &["line 4, column 10", "JSON in a text, or a list"]);
    check("expect = 'alert'\nevents = [1]", &["line 4, column 11", "an event: a table, or JSON"]);
    check(
        "expect = 'alert'\nevents = [{ verv = 'get' }]",
        &["no key `verv`", "column 13", "`verb`"],
    );
    check(
        "expect = 'alert'\nevents = [{ user.name = 'x' }]",
        &["no key `user.name`", "did you mean `username`?"],
    );
    check("expect = 'alert'\nevents = [{ exec = 'ls' }]", &["list of the command's arguments"]);
    check("expect = 'alert'\nevents = [{ file = 'a', verb = 'get' }]", &["`file` stands alone"]);
    check(
        "expect = 'alert'\nevents = '''\n{\"verb\": \"get\"}\n  {\"user\": }\n'''",
        &["this is no JSON: expected value", "line 6, column 12"],
    );
    check("expect = 'alert'\nevents = '{'", &["this is no JSON: EOF"]);
    check("expect = 'alert'\nevents = \"\\u007b\"", &["this is no JSON", "line 4, column 10"]);
    check(&format!("{events}\nexpect = 'none'\nfields = {{ a = 1 }}"), &["line 5", "no alert is"]);
    check(&format!("{events}\nalerts = 2\nfields = [{{ a = 1 }}]"), &["another number of alerts"]);
    check(&format!("{events}\nalerts = -1"), &["line 4, column 10"]);
    check(
        &format!("{events}\nexpect = 'none'\n[[tests]]\nname = 'a'\n{events}\nexpect = 'none'"),
        &["another case has the same name", "line 6, column 8"],
    );
    let unnamed = read("[[tests]]\nname = ''\nevents = '{}'").unwrap_err().to_string();
    assert!(unnamed.contains("name of the case is empty"), "{unnamed}");
    let surplus = read("a = 1\ntests = []").unwrap_err().to_string();
    assert!(surplus.contains("unknown field `a`"), "{surplus}");
    assert!(read("").is_err(), "a file of cases has some");
}

#[test]
fn errors_read_well() {
    let text = "[[tests]]\nname = 'a'\nexpect = 'alert'\nevents = [{ verv = 'get' }]\n";
    insta::assert_snapshot!(read(text).unwrap_err(), @r"
    `rules/x.tests.toml`: an audit event has no key `verv` at line 4, column 13
      |
    4 | events = [{ verv = 'get' }]
      |             ^^^^

    hint: did you mean `verb`?
    ");
}

#[test]
fn there_are_at_most_so_many_events() {
    let text = |events: usize| format!("expect = 'none'\nevents = '''{}'''", "{}".repeat(events));
    assert_eq!(case(&text(limits::CASE_EVENTS_MAX)).events.len(), limits::CASE_EVENTS_MAX);
    let error = read(&format!("[[tests]]\nname = 'a'\n{}", text(limits::CASE_EVENTS_MAX + 1)));
    assert!(error.unwrap_err().to_string().contains("at most 10000 events"));
}

#[test]
fn depth_is_bounded() {
    let deep = format!("verb{}", ".a".repeat(100_000));
    let lists = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for case in [
        format!("events = [{{ {deep} = 1 }}]"),
        format!("events = [{{ verb = {lists} }}]"),
        format!("events = '{lists}'"),
        format!("events = [{{ verb = 'x' }}]\nfields.{deep} = 1"),
    ] {
        let text = format!("[[tests]]\nname = 'a'\nexpect = 'alert'\n{case}");
        let _ = read(&text).map_err(|error| error.to_string());
    }
}

proptest::proptest! {
    #[test]
    fn a_damaged_file_has_an_outcome(
        file in 0..BUILTIN.len(),
        from in 0.0..1.0,
        removed in 0..40_usize,
        put in "[a-z0-9.'\"{}\\[\\]= \n]{0,12}",
    ) {
        let characters: Vec<char> = BUILTIN[file].2.chars().collect();
        let from = (characters.len() as f64 * from) as usize;
        let behind = (from + removed).min(characters.len());
        let (before, behind) = (&characters[..from], &characters[behind..]);
        let text: String = before.iter().chain(put.chars().collect::<Vec<_>>().iter()).chain(behind).collect();
        let _ = read(&text).map_err(|error| error.to_string());
    }

    #[test]
    fn any_text_has_an_outcome(text in proptest::prelude::any::<String>(), json in ".{0,40}") {
        let _ = read(&text).map_err(|error| error.to_string());
        let quoted = toml::Value::String(json).to_string();
        let case = format!("[[tests]]\nname = 'a'\nexpect = 'none'\nevents = {quoted}");
        let _ = read(&case).map_err(|error| error.to_string());
    }
}
