//! One stretch of a partition, read from an offset to another without a group.
//!
//! Owns the consumer that assigns itself explicit offsets under a group's name that is never
//! joined, and when a stretch is done: transaction marks and compaction leave gaps, so the client's
//! word for an end of the log counts too ([`crate::terms::ends`]). Nobody waits for a record that
//! will not come, nor longer than [`STALL_MAX`] for a broker. What is done with a record is the
//! [`Taker`]'s affair.

use std::error::Error;
use std::time::Duration;

use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::offsets;
use super::reading::ReadingError;
use super::stall::{STALL_MAX, Stall};
use crate::clock;
use crate::config::Config;
use crate::failure::{self, Class, Doing};
use crate::ingest::kafka::{ConnectionLog, group_config};
use crate::ingest::oauth;
use crate::terms::ends::{End, Ends};

const REQUEST_MAX: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(100);
/// Bounds of what one reader may fetch ahead.
const READ_AHEAD_MIN_BYTES: usize = 1024 * 1024;
const READ_AHEAD_MAX_BYTES: usize = 32 * 1024 * 1024;

/// What a record makes of the reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// The next one.
    On,
    /// Nothing that is wanted comes any more: the stretch is done.
    Enough,
    /// At once, and the record is not done.
    Stop,
}

/// Who takes what is read.
pub trait Taker {
    fn take(&mut self, message: &BorrowedMessage<'_>) -> Take;
    /// Everything before `next` is done, `offsets` more than before.
    fn reached(&mut self, next: i64, offsets: u64);
    /// An error that the client names as a damaged record.
    fn damaged(&mut self);
    /// Offsets that were deleted before they were read.
    fn lost(&mut self, offsets: u64);
    /// Whether the reading is to end. Asked between two records.
    fn is_stopped(&self) -> bool;
}

/// What reads stretches, one after the other.
pub type StretchConsumer = BaseConsumer<Quiet>;

/// A consumer that fetches at most so much ahead, unless the operator says otherwise. `purpose` is
/// the command, for the log and for the name of the group that is not joined.
pub fn consumer(
    config: &Config,
    purpose: &'static str,
    read_ahead_bytes: usize,
) -> Result<StretchConsumer, KafkaError> {
    let properties = config.client_config();
    // Assigning needs a group's name; without a subscription it is not joined. It is one that
    // nobody else uses, so that whatever goes wrong here can't touch the service's offsets.
    let group = format!("{}-{purpose}", config.kafka.group_id);
    let mut client: ClientConfig = group_config(&properties, &group, "error");
    client.set("enable.partition.eof", "true");
    let bytes = read_ahead_bytes.clamp(READ_AHEAD_MIN_BYTES, READ_AHEAD_MAX_BYTES);
    for (key, value) in [
        ("queued.max.messages.kbytes", bytes / 1024),
        ("fetch.message.max.bytes", (bytes / 2).min(4 * 1024 * 1024)),
        // An empty answer says that a log has ended: the sooner the better.
        ("fetch.wait.max.ms", 10),
    ] {
        if properties.get(key).is_none() {
            client.set(key, value.to_string());
        }
    }
    let consumer: StretchConsumer =
        client.create_with_context(Quiet(ConnectionLog::new(purpose)))?;
    oauth::sign_in(consumer.client(), &client, oauth::REQUEST_MAX)?;
    Ok(consumer)
}

/// Offsets of a partition, from `from` to before `until`.
#[derive(Debug, Clone, Copy)]
pub struct Stretch<'t> {
    pub topic: &'t str,
    pub partition: i32,
    pub from: i64,
    pub until: i64,
}

/// Reads a stretch to its end, or until the taker has enough.
///
/// # Errors
/// What was read by then counts all the same.
pub fn read(
    consumer: &StretchConsumer,
    stretch: Stretch<'_>,
    taker: &mut dyn Taker,
) -> Result<(), ReadingError> {
    let Stretch { topic, partition, from, until } = stretch;
    tracing::debug!(topic, partition, from, until, "reading a partition");
    if from >= until {
        return Ok(());
    }
    Reading { consumer, stretch, next: from, taker }.read()?;
    // An assignment that is taken back at once trips an assertion of librdkafka.
    if !taker.is_stopped() {
        consumer.unassign()?;
    }
    Ok(())
}

struct Reading<'a> {
    consumer: &'a StretchConsumer,
    stretch: Stretch<'a>,
    next: i64,
    taker: &'a mut dyn Taker,
}

impl Reading<'_> {
    fn read(&mut self) -> Result<(), ReadingError> {
        let Stretch { topic, partition, until, .. } = self.stretch;
        self.assign()?;
        let mut stall = Stall::begin();
        let mut ends = Ends::default();
        while self.next < until && !self.taker.is_stopped() {
            match self.consumer.poll(POLL) {
                Some(Ok(message)) => {
                    stall = Stall::begin();
                    ends = Ends::default();
                    self.consumer.context().0.reached();
                    let offset = message.offset();
                    let is_here = message.topic() == topic && message.partition() == partition;
                    if !is_here || offset < self.next {
                        continue;
                    }
                    if offset >= until {
                        self.reach(until);
                        break;
                    }
                    match self.taker.take(&message) {
                        Take::On => self.reach(offset + 1),
                        Take::Enough => self.reach(until),
                        Take::Stop => return Ok(()),
                    }
                }
                Some(Err(KafkaError::PartitionEOF(ended))) if ended == partition => {
                    let bounds = self.bounds()?;
                    match ends.said(bounds, until, clock::monotonic()) {
                        End::Read => self.reach(until),
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
    ) -> Result<(), ReadingError> {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                // Retention has moved the start of the log past the reader, or the log is another one.
                let (bounds, until) = (self.bounds()?, self.stretch.until);
                if ends.refused(bounds, self.next, until, clock::monotonic()) == End::Shrunk {
                    return Err(self.shrunk());
                }
                if bounds.0 <= self.next {
                    stall.check_again(error).map_err(lost)?;
                }
                self.again(bounds.0)
            }
            Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
                Err(offsets::no_right(self.stretch.topic).into())
            }
            Some(code) if failure::class_of(code, Doing::Consuming) == Class::Poison => {
                self.taker.damaged();
                Ok(())
            }
            _ => stall.check(Some(error)).map_err(lost),
        }
    }

    /// Up to here everything is done with.
    fn reach(&mut self, next: i64) {
        let offsets = u64::try_from(next - self.next).unwrap_or(0);
        self.next = next;
        self.taker.reached(next, offsets);
    }

    /// Reads on from where it stopped, or from the log's start if that is later.
    fn again(&mut self, low: i64) -> Result<(), ReadingError> {
        let low = low.min(self.stretch.until);
        if low > self.next {
            self.taker.lost(u64::try_from(low - self.next).unwrap_or(0));
            self.reach(low);
        }
        // An assignment that is taken back at once trips an assertion there.
        if self.next >= self.stretch.until {
            return Ok(());
        }
        self.assign()
    }

    fn assign(&self) -> Result<(), ReadingError> {
        let mut assignment = TopicPartitionList::new();
        let Stretch { topic, partition, .. } = self.stretch;
        assignment.add_partition_offset(topic, partition, Offset::Offset(self.next))?;
        Ok(self.consumer.assign(&assignment)?)
    }

    /// First offset and end of the log as of now.
    fn bounds(&self) -> Result<(i64, i64), ReadingError> {
        let deadline = clock::monotonic() + STALL_MAX;
        let Stretch { topic, partition, .. } = self.stretch;
        loop {
            match self.consumer.fetch_watermarks(topic, partition, REQUEST_MAX) {
                Ok(bounds) => return Ok(bounds),
                Err(error) if clock::monotonic() < deadline && !self.taker.is_stopped() => {
                    tracing::debug!(%error, "the log's bounds are not known yet");
                    let _ = self.consumer.poll(POLL);
                }
                Err(error) => return Err(lost(error)),
            }
        }
    }

    fn shrunk(&self) -> ReadingError {
        let Stretch { topic, partition, .. } = self.stretch;
        ReadingError::Shrunk { topic: topic.to_owned(), partition }
    }
}

fn lost(error: KafkaError) -> ReadingError {
    ReadingError::Lost { reason: error.to_string() }
}

/// What the client says about its connections, but for the group's name: nothing is done with it,
/// so no right to it is needed.
pub struct Quiet(ConnectionLog);

impl ClientContext for Quiet {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;
    fn generate_oauth_token(&self, settings: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.0.generate_oauth_token(settings)
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
