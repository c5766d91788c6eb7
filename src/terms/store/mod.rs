//! Where the view of the log is kept: one small trait, sled behind it, and a twin in memory.
//!
//! A view can be thrown away at any time and folded anew from the log. Everything of one
//! partition is written in one atomic batch, by whoever holds the partition's current epoch.
//!
//! `encoding` and `page` are the bytes of the view (pure), `view` a partition's records in the
//! database, `sled` the store, `open` brings a directory into a usable state, `guard` keeps the
//! database's failures in bounds.

mod encoding;
mod guard;
pub mod memory;
pub mod open;
mod page;
pub mod sled;
mod view;

use crate::terms::fold::{Batch, Entry, OutboxRecord, PartitionState};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The partition was assigned anew meanwhile: the writer has to give up.
    #[error("the assignment is past")]
    PastEpoch,
    /// One partition's view is not what was written. It has to be cleared and folded anew.
    #[error("the state of a partition is damaged ({0})")]
    Corrupt(&'static str),
    /// The disk does not take or give anything. The view is whole up to its last write.
    #[error("the state can't be written: {0}")]
    Disk(String),
    /// The database failed. The next start sets it aside.
    #[error("the state's database failed: {0}")]
    Damaged(String),
}

impl StoreError {
    /// Whether clearing the partition's view and folding it anew helps.
    pub fn is_mended_by_clearing(&self) -> bool {
        matches!(self, StoreError::Corrupt(_))
    }

    /// What to do about an error that ends the process.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            StoreError::PastEpoch | StoreError::Corrupt(_) => None,
            StoreError::Disk(_) => Some(
                "make room on the disk of `state.directory` (or mend it), then start again; nothing is lost, what was not written is folded again from the observations topic",
            ),
            StoreError::Damaged(_) => Some(
                "start again: the damaged state is then set aside and folded anew from the observations topic; if it happens again, check the disk",
            ),
        }
    }
}

/// The view of all partitions that this instance owns.
pub trait Store: Send + Sync {
    /// From now on only `epoch` may write the partition. Waits for a write that is under way.
    fn begin(&self, partition: i32, epoch: u64);
    /// Checks the whole view of the partition, so it takes time by its size. A view that is not
    /// as it was written is corrupt.
    fn load(&self, partition: i32) -> Result<Option<PartitionState>, StoreError>;
    fn entry(&self, partition: i32, key: &[u8]) -> Result<Option<Entry>, StoreError>;
    /// Outbox records of offsets `from..below`, in order.
    fn outbox(
        &self,
        partition: i32,
        from: i64,
        below: i64,
    ) -> Result<Vec<(i64, OutboxRecord)>, StoreError>;
    /// Writes a batch atomically.
    fn apply(&self, partition: i32, epoch: u64, batch: &Batch) -> Result<(), StoreError>;
    /// Forgets the partition's whole view.
    fn clear(&self, partition: i32, epoch: u64) -> Result<(), StoreError>;
    /// Forgets expired entries at and after `cursor`, looking at about `max` entries; where to go
    /// on, `None` at the end.
    fn sweep(
        &self,
        partition: i32,
        epoch: u64,
        last_append_ms: i64,
        cursor: Option<Vec<u8>>,
        max: usize,
    ) -> Result<Option<Vec<u8>>, StoreError>;
    /// Waits until what was written is on the disk.
    fn flush(&self) -> Result<(), StoreError>;
}

/// The batch's outbox with each record's place among those of its offset.
fn numbered_outbox(batch: &Batch) -> impl Iterator<Item = (i64, u32, &OutboxRecord)> {
    let mut index = 0;
    let mut last = None;
    batch.outbox.iter().map(move |(offset, record)| {
        index = if last == Some(*offset) { index + 1 } else { 0 };
        last = Some(*offset);
        (*offset, index, record)
    })
}

#[cfg(test)]
mod tests;
