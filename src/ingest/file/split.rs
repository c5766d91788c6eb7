//! Lines into records: which lines belong together, and which are no JSON at all.
//!
//! The splitter knows the brackets and strings of JSON and nothing else of it. It must stay
//! linear on hostile input: a byte is looked at when its line arrives, and once more at most,
//! when the text it was taken into turns out to be unfinished.

use std::mem;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::limits;

/// Why reading stops early.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The receiver wants no more.
    All,
    /// Nothing more is to be had from this file.
    File,
}

pub(super) enum Piece<'a> {
    Record { line: u64, bytes: &'a [u8] },
    Bad { line: Option<u64>, class: &'static str, reason: String, bytes: Option<&'a [u8]> },
}

type Out<'o> = &'o mut dyn FnMut(Piece<'_>) -> ControlFlow<Stop>;

pub(super) struct Splitter {
    path: Arc<str>,
    record_max: usize,
    stage: Stage,
    /// Text that begins like JSON and has not closed yet.
    open: Option<Open>,
    /// Set while the lines of an unfinished text are looked at once more.
    again: bool,
}

/// What is known about the file as a whole.
enum Stage {
    /// No line yet looked like JSON. The lines so far, to be reported one by one if JSON does
    /// follow, and as one file that is no JSON otherwise.
    Preamble {
        lines: Vec<(u64, Vec<u8>)>,
        bytes: usize,
    },
    /// It was reported to be no JSON; JSON may still follow.
    Other,
    Json,
}

struct Open {
    line: u64,
    text: Vec<u8>,
    balance: Balance,
    /// These lines have been looked at before, and are not to be a third time.
    again: bool,
}

impl Splitter {
    pub(super) fn new(path: Arc<str>, record_max: usize) -> Self {
        let stage = Stage::Preamble { lines: Vec::new(), bytes: 0 };
        Splitter { path, record_max, stage, open: None, again: false }
    }

    /// Whether a line of which an object is all would be a record, whatever comes before it.
    pub(super) fn is_between_records(&self) -> bool {
        self.open.is_none()
    }

    /// Learns of lines that are records and were not given to it.
    pub(super) fn passed_by(&mut self, out: Out<'_>) -> ControlFlow<Stop> {
        self.json_found(out)
    }

    /// Takes one line, without its line feed.
    pub(super) fn line(&mut self, raw: &[u8], number: u64, out: Out<'_>) -> ControlFlow<Stop> {
        if let Some(open) = &self.open {
            // A value where none may stand means that the text before it was cut off. Only
            // lines that are not indented are taken for the beginning of another record.
            let restart = matches!(raw.first(), Some(b'{' | b'[')) && !open.balance.takes_value();
            if !restart && open.text.len() + raw.len() < self.record_max {
                return self.extend(raw, out);
            }
            self.give_up(out)?;
            // What was given up may have left its own end open, and this line may belong to it.
            return self.line(raw, number, out);
        }
        let line = trim(raw);
        if line.is_empty() {
            return ControlFlow::Continue(());
        }
        if !matches!(self.stage, Stage::Json) {
            if !begins_json(line) {
                return self.preamble(line, number, out);
            }
            self.json_found(out)?;
        }
        match line.first() {
            Some(b'{' | b'[') if begins_json(line) => {}
            // Whatever is wrong with it, the reader of records will say.
            Some(b'{' | b'[' | b'"') => {
                return out(Piece::Record { line: number, bytes: without_comma(line) });
            }
            _ => {
                return out(Piece::Bad {
                    line: Some(number),
                    class: "not-json",
                    reason: "the line is not JSON".to_owned(),
                    bytes: Some(line),
                });
            }
        }
        let mut balance = Balance::default();
        if balance.take(line) == Scan::Open {
            let text = raw.trim_ascii_end().to_vec();
            self.open = Some(Open { line: number, text, balance, again: self.again });
            return ControlFlow::Continue(());
        }
        out(Piece::Record { line: number, bytes: without_comma(line) })
    }

    /// Adds a line to the open text.
    fn extend(&mut self, raw: &[u8], out: Out<'_>) -> ControlFlow<Stop> {
        let Some(open) = &mut self.open else { return ControlFlow::Continue(()) };
        open.text.push(b'\n');
        open.text.extend_from_slice(raw);
        match open.balance.take(raw) {
            Scan::Open => ControlFlow::Continue(()),
            Scan::Broken => self.give_up(out),
            Scan::Closed => {
                let Some(open) = self.open.take() else { return ControlFlow::Continue(()) };
                out(Piece::Record { line: open.line, bytes: without_comma(trim(&open.text)) })
            }
        }
    }

    /// The open text will not close any more: it is delivered up to the first of its lines
    /// that may begin a record of its own, and the lines from there on are taken anew. At the
    /// second time it is delivered whole.
    fn give_up(&mut self, out: Out<'_>) -> ControlFlow<Stop> {
        let Some(open) = self.open.take() else { return ControlFlow::Continue(()) };
        let text = open.text.as_slice();
        let cut = if open.again { None } else { memchr::memmem::find(text, b"\n{") };
        let unfinished = &text[..cut.unwrap_or(text.len())];
        out(Piece::Record { line: open.line, bytes: trim(unfinished) })?;
        let Some(cut) = cut else { return ControlFlow::Continue(()) };
        let mut number = open.line + memchr::memchr_iter(b'\n', unfinished).count() as u64;
        self.again = true;
        let mut flow = ControlFlow::Continue(());
        for raw in text[cut + 1..].split(|byte| *byte == b'\n') {
            number += 1;
            flow = self.line(raw, number, out);
            if flow.is_break() {
                break;
            }
        }
        self.again = false;
        flow
    }

    /// A line beyond the bound, of which only the beginning is at hand.
    pub(super) fn too_long(
        &mut self,
        begin: &[u8],
        number: u64,
        out: Out<'_>,
    ) -> ControlFlow<Stop> {
        self.close(out)?;
        let begins = trim(begin);
        if !matches!(self.stage, Stage::Json) {
            if !matches!(begins.first(), Some(b'{' | b'[' | b'"')) {
                self.preamble(begins, number, out)?;
                return self.no_json(out);
            }
            self.json_found(out)?;
        }
        out(Piece::Bad {
            line: Some(number),
            class: "too-large",
            reason: format!("the line is larger than {} bytes", self.record_max),
            bytes: None,
        })
    }

    /// The file has ended.
    pub(super) fn finish(&mut self, out: Out<'_>) -> ControlFlow<Stop> {
        self.close(out)?;
        self.no_json(out)
    }

    fn close(&mut self, out: Out<'_>) -> ControlFlow<Stop> {
        // Giving up may leave another open text, which is then not taken anew.
        while self.open.is_some() {
            self.give_up(out)?;
        }
        ControlFlow::Continue(())
    }

    /// Takes a line that is no JSON, when none was before it either.
    fn preamble(&mut self, line: &[u8], number: u64, out: Out<'_>) -> ControlFlow<Stop> {
        let Stage::Preamble { lines, bytes } = &mut self.stage else {
            return ControlFlow::Continue(());
        };
        let room = limits::FILE_PREAMBLE_MAX_BYTES.saturating_sub(*bytes);
        lines.push((number, line[..line.len().min(room)].to_vec()));
        *bytes += line.len();
        if line.len() > room || lines.len() >= limits::FILE_PREAMBLE_MAX_LINES {
            return self.no_json(out);
        }
        ControlFlow::Continue(())
    }

    /// JSON follows after all: every line before it is one bad line.
    fn json_found(&mut self, out: Out<'_>) -> ControlFlow<Stop> {
        let stage = mem::replace(&mut self.stage, Stage::Json);
        if let Stage::Preamble { lines, .. } = stage {
            for (number, line) in lines {
                out(Piece::Bad {
                    line: Some(number),
                    class: "not-json",
                    reason: "the line is not JSON".to_owned(),
                    bytes: Some(&line),
                })?;
            }
        }
        ControlFlow::Continue(())
    }

    /// Reports the file as a whole, if nothing in it was JSON and it was not reported before.
    fn no_json(&mut self, out: Out<'_>) -> ControlFlow<Stop> {
        let Stage::Preamble { lines, .. } = &mut self.stage else {
            return ControlFlow::Continue(());
        };
        let lines = mem::take(lines);
        self.stage = Stage::Other;
        if lines.is_empty() {
            return ControlFlow::Continue(());
        }
        let binary = lines.iter().any(|(_, line)| line.contains(&0));
        let reason = if binary {
            "the file is not JSON: it is binary, or in an encoding other than UTF-8"
        } else if is_yaml(&self.path, &lines) {
            "the file is not JSON: it looks like YAML, which is not read (convert it to JSON)"
        } else {
            "the file is not JSON"
        };
        let reason = reason.to_owned();
        out(Piece::Bad { line: None, class: "not-json", reason, bytes: None })?;
        // In binary data a line that begins like JSON does so by chance.
        if binary { ControlFlow::Break(Stop::File) } else { ControlFlow::Continue(()) }
    }
}

/// Without surrounding white space, and without the zero bytes that stand at the beginning of
/// a log which was truncated while its writer kept its position (copytruncate of logrotate).
fn trim(line: &[u8]) -> &[u8] {
    let zeros = line.iter().take_while(|byte| **byte == 0).count();
    line[zeros..].trim_ascii()
}

/// The elements of an array that stand one a line end with a comma.
fn without_comma(text: &[u8]) -> &[u8] {
    text.strip_suffix(b",").map_or(text, <[u8]>::trim_ascii_end)
}

/// Whether a trimmed line is an object, array or string, or the beginning of an object or
/// array. A bracket alone does not say so: many a text log begins its lines with `[`.
fn begins_json(line: &[u8]) -> bool {
    let Some((first, rest)) = line.split_first() else { return false };
    let next = rest.trim_ascii_start().first();
    match first {
        b'{' => matches!(next, None | Some(b'"' | b'}')),
        b'[' => matches!(next, None | Some(b'{' | b'[' | b'"' | b']')),
        b'"' => string_end(rest).is_some_and(|end| matches!(&rest[end..], b"" | b",")),
        _ => false,
    }
}

/// The position behind the quote that ends a string; `text` begins behind the opening one.
fn string_end(text: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + memchr::memchr2(b'"', b'\\', text.get(from..)?)?;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        from = at + 2;
    }
}

/// Whether most lines are keys, list items or comments of YAML, or the name says so.
fn is_yaml(path: &str, lines: &[(u64, Vec<u8>)]) -> bool {
    let name = path.strip_suffix(".gz").or_else(|| path.strip_suffix(".zst")).unwrap_or(path);
    if name.ends_with(".yaml") || name.ends_with(".yml") {
        return true;
    }
    let like = |line: &[u8]| {
        let line = line.strip_prefix(b"- ").unwrap_or(line);
        let word = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./\"'".contains(byte);
        let key = line.iter().take_while(|byte| word(byte)).count();
        key > 0 && line[key..].starts_with(b":") && matches!(line.get(key + 1), None | Some(b' '))
    };
    let counted = || lines.iter().filter(|(_, line)| !line.starts_with(b"#") && line != b"---");
    let likes = counted().filter(|(_, line)| like(line)).count();
    likes > 0 && likes * 2 >= counted().count()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scan {
    /// All brackets are closed.
    Closed,
    Open,
    /// No text that follows can make this JSON.
    Broken,
}

/// The brackets that are open at the end of a text.
#[derive(Clone, Copy, Default)]
struct Balance {
    depth: usize,
    /// One bit a bracket, the innermost lowest; set for arrays.
    arrays: u128,
    /// The last byte that is not white space.
    last: u8,
}

const _: () = assert!(limits::JSON_MAX_DEPTH <= u128::BITS as usize);

impl Balance {
    /// Takes one more line. Strings do not continue over lines in JSON.
    fn take(&mut self, line: &[u8]) -> Scan {
        let mut at = 0;
        while let Some(&byte) = line.get(at) {
            at += 1;
            match byte {
                b'"' => match string_end(&line[at..]) {
                    Some(end) => at += end,
                    None => return Scan::Broken,
                },
                b'{' | b'[' => {
                    if self.depth == limits::JSON_MAX_DEPTH {
                        return Scan::Broken;
                    }
                    self.depth += 1;
                    self.arrays = self.arrays << 1 | u128::from(byte == b'[');
                }
                b'}' | b']' => {
                    if self.depth == 0 || self.in_array() != (byte == b']') {
                        return Scan::Broken;
                    }
                    self.depth -= 1;
                    self.arrays >>= 1;
                }
                b' ' | b'\t' | b'\r' | b'\n' => continue,
                _ => {}
            }
            self.last = byte;
        }
        if self.depth == 0 { Scan::Closed } else { Scan::Open }
    }

    fn in_array(&self) -> bool {
        self.arrays & 1 == 1
    }

    /// Whether an object or array may come next.
    fn takes_value(&self) -> bool {
        match self.last {
            b':' => !self.in_array(),
            b'[' => true,
            b',' => self.in_array(),
            _ => false,
        }
    }
}
