//! What flowed, by where it came from.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Counter;

/// What was read of one source topic.
#[derive(Debug, Default)]
pub struct SourceFlow {
    /// Tombstones included.
    pub records: Counter,
    pub bytes: Counter,
    /// Records that the prefilter let go without parsing.
    pub prefiltered: Counter,
    pub tombstones: Counter,
}

/// What was read of all source topics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub records: u64,
    pub bytes: u64,
    pub prefiltered: u64,
    pub tombstones: u64,
}

/// By topic; there are as many as the configuration names.
#[derive(Debug, Default)]
pub struct Sources(Mutex<BTreeMap<Arc<str>, Arc<SourceFlow>>>);

impl Sources {
    pub fn of(&self, topic: &Arc<str>) -> Arc<SourceFlow> {
        let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(sources.entry(Arc::clone(topic)).or_default())
    }
    pub fn snapshot(&self) -> Vec<(Arc<str>, Arc<SourceFlow>)> {
        let sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sources.iter().map(|(topic, flow)| (Arc::clone(topic), Arc::clone(flow))).collect()
    }
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for flow in self.0.lock().unwrap_or_else(PoisonError::into_inner).values() {
            totals.records += flow.records.get();
            totals.bytes += flow.bytes.get();
            totals.prefiltered += flow.prefiltered.get();
            totals.tombstones += flow.tombstones.get();
        }
        totals
    }
}

/// Events by topic and wrapper.
#[derive(Debug, Default)]
pub struct Events(Mutex<BTreeMap<(Arc<str>, &'static str), u64>>);

impl Events {
    pub fn add(&self, topic: &Arc<str>, wrapper: &'static str, count: u64) {
        let mut events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *events.entry((Arc::clone(topic), wrapper)).or_default() += count;
    }
    pub fn snapshot(&self) -> BTreeMap<(Arc<str>, &'static str), u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// How far the takeover of a partition has read its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restore {
    pub from: i64,
    pub next: i64,
    pub until: i64,
}

/// Takeovers that read, by partition.
#[derive(Debug, Default)]
pub struct Restores(Mutex<BTreeMap<i32, Restore>>);

impl Restores {
    pub fn set(&self, partition: i32, restore: Restore) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(partition, restore);
    }
    pub fn ended(&self, partition: i32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&partition);
    }
    pub fn snapshot(&self) -> BTreeMap<i32, Restore> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Since when the versions of the rules' terms learn, as the latest of the partitions that are
/// owned has it: milliseconds since the epoch, by version. Replaced as a whole.
#[derive(Debug, Default)]
pub struct LearningStarts(Mutex<BTreeMap<String, i64>>);

impl LearningStarts {
    pub fn publish(&self, starts: BTreeMap<String, i64>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = starts;
    }
    pub fn snapshot(&self) -> BTreeMap<String, i64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
