//! What can be wrong with a configuration, and where it was said.
//!
//! Owns the wording of problems. A problem never repeats the value of a property: it may be a
//! secret.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use super::keys::Kind;
use crate::limits;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Default,
    /// Line and column count from 1, the column in characters.
    File {
        path: Arc<PathBuf>,
        line: usize,
        column: usize,
    },
    /// The name of the variable.
    Environment(String),
    /// `--set`
    Set,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => f.write_str("default"),
            Source::File { path, line, column } => {
                write!(f, "{}:{line}:{column}", visible(&path.to_string_lossy()))
            }
            Source::Environment(name) => write!(f, "env {}", visible(name)),
            Source::Set => f.write_str("--set"),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// None when it concerns the file as a whole.
    pub source: Option<Source>,
    pub kind: ProblemKind,
}

/// What should stand there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    Value(Kind),
    Table,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Expected::Value(kind) => kind.expected(),
            Expected::Table => "a table",
        })
    }
}

/// What stands there instead: its type, and the value where that is short and telling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    Text(String),
    /// Of a variable or `--set`, where everything is text.
    Written(String),
    /// As it is written.
    Number(String),
    Boolean(bool),
    Date,
    List,
    /// A list, with an entry of another type.
    ListWith(Box<Found>),
    Table,
    /// Where a table should be.
    Value,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Found::Text(text) => write!(f, "the text \"{}\"", visible(text)),
            Found::Written(text) => write!(f, "\"{}\"", visible(text)),
            Found::Number(number) => write!(f, "the number {}", visible(number)),
            Found::Boolean(value) => write!(f, "`{value}`"),
            Found::Date => f.write_str("a date"),
            Found::List => f.write_str("a list"),
            Found::ListWith(entry) => write!(f, "a list with {entry} in it"),
            Found::Table => f.write_str("a table"),
            Found::Value => f.write_str("a value of its own"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProblemKind {
    #[error("cannot read configuration file `{path}`: {reason}")]
    Unreadable { path: String, reason: String },
    #[error("invalid TOML: {message}")]
    Syntax { message: String },
    #[error("unknown key `{key}`")]
    UnknownKey { key: String, nearest: Option<String> },
    #[error("unknown variable: no key has this name")]
    UnknownVariable { nearest: Option<String> },
    #[error("value of `{key}` is not valid UTF-8")]
    NotUtf8 { key: String },
    #[error("`{key}` must be {expected}, not {found}")]
    WrongType { key: String, expected: Expected, found: Found },
    #[error("`{key}`: {message}")]
    Invalid { key: String, message: String, hint: Option<String> },
    #[error("`{key} = \"{value}\"` is not available in this version")]
    NotAvailable { key: String, value: String, available: String },
    #[error("property `{name}` must not be set: {reason}")]
    PropertyRefused { name: String, reason: &'static str },
    #[error("property `{name}`: {message}")]
    PropertyInvalid { name: String, message: String, nearest: Option<String> },
    #[error("property `{name}` is set twice")]
    PropertyTwice { name: String },
    /// It stands in a file or variable that gives nothing.
    #[error("property `{key}`: {message}")]
    PropertyMissing { key: String, message: String, hint: &'static str },
}

impl ProblemKind {
    /// What to do about it, where the message does not say it already.
    pub fn hint(&self) -> Option<String> {
        let mean = |nearest: &Option<String>| {
            nearest.as_ref().map(|nearest| format!("did you mean `{nearest}`?"))
        };
        match self {
            ProblemKind::Unreadable { .. } => {
                Some("`kubetell config template` prints a file to start from".to_owned())
            }
            ProblemKind::UnknownKey { key, nearest } => mean(nearest).or_else(|| {
                key.starts_with("kafka.")
                    .then(|| "properties of librdkafka stand under `[kafka.properties]`".to_owned())
            }),
            ProblemKind::UnknownVariable { nearest } => mean(nearest),
            ProblemKind::NotAvailable { available, .. } => Some(format!("use \"{available}\"")),
            ProblemKind::Invalid { hint, .. } => hint.clone(),
            ProblemKind::PropertyInvalid { nearest, .. } => mean(nearest),
            ProblemKind::PropertyMissing { hint, .. } => Some((*hint).to_owned()),
            ProblemKind::WrongType {
                expected: Expected::Value(Kind::List),
                found: Found::Text(text),
                ..
            } => Some(format!("write it as a list: [\"{}\"]", visible(text))),
            // What TOML makes of a word without quotes depends on its first letter.
            ProblemKind::Syntax { message } => ["invalid float", "invalid boolean"]
                .iter()
                .any(|text| message.starts_with(text))
                .then(|| "a text stands in quotes".to_owned()),
            ProblemKind::NotUtf8 { .. }
            | ProblemKind::WrongType { .. }
            | ProblemKind::PropertyRefused { .. }
            | ProblemKind::PropertyTwice { .. } => None,
        }
    }
}

impl Problem {
    /// The order in which a person goes through them: the file from top to bottom, then the rest.
    fn order(&self) -> (u8, usize, usize) {
        match (&self.source, &self.kind) {
            (_, ProblemKind::Unreadable { .. }) => (0, 0, 0),
            (Some(Source::File { line, column, .. }), _) => (1, *line, *column),
            (Some(Source::Environment(_)), _) => (2, 0, 0),
            (Some(Source::Set), _) => (3, 0, 0),
            (Some(Source::Default) | None, _) => (4, 0, 0),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "{source}: {}", self.kind),
            None => write!(f, "{}", self.kind),
        }
    }
}

/// All that is wrong, in the order file (from top to bottom), environment, `--set`, defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    /// At most `limits::CONFIG_PROBLEMS_MAX`.
    pub problems: Vec<Problem>,
    /// How many more there are.
    pub omitted: usize,
}

impl ConfigErrors {
    pub(crate) fn new(mut problems: Vec<Problem>) -> ConfigErrors {
        problems.sort_by_key(Problem::order);
        let omitted = problems.len().saturating_sub(limits::CONFIG_PROBLEMS_MAX);
        problems.truncate(limits::CONFIG_PROBLEMS_MAX);
        ConfigErrors { problems, omitted }
    }
}

/// One problem a line, each followed by its hint on a line of its own.
impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
            if let Some(hint) = problem.kind.hint() {
                write!(f, "\nhint: {hint}")?;
            }
        }
        if self.omitted > 0 {
            write!(f, "\nand {} more", self.omitted)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Text from outside, made fit to be quoted in a message: control characters escaped (they could
/// rewrite the terminal) and the length bounded.
pub(crate) fn visible(text: &str) -> String {
    let mut out = String::new();
    for (i, c) in text.chars().enumerate() {
        if i == limits::CONFIG_QUOTED_MAX_CHARS {
            out.push('…');
            break;
        }
        // The bidirectional controls reorder what stands around them.
        if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}
