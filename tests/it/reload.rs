//! Rules that change while the service runs, on a real Kafka.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::kafka::broker::{self, Broker};
use crate::kafka::process::{Process, Signal};
use crate::kafka::{DEADLINE, unique};
use crate::pipeline::{Stream, produce};
use crate::support::{self, quiet_event};

/// Raises requests of this verb on secrets.
fn rule(verb: &str, severity: &str) -> String {
    format!(
        "id = \"a-rule\"\nuuid = \"6f3c27a8-31a4-4b7e-8f51-0f6d1c2b9e77\"\nname = \"A rule\"\n\
         version = \"1.0.0\"\nlicense = \"Apache-2.0\"\nseverity = \"{severity}\"\n\
         risk_score = 21\ndescription = \"Tells the verb.\"\ntype = \"query\"\n\
         query = 'kubernetes.audit.objectRef.resource:secrets and event.action:{verb}'\n"
    )
}

fn request(audit_id: &str, verb: &str) -> Vec<u8> {
    let mut event: Value = serde_json::from_slice(&quiet_event()).unwrap();
    event["auditID"] = audit_id.into();
    event["verb"] = verb.into();
    event["objectRef"] = json!({"resource": "secrets", "namespace": "n", "name": "s"});
    event.to_string().into_bytes()
}

/// The sets that came into force, as the service says it.
fn in_force(instance: &Process) -> Vec<String> {
    let lines: Vec<Value> = support::json_lines(instance.stderr().as_bytes());
    let said = lines.iter().filter(|line| line["message"] == "rules in force");
    said.map(|line| line["ruleset"].as_str().unwrap().to_owned()).collect()
}

/// Waits for the next set, and gives its hash.
fn wait_for_set(instance: &Process, number: usize) -> String {
    support::eventually(DEADLINE, "a set of rules in force", || in_force(instance).len() >= number);
    in_force(instance)[number - 1].clone()
}

fn says(instance: &Process, text: &str) -> usize {
    instance.stderr().matches(text).count()
}

/// By audit id: the hash of the set that raised it. Alerts of the built-in rules aside.
fn raised(kafka: &Broker, stream: &Stream) -> BTreeMap<String, String> {
    let alerts = stream.raised(kafka).into_iter().inspect(support::assert_valid_ecs);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    alerts
        .filter(|alert| alert["rule"]["id"] == "a-rule")
        .map(|alert| {
            (text(&alert["kubernetes"]["audit"]["auditID"]), text(&alert["rule"]["ruleset"]))
        })
        .collect()
}

fn put(folder: &Path, text: &str) {
    put_as(folder, "a-rule.toml", text);
}

fn put_as(folder: &Path, name: &str, text: &str) {
    let aside = folder.join(".next");
    fs::write(&aside, text).unwrap();
    fs::rename(aside, folder.join(name)).unwrap();
}

#[test]
fn changed_rules_come_into_force_whole_or_not_at_all() {
    let kafka = broker::shared();
    let stream = Stream::new(kafka, "reload");
    let folder = tempfile::tempdir().unwrap();
    let setting = format!("rules=[\"{}\"]", folder.path().display());
    let feed = |events: &[(&str, &str)]| {
        let events: Vec<Vec<u8>> = events.iter().map(|(id, verb)| request(id, verb)).collect();
        produce(kafka, &stream.source(), &events);
        stream.wait_until_read(kafka);
    };
    put(folder.path(), &rule("delete", "low"));
    let instance = stream.run("a", &["--set", &setting, "--set", "rules_check_every=100ms"]);
    let first = wait_for_set(&instance, 1);
    feed(&[("deleted-1", "delete"), ("patched-1", "patch")]);

    put(folder.path(), &rule("patch", "low"));
    let second = wait_for_set(&instance, 2);
    assert_ne!(first, second);
    feed(&[("deleted-2", "delete"), ("patched-2", "patch")]);

    // Nothing of a set is taken with anything wrong in it, and it is said what that is.
    let wrong = rule("get", "low").replace("event.action", "event.acton");
    put_as(folder.path(), "b.toml", &wrong);
    instance.wait_for_stderr(DEADLINE, |line| line.contains("NOT in force"));
    assert!(instance.stderr().contains("event.acton"), "{}", instance.stderr());
    put(folder.path(), &rule("delete", "low"));
    support::eventually(DEADLINE, "a second refusal", || says(&instance, "NOT in force") == 2);
    feed(&[("deleted-3", "delete"), ("patched-3", "patch")]);
    instance.signal(Signal::HUP);
    support::eventually(DEADLINE, "a third refusal", || says(&instance, "NOT in force") == 3);

    // The files are looked at again by themselves once they are better.
    fs::remove_file(folder.path().join("b.toml")).unwrap();
    assert_eq!(wait_for_set(&instance, 3), first, "the same texts are the same set");
    feed(&[("deleted-4", "delete"), ("patched-4", "patch")]);
    instance.signal(Signal::HUP);
    instance.wait_for_stderr(DEADLINE, |line| line.contains("read again: no change"));

    let finished = instance.terminate(DEADLINE);
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    let counts = finished.stderr.lines().rfind(|line| line.contains("flow so far")).unwrap();
    for counted in ["loaded", "refused", "unchanged"] {
        assert!(counts.contains(counted), "{counted}: {counts}");
    }
    let expected = [
        ("deleted-1", &first),
        ("patched-2", &second),
        ("patched-3", &second),
        ("deleted-4", &first),
    ];
    let expected = expected.map(|(id, hash)| (id.to_owned(), hash.clone()));
    assert_eq!(raised(kafka, &stream), BTreeMap::from(expected));
}

#[test]
fn a_change_under_load_loses_nothing() {
    const EVENTS: usize = 6_000;
    let kafka = broker::shared();
    let stream = Stream::new(kafka, "reload-load");
    let folder = tempfile::tempdir().unwrap();
    let setting = format!("rules=[\"{}\"]", folder.path().display());
    put(folder.path(), &rule("delete", "low"));
    let instance = stream.run("a", &["--set", &setting, "--set", "rules_check_every=0s"]);
    wait_for_set(&instance, 1);
    instance.wait_for_stderr(DEADLINE, |line| line.contains("source partitions assigned"));
    let ids: Vec<String> = (0..EVENTS).map(|_| unique("deleted")).collect();
    let feed = |ids: &[String]| {
        let events: Vec<Vec<u8>> = ids.iter().map(|id| request(id, "delete")).collect();
        produce(kafka, &stream.source(), &events);
    };
    let mut sets = 1;
    let mut change = || {
        put(folder.path(), &rule("delete", if sets % 2 == 0 { "low" } else { "high" }));
        instance.signal(Signal::HUP);
        sets += 1;
        wait_for_set(&instance, sets);
        sets
    };
    // However fast the rest is, the first ones are raised by the first set, the last ones by the other.
    let mut chunks: Vec<&[String]> = ids.chunks(500).collect();
    feed(chunks.remove(0));
    stream.wait_until_read(kafka);
    let last = chunks.pop().unwrap();
    std::thread::scope(|scope| {
        let feeder = scope.spawn(|| chunks.iter().for_each(|ids| feed(ids)));
        while change() % 2 == 1 || !feeder.is_finished() {}
    });
    feed(last);
    stream.wait_until_read(kafka);
    let finished = instance.terminate(DEADLINE);
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    let raised = raised(kafka, &stream);
    assert!(raised.keys().eq(ids.iter().collect::<BTreeSet<_>>()), "{} raised", raised.len());
    assert_eq!(raised.values().collect::<BTreeSet<_>>().len(), 2, "both sets raised some");
}

/// A new-terms rule over deletions of secrets.
fn terms_rule(fields: &str) -> String {
    let query = "query = 'kubernetes.audit.objectRef.resource:secrets and event.action:delete'";
    let rule = rule("delete", "low").replace("type = \"query\"", "type = \"new_terms\"");
    assert!(rule.contains(query));
    format!("{rule}fields = [{fields}]\nwindow = \"7d\"\n")
}

#[test]
fn other_fields_of_a_rule_are_a_version_that_learns_for_itself() {
    let kafka = broker::shared();
    let stream = Stream::new(kafka, "reload-terms");
    let folder = tempfile::tempdir().unwrap();
    let setting = format!("rules=[\"{}\"]", folder.path().display());
    let settings = ["--set", &setting, "--set", "rules_check_every=100ms"];
    let feed = |id: &str| {
        produce(kafka, &stream.source(), &[request(id, "delete")]);
        stream.wait_until_read(kafka);
    };
    // Without learning the first version raises what it sees first.
    put(folder.path(), &terms_rule("\"user.name\""));
    let instance = stream.run("a", &settings);
    wait_for_set(&instance, 1);
    feed("first-of-the-user");
    feed("known-user");
    let finished = instance.terminate(DEADLINE);
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);

    // The second learns from its own start, whatever the first knows.
    let learning = [&settings[..], &["--set", "new_terms.learning=1h"]].concat();
    let instance = stream.run("a", &learning);
    wait_for_set(&instance, 1);
    put(folder.path(), &terms_rule("\"user.name\", \"event.action\""));
    wait_for_set(&instance, 2);
    feed("learned-by-the-second-version");
    let finished = instance.terminate(DEADLINE);
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    assert!(finished.stderr.contains("\"learned\":1"), "{}", finished.stderr);

    let raised = raised(kafka, &stream);
    assert_eq!(raised.keys().collect::<Vec<_>>(), ["first-of-the-user"]);
    let shown = stream.command_of(&["state", "show", "--format", "json"], "a", &learning).output();
    let shown: Value = serde_json::from_slice(&shown.unwrap().stdout).unwrap();
    let versions = shown["rules"].as_array().unwrap().iter().filter(|it| it["rule"] == "a-rule");
    let versions: Vec<(bool, u64)> = versions
        .map(|it| (it["in_force"].as_bool().unwrap(), it["terms"].as_u64().unwrap()))
        .collect();
    assert_eq!(versions.len(), 2, "{shown}");
    assert!(versions.contains(&(true, 1)) && versions.contains(&(false, 1)), "{shown}");
}
