//! The invariant of the prefilter against the reader and the matcher as they are: whatever
//! wrapper and spelling a record has, if the reader finds an event in it that matches a rule,
//! the record passes.

use std::io::Write;
use std::sync::{Arc, LazyLock};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::tests::{QUERIES, WITH_QUERY, matches_of, object_event};
use super::*;
use crate::detect::matcher::{Context, Matcher};
use crate::ingest::envelope::{Outcome, read};
use crate::position::Position;

static RULES: LazyLock<Arc<RuleSet>> = LazyLock::new(|| Arc::new(RuleSet::builtin().unwrap()));
static PREFILTER: LazyLock<Prefilter> = LazyLock::new(|| Prefilter::new(&RULES));
static MATCHER: LazyLock<Matcher> = LazyLock::new(|| Matcher::new(Arc::clone(&RULES), 0));

/// How many events of the record match a rule, by the reader alone.
fn matching_events(record: &[u8]) -> usize {
    let mut count = 0;
    read(record, None, &mut |index, outcome| {
        if let Outcome::Event(item) = outcome {
            let context = Context {
                cluster: "c",
                position: Position::File { path: "-".to_owned(), line: 1, item: index },
                wrapper_id: None,
                wrapper_time_ms: None,
            };
            let mut out = Vec::new();
            MATCHER.examine(item.event, context, &mut out);
            count += usize::from(!out.is_empty());
        }
    });
    count
}

/// Writes JSON with the choices that a list of numbers makes, over and over.
struct Speller<'c> {
    choices: &'c [u8],
    next: usize,
    /// Of so many characters one is escaped without a need; 0 is none.
    escape_one_in: u8,
    /// As API servers write it: without blanks, what an object is first.
    plain: bool,
}

impl Speller<'_> {
    fn choice(&mut self, of: u8) -> bool {
        // The step is not a whole number of rounds, so that rounds differ.
        self.next += 1;
        let at = self.next % self.choices.len();
        let round = (self.next / self.choices.len()) as u8;
        of > 0 && self.choices[at].wrapping_mul(31).wrapping_add(round).is_multiple_of(of)
    }

    fn space(&mut self) -> &'static str {
        if !self.plain && self.choice(7) { "\r\n\t " } else { "" }
    }

    fn value(&mut self, value: &Value) -> String {
        let text = match value {
            Value::String(text) => self.string(text),
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(|item| self.value(item)).collect();
                format!("[{}]", items.join(","))
            }
            Value::Object(map) => {
                let mut pairs: Vec<String> = Vec::new();
                for (key, value) in map {
                    let pair =
                        format!("{}{}:{}", self.string(key), self.space(), self.value(value));
                    if self.choice(2) { pairs.push(pair) } else { pairs.insert(0, pair) }
                }
                if self.plain {
                    let rank = |pair: &String| match pair {
                        pair if pair.starts_with("\"kind\"") => 0,
                        pair if pair.starts_with("\"apiVersion\"") => 1,
                        _ => 2,
                    };
                    pairs.sort_by_key(rank);
                }
                format!("{{{}{}}}", self.space(), pairs.join(","))
            }
            plain => plain.to_string(),
        };
        format!("{text}{}", self.space())
    }

    fn string(&mut self, text: &str) -> String {
        let mut out = String::from('"');
        for c in text.chars() {
            let escape = self.choice(self.escape_one_in);
            match c {
                _ if escape => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        let upper = self.choice(2);
                        out += &if upper {
                            format!("\\u{unit:04X}")
                        } else {
                            format!("\\u{unit:04x}")
                        };
                    }
                }
                '"' | '\\' => out.extend(['\\', c]),
                '/' if self.choice(2) => out.push_str("\\/"),
                c if c < ' ' || "&<>".contains(c) => out += &format!("\\u{:04x}", u32::from(c)),
                c => out.push(c),
            }
        }
        out + "\""
    }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

const WRAPPERS: usize = 24;

/// The record of event `event` in the wrapper of that number. `beside` matches nothing and
/// stands beside it where there is room for several.
fn wrapped(number: usize, event: &Value, beside: &Value, s: &mut Speller<'_>) -> Vec<u8> {
    let base64 = |bytes: &[u8]| STANDARD.encode(bytes);
    let with = |value: &Value, key: &str, field: Value| {
        let mut value = value.clone();
        value[key] = field;
        value
    };
    let line = |s: &mut Speller<'_>| format!("{}{}", s.value(event), s.space());
    let logs = |s: &mut Speller<'_>| {
        json!({ "messageType": "DATA_MESSAGE", "logStream": "kube-apiserver-audit-1",
            "logEvents": [{ "id": "1", "timestamp": 1, "message": s.value(beside) },
                { "id": "2", "timestamp": 2, "message": line(s) }] })
    };
    let text = match number {
        0 => s.value(event),
        1 => s.value(&json!({ "kind": "EventList", "items": [beside, event] })),
        2 => s.value(&with(event, "@timestamp", json!(1.5))),
        3 => {
            let log = line(s);
            s.value(&json!({ "@timestamp": 1.5, "log": log }))
        }
        4 => {
            let message = line(s);
            s.value(&json!({ "message": message }))
        }
        5 => {
            let message = line(s);
            s.value(&json!({ "message": message, "source_type": "file", "timestamp": "x" }))
        }
        6 => s.value(&json!({ "@timestamp": "x", "kubernetes": { "audit": event } })),
        7 => {
            let message = line(s);
            s.value(&json!({ "@timestamp": "x", "agent": {}, "message": message }))
        }
        8 => {
            let logs = logs(s);
            s.value(&logs)
        }
        9 => {
            let logs = logs(s);
            return gzip(s.value(&logs).as_bytes());
        }
        10 => {
            let logs = logs(s);
            let data = base64(&gzip(s.value(&logs).as_bytes()));
            s.value(&json!({ "awslogs": { "data": data } }))
        }
        11 => {
            let log = line(s);
            s.value(&json!({ "records": [
                { "category": "kube-apiserver", "properties": { "log": "I0101 text" } },
                { "category": "kube-audit", "properties": { "log": log } }] }))
        }
        12 => s.value(&json!({ "category": "kube-audit", "properties": { "log": event } })),
        13 => {
            let data = base64(line(s).as_bytes());
            s.value(&json!({ "message": { "messageId": "1", "data": data } }))
        }
        14 => {
            let data = URL_SAFE_NO_PAD.encode(line(s));
            s.value(
                &json!({ "receivedMessages": [{ "message": { "messageId": "1", "data": data } }] }),
            )
        }
        15 => s.value(&with(event, "k8s_audit_level", json!("Metadata"))),
        16 => {
            let body = line(s);
            s.value(&json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": [
                { "body": { "stringValue": body } }] }] }] }))
        }
        17 => {
            let quoted = line(s);
            s.value(&Value::from(quoted))
        }
        18 => s.value(&json!([beside, event])),
        19 => format!("{}\n{}", s.value(beside), s.value(event)),
        20 => {
            let both = format!("{}\n{}", s.value(beside), s.value(event));
            s.value(&json!({ "log": both }))
        }
        21 => {
            let inner = line(s);
            let message = s.value(&json!({ "log": inner }));
            s.value(&json!({ "message": message }))
        }
        22 => {
            let inner = line(s);
            let quoted = s.value(&Value::from(inner));
            s.value(&json!([quoted]))
        }
        // Cut off behind the event.
        _ => {
            let mut text = s.value(&json!({ "kind": "EventList", "items": [event, beside] }));
            text.truncate(text.trim_end().len() - 1);
            text
        }
    };
    text.into_bytes()
}

fn event(resource: &str, subresource: Option<&str>, verb: &str, uri: &str) -> Value {
    let mut event = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": "7e1b", "verb": verb,
        "stage": "ResponseComplete", "requestURI": uri, "user": { "username": "a\"b\\c é" },
        "sourceIPs": ["10.0.0.1"], "userAgent": "k/1 (l) {[", "objectRef": { "resource": resource },
        "responseStatus": { "code": 200 },
    });
    if let Some(subresource) = subresource {
        event["objectRef"]["subresource"] = subresource.into();
    }
    event
}

fn matching_event() -> impl Strategy<Value = Value> {
    prop_oneof![
        "\\PC{0,8}".prop_map(|noise| {
            let uri = format!("/x?a={noise}&command=cat&command=/etc/shadow");
            event("pods", Some("exec"), "get", &uri)
        }),
        Just(event("nodes", Some("proxy"), "get", "/nodes/n/proxy/exec/a/b/c?command=/etc/shadow")),
        Just(event("nodes", Some("proxy"), "create", "/nodes/n:10250/proxy/run/a/b/c")),
        Just(event("secrets", None, "list", "/api/v1/secrets")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn what_the_reader_finds_and_a_rule_matches_passes(
        event in matching_event(),
        wrapper in 0..WRAPPERS,
        choices in prop::collection::vec(any::<u8>(), 1..40),
        escape_one_in in prop::sample::select(vec![0_u8, 0, 1, 2, 40, 200]),
    ) {
        let beside = self::event("pods", None, "list", "/api/v1/pods");
        let mut speller = Speller { choices: &choices, next: 0, escape_one_in, plain: false };
        let record = wrapped(wrapper, &event, &beside, &mut speller);
        let shown = String::from_utf8_lossy(&record);
        prop_assert_eq!(matching_events(&record), 1, "{}: {}", wrapper, shown);
        prop_assert_eq!(PREFILTER.verdict(&record), Verdict::Pass, "{}: {}", wrapper, shown);
    }

    #[test]
    fn what_the_reader_finds_and_a_query_matches_passes(
        event in object_event(),
        beside in object_event(),
        wrapper in 0..WRAPPERS,
        choices in prop::collection::vec(any::<u8>(), 1..40),
        escape_one_in in prop::sample::select(vec![0_u8, 0, 0, 40, 200]),
        plain in prop::bool::weighted(0.9),
    ) {
        let mut speller = Speller { choices: &choices, next: 0, escape_one_in, plain };
        let record = wrapped(wrapper, &event, &beside, &mut speller);
        for (query, (matcher, prefilter)) in QUERIES.iter().zip(&*WITH_QUERY) {
            if matches_of(matcher, &record) {
                let shown = String::from_utf8_lossy(&record);
                prop_assert_eq!(prefilter.verdict(&record), Verdict::Pass, "{} {}: {}", query, wrapper, shown);
            }
        }
    }

    #[test]
    fn gke_entries_pass_in_every_spelling(
        choices in prop::collection::vec(any::<u8>(), 1..40),
        escape_one_in in prop::sample::select(vec![0_u8, 0, 1, 2, 40]),
        from_authorization in any::<bool>(),
        secrets in any::<bool>(),
        pushed in any::<bool>(),
    ) {
        let (method, resource) = if secrets {
            ("io.k8s.core.v1.secrets.list", "core/v1/secrets")
        } else {
            ("io.k8s.core.v1.pods.exec.create", "core/v1/namespaces/n/pods/p/exec")
        };
        let mut entry = json!({
            "insertId": "i", "labels": { "command.gke.io/command": "cat /etc/shadow" },
            "protoPayload": {
                "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
                "authenticationInfo": { "principalEmail": "a@example.com" },
                "requestMetadata": { "callerIp": "10.0.0.1", "callerSuppliedUserAgent": "k" },
                "methodName": method, "serviceName": "k8s.io",
            },
        });
        if from_authorization {
            entry["protoPayload"]["authorizationInfo"] = json!([{ "resource": resource }]);
        } else {
            entry["protoPayload"]["resourceName"] = resource.into();
        }
        let mut speller = Speller { choices: &choices, next: 0, escape_one_in, plain: false };
        let mut record = speller.value(&entry);
        if pushed {
            let data = STANDARD.encode(&record);
            record = speller.value(&json!({ "message": { "messageId": "1", "data": data } }));
        }
        prop_assert_eq!(matching_events(record.as_bytes()), 1, "{}", record);
        prop_assert_eq!(PREFILTER.verdict(record.as_bytes()), Verdict::Pass, "{}", record);
    }
}
