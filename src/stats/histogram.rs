//! How long things took, counted in buckets that do not change.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets, in seconds: from an answer of a broker nearby to a backlog of a day.
/// What takes longer is counted in a last one without a bound.
pub const BOUNDS_SECONDS: [f64; 20] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    300.0, 1_800.0, 3_600.0, 21_600.0, 86_400.0,
];

/// Times by length. Adding takes no lock.
#[derive(Debug, Default)]
pub struct Histogram {
    /// Times within each bucket alone; the last ones are longer than any bound.
    counts: [AtomicU64; BOUNDS_SECONDS.len() + 1],
    sum_us: AtomicU64,
}

/// What a histogram held at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    /// Times that took at most as long as each bound; the last number counts all of them.
    pub at_most: [u64; BOUNDS_SECONDS.len() + 1],
    pub sum_seconds: f64,
}

impl Distribution {
    pub fn count(&self) -> u64 {
        self.at_most[BOUNDS_SECONDS.len()]
    }
}

impl Histogram {
    pub fn add(&self, time: Duration) {
        let seconds = time.as_secs_f64();
        let bucket = BOUNDS_SECONDS.partition_point(|bound| *bound < seconds);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// Clocks of two machines differ: a time below zero counts as none.
    pub fn add_ms(&self, milliseconds: i64) {
        self.add(Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0)));
    }

    pub fn snapshot(&self) -> Distribution {
        let mut sum = 0;
        let at_most = std::array::from_fn(|bucket| {
            sum += self.counts[bucket].load(Ordering::Relaxed);
            sum
        });
        Distribution { at_most, sum_seconds: self.sum_us.load(Ordering::Relaxed) as f64 / 1e6 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_counts_in_its_bucket_and_in_all_above() {
        let times = Histogram::default();
        for ms in [-5, 1, 2, 1_000, 90_000_000] {
            times.add_ms(ms);
        }
        let counted = times.snapshot();
        let at_most = |bound: f64| {
            counted.at_most[BOUNDS_SECONDS.iter().position(|one| *one == bound).unwrap()]
        };
        assert_eq!((at_most(0.001), at_most(0.0025), at_most(0.5)), (2, 3, 3));
        assert_eq!((at_most(1.0), at_most(86_400.0), counted.count()), (4, 4, 5));
        assert_eq!(counted.sum_seconds, 90_001.003);
        assert!(BOUNDS_SECONDS.is_sorted());
    }
}
