use super::*;
use crate::alert::FirstSeen;
use crate::audit::event::{ObjectRef, ResponseStatus, Text, User};
use crate::limits::DAY_MS;
use crate::terms::local::{LocalFold, LocalVerdict};
use crate::terms::store::memory::MemoryStore;

fn matcher() -> Matcher {
    Matcher::new(Arc::new(RuleSet::builtin().unwrap()), 1_234)
}

fn context() -> Context<'static> {
    Context {
        cluster: "prod",
        position: Position::Kafka { topic: "audit".to_owned(), partition: 1, offset: 2, item: 3 },
        wrapper_id: Some("wrapper-id"),
        wrapper_time_ms: Some(77),
    }
}

fn examine(event: Event<'_>) -> (Vec<Detection>, ExamineStats) {
    let mut out = Vec::new();
    let stats = matcher().examine(event, context(), &mut out);
    (out, stats)
}

fn exec_event() -> Event<'static> {
    Event {
        audit_id: Some("a-1".into()),
        request_uri: Some(
            "/api/v1/namespaces/n/pods/p/exec?command=cat&command=/etc/shadow".into(),
        ),
        object_ref: Some(ObjectRef {
            resource: Some("pods".into()),
            subresource: Some("exec".into()),
            ..ObjectRef::default()
        }),
        request_received_timestamp: Some("2025-07-13T08:38:39.127266Z".into()),
        ..Event::default()
    }
}

fn secret_event() -> Event<'static> {
    Event {
        audit_id: Some("a-2".into()),
        verb: Some("list".into()),
        user: Some(User { username: Some("jane".into()), ..User::default() }),
        impersonated_user: Some(User { username: Some("admin".into()), ..User::default() }),
        source_ips: Some(vec!["10.0.0.1".into(), "10.0.0.2".into()]),
        user_agent: Some("kubectl/v1.34".into()),
        object_ref: Some(ObjectRef { resource: Some("secrets".into()), ..ObjectRef::default() }),
        ..Event::default()
    }
}

#[test]
fn an_exec_that_matches_becomes_a_finding_with_all_that_is_known() {
    let (found, stats) = examine(exec_event());
    assert_eq!(stats, ExamineStats::default());
    let [Detection::Finding(finding)] = &found[..] else { panic!("one finding: {found:?}") };
    assert_eq!(finding.rule.id, "pod-exec-sensitive-path");
    assert_eq!((finding.severity, finding.risk_score), (finding.rule.severity, 73));
    assert_eq!(finding.cluster, "prod");
    assert_eq!(finding.event, exec_event());
    assert_eq!(finding.event_id, event_id(&exec_event(), None));
    assert_eq!(finding.event_time_ms, Some(1_752_395_919_127));
    assert_eq!(finding.position, context().position);
    assert_eq!(finding.exec.argv, ["cat", "/etc/shadow"]);
    assert_eq!(finding.access_types, ["HOST_CREDENTIALS"]);
    assert_eq!(finding.matches.len(), 1);
}

#[test]
fn a_time_that_stands_for_none_gives_way_to_the_next() {
    let check = |received: &str, stage: &str, expected: Option<&str>| {
        let event = Event {
            request_received_timestamp: Some(received.to_owned().into()),
            stage_timestamp: Some(stage.to_owned().into()),
            ..exec_event()
        };
        assert_eq!(event.time(), expected.map(|time| time.parse().unwrap()), "{received}");
    };
    let (zero, some) = ("0001-01-01T00:00:00Z", "2025-07-13T08:38:39Z");
    check(zero, some, Some(some));
    check("yesterday", some, Some(some));
    check(some, zero, Some(some));
    check(zero, zero, None);
}

#[test]
fn a_run_without_a_command_is_a_finding_of_low_severity() {
    let mut event = exec_event();
    event.request_uri = Some("/api/v1/nodes/n/proxy/run/ns/p/c".into());
    event.object_ref = Some(ObjectRef {
        resource: Some("nodes".into()),
        subresource: Some("proxy".into()),
        ..ObjectRef::default()
    });
    let (found, _) = examine(event);
    let [Detection::Finding(finding)] = &found[..] else { panic!("one finding: {found:?}") };
    assert_eq!(finding.access_types, ["NODE_PROXY_RUN_UNSEEN_COMMAND"]);
    assert_eq!(finding.severity, crate::rules::format::Severity::Low);
    assert_eq!(finding.risk_score, 21);
    assert_eq!(finding.matches, []);
}

#[test]
fn a_read_of_secrets_becomes_an_observation_a_source() {
    let (found, stats) = examine(secret_event());
    assert_eq!(stats, ExamineStats::default());
    let observations: Vec<&Observation> = found
        .iter()
        .map(|detection| match detection {
            Detection::Observation(observation) => &**observation,
            other => panic!("no observation: {other:?}"),
        })
        .collect();
    assert_eq!(observations.len(), 2);
    for (observation, source) in observations.into_iter().zip(["10.0.0.1", "10.0.0.2"]) {
        assert_eq!(observation.rule.id, "secret-access-unusual-client");
        assert_eq!(observation.fields, ["source.ip", "user.name", "user_agent.original"]);
        // The authenticated user, not the impersonated one.
        assert_eq!(observation.terms, [source, "jane", "kubectl/v1.34"]);
        assert_eq!(observation.shard_key, "jane");
        assert_eq!(observation.window_ms, 7 * DAY_MS);
        assert_eq!(observation.learning_ms, 1_234);
        assert_eq!(observation.event, secret_event());
        assert_eq!(observation.event_id, event_id(&secret_event(), None));
        assert_eq!(observation.event_time_ms, Some(77));
        assert!(!observation.history);
    }
}

#[test]
fn what_gives_no_tuple_is_counted() {
    let mut no_address = secret_event();
    no_address.source_ips = Some(vec!["unknown".into()]);
    let mut no_user = secret_event();
    no_user.user = None;
    let mut many = secret_event();
    many.source_ips = Some((0..=9).map(|n| Text::from(format!("10.0.0.{n}"))).collect());
    let one = ExamineStats::default();
    for (event, found, expected) in [
        (no_address, 0, ExamineStats { source_no_address: 1, ..one }),
        (no_user, 0, ExamineStats { field_missing: 1, ..one }),
        (many, 8, ExamineStats { sources_over_limit: 2, ..one }),
    ] {
        let (detections, stats) = examine(event);
        assert_eq!((detections.len(), stats), (found, expected));
    }
}

#[test]
fn other_events_leave_nothing() {
    let mut harmless = exec_event();
    harmless.request_uri = Some("/x?command=ls".into());
    for event in [Event::default(), harmless] {
        assert_eq!(examine(event), (vec![], ExamineStats::default()));
    }
}

/// A client may send an audit id of a megabyte, which every form of an output would have to carry.
#[test]
fn an_audit_id_that_is_too_long_stands_as_its_beginning_and_its_hash() {
    let check = |length: usize, expected: &str| {
        let id = "x".repeat(length);
        let named = |event| Event { audit_id: Some(id.clone().into()), ..event };
        let (mut found, _) = examine(named(exec_event()));
        found.extend(examine(named(secret_event())).0);
        assert_eq!(found.len(), 3);
        for detection in found {
            let (event, event_id) = match detection {
                Detection::Finding(finding) => (finding.event, finding.event_id),
                Detection::Observation(observation) => (observation.event, observation.event_id),
                other => panic!("of another kind: {other:?}"),
            };
            assert_eq!(event.audit_id.as_deref(), Some(expected));
            assert_eq!(event_id.len(), 36);
        }
    };
    check(256, &"x".repeat(256));
    let digest = "8f990ba0b577b51cf009ea049368c16bbda1b21e1b93be07a824758bb253c39b";
    check(1 << 20, &format!("{}… sha256:{digest}", "x".repeat(256)));
}

/// The first of them may be a harmless failure with the id of the one that follows.
#[test]
fn a_foreign_event_with_the_same_audit_id_does_not_tell_the_outcome_of_a_new_term() {
    let stage = |received: &str, code: Option<i64>| {
        let event = Event {
            source_ips: Some(vec!["10.0.0.1".into()]),
            request_received_timestamp: Some(received.to_owned().into()),
            response_status: code
                .map(|code| ResponseStatus { code: Some(code), ..ResponseStatus::default() }),
            ..secret_event()
        };
        let mut out = Vec::new();
        Matcher::new(Arc::new(RuleSet::builtin().unwrap()), 0).examine(event, context(), &mut out);
        let [Detection::Observation(observation)] = &out[..] else { panic!("{out:?}") };
        (**observation).clone()
    };
    let store = MemoryStore::default();
    let mut fold = LocalFold::new(&store).unwrap();
    let mut observe = |observation| fold.observe(&observation, 1).unwrap();
    let (own, other) = ("2025-07-13T08:38:39.127266Z", "2025-07-13T08:38:39.127267Z");
    let first_event_id = stage(own, None).event_id;
    let alert = |is_revision| {
        let first_event_id = first_event_id.clone();
        LocalVerdict::Alert(FirstSeen { first_event_id, is_revision })
    };
    assert_eq!(observe(stage(own, None)), alert(false));
    assert_eq!(observe(stage(other, Some(404))), LocalVerdict::Nothing);
    assert_eq!(observe(stage(own, Some(200))), alert(true));
}

#[test]
fn asks_only_the_rules_in_force() {
    let rules = RuleSet::builtin().unwrap().only(&["pod-exec-sensitive-path"]).unwrap();
    let matcher = Matcher::new(Arc::new(rules), 0);
    let mut out = Vec::new();
    matcher.examine(secret_event(), context(), &mut out);
    assert_eq!(out, []);
    matcher.examine(exec_event(), context(), &mut out);
    assert_eq!(out.len(), 1);
}

/// The published sample events, where they are at hand.
mod samples {
    use super::*;
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    fn folder() -> Option<PathBuf> {
        let shared = std::env::var_os("KUBETELL_SHARED").map_or_else(
            || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"),
            PathBuf::from,
        );
        let folder = shared.join("data/apiserver");
        folder.is_dir().then_some(folder)
    }

    #[test]
    fn every_exec_of_a_real_api_server_is_decoded() {
        let Some(folder) = folder() else { return };
        let text = std::fs::read_to_string(folder.join("audit.jsonl")).unwrap();
        let mut by_stage: BTreeMap<String, usize> = BTreeMap::new();
        let (mut findings, mut observations, mut stats) = (0, 0, ExamineStats::default());
        let mut sensitive = 0;
        let mut out = Vec::new();
        for line in text.lines() {
            let event: Event<'_> = serde_json::from_str(line).unwrap();
            let uri = event.request_uri.as_deref().unwrap_or_default().to_owned();
            if let Some(exec) = exec::decode(&event) {
                assert!(!exec.argv.is_empty(), "{line}");
                assert!(exec.argv.iter().all(|argument| !argument.is_empty()), "{line}");
                let stage = event.stage.as_deref().unwrap_or_default().to_owned();
                *by_stage.entry(stage).or_default() += 1;
                let decoded = uri.replace("%2F", "/");
                if decoded.contains("/etc/shadow") || decoded.contains("/etc/passwd") {
                    sensitive += 1;
                }
            }
            out.clear();
            stats += matcher().examine(event, context(), &mut out);
            for detection in &out {
                match detection {
                    Detection::Finding(_) => findings += 1,
                    Detection::Observation(_) => observations += 1,
                    other => panic!("of another kind: {other:?}"),
                }
            }
        }
        assert_eq!(by_stage["RequestReceived"], 63);
        assert_eq!(by_stage.values().sum::<usize>(), 190);
        assert_eq!(findings, sensitive);
        assert_eq!((findings, observations), (58, 70));
        assert_eq!(stats, ExamineStats::default());
    }
}

fn with_query(query: &str) -> Matcher {
    let rule = Rule::of_query(query).unwrap();
    let own = RuleSet::of([(String::new(), rule)]).unwrap();
    Matcher::new(Arc::new(RuleSet::builtin().unwrap().merged(own).unwrap()), 0)
}

fn found_by(matcher: &Matcher, event: Event<'_>) -> Vec<&'static str> {
    let mut out = Vec::new();
    matcher.examine(event, context(), &mut out);
    let kinds = out.iter().map(|found| match found {
        Detection::Finding(finding) if finding.rule.id == "query" => "query of an exec",
        Detection::Finding(_) => "exec",
        Detection::Request(_) => "query",
        Detection::Observation(_) => "term",
        Detection::NotAsked(_) => "not asked",
        Detection::Excepted(_) | Detection::ExceptionExpired(_) => "excepted",
    });
    kinds.collect()
}

#[test]
fn a_query_raises_a_request_and_an_exec_is_told_with_its_command() {
    let matcher = with_query("event.action:list or exec.args:cat");
    assert_eq!(found_by(&matcher, secret_event()), ["term", "term", "query"]);
    assert_eq!(found_by(&matcher, exec_event()), ["exec", "query of an exec"]);
    let mut out = Vec::new();
    let matcher = with_query("exec.command:mysql*")
        .redacting(crate::alert::redact::Redaction::compile(true, &[]).unwrap());
    let uri = "/api/v1/namespaces/n/pods/p/exec?command=mysql&command=-phunter2x";
    matcher.examine(Event { request_uri: Some(uri.into()), ..exec_event() }, context(), &mut out);
    let [Detection::Finding(finding)] = &out[..] else { panic!("{out:?}") };
    assert!(finding.matches.is_empty() && finding.access_types.is_empty());
    assert_eq!(finding.exec.argv, ["mysql", "-p[redacted]"]);
    assert!(!finding.event.request_uri.as_deref().unwrap().contains("hunter2x"));
}

#[test]
fn a_query_sees_what_only_the_command_tells() {
    for (query, matches) in [
        ("exec.command:\"cat /etc/shadow\"", true),
        ("exec.args:/etc/shadow", true),
        ("exec.args:shadow", false),
        ("exec.normal_form:cat*shadow", true),
        ("exec.access_type:HOST_CREDENTIALS", true),
        ("exec.access_type:K8S_CONFIG", false),
        ("exec.interactive:false", true),
        ("exec.interactive:true", false),
        ("not exec.command:*", false),
    ] {
        let found = found_by(&with_query(query), exec_event());
        assert_eq!(found.contains(&"query of an exec"), matches, "{query}: {found:?}");
    }
    assert!(!found_by(&with_query("exec.command:*"), secret_event()).contains(&"query"));
}

#[test]
fn a_query_sees_bodies_that_the_event_points_at_and_nothing_keeps_them() {
    let body = r#"{"spec":{"containers":[{"name":"a"},{"securityContext":{"privileged":true}}],"x":"canary"}}"#;
    let raw: Box<serde_json::value::RawValue> = serde_json::from_str(body).unwrap();
    let event = Event { request_object: Some(crate::audit::event::Body(&raw)), ..secret_event() };
    let query = "kubernetes.audit.requestObject.spec.containers.securityContext.privileged:true";
    let matcher = with_query(query);
    assert_eq!(matcher.bodies(), Bodies::PointedAt);
    let mut out = Vec::new();
    matcher.examine(event, context(), &mut out);
    let Some(Detection::Request(finding)) = out.last() else { panic!("{out:?}") };
    assert_eq!(finding.event.request_object, None);
    assert!(!format!("{out:?}").contains("canary"));
    assert_eq!(with_query("event.action:list").bodies(), Bodies::Skipped);
    assert_eq!(with_query("privileged").bodies(), Bodies::PointedAt);
    assert_eq!(with_query("kubernetes.audit.request*:x").bodies(), Bodies::PointedAt);
}

#[test]
fn an_event_with_too_many_values_is_no_way_around_a_query() {
    let many = format!("{{\"a\":[{}1]}}", "1,".repeat(crate::limits::EVENT_VALUES_MAX));
    let raw: Box<serde_json::value::RawValue> = serde_json::from_str(&many).unwrap();
    let event = Event { request_object: Some(crate::audit::event::Body(&raw)), ..secret_event() };
    let found = found_by(&with_query("kubernetes.audit.requestObject.*:7"), event);
    assert!(found.contains(&"not asked"), "{found:?}");
}

const OWN: &str = r#"
id = "own"
uuid = "b7d0c6d2-5c0b-4f6e-a9a8-0a6a4c7c2f10"
name = "Own"
version = "1.0.0"
license = "Apache-2.0"
severity = "low"
risk_score = 1
description = "Own."
"#;

fn own(text: &str) -> Matcher {
    let rule = RuleSet::from_sources([("own.toml", format!("{OWN}{text}").as_str())]);
    Matcher::new(Arc::new(rule.unwrap()), 0)
}

fn all_of(matcher: &Matcher, event: Event<'_>) -> Vec<Detection> {
    let mut out = Vec::new();
    matcher.examine(event, context(), &mut out);
    out
}

#[test]
fn a_rule_with_a_query_labels_what_it_matches() {
    let labels = r#"
        labels = [{ label = "SHADOW", pattern = "shadow$" }, { label = "ETC", pattern = "^/etc/" }]
        default_label = "OTHER"
    "#;
    let of_args = own(&format!(
        "type = \"query\"\nquery = 'exec.args:*'\nlabel_field = \"exec.args\"\n{labels}"
    ));
    let labelled = |uri: &'static str| {
        let event = Event { request_uri: Some(uri.into()), ..exec_event() };
        match &all_of(&of_args, event)[..] {
            [Detection::Finding(finding)] => finding.access_types.clone(),
            other => panic!("{other:?}"),
        }
    };
    let uri = "/api/v1/namespaces/n/pods/p/exec?command=cat&command=%2Fetc%2Fshadow";
    assert_eq!(labelled(uri), ["SHADOW", "ETC"]);
    assert_eq!(labelled("/api/v1/namespaces/n/pods/p/exec?command=ls"), ["OTHER"]);

    let of_user =
        "label_field = \"user.name\"\nlabels = [{ label = \"PERSON\", pattern = \"^[^:]+$\" }]";
    let request = own(&format!("type = \"query\"\nquery = 'event.action:list'\n{of_user}"));
    let [Detection::Request(finding)] = &all_of(&request, secret_event())[..] else { panic!() };
    assert_eq!(finding.access_types, ["PERSON"]);
    let terms = own(&format!(
        "type = \"new_terms\"\nquery = 'event.action:list'\nfields = [\"user.name\"]\nwindow = \"1d\"\n{of_user}"
    ));
    let [Detection::Observation(seen)] = &all_of(&terms, secret_event())[..] else { panic!() };
    assert_eq!(seen.access_types, ["PERSON"]);
}

#[test]
fn a_suppression_is_by_cluster_rule_and_the_values_of_its_fields() {
    let by = |fields: &str| {
        own(&format!(
            "type = \"query\"\nquery = 'event.action:list'\nsuppress = {{ by = [{fields}], for = \"2h\" }}"
        ))
    };
    let of = |matcher: &Matcher, event: Event<'_>, cluster: &str| {
        let mut out = Vec::new();
        matcher.examine(event, Context { cluster, ..context() }, &mut out);
        let [Detection::Request(finding)] = &out[..] else { panic!("{out:?}") };
        assert_eq!(finding.suppression.unwrap().for_ms, 7_200_000);
        finding.suppression.unwrap().key
    };
    let user = by("\"user.name\"");
    let key = of(&user, secret_event(), "a");
    let elsewhere = Event { source_ips: None, user_agent: None, ..secret_event() };
    assert_eq!(of(&user, elsewhere.clone(), "a"), key, "only the fields count");
    assert_ne!(of(&user, secret_event(), "b"), key);
    let both = by("\"user.name\", \"user_agent.original\"");
    assert_ne!(of(&both, secret_event(), "a"), of(&both, elsewhere, "a"), "no value is one too");
    let [Detection::Request(finding)] = &all_of(&with_query_alone(), secret_event())[..] else {
        panic!()
    };
    assert_eq!(finding.suppression, None);
}

fn with_query_alone() -> Matcher {
    own("type = \"query\"\nquery = 'event.action:list'")
}

#[test]
fn labels_and_suppression_see_every_value() {
    let labels = r#"labels = [{ label = "DUMP", pattern = "^pg_dump$" }]"#;
    let matcher = own(&format!(
        "type = \"query\"\nquery = 'exec.args:*'\nlabel_field = \"exec.args\"\n{labels}"
    ));
    let many: String = (0..200).map(|n| format!("command=A{n}%3D1&")).collect();
    let uri = format!("/api/v1/namespaces/n/pods/p/exec?command=env&{many}command=pg_dump");
    let found = all_of(&matcher, Event { request_uri: Some(uri.into()), ..exec_event() });
    let [Detection::Finding(finding)] = &found[..] else { panic!("{found:?}") };
    assert_eq!(finding.access_types, ["DUMP"]);

    let by_source = own(
        "type = \"query\"\nquery = 'event.action:list'\nsuppress = { by = [\"source.ip\"], for = \"2h\" }",
    );
    let key = |peer: &str| {
        let forged = (0..200).map(|n| format!("10.0.0.{n}").into());
        let sources = forged.chain([peer.to_owned().into()]).collect();
        let event = Event { source_ips: Some(sources), ..secret_event() };
        let found = all_of(&by_source, event);
        let [Detection::Request(finding)] = &found[..] else { panic!("{found:?}") };
        finding.suppression.unwrap().key
    };
    assert_ne!(key("203.0.113.1"), key("203.0.113.2"));
    assert_eq!(key("203.0.113.1"), key("203.0.113.1"));
}

#[test]
fn what_is_graver_or_ended_otherwise_is_not_the_same() {
    let key = |matcher: &Matcher, event: Event<'_>| match &all_of(matcher, event)[..] {
        [Detection::Request(finding)] => finding.suppression.unwrap().key,
        [Detection::Finding(finding)] => finding.suppression.unwrap().key,
        other => panic!("{other:?}"),
    };
    let suppress = "suppress = { by = [\"user.name\"], for = \"2h\" }";
    let query = own(&format!("type = \"query\"\nquery = 'event.action:list'\n{suppress}"));
    let ended = |code: i64, decision: &'static str| {
        let status = crate::audit::event::ResponseStatus { code: Some(code), ..Default::default() };
        let annotations = [("authorization.k8s.io/decision".into(), decision.into())];
        Event {
            response_status: Some(status),
            annotations: Some(annotations.into()),
            ..secret_event()
        }
    };
    assert_ne!(key(&query, ended(403, "forbid")), key(&query, ended(200, "allow")));
    assert_eq!(key(&query, ended(200, "allow")), key(&query, ended(201, "allow")));

    let exec = include_str!("../rules/builtin/pod-exec-sensitive-path.toml").replacen(
        "type = \"exec\"",
        &format!("type = \"exec\"\n{suppress}"),
        1,
    );
    let exec = Matcher::new(Arc::new(RuleSet::from_sources([("r", exec.as_str())]).unwrap()), 0);
    let run = |uri: &'static str| Event { request_uri: Some(uri.into()), ..exec_event() };
    let certain =
        key(&exec, run("/api/v1/namespaces/n/pods/p/exec?command=cat&command=/etc/shadow"));
    let likely =
        key(&exec, run("/api/v1/namespaces/n/pods/p/exec?command=tar&command=c&command=/etc"));
    assert_ne!(certain, likely);
    assert_eq!(
        certain,
        key(&exec, run("/api/v1/namespaces/n/pods/p/exec?command=cat&command=/etc/sudoers"))
    );
}

proptest::proptest! {
    /// The guard before a query is asked takes nothing from it.
    #[test]
    fn what_is_known_beforehand_is_what_the_document_says(
        choices in proptest::collection::vec(0..4_usize, 10),
    ) {
        let text = |at: usize| -> Option<crate::audit::event::Text<'static>> {
            [None, Some("".into()), Some("a".into()), Some("b".into())][choices[at]].clone()
        };
        let event = Event {
            verb: text(0),
            stage: text(1),
            level: text(2),
            user_agent: text(3),
            user: (choices[4] > 0).then(|| crate::audit::event::User {
                username: text(4),
                ..Default::default()
            }),
            object_ref: (choices[5] > 0).then(|| crate::audit::event::ObjectRef {
                resource: text(5),
                subresource: text(6),
                namespace: text(7),
                name: text(8),
                api_group: text(9),
                ..Default::default()
            }),
            ..Event::default()
        };
        for (matchers, text) in GUARDED.iter().zip(["a", "b"]) {
            for (field, query, matcher) in matchers {
                let asker = Asker { rules: matcher.rules(), event: &event, command: None };
                let queries = matcher.rules().queries().unwrap();
                let guarded = !asker.matching(queries).unwrap().is_empty();
                let json = serde_json::to_vec(&event).unwrap();
                let mut scratch = crate::rules::query::Scratch::default();
                let mut none = crate::rules::query::NotDerived;
                let whole = queries.program().run(&json, &mut scratch, &mut none).unwrap();
                proptest::prop_assert_eq!(
                    guarded, !whole.queries().is_empty(), "{} {} {}", field, text, query
                );
            }
        }
    }
}

type Guarded = (String, String, Matcher);

/// Of each field that is known beforehand a rule that asks for the text, and some beside it.
static GUARDED: std::sync::LazyLock<[Vec<Guarded>; 2]> = std::sync::LazyLock::new(|| {
    let fields = [
        "verb",
        "stage",
        "level",
        "userAgent",
        "user.username",
        "objectRef.resource",
        "objectRef.subresource",
        "objectRef.namespace",
        "objectRef.name",
        "objectRef.apiGroup",
    ];
    ["a", "b"].map(|text| {
        let of = |field: &str| {
            let field = format!("kubernetes.audit.{field}");
            [
                format!("{field}:{text}"),
                format!("{field}:* and not {field}:{text}"),
                format!("{field}:{text}* and kubernetes.audit.verb:(a or b)"),
                format!("not {field}:{text} and user.name:a"),
                format!("{field}:{text} or kubernetes.audit.verb:{text}"),
            ]
            .map(|query| (field.clone(), query.clone(), with_query_only(&query)))
        };
        fields.iter().flat_map(|field| of(field)).collect()
    })
});

fn with_query_only(query: &str) -> Matcher {
    let rule = Rule::of_query(query).unwrap();
    Matcher::new(Arc::new(RuleSet::of([(String::new(), rule)]).unwrap()), 0)
}
