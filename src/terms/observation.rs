//! An observation: an event that matched a new-terms rule, reduced to what the fold and the
//! alert need; and a sighting, which is what the fold alone needs of it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::audit::event::{Event, EventOutcome, ResponseStatus, Text};
use crate::position::Position;
use crate::rules::format::RuleInfo;

/// One tuple of terms seen in one event. Carries of its rule all that the fold and the alert
/// need, so that first-seen knows no rules and rolling upgrades need no care.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    pub rule: Arc<RuleInfo>,
    /// Names the rule and the version of its terms (fields and window): another version starts
    /// another history. Part of the key.
    pub terms_version: String,
    pub cluster: String,
    /// Field names, parallel to `terms`.
    pub fields: Vec<String>,
    pub terms: Vec<String>,
    /// Every label of the rule that applies, in its order; the first one is the alert's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub access_types: Vec<String>,
    /// What decides the partition: the user, or the whole term for a rule that names no user.
    pub shard_key: String,
    /// Milliseconds.
    pub window_ms: i64,
    /// Milliseconds; 0 alerts from the first event.
    pub learning_ms: i64,
    #[serde(deserialize_with = "crate::audit::event::deserialize_owned")]
    pub event: Event<'static>,
    /// What tells the event from others: see [`crate::detect::identity`]. Never empty.
    pub event_id: String,
    /// Milliseconds since the epoch; the event's own time, else the wrapper's, else none.
    pub event_time_ms: Option<i64>,
    pub position: Position,
    /// Counts as history and never alerts: imported from files, or of an event of which an exception
    /// held.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub history: bool,
    /// The topic refused the whole as too large: parts of the event are cut.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reduced: bool,
}

/// What the fold needs of an observation. Reading it skips the event but for its outcome, so a view
/// is folded without making events of what raises nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    pub terms_version: String,
    /// Milliseconds.
    pub window_ms: i64,
    /// Milliseconds.
    pub learning_ms: i64,
    pub event_id: String,
    pub outcome_known: bool,
    pub history: bool,
}

impl Sighting {
    pub fn of(observation: &Observation) -> Sighting {
        Sighting {
            terms_version: observation.terms_version.clone(),
            window_ms: observation.window_ms,
            learning_ms: observation.learning_ms,
            event_id: observation.event_id.clone(),
            outcome_known: observation.event.outcome() != EventOutcome::Unknown,
            history: observation.history,
        }
    }

    /// Of an observation's JSON.
    pub fn read(value: &[u8]) -> Result<Sighting, serde_json::Error> {
        let read: Read<'_> = serde_json::from_slice(value)?;
        let event = Event {
            stage: read.event.stage,
            annotations: read.event.annotations,
            response_status: read.event.response_status,
            ..Event::default()
        };
        Ok(Sighting {
            terms_version: read.terms_version.into_owned(),
            window_ms: read.window_ms,
            learning_ms: read.learning_ms,
            event_id: read.event_id.into_owned(),
            outcome_known: event.outcome() != EventOutcome::Unknown,
            history: read.history,
        })
    }
}

/// The part of an [`Observation`] that a sighting is made of.
#[derive(Deserialize)]
struct Read<'a> {
    #[serde(borrow)]
    terms_version: Cow<'a, str>,
    window_ms: i64,
    learning_ms: i64,
    #[serde(borrow)]
    event: Told<'a>,
    #[serde(borrow)]
    event_id: Cow<'a, str>,
    #[serde(default)]
    history: bool,
}

/// The part of an event that its outcome is made of.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    #[serde(borrow, default)]
    stage: Option<Text<'a>>,
    #[serde(borrow, default)]
    annotations: Option<BTreeMap<Text<'a>, Text<'a>>>,
    #[serde(borrow, default)]
    response_status: Option<ResponseStatus<'a>>,
}
