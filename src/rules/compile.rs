//! From rule files to rules that can be asked.
//!
//! Owns what makes a rule file valid and which rules are in force. It reads no files: whoever
//! calls it brings the text. What a rule finds in an event is for `detect`.

use std::collections::HashSet;
use std::sync::Arc;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::duration::parse_duration_ms;
use crate::limits;
use crate::rules::format::{
    Grade, MatchTable, RuleFile, RuleInfo, RuleType, Severity, TermField, UnseenCommand,
    UserAgentCondition,
};
use crate::rules::paths::{PathError, PathSet};
use crate::rules::patterns::{Mask, PatternError, PatternList};
use crate::rules::published::{PublishedError, PublishedFile, PublishedKind};
use crate::rules::query::{Mode, Needles, Program, Query, QueryError};

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
    /// Where any rule has a query.
    queries: Option<RuleQueries>,
}

/// The queries of a set's rules as one program, those of rules that are not in force included.
#[derive(Debug, Clone)]
pub struct RuleQueries {
    program: Arc<Program>,
    /// For each query its rule, and whether that is in force.
    rules: Vec<(Arc<Rule>, bool)>,
    bodies: bool,
}

impl RuleQueries {
    /// Its queries are numbered as [`RuleQueries::rule`] counts.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The rule of a query; `None` where it is not in force.
    pub fn rule(&self, query: usize) -> Option<&Arc<Rule>> {
        self.rules.get(query).filter(|(_, in_force)| *in_force).map(|(rule, _)| rule)
    }

    /// Whether any of them looks into what was sent or answered.
    pub fn asks_about_bodies(&self) -> bool {
        self.bodies
    }

    /// What an event has to hold so that a rule in force can match, rule by rule.
    pub fn needles(&self) -> impl Iterator<Item = (&Rule, &Needles)> {
        let needles = self.program.needles();
        let rules = self.rules.iter().zip(needles).filter(|((_, in_force), _)| *in_force);
        rules.map(|((rule, _), needles)| (&**rule, needles))
    }
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
    Query(QueryRule),
}

/// Raises every event that its query matches.
#[derive(Debug, Clone)]
pub struct QueryRule {
    pub query: Query,
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
        let rules = sources
            .into_iter()
            .map(|(file, text)| Rule::read(file, text).map(|(rule, _)| (file.to_owned(), rule)));
        RuleSet::of(rules.collect::<Result<Vec<_>, _>>()?)
    }

    /// The rules with the files they come from, for messages.
    pub fn of(all: impl IntoIterator<Item = (String, Rule)>) -> Result<RuleSet, RuleError> {
        let (mut rules, mut off) = (Vec::new(), Vec::new());
        let mut ids = HashSet::new();
        for (file, rule) in all {
            if !ids.insert(rule.info.id.clone()) {
                return Err(RuleError::DuplicateId { file, id: rule.info.id.clone() });
            }
            let in_force = if rule.enabled { &mut rules } else { &mut off };
            in_force.push(Arc::new(rule));
        }
        RuleSet { rules, off, queries: None }.with_queries()
    }

    /// Compiles the queries of all rules into one program.
    fn with_queries(mut self) -> Result<RuleSet, RuleError> {
        let (mut queries, mut rules) = (Vec::new(), Vec::new());
        for rule in self.rules.iter().chain(&self.off) {
            if let RuleKind::Query(query_rule) = rule.kind() {
                queries.push(query_rule.query.clone());
                rules.push((Arc::clone(rule), false));
            }
        }
        self.queries = None;
        if !queries.is_empty() {
            // Each was compiled before, strictly where it is the project's own: what is wrong is
            // wrong with all of them together.
            let program = Program::compile(&queries, &[], Mode::Lenient).map_err(|problems| {
                let first = problems.into_iter().next().map(|problem| problem.error);
                first.map_or(RuleError::TooManyQueries, |error| RuleError::Queries(Box::new(error)))
            })?;
            let bodies = queries.iter().any(asks_about_bodies);
            self.queries = Some(RuleQueries { program: Arc::new(program), rules, bodies });
        }
        Ok(self.with_queries_in_force())
    }

    /// Which queries count, after rules were taken in or out.
    fn with_queries_in_force(mut self) -> RuleSet {
        if let Some(queries) = &mut self.queries {
            for (rule, in_force) in &mut queries.rules {
                *in_force = self.rules.iter().any(|it| it.id() == rule.id());
            }
        }
        self
    }

    /// The queries of the rules in force; `None` where no rule has one.
    pub fn queries(&self) -> Option<&RuleQueries> {
        self.queries.as_ref().filter(|queries| queries.rules.iter().any(|(_, in_force)| *in_force))
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
        self.with_queries()
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
            RuleKind::Exec(_) | RuleKind::Query(_) => None,
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
        Ok(self.with_queries_in_force())
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
        let all = self.rules.iter().chain(&self.off).cloned();
        let (rules, off) = all.partition(|rule| wanted(&rule));
        let set = RuleSet { rules, off, queries: self.queries.clone() };
        Ok(set.with_queries_in_force())
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
        Rule::read(file, text).map(|(rule, _)| rule)
    }

    /// A rule in either layout, and notes on what of its file has no meaning here.
    pub fn read(file: &str, text: &str) -> Result<(Rule, Vec<String>), RuleError> {
        let wrong = |source| RuleError::Syntax { file: file.to_owned(), source: Box::new(source) };
        let compiler = Compiler { file, text };
        let table: Layout = toml::from_str(text).map_err(wrong)?;
        match table.rule {
            Some(_) => compiler.published(toml::from_str(text).map_err(wrong)?),
            None => compiler.rule(toml::from_str(text).map_err(wrong)?).map(|it| (it, Vec::new())),
        }
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
        };
        Ok(Rule {
            info: Arc::new(info),
            notes: RuleNotes::default(),
            enabled: true,
            kind: RuleKind::Query(QueryRule { query }),
        })
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
            // Its needles are asked of all queries together.
            RuleKind::Query(_) => Vec::new(),
        }
    }
}

/// Whether a field of the query is below a body, or may be.
fn asks_about_bodies(query: &Query) -> bool {
    const BODIES: [&str; 2] = ["kubernetes.audit.requestObject", "kubernetes.audit.responseObject"];
    query.fields().iter().any(|field| {
        let known = field.split('*').next().unwrap_or_default();
        BODIES
            .iter()
            .any(|body| field.starts_with(body) || known != field && body.starts_with(known))
    })
}

/// What tells the layouts of rule files apart.
#[derive(Deserialize)]
struct Layout {
    rule: Option<serde::de::IgnoredAny>,
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

    /// Refuses the keys that belong to rules of another type.
    fn refuse_others(&self, raw: &RuleFile) -> Result<(), RuleError> {
        use RuleType::{Exec, NewTerms, Query};
        let keys = [
            (Query, "query", raw.query.is_some()),
            (NewTerms, "match", raw.matches.is_some()),
            (NewTerms, "fields", raw.fields.is_some()),
            (NewTerms, "window", raw.window.is_some()),
            (NewTerms, "shard_by", raw.shard_by.is_some()),
            (Exec, "sensitive_paths", raw.sensitive_paths.is_some()),
            (Exec, "labels", raw.labels.is_some()),
            (Exec, "default_label", raw.default_label.is_some()),
            (Exec, "mask", raw.mask.is_some()),
            (Exec, "unseen_command", raw.unseen_command.is_some()),
            (Exec, "paths", raw.paths.is_some()),
            (Exec, "likely", raw.likely.is_some()),
            (Exec, "hidden_command", raw.hidden_command.is_some()),
            (Exec, "interactive_shell", raw.interactive_shell),
        ];
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
            PublishedKind::NewTerms { .. } => {
                let text = "rules of the type `new_terms` of this layout are not supported yet";
                let source = PublishedError::Unsupported(text.to_owned());
                return Err(RuleError::Published { file: self.file.to_owned(), source });
            }
        };
        let info = Arc::new(published.info);
        Ok((Rule { info, notes: RuleNotes::default(), enabled: true, kind }, notes))
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
