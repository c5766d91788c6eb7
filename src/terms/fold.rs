//! The fold: what one more record of the log does to the state of its partition, and whether it
//! raises an alert. Pure: no I/O, no clock; time is the record's append time.
//!
//! The state after a record depends on the log up to that record alone, never on whether alerts
//! were sent on the way: an owner that takes over folds what others processed with the same
//! function, and only does not send.

use std::collections::HashMap;

use crate::limits::{REVISION_MAX_MS, WINDOW_SLACK_MS};
use crate::terms::observation::Sighting;
use crate::terms::record::{Marker, Record};

/// What is remembered of a term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Append time of the record that opened the window, milliseconds.
    pub first_seen_ms: i64,
    /// Append time of the record appended last, milliseconds.
    pub last_seen_ms: i64,
    pub window_ms: i64,
    /// Id of the event that opened the window: a part of the alert's id.
    pub first_event_id: String,
    /// The opening raised an alert: it was neither history nor learning.
    pub raised: bool,
    /// The alert, or a revision of it, told the outcome.
    pub outcome_told: bool,
}

impl Entry {
    /// Whether a view may forget the entry: no record that is still to come can find it inside
    /// its window. Counted by the log's time, with an hour's slack, since broker clocks can step
    /// back at a leader change.
    pub fn is_expired(&self, last_append_ms: i64) -> bool {
        last_append_ms > Entry::kept_until_ms(self.last_seen_ms, self.window_ms)
    }

    pub(crate) fn kept_until_ms(last_seen_ms: i64, window_ms: i64) -> i64 {
        last_seen_ms.saturating_add(window_ms).saturating_add(WINDOW_SLACK_MS)
    }
}

/// The state of a partition beside its entries.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PartitionState {
    /// One past the offset of the last folded record.
    pub next: i64,
    /// Highest append time folded, milliseconds.
    pub last_append_ms: i64,
    /// All markers folded so far, merged; `None` before the first.
    pub marker: Option<Marker>,
    /// Offset of the last marker folded: where the log's identity can be looked up again.
    pub marker_offset: i64,
    /// Append time of the last marker folded, milliseconds.
    pub marker_append_ms: i64,
    /// Offset of the first marker, since the last whole one, that lacks a part of the merge: the
    /// whole has to be appended before anything behind it is committed.
    pub marker_owed_from: Option<i64>,
}

impl PartitionState {
    pub fn log_id(&self) -> Option<&str> {
        self.marker.as_ref().map(|marker| marker.log_id.as_str())
    }

    /// Whether a marker has to be appended and acknowledged before this is folded.
    pub fn lacks_learning_start(&self, sighting: &Sighting) -> bool {
        self.marker.as_ref().is_none_or(|marker| !marker.starts(&sighting.terms_version))
    }
}

/// Writes of one step, to be applied atomically.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    pub state: PartitionState,
    pub entries: HashMap<Vec<u8>, Entry>,
    /// What is sent, by the offset of the record that raised it.
    pub outbox: Vec<(i64, OutboxRecord)>,
    /// Outbox entries below this offset are acknowledged and committed.
    pub prune_below: Option<i64>,
}

/// A record to be sent, kept until its acknowledgement is committed, so that a replay repeats the
/// same bytes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct OutboxRecord {
    pub key: Vec<u8>,
    pub payload: Vec<u8>,
    pub reduced: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
}

/// What a record means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A marker, a tombstone, a known term.
    Nothing,
    /// A new term that stays silent: history, or its rule is learning.
    Silent,
    /// A new term.
    New,
    /// A later stage of the event that opened the term's window tells its outcome first.
    Revision,
}

/// Verdict with the id of the event that opened the window, which alerts are named after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub verdict: Verdict,
    pub first_event_id: Option<String>,
}

impl Decision {
    const NOTHING: Decision = Decision { verdict: Verdict::Nothing, first_event_id: None };

    pub fn raises(&self) -> bool {
        matches!(self.verdict, Verdict::New | Verdict::Revision)
    }
}

/// Folds the record at `offset`, appended at `append_ms`, into `batch`. `stored` looks up entries
/// that the batch does not hold. The offset is never below `batch.state.next`: replays are the
/// outbox's affair.
///
/// # Errors
/// Those of `stored`; the batch is then unchanged.
pub fn fold<E>(
    batch: &mut Batch,
    offset: i64,
    append_ms: i64,
    record: &Record,
    stored: impl FnOnce(&[u8]) -> Result<Option<Entry>, E>,
) -> Result<Decision, E> {
    let decision = match record {
        Record::Tombstone => Decision::NOTHING,
        Record::Marker(marker) => {
            fold_marker(&mut batch.state, offset, marker);
            batch.state.marker_offset = offset;
            batch.state.marker_append_ms = append_ms;
            Decision::NOTHING
        }
        Record::Observation { key, sighting, .. } => {
            let known = match batch.entries.get(key) {
                Some(entry) => Some(entry.clone()),
                None => stored(key)?,
            };
            let (entry, decision) = observe(&batch.state, known, append_ms, sighting);
            batch.entries.insert(key.clone(), entry);
            decision
        }
    };
    pass(batch, offset, append_ms);
    Ok(decision)
}

/// Moves past a record that can't be decoded.
pub fn pass(batch: &mut Batch, offset: i64, append_ms: i64) {
    batch.state.next = offset + 1;
    batch.state.last_append_ms = batch.state.last_append_ms.max(append_ms);
}

fn fold_marker(state: &mut PartitionState, offset: i64, marker: &Marker) {
    let Some(merged) = &mut state.marker else {
        state.marker = Some(marker.clone());
        state.marker_owed_from = None;
        return;
    };
    for (version, start) in &marker.learning_starts {
        merged
            .learning_starts
            .entry(version.clone())
            .and_modify(|earliest| *earliest = (*earliest).min(*start))
            .or_insert(*start);
    }
    state.marker_owed_from =
        if merged == marker { None } else { state.marker_owed_from.or(Some(offset)) };
}

fn observe(
    state: &PartitionState,
    known: Option<Entry>,
    append_ms: i64,
    sighting: &Sighting,
) -> (Entry, Decision) {
    match known {
        Some(mut entry) if append_ms.saturating_sub(entry.last_seen_ms) <= sighting.window_ms => {
            // Not the later of the two: compaction keeps the record appended last, so a view that
            // is folded anew knows this time only.
            entry.last_seen_ms = append_ms;
            entry.window_ms = sighting.window_ms;
            let revises = entry.raised
                && !entry.outcome_told
                && sighting.outcome_known
                && !sighting.history
                && entry.first_event_id == sighting.event_id
                && append_ms.saturating_sub(entry.first_seen_ms) <= REVISION_MAX_MS;
            if !revises {
                return (entry, Decision::NOTHING);
            }
            entry.outcome_told = true;
            let first_event_id = Some(entry.first_event_id.clone());
            (entry, Decision { verdict: Verdict::Revision, first_event_id })
        }
        _ => {
            let raised = !sighting.history && !is_learning(state, append_ms, sighting);
            let entry = Entry {
                first_seen_ms: append_ms,
                last_seen_ms: append_ms,
                window_ms: sighting.window_ms,
                first_event_id: sighting.event_id.clone(),
                raised,
                outcome_told: sighting.outcome_known,
            };
            let decision = if raised {
                Decision { verdict: Verdict::New, first_event_id: Some(sighting.event_id.clone()) }
            } else {
                Decision { verdict: Verdict::Silent, first_event_id: None }
            };
            (entry, decision)
        }
    }
}

pub(super) fn is_learning(state: &PartitionState, append_ms: i64, sighting: &Sighting) -> bool {
    if sighting.learning_ms <= 0 {
        return false;
    }
    let start = state
        .marker
        .as_ref()
        .and_then(|marker| marker.learning_starts.get(&sighting.terms_version));
    start.is_none_or(|start| append_ms < start.saturating_add(sighting.learning_ms))
}

#[cfg(test)]
mod replay_tests;
#[cfg(test)]
mod tests;
