//! What is known of one half of the stream while it runs: whether its loop turns, what it is
//! assigned, how far it is, how its commits and its outputs fare.
//!
//! Written by the half's own threads, read by whoever asks. What a record changes is collected by
//! its thread and published here once in a while, so that no record costs a lock.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::client::ClientFigures;
use super::histogram::Histogram;
use super::{Counter, Gauge};
use crate::clock;

/// When a loop turned last.
#[derive(Debug, Default)]
pub struct Beat(AtomicU64);

impl Beat {
    pub fn turn(&self) {
        self.0.store(clock::monotonic_ms().max(1), Ordering::Relaxed);
    }
    /// Nothing is expected of the loop any more.
    pub fn rest(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
    /// Milliseconds since the last turn; `None` where none is expected.
    pub fn silent_ms(&self, now_ms: u64) -> Option<u64> {
        let turned = self.0.load(Ordering::Relaxed);
        (turned > 0).then(|| now_ms.saturating_sub(turned))
    }
}

/// A yes or no that others look at.
#[derive(Debug, Default)]
pub struct Flag(AtomicBool);

impl Flag {
    pub fn set(&self, value: bool) {
        self.0.store(value, Ordering::Relaxed);
    }
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How far a partition is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionFigures {
    pub topic: Arc<str>,
    pub partition: i32,
    /// One past the last record taken in.
    pub next: i64,
    /// The watermark: everything below it is done.
    pub done: i64,
    /// The last commit that is known to have succeeded.
    pub committed: i64,
    /// When what stands at the watermark was appended, milliseconds since the epoch, to within a
    /// few seconds; `None` before anything was read.
    pub done_append_ms: Option<i64>,
    /// Being taken over: not read yet.
    pub restoring: bool,
}

/// How often something stopped and for how long.
#[derive(Debug, Default)]
pub struct Pauses {
    now: Flag,
    /// When the present one began, by the monotonic clock.
    since_ms: AtomicU64,
    past_ms: Counter,
}

impl Pauses {
    pub fn set(&self, paused: bool) {
        if paused == self.now.get() {
            return;
        }
        let now = clock::monotonic_ms();
        if paused {
            self.since_ms.store(now, Ordering::Relaxed);
        } else {
            self.past_ms.add(now.saturating_sub(self.since_ms.load(Ordering::Relaxed)));
        }
        self.now.set(paused);
    }
    pub fn is_on(&self) -> bool {
        self.now.get()
    }
    /// Of all pauses, the present one included.
    pub fn total_ms(&self) -> u64 {
        let since = self.since_ms.load(Ordering::Relaxed);
        let present = if self.is_on() { clock::monotonic_ms().saturating_sub(since) } else { 0 };
        self.past_ms.get() + present
    }
}

/// How commits of offsets fare.
#[derive(Debug, Default)]
pub struct CommitFigures {
    /// How long the group's coordinator took to answer: a commit that waited for it, or the look-up
    /// of one that did not.
    pub answer: Histogram,
    pub asked: Counter,
    pub confirmed: Counter,
    pub moved_on: Counter,
    pub failed: Counter,
    pub refused: Counter,
}

/// Outputs of one kind.
#[derive(Debug, Default)]
pub struct OutputFigures {
    /// From handing an output to the client to its acknowledgement, refusals between included.
    pub acknowledged: Histogram,
    /// As they were sent, before compression.
    pub bytes: Counter,
}

#[derive(Debug, Default)]
pub struct HalfStats {
    /// This process runs the half.
    pub runs: Flag,
    /// The loop that polls.
    pub beat: Beat,
    /// The group has assigned partitions at least once, be it none.
    pub assigned: Flag,
    pub rebalances: Counter,
    /// No broker can be reached, as far as is known.
    pub lost: Flag,
    pub partitions: Mutex<Vec<PartitionFigures>>,
    pub pauses: Pauses,
    pub commits: CommitFigures,
    pub consumer: Arc<ClientFigures>,
    pub producer: Arc<ClientFigures>,
    /// By kind: alerts, observations, markers, dead letters.
    pub outputs: [OutputFigures; 4],
    /// Outputs that have not come back, and what they keep in memory.
    pub outstanding: Gauge,
    pub outstanding_bytes: Gauge,
    /// From the event's own time to the alert, and from the append of the record that raised it.
    pub event_to_alert: Histogram,
    pub append_to_alert: Histogram,
}

impl HalfStats {
    pub fn publish(&self, partitions: Vec<PartitionFigures>) {
        *self.partitions.lock().unwrap_or_else(PoisonError::into_inner) = partitions;
    }

    pub fn partitions(&self) -> Vec<PartitionFigures> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The group has answered: by a rebalance, or by what librdkafka says of its state.
    pub fn is_assigned(&self) -> bool {
        self.assigned.get() || self.consumer.joined()
    }
}

/// Most places of the log that are remembered of a partition.
const PLACES_MAX: usize = 64;

/// When what stands at a partition's watermark was appended: places of the log with their append
/// times, a few of them, so that a watermark that stands has an age.
#[derive(Debug, Default)]
pub struct Places(Vec<(i64, i64)>);

impl Places {
    /// The record below `next` was appended at `append_ms`.
    pub fn read(&mut self, next: i64, append_ms: i64) {
        if self.0.last().is_some_and(|(last, _)| *last >= next) {
            return;
        }
        if self.0.len() >= PLACES_MAX {
            // Every second one: the age of a watermark that stands for long needs no seconds.
            let mut number = 0;
            self.0.retain(|_| {
                number += 1;
                number % 2 == 1
            });
        }
        self.0.push((next, append_ms));
    }

    /// The append time at the watermark `done`, which never goes back.
    pub fn at(&mut self, done: i64) -> Option<i64> {
        let past = self.0.partition_point(|(next, _)| *next <= done);
        if past > 1 {
            self.0.drain(..past - 1);
        }
        self.0.first().map(|(_, append_ms)| *append_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watermark_is_as_old_as_the_last_place_at_or_below_it() {
        let mut places = Places::default();
        assert_eq!(places.at(5), None);
        for (next, append_ms) in [(10, 1_000), (20, 2_000), (20, 2_500), (30, 3_000)] {
            places.read(next, append_ms);
        }
        assert_eq!(places.at(4), Some(1_000), "what is below the first place is no younger");
        assert_eq!(places.at(25), Some(2_000));
        assert_eq!(places.at(30), Some(3_000));
        assert_eq!(places.at(99), Some(3_000));
    }

    #[test]
    fn a_watermark_that_stands_keeps_its_age_in_bounded_memory() {
        let mut places = Places::default();
        for next in 1..100_000 {
            places.read(next, next * 10);
        }
        assert_eq!(places.at(1), Some(10));
        assert!(places.0.len() <= PLACES_MAX);
        assert_eq!(places.at(100_000), Some(999_990), "the latest one is never thinned out");
    }

    #[test]
    fn a_loop_is_silent_since_its_last_turn_and_never_when_it_rests() {
        let beat = Beat::default();
        assert_eq!(beat.silent_ms(u64::MAX), None);
        beat.turn();
        let now = clock::monotonic_ms();
        assert!(beat.silent_ms(now + 5_000).unwrap() >= 5_000);
        beat.rest();
        assert_eq!(beat.silent_ms(u64::MAX), None);
    }
}
