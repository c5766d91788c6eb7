//! What awk alone has: `getline`, `print` into commands and files, functions that change their
//! argument.

use std::rc::Rc;

use super::elements::Elements;
use super::fold::Folder;
use super::functions::based;
use super::operators::power;
use super::runner::is_shell;
use super::statement::is_awk_keyword;
use super::value::{Value, concatenated, mapped};
use crate::audit::shell::text::Text;

impl Folder {
    /// `print …` with what it is given to: a file, or a command.
    pub fn awk_print(&mut self, name: &str) -> bool {
        self.pos += 1;
        let whole = self.unit.is_symbol(self.pos, "(").then(|| self.unit.close(self.pos));
        let mut values = Vec::new();
        loop {
            let before = self.pos;
            // A `>` or `|` is the redirection, not an operator.
            let value = self.expression(power::BIT_OR);
            if self.pos == before {
                break;
            }
            match value {
                Value::List(list) if whole.is_some_and(|close| self.pos == close + 1) => {
                    values.extend(list.iter().cloned());
                }
                value => values.push(value),
            }
            if !self.unit.is_symbol(self.pos, ",") || self.pos >= self.end {
                break;
            }
            self.pos += 1;
        }
        let printed = if name == "printf" {
            match values.split_first() {
                Some((format, rest)) => self.formatted(format, rest, &[]),
                None => Value::UNKNOWN,
            }
        } else if values.len() == 1 {
            values.pop().unwrap_or(Value::UNKNOWN)
        } else {
            Value::Text(self.joined(&values, " "))
        };
        let operator = if self.pos < self.end { self.unit.symbol(self.pos) } else { None };
        match operator {
            Some("|" | "|&") => {
                self.pos += 1;
                let command = self.expression(power::BIT_OR).text();
                let is_shell = command.as_literal().is_some_and(is_shell);
                self.tell_shell(command);
                if is_shell {
                    self.tell_shell(printed.text());
                    return true;
                }
            }
            Some(">" | ">>") => {
                self.pos += 1;
                let file = self.expression(power::BIT_OR);
                self.emit(&file);
            }
            _ => {}
        }
        self.emit(&printed);
        true
    }

    /// `command | getline x`, behind the bar.
    pub fn awk_pipe(&mut self, command: Value) -> Value {
        self.stored = false;
        if self.unit.is_symbol(self.pos, "&") {
            self.pos += 1;
        }
        if self.unit.is_name(self.pos, "getline") {
            self.tell_shell(command.text());
            self.pos += 1;
            self.awk_getline_target();
        } else {
            let receiver = self.expression(power::BIT_OR).text();
            let is_shell = receiver.as_literal().is_some_and(is_shell);
            self.tell_shell(receiver);
            if is_shell {
                self.tell_shell(command.text());
            } else {
                self.emit(&command);
            }
        }
        Value::UNKNOWN
    }

    pub fn awk_getline_target(&mut self) {
        if let Some(name) = self.unit.name(self.pos).cloned()
            && self.pos < self.end
            && !is_awk_keyword(&name)
        {
            self.set_variable(&name, Value::UNKNOWN);
            self.pos += 1;
            if self.unit.is_symbol(self.pos, "[") {
                self.pos = self.unit.close(self.pos) + 1;
            }
        }
    }

    /// `getline x < file`. Awks differ in what they read as the file's name when more follows: it
    /// alone, and all of it, are told.
    pub fn awk_getline(&mut self) -> Value {
        self.pos += 1;
        self.awk_getline_target();
        if self.unit.is_symbol(self.pos, "<") && self.pos < self.end {
            self.pos += 1;
            let first = self.expression(power::UNARY);
            self.emit(&first);
            let before = self.pos;
            let rest = self.expression(power::JOIN);
            if self.pos > before {
                let whole: Text = concatenated(first.text(), &rest.text());
                self.emit(&Value::Text(whole));
            }
        }
        Value::UNKNOWN
    }

    /// Awk's `sub`, `gsub` and `split`, which change one of their arguments; at the parenthesis.
    pub fn awk_changing(&mut self, name: &str) -> Value {
        let open = self.pos;
        let close = self.unit.close(open).min(self.end);
        let unit = Rc::clone(&self.unit);
        let outer = std::mem::replace(&mut self.end, close);
        self.pos = open + 1;
        let mut values = Vec::new();
        let mut names = Vec::new();
        while self.pos < close {
            let from = self.pos;
            values.push(self.expression(power::ASSIGN));
            names.push(self.target(from, self.pos));
            if self.pos == from || unit.is_symbol(self.pos, ",") {
                self.pos += 1;
            }
        }
        self.pos = close + 1;
        self.end = outer;
        if name == "split" {
            let parts = values.first().map(|text| match values.get(2) {
                Some(separator) => self.split(text, Some(separator)),
                None => self.split(text, None),
            });
            if let (Some(Some(array)), Some(Value::List(parts))) = (names.get(1).cloned(), parts) {
                for (at, part) in parts.iter().enumerate() {
                    self.set_variable(&format!("{array}[{}]", at + 1), part.clone());
                }
                // A loop over the array goes over its elements.
                self.set_variable(&array, Value::list(parts.to_vec()));
                return Value::Int(parts.len() as i64);
            }
            return Value::UNKNOWN;
        }
        let (Some(pattern), Some(with)) = (values.first(), values.get(1)) else {
            return Value::UNKNOWN;
        };
        let Some(target) = names.get(2).cloned().flatten() else {
            for value in &values {
                self.emit(value);
            }
            return Value::UNKNOWN;
        };
        let subject = values.get(2).cloned().unwrap_or(Value::UNKNOWN);
        let result = self.replaced(&subject, &pattern.clone(), &with.clone(), name == "gsub");
        self.set_variable(&target, result.unwrap_or(Value::UNKNOWN));
        Value::UNKNOWN
    }

    pub fn awk_function(&mut self, name: &str, given: &Elements) -> Option<Value> {
        let values = &given.values;
        let first = values.first();
        Some(match name {
            "tolower" => Value::Text(mapped(&first?.text(), str::to_lowercase)),
            "toupper" => Value::Text(mapped(&first?.text(), str::to_uppercase)),
            "substr" => {
                let at = values.get(1)?.as_int().map(|at| (at - 1).max(0));
                let count = values.get(2).map(|count| count.as_int().unwrap_or(0));
                self.part(first?, at, count)
            }
            "length" => Value::Int(self.length(first?)),
            "strtonum" => match first?.as_str() {
                Some(text) if text.starts_with("0x") => based(first?, 16)?,
                _ => Value::Int(first?.as_int()?),
            },
            "gensub" => {
                let how = values.get(2)?.text();
                let all = how.as_str().starts_with(['g', 'G']);
                self.replaced(values.get(3)?, first?, values.get(1)?, all)?
            }
            _ => return None,
        })
    }
}
