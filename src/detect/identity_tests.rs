use super::*;
use crate::audit::event::{ResponseStatus, User};

const URI: &str = "/api/v1/namespaces/n/pods/p/exec?command=cat&command=/etc/shadow";
const RECEIVED: &str = "2026-03-01T08:00:00.000001Z";

fn exec(stage: &'static str) -> Event<'static> {
    Event {
        audit_id: Some("a".into()),
        stage: Some(stage.into()),
        request_uri: Some(URI.into()),
        user: Some(User { username: Some("jane".into()), ..User::default() }),
        request_received_timestamp: Some(RECEIVED.into()),
        ..Event::default()
    }
}

/// An entry of a GKE operation.
fn entry(stage: &'static str, command: &'static str) -> Event<'static> {
    let annotations = [("command.gke.io/command".into(), command.into())];
    Event {
        stage: Some(stage.into()),
        verb: Some("create".into()),
        object_ref: Some(ObjectRef {
            resource: Some("pods".into()),
            subresource: Some("exec".into()),
            namespace: Some("n".into()),
            name: Some("p".into()),
            ..ObjectRef::default()
        }),
        annotations: Some(annotations.into()),
        ..Event::default()
    }
}

/// Computed from the formula in the module's header with another SHA-256 (Python's hashlib).
#[test]
fn identities_equal_the_published_vectors() {
    let named = |id: &'static str| Event { audit_id: Some(id.into()), ..Event::default() };
    let other = Event { request_uri: Some("/規則?\n".into()), ..named("größe") };
    for (event, wrapper_id, expected) in [
        (exec("RequestReceived"), None, "d70a328c-12c3-8169-a092-a9e7d8b65897"),
        (named("a"), Some("w"), "dcc34d21-37c1-87a9-8cec-2c7f6974068f"),
        (other, None, "85bf8dfc-1248-8b30-a6ac-5a9fa7e1215b"),
        (entry("", "cat /etc/shadow"), Some("w"), "5c6fe60c-c851-8d5e-a7c9-bf61940d60a8"),
        (named(""), Some("w"), "a279c55e-2349-83d7-b43a-3f3584e89758"),
        (Event::default(), Some(""), "82966443-d4f2-8cce-8b7e-c1c21af1ae5c"),
        (Event::default(), None, "82966443-d4f2-8cce-8b7e-c1c21af1ae5c"),
    ] {
        assert_eq!(event_id(&event, wrapper_id), expected, "{event:?} {wrapper_id:?}");
    }
}

#[test]
fn the_stages_of_a_request_share_their_identity() {
    let complete = Event {
        stage_timestamp: Some("2026-03-01T08:00:09.000000Z".into()),
        response_status: Some(ResponseStatus { code: Some(101), ..ResponseStatus::default() }),
        impersonated_user: Some(User { username: Some("root".into()), ..User::default() }),
        ..exec("ResponseComplete")
    };
    let received = event_id(&exec("RequestReceived"), None);
    assert_eq!(event_id(&complete, None), received);
    assert_eq!(event_id(&complete, Some("of this entry")), received, "a wrapper has no say");
}

#[test]
fn a_request_with_the_audit_id_of_another_has_an_identity_of_its_own() {
    let known = event_id(&exec("RequestReceived"), None);
    let uri = Event { request_uri: Some("/readyz".into()), ..exec("RequestReceived") };
    let time = Event {
        request_received_timestamp: Some("2026-03-01T08:00:00.000002Z".into()),
        ..exec("RequestReceived")
    };
    let user = User { username: Some("joe".into()), ..User::default() };
    let user = Event { user: Some(user), ..exec("RequestReceived") };
    for other in [uri, time, user] {
        assert_ne!(event_id(&other, None), known, "{other:?}");
    }
}

#[test]
fn the_entries_of_an_operation_share_their_identity_and_another_command_has_its_own() {
    let id = |event: &Event<'_>| event_id(event, Some("operation"));
    let started = Event {
        request_received_timestamp: Some(RECEIVED.into()),
        ..entry("ResponseStarted", "cat /etc/shadow")
    };
    let last = Event {
        request_received_timestamp: Some("2026-03-01T08:00:09.000000Z".into()),
        ..entry("ResponseComplete", "cat /etc/shadow")
    };
    assert_eq!(id(&started), id(&last));
    assert_ne!(id(&started), id(&entry("ResponseStarted", "ls")));
    assert_ne!(id(&started), event_id(&started, Some("another")));
}

#[test]
fn an_event_without_a_name_is_named_by_its_content() {
    let unnamed = Event { audit_id: None, ..exec("RequestReceived") };
    let other = Event { verb: Some("get".into()), ..unnamed.clone() };
    assert_ne!(event_id(&unnamed, None), event_id(&other, None));
}

#[test]
fn the_hash_does_not_depend_on_the_order_of_keys_or_on_escapes() {
    let one = r#"{"verb":"get","user":{"username":"j","extra":{"b":["1"],"a":["2"]}},
        "annotations":{"y":"1","x":"&"}}"#;
    let other = r#"{"annotations":{"x":"\u0026","y":"1"},
        "user":{"extra":{"a":["2"],"b":["1"]},"username":"\u006a"},"verb":"get"}"#;
    let id = |json: &str| event_id(&serde_json::from_str::<Event<'_>>(json).unwrap(), None);
    assert_eq!(id(one), id(other));
}

#[test]
fn an_audit_id_is_cut_between_two_characters() {
    let long = Event { audit_id: Some("ä".repeat(129).into()), ..Event::default() };
    let id = with_bounded_id(long).audit_id.unwrap();
    assert!(id.starts_with(&"ä".repeat(128)) && id.contains("… sha256:"), "{id:?}");
    let edge =
        Event { audit_id: Some(format!("x{}", "ä".repeat(128)).into()), ..Event::default() };
    assert!(with_bounded_id(edge).audit_id.unwrap().len() < 256 + 80);
}

/// The published sample events, where they are at hand.
#[test]
fn real_requests_have_an_identity_each_whatever_their_stages() {
    use std::collections::{BTreeMap, BTreeSet};
    let shared = std::env::var_os("KUBETELL_SHARED").map_or_else(
        || std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"),
        std::path::PathBuf::from,
    );
    let Ok(text) = std::fs::read_to_string(shared.join("data/apiserver/audit.jsonl")) else {
        return;
    };
    let mut by_audit_id: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut stages = 0;
    for line in text.lines() {
        let event: Event<'_> = serde_json::from_str(line).unwrap();
        let name = event.audit_id.as_deref().unwrap().to_owned();
        by_audit_id.entry(name).or_default().insert(event_id(&event, None));
        stages += 1;
    }
    assert!(by_audit_id.values().all(|ids| ids.len() == 1), "{by_audit_id:?}");
    let ids: BTreeSet<&String> = by_audit_id.values().flatten().collect();
    assert_eq!(ids.len(), by_audit_id.len());
    assert!(stages > 2 * ids.len(), "most come in several stages");
}
