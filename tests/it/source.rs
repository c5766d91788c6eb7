//! What befalls a source topic under a running `run`, on a real Kafka.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::kafka::DEADLINE;
use crate::kafka::broker;
use crate::kafka::process::Signal;
use crate::pipeline::{PARTITIONS, Stream, produce, raised_on, single_acts};
use crate::support::eventually;

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
