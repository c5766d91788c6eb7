//! What kind of program a simple command is: one that runs another command, a shell, code of
//! another language, or one that reaches files.
//!
//! Owns what is known of programs' command lines. It looks at words that are expanded already; it
//! follows no script, no directory and no file, and judges no path.
//!
//! Sources: the manuals of GNU coreutils, findutils, tar, util-linux, busybox and of the other
//! programs named in `table`.

mod archives;
mod arguments;
mod code;
mod containers;
mod find;
mod operands;
mod options;
mod shells;
mod special;
mod table;
mod transfer;
mod wrappers;

use super::foreign::{self, Language};
use super::reading::Reach;
use super::text::Text;

use table::Class;

/// Most operands of one command that are told. Only command lines above 128 KiB have more.
const OPERANDS_MAX: usize = 65_536;
/// Most names of programs within one command that are compared with every known name.
const PATTERN_NAMES_MAX: usize = 16;
/// Longest pattern of a program's name that is compared with names.
const PATTERN_NAME_MAX_BYTES: usize = 1024;
/// Most text that is made by putting words of one command together in several ways.
const MADE_MAX_BYTES: usize = 4 * 1024 * 1024;
/// Up to so many bytes a look at each is the fastest.
const SHORT_NAME_MAX_BYTES: usize = 16;
/// Longest directory that a path is put behind (Linux' `PATH_MAX`).
const DIRECTORY_MAX_BYTES: usize = 4096;

#[derive(Debug, Clone, PartialEq)]
pub enum Program {
    /// Runs another command.
    Wrapper(Box<Wrapper>),
    /// A shell with a script given as text (`sh -c SCRIPT NAME ARG…`); `positional` is `$0` first.
    ShellText { script: Text, positional: Vec<Text> },
    /// A shell that reads its script from stdin (`sh`, `bash -s x`, `sh -`).
    ShellStdin { positional: Vec<Text> },
    /// A shell that reads its script from a file (`sh x.sh`). For `.` and `source`, `$0` is that
    /// word, and without further positional parameters the caller's stay.
    ShellFile { file: Text, positional: Vec<Text> },
    /// Code of another language given as text.
    Foreign { language: Language, code: Text, arguments: Vec<Text> },
    /// An interpreter of another language that reads its code from stdin.
    ForeignStdin { language: Language, arguments: Vec<Text> },
    /// An interpreter of another language that reads its code from a file.
    ForeignFile { language: Language, file: Text, arguments: Vec<Text> },
    /// Anything else: which operands are reached, and how.
    Files { operands: Vec<Operand> },
}

/// What a program that runs another command changes for it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wrapper {
    /// The inner command.
    pub argv: Vec<Text>,
    /// `env A=b`
    pub assignments: Vec<(String, Text)>,
    /// Where the inner command runs, if the wrapper changes it.
    pub directory: Option<Text>,
    pub input: WrapperInput,
    /// What the wrapper itself reaches, seen from the directory before `directory`.
    pub operands: Vec<Operand>,
}

/// Where words come from that a wrapper adds to the inner command.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum WrapperInput {
    /// It adds none.
    #[default]
    None,
    /// `xargs`: from its stdin, or from `file`.
    Arguments {
        /// The text in `argv` that an argument is put in place of; otherwise they are appended.
        replace: Option<Text>,
        /// One command for each argument.
        one_each: bool,
        from: Separator,
        file: Option<Text>,
    },
    /// `find -exec`: the paths found, in place of `{}`. Where they may be is in `operands`.
    Found,
}

/// What stands between the arguments that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Separator {
    /// Blanks and newlines; quotes and backslashes are removed.
    Blank,
    Line,
    Nul,
    Character(char),
}

/// A path that a program reaches.
#[derive(Debug, Clone, PartialEq)]
pub struct Operand {
    /// As given: relative to the working directory, not cleaned; or a `file:` URL.
    pub path: Text,
    pub reach: Reach,
    /// What the names of the files look like that are reached below the path.
    pub name: Option<Text>,
}

impl Operand {
    fn new(path: Text, reach: Reach) -> Operand {
        Operand { path, reach, name: None }
    }

    fn named(path: Text) -> Operand {
        Operand::new(path, Reach::Named)
    }
}

impl Program {
    fn files(operands: Vec<Operand>) -> Program {
        Program::Files { operands }
    }

    fn wrapper(wrapper: Wrapper) -> Program {
        Program::Wrapper(Box::new(wrapper))
    }

    /// A program that starts a shell with a text.
    fn shell(script: Text) -> Program {
        Program::ShellText { script, positional: vec![Text::literal("sh")] }
    }

    /// The same where the program reaches files as well.
    fn shell_with(script: Text, operands: Vec<Operand>) -> Program {
        if operands.is_empty() {
            return Program::shell(script);
        }
        Program::wrapper(Wrapper { argv: shell_argv(script), operands, ..Wrapper::default() })
    }
}

fn shell_argv(script: Text) -> Vec<Text> {
    vec![Text::literal("sh"), Text::literal("-c"), script]
}

/// What stands inside a wrapper.
enum Inner<'a> {
    /// The rest of its own words.
    Words(&'a [Text]),
    /// A command that it puts together.
    Owned(Vec<Text>),
    /// It runs nothing: it is a program with operands.
    Nothing,
}

/// What a command means. `words[0]` is the program as written, whatever its path.
///
/// Wrappers that change nothing but who runs the command are gone through at once, so that a long
/// chain of them costs no more than its length.
pub fn classify(words: &[Text]) -> Classified {
    let Some(first) = words.first() else {
        return Classified { program: Program::files(Vec::new()), evaluates: false };
    };
    let known = known_as(first);
    Classified { program: program(words, known.class), evaluates: known.evaluates }
}

/// What a command means, and whether its program may run what it is given: one that is not known,
/// or that is known to.
#[derive(Debug, Clone, PartialEq)]
pub struct Classified {
    pub program: Program,
    pub evaluates: bool,
}

/// `class` is that of the first word.
fn program(words: &[Text], class: Class) -> Program {
    let mut words = words;
    let mut class = Some(class);
    let mut outer = Wrapper::default();
    let mut wrapped = false;
    let mut patterns = 0;
    loop {
        let Some(first) = words.first() else { return Program::files(outer.operands) };
        patterns += usize::from(!first.is_literal());
        if wrapped && (outer.directory.is_some() || patterns > PATTERN_NAMES_MAX) {
            outer.argv = words.to_vec();
            return Program::wrapper(outer);
        }
        let class = class.take().unwrap_or_else(|| known_as(first).class);
        let inner = match class {
            Class::Through(skipped, options) => {
                wrappers::through(skipped, options, words, &mut outer)
            }
            Class::Wraps(read) => read(words, &mut outer),
            _ if wrapped => {
                outer.argv = words.to_vec();
                return Program::wrapper(outer);
            }
            Class::Shell => return shells::classify(words),
            Class::Code(language) => return code::classify(language, words),
            Class::Files(kind, options) => return operands::read(kind, options, words),
            Class::Special(read) => return read(words),
        };
        match inner {
            Inner::Words(rest) if outer.input == WrapperInput::None => words = rest,
            Inner::Words(rest) => {
                outer.argv = rest.to_vec();
                return Program::wrapper(outer);
            }
            Inner::Owned(argv) => {
                outer.argv = argv;
                return Program::wrapper(outer);
            }
            Inner::Nothing => return Program::files(outer.operands),
        }
        wrapped = true;
    }
}

/// A program's name without its directories, e.g. `cat` of `/bin/cat`.
pub fn base_name(program: &str) -> &str {
    let bytes = program.as_bytes();
    let slash = if bytes.len() <= SHORT_NAME_MAX_BYTES {
        bytes.iter().rposition(|byte| *byte == b'/')
    } else {
        memchr::memrchr(b'/', bytes)
    };
    let start = slash.map_or(0, |at| at + 1);
    program.get(start..).unwrap_or(program)
}

/// The same for a program that may be written as a pattern; `None` when it cannot be known.
pub fn name_of(program: &Text) -> Option<&str> {
    if program.has_hole() {
        None
    } else if program.has_active() {
        names_matching(program)
    } else {
        Some(base_name(program.as_str()))
    }
}

/// What is known of a program by its name.
struct Known {
    class: Class,
    evaluates: bool,
}

impl Known {
    /// Not by the name itself.
    fn guessed(class: Class) -> Known {
        Known { class, evaluates: true }
    }
}

fn known_as(program: &Text) -> Known {
    if program.has_hole() {
        // `/proc/…/exe` is what runs it: mostly the shell.
        let text = program.as_str();
        let shell = text.starts_with("/proc/") && text.ends_with("/exe");
        return Known::guessed(if shell { Class::Shell } else { table::UNKNOWN });
    }
    if program.has_active() {
        let name = names_matching(program);
        return name.map_or_else(|| Known::guessed(table::UNKNOWN), known_by_name);
    }
    let path = program.as_str();
    let name = base_name(path);
    if name == "exe" && path.starts_with("/proc/") {
        return Known::guessed(Class::Shell);
    }
    known_by_name(name)
}

fn known_by_name(name: &str) -> Known {
    match known_class(name) {
        Some(class) => {
            let evaluates = matches!(name, "make" | "gmake" | "ninja" | "compgen");
            Known { class, evaluates }
        }
        None => Known::guessed(class_of_stranger(name)),
    }
}

/// The class of a program of which a variant may be known.
fn class_of_stranger(name: &str) -> Class {
    // `bash-5.1`, `gcc12`
    let base = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    if base.len() < name.len()
        && let Some(class) = known_class(base)
    {
        return class;
    }
    if name.starts_with("ld-") && name.contains(".so") || name.starts_with("ld64.so") {
        return table::LOADER;
    }
    if name.starts_with("busybox") {
        return table::APPLETS;
    }
    // GNU programs beside those of another system: `gtar`, `gsed`.
    if let Some(class) = base.strip_prefix('g').and_then(known_class) {
        return class;
    }
    table::STRANGER
}

fn known_class(name: &str) -> Option<Class> {
    table::class(name).or_else(|| foreign::language(name).map(Class::Code))
}

/// The known program that a pattern as a command's name stands for. Shells and programs that show
/// files come first: they are what such a pattern is written for.
fn names_matching(program: &Text) -> Option<&'static str> {
    let text = program.as_str();
    let start = text.rfind('/').map_or(0, |at| at + 1);
    let name = program.slice(start, text.len());
    // A pattern that matches everything names nothing.
    if name.len() > PATTERN_NAME_MAX_BYTES
        || !name.as_str().contains(|c: char| c.is_ascii_alphanumeric() || c == '?')
    {
        return None;
    }
    if let Some(literal) = name.as_literal() {
        return table::names().find(|known| *known == literal);
    }
    let pattern = super::pattern::Pattern::new(&name);
    table::PREFERRED.iter().copied().chain(table::names()).find(|name| pattern.matches(name))
}

#[cfg(test)]
#[path = "programs_tests.rs"]
mod tests;
