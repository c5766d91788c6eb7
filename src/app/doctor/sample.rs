//! A sample of a topic: its newest records, spread over its partitions.
//!
//! Owns how many records of which partition are read. Reads without a group, commits nothing,
//! writes nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::message::{BorrowedMessage, Message};

use super::tally::{Record, Tally};
use super::{DoctorOptions, Watcher};
use crate::app::offsets::{self, Index, Place};
use crate::app::reading::ReadingError;
use crate::app::stretch::{self, Stretch, Take, Taker};
use crate::clock;
use crate::config::{ClusterFrom, Config};
use crate::ingest::envelope::{self, Wrapper};
use crate::ingest::headers;
use crate::ingest::prefilter::{Prefilter, Verdict};

/// What the reader may fetch ahead: it reads one partition after the other.
const READ_AHEAD_BYTES: usize = 16 * 1024 * 1024;

/// What of a partition belongs to the sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    pub topic: u16,
    pub partition: i32,
    pub from: i64,
    /// One past the last offset.
    pub until: i64,
}

impl Part {
    fn length(&self) -> u64 {
        u64::try_from(self.until.saturating_sub(self.from)).unwrap_or(0)
    }
}

/// Every partition of the source topics, in their order, and what of it is read.
pub fn find(config: &Config, options: &DoctorOptions) -> Result<Vec<Part>, ReadingError> {
    let index = Index::new(config, offsets::partitions(config)?)?;
    let lows = index.ask(rdkafka::Offset::Beginning)?;
    let highs = index.ask(rdkafka::Offset::End)?;
    let from = options.from_ms.map(|ms| index.ask(rdkafka::Offset::Offset(ms.max(0))));
    let from = from.transpose()?;
    let mut topics: BTreeMap<u16, Vec<Part>> = BTreeMap::new();
    for &(topic, partition) in &index.partitions {
        let at = |offsets: &offsets::Offsets, place: Place| offsets.get(&place).copied().flatten();
        let place = (topic, partition);
        let high = at(&highs, place).unwrap_or(0);
        let low = at(&lows, place).unwrap_or(0).min(high);
        let first = match &from {
            Some(from) => at(from, place).unwrap_or(high).clamp(low, high),
            None => low,
        };
        let part = Part { topic, partition, from: first, until: high };
        topics.entry(topic).or_default().push(part);
    }
    let sampled = topics.into_values().flat_map(|parts| newest(parts, options.sample));
    Ok(sampled.collect())
}

/// The newest offsets of the partitions of one topic, so many in all: each has an even share, and
/// what one does not have the others have.
fn newest(mut parts: Vec<Part>, wanted: u64) -> Vec<Part> {
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|at| parts.get(*at).map_or(0, Part::length));
    let (mut left, mut others) = (wanted, order.len() as u64);
    for at in order {
        let Some(part) = parts.get_mut(at) else { continue };
        let share = left.div_ceil(others.max(1)).min(part.length());
        part.from = part.until.saturating_sub_unsigned(share);
        left -= share.min(left);
        others -= 1;
    }
    parts
}

/// The records of all of `parts`, for whoever watches.
pub fn total(parts: &[Part]) -> u64 {
    parts.iter().map(Part::length).sum()
}

/// Reads the parts of one topic.
pub struct Reader<'a> {
    pub config: &'a Config,
    pub prefilter: &'a Prefilter,
    pub wrapper: Option<Wrapper>,
    pub stop: &'a AtomicBool,
    /// Offsets that are done with, of so many.
    pub done: u64,
    pub total: u64,
    pub records: u64,
}

impl Reader<'_> {
    /// What was read by the time of an error counts.
    pub fn topic(
        &mut self,
        parts: &[Part],
        tally: &mut Tally,
        watcher: &mut dyn Watcher,
    ) -> Result<(), ReadingError> {
        let consumer = stretch::consumer(self.config, "doctor", READ_AHEAD_BYTES)?;
        for part in parts {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            let topic = self.config.source.topics.get(usize::from(part.topic));
            let topic = topic.map_or("", String::as_str);
            let Part { partition, from, until, .. } = *part;
            let mut taking = Taking { reader: self, topic, partition, tally, watcher };
            stretch::read(&consumer, Stretch { topic, partition, from, until }, &mut taking)?;
        }
        Ok(())
    }
}

struct Taking<'t, 'a> {
    reader: &'t mut Reader<'a>,
    topic: &'t str,
    partition: i32,
    tally: &'t mut Tally,
    watcher: &'t mut dyn Watcher,
}

impl Taking<'_, '_> {
    /// Whether the configuration looks for the cluster's name in the record, in vain.
    fn lacks_cluster(&self, message: &BorrowedMessage<'_>) -> bool {
        match &self.reader.config.source.cluster_from {
            ClusterFrom::Header(name) => {
                headers::text(&headers::read(message).unwrap_or_default(), name).is_none()
            }
            ClusterFrom::Field(pointer) => message
                .payload()
                .is_some_and(|payload| envelope::field_at(payload, pointer).is_none()),
            ClusterFrom::None | ClusterFrom::Topic => false,
        }
    }
}

impl Taker for Taking<'_, '_> {
    fn take(&mut self, message: &BorrowedMessage<'_>) -> Take {
        let payload = message.payload();
        let (topic, partition, offset) = (self.topic, self.partition, message.offset());
        let record = Record {
            payload,
            record_ms: message.timestamp().to_millis().filter(|time| *time >= 0),
            now_ms: clock::now_ms(),
            partition: usize::try_from(partition).ok(),
            concerned: payload.is_some_and(|it| self.reader.prefilter.verdict(it) != Verdict::Drop),
            lacks_cluster: self.lacks_cluster(message),
            place: &|| format!("{topic}/{partition}@{offset}"),
        };
        self.tally.record(&record, self.reader.wrapper);
        self.reader.records += 1;
        Take::On
    }

    fn reached(&mut self, _: i64, offsets: u64) {
        let reader = &mut self.reader;
        reader.done += offsets;
        self.watcher.at(reader.done, Some(reader.total), reader.records);
    }

    fn damaged(&mut self) {
        self.tally.damaged += 1;
    }

    fn lost(&mut self, offsets: u64) {
        self.tally.lost += offsets;
    }

    fn is_stopped(&self) -> bool {
        self.reader.stop.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_spread_over_the_partitions_and_what_one_lacks_others_have() {
        let check = |logs: &[(i64, i64)], wanted: u64, expected: &[(i64, i64)]| {
            let parts = (0..).zip(logs).map(|(partition, (from, until))| Part {
                topic: 0,
                partition,
                from: *from,
                until: *until,
            });
            let found = newest(parts.collect(), wanted);
            let found: Vec<(i64, i64)> = found.iter().map(|part| (part.from, part.until)).collect();
            assert_eq!(found, expected, "{logs:?} {wanted}");
        };
        check(&[(0, 100), (0, 100)], 20, &[(90, 100), (90, 100)]);
        // Never less than was asked for where there is as much.
        check(&[(0, 100), (0, 100)], 21, &[(89, 100), (90, 100)]);
        check(&[(50, 53), (0, 100), (7, 7)], 20, &[(50, 53), (83, 100), (7, 7)]);
        check(&[(0, 5), (10, 12)], 1_000, &[(0, 5), (10, 12)]);
        check(&[(0, 5)], 0, &[(5, 5)]);
        check(&[], 10, &[]);
    }
}
