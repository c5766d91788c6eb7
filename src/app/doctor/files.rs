//! Files, directories and standard input as a sample.
//!
//! Owns the thread that reads them: a read of a pipe may wait for ever, and a signal has to end the
//! command all the same. The thread is left to itself then, and ends with the process.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Builder;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};

use super::tally::{Record, Tally};
use super::{DoctorError, Watcher};
use crate::clock;
use crate::ingest::envelope::Wrapper;
use crate::ingest::file::{self, FileEvent};
use crate::ingest::prefilter::{Prefilter, Verdict};

/// Records come in batches of about this size.
const BATCH_BYTES: usize = 256 * 1024;
const BATCH_RECORDS: usize = 512;
/// Batches that wait.
const QUEUED: usize = 4;
/// Between two looks at whether a signal has come.
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Default)]
struct Batch {
    parts: Vec<Part>,
    bytes: usize,
    read: u64,
    total: Option<u64>,
}

/// A record, or why there is none.
struct Part {
    path: Arc<str>,
    line: Option<u64>,
    what: Result<Vec<u8>, (&'static str, String)>,
}

/// Reads every path in its order, of each at most so many records.
pub fn read(
    paths: &[PathBuf],
    sample: Option<u64>,
    prefilter: &Prefilter,
    wrapper: Option<Wrapper>,
    stop: &AtomicBool,
    tally: &mut Tally,
    watcher: &mut dyn Watcher,
) -> Result<(), DoctorError> {
    let (sender, batches) = bounded::<Batch>(QUEUED);
    let paths = paths.to_vec();
    let thread = Builder::new().name("doctor-reader".to_owned());
    thread.spawn(move || send(&paths, sample, &sender)).map_err(DoctorError::Thread)?;
    watcher.at(0, None, 0);
    while !stop.load(Ordering::Relaxed) {
        let batch = match batches.recv_timeout(LOOK_EVERY) {
            Ok(batch) => batch,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        for part in &batch.parts {
            take(part, prefilter, wrapper, tally);
        }
        watcher.at(batch.read, batch.total, tally.records);
        tracing::debug!(records = tally.records, "a batch of a file was read");
    }
    Ok(())
}

fn take(part: &Part, prefilter: &Prefilter, wrapper: Option<Wrapper>, tally: &mut Tally) {
    let place = || match part.line {
        Some(line) => format!("{}:{line}", part.path),
        None => part.path.to_string(),
    };
    match &part.what {
        Ok(bytes) => {
            let record = Record {
                payload: Some(bytes),
                record_ms: None,
                now_ms: clock::now_ms(),
                partition: None,
                // Files have no headers, and are told of one cluster.
                lacks_cluster: false,
                concerned: prefilter.verdict(bytes) != Verdict::Drop,
                place: &place,
            };
            tally.record(&record, wrapper);
        }
        Err((class, reason)) => tally.unreadable(class, &place, reason.clone()),
    }
}

/// The thread: until everything is read, or nobody listens.
fn send(paths: &[PathBuf], sample: Option<u64>, batches: &Sender<Batch>) {
    // With a bound for each, a path is read on its own, so that the next one has its turn.
    let groups: Vec<&[PathBuf]> =
        if sample.is_some() { paths.chunks(1).collect() } else { vec![paths] };
    for group in groups {
        let mut open = Batch::default();
        let (mut left, mut is_heard) = (sample.unwrap_or(u64::MAX), true);
        file::read_paths(group, &mut |event| {
            let (path, line, what) = match event {
                FileEvent::Record { path, line, bytes, progress } => {
                    (open.read, open.total) = (progress.read, progress.total);
                    left = left.saturating_sub(1);
                    open.bytes += bytes.len();
                    (path, Some(line), Ok(bytes.to_vec()))
                }
                FileEvent::Failed { path, line, class, reason, .. } => {
                    (path, line, Err((class, reason)))
                }
                FileEvent::Idle => {
                    is_heard = open.parts.is_empty() || hand_over(&mut open, batches);
                    return is_heard;
                }
            };
            open.parts.push(Part { path: Arc::clone(path), line, what });
            if open.bytes >= BATCH_BYTES || open.parts.len() >= BATCH_RECORDS {
                is_heard = hand_over(&mut open, batches);
            }
            is_heard && left > 0
        });
        if !is_heard || !hand_over(&mut open, batches) {
            return;
        }
    }
}

/// Whether anybody listens.
fn hand_over(open: &mut Batch, batches: &Sender<Batch>) -> bool {
    let next = Batch { read: open.read, total: open.total, ..Batch::default() };
    batches.send(std::mem::replace(open, next)).is_ok()
}
