//! Where the view of the log is kept: one small trait, sled behind it, and a twin in memory.
//!
//! A view can be thrown away at any time and folded anew from the log. Everything of one
//! partition is written in one atomic batch, by whoever holds the partition's current epoch.

pub mod memory;
pub mod sled;

use crate::terms::fold::{Batch, Entry, OutboxRecord, PartitionState};

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The partition was assigned anew meanwhile: the writer has to give up.
    #[error("the assignment is past")]
    PastEpoch,
    #[error("the state can't be read or written: {0}")]
    Storage(String),
    #[error("the state holds something that can't be read: {0}")]
    Corrupt(&'static str),
}

/// The view of all partitions that this instance owns.
pub trait Store: Send + Sync {
    /// From now on only `epoch` may write the partition. Waits for a write that is under way.
    fn begin(&self, partition: i32, epoch: u64);
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
    /// Forgets up to `max` expired entries at and after `cursor`, looking at no more than
    /// `max` entries; where to go on, `None` at the end.
    fn sweep(
        &self,
        partition: i32,
        epoch: u64,
        last_append_ms: i64,
        cursor: Option<Vec<u8>>,
        max: usize,
    ) -> Result<Option<Vec<u8>>, StoreError>;
}

/// Keys of a partition's view: 4 bytes partition, 1 byte kind, the rest by kind. Fixed-width
/// big-endian numbers, so that ranges are in order.
pub(crate) mod keys {
    pub const STATE: u8 = 0;
    pub const ENTRY: u8 = 1;
    pub const OUTBOX: u8 = 2;
    /// How many entries and outbox records there are: sled does not notice every page it lost.
    pub const COUNTS: u8 = 3;

    pub fn prefix(partition: i32, kind: u8) -> Vec<u8> {
        let mut key = partition.to_be_bytes().to_vec();
        key.push(kind);
        key
    }

    pub fn entry(partition: i32, term: &[u8]) -> Vec<u8> {
        let mut key = prefix(partition, ENTRY);
        key.extend_from_slice(term);
        key
    }

    /// Offsets are never negative, so their big-endian bytes are in order.
    pub fn outbox(partition: i32, offset: i64, index: u32) -> Vec<u8> {
        let mut key = prefix(partition, OUTBOX);
        key.extend_from_slice(&offset.max(0).to_be_bytes());
        key.extend_from_slice(&index.to_be_bytes());
        key
    }

    pub fn outbox_offset(key: &[u8]) -> Option<i64> {
        let bytes: [u8; 8] = key.get(5..13)?.try_into().ok()?;
        Some(i64::from_be_bytes(bytes))
    }
}

/// A key and its value.
pub(crate) type Write = (Vec<u8>, Vec<u8>);

/// The batch's outbox with each record's place among those of its offset.
pub(crate) fn numbered_outbox(batch: &Batch) -> impl Iterator<Item = (i64, u32, &OutboxRecord)> {
    let mut index = 0;
    let mut last = None;
    batch.outbox.iter().map(move |(offset, record)| {
        index = if last == Some(*offset) { index + 1 } else { 0 };
        last = Some(*offset);
        (*offset, index, record)
    })
}

/// The writes of a batch, but for the pruning.
pub(crate) fn writes(partition: i32, batch: &Batch) -> Result<Vec<Write>, StoreError> {
    let failed = |error: serde_json::Error| StoreError::Storage(error.to_string());
    let mut writes = Vec::with_capacity(batch.entries.len() + batch.outbox.len() + 1);
    writes.push((
        keys::prefix(partition, keys::STATE),
        serde_json::to_vec(&batch.state).map_err(failed)?,
    ));
    for (term, entry) in &batch.entries {
        writes.push((keys::entry(partition, term), entry.encode()));
    }
    for (offset, index, record) in numbered_outbox(batch) {
        writes.push((
            keys::outbox(partition, offset, index),
            serde_json::to_vec(record).map_err(failed)?,
        ));
    }
    Ok(writes)
}

pub(crate) fn read_state(bytes: &[u8]) -> Result<PartitionState, StoreError> {
    serde_json::from_slice(bytes).map_err(|_| StoreError::Corrupt("a partition's state"))
}

pub(crate) fn read_outbox(bytes: &[u8]) -> Result<OutboxRecord, StoreError> {
    serde_json::from_slice(bytes).map_err(|_| StoreError::Corrupt("an outbox record"))
}

#[cfg(test)]
mod tests;
