//! Files, directories and standard input as records, for the commands that read without Kafka.
//!
//! This module owns the walk over the paths, the decompression and the division into records.
//! It must not interpret JSON beyond its brackets and strings: the reader of records judges
//! whether a record is an event, and says what is wrong with it. Memory is bounded by
//! `limits::RECORD_MAX_BYTES`, whatever the size of the input or the ratio of its compression.

use std::borrow::Cow;
use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use crate::limits;

mod lines;
mod split;

use lines::{Lines, Run};
use split::{Piece, Splitter, Stop};

/// How far the reading has come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Bytes of input consumed over all paths, before decompression.
    pub read: u64,
    /// Sum of the sizes of all files in bytes; absent when a pipe or standard input is among
    /// the paths, because nobody knows how much it will bring.
    pub total: Option<u64>,
}

/// Bytes asked for in one read, and so about the most that a run of lines has.
pub const READ_BYTES: usize = 256 * 1024;

/// What reading brings, in the order of the input.
pub enum FileEvent<'a> {
    /// Text that stands for one record: a JSON value, or text that begins like one.
    Record {
        path: &'a Arc<str>,
        /// The line on which the record begins, from 1.
        line: u64,
        bytes: &'a [u8],
        progress: Progress,
    },
    /// A file that could not be opened, read or decompressed, or text in it that is no record.
    Failed {
        path: &'a Arc<str>,
        /// The line concerned, from 1; absent when the file as a whole is.
        line: Option<u64>,
        /// A stable name: `io`, `not-json`, `bad-compression`, `decompression-limit` or
        /// `too-large`.
        class: &'static str,
        reason: String,
        /// The text concerned, where it is small enough to be shown.
        bytes: Option<&'a [u8]>,
    },
    /// Nothing more is at hand right now (a pipe that would block): the receiver may flush.
    Idle,
}

/// What [`read_runs`] brings.
pub enum Portion<'a> {
    /// Lines of which each is one record, with their line feeds.
    Run {
        path: &'a Arc<str>,
        /// The number of the first, from 1.
        line: u64,
        /// Owned where they fill a buffer by themselves, which is then the receiver's to keep.
        bytes: Cow<'a, [u8]>,
        progress: Progress,
    },
    One(FileEvent<'a>),
}

/// Reads all `paths` in their order and hands every record to `each`, one by one, until `each`
/// returns false. Directories are read recursively in sorted order; `-` is standard input.
///
/// Nothing that goes wrong with one path ends the reading of the others: it is handed over as
/// [`FileEvent::Failed`].
pub fn read_paths(paths: &[PathBuf], each: &mut dyn FnMut(FileEvent<'_>) -> bool) {
    read_runs(paths, &mut |portion| one_by_one(portion, each));
}

fn one_by_one(portion: Portion<'_>, each: &mut dyn FnMut(FileEvent<'_>) -> bool) -> bool {
    match portion {
        Portion::Run { path, line, bytes, progress } => {
            let lines = bytes.strip_suffix(b"\n").unwrap_or(&bytes).split(|byte| *byte == b'\n');
            let mut lines = (line..).zip(lines);
            lines.all(|(line, bytes)| each(FileEvent::Record { path, line, bytes, progress }))
        }
        Portion::One(event) => each(event),
    }
}

/// [`read_paths`], with the records that stand on lines of their own handed over many at a time, as
/// [`Portion::Run`], where they are written like that.
pub fn read_runs(paths: &[PathBuf], each: &mut dyn FnMut(Portion<'_>) -> bool) {
    let inputs = list(paths);
    let mut total = Some(0_u64);
    for input in &inputs {
        total = match (total, &input.kind) {
            (Some(sum), Kind::File { size }) => Some(sum.saturating_add(*size)),
            (sum, Kind::Broken(_)) => sum,
            _ => None,
        };
    }
    let read = Rc::new(Cell::new(0));
    for input in &inputs {
        let before = read.get();
        let mut sink = Sink { path: input.shown(), read: Rc::clone(&read), total, each };
        if read_input(input, &mut sink).is_break() {
            return;
        }
        // A file that was given up early still counts as done.
        if let Kind::File { size } = input.kind {
            read.set(read.get().max(before.saturating_add(size)));
        }
    }
}

/// One thing to read.
struct Input {
    path: PathBuf,
    kind: Kind,
}

enum Kind {
    Stdin,
    /// A named pipe or a device: a read of it may block.
    Pipe,
    File {
        /// In bytes, when the paths were listed.
        size: u64,
    },
    Broken(io::Error),
}

impl Input {
    fn shown(&self) -> Arc<str> {
        Arc::from(self.path.to_string_lossy())
    }
}

/// All files behind `paths`.
fn list(paths: &[PathBuf]) -> Vec<Input> {
    let mut inputs = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            inputs.push(Input { path: path.clone(), kind: Kind::Stdin });
            continue;
        }
        let path = path.clone();
        let kind = match fs::metadata(&path) {
            Ok(found) if found.is_dir() => {
                walk(path, &mut inputs);
                continue;
            }
            Ok(found) if found.is_file() => Kind::File { size: found.len() },
            Ok(_) => Kind::Pipe,
            Err(error) => Kind::Broken(error),
        };
        inputs.push(Input { path, kind });
    }
    inputs
}

/// The regular files below `root`, depth first, each directory in the order of its names.
/// Links to directories are not followed, so the walk cannot loop.
fn walk(root: PathBuf, inputs: &mut Vec<Input>) {
    let mut waiting = vec![(root, true)];
    while let Some((path, is_dir)) = waiting.pop() {
        if is_dir {
            match children(&path) {
                Ok(found) => waiting.extend(found.into_iter().rev()),
                Err(error) => inputs.push(Input { path, kind: Kind::Broken(error) }),
            }
            continue;
        }
        let kind = match fs::metadata(&path) {
            Ok(found) if found.is_file() => Kind::File { size: found.len() },
            // Sockets, pipes and links to directories are not logs.
            Ok(_) => continue,
            Err(error) => Kind::Broken(error),
        };
        inputs.push(Input { path, kind });
    }
}

/// The entries of a directory by name, and whether each is itself a directory.
fn children(path: &Path) -> io::Result<Vec<(PathBuf, bool)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        found.push((entry.path(), entry.file_type()?.is_dir()));
    }
    found.sort();
    Ok(found)
}

/// Where the pieces of one input go.
struct Sink<'s> {
    path: Arc<str>,
    read: Rc<Cell<u64>>,
    total: Option<u64>,
    each: &'s mut dyn FnMut(Portion<'_>) -> bool,
}

impl Sink<'_> {
    fn progress(&self) -> Progress {
        Progress { read: self.read.get(), total: self.total }
    }

    fn run(&mut self, run: Run<'_>) -> ControlFlow<Stop> {
        let path = &Arc::clone(&self.path);
        let (line, bytes, progress) = (run.number, run.bytes, self.progress());
        self.hand_over(Portion::Run { path, line, bytes, progress })
    }

    fn piece(&mut self, piece: Piece<'_>) -> ControlFlow<Stop> {
        let path = &Arc::clone(&self.path);
        self.event(match piece {
            Piece::Record { line, bytes } => {
                let progress = self.progress();
                FileEvent::Record { path, line, bytes, progress }
            }
            Piece::Bad { line, class, reason, bytes } => {
                FileEvent::Failed { path, line, class, reason, bytes }
            }
        })
    }

    fn failed(&mut self, class: &'static str, reason: String) -> ControlFlow<Stop> {
        self.piece(Piece::Bad { line: None, class, reason, bytes: None })
    }

    fn event(&mut self, event: FileEvent<'_>) -> ControlFlow<Stop> {
        self.hand_over(Portion::One(event))
    }

    fn hand_over(&mut self, portion: Portion<'_>) -> ControlFlow<Stop> {
        if (self.each)(portion) { ControlFlow::Continue(()) } else { ControlFlow::Break(Stop::All) }
    }
}

/// Reads one input. Breaks only when the receiver wants no more of any.
fn read_input(input: &Input, sink: &mut Sink<'_>) -> ControlFlow<()> {
    let (source, live): (Box<dyn Read>, bool) = match &input.kind {
        Kind::Stdin => (Box::new(io::stdin()), true),
        Kind::Broken(error) => return all(sink.failed("io", error.to_string())),
        kind => match File::open(&input.path) {
            Ok(file) => (Box::new(file), matches!(kind, Kind::Pipe)),
            Err(error) => return all(sink.failed("io", error.to_string())),
        },
    };
    let limits = Limits { record: limits::RECORD_MAX_BYTES, chunk: READ_BYTES };
    all(read_source(source, live, limits, sink))
}

/// Turns the two ways to stop into the one that concerns further inputs.
fn all(flow: ControlFlow<Stop>) -> ControlFlow<()> {
    match flow {
        ControlFlow::Break(Stop::All) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    }
}

/// The bounds of one reading; tests make them small.
#[derive(Clone, Copy)]
struct Limits {
    /// Longest record in bytes.
    record: usize,
    /// Bytes asked for in one read.
    chunk: usize,
}

fn read_source(
    source: Box<dyn Read + '_>,
    live: bool,
    limits: Limits,
    sink: &mut Sink<'_>,
) -> ControlFlow<Stop> {
    if live {
        sink.event(FileEvent::Idle)?;
    }
    let broken = Rc::new(Cell::new(false));
    let counted = Counted { source, read: Rc::clone(&sink.read), broken: Rc::clone(&broken) };
    let explain = |error: &io::Error| explain(error, broken.get());
    let decoded = match decode(BufReader::with_capacity(limits.chunk, counted)) {
        Ok(decoded) => decoded,
        Err(error) => {
            let (class, reason) = explain(&error);
            return sink.failed(class, reason);
        }
    };
    let mut splitter = Splitter::new(Arc::clone(&sink.path), limits.record);
    let mut lines = Lines::new(decoded, limits);
    let ended = loop {
        if splitter.is_between_records()
            && let Some(run) = lines.run()
        {
            splitter.passed_by(&mut |piece| sink.piece(piece))?;
            sink.run(run)?;
            continue;
        }
        if live && lines.must_read() {
            sink.event(FileEvent::Idle)?;
        }
        match lines.advance() {
            lines::Step::Line { bytes, number } => {
                splitter.line(bytes, number, &mut |piece| sink.piece(piece))?;
            }
            lines::Step::TooLong { begin, number } => {
                splitter.too_long(begin, number, &mut |piece| sink.piece(piece))?;
            }
            lines::Step::More => {}
            lines::Step::End(ended) => break ended,
        }
    };
    splitter.finish(&mut |piece| sink.piece(piece))?;
    if let Err(error) = ended {
        let (class, reason) = explain(&error);
        sink.failed(class, reason)?;
    }
    ControlFlow::Continue(())
}

/// The class and the reason of a failed read. `broken`: the input itself failed, and not what
/// decompresses it.
fn explain(error: &io::Error, broken: bool) -> (&'static str, String) {
    let text = error.to_string();
    if broken {
        return ("io", text);
    }
    // zstd has no code for this in its Rust interface, only this text.
    if text.contains("too much memory") {
        return ("decompression-limit", format!("cannot decompress: {text}"));
    }
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return ("bad-compression", "the compressed data is truncated".to_owned());
    }
    ("bad-compression", format!("cannot decompress: {text}"))
}

/// Counts what is consumed and remembers whether the source itself failed.
struct Counted<R> {
    source: R,
    read: Rc<Cell<u64>>,
    broken: Rc<Cell<bool>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.source.read(into) {
            Ok(count) => {
                self.read.set(self.read.get().saturating_add(count as u64));
                Ok(count)
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::Interrupted {
                    self.broken.set(true);
                }
                Err(error)
            }
        }
    }
}

/// RFC 1952: the two identifying bytes and the only method there is.
const GZIP: &[u8] = &[0x1f, 0x8b, 0x08];
/// RFC 8878: the magic number of a frame.
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Decompresses `source` if it begins like a gzip or zstd file.
fn decode<'r>(mut source: impl BufRead + 'r) -> io::Result<Box<dyn Read + 'r>> {
    // No more is read than a magic number needs: a pipe that brings one short line and then
    // waits must not make this wait too.
    let mut head = Vec::with_capacity(ZSTD.len());
    let format = loop {
        let full = [GZIP, ZSTD].into_iter().find(|magic| *magic == head);
        if full.is_some() || ![GZIP, ZSTD].iter().any(|magic| magic.starts_with(&head)) {
            break full;
        }
        let mut byte = [0];
        match source.read(&mut byte) {
            Ok(0) => break None,
            Ok(_) => head.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    };
    let source = Cursor::new(head).chain(source);
    Ok(match format {
        Some(GZIP) => Box::new(flate2::bufread::MultiGzDecoder::new(source)),
        Some(_) => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?;
            decoder.window_log_max(limits::FILE_ZSTD_WINDOW_LOG_MAX)?;
            Box::new(decoder)
        }
        None => Box::new(source),
    })
}

#[cfg(test)]
mod tests;
