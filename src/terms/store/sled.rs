//! The store in sled: one database, one tree, one atomic batch a step.
//!
//! Owns what stands under which key, and that it is noticed when what stands there is not what was
//! written. sled's own checks miss some damage: a page that is lost, or that comes back as it was
//! before. So every record carries a check of its key and content, and a partition's head carries
//! the sum of all of them and their number. Nothing is synced to disk on the way: a lost tail is
//! folded again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::time::Duration;

use super::encoding::{self, CHECK_BYTES, Reader};
use super::page::{self, TermHash};
use super::{Store, StoreError, guard, numbered_outbox};
use crate::terms::fold::{Batch, Entry, OutboxRecord, PartitionState};

/// Closing waits for what is being written, and no longer: sled waits for ever for a thread of its
/// own that has panicked.
const CLOSE_MAX: Duration = Duration::from_secs(10);
/// Keys removed in one write: sled lets nobody else write meanwhile.
const CLEAR_KEYS: usize = 500;

/// Keys of a partition's view: 4 bytes partition, 1 byte kind, the rest by kind. Fixed-width
/// big-endian numbers, so that ranges are in order.
mod keys {
    pub const HEAD: u8 = 0;
    pub const PAGE: u8 = 1;
    pub const OUTBOX: u8 = 2;

    pub fn prefix(partition: i32, kind: u8) -> [u8; 5] {
        let [a, b, c, d] = partition.to_be_bytes();
        [a, b, c, d, kind]
    }

    pub fn page(partition: i32, number: u32) -> Vec<u8> {
        [&prefix(partition, PAGE)[..], &number.to_be_bytes()].concat()
    }

    pub fn page_number(key: &[u8]) -> Option<u32> {
        Some(u32::from_be_bytes(key.get(5..)?.try_into().ok()?))
    }

    /// Offsets are never negative, so their big-endian bytes are in order.
    pub fn outbox(partition: i32, offset: i64, index: u32) -> Vec<u8> {
        [&prefix(partition, OUTBOX)[..], &offset.max(0).to_be_bytes(), &index.to_be_bytes()]
            .concat()
    }

    pub fn outbox_offset(key: &[u8]) -> Option<i64> {
        Some(i64::from_be_bytes(key.get(5..13)?.try_into().ok()?))
    }
}

/// What a partition's other records have to be, and its state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Head {
    /// The sum of the checks of all pages and outbox records.
    sum: u64,
    entries: u64,
    outbox: u64,
    /// 0: the partition has no view.
    pages: u32,
    /// The partition's state as JSON.
    state: Vec<u8>,
}

impl Head {
    fn add(&mut self, check: u32) {
        self.sum = self.sum.wrapping_add(u64::from(check));
    }

    fn subtract(&mut self, check: u32) {
        self.sum = self.sum.wrapping_sub(u64::from(check));
    }

    /// Behind the check: sum, entries, outbox records, pages, the state.
    fn encode(&self, partition: i32) -> Vec<u8> {
        let mut body = vec![0; CHECK_BYTES];
        for number in [self.sum, self.entries, self.outbox] {
            body.extend_from_slice(&number.to_be_bytes());
        }
        body.extend_from_slice(&self.pages.to_be_bytes());
        body.extend_from_slice(&self.state);
        encoding::seal(&keys::prefix(partition, keys::HEAD), body).1
    }

    fn decode(partition: i32, value: &[u8]) -> Option<Head> {
        let (_, rest) = encoding::open(&keys::prefix(partition, keys::HEAD), value)?;
        let mut reader = Reader(rest);
        let [sum, entries, outbox] = [reader.array()?, reader.array()?, reader.array()?];
        let pages = u32::from_be_bytes(reader.array()?);
        Some(Head {
            sum: u64::from_be_bytes(sum),
            entries: u64::from_be_bytes(entries),
            outbox: u64::from_be_bytes(outbox),
            pages,
            state: reader.0.to_vec(),
        })
    }
}

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

/// Why a call of the database did not do.
enum Failure {
    Corrupt(&'static str),
    Sled(::sled::Error),
}

impl From<::sled::Error> for Failure {
    fn from(error: ::sled::Error) -> Self {
        Failure::Sled(error)
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

fn read_head(db: &::sled::Db, partition: i32) -> Result<Head, Failure> {
    match db.get(keys::prefix(partition, keys::HEAD))? {
        None => Ok(Head::default()),
        Some(value) => Head::decode(partition, &value).ok_or(Failure::Corrupt("its head")),
    }
}

/// The head, read once an assignment.
fn head<'s>(db: &::sled::Db, slot: &'s mut Slot, partition: i32) -> Result<&'s Head, Failure> {
    let read = match slot.head.take() {
        Some(head) => head,
        None => read_head(db, partition)?,
    };
    Ok(slot.head.insert(read))
}

fn opened<'v>(key: &[u8], value: &'v [u8], what: &'static str) -> Result<(u32, &'v [u8]), Failure> {
    encoding::open(key, value).ok_or(Failure::Corrupt(what))
}

const PAGE_DAMAGED: Failure = Failure::Corrupt("a page of entries");
const OUTBOX_DAMAGED: &str = "an outbox record";

/// One write to a partition: the head and the pages as they become.
struct Change<'d> {
    db: &'d ::sled::Db,
    partition: i32,
    head: Head,
    /// Pages that were read or made, with room for their checks. Their old checks are no longer
    /// in the head's sum.
    pages: BTreeMap<u32, Vec<u8>>,
    batch: ::sled::Batch,
}

impl<'d> Change<'d> {
    fn new(db: &'d ::sled::Db, partition: i32, head: Head) -> Self {
        Change { db, partition, head, pages: BTreeMap::new(), batch: ::sled::Batch::default() }
    }

    /// Takes a page out, to be put back changed.
    fn take(&mut self, number: u32) -> Result<Vec<u8>, Failure> {
        if let Some(page) = self.pages.remove(&number) {
            return Ok(page);
        }
        let key = keys::page(self.partition, number);
        let value = self.db.get(&key)?.ok_or(PAGE_DAMAGED)?;
        let (check, _) = opened(&key, &value, "a page of entries")?;
        self.head.subtract(check);
        Ok(value.to_vec())
    }

    fn put_entries(&mut self, entries: &HashMap<Vec<u8>, Entry>) -> Result<(), Failure> {
        let pages = self.head.pages;
        let mut changes: Vec<(u32, (TermHash, &Entry))> = entries
            .iter()
            .map(|(key, entry)| {
                let hash = page::term_hash(key);
                (page::page_of(&hash, pages), (hash, entry))
            })
            .collect();
        changes.sort_unstable_by_key(|(page, (hash, _))| (*page, *hash));
        for group in changes.chunk_by(|(one, _), (other, _)| one == other) {
            let number = group[0].0;
            let group: Vec<_> = group.iter().map(|(_, change)| *change).collect();
            let page = self.take(number)?;
            let (page, added) = page::merged(&page[CHECK_BYTES..], &group).ok_or(PAGE_DAMAGED)?;
            self.head.entries += added;
            self.pages.insert(number, page);
        }
        Ok(())
    }

    /// Adds pages or takes some away until they fit the number of entries.
    fn resize(&mut self) -> Result<(), Failure> {
        let wanted = page::pages_wanted(self.head.entries, self.head.pages);
        while self.head.pages < wanted {
            let added = self.head.pages;
            let divided = page::divided_from(added);
            let page = self.take(divided)?;
            let (kept, moved, _) = page::parted(&page[CHECK_BYTES..], |hash, _| {
                page::page_of(hash, added + 1) == divided
            })
            .ok_or(PAGE_DAMAGED)?;
            self.pages.insert(divided, kept);
            self.pages.insert(added, moved);
            self.head.pages += 1;
        }
        while self.head.pages > wanted {
            let last = self.head.pages - 1;
            let into = page::divided_from(last);
            let (one, other) = (self.take(into)?, self.take(last)?);
            let joined =
                page::joined(&one[CHECK_BYTES..], &other[CHECK_BYTES..]).ok_or(PAGE_DAMAGED)?;
            self.pages.insert(into, joined);
            self.batch.remove(keys::page(self.partition, last));
            self.head.pages = last;
        }
        Ok(())
    }

    /// Drops outbox records below an offset; the keys of what was dropped.
    fn prune(&mut self, below: i64) -> Result<HashSet<::sled::IVec>, Failure> {
        let mut pruned = HashSet::new();
        let range = keys::outbox(self.partition, 0, 0)..keys::outbox(self.partition, below, 0);
        for item in self.db.range(range) {
            let (key, value) = item?;
            self.forget_outbox(&key, &value)?;
            self.batch.remove(key.clone());
            pruned.insert(key);
        }
        Ok(pruned)
    }

    fn forget_outbox(&mut self, key: &[u8], value: &[u8]) -> Result<(), Failure> {
        let (check, _) = opened(key, value, OUTBOX_DAMAGED)?;
        self.head.subtract(check);
        self.head.outbox = self.head.outbox.saturating_sub(1);
        Ok(())
    }

    fn put_outbox(&mut self, batch: &Batch) -> Result<(), Failure> {
        let pruned = match batch.prune_below {
            Some(below) => self.prune(below)?,
            None => HashSet::new(),
        };
        for (offset, index, record) in numbered_outbox(batch) {
            let key = keys::outbox(self.partition, offset, index);
            if !pruned.contains(key.as_slice())
                && let Some(old) = self.db.get(&key)?
            {
                self.forget_outbox(&key, &old)?;
            }
            let mut body = page::empty();
            encoding::put_outbox(&mut body, record);
            let (check, value) = encoding::seal(&key, body);
            self.head.add(check);
            self.head.outbox += 1;
            self.batch.insert(key, value);
        }
        Ok(())
    }

    /// Writes all of it, atomically; the head as it is now.
    fn write(mut self) -> Result<Head, Failure> {
        for (number, page) in std::mem::take(&mut self.pages) {
            let key = keys::page(self.partition, number);
            let (check, value) = encoding::seal(&key, page);
            self.head.add(check);
            self.batch.insert(key, value);
        }
        let head = self.head.encode(self.partition);
        self.batch.insert(&keys::prefix(self.partition, keys::HEAD), head);
        self.db.apply_batch(self.batch)?;
        Ok(self.head)
    }
}

/// Removes some keys of the partition; whether there are more. The head goes first: should the
/// process die in between, what is left has none.
fn clear_some(db: &::sled::Db, partition: i32) -> Result<bool, Failure> {
    db.remove(keys::prefix(partition, keys::HEAD))?;
    let mut batch = ::sled::Batch::default();
    let mut count = 0;
    for key in db.scan_prefix(partition.to_be_bytes()).keys().take(CLEAR_KEYS) {
        batch.remove(key?);
        count += 1;
    }
    if count > 0 {
        db.apply_batch(batch)?;
    }
    Ok(count == CLEAR_KEYS)
}

/// Compares all records of a partition with its head.
fn verify(db: &::sled::Db, partition: i32, head: &Head) -> Result<(), Failure> {
    let mut found = Head { pages: 0, state: head.state.clone(), ..Head::default() };
    for item in db.scan_prefix(keys::prefix(partition, keys::PAGE)) {
        let (key, value) = item?;
        let (check, rest) = opened(&key, &value, "a page of entries")?;
        let number = keys::page_number(&key).ok_or(PAGE_DAMAGED)?;
        found.add(check);
        found.entries += page::verified(rest, number, head.pages).ok_or(PAGE_DAMAGED)?;
        found.pages += 1;
    }
    for item in db.scan_prefix(keys::prefix(partition, keys::OUTBOX)) {
        let (key, value) = item?;
        let (check, _) = opened(&key, &value, OUTBOX_DAMAGED)?;
        found.add(check);
        found.outbox += 1;
    }
    if found == *head { Ok(()) } else { Err(Failure::Corrupt("records are lost or older")) }
}

fn decode_outbox(key: &[u8], value: &[u8]) -> Result<(i64, OutboxRecord), Failure> {
    let (_, rest) = opened(key, value, OUTBOX_DAMAGED)?;
    keys::outbox_offset(key)
        .zip(encoding::read_outbox(rest))
        .ok_or(Failure::Corrupt(OUTBOX_DAMAGED))
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
            verify(db, partition, head)?;
            serde_json::from_slice(&head.state).map(Some).map_err(|_| Failure::Corrupt("its state"))
        })
    }

    fn entry(&self, partition: i32, key: &[u8]) -> Result<Option<Entry>, StoreError> {
        let slot = self.slot(partition);
        // Held while reading: a write may be moving the entry to another page.
        let mut slot = lock(&slot);
        self.use_db(|db| {
            let head = head(db, &mut slot, partition)?;
            if head.entries == 0 {
                return Ok(None);
            }
            let hash = page::term_hash(key);
            let key = keys::page(partition, page::page_of(&hash, head.pages));
            let value = db.get(&key)?.ok_or(PAGE_DAMAGED)?;
            let (_, rest) = opened(&key, &value, "a page of entries")?;
            page::find(rest, &hash).ok_or(PAGE_DAMAGED)
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
        let range = keys::outbox(partition, from, 0)..keys::outbox(partition, below, 0);
        self.use_db(|db| {
            db.range(range)
                .map(|item| {
                    let (key, value) = item?;
                    decode_outbox(&key, &value)
                })
                .collect()
        })
    }

    fn apply(&self, partition: i32, epoch: u64, batch: &Batch) -> Result<(), StoreError> {
        let state = serde_json::to_vec(&batch.state)
            .map_err(|_| StoreError::Corrupt("its state can't be written"))?;
        let slot = self.slot(partition);
        let mut slot = writing(&slot, epoch)?;
        self.use_db(|db| {
            let mut before = head(db, &mut slot, partition)?.clone();
            // Read again should anything go wrong from here on.
            slot.head = None;
            let is_new = before.pages == 0;
            if is_new {
                // A clearing that was cut short leaves records without a head.
                while clear_some(db, partition)? {}
                before.pages = 1;
            }
            before.state = state;
            let mut change = Change::new(db, partition, before);
            if is_new {
                change.pages.insert(0, page::empty());
            }
            change.put_entries(&batch.entries)?;
            change.resize()?;
            change.put_outbox(batch)?;
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
        let mut number =
            cursor.and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes);
        self.use_db(|db| {
            let before = head(db, &mut slot, partition)?.clone();
            let mut change = Change::new(db, partition, before);
            let mut looked_at = 0;
            let mut swept = false;
            while number < change.head.pages && looked_at < max.max(1) {
                let key = keys::page(partition, number);
                let value = db.get(&key)?.ok_or(PAGE_DAMAGED)?;
                let (check, rest) = opened(&key, &value, "a page of entries")?;
                let mut count = 0;
                let mut expired = false;
                for item in page::items(rest) {
                    expired |= item.ok_or(PAGE_DAMAGED)?.2.is_expired(last_append_ms);
                    count += 1;
                }
                if expired {
                    let (kept, _, gone) =
                        page::parted(rest, |_, entry| !entry.is_expired(last_append_ms))
                            .ok_or(PAGE_DAMAGED)?;
                    change.head.subtract(check);
                    change.head.entries = change.head.entries.saturating_sub(gone);
                    change.pages.insert(number, kept);
                    swept = true;
                }
                // A page without entries is work, too.
                looked_at += count.max(1);
                number += 1;
            }
            if swept {
                change.resize()?;
                slot.head = None;
                slot.head = Some(change.write()?);
            }
            let pages = slot.head.as_ref().map_or(0, |head| head.pages);
            Ok((number < pages).then(|| number.to_be_bytes().to_vec()))
        })
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.use_db(|db| Ok(db.flush().map(|_| ())?))
    }
}
