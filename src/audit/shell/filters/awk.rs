//! `awk`: a program run over lines.
//!
//! Source: POSIX awk, and the manual of gawk. What runs commands, reads other files or defines
//! functions is not followed.

mod functions;
mod lex;
mod parse;
mod run;
mod value;

use super::data::Data;
use super::options::{Spec, options};
use super::{Call, Output, Unknown};
use crate::audit::shell::text::{Step, Text};
use parse::When;
use run::Machine;

const SPEC: Spec = Spec {
    flags: "Pcrs",
    values: "FvfeW",
    long: &[
        ("field-separator", 'F'),
        ("assign", 'v'),
        ("file", 'f'),
        ("source", 'e'),
        ("posix", 'P'),
        ("re-interval", 'r'),
        ("sandbox", 's'),
    ],
    permute: false,
};

/// `name=value`
fn assignment(text: &Text) -> Option<(&str, String)> {
    let (name, value) = text.as_str().split_once('=')?;
    let first = name.chars().next()?;
    let is_name = (first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then(|| (name, lex::unescape(value)))
}

pub(super) fn awk(call: &Call) -> Output {
    let options = options(call.args, &SPEC);
    let mut operands = options.operands.as_slice();
    let mut program = String::new();
    for (letter, value) in &options.given {
        let source = match letter {
            'e' => value.clone(),
            'f' => Data::into_stream(call.file(value)?).to_text(),
            _ => continue,
        };
        program.push_str(source.as_str());
        program.push('\n');
        if source.has_hole() {
            return Err(Unknown::Plain);
        }
    }
    if program.is_empty() {
        let Some((first, rest)) = operands.split_first() else { return Err(Unknown::Plain) };
        program.push_str(first.as_str());
        operands = rest;
    }
    if options.unknown || options.unclear || call.args.iter().any(Text::has_hole) {
        return Err(Unknown::Plain);
    }
    let files: Vec<&Text> =
        operands.iter().copied().filter(|operand| assignment(operand).is_none()).collect();
    // A program that is not followed makes of an unknown input just something unknown.
    let items = match parse::parse(&program, true) {
        Ok(items) => items,
        Err(why) => return call.read(&files).and(Err(why)),
    };
    let reads = items.iter().any(|item| !matches!(item.when, When::Begin));
    let data = if reads { call.read(&files)? } else { Data::default() };
    let text = std::str::from_utf8(&data.bytes).is_ok();
    let items = if text { items } else { parse::parse(&program, false)? };
    let mut machine = Machine::new(text, call.allowance);
    if let Some(separator) = options.value('F') {
        machine.set("FS", lex::unescape(separator.as_str()));
    }
    for (name, value) in options.values('v').filter_map(assignment) {
        machine.set(name, value);
    }
    machine.run(&items, &data, operands.iter().copied().filter_map(assignment))?;
    call.changed(&data, data.with(machine.out), Step::Filter)
}
