//! Exceptions: what they keep silent and what they do not, over files and on a real Kafka.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::kafka::DEADLINE;
use crate::kafka::broker::{self, Broker};
use crate::kafka::process::Signal;
use crate::pipeline::{Stream, produce};
use crate::support::{self, exec_event, json_lines, program, secret_event};

const EXEC: &str = "pod-exec-sensitive-path";
const SECRET: &str = "secret-access-unusual-client";

/// Files that go with a test.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Files {
        Files(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        fs::write(self.path(name), bytes).unwrap();
        text(&self.path(name))
    }
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn ran(arguments: &[&str]) -> (i32, Vec<u8>, String) {
    let output = program(arguments).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), output.stdout, stderr)
}

fn changed(event: Vec<u8>, fields: Value) -> Vec<u8> {
    let mut event: Value = serde_json::from_slice(&event).unwrap();
    event.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    event.to_string().into_bytes()
}

fn secret(audit_id: &str, user: &str, namespace: &str) -> Vec<u8> {
    let object = json!({ "resource": "secrets", "namespace": namespace, "name": "s" });
    changed(secret_event(audit_id, user), json!({ "objectRef": object }))
}

/// Rule and audit id of each alert.
fn raised<'a>(alerts: impl IntoIterator<Item = &'a Value>) -> BTreeSet<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let alerts = alerts.into_iter().inspect(|alert| support::assert_valid_ecs(alert));
    let of = |alert: &Value| {
        (text(&alert["rule"]["id"]), text(&alert["kubernetes"]["audit"]["auditID"]))
    };
    alerts.map(of).collect()
}

fn pairs(expected: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    expected.iter().map(|(rule, id)| ((*rule).to_owned(), (*id).to_owned())).collect()
}

/// Reads of secrets in the namespace `n`, and execs of mallory there, are excepted.
const EXCEPTIONS: &str = r#"
[[exception]]
id = "reads-in-n"
rule = "secret-access-unusual-client"
namespace = "n"
source = "203.0.113.0/24"
reason = "Everybody may read there."

[[exception]]
rules = ["pod-exec-sensitive-path"]
query = 'user.name:mallory and exec.command:cat*'
reason = "Mallory tests the alarm."
expires = 2026-03-01
"#;

/// With what is told of each: nothing where it is excepted, or known.
fn events() -> Vec<(&'static str, Vec<u8>)> {
    let two = json!({ "sourceIPs": ["203.0.113.9", "198.51.100.1"] });
    let next_day = json!({ "requestReceivedTimestamp": "2026-03-02T00:00:00.000000Z" });
    let started = json!({ "stage": "ResponseStarted" });
    vec![
        ("excepted", secret("excepted", "jane", "n")),
        ("known-by-then", secret("known-by-then", "jane", "elsewhere")),
        ("another-user", secret("another-user", "joe", "elsewhere")),
        ("one-source-outside", changed(secret("one-source-outside", "ann", "n"), two)),
        ("exec", changed(exec_event("exec"), started)),
        ("exec", exec_event("exec")),
        ("exec-a-day-late", changed(exec_event("exec-a-day-late"), next_day)),
        (
            "exec-of-joe",
            changed(exec_event("exec-of-joe"), json!({ "user": { "username": "joe" } })),
        ),
    ]
}

fn expected() -> BTreeSet<(String, String)> {
    pairs(&[
        (SECRET, "another-user"),
        (SECRET, "one-source-outside"),
        (EXEC, "exec-a-day-late"),
        (EXEC, "exec-of-joe"),
    ])
}

#[test]
fn scan_says_nothing_of_what_is_excepted_and_counts_it() {
    let files = Files::new();
    let lines: Vec<Vec<u8>> = events().into_iter().map(|(_, event)| event).collect();
    let log = files.write("audit.log", lines.join(&b'\n'));
    let exceptions = files.write("exceptions.toml", EXCEPTIONS);
    let arguments = ["scan", &log, "--exceptions", &exceptions, "--format", "ecs", "--stats"];
    let (code, stdout, stderr) = ran(&arguments);
    assert_eq!(code, 1, "{stderr}");
    assert_eq!(raised(&json_lines(&stdout)), expected());
    let second = format!("{exceptions}:9");
    let note =
        format!("note: 2 alerts were withheld by exceptions: `{second}` (1), `reads-in-n` (1)\n");
    assert!(stderr.contains(&note), "{stderr}");
    assert!(stderr.contains(&format!("`{second}` has expired (2026-03-01)")), "{stderr}");
    assert!(stderr.contains(&format!("would have held of events: `{second}` (1)")), "{stderr}");
    let stats = stderr.lines().find(|line| line.starts_with('{')).unwrap();
    let stats: Value = serde_json::from_str(stats).unwrap();
    assert_eq!(stats["withheld"], json!({ "reads-in-n": 1, (&second): 1 }));
    assert_eq!(stats["exceptions_expired"], json!({ (&second): 1 }));
    assert_eq!(stats["alerts"], json!({ EXEC: 2, SECRET: 3 }), "two of one event");

    // Without a thing to tell it is a clean scan.
    let log = files.write("excepted.log", &lines[0]);
    let (code, stdout, stderr) = ran(&["scan", &log, "--exceptions", &exceptions]);
    assert_eq!((code, stdout), (0, vec![]));
    assert!(stderr.contains("1 alert was withheld by exceptions"), "{stderr}");
    let (_, _, stderr) = ran(&["scan", &log, "--exceptions", &exceptions, "--quiet"]);
    assert!(!stderr.contains("withheld"), "{stderr}");
}

#[test]
fn what_is_wrong_is_told_by_every_command_that_reads_exceptions() {
    let files = Files::new();
    let wrong = files.write(
        "wrong.toml",
        "[[exception]]\nrule = \"pod-exec-sensitiv-path\"\nusr = \"a\"\nreason = \"r\"\n\
         [[exception]]\nrule = \"*\"\nreason = \"r\"\n",
    );
    let unknown = files.write(
        "unknown.toml",
        "[[exception]]\nrule = \"pod-exec-sensitiv-path\"\nuser = \"a\"\nreason = \"r\"\n",
    );
    let says = |arguments: &[&str], code: i32, texts: &[&str]| {
        let (found, _, stderr) = ran(arguments);
        assert_eq!(found, code, "{arguments:?}: {stderr}");
        for text in texts {
            assert!(stderr.contains(text), "{arguments:?}: {text}\n{stderr}");
        }
    };
    let setting = format!("exceptions=[\"{wrong}\"]");
    let all = [
        "there is no key \"usr\" at line 3, column 1",
        "^",
        "did you mean `user`?",
        "an exception without a condition would hold of every event at line 5",
    ];
    for arguments in [
        &["scan", "--exceptions", &wrong, "-"][..],
        &["rules", "list", "--exceptions", &wrong],
        &["rules", "check", &wrong],
        &["explain", "--command", "ls", "--exceptions", &wrong],
        &["run", "--set", &setting],
        &["config", "check", "--offline", "--set", &setting],
    ] {
        says(arguments, 78, &all);
    }
    let nearest = [
        "no rule \"pod-exec-sensitiv-path\" at line 2, column 8",
        "hint: did you mean `pod-exec-sensitive-path`?",
    ];
    says(&["scan", "--exceptions", &unknown, "-"], 78, &nearest);
    says(&["rules", "check", &unknown], 78, &nearest);
    // A file in the place of another kind.
    let rule = text(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rules/own"));
    says(&["scan", "--exceptions", &rule, "-"], 78, &["holds a rule and no exceptions", "--rules"]);
    let good = files.write("good.toml", EXCEPTIONS);
    says(&["scan", "--rules", &good, "-"], 78, &["holds exceptions and no rule", "--exceptions"]);
}

#[test]
fn rules_list_show_and_check_know_exceptions() {
    let files = Files::new();
    let path = files.write("vault.toml", EXCEPTIONS);
    let (code, stdout, stderr) = ran(&["rules", "list", "--exceptions", &path]);
    let stdout = String::from_utf8(stdout).unwrap();
    assert_eq!(code, 0, "{stderr}");
    let line = |name: &str| stdout.lines().find(|line| line.starts_with(name)).unwrap();
    assert!(
        line("reads-in-n").ends_with("never               Everybody may read there."),
        "{stdout}"
    );
    assert!(line(&format!("{path}:9")).contains("expired 2026-03-01"), "{stdout}");
    let (_, stdout, _) = ran(&["rules", "show", SECRET, "--exceptions", &path]);
    let shown = String::from_utf8(stdout).unwrap();
    let (_, shown) = shown.split_once("\nExceptions:\n").unwrap();
    assert_eq!(
        shown,
        "- reads-in-n: Everybody may read there.\n    namespace: n\n    source: 203.0.113.0/24\n"
    );
    let (_, stdout, _) = ran(&["rules", "show", EXEC, "--exceptions", &path, "--format", "json"]);
    let shown: Value = serde_json::from_slice(&stdout).unwrap();
    assert_eq!(shown["exceptions"][0]["expired"], true);
    assert_eq!(shown["exceptions"][0]["conditions"][0]["key"], "query");

    let (code, stdout, stderr) = ran(&["rules", "check", &path]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(String::from_utf8(stdout).unwrap(), format!("{path}: 2 exceptions\n"));
    assert!(stderr.contains("has expired"), "{stderr}");
    let (_, stdout, _) = ran(&["rules", "check", "--format", "json", &path]);
    let checked: Value = serde_json::from_slice(&stdout).unwrap();
    assert_eq!((&checked[0]["kind"], &checked[0]["exceptions"]), (&json!("exceptions"), &json!(2)));
}

#[test]
fn the_example_of_the_documentation_is_valid() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.md");
    let docs = fs::read_to_string(docs).unwrap();
    let blocks = docs.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let examples: Vec<&str> = blocks.filter(|block| block.contains("[[exception]]")).collect();
    assert!(!examples.is_empty());
    let files = Files::new();
    for example in examples {
        let (code, stdout, stderr) = ran(&["rules", "check", &files.write("e.toml", example)]);
        assert_eq!(code, 0, "{stderr}");
        assert!(String::from_utf8(stdout).unwrap().ends_with(": 2 exceptions\n"));
    }
}

#[test]
fn explain_says_which_exception_holds() {
    let files = Files::new();
    let exceptions = files.write("exceptions.toml", EXCEPTIONS);
    let event = files.write("event", exec_event("a"));
    let arguments = ["explain", "--event", &event, "--exceptions", &exceptions];
    let (code, stdout, _) = ran(&arguments);
    let explained = String::from_utf8(stdout).unwrap();
    assert_eq!(code, 0);
    let by = format!("      excepted by {exceptions}:9: Mallory tests the alarm.\n");
    assert!(explained.ends_with(&format!("{by}  no alert: an exception holds\n")), "{explained}");
    let (_, stdout, _) = ran(&[&arguments[..], &["--format", "json"]].concat());
    let explained: Value = serde_json::from_slice(&stdout).unwrap();
    assert_eq!(explained["alert"], false);
    assert_eq!(explained["verdicts"][0]["excepted"]["reason"], "Mallory tests the alarm.");
    let (_, stdout, _) = ran(&["explain", "--event", &event, "--format", "json"]);
    let explained: Value = serde_json::from_slice(&stdout).unwrap();
    assert_eq!(explained["alert"], true);
    assert_eq!(explained["verdicts"][0].get("excepted"), None);
}

/// Runs `rules except` with the alert on standard input.
fn except(alert: &Value, more: &[&str]) -> (i32, String, String) {
    let rule = alert["rule"]["id"].as_str().unwrap();
    let arguments = ["rules", "except", rule, "--from-alert", "-", "--reason", "A \"test\"."];
    let mut command = program(&[&arguments[..], more].concat());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(alert.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn an_exception_from_any_alert_of_the_story_withholds_it_and_none_of_another_rule() {
    let files = Files::new();
    for (number, record) in support::story().iter().enumerate() {
        fs::create_dir_all(files.path("story")).unwrap();
        fs::write(files.path(&format!("story/{number:06}")), &record.bytes).unwrap();
    }
    let story = text(&files.path("story"));
    let scan = |exceptions: &[&str]| {
        let arguments = ["scan", &story, "--format", "ecs", "--quiet"];
        let (_, stdout, stderr) = ran(&[&arguments[..], exceptions].concat());
        assert!(!stderr.contains("error"), "{stderr}");
        json_lines(&stdout)
    };
    let ids = |alerts: &[Value]| -> BTreeSet<String> {
        alerts.iter().map(|alert| alert["event"]["id"].as_str().unwrap().to_owned()).collect()
    };
    let plain = scan(&[]);
    let (mut written, mut redacted) = (0, 0);
    let all = text(&files.path("all.toml"));
    for alert in &plain {
        let (code, exception, stderr) = except(alert, &[]);
        if code != 0 {
            let why = ["are redacted", "may stand in the body"];
            assert!(why.iter().any(|why| stderr.contains(why)), "{stderr}");
            redacted += 1;
            continue;
        }
        written += 1;
        let one = files.write("one.toml", &exception);
        let left = scan(&["--exceptions", &one]);
        let id = alert["event"]["id"].as_str().unwrap();
        assert!(!ids(&left).contains(id), "{exception}\n{alert:#}");
        let others = |alerts: &[Value]| {
            let others = alerts.iter().filter(|it| it["rule"]["id"] != alert["rule"]["id"]);
            ids(&others.cloned().collect::<Vec<_>>())
        };
        assert_eq!(others(&left), others(&plain), "{exception}");
        let (code, _, stderr) = except(alert, &["--output", &all, "--expires", "2999-01-31"]);
        assert_eq!(code, 0, "{stderr}");
    }
    assert!(written > 3, "{written} of {}, {redacted} redacted", plain.len());
    assert_eq!(scan(&["--exceptions", &all]).len(), redacted);
}

#[test]
fn an_exception_is_never_wider_than_its_alert_and_hostile_values_stay_values() {
    let files = Files::new();
    let hostile = "*\"\n[[exception]]\nrule = \"*\"\u{202e}\\?'''";
    let agent = json!({ "userAgent": hostile, "sourceIPs": ["203.0.113.9", "2001:db8::1"] });
    let first = changed(secret("first", "jane", "n"), agent.clone());
    let log = files.write("first.log", &first);
    let (_, stdout, _) = ran(&["scan", &log, "--format", "ecs"]);
    let alert = json_lines(&stdout).remove(0);
    let (code, exception, stderr) = except(&alert, &[]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(exception.matches("[[exception]]\n").count(), 1, "{exception}");
    let path = files.write("e.toml", &exception);

    let other =
        |id: &str, fields: Value| changed(changed(secret(id, "jane", "n"), agent.clone()), fields);
    let object = json!({ "resource": "secrets", "name": "s" });
    let events = [
        first,
        other("agent", json!({ "userAgent": hostile.replace('?', "x") })),
        other("fewer-sources", json!({ "sourceIPs": ["203.0.113.9"] })),
        other("more-sources", json!({ "sourceIPs": ["203.0.113.9", "2001:db8::1", "10.0.0.1"] })),
        other("user", json!({ "user": { "username": "joe" } })),
        other("cluster-wide", json!({ "objectRef": object, "user": { "username": "ann" } })),
        other("as-admin", json!({ "impersonatedUser": { "username": "admin" }, "userAgent": "a" })),
        other("verb", json!({ "verb": "list", "userAgent": "b" })),
    ];
    let log = files.write("all.log", events.join(&b'\n'));
    let arguments = ["scan", &log, "--exceptions", &path, "--format", "ecs", "--stats"];
    let (_, stdout, stderr) = ran(&arguments);
    let told: BTreeSet<String> = raised(&json_lines(&stdout)).into_iter().map(|it| it.1).collect();
    // Both tuples of the first event are known then, so of fewer sources nothing is new.
    let expected = ["agent", "more-sources", "user", "cluster-wide", "as-admin", "verb"];
    assert_eq!(told, expected.map(str::to_owned).into(), "{exception}\n{stderr}");
    assert!(stderr.contains("2 alerts were withheld"), "{stderr}");

    // What has no namespace is another request than what has one.
    let wide = json!({ "objectRef": { "resource": "secrets" } });
    let log = files.write("wide.log", changed(secret("wide", "sue", "n"), wide));
    let (_, stdout, _) = ran(&["scan", &log, "--format", "ecs"]);
    let (_, exception, _) = except(&json_lines(&stdout)[0], &[]);
    let path = files.write("wide.toml", &exception);
    let log = files.write("narrow.log", secret("narrow", "sue", "n"));
    let (code, _, stderr) = ran(&["scan", &log, "--exceptions", &path]);
    assert_eq!(code, 1, "{exception}\n{stderr}");
}

#[test]
fn what_makes_no_exception_is_refused_and_no_file_is_spoilt() {
    let files = Files::new();
    let log = files.write("a.log", exec_event("a"));
    let (_, stdout, _) = ran(&["scan", &log, "--format", "ecs"]);
    let alert = json_lines(&stdout).remove(0);
    let refused = |alert: &Value, more: &[&str], code: i32, says: &str| {
        let (found, stdout, stderr) = except(alert, more);
        assert_eq!((found, stdout.as_str()), (code, ""), "{more:?}: {stderr}");
        assert!(stderr.contains(says), "{more:?}: {stderr}");
    };
    let with = |pointer: &str, value: Value| {
        let mut alert = alert.clone();
        *alert.pointer_mut(pointer).unwrap() = value;
        alert
    };
    refused(&alert, &["--expires", "2020-01-01"], 64, "no time to come");
    refused(&alert, &["--expires", "soon"], 64, "30d");
    refused(&alert, &["--by", "cluster,color"], 64, "color");
    refused(&with("/user_agent", Value::Null), &["--by", "user_agent"], 64, "has no `user_agent`");
    let redacted = with("/process/command_line", "mysql -p[redacted]".into());
    refused(&redacted, &[], 64, "redacted");
    assert_eq!(except(&redacted, &["--by", "user,namespace"]).0, 0);
    refused(&with("/kubernetes/audit/sourceIPs", json!(["unknown"])), &[], 64, "is no address");
    let mut reduced = alert.clone();
    reduced["kubetell"]["reduced"] = true.into();
    refused(&reduced, &[], 64, "shortened");

    let other = files.write("alert.json", alert.to_string());
    let from = ["rules", "except", SECRET, "--from-alert", &other, "--reason", "r"];
    let (code, _, stderr) = ran(&from);
    assert_eq!(code, 64, "{stderr}");
    assert!(stderr.contains(&format!("by the rule \"{EXEC}\"")), "{stderr}");
    let (code, _, stderr) = ran(&["rules", "except", EXEC, "--from-alert", &other]);
    assert_eq!(code, 64);
    assert!(stderr.contains("--reason"), "{stderr}");
    let (code, _, _) = ran(&["rules", "except", EXEC, "--from-alert", &log, "--reason", "r"]);
    assert_eq!(code, 64, "an event is no alert");
    let two = files.write("two", format!("{alert}\n{alert}\n"));
    let (code, _, stderr) = ran(&["rules", "except", EXEC, "--from-alert", &two, "--reason", "r"]);
    assert_eq!(code, 2, "{stderr}");

    let spoilt = files.write("spoilt.toml", "[[exception]]\nusr = 1\n");
    refused(&alert, &["--output", &spoilt], 78, "\"usr\"");
    assert_eq!(fs::read_to_string(&spoilt).unwrap(), "[[exception]]\nusr = 1\n");
    // What would not be read is not written.
    let large = format!("# {}\n", "x".repeat(1024 * 1024 - 10));
    let full = files.write("full.toml", &large);
    refused(&alert, &["--output", &full], 78, "larger than 1024 KiB");
    assert_eq!(fs::read_to_string(&full).unwrap(), large);

    assert!(!except(&alert, &[]).2.contains("no built-in rule"));
    let own = with("/rule/id", "of-my-own".into());
    let (code, _, stderr) = except(&own, &[]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("no built-in rule has the id \"of-my-own\""), "{stderr}");
}

/// Waits until all of it is read, so that what is produced next comes after it in every topic.
fn feed(kafka: &Broker, stream: &Stream, events: &[Vec<u8>]) {
    produce(kafka, &stream.source(), events);
    stream.wait_until_read(kafka);
}

#[test]
fn on_kafka_an_excepted_sighting_is_history_through_kills_and_a_lost_state() {
    let kafka = broker::shared();
    let mut stream = Stream::new(kafka, "exceptions");
    let files = Files::new();
    let exceptions = files.write("exceptions.toml", EXCEPTIONS);
    stream.extra.push("new_terms.cache=0B".to_owned());
    let with = format!("exceptions=[\"{exceptions}\"]");
    let instance = stream.run("a", &["--set", &with]);
    // What is excepted is known before the others are read.
    let events: Vec<Vec<u8>> = events().into_iter().map(|(_, event)| event).collect();
    feed(kafka, &stream, &events[..1]);
    feed(kafka, &stream, &events[1..]);
    assert_eq!(raised(&stream.raised(kafka)), expected());
    instance.signal(Signal::KILL);
    let killed = instance.wait(DEADLINE);
    assert!(killed.stderr.contains("has expired (2026-03-01)"), "{}", killed.stderr);

    // Without the exceptions, and with a view that is folded anew: what was excepted is known.
    let instance = stream.run("b", &[]);
    feed(kafka, &stream, &[secret("again", "jane", "n"), secret("new", "eve", "n")]);
    let mut told = expected();
    told.insert((SECRET.to_owned(), "new".to_owned()));
    assert_eq!(raised(&stream.raised(kafka)), told);
    assert_eq!(instance.terminate(DEADLINE).code(), Some(0));

    // The same events again, under the exceptions: the same alerts, under the same ids.
    let before: BTreeSet<String> = ids(&stream.raised(kafka));
    let instance = stream.run("b", &["--set", &with]);
    feed(kafka, &stream, &events);
    let finished = instance.terminate(DEADLINE);
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    assert_eq!(ids(&stream.raised(kafka)), before);
    let lines = json_lines(finished.stderr.as_bytes());
    let flow = lines.iter().rfind(|line| line["message"] == "flow so far").unwrap();
    let second = format!("{exceptions}:9");
    // Each stage of an exec is an event.
    assert_eq!(flow["excepted"], format!("{{{second:?}: 2, \"reads-in-n\": 1}}"));
    assert_eq!(flow["exceptions_expired"], format!("{{{second:?}: 1}}"));
    assert!(kafka.consume_all(&stream.dead_letters()).is_empty());
}

fn ids(alerts: &[Value]) -> BTreeSet<String> {
    alerts.iter().map(|alert| alert["event"]["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn changed_exceptions_come_into_force_while_the_service_runs() {
    let kafka = broker::shared();
    let mut stream = Stream::new(kafka, "exceptions-reload");
    stream.extra.push("rules_check_every=1s".to_owned());
    let files = Files::new();
    fs::create_dir(files.path("folder")).unwrap();
    let with = format!("exceptions=[\"{}\"]", text(&files.path("folder")));
    let instance = stream.run("a", &["--set", &with]);
    feed(kafka, &stream, &[exec_event("before")]);
    files.write("folder/e.toml", EXCEPTIONS);
    instance.signal(Signal::HUP);
    instance.wait_for_stderr(DEADLINE, |line| line.contains("the rules were read again"));
    support::eventually(DEADLINE, "the second set is in force", || {
        instance.stderr().matches("rules in force").count() == 2
    });
    feed(kafka, &stream, &[exec_event("after")]);
    assert_eq!(raised(&stream.raised(kafka)), pairs(&[(EXEC, "before")]));

    // One that ends while the service runs is told, whichever comes first: its end or the reading.
    let soon = kubetell::clock::now().checked_add(jiff::SignedDuration::from_secs(4)).unwrap();
    let soon = format!(
        "{EXCEPTIONS}\n[[exception]]\nid = \"soon\"\nrule = \"*\"\nuser = \"a\"\nreason = \"r\"\nexpires = {soon:.0}\n"
    );
    files.write("folder/e.toml", soon);
    instance
        .wait_for_stderr(DEADLINE, |line| line.contains("`soon`") && line.contains("has expired"));

    files.write("folder/e.toml", "[[exception]]\nusr = 1\n");
    instance.signal(Signal::HUP);
    instance.wait_for_stderr(DEADLINE, |line| line.contains("NOT in force"));
    let finished = instance.terminate(DEADLINE);
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    assert!(finished.stderr.contains("did you mean `user`?"), "{}", finished.stderr);
}
