//! Rules from files: what is said about them, and what they raise, over files and on a real Kafka.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

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
    produce(kafka, &stream.source(), &events());
    let instance = stream.run("a", &["--set", &folder]);
    stream.wait_until_read(kafka);
    let finished = instance.terminate(DEADLINE);
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    let records = kafka.consume_all(&stream.alerts());
    let alerts: Vec<Value> = records
        .iter()
        .map(|record| serde_json::from_slice(record.value.as_deref().unwrap()).unwrap())
        .collect();
    assert_eq!(raised(&alerts), expected());
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
