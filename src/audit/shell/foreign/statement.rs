//! Statements: loops over known lists, definitions, imports, and what awk prints into.
//!
//! Both branches of a condition are read, one after the other; a body whose turns are unknown is
//! read once.

use std::rc::Rc;

use super::Language;
use super::fold::{Folder, power};
use super::lex::{Kind, Unit};
use super::value::{Value, concatenated};
use crate::audit::shell::text::Text;

/// Most turns of one loop that are taken.
const TURNS_MAX: usize = 1024;

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
        while unit.name(at).is_some_and(|name| super::fold::is_declaration(name)) {
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

    fn python_for(&mut self) -> bool {
        self.pos += 1;
        let targets = self.names_until("in");
        let list = self.iterated(power::CHOICE);
        let (start, end) = self.suite();
        self.turns(&targets, &list, start, end);
        true
    }

    /// The list of a `for`, written with or without brackets.
    fn iterated(&mut self, least: u8) -> Value {
        let first = self.expression(least);
        if !self.unit.is_symbol(self.pos, ",") || self.pos >= self.end {
            return first;
        }
        let mut values = vec![first];
        while self.unit.is_symbol(self.pos, ",") && self.pos < self.end {
            self.pos += 1;
            let before = self.pos;
            values.push(self.expression(least));
            if self.pos == before {
                break;
            }
        }
        Value::list(values)
    }

    /// Reads a body once for each element of a list.
    pub fn turns(&mut self, targets: &[String], list: &Value, start: usize, end: usize) {
        let items = match list {
            // A string is no list of files.
            Value::Text(_) if self.language != Language::Python => None,
            other => self.items(other),
        };
        let unit = Rc::clone(&self.unit);
        let body = |folder: &mut Folder, item: Value| {
            folder.deeper(|folder| {
                folder.bind_loop(targets, item);
                folder.within(&unit, start, end, Folder::run);
            });
        };
        match items.filter(|items| !items.is_empty()) {
            Some(items) => {
                self.incomplete |= items.len() > TURNS_MAX;
                let budget = self.work_left() / 2;
                for item in items.into_iter().take(TURNS_MAX) {
                    if self.work_left() <= budget {
                        self.incomplete = true;
                        self.emit(&item);
                        continue;
                    }
                    body(self, item);
                }
            }
            None => {
                self.emit(list);
                body(self, Value::UNKNOWN);
            }
        }
    }

    fn lua_for(&mut self) -> bool {
        self.pos += 1;
        let numeric = self.unit.is_symbol(self.pos + 1, "=");
        let targets = if numeric {
            let name = self.unit.name(self.pos).map(|name| name.to_string());
            self.pos += 2;
            name.into_iter().collect()
        } else {
            self.names_until("in")
        };
        let mut list = self.iterated(power::ASSIGN);
        if let (true, Value::List(bounds)) = (numeric, &list) {
            let bound = |at: usize| bounds.get(at).and_then(Value::as_int);
            let step = bound(2).unwrap_or(1);
            list = match (bound(0), bound(1)) {
                (Some(from), Some(to)) => self.range(from, to, step, true),
                _ => Value::UNKNOWN,
            };
        }
        if self.unit.is_name(self.pos, "do") {
            self.pos += 1;
        }
        let start = self.pos;
        let end = block_end(&self.unit, self.language, start, self.end);
        self.spend(end.saturating_sub(start) / 8);
        self.pos = end;
        self.turns(&targets, &list, start, end);
        true
    }

    fn ruby_for(&mut self) -> bool {
        self.pos += 1;
        let targets = self.names_until("in");
        let list = self.iterated(power::ASSIGN);
        if self.unit.is_name(self.pos, "do") {
            self.pos += 1;
        }
        let start = self.pos;
        let end = block_end(&self.unit, self.language, start, self.end);
        self.spend(end.saturating_sub(start) / 8);
        self.pos = end;
        self.turns(&targets, &list, start, end);
        true
    }

    /// The body behind a `for (…)` or `while (…)`: a block, or one statement.
    fn braced_body(&mut self) -> (usize, usize) {
        if self.unit.is_symbol(self.pos, "{") {
            let close = self.unit.close(self.pos).min(self.end);
            let start = self.pos + 1;
            self.pos = close + 1;
            return (start, close);
        }
        let start = self.pos;
        let mut at = start;
        while at < self.end
            && !self.unit.is_symbol(at, ";")
            && !self.unit.is_symbol(at, "}")
            && !self.unit.is_newline(at)
        {
            at = match self.unit.symbol(at) {
                Some("(" | "[" | "{") => self.unit.close(at) + 1,
                _ => at + 1,
            };
        }
        let at = at.min(self.end);
        self.spend(at.saturating_sub(start) / 8);
        self.pos = at;
        (start, at)
    }

    /// `for (x of list)`, `foreach ($list as $x)`, `for my $x (list)`, `for (a; b; c)`.
    fn braced_for(&mut self) -> bool {
        let unit = Rc::clone(&self.unit);
        let mut at = self.pos + 1;
        let mut targets = Vec::new();
        while let Some(name) = unit.name(at).filter(|_| at < self.pos + 4) {
            if !super::fold::is_declaration(name) && &**name != "await" {
                targets.push(name.to_string());
            }
            at += 1;
        }
        if !unit.is_symbol(at, "(") {
            self.pos += 1;
            return true;
        }
        let (open, close) = (at, unit.close(at).min(self.end));
        let mut separators = Vec::new();
        let mut word = None;
        let mut at = open + 1;
        while at < close {
            match unit.kind(at) {
                Some(Kind::Symbol("(" | "[" | "{")) => at = unit.close(at),
                Some(Kind::Symbol(";")) => separators.push(at),
                Some(Kind::Name(name)) if matches!(&**name, "of" | "as" | "in") => {
                    word = word.or(Some(at));
                }
                _ => {}
            }
            at += 1;
        }
        self.spend(close.saturating_sub(open) / 8);
        self.pos = close + 1;
        if let [first, second] = separators.as_slice() {
            let body = self.braced_body();
            self.within(&unit, open + 1, *first, Folder::run);
            self.repeat((first + 1, *second), body, (second + 1, close));
            return true;
        }
        let list = match (self.language, word) {
            (Language::Node | Language::Awk, Some(word)) => {
                targets = self.within(&unit, open + 1, close, |f| {
                    let names = f.parameters_between(open + 1, word);
                    f.pos = word + 1;
                    names
                });
                self.within(&unit, word + 1, close, |f| f.expression(power::ASSIGN))
            }
            (Language::Php, Some(word)) => {
                targets = self.parameters_between(word + 1, close);
                self.within(&unit, open + 1, word, |f| f.expression(power::ASSIGN))
            }
            _ => {
                let values =
                    self.within(&unit, open + 1, close, |f| f.elements(close, true).values);
                Value::list(values)
            }
        };
        if self.language == Language::Php && targets.len() > 1 {
            // The key is not what is looked for.
            targets.remove(0);
        }
        if targets.is_empty() {
            targets.push("$_".to_owned());
        }
        let (start, end) = self.braced_body();
        self.turns(&targets, &list, start, end);
        true
    }

    /// All names between two tokens but those that declare.
    fn parameters_between(&self, from: usize, to: usize) -> Vec<String> {
        (from..to)
            .filter_map(|at| self.unit.name(at))
            .filter(|name| !super::fold::is_declaration(name))
            .take(8)
            .map(|name| name.to_string())
            .collect()
    }

    fn braced_while(&mut self) -> bool {
        let open = self.pos + 1;
        let close = self.unit.close(open).min(self.end);
        self.pos = close + 1;
        let body = self.braced_body();
        self.repeat((open + 1, close), body, (close, close));
        true
    }

    /// Takes turns as long as the condition is known to hold; one where it is not known.
    fn repeat(&mut self, condition: (usize, usize), body: (usize, usize), step: (usize, usize)) {
        let unit = Rc::clone(&self.unit);
        let budget = self.work_left() / 2;
        // A condition without a name never changes.
        let changes = (condition.0..condition.1).any(|at| unit.name(at).is_some());
        for turn in 0..TURNS_MAX {
            let holds = self.within(&unit, condition.0, condition.1, |folder| {
                let value = folder.expression(power::ASSIGN);
                folder.run();
                if !matches!(value, Value::Int(_)) {
                    folder.emit(&value);
                    return None;
                }
                value.truth()
            });
            if holds == Some(false) && turn > 0 {
                return;
            }
            let entered = self.deeper(|folder| {
                folder.within(&unit, body.0, body.1, Folder::run);
                folder.within(&unit, step.0, step.1, Folder::run);
            });
            if entered.is_none() || holds != Some(true) || !changes {
                return;
            }
            if self.work_left() <= budget {
                self.incomplete = true;
                return;
            }
        }
        self.incomplete = true;
    }

    /// Perl's `statement for list`.
    fn postfix_loop(&mut self) -> bool {
        if self.pos < self.no_postfix_until {
            return false;
        }
        let unit = Rc::clone(&self.unit);
        let start = self.pos;
        let mut at = start;
        let mut found = None;
        while at < self.end {
            match unit.kind(at) {
                Some(Kind::Symbol("(" | "[" | "{")) => at = unit.close(at).max(at),
                Some(Kind::Symbol(";" | "}" | ")")) => break,
                Some(Kind::Name(name))
                    if matches!(&**name, "for" | "foreach") && at > start
                    // Behind a block a loop of its own begins.
                    && (!unit.is_symbol(at - 1, "}") || unit.is_name(start, "do")) =>
                {
                    found = found.or(Some(at));
                }
                _ => {}
            }
            at += 1;
        }
        let end = at.min(self.end);
        self.no_postfix_until = end;
        self.spend(end.saturating_sub(start) / 8);
        let Some(word) = found else { return false };
        let values = self.within(&unit, word + 1, end, |folder| folder.elements(end, true).values);
        self.pos = end;
        let kept = self.no_postfix_until;
        let target = ["$_".to_owned()];
        let list = Value::list(values);
        self.turns(&target, &list, start, word);
        self.no_postfix_until = kept;
        true
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

    /// `print …` with what it is given to: a file, or a command.
    fn awk_print(&mut self, name: &str) -> bool {
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
                let is_shell = command.as_literal().is_some_and(super::runner::is_shell);
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
            let is_shell = receiver.as_literal().is_some_and(super::runner::is_shell);
            self.tell_shell(receiver);
            if is_shell {
                self.tell_shell(command.text());
            } else {
                self.emit(&command);
            }
        }
        Value::UNKNOWN
    }

    fn awk_getline_target(&mut self) {
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
}
