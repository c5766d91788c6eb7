//! An instance's view on disk: the store in memory, behind a power switch, and with pages that go
//! bad.

use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use kubetell::faults::Faults;
use kubetell::terms::fold::{Batch, Entry, OutboxRecord, PartitionState};
use kubetell::terms::store::memory::{MemoryStore, Snapshot};
use kubetell::terms::store::{Store, StoreError};

const FOR_EVER: u32 = u32::MAX;
const NONE: i32 = -1;

/// Writes until the switch is thrown; then each fails, and the process counts as dead.
pub struct Disk {
    store: MemoryStore,
    writes_left: AtomicU32,
    /// The partition whose view can't be read, until it is cleared.
    bad: AtomicI32,
}

impl Disk {
    pub fn new(snapshot: &Snapshot, faults: Faults) -> Disk {
        Disk {
            store: MemoryStore::from_snapshot(snapshot, faults),
            writes_left: AtomicU32::new(FOR_EVER),
            bad: AtomicI32::new(NONE),
        }
    }

    pub fn go_bad(&self, partition: i32) {
        self.bad.store(partition, Ordering::Relaxed);
    }

    pub fn bad(&self) -> i32 {
        self.bad.load(Ordering::Relaxed)
    }

    fn read(&self, partition: i32) -> Result<(), StoreError> {
        if self.bad() == partition {
            return Err(StoreError::Corrupt("a page"));
        }
        Ok(())
    }

    pub fn snapshot(&self) -> Snapshot {
        self.store.snapshot()
    }

    /// The process dies in place of the write after the next `writes`.
    pub fn die_after(&self, writes: Option<u32>) {
        self.writes_left.store(writes.unwrap_or(FOR_EVER), Ordering::Relaxed);
    }

    pub fn is_dead(&self) -> bool {
        self.writes_left.load(Ordering::Relaxed) == 0
    }

    fn write(&self) -> Result<(), StoreError> {
        let left = self.writes_left.load(Ordering::Relaxed);
        if left == 0 {
            return Err(StoreError::Disk("the process is dead".to_owned()));
        }
        if left != FOR_EVER {
            self.writes_left.store(left - 1, Ordering::Relaxed);
            if left == 1 {
                return Err(StoreError::Disk("the process dies".to_owned()));
            }
        }
        Ok(())
    }
}

impl Store for Disk {
    fn begin(&self, partition: i32, epoch: u64) {
        self.store.begin(partition, epoch);
    }

    fn load(&self, partition: i32) -> Result<Option<PartitionState>, StoreError> {
        self.read(partition)?;
        self.store.load(partition)
    }

    fn entry(&self, partition: i32, key: &[u8]) -> Result<Option<Entry>, StoreError> {
        self.read(partition)?;
        self.store.entry(partition, key)
    }

    fn outbox(
        &self,
        partition: i32,
        from: i64,
        below: i64,
    ) -> Result<Vec<(i64, OutboxRecord)>, StoreError> {
        self.read(partition)?;
        self.store.outbox(partition, from, below)
    }

    fn apply(&self, partition: i32, epoch: u64, batch: &Batch) -> Result<(), StoreError> {
        self.write()?;
        self.store.apply(partition, epoch, batch)
    }

    fn clear(&self, partition: i32, epoch: u64) -> Result<(), StoreError> {
        self.write()?;
        self.store.clear(partition, epoch)?;
        if self.bad() == partition {
            self.bad.store(NONE, Ordering::Relaxed);
        }
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
        self.read(partition)?;
        self.write()?;
        self.store.sweep(partition, epoch, last_append_ms, cursor, max)
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.store.flush()
    }
}
