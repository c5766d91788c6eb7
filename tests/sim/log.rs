//! The partitions of the observations topic, in memory, with what a broker does to them:
//! log-append time, compaction, retention.

use std::sync::Arc;

use kubetell::limits::COMPACTION_LAG_MS;
use kubetell::terms::record::Marker;

use crate::rng::Rng;
use crate::setup::Observed;

#[derive(Debug, Clone)]
pub enum Content {
    Observed(Observed),
    Marker(Arc<Marker>),
    /// None of ours: a record that can't be decoded.
    Foreign,
}

#[derive(Debug, Clone)]
pub struct Stored {
    pub offset: i64,
    pub append_ms: i64,
    pub content: Content,
}

/// What compaction goes by. Foreign records have keys of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Term(usize),
    Marker,
    Foreign(i64),
}

impl Stored {
    fn key(&self) -> Key {
        match &self.content {
            Content::Observed(observed) => Key::Term(observed.term),
            Content::Marker(_) => Key::Marker,
            Content::Foreign => Key::Foreign(self.offset),
        }
    }
}

#[derive(Debug, Default)]
pub struct PartitionLog {
    pub start: i64,
    pub end: i64,
    records: Vec<Stored>,
    /// How far the leader's clock is off. A new leader has another.
    pub skew_ms: i64,
}

impl PartitionLog {
    /// The offset and the append time that the leader gives the record.
    pub fn append(&mut self, now_ms: i64, content: Content) -> (i64, i64) {
        let (offset, append_ms) = (self.end, now_ms + self.skew_ms);
        self.records.push(Stored { offset, append_ms, content });
        self.end += 1;
        (offset, append_ms)
    }

    /// The record at `offset` or the first one behind it.
    pub fn at_or_after(&self, offset: i64) -> Option<&Stored> {
        let at = self.records.partition_point(|record| record.offset < offset);
        self.records.get(at)
    }

    /// Removes what a later record of the same key supersedes, within a random number of segments.
    /// As Kafka does: only in front of the first record that is younger than
    /// `min.compaction.lag.ms`, and never in the active segment. Returns how many it removed.
    pub fn compact(&mut self, now_ms: i64, rng: &mut Rng) -> usize {
        let oldest = now_ms + self.skew_ms - COMPACTION_LAG_MS;
        let cleanable = self.records.iter().take_while(|record| record.append_ms < oldest).count();
        let cleanable = cleanable.min(self.records.len().saturating_sub(1));
        let cleaned = if rng.percent(60) { cleanable } else { rng.below(cleanable + 1) };
        let before = self.records.len();
        let mut at = 0;
        let keys: Vec<Key> = self.records[..cleaned].iter().map(Stored::key).collect();
        self.records.retain(|record| {
            at += 1;
            at > cleaned || !keys[at..].contains(&record.key())
        });
        before - self.records.len()
    }

    /// Deletes a random number of segments that are older than the retention. Returns how many
    /// records that were.
    pub fn expire(&mut self, now_ms: i64, retention_ms: i64, rng: &mut Rng) -> usize {
        let oldest = now_ms + self.skew_ms - retention_ms;
        let expired = self.records.iter().take_while(|record| record.append_ms < oldest).count();
        let deleted = if rng.percent(60) { expired } else { rng.below(expired + 1) };
        self.records.drain(..deleted);
        if deleted > 0 {
            self.start = self.records.first().map_or(self.end, |record| record.offset);
        }
        deleted
    }
}
