//! Expressions within string literals: where they end, and what they are as code.

use super::Language;
use super::lex::{Lexer, Piece};
use super::quote::{Interpolation, flush};
use crate::audit::shell::text::Text;

impl<'s> Lexer<'s> {
    /// `{expression!r:spec}` of an f-string.
    pub fn python_field(&mut self, text: &mut Text, pieces: &mut Vec<Piece>) {
        let Some(inner) = self.bracketed(1) else {
            text.push_hole();
            self.at += 1;
            return;
        };
        flush(text, pieces);
        let (expression, spec) = split_field(inner);
        let expression = expression.strip_suffix('=').unwrap_or(expression);
        let code =
            if spec.ends_with('c') { format!("chr({expression})") } else { expression.to_owned() };
        pieces.push(Piece::Code(code));
        self.at += inner.len() + 2;
    }

    /// An expression within a string, consumed; `None` leaves the character to stand for itself.
    pub fn expression(&mut self, style: Interpolation) -> Option<String> {
        let (first, second) = (self.byte(0)?, self.byte(1)?);
        match (style, first, second) {
            (Interpolation::Dollar, b'$', b'{') | (Interpolation::Hash, b'#', b'{') => {
                let inner = self.bracketed(2)?.to_owned();
                self.at += inner.len() + 3;
                Some(inner)
            }
            (Interpolation::Hash, b'#', b'$' | b'@') => {
                self.at += 1;
                let start = self.at;
                self.at += 1 + usize::from(self.byte(1) == Some(b'@'));
                self.at += self.identifier_length();
                self.source.get(start..self.at).map(str::to_owned)
            }
            (Interpolation::Sigils, b'{', b'$') if self.language == Language::Php => {
                let inner = self.bracketed(1)?.to_owned();
                self.at += inner.len() + 2;
                Some(inner)
            }
            (Interpolation::Sigils, b'$', _) => self.sigil_expression(),
            (Interpolation::Sigils, b'@', _) if self.language == Language::Perl => {
                self.sigil_expression()
            }
            _ => None,
        }
    }

    /// `$name`, `${name}`, `@{[ … ]}`, with the subscripts that follow.
    pub fn sigil_expression(&mut self) -> Option<String> {
        let sigil = self.source.get(self.at..self.at + 1)?;
        let mut code;
        if self.byte(1) == Some(b'{') {
            let inner = self.bracketed(2)?;
            self.at += inner.len() + 3;
            let name = inner.trim().trim_start_matches('^');
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                return Some(inner.to_owned());
            }
            code = format!("{sigil}{name}");
        } else {
            self.at += 1;
            let mut length = self.identifier_length();
            if let Some(at) = self.rest().get(..length).and_then(|name| name.find("::"))
                && self.language == Language::Perl
                && at + 2 == length
            {
                length = at;
            }
            let special = length == 0
                && sigil == "$"
                && self.language == Language::Perl
                && self.byte(0).is_some_and(|b| b.is_ascii_digit() || b"&!$@,;/".contains(&b));
            if special {
                length = 1;
            }
            if length == 0 {
                self.at -= 1;
                return None;
            }
            code = format!("{sigil}{}", self.rest().get(..length)?);
            self.at += length;
        }
        self.subscripts(&mut code);
        Some(code)
    }

    pub fn subscripts(&mut self, code: &mut String) {
        let perl = self.language == Language::Perl;
        for _ in 0..8 {
            let arrow = if self.rest().starts_with("->") { 2 } else { 0 };
            match self.byte(arrow) {
                // Whoever writes `$a[` in Perl or PHP means an element.
                Some(b'[') => {}
                Some(b'{') if perl => {}
                Some(byte) if arrow > 0 && !perl && byte.is_ascii_alphabetic() => {
                    self.at += 2;
                    let length = self.identifier_length();
                    code.push_str("->");
                    code.push_str(self.rest().get(..length).unwrap_or(""));
                    self.at += length;
                    continue;
                }
                _ => return,
            }
            let Some(inner) = self.bracketed(arrow + 1) else { return };
            let bare = inner.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
            if !perl && bare {
                code.push_str(&format!("['{inner}']"));
            } else {
                let length = arrow + inner.len() + 2;
                code.push_str(self.rest().get(..length).unwrap_or(""));
            }
            self.at += arrow + inner.len() + 2;
        }
    }

    /// What stands between the bracket that ends before `offset` and the one that closes it.
    pub fn bracketed(&mut self, offset: usize) -> Option<&'s str> {
        if self.unclosed {
            return None;
        }
        let rest = self.source.get(self.at + offset..)?;
        let bytes = rest.as_bytes();
        let (open, close) = match self.source.as_bytes().get(self.at + offset - 1) {
            Some(b'[') => (b'[', b']'),
            _ => (b'{', b'}'),
        };
        let mut depth = 0_usize;
        let mut at = 0;
        // Quotes that are never closed are looked for once each.
        let mut unpaired = [false; 3];
        while let Some(byte) = bytes.get(at).copied() {
            match byte {
                b'\\' => at += 1,
                b'\'' | b'"' | b'`' => {
                    let which = usize::from(byte == b'"') + 2 * usize::from(byte == b'`');
                    if let Some(flag) = unpaired.get_mut(which).filter(|flag| !**flag) {
                        match quote_end(bytes, at) {
                            Some(end) => at = end,
                            None => *flag = true,
                        }
                    }
                }
                _ if byte == open => depth += 1,
                _ if byte == close && depth == 0 => return rest.get(..at),
                _ if byte == close => depth -= 1,
                _ => {}
            }
            at += 1;
        }
        self.unclosed = true;
        None
    }
}

/// The place of the quote that ends the string which begins at `from`.
pub(super) fn quote_end(bytes: &[u8], from: usize) -> Option<usize> {
    let quote = *bytes.get(from)?;
    let mut at = from + 1;
    loop {
        match bytes.get(at)? {
            b'\\' => at += 1,
            byte if *byte == quote => return Some(at),
            _ => {}
        }
        at += 1;
    }
}

/// An f-string's field: the expression and its format.
pub(super) fn split_field(field: &str) -> (&str, &str) {
    let mut depth = 0_i32;
    let mut quote = None;
    let bytes = field.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match (quote, byte) {
            (Some(open), byte) if open == *byte => quote = None,
            (Some(_), _) => {}
            (None, b'\'' | b'"') => quote = Some(*byte),
            (None, b'(' | b'[' | b'{') => depth += 1,
            (None, b')' | b']' | b'}') => depth -= 1,
            (None, b'!') if depth == 0 && bytes.get(at + 1) != Some(&b'=') => {
                return (field.get(..at).unwrap_or(""), "");
            }
            (None, b':') if depth == 0 => {
                return (field.get(..at).unwrap_or(""), field.get(at + 1..).unwrap_or(""));
            }
            _ => {}
        }
    }
    (field, "")
}
