//! The walk over a word's parts, in the order in which a shell expands them.
//!
//! Owns which part is quoted and what is added to the fields, and the tilde.

use super::braces::{Piece, Pieces, are_pieces, pieces};
use super::parameter::{self, Value};
use super::split::{Fields, Separators};
use super::{Shell, arithmetic, exhaust, single};
use crate::audit::shell::ast::{Parameter, Part};
use crate::audit::shell::text::{Step, Text};

/// Where a part stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Context {
    /// In a word, unquoted.
    Word,
    /// In the operand of `${a:-x}`, unquoted: even characters that were written are split.
    Operand,
    /// Within double quotes or a here-document.
    Quoted,
}

pub(super) struct Walk<'s> {
    shell: &'s mut dyn Shell,
    fields: Fields,
    splitting: bool,
    alive: bool,
}

impl<'s> Walk<'s> {
    pub(super) fn new(shell: &'s mut dyn Shell, splitting: bool, patterns: bool) -> Walk<'s> {
        Walk { shell, fields: Fields::new(patterns), splitting, alive: true }
    }

    /// A step of every field.
    pub(super) fn add_step(&mut self, step: Step) {
        self.fields.steps.add(step);
    }

    /// Puts the fields behind those in `out`.
    pub(super) fn finish_into(mut self, out: &mut Vec<Text>) {
        self.settle();
        self.fields.finish_into(out);
    }

    pub(super) fn finish_one(mut self) -> Text {
        self.take()
    }

    /// What has been put together so far; what follows starts anew.
    pub(super) fn take(&mut self) -> Text {
        self.settle();
        let patterns = self.fields.patterns;
        std::mem::replace(&mut self.fields, Fields::new(patterns)).finish_one()
    }

    /// Pays for what the fields did.
    fn settle(&mut self) {
        let work = self.fields.take_work();
        if self.fields.full {
            exhaust(self.shell);
        }
        if self.alive && !self.shell.spend(work + 1) {
            self.alive = false;
            self.fields.cut();
        }
    }

    pub(super) fn parts(&mut self, parts: &[Part], context: Context) {
        if !are_pieces(parts) {
            return self.pieces(&pieces(parts), context);
        }
        for (at, part) in parts.iter().enumerate() {
            self.settle();
            if !self.alive {
                return;
            }
            match part {
                Part::Literal(text) => self.literal(text, context, at == 0, at + 1 == parts.len()),
                part => self.part(part, context),
            }
        }
    }

    pub(super) fn pieces(&mut self, pieces: &Pieces<'_>, context: Context) {
        for (at, piece) in pieces.iter().enumerate() {
            self.settle();
            if !self.alive {
                return;
            }
            match piece {
                Piece::Literal(text) => {
                    self.literal(text, context, at == 0, at + 1 == pieces.len());
                }
                Piece::Part(part) => self.part(part, context),
            }
        }
    }

    fn part(&mut self, part: &Part, context: Context) {
        match part {
            Part::Literal(text) => self.literal(text, context, false, false),
            Part::Quoted { text, step } => {
                self.fields.step(*step);
                self.fields.plain(text);
            }
            Part::Double(parts) => {
                self.fields.step(Step::Quotes);
                if parts.is_empty() {
                    self.fields.start();
                }
                self.parts(parts, Context::Quoted);
            }
            Part::Parameter(parameter) => self.parameter(parameter, context),
            Part::Command(script) => {
                let value = self.shell.substitute(script).with_step(Step::Substitution);
                self.one(&value, context);
            }
            Part::Arithmetic(word) => {
                let value = match arithmetic(word, self.shell) {
                    Some(number) => Text::literal(number.to_string()),
                    None => Text::hole(),
                };
                self.one(&value.with_step(Step::Arithmetic), context);
            }
            Part::ProcessInput(script) => {
                let path = self.shell.process(script, true);
                self.fields.quoted_value(&path);
            }
            Part::ProcessOutput(script) => {
                let path = self.shell.process(script, false);
                self.fields.quoted_value(&path);
            }
            Part::Extended { kind, alternatives } => {
                let mut opening = kind.to_string();
                opening.push('(');
                self.fields.extended(&opening);
                for (at, alternative) in alternatives.iter().enumerate() {
                    if at > 0 {
                        self.fields.extended("|");
                    }
                    let text = single(alternative, self.shell);
                    self.fields.quoted_value(&text);
                }
                self.fields.extended(")");
            }
        }
    }

    fn parameter(&mut self, parameter: &Parameter, context: Context) {
        match parameter::expand(parameter, self.shell) {
            Value::One(value) => self.one(&value, context),
            Value::Many { items, star } => self.many(&items, star, context),
            Value::Operand(word) => {
                let before = self.fields.steps;
                self.fields.step(Step::ParameterOperator);
                self.fields.steps.add(Step::ParameterOperator);
                let context = match context {
                    Context::Quoted => {
                        self.fields.start();
                        Context::Quoted
                    }
                    _ => Context::Operand,
                };
                self.parts(&word.parts, context);
                self.fields.steps = before;
            }
        }
    }

    fn one(&mut self, value: &Text, context: Context) {
        if context == Context::Quoted {
            self.fields.quoted_value(value);
        } else {
            self.find_separators();
            self.fields.unquoted_value(value);
        }
    }

    fn many(&mut self, items: &[Text], star: bool, context: Context) {
        // Without separators bash joins `$*` in any place; other shells keep the elements apart.
        let joins = context == Context::Quoted || self.ifs().is_some_and(|ifs| ifs.is_empty());
        if !self.splitting || star && joins {
            let joined = self.join(items, star);
            return self.one(&joined, context);
        }
        self.find_separators();
        for (at, item) in items.iter().enumerate() {
            self.settle();
            if !self.alive {
                return;
            }
            if context == Context::Quoted {
                if at > 0 {
                    self.fields.next_field();
                }
            } else if at > 0 {
                self.fields.boundary();
            }
            self.one(item, context);
        }
    }

    /// Elements as one text: `$*` takes the first character of `IFS` between them.
    fn join(&mut self, items: &[Text], star: bool) -> Text {
        let separator = match self.ifs() {
            Some(characters) if star => {
                characters.as_str().chars().next().map(String::from).unwrap_or_default()
            }
            _ => " ".to_owned(),
        };
        let mut out = Text::new();
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                out.push_str(&separator);
            }
            out.append(item);
            if !self.shell.spend(item.len() + 1) {
                out.push_hole();
                break;
            }
        }
        out
    }

    /// The characters of `IFS` when it is set to something known.
    fn ifs(&mut self) -> Option<Text> {
        let value = self.shell.variable("IFS")?;
        self.shell.spend(value.len());
        Some(value).filter(Text::is_literal)
    }

    fn find_separators(&mut self) {
        if self.splitting && self.fields.separators.is_none() {
            let characters = self.ifs();
            let characters = characters.as_ref().map_or(" \t\n", Text::as_str);
            self.fields.separators = Some(Separators::new(characters));
        }
    }

    /// Characters as they were written, with tildes where they have a meaning: at the start of
    /// a word, and where an assignment has one. `first` and `last`: nothing else stands before or
    /// behind in the word.
    pub(super) fn literal(&mut self, text: &str, context: Context, first: bool, last: bool) {
        if context == Context::Quoted {
            return self.fields.plain(text);
        }
        if !text.contains('~') {
            return self.written(text, context);
        }
        let mut colons = !self.splitting;
        let mut from = 0;
        for (at, _) in text.match_indices('~') {
            let before = text.get(..at).unwrap_or_default();
            let assigned = before.ends_with('=') && first && is_name(before);
            colons |= assigned;
            let starts = at == 0 && first || assigned || colons && before.ends_with(':');
            if at < from || !starts {
                continue;
            }
            let rest = text.get(at + 1..).unwrap_or_default();
            let end = rest.find(|c| c == '/' || colons && c == ':');
            if end.is_none() && !last {
                continue;
            }
            let user = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            let Some(home) = self.home(user) else { continue };
            self.written(text.get(from..at).unwrap_or_default(), context);
            self.fields.quoted_value(&home.quoted().with_step(Step::Tilde));
            from = at + 1 + user.len();
        }
        self.written(text.get(from..).unwrap_or_default(), context);
    }

    fn written(&mut self, text: &str, context: Context) {
        if context == Context::Operand && self.splitting {
            self.find_separators();
            self.fields.unquoted_value(&Text::literal(text));
        } else {
            self.fields.unquoted(text);
        }
    }

    fn home(&mut self, user: &str) -> Option<Text> {
        match user {
            "+" => Some(self.shell.working_directory()),
            "-" => self.shell.variable("OLDPWD"),
            user => {
                let named =
                    user.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
                        && !user.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '.');
                named.then(|| self.shell.home(user))
            }
        }
    }
}

/// Whether the text before a tilde makes the word an assignment: a name and its `=` alone.
fn is_name(before: &str) -> bool {
    let name = before.strip_suffix('=').unwrap_or_default();
    let name = name.strip_suffix('+').unwrap_or(name);
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
