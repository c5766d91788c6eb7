//! The evaluator's state, and expressions: operators by their precedence.
//!
//! Owns what is remembered while code is read: variables, the budget, what was found. A value
//! that nothing takes up is emitted; one that an operator or a function takes up becomes part of
//! its result, so that only the largest strings are told.

use std::collections::HashMap;
use std::rc::Rc;

use super::lex::{Unit, lex};
use super::operators::power;
use super::tell::Told;
use super::value::{Function, Value, settled};
use super::{Foreign, Language};
use crate::audit::shell::text::{Step, Steps, Text};

/// Deepest nesting of brackets, operators and calls that is followed.
const DEPTH_MAX: usize = 64;
/// Deepest nesting of code within strings (`eval`, interpolation).
const CODE_DEPTH_MAX: usize = 8;
/// Units of work: about one for a token, or for 16 bytes that are copied.
const WORK_MAX: usize = 1_500_000;
/// Deepest nesting of lists that is kept in a variable.
const LIST_DEPTH_MAX: usize = 6;

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
    pub steps: Steps,
    pub told: Told,
}

struct Variable {
    value: Value,
    read: bool,
}

impl Folder {
    pub fn new(language: Language, arguments: &[Text], work: usize) -> Folder {
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
            work: work.min(WORK_MAX),
            steps: Steps::NONE,
            told: Told::default(),
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
        Foreign { texts: self.told.texts, shells: self.told.shells, incomplete: self.incomplete }
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
        self.stored = false;
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

    pub fn variable(&mut self, name: &str) -> Option<Value> {
        let variable = self.variables.get_mut(name)?;
        variable.read = true;
        let value = variable.value.clone();
        self.spend(1 + value.weight() / 16);
        Some(value)
    }

    pub fn is_set(&self, name: &str) -> bool {
        self.variables.contains_key(name)
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

    pub fn run_unseen(&mut self, function: &Rc<Function>) {
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
        self.stored = false;
        result.unwrap_or(Value::UNKNOWN)
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
