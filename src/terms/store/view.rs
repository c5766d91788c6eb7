//! What stands under which key of the database, and how one partition's records are read, changed
//! together and compared with what they have to be.
//!
//! sled's own checks miss some damage: a page that is lost, or that comes back as it was before. So
//! every record carries a check of its key and content, and a partition's head carries the sum of
//! all of them and their number. It knows nothing of epochs: who may write is `sled`'s affair.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::encoding::{self, CHECK_BYTES, Reader};
use super::numbered_outbox;
use super::page::{self, TermHash};
use crate::terms::fold::{Batch, Entry, OutboxRecord};

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
pub(super) struct Head {
    /// The sum of the checks of all pages and outbox records.
    sum: u64,
    pub entries: u64,
    outbox: u64,
    /// 0: the partition has no view.
    pub pages: u32,
    /// The partition's state as JSON.
    pub state: Vec<u8>,
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

/// Why a call of the database did not do.
pub(super) enum Failure {
    Corrupt(&'static str),
    Sled(::sled::Error),
}

impl From<::sled::Error> for Failure {
    fn from(error: ::sled::Error) -> Self {
        Failure::Sled(error)
    }
}

pub(super) fn read_head(db: &::sled::Db, partition: i32) -> Result<Head, Failure> {
    match db.get(keys::prefix(partition, keys::HEAD))? {
        None => Ok(Head::default()),
        Some(value) => Head::decode(partition, &value).ok_or(Failure::Corrupt("its head")),
    }
}

fn opened<'v>(key: &[u8], value: &'v [u8], what: &'static str) -> Result<(u32, &'v [u8]), Failure> {
    encoding::open(key, value).ok_or(Failure::Corrupt(what))
}

const PAGE_DAMAGED: Failure = Failure::Corrupt("a page of entries");
const OUTBOX_DAMAGED: &str = "an outbox record";

/// One write to a partition: the head and the pages as they become.
pub(super) struct Change<'d> {
    db: &'d ::sled::Db,
    partition: i32,
    head: Head,
    /// Pages that were read or made, with room for their checks. Their old checks are no longer
    /// in the head's sum.
    pages: BTreeMap<u32, Vec<u8>>,
    batch: ::sled::Batch,
}

impl<'d> Change<'d> {
    /// Of a partition as `head` describes it.
    pub fn new(db: &'d ::sled::Db, partition: i32, head: Head) -> Self {
        Change { db, partition, head, pages: BTreeMap::new(), batch: ::sled::Batch::default() }
    }

    /// Puts in what a step writes; `state` is the batch's as it is to be stored.
    pub fn put(&mut self, batch: &Batch, state: Vec<u8>) -> Result<(), Failure> {
        if self.head.pages == 0 {
            // A clearing that was cut short leaves records without a head.
            while clear_some(self.db, self.partition)? {}
            self.head.pages = 1;
            self.pages.insert(0, page::empty());
        }
        self.head.state = state;
        self.put_entries(&batch.entries)?;
        self.resize()?;
        self.put_outbox(batch)
    }

    /// Forgets the expired entries of the pages from `number` on, looking at about `max` entries;
    /// the first page that was not looked at.
    pub fn sweep(
        &mut self,
        mut number: u32,
        last_append_ms: i64,
        max: usize,
    ) -> Result<u32, Failure> {
        let mut looked_at = 0;
        while number < self.head.pages && looked_at < max.max(1) {
            let key = keys::page(self.partition, number);
            let value = self.db.get(&key)?.ok_or(PAGE_DAMAGED)?;
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
                self.head.subtract(check);
                self.head.entries = self.head.entries.saturating_sub(gone);
                self.pages.insert(number, kept);
            }
            // A page without entries is work, too.
            looked_at += count.max(1);
            number += 1;
        }
        if !self.pages.is_empty() {
            self.resize()?;
        }
        Ok(number)
    }

    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
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
    pub fn write(mut self) -> Result<Head, Failure> {
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
pub(super) fn clear_some(db: &::sled::Db, partition: i32) -> Result<bool, Failure> {
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
pub(super) fn verify(db: &::sled::Db, partition: i32, head: &Head) -> Result<(), Failure> {
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

/// The entry of a term.
pub(super) fn find(
    db: &::sled::Db,
    partition: i32,
    head: &Head,
    record_key: &[u8],
) -> Result<Option<Entry>, Failure> {
    if head.entries == 0 {
        return Ok(None);
    }
    let hash = page::term_hash(record_key);
    let key = keys::page(partition, page::page_of(&hash, head.pages));
    let value = db.get(&key)?.ok_or(PAGE_DAMAGED)?;
    let (_, rest) = opened(&key, &value, "a page of entries")?;
    page::find(rest, &hash).ok_or(PAGE_DAMAGED)
}

/// Outbox records of offsets `from..below`, in order; `from` is below `below`.
pub(super) fn outbox(
    db: &::sled::Db,
    partition: i32,
    from: i64,
    below: i64,
) -> Result<Vec<(i64, OutboxRecord)>, Failure> {
    db.range(keys::outbox(partition, from, 0)..keys::outbox(partition, below, 0))
        .map(|item| {
            let (key, value) = item?;
            decode_outbox(&key, &value)
        })
        .collect()
}
