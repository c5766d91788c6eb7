//! Loops: a body is read once for each turn that is known, and once where none is.

use std::rc::Rc;

use super::Language;
use super::fold::Folder;
use super::lex::Kind;
use super::operators::power;
use super::statement::block_end;
use super::value::Value;

/// Most turns of one loop that are taken.
const TURNS_MAX: usize = 1024;
/// Longest condition that is evaluated more than once.
const CONDITION_MAX_TOKENS: usize = 128;

impl Folder {
    pub fn python_for(&mut self) -> bool {
        self.pos += 1;
        let targets = self.names_until("in");
        let list = self.iterated(power::CHOICE);
        let (start, end) = self.suite();
        self.turns(&targets, &list, start, end);
        true
    }

    pub fn python_while(&mut self) -> bool {
        let from = self.pos + 1;
        let mut at = from;
        while at < self.end && !self.unit.is_newline(at) && !self.unit.is_symbol(at, ":") {
            at = match self.unit.symbol(at) {
                Some("(" | "[" | "{") => self.unit.close(at) + 1,
                _ => at + 1,
            };
        }
        self.spend(at.saturating_sub(from) / 8);
        if at >= self.end || !self.unit.is_symbol(at, ":") {
            self.pos = from;
            return true;
        }
        self.pos = at;
        let condition = (from, at);
        let body = self.suite();
        self.repeat(condition, body, (body.1, body.1));
        true
    }

    pub fn lua_while(&mut self) -> bool {
        let from = self.pos + 1;
        let mut at = from;
        while at < self.end && !self.unit.is_name(at, "do") {
            at += 1;
        }
        self.spend(at.saturating_sub(from) / 8);
        if at >= self.end {
            self.pos = from;
            return true;
        }
        let end = block_end(&self.unit, self.language, (at + 1).min(self.end), self.end);
        self.spend(end.saturating_sub(from) / 8);
        self.pos = end;
        self.repeat((from, at), (at + 1, end), (end, end));
        true
    }

    /// The list of a `for`, written with or without brackets.
    pub fn iterated(&mut self, least: u8) -> Value {
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

    pub fn lua_for(&mut self) -> bool {
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

    pub fn ruby_for(&mut self) -> bool {
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
    pub fn braced_body(&mut self) -> (usize, usize) {
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
    pub fn braced_for(&mut self) -> bool {
        let unit = Rc::clone(&self.unit);
        let mut at = self.pos + 1;
        let mut targets = Vec::new();
        while let Some(name) = unit.name(at).filter(|_| at < self.pos + 4) {
            if !super::operators::is_declaration(name) && &**name != "await" {
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
    pub fn parameters_between(&self, from: usize, to: usize) -> Vec<String> {
        (from..to)
            .filter_map(|at| self.unit.name(at))
            .filter(|name| !super::operators::is_declaration(name))
            .take(8)
            .map(|name| name.to_string())
            .collect()
    }

    pub fn braced_while(&mut self) -> bool {
        let open = self.pos + 1;
        let close = self.unit.close(open).min(self.end);
        self.pos = close + 1;
        let body = self.braced_body();
        self.repeat((open + 1, close), body, (close, close));
        true
    }

    /// Takes turns as long as the condition is known to hold; one where it is not known.
    pub fn repeat(
        &mut self,
        condition: (usize, usize),
        body: (usize, usize),
        step: (usize, usize),
    ) {
        let unit = Rc::clone(&self.unit);
        let budget = self.work_left() / 2;
        // A condition without a name never changes.
        let length = condition.1.saturating_sub(condition.0);
        let changes = length <= CONDITION_MAX_TOKENS
            && (condition.0..condition.1).any(|at| unit.name(at).is_some());
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
    pub fn postfix_loop(&mut self) -> bool {
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
                // Behind a block a loop of its own begins.
                Some(Kind::Name(name))
                    if matches!(&**name, "for" | "foreach")
                        && at > start
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
}
