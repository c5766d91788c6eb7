//! A reader: takes one partition after the other, reads what is wanted of it and hands on what may
//! concern a rule.
//!
//! Owns what of a partition is wanted. How it is read, and when it is done, is [`stretch`]'s affair.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender};
use rdkafka::message::{BorrowedMessage, Message};

use super::examine::Examiner;
use super::hits::Place;
use super::range::{self, Part};
use super::{BacktestOptions, Progress, Told};
use crate::app::reading::ReadingError;
use crate::app::stretch::{self, Stretch, Take, Taker};
use crate::config::{ClusterFrom, Config};
use crate::ingest::headers;

/// So many records on end that are too late say that the range is read.
const LATE_RECORDS: usize = 1_000;
/// A batch goes to the workers when it holds this much.
const BATCH_MAX_BYTES: usize = 512 * 1024;
const BATCH_MAX_RECORDS: usize = 1_024;

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
    ) -> Result<(), ReadingError> {
        let consumer = stretch::consumer(self.config, "backtest", self.read_ahead_bytes)?;
        for part in parts {
            if self.is_stopped() {
                return Ok(());
            }
            let mut reading = Reading::begin(self, part);
            let wanted = Stretch {
                topic: reading.topic,
                partition: part.partition,
                from: part.start,
                until: part.until,
            };
            let result = stretch::read(&consumer, wanted, &mut reading);
            let stopped = reading.flush().is_err();
            let read = reading.read;
            // What was read of it counts, also when the rest can't be.
            if told.send(Told::Read(read)).is_err() || stopped {
                return Ok(());
            }
            result?;
        }
        Ok(())
    }

    fn is_stopped(&self) -> bool {
        self.stop.iter().any(|stop| stop.load(Ordering::Relaxed))
    }
}

/// One partition while it is read.
struct Reading<'a> {
    reader: &'a Reader<'a>,
    part: &'a Part,
    topic: &'a str,
    /// Records on end that are too late.
    late: usize,
    batch: Batch,
    read: PartRead,
}

impl Taker for Reading<'_> {
    fn take(&mut self, message: &BorrowedMessage<'_>) -> Take {
        if self.record(message).is_err() {
            return Take::Stop;
        }
        if self.is_past_the_range(message) { Take::Enough } else { Take::On }
    }

    fn reached(&mut self, next: i64, offsets: u64) {
        self.reader.progress.done.fetch_add(offsets, Ordering::Relaxed);
        self.read.reached = next;
    }

    fn damaged(&mut self) {
        self.read.damaged += 1;
    }

    fn lost(&mut self, offsets: u64) {
        self.read.lost += offsets;
    }

    fn is_stopped(&self) -> bool {
        self.reader.is_stopped()
    }
}

impl<'a> Reading<'a> {
    fn begin(reader: &'a Reader<'a>, part: &'a Part) -> Self {
        let topics = &reader.config.source.topics;
        let (topic, partition) = (part.topic, part.partition);
        Reading {
            reader,
            part,
            topic: topics.get(usize::from(topic)).map_or("", String::as_str),
            late: 0,
            batch: Batch::default(),
            read: PartRead { topic, partition, reached: part.start, ..PartRead::default() },
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

    /// Looks at a record where the client holds it; copies it only when it may concern a rule.
    fn record(&mut self, message: &BorrowedMessage<'_>) -> Result<(), Stopped> {
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
