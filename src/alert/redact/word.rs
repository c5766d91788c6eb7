//! A word of a command, each byte with the place it was read from.
//!
//! Owns the way back: which part of the command holds a part of a word.

use std::ops::Range;

/// A byte of a word and the part of the text that it was read from: `\n` of `$'\n'` takes two.
#[derive(Debug, Clone, Copy)]
pub struct Unit {
    pub byte: u8,
    /// An expansion, whatever its length: `$X`, `${X}`, `$(…)`. Its byte is a `$`.
    pub opaque: bool,
    /// Which piece of the word it is of.
    pub run: u32,
    pub start: u32,
    pub end: u32,
}

/// A word, or a whole text that is to be taken apart.
///
/// Places are those of the units of the word around it, or bytes of the command for a word that
/// has none around it.
#[derive(Debug, Clone, Default)]
pub struct Word {
    pub units: Vec<Unit>,
    /// The pieces with their quotes: `a'b'"c"` has three.
    pub runs: Vec<Range<u32>>,
    text: String,
}

impl Word {
    /// A text of which every byte stands for itself, `base` being the place of its first.
    pub fn raw(text: &str, base: usize) -> Word {
        let base = place(base);
        let units = text.bytes().zip(base..).map(|(byte, start)| Unit {
            byte,
            opaque: false,
            run: 0,
            start,
            end: start.saturating_add(1),
        });
        let end = base.saturating_add(place(text.len()));
        Word {
            units: units.collect(),
            runs: std::iter::once(base..end).collect(),
            text: text.to_owned(),
        }
    }

    /// A part of the word as a text of its own, whose places are units of this one.
    pub fn part(&self, part: Range<usize>) -> Word {
        let units = self.units.get(part.clone()).unwrap_or_default();
        let units = units.iter().zip(place(part.start)..).map(|(unit, start)| Unit {
            run: 0,
            start,
            end: start.saturating_add(1),
            ..*unit
        });
        let runs = std::iter::once(place(part.start)..place(part.end)).collect();
        Word { units: units.collect(), runs, text: String::new() }.sealed()
    }

    /// What the program gets, with a `$` for every expansion.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn units(&self) -> &[Unit] {
        &self.units
    }

    /// The places that hold a part of the word, so that the quotes around them stay in pairs: of a
    /// piece that is hidden in part only what is between its quotes.
    pub fn places(&self, part: Range<usize>) -> Vec<Range<usize>> {
        let Some(units) = self.units.get(part.clone()) else { return Vec::new() };
        let (Some(first), Some(last)) = (units.first(), units.last()) else { return Vec::new() };
        let range = |start: u32, end: u32| start as usize..end as usize;
        if first.run == last.run {
            return vec![range(first.start, last.end)];
        }
        let outer = |run: u32| self.runs.get(run as usize).cloned().unwrap_or_default();
        let run_of = |at: Option<usize>| Some(self.units.get(at?)?.run);
        let (mut start, mut end) = (outer(first.run).start, outer(last.run).end);
        let mut out = Vec::new();
        if run_of(part.start.checked_sub(1)) == Some(first.run) {
            let within = units.iter().take_while(|unit| unit.run == first.run).last();
            out.push(range(first.start, within.unwrap_or(first).end));
            start = outer(first.run).end;
        }
        let mut tail = None;
        if run_of(Some(part.end)) == Some(last.run) {
            let within = units.iter().rev().take_while(|unit| unit.run == last.run).last();
            tail = Some(range(within.unwrap_or(last).start, last.end));
            end = outer(last.run).start;
        }
        if start < end {
            out.push(range(start, end));
        }
        out.extend(tail);
        out
    }

    /// The word with its text.
    pub fn sealed(mut self) -> Word {
        let mut bytes: Vec<u8> = self.units.iter().map(|unit| unit.byte).collect();
        // Escapes may stand for bytes that are no UTF-8; one byte takes the place of each.
        let mut at = 0;
        let mut bad = Vec::new();
        for chunk in bytes.utf8_chunks() {
            at += chunk.valid().len();
            bad.push(at..at + chunk.invalid().len());
            at += chunk.invalid().len();
        }
        for range in bad {
            bytes[range].fill(b'?');
        }
        for (unit, byte) in self.units.iter_mut().zip(&bytes) {
            unit.byte = *byte;
        }
        self.text = String::from_utf8(bytes).unwrap_or_default();
        self
    }
}

/// A place in a text. Texts of four gigabytes do not come from an audit log.
pub fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
