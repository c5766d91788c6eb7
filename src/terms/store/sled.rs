//! The store in sled: one database, one tree, one atomic batch a step.
//!
//! Owns who may write a partition, and what a failure of the database means. Nothing is synced to
//! disk on the way: a lost tail is folded again.

use std::collections::HashMap;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::time::Duration;

use super::view::{self, Change, Failure, Head, clear_some, read_head};
use super::{Store, StoreError, guard};
use crate::terms::fold::{Batch, Entry, OutboxRecord, PartitionState};

/// Closing waits for what is being written, and no longer: sled waits for ever for a thread of its
/// own that has panicked.
const CLOSE_MAX: Duration = Duration::from_secs(10);

/// Who may write a partition, and its head once it was read.
#[derive(Default)]
struct Slot {
    epoch: u64,
    head: Option<Head>,
}

pub struct SledStore {
    /// `None` only while it is being closed.
    db: Option<::sled::Db>,
    slots: Mutex<HashMap<i32, Arc<Mutex<Slot>>>>,
    /// Why the database is not used any more.
    failure: OnceLock<StoreError>,
    /// Where the next start looks for why the database should be set aside.
    note: PathBuf,
    background_panics: u64,
    /// Held as long as the directory is used.
    _lock: File,
}

impl SledStore {
    /// `note` is the file that tells the next start why to set the database aside.
    pub(super) fn new(db: ::sled::Db, note: PathBuf, lock: File) -> Self {
        SledStore {
            db: Some(db),
            slots: Mutex::new(HashMap::new()),
            failure: OnceLock::new(),
            note,
            background_panics: guard::background_panics(),
            _lock: lock,
        }
    }

    /// What the database takes on the disk, bytes.
    pub fn disk_bytes(&self) -> Result<u64, StoreError> {
        self.use_db(|db| Ok(db.size_on_disk()?))
    }

    /// How many terms a partition's view holds.
    pub fn entries(&self, partition: i32) -> Result<u64, StoreError> {
        let slot = self.slot(partition);
        let mut slot = lock(&slot);
        self.use_db(|db| Ok(head(db, &mut slot, partition)?.entries))
    }

    fn slot(&self, partition: i32) -> Arc<Mutex<Slot>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(partition).or_default())
    }

    /// Calls the database unless it has failed, and remembers when it does.
    fn use_db<T>(
        &self,
        call: impl FnOnce(&::sled::Db) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        if let Some(failure) = self.failure.get() {
            return Err(failure.clone());
        }
        if guard::background_panics() != self.background_panics {
            return Err(self.failed(StoreError::Damaged("a thread of it panicked".to_owned())));
        }
        let Some(db) = &self.db else {
            return Err(StoreError::Damaged("it is closed".to_owned()));
        };
        match guard::guarded(|| call(db)) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(Failure::Corrupt(what))) => Err(StoreError::Corrupt(what)),
            Ok(Err(Failure::Sled(error))) => Err(self.failed(classify(&error))),
            Err(panic) => Err(self.failed(StoreError::Damaged(panic))),
        }
    }

    fn failed(&self, error: StoreError) -> StoreError {
        if let StoreError::Damaged(reason) = &error {
            leave_note(&self.note, reason);
        }
        self.failure.get_or_init(|| error).clone()
    }
}

/// Should this be refused, too, the next start finds out by itself.
fn leave_note(note: &Path, reason: &str) {
    if let Err(error) = std::fs::write(note, reason) {
        tracing::warn!(%error, "it could not be noted that the state is damaged");
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        if let Some(db) = self.db.take() {
            close(db);
        }
    }
}

/// Closes a database, waiting for no longer than it may take. What is not written by then is
/// folded again.
pub(super) fn close(db: ::sled::Db) {
    let (closed, wait) = mpsc::sync_channel(1);
    let close = move || {
        // sled panics when the last sync fails.
        if let Err(reason) = guard::guarded(move || drop(db)) {
            tracing::warn!(reason, "the state could not be closed");
        }
        let _ = closed.send(());
    };
    let spawned = std::thread::Builder::new().name("state-close".to_owned()).spawn(close);
    if spawned.is_err() || wait.recv_timeout(CLOSE_MAX).is_err() {
        tracing::warn!("the state could not be closed in time; what is missing is folded again");
    }
}

/// The error of an operation that failed for what the disk is, not for what stands on it.
pub(super) fn disk_trouble(error: &::sled::Error) -> Option<std::io::Error> {
    let ::sled::Error::Io(error) = error else { return None };
    // sled has wrapped the system's text in its own.
    let text = match error.kind() {
        ErrorKind::StorageFull => "no space left on device",
        ErrorKind::QuotaExceeded => "disk quota exceeded",
        ErrorKind::FileTooLarge => "file too large",
        ErrorKind::ReadOnlyFilesystem => "read-only file system",
        ErrorKind::PermissionDenied => "permission denied",
        _ => return None,
    };
    Some(std::io::Error::new(error.kind(), text))
}

fn classify(error: &::sled::Error) -> StoreError {
    match disk_trouble(error) {
        Some(error) => StoreError::Disk(error.to_string()),
        None => StoreError::Damaged(in_words(error)),
    }
}

/// The error's text, without the form that sled gives a system's error which it kept.
pub(super) fn in_words(error: &::sled::Error) -> String {
    let text = error.to_string();
    let kept = text.split_once("message: \"").and_then(|(_, rest)| rest.split_once('"'));
    kept.map_or(text.as_str(), |(message, _)| message).to_owned()
}

/// The head, read once an assignment.
fn head<'s>(db: &::sled::Db, slot: &'s mut Slot, partition: i32) -> Result<&'s Head, Failure> {
    let read = match slot.head.take() {
        Some(head) => head,
        None => read_head(db, partition)?,
    };
    Ok(slot.head.insert(read))
}

fn lock(slot: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Holds the partition for as long as a write lasts, so that `begin` waits for it.
fn writing(slot: &Mutex<Slot>, epoch: u64) -> Result<MutexGuard<'_, Slot>, StoreError> {
    let slot = lock(slot);
    if slot.epoch == epoch { Ok(slot) } else { Err(StoreError::PastEpoch) }
}

impl Store for SledStore {
    fn begin(&self, partition: i32, epoch: u64) {
        lock(&self.slot(partition)).epoch = epoch;
    }

    fn load(&self, partition: i32) -> Result<Option<PartitionState>, StoreError> {
        let slot = self.slot(partition);
        let mut slot = lock(&slot);
        slot.head = None;
        self.use_db(|db| {
            let head = head(db, &mut slot, partition)?;
            if head.pages == 0 {
                return Ok(None);
            }
            view::verify(db, partition, head)?;
            serde_json::from_slice(&head.state).map(Some).map_err(|_| Failure::Corrupt("its state"))
        })
    }

    fn entry(&self, partition: i32, key: &[u8]) -> Result<Option<Entry>, StoreError> {
        let slot = self.slot(partition);
        // Held while reading: a write may be moving the entry to another page.
        let mut slot = lock(&slot);
        self.use_db(|db| {
            let head = head(db, &mut slot, partition)?;
            view::find(db, partition, head, key)
        })
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
        let slot = self.slot(partition);
        let _slot = lock(&slot);
        self.use_db(|db| view::outbox(db, partition, from, below))
    }

    fn apply(&self, partition: i32, epoch: u64, batch: &Batch) -> Result<(), StoreError> {
        let state = serde_json::to_vec(&batch.state)
            .map_err(|_| StoreError::Corrupt("its state can't be written"))?;
        let slot = self.slot(partition);
        let mut slot = writing(&slot, epoch)?;
        self.use_db(|db| {
            let before = head(db, &mut slot, partition)?.clone();
            // Read again should anything go wrong from here on.
            slot.head = None;
            let mut change = Change::new(db, partition, before);
            change.put(batch, state)?;
            slot.head = Some(change.write()?);
            Ok(())
        })
    }

    fn clear(&self, partition: i32, epoch: u64) -> Result<(), StoreError> {
        let slot = self.slot(partition);
        loop {
            // Let go now and then: whoever takes the partition away should not wait for all of it.
            let mut slot = writing(&slot, epoch)?;
            slot.head = None;
            if !self.use_db(|db| clear_some(db, partition))? {
                return Ok(());
            }
        }
    }

    fn sweep(
        &self,
        partition: i32,
        epoch: u64,
        last_append_ms: i64,
        cursor: Option<Vec<u8>>,
        max: usize,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let slot = self.slot(partition);
        let mut slot = writing(&slot, epoch)?;
        let from = cursor.and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes);
        self.use_db(|db| {
            let before = head(db, &mut slot, partition)?.clone();
            let mut pages = before.pages;
            let mut change = Change::new(db, partition, before);
            let next = change.sweep(from, last_append_ms, max)?;
            if !change.is_empty() {
                slot.head = None;
                pages = slot.head.insert(change.write()?).pages;
            }
            Ok((next < pages).then(|| next.to_be_bytes().to_vec()))
        })
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.use_db(|db| Ok(db.flush().map(|_| ())?))
    }
}
