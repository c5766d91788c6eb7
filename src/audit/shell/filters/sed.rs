//! `sed`: a script run over lines.
//!
//! Source: POSIX sed and the manual of GNU sed. What reads or writes other files or runs commands
//! is not followed.

mod parse;
pub(super) mod substitute;

use std::collections::HashMap;
use std::rc::Rc;

use super::data::{Data, Lines};
use super::options::{Spec, options};
use super::posix::{Pattern, Work};
use super::{Allowance, Call, OUTPUT_MAX_BYTES, Output, Unknown};
use crate::audit::shell::text::{Step, Stream, Text};
use substitute::Substitution;

const SPEC: Spec = Spec {
    flags: "nErsuz",
    values: "efl",
    long: &[
        ("quiet", 'n'),
        ("silent", 'n'),
        ("expression", 'e'),
        ("file", 'f'),
        ("regexp-extended", 'E'),
        ("separate", 's'),
        ("unbuffered", 'u'),
        ("null-data", 'z'),
        ("posix", 's'),
    ],
    permute: true,
};

#[derive(Debug)]
struct Command {
    from: Option<Address>,
    to: Option<Address>,
    negated: bool,
    action: Action,
}

#[derive(Debug)]
enum Address {
    /// From 1 on; 0 only before a range that ends with a pattern.
    Line(usize),
    Last,
    /// `first~step`
    Every(usize, usize),
    /// The last pattern used, when it is `None`.
    Pattern(Option<Rc<Pattern>>),
    /// `+2` behind a comma.
    Further(usize),
    /// `~2` behind a comma.
    Multiple(usize),
}

#[derive(Debug)]
enum Action {
    /// `{`, and where its `}` is.
    Block(usize),
    Nothing,
    Substitute(Box<Substitution>),
    Exchange(HashMap<char, char>),
    Delete,
    DeleteFirst,
    Print,
    PrintFirst,
    Quit {
        prints: bool,
    },
    Next,
    Join,
    Hold {
        appends: bool,
    },
    Get {
        appends: bool,
    },
    Swap,
    Number,
    Append(String),
    Insert(String),
    Change(String),
    Branch {
        to: usize,
        when: Branch,
    },
    Clear,
}

/// So many letters that are exchanged are a cipher.
const CIPHER_LETTERS_MIN: usize = 8;

impl Action {
    /// Whether it makes something readable that was not: letters become others, or change places.
    fn is_cipher(&self) -> bool {
        match self {
            Action::Exchange(map) => {
                let letters = map.iter().filter(|(from, to)| {
                    from.is_ascii_lowercase()
                        && to.is_ascii_alphanumeric()
                        && !to.eq_ignore_ascii_case(from)
                });
                letters.count() >= CIPHER_LETTERS_MIN
            }
            Action::Substitute(substitution) => substitution.swaps(),
            _ => false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Branch {
    Always,
    Substituted,
    NotSubstituted,
}

pub(super) fn sed(call: &Call) -> Output {
    // `-i` and `-i.bak` edit files in place and print nothing.
    let in_place = |arg: &Text| {
        let text = arg.as_str();
        let letters = text.strip_prefix('-').unwrap_or_default();
        let flags: &str = letters.split(['i', 'e', 'f']).next().unwrap_or_default();
        let only_flags = flags.chars().all(|letter| "nErsuz".contains(letter));
        text.starts_with("--in-place")
            || only_flags && letters.get(flags.len()..).is_some_and(|rest| rest.starts_with('i'))
    };
    if call.args.iter().take_while(|arg| arg.as_str() != "--").any(in_place) {
        return Ok(Stream::Empty);
    }
    let options = options(call.args, &SPEC);
    let mut operands = options.operands.as_slice();
    let mut script = String::new();
    let mut sources: Vec<Text> = Vec::new();
    for (letter, value) in &options.given {
        match letter {
            'e' => sources.push(value.clone()),
            'f' => sources.push(Data::into_stream(call.file(value)?).to_text()),
            _ => {}
        }
    }
    if sources.is_empty() {
        let Some((first, rest)) = operands.split_first() else { return Err(Unknown::Plain) };
        sources.push((*first).clone());
        operands = rest;
    }
    for source in &sources {
        if source.has_hole() {
            return Err(Unknown::Plain);
        }
        if !script.is_empty() {
            script.push('\n');
        }
        script.push_str(source.as_str());
    }
    let extended = options.has('E') || options.has('r');
    let data = call.read(operands).map_err(|why| {
        let commands = parse::parse(&script, extended, false);
        why.max_decoded(commands.is_ok_and(|all| all.iter().any(|it| it.action.is_cipher())))
    })?;
    if options.has('z') || options.unknown || options.unclear {
        return Err(Unknown::Decoded);
    }
    let (quiet, script) = match script.strip_prefix("#n\n") {
        Some(script) => (true, script),
        None => (options.has('n'), script.as_str()),
    };
    let text = !data.bytes.is_ascii() && std::str::from_utf8(&data.bytes).is_ok();
    let commands = parse::parse(script, extended, text)?;
    let mut machine = Machine::new(&data, quiet, commands.len(), call.allowance);
    machine.run(&commands)?;
    call.changed(&data, data.with(machine.out), Step::Filter)
}

struct Machine<'a> {
    lines: std::iter::Peekable<Lines<'a>>,
    /// The input's last line has no newline.
    unfinished: bool,
    /// The pattern space came out of the hold space, which always ends with one.
    held: bool,
    /// What is printed so far lacks a newline.
    open: bool,
    quiet: bool,
    out: Vec<u8>,
    space: Vec<u8>,
    hold: Vec<u8>,
    number: usize,
    /// Of every command with a range: how it ends, once it has begun.
    ranges: Vec<Option<Range>>,
    queue: Vec<u8>,
    substituted: bool,
    last_pattern: Option<Rc<Pattern>>,
    work: Work,
}

#[derive(Debug, Clone, Copy)]
enum Range {
    /// `2,5`: a line behind the last is no part of it, even if that was never looked at.
    Until(usize),
    /// `2,+3`: the first line that is looked at from there on ends it.
    AtLeast(usize),
    UntilMatch,
    UntilLast,
    /// One that starts at a line's number starts once.
    Over,
}

enum Flow {
    Next(usize),
    /// To the next cycle; `prints` the pattern space before.
    End {
        prints: bool,
    },
    /// The same without reading a line.
    Restart,
    Quit {
        prints: bool,
    },
}

impl<'a> Machine<'a> {
    fn new(data: &'a Data, quiet: bool, commands: usize, allowance: &Allowance) -> Machine<'a> {
        Machine {
            lines: data.lines().peekable(),
            unfinished: !data.bytes.ends_with(b"\n"),
            held: false,
            open: false,
            quiet,
            out: Vec::new(),
            space: Vec::new(),
            hold: Vec::new(),
            number: 0,
            ranges: vec![None; commands],
            queue: Vec::new(),
            substituted: false,
            last_pattern: None,
            work: Work::new(allowance),
        }
    }

    fn is_last(&mut self) -> bool {
        self.lines.peek().is_none()
    }

    fn put(&mut self, text: &[u8]) {
        self.end_line();
        self.out.extend_from_slice(text);
        self.out.push(b'\n');
    }

    fn print_space(&mut self) {
        self.end_line();
        self.out.extend_from_slice(&self.space);
        // A last line without a newline is printed without one, until something follows.
        self.open = self.unfinished && !self.held && self.is_last();
        if !self.open {
            self.out.push(b'\n');
        }
    }

    fn end_line(&mut self) {
        if std::mem::take(&mut self.open) {
            self.out.push(b'\n');
        }
    }

    fn read(&mut self) -> bool {
        let Some(line) = self.lines.next() else { return false };
        self.number += 1;
        self.held = false;
        self.space.extend_from_slice(line);
        true
    }

    fn flush_queue(&mut self) {
        if !self.queue.is_empty() {
            self.end_line();
        }
        self.out.append(&mut self.queue);
    }

    fn run(&mut self, commands: &[Command]) -> Result<(), Unknown> {
        let mut restarts = false;
        loop {
            if !restarts {
                self.space.clear();
                if !self.read() {
                    break;
                }
            }
            restarts = false;
            self.work.spend(1 + self.space.len())?;
            let flow = self.cycle(commands)?;
            let prints = match flow {
                Flow::End { prints } | Flow::Quit { prints } => prints && !self.quiet,
                _ => false,
            };
            if prints {
                self.print_space();
            }
            self.flush_queue();
            if self.out.len() > OUTPUT_MAX_BYTES {
                return Err(Unknown::Decoded);
            }
            match flow {
                Flow::Quit { .. } => break,
                Flow::Restart => restarts = true,
                _ => {}
            }
        }
        Ok(())
    }

    /// The commands once, over the pattern space.
    fn cycle(&mut self, commands: &[Command]) -> Result<Flow, Unknown> {
        self.substituted = false;
        let mut at = 0;
        while let Some(command) = commands.get(at) {
            self.work.spend(1)?;
            let selected = self.selects(at, command)? != command.negated;
            at += 1;
            if !selected {
                if let Action::Block(end) = command.action {
                    at = end + 1;
                }
                continue;
            }
            match self.act(command, at)? {
                Flow::Next(next) => at = next,
                flow => return Ok(flow),
            }
        }
        Ok(Flow::End { prints: true })
    }

    fn act(&mut self, command: &Command, next: usize) -> Result<Flow, Unknown> {
        match &command.action {
            Action::Block(_) | Action::Nothing => {}
            Action::Substitute(substitution) => {
                let pattern = self.pattern(substitution.pattern.as_ref())?;
                let replaced = substitution.apply(&pattern, &self.space, &mut self.work)?;
                if let Some(replaced) = replaced {
                    self.space = replaced;
                    self.substituted = true;
                    if substitution.prints {
                        self.print_space();
                    }
                }
            }
            Action::Exchange(map) => {
                self.work.spend(self.space.len())?;
                let text = String::from_utf8_lossy(&self.space);
                let exchange = |character| map.get(&character).copied().unwrap_or(character);
                let exchanged: String = text.chars().map(exchange).collect();
                self.space = exchanged.into_bytes();
            }
            Action::Delete => return Ok(Flow::End { prints: false }),
            Action::DeleteFirst => {
                let Some(end) = memchr::memchr(b'\n', &self.space) else {
                    return Ok(Flow::End { prints: false });
                };
                self.work.spend(self.space.len())?;
                self.space.drain(..=end);
                return Ok(Flow::Restart);
            }
            Action::Print => {
                self.work.spend(self.space.len())?;
                self.print_space();
            }
            Action::PrintFirst => {
                let end = memchr::memchr(b'\n', &self.space).unwrap_or(self.space.len());
                self.work.spend(end)?;
                let first = self.space[..end].to_vec();
                self.put(&first);
            }
            Action::Quit { prints } => return Ok(Flow::Quit { prints: *prints }),
            Action::Next => {
                if self.is_last() {
                    return Ok(Flow::Quit { prints: true });
                }
                if !self.quiet {
                    self.print_space();
                }
                self.flush_queue();
                self.space.clear();
                self.read();
            }
            Action::Join => {
                // At the end GNU sed prints what it has.
                if self.is_last() {
                    return Ok(Flow::Quit { prints: true });
                }
                self.flush_queue();
                self.space.push(b'\n');
                self.read();
            }
            Action::Hold { appends } => {
                self.work.spend(self.space.len())?;
                if *appends {
                    self.hold.push(b'\n');
                } else {
                    self.hold.clear();
                }
                self.hold.extend_from_slice(&self.space);
            }
            Action::Get { appends } => {
                self.held = true;
                self.work.spend(self.hold.len())?;
                if *appends {
                    self.space.push(b'\n');
                } else {
                    self.space.clear();
                }
                self.space.extend_from_slice(&self.hold);
            }
            Action::Swap => {
                self.held = true;
                std::mem::swap(&mut self.space, &mut self.hold);
            }
            Action::Number => {
                let number = self.number.to_string();
                self.put(number.as_bytes());
            }
            Action::Append(text) => {
                self.work.spend(text.len())?;
                self.queue.extend_from_slice(text.as_bytes());
                self.queue.push(b'\n');
            }
            Action::Insert(text) => {
                self.work.spend(text.len())?;
                self.put(text.as_bytes());
            }
            Action::Change(text) => {
                self.work.spend(text.len())?;
                let range = self.ranges.get(next - 1).copied().flatten();
                let ends = command.to.is_none()
                    || command.negated
                    || matches!(range, None | Some(Range::Over));
                if ends {
                    self.put(text.as_bytes());
                }
                return Ok(Flow::End { prints: false });
            }
            Action::Branch { to, when } => {
                let goes = match when {
                    Branch::Always => true,
                    Branch::Substituted => std::mem::take(&mut self.substituted),
                    Branch::NotSubstituted => !std::mem::take(&mut self.substituted),
                };
                if goes {
                    return Ok(Flow::Next(*to));
                }
            }
            Action::Clear => self.space.clear(),
        }
        let held = self.space.len().max(self.hold.len()).max(self.queue.len());
        if held.max(self.out.len()) > OUTPUT_MAX_BYTES {
            return Err(Unknown::Decoded);
        }
        Ok(Flow::Next(next))
    }

    /// The pattern, or the one used before for an empty one.
    fn pattern(&mut self, pattern: Option<&Rc<Pattern>>) -> Result<Rc<Pattern>, Unknown> {
        if let Some(pattern) = pattern {
            self.last_pattern = Some(Rc::clone(pattern));
        }
        self.last_pattern.clone().ok_or(Unknown::Decoded)
    }

    fn matches(&mut self, address: &Address) -> Result<bool, Unknown> {
        Ok(match address {
            Address::Line(line) => self.number == *line,
            Address::Last => self.is_last(),
            Address::Every(first, 0) => self.number == *first,
            Address::Every(first, step) => {
                self.number >= *first && (self.number - first).is_multiple_of(*step)
            }
            Address::Pattern(pattern) => {
                let pattern = self.pattern(pattern.as_ref())?;
                pattern.is_match(&self.space, &mut self.work)?
            }
            Address::Further(_) | Address::Multiple(_) => false,
        })
    }

    fn selects(&mut self, at: usize, command: &Command) -> Result<bool, Unknown> {
        let Some(from) = &command.from else { return Ok(true) };
        let Some(to) = &command.to else { return self.matches(from) };
        let (range, begun) = match self.ranges.get(at).copied().flatten() {
            Some(Range::Over) => return Ok(false),
            Some(Range::Until(line)) if self.number > line => {
                self.end_range(at, from);
                return Ok(false);
            }
            Some(range) => (range, true),
            None => match self.begin_range(from, to)? {
                Some(begun) => begun,
                None => return Ok(false),
            },
        };
        let ends = match range {
            Range::Until(line) | Range::AtLeast(line) => self.number >= line,
            Range::UntilLast => self.is_last(),
            Range::UntilMatch => begun && self.matches(to)?,
            Range::Over => true,
        };
        if ends {
            self.end_range(at, from);
        } else {
            self.set_range(at, Some(range));
        }
        Ok(true)
    }

    /// A range that the current line begins, and whether that was looked at as its end too.
    fn begin_range(
        &mut self,
        from: &Address,
        to: &Address,
    ) -> Result<Option<(Range, bool)>, Unknown> {
        let begins = match from {
            Address::Line(0) => return Ok(Some((Range::UntilMatch, true))),
            // The line itself may have been taken by another command.
            Address::Line(line) => match to {
                Address::Line(last) if self.number > *last => self.number == *line,
                _ => self.number >= *line,
            },
            other => self.matches(other)?,
        };
        let range = match to {
            Address::Line(line) => Range::Until(*line),
            Address::Last => Range::UntilLast,
            Address::Further(count) => Range::AtLeast(self.number.saturating_add(*count)),
            Address::Multiple(0) => Range::AtLeast(self.number),
            Address::Multiple(step) => {
                Range::AtLeast(self.number.div_ceil(*step).saturating_mul(*step))
            }
            Address::Every(..) | Address::Pattern(_) => Range::UntilMatch,
        };
        Ok(begins.then_some((range, false)))
    }

    fn end_range(&mut self, at: usize, from: &Address) {
        let once = matches!(from, Address::Line(_));
        self.set_range(at, once.then_some(Range::Over));
    }

    fn set_range(&mut self, at: usize, range: Option<Range>) {
        if let Some(place) = self.ranges.get_mut(at) {
            *place = range;
        }
    }
}
