//! An observation: an event that matched a new-terms rule, reduced to what the fold and the
//! alert need.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::audit::event::Event;
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
    /// What decides the partition: the user, or the whole term for a rule that names no user.
    pub shard_key: String,
    /// Milliseconds.
    pub window_ms: i64,
    /// Milliseconds; 0 alerts from the first event.
    pub learning_ms: i64,
    #[serde(deserialize_with = "crate::audit::event::deserialize_owned")]
    pub event: Event<'static>,
    /// `auditID`, else the wrapper's own id, else a hash of the event: never empty.
    pub event_id: String,
    /// Milliseconds since the epoch; the event's own time, else the wrapper's, else none.
    pub event_time_ms: Option<i64>,
    pub position: Position,
    /// Imported from files: counts as history, never alerts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub history: bool,
    /// The topic refused the whole as too large: parts of the event are cut.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reduced: bool,
}
