//! How much flows now: totals of the last seconds, and what they grow by.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::output::producer::OutputKind;
use crate::stats::Stats;
use crate::stats::half::HalfStats;

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
    /// Of them, those of the rules that look at one event, and those of new terms.
    pub alerts_of_detect: f64,
    pub alerts_of_first_seen: f64,
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
            alerts_of_detect: alerts_of(&stats.detect),
            alerts_of_first_seen: alerts_of(&stats.first_seen),
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
            alerts_of_detect: rate(self.alerts_of_detect, before.alerts_of_detect),
            alerts_of_first_seen: rate(self.alerts_of_first_seen, before.alerts_of_first_seen),
            dead_letters: rate(self.dead_letters, before.dead_letters),
        }
    }
}

/// Alerts of a half that were acknowledged.
fn alerts_of(half: &HalfStats) -> f64 {
    half.outputs[OutputKind::Alert as usize].acknowledged.snapshot().count() as f64
}

/// Totals at one moment.
#[derive(Debug)]
struct Sample {
    /// Milliseconds by the monotonic clock.
    at_ms: u64,
    flow: Flow,
    /// Records by source topic; there are as many as the configuration names.
    records: BTreeMap<Arc<str>, u64>,
}

/// The latest totals.
#[derive(Debug, Default)]
pub struct Rates(Mutex<VecDeque<Sample>>);

impl Rates {
    pub fn sample(&self, monotonic_ms: u64, stats: &Stats) {
        let sources = stats.sources.snapshot().into_iter();
        self.add(Sample {
            at_ms: monotonic_ms,
            flow: Flow::totals(stats),
            records: sources.map(|(topic, flow)| (topic, flow.records.get())).collect(),
        });
    }

    fn add(&self, sample: Sample) {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() >= SAMPLES_MAX {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    /// What flows in a second; nothing before there are two samples.
    pub fn per_second(&self) -> Flow {
        self.over(|before, now, seconds| now.flow.grown(before.flow, seconds)).unwrap_or_default()
    }

    /// Records that are read of a source topic in a second.
    pub fn records_per_second(&self, topic: &str) -> f64 {
        let of = |sample: &Sample| sample.records.get(topic).copied().unwrap_or(0) as f64;
        self.over(|before, now, seconds| (of(now) - of(before)) / seconds).unwrap_or_default()
    }

    fn over<T>(&self, grown: impl Fn(&Sample, &Sample, f64) -> T) -> Option<T> {
        let samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, now) = (samples.front()?, samples.back()?);
        let seconds = now.at_ms.saturating_sub(before.at_ms) as f64 / 1e3;
        (seconds > 0.0).then(|| grown(before, now, seconds))
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
            rates.add(Sample {
                at_ms: second * 1_000,
                flow: Flow { records, alerts: 3.0, ..Flow::default() },
                records: [("audit".into(), records as u64)].into(),
            });
        }
        let now = rates.per_second();
        assert_eq!((now.records, now.alerts), (20.0, 0.0));
        assert_eq!(rates.records_per_second("audit"), 20.0);
        assert_eq!(rates.records_per_second("another"), 0.0);
    }
}
