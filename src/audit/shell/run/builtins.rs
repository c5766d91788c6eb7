//! Commands that change the shell itself.

use super::super::filters;
use super::super::names::Names;
use super::super::path;
use super::super::text::{Step, Stream, Text};
use super::array::Array;
use super::{Flow, Interpreter, mapfile};

/// Most commands that are run when a shell ends.
const TRAPS_MAX: usize = 64;

/// In the place of a descriptor that is no number.
pub(super) const UNKNOWN_DESCRIPTOR: u32 = u32::MAX;

/// How many positional parameters are moved for the work that one byte takes.
const PARAMETERS_MOVED_A_UNIT: usize = 16;

const BUILTINS: Names = Names::of(&[
    ": true wait jobs bg fg umask ulimit hash shopt setopt enable disown times history complete",
    "compgen false cd chdir pushd popd pwd eval . source export readonly declare typeset local",
    "integer nameref unset set shift read mapfile readarray alias unalias trap let break continue",
    "exit return logout test [ exec printf getopts mktemp",
]);

/// Runs a builtin; `None` when the name is none of them.
pub(super) fn run(shell: &mut Interpreter<'_>, name: &str, words: &[Text]) -> Option<Stream> {
    if !BUILTINS.may_hold(name) {
        debug_assert!(run_named(shell, name, words).is_none(), "{name} is not listed");
        return None;
    }
    run_named(shell, name, words)
}

fn run_named(shell: &mut Interpreter<'_>, name: &str, words: &[Text]) -> Option<Stream> {
    let arguments = words.get(1..).unwrap_or_default();
    shell.status = Some(true);
    let output = match name {
        ":" | "true" | "wait" | "jobs" | "bg" | "fg" | "umask" | "ulimit" | "hash" | "shopt"
        | "setopt" | "enable" | "disown" | "times" | "history" | "complete" => Stream::Empty,
        "compgen" => {
            return Some(compgen(shell, arguments));
        }
        "false" => {
            shell.status = Some(false);
            Stream::Empty
        }
        "cd" | "chdir" | "pushd" => shell.change_directory(arguments),
        "popd" => {
            if let Some(back) = shell.environment.directories.last().cloned() {
                shell.environment().change_directory(back);
            }
            Stream::Empty
        }
        "pwd" => {
            let mut text = super::Shell::working_directory(shell);
            text.push('\n');
            Stream::from_text(text)
        }
        "eval" => {
            let source = joined(arguments);
            shell.run_text(&source, Step::Eval)
        }
        "." | "source" => return source(shell, arguments),
        "export" | "readonly" | "declare" | "typeset" | "local" | "integer" | "nameref" => {
            declare(shell, name, arguments);
            Stream::Empty
        }
        "unset" => {
            let reference = arguments.first().is_some_and(|option| option.as_str() == "-n");
            for argument in arguments {
                let name = argument.as_str();
                if argument.has_hole() || name.starts_with('-') {
                    continue;
                }
                if reference {
                    shell.environment().stop_referring(name);
                } else {
                    // `a[0]` may be a pattern as well; mostly there is no such file.
                    shell.unset(name);
                }
            }
            Stream::Empty
        }
        "set" => {
            set(shell, arguments);
            Stream::Empty
        }
        "shift" => {
            let count = arguments.first().and_then(|count| count.as_str().parse().ok());
            let environment = shell.environment();
            let end = count.unwrap_or(1_usize).saturating_add(1).min(environment.positional.len());
            if end > 1 {
                let moved = environment.positional.len() / PARAMETERS_MOVED_A_UNIT;
                let dropped = environment.positional.drain(1..end).rfind(Text::has_active);
                environment.dropped = dropped.or(environment.dropped.take());
                shell.budget.spend(moved);
            }
            Stream::Empty
        }
        "read" => read(shell, arguments),
        "mapfile" | "readarray" => {
            mapfile::read(shell, arguments);
            Stream::Empty
        }
        "alias" => {
            for argument in arguments {
                if let Some((name, _)) = argument.as_str().split_once('=') {
                    let value = argument.slice(name.len() + 1, argument.len());
                    shell.environment().aliases.insert(name.to_owned(), value);
                }
            }
            Stream::Empty
        }
        "unalias" => {
            for argument in arguments {
                shell.environment().aliases.remove(argument.as_str());
            }
            Stream::Empty
        }
        "trap" => {
            let command = arguments.iter().find(|word| word.as_str() != "--");
            if let Some(command) = command.filter(|_| arguments.len() > 1)
                && !matches!(command.as_str(), "" | "-" | "-p" | "-l")
            {
                let kept = shell.environment.traps.len() < TRAPS_MAX;
                shell.tell_dropped(kept);
                if kept {
                    let command = command.clone();
                    shell.environment().traps.push(command);
                }
            }
            Stream::Empty
        }
        "let" => {
            for argument in arguments {
                let source = format!("$(({argument}))");
                let word = super::parse(&source);
                shell.computed(|shell| evaluate(shell, &word));
            }
            shell.status = None;
            Stream::Empty
        }
        "break" | "continue" => {
            shell.may_leave |= name == "break";
            // Only one that is certain: what stands behind the other may run.
            if shell.undecided == 0 {
                let levels = arguments.first().and_then(|count| count.as_str().parse().ok());
                let levels = levels.unwrap_or(1_usize).max(1);
                let flow = if name == "break" { Flow::Break } else { Flow::Continue };
                shell.flow = Some(flow(levels));
            }
            Stream::Empty
        }
        "exit" | "return" | "logout" => {
            if name == "return" {
                shell.may_return = true;
            } else {
                shell.may_end = true;
            }
            Stream::Empty
        }
        "test" => {
            shell.status = shell.test(arguments);
            Stream::Empty
        }
        "[" => {
            let end = arguments.len().saturating_sub(1);
            shell.status = shell.test(arguments.get(..end).unwrap_or_default());
            Stream::Empty
        }
        "exec" if arguments.is_empty() => {
            // Redirections of `exec` alone stay.
            shell.keeps_descriptors = true;
            Stream::Empty
        }
        "printf" if arguments.first().is_some_and(|option| option.as_str() == "-v") => {
            let value = filters::printf(arguments.get(2..).unwrap_or_default());
            let value = value.unwrap_or_else(Text::hole);
            if let Some(name) = arguments.get(1).and_then(Text::as_literal) {
                shell.budget.spend(value.len());
                shell.give_named(name, value);
            }
            Stream::Empty
        }
        "getopts" => {
            getopts(shell, arguments);
            Stream::Empty
        }
        "mktemp" => {
            let path = shell.files.unnamed_in("/tmp/tmp.");
            Stream::from_text(Text::literal(format!("{path}\n")))
        }
        _ => return None,
    };
    Some(output)
}

/// `compgen -W WORDS` expands and prints them, `-C COMMAND` runs it, `-G PATTERN` and `-f NAME`
/// print what files there are.
fn compgen(shell: &mut Interpreter<'_>, arguments: &[Text]) -> Stream {
    let [option, value, ..] = arguments else { return Stream::UNKNOWN };
    match option.as_str() {
        "-W" => {
            shell.expand_later(value);
            Stream::from_text(value.clone())
        }
        "-C" => shell.run_text(value, Step::Eval),
        "-G" => Stream::from_text(value.activated()),
        "-f" | "-d" => {
            let mut names = value.clone();
            names.push_active('*');
            Stream::from_text(names)
        }
        _ => Stream::UNKNOWN,
    }
}

/// Words joined by one space, with their steps.
fn joined(words: &[Text]) -> Text {
    let mut text = Text::new();
    for (at, word) in words.iter().enumerate() {
        if at > 0 {
            text.push(' ');
        }
        text.append(word);
    }
    text
}

fn source(shell: &mut Interpreter<'_>, arguments: &[Text]) -> Option<Stream> {
    let mut arguments = arguments.iter().skip_while(|word| word.as_str() == "--");
    let file = arguments.next()?;
    shell.hide_written(file);
    let content = shell.read_file(file);
    shell.note_operand(file, &[], &[]);
    shell.status = None;
    Some(shell.run_stream(&content))
}

/// One option of the positional parameters; each argument is taken for one option.
fn getopts(shell: &mut Interpreter<'_>, arguments: &[Text]) {
    let (Some(options), Some(name)) = (arguments.first(), arguments.get(1)) else { return };
    let (options, name) = (options.as_str().to_owned(), name.as_str().to_owned());
    let index = shell.environment.value("OPTIND", 0).0.unwrap_or_default();
    let index: usize = index.as_str().parse().unwrap_or(1);
    let argument = match arguments.get(2..) {
        Some(given) if !given.is_empty() => given.get(index.saturating_sub(1)).cloned(),
        _ => shell.environment.positional.get(index).cloned(),
    };
    let argument = argument.unwrap_or_default();
    let Some(letters) = argument.as_str().strip_prefix('-').filter(|rest| !rest.is_empty()) else {
        shell.status = Some(false);
        return;
    };
    let option: String = letters.chars().take(1).collect();
    let takes_value = options.contains(&format!("{option}:"));
    let mut next = index + 1;
    if takes_value {
        let attached = argument.slice(1 + option.len(), argument.len());
        let value = if attached.is_empty() {
            next += 1;
            match arguments.get(2..) {
                Some(given) if !given.is_empty() => given.get(index).cloned(),
                _ => shell.environment.positional.get(index + 1).cloned(),
            }
        } else {
            Some(attached)
        };
        let value = value.unwrap_or_default().with_step(Step::Positional);
        shell.environment().set("OPTARG", value);
    }
    shell.environment().set("OPTIND", Text::literal(next.to_string()));
    shell.environment().set(&name, Text::literal(option));
    shell.status = Some(true);
}

fn declare(shell: &mut Interpreter<'_>, builtin: &str, arguments: &[Text]) {
    let option = |letter: char| {
        arguments.iter().any(|word| {
            word.as_str().strip_prefix('-').is_some_and(|letters| letters.contains(letter))
        })
    };
    let (lower, upper, associative) = (option('l'), option('u'), option('A'));
    let reference = option('n') || builtin == "nameref";
    for argument in arguments {
        let Some((name, _)) = argument.as_str().split_once('=') else {
            let name = argument.as_str();
            let is_name = !name.starts_with('-') && !argument.has_hole();
            if reference && is_name {
                shell.environment().refer(name, "");
            } else if associative && is_name {
                shell.environment().set_associative(name);
            }
            continue;
        };
        if name.starts_with('-') || name.is_empty() {
            continue;
        }
        // A variable of a function's own is none of those that a name outside stands for.
        if builtin == "local" {
            shell.environment().stop_referring(name);
        }
        let value = argument.slice(name.len() + 1, argument.len()).quoted();
        if let Some(target) = value.as_literal().filter(|target| reference && *target != name) {
            shell.environment().refer(name, target);
            continue;
        }
        let value = match value.as_literal() {
            Some(text) if lower => Text::literal(text.to_lowercase()).with_steps(value.steps),
            Some(text) if upper => Text::literal(text.to_uppercase()).with_steps(value.steps),
            _ => value,
        };
        let (name, value) = match name.strip_suffix('+') {
            Some(name) => {
                let mut whole = shell.environment.value(name, 0).0.unwrap_or_default();
                whole.append(&value);
                (name, whole)
            }
            None => (name, value),
        };
        if shell.budget.spend(value.len()) {
            let steps = shell.steps;
            let value = value.with_steps(steps);
            shell.note_value(name, std::slice::from_ref(&value));
            shell.give_named(name, value);
        }
    }
}

fn set(shell: &mut Interpreter<'_>, arguments: &[Text]) {
    let mut rest = arguments;
    while let Some((first, others)) = rest.split_first() {
        let word = first.as_str();
        if word == "--" {
            rest = others;
            break;
        }
        if !word.starts_with(['-', '+']) || word.len() < 2 {
            break;
        }
        let takes_name = word.ends_with('o');
        rest = if takes_name { others.get(1..).unwrap_or_default() } else { others };
        if rest.is_empty() {
            return;
        }
    }
    if arguments.is_empty() {
        return;
    }
    let zero = shell.environment.positional.first().cloned().unwrap_or_default();
    let positional = std::iter::once(zero).chain(rest.iter().cloned()).collect();
    shell.environment().positional = positional;
    shell.environment().dropped = None;
}

/// `read [-r] [-d x] [-a] name…`: takes a line of the standard input.
fn read(shell: &mut Interpreter<'_>, arguments: &[Text]) -> Stream {
    let mut names = Vec::new();
    let (mut array, mut delimiter, mut raw) = (false, '\n', false);
    let mut descriptor = 0;
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let word = argument.as_str();
        let Some(options) = word.strip_prefix('-').filter(|_| names.is_empty()) else {
            names.push(word.to_owned());
            continue;
        };
        for (at, option) in options.char_indices() {
            let attached = options.get(at + option.len_utf8()..).unwrap_or_default();
            match option {
                'a' => array = true,
                'r' => raw = true,
                'd' | 'n' | 'N' | 'p' | 't' | 'u' | 'i' => {
                    let value = if attached.is_empty() {
                        rest.next().map(|value| value.as_str().to_owned()).unwrap_or_default()
                    } else {
                        attached.to_owned()
                    };
                    match option {
                        'd' => delimiter = value.chars().next().unwrap_or('\0'),
                        'u' => descriptor = value.parse().unwrap_or(UNKNOWN_DESCRIPTOR),
                        _ => {}
                    }
                    break;
                }
                _ => {}
            }
        }
    }
    let source = shell.take_descriptor(descriptor);
    let (line, left) = match &source {
        Stream::Unknown { .. } => {
            shell.status = None;
            (Text::hole(), source.clone())
        }
        Stream::Empty => {
            shell.status = Some(false);
            (Text::new(), Stream::Empty)
        }
        Stream::Partial(text) => {
            let end = text.as_str().find(delimiter);
            shell.status = end.map(|_| true);
            shell.budget.spend(text.len());
            let end = end.unwrap_or(text.len());
            let next = (end + delimiter.len_utf8()).min(text.len());
            let rest = text.slice(next, text.len());
            (text.slice(0, end), Stream::from_text(rest))
        }
        Stream::Bytes { bytes, steps } => {
            let end = bytes.iter().position(|byte| char::from(*byte) == delimiter);
            let (line, rest) = match end {
                Some(end) => (&bytes[..end], bytes.get(end + 1..).unwrap_or_default()),
                None => (&bytes[..], &[][..]),
            };
            // A last line without its end makes `read` fail after it has set the variables.
            shell.status = if end.is_some() { Some(true) } else { None };
            shell.budget.spend(bytes.len());
            let mut text = String::from_utf8_lossy(line).into_owned();
            if !raw {
                text = text.replace("\\\n", "").replace('\\', "");
            }
            let line = Text::literal(text).with_steps(*steps);
            let left = if rest.is_empty() {
                Stream::Empty
            } else {
                Stream::Bytes { bytes: rest.to_vec(), steps: *steps }
            };
            (line, left)
        }
    };
    shell.put_back(descriptor, left);
    give(shell, &names, array, &line);
    Stream::Empty
}

/// Splits a line at `IFS` among the names; the last one takes the rest.
fn give(shell: &mut Interpreter<'_>, names: &[String], array: bool, line: &Text) {
    let separators = shell.environment.value("IFS", 0).0.unwrap_or_default();
    let separators: Vec<char> = separators.as_str().chars().collect();
    let Some(text) = line.as_literal() else {
        for name in names {
            shell.give_named(name, line.clone());
        }
        return;
    };
    let of = |text: &str| Text::literal(text).with_steps(line.steps);
    if names.is_empty() {
        let value = of(text);
        shell.environment().set("REPLY", value);
        return;
    }
    let blank = |c: char| c.is_whitespace() && separators.contains(&c);
    let mut rest = text.trim_matches(blank);
    if array {
        // Blanks beside each other are one separator, others have an empty field between them.
        let mut fields = Vec::new();
        while !rest.is_empty() {
            let end = rest.find(|c| separators.contains(&c)).unwrap_or(rest.len());
            let (field, next) = rest.split_at(end);
            fields.push(of(field));
            let next = next.trim_start_matches(blank);
            let other = next.chars().next().filter(|c| separators.contains(c));
            rest = next.get(other.map_or(0, char::len_utf8)..).unwrap_or_default();
            rest = rest.trim_start_matches(blank);
        }
        if let Some(name) = names.first() {
            shell.environment().set_array(name, Array::counted(fields));
        }
        return;
    }
    for (at, name) in names.iter().enumerate() {
        let last = at + 1 == names.len();
        let (field, next) = match rest.find(|c| separators.contains(&c)) {
            Some(end) if !last => {
                let width = rest[end..].chars().next().map_or(1, char::len_utf8);
                (&rest[..end], rest[end + width..].trim_start_matches(blank))
            }
            _ => (rest, ""),
        };
        let value = of(field);
        shell.give_named(name, value);
        rest = next;
    }
}

impl Interpreter<'_> {
    /// What is left to read of a descriptor, 0 the standard input.
    pub(super) fn take_descriptor(&mut self, descriptor: u32) -> Stream {
        match descriptor {
            0 => std::mem::take(&mut self.input),
            other => self.descriptors.remove(other).unwrap_or(Stream::UNKNOWN),
        }
    }

    pub(super) fn put_back(&mut self, descriptor: u32, left: Stream) {
        match descriptor {
            0 => self.input = left,
            other => self.descriptors.insert(other, left),
        }
    }

    fn change_directory(&mut self, arguments: &[Text]) -> Stream {
        let to =
            arguments.iter().find(|word| !word.as_str().starts_with('-') || word.as_str() == "-");
        let (to, prints) = match to {
            None => (self.environment.value("HOME", 0).0.unwrap_or_default(), false),
            Some(back) if back.as_str() == "-" => {
                let back = self.environment.value("OLDPWD", 0).0;
                let known = back.or_else(|| self.environment.directories.last().cloned());
                (known.unwrap_or_default(), true)
            }
            Some(to) => (to.clone(), false),
        };
        let from = super::Shell::working_directory(self);
        let there = self.resolved(&to);
        let first = to.as_str().split('/').next().unwrap_or_default();
        let plain = !matches!(first, "" | "." | "..");
        let bases = self.environment.value("CDPATH", 0).0.filter(|_| plain).unwrap_or_default();
        let mut there = there;
        for base in bases.as_str().split(':').filter(|base| base.starts_with('/')) {
            let found = path::clean(&path::join(&Text::literal(base), &to));
            let other = std::mem::replace(&mut there, found);
            self.environment().remember_directory(other);
        }
        // Whether it is there cannot be known; the root always is.
        self.status = (there.as_str() == "/").then_some(true);
        // What is written there is opened from there: the path alone is no access.
        self.note_path(&to, super::super::reading::Reach::Listed, None);
        let environment = self.environment();
        environment.change_directory(there.clone());
        environment.set("OLDPWD", from);
        self.tell_forgotten();
        if prints {
            let mut text = there;
            text.push('\n');
            return Stream::from_text(text);
        }
        Stream::Empty
    }
}

/// Evaluates the arithmetic expansions that stand as the only word of a script.
fn evaluate(shell: &mut Interpreter<'_>, script: &super::Script) {
    use super::super::ast::Node;
    for item in &script.items {
        if let Node::Simple(simple) = &item.node {
            for word in &simple.words {
                super::expand::fields(word, shell, &mut Vec::new());
            }
        }
    }
}
