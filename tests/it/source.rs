//! What befalls a source topic under a running `run`, on a real Kafka.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::kafka::DEADLINE;
use crate::kafka::broker;
use crate::kafka::client::Record;
use crate::kafka::process::Signal;
use crate::pipeline::{PARTITIONS, Stream, produce, raised_on, single_acts};
use crate::support::{self, eventually};
use crate::wire::{self, RawRecord};

#[test]
fn what_is_deleted_before_it_is_read_is_counted_and_the_rest_is_read() {
    let kafka = broker::shared();
    let stream = Stream::new(kafka, "overtaken");
    let run = stream.run("one", &[]);
    produce(kafka, &stream.source(), &single_acts(0, 60));
    stream.wait_until_read(kafka);
    run.signal(Signal::STOP);
    // A fetch that the broker holds open takes these with it; it can't take the next ones.
    produce(kafka, &stream.source(), &single_acts(1, 60));
    produce(kafka, &stream.source(), &single_acts(2, 60));
    kafka.empty_topic(&stream.source(), PARTITIONS);
    produce(kafka, &stream.source(), &single_acts(3, 60));
    run.signal(Signal::CONT);
    stream.wait_until_read(kafka);
    let finished = run.terminate(DEADLINE);
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    assert!(finished.stderr.contains("records were deleted from the topic"), "{}", finished.stderr);
    let raised = raised_on(&kafka.consume_all(&stream.alerts()));
    let clients = |round: usize| {
        let client = format!("client-{round}-");
        raised.terms.iter().filter(|(_, terms)| terms.iter().any(|t| t.contains(&client))).count()
    };
    assert_eq!((clients(0), clients(2), clients(3)), (30, 0, 30));
}

#[test]
fn a_topic_that_is_made_anew_is_read_from_its_start() {
    let kafka = broker::shared();
    let stream = Stream::new(kafka, "anew");
    let run = stream.run("one", &[]);
    produce(kafka, &stream.source(), &single_acts(0, 120));
    stream.wait_until_read(kafka);
    kafka.delete_topic(&stream.source());
    kafka.create_topic(&stream.source(), PARTITIONS, &[]);
    produce(kafka, &stream.source(), &single_acts(1, 60));
    eventually(DEADLINE, "the new topic's alerts", || {
        raised_on(&kafka.consume_all(&stream.alerts())).execs.len() == 90
    });
    let finished = run.terminate(DEADLINE);
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
}

/// The protocol takes any bytes for a header's name, and the client library panics on what is no
/// UTF-8: one such record ended every instance that read it, again and again.
#[test]
fn a_header_whose_name_is_no_text_costs_the_record_its_headers_and_nothing_else() {
    let kafka = broker::shared();
    let mut stream = Stream::new(kafka, "names");
    stream.extra = vec!["source.cluster_from=header:cluster".to_owned()];
    // The client waits for the topic's leader, which the bytes below do not.
    let usual = Record::value(support::exec_event("usual")).header("cluster", "edge");
    kafka.produce(&stream.source(), &[usual.partition(0)]);
    let headers: [(&[u8], &[u8]); 2] = [(b"cluster", b"edge"), (b"\xff\xfe", b"v")];
    for value in [&support::exec_event("odd")[..], b"not json"] {
        let record = RawRecord { value, headers: &headers };
        wire::produce(&kafka.bootstrap(), &stream.source(), 0, &record);
    }
    let run = stream.run("one", &[]);
    stream.wait_until_read(kafka);
    let finished = run.terminate(DEADLINE);
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);

    let mut clusters: Vec<(String, String)> = kafka
        .consume_all(&stream.alerts())
        .iter()
        .map(|record| {
            let alert: serde_json::Value =
                serde_json::from_slice(record.value.as_deref().unwrap()).unwrap();
            let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
            (
                text(&alert["kubernetes"]["audit"]["auditID"]),
                text(&alert["orchestrator"]["cluster"]["name"]),
            )
        })
        .collect();
    clusters.sort();
    let expected = [("odd", "test"), ("usual", "edge")];
    assert_eq!(clusters, expected.map(|(id, name)| (id.to_owned(), name.to_owned())));
    let letters = kafka.consume_all(&stream.dead_letters());
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].value.as_deref(), Some(&b"not json"[..]));
    assert_eq!(letters[0].header("cluster"), None);
    assert_eq!(letters[0].header("kubetell-error-class"), Some("not-json"));
    assert!(finished.stderr.contains("\"headers_unreadable\":2"), "{}", finished.stderr);
    assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
}
