//! What of a command's words gets into the reading: lines, and paths with where they lead.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use smallvec::SmallVec;

use super::super::ast::Span;
use super::super::expand;
use super::super::parse::parse_document;
use super::super::path;
use super::super::programs::{Operand, Separator, WrapperInput};
use super::super::reading::{Access, Line, Reach};
use super::super::text::{MarkKind, Step, Steps, Stream, Text};
use super::{Interpreter, Mentions, SCRIPT_LEVELS};

/// Steps by which an encoded text becomes readable.
const DECODERS: [Step; 6] = [
    Step::Base64,
    Step::Base32,
    Step::Hex,
    Step::EscapesDecoded,
    Step::Decompressed,
    Step::PercentDecoded,
];

/// What stands between the commands of a pipeline.
const PIPE: &str = " | ";
/// The most lines of one command of a pipeline that stand in the pipeline's line: it may be a loop.
pub(super) const PIPED_LINES_MAX: usize = 8;

/// Longest value of a variable that is a line.
const VALUE_TOLD_MAX_BYTES: usize = 4096;

/// Most readings have no more lines: room for them at once.
const LINES_EXPECTED: usize = 8;

/// From so many lines or paths on, those told are remembered in a set.
const SEEN_FROM: usize = 16;

/// A line of a command in a pipeline.
#[derive(Debug)]
pub(super) enum PipedLine {
    /// Its place among those of the reading.
    Told(usize),
    Untold(Line),
}

/// Mostly one.
pub(super) type PipedLines = SmallVec<[PipedLine; 1]>;

impl PipedLine {
    fn of<'l>(&'l self, told: &'l [Line]) -> Option<&'l Line> {
        match self {
            PipedLine::Told(at) => told.get(*at),
            PipedLine::Untold(line) => Some(line),
        }
    }
}

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
        let untold = self.push_line(text, steps);
        if let Some(lines) = self.piped.as_mut().filter(|lines| lines.len() < PIPED_LINES_MAX) {
            let told = self.reading.lines.len().saturating_sub(1);
            lines.push(untold.map_or(PipedLine::Told(told), |text| {
                PipedLine::Untold(Line { text, steps, span: self.span.clone() })
            }));
        }
    }

    /// The line of a whole pipeline, where one of its commands is not as it was written: what
    /// stands there in one piece may be told apart by its commands together only.
    pub(super) fn note_pipeline(&mut self, lines: &[PipedLine]) {
        if lines.len() < 2 {
            return;
        }
        let told = &self.reading.lines;
        let lines: Vec<&Line> = lines.iter().filter_map(|line| line.of(told)).collect();
        let length = lines.iter().map(|line| line.text.len() + PIPE.len()).sum();
        let written = lines.iter().all(|line| line.steps.is_empty());
        if written || !self.budget.spend(length) {
            return;
        }
        let (Some(first), Some(last)) = (lines.first(), lines.last()) else { return };
        let span = first.span.start..last.span.end.max(first.span.end);
        let texts: Vec<&str> = lines.iter().map(|line| &*line.text).collect();
        let text = texts.join(PIPE);
        let steps = lines.iter().fold(Steps::NONE, |steps, line| steps.and(line.steps));
        let around = std::mem::replace(&mut self.span, span);
        self.push_line(text, steps);
        self.span = around;
    }

    /// Gives the text back if it is told already.
    fn push_line(&mut self, text: String, steps: Steps) -> Option<String> {
        // A wrapper's line holds the line of what it runs.
        let told = self.reading.lines.last().is_some_and(|last| last.text.ends_with(&text));
        if text.is_empty() || told {
            return Some(text);
        }
        let lines = &self.reading.lines;
        let known = if lines.len() < SEEN_FROM {
            lines.iter().any(|line| line.text == text)
        } else {
            let seen = &mut self.seen.get_or_insert_default().lines;
            if seen.is_empty() {
                seen.extend(lines.iter().map(|line| line.text.clone()));
            }
            !seen.insert(text.clone())
        };
        if known {
            return Some(text);
        }
        if self.reading.lines.is_empty() {
            self.reading.lines.reserve(LINES_EXPECTED);
        }
        self.reading.lines.push(Line { text, steps, span: self.span.clone() });
        None
    }

    /// A text that may hold a path or a line, as other languages' strings do.
    pub(super) fn note_text(&mut self, text: &Text, reach: Reach) {
        if !self.budget.spend(text.len()) {
            return;
        }
        self.push_line(text.as_str().to_owned(), self.steps.and(text.steps));
        if !text.as_str().contains('/') || text.as_str().contains([' ', '\n']) {
            return;
        }
        let home = text.as_str().starts_with("~/");
        if home {
            let mut path = Text::literal("/root").with_step(Step::Tilde);
            path.append_slice(text, 1, text.len());
            let path = path.with_steps(text.steps).with_step(Step::OtherLanguage);
            self.note_path(&path, reach, None);
        } else {
            self.note_path(&text.clone().with_step(Step::OtherLanguage), reach, None);
        }
    }

    /// What a variable is given: a path that is put together may be handed on in it to a program
    /// that is not followed, and a substitution that was quoted may be expanded later, as
    /// subscripts, `${a@P}` and prompts are.
    pub(super) fn note_value(&mut self, name: &str, values: &[Text]) {
        for value in values {
            let text = value.as_str();
            if text.contains("$(") || text.contains('`') {
                self.expand_later(value);
            }
            let steps = self.steps.and(value.steps);
            let told = !value.steps.is_empty() && text.contains('/') && value.is_literal();
            if told && text.len() <= VALUE_TOLD_MAX_BYTES && self.budget.spend(text.len()) {
                self.push_line(format!("{name}={text}"), steps);
            }
        }
    }

    /// Expands a text that is not expanded yet and may be.
    pub(super) fn expand_later(&mut self, text: &Text) {
        if !self.budget.spend(text.len()) || !self.budget.enter(SCRIPT_LEVELS) {
            return;
        }
        let steps = self.steps;
        self.steps.extend(text.steps.with(Step::Eval));
        // Whether it ever is expanded is not known: it changes nothing.
        let (choices, status, input) = (self.choices.get(), self.status, self.input.clone());
        let asked = self.asked.take();
        let piped = self.piped.take();
        self.undecided += 1;
        self.computed(|shell| {
            shell.subshell(|shell| {
                expand::document(&parse_document(text.as_str()), shell);
                Stream::Empty
            })
        });
        self.undecided -= 1;
        self.choices.set(choices);
        self.asked.replace(asked);
        (self.status, self.input, self.piped) = (status, input, piped);
        self.steps = steps;
        self.budget.leave(SCRIPT_LEVELS);
    }

    /// A known input of a program that is not known: what it does with it is not, but it holds
    /// lines.
    pub(super) fn note_input(&mut self) {
        let Some(bytes) = self.input.as_bytes().filter(|bytes| !bytes.is_empty()) else { return };
        if self.budget.spend(bytes.len()) {
            let text = self.input.to_text();
            let steps = self.steps.and(text.steps);
            for line in text.as_str().lines() {
                self.push_line(line.trim().to_owned(), steps);
                for word in line.split_ascii_whitespace().filter(|word| word.starts_with('/')) {
                    let path = Text::literal(word).with_steps(text.steps);
                    self.note_path(&path, Reach::Named, None);
                }
            }
        }
    }

    /// What a program prints that lists names: patterns of what they may be.
    pub(super) fn printed_names(
        &mut self,
        program: &str,
        words: &[Text],
        operands: &[Operand],
    ) -> Stream {
        self.tell_dropped(operands.len() <= LISTED_ROOTS_MAX);
        let ends_in_nul =
            |word: &Text| matches!(word.as_str(), "-print0" | "-0" | "--print0" | "--zero");
        let end = if words.iter().any(ends_in_nul) { '\0' } else { '\n' };
        let names = match program {
            "ls" | "dir" => {
                // A file is printed as it was named, of a directory what is in it.
                let mut text = Text::new();
                let named = operands.iter().filter(|operand| operand.path.as_str() != ".");
                for operand in named.take(LISTED_ROOTS_MAX) {
                    text.append(&operand.path);
                    text.push(end);
                }
                Some(star(&text))
            }
            "find" | "fd" => {
                let mut text = Text::new();
                for operand in operands.iter().take(LISTED_ROOTS_MAX) {
                    let mut path = operand.path.clone();
                    if !path.as_str().ends_with('/') {
                        path.push('/');
                    }
                    let found = match &operand.name {
                        Some(name) => {
                            path.append(name);
                            path
                        }
                        None => star(&path),
                    };
                    text.append(&found);
                    text.push(end);
                }
                (!text.is_empty()).then_some(text)
            }
            _ => None,
        };
        names.map_or(Stream::UNKNOWN, Stream::from_text)
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
        if let Some(span) = self.word_of(operand, spans, words) {
            self.span = self.place(span);
        }
        self.note_path(&operand.path, operand.reach, operand.name.as_ref());
        self.span = around;
    }

    /// The span of the word that an operand was written in.
    fn word_of(&self, operand: &Operand, spans: &[Span], words: &[Text]) -> Option<Span> {
        if spans.len() != words.len() {
            return None;
        }
        let holds = |at: &usize| {
            words.get(*at).is_some_and(|word| word.as_str().ends_with(operand.path.as_str()))
        };
        let after = self.operand.get();
        let mut near = (after..after.saturating_add(WORDS_BETWEEN_MAX)).chain(0..WORDS_SOUGHT_MAX);
        let at = near.find(holds)?;
        self.operand.set(at + 1);
        spans.get(at).copied()
    }

    pub(super) fn note_path(&mut self, path: &Text, reach: Reach, name: Option<&Text>) {
        if path.is_empty() || !self.budget.spend(path.len() + 1) {
            return;
        }
        let url = path::url_path(path);
        let path = url.as_ref().unwrap_or(path);
        // A name that is looked for in a directory itself is a path.
        if let (Reach::Listed, Some(name)) = (reach, name) {
            let there = path::join(path, name);
            return self.note_path(&there, reach, None);
        }
        let adjusted = self.globbed(path);
        let path = adjusted.as_ref().unwrap_or(path);
        let here = self.resolved(path);
        let relative = !path.as_str().starts_with('/');
        self.push_access(here, reach, name);
        if !relative {
            return;
        }
        for directory in self.environment.directories.clone() {
            if directory != self.environment.directory {
                let there = self.resolved_in(&directory, path);
                self.push_access(there.with_step(Step::EarlierDirectory), reach, name);
            }
        }
    }

    /// A path as bash's options for globs have it that the command turns on.
    fn globbed(&self, path: &Text) -> Option<Text> {
        if !path.has_active() {
            return None;
        }
        let &Mentions { globstar, dotglob, nocaseglob: nocase, .. } = self.mentions();
        if !(globstar || dotglob || nocase) {
            return None;
        }
        let mut out = Text::new().with_steps(path.steps);
        let text = path.as_str();
        for (at, character) in text.char_indices() {
            let active =
                path.marks().iter().any(|mark| mark.at == at && mark.kind == MarkKind::Active);
            let begins =
                text.get(..at).is_none_or(|before| before.is_empty() || before.ends_with('/'));
            let twice = text.get(at..).is_some_and(|rest| rest.starts_with("**"));
            if active && character == '*' && (dotglob && begins || globstar && twice) {
                out.push_hole();
            } else if active {
                out.push_active(character);
            } else if nocase {
                out.push_str(&character.to_lowercase().to_string());
            } else {
                out.push(character);
            }
        }
        Some(out)
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
        if !whole.as_str().starts_with('/')
            && let Some(above) = path::from_above(&whole)
        {
            whole = above;
        }
        if self.files.has_links() {
            whole = path::strip_roots(&self.files.follow(whole), directory);
        }
        whole
    }

    fn push_access(&mut self, path: Text, reach: Reach, name: Option<&Text>) {
        if !self.budget.spend(path.len() + 1) {
            return;
        }
        let accesses = &self.reading.accesses;
        let known = if accesses.len() < SEEN_FROM {
            accesses.iter().any(|access| {
                access.path == path && access.reach == reach && access.name.as_ref() == name
            })
        } else {
            let key = |path: &Text, reach: Reach, name: Option<&Text>| {
                format!("{reach:?}{path}\0{}", name.map(Text::to_string).unwrap_or_default())
            };
            let seen = &mut self.seen.get_or_insert_default().accesses;
            if seen.is_empty() {
                seen.extend(accesses.iter().map(|a| key(&a.path, a.reach, a.name.as_ref())));
            }
            !seen.insert(key(&path, reach, name))
        };
        if known {
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

/// Whether a decoder has made the text readable.
pub(super) fn is_decoded(text: &Text) -> bool {
    DECODERS.iter().any(|step| text.steps.has(*step))
}

fn star(before: &Text) -> Text {
    let mut text = before.clone();
    text.push_active('*');
    text
}

/// The most words that may stand between two operands, and the most at the beginning that are
/// looked at for one that stands elsewhere.
const WORDS_BETWEEN_MAX: usize = 8;
const WORDS_SOUGHT_MAX: usize = 64;

/// The most roots of a search whose names are followed.
const LISTED_ROOTS_MAX: usize = 64;

/// Functions of other languages that read all that is below a directory.
const WALKS: [&str; 9] = [
    "make_archive",
    "copytree",
    "os.walk",
    "rglob",
    "tarfile",
    "cp_r",
    "File::Find",
    "cpSync",
    "RecursiveDirectoryIterator",
];

/// Finds [`WALKS`]; `None` only if it could not be built.
static WALKING: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| AhoCorasick::new(WALKS).ok());

/// How far the paths in other languages' code are reached.
pub(super) fn of_code(code: &str) -> Reach {
    let walks = WALKING.as_ref().is_none_or(|walking| walking.is_match(code));
    if walks { Reach::Walked } else { Reach::Named }
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
    roots: &[Text],
) -> Vec<Vec<Text>> {
    match input {
        WrapperInput::None => vec![argv.to_vec()],
        WrapperInput::Found => {
            // Something below a root, or the root itself.
            let below = Text::hole();
            let found = std::iter::once(&below).chain(roots);
            found
                .map(|found| argv.iter().map(|word| replaced(word, "{}", found)).collect())
                .collect()
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
                items.push(std::mem::replace(&mut item, Text::new().with_steps(text.steps)));
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
