//! Fixtures first, then what is asked of each wrapper. Cloud Logging and hostile records
//! have their own files.

mod gke;
mod hostile;

use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

/// What a test can keep of an outcome.
#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Event {
        event: Box<Event<'static>>,
        wrapper: Wrapper,
        id: Option<String>,
        time: Option<jiff::Timestamp>,
    },
    Skipped(&'static str),
    Unreadable(&'static str),
}

impl Seen {
    fn event(&self) -> &Event<'static> {
        match self {
            Seen::Event { event, .. } => event,
            other => panic!("no event: {other:?}"),
        }
    }
    fn wrapper(&self) -> Wrapper {
        match self {
            Seen::Event { wrapper, .. } => *wrapper,
            other => panic!("no event: {other:?}"),
        }
    }
}

fn seen_as(record: &[u8], forced: Option<Wrapper>) -> Vec<Seen> {
    let mut all = Vec::new();
    read(record, forced, &mut |index, outcome| {
        assert_eq!(index as usize, all.len(), "indices count up from 0");
        all.push(match outcome {
            Outcome::Event(item) => Seen::Event {
                event: Box::new(item.event.into_owned()),
                wrapper: item.wrapper,
                id: item.wrapper_id.map(Cow::into_owned),
                time: item.wrapper_time,
            },
            Outcome::Skipped(reason) => Seen::Skipped(reason.as_str()),
            Outcome::Unreadable(error) => Seen::Unreadable(error.class()),
        });
    });
    assert!(!all.is_empty(), "every record has an outcome");
    all
}

fn seen(record: impl AsRef<[u8]>) -> Vec<Seen> {
    seen_as(record.as_ref(), None)
}

/// The only outcome of a record, which is an event.
fn event(record: impl AsRef<[u8]>) -> Event<'static> {
    let all = seen(record);
    assert_eq!(all.len(), 1, "{all:?}");
    all[0].event().clone()
}

/// The outcomes in short: `+` for an event, else the reason or class.
fn shape(record: impl AsRef<[u8]>) -> Vec<&'static str> {
    seen(record)
        .iter()
        .map(|seen| match seen {
            Seen::Event { .. } => "+",
            Seen::Skipped(name) | Seen::Unreadable(name) => name,
        })
        .collect()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn base64(bytes: &[u8]) -> String {
    use ::base64::Engine;
    ::base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

const EVENT: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a1","verb":"get","requestURI":"/api/v1/pods"}"#;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wrappers")
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(fixtures().join(name)).unwrap()
}

fn all_fixtures() -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = std::fs::read_dir(fixtures())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".json") || name.ends_with(".gz"))
        .map(|name| (name.clone(), fixture(&name)))
        .collect();
    all.sort();
    all
}

/// Data of other projects, where it is at hand.
fn shared() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    std::env::var_os("KUBETELL_SHARED")
        .map_or(Some(beside), |path| Some(PathBuf::from(path)))
        .filter(|path| path.is_dir())
}

#[test]
fn each_fixture_yields_exactly_its_events() {
    use Wrapper::*;
    // File, wrapper, audit ID, verb, user, request URI, wrapper's id, wrapper's time.
    type Row = (
        &'static str,
        Wrapper,
        Option<u8>,
        &'static str,
        &'static str,
        Option<&'static str>,
        Option<&'static str>,
        Option<&'static str>,
    );
    let exec = |pod: &str, command: &str| {
        let namespace = if pod.starts_with("cart") { "shop" } else { "pay" };
        let uri = format!(
            "/api/v1/namespaces/{namespace}/pods/{pod}/exec?{command}&container=main&stderr=true&stdout=true"
        );
        Some(&*uri.leak())
    };
    let secret = |path: &'static str| Some(path);
    let rows: Vec<Row> = vec![
        (
            "01_bare_file_line.json",
            Bare,
            Some(1),
            "create",
            "mallory",
            exec("cart-0", "command=cat&command=%2Fetc%2Fshadow"),
            None,
            None,
        ),
        (
            "02_webhook_eventlist.json",
            EventList,
            Some(2),
            "get",
            "trent",
            secret("/api/v1/namespaces/shop/secrets/db-password"),
            None,
            None,
        ),
        (
            "02_webhook_eventlist.json",
            EventList,
            Some(22),
            "create",
            "trent",
            exec("cart-1", "command=id"),
            None,
            None,
        ),
        (
            "03_fluentbit_parser_json.json",
            FluentBit,
            Some(3),
            "create",
            "oscar",
            exec("cart-2", "command=cat&command=%2Froot%2F.ssh%2Fid_rsa"),
            None,
            Some("2026-02-03T04:05:03.004002Z"),
        ),
        (
            "04_fluentbit_no_parser.json",
            LogString,
            Some(4),
            "get",
            "peggy",
            secret("/api/v1/namespaces/kube-system/secrets/bootstrap-token"),
            None,
            Some("2026-02-03T04:05:04.5Z"),
        ),
        (
            "05_fluentd_no_parser.json",
            MessageString,
            Some(5),
            "create",
            "sybil",
            exec(
                "cart-3",
                "command=sh&command=-c&command=cat%20%2Fetc%2Fpasswd%20%3E%20%2Ftmp%2Fp",
            ),
            None,
            None,
        ),
        (
            "06_vector_file_json_codec.json",
            Vector,
            Some(6),
            "get",
            "victor",
            secret("/api/v1/namespaces/pay/secrets/card-key"),
            None,
            Some("2026-02-03T04:05:06.5Z"),
        ),
        (
            "07_elastic_agent_ecs.json",
            ElasticAgent,
            Some(7),
            "create",
            "wendy",
            exec(
                "ledger-0",
                "command=cat&command=%2Fvar%2Frun%2Fsecrets%2Fkubernetes.io%2Fserviceaccount%2Ftoken",
            ),
            None,
            Some("2026-02-03T04:05:07.9Z"),
        ),
        (
            "08_filebeat_message.json",
            Filebeat,
            Some(8),
            "list",
            "grace",
            secret("/api/v1/namespaces/pay/secrets?limit=500"),
            None,
            Some("2026-02-03T04:05:08.9Z"),
        ),
        (
            "09_cloudwatch_decoded.json",
            CloudWatch,
            Some(9),
            "create",
            "heidi",
            exec("ledger-1", "command=cat&command=%2Fetc%2Fgshadow"),
            Some("3900000000000000000009"),
            Some("2026-02-03T04:05:09.004Z"),
        ),
        (
            "09_cloudwatch_decoded.json",
            CloudWatch,
            Some(19),
            "get",
            "heidi",
            secret("/api/v1/namespaces/pay/secrets/api-key"),
            Some("3900000000000000000019"),
            Some("2026-02-03T04:05:09.006Z"),
        ),
        (
            "10_aks_eventhub_records.json",
            Aks,
            Some(10),
            "get",
            "ivan",
            secret("/api/v1/namespaces/pay/secrets/tls"),
            None,
            Some("2026-02-03T04:05:10.1002003Z"),
        ),
        (
            "10_aks_log_object.json",
            Aks,
            Some(20),
            "create",
            "ivan",
            exec("ledger-2", "command=cat&command=%2Fproc%2F1%2Fenviron"),
            None,
            Some("2026-02-03T04:05:10.1002003Z"),
        ),
        (
            "11_gke_logentry.json",
            Gke,
            None,
            "create",
            "judy@example.org",
            None,
            Some("gke-insert-11"),
            Some("2026-02-03T04:05:11.000001Z"),
        ),
        (
            "11_gke_pubsub_push.json",
            Gke,
            None,
            "create",
            "judy@example.org",
            None,
            Some("gke-insert-11"),
            Some("2026-02-03T04:05:11.000001Z"),
        ),
        (
            "11_pubsub_pull_event.json",
            PubSub,
            Some(21),
            "get",
            "judy",
            secret("/api/v1/namespaces/pay/secrets/oauth"),
            Some("2121"),
            Some("2026-02-03T04:05:21.5Z"),
        ),
        (
            "12_openshift_clf_vector.json",
            OpenShift,
            Some(12),
            "get",
            "kim",
            secret("/api/v1/namespaces/pay/secrets/htpasswd"),
            None,
            Some("2026-02-03T04:05:12.7Z"),
        ),
        (
            "13_otel_otlp_json.json",
            Otlp,
            Some(13),
            "create",
            "leo",
            exec("ledger-4", "command=cat&command=%2Froot%2F.bash_history"),
            None,
            Some("2026-02-03T04:05:13.7Z"),
        ),
        (
            "14_otel_raw.json",
            QuotedString,
            Some(14),
            "get",
            "nina",
            secret("/api/v1/namespaces/pay/secrets/root-ca"),
            None,
            None,
        ),
    ];
    for (name, bytes) in all_fixtures() {
        // The compressed forms hold what the decoded one does.
        let stands_for = match name.as_str() {
            "09_cloudwatch_raw.gz" | "09_cloudwatch_lambda_b64.json" => {
                "09_cloudwatch_decoded.json"
            }
            other => other,
        };
        let expected: Vec<_> = rows.iter().filter(|row| row.0 == stands_for).collect();
        let all = seen(&bytes);
        let events: Vec<_> = all.iter().filter(|seen| matches!(seen, Seen::Event { .. })).collect();
        assert_eq!(events.len(), expected.len(), "{name}: {all:?}");
        for (seen, row) in events.into_iter().zip(expected) {
            let Seen::Event { event, wrapper, id, time } = seen else { unreachable!() };
            let (_, expected_wrapper, audit, verb, user, uri, expected_id, expected_time) = row;
            assert_eq!(wrapper, expected_wrapper, "{name}");
            let audit = audit.map(|n| format!("c0ffee{n:02}-0000-4000-8000-0000000000{n:02}"));
            assert_eq!(event.audit_id.as_deref(), audit.as_deref(), "{name}");
            assert_eq!(event.verb.as_deref(), Some(*verb), "{name}");
            assert_eq!(
                event.user.as_ref().and_then(|user| user.username.as_deref()),
                Some(*user),
                "{name}"
            );
            assert_eq!(event.request_uri.as_deref(), *uri, "{name}");
            assert_eq!(id.as_deref(), *expected_id, "{name}");
            let expected_time = expected_time.map(|time| time.parse().unwrap());
            assert_eq!(*time, expected_time, "{name}");
            assert_eq!(event.annotation("authorization.k8s.io/decision"), Some("allow"), "{name}");
        }
    }
}

#[test]
fn what_stands_beside_the_events_of_a_fixture_is_reported() {
    assert_eq!(shape(fixture("09_cloudwatch_control.json")), ["control-message"]);
    assert_eq!(shape(fixture("09_cloudwatch_raw.gz")), ["+", "truncated", "+"]);
    assert_eq!(shape(fixture("10_aks_eventhub_records.json")), ["+", "other-category"]);
}

#[test]
fn a_whole_event_arrives_with_all_its_fields() {
    let found = event(fixture("01_bare_file_line.json"));
    let bytes = fixture("01_bare_file_line.json");
    let plain: Event<'_> = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(found, plain.into_owned());
    assert_eq!(event(fixture("12_openshift_clf_vector.json")).level.as_deref(), Some("Metadata"));
}

#[test]
fn published_samples_are_read_or_reported() {
    let Some(shared) = shared() else { return };
    let count = |path: &str| {
        let all = seen(std::fs::read(shared.join(path)).unwrap());
        let events = all.iter().filter(|seen| matches!(seen, Seen::Event { .. })).count();
        (events, all.len() - events)
    };
    assert_eq!(count("real/audit2rbac/demo.757ev.log"), (757, 0));
    assert_eq!(count("apiserver/audit.jsonl"), (689, 0));
    assert_eq!(count("real/falco/fal_01_003.json"), (0, 1));
    let mut falco = (0, 0);
    for entry in std::fs::read_dir(shared.join("real/falco")).unwrap() {
        let (events, others) = count(entry.unwrap().path().to_str().unwrap());
        falco = (falco.0 + events, falco.1 + others);
    }
    assert_eq!(falco, (55, 1));
    let mut panther = (0, 0);
    for entry in std::fs::read_dir(shared.join("real/panther")).unwrap() {
        let (events, others) = count(entry.unwrap().path().to_str().unwrap());
        panther = (panther.0 + events, panther.1 + others);
    }
    assert_eq!(panther, (265, 22));
    assert_eq!(count("apiserver/webhook.jsonl"), (45, 0));
    assert_eq!(count("real/openshift/viaq_audit_kubernetes.json"), (1, 0));
    assert_eq!(count("real/openshift/viaq_audit_openshift.json"), (1, 0));
    for entry in std::fs::read_dir(shared.join("wrappers")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let expected = match name.as_str() {
            "09_cloudwatch_control.json" => (0, 1),
            "10_aks_eventhub_records.json" => (1, 1),
            _ => (1, 0),
        };
        assert_eq!(count(path.to_str().unwrap()), expected, "{name}");
    }
}

#[test]
fn only_audit_events_are_events() {
    let not = ["not-an-audit-event"].as_slice();
    let yes = ["+"].as_slice();
    for (record, expected) in [
        (r#"{"kind":0}"#, not),
        (r#"{}"#, not),
        (r#"{"a":1}"#, not),
        ("7", not),
        ("null", not),
        ("true", not),
        (r#"{"kind":"Event","apiVersion":"v1","reason":"Started","message":null}"#, not),
        (r#"{"kind":"Event","apiVersion":"v1","verb":"get","user":{}}"#, not),
        (r#"{"kind":"Pod","verb":"get","user":{}}"#, not),
        (r#"{"kind":7,"verb":"get","user":{}}"#, not),
        (r#"{"verb":"get"}"#, not),
        (r#"{"auditID":null}"#, not),
        (r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1"}"#, yes),
        (r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1beta1"}"#, yes),
        (r#"{"auditID":"x"}"#, yes),
        (r#"{"verb":"get","user":{}}"#, yes),
        (r#"{"verb":"get","requestURI":"/"}"#, yes),
        (r#"{"kind":"Event","verb":"get","objectRef":{}}"#, yes),
        ("plain text", ["not-json"].as_slice()),
        ("2026-02-03 plain text", not),
    ] {
        assert_eq!(shape(record), expected, "{record}");
    }
}

#[test]
fn a_wrong_type_in_a_field_that_rules_depend_on_is_named() {
    for field in [
        "auditID",
        "verb",
        "stage",
        "requestURI",
        "user",
        "impersonatedUser",
        "sourceIPs",
        "userAgent",
        "objectRef",
        "responseStatus",
        "requestReceivedTimestamp",
        "annotations",
    ] {
        for value in ["7", "true", "[{}]", "[[1]]", "{\"username\":[],\"code\":\"x\",\"name\":1}"] {
            let record =
                format!(r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","{field}":{value}}}"#);
            let mut error = None;
            read(record.as_bytes(), None, &mut |_, outcome| match outcome {
                Outcome::Unreadable(found) => error = Some(found),
                other => panic!("{record}: {other:?}"),
            });
            let error = error.unwrap();
            assert_eq!(error.class(), "bad-field", "{record}");
            assert!(error.to_string().contains(&format!("`{field}`")), "{error}");
        }
    }
    assert_eq!(shape(r#"{"user":5,"message":"x"}"#), ["not-json"]);
    assert_eq!(shape(r#"{"auditID":5}"#), ["bad-field"]);
}

#[test]
fn wrapper_fields_of_any_type_leave_an_event_readable() {
    let keys = [
        "log",
        "message",
        "level",
        "timestamp",
        "@timestamp",
        "labels",
        "resource",
        "records",
        "items",
        "kubernetes",
        "data",
        "operation",
        "protoPayload",
        "category",
        "properties",
        "id",
        "time",
        "body",
        "awslogs",
        "logEvents",
        "stageTimestamp",
        "requestObject",
        "agent",
    ];
    for key in keys {
        for value in ["7", "1.5", "null", "false", "\"t\"", "[]", "[1,{}]", "{}", "{\"a\":[{}]}"] {
            let record = EVENT.replacen('{', &format!("{{\"{key}\":{value},"), 1);
            assert_eq!(event(&record).audit_id.as_deref(), Some("a1"), "{record}");
        }
    }
}

#[test]
fn the_last_of_duplicate_keys_wins_and_null_is_absent() {
    let found = event(
        r#"{"auditID":"a","verb":7,"verb":"get","user":{"username":"x","username":"y"},"stage":"s","stage":null}"#,
    );
    assert_eq!(found.verb.as_deref(), Some("get"));
    assert_eq!(found.user.unwrap().username.as_deref(), Some("y"));
    assert_eq!(found.stage, None);
    assert_eq!(shape(r#"{"auditID":"a","verb":"get","verb":7}"#), ["bad-field"]);
}

#[test]
fn one_bad_line_costs_no_other() {
    for bad in ["{\"auditID\":\"x\",", "garbage", "{\"auditID\":}", "{\"a\":\"", "]", "3 4 5"] {
        let record = format!("{EVENT}\n{bad}\n{EVENT}\r\n\n{EVENT}\n");
        let shape = shape(&record);
        assert_eq!(shape.len(), 4, "{bad}: {shape:?}");
        assert_eq!((shape[0], shape[2], shape[3]), ("+", "+", "+"), "{bad}");
        assert_ne!(shape[1], "+", "{bad}");
    }
    assert_eq!(shape(format!("{EVENT} {EVENT}{EVENT}")), ["+", "+", "+"]);
    let latin = [EVENT.as_bytes(), b"\n{\"auditID\":\"\xff\"}\n", EVENT.as_bytes()].concat();
    assert_eq!(shape(latin), ["+", "not-utf8", "+"]);
}

#[test]
fn arrays_strings_and_objects_nest() {
    let in_log = format!("{{\"rule\":1,\"log\":{EVENT}}}");
    let in_message = format!("{{\"message\":{EVENT}}}");
    let list = format!("[{EVENT},{in_log},{in_message},{}]", quoted(EVENT));
    let wrappers: Vec<_> = seen(list).iter().map(Seen::wrapper).collect();
    use Wrapper::*;
    assert_eq!(wrappers, [Array, LogString, MessageString, QuotedString]);
    let two = format!("{{\"log\":{}}}", quoted(&format!("{EVENT}\n{EVENT}\n")));
    assert_eq!(shape(two), ["+", "+"]);
    assert_eq!(shape("[]"), ["empty-list"]);
    assert_eq!(shape(r#"{"kind":"EventList","items":[]}"#), ["empty-list"]);
    assert_eq!(shape(r#"{"resourceLogs":[]}"#), ["empty-list"]);
    assert_eq!(shape(r#"{"log":"I0203 klog text"}"#), ["not-json"]);
    assert_eq!(shape(r#"{"log":""}"#), ["empty"]);
}

#[test]
fn a_forced_wrapper_is_the_only_one() {
    let both = format!("{{\"log\":{},\"message\":\"text\"}}", quoted(EVENT));
    assert_eq!(seen_as(both.as_bytes(), Some(Wrapper::LogString))[0].wrapper(), Wrapper::LogString);
    assert_eq!(
        seen_as(both.as_bytes(), Some(Wrapper::MessageString)),
        [Seen::Unreadable("not-json")]
    );
    for wrapper in Wrapper::ALL {
        let others = seen_as(br#"{"a":1}"#, Some(wrapper));
        assert_eq!(others, [Seen::Unreadable("not-an-audit-event")], "{wrapper:?}");
        assert_eq!(Wrapper::from_name(wrapper.as_str()), Some(wrapper));
    }
    for (name, bytes) in all_fixtures() {
        for found in seen(&bytes) {
            let Seen::Event { wrapper, .. } = &found else { continue };
            if name != "11_gke_pubsub_push.json" {
                assert!(seen_as(&bytes, Some(*wrapper)).contains(&found), "{name}");
            }
        }
    }
}

#[test]
fn cloudwatch_streams_of_other_components_are_skipped() {
    let with = |stream: &str| {
        format!(
            r#"{{"messageType":"DATA_MESSAGE","logStream":"{stream}","logEvents":[{{"id":"1","message":"text"}}]}}"#
        )
    };
    assert_eq!(shape(with("kube-apiserver-0123")), ["other-log-stream"]);
    assert_eq!(shape(with("authenticator-0123")), ["other-log-stream"]);
    assert_eq!(shape(with("kube-apiserver-audit-0123")), ["not-json"]);
    assert_eq!(shape(with("mine")), ["not-json"]);
}

#[test]
fn otlp_bodies_must_be_text() {
    let of = |body: &str| {
        shape(format!(
            r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{body}}}]}}]}}]}}"#
        ))
    };
    assert_eq!(of(r#"{"kvlistValue":{"values":[]}}"#), ["not-an-audit-event"]);
    assert_eq!(of("7"), ["not-an-audit-event"]);
    assert_eq!(of(&format!("{{\"stringValue\":{}}}", quoted(EVENT))), ["+"]);
}

#[test]
fn text_is_borrowed_where_its_escapes_allow() {
    let record = r#"{"auditID":"plain","verb":"get","requestURI":"/a?b\u0026c","user":{"username":"u","groups":["g"]},"annotations":{"k":"v"}}"#;
    let range = record.as_bytes().as_ptr_range();
    let within = |text: &str| range.contains(&text.as_ptr());
    let mut called = false;
    read(record.as_bytes(), None, &mut |_, outcome| {
        let Outcome::Event(Item { event, .. }) = outcome else { panic!("{outcome:?}") };
        assert!(within(event.audit_id.as_deref().unwrap()));
        assert!(within(event.verb.as_deref().unwrap()));
        assert!(!within(event.request_uri.as_deref().unwrap()));
        assert_eq!(event.request_uri.as_deref(), Some("/a?b&c"));
        let user = event.user.unwrap();
        assert!(within(user.username.as_deref().unwrap()));
        assert!(within(&user.groups.unwrap()[0]));
        let (key, value) = event.annotations.unwrap().pop_first().unwrap();
        assert!(within(&key) && within(&value));
        called = true;
    });
    assert!(called);
}
