//! Looking ahead: where `((` ends, whether a word is an assignment, what to skip where nesting is
//! too deep. Owns these questions; the answers are approximate where the text in question has
//! quotes within substitutions, and cost of the allowance what was looked at.

use super::Parser;
use super::cursor::Cursor;

/// What stands left of an assignment's value.
pub(super) struct Target<'a> {
    pub(super) append: bool,
    /// Where the `]` of its index is.
    pub(super) index_end: Option<usize>,
    /// Behind the `=`.
    pub(super) value: Cursor<'a>,
}

impl<'a> Parser<'a, '_> {
    /// Behind `((`: where the first `)` of the `))` is that ends it. `None`: it is no arithmetic.
    pub(super) fn arithmetic_end(&mut self) -> Option<usize> {
        if !self.may_scan() {
            return None;
        }
        let text = self.cursor.rest();
        let (length, closed) = balanced(text, b'(', b')');
        let behind = text.get(length..).unwrap_or_default();
        let closed = closed && {
            let mut behind = Cursor::new(behind);
            behind.bump();
            behind.peek() == Some(b')')
        };
        (self.spend(length) && closed).then_some(self.cursor.at() + length)
    }

    /// Behind `$[`: where its `]` is.
    pub(super) fn bracket_end(&mut self) -> Option<usize> {
        if !self.may_scan() {
            return None;
        }
        let (length, closed) = balanced(self.cursor.rest(), b'[', b']');
        (self.spend(length) && closed).then_some(self.cursor.at() + length)
    }

    /// Behind an opening character: goes behind the closing one, without parsing what is between.
    pub(super) fn skip_balanced(&mut self, opening: u8, closing: u8) {
        let (length, _) = balanced(self.cursor.rest(), opening, closing);
        self.cursor.go_to(self.cursor.at() + length);
        self.cursor.bump();
    }

    /// The assignment that starts at `ahead`, if one does.
    pub(super) fn assignment_target(&mut self, mut ahead: Cursor<'a>) -> Option<Target<'a>> {
        let first = ahead.peek()?;
        if first != b'_' && !first.is_ascii_alphabetic() {
            return None;
        }
        let is_name = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric();
        ahead.take_while(is_name);
        while ahead.peek().is_some_and(is_name) {
            ahead.take_while(is_name);
        }
        match ahead.peek()? {
            b'[' => self.element_target(ahead),
            b'=' | b'+' => behind_equals(ahead, None),
            _ => None,
        }
    }

    /// `[x]=` and `[x]+=`. An index with an operator of commands in it is none: the shells that
    /// have no arrays see that operator.
    pub(super) fn element_target(&mut self, mut ahead: Cursor<'a>) -> Option<Target<'a>> {
        if !self.may_scan() {
            return None;
        }
        let rest = ahead.rest();
        let mut depth = 0_usize;
        let mut at = 0;
        let closed = loop {
            match rest.as_bytes().get(at) {
                None | Some(b'\n' | b';' | b'&' | b'|' | b'<' | b'>') => break None,
                Some(b'\\') => at += 1,
                Some(b'\'') => at += quote_length(rest, at + 1, b'\'').unwrap_or(0),
                Some(b'"') => at += quote_length(rest, at + 1, b'"').unwrap_or(0),
                Some(b'[') => depth += 1,
                Some(b']') => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        break Some(at);
                    }
                }
                _ => {}
            }
            at += 1;
        };
        if !self.spend(at.min(rest.len())) {
            return None;
        }
        let end = ahead.at() + closed?;
        ahead.go_to(end);
        ahead.bump();
        behind_equals(ahead, Some(end))
    }
}

fn behind_equals(mut ahead: Cursor<'_>, index_end: Option<usize>) -> Option<Target<'_>> {
    let append = ahead.eat("+=");
    (append || ahead.eat("=")).then_some(Target { append, index_end, value: ahead })
}

/// Bytes up to the closing character that belongs to an opening one just before the text, or all
/// of them; and whether it was found. Quoted characters do not count; a quote that nothing ends
/// is a character.
fn balanced(text: &str, opening: u8, closing: u8) -> (usize, bool) {
    let mut depth = 0_usize;
    let mut at = 0;
    // Of each quote: whether another one is known to be missing from here on.
    let mut missing = [false; 256];
    while let Some(&byte) = text.as_bytes().get(at) {
        match byte {
            b'\\' => at += 1,
            b'\'' | b'"' | b'`' => {
                if let Some(missing) = missing.get_mut(usize::from(byte))
                    && !*missing
                {
                    match quote_length(text, at + 1, byte) {
                        Some(length) => at += length,
                        None => *missing = true,
                    }
                }
            }
            _ if byte == opening => depth += 1,
            _ if byte == closing => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return (at, true),
            },
            _ => {}
        }
        at += 1;
    }
    (text.len(), false)
}

/// From behind a quote: how many bytes there are up to and with the one that ends it.
fn quote_length(text: &str, start: usize, quote: u8) -> Option<usize> {
    let mut bytes = text.as_bytes().get(start..)?.iter().enumerate();
    while let Some((at, &byte)) = bytes.next() {
        if byte == quote {
            return Some(at + 1);
        }
        if byte == b'\\' && quote != b'\'' {
            bytes.next();
        }
    }
    None
}

/// Whether what stands in `((…))` can hardly be meant as commands: a shell that has no arithmetic
/// commands reads two subshells.
pub(super) fn is_plainly_arithmetic(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut computes = text.trim().is_empty();
    let mut before = b' ';
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            b'\n' | b';' | b'`' => return false,
            b'=' | b'+' | b'-' | b'*' | b'%' | b'?' | b'0'..=b'9' => computes = true,
            b'/' | b'.' | b'~' | b'\'' | b'"' if matches!(before, b'<' | b'>' | b'|' | b'&') => {
                return false;
            }
            _ => {}
        }
        let blank = at > 0 && matches!(bytes.get(at - 1), Some(b' ' | b'\t'));
        if blank && before.is_ascii_alphanumeric() {
            let path = byte == b'/' && bytes.get(at + 1).is_some_and(u8::is_ascii_alphabetic);
            let operand = byte.is_ascii_alphanumeric()
                || matches!(byte, b'_' | b'.' | b'~' | b'$' | b'\'' | b'"');
            if path || operand {
                return false;
            }
        }
        if !matches!(byte, b' ' | b'\t') {
            before = byte;
        }
    }
    computes
}
