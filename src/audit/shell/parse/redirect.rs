//! Redirections.

use super::Parser;
use super::document::Pending;
use super::word::as_literal;
use crate::audit::shell::ast::{Part, Redirect, RedirectKind, Span, Word, WordParts};

/// Whether a redirection may be next.
pub(super) const fn begins_redirect(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'{' | b'&' | b'<' | b'>')
}

impl Parser<'_, '_> {
    /// The redirection that is next. `Some(None)`: its target is missing, so it is left out.
    pub(super) fn redirect(&mut self) -> Option<Option<Redirect>> {
        let mut ahead = self.cursor;
        let mut descriptor = None;
        match ahead.peek()? {
            b'0'..=b'9' => {
                let mut number = 0_u32;
                while let Some(digit @ b'0'..=b'9') = ahead.peek() {
                    number = number.checked_mul(10)?.checked_add(u32::from(digit - b'0'))?;
                    ahead.bump();
                }
                descriptor = Some(number);
            }
            b'{' => {
                ahead.bump();
                if ahead.name().is_empty() || !ahead.eat("}") {
                    return None;
                }
            }
            b'&' => {
                if !ahead.eat("&>") {
                    return None;
                }
                ahead.eat(">");
                self.cursor = ahead;
                return Some(self.target(None, RedirectKind::Both));
            }
            b'<' | b'>' => {}
            _ => return None,
        }
        let operator = ahead.peek().filter(|byte| matches!(byte, b'<' | b'>'))?;
        if ahead.second() == Some(b'(') {
            return None;
        }
        ahead.bump();
        let kind = match (operator, ahead.peek()) {
            (b'<', Some(b'<')) => {
                ahead.bump();
                if ahead.eat("<") {
                    RedirectKind::HereString
                } else {
                    let strip = ahead.eat("-");
                    self.cursor = ahead;
                    return Some(self.here_document(descriptor, strip));
                }
            }
            (b'<', Some(b'&')) => {
                ahead.bump();
                RedirectKind::DuplicateInput
            }
            (b'<', Some(b'>')) => {
                ahead.bump();
                RedirectKind::ReadWrite
            }
            (b'<', _) => RedirectKind::Read,
            (_, Some(b'>')) => {
                ahead.bump();
                RedirectKind::Append
            }
            (_, Some(b'&')) => {
                ahead.bump();
                RedirectKind::DuplicateOutput
            }
            (_, next) => {
                if next == Some(b'|') {
                    ahead.bump();
                }
                RedirectKind::Write
            }
        };
        self.cursor = ahead;
        Some(self.target(descriptor, kind))
    }

    fn target(&mut self, descriptor: Option<u32>, kind: RedirectKind) -> Option<Redirect> {
        self.skip_blanks();
        let target = self.word()?;
        let to_file = kind == RedirectKind::DuplicateOutput
            && descriptor.is_none_or(|descriptor| descriptor == 1)
            && names_file(&target);
        let kind = if to_file { RedirectKind::Both } else { kind };
        Some(Redirect { descriptor, kind, target })
    }

    fn here_document(&mut self, descriptor: Option<u32>, strip: bool) -> Option<Redirect> {
        self.skip_blanks();
        let (delimiter, quoted) = self.delimiter()?;
        self.count_node();
        let number = self.bodies.len();
        self.bodies.push(Word::default());
        self.pending.push(Pending { number, delimiter, quoted, strip });
        // The body is put in once it is known; until then its number stands here.
        let target = Word { parts: WordParts::new(), span: Span::new(number, usize::MAX) };
        Some(Redirect { descriptor, kind: RedirectKind::HereDocument, target })
    }

    /// A here-document's delimiter without its quotes, and whether it had any.
    fn delimiter(&mut self) -> Option<(String, bool)> {
        let word = self.cursor.at();
        let mut text = String::new();
        let mut quoted = false;
        while let Some(byte) = self.cursor.peek().filter(|byte| !super::ends_word(*byte)) {
            match byte {
                b'\\' => {
                    self.cursor.bump();
                    text.push_str(self.cursor.take_char());
                }
                b'\'' => {
                    self.cursor.bump();
                    text.push_str(self.cursor.take_until('\'').0);
                }
                b'"' => {
                    self.cursor.bump();
                    while let Some(byte) = self.cursor.peek() {
                        if byte == b'"' {
                            self.cursor.bump();
                            break;
                        }
                        if byte == b'\\'
                            && matches!(self.cursor.second(), Some(b'"' | b'\\' | b'$' | b'`'))
                        {
                            self.cursor.bump();
                        }
                        text.push_str(self.cursor.take_char());
                    }
                }
                b'$' if matches!(self.cursor.second(), Some(b'\'' | b'"')) => {
                    self.cursor.bump();
                    continue;
                }
                _ => {
                    text.push_str(self.cursor.take_char());
                    continue;
                }
            }
            quoted = true;
        }
        (self.cursor.at() > word).then_some((text, quoted))
    }
}

/// Whether the target of `>&` is a file: no number and no `-`, and known not to become one.
fn names_file(target: &Word) -> bool {
    match as_literal(target) {
        Some(text) => {
            let digits = text.trim_end_matches('-');
            !digits.bytes().all(|byte| byte.is_ascii_digit())
        }
        None => match target.parts.first() {
            Some(Part::Literal(text) | Part::Quoted { text, .. }) => {
                text.bytes().any(|byte| !byte.is_ascii_digit())
            }
            Some(Part::Double(parts)) => matches!(parts.first(), Some(Part::Quoted { .. })),
            _ => false,
        },
    }
}
