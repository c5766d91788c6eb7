//! From rule files to rules that can be asked.
//!
//! Owns what makes a rule file valid and which rules are in force. It reads no files: whoever
//! calls it brings the text. What a rule finds in an event is for `detect`.

use std::collections::HashSet;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::duration::parse_duration_ms;
use crate::limits;
use crate::rules::format::{
    Grade, MatchTable, RuleFile, RuleInfo, RuleType, TermField, UnseenCommand, UserAgentCondition,
};
use crate::rules::paths::{PathError, PathSet};
use crate::rules::patterns::{Mask, PatternError, PatternList};

/// The rules that stand in the binary: file name and text.
const BUILTIN: [(&str, &str); 3] = [
    ("pod-exec-sensitive-path.toml", include_str!("builtin/pod-exec-sensitive-path.toml")),
    (
        "secret-access-unusual-client.toml",
        include_str!("builtin/secret-access-unusual-client.toml"),
    ),
    ("pod-exec-interactive-shell.toml", include_str!("builtin/pod-exec-interactive-shell.toml")),
];

/// Why a rule file cannot be used.
#[derive(Debug, Error)]
pub enum RuleError {
    #[error("`{file}` is no valid rule file\n{source}")]
    Syntax { file: String, source: Box<toml::de::Error> },
    #[error("`{file}`: `{key}` is missing, which a rule of type `{kind}` needs")]
    Missing { file: String, key: &'static str, kind: &'static str },
    #[error("`{file}`: `{key}` does not belong in a rule of type `{kind}`")]
    Misplaced { file: String, key: &'static str, kind: &'static str },
    #[error("`{file}`: `{key}` {problem}")]
    Invalid { file: String, key: &'static str, problem: String },
    #[error("`{file}`: in `{key}`, {source}")]
    Pattern { file: String, key: &'static str, source: PatternError },
    #[error("`{file}`: in `paths`, {source}")]
    Paths { file: String, source: PathError },
    #[error("`{file}`: there is another rule with the id `{id}`")]
    DuplicateId { file: String, id: String },
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no rule `{id}`{}", nearest.as_ref().map(|near| format!("\n\nhint: did you mean `{near}`?")).unwrap_or_default())]
pub struct UnknownRule {
    pub id: String,
    pub nearest: Option<String>,
}

/// The rules in force, in the order they were given, and those that could be.
#[derive(Debug, Clone)]
pub struct RuleSet {
    rules: Vec<Arc<Rule>>,
    /// Not in force unless asked for by id.
    off: Vec<Arc<Rule>>,
}

/// A rule, ready to be asked.
#[derive(Debug, Clone)]
pub struct Rule {
    info: Arc<RuleInfo>,
    notes: RuleNotes,
    enabled: bool,
    kind: RuleKind,
}

/// What people should know about a rule beside its description.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleNotes {
    pub blind_spots: Vec<String>,
    pub known_noise: Vec<String>,
}

#[derive(Debug, Clone)]
pub enum RuleKind {
    Exec(Box<ExecRule>),
    NewTerms(NewTermsRule),
}

/// Looks for patterns in the command of an exec.
#[derive(Debug, Clone)]
pub struct ExecRule {
    pub sensitive_paths: PatternList,
    /// In order: the first that applies is the alert's access type.
    pub labels: PatternList,
    pub default_label: String,
    pub mask: Mask,
    pub unseen_command: Option<UnseenCommand>,
    /// What globs and directories are tested against.
    pub paths: PathSet,
    pub likely: Option<Grade>,
    pub hidden_command: Option<UnseenCommand>,
    /// Every interactive shell is raised, under the default label.
    pub interactive_shell: bool,
}

/// Watches for tuples of values that were not seen within a window.
#[derive(Debug, Clone)]
pub struct NewTermsRule {
    pub resource: String,
    pub verbs: Vec<String>,
    pub user_agent: UserAgentCondition,
    /// Distinct and not empty.
    pub fields: Vec<TermField>,
    pub window_ms: i64,
    /// One of `fields`.
    pub shard_by: Option<TermField>,
    /// The rule's id and a hash of `fields` and `window_ms`: whatever changes the meaning of a
    /// stored term starts another history.
    pub terms_version: String,
}

impl RuleSet {
    /// The rules that stand in the binary. They are files like any other, so this can fail in
    /// principle; a test keeps it from failing.
    pub fn builtin() -> Result<RuleSet, RuleError> {
        RuleSet::from_sources(BUILTIN)
    }

    /// Rules from pairs of a file name, for messages, and the file's text.
    pub fn from_sources<'s>(
        sources: impl IntoIterator<Item = (&'s str, &'s str)>,
    ) -> Result<RuleSet, RuleError> {
        let (mut rules, mut off) = (Vec::new(), Vec::new());
        let mut ids = HashSet::new();
        for (file, text) in sources {
            let rule = Rule::from_toml(file, text)?;
            if !ids.insert(rule.info.id.clone()) {
                let id = rule.info.id.clone();
                return Err(RuleError::DuplicateId { file: file.to_owned(), id });
            }
            let in_force = if rule.enabled { &mut rules } else { &mut off };
            in_force.push(Arc::new(rule));
        }
        Ok(RuleSet { rules, off })
    }

    /// Both sets together, e.g. the built-in rules and those of the configuration.
    pub fn merged(mut self, other: RuleSet) -> Result<RuleSet, RuleError> {
        for rule in other.rules {
            if self.get(rule.id()).is_some() {
                let id = rule.id().to_owned();
                return Err(RuleError::DuplicateId { file: format!("{id}.toml"), id });
            }
            self.rules.push(rule);
        }
        self.off.extend(other.off);
        Ok(self)
    }

    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// Longest window of any new-terms rule, milliseconds; 0 without one.
    pub fn longest_window_ms(&self) -> i64 {
        self.new_terms().map(|(_, rule)| rule.window_ms).max().unwrap_or(0)
    }

    /// Ids of the new-terms rules, in their order.
    pub fn new_terms_ids(&self) -> Vec<&str> {
        self.new_terms().map(|(id, _)| id).collect()
    }

    fn new_terms(&self) -> impl Iterator<Item = (&str, &NewTermsRule)> {
        self.rules().iter().filter_map(|rule| match rule.kind() {
            RuleKind::NewTerms(new_terms) => Some((rule.id(), new_terms)),
            RuleKind::Exec(_) => None,
        })
    }

    pub fn get(&self, id: &str) -> Option<&Arc<Rule>> {
        self.rules.iter().chain(&self.off).find(|rule| rule.id() == id)
    }

    /// The rules that are not in force unless asked for.
    pub fn off(&self) -> &[Arc<Rule>] {
        &self.off
    }

    /// The same rules, those of these ids in force too.
    pub fn with(mut self, ids: &[impl AsRef<str>]) -> Result<RuleSet, UnknownRule> {
        for id in ids.iter().map(AsRef::as_ref) {
            self.get(id).ok_or_else(|| self.unknown(id))?;
            if let Some(at) = self.off.iter().position(|rule| rule.id() == id) {
                let rule = self.off.remove(at);
                self.rules.push(rule);
            }
        }
        Ok(self)
    }

    /// The rules of these ids, in the order of the set. No ids at all mean every rule.
    pub fn only(&self, ids: &[impl AsRef<str>]) -> Result<RuleSet, UnknownRule> {
        if ids.is_empty() {
            return Ok(self.clone());
        }
        for id in ids.iter().map(AsRef::as_ref) {
            self.get(id).ok_or_else(|| self.unknown(id))?;
        }
        let wanted = |rule: &&Arc<Rule>| ids.iter().any(|id| id.as_ref() == rule.id());
        let all = self.rules.iter().chain(&self.off);
        Ok(RuleSet { rules: all.filter(wanted).cloned().collect(), off: Vec::new() })
    }

    /// The error for an id that is not in the set, with the nearest that is.
    pub fn unknown(&self, id: &str) -> UnknownRule {
        let nearest = self
            .rules
            .iter()
            .chain(&self.off)
            .map(|rule| (strsim::jaro_winkler(id, rule.id()), rule.id()))
            .filter(|(likeness, _)| *likeness > 0.7)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, id)| id.to_owned());
        UnknownRule { id: id.to_owned(), nearest }
    }
}

impl Rule {
    pub fn from_toml(file: &str, text: &str) -> Result<Rule, RuleError> {
        let raw: RuleFile = toml::from_str(text).map_err(|source| RuleError::Syntax {
            file: file.to_owned(),
            source: Box::new(source),
        })?;
        Compiler { file }.rule(raw)
    }

    pub fn id(&self) -> &str {
        &self.info.id
    }

    pub fn info(&self) -> &Arc<RuleInfo> {
        &self.info
    }

    pub fn notes(&self) -> &RuleNotes {
        &self.notes
    }

    pub fn kind(&self) -> &RuleKind {
        &self.kind
    }

    /// Whether the rule is in force without being asked for by its id.
    pub fn enabled(&self) -> bool {
        self.enabled
    }

    /// Words of which every event that can match holds one as a whole value of its `objectRef`.
    /// They consist of lower-case letters, digits, `-` and `.`. The prefilter is built on them.
    pub fn object_words(&self) -> Vec<&str> {
        match &self.kind {
            // Subresources of pods/exec and nodes/proxy.
            RuleKind::Exec(_) => vec!["exec", "proxy"],
            RuleKind::NewTerms(rule) => vec![&rule.resource],
        }
    }
}

/// Checks and compiles one file; holds its name for the messages.
struct Compiler<'f> {
    file: &'f str,
}

impl Compiler<'_> {
    fn rule(&self, raw: RuleFile) -> Result<Rule, RuleError> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if raw.id.is_empty() || !raw.id.chars().all(plain) {
            return Err(self.invalid("id", "must be lower-case letters, digits and hyphens"));
        }
        if uuid::Uuid::try_parse(&raw.uuid).is_err() {
            return Err(self.invalid("uuid", "is no UUID"));
        }
        self.check_risk("risk_score", raw.risk_score)?;

        let kind = match raw.kind {
            RuleType::Exec => {
                self.refuse("exec", "match", raw.matches.is_some())?;
                self.refuse("exec", "fields", raw.fields.is_some())?;
                self.refuse("exec", "window", raw.window.is_some())?;
                self.refuse("exec", "shard_by", raw.shard_by.is_some())?;
                RuleKind::Exec(Box::new(self.exec_rule(&raw)?))
            }
            RuleType::NewTerms => {
                self.refuse("new_terms", "sensitive_paths", raw.sensitive_paths.is_some())?;
                self.refuse("new_terms", "labels", raw.labels.is_some())?;
                self.refuse("new_terms", "default_label", raw.default_label.is_some())?;
                self.refuse("new_terms", "mask", raw.mask.is_some())?;
                self.refuse("new_terms", "unseen_command", raw.unseen_command.is_some())?;
                self.refuse("new_terms", "paths", raw.paths.is_some())?;
                self.refuse("new_terms", "likely", raw.likely.is_some())?;
                self.refuse("new_terms", "hidden_command", raw.hidden_command.is_some())?;
                self.refuse("new_terms", "interactive_shell", raw.interactive_shell)?;
                RuleKind::NewTerms(self.new_terms_rule(&raw)?)
            }
        };
        Ok(Rule {
            info: Arc::new(RuleInfo {
                id: raw.id,
                uuid: raw.uuid,
                name: raw.name,
                description: raw.description.trim().to_owned(),
                version: raw.version,
                license: raw.license,
                severity: raw.severity,
                risk_score: raw.risk_score,
                references: raw.references,
                threat: raw.threat.into_iter().map(Into::into).collect(),
            }),
            enabled: raw.enabled,
            notes: RuleNotes { blind_spots: raw.blind_spots, known_noise: raw.known_noise },
            kind,
        })
    }

    fn exec_rule(&self, raw: &RuleFile) -> Result<ExecRule, RuleError> {
        let need = |key| RuleError::Missing { file: self.file.to_owned(), key, kind: "exec" };
        let paths = match raw.sensitive_paths.as_deref() {
            None if raw.interactive_shell => &[],
            paths => paths.ok_or_else(|| need("sensitive_paths"))?,
        };
        if paths.is_empty() && !raw.interactive_shell {
            return Err(self.invalid("sensitive_paths", "is empty, so the rule finds nothing"));
        }
        let labels = raw.labels.as_deref().unwrap_or_default();
        let default_label = raw.default_label.clone().ok_or_else(|| need("default_label"))?;
        let mask = raw.mask.clone().unwrap_or_default();
        if mask.iter().any(|path| !path.starts_with('/')) {
            return Err(self.invalid("mask", "must hold absolute paths"));
        }
        if let Some(unseen) = &raw.unseen_command {
            self.check_risk("unseen_command.risk_score", unseen.risk_score)?;
        }
        if let Some(hidden) = &raw.hidden_command {
            self.check_risk("hidden_command.risk_score", hidden.risk_score)?;
        }
        if let Some(likely) = &raw.likely {
            self.check_risk("likely.risk_score", likely.risk_score)?;
        }
        Ok(ExecRule {
            sensitive_paths: self.patterns(
                "sensitive_paths",
                paths.iter().map(|entry| (entry.name.as_str(), entry.pattern.as_str())),
            )?,
            labels: self.patterns(
                "labels",
                labels.iter().map(|entry| (entry.label.as_str(), entry.pattern.as_str())),
            )?,
            default_label,
            mask: Mask::new(mask),
            unseen_command: raw.unseen_command.clone(),
            paths: PathSet::compile(raw.paths.clone().unwrap_or_default())
                .map_err(|source| RuleError::Paths { file: self.file.to_owned(), source })?,
            likely: raw.likely,
            hidden_command: raw.hidden_command.clone(),
            interactive_shell: raw.interactive_shell,
        })
    }

    fn new_terms_rule(&self, raw: &RuleFile) -> Result<NewTermsRule, RuleError> {
        let need = |key| RuleError::Missing { file: self.file.to_owned(), key, kind: "new_terms" };
        let table = raw.matches.as_ref().ok_or_else(|| need("match"))?;
        let fields = raw.fields.as_deref().ok_or_else(|| need("fields"))?;
        let window = raw.window.as_deref().ok_or_else(|| need("window"))?;

        self.check_match(table)?;
        let distinct = fields.iter().enumerate().all(|(at, field)| !fields[..at].contains(field));
        if fields.is_empty() || !distinct {
            return Err(self.invalid("fields", "must hold at least one field, and each once"));
        }
        let window_ms =
            parse_duration_ms(window).map_err(|error| self.invalid("window", error.to_string()))?;
        if window_ms == 0 || window_ms > limits::WINDOW_MAX_MS {
            let days = limits::WINDOW_MAX_MS / limits::DAY_MS;
            return Err(self.invalid("window", format!("must be more than 0s and at most {days}d")));
        }
        if raw.shard_by.is_some_and(|field| !fields.contains(&field)) {
            return Err(self.invalid("shard_by", "must be one of `fields`"));
        }
        Ok(NewTermsRule {
            resource: table.resource.clone(),
            verbs: table.verbs.clone(),
            user_agent: table.user_agent.clone(),
            fields: fields.to_vec(),
            window_ms,
            shard_by: raw.shard_by,
            terms_version: terms_version(&raw.id, fields, window_ms),
        })
    }

    fn check_match(&self, table: &MatchTable) -> Result<(), RuleError> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
        if table.resource.is_empty() || !table.resource.chars().all(plain) {
            return Err(self.invalid("match.resource", "must name a resource, e.g. `secrets`"));
        }
        if table.verbs.is_empty() {
            return Err(self.invalid("match.verbs", "is empty, so the rule finds nothing"));
        }
        if table.user_agent.forbidden_suffix.as_deref() == Some("") {
            let problem = "is empty, which every user agent ends with";
            return Err(self.invalid("match.user_agent.forbidden_suffix", problem));
        }
        Ok(())
    }

    fn patterns<'p>(
        &self,
        key: &'static str,
        patterns: impl IntoIterator<Item = (&'p str, &'p str)>,
    ) -> Result<PatternList, RuleError> {
        PatternList::compile(patterns).map_err(|source| RuleError::Pattern {
            file: self.file.to_owned(),
            key,
            source,
        })
    }

    fn check_risk(&self, key: &'static str, risk_score: u8) -> Result<(), RuleError> {
        if risk_score > 100 {
            return Err(self.invalid(key, "must be at most 100"));
        }
        Ok(())
    }

    fn refuse(
        &self,
        kind: &'static str,
        key: &'static str,
        present: bool,
    ) -> Result<(), RuleError> {
        if present {
            return Err(RuleError::Misplaced { file: self.file.to_owned(), key, kind });
        }
        Ok(())
    }

    fn invalid(&self, key: &'static str, problem: impl Into<String>) -> RuleError {
        RuleError::Invalid { file: self.file.to_owned(), key, problem: problem.into() }
    }
}

/// `ID/` and the first 16 hexadecimal digits of the SHA-256 of `FIELD\n` for each field and the
/// window in milliseconds.
fn terms_version(id: &str, fields: &[TermField], window_ms: i64) -> String {
    let mut hash = Sha256::new();
    for field in fields {
        hash.update(field.name());
        hash.update(b"\n");
    }
    hash.update(window_ms.to_string());
    let digits: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{id}/{digits}")
}

#[cfg(test)]
#[path = "compile_tests.rs"]
mod tests;
