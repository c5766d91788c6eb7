//! How the view's records are written as bytes: checked, length-prefixed, and read with bounds.
//!
//! Owns the format of numbers, entries and outbox records. Reading never trusts a length: whatever
//! the bytes are, the answer is a value or "these are not ours". It knows nothing of where the
//! bytes are kept.

use uuid::Uuid;

use crate::terms::fold::{Entry, OutboxRecord};

/// Most headers of an outbox record: ours have a handful.
const HEADERS_MAX: u64 = 64;

pub(super) const CHECK_BYTES: usize = 4;

/// CRC-32 of a record's key and of what follows the check in its value: a value under another key
/// is noticed, too.
pub(super) fn check_of(key: &[u8], rest: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(rest);
    hasher.finalize()
}

/// A value with its check in front, of `body`, which has left `CHECK_BYTES` free for it.
pub(super) fn seal(key: &[u8], mut body: Vec<u8>) -> (u32, Vec<u8>) {
    let check = check_of(key, &body[CHECK_BYTES..]);
    body[..CHECK_BYTES].copy_from_slice(&check.to_be_bytes());
    (check, body)
}

/// The check and the rest of a value; `None` when they do not belong together.
pub(super) fn open<'b>(key: &[u8], value: &'b [u8]) -> Option<(u32, &'b [u8])> {
    let (check, rest) = value.split_first_chunk::<CHECK_BYTES>()?;
    let check = u32::from_be_bytes(*check);
    (check == check_of(key, rest)).then_some((check, rest))
}

/// Reads from the front of some bytes.
pub(super) struct Reader<'b>(pub &'b [u8]);

impl<'b> Reader<'b> {
    pub fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// LEB128: seven bits a byte, the lowest first.
    pub fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return None;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// A signed number, zigzag: small ones of either sign are short.
    pub fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    /// Bytes behind their length.
    pub fn bytes(&mut self) -> Option<&'b [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        self.take(length)
    }
}

pub(super) fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn put_signed(bytes: &mut Vec<u8>, number: i64) {
    put_number(bytes, (number << 1 ^ number >> 63).cast_unsigned());
}

fn put_bytes(bytes: &mut Vec<u8>, content: &[u8]) {
    put_number(bytes, content.len() as u64);
    bytes.extend_from_slice(content);
}

const RAISED: u8 = 1;
const OUTCOME_TOLD: u8 = 2;
/// The id is a UUID in its usual spelling, which events' identities are, and stands as 16 bytes.
const ID_IS_UUID: u8 = 4;

/// Behind its length (so that it can be skipped unread): flags, first sighting, how much later the
/// last one was, window, id; about 33 bytes.
pub(super) fn put_entry(bytes: &mut Vec<u8>, entry: &Entry) {
    let start = bytes.len();
    put_entry_body(bytes, entry);
    match u8::try_from(bytes.len() - start) {
        // As `put_number` writes it, which nearly all are short enough for.
        Ok(length) if length < 0x80 => bytes.insert(start, length),
        _ => {
            let body = bytes.split_off(start);
            put_bytes(bytes, &body);
        }
    }
}

fn put_entry_body(bytes: &mut Vec<u8>, entry: &Entry) {
    let uuid = usual_uuid(&entry.first_event_id);
    let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
    bytes.push(
        flag(entry.raised, RAISED)
            | flag(entry.outcome_told, OUTCOME_TOLD)
            | flag(uuid.is_some(), ID_IS_UUID),
    );
    put_signed(bytes, entry.first_seen_ms);
    put_signed(bytes, entry.last_seen_ms.wrapping_sub(entry.first_seen_ms));
    put_signed(bytes, entry.window_ms);
    match uuid {
        Some(uuid) => bytes.extend_from_slice(uuid.as_bytes()),
        None => put_bytes(bytes, entry.first_event_id.as_bytes()),
    }
}

/// An entry as it stands in a page, its id not yet copied.
pub(super) struct RawEntry<'b> {
    flags: u8,
    first_seen_ms: i64,
    last_seen_ms: i64,
    window_ms: i64,
    id: &'b [u8],
}

impl<'b> RawEntry<'b> {
    /// Of the bytes behind the length.
    pub fn read(bytes: &'b [u8]) -> Option<RawEntry<'b>> {
        let mut reader = Reader(bytes);
        let [flags] = reader.array()?;
        if flags > RAISED | OUTCOME_TOLD | ID_IS_UUID {
            return None;
        }
        let first_seen_ms = reader.signed()?;
        let last_seen_ms = first_seen_ms.wrapping_add(reader.signed()?);
        let window_ms = reader.signed()?;
        let id = if flags & ID_IS_UUID == 0 { reader.bytes()? } else { reader.take(16)? };
        let entry = RawEntry { flags, first_seen_ms, last_seen_ms, window_ms, id };
        reader.0.is_empty().then_some(entry)
    }

    pub fn to_entry(&self) -> Option<Entry> {
        let first_event_id = if self.flags & ID_IS_UUID == 0 {
            std::str::from_utf8(self.id).ok()?.to_owned()
        } else {
            Uuid::from_slice(self.id).ok()?.hyphenated().to_string()
        };
        Some(Entry {
            first_seen_ms: self.first_seen_ms,
            last_seen_ms: self.last_seen_ms,
            window_ms: self.window_ms,
            first_event_id,
            raised: self.flags & RAISED != 0,
            outcome_told: self.flags & OUTCOME_TOLD != 0,
        })
    }

    pub fn is_expired(&self, last_append_ms: i64) -> bool {
        last_append_ms > Entry::kept_until_ms(self.last_seen_ms, self.window_ms)
    }
}

/// Only the spelling that comes back exactly: lower case, with hyphens.
fn usual_uuid(id: &str) -> Option<Uuid> {
    let uuid = Uuid::try_parse(id).ok()?;
    let mut buffer = Uuid::encode_buffer();
    (uuid.hyphenated().encode_lower(&mut buffer) == id).then_some(uuid)
}

/// Key, payload, reduced form (behind a byte that says whether there is one), headers; each with
/// its length in front.
pub(super) fn put_outbox(bytes: &mut Vec<u8>, record: &OutboxRecord) {
    put_bytes(bytes, &record.key);
    put_bytes(bytes, &record.payload);
    match &record.reduced {
        None => bytes.push(0),
        Some(reduced) => {
            bytes.push(1);
            put_bytes(bytes, reduced);
        }
    }
    put_number(bytes, record.headers.len() as u64);
    for (name, value) in &record.headers {
        put_bytes(bytes, name.as_bytes());
        put_bytes(bytes, value);
    }
}

/// `None` when the bytes are not exactly an outbox record.
pub(super) fn read_outbox(bytes: &[u8]) -> Option<OutboxRecord> {
    let mut reader = Reader(bytes);
    let key = reader.bytes()?.to_vec();
    let payload = reader.bytes()?.to_vec();
    let reduced = match reader.array()? {
        [0] => None,
        [1] => Some(reader.bytes()?.to_vec()),
        _ => return None,
    };
    let count = reader.number().filter(|count| *count <= HEADERS_MAX)?;
    let mut headers = Vec::new();
    for _ in 0..count {
        let name = std::str::from_utf8(reader.bytes()?).ok()?.to_owned();
        headers.push((name, reader.bytes()?.to_vec()));
    }
    reader.0.is_empty().then_some(OutboxRecord { key, payload, reduced, headers })
}
