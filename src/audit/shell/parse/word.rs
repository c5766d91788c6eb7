//! Words: quotes, substitutions, extended patterns and what stands between them.

use super::cursor::Cursor;
use super::scan::is_plainly_arithmetic;
use super::{Closers, Dialect, Parser, ansi, ends_word};
use crate::audit::shell::ast::{Part, Script, Span, Word, WordParts};
use crate::audit::shell::text::Step;

/// Where unquoted parts end.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Stop {
    /// At a blank, a newline or an operator.
    Word,
    /// The same, but `(`, `|`, `<` and `>` belong to it: what is right of `=~`.
    Regex,
    /// `}`; with `slash`, `/` as well. `pattern`: extended patterns are patterns.
    Brace { slash: bool, pattern: bool },
    /// `|` or `)`
    Alternative,
    /// `]`
    Bracket,
}

/// Where quoted parts end. What ends them is left, unless it says otherwise.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Close {
    /// `"`, which is consumed.
    Quote,
    /// `}`, within double quotes.
    Brace,
    /// The end of the text: a here-document.
    End,
    /// A newline, which is consumed: a line of a here-document.
    Line,
    /// The end of the text: within single quotes that stand within `"${…}"`.
    Protected,
    /// The end of the text: arithmetic.
    Expression,
    /// `;` in `for ((…))`
    Semicolon,
    /// `:` or `}` in `${a:1:2}`
    Offset,
}

impl Close {
    /// How its characters were quoted.
    fn step(self) -> Step {
        match self {
            Close::Quote | Close::Brace | Close::Protected => Step::Quotes,
            Close::End | Close::Line => Step::HereDocument,
            Close::Expression | Close::Semicolon => Step::Arithmetic,
            Close::Offset => Step::ParameterOperator,
        }
    }

    fn is_arithmetic(self) -> bool {
        matches!(self, Close::Expression | Close::Semicolon | Close::Offset)
    }

    fn is_document(self) -> bool {
        matches!(self, Close::End | Close::Line)
    }

    /// What a substitution within is quoted by.
    fn quoting(self) -> Quoting {
        if self.is_document() { Quoting::Document } else { Quoting::Double }
    }
}

/// How the place is quoted where an expansion stands.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Quoting {
    None,
    Double,
    Document,
}

/// Parts that grow; neighbours of one kind become one.
#[derive(Default)]
pub(super) struct Parts(WordParts);

impl Parts {
    pub(super) fn push(&mut self, part: Part) {
        self.0.push(part);
    }

    pub(super) fn literal(&mut self, text: &str) {
        match self.0.last_mut() {
            _ if text.is_empty() => {}
            Some(Part::Literal(last)) => last.push_str(text),
            _ => self.push(Part::Literal(text.into())),
        }
    }

    pub(super) fn extend(&mut self, parts: Vec<Part>) {
        for part in parts {
            match part {
                Part::Quoted { text, step } => self.quoted(&text, step),
                part => self.push(part),
            }
        }
    }

    pub(super) fn finish(self) -> WordParts {
        self.0
    }

    /// An empty text counts: `''` is a word.
    fn quoted(&mut self, text: &str, step: Step) {
        match self.0.last_mut() {
            Some(Part::Quoted { text: last, step: how }) if *how == step => last.push_str(text),
            _ => self.push(Part::Quoted { text: text.into(), step }),
        }
    }
}

/// The text of a word in which nothing is quoted or expanded.
pub(super) fn as_literal(word: &Word) -> Option<String> {
    let mut out: Option<String> = None;
    for part in &word.parts {
        match part {
            Part::Literal(text) => out.get_or_insert_default().push_str(text),
            // A line continuation.
            Part::Quoted { text, step: Step::Backslash } if text.is_empty() => {}
            _ => return None,
        }
    }
    out
}

/// Whether nothing in it is expanded.
pub(super) fn is_constant(word: &Word) -> bool {
    word.parts.iter().all(|part| matches!(part, Part::Literal(_) | Part::Quoted { .. }))
}

impl Parser<'_, '_> {
    /// `None` where no word starts.
    pub(super) fn word(&mut self) -> Option<Word> {
        let word = self.word_up_to(Stop::Word);
        (!word.parts.is_empty()).then_some(word)
    }

    pub(super) fn word_up_to(&mut self, stop: Stop) -> Word {
        self.cursor.peek();
        let start = self.cursor.at();
        let parts = self.unquoted(stop);
        self.count_node();
        Word { parts, span: self.span_from(start) }
    }

    pub(super) fn quoted_word(&mut self, close: Close) -> Word {
        let start = self.cursor.at();
        let parts = self.quoted(close).into();
        self.count_node();
        Word { parts, span: self.span_from(start) }
    }

    /// `[…]` of an array, without the brackets. Its opening one was consumed.
    pub(super) fn index(&mut self) -> Word {
        self.word_up_to(Stop::Bracket)
    }

    fn unquoted(&mut self, stop: Stop) -> WordParts {
        let mut parts = Parts::default();
        let mut nested = 0_usize;
        let mut joined = false;
        loop {
            let continuations = self.cursor.continuations();
            let Some(byte) = self.cursor.peek() else { break };
            if stop == Stop::Word && is_plain(byte) {
                joined |= self.cursor.continuations() > continuations && !parts.0.is_empty();
                parts.literal(self.cursor.take_while(is_plain));
                continue;
            }
            let substitutes = matches!(byte, b'<' | b'>')
                && matches!(stop, Stop::Word | Stop::Regex)
                && self.state.dialect == Dialect::Bash
                && self.cursor.second() == Some(b'(');
            if !substitutes && self.stops(stop, byte, &mut nested) {
                break;
            }
            joined |= self.cursor.continuations() > continuations && !parts.0.is_empty();
            match byte {
                _ if substitutes => self.process(&mut parts),
                b'\\' => {
                    self.cursor.bump();
                    match self.cursor.take_char() {
                        "" => parts.literal("\\"),
                        character => parts.quoted(character, Step::Backslash),
                    }
                }
                b'\'' => {
                    self.cursor.bump();
                    let (text, _) = self.cursor.take_until('\'');
                    parts.quoted(text, Step::Quotes);
                }
                b'"' => {
                    self.cursor.bump();
                    self.count_node();
                    let inner = self.quoted(Close::Quote);
                    parts.push(Part::Double(inner));
                }
                b'`' => self.backtick(&mut parts, Quoting::None),
                b'$' => self.dollar(&mut parts, Quoting::None),
                b'?' | b'*' | b'+' | b'@' | b'!' if self.opens_pattern(stop) => {
                    self.extended(&mut parts, char::from(byte));
                }
                byte if is_plain(byte) => parts.literal(self.cursor.take_while(is_plain)),
                // A character of an operator that is none here.
                _ => parts.literal(self.cursor.take_char()),
            }
        }
        // So that it is told how the word came about; behind a lone tilde it would quote it.
        if joined
            && stop == Stop::Word
            && matches!(parts.0.last(), Some(Part::Literal(text)) if !text.starts_with('~'))
        {
            parts.quoted("", Step::Backslash);
        }
        parts.0
    }

    /// Whether an unquoted byte ends the parts. Counts brackets within each other.
    fn stops(&mut self, stop: Stop, byte: u8, nested: &mut usize) -> bool {
        let (opening, closing) = match stop {
            Stop::Word => return ends_word(byte),
            Stop::Brace { slash, .. } => return byte == b'}' || slash && byte == b'/',
            Stop::Regex => {
                let ends = match byte {
                    b'\n' => true,
                    b' ' | b'\t' | b';' => *nested == 0,
                    b'&' | b'|' => *nested == 0 && self.cursor.second() == Some(byte),
                    _ => false,
                };
                if ends {
                    return true;
                }
                (b'(', b')')
            }
            Stop::Alternative => {
                if byte == b'|' && *nested == 0 {
                    return true;
                }
                (b'(', b')')
            }
            Stop::Bracket => (b'[', b']'),
        };
        if byte == opening {
            *nested += 1;
        } else if byte == closing {
            match nested.checked_sub(1) {
                Some(less) => *nested = less,
                None => return true,
            }
        }
        false
    }

    /// `?(` and the like; `f+() {` is the head of a function.
    fn opens_pattern(&mut self, stop: Stop) -> bool {
        if self.cursor.second() != Some(b'(')
            || !matches!(stop, Stop::Word | Stop::Alternative | Stop::Brace { pattern: true, .. })
        {
            return false;
        }
        let mut ahead = self.cursor;
        ahead.bump();
        ahead.peek();
        ahead.bump();
        while matches!(ahead.peek(), Some(b' ' | b'\t')) {
            ahead.bump();
        }
        if stop != Stop::Word || ahead.peek() != Some(b')') {
            return true;
        }
        ahead.bump();
        // A head of a function is not followed by more of a word.
        ahead.peek().is_some_and(|byte| byte != b'{' && !ends_word(byte))
    }

    fn extended(&mut self, parts: &mut Parts, kind: char) {
        self.cursor.bump();
        self.cursor.eat("(");
        if !self.enter() {
            self.skip_balanced(b'(', b')');
            return;
        }
        let mut alternatives = Vec::new();
        loop {
            alternatives.push(self.word_up_to(Stop::Alternative));
            if !self.cursor.eat("|") {
                break;
            }
        }
        self.cursor.eat(")");
        self.leave();
        parts.push(Part::Extended { kind, alternatives });
    }

    /// `<(…)`, `>(…)`
    fn process(&mut self, parts: &mut Parts) {
        let input = self.cursor.peek() == Some(b'<');
        self.cursor.bump();
        self.cursor.eat("(");
        let script = self.substitution(Closers::PARENTHESIS);
        self.count_node();
        parts.push(if input { Part::ProcessInput(script) } else { Part::ProcessOutput(script) });
    }

    /// Commands up to `)` or `}`, which is consumed.
    pub(super) fn substitution(&mut self, closer: Closers) -> Script {
        if !self.enter() {
            match closer {
                Closers::BRACE => self.skip_balanced(b'{', b'}'),
                _ => self.skip_balanced(b'(', b')'),
            }
            return Script { items: Vec::new(), incomplete: true };
        }
        let around = std::mem::take(&mut self.open);
        let mut pending = std::mem::take(&mut self.pending);
        self.substitutions += 1;
        let script = self.list(closer);
        self.substitutions -= 1;
        self.open = around;
        // Only bash lets a here-document start behind the substitution.
        if self.state.dialect == Dialect::Bash {
            self.state.differs |= !self.pending.is_empty();
            pending.append(&mut self.pending);
        }
        self.pending = pending;
        self.skip_blanks();
        let closed = self.cursor.eat(if closer == Closers::BRACE { "}" } else { ")" });
        self.state.unclosed |= !closed;
        self.leave();
        script
    }

    pub(super) fn backtick(&mut self, parts: &mut Parts, quoting: Quoting) {
        let start = self.cursor.at();
        self.cursor.bump();
        let rest = self.cursor.rest();
        let mut inner = String::new();
        let mut copied = 0;
        let mut at = 0;
        let mut closed = false;
        while let Some(found) = rest.get(at..).and_then(|rest| rest.find(['`', '\\'])) {
            at += found;
            if rest.as_bytes().get(at) == Some(&b'`') {
                closed = true;
                break;
            }
            let unescapes = match rest.as_bytes().get(at + 1) {
                Some(b'`' | b'\\' | b'$') => true,
                Some(b'"') => quoting == Quoting::Double,
                _ => false,
            };
            if unescapes {
                inner.push_str(rest.get(copied..at).unwrap_or_default());
                copied = at + 1;
                at += 2;
            } else {
                at += 1;
            }
        }
        self.state.unclosed |= !closed;
        let end = if closed { at } else { rest.len() };
        inner.push_str(rest.get(copied..end).unwrap_or_default());
        self.cursor.go_to(self.cursor.at() + end + usize::from(closed));
        self.count_node();
        let script = if self.spend(inner.len()) {
            let span = self.span_from(start);
            self.inner_script(&inner, span)
        } else {
            Script { items: Vec::new(), incomplete: true }
        };
        parts.push(Part::Command(script));
    }

    /// Parts within double quotes and what works like them.
    pub(super) fn quoted(&mut self, close: Close) -> Vec<Part> {
        let step = close.step();
        let mut parts = Parts::default();
        let mut nested = 0_usize;
        while let Some(byte) = self.cursor.peek() {
            match byte {
                b'"' if close == Close::Quote => {
                    self.cursor.bump();
                    break;
                }
                b'}' if close == Close::Brace => break,
                b';' if close == Close::Semicolon && nested == 0 => break,
                b':' | b'}' if close == Close::Offset && nested == 0 => break,
                b'\\' => {
                    self.cursor.bump();
                    self.escaped(&mut parts, close);
                }
                // Bash alone knows its own quotes there.
                b'$' if close == Close::Brace
                    && matches!(self.cursor.second(), Some(b'\'' | b'"')) =>
                {
                    self.dollar(&mut parts, Quoting::None);
                }
                b'$' => self.dollar(&mut parts, close.quoting()),
                b'`' => self.backtick(&mut parts, close.quoting()),
                b'"' if close == Close::Brace => {
                    self.cursor.bump();
                    self.count_node();
                    let inner = self.quoted(Close::Quote);
                    parts.push(Part::Double(inner));
                }
                b'\'' if close == Close::Brace && self.protects() => {
                    parts.quoted(self.cursor.take_char(), step);
                    let length = self.cursor.rest().find('\'').unwrap_or(0);
                    let end = self.cursor.at() + length;
                    let inner = self.up_to(end, |parser| parser.quoted(Close::Protected));
                    parts.extend(inner);
                    parts.quoted(self.cursor.take_char(), step);
                }
                b'\n' if close == Close::Line => {
                    parts.quoted(self.cursor.take_char(), step);
                    break;
                }
                b'"' if close.is_arithmetic() => self.cursor.bump(),
                b'\'' if close == Close::Offset => self.cursor.bump(),
                _ => {
                    match byte {
                        b'(' | b'?' if close.is_arithmetic() => nested += 1,
                        // The colon of a `?` ends here, as does a parenthesis.
                        b')' | b':' if close.is_arithmetic() => nested = nested.saturating_sub(1),
                        _ => {}
                    }
                    let text = self.cursor.take_char();
                    parts.quoted(text, step);
                    let plain = self.cursor.take_while(|byte| {
                        !matches!(
                            byte,
                            b'\\'
                                | b'$'
                                | b'`'
                                | b'"'
                                | b'\''
                                | b'}'
                                | b';'
                                | b':'
                                | b'('
                                | b')'
                                | b'?'
                                | b'\n'
                        )
                    });
                    parts.quoted(plain, step);
                }
            }
        }
        parts.0.into_vec()
    }

    /// At a `'` within `"${…}"`: whether there is another one, so that `}` between them is none for
    /// bash. The quotes stay characters.
    fn protects(&mut self) -> bool {
        if self.state.dialect == Dialect::Posix || !self.may_scan() {
            return false;
        }
        let inside = self.cursor.rest().get(1..).unwrap_or_default();
        let found = inside.find('\'');
        let between = found.and_then(|length| inside.get(..length));
        self.state.differs |= between.is_none_or(|between| between.contains(['}', '"', '`', '(']));
        self.spend(found.unwrap_or(inside.len())) && found.is_some()
    }

    /// Behind a backslash within double quotes.
    fn escaped(&mut self, parts: &mut Parts, close: Close) {
        let escapes = match self.cursor.raw() {
            Some(b'$' | b'`' | b'\\') => true,
            Some(b'"') => !close.is_document(),
            Some(b'}') => close == Close::Brace,
            _ => false,
        };
        if escapes {
            parts.quoted(self.cursor.take_char(), close.step());
        } else {
            parts.quoted("\\", close.step());
        }
    }

    /// At a `$`: an expansion, or the character.
    pub(super) fn dollar(&mut self, parts: &mut Parts, quoting: Quoting) {
        self.cursor.bump();
        self.count_node();
        let bash = self.state.dialect == Dialect::Bash;
        match self.cursor.peek() {
            Some(b'\'') if quoting == Quoting::None && bash => {
                self.cursor.bump();
                let decoded = ansi::decode(self.cursor.rest());
                self.cursor.go_to(self.cursor.at() + decoded.length);
                self.state.differs |= decoded.escaped_quote;
                parts.quoted(&decoded.text, Step::AnsiQuotes);
            }
            Some(b'"') if quoting == Quoting::None && bash => {
                self.cursor.bump();
                let inner = self.quoted(Close::Quote);
                parts.push(Part::Double(inner));
            }
            Some(b'(') => {
                self.cursor.bump();
                let mut inside = self.cursor;
                if inside.eat("(") {
                    let outside = std::mem::replace(&mut self.cursor, inside);
                    if let Some(end) = self.arithmetic_end() {
                        let word = self.expression(end);
                        self.cursor.eat("))");
                        parts.push(Part::Arithmetic(Box::new(word)));
                        return;
                    }
                    self.cursor = outside;
                }
                let script = self.substitution(Closers::PARENTHESIS);
                parts.push(Part::Command(script));
            }
            Some(b'[') if bash => self.old_arithmetic(parts, quoting),
            Some(b'{') => {
                self.cursor.bump();
                self.braced(parts, quoting);
            }
            _ => match self.parameter_name(true) {
                Some(name) => parts.push(super::parameter::plain(name)),
                None => plain_dollar(parts, quoting),
            },
        }
    }

    /// `$[…]`
    fn old_arithmetic(&mut self, parts: &mut Parts, quoting: Quoting) {
        let outside: Cursor<'_> = self.cursor;
        self.cursor.bump();
        let Some(end) = self.bracket_end() else {
            self.cursor = outside;
            return plain_dollar(parts, quoting);
        };
        let text = self.cursor.slice(self.cursor.at(), end);
        let separates = |byte: u8| matches!(byte, b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(');
        self.state.differs |= quoting == Quoting::None && text.bytes().any(separates);
        let word = self.expression(end);
        self.cursor.eat("]");
        parts.push(Part::Arithmetic(Box::new(word)));
    }

    /// Arithmetic up to `end`.
    pub(super) fn expression(&mut self, end: usize) -> Word {
        let start = self.cursor.at();
        let span = self.place.unwrap_or(Span::new(start, end));
        if !self.enter() {
            self.cursor.go_to(end);
            return Word { parts: WordParts::new(), span };
        }
        let parts = self.up_to(end, |parser| parser.quoted(Close::Expression)).into();
        self.leave();
        self.count_node();
        Word { parts, span }
    }

    /// Whether a shell without arithmetic commands may find commands before `end`.
    pub(super) fn may_be_commands(&self, end: usize) -> bool {
        !is_plainly_arithmetic(self.cursor.slice(self.cursor.at(), end))
    }
}

/// A `$` that nothing makes an expansion.
fn plain_dollar(parts: &mut Parts, quoting: Quoting) {
    match quoting {
        Quoting::None => parts.literal("$"),
        Quoting::Double => parts.quoted("$", Step::Quotes),
        Quoting::Document => parts.quoted("$", Step::HereDocument),
    }
}

/// Characters of which none is special anywhere outside quotes.
fn is_plain(byte: u8) -> bool {
    PLAIN[usize::from(byte)]
}

static PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        plain[byte] = has_no_meaning(byte as u8);
        byte += 1;
    }
    plain
};

const fn has_no_meaning(byte: u8) -> bool {
    !ends_word(byte)
        && !matches!(
            byte,
            b'\\'
                | b'\''
                | b'"'
                | b'`'
                | b'$'
                | b'?'
                | b'*'
                | b'+'
                | b'@'
                | b'!'
                | b'}'
                | b'/'
                | b'['
                | b']'
        )
}
