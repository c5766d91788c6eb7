//! Exceptions: of which events a rule says nothing although it matches.
//!
//! Owns what an exception is, its files, and which exceptions concern a rule. Whether one holds of
//! an event is for `detect::exceptions`. Pure: no I/O, no clock.

mod read;
mod wildcard;
mod write;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::limits;
use crate::rules::query::{Mode, Network, Program, Query, QueryError};

pub use read::{keys_of_rule, read_file, read_of_rule};
pub use wildcard::Wildcard;
pub use write::{Draft, entry_text};

/// One exception. All of its conditions have to hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Exception {
    /// What counters, messages and explanations call it: its `id`, else its place.
    pub name: String,
    /// Where it stands.
    pub file: String,
    /// From 1.
    pub line: usize,
    pub of: Rules,
    pub reason: String,
    /// `None`: it holds for good.
    pub expires: Option<Expiry>,
    pub conditions: Vec<Condition>,
    /// Beside the other conditions.
    pub query: Option<Query>,
}

/// Which rules an exception is made of.
#[derive(Debug, Clone, PartialEq)]
pub enum Rules {
    All,
    These(Vec<Named>),
}

/// The id of a rule, and where it is named.
#[derive(Debug, Clone, PartialEq)]
pub struct Named {
    pub id: String,
    /// Without a message.
    place: QueryError,
}

/// When an exception ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// Milliseconds since the epoch: it holds of events before. A date ends with its day in UTC.
    pub at_ms: i64,
    /// As it was written.
    pub text: String,
}

/// A value of an event has to be like one of some.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    Like(Key, Vec<Wildcard>),
    /// Every source address of the event lies in one of these networks.
    Sources(Vec<Source>),
}

/// A network, or an address, as it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    pub network: Network,
    pub text: String,
}

/// What of an event a condition looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// The cluster's name: of the configuration, or where it says that a record names it.
    Cluster,
    /// The authenticated user, of a request that is not made as somebody else unless
    /// `ImpersonatedUser` is asked for too.
    User,
    ImpersonatedUser,
    UserAgent,
    Verb,
    Namespace,
    /// With the subresource, if there is one: `pods/exec`.
    Resource,
    /// Of the object that is asked for.
    Name,
    /// Of an exec, or of a request for a pod.
    Pod,
    /// Of an exec.
    Container,
    /// Of an exec: its arguments joined by one space.
    Command,
}

impl Key {
    pub const ALL: [Key; 11] = [
        Key::Cluster,
        Key::User,
        Key::ImpersonatedUser,
        Key::UserAgent,
        Key::Verb,
        Key::Namespace,
        Key::Resource,
        Key::Name,
        Key::Pod,
        Key::Container,
        Key::Command,
    ];

    /// As files write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Key::Cluster => "cluster",
            Key::User => "user",
            Key::ImpersonatedUser => "impersonated_user",
            Key::UserAgent => "user_agent",
            Key::Verb => "verb",
            Key::Namespace => "namespace",
            Key::Resource => "resource",
            Key::Name => "name",
            Key::Pod => "pod",
            Key::Container => "container",
            Key::Command => "command",
        }
    }
}

/// Why exceptions cannot be used.
#[derive(Debug, Error)]
pub enum ExceptionError {
    #[error("`{file}` is no valid file of exceptions\n{source}")]
    Syntax { file: String, source: Box<toml::de::Error> },
    #[error("`{file}`: {source}")]
    Placed { file: String, source: Box<QueryError> },
    #[error("`{file}`: more than {problems} problems, the others are left out")]
    More { file: String, problems: usize },
    #[error("`{place}`: there is another exception with the id `{name}`, `{other}`")]
    DuplicateId { place: String, name: String, other: String },
    #[error(
        "`{file}` holds a rule and no exceptions\n\nhint: rules are named by `rules` and `--rules`"
    )]
    IsRule { file: String },
    #[error("there are more than {} exceptions", limits::EXCEPTIONS_MAX)]
    TooMany,
    #[error("the queries of the exceptions are too much together: {0}")]
    Queries(Box<QueryError>),
}

impl Exception {
    /// Whether it holds no longer at this time, milliseconds since the epoch.
    pub fn is_expired(&self, at_ms: i64) -> bool {
        self.expires.as_ref().is_some_and(|expires| at_ms >= expires.at_ms)
    }

    pub fn concerns(&self, rule_id: &str) -> bool {
        match &self.of {
            Rules::All => true,
            Rules::These(rules) => rules.iter().any(|rule| rule.id == rule_id),
        }
    }

    /// Leaves out the rules that are not known; whether it is still of any.
    pub fn keep_known(&mut self, known: impl Fn(&str) -> bool) -> bool {
        match &mut self.of {
            Rules::All => true,
            Rules::These(rules) => {
                rules.retain(|rule| known(&rule.id));
                !rules.is_empty()
            }
        }
    }

    /// What is said of it if it has ended by now, milliseconds since the epoch.
    pub fn expiry_warning(&self, now_ms: i64) -> Option<String> {
        let expires = self.expires.as_ref().filter(|_| self.is_expired(now_ms))?;
        let name = self.shown_name();
        Some(format!("{name} has expired ({}): it holds of no event since", expires.text))
    }

    /// With its place, for messages.
    pub fn shown_name(&self) -> String {
        let place = self.place();
        if self.name == place {
            format!("the exception `{place}`")
        } else {
            format!("the exception `{}` (`{place}`)", self.name)
        }
    }

    pub fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }

    /// Whether an event made as somebody else can be meant.
    pub fn asks_whom_it_is_for(&self) -> bool {
        self.asks(Key::ImpersonatedUser)
    }

    pub fn asks(&self, key: Key) -> bool {
        self.conditions.iter().any(|it| matches!(it, Condition::Like(of, _) if *of == key))
    }

    /// SHA-256 of what it says, wherever it stands.
    pub(super) fn digest(&self) -> [u8; 32] {
        let Shown { name, place, rules, conditions, reason, expires, .. } = self.shown(0);
        let id = (name != place).then_some(name);
        let said = format!("{:?}", (id, rules, conditions, reason, expires));
        Sha256::digest(said).into()
    }

    /// For people and programs, as of a time in milliseconds since the epoch.
    pub fn shown(&self, now_ms: i64) -> Shown {
        let mut conditions: Vec<ShownCondition> = self.conditions.iter().map(shown).collect();
        if let Some(query) = &self.query {
            let values = vec![query.text().trim().to_owned()];
            conditions.push(ShownCondition { key: "query", values });
        }
        Shown {
            name: self.name.clone(),
            place: self.place(),
            rules: match &self.of {
                Rules::All => vec!["*".to_owned()],
                Rules::These(rules) => rules.iter().map(|rule| rule.id.clone()).collect(),
            },
            conditions,
            reason: self.reason.clone(),
            expires: self.expires.as_ref().map(|expires| expires.text.clone()),
            expired: self.is_expired(now_ms),
        }
    }
}

fn shown(condition: &Condition) -> ShownCondition {
    match condition {
        Condition::Like(key, values) => ShownCondition {
            key: key.as_str(),
            values: values.iter().map(Wildcard::to_string).collect(),
        },
        Condition::Sources(sources) => ShownCondition {
            key: "source",
            values: sources.iter().map(|source| source.text.clone()).collect(),
        },
    }
}

/// An exception as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    pub name: String,
    pub place: String,
    pub rules: Vec<String>,
    pub conditions: Vec<ShownCondition>,
    pub reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    pub expired: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownCondition {
    pub key: &'static str,
    /// One of them has to be met.
    pub values: Vec<String>,
}

impl fmt::Display for ShownCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.values.join(" or "))
    }
}

/// The exceptions in force, in the order they were given.
#[derive(Debug, Clone, Default)]
pub struct Exceptions {
    all: Vec<Arc<Exception>>,
    /// Numbers of those that name a rule.
    by_rule: HashMap<String, Vec<usize>>,
    /// Numbers of those of every rule.
    of_any: Vec<usize>,
    /// Their queries as one program, where any has one.
    program: Option<Arc<Program>>,
    /// For each exception the number of its query.
    queries: Vec<Option<usize>>,
    bodies: bool,
}

impl Exceptions {
    /// # Errors
    /// If there are too many, two have one id, or the queries are too much together.
    pub fn of(all: Vec<Exception>) -> Result<Exceptions, ExceptionError> {
        if all.len() > limits::EXCEPTIONS_MAX {
            return Err(ExceptionError::TooMany);
        }
        let all: Vec<Arc<Exception>> = all.into_iter().map(Arc::new).collect();
        let mut exceptions = Exceptions { all, ..Exceptions::default() };
        let mut queries = Vec::new();
        let mut names: HashMap<&str, &Exception> = HashMap::new();
        for (number, exception) in exceptions.all.iter().enumerate() {
            if let Some(other) = names.insert(&exception.name, exception) {
                let (name, place) = (exception.name.clone(), exception.place());
                return Err(ExceptionError::DuplicateId { place, name, other: other.place() });
            }
            match &exception.of {
                Rules::All => exceptions.of_any.push(number),
                Rules::These(rules) => {
                    let ids: HashSet<&str> = rules.iter().map(|rule| rule.id.as_str()).collect();
                    for id in ids {
                        exceptions.by_rule.entry(id.to_owned()).or_default().push(number);
                    }
                }
            }
            exceptions.queries.push(exception.query.is_some().then_some(queries.len()));
            queries.extend(exception.query.clone());
        }
        if !queries.is_empty() {
            exceptions.bodies = queries.iter().any(Query::asks_about_bodies);
            // Each was compiled before: what is wrong is wrong with all of them together.
            let program = Program::compile(&queries, &[], Mode::Lenient);
            exceptions.program = Some(Arc::new(program.map_err(|problems| {
                let first = problems.into_iter().next().map(|problem| problem.error);
                first.map_or(ExceptionError::TooMany, |it| ExceptionError::Queries(Box::new(it)))
            })?));
        }
        Ok(exceptions)
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Exception>> {
        self.all.iter()
    }

    /// Those that a rule has: those that name it, then those of every rule, each with the number of
    /// its query.
    pub fn of_rule(&self, rule_id: &str) -> impl Iterator<Item = (&Arc<Exception>, Option<usize>)> {
        let naming = self.by_rule.get(rule_id).map_or(&[][..], Vec::as_slice);
        let numbers = naming.iter().chain(&self.of_any);
        numbers.map(|number| (&self.all[*number], self.queries[*number]))
    }

    pub fn program(&self) -> Option<&Program> {
        self.program.as_deref()
    }

    /// Whether any of them looks into what was sent or answered.
    pub fn asks_about_bodies(&self) -> bool {
        self.bodies
    }

    /// Both together.
    ///
    /// # Errors
    /// As of [`Exceptions::of`].
    pub fn and(&self, more: Vec<Exception>) -> Result<Exceptions, ExceptionError> {
        if more.is_empty() {
            return Ok(self.clone());
        }
        let own = self.all.iter().map(|exception| (**exception).clone());
        Exceptions::of(own.chain(more).collect())
    }
}

impl Named {
    /// The error that there is no rule of this id.
    pub fn unknown(&self, file: &str, nearest: Option<&str>) -> ExceptionError {
        let mut source = self.place.clone();
        source.message = format!("there is no rule {:?}", self.id);
        source.hint = Some(match nearest {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => "`kubetell rules list` lists the rules; those of your own have to be named \
                     beside the exceptions"
                .to_owned(),
        });
        ExceptionError::Placed { file: file.to_owned(), source: Box::new(source) }
    }
}

#[cfg(test)]
mod tests;
