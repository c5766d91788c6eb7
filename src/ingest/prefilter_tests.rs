use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::audit::event::Event;
use crate::detect::matcher::{Context, Matcher};
use crate::ingest::envelope::Wrapper;
use crate::position::Position;
use crate::rules::rule::Rule;

static RULES: LazyLock<Arc<RuleSet>> = LazyLock::new(|| Arc::new(RuleSet::builtin().unwrap()));
static PREFILTER: LazyLock<Prefilter> = LazyLock::new(|| Prefilter::new(&RULES));

fn verdict(record: impl AsRef<[u8]>) -> Verdict {
    PREFILTER.verdict(record.as_ref())
}

fn matches_a_rule(event: Event<'_>) -> bool {
    let context = Context {
        cluster: "c",
        position: Position::File { path: "-".to_owned(), line: 1, item: 0 },
        wrapper_id: None,
        wrapper_time_ms: None,
    };
    let mut out = Vec::new();
    Matcher::new(Arc::clone(&RULES), 0).examine(event, context, &mut out);
    !out.is_empty()
}

/// An event as an API server writes it, Go's escapes included.
const LIST: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"7e1b","stage":"ResponseComplete","requestURI":"/api/v1/pods?limit=500\u0026watch=true\u0026fieldSelector=a%3Db\u003c\u003e","verb":"watch","user":{"username":"system:serviceaccount:kube-system:kube-proxy","groups":["system:authenticated"]},"sourceIPs":["10.0.0.7"],"userAgent":"kube-proxy/v1.34.1 (linux/amd64) kubernetes/abcdef0","objectRef":{"resource":"pods","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":200},"requestReceivedTimestamp":"2025-07-13T08:38:39.127266Z","stageTimestamp":"2025-07-13T08:38:39.127266Z","annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: allowed by ClusterRoleBinding \"node-proxier\""}}"#;

#[test]
fn drops_ordinary_events_in_every_wrapper_that_shows_them() {
    let quoted = Value::from(LIST).to_string();
    let twice = Value::from(json!({ "log": LIST }).to_string()).to_string();
    for record in [
        LIST.to_owned(),
        format!("  {LIST}\n"),
        format!("{LIST}\n{LIST}\n"),
        format!("[{LIST},{LIST}]"),
        format!(r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{LIST},{LIST}]}}"#),
        quoted.clone(),
        format!(r#"{{"@timestamp":1.5,"log":{quoted}}}"#),
        format!(r#"{{"records":[{{"category":"kube-audit","properties":{{"log":{quoted}}}}}]}}"#),
        format!(r#"{{"messageType":"X","logEvents":[{{"message":{quoted}}}]}}"#),
        format!(r#"{{"message":{twice}}}"#),
        // What else begins as the key of data that cannot be looked into.
        format!(r#"{{"data_stream":{{"dataset":"database"}},"kubernetes":{{"audit":{LIST}}}}}"#),
        // The escapes of encoders that protect HTML or control characters.
        LIST.replace("kube-system:", r"kube-system:\u0027\u003d\u001b\u0000\u007f"),
        // Escapes of other planes.
        LIST.replace("kube-system:", r"\u00e9\u2028\ud83d\ude00"),
    ] {
        assert_eq!(verdict(&record), Verdict::Drop, "{record}");
    }
}

#[test]
fn lets_through_what_it_cannot_judge() {
    let cut = &LIST[..LIST.len() - 40];
    let quoted = |text: &str| Value::from(text).to_string();
    for record in [
        String::new(),
        " \n".to_owned(),
        "{".to_owned(),
        "\"".to_owned(),
        "auditID".to_owned(),
        // Cut off, alone or within a wrapper, also where the wrapper is whole.
        cut.to_owned(),
        LIST[40..].to_owned(),
        format!("{LIST}\n{cut}"),
        format!(r#"{{"log":{}}}"#, quoted(cut)),
        format!(r#"{{"logEvents":[{{"message":{}}}]}}"#, quoted(&format!("{cut}[Truncated...]"))),
        format!("{LIST}}}"),
        format!("{LIST}]"),
        // Behind a byte order mark, a date, a binary frame.
        format!("\u{feff}{LIST}"),
        format!("2025-07-13T08:38:39Z stdout F {LIST}"),
        format!("\0\0\0\0\u{1}{LIST}"),
        // Not audit events, or not visibly.
        r#"{"hello":"world"}"#.to_owned(),
        r#""eyJraW5kIjoiRXZlbnQifQ==""#.to_owned(),
        format!(r#"[{LIST},{{"message":{{"data":"eyJraW5kIjoiRXZlbnQifQ=="}}}}]"#),
        format!(r#"[{LIST},{{"awslogs":{{}}}}]"#),
        format!(r#"[{LIST},{}]"#, quoted(r#"{"message":{"data":"eyJraW5kIjoiRXZlbnQifQ=="}}"#)),
        format!(
            r#"[{LIST},{}]"#,
            quoted(&quoted(r#"{"message":{"data":"eyJraW5kIjoiRXZlbnQifQ=="}}"#))
        ),
        // Escapes that no encoder writes without a need.
        LIST.replace("pods", r"p\u006fds"),
        LIST.replace("pods", r"p\\u006Fds"),
        LIST.replace("pods", r"p\u005cu006fds"),
        LIST.replace("pods", r"p\u00zzds"),
        LIST.replace("pods", r"\u0022"),
        LIST.replace("pods", r"\u002e\u002f"),
    ] {
        assert_eq!(verdict(&record), Verdict::Pass, "{record}");
    }
    assert_eq!(verdict([0x1f, 0x8b, 8, 0]), Verdict::Pass);
    assert_eq!(verdict([0x28, 0xb5, 0x2f, 0xfd]), Verdict::Pass);
    let utf16: Vec<u8> = LIST.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(verdict(&utf16), Verdict::Pass);
    let mut large = LIST.as_bytes().to_vec();
    large.resize(limits::RECORD_MAX_BYTES + 1, b' ');
    assert_eq!(verdict(&large), Verdict::Pass);
}

#[test]
fn lets_through_the_entries_of_gke() {
    let entry = |method: &str, resource: &str| {
        format!(
            r#"{{"insertId":"i","protoPayload":{{"@type":"type.googleapis.com/google.cloud.audit.AuditLog","methodName":"{method}","resourceName":"{resource}"}}}}"#
        )
    };
    for (method, resource, expected) in [
        ("io.k8s.core.v1.pods.exec.create", "", Verdict::Pass),
        ("io.k8s.core.v1.pods.exec.get", "", Verdict::Pass),
        ("", "core/v1/namespaces/n/pods/p/exec", Verdict::Pass),
        ("io.k8s.core.v1.secrets.list", "", Verdict::Pass),
        ("", "core/v1/namespaces/n/secrets/s", Verdict::Pass),
        ("io.k8s.core.v1.nodes.proxy.create", "", Verdict::Pass),
        ("io.k8s.core.v1.pods.list", "core/v1/pods", Verdict::Drop),
    ] {
        assert_eq!(verdict(entry(method, resource)), expected, "{method} {resource}");
    }
}

#[test]
fn looks_for_what_the_rules_in_force_need_and_no_more() {
    let of = |resource: &str, verb: &str| {
        LIST.replace("\"pods\"", &format!("{resource:?}"))
            .replace("\"watch\"", &format!("{verb:?}"))
    };
    let secret = of("secrets", "list");
    let exec_only = Prefilter::new(&RULES.only(&["pod-exec-sensitive-path"]).unwrap());
    assert_eq!(exec_only.verdict(secret.as_bytes()), Verdict::Drop);
    assert_eq!(verdict(&secret), Verdict::Pass);
    // By the fields, where they can be told.
    assert_eq!(verdict(of("secrets", "watch")), Verdict::Drop);
    assert_eq!(verdict(of("exec", "get")), Verdict::Drop);
    assert_eq!(verdict(of("exec", "get").replacen('{', "{\"x\":1,", 1)), Verdict::Pass);

    let configmaps = include_str!("../rules/builtin/secret-access-unusual-client.toml")
        .replace("\"secrets\"", "\"configmaps\"");
    let rules = RuleSet::from_sources([("r.toml", configmaps.as_str())]).unwrap();
    let prefilter = Prefilter::new(&rules);
    let configmap = of("configmaps", "list");
    assert_eq!(prefilter.verdict(configmap.as_bytes()), Verdict::Pass);
    assert_eq!(prefilter.verdict(secret.as_bytes()), Verdict::Drop);
}

#[test]
fn counts_braces_as_a_plain_count_does() {
    for length in [0, 1, 15, 16, 31, 32, 33, 127, 128, 254, 255, 256, 1_000, 8_159, 8_160, 20_001] {
        let (open, close) = ("{".repeat(length), "}".repeat(length));
        assert!(!closes(format!("{open}{{").as_bytes(), 0), "{length}");
        assert!(closes((open + &close).as_bytes(), 0), "{length}");
        assert!(closes(format!("{close}}}").as_bytes(), length + 1), "{length}");
    }
}

/// A source of choices that a seed decides (SplitMix64).
pub(super) struct Choices(pub(super) u64);

impl Choices {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn one_in(&mut self, n: u64) -> bool {
        n > 0 && self.next().is_multiple_of(n)
    }
}

/// Writes JSON in any of the spellings that mean the same: whitespace, order of keys, and each
/// character of a string escaped or not.
pub(super) struct Speller {
    pub(super) choices: Choices,
    pub(super) escapes: Escapes,
}

/// What is escaped as `\u00XX` without a need.
#[derive(Debug, Clone, Copy)]
pub(super) enum Escapes {
    /// One character in so many; 0 is none.
    OneIn(u64),
    /// This character, always.
    Only(char),
}

impl Speller {
    pub(super) fn value(&mut self, value: &Value) -> String {
        let text = match value {
            Value::String(text) => self.string(text),
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(|item| self.value(item)).collect();
                format!("[{}]", items.join(","))
            }
            Value::Object(map) => {
                let mut pairs: Vec<(u64, String)> = map
                    .iter()
                    .map(|(key, value)| {
                        let (key, value) = (self.string(key), self.value(value));
                        let (a, b) = (self.space(), self.space());
                        (self.choices.next(), format!("{a}{key}{b}:{value}"))
                    })
                    .collect();
                pairs.sort_unstable();
                let pairs: Vec<String> = pairs.into_iter().map(|(_, pair)| pair).collect();
                format!("{{{}}}", pairs.join(","))
            }
            plain => plain.to_string(),
        };
        format!("{}{text}{}", self.space(), self.space())
    }

    fn space(&mut self) -> &'static str {
        if self.choices.one_in(6) { " \n\t" } else { "" }
    }

    fn string(&mut self, text: &str) -> String {
        let mut out = String::from('"');
        for c in text.chars() {
            let escape = match self.escapes {
                Escapes::OneIn(n) => self.choices.one_in(n),
                Escapes::Only(wanted) => c == wanted,
            };
            match c {
                _ if escape => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        out += &if self.choices.one_in(2) {
                            format!("\\u{unit:04x}")
                        } else {
                            format!("\\u{unit:04X}")
                        };
                    }
                }
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '/' if self.choices.one_in(4) => out.push_str("\\/"),
                // As Go does.
                '&' | '<' | '>' => out += &format!("\\u{:04x}", u32::from(c)),
                c if u32::from(c) < 0x20 => out += &format!("\\u{:04x}", u32::from(c)),
                c => out.push(c),
            }
        }
        out.push('"');
        out
    }
}

fn matching_event() -> impl Strategy<Value = Value> {
    let exec = |resource: &'static str, subresource: &'static str, uri: String| {
        json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": "7e1b", "verb": "get",
            "requestURI": uri, "objectRef": { "resource": resource, "subresource": subresource },
        })
    };
    prop_oneof![
        "[ -~]{0,10}".prop_map(move |noise| {
            exec("pods", "exec", format!("/x?a={noise}&command=cat&command=/etc/shadow"))
        }),
        Just(exec("nodes", "proxy", "/api/v1/nodes/n/proxy/exec/a/b/c?command=/etc/shadow".into())),
        Just(exec("nodes", "proxy", "/api/v1/nodes/n/proxy/run/a/b/c".into())),
        ("\\PC{1,8}", "\\PC{1,8}", prop_oneof![Just("get"), Just("list")]).prop_map(
            |(user, agent, verb)| json!({
                "kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": "7e1b", "verb": verb,
                "user": { "username": user }, "userAgent": agent, "sourceIPs": ["10.0.0.1"],
                "objectRef": { "resource": "secrets", "namespace": "n" },
            })
        ),
    ]
}

fn escapes() -> impl Strategy<Value = Escapes> {
    prop_oneof![
        prop::sample::select(vec![0_u64, 0, 1, 2, 40, 400]).prop_map(Escapes::OneIn),
        prop::sample::select(vec!['"', '\\', 'e', 'x', '0', 'u']).prop_map(Escapes::Only),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_matches_passes_in_every_spelling(
        event in matching_event(),
        seed in any::<u64>(),
        innermost in escapes(),
        wrappers in prop::collection::vec((0_usize..4, escapes()), 0..=3),
    ) {
        let mut speller = Speller { choices: Choices(seed), escapes: innermost };
        let mut record = speller.value(&event);
        for (wrapper, escapes) in &wrappers {
            let text = Value::from(record);
            speller.escapes = *escapes;
            record = match wrapper {
                0 => speller.value(&json!({ "log": text, "auditID": "x" })),
                1 => speller.value(&json!({ "logEvents": [{ "message": text }] })),
                2 => speller.value(&json!([text])),
                _ => speller.value(&text),
            };
        }
        // The speller wrote what a reader reads: unwrapped, the event still matches.
        let mut inner = record.clone();
        for (wrapper, _) in wrappers.iter().rev() {
            let value: Value = serde_json::from_str(&inner).unwrap();
            let text = match wrapper {
                0 => &value["log"],
                1 => &value["logEvents"][0]["message"],
                2 => &value[0],
                _ => &value,
            };
            inner = text.as_str().unwrap().to_owned();
        }
        prop_assert!(matches_a_rule(serde_json::from_str(&inner).unwrap()), "{}", inner);
        prop_assert_eq!(verdict(&record), Verdict::Pass, "{}", record);
    }

    #[test]
    fn never_panics(record in prop::collection::vec(any::<u8>(), 0..300), text in "([\\\\{}\\[\\]\"]|\\\\u00|auditID|.){0,60}") {
        let _ = verdict(&record);
        let _ = verdict(&text);
    }
}

/// The published sample events, where they are at hand: what matches passes, and most of the
/// others are dropped.
#[test]
fn real_events_that_match_pass_and_most_others_are_dropped() {
    let shared = std::env::var_os("KUBETELL_SHARED").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"),
        std::path::PathBuf::from,
    );
    let Ok(text) = std::fs::read_to_string(shared.join("data/apiserver/audit.jsonl")) else {
        return;
    };
    let (mut needless, mut others) = (0, 0);
    for line in text.lines() {
        let passed = verdict(line) == Verdict::Pass;
        let object =
            serde_json::from_str::<Event<'_>>(line).unwrap().object_ref.unwrap_or_default();
        if matches_a_rule(serde_json::from_str(line).unwrap()) {
            assert!(passed, "{line}");
        }
        let concerns = object.resource.as_deref() == Some("secrets")
            || matches!(object.subresource.as_deref(), Some("exec" | "proxy"));
        if !concerns {
            others += 1;
            needless += usize::from(passed);
        }
    }
    assert!(needless * 10 < others, "{needless} of {others} pass without a need");
}

/// Queries that ask of fields that are found early, some of others beside them.
pub(super) const QUERIES: [&str; 15] = [
    "event.action:create and kubernetes.audit.objectRef.resource:(roles or rolebindings)",
    "kubernetes.audit.objectRef.resource:pods and event.action:(delete or patch) and user.name:a*",
    "kubernetes.audit.objectRef.namespace:kube-system and kubernetes.audit.objectRef.resource:pods",
    "event.action:delete and not user.name:ann",
    "kubernetes.audit.objectRef.subresource:(exec or attach or portforward)",
    "exec.command:*shadow*",
    "exec.interactive:false and user.name:ann",
    "kubernetes.audit.requestObject.verb:create and event.action:update",
    "kubernetes.audit.objectRef:{ resource:roles and namespace:n }",
    "kubernetes.audit.objectRef.resource:(roles or pods) and not user.name:ann",
    "event.action:(create or get) and not kubernetes.audit.objectRef.namespace:*",
    "kubernetes.audit.stage:Request and not kubernetes.audit.level:ann",
    "user_agent.original:(ann or roles) and kubernetes.audit.objectRef.name:create",
    "kubernetes.audit.objectRef.apiGroup:roles and not kubernetes.audit.objectRef.name:roles",
    "not exec.command:* and not user.name:bob and kubernetes.audit.objectRef.namespace:k*",
];

pub(super) fn object_event() -> impl Strategy<Value = Value> {
    let pick = |of: &'static [&'static str]| prop::sample::select(of).prop_map(str::to_owned);
    (
        pick(&["create", "delete", "patch", "update", "get", "verb"]),
        pick(&["roles", "rolebindings", "pods", "resource", "secretsx"]),
        prop::option::of(pick(&["exec", "attach", "status"])),
        prop::option::of(pick(&["n", "kube-system"])),
        pick(&["ann", "bob", "\"verb\":\"create\",\"resource\":\"roles\""]),
        prop::option::of(pick(&["create", "x"])),
        prop::collection::vec(prop::option::of(pick(&["create", "roles", "ann", "Request"])), 5),
    )
        .prop_map(|(verb, resource, subresource, namespace, user, body, others)| {
            let mut event = json!({
                "kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": "7e1b", "verb": verb,
                "requestURI": "/x?command=cat&command=/etc/shadow", "user": { "username": user },
                "objectRef": { "resource": resource },
            });
            if let Some(subresource) = subresource {
                event["objectRef"]["subresource"] = subresource.into();
            }
            if let Some(namespace) = namespace {
                event["objectRef"]["namespace"] = namespace.into();
            }
            let places =
                ["/stage", "/level", "/userAgent", "/objectRef/name", "/objectRef/apiGroup"];
            for (place, text) in places.iter().zip(others) {
                let (parent, name) = place.rsplit_once('/').unwrap();
                if let Some(text) = text {
                    event.pointer_mut(parent).unwrap()[name] = text.into();
                }
            }
            if let Some(verb) = body {
                event["requestObject"] = json!({ "verb": verb, "resource": ["pods"] });
            }
            event
        })
}

proptest! {
    #[test]
    fn what_a_query_matches_passes_whatever_the_events_look_like(
        events in prop::collection::vec(object_event(), 1..4),
        seed: u64,
        escapes in prop_oneof![Just(0), 1..40_u64],
    ) {
        let mut speller = Speller { choices: Choices(seed), escapes: Escapes::OneIn(escapes) };
        let spelled: Vec<String> = events.iter().map(|event| speller.value(event)).collect();
        // As an API server writes it, with its kind first.
        let first = events[0].to_string();
        let first = first.replacen(r#""kind":"Event","#, "", 1).replacen('{', r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","#, 1);
        let list = format!(r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{}]}}"#, spelled.join(","));
        let pieced = spelled[0].trim().replacen('{', r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","#, 1);
        for (query, (matcher, prefilter)) in QUERIES.iter().zip(&*WITH_QUERY) {
            let found: Vec<bool> = events.iter().map(|event| matches_of(matcher, event.to_string().as_bytes())).collect();
            if found[0] {
                prop_assert_eq!(prefilter.verdict(first.as_bytes()), Verdict::Pass, "{} {}", query, first);
                prop_assert_eq!(prefilter.verdict(pieced.as_bytes()), Verdict::Pass, "{} {}", query, pieced);
            }
            if found.contains(&true) {
                prop_assert_eq!(prefilter.verdict(list.as_bytes()), Verdict::Pass, "{} {}", query, list);
            }
        }
    }
}

/// Each with one of the queries as its only rule.
pub(super) static WITH_QUERY: LazyLock<Vec<(Matcher, Prefilter)>> = LazyLock::new(|| {
    let of = |query: &&str| {
        let rule = Rule::of_query(query).unwrap();
        let rules = Arc::new(RuleSet::of([(String::new(), rule)]).unwrap());
        (Matcher::new(Arc::clone(&rules), 0), Prefilter::new(&rules))
    };
    QUERIES.iter().map(of).collect()
});

/// What the reader makes of the record, asked.
pub(super) fn matches_of(matcher: &Matcher, record: &[u8]) -> bool {
    matches_as(matcher, record, None)
}

/// The same of records that are said to have this wrapper.
fn matches_as(matcher: &Matcher, record: &[u8], forced: Option<Wrapper>) -> bool {
    let mut found = Vec::new();
    let bodies = matcher.bodies();
    crate::ingest::envelope::read_asking(record, forced, bodies, &mut |_, outcome| {
        if let crate::ingest::envelope::Outcome::Event(read) = outcome {
            let context = Context {
                cluster: "c",
                position: Position::File { path: "-".to_owned(), line: 1, item: 0 },
                wrapper_id: None,
                wrapper_time_ms: None,
            };
            matcher.examine(read.event, context, &mut found);
        }
    });
    !found.is_empty()
}

/// What a log entry of GKE becomes has names and texts that it does not hold, whatever it shows.
#[test]
fn entries_of_gke_pass_for_queries_with_and_without_their_type() {
    let asked = QUERIES.iter().position(|query| query.contains("not exec.command")).unwrap();
    let (matcher, prefilter) = &WITH_QUERY[asked];
    let rule = Rule::of_query("kubernetes.audit.stage:ResponseComplete").unwrap();
    let rules = Arc::new(RuleSet::of([(String::new(), rule)]).unwrap());
    let stages = (Matcher::new(Arc::clone(&rules), 0), Prefilter::new(&rules));
    let mut entry = json!({ "protoPayload": {
        "@type": "type.googleapis.com/google.cloud.audit.AuditLog", "serviceName": "k8s.io",
        "methodName": "io.k8s.core.v1.secrets.get",
        "resourceName": "core/v1/namespaces/kube-system/secrets/x",
        // Whoever sends the request writes what looks like an event's mark.
        "requestMetadata": { "callerSuppliedUserAgent": "auditID" },
    } });
    for _ in 0..2 {
        let record = entry.to_string();
        for (matcher, prefilter) in [(matcher, prefilter), (&stages.0, &stages.1)] {
            assert!(matches_of(matcher, record.as_bytes()), "{record}");
            assert_eq!(prefilter.verdict(record.as_bytes()), Verdict::Pass, "{record}");
        }
        entry["protoPayload"].as_object_mut().unwrap().remove("@type");
    }
}

/// A configuration may say that every record is an event, whatever it looks like.
#[test]
fn a_list_that_is_an_event_too_passes() {
    let (matcher, prefilter) = &WITH_QUERY[0];
    let record = br#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","auditID":"7e1b","verb":"create","objectRef":{"resource":"roles"},"items":[]}"#;
    assert!(matches_as(matcher, record, Some(Wrapper::Bare)));
    assert_eq!(prefilter.verdict(record), Verdict::Pass);
}

#[test]
fn plain_events_are_judged_by_what_they_are_and_not_by_what_they_mention() {
    let of = |verb: &str, resource: &str, user: &str| {
        LIST.replace("\"watch\"", &format!("\"{verb}\""))
            .replace("\"pods\"", &format!("\"{resource}\""))
            .replace("kube-proxy\",\"groups", &format!("{user}\",\"groups"))
    };
    let (_, prefilter) = &WITH_QUERY[0];
    let verdict = |record: String| prefilter.verdict(record.as_bytes());
    assert_eq!(verdict(of("create", "roles", "a")), Verdict::Pass);
    assert_eq!(verdict(of("get", "roles", "create")), Verdict::Drop);
    assert_eq!(verdict(of("create", "pods", "roles")), Verdict::Drop);
    // In the text of a wrapper too, but not behind something else.
    let quoted = |record: String| format!(r#"{{"log":{}}}"#, Value::from(record));
    assert_eq!(verdict(quoted(of("create", "roles", "a"))), Verdict::Pass);
    assert_eq!(verdict(quoted(of("create", "pods", "roles"))), Verdict::Drop);
    let behind = |record: String| quoted(format!("stdout F {record}"));
    assert_eq!(verdict(behind(of("create", "pods", "roles"))), Verdict::Pass);
    // Where an event stands in a string of another it is not known which text is what.
    let text = Value::from(of("create", "roles", "a"));
    let head = r#""apiVersion":"audit.k8s.io/v1""#;
    for record in [
        format!(r#"{{"kind":"Event",{head},"log":{text}}}"#),
        format!(r#"{{"kind":"EventList",{head},"items":[{text}]}}"#),
        format!(r#"{{"kind":"EventList",{head},"items":[{{"log":{text}}}]}}"#),
        format!("{}\n{{\"log\":{text}}}", of("get", "pods", "a")),
        format!(
            r#"{{"kind":"Event",{head},"log":{}}}"#,
            Value::from(json!({"log": text}).to_string())
        ),
    ] {
        assert_eq!(verdict(record.clone()), Verdict::Pass, "{record}");
    }
    // In a list each event counts by itself.
    let list = |items: &[String]| {
        format!(
            r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{}]}}"#,
            items.join(",")
        )
    };
    let neither = [of("get", "roles", "a"), of("create", "pods", "a")];
    assert_eq!(verdict(list(&neither)), Verdict::Drop);
    let many: Vec<String> = (0..65).map(|n| of(&format!("v{n}"), "pods", "a")).collect();
    assert_eq!(verdict(list(&many)), Verdict::Drop);
    assert_eq!(verdict(list(&[many, vec![of("create", "roles", "a")]].concat())), Verdict::Pass);
    // Of what is written in another way it is not known which text is what.
    let spaced = of("create", "pods", "roles").replace("\"verb\":", "\"verb\" :");
    assert_eq!(verdict(spaced.clone()), Verdict::Drop);
    assert_eq!(verdict(spaced.replace("\"verb\" :", "\"verb\"\n:")), Verdict::Pass);
}
