//! Alerts into a real OpenSearch, by a real rsyslog, with the template, the pipeline and the
//! configuration that the page on it prints.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};

use crate::index_template::fields_of;
use crate::kafka::DEADLINE;
use crate::kafka::broker::{self, Broker};
use crate::kafka::client::Record;
use crate::kafka::process::{Process, Signal};
use crate::markdown::{Page, placed};
use crate::opensearch::{Document, OpenSearch};
use crate::pipeline::Stream;
use crate::rsyslog;
use crate::support::{self, eventually, json_lines, program};

const INDEX: &str = "kubetell-alerts";
const PAGE: &str = "docs/downstream/elasticsearch-opensearch.md";

/// The sink of the page, reading an alerts topic.
fn sink(kafka: &Broker, topic: &str, search: &OpenSearch, folder: &Path) -> Process {
    let page = Page::read(PAGE);
    let configuration = placed(
        page.block("conf", "imkafka"),
        &[
            ("/var/spool/rsyslog-alerts", folder.to_str().unwrap()),
            ("kafka:9092", &kafka.bootstrap()),
            ("topic=\"kubetell.alerts\"", &format!("topic=\"{topic}\"")),
            ("consumergroup=\"rsyslog-alerts\"", &format!("consumergroup=\"{topic}-sink\"")),
            ("serverport=\"9200\"", &format!("serverport=\"{}\"", search.port())),
        ],
    );
    rsyslog::start(folder, &configuration)
}

/// What the topic holds of each alert: all records of its highest revision.
fn newest(kafka: &Broker, topic: &str) -> BTreeMap<String, (u64, Vec<Value>)> {
    let mut newest: BTreeMap<String, (u64, Vec<Value>)> = BTreeMap::new();
    for record in kafka.consume_all(topic) {
        let alert: Value = serde_json::from_slice(record.value.as_deref().unwrap()).unwrap();
        let revision = alert["kubetell"]["revision"].as_u64().unwrap();
        let entry = newest.entry(record.key_text().to_owned()).or_default();
        if revision > entry.0 {
            *entry = (revision, Vec::new());
        }
        if revision == entry.0 {
            entry.1.push(alert);
        }
    }
    newest
}

fn versions(documents: &BTreeMap<String, Document>) -> BTreeMap<&str, u64> {
    documents.iter().map(|(id, document)| (id.as_str(), document.version)).collect()
}

#[test]
fn kills_and_replays_leave_one_document_an_alert_with_its_highest_revision() {
    let kafka = broker::shared();
    let mut search = OpenSearch::start();
    search.set_up();
    let mut stream = Stream::new(kafka, "downstream");
    stream.extra = vec!["detect.workers=1".to_owned()];
    let folder = tempfile::tempdir().unwrap();
    // In one partition, by one worker: which of two events comes first is part of a new-terms
    // alert's id.
    let events: Vec<Record> = (support::story().into_iter())
        .map(|record| Record::value(record.bytes).partition(0))
        .collect();
    let (first, second) = events.split_at(events.len() / 2);

    kafka.produce(&stream.source(), first);
    let run = stream.run("one", &[]);
    run.wait_for_stderr(DEADLINE, |line| line.contains("source partitions assigned"));
    let shipper = sink(kafka, &stream.alerts(), &search, folder.path());
    eventually(DEADLINE, "the first alerts are in the index", || {
        !search.documents(INDEX).is_empty()
    });
    for process in [run, shipper] {
        process.signal(Signal::KILL);
        process.wait(DEADLINE);
    }

    // The index is away while more comes.
    search.kill();
    kafka.produce(&stream.source(), second);
    let run = stream.run("one", &[]);
    let shipper = sink(kafka, &stream.alerts(), &search, folder.path());
    stream.wait_until_read(kafka);
    assert_eq!(run.terminate(DEADLINE).code(), Some(0));
    search.restart();

    // A group and a history of its own: all of it is read and raised again, older revisions too.
    let before = kafka.consume_all(&stream.alerts()).len();
    let again = [
        format!("kafka.group_id={}-again", stream.source()),
        format!("observations.topic={}-again", stream.observations()),
    ];
    stream.extra.extend(again);
    let again = stream.run("again", &[]);
    let expected = support::Found::in_story();
    let expected = expected.exec.len() + expected.terms.len();
    eventually(DEADLINE, "all alerts are raised again", || {
        kafka.consume_all(&stream.alerts()).len() >= before + expected
    });
    assert_eq!(again.terminate(DEADLINE).code(), Some(0));

    let raised = newest(kafka, &stream.alerts());
    assert_eq!(raised.len(), expected);
    let revisions: BTreeMap<&str, u64> =
        raised.iter().map(|(id, (revision, _))| (id.as_str(), *revision)).collect();
    assert!(revisions.values().any(|revision| *revision == 3));
    eventually(DEADLINE, "the index holds the highest revisions", || {
        versions(&search.documents(INDEX)) == revisions
    });

    // An older revision comes last, and something behind it, so that it was surely seen.
    let (id, (_, alerts)) = raised.iter().find(|(_, (revision, _))| *revision == 3).unwrap();
    let mut stale = alerts[0].clone();
    stale["kubetell"]["revision"] = 2.into();
    stale["message"] = "older".into();
    let mut last = alerts[0].clone();
    last["event"]["id"] = "f".repeat(32).into();
    let record = |alert: &Value| {
        let key = alert["event"]["id"].as_str().unwrap();
        Record::value(alert.to_string()).key(key).partition(0)
    };
    kafka.produce(&stream.alerts(), &[record(&stale), record(&last)]);
    let behind = "f".repeat(32);
    eventually(DEADLINE, "what came behind it is in the index", || {
        search.documents(INDEX).contains_key(&behind)
    });
    assert_eq!(shipper.terminate(DEADLINE).code(), Some(0));

    let mut documents = search.documents(INDEX);
    documents.remove(&behind);
    assert_eq!(versions(&documents), revisions);
    for (id, document) in &documents {
        let (_, sent) = &raised[id];
        assert!(sent.contains(&document.source), "{id} is none of what was sent: {document:?}");
        support::assert_valid_ecs(&document.source);
    }
    let refused = std::fs::read_to_string(folder.path().join("refused.json")).unwrap();
    assert!(refused.contains("version_conflict_engine_exception"), "{refused}");
    assert!(refused.contains(id.as_str()), "the older revision is told");
    assert!(!folder.path().join("unreadable").exists());
}

/// What is asked of the index, and whether an alert is to be found by it.
type Question = (Value, fn(&Value) -> bool);

#[test]
fn fields_have_their_types_and_no_event_makes_the_mapping_grow() {
    let search = OpenSearch::start();
    search.set_up();
    let alerts = scanned(&hostile_events());
    let count = alerts.len();
    let mut lines = String::new();
    for alert in &alerts {
        let id = alert["event"]["id"].as_str().unwrap();
        lines.push_str(&format!("{}\n{alert}\n", json!({ "index": { "_id": id } })));
    }
    let answer = search.bulk(INDEX, &lines);
    assert_eq!(answer["errors"], false, "{answer}");
    let documents = search.documents(INDEX);
    assert_eq!(documents.len(), count);
    for alert in &alerts {
        let document = &documents[alert["event"]["id"].as_str().unwrap()];
        assert_eq!(&document.source, alert, "the document is the alert");
        assert_eq!(Some(document.version), alert["kubetell"]["revision"].as_u64());
    }

    // The mapping is the template's after all of them.
    let mapping = search.request("GET", &format!("/{INDEX}/_mapping"), None).body;
    let template: Value =
        serde_json::from_str(include_str!("../../schemas/index-template.json")).unwrap();
    let mut fields = fields_of(&mapping[INDEX]["mappings"]);
    for (path, field) in fields_of(&template["template"]["mappings"]) {
        let there = fields.remove(&path).unwrap_or_else(|| panic!("{path} is not there"));
        for (key, value) in field.as_object().unwrap() {
            assert_eq!(&there[key], value, "{path}: {key}");
        }
    }
    assert!(fields.is_empty(), "the mapping has grown by {:?}", fields.keys());

    // Each question can be answered by the right type alone.
    let questions: Vec<Question> = vec![
        (json!({ "term": { "source.ip": "203.0.113.0/24" } }), |alert| {
            let mut addresses = alert["source"]["ip"].as_array().into_iter().flatten();
            addresses.any(|ip| ip.as_str().unwrap().starts_with("203.0.113."))
        }),
        (
            json!({ "range": { "@timestamp": { "gte": "2026-03-01T08:00:00Z||/d", "lt": "2026-03-02" } } }),
            |alert| alert["@timestamp"].as_str().unwrap().starts_with("2026-03-01"),
        ),
        (json!({ "range": { "event.severity": { "gt": 9, "lt": 100 } } }), |_| true),
        (
            json!({ "range": { "kubernetes.audit.responseStatus.code": { "gte": 100, "lt": 300 } } }),
            |alert| {
                let code = alert["kubernetes"]["audit"]["responseStatus"]["code"].as_u64();
                code.is_some_and(|code| (100..300).contains(&code))
            },
        ),
        (json!({ "wildcard": { "process.command_line": "*/etc/shadow*" } }), |alert| {
            alert["process"]["command_line"].as_str().is_some_and(|it| it.contains("/etc/shadow"))
        }),
        (json!({ "term": { "user.name": "mallory" } }), |alert| alert["user"]["name"] == "mallory"),
        (
            json!({ "term": { "kubernetes.audit.annotations.authorization_k8s_io/decision": "allow" } }),
            |alert| {
                alert["kubernetes"]["audit"]["annotations"]["authorization_k8s_io/decision"]
                    == "allow"
            },
        ),
        (json!({ "match": { "message": "mallory" } }), |alert| {
            alert["message"].as_str().unwrap().contains("mallory")
        }),
        // Not looked into.
        (json!({ "exists": { "field": "kubernetes.audit.user.extra" } }), |_| false),
    ];
    for (query, expected) in questions {
        let found: BTreeSet<String> = search.found(INDEX, &query).into_iter().collect();
        let wanted: BTreeSet<String> = (alerts.iter().filter(|alert| expected(alert)))
            .map(|alert| alert["event"]["id"].as_str().unwrap().to_owned())
            .collect();
        let different: Vec<&String> = found.symmetric_difference(&wanted).collect();
        assert!(different.is_empty(), "{query} finds too much or too little: {different:?}");
    }
}

/// Events of whoever wants the own alert kept out of the index, or the index blown up.
fn hostile_events() -> Vec<Value> {
    let event = |number: usize| -> Value {
        serde_json::from_slice(&support::exec_event(&format!("hostile-{number}"))).unwrap()
    };
    let deep = (0..60).fold(json!("deep"), |inner, _| json!({ "a": inner }));
    let extras = [
        json!({ "": ["x"] }),
        json!({ ".": ["x"], "a..b": ["x"], ".a": 1, "a.": null, " ": [] }),
        json!({ "long": ["x".repeat(70_000)] }),
        json!({ "deep": deep }),
        json!({ "a": 1, "a.b": { "c": [[1], [{ "d": 2 }]] } }),
    ];
    let mut events = vec![event(0)];
    events[0]["annotations"] = json!({
        "authorization.k8s.io/decision": "allow",
        "authorization.k8s.io/reason": "z".repeat(70_000),
        "patch.webhook.admission.k8s.io/round_0_index_0": "z".repeat(70_000),
    });
    for extra in &extras {
        let mut one = event(events.len());
        one["user"]["extra"] = extra.clone();
        one["impersonatedUser"] = json!({ "username": "i".repeat(40_000), "extra": extra });
        events.push(one);
    }
    // Each of them brings names that the others have not.
    for number in 0..300 {
        let mut one = event(events.len());
        one["user"]["extra"] = json!({ format!("key-{number}"): ["x"] });
        one["annotations"] = json!({ format!("annotation-{number}"): "x", ".": "y" });
        events.push(one);
    }
    for (pointer, value) in [
        ("/userAgent", json!("u".repeat(70_000))),
        ("/sourceIPs", json!(["nowhere", "fe80::1%eth0", "203.0.113.77"])),
        ("/stageTimestamp", json!("2026-03-01T08:00:01.123456789Z")),
        ("/responseStatus", json!({ "code": 403, "reason": "r".repeat(70_000), "message": "" })),
        (
            "/requestURI",
            json!(format!(
                "/api/v1/namespaces/n/pods/p/exec?command=cat&command=%2Fetc%2Fshadow&command={}",
                "%C3%A9".repeat(30_000)
            )),
        ),
    ] {
        let mut one = event(events.len());
        *one.pointer_mut(pointer).unwrap() = value;
        events.push(one);
    }
    events
}

/// The alerts that `scan` makes of events: one each.
fn scanned(events: &[Value]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let lines: Vec<String> = events.iter().map(Value::to_string).collect();
    std::fs::write(&path, lines.join("\n")).unwrap();
    let output = program(&["scan", "--format", "ecs", path.to_str().unwrap()]).output().unwrap();
    let alerts = json_lines(&output.stdout);
    assert_eq!(alerts.len(), events.len(), "{}", String::from_utf8_lossy(&output.stderr));
    alerts
}
