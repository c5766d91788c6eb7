//! The composition of `doctor`: what a sample of the input holds, and what it means for the rules.
//!
//! ```text
//! sample (Kafka, no group) ─┐
//!                           ├──records──► tally ──► findings (with needs) ──► report
//! files (paths, stdin) ─────┘
//! ```
//!
//! Joins no group, commits nothing, writes nothing. `tally`, `needs`, `load` and `findings` are pure.
//! Memory is bounded: one topic after the other, one record at a time, counters of bounded size.

mod clients;
mod counts;
mod files;
pub mod findings;
mod load;
mod needs;
pub mod report;
mod sample;
mod tally;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::app::reading::ReadingError;
use crate::clock;
use crate::config::Config;
use crate::ingest::envelope::Wrapper;
use crate::ingest::prefilter::Prefilter;
use crate::rules::set::RuleSet;

use findings::Facts;
use needs::Needs;
use report::{Report, SourceView};
use tally::Tally;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct DoctorOptions {
    /// Records of each topic.
    pub sample: u64,
    /// Records before it do not count; milliseconds since the epoch.
    pub from_ms: Option<i64>,
}

#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    #[error(transparent)]
    Reading(#[from] ReadingError),
    #[error("a thread could not be started: {0}")]
    Thread(std::io::Error),
}

/// Who watches the reading. Called from one thread.
pub trait Watcher {
    /// How far it is: offsets or bytes that are done with, of how many where that is known; and
    /// records among them.
    fn at(&mut self, done: u64, total: Option<u64>, records: u64);
}

/// What a check-up came to. With a `failure`, or when it was stopped, the report tells what was
/// known by then.
pub struct Outcome {
    pub report: Report,
    pub failure: Option<DoctorError>,
}

/// Looks at the source topics of the configuration until the sample is read or `stop` is set.
///
/// # Errors
/// What keeps it from starting. Brokers that are lost on the way are told in the outcome.
pub fn topics(
    config: &Config,
    rules: &Arc<RuleSet>,
    options: &DoctorOptions,
    stop: &AtomicBool,
    watcher: &mut dyn Watcher,
) -> Result<Outcome, DoctorError> {
    let parts = sample::find(config, options)?;
    let (needs, prefilter) = (Needs::of(rules), Prefilter::new(rules));
    let total = sample::total(&parts);
    watcher.at(0, Some(total), 0);
    let mut reader = sample::Reader {
        config,
        prefilter: &prefilter,
        wrapper: wrapper(config),
        stop,
        done: 0,
        total,
        records: 0,
    };
    let (mut sources, mut failure): (Vec<SourceView>, _) = (Vec::new(), None);
    for (number, topic) in (0_u16..).zip(&config.source.topics) {
        let of_topic: Vec<sample::Part> =
            parts.iter().filter(|part| part.topic == number).copied().collect();
        let mut tally = Tally::default();
        let read = reader.topic(&of_topic, &mut tally, watcher);
        failure = read.err().map(DoctorError::Reading);
        let is_stopped = stop.load(Ordering::Relaxed);
        // Of a topic that was not begun nothing can be said.
        if (failure.is_none() && !is_stopped) || tally.records > 0 {
            let facts = Facts { now_ms: clock::now_ms(), partitions: Some(of_topic.len()) };
            sources.push(report::source(topic, &tally, &needs, facts));
        }
        if failure.is_some() || is_stopped {
            break;
        }
    }
    let partial = failure.is_some() || stop.load(Ordering::Relaxed);
    Ok(Outcome { report: report::build(sources, partial), failure })
}

/// Looks at files, directories and, as `-`, standard input. `sample`: at most so many records of
/// each path.
pub fn files(
    config: &Config,
    rules: &Arc<RuleSet>,
    paths: &[PathBuf],
    sample: Option<u64>,
    stop: &AtomicBool,
    watcher: &mut dyn Watcher,
) -> Result<Outcome, DoctorError> {
    let (needs, prefilter) = (Needs::of(rules), Prefilter::new(rules));
    let mut tally = Tally::default();
    files::read(paths, sample, &prefilter, wrapper(config), stop, &mut tally, watcher)?;
    let facts = Facts { now_ms: clock::now_ms(), partitions: None };
    let source = report::source("files", &tally, &needs, facts);
    let partial = stop.load(Ordering::Relaxed);
    Ok(Outcome { report: report::build(vec![source], partial), failure: None })
}

fn wrapper(config: &Config) -> Option<Wrapper> {
    config.source.wrapper.as_deref().and_then(Wrapper::from_name)
}
