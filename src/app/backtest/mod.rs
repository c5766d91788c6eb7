//! The composition of `backtest`: what one or two sets of rules would have raised over a range of
//! the source topics.
//!
//! ```text
//! readers ──batches──► workers ──examined, by partition done──► main thread ──► sorted, counted
//! ```
//!
//! Owns the threads and channels. Joins no group, commits nothing, produces nothing and touches no
//! state directory. What comes out is a function of the records of the range: how the threads
//! interleave never shows, since what is counted is sorted first and the fold of new terms
//! ([`episodes`]) does not depend on the order. Memory is bounded: channels hold a few batches,
//! clients a share of [`READ_AHEAD_BYTES`], and what has to be kept goes to a temporary file when
//! it is too much ([`crate::app::latest`]).

mod alike;
pub mod episodes;
mod examine;
pub mod hits;
mod range;
mod reader;
pub mod report;
mod tally;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{Builder, ScopedJoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use crate::alert::redact::Redaction;
use crate::app::latest::{Latest, Sorted};
use crate::app::reading::ReadingError;
use crate::config::Config;
use crate::rules::patterns::PatternError;
use crate::rules::set::RuleSet;

use episodes::Episodes;
use examine::{Counts, Examined, Examiner};
use hits::Hit;
use range::Part;
use reader::{Batch, PartRead, Reader};
use report::Report;

/// What all readers together may fetch ahead, unless the operator says otherwise.
const READ_AHEAD_BYTES: usize = 256 * 1024 * 1024;
/// Batches on their way to the workers, and results on their way back, a worker.
const QUEUED_A_WORKER: usize = 2;
/// Between two looks at how far the readers are.
const WATCH_EVERY: Duration = Duration::from_millis(200);

/// What is asked for.
#[derive(Debug, Clone)]
pub struct BacktestOptions {
    /// Milliseconds since the epoch; records at it and after it count.
    pub from_ms: i64,
    /// Records at it and after it do not count.
    pub to_ms: i64,
    /// How much before `from_ms` is read for the new-terms rules alone; 0: nothing.
    pub history_ms: i64,
    /// Readers at the most, and workers.
    pub jobs: usize,
    /// Examples kept of each rule and part of the difference.
    pub examples: usize,
    /// Users that are listed; the others are summed up.
    pub users: usize,
}

/// The rules that are asked, side by side.
#[derive(Debug, Clone)]
pub struct Sides {
    pub current: Arc<RuleSet>,
    pub candidate: Option<Arc<RuleSet>>,
}

impl Sides {
    /// Longest window of any new-terms rule, milliseconds; 0 without one.
    pub fn longest_window_ms(&self) -> i64 {
        self.all().map(RuleSet::longest_window_ms).max().unwrap_or(0)
    }

    fn all(&self) -> impl Iterator<Item = &RuleSet> {
        std::iter::once(&*self.current).chain(self.candidate.as_deref())
    }
}

#[derive(Debug, thiserror::Error)]
pub enum BacktestError {
    #[error(transparent)]
    Reading(#[from] ReadingError),
    #[error("`alerts.redact`: {0}")]
    Redaction(#[from] PatternError),
    #[error("the temporary file failed: {0}")]
    Scratch(#[from] std::io::Error),
    #[error("a result could not be kept: {0}")]
    Encode(#[from] serde_json::Error),
    #[error("a thread could not be started: {0}")]
    Thread(std::io::Error),
}

/// Who watches a backtest at work. Called from one thread.
pub trait Watcher {
    /// Offsets that are done with, of so many, and records among them.
    fn at(&mut self, done: u64, total: u64, records: u64);
    /// A record, or a part of one, that was not read: where it stands, and why.
    fn unreadable(&mut self, place: &str, reason: &str);
}

/// What a backtest came to. With a `failure`, or when it was stopped, the report tells what was
/// known by then.
pub struct Outcome {
    pub report: Report,
    pub failure: Option<BacktestError>,
}

/// What readers and workers tell the main thread.
enum Told {
    Examined(Box<Examined>),
    Read(PartRead),
    Failed(ReadingError),
}

/// How far the readers are, for whoever watches.
#[derive(Debug, Default)]
struct Progress {
    /// Offsets.
    done: AtomicU64,
    records: AtomicU64,
}

/// Reads the range and asks the rules, until it is read or `stop` is set.
///
/// # Errors
/// What keeps it from starting, or from keeping what was found. Brokers that are lost on the way
/// are told in the outcome.
pub fn backtest(
    config: &Config,
    sides: &Sides,
    options: &BacktestOptions,
    stop: &AtomicBool,
    watcher: &mut dyn Watcher,
) -> Result<Outcome, BacktestError> {
    let alerts = &config.alerts;
    let redaction = Redaction::compile(alerts.redact_defaults, &alerts.redact)?;
    let parts = range::find(config, options)?;
    let examiner = Examiner::new(config, sides, redaction, options.from_ms);
    let mut kept = Kept::default();
    let failure = read(config, options, &examiner, &parts, stop, watcher, &mut kept)?;
    let partial = failure.is_some() || stop.load(Ordering::Relaxed);
    let hits = kept.finish(&examiner)?;
    let tally = tally::count(&hits, examiner.rule_ids().len(), options.examples)?;
    let read = report::Read { parts: &parts, reads: kept.reads, counts: kept.counts };
    let report = report::build(config, options, &examiner, read, tally, partial);
    Ok(Outcome { report, failure })
}

/// The threads, until everything is read. Why they ended before, if they did.
fn read(
    config: &Config,
    options: &BacktestOptions,
    examiner: &Examiner,
    parts: &[Part],
    stop: &AtomicBool,
    watcher: &mut dyn Watcher,
    kept: &mut Kept,
) -> Result<Option<BacktestError>, BacktestError> {
    let total: u64 = parts.iter().map(Part::length).sum();
    watcher.at(0, total, 0);
    let wanted: Vec<&Part> = range::longest_first(parts);
    let jobs = options.jobs.max(1);
    let readers = jobs.min(wanted.len());
    let (progress, halt) = (Progress::default(), AtomicBool::new(false));
    // Filled before anybody takes from it.
    let (part_sender, part_queue) = bounded::<&Part>(wanted.len());
    for part in wanted {
        let _ = part_sender.try_send(part);
    }
    drop(part_sender);
    let (batch_sender, batches) = bounded::<Batch>(jobs * QUEUED_A_WORKER);
    let (told_sender, told) = bounded::<Told>((jobs + readers) * QUEUED_A_WORKER);
    std::thread::scope(|scope| {
        let mut threads: Vec<ScopedJoinHandle<'_, ()>> = Vec::new();
        for number in 0..readers {
            let reader = Reader {
                config,
                options,
                examiner,
                read_ahead_bytes: READ_AHEAD_BYTES / readers,
                stop: [stop, &halt],
                progress: &progress,
                batches: batch_sender.clone(),
            };
            let (parts, told) = (part_queue.clone(), told_sender.clone());
            let run = move || {
                if let Err(error) = reader.run(&parts, &told) {
                    let _ = told.send(Told::Failed(error));
                }
            };
            let thread = Builder::new().name(format!("backtest-reader-{number}"));
            threads.push(thread.spawn_scoped(scope, run).map_err(BacktestError::Thread)?);
        }
        for number in 0..jobs {
            let (batches, told) = (batches.clone(), told_sender.clone());
            let run = move || {
                for batch in batches {
                    let examined = Box::new(examiner.examine(&batch));
                    if told.send(Told::Examined(examined)).is_err() {
                        return;
                    }
                }
            };
            let thread = Builder::new().name(format!("backtest-worker-{number}"));
            threads.push(thread.spawn_scoped(scope, run).map_err(BacktestError::Thread)?);
        }
        // Should this thread end early, nobody may wait for it.
        drop((batch_sender, batches, part_queue, told_sender));
        let result = collect(&told, &halt, &progress, total, config, watcher, kept);
        halt.store(true, Ordering::Relaxed);
        drop(told);
        result
    })
}

/// Takes what the threads tell until all of them are gone.
fn collect(
    told: &Receiver<Told>,
    halt: &AtomicBool,
    progress: &Progress,
    total: u64,
    config: &Config,
    watcher: &mut dyn Watcher,
    kept: &mut Kept,
) -> Result<Option<BacktestError>, BacktestError> {
    let mut failure = None;
    loop {
        match told.recv_timeout(WATCH_EVERY) {
            Ok(Told::Examined(examined)) => kept.take(*examined, config, watcher)?,
            Ok(Told::Read(read)) => kept.reads.push(read),
            Ok(Told::Failed(error)) => {
                failure.get_or_insert(BacktestError::Reading(error));
                halt.store(true, Ordering::Relaxed);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(failure),
        }
        let done = progress.done.load(Ordering::Relaxed);
        watcher.at(done, total, progress.records.load(Ordering::Relaxed));
    }
}

/// What is kept of what was found.
#[derive(Default)]
struct Kept {
    hits: Latest,
    /// Those of rules with a suppression.
    alike: Latest,
    episodes: Episodes,
    /// Episodes that did not fit into memory.
    spilled: Latest,
    counts: Counts,
    reads: Vec<PartRead>,
}

impl Kept {
    fn take(
        &mut self,
        examined: Examined,
        config: &Config,
        watcher: &mut dyn Watcher,
    ) -> Result<(), BacktestError> {
        for hit in &examined.hits {
            self.hits.push(hit.key(), 0, serde_json::to_vec(hit)?)?;
        }
        for alike in &examined.alike {
            alike.keep(&mut self.alike)?;
        }
        self.episodes.merge(examined.episodes);
        if self.episodes.is_large() {
            self.episodes.spill(&mut self.spilled)?;
        }
        for (_, unreadable) in examined.counts.unreadable.iter() {
            let place = unreadable.first.text(&config.source.topics);
            watcher.unreadable(&place, &unreadable.reason);
        }
        self.counts.add(examined.counts);
        Ok(())
    }

    /// Every alert, in the order of its key: what is new, and what is withheld, is known only now.
    fn finish(&mut self, examiner: &Examiner) -> Result<Sorted, BacktestError> {
        self.episodes.spill(&mut self.spilled)?;
        let episodes = std::mem::take(&mut self.spilled).sorted()?;
        let alike = std::mem::take(&mut self.alike).sorted()?;
        let mut hits = std::mem::take(&mut self.hits);
        let mut keep = |hit: Hit| Ok(hits.push(hit.key(), 0, serde_json::to_vec(&hit)?)?);
        episodes::raise(&episodes, |side, rule| examiner.window_ms(side, rule), &mut keep)?;
        alike::raise(&alike, &mut keep)?;
        Ok(hits.sorted()?)
    }
}
