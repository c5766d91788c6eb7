//! A place in a text. Owns line continuations: a backslash and a newline are as nothing, save
//! where bytes are taken as they stand (`raw`, `take_char`, `take_while`).
//!
//! Every place is at a character's bound, since only ASCII is stepped over byte by byte.

#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    source: &'a str,
    at: usize,
    end: usize,
    /// How many line continuations were stepped over.
    continuations: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(source: &'a str) -> Cursor<'a> {
        Cursor { source, at: 0, end: source.len(), continuations: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn continuations(&self) -> usize {
        self.continuations
    }

    /// Ends the text here.
    pub(super) fn stop(&mut self) {
        self.end = self.at;
    }

    /// Ends the text at `end`; returns where it ended.
    pub(super) fn limit(&mut self, end: usize) -> usize {
        std::mem::replace(&mut self.end, end)
    }

    /// `at` must be at a character's bound.
    pub(super) fn go_to(&mut self, at: usize) {
        self.at = at.min(self.end);
    }

    /// What is left, as it stands.
    pub(super) fn rest(&self) -> &'a str {
        self.source.get(self.at..self.end).unwrap_or_default()
    }

    pub(super) fn slice(&self, start: usize, end: usize) -> &'a str {
        self.source.get(start..end).unwrap_or_default()
    }

    /// The next byte as it stands.
    pub(super) fn raw(&self) -> Option<u8> {
        if self.at < self.end { self.source.as_bytes().get(self.at).copied() } else { None }
    }

    /// The next byte, with the line continuations before it stepped over.
    pub(super) fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = self.raw()?;
            let next = self.at + 1;
            if byte != b'\\' || next >= self.end || self.source.as_bytes().get(next) != Some(&b'\n')
            {
                return Some(byte);
            }
            self.at += 2;
            self.continuations += 1;
        }
    }

    /// The byte behind the next.
    pub(super) fn second(&self) -> Option<u8> {
        let mut ahead = *self;
        ahead.peek()?;
        ahead.bump();
        ahead.peek()
    }

    /// Steps over the byte that `peek` gave, which must be ASCII.
    pub(super) fn bump(&mut self) {
        self.at = (self.at + 1).min(self.end);
    }

    /// Steps over `text` if it is next; it must be ASCII.
    pub(super) fn eat(&mut self, text: &str) -> bool {
        let mut ahead = *self;
        for byte in text.bytes() {
            if ahead.peek() != Some(byte) {
                return false;
            }
            ahead.bump();
        }
        *self = ahead;
        true
    }

    /// The next character as it stands, empty at the end.
    pub(super) fn take_char(&mut self) -> &'a str {
        let rest = self.rest();
        let length = rest.chars().next().map_or(0, char::len_utf8);
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    /// Bytes as they stand. `plain` must hold for all bytes that are not ASCII.
    pub(super) fn take_while(&mut self, plain: impl Fn(u8) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.bytes().position(|byte| !plain(byte)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    /// Up to the needle, which is stepped over, or to the end; and whether it was there.
    pub(super) fn take_until(&mut self, needle: char) -> (&'a str, bool) {
        let rest = self.rest();
        match rest.find(needle) {
            Some(length) => {
                self.at += length + needle.len_utf8();
                (rest.get(..length).unwrap_or_default(), true)
            }
            None => {
                self.at = self.end;
                (rest, false)
            }
        }
    }

    /// Up to the newline, which is not stepped over.
    pub(super) fn skip_to_line_end(&mut self) {
        let rest = self.rest();
        self.at += rest.find('\n').unwrap_or(rest.len());
    }

    /// Letters, digits and `_`, the first no digit; empty when there are none.
    pub(super) fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(byte) = self.peek() {
            if !(byte == b'_'
                || byte.is_ascii_alphabetic()
                || byte.is_ascii_digit() && !name.is_empty())
            {
                break;
            }
            name.push_str(self.take_while(|byte| byte == b'_' || byte.is_ascii_alphanumeric()));
        }
        name
    }
}
