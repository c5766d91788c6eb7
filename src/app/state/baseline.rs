//! The form of a baseline: what `state export` writes and `state import` reads. Pure.
//!
//! NDJSON. The first line is the header: what the file is, and how many terms follow. Each further
//! line is a term: key and value of the latest record of it, and when that was appended. A value
//! is written as this program writes observations, so it has no fields but those of an
//! observation: no request or response body, and no mark of having been imported, since that is
//! how a term came and not what it is.
//!
//! What is read may be anything. A term counts only if it is one that this program could have
//! written itself: a wrong window or shard key would make a term known for ever, or never found.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::limits::{TERM_MAX_BYTES, WINDOW_MAX_MS};
use crate::rules::rule::{NewTermsRule, RuleKind};
use crate::rules::set::RuleSet;
use crate::terms::observation::Observation;
use crate::terms::record::{self, HASH_VERSION};

const KIND: &str = "terms-baseline";
const FORMAT: u32 = 1;
/// Larger values are cut: Kafka's default for `max.message.bytes` is 1,048,588 bytes with the
/// batch's overhead.
const VALUE_MAX_BYTES: usize = 900_000;

/// What a term that was cut may be longer than `TERM_MAX_BYTES`: the hash of the whole.
const TERM_TAIL_BYTES: usize = 128;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// `terms-baseline`
    pub kubetell: String,
    pub format: u32,
    /// Of the program that wrote it.
    pub version: String,
    pub topic: String,
    /// Of the topic.
    pub partitions: u32,
    /// Version of the hash by which the log is sharded.
    pub hash_version: u32,
    /// Ids of the partitions' logs, `null` where a partition had none.
    pub log_ids: Vec<Option<String>>,
    /// RFC 3339.
    pub exported_at: String,
    /// How many lines follow.
    pub terms: u64,
}

/// What a header says of the log.
pub struct Origin<'a> {
    pub topic: &'a str,
    pub partitions: u32,
    pub hash_version: u32,
    pub log_ids: Vec<Option<String>>,
    /// Milliseconds since the epoch.
    pub exported_at_ms: i64,
}

#[derive(Serialize)]
struct LineOut<'a> {
    key: &'a RawValue,
    value: &'a RawValue,
    append_time: String,
}

#[derive(Deserialize)]
struct LineIn<'a> {
    key: (String, String, String, String, Vec<String>),
    #[serde(borrow)]
    value: &'a RawValue,
    #[serde(borrow)]
    append_time: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow)]
    kubetell: Option<Cow<'a, str>>,
}

/// Why a header is refused, and with it the whole file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    #[error("the header of the baseline can't be read: {0}")]
    Json(String),
    #[error("the baseline has format {0}, and this version reads format {FORMAT}")]
    Format(u32),
    #[error(
        "the baseline is of a log that was sharded by version {0} of the hash, and this version of the program has version {HASH_VERSION}"
    )]
    Hash(u32),
}

/// Why a line of a baseline is no term. Never holds content of the line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TermError {
    #[error("not a term of a baseline: {0}")]
    Json(String),
    #[error("the key does not belong to the value")]
    Key,
    #[error("`append_time` is no time")]
    Time,
    #[error("`{0}` is empty")]
    Empty(&'static str),
    #[error("there are not as many terms as fields, or none")]
    Count,
    #[error("`{0}` is longer than it can be")]
    Long(&'static str),
    #[error("`{0}` is not in the range of what a rule can have")]
    Range(&'static str),
    #[error("`shard_key` does not belong to the terms")]
    Shard,
    #[error("`{0}` is not what the rule in force has under this version of its terms")]
    Rule(&'static str),
}

/// A term of a baseline.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    pub observation: Observation,
    /// Milliseconds since the epoch.
    pub append_ms: i64,
}

/// The header's line, without the line feed.
pub fn header_line(origin: Origin<'_>, terms: u64) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Header {
        kubetell: KIND.to_owned(),
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        topic: origin.topic.to_owned(),
        partitions: origin.partitions,
        hash_version: origin.hash_version,
        log_ids: origin.log_ids,
        exported_at: time_text(origin.exported_at_ms),
        terms,
    })
}

/// The value of a term as a baseline has it.
pub fn value(mut observation: Observation) -> Result<Vec<u8>, serde_json::Error> {
    observation.history = false;
    bounded_value(&observation)
}

/// The value of a record, with an event that is too large for many brokers cut as it would be cut
/// for them: what decides stays whole, and no item takes much memory.
pub fn bounded_value(observation: &Observation) -> Result<Vec<u8>, serde_json::Error> {
    let value = record::value(observation)?;
    if value.len() <= VALUE_MAX_BYTES {
        return Ok(value);
    }
    let Some(reduced) = record::reduced(&value, VALUE_MAX_BYTES) else { return Ok(value) };
    // Read and written once more, so that the order of its fields is the usual one.
    record::value(&serde_json::from_slice::<Observation>(&reduced)?)
}

/// A term's line, without the line feed. `value` is what [`value`] made.
pub fn term_line(key: &[u8], value: &[u8], append_ms: i64) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&LineOut {
        key: serde_json::from_slice(key)?,
        value: serde_json::from_slice(value)?,
        append_time: time_text(append_ms),
    })
}

/// RFC 3339 in UTC, of milliseconds since the epoch.
pub fn time_text(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).unwrap_or_default().to_string()
}

/// Whether a record is the header of a baseline, of whatever format.
pub fn is_header(record: &[u8]) -> bool {
    // An audit event has no such field; most are told apart without being parsed.
    memchr::memmem::find(record, KIND.as_bytes()).is_some()
        && serde_json::from_slice::<Kind<'_>>(record)
            .is_ok_and(|found| found.kubetell.as_deref() == Some(KIND))
}

/// Whether a record looks like a term's line, in whatever file.
pub fn is_term(record: &[u8]) -> bool {
    record.starts_with(br#"{"key":["term","#)
}

pub fn header(record: &[u8]) -> Result<Header, HeaderError> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let json = |error: serde_json::Error| HeaderError::Json(error.to_string());
    // A later format may have other fields, so it is asked for first.
    let Format { format } = serde_json::from_slice(record).map_err(json)?;
    if format != FORMAT {
        return Err(HeaderError::Format(format));
    }
    let header: Header = serde_json::from_slice(record).map_err(json)?;
    if header.hash_version == HASH_VERSION {
        Ok(header)
    } else {
        Err(HeaderError::Hash(header.hash_version))
    }
}

pub fn term(record: &[u8], rules: &RuleSet) -> Result<Term, TermError> {
    let line: LineIn<'_> = serde_json::from_slice(record).map_err(|error| place(&error))?;
    let observation: Observation =
        serde_json::from_str(line.value.get()).map_err(|error| place(&error))?;
    let (kind, rule, version, cluster, terms) = line.key;
    if kind != "term"
        || (rule, version, cluster)
            != (
                observation.rule.id.clone(),
                observation.terms_version.clone(),
                observation.cluster.clone(),
            )
        || terms != observation.terms
    {
        return Err(TermError::Key);
    }
    check(&observation, rules)?;
    let append_time: jiff::Timestamp = line.append_time.parse().map_err(|_| TermError::Time)?;
    Ok(Term { observation, append_ms: append_time.as_millisecond() })
}

/// serde_json's texts may repeat what they found; whoever wrote the line must not write the log.
fn place(error: &serde_json::Error) -> TermError {
    let what = match error.classify() {
        serde_json::error::Category::Data => "a field is missing or has another type",
        serde_json::error::Category::Eof => "it ends too early",
        _ => "not JSON",
    };
    TermError::Json(format!("{what} (column {})", error.column()))
}

fn check(observation: &Observation, rules: &RuleSet) -> Result<(), TermError> {
    for (name, text) in [
        ("rule.id", &observation.rule.id),
        ("terms_version", &observation.terms_version),
        ("cluster", &observation.cluster),
        ("event_id", &observation.event_id),
    ] {
        if text.is_empty() {
            return Err(TermError::Empty(name));
        }
        if text.len() > TERM_MAX_BYTES {
            return Err(TermError::Long(name));
        }
    }
    let terms = &observation.terms;
    if terms.is_empty() || terms.len() != observation.fields.len() {
        return Err(TermError::Count);
    }
    if terms.iter().any(|term| term.len() > TERM_MAX_BYTES + TERM_TAIL_BYTES) {
        return Err(TermError::Long("terms"));
    }
    if !(1..=WINDOW_MAX_MS).contains(&observation.window_ms) {
        return Err(TermError::Range("window_ms"));
    }
    if !(0..=WINDOW_MAX_MS).contains(&observation.learning_ms) {
        return Err(TermError::Range("learning_ms"));
    }
    let whole = terms.join("\n");
    let Some((id, rule)) = in_force(rules, &observation.terms_version) else {
        let known = terms.contains(&observation.shard_key) || observation.shard_key == whole;
        return if known { Ok(()) } else { Err(TermError::Shard) };
    };
    if observation.rule.id != id {
        return Err(TermError::Rule("rule.id"));
    }
    if !rule.fields.iter().map(|field| field.name()).eq(&observation.fields) {
        return Err(TermError::Rule("fields"));
    }
    if observation.window_ms != rule.window_ms {
        return Err(TermError::Rule("window_ms"));
    }
    let shard = rule.shard_by.as_ref();
    let shard = shard.and_then(|by| rule.fields.iter().position(|field| field == by));
    let shard_key = shard.and_then(|at| terms.get(at)).unwrap_or(&whole);
    if observation.shard_key == *shard_key { Ok(()) } else { Err(TermError::Shard) }
}

/// The rule in force whose terms have this version, with its id.
pub fn in_force<'r>(rules: &'r RuleSet, version: &str) -> Option<(&'r str, &'r NewTermsRule)> {
    rules.rules().iter().find_map(|rule| match rule.kind() {
        RuleKind::NewTerms(terms) if terms.terms_version == version => Some((rule.id(), terms)),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
