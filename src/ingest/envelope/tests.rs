//! Fixtures first, then what is asked of each wrapper, then hostile records.

use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

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
            Outcome::Unreadable(error) => Seen::Unreadable(error.label()),
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
        let (namespace, _) = if pod.starts_with("cart") { ("shop", ()) } else { ("pay", ()) };
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
            Some("op-11"),
            Some("2026-02-03T04:05:11.000001Z"),
        ),
        (
            "11_gke_pubsub_push.json",
            Gke,
            None,
            "create",
            "judy@example.org",
            None,
            Some("op-11"),
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
    assert_eq!(falco, (FALCO_EVENTS, 1));
    let mut panther = (0, 0);
    for entry in std::fs::read_dir(shared.join("real/panther")).unwrap() {
        let (events, others) = count(entry.unwrap().path().to_str().unwrap());
        panther = (panther.0 + events, panther.1 + others);
    }
    assert_eq!(panther, PANTHER);
    assert_eq!(count("apiserver/webhook.jsonl"), (WEBHOOK_EVENTS, 0));
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
const FALCO_EVENTS: usize = 55;
const PANTHER: (usize, usize) = (265, 22);
const WEBHOOK_EVENTS: usize = 45;

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
            assert_eq!(error.label(), "bad-field", "{record}");
            assert!(error.to_string().contains(&format!("`{field}`")), "{error}");
        }
    }
    assert_eq!(shape(r#"{"user":5,"message":"x"}"#), ["not-json"]);
    assert_eq!(shape(r#"{"auditID":5}"#), ["bad-field"]);
}

#[test]
fn a_text_that_is_no_json_is_told_from_a_record_that_is_none() {
    let check = |record: &str, is_wrapped: bool| {
        let mut said = Vec::new();
        read(record.as_bytes(), None, &mut |_, outcome| match outcome {
            Outcome::Unreadable(error) => said.push(error.to_string()),
            other => panic!("{record}: {other:?}"),
        });
        let text = "not JSON: syntax error at line 1, column 1";
        let wrapped = format!("the text in the wrapper's field is {text}");
        assert_eq!(said, [if is_wrapped { wrapped } else { text.to_owned() }], "{record}");
    };
    check("hello", false);
    check(r#"{"order":1,"message":"hello"}"#, true);
    check(r#"{"log":"hello"}"#, true);
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
fn gke_names_become_objects() {
    let entry = |payload: &str| format!(r#"{{"insertId":"i","protoPayload":{{{payload}}}}}"#);
    let of = |name: &str| {
        let object = event(entry(&format!(
            r#""serviceName":"k8s.io","methodName":"io.k8s.x.v1.y.get","resourceName":"{name}""#
        )))
        .object_ref
        .unwrap();
        let text = |text: Option<crate::audit::event::Text<'_>>| {
            text.map_or("-".to_owned(), |text| text.to_string())
        };
        [
            text(object.api_group),
            text(object.api_version),
            text(object.namespace),
            text(object.resource),
            text(object.name),
            text(object.subresource),
        ]
        .join(" ")
    };
    for (name, expected) in [
        ("core/v1/namespaces/n/pods/p/exec", "- v1 n pods p exec"),
        ("core/v1/namespaces/n/secrets", "- v1 n secrets - -"),
        ("core/v1/nodes/one/proxy", "- v1 - nodes one proxy"),
        ("core/v1/namespaces/n", "- v1 n namespaces n -"),
        ("core/v1/namespaces/n/finalize", "- v1 n namespaces n finalize"),
        ("core/v1/namespaces", "- v1 - namespaces - -"),
        ("apps/v1/namespaces/n/deployments/d", "apps v1 n deployments d -"),
        (
            "rbac.authorization.k8s.io/v1/clusterroles/r",
            "rbac.authorization.k8s.io v1 - clusterroles r -",
        ),
    ] {
        assert_eq!(of(name), expected, "{name}");
    }
    let path = event(entry(r#""methodName":"io.k8s.get","resourceName":"readyz""#));
    assert_eq!((path.request_uri.as_deref(), path.object_ref), (Some("/readyz"), None));
    assert_eq!(shape(entry(r#""serviceName":"compute.googleapis.com""#)), ["other-service"]);
    assert_eq!(shape(entry(r#""methodName":"v2.insert""#)), ["other-service"]);
    assert_eq!(shape(entry(r#""serviceName":"k8s.io""#)), ["not-an-audit-event"]);
    assert_eq!(shape(entry("")), ["not-an-audit-event"]);
}

#[test]
fn gke_outcomes_become_http_codes_stages_and_decisions() {
    let of = |status: &str, rest: &str, name: &str| {
        event(format!(
            r#"{{"protoPayload":{{"methodName":"io.k8s.core.v1.pods.create"{status},
            "authorizationInfo":[{{"granted":false,"resource":"{name}"}}]}}{rest}}}"#
        ))
    };
    let pod = "core/v1/namespaces/n/pods/p";
    for (grpc, http) in
        [(0, 200), (3, 400), (5, 404), (6, 409), (7, 403), (8, 429), (16, 401), (2, 500)]
    {
        let found = of(&format!(r#","status":{{"code":{grpc}}}"#), "", pod);
        assert_eq!(found.response_status.unwrap().code, Some(http), "{grpc}");
    }
    assert_eq!(of("", "", pod).response_status, None);
    for (name, code) in [("exec", 101), ("attach", 101), ("portforward", 101), ("log", 200)] {
        let found = of(r#","status":{}"#, "", &format!("{pod}/{name}"));
        assert_eq!(found.response_status.unwrap().code, Some(code), "{name}");
    }
    let decision = "authorization.k8s.io/decision";
    assert_eq!(of("", "", pod).annotation(decision), Some("forbid"));
    let labelled = of("", r#","labels":{"authorization.k8s.io/decision":"allow","n":7}"#, pod);
    assert_eq!(labelled.annotation(decision), Some("allow"));
    let stage = |operation: &str| {
        of("", &format!(r#","operation":{{{operation}}}"#), pod).stage.unwrap().to_string()
    };
    assert_eq!(stage(r#""first":true"#), "ResponseStarted");
    assert_eq!(stage(r#""first":true,"last":true"#), "ResponseComplete");
    assert_eq!(stage(r#""last":true"#), "ResponseComplete");
    // The first and the last entry of one exec are one event in two stages: one id.
    for (operation, expected) in [
        (r#""id":"o","first":true"#, "o"),
        (r#""id":"o","last":true"#, "o"),
        (r#""id":"o","first":true,"last":true"#, "i"),
        (r#""id":"o""#, "i"),
        (r#""first":true"#, "i"),
    ] {
        let entry = format!(
            r#"{{"insertId":"i","operation":{{{operation}}},"protoPayload":{{"serviceName":"k8s.io","methodName":"io.k8s.core.v1.pods.exec.create","resourceName":"core/v1/namespaces/n/pods/p/exec"}}}}"#
        );
        let all = seen(&entry);
        let Seen::Event { id, .. } = &all[0] else { panic!("{entry}: {all:?}") };
        assert_eq!(id.as_deref(), Some(expected), "{entry}");
    }
    assert_eq!(event(fixture("11_gke_logentry.json")).audit_id, None);
    assert_eq!(
        event(fixture("11_gke_pubsub_push.json")).annotation("command.gke.io/command"),
        Some("cat /etc/shadow")
    );
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

#[test]
fn bounds_hold() {
    let deep_list = "[".repeat(1_000_000);
    let deep_object = "{\"a\":".repeat(1_000_000);
    let deep_log = "{\"log\":".repeat(1_000_000);
    let deep_extra = format!("{{\"user\":{{\"extra\":{deep_object}");
    for deep in [&deep_list, &deep_object, &deep_log, &deep_extra] {
        assert_eq!(shape(deep), ["too-deep"]);
    }
    let closed = format!("{}{EVENT}{}", "[".repeat(100), "]".repeat(100));
    assert_eq!(shape(closed), ["nested-too-deep"]);
    let mut nested = EVENT.to_owned();
    for _ in 0..limits::WRAPPER_MAX_DEPTH {
        nested = format!("{{\"log\":{}}}", quoted(&nested));
    }
    assert_eq!(shape(&nested), ["+"]);
    assert_eq!(shape(format!("{{\"log\":{}}}", quoted(&nested))), ["nested-too-deep"]);

    assert_eq!(shape(vec![b' '; limits::RECORD_MAX_BYTES + 1]), ["too-large"]);
    assert_eq!(shape(""), ["empty"]);
    assert_eq!(shape(" \n"), ["empty"]);

    let many = format!("[{}0]", "0,".repeat(limits::RECORD_MAX_ITEMS));
    for many in [many, "{}\n".repeat(limits::RECORD_MAX_ITEMS + 5)] {
        let all = shape(many);
        assert_eq!(all.len(), limits::RECORD_MAX_ITEMS + 1);
        assert!(all[..limits::RECORD_MAX_ITEMS].iter().all(|one| *one == "not-an-audit-event"));
        assert_eq!(all.last(), Some(&"too-many-items"));
    }
}

#[test]
fn of_a_list_that_breaks_off_the_whole_elements_are_read() {
    let list = format!(r#"{{"kind":"EventList","items":[{EVENT},{EVENT},{EVENT}]}}"#);
    let message = |id: u8| {
        format!(r#"{{"id":"i{id}","timestamp":1767225600123,"message":{}}}"#, quoted(EVENT))
    };
    let logs = format!(
        r#"{{"messageType":"DATA_MESSAGE","logStream":"kube-apiserver-audit-1","logEvents":[{},{},{}]}}"#,
        message(0),
        message(1),
        message(2)
    );
    let body = format!(r#"{{"body":{{"stringValue":{}}}}}"#, quoted(EVENT));
    let otlp = format!(
        r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{body},{body},{body}]}}]}}]}}"#
    );
    let array = format!("[{EVENT},{EVENT},{EVENT}]");
    let aks = format!(
        r#"{{"records":[{0},{0},{0}]}}"#,
        format_args!(r#"{{"category":"kube-audit","properties":{{"log":{EVENT}}}}}"#)
    );
    for record in [&list, &logs, &otlp, &array, &aks] {
        assert_eq!(shape(record), ["+", "+", "+"], "{record}");
        let cut = &record[..record.len() - 40];
        assert_eq!(shape(cut), ["+", "+", "truncated"], "{cut}");
        // Within a line of a shipper, too.
        let log = format!("{{\"log\":{}}}", quoted(cut));
        assert_eq!(shape(log), ["+", "+", "truncated"], "{cut}");
        assert_eq!(shape(&record[..record.len() - 1]), ["+", "+", "+", "truncated"], "{record}");
    }
    let cut = seen(&logs[..logs.len() - 40]);
    let Seen::Event { wrapper, id, time, .. } = &cut[1] else { panic!("{cut:?}") };
    assert_eq!(*wrapper, Wrapper::CloudWatch);
    assert_eq!(id.as_deref(), Some("i1"));
    assert_eq!(time.unwrap().as_millisecond(), 1_767_225_600_123);

    // A line that is no JSON in the middle costs itself and what follows on its line.
    let broken = format!("[{EVENT},\n!,\n{EVENT}]\n{EVENT}");
    assert_eq!(shape(broken), ["+", "not-json", "+", "not-json", "+"]);
    // Lists that lead to no event, and events that break off, save nothing.
    let sources = r#"{"auditID":"a","verb":"get","sourceIPs":["10.0.0.1","#;
    assert_eq!(shape(sources), ["truncated"]);
    assert_eq!(shape(&EVENT[..EVENT.len() - 1]), ["truncated"]);
}

#[test]
fn compression_is_bounded_and_errors_are_told_apart() {
    let bomb = gzip(&vec![b' '; limits::DECOMPRESSED_FREE_BYTES + 1]);
    assert_eq!(shape(&bomb), ["decompression-limit"]);
    let lambda = |data: &str| format!(r#"{{"awslogs":{{"data":"{data}"}}}}"#);
    assert_eq!(shape(lambda(&base64(&bomb))), ["decompression-limit"]);
    // Once the budget is spent, the next part of the same record gets none.
    let twice = format!("[{0},{0},{1}]", lambda(&base64(&bomb)), lambda(&base64(&gzip(b"{}"))));
    assert_eq!(shape(twice), ["decompression-limit"; 3]);
    let members = [gzip(EVENT.as_bytes()), gzip(b"\n"), gzip(EVENT.as_bytes())].concat();
    assert_eq!(shape(&members), ["+", "+"]);
    assert_eq!(shape(&members[..20]), ["truncated"]);
    let mut damaged = gzip(EVENT.as_bytes());
    let last = damaged.len() - 6;
    damaged[last] ^= 1;
    assert_eq!(shape(&damaged), ["bad-compression"]);
    assert_eq!(shape(lambda("***")), ["bad-base64"]);
    assert_eq!(shape(lambda("")), ["empty"]);
    assert_eq!(shape(lambda(base64(EVENT.as_bytes()).trim_end_matches('='))), ["+"]);
}

#[test]
fn error_texts_hold_no_content_of_the_record() {
    let secret = "hunter2";
    for record in [
        format!("{{\"auditID\":[\"{secret}\"]}}"),
        format!("{{\"kind\":\"{secret}\"}}"),
        secret.to_string(),
        format!("{{\"log\":\"{secret}\"}}"),
        format!("{{\"auditID\":\"a\",\"user\":\"{secret}\",\"{secret}\":{secret}}}"),
        format!("{{\"awslogs\":{{\"data\":\"{secret}!\"}}}}"),
    ] {
        read(record.as_bytes(), None, &mut |_, outcome| match outcome {
            Outcome::Unreadable(error) => {
                assert!(!error.to_string().contains(secret), "{error}");
            }
            other => panic!("{record}: {other:?}"),
        });
    }
}

#[test]
fn fields_are_found_by_pointer() {
    let record = r#"{"a":{"b/c":["x",{"d":7}],"~":1.5},"t":true,"e":"é\n","e2":null}"#;
    for (pointer, expected) in [
        ("/a/b~1c/0", Some("x")),
        ("/a/b~1c/1/d", Some("7")),
        ("/a/~0", Some("1.5")),
        ("/e", Some("é\n")),
        ("/e2", None),
        ("/t", None),
        ("/a", None),
        ("", None),
        ("a", None),
        ("/a/b~1c/01", None),
        ("/a/b~1c/9", None),
        ("/none/at/all", None),
    ] {
        assert_eq!(field_at(record.as_bytes(), pointer).as_deref(), expected, "{pointer}");
        assert_eq!(field_at(&gzip(record.as_bytes()), pointer).as_deref(), expected, "{pointer}");
    }
    assert_eq!(field_at(b"\"top\"", "").as_deref(), Some("top"));
    assert_eq!(field_at("[".repeat(1_000_000).as_bytes(), &"/0".repeat(1_000)), None);
}

#[test]
fn every_strict_prefix_of_a_fixture_is_unreadable_somewhere() {
    for (name, bytes) in all_fixtures() {
        for end in 0..bytes.len() {
            let all = seen(&bytes[..end]);
            let unreadable = all.iter().any(|seen| matches!(seen, Seen::Unreadable(_)));
            assert!(unreadable, "{name} cut at {end}: {all:?}");
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_have_an_outcome(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        seen(&bytes);
        field_at(&bytes, "/a/0");
    }

    #[test]
    fn arbitrary_json_like_text_has_an_outcome(
        parts in proptest::collection::vec(
            prop_oneof![
                Just("{"), Just("}"), Just("["), Just("]"), Just(","), Just(":"), Just("\n"),
                Just("\"log\""), Just("\"message\""), Just("\"auditID\""), Just("\"items\""),
                Just("\"data\""), Just("\"protoPayload\""), Just("\"user\""), Just("\"verb\""),
                Just("\"{}\""), Just("null"), Just("1e9"), Just("\"\\u00e9\""),
            ],
            0..60,
        )
    ) {
        seen(parts.concat());
    }

    #[test]
    fn flipped_and_cut_fixtures_have_an_outcome(
        which in any::<prop::sample::Index>(),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), 0..8_u32), 0..6),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let all = all_fixtures();
        let mut bytes = which.get(&all).1.clone();
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        seen(&bytes);
        for wrapper in Wrapper::ALL {
            seen_as(&bytes, Some(wrapper));
        }
    }
}

#[test]
fn bodies_are_pointed_at_only_where_they_are_asked_for_and_never_leave() {
    let event = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a","verb":"create",
        "requestObject":{"data":{"password":"aHVudGVyMg=="}},"responseObject":null}"#;
    let text = serde_json::to_string(event).unwrap();
    for record in [event.to_owned(), format!(r#"{{"log":{text}}}"#), format!("[{event}]")] {
        let mut asked = 0;
        read_asking(record.as_bytes(), None, Bodies::PointedAt, &mut |_, outcome| {
            let Outcome::Event(item) = outcome else { panic!("no event in {record}") };
            let body = item.event.request_object.expect("a body");
            assert_eq!(body.json(), r#"{"data":{"password":"aHVudGVyMg=="}}"#);
            assert_eq!(item.event.response_object.expect("a body").json(), "null");
            assert!(!serde_json::to_string(&item.event).unwrap().contains("aHVudGVyMg"));
            assert!(!format!("{:?}", item.event).contains("aHVudGVyMg"));
            assert_eq!(item.event.into_owned().request_object, None);
            asked += 1;
        });
        assert_eq!(asked, 1);
        read(record.as_bytes(), None, &mut |_, outcome| {
            let Outcome::Event(item) = outcome else { panic!("no event in {record}") };
            assert_eq!(item.event.request_object, None);
        });
    }
}
