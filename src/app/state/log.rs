//! The observations log as it lies on the brokers, read from its beginning to its end.
//!
//! Owns the reading consumer, which joins no group. A log that goes on growing is read up to
//! where it ended when the command began.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::StateError;
use crate::app::stall::Stall;
use crate::clock;
use crate::config::Config;
use crate::ingest::kafka::{ConnectionLog, group_config};
use crate::ingest::oauth;
use crate::terms::ends::{End, Ends};
use crate::terms::record::{self, DecodeError, Record};
use crate::topics::{CONNECT_MAX, Problem, Topics};

const REQUEST_MAX: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(100);
/// What the client may hold that is not looked at yet, unless the operator says otherwise.
const READ_AHEAD: [(&str, &str); 3] = [
    ("fetch.message.max.bytes", "524288"),
    ("queued.min.messages", "10000"),
    ("queued.max.messages.kbytes", "16384"),
];

/// Where a partition's log begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub start: i64,
    /// One past the last record.
    pub end: i64,
}

/// A record of the log.
pub struct Logged {
    pub offset: i64,
    /// Offsets up to this one, over all partitions in their order.
    pub read: u64,
    /// Milliseconds since the epoch.
    pub append_ms: i64,
    /// Of key and value.
    pub bytes: u64,
    pub record: Result<Record, DecodeError>,
}

impl Bounds {
    pub fn length(&self) -> u64 {
        u64::try_from(self.end - self.start).unwrap_or(0)
    }
}

pub struct ObservationsLog {
    topic: String,
    /// By number of the partition.
    pub bounds: Vec<Bounds>,
    /// What is wrong with the topic's settings.
    pub problems: Vec<Problem>,
    reader: BaseConsumer<ConnectionLog>,
}

impl ObservationsLog {
    /// Waits for a broker as `run` does.
    ///
    /// # Errors
    /// No broker answers, or the topic is missing or can't be used.
    pub fn open(config: &Config, longest_window_ms: i64) -> Result<ObservationsLog, StateError> {
        let topics = Topics::new(config)?;
        let report = topics.survey_observations(longest_window_ms)?;
        let Some(partitions) = report.partitions else {
            return Err(crate::topics::TopicsError::Problems(report.problems).into());
        };
        // Assigning needs a group's name; without a subscription it is not joined.
        let mut client = group_config(topics.client_config(), &config.terms_group_id(), "error");
        client.set("enable.partition.eof", "true");
        for (key, value) in READ_AHEAD {
            if topics.client_config().get(key).is_none() {
                client.set(key, value);
            }
        }
        let reader: BaseConsumer<ConnectionLog> =
            client.create_with_context(ConnectionLog::new("state reader"))?;
        oauth::sign_in(reader.client(), &client, oauth::REQUEST_MAX)?;
        let mut log = ObservationsLog {
            topic: config.observations.topic.clone(),
            bounds: Vec::new(),
            problems: report.problems,
            reader,
        };
        for partition in 0..i32::try_from(partitions).unwrap_or(i32::MAX) {
            let bounds = log.ask_bounds(partition)?;
            log.bounds.push(bounds);
        }
        Ok(log)
    }

    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Number of partitions.
    pub fn partitions(&self) -> u32 {
        u32::try_from(self.bounds.len()).unwrap_or(u32::MAX)
    }

    /// How many offsets there are to read in all.
    pub fn length(&self) -> u64 {
        self.bounds.iter().map(Bounds::length).sum()
    }

    /// How a record is called in messages.
    pub fn place(&self, partition: i32, offset: i64) -> String {
        format!("{}, partition {partition}, offset {offset}", self.topic)
    }

    fn ask_bounds(&self, partition: i32) -> Result<Bounds, StateError> {
        let deadline = clock::monotonic() + CONNECT_MAX;
        loop {
            match self.reader.fetch_watermarks(&self.topic, partition, REQUEST_MAX) {
                Ok((start, end)) => return Ok(Bounds { start, end }),
                Err(error) if refused(&error) => return Err(self.no_right()),
                // A partition may be between two leaders.
                Err(error) if clock::monotonic() < deadline => {
                    tracing::debug!(partition, %error, "the log's bounds are not known yet");
                    let _ = self.reader.poll(POLL);
                }
                Err(error) => return Err(self.lost(&error)),
            }
        }
    }

    /// Reads a partition up to where it ended at the beginning.
    pub fn read(
        &self,
        partition: i32,
        each: &mut dyn FnMut(Logged) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let at = usize::try_from(partition).unwrap_or(usize::MAX);
        let Some(bounds) = self.bounds.get(at).filter(|bounds| bounds.length() > 0) else {
            return Ok(());
        };
        let before = self.bounds[..at].iter().map(Bounds::length).sum();
        let result = self.read_range(partition, *bounds, before, each);
        self.reader.unassign()?;
        result
    }

    fn read_range(
        &self,
        partition: i32,
        bounds: Bounds,
        before: u64,
        each: &mut dyn FnMut(Logged) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let mut next = bounds.start;
        self.assign(partition, next)?;
        let mut stall = Stall::begin();
        let mut ends = Ends::default();
        while next < bounds.end {
            match self.reader.poll(POLL) {
                Some(Ok(message)) => {
                    self.reader.context().reached();
                    stall = Stall::begin();
                    ends = Ends::default();
                    let offset = message.offset();
                    if message.partition() != partition || offset < next {
                        continue;
                    }
                    if offset >= bounds.end {
                        break;
                    }
                    let (key, value) = (message.key(), message.payload());
                    each(Logged {
                        offset,
                        read: before + Bounds { start: bounds.start, end: offset + 1 }.length(),
                        append_ms: message.timestamp().to_millis().unwrap_or(0),
                        bytes: (key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len)) as u64,
                        record: record::decode(key, value),
                    })?;
                    next = offset + 1;
                }
                Some(Err(KafkaError::PartitionEOF(ended))) if ended == partition => {
                    let now = self.ask_bounds(partition)?;
                    match ends.said((now.start, now.end), bounds.end, clock::monotonic()) {
                        End::Read => break,
                        End::Shrunk => return Err(self.shrunk(partition)),
                        End::NotYet => {
                            next = next.max(now.start);
                            self.assign(partition, next)?;
                        }
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) | None => {
                    stall.check(None).map_err(|error| self.lost(&error))?;
                }
                Some(Err(error)) if refused(&error) => return Err(self.no_right()),
                Some(Err(
                    error @ KafkaError::MessageConsumption(
                        RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange,
                    ),
                )) => {
                    // Retention has moved the start of the log past the reader, or the log is
                    // another one.
                    let now = self.ask_bounds(partition)?;
                    let (log, at) = ((now.start, now.end), clock::monotonic());
                    if ends.refused(log, next, bounds.end, at) == End::Shrunk {
                        return Err(self.shrunk(partition));
                    }
                    if now.start <= next {
                        stall.check_again(error).map_err(|error| self.lost(&error))?;
                    }
                    next = next.max(now.start);
                    self.assign(partition, next)?;
                }
                Some(Err(error)) => {
                    stall.check(Some(error)).map_err(|error| self.lost(&error))?;
                }
            }
        }
        Ok(())
    }

    fn assign(&self, partition: i32, from: i64) -> Result<(), KafkaError> {
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(&self.topic, partition, Offset::Offset(from))?;
        self.reader.assign(&assignment)
    }

    fn lost(&self, error: &KafkaError) -> StateError {
        StateError::Lost { doing: "reading the log", reason: error.to_string() }
    }

    fn shrunk(&self, partition: i32) -> StateError {
        StateError::Shrunk { topic: self.topic.clone(), partition }
    }

    fn no_right(&self) -> StateError {
        StateError::configuration(
            format!("no right to read the observations topic `{}`", self.topic),
            "grant the principal of `kafka.properties` the operation `Read` on it".to_owned(),
        )
    }
}

fn refused(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::TopicAuthorizationFailed)
}
