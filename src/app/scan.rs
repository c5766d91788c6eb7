//! The composition of `scan`: a reader, workers, and one thread that puts their results back in
//! the input's order, folds observations and writes alerts.
//!
//! Chunks of records carry a number; the output follows the numbers, so it does not depend on the
//! threads. All channels are bounded: a slow output slows the reading.

mod chunk;
mod examine;
mod merge;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::bounded;

use crate::alert::Alert;
use crate::detect::harmless::Harmless;
use crate::detect::matcher::Matcher;
use crate::ingest::prefilter::Prefilter;
use crate::terms::local::LocalFold;

use chunk::{Chunk, Failure, Part, Text, read};
use examine::{Examined, Examiner};
use merge::Merge;

/// Chunks under way: what bounds the memory.
const CHUNKS_QUEUED: usize = 32;

pub struct ScanOptions {
    /// Files, directories, `-` for standard input.
    pub paths: Vec<PathBuf>,
    pub cluster: String,
    pub threads: usize,
    pub since_ms: Option<i64>,
    pub until_ms: Option<i64>,
    /// Records that can match no rule are read too, so that all that is broken is told.
    pub read_all: bool,
    pub instance: String,
}

/// Counts of one scan.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct ScanStats {
    /// Events that were read.
    pub events: u64,
    pub records: u64,
    /// Records that were not read, since their bytes show that no event in them can match a rule.
    pub prefiltered: u64,
    /// Bytes of the records, after decompression.
    pub bytes: u64,
    pub alerts: BTreeMap<String, u64>,
    /// Items that are no audit events and not meant to be, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// Items and files that could not be read, by error class.
    pub unreadable: BTreeMap<String, u64>,
    /// First sightings that stayed silent because their rule was learning.
    pub learned: u64,
    /// Alerts that were withheld since one that is the same was raised before, by rule.
    pub suppressed: BTreeMap<String, u64>,
    /// Alerts that were not raised, by the exception that held.
    pub withheld: BTreeMap<String, u64>,
    /// Events of which an exception would have held if it had not ended, by exception.
    pub exceptions_expired: BTreeMap<String, u64>,
}

/// Where a scan's results go. Called from one thread, in the order of the input.
pub trait ScanSink {
    fn alert(&mut self, alert: &Alert) -> std::io::Result<()>;
    /// `record` is absent for a file that could not be opened or decompressed.
    fn unreadable(
        &mut self,
        path: &str,
        line: Option<u64>,
        reason: &str,
        record: Option<&[u8]>,
    ) -> std::io::Result<()>;
    /// Nothing more is at hand right now.
    fn flush(&mut self) -> std::io::Result<()>;
    /// Input bytes read so far (before decompression) and in all, where that is known.
    fn progress(&mut self, read: u64, total: Option<u64>);
}

#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    #[error("the output could not be written: {0}")]
    Output(#[from] std::io::Error),
    #[error("the new-terms state failed: {0}")]
    State(#[from] crate::terms::store::StoreError),
    #[error("a thread could not be started: {0}")]
    Thread(std::io::Error),
}

pub fn scan(
    options: &ScanOptions,
    matcher: &Matcher,
    fold: &mut LocalFold<'_>,
    sink: &mut dyn ScanSink,
) -> Result<ScanStats, ScanError> {
    let threads = options.threads.max(1);
    let prefilter = (!options.read_all).then(|| Prefilter::new(matcher.rules()));
    let examiner = Examiner { options, matcher, prefilter: prefilter.as_ref() };
    let (chunk_sender, chunks) = bounded::<Chunk>(CHUNKS_QUEUED);
    let (examined_sender, examined) = bounded::<Examined>(CHUNKS_QUEUED);
    std::thread::scope(|scope| {
        let mut builder = std::thread::Builder::new().name("scan-reader".to_owned());
        builder
            .spawn_scoped(scope, move || read(&options.paths, &chunk_sender))
            .map_err(ScanError::Thread)?;
        for number in 0..threads {
            let chunks = chunks.clone();
            let examined_sender = examined_sender.clone();
            builder = std::thread::Builder::new().name(format!("scan-worker-{number}"));
            builder
                .spawn_scoped(scope, move || {
                    let mut harmless = Harmless::default();
                    for chunk in chunks {
                        let examined = examiner.examine(chunk, &mut harmless);
                        if examined_sender.send(examined).is_err() {
                            return;
                        }
                    }
                })
                .map_err(ScanError::Thread)?;
        }
        drop(chunks);
        drop(examined_sender);
        Merge::new(options, fold, sink).run(examined)
    })
}

/// A scan of records at hand, in the caller's thread: the same work in the same order.
pub struct Replay<'a, 'fold> {
    examiner: Examiner<'a>,
    harmless: Harmless,
    merge: Merge<'a, 'fold>,
}

impl<'a, 'fold> Replay<'a, 'fold> {
    /// Of the options, `paths` and `threads` mean nothing here.
    pub fn new(
        options: &'a ScanOptions,
        matcher: &'a Matcher,
        fold: &'a mut LocalFold<'fold>,
        sink: &'a mut dyn ScanSink,
    ) -> Self {
        // What is read here is told about, whether a rule is concerned or not.
        let examiner = Examiner { options, matcher, prefilter: None };
        let harmless = Harmless::default();
        Replay { examiner, harmless, merge: Merge::new(options, fold, sink) }
    }

    /// Reads one record, of a line of a file.
    pub fn feed(&mut self, path: &Arc<str>, line: u64, record: &[u8]) -> Result<(), ScanError> {
        let whole = Text { path: Arc::clone(path), line, range: 0..record.len(), is_run: false };
        let parts = vec![Part::Text(whole)];
        let chunk = Chunk { parts, bytes: record.to_vec(), ..Chunk::default() };
        self.merge.merge(self.examiner.examine(chunk, &mut self.harmless))
    }

    /// Tells of text that is no record.
    pub fn failed(
        &mut self,
        path: &Arc<str>,
        line: Option<u64>,
        class: &'static str,
        reason: &str,
        record: Option<&[u8]>,
    ) -> Result<(), ScanError> {
        let record = record.map(<[u8]>::to_vec);
        let failure =
            Failure { path: Arc::clone(path), line, class, reason: reason.to_owned(), record };
        let chunk = Chunk { parts: vec![Part::Failure(failure)], ..Chunk::default() };
        self.merge.merge(self.examiner.examine(chunk, &mut self.harmless))
    }

    /// Hands over what waited for an outcome that may come yet.
    pub fn settle(&mut self) -> Result<(), ScanError> {
        self.merge.settle()
    }
}

/// Writes one JSON line.
pub fn write_json_line(out: &mut dyn Write, alert: &Alert) -> std::io::Result<()> {
    let mut line = alert.to_json().map_err(std::io::Error::other)?;
    line.push(b'\n');
    out.write_all(&line)
}
