//! A member of a consumer group: the client's configuration and the rebalance protocol.
//!
//! Owns the mapping from librdkafka's callbacks to [`GroupHandler`]. Each half of the stream is a
//! handler; what it does with its partitions is its own affair. Assignment is cooperative
//! (incremental) and done by hand, since the default callback ignores the returned error.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::RecvTimeoutError;
use rdkafka::ClientConfig;
use rdkafka::TopicPartitionList;
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaRespErr;

use crate::clock;
use crate::failure::{self, Class, Doing, Remedy};
use crate::ingest::commit::{Commit, CommitClock, Committable, all_confirmed, commit};
pub use crate::ingest::connection::{ConnectionLog, Overheard};
use crate::stats::Stats;
use crate::stats::half::{CommitFigures, HalfStats};

/// Why a half ended before it was asked to. Always fatal: what passes by itself is tried again
/// where it occurs.
#[derive(Debug, thiserror::Error)]
pub enum HalfError {
    #[error("the producer failed for good: {0}")]
    Producer(String),
    #[error("the consumer failed for good: {0}")]
    Consumer(KafkaError),
    /// The brokers refuse something, and will go on to.
    #[error("the brokers refuse {} {what}: {code}", doing.as_str())]
    Refused { doing: Doing, what: String, code: RDKafkaErrorCode },
    /// Asked to end while the brokers were away.
    #[error("not everything was acknowledged and committed; what was not will be read again")]
    Undrained,
    /// Missing rights, or a state that does not fit the topics: for the operator to mend.
    #[error("{message}")]
    Configuration { message: String, hint: String },
    /// The view can't be kept: the disk is full or broken, or the database failed.
    #[error("{message}")]
    State { message: String, hint: &'static str },
    #[error("{0}")]
    Internal(String),
}

impl HalfError {
    pub fn class(&self) -> Class {
        Class::Fatal
    }

    /// What the operator has to do, in kind and in words.
    pub fn remedy(&self) -> (Remedy, String) {
        match self {
            HalfError::Refused { doing, code, .. } => {
                let (remedy, hint) = failure::remedy_of(*code, *doing);
                (remedy, hint.to_owned())
            }
            HalfError::Configuration { hint, .. } => (Remedy::Configure, hint.clone()),
            HalfError::State { hint, .. } => (Remedy::Restart, (*hint).to_owned()),
            HalfError::Undrained => (
                Remedy::Restart,
                "start it again when the brokers are back; nothing is lost, repeats keep their ids"
                    .to_owned(),
            ),
            HalfError::Producer(_) | HalfError::Consumer(_) | HalfError::Internal(_) => {
                (Remedy::Restart, failure::RESTART.to_owned())
            }
        }
    }

    /// What a client says when it can't be used any more: its own fatal error names the cause.
    fn of_fatal_client(consumer: &BaseConsumer<impl ConsumerContext>, error: &KafkaError) -> Self {
        match consumer.client().fatal_error() {
            Some((code, _))
                if failure::remedy_of(code, Doing::Consuming).0 == Remedy::Configure =>
            {
                HalfError::Refused {
                    doing: Doing::Consuming,
                    what: "as a member of the group".to_owned(),
                    code,
                }
            }
            Some((_, reason)) => {
                HalfError::Internal(format!("the consumer failed for good: {reason}"))
            }
            None => HalfError::Consumer(error.clone()),
        }
    }
}

/// Whether a handler takes more records before its next turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intake {
    More,
    Enough,
}

/// One half of the stream, as the group protocol sees it. All calls happen on the thread that
/// polls and have to be well under `max.poll.interval.ms`.
pub trait GroupHandler: Send + Sized + 'static {
    /// Looks at one record where librdkafka holds it.
    fn receive(&mut self, message: &BorrowedMessage<'_>) -> Intake;
    /// One look at everything but the source: results, acknowledgements, pauses.
    fn turn(&mut self, consumer: &GroupConsumer<Self>);
    /// Whether something is under way, so that the next turn should come soon.
    fn busy(&self) -> bool;
    /// Why the half can't go on, once.
    fn take_fatal(&mut self) -> Option<HalfError>;
    fn stats(&self) -> &Stats;
    /// Records were deleted before they were read, of a partition that is not named. Only a
    /// handler whose client has `auto.offset.reset=error` hears of it.
    fn overtaken(&mut self) {}

    /// Has to answer by `incremental_assign`, with explicit offsets. It may take fewer partitions
    /// than it was given, or none, and the others later.
    fn assigned(&mut self, consumer: &GroupConsumer<Self>, partitions: &TopicPartitionList);
    /// The partitions that are owned, with what may be committed of each.
    fn committable(&mut self) -> Vec<Committable<'_>>;
    /// Finishes what is under way of these partitions, `within` that time; whether all of it is
    /// acknowledged.
    fn drain(&mut self, partitions: &TopicPartitionList, within: Duration) -> bool;
    /// Drops what is left of these partitions and returns those of them that it had taken: they
    /// are given back right after. `lost`: another member may own them already.
    fn release(&mut self, partitions: &TopicPartitionList, lost: bool) -> TopicPartitionList;
    /// The half has failed in a way that forbids another step: nothing is drained or committed.
    fn has_ended(&self) -> bool {
        false
    }
}

/// Where a member is in its life, and so what a rebalance means to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// Nothing new is taken any more.
    Finishing,
    /// What can be committed is committed at the most.
    Finished,
    /// The time is over, or the brokers are away: what is left is read again.
    GivenUp,
}

pub type GroupConsumer<H> = BaseConsumer<GroupContext<H>>;

pub struct GroupContext<H> {
    handler: Mutex<H>,
    phase: Mutex<Phase>,
    undrained: Arc<AtomicBool>,
    pub connection: ConnectionLog,
    figures: Arc<HalfStats>,
}

impl<H> GroupContext<H> {
    pub fn new(handler: H, name: &'static str, figures: Arc<HalfStats>) -> Self {
        GroupContext {
            handler: Mutex::new(handler),
            phase: Mutex::new(Phase::Running),
            undrained: Arc::default(),
            connection: ConnectionLog::telling(name, Arc::clone(&figures.consumer)),
            figures,
        }
    }

    /// Never hold this across `poll`: the rebalance callback takes it.
    pub fn handler(&self) -> MutexGuard<'_, H> {
        self.handler.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<H: GroupHandler> GroupContext<H> {
    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drains and commits synchronously what is not lost; the partitions to give back.
    fn revoke(
        &self,
        consumer: &GroupConsumer<H>,
        partitions: &TopicPartitionList,
        lost: bool,
    ) -> TopicPartitionList {
        let phase = *self.phase();
        let mut handler = self.handler();
        if !lost && !handler.has_ended() && phase != Phase::GivenUp {
            let drained = match phase {
                Phase::Running => handler.drain(partitions, REVOKE_DRAIN_MAX),
                Phase::Finishing => handler.drain(partitions, STOP_DRAIN_MAX),
                // Another step would begin something new.
                Phase::Finished | Phase::GivenUp => true,
            };
            let committed =
                commit_patiently(consumer, &mut *handler, partitions, &self.figures.commits);
            if !drained || committed != Commit::Done {
                self.undrained.store(true, Ordering::Relaxed);
            }
        } else if lost && phase == Phase::Finishing {
            self.undrained.store(true, Ordering::Relaxed);
        }
        let taken = handler.release(partitions, lost);
        // What was assigned to a member that is finishing was never taken.
        let Ok(assigned) = consumer.assignment() else { return taken };
        let mut given_back = TopicPartitionList::new();
        for one in taken.elements() {
            if assigned.find_partition(one.topic(), one.partition()).is_some() {
                given_back.add_partition(one.topic(), one.partition());
            }
        }
        given_back
    }
}

/// How long a revoke waits for what is under way; well under `max.poll.interval.ms`.
const REVOKE_DRAIN_MAX: Duration = Duration::from_secs(30);
/// How long a stop does, rebalances that it has to sit out included.
const STOP_DRAIN_MAX: Duration = Duration::from_secs(8);
/// How long a revoke goes on to ask for a commit that brokers could not answer.
const COMMIT_MAX: Duration = Duration::from_secs(2);

/// Commits what is done of these partitions. Another attempt, for a short while, is cheaper than
/// what the next owner would read again.
fn commit_patiently<H: GroupHandler>(
    consumer: &GroupConsumer<H>,
    handler: &mut H,
    partitions: &TopicPartitionList,
    figures: &CommitFigures,
) -> Commit {
    let deadline = clock::monotonic() + COMMIT_MAX;
    loop {
        let mode = CommitMode::Sync;
        match commit(consumer, &mut handler.committable(), Some(partitions), mode, figures) {
            Commit::Failed if clock::monotonic() < deadline => {
                std::thread::park_timeout(Duration::from_millis(50));
            }
            end => return end,
        }
    }
}

impl<H: GroupHandler> ClientContext for GroupContext<H> {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;
    fn generate_oauth_token(&self, settings: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.connection.generate_oauth_token(settings)
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.connection.log(level, facility, message);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        self.connection.error(error, reason);
    }
    fn stats(&self, statistics: Statistics) {
        self.connection.stats(statistics);
    }
}

impl<H: GroupHandler> ConsumerContext for GroupContext<H> {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        err: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        match err {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS
                if *self.phase() != Phase::Running =>
            {
                if let Err(error) = consumer.incremental_assign(&TopicPartitionList::new()) {
                    tracing::warn!(%error, "the group's assignment could not be answered");
                }
            }
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                self.figures.rebalances.add(1);
                self.handler().assigned(consumer, partitions);
                self.figures.assigned.set(true);
            }
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => {
                self.figures.rebalances.add(1);
                let lost = consumer.assignment_lost();
                let taken = self.revoke(consumer, partitions, lost);
                if let Err(error) = consumer.incremental_unassign(&taken) {
                    tracing::error!(%error, "partitions could not be given back");
                }
            }
            other => {
                tracing::error!(error = ?other, "the group could not be rebalanced");
                if let Err(error) = consumer.unassign() {
                    tracing::error!(%error, "partitions could not be given back");
                }
            }
        }
    }
}

/// Records polled between two turns.
const POLLS_A_TURN: usize = 2_000;
/// Between two attempts to commit at the end.
const FINISH_POLL: Duration = Duration::from_millis(200);
/// Waits of `poll`: short while something is under way, long when nothing is.
const POLL_BUSY: Duration = Duration::from_millis(1);
const POLL_IDLE: Duration = Duration::from_millis(20);

/// A half's thread: until `stop` is set, then drains, commits and leaves the group.
///
/// # Errors
/// What the handler says it can't go on for, and what librdkafka calls fatal.
pub fn run_member<H: GroupHandler>(
    consumer: GroupConsumer<H>,
    stop: &AtomicBool,
) -> Result<(), HalfError> {
    let mut result = Ok(());
    let mut commits = CommitClock::start();
    let figures = Arc::clone(&consumer.context().figures);
    let mut idle = false;
    while !stop.load(Ordering::Relaxed) {
        figures.beat.turn();
        figures.lost.set(consumer.context().connection.is_lost());
        let busy = {
            let mut handler = consumer.context().handler();
            handler.turn(&consumer);
            let committed = if commits.is_due(idle) {
                commits.tick(&consumer, &mut handler.committable(), idle, &figures.commits)
            } else {
                Ok(())
            };
            if let Some(error) = handler.take_fatal().or(committed.err()) {
                result = Err(error);
                break;
            }
            handler.busy()
        };
        match poll_many(&consumer, busy) {
            Ok(polled) => idle = !busy && polled == 0,
            Err(error) => {
                result = Err(error);
                break;
            }
        }
    }
    // What is left has its own time limits.
    figures.beat.rest();
    let undrained = Arc::clone(&consumer.context().undrained);
    undrained.store(false, Ordering::Relaxed);
    let finished = result.is_err() || finish(&consumer);
    if let Some(error) = consumer.context().handler().take_fatal() {
        result = result.and(Err(error));
    }
    *consumer.context().phase() = if finished { Phase::Finished } else { Phase::GivenUp };
    if !consumer.context().connection.is_lost() {
        leave(&consumer);
    }
    close(consumer);
    if result.is_ok() && (!finished || undrained.load(Ordering::Relaxed)) {
        return Err(HalfError::Undrained);
    }
    result
}

/// Finishes what is under way and commits it, as a member that still belongs to the group: one that
/// closes in the middle of a rebalance has lost its generation before it is asked to give its
/// partitions back, and could commit no more. Takes nothing new. Whether nothing is left.
fn finish<H: GroupHandler>(consumer: &GroupConsumer<H>) -> bool {
    *consumer.context().phase() = Phase::Finishing;
    let deadline = clock::monotonic() + STOP_DRAIN_MAX;
    loop {
        let left = deadline.saturating_duration_since(clock::monotonic());
        {
            let mut handler = consumer.context().handler();
            let drained = match consumer.assignment() {
                Ok(owned) => handler.drain(&owned, left),
                Err(_) => false,
            };
            // A commit waits for its coordinator as long as a session lasts.
            if consumer.context().connection.is_lost() {
                return drained && all_confirmed(&handler.committable());
            }
            let figures = &consumer.context().figures.commits;
            match commit(consumer, &mut handler.committable(), None, CommitMode::Sync, figures) {
                Commit::Done => return drained,
                Commit::Refused(_) => return false,
                Commit::MovedOn | Commit::Failed => {}
            }
        }
        if left.is_zero() {
            return false;
        }
        // The group is in the middle of something: let it come to its end. What is read meanwhile
        // is let go, and read again by whoever comes next, since it is not committed.
        let pause = clock::monotonic() + FINISH_POLL;
        while clock::monotonic() < pause {
            let _ = consumer.poll(FINISH_POLL);
        }
    }
}

/// How long a member waits for the group to let it go, a rebalance that is under way included.
const LEAVE_MAX: Duration = Duration::from_secs(3);
const LEAVE_POLL: Duration = Duration::from_millis(20);
/// How long a client may take to close. What it held is drained and committed by then, or given up.
const CLOSE_MAX: Duration = Duration::from_secs(5);

/// Gives the partitions back and leaves the group before the client is closed. A client that
/// closes while a rebalance waits for its answer may end its group's part first: the answer, which
/// is a question to that part, is then never answered itself.
fn leave<H: GroupHandler>(consumer: &GroupConsumer<H>) {
    let deadline = clock::monotonic() + LEAVE_MAX;
    consumer.unsubscribe();
    loop {
        // What is read meanwhile is let go; it is not committed.
        let _ = consumer.poll(LEAVE_POLL);
        let left = consumer.assignment().is_ok_and(|owned| owned.count() > 0);
        if !left || clock::monotonic() >= deadline {
            return;
        }
    }
}

/// Drops the client, which tells the brokers that it is gone. It is left to itself where that
/// takes too long: the group then notices by the session's time-out, and nothing is lost.
fn close<H: GroupHandler>(consumer: GroupConsumer<H>) {
    let (sender, closed) = crossbeam_channel::bounded::<()>(0);
    let closing = std::thread::Builder::new().name("close".to_owned()).spawn(move || {
        drop(consumer);
        drop(sender);
    });
    // A thread that could not be started has dropped the client here.
    if closing.is_ok() && closed.recv_timeout(CLOSE_MAX) == Err(RecvTimeoutError::Timeout) {
        tracing::warn!("the Kafka client does not close; it is left behind");
    }
}

/// Polls until the source has nothing at hand, the handler has enough, or the turn is over; how many
/// answers there were.
fn poll_many<H: GroupHandler>(consumer: &GroupConsumer<H>, busy: bool) -> Result<usize, HalfError> {
    let mut wait = if busy { POLL_BUSY } else { POLL_IDLE };
    for polled in 0..POLLS_A_TURN {
        match consumer.poll(wait) {
            None => return Ok(polled),
            Some(Ok(message)) => {
                consumer.context().connection.reached();
                if consumer.context().handler().receive(&message) == Intake::Enough {
                    return Ok(polled + 1);
                }
            }
            Some(Err(error)) => poll_failed(consumer, &error)?,
        }
        wait = Duration::ZERO;
    }
    Ok(POLLS_A_TURN)
}

/// What a member may have been refused to read: the client does not say of which topic an error is.
fn subscribed(consumer: &BaseConsumer<impl ConsumerContext>, code: RDKafkaErrorCode) -> String {
    if code == RDKafkaErrorCode::GroupAuthorizationFailed {
        return "as a member of the group".to_owned();
    }
    let topics = consumer.subscription().map(|list| list.to_topic_map()).unwrap_or_default();
    let mut names: Vec<String> = topics.keys().map(|(topic, _)| format!("`{topic}`")).collect();
    names.sort_unstable();
    if names.is_empty() { "a topic or the group".to_owned() } else { names.join(" or ") }
}

/// Errors that `poll` returns: most pass by themselves and are only said.
fn poll_failed<H: GroupHandler>(
    consumer: &GroupConsumer<H>,
    error: &KafkaError,
) -> Result<(), HalfError> {
    if let KafkaError::MessageConsumptionFatal(_) = error {
        return Err(HalfError::of_fatal_client(consumer, error));
    }
    let Some(code) = error.rdkafka_error_code() else {
        return Ok(());
    };
    let class = failure::class_of(code, Doing::Consuming);
    consumer.context().handler().stats().errors.add(Doing::Consuming, class);
    match class {
        Class::Fatal => {
            let what = subscribed(consumer, code);
            return Err(HalfError::Refused { doing: Doing::Consuming, what, code });
        }
        Class::Poison => {
            consumer.context().handler().stats().damaged.add(1);
            tracing::error!(%error, "damaged records were passed over: no client can read them");
        }
        Class::Retriable => match code {
            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange => {
                consumer.context().handler().overtaken();
            }
            // The client's own error callback says these, and not more often than is of use.
            RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::Resolve
            | RDKafkaErrorCode::OperationTimedOut => {
                tracing::debug!(%error, "reading failed; trying again");
            }
            _ if consumer.context().connection.reading_is_due() => {
                tracing::warn!(%error, "reading failed; trying again");
            }
            _ => tracing::debug!(%error, "reading failed; trying again"),
        },
    }
    Ok(())
}

/// What a reader may fetch ahead, in KiB.
const QUEUE_KBYTES: u32 = 16 * 1024;
/// The largest answer to one fetch, before it is decompressed: audit logs expand five to ten times,
/// and an answer is taken whole, on top of what the queue holds. A batch that is larger comes alone.
const FETCH_MAX_BYTES: u32 = 2 * 1024 * 1024;

/// The client's configuration for a member of `group_id`: the operator's properties, our defaults
/// where the operator is silent, and what correctness needs on top.
pub fn group_config(properties: &ClientConfig, group_id: &str, reset: &str) -> ClientConfig {
    let mut config = reader_config(properties, reset);
    config.set("group.id", group_id).set("partition.assignment.strategy", "cooperative-sticky");
    config
}

/// As [`group_config`], without a group: for readers that assign themselves explicit offsets.
pub fn reader_config(properties: &ClientConfig, reset: &str) -> ClientConfig {
    let mut config = properties.clone();
    let mut default = |key: &str, value: &str| {
        if properties.get(key).is_none() {
            config.set(key, value);
        }
    };
    default("fetch.min.bytes", "1");
    default("fetch.wait.max.ms", "100");
    default("fetch.message.max.bytes", "4194304");
    default("queued.min.messages", "100000");
    default("queued.max.messages.kbytes", &QUEUE_KBYTES.to_string());
    // A full queue may be read empty within 40 ms, and the next answer takes its time too.
    default("fetch.queue.backoff.ms", "5");
    default("topic.metadata.refresh.interval.ms", "30000");
    // The client refuses a value below this property, which the operator may have set high.
    if properties.get("message.max.bytes").is_none() {
        default("fetch.max.bytes", &FETCH_MAX_BYTES.to_string());
    }
    config
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", reset);
    config
}
