//! Topics that refuse records for their size, on a real Kafka: what does not fit goes out
//! shortened and marked, or to the dead letters with the reason, and the stream goes on.
//!
//! A topic's limit is one for batches as the broker receives them, compressed: what is to be too
//! large here does not compress.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::kafka::DEADLINE;
use crate::kafka::broker::{self, Broker, NOBODY, Options, Security};
use crate::kafka::client::Record;
use crate::kafka::process::Finished;
use crate::kafka::tools::Consumed;
use crate::pipeline::{Stream, assert_offsets_at_the_end};
use crate::support;

/// Text that does not compress well.
fn noise(bytes: usize, seed: &str) -> String {
    let mut text = String::with_capacity(bytes + 64);
    let mut number = 0u64;
    while text.len() < bytes {
        let digest = Sha256::digest(format!("{seed}{number}").as_bytes());
        digest.iter().for_each(|byte| text.push_str(&format!("{byte:02x}")));
        number += 1;
    }
    text.truncate(bytes);
    text
}

/// An exec whose command is `bytes` long.
fn long_exec(audit_id: &str, bytes: usize) -> Vec<u8> {
    let mut event: Value = serde_json::from_slice(&support::exec_event(audit_id)).unwrap();
    let uri = event["requestURI"].as_str().unwrap();
    event["requestURI"] = format!("{uri}&command={}", noise(bytes, audit_id)).into();
    event.to_string().into_bytes()
}

/// Makes a topic of the stream as it is made, but for its limit.
fn limited(kafka: &Broker, topic: &str, max_bytes: usize) {
    kafka.create_topic(topic, 2, &[("max.message.bytes", &max_bytes.to_string())]);
}

/// Writes the records to one partition, so that what stands behind a refused one shows that the
/// stream goes on, and runs until everything is committed.
fn run_through(kafka: &Broker, stream: &Stream, records: &[Vec<u8>]) -> Finished {
    let records: Vec<Record> =
        records.iter().map(|record| Record::value(record.clone()).partition(0)).collect();
    kafka.produce(&stream.source(), &records);
    let run = stream.run("one", &[]);
    stream.wait_until_read(kafka);
    let finished = run.terminate(DEADLINE);
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    assert_offsets_at_the_end(kafka, stream);
    finished
}

fn json(record: &Consumed) -> Value {
    serde_json::from_slice(record.value.as_deref().unwrap()).unwrap()
}

/// Alerts by the audit id of their event.
fn by_audit_id(records: Vec<Consumed>) -> BTreeMap<String, Consumed> {
    records
        .into_iter()
        .map(|record| {
            let id = json(&record)["kubernetes"]["audit"]["auditID"].as_str().unwrap().to_owned();
            (id, record)
        })
        .collect()
}

/// A field of the last line of counters.
fn counted(finished: &Finished, field: &str) -> String {
    let line = finished.stderr.lines().rev().find(|line| line.contains("flow so far")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    line.get(field).map(|value| value.to_string().replace('\\', "")).unwrap_or_default()
}

#[test]
fn alerts_too_large_for_their_topic_go_out_shortened_and_the_others_whole() {
    let kafka = broker::shared();
    let stream = Stream::new(kafka, "short");
    limited(kafka, &stream.alerts(), 20_000);
    // Many small ones fill batches that are above the limit though none of them is.
    let mut records: Vec<Vec<u8>> =
        (0..300).map(|n| support::exec_event(&format!("small-{n}"))).collect();
    for (n, bytes) in [25_000, 60_000, 300_000, 1_500_000].into_iter().enumerate() {
        records.insert(n * 70, long_exec(&format!("large-{n}"), bytes));
    }
    let finished = run_through(kafka, &stream, &records);

    let alerts = by_audit_id(kafka.consume_all(&stream.alerts()));
    assert_eq!(alerts.len(), records.len());
    for (id, record) in &alerts {
        let alert = json(record);
        support::assert_valid_ecs(&alert);
        assert_eq!(record.key_text(), alert["event"]["id"].as_str().unwrap());
        assert_eq!(alert["kubetell"]["position"]["topic"], stream.source());
        let is_large = id.starts_with("large");
        assert_eq!(alert["kubetell"]["reduced"] == true, is_large, "{id}");
        assert_eq!(record.header("kubetell-reduced"), is_large.then_some("true"), "{id}");
        assert_eq!(alert["process"]["args"][1], "/etc/shadow", "{id}");
    }
    assert!(kafka.consume_all(&stream.dead_letters()).is_empty());
    assert!(finished.stderr.contains("one at a time"), "{}", finished.stderr);
    assert_eq!(counted(&finished, "shortened"), r#""{"alert": 4}""#);
}

#[test]
fn an_alert_that_is_refused_however_short_is_a_dead_letter() {
    let kafka = broker::shared();
    let stream = Stream::new(kafka, "letter");
    limited(kafka, &stream.alerts(), 600);
    let records: Vec<Vec<u8>> = (0..20).map(|n| long_exec(&format!("act-{n}"), 3_000)).collect();
    let finished = run_through(kafka, &stream, &records);

    assert!(kafka.consume_all(&stream.alerts()).is_empty());
    let letters = by_audit_id(kafka.consume_all(&stream.dead_letters()));
    assert_eq!(letters.len(), records.len());
    for (at, record) in letters.values().enumerate() {
        let alert = json(record);
        // Whole, and with all that it takes to write it to its topic once that is mended.
        support::assert_valid_ecs(&alert);
        assert_eq!(alert["kubetell"].get("reduced"), None);
        assert_eq!(record.key_text(), alert["event"]["id"].as_str().unwrap(), "{at}");
        assert_eq!(record.header("alert-id"), Some(record.key_text()));
        assert_eq!(record.header("rule-id"), Some("pod-exec-sensitive-path"));
        let position = &alert["kubetell"]["position"];
        for (name, value) in [
            ("kubetell-error-class", "output-too-large"),
            ("kubetell-output", "alert"),
            ("kubetell-output-topic", &stream.alerts()),
            ("kubetell-topic", &stream.source()),
            ("kubetell-partition", &position["partition"].to_string()),
            ("kubetell-offset", &position["offset"].to_string()),
        ] {
            assert_eq!(record.header(name), Some(value), "{name}");
        }
        assert!(record.header("kubetell-error").unwrap().contains(&stream.alerts()));
    }
    assert_eq!(counted(&finished, "diverted"), r#""{"output-too-large": 20}""#);
    assert_eq!(counted(&finished, "alerts"), r#""{}""#);
}

#[test]
fn a_dead_letter_too_large_for_its_topic_is_cut() {
    let kafka = broker::shared();
    let stream = Stream::new(kafka, "cut");
    limited(kafka, &stream.alerts(), 600);
    limited(kafka, &stream.dead_letters(), 5_000);
    let unreadable = noise(400_000, "unreadable").into_bytes();
    let acts = [unreadable.clone(), long_exec("large", 50_000), b"{".to_vec()];
    let finished = run_through(kafka, &stream, &acts);

    let letters = kafka.consume_all(&stream.dead_letters());
    let of = |class: &str| -> Vec<&Consumed> {
        let is = |record: &&Consumed| record.header("kubetell-error-class") == Some(class);
        letters.iter().filter(is).collect()
    };
    let (alert, large, small) = (of("output-too-large"), of("not-json"), of("truncated"));
    assert_eq!((letters.len(), alert.len(), large.len(), small.len()), (3, 1, 1, 1));
    for (record, size) in [(large[0], unreadable.len()), (small[0], 1)] {
        assert_eq!(record.header("kubetell-size"), Some(size.to_string().as_str()));
        assert_eq!(record.header("kubetell-topic"), Some(stream.source().as_str()));
    }
    assert_eq!(small[0].value.as_deref(), Some(&b"{"[..]));
    assert_eq!(small[0].header("kubetell-reduced"), None);
    let kept = large[0].value.as_deref().unwrap();
    assert!(unreadable.starts_with(kept) && !kept.is_empty(), "{} bytes", kept.len());
    assert_eq!(large[0].header("kubetell-reduced"), Some("true"));
    assert_eq!(alert[0].header("kubetell-reduced"), Some("true"));
    assert_eq!(alert[0].header("alert-id"), Some(alert[0].key_text()));
    assert_eq!(counted(&finished, "shortened"), r#""{"dead letter": 1}""#);
    assert_eq!(counted(&finished, "dead_letters"), "2");
}

#[test]
fn observations_too_large_for_their_topic_are_shortened_or_dead_letters() {
    let kafka = broker::shared();
    let stream = Stream::new(kafka, "seen");
    kafka.create_topic(
        &stream.observations(),
        4,
        &[
            ("cleanup.policy", "compact,delete"),
            ("message.timestamp.type", "LogAppendTime"),
            ("min.compaction.lag.ms", "86400000"),
            ("retention.ms", "691200000"),
            ("max.message.bytes", "15000"),
        ],
    );
    let read = |id: &str, user: &str, change: &dyn Fn(&mut Value)| {
        let mut event: Value = serde_json::from_slice(&support::secret_event(id, user)).unwrap();
        change(&mut event);
        event.to_string().into_bytes()
    };
    let mut records: Vec<Vec<u8>> =
        (0..200).map(|n| support::secret_event(&format!("small-{n}"), &format!("u{n}"))).collect();
    records.insert(
        50,
        read("long-uri", "someone", &|event| {
            event["requestURI"] =
                format!("/api/v1/namespaces/n/secrets/s?x={}", noise(90_000, "u")).into();
        }),
    );
    // What decides can't be cut.
    records.insert(
        90,
        read("long-terms", &noise(8_000, "name"), &|event| {
            event["userAgent"] = noise(8_000, "agent").into();
        }),
    );
    let finished = run_through(kafka, &stream, &records);

    let alerts = by_audit_id(kafka.consume_all(&stream.alerts()));
    assert_eq!(alerts.len(), 201);
    for (id, record) in &alerts {
        let alert = json(record);
        support::assert_valid_ecs(&alert);
        assert_eq!(alert["kubetell"]["reduced"] == true, id == "long-uri", "{id}");
    }
    let shortened = json(&alerts["long-uri"]);
    assert_eq!(shortened["kubetell"]["new_terms"][1], "someone");
    assert_eq!(shortened["user"]["name"], "someone");
    let letters = kafka.consume_all(&stream.dead_letters());
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].header("kubetell-error-class"), Some("output-too-large"));
    assert_eq!(letters[0].header("kubetell-output"), Some("observation"));
    assert_eq!(json(&letters[0])["event"]["auditID"], "long-terms");
    assert_eq!(counted(&finished, "shortened"), r#""{"observation": 1}""#);
    assert_eq!(counted(&finished, "diverted"), r#""{"output-too-large": 1}""#);
}

#[test]
fn a_topic_that_refuses_everything_ends_the_process_with_a_hint() {
    let kafka = broker::shared();
    let stream = Stream::new(kafka, "nothing");
    limited(kafka, &stream.alerts(), 100);
    limited(kafka, &stream.dead_letters(), 100);
    kafka.produce(&stream.source(), &[Record::value(support::exec_event("act")).partition(0)]);
    let finished = stream.run("one", &[]).wait(DEADLINE);
    assert_eq!(finished.code(), Some(78), "{}", finished.stderr);
    for text in ["refuses even a", "hint: raise `max.message.bytes`", &stream.dead_letters()] {
        assert!(finished.stderr.contains(text), "`{text}` is not in:\n{}", finished.stderr);
    }
    // Nothing is lost by it.
    assert_ne!(stream.lag(kafka), 0);
}

#[test]
fn a_right_that_is_taken_away_ends_the_process_with_a_hint() {
    let kafka = Broker::start(Options { security: Security::Acl, ..Options::default() });
    let mut stream = Stream::new(&kafka, "rights");
    stream.extra = kafka
        .security_properties(NOBODY)
        .into_iter()
        .map(|(key, value)| format!("kafka.properties.{key}={value}"))
        .collect();
    let all = ["Read", "Write", "Create", "DescribeConfigs"];
    kafka.allow(NOBODY.0, &all, ["--topic", "*"]);
    kafka.allow(NOBODY.0, &["Read"], ["--group", "*"]);
    let run = stream.run("one", &[]);
    let act = |id: &str| {
        kafka.produce(&stream.source(), &[Record::value(support::exec_event(id)).partition(0)]);
    };
    act("before");
    stream.wait_until_read(&kafka);
    kafka.deny(NOBODY.0, "Write", ["--topic", &stream.alerts()]);
    act("after");
    let finished = run.wait(DEADLINE);
    assert_eq!(finished.code(), Some(78), "{}", finished.stderr);
    for text in [&*stream.alerts(), "authorization failed", "hint: grant", "`Write`"] {
        assert!(finished.stderr.contains(text), "`{text}` is not in:\n{}", finished.stderr);
    }
    assert_eq!(kafka.consume_all(&stream.alerts()).len(), 1);
}
