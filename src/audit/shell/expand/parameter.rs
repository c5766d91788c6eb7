//! Parameters: what `$a`, `${a:-x}`, `${a[1]}` stand for.
//!
//! Owns the look-up of names and subscripts and which operand an operator uses; what operators make
//! of a value is `operators`. Splitting and quoting are not known here.

use super::{Shell, arithmetic, evaluate, operators, plain, replacement, single};
use compact_str::CompactString;

use crate::audit::shell::ast::{Operator, Parameter, Part, Replace, Word};
use crate::audit::shell::pattern::Pattern;
use crate::audit::shell::text::{Step, Steps, Text};

/// How many comparisons of a pattern's characters cost as much as one byte of text.
const PATTERN_CHARACTERS_A_UNIT: usize = 8;

/// What a parameter gives to the word that it stands in.
pub(super) enum Value<'w> {
    One(Text),
    /// `$@` and `$*`, `${a[@]}` and `${a[*]}`.
    Many {
        items: Vec<Text>,
        star: bool,
    },
    /// The operand of `${a:-x}`, still to be expanded, in the place of the parameter.
    Operand(&'w Word),
}

enum Found {
    Unset,
    One(Text),
    Many { items: Vec<Text>, star: bool },
}

/// Variables whose value changes by itself.
const CHANGING: [&str; 14] = [
    "$",
    "!",
    "-",
    "_",
    "BASHPID",
    "BASH_COMMAND",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "LINENO",
    "PPID",
    "PIPESTATUS",
    "RANDOM",
    "SECONDS",
    "SRANDOM",
];

/// A variable by its name alone.
pub(super) fn variable(name: &str, shell: &mut dyn Shell) -> Option<Text> {
    let value = shell.variable(name).or_else(|| match name {
        "?" => Some(Text::literal("0")),
        name if CHANGING.contains(&name) => Some(Text::hole()),
        _ => None,
    });
    shell.spend(value.as_ref().map_or(0, Text::len) + 1);
    value
}

/// An element of an array; negative places count from the end.
pub(super) fn element(name: &str, index: i64, shell: &mut dyn Shell) -> Option<Text> {
    if index == 0
        && let Some(first) = first(name, shell)
    {
        return Some(first);
    }
    if let Some(value) = shell.element(name, index) {
        shell.spend(value.as_ref().map_or(0, Text::len) + 1);
        return value;
    }
    let mut items = array(name, shell)?;
    let count = i64::try_from(items.len()).ok()?;
    let place = usize::try_from(if index < 0 { count.checked_add(index)? } else { index }).ok()?;
    let pattern = pattern_among(items.get(..place.min(items.len()))?).cloned();
    let item = (place < items.len()).then(|| items.swap_remove(place));
    one_of(item, pattern, shell)
}

/// The element 0 is what the name alone stands for, and may be as many things.
fn first(name: &str, shell: &mut dyn Shell) -> Option<Text> {
    let value = shell.variable(name)?;
    shell.spend(value.len() + 1);
    Some(value)
}

/// What stands at a place, where a pattern before it may be several elements.
fn one_of(item: Option<Text>, pattern: Option<Text>, shell: &dyn Shell) -> Option<Text> {
    match (item, pattern) {
        (Some(item), Some(pattern)) => shell.choose(&[item, pattern]),
        (item, pattern) => item.or(pattern),
    }
}

/// The last one that is a pattern, which may be many elements.
fn pattern_among(items: &[Text]) -> Option<&Text> {
    items.iter().rev().find(|item| item.has_active())
}

fn array(name: &str, shell: &mut dyn Shell) -> Option<Vec<Text>> {
    let items = shell.array(name).or_else(|| shell.variable(name).map(|value| vec![value]))?;
    shell.spend(items.iter().map(|item| item.len() + 1).sum());
    Some(items)
}

pub(super) fn expand<'w>(parameter: &'w Parameter, shell: &mut dyn Shell) -> Value<'w> {
    let name = &*parameter.name;
    let index = parameter.index.as_ref();
    let found = match &parameter.operator {
        Operator::Indirect => indirect(name, index, shell),
        Operator::Names => names(name, index, shell),
        _ => find(name, index, shell),
    };
    let found = add_step(found, &parameter.operator);
    apply(parameter, found, shell)
}

fn add_step(mut found: Found, operator: &Operator) -> Found {
    let operated = *operator != Operator::None;
    let add = |text: &mut Text| {
        if operated {
            text.steps.add(Step::ParameterOperator);
        }
    };
    match &mut found {
        Found::Unset => {}
        Found::One(text) => add(text),
        Found::Many { items, .. } => items.iter_mut().for_each(add),
    }
    found
}

fn find(name: &str, index: Option<&Word>, shell: &mut dyn Shell) -> Found {
    match name {
        "@" | "*" => {
            let items = shell.positional().get(1..).unwrap_or_default().to_vec();
            shell.spend(items.iter().map(|item| item.len() + 1).sum());
            let items = items.into_iter().map(|item| item.with_step(Step::Positional)).collect();
            return Found::Many { items, star: name == "*" };
        }
        "#" => {
            let count = shell.positional().len().saturating_sub(1).to_string();
            return Found::One(Text::literal(count).with_step(Step::Positional));
        }
        name if name.starts_with(|first: char| first.is_ascii_digit()) => {
            let place = name.parse::<usize>().unwrap_or(usize::MAX);
            let all = shell.positional();
            let before = pattern_among(all.get(1..place.min(all.len())).unwrap_or_default());
            let pattern = before.or(shell.dropped_pattern().filter(|_| place > 0)).cloned();
            let value = one_of(all.get(place).cloned(), pattern, shell);
            shell.spend(value.as_ref().map_or(0, Text::len));
            return match value {
                Some(value) => Found::One(value.with_step(Step::Positional)),
                None if place == 0 => Found::One(Text::hole()),
                None => Found::Unset,
            };
        }
        _ => {}
    }
    let value = match index {
        None => variable(name, shell),
        Some(index) => match star(index) {
            Some(star) => {
                let items = array(name, shell).unwrap_or_default();
                let items = items.into_iter().map(|item| item.with_step(Step::Variable)).collect();
                return Found::Many { items, star };
            }
            None => subscript(name, index, shell),
        },
    };
    match value {
        Some(value) => Found::One(value.with_step(Step::Variable)),
        None => Found::Unset,
    }
}

/// `[@]` is `false`, `[*]` is `true`.
fn star(index: &Word) -> Option<bool> {
    match &*index.parts {
        [Part::Literal(text)] if text == "@" => Some(false),
        [Part::Literal(text)] if text == "*" => Some(true),
        _ => None,
    }
}

fn subscript(name: &str, index: &Word, shell: &mut dyn Shell) -> Option<Text> {
    let key = plain(index, shell);
    let Some(key) = key.as_literal() else { return Some(Text::hole()) };
    keyed(name, key, shell)
}

fn keyed(name: &str, key: &str, shell: &mut dyn Shell) -> Option<Text> {
    if key == "0"
        && let Some(first) = first(name, shell)
    {
        return Some(first);
    }
    if let Some(value) = shell.named(name, key) {
        shell.spend(value.as_ref().map_or(0, Text::len) + 1);
        return value;
    }
    match evaluate(key, shell) {
        Some(index) => element(name, index, shell),
        None => Some(Text::hole()),
    }
}

/// `${!a}`: the value of `a` names what is meant.
fn indirect(name: &str, index: Option<&Word>, shell: &mut dyn Shell) -> Found {
    let target = match find(name, index, shell) {
        Found::Unset => return Found::Unset,
        Found::Many { items, .. } => match <[Text; 1]>::try_from(items) {
            Ok([item]) => item,
            Err(_) => return Found::One(Text::hole()),
        },
        Found::One(text) => text,
    };
    let Some(text) = target.as_literal() else { return Found::One(Text::hole()) };
    let mut found = match text.strip_suffix(']').and_then(|text| text.split_once('[')) {
        Some((name, "@")) => {
            Found::Many { items: array(name, shell).unwrap_or_default(), star: false }
        }
        Some((name, "*")) => {
            Found::Many { items: array(name, shell).unwrap_or_default(), star: true }
        }
        Some((name, key)) => match keyed(name, key, shell) {
            Some(value) => Found::One(value),
            None => Found::Unset,
        },
        None => find(text, None, shell),
    };
    match &mut found {
        Found::Unset => {}
        Found::One(text) => text.steps.extend(target.steps),
        Found::Many { items, .. } => {
            items.iter_mut().for_each(|item| item.steps.extend(target.steps));
        }
    }
    found
}

/// `${!a*}`, and the places of an array for `${!a[@]}`.
fn names(name: &str, index: Option<&Word>, shell: &mut dyn Shell) -> Found {
    let names = match index {
        Some(_) => {
            let count = array(name, shell).map_or(0, |items| items.len());
            match shell.keys(name) {
                Some(keys) => keys.into_iter().map(CompactString::into_string).collect(),
                None => (0..count).map(|place| place.to_string()).collect(),
            }
        }
        None => shell.variable_names(name),
    };
    shell.spend(names.iter().map(|name| name.len() + 1).sum());
    let items = names.into_iter().map(|name| Text::literal(name).with_step(Step::Variable));
    Found::Many { items: items.collect(), star: false }
}

/// Whether `${a:-x}` takes `x`. Where nothing at all is known of `a`, both may happen, and the word
/// that was written says more.
fn missing(found: &Found, colon: bool) -> bool {
    match found {
        Found::Unset => true,
        Found::One(text) => text.is_empty() && colon || is_unknown(text),
        Found::Many { items, .. } => match &**items {
            [] => true,
            [item] => colon && item.is_empty(),
            _ => false,
        },
    }
}

/// Whether `${a:+x}` takes `x`.
fn present(found: &Found, colon: bool) -> bool {
    match found {
        Found::One(text) if is_unknown(text) => true,
        found => !missing(found, colon),
    }
}

fn is_unknown(text: &Text) -> bool {
    text.as_str().is_empty() && text.has_hole()
}

fn value_of(found: Found) -> Value<'static> {
    match found {
        Found::Unset => Value::One(Text::new().with_step(Step::UnsetVariable)),
        Found::One(text) => Value::One(text),
        Found::Many { items, star } => Value::Many { items, star },
    }
}

/// The same operation on every value.
fn map(
    found: Found,
    shell: &mut dyn Shell,
    operate: impl Fn(&Text, &mut dyn Shell) -> Text,
) -> Value<'static> {
    let operate = |text: &Text, shell: &mut dyn Shell| {
        if !shell.spend(text.len() + 1) {
            return Text::hole();
        }
        let mut out = operate(text, shell);
        out.steps.extend(text.steps);
        out
    };
    match found {
        Found::One(text) => Value::One(operate(&text, shell)),
        Found::Many { items, star } => {
            let items = items.iter().map(|item| operate(item, shell)).collect();
            Value::Many { items, star }
        }
        Found::Unset => value_of(found),
    }
}

fn apply<'w>(parameter: &'w Parameter, found: Found, shell: &mut dyn Shell) -> Value<'w> {
    match &parameter.operator {
        Operator::None | Operator::Indirect | Operator::Names => value_of(found),
        Operator::Length => Value::One(match found {
            Found::Unset => Text::literal("0").with_step(Step::UnsetVariable),
            Found::One(text) => {
                let mut length = operators::length(&text);
                length.steps.extend(text.steps);
                length
            }
            Found::Many { items, .. } => {
                Text::literal(items.len().to_string()).with_step(Step::ParameterOperator)
            }
        }),
        Operator::Default { colon, word } if missing(&found, *colon) => Value::Operand(word),
        Operator::Assign { colon, word } if missing(&found, *colon) => {
            let value = plain(word, shell).with_step(Step::ParameterOperator);
            if parameter.index.is_none() {
                shell.set_variable(&parameter.name, value.clone());
            }
            Value::One(value)
        }
        Operator::Default { .. } | Operator::Assign { .. } | Operator::Error { .. } => {
            value_of(found)
        }
        Operator::Alternative { colon, word } if present(&found, *colon) => Value::Operand(word),
        Operator::Alternative { .. } => Value::One(Text::new().with_step(Step::ParameterOperator)),
        Operator::RemovePrefix { longest, pattern } => {
            let operand = Operand::new(pattern, shell);
            operand.map(found, shell, |text, pattern, _| {
                operators::remove_prefix(text, pattern, *longest)
            })
        }
        Operator::RemoveSuffix { longest, pattern } => {
            let operand = Operand::new(pattern, shell);
            operand.map(found, shell, |text, pattern, _| {
                operators::remove_suffix(text, pattern, *longest)
            })
        }
        Operator::Substring { offset, length } => {
            let offset = arithmetic(offset, shell);
            let length = length.as_ref().map(|length| arithmetic(length, shell));
            match (offset, length) {
                (Some(offset), None) => substring(found, parameter, offset, None, shell),
                (Some(offset), Some(Some(length))) => {
                    substring(found, parameter, offset, Some(length), shell)
                }
                _ => Value::One(Text::hole().with_step(Step::ParameterOperator)),
            }
        }
        Operator::Replace { which, pattern, with } => {
            let operand = Operand::new(pattern, shell);
            let with = replacement(with, shell);
            if operand.size == 0 && matches!(which, Replace::First | Replace::All) {
                return value_of(found);
            }
            operand.map(found, shell, |text, pattern, shell| {
                operators::replace(text, *which, pattern, &with, shell)
            })
        }
        Operator::ChangeCase { upper, all, pattern: Some(pattern) } => {
            let operand = Operand::new(pattern, shell);
            operand.map(found, shell, |text, pattern, _| {
                operators::change_case(text, *upper, *all, Some(pattern))
            })
        }
        Operator::ChangeCase { upper, all, pattern: None } => {
            map(found, shell, |text, _| operators::change_case(text, *upper, *all, None))
        }
        Operator::Transform(letter) => match (letter, found) {
            ('A', Found::One(text)) => {
                let mut out = Text::literal(format!("{}=", parameter.name));
                out.append(&text);
                Value::One(out)
            }
            (_, found) => map(found, shell, |text, _| operators::transform(text, *letter)),
        },
    }
}

/// A pattern that an operator looks for.
struct Operand {
    pattern: Pattern,
    /// Bytes of its text.
    size: usize,
    /// It is not known, or too large, what it matches.
    unknown: bool,
    steps: Steps,
}

impl Operand {
    fn new(word: &Word, shell: &mut dyn Shell) -> Operand {
        let text = single(word, shell);
        shell.spend(text.len());
        let pattern = Pattern::new(&text);
        let unknown = text.has_hole() || pattern.too_large();
        Operand { pattern, size: text.len(), unknown, steps: text.steps }
    }

    fn map(
        &self,
        found: Found,
        shell: &mut dyn Shell,
        operate: impl Fn(&Text, &Pattern, &mut dyn Shell) -> Text,
    ) -> Value<'static> {
        map(found, shell, |text, shell| {
            // Each character may have to be compared with all of the pattern.
            let work = text.len().saturating_mul(self.size) / PATTERN_CHARACTERS_A_UNIT;
            let mut out = if self.unknown || !shell.spend(work) {
                Text::hole()
            } else {
                operate(text, &self.pattern, shell)
            };
            out.steps.extend(self.steps);
            out
        })
    }
}

/// `${a:1:2}`; of `$@` and arrays, elements instead of characters.
fn substring(
    found: Found,
    parameter: &Parameter,
    offset: i64,
    length: Option<i64>,
    shell: &mut dyn Shell,
) -> Value<'static> {
    let Found::Many { mut items, star } = found else {
        return map(found, shell, |text, _| operators::substring(text, offset, length));
    };
    // Of positional parameters `$0` is the first.
    if matches!(&*parameter.name, "@" | "*") {
        let name = shell.positional().first().cloned().unwrap_or_else(Text::hole);
        items.insert(0, name.with_step(Step::Positional).with_step(Step::ParameterOperator));
    }
    let pattern = pattern_among(&items).cloned();
    let items = match operators::range(items.len(), offset, length.map(|length| length.max(0))) {
        Some((start, end)) => items.drain(start..end).collect(),
        None => Vec::new(),
    };
    if items.is_empty()
        && let Some(pattern) = pattern
    {
        return Value::Many { items: vec![pattern], star };
    }
    Value::Many { items, star }
}
