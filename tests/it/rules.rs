//! Rules from files: what is said about them, and what they raise, over files and on a real Kafka.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::kafka::client::Record;
use crate::kafka::{DEADLINE, broker};
use crate::pipeline::{Stream, produce};
use crate::support::{self, exec_event, json_lines, program, quiet_event};

/// The folder of the fixtures.
fn rules(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rules").join(name);
    folder.to_str().unwrap().to_owned()
}

fn ran(arguments: &[&str]) -> (i32, Vec<u8>, String) {
    let output = program(arguments).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), output.stdout, stderr)
}

/// A request that is no exec.
fn request(audit_id: &str, fields: Value) -> Vec<u8> {
    let mut event: Value = serde_json::from_slice(&quiet_event()).unwrap();
    event["auditID"] = audit_id.into();
    let object = event.as_object_mut().unwrap();
    object.extend(fields.as_object().unwrap().clone());
    event.to_string().into_bytes()
}

fn events() -> Vec<Vec<u8>> {
    let secrets = json!({"resource": "secrets", "namespace": "n", "name": "s"});
    let pods = json!({"resource": "pods", "namespace": "n", "name": "p"});
    let body = |privileged: bool| {
        json!({"kind": "Pod", "spec": {"containers": [
            {"name": "a", "env": [{"name": "TOKEN", "value": "canary-of-the-body"}]},
            {"name": "b", "securityContext": {"privileged": privileged}},
        ]}})
    };
    vec![
        request("deleted", json!({"verb": "delete", "objectRef": secrets})),
        request("patched", json!({"verb": "patch", "objectRef": secrets})),
        request(
            "deleted-by-a-controller",
            json!({"verb": "delete", "objectRef": secrets, "user": {"username": "system:apiserver"}}),
        ),
        request(
            "privileged",
            json!({"verb": "create", "objectRef": pods, "requestObject": body(true)}),
        ),
        request(
            "unprivileged",
            json!({"verb": "create", "objectRef": pods, "requestObject": body(false)}),
        ),
        request(
            "anonymous",
            json!({
                "verb": "get",
                "user": {"username": "system:anonymous"},
                "annotations": {"authorization.k8s.io/decision": "allow"},
            }),
        ),
        request(
            "anonymous-probe",
            json!({
                "verb": "get",
                "requestURI": "/healthz",
                "user": {"username": "system:anonymous"},
                "annotations": {"authorization.k8s.io/decision": "allow"},
            }),
        ),
        exec_event("exec"),
        binding("first-binding", "jane", "shop"),
        binding("second-binding", "jane", "shop"),
        binding("elsewhere", "jane", "bank"),
        binding("by-another", "joe", "shop"),
        binding("by-a-controller", "system:serviceaccount:n:c", "shop"),
        pod_of("one-group", &["devs"]),
        pod_of("a-second-group", &["devs", "admins"]),
        pod_of("again", &["admins", "devs"]),
    ]
}

fn binding(audit_id: &str, user: &str, namespace: &str) -> Vec<u8> {
    let object = json!({"resource": "rolebindings", "namespace": namespace, "name": audit_id});
    request(audit_id, json!({"verb": "create", "objectRef": object, "user": {"username": user}}))
}

fn pod_of(audit_id: &str, groups: &[&str]) -> Vec<u8> {
    let object = json!({"resource": "pods", "namespace": "n", "name": audit_id});
    let user = json!({"username": "jane", "groups": groups});
    request(audit_id, json!({"verb": "create", "objectRef": object, "user": user}))
}

/// Rule and audit id of each alert.
fn raised<'a>(alerts: impl IntoIterator<Item = &'a Value>) -> BTreeSet<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let alerts = alerts.into_iter().inspect(|alert| {
        support::assert_valid_ecs(alert);
        assert!(!alert.to_string().contains("canary"), "a body left: {alert}");
    });
    alerts
        .map(|alert| (text(&alert["rule"]["id"]), text(&alert["kubernetes"]["audit"]["auditID"])))
        .collect()
}

fn expected() -> BTreeSet<(String, String)> {
    let pairs = [
        ("secret-deleted", "deleted"),
        ("privileged-pod", "privileged"),
        ("anonymous-request-was-allowed", "anonymous"),
        ("pod-exec-sensitive-path", "exec"),
        ("role-bound-by-a-new-hand", "first-binding"),
        ("role-bound-by-a-new-hand", "elsewhere"),
        ("role-bound-by-a-new-hand", "by-another"),
        ("user-with-a-new-group", "privileged"),
        ("user-with-a-new-group", "one-group"),
        ("user-with-a-new-group", "a-second-group"),
    ];
    pairs.map(|(rule, id)| (rule.to_owned(), id.to_owned())).into()
}

#[test]
fn scan_raises_what_the_rules_of_a_folder_ask_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    fs::write(&path, events().join(&b'\n')).unwrap();
    let path = path.to_str().unwrap();
    let (code, stdout, stderr) = ran(&["scan", path, "--rules", &rules(""), "--format", "ecs"]);
    assert_eq!(code, 1, "{stderr}");
    assert_eq!(raised(&json_lines(&stdout)), expected());
    assert!(stderr.contains("another-language.toml`: left out: "), "{stderr}");

    let only =
        ["scan", path, "--rules", &rules(""), "--only", "secret-deleted", "--format", "text"];
    let (code, stdout, _) = ran(&only);
    assert_eq!(code, 1);
    let text = String::from_utf8(stdout).unwrap();
    assert!(text.contains("A secret was deleted by a person"), "{text}");
}

#[test]
fn on_kafka_the_rules_of_a_folder_raise_the_same_alerts() {
    let kafka = broker::shared();
    let stream = Stream::new(kafka, "rules");
    let folder = format!("rules=[\"{}\"]", rules(""));
    // Which event of a term comes first is decided by arrival: they arrive as they are listed, and
    // one worker sends on what it made of them.
    let in_order: Vec<Record> =
        events().into_iter().map(|event| Record::value(event).partition(0)).collect();
    kafka.produce(&stream.source(), &in_order);
    let instance = stream.run("a", &["--set", &folder, "--set", "detect.workers=1"]);
    stream.wait_until_read(kafka);
    let finished = instance.terminate(DEADLINE);
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    assert_eq!(raised(&stream.raised(kafka)), expected());
    assert!(kafka.consume_all(&stream.dead_letters()).is_empty());
}

#[test]
fn a_bad_rule_keeps_run_from_starting_and_is_told_with_all_the_others() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.toml"), "id = 1").unwrap();
    let own = fs::read_to_string(Path::new(&rules("own")).join("secret-deleted.toml")).unwrap();
    fs::write(dir.path().join("b.toml"), own.replace("user.name", "user.nmae")).unwrap();
    fs::write(dir.path().join("c.txt"), "no rule").unwrap();
    let setting = format!("rules=[\"{}\"]", dir.path().display());
    let (code, _, stderr) = ran(&["run", "--set", &setting]);
    assert_eq!(code, 78, "{stderr}");
    for says in ["a.toml", "line 1, column 6", "b.toml", "line 13, column 11", "`user.name`"] {
        assert!(stderr.contains(says), "{says}: {stderr}");
    }
    assert!(!stderr.contains("c.txt"), "{stderr}");
}

#[test]
fn check_tells_what_is_in_each_file_and_all_that_is_wrong() {
    let (code, stdout, stderr) = ran(&["rules", "check", &rules("")]);
    assert_eq!(code, 0, "{stderr}");
    let stdout = String::from_utf8(stdout).unwrap();
    let says = |name: &str| {
        let line = stdout.lines().find(|line| line.contains(name)).unwrap();
        line.split_once(": ").unwrap().1.to_owned()
    };
    assert_eq!(says("secret-deleted.toml"), "query rule `secret-deleted`");
    assert_eq!(says("anonymous-access.toml"), "query rule `anonymous-request-was-allowed`");
    assert_eq!(says("new-group-of-a-user.toml"), "new-terms rule `user-with-a-new-group`");
    assert_eq!(says("another-language.toml"), "unsupported");
    assert!(stderr.contains("warning: ") && stderr.contains("`esql`"), "{stderr}");

    let (code, stdout, _) = ran(&["rules", "check", "--strict", "--format", "json", &rules("")]);
    assert_eq!(code, 78);
    let checked: Value = serde_json::from_slice(&stdout).unwrap();
    let verdicts: Vec<&str> =
        checked.as_array().unwrap().iter().map(|file| file["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["ok", "ok", "ok", "ok", "ok", "unsupported", "ok"]);

    // Two files with one rule.
    let own = rules("own");
    let (code, _, stderr) = ran(&["rules", "check", &own, &own]);
    assert_eq!(code, 78);
    assert!(stderr.contains("another rule with the id"), "{stderr}");
    let (code, _, stderr) = ran(&["rules", "check", "/nowhere"]);
    assert_eq!(code, 78);
    assert!(stderr.contains("`/nowhere` cannot be read"), "{stderr}");
}

#[test]
fn list_and_show_know_the_rules_of_files() {
    let (code, stdout, stderr) = ran(&["rules", "list", "--rules", &rules("own")]);
    assert_eq!(code, 0, "{stderr}");
    let text = String::from_utf8(stdout).unwrap();
    assert!(text.lines().any(|line| line.starts_with("secret-deleted ")), "{text}");
    let (code, stdout, _) = ran(&["rules", "show", "--rules", &rules("own"), "secret-deleted"]);
    assert_eq!(code, 0);
    assert!(String::from_utf8(stdout).unwrap().contains("A secret was deleted by a person"));
    let bound = ["rules", "show", "--rules", &rules("own"), "role-bound-by-a-new-hand"];
    let (code, stdout, _) = ran(&bound);
    assert_eq!(code, 0);
    let text = String::from_utf8(stdout).unwrap();
    assert!(text.contains("within 30d") && text.contains("  user.name\n"), "{text}");
    assert!(text.contains("event.action:create"), "{text}");
}

#[test]
fn a_query_is_tried_over_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    fs::write(&path, events().join(&b'\n')).unwrap();
    let path = path.to_str().unwrap();
    let matched = |query: &str| {
        let (code, stdout, stderr) = ran(&["rules", "try", query, path, "--format", "ecs"]);
        let found: BTreeSet<String> =
            raised(&json_lines(&stdout)).into_iter().map(|(_, id)| id).collect();
        assert_eq!(code, i32::from(!found.is_empty()), "{stderr}");
        found.into_iter().collect::<Vec<_>>().join(" ")
    };
    for (query, ids) in [
        ("event.action:(delete or patch)", "deleted deleted-by-a-controller patched"),
        ("event.action:delete and not user.name:system*", "deleted"),
        (
            "kubernetes.audit.requestObject.spec.containers.env.name:TOKEN",
            "privileged unprivileged",
        ),
        ("exec.access_type:HOST_CREDENTIALS", "exec"),
        ("event.outcome:success and user.name:\"system:anonymous\"", "anonymous anonymous-probe"),
        ("user.name:nobody", ""),
    ] {
        assert_eq!(matched(query), ids, "{query}");
    }
}

/// Raises deletions of secrets, one an hour for each user.
const SUPPRESSED: &str = r#"
id = "a-rule"
uuid = "6f3c27a8-31a4-4b7e-8f51-0f6d1c2b9e77"
name = "A rule"
version = "1.0.0"
license = "Apache-2.0"
severity = "low"
risk_score = 21
description = "Tells who deletes secrets."
type = "query"
query = 'kubernetes.audit.objectRef.resource:secrets and event.action:delete'
label_field = "kubernetes.audit.objectRef.namespace"
labels = [{ label = "PRODUCTION", pattern = "^prod-" }]
default_label = "ELSEWHERE"
suppress = { by = ["user.name"], for = "1h" }
"#;

fn deletion(audit_id: &str, user: &str, namespace: &str, minute: i32) -> Vec<u8> {
    let time = format!("2026-11-01T{:02}:{:02}:00.000000Z", 10 + minute / 60, minute % 60);
    request(
        audit_id,
        json!({
            "verb": "delete",
            "objectRef": {"resource": "secrets", "namespace": namespace, "name": "s"},
            "user": {"username": user},
            "requestReceivedTimestamp": time,
            "stageTimestamp": time,
        }),
    )
}

fn deletions() -> Vec<Vec<u8>> {
    vec![
        deletion("first-of-ann", "ann", "prod-1", 0),
        deletion("withheld-59-minutes-later", "ann", "prod-2", 59),
        deletion("first-of-bob", "bob", "dev", 1),
        deletion("second-of-ann", "ann", "dev", 60),
        deletion("withheld-of-bob", "bob", "prod-1", 20),
        deletion("first-of-ann", "ann", "prod-1", 0),
    ]
}

/// Audit ids with their labels.
fn labels(alerts: &[Value]) -> BTreeSet<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let own = alerts.iter().filter(|alert| alert["rule"]["id"] == "a-rule");
    own.map(|alert| {
        support::assert_valid_ecs(alert);
        let id = &alert["kubernetes"]["audit"]["auditID"];
        (text(id), text(&alert["kubetell"]["access_type"]))
    })
    .collect()
}

fn expected_labels() -> BTreeSet<(String, String)> {
    [("first-of-ann", "PRODUCTION"), ("first-of-bob", "ELSEWHERE"), ("second-of-ann", "ELSEWHERE")]
        .map(|(id, label)| (id.to_owned(), label.to_owned()))
        .into()
}

#[test]
fn scan_labels_alerts_and_withholds_those_that_are_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (rule, log) = (dir.path().join("a.toml"), dir.path().join("audit.log"));
    fs::write(&rule, SUPPRESSED).unwrap();
    fs::write(&log, deletions().join(&b'\n')).unwrap();
    let arguments = ["scan", "--rules", rule.to_str().unwrap(), "--stats", log.to_str().unwrap()];
    let (code, stdout, stderr) = ran(&arguments);
    assert_eq!(code, 1);
    assert_eq!(labels(&json_lines(&stdout)), expected_labels());
    let stats: Value = serde_json::from_str(stderr.lines().last().unwrap()).unwrap();
    assert_eq!(stats["suppressed"], json!({"a-rule": 2}), "{stderr}");

    let (code, stdout, _) = ran(&["rules", "show", "a-rule", "--rules", rule.to_str().unwrap()]);
    assert_eq!(code, 0);
    let text = String::from_utf8(stdout).unwrap();
    for says in [
        "Labels over kubernetes.audit.objectRef.namespace",
        "PRODUCTION  ^prod-",
        "within 1h for the same user.name",
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
}

#[test]
fn on_kafka_alerts_are_labelled_and_the_same_ones_withheld() {
    let kafka = broker::shared();
    let stream = Stream::new(kafka, "suppress");
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.toml"), SUPPRESSED).unwrap();
    let setting = format!("rules=[\"{}\"]", dir.path().display());
    // One at a time: which of two comes first in other partitions is nobody's to say.
    let instance = stream.run("a", &["--set", &setting]);
    for event in deletions() {
        produce(kafka, &stream.source(), &[event]);
        stream.wait_until_read(kafka);
    }
    let finished = instance.terminate(DEADLINE);
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    assert_eq!(labels(&stream.raised(kafka)), expected_labels());
    let counts = finished.stderr.lines().rfind(|line| line.contains("flow so far")).unwrap();
    assert!(counts.contains(r#"\"a-rule\": 2"#) && counts.contains("suppressed"), "{counts}");
}

#[test]
fn a_rule_that_spares_no_record_its_parsing_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let query = |text: &str| {
        let from = "kubernetes.audit.objectRef.resource:secrets and event.action:delete";
        assert!(SUPPRESSED.contains(from));
        SUPPRESSED.replace(from, text)
    };
    let path = dir.path().join("a.toml");
    let checked = |text: &str| {
        fs::write(&path, query(text)).unwrap();
        let (code, _, stderr) = ran(&["rules", "check", path.to_str().unwrap()]);
        assert_eq!(code, 0, "{stderr}");
        stderr
    };
    let stderr = checked("not user.name:ann");
    assert!(stderr.contains("every record is parsed and asked"), "{stderr}");
    assert_eq!(checked("user.name:ann"), "");
}
