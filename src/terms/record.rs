//! The records of the observations log: what their keys and values are, and which partition they
//! go to.
//!
//! Keys are JSON arrays, so that they read well in Kafka's tools and no two terms can collide:
//! `["term", rule, version, cluster, [values]]` and `["marker"]`. Compaction keeps the last record
//! of each key.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::alert::shrink;
use crate::failure::Class;
use crate::position::Position;
use crate::terms::observation::{Observation, Sighting};

/// Version of the shard hash. Part of the marker: another hash moves users to other partitions.
pub const HASH_VERSION: u32 = 1;

/// What the owner of a partition writes into it: the log's identity, and when each version of a
/// new-terms rule began to learn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    pub log_id: String,
    /// Partitions of the topic when the log began.
    pub partitions: u32,
    pub hash_version: u32,
    /// Start of learning by the rule's terms version, milliseconds since the epoch.
    pub learning_starts: BTreeMap<String, i64>,
}

impl Marker {
    /// Whether it says when the version began to learn.
    pub fn starts(&self, terms_version: &str) -> bool {
        self.learning_starts.contains_key(terms_version)
    }

    /// Whether nothing of the other is lost when only this one is left.
    pub fn covers(&self, other: &Marker) -> bool {
        self.log_id == other.log_id
            && self.partitions == other.partitions
            && self.hash_version == other.hash_version
            && other.learning_starts.iter().all(|(version, start)| {
                self.learning_starts.get(version).is_some_and(|own| own <= start)
            })
    }
}

/// A record of the log.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    Observation {
        /// Of the term.
        key: Vec<u8>,
        sighting: Sighting,
        /// The observation's JSON, for the alert; [`observation`] reads it. Empty where no alert
        /// is made.
        value: Vec<u8>,
    },
    Marker(Marker),
    /// A record without a value.
    Tombstone,
}

/// A record that is none of ours. It is counted and passed over.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("the record has no key")]
    NoKey,
    #[error("the key is not one of ours")]
    Key,
    #[error("the value can't be read (line {line}, column {column})")]
    Value { line: usize, column: usize },
    #[error("the key does not belong to the value")]
    Mismatch,
}

impl DecodeError {
    /// The record means nothing to the fold, today or at any replay.
    pub fn class(&self) -> Class {
        Class::Poison
    }
}

impl From<serde_json::Error> for DecodeError {
    fn from(error: serde_json::Error) -> Self {
        DecodeError::Value { line: error.line(), column: error.column() }
    }
}

pub fn marker_key() -> &'static [u8] {
    br#"["marker"]"#
}

/// The key of an observation's term.
pub fn key(observation: &Observation) -> Vec<u8> {
    let key = (
        "term",
        &observation.rule.id,
        &observation.terms_version,
        &observation.cluster,
        &observation.terms,
    );
    // Strings and lists of strings always serialize.
    serde_json::to_vec(&key).unwrap_or_default()
}

pub fn value(observation: &Observation) -> Result<Vec<u8>, serde_json::Error> {
    // Few are longer.
    let mut value = Vec::with_capacity(VALUE_BYTES);
    serde_json::to_writer(&mut value, observation)?;
    // It is kept until the brokers have it.
    value.shrink_to_fit();
    Ok(value)
}

/// Room for the JSON of most observations, so that it need not move while it grows.
const VALUE_BYTES: usize = 4 * 1024;

/// A shorter form of an observation's value, for a topic that refuses the whole as too large: the
/// event is cut until the value takes `below` bytes or the event can't be cut any more. What
/// decides (rule, terms, identity, outcome and stage) stays whole, so that it means the same.
///
/// `None` when the value is none of ours, or when it would no longer mean the same.
pub fn reduced(value: &[u8], below: usize) -> Option<Vec<u8>> {
    let whole: Observation = serde_json::from_slice(value).ok()?;
    let mut document: Value = serde_json::from_slice(value).ok()?;
    let event = document.get_mut("event")?.take();
    let rest = document.to_string().len();
    let event = shrink::to_fit(event, &EVENT_IDENTITY, below.saturating_sub(rest));
    let fields = document.as_object_mut()?;
    fields.insert("event".to_owned(), event);
    fields.insert("reduced".to_owned(), Value::Bool(true));
    let bytes = serde_json::to_vec(&document).ok()?;
    let mut short: Observation = serde_json::from_slice(&bytes).ok()?;
    let same_outcome = short.event.outcome() == whole.event.outcome()
        && short.event.stage_rank() == whole.event.stage_rank();
    short.event = whole.event.clone();
    short.reduced = whole.reduced;
    (same_outcome && short == whole).then_some(bytes)
}

/// Where the event of an observation stood, by the observation's value.
pub fn position(value: &[u8]) -> Option<Position> {
    let document: Value = serde_json::from_slice(value).ok()?;
    Position::deserialize(document.get("position")?).ok()
}

/// What of an event says which one it is and how it ended.
const EVENT_IDENTITY: [&str; 5] = [
    "/auditID",
    "/stage",
    "/responseStatus/code",
    "/annotations/authorization.k8s.io~1decision",
    "/annotations/authorization_k8s_io~1decision",
];

pub fn marker_value(marker: &Marker) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(marker)
}

pub fn decode(key_bytes: Option<&[u8]>, value: Option<&[u8]>) -> Result<Record, DecodeError> {
    let mut record = decode_silently(key_bytes, value)?;
    if let (Record::Observation { value: kept, .. }, Some(value)) = (&mut record, value) {
        *kept = value.to_vec();
    }
    Ok(record)
}

/// As [`decode`], without a copy of the observation: for a fold that makes alerts of nothing.
pub fn decode_silently(
    key_bytes: Option<&[u8]>,
    value: Option<&[u8]>,
) -> Result<Record, DecodeError> {
    let Some(value) = value else { return Ok(Record::Tombstone) };
    let key_bytes = key_bytes.ok_or(DecodeError::NoKey)?;
    if key_bytes == marker_key() {
        return Ok(Record::Marker(serde_json::from_slice(value)?));
    }
    if !key_bytes.starts_with(br#"["term","#) {
        return Err(DecodeError::Key);
    }
    let sighting = Sighting::read(value)?;
    Ok(Record::Observation { key: key_bytes.to_vec(), sighting, value: Vec::new() })
}

/// The whole observation of a record, to make an alert of.
///
/// # Errors
/// It is none of ours although it can be folded: the state depends on no more than a [`Sighting`],
/// so that it is the same whether the alert is wanted or not.
pub fn observation(key_bytes: &[u8], value: &[u8]) -> Result<Observation, DecodeError> {
    let observation: Observation = serde_json::from_slice(value)?;
    if key(&observation) == key_bytes { Ok(observation) } else { Err(DecodeError::Mismatch) }
}

/// The partition of a shard key: the first 8 bytes of its SHA-256, big-endian, modulo the number
/// of partitions. Stable over versions, machines and client libraries.
pub fn partition_for(shard_key: &str, partitions: u32) -> u32 {
    let digest = Sha256::digest(shard_key.as_bytes());
    let mut first = [0u8; 8];
    first.copy_from_slice(&digest[..8]);
    let partitions = u64::from(partitions.max(1));
    u32::try_from(u64::from_be_bytes(first) % partitions).unwrap_or(0)
}

#[cfg(test)]
mod tests;
