//! The composition of `demo`: the service as `run` starts it, a player that writes a bundled log
//! to the source topic, and a reader that shows each alert as it leaves the alerts topic.
//!
//! Asked to serve, it goes on with the story at the story's own pace until it is stopped, and the
//! admin server shows it as it shows a service.
//!
//! Without `--bootstrap` the brokers are librdkafka's in-process mock cluster. Everything else is
//! the real thing: the same consumer groups, topics, state and code as in production.

mod clients;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use self::clients::{AlertReader, Player};
use crate::app::rules as rule_files;
use crate::app::run::{self, Role, RunError, Service};
use crate::app::watch;
use crate::clock;
use crate::config::Config;
use crate::demo::scenario::{self, ScenarioRecord};
use crate::rules::set::RuleSet;
use crate::stats::Stats;

const SOURCE_PARTITIONS: usize = 6;
/// What is played ends within this beyond its own length, whatever happens.
const END_WITHIN: Duration = Duration::from_secs(60);
/// A generated log may take longer, by its size.
const EVENTS_A_SECOND_AT_LEAST: u64 = 500;
/// How much faster than the cluster's own life the story is played.
const SPEED: u64 = 12;
/// In the story no unusual client reads a secret before this.
const READS_FROM_MS: u64 = 28_000;
/// Of a generated log: the same log every time.
const SEED: u64 = 7;
/// New terms stay silent for this long after the routine's first reads.
pub const LEARNING_MS: i64 = 1_500;
const POLL: Duration = Duration::from_millis(20);

/// How the demo ended.
#[derive(Debug)]
pub struct Summary {
    pub events_played: u64,
    pub alerts: BTreeMap<String, u64>,
    pub revisions: u64,
    pub seconds: f64,
    pub stats: Arc<Stats>,
    /// It was ended before all of it was played.
    pub stopped: bool,
}

/// Who watches the demo.
pub trait Audience {
    /// The metrics and the page are served there.
    fn served(&mut self, address: SocketAddr);
    /// What was to be played has been; the story goes on from here until it is stopped.
    fn goes_on(&mut self);
    /// An alert as it left; `again` where one with its id was there before.
    fn alert(&mut self, alert: &serde_json::Value, again: bool) -> std::io::Result<()>;
    fn progress(&mut self, done: u64, total: u64);
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

/// Why a part of the demo is over before its end.
enum Cut {
    Stopped,
    Failed(DemoError),
}

impl From<DemoError> for Cut {
    fn from(error: DemoError) -> Cut {
        Cut::Failed(error)
    }
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

    /// The configuration under which the service runs, with the address of its admin server.
    pub fn settings(&self, state: &Path, learning: &str, serve: Option<&str>) -> Vec<String> {
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
            format!("admin.listen={:?}", serve.unwrap_or_default()),
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

/// Plays, shows the `audience` each alert, and ends when everything played has been processed; a
/// demo that is served goes on until `stop` is set.
pub fn play(
    stage: &Stage,
    config: &Config,
    rules: Arc<RuleSet>,
    what: &Play,
    audience: &mut dyn Audience,
    stop: &AtomicBool,
) -> Result<Summary, DemoError> {
    let begun = clock::monotonic();
    let stats = Arc::default();
    let served = watch::start(config, true, Role::All, &stats)?;
    if let Some(address) = served {
        audience.served(address);
    }
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
    let service = run::start(config, rules, Role::All, &sources, observations_partitions, stats)?;
    let stats = Arc::clone(&service.stats);
    let mut performance = Performance {
        player: Player::new(config, stage)?,
        reader: AlertReader::new(config, &stage.topics()[1].0)?,
        stats: &stats,
        audience,
        stop,
    };
    let mut result = match what {
        Play::Story => performance.tell_story(),
        Play::Generated(events) => performance.pour(*events),
    };
    if result.is_ok() && served.is_some() {
        performance.audience.goes_on();
        result = performance.go_on();
    }
    end(service)?;
    let stopped = match result {
        Ok(()) => false,
        Err(Cut::Stopped) => true,
        Err(Cut::Failed(error)) => return Err(error),
    };
    let Performance { player, mut reader, audience, .. } = performance;
    // What was acknowledged while the service ended.
    reader.drain(audience)?;
    Ok(Summary {
        events_played: player.events,
        alerts: reader.first_by_rule,
        revisions: reader.repeats,
        seconds: begun.elapsed().as_secs_f64(),
        stats,
        stopped,
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

/// What is played to whom.
struct Performance<'p> {
    player: Player,
    reader: AlertReader,
    stats: &'p Stats,
    audience: &'p mut dyn Audience,
    stop: &'p AtomicBool,
}

impl Performance<'_> {
    /// Routine first, which waits for the groups to be joined; then the rest at [`SPEED`].
    fn tell_story(&mut self) -> Result<(), Cut> {
        let story = scenario::scenario(start_of_story());
        let total = story.len() as u64;
        let deadline = clock::monotonic() + END_WITHIN;
        let mut records = story.into_iter().peekable();
        while let Some(record) =
            records.next_if(|record| record.at_ms < scenario::LEARNING_UNTIL_MS)
        {
            self.send(&record)?;
        }
        self.player.flush()?;
        let (stats, played) = (self.stats, self.player.records);
        let joined = || stats.sources.totals().records >= played;
        self.wait(deadline, "the groups to be joined", joined)?;
        let mut begun = clock::monotonic();
        let mut learned = false;
        for record in records {
            if !learned && record.at_ms >= READS_FROM_MS {
                // The intruder's reads are next. The routine's readers are known when every
                // observation of them is folded and learning is over.
                let paused = clock::monotonic();
                self.learn(deadline)?;
                begun += clock::monotonic() - paused;
                learned = true;
            }
            let after = record.at_ms.saturating_sub(scenario::LEARNING_UNTIL_MS) / SPEED;
            self.watch_until(begun + Duration::from_millis(after))?;
            self.send(&record)?;
            self.audience.progress(self.player.records, total);
        }
        self.settle(deadline, "the last alerts")
    }

    fn learn(&mut self, deadline: Instant) -> Result<(), Cut> {
        self.settle(deadline, "the routine's first reads")?;
        let learned = clock::monotonic() + Duration::from_millis(LEARNING_MS.unsigned_abs() + 100);
        self.wait(deadline, "the end of learning", || clock::monotonic() >= learned)
    }

    fn pour(&mut self, events: u64) -> Result<(), Cut> {
        let length = Duration::from_secs(events / EVENTS_A_SECOND_AT_LEAST);
        let deadline = clock::monotonic() + END_WITHIN + length;
        let mut hint = 0;
        let mut log = scenario::generated(events, SEED, start_of_story());
        while let Some(record) = log.next() {
            hint += 1;
            self.player.send(&record, hint, 0)?;
            self.player.events = log.counts().events;
            // The mock keeps 5 MiB a partition; the player stays a little ahead of the service
            // only.
            while self.player.records > self.stats.sources.totals().records + 2_000 {
                self.player.poll();
                self.watch(Duration::from_millis(2))?;
                if clock::monotonic() >= deadline {
                    return Err(DemoError::Late("the service did not keep up".to_owned()).into());
                }
            }
            if hint % 256 == 0 {
                self.audience.progress(self.player.events, events);
                self.watch(Duration::ZERO)?;
            }
        }
        self.settle(deadline, "the last alerts")
    }

    /// The story again and again, as slowly as it happens, until somebody stops it.
    fn go_on(&mut self) -> Result<(), Cut> {
        loop {
            let begun = clock::monotonic();
            for record in scenario::scenario(clock::now()) {
                self.watch_until(begun + Duration::from_millis(record.at_ms))?;
                self.send(&record)?;
            }
            self.settle(clock::monotonic() + END_WITHIN, "the last alerts")?;
            self.reader.drain(self.audience)?;
            self.reader.forget();
        }
    }

    fn send(&mut self, record: &ScenarioRecord) -> Result<(), DemoError> {
        self.player.send(&record.bytes, record.partition_hint, u64::from(record.events))
    }

    /// Everything played was read, everything observed was folded.
    fn settle(&mut self, deadline: Instant, what: &str) -> Result<(), Cut> {
        self.player.flush()?;
        let (stats, played) = (self.stats, self.player.records);
        self.wait(deadline, what, || {
            stats.sources.totals().records >= played
                && stats.under_way.get() == 0
                && stats.terms_folded.get() >= stats.observations.get()
        })
    }

    fn wait(
        &mut self,
        deadline: Instant,
        what: &str,
        mut done: impl FnMut() -> bool,
    ) -> Result<(), Cut> {
        while !done() {
            if clock::monotonic() >= deadline {
                return Err(DemoError::Late(format!("waiting for {what}")).into());
            }
            self.watch(POLL)?;
        }
        Ok(())
    }

    /// Shows what comes until then.
    fn watch_until(&mut self, due: Instant) -> Result<(), Cut> {
        loop {
            let left = due.saturating_duration_since(clock::monotonic());
            if left.is_zero() {
                return Ok(());
            }
            self.watch(POLL.min(left))?;
        }
    }

    /// Shows an alert, if one comes in time.
    fn watch(&mut self, timeout: Duration) -> Result<(), Cut> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Cut::Stopped);
        }
        self.reader.poll(timeout, self.audience)?;
        Ok(())
    }
}
