//! The evaluator's state, and expressions: operators by their precedence.
//!
//! Owns what is remembered while code is read: variables, the budget, what was found. A value
//! that nothing takes up is emitted; one that an operator or a function takes up becomes part of
//! its result, so that only the largest strings are told.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::lex::{Kind, Unit, lex};
use super::value::{Function, Value, concatenated, settled};
use super::{Foreign, Language, OUTPUT_MAX_BYTES};
use crate::audit::shell::text::{Step, Steps, Text};

/// Deepest nesting of brackets, operators and calls that is followed.
const DEPTH_MAX: usize = 64;
/// Deepest nesting of code within strings (`eval`, interpolation).
const CODE_DEPTH_MAX: usize = 8;
/// Units of work: about one for a token, or for 16 bytes that are copied.
const WORK_MAX: usize = 1_500_000;
/// Deepest nesting of lists that is kept in a variable.
const LIST_DEPTH_MAX: usize = 6;
/// Longest relative name that is told under a directory that was changed to.
const RELATIVE_MAX_BYTES: usize = 512;

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

pub(super) struct Folder {
    pub language: Language,
    pub unit: Rc<Unit>,
    /// The next token, and the one to stop at.
    pub pos: usize,
    pub end: usize,
    /// The value that was evaluated last was stored in a variable.
    pub stored: bool,
    /// What the function that runs returns.
    pub returned: Option<Value>,
    /// The value of the last statement of the function that runs.
    pub last: Option<Value>,
    /// Functions that run.
    pub frames: usize,
    /// Statements up to here have no loop written behind them.
    pub no_postfix_until: usize,
    /// No list of names that is assigned to begins before this place.
    pub no_shared_until: usize,
    /// A directory that the code changed to.
    pub directory: Option<Text>,
    pub incomplete: bool,
    variables: HashMap<String, Variable>,
    /// Some variable is an element or a member, so that these are looked up.
    compound: bool,
    /// Deepest nesting so far.
    depth: usize,
    code_depth: usize,
    work: usize,
    /// Steps that led to the code that is read.
    steps: Steps,
    texts: Vec<Text>,
    shells: Vec<Text>,
    told: HashSet<String>,
    told_bytes: usize,
}

struct Variable {
    value: Value,
    read: bool,
}

impl Folder {
    pub fn new(language: Language, arguments: &[Text]) -> Folder {
        let mut folder = Folder {
            language,
            unit: Rc::new(lex(language, String::new())),
            pos: 0,
            end: 0,
            stored: false,
            returned: None,
            last: None,
            frames: 0,
            no_postfix_until: 0,
            no_shared_until: 0,
            directory: None,
            incomplete: false,
            variables: HashMap::new(),
            compound: false,
            depth: 0,
            code_depth: 0,
            work: WORK_MAX,
            steps: Steps::NONE,
            texts: Vec::new(),
            shells: Vec::new(),
            told: HashSet::new(),
            told_bytes: 0,
        };
        folder.bind_arguments(arguments);
        folder
    }

    fn bind_arguments(&mut self, arguments: &[Text]) {
        let values = || arguments.iter().cloned().map(Value::Text);
        let after_name = |holes: usize| {
            Value::list(vec![Value::UNKNOWN; holes].into_iter().chain(values()).collect())
        };
        let (names, list): (&[&str], Value) = match self.language {
            Language::Python => (&["sys.argv", "argv"], after_name(1)),
            Language::Perl => (&["@ARGV"], after_name(0)),
            Language::Ruby => (&["ARGV"], after_name(0)),
            Language::Node => (&["process.argv", "argv", "Deno.args"], after_name(1)),
            Language::Php => (&["$argv"], after_name(1)),
            Language::Lua => (&["arg"], after_name(0)),
            Language::Awk => {
                for argument in arguments {
                    let Some((name, _)) = argument.as_str().split_once('=') else { continue };
                    if !name.is_empty()
                        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                    {
                        let value = argument.slice(name.len() + 1, argument.len());
                        self.bind(name, Value::Text(value));
                    }
                }
                (&["ARGV"], after_name(0))
            }
        };
        for name in names {
            self.bind(name, list.clone());
        }
    }

    /// A variable that counts as read: its value is known to whoever wrote the command line.
    fn bind(&mut self, name: &str, value: Value) {
        self.variables.insert(name.to_owned(), Variable { value, read: true });
    }

    /// Reads the whole program.
    pub fn read(&mut self, code: &str) {
        let unit = Rc::new(lex(self.language, code.to_owned()));
        let end = unit.tokens.len();
        self.within(&unit, 0, end, Folder::run);
        self.flush_variables();
        self.sweep(&unit);
    }

    pub fn finish(self) -> Foreign {
        Foreign { texts: self.texts, shells: self.shells, incomplete: self.incomplete }
    }

    /// Takes units of work; false when there are none left.
    pub fn spend(&mut self, work: usize) -> bool {
        match self.work.checked_sub(work) {
            Some(left) => self.work = left,
            None => {
                self.work = 0;
                self.incomplete = true;
            }
        }
        self.work > 0
    }

    pub fn work_left(&self) -> usize {
        self.work
    }

    /// Goes one level deeper for `inside`; `None` where that is too deep.
    pub fn deeper<T>(&mut self, inside: impl FnOnce(&mut Folder) -> T) -> Option<T> {
        if self.depth >= DEPTH_MAX || !self.spend(1) {
            self.incomplete = true;
            return None;
        }
        self.depth += 1;
        let result = inside(self);
        self.depth -= 1;
        Some(result)
    }

    /// Evaluates the tokens `start..end` of `unit` and returns to where it was.
    pub fn within<T>(
        &mut self,
        unit: &Rc<Unit>,
        start: usize,
        end: usize,
        inside: impl FnOnce(&mut Folder) -> T,
    ) -> T {
        let unit = std::mem::replace(&mut self.unit, Rc::clone(unit));
        let outer = (self.pos, self.end, self.no_postfix_until, self.no_shared_until);
        self.end = end.min(self.unit.tokens.len());
        self.pos = start.min(self.end);
        (self.no_postfix_until, self.no_shared_until) = (0, 0);
        let result = inside(self);
        self.unit = unit;
        (self.pos, self.end, self.no_postfix_until, self.no_shared_until) = outer;
        result
    }

    /// The value of an expression that stands in a string.
    pub fn code(&mut self, code: &str) -> Value {
        let sigil = code.trim_start_matches(['$', '@']);
        let plain = !sigil.is_empty()
            && sigil.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if plain && !sigil.starts_with(|c: char| c.is_ascii_digit()) && !code.starts_with("$$") {
            let found = self.variable(code);
            if found.is_some() || matches!(self.language, Language::Perl | Language::Php) {
                return found.unwrap_or(Value::UNKNOWN);
            }
        }
        let result = self.nested_code(code, Steps::NONE, |folder| {
            let value = folder.expression(power::ASSIGN);
            folder.run();
            value
        });
        result.unwrap_or(Value::UNKNOWN)
    }

    /// Runs a text as code of the same language; the value of its last expression.
    pub fn eval(&mut self, code: &Text) -> Value {
        let known = !code.as_str().is_empty();
        if !known && code.steps.has(Step::UnknownDecoded) {
            self.tell_shell(code.clone());
        }
        if !known {
            return Value::UNKNOWN;
        }
        let steps = code.steps.with(Step::Eval);
        let text = settled(code.clone());
        let result = self.nested_code(text.as_str(), steps, |folder| {
            let (returned, last) = (folder.returned.take(), folder.last.take());
            folder.frames += 1;
            folder.run();
            folder.frames -= 1;
            let result = folder.returned.take().or(folder.last.take());
            (folder.returned, folder.last) = (returned, last);
            result
        });
        result.flatten().unwrap_or(Value::UNKNOWN)
    }

    fn nested_code<T>(
        &mut self,
        code: &str,
        steps: Steps,
        inside: impl FnOnce(&mut Folder) -> T,
    ) -> Option<T> {
        if self.code_depth >= CODE_DEPTH_MAX || !self.spend(1 + code.len() / 4) {
            self.incomplete = true;
            return None;
        }
        let unit = Rc::new(lex(self.language, code.to_owned()));
        let end = unit.tokens.len();
        let outer = self.steps;
        self.steps.extend(steps);
        self.code_depth += 1;
        let result = self.within(&unit, 0, end, inside);
        self.sweep(&unit);
        self.code_depth -= 1;
        self.steps = outer;
        Some(result)
    }

    /// Tells every literal that no evaluation has reached.
    fn sweep(&mut self, unit: &Rc<Unit>) {
        let missed: Vec<usize> = {
            let visited = unit.visited.borrow();
            visited.iter().enumerate().filter(|(_, visited)| !**visited).map(|(at, _)| at).collect()
        };
        for at in missed {
            let value = match unit.kind(at) {
                Some(Kind::Text(_) | Kind::Template(_) | Kind::Command(_) | Kind::Words(_)) => {
                    self.within(unit, at, at + 1, Folder::literal)
                }
                _ => None,
            };
            if let Some(value) = value {
                self.emit(&value);
            }
        }
    }

    /// Tells a value that nothing has taken up.
    pub fn emit(&mut self, value: &Value) {
        self.spend(1);
        match value {
            Value::Text(text) => self.tell_text(text.clone()),
            Value::List(values) => {
                for value in values.iter() {
                    self.emit(value);
                    if self.work == 0 {
                        break;
                    }
                }
            }
            Value::Map(pairs) => {
                for (_, value) in pairs.iter() {
                    self.emit(value);
                    if self.work == 0 {
                        break;
                    }
                }
            }
            Value::Method(method) => self.emit(&method.0),
            Value::Function(function) => self.run_unseen(function),
            _ => {}
        }
    }

    fn tell_text(&mut self, text: Text) {
        if text.as_str().is_empty() {
            return;
        }
        let mut text = settled(text);
        text.steps.extend(self.steps);
        let relative = !text.as_str().starts_with('/')
            && text.len() <= RELATIVE_MAX_BYTES
            && !text.as_str().contains(char::is_whitespace);
        if let Some(directory) = self.directory.clone().filter(|_| relative) {
            let mut joined = directory;
            if !joined.as_str().ends_with('/') {
                joined.push('/');
            }
            let mut joined = concatenated(joined, &text);
            joined.steps.add(Step::WorkingDirectory);
            self.tell(joined, false);
        }
        self.tell(text, false);
    }

    /// Tells a command that a shell is given.
    pub fn tell_shell(&mut self, text: Text) {
        if text.as_str().is_empty() && !text.steps.has(Step::UnknownDecoded) {
            return;
        }
        let mut text = settled(text);
        if let Some(directory) = self.directory.clone() {
            text = super::runner::in_directory(&directory, &text);
        }
        text.steps.extend(self.steps);
        self.tell(text, true);
    }

    fn tell(&mut self, text: Text, shell: bool) {
        self.spend(1 + text.len() / 16);
        let key = format!("{}{text}", if shell { '!' } else { '.' });
        if self.told.contains(&key) {
            return;
        }
        if self.told_bytes + text.len() > OUTPUT_MAX_BYTES {
            self.incomplete = true;
            return;
        }
        // A text costs more than its bytes.
        self.told_bytes += text.len() + 8;
        self.told.insert(key);
        if shell {
            self.shells.push(text);
        } else {
            self.texts.push(text);
        }
    }

    pub fn variable(&mut self, name: &str) -> Option<Value> {
        let variable = self.variables.get_mut(name)?;
        variable.read = true;
        let value = variable.value.clone();
        self.spend(1 + value.weight() / 16);
        Some(value)
    }

    pub fn has_compound_variables(&self) -> bool {
        self.compound
    }

    pub fn set_variable(&mut self, name: &str, value: Value) {
        let value = match value {
            // A hash is a list of keys and values.
            Value::List(values) if name.starts_with('%') => {
                let pairs = values
                    .chunks_exact(2)
                    .map(|pair| (pair[0].text().as_str().to_owned(), pair[1].clone()));
                Value::Map(Rc::new(pairs.collect()))
            }
            value => value,
        };
        let value = if nesting(&value, LIST_DEPTH_MAX) >= LIST_DEPTH_MAX {
            self.emit(&value);
            self.incomplete = true;
            Value::UNKNOWN
        } else {
            value
        };
        if let Value::List(values) = &value {
            self.spend(values.len() / 16);
        }
        self.compound |= name.contains(['.', '[', '{', '>']);
        let old = self.variables.insert(name.to_owned(), Variable { value, read: false });
        if let Some(old) = old.filter(|old| !old.read) {
            self.emit(&old.value);
        }
    }

    fn flush_variables(&mut self) {
        // Functions may set variables while they run: until nothing new comes.
        for _ in 0..4 {
            let mut names: Vec<String> = self
                .variables
                .iter()
                .filter(|(_, variable)| !variable.read)
                .map(|(name, _)| name.clone())
                .collect();
            if names.is_empty() {
                return;
            }
            // A map has no order; what is told has.
            names.sort_unstable();
            for name in names {
                if let Some(value) = self.variable(&name) {
                    self.emit(&value);
                }
            }
        }
    }

    fn run_unseen(&mut self, function: &Rc<Function>) {
        if !function.ran.get() {
            self.apply_function(function, &[]);
        }
    }

    /// What a function of the code makes of `arguments`.
    pub fn apply_function(&mut self, function: &Rc<Function>, arguments: &[Value]) -> Value {
        if function.running.get() {
            return Value::UNKNOWN;
        }
        function.running.set(true);
        function.ran.set(true);
        let result = self.deeper(|folder| {
            let mut outer = Vec::new();
            let parameters = function.parameters.iter().enumerate();
            for (at, name) in parameters {
                outer.push((name.clone(), folder.variables.remove(name)));
                let argument = arguments.get(at).cloned().unwrap_or(Value::UNKNOWN);
                folder.set_variable(name, argument);
            }
            if folder.language == Language::Perl {
                outer.push(("@_".to_owned(), folder.variables.remove("@_")));
                folder.set_variable("@_", Value::list(arguments.to_vec()));
            }
            let (returned, last) = (folder.returned.take(), folder.last.take());
            folder.frames += 1;
            let value = folder.within(&function.unit, function.start, function.end, |folder| {
                if function.block {
                    folder.run();
                    folder.returned.take()
                } else {
                    let value = folder.expression(power::ASSIGN);
                    folder.run();
                    Some(value)
                }
            });
            folder.frames -= 1;
            let value = match (value, folder.last.take()) {
                (Some(value), Some(last)) => {
                    folder.emit(&last);
                    value
                }
                (value, last) => value.or(last).unwrap_or(Value::UNKNOWN),
            };
            (folder.returned, folder.last) = (returned, last);
            for (name, variable) in outer {
                let inner = folder.variables.remove(&name);
                if let Some(inner) = inner.filter(|inner| !inner.read) {
                    folder.emit(&inner.value);
                }
                if let Some(variable) = variable {
                    folder.variables.insert(name, variable);
                }
            }
            value
        });
        function.running.set(false);
        result.unwrap_or(Value::UNKNOWN)
    }

    /// An expression of operators that bind at least as tightly as `least`. Takes no token where
    /// none can begin one.
    pub fn expression(&mut self, least: u8) -> Value {
        self.deeper(|folder| folder.operators(least)).unwrap_or(Value::UNKNOWN)
    }

    fn operators(&mut self, least: u8) -> Value {
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
    fn infix(&self, start: usize) -> Option<(&'static str, u8, usize)> {
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
    fn assigned_target(&self, start: usize) -> Option<String> {
        let mut at = start;
        while self.unit.is_symbol(at, "(") || self.unit.name(at).is_some_and(|n| is_declaration(n))
        {
            at += 1;
        }
        (self.unit.is_symbol(at + 1, "=")).then(|| self.target(at, at + 1)).flatten()
    }

    fn assign(&mut self, target: Option<&str>, left: Value, value: Value) -> Value {
        match target {
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
    fn choice(&mut self, condition: &Value) -> Value {
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
    fn conditional(&mut self, one: Value) -> Value {
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

/// How many lists stand within each other, at most `limit`.
fn nesting(value: &Value, limit: usize) -> usize {
    if limit == 0 {
        return 0;
    }
    let below = |values: &mut dyn Iterator<Item = &Value>| {
        1 + values.map(|value| nesting(value, limit - 1)).max().unwrap_or(0)
    };
    match value {
        Value::List(values) => below(&mut values.iter()),
        Value::Map(pairs) => below(&mut pairs.iter().map(|(_, value)| value)),
        Value::Method(method) => 1 + nesting(&method.0, limit - 1),
        _ => 0,
    }
}

pub(super) fn is_declaration(name: &str) -> bool {
    matches!(name, "my" | "our" | "local" | "let" | "const" | "var" | "static" | "global" | "state")
}

fn symbol_power(language: Language, symbol: &str) -> Option<u8> {
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

fn word_power(language: Language, name: &str) -> Option<(Option<u8>, &'static str)> {
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
