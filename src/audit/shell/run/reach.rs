//! What of a command's words gets into the reading: lines, and paths with where they lead.

use std::ops::Range;

use super::super::ast::Span;
use super::super::path;
use super::super::programs::{Operand, Separator, WrapperInput};
use super::super::reading::{Access, Line, Reach};
use super::super::text::{MarkKind, Step, Steps, Stream, Text};
use super::Interpreter;

/// Steps by which an encoded text becomes readable.
const DECODERS: [Step; 6] = [
    Step::Base64,
    Step::Base32,
    Step::Hex,
    Step::EscapesDecoded,
    Step::Decompressed,
    Step::PercentDecoded,
];

impl Interpreter<'_> {
    pub(super) fn note_line(&mut self, words: &[Text]) {
        let length = words.iter().map(|word| word.len() + 1).sum();
        if !self.budget.spend(length) {
            return;
        }
        let mut text = String::with_capacity(length);
        let mut steps = self.steps;
        for word in words {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word.as_str());
            steps.extend(word.steps);
        }
        self.push_line(text, steps);
    }

    fn push_line(&mut self, text: String, steps: Steps) {
        // A wrapper's line holds the line of what it runs.
        let told = self.reading.lines.last().is_some_and(|last| last.text.ends_with(&text));
        if text.is_empty() || told || !self.seen.insert(text.clone()) {
            return;
        }
        self.reading.lines.push(Line { text, steps, span: self.span.clone() });
    }

    /// A text that may hold a path or a line, as other languages' strings do.
    pub(super) fn note_text(&mut self, text: &Text) {
        if !self.budget.spend(text.len()) {
            return;
        }
        self.push_line(text.as_str().to_owned(), self.steps.and(text.steps));
        if text.as_str().contains('/') && !text.as_str().contains([' ', '\n']) {
            self.note_path(text, Reach::Named, None);
        }
    }

    /// What a filter decoded, even if nothing runs or opens it yet.
    pub(super) fn note_decoded(&mut self, output: &Stream, before: Steps) {
        let steps = output.steps();
        if DECODERS.iter().any(|step| steps.has(*step) && !before.has(*step)) {
            let text = output.to_text();
            if self.budget.spend(text.len()) {
                self.push_line(text.as_str().trim_end().to_owned(), self.steps.and(steps));
            }
        }
    }

    pub(super) fn note_operand(&mut self, path: &Text, spans: &[Span], words: &[Text]) {
        let operand = Operand { path: path.clone(), reach: Reach::Named, name: None };
        self.note_access(&operand, spans, words);
    }

    /// `spans` are those of `words`, as long as the words are those that were written.
    pub(super) fn note_access(&mut self, operand: &Operand, spans: &[Span], words: &[Text]) {
        let around = self.span.clone();
        if let Some(span) = word_of(operand, spans, words) {
            self.span = self.place(span);
        }
        self.note_path(&operand.path, operand.reach, operand.name.as_ref());
        self.span = around;
    }

    pub(super) fn note_path(&mut self, path: &Text, reach: Reach, name: Option<&Text>) {
        if path.is_empty() || !self.budget.spend(path.len() + 1) {
            return;
        }
        let url = path::url_path(path);
        let path = url.as_ref().unwrap_or(path);
        let here = self.resolved(path);
        let relative = !path.as_str().starts_with('/');
        self.push_access(here, reach, name);
        if !relative {
            return;
        }
        for directory in self.environment.directories.clone() {
            if directory != self.environment.directory {
                let there = self.resolved_in(&directory, path);
                self.push_access(there, reach, name);
            }
        }
    }

    /// Where a path leads from the current directory.
    pub(super) fn resolved(&self, path: &Text) -> Text {
        self.resolved_in(&self.environment.directory, path)
    }

    fn resolved_in(&self, directory: &Text, path: &Text) -> Text {
        let moved = !directory.is_empty() && !path.as_str().starts_with('/');
        let mut whole = path::resolve(directory, path);
        if moved {
            whole.steps.add(Step::WorkingDirectory);
            whole.steps.extend(directory.steps);
        }
        let whole = path::from_above(&whole).unwrap_or(whole);
        path::strip_roots(&self.files.follow(whole), directory)
    }

    fn push_access(&mut self, path: Text, reach: Reach, name: Option<&Text>) {
        let key = format!("{reach:?}{path}\0{}", name.map(Text::to_string).unwrap_or_default());
        if !self.budget.spend(key.len()) || !self.seen.insert(key) {
            return;
        }
        let mut path = path;
        path.steps.extend(self.steps);
        if let Some(name) = name {
            path.steps.extend(name.steps);
        }
        let span: Range<usize> = self.span.clone();
        self.reading.accesses.push(Access { path, reach, name: name.cloned(), span });
    }
}

/// The span of the word that an operand was written in.
fn word_of(operand: &Operand, spans: &[Span], words: &[Text]) -> Option<Span> {
    if spans.len() != words.len() {
        return None;
    }
    let at = words.iter().position(|word| word.as_str().ends_with(operand.path.as_str()))?;
    spans.get(at).copied()
}

/// A word in single quotes, as `alias` and `xargs` hand words on; its patterns stay as they are.
pub(super) fn quoted_word(word: &Text) -> Text {
    if !word.is_literal() {
        return word.clone();
    }
    let mut quoted = Text::literal("'");
    quoted.push_str(&word.as_str().replace('\'', r"'\''"));
    quoted.push('\'');
    quoted.steps = word.steps;
    quoted
}

/// The most argument lists that one input gives.
const LISTS_MAX: usize = 4_096;

/// The argument lists that `xargs` or `find -exec` makes of a command and of the names it is
/// given.
pub(super) fn argument_lists(
    argv: &[Text],
    input: &WrapperInput,
    names: &Stream,
) -> Vec<Vec<Text>> {
    match input {
        WrapperInput::None => vec![argv.to_vec()],
        WrapperInput::Found => {
            vec![argv.iter().map(|word| replaced(word, "{}", &Text::hole())).collect()]
        }
        WrapperInput::Arguments { replace, one_each, from: separator, .. } => {
            let text = names.to_text();
            let items = match replace {
                Some(_) if *separator == Separator::Blank => split(&text, Separator::Line),
                _ => split(&text, *separator),
            };
            if let Some(replace) = replace {
                let marker = replace.as_str();
                return items
                    .iter()
                    .take(LISTS_MAX)
                    .map(|item| argv.iter().map(|word| replaced(word, marker, item)).collect())
                    .collect();
            }
            if *one_each {
                let with = |item: Text| argv.iter().cloned().chain([item]).collect();
                return items.into_iter().take(LISTS_MAX).map(with).collect();
            }
            vec![argv.iter().cloned().chain(items).collect()]
        }
    }
}

/// `word` with every `marker` in it replaced.
fn replaced(word: &Text, marker: &str, by: &Text) -> Text {
    if marker.is_empty() || !word.as_str().contains(marker) {
        return word.clone();
    }
    let mut out = Text::new();
    let mut from = 0;
    for (at, _) in word.as_str().match_indices(marker).take(64) {
        out.append_slice(word, from, at);
        out.append(by);
        from = at + marker.len();
    }
    out.append_slice(word, from, word.len());
    out.steps.extend(word.steps);
    out
}

/// The items of a text. A part that is unknown belongs to the item it stands in.
fn split(text: &Text, separator: Separator) -> Vec<Text> {
    let mut items = Vec::new();
    let mut item = Text::new().with_steps(text.steps);
    let mut marks = text.marks().iter().peekable();
    let (mut quote, mut escaped, mut begun) = (None, false, false);
    for (at, character) in text.as_str().char_indices() {
        let mut active = false;
        while let Some(mark) = marks.next_if(|mark| mark.at <= at) {
            begun = true;
            match mark.kind {
                MarkKind::Hole => item.push_hole(),
                MarkKind::Active => active = true,
            }
        }
        let blanks = separator == Separator::Blank;
        let ends = quote.is_none()
            && !escaped
            && match separator {
                Separator::Blank => matches!(character, ' ' | '\t' | '\n'),
                Separator::Line => character == '\n',
                Separator::Nul => character == '\0',
                Separator::Character(separator) => character == separator,
            };
        if ends {
            if begun {
                items.push(std::mem::replace(
                    &mut item,
                    Text::new().with_steps(text.steps),
                ));
            }
            begun = false;
            continue;
        }
        begun = true;
        match character {
            '\\' if blanks && quote.is_none() && !escaped => escaped = true,
            '\'' | '"' if blanks && !escaped && quote.is_none() => quote = Some(character),
            _ if quote == Some(character) => quote = None,
            _ => {
                escaped = false;
                if active {
                    item.push_active(character);
                } else {
                    item.push(character);
                }
            }
        }
    }
    if marks.next().is_some() {
        begun = true;
        item.push_hole();
    }
    // The last line's end is no part of a name.
    if begun {
        items.push(item);
    }
    items
}
