//! Rule files in the layout that detection rules for SIEMs are published in: a table `[rule]` with
//! a query, beside `[metadata]`.
//!
//! Owns the translation into the project's own form. Keys that it does not know are left alone,
//! since such files carry much that is about something else: what of them changes nothing here
//! (how often a query is repeated, which index it reads) is told as a note.

use serde::Deserialize;

use super::format::{AttackName, RuleInfo, Severity, Technique, Threat};
use crate::duration::parse_duration_ms;

/// What is taken of such a file.
#[derive(Debug, Clone)]
pub struct Published {
    pub info: RuleInfo,
    pub query: toml::Spanned<String>,
    pub kind: PublishedKind,
    /// What of the file has no meaning here, for people.
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishedKind {
    Query,
    NewTerms { fields: Vec<String>, window_ms: i64 },
}

/// Why a file of this layout is no rule here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishedError {
    /// It is valid, and of a kind that is not supported.
    #[error("{0}")]
    Unsupported(String),
    #[error("`rule.{key}` {problem}")]
    Invalid { key: &'static str, problem: String },
}

#[derive(Debug, Deserialize)]
pub struct PublishedFile {
    #[serde(default)]
    metadata: Metadata,
    rule: RuleTable,
}

#[derive(Debug, Default, Deserialize)]
struct Metadata {
    maturity: Option<String>,
}

#[derive(Debug, Deserialize)]
struct RuleTable {
    rule_id: String,
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    license: String,
    #[serde(rename = "type")]
    kind: String,
    language: Option<String>,
    query: Option<toml::Spanned<String>>,
    severity: Severity,
    risk_score: u8,
    #[serde(default)]
    references: Vec<String>,
    #[serde(default)]
    threat: Vec<ThreatTable>,
    new_terms: Option<NewTermsTable>,
    version: Option<toml::Value>,
    // What is about the schedule and the store of another engine.
    interval: Option<toml::Value>,
    from: Option<toml::Value>,
    index: Option<toml::Value>,
    max_signals: Option<toml::Value>,
    filters: Option<toml::Value>,
    exceptions_list: Option<toml::Value>,
    alert_suppression: Option<toml::Value>,
}

#[derive(Debug, Deserialize)]
struct ThreatTable {
    tactic: NameTable,
    #[serde(default)]
    technique: Vec<TechniqueTable>,
}

#[derive(Debug, Deserialize)]
struct NameTable {
    id: String,
    name: String,
}

#[derive(Debug, Deserialize)]
struct TechniqueTable {
    id: String,
    name: String,
    #[serde(default)]
    subtechnique: Vec<NameTable>,
}

#[derive(Debug, Deserialize)]
struct NewTermsTable {
    value: Vec<String>,
    #[serde(default)]
    history_window_start: Vec<HistoryTable>,
}

#[derive(Debug, Deserialize)]
struct HistoryTable {
    value: String,
}

/// Longest id that is made of a rule's name.
const ID_MAX_BYTES: usize = 80;

impl PublishedFile {
    /// # Errors
    /// If the rule is of a kind that is not supported, or not valid.
    pub fn translate(self) -> Result<Published, PublishedError> {
        let rule = self.rule;
        let language = rule.language.as_deref().unwrap_or("kuery");
        if language != "kuery" {
            let text = format!("rules in the language `{language}` are not supported");
            return Err(PublishedError::Unsupported(text));
        }
        let kind = match (rule.kind.as_str(), &rule.new_terms) {
            ("query", _) => PublishedKind::Query,
            ("new_terms", Some(table)) => new_terms(table)?,
            ("new_terms", None) => return Err(invalid("new_terms", "is missing")),
            (other, _) => {
                let text = format!("rules of the type `{other}` are not supported");
                return Err(PublishedError::Unsupported(text));
            }
        };
        if rule.filters.is_some() {
            let text = "rules with `filters` beside the query are not supported".to_owned();
            return Err(PublishedError::Unsupported(text));
        }
        if uuid::Uuid::try_parse(&rule.rule_id).is_err() {
            return Err(invalid("rule_id", "is no UUID"));
        }
        if rule.risk_score > 100 {
            return Err(invalid("risk_score", "must be at most 100"));
        }
        let mut notes = Vec::new();
        let ignored = [
            ("interval", rule.interval.is_some()),
            ("from", rule.from.is_some()),
            ("index", rule.index.is_some()),
            ("max_signals", rule.max_signals.is_some()),
        ];
        let ignored = ignored.iter().filter(|(_, given)| *given).map(|(key, _)| format!("`{key}`"));
        let ignored: Vec<String> = ignored.collect();
        if !ignored.is_empty() {
            let keys = ignored.join(", ");
            notes.push(format!("{keys}: about a schedule and a store that are not here; ignored"));
        }
        if rule.exceptions_list.is_some() || rule.alert_suppression.is_some() {
            notes.push("exceptions and suppression of the file are not applied".to_owned());
        }
        if self.metadata.maturity.as_deref() == Some("deprecated") {
            notes.push("the file calls itself deprecated".to_owned());
        }
        let query = rule.query.ok_or_else(|| invalid("query", "is missing"))?;
        let info = RuleInfo {
            id: id_of(&rule.name, &rule.rule_id),
            uuid: rule.rule_id,
            name: rule.name,
            description: rule.description.trim().to_owned(),
            version: rule.version.map_or_else(|| "1".to_owned(), |version| version_text(&version)),
            license: rule.license,
            severity: rule.severity,
            risk_score: rule.risk_score,
            references: rule.references,
            threat: rule.threat.into_iter().map(threat).collect(),
            ruleset: String::new(),
        };
        Ok(Published { info, query, kind, notes })
    }
}

fn invalid(key: &'static str, problem: impl Into<String>) -> PublishedError {
    PublishedError::Invalid { key, problem: problem.into() }
}

fn new_terms(table: &NewTermsTable) -> Result<PublishedKind, PublishedError> {
    if table.value.is_empty() {
        return Err(invalid("new_terms.value", "names no field"));
    }
    let start = table.history_window_start.first().map_or("now-7d", |start| &start.value);
    let window = start.strip_prefix("now-").unwrap_or_default();
    let window_ms = parse_duration_ms(window).map_err(|_| {
        let problem = format!("is {start:?}, where a time such as \"now-7d\" is expected");
        invalid("new_terms.history_window_start", problem)
    })?;
    Ok(PublishedKind::NewTerms { fields: table.value.clone(), window_ms })
}

fn threat(table: ThreatTable) -> Threat {
    let name = |it: NameTable| AttackName { id: it.id, name: it.name };
    Threat {
        tactic: name(table.tactic),
        techniques: table
            .technique
            .into_iter()
            .map(|it| Technique {
                id: it.id,
                name: it.name,
                subtechniques: it.subtechnique.into_iter().map(name).collect(),
            })
            .collect(),
    }
}

fn version_text(version: &toml::Value) -> String {
    version.as_str().map_or_else(|| version.to_string(), str::to_owned)
}

/// `Pod created with "hostPID"` is `pod-created-with-hostpid`; a name without any letter goes by
/// the rule's UUID.
fn id_of(name: &str, uuid: &str) -> String {
    let mut id = String::new();
    for character in name.chars() {
        if id.len() >= ID_MAX_BYTES {
            break;
        }
        if character.is_ascii_alphanumeric() {
            id.push(character.to_ascii_lowercase());
        } else if !id.is_empty() && !id.ends_with('-') {
            id.push('-');
        }
    }
    let id = id.trim_end_matches('-');
    if id.is_empty() { uuid.to_ascii_lowercase() } else { id.to_owned() }
}
