//! The store in sled: one database, one tree, one atomic batch a step.
//!
//! sled may be damaged by a kill or a full disk. Opening is guarded: a database that can't be
//! opened, or that belongs to another topic, is set aside and a new one begun, since the log holds
//! everything. Nothing is synced to disk on the way: a lost tail is folded again.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Store, StoreError, keys, read_outbox, read_state, writes};
use crate::clock;
use crate::limits::STATE_CACHE_BYTES;
use crate::terms::fold::{Batch, Entry, OutboxRecord, PartitionState};

/// Outside every partition's keys: partitions are never negative.
const META_KEY: &[u8] = b"\xff\xff\xff\xffmeta";
const FORMAT: u32 = 1;
/// How many damaged or foreign states are kept beside the good one.
const ASIDE_MAX: u32 = 2;
/// The database's directory within the state directory, and how others beside it begin.
const VIEW: &str = "terms";
const VIEW_BESIDE: &str = "terms.";
const FLUSH_EVERY_MS: u64 = 1_000;
const LOCK_MAX: Duration = Duration::from_secs(2);
const LOCK_RETRY_AFTER: Duration = Duration::from_millis(50);

/// What the state has to belong to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expectation {
    pub topic: String,
    pub partitions: u32,
    pub group: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Meta {
    format: u32,
    #[serde(flatten)]
    belongs_to: Expectation,
}

pub struct SledStore {
    db: sled::Db,
    epochs: Mutex<HashMap<i32, u64>>,
}

/// A state ready for use.
pub struct Opened {
    pub store: SledStore,
    /// Why an older state was set aside, if one was.
    pub set_aside: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the state directory `{}` is in use by another process", .0.display())]
    Locked(PathBuf),
    #[error("the state directory `{}` can't be used: {reason}", .directory.display())]
    Unusable { directory: PathBuf, reason: String },
}

impl OpenError {
    pub fn hint(&self) -> &'static str {
        match self {
            OpenError::Locked(_) => {
                "each instance needs a directory of its own: set `state.directory`, or stop the other process"
            }
            OpenError::Unusable { .. } => {
                "`state.directory` has to name a directory that this user can write to"
            }
        }
    }
}

enum Attempt {
    Opened(Box<sled::Db>),
    Locked,
    Damaged(String),
}

impl SledStore {
    pub fn open(directory: &Path, expectation: &Expectation) -> Result<Opened, OpenError> {
        let unusable = |error: &dyn std::fmt::Display| OpenError::Unusable {
            directory: directory.to_owned(),
            reason: error.to_string(),
        };
        std::fs::create_dir_all(directory).map_err(|error| unusable(&error))?;
        // Writability is asked of the file system, not of sled, whose errors are many.
        tempfile::tempfile_in(directory).map_err(|error| unusable(&error))?;
        let path = directory.join("terms");
        let meta = Meta { format: FORMAT, belongs_to: expectation.clone() };
        let reason = match attempt_patiently(&path) {
            Attempt::Locked => return Err(OpenError::Locked(directory.to_owned())),
            Attempt::Opened(db) => match belongs(&db, &meta) {
                Ok(()) => return Ok(Opened { store: SledStore::new(*db), set_aside: None }),
                Err(reason) => {
                    drop(db);
                    reason
                }
            },
            Attempt::Damaged(reason) => reason,
        };
        set_aside(directory, &path).map_err(|error| unusable(&error))?;
        match attempt_patiently(&path) {
            Attempt::Opened(db) => {
                belongs(&db, &meta).map_err(|reason| unusable(&reason))?;
                Ok(Opened { store: SledStore::new(*db), set_aside: Some(reason) })
            }
            Attempt::Locked => Err(OpenError::Locked(directory.to_owned())),
            Attempt::Damaged(reason) => Err(unusable(&reason)),
        }
    }

    fn new(db: sled::Db) -> Self {
        SledStore { db, epochs: Mutex::new(HashMap::new()) }
    }

    /// The terms of a partition, in the order of their keys.
    pub fn entries(
        &self,
        partition: i32,
    ) -> impl Iterator<Item = Result<(Vec<u8>, Entry), StoreError>> + use<> {
        let prefix = keys::prefix(partition, keys::ENTRY);
        let skipped = prefix.len();
        self.db.scan_prefix(prefix).map(move |item| {
            let (key, value) = item.map_err(storage)?;
            let entry = Entry::decode(&value).ok_or(StoreError::Corrupt("an entry"))?;
            Ok((key.get(skipped..).unwrap_or_default().to_vec(), entry))
        })
    }

    /// Nothing was counted of a partition that was never written.
    fn counts(&self, partition: i32) -> Result<Counts, StoreError> {
        match self.db.get(keys::prefix(partition, keys::COUNTS)).map_err(storage)? {
            None => Ok(Counts::default()),
            Some(bytes) => Counts::decode(&bytes).ok_or(StoreError::Corrupt("the counts")),
        }
    }

    /// Holds the lock for as long as a write lasts, so that `begin` waits for it.
    fn writing(
        &self,
        partition: i32,
        epoch: u64,
    ) -> Result<MutexGuard<'_, HashMap<i32, u64>>, StoreError> {
        let epochs = self.epochs.lock().unwrap_or_else(PoisonError::into_inner);
        if epochs.get(&partition).copied().unwrap_or(0) == epoch {
            Ok(epochs)
        } else {
            Err(StoreError::PastEpoch)
        }
    }
}

/// sled gives its lock up a moment after the database is dropped, and a process that is being
/// replaced may be about to end: a lock is waited for, shortly.
fn attempt_patiently(path: &Path) -> Attempt {
    let deadline = clock::monotonic() + LOCK_MAX;
    loop {
        match attempt(path) {
            Attempt::Locked if clock::monotonic() < deadline => {
                std::thread::park_timeout(LOCK_RETRY_AFTER);
            }
            result => return result,
        }
    }
}

fn attempt(path: &Path) -> Attempt {
    // sled panics on some damaged files; the panic's text goes to the log by the hook.
    let opened = std::panic::catch_unwind(|| {
        sled::Config::new()
            .path(path)
            .cache_capacity(STATE_CACHE_BYTES)
            .flush_every_ms(Some(FLUSH_EVERY_MS))
            .mode(sled::Mode::HighThroughput)
            .open()
    });
    match opened {
        Ok(Ok(db)) => Attempt::Opened(Box::new(db)),
        Ok(Err(error)) => {
            let text = error.to_string();
            if text.contains("could not acquire lock") {
                Attempt::Locked
            } else {
                Attempt::Damaged(text)
            }
        }
        Err(_) => Attempt::Damaged("the database panicked while opening".to_owned()),
    }
}

/// Checks the meta record, or writes it into an empty database.
fn belongs(db: &sled::Db, meta: &Meta) -> Result<(), String> {
    match db.get(META_KEY).map_err(|error| error.to_string())? {
        Some(bytes) => match serde_json::from_slice::<Meta>(&bytes) {
            Ok(found) if found == *meta => Ok(()),
            Ok(found) if found.format != FORMAT => {
                Err(format!("it has format {} and this version writes {FORMAT}", found.format))
            }
            Ok(found) => Err(format!(
                "it belongs to the topic `{}` with {} partitions of the group `{}`",
                found.belongs_to.topic, found.belongs_to.partitions, found.belongs_to.group
            )),
            Err(_) => Err("its meta record can't be read".to_owned()),
        },
        None if db.is_empty() => {
            let bytes = serde_json::to_vec(meta).map_err(|error| error.to_string())?;
            db.insert(META_KEY, bytes).map_err(|error| error.to_string())?;
            db.flush().map_err(|error| error.to_string())?;
            Ok(())
        }
        None => Err("it has no meta record".to_owned()),
    }
}

/// Moves the database out of the way, keeping the latest few.
fn set_aside(directory: &Path, path: &Path) -> std::io::Result<()> {
    let name = |number: u32| directory.join(format!("terms.aside-{number}"));
    for number in (1..=ASIDE_MAX).rev() {
        let older = name(number);
        if !older.exists() {
            continue;
        }
        if number == ASIDE_MAX {
            remove(&older)?;
        } else {
            std::fs::rename(&older, name(number + 1))?;
        }
    }
    std::fs::rename(path, name(1))
}

/// The view in a state directory and those that were set aside, with their sizes in bytes.
pub fn views(directory: &Path) -> std::io::Result<Vec<(PathBuf, u64)>> {
    let found = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        found => found?,
    };
    let mut views = Vec::new();
    for item in found {
        let item = item?;
        let name = item.file_name();
        if name == VIEW || name.to_string_lossy().starts_with(VIEW_BESIDE) {
            views.push((item.path(), size(&item.path())?));
        }
    }
    views.sort();
    Ok(views)
}

fn size(path: &Path) -> std::io::Result<u64> {
    let found = std::fs::symlink_metadata(path)?;
    if !found.is_dir() {
        return Ok(found.len());
    }
    std::fs::read_dir(path)?.try_fold(0, |sum, item| Ok(sum + size(&item?.path())?))
}

/// Takes the lock that an instance holds on its view, as long as the result lives; nothing where
/// there is no view. Never opens the database: it may be damaged.
pub fn lock(directory: &Path) -> Result<Option<std::fs::File>, OpenError> {
    let unusable = |error: std::io::Error| OpenError::Unusable {
        directory: directory.to_owned(),
        reason: error.to_string(),
    };
    let file = match std::fs::File::open(directory.join(VIEW).join("db")) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(error)),
    };
    let deadline = clock::monotonic() + LOCK_MAX;
    let operation = rustix::fs::FlockOperation::NonBlockingLockExclusive;
    while let Err(error) = rustix::fs::flock(&file, operation) {
        if error != rustix::io::Errno::WOULDBLOCK {
            return Err(unusable(error.into()));
        }
        if clock::monotonic() >= deadline {
            return Err(OpenError::Locked(directory.to_owned()));
        }
        std::thread::park_timeout(LOCK_RETRY_AFTER);
    }
    Ok(Some(file))
}

/// Removes all of [`views`] under the lock: it is folded anew from the log.
pub fn discard(directory: &Path) -> Result<(), OpenError> {
    let locked = lock(directory)?;
    let removed = || -> std::io::Result<()> {
        let (view, gone) =
            (directory.join(VIEW), directory.join(format!("{VIEW_BESIDE}discarded")));
        if gone.exists() {
            remove(&gone)?;
        }
        // Whoever starts meanwhile begins with an empty view, not with half of one.
        if view.exists() {
            std::fs::rename(&view, gone)?;
        }
        let beside = views(directory)?.into_iter().filter(|(path, _)| *path != view);
        beside.into_iter().try_for_each(|(path, _)| remove(&path))
    };
    let result = removed().map_err(|error| OpenError::Unusable {
        directory: directory.to_owned(),
        reason: error.to_string(),
    });
    drop(locked);
    result
}

fn remove(path: &Path) -> std::io::Result<()> {
    if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
}

/// How many records a partition's view holds beside its state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    entries: u64,
    outbox: u64,
}

impl Counts {
    /// Two big-endian `u64`.
    fn encode(self) -> Vec<u8> {
        [self.entries.to_be_bytes(), self.outbox.to_be_bytes()].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Counts> {
        let (entries, rest) = bytes.split_first_chunk::<8>()?;
        let outbox: [u8; 8] = rest.try_into().ok()?;
        Some(Counts { entries: u64::from_be_bytes(*entries), outbox: u64::from_be_bytes(outbox) })
    }
}

fn storage(error: sled::Error) -> StoreError {
    StoreError::Storage(error.to_string())
}

impl Store for SledStore {
    fn begin(&self, partition: i32, epoch: u64) {
        self.epochs.lock().unwrap_or_else(PoisonError::into_inner).insert(partition, epoch);
    }

    /// Counts the partition's records, so it takes time by their number. A view that lacks some
    /// is corrupt.
    fn load(&self, partition: i32) -> Result<Option<PartitionState>, StoreError> {
        let bytes = self.db.get(keys::prefix(partition, keys::STATE)).map_err(storage)?;
        let Some(bytes) = bytes else { return Ok(None) };
        let state = read_state(&bytes)?;
        let count = |kind: u8| -> Result<u64, StoreError> {
            let mut count = 0;
            for key in self.db.scan_prefix(keys::prefix(partition, kind)).keys() {
                key.map_err(storage)?;
                count += 1;
            }
            Ok(count)
        };
        let found = Counts { entries: count(keys::ENTRY)?, outbox: count(keys::OUTBOX)? };
        if self.counts(partition)? == found {
            Ok(Some(state))
        } else {
            Err(StoreError::Corrupt("a view that lost records"))
        }
    }

    fn entry(&self, partition: i32, key: &[u8]) -> Result<Option<Entry>, StoreError> {
        let bytes = self.db.get(keys::entry(partition, key)).map_err(storage)?;
        bytes.map(|bytes| Entry::decode(&bytes).ok_or(StoreError::Corrupt("an entry"))).transpose()
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
        self.db
            .range(range)
            .map(|item| {
                let (key, value) = item.map_err(storage)?;
                let offset =
                    keys::outbox_offset(&key).ok_or(StoreError::Corrupt("an outbox key"))?;
                Ok((offset, read_outbox(&value)?))
            })
            .collect()
    }

    fn apply(&self, partition: i32, epoch: u64, batch: &Batch) -> Result<(), StoreError> {
        let writes = writes(partition, batch)?;
        let _writing = self.writing(partition, epoch)?;
        let mut counts = self.counts(partition)?;
        let mut sled_batch = sled::Batch::default();
        let mut pruned = HashSet::new();
        if let Some(below) = batch.prune_below {
            let range = keys::outbox(partition, 0, 0)..keys::outbox(partition, below, 0);
            for key in self.db.range(range).keys() {
                let key = key.map_err(storage)?;
                counts.outbox = counts.outbox.saturating_sub(1);
                sled_batch.remove(key.clone());
                pruned.insert(key);
            }
        }
        for (key, value) in writes {
            let is_new =
                pruned.contains(key.as_slice()) || !self.db.contains_key(&key).map_err(storage)?;
            match key.get(4) {
                Some(&keys::ENTRY) if is_new => counts.entries += 1,
                Some(&keys::OUTBOX) if is_new => counts.outbox += 1,
                _ => {}
            }
            sled_batch.insert(key, value);
        }
        sled_batch.insert(keys::prefix(partition, keys::COUNTS), counts.encode());
        self.db.apply_batch(sled_batch).map_err(storage)
    }

    fn clear(&self, partition: i32, epoch: u64) -> Result<(), StoreError> {
        // The state first: should the process die in between, what is left has no state and is
        // cleared again at the next takeover.
        let _writing = self.writing(partition, epoch)?;
        self.db.remove(keys::prefix(partition, keys::STATE)).map_err(storage)?;
        let prefix = partition.to_be_bytes();
        loop {
            let mut batch = sled::Batch::default();
            let mut count = 0;
            for key in self.db.scan_prefix(prefix).keys().take(10_000) {
                batch.remove(key.map_err(storage)?);
                count += 1;
            }
            if count == 0 {
                return Ok(());
            }
            self.db.apply_batch(batch).map_err(storage)?;
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
        let start = cursor.unwrap_or_else(|| keys::prefix(partition, keys::ENTRY));
        let end = keys::prefix(partition, keys::OUTBOX);
        let _writing = self.writing(partition, epoch)?;
        let mut counts = self.counts(partition)?;
        let mut removed = false;
        let mut batch = sled::Batch::default();
        let mut next = None;
        for (count, item) in self.db.range(start..end).enumerate() {
            let (key, value) = item.map_err(storage)?;
            if count == max {
                next = Some(key.to_vec());
                break;
            }
            if Entry::decode(&value).is_none_or(|entry| entry.is_expired(last_append_ms)) {
                batch.remove(key);
                counts.entries = counts.entries.saturating_sub(1);
                removed = true;
            }
        }
        if removed {
            batch.insert(keys::prefix(partition, keys::COUNTS), counts.encode());
            self.db.apply_batch(batch).map_err(storage)?;
        }
        Ok(next)
    }
}
