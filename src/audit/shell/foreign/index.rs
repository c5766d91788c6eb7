//! Elements and slices of texts and lists.

use std::rc::Rc;

use super::Language;
use super::fold::Folder;
use super::operators::power;
use super::value::Value;
use crate::audit::shell::text::{Step, Text};

impl Folder {
    /// `value[…]` or `value{…}`, at the opening bracket.
    pub fn index(&mut self, value: Value) -> Value {
        let open = self.pos;
        let close = self.unit.close(open).min(self.end);
        let unit = Rc::clone(&self.unit);
        self.pos = close + 1;
        let found = self.deeper(|folder| {
            folder.within(&unit, open + 1, close, |folder| folder.indexed(&value))
        });
        found.unwrap_or(Value::UNKNOWN)
    }

    fn indexed(&mut self, value: &Value) -> Value {
        let least = if self.language == Language::Ruby { power::AND } else { power::ASSIGN };
        let is_colon = |folder: &Folder| {
            folder.language == Language::Python && folder.unit.is_symbol(folder.pos, ":")
                || folder.unit.is_symbol(folder.pos, "::")
        };
        let first = if self.pos < self.end && !is_colon(self) {
            Some(self.expression(least))
        } else {
            None
        };
        if self.pos >= self.end {
            return first.map_or(Value::UNKNOWN, |index| self.element(value, &index));
        }
        if is_colon(self) {
            let mut bounds = vec![first.as_ref().and_then(Value::as_int)];
            let mut unknown = first.is_some() && bounds == [None];
            while self.pos < self.end && is_colon(self) {
                self.pos += 1;
                let bound = if self.pos < self.end && !is_colon(self) {
                    let bound = self.expression(power::ASSIGN);
                    unknown |= bound.as_int().is_none() && !matches!(bound, Value::Unknown(_));
                    bound.as_int()
                } else {
                    None
                };
                bounds.push(bound);
            }
            let at = |which: usize| bounds.get(which).copied().flatten();
            return if unknown {
                Value::UNKNOWN
            } else {
                self.slice(value, at(0), at(1), at(2).unwrap_or(1))
            };
        }
        let first = first.unwrap_or(Value::UNKNOWN);
        match self.unit.symbol(self.pos) {
            Some(symbol @ (".." | "...")) if self.language == Language::Ruby => {
                self.pos += 1;
                let last = if self.pos < self.end {
                    self.expression(power::AND).as_int()
                } else {
                    Some(-1)
                };
                let stop = last.map(|last| if symbol == ".." { last + 1 } else { last });
                // `..-1` is up to the end.
                let stop = stop.filter(|stop| !(*stop == 0 && last == Some(-1)));
                self.slice(value, first.as_int(), stop, 1)
            }
            Some(",") if self.language == Language::Ruby => {
                self.pos += 1;
                let count = self.expression(power::ASSIGN).as_int();
                self.part(value, first.as_int(), count)
            }
            Some(",") => {
                // Several elements.
                let mut found = vec![self.element(value, &first)];
                while self.pos < self.end {
                    self.pos += 1;
                    let before = self.pos;
                    let index = self.expression(power::ASSIGN);
                    if self.pos == before {
                        break;
                    }
                    found.push(self.element(value, &index));
                }
                Value::list(found)
            }
            _ => {
                self.run();
                Value::UNKNOWN
            }
        }
    }

    pub fn element(&mut self, value: &Value, index: &Value) -> Value {
        if let (Value::List(values), Value::List(indices)) = (value, index) {
            // Perl's `@list[1, 2]`
            let chosen: Vec<Value> = indices
                .iter()
                .map(|index| pick(values, index.as_int()).unwrap_or(Value::UNKNOWN))
                .collect();
            return Value::list(chosen);
        }
        match value {
            Value::List(values) => {
                let from_one = matches!(self.language, Language::Lua | Language::Awk);
                let at = index.as_int().and_then(|at| match from_one {
                    true => at.checked_sub(1).filter(|at| *at >= 0),
                    false => Some(at),
                });
                pick(values, at).unwrap_or(Value::UNKNOWN)
            }
            Value::Map(pairs) => {
                let key = index.text();
                let found = pairs.iter().find(|(name, _)| name == key.as_str());
                self.spend(pairs.len() / 8);
                found.map_or(Value::UNKNOWN, |(_, value)| value.clone())
            }
            Value::Text(text) => {
                let at = index.as_int();
                match (at, text.as_literal()) {
                    (Some(_), Some(_)) => self.part(value, at, Some(1)),
                    _ => Value::UNKNOWN,
                }
            }
            Value::Name(path) => match index.as_str() {
                // `os['system']`, `require('child_process')['exec']`
                Some(member) if path.len() + member.len() < 256 && !member.contains('/') => {
                    match path.rsplit('.').next() {
                        Some("__dict__") => Value::name(member),
                        _ => Value::name(format!("{path}.{member}")),
                    }
                }
                // `Dir['/etc/*']`
                Some(pattern) if self.language == Language::Ruby && &**path == "Dir" => {
                    let value = Value::Text(Text::literal(pattern).activated());
                    self.emit(&value);
                    Value::UNKNOWN
                }
                _ => {
                    self.emit(index);
                    Value::UNKNOWN
                }
            },
            _ => {
                self.emit(index);
                Value::UNKNOWN
            }
        }
    }

    /// `count` elements from `start`, which counts from the end where it is negative.
    pub fn part(&mut self, value: &Value, start: Option<i64>, count: Option<i64>) -> Value {
        let Some(start) = start else { return Value::UNKNOWN };
        let length = self.length(value);
        let start = if start < 0 { start.saturating_add(length) } else { start };
        if start < 0 || start > length {
            return Value::UNKNOWN;
        }
        let stop = match count {
            Some(count) if count >= 0 => start.saturating_add(count),
            // Perl and PHP: leave that many off the end.
            Some(count) => length.saturating_add(count),
            None => length,
        };
        self.slice(value, Some(start), Some(stop.min(length)), 1)
    }

    pub fn length(&mut self, value: &Value) -> i64 {
        match value {
            Value::Text(text) if text.as_str().is_ascii() => text.len() as i64,
            Value::Text(text) => {
                self.spend(text.len() / 16);
                text.as_str().chars().count() as i64
            }
            Value::List(values) => values.len() as i64,
            _ => 0,
        }
    }

    /// As Python has it: from, to (exclusive), step; negative places count from the end.
    pub fn slice(
        &mut self,
        value: &Value,
        start: Option<i64>,
        stop: Option<i64>,
        step: i64,
    ) -> Value {
        if step == 0 || matches!(value, Value::Text(text) if !text.is_literal()) {
            return Value::UNKNOWN;
        }
        let length = self.length(value);
        let place = |at: i64| if at < 0 { at.saturating_add(length) } else { at };
        let (from, to) = if step > 0 {
            (
                place(start.unwrap_or(0)).clamp(0, length),
                place(stop.unwrap_or(length)).clamp(0, length),
            )
        } else {
            (
                start.map_or(length - 1, place).clamp(-1, length - 1),
                stop.map_or(-1, place).clamp(-1, length - 1),
            )
        };
        let inside = |at: i64| if step > 0 { at < to } else { at > to };
        let places = std::iter::successors(Some(from), |at| at.checked_add(step))
            .take_while(|at| inside(*at))
            .filter_map(|at| usize::try_from(at).ok());
        match value {
            Value::List(values) => {
                self.spend(values.len() / 4);
                Value::list(places.filter_map(|at| values.get(at).cloned()).collect())
            }
            Value::Text(text) => {
                let literal = text.as_str();
                let sliced: String = if literal.is_ascii() {
                    let count = (to - from).unsigned_abs() as usize;
                    self.spend(1 + count / 4);
                    let bytes = literal.as_bytes();
                    places.filter_map(|at| bytes.get(at)).map(|byte| char::from(*byte)).collect()
                } else {
                    self.spend(1 + literal.len() / 4);
                    let characters: Vec<char> = literal.chars().collect();
                    places.filter_map(|at| characters.get(at)).collect()
                };
                Value::built(sliced, text.steps.with(Step::OtherLanguage))
            }
            _ => Value::UNKNOWN,
        }
    }
}

fn pick(values: &[Value], at: Option<i64>) -> Option<Value> {
    let at = at?;
    let at = if at < 0 { at + i64::try_from(values.len()).ok()? } else { at };
    values.get(usize::try_from(at).ok()?).cloned()
}
