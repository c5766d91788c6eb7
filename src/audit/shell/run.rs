//! The interpreter: from a tree to the simple commands that would run.
//!
//! Owns the state of a reading. Nothing is executed: a command's effect is what is known of it on
//! variables, directories, files that the script itself writes, and pipes. Where a condition
//! cannot be decided, both ways are taken.

mod array;
mod budget;
mod builtins;
mod descriptors;
mod environment;
mod files;
mod mapfile;
mod nodes;
mod program;
mod reach;
mod rounds;
mod simple;
mod source;
mod sparse;
mod test;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashSet;
use std::ops::Range;
use std::rc::Rc;

use compact_str::{CompactString, ToCompactString};
use smallvec::SmallVec;

use crate::limits;

use super::ast::{Connector, Item, Script, Span};
use super::expand::{self, Shell};
use super::filters::Allowance;
use super::parse::{parse, parse_within_bounds};
use super::reading::{Hidden, HiddenWhy, Reading};
use super::text::{MarkKind, Step, Steps, Stream, Text};

use budget::Budget;
use descriptors::Descriptors;
use environment::Environment;
use files::{Files, Outputs};
use reach::PipedLines;
use source::spelled;

/// How many levels of depth a script within a script takes: it brings a tree of its own.
const SCRIPT_LEVELS: usize = 8;
/// What carrying out a command costs beside the text it is made of.
const COMMAND_WORK: usize = 32;

/// What the container would run for `argv`.
///
/// Where no shell is asked for, arguments are what they are: nothing in them is expanded.
pub fn read(argv: &[String]) -> Reading {
    let size = argv.iter().map(|word| word.len() + 1).sum::<usize>();
    let mut interpreter = Interpreter::new(argv, size);
    let words: Vec<Text> = argv.iter().map(|word| Text::literal(word.as_str())).collect();
    if size > limits::SHELL_INPUT_MAX_BYTES {
        interpreter.budget.exceed(HiddenWhy::Size);
    } else {
        let spans = interpreter.places.argv.iter().map(|range| Span::new(range.start, range.end));
        let spans: SmallVec<[Span; 8]> = spans.collect();
        let whole = Span::new(0, size.saturating_sub(1));
        interpreter.is_last = true;
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
    argv: SmallVec<[Range<usize>; 4]>,
    current: Place,
}

/// A `break` or `continue` on its way to its loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Break(usize),
    Continue(usize),
}

/// Lines and paths that were told.
#[derive(Debug, Default)]
struct Seen {
    lines: HashSet<String>,
    accesses: HashSet<String>,
}

struct Interpreter<'a> {
    argv: &'a [String],
    reading: Reading,
    /// What was told, once looking at all of it would cost more than remembering it.
    seen: Option<Box<Seen>>,
    budget: Budget,
    /// What text tools and code of other languages may cost; made once there are any.
    tools: OnceCell<Allowance>,
    /// Bytes of the command.
    size: usize,
    environment: Rc<Environment>,
    /// What the next command reads as its standard input.
    input: Stream,
    descriptors: Descriptors<Stream>,
    outputs: Outputs,
    /// The input is neither a pipe nor a file, but what the whole command is given.
    input_is_given: bool,
    files: Files<'a>,
    /// Of the last command; `None` when it cannot be known.
    status: Option<bool>,
    flow: Option<Flow>,
    /// Something in the loop around may have ended it.
    may_leave: bool,
    /// Something may have ended the shell, or the function.
    may_end: bool,
    may_return: bool,
    /// How many conditions stand around that may be false.
    undecided: usize,
    /// Which of a variable's possible values is taken, and how many the ones that were asked for
    /// have.
    choice: usize,
    choices: Cell<usize>,
    /// Those of which there are several values, and each how many choices they take the next.
    asked: RefCell<Vec<(String, usize)>>,
    /// What led to the source that is being read.
    steps: Steps,
    places: Places,
    /// Which bound the source that is being read has met, if any.
    bound: HiddenWhy,
    /// Set by `exec` without a command: its redirections stay.
    keeps_descriptors: bool,
    /// The first lines of the command of a pipeline that is being read.
    piped: Option<PipedLines>,
    /// `rev` has turned round what flows in the pipeline.
    reversed: bool,
    /// A word of the command that is being read has expanded to nothing.
    vanished: bool,
    /// The last command reached files at most: it was no function, builtin or wrapper.
    files_alone: bool,
    /// Something that is followed gets what is printed: a pipe, a substitution, a file.
    is_read: bool,
    /// The command is the whole of what is read.
    is_last: bool,
    /// Where the command that is being read stands.
    span: Range<usize>,
    /// Found once it is asked for.
    mentions: OnceCell<Mentions>,
    /// The word of the last operand: the next one stands behind it.
    operand: Cell<usize>,
}

/// What stands anywhere in the command as written; where it takes effect is not followed.
#[derive(Debug)]
struct Mentions {
    globstar: bool,
    dotglob: bool,
    nocaseglob: bool,
    /// `;&`
    falling_through: bool,
}

impl<'a> Interpreter<'a> {
    fn new(argv: &'a [String], size: usize) -> Interpreter<'a> {
        let mut places = SmallVec::with_capacity(argv.len());
        let mut at = 0;
        for word in argv {
            places.push(at..at + word.len());
            at += word.len() + 1;
        }
        Interpreter {
            argv,
            reading: Reading::default(),
            seen: None,
            budget: Budget::new(size),
            tools: OnceCell::new(),
            size,
            environment: Rc::default(),
            input: Stream::UNKNOWN,
            descriptors: Descriptors::default(),
            outputs: Outputs::default(),
            input_is_given: true,
            files: Files::new(argv),
            status: Some(true),
            flow: None,
            may_leave: false,
            may_end: false,
            may_return: false,
            undecided: 0,
            choice: 0,
            choices: Cell::new(1),
            asked: RefCell::default(),
            steps: Steps::NONE,
            places: Places { argv: places, current: Place::Offset(0) },
            bound: HiddenWhy::Depth,
            keeps_descriptors: false,
            piped: None,
            reversed: false,
            vanished: false,
            files_alone: false,
            is_read: false,
            is_last: false,
            span: 0..size.saturating_sub(1),
            mentions: OnceCell::new(),
            operand: Cell::new(0),
        }
    }

    fn tools(&self) -> &Allowance {
        self.tools.get_or_init(|| {
            let own = limits::SHELL_TOOLS_WORK_PER_BYTE.saturating_mul(self.size);
            Allowance::new(limits::SHELL_TOOLS_WORK_BASE + own)
        })
    }

    fn mentions(&self) -> &Mentions {
        self.mentions.get_or_init(|| {
            let has = |text: &str| self.argv.iter().any(|word| word.contains(text));
            let globs = has("glob");
            Mentions {
                globstar: globs && has("globstar"),
                dotglob: globs && has("dotglob"),
                nocaseglob: globs && has("nocaseglob"),
                falling_through: has(";&"),
            }
        })
    }

    /// Hands out what was read.
    fn finish(&mut self, whole: Range<usize>) -> Reading {
        for why in self.budget.exceeded() {
            let hidden = Hidden { why: *why, steps: Steps::NONE, span: whole.clone() };
            self.reading.hidden.push(hidden);
        }
        std::mem::take(&mut self.reading)
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

    /// Runs something whose source was computed: it is told where the command is that made it.
    fn computed<T>(&mut self, run: impl FnOnce(&mut Self) -> T) -> T {
        let here = Place::Fixed(Span::new(self.span.start, self.span.end));
        let place = std::mem::replace(&mut self.places.current, here);
        let span = self.span.clone();
        let out = run(self);
        self.span = span;
        self.places.current = place;
        out
    }

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
        let (script, bound) = parse_within_bounds(&spelled(source));
        let bound = std::mem::replace(&mut self.bound, bound);
        self.reading.evaluates = true;
        // What a shell runs is no part of the pipeline that the shell stands in.
        let piped = self.piped.take();
        let output = self.run_script(&script);
        self.piped = piped;
        self.bound = bound;
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
        self.run_items(script, |shell, item, _| shell.run_node(&item.node))
    }

    /// Runs a script, its items by `run`, which is given their places as well.
    fn run_items(
        &mut self,
        script: &Script,
        mut run: impl FnMut(&mut Self, &Item, usize) -> Stream,
    ) -> Stream {
        if script.incomplete {
            self.budget.exceed(self.bound);
        }
        let mut output = Stream::Empty;
        for (at, item) in script.items.iter().enumerate() {
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
                Some(true) if !item.background => run(self, item, at),
                _ => {
                    let out = self.maybe(|shell| run(shell, item, at));
                    self.status = None;
                    out
                }
            };
            let out = self.printed_on(out);
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
            self.tell_forgotten();
        }
        output
    }

    /// What had to be dropped may have been what matters.
    fn tell_forgotten(&mut self) {
        if self.environment.forgot {
            self.budget.exceed(HiddenWhy::Work);
        }
    }

    /// Runs something whose effects on the environment end with it.
    fn subshell(&mut self, run: impl FnOnce(&mut Self) -> Stream) -> Stream {
        let environment = Rc::clone(&self.environment);
        let descriptors = self.descriptors.clone();
        let outputs = std::mem::take(&mut self.outputs);
        self.outputs.descriptors.clone_from(&outputs.descriptors);
        if !self.environment.traps.is_empty() {
            self.environment().traps.clear();
        }
        let may_end = (self.may_end, self.may_return);
        let output = run(self);
        let last = self.run_traps();
        let output = self.joined(output, last);
        (self.may_end, self.may_return) = may_end;
        self.environment = environment;
        self.descriptors = descriptors;
        self.outputs = outputs;
        output
    }

    fn run_traps(&mut self) -> Stream {
        let mut output = Stream::Empty;
        if self.environment.traps.is_empty() {
            return output;
        }
        for trap in std::mem::take(&mut self.environment().traps) {
            let out = self.run_text(&trap, Step::Eval);
            output = self.joined(output, out);
        }
        output
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
                        let mut text = first.into_text();
                        text.append(&second.into_text());
                        Stream::from_text(text)
                    }
                }
            }
        }
    }

    /// Each how many choices the variable takes its next value.
    fn stride(&self, name: &str) -> usize {
        let asked = self.asked.borrow();
        asked.iter().find(|(known, _)| known == name).map_or(1, |(_, stride)| *stride)
    }

    fn is_asked(&self, name: &str) -> bool {
        self.asked.borrow().iter().any(|(known, _)| known == name)
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
        let (value, count) = self.environment.value(name, self.choice / self.stride(name));
        if count > 1 && self.stride(name) == 1 {
            // Every value of it with every one of those that were asked for before, if these are
            // not too many; else each once.
            let before = self.choices.get();
            let all = before.saturating_mul(count);
            if all <= limits::SHELL_COMBINATIONS_MAX && !self.is_asked(name) {
                self.choices.set(all);
                self.asked.borrow_mut().push((name.to_owned(), before));
                return self.environment.value(name, self.choice / before).0;
            }
            self.choices.set(before.max(count));
        }
        value
    }

    fn array(&self, name: &str) -> Option<Vec<Text>> {
        self.environment.elements(name)
    }

    fn keys(&self, name: &str) -> Option<Vec<CompactString>> {
        self.environment.array(name)?.keys()
    }

    fn named(&mut self, name: &str, key: &str) -> Option<Option<Text>> {
        let array = self.environment.array(name).filter(|array| array.is_associative())?;
        let found = self.budget.spend(array.finding_work(key)).then(|| array.get(key));
        Some(found.flatten().cloned())
    }

    fn element(&mut self, name: &str, index: i64) -> Option<Option<Text>> {
        let array = self.environment.array(name).filter(|array| !array.is_counted())?;
        if array.is_associative() {
            return self.named(name, &index.to_compact_string());
        }
        Some(array.at(index).cloned())
    }

    fn set_variable(&mut self, name: &str, value: Text) {
        if self.budget.spend(value.len()) {
            self.give_named(name, value);
        }
    }

    fn variable_names(&self, prefix: &str) -> Vec<String> {
        self.environment.names(prefix)
    }

    fn positional(&self) -> &[Text] {
        &self.environment.positional
    }

    fn dropped_pattern(&self) -> Option<&Text> {
        self.environment.dropped.as_ref()
    }

    fn choose(&self, of: &[Text]) -> Option<Text> {
        self.choices.set(self.choices.get().max(of.len()));
        of.get(self.choice % of.len().max(1)).cloned()
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
        let asked = self.asked.take();
        let input = self.input.clone();
        let span = self.span.clone();
        let is_read = std::mem::replace(&mut self.is_read, true);
        let output = self.subshell(|shell| shell.run_script(script));
        self.is_read = is_read;
        self.span = span;
        self.input = input;
        self.status = status;
        self.choice = choice;
        self.choices.set(choices);
        self.asked.replace(asked);
        self.budget.leave(SCRIPT_LEVELS / 2);
        let text = output.into_text();
        let end = text.as_str().trim_end_matches('\n').len();
        if end == text.len() {
            return text;
        }
        let mut trimmed = text.slice(0, end);
        // What is unknown before the newlines stays.
        if text.marks().iter().any(|mark| mark.at >= end && mark.kind == MarkKind::Hole) {
            trimmed.push_hole();
        }
        trimmed
    }

    fn process(&mut self, script: &Script, input: bool) -> Text {
        if !self.budget.enter(SCRIPT_LEVELS / 2) {
            return Text::hole();
        }
        let (choice, choices) = (self.choice, self.choices.get());
        let asked = self.asked.take();
        let span = self.span.clone();
        let is_read = std::mem::replace(&mut self.is_read, true);
        let output = self.subshell(|shell| shell.run_script(script));
        self.is_read = is_read;
        self.span = span;
        self.choice = choice;
        self.choices.set(choices);
        self.asked.replace(asked);
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
