//! What was found: the strings that nothing takes up, and the commands, each once.

use std::collections::HashSet;
use std::rc::Rc;

use super::OUTPUT_MAX_BYTES;
use super::fold::Folder;
use super::lex::{Kind, Unit};
use super::runner::in_directory;
use super::value::{Value, concatenated, settled};
use crate::audit::shell::text::{Step, Text};

/// Longest relative name that is told under a directory that was changed to.
const RELATIVE_MAX_BYTES: usize = 512;

/// What is told so far.
#[derive(Default)]
pub(super) struct Told {
    pub texts: Vec<Text>,
    pub shells: Vec<Text>,
    seen: HashSet<String>,
    bytes: usize,
}

impl Folder {
    /// Tells every literal that no evaluation has reached.
    pub fn sweep(&mut self, unit: &Rc<Unit>) {
        let missed: Vec<usize> = {
            let visited = unit.visited.borrow();
            visited.iter().enumerate().filter(|(_, visited)| !**visited).map(|(at, _)| at).collect()
        };
        for at in missed {
            let value = match unit.kind(at) {
                Some(Kind::Text(_) | Kind::Template(_) | Kind::Command(_) | Kind::Words(_)) => {
                    self.within(unit, at, at + 1, Folder::literal)
                }
                _ => None,
            };
            if let Some(value) = value {
                self.emit(&value);
            }
        }
    }

    /// Tells a value that nothing has taken up.
    pub fn emit(&mut self, value: &Value) {
        self.spend(1);
        match value {
            Value::Text(text) => self.tell_text(text.clone()),
            Value::List(values) => {
                for value in values.iter() {
                    self.emit(value);
                    if self.work_left() == 0 {
                        break;
                    }
                }
            }
            Value::Map(pairs) => {
                for (_, value) in pairs.iter() {
                    self.emit(value);
                    if self.work_left() == 0 {
                        break;
                    }
                }
            }
            Value::Method(method) => self.emit(&method.0),
            Value::Function(function) => self.run_unseen(function),
            _ => {}
        }
    }

    pub fn tell_text(&mut self, text: Text) {
        if text.as_str().is_empty() {
            return;
        }
        let mut text = settled(text);
        text.steps.extend(self.steps);
        let relative = !text.as_str().starts_with('/')
            && text.len() <= RELATIVE_MAX_BYTES
            && !text.as_str().contains(char::is_whitespace);
        if let Some(directory) = self.directory.clone().filter(|_| relative) {
            let mut joined = directory;
            if !joined.as_str().ends_with('/') {
                joined.push('/');
            }
            let mut joined = concatenated(joined, &text);
            joined.steps.add(Step::WorkingDirectory);
            self.tell(joined, false);
        }
        self.tell(text, false);
    }

    /// Tells a command that a shell is given.
    pub fn tell_shell(&mut self, text: Text) {
        if text.as_str().is_empty() && !text.steps.has(Step::UnknownDecoded) {
            return;
        }
        let mut text = settled(text);
        if let Some(directory) = self.directory.clone() {
            text = in_directory(&directory, &text);
        }
        text.steps.extend(self.steps);
        self.tell(text, true);
    }

    pub fn tell(&mut self, text: Text, shell: bool) {
        self.spend(1 + text.len() / 16);
        let key = format!("{}{text}", if shell { '!' } else { '.' });
        if self.told.seen.contains(&key) {
            return;
        }
        if self.told.bytes + text.len() > OUTPUT_MAX_BYTES {
            self.incomplete = true;
            return;
        }
        // A text costs more than its bytes.
        self.told.bytes += text.len() + 8;
        self.told.seen.insert(key);
        if shell {
            self.told.shells.push(text);
        } else {
            self.told.texts.push(text);
        }
    }
}
