//! The composition of `demo`: the service as `run` starts it, a player that writes a bundled log
//! to the source topic, and a reader that shows each alert as it leaves the alerts topic.
//!
//! Without `--bootstrap` the brokers are librdkafka's in-process mock cluster. Everything else is
//! the real thing: the same consumer groups, topics, state and code as in production.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, DefaultConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::{Offset, TopicPartitionList};

use crate::app::rules as rule_files;
use crate::app::run::{self, Role, RunError, Service};
use crate::clock;
use crate::config::Config;
use crate::demo::scenario;
use crate::ingest::kafka::reader_config;
use crate::rules::set::RuleSet;
use crate::stats::Stats;

const SOURCE_PARTITIONS: usize = 6;
/// The whole demo ends within this, whatever happens.
const END_WITHIN: Duration = Duration::from_secs(28);
/// A generated log may take longer, by its size.
const EVENTS_A_SECOND_AT_LEAST: u64 = 2_000;
/// How much faster than the cluster's own life the story is played.
const SPEED: u64 = 12;
/// In the story no unusual client reads a secret before this.
const READS_FROM_MS: u64 = 28_000;
/// Of a generated log: the same log every time.
const SEED: u64 = 7;
/// New terms stay silent for this long after the routine's first reads.
pub const LEARNING_MS: i64 = 500;
const POLL: Duration = Duration::from_millis(20);

/// How the demo ended.
#[derive(Debug)]
pub struct Summary {
    pub events_played: u64,
    pub alerts: BTreeMap<String, u64>,
    pub revisions: u64,
    pub seconds: f64,
    pub stats: Arc<Stats>,
}

#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("the demo's Kafka client failed: {0}")]
    Kafka(#[from] KafkaError),
    #[error("the demo did not end in time: {0}")]
    Late(String),
    #[error("the output could not be written: {0}")]
    Output(#[from] std::io::Error),
}

/// Where the demo runs.
pub struct Stage {
    pub bootstrap: String,
    pub prefix: String,
    mock: Option<MockCluster<'static, DefaultProducerContext>>,
}

impl Stage {
    /// An in-process mock cluster with the demo's topics.
    pub fn mock() -> Result<Self, DemoError> {
        let mock = MockCluster::new(1)?;
        let stage =
            Stage { bootstrap: mock.bootstrap_servers(), prefix: "demo".to_owned(), mock: None };
        for (topic, partitions) in stage.topics() {
            mock.create_topic(&topic, i32::try_from(partitions).unwrap_or(1), 1)?;
        }
        Ok(Stage { mock: Some(mock), ..stage })
    }

    /// A real cluster. Topics and groups carry a name of their own, so that nothing of the
    /// cluster's is touched.
    pub fn real(bootstrap: &str) -> Result<Self, DemoError> {
        let prefix = format!("kubetell-demo-{}", &uuid::Uuid::new_v4().simple().to_string()[..8]);
        Ok(Stage { bootstrap: bootstrap.to_owned(), prefix, mock: None })
    }

    pub fn is_mock(&self) -> bool {
        self.mock.is_some()
    }

    /// Topics with their partition counts: source, alerts, observations, dead letters.
    pub fn topics(&self) -> [(String, usize); 4] {
        let name = |what: &str| format!("{}.{what}", self.prefix);
        [
            (name("audit"), SOURCE_PARTITIONS),
            (name("alerts"), 1),
            (name("observations"), 3),
            (name("dead-letters"), 1),
        ]
    }

    /// The configuration under which the service runs.
    pub fn settings(&self, state: &Path, learning: &str) -> Vec<String> {
        let [source, alerts, observations, dead_letters] = self.topics();
        vec![
            format!("kafka.bootstrap_servers={:?}", self.bootstrap),
            format!("kafka.group_id={:?}", self.prefix),
            format!("source.topics=[{:?}]", source.0),
            format!("alerts.topic={:?}", alerts.0),
            format!("observations.topic={:?}", observations.0),
            format!("observations.partitions={}", observations.1),
            "observations.replication_factor=1".to_owned(),
            format!("dead_letters.topic={:?}", dead_letters.0),
            format!("state.directory={:?}", state.to_string_lossy()),
            format!("new_terms.learning={learning:?}"),
            "cluster=\"demo\"".to_owned(),
        ]
    }
}

/// What is played.
pub enum Play {
    /// The bundled story.
    Story,
    /// A generated log of this many events.
    Generated(u64),
}

/// Plays, prints each alert through `show`, and ends when everything played has been processed.
pub fn play(
    stage: &Stage,
    config: &Config,
    rules: Arc<RuleSet>,
    what: &Play,
    show: &mut dyn FnMut(&serde_json::Value) -> std::io::Result<()>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Summary, DemoError> {
    let begun = clock::monotonic();
    let (sources, observations_partitions) = if stage.is_mock() {
        let [source, _, observations, _] = stage.topics();
        (vec![source], u32::try_from(observations.1).unwrap_or(1))
    } else {
        make_source(stage, config)?;
        let report = run::prepare_topics(config, &rules).map_err(RunError::from)?;
        let count = |role: &str| {
            report.topics.iter().find(|topic| topic.role == role).and_then(|topic| topic.partitions)
        };
        let source = stage.topics()[0].0.clone();
        (
            vec![(source, count("source").unwrap_or(1))],
            u32::try_from(count("observations").unwrap_or(1)).unwrap_or(1),
        )
    };
    let fingerprint = rule_files::fingerprint(&config.rules, &config.exceptions);
    let rules = run::Loaded { set: rules, fingerprint };
    let service =
        run::start(config, rules, Role::All, &sources, observations_partitions, Arc::default())?;
    let stats = Arc::clone(&service.stats);
    let mut player = Player::new(config, stage)?;
    let mut reader = AlertReader::new(config, &stage.topics()[1].0)?;
    let result = match what {
        Play::Story => tell_story(&mut player, &mut reader, &stats, show, progress),
        Play::Generated(events) => pour(&mut player, &mut reader, &stats, *events, show, progress),
    };
    end(service)?;
    result?;
    // What was acknowledged while the service ended.
    reader.drain(show)?;
    Ok(Summary {
        events_played: player.events,
        alerts: reader.first_by_rule.clone(),
        revisions: reader.repeats,
        seconds: begun.elapsed().as_secs_f64(),
        stats,
    })
}

fn end(service: Service) -> Result<(), DemoError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| RunError::Start { what: "the runtime", error })?;
    runtime.block_on(service.until(std::future::ready(())))?;
    Ok(())
}

/// The source topic is the demo's own on a real cluster, so here it is made.
fn make_source(stage: &Stage, config: &Config) -> Result<(), DemoError> {
    use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
    let admin: AdminClient<rdkafka::client::DefaultClientContext> =
        config.client_config().create()?;
    let [(source, partitions), ..] = stage.topics();
    let topic =
        NewTopic::new(&source, i32::try_from(partitions).unwrap_or(1), TopicReplication::Fixed(1));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| RunError::Start { what: "the runtime", error })?;
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(10)));
    let made = runtime.block_on(admin.create_topics([&topic], &options))?;
    if let Some(Err((name, code))) = made.into_iter().next() {
        return Err(DemoError::Kafka(KafkaError::AdminOp(code))).inspect_err(|_| {
            tracing::error!(topic = name, "the demo's source topic could not be made");
        });
    }
    Ok(())
}

/// The story has just happened.
fn start_of_story() -> jiff::Timestamp {
    let length = jiff::SignedDuration::from_millis(i64::try_from(scenario::LENGTH_MS).unwrap_or(0));
    clock::now().checked_sub(length).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

/// Routine first, which waits for the groups to be joined; then the rest at [`SPEED`].
fn tell_story(
    player: &mut Player,
    reader: &mut AlertReader,
    stats: &Stats,
    show: &mut dyn FnMut(&serde_json::Value) -> std::io::Result<()>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), DemoError> {
    let story = scenario::scenario(start_of_story());
    let total = story.len() as u64;
    let deadline = clock::monotonic() + END_WITHIN;
    let mut records = story.into_iter().peekable();
    while let Some(record) = records.next_if(|record| record.at_ms < scenario::LEARNING_UNTIL_MS) {
        player.send(&record.bytes, record.partition_hint, u64::from(record.events))?;
    }
    player.flush()?;
    wait(reader, show, deadline, "the groups to be joined", || {
        stats.sources.totals().records >= player.records
    })?;
    let mut begun = clock::monotonic();
    let mut learned = false;
    for record in records {
        if !learned && record.at_ms >= READS_FROM_MS {
            // The intruder's reads are next. The routine's readers are known when every
            // observation of them is folded and learning is over.
            let paused = clock::monotonic();
            learn(player, reader, stats, show, deadline)?;
            begun += clock::monotonic() - paused;
            learned = true;
        }
        let after = record.at_ms.saturating_sub(scenario::LEARNING_UNTIL_MS) / SPEED;
        let due = begun + Duration::from_millis(after);
        while clock::monotonic() < due {
            reader.poll(POLL.min(due.saturating_duration_since(clock::monotonic())), show)?;
        }
        player.send(&record.bytes, record.partition_hint, u64::from(record.events))?;
        progress(player.records, total);
    }
    player.flush()?;
    wait(reader, show, deadline, "the last alerts", || settled(stats, player.records))
}

fn learn(
    player: &mut Player,
    reader: &mut AlertReader,
    stats: &Stats,
    show: &mut dyn FnMut(&serde_json::Value) -> std::io::Result<()>,
    deadline: std::time::Instant,
) -> Result<(), DemoError> {
    player.flush()?;
    wait(reader, show, deadline, "the routine's first reads", || settled(stats, player.records))?;
    let learned = clock::monotonic() + Duration::from_millis(LEARNING_MS.unsigned_abs() + 100);
    wait(reader, show, deadline, "the end of learning", || clock::monotonic() >= learned)
}

fn pour(
    player: &mut Player,
    reader: &mut AlertReader,
    stats: &Stats,
    events: u64,
    show: &mut dyn FnMut(&serde_json::Value) -> std::io::Result<()>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), DemoError> {
    let deadline =
        clock::monotonic() + END_WITHIN + Duration::from_secs(events / EVENTS_A_SECOND_AT_LEAST);
    let mut hint = 0;
    let mut log = scenario::generated(events, SEED, start_of_story());
    while let Some(record) = log.next() {
        hint += 1;
        player.send(&record, hint, 0)?;
        player.events = log.counts().events;
        // The mock keeps 5 MiB a partition; the player stays a little ahead of the service only.
        while player.records > stats.sources.totals().records + 2_000 {
            player.poll();
            reader.poll(Duration::from_millis(2), show)?;
            if clock::monotonic() >= deadline {
                return Err(DemoError::Late("the service did not keep up".to_owned()));
            }
        }
        if hint % 256 == 0 {
            progress(player.events, events);
            reader.poll(Duration::ZERO, show)?;
        }
    }
    player.flush()?;
    wait(reader, show, deadline, "the last alerts", || settled(stats, player.records))
}

/// Everything played was read, everything observed was folded.
fn settled(stats: &Stats, played: u64) -> bool {
    stats.sources.totals().records >= played
        && stats.under_way.get() == 0
        && stats.terms_folded.get() >= stats.observations.get()
}

fn wait(
    reader: &mut AlertReader,
    show: &mut dyn FnMut(&serde_json::Value) -> std::io::Result<()>,
    deadline: std::time::Instant,
    what: &str,
    mut done: impl FnMut() -> bool,
) -> Result<(), DemoError> {
    while !done() {
        if clock::monotonic() >= deadline {
            return Err(DemoError::Late(format!("waiting for {what}")));
        }
        reader.poll(POLL, show)?;
    }
    Ok(())
}

struct Player {
    producer: BaseProducer<DefaultProducerContext>,
    topic: String,
    records: u64,
    events: u64,
}

impl Player {
    fn new(config: &Config, stage: &Stage) -> Result<Self, DemoError> {
        let mut client: ClientConfig = config.client_config();
        client.set("linger.ms", "2");
        Ok(Player {
            producer: client.create()?,
            topic: stage.topics()[0].0.clone(),
            records: 0,
            events: 0,
        })
    }

    fn send(&mut self, bytes: &[u8], hint: u32, events: u64) -> Result<(), DemoError> {
        let partition = i32::try_from(hint as usize % SOURCE_PARTITIONS).unwrap_or(0);
        let mut record =
            BaseRecord::<(), [u8]>::to(&self.topic).payload(bytes).partition(partition);
        loop {
            match self.producer.send(record) {
                Ok(()) => break,
                Err((error, back))
                    if error.rdkafka_error_code()
                        == Some(rdkafka::error::RDKafkaErrorCode::QueueFull) =>
                {
                    record = back;
                    self.producer.poll(Duration::from_millis(10));
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
        self.records += 1;
        self.events += events;
        self.producer.poll(Duration::ZERO);
        Ok(())
    }

    fn poll(&self) {
        self.producer.poll(Duration::ZERO);
    }

    fn flush(&self) -> Result<(), DemoError> {
        Ok(self.producer.flush(Duration::from_secs(10))?)
    }
}

/// Reads the alerts topic as a SIEM's connector would.
struct AlertReader {
    consumer: BaseConsumer<DefaultConsumerContext>,
    seen: std::collections::HashSet<String>,
    first_by_rule: BTreeMap<String, u64>,
    repeats: u64,
}

impl AlertReader {
    fn new(config: &Config, topic: &str) -> Result<Self, DemoError> {
        let mut client = reader_config(&config.client_config(), "earliest");
        client.set("fetch.wait.max.ms", "20").set("group.id", "kubetell-demo-reader");
        let consumer: BaseConsumer<DefaultConsumerContext> = client.create()?;
        let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(10))?;
        let partitions =
            metadata.topics().first().map_or(1, |topic| topic.partitions().len().max(1));
        let mut assignment = TopicPartitionList::new();
        for partition in 0..partitions {
            assignment.add_partition_offset(
                topic,
                i32::try_from(partition).unwrap_or(0),
                Offset::Beginning,
            )?;
        }
        consumer.assign(&assignment)?;
        Ok(AlertReader {
            consumer,
            seen: std::collections::HashSet::new(),
            first_by_rule: BTreeMap::new(),
            repeats: 0,
        })
    }

    /// Shows at most one alert; whether there was a record.
    fn poll(
        &mut self,
        timeout: Duration,
        show: &mut dyn FnMut(&serde_json::Value) -> std::io::Result<()>,
    ) -> Result<bool, DemoError> {
        let Some(message) = self.consumer.poll(timeout) else { return Ok(false) };
        let message = message?;
        let payload = message.payload().unwrap_or_default();
        let alert: serde_json::Value =
            serde_json::from_slice(payload).map_err(std::io::Error::other)?;
        let id = alert.pointer("/event/id").and_then(|id| id.as_str()).unwrap_or_default();
        if self.seen.insert(id.to_owned()) {
            let rule = alert.pointer("/rule/id").and_then(|id| id.as_str()).unwrap_or_default();
            *self.first_by_rule.entry(rule.to_owned()).or_default() += 1;
            show(&alert)?;
        } else {
            // The same alert with its outcome: a SIEM that upserts replaces the first by it.
            self.repeats += 1;
            show(&alert)?;
        }
        Ok(true)
    }

    fn drain(
        &mut self,
        show: &mut dyn FnMut(&serde_json::Value) -> std::io::Result<()>,
    ) -> Result<(), DemoError> {
        while self.poll(Duration::from_millis(150), show)? {}
        Ok(())
    }
}
