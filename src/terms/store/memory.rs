//! The store in memory: for `scan`, and the twin against which sled is tested.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Store, StoreError, keys, read_outbox, read_state, writes};
use crate::terms::fold::{Batch, Entry, OutboxRecord, PartitionState};

#[derive(Default)]
pub struct MemoryStore(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    epochs: HashMap<i32, u64>,
    data: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl MemoryStore {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn check(&self, partition: i32, epoch: u64) -> Result<(), StoreError> {
        if self.epochs.get(&partition).copied().unwrap_or(0) == epoch {
            Ok(())
        } else {
            Err(StoreError::PastEpoch)
        }
    }
}

impl Store for MemoryStore {
    fn begin(&self, partition: i32, epoch: u64) {
        self.lock().epochs.insert(partition, epoch);
    }

    fn load(&self, partition: i32) -> Result<Option<PartitionState>, StoreError> {
        let inner = self.lock();
        inner
            .data
            .get(&keys::prefix(partition, keys::STATE))
            .map(|bytes| read_state(bytes))
            .transpose()
    }

    fn entry(&self, partition: i32, key: &[u8]) -> Result<Option<Entry>, StoreError> {
        let inner = self.lock();
        inner
            .data
            .get(&keys::entry(partition, key))
            .map(|bytes| Entry::decode(bytes).ok_or(StoreError::Corrupt("an entry")))
            .transpose()
    }

    fn outbox(
        &self,
        partition: i32,
        from: i64,
        below: i64,
    ) -> Result<Vec<(i64, OutboxRecord)>, StoreError> {
        if from >= below {
            return Ok(Vec::new());
        }
        let range = keys::outbox(partition, from, 0)..keys::outbox(partition, below, 0);
        self.lock()
            .data
            .range(range)
            .map(|(key, value)| {
                let offset =
                    keys::outbox_offset(key).ok_or(StoreError::Corrupt("an outbox key"))?;
                Ok((offset, read_outbox(value)?))
            })
            .collect()
    }

    fn apply(&self, partition: i32, epoch: u64, batch: &Batch) -> Result<(), StoreError> {
        let writes = writes(partition, batch)?;
        let mut inner = self.lock();
        inner.check(partition, epoch)?;
        if let Some(below) = batch.prune_below {
            let range = keys::outbox(partition, 0, 0)..keys::outbox(partition, below, 0);
            let gone: Vec<_> = inner.data.range(range).map(|(key, _)| key.clone()).collect();
            for key in gone {
                inner.data.remove(&key);
            }
        }
        inner.data.extend(writes);
        Ok(())
    }

    fn clear(&self, partition: i32, epoch: u64) -> Result<(), StoreError> {
        let mut inner = self.lock();
        inner.check(partition, epoch)?;
        let prefix = partition.to_be_bytes();
        inner.data.retain(|key, _| !key.starts_with(&prefix));
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
        let mut inner = self.lock();
        inner.check(partition, epoch)?;
        let start = cursor.unwrap_or_else(|| keys::prefix(partition, keys::ENTRY));
        let end = keys::prefix(partition, keys::OUTBOX);
        let looked_at: Vec<_> = inner
            .data
            .range(start..end)
            .take(max + 1)
            .map(|(key, value)| (key.clone(), Entry::decode(value)))
            .collect();
        for (key, entry) in looked_at.iter().take(max) {
            if entry.as_ref().is_none_or(|entry| entry.is_expired(last_append_ms)) {
                inner.data.remove(key);
            }
        }
        Ok(looked_at.into_iter().nth(max).map(|(key, _)| key))
    }
}
