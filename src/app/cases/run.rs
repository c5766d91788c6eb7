//! One case, run and compared with what it expects.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::{Placed, Suite, not_asked};
use crate::alert::Alert;
use crate::alert::redact::Redaction;
use crate::app::scan::{Replay, ScanError, ScanOptions, ScanSink};
use crate::detect::matcher::Matcher;
use crate::ingest::file::{self, FileEvent};
use crate::limits;
use crate::rules::cases::{Count, Expected, FieldValue, Fields, Input};
use crate::rules::set::RuleSet;
use crate::terms::local::LocalFold;
use crate::terms::store::memory::MemoryStore;

/// What became of a case: it passes where nothing differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub mismatches: Vec<Mismatch>,
}

/// What is not as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// The number of alerts: what was expected, how many there are, and their sentences.
    Alerts { expected: String, actual: usize, messages: Vec<String> },
    /// A field of an alert, which is counted from 1.
    Field { alert: usize, field: String, expected: String, actual: String },
    /// Events of the case could not be read, or the rule not be asked about them.
    Unreadable(String),
    /// There are fields to compare, and more alerts than are kept for that.
    TooMany { actual: usize },
}

/// Most sentences of alerts that are told when their number is wrong.
const MESSAGES_MAX: usize = 5;

/// Runs cases, with what they have in common.
pub struct Runner {
    /// Of all suites.
    rules: RuleSet,
    redaction: Redaction,
    options: ScanOptions,
}

impl Runner {
    /// `rules` are those of all suites.
    ///
    /// # Errors
    /// None in practice: the patterns of what is redacted are the program's own.
    pub fn new(rules: RuleSet) -> Result<Runner, ScanError> {
        let redaction = Redaction::compile(true, &[]).map_err(std::io::Error::other)?;
        let options = ScanOptions {
            paths: Vec::new(),
            cluster: "default".to_owned(),
            threads: 1,
            since_ms: None,
            until_ms: None,
            read_all: true,
            instance: "rules-test".to_owned(),
        };
        Ok(Runner { rules, redaction, options })
    }

    /// Runs a case of a suite.
    ///
    /// # Errors
    /// If the state fails, which has no reason to.
    pub fn run(&self, suite: &Suite, placed: &Placed) -> Result<Outcome, ScanError> {
        let case = &placed.case;
        let rules = self.rules.only(&[suite.rule.id()]).map_err(std::io::Error::other)?;
        let matcher = Matcher::new(Arc::new(rules), 0).redacting(self.redaction.clone());
        let store = MemoryStore::default();
        let mut fold = LocalFold::new(&store)?;
        let found = RefCell::default();
        let mut sink = Sink { found: &found };
        let mut replay = Replay::new(&self.options, &matcher, &mut fold, &mut sink);
        feed(&mut replay, placed, &case.given)?;
        replay.settle()?;
        found.borrow_mut().forget_alerts();
        feed(&mut replay, placed, &case.events)?;
        replay.settle()?;
        drop(replay);
        let mismatches = found.into_inner().compared(&case.expected);
        Ok(Outcome { mismatches })
    }
}

fn feed(replay: &mut Replay<'_, '_>, placed: &Placed, inputs: &[Input]) -> Result<(), ScanError> {
    let shown: Arc<str> = placed.file.to_string_lossy().into();
    for input in inputs {
        match input {
            Input::Record { record, .. } => {
                replay.feed(&shown, placed.case.line as u64, record)?;
            }
            Input::File { path, .. } => feed_file(replay, &placed.file.with_file_name(path))?,
        }
    }
    Ok(())
}

fn feed_file(replay: &mut Replay<'_, '_>, path: &Path) -> Result<(), ScanError> {
    let (mut outcome, mut records) = (Ok(()), 0);
    file::read_paths(&[path.to_owned()], &mut |event| {
        outcome = match event {
            FileEvent::Record { path, line, bytes, .. } => {
                records += 1;
                if records > limits::CASE_EVENTS_MAX {
                    let reason = format!("more than {} records", limits::CASE_EVENTS_MAX);
                    replay.failed(path, None, "too-large", &reason, None)
                } else if let Some(problem) = not_asked(bytes) {
                    // A case that is asked about nothing must not pass.
                    replay.failed(path, Some(line), "unreadable", &problem, None)
                } else {
                    replay.feed(path, line, bytes)
                }
            }
            FileEvent::Failed { path, line, class, reason, bytes } => {
                replay.failed(path, line, class, &reason, bytes)
            }
            FileEvent::Idle => Ok(()),
        };
        outcome.is_ok() && records <= limits::CASE_EVENTS_MAX
    });
    outcome?;
    if records == 0 {
        let shown: Arc<str> = path.to_string_lossy().into();
        replay.failed(&shown, None, "unreadable", "there is no event in it", None)?;
    }
    Ok(())
}

/// What a case raised.
#[derive(Default)]
struct Found {
    /// The first ones.
    alerts: Vec<Value>,
    /// Of all.
    count: usize,
    unreadable: Vec<String>,
}

struct Sink<'f> {
    found: &'f RefCell<Found>,
}

impl ScanSink for Sink<'_> {
    fn alert(&mut self, alert: &Alert) -> std::io::Result<()> {
        let mut found = self.found.borrow_mut();
        found.count += 1;
        if found.alerts.len() < limits::CASE_ALERTS_MAX {
            found.alerts.push(serde_json::to_value(&alert.document)?);
        }
        Ok(())
    }

    fn unreadable(
        &mut self,
        path: &str,
        line: Option<u64>,
        reason: &str,
        _record: Option<&[u8]>,
    ) -> std::io::Result<()> {
        let mut found = self.found.borrow_mut();
        if found.unreadable.len() < MESSAGES_MAX {
            let line = line.map(|line| format!(":{line}")).unwrap_or_default();
            found.unreadable.push(format!("{path}{line}: not read: {reason}"));
        }
        Ok(())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }

    fn progress(&mut self, _read: u64, _total: Option<u64>) {}
}

impl Found {
    fn forget_alerts(&mut self) {
        self.alerts.clear();
        self.count = 0;
    }

    fn compared(self, expected: &Expected) -> Vec<Mismatch> {
        let mut out: Vec<Mismatch> =
            self.unreadable.iter().cloned().map(Mismatch::Unreadable).collect();
        let as_many = match expected.alerts {
            Count::AtLeastOne => self.count > 0,
            Count::Exactly(number) => self.count == number,
        };
        if !as_many {
            let number = match expected.alerts {
                Count::AtLeastOne => "an alert".to_owned(),
                Count::Exactly(0) => "no alert".to_owned(),
                Count::Exactly(1) => "1 alert".to_owned(),
                Count::Exactly(number) => format!("{number} alerts"),
            };
            let messages = self.alerts.iter().take(MESSAGES_MAX);
            let message = |alert: &Value| alert["message"].as_str().unwrap_or_default().to_owned();
            let messages = messages.map(message).collect();
            out.push(Mismatch::Alerts { expected: number, actual: self.count, messages });
        }
        if self.count > self.alerts.len() && expected.fields.all().next().is_some() {
            out.push(Mismatch::TooMany { actual: self.count });
        }
        for (at, alert) in self.alerts.iter().enumerate() {
            let fields = match &expected.fields {
                Fields::Each(fields) => Some(fields),
                Fields::OneByOne(lists) => lists.get(at),
            };
            out.extend(fields.into_iter().flatten().filter_map(|it| differs(at + 1, alert, it)));
        }
        out
    }
}

/// A list holds what any of its elements is.
fn differs(number: usize, alert: &Value, expected: &FieldValue) -> Option<Mismatch> {
    let mut values = Vec::new();
    values_at(alert, &expected.path, &mut values);
    let same = |value: &&Value| {
        equal(value, &expected.value)
            || value.as_array().is_some_and(|list| list.iter().any(|it| equal(it, &expected.value)))
    };
    if values.iter().any(same) {
        return None;
    }
    let actual = match values.as_slice() {
        [] => "there is none".to_owned(),
        [one] => one.to_string(),
        several => several.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    Some(Mismatch::Field {
        alert: number,
        field: expected.path.clone(),
        expected: expected.value.to_string(),
        actual,
    })
}

/// `1` and `1.0` are the same.
fn equal(a: &Value, b: &Value) -> bool {
    a == b || a.as_f64().is_some() && a.as_f64() == b.as_f64()
}

/// The values at the end of a path. Names may hold dots themselves; of a list of objects each is
/// looked into.
fn values_at<'v>(value: &'v Value, path: &str, out: &mut Vec<&'v Value>) {
    match value {
        Value::Array(list) => list.iter().for_each(|item| values_at(item, path, out)),
        Value::Object(object) => {
            out.extend(object.get(path));
            for (at, _) in path.match_indices('.') {
                if let Some(below) = object.get(&path[..at]) {
                    values_at(below, &path[at + 1..], out);
                }
            }
        }
        _ => {}
    }
}
