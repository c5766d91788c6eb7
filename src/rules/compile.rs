//! From rule files to rules that can be asked.
//!
//! Owns what makes a rule file valid. It reads no files: whoever calls it brings the text.

mod triage;

use std::sync::Arc;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::duration::parse_duration_ms;
use crate::limits;
use crate::rules::exceptions::{self, ExceptionError};
use crate::rules::format::{MatchTable, RuleFile, RuleInfo, RuleType, Severity, TermField};
use crate::rules::paths::{PathError, PathSet};
use crate::rules::patterns::{Mask, PatternError, PatternList};
use crate::rules::published::{PublishedError, PublishedFile, PublishedKind};
use crate::rules::query::{Mode, Program, Query, QueryError};
use crate::rules::rule::{Condition, ExecRule, NewTermsRule, QueryRule, Rule, RuleKind, RuleNotes};

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
    #[error("`{file}`: in `query`, {source}")]
    Query { file: String, source: Box<QueryError> },
    #[error("the queries of the rules are too much together: {0}")]
    Queries(Box<QueryError>),
    #[error("the queries of the rules are too much together")]
    TooManyQueries,
    #[error("`{file}`: {source}")]
    Published { file: String, source: PublishedError },
    #[error("`{file}`: there is another rule with the id `{id}`")]
    DuplicateId { file: String, id: String },
    #[error(transparent)]
    Exception(#[from] ExceptionError),
    #[error(
        "`{file}` holds exceptions and no rule\n\nhint: files of exceptions are named by `exceptions` and `--exceptions`"
    )]
    IsExceptions { file: String },
}

impl Rule {
    pub fn from_toml(file: &str, text: &str) -> Result<Rule, RuleError> {
        Rule::read(file, text).map(|(rule, _)| rule)
    }

    /// A rule in either layout, and notes on what of its file has no meaning here.
    pub fn read(file: &str, text: &str) -> Result<(Rule, Vec<String>), RuleError> {
        let wrong = |source| RuleError::Syntax { file: file.to_owned(), source: Box::new(source) };
        let compiler = Compiler { file, text };
        let table: Layout = toml::from_str(text).map_err(wrong)?;
        if table.rule.is_none() && table.exception.is_some() {
            return Err(RuleError::IsExceptions { file: file.to_owned() });
        }
        let (mut rule, notes) = match table.rule {
            Some(_) => compiler.published(toml::from_str(text).map_err(wrong)?)?,
            None => (compiler.rule(toml::from_str(text).map_err(wrong)?)?, Vec::new()),
        };
        rule.exceptions = exceptions::read_of_rule(file, text, rule.id())?;
        Ok((rule, notes))
    }

    /// Of a rule that is nothing but a query.
    pub const QUERY_ID: &str = "query";

    /// A rule that is nothing but a query, for trying it.
    ///
    /// # Errors
    /// If the text is no query, or names a field that no event can have.
    pub fn of_query(text: &str) -> Result<Rule, QueryError> {
        let query = Query::parse(text)?;
        let alone = Program::compile(std::slice::from_ref(&query), &[], Mode::Strict);
        if let Err(problems) = alone
            && let Some(first) = problems.into_iter().next()
        {
            return Err(first.error);
        }
        let info = RuleInfo {
            id: Rule::QUERY_ID.to_owned(),
            uuid: String::new(),
            name: text.to_owned(),
            description: String::new(),
            version: String::new(),
            license: String::new(),
            severity: Severity::Low,
            risk_score: 0,
            references: Vec::new(),
            threat: Vec::new(),
            ruleset: String::new(),
        };
        Ok(Rule {
            info: Arc::new(info),
            digest: Sha256::digest(text).into(),
            notes: RuleNotes::default(),
            enabled: true,
            kind: RuleKind::Query(QueryRule { query }),
            triage: None,
            exceptions: Vec::new(),
        })
    }
}

/// What tells the layouts of rule files apart.
#[derive(Deserialize)]
struct Layout {
    rule: Option<serde::de::IgnoredAny>,
    exception: Option<serde::de::IgnoredAny>,
}

/// Checks and compiles one file; holds its name and text for the messages.
struct Compiler<'f> {
    file: &'f str,
    text: &'f str,
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
                self.refuse_others(&raw)?;
                RuleKind::Exec(Box::new(self.exec_rule(&raw)?))
            }
            RuleType::NewTerms => {
                self.refuse_others(&raw)?;
                RuleKind::NewTerms(self.new_terms_rule(&raw)?)
            }
            RuleType::Query => {
                self.refuse_others(&raw)?;
                RuleKind::Query(self.query_rule(&raw)?)
            }
        };
        let triage = self.triage(&raw)?.map(Box::new);
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
                ruleset: String::new(),
            }),
            digest: self.digest(),
            enabled: raw.enabled,
            notes: RuleNotes { blind_spots: raw.blind_spots, known_noise: raw.known_noise },
            kind,
            triage,
            exceptions: Vec::new(),
        })
    }

    /// Refuses the keys that belong to rules of another type.
    fn refuse_others(&self, raw: &RuleFile) -> Result<(), RuleError> {
        use RuleType::{Exec, NewTerms};
        let keys = [
            (NewTerms, "match", raw.matches.is_some()),
            (NewTerms, "fields", raw.fields.is_some()),
            (NewTerms, "window", raw.window.is_some()),
            (NewTerms, "shard_by", raw.shard_by.is_some()),
            (Exec, "sensitive_paths", raw.sensitive_paths.is_some()),
            (Exec, "mask", raw.mask.is_some()),
            (Exec, "unseen_command", raw.unseen_command.is_some()),
            (Exec, "paths", raw.paths.is_some()),
            (Exec, "likely", raw.likely.is_some()),
            (Exec, "hidden_command", raw.hidden_command.is_some()),
            (Exec, "interactive_shell", raw.interactive_shell),
        ];
        let here = [
            ("query", raw.kind == Exec && raw.query.is_some()),
            ("label_field", raw.kind == Exec && raw.label_field.is_some()),
            ("suppress", raw.kind == NewTerms && raw.suppress.is_some()),
        ];
        if let Some((key, _)) = here.into_iter().find(|(_, misplaced)| *misplaced) {
            let kind = raw.kind.as_str();
            return Err(RuleError::Misplaced { file: self.file.to_owned(), key, kind });
        }
        let misplaced = keys.iter().find(|(kind, _, given)| *given && *kind != raw.kind);
        match misplaced {
            Some(&(_, key, _)) => {
                let kind = raw.kind.as_str();
                Err(RuleError::Misplaced { file: self.file.to_owned(), key, kind })
            }
            None => Ok(()),
        }
    }

    fn query_rule(&self, raw: &RuleFile) -> Result<QueryRule, RuleError> {
        let query = raw.query.as_ref().ok_or_else(|| RuleError::Missing {
            file: self.file.to_owned(),
            key: "query",
            kind: "query",
        })?;
        self.parsed(query, Mode::Strict).map(|(query, _)| QueryRule { query })
    }

    /// A query and, if it is not to be strict, what it asks that no event can have.
    fn parsed(
        &self,
        query: &toml::Spanned<String>,
        mode: Mode,
    ) -> Result<(Query, Vec<String>), RuleError> {
        let wrong = |source: QueryError| self.query_error(query, source);
        let parsed = Query::parse(query.get_ref()).map_err(wrong)?;
        let alone = Program::compile(std::slice::from_ref(&parsed), &[], mode);
        let alone = alone.map_err(|problems| {
            let first = problems.into_iter().next().map(|problem| problem.error);
            first.map_or_else(|| self.invalid("query", "cannot be compiled"), wrong)
        })?;
        let warnings = alone.warnings().iter();
        let warnings = warnings.map(|problem| {
            let at = self.placed(query, problem.error.clone());
            format!("{} at line {}, column {}", at.message, at.line, at.column)
        });
        Ok((parsed, warnings.collect()))
    }

    /// A rule in the layout of published ones, and notes on what of it has no meaning here.
    fn published(&self, raw: PublishedFile) -> Result<(Rule, Vec<String>), RuleError> {
        let published = raw
            .translate()
            .map_err(|source| RuleError::Published { file: self.file.to_owned(), source })?;
        let (query, warnings) = self.parsed(&published.query, Mode::Lenient)?;
        let mut notes = published.notes;
        notes.extend(warnings);
        let kind = match published.kind {
            PublishedKind::Query => RuleKind::Query(QueryRule { query }),
            PublishedKind::NewTerms { fields, window_ms } => {
                let refused = fields.iter().find_map(|it| Some((it, not_a_term(it)?)));
                if let Some((name, reason)) = refused {
                    let text = format!("new terms of `{name}` are not supported: {reason}");
                    let source = PublishedError::Unsupported(text);
                    return Err(RuleError::Published { file: self.file.to_owned(), source });
                }
                let fields: Vec<TermField> = fields.into_iter().map(TermField::from).collect();
                let shard_by = fields.iter().find(|it| names_the_user(it)).cloned();
                let (id, condition) = (&published.info.id, Condition::Query(query));
                RuleKind::NewTerms(self.new_terms(id, condition, fields, window_ms, shard_by)?)
            }
        };
        let info = Arc::new(published.info);
        let digest = self.digest();
        let (own, exceptions) = (RuleNotes::default(), Vec::new());
        let rule = Rule { info, digest, notes: own, enabled: true, kind, triage: None, exceptions };
        Ok((rule, notes))
    }

    fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.text).into()
    }

    /// An error in a query, at its place in the file.
    fn query_error(&self, query: &toml::Spanned<String>, source: QueryError) -> RuleError {
        let source = Box::new(self.placed(query, source));
        RuleError::Query { file: self.file.to_owned(), source }
    }

    fn placed(&self, query: &toml::Spanned<String>, error: QueryError) -> QueryError {
        let written = self.text.get(query.span()).unwrap_or_default();
        // A text with escapes stands there otherwise than it is: its own lines are told then.
        match written.find(query.get_ref().as_str()) {
            Some(at) => error.within(self.text, query.span().start + at),
            None => error,
        }
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
        let condition = match (&raw.query, &raw.matches) {
            (Some(query), None) => {
                self.parsed(query, Mode::Strict).map(|(query, _)| Condition::Query(query))?
            }
            (None, Some(table)) => {
                self.check_match(table)?;
                Condition::Match(table.clone())
            }
            (Some(_), Some(_)) => {
                return Err(self.invalid("match", "stands beside `query`: one of both is enough"));
            }
            (None, None) => return Err(need("query")),
        };
        let fields = raw.fields.as_deref().ok_or_else(|| need("fields"))?;
        let window = raw.window.as_deref().ok_or_else(|| need("window"))?;
        let window_ms =
            parse_duration_ms(window).map_err(|error| self.invalid("window", error.to_string()))?;
        self.new_terms(&raw.id, condition, fields.to_vec(), window_ms, raw.shard_by.clone())
    }

    fn new_terms(
        &self,
        id: &str,
        condition: Condition,
        fields: Vec<TermField>,
        window_ms: i64,
        shard_by: Option<TermField>,
    ) -> Result<NewTermsRule, RuleError> {
        let distinct = fields.iter().enumerate().all(|(at, field)| !fields[..at].contains(field));
        if fields.is_empty() || !distinct {
            return Err(self.invalid("fields", "must hold at least one field, and each once"));
        }
        if fields.len() > limits::TERM_FIELDS_MAX {
            let most = limits::TERM_FIELDS_MAX;
            return Err(self.invalid("fields", format!("holds more than {most} fields")));
        }
        for field in &fields {
            self.check_term_field(field, &condition)?;
        }
        if window_ms == 0 || window_ms > limits::WINDOW_MAX_MS {
            let days = limits::WINDOW_MAX_MS / limits::DAY_MS;
            return Err(self.invalid("window", format!("must be more than 0s and at most {days}d")));
        }
        if shard_by.as_ref().is_some_and(|field| !fields.contains(field)) {
            return Err(self.invalid("shard_by", "must be one of `fields`"));
        }
        let terms_version = terms_version(id, &fields, window_ms);
        Ok(NewTermsRule { condition, fields, window_ms, shard_by, terms_version })
    }

    /// Whether the values of a field may be terms: they are kept, and stand in alerts.
    fn check_term_field(&self, field: &TermField, condition: &Condition) -> Result<(), RuleError> {
        let TermField::Other(name) = field else { return Ok(()) };
        if let Condition::Match(_) = condition {
            let problem =
                format!("holds `{name}`, for which the rule needs `query` and no `match`");
            return Err(self.invalid("fields", problem));
        }
        if let Some(reason) = not_a_term(name) {
            return Err(self.invalid("fields", format!("holds `{name}`: {reason}")));
        }
        self.check_name("fields", name)
    }

    /// Whether an event can have a field of this name.
    fn check_name(&self, key: &'static str, name: &str) -> Result<(), RuleError> {
        let alone = Program::compile(&[], &[name], Mode::Strict);
        match alone.err().and_then(|problems| problems.into_iter().next()) {
            Some(problem) => {
                let hint = problem.error.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
                let message = problem.error.message;
                Err(self.invalid(key, format!("holds `{name}`: {message}{hint}")))
            }
            None => Ok(()),
        }
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

    fn invalid(&self, key: &'static str, problem: impl Into<String>) -> RuleError {
        RuleError::Invalid { file: self.file.to_owned(), key, problem: problem.into() }
    }
}

/// Why the values of a field can't be terms: these are kept, and stand in alerts.
fn not_a_term(name: &str) -> Option<&'static str> {
    const COMMANDS: [&str; 4] =
        ["exec.command", "exec.args", "exec.normal_form", "kubernetes.audit.requestURI"];
    if is_in_body(name) {
        return Some("what was sent or answered never leaves");
    }
    let of_annotation = name.strip_prefix("kubernetes.audit.annotations.");
    // The label in which GKE keeps the command, in either spelling.
    if COMMANDS.contains(&name) || of_annotation.is_some_and(|key| key.starts_with("command")) {
        return Some("it may hold the secrets of a command");
    }
    None
}

fn is_in_body(name: &str) -> bool {
    const BODIES: [&str; 2] = ["kubernetes.audit.requestObject", "kubernetes.audit.responseObject"];
    BODIES.iter().any(|body| name.starts_with(body))
}

fn names_the_user(field: &TermField) -> bool {
    ["user.name", "kubernetes.audit.user.username"].contains(&field.name())
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
