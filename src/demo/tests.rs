//! Reads the logs back with nothing but a JSON parser and compares what is in them with what they
//! say is in them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use jiff::Timestamp;
use serde_json::Value;

use super::event::push_string;
use super::scenario::*;
use crate::audit::event::Event;

fn start() -> Timestamp {
    "2026-03-02T08:59:30.123456Z".parse().unwrap()
}

/// The form of a record and the events in it.
fn unwrap(record: &[u8]) -> (&'static str, Vec<Value>) {
    let mut text = Vec::new();
    let zipped = record.starts_with(&[0x1f, 0x8b]);
    if zipped {
        flate2::read::GzDecoder::new(record).read_to_end(&mut text).unwrap();
    } else {
        text.extend_from_slice(record);
    }
    let value: Value = serde_json::from_slice(&text).unwrap();
    let line = |line: &Value| serde_json::from_str::<Value>(line.as_str().unwrap()).unwrap();
    let members = value.as_object().unwrap();
    if value["kind"] == "EventList" {
        ("list", value["items"].as_array().unwrap().clone())
    } else if zipped {
        let messages = value["logEvents"].as_array().unwrap();
        ("cloudwatch", messages.iter().map(|message| line(&message["message"])).collect())
    } else if members.contains_key("log") {
        ("fluent-bit-line", vec![line(&value["log"])])
    } else if members.contains_key("message") {
        assert_eq!(value["source_type"], "file");
        ("vector", vec![line(&value["message"])])
    } else if members.contains_key("@timestamp") {
        assert!(value["@timestamp"].is_number());
        ("fluent-bit-parsed", vec![value])
    } else {
        assert_eq!((&value["kind"], &value["apiVersion"]), (&"Event".into(), &v1()));
        ("bare", vec![value])
    }
}

fn v1() -> Value {
    "audit.k8s.io/v1".into()
}

/// The command text of an exec by either way, as a Go server decodes it.
fn command(event: &Value) -> Option<String> {
    let (path, query) = event["requestURI"].as_str()?.split_once('?')?;
    let reference = &event["objectRef"];
    let wanted = if reference["subresource"] == "exec" || path.contains("/proxy/exec/") {
        "command"
    } else if path.contains("/proxy/run/") {
        "cmd"
    } else {
        return None;
    };
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_encoding::percent_decode_str(&spaced).decode_utf8().unwrap().into_owned()
    };
    let values: Vec<String> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(name, _)| decode(name) == wanted)
        .map(|(_, value)| decode(value))
        .collect();
    Some(values.join(" "))
}

fn is_sensitive(command: &str) -> bool {
    let command = command.replace("/etc/resolv.conf", "");
    [
        "/run/secrets/",
        "/etc/kubernetes/",
        "/var/lib/kubelet/",
        "/etc/shadow",
        "/etc/passwd",
        "/etc/sudoers",
        "/.ssh",
        "/.aws",
        "/.azure",
        "/.kube",
        ".pem",
        ".key",
        "/environ",
    ]
    .iter()
    .any(|path| command.contains(path))
}

/// (source.ip, user.name, user_agent.original) of a read of a secret.
fn terms(event: &Value) -> Vec<[String; 3]> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let agent = text(&event["userAgent"]);
    let read = event["objectRef"]["resource"] == "secrets"
        && (event["verb"] == "get" || event["verb"] == "list");
    if !read || agent.is_empty() || agent.ends_with("kubernetes/$Format") {
        return Vec::new();
    }
    let ips = event["sourceIPs"].as_array().unwrap();
    ips.iter().map(|ip| [text(ip), text(&event["user"]["username"]), agent.clone()]).collect()
}

#[test]
fn the_scenario_is_the_same_each_time_it_is_made() {
    assert_eq!(scenario(start()), scenario(start()));
    assert_eq!(expected(), expected());
    let shifted = scenario("1970-01-01T00:00:00Z".parse().unwrap());
    let at: Vec<_> = scenario(start()).iter().map(|record| record.at_ms).collect();
    assert_eq!(at, shifted.iter().map(|record| record.at_ms).collect::<Vec<_>>());
    // Where the calendar ends, times stand still and nothing breaks.
    assert_eq!(scenario(Timestamp::MAX).len(), at.len());
}

#[test]
fn every_record_is_of_a_form_and_every_form_occurs() {
    let mut forms = BTreeMap::<&str, usize>::new();
    let records = scenario(start());
    for record in &records {
        let (form, events) = unwrap(&record.bytes);
        *forms.entry(form).or_default() += 1;
        assert_eq!(events.len(), record.events as usize);
        for event in &events {
            let json = event.to_string();
            let event: Event<'_> = serde_json::from_str(&json).unwrap();
            assert!(event.audit_id.is_some() && event.time().is_some(), "{json}");
        }
    }
    assert_eq!(
        forms.keys().copied().collect::<Vec<_>>(),
        ["bare", "cloudwatch", "fluent-bit-line", "fluent-bit-parsed", "list", "vector"]
    );
    assert!(forms["bare"] * 10 > records.len() * 8, "{forms:?}");
}

#[test]
fn events_are_written_as_go_writes_them() {
    const ORDER: [&str; 13] = [
        "kind",
        "apiVersion",
        "level",
        "auditID",
        "stage",
        "requestURI",
        "verb",
        "user",
        "sourceIPs",
        "objectRef",
        "requestReceivedTimestamp",
        "stageTimestamp",
        "annotations",
    ];
    let mut bare = 0;
    for record in scenario(start()) {
        let ("bare", events) = unwrap(&record.bytes) else { continue };
        bare += 1;
        let text = std::str::from_utf8(&record.bytes).unwrap();
        assert!(!text.contains(['&', '<', '>', '\n']), "{text}");
        // The last place, since a body may hold members of the same names before it.
        let places: Vec<usize> = ORDER
            .iter()
            .filter(|name| events[0].get(**name).is_some())
            .map(|name| match *name {
                "kind" | "apiVersion" => text.find(&format!("\"{name}\":")).unwrap(),
                _ => text.rfind(&format!("\"{name}\":")).unwrap(),
            })
            .collect();
        assert!(places.is_sorted(), "{text}");
    }
    assert!(bare > 0);
}

#[test]
fn strings_are_escaped_as_go_escapes_them() {
    let check = |text: &str, expected: &str| {
        let mut json = String::new();
        push_string(&mut json, text);
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    };
    check("a&b<c>d", r#""a\u0026b\u003cc\u003ed""#);
    check("\"\\/", r#""\"\\/""#);
    check("\n\r\t\u{8}\u{c}\u{1}\u{7f}", "\"\\n\\r\\t\\b\\f\\u0001\u{7f}\"");
    check("é\u{2028}\u{2029}", "\"é\\u2028\\u2029\"");
}

#[test]
fn sizes_are_those_of_a_real_log() {
    let records = scenario(start());
    let events: u32 = records.iter().map(|record| record.events).sum();
    assert!((1_000..=2_000).contains(&events), "{events} events");
    let mut sizes: Vec<usize> =
        records.iter().filter(|r| r.events == 1).map(|record| record.bytes.len()).collect();
    sizes.sort_unstable();
    let (median, largest) = (sizes[sizes.len() / 2], sizes[sizes.len() - 1]);
    assert!((600..=1_400).contains(&median), "the median is {median} bytes");
    assert!((4_000..=66_000).contains(&largest), "the largest is {largest} bytes");
}

#[test]
fn stages_come_in_their_order_and_once() {
    let mut seen = BTreeMap::<String, Vec<String>>::new();
    let mut last_ms = 0;
    for record in scenario(start()) {
        assert!(record.at_ms >= last_ms);
        last_ms = record.at_ms;
        for event in unwrap(&record.bytes).1 {
            let id = event["auditID"].as_str().unwrap().to_owned();
            let stage = event["stage"].as_str().unwrap().to_owned();
            let received = stage == "RequestReceived";
            assert_eq!(event.get("responseStatus").is_none(), received);
            assert_eq!(event.get("annotations").is_none(), received);
            seen.entry(id).or_default().push(stage);
        }
    }
    assert!(last_ms < LENGTH_MS + 2_000);
    for (id, stages) in seen {
        let stages: Vec<&str> = stages.iter().map(String::as_str).collect();
        let known: [&[&str]; 3] = [
            &["RequestReceived", "ResponseComplete"],
            &["RequestReceived", "ResponseStarted"],
            &["RequestReceived", "ResponseStarted", "ResponseComplete"],
        ];
        assert!(known.contains(&stages.as_slice()), "{id}: {stages:?}");
    }
}

#[test]
fn the_scenario_holds_what_is_expected_of_it_and_no_more() {
    let expected = expected();
    let (mut exec, mut learned, mut new_terms) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut harmless_execs = 0;
    for record in scenario(start()) {
        for event in unwrap(&record.bytes).1 {
            let id = event["auditID"].as_str().unwrap().to_owned();
            if let Some(command) = command(&event) {
                if is_sensitive(&command) {
                    assert!(record.at_ms > LEARNING_UNTIL_MS);
                    exec.insert(id);
                } else {
                    harmless_execs += 1;
                }
            }
            for tuple in terms(&event) {
                if record.at_ms < LEARNING_UNTIL_MS {
                    learned.insert(tuple);
                } else if !learned.contains(&tuple) {
                    new_terms.insert(tuple);
                }
            }
        }
    }
    assert_eq!(exec, expected.exec);
    assert_eq!(exec.len(), 12);
    assert_eq!(new_terms, expected.new_terms);
    assert_eq!(new_terms.len(), 4);
    assert_eq!(learned, expected.learned);
    assert!(harmless_execs > 10, "{harmless_execs}");
}

#[test]
fn refusals_are_among_the_alerts_of_both_kinds() {
    let mut refused = (0, 0);
    for record in scenario(start()) {
        for event in unwrap(&record.bytes).1 {
            if event["responseStatus"]["code"] == 403 {
                assert_eq!(event["annotations"]["authorization.k8s.io/decision"], "forbid");
                assert_eq!(event["responseStatus"]["reason"], "Forbidden");
                refused.0 += usize::from(command(&event).is_some());
                refused.1 += usize::from(!terms(&event).is_empty());
            }
        }
    }
    assert!(refused.0 > 0 && refused.1 > 0, "{refused:?}");
}

#[test]
fn a_generated_log_has_the_size_asked_for() {
    for events in [0, 1, 2, 3, 10, 1_234] {
        let mut log = generated(events, 7, start());
        let read: usize = log.by_ref().map(|record| unwrap(&record).1.len()).sum();
        assert_eq!((read as u64, log.counts().events), (events, events));
    }
}

#[test]
fn a_generated_log_depends_on_its_seed_alone() {
    let log = |seed| generated(500, seed, start()).collect::<Vec<_>>();
    assert_eq!(log(1), log(1));
    assert_ne!(log(1), log(2));
}

#[test]
fn a_generated_log_counts_what_is_in_it() {
    const EVENTS: u64 = 60_000;
    let mut log = generated(EVENTS, 42, start());
    let (mut exec, mut tuples) = (BTreeSet::new(), BTreeSet::new());
    let mut concerned = 0_u64;
    let mut last = Timestamp::MIN;
    for record in log.by_ref() {
        for event in unwrap(&record).1 {
            let at = event["stageTimestamp"].as_str().unwrap().parse::<Timestamp>().unwrap();
            assert!(at >= last, "events go back in time");
            last = at;
            let command = command(&event);
            let terms = terms(&event);
            concerned += u64::from(command.is_some() || !terms.is_empty());
            if command.is_some_and(|command| is_sensitive(&command)) {
                exec.insert(event["auditID"].as_str().unwrap().to_owned());
            }
            tuples.extend(terms);
        }
    }
    let counts = log.counts();
    assert_eq!(counts.exec, exec.len() as u64);
    assert_eq!(counts.new_terms + counts.learned, tuples.len() as u64);
    assert_eq!(counts.learned, expected().learned.len() as u64);
    assert!(counts.exec > 5 && counts.new_terms > 5, "{counts:?}");
    assert!((EVENTS / 50..=EVENTS * 35 / 1_000).contains(&concerned), "{concerned} events");
}
