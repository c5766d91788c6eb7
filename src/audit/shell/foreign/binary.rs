//! What operators make of two values.

use std::rc::Rc;

use super::Language;
use super::codec;
use super::fold::Folder;
use super::format::sprintf;
use super::lex::Kind;
use super::value::{LIST_MAX, TEXT_MAX_BYTES, Value, concatenated, mapped};
use crate::audit::shell::text::{Step, Text};

impl Folder {
    pub fn binary(&mut self, operator: &str, left: Value, right: Value) -> Value {
        use Language::{Awk, Lua, Node, Perl, Php, Python, Ruby};
        self.stored = false;
        let language = self.language;
        let numbers = || match (&left, &right) {
            (Value::Text(_), Value::Text(_)) if language != Perl && language != Php => None,
            _ => Some((left.as_int()?, right.as_int()?)),
        };
        match operator {
            "." | ".." if matches!(language, Perl | Ruby) && operator == ".." => {
                self.range_of(&left, &right)
            }
            "..." => self.range_of(&left, &right),
            "." | ".." => self.joined_pair(&left, &right),
            "+" => match (&left, &right) {
                (Value::Int(a), Value::Int(b)) => Value::Int(a.wrapping_add(*b)),
                (Value::List(a), Value::List(b)) if language != Node => {
                    self.spend(a.len() + b.len());
                    Value::list(a.iter().chain(b.iter()).take(LIST_MAX).cloned().collect())
                }
                _ if matches!(language, Perl | Php | Lua | Awk) => match numbers() {
                    Some((a, b)) => Value::Int(a.wrapping_add(b)),
                    None => self.lost(&left, &right),
                },
                (Value::Text(_), _) | (_, Value::Text(_)) => self.joined_pair(&left, &right),
                (Value::List(_), _) | (_, Value::List(_)) if language == Node => {
                    let (left, right) = (self.script_string(&left), self.script_string(&right));
                    self.joined_pair(&left, &right)
                }
                _ => {
                    if let (Some(a), Some(b)) = (left.as_int(), right.as_int()) {
                        return Value::Int(a.wrapping_add(b));
                    }
                    Value::Unknown(left.steps().and(right.steps()))
                }
            },
            "*" | "x" => match (&left, &right) {
                (Value::Text(text), count) | (count, Value::Text(text))
                    if count.as_int().is_some()
                        && (operator == "x" || matches!(language, Python | Ruby)) =>
                {
                    let (text, count) = if matches!(left, Value::Text(_)) && operator == "x" {
                        (left.text(), right.as_int())
                    } else {
                        (text.clone(), count.as_int())
                    };
                    self.repeated(&text, count.unwrap_or(0))
                }
                (Value::List(values), Value::Text(separator)) if language == Ruby => {
                    let separator = separator.as_str().to_owned();
                    Value::Text(self.joined(values, &separator))
                }
                (Value::List(values), count) if count.as_int().is_some() => {
                    let count = usize::try_from(count.as_int().unwrap_or(0)).unwrap_or(0);
                    let total = values.len().saturating_mul(count).min(LIST_MAX);
                    self.spend(total);
                    Value::list(values.iter().cycle().take(total).cloned().collect())
                }
                (Value::Int(number), Value::Int(count)) if operator == "x" => {
                    self.repeated(&Text::literal(number.to_string()), *count)
                }
                _ => match numbers() {
                    Some((a, b)) => Value::Int(a.wrapping_mul(b)),
                    None => self.lost(&left, &right),
                },
            },
            "%" if matches!(left, Value::Text(_)) && matches!(language, Python | Ruby) => {
                match &right {
                    Value::List(values) => self.formatted(&left, values, &[]),
                    Value::Map(pairs) => self.formatted(&left, &[], pairs),
                    one => self.formatted(&left, std::slice::from_ref(one), &[]),
                }
            }
            // Paths of `pathlib` and `Pathname`.
            "/" if matches!(language, Python | Ruby)
                && (matches!(left, Value::Text(_)) || matches!(right, Value::Text(_))) =>
            {
                self.joined_path(&[left, right])
            }
            "^" if matches!(language, Perl | Php)
                && matches!((&left, &right), (Value::Text(_), Value::Text(_))) =>
            {
                match (left.as_str(), right.as_str()) {
                    (Some(a), Some(b)) => Value::built(codec::xor(a, b, false), left.steps()),
                    _ => Value::UNKNOWN,
                }
            }
            "<<" if language == Ruby => match (left, &right) {
                (Value::List(values), _) => {
                    self.spend(values.len());
                    let mut values = values.to_vec();
                    values.push(right);
                    values.truncate(LIST_MAX);
                    Value::list(values)
                }
                (left @ Value::Text(_), Value::Int(code)) => {
                    let character = u32::try_from(*code).ok().and_then(char::from_u32);
                    let character = character
                        .map_or(Value::UNKNOWN, |c| Value::Text(Text::literal(c.to_string())));
                    self.joined_pair(&left, &character)
                }
                (left @ Value::Text(_), _) => self.joined_pair(&left, &right),
                (Value::Int(a), Value::Int(b)) => Value::Int(shifted(a, *b)),
                (left, _) => self.joined_pair(&left, &right),
            },
            "||" | "??" => match left.truth() {
                Some(true) => {
                    self.emit(&right);
                    left
                }
                _ => right,
            },
            "//" if matches!(language, Perl) => {
                if matches!(left, Value::Unknown(_)) {
                    right
                } else {
                    self.emit(&right);
                    left
                }
            }
            "&&" => match left.truth() {
                Some(false) => {
                    self.emit(&right);
                    left
                }
                _ => {
                    self.emit(&left);
                    right
                }
            },
            "==" | "===" | "!=" | "!==" | "~=" | "<" | ">" | "<=" | ">=" => {
                self.compared(operator, &left, &right)
            }
            "-" | "/" | "//" | "%" | "&" | "|" | "^" | "~" | "<<" | ">>" | "**" => {
                let pair = match (left.as_code(), right.as_code()) {
                    (Some(a), Some(b)) if language == Python => Some((i64::from(a), i64::from(b))),
                    _ => None,
                };
                let pair = match (&left, &right) {
                    (Value::Int(a), Value::Int(b)) => Some((*a, *b)),
                    _ => pair.or_else(numbers),
                };
                match pair.and_then(|(a, b)| arithmetic(operator, a, b)) {
                    Some(number) => Value::Int(number),
                    None => self.lost(&left, &right),
                }
            }
            _ => self.lost(&left, &right),
        }
    }

    /// Two values whose combination is unknown: both are told.
    fn lost(&mut self, left: &Value, right: &Value) -> Value {
        self.emit(left);
        self.emit(right);
        Value::Unknown(left.steps().and(right.steps()))
    }

    fn compared(&mut self, operator: &str, left: &Value, right: &Value) -> Value {
        let ordering = match (left, right) {
            (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
            (Value::Text(a), Value::Text(b)) if a.is_literal() && b.is_literal() => {
                Some(a.as_str().cmp(b.as_str()))
            }
            _ => None,
        };
        let Some(ordering) = ordering else { return self.lost(left, right) };
        Value::Int(i64::from(match operator {
            "==" | "===" => ordering.is_eq(),
            "!=" | "!==" | "~=" => ordering.is_ne(),
            "<" => ordering.is_lt(),
            ">" => ordering.is_gt(),
            "<=" => ordering.is_le(),
            _ => ordering.is_ge(),
        }))
    }

    /// Two texts side by side; a hole where one is unknown, and nothing known where both are.
    pub fn joined_pair(&mut self, left: &Value, right: &Value) -> Value {
        if let (Value::Unknown(_) | Value::Name(_), Value::Unknown(_) | Value::Name(_)) =
            (left, right)
        {
            return Value::Unknown(left.steps().and(right.steps()));
        }
        for side in [left, right] {
            if !matches!(side, Value::Text(_) | Value::Int(_) | Value::Unknown(_)) {
                self.emit(side);
            }
        }
        let (left, right) = (left.text(), right.text());
        self.spend(1 + (left.len() + right.len()) / 16);
        Value::Text(concatenated(left, &right))
    }

    /// What JavaScript makes of a value that it adds to a string.
    fn script_string(&mut self, value: &Value) -> Value {
        match value {
            Value::List(values) => Value::Text(self.joined(values, ",")),
            other => other.clone(),
        }
    }

    pub fn repeated(&mut self, text: &Text, count: i64) -> Value {
        let count = if text.is_empty() { 0 } else { usize::try_from(count).unwrap_or(0) };
        let fits = TEXT_MAX_BYTES / text.len().max(1) + 1;
        let mut out = Text::new();
        self.spend(text.len() * count.min(fits) / 16);
        for _ in 0..count.min(fits) {
            out.append(text);
        }
        out.steps.extend(text.steps);
        if count > fits {
            out.push_hole();
        }
        Value::Text(super::value::capped(out).with_step(Step::OtherLanguage))
    }

    fn range_of(&mut self, left: &Value, right: &Value) -> Value {
        if let (Value::Int(from), Value::Int(to)) = (left, right) {
            return self.range(*from, *to, 1, true);
        }
        let ends = (left.as_str().map(str::to_owned), right.as_str().map(str::to_owned));
        if let (Some(from), Some(to)) = ends
            && let ([from], [to]) = (from.as_bytes(), to.as_bytes())
            && from.is_ascii_alphanumeric()
        {
            let letters = (*from..=*to)
                .map(|byte| Value::built(char::from(byte).to_string(), Default::default()));
            return Value::list(letters.collect());
        }
        self.lost(left, right)
    }

    /// `%` and `sprintf`; a format that is not known gives nothing.
    pub fn formatted(
        &mut self,
        format: &Value,
        values: &[Value],
        named: &[(String, Value)],
    ) -> Value {
        let Some(template) = format.as_str() else {
            self.emit(format);
            for value in values {
                self.emit(value);
            }
            return Value::UNKNOWN;
        };
        self.spend(1 + template.len() / 8);
        let values = self.flattened(values);
        let mut text = sprintf(template, &values, named);
        text.steps.extend(format.steps());
        self.spend(text.len() / 16);
        Value::Text(text)
    }

    /// Paths put together; what is absolute begins anew.
    pub fn joined_path(&mut self, parts: &[Value]) -> Value {
        let restarts = matches!(self.language, Language::Python);
        let mut out = Text::new();
        for part in parts {
            let part = match part {
                Value::List(inner) => self.joined(inner, "/"),
                other => other.text(),
            };
            if !self.spend(1 + (part.len() + out.len()) / 16) {
                out.push_hole();
                break;
            }
            if part.as_str().starts_with('/') && (restarts || out.is_empty()) {
                let steps = out.steps;
                out = part;
                out.steps.extend(steps);
                continue;
            }
            if !out.is_empty() && !out.as_str().ends_with('/') && !part.as_str().starts_with('/') {
                out.push('/');
            }
            out = concatenated(out, &part);
        }
        Value::Text(out.with_step(Step::OtherLanguage))
    }

    /// Perl's and Ruby's `=~`, behind the operator; without it where a bare `s///` or `tr///`
    /// stands.
    pub fn bound(&mut self, left: Value, target: Option<String>) -> Value {
        let unit = Rc::clone(&self.unit);
        let (changed, flags) = match unit.kind(self.pos) {
            Some(Kind::Substitute(from, to, flags)) => {
                let to = super::quote::decoded(self.language, to);
                let changed = match (&left, super::replace::literal_pattern(from)) {
                    (Value::Text(text), None) if flags.contains('e') && flags.contains('g') => {
                        // `s/(..)/chr hex $1/ge`
                        self.chunks(text, from).map(|parts| {
                            let code = Value::Text(Text::literal(to.clone()));
                            let replaced: Vec<Value> = parts
                                .into_iter()
                                .map(|part| {
                                    self.set_variable("$1", part.clone());
                                    self.set_variable("$&", part);
                                    self.code(code.as_str().unwrap_or_default())
                                })
                                .collect();
                            self.joined(&replaced, "")
                        })
                    }
                    (Value::Text(text), Some(pattern)) if !flags.contains('e') => {
                        let all = flags.contains('g');
                        Some(mapped(text, |run| pattern.replaced(run, &to, all)))
                    }
                    _ => None,
                };
                (changed, flags)
            }
            Some(Kind::Transliterate(from, to, flags)) => {
                let changed = match &left {
                    Value::Text(text) => {
                        let delete = flags.contains('d');
                        Some(mapped(text, |run| codec::transliterated(run, from, to, delete)))
                    }
                    _ => None,
                };
                (changed, flags)
            }
            _ => {
                let right = self.expression(super::operators::power::SHIFT);
                return self.lost(&left, &right);
            }
        };
        self.spend(1 + left.weight() / 4);
        self.pos += 1;
        let value = changed.map_or(Value::UNKNOWN, Value::Text);
        match target {
            Some(target) if !flags.contains('r') => {
                self.set_variable(&target, value.clone());
                self.stored = true;
            }
            _ => self.stored = false,
        }
        value
    }
}

fn shifted(left: i64, right: i64) -> i64 {
    u32::try_from(right).ok().and_then(|by| left.checked_shl(by)).unwrap_or(0)
}

fn arithmetic(operator: &str, left: i64, right: i64) -> Option<i64> {
    match operator {
        "-" => Some(left.wrapping_sub(right)),
        "/" => left.checked_div(right).filter(|quotient| quotient.wrapping_mul(right) == left),
        "//" => left.checked_div_euclid(right),
        "%" => left.checked_rem_euclid(right),
        "&" => Some(left & right),
        "|" => Some(left | right),
        "^" | "~" => Some(left ^ right),
        "<<" => Some(shifted(left, right)),
        ">>" => u32::try_from(right).ok().and_then(|by| left.checked_shr(by)),
        "**" => u32::try_from(right).ok().and_then(|by| left.checked_pow(by)),
        _ => None,
    }
}
