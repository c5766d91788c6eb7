//! Which words of a program's command line are paths.

use crate::audit::shell::reading::Reach;
use crate::audit::shell::text::{Step, Text};

use smallvec::SmallVec;

use super::options::{Arg, Scan, Unit, effect, started_from, units};
use super::{DIRECTORY_MAX_BYTES, MADE_MAX_BYTES, OPERANDS_MAX, Operand, Program};

/// Most paths that are taken from within one word.
const PIECES_MAX: usize = 64;
/// Most names (`--include`) that a command's paths are combined with.
const NAMES_MAX: usize = 16;
/// What key files' names end in: such a word is a path even without a slash.
const KEY_ENDINGS: [&str; 6] = [".pem", ".key", ".p12", ".pfx", ".jks", ".keystore"];

/// What a program's operands are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    pub words: Words,
    pub reach: Reach,
    /// Without operands it takes the working directory.
    pub here: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Words {
    /// Each is a path.
    Paths,
    /// The first is a script, a pattern, a mode or a subcommand; the others are paths.
    AfterFirst,
    /// Those that look like a path are.
    Loose,
    /// Those that are a `file:` URL.
    Urls,
    /// None is.
    Nothing,
}

impl Kind {
    pub const fn new(words: Words, reach: Reach) -> Kind {
        Kind { words, reach, here: false }
    }

    pub const fn or_here(self) -> Kind {
        Kind { here: true, ..self }
    }
}

/// Reads a command line by the program's kind and options; the meanings are listed in `table`.
pub(super) fn read(kind: Kind, options: &'static str, words: &[Text]) -> Program {
    let mut found = Found::new(kind);
    found.read(options, words.get(1..).unwrap_or(&[]));
    found.finish()
}

/// What is found of a command line while it is gone through.
#[derive(Debug)]
pub(super) struct Found<'a> {
    kind: Kind,
    pub operands: Vec<Operand>,
    /// Words that are operands, with the directory that was given before them.
    pub paths: SmallVec<[Path<'a>; 4]>,
    pub directory: Option<Text>,
    names: Vec<Text>,
    recursive: bool,
    /// An option took the place of the first operand.
    first_given: bool,
    shell: Option<Text>,
    /// Bytes of directories put before paths.
    made: usize,
}

#[derive(Debug)]
pub(super) struct Path<'a> {
    pub word: &'a Text,
    pub directory: Option<Text>,
}

impl<'a> Found<'a> {
    pub fn new(kind: Kind) -> Found<'a> {
        Found {
            kind,
            operands: Vec::new(),
            paths: SmallVec::new(),
            directory: None,
            names: Vec::new(),
            recursive: false,
            first_given: false,
            shell: None,
            made: 0,
        }
    }

    pub fn read(&mut self, options: &'static str, words: &'a [Text]) {
        let mut scan = Scan::new(words);
        self.paths.reserve(words.len().min(OPERANDS_MAX));
        while let Some(arg) = scan.next() {
            match arg {
                Arg::Operand(word) => self.path(word),
                _ => self.option(effect(arg, options), arg, &mut scan),
            }
        }
    }

    pub fn path(&mut self, word: &'a Text) {
        if self.paths.len() < OPERANDS_MAX {
            self.made += self.directory.as_ref().map_or(0, Text::len);
            let directory = self.directory.clone().filter(|_| self.made <= MADE_MAX_BYTES);
            self.paths.push(Path { word, directory });
        }
    }

    pub fn option(&mut self, meaning: Option<char>, arg: Arg<'a>, scan: &mut Scan<'a>) {
        match meaning {
            Some('-') => scan.skip_value(),
            Some('?') => _ = scan.attached(),
            Some('0') => self.first_given = true,
            Some('!') => self.recursive = true,
            Some('2') => {
                scan.skip_value();
                scan.skip_value();
            }
            Some('3') => {
                scan.skip_value();
                self.file(scan);
            }
            Some('<') => self.file(scan),
            Some('@') => {
                if let Some(value) = scan.value() {
                    within_marked(&value, &mut self.operands);
                }
            }
            Some('*') => {
                let name = scan.value().filter(|name| !name.as_str().starts_with('!'));
                if self.names.len() < NAMES_MAX {
                    self.names.extend(name.map(|name| name.activated()));
                }
            }
            Some('#') => {
                self.first_given = true;
                scan.skip_value();
            }
            Some('%') => {
                self.first_given = true;
                self.file(scan);
            }
            Some('/') => {
                if let Some(directory) = scan.value() {
                    self.enter(&directory);
                }
            }
            Some('&') => {
                if let Some(value) = scan.value() {
                    url(&value, &mut self.operands);
                }
            }
            Some('$') => self.shell = scan.value(),
            Some(':') => {
                if let Some(command) = scan.value() {
                    self.editor_command(&command);
                }
            }
            _ => unknown_option(arg, scan, &mut self.operands),
        }
    }

    /// `-C DIR`; a second one starts from the first.
    fn enter(&mut self, directory: &Text) {
        self.directory = Some(entered(self.directory.as_ref(), directory));
    }

    fn file(&mut self, scan: &mut Scan<'a>) {
        if let Some(file) = scan.value().filter(|file| file.as_literal() != Some("-")) {
            self.operands.push(Operand::named(below(self.directory.as_ref(), &file)));
        }
    }

    /// vi's `:r FILE`, `:e FILE`, `:!COMMAND`.
    fn editor_command(&mut self, command: &Text) {
        let text = command.as_str();
        let start = text.len() - text.trim_start_matches([':', ' ']).len();
        let bare = text.get(start..).unwrap_or("");
        let tail = |rest: &str| command.slice(text.len() - rest.trim_start().len(), text.len());
        if let Some(rest) = bare.strip_prefix('!') {
            self.shell = Some(tail(rest));
        } else if let Some((verb, rest)) = bare.split_once([' ', '!'])
            && matches!(verb, "r" | "read" | "e" | "edit" | "so" | "source" | "tabe" | "sp" | "vs")
        {
            let rest = rest.trim_start();
            match rest.strip_prefix('!') {
                Some(rest) => self.shell = Some(tail(rest)),
                None => self.operands.push(Operand::named(tail(rest))),
            }
        }
    }

    pub fn finish(mut self) -> Program {
        let reach = match (self.recursive, self.kind.reach) {
            (true, Reach::Named) => Reach::Walked,
            (true, Reach::Listed) => Reach::Searched,
            (_, reach) => reach,
        };
        let here = self.kind.here || self.recursive && self.kind.words != Words::Nothing;
        let skipped = usize::from(self.kind.words == Words::AfterFirst && !self.first_given);
        let paths = std::mem::take(&mut self.paths);
        let mut reached = Vec::with_capacity(paths.len().saturating_sub(skipped));
        for path in paths.iter().skip(skipped) {
            let before = reached.len();
            match self.kind.words {
                Words::Paths | Words::AfterFirst => known_path(path.word, reach, &mut reached),
                Words::Loose => loose(path.word, reach, &mut reached),
                Words::Urls => url(path.word, &mut reached),
                Words::Nothing => {}
            }
            if path.directory.is_some() {
                for operand in reached.iter_mut().skip(before) {
                    operand.path = below(path.directory.as_ref(), &operand.path);
                }
            }
        }
        if paths.len() <= skipped && here {
            let here = self.directory.clone().unwrap_or_else(|| Text::literal("."));
            reached.push(Operand::new(here, reach));
        }
        if !self.names.is_empty() {
            reached = with_names(&reached, &self.names);
        }
        if self.operands.is_empty() {
            self.operands = reached;
        } else {
            self.operands.append(&mut reached);
        }
        self.operands.truncate(OPERANDS_MAX);
        match self.shell {
            Some(script) => Program::shell_with(script, self.operands),
            None => Program::files(self.operands),
        }
    }
}

/// Each operand with each name; without names where that would be too much text.
pub(super) fn with_names(operands: &[Operand], names: &[Text]) -> Vec<Operand> {
    let name_bytes = names.iter().map(Text::len).sum::<usize>();
    let path_bytes = operands.iter().map(|operand| operand.path.len()).sum::<usize>();
    let entries = operands.len() * names.len();
    let entry_bytes = entries * size_of::<Operand>();
    if name_bytes * operands.len() + path_bytes * names.len() + entry_bytes > MADE_MAX_BYTES {
        return operands.to_vec();
    }
    let mut named = Vec::with_capacity(entries);
    for operand in operands {
        for name in names {
            named.push(Operand { name: Some(name.clone()), ..operand.clone() });
        }
    }
    named
}

/// The directory that `-C` leads to from one that was entered before.
pub(super) fn entered(from: Option<&Text>, directory: &Text) -> Text {
    if from.map_or(0, Text::len) + directory.len() > DIRECTORY_MAX_BYTES {
        return Text::hole();
    }
    below(from, directory)
}

/// The path as seen from `directory`.
pub(super) fn below(directory: Option<&Text>, path: &Text) -> Text {
    let Some(directory) = directory else { return path.clone() };
    if path.as_str().starts_with(['/', '~']) && path.marks().first().is_none_or(|m| m.at > 0) {
        return path.clone();
    }
    let mut joined = directory.clone();
    if !matches!(path.as_literal(), Some("." | "./" | "")) {
        if !directory.as_str().ends_with('/') {
            joined.push('/');
        }
        joined.append(path);
    }
    joined.with_step(Step::WorkingDirectory)
}

/// A word that is a path by its place.
pub(super) fn known_path(word: &Text, reach: Reach, operands: &mut Vec<Operand>) {
    if word.is_empty() || word.as_literal() == Some("-") {
        return;
    }
    operands.push(Operand::new(word.clone(), reach));
    if !word.as_str().starts_with(['/', '.', '~']) {
        pieces(word, reach, operands);
    }
}

/// A word of a program that is not known.
pub(super) fn loose(word: &Text, reach: Reach, operands: &mut Vec<Operand>) {
    let text = word.as_str();
    if text.is_empty() || text.len() < 2 && word.is_literal() {
        return;
    }
    let starts = path_starts(text, 0);
    let plain = || !text.contains([' ', '\n', '\t', '"', '\'', '(']) && !has_scheme(text);
    let is_path = starts
        || text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("file:"))
        || (text.contains('/') || !word.is_literal() || ends_as_key(text)) && plain();
    if is_path {
        operands.push(Operand::new(word.clone(), reach));
    }
    pieces(word, reach, operands);
}

fn has_scheme(text: &str) -> bool {
    text.contains("://")
}

pub(super) fn ends_as_key(text: &str) -> bool {
    KEY_ENDINGS.iter().any(|ending| text.ends_with(ending))
}

/// A URL, with the alternatives and ranges that curl makes of it, if it is one of a file.
fn url(word: &Text, operands: &mut Vec<Operand>) {
    let is_file = word.as_str().get(..5).is_some_and(|s| s.eq_ignore_ascii_case("file:"));
    if !is_file {
        return;
    }
    let text = word.as_str();
    if !text.contains(['{', '[']) {
        operands.push(Operand::named(word.clone()));
        return;
    }
    let mut alternatives = vec![started_from(word)];
    let mut places = units(word);
    while let Some(unit) = places.next() {
        match unit {
            Unit::Plain('{') => {
                let inside = places.by_ref().take_while(|u| *u != Unit::Plain('}'));
                let inside: Vec<Unit> = inside.collect();
                let parts: Vec<&[Unit]> = inside.split(|u| *u == Unit::Plain(',')).collect();
                let made = alternatives.len() * parts.len();
                if made > PIECES_MAX || made * text.len() > MADE_MAX_BYTES {
                    alternatives.iter_mut().for_each(|text| text.push_hole());
                    continue;
                }
                let mut next = Vec::with_capacity(alternatives.len() * parts.len());
                for alternative in &alternatives {
                    for part in &parts {
                        let mut longer = alternative.clone().with_step(Step::Braces);
                        part.iter().for_each(|unit| unit.push_to(&mut longer));
                        next.push(longer);
                    }
                }
                alternatives = next;
            }
            Unit::Plain('[') => {
                let inside = places.by_ref().take_while(|u| *u != Unit::Plain(']'));
                let inside: Vec<Unit> = inside.collect();
                for text in &mut alternatives {
                    // `[a-z]` is one character, `[1-100]` some digits. A `?` would be a query.
                    if let [Unit::Plain(first), Unit::Plain('-'), Unit::Plain(last)] = inside[..] {
                        text.push_active('[');
                        text.push(first);
                        text.push_active('-');
                        text.push(last);
                        text.push_active(']');
                    } else {
                        text.push_active('*');
                    }
                }
            }
            unit => alternatives.iter_mut().for_each(|text| unit.push_to(text)),
        }
    }
    operands.extend(alternatives.into_iter().map(Operand::named));
}

/// An option that is not known: its value may be a path if it stands in the same word.
pub(super) fn unknown_option<'a>(arg: Arg<'a>, scan: &mut Scan<'a>, operands: &mut Vec<Operand>) {
    match arg {
        Arg::Long(_) => {
            if let Some(value) = scan.attached() {
                loose(&value, Reach::Named, operands);
            }
        }
        Arg::Short(_) => {
            let rest = scan.bundle_rest();
            let rest_is_path = path_starts(rest, 0) || rest.starts_with('=');
            if rest_is_path && let Some(value) = scan.attached() {
                loose(&value, Reach::Named, operands);
            } else if rest.contains([':', '='])
                && let Some(value) = scan.attached()
            {
                pieces(&value, Reach::Named, operands);
            }
        }
        Arg::Operand(_) => {}
    }
}

fn path_starts(text: &str, at: usize) -> bool {
    let rest = text.get(at..).unwrap_or("");
    rest.starts_with(['/', '~'])
        || rest.starts_with("./")
        || rest.starts_with("../")
        || rest.starts_with('.') && rest.contains('/')
}

/// The paths within a word: behind `=`, `:`, `@`, `<` or a comma.
pub(super) fn pieces(word: &Text, reach: Reach, operands: &mut Vec<Operand>) {
    let text = word.as_str();
    let bytes = text.as_bytes();
    if !text.contains(['/', '~']) || !text.contains(['=', ':', '@', '<', ',']) {
        return;
    }
    let mut taken = 0;
    let mut at = 0;
    // Where a piece starts that the word itself starts with is no news unless it ends early.
    let mut start = path_starts(text, 0).then_some(0);
    while at <= bytes.len() && taken < PIECES_MAX {
        let byte = bytes.get(at).copied();
        let divides = match byte {
            None | Some(b',' | b';' | b':' | b' ' | b'\n' | b'\'' | b'"') => true,
            Some(b'=' | b'@' | b'<') => start.is_none(),
            _ => false,
        };
        if divides {
            if let Some(from) = start.take()
                && at > from + 1
                && (from > 0 || at < bytes.len())
            {
                operands.push(Operand::new(word.slice(from, at), reach));
                taken += 1;
            }
            if byte == Some(b':') && bytes.get(at + 1..at + 3) == Some(b"//") {
                // What follows is a host and the path of another machine, or of a file.
                let scheme = at.checked_sub(4).and_then(|from| bytes.get(from..at));
                if at == 4 || !scheme.is_some_and(|s| s.eq_ignore_ascii_case(b"file")) {
                    return;
                }
                start = Some(at - 4);
            } else if matches!(byte, Some(b'=' | b':' | b'@' | b'<' | b','))
                && piece_starts(word, at + 1)
            {
                start = Some(at + 1);
            }
        }
        at += 1;
    }
}

fn piece_starts(word: &Text, at: usize) -> bool {
    let bytes = word.as_str().as_bytes();
    match bytes.get(at) {
        Some(b'/' | b'~') => true,
        Some(b'.') => matches!(bytes.get(at + 1), Some(b'/' | b'.' | b'a'..=b'z')),
        Some(b'*' | b'?' | b'[') => !word.is_literal(),
        _ => false,
    }
}

/// curl's `@FILE`, `name=@FILE;type=x`, `name=<FILE`.
fn within_marked(value: &Text, operands: &mut Vec<Operand>) {
    let text = value.as_str();
    let marker = if text.starts_with('@') {
        Some(0)
    } else {
        let equals = text.find('=').map(|at| at + 1);
        let equals = equals.filter(|at| text.get(*at..).is_some_and(|s| s.starts_with(['@', '<'])));
        // `--data-urlencode name@FILE`
        equals.or_else(|| text.find('@').filter(|_| !text.contains('=')))
    };
    let Some(marker) = marker else { return };
    let mut start = marker + 1;
    while start <= text.len() && operands.len() < OPERANDS_MAX {
        let rest = text.get(start..).unwrap_or("");
        let length = rest.find([';', ',']).unwrap_or(rest.len());
        let trimmed = rest.get(..length).unwrap_or("").trim_matches('"');
        let quote = usize::from(rest.starts_with('"'));
        if !trimmed.is_empty() && trimmed != "-" {
            let from = start + quote;
            operands.push(Operand::named(value.slice(from, from + trimmed.len())));
        } else if length == 0 && !value.is_literal() {
            operands.push(Operand::named(value.slice(start, text.len())));
        }
        if !rest.get(length..).is_some_and(|rest| rest.starts_with(',')) {
            return;
        }
        start += length + 1;
    }
}
