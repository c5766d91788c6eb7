//! How much flows now: totals of the last seconds, and what they grow by.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::stats::Stats;

/// Samples that are kept, one a second: what "now" means.
const SAMPLES_MAX: usize = 16;

/// Totals since the start, or what they grow by in a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Flow {
    pub records: f64,
    pub bytes: f64,
    pub prefiltered: f64,
    pub events: f64,
    pub observations: f64,
    pub folded: f64,
    pub alerts: f64,
    pub dead_letters: f64,
}

impl Flow {
    pub fn totals(stats: &Stats) -> Flow {
        let read = stats.sources.totals();
        Flow {
            records: read.records as f64,
            bytes: read.bytes as f64,
            prefiltered: read.prefiltered as f64,
            events: stats.events.get() as f64,
            observations: stats.observations.get() as f64,
            folded: stats.terms_folded.get() as f64,
            alerts: stats.alerts.snapshot().values().sum::<u64>() as f64,
            dead_letters: stats.dead_letters.get() as f64,
        }
    }

    fn grown(self, before: Flow, seconds: f64) -> Flow {
        let rate = |now: f64, before: f64| (now - before) / seconds;
        Flow {
            records: rate(self.records, before.records),
            bytes: rate(self.bytes, before.bytes),
            prefiltered: rate(self.prefiltered, before.prefiltered),
            events: rate(self.events, before.events),
            observations: rate(self.observations, before.observations),
            folded: rate(self.folded, before.folded),
            alerts: rate(self.alerts, before.alerts),
            dead_letters: rate(self.dead_letters, before.dead_letters),
        }
    }
}

/// The latest totals, each with its time in milliseconds by the monotonic clock.
#[derive(Debug, Default)]
pub struct Rates(Mutex<VecDeque<(u64, Flow)>>);

impl Rates {
    pub fn sample(&self, monotonic_ms: u64, totals: Flow) {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() >= SAMPLES_MAX {
            samples.pop_front();
        }
        samples.push_back((monotonic_ms, totals));
    }

    /// What flows in a second; nothing before there are two samples.
    pub fn per_second(&self) -> Flow {
        let samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (samples.front(), samples.back()) {
            (Some((begun, before)), Some((ended, now))) if ended > begun => {
                now.grown(*before, (ended - begun) as f64 / 1e3)
            }
            _ => Flow::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_what_the_last_seconds_grew_by() {
        let rates = Rates::default();
        assert_eq!(rates.per_second(), Flow::default());
        for second in 0..100_u64 {
            let records = if second < 50 { 0.0 } else { (second - 50) as f64 * 20.0 };
            rates.sample(second * 1_000, Flow { records, alerts: 3.0, ..Flow::default() });
        }
        let now = rates.per_second();
        assert_eq!((now.records, now.alerts), (20.0, 0.0));
    }
}
