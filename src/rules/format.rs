//! The identity of a rule (the fixed fields that every alert of it carries) and the form of a
//! rule file. Shapes only: what they mean is for `rules::compile`.

use serde::{Deserialize, Serialize};

use crate::rules::paths::PathEntry;

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
    /// The hash of the set that the rule was in force with, `rule.ruleset` in ECS: 16 hexadecimal
    /// digits; see [`crate::rules::set::RuleSet::hash`]. Empty in no set.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ruleset: String,
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

/// A rule file as it stands on disk, in TOML. Unknown keys are refused: a misspelled key must
/// not silently turn a condition off.
///
/// `type` says which of the optional keys must be there; `rules::compile` checks that.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleFile {
    pub id: String,
    pub uuid: String,
    pub name: String,
    pub version: String,
    pub license: String,
    pub severity: Severity,
    pub risk_score: u8,
    pub description: String,
    /// What the rule cannot see, one sentence or two each.
    #[serde(default)]
    pub blind_spots: Vec<String>,
    /// What the rule raises although nothing is wrong.
    #[serde(default)]
    pub known_noise: Vec<String>,
    #[serde(default)]
    pub references: Vec<String>,
    #[serde(default)]
    pub threat: Vec<ThreatEntry>,

    #[serde(rename = "type")]
    pub kind: RuleType,

    /// Whether the rule is in force without being asked for by its id.
    #[serde(default = "yes")]
    pub enabled: bool,

    /// Of which events the rule says nothing; read by `rules::exceptions`.
    pub exceptions: Option<serde::de::IgnoredAny>,

    /// `query`: which events raise the rule; `new_terms`: which events count. In KQL; see
    /// `rules::query`.
    pub query: Option<toml::Spanned<String>>,

    /// `exec`: what a command must hold, as written or in a line of its normal form.
    pub sensitive_paths: Option<Vec<NamedPattern>>,
    /// `exec`: the same as paths, against which globs, directories and cleaned paths of the normal
    /// form are tested; see `rules::paths`. A name that a pattern has as well is the same thing.
    pub paths: Option<Vec<PathEntry>>,
    /// `exec`: raises every interactive shell (standard input, a terminal, and a shell that takes
    /// its commands from there), under the default label.
    #[serde(default)]
    pub interactive_shell: bool,
    /// What kinds of access there are, the most telling first. Patterns over the command in a rule
    /// of type `exec`, over the values of `label_field` in others.
    pub labels: Option<Vec<LabelPattern>>,
    /// Not of `exec`: a field by its name in a query.
    pub label_field: Option<String>,
    /// The label when none of `labels` applies.
    pub default_label: Option<String>,
    /// Not of `new_terms`: which alerts are one to a person. Best effort: see `detect::suppress`.
    pub suppress: Option<SuppressTable>,
    /// `exec`: whole paths that are benign and are not looked at. Literal, no patterns.
    pub mask: Option<Vec<String>>,
    /// `exec`: raises a `run` through a node's proxy whose URI names no command. Without the
    /// table these are not raised.
    pub unseen_command: Option<UnseenCommand>,
    /// `exec`: severity and risk of what is likely and not certain. Without the table such
    /// matches are not raised.
    pub likely: Option<Grade>,
    /// `exec`: raises a command that hides what it does so that it cannot be read. Without the
    /// table these are not raised.
    pub hidden_command: Option<UnseenCommand>,

    /// `new_terms`: which events count, in the place of `query`: cheaper, and only for the terms of
    /// `source.ip`, `user.name` and `user_agent.original`.
    #[serde(rename = "match")]
    pub matches: Option<MatchTable>,
    /// `new_terms`: the fields whose values make a term, in order.
    pub fields: Option<Vec<TermField>>,
    /// `new_terms`: how long a term stays known, e.g. `7d`.
    pub window: Option<String>,
    /// `new_terms`: the field whose value decides the partition; one of `fields`. Without it the
    /// whole term decides.
    pub shard_by: Option<TermField>,

    /// Test cases, which a rule in force knows nothing of: `rules::cases` reads them.
    pub tests: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleType {
    Exec,
    NewTerms,
    Query,
}

impl RuleType {
    /// As rule files write it.
    pub fn as_str(self) -> &'static str {
        match self {
            RuleType::Exec => "exec",
            RuleType::NewTerms => "new_terms",
            RuleType::Query => "query",
        }
    }
}

/// A regular expression in the syntax of the `regex` crate: case-sensitive, and `.` matches
/// newlines too. Where it has a group named `path`, that is what an alert marks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedPattern {
    pub name: String,
    pub pattern: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelPattern {
    pub label: String,
    pub pattern: String,
}

/// What an alert on a command that cannot be seen carries in the place of the rule's own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnseenCommand {
    pub label: String,
    pub severity: Severity,
    pub risk_score: u8,
}

/// A severity and a risk score in the place of the rule's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grade {
    pub severity: Severity,
    pub risk_score: u8,
}

fn yes() -> bool {
    true
}

/// Alerts of one rule with the same values of some fields, within a time.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuppressTable {
    /// Fields by their names in a query.
    pub by: Vec<String>,
    /// e.g. `1h`
    #[serde(rename = "for")]
    pub time: String,
}

/// The conditions of a new-terms rule. All must hold; comparisons are exact.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatchTable {
    /// `objectRef.resource`
    pub resource: String,
    /// Any of these.
    pub verbs: Vec<String>,
    #[serde(default)]
    pub user_agent: UserAgentCondition,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserAgentCondition {
    /// An absent or empty user agent does not match.
    #[serde(default)]
    pub required: bool,
    /// A user agent that ends so does not match.
    pub forbidden_suffix: Option<String>,
}

/// A field whose values make terms, by its name in a query. The first three are read as addresses
/// and names are compared; what any other holds is its text.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum TermField {
    /// Every address of `sourceIPs`, in canonical text.
    SourceIp,
    /// The authenticated user, not the impersonated one.
    UserName,
    UserAgent,
    Other(String),
}

impl TermField {
    pub fn name(&self) -> &str {
        match self {
            TermField::SourceIp => "source.ip",
            TermField::UserName => "user.name",
            TermField::UserAgent => "user_agent.original",
            TermField::Other(name) => name,
        }
    }
}

impl From<String> for TermField {
    fn from(name: String) -> TermField {
        match name.as_str() {
            "source.ip" => TermField::SourceIp,
            "user.name" => TermField::UserName,
            "user_agent.original" => TermField::UserAgent,
            _ => TermField::Other(name),
        }
    }
}

/// [`Threat`] as a rule file writes it: the same, but unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThreatEntry {
    pub tactic: NameEntry,
    #[serde(default)]
    pub techniques: Vec<TechniqueEntry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NameEntry {
    pub id: String,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TechniqueEntry {
    pub id: String,
    pub name: String,
    #[serde(default)]
    pub subtechniques: Vec<NameEntry>,
}

impl From<NameEntry> for AttackName {
    fn from(entry: NameEntry) -> Self {
        AttackName { id: entry.id, name: entry.name }
    }
}

impl From<ThreatEntry> for Threat {
    fn from(entry: ThreatEntry) -> Self {
        Threat {
            tactic: entry.tactic.into(),
            techniques: entry
                .techniques
                .into_iter()
                .map(|technique| Technique {
                    id: technique.id,
                    name: technique.name,
                    subtechniques: technique.subtechniques.into_iter().map(Into::into).collect(),
                })
                .collect(),
        }
    }
}
