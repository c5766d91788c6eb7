//! The commands that were judged a while ago and of which no rule said anything.
//!
//! Clusters run the same few commands all day: probes, operators, pipelines. What the rules make of
//! one depends on nothing but the command and the rules, so it need not be asked twice. Each thread
//! that asks owns one of these.
//!
//! Owns what must be the same for a command to be the same: everything that [`judge`] looks at,
//! compared byte by byte. Bounded, and it forgets: commands come in two generations, and when the
//! younger one is full it takes the place of the older. A command that is asked about stays; who
//! sends ever new ones makes it forget the others, and every command costs what it would cost
//! without it, and a copy of its bytes. What does raise something is judged each time.
//!
//! [`judge`]: crate::detect::command::judge

use std::collections::HashSet;
use std::sync::Arc;

use crate::detect::finding::ExecCommand;
use crate::limits::{HARMLESS_COMMAND_MAX_BYTES, HARMLESS_COMMANDS_MAX_BYTES};
use crate::rules::set::RuleSet;

/// What a command of so many bytes takes in memory: with a place in a table that may be half empty,
/// and what the heap adds to a piece, a quarter at most.
fn kept_bytes(length: usize) -> usize {
    length + length / 4 + 64
}

#[derive(Debug, Default)]
pub struct Harmless {
    /// By these rules.
    rules: Option<Arc<RuleSet>>,
    young: HashSet<Box<[u8]>>,
    old: HashSet<Box<[u8]>>,
    young_bytes: usize,
    /// Of the command that was asked about last; empty if it is too long to be kept.
    key: Vec<u8>,
}

impl Harmless {
    /// Whether no rule of this set said anything of the command when it was judged.
    pub fn knows(&mut self, rules: &Arc<RuleSet>, command: &ExecCommand) -> bool {
        if !self.rules.as_ref().is_some_and(|known| Arc::ptr_eq(known, rules)) {
            *self = Harmless { rules: Some(Arc::clone(rules)), ..Harmless::default() };
        }
        self.key.clear();
        if length(command) > HARMLESS_COMMAND_MAX_BYTES {
            return false;
        }
        write_key(command, &mut self.key);
        if self.young.contains(self.key.as_slice()) {
            return true;
        }
        let Some(known) = self.old.take(self.key.as_slice()) else { return false };
        self.keep(known);
        true
    }

    /// No rule says anything of the command that was asked about last.
    pub fn learn(&mut self) {
        if !self.key.is_empty() {
            self.keep(self.key.as_slice().into());
        }
    }

    fn keep(&mut self, key: Box<[u8]>) {
        let bytes = kept_bytes(key.len());
        if self.young_bytes + bytes > HARMLESS_COMMANDS_MAX_BYTES / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        if self.young.insert(key) {
            self.young_bytes += bytes;
        }
    }
}

/// What `judge` looks at of a command: not where it runs.
fn write_key(command: &ExecCommand, key: &mut Vec<u8>) {
    let ExecCommand { via, argv, text, stdin, tty, container: _, namespace: _, pod: _ } = command;
    key.extend([*via as u8, u8::from(*stdin), u8::from(*tty)]);
    // The text is not always the arguments with blanks between them.
    for part in argv.iter().chain([text]) {
        key.extend(part.len().to_le_bytes());
        key.extend(part.as_bytes());
    }
}

fn length(command: &ExecCommand) -> usize {
    let parts = command.argv.iter().map(|part| part.len() + size_of::<usize>());
    parts.sum::<usize>() + command.text.len()
}

#[cfg(test)]
#[path = "harmless_tests.rs"]
mod tests;
