//! Fields as they grow: where characters go, and where an unquoted value starts the next field.
//!
//! Owns field splitting and which characters are active. Knows nothing of words or variables.
//! Source of the rules: POSIX.1-2024, Shell Command Language, 2.6.5.

use super::EXPANDED_MAX_BYTES;
use crate::audit::shell::text::{Mark, MarkKind, Step, Steps, Text};

/// For so many fields there is room at once; for more as they come.
const FIELDS_EXPECTED: usize = 512;

/// The characters of `IFS`.
#[derive(Debug, Default)]
pub(super) struct Separators {
    /// Space, tab, newline: runs of them are one separator. A bit each.
    space: u64,
    /// Other ASCII ones, a bit each, and the others in order.
    ascii: u128,
    others: Vec<char>,
    /// Whitespace comes first, or there are none.
    first_is_space: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    None,
    Space,
    Other,
}

impl Separators {
    pub(super) fn new(characters: &str) -> Separators {
        let mut out = Separators::default();
        for character in characters.chars() {
            if matches!(character, ' ' | '\t' | '\n') {
                out.space |= 1 << character as u32;
            } else if character.is_ascii() {
                out.ascii |= 1 << character as u32;
            } else {
                out.others.push(character);
            }
        }
        out.others.sort_unstable();
        out.first_is_space = characters.chars().next().is_none_or(|c| out.kind(c) == Kind::Space);
        out
    }

    /// Whether a text is split at all.
    fn are_in(&self, text: &str) -> bool {
        self.next_in(text).is_some()
    }

    /// The first one in a text, and its place.
    fn next_in(&self, text: &str) -> Option<(usize, char)> {
        if self.others.is_empty() {
            let at = match self.ascii {
                0 => text.bytes().position(|byte| self.is_space(byte))?,
                _ => text.bytes().position(|byte| self.is_in_ascii(byte))?,
            };
            return Some((at, text.as_bytes().get(at).copied()?.into()));
        }
        text.char_indices().find(|(_, character)| self.kind(*character) != Kind::None)
    }

    fn is_space(&self, byte: u8) -> bool {
        byte <= b' ' && self.space & 1 << byte != 0
    }

    fn is_in_ascii(&self, byte: u8) -> bool {
        let bits = self.ascii | u128::from(self.space);
        byte.is_ascii() && bits & 1 << byte != 0
    }

    fn kind(&self, character: char) -> Kind {
        if character.is_ascii() {
            if character <= ' ' && self.space & 1 << character as u32 != 0 {
                Kind::Space
            } else if self.ascii & 1 << character as u32 != 0 {
                Kind::Other
            } else {
                Kind::None
            }
        } else if self.others.binary_search(&character).is_ok() {
            Kind::Other
        } else {
            Kind::None
        }
    }
}

/// Fields of one word, the last one growing.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// What unquoted values are split at; set before the first one comes.
    pub separators: Option<Separators>,
    /// Unquoted characters are part of patterns.
    pub patterns: bool,
    /// Steps of everything that is added, until it is reset.
    pub steps: Steps,
    done: Vec<Text>,
    current: Text,
    /// The current field is one even if nothing more is added.
    started: bool,
    /// Whitespace ended the field before; a separator of another kind belongs to it.
    after_space: bool,
    /// Bytes of the current field that values added.
    expanded: usize,
    /// The bound of a field was met; a hole stands for what is missing.
    pub full: bool,
    /// Units of work since they were last taken.
    work: usize,
}

impl Fields {
    pub(super) fn new(patterns: bool) -> Fields {
        Fields { patterns, ..Fields::default() }
    }

    pub(super) fn take_work(&mut self) -> usize {
        std::mem::take(&mut self.work)
    }

    pub(super) fn step(&mut self, step: Step) {
        self.current.steps.add(step);
    }

    pub(super) fn start(&mut self) {
        self.started = true;
        self.after_space = false;
        self.current.steps.extend(self.steps);
    }

    /// Characters that were written and stand for themselves.
    pub(super) fn plain(&mut self, text: &str) {
        self.start();
        self.work += text.len();
        self.current.push_str(text);
    }

    /// Characters that were written outside quotes.
    pub(super) fn unquoted(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if !self.patterns || !text.contains(is_pattern) {
            self.plain(text);
            return;
        }
        self.start();
        self.work += text.len();
        text.chars().for_each(|character| self.character(character));
    }

    /// A value within quotes, or one that is not split. What is active in it stays so: that is a
    /// pattern that was expanded where the value comes from.
    pub(super) fn quoted_value(&mut self, value: &Text) {
        self.start();
        if self.room(value.len()) {
            self.current.append(value);
        }
    }

    /// A value outside quotes.
    pub(super) fn unquoted_value(&mut self, value: &Text) {
        self.current.steps.extend(value.steps);
        if value.is_empty() || self.full {
            return;
        }
        let splits =
            self.separators.as_ref().is_some_and(|separators| separators.are_in(value.as_str()));
        // A backslash of a value quotes, where the word turns out to be a pattern.
        let escapes = self.patterns && self.separators.is_some();
        let activates = self.patterns && may_hold_pattern(value.as_str())
            || escapes && value.as_str().contains('\\');
        if !splits && !activates {
            self.quoted_value(value);
            return;
        }
        self.work += value.len();
        if !activates && value.is_literal() {
            return self.split(value);
        }
        let extended = if self.patterns { extended(value.as_str()) } else { Vec::new() };
        let mut extended = extended.into_iter().peekable();
        let mut marks = value.marks().iter().peekable();
        for (at, character) in value.as_str().char_indices() {
            let mut active = false;
            while let Some(mark) = marks.next_if(|mark| mark.at <= at) {
                match mark.kind {
                    MarkKind::Active => active = true,
                    MarkKind::Hole => self.hole(),
                }
            }
            active |= extended.next_if_eq(&at).is_some();
            let kind = match &self.separators {
                Some(separators) if !active => separators.kind(character),
                _ => Kind::None,
            };
            if kind != Kind::None {
                self.separate(kind);
                self.current.steps.extend(value.steps);
                continue;
            }
            self.start();
            if !self.room(character.len_utf8()) {
                return;
            }
            if active || escapes && character == '\\' {
                self.current.push_active(character);
            } else {
                self.character(character);
            }
        }
        if marks.next().is_some() {
            self.hole();
        }
    }

    /// A value that is plain characters and separators.
    fn split(&mut self, value: &Text) {
        let mut rest = value.as_str();
        let blanks = rest.bytes().filter(|byte| *byte <= b' ').count();
        self.done.reserve(blanks.min(FIELDS_EXPECTED));
        while let Some(separators) = &self.separators
            && let Some((at, separator)) = separators.next_in(rest)
        {
            let kind = separators.kind(separator);
            let (text, behind) = rest.split_at(at);
            rest = behind.get(separator.len_utf8()..).unwrap_or_default();
            if self.started || text.is_empty() || text.len() > EXPANDED_MAX_BYTES {
                if !self.add(text) {
                    return;
                }
                self.separate(kind);
            } else {
                self.add_field(text, kind == Kind::Space);
            }
            self.current.steps.extend(value.steps);
        }
        self.add(rest);
    }

    /// Characters that are all of a field, and what ended it.
    fn add_field(&mut self, text: &str, space: bool) {
        self.work += text.len() + 1;
        let steps = std::mem::take(&mut self.current.steps).and(self.steps);
        self.done.push(Text::literal(text).with_steps(steps));
        self.after_space = space;
    }

    /// Plain characters of a value; false when there is no more room.
    fn add(&mut self, text: &str) -> bool {
        if text.is_empty() {
            return true;
        }
        self.start();
        let room = self.room(text.len());
        if room {
            self.current.push_str(text);
        }
        room
    }

    /// Ends the current field and starts the next: what stands between elements of `"$@"`.
    pub(super) fn next_field(&mut self) {
        self.close();
        self.start();
    }

    /// What stands between elements of an unquoted `$@`: the first separator there is, so that
    /// empty elements count as bash counts them.
    pub(super) fn boundary(&mut self) {
        if self.separators.as_ref().is_some_and(|separators| separators.first_is_space) {
            self.separate(Kind::Space);
        } else {
            self.separate(Kind::Other);
        }
        self.after_space = false;
    }

    /// Anything may stand here, and whatever comes after it is left out.
    pub(super) fn cut(&mut self) {
        self.hole();
        self.full = true;
    }

    pub(super) fn finish_into(mut self, out: &mut Vec<Text>) {
        if out.is_empty() && self.done.len() > out.capacity() {
            *out = std::mem::take(&mut self.done);
        } else {
            out.append(&mut self.done);
        }
        if self.started {
            out.push(self.closed());
        }
    }

    pub(super) fn finish_one(mut self) -> Text {
        self.closed()
    }

    fn hole(&mut self) {
        self.start();
        self.current.push_hole();
    }

    fn character(&mut self, character: char) {
        if self.patterns && is_pattern(character) {
            self.current.push_active(character);
        } else {
            self.current.push(character);
        }
    }

    /// Characters of an extended pattern; `(`, `|`, `)` and what stands before the first.
    pub(super) fn extended(&mut self, text: &str) {
        self.start();
        for character in text.chars() {
            if self.patterns {
                self.current.push_active(character);
            } else {
                self.current.push(character);
            }
        }
    }

    /// Takes the room for so many bytes of a value.
    fn room(&mut self, bytes: usize) -> bool {
        self.work += bytes;
        self.expanded += bytes;
        if self.expanded > EXPANDED_MAX_BYTES && !self.full {
            self.cut();
        }
        !self.full
    }

    fn separate(&mut self, kind: Kind) {
        if self.started {
            self.close();
            self.after_space = kind == Kind::Space;
        } else if kind == Kind::Other && !std::mem::take(&mut self.after_space) {
            self.close();
        }
    }

    fn close(&mut self) {
        let field = self.closed();
        self.done.push(field);
        self.started = false;
        self.after_space = false;
        self.expanded = 0;
    }

    /// The field that was growing, as it is in the end.
    fn closed(&mut self) -> Text {
        self.work += 1;
        let mut field = std::mem::take(&mut self.current);
        field.steps.extend(self.steps);
        if field.has_active() {
            field = if has_pattern(&field) { unescaped(field) } else { field.quoted() };
        }
        field
    }
}

/// Whether a value may hold a pattern.
fn may_hold_pattern(value: &str) -> bool {
    value.bytes().any(|byte| byte == b'(' || is_pattern(char::from(byte)))
}

/// Characters that are part of a pattern wherever one of `*`, `?`, `[…]` stands with them.
fn is_pattern(character: char) -> bool {
    matches!(character, '*' | '?' | '[' | ']' | '!' | '^' | '-')
}

/// Where in a value the characters of its extended patterns are. Bash alone takes them for
/// such, and only if it is told to; nothing else has a meaning for them.
fn extended(value: &str) -> Vec<usize> {
    let mut out = Vec::new();
    // Where the parentheses that are open begin, and what of `out` is from before them.
    let mut open: Vec<(bool, usize)> = Vec::new();
    let mut before = '\0';
    for (at, character) in value.char_indices() {
        match character {
            '(' => {
                let is_pattern = matches!(before, '?' | '*' | '+' | '@' | '!');
                open.push((is_pattern, out.len()));
                if is_pattern {
                    out.extend([at - 1, at]);
                }
            }
            '|' if open.last().is_some_and(|(is_pattern, _)| *is_pattern) => out.push(at),
            ')' if open.pop().is_some_and(|(is_pattern, _)| is_pattern) => out.push(at),
            _ => {}
        }
        before = character;
    }
    // What is never closed is no pattern, nor is what stands around it.
    if let Some((_, length)) = open.first() {
        out.truncate(*length);
    }
    out
}

/// Without the active backslashes; a character behind one is plain.
fn unescaped(field: Text) -> Text {
    let bytes = field.as_str().as_bytes();
    let is_escape = |at: usize| bytes.get(at) == Some(&b'\\');
    let active = |mark: &Mark| mark.kind == MarkKind::Active;
    if !field.marks().iter().any(|mark| active(mark) && is_escape(mark.at)) {
        return field;
    }
    let mut out = Text::new().with_steps(field.steps);
    let mut marks = field.marks().iter().peekable();
    let mut escaped = false;
    for (at, character) in field.as_str().char_indices() {
        let mut is_active = false;
        while let Some(mark) = marks.next_if(|mark| mark.at <= at) {
            match mark.kind {
                MarkKind::Hole => out.push_hole(),
                MarkKind::Active => is_active = true,
            }
        }
        if is_active && !escaped && character == '\\' {
            escaped = true;
            continue;
        }
        if is_active && !escaped {
            out.push_active(character);
        } else {
            out.push(character);
        }
        escaped = false;
    }
    if marks.next().is_some() {
        out.push_hole();
    }
    out
}

/// Whether the active characters make a pattern at all: `a-b`, `!` and `[` do not.
fn has_pattern(text: &Text) -> bool {
    let bytes = text.as_str().as_bytes();
    // The first place where a `]` would close the bracket that is open.
    let mut closing = None;
    text.marks().iter().filter(|mark| mark.kind == MarkKind::Active).any(|mark| {
        match bytes.get(mark.at) {
            Some(b'*' | b'?' | b'(') => true,
            Some(b'[') if closing.is_none() => {
                let negated = matches!(bytes.get(mark.at + 1), Some(b'!' | b'^'));
                closing = Some(mark.at + 2 + usize::from(negated));
                false
            }
            Some(b']') => closing.is_some_and(|closing| mark.at >= closing),
            _ => false,
        }
    })
}
