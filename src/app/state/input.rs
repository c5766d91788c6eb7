//! The files of an import: baselines and audit logs, told apart by their first record, into the
//! latest history of each term.
//!
//! Owns what counts as history. Nothing that is wrong with one file ends the reading of another.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use super::baseline::{self, Header};
use super::{StateError, Watcher};
use crate::app::latest::{Latest, Sorted};
use crate::config::{ClusterFrom, Config};
use crate::detect::matcher::{Context, Detection, Matcher};
use crate::ingest::envelope::{self, Outcome, Wrapper};
use crate::ingest::file::{self, FileEvent};
use crate::position::Position;
use crate::rules::set::RuleSet;
use crate::terms::observation::Observation;
use crate::terms::record;

/// What the reading came to. `unreadable` is by error class.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Audit events.
    pub events: u64,
    /// Lines of baselines that are terms.
    pub baseline_terms: u64,
    /// Sightings that are older than their rule's window, and so no history.
    pub outside_window: u64,
    /// Sightings that tell no time.
    pub without_time: u64,
    /// Events that match a rule and lack the value of one of its fields.
    pub without_term: u64,
    /// Parts of records that are no audit events and not meant to be.
    pub skipped: u64,
    pub unreadable: BTreeMap<String, u64>,
}

/// What is to be read, and as what.
pub struct Inputs<'a> {
    pub paths: &'a [PathBuf],
    /// Of audit logs, where the configuration tells it by no field.
    pub cluster: &'a str,
    pub config: &'a Config,
    pub rules: &'a RuleSet,
    pub now_ms: i64,
}

/// What a file is.
enum Mode {
    Unknown,
    Logs,
    /// With the number of lines so far, read or not.
    Baseline(Header, u64),
    /// A baseline of which nothing can be used.
    Refused,
}

struct Reading<'a> {
    inputs: &'a Inputs<'a>,
    matcher: Matcher,
    forced: Option<Wrapper>,
    cluster_field: Option<&'a str>,
    path: Arc<str>,
    mode: Mode,
    latest: Latest,
    counts: Counts,
    detections: Vec<Detection>,
    watcher: &'a mut dyn Watcher,
    total_told: bool,
}

/// Reads everything. The payload of an item is the value of its record.
pub fn read(
    inputs: &Inputs<'_>,
    watcher: &mut dyn Watcher,
) -> Result<(Sorted, Counts), StateError> {
    let new_terms = inputs.rules.only(&inputs.rules.new_terms_ids());
    let rules = Arc::new(new_terms.unwrap_or_else(|_| inputs.rules.clone()));
    watcher.stage("reading the input", None);
    let mut reading = Reading {
        inputs,
        matcher: Matcher::new(rules, inputs.config.new_terms.learning_ms),
        forced: inputs.config.source.wrapper.as_deref().and_then(Wrapper::from_name),
        cluster_field: match &inputs.config.source.cluster_from {
            ClusterFrom::Field(pointer) => Some(pointer),
            _ => None,
        },
        path: "".into(),
        mode: Mode::Unknown,
        latest: Latest::default(),
        counts: Counts::default(),
        detections: Vec::new(),
        watcher,
        total_told: false,
    };
    let mut failure = None;
    file::read_paths(inputs.paths, &mut |event| match reading.event(event) {
        Ok(()) => true,
        Err(error) => {
            failure = Some(error);
            false
        }
    });
    if let Some(error) = failure {
        return Err(error);
    }
    reading.file_ends();
    Ok((reading.latest.sorted().map_err(StateError::Scratch)?, reading.counts))
}

impl Reading<'_> {
    fn event(&mut self, event: FileEvent<'_>) -> Result<(), StateError> {
        match event {
            FileEvent::Record { path, line, bytes, progress } => {
                self.file(path);
                if let Some(total) = progress.total.filter(|_| !self.total_told) {
                    self.total_told = true;
                    self.watcher.stage("reading the input", Some(total));
                }
                self.watcher.at(progress.read);
                self.record(line, bytes)
            }
            FileEvent::Failed { path, line, class, reason, .. } => {
                self.file(path);
                if let Mode::Baseline(_, lines) = &mut self.mode {
                    *lines += u64::from(line.is_some());
                }
                self.unreadable(line, class, &reason);
                Ok(())
            }
            FileEvent::Idle => Ok(()),
        }
    }

    fn unreadable(&mut self, line: Option<u64>, class: &str, reason: &str) {
        *self.counts.unreadable.entry(class.to_owned()).or_default() += 1;
        let place = match line {
            Some(line) => format!("{}:{line}", self.path),
            None => self.path.to_string(),
        };
        self.watcher.unreadable(&place, reason);
    }

    fn file(&mut self, path: &Arc<str>) {
        if *path != self.path {
            self.file_ends();
            self.path = Arc::clone(path);
        }
    }

    /// A baseline says how many terms it holds, so that a part of one is not taken for the whole.
    fn file_ends(&mut self) {
        if let Mode::Baseline(header, lines) = std::mem::replace(&mut self.mode, Mode::Unknown)
            && header.terms != lines
        {
            let reason = format!(
                "the baseline is not whole: its header says {} terms, and the lines are {lines}",
                header.terms
            );
            self.unreadable(None, "incomplete", &reason);
        }
    }

    fn record(&mut self, line: u64, bytes: &[u8]) -> Result<(), StateError> {
        if baseline::is_header(bytes) {
            // One baseline may follow another in one file.
            self.file_ends();
            self.mode = match baseline::header(bytes) {
                Ok(header) => Mode::Baseline(header, 0),
                Err(error) => {
                    let reason = format!("{error}; nothing of it is imported");
                    self.unreadable(Some(line), "bad-header", &reason);
                    Mode::Refused
                }
            };
            return Ok(());
        }
        match &mut self.mode {
            Mode::Refused => Ok(()),
            Mode::Baseline(_, lines) => {
                *lines += 1;
                self.term(line, bytes)
            }
            Mode::Unknown | Mode::Logs if baseline::is_term(bytes) => {
                self.mode = Mode::Logs;
                let reason = "a term of a baseline, but no header stands before it";
                self.unreadable(Some(line), "bad-header", reason);
                Ok(())
            }
            Mode::Unknown | Mode::Logs => {
                self.mode = Mode::Logs;
                self.events(line, bytes)
            }
        }
    }

    fn term(&mut self, line: u64, bytes: &[u8]) -> Result<(), StateError> {
        match baseline::term(bytes, self.inputs.rules) {
            Ok(term) => {
                self.counts.baseline_terms += 1;
                self.keep(term.observation, term.append_ms)
            }
            Err(error) => {
                self.unreadable(Some(line), "bad-term", &error.to_string());
                Ok(())
            }
        }
    }

    fn events(&mut self, line: u64, bytes: &[u8]) -> Result<(), StateError> {
        let field = self.cluster_field.and_then(|pointer| envelope::field_at(bytes, pointer));
        let cluster = field.as_deref().unwrap_or(self.inputs.cluster);
        let mut detections = std::mem::take(&mut self.detections);
        let mut failed: Option<(&'static str, String, u64)> = None;
        let mut items = 0;
        envelope::read(bytes, self.forced, &mut |item, outcome| match outcome {
            Outcome::Event(read) => {
                items = item + 1;
                self.counts.events += 1;
                let context = Context {
                    cluster,
                    position: Position::File { path: self.path.to_string(), line, item },
                    wrapper_id: read.wrapper_id.as_deref(),
                    wrapper_time_ms: read.wrapper_time.map(|time| time.as_millisecond()),
                };
                let examined = self.matcher.examine(read.event, context, &mut detections);
                self.counts.without_term += examined.field_missing + examined.source_no_address;
            }
            Outcome::Skipped(_) => self.counts.skipped += 1,
            Outcome::Unreadable(error) => {
                items = item + 1;
                failed.get_or_insert_with(|| (error.label(), error.to_string(), 0)).2 += 1;
            }
        });
        if let Some((class, reason, count)) = failed {
            let reason = if items > 1 {
                format!("{reason} ({count} of {items} items in the record)")
            } else {
                reason
            };
            self.unreadable(Some(line), class, &reason);
        }
        let mut result = Ok(());
        for detection in detections.drain(..) {
            // An exception changes nothing here: all of it is history.
            let observations = match detection {
                Detection::Observation(observation) => vec![*observation],
                Detection::Excepted(excepted) => excepted.history.unwrap_or_default(),
                _ => continue,
            };
            for observation in observations {
                match observation.event_time_ms {
                    Some(time_ms) if result.is_ok() => result = self.keep(observation, time_ms),
                    Some(_) => {}
                    None => self.counts.without_time += 1,
                }
            }
        }
        self.detections = detections;
        result
    }

    /// Keeps a sighting at `time_ms` unless a later one of its term is there.
    fn keep(&mut self, mut observation: Observation, time_ms: i64) -> Result<(), StateError> {
        if self.inputs.now_ms.saturating_sub(time_ms) > observation.window_ms {
            self.counts.outside_window += 1;
            return Ok(());
        }
        observation.history = true;
        let (key, value) = (record::key(&observation), baseline::bounded_value(&observation)?);
        self.latest.push(key, time_ms, value).map_err(StateError::Scratch)
    }
}

#[cfg(test)]
mod tests;
