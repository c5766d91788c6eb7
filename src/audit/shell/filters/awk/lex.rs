//! The tokens of an `awk` program.

use super::super::Unknown;
use super::super::escapes::number;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Number(f64),
    /// Its escapes decoded.
    Text(String),
    Pattern(String),
    Name(String),
    Sign(&'static str),
}

pub(super) struct Tokens {
    tokens: Vec<Token>,
    /// Whether a token stands right behind the one before it.
    touching: Vec<bool>,
}

/// The longer ones before those that they start with.
const SIGNS: [&str; 37] = [
    "**=", "&&", "||", "++", "--", "+=", "-=", "*=", "/=", "%=", "^=", "**", "==", "<=", ">=",
    "!=", "!~", "~", "=", "<", ">", "!", "+", "-", "*", "/", "%", "^", "$", "(", ")", "[", "]",
    "{", "}", ",", ";",
];
const MORE_SIGNS: [&str; 4] = ["?", ":", "|", "\n"];

impl Tokens {
    pub fn get(&self, at: usize) -> Option<&Token> {
        self.tokens.get(at)
    }

    pub fn touches(&self, at: usize) -> bool {
        self.touching.get(at).copied().unwrap_or(false)
    }

    pub fn new(program: &str) -> Result<Tokens, Unknown> {
        let mut tokens = Tokens { tokens: Vec::new(), touching: Vec::new() };
        let mut rest = program;
        let mut touches = false;
        while let Some(character) = rest.chars().next() {
            if rest.starts_with("\\\n") {
                rest = rest.get(2..).unwrap_or_default();
                touches = false;
                continue;
            }
            if matches!(character, ' ' | '\t' | '\r') {
                rest = rest.get(1..).unwrap_or_default();
                touches = false;
                continue;
            }
            if character == '#' {
                rest = rest.get(rest.find('\n').unwrap_or(rest.len())..).unwrap_or_default();
                continue;
            }
            let (token, behind) = match character {
                '"' => text(rest.get(1..).unwrap_or_default())?,
                '0'..='9' => numeral(rest),
                '.' if rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit) => numeral(rest),
                '/' if tokens.expects_value() => pattern(rest.get(1..).unwrap_or_default())?,
                _ if character.is_ascii_alphabetic() || character == '_' => {
                    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
                    let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
                    let (name, behind) = rest.split_at(end);
                    (Token::Name(name.to_owned()), behind)
                }
                _ => {
                    let mut signs = SIGNS.iter().chain(&MORE_SIGNS);
                    let sign =
                        signs.find(|sign| rest.starts_with(**sign)).ok_or(Unknown::Decoded)?;
                    (Token::Sign(sign), rest.get(sign.len()..).unwrap_or_default())
                }
            };
            tokens.tokens.push(token);
            tokens.touching.push(touches);
            touches = true;
            rest = behind;
        }
        Ok(tokens)
    }

    /// Whether a slash here starts a pattern and does not divide.
    fn expects_value(&self) -> bool {
        match self.tokens.last() {
            None => true,
            Some(Token::Number(_) | Token::Text(_) | Token::Pattern(_)) => false,
            Some(Token::Name(name)) => matches!(name.as_str(), "print" | "printf" | "in"),
            Some(Token::Sign(sign)) => !matches!(*sign, ")" | "]" | "++" | "--" | "$"),
        }
    }
}

fn numeral(text: &str) -> (Token, &str) {
    let bytes = text.as_bytes();
    let digits =
        |from: usize| bytes.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
    let mut end = digits(0);
    if bytes.get(end) == Some(&b'.') {
        end += 1 + digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    let (number, behind) = text.split_at(end);
    (Token::Number(number.parse().unwrap_or(0.0)), behind)
}

/// Up to the slash that ends it; one in brackets does not.
fn pattern(text: &str) -> Result<(Token, &str), Unknown> {
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\n' => return Err(Unknown::Decoded),
            '/' => {
                let (pattern, behind) = text.split_at(at);
                return Ok((
                    Token::Pattern(pattern.to_owned()),
                    behind.get(1..).unwrap_or_default(),
                ));
            }
            _ => {}
        }
    }
    Err(Unknown::Decoded)
}

fn text(text: &str) -> Result<(Token, &str), Unknown> {
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => {
                let (inside, behind) = text.split_at(at);
                return Ok((Token::Text(unescape(inside)), behind.get(1..).unwrap_or_default()));
            }
            _ => {}
        }
    }
    Err(Unknown::Decoded)
}

/// Escapes in a string. A backslash before another character stays, since a pattern may need it.
pub(super) fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        let (b'\\', Some((escaped, behind))) = (*byte, tail.split_first()) else {
            out.push(*byte);
            continue;
        };
        rest = behind;
        match escaped {
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'r' => out.push(b'\r'),
            b'a' => out.push(7),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'v' => out.push(11),
            b'\\' | b'"' | b'/' => out.push(*escaped),
            b'\n' => {}
            b'0'..=b'7' => {
                let (value, digits) = number(tail, 8, 3);
                out.push(value as u8);
                rest = &tail[digits..];
            }
            b'x' => {
                let (value, digits) = number(behind, 16, 2);
                if digits > 0 {
                    out.push(value as u8);
                    rest = &behind[digits..];
                } else {
                    out.extend_from_slice(b"\\x");
                }
            }
            other => out.extend_from_slice(&[b'\\', *other]),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
