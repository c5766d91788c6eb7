//! The figures as they are at one moment, put together from what the threads publish. Metrics,
//! health and status are all made of this, so that they say the same.

use crate::admin::process::Process;
use crate::admin::{Facts, Watched};
use crate::clock;
use crate::stats::client::Figures;
use crate::stats::half::HalfStats;
use crate::stats::{Half, Stats};

/// Most partitions of a half that are told apart; of the others only the sums are.
pub const PARTITIONS_MAX: usize = 1_000;

/// How far a partition is.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    pub topic: String,
    pub partition: i32,
    /// One past the last record read.
    pub next: i64,
    /// The watermark: everything below it is done.
    pub done: i64,
    pub committed: i64,
    /// Where the log ends for a reader; `None` before librdkafka has told.
    pub end: Option<i64>,
    /// Records that are not done.
    pub lag: Option<u64>,
    /// How long ago what stands at the watermark was appended; 0 where nothing is left to do.
    pub age_seconds: Option<f64>,
    pub restoring: bool,
}

pub struct HalfSnapshot<'s> {
    pub half: Half,
    pub stats: &'s HalfStats,
    /// In order; at most [`PARTITIONS_MAX`].
    pub places: Vec<Place>,
    /// Partitions beyond them, with the sum of their lags and the largest of their ages.
    pub others: Others,
    pub assigned_partitions: usize,
    pub consumer: Option<Figures>,
    pub producer: Option<Figures>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Others {
    pub partitions: usize,
    pub lag: u64,
    pub age_seconds: f64,
}

pub struct Snapshot<'s> {
    pub stats: &'s Stats,
    pub facts: &'s Facts,
    /// The halves that run.
    pub halves: Vec<HalfSnapshot<'s>>,
    pub process: Process,
    /// Milliseconds since the epoch.
    pub now_ms: i64,
    /// Milliseconds by the monotonic clock.
    pub monotonic_ms: u64,
}

impl Snapshot<'_> {
    pub fn take(watched: &Watched) -> Snapshot<'_> {
        let now_ms = clock::now_ms();
        let halves = watched.stats.halves();
        Snapshot {
            stats: &watched.stats,
            facts: &watched.facts,
            halves: halves.map(|(half, stats)| HalfSnapshot::take(half, stats, now_ms)).collect(),
            process: Process::now(),
            now_ms,
            monotonic_ms: clock::monotonic_ms(),
        }
    }
}

impl HalfSnapshot<'_> {
    fn take(half: Half, stats: &HalfStats, now_ms: i64) -> HalfSnapshot<'_> {
        let consumer = stats.consumer.get();
        let mut published = stats.partitions();
        published.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        let assigned_partitions = published.len();
        let mut places = Vec::new();
        let mut others = Others::default();
        for one in published {
            let end = consumer.as_ref().and_then(|known| known.end(&one.topic, one.partition));
            // What was read is there, whatever was told of the end before.
            let end = end.map(|end| end.max(one.next)).filter(|_| !one.restoring);
            let lag = end.map(|end| u64::try_from(end - one.done).unwrap_or(0));
            let since = one.done_append_ms.map(|append_ms| (now_ms - append_ms).max(0));
            let age_seconds = match lag {
                Some(0) => Some(0.0),
                Some(_) => since.map(|ms| ms as f64 / 1e3),
                None => None,
            };
            if places.len() < PARTITIONS_MAX {
                places.push(Place {
                    topic: one.topic.to_string(),
                    partition: one.partition,
                    next: one.next,
                    done: one.done,
                    committed: one.committed,
                    end,
                    lag,
                    age_seconds,
                    restoring: one.restoring,
                });
            } else {
                others.partitions += 1;
                others.lag += lag.unwrap_or(0);
                others.age_seconds = others.age_seconds.max(age_seconds.unwrap_or(0.0));
            }
        }
        let producer = stats.producer.get();
        HalfSnapshot { half, stats, places, others, assigned_partitions, consumer, producer }
    }

    /// Records that are not done, of all partitions whose end is known.
    pub fn lag(&self) -> u64 {
        self.places.iter().filter_map(|place| place.lag).sum::<u64>() + self.others.lag
    }

    /// Partitions that are being taken over.
    pub fn restoring(&self) -> usize {
        self.places.iter().filter(|place| place.restoring).count()
    }

    /// The oldest of what is not done, seconds.
    pub fn age_seconds(&self) -> f64 {
        let ages = self.places.iter().filter_map(|place| place.age_seconds);
        ages.fold(self.others.age_seconds, f64::max)
    }
}

/// A version of a new-terms rule that has begun to learn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learning {
    /// Names the rule and the version of its terms.
    pub terms_version: String,
    /// Until when the last of the partitions that are owned learns, milliseconds since the epoch.
    pub until_ms: i64,
    pub learns: bool,
}

impl Snapshot<'_> {
    pub fn learning(&self) -> impl Iterator<Item = Learning> {
        let (learning_ms, now_ms) = (self.facts.learning_ms, self.now_ms);
        self.stats.learning_starts.snapshot().into_iter().map(move |(terms_version, start)| {
            let until_ms = start.saturating_add(learning_ms);
            Learning { terms_version, until_ms, learns: learning_ms > 0 && until_ms > now_ms }
        })
    }

    pub fn restoring_partitions(&self) -> usize {
        self.halves.iter().flat_map(|half| &half.places).filter(|place| place.restoring).count()
    }
}
