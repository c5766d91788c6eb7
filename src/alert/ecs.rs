//! The shape of an alert in the Elastic Common Schema, and nothing else: what goes into it is
//! decided in `build`.
//!
//! Source of the field names and types: the ECS field reference of the version in
//! [`ECS_VERSION`]. `schemas/ecs-fields.txt` lists those used here, and tests compare every
//! alert with it. Two namespaces are not ECS's: `kubernetes.audit` (the audit event, under the
//! names of Elastic's Kubernetes integration, so that queries for events find alerts too) and
//! `kubetell` (ours).
//!
//! A field without a value is left out: never null, never an empty string or list. The fields
//! stand in the order of the structs, which makes the bytes of an alert a function of its values.
//! The structs can also be read back, since alerts are shown to people as they leave their topic.

pub(super) mod build;

use serde::{Deserialize, Serialize};

use crate::audit::event::{Event, EventOutcome};
use crate::detect::finding::{Confidence, ExecVia, Match, View};
use crate::position::Position;

/// The version of ECS that alerts claim to follow.
pub const ECS_VERSION: &str = "8.17.0";
/// Name of the alert's JSON Schema, as in the header `schema`.
pub const SCHEMA_NAME: &str = "kubetell.alert.ecs";
/// Version of the alert's JSON Schema. The first number changes when a field changes its
/// meaning or leaves.
pub const SCHEMA_VERSION: &str = "1.1";

/// One alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// Time of the audit event; of the decision where the event has none.
    #[serde(rename = "@timestamp")]
    pub timestamp: String,
    pub message: String,
    pub ecs: Ecs,
    pub event: EventFields,
    pub rule: Rule,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threat: Option<Threat>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<UserAgent>,
    pub orchestrator: Orchestrator,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub related: Option<Related>,
    pub kubernetes: Kubernetes,
    pub kubetell: Kubetell,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ecs {
    pub version: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventFields {
    pub kind: String,
    pub category: Vec<String>,
    #[serde(rename = "type")]
    pub types: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    pub outcome: EventOutcome,
    /// The alert's id.
    pub id: String,
    pub created: String,
    pub ingested: String,
    /// 21 low, 47 medium, 73 high, 99 critical.
    pub severity: u8,
    /// 0 to 100.
    pub risk_score: u8,
    pub module: String,
    pub dataset: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ruleset: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Threat {
    pub framework: String,
    pub tactic: AttackNames,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub technique: Option<Technique>,
}

/// Parallel lists, as ECS has them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AttackNames {
    pub id: Vec<String>,
    pub name: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reference: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Technique {
    #[serde(flatten)]
    pub names: AttackNames,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subtechnique: Option<AttackNames>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct User {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Whom the user acted as (impersonation).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective: Option<Box<User>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    pub ip: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UserAgent {
    pub original: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Orchestrator {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Cluster>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<Resource>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Container {
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// The command as written: the arguments joined by one space, whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_line: Option<String>,
    /// The arguments, whole; an empty one stays, since it is one.
    pub args: Vec<String>,
    pub args_count: usize,
    /// Both standard input and a terminal were asked for: what is typed there is in no log.
    pub interactive: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Related {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub user: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ip: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kubernetes {
    /// The event without bodies, its keys made safe for an index.
    #[serde(deserialize_with = "crate::audit::event::deserialize_owned")]
    pub audit: Event<'static>,
}

/// What ECS has no field for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kubetell {
    pub schema_version: String,
    /// The stage that told the most: 1 received, 2 started, 3 complete.
    pub revision: u8,
    pub instance: String,
    pub position: Position,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detection_latency_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_type: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub access_types: Vec<String>,
    /// Of the first match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view: Option<View>,
    /// Of the best match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Confidence>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<Match>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via: Option<ExecVia>,
    /// The node whose kubelet was asked, where it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub new_terms: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub new_terms_fields: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_terms_window_seconds: Option<i64>,
    /// All references of a rule that has more than ECS's `rule.reference` holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rule_references: Vec<String>,
    /// Shortened because a topic refused the whole as too large: the event but for its identity
    /// is left out, or what was read of it had been cut, and long texts and lists are cut.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reduced: bool,
}

impl Document {
    /// The document with of the event only its identity: see [`Kubetell::reduced`].
    pub fn reduced(mut self) -> Document {
        let event = std::mem::take(&mut self.kubernetes.audit);
        self.kubernetes.audit = Event {
            kind: event.kind,
            api_version: event.api_version,
            level: event.level,
            audit_id: event.audit_id,
            stage: event.stage,
            verb: event.verb,
            ..Event::default()
        };
        self.kubetell.reduced = true;
        self
    }
}
