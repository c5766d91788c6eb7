//! What a tool reads and prints while it is worked on: bytes, in which a hole or a pattern's
//! character is one character of its own, so that tools treat it as one that they do not know.

use super::{OUTPUT_MAX_BYTES, Unknown};
use crate::audit::shell::text::{MarkKind, Steps, Stream, Text};

/// Stands for a hole. From the last private-use plane, which no text needs.
const HOLE: char = '\u{10FFF0}';
/// An active ASCII character `c` is this plus `c`.
const ACTIVE: u32 = 0x10_FF00;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Data {
    pub bytes: Vec<u8>,
    /// Some characters stand for marks.
    pub marked: bool,
    pub steps: Steps,
}

impl Data {
    pub fn of(stream: &Stream) -> Result<Data, Unknown> {
        match stream {
            Stream::Unknown { decoded } => Err(Unknown::of(*decoded)),
            Stream::Bytes { bytes, steps } => {
                Ok(Data { bytes: bytes.clone(), marked: false, steps: *steps })
            }
            Stream::Partial(text) => Ok(Data::of_text(text)),
            Stream::Empty => Ok(Data::default()),
        }
    }

    pub fn of_text(text: &Text) -> Data {
        let mut data = Data { steps: text.steps, ..Data::default() };
        data.push_text(text);
        data
    }

    /// Without its steps.
    pub fn push_text(&mut self, text: &Text) {
        let plain = text.as_str();
        self.marked |= !text.is_literal();
        let mut from = 0;
        for mark in text.marks() {
            self.push_str(plain.get(from..mark.at).unwrap_or_default());
            from = mark.at;
            match mark.kind {
                MarkKind::Hole => self.push_char(HOLE),
                MarkKind::Active => {
                    let active = plain.get(from..).and_then(|rest| rest.chars().next());
                    let Some(active) = active else { continue };
                    match char::from_u32(ACTIVE + active as u32) {
                        Some(coded) if active.is_ascii() => self.push_char(coded),
                        _ => self.push_char(active),
                    }
                    from += active.len_utf8();
                }
            }
        }
        self.push_str(plain.get(from..).unwrap_or_default());
    }

    pub fn append(&mut self, other: &Data) {
        self.bytes.extend_from_slice(&other.bytes);
        self.marked |= other.marked;
        self.steps.extend(other.steps);
    }

    pub fn push_str(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    pub fn push_char(&mut self, character: char) {
        self.push_str(character.encode_utf8(&mut [0; 4]));
    }

    pub fn push_hole(&mut self) {
        self.marked = true;
        self.push_char(HOLE);
    }

    /// Other bytes, with the marks' meaning and the steps of this.
    pub fn with(&self, bytes: Vec<u8>) -> Data {
        Data { bytes, marked: self.marked, steps: self.steps }
    }

    /// All bytes, where none of them stands for something unknown: what a decoder needs.
    pub fn known(&self) -> Result<&[u8], Unknown> {
        if self.marked { Err(Unknown::Decoded) } else { Ok(&self.bytes) }
    }

    pub fn check_size(&self) -> Result<(), Unknown> {
        if self.bytes.len() > OUTPUT_MAX_BYTES { Err(Unknown::Decoded) } else { Ok(()) }
    }

    pub fn lines(&self) -> Lines<'_> {
        Lines { rest: &self.bytes }
    }

    pub fn into_stream(self) -> Stream {
        if self.bytes.is_empty() {
            return Stream::Empty;
        }
        if !self.marked {
            return Stream::Bytes { bytes: self.bytes, steps: self.steps };
        }
        let mut text = Text::default().with_steps(self.steps);
        let decoded = String::from_utf8_lossy(&self.bytes);
        let mut plain = 0;
        for (at, character) in decoded.char_indices() {
            let active = (character as u32)
                .checked_sub(ACTIVE)
                .and_then(|code| u8::try_from(code).ok().filter(u8::is_ascii).map(char::from));
            if character != HOLE && active.is_none() {
                continue;
            }
            text.push_str(decoded.get(plain..at).unwrap_or_default());
            plain = at + character.len_utf8();
            match active {
                Some(active) => text.push_active(active),
                None => text.push_hole(),
            }
        }
        text.push_str(decoded.get(plain..).unwrap_or_default());
        Stream::from_text(text)
    }
}

/// Whether something in the line is unknown.
pub(super) fn is_marked(line: &[u8]) -> bool {
    // U+10FF00 to U+10FFF0 in UTF-8.
    line.windows(3).any(|window| matches!(window, [0xF4, 0x8F, 0xBC..=0xBF]))
}

/// Lines without their newline. A last one that has none is a line too.
#[derive(Clone)]
pub(super) struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        match memchr::memchr(b'\n', self.rest) {
            Some(end) => {
                let (line, rest) = self.rest.split_at(end);
                self.rest = rest.get(1..).unwrap_or_default();
                Some(line)
            }
            None => Some(std::mem::take(&mut self.rest)),
        }
    }
}
