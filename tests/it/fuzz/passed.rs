//! Records as no pipeline writes them: events and wrappers with fields twice, in any order, of any
//! type, in any spelling, one within another and one behind another. What a rule finds in one of
//! them has to get past the filter of raw bytes.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kubetell::detect::matcher::{Context, Matcher};
use kubetell::ingest::envelope::{self, Outcome, Wrapper};
use kubetell::ingest::prefilter::{Prefilter, Verdict};
use kubetell::position::Position;
use kubetell::rules::set::RuleSet;

use super::mutate::{JSON_TOKENS, mutated};
use crate::shells::Xorshift;

/// What rules ask, each alone: fields that are known early, others, both, and neither.
const QUERIES: [&str; 16] = [
    "event.action:create and kubernetes.audit.objectRef.resource:(roles or pods)",
    "event.action:delete and not user.name:ann",
    "kubernetes.audit.objectRef.subresource:(exec or attach)",
    "kubernetes.audit.objectRef.namespace:kube-system and user_agent.original:curl*",
    "exec.command:*shadow*",
    "not exec.command:* and not user.name:bob and kubernetes.audit.objectRef.namespace:k*",
    "kubernetes.audit.requestObject.verb:create and event.action:update",
    "kubernetes.audit.level:Request and kubernetes.audit.stage:ResponseComplete",
    "not kubernetes.audit.level:* and event.action:create",
    "event.outcome:failure and kubernetes.audit.stage:ResponseComplete",
    "event.action:(create or get) and not kubernetes.audit.objectRef.name:*",
    "kubernetes.audit.objectRef.apiGroup:batch or kubernetes.audit.objectRef.name:x",
    "kubernetes.audit.objectRef:{ resource:roles and namespace:kube-system }",
    "kubernetes.audit.annotations.key:* and not event.action:get",
    "user.name:ann and kubernetes.audit.responseStatus.code >= 400",
    "kubernetes.audit.impersonatedUser.username:* and event.action:create",
];

/// Names that mean something somewhere.
const NAMES: [&str; 62] = [
    "kind",
    "apiVersion",
    "level",
    "auditID",
    "stage",
    "requestURI",
    "verb",
    "user",
    "sourceIPs",
    "impersonatedUser",
    "userAgent",
    "objectRef",
    "responseStatus",
    "annotations",
    "timestamp",
    "requestObject",
    "responseObject",
    "stageTimestamp",
    "requestReceivedTimestamp",
    "metadata",
    "username",
    "groups",
    "extra",
    "resource",
    "namespace",
    "name",
    "apiGroup",
    "subresource",
    "code",
    "log",
    "message",
    "@timestamp",
    "items",
    "kubernetes",
    "audit",
    "source_type",
    "agent",
    "log_type",
    "k8s_audit_level",
    "openshift_audit_level",
    "awslogs",
    "messageType",
    "logStream",
    "logEvents",
    "records",
    "category",
    "operationName",
    "properties",
    "receivedMessages",
    "data",
    "messageId",
    "protoPayload",
    "operation",
    "labels",
    "resourceLogs",
    "scopeLogs",
    "logRecords",
    "body",
    "stringValue",
    "serviceName",
    "methodName",
    "resourceName",
];

const WORDS: [&str; 36] = [
    "create",
    "delete",
    "update",
    "get",
    "list",
    "roles",
    "pods",
    "nodes",
    "secrets",
    "exec",
    "attach",
    "proxy",
    "kube-system",
    "ann",
    "bob",
    "curl/8",
    "batch",
    "x",
    "",
    "Request",
    "Metadata",
    "ResponseComplete",
    "Event",
    "EventList",
    "audit.k8s.io/v1",
    "audit.k8s.io/v1beta1",
    "v1",
    "kube-audit",
    "CONTROL_MESSAGE",
    "k8s.io",
    "io.k8s.core.v1.secrets.create",
    "core/v1/namespaces/kube-system/secrets/x",
    "auditID",
    "}{\"verb\":\"create\"",
    "[\\u0076erb]",
    "stdout F {",
];

/// JSON in which a name may stand twice.
#[derive(Clone)]
enum Json {
    Raw(&'static str),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

use Json::{List, Object, Raw, Text};

/// How strings and blanks are written: one of so many is odd; 0 is none.
struct Spelling {
    escape_one_in: usize,
    blank_one_in: usize,
    line_one_in: usize,
}

impl Spelling {
    fn any(random: &mut Xorshift) -> Spelling {
        let mut one_of = |of: &[usize]| of[random.below(of.len())];
        Spelling {
            escape_one_in: one_of(&[0, 0, 0, 0, 0, 400, 60, 4]),
            blank_one_in: one_of(&[0, 0, 0, 12]),
            line_one_in: one_of(&[0, 0, 0, 0, 0, 40]),
        }
    }
}

fn one_in(random: &mut Xorshift, count: usize) -> bool {
    count > 0 && random.below(count) == 0
}

fn pick<'t>(random: &mut Xorshift, of: &[&'t str]) -> &'t str {
    of[random.below(of.len())]
}

fn blank(random: &mut Xorshift, how: &Spelling, out: &mut String) {
    if one_in(random, how.blank_one_in) {
        out.push_str(pick(random, &[" ", "\t", "\r", "  "]));
    }
    if one_in(random, how.line_one_in) {
        out.push('\n');
    }
}

fn write_text(random: &mut Xorshift, how: &Spelling, text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            c if one_in(random, how.escape_one_in) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '/' if random.below(16) == 0 => out.push_str("\\/"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

fn write(random: &mut Xorshift, how: &Spelling, json: &Json, out: &mut String) {
    blank(random, how, out);
    match json {
        Raw(raw) => out.push_str(raw),
        Text(text) => write_text(random, how, text, out),
        List(items) => {
            out.push('[');
            for (nth, item) in items.iter().enumerate() {
                if nth > 0 {
                    out.push(',');
                }
                write(random, how, item, out);
            }
            out.push(']');
        }
        Object(members) => {
            out.push('{');
            for (nth, (name, value)) in members.iter().enumerate() {
                if nth > 0 {
                    out.push(',');
                }
                blank(random, how, out);
                write_text(random, how, name, out);
                blank(random, how, out);
                out.push(':');
                write(random, how, value, out);
            }
            out.push('}');
        }
    }
    blank(random, how, out);
}

fn spelled(random: &mut Xorshift, json: &Json) -> String {
    let how = Spelling::any(random);
    let mut out = String::new();
    write(random, &how, json, &mut out);
    out
}

fn text(text: &str) -> Json {
    Text(text.to_owned())
}

fn object(members: Vec<(&str, Json)>) -> Json {
    Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// An event as API servers write it, of which some fields may be missing.
fn event(random: &mut Xorshift) -> Json {
    let mut word = |of: &[&str]| text(of[random.below(of.len())]);
    let mut reference = vec![
        ("resource", word(&["roles", "pods", "nodes", "secrets", "resource"])),
        ("namespace", word(&["kube-system", "n"])),
        ("name", word(&["x", "create", "roles"])),
        ("apiGroup", word(&["batch", "pods"])),
        ("subresource", word(&["exec", "attach", "proxy", "status"])),
    ];
    let uri = "/api/v1/nodes/n/proxy/exec/a/b/c?command=cat&command=/etc/shadow";
    let mut members = vec![
        ("kind", text("Event")),
        ("apiVersion", text("audit.k8s.io/v1")),
        ("level", word(&["Metadata", "Request"])),
        ("auditID", text("7e1b")),
        ("stage", word(&["ResponseComplete", "RequestReceived"])),
        ("requestURI", text(uri)),
        ("verb", word(&["create", "delete", "update", "get", "list"])),
        ("user", object(vec![("username", word(&["ann", "bob"])), ("groups", List(vec![]))])),
        ("impersonatedUser", object(vec![("username", text("eve"))])),
        ("sourceIPs", List(vec![text("10.0.0.7")])),
        ("userAgent", word(&["curl/8", "kubectl", "a \"verb\" {"])),
    ];
    let tail = vec![
        ("responseStatus", object(vec![("code", Raw("403"))])),
        ("requestObject", object(vec![("verb", word(&["create", "get"]))])),
        ("requestReceivedTimestamp", text("2025-07-13T08:38:39.127266Z")),
        (
            "annotations",
            object(vec![
                ("authorization.k8s.io/decision", word(&["allow", "forbid"])),
                ("key", text("v")),
            ]),
        ),
    ];
    reference.retain(|_| random.below(4) > 0);
    members.push(("objectRef", object(reference)));
    members.extend(tail);
    let whole = random.below(3) == 0;
    // What is at the very front is written in one order, or what is behind it would count for
    // little.
    members.retain(|(name, _)| match *name {
        "impersonatedUser" => random.below(8) == 0,
        "kind" | "apiVersion" | "auditID" | "verb" => random.below(24) > 0,
        _ => whole || random.below(12) > 0,
    });
    object(members)
}

fn entry_of_gke(random: &mut Xorshift) -> Json {
    let mut payload = vec![
        ("serviceName", text("k8s.io")),
        ("methodName", text(pick(random, &["io.k8s.core.v1.secrets.create", "io.k8s.get"]))),
        (
            "resourceName",
            text(pick(random, &["core/v1/namespaces/kube-system/secrets/x", "readyz"])),
        ),
        ("authorizationInfo", List(vec![object(vec![("granted", Raw("false"))])])),
    ];
    if random.below(2) == 0 {
        payload.insert(0, ("@type", text("type.googleapis.com/google.cloud.audit.AuditLog")));
    }
    object(vec![("insertId", text("i")), ("protoPayload", object(payload))])
}

fn gzipped(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// One or several documents as a text.
fn documents(random: &mut Xorshift, depth: usize) -> String {
    let mut out = String::new();
    for _ in 0..=usize::from(random.below(6) == 0) + usize::from(random.below(12) == 0) {
        let json = document(random, depth + 1);
        out.push_str(&spelled(random, &json));
        out.push_str(pick(random, &["", "", "\n", " "]));
    }
    if random.below(24) == 0 {
        out.insert_str(0, pick(random, &["stdout F ", "\u{feff}", "\n", "x", "1 "]));
    }
    if random.below(24) == 0 {
        out.push_str(pick(random, &["}", "]", "x", "\0", ",", "{", "[Truncated...]", "1e999"]));
    }
    out
}

fn value(random: &mut Xorshift, depth: usize) -> Json {
    match random.below(if depth < 4 { 12 } else { 6 }) {
        0 => Raw(pick(
            random,
            &["null", "true", "1", "1.5", "-0", "1e999", "nul", "12345678901234567890"],
        )),
        1..=3 => text(pick(random, &WORDS)),
        4 => List(vec![text(pick(random, &WORDS))]),
        5 => object(vec![(pick(random, &NAMES), text(pick(random, &WORDS)))]),
        6 | 7 => Text(documents(random, depth)),
        8 => document(random, depth + 1),
        9 => List((0..random.below(3)).map(|_| document(random, depth + 1)).collect()),
        10 => Text(STANDARD.encode(documents(random, depth))),
        _ => Text(STANDARD.encode(gzipped(&documents(random, depth)))),
    }
}

fn document(random: &mut Xorshift, depth: usize) -> Json {
    let mut json = if depth < 4 { wrapped(random, depth) } else { event(random) };
    if random.below(3) == 0 {
        for _ in 0..=random.below(3) {
            change(random, &mut json, depth);
        }
    }
    json
}

fn wrapped(random: &mut Xorshift, depth: usize) -> Json {
    let inner = |random: &mut Xorshift| document(random, depth + 1);
    let line = |random: &mut Xorshift| Text(documents(random, depth));
    match random.below(24) {
        0 | 1 => object(vec![
            ("kind", text("EventList")),
            ("apiVersion", text("audit.k8s.io/v1")),
            ("metadata", object(vec![])),
            ("items", List((0..random.below(4)).map(|_| event(random)).collect())),
        ]),
        2 => object(vec![("items", List(vec![inner(random), inner(random)]))]),
        3 | 4 => object(vec![("@timestamp", Raw("1.5")), ("log", line(random))]),
        5 => object(vec![("log", line(random)), ("message", line(random))]),
        6 => object(vec![("message", line(random)), ("source_type", text("file"))]),
        7 => object(vec![
            ("@timestamp", text("x")),
            ("kubernetes", object(vec![("node", text("n")), ("audit", event(random))])),
        ]),
        8 => object(vec![("kubernetes", object(vec![("audit", line(random))]))]),
        9 => object(vec![
            ("messageType", text("DATA_MESSAGE")),
            ("logEvents", List(vec![object(vec![("message", line(random))])])),
        ]),
        10 => {
            let data = STANDARD.encode(gzipped(&documents(random, depth)));
            object(vec![("awslogs", object(vec![("data", Text(data))]))])
        }
        11 => object(vec![(
            "records",
            List(vec![object(vec![
                ("category", text("kube-audit")),
                ("properties", object(vec![("log", line(random))])),
            ])]),
        )]),
        12 => object(vec![(
            "message",
            object(vec![
                ("messageId", text("1")),
                ("data", Text(STANDARD.encode(documents(random, depth)))),
            ]),
        )]),
        13 => object(vec![(
            "resourceLogs",
            List(vec![object(vec![(
                "scopeLogs",
                List(vec![object(vec![(
                    "logRecords",
                    List(vec![object(vec![("body", object(vec![("stringValue", line(random))]))])]),
                )])]),
            )])]),
        )]),
        14 => line(random),
        15 => List(vec![inner(random), inner(random)]),
        16 => entry_of_gke(random),
        _ => {
            let mut event = event(random);
            if let (Object(members), 0) = (&mut event, random.below(4)) {
                members.insert(0, ("@timestamp".to_owned(), Raw("1.5")));
            }
            event
        }
    }
}

/// Changes one object somewhere within.
fn change(random: &mut Xorshift, json: &mut Json, depth: usize) {
    let members = match json {
        List(items) if !items.is_empty() => {
            let at = random.below(items.len());
            return change(random, &mut items[at], depth);
        }
        Object(members) if !members.is_empty() => members,
        Object(_) | Raw(_) | Text(_) | List(_) => {
            *json = value(random, depth);
            return;
        }
    };
    let at = random.below(members.len());
    match random.below(9) {
        0 => {
            let (name, other) = (members[at].0.clone(), value(random, depth));
            let to = random.below(members.len() + 1);
            members.insert(to, (name, other));
        }
        1 => {
            let (name, to) = (pick(random, &NAMES), random.below(members.len() + 1));
            let value = value(random, depth);
            members.insert(to, (name.to_owned(), value));
        }
        // Behind all that is written first.
        2 => {
            let name = pick(random, &NAMES);
            let value = value(random, depth);
            members.push((name.to_owned(), value));
        }
        3 => drop(members.remove(at)),
        4 => {
            let to = random.below(members.len());
            members.swap(at, to);
        }
        5 => members[at].0 = pick(random, &NAMES).to_owned(),
        6 => members[at].1 = value(random, depth),
        _ => change(random, &mut members[at].1, depth),
    }
}

pub fn record(random: &mut Xorshift) -> Vec<u8> {
    let record = documents(random, 0).into_bytes();
    match random.below(16) {
        0 => mutated(random, &[record], &JSON_TOKENS),
        _ => record,
    }
}

/// Rules, and what lets records through to them.
pub struct Asked {
    matcher: Matcher,
    prefilter: Prefilter,
    name: String,
}

#[derive(Default)]
pub struct Counts {
    pub found: AtomicU64,
    pub dropped: AtomicU64,
}

fn rule(number: usize, query: &str) -> String {
    format!(
        "id = \"rule-{number}\"\nuuid = \"f1c2a7c8-2b7b-4d4b-8f8e-52b4c0f8b9{number:02}\"\n\
         name = \"A rule\"\nversion = \"1.0.0\"\nlicense = \"Apache-2.0\"\nseverity = \"low\"\n\
         risk_score = 21\ndescription = \"A rule.\"\ntype = \"query\"\nquery = '{query}'\n"
    )
}

impl Asked {
    fn of(name: &str, rules: RuleSet) -> Asked {
        let rules = Arc::new(rules);
        let prefilter = Prefilter::new(&rules);
        Asked { matcher: Matcher::new(rules, 0), prefilter, name: name.to_owned() }
    }

    /// The rules of the project, each query alone, and many together.
    pub fn all() -> Vec<Asked> {
        let texts: Vec<String> =
            QUERIES.iter().enumerate().map(|(number, query)| rule(number, query)).collect();
        let of = |texts: &[String]| {
            RuleSet::from_sources(texts.iter().map(|text| ("rule.toml", text.as_str()))).unwrap()
        };
        let mut all = vec![Asked::of("builtin", RuleSet::builtin().unwrap())];
        all.extend(
            texts
                .iter()
                .zip(QUERIES)
                .map(|(text, query)| Asked::of(query, of(std::slice::from_ref(text)))),
        );
        let together = RuleSet::builtin().unwrap().merged(of(&texts[..2])).unwrap();
        all.push(Asked::of("together", together));
        all
    }

    fn finds(&self, record: &[u8], forced: Option<Wrapper>) -> bool {
        let mut found = Vec::new();
        envelope::read_asking(record, forced, self.matcher.bodies(), &mut |item, outcome| {
            if let Outcome::Event(read) = outcome {
                let context = Context {
                    cluster: "c",
                    position: Position::File { path: "-".to_owned(), line: 1, item },
                    wrapper_id: None,
                    wrapper_time_ms: None,
                };
                self.matcher.examine(read.event, context, &mut found);
            }
        });
        !found.is_empty()
    }

    pub fn check(&self, record: &[u8], counts: &Counts) {
        let dropped = self.prefilter.verdict(record) == Verdict::Drop;
        counts.dropped.fetch_add(u64::from(dropped), Ordering::Relaxed);
        // A configuration may say what every record is.
        let forced = Wrapper::ALL.get(record.len() % (2 * Wrapper::ALL.len())).copied();
        for forced in [None, forced] {
            if self.finds(record, forced) {
                counts.found.fetch_add(1, Ordering::Relaxed);
                let shown = String::from_utf8_lossy(record);
                assert!(!dropped, "{} {forced:?}: {shown}", self.name);
            }
        }
    }
}
