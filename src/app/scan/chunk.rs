//! What the reader hands to the workers: text of files in the order of the input, in pieces that are
//! worth a hand-over.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::Sender;

use crate::ingest::file::{self, FileEvent, Portion, Progress};

/// Text goes to the workers in chunks of at least this size, or of this many parts. What one read brings is
/// enough, without the line that is not whole yet.
const CHUNK_BYTES: usize = file::READ_BYTES / 2;
const CHUNK_PARTS: usize = 512;

#[derive(Default)]
pub(super) struct Chunk {
    pub(super) number: u64,
    pub(super) parts: Vec<Part>,
    pub(super) bytes: Vec<u8>,
    /// Bytes of the failures' texts.
    pub(super) failed_bytes: usize,
    pub(super) read: u64,
    pub(super) total: Option<u64>,
}

impl Chunk {
    /// Takes text over, as it is where nothing is there yet.
    pub(super) fn push(
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
pub(super) enum Part {
    Text(Text),
    Failure(Failure),
}

/// Records of one file, which stand in the chunk's bytes.
pub(super) struct Text {
    pub(super) path: Arc<str>,
    /// The line of the first.
    pub(super) line: u64,
    pub(super) range: std::ops::Range<usize>,
    /// Each line is a record; else all of it is one.
    pub(super) is_run: bool,
}

pub(super) struct Failure {
    pub(super) path: Arc<str>,
    pub(super) line: Option<u64>,
    pub(super) class: &'static str,
    pub(super) reason: String,
    pub(super) record: Option<Vec<u8>>,
}

/// The reader's thread: until the input ends or nobody listens.
pub(super) fn read(paths: &[PathBuf], chunks: &Sender<Chunk>) {
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
