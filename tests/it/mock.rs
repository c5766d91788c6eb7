//! The service on the mock cluster inside librdkafka: rebalances, refused and lost requests.
//!
//! The library's own `run::start` runs in this process, several of it as several instances. What
//! only a real Kafka can show (transactions, compaction, append times) is not claimed here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use kubetell::app::run::{self, Role, Service};
use kubetell::config::{self, Config, Inputs};
use kubetell::rules::set::RuleSet;
use kubetell::terms::record;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Message, OwnedMessage};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;

use crate::support::{self, Found, eventually};

const SOURCE: (&str, i32) = ("audit", 6);
const ALERTS: (&str, i32) = ("alerts", 2);
const OBSERVATIONS: (&str, i32) = ("observations", 3);
const DEAD_LETTERS: (&str, i32) = ("dead-letters", 1);
const GROUP: &str = "kubetell";
/// Commits nothing.
const READER: &str = "reader";
const DEADLINE: Duration = Duration::from_secs(120);
const REQUEST: Duration = DEADLINE;
const BROKER: i32 = 1;

/// A mock cluster with the topics, and the states of the instances on it.
struct Stream {
    mock: MockCluster<'static, DefaultProducerContext>,
    dir: tempfile::TempDir,
    player: BaseProducer,
}

impl Stream {
    fn new() -> Self {
        let mock = MockCluster::new(1).unwrap();
        for (topic, partitions) in [SOURCE, ALERTS, OBSERVATIONS, DEAD_LETTERS] {
            mock.create_topic(topic, partitions, 1).unwrap();
        }
        let player = client(&mock).create().unwrap();
        Stream { mock, dir: tempfile::tempdir().unwrap(), player }
    }

    fn config(&self, instance: &str) -> Config {
        let settings = [
            format!("kafka.bootstrap_servers={:?}", self.mock.bootstrap_servers()),
            format!("kafka.group_id={GROUP}"),
            format!("source.topics=[{:?}]", SOURCE.0),
            format!("alerts.topic={}", ALERTS.0),
            format!("observations.topic={}", OBSERVATIONS.0),
            format!("observations.partitions={}", OBSERVATIONS.1),
            "observations.replication_factor=1".to_owned(),
            format!("dead_letters.topic={}", DEAD_LETTERS.0),
            format!("state.directory={:?}", self.dir.path().join(instance).to_str().unwrap()),
            "new_terms.learning=0s".to_owned(),
            "cluster=test".to_owned(),
            "kafka.properties.reconnect.backoff.max.ms=300".to_owned(),
            // The mock's rebalances take a second less than this, whoever has joined by then.
            "kafka.properties.session.timeout.ms=3000".to_owned(),
            "kafka.properties.heartbeat.interval.ms=200".to_owned(),
        ];
        let settings = settings.iter().map(|text| text.parse().unwrap()).collect();
        let inputs = Inputs { file: None, environment: Vec::new(), settings };
        config::load(&inputs).unwrap_or_else(|errors| panic!("{errors:?}")).config
    }

    fn start(&self, instance: &str) -> Service {
        self.start_with(&self.config(instance))
    }

    fn start_with(&self, config: &Config) -> Service {
        run::start(
            config,
            run::Loaded { set: Arc::new(RuleSet::builtin().unwrap()), fingerprint: [0; 32] },
            Role::All,
            &[(SOURCE.0.to_owned(), usize::try_from(SOURCE.1).unwrap())],
            u32::try_from(OBSERVATIONS.1).unwrap(),
            Arc::default(),
        )
        .unwrap()
    }

    fn produce(&self, records: &[(u32, Vec<u8>)]) {
        for (hint, bytes) in records {
            let partition = i32::try_from(*hint % SOURCE.1.unsigned_abs()).unwrap();
            let record = BaseRecord::<(), [u8]>::to(SOURCE.0).payload(bytes).partition(partition);
            self.player.send(record).map_err(|(error, _)| error).unwrap();
            self.player.poll(Duration::ZERO);
        }
        self.player.flush(DEADLINE).unwrap();
    }

    /// One record that concerns no rule, in each partition.
    fn produce_filler(&self) {
        let partitions = 0..SOURCE.1.unsigned_abs();
        self.produce(&partitions.map(|hint| (hint, support::quiet_event())).collect::<Vec<_>>());
    }

    /// The offsets that the group has not committed, by partition; `None` while nobody answers.
    ///
    /// A partition in which it never committed anything has them from its beginning.
    fn uncommitted(
        &self,
        group: &str,
        (topic, partitions): (&str, i32),
    ) -> Option<Vec<(i32, Range<i64>)>> {
        let consumer: BaseConsumer = client(&self.mock).set("group.id", group).create().unwrap();
        let mut asked = TopicPartitionList::new();
        for partition in 0..partitions {
            asked.add_partition(topic, partition);
        }
        let committed = consumer.committed_offsets(asked, REQUEST).ok()?;
        let of = |element: TopicPartitionListElem<'_>| {
            let partition = element.partition();
            let (low, high) = consumer.fetch_watermarks(topic, partition, REQUEST).ok()?;
            let next = match element.offset() {
                Offset::Offset(offset) => offset,
                _ => low,
            };
            Some((partition, next..high))
        };
        committed.elements().into_iter().map(of).collect()
    }

    /// How many records of `topic` the group has not committed; `None` while nobody answers.
    fn lag(&self, group: &str, topic: (&str, i32)) -> Option<i64> {
        let uncommitted = self.uncommitted(group, topic)?;
        Some(uncommitted.iter().map(|(_, offsets)| offsets.end - offsets.start).sum())
    }

    /// The records at these offsets of a topic.
    fn records(&self, topic: &str, offsets: &[(i32, Range<i64>)]) -> Vec<OwnedMessage> {
        let consumer: BaseConsumer = client(&self.mock)
            .set("group.id", READER)
            .set("fetch.wait.max.ms", "20")
            .create()
            .unwrap();
        let mut assignment = TopicPartitionList::new();
        let mut left = 0;
        for (partition, offsets) in offsets {
            let from = Offset::Offset(offsets.start);
            assignment.add_partition_offset(topic, *partition, from).unwrap();
            left += offsets.end - offsets.start;
        }
        consumer.assign(&assignment).unwrap();
        let next = |_| consumer.poll(REQUEST).expect("the rest of the topic").unwrap().detach();
        (0..left).map(next).collect()
    }

    fn wait_until_committed(&self) {
        eventually(DEADLINE, "both groups have committed everything", || {
            let lags = [(GROUP, SOURCE), (&format!("{GROUP}-terms"), OBSERVATIONS)]
                .map(|(group, topic)| self.lag(group, topic));
            lags == [Some(0), Some(0)]
        });
    }

    /// Nothing is left, but a marker: it tells nothing new to whoever wrote it, and a partition that is
    /// taken over late has one that nobody reads before the next one.
    fn assert_all_committed(&self) {
        assert_eq!(self.lag(GROUP, SOURCE), Some(0));
        let left = self.uncommitted(&format!("{GROUP}-terms"), OBSERVATIONS).unwrap();
        for record in self.records(OBSERVATIONS.0, &left) {
            assert_eq!(record.key(), Some(record::marker_key()));
        }
    }

    /// Everything in a topic, from its beginning to its end as of now.
    fn read(&self, topic: (&str, i32)) -> Vec<Vec<u8>> {
        let records = self.records(topic.0, &self.uncommitted(READER, topic).unwrap());
        records.iter().map(|record| record.payload().unwrap_or_default().to_vec()).collect()
    }

    /// Everything of the story was raised, under one id each.
    fn assert_nothing_lost(&self) {
        let alerts: Vec<Value> = self
            .read(ALERTS)
            .iter()
            .map(|payload| serde_json::from_slice(payload).unwrap())
            .collect();
        let expected = Found::in_story();
        assert_eq!(Found::of(&alerts), expected);
        let ids: BTreeSet<&str> =
            alerts.iter().map(|alert| alert["event"]["id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), expected.exec.len() + expected.terms.len(), "one id each");
        assert!(self.read(DEAD_LETTERS).is_empty());
    }
}

fn client(mock: &MockCluster<'static, DefaultProducerContext>) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", mock.bootstrap_servers())
        .set("reconnect.backoff.max.ms", "300")
        // The answer to a commit that nobody asked for would be taken for the end of a topic.
        .set("enable.auto.commit", "false")
        .set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg);
    config
}

fn stop(service: Service) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(service.until(std::future::ready(()))).unwrap();
}

/// The story in two halves.
fn halves() -> [Vec<(u32, Vec<u8>)>; 2] {
    let mut first: Vec<_> =
        support::story().into_iter().map(|record| (record.partition_hint, record.bytes)).collect();
    let second = first.split_off(first.len() / 2);
    [first, second]
}

#[test]
fn rebalance_in_the_middle_loses_nothing() {
    let stream = Stream::new();
    let [first, second] = halves();
    let one = stream.start("one");
    stream.produce(&first);
    // The other one joins while the first is at work.
    eventually(DEADLINE, "the first has begun", || one.stats.sources.totals().records > 0);
    let two = stream.start("two");
    eventually(DEADLINE, "the second has partitions of its own", || {
        stream.produce_filler();
        two.stats.sources.totals().records > 0
    });
    stream.produce(&second);
    stream.wait_until_committed();
    stop(one);
    stop(two);
    stream.assert_all_committed();
    stream.assert_nothing_lost();
}

#[test]
fn instance_that_leaves_hands_over_what_it_had() {
    let stream = Stream::new();
    let [first, second] = halves();
    let one = stream.start("one");
    stream.produce(&first);
    eventually(DEADLINE, "the first has begun", || one.stats.sources.totals().records > 0);
    let two = stream.start("two");
    eventually(DEADLINE, "the second has partitions of its own", || {
        stream.produce_filler();
        two.stats.sources.totals().records > 0
    });
    stop(one);
    stream.produce(&second);
    stream.wait_until_committed();
    stop(two);
    stream.assert_all_committed();
    stream.assert_nothing_lost();
}

#[test]
fn stop_commits_everything_that_was_read() {
    let stream = Stream::new();
    let [first, second] = halves();
    let records = [first, second].concat();
    stream.produce(&records);
    let service = stream.start("one");
    let stats = Arc::clone(&service.stats);
    eventually(DEADLINE, "everything was read", || {
        stats.sources.totals().records >= records.len() as u64
    });
    // Observations that were not folded by then are read again by whoever comes next.
    eventually(DEADLINE, "everything observed was folded", || {
        stats.under_way.get() == 0
            && stats.observations.get() > 0
            && stats.terms_folded.get() >= stats.observations.get()
    });
    // A log whose first marker is folded last has no offset to commit before.
    eventually(DEADLINE, "all logs of observations are folded to their ends", || {
        let ends = stream.uncommitted(READER, OBSERVATIONS).unwrap_or_default();
        let folded = stats.first_seen.partitions();
        let is_folded = |(partition, offsets): &(i32, Range<i64>)| {
            offsets.end > 0
                && folded.iter().any(|one| {
                    let at = (one.partition, one.next, one.done);
                    at == (*partition, offsets.end, offsets.end) && !one.restoring
                })
        };
        ends.len() == 3 && ends.iter().all(is_folded)
    });
    stop(service);
    stream.assert_all_committed();
    stream.assert_nothing_lost();
}

/// What workers take for spared is not: the cache has no room to know which events had no outcome,
/// so all that tell one go out.
#[test]
fn an_observation_that_workers_took_for_spared_goes_out() {
    let stream = Stream::new();
    let mut config = stream.config("one");
    // Room for 30 terms and 10 events.
    config.new_terms.cache_bytes = 40 * 160;
    let service = stream.start_with(&config);
    let stats = Arc::clone(&service.stats);
    let is_done = |what: &str, events: u64, observations: u64, spared: u64| {
        eventually(DEADLINE, what, || {
            (stats.events.get(), stats.observations.get()) == (events, observations)
                && stats.observations_spared.get() == spared
        });
    };
    let read = |id: &str| stream.produce(&[(0, support::secret_event(id, "known"))]);
    read("first");
    is_done("the term is known", 1, 1, 0);
    read("second");
    is_done("it is spared", 2, 1, 1);
    let received = (0..11).map(|number| {
        let event = support::secret_event(&format!("received-{number}"), &format!("user-{number}"));
        let mut event: Value = serde_json::from_slice(&event).unwrap();
        event["stage"] = "RequestReceived".into();
        event.as_object_mut().unwrap().remove("responseStatus");
        (0, event.to_string().into_bytes())
    });
    stream.produce(&received.collect::<Vec<_>>());
    is_done("the events without an outcome are known, but one", 13, 12, 1);
    assert_eq!(stats.settled_again.get(), 0);
    read("third");
    is_done("what tells an outcome goes out", 14, 13, 1);
    assert_eq!(stats.settled_again.get(), 1);
    stop(service);
    assert_eq!(stream.lag(GROUP, SOURCE), Some(0));
    assert!(stream.read(DEAD_LETTERS).is_empty());
}

#[test]
fn refused_writes_and_commits_are_tried_again() {
    let stream = Stream::new();
    let [first, second] = halves();
    let service = stream.start("one");
    stream.produce(&first);
    eventually(DEADLINE, "it has begun", || service.stats.sources.totals().records > 0);
    use RDKafkaRespErr::{
        RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
    };
    stream.mock.request_errors(
        RDKafkaApiKey::Produce,
        &[
            RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
            RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
            RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
            RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
            RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        ],
    );
    stream.mock.request_errors(
        RDKafkaApiKey::OffsetCommit,
        &[RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS; 3],
    );
    stream.produce(&second);
    stream.wait_until_committed();
    stop(service);
    stream.assert_all_committed();
    stream.assert_nothing_lost();
}

#[test]
fn broker_that_goes_and_comes_back_loses_nothing() {
    let stream = Stream::new();
    let [first, second] = halves();
    let service = stream.start("one");
    stream.produce(&first);
    eventually(DEADLINE, "it has begun", || service.stats.sources.totals().records > 0);
    stream.mock.broker_down(BROKER).unwrap();
    let stranger: BaseConsumer = client(&stream.mock).create().unwrap();
    eventually(DEADLINE, "nobody answers", || {
        stranger.fetch_metadata(None, Duration::from_secs(1)).is_err()
    });
    stream.mock.broker_up(BROKER).unwrap();
    stream.produce(&second);
    stream.wait_until_committed();
    stop(service);
    stream.assert_all_committed();
    stream.assert_nothing_lost();
}

/// A check that nobody answers ends soon; whoever has a slow broker waits longer.
#[test]
fn a_check_waits_for_a_slow_broker_as_long_as_it_is_told_to() {
    let mock = MockCluster::new(1).unwrap();
    let servers = format!("kafka.bootstrap_servers={:?}", mock.bootstrap_servers());
    // A connection is there after two answers.
    mock.broker_round_trip_time(BROKER, Duration::from_secs(3)).unwrap();
    let check = |arguments: &[&str], code: i32, says: &str| {
        let command = ["config", "check", "--set", &servers];
        let output = support::program(&[&command[..], arguments].concat()).output().unwrap();
        let told = [output.stdout, output.stderr].concat();
        let told = String::from_utf8(told).unwrap();
        assert_eq!(output.status.code(), Some(code), "{told}");
        assert!(told.contains(says), "{told}");
    };
    check(&[], 69, "answered within 5 s");
    check(&["--timeout", "2s"], 69, "A slow broker may need more time: see `--timeout`");
    check(&["--timeout", "2m"], 0, "brokers: 1 answered");
}
