//! Statements: what is no expression.
//!
//! Both branches of a condition are read, one after the other.

use std::rc::Rc;

use super::Language;
use super::fold::Folder;
use super::lex::{Kind, Unit};
use super::operators::power;
use super::value::Value;

/// Words of a language that are no operand.
pub(super) fn is_keyword(language: Language, word: &str) -> bool {
    let common = matches!(
        word,
        "if" | "else"
            | "while"
            | "for"
            | "do"
            | "return"
            | "break"
            | "continue"
            | "in"
            | "and"
            | "or"
    );
    common
        || match language {
            Language::Python => matches!(
                word,
                "elif"
                    | "try"
                    | "except"
                    | "finally"
                    | "with"
                    | "as"
                    | "import"
                    | "from"
                    | "is"
                    | "pass"
                    | "assert"
                    | "del"
                    | "def"
                    | "class"
                    | "global"
                    | "nonlocal"
            ),
            Language::Perl => matches!(
                word,
                "elsif"
                    | "unless"
                    | "until"
                    | "foreach"
                    | "last"
                    | "next"
                    | "use"
                    | "no"
                    | "package"
                    | "x"
                    | "eq"
                    | "ne"
                    | "lt"
                    | "gt"
                    | "le"
                    | "ge"
                    | "cmp"
                    | "xor"
            ),
            Language::Ruby => matches!(
                word,
                "elsif"
                    | "unless"
                    | "until"
                    | "then"
                    | "end"
                    | "begin"
                    | "rescue"
                    | "ensure"
                    | "case"
                    | "when"
                    | "def"
                    | "class"
                    | "module"
                    | "next"
                    | "redo"
            ),
            Language::Node | Language::Php => matches!(
                word,
                "case"
                    | "switch"
                    | "default"
                    | "try"
                    | "catch"
                    | "finally"
                    | "of"
                    | "foreach"
                    | "as"
                    | "elseif"
                    | "echo"
                    | "class"
                    | "import"
                    | "export"
            ),
            Language::Lua => matches!(word, "then" | "end" | "elseif" | "repeat" | "until"),
            Language::Awk => is_awk_keyword(word),
        }
}

/// Words beside which nothing is joined.
pub(super) fn is_awk_keyword(word: &str) -> bool {
    matches!(
        word,
        "in" | "getline"
            | "print"
            | "printf"
            | "if"
            | "else"
            | "while"
            | "for"
            | "do"
            | "return"
            | "next"
            | "exit"
            | "delete"
            | "function"
            | "func"
            | "BEGIN"
            | "END"
            | "break"
            | "continue"
    )
}

/// The `end` that closes the block which begins at `from`.
pub(super) fn block_end(unit: &Unit, language: Language, from: usize, end: usize) -> usize {
    let mut depth = 0_usize;
    for at in from..end {
        let Some(name) = unit.name(at) else { continue };
        let begins_statement = at == from
            || unit.is_newline(at - 1)
            || matches!(unit.symbol(at - 1), Some(";" | "=" | "|"));
        match &**name {
            "end" if depth == 0 => return at,
            "end" => depth -= 1,
            "do" | "function" if language == Language::Lua => depth += 1,
            "if" if language == Language::Lua => depth += 1,
            "repeat" if language == Language::Lua => depth += 1,
            "until" if language == Language::Lua => depth = depth.saturating_sub(1),
            "do" | "def" | "begin" | "case" | "class" | "module" => depth += 1,
            "if" | "unless" if begins_statement => depth += 1,
            _ => {}
        }
    }
    end
}

impl Folder {
    /// Reads the statements from here to the end.
    pub fn run(&mut self) {
        if self.pos >= self.end {
            return;
        }
        if self.deeper(Folder::statements).is_none() {
            self.pos = self.end;
        }
    }

    fn statements(&mut self) {
        while self.pos < self.end && self.spend(1) {
            let before = self.pos;
            if !self.statement() {
                let value = self.expression(power::ASSIGN);
                if self.pos > before && !self.stored {
                    self.conclude(value);
                }
            }
            if self.pos == before {
                self.pos += 1;
            }
        }
    }

    /// The value of a statement is what its function returns if nothing follows.
    fn conclude(&mut self, value: Value) {
        let value = if self.frames > 0 { self.last.replace(value) } else { Some(value) };
        if let Some(value) = value {
            self.emit(&value);
        }
    }

    /// Reads a statement that is no expression; false when none stands here.
    fn statement(&mut self) -> bool {
        let unit = Rc::clone(&self.unit);
        match unit.kind(self.pos) {
            Some(Kind::Newline { .. }) => {
                self.pos += 1;
                return true;
            }
            Some(Kind::Symbol(";" | "," | "{" | "}" | ")" | "]")) => {
                let block = unit.is_symbol(self.pos, "{") && self.language == Language::Python;
                if !block {
                    self.pos += 1;
                    return true;
                }
            }
            _ => {}
        }
        if self.language == Language::Perl && self.postfix_loop() {
            return true;
        }
        if self.shared_assignment() {
            return true;
        }
        let Some(name) = unit.name(self.pos).cloned() else { return false };
        let next_is = |symbol: &str| unit.is_symbol(self.pos + 1, symbol);
        match (self.language, &*name) {
            (_, "return") => {
                self.pos += 1;
                let value = self.expression(power::ASSIGN);
                if self.frames == 0 || self.returned.is_some() {
                    self.emit(&value);
                } else {
                    self.returned = Some(value);
                }
                true
            }
            (Language::Python, "for") => self.python_for(),
            (Language::Python, "while") => self.python_while(),
            (Language::Lua, "while") => self.lua_while(),
            (Language::Python | Language::Ruby, "def") => {
                self.pos += 1;
                self.definition();
                true
            }
            (Language::Awk, "function" | "func") => {
                self.pos += 1;
                self.definition();
                true
            }
            (Language::Lua, "for") => self.lua_for(),
            (Language::Ruby, "for") => self.ruby_for(),
            (Language::Perl | Language::Php, "for" | "foreach")
            | (Language::Node | Language::Awk, "for") => self.braced_for(),
            (Language::Node | Language::Php | Language::Perl | Language::Awk, "while")
                if next_is("(") =>
            {
                self.braced_while()
            }
            (Language::Python, "import" | "from") => self.python_import(),
            (Language::Awk, "print" | "printf") => self.awk_print(&name),
            // What a file handle or an import names is no value.
            (_, word) if is_keyword(self.language, word) && word != "getline" => {
                self.pos += 1;
                true
            }
            _ => false,
        }
    }

    /// `a, b = 'x', 'y'` and the like, with or without brackets around the names.
    fn shared_assignment(&mut self) -> bool {
        if self.pos < self.no_shared_until {
            return false;
        }
        let unit = Rc::clone(&self.unit);
        let mut at = self.pos;
        while unit.name(at).is_some_and(|name| super::operators::is_declaration(name)) {
            at += 1;
        }
        let open = match unit.kind(at) {
            Some(Kind::Name(name)) if &**name == "list" && self.language == Language::Php => at + 1,
            _ => at,
        };
        let bracketed = matches!(unit.symbol(open), Some("(" | "["));
        if bracketed {
            at = open + 1;
        }
        let mut names = Vec::new();
        while let Some(name) = unit.name(at) {
            names.push(name.to_string());
            at += 1;
            if names.len() > 64 || !unit.is_symbol(at, ",") {
                break;
            }
            at += 1;
        }
        if bracketed {
            if at != unit.close(open) {
                return false;
            }
            at += 1;
        }
        let single = names.len() < 2 && !(bracketed && self.language == Language::Perl);
        if names.is_empty() || single || !unit.is_symbol(at, "=") || at >= self.end {
            // What follows the first name of a list is not looked at again.
            self.no_shared_until = at.saturating_sub(usize::from(names.len() > 1));
            return false;
        }
        self.pos = at + 1;
        let mut values = Vec::new();
        loop {
            let before = self.pos;
            let value = self.expression(power::ASSIGN);
            if self.pos == before {
                break;
            }
            values.push(value);
            if !self.unit.is_symbol(self.pos, ",") || self.pos >= self.end {
                break;
            }
            self.pos += 1;
        }
        if let [Value::List(list)] = values.as_slice() {
            values = list.to_vec();
        }
        let mut values = values.into_iter();
        for name in names {
            let value = if name.starts_with('@') {
                Value::list(values.by_ref().collect())
            } else {
                values.next().unwrap_or(Value::UNKNOWN)
            };
            self.set_variable(&name, value);
        }
        for value in values {
            self.emit(&value);
        }
        true
    }

    /// The tokens of a Python block, behind its colon: the rest of the line, or what is indented.
    pub fn suite(&mut self) -> (usize, usize) {
        if self.unit.is_symbol(self.pos, ":") {
            self.pos += 1;
        }
        let start = self.pos;
        let mut at = start;
        let mut block = None;
        while at < self.end {
            match self.unit.kind(at) {
                Some(Kind::Newline { indent }) if at == start => block = Some(*indent),
                Some(Kind::Newline { indent }) => match block {
                    Some(inside) if *indent >= inside && inside > 0 => {}
                    _ => break,
                },
                _ => {}
            }
            at += 1;
        }
        self.spend(at.saturating_sub(start) / 8);
        self.pos = at;
        (start, at)
    }

    /// `import a as b`, `from a import b as c`: names stand for what they are in their module.
    fn python_import(&mut self) -> bool {
        self.pos += 1;
        while self.pos < self.end
            && !self.unit.is_newline(self.pos)
            && !self.unit.is_symbol(self.pos, ";")
        {
            if self.unit.is_name(self.pos, "as")
                && let Some(alias) = self.unit.name(self.pos + 1).cloned()
                && let Some(name) = self.unit.name(self.pos - 1).cloned()
            {
                self.set_variable(&alias, Value::Name(name));
                self.pos += 1;
            }
            self.pos += 1;
        }
        true
    }
}
