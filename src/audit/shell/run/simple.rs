//! Simple commands: their words, assignments and aliases, and what a name stands for.

use std::rc::Rc;

use smallvec::{SmallVec, smallvec};

use crate::limits;

use super::super::ast::{AssignedValue, Assignment, Node, Part, Simple, Span, Word};
use super::super::expand;
use super::super::parse::parse_document;
use super::super::text::{Step, Stream, Text};
use super::{COMMAND_WORK, ELEMENTS_MAX, Environment, Interpreter, SCRIPT_LEVELS, builtins, reach};

type Elements = SmallVec<[Text; 1]>;

impl Interpreter<'_> {
    pub(super) fn run_simple(&mut self, simple: &Simple) -> Stream {
        self.choices.set(1);
        self.asked.take();
        self.choice = 0;
        let mut output = self.run_choice(simple);
        // Variables that may have several values: the command with each combination of them.
        let choices = self.choices.get().min(limits::SHELL_COMBINATIONS_MAX);
        for choice in 1..choices {
            self.choice = choice;
            self.choices.set(1);
            self.asked.take();
            let out = self.maybe(|shell| shell.run_choice(simple));
            output = self.joined(output, out);
        }
        self.choice = 0;
        self.choices.set(1);
        self.asked.take();
        output
    }

    pub(super) fn run_choice(&mut self, simple: &Simple) -> Stream {
        let place = self.place(simple.span);
        let around = std::mem::replace(&mut self.span, place);
        let output = self.run_simple_within(simple);
        self.span = around;
        output
    }

    pub(super) fn run_simple_within(&mut self, simple: &Simple) -> Stream {
        if !self.budget.spend(COMMAND_WORK) {
            return Stream::UNKNOWN;
        }
        let mut words = Vec::with_capacity(simple.words.len());
        let mut spans: SmallVec<[Span; 8]> = SmallVec::new();
        let mut vanished = false;
        for word in &simple.words {
            expand::fields(word, self, &mut words);
            vanished |= words.len() == spans.len();
            self.budget.spend(words.iter().skip(spans.len()).map(Text::len).sum());
            spans.resize(words.len(), word.span);
        }
        if let Some(alias) = self.alias(&simple.words, &words) {
            return self.run_alias(&alias, words, simple);
        }
        if words.is_empty() {
            return self.redirected(&simple.redirects, |shell| {
                shell.status = Some(true);
                for assignment in &simple.assignments {
                    shell.assign(assignment);
                }
                // `$(<file)` prints the file.
                std::mem::take(&mut shell.input)
            });
        }
        let choices = self.choices.get();
        let output = if simple.assignments.is_empty() {
            self.redirected(&simple.redirects, |shell| {
                shell.vanished = vanished;
                shell.command(words, &spans, simple.span)
            })
        } else {
            let environment = Rc::clone(&self.environment);
            for assignment in &simple.assignments {
                self.assign(assignment);
            }
            let output = self.redirected(&simple.redirects, |shell| {
                shell.vanished = vanished;
                shell.command(words, &spans, simple.span)
            });
            self.forget_assignments(&simple.assignments, &environment);
            output
        };
        self.choices.set(choices);
        output
    }

    /// Assignments before a command hold for the command alone.
    pub(super) fn forget_assignments(&mut self, assignments: &[Assignment], before: &Environment) {
        for assignment in assignments {
            let earlier = before.elements(&assignment.name);
            let environment = self.environment();
            match earlier {
                Some(elements) => {
                    environment.set_elements(&assignment.name, elements);
                }
                None => environment.unset(&assignment.name),
            }
        }
    }

    pub(super) fn assign(&mut self, assignment: &Assignment) {
        let name = &assignment.name;
        let elements: Elements = match &assignment.value {
            AssignedValue::Word(word) => smallvec![expand::single(word, self).quoted()],
            AssignedValue::Array(words) => {
                let mut elements = Vec::new();
                for word in words {
                    expand::fields(word, self, &mut elements);
                }
                elements.into()
            }
        };
        self.budget.spend(elements.iter().map(Text::len).sum());
        let earlier = || Elements::from(self.environment.elements(name).unwrap_or_default());
        let elements: Elements = match (&assignment.index, assignment.append, &assignment.value) {
            (Some(index), append, _) => {
                let mut all = earlier();
                // An index that is unknown or far away is the next one.
                let at = all.len();
                let wanted =
                    expand::arithmetic(index, self).and_then(|at| usize::try_from(at).ok());
                self.tell_dropped(wanted.is_none_or(|at| at < ELEMENTS_MAX));
                let at = wanted.filter(|at| *at < ELEMENTS_MAX).unwrap_or(at);
                if at >= all.len() {
                    self.budget.spend(at - all.len());
                    all.resize(at + 1, Text::new());
                }
                if let (Some(slot), Some(value)) = (all.get_mut(at), elements.first()) {
                    if append {
                        slot.append(value);
                    } else {
                        *slot = value.clone();
                    }
                }
                all
            }
            (None, false, _) => elements,
            (None, true, AssignedValue::Word(_)) => {
                let mut value = earlier().into_iter().next().unwrap_or_default();
                if let Some(more) = elements.first() {
                    value.append(more);
                }
                smallvec![value]
            }
            (None, true, AssignedValue::Array(_)) => {
                let mut all = earlier();
                all.extend(elements);
                all
            }
        };
        let size = elements.iter().map(Text::len).sum();
        if self.budget.spend(size) {
            let steps = self.steps;
            let elements: Elements =
                elements.into_iter().map(|text| text.with_steps(steps)).collect();
            self.note_value(name, &elements);
            self.environment().set_elements(name, elements);
        }
        if matches!(name.as_str(), "PS4" | "PS1" | "PROMPT_COMMAND") {
            self.run_prompt(name);
        }
    }

    /// What a shell runs on its own account before it prints something.
    pub(super) fn run_prompt(&mut self, name: &str) {
        let Some(text) = self.environment.value(name, 0).0 else { return };
        if !self.budget.spend(text.len()) || !self.budget.enter(SCRIPT_LEVELS) {
            return;
        }
        if name == "PROMPT_COMMAND" {
            self.run_text(&text, Step::Eval);
        } else {
            self.computed(|shell| expand::document(&parse_document(text.as_str()), shell));
        }
        self.budget.leave(SCRIPT_LEVELS);
    }

    /// The alias that the command's first word stands for, if it was written plainly.
    pub(super) fn alias(&self, words: &[Word], fields: &[Text]) -> Option<Text> {
        if self.environment.aliases.is_empty() {
            return None;
        }
        let plain = matches!(words.first()?.parts.as_slice(), [Part::Literal(_)]);
        let name = fields.first()?.as_literal().filter(|_| plain)?;
        self.environment.aliases.get(name).cloned()
    }

    /// The alias's text with the other words behind it, each quoted.
    pub(super) fn run_alias(&mut self, alias: &Text, words: Vec<Text>, simple: &Simple) -> Stream {
        let name = words.first().cloned().unwrap_or_default();
        let mut source = Text::literal("");
        source.append(alias);
        let mut expands = alias.as_str().ends_with([' ', '\t']);
        for word in words.iter().skip(1) {
            source.push_str(" ");
            // An alias that ends in a blank has the next word looked up as well.
            let next = self.environment.aliases.get(word.as_str()).filter(|_| expands);
            match next {
                Some(next) => {
                    expands = next.as_str().ends_with([' ', '\t']);
                    source.append(next);
                }
                None => {
                    expands = false;
                    source.append(&reach::quoted_word(word));
                }
            }
        }
        let removed = self.environment().aliases.remove(name.as_str());
        let output =
            self.redirected(&simple.redirects, |shell| shell.run_text(&source, Step::Function));
        self.files_alone = false;
        if let Some(removed) = removed {
            self.environment().aliases.insert(name.as_str().to_owned(), removed);
        }
        output
    }

    /// A command after its expansions. `spans` are those of the words it was written with.
    pub(super) fn command(&mut self, words: Vec<Text>, spans: &[Span], span: Span) -> Stream {
        let Some(name) = words.first() else { return Stream::Empty };
        let is_last = std::mem::take(&mut self.is_last);
        if !self.budget.spend(COMMAND_WORK) {
            return Stream::UNKNOWN;
        }
        // What `eval` runs is noted as it is run.
        if name.as_literal() != Some("eval") {
            self.note_line(&words);
        }
        if let Some(name) = name.as_literal() {
            if let Some(body) = self.environment.functions.get(name).map(Rc::clone) {
                let output = self.call(&body, words);
                self.files_alone = false;
                return output;
            }
            if let Some(output) = builtins::run(self, name, &words) {
                self.files_alone = false;
                return output;
            }
        }
        self.is_last = is_last;
        self.program(&words, spans, span)
    }

    pub(super) fn call(&mut self, body: &Rc<Node>, words: Vec<Text>) -> Stream {
        if !self.budget.enter(SCRIPT_LEVELS) {
            return Stream::UNKNOWN;
        }
        let mut positional = words;
        if let (Some(first), Some(zero)) =
            (positional.first_mut(), self.environment.positional.first())
        {
            *first = zero.clone();
        }
        let positional = std::mem::replace(&mut self.environment().positional, positional);
        let steps = self.steps;
        self.steps.add(Step::Function);
        let may_return = std::mem::take(&mut self.may_return);
        let output = self.run_node(body);
        self.may_return = may_return;
        self.steps = steps;
        self.environment().positional = positional;
        self.budget.leave(SCRIPT_LEVELS);
        output
    }
}
