//! The test of one value: equal to, like, or compared with what a query says.
//!
//! What a query's text means depends on what the field's values are read as, so a test holds all
//! of its readings; those that there are not match nothing.

use std::borrow::Cow;
use std::cmp::Ordering;

use memchr::memmem::Finder;

use super::ast::{Comparison, Pattern};
use super::fields::Kind;
use super::value::{Instant, Network, Number, parse_address};

/// A value of an event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scalar<'v> {
    Text(&'v str),
    Number(Number),
    Boolean(bool),
}

/// What a query asks of a value; equal ones are tested once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Asked {
    /// Also `field:*`, which asks whether there is any value.
    Like(Pattern),
    Compared(Comparison, String),
}

#[derive(Debug, Clone)]
pub(super) struct Test {
    shape: Shape,
    number: Option<Number>,
    boolean: Option<bool>,
    instant: Option<Instant>,
    network: Option<Network>,
    /// Whether the text of a number may be like what is asked.
    like_numbers: bool,
}

#[derive(Debug, Clone)]
enum Shape {
    Exists,
    Equal(Box<str>),
    Glob(Box<Glob>),
    Compared(Comparison, Box<str>),
}

impl Test {
    pub fn new(asked: &Asked) -> Test {
        let (shape, text) = match asked {
            Asked::Like(pattern) if pattern.is_star() => (Shape::Exists, None),
            Asked::Like(pattern) => match pattern.as_literal() {
                Some(text) => (Shape::Equal(text.into()), Some(text)),
                None => (Shape::Glob(Box::new(Glob::new(pattern))), None),
            },
            Asked::Compared(comparison, text) => {
                (Shape::Compared(*comparison, text.as_str().into()), Some(text.as_str()))
            }
        };
        let plain = |piece: &str| piece.bytes().all(|byte| b"0123456789+-.eE".contains(&byte));
        Test {
            like_numbers: match asked {
                Asked::Like(pattern) => pattern.pieces.iter().all(|piece| plain(piece)),
                Asked::Compared(..) => true,
            },
            shape,
            number: text.and_then(Number::parse),
            boolean: text.and_then(parse_boolean),
            instant: text.and_then(Instant::parse),
            network: text.and_then(Network::parse),
        }
    }

    /// What is wrong with asking this of a field, or nothing. `boolean` tells that a field of any
    /// kind is true or false where it occurs.
    pub fn problem(&self, kind: Kind, boolean: bool) -> Option<&'static str> {
        if self.is_exists() {
            return None;
        }
        let is_glob = matches!(self.shape, Shape::Glob(_));
        let is_compared = matches!(self.shape, Shape::Compared(..));
        match kind {
            Kind::Keyword => None,
            Kind::Any if !boolean => None,
            Kind::Integer if is_glob => Some("is a number, which no wildcard matches"),
            Kind::Integer => self.number.is_none().then_some("is a number, and the value is none"),
            Kind::Date if is_glob => Some("is a time, which no wildcard matches"),
            Kind::Date => self.instant.is_none().then_some("is a time, and the value is none"),
            Kind::Address if is_glob => Some("is an address, which no wildcard matches"),
            Kind::Address => match self.network {
                None => Some("is an address, and the value is none"),
                Some(_) => match &self.shape {
                    Shape::Compared(_, text) if text.contains('/') => {
                        Some("is compared with an address, not with a network")
                    }
                    _ => None,
                },
            },
            Kind::Boolean | Kind::Any if is_glob => {
                Some("is `true` or `false`, which no wildcard matches")
            }
            Kind::Boolean | Kind::Any if is_compared => {
                Some("is `true` or `false`, which have no order")
            }
            Kind::Boolean | Kind::Any => self.boolean.is_none().then_some("is `true` or `false`"),
        }
    }

    /// Whether a value of a field of this kind is what is asked.
    pub fn holds(&self, kind: Kind, value: Scalar<'_>) -> bool {
        if !self.like_numbers
            && matches!((kind, value), (Kind::Keyword | Kind::Any, Scalar::Number(_)))
        {
            return false;
        }
        match kind {
            Kind::Keyword => self.holds_text(&value.text()),
            Kind::Any => self.holds_any(value),
            Kind::Integer => value.integer().is_some_and(|found| {
                self.holds_ordered(|shape| {
                    self.number
                        .and_then(|asked| shape.accepts(found.compare(asked), found.compare(asked)))
                })
            }),
            Kind::Boolean => value.boolean().is_some_and(|found| {
                self.holds_ordered(|shape| {
                    self.boolean
                        .and_then(|asked| shape.accepts(found.cmp(&asked), found.cmp(&asked)))
                })
            }),
            Kind::Date => value.millis().is_some_and(|found| {
                self.holds_ordered(|shape| {
                    let asked = self.instant?;
                    shape.accepts(found.cmp(&asked.first_ms), found.cmp(&asked.last_ms))
                })
            }),
            Kind::Address => value.address().is_some_and(|found| {
                self.holds_ordered(|shape| {
                    let asked = self.network?;
                    shape.accepts(found.cmp(&asked.first), found.cmp(&asked.last))
                })
            }),
        }
    }

    fn holds_ordered(&self, compare: impl FnOnce(&Shape) -> Option<bool>) -> bool {
        matches!(self.shape, Shape::Exists) || compare(&self.shape).unwrap_or(false)
    }

    fn holds_text(&self, found: &str) -> bool {
        match &self.shape {
            Shape::Exists => true,
            Shape::Equal(text) => **text == *found,
            Shape::Glob(glob) => glob.matches(found),
            Shape::Compared(_, text) => {
                let order = found.cmp(text);
                self.shape.accepts(order, order).unwrap_or(false)
            }
        }
    }

    fn holds_any(&self, value: Scalar<'_>) -> bool {
        let number = match (value, &self.shape) {
            (Scalar::Number(number), _) => Some(number),
            (Scalar::Text(text), Shape::Compared(..)) if self.number.is_some() => {
                Number::parse(text)
            }
            _ => None,
        };
        let as_number = || {
            let order = number?.compare(self.number?);
            self.shape.accepts(order, order)
        };
        match (&self.shape, value) {
            (Shape::Compared(..), Scalar::Text(_)) if self.number.is_none() => {
                self.holds_text(&value.text())
            }
            // The text of a number is equal to nothing but a number.
            (Shape::Compared(..), _) | (Shape::Equal(_), Scalar::Number(_)) => {
                as_number().unwrap_or(false)
            }
            _ => self.holds_text(&value.text()),
        }
    }

    /// Texts that a text has to hold, all of them.
    pub fn pieces(&self) -> Vec<&str> {
        match &self.shape {
            Shape::Equal(text) => vec![text],
            Shape::Glob(glob) => glob.pieces().collect(),
            Shape::Exists | Shape::Compared(..) => Vec::new(),
        }
    }

    /// The text that a text has to be, if nothing else is equal to it.
    pub fn whole_text(&self) -> Option<&str> {
        match &self.shape {
            Shape::Equal(text) if self.number.is_none() => Some(text),
            _ => None,
        }
    }

    /// The text that a text has to hold, if nothing else is asked.
    pub fn part(&self) -> Option<&str> {
        match &self.shape {
            Shape::Glob(glob) if glob.first.is_empty() && glob.last.is_empty() => {
                match glob.middle.as_slice() {
                    [part] => str::from_utf8(part.needle()).ok(),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    pub fn is_exists(&self) -> bool {
        matches!(self.shape, Shape::Exists)
    }

    /// The least that it takes to test a text, in units of a comparison.
    pub fn cost(&self) -> u64 {
        match &self.shape {
            Shape::Exists => 1,
            Shape::Equal(_) => 2,
            Shape::Compared(..) => 4,
            Shape::Glob(glob) => 3 + 4 * glob.middle.len() as u64,
        }
    }

    /// Whether it may hold of a value of this kind at all.
    pub fn may_hold(&self, kind: Kind) -> bool {
        self.problem(kind, false).is_none()
    }
}

impl Shape {
    /// What the order of a value and the first and the last of what is asked says.
    fn accepts(&self, first: Ordering, last: Ordering) -> Option<bool> {
        Some(match self {
            Shape::Exists => true,
            Shape::Equal(_) => first.is_ge() && last.is_le(),
            Shape::Compared(Comparison::Greater, _) => last.is_gt(),
            Shape::Compared(Comparison::GreaterOrEqual, _) => first.is_ge(),
            Shape::Compared(Comparison::Less, _) => first.is_lt(),
            Shape::Compared(Comparison::LessOrEqual, _) => last.is_le(),
            Shape::Glob(_) => return None,
        })
    }
}

impl<'v> Scalar<'v> {
    pub fn text(self) -> Cow<'v, str> {
        match self {
            Scalar::Text(text) => Cow::Borrowed(text),
            Scalar::Boolean(true) => Cow::Borrowed("true"),
            Scalar::Boolean(false) => Cow::Borrowed("false"),
            Scalar::Number(Number::Integer(number)) => Cow::Owned(number.to_string()),
            // As JSON writes it.
            Scalar::Number(Number::Float(number)) => Cow::Owned(
                serde_json::Number::from_f64(number)
                    .map_or_else(String::new, |number| number.to_string()),
            ),
        }
    }

    fn integer(self) -> Option<Number> {
        match self {
            Scalar::Number(number) => Some(number.truncated()),
            Scalar::Text(text) => Number::parse(text).map(Number::truncated),
            Scalar::Boolean(_) => None,
        }
    }

    fn boolean(self) -> Option<bool> {
        match self {
            Scalar::Boolean(found) => Some(found),
            Scalar::Text(text) => parse_boolean(text),
            Scalar::Number(_) => None,
        }
    }

    fn millis(self) -> Option<i64> {
        match self {
            Scalar::Text(text) => Instant::parse(text).map(|found| found.first_ms),
            Scalar::Number(Number::Integer(number)) => Some(number),
            _ => None,
        }
    }

    pub fn address(self) -> Option<u128> {
        match self {
            Scalar::Text(text) => parse_address(text),
            _ => None,
        }
    }

    /// Whether it is a value of this kind, so that the field exists.
    pub fn is_of(self, kind: Kind) -> bool {
        match kind {
            Kind::Keyword | Kind::Any => true,
            Kind::Integer => self.integer().is_some(),
            Kind::Boolean => self.boolean().is_some(),
            Kind::Date => self.millis().is_some(),
            Kind::Address => self.address().is_some(),
        }
    }
}

fn parse_boolean(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// Literal pieces with anything between them, each looked for once from the left: the first place
/// that fits is as good as any other, so nothing is tried twice.
#[derive(Debug, Clone)]
pub(super) struct Glob {
    first: Box<str>,
    middle: Vec<Finder<'static>>,
    last: Box<str>,
}

impl Glob {
    /// Of a pattern with at least one wildcard.
    pub fn new(pattern: &Pattern) -> Glob {
        let (first, middle, last) = match pattern.pieces.as_slice() {
            [] => ("", &[][..], ""),
            [only] => (only.as_str(), &[][..], ""),
            [first, middle @ .., last] => (first.as_str(), middle, last.as_str()),
        };
        let finder = |piece: &String| Finder::new(piece.as_bytes()).into_owned();
        Glob { first: first.into(), middle: middle.iter().map(finder).collect(), last: last.into() }
    }

    fn pieces(&self) -> impl Iterator<Item = &str> {
        // Needles are whole texts; an empty one stands for none.
        let middle = self.middle.iter().map(|piece| str::from_utf8(piece.needle()));
        let ends = [&*self.first, &*self.last];
        ends.into_iter().chain(middle.map(Result::unwrap_or_default))
    }

    pub fn matches(&self, text: &str) -> bool {
        let Some(rest) = text.strip_prefix(&*self.first) else { return false };
        let Some(rest) = rest.strip_suffix(&*self.last) else { return false };
        let mut rest = rest.as_bytes();
        for piece in &self.middle {
            let Some(at) = piece.find(rest) else { return false };
            rest = &rest[at + piece.needle().len()..];
        }
        true
    }
}

#[cfg(test)]
#[path = "predicate_tests.rs"]
mod tests;
