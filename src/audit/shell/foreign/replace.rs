//! Texts replaced and split, by other texts and by the simplest of regular expressions.

use super::Language;
use super::fold::Folder;
use super::value::{LIST_MAX, Value, mapped};
use crate::audit::shell::text::Text;

impl Folder {
    /// One text, or what a simple pattern matches, replaced by another.
    pub fn replaced(
        &mut self,
        subject: &Value,
        from: &Value,
        to: &Value,
        all: bool,
    ) -> Option<Value> {
        let Value::Text(text) = subject else {
            self.emit(to);
            return Some(Value::Unknown(subject.steps()));
        };
        let (pattern, all) = match from {
            Value::Pattern(pattern) => {
                let all = all || pattern.1.contains('g');
                (literal_pattern(&pattern.0), all)
            }
            other => (other.as_str().map(|text| Matcher::Text(text.to_owned())), all),
        };
        let (Some(pattern), Some(with)) = (pattern, to.as_str()) else {
            self.emit(subject);
            self.emit(to);
            return Some(Value::Unknown(text.steps));
        };
        self.spend(1 + text.len() / 4);
        let mut result = mapped(text, |run| pattern.replaced(run, with, all));
        result.steps.extend(to.steps());
        self.spend(result.len() / 16);
        Some(Value::Text(result))
    }

    /// Parts between separators; characters where the separator is empty.
    pub fn split(&mut self, subject: &Value, separator: Option<&Value>) -> Value {
        let Value::Text(text) = subject else { return Value::UNKNOWN };
        let Some(literal) = text.as_literal() else {
            self.emit(subject);
            return Value::UNKNOWN;
        };
        self.spend(1 + literal.len() / 2);
        let built = |part: &str| Value::built(part, text.steps);
        let separator = match separator {
            None => {
                return Value::list(literal.split_whitespace().take(LIST_MAX).map(built).collect());
            }
            Some(Value::Pattern(pattern)) => literal_pattern(&pattern.0),
            // Perl and awk read a blank as any white space.
            Some(value) if value.as_str() == Some(" ") && self.language != Language::Node => {
                return Value::list(literal.split_whitespace().take(LIST_MAX).map(built).collect());
            }
            Some(value) => value.as_str().map(|text| Matcher::Text(text.to_owned())),
        };
        let parts: Vec<Value> = match separator {
            Some(Matcher::Text(separator)) if separator.is_empty() => {
                literal.chars().take(LIST_MAX).map(|c| built(&c.to_string())).collect()
            }
            Some(Matcher::Text(separator)) => {
                literal.split(&*separator).take(LIST_MAX).map(built).collect()
            }
            Some(Matcher::Set(set)) => {
                literal.split(|c| set.contains(&c)).take(LIST_MAX).map(built).collect()
            }
            None => return Value::UNKNOWN,
        };
        Value::list(parts)
    }
}

/// What a simple regular expression matches.
#[derive(Debug, PartialEq)]
pub(super) enum Matcher {
    Text(String),
    /// One of these characters.
    Set(Vec<char>),
}

impl Matcher {
    pub fn replaced(&self, text: &str, with: &str, all: bool) -> String {
        let room = super::value::TEXT_MAX_BYTES;
        // What grows beyond the bound is cut by the caller; it must not grow without one first.
        if all && with.len() > 64 && text.len().saturating_mul(with.len()) > 16 * room {
            return text.to_owned();
        }
        match self {
            Matcher::Text(from) if from.is_empty() => text.to_owned(),
            Matcher::Text(from) if all => text.replace(&**from, with),
            Matcher::Text(from) => text.replacen(&**from, with, 1),
            Matcher::Set(set) if all => text.replace(|c| set.contains(&c), with),
            Matcher::Set(set) => text.replacen(|c| set.contains(&c), with, 1),
        }
    }
}

/// A regular expression that is a plain text or one class of characters.
pub(super) fn literal_pattern(pattern: &str) -> Option<Matcher> {
    if let Some(set) = pattern.strip_prefix('[') {
        let set = set.strip_suffix("]+").or_else(|| set.strip_suffix(']'))?;
        if set.starts_with('^') || set.contains(['[', '\\']) || set.len() > 128 {
            return None;
        }
        let characters: Vec<char> = set.chars().collect();
        let mut out = Vec::new();
        let mut at = 0;
        while let Some(first) = characters.get(at) {
            match (characters.get(at + 1), characters.get(at + 2)) {
                (Some('-'), Some(last)) => {
                    out.extend((*first..=*last).take(128));
                    at += 3;
                }
                _ => {
                    out.push(*first);
                    at += 1;
                }
            }
        }
        return Some(Matcher::Set(out));
    }
    let mut out = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next()? {
                'n' => out.push('\n'),
                't' => out.push('\t'),
                's' => out.push(' '),
                c if c.is_ascii_alphanumeric() => return None,
                c => out.push(c),
            },
            '.' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '^' | '$' => {
                return None;
            }
            c => out.push(c),
        }
    }
    Some(Matcher::Text(out))
}

/// How many characters a pattern such as `..`, `(..)` or `[0-9a-f]{2}` takes, if it takes any.
pub(super) fn chunk_length(pattern: &str) -> Option<usize> {
    let inner = pattern.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let mut rest = inner.unwrap_or(pattern);
    let mut length = 0_usize;
    while !rest.is_empty() {
        let unit = ["\\w", "\\d", "\\S", "."].iter().find_map(|unit| rest.strip_prefix(unit));
        rest = match unit {
            Some(rest) => rest,
            None => rest.strip_prefix('[')?.split_once(']')?.1,
        };
        let mut times = 1;
        if let Some((count, tail)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            times = count.rsplit(',').next()?.parse().ok().filter(|times| *times <= 64)?;
            rest = tail;
        }
        length += times;
    }
    (1..=64).contains(&length).then_some(length)
}

impl Folder {
    /// A text in parts of as many characters as a pattern takes.
    pub fn chunks(&mut self, text: &Text, pattern: &str) -> Option<Vec<Value>> {
        let length = chunk_length(pattern)?;
        let literal = text.as_literal()?;
        if !self.spend(1 + 2 * literal.len()) {
            return None;
        }
        let characters: Vec<char> = literal.chars().collect();
        let parts = characters.chunks(length);
        Some(parts.map(|part| Value::built(part.iter().collect::<String>(), text.steps)).collect())
    }
}
