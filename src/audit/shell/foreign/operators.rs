//! Operators: how tightly each binds, in which language, and expressions made of them.

use super::Language;
use super::fold::Folder;
use super::lex::Kind;
use super::value::Value;
use crate::audit::shell::text::Text;

impl Folder {
    /// An expression of operators that bind at least as tightly as `least`. Takes no token where
    /// none can begin one.
    pub fn expression(&mut self, least: u8) -> Value {
        self.deeper(|folder| folder.operators(least)).unwrap_or(Value::UNKNOWN)
    }

    pub fn operators(&mut self, least: u8) -> Value {
        let start = self.pos;
        self.stored = false;
        let mut left = self.unary();
        while self.pos < self.end {
            let Some((operator, binds, length)) = self.infix(start) else { break };
            if binds < least || !self.spend(1) {
                break;
            }
            let target = self.target(start, self.pos);
            self.pos += length;
            // A line may end behind an operator.
            while self.pos < self.end && length > 0 && self.unit.is_newline(self.pos) {
                self.pos += 1;
            }
            left = match operator {
                "=" | ":=" => {
                    let value = self.expression(power::ASSIGN);
                    self.assign(target.as_deref(), left, value)
                }
                _ if operator.len() > 1 && operator.ends_with('=') && binds == power::ASSIGN => {
                    let right = self.expression(power::ASSIGN);
                    let operator = operator.get(..operator.len() - 1).unwrap_or("");
                    let unset = operator == "."
                        && matches!(left, Value::Unknown(_))
                        && target.as_ref().is_some_and(|target| !self.is_set(target));
                    let left = if unset { Value::Text(Text::new()) } else { left };
                    let operator = match operator {
                        "||" | "??" => "||",
                        "//" if self.language != Language::Python => "||",
                        other => other,
                    };
                    let value = self.binary(operator, left, right);
                    self.assign(target.as_deref(), Value::UNKNOWN, value)
                }
                "?" => self.choice(&left),
                "if" => self.conditional(left),
                "=~" | "!~" => self.bound(left, target.or_else(|| self.assigned_target(start))),
                "|" if self.language == Language::Awk => self.awk_pipe(left),
                _ => {
                    let least = if operator == "**" { binds } else { binds + 1 };
                    let right = self.expression(least);
                    self.stored = false;
                    let append = operator == "<<"
                        && self.language == Language::Ruby
                        && matches!(left, Value::Text(_) | Value::List(_) | Value::Unknown(_));
                    let value = self.binary(operator, left, right);
                    match target.filter(|_| append) {
                        Some(target) => self.assign(Some(&target), Value::UNKNOWN, value),
                        None => value,
                    }
                }
            };
        }
        left
    }

    /// The operator that stands here, how tightly it binds, and how many tokens it takes.
    pub fn infix(&self, start: usize) -> Option<(&'static str, u8, usize)> {
        if self.pos == start {
            return None;
        }
        let language = self.language;
        let found = match self.unit.kind(self.pos)? {
            Kind::Symbol(symbol) => (symbol_power(language, symbol), *symbol),
            Kind::Name(name) => word_power(language, name)?,
            _ => (None, ""),
        };
        if let (Some(binds), operator) = found {
            return Some((operator, binds, 1));
        }
        // Awk joins what stands side by side.
        let joins = language == Language::Awk
            && match self.unit.kind(self.pos)? {
                Kind::Text(_) | Kind::Number(_) | Kind::Decimal => true,
                Kind::Name(name) => !super::statement::is_awk_keyword(name),
                Kind::Symbol(symbol) => matches!(*symbol, "(" | "$"),
                _ => false,
            };
        joins.then_some(("..", power::JOIN, 0))
    }

    /// The variable that the tokens `from..to` name, if they are one.
    pub fn target(&self, from: usize, to: usize) -> Option<String> {
        let from = if self.unit.name(from).is_some_and(|name| is_declaration(name)) {
            from + 1
        } else {
            from
        };
        match to.checked_sub(from)? {
            0 => None,
            1 => self.unit.name(from).map(|name| name.to_string()),
            // An element or a member of a variable.
            count if count <= 12 && self.unit.name(from).is_some() => {
                let ends = self.unit.symbol(to - 1).is_some_and(|s| matches!(s, "]" | "}"))
                    || self.unit.name(to - 1).is_some();
                let written = self.unit.written(from, to);
                (ends && written.len() <= 256 && !written.contains(char::is_whitespace))
                    .then(|| written.to_owned())
            }
            _ => None,
        }
    }

    /// Perl's `($a = '…') =~ …`: the variable within the parentheses.
    pub fn assigned_target(&self, start: usize) -> Option<String> {
        let mut at = start;
        while self.unit.is_symbol(at, "(") || self.unit.name(at).is_some_and(|n| is_declaration(n))
        {
            at += 1;
        }
        (self.unit.is_symbol(at + 1, "=")).then(|| self.target(at, at + 1)).flatten()
    }

    pub fn assign(&mut self, target: Option<&str>, left: Value, value: Value) -> Value {
        match target {
            Some(target) if target.ends_with("[]") => {
                // PHP puts a value behind the others.
                let list = target.trim_end_matches("[]");
                let old = match self.variable(list) {
                    Some(Value::List(old)) => old.to_vec(),
                    _ => Vec::new(),
                };
                let mut all = old;
                self.spend(2 * all.len());
                all.push(value.clone());
                self.set_variable(list, Value::list(all));
                self.stored = true;
            }
            Some(target) => {
                self.set_variable(target, value.clone());
                self.stored = true;
            }
            None => {
                self.emit(&left);
                self.stored = false;
            }
        }
        value
    }

    /// `condition ? one : other`, behind the question mark.
    pub fn choice(&mut self, condition: &Value) -> Value {
        if self.unit.is_symbol(self.pos, ":") {
            self.pos += 1;
            let other = self.expression(power::CHOICE);
            return self.either(condition.truth(), condition.clone(), other);
        }
        let one = self.expression(power::ASSIGN);
        if !self.unit.is_symbol(self.pos, ":") {
            return one;
        }
        self.pos += 1;
        let other = self.expression(power::CHOICE);
        self.either(condition.truth(), one, other)
    }

    /// Python's `one if condition else other`, behind `if`.
    pub fn conditional(&mut self, one: Value) -> Value {
        let condition = self.expression(power::OR);
        if !self.unit.is_name(self.pos, "else") {
            return one;
        }
        self.pos += 1;
        let other = self.expression(power::CHOICE);
        self.either(condition.truth(), one, other)
    }

    /// One of two values; where it is not known which, both are told.
    pub fn either(&mut self, first: Option<bool>, one: Value, other: Value) -> Value {
        self.stored = false;
        let (chosen, passed) = match first {
            Some(true) => (one, other),
            Some(false) => (other, one),
            None => {
                self.emit(&one);
                self.emit(&other);
                return Value::UNKNOWN;
            }
        };
        self.emit(&passed);
        chosen
    }
}

/// How tightly operators bind, from loose to tight.
pub(super) mod power {
    pub const ASSIGN: u8 = 1;
    pub const WORD: u8 = 2;
    pub const CHOICE: u8 = 3;
    pub const OR: u8 = 4;
    pub const AND: u8 = 5;
    pub const COMPARE: u8 = 6;
    pub const BIT_OR: u8 = 7;
    pub const BIT_XOR: u8 = 8;
    pub const BIT_AND: u8 = 9;
    pub const SHIFT: u8 = 10;
    pub const JOIN: u8 = 11;
    pub const ADD: u8 = 12;
    pub const MULTIPLY: u8 = 13;
    pub const UNARY: u8 = 14;
    pub const POWER: u8 = 15;
}

pub(super) fn is_declaration(name: &str) -> bool {
    matches!(name, "my" | "our" | "local" | "let" | "const" | "var" | "static" | "global" | "state")
}

pub(super) fn symbol_power(language: Language, symbol: &str) -> Option<u8> {
    use Language::{Awk, Lua, Node, Perl, Php, Python, Ruby};
    Some(match symbol {
        "=" | "+=" | "-=" | "*=" | ".=" | "/=" | "%=" | "|=" | "^=" | "&=" | ":=" | "**="
        | "<<=" | ">>=" | "//=" | "||=" | "&&=" | "??=" => power::ASSIGN,
        "?" if matches!(language, Node | Perl | Php | Ruby | Awk) => power::CHOICE,
        "||" | "??" => power::OR,
        "//" if language == Perl => power::OR,
        ".." | "..." if matches!(language, Perl | Ruby) => power::OR,
        "&&" => power::AND,
        "==" | "!=" | "===" | "!==" | "<" | ">" | "<=" | ">=" | "<=>" | "=~" | "!~" | "~~" => {
            power::COMPARE
        }
        "~=" if language == Lua => power::COMPARE,
        "~" if language == Awk => power::COMPARE,
        "|" if language == Awk => power::COMPARE,
        "|" => power::BIT_OR,
        "^" if matches!(language, Lua | Awk) => power::POWER,
        "^" => power::BIT_XOR,
        "~" if language == Lua => power::BIT_XOR,
        "&" => power::BIT_AND,
        "<<" | ">>" => power::SHIFT,
        ".." if language == Lua => power::JOIN,
        "." if language == Php => power::JOIN,
        "." if language == Perl => power::ADD,
        "+" | "-" => power::ADD,
        "*" | "/" | "%" => power::MULTIPLY,
        "//" if matches!(language, Python | Lua) => power::MULTIPLY,
        "**" => power::POWER,
        _ => return None,
    })
}

pub(super) fn word_power(language: Language, name: &str) -> Option<(Option<u8>, &'static str)> {
    use Language::{Lua, Node, Perl, Php, Python, Ruby};
    let (binds, operator) = match name {
        "or" if matches!(language, Python | Lua) => (power::OR, "||"),
        "and" if matches!(language, Python | Lua) => (power::AND, "&&"),
        "or" | "xor" if matches!(language, Perl | Ruby | Php) => (power::WORD, "||"),
        "and" if matches!(language, Perl | Ruby | Php) => (power::WORD, "&&"),
        "if" if language == Python => (power::CHOICE, "if"),
        "in" | "is" if matches!(language, Python | Node) => (power::COMPARE, "in"),
        "instanceof" if matches!(language, Node | Php) => (power::COMPARE, "in"),
        "eq" if language == Perl => (power::COMPARE, "=="),
        "ne" if language == Perl => (power::COMPARE, "!="),
        "lt" | "gt" | "le" | "ge" | "cmp" if language == Perl => (power::COMPARE, "in"),
        "x" if language == Perl => (power::MULTIPLY, "x"),
        _ => return Some((None, "")),
    };
    Some((Some(binds), operator))
}
