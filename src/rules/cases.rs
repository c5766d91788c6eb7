//! Test cases of rules: events, and what a rule has to make of them.
//!
//! Owns how a case is written: under `tests` in a rule's file, or in the file `NAME.tests.toml`
//! beside it. It runs nothing, reads no files, and does not know what alerts hold: whoever runs
//! the cases checks that. Rules that are in force know nothing of their cases.

pub mod beside;
mod entry;
mod short;

use std::collections::BTreeSet;
use std::ops::Range;

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;
use toml::Spanned;

pub use self::entry::{CaseEntry, Expect};
pub use self::short::EVENT_KEYS;

use self::entry::{FieldEntry, FieldsEntry, InputEntry, InputsEntry};
use self::short::{Filler, UnknownKey};
use crate::limits;
use crate::rules::query::QueryError;

/// The cases of the built-in rules: the rule's id, file name and text.
pub const BUILTIN: [(&str, &str, &str); 3] = [
    (
        "pod-exec-sensitive-path",
        "builtin/pod-exec-sensitive-path.tests.toml",
        include_str!("builtin/pod-exec-sensitive-path.tests.toml"),
    ),
    (
        "secret-access-unusual-client",
        "builtin/secret-access-unusual-client.tests.toml",
        include_str!("builtin/secret-access-unusual-client.tests.toml"),
    ),
    (
        "pod-exec-interactive-shell",
        "builtin/pod-exec-interactive-shell.tests.toml",
        include_str!("builtin/pod-exec-interactive-shell.tests.toml"),
    ),
];

/// Why the cases of a file cannot be run.
#[derive(Debug, Error)]
pub enum CaseError {
    #[error("`{file}` holds no valid test cases\n{source}")]
    Syntax { file: String, source: Box<toml::de::Error> },
    #[error("`{file}`: {source}")]
    Place { file: String, source: Box<QueryError> },
}

/// Where cases stand, for messages.
#[derive(Debug, Clone, Copy)]
pub struct Source<'t> {
    pub file: &'t str,
    pub text: &'t str,
}

impl Source<'_> {
    /// An error at bytes `span` of the text.
    pub fn error(
        &self,
        span: Range<usize>,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> CaseError {
        let source = QueryError::at(self.text, span, message, hint);
        CaseError::Place { file: self.file.to_owned(), source: Box::new(source) }
    }

    /// The line of a byte, from 1.
    fn line(&self, at: usize) -> usize {
        1 + self.text.bytes().take(at).filter(|byte| *byte == b'\n').count()
    }
}

/// One case.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    pub name: String,
    /// Of its name in the file, from 1.
    pub line: usize,
    /// What came before; what it raises does not count.
    pub given: Vec<Input>,
    pub events: Vec<Input>,
    pub expected: Expected,
}

/// Where events come from, and the bytes of the file at which that is said.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A record as it could stand in a topic.
    Record { record: Vec<u8>, span: Range<usize> },
    /// A file of records, its path relative to the file that names it.
    File { path: String, span: Range<usize> },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    pub alerts: Count,
    pub fields: Fields,
}

/// How many alerts there must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    AtLeastOne,
    Exactly(usize),
}

/// What alerts must hold.
#[derive(Debug, Clone, PartialEq)]
pub enum Fields {
    /// Each of them the same.
    Each(Vec<FieldValue>),
    /// The first one the first, and so on.
    OneByOne(Vec<Vec<FieldValue>>),
}

impl Fields {
    pub fn all(&self) -> impl Iterator<Item = &FieldValue> {
        let lists = match self {
            Fields::Each(fields) => std::slice::from_ref(fields),
            Fields::OneByOne(lists) => lists.as_slice(),
        };
        lists.iter().flatten()
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct FieldValue {
    /// The names from the alert's document down, joined by dots.
    pub path: String,
    pub value: Value,
    pub span: Range<usize>,
}

/// The cases that stand in a rule's file under `tests`; the rest of the file is the rule's.
#[derive(Deserialize)]
struct WithinRule {
    #[serde(default)]
    tests: Vec<CaseEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BesideRule {
    tests: Vec<CaseEntry>,
}

/// The cases in the text of a rule's file; there may be none.
///
/// # Errors
/// The first thing that is wrong, at its place.
pub fn of_rule(source: Source<'_>) -> Result<Vec<Case>, CaseError> {
    let file: WithinRule = source.parsed()?;
    source.cases(file.tests)
}

/// The cases in the text of a file beside a rule's.
///
/// # Errors
/// The first thing that is wrong, at its place.
pub fn beside_rule(source: Source<'_>) -> Result<Vec<Case>, CaseError> {
    let file: BesideRule = source.parsed()?;
    source.cases(file.tests)
}

impl Source<'_> {
    fn parsed<T: for<'de> Deserialize<'de>>(&self) -> Result<T, CaseError> {
        toml::from_str(self.text).map_err(|source| CaseError::Syntax {
            file: self.file.to_owned(),
            source: Box::new(source),
        })
    }

    fn cases(&self, entries: Vec<CaseEntry>) -> Result<Vec<Case>, CaseError> {
        let mut names = BTreeSet::new();
        let mut cases = Vec::with_capacity(entries.len());
        for entry in entries {
            let (name, span) = (entry.name.get_ref().clone(), entry.name.span());
            if name.trim().is_empty() {
                return Err(self.error(span, "the name of the case is empty", None));
            }
            if !names.insert(name) {
                return Err(self.error(span, "another case has the same name", None));
            }
            if cases.len() == limits::CASES_MAX {
                let message = format!("the file holds more than {} cases", limits::CASES_MAX);
                return Err(self.error(span, message, None));
            }
            cases.push(self.case(entry)?);
        }
        Ok(cases)
    }

    fn case(&self, entry: CaseEntry) -> Result<Case, CaseError> {
        let expected = self.expected(&entry)?;
        let mut filler = Filler::new();
        let given = match &entry.given {
            Some(given) => self.inputs("given", given, &mut filler)?,
            None => Vec::new(),
        };
        let events = self.inputs("events", &entry.events, &mut filler)?;
        let line = self.line(entry.name.span().start);
        Ok(Case { name: entry.name.into_inner(), line, given, events, expected })
    }

    fn expected(&self, entry: &CaseEntry) -> Result<Expected, CaseError> {
        let fields = match &entry.fields {
            None => Fields::Each(Vec::new()),
            Some(fields) => match fields.get_ref() {
                FieldsEntry::Each(fields) => Fields::Each(self.fields(fields)?),
                FieldsEntry::OneByOne(lists) => {
                    let lists = lists.iter().map(|fields| self.fields(fields));
                    Fields::OneByOne(lists.collect::<Result<_, _>>()?)
                }
            },
        };
        let alerts = match (&entry.expect, &entry.alerts, &fields) {
            (Some(_), Some(alerts), _) => {
                let message = "`alerts` stands beside `expect`: one of both is enough";
                return Err(self.error(alerts.span(), message, None));
            }
            (None, Some(alerts), _) => Count::Exactly(*alerts.get_ref() as usize),
            (Some(Expect::None), None, _) => Count::Exactly(0),
            (_, None, Fields::OneByOne(lists)) => Count::Exactly(lists.len()),
            (Some(Expect::Alert), None, _) => Count::AtLeastOne,
            (None, None, _) if entry.fields.is_some() => Count::AtLeastOne,
            (None, None, _) => {
                let hint = "write `expect = \"alert\"`, `expect = \"none\"` or `alerts = 2`";
                let message = "the case does not say what to expect";
                return Err(self.error(entry.name.span(), message, Some(hint.to_owned())));
            }
        };
        if let Some(entry) = &entry.fields {
            let wrong = match (alerts, &fields) {
                (Count::Exactly(0), _) => {
                    Some("no alert is expected, so none can have these fields")
                }
                (Count::Exactly(number), Fields::OneByOne(lists)) if number != lists.len() => {
                    Some("these are the fields of another number of alerts than is expected")
                }
                _ => None,
            };
            if let Some(message) = wrong {
                return Err(self.error(entry.span(), message, None));
            }
        }
        Ok(Expected { alerts, fields })
    }

    fn fields(&self, entries: &[FieldEntry]) -> Result<Vec<FieldValue>, CaseError> {
        let mut fields = Vec::new();
        for FieldEntry { name, value } in entries {
            flattened(name.get_ref(), &name.span(), value, &mut fields);
        }
        Ok(fields)
    }

    fn inputs(
        &self,
        key: &str,
        entry: &Spanned<InputsEntry>,
        filler: &mut Filler,
    ) -> Result<Vec<Input>, CaseError> {
        let mut inputs = Vec::new();
        match entry.get_ref() {
            InputsEntry::Text(text) => self.documents(text, entry.span(), filler, &mut inputs)?,
            InputsEntry::List(list) => {
                for item in list {
                    match item.get_ref() {
                        InputEntry::Text(text) => {
                            self.documents(text, item.span(), filler, &mut inputs)?;
                        }
                        InputEntry::Table(keys) => {
                            inputs.push(self.table(keys, item.span(), filler)?);
                        }
                    }
                }
            }
        }
        if inputs.is_empty() {
            return Err(self.error(entry.span(), format!("there is no event in `{key}`"), None));
        }
        if inputs.len() > limits::CASE_EVENTS_MAX {
            let message = format!("a case has at most {} events", limits::CASE_EVENTS_MAX);
            return Err(self.error(entry.span(), message, None));
        }
        Ok(inputs)
    }

    /// The JSON documents of a text, one after the other.
    fn documents(
        &self,
        text: &str,
        span: Range<usize>,
        filler: &mut Filler,
        inputs: &mut Vec<Input>,
    ) -> Result<(), CaseError> {
        let mut documents = serde_json::Deserializer::from_str(text).into_iter::<Value>();
        let mut start = 0;
        loop {
            let Some(document) = documents.next() else { return Ok(()) };
            let place = self.within(&span, text, start);
            let document = document.map_err(|error| {
                let at = offset(text, error.line(), error.column());
                let message = format!("this is no JSON: {}", without_place(&error));
                self.error(self.within(&span, text, at), message, None)
            })?;
            let end = documents.byte_offset();
            let written = text.get(start..end).unwrap_or_default().trim();
            start = end;
            let all = match document {
                Value::Array(all) => all,
                one => vec![one],
            };
            let alone = all.len() == 1;
            for document in all {
                if let Some(unknown) = short::unknown_key_of(&document) {
                    return Err(self.unknown(place, unknown));
                }
                // What is wrapped goes in as it is written.
                let record = match filler.filled(document) {
                    Ok(event) => event.to_string(),
                    Err(_) if alone => written.to_owned(),
                    Err(wrapped) => wrapped.to_string(),
                };
                inputs.push(Input::Record { record: record.into_bytes(), span: place.clone() });
            }
        }
    }

    fn table(
        &self,
        keys: &[(Spanned<String>, toml::Value)],
        span: Range<usize>,
        filler: &mut Filler,
    ) -> Result<Input, CaseError> {
        if let Some((key, path)) = keys.iter().find(|(key, _)| key.get_ref() == "file") {
            let path = path
                .as_str()
                .filter(|_| keys.len() == 1)
                .ok_or_else(|| self.error(key.span(), "`file` stands alone, with a path", None))?;
            return Ok(Input::File { path: path.to_owned(), span: key.span() });
        }
        for (key, value) in keys {
            let below = value.as_table().into_iter().flat_map(toml::Table::keys);
            if let Some(unknown) = short::unknown_key(key.get_ref(), below.map(String::as_str)) {
                return Err(self.unknown(key.span(), unknown));
            }
            if key.get_ref() == "exec" && short::arguments(&json(value)).is_none() {
                let message = "`exec` is a list of the command's arguments";
                return Err(self.error(key.span(), message, None));
            }
        }
        let event = keys.iter().map(|(key, value)| (key.get_ref().clone(), json(value)));
        let record = filler.event(event.collect()).to_string();
        Ok(Input::Record { record: record.into_bytes(), span })
    }

    fn unknown(&self, span: Range<usize>, unknown: UnknownKey) -> CaseError {
        let message = format!("an audit event has no key `{}`", unknown.key.escape_debug());
        let hint = unknown.nearest.map(|near| format!("did you mean `{near}`?"));
        self.error(span, message, hint)
    }

    /// The place in the file of byte `at` of a text that stands at `span`. One with escapes stands
    /// there otherwise than it is: its beginning is told then.
    fn within(&self, span: &Range<usize>, text: &str, at: usize) -> Range<usize> {
        let written = self.text.get(span.clone()).unwrap_or_default();
        let Some(begin) = written.find(text) else { return span.clone() };
        let blank = text.get(at..).map_or(0, |rest| rest.len() - rest.trim_start().len());
        let at = span.start + begin + at + blank;
        at..at + 1
    }
}

/// A table of fields as paths: `{ user = { name = "x" } }` is the same as `{ "user.name" = "x" }`.
fn flattened(path: &str, span: &Range<usize>, value: &toml::Value, out: &mut Vec<FieldValue>) {
    match value {
        toml::Value::Table(table) if !table.is_empty() => {
            for (name, value) in table {
                flattened(&format!("{path}.{name}"), span, value, out);
            }
        }
        value => {
            out.push(FieldValue { path: path.to_owned(), value: json(value), span: span.clone() })
        }
    }
}

/// The same in JSON; a time is its text.
fn json(value: &toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::from(text.as_str()),
        toml::Value::Integer(number) => Value::from(*number),
        toml::Value::Float(number) => Value::from(*number),
        toml::Value::Boolean(yes) => Value::from(*yes),
        toml::Value::Datetime(time) => Value::from(time.to_string()),
        toml::Value::Array(list) => list.iter().map(json).collect(),
        toml::Value::Table(table) => {
            Value::Object(table.iter().map(|(key, value)| (key.clone(), json(value))).collect())
        }
    }
}

/// The byte at a line and a column, both from 1, as a reader of JSON counts them: the column in
/// bytes, 0 before the first.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let lines = text.split_inclusive('\n').take(line.saturating_sub(1));
    let start: usize = lines.map(str::len).sum();
    let mut at = (start + column.saturating_sub(1)).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// A JSON error's text without the place, which counts from the beginning of the text alone.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(message, _)| message.to_owned())
}

#[cfg(test)]
#[path = "cases_tests.rs"]
mod tests;
