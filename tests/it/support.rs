//! What the integration tests share: validation, made-up events, waiting.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::sync::{Condvar, Mutex, OnceLock};
use std::time::Duration;

use kubetell::clock;
use kubetell::demo::scenario::{self, ScenarioRecord};
use serde_json::Value;

/// Fails unless the alert is what `kubetell schema ecs` describes.
pub fn assert_valid_ecs(alert: &Value) {
    static SCHEMA: OnceLock<jsonschema::Validator> = OnceLock::new();
    let validator = SCHEMA.get_or_init(|| {
        let schema: Value = serde_json::from_str(kubetell::alert::schema::ecs()).unwrap();
        jsonschema::validator_for(&schema).unwrap()
    });
    let errors: Vec<String> = validator
        .iter_errors(alert)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}\n{alert:#}");
}

/// An alert without what a replay may change.
pub fn without_times(alert: &Value) -> Value {
    let mut alert = alert.clone();
    for (object, field) in [
        ("event", "created"),
        ("event", "ingested"),
        ("kubetell", "detection_latency_ms"),
        ("kubetell", "instance"),
    ] {
        if let Some(object) = alert[object].as_object_mut() {
            object.remove(field);
        }
    }
    alert
}

/// Asks until the answer is yes. Between two questions it waits on a condition that nobody
/// signals, which bounds how often it asks.
pub fn eventually(deadline: Duration, what: &str, mut done: impl FnMut() -> bool) {
    static NOBODY: (Mutex<()>, Condvar) = (Mutex::new(()), Condvar::new());
    let until = clock::monotonic() + deadline;
    while !done() {
        assert!(clock::monotonic() < until, "not in {deadline:?}: {what}");
        let guard = NOBODY.0.lock().unwrap();
        drop(NOBODY.1.wait_timeout(guard, Duration::from_millis(200)).unwrap());
    }
}

/// The demo's story, at a fixed time.
pub fn story() -> Vec<ScenarioRecord> {
    scenario::scenario("2026-03-01T08:00:00Z".parse().unwrap())
}

/// A finished exec of a sensitive file, as one bare event.
pub fn exec_event(audit_id: &str) -> Vec<u8> {
    serde_json::json!({
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": audit_id,
        "stage": "ResponseComplete",
        "requestURI":
            "/api/v1/namespaces/n/pods/p/exec?command=cat&command=%2Fetc%2Fshadow&container=c",
        "verb": "get",
        "user": { "username": "mallory", "groups": ["system:authenticated"] },
        "sourceIPs": ["203.0.113.9"],
        "userAgent": "kubectl/v1.34.1",
        "objectRef": {
            "resource": "pods", "namespace": "n", "name": "p", "apiVersion": "v1",
            "subresource": "exec"
        },
        "responseStatus": { "code": 101 },
        "requestReceivedTimestamp": "2026-03-01T08:00:00.000000Z",
        "stageTimestamp": "2026-03-01T08:00:01.000000Z"
    })
    .to_string()
    .into_bytes()
}

/// An event that concerns no rule.
pub fn quiet_event() -> Vec<u8> {
    let mut event: Value = serde_json::from_slice(&exec_event("quiet")).unwrap();
    event["requestURI"] = "/api/v1/namespaces/n/pods/p".into();
    event["objectRef"].as_object_mut().unwrap().remove("subresource");
    event.to_string().into_bytes()
}

/// A gigabyte of spaces, compressed.
pub fn gzip_bomb() -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let block = vec![b' '; 1 << 20];
    for _ in 0..1024 {
        encoder.write_all(&block).unwrap();
    }
    encoder.finish().unwrap()
}

/// What the rules found: audit ids of the execs, and the new terms.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub exec: BTreeSet<String>,
    pub terms: BTreeSet<[String; 3]>,
}

impl Found {
    /// Of alerts, each of which has to be what the schema says.
    pub fn of<'a>(alerts: impl IntoIterator<Item = &'a Value>) -> Found {
        let mut found = Found::default();
        for alert in alerts {
            assert_valid_ecs(alert);
            match alert["rule"]["id"].as_str().unwrap() {
                "pod-exec-sensitive-path" => {
                    let audit_id = &alert["kubernetes"]["audit"]["auditID"];
                    found.exec.insert(audit_id.as_str().unwrap().to_owned());
                }
                "secret-access-unusual-client" => {
                    let terms: Vec<String> =
                        serde_json::from_value(alert["kubetell"]["new_terms"].clone()).unwrap();
                    found.terms.insert(terms.try_into().unwrap());
                }
                other => panic!("no rule of ours: {other}"),
            }
        }
        found
    }

    /// What is to be found in the story where nothing was learned before.
    pub fn in_story() -> Found {
        let expected = scenario::expected();
        Found { exec: expected.exec, terms: &expected.new_terms | &expected.learned }
    }

    /// What is to be found in the story where the usual clients were learned.
    pub fn in_story_after_learning() -> Found {
        let expected = scenario::expected();
        Found { exec: expected.exec, terms: expected.new_terms }
    }
}

/// The program in an environment of its own.
pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubetell"));
    command.args(arguments).env_clear().env("HOME", "/home/kube").stdin(Stdio::null());
    command
}

/// One JSON value a line.
pub fn json_lines(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Replaces what differs from run to run, so that the rest can be compared as a text.
// The patterns are ours, so their size needs no bound.
#[allow(clippy::disallowed_methods)]
pub fn masked(text: &str) -> String {
    static PATTERNS: OnceLock<Vec<(regex::Regex, &str)>> = OnceLock::new();
    let patterns = PATTERNS.get_or_init(|| {
        [
            (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
            (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "UUID"),
            (r"\b[0-9a-f]{32}\b", "ID"),
        ]
        .map(|(pattern, name)| (regex::Regex::new(pattern).unwrap(), name))
        .into()
    });
    patterns.iter().fold(text.to_owned(), |text, (pattern, name)| {
        pattern.replace_all(&text, *name).into_owned()
    })
}

/// A finished read of a secret by a user of its own, as one bare event.
pub fn secret_event(audit_id: &str, user: &str) -> Vec<u8> {
    serde_json::json!({
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": audit_id,
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/n/secrets/s",
        "verb": "get",
        "user": { "username": user, "groups": ["system:authenticated"] },
        "sourceIPs": ["203.0.113.9"],
        "userAgent": "curl/8.5.0",
        "objectRef": { "resource": "secrets", "namespace": "n", "name": "s", "apiVersion": "v1" },
        "responseStatus": { "code": 200 },
        "requestReceivedTimestamp": "2026-03-01T08:00:00.000000Z",
        "stageTimestamp": "2026-03-01T08:00:01.000000Z"
    })
    .to_string()
    .into_bytes()
}
