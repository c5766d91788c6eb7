//! The interpreter: from a tree to the simple commands that would run.
//!
//! Owns the state of a reading. Nothing is executed: a command's effect is what is known of it on
//! variables, directories, files that the script itself writes, and pipes. Where a condition
//! cannot be decided, both ways are taken.

mod budget;
mod builtins;
mod environment;
mod files;
mod reach;
mod test;

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::rc::Rc;

use crate::limits;

use super::ast::{AssignedValue, Assignment, Connector, Node, Script, Simple, Span, Word};
use super::expand::{self, Shell};
use super::parse::{parse, parse_document};
use super::pattern::Pattern;
use super::programs::{self, Operand, Program, Wrapper, WrapperInput};
use super::reading::{Hidden, HiddenWhy, Reading};
use super::text::{Step, Steps, Stream, Text};
use super::{filters, foreign};

use budget::Budget;
use environment::Environment;
use files::Files;

/// How many levels of depth a script within a script takes: it brings a tree of its own.
const SCRIPT_LEVELS: usize = 8;
/// How often a loop's body is read whose condition cannot be decided.
const UNDECIDED_ROUNDS: usize = 2;
/// Most elements of an array that is filled up to an index.
const ELEMENTS_MAX: usize = 1_024;
/// What carrying out a command costs beside the text it is made of.
const COMMAND_WORK: usize = 32;

/// What the container would run for `argv`.
///
/// A pattern in an argument that no shell ever sees is read as a pattern all the same: whoever
/// writes one means it.
pub fn read(argv: &[String]) -> Reading {
    let size = argv.iter().map(|word| word.len() + 1).sum::<usize>();
    let mut interpreter = Interpreter::new(argv, size);
    let words: Vec<Text> = argv.iter().map(|word| Text::literal(word.as_str())).collect();
    if size > limits::SHELL_INPUT_MAX_BYTES {
        interpreter.budget.exceed(HiddenWhy::Size);
    } else {
        let spans = interpreter.places.argv.iter().map(|range| Span::new(range.start, range.end));
        let spans = spans.collect::<Vec<_>>();
        let whole = Span::new(0, size.saturating_sub(1));
        interpreter.command(words, &spans, whole);
        interpreter.run_traps();
    }
    interpreter.finish(0..size.saturating_sub(1))
}

/// What a shell would run that is given `source` as its script.
pub fn read_script(source: &str) -> Reading {
    let argv = [source.to_owned()];
    let mut interpreter = Interpreter::new(&argv, source.len() + 1);
    if source.len() > limits::SHELL_INPUT_MAX_BYTES {
        interpreter.budget.exceed(HiddenWhy::Size);
    } else {
        let positional = vec![Text::literal("sh")];
        let script = Text::literal(source);
        interpreter.with_script(positional, |shell| shell.run_text(&script, Step::Eval));
    }
    interpreter.finish(0..source.len())
}

/// Where in the command as written the spans of the source that is read are.
#[derive(Debug, Clone)]
enum Place {
    /// They are so many bytes further.
    Offset(usize),
    /// The source was computed: all of it comes from here.
    Fixed(Span),
}

#[derive(Debug)]
struct Places {
    argv: Vec<Range<usize>>,
    current: Place,
}

/// A `break` or `continue` on its way to its loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Break(usize),
    Continue(usize),
}

struct Interpreter<'a> {
    argv: &'a [String],
    reading: Reading,
    seen: HashSet<String>,
    seen_accesses: HashSet<String>,
    budget: Budget,
    environment: Rc<Environment>,
    /// What the next command reads as its standard input.
    input: Stream,
    descriptors: HashMap<u32, Stream>,
    files: Files,
    /// Of the last command; `None` when it cannot be known.
    status: Option<bool>,
    flow: Option<Flow>,
    /// How many conditions stand around that may be false.
    undecided: usize,
    /// Which of a variable's possible values is taken, and how many the ones that were asked for
    /// have.
    choice: usize,
    choices: Cell<usize>,
    /// What led to the source that is being read.
    steps: Steps,
    places: Places,
    /// Set by `exec` without a command: its redirections stay.
    keeps_descriptors: bool,
    /// Where the command that is being read stands.
    span: Range<usize>,
}

impl<'a> Interpreter<'a> {
    fn new(argv: &'a [String], size: usize) -> Interpreter<'a> {
        let mut places = Vec::with_capacity(argv.len());
        let mut at = 0;
        for word in argv {
            places.push(at..at + word.len());
            at += word.len() + 1;
        }
        Interpreter {
            argv,
            reading: Reading::default(),
            seen: HashSet::new(),
            seen_accesses: HashSet::new(),
            budget: Budget::new(size),
            environment: Rc::default(),
            input: Stream::UNKNOWN,
            descriptors: HashMap::new(),
            files: Files::default(),
            status: Some(true),
            flow: None,
            undecided: 0,
            choice: 0,
            choices: Cell::new(1),
            steps: Steps::NONE,
            places: Places { argv: places, current: Place::Offset(0) },
            keeps_descriptors: false,
            span: 0..size.saturating_sub(1),
        }
    }

    fn finish(mut self, whole: Range<usize>) -> Reading {
        for why in self.budget.exceeded() {
            let hidden = Hidden { why: *why, steps: Steps::NONE, span: whole.clone() };
            self.reading.hidden.push(hidden);
        }
        self.reading
    }

    fn environment(&mut self) -> &mut Environment {
        if Rc::strong_count(&self.environment) > 1 {
            self.budget.spend(self.environment.size());
        }
        Rc::make_mut(&mut self.environment)
    }

    /// Bytes of the command as written.
    fn place(&self, span: Span) -> Range<usize> {
        match self.places.current {
            Place::Offset(offset) => span.start + offset..span.end + offset,
            Place::Fixed(span) => span.start..span.end,
        }
    }

    // ---- sources

    /// Runs a text as a script where it stands.
    fn run_text(&mut self, source: &Text, step: Step) -> Stream {
        if source.has_hole() && source.steps.has(Step::UnknownDecoded) {
            self.hide(HiddenWhy::DecodedCode, source.steps);
        }
        if !self.budget.spend(source.len()) || !self.budget.enter(SCRIPT_LEVELS) {
            return Stream::UNKNOWN;
        }
        let place = self.place_of(source);
        let place = std::mem::replace(&mut self.places.current, place);
        let steps = self.steps;
        self.steps.extend(source.steps);
        // A script that stands among the arguments is what a shell is there for, not a step.
        if matches!(self.places.current, Place::Fixed(_)) {
            self.steps.add(step);
        }
        let output = self.run_script(&parse(source.as_str()));
        self.steps = steps;
        self.places.current = place;
        self.budget.leave(SCRIPT_LEVELS);
        output
    }

    /// A script that is one of the arguments is told where it stands in it; any other where the
    /// command is that runs it.
    fn place_of(&self, source: &Text) -> Place {
        let outermost = matches!(self.places.current, Place::Offset(0));
        let argument = source.as_literal().filter(|_| outermost).and_then(|source| {
            let at = self.argv.iter().position(|argument| argument == source)?;
            self.places.argv.get(at)
        });
        match argument {
            Some(range) => Place::Offset(range.start),
            None => Place::Fixed(Span::new(self.span.start, self.span.end)),
        }
    }

    /// Runs what a stream holds as a script.
    fn run_stream(&mut self, source: &Stream) -> Stream {
        match source {
            Stream::Empty => Stream::Empty,
            Stream::Unknown { decoded: false } => Stream::UNKNOWN,
            _ => self.run_text(&source.to_text(), Step::Eval),
        }
    }

    fn run_script(&mut self, script: &Script) -> Stream {
        if script.incomplete {
            self.budget.exceed(HiddenWhy::Depth);
        }
        let mut output = Stream::Empty;
        for item in &script.items {
            if self.budget.is_spent() || self.flow.is_some() {
                break;
            }
            let runs = match (item.connector, self.status) {
                (Connector::Then, _) => Some(true),
                (Connector::And, status) => status,
                (Connector::Or, status) => status.map(|status| !status),
            };
            let out = match runs {
                Some(false) => continue,
                Some(true) if !item.background => self.run_node(&item.node),
                _ => {
                    let out = self.maybe(|shell| shell.run_node(&item.node));
                    self.status = None;
                    out
                }
            };
            output = self.joined(output, out);
        }
        output
    }

    /// Runs something that may not be run at all: afterwards either may be so.
    fn maybe(&mut self, run: impl FnOnce(&mut Self) -> Stream) -> Stream {
        let before = Rc::clone(&self.environment);
        self.undecided += 1;
        let output = run(self);
        self.undecided -= 1;
        if !Rc::ptr_eq(&before, &self.environment) {
            self.budget.spend(before.size());
            Rc::make_mut(&mut self.environment).merge(&before);
        }
        output
    }

    /// Runs something whose effects on the environment end with it.
    fn subshell(&mut self, run: impl FnOnce(&mut Self) -> Stream) -> Stream {
        let environment = Rc::clone(&self.environment);
        let descriptors = self.descriptors.clone();
        self.environment().traps.clear();
        let output = run(self);
        self.run_traps();
        self.environment = environment;
        self.descriptors = descriptors;
        output
    }

    fn run_traps(&mut self) {
        if self.environment.traps.is_empty() {
            return;
        }
        for trap in std::mem::take(&mut self.environment().traps) {
            self.run_text(&trap, Step::Eval);
        }
    }

    // ---- nodes

    fn run_node(&mut self, node: &Node) -> Stream {
        if !self.budget.spend(1) || !self.budget.enter(1) {
            return Stream::UNKNOWN;
        }
        let output = self.run_node_within(node);
        self.budget.leave(1);
        output
    }

    fn run_node_within(&mut self, node: &Node) -> Stream {
        match node {
            Node::Simple(simple) => self.run_simple(simple),
            Node::Pipeline { commands, negated } => self.run_pipeline(commands, *negated),
            Node::Subshell(script) => self.subshell(|shell| shell.run_script(script)),
            Node::Group(script) => self.run_script(script),
            Node::If { arms, otherwise } => self.run_if(arms, otherwise.as_ref()),
            Node::For { name, words, body } => self.run_for(name, words.as_deref(), body),
            Node::ForArithmetic { first, condition, next, body } => {
                expand::arithmetic(first, self);
                self.run_loop(
                    |shell| {
                        let always = condition.parts.is_empty();
                        let value = expand::arithmetic(condition, shell);
                        shell.status = if always { Some(true) } else { value.map(|v| v != 0) };
                        Stream::Empty
                    },
                    |shell| {
                        let output = shell.run_script(body);
                        expand::arithmetic(next, shell);
                        output
                    },
                    false,
                )
            }
            Node::While { condition, body, until } => self.run_loop(
                |shell| shell.run_script(condition),
                |shell| shell.run_script(body),
                *until,
            ),
            Node::Case { subject, arms } => self.run_case(subject, arms),
            Node::Function { name, body } => {
                let body = Rc::clone(body);
                self.environment().functions.insert(name.clone(), body);
                self.status = Some(true);
                Stream::Empty
            }
            Node::Test { words, span } => {
                self.span = self.place(*span);
                let words: Vec<Text> = words.iter().map(|w| expand::single(w, self)).collect();
                self.status = self.conditional(&words);
                Stream::Empty
            }
            Node::Arithmetic(word) => {
                self.status = expand::arithmetic(word, self).map(|value| value != 0);
                Stream::Empty
            }
            Node::Redirected { node, redirects } => {
                self.redirected(redirects, |shell| shell.run_node(node))
            }
        }
    }

    fn run_pipeline(&mut self, commands: &[Node], negated: bool) -> Stream {
        if let [only] = commands {
            let output = self.run_node(only);
            self.status = self.status.map(|status| status != negated);
            return output;
        }
        let input = self.input.clone();
        let mut flowing = None;
        for command in commands {
            if let Some(flowing) = flowing.take() {
                self.input = flowing;
            }
            flowing = Some(self.subshell(|shell| shell.run_node(command)));
        }
        self.input = input;
        self.status = self.status.map(|status| status != negated);
        flowing.unwrap_or_default()
    }

    fn run_if(&mut self, arms: &[(Script, Script)], otherwise: Option<&Script>) -> Stream {
        let mut output = Stream::Empty;
        for (condition, body) in arms {
            let out = self.run_script(condition);
            output = self.joined(output, out);
            match self.status {
                Some(false) => {}
                Some(true) => {
                    let out = self.run_script(body);
                    return self.joined(output, out);
                }
                None => {
                    let out = self.maybe(|shell| shell.run_script(body));
                    output = self.joined(output, out);
                    self.status = None;
                }
            }
        }
        if let Some(otherwise) = otherwise {
            // Taken for certain only if every condition was false, but what an earlier branch has
            // set stays a possible value either way.
            let out = if self.status == Some(false) && arms.len() == 1 {
                self.run_script(otherwise)
            } else {
                self.maybe(|shell| shell.run_script(otherwise))
            };
            output = self.joined(output, out);
        }
        output
    }

    fn run_for(&mut self, name: &str, words: Option<&[Word]>, body: &Script) -> Stream {
        let words: Vec<Text> = match words {
            Some(words) => words.iter().flat_map(|word| expand::fields(word, self)).collect(),
            None => {
                let positional = self.environment.positional.iter().skip(1).cloned();
                positional.map(|word| word.with_step(Step::Positional)).collect()
            }
        };
        let steps = self.steps;
        self.steps.add(Step::Loop);
        let mut output = Stream::Empty;
        for word in words {
            if !self.budget.spend(COMMAND_WORK + word.len()) {
                break;
            }
            self.environment().set(name, word);
            let out = self.run_script(body);
            output = self.joined(output, out);
            if self.leaves_loop() {
                break;
            }
        }
        self.steps = steps;
        output
    }

    fn run_loop(
        &mut self,
        condition: impl Fn(&mut Self) -> Stream,
        body: impl Fn(&mut Self) -> Stream,
        until: bool,
    ) -> Stream {
        let steps = self.steps;
        self.steps.add(Step::Loop);
        let mut output = Stream::Empty;
        let mut undecided = 0;
        for round in 0.. {
            if !self.budget.spend(COMMAND_WORK) {
                break;
            }
            if round == limits::SHELL_ROUNDS_MAX {
                self.budget.exceed(HiddenWhy::Work);
                break;
            }
            let before = Rc::clone(&self.environment);
            let waiting = self.waiting();
            let out = condition(self);
            output = self.joined(output, out);
            let out = match self.status.map(|status| status != until) {
                Some(false) => break,
                Some(true) => body(self),
                None => {
                    undecided += 1;
                    self.maybe(&body)
                }
            };
            output = self.joined(output, out);
            if self.leaves_loop() || undecided == UNDECIDED_ROUNDS {
                break;
            }
            // What changes nothing goes on for ever and shows nothing new.
            if Rc::ptr_eq(&before, &self.environment) && waiting == self.waiting() {
                break;
            }
        }
        self.steps = steps;
        output
    }

    /// Bytes that the standard input still holds.
    fn waiting(&self) -> usize {
        self.input.as_bytes().map_or(0, <[u8]>::len)
    }

    /// Takes a `break` or `continue` in; whether the loop ends.
    fn leaves_loop(&mut self) -> bool {
        match self.flow.take() {
            Some(Flow::Break(levels)) => {
                self.flow = (levels > 1).then(|| Flow::Break(levels - 1));
                true
            }
            Some(Flow::Continue(levels)) if levels > 1 => {
                self.flow = Some(Flow::Continue(levels - 1));
                true
            }
            _ => self.budget.is_spent(),
        }
    }

    fn run_case(&mut self, subject: &Word, arms: &[super::ast::CaseArm]) -> Stream {
        let subject = expand::single(subject, self);
        let known = subject.as_literal();
        let mut output = Stream::Empty;
        for (at, arm) in arms.iter().enumerate() {
            let matches = arm.patterns.iter().any(|pattern| {
                let pattern = expand::single(pattern, self);
                known.is_none_or(|subject| {
                    pattern.has_hole() || Pattern::new(&pattern).matches_string(subject)
                })
            });
            if !matches {
                continue;
            }
            if known.is_some() {
                let out = self.run_script(&arm.body);
                output = self.joined(output, out);
                // `;&` goes on with the next arm; the tree does not tell where it stands.
                if self.argv.iter().any(|word| word.contains(";&")) {
                    for next in arms.iter().skip(at + 1) {
                        let out = self.maybe(|shell| shell.run_script(&next.body));
                        output = self.joined(output, out);
                    }
                }
                return output;
            }
            let out = self.maybe(|shell| shell.run_script(&arm.body));
            output = self.joined(output, out);
        }
        output
    }

    // ---- simple commands

    fn run_simple(&mut self, simple: &Simple) -> Stream {
        self.choices.set(1);
        self.choice = 0;
        let mut output = self.run_choice(simple);
        // A variable that may have several values: the command with each of them.
        let choices = self.choices.get().min(1 + limits::SHELL_ALTERNATIVES_MAX);
        for choice in 1..choices {
            self.choice = choice;
            let out = self.maybe(|shell| shell.run_choice(simple));
            output = self.joined(output, out);
        }
        self.choice = 0;
        self.choices.set(1);
        output
    }

    fn run_choice(&mut self, simple: &Simple) -> Stream {
        let place = self.place(simple.span);
        let around = std::mem::replace(&mut self.span, place);
        let output = self.run_simple_within(simple);
        self.span = around;
        output
    }

    fn run_simple_within(&mut self, simple: &Simple) -> Stream {
        if !self.budget.spend(COMMAND_WORK) {
            return Stream::UNKNOWN;
        }
        let (mut words, mut spans) = (Vec::new(), Vec::new());
        for word in &simple.words {
            for field in expand::fields(word, self) {
                self.budget.spend(field.len());
                words.push(field);
                spans.push(word.span);
            }
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
            self.redirected(&simple.redirects, |shell| shell.command(words, &spans, simple.span))
        } else {
            let environment = Rc::clone(&self.environment);
            for assignment in &simple.assignments {
                self.assign(assignment);
            }
            let output = self
                .redirected(&simple.redirects, |shell| shell.command(words, &spans, simple.span));
            self.forget_assignments(&simple.assignments, &environment);
            output
        };
        self.choices.set(choices);
        output
    }

    /// Assignments before a command hold for the command alone.
    fn forget_assignments(&mut self, assignments: &[Assignment], before: &Environment) {
        for assignment in assignments {
            let earlier = before.get(&assignment.name);
            let environment = self.environment();
            match earlier {
                Some(variable) => {
                    environment.set_elements(&assignment.name, variable.elements);
                }
                None => environment.unset(&assignment.name),
            }
        }
    }

    fn assign(&mut self, assignment: &Assignment) {
        let name = &assignment.name;
        let elements = match &assignment.value {
            AssignedValue::Word(word) => vec![expand::single(word, self).quoted()],
            AssignedValue::Array(words) => {
                let mut elements = Vec::new();
                for word in words {
                    elements.extend(expand::fields(word, self));
                }
                elements
            }
        };
        self.budget.spend(elements.iter().map(Text::len).sum());
        let earlier = || self.environment.get(name).map(|v| v.elements).unwrap_or_default();
        let elements = match (&assignment.index, assignment.append, &assignment.value) {
            (Some(index), append, _) => {
                let mut all = earlier();
                // An index that is unknown or far away is the next one.
                let at = all.len();
                let wanted =
                    expand::arithmetic(index, self).and_then(|at| usize::try_from(at).ok());
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
                vec![value]
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
            let elements = elements.into_iter().map(|text| text.with_steps(steps)).collect();
            self.environment().set_elements(name, elements);
        }
        if matches!(name.as_str(), "PS4" | "PS1" | "PROMPT_COMMAND") {
            self.run_prompt(name);
        }
    }

    /// What a shell runs on its own account before it prints something.
    fn run_prompt(&mut self, name: &str) {
        let Some(text) = self.environment.value(name, 0).0 else { return };
        if !self.budget.spend(text.len()) || !self.budget.enter(SCRIPT_LEVELS) {
            return;
        }
        if name == "PROMPT_COMMAND" {
            self.run_text(&text, Step::Eval);
        } else {
            expand::document(&parse_document(text.as_str()), self);
        }
        self.budget.leave(SCRIPT_LEVELS);
    }

    /// The alias that the command's first word stands for, if it was written plainly.
    fn alias(&self, words: &[Word], fields: &[Text]) -> Option<Text> {
        if self.environment.aliases.is_empty() {
            return None;
        }
        let plain = matches!(words.first()?.parts.as_slice(), [super::ast::Part::Literal(_)]);
        let name = fields.first()?.as_literal().filter(|_| plain)?;
        self.environment.aliases.get(name).cloned()
    }

    /// The alias's text with the other words behind it, each quoted.
    fn run_alias(&mut self, alias: &Text, words: Vec<Text>, simple: &Simple) -> Stream {
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
        if let Some(removed) = removed {
            self.environment().aliases.insert(name.as_str().to_owned(), removed);
        }
        output
    }

    /// A command after its expansions. `spans` are those of the words it was written with.
    fn command(&mut self, words: Vec<Text>, spans: &[Span], span: Span) -> Stream {
        let Some(name) = words.first() else { return Stream::Empty };
        if !self.budget.spend(COMMAND_WORK) {
            return Stream::UNKNOWN;
        }
        // What `eval` runs is noted as it is run.
        if name.as_literal() != Some("eval") {
            self.note_line(&words);
        }
        if let Some(name) = name.as_literal() {
            if let Some(body) = self.environment.functions.get(name).map(Rc::clone) {
                return self.call(&body, words);
            }
            if let Some(output) = builtins::run(self, name, &words) {
                return output;
            }
        }
        self.program(&words, spans, span)
    }

    fn call(&mut self, body: &Rc<Node>, words: Vec<Text>) -> Stream {
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
        let output = self.run_node(body);
        self.steps = steps;
        self.environment().positional = positional;
        self.budget.leave(SCRIPT_LEVELS);
        output
    }

    /// The file that a shell runs before anything else, where the script has set it.
    fn run_startup_file(&mut self) {
        for name in ["BASH_ENV", "ENV"] {
            if let Some(file) = self.environment.value(name, 0).0 {
                let content = self.read_file(&file);
                self.run_stream(&content);
            }
        }
    }

    fn program(&mut self, words: &[Text], spans: &[Span], span: Span) -> Stream {
        self.status = None;
        if let Some(script) = words.first().and_then(|name| self.own_file(name)) {
            let positional = words.to_vec();
            return self.with_script(positional, |shell| shell.run_stream(&script));
        }
        if let Some(directory) = self.parts_directory(words) {
            return self.run_parts(&directory);
        }
        match programs::classify(words) {
            Program::Wrapper(wrapper) => self.run_wrapper(wrapper, words, spans, span),
            Program::ShellText { script, positional } => {
                self.with_script(positional, |shell| shell.run_text(&script, Step::Eval))
            }
            Program::ShellStdin { positional } => {
                let source = std::mem::take(&mut self.input);
                self.with_script(positional, |shell| shell.run_stream(&source))
            }
            Program::ShellFile { file, positional } => {
                let source = self.read_file(&file);
                self.note_operand(&file, spans, words);
                self.with_script(positional, |shell| shell.run_stream(&source))
            }
            Program::Foreign { language, code, arguments } => {
                let input = self.input.clone();
                let output = self.run_foreign(language, &code, &arguments);
                // awk is a text filter as well.
                if language != foreign::Language::Awk {
                    return output;
                }
                self.input = input;
                match self.filter(words, &[]) {
                    Stream::Unknown { .. } | Stream::Empty => output,
                    filtered => filtered,
                }
            }
            Program::ForeignStdin { language, arguments } => {
                let code = std::mem::take(&mut self.input).to_text();
                self.run_foreign(language, &code, &arguments)
            }
            Program::ForeignFile { language, file, arguments } => {
                let code = self.read_file(&file).to_text();
                self.note_operand(&file, spans, words);
                self.run_foreign(language, &code, &arguments)
            }
            Program::Files { operands } => {
                for operand in &operands {
                    self.note_access(operand, spans, words);
                }
                self.note_copy(words);
                self.filter(words, &operands)
            }
        }
    }

    /// In a shell of its own, with parameters of its own.
    fn with_script(
        &mut self,
        positional: Vec<Text>,
        run: impl FnOnce(&mut Self) -> Stream,
    ) -> Stream {
        self.subshell(|shell| {
            shell.environment().positional = positional;
            shell.run_startup_file();
            run(shell)
        })
    }

    /// What a text tool prints.
    fn filter(&mut self, words: &[Text], operands: &[Operand]) -> Stream {
        let Some((name, arguments)) = words.split_first() else { return Stream::Empty };
        let Some(name) = programs::name_of(name) else { return Stream::UNKNOWN };
        let before = self.input.steps();
        // Whatever is given files reads those; anything else reads all of its input.
        let reads_input = operands.is_empty() && !matches!(name, "echo" | "printf" | "seq");
        let (files, descriptors) = (&self.files, &self.descriptors);
        let (directory, input) = (&self.environment.directory, &self.input);
        let output = filters::run(name, arguments, input, &|path| {
            files.content(path, directory, input, descriptors)
        });
        if matches!(name, "ls" | "dir" | "find" | "fd") {
            return self.printed_names(name, operands);
        }
        let Some(output) = output else {
            self.note_input();
            return Stream::UNKNOWN;
        };
        let unset = arguments.iter().any(|word| word.steps.has(Step::UnsetVariable));
        if unset && output.to_text().as_str().trim().is_empty() {
            // Nobody prints nothing: the variable comes from the container.
            return Stream::UNKNOWN;
        }
        self.budget.spend(output.as_bytes().map_or(0, <[u8]>::len) + self.waiting());
        if reads_input {
            self.input = Stream::Empty;
        }
        self.note_decoded(&output, before);
        match name {
            "tee" => self.write_files(arguments, &output),
            "sed" => self.edit_file(arguments),
            _ => {}
        }
        output
    }

    fn run_foreign(
        &mut self,
        language: foreign::Language,
        code: &Text,
        arguments: &[Text],
    ) -> Stream {
        if code.has_hole() && code.steps.has(Step::UnknownDecoded) {
            self.hide(HiddenWhy::DecodedCode, code.steps);
        }
        self.budget.spend(code.len());
        let found = foreign::read(language, code.as_str(), arguments);
        let reach = reach::of_code(code.as_str());
        for text in &found.texts {
            self.note_text(text, reach);
        }
        for argument in arguments {
            self.note_operand(argument, &[], &[]);
        }
        for script in &found.shells {
            let positional = vec![Text::literal("sh")];
            self.with_script(positional, |shell| shell.run_text(script, Step::OtherLanguage));
        }
        // What the code prints is mostly one of its strings.
        match found.texts.as_slice() {
            [only] => Stream::from_text(only.clone()),
            [] => Stream::UNKNOWN,
            [first, ..] => Stream::Unknown { decoded: first.steps.has(Step::Base64) },
        }
    }

    fn run_wrapper(
        &mut self,
        wrapper: Wrapper,
        words: &[Text],
        spans: &[Span],
        span: Span,
    ) -> Stream {
        for operand in &wrapper.operands {
            self.note_access(operand, spans, words);
        }
        if wrapper.argv.is_empty() {
            return Stream::UNKNOWN;
        }
        if !self.budget.enter(1) {
            return Stream::UNKNOWN;
        }
        let environment = Rc::clone(&self.environment);
        for (name, value) in &wrapper.assignments {
            self.environment().set(name, value.clone());
        }
        let found_there = || {
            let there = words.iter().any(|word| word.as_str() == "-execdir");
            wrapper.operands.first().map(|operand| &operand.path).filter(|_| there)
        };
        if let Some(directory) = wrapper.directory.as_ref().or_else(found_there) {
            let to = self.resolved(directory);
            self.environment().change_directory(to);
        }
        let output = match wrapper.input {
            WrapperInput::None => self.command(wrapper.argv, spans, span),
            input => {
                let roots = wrapper.operands.iter().map(|operand| operand.path.clone());
                let roots: Vec<Text> = roots.take(limits::SHELL_ALTERNATIVES_MAX).collect();
                self.with_arguments(&wrapper.argv, input, &roots, spans, span)
            }
        };
        self.environment = environment;
        self.budget.leave(1);
        output
    }

    /// `xargs` and `find -exec`: the command with what they put into it.
    fn with_arguments(
        &mut self,
        argv: &[Text],
        input: WrapperInput,
        found: &[Text],
        spans: &[Span],
        span: Span,
    ) -> Stream {
        let mut output = Stream::Empty;
        let names = self.take_names(&input);
        for argv in reach::argument_lists(argv, &input, &names, found) {
            if !self.budget.spend(COMMAND_WORK + argv.iter().map(Text::len).sum::<usize>()) {
                break;
            }
            let out = self.command(argv, spans, span);
            output = self.joined(output, out);
        }
        output
    }

    /// What names a wrapper hands on, unsplit.
    fn take_names(&mut self, input: &WrapperInput) -> Stream {
        match input {
            WrapperInput::Arguments { file: Some(file), .. } => self.read_file(file),
            WrapperInput::Arguments { file: None, .. } => std::mem::take(&mut self.input),
            _ => Stream::UNKNOWN,
        }
    }

    fn joined(&mut self, first: Stream, second: Stream) -> Stream {
        match (&first, &second) {
            (Stream::Empty, _) => second,
            (_, Stream::Empty) => first,
            (Stream::Unknown { .. }, Stream::Unknown { .. }) => first,
            _ => {
                let more = second.as_bytes().map_or(0, <[u8]>::len);
                self.budget.spend(more);
                match (first, second) {
                    (
                        Stream::Bytes { mut bytes, steps },
                        Stream::Bytes { bytes: more, steps: others },
                    ) => {
                        bytes.extend_from_slice(&more);
                        Stream::Bytes { bytes, steps: steps.and(others) }
                    }
                    (first, second) => {
                        let mut text = first.to_text();
                        text.append(&second.to_text());
                        Stream::from_text(text)
                    }
                }
            }
        }
    }

    fn hide(&mut self, why: HiddenWhy, steps: Steps) {
        let hidden = Hidden { why, steps: steps.and(self.steps), span: self.span.clone() };
        if !self.reading.hidden.contains(&hidden) && self.reading.hidden.len() < 16 {
            self.reading.hidden.push(hidden);
        }
    }
}

impl Shell for Interpreter<'_> {
    fn variable(&self, name: &str) -> Option<Text> {
        let (value, choices) = self.environment.value(name, self.choice);
        self.choices.set(self.choices.get().max(choices));
        value
    }

    fn array(&self, name: &str) -> Option<Vec<Text>> {
        self.environment.get(name).map(|variable| variable.elements)
    }

    fn set_variable(&mut self, name: &str, value: Text) {
        if self.budget.spend(value.len()) {
            self.environment().set(name, value);
        }
    }

    fn variable_names(&self, prefix: &str) -> Vec<String> {
        self.environment.names(prefix)
    }

    fn positional(&self) -> &[Text] {
        &self.environment.positional
    }

    fn home(&self, user: &str) -> Text {
        match user {
            "" => self.environment.value("HOME", 0).0.unwrap_or_default(),
            "root" => Text::literal("/root"),
            user => Text::literal(format!("/home/{user}")),
        }
    }

    fn working_directory(&self) -> Text {
        self.environment.value("PWD", 0).0.unwrap_or_default()
    }

    fn substitute(&mut self, script: &Script) -> Text {
        if !self.budget.enter(SCRIPT_LEVELS / 2) {
            return Text::hole();
        }
        let (choice, choices, status) = (self.choice, self.choices.get(), self.status);
        let input = self.input.clone();
        let span = self.span.clone();
        let output = self.subshell(|shell| shell.run_script(script));
        self.span = span;
        self.input = input;
        self.status = status;
        self.choice = choice;
        self.choices.set(choices);
        self.budget.leave(SCRIPT_LEVELS / 2);
        let text = output.to_text();
        let end = text.as_str().trim_end_matches('\n').len();
        if end == text.len() { text } else { text.slice(0, end) }
    }

    fn process(&mut self, script: &Script, input: bool) -> Text {
        if !self.budget.enter(SCRIPT_LEVELS / 2) {
            return Text::hole();
        }
        let (choice, choices) = (self.choice, self.choices.get());
        let span = self.span.clone();
        let output = self.subshell(|shell| shell.run_script(script));
        self.span = span;
        self.choice = choice;
        self.choices.set(choices);
        self.budget.leave(SCRIPT_LEVELS / 2);
        let output = if input { output } else { Stream::UNKNOWN };
        self.files.unnamed(output)
    }

    fn spend(&mut self, work: usize) -> bool {
        self.budget.spend(work)
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
