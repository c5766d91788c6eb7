//! A restorer: drives takeovers with a consumer of its own, a partition at a time, off the thread
//! that polls. Several share the requests.
//!
//! Owns no state beyond one takeover, and decides nothing about it.

use std::collections::{HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::clock;
use crate::failure::{self, Class, Doing};
use crate::faults::Faults;
use crate::ingest::kafka::{ConnectionLog, HalfError, group_config};
use crate::ingest::oauth;
use crate::stats::Stats;
use crate::stats::flow::Restore;
use crate::terms::ends::{End, Ends};
use crate::terms::record::{self, DecodeError, Record};
use crate::terms::store::{Store, StoreError};
use crate::terms::takeover::{Committed, Flow, Request, Restored, Seen, Takeover, Wants};

const REQUEST_MAX: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(100);
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How long an attempt waits for a token: not longer than a stop may take.
const TOKEN_MAX: Duration = Duration::from_secs(1);
/// How often a takeover that takes its time says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);
/// Of how many records one looks at the clock.
const CLOCK_EVERY: i64 = 256;

/// Which assignment of each partition is the current one. Written by the owner, read here.
#[derive(Debug, Default)]
pub struct Epochs(Mutex<HashMap<i32, Arc<AtomicU64>>>);

impl Epochs {
    fn of(&self, partition: i32) -> Arc<AtomicU64> {
        let mut epochs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(epochs.entry(partition).or_default())
    }
    pub fn set(&self, partition: i32, epoch: u64) {
        self.of(partition).store(epoch, Ordering::Release);
    }
    pub fn is_current(&self, request: Request) -> bool {
        self.of(request.partition).load(Ordering::Acquire) == request.epoch
    }
}

#[derive(Debug, thiserror::Error)]
enum RestoreError {
    #[error("cancelled by a rebalance")]
    Cancelled,
    /// What the takeover was begun with does not hold any more.
    #[error("the log ends before offset {until}, where it ended before: its end is lost")]
    Shrunk { until: i64 },
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RestoreError {
    /// A view that can't be read is cleared and folded anew; without a disk nothing helps.
    fn class(&self) -> Class {
        match self {
            RestoreError::Cancelled | RestoreError::Shrunk { .. } => Class::Retriable,
            RestoreError::Store(error) => error.class(),
            RestoreError::Kafka(error) => error
                .rdkafka_error_code()
                .map_or(Class::Retriable, |code| failure::class_of(code, Doing::Consuming)),
        }
    }
}

impl RestoreError {
    /// What ends the half, of this observations topic.
    fn ends(self, topic: &str) -> HalfError {
        match self {
            RestoreError::Kafka(error) => match error.rdkafka_error_code() {
                Some(code) => HalfError::Refused {
                    doing: Doing::Consuming,
                    what: format!("the observations topic `{topic}`"),
                    code,
                },
                None => HalfError::Consumer(error),
            },
            RestoreError::Store(error) => error.into(),
            error @ (RestoreError::Cancelled | RestoreError::Shrunk { .. }) => {
                HalfError::Internal(error.to_string())
            }
        }
    }
}

/// A view that can't be kept ends the half.
impl From<StoreError> for HalfError {
    fn from(error: StoreError) -> Self {
        HalfError::State {
            message: error.to_string(),
            hint: error.hint().unwrap_or(failure::RESTART),
        }
    }
}

type Reader = BaseConsumer<ConnectionLog>;

/// The client of a restorer, which names the group and never joins it. Several read at once and
/// each a partition alone, so what they fetch ahead is kept small, unless the operator has said
/// otherwise.
pub fn reader_config(properties: &ClientConfig, group: &str) -> ClientConfig {
    let mut config = group_config(properties, group, "error");
    config.set("enable.partition.eof", "true");
    for (key, value) in
        [("queued.max.messages.kbytes", "8192"), ("fetch.message.max.bytes", "1048576")]
    {
        if properties.get(key).is_none() {
            config.set(key, value);
        }
    }
    config
}

pub struct Restorer {
    client: ClientConfig,
    topic: Arc<str>,
    store: Arc<dyn Store>,
    stop: Arc<AtomicBool>,
    epochs: Arc<Epochs>,
    stats: Arc<Stats>,
    faults: Faults,
}

impl Restorer {
    /// `client` names the group, whose offsets are read; it is never joined.
    pub fn new(
        client: ClientConfig,
        topic: Arc<str>,
        store: Arc<dyn Store>,
        stop: Arc<AtomicBool>,
        epochs: Arc<Epochs>,
        stats: Arc<Stats>,
        faults: Faults,
    ) -> Self {
        Restorer { client, topic, store, stop, epochs, stats, faults }
    }

    /// Until the channel of requests closes. An error is one that no attempt will mend.
    pub fn run(
        &self,
        requests: &Receiver<Request>,
        restored: &Sender<Result<Restored, HalfError>>,
    ) {
        let mut reader = None;
        // What failed waits behind what is new: one partition without a leader must not hold up
        // the others.
        let mut failed = VecDeque::new();
        loop {
            let new = requests.try_recv();
            let request = match new.ok().or_else(|| failed.pop_front()) {
                Some(request) => request,
                None => {
                    // Nobody polls it meanwhile, so its token would end and no other come.
                    if oauth::is_used(&self.client) {
                        reader = None;
                    }
                    match requests.recv() {
                        Ok(request) => request,
                        Err(_) => return,
                    }
                }
            };
            if self.cancelled(request) {
                continue;
            }
            match self.guarded(request, &mut reader) {
                Ok(done) => {
                    if restored.send(Ok(done)).is_err() {
                        return;
                    }
                }
                Err(RestoreError::Cancelled | RestoreError::Store(StoreError::PastEpoch)) => {}
                Err(error) if error.class() == Class::Fatal => {
                    let _ = restored.send(Err(error.ends(&self.topic)));
                    return;
                }
                Err(error) => {
                    tracing::warn!(
                        partition = request.partition, %error,
                        "taking over a partition failed; trying again"
                    );
                    failed.push_back(request);
                    if let Some(reader) = &reader {
                        let _ = Reader::poll(reader, RETRY_AFTER);
                    } else {
                        std::thread::park_timeout(RETRY_AFTER);
                    }
                }
            }
        }
    }

    /// One attempt. A view that can't be read or that panics the database is cleared, so that the
    /// next attempt folds it anew from the log.
    fn guarded(
        &self,
        request: Request,
        reader: &mut Option<Reader>,
    ) -> Result<Restored, RestoreError> {
        let attempt = AssertUnwindSafe(|| self.attempt(request, reader));
        let result = std::panic::catch_unwind(attempt)
            .unwrap_or_else(|_| Err(StoreError::Corrupt("its takeover panicked").into()));
        if let Err(RestoreError::Store(StoreError::Corrupt(_))) = &result {
            self.store.clear(request.partition, request.epoch)?;
        }
        result
    }

    fn cancelled(&self, request: Request) -> bool {
        self.stop.load(Ordering::Relaxed) || !self.epochs.is_current(request)
    }

    fn attempt(
        &self,
        request: Request,
        reader: &mut Option<Reader>,
    ) -> Result<Restored, RestoreError> {
        let reader = match reader {
            Some(reader) => reader,
            None => {
                let made: Reader =
                    self.client.create_with_context(ConnectionLog::new("takeover reader"))?;
                oauth::sign_in(made.client(), &self.client, TOKEN_MAX)?;
                reader.insert(made)
            }
        };
        let result = self.take_over(request, reader);
        self.stats.restores.ended(request.partition);
        reader.unassign()?;
        result
    }

    fn take_over(&self, request: Request, reader: &Reader) -> Result<Restored, RestoreError> {
        let partition = request.partition;
        let times = clock::times();
        let committed = self.committed(reader, partition)?;
        let bounds = reader.fetch_watermarks(&self.topic, partition, REQUEST_MAX)?;
        let store = &*self.store;
        let mut takeover = Takeover::begin(request, committed, bounds, store, times, self.faults)?;
        while let Wants::Read { from, until } = takeover.wants() {
            self.read(request, reader, from, until, &mut takeover)?;
        }
        let restored = takeover.finish(store)?;
        if restored.gap > 0 {
            self.stats.gap.add(restored.gap);
            tracing::error!(
                partition,
                lost = restored.gap,
                log_start = bounds.0,
                "observations were deleted from the log before they were folded"
            );
        }
        if restored.folded > 0 {
            tracing::info!(partition, folded = restored.folded, "the view has caught up");
        }
        Ok(restored)
    }

    fn committed(
        &self,
        reader: &Reader,
        partition: i32,
    ) -> Result<Option<Committed>, RestoreError> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition(&self.topic, partition);
        let committed = reader.committed_offsets(asked, REQUEST_MAX)?;
        let Some(element) = committed.find_partition(&self.topic, partition) else {
            return Ok(None);
        };
        element.error()?;
        Ok(match element.offset() {
            Offset::Offset(offset) => {
                Some(Committed { offset, log_id: element.metadata().to_owned() })
            }
            _ => None,
        })
    }

    /// Reads `from..until` into the takeover until it wants something else.
    ///
    /// Compaction leaves gaps, but it keeps the last record of a log: the range has been read once a
    /// record at its end or behind it was. The client's word that a partition has ended is weighed
    /// by [`Ends`].
    fn read(
        &self,
        request: Request,
        reader: &Reader,
        from: i64,
        until: i64,
        takeover: &mut Takeover,
    ) -> Result<(), RestoreError> {
        let partition = request.partition;
        self.assign(reader, partition, from)?;
        self.stats.restores.set(partition, Restore { from, next: from, until });
        let mut said = clock::monotonic();
        let mut next = from;
        let mut ends = Ends::default();
        // Looking at the clock costs as much as some of the folding.
        let mut looks = true;
        loop {
            if self.cancelled(request) {
                return Err(RestoreError::Cancelled);
            }
            let look = std::mem::take(&mut looks);
            if look {
                self.stats.restores.set(partition, Restore { from, next, until });
            }
            if look && clock::monotonic() - said >= PROGRESS_EVERY {
                said = clock::monotonic();
                let percent = (next - from) * 100 / (until - from).max(1);
                tracing::info!(
                    partition,
                    from,
                    next,
                    until,
                    "taking over a partition: {percent} % is read"
                );
            }
            match reader.poll(POLL) {
                Some(Ok(message)) => {
                    let offset = message.offset();
                    if message.partition() != partition || offset < next {
                        continue;
                    }
                    next = offset + 1;
                    ends = Ends::default();
                    looks = offset % CLOCK_EVERY == 0;
                    if offset < until && self.feed(&message, takeover)? == Flow::Enough {
                        return Ok(());
                    }
                    if next >= until {
                        return Ok(takeover.read_ended(&*self.store)?);
                    }
                }
                Some(Err(KafkaError::PartitionEOF(ended))) if ended == partition => {
                    looks = true;
                    let bounds = reader.fetch_watermarks(&self.topic, partition, REQUEST_MAX)?;
                    match ends.said(bounds, until, clock::monotonic()) {
                        End::Read => return Ok(takeover.read_ended(&*self.store)?),
                        End::Shrunk => return Err(RestoreError::Shrunk { until }),
                        End::NotYet => self.assign(reader, partition, next.max(bounds.0))?,
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) | None => looks = true,
                // A broker that is gone is none of this partition's leaders for long.
                Some(Err(KafkaError::MessageConsumption(
                    RDKafkaErrorCode::BrokerTransportFailure
                    | RDKafkaErrorCode::AllBrokersDown
                    | RDKafkaErrorCode::Resolve
                    | RDKafkaErrorCode::OperationTimedOut,
                ))) => looks = true,
                Some(Err(error)) => return Err(error.into()),
            }
        }
    }

    fn assign(&self, reader: &Reader, partition: i32, from: i64) -> Result<(), KafkaError> {
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(&self.topic, partition, Offset::Offset(from))?;
        reader.assign(&assignment)
    }

    fn feed(
        &self,
        message: &BorrowedMessage<'_>,
        takeover: &mut Takeover,
    ) -> Result<Flow, StoreError> {
        let seen = Seen {
            offset: message.offset(),
            append_ms: message.timestamp().to_millis().unwrap_or(0),
            is_marker: message.key() == Some(record::marker_key()),
            decode: &mut || {
                record::decode_silently(message.key(), message.payload())
                    .inspect_err(|error| passed_over(&self.stats, message.offset(), error))
                    .ok()
            },
        };
        takeover.record(seen, &*self.store)
    }
}

/// The record of a message; one that is none of ours is counted, said, and to be passed over.
pub fn read_record(message: &impl Message, stats: &Stats) -> Option<Record> {
    record::decode(message.key(), message.payload())
        .inspect_err(|error| passed_over(stats, message.offset(), error))
        .ok()
}

/// Counts and says that a record of the observations topic is none of ours.
pub fn passed_over(stats: &Stats, offset: i64, error: &DecodeError) {
    stats.poison.add(1);
    tracing::warn!(offset, %error, "a record of the observations topic was passed over");
}
