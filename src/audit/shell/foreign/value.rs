//! Values that code builds, as far as they are known.
//!
//! Owns their shapes and conversions. Byte strings are texts whose characters are the bytes
//! (U+0000 to U+00FF), as Perl and Latin-1 have it: one kind of string serves all languages, and
//! bytes become UTF-8 only when they leave ([`settled`]).

use compact_str::CompactString;
use std::cell::Cell;
use std::rc::Rc;

use super::lex::Unit;
use crate::audit::shell::text::{MarkKind, Step, Steps, Text};

/// Longest text that is put together; longer ones end in a hole there.
pub(super) const TEXT_MAX_BYTES: usize = 64 * 1024;
/// Most elements of a list that is made (by a range, a repetition).
pub(super) const LIST_MAX: usize = 64 * 1024;

#[derive(Debug, Clone)]
pub(super) enum Value {
    /// Nothing is known, but that it may have come out of a decoder.
    Unknown(Steps),
    Text(Text),
    Int(i64),
    List(Rc<Vec<Value>>),
    Map(Rc<Vec<(String, Value)>>),
    /// What no variable holds: a module, a class, a function, with dots between its parts.
    Name(Rc<str>),
    /// A method that is taken from its object to be called later.
    Method(Rc<(Value, String)>),
    Function(Rc<Function>),
    /// A regular expression: its text and its flags.
    Pattern(Rc<(String, String)>),
}

/// A function that the code defines: a range of its tokens.
#[derive(Debug)]
pub(super) struct Function {
    pub unit: Rc<Unit>,
    pub parameters: Vec<String>,
    pub start: usize,
    pub end: usize,
    /// Statements, not one expression.
    pub block: bool,
    /// Its body was run at least once, so its strings are known.
    pub ran: Cell<bool>,
    pub running: Cell<bool>,
}

impl Value {
    pub const UNKNOWN: Value = Value::Unknown(Steps::NONE);

    pub fn list(values: Vec<Value>) -> Value {
        Value::List(Rc::new(values))
    }

    /// A text that was put together.
    pub fn built(text: impl Into<CompactString>, steps: Steps) -> Value {
        let mut text = capped(Text::literal(text));
        text.steps = steps.with(Step::OtherLanguage);
        Value::Text(text)
    }

    pub fn name(name: impl AsRef<str>) -> Value {
        Value::Name(Rc::from(name.as_ref()))
    }

    /// As a string has it: a hole where nothing is known.
    pub fn text(&self) -> Text {
        match self {
            Value::Text(text) => text.clone(),
            Value::Int(number) => Text::literal(number.to_string()),
            Value::List(values) => match values.as_slice() {
                [value] => value.text(),
                _ => Text::hole(),
            },
            Value::Unknown(steps) => {
                let mut hole = Text::hole();
                hole.steps = *steps;
                hole
            }
            _ => Text::hole(),
        }
    }

    pub fn into_text(self) -> Text {
        match self {
            Value::Text(text) => text,
            other => other.text(),
        }
    }

    /// A text that is wholly known.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Text(text) => text.as_literal(),
            _ => None,
        }
    }

    /// A whole number; of a text the number it begins with.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(number) => Some(*number),
            Value::Text(_) => {
                let text = self.as_str()?.trim_start();
                let digits = text.strip_prefix('-').unwrap_or(text);
                let end = digits.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(digits.len());
                let number: i64 = digits.get(..end)?.parse().ok()?;
                Some(if text.starts_with('-') { -number } else { number })
            }
            _ => None,
        }
    }

    /// A number that stands for a character, or the character itself.
    pub fn as_code(&self) -> Option<u32> {
        match self {
            Value::Int(number) => u32::try_from(*number).ok(),
            Value::Text(_) => {
                let text = self.as_str()?;
                let mut characters = text.chars();
                match (characters.next(), characters.next()) {
                    (Some(only), None) if !only.is_ascii_digit() => Some(u32::from(only)),
                    _ => u32::try_from(self.as_int()?).ok(),
                }
            }
            _ => None,
        }
    }

    /// Whether it counts as true, where that is known.
    pub fn truth(&self) -> Option<bool> {
        match self {
            Value::Int(number) => Some(*number != 0),
            Value::Text(text) => match text.as_literal() {
                Some(text) => Some(!text.is_empty()),
                None => (!text.as_str().is_empty()).then_some(true),
            },
            Value::List(values) => Some(!values.is_empty()),
            Value::Map(pairs) => Some(!pairs.is_empty()),
            Value::Function(_) => Some(true),
            _ => None,
        }
    }

    pub fn steps(&self) -> Steps {
        match self {
            Value::Text(text) => text.steps,
            Value::Unknown(steps) => *steps,
            Value::List(values) => {
                values.iter().take(16).fold(Steps::NONE, |steps, value| steps.and(value.steps()))
            }
            _ => Steps::NONE,
        }
    }

    /// What a loop over it sees: elements, or characters.
    pub fn items(&self) -> Option<Vec<Value>> {
        match self {
            Value::List(values) => Some(values.to_vec()),
            Value::Map(pairs) => {
                Some(pairs.iter().map(|(key, _)| Value::Text(Text::literal(key.clone()))).collect())
            }
            Value::Text(text) => {
                let steps = text.steps;
                let characters = text.as_literal()?.chars().take(LIST_MAX);
                Some(characters.map(|c| Value::built(c.to_string(), steps)).collect())
            }
            _ => None,
        }
    }

    /// Roughly what copying it costs, in bytes.
    pub fn weight(&self) -> usize {
        match self {
            Value::Text(text) => text.len(),
            _ => 8,
        }
    }
}

/// `text`, cut with a hole where it is longer than is kept.
pub(super) fn capped(text: Text) -> Text {
    if text.len() <= TEXT_MAX_BYTES {
        return text;
    }
    let mut cut = TEXT_MAX_BYTES;
    while !text.as_str().is_char_boundary(cut) {
        cut -= 1;
    }
    let mut short = text.slice(0, cut);
    short.push_hole();
    short
}

/// One text after another.
pub(super) fn concatenated(mut left: Text, right: &Text) -> Text {
    if left.len() >= TEXT_MAX_BYTES || left.len() + right.len() > 2 * TEXT_MAX_BYTES {
        // Not copied again: what is full stays as it is.
        left.push_hole();
        left.steps.extend(right.steps);
    } else {
        left.append(right);
        left = capped(left);
    }
    left.steps.add(Step::OtherLanguage);
    left
}

/// Applies `map` to the characters of a text, run by run; holes stay where they are.
pub(super) fn mapped(text: &Text, map: impl Fn(&str) -> String) -> Text {
    let mut out = Text::new();
    let mut from = 0;
    for mark in text.marks().iter().filter(|mark| mark.kind == MarkKind::Hole) {
        out.push_str(&map(text.as_str().get(from..mark.at).unwrap_or("")));
        out.push_hole();
        from = mark.at;
    }
    out.push_str(&map(text.as_str().get(from..).unwrap_or("")));
    out.steps = text.steps.with(Step::OtherLanguage);
    capped(out)
}

/// The characters as bytes: one each where they can be, UTF-8 otherwise.
pub(super) fn bytes_of(text: &str) -> Vec<u8> {
    let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    bytes.unwrap_or_else(|| text.as_bytes().to_vec())
}

/// A character for each byte.
pub(super) fn from_bytes(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// A text whose characters are bytes of UTF-8, read as that: what becomes of it as a file name.
pub(super) fn settled(text: Text) -> Text {
    if text.as_str().is_ascii() {
        return text;
    }
    let Some(literal) = text.as_literal() else { return text };
    let bytes: Option<Vec<u8>> = literal.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    match bytes.map(String::from_utf8) {
        Some(Ok(decoded)) => {
            let mut settled = Text::literal(decoded);
            settled.steps = text.steps;
            settled
        }
        _ => text,
    }
}
