//! A text that a script computes: characters, some of which are still a pattern, and holes where
//! nothing is known; and the kinds of steps that led to it.
//!
//! Owns the representation alone. A text without marks is the common case and is one string.

use std::fmt;

use compact_str::CompactString;

/// What was done to a command to get from what was written to what is run.
///
/// A bit each, so that keeping them costs nothing; the words for them are made once an alert needs
/// them. The order of the variants is the order in which steps are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Step {
    /// `'…'` or `"…"` inside a word.
    Quotes,
    /// `\x` outside quotes or a line continuation.
    Backslash,
    /// `$'\x2f'`
    AnsiQuotes,
    /// `$a`, `${a}` with a value that the script gave, or one that every environment has.
    Variable,
    /// A variable that was never set, taken for empty.
    UnsetVariable,
    /// `${a#x}`, `${a:1:2}`, `${a/x/y}` and the like.
    ParameterOperator,
    /// `$1`, `$@` of `sh -c` or of a function.
    Positional,
    /// `~`, `~user`
    Tilde,
    /// `{a,b}`, `{a..c}`
    Braces,
    /// `$((…))`
    Arithmetic,
    /// `$(…)`, backticks
    Substitution,
    /// `<<EOF`, `<<<`
    HereDocument,
    /// A loop over words.
    Loop,
    /// A function or an alias that the script defines.
    Function,
    /// `eval`, or a program given as text to a shell.
    Eval,
    /// A file that the script wrote itself.
    OwnFile,
    /// The working directory was followed.
    WorkingDirectory,
    /// `.`, `..`, `//` were removed from a path.
    PathCleaned,
    /// `/proc/self/root`, `/host` and the like were taken for the root.
    RootPrefix,
    /// A link that every system has, such as `/dev/fd`.
    KnownLink,
    /// `%2F` in a URL.
    PercentDecoded,
    Base64,
    Base32,
    /// `xxd -r`, `unhex` and the like.
    Hex,
    /// `printf` formats, `echo -e`.
    EscapesDecoded,
    /// `rev`, `tr`, `sed`, `cut` and other filters whose input is known.
    Filter,
    Decompressed,
    /// A string that a program in another language builds.
    OtherLanguage,
    /// A decoder whose input is unknown: what comes out of it is a hole.
    UnknownDecoded,
    /// A directory that the script may still be in: a `cd` after it may have failed.
    EarlierDirectory,
    /// The working directory at the start, taken for the root where a path has to be made of it.
    UnknownDirectory,
}

const STEPS: [(Step, &str); 31] = [
    (Step::Quotes, "quotes removed"),
    (Step::Backslash, "backslashes removed"),
    (Step::AnsiQuotes, "escapes in $'…' decoded"),
    (Step::Variable, "variables expanded"),
    (Step::UnsetVariable, "unset variables taken for empty"),
    (Step::ParameterOperator, "parameter expansions applied"),
    (Step::Positional, "positional parameters expanded"),
    (Step::Tilde, "home directory expanded"),
    (Step::Braces, "braces expanded"),
    (Step::Arithmetic, "arithmetic evaluated"),
    (Step::Substitution, "command substitution evaluated"),
    (Step::HereDocument, "here-document read"),
    (Step::Loop, "loop unrolled"),
    (Step::Function, "function or alias followed"),
    (Step::Eval, "text run as code"),
    (Step::OwnFile, "file written by the command read back"),
    (Step::WorkingDirectory, "working directory followed"),
    (Step::PathCleaned, "path cleaned"),
    (Step::RootPrefix, "another name of the root directory removed"),
    (Step::KnownLink, "known link followed"),
    (Step::PercentDecoded, "percent-encoding decoded"),
    (Step::Base64, "base64 decoded"),
    (Step::Base32, "base32 decoded"),
    (Step::Hex, "hexadecimal decoded"),
    (Step::EscapesDecoded, "escapes decoded"),
    (Step::Filter, "text filter applied"),
    (Step::Decompressed, "decompressed"),
    (Step::OtherLanguage, "strings of another language put together"),
    (Step::UnknownDecoded, "something unknown decoded"),
    (Step::EarlierDirectory, "directory before a `cd` that may have failed"),
    (Step::UnknownDirectory, "unknown working directory taken for the root"),
];

impl Step {
    /// As an alert tells it, e.g. `quotes removed`.
    pub fn as_str(self) -> &'static str {
        STEPS[self as usize].1
    }
}

/// A set of [`Step`]s.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Steps(u32);

impl Steps {
    pub const NONE: Steps = Steps(0);

    pub const fn of(step: Step) -> Steps {
        Steps(1 << step as u8)
    }

    pub const fn with(self, step: Step) -> Steps {
        Steps(self.0 | 1 << step as u8)
    }

    pub const fn and(self, other: Steps) -> Steps {
        Steps(self.0 | other.0)
    }

    pub fn add(&mut self, step: Step) {
        *self = self.with(step);
    }

    pub fn extend(&mut self, other: Steps) {
        *self = self.and(other);
    }

    pub const fn has(self, step: Step) -> bool {
        self.0 & (1 << step as u8) != 0
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// In the order in which they are told.
    pub fn iter(self) -> impl Iterator<Item = Step> {
        STEPS.iter().map(|(step, _)| *step).filter(move |step| self.has(*step))
    }
}

impl From<Step> for Steps {
    fn from(step: Step) -> Steps {
        Steps::of(step)
    }
}

impl fmt::Debug for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// What is special at one place of a [`Text`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkKind {
    /// The character at this place is part of a pattern: one of `* ? [ ] ! ^ -` or, of bash's
    /// extended patterns, `@ + ! * ? ( | )`. A `[` that no `]` closes is a plain character.
    Active,
    /// Before this place stands any text, of any length, slashes included. It takes no byte.
    Hole,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Byte offset in the text; a character's first byte, or the end for a hole.
    pub at: usize,
    pub kind: MarkKind,
}

/// Characters, marks in ascending order of place, and the steps that led here.
///
/// Equality compares characters and marks, not steps.
#[derive(Debug, Clone, Default)]
pub struct Text {
    text: CompactString,
    marks: Vec<Mark>,
    pub steps: Steps,
}

impl Text {
    pub fn new() -> Text {
        Text::default()
    }

    pub fn literal(text: impl Into<CompactString>) -> Text {
        Text { text: text.into(), marks: Vec::new(), steps: Steps::NONE }
    }

    pub fn of_char(character: char) -> Text {
        Text::literal(&*character.encode_utf8(&mut [0; 4]))
    }

    /// Anything at all.
    pub fn hole() -> Text {
        let mut text = Text::new();
        text.push_hole();
        text
    }

    pub fn with_step(mut self, step: Step) -> Text {
        self.steps.add(step);
        self
    }

    /// With these steps beside its own.
    pub fn with_steps(mut self, steps: Steps) -> Text {
        self.steps.extend(steps);
        self
    }

    /// Plain characters.
    pub fn push_str(&mut self, text: &str) {
        self.text.push_str(text);
    }

    pub fn push(&mut self, character: char) {
        self.text.push(character);
    }

    /// A character that is part of a pattern.
    pub fn push_active(&mut self, character: char) {
        self.marks.push(Mark { at: self.text.len(), kind: MarkKind::Active });
        self.text.push(character);
    }

    /// Two holes beside each other are one.
    pub fn push_hole(&mut self) {
        let mark = Mark { at: self.text.len(), kind: MarkKind::Hole };
        if self.marks.last() != Some(&mark) {
            self.marks.push(mark);
        }
    }

    pub fn append(&mut self, other: &Text) {
        self.append_slice(other, 0, other.text.len());
        self.steps.extend(other.steps);
    }

    /// Appends the bytes `start..end` of `other` with their marks, without its steps. A hole at
    /// `start` belongs to the slice, one at `end` only when that is the end of `other`.
    ///
    /// Both must be at characters' bounds; otherwise nothing is appended.
    pub fn append_slice(&mut self, other: &Text, start: usize, end: usize) {
        let Some(slice) = other.text.get(start..end) else { return };
        if other.marks.is_empty() {
            self.text.push_str(slice);
            return;
        }
        let base = self.text.len();
        // A hole at the very end belongs to the slice that has it.
        let until = end + usize::from(end == other.text.len());
        let first = other.marks.partition_point(|mark| mark.at < start);
        let marks = other.marks.get(first..).unwrap_or_default();
        let marks = marks.get(..marks.partition_point(|mark| mark.at < until)).unwrap_or_default();
        self.marks.reserve(marks.len());
        for mark in marks {
            let mark = Mark { at: mark.at - start + base, kind: mark.kind };
            if mark.kind == MarkKind::Active || self.marks.last() != Some(&mark) {
                self.marks.push(mark);
            }
        }
        self.text.push_str(slice);
    }

    /// The bytes `start..end` with marks and steps; see [`Text::append_slice`].
    pub fn slice(&self, start: usize, end: usize) -> Text {
        let mut part = Text { steps: self.steps, ..Text::default() };
        part.append_slice(self, start, end);
        part
    }

    /// The characters; those that are active stand as themselves, holes as nothing.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn marks(&self) -> &[Mark] {
        &self.marks
    }

    /// The whole text, if nothing in it is a pattern or unknown.
    pub fn as_literal(&self) -> Option<&str> {
        self.marks.is_empty().then_some(&*self.text)
    }

    pub fn is_literal(&self) -> bool {
        self.marks.is_empty()
    }

    pub fn has_hole(&self) -> bool {
        self.marks.iter().any(|mark| mark.kind == MarkKind::Hole)
    }

    pub fn has_active(&self) -> bool {
        self.marks.iter().any(|mark| mark.kind == MarkKind::Active)
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// No characters and no hole.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.marks.is_empty()
    }

    /// The same characters, none of them active any more; holes stay. What quoting does.
    pub fn quoted(mut self) -> Text {
        self.marks.retain(|mark| mark.kind == MarkKind::Hole);
        self
    }

    /// The same text with every character that can be part of a pattern active: what an unquoted
    /// expansion does to a value. Extended patterns are not made this way.
    pub fn activated(&self) -> Text {
        if !self.text.contains(['*', '?', '[']) {
            return self.clone();
        }
        let mut out = Text { steps: self.steps, ..Text::default() };
        let mut holes = self.marks.iter().filter(|mark| mark.kind == MarkKind::Hole).peekable();
        for (at, character) in self.text.char_indices() {
            while holes.next_if(|mark| mark.at <= at).is_some() {
                out.push_hole();
            }
            if matches!(character, '*' | '?' | '[' | ']' | '!' | '^' | '-') {
                out.push_active(character);
            } else {
                out.push(character);
            }
        }
        if holes.next().is_some() {
            out.push_hole();
        }
        out
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Text) -> bool {
        self.text == other.text && self.marks == other.marks
    }
}

impl Eq for Text {}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        Text::literal(text)
    }
}

/// For people: active characters as they are, a hole as `…`.
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut from = 0;
        for mark in self.marks.iter().filter(|mark| mark.kind == MarkKind::Hole) {
            f.write_str(&self.text[from..mark.at])?;
            f.write_str("…")?;
            from = mark.at;
        }
        f.write_str(&self.text[from..])
    }
}

/// What flows through a pipe or stands in a file.
#[derive(Debug, Clone, Default)]
pub enum Stream {
    /// Nothing is known of it. `decoded`: it came out of a decoder (`base64 -d`), so whoever wrote
    /// it hides it.
    Unknown { decoded: bool },
    /// All of it.
    Bytes { bytes: Vec<u8>, steps: Steps },
    /// Text with holes or patterns in it.
    Partial(Text),
    #[default]
    Empty,
}

impl Stream {
    pub const UNKNOWN: Stream = Stream::Unknown { decoded: false };

    pub fn from_text(text: Text) -> Stream {
        if text.is_empty() {
            Stream::Empty
        } else if text.is_literal() {
            Stream::Bytes { bytes: text.text.into_string().into_bytes(), steps: text.steps }
        } else {
            Stream::Partial(text)
        }
    }

    /// As text; bytes that are no UTF-8 become U+FFFD.
    pub fn to_text(&self) -> Text {
        match self {
            Stream::Unknown { decoded: false } => Text::hole(),
            Stream::Unknown { decoded: true } => Text::hole().with_step(Step::UnknownDecoded),
            Stream::Bytes { bytes, steps } => {
                let mut text = Text::literal(String::from_utf8_lossy(bytes));
                text.steps = *steps;
                text
            }
            Stream::Partial(text) => text.clone(),
            Stream::Empty => Text::new(),
        }
    }

    /// The same as [`Stream::to_text`], without a copy where it is text already.
    pub fn into_text(self) -> Text {
        match self {
            Stream::Partial(text) => text,
            other => other.to_text(),
        }
    }

    /// The whole content, where all of it is known.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Stream::Bytes { bytes, .. } => Some(bytes),
            Stream::Empty => Some(&[]),
            _ => None,
        }
    }

    pub fn steps(&self) -> Steps {
        match self {
            Stream::Bytes { steps, .. } => *steps,
            Stream::Partial(text) => text.steps,
            _ => Steps::NONE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_told_in_the_order_of_their_variants() {
        assert!(STEPS.iter().enumerate().all(|(at, (step, _))| *step as usize == at));
        let steps = Steps::of(Step::Base64).with(Step::Quotes);
        assert_eq!(steps.iter().collect::<Vec<_>>(), [Step::Quotes, Step::Base64]);
        assert_eq!(Step::OtherLanguage.as_str(), "strings of another language put together");
    }

    #[test]
    fn a_slice_keeps_the_marks_inside_it() {
        let mut text = Text::literal("a");
        text.push_active('*');
        text.push_hole();
        text.push_str("b");
        assert_eq!(text.to_string(), "a*…b");
        assert_eq!(text.slice(0, 2).to_string(), "a*");
        assert_eq!(text.slice(2, 3).to_string(), "…b");
        assert_eq!(text.clone().quoted().marks().len(), 1);
        let mut twice = text.clone();
        twice.append(&text);
        assert_eq!(twice.to_string(), "a*…ba*…b");
        text.push_hole();
        text.push_hole();
        assert_eq!(text.slice(2, 3).to_string(), "…b…");
    }

    #[test]
    fn an_unquoted_value_can_be_a_pattern() {
        let text = Text::literal("/etc/sh*[ab]").activated();
        assert_eq!(text.marks().len(), 3);
        assert!(Text::literal("a-b!").activated().is_literal());
        let mut holed = Text::hole();
        holed.push_str("?");
        holed.push_hole();
        assert_eq!(holed.activated().to_string(), "…?…");
        assert!(holed.activated().has_active());
    }
}
