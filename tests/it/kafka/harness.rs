//! Tests of the harness itself: when one of these fails, no other Kafka test can be trusted.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Message, Offset, TopicPartitionList};

use super::broker::{self, ADMIN, Broker, NOBODY, Options, Security};
use super::client::Record;
use super::cluster::Cluster;
use super::process::{Process, Signal};
use super::tools::GroupOffset;
use super::{DEADLINE, unique};
use crate::support::eventually;

#[test]
fn records_come_back_as_they_were_written() {
    let kafka = broker::shared();
    let topic = unique("roundtrip");
    kafka.create_topic(&topic, 2, &[]);
    let written = [
        Record::value("plain").partition(0),
        Record::value("two\nlines\tand a tab").partition(0).key("k:1"),
        Record::value([0xff, 0x00, 0xfe]).partition(1).header("why", "bytes").header("n", "2:1"),
        Record::default().partition(1).key("tombstone"),
        Record::value("").partition(1),
    ];
    kafka.produce(&topic, &written);

    let read = kafka.consume_all(&topic);

    let offsets: Vec<_> = read.iter().map(|record| (record.partition, record.offset)).collect();
    assert_eq!(offsets, [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]);
    for (written, read) in written.iter().zip(&read) {
        assert_eq!(
            (&written.key, &written.value, &written.headers),
            (&read.key, &read.value, &read.headers)
        );
        assert_eq!(read.timestamp_type, "CreateTime");
    }
}

#[test]
fn kafkas_own_producers_write_too() {
    let kafka = broker::shared();
    let topic = unique("console");
    kafka.create_topic(&topic, 1, &[]);
    kafka.console_produce(&topic, "a\tfirst\nb\tsecond\n");
    kafka.produce_load(&topic, 100, 64);

    let read = kafka.consume_all(&topic);

    assert_eq!(read.len(), 102);
    assert_eq!((read[0].key_text(), read[0].value_text()), ("a", "first"));
    assert_eq!((read[1].key_text(), read[1].value_text()), ("b", "second"));
    assert!(read[2..].iter().all(|record| record.value_text().len() == 64));
}

#[test]
fn topic_settings_are_what_they_were_made_with() {
    let kafka = broker::shared();
    let topic = unique("settings");
    let settings =
        [("cleanup.policy", "compact,delete"), ("message.timestamp.type", "LogAppendTime")];
    kafka.create_topic(&topic, 3, &settings);

    let expected: BTreeMap<_, _> =
        settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    assert_eq!(kafka.topic_settings(&topic), expected);
    assert_eq!(kafka.topics(&topic).get(&topic), Some(&3));
}

#[test]
fn a_group_is_described_with_what_it_committed() {
    let kafka = broker::shared();
    let (topic, group) = (unique("group-topic"), unique("group"));
    kafka.create_topic(&topic, 2, &[]);
    let records: Vec<_> = (0..5).map(|i| Record::value(format!("{i}")).partition(0)).collect();
    kafka.produce(&topic, &records);
    let consumer: BaseConsumer = kafka.client_config().set("group.id", &group).create().unwrap();
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(&topic, 0, Offset::Offset(3)).unwrap();
    consumer.commit(&offsets, CommitMode::Sync).unwrap();

    let described = kafka.group_offsets(&group);

    assert_eq!(
        described.get(&(topic.clone(), 0)),
        Some(&GroupOffset { committed: Some(3), log_end: 5 })
    );
    let second = described.get(&(topic, 1)).and_then(|offset| offset.committed);
    assert_eq!(second, None);
}

#[test]
fn a_taken_port_is_no_obstacle() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken_port = taken.local_addr().unwrap().port();
    let controller = TcpListener::bind("127.0.0.1:0").unwrap();
    let controller_port = controller.local_addr().unwrap().port();

    let kafka = Broker::start(Options {
        first_ports: Some((taken_port, controller_port)),
        ..Options::default()
    });

    assert_ne!(kafka.port(), taken_port);
    kafka.create_topic("t", 1, &[]);
    assert_eq!(kafka.topics("t").get("t"), Some(&1));
}

#[test]
fn data_outlives_a_kill_and_a_stop_and_a_frozen_broker_answers_nothing() {
    let mut kafka = Broker::start(Options::default());
    let port = kafka.port();
    kafka.create_topic("t", 1, &[]);
    kafka.produce("t", &[Record::value("one")]);

    kafka.kill();
    assert!(metadata(&kafka, ADMIN).is_err(), "a killed broker answers");
    kafka.restart();
    assert_eq!(kafka.port(), port);
    kafka.produce("t", &[Record::value("two")]);

    kafka.stop();
    kafka.restart();
    kafka.freeze();
    assert!(metadata(&kafka, ADMIN).is_err(), "a frozen broker answers");
    kafka.thaw();

    let values: Vec<_> =
        kafka.consume_all("t").iter().map(|record| record.value_text().to_owned()).collect();
    assert_eq!(values, ["one", "two"]);
}

#[test]
fn a_cluster_is_whole_only_while_all_its_nodes_have_everything() {
    let mut cluster = Cluster::start();
    cluster.node(0).create_topic("t", 3, &[]);
    eventually(DEADLINE, "the cluster is whole", || cluster.is_whole(0));
    cluster.node(0).produce("t", &[Record::value("by three")]);

    cluster.kill(1);
    // The others need a while to miss it.
    eventually(DEADLINE, "a node is missing", || !cluster.is_whole(2));
    cluster.node(0).produce("t", &[Record::value("by two")]);
    cluster.restart(1);
    eventually(DEADLINE, "the cluster is whole again", || cluster.is_whole(1));

    let mut values = Vec::new();
    cluster.node(1).read_all("t", |message| {
        values.push(String::from_utf8_lossy(message.payload().unwrap()).into_owned());
    });
    values.sort();
    assert_eq!(values, ["by three", "by two"]);
}

#[test]
fn rights_are_asked_for_and_can_be_given() {
    let kafka = Broker::start(Options { security: Security::Acl, ..Options::default() });
    kafka.create_topic("t", 1, &[]);
    let refused = |topic: &str| {
        let client: BaseConsumer = kafka.client_config_as(NOBODY).create().unwrap();
        client.fetch_metadata(Some(topic), DEADLINE).unwrap().topics()[0].error().is_some()
    };
    assert!(refused("t"));

    kafka.allow(NOBODY.0, &["Describe"], ["--topic", "t"]);

    assert!(!refused("t"));
    let wrong = metadata(&kafka, (NOBODY.0, "wrong"));
    assert!(wrong.is_err(), "a wrong password is accepted");
}

#[test]
fn a_process_is_heard_signalled_and_waited_for() {
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "trap 'echo data; echo stopping >&2; exit 3' TERM; echo ready >&2; while :; do :; done",
    ]);
    let process = Process::spawn(command);
    process.wait_for_stderr(DEADLINE, |line| line.starts_with("ready"));
    assert_eq!(process.stdout(), "");

    process.signal(Signal::TERM);
    let finished = process.wait(DEADLINE);

    assert_eq!(finished.code(), Some(3));
    assert_eq!(finished.stdout_text(), "data\n");
    assert_eq!(finished.stderr, "ready\nstopping\n");
}

fn metadata(kafka: &Broker, user: (&str, &str)) -> Result<(), KafkaError> {
    let client: BaseConsumer = kafka.client_config_as(user).create()?;
    match client.fetch_metadata(None, Duration::from_secs(2)) {
        Ok(metadata) if metadata.brokers().is_empty() => {
            Err(KafkaError::MetadataFetch(RDKafkaErrorCode::BrokerTransportFailure))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    }
}
