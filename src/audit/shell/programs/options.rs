//! A command's words taken apart as `getopt_long` does.

use crate::audit::shell::text::{MarkKind, Text};

/// What stands next among the words.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Arg<'a> {
    /// `-x`, alone or in a bundle.
    Short(char),
    /// `--name`, without its value.
    Long(&'a str),
    Operand(&'a Text),
}

/// Goes over the words behind a program's name, options and operands mixed.
///
/// Which options take a value is for the caller to know: after such an option it asks for it.
#[derive(Debug)]
pub(super) struct Scan<'a> {
    words: &'a [Text],
    /// The word that is looked at.
    at: usize,
    /// Byte in that word at which a bundle of short options goes on; 0 outside of one.
    bundle: usize,
    /// Byte at which the value of a long option stands, with the word it is in.
    value: Option<(usize, usize)>,
    operands_only: bool,
}

impl<'a> Scan<'a> {
    pub fn new(words: &'a [Text]) -> Scan<'a> {
        Scan { words, at: 0, bundle: 0, value: None, operands_only: false }
    }

    pub fn next(&mut self) -> Option<Arg<'a>> {
        self.value = None;
        let word = self.words.get(self.at)?;
        let text = word.as_str();
        if self.bundle > 0 {
            if let Some(character) = text.get(self.bundle..).and_then(|rest| rest.chars().next()) {
                self.bundle += character.len_utf8();
                return Some(Arg::Short(character));
            }
            self.bundle = 0;
            self.at += 1;
            return self.next_word();
        }
        self.next_word()
    }

    fn next_word(&mut self) -> Option<Arg<'a>> {
        let word = self.words.get(self.at)?;
        let text = word.as_str();
        if self.operands_only || text.len() < 2 || !text.starts_with('-') || starts_unknown(word) {
            self.at += 1;
            return Some(Arg::Operand(word));
        }
        if text == "--" && word.is_literal() {
            self.operands_only = true;
            self.at += 1;
            let word = self.words.get(self.at)?;
            self.at += 1;
            return Some(Arg::Operand(word));
        }
        if let Some(long) = text.strip_prefix("--") {
            let at = self.at;
            self.at += 1;
            let Some(equals) = long.find('=') else { return Some(Arg::Long(long)) };
            self.value = Some((at, 2 + equals + 1));
            return Some(Arg::Long(long.get(..equals).unwrap_or(long)));
        }
        let character = text.get(1..)?.chars().next()?;
        self.bundle = 1 + character.len_utf8();
        Some(Arg::Short(character))
    }

    /// The value of the option that was just given: the rest of its word, or the next word.
    pub fn value(&mut self) -> Option<Text> {
        if let Some(value) = self.attached() {
            return Some(value);
        }
        self.leave_bundle();
        let word = self.words.get(self.at)?;
        self.at += 1;
        Some(word.clone())
    }

    pub fn skip_value(&mut self) {
        if self.value.take().is_none() && !self.leave_bundle() {
            self.at = (self.at + 1).min(self.words.len());
        }
    }

    /// A value that can only stand in the same word.
    pub fn attached(&mut self) -> Option<Text> {
        if let Some((word, start)) = self.value.take() {
            let word = self.words.get(word)?;
            return Some(word.slice(start, word.len()));
        }
        let word = self.words.get(self.at)?;
        if self.bundle == 0 || self.bundle == word.len() && !word.has_hole() {
            return None;
        }
        let value = word.slice(self.bundle, word.len());
        self.leave_bundle();
        (!value.is_empty()).then_some(value)
    }

    /// Gives up on the rest of a bundle; whether there was a rest.
    fn leave_bundle(&mut self) -> bool {
        if self.bundle == 0 {
            return false;
        }
        let rest = self.words.get(self.at).is_some_and(|word| word.len() > self.bundle);
        self.bundle = 0;
        self.at += 1;
        rest
    }

    /// What of the present word is still to be looked at.
    pub fn bundle_rest(&self) -> &'a str {
        match self.words.get(self.at) {
            Some(word) if self.bundle > 0 => word.as_str().get(self.bundle..).unwrap_or(""),
            _ => "",
        }
    }

    /// Leaves out characters of a bundle that belong to the option before them.
    pub fn skip_while(&mut self, belongs: impl Fn(char) -> bool) {
        let rest = self.bundle_rest();
        self.bundle += rest.len() - rest.trim_start_matches(belongs).len();
    }

    /// The words not yet looked at.
    pub fn rest(&mut self) -> &'a [Text] {
        self.leave_bundle();
        self.words.get(self.at..).unwrap_or(&[])
    }

    /// The operand that was just given and the words behind it.
    pub fn operand_and_rest(&self) -> &'a [Text] {
        self.words.get(self.at.saturating_sub(1)..).unwrap_or(&[])
    }
}

fn starts_unknown(word: &Text) -> bool {
    word.marks().first().is_some_and(|mark| mark.at == 0 && mark.kind == MarkKind::Hole)
}

/// Whether the option as written is one of those `named`, which are divided by blanks. Long ones
/// may be cut short as far as three characters.
pub(super) fn is(arg: Arg<'_>, named: &str) -> bool {
    let mut names = named.split_ascii_whitespace();
    match arg {
        Arg::Short(short) => names.any(|name| name.len() == 1 && name.starts_with(short)),
        Arg::Long(long) => {
            names.any(|name| name == long || long.len() >= 3 && name.starts_with(long))
        }
        Arg::Operand(_) => false,
    }
}

/// What the option does, by a list such as `f< lines-`: names with one character each behind
/// them that says what it means.
pub(super) fn effect(arg: Arg<'_>, options: &'static str) -> Option<char> {
    let long = match arg {
        Arg::Short(short) => {
            let (short, bytes) = (u8::try_from(short).ok()?, options.as_bytes());
            let ends = |at: usize| bytes.get(at).is_none_or(u8::is_ascii_whitespace);
            let alone = |at: &usize| (*at == 0 || ends(at - 1)) && ends(at + 2);
            let mut found = memchr::memchr_iter(short, bytes).filter(alone);
            return found.find_map(|at| bytes.get(at + 1).map(|byte| char::from(*byte)));
        }
        Arg::Long(long) => long,
        Arg::Operand(_) => return None,
    };
    let mut shortened = None;
    for option in options.split_ascii_whitespace() {
        let Some((name, meaning)) = option.split_at_checked(option.len() - 1) else { continue };
        let meaning = meaning.chars().next();
        if name.len() > 1 && name == long {
            return meaning;
        }
        if long.len() >= 3 && name.starts_with(long) {
            shortened = shortened.or(meaning);
        }
    }
    shortened
}

/// One place of a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Unit {
    Plain(char),
    Active(char),
    Hole,
}

impl Unit {
    pub fn plain(self) -> Option<char> {
        match self {
            Unit::Plain(character) => Some(character),
            _ => None,
        }
    }

    pub fn push_to(self, text: &mut Text) {
        match self {
            Unit::Plain(character) => text.push(character),
            Unit::Active(character) => text.push_active(character),
            Unit::Hole => text.push_hole(),
        }
    }
}

/// The places of a text in order.
pub(super) fn units(text: &Text) -> impl Iterator<Item = Unit> {
    let mut marks = text.marks().iter().peekable();
    let mut characters = text.as_str().char_indices().peekable();
    std::iter::from_fn(move || {
        let at = characters.peek().map_or(text.len(), |(at, _)| *at);
        if let Some(mark) = marks.next_if(|mark| mark.at <= at) {
            if mark.kind == MarkKind::Hole {
                return Some(Unit::Hole);
            }
            return characters.next().map(|(_, character)| Unit::Active(character));
        }
        characters.next().map(|(_, character)| Unit::Plain(character))
    })
}

/// The words with a blank between them, as programs do that hand them to a shell.
pub(super) fn joined(words: &[Text]) -> Text {
    let mut joined = Text::new();
    for (at, word) in words.iter().enumerate() {
        if at > 0 {
            joined.push(' ');
        }
        joined.append(word);
    }
    joined
}

/// `NAME=value`, if the word is one.
pub(super) fn assignment(word: &Text) -> Option<(String, Text)> {
    let equals = word.as_str().find('=').filter(|at| *at > 0)?;
    if word.marks().first().is_some_and(|mark| mark.at < equals) {
        return None;
    }
    let name = word.as_str().get(..equals)?;
    Some((name.to_owned(), word.slice(equals + 1, word.len())))
}

/// An empty text that has gone through the same steps.
pub(super) fn started_from(text: &Text) -> Text {
    let mut started = Text::new();
    started.steps = text.steps;
    started
}
