//! Simple commands: their words, assignments and aliases, and what a name stands for.

use std::rc::Rc;

use compact_str::{CompactString, ToCompactString};
use smallvec::SmallVec;

use crate::limits;

use super::super::ast::{AssignedValue, Assignment, Element, Node, Part, Simple, Span, Word};
use super::super::expand;
use super::super::parse::parse_document;
use super::super::text::{Step, Stream, Text};
use super::array::Array;
use super::{COMMAND_WORK, Environment, Interpreter, SCRIPT_LEVELS, builtins, reach};

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
            let earlier = before.array(&assignment.name).cloned();
            let environment = self.environment();
            match earlier {
                Some(array) => environment.set_array(&assignment.name, array),
                None => match before.elements(&assignment.name) {
                    Some(elements) => {
                        environment.set_array(&assignment.name, Array::counted(elements));
                    }
                    None => environment.unset(&assignment.name),
                },
            }
        }
    }

    pub(super) fn assign(&mut self, assignment: &Assignment) {
        let name = &assignment.name;
        let array = match (&assignment.index, &assignment.value) {
            (None, AssignedValue::Array { elements, associative }) => {
                self.assigned_array(name, elements, *associative, assignment.append)
            }
            (Some(index), AssignedValue::Word(word)) => {
                let value = expand::single(word, self).quoted();
                let mut array = self.environment.to_change(name);
                let key = self.key(index, &array);
                self.put(&mut array, &key, value, assignment.append);
                array
            }
            (None, AssignedValue::Word(word)) => {
                let value = expand::single(word, self).quoted();
                let is_array = self.environment.array(name).is_some_and(|array| !array.is_plain());
                if is_array || assignment.append {
                    let mut array = self.environment.to_change(name);
                    self.put(&mut array, "0", value, assignment.append);
                    array
                } else {
                    Array::counted([value])
                }
            }
            // An error in bash; zsh puts the list in the place of the element.
            (Some(index), AssignedValue::Array { elements, .. }) => {
                let mut words = Vec::new();
                for element in elements {
                    expand::fields(&element.value, self, &mut words);
                }
                self.budget.spend(words.iter().map(|word| word.len() + 1).sum());
                let mut array = self.environment.to_change(name);
                let key = self.key(index, &array);
                if let (None, Some(word)) = (array.get(&key), words.into_iter().next()) {
                    self.put(&mut array, &key, word, false);
                }
                array
            }
        };
        self.give(name, array);
        if matches!(name.as_str(), "PS4" | "PS1" | "PROMPT_COMMAND") {
            self.run_prompt(name);
        }
    }

    /// Sets a variable as the script that is being read does.
    pub(super) fn give(&mut self, name: &str, mut array: Array) {
        if let Some(element) = self.environment.element_meant(name) {
            let value = array.first().cloned().unwrap_or_default();
            return self.give_named(&element, value.with_steps(self.steps));
        }
        let size = array.elements.iter().map(Text::len).sum::<usize>();
        if self.budget.spend(size + array.elements.len()) {
            let steps = self.steps;
            array.elements.iter_mut().for_each(|text| text.steps.extend(steps));
            self.note_value(name, &array.elements);
            self.environment().set_array(name, array);
        }
    }

    /// `a=(x [3]=y)`, `m=([k]=v)`, `m=(k v)`
    fn assigned_array(
        &mut self,
        name: &str,
        elements: &[Element],
        associative: bool,
        append: bool,
    ) -> Array {
        let was = self.environment.array(name).is_some_and(Array::is_associative);
        let mut array = match append {
            true => self.environment.to_change(name),
            false if associative || was => Array::associative(),
            false => Array::default(),
        };
        if array.is_associative() && elements.iter().all(|element| element.key.is_none()) {
            // Each word is one key or one value, however many fields it would be elsewhere.
            for pair in elements.chunks(2) {
                let mut texts = pair.iter().map(|it| expand::single(&it.value, self).quoted());
                let key = texts.next().unwrap_or_default();
                let value = texts.next().unwrap_or_default();
                let fits = self.budget.spend(key.len() + value.len());
                if !fits || !self.put(&mut array, key.as_str(), value, false) {
                    break;
                }
            }
            return array;
        }
        let mut next = array.next_index();
        for element in elements {
            let mut words = Vec::new();
            let key = match &element.key {
                Some(key) => {
                    words.push(expand::single(&element.value, self).quoted());
                    let key = self.key(key, &array);
                    next = key.parse().unwrap_or(next);
                    Some(key)
                }
                None => {
                    expand::fields(&element.value, self, &mut words);
                    None
                }
            };
            self.budget.spend(words.iter().map(|word| word.len() + 1).sum());
            for word in words {
                let at = key.clone().unwrap_or_else(|| next.to_compact_string());
                if !self.put(&mut array, &at, word, element.append) {
                    return array;
                }
                next = next.saturating_add(1);
            }
        }
        array
    }

    /// Sets an element or adds to it, where there is work left for what that moves.
    pub(super) fn put(&mut self, array: &mut Array, key: &str, value: Text, append: bool) -> bool {
        let fits = self.budget.spend(array.putting_work(key));
        if fits {
            array.put(key, value, append);
        }
        fits
    }

    /// What a subscript says. An index that is unknown is the next one.
    pub(super) fn key(&mut self, subscript: &Word, of: &Array) -> CompactString {
        if of.is_associative() {
            return expand::single(subscript, self).as_str().into();
        }
        match expand::arithmetic(subscript, self) {
            Some(index) => index.to_compact_string(),
            None => of.next_index().to_compact_string(),
        }
    }

    /// The same of one that stands in a text: `unset 'a[1]'`, `read 'm[k]'`.
    fn key_of_text(&mut self, subscript: &str, of: &Array) -> CompactString {
        // Bash expands it once more.
        let expanded = if subscript.contains(['$', '`']) && self.budget.enter(SCRIPT_LEVELS) {
            self.budget.spend(subscript.len());
            let parts = parse_document(subscript);
            let text = self.computed(|shell| expand::document(&parts, shell));
            self.budget.leave(SCRIPT_LEVELS);
            Some(text)
        } else {
            None
        };
        let subscript = expanded.as_ref().map_or(subscript, Text::as_str);
        if of.is_associative() {
            return subscript.replace(['"', '\''], "").into();
        }
        match expand::evaluate(subscript, self) {
            Some(index) => index.to_compact_string(),
            None => of.next_index().to_compact_string(),
        }
    }

    /// Sets what a name stands for that may have a subscript.
    pub(super) fn give_named(&mut self, name: &str, value: Text) {
        let (name, subscript) = match subscripted(name) {
            Some((name, subscript)) => (name, subscript),
            None if self.environment.array(name).is_some_and(|array| !array.is_plain()) => {
                (name, "0")
            }
            None => return self.environment().set(name, value),
        };
        let mut array = self.environment.to_change(name);
        let key = self.key_of_text(subscript, &array);
        self.put(&mut array, &key, value, false);
        let size = array.elements.iter().map(Text::len).sum::<usize>();
        if self.budget.spend(size + array.elements.len()) {
            self.environment().set_array(name, array);
        }
    }

    /// `unset a`, `unset 'a[1]'`
    pub(super) fn unset(&mut self, name: &str) {
        match subscripted(name) {
            Some((name, subscript)) => {
                let Some(array) = self.environment.array(name).cloned() else { return };
                // Of an associative array it is the element with that key.
                if matches!(subscript, "@" | "*") && !array.is_associative() {
                    return self.environment().unset(name);
                }
                self.budget.spend(array.elements.len());
                let key = self.key_of_text(subscript, &array);
                self.budget.spend(array.finding_work(&key));
                // What may be there still is more to look at than a gap.
                if self.undecided == 0 {
                    self.environment().unset_element(name, &key);
                }
            }
            None => {
                let environment = self.environment();
                environment.unset(name);
                environment.functions.remove(name);
            }
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

/// The name and the subscript of `a[1]`.
pub(super) fn subscripted(name: &str) -> Option<(&str, &str)> {
    let (name, subscript) = name.strip_suffix(']')?.split_once('[')?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (!name.is_empty() && name.chars().all(is_name)).then_some((name, subscript))
}
