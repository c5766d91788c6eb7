//! The figures of a sample, from records as they come.

use serde_json::{Value, json};

use super::*;

/// 2026-03-01T08:00:00Z.
const T0: i64 = 1_772_352_000_000;

fn event(change: impl FnOnce(&mut Value)) -> Value {
    let mut event = json!({
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": "a1",
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/shop/pods/cart-0/exec?command=id",
        "verb": "create",
        "user": { "username": "ada" },
        "sourceIPs": ["203.0.113.9"],
        "userAgent": "kubectl/v1.34.1",
        "objectRef": { "resource": "pods", "subresource": "exec", "namespace": "shop" },
        "requestReceivedTimestamp": "2026-03-01T08:00:00Z",
        "stageTimestamp": "2026-03-01T08:00:01Z"
    });
    change(&mut event);
    event
}

/// A tally of these records, appended at these milliseconds behind T0 and read a minute later.
fn tally(records: &[(&[u8], Option<i64>)]) -> Tally {
    let mut tally = Tally::default();
    for (number, (payload, after_ms)) in records.iter().enumerate() {
        let record = Record {
            payload: Some(payload),
            record_ms: after_ms.map(|ms| T0 + ms),
            now_ms: T0 + 60_000,
            partition: after_ms.map(|_| 0),
            concerned: true,
            lacks_cluster: false,
            place: &|| format!("t/0@{number}"),
        };
        tally.record(&record, None);
    }
    tally
}

fn of_events(events: &[Value]) -> Tally {
    let texts: Vec<String> = events.iter().map(Value::to_string).collect();
    let records: Vec<(&[u8], Option<i64>)> =
        texts.iter().map(|text| (text.as_bytes(), Some(2_000))).collect();
    tally(&records)
}

#[test]
fn values_of_events_are_counted() {
    let list = json!({
        "kind": "EventList",
        "apiVersion": "audit.k8s.io/v1",
        "items": [
            event(|_| {}),
            event(|it| it["objectRef"] = json!({ "resource": "secrets" })),
            event(|it| drop(it.as_object_mut().unwrap().remove("objectRef"))),
        ]
    });
    let found = of_events(&[event(|it| it["auditID"] = "a2".into()), list]);
    assert_eq!((found.records, found.events, found.concerned), (2, 4, 2));
    assert_eq!(found.wrappers.sorted(), [("event-list", 3), ("bare", 1)]);
    assert_eq!(found.resources.sorted(), [("pods/exec", 2), ("(no resource)", 1), ("secrets", 1)]);
    assert_eq!(found.namespaces.sorted(), [("shop", 2)]);
    assert_eq!(found.requests.get(&request("create", "secrets")), 1);
    assert_eq!(found.levels.get("Metadata"), 4);
    assert_eq!(found.sizes.count(), 2);
    assert_eq!(found.missing, Missing::default());
    assert_eq!(found.parts[0].records, 2);
    assert_eq!(found.times.bounds, Some((T0, T0)));
}

#[test]
fn execs_are_told_by_whether_their_command_is_seen() {
    let uri = |uri: &'static str| event(move |it| it["requestURI"] = uri.into());
    let node = |uri: &'static str| {
        event(move |it| {
            it["requestURI"] = uri.into();
            it["objectRef"] = json!({ "resource": "nodes", "subresource": "proxy" });
        })
    };
    let labelled = event(|it| {
        it["requestURI"] = "".into();
        it["annotations"] = json!({ "command.gke.io/command": "cat /etc/shadow" });
    });
    let found = of_events(&[
        event(|_| {}),
        uri(""),
        uri("/api/v1/namespaces/shop/pods/cart-0/exec?container=app"),
        labelled,
        node("/api/v1/nodes/n/proxy/run/shop/cart-0/app"),
        node("/api/v1/nodes/n/proxy/metrics"),
        node(""),
        event(|it| it["objectRef"]["subresource"] = "portforward".into()),
        event(|it| it["objectRef"]["subresource"] = "log".into()),
    ]);
    let execs = &found.execs;
    assert_eq!((execs.all, execs.without_uri, execs.without_command), (4, 1, 1));
    assert_eq!((execs.by_node, execs.proxies_without_uri), (1, 1));
    let kinds = [("pods/exec", 4), ("nodes/proxy", 3), ("pods/portforward", 1)];
    assert_eq!(execs.kinds.sorted(), kinds);
}

#[test]
fn reads_of_secrets_are_whole_or_not() {
    let secret = |verb: &'static str, without: &'static str| {
        event(move |it| {
            it["verb"] = verb.into();
            it["objectRef"] = json!({ "resource": "secrets" });
            it.as_object_mut().unwrap().remove(without);
        })
    };
    let found = of_events(&[
        secret("get", ""),
        secret("list", "userAgent"),
        secret("get", "sourceIPs"),
        secret("get", "user"),
        secret("watch", "user"),
        secret("delete", "user"),
    ]);
    let expected = SecretReads {
        all: 4,
        watches: 1,
        without_user: 1,
        without_source: 1,
        without_agent: 1,
        incomplete: 3,
    };
    assert_eq!(found.secrets, expected);
    assert_eq!((found.missing.users, found.missing.agents, found.missing.sources), (3, 1, 1));
}

#[test]
fn bodies_are_measured_and_those_of_secrets_are_told() {
    let body = |resource: &'static str, subresource: &'static str| {
        event(move |it| {
            it["objectRef"] = json!({ "resource": resource, "subresource": subresource });
            it["responseObject"] = json!({ "data": "x" });
        })
    };
    let level = event(|it| {
        it["objectRef"] = json!({ "resource": "secrets" });
        it["level"] = "RequestResponse".into();
    });
    let found = of_events(&[
        body("secrets", ""),
        body("serviceaccounts", "token"),
        body("serviceaccounts", ""),
        body("pods", ""),
        level,
        event(|_| {}),
    ]);
    let bytes = 4 * r#"{"data":"x"}"#.len() as u64;
    assert_eq!(found.bodies, BodyTally { events: 4, bytes, secret: 3 });
}

#[test]
fn clocks_are_compared_with_the_record_and_with_now() {
    let at = |stage: &'static str| event(move |it| it["stageTimestamp"] = stage.into()).to_string();
    let [early, late, zero] =
        ["2026-03-01T08:00:01Z", "2026-03-01T08:02:00Z", "0001-01-01T00:00:00Z"].map(at);
    let nothing = event(|it| {
        let event = it.as_object_mut().unwrap();
        event.remove("requestReceivedTimestamp");
        event.remove("stageTimestamp");
    })
    .to_string();
    let found = tally(&[
        (early.as_bytes(), Some(1_500)),
        // Two seconds are nothing; three are.
        (early.as_bytes(), Some(-1_000)),
        (early.as_bytes(), Some(-2_001)),
        // Ahead of now, whatever the record says; the record too.
        (late.as_bytes(), Some(200_000)),
        (late.as_bytes(), None),
        (zero.as_bytes(), Some(30_000)),
        (nothing.as_bytes(), Some(0)),
    ]);
    let clocks = &found.clocks;
    assert_eq!((clocks.ahead, clocks.ahead_max_ms), (3, 60_000));
    assert_eq!((clocks.records_ahead, clocks.records_ahead_max_ms), (1, 140_000));
    assert_eq!((clocks.delay_ms.count(), clocks.delay_ms.max()), (5, 80_000));
    assert_eq!(found.missing.times, 1);
}

#[test]
fn what_is_cut_or_marked_as_cut_is_told() {
    for (uri, cut) in [
        ("/api/v1/pods?x=%2F", false),
        ("/api/v1/pods?x=%2", true),
        ("/api/v1/pods?x=%", true),
        ("/api/v1/pods?command=ca...", true),
        ("/", false),
        ("", false),
    ] {
        assert_eq!(is_cut(uri), cut, "{uri}");
    }
    let marked = event(|it| it["annotations"] = json!({ "audit.k8s.io/truncated": "true" }));
    let underscored = event(|it| it["annotations"] = json!({ "audit_k8s_io/truncated": "true" }));
    let cut = event(|it| it["requestURI"] = "/api/v1/pods?labelSelector=%".into());
    let found = of_events(&[marked, underscored, cut, event(|_| {})]);
    assert_eq!((found.truncated, found.cut_uris), (2, 1));
}

#[test]
fn a_stage_that_comes_twice_is_a_copy_and_another_stage_is_none() {
    let stage = |stage: &'static str| event(move |it| it["stage"] = stage.into());
    let other = event(|it| it["requestReceivedTimestamp"] = "2026-03-01T08:00:00.5Z".into());
    let found = of_events(&[
        stage("RequestReceived"),
        stage("ResponseComplete"),
        stage("ResponseComplete"),
        // Another request, whose client chose the same audit ID.
        other,
    ]);
    assert_eq!((found.copies, found.compared_events), (1, 4));
}

#[test]
fn what_cannot_be_read_is_counted_by_class_with_the_first_place() {
    let control = r#"{"messageType":"CONTROL_MESSAGE","logEvents":[]}"#;
    let mut found = tally(&[
        (b"{\"a\":", None),
        (b"nonsense", None),
        (b"more nonsense", None),
        (control.as_bytes(), None),
    ]);
    assert_eq!((found.records, found.events, found.unreadable_count()), (4, 0, 3));
    assert_eq!(found.unreadable["truncated"].place, "t/0@0");
    let not_json = &found.unreadable["not-json"];
    assert_eq!((not_json.count, not_json.place.as_str()), (2, "t/0@1"));
    assert!(!not_json.reason.contains("nonsense"), "{}", not_json.reason);
    assert_eq!(found.skipped["control-message"], 1);
    let tombstone = Record {
        payload: None,
        record_ms: None,
        now_ms: T0,
        partition: None,
        concerned: false,
        lacks_cluster: false,
        place: &String::new,
    };
    found.record(&tombstone, None);
    assert_eq!((found.records, found.tombstones, found.unreadable_count()), (5, 1, 3));
}

#[test]
fn a_hostile_event_keeps_the_figures_small() {
    let long = "é".repeat(200_000);
    let hostile = event(|it| {
        for field in ["verb", "stage", "level", "userAgent", "requestURI", "auditID"] {
            it[field] = long.clone().into();
        }
        it["objectRef"] =
            json!({ "resource": long.clone(), "subresource": long.clone(), "namespace": long });
    });
    let found = of_events(&[hostile]);
    for counts in [&found.verbs, &found.resources, &found.namespaces, &found.requests] {
        assert!(counts.sorted()[0].0.len() <= 402, "{}", counts.sorted()[0].0.len());
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_are_too_much(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        let found = tally(&[(&bytes, Some(0))]);
        proptest::prop_assert_eq!(found.records, 1);
    }
}
