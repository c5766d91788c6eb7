//! What the next round of a loop need not read again: polls go round hundreds of times.
//!
//! Owns which commands of a loop's body are settled. Such a command stands in the body itself, is
//! written without expansions, reaches files at most, and has been read in an earlier round without
//! leaving anything behind. While what it depends on is as it was then, it does the same.

use compact_str::CompactString;

use super::super::ast::{AssignedValue, Item, Node, Operator, Part, Script, Simple, Word};
use super::super::expand;
use super::super::text::{Stream, Text};
use super::{COMMAND_WORK, Interpreter, reach};

/// What is known of the commands of a loop's body, each at its place.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    commands: Vec<Command>,
    /// There are enough rounds for it to pay.
    pub(super) settles: bool,
    /// Something was read in this round that was not settled.
    pub(super) varies: bool,
}

#[derive(Debug, Clone, Default)]
enum Command {
    #[default]
    Unseen,
    /// Read anew each time.
    Varying,
    /// The same, but it does nothing but print variables.
    Printing,
    /// The same, but it does nothing but add one to the variable.
    Counting(CompactString),
    /// Written without expansions.
    Fixed,
    Settled(Box<Settled>),
}

#[derive(Debug, Clone)]
struct Settled {
    name: Text,
    around: Around,
    status: Option<bool>,
    output: Stream,
}

/// What a command without expansions depends on, if it is no function, builtin or wrapper.
#[derive(Debug, Clone, PartialEq)]
struct Around {
    directory: Text,
    directories: Vec<Text>,
    changes: usize,
    /// The input holds nothing, and is not just unknown.
    at_end: bool,
    /// It may not be run at all.
    doubtful: bool,
}

/// What a command leaves behind that is told or goes on.
#[derive(Debug, PartialEq)]
struct Left {
    lines: usize,
    accesses: usize,
    hidden: usize,
    exceeded: usize,
    interactive: bool,
    evaluates: bool,
    ends: [bool; 3],
}

impl Interpreter<'_> {
    /// Runs a loop's body once.
    pub(super) fn run_round(&mut self, body: &Script, rounds: &mut Rounds) -> Stream {
        rounds.varies = !rounds.settles;
        self.run_items(body, |shell, item, at| shell.run_item(item, at, rounds))
    }

    /// Runs an item of a loop's body, unless it is known what it does.
    fn run_item(&mut self, item: &Item, at: usize, rounds: &mut Rounds) -> Stream {
        if !rounds.settles {
            return self.run_node(&item.node);
        }
        if rounds.commands.len() <= at {
            rounds.commands.resize(at + 1, Command::Unseen);
        }
        let (Node::Simple(simple), Some(command)) = (&item.node, rounds.commands.get_mut(at))
        else {
            rounds.varies = true;
            return self.run_node(&item.node);
        };
        match command {
            Command::Unseen if is_fixed(simple) => *command = Command::Fixed,
            Command::Unseen if prints(simple) => *command = Command::Printing,
            Command::Unseen => {
                *command = counter(simple).map_or(Command::Varying, Command::Counting);
            }
            Command::Fixed | Command::Varying | Command::Printing | Command::Counting(_) => {}
            Command::Settled(settled) => {
                if self.is_program(settled.name.as_str()) && self.is_around(&settled.around) {
                    self.budget.spend(2 * COMMAND_WORK);
                    self.status = settled.status;
                    return settled.output.clone();
                }
            }
        }
        let same = match command {
            Command::Printing => self.is_program("echo") && self.is_program("printf"),
            // Only what is certain is counted.
            Command::Counting(name) => self.undecided == 0 && self.number(name).is_some(),
            _ => false,
        };
        if same {
            return self.run_node(&item.node);
        }
        rounds.varies = true;
        if !matches!(command, Command::Fixed | Command::Settled(_)) {
            return self.run_node(&item.node);
        }
        let (around, before) = (self.now_around(), self.left());
        self.files_alone = false;
        let output = self.run_node(&item.node);
        let settles = around.is_some()
            && (self.files_alone || ends_loop(simple, self.undecided))
            && self.flow.is_none()
            && self.left() == before
            && around == self.now_around();
        if let (Some(around), true) = (around, settles)
            && let Some(name) = self.told_name(simple)
        {
            let (status, output) = (self.status, output.clone());
            *command = Command::Settled(Box::new(Settled { name, around, status, output }));
        }
        output
    }

    /// The value of a variable that is a number and nothing else.
    fn number(&self, name: &str) -> Option<i64> {
        let (value, choices) = self.environment.value(name, 0);
        value.filter(|_| choices == 1)?.as_literal()?.parse().ok()
    }

    /// Counts as so many more rounds would.
    pub(super) fn count_rounds(&mut self, rounds: &Rounds, more: usize) {
        for command in &rounds.commands {
            let Command::Counting(name) = command else { continue };
            let more = i64::try_from(more).unwrap_or(i64::MAX);
            if let Some(number) = self.number(name).and_then(|number| number.checked_add(more)) {
                let steps = self.environment.value(name, 0).0.unwrap_or_default().steps;
                let number = Text::literal(number.to_string()).with_steps(steps);
                self.environment().set(name, number);
            }
        }
    }

    /// What a command depends on; `None` where that is not easily told.
    fn now_around(&self) -> Option<Around> {
        let piped = self.piped.as_ref().is_some_and(|lines| lines.len() < reach::PIPED_LINES_MAX);
        let input = match self.input {
            Stream::Empty => true,
            Stream::Unknown { decoded: false } => false,
            _ => return None,
        };
        let simple = !piped
            && !self.reversed
            && !self.keeps_descriptors
            && self.descriptors.is_empty()
            && self.outputs.descriptors.is_empty();
        simple.then(|| Around {
            directory: self.environment.directory.clone(),
            directories: self.environment.directories.clone(),
            changes: self.files.changes(),
            at_end: input,
            doubtful: self.undecided > 0,
        })
    }

    /// Whether all that a command depends on is as it was.
    fn is_around(&self, then: &Around) -> bool {
        let environment = &self.environment;
        then.directory == environment.directory
            && then.directories == environment.directories
            && then.changes == self.files.changes()
            && then.doubtful == (self.undecided > 0)
            && match self.input {
                Stream::Empty => then.at_end,
                Stream::Unknown { decoded: false } => !then.at_end,
                _ => false,
            }
            && !self.reversed
            && self.descriptors.is_empty()
            && self.outputs.descriptors.is_empty()
    }

    fn left(&self) -> Left {
        Left {
            lines: self.reading.lines.len(),
            accesses: self.reading.accesses.len(),
            hidden: self.reading.hidden.len(),
            exceeded: self.budget.exceeded().len(),
            interactive: self.reading.interactive,
            evaluates: self.reading.evaluates,
            ends: [self.may_leave, self.may_end, self.may_return],
        }
    }

    fn is_program(&self, name: &str) -> bool {
        let environment = &self.environment;
        !environment.functions.contains_key(name) && !environment.aliases.contains_key(name)
    }

    /// The command's name, if it is one of the lines: where it ends another one, it may become one
    /// later.
    fn told_name(&self, simple: &Simple) -> Option<Text> {
        let words: Vec<Text> = simple.words.iter().filter_map(expand::plainly).collect();
        let line = words.iter().map(Text::as_str).collect::<Vec<_>>().join(" ");
        self.reading.lines.iter().any(|told| told.text == line).then_some(())?;
        words.into_iter().next()
    }
}

fn is_fixed(simple: &Simple) -> bool {
    let plain = |word| expand::plainly(word).is_some();
    !simple.words.is_empty()
        && simple.assignments.is_empty()
        && simple.words.iter().all(plain)
        && simple.redirects.iter().all(|redirect| plain(&redirect.target))
}

/// `echo "round $i"`: plain characters and the values of variables as they are.
fn prints(simple: &Simple) -> bool {
    let plain = |text: &str| !text.replace("\\n", "").contains('\\');
    let value = |part: &Part| match part {
        Part::Parameter(parameter) => {
            parameter.operator == Operator::None && parameter.index.is_none()
        }
        Part::Quoted { text, .. } => plain(text),
        _ => false,
    };
    let printed = |part: &Part| match part {
        Part::Literal(text) => plain(text) && text.bytes().all(expand::is_inert),
        Part::Double(parts) => parts.iter().all(value),
        part => value(part),
    };
    let name = simple.words.first().and_then(expand::plainly);
    let sets = |word: &Word| expand::plainly(word).is_some_and(|w| w.as_str().starts_with("-v"));
    simple.assignments.is_empty()
        && simple.redirects.is_empty()
        && name.is_some_and(|name| matches!(name.as_str(), "echo" | "printf"))
        && simple.words.iter().all(|word| word.parts.iter().all(printed) && !sets(word))
}

/// The variable of `n=$((n+1))`.
fn counter(simple: &Simple) -> Option<CompactString> {
    let ([assignment], [], []) = (&*simple.assignments, &*simple.words, &*simple.redirects) else {
        return None;
    };
    let AssignedValue::Word(word) = &assignment.value else { return None };
    let [Part::Arithmetic(expression)] = &*word.parts else { return None };
    let [Part::Quoted { text, .. }] = &*expression.parts else { return None };
    let name = text.strip_suffix('1')?.trim_end().strip_suffix('+')?.trim();
    let counts = assignment.index.is_none() && !assignment.append && name == assignment.name;
    counts.then(|| name.into())
}

/// Whether a word is a number, of which many stand in a row for nothing but to be counted.
pub(super) fn counts(word: &Text) -> bool {
    word.is_literal() && word.as_str().bytes().all(|byte| byte.is_ascii_digit())
}

/// A `break` or `exit` that may not be run. What it leaves behind is that it may have been.
fn ends_loop(simple: &Simple, undecided: usize) -> bool {
    let name = simple.words.first().and_then(expand::plainly);
    let ends = |name: Text| matches!(name.as_str(), "break" | "continue" | "exit" | "return");
    undecided > 0 && name.is_some_and(ends)
}

#[cfg(test)]
#[path = "rounds_tests.rs"]
mod tests;
