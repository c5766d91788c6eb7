//! The identity of a rule: the fixed fields that every alert of it carries.

use serde::{Deserialize, Serialize};

/// All that an alert says about the rule that raised it. Serialized into observations, so that
/// the first-seen half needs to know no rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleInfo {
    /// Short stable name, e.g. `pod-exec-sensitive-path`; `rule.id` in ECS.
    pub id: String,
    /// `rule.uuid` in ECS.
    pub uuid: String,
    pub name: String,
    pub description: String,
    pub version: String,
    pub license: String,
    pub severity: Severity,
    /// 0 to 100.
    pub risk_score: u8,
    #[serde(default)]
    pub references: Vec<String>,
    pub threat: Vec<Threat>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Low,
    Medium,
    High,
    Critical,
}

/// One MITRE ATT&CK tactic with the techniques under it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Threat {
    pub tactic: AttackName,
    #[serde(default)]
    pub techniques: Vec<Technique>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttackName {
    /// e.g. `TA0006`
    pub id: String,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Technique {
    /// e.g. `T1552`
    pub id: String,
    pub name: String,
    #[serde(default)]
    pub subtechniques: Vec<AttackName>,
}
