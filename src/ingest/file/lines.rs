//! Lines out of a reader, through one buffer.
//!
//! Owns the buffer and the count of lines. It must not look into the lines, except for the byte
//! order mark at the very beginning.

use std::borrow::Cow;
use std::io::{self, ErrorKind, Read};
use std::mem;

use super::Limits;

/// How much of a line beyond the bound is shown to decide what it is.
const BEGIN_BYTES: usize = 1024;

pub(super) enum Step<'a> {
    /// A line without its line feed; the last one may have had none.
    Line {
        bytes: &'a [u8],
        number: u64,
    },
    /// A line beyond the bound, once, with its beginning; the rest of it is skipped.
    TooLong {
        begin: &'a [u8],
        number: u64,
    },
    /// Something was read, but no line is complete.
    More,
    End(io::Result<()>),
}

/// Lines at hand of which each is an object by itself; see [`Lines::run`].
pub(super) struct Run<'a> {
    /// With their line feeds. The buffer itself, where no more had to be copied for that than is in it.
    pub bytes: Cow<'a, [u8]>,
    /// The number of the first.
    pub number: u64,
}

pub(super) struct Lines<R> {
    source: R,
    limits: Limits,
    buffer: Vec<u8>,
    /// Where the current line begins.
    begin: usize,
    /// Where its line feed is, if it is in the buffer.
    feed: Option<usize>,
    /// How far the buffer has been searched for line feeds.
    searched: usize,
    number: u64,
    /// Within a line that was too long.
    skipping: bool,
    ended: Option<io::Result<()>>,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(source: R, limits: Limits) -> Self {
        Lines {
            source,
            limits,
            buffer: Vec::new(),
            begin: 0,
            feed: None,
            searched: 0,
            number: 1,
            skipping: false,
            ended: None,
        }
    }

    /// Whether the next step has to ask the source, which may block.
    pub(super) fn must_read(&mut self) -> bool {
        self.search();
        self.feed.is_none() && self.ended.is_none()
    }

    fn search(&mut self) {
        if self.feed.is_none() {
            let found = memchr::memchr(b'\n', &self.buffer[self.searched..]);
            self.feed = found.map(|at| self.searched + at);
            self.searched = self.feed.map_or(self.buffer.len(), |at| at + 1);
        }
    }

    /// The next lines up to the first that has to be looked at by itself: each begins with `{"`, ends
    /// with `}` and is followed by one that begins with `{`. Whatever the brackets in such a line
    /// say, it is a record of its own: what is left open at a `}` takes no object next.
    pub(super) fn run(&mut self) -> Option<Run<'_>> {
        let begins = |rest: &[u8]| rest.starts_with(b"{\"");
        if self.skipping || !begins(&self.buffer[self.begin..]) {
            return None;
        }
        self.search();
        let (begin, number) = (self.begin, self.number);
        let mut next = self.feed;
        while let Some(feed) = next {
            let line = &self.buffer[self.begin..feed];
            let rest = &self.buffer[feed + 1..];
            let alone = line.ends_with(b"}") && line.len() <= self.limits.record;
            if !begins(line) || !alone || !rest.starts_with(b"{") {
                break;
            }
            self.begin = feed + 1;
            self.number += 1;
            next = memchr::memchr(b'\n', rest).map(|at| feed + 1 + at);
        }
        self.feed = next;
        self.searched = next.map_or(self.buffer.len(), |feed| feed + 1);
        let (all, left) = (self.begin, self.buffer.len() - self.begin);
        if begin == all {
            return None;
        }
        let bytes = if begin == 0 && left <= all {
            Cow::Owned(self.hand_over())
        } else {
            Cow::Borrowed(&self.buffer[begin..all])
        };
        Some(Run { bytes, number })
    }

    /// The buffer up to the current line, which goes on in a new one.
    fn hand_over(&mut self) -> Vec<u8> {
        let left = &self.buffer[self.begin..];
        let mut next = Vec::with_capacity(left.len() + self.limits.chunk);
        next.extend_from_slice(left);
        let mut whole = mem::replace(&mut self.buffer, next);
        whole.truncate(self.begin);
        self.feed = self.feed.map(|feed| feed - self.begin);
        self.searched -= self.begin;
        self.begin = 0;
        whole
    }

    pub(super) fn advance(&mut self) -> Step<'_> {
        self.search();
        let end = match self.feed.take() {
            Some(feed) => feed,
            None if self.ended.is_none() => {
                if self.buffer.len() - self.begin <= self.limits.record {
                    self.fill();
                    return Step::More;
                }
                self.buffer.len()
            }
            None if self.begin == self.buffer.len() => {
                return Step::End(self.ended.take().unwrap_or(Ok(())));
            }
            None => self.buffer.len(),
        };
        let complete = self.searched > end || self.ended.is_some();
        let (begin, number) = (self.begin, self.number);
        let next = if self.searched > end { end + 1 } else { end };
        self.begin = next;
        self.searched = self.searched.max(next);
        let skipped = self.skipping;
        self.skipping = !complete;
        if complete {
            self.number += 1;
        }
        if skipped {
            return Step::More;
        }
        let mut bytes = &self.buffer[begin..end];
        if bytes.len() > self.limits.record {
            return Step::TooLong { begin: &bytes[..bytes.len().min(BEGIN_BYTES)], number };
        }
        if number == 1 {
            bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        }
        Step::Line { bytes, number }
    }

    /// Reads once more, behind what is left of the buffer.
    fn fill(&mut self) {
        if self.begin > 0 {
            self.buffer.drain(..self.begin);
            self.searched -= self.begin;
            self.begin = 0;
        }
        let filled = self.buffer.len();
        self.buffer.resize(filled + self.limits.chunk, 0);
        let count = loop {
            match self.source.read(&mut self.buffer[filled..]) {
                Ok(0) => {
                    self.ended = Some(Ok(()));
                    break 0;
                }
                Ok(count) => break count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.ended = Some(Err(error));
                    break 0;
                }
            }
        };
        self.buffer.truncate(filled + count);
    }
}
