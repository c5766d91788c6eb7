//! Alerts as SIEMs get them: snapshots, the schema, ECS's field list, hostile input.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::audit::event::{Event, Text, User};

fn origin() -> Origin {
    fixtures::origin()
}

/// One alert of each kind.
fn alerts() -> Vec<(&'static str, Alert)> {
    let first = fixtures::secret_read("RequestReceived");
    let last = fixtures::secret_read("ResponseComplete");
    vec![
        ("exec_shell_impersonated", from_finding(&fixtures::shell_exec(), &origin())),
        ("exec_nodes_proxy_run", from_finding(&fixtures::nodes_proxy_run(), &origin())),
        ("exec_denied", from_finding(&fixtures::denied_exec(), &origin())),
        ("exec_gke", from_finding(&fixtures::gke_exec(), &origin())),
        ("new_terms_first", from_observation(&first, &fixtures::first_seen(false), &origin())),
        ("new_terms_revision", from_observation(&last, &fixtures::first_seen(true), &origin())),
    ]
}

fn value(alert: &Alert) -> Value {
    serde_json::from_slice(&alert.to_json().unwrap()).unwrap()
}

#[test]
fn alerts_read_as_before() {
    for (name, alert) in alerts() {
        // Not through `Value`, which would sort the keys.
        insta::assert_snapshot!(name, serde_json::to_string_pretty(&alert.document).unwrap());
    }
}

#[test]
fn alerts_are_valid_one_line_and_can_be_read_back() {
    for (name, alert) in alerts() {
        let json = alert.to_json().unwrap();
        schema::assert_valid(&json);
        assert!(!json.contains(&b'\n'), "{name}");
        let back: ecs::Document = serde_json::from_slice(&json).unwrap();
        assert_eq!(back, alert.document, "{name}");
    }
}

#[test]
fn a_replay_changes_only_who_decided_and_when() {
    let later = Origin {
        instance: "kubetell-1".to_owned(),
        created_ms: origin().created_ms + 3_600_000,
        latency_ms: None,
    };
    let strip = |alert: &Alert| {
        let mut value = value(alert);
        for field in ["created", "ingested"] {
            value["event"].as_object_mut().unwrap().remove(field).unwrap();
        }
        let ours = value["kubetell"].as_object_mut().unwrap();
        ours.remove("instance").unwrap();
        ours.remove("detection_latency_ms");
        value
    };
    let finding = fixtures::shell_exec();
    let (one, two) = (from_finding(&finding, &origin()), from_finding(&finding, &later));
    assert_eq!(strip(&one), strip(&two));
    assert_eq!(one.to_json().unwrap(), from_finding(&finding, &origin()).to_json().unwrap());

    let (seen, read) = (fixtures::first_seen(false), fixtures::secret_read("ResponseStarted"));
    let one = from_observation(&read, &seen, &origin());
    let two = from_observation(&read, &seen, &later);
    assert_eq!(strip(&one), strip(&two));
}

#[test]
fn a_revision_keeps_the_id_and_raises_the_revision() {
    let alerts: BTreeMap<_, _> = alerts().into_iter().collect();
    let (first, revision) = (&alerts["new_terms_first"], &alerts["new_terms_revision"]);
    assert_eq!(first.id, revision.id);
    assert_eq!((first.revision, first.outcome_known), (1, false));
    assert_eq!((revision.revision, revision.outcome_known), (3, true));

    // Also where a wrapper dropped the stage.
    let read = fixtures::secret_read("");
    let revision = from_observation(&read, &fixtures::first_seen(true), &origin());
    assert_eq!(revision.revision, 2);

    let started = from_finding(&fixtures::shell_exec(), &origin());
    let mut finding = fixtures::shell_exec();
    finding.event.stage = Some("ResponseComplete".into());
    let complete = from_finding(&finding, &origin());
    assert_eq!(started.id, complete.id);
    assert!(started.revision < complete.revision);
}

#[test]
fn key_and_headers_identify_the_alert() {
    let alert = from_finding(&fixtures::nodes_proxy_run(), &origin());
    assert_eq!(alert.key(), alert.id);
    let want = [
        ("alert-id", alert.id.as_str()),
        ("rule-id", "pod-exec-sensitive-path"),
        ("severity", "low"),
        ("revision", "3"),
        ("schema", "kubetell.alert.ecs"),
        ("schema-version", "1.1"),
        ("content-type", "application/json"),
    ];
    assert_eq!(alert.headers(), want.map(|(name, value)| (name, value.to_owned())));
    assert_eq!(value(&alert)["event"]["id"], alert.id.as_str());
}

#[test]
fn the_event_type_says_what_was_allowed_and_done() {
    let check = |verb: &str, status: &'static str, want: &[&str]| {
        let mut read = fixtures::secret_read("ResponseComplete");
        read.event.verb = Some(verb.to_owned().into());
        read.event.response_status = serde_json::from_str(status).unwrap();
        let alert = from_observation(&read, &fixtures::first_seen(false), &origin());
        assert_eq!(alert.document.event.types, want, "{verb} {status}");
        schema::assert_valid(&alert.to_json().unwrap());
    };
    check("get", r#"{"code":200}"#, &["access", "allowed"]);
    check("list", r#"{"code":403}"#, &["denied"]);
    check("get", r#"{"code":401}"#, &["denied"]);
    check("get", r#"{"code":404}"#, &["info"]);
    check("get", "null", &["info"]);
    check("create", r#"{"code":201}"#, &["allowed", "creation"]);
    check("patch", r#"{"code":200}"#, &["allowed", "change"]);
    check("deletecollection", r#"{"code":200}"#, &["allowed", "deletion"]);
    check("proxy", r#"{"code":200}"#, &["allowed"]);
}

#[test]
fn an_empty_event_makes_a_valid_alert() {
    let mut finding = fixtures::shell_exec();
    finding.event = Event {
        source_ips: Some(vec!["".into(), "unknown".into()]),
        user: Some(User { username: Some("".into()), ..User::default() }),
        impersonated_user: Some(User::default()),
        ..Event::default()
    };
    finding.event_time_ms = None;
    finding.cluster.clear();
    finding.matches.clear();
    finding.access_types.clear();
    finding.exec.argv = vec![String::new()];
    finding.exec.text.clear();
    finding.exec.container = None;
    finding.exec.namespace = Some(String::new());
    finding.exec.pod = None;
    let alert = from_finding(&finding, &origin());
    let value = value(&alert);
    schema::assert_valid(&alert.to_json().unwrap());
    assert_eq!(value["@timestamp"], value["event"]["created"]);
    assert_eq!(value["process"]["args"], serde_json::json!([""]));
    for absent in ["user", "source", "user_agent", "related", "container"] {
        assert_eq!(value.get(absent), None, "{absent}");
    }
    // What the event said stays there.
    assert_eq!(value["kubernetes"]["audit"]["user"]["username"], "");
    assert_eq!(value["kubernetes"]["audit"]["sourceIPs"][1], "unknown");
}

#[test]
fn a_time_that_no_event_can_have_is_not_shown_as_its_time() {
    for (event_time_ms, want) in [
        // Go's zero time.
        (Some(-62_135_596_800_000), "2026-03-04T13:20:00.042Z"),
        (Some(i64::MAX), "2026-03-04T13:20:00.042Z"),
        (None, "2026-03-04T13:20:00.042Z"),
        (Some(0), "1970-01-01T00:00:00.000Z"),
        (Some(253_402_207_199_999), "9999-12-30T21:59:59.999Z"),
    ] {
        let mut finding = fixtures::shell_exec();
        finding.event_time_ms = event_time_ms;
        let alert = from_finding(&finding, &origin());
        assert_eq!(alert.document.timestamp, want, "{event_time_ms:?}");
        schema::assert_valid(&alert.to_json().unwrap());
    }
}

#[test]
fn keys_that_an_index_refuses_are_renamed() {
    let check = |extra: &str, want: &str| {
        let mut finding = fixtures::shell_exec();
        let user = finding.event.impersonated_user.as_mut().unwrap();
        user.extra = serde_json::from_str(extra).unwrap();
        let value = value(&from_finding(&finding, &origin()));
        let got = &value["kubernetes"]["audit"]["impersonatedUser"]["extra"];
        assert_eq!(*got, serde_json::from_str::<Value>(want).unwrap(), "{extra}");
    };
    check(
        r#"{"authentication.kubernetes.io/pod-name":["web"]}"#,
        r#"{"authentication.kubernetes.io/pod-name":["web"]}"#,
    );
    check(
        r#"{"":["a"],".":["b"],"a..b":["c"],".c":["d"],"d.":["e"]}"#,
        r#"{"_":["a"],"a__b":["c"],"_c":["d"],"d_":["e"]}"#,
    );
    // A value and an object at once.
    check(r#"{"a":["1"],"a.b":["2"],"a.b.c":["3"]}"#, r#"{"a":["1"],"a_b":["2"],"a_b_c":["3"]}"#);
    // An object in an object, deeper than an index allows.
    check(r#"{"a.b.c.d.e.f.g.h.i.j.k.l":["1"]}"#, r#"{"a.b.c.d.e.f.g.h.i.j.k.l":["1"]}"#);
    check(r#"{"a.b.c.d.e.f.g.h.i.j.k.l.m":["1"]}"#, r#"{"a_b_c_d_e_f_g_h_i_j_k_l_m":["1"]}"#);
    check(r#"{"a":[{"b\u0000":{" ":1}}]}"#, r#"{"a":[{"b_":{"_":1}}]}"#);
}

#[test]
fn annotation_keys_lose_their_dots_and_the_real_key_wins() {
    let mut finding = fixtures::denied_exec();
    let annotations = finding.event.annotations.as_mut().unwrap();
    annotations.insert("authorization_k8s_io/decision".into(), "allow".into());
    let value = value(&from_finding(&finding, &origin()));
    let annotations = &value["kubernetes"]["audit"]["annotations"];
    assert_eq!(annotations["authorization_k8s_io/decision"], "forbid");
    assert_eq!(annotations["authorization_k8s_io/reason"], "no RBAC policy matched");
    assert_eq!(annotations.as_object().unwrap().len(), 2);
}

#[test]
fn a_rule_of_ones_own_with_odd_fields_makes_valid_alerts() {
    let mut rule = (*fixtures::secret_rule()).clone();
    rule.uuid.clear();
    rule.license.clear();
    rule.references.clear();
    rule.risk_score = 255;
    rule.threat[0].techniques[0].id = "see our wiki".to_owned();
    rule.threat[0].techniques[0].subtechniques[0].name.clear();
    let mut observation = fixtures::secret_read("ResponseComplete");
    observation.rule = Arc::new(rule.clone());
    let alert = from_observation(&observation, &fixtures::first_seen(false), &origin());
    schema::assert_valid(&alert.to_json().unwrap());
    let technique = alert.document.threat.unwrap().technique.unwrap();
    assert_eq!(technique.names.id, ["see our wiki"]);
    assert!(technique.names.reference.is_empty());
    assert_eq!(technique.subtechnique.unwrap().id, ["T1552.007"]);

    rule.threat.clear();
    observation.rule = Arc::new(rule);
    let alert = from_observation(&observation, &fixtures::first_seen(false), &origin());
    schema::assert_valid(&alert.to_json().unwrap());
    assert_eq!(alert.document.threat, None);
}

/// ECS's type of each field and whether a list is expected.
fn ecs_fields() -> BTreeMap<&'static str, (&'static str, bool)> {
    include_str!("../../schemas/ecs-fields.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            let [field, kind, count] = columns[..] else { panic!("three columns: {line}") };
            (field, (kind, count == "many"))
        })
        .collect()
}

fn is_of_type(value: &Value, kind: &str) -> bool {
    match kind {
        "keyword" | "wildcard" | "match_only_text" => value.is_string(),
        "date" => value.as_str().is_some_and(|t| t.parse::<jiff::Timestamp>().is_ok()),
        "ip" => value.as_str().is_some_and(|t| t.parse::<IpAddr>().is_ok()),
        "long" => value.is_i64(),
        "float" => value.is_number(),
        "boolean" => value.is_boolean(),
        other => panic!("unknown type {other}"),
    }
}

/// The paths and values of the fields that ECS defines.
fn ecs_leaves(prefix: &str, value: &Value, out: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let own = prefix.is_empty() && ["kubetell", "kubernetes"].contains(&key.as_str());
                if !own {
                    let dot = if prefix.is_empty() { "" } else { "." };
                    ecs_leaves(&format!("{prefix}{dot}{key}"), value, out);
                }
            }
        }
        leaf => out.push((prefix.to_owned(), leaf.clone())),
    }
}

#[test]
fn every_field_is_one_of_ecs_with_its_type_and_every_listed_one_occurs() {
    let fields = ecs_fields();
    let mut seen = BTreeSet::new();
    for (name, alert) in alerts() {
        let mut leaves = Vec::new();
        ecs_leaves("", &value(&alert), &mut leaves);
        for (path, value) in leaves {
            let Some((kind, many)) = fields.get(path.as_str()) else {
                panic!("{name}: {path} is not in schemas/ecs-fields.txt");
            };
            match value.as_array() {
                Some(items) => {
                    assert!(*many, "{name}: {path} is a list");
                    assert!(items.iter().all(|item| is_of_type(item, kind)), "{name}: {path}");
                }
                None => {
                    assert!(!many && is_of_type(&value, kind), "{name}: {path} = {value}");
                }
            }
            seen.insert(path);
        }
    }
    // `user.effective.id` needs an API server that sends it; see the hostile alerts below.
    let unseen: Vec<_> = fields.keys().filter(|field| !seen.contains(**field)).collect();
    assert_eq!(unseen, [&"user.effective.id"]);
}

/// Notes which of the schema's properties occur in `value`, and returns those that it describes.
fn walk<'s>(
    root: &'s Value,
    mut schema: &'s Value,
    path: &str,
    value: Option<&Value>,
    known: &mut BTreeSet<String>,
    seen: &mut BTreeSet<String>,
) {
    if let Some(reference) = schema["$ref"].as_str() {
        schema = root.pointer(reference.trim_start_matches('#')).unwrap();
    }
    for option in schema["oneOf"].as_array().into_iter().flatten() {
        walk(root, option, path, value, known, seen);
    }
    if let Some(items) = schema.get("items") {
        walk(root, items, path, None, known, seen);
        for item in value.and_then(Value::as_array).into_iter().flatten() {
            walk(root, items, path, Some(item), known, seen);
        }
    }
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}/{key}");
        let inner = value.and_then(|value| value.get(key));
        walk(root, property, &path, inner, known, seen);
        if inner.is_some() {
            seen.insert(path.clone());
        }
        let described = property.get("description").or(property.get("$ref"));
        assert!(described.is_some(), "{path} has no description");
        known.insert(path);
    }
}

/// The described properties that occur in none of the values, user fields of rare events aside.
fn unused(schema: &str, values: &[Value]) -> Vec<String> {
    let schema: Value = serde_json::from_str(schema).unwrap();
    let (mut known, mut seen) = (BTreeSet::new(), BTreeSet::new());
    for value in values {
        walk(&schema, &schema, "", Some(value), &mut known, &mut seen);
    }
    assert!(known.len() > 50);
    known.difference(&seen).cloned().collect()
}

#[test]
fn the_schemas_describe_nothing_that_is_never_sent() {
    let mut finding = fixtures::denied_exec();
    full(&mut finding.event, "x");
    let rest = from_finding(&finding, &origin());
    let mut values: Vec<Value> = alerts().iter().map(|(_, alert)| value(alert)).collect();
    values.push(value(&rest));
    values.push(serde_json::from_slice(&reduced(&rest, 0)).unwrap());
    assert_eq!(unused(schema::ecs(), &values), Vec::<String>::new());

    let mut from_topic = fixtures::secret_read("ResponseComplete");
    full(&mut from_topic.event, "x");
    from_topic.access_types = vec!["PERSON".to_owned()];
    from_topic.history = true;
    from_topic.reduced = true;
    let mut from_file = fixtures::secret_read("ResponseComplete");
    from_file.position = fixtures::gke_exec().position;
    let values = [from_topic, from_file].map(|observation| {
        let json = serde_json::to_vec(&observation).unwrap();
        schema::assert_valid_observation(&json);
        serde_json::from_slice(&json).unwrap()
    });
    assert_eq!(unused(schema::observation(), &values), Vec::<String>::new());
}

#[test]
fn both_schemas_describe_the_same_event() {
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let (mut ecs, mut observation) = (read(schema::ecs()), read(schema::observation()));
    for schema in [&mut ecs, &mut observation] {
        schema["$defs"]["auditEvent"]["properties"]["annotations"].take();
    }
    for definition in ["auditEvent", "auditUser", "position"] {
        assert_eq!(ecs["$defs"][definition], observation["$defs"][definition], "{definition}");
    }
}

/// Sets every text of the event.
fn full(event: &mut Event<'static>, text: &str) {
    let some = || Some(Text::from(text.to_owned()));
    let user = || {
        let extra = [(text.to_owned(), Value::from(vec![text]))].into_iter().collect();
        let groups = Some(vec![Text::from(text.to_owned())]);
        Some(User { username: some(), uid: some(), groups, extra: Some(extra) })
    };
    let status = event.response_status.take();
    *event = Event {
        kind: some(),
        api_version: some(),
        level: some(),
        audit_id: some(),
        stage: event.stage.take(),
        request_uri: some(),
        verb: some(),
        user: user(),
        impersonated_user: user(),
        source_ips: Some(vec![text.to_owned().into(), "::1".into()]),
        user_agent: some(),
        object_ref: Some(crate::audit::event::ObjectRef {
            resource: some(),
            namespace: some(),
            name: some(),
            uid: some(),
            api_group: some(),
            api_version: some(),
            resource_version: some(),
            subresource: some(),
        }),
        response_status: Some(crate::audit::event::ResponseStatus {
            status: some(),
            reason: some(),
            message: some(),
            code: status.and_then(|status| status.code),
        }),
        request_received_timestamp: some(),
        stage_timestamp: some(),
        timestamp: some(),
        annotations: Some([(text.to_owned().into(), text.to_owned().into())].into()),
        request_object: None,
        response_object: None,
    };
}

/// Texts that break naive writers, and any other text.
fn hostile() -> impl Strategy<Value = String> {
    let nasty = [
        "\n",
        "\r\n",
        "\u{1b}[2J\u{1b}]0;x\u{7}",
        "\u{202e}abc",
        "\"",
        "\\",
        "\u{0}",
        "\u{2028}",
        "{{x}}",
        "<script>",
        ".",
        "",
        "\u{feff}",
        "\u{9b}31m",
        "a\u{300}",
    ];
    let piece = prop_oneof![
        proptest::sample::select(nasty.to_vec()).prop_map(str::to_owned),
        any::<String>()
    ];
    let long = (any::<char>(), 0usize..5_000).prop_map(|(c, n)| String::from(c).repeat(n));
    prop_oneof![4 => proptest::collection::vec(piece, 0..6).prop_map(|all| all.concat()), 1 => long]
}

fn assert_safe(alert: &Alert) {
    let json = alert.to_json().unwrap();
    schema::assert_valid(&json);
    assert!(!json.contains(&b'\n') && !json.contains(&b'\r'));
    let text = crate::output::terminal::alert(&alert.document, false);
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    let document: ecs::Document = serde_json::from_slice(&json).unwrap();
    assert_eq!(document, alert.document);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn hostile_execs_make_valid_alerts(
        text in hostile(), other in hostile(), code in any::<Option<i64>>(), denied in any::<bool>(),
        via in 0usize..3, time in any::<Option<i64>>(), start in 0usize..50, len in 0usize..50,
    ) {
        let mut finding =
            [fixtures::shell_exec, fixtures::nodes_proxy_run, fixtures::denied_exec][via]();
        if !denied {
            finding.event.annotations = None;
        }
        full(&mut finding.event, &text);
        finding.event.response_status.as_mut().unwrap().code = code;
        finding.event_time_ms = time;
        finding.cluster.clone_from(&other);
        finding.exec.argv = vec![text.clone(), other.clone()];
        finding.exec.text = format!("{text} {other}");
        finding.exec.container = Some(text.clone());
        finding.exec.namespace = Some(other.clone());
        finding.exec.pod = Some(other);
        for found in &mut finding.matches {
            // A span that fits no boundary must not matter either.
            found.span = start..start + len;
        }
        let lines = crate::output::terminal::alert(
            &from_finding(&finding, &origin()).document, false,
        ).lines().count();
        prop_assert!(lines <= 14);
        assert_safe(&from_finding(&finding, &origin()));
    }

    #[test]
    fn hostile_observations_make_valid_alerts(
        text in hostile(), terms in proptest::collection::vec(hostile(), 3), window in 0i64..i64::MAX,
    ) {
        let mut observation = fixtures::secret_read("ResponseComplete");
        full(&mut observation.event, &text);
        observation.terms = terms;
        observation.window_ms = window;
        assert_safe(&from_observation(&observation, &fixtures::first_seen(false), &origin()));
    }

    #[test]
    fn any_event_that_parses_makes_a_valid_alert(extra in any::<String>(), key in hostile()) {
        let json = serde_json::json!({"user": {"extra": {key.clone(): {key: [extra, 1, null]}}}});
        let mut finding = fixtures::shell_exec();
        finding.event = fixtures::event(&json.to_string());
        assert_safe(&from_finding(&finding, &origin()));
    }
}

/// Real audit events, where they are at hand: each made an exec and a secret access.
#[test]
fn real_events_make_valid_alerts() {
    let shared = std::env::var_os("KUBETELL_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    let Ok(log) = std::fs::read_to_string(shared.join("apiserver/audit.jsonl")) else { return };
    let mut count = 0;
    for line in log.lines() {
        let event = fixtures::event(line);
        let mut finding = fixtures::shell_exec();
        finding.event_time_ms = event.time().map(|time| time.as_millisecond());
        finding.event = event.clone();
        assert_safe(&from_finding(&finding, &origin()));
        let mut observation = fixtures::secret_read("ResponseComplete");
        observation.event = event;
        assert_safe(&from_observation(&observation, &fixtures::first_seen(false), &origin()));
        count += 1;
    }
    assert!(count > 100);
}

#[test]
fn a_reduced_alert_is_small_and_says_so() {
    let mut finding = fixtures::shell_exec();
    finding.exec.argv = vec!["x".repeat(2_000_000); 3];
    finding.exec.text = finding.exec.argv.join(" ");
    finding.event.request_uri = Some("y".repeat(6_000_000).into());
    let alert = from_finding(&finding, &origin());
    let reduced = reduced(&alert, 512 * 1024);
    schema::assert_valid(&reduced);
    assert!(reduced.len() < 512 * 1024, "{} bytes", reduced.len());
    let reduced: Value = serde_json::from_slice(&reduced).unwrap();
    assert_eq!(reduced["kubetell"]["reduced"], Value::Bool(true));
    assert_eq!(reduced["event"]["id"], Value::String(alert.id.clone()));
}

#[test]
fn no_part_of_an_event_makes_a_reduced_alert_large() {
    let large = "\u{1}".repeat(400_000);
    let mut finding = fixtures::shell_exec();
    finding.exec.argv = vec![large[..8_192].to_owned(); 64];
    finding.exec.text = finding.exec.argv.join(" ");
    finding.exec.container = Some(large.clone());
    finding.exec.pod = Some(large.clone());
    finding.event.verb = Some(large.clone().into());
    let mut observation = fixtures::secret_read("ResponseComplete");
    observation.terms = vec![large; 3];
    for alert in [
        from_finding(&finding, &origin()),
        from_observation(&observation, &fixtures::first_seen(false), &origin()),
    ] {
        for below in [512 * 1024, 64 * 1024, 16 * 1024] {
            let reduced = reduced(&alert, below);
            schema::assert_valid(&reduced);
            assert!(reduced.len() <= below, "{} bytes for {below}", reduced.len());
        }
    }
}

#[test]
fn every_alert_can_be_cut_to_a_few_kilobytes_and_stays_one() {
    let mut finding = fixtures::denied_exec();
    full(&mut finding.event, &"x".repeat(3_000));
    let mut alerts: Vec<_> = alerts().into_iter().map(|(_, alert)| alert).collect();
    alerts.push(from_finding(&finding, &origin()));
    for alert in alerts {
        let small = reduced(&alert, 0);
        schema::assert_valid(&small);
        assert!(small.len() < 4_096, "{} bytes", small.len());
        assert_eq!(small, wire::reduced(&small, 0).unwrap(), "a smaller form has none below it");
        let (small, whole): (Value, Value) =
            (serde_json::from_slice(&small).unwrap(), value(&alert));
        for pointer in ["/event/id", "/rule/id", "/kubetell/position", "/@timestamp"] {
            assert_eq!(small.pointer(pointer), whole.pointer(pointer));
        }
    }
    assert_eq!(wire::reduced(b"{}", 0), None);
}

#[test]
fn an_alert_of_a_shortened_observation_says_so() {
    let mut observation = fixtures::secret_read("ResponseComplete");
    observation.reduced = true;
    let alert = from_observation(&observation, &fixtures::first_seen(false), &origin());
    assert_eq!(value(&alert)["kubetell"]["reduced"], Value::Bool(true));
}

fn reduced(alert: &Alert, below: usize) -> Vec<u8> {
    wire::reduced(&alert.to_json().unwrap(), below).unwrap()
}
