//! The store in memory: for `scan`, for simulations, and the twin against which sled is tested.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Store, StoreError, numbered_outbox};
use crate::faults::{Fault, Faults};
use crate::terms::fold::{Batch, Entry, OutboxRecord, PartitionState};

#[derive(Default)]
pub struct MemoryStore {
    inner: Mutex<Inner>,
    faults: Faults,
}

/// All partitions' views as they were at one moment, without the epochs. Views are shared until
/// one is written again, so that taking and cloning a snapshot is cheap.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot(HashMap<i32, Arc<View>>);

#[derive(Default)]
struct Inner {
    epochs: HashMap<i32, u64>,
    views: Snapshot,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct View {
    state: Option<PartitionState>,
    entries: BTreeMap<Vec<u8>, Entry>,
    /// By offset and by the place among the offset's records.
    outbox: BTreeMap<(i64, u32), Arc<OutboxRecord>>,
}

impl MemoryStore {
    pub fn with_faults(faults: Faults) -> MemoryStore {
        MemoryStore { faults, ..MemoryStore::default() }
    }

    pub fn snapshot(&self) -> Snapshot {
        self.lock().views.clone()
    }

    pub fn from_snapshot(snapshot: &Snapshot, faults: Faults) -> MemoryStore {
        let inner = Inner { views: snapshot.clone(), ..Inner::default() };
        MemoryStore { inner: Mutex::new(inner), faults }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock of a writer whose epoch is the current one.
    fn writing(&self, partition: i32, epoch: u64) -> Result<MutexGuard<'_, Inner>, StoreError> {
        let inner = self.lock();
        let current = inner.epochs.get(&partition).copied().unwrap_or(0);
        if current == epoch || self.faults.has(Fault::NoEpochCheckInWriter) {
            Ok(inner)
        } else {
            Err(StoreError::PastEpoch)
        }
    }
}

impl Inner {
    fn view(&self, partition: i32) -> Option<&View> {
        self.views.0.get(&partition).map(Arc::as_ref)
    }

    fn view_mut(&mut self, partition: i32) -> &mut View {
        Arc::make_mut(self.views.0.entry(partition).or_default())
    }
}

impl Store for MemoryStore {
    fn begin(&self, partition: i32, epoch: u64) {
        self.lock().epochs.insert(partition, epoch);
    }

    fn load(&self, partition: i32) -> Result<Option<PartitionState>, StoreError> {
        Ok(self.lock().view(partition).and_then(|view| view.state.clone()))
    }

    fn entry(&self, partition: i32, key: &[u8]) -> Result<Option<Entry>, StoreError> {
        Ok(self.lock().view(partition).and_then(|view| view.entries.get(key).cloned()))
    }

    fn outbox(
        &self,
        partition: i32,
        from: i64,
        below: i64,
    ) -> Result<Vec<(i64, OutboxRecord)>, StoreError> {
        let inner = self.lock();
        let Some(view) = inner.view(partition).filter(|_| from < below) else {
            return Ok(Vec::new());
        };
        let records = view.outbox.range((from, 0)..(below, 0));
        Ok(records.map(|((offset, _), record)| (*offset, record.as_ref().clone())).collect())
    }

    fn apply(&self, partition: i32, epoch: u64, batch: &Batch) -> Result<(), StoreError> {
        let mut inner = self.writing(partition, epoch)?;
        let view = inner.view_mut(partition);
        view.state = Some(batch.state.clone());
        for (key, entry) in &batch.entries {
            view.entries.insert(key.clone(), entry.clone());
        }
        if let Some(below) = batch.prune_below {
            view.outbox = view.outbox.split_off(&(below.max(0), 0));
        }
        for (offset, index, record) in numbered_outbox(batch) {
            view.outbox.insert((offset, index), Arc::new(record.clone()));
        }
        Ok(())
    }

    fn clear(&self, partition: i32, epoch: u64) -> Result<(), StoreError> {
        self.writing(partition, epoch)?.views.0.remove(&partition);
        Ok(())
    }

    fn sweep(
        &self,
        partition: i32,
        epoch: u64,
        last_append_ms: i64,
        cursor: Option<Vec<u8>>,
        max: usize,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let mut inner = self.writing(partition, epoch)?;
        let Some(view) = inner.view(partition) else { return Ok(None) };
        let start = cursor.map_or(Bound::Unbounded, Bound::Included);
        let mut entries = view.entries.range((start, Bound::Unbounded));
        let expired: Vec<Vec<u8>> = entries
            .by_ref()
            .take(max)
            .filter(|(_, entry)| entry.is_expired(last_append_ms))
            .map(|(key, _)| key.clone())
            .collect();
        let next = entries.next().map(|(key, _)| key.clone());
        if !expired.is_empty() {
            let view = inner.view_mut(partition);
            for key in expired {
                view.entries.remove(&key);
            }
        }
        Ok(next)
    }

    fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
