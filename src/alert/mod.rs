//! Alerts: what leaves.
//!
//! Owns the identity of an alert, its document and its sentence. Pure: times come in through
//! [`Origin`], and nothing here sends or prints. An alert of the same event is the same bytes
//! wherever and whenever it is made, but for `event.created`, `event.ingested`, the detection
//! latency and the instance.

pub mod ecs;
#[cfg(test)]
pub mod fixtures;
pub mod id;
mod message;
pub mod redact;
pub mod schema;
pub mod shrink;
#[cfg(test)]
mod tests;
pub mod visible;
pub mod wire;

use std::sync::Arc;

use crate::audit::event::EventOutcome;
use crate::detect::finding::{Finding, RequestFinding};
use crate::detect::suppress::Suppression;
use crate::failure::Class;
use crate::rules::format::{RuleInfo, Severity};
use crate::terms::observation::Observation;

/// Who decided, and when: the part of an alert that a replay may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Name of the process that decided.
    pub instance: String,
    /// Time of the decision, milliseconds since the epoch.
    pub created_ms: i64,
    /// From the event's time, or its arrival in the topic, to the decision; milliseconds.
    pub latency_ms: Option<i64>,
}

/// What the fold knows about the term of an observation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstSeen {
    /// Id of the event that opened the term's window; part of the alert's id.
    pub first_event_id: String,
    /// The observation is a later stage of that event, which tells its outcome.
    pub is_revision: bool,
}

/// An alert ready to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// 32 hexadecimal digits, see [`id`].
    pub id: String,
    pub rule: Arc<RuleInfo>,
    /// Usually the rule's own.
    pub severity: Severity,
    /// Rank of the stage that told the most: 1 received, 2 started, 3 complete. Of two
    /// alerts with the same id, the one with the higher revision is to be kept.
    pub revision: u8,
    /// The event tells how the request ended: no later stage needs to be waited for.
    pub outcome_known: bool,
    /// Whether it may be withheld for another one that is the same; see [`Suppressor`].
    ///
    /// [`Suppressor`]: crate::detect::suppress::Suppressor
    pub suppression: Option<Suppression>,
    pub document: ecs::Document,
}

/// Why an alert could not be written as bytes.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    #[error("cannot write alert `{id}` as JSON")]
    Json {
        id: String,
        #[source]
        source: serde_json::Error,
    },
}

impl EncodeError {
    /// The record that raised the alert goes to the dead letters.
    pub fn class(&self) -> Class {
        Class::Poison
    }
}

/// The alert of a stateless rule.
pub fn from_finding(finding: &Finding, origin: &Origin) -> Alert {
    let id = id::for_event(&finding.cluster, &finding.rule.id, &finding.event_id);
    let document = ecs::build::from_finding(&id, finding, origin);
    let alert = Alert::new(id, Arc::clone(&finding.rule), finding.severity, document);
    Alert { suppression: finding.suppression, ..alert }
}

/// The alert of a query rule.
pub fn from_request(finding: &RequestFinding, origin: &Origin) -> Alert {
    let id = id::for_event(&finding.cluster, &finding.rule.id, &finding.event_id);
    let document = ecs::build::from_request(&id, finding, origin);
    let alert = Alert::new(id, Arc::clone(&finding.rule), finding.rule.severity, document);
    Alert { suppression: finding.suppression, ..alert }
}

/// The alert of a new-terms rule, or its revision.
pub fn from_observation(
    observation: &Observation,
    first_seen: &FirstSeen,
    origin: &Origin,
) -> Alert {
    let rule = &observation.rule;
    let id = id::for_terms(
        &observation.cluster,
        &rule.id,
        &observation.terms,
        &first_seen.first_event_id,
    );
    let document = ecs::build::from_observation(&id, observation, first_seen, origin);
    Alert::new(id, Arc::clone(rule), rule.severity, document)
}

impl Alert {
    fn new(id: String, rule: Arc<RuleInfo>, severity: Severity, document: ecs::Document) -> Alert {
        Alert {
            id,
            rule,
            severity,
            revision: document.kubetell.revision,
            outcome_known: document.event.outcome != EventOutcome::Unknown,
            suppression: None,
            document,
        }
    }

    /// The record's value: one line of JSON without a line break.
    ///
    /// # Errors
    /// None in practice: the document holds only what JSON can.
    pub fn to_json(&self) -> Result<Vec<u8>, EncodeError> {
        serde_json::to_vec(&self.document)
            .map_err(|source| EncodeError::Json { id: self.id.clone(), source })
    }

    /// The record's key: the id, so that a sink that stores by key keeps each alert once.
    pub fn key(&self) -> &str {
        &self.id
    }

    /// The record's headers, in this order.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        vec![
            ("alert-id", self.id.clone()),
            ("rule-id", self.rule.id.clone()),
            ("severity", severity_name(self.severity).to_owned()),
            ("revision", self.revision.to_string()),
            ("schema", ecs::SCHEMA_NAME.to_owned()),
            ("schema-version", ecs::SCHEMA_VERSION.to_owned()),
            ("content-type", "application/json".to_owned()),
        ]
    }
}

/// The severity's name as in rule files.
pub fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}
