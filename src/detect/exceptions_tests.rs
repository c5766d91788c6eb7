use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::audit::exec;
use crate::detect::finding::Finding;
use crate::detect::matcher::{Context, Detection, ExamineStats, Matcher};
use crate::position::Position;
use crate::rules::exceptions::read_file;
use crate::rules::format::RuleInfo;
use crate::rules::set::RuleSet;
use crate::terms::observation::Observation;

const EXEC: &str = "pod-exec-sensitive-path";
const SECRET: &str = "secret-access-unusual-client";

fn rules(exceptions: &str) -> RuleSet {
    let exceptions = read_file("e.toml", exceptions).unwrap_or_else(|it| panic!("{it:#?}"));
    RuleSet::builtin().unwrap().excepting(exceptions).unwrap_or_else(|it| panic!("{it:#?}"))
}

fn event() -> Value {
    json!({
        "auditID": "a",
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/n/pods/p/exec?command=cat&command=%2Fetc%2Fshadow&container=c",
        "verb": "get",
        "user": { "username": "system:serviceaccount:vault:agent", "groups": ["g"] },
        "sourceIPs": ["10.1.2.3", "::ffff:10.0.0.7"],
        "userAgent": "kubectl/v1.34.1",
        "objectRef": {
            "resource": "pods", "namespace": "n", "name": "p", "subresource": "exec"
        },
        "responseStatus": { "code": 101 },
        "requestReceivedTimestamp": "2026-03-01T08:00:00.000000Z",
    })
}

fn with(mut event: Value, fields: Value) -> Value {
    event.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    event
}

fn secret() -> Value {
    let object = json!({ "resource": "secrets", "namespace": "n", "name": "s" });
    let uri = "/api/v1/namespaces/n/secrets/s";
    with(event(), json!({ "requestURI": uri, "objectRef": object, "userAgent": "curl/8.5.0" }))
}

/// What one exception with these keys says of an event that the exec rule matches.
fn answer(keys: &str, event: &Value) -> Option<Answer> {
    let text = format!("[[exception]]\nrule = \"{EXEC}\"\nreason = \"r\"\n{keys}");
    let rules = rules(&text);
    let json = event.to_string();
    let event: Event<'_> = serde_json::from_str(&json).unwrap();
    let exec = exec::decode(&event);
    let command = exec.as_ref().map(Command::new);
    let time_ms = event.time().map(jiff::Timestamp::as_millisecond);
    let asker = Asker { rules: &rules, event: &event, command: command.as_ref() };
    Asking::new(asker, "c1", time_ms).of_rule(EXEC)
}

#[track_caller]
fn holds(keys: &str, event: &Value) {
    assert!(matches!(answer(keys, event), Some(Answer::Holds(_))), "{keys}");
}

#[track_caller]
fn fails(keys: &str, event: &Value) {
    assert!(answer(keys, event).is_none(), "{keys}");
}

#[test]
fn every_key_looks_at_its_value() {
    for (key, yes, no) in [
        ("user", "system:serviceaccount:vault:*", "system:serviceaccount:*:other"),
        ("cluster", "c?", "c"),
        ("namespace", "n", "N"),
        ("resource", "pods/exec", "pods"),
        ("resource", "pods/*", "secrets"),
        ("name", "p", "q"),
        ("pod", "p", "q"),
        ("container", "c", "d"),
        ("command", "cat /etc/shadow", "cat /etc"),
        ("user_agent", "kubectl/v1.*", "curl"),
        ("verb", "get", "create"),
    ] {
        holds(&format!("{key} = \"{yes}\""), &event());
        holds(&format!("{key} = [\"-\", \"{yes}\"]"), &event());
        fails(&format!("{key} = \"{no}\""), &event());
    }
    holds("query = 'exec.command:cat* and user.name:system\\:*'", &event());
    fails("query = 'not exec.command:cat*'", &event());
    // All of them have to be met.
    holds("user = \"*agent\"\nnamespace = \"n\"\nquery = 'event.action:get'", &event());
    fails("user = \"*agent\"\nnamespace = \"m\"\nquery = 'event.action:get'", &event());
    fails("user = \"*agent\"\nnamespace = \"n\"\nquery = 'event.action:list'", &event());
}

#[test]
fn what_an_event_lacks_meets_no_condition() {
    let bare = json!({ "requestURI": "/api/v1/x", "sourceIPs": [] });
    for key in Key::ALL.iter().filter(|key| **key != Key::Cluster) {
        fails(&format!("{} = \"?*\"\ncluster = \"c1\"", key.as_str()), &bare);
    }
    fails("source = \"10.0.0.0/8\"", &bare);
    fails("source = \"10.0.0.0/8\"", &with(event(), json!({ "sourceIPs": null })));
}

#[test]
fn all_source_addresses_have_to_lie_within() {
    let from = |sources: &[&str]| with(event(), json!({ "sourceIPs": sources }));
    holds("source = \"10.0.0.0/8\"", &event());
    holds("source = [\"10.0.0.7\", \"10.1.0.0/16\"]", &event());
    holds("source = \"2001:db8::/32\"", &from(&["2001:DB8::1"]));
    // Whoever sends a request may write all of them but the last one.
    fails("source = \"10.0.0.0/8\"", &from(&["10.1.2.3", "203.0.113.9"]));
    fails("source = \"10.0.0.0/8\"", &from(&["203.0.113.9", "10.1.2.3"]));
    fails("source = \"10.0.0.0/8\"", &from(&["10.1.2.3", "unknown"]));
    fails("source = \"10.0.0.0/8\"", &from(&["10.1.2.3", ""]));
    fails("source = \"10.1.2.3\"", &event());
    fails("source = \"2001:db8::/32\"", &event());
}

#[test]
fn who_acts_as_somebody_else_is_another() {
    let impersonating = with(event(), json!({ "impersonatedUser": { "username": "admin" } }));
    let first = with(event(), json!({ "stage": "RequestReceived" }));
    fails("user = \"*agent\"", &impersonating);
    holds("user = \"*agent\"\nimpersonated_user = \"admin\"", &impersonating);
    fails("user = \"*agent\"\nimpersonated_user = \"root\"", &impersonating);
    fails("user = \"*agent\"\nimpersonated_user = \"admin\"", &event());
    // The first stage does not tell for whom the request is made.
    holds("user = \"*agent\"\nimpersonated_user = \"admin\"", &first);
    holds("user = \"*agent\"", &first);
    // Nobody is asked for.
    holds("namespace = \"n\"", &impersonating);
}

#[test]
fn an_exception_ends_by_the_time_of_the_event() {
    let expired = |keys: &str, event: &Value| {
        let answer = answer(keys, event);
        assert!(matches!(answer, Some(Answer::Expired(_))), "{keys}: {answer:?}");
    };
    let at = |time: &str| with(event(), json!({ "requestReceivedTimestamp": time }));
    let keys = "user = \"*agent\"\nexpires = 2026-03-01";
    holds(keys, &event());
    holds(keys, &at("2026-03-01T23:59:59.999999Z"));
    expired(keys, &at("2026-03-02T00:00:00.000000Z"));
    // One whose conditions are not met is not expired either.
    fails("user = \"other\"\nexpires = 2026-03-01", &at("2026-03-02T00:00:00Z"));
    // Nobody knows when it was.
    fails(keys, &with(event(), json!({ "requestReceivedTimestamp": null })));
    holds("user = \"*agent\"", &with(event(), json!({ "requestReceivedTimestamp": null })));
    // Of several the one that holds counts.
    let both = format!(
        "{keys}\n[[exception]]\nid = \"second\"\nrule = \"*\"\nuser = \"*agent\"\nreason = \"r\""
    );
    let answer = answer(&both, &at("2026-03-02T00:00:00.000000Z"));
    let Some(Answer::Holds(exception)) = answer else { panic!("{answer:?}") };
    assert_eq!(exception.name, "second");
}

#[test]
fn the_path_of_a_nodes_proxy_says_which_pod_is_meant() {
    let object = json!({ "resource": "nodes", "name": "w1:10250", "subresource": "proxy" });
    let uri = "/api/v1/nodes/w1:10250/proxy/exec/n/p/c?command=cat&command=/etc/shadow";
    let proxied = with(event(), json!({ "requestURI": uri, "objectRef": object }));
    holds("namespace = \"n\"\npod = \"p\"\ncontainer = \"c\"", &proxied);
    holds("name = \"w1:*\"\nresource = \"nodes/proxy\"", &proxied);
    fails("pod = \"w1*\"", &proxied);
}

fn examine(rules: RuleSet, events: &[Value]) -> Vec<Detection> {
    let matcher = Matcher::new(rules.into(), 0);
    let mut out = Vec::new();
    let mut stats = ExamineStats::default();
    for (line, event) in (1..).zip(events) {
        let json = event.to_string();
        let context = Context {
            cluster: "c1",
            position: Position::File { path: "f".to_owned(), line, item: 0 },
            wrapper_id: None,
            wrapper_time_ms: None,
        };
        stats += matcher.examine(serde_json::from_str(&json).unwrap(), context, &mut out);
    }
    out
}

const VAULT: &str = "user = \"system:serviceaccount:vault:*\"\nreason = \"r\"\nid = \"vault\"\n";

#[test]
fn an_excepted_sighting_is_history_and_an_excepted_exec_nothing() {
    let text = format!("[[exception]]\nrule = \"*\"\n{VAULT}");
    let found = examine(rules(&text), &[event(), secret()]);
    let [Detection::Excepted(exec), Detection::Excepted(secret)] = &found[..] else {
        panic!("{found:#?}")
    };
    assert_eq!((exec.rule.id.as_str(), &exec.history), (EXEC, &None));
    assert_eq!(secret.rule.id, SECRET);
    assert_eq!(secret.by.name, "vault");
    let history = secret.history.as_ref().unwrap();
    let addresses: Vec<&str> = history.iter().map(|it| it.terms[0].as_str()).collect();
    assert_eq!(addresses, ["10.1.2.3", "10.0.0.7"], "one event, one hit, a tuple an address");
    assert!(history.iter().all(|it| it.history));
}

#[test]
fn the_first_stage_of_an_excepted_request_is_no_history_yet() {
    let text = format!("[[exception]]\nrule = \"*\"\n{VAULT}");
    let first = with(secret(), json!({ "stage": "RequestReceived" }));
    let as_admin = json!({ "impersonatedUser": { "username": "admin" } });
    let found = examine(rules(&text), &[first, with(secret(), as_admin)]);
    let [Detection::Excepted(first), Detection::Observation(one), Detection::Observation(_)] =
        &found[..]
    else {
        panic!("{found:#?}")
    };
    assert_eq!(first.history, Some(vec![]));
    assert!(!one.history, "who acts as another is looked at");
}

#[test]
fn an_expired_exception_is_told_and_silences_nothing() {
    let text = format!("[[exception]]\nrule = \"*\"\n{VAULT}expires = 2026-02-01\n");
    let found = examine(rules(&text), &[event(), secret()]);
    let [
        Detection::ExceptionExpired(_),
        Detection::Finding(_),
        Detection::ExceptionExpired(_),
        Detection::Observation(_),
        Detection::Observation(_),
    ] = &found[..]
    else {
        panic!("{found:#?}")
    };
}

#[test]
fn an_exception_in_the_file_of_a_rule_is_of_that_rule() {
    let rule = "id = \"deleted\"\nuuid = \"5a3e2c60-3d0e-4c5c-9f0f-3b1d6f3f9a11\"\nname = \"n\"\n\
                version = \"1\"\nlicense = \"x\"\nseverity = \"low\"\nrisk_score = 1\n\
                description = \"d\"\ntype = \"query\"\nquery = 'event.action:(delete or get)'\n\
                [[exceptions]]\nuser = \"*\"\nquery = 'event.action:get'\nreason = \"r\"\n";
    let own = RuleSet::from_sources([("deleted.toml", rule)]).unwrap();
    let rules = RuleSet::builtin().unwrap().merged(own).unwrap();
    let found = examine(rules, &[event(), with(secret(), json!({ "verb": "delete" }))]);
    let [Detection::Finding(exec), Detection::Excepted(got), Detection::Request(deleted)] =
        &found[..]
    else {
        panic!("{found:#?}")
    };
    assert_eq!([&exec.rule.id, &got.rule.id, &deleted.rule.id], [EXEC, "deleted", "deleted"]);
}

#[test]
fn a_rule_that_is_not_there_is_told_with_the_nearest() {
    let text = "[[exception]]\nrules = [\"pod-exec-sensitiv-path\", \"zzz\"]\nuser = \"a\"\nreason = \"r\"";
    let found = read_file("e.toml", text).unwrap();
    let errors = RuleSet::builtin().unwrap().excepting(found).unwrap_err();
    let [near, far] = &errors[..] else { panic!("{errors:#?}") };
    let (near, far) = (near.to_string(), far.to_string());
    assert!(near.contains("no rule \"pod-exec-sensitiv-path\" at line 2, column 10"), "{near}");
    assert!(near.ends_with("hint: did you mean `pod-exec-sensitive-path`?"), "{near}");
    assert!(far.contains("no rule \"zzz\" at line 2, column 36"), "{far}");
    let off =
        rules("[[exception]]\nrule = \"pod-exec-interactive-shell\"\nuser = \"a\"\nreason = \"r\"");
    let warnings = off.exception_warnings(0);
    assert!(warnings[0].contains("`pod-exec-interactive-shell` is not in force"), "{warnings:?}");
}

/// What of events is told of a rule, but for the exceptions.
fn told_of(rule: &str, found: &[Detection]) -> BTreeSet<String> {
    // Exceptions are part of the set's hash.
    let same = |info: &RuleInfo| RuleInfo { ruleset: String::new(), ..info.clone() };
    let of = |found: &Detection| match found {
        Detection::Finding(it) if it.rule.id == rule => {
            Some(format!("{:?}", Finding { rule: same(&it.rule).into(), ..(**it).clone() }))
        }
        Detection::Observation(it) if it.rule.id == rule => {
            Some(format!("{:?}", Observation { rule: same(&it.rule).into(), ..(**it).clone() }))
        }
        _ => None,
    };
    found.iter().filter_map(of).collect()
}

proptest! {
    /// Whatever the exceptions of some rules say: what another rule tells is what it told without
    /// them. And of a rule that has some, nothing is told that was not told without them, and each
    /// event is told or counted.
    #[test]
    fn an_exception_never_withholds_an_alert_of_another_rule(
        users in proptest::collection::vec("[ab*?]{1,3}", 1..4),
        asked in proptest::collection::vec(("[ab]{1,2}", any::<bool>(), 0u8..4), 1..12),
        of_exec in any::<bool>(),
    ) {
        let (with_some, without) = if of_exec { (EXEC, SECRET) } else { (SECRET, EXEC) };
        let text: String = users
            .iter()
            .map(|user| format!(
                "[[exception]]\nrule = \"{with_some}\"\nuser = \"{user}\"\nnamespace = \"n\"\nreason = \"r\"\n"
            ))
            .collect();
        let events: Vec<Value> = asked
            .iter()
            .enumerate()
            .map(|(nth, (user, is_exec, stage))| {
                let stage = ["RequestReceived", "ResponseStarted", "ResponseComplete", ""][usize::from(*stage)];
                let event = if *is_exec { event() } else { secret() };
                let user = json!({ "username": user });
                with(event, json!({ "user": user, "stage": stage, "auditID": format!("{nth}") }))
            })
            .collect();
        let plain = examine(RuleSet::builtin().unwrap(), &events);
        let excepted = examine(rules(&text), &events);
        prop_assert_eq!(told_of(without, &plain), told_of(without, &excepted));
        let (all, left) = (told_of(with_some, &plain), told_of(with_some, &excepted));
        prop_assert!(left.is_subset(&all));
        let hits = excepted.iter().filter(|it| matches!(it, Detection::Excepted(_))).count();
        let tuples = if with_some == SECRET { 2 } else { 1 };
        prop_assert_eq!(left.len() + hits * tuples, all.len());
    }
}
