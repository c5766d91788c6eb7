//! The composition of `scan`: a reader, workers, and one thread that puts their results back in
//! the input's order, folds observations and writes alerts.
//!
//! Chunks of records carry a number; the output follows the numbers, so it does not depend on the
//! threads. All channels are bounded: a slow output slows the reading.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::alert::{self, Alert, Origin};
use crate::app::held::Held;
use crate::audit::event::Event;
use crate::clock;
use crate::detect::harmless::Harmless;
use crate::detect::matcher::{Context, Detection, Excepted, Matcher};
use crate::detect::suppress::Suppressor;
use crate::ingest::envelope::{self, Outcome};
use crate::ingest::file::{self, FileEvent, Portion, Progress};
use crate::ingest::prefilter::{Prefilter, Verdict};
use crate::limits::EXCEPTION_NAMES_MAX;
use crate::position::Position;
use crate::stats::count_up_to;
use crate::terms::local::{LocalFold, LocalVerdict};
use crate::terms::observation::Observation;

/// Text goes to the workers in chunks of at least this size, or of this many parts. What one read brings is
/// enough, without the line that is not whole yet.
const CHUNK_BYTES: usize = file::READ_BYTES / 2;
const CHUNK_PARTS: usize = 512;
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

#[derive(Default)]
struct Chunk {
    number: u64,
    parts: Vec<Part>,
    bytes: Vec<u8>,
    /// Bytes of the failures' texts.
    failed_bytes: usize,
    read: u64,
    total: Option<u64>,
}

impl Chunk {
    /// Takes text over, as it is where nothing is there yet.
    fn push(
        &mut self,
        path: &Arc<str>,
        line: u64,
        text: Cow<'_, [u8]>,
        is_run: bool,
        progress: Progress,
    ) {
        let begin = self.bytes.len();
        match text {
            Cow::Owned(text) if begin == 0 => self.bytes = text,
            text => {
                if begin == 0 {
                    self.bytes.reserve(CHUNK_BYTES);
                }
                self.bytes.extend_from_slice(&text);
            }
        }
        let range = begin..self.bytes.len();
        self.parts.push(Part::Text(Text { path: Arc::clone(path), line, range, is_run }));
        (self.read, self.total) = (progress.read, progress.total);
    }
}

/// What a chunk holds, in the order of the input.
enum Part {
    Text(Text),
    Failure(Failure),
}

/// Records of one file, which stand in the chunk's bytes.
struct Text {
    path: Arc<str>,
    /// The line of the first.
    line: u64,
    range: std::ops::Range<usize>,
    /// Each line is a record; else all of it is one.
    is_run: bool,
}

struct Failure {
    path: Arc<str>,
    line: Option<u64>,
    class: &'static str,
    reason: String,
    record: Option<Vec<u8>>,
}

/// What a worker made of a chunk, in the order of its records.
struct Examined {
    number: u64,
    items: Vec<Item>,
    events: u64,
    records: u64,
    prefiltered: u64,
    bytes: u64,
    skipped: BTreeMap<&'static str, u64>,
    read: u64,
    total: Option<u64>,
}

enum Item {
    /// After how many events of the chunk, records that were not read among them.
    Detection(u64, Detection),
    Failure(Failure),
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

/// The reader's thread: until the input ends or nobody listens.
fn read(paths: &[PathBuf], chunks: &Sender<Chunk>) {
    let mut number = 0;
    let mut open = Chunk::default();
    let mut flush = |open: &mut Chunk| -> bool {
        if open.parts.is_empty() {
            return true;
        }
        let next = Chunk { read: open.read, total: open.total, ..Chunk::default() };
        let mut full = std::mem::replace(open, next);
        full.number = number;
        number += 1;
        chunks.send(full).is_ok()
    };
    file::read_runs(paths, &mut |portion| {
        match portion {
            Portion::Run { path, line, bytes, progress } => {
                open.push(path, line, bytes, true, progress);
            }
            Portion::One(FileEvent::Record { path, line, bytes, progress }) => {
                open.push(path, line, bytes.into(), false, progress);
            }
            Portion::One(FileEvent::Failed { path, line, class, reason, bytes }) => {
                let record = bytes.map(<[u8]>::to_vec);
                open.failed_bytes += record.as_ref().map_or(0, Vec::len);
                let path = Arc::clone(path);
                open.parts.push(Part::Failure(Failure { path, line, class, reason, record }));
            }
            Portion::One(FileEvent::Idle) => return flush(&mut open),
        }
        if open.bytes.len() + open.failed_bytes >= CHUNK_BYTES || open.parts.len() >= CHUNK_PARTS {
            return flush(&mut open);
        }
        true
    });
    flush(&mut open);
}

/// What a worker knows.
#[derive(Clone, Copy)]
struct Examiner<'a> {
    options: &'a ScanOptions,
    matcher: &'a Matcher,
    prefilter: Option<&'a Prefilter>,
}

/// Where a record stands.
struct Place<'a> {
    path: &'a Arc<str>,
    line: u64,
}

impl Examiner<'_> {
    fn examine(&self, chunk: Chunk, harmless: &mut Harmless) -> Examined {
        let mut result = Examined {
            number: chunk.number,
            items: Vec::new(),
            events: 0,
            records: 0,
            prefiltered: 0,
            bytes: 0,
            skipped: BTreeMap::new(),
            read: chunk.read,
            total: chunk.total,
        };
        for part in chunk.parts {
            let text = match part {
                Part::Failure(failure) => {
                    result.items.push(Item::Failure(failure));
                    continue;
                }
                Part::Text(text) => text,
            };
            let mut rest = chunk.bytes.get(text.range).unwrap_or_default();
            let mut place = Place { path: &text.path, line: text.line };
            while text.is_run
                && let Some(feed) = memchr::memchr(b'\n', rest)
            {
                let (record, after) = rest.split_at(feed);
                self.record(record, &place, harmless, &mut result);
                rest = after.get(1..).unwrap_or_default();
                place.line += 1;
            }
            if !text.is_run {
                self.record(rest, &place, harmless, &mut result);
            }
        }
        result
    }

    fn record(
        &self,
        bytes: &[u8],
        place: &Place<'_>,
        harmless: &mut Harmless,
        result: &mut Examined,
    ) {
        result.records += 1;
        result.bytes += bytes.len() as u64;
        if self.prefilter.is_some_and(|prefilter| prefilter.verdict(bytes) == Verdict::Drop) {
            result.prefiltered += 1;
            return;
        }
        let mut detections = Vec::new();
        let mut failed: Option<(&'static str, String, u64)> = None;
        let mut outcomes = 0;
        let bodies = self.matcher.bodies();
        envelope::read_asking(bytes, None, bodies, &mut |item, outcome| match outcome {
            Outcome::Event(read) => {
                outcomes = item + 1;
                result.events += 1;
                let wrapper_time_ms = read.wrapper_time.map(|time| time.as_millisecond());
                if !self.is_wanted(&read.event, wrapper_time_ms) {
                    return;
                }
                let path = place.path.to_string();
                let context = Context {
                    cluster: &self.options.cluster,
                    position: Position::File { path, line: place.line, item },
                    wrapper_id: read.wrapper_id.as_deref(),
                    wrapper_time_ms,
                };
                let found = &mut detections;
                self.matcher.examine_knowing(harmless, read.event, context, found);
                let number = result.events + result.prefiltered;
                for found in detections.drain(..) {
                    match found {
                        Detection::NotAsked(reason) => {
                            let text =
                                format!("the rules with a query could not be asked: {reason}");
                            failed.get_or_insert(("not-asked", text, 0)).2 += 1;
                        }
                        found => result.items.push(Item::Detection(number, found)),
                    }
                }
            }
            Outcome::Skipped(reason) => *result.skipped.entry(reason.as_str()).or_default() += 1,
            Outcome::Unreadable(error) => {
                outcomes = item + 1;
                let failed = failed.get_or_insert_with(|| (error.label(), error.to_string(), 0));
                failed.2 += 1;
            }
        });
        let Some((class, mut reason, count)) = failed else { return };
        if outcomes > 1 {
            reason = format!("{reason} ({count} of {outcomes} items in the record)");
        }
        let (path, line) = (Arc::clone(place.path), Some(place.line));
        let record = Some(bytes.to_vec());
        result.items.push(Item::Failure(Failure { path, line, class, reason, record }));
    }

    /// Whether the event lies in the span of time that is asked for; one without a time does.
    fn is_wanted(&self, event: &Event<'_>, wrapper_time_ms: Option<i64>) -> bool {
        let ScanOptions { since_ms, until_ms, .. } = self.options;
        if since_ms.is_none() && until_ms.is_none() {
            return true;
        }
        let Some(time) = event.time().map(|time| time.as_millisecond()).or(wrapper_time_ms) else {
            return true;
        };
        since_ms.is_none_or(|since| time >= since) && until_ms.is_none_or(|until| time < until)
    }
}

/// Puts the workers' results back in order.
struct Merge<'a, 'fold> {
    options: &'a ScanOptions,
    fold: &'a mut LocalFold<'fold>,
    sink: &'a mut dyn ScanSink,
    held: Held,
    suppressor: Suppressor,
    released: Vec<Alert>,
    withheld: Withheld,
    stats: ScanStats,
    /// The running maximum of the event times: `scan`'s clock for new terms.
    time_ms: i64,
}

impl<'a, 'fold> Merge<'a, 'fold> {
    fn new(
        options: &'a ScanOptions,
        fold: &'a mut LocalFold<'fold>,
        sink: &'a mut dyn ScanSink,
    ) -> Self {
        // A kept state may have seen later times than this input begins with.
        let time_ms = fold.time_ms();
        Merge {
            options,
            fold,
            sink,
            held: Held::default(),
            suppressor: Suppressor::default(),
            released: Vec::new(),
            withheld: Withheld::default(),
            stats: ScanStats::default(),
            time_ms,
        }
    }

    /// Owns the channel: should this end early, the workers must not wait for it.
    fn run(mut self, examined: Receiver<Examined>) -> Result<ScanStats, ScanError> {
        let mut waiting: BTreeMap<u64, Examined> = BTreeMap::new();
        let mut next = 0;
        for result in &examined {
            waiting.insert(result.number, result);
            while let Some(result) = waiting.remove(&next) {
                next += 1;
                self.merge(result)?;
            }
            if waiting.is_empty() && examined.is_empty() {
                self.sink.flush()?;
            }
        }
        self.settle()?;
        Ok(self.stats)
    }

    /// No outcome is waited for any longer.
    fn settle(&mut self) -> Result<(), ScanError> {
        self.held.release_all(&mut self.released);
        self.print()?;
        Ok(self.sink.flush()?)
    }

    fn merge(&mut self, result: Examined) -> Result<(), ScanError> {
        let before = self.stats.events + self.stats.prefiltered;
        for item in result.items {
            match item {
                Item::Failure(failure) => {
                    *self.stats.unreadable.entry(failure.class.to_owned()).or_default() += 1;
                    self.sink.unreadable(
                        &failure.path,
                        failure.line,
                        &failure.reason,
                        failure.record.as_deref(),
                    )?;
                }
                Item::Detection(number, detection) => {
                    let event = before + number;
                    self.held.release(event, &mut self.released);
                    if let Some(alert) = self.decide(detection)? {
                        self.held.push(alert, event);
                    }
                }
            }
        }
        self.stats.events += result.events;
        self.stats.records += result.records;
        self.stats.prefiltered += result.prefiltered;
        self.stats.bytes += result.bytes;
        for (reason, count) in result.skipped {
            *self.stats.skipped.entry(reason.to_owned()).or_default() += count;
        }
        let passed = self.stats.events + self.stats.prefiltered;
        self.held.release(passed, &mut self.released);
        self.print()?;
        self.sink.progress(result.read, result.total);
        Ok(())
    }

    fn decide(&mut self, detection: Detection) -> Result<Option<Alert>, ScanError> {
        let origin = Origin {
            instance: self.options.instance.clone(),
            created_ms: clock::now_ms(),
            latency_ms: None,
        };
        match detection {
            Detection::Finding(finding) => {
                let alert = alert::from_finding(&finding, &origin);
                Ok(self.unless_withheld(alert, finding.event_time_ms))
            }
            Detection::Request(finding) => {
                let alert = alert::from_request(&finding, &origin);
                Ok(self.unless_withheld(alert, finding.event_time_ms))
            }
            // Told with what could not be read.
            Detection::NotAsked(_) => Ok(None),
            Detection::Excepted(excepted) => {
                self.except(&excepted)?;
                Ok(None)
            }
            Detection::ExceptionExpired(exception) => {
                let counts = &mut self.stats.exceptions_expired;
                count_up_to(EXCEPTION_NAMES_MAX, &exception.name, 1, counts);
                Ok(None)
            }
            Detection::Observation(observation) => {
                match self.observe(&observation)? {
                    // History is that of exceptions alone.
                    LocalVerdict::Nothing | LocalVerdict::History => Ok(None),
                    LocalVerdict::Learned => {
                        self.stats.learned += 1;
                        Ok(None)
                    }
                    LocalVerdict::Alert(first_seen) => {
                        Ok(Some(alert::from_observation(&observation, &first_seen, &origin)))
                    }
                }
            }
        }
    }

    fn unless_withheld(&mut self, alert: Alert, time_ms: Option<i64>) -> Option<Alert> {
        let withheld =
            alert.suppression.is_some_and(|by| self.suppressor.withholds(&alert.id, time_ms, by));
        if withheld {
            *self.stats.suppressed.entry(alert.rule.id.clone()).or_default() += 1;
        }
        (!withheld).then_some(alert)
    }

    fn observe(&mut self, observation: &Observation) -> Result<LocalVerdict, ScanError> {
        self.time_ms = self.time_ms.max(observation.event_time_ms.unwrap_or(0));
        Ok(self.fold.observe(observation, self.time_ms)?)
    }

    /// Counts the alerts that are not raised, and folds what is known from then on.
    fn except(&mut self, excepted: &Excepted) -> Result<(), ScanError> {
        let alerts = match &excepted.history {
            None => u64::from(self.withheld.is_new(&excepted.rule.id, &excepted.event_id)),
            Some(history) => {
                let mut alerts = 0;
                for observation in history {
                    match self.observe(observation)? {
                        LocalVerdict::History => alerts += 1,
                        LocalVerdict::Learned => self.stats.learned += 1,
                        LocalVerdict::Nothing | LocalVerdict::Alert(_) => {}
                    }
                }
                alerts
            }
        };
        for _ in 0..alerts {
            count_up_to(EXCEPTION_NAMES_MAX, &excepted.by.name, 1, &mut self.stats.withheld);
        }
        Ok(())
    }

    fn print(&mut self) -> Result<(), ScanError> {
        for alert in self.released.drain(..) {
            *self.stats.alerts.entry(alert.rule.id.clone()).or_default() += 1;
            self.sink.alert(&alert)?;
        }
        Ok(())
    }
}

/// Which alerts were withheld, the latest of them: the stages of a request are one.
#[derive(Default)]
struct Withheld {
    known: HashSet<(String, String)>,
    order: VecDeque<(String, String)>,
}

/// Stages stand close together in a log.
const WITHHELD_MAX: usize = 65_536;

impl Withheld {
    fn is_new(&mut self, rule_id: &str, event_id: &str) -> bool {
        let key = (rule_id.to_owned(), event_id.to_owned());
        if !self.known.insert(key.clone()) {
            return false;
        }
        if self.order.len() >= WITHHELD_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(key);
        true
    }
}

/// Writes one JSON line.
pub fn write_json_line(out: &mut dyn Write, alert: &Alert) -> std::io::Result<()> {
    let mut line = alert.to_json().map_err(std::io::Error::other)?;
    line.push(b'\n');
    out.write_all(&line)
}
