//! Functions that code defines: with a name, or as values.
//!
//! A function is a range of tokens. It is run when it is called, or at the end if nothing calls it.

use std::cell::Cell;
use std::rc::Rc;

use super::Language;
use super::fold::Folder;
use super::statement::block_end;
use super::value::{Function, Value};

impl Folder {
    /// The names of parameters between two tokens.
    pub fn parameters(&self, from: usize, to: usize) -> Vec<String> {
        let mut names = Vec::new();
        let mut at = from;
        while at < to {
            if let Some(name) = self.unit.name(at)
                && (at == from
                    || matches!(
                        self.unit.symbol(at - 1),
                        Some("," | "(" | "|" | "*" | "&" | "...")
                    ))
            {
                names.push(name.to_string());
            }
            at += 1;
        }
        names
    }

    fn closure(&self, parameters: Vec<String>, start: usize, end: usize, block: bool) -> Value {
        Value::Function(Rc::new(Function {
            unit: Rc::clone(&self.unit),
            parameters,
            start,
            end: end.min(self.end),
            block,
            ran: Cell::new(false),
            running: Cell::new(false),
        }))
    }

    /// The body of an arrow function, behind the arrow.
    pub fn arrow_body(&mut self, parameters: Vec<String>) -> Value {
        if self.unit.is_symbol(self.pos, "{") {
            return self.braced_function(parameters);
        }
        let start = self.pos;
        self.skip_expression();
        self.closure(parameters, start, self.pos, false)
    }

    /// `{ … }` as a function's body.
    pub fn braced_function(&mut self, parameters: Vec<String>) -> Value {
        let open = self.pos;
        let close = self.unit.close(open);
        self.pos = close + 1;
        self.closure(parameters, open + 1, close, true)
    }

    /// Passes tokens up to the comma, semicolon or bracket that ends an expression.
    fn skip_expression(&mut self) {
        while self.pos < self.end {
            match self.unit.symbol(self.pos) {
                Some("(" | "[" | "{") => self.pos = self.unit.close(self.pos) + 1,
                Some("," | ";" | ")" | "]" | "}") => break,
                _ if self.unit.is_newline(self.pos) => break,
                _ => self.pos += 1,
            }
        }
        self.pos = self.pos.min(self.end);
    }

    /// `lambda a, b: body`, behind `lambda`.
    pub fn python_lambda(&mut self) -> Value {
        let from = self.pos;
        while self.pos < self.end && !self.unit.is_symbol(self.pos, ":") {
            self.pos += 1;
        }
        let parameters = self.parameters(from, self.pos);
        self.pos += 1;
        let start = self.pos;
        self.skip_expression();
        self.closure(parameters, start, self.pos, false)
    }

    /// `->(x) { … }`
    pub fn ruby_lambda(&mut self) -> Value {
        self.pos += 1;
        let mut parameters = Vec::new();
        if self.unit.is_symbol(self.pos, "(") {
            let close = self.unit.close(self.pos);
            parameters = self.parameters(self.pos + 1, close);
            self.pos = close + 1;
        } else if let Some(name) = self.unit.name(self.pos).filter(|name| &***name != "do") {
            parameters.push(name.to_string());
            self.pos += 1;
        }
        self.ruby_block(parameters).unwrap_or(Value::UNKNOWN)
    }

    /// `{ |x| … }` or `do |x| … end`, if one stands here.
    pub fn ruby_block(&mut self, mut parameters: Vec<String>) -> Option<Value> {
        let open = self.pos;
        let close = if self.unit.is_symbol(open, "{") {
            self.unit.close(open)
        } else if self.unit.is_name(open, "do") {
            block_end(&self.unit, self.language, open + 1, self.end)
        } else {
            return None;
        };
        self.spend(close.saturating_sub(open) / 8);
        let mut start = open + 1;
        if self.unit.is_symbol(start, "|") {
            let mut bar = start + 1;
            while bar < close && !self.unit.is_symbol(bar, "|") {
                bar += 1;
            }
            parameters = self.parameters(start + 1, bar);
            start = bar + 1;
        } else if self.unit.is_symbol(start, "||") {
            start += 1;
        }
        if parameters.is_empty() {
            parameters.push(if self.language == Language::Ruby { "_1" } else { "$_" }.to_owned());
        }
        self.pos = close + 1;
        Some(self.closure(parameters, start, close, true))
    }

    /// `function name(a, b) …` and its kin, behind the keyword. One with a name is stored.
    pub fn definition(&mut self) -> Value {
        let name = self.unit.name(self.pos).cloned();
        if let Some(name) = &name {
            self.pos += 1;
            // `function a.b.c()`, `def self.x`
            while matches!(self.unit.symbol(self.pos), Some("." | ":")) {
                self.pos += 2;
            }
            if &**name == "self" {
                self.pos += 1;
            }
        }
        let mut parameters = Vec::new();
        if self.unit.is_symbol(self.pos, "(") {
            let close = self.unit.close(self.pos);
            parameters = self.parameters(self.pos + 1, close);
            self.pos = close + 1;
        }
        let function = match self.language {
            Language::Lua | Language::Ruby => {
                let start = self.pos;
                let end = block_end(&self.unit, self.language, start, self.end);
                self.spend(end.saturating_sub(start) / 8);
                self.pos = end + 1;
                self.closure(parameters, start, end, true)
            }
            Language::Python => {
                while self.pos < self.end
                    && !self.unit.is_symbol(self.pos, ":")
                    && !self.unit.is_newline(self.pos)
                {
                    self.pos += 1;
                }
                let (start, end) = self.suite();
                self.closure(parameters, start, end, true)
            }
            _ => {
                // `use ($x)`, a type, an arrow.
                let from = self.pos;
                while self.pos < self.end
                    && self.pos < from + 16
                    && !matches!(self.unit.symbol(self.pos), Some("{" | "=>" | ";"))
                {
                    self.pos += 1;
                }
                if self.unit.is_symbol(self.pos, "=>") {
                    self.pos += 1;
                    self.arrow_body(parameters)
                } else if self.unit.is_symbol(self.pos, "{") {
                    self.braced_function(parameters)
                } else {
                    self.pos = from;
                    Value::UNKNOWN
                }
            }
        };
        if let Some(name) = name {
            self.set_variable(&name, function);
            self.stored = true;
            return Value::UNKNOWN;
        }
        function
    }
}
