//! `mapfile` and `readarray`: the lines of an input as an array.

use super::super::foreign;
use super::super::text::{Step, Text};
use super::array::Array;
use super::builtins::UNKNOWN_DESCRIPTOR;
use super::{Interpreter, Stream};

/// After how many lines `-C` runs its command, unless `-c` says otherwise.
const CALLBACK_EVERY: usize = 5_000;

/// `mapfile [-t] [-d x] [-n count] [-s count] [-O index] [-C command] [-c count] [name]`: the lines
/// of the standard input as an array. What `-n` leaves is there to be read.
pub(super) fn read(shell: &mut Interpreter<'_>, arguments: &[Text]) {
    let (mut ends, mut cut, mut name) = ('\n', false, None);
    let (mut most, mut skipped, mut origin) = (0_usize, 0_usize, None);
    let mut descriptor = 0;
    let (mut callback, mut every) = (None, CALLBACK_EVERY);
    let mut rest = arguments.iter();
    let mut ended = false;
    while let Some(argument) = rest.next() {
        let word = argument.as_str();
        if word == "--" && name.is_none() && !ended {
            ended = true;
            continue;
        }
        let Some(options) = word.strip_prefix('-').filter(|_| name.is_none() && !ended) else {
            name.get_or_insert(word);
            continue;
        };
        for (at, option) in options.char_indices() {
            if option == 't' {
                cut = true;
                continue;
            }
            let attached = 1 + at + option.len_utf8();
            let value = match rest.as_slice().first() {
                _ if attached < word.len() => argument.slice(attached, word.len()),
                Some(next) => {
                    rest.next();
                    next.clone()
                }
                None => Text::new(),
            };
            if option == 'C' {
                callback = Some(value);
                break;
            }
            let value = value.as_str();
            match option {
                'd' => ends = value.chars().next().unwrap_or('\0'),
                'n' => most = value.parse().unwrap_or(0),
                's' => skipped = value.parse().unwrap_or(0),
                'c' => every = value.parse().ok().filter(|&count| count > 0).unwrap_or(every),
                'O' => origin = value.parse::<i64>().ok(),
                'u' => descriptor = value.parse().unwrap_or(UNKNOWN_DESCRIPTOR),
                _ => {}
            }
            break;
        }
    }
    let source = shell.take_descriptor(descriptor);
    let text = source.into_text();
    if !shell.budget.spend(text.len()) {
        return;
    }
    let name = name.unwrap_or("MAPFILE").to_owned();
    let mut array = match origin {
        Some(_) => shell.environment.to_change(&name),
        None => Array::default(),
    };
    let most = if most == 0 { usize::MAX } else { most };
    let mut next = origin.unwrap_or(0);
    let mut lines = Lines { text: &text, from: 0, ends, cut };
    for (at, line) in lines.by_ref().skip(skipped).take(most).enumerate() {
        if let Some(command) = &callback
            && (at + 1) % every == 0
        {
            let mut call = command.clone();
            call.push_str(&format!(" {next} "));
            call.append(&foreign::quoted(&line));
            shell.run_text(&call, Step::Eval);
        }
        if !shell.put(&mut array, &next.to_string(), line, false) {
            break;
        }
        next = next.saturating_add(1);
    }
    // Of an input that is read to its end there is nothing left, not even an empty line.
    let left = text.slice(lines.from.min(text.len()), text.len());
    if most != usize::MAX && !left.is_empty() {
        shell.put_back(descriptor, Stream::from_text(left));
    }
    if shell.budget.spend(array.elements.len()) {
        shell.environment().set_array(&name, array);
    }
}

/// The lines of a text, each with what ends it unless that is cut off.
struct Lines<'t> {
    text: &'t Text,
    from: usize,
    ends: char,
    cut: bool,
}

impl Iterator for Lines<'_> {
    type Item = Text;

    fn next(&mut self) -> Option<Text> {
        let rest = self.text.as_str().get(self.from..).unwrap_or_default();
        if rest.is_empty() && (self.from > 0 || self.text.is_empty()) {
            return None;
        }
        let (end, next) = match rest.find(self.ends) {
            Some(length) => (self.from + length, self.from + length + self.ends.len_utf8()),
            None => (self.text.len(), self.text.len()),
        };
        let line = self.text.slice(self.from, if self.cut { end } else { next });
        // A hole alone is one line.
        self.from = next.max(1);
        Some(line)
    }
}
