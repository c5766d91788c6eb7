//! The fold for `scan`: the same function and the same store, without a log.
//!
//! A scan has no append times; the running maximum of the event times takes their place. Its state
//! is one partition, whose offsets are counted.

use crate::alert::FirstSeen;
use crate::terms::fold::{self, Batch, Verdict};
use crate::terms::observation::{Observation, Sighting};
use crate::terms::record::{self, HASH_VERSION, Marker, Record};
use crate::terms::store::{Store, StoreError};

/// Observations folded into one write.
const BATCH_RECORDS: usize = 1_000;
const PARTITION: i32 = 0;
/// Nobody else writes a scan's state: its directory is locked.
const EPOCH: u64 = 1;

pub struct LocalFold<'s> {
    store: &'s dyn Store,
    batch: Batch,
}

/// What an observation means to a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalVerdict {
    Nothing,
    /// A new term while its rule was learning.
    Learned,
    /// A new term that would raise an alert if it were no history.
    History,
    Alert(FirstSeen),
}

impl<'s> LocalFold<'s> {
    /// Goes on where the store's state ended.
    pub fn new(store: &'s dyn Store) -> Result<Self, StoreError> {
        store.begin(PARTITION, EPOCH);
        let state = store.load(PARTITION)?.unwrap_or_default();
        Ok(LocalFold { store, batch: Batch { state, ..Batch::default() } })
    }

    /// Highest time folded so far, milliseconds since the epoch; 0 in an empty state.
    pub fn time_ms(&self) -> i64 {
        self.batch.state.last_append_ms
    }

    /// Folds one observation at time `time_ms`, milliseconds since the epoch. A time before the
    /// highest one folded so far counts as that: a later scan may read older files.
    pub fn observe(
        &mut self,
        observation: &Observation,
        time_ms: i64,
    ) -> Result<LocalVerdict, StoreError> {
        let time_ms = time_ms.max(self.batch.state.last_append_ms);
        // Learning begins with a rule's first observation. In the log its owner writes that down
        // as a marker before the observation is folded.
        let marker = self.batch.state.marker.get_or_insert_with(|| Marker {
            log_id: "scan".to_owned(),
            partitions: 1,
            hash_version: HASH_VERSION,
            learning_starts: std::collections::BTreeMap::new(),
        });
        marker.learning_starts.entry(observation.terms_version.clone()).or_insert(time_ms);
        let sighting = Sighting::of(observation);
        let is_learning = fold::is_learning(&self.batch.state, time_ms, &sighting);
        let record = Record::Observation {
            key: record::key(observation),
            sighting,
            // The caller has the observation.
            value: Vec::new(),
        };
        let store = self.store;
        let offset = self.batch.state.next;
        let decision = fold::fold(&mut self.batch, offset, time_ms, &record, |key| {
            store.entry(PARTITION, key)
        })?;
        if self.batch.entries.len() >= BATCH_RECORDS {
            self.save()?;
        }
        Ok(match decision.verdict {
            Verdict::Nothing => LocalVerdict::Nothing,
            Verdict::Silent if observation.history && !is_learning => LocalVerdict::History,
            Verdict::Silent => LocalVerdict::Learned,
            Verdict::New | Verdict::Revision => LocalVerdict::Alert(FirstSeen {
                first_event_id: decision.first_event_id.unwrap_or_default(),
                is_revision: decision.verdict == Verdict::Revision,
            }),
        })
    }

    /// Writes what is not yet in the store.
    pub fn save(&mut self) -> Result<(), StoreError> {
        self.store.apply(PARTITION, EPOCH, &self.batch)?;
        self.batch.entries.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
