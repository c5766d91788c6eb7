//! Compound commands: which of their parts may run, and how often.

use std::rc::Rc;

use crate::limits;

use super::super::ast::{CaseArm, ForArithmetic, Node, Script, Word};
use super::super::expand;
use super::super::pattern::Pattern;
use super::super::reading::HiddenWhy;
use super::super::text::{Step, Stream, Text};
use super::environment::Environment;
use super::rounds::{self, Rounds};
use super::{COMMAND_WORK, Flow, Interpreter, PipedLines, reach};

/// How often a loop's body is read whose condition cannot be decided.
const UNDECIDED_ROUNDS: usize = 2;
/// With fewer rounds to come nothing is gained by remembering what the last one did.
const ROUNDS_SETTLING_MIN: usize = 3;

impl Interpreter<'_> {
    pub(super) fn run_node(&mut self, node: &Node) -> Stream {
        if !self.budget.spend(1) || !self.budget.enter(1) {
            return Stream::UNKNOWN;
        }
        let output = self.run_node_within(node);
        self.budget.leave(1);
        output
    }

    pub(super) fn run_node_within(&mut self, node: &Node) -> Stream {
        match node {
            Node::Simple(simple) => self.run_simple(simple),
            Node::Pipeline { commands, negated } => self.run_pipeline(commands, *negated),
            Node::Subshell(script) => self.subshell(|shell| shell.run_script(script)),
            Node::Group(script) => self.run_script(script),
            Node::If { arms, otherwise } => self.run_if(arms, otherwise.as_ref()),
            Node::For { name, words, body } => self.run_for(name, words.as_deref(), body),
            Node::ForArithmetic(parts) => {
                let ForArithmetic { first, condition, next, body } = &**parts;
                expand::arithmetic(first, self);
                self.run_loop(
                    |shell| {
                        let always = condition.parts.is_empty();
                        let value = expand::arithmetic(condition, shell);
                        shell.status = if always { Some(true) } else { value.map(|v| v != 0) };
                        Stream::Empty
                    },
                    |shell, rounds| {
                        let output = shell.run_round(body, rounds);
                        expand::arithmetic(next, shell);
                        output
                    },
                    false,
                )
            }
            Node::While { condition, body, until } => self.run_loop(
                |shell| shell.run_script(condition),
                |shell, rounds| shell.run_round(body, rounds),
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

    pub(super) fn run_pipeline(&mut self, commands: &[Node], negated: bool) -> Stream {
        if let [only] = commands {
            let output = self.run_node(only);
            self.status = self.status.map(|status| status != negated);
            return output;
        }
        let (input, given) = (self.input.clone(), self.input_is_given);
        let mut flowing = None;
        self.reversed = false;
        let around = self.piped.take();
        let mut lines = PipedLines::new();
        let is_read = self.is_read;
        for (at, command) in commands.iter().enumerate() {
            self.is_read = is_read || at + 1 < commands.len();
            self.piped = Some(PipedLines::new());
            if let Some(flowing) = flowing.take() {
                self.input = flowing;
                self.input_is_given = false;
            }
            flowing = Some(self.subshell(|shell| shell.run_node(command)));
            lines.extend(self.piped.take().into_iter().flatten());
        }
        self.is_read = is_read;
        self.note_pipeline(&lines);
        self.piped = around.map(|mut around| {
            around.append(&mut lines);
            around.truncate(reach::PIPED_LINES_MAX);
            around
        });
        self.input = input;
        self.input_is_given = given;
        self.status = self.status.map(|status| status != negated);
        flowing.unwrap_or_default()
    }

    pub(super) fn run_if(
        &mut self,
        arms: &[(Script, Script)],
        otherwise: Option<&Script>,
    ) -> Stream {
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

    pub(super) fn run_for(&mut self, name: &str, words: Option<&[Word]>, body: &Script) -> Stream {
        let words: Vec<Text> = match words {
            Some(words) => {
                let mut fields = Vec::with_capacity(words.len());
                words.iter().for_each(|word| expand::fields(word, self, &mut fields));
                // Nobody loops over nothing: the words come from the container.
                if fields.is_empty() && !words.is_empty() { vec![Text::hole()] } else { fields }
            }
            None => {
                let positional = self.environment.positional.iter().skip(1).cloned();
                positional.map(|word| word.with_step(Step::Positional)).collect()
            }
        };
        let steps = self.steps;
        self.steps.add(Step::Loop);
        let mut output = Stream::Empty;
        let around = self.may_leave;
        let mut rounds = Rounds::default();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            if !self.budget.spend(COMMAND_WORK + word.len()) {
                break;
            }
            self.give_named(name, word);
            let out = self.run_round(body, &mut rounds);
            let printed = known_bytes(&out) > 0;
            output = self.joined(output, out);
            if self.leaves_loop() {
                break;
            }
            // The rounds to come do what this one did, with another number that is at most printed.
            let unread = !printed || !self.is_read && !self.outputs.is_redirected();
            if !rounds.varies && unread && words.as_slice().iter().all(rounds::counts) {
                let left_out = words.len().saturating_sub(1);
                self.budget.spend(left_out * COMMAND_WORK);
                self.count_rounds(&rounds, left_out);
                words.by_ref().take(left_out).for_each(drop);
            }
            rounds.settles = words.len() >= ROUNDS_SETTLING_MIN;
        }
        self.may_leave = around;
        self.steps = steps;
        output
    }

    pub(super) fn run_loop(
        &mut self,
        condition: impl Fn(&mut Self) -> Stream,
        body: impl Fn(&mut Self, &mut Rounds) -> Stream,
        until: bool,
    ) -> Stream {
        let steps = self.steps;
        self.steps.add(Step::Loop);
        let mut output = Stream::Empty;
        let mut undecided = 0;
        let around = std::mem::take(&mut self.may_leave);
        let mut before = Rc::clone(&self.environment);
        let mut waiting = self.waiting();
        let (mut printed, mut changes) = (0, self.files.changes());
        let mut uncounted = None;
        let mut rounds = Rounds::default();
        for round in 0.. {
            if !self.budget.spend(COMMAND_WORK) {
                break;
            }
            if round == limits::SHELL_ROUNDS_MAX {
                self.budget.exceed(HiddenWhy::Work);
                break;
            }
            // Polls go on for ever, but what the loop may have counted to by its end matters.
            let endless = (self.may_leave || self.may_end || self.may_return) && undecided == 0;
            let last = round == limits::SHELL_LEFT_ROUNDS_MAX;
            let asks = last || round == limits::SHELL_COUNTED_ROUNDS_MAX;
            if endless && asks && !self.uses_up(&before, waiting) {
                let prints = known_bytes(&output) != printed;
                if !prints || last {
                    uncounted = self.uncounted(&before, changes != self.files.changes(), last);
                }
                // What it would go on to print is not known.
                if prints && uncounted.is_some() {
                    output = self.joined(output, Stream::Unknown { decoded: true });
                }
            }
            before = Rc::clone(&self.environment);
            waiting = self.waiting();
            (printed, changes) = (known_bytes(&output), self.files.changes());
            let out = condition(self);
            output = self.joined(output, out);
            let out = match self.status.map(|status| status != until) {
                Some(false) => break,
                Some(true) => body(self, &mut rounds),
                None => {
                    undecided += 1;
                    self.maybe(|shell| body(shell, &mut rounds))
                }
            };
            rounds.settles = undecided == 0;
            output = self.joined(output, out);
            if self.leaves_loop() || undecided == UNDECIDED_ROUNDS || uncounted.is_some() {
                break;
            }
            // What changes nothing goes on for ever and shows nothing new.
            let same = waiting == self.waiting() && changes == self.files.changes();
            if same && self.is_unchanged(&before) {
                break;
            }
        }
        for name in uncounted.iter().flatten() {
            self.environment().mark_unknown(name);
        }
        self.may_leave = around;
        self.steps = steps;
        output
    }

    /// Whether the last round took something away that is known, so that the loop ends when it is
    /// used up: lines of the input, positional parameters.
    fn uses_up(&self, before: &Environment, waiting: usize) -> bool {
        self.waiting() < waiting || self.environment.positional.len() < before.positional.len()
    }

    /// Takes what the last round changed for unknown, and answers which variables that are. More
    /// than numbers may be what matters: a loop that changes others, or writes files, goes on until
    /// it is at its `last` round.
    fn uncounted(&mut self, before: &Environment, writes: bool, last: bool) -> Option<Vec<String>> {
        self.budget.spend(before.size());
        let changed = self.environment.changed_since(before);
        let others = changed.others || writes;
        if others && !last {
            return None;
        }
        if others {
            self.budget.exceed(HiddenWhy::Work);
        }
        for name in &changed.names {
            let unknown = Text::hole().with_step(Step::UnknownDecoded);
            self.environment().set(name, unknown);
        }
        Some(changed.names)
    }

    /// Bytes that the standard input and other descriptors still hold.
    pub(super) fn waiting(&self) -> usize {
        known_bytes(&self.input) + self.descriptors.values().map(known_bytes).sum::<usize>()
    }

    /// Whether a round has left the environment as it was.
    fn is_unchanged(&mut self, before: &Rc<Environment>) -> bool {
        Rc::ptr_eq(before, &self.environment)
            || self.budget.spend(before.size()) && self.environment.is_as(before)
    }

    /// Takes a `break` or `continue` in; whether the loop ends.
    pub(super) fn leaves_loop(&mut self) -> bool {
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

    pub(super) fn run_case(&mut self, subject: &Word, arms: &[CaseArm]) -> Stream {
        let subject = expand::single(subject, self);
        // A variable that the command does not set may be one of the container's.
        let known = subject.as_literal().filter(|_| !subject.steps.has(Step::UnsetVariable));
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
                if self.mentions().falling_through {
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
}

fn known_bytes(stream: &Stream) -> usize {
    match stream {
        Stream::Bytes { bytes, .. } => bytes.len(),
        Stream::Partial(text) => text.len(),
        Stream::Empty | Stream::Unknown { .. } => 0,
    }
}
