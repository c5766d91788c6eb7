//! Pages: the entries of a partition in small groups by the hash of their terms.
//!
//! One record of the database an entry would cost a database's bookkeeping each; a page of some
//! dozens costs it once. Which page a term is in follows from its hash and the number of pages
//! (linear hashing): pages are added and taken away one at a time, and each time only one page is
//! divided or joined. Pure: bytes in, bytes out.

use sha2::{Digest, Sha256};

use super::encoding::{CHECK_BYTES, RawEntry, Reader, put_entry};
use crate::terms::fold::Entry;

/// What a term is known by in the view: the first 16 bytes of the SHA-256 of its record key.
///
/// Two of a million terms fall together with a probability of 2^-89. Whoever wants to be taken for
/// a term of somebody else needs 2^128 / terms attempts; making two terms of one's own fall
/// together takes 2^64, and wins nothing, since the first of them raises the alert.
pub(super) type TermHash = [u8; 16];

pub(super) fn term_hash(record_key: &[u8]) -> TermHash {
    let digest = Sha256::digest(record_key);
    let mut hash = TermHash::default();
    hash.copy_from_slice(&digest[..16]);
    hash
}

/// Entries a page, on average, before another page is added. More make updates of single entries
/// dearer, fewer the reading of a whole view.
pub(super) const ENTRIES_A_PAGE: u64 = 64;
/// Pages are joined again below this share of it, so that adding and taking away do not alternate.
const JOIN_BELOW: u64 = 4;

/// How many pages so many entries should have, when they have `pages` now.
pub(super) fn pages_wanted(entries: u64, pages: u32) -> u32 {
    let full = entries.div_ceil(ENTRIES_A_PAGE).max(1);
    let full = u32::try_from(full).unwrap_or(u32::MAX);
    let sparse = u32::try_from(entries.saturating_mul(JOIN_BELOW).div_ceil(ENTRIES_A_PAGE).max(1))
        .unwrap_or(u32::MAX);
    pages.clamp(full, sparse.max(full))
}

/// The page of a term among `pages` (at least one).
pub(super) fn page_of(hash: &TermHash, pages: u32) -> u32 {
    let [a, b, c, d, ..] = *hash;
    let bits = u32::from_be_bytes([a, b, c, d]);
    // With 2^n to 2^(n+1) pages: n+1 bits where that page exists, else n.
    let low = 1u32 << pages.ilog2();
    let page = bits & (low - 1);
    let divided = page | (bits & low);
    if divided < pages { divided } else { page }
}

/// The page that page number `pages` is divided from when it is added.
pub(super) fn divided_from(pages: u32) -> u32 {
    pages - (1 << pages.ilog2())
}

/// An empty page: nothing but the room for the check.
pub(super) fn empty() -> Vec<u8> {
    vec![0; CHECK_BYTES]
}

/// An entry with its hash, as bytes.
pub(super) type Item<'b> = (TermHash, &'b [u8], RawEntry<'b>);

/// The entries of a page, in the order of their hashes; `None` at the first thing that is not one.
pub(super) fn items(rest: &[u8]) -> impl Iterator<Item = Option<Item<'_>>> {
    let mut reader = Reader(rest);
    let mut failed = false;
    std::iter::from_fn(move || {
        if reader.0.is_empty() || failed {
            return None;
        }
        let start = reader.0;
        let read = reader.array().zip(RawEntry::read(&mut reader));
        failed = read.is_none();
        let length = start.len() - reader.0.len();
        Some(read.map(|(hash, entry)| (hash, &start[..length], entry)))
    })
}

/// The entry of a term. The outer `None`: the page can't be read.
pub(super) fn find(rest: &[u8], hash: &TermHash) -> Option<Option<Entry>> {
    for item in items(rest) {
        let (found, _, entry) = item?;
        if found == *hash {
            return entry.to_entry().map(Some);
        }
        if found > *hash {
            break;
        }
    }
    Some(None)
}

/// A page with entries put in or replaced, and how many are new. `changes` are in the order of
/// their hashes.
pub(super) fn merged(rest: &[u8], changes: &[(TermHash, &Entry)]) -> Option<(Vec<u8>, u64)> {
    let mut page = Vec::with_capacity(CHECK_BYTES + rest.len() + changes.len() * 64);
    page.resize(CHECK_BYTES, 0);
    let put = |page: &mut Vec<u8>, (hash, entry): &(TermHash, &Entry)| {
        page.extend_from_slice(hash);
        put_entry(page, entry);
    };
    let mut changes = changes.iter().peekable();
    let mut added = 0;
    for item in items(rest) {
        let (hash, bytes, _) = item?;
        while let Some(change) = changes.next_if(|(new, _)| *new < hash) {
            put(&mut page, change);
            added += 1;
        }
        match changes.next_if(|(new, _)| *new == hash) {
            Some(change) => put(&mut page, change),
            None => page.extend_from_slice(bytes),
        }
    }
    for change in changes {
        put(&mut page, change);
        added += 1;
    }
    Some((page, added))
}

/// The entries that `keep` wants, the others, and how many those are.
pub(super) fn parted(
    rest: &[u8],
    keep: impl Fn(&TermHash, &RawEntry<'_>) -> bool,
) -> Option<(Vec<u8>, Vec<u8>, u64)> {
    let (mut kept, mut others, mut count) = (empty(), empty(), 0);
    for item in items(rest) {
        let (hash, bytes, entry) = item?;
        if keep(&hash, &entry) {
            kept.extend_from_slice(bytes);
        } else {
            others.extend_from_slice(bytes);
            count += 1;
        }
    }
    Some((kept, others, count))
}

/// Two pages in one.
pub(super) fn joined(one: &[u8], other: &[u8]) -> Option<Vec<u8>> {
    let mut page = Vec::with_capacity(CHECK_BYTES + one.len() + other.len());
    page.resize(CHECK_BYTES, 0);
    let mut others = items(other).peekable();
    for item in items(one) {
        let (hash, bytes, _) = item?;
        while let Some(before) = others.next_if(|o| o.as_ref().is_none_or(|o| o.0 < hash)) {
            page.extend_from_slice(before?.1);
        }
        page.extend_from_slice(bytes);
    }
    for item in others {
        page.extend_from_slice(item?.1);
    }
    Some(page)
}

/// How many entries a page holds; `None` when they are not all its own, in order, each once.
pub(super) fn verified(rest: &[u8], number: u32, pages: u32) -> Option<u64> {
    let mut count = 0;
    let mut last: Option<TermHash> = None;
    for item in items(rest) {
        let (hash, _, _) = item?;
        if page_of(&hash, pages) != number || last.is_some_and(|last| last >= hash) {
            return None;
        }
        last = Some(hash);
        count += 1;
    }
    Some(count)
}
