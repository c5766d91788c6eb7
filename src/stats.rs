//! Counters of what flowed: every drop has one, with its reason.
//!
//! Shared between threads; reading them never blocks the stream. An export format comes on top.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// A counter that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A value that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// Counters by a label out of a small, fixed set (rule ids, reasons, wrappers).
#[derive(Debug, Default)]
pub struct Labelled(Mutex<BTreeMap<String, u64>>);

impl Labelled {
    pub fn add(&self, label: &str, count: u64) {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = map.get_mut(label) {
            *value += count;
        } else {
            map.insert(label.to_owned(), count);
        }
    }
    pub fn snapshot(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Times in milliseconds, the latest of them, for percentiles.
#[derive(Debug, Default)]
pub struct Latencies(Mutex<Ring>);

#[derive(Debug, Default)]
struct Ring {
    values: Vec<u32>,
    next: usize,
}

const LATENCIES_KEPT: usize = 65_536;

impl Latencies {
    pub fn add(&self, milliseconds: i64) {
        let value = u32::try_from(milliseconds.max(0)).unwrap_or(u32::MAX);
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ring.values.len() < LATENCIES_KEPT {
            ring.values.push(value);
        } else {
            let at = ring.next;
            ring.values[at] = value;
            ring.next = (at + 1) % LATENCIES_KEPT;
        }
    }

    /// The values at the given shares (0.5 is the median), `None` when there are none.
    pub fn percentiles<const N: usize>(&self, shares: [f64; N]) -> Option<[u32; N]> {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner).values.clone();
        if values.is_empty() {
            return None;
        }
        values.sort_unstable();
        let last = values.len() - 1;
        Some(shares.map(|share| {
            let at = (share * last as f64).round();
            values[(at as usize).min(last)]
        }))
    }
}

#[derive(Debug, Default)]
pub struct Stats {
    /// Records read from the source topics, tombstones included.
    pub records: Counter,
    pub bytes: Counter,
    pub tombstones: Counter,
    /// Records that the prefilter let go without parsing.
    pub prefiltered: Counter,
    /// 1 while records are under way in the detect half: in the pool, or sent and not acknowledged.
    pub under_way: Gauge,
    /// Audit events that were parsed.
    pub events: Counter,
    pub events_by_wrapper: Labelled,
    /// Items that are no audit events and not meant to be (control messages, other log kinds).
    pub skipped: Labelled,
    /// Items that could not be read, by error class.
    pub unreadable: Labelled,
    pub dead_letters: Counter,
    /// Alerts acknowledged by the brokers, by rule; a revision counts again in `revisions`.
    pub alerts: Labelled,
    pub revisions: Counter,
    /// Later stages of an alerted event that told nothing new.
    pub repeats: Counter,
    pub observations: Counter,
    /// Observations that were not sent because one of their term was a moment ago.
    pub observations_spared: Counter,
    /// Source addresses over the limit of one event.
    pub terms_cut: Counter,
    pub terms_folded: Counter,
    /// First sightings that stayed silent because their rule is learning.
    pub learned: Counter,
    /// Observations that could not be decoded.
    pub poison: Counter,
    /// Offsets that were gone from the log before they were read.
    pub gap: Counter,
    /// From the event's own time to the alert's acknowledgement, in milliseconds.
    pub event_to_alert: Latencies,
    /// From the record's append to the alert's acknowledgement, in milliseconds.
    pub append_to_alert: Latencies,
}
