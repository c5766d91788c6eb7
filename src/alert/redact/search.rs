//! The walk over a command that finds its secrets.
//!
//! Owns which rule is asked of which word, and how deep words are taken apart: an argument that
//! holds blanks or signs of a shell may be a text for one, and so may a word of that. A value is
//! hidden as a whole: an argument to its end, a quoted word to its closing quote.

use std::ops::Range;

use super::lex::{self, Command};
use super::programs::{self, Part};
use super::word::Word;
use super::{REDACTED, names, pairs, shapes};
use crate::detect::finding::{ExecCommand, ExecVia};
use crate::rules::patterns::PatternList;

/// How often a word is taken for a text and taken apart again.
const DEPTH_MAX: usize = 5;
/// Secrets that are looked for elsewhere in an alert.
const VALUES_MAX: usize = 256;

/// Variables that are known to hold a secret.
const VARIABLES_MAX: usize = 32;

/// How many variables are followed that were given one another.
const VARIABLE_PASSES_MAX: usize = 4;

/// How deep is looked into `$(echo X)`.
const SUBSTITUTED_MAX: usize = 2;

/// Words behind which `NAME=X` sets a variable.
const DECLARATIONS: [&str; 5] = ["export", "declare", "typeset", "readonly", "local"];
/// Programs that set what stands between them and the command that they run.
const SETTING: [&str; 3] = ["env", "sudo", "doas"];
/// Programs that only run the command behind them.
const RUNNING: [&str; 8] =
    ["exec", "command", "builtin", "nohup", "timeout", "nice", "busybox", "stdbuf"];
/// Programs that give a container the variables behind `-e`.
const CONTAINERS: [&str; 3] = ["docker", "podman", "nerdctl"];
/// Words of the shell's own behind which a command begins.
const RESERVED: [&str; 11] =
    ["then", "do", "if", "!", "{", "else", "elif", "while", "until", "time", "-p"];

/// What was found in a text.
#[derive(Debug, Default)]
pub struct Found {
    /// Bytes of the text, in no order.
    pub spans: Vec<Range<usize>>,
    /// The secrets as programs get them.
    pub values: Vec<String>,
}

/// The secrets of a command.
pub fn command(exec: &ExecCommand, shapes: &PatternList) -> Found {
    let mut search = Search::new(shapes);
    search.exec(exec);
    // What a variable was given may stand before the place that makes it a secret, and may be
    // another variable.
    let mut known = 0;
    for _ in 0..VARIABLE_PASSES_MAX {
        if search.variables.len() == known {
            break;
        }
        known = search.variables.len();
        search.found = Found::default();
        search.exec(exec);
    }
    search.found
}

/// The secrets of a text that a shell may have read.
pub fn text(text: &str, shapes: &PatternList) -> Found {
    let mut search = Search::new(shapes);
    let whole = Word::raw(text, 0);
    search.text(&Level { word: &whole, around: None, code: true }, 0);
    search.found
}

/// A word and the word that it was taken out of.
#[derive(Clone, Copy)]
struct Level<'w> {
    word: &'w Word,
    around: Option<&'w Level<'w>>,
    /// It is a text for a shell or the like, in which `$X` is a variable.
    code: bool,
}

impl Level<'_> {
    /// Adds the bytes of the command that hold a part of the word.
    fn place(&self, part: Range<usize>, out: &mut Vec<Range<usize>>) {
        for range in self.word.places(part) {
            match self.around {
                Some(around) => around.place(range, out),
                None => out.push(range),
            }
        }
    }
}

impl<'w> Level<'w> {
    /// The name of the variable whose value is the whole word.
    fn variable(&self) -> Option<&'w str> {
        let [unit] = self.word.units() else { return None };
        let written = self.around?.word.text().get(self.word.places(0..1).first()?.clone())?;
        let name = written.strip_prefix('$').filter(|_| unit.opaque)?;
        let name = name.trim_matches(|c: char| "{}".contains(c));
        // Not `$(…)`.
        name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_').then_some(name)
    }
}

struct Search<'p> {
    shapes: &'p PatternList,
    found: Found,
    /// Variables that stand where a secret does: `mysql -p$P`; positional parameters too.
    variables: Vec<String>,
    /// How many substitutions are being looked into.
    substituted: usize,
}

impl<'p> Search<'p> {
    fn new(shapes: &'p PatternList) -> Search<'p> {
        Search { shapes, found: Found::default(), variables: Vec::new(), substituted: 0 }
    }

    fn exec(&mut self, exec: &ExecCommand) {
        // Where the boundaries of arguments are known to be none of the caller's, the text counts too.
        if matches!(exec.via, ExecVia::GkeLabel | ExecVia::NodesProxyRun | ExecVia::ShellText) {
            let whole = Word::raw(&exec.text, 0);
            self.text(&Level { word: &whole, around: None, code: true }, 0);
        }
        if !matches!(exec.via, ExecVia::GkeLabel | ExecVia::ShellText) {
            let mut base = 0;
            let mut words = Vec::with_capacity(exec.argv.len());
            for argument in &exec.argv {
                words.push(Word::raw(argument, base));
                base += argument.len() + 1;
            }
            self.simple(&words, None, 0);
        }
    }
}

impl Search<'_> {
    /// A text that may be one for a shell.
    fn text(&mut self, level: &Level<'_>, depth: usize) {
        self.shapes(level);
        if depth >= DEPTH_MAX {
            return;
        }
        let commands = lex::commands(level.word);
        let pgpass = level.word.text().contains("pgpass");
        for command in &commands {
            for word in command.words.iter().chain(&command.input).filter(|_| pgpass) {
                self.lines(&Level { word, around: Some(level), code: true }, Part::Pgpass);
            }
            self.simple(&command.words, Some(level), depth);
            for word in command.targets.iter().chain(&command.input) {
                self.word(&Level { word, around: Some(level), code: true }, depth);
            }
            let words = texts(&command.words);
            let part = programs::reads_secret(&words);
            let read = || self.reads_variable(&words).then_some(Part::Whole);
            if let Some(part) = part.or_else(read) {
                self.input(level, &commands, command, part);
            }
        }
    }

    /// `read P`, where `P` is a secret.
    fn reads_variable(&self, words: &[&str]) -> bool {
        let reads = words.iter().take(4).position(|word| *word == "read");
        let names = reads.and_then(|at| words.get(at + 1..)).unwrap_or_default();
        names.iter().any(|name| self.is_variable(name))
    }

    fn is_variable(&self, name: &str) -> bool {
        self.variables.iter().any(|known| known == name)
    }

    /// The words that a command of the shell's own gives to variables that are secrets:
    /// `for P in X`, `printf -v P X`, `set -- X`; those behind a shell's script.
    fn given(&self, texts: &[&str], code: &[bool], in_shell: bool) -> Vec<usize> {
        let positional = |first: usize| {
            let at = move |nth: usize| first + nth - 1;
            let nth = (1..10_usize).filter(|nth| self.is_variable(&nth.to_string()));
            nth.map(at).filter(|at| *at < texts.len()).collect()
        };
        let text = |at: usize| texts.get(at).copied().unwrap_or_default();
        match text(0) {
            "for" | "select" if in_shell && text(2) == "in" && self.is_variable(text(1)) => {
                (3..texts.len()).collect()
            }
            "printf" if in_shell && text(1) == "-v" && self.is_variable(text(2)) => {
                let format = usize::from(texts.len() > 4 && text(3).contains('%'));
                (3 + format..texts.len()).collect()
            }
            "set" if in_shell => match texts.iter().position(|text| *text == "--") {
                Some(at) => positional(at + 1),
                None if !text(1).starts_with(['-', '+']) => positional(1),
                None => Vec::new(),
            },
            _ => match code.iter().position(|code| *code) {
                Some(script) => positional(script + 2),
                None => Vec::new(),
            },
        }
    }

    /// What a command that reads a secret is given.
    fn input(&mut self, level: &Level<'_>, commands: &[Command], command: &Command, part: Part) {
        let mut given: Vec<&Word> = command.input.iter().collect();
        let before = command.piped_from.and_then(|at| commands.get(at));
        if let Some(before) = before {
            given.extend(said(&before.words));
        }
        for word in given {
            self.lines(&Level { word, around: Some(level), code: false }, part);
        }
    }

    /// Each line is a secret, or holds one.
    fn lines(&mut self, level: &Level<'_>, part: Part) {
        let mut start = 0;
        for line in level.word.text().split_inclusive('\n') {
            let end = start + line.trim_end().len();
            if start < end {
                self.part(level, start..end, part);
            }
            start += line.len();
        }
    }

    /// The words of a simple command, or the arguments of an exec.
    fn simple(&mut self, words: &[Word], around: Option<&Level<'_>>, depth: usize) {
        let texts = texts(words);
        let code = code_words(&texts);
        let level = |at: usize| Level { word: &words[at], around, code: code[at] };
        for (at, range, part) in programs::places(&texts) {
            if part == Part::Whole && range.start == 0 && is_option(texts[at]) {
                continue;
            }
            self.part(&level(at), range, part);
        }
        let begins = if around.is_some() { reserved(&texts) } else { 0 };
        for at in self.given(&texts[begins..], &code[begins..], around.is_some()) {
            self.value(&level(begins + at), 0..texts[begins + at].len());
        }
        let patterns = texts.iter().take(4).any(|word| programs::looks_for(word));
        let mut assigning = true;
        let mut setting = false;
        let mut head = Head::Open { sets: false };
        for (at, text) in texts.iter().enumerate() {
            let pair = name_and_value(text);
            let before = at.checked_sub(1).filter(|_| at > begins).map_or("", |at| texts[at]);
            if at >= begins {
                assigning &= pair.is_some_and(|(name, _)| !name.starts_with('-'));
                head = head.behind(text, before);
            }
            // Elsewhere such a word sets nothing, and whoever wrote the command chose its name.
            let long = text.strip_prefix("--env=").filter(|_| head == Head::Container);
            let long = long.and_then(name_and_value);
            let sets = assigning && around.is_some() || head.sets(before) || long.is_some();
            match long.or(pair) {
                _ if code[at] => {}
                Some((name, value)) if is_whole(name, value, assigning) => {
                    if is_secret_name(name) || sets && self.is_variable(name) {
                        self.value(&level(at), text.len() - value.len()..text.len());
                    }
                }
                _ if patterns && !text.starts_with('-') => {}
                _ => self.beside(&texts, &level, at, setting),
            }
            setting |= matches!(
                text.to_ascii_lowercase().as_str(),
                "set" | "config" | "configure" | "requirepass" | "machine"
            );
            if code[at] {
                self.text(&level(at), depth + 1);
            } else if patterns {
                // What it looks for only looks like names and values.
                self.shapes(&level(at));
            } else {
                self.word(&level(at), depth);
            }
        }
    }

    /// The secret that a word announces: `--password X`, `token = X`, `password: X`,
    /// `config set password X`.
    fn beside<'w>(
        &mut self,
        texts: &[&str],
        level: &dyn Fn(usize) -> Level<'w>,
        at: usize,
        setting: bool,
    ) {
        let text = texts[at];
        let next = |ahead: usize| texts.get(at + ahead).copied();
        let Some(following) = next(1) else { return };
        let whole = |index: usize| 0..texts[index].len();
        if text.starts_with('-') {
            let long = text.trim_start_matches('-').len() > 1;
            if long && !text.contains(['=', ' ']) && is_secret_name(text) && !is_option(following) {
                self.value(&level(at + 1), whole(at + 1));
            }
            return;
        }
        // `[ "$PASSWORD" = x ]`
        let tested = || level(at).variable().is_some_and(is_secret_name);
        let compares = matches!(following, "=" | "==" | "!=");
        if matches!(following, "=" | "=>") && is_secret_name(text) || compares && tested() {
            if next(2).is_some() {
                self.value(&level(at + 2), whole(at + 2));
            }
            return;
        }
        if let Some(name) = text.strip_suffix(':') {
            let name = name.trim_matches(|c: char| "{[\"',(".contains(c));
            if is_secret_name(name) || names::is_secret_header(name) {
                let skipped = usize::from(pairs::is_scheme(following));
                if let Some(value) = next(1 + skipped) {
                    let end = value.trim_end_matches([',', '}', ']', ')']).len();
                    self.value(&level(at + 1 + skipped), 0..end);
                }
            }
            return;
        }
        let bare = text.rsplit(['.', ':', '/']).next().unwrap_or(text);
        if setting && !bare.starts_with("set-") && is_secret_name(bare) && !is_option(following) {
            self.value(&level(at + 1), whole(at + 1));
        }
    }

    /// A word that is not known to be code: pairs and shapes in it, and what a shell would make
    /// of it.
    fn word(&mut self, level: &Level<'_>, depth: usize) {
        let text = level.word.text();
        let pair = name_and_value(text).filter(|(name, value)| is_whole(name, value, false));
        match pair.filter(|(name, _)| is_secret_name(name)) {
            Some((_, value)) => self.value(level, text.len() - value.len()..text.len()),
            None => {
                for value in pairs::values(text) {
                    self.value(level, value);
                }
            }
        }
        self.apart(level, depth);
    }

    /// Takes a word apart if there is something to take apart.
    fn apart(&mut self, level: &Level<'_>, depth: usize) {
        let is_text = |byte: u8| byte.is_ascii_whitespace() || b";|&<>()`\"'\\".contains(&byte);
        if level.word.units().iter().any(|unit| !unit.opaque && is_text(unit.byte)) {
            self.text(level, depth + 1);
        } else {
            self.shapes(level);
        }
    }

    fn shapes(&mut self, level: &Level<'_>) {
        let text = level.word.text();
        for span in shapes::spans(self.shapes, text) {
            let value = text.get(span.clone()).unwrap_or_default();
            if !pairs::is_scheme(value) {
                self.value(level, span);
            }
        }
    }

    /// A part of a value.
    fn part(&mut self, level: &Level<'_>, range: Range<usize>, part: Part) {
        let value = level.word.text().get(range.clone()).unwrap_or_default();
        if let Some(secret) = programs::secret_of(part, value) {
            self.value(level, range.start + secret.start..range.start + secret.end);
        }
    }

    /// Remembers the variable that is written at a place of the word around.
    fn variable(&mut self, level: &Level<'_>, written: Range<usize>) {
        let around = level.around.and_then(|around| around.word.text().get(written));
        let Some(name) = around.and_then(|written| written.strip_prefix('$')) else { return };
        let name = name.strip_prefix('{').unwrap_or(name);
        // `${P:-X}` too.
        let end = name.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        let name = name.get(..end.count()).unwrap_or_default();
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            || name.len() == 1 && name != "0";
        if is_name && !self.is_variable(name) && self.variables.len() < VARIABLES_MAX {
            self.variables.push(name.to_owned());
        }
    }

    /// What `$(echo X)` prints in the place of a secret.
    fn substitution(&mut self, level: &Level<'_>, written: Range<usize>) {
        let Some(around) = level.around.filter(|_| self.substituted < SUBSTITUTED_MAX) else {
            return;
        };
        let text = around.word.text().get(written.clone()).unwrap_or_default();
        let opening = match text {
            _ if text.starts_with("$((") => return,
            _ if text.starts_with("$(") => 2,
            _ if text.starts_with('`') => 1,
            _ => return,
        };
        let closing = usize::from(text.ends_with([')', '`']));
        let inner = around.word.part(written.start + opening..written.end - closing);
        let within = Level { word: &inner, around: Some(around), code: true };
        self.substituted += 1;
        for command in lex::commands(&inner) {
            for word in said(&command.words) {
                let level = Level { word, around: Some(&within), code: true };
                self.value(&level, 0..word.text().len());
            }
        }
        self.substituted -= 1;
    }

    /// Hides a value, but for what is an expansion in it.
    fn value(&mut self, level: &Level<'_>, range: Range<usize>) {
        let Some(units) = level.word.units().get(range.clone()) else { return };
        for unit in units.iter().filter(|unit| unit.opaque) {
            let written = unit.start as usize..unit.end as usize;
            self.variable(level, written.clone());
            self.substitution(level, written);
        }
        let mut at = range.start;
        let mixed = units.iter().any(|unit| unit.opaque);
        for literal in units.split(|unit| unit.opaque) {
            let part = at..at + literal.len();
            at = part.end + 1;
            let value = level.word.text().get(part.clone()).unwrap_or_default();
            let of_path = mixed && (value.starts_with('/') || value.ends_with('/'));
            if of_path || names::is_open(value) || (level.code && is_variable(value)) {
                continue;
            }
            level.place(part, &mut self.found.spans);
            if self.found.values.len() < VALUES_MAX && !value.contains(REDACTED) {
                self.found.values.push(value.to_owned());
            }
        }
    }
}

/// What `echo X` and `printf %s X` print.
fn said(words: &[Word]) -> Vec<&Word> {
    let says =
        |word: &Word| matches!(programs::base_name(word.text()), "echo" | "printf" | "print");
    let Some(name) = words.iter().take(4).position(says) else { return Vec::new() };
    let arguments = words.get(name + 1..).unwrap_or_default();
    let values = arguments.iter().filter(|word| !is_letters(word.text()));
    let values: Vec<&Word> = values.collect();
    let format = values.len() > 1 && values[0].text().contains('%');
    values.into_iter().skip(usize::from(format)).collect()
}

/// What has been seen of a command so far, as far as that says whether `NAME=VALUE` sets a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head {
    /// The command is still to come; `sets` behind a program that sets variables for it.
    Open {
        sets: bool,
    },
    Declaration,
    Container,
    Other,
}

impl Head {
    /// The same behind another word.
    fn behind(self, text: &str, before: &str) -> Head {
        let Head::Open { sets } = self else { return self };
        let name = programs::base_name(text);
        if name_and_value(text).is_some() || text.starts_with('-') {
            return self;
        }
        match name {
            _ if DECLARATIONS.contains(&name) => Head::Declaration,
            _ if SETTING.contains(&name) => Head::Open { sets: true },
            _ if RUNNING.contains(&name) => Head::Open { sets: false },
            _ if CONTAINERS.contains(&name) => Head::Container,
            // `sudo -u NAME`, `timeout 5s`
            _ if before.starts_with('-') => self,
            _ if text.bytes().all(|byte| byte.is_ascii_digit() || b"smh.".contains(&byte)) => {
                Head::Open { sets }
            }
            _ => Head::Other,
        }
    }

    /// Whether a pair sets a variable, behind the word `before`.
    fn sets(self, before: &str) -> bool {
        match self {
            Head::Open { sets } => sets,
            Head::Declaration => true,
            Head::Container => matches!(before, "-e" | "--env"),
            Head::Other => false,
        }
    }
}

/// How many words of the shell's own stand before a command.
fn reserved(texts: &[&str]) -> usize {
    texts.iter().take_while(|text| RESERVED.contains(text)).count()
}

fn texts(words: &[Word]) -> Vec<&str> {
    words.iter().map(Word::text).collect()
}

/// Which of the words are code for the program before them.
fn code_words(texts: &[&str]) -> Vec<bool> {
    let mut runs = false;
    let mut previous = "";
    texts
        .iter()
        .map(|text| {
            let letters = previous.strip_prefix('-').unwrap_or_default();
            let takes_code = matches!(previous, "--command" | "--eval" | "--execute" | "-Command")
                || letters.len() < 8
                    && letters.ends_with(['c', 'e', 'r', 'E'])
                    && letters.bytes().all(|byte| byte.is_ascii_alphabetic());
            let blank = text.contains(char::is_whitespace) && !text.starts_with('-');
            let code = runs && (takes_code || blank);
            runs |= programs::runs_text(text);
            previous = text;
            code
        })
        .collect()
}

/// `NAME=VALUE` or `--name=VALUE` at the beginning of a word.
fn name_and_value(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    let name = name.strip_suffix('+').unwrap_or(name);
    let plain = name.bytes().all(|byte| pairs::is_name_byte(byte) || b":/[]".contains(&byte));
    (plain && !name.is_empty()).then_some((name, value))
}

/// Whether all that follows the sign is the value, and not more pairs.
fn is_whole(name: &str, value: &str, assigning: bool) -> bool {
    // `s/password=.*/password=x/`
    if name.contains('/') {
        return false;
    }
    let upper = !name.bytes().any(|byte| byte.is_ascii_lowercase());
    if assigning || upper || name.starts_with('-') {
        return true;
    }
    let mut more = value.split([' ', ';', '&', ',', '\n']).skip(1);
    !more.any(|part| name_and_value(part.trim()).is_some())
}

fn is_secret_name(name: &str) -> bool {
    let name = name.rsplit(['/', ':']).next().unwrap_or(name);
    names::is_secret(name)
}

/// Whether a word can only be an option: `-x`, `--long`, `--long=value`.
fn is_option(text: &str) -> bool {
    let name = text.split('=').next().unwrap_or_default();
    let letters = name.trim_start_matches('-');
    text.starts_with('-')
        && letters.starts_with(|c: char| c.is_ascii_alphabetic())
        && letters.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// `-n`, `-ne`: options of `echo`.
fn is_letters(text: &str) -> bool {
    text.strip_prefix('-').is_some_and(|letters| {
        !letters.is_empty() && letters.bytes().all(|byte| b"neE".contains(&byte))
    })
}

/// `$NAME`, `${NAME…}`, `$(…)` in what is a text for a shell.
fn is_variable(value: &str) -> bool {
    let Some(rest) = value.strip_prefix('$') else { return value.starts_with('`') };
    rest.starts_with(|c: char| c.is_ascii_alphabetic() || "_{(@".contains(c))
}
