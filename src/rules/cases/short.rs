//! Short events made whole, so that a case need not repeat what it is not about.
//!
//! What an event leaves out of `kind`, `apiVersion`, `level`, `auditID`, `stage` and the two times
//! is filled in; `exec` stands for the request of an exec. A key that is there stays as it is, also
//! one that is null. Documents that are no bare event are left alone.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

/// The keys of an audit event (`audit.k8s.io/v1`, and `timestamp` of `v1beta1`).
pub const EVENT_KEYS: [&str; 19] = [
    "kind",
    "apiVersion",
    "level",
    "auditID",
    "stage",
    "requestURI",
    "verb",
    "user",
    "impersonatedUser",
    "sourceIPs",
    "userAgent",
    "objectRef",
    "responseStatus",
    "requestObject",
    "responseObject",
    "requestReceivedTimestamp",
    "stageTimestamp",
    "timestamp",
    "annotations",
];
/// The key that stands for an exec.
const EXEC: &str = "exec";
const USER_KEYS: [&str; 4] = ["username", "uid", "groups", "extra"];
const OBJECT_KEYS: [&str; 8] = [
    "resource",
    "namespace",
    "name",
    "uid",
    "apiGroup",
    "apiVersion",
    "resourceVersion",
    "subresource",
];
const STATUS_KEYS: [&str; 6] = ["metadata", "status", "reason", "message", "code", "details"];

/// When the first event was, where it does not say.
const FIRST_TIME: &str = "2026-01-01T00:00:00Z";

/// A key that no event has.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownKey {
    pub key: String,
    pub nearest: Option<&'static str>,
}

/// Whether a bare event in JSON has a key that no event can have.
pub fn unknown_key_of(document: &Value) -> Option<UnknownKey> {
    let object = document.as_object().filter(|object| is_bare(object))?;
    // Newer servers write more than is asked about.
    let own = |key: &str| !["authenticationMetadata", "metadata"].contains(&key);
    object.iter().filter(|(key, _)| own(key)).find_map(|(key, value)| {
        let below = value.as_object().into_iter().flat_map(Map::keys).map(String::as_str);
        unknown_key(key, below)
    })
}

/// Whether an event has a key that no event can have, at the top or one level below.
pub fn unknown_key<'k>(key: &str, mut below: impl Iterator<Item = &'k str>) -> Option<UnknownKey> {
    let unknown = |full: String, key: &str, known: &[&'static str]| {
        // `user.name` is what people write for `user.username`.
        let likeness = |it: &&'static str| match it.ends_with(key) {
            true => 1.0,
            false => strsim::jaro_winkler(key, it),
        };
        let near = known.iter().copied().filter(|it| likeness(it) > 0.7);
        let nearest = near.max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        Some(UnknownKey { key: full, nearest })
    };
    if key != EXEC && !EVENT_KEYS.contains(&key) {
        return unknown(key.to_owned(), key, &EVENT_KEYS);
    }
    let known: &[&'static str] = match key {
        "user" | "impersonatedUser" => &USER_KEYS,
        "objectRef" => &OBJECT_KEYS,
        "responseStatus" => &STATUS_KEYS,
        _ => return None,
    };
    let below = below.find(|below| !known.contains(below))?;
    unknown(format!("{key}.{below}"), below, known)
}

/// Makes the events of one case whole, one after the other.
pub struct Filler {
    events: usize,
    last: jiff::Timestamp,
    /// When each request was received, by the id of its events.
    received: BTreeMap<String, Value>,
}

impl Filler {
    pub fn new() -> Filler {
        Filler { events: 0, last: jiff::Timestamp::UNIX_EPOCH, received: BTreeMap::new() }
    }

    /// A document as an event; `Err` gives one back that is none, such as a wrapper's.
    pub fn filled(&mut self, document: Value) -> Result<Value, Value> {
        match document {
            Value::Object(object) if is_bare(&object) => Ok(self.event(object)),
            other => Err(other),
        }
    }

    pub fn event(&mut self, mut event: Map<String, Value>) -> Value {
        if let Some(arguments) = event.get(EXEC).and_then(arguments) {
            event.remove(EXEC);
            fill_exec(&mut event, &arguments);
        }
        self.events += 1;
        let bodies = ["requestObject", "responseObject"].iter().any(|it| event.contains_key(*it));
        let level = if bodies { "RequestResponse" } else { "Metadata" };
        let id = format!("event-{}", self.events);
        let defaults = [
            ("kind", "Event"),
            ("apiVersion", "audit.k8s.io/v1"),
            ("level", level),
            ("auditID", id.as_str()),
            ("stage", "ResponseComplete"),
        ];
        for (key, value) in defaults {
            event.entry(key).or_insert_with(|| Value::from(value));
        }
        self.fill_times(&mut event);
        Value::Object(event)
    }

    /// A time that is missing is the other one, and else a second after the event before. The stages
    /// of one request were received at one time.
    fn fill_times(&mut self, event: &mut Map<String, Value>) {
        const TIMES: [&str; 2] = ["requestReceivedTimestamp", "stageTimestamp"];
        let given = TIMES.iter().find_map(|key| event.get(*key).filter(|time| time.is_string()));
        let next = match self.events {
            0 | 1 => FIRST_TIME.parse().unwrap_or(self.last),
            _ => self.last.saturating_add(jiff::SignedDuration::from_secs(1)).unwrap_or(self.last),
        };
        let time = given.cloned().unwrap_or_else(|| Value::from(next.to_string()));
        let said = time.as_str().and_then(|time| time.parse::<jiff::Timestamp>().ok());
        self.last = said.unwrap_or(next);
        let request = event.get("auditID").and_then(Value::as_str).unwrap_or_default().to_owned();
        let received = self.received.get(&request).unwrap_or(&time).clone();
        let received = event.entry(TIMES[0]).or_insert(received).clone();
        event.entry(TIMES[1]).or_insert(time);
        self.received.entry(request).or_insert(received);
    }
}

/// Whether a document is an event and nothing around it.
fn is_bare(object: &Map<String, Value>) -> bool {
    match object.get("kind") {
        Some(kind) => kind == "Event",
        None => {
            let own = ["verb", "requestURI", "objectRef", "user", "auditID", "stage", EXEC];
            own.iter().any(|key| object.contains_key(*key))
        }
    }
}

/// The texts of a list.
pub fn arguments(value: &Value) -> Option<Vec<String>> {
    let list = value.as_array()?.iter();
    list.map(|argument| argument.as_str().map(str::to_owned)).collect()
}

/// What an argument may hold as it is: RFC 3986's unreserved characters.
const ARGUMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The request of `kubectl exec`, of what is not there yet.
fn fill_exec(event: &mut Map<String, Value>, arguments: &[String]) {
    event.entry("verb").or_insert_with(|| json!("get"));
    let object = event.entry("objectRef").or_insert_with(|| json!({}));
    let Value::Object(object) = object else { return };
    let defaults = [
        ("resource", "pods"),
        ("namespace", "default"),
        ("name", "pod"),
        ("apiVersion", "v1"),
        ("subresource", "exec"),
    ];
    for (key, value) in defaults {
        object.entry(key).or_insert_with(|| Value::from(value));
    }
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut uri = format!("/api/v1/namespaces/{}/pods/{}/exec?", text("namespace"), text("name"));
    for argument in arguments {
        let argument = utf8_percent_encode(argument, ARGUMENT);
        uri.push_str(&format!("command={argument}&"));
    }
    uri.push_str("container=main&stderr=true&stdout=true");
    event.entry("requestURI").or_insert_with(|| Value::from(uri));
}
