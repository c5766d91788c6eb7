//! An observations log as a running kubetell writes it, of as many terms as one likes.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use kubetell::audit::event::Event;
use kubetell::clock;
use kubetell::detect::matcher::{Context, Detection, Matcher};
use kubetell::limits;
use kubetell::position::Position;
use kubetell::rules::set::RuleSet;
use kubetell::terms::observation::Observation;
use kubetell::terms::record::{self, HASH_VERSION, Marker};

use super::kafka::DEADLINE;
use super::kafka::broker::Broker;

pub const TOPIC: &str = "kubetell.observations";
pub const GROUP: &str = "kubetell-terms";
pub const CLUSTER: &str = "prod-eu-1";
const LOG_ID: &str = "00000000-0000-4000-8000-0000000000aa";
/// Terms of one user: clients and addresses that differ.
const TERMS_A_USER: u64 = 10;

/// An id that looks like one of the API server's.
pub fn audit_id(number: u64) -> String {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{:08x}-7a10-4c3e-9f4e-{:012x}", mixed >> 32, mixed & 0xffff_ffff_ffff)
}

/// One client's read of a secret. Numbers that differ are terms that differ.
pub fn event_text(number: u64, audit_id: &str, time: &str) -> String {
    let (user, client) = (number / TERMS_A_USER, number % TERMS_A_USER);
    let json = serde_json::json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
        "auditID": audit_id,
        "stage": "ResponseComplete",
        "requestURI": format!("/api/v1/namespaces/team-{}/secrets/credentials-{}", user % 211, client),
        "verb": "get",
        "user": {
            "username": format!("system:serviceaccount:team-{}:worker-{user}", user % 211),
            "uid": format!("{user:08x}-1c2d-4e3f-8a9b-0123456789ab"),
            "groups": ["system:serviceaccounts", format!("system:serviceaccounts:team-{}", user % 211), "system:authenticated"],
            "extra": {
                "authentication.kubernetes.io/credential-id": [format!("JTI={number:08x}-5555-4444-8888-0123456789ab")],
                "authentication.kubernetes.io/node-name": [format!("node-{}", user % 97)],
                "authentication.kubernetes.io/pod-name": [format!("worker-{user}-{client}")],
                "authentication.kubernetes.io/pod-uid": [format!("{number:08x}-aaaa-4bbb-8ccc-0123456789ab")],
            },
        },
        "sourceIPs": [format!("10.{}.{}.{}", user / 250 % 250, user % 250, client)],
        "userAgent": format!("worker/v1.{client}.0 (linux/amd64) kubernetes/{:07x}", user % 1_000),
        "objectRef": {"resource": "secrets", "namespace": format!("team-{}", user % 211), "name": format!("credentials-{client}"), "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 200},
        "requestReceivedTimestamp": time,
        "stageTimestamp": time,
        "annotations": {
            "authorization.k8s.io/decision": "allow",
            "authorization.k8s.io/reason": "RBAC: allowed by RoleBinding \"secret-reader/team\" of Role \"secret-reader\" to ServiceAccount",
        },
    });
    json.to_string()
}

fn observation(matcher: &Matcher, number: u64) -> Observation {
    let text = event_text(number, &audit_id(number), "2026-02-03T04:05:01.000001Z");
    let event: Event<'_> = serde_json::from_str(&text).unwrap();
    let mut found = Vec::new();
    let position = Position::Kafka {
        topic: "kubernetes-audit".to_owned(),
        partition: i32::try_from(number % 24).unwrap(),
        offset: i64::try_from(number).unwrap(),
        item: 0,
    };
    let context = Context { cluster: CLUSTER, position, wrapper_id: None, wrapper_time_ms: None };
    matcher.examine(event, context, &mut found);
    let [Detection::Observation(observation)] = &found[..] else { panic!("{found:?}") };
    observation.as_ref().clone()
}

/// Creates the topic, writes markers and observations as the two halves do, and commits the
/// first-seen half's offsets at the end. Learning was over long ago. The bytes of all values.
pub fn fill(broker: &Broker, terms: u64, partitions: u32) -> u64 {
    let retention_ms = limits::observation_retention_ms(7 * limits::DAY_MS).to_string();
    broker.create_topic(
        TOPIC,
        i32::try_from(partitions).unwrap(),
        &[
            ("cleanup.policy", "compact,delete"),
            ("message.timestamp.type", "LogAppendTime"),
            ("min.compaction.lag.ms", &limits::COMPACTION_LAG_MS.to_string()),
            ("retention.ms", &retention_ms),
            ("compression.type", "producer"),
        ],
    );
    let started = clock::monotonic();
    let matcher = Matcher::new(Arc::new(RuleSet::builtin().unwrap()), 7 * limits::DAY_MS);
    let producer: BaseProducer = broker
        .client_config()
        .set("compression.codec", "lz4")
        .set("linger.ms", "5")
        .set("acks", "all")
        .set("queue.buffering.max.kbytes", "65536")
        .create()
        .unwrap();
    let mut ends = vec![0; partitions as usize];
    let mut send = |partition: u32, key: &[u8], value: &[u8]| {
        let partition_number = i32::try_from(partition).unwrap();
        let mut next = BaseRecord::to(TOPIC).partition(partition_number).key(key).payload(value);
        loop {
            match producer.send(next) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    producer.poll(Duration::from_millis(20));
                    next = back;
                }
                Err((error, _)) => panic!("{error}"),
            }
        }
        producer.poll(Duration::ZERO);
        ends[partition as usize] += 1;
    };
    let version = observation(&matcher, 0).terms_version;
    let marker = Marker {
        log_id: LOG_ID.to_owned(),
        partitions,
        hash_version: HASH_VERSION,
        learning_starts: [(version, clock::now_ms() - 30 * limits::DAY_MS)].into(),
    };
    for partition in 0..partitions {
        send(partition, record::marker_key(), &record::marker_value(&marker).unwrap());
    }
    let mut bytes = 0;
    for number in 0..terms {
        let observation = observation(&matcher, number);
        let value = record::value(&observation).unwrap();
        bytes += value.len() as u64;
        let partition = record::partition_for(&observation.shard_key, partitions);
        send(partition, &record::key(&observation), &value);
    }
    producer.flush(DEADLINE).unwrap();
    eprintln!(
        "{terms} terms of {} bytes a record were written in {:.1} s",
        bytes / terms.max(1),
        started.elapsed().as_secs_f64()
    );
    commit(broker, &ends);
    bytes
}

fn commit(broker: &Broker, ends: &[i64]) {
    let consumer: BaseConsumer = broker.client_config().set("group.id", GROUP).create().unwrap();
    let mut offsets = TopicPartitionList::new();
    for (partition, end) in ends.iter().enumerate() {
        let partition = i32::try_from(partition).unwrap();
        offsets.add_partition(TOPIC, partition);
        let mut element = offsets.find_partition(TOPIC, partition).unwrap();
        element.set_offset(Offset::Offset(*end)).unwrap();
        element.set_metadata(LOG_ID);
    }
    consumer.commit(&offsets, CommitMode::Sync).unwrap();
}
