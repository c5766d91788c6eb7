//! A reader: takes one partition after the other, reads what is wanted of it and hands on what may
//! concern a rule.
//!
//! Owns the reading consumer, which assigns itself explicit offsets under a group's name that is
//! never joined, and when a partition is done: transaction marks and compaction leave gaps, so the
//! client's word for an end of the log counts too ([`crate::terms::ends`]). Nobody waits for a
//! record that will not come, nor longer than [`STALL_MAX`] for a broker.

use std::error::Error;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::examine::Examiner;
use super::hits::Place;
use super::range::{self, Part};
use super::{BacktestError, BacktestOptions, Progress, Told};
use crate::app::stall::{STALL_MAX, Stall};
use crate::clock;
use crate::config::{ClusterFrom, Config};
use crate::failure::{self, Class, Doing};
use crate::ingest::headers;
use crate::ingest::kafka::{ConnectionLog, group_config};
use crate::ingest::oauth;
use crate::terms::ends::{End, Ends};

const REQUEST_MAX: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(100);
/// A batch goes to the workers when it holds this much.
/// So many records on end that are too late say that the range is read.
const LATE_RECORDS: usize = 1_000;
const BATCH_MAX_BYTES: usize = 512 * 1024;
const BATCH_MAX_RECORDS: usize = 1_024;
/// Bounds of what one reader may fetch ahead.
const READ_AHEAD_MIN_BYTES: usize = 1024 * 1024;
const READ_AHEAD_MAX_BYTES: usize = 32 * 1024 * 1024;

/// A record that may concern a rule.
#[derive(Debug)]
pub struct Taken {
    pub place: Place,
    /// Of the record, milliseconds since the epoch.
    pub record_ms: Option<i64>,
    /// The record stands before the range.
    pub history: bool,
    /// The sides whose rules it may concern, by their bits.
    pub sides: u8,
    pub cluster: Option<String>,
    /// In the batch's bytes.
    pub payload: Range<usize>,
}

/// Records with their bytes in one buffer.
#[derive(Debug, Default)]
pub struct Batch {
    pub bytes: Vec<u8>,
    pub records: Vec<Taken>,
}

/// What became of a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartRead {
    pub topic: u16,
    pub partition: i32,
    /// One past the last offset that was read, or passed over.
    pub reached: i64,
    /// Records of the range, and of its history.
    pub records: u64,
    pub history_records: u64,
    /// Bytes of both.
    pub bytes: u64,
    /// Records between the offsets whose time is not of the range.
    pub outside: u64,
    /// Records without a value, of the range.
    pub tombstones: u64,
    /// Time of the first record that was read, milliseconds since the epoch.
    pub first_ms: Option<i64>,
    /// Errors that the client names as damaged records.
    pub damaged: u64,
    /// Offsets that were deleted before they were read.
    pub lost: u64,
}

pub struct Reader<'a> {
    pub config: &'a Config,
    pub options: &'a BacktestOptions,
    pub examiner: &'a Examiner,
    pub read_ahead_bytes: usize,
    pub stop: [&'a AtomicBool; 2],
    pub(super) progress: &'a Progress,
    pub batches: Sender<Batch>,
}

/// Nobody takes what is read any more, or it is to end.
struct Stopped;

impl Reader<'_> {
    pub(super) fn run(
        &self,
        parts: &Receiver<&Part>,
        told: &Sender<Told>,
    ) -> Result<(), BacktestError> {
        let client = self.client_config();
        let consumer: BaseConsumer<Quiet> = client.create_with_context(Quiet::new())?;
        oauth::sign_in(consumer.client(), &client)?;
        for part in parts {
            if self.is_stopped() {
                return Ok(());
            }
            let mut reading = Reading::begin(self, &consumer, part);
            let result = reading.read();
            let stopped = reading.flush().is_err();
            let read = reading.read;
            // What was read of it counts, also when the rest can't be.
            if told.send(Told::Read(read)).is_err() || stopped {
                return Ok(());
            }
            result?;
            consumer.unassign()?;
        }
        Ok(())
    }

    fn is_stopped(&self) -> bool {
        self.stop.iter().any(|stop| stop.load(Ordering::Relaxed))
    }

    fn client_config(&self) -> ClientConfig {
        let properties = self.config.client_config();
        // Assigning needs a group's name; without a subscription it is not joined. It is one that
        // nobody else uses, so that whatever goes wrong here can't touch the service's offsets.
        let group = format!("{}-backtest", self.config.kafka.group_id);
        let mut config = group_config(&properties, &group, "error");
        config.set("enable.partition.eof", "true");
        let bytes = self.read_ahead_bytes.clamp(READ_AHEAD_MIN_BYTES, READ_AHEAD_MAX_BYTES);
        for (key, value) in [
            ("queued.max.messages.kbytes", bytes / 1024),
            ("fetch.message.max.bytes", (bytes / 2).min(4 * 1024 * 1024)),
            // An empty answer says that a log has ended: the sooner the better.
            ("fetch.wait.max.ms", 10),
        ] {
            if properties.get(key).is_none() {
                config.set(key, value.to_string());
            }
        }
        config
    }
}

/// One partition while it is read.
struct Reading<'a> {
    reader: &'a Reader<'a>,
    consumer: &'a BaseConsumer<Quiet>,
    part: &'a Part,
    topic: &'a str,
    next: i64,
    /// Records on end that are too late.
    late: usize,
    batch: Batch,
    read: PartRead,
}

impl<'a> Reading<'a> {
    fn begin(reader: &'a Reader<'a>, consumer: &'a BaseConsumer<Quiet>, part: &'a Part) -> Self {
        let topics = &reader.config.source.topics;
        let (topic, partition) = (part.topic, part.partition);
        Reading {
            reader,
            consumer,
            part,
            topic: topics.get(usize::from(topic)).map_or("", String::as_str),
            next: part.start,
            late: 0,
            batch: Batch::default(),
            read: PartRead { topic, partition, reached: part.start, ..PartRead::default() },
        }
    }

    fn read(&mut self) -> Result<(), BacktestError> {
        let (partition, from, until) = (self.part.partition, self.next, self.part.until);
        tracing::debug!(topic = self.topic, partition, from, until, "reading a partition");
        self.assign()?;
        let mut stall = Stall::begin();
        let mut ends = Ends::default();
        while self.next < self.part.until && !self.reader.is_stopped() {
            match self.consumer.poll(POLL) {
                Some(Ok(message)) => {
                    stall = Stall::begin();
                    ends = Ends::default();
                    self.consumer.context().0.reached();
                    let offset = message.offset();
                    let is_here =
                        message.topic() == self.topic && message.partition() == self.part.partition;
                    if !is_here || offset < self.next {
                        continue;
                    }
                    if offset >= self.part.until {
                        self.reach(self.part.until);
                        break;
                    }
                    if self.take(&message).is_err() {
                        return Ok(());
                    }
                    if self.is_past_the_range(&message) {
                        self.reach(self.part.until);
                        break;
                    }
                    self.reach(offset + 1);
                }
                Some(Err(KafkaError::PartitionEOF(ended))) if ended == self.part.partition => {
                    let bounds = self.bounds()?;
                    match ends.said(bounds, self.part.until, clock::monotonic()) {
                        End::Read => self.reach(self.part.until),
                        End::Shrunk => return Err(self.shrunk()),
                        End::NotYet => self.again(bounds.0)?,
                    }
                }
                None | Some(Err(KafkaError::PartitionEOF(_))) => stall.check(None).map_err(lost)?,
                Some(Err(error)) => self.failed(error, &mut stall, &mut ends)?,
            }
        }
        Ok(())
    }

    fn failed(
        &mut self,
        error: KafkaError,
        stall: &mut Stall,
        ends: &mut Ends,
    ) -> Result<(), BacktestError> {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                // Retention has moved the start of the log past the reader, or the log is another one.
                let (bounds, until) = (self.bounds()?, self.part.until);
                if ends.refused(bounds, self.next, until, clock::monotonic()) == End::Shrunk {
                    return Err(self.shrunk());
                }
                if bounds.0 <= self.next {
                    stall.check_again(error).map_err(lost)?;
                }
                self.again(bounds.0)
            }
            Some(RDKafkaErrorCode::TopicAuthorizationFailed) => Err(range::no_right(self.topic)),
            Some(code) if failure::class_of(code, Doing::Consuming) == Class::Poison => {
                self.read.damaged += 1;
                Ok(())
            }
            _ => stall.check(Some(error)).map_err(lost),
        }
    }

    /// Whether nothing but records that are too late has come for a while.
    fn is_past_the_range(&mut self, message: &BorrowedMessage<'_>) -> bool {
        let too_late = self.reader.options.to_ms.saturating_add(range::LATE_MAX_MS);
        let time = message.timestamp().to_millis().filter(|time| *time >= 0);
        if message.offset() < self.part.late_from || time.is_none_or(|time| time < too_late) {
            self.late = 0;
            return false;
        }
        self.late += 1;
        self.late >= LATE_RECORDS
    }

    /// Up to here everything is done with.
    fn reach(&mut self, next: i64) {
        let done = u64::try_from(next - self.next).unwrap_or(0);
        self.reader.progress.done.fetch_add(done, Ordering::Relaxed);
        self.next = next;
        self.read.reached = next;
    }

    /// Reads on from where it stopped, or from the log's start if that is later.
    fn again(&mut self, low: i64) -> Result<(), BacktestError> {
        let low = low.min(self.part.until);
        if low > self.next {
            self.read.lost += u64::try_from(low - self.next).unwrap_or(0);
            self.reach(low);
        }
        // An assignment that is taken back at once trips an assertion of librdkafka.
        if self.next >= self.part.until {
            return Ok(());
        }
        self.assign()
    }

    fn assign(&self) -> Result<(), BacktestError> {
        let mut assignment = TopicPartitionList::new();
        let next = Offset::Offset(self.next);
        assignment.add_partition_offset(self.topic, self.part.partition, next)?;
        Ok(self.consumer.assign(&assignment)?)
    }

    /// First offset and end of the log as of now.
    fn bounds(&self) -> Result<(i64, i64), BacktestError> {
        let deadline = clock::monotonic() + STALL_MAX;
        loop {
            let asked =
                self.consumer.fetch_watermarks(self.topic, self.part.partition, REQUEST_MAX);
            match asked {
                Ok(bounds) => return Ok(bounds),
                Err(error) if clock::monotonic() < deadline && !self.reader.is_stopped() => {
                    tracing::debug!(%error, "the log's bounds are not known yet");
                    let _ = self.consumer.poll(POLL);
                }
                Err(error) => return Err(BacktestError::Lost { reason: error.to_string() }),
            }
        }
    }

    fn shrunk(&self) -> BacktestError {
        BacktestError::Shrunk { topic: self.topic.to_owned(), partition: self.part.partition }
    }

    /// Looks at a record where the client holds it; copies it only when it may concern a rule.
    fn take(&mut self, message: &BorrowedMessage<'_>) -> Result<(), Stopped> {
        let options = self.reader.options;
        let record_ms = message.timestamp().to_millis().filter(|time| *time >= 0);
        self.reader.progress.records.fetch_add(1, Ordering::Relaxed);
        // What is past the range says nothing of where it begins.
        let before_end = record_ms.filter(|time| *time < options.to_ms);
        self.read.first_ms = self.read.first_ms.or(before_end);
        let history = record_ms.is_some_and(|time| time < options.from_ms);
        let too_early = options.from_ms.saturating_sub(options.history_ms);
        if record_ms.is_some_and(|time| time < too_early || time >= options.to_ms) {
            self.read.outside += 1;
            return Ok(());
        }
        let counter = if history { &mut self.read.history_records } else { &mut self.read.records };
        *counter += 1;
        let Some(payload) = message.payload() else {
            self.read.tombstones += u64::from(!history);
            return Ok(());
        };
        self.read.bytes += payload.len() as u64;
        let sides = self.reader.examiner.concerned(payload, history);
        if sides == 0 {
            return Ok(());
        }
        let start = self.batch.bytes.len();
        self.batch.bytes.extend_from_slice(payload);
        self.batch.records.push(Taken {
            place: Place {
                topic: self.part.topic,
                partition: self.part.partition,
                offset: message.offset(),
                item: 0,
            },
            record_ms,
            history,
            sides,
            cluster: self.cluster(message),
            payload: start..self.batch.bytes.len(),
        });
        if self.batch.bytes.len() >= BATCH_MAX_BYTES
            || self.batch.records.len() >= BATCH_MAX_RECORDS
        {
            return self.flush();
        }
        Ok(())
    }

    /// As `run` does.
    fn cluster(&self, message: &BorrowedMessage<'_>) -> Option<String> {
        match &self.reader.config.source.cluster_from {
            ClusterFrom::Topic => Some(self.topic.to_owned()),
            ClusterFrom::Header(name) => {
                headers::text(&headers::read(message).unwrap_or_default(), name)
            }
            ClusterFrom::None | ClusterFrom::Field(_) => None,
        }
    }

    /// Waits for the workers to take what is read.
    fn flush(&mut self) -> Result<(), Stopped> {
        if self.batch.records.is_empty() {
            return Ok(());
        }
        self.reader.batches.send(std::mem::take(&mut self.batch)).map_err(|_| Stopped)
    }
}

fn lost(error: KafkaError) -> BacktestError {
    BacktestError::Lost { reason: error.to_string() }
}

/// What the client says about its connections, but for the group's name: nothing is done with it,
/// so no right to it is needed.
struct Quiet(ConnectionLog);

impl Quiet {
    fn new() -> Quiet {
        Quiet(ConnectionLog::new("backtest reader"))
    }
}

impl ClientContext for Quiet {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;
    fn generate_oauth_token(&self, settings: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        oauth::token(settings)
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::GroupAuthorizationFailed) {
            self.0.error(error, reason);
        }
    }
}

impl ConsumerContext for Quiet {}
