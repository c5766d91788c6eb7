//! String literals of each language: quotes, escapes, interpolation.
//!
//! Owns where a literal ends and what its characters are. Expressions within it are kept as
//! written; evaluating them is for the folder. A literal that no quote ends takes the rest of the
//! line or of the code, as the language has it.
//!
//! Sources: the languages' reference manuals, chapters on lexical structure (perlop, perlre).

use super::Language;
use super::escape::escape;
use super::lex::{Case, Kind, Lexer, Piece};
use crate::audit::shell::text::{Step, Steps, Text};

/// Longest flags of a regular expression, longest names in `\N{…}`.
pub(super) const WORD_MAX: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escapes {
    /// A backslash is one; it still keeps a quote from ending the literal.
    Raw,
    /// Nothing at all is special.
    Verbatim,
    /// Before the delimiter or another backslash only.
    Delimiter,
    Full,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interpolation {
    None,
    /// `$name`, `@name`, `${…}` (Perl, PHP)
    Sigils,
    /// `#{…}`
    Hash,
    /// `${…}`
    Dollar,
    /// `{…}`
    Braces,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Style<'e> {
    /// Empty: the end of the source.
    end: &'e str,
    /// A bracket that nests.
    nested: Option<char>,
    escapes: Escapes,
    interpolation: Interpolation,
    /// A line's end ends it, too.
    one_line: bool,
}

impl<'e> Style<'e> {
    pub const fn new(end: &'e str, escapes: Escapes, interpolation: Interpolation) -> Style<'e> {
        Style { end, nested: None, escapes, interpolation, one_line: false }
    }
}

impl<'s> Lexer<'s> {
    /// The literal that begins here, if one does.
    pub fn literal(&mut self) -> Option<Kind> {
        let byte = self.byte(0)?;
        match self.language {
            Language::Python => match byte {
                b'\'' | b'"' => Some(self.python("")),
                _ => None,
            },
            Language::Node => match byte {
                b'\'' | b'"' => Some(self.simple(byte, Escapes::Full, true)),
                b'`' => {
                    self.at += 1;
                    let style = Style::new("`", Escapes::Full, Interpolation::Dollar);
                    Some(template(self.body(style)))
                }
                b'/' => self.pattern(),
                _ => None,
            },
            Language::Lua => match byte {
                b'\'' | b'"' => Some(self.simple(byte, Escapes::Full, true)),
                b'[' => self.long_bracket(),
                _ => None,
            },
            Language::Awk => match byte {
                b'"' => Some(self.simple(byte, Escapes::Full, true)),
                b'/' => self.pattern(),
                _ => None,
            },
            Language::Php => match byte {
                b'\'' => Some(self.simple(byte, Escapes::Delimiter, false)),
                b'"' | b'`' => Some(self.interpolated(byte)),
                b'<' => self.document(),
                _ => None,
            },
            Language::Perl => match byte {
                b'\'' => Some(self.simple(byte, Escapes::Delimiter, false)),
                b'"' | b'`' => Some(self.interpolated(byte)),
                b'<' if !self.after_value => self.document().or_else(|| self.angle()),
                b'/' => self.pattern(),
                _ => None,
            },
            Language::Ruby => match byte {
                b'\'' => Some(self.simple(byte, Escapes::Delimiter, false)),
                b'"' | b'`' => Some(self.interpolated(byte)),
                b'<' => self.document(),
                b'/' => self.pattern(),
                b'%' => self.ruby_percent(),
                b':' => self.symbol_literal(),
                b'?' if !self.after_value => self.character_literal(),
                _ => None,
            },
        }
    }

    /// A literal that begins with the name that was just read.
    pub fn prefixed_literal(&mut self, name: &str, start: usize) -> Option<Kind> {
        match self.language {
            Language::Python => {
                let quoted = matches!(self.byte(0), Some(b'\'' | b'"'));
                let prefix =
                    name.len() <= 2 && name.bytes().all(|byte| b"rbfutRBFUT".contains(&byte));
                (quoted && prefix).then(|| self.python(name))
            }
            Language::Perl => self.perl_quote(name, start),
            _ => None,
        }
    }

    fn simple(&mut self, quote: u8, escapes: Escapes, one_line: bool) -> Kind {
        self.at += 1;
        let end = char::from(quote).to_string();
        let style = Style { one_line, ..Style::new(&end, escapes, Interpolation::None) };
        template(self.body(style))
    }

    /// A string between double quotes, or a command between backticks.
    fn interpolated(&mut self, quote: u8) -> Kind {
        self.at += 1;
        let end = char::from(quote).to_string();
        let pieces = self.body(Style::new(&end, Escapes::Full, self.interpolation()));
        if quote == b'`' { Kind::Command(pieces) } else { template(pieces) }
    }

    pub fn interpolation(&self) -> Interpolation {
        match self.language {
            Language::Ruby => Interpolation::Hash,
            _ => Interpolation::Sigils,
        }
    }

    fn python(&mut self, prefix: &str) -> Kind {
        let quote = self.rest().get(..1).unwrap_or("'");
        let triple = quote.repeat(3);
        let long = self.rest().starts_with(&triple);
        let end = if long { &*triple } else { quote };
        self.at += end.len();
        let has = |letter: char| prefix.to_ascii_lowercase().contains(letter);
        let escapes = if has('r') { Escapes::Raw } else { Escapes::Full };
        let braces = has('f') || has('t');
        let interpolation = if braces { Interpolation::Braces } else { Interpolation::None };
        template(self.body(Style { one_line: !long, ..Style::new(end, escapes, interpolation) }))
    }

    fn long_bracket(&mut self) -> Option<Kind> {
        let rest = self.rest();
        let level = rest.bytes().skip(1).take_while(|byte| *byte == b'=').count();
        if rest.as_bytes().get(1 + level) != Some(&b'[') {
            return None;
        }
        self.at += level + 2;
        if self.byte(0) == Some(b'\n') {
            self.at += 1;
        }
        let end = format!("]{}]", "=".repeat(level));
        let style = Style::new(&end, Escapes::Verbatim, Interpolation::None);
        Some(template(self.body(style)))
    }

    /// The part of a literal behind an opening delimiter, which is consumed with the closing one.
    fn delimited(&mut self, escapes: Escapes, interpolation: Interpolation) -> Vec<Piece> {
        let Some(open) = self.character() else { return Vec::new() };
        self.at += open.len_utf8();
        let close = closing(open);
        let end = close.to_string();
        let nested = (close != open).then_some(open);
        self.body(Style { nested, ..Style::new(&end, escapes, interpolation) })
    }

    fn raw_part(&mut self) -> String {
        plain(self.delimited(Escapes::Raw, Interpolation::None))
    }

    /// Perl's `q`, `qq`, `qw`, `qx`, `m`, `qr`, `s`, `tr`, `y`, and version strings.
    fn perl_quote(&mut self, name: &str, start: usize) -> Option<Kind> {
        if let Some(digits) = name.strip_prefix('v').filter(|rest| is_number(rest)) {
            return self.version_string(digits);
        }
        if !matches!(name, "q" | "qq" | "qw" | "qx" | "qr" | "m" | "s" | "tr" | "y") {
            return None;
        }
        // A key of a hash or a method is a name.
        let before = self.source.get(..start).unwrap_or("").trim_end();
        let rest = self.rest();
        let spaces = rest.len() - rest.trim_start().len();
        let delimiter = rest.get(spaces..)?.chars().next()?;
        let next = rest.get(spaces + delimiter.len_utf8()..).unwrap_or("");
        let is_key = before.ends_with('{') && delimiter == '}'
            || before.ends_with("->")
            || delimiter == '=' && (next.starts_with('>') || spaces > 0)
            || spaces > 0 && delimiter == '#'
            || spaces == 0 && delimiter.is_alphanumeric()
            || spaces > 0 && matches!(delimiter, ',' | ';' | ')');
        if is_key {
            return None;
        }
        self.at += spaces;
        let literal = delimiter == '\'';
        let sigils = if literal { Interpolation::None } else { Interpolation::Sigils };
        Some(match name {
            "q" => template(self.delimited(Escapes::Delimiter, Interpolation::None)),
            "qq" => template(self.delimited(Escapes::Full, Interpolation::Sigils)),
            "qx" => Kind::Command(self.delimited(Escapes::Full, sigils)),
            "qw" => {
                let words = plain(self.delimited(Escapes::Delimiter, Interpolation::None));
                Kind::Words(words.split_whitespace().map(str::to_owned).collect())
            }
            "m" | "qr" => {
                let body = self.raw_part();
                Kind::Pattern(body, self.flags())
            }
            _ => {
                let from = self.raw_part();
                if closing(delimiter) == delimiter {
                    // One delimiter stands between the two parts.
                    self.at = self.at.saturating_sub(delimiter.len_utf8());
                } else {
                    let rest = self.rest();
                    self.at += rest.len() - rest.trim_start().len();
                }
                let to = self.raw_part();
                let flags = self.flags();
                if name == "s" {
                    Kind::Substitute(from, to, flags)
                } else {
                    let decoded = |text: &str| decoded(self.language, text);
                    Kind::Transliterate(decoded(&from), decoded(&to), flags)
                }
            }
        })
    }

    fn version_string(&mut self, first: &str) -> Option<Kind> {
        let mut numbers = vec![first.to_owned()];
        while self.byte(0) == Some(b'.') && self.byte(1).is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
            let digits = self.rest().bytes().take_while(u8::is_ascii_digit).count();
            numbers.push(self.rest().get(..digits)?.to_owned());
            self.at += digits;
        }
        let text: Option<String> =
            numbers.iter().map(|number| char::from_u32(number.parse().ok()?)).collect();
        let mut text = Text::literal(text?);
        text.steps = escape_steps();
        Some(Kind::Text(text))
    }

    fn flags(&mut self) -> String {
        let length = self.rest().bytes().take(WORD_MAX).take_while(u8::is_ascii_alphabetic).count();
        let flags = self.rest().get(..length).unwrap_or("").to_owned();
        self.at += length;
        flags
    }

    /// `/…/` where a value is expected, on one line.
    fn pattern(&mut self) -> Option<Kind> {
        if self.after_value || self.at < self.no_pattern_until {
            return None;
        }
        let body = self.rest().as_bytes().get(1..)?;
        let mut in_class = false;
        let mut at = 0;
        let end = loop {
            match body.get(at) {
                None | Some(b'\n') => break None,
                Some(b'\\') => at += 1,
                Some(b'[') => in_class = true,
                Some(b']') => in_class = false,
                Some(b'/') if !in_class => break Some(at),
                _ => {}
            }
            at += 1;
        };
        let Some(end) = end else {
            self.no_pattern_until = self.at + at;
            return None;
        };
        let text = self.rest().get(1..end + 1)?.to_owned();
        self.at += end + 2;
        Some(Kind::Pattern(text, self.flags()))
    }

    /// Perl's `<…>`: a glob where it holds no plain name. The pattern is given to `glob`.
    fn angle(&mut self) -> Option<Kind> {
        let rest = self.rest();
        let end = rest.bytes().take(4 * WORD_MAX).position(|byte| byte == b'>')?;
        let inner = rest.get(1..end)?;
        let is_glob = inner.contains(['/', '*', '?']) && !inner.contains([' ', ';', '=', '(']);
        if !is_glob {
            return None;
        }
        self.at += end + 1;
        Some(Kind::Template(vec![Piece::Code(format!("glob(\"{inner}\")"))]))
    }

    /// Ruby's `%w[…]`, `%q(…)`, `%(…)` and the like.
    fn ruby_percent(&mut self) -> Option<Kind> {
        let letter = self.byte(1)?;
        let (skip, delimiter) = match letter {
            b'w' | b'W' | b'q' | b'Q' | b'x' | b'i' | b'I' | b'r' | b's' => (2, self.byte(2)?),
            _ => (1, letter),
        };
        let bracket = matches!(delimiter, b'(' | b'[' | b'{' | b'<' | b'|' | b'/' | b'!' | b'^');
        let other = skip == 2 && delimiter.is_ascii_punctuation();
        if self.after_value && (skip == 1 || !bracket) || !(bracket || other) {
            return None;
        }
        self.at += skip;
        let kind = if skip == 1 { b'Q' } else { letter };
        Some(match kind {
            b'w' | b'W' | b'i' | b'I' => {
                let words = plain(self.delimited(Escapes::Delimiter, Interpolation::None));
                Kind::Words(words.split_whitespace().map(str::to_owned).collect())
            }
            b'q' | b's' => template(self.delimited(Escapes::Delimiter, Interpolation::None)),
            b'x' => Kind::Command(self.delimited(Escapes::Full, Interpolation::Hash)),
            b'r' => {
                let body = self.raw_part();
                Kind::Pattern(body, self.flags())
            }
            _ => template(self.delimited(Escapes::Full, Interpolation::Hash)),
        })
    }

    /// `:name` and `:"name"`, which stand for their name.
    fn symbol_literal(&mut self) -> Option<Kind> {
        if self.after_value || self.byte(1) == Some(b':') {
            return None;
        }
        if self.byte(1) == Some(b'"') {
            self.at += 1;
            return Some(self.interpolated(b'"'));
        }
        self.at += 1;
        let length = self.identifier_length();
        if length == 0 {
            // `:+` and the like name an operator.
            if let Some(operator) = self.character().filter(|c| "+-*/<[^".contains(*c)) {
                self.at += operator.len_utf8();
                return Some(Kind::Text(Text::of_char(operator)));
            }
            self.at -= 1;
            return None;
        }
        let name = self.rest().get(..length)?.to_owned();
        self.at += length;
        Some(Kind::Text(Text::literal(name)))
    }

    /// `?a`
    fn character_literal(&mut self) -> Option<Kind> {
        let character = self.source.get(self.at + 1..)?.chars().next()?;
        let after = self.source.get(self.at + 1 + character.len_utf8()..)?.chars().next();
        let ends = after.is_none_or(|c| !c.is_alphanumeric() && c != '_');
        if character.is_whitespace() || character == '\\' || !ends {
            return None;
        }
        self.at += 1 + character.len_utf8();
        Some(Kind::Text(Text::of_char(character)))
    }

    /// The pieces up to the literal's end, which is consumed.
    pub fn body(&mut self, style: Style<'_>) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut text = Text::new();
        let mut depth = 0_usize;
        while let Some(character) = self.character() {
            let ended = depth == 0 && !style.end.is_empty() && self.rest().starts_with(style.end);
            if ended {
                self.at += style.end.len();
                break;
            }
            if character == '\n' && style.one_line {
                break;
            }
            if style.nested == Some(character) {
                depth += 1;
            } else if depth > 0 && style.end.starts_with(character) {
                depth -= 1;
            }
            match character {
                '\\' if style.escapes != Escapes::Verbatim => {
                    self.backslash(style, &mut text, &mut pieces);
                    continue;
                }
                '{' | '}' if style.interpolation == Interpolation::Braces => {
                    if self.byte(1) == Some(character as u8) {
                        self.at += 2;
                        text.push(character);
                        continue;
                    }
                    if character == '{' {
                        self.python_field(&mut text, &mut pieces);
                        continue;
                    }
                }
                '$' | '@' | '#' | '{' => {
                    if let Some(code) = self.expression(style.interpolation) {
                        flush(&mut text, &mut pieces);
                        pieces.push(Piece::Code(code));
                        continue;
                    }
                }
                _ => {}
            }
            text.push(character);
            self.at += character.len_utf8();
        }
        flush(&mut text, &mut pieces);
        pieces
    }

    fn backslash(&mut self, style: Style<'_>, text: &mut Text, pieces: &mut Vec<Piece>) {
        let next = self.source.get(self.at + 1..).and_then(|rest| rest.chars().next());
        let Some(next) = next else {
            text.push('\\');
            self.at += 1;
            return;
        };
        let is_delimiter = style.end.starts_with(next) || style.nested == Some(next);
        match style.escapes {
            Escapes::Full => {
                if self.language == Language::Perl
                    && let Some(case) = case_escape(next)
                {
                    flush(text, pieces);
                    pieces.push(Piece::Case(case));
                    self.at += 2;
                    return;
                }
                let mut decoded = Text::new();
                self.at += escape(self.language, self.rest(), &mut decoded);
                text.append(&decoded);
                text.steps.extend(escape_steps());
            }
            Escapes::Delimiter if is_delimiter || next == '\\' => {
                text.push(next);
                text.steps.extend(escape_steps());
                self.at += 1 + next.len_utf8();
            }
            _ => {
                text.push('\\');
                text.push(next);
                self.at += 1 + next.len_utf8();
            }
        }
    }
}

fn closing(open: char) -> char {
    match open {
        '(' => ')',
        '[' => ']',
        '{' => '}',
        '<' => '>',
        same => same,
    }
}

fn case_escape(letter: char) -> Option<Case> {
    Some(match letter {
        'U' => Case::Upper,
        'L' => Case::Lower,
        'E' | 'Q' => Case::End,
        'u' => Case::UpperNext,
        'l' => Case::LowerNext,
        _ => return None,
    })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// What decoding an escape leaves on a text.
fn escape_steps() -> Steps {
    Steps::of(Step::EscapesDecoded).with(Step::OtherLanguage)
}

pub(super) fn flush(text: &mut Text, pieces: &mut Vec<Piece>) {
    if !text.is_empty() {
        pieces.push(Piece::Text(std::mem::take(text)));
    }
}

pub(super) fn template(mut pieces: Vec<Piece>) -> Kind {
    match pieces.as_slice() {
        [] => Kind::Text(Text::new()),
        [Piece::Text(_)] => match pieces.pop() {
            Some(Piece::Text(text)) => Kind::Text(text),
            _ => Kind::Text(Text::new()),
        },
        _ => Kind::Template(pieces),
    }
}

fn plain(pieces: Vec<Piece>) -> String {
    pieces
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) => text.as_str(),
            _ => "",
        })
        .collect()
}

/// All escapes of a text decoded.
pub(super) fn decoded(language: Language, text: &str) -> String {
    let mut lexer = Lexer::new(language, text);
    let pieces = lexer.body(Style::new("", Escapes::Full, Interpolation::None));
    plain(pieces)
}
