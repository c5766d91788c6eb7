//! What stands between brackets: lists, arguments, and Python's comprehensions.

use std::rc::Rc;

use super::Language;
use super::fold::Folder;
use super::lex::Kind;
use super::operators::{is_declaration, power};
use super::value::{LIST_MAX, Value};
use crate::audit::shell::text::Text;

/// What stands between brackets.
#[derive(Debug, Default, Clone)]
pub(super) struct Elements {
    pub values: Vec<Value>,
    pub named: Vec<(String, Value)>,
    /// More than one, or a comma behind the only one.
    pub several: bool,
    /// A comprehension made them.
    pub generated: bool,
}

impl Elements {
    pub fn of(values: Vec<Value>) -> Elements {
        Elements { values, ..Elements::default() }
    }
}

impl Folder {
    /// Everything between the bracket here and its partner; stands behind it afterwards.
    pub fn bracket(&mut self) -> Elements {
        let close = self.unit.close(self.pos);
        self.pos += 1;
        let elements = self.elements(close, false);
        self.pos = close + 1;
        elements
    }

    /// The elements up to the token `close`, of a call or of a list.
    pub fn elements(&mut self, close: usize, call: bool) -> Elements {
        let outer = self.end;
        self.end = close.min(outer);
        let comprehension =
            if self.language == Language::Python { self.comprehension_at() } else { None };
        let found = match comprehension {
            Some(at) => {
                let values = self.comprehension(at);
                Elements { values, generated: true, ..Elements::default() }
            }
            None => self.deeper(|folder| folder.listed(call)).unwrap_or_default(),
        };
        self.end = outer;
        found
    }

    pub fn listed(&mut self, call: bool) -> Elements {
        let mut out = Elements::default();
        while self.pos < self.end && self.spend(1) {
            let before = self.pos;
            match self.unit.symbol(self.pos) {
                Some("," | ";") => {
                    out.several = true;
                    self.pos += 1;
                    continue;
                }
                _ if self.unit.is_newline(self.pos) => {
                    self.pos += 1;
                    continue;
                }
                _ => {}
            }
            let spread = matches!(self.unit.symbol(self.pos), Some("*" | "..." | "**" | "@"))
                || self.language == Language::Perl;
            let mut key = self.label(call);
            if key.is_some() && self.unit.is_name(self.pos, "for") {
                key = None;
            }
            let mut value = self.expression(power::ASSIGN);
            if key.is_none() && self.pos < self.end {
                let arrow = self.unit.is_symbol(self.pos, "=>") && self.language != Language::Node;
                let colon = self.unit.is_symbol(self.pos, ":")
                    && matches!(self.language, Language::Python | Language::Node);
                if arrow || colon {
                    self.pos += 1;
                    key = Some(match &value {
                        Value::Name(name) => name.to_string(),
                        other => other.text().as_str().to_owned(),
                    });
                    value = self.expression(power::ASSIGN);
                }
            }
            if self.pos == before {
                // Nothing that can be read: a keyword or a stray sign.
                self.pos += 1;
                continue;
            }
            if let Some(key) = key {
                if self.language == Language::Perl {
                    out.values.push(Value::Text(Text::literal(key.clone())));
                    out.values.push(value.clone());
                }
                out.named.push((key, value));
                continue;
            }
            match value {
                Value::List(values) if spread && out.values.len() < LIST_MAX => {
                    if !self.spend(2 * values.len()) {
                        break;
                    }
                    out.values.extend(values.iter().cloned());
                    out.several = true;
                }
                value @ Value::Text(_) if spread && self.language == Language::Node => {
                    match self.items(&value) {
                        Some(items) => out.values.extend(items),
                        None => out.values.push(value),
                    }
                    out.several = true;
                }
                Value::Map(pairs) if spread => out.named.extend(pairs.iter().cloned()),
                value => out.values.push(value),
            }
        }
        out.several |= out.values.len() > 1;
        out
    }

    /// A key before a value: `name:`, `name =>`, `name =`.
    pub fn label(&mut self, call: bool) -> Option<String> {
        let unit = Rc::clone(&self.unit);
        if self.language == Language::Lua && unit.is_symbol(self.pos, "[") {
            let close = unit.close(self.pos);
            if !unit.is_symbol(close + 1, "=") {
                return None;
            }
            self.pos += 1;
            let key = self.elements(close, false).values.first().map(Value::text);
            self.pos = close + 2;
            return key.map(|key| key.as_str().to_owned());
        }
        let key = match unit.kind(self.pos)? {
            Kind::Name(name) => name.to_string(),
            Kind::Text(text) => text.as_str().to_owned(),
            Kind::Number(number) => number.to_string(),
            _ => return None,
        };
        let marks = match unit.symbol(self.pos + 1)? {
            ":" => matches!(
                self.language,
                Language::Python | Language::Node | Language::Ruby | Language::Php
            ),
            "=>" => self.language != Language::Node,
            "=" => match self.language {
                Language::Python => call,
                Language::Lua => true,
                _ => false,
            },
            _ => false,
        };
        if !marks || key == "lambda" {
            return None;
        }
        if let Some(visited) = unit.visited.borrow_mut().get_mut(self.pos) {
            *visited = true;
        }
        if let Value::Text(text) = self.literal_key(&unit) {
            // A key is a string, too, and may be what is looked for.
            if text.as_str().contains('/') {
                self.emit(&Value::Text(text));
            }
        }
        self.pos += 2;
        Some(key)
    }

    pub fn literal_key(&self, unit: &super::lex::Unit) -> Value {
        match unit.kind(self.pos) {
            Some(Kind::Text(text)) => Value::Text(text.clone()),
            _ => Value::UNKNOWN,
        }
    }

    /// Where the `for` of a comprehension stands among the tokens up to the end.
    pub fn comprehension_at(&self) -> Option<usize> {
        let mut at = self.pos;
        while at < self.end {
            if self.unit.is_name(at, "for") {
                return (at > self.pos).then_some(at);
            }
            at = match self.unit.symbol(at) {
                Some("(" | "[" | "{") => self.unit.close(at).max(at) + 1,
                _ => at + 1,
            };
        }
        None
    }

    /// `body for target in list`: the body's values.
    pub fn comprehension(&mut self, at: usize) -> Vec<Value> {
        let (body, end) = (self.pos, self.end);
        self.pos = at + 1;
        let targets = self.names_until("in");
        let list = self.expression(power::OR);
        let condition = (self.unit.is_name(self.pos, "if")).then_some(self.pos + 1);
        let nested = self.unit.is_name(self.pos, "for");
        let unit = Rc::clone(&self.unit);
        let items = self.items(&list).filter(|_| !nested).unwrap_or_else(|| {
            self.emit(&list);
            vec![Value::UNKNOWN]
        });
        let mut values = Vec::new();
        for item in items {
            if !self.spend(1) {
                break;
            }
            self.bind_loop(&targets, item);
            let kept = condition.is_none_or(|condition| {
                let kept = self.within(&unit, condition, end, |f| f.expression(power::OR));
                kept.truth() != Some(false)
            });
            if kept {
                let value = self.within(&unit, body, at, |f| f.expression(power::ASSIGN));
                values.push(value);
            }
        }
        self.pos = end;
        values
    }

    /// Names up to a word, which is passed.
    pub fn names_until(&mut self, word: &str) -> Vec<String> {
        let mut names = Vec::new();
        while self.pos < self.end && !self.unit.is_name(self.pos, word) {
            if let Some(name) = self.unit.name(self.pos).filter(|name| !is_declaration(name)) {
                names.push(name.to_string());
            }
            self.pos += 1;
        }
        self.pos += 1;
        names
    }

    /// Gives loop variables their value of this turn; several share the elements of a list.
    pub fn bind_loop(&mut self, targets: &[String], item: Value) {
        match (targets, &item) {
            ([one], _) => self.set_variable(one, item),
            (several, Value::List(values)) if values.len() == several.len() => {
                for (name, value) in several.iter().zip(values.iter()) {
                    self.set_variable(name, value.clone());
                }
            }
            (several, _) => {
                // A key and a value: what is known is the value.
                for name in several {
                    self.set_variable(name, item.clone());
                }
            }
        }
    }

    /// Arguments without parentheses, up to the end of the statement.
    pub fn bare_arguments(&mut self) -> Elements {
        let from = self.pos;
        let mut to = from;
        while to < self.end {
            match self.unit.kind(to) {
                Some(Kind::Symbol("(" | "[" | "{")) => to = self.unit.close(to),
                Some(Kind::Symbol(";" | ")" | "]" | "}")) => break,
                // A list goes on behind a comma.
                Some(Kind::Newline { .. }) if to == from || !self.unit.is_symbol(to - 1, ",") => {
                    break;
                }
                Some(Kind::Name(name))
                    if matches!(
                        &**name,
                        "or" | "and"
                            | "if"
                            | "unless"
                            | "for"
                            | "foreach"
                            | "while"
                            | "until"
                            | "do"
                            | "then"
                            | "rescue"
                    ) =>
                {
                    break;
                }
                _ => {}
            }
            to += 1;
        }
        let to = to.min(self.end);
        self.spend(to.saturating_sub(from) / 8);
        let arguments = self.elements(to, true);
        self.pos = to;
        arguments
    }
}

pub(super) fn map_of(elements: Elements) -> Value {
    let mut pairs = elements.named;
    for (at, value) in elements.values.into_iter().enumerate() {
        pairs.push((at.to_string(), value));
    }
    Value::Map(Rc::new(pairs))
}
