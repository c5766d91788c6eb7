#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::*;

const TOPIC: &str = "alerts";
/// So long that whatever is sent meanwhile leaves before the answer to the first request comes.
const ROUND_TRIP: Duration = Duration::from_millis(200);

type Mock = MockCluster<'static, DefaultProducerContext>;

fn mock() -> (Mock, ClientConfig) {
    let mock = MockCluster::new(1).unwrap();
    mock.create_topic(TOPIC, 1, 1).unwrap();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", mock.bootstrap_servers());
    (mock, config)
}

fn settings() -> Settings {
    Settings {
        name: "test producer",
        half: Half::Detect,
        dead_letters: "dead".into(),
        shapes: Shapes { reduce: |_, _, _| None, position: |_, _| None },
        stats: Arc::new(Stats::default()),
    }
}

fn producer(config: &ClientConfig) -> OutputProducer {
    // Each record leaves at once, in a request of its own, and is not sent again before all that
    // is handed over meanwhile has left too.
    let mut config = config.clone();
    config.set("linger.ms", "0").set("batch.num.messages", "1");
    config.set("retry.backoff.ms", "1000").set("retry.backoff.max.ms", "1000");
    OutputProducer::new(&config, settings()).unwrap()
}

fn output(kind: OutputKind, key: &str, payload: &str) -> Output {
    Output {
        kind,
        topic: TOPIC.into(),
        partition: Some(0),
        key: Some(key.as_bytes().to_vec()),
        payload: Some(payload.as_bytes().to_vec()),
        headers: Vec::new(),
        reduced: None,
        ticket: Ticket { slot: 0, epoch: 0, offset: 0 },
        serial: 0,
    }
}

/// Pumps until that many are acknowledged, and returns their payloads in the order in which they
/// were.
fn acknowledge(producer: &mut OutputProducer, count: usize) -> Vec<String> {
    let mut acknowledged = Vec::new();
    let end = clock::monotonic() + Duration::from_secs(60);
    while acknowledged.len() < count {
        assert!(clock::monotonic() < end, "{} of {count} are acknowledged", acknowledged.len());
        producer.pump(Duration::from_millis(20), &mut acknowledged).unwrap();
    }
    acknowledged.iter().map(|one| text(one.payload.as_deref().unwrap())).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What stands on the topic, first to last.
fn standing(config: &ClientConfig, count: usize) -> Vec<String> {
    let consumer: BaseConsumer = config.clone().set("group.id", "reader").create().unwrap();
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(TOPIC, 0, Offset::Beginning).unwrap();
    consumer.assign(&from).unwrap();
    let mut found = Vec::new();
    let end = clock::monotonic() + Duration::from_secs(60);
    while found.len() < count {
        assert!(clock::monotonic() < end, "{found:?}");
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            found.push(text(message.unwrap().payload().unwrap()));
        }
    }
    found
}

/// The first request is refused while the second would be accepted: what of a key is sent first
/// stands first all the same.
#[test]
fn a_retry_never_puts_the_older_of_a_key_last() {
    for kind in [OutputKind::Alert, OutputKind::Marker] {
        let (mock, config) = mock();
        let mut producer = producer(&config);
        // Once a connection stands, requests follow one another without waiting.
        producer.send(output(kind, "other", "warm")).unwrap();
        acknowledge(&mut producer, 1);

        mock.broker_round_trip_time(1, ROUND_TRIP).unwrap();
        mock.request_errors(
            RDKafkaApiKey::Produce,
            &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION],
        );
        for payload in ["first", "second", "third"] {
            producer.send(output(kind, "id", payload)).unwrap();
        }
        let told = acknowledge(&mut producer, 3);
        assert_eq!(told, ["first", "second", "third"], "{kind:?}");
        assert_eq!(standing(&config, 4), ["warm", "first", "second", "third"], "{kind:?}");
        assert_eq!(producer.outstanding(), 0);
        assert!(producer.lines.is_empty());
    }
}

/// What has another key does not wait: the same refusal lets it pass what was sent before it.
#[test]
fn keys_do_not_wait_for_each_other() {
    let (mock, config) = mock();
    let mut producer = producer(&config);
    producer.send(output(OutputKind::Alert, "other", "warm")).unwrap();
    acknowledge(&mut producer, 1);

    mock.broker_round_trip_time(1, ROUND_TRIP).unwrap();
    mock.request_errors(
        RDKafkaApiKey::Produce,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION],
    );
    producer.send(output(OutputKind::Alert, "id", "first")).unwrap();
    producer.send(output(OutputKind::Alert, "another", "second")).unwrap();
    assert_eq!(acknowledge(&mut producer, 2), ["second", "first"]);
}

/// The client's thread waits for room for an acknowledgement. Whoever ends without taking any more
/// does not wait for that thread in turn.
#[test]
fn a_producer_ends_while_nobody_takes_what_is_acknowledged() {
    const MOST_IN_FLIGHT: usize = 10_000;
    let (_mock, config) = mock();
    let mut producer = OutputProducer::new(&config, settings()).unwrap();
    let end = clock::monotonic() + Duration::from_secs(120);
    while !producer.deliveries.is_full() {
        assert!(clock::monotonic() < end, "{} are acknowledged", producer.deliveries.len());
        if producer.batching.in_flight() < MOST_IN_FLIGHT {
            producer.send(output(OutputKind::Observation, "id", "x")).unwrap();
        } else {
            std::thread::yield_now();
        }
    }
    for _ in 0..MOST_IN_FLIGHT {
        producer.send(output(OutputKind::Observation, "id", "x")).unwrap();
    }
    let (ended, ends) = bounded(1);
    std::thread::spawn(move || {
        drop(producer);
        ended.send(()).unwrap();
    });
    ends.recv_timeout(Duration::from_secs(60)).expect("the producer ends");
}

/// The order of observations and of dead letters is the broker's affair.
#[test]
fn what_nothing_replaces_has_no_line() {
    let lines = Lines::default();
    let line = |kind| lines.line_of(&output(kind, "id", ""));
    assert_eq!([line(OutputKind::Observation), line(OutputKind::DeadLetter)], [None, None]);
    assert_eq!(line(OutputKind::Alert), line(OutputKind::Alert));
    assert_ne!(line(OutputKind::Alert), None);
    let elsewhere = Output { topic: "elsewhere".into(), ..output(OutputKind::Alert, "id", "") };
    assert_ne!(lines.line_of(&elsewhere), line(OutputKind::Alert));
}

#[test]
fn headers_count_in_the_size_of_an_output() {
    let output = |headers| Output {
        key: None,
        payload: None,
        headers,
        ..output(OutputKind::DeadLetter, "", "")
    };
    let header = ("name".to_owned(), Some(vec![0; 1_000]));
    let bare = output(Vec::new()).size();
    assert!(output(vec![header.clone(), header]).size() >= bare + 2_000);
}
