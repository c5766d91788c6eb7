//! A command's text taken apart into words, each byte with the place it was read from.
//!
//! Owns quotes, escapes, expansions, here-documents and where one simple command ends and the
//! next begins, as far as hiding a value as a whole needs them. It is lenient: any bytes are some
//! words, what is not closed runs to the end. It runs nothing and expands nothing.

use std::ops::Range;

use super::word::{Unit, Word, place};

/// How deep `$(…)` and `${…}` are followed.
const NESTED_MAX: u32 = 16;

/// A simple command.
#[derive(Debug, Default)]
pub struct Command {
    /// Assignments, name, arguments.
    pub words: Vec<Word>,
    /// Targets of redirections.
    pub targets: Vec<Word>,
    /// Here-documents and here-strings.
    pub input: Vec<Word>,
    /// The command whose output it reads.
    pub piped_from: Option<usize>,
}

/// The simple commands of a text, those within `$(…)` among them.
pub fn commands(word: &Word) -> Vec<Command> {
    let mut lexer = Lexer {
        units: &word.units,
        at: 0,
        nested: 0,
        commands: Vec::new(),
        documents: Vec::new(),
        no_brace: false,
    };
    lexer.list(None);
    lexer.commands
}

/// A here-document that is to come after the line.
struct Document {
    command: usize,
    delimiter: Vec<u8>,
    tabs_stripped: bool,
    literal: bool,
}

struct Lexer<'w> {
    units: &'w [Unit],
    at: usize,
    nested: u32,
    commands: Vec<Command>,
    documents: Vec<Document>,
    /// No `}` stands in what is left.
    no_brace: bool,
}

impl Lexer<'_> {
    /// The byte `ahead` of here, if it is one of the text.
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.units.get(self.at + ahead).filter(|unit| !unit.opaque).map(|unit| unit.byte)
    }

    fn is_over(&self) -> bool {
        self.at >= self.units.len()
    }

    /// Simple commands up to `closer` or the end. Commands that come out of words are before the
    /// one that holds them.
    fn list(&mut self, closer: Option<u8>) {
        let mut command = Command::default();
        let mut documents: Vec<Document> = Vec::new();
        let mut parentheses = 0_usize;
        loop {
            if self.is_over() {
                self.finish(&mut command, &mut documents);
                return;
            }
            let byte = self.peek(0);
            let closes = byte.is_some() && byte == closer;
            if closes && (parentheses == 0 || byte == Some(b'`')) {
                self.at += 1;
                self.finish(&mut command, &mut documents);
                return;
            }
            match byte {
                Some(b' ' | b'\t' | b'\r') => self.at += 1,
                Some(b'\\') if self.peek(1) == Some(b'\n') => self.at += 2,
                Some(b'\n') => {
                    self.finish(&mut command, &mut documents);
                    self.at += 1;
                    self.read_documents();
                }
                Some(b'(') => {
                    parentheses += 1;
                    self.finish(&mut command, &mut documents);
                    self.at += 1;
                }
                Some(b')') => {
                    parentheses = parentheses.saturating_sub(1);
                    self.finish(&mut command, &mut documents);
                    self.at += 1;
                }
                Some(b';') => {
                    self.finish(&mut command, &mut documents);
                    self.at += 1;
                }
                Some(b'&') if self.peek(1) == Some(b'>') => self.at += 1,
                Some(b'&') => {
                    self.finish(&mut command, &mut documents);
                    self.at += 1;
                }
                Some(b'|') => {
                    let finished = self.finish(&mut command, &mut documents);
                    self.at += 1;
                    match self.peek(0) {
                        Some(b'|') => self.at += 1,
                        _ => command.piped_from = finished,
                    }
                    if self.peek(0) == Some(b'&') {
                        self.at += 1;
                    }
                }
                Some(b'<' | b'>') => self.redirection(&mut command, &mut documents, closer),
                Some(b'#') => {
                    let end = self.line_end();
                    let comment = self.plain(self.at..end);
                    self.finish(&mut command, &mut documents);
                    self.at = end;
                    self.comment(&comment);
                }
                _ => {
                    let word = self.word(closer);
                    let number = matches!(self.peek(0), Some(b'<' | b'>'))
                        && word.text().bytes().all(|byte| byte.is_ascii_digit());
                    if !number {
                        command.words.push(word);
                    }
                }
            }
        }
    }

    /// Puts the command away, if it is one; its index.
    fn finish(&mut self, command: &mut Command, documents: &mut Vec<Document>) -> Option<usize> {
        let done = std::mem::take(command);
        let index = self.commands.len();
        for document in documents.drain(..) {
            self.documents.push(Document { command: index, ..document });
        }
        if done.words.is_empty() && done.targets.is_empty() && done.input.is_empty() {
            // `(echo x) | cat`: what is read is what came before.
            return index.checked_sub(1);
        }
        self.commands.push(done);
        Some(index)
    }

    fn redirection(
        &mut self,
        command: &mut Command,
        documents: &mut Vec<Document>,
        closer: Option<u8>,
    ) {
        let reads = self.peek(0) == Some(b'<');
        let mut signs = 0;
        while signs < 3 && matches!(self.peek(0), Some(b'<' | b'>')) {
            signs += 1;
            self.at += 1;
        }
        // `<(…)` is a list of its own.
        if self.peek(0) == Some(b'(') {
            return;
        }
        let tabs_stripped = reads && signs == 2 && self.peek(0) == Some(b'-');
        if tabs_stripped || matches!(self.peek(0), Some(b'&' | b'|')) {
            self.at += 1;
        }
        while matches!(self.peek(0), Some(b' ' | b'\t')) {
            self.at += 1;
        }
        if self.is_over() || self.ends_word(closer) {
            return;
        }
        let from = self.at;
        let word = self.word(closer);
        match (reads, signs) {
            (true, 2) if !word.text().is_empty() => documents.push(Document {
                command: 0,
                delimiter: word.text().as_bytes().to_vec(),
                tabs_stripped,
                literal: self.units[from..self.at]
                    .iter()
                    .any(|unit| matches!(unit.byte, b'\'' | b'"' | b'\\')),
            }),
            (true, 3) => command.input.push(word),
            _ => command.targets.push(word),
        }
    }

    fn line_end(&self) -> usize {
        let rest = &self.units[self.at..];
        let found = rest.iter().position(|unit| unit.byte == b'\n' && !unit.opaque);
        self.at + found.unwrap_or(rest.len())
    }

    fn read_documents(&mut self) {
        for document in std::mem::take(&mut self.documents) {
            let from = self.at;
            let mut until = from;
            while !self.is_over() {
                until = self.at;
                let end = self.line_end();
                let line = self.units[self.at..end].iter().map(|unit| unit.byte);
                let tabs = |byte: &u8| document.tabs_stripped && *byte == b'\t';
                let found = line.skip_while(tabs).eq(document.delimiter.iter().copied());
                self.at = (end + 1).min(self.units.len());
                if found {
                    break;
                }
                until = self.at;
            }
            let after = self.at;
            let body = if document.literal {
                self.plain(from..until)
            } else {
                // Expansions are made in it, quotes are none.
                let (all, no_brace) = (self.units, self.no_brace);
                self.units = &all[..until];
                self.at = from;
                let mut word = Word::default();
                self.double_quoted(&mut word, place(from), false);
                (self.units, self.no_brace) = (all, no_brace);
                word.sealed()
            };
            self.at = after;
            if let Some(command) = self.commands.get_mut(document.command) {
                command.input.push(body);
            }
        }
    }

    /// A part of the text as it stands.
    fn plain(&self, part: Range<usize>) -> Word {
        let mut word = Word::default();
        word.runs.push(place(part.start)..place(part.end));
        for at in part {
            self.keep(&mut word, at..at + 1, self.units[at].byte);
        }
        word.sealed()
    }

    /// The words of a comment: nothing in it is quoted.
    fn comment(&mut self, comment: &Word) {
        let groups = comment.units.split(|unit| unit.byte.is_ascii_whitespace());
        let words: Vec<Word> = groups
            .filter_map(|group| Some(group.first()?.start as usize..group.last()?.end as usize))
            .map(|part| self.plain(part))
            .collect();
        if !words.is_empty() {
            self.commands.push(Command { words, ..Command::default() });
        }
    }

    /// Adds a unit of the newest run.
    fn keep(&self, word: &mut Word, from: Range<usize>, byte: u8) {
        let opaque = from.len() == 1 && self.units.get(from.start).is_some_and(|unit| unit.opaque);
        self.push(word, from, byte, opaque);
    }

    fn push(&self, word: &mut Word, from: Range<usize>, byte: u8, opaque: bool) {
        let run = place(word.runs.len().saturating_sub(1));
        let (start, end) = (place(from.start), place(from.end));
        word.units.push(Unit { byte, opaque, run, start, end });
    }

    fn ends_word(&self, closer: Option<u8>) -> bool {
        match self.peek(0) {
            Some(b' ' | b'\t' | b'\r' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')') => {
                true
            }
            byte => byte.is_some() && byte == closer,
        }
    }

    fn word(&mut self, closer: Option<u8>) -> Word {
        let mut word = Word::default();
        while !self.is_over() {
            // `name => value` of other languages.
            let arrow = self.peek(0) == Some(b'>')
                && word.units.last().is_some_and(|unit| unit.byte == b'=');
            if self.ends_word(closer) && !arrow {
                break;
            }
            self.piece(&mut word);
        }
        word.sealed()
    }

    /// One quoted piece, or the next bytes of an unquoted one.
    fn piece(&mut self, word: &mut Word) {
        let start = self.at;
        match (self.peek(0), self.peek(1)) {
            (Some(b'\''), _) => {
                self.at += 1;
                word.runs.push(place(start)..place(start));
                while !self.is_over() && self.peek(0) != Some(b'\'') {
                    self.keep(word, self.at..self.at + 1, self.units[self.at].byte);
                    self.at += 1;
                }
                self.close(word);
            }
            (Some(b'"'), _) => {
                self.at += 1;
                self.double_quoted(word, place(start), true);
            }
            (Some(b'$'), Some(b'"')) => {
                self.at += 2;
                self.double_quoted(word, place(start), true);
            }
            (Some(b'$'), Some(b'\'')) => {
                self.at += 2;
                word.runs.push(place(start)..place(start));
                self.ansi(word);
            }
            _ => {
                // Unquoted bytes that follow one another are one piece.
                let unquoted = word.units.last().is_some_and(|last| {
                    let run = word.runs.last();
                    run.is_some_and(|run| run.end == last.end && last.end == place(start))
                        && last.run + 1 == place(word.runs.len())
                });
                if !unquoted {
                    word.runs.push(place(start)..place(start));
                }
                match self.peek(0) {
                    Some(b'\\') if self.peek(1) == Some(b'\n') => self.at += 2,
                    Some(b'\\') if self.at + 1 < self.units.len() => {
                        self.keep(word, start..start + 2, self.units[start + 1].byte);
                        self.at += 2;
                    }
                    Some(b'$' | b'`') => self.expansion(word),
                    _ => {
                        self.keep(word, start..start + 1, self.units[start].byte);
                        self.at += 1;
                    }
                }
                let end = place(self.at);
                if let Some(run) = word.runs.last_mut() {
                    run.end = run.end.max(end);
                }
            }
        }
    }

    /// Past the closing quote, which ends the newest run.
    fn close(&mut self, word: &mut Word) {
        self.at = (self.at + 1).min(self.units.len());
        if let Some(run) = word.runs.last_mut() {
            run.end = place(self.at);
        }
    }

    /// What stands between double quotes, or in a here-document, which no quote ends.
    fn double_quoted(&mut self, word: &mut Word, start: u32, quoted: bool) {
        word.runs.push(start..start);
        let run = word.runs.len();
        while !self.is_over() {
            let at = self.at;
            match self.peek(0) {
                Some(b'"') if quoted => break,
                Some(b'\\') if at + 1 < self.units.len() => match self.peek(1) {
                    Some(b'\n') => self.at += 2,
                    Some(byte @ (b'$' | b'`' | b'\\')) => {
                        self.keep(word, at..at + 2, byte);
                        self.at += 2;
                    }
                    Some(b'"') if quoted => {
                        self.keep(word, at..at + 2, b'"');
                        self.at += 2;
                    }
                    _ => {
                        self.keep(word, at..at + 1, b'\\');
                        self.at += 1;
                    }
                },
                Some(b'$' | b'`') => self.expansion(word),
                _ => {
                    self.keep(word, at..at + 1, self.units[at].byte);
                    self.at += 1;
                }
            }
            // What an expansion's own quotes held is within this piece.
            word.runs.truncate(run);
        }
        for unit in word.units.iter_mut().rev() {
            if unit.run as usize >= run {
                unit.run = place(run - 1);
            } else if unit.start < start {
                break;
            }
        }
        self.close(word);
    }

    /// `$'…'` of bash and its kin.
    fn ansi(&mut self, word: &mut Word) {
        while !self.is_over() && self.peek(0) != Some(b'\'') {
            let at = self.at;
            if self.peek(0) != Some(b'\\') {
                self.keep(word, at..at + 1, self.units[at].byte);
                self.at += 1;
                continue;
            }
            let number = |lexer: &mut Self, skip: usize, radix: u32, max: usize| {
                let mut value = 0;
                let mut length = skip;
                while length < skip + max
                    && let Some(digit) =
                        lexer.peek(length).and_then(|byte| char::from(byte).to_digit(radix))
                {
                    value = value * radix + digit;
                    length += 1;
                }
                lexer.at += length;
                (length > skip).then_some(value)
            };
            let mut bytes = [0_u8; 4];
            let decoded: &[u8] = match self.peek(1) {
                Some(byte @ (b'x' | b'u' | b'U')) => {
                    let digits = match byte {
                        b'x' => 2,
                        b'u' => 4,
                        _ => 8,
                    };
                    match number(self, 2, 16, digits) {
                        Some(value) if byte == b'x' => {
                            bytes[0] = value as u8;
                            &bytes[..1]
                        }
                        Some(value) => {
                            char::from_u32(value).unwrap_or('?').encode_utf8(&mut bytes).as_bytes()
                        }
                        None => {
                            bytes[0] = byte;
                            &bytes[..1]
                        }
                    }
                }
                Some(b'0'..=b'7') => {
                    bytes[0] = number(self, 1, 8, 3).unwrap_or_default() as u8;
                    &bytes[..1]
                }
                Some(byte) => {
                    self.at += 2;
                    bytes[0] = match byte {
                        b'n' => b'\n',
                        b't' => b'\t',
                        b'r' => b'\r',
                        b'a' => 7,
                        b'b' => 8,
                        b'e' | b'E' => 27,
                        b'f' => 12,
                        b'v' => 11,
                        other => other,
                    };
                    &bytes[..1]
                }
                None => {
                    self.at += 1;
                    b"\\"
                }
            };
            for byte in decoded {
                self.push(word, at..self.at, *byte, false);
            }
        }
        self.close(word);
    }

    /// What begins with `$` or a backquote: one unit, but for the word of `${X:-word}`, which is
    /// of the text.
    fn expansion(&mut self, word: &mut Word) {
        let start = self.at;
        let nested = self.nested < NESTED_MAX;
        match (self.peek(0), self.peek(1)) {
            (Some(b'`'), _) if nested => self.within(1, |lexer| lexer.list(Some(b'`'))),
            (Some(b'$'), Some(b'(')) if nested => self.within(2, |lexer| lexer.list(Some(b')'))),
            (Some(b'$'), Some(b'{')) if nested && !self.no_brace => {
                let rest = &self.units[start..];
                let Some(end) = rest.iter().position(|unit| unit.byte == b'}' && !unit.opaque)
                else {
                    self.no_brace = true;
                    return self.expansion(word);
                };
                let is_name = |unit: &&Unit| is_name_byte(unit.byte) && !unit.opaque;
                let name = rest[2..end].iter().take_while(is_name).count();
                self.at += 2 + name;
                let colon = usize::from(self.peek(0) == Some(b':'));
                if name == 0 || !matches!(self.peek(colon), Some(b'-' | b'=' | b'+' | b'?')) {
                    self.at = start + end + 1;
                    return self.push(word, start..self.at, b'$', true);
                }
                self.at += colon + 1;
                self.push(word, start..self.at, b'$', true);
                self.within(0, |lexer| {
                    while !lexer.is_over() && lexer.peek(0) != Some(b'}') {
                        lexer.piece(word);
                    }
                });
                let close = self.at;
                self.at = (self.at + 1).min(self.units.len());
                if close < self.at {
                    self.push(word, close..self.at, b'$', true);
                }
                return;
            }
            (Some(b'$'), Some(byte)) if is_name_byte(byte) && !byte.is_ascii_digit() => {
                let rest = &self.units[start + 1..];
                let is_name = |unit: &&Unit| is_name_byte(unit.byte) && !unit.opaque;
                self.at += 1 + rest.iter().take_while(is_name).count();
            }
            (Some(b'$'), Some(b'0'..=b'9' | b'@' | b'*' | b'#' | b'?' | b'$' | b'!' | b'-')) => {
                self.at += 2;
            }
            _ => {
                self.keep(word, start..start + 1, self.units[start].byte);
                self.at += 1;
                return;
            }
        }
        self.push(word, start..self.at, b'$', true);
    }

    fn within(&mut self, skip: usize, read: impl FnOnce(&mut Self)) {
        self.at = (self.at + skip).min(self.units.len());
        self.nested += 1;
        read(self);
        self.nested -= 1;
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
