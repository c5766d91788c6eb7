//! The composition of the service: which threads there are, which channels join them, and how
//! they end.
//!
//! ```text
//! reloader ──rules──► detect thread
//! detect thread ──batches──► workers ──settled──► detect thread ──► producer A
//! first-seen thread ──takeovers──► restorer ──restored──► first-seen thread ──► producer B
//! main thread: signals, the ends of the halves
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Sender, TrySendError, bounded};
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;

use crate::admin::server::ListenError;
use crate::alert::redact::Redaction;
use crate::alert::wire;
use crate::app::reload::Reloader;
use crate::clock;
use crate::config::{ClusterFrom, Config};
use crate::detect::in_force::{Changing, InForce};
use crate::detect::ledger::Ledger;
use crate::detect::pool::{Done, Job, Worker};
use crate::detect::runner::{DetectHandler, PoolHandle};
use crate::duration::format_duration;
use crate::failure::{Class, Remedy};
use crate::faults::Faults;
use crate::ingest::envelope::Wrapper;
use crate::ingest::kafka::{GroupConsumer, GroupContext, HalfError, group_config, run_member};
use crate::ingest::start::{check_group, commit_start};
use crate::output::forms::Shapes;
use crate::output::producer::{OutputKind, OutputProducer, Settings};
use crate::rules::patterns::PatternError;
use crate::rules::set::RuleSet;
use crate::stats::{Half, Stats};
use crate::terms::owner::{self, FirstSeenHandler};
use crate::terms::record;
use crate::terms::restore::{Epochs, Restorer, reader_config};
use crate::terms::store::Store;
use crate::terms::store::open::{Expectation, OpenError};
use crate::terms::store::sled::SledStore;
use crate::topics::{Report, Topics, TopicsError};

/// Which half of the stream this process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    All,
    Detect,
    FirstSeen,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Role::All => "all",
            Role::Detect => "detect",
            Role::FirstSeen => "first-seen",
        }
    }
    fn detects(self) -> bool {
        self != Role::FirstSeen
    }
    fn folds(self) -> bool {
        self != Role::Detect
    }
}

/// Why the service did not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Topics(#[from] TopicsError),
    #[error(transparent)]
    State(#[from] OpenError),
    #[error("the Kafka client could not be made: {0}")]
    Client(#[from] KafkaError),
    #[error("`alerts.redact`: {0}")]
    Redaction(#[from] PatternError),
    #[error("{half} ended: {error}")]
    Half { half: &'static str, error: HalfError },
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("{what} could not be started: {error}")]
    Start { what: &'static str, error: std::io::Error },
    #[error("stopped before everything was drained; what was not committed will be read again")]
    Undrained,
}

impl RunError {
    /// Whatever ends the service is fatal.
    pub fn class(&self) -> Class {
        Class::Fatal
    }

    /// What the operator has to do, in kind and in words.
    pub fn remedy(&self) -> (Remedy, String) {
        match self {
            RunError::Topics(error) => (error.remedy(), error.hints().join("\n")),
            RunError::State(error) => {
                let remedy = if error.may_pass() { Remedy::Restart } else { Remedy::Configure };
                (remedy, error.hint().to_owned())
            }
            RunError::Client(_) => {
                (Remedy::Configure, "see `kafka.properties` in the configuration".to_owned())
            }
            RunError::Redaction(_) => {
                (Remedy::Configure, "the syntax is that of the `regex` crate".to_owned())
            }
            RunError::Listen(error) => (Remedy::Configure, error.hint().to_owned()),
            RunError::Half { error, .. } => error.remedy(),
            RunError::Start { .. } => (
                Remedy::Restart,
                "the system refuses more threads, files or signal handlers: see its limits for \
                 this process"
                    .to_owned(),
            ),
            RunError::Undrained => HalfError::Undrained.remedy(),
        }
    }
}

/// How long the halves may take to drain and leave after a stop. They need less than half of it
/// while brokers answer; clients whose brokers are away may take minutes to close.
const STOP_MAX: Duration = Duration::from_secs(20);
/// How often a line says what flowed.
const REPORT_EVERY: Duration = Duration::from_secs(60);
/// Most partitions taken over at a time: more would wait for the same disk and network.
const RESTORERS_MAX: usize = 4;
/// Batches between the detect thread and the pool, a worker.
const BATCHES_A_WORKER: usize = 2;

/// Asks for the rules to be read again.
#[derive(Debug, Clone)]
pub struct Reload(Sender<()>);

impl Reload {
    /// One wish that waits is enough.
    pub fn ask(&self) {
        if let Err(TrySendError::Disconnected(())) = self.0.try_send(()) {
            tracing::error!("nobody reads the rules again: the thread for it has ended");
        }
    }
}

/// The rules to start with.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub set: Arc<RuleSet>,
    /// Of their files, from before these were read: what changes from then on is read again. See
    /// [`fingerprint`](crate::app::rules::fingerprint).
    pub fingerprint: [u8; 32],
}

/// A started service.
pub struct Service {
    stop: Arc<AtomicBool>,
    ends: tokio::sync::mpsc::Receiver<(&'static str, Result<(), HalfError>)>,
    running: usize,
    /// Asks for the rules to be read again, where this process detects.
    reload: Option<Reload>,
    pub stats: Arc<Stats>,
}

/// Name of this instance in alerts: the host's name and the process id.
pub fn instance_name() -> String {
    format!("{}-{}", gethostname::gethostname().to_string_lossy(), std::process::id())
}

/// Checks the topics, making our own where the configuration allows it. Logs warnings.
pub fn prepare_topics(config: &Config, rules: &RuleSet) -> Result<Report, TopicsError> {
    let topics = Topics::new(config)?;
    let report = topics.survey(rules.longest_window_ms(), config.topics.create)?;
    for warning in &report.warnings {
        tracing::warn!("{warning}");
    }
    for topic in report.topics.iter().filter(|topic| topic.created) {
        tracing::info!(
            topic = topic.name,
            partitions = topic.partitions,
            "made the {} topic",
            topic.role
        );
    }
    let problems = report.problems();
    if problems.is_empty() { Ok(report) } else { Err(TopicsError::Problems(problems)) }
}

/// Starts the halves of `role`, which count in `stats`. `observations_partitions` and `sources` come
/// from the brokers.
pub fn start(
    config: &Config,
    rules: Loaded,
    role: Role,
    sources: &[(String, usize)],
    observations_partitions: u32,
    stats: Arc<Stats>,
) -> Result<Service, RunError> {
    let (end_sender, ends) = tokio::sync::mpsc::channel(2);
    let common = Common {
        config,
        instance: instance_name().into(),
        observations_partitions,
        stats,
        stop: Arc::default(),
        ends: end_sender,
        faults: Faults::from_environment(),
    };
    let (mut running, mut reload) = (0, None);
    // The state and the right to the second group first: where either is missing nothing should have
    // begun. A member of the first group that dies with the process keeps its partitions until its
    // session is over.
    let store =
        if role.folds() { Some(open_store(config, observations_partitions)?) } else { None };
    if store.is_some() {
        check_group(config, &config.terms_group_id(), &config.observations.topic)?;
    }
    if role.detects() {
        commit_start(config, sources)?;
        reload = Some(start_detect(&common, rules)?);
        running += 1;
    }
    if let Some(store) = store {
        start_first_seen(&common, store)?;
        running += 1;
    }
    let Common { stop, stats, .. } = common;
    stats.started.set(true);
    Ok(Service { stop, ends, running, reload, stats })
}

fn open_store(config: &Config, partitions: u32) -> Result<Arc<dyn Store>, OpenError> {
    let expectation = Expectation {
        topic: config.observations.topic.clone(),
        partitions,
        group: config.kafka.group_id.clone(),
    };
    let opened = SledStore::open(&config.state.directory, &expectation)?;
    if let Some(aside) = opened.set_aside {
        tracing::warn!(
            kept = %aside.path.display(),
            "the state could not be used and was set aside: {}; it is folded anew from the observations topic",
            aside.reason
        );
    }
    Ok(Arc::new(opened.store))
}

type Ends = tokio::sync::mpsc::Sender<(&'static str, Result<(), HalfError>)>;

/// What both halves are started with.
struct Common<'c> {
    config: &'c Config,
    instance: Arc<str>,
    observations_partitions: u32,
    stats: Arc<Stats>,
    stop: Arc<AtomicBool>,
    ends: Ends,
    faults: Faults,
}

fn start_detect(common: &Common<'_>, loaded: Loaded) -> Result<Reload, RunError> {
    let Common { config, instance, stats, .. } = common;
    let workers = if config.detect.workers > 0 { config.detect.workers } else { cores() };
    let (job_sender, jobs) = bounded::<Job>(workers * BATCHES_A_WORKER);
    let (done_sender, done) = bounded::<Done>(workers * BATCHES_A_WORKER * 2);
    let cluster_field = match &config.source.cluster_from {
        ClusterFrom::Field(pointer) => Some(pointer.as_str().into()),
        _ => None,
    };
    let ledger = Ledger::new(common.faults, config.new_terms.cache_bytes);
    let worker = Worker {
        stats: Arc::clone(stats),
        instance: Arc::clone(instance),
        cluster: config.cluster.as_str().into(),
        cluster_field,
        forced_wrapper: config.source.wrapper.as_deref().and_then(Wrapper::from_name),
        alerts_topic: config.alerts.topic.as_str().into(),
        observations_topic: config.observations.topic.as_str().into(),
        observations_partitions: common.observations_partitions,
        dead_letters_topic: config.dead_letters.topic.as_str().into(),
        likely: Some(Arc::clone(ledger.likely())),
    };
    let writer = worker.writing_all();
    for number in 0..workers {
        let (worker, jobs, done_sender) = (worker.clone(), jobs.clone(), done_sender.clone());
        spawn("detect-worker", number, move || worker.run(&jobs, &done_sender))?;
    }
    let redaction =
        Arc::new(Redaction::compile(config.alerts.redact_defaults, &config.alerts.redact)?);
    let (change_sender, changes) = bounded(1);
    let (reload, asked) = bounded(1);
    let reloader = Reloader {
        config: Arc::new((*config).clone()),
        redaction: Arc::clone(&redaction),
        stats: Arc::clone(stats),
        asked,
        changes: change_sender,
        rules: Arc::clone(&loaded.set),
        tried: loaded.fingerprint,
        expired_said_ms: clock::now_ms(),
    };
    spawn("reloader", 0, move || reloader.run())?;
    let client = telling_client(config);
    let handler = DetectHandler::new(
        PoolHandle { jobs: job_sender, done, writer },
        Changing {
            now: Arc::new(InForce::new(loaded.set, config.new_terms.learning_ms, redaction)),
            next: changes,
        },
        config.source.cluster_from.clone(),
        OutputProducer::new(&client, producer("detect producer", Half::Detect, config, stats))?,
        Arc::clone(stats),
        usize::try_from(config.detect.max_in_flight_bytes).unwrap_or(usize::MAX),
        ledger,
    );
    let context = GroupContext::new(handler, "detect consumer", Arc::clone(&stats.detect));
    let consumer: GroupConsumer<DetectHandler> =
        group_config(&client, &config.kafka.group_id, "error").create_with_context(context)?;
    let topics: Vec<&str> = config.source.topics.iter().map(String::as_str).collect();
    consumer.subscribe(&topics)?;
    stats.detect.runs.set(true);
    let (stop, ends) = (Arc::clone(&common.stop), common.ends.clone());
    spawn("detect", 0, move || {
        let _ = ends.blocking_send(("detect", guarded(|| run_member(consumer, &stop))));
    })?;
    Ok(Reload(reload))
}

fn start_first_seen(common: &Common<'_>, store: Arc<dyn Store>) -> Result<(), RunError> {
    let Common { config, instance, stats, stop, .. } = common;
    let partitions = common.observations_partitions;
    let group = config.terms_group_id();
    let client = telling_client(config);
    let (request_sender, requests) = bounded(usize::try_from(partitions).unwrap_or(1) * 2 + 2);
    let (restored_sender, restored) = bounded(usize::try_from(partitions).unwrap_or(1) * 2 + 2);
    let epochs = Arc::new(Epochs::default());
    let faults = common.faults;
    let reader = reader_config(&config.client_config(), &group);
    for number in 0..cores().min(RESTORERS_MAX) {
        let restorer = Restorer::new(
            reader.clone(),
            config.observations.topic.as_str().into(),
            Arc::clone(&store),
            Arc::clone(stop),
            Arc::clone(&epochs),
            Arc::clone(stats),
            faults,
        );
        let (requests, restored) = (requests.clone(), restored_sender.clone());
        spawn("restorer", number, move || restorer.run(&requests, &restored))?;
    }
    let handler = FirstSeenHandler::new(owner::Parts {
        store,
        topic: config.observations.topic.as_str().into(),
        alerts_topic: config.alerts.topic.as_str().into(),
        partitions,
        producer: OutputProducer::new(
            &client,
            producer("first-seen producer", Half::FirstSeen, config, stats),
        )?,
        instance: Arc::clone(instance),
        stats: Arc::clone(stats),
        epochs,
        requests: request_sender,
        restored,
        faults,
    });
    let figures = Arc::clone(&stats.first_seen);
    let context = GroupContext::new(handler, "first-seen consumer", figures);
    let consumer: GroupConsumer<FirstSeenHandler> =
        group_config(&client, &group, "error").create_with_context(context)?;
    consumer.subscribe(&[config.observations.topic.as_str()])?;
    stats.first_seen.runs.set(true);
    let (stop, ends) = (Arc::clone(stop), common.ends.clone());
    spawn("first-seen", 0, move || {
        let _ = ends.blocking_send(("first-seen", guarded(|| run_member(consumer, &stop))));
    })
}

/// The settings of a producer of this program.
pub(super) fn producer(
    name: &'static str,
    half: Half,
    config: &Config,
    stats: &Arc<Stats>,
) -> Settings {
    let dead_letters = config.dead_letters.topic.as_str().into();
    Settings { name, half, dead_letters, shapes: SHAPES, stats: Arc::clone(stats) }
}

/// How often a client tells of itself, milliseconds, if not as often as the operator says.
const STATISTICS_EVERY_MS: &str = "2000";

/// The settings of a client whose statistics somebody may look at.
fn telling_client(config: &Config) -> rdkafka::ClientConfig {
    let mut client = config.client_config();
    if config.admin.listen.is_some() && client.get("statistics.interval.ms").is_none() {
        client.set("statistics.interval.ms", STATISTICS_EVERY_MS);
    }
    client
}

/// What the producers know of the values that they send.
const SHAPES: Shapes = Shapes {
    reduce: |kind, value, below| match kind {
        OutputKind::Alert => wire::reduced(value, below),
        OutputKind::Observation => record::reduced(value, below),
        OutputKind::Marker | OutputKind::DeadLetter => None,
    },
    position: |kind, value| match kind {
        OutputKind::Alert => wire::position(value),
        OutputKind::Observation => record::position(value),
        OutputKind::Marker | OutputKind::DeadLetter => None,
    },
};

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// A half that panics has ended like any other, and says so.
fn guarded(half: impl FnOnce() -> Result<(), HalfError>) -> Result<(), HalfError> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(half))
        .unwrap_or_else(|_| Err(HalfError::Internal("its thread panicked".to_owned())))
}

pub(super) fn spawn(
    what: &'static str,
    number: usize,
    body: impl FnOnce() + Send + 'static,
) -> Result<(), RunError> {
    std::thread::Builder::new()
        .name(format!("{what}-{number}"))
        .spawn(body)
        .map(|_| ())
        .map_err(|error| RunError::Start { what, error })
}

impl Service {
    /// Asks the halves to drain and end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// What asks for the rules to be read again; `None` where this process asks none.
    pub fn reload(&self) -> Option<Reload> {
        self.reload.clone()
    }

    /// Until a half ends by itself or `stopped` resolves; then drains.
    pub async fn until(mut self, stopped: impl Future<Output = ()>) -> Result<(), RunError> {
        let mut result = Ok(());
        tokio::pin!(stopped);
        let mut report = tokio::time::interval(REPORT_EVERY);
        report.tick().await;
        loop {
            tokio::select! {
                () = &mut stopped => break,
                Some((half, ended)) = self.ends.recv() => {
                    self.running -= 1;
                    if let Err(error) = ended {
                        result = Err(RunError::Half { half, error });
                    }
                    break;
                }
                _ = report.tick() => self.stats.log(),
            }
        }
        self.stop();
        let drained = tokio::time::timeout(STOP_MAX, async {
            while self.running > 0 {
                let Some((half, ended)) = self.ends.recv().await else { break };
                self.running -= 1;
                if let (Err(error), true) = (ended, result.is_ok()) {
                    result = Err(RunError::Half { half, error });
                }
            }
        })
        .await;
        self.stats.log();
        if drained.is_err() && result.is_ok() {
            result = Err(RunError::Undrained);
        }
        result
    }
}

/// The line that says which rules learn and until when.
pub fn learning_text(config: &Config, rules: &RuleSet, now: jiff::Timestamp) -> String {
    let ids = rules.new_terms_ids();
    let end = if ids.len() == 1 { "s" } else { "" };
    let ids = ids.join(", ");
    if config.new_terms.learning_ms == 0 {
        return format!("learning is off: {ids} alert{end} from the first event on");
    }
    let until = now
        .checked_add(jiff::SignedDuration::from_millis(config.new_terms.learning_ms))
        .map_or_else(|_| "far in the future".to_owned(), |time| format!("{time:.0}"));
    format!(
        "{ids} learn{end} for {} from the first observation in each partition of `{}`: until {until} where that is yet to come, no longer where it is past",
        format_duration(config.new_terms.learning_ms),
        config.observations.topic,
    )
}
