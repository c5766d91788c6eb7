//! Runs the tree of an `awk` program.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use super::super::data::Data;
use super::super::posix::{Pattern, Syntax, Work};
use super::super::{Allowance, OUTPUT_MAX_BYTES, Unknown};
use super::parse::{Block, Expression, Item, Statement, When};
use super::value::Value;

/// Most fields that a program may ask for.
const FIELDS_MAX: usize = 64 * 1024;
/// Most patterns that are made from strings.
const PATTERNS_MAX: usize = 64;

/// What an element of an array costs to keep, in the units of `Work`.
pub(super) const ELEMENT_WORK: usize = 64;

pub(super) type Ran<T> = Result<T, Unknown>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Normal,
    Next,
    Exit,
    Break,
    Continue,
}

pub(super) struct Machine {
    pub out: Vec<u8>,
    variables: HashMap<String, Value>,
    pub(super) arrays: HashMap<String, BTreeMap<String, Value>>,
    pub(super) line: String,
    fields: Vec<String>,
    patterns: HashMap<String, Rc<Pattern>>,
    pub(super) work: Work,
    text: bool,
}

impl Machine {
    pub fn new(text: bool, allowance: &Allowance) -> Machine {
        let mut machine = Machine {
            out: Vec::new(),
            variables: HashMap::new(),
            arrays: HashMap::new(),
            line: String::new(),
            fields: Vec::new(),
            patterns: HashMap::new(),
            work: Work::new(allowance),
            text,
        };
        for (name, value) in
            [("FS", " "), ("OFS", " "), ("ORS", "\n"), ("RS", "\n"), ("SUBSEP", "\u{1c}")]
        {
            machine.set_value(name, Value::Text(value.to_owned()));
        }
        machine
    }

    pub fn set(&mut self, name: &str, value: String) {
        self.set_value(name, Value::Input(value));
    }

    pub(super) fn set_value(&mut self, name: &str, value: Value) {
        match self.variables.get_mut(name) {
            Some(place) => *place = value,
            None => {
                self.variables.insert(name.to_owned(), value);
            }
        }
    }

    pub(super) fn special(&self, name: &str) -> String {
        self.variables.get(name).map(Value::text).unwrap_or_default()
    }

    pub fn run<'a>(
        &mut self,
        items: &[Item],
        data: &Data,
        assignments: impl Iterator<Item = (&'a str, String)>,
    ) -> Ran<()> {
        let begins = items.iter().filter(|item| matches!(item.when, When::Begin));
        let mut exits = false;
        for item in begins {
            exits = exits || self.block(&item.block)? == Flow::Exit;
        }
        assignments.for_each(|(name, value)| self.set(name, value));
        let separator = self.special("RS");
        let mut record_ends = separator.bytes();
        let (Some(end), None) = (record_ends.next(), record_ends.next()) else {
            return Err(Unknown::Decoded);
        };
        if !exits {
            self.records(items, data, end)?;
        }
        for item in items.iter().filter(|item| matches!(item.when, When::End)) {
            if self.block(&item.block)? == Flow::Exit {
                break;
            }
        }
        Ok(())
    }

    fn records(&mut self, items: &[Item], data: &Data, end: u8) -> Ran<()> {
        let bytes = data.bytes.strip_suffix(&[end]).unwrap_or(&data.bytes);
        if data.bytes.is_empty() {
            return Ok(());
        }
        for (at, record) in bytes.split(|byte| *byte == end).enumerate() {
            self.work.spend(record.len() + 1)?;
            self.set_value("NR", Value::Number((at + 1) as f64));
            self.set_value("FNR", Value::Number((at + 1) as f64));
            self.set_line(String::from_utf8_lossy(record).into_owned())?;
            for item in items {
                let selected = match &item.when {
                    When::Begin | When::End => false,
                    When::Always => true,
                    When::Holds(condition) => self.value(condition)?.holds(),
                };
                if !selected {
                    continue;
                }
                match self.block(&item.block)? {
                    Flow::Next => break,
                    Flow::Exit => return Ok(()),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    // ---- fields

    fn set_line(&mut self, line: String) -> Ran<()> {
        let separator = self.special("FS");
        self.fields = self.split(&line, &separator)?;
        self.line = line;
        self.set_value("NF", Value::Number(self.fields.len() as f64));
        Ok(())
    }

    pub(super) fn split(&mut self, text: &str, separator: &str) -> Ran<Vec<String>> {
        self.work.spend(text.len())?;
        let mut characters = separator.chars();
        let own = |fields: &mut dyn Iterator<Item = &str>| fields.map(str::to_owned).collect();
        Ok(match (characters.next(), characters.next()) {
            (Some(' '), None) => {
                let blank = |c: char| matches!(c, ' ' | '\t' | '\n');
                own(&mut text.split(blank).filter(|field| !field.is_empty()))
            }
            _ if text.is_empty() => Vec::new(),
            (None, _) => text.chars().map(String::from).collect(),
            (Some(only), None) if only != '\\' => own(&mut text.split(only)),
            _ => {
                let pattern = self.pattern(separator)?;
                self.split_by(text, &pattern)?
            }
        })
    }

    pub(super) fn split_by(&mut self, text: &str, pattern: &Pattern) -> Ran<Vec<String>> {
        let (mut fields, mut from, mut start) = (Vec::new(), 0, 0);
        while from <= text.len() {
            let groups = pattern.find(text.as_bytes(), from, &mut self.work)?;
            let Some(Some((at, end))) = groups.and_then(|groups| groups.first().copied()) else {
                break;
            };
            if end > at {
                fields.push(text.get(start..at).unwrap_or_default().to_owned());
                start = end;
            }
            from = end.max(from + 1);
        }
        fields.push(text.get(start..).unwrap_or_default().to_owned());
        Ok(fields)
    }

    fn rebuild(&mut self) -> Ran<()> {
        self.line = self.fields.join(&self.special("OFS"));
        self.work.spend(self.line.len())?;
        self.check(self.line.len())
    }

    fn check(&self, length: usize) -> Ran<()> {
        if length > OUTPUT_MAX_BYTES { Err(Unknown::Decoded) } else { Ok(()) }
    }

    fn resize(&mut self, count: usize) -> Ran<()> {
        if count > FIELDS_MAX {
            return Err(Unknown::Decoded);
        }
        self.work.spend(count)?;
        self.fields.resize(count, String::new());
        self.set_value("NF", Value::Number(count as f64));
        Ok(())
    }

    fn field_number(&mut self, number: &Expression) -> Ran<usize> {
        let number = self.value(number)?.number();
        if number < 0.0 { Err(Unknown::Plain) } else { Ok(number as usize) }
    }

    pub(super) fn assign(&mut self, target: &Expression, value: Value) -> Ran<()> {
        match target {
            Expression::Variable(name) => {
                let count = value.number();
                self.set_value(name, value);
                if name == "NF" {
                    self.resize(count.max(0.0) as usize)?;
                    self.rebuild()?;
                }
            }
            Expression::Field(number) => match self.field_number(number)? {
                0 => self.set_line(value.text())?,
                number => {
                    if number > self.fields.len() {
                        self.resize(number)?;
                    }
                    if let Some(field) = self.fields.get_mut(number - 1) {
                        *field = value.text();
                    }
                    self.rebuild()?;
                }
            },
            Expression::Element(array, keys) => {
                let key = self.key(keys)?;
                self.work.spend(ELEMENT_WORK)?;
                self.arrays.entry(array.clone()).or_default().insert(key, value);
            }
            _ => return Err(Unknown::Decoded),
        }
        Ok(())
    }

    fn key(&mut self, keys: &[Expression]) -> Ran<String> {
        let mut out = String::new();
        for (at, key) in keys.iter().enumerate() {
            if at > 0 {
                out.push_str(&self.special("SUBSEP"));
            }
            out.push_str(&self.value(key)?.text());
        }
        self.work.spend(out.len())?;
        Ok(out)
    }

    // ---- statements

    fn block(&mut self, block: &Block) -> Ran<Flow> {
        for statement in block {
            match self.statement(statement)? {
                Flow::Normal => {}
                flow => return Ok(flow),
            }
        }
        Ok(Flow::Normal)
    }

    fn statement(&mut self, statement: &Statement) -> Ran<Flow> {
        self.work.spend(1)?;
        match statement {
            Statement::Print(list) => {
                if list.is_empty() {
                    self.out.extend_from_slice(self.line.as_bytes());
                }
                for (at, item) in list.iter().enumerate() {
                    if at > 0 {
                        self.out.extend_from_slice(self.special("OFS").as_bytes());
                    }
                    let text = self.value(item)?.text();
                    self.out.extend_from_slice(text.as_bytes());
                }
                self.out.extend_from_slice(self.special("ORS").as_bytes());
                self.check(self.out.len())?;
            }
            Statement::Printf(list) => {
                let text = self.format(list)?;
                self.out.extend_from_slice(&text);
                self.check(self.out.len())?;
            }
            Statement::Expression(expression) => {
                self.value(expression)?;
            }
            Statement::If(condition, then, otherwise) => {
                let holds = self.value(condition)?.holds();
                return self.block(if holds { then } else { otherwise });
            }
            Statement::While { condition, body, step, first } => {
                return self.repeat(condition.as_ref(), body, step, *first);
            }
            Statement::ForIn(name, array, body) => {
                let mut keys: Vec<String> = self
                    .arrays
                    .get(array)
                    .map(|array| array.keys().cloned().collect())
                    .unwrap_or_default();
                // Numbers in their own order; what order there is, is awk's to choose.
                keys.sort_by_key(|key| key.parse::<i64>().unwrap_or(i64::MAX));
                self.work.spend(keys.len())?;
                for key in keys {
                    self.set(name, key);
                    match self.block(body)? {
                        Flow::Break => break,
                        Flow::Normal | Flow::Continue => {}
                        flow => return Ok(flow),
                    }
                }
            }
            Statement::Delete(array, keys) => {
                if keys.is_empty() {
                    self.arrays.remove(array);
                } else {
                    let key = self.key(keys)?;
                    if let Some(array) = self.arrays.get_mut(array) {
                        array.remove(&key);
                    }
                }
            }
            Statement::Next => return Ok(Flow::Next),
            Statement::Exit => return Ok(Flow::Exit),
            Statement::Break => return Ok(Flow::Break),
            Statement::Continue => return Ok(Flow::Continue),
            Statement::Block(block) => return self.block(block),
        }
        Ok(Flow::Normal)
    }

    fn repeat(
        &mut self,
        condition: Option<&Expression>,
        body: &Block,
        step: &Block,
        mut first: bool,
    ) -> Ran<Flow> {
        loop {
            self.work.spend(1)?;
            if !std::mem::take(&mut first)
                && let Some(condition) = condition
                && !self.value(condition)?.holds()
            {
                return Ok(Flow::Normal);
            }
            match self.block(body)? {
                Flow::Break => return Ok(Flow::Normal),
                Flow::Normal | Flow::Continue => {}
                flow => return Ok(flow),
            }
            self.block(step)?;
        }
    }

    // ---- expressions

    pub(super) fn value(&mut self, expression: &Expression) -> Ran<Value> {
        self.work.spend(1)?;
        let truth = |holds: bool| Value::Number(f64::from(u8::from(holds)));
        Ok(match expression {
            Expression::Number(number) => Value::Number(*number),
            Expression::Text(text) => Value::Text(self.copied(text)?),
            Expression::Pattern(pattern) => {
                let line = std::mem::take(&mut self.line);
                let found = pattern.is_match(line.as_bytes(), &mut self.work);
                self.line = line;
                truth(found?)
            }
            Expression::Variable(name) => match self.variables.get(name) {
                Some(Value::Text(text) | Value::Input(text)) => {
                    self.work.spend(text.len())?;
                    self.variables.get(name).cloned().unwrap_or_default()
                }
                other => other.cloned().unwrap_or_default(),
            },
            Expression::Field(number) => {
                let number = self.field_number(number)?;
                let field = match number.checked_sub(1) {
                    None => Some(&self.line),
                    Some(at) => self.fields.get(at),
                };
                let field = field.cloned();
                self.work.spend(field.as_ref().map_or(0, String::len))?;
                field.map_or(Value::Unset, Value::Input)
            }
            Expression::Element(array, keys) => {
                let key = self.key(keys)?;
                self.work.spend(ELEMENT_WORK)?;
                let value = self.arrays.entry(array.clone()).or_default().entry(key).or_default();
                let value = value.clone();
                if let Value::Text(text) | Value::Input(text) = &value {
                    self.work.spend(text.len())?;
                }
                value
            }
            Expression::Assign(target, operator, value) => {
                let mut value = self.value(value)?;
                if let Some(operator) = operator {
                    let before = self.value(target)?.number();
                    value = Value::Number(calculate(*operator, before, value.number()));
                }
                self.assign(target, value.clone())?;
                value
            }
            Expression::Calculate(operator, left, right) => {
                let left = self.value(left)?.number();
                Value::Number(calculate(*operator, left, self.value(right)?.number()))
            }
            Expression::Compare(operator, left, right) => {
                let left = self.value(left)?;
                let order = left.compare(&self.value(right)?);
                truth(match *operator {
                    "<" => order.is_lt(),
                    "<=" => order.is_le(),
                    "==" => order.is_eq(),
                    "!=" => order.is_ne(),
                    ">" => order.is_gt(),
                    _ => order.is_ge(),
                })
            }
            Expression::Join(parts) => {
                let mut joined = String::new();
                for part in parts {
                    joined.push_str(&self.value(part)?.text());
                }
                self.work.spend(joined.len())?;
                self.check(joined.len())?;
                Value::Text(joined)
            }
            Expression::Match { negated, text, pattern } => {
                let text = self.value(text)?.text();
                let pattern = self.pattern_of(pattern)?;
                truth(pattern.is_match(text.as_bytes(), &mut self.work)? != *negated)
            }
            Expression::Not(operand) => truth(!self.value(operand)?.holds()),
            Expression::Minus(operand) => Value::Number(-self.value(operand)?.number()),
            Expression::Plus(operand) => Value::Number(self.value(operand)?.number()),
            Expression::And(left, right) => {
                truth(self.value(left)?.holds() && self.value(right)?.holds())
            }
            Expression::Or(left, right) => {
                truth(self.value(left)?.holds() || self.value(right)?.holds())
            }
            Expression::Either(condition, then, otherwise) => {
                let holds = self.value(condition)?.holds();
                self.value(if holds { then } else { otherwise })?
            }
            Expression::In(keys, array) => {
                let key = self.key(keys)?;
                truth(self.arrays.get(array).is_some_and(|array| array.contains_key(&key)))
            }
            Expression::Step { target, by, before } => {
                let old = self.value(target)?.number();
                self.assign(target, Value::Number(old + by))?;
                Value::Number(if *before { old + by } else { old })
            }
            Expression::Call(name, arguments) => self.call(name, arguments)?,
        })
    }

    fn copied(&mut self, text: &str) -> Ran<String> {
        self.work.spend(text.len())?;
        Ok(text.to_owned())
    }

    pub(super) fn pattern(&mut self, text: &str) -> Ran<Rc<Pattern>> {
        if let Some(pattern) = self.patterns.get(text) {
            return Ok(Rc::clone(pattern));
        }
        if self.patterns.len() >= PATTERNS_MAX {
            return Err(Unknown::Decoded);
        }
        let pattern = Rc::new(Pattern::new(text, Syntax::Awk, false, self.text)?);
        self.patterns.insert(text.to_owned(), Rc::clone(&pattern));
        Ok(pattern)
    }

    /// A pattern as it is, or what a string means as one.
    pub(super) fn pattern_of(&mut self, expression: &Expression) -> Ran<Rc<Pattern>> {
        match expression {
            Expression::Pattern(pattern) => Ok(Rc::clone(pattern)),
            other => {
                let text = self.value(other)?.text();
                self.pattern(&text)
            }
        }
    }
}

fn calculate(operator: char, left: f64, right: f64) -> f64 {
    match operator {
        '+' => left + right,
        '-' => left - right,
        '*' => left * right,
        '/' => left / right,
        '%' => left % right,
        _ => left.powf(right),
    }
}
