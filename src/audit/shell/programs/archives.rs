//! Programs that pack files up.

use crate::audit::shell::reading::Reach;
use crate::audit::shell::text::Text;

use super::operands::{below, entered, known_path};
use super::options::{Arg, Scan, is};
use super::{MADE_MAX_BYTES, OPERANDS_MAX, Operand, Program, Separator, Wrapper, WrapperInput};

/// Options of tar that take a value, by their letters.
const TAR_VALUES: &str = "fbCTXgKNVFHIL";

#[derive(Default)]
struct Tar {
    creates: bool,
    directory: Option<Text>,
    /// A file that holds the names of what is packed.
    list: Option<Text>,
    nul: bool,
    script: Option<Text>,
    operands: Vec<Operand>,
    members: Vec<Operand>,
    /// Bytes of directories put before members.
    made: usize,
}

pub(super) fn tar(words: &[Text]) -> Program {
    let mut tar = Tar::default();
    let mut rest = words.get(1..).unwrap_or(&[]);
    // `tar cfz OUT …`: letters without a dash; their values follow in order.
    if let Some((bundle, behind)) = rest.split_first()
        && !bundle.as_str().starts_with(['-', '/', '.'])
    {
        rest = behind;
        for letter in bundle.as_str().chars() {
            let mut value = None;
            if TAR_VALUES.contains(letter)
                && let Some((word, behind)) = rest.split_first()
            {
                value = Some(word.clone());
                rest = behind;
            }
            tar.letter(letter, value);
        }
    }
    let mut scan = Scan::new(rest);
    while let Some(arg) = scan.next() {
        match arg {
            Arg::Operand(word) => tar.member(word),
            Arg::Short(letter) => {
                let value = if TAR_VALUES.contains(letter) { scan.value() } else { None };
                tar.letter(letter, value);
            }
            Arg::Long(_) => tar.long(arg, &mut scan),
        }
    }
    tar.finish()
}

impl Tar {
    fn letter(&mut self, letter: char, value: Option<Text>) {
        match letter {
            'c' | 'r' | 'u' | 'd' | 'A' => self.creates = true,
            'f' | 'g' | 'X' => {
                let file = value.filter(|file| file.as_literal() != Some("-"));
                self.operands.extend(file.map(Operand::named));
            }
            'C' => self.enter(value),
            'T' => self.list = value,
            'I' | 'F' => self.script = value,
            _ => {}
        }
    }

    fn long(&mut self, arg: Arg<'_>, scan: &mut Scan<'_>) {
        if is(
            arg,
            "exclude transform xform owner group mode mtime newer after-date newer-mtime \
             strip-components label format suffix tape-length blocking-factor record-size \
             exclude-tag starting-file sort hole-detection warning",
        ) {
            scan.skip_value();
        } else if matches!(arg, Arg::Long("list" | "checkpoint" | "exclude-vcs")) {
            scan.attached();
        } else if is(arg, "create append update catenate concatenate diff compare") {
            self.creates = true;
        } else if is(arg, "file listed-incremental exclude-from") {
            self.letter('f', scan.value());
        } else if is(arg, "directory") {
            self.enter(scan.value());
        } else if is(arg, "files-from") {
            self.list = scan.value();
        } else if is(arg, "null") {
            self.nul = true;
        } else if is(arg, "add-file") {
            if let Some(file) = scan.value() {
                self.member(&file);
            }
        } else if is(arg, "use-compress-program to-command rsh-command rmt-command info-script") {
            self.script = scan.value();
        } else if is(arg, "checkpoint-action") {
            let action = scan.value().filter(|action| action.as_str().starts_with("exec="));
            if let Some(action) = action {
                self.script = Some(action.slice("exec=".len(), action.len()));
            }
        }
    }

    fn enter(&mut self, directory: Option<Text>) {
        if let Some(directory) = directory {
            self.directory = Some(entered(self.directory.as_ref(), &directory));
        }
    }

    fn member(&mut self, word: &Text) {
        if self.members.len() >= OPERANDS_MAX {
            return;
        }
        self.made += self.directory.as_ref().map_or(0, Text::len);
        let directory = self.directory.as_ref().filter(|_| self.made <= MADE_MAX_BYTES);
        let path = below(directory, word);
        // bsdtar's `@ARCHIVE`
        let reach = if word.as_str().starts_with('@') { Reach::Named } else { Reach::Walked };
        self.members.push(Operand::new(path, reach));
    }

    fn finish(mut self) -> Program {
        if self.creates {
            self.operands.append(&mut self.members);
        }
        if let Some(script) = self.script {
            return Program::shell_with(script, self.operands);
        }
        let Some(list) = self.list.filter(|_| self.creates) else {
            return Program::files(self.operands);
        };
        let mut argv = vec![Text::literal("tar"), Text::literal("-c")];
        if let Some(directory) = self.directory {
            argv.push(Text::literal("-C"));
            argv.push(directory);
        }
        let from = if self.nul { Separator::Nul } else { Separator::Line };
        Program::wrapper(names_from(argv, Some(list), from, self.operands))
    }
}

/// A command whose operands are read from a file or, without one or for `-`, from stdin.
fn names_from(
    argv: Vec<Text>,
    file: Option<Text>,
    from: Separator,
    mut operands: Vec<Operand>,
) -> Wrapper {
    let file = file.filter(|file| !matches!(file.as_literal(), Some("-" | "/dev/stdin")));
    operands.extend(file.clone().map(Operand::named));
    let input = WrapperInput::Arguments { replace: None, one_each: false, from, file };
    Wrapper { argv, operands, input, ..Wrapper::default() }
}

/// `cpio -o` reads from stdin which files to pack.
pub(super) fn cpio(words: &[Text]) -> Program {
    let mut scan = Scan::new(words.get(1..).unwrap_or(&[]));
    let mut operands = Vec::new();
    let (mut packs, mut from, mut directory) = (false, Separator::Line, None);
    while let Some(arg) = scan.next() {
        match arg {
            Arg::Operand(word) => operands.push(Operand::named(word.clone())),
            _ if is(arg, "o create p pass-through") => packs = true,
            _ if is(arg, "0 null") => from = Separator::Nul,
            _ if is(arg, "F file I O E pattern-file") => {
                operands.extend(scan.value().map(Operand::named));
            }
            _ if is(arg, "D directory") => directory = scan.value(),
            _ if is(arg, "H format C io-size M message R owner") => scan.skip_value(),
            _ => {}
        }
    }
    if !packs {
        return Program::files(operands);
    }
    let argv = vec![Text::literal("cat")];
    Program::wrapper(Wrapper { directory, ..names_from(argv, None, from, operands) })
}

pub(super) fn zip(words: &[Text]) -> Program {
    let mut scan = Scan::new(words.get(1..).unwrap_or(&[]));
    let (mut recursive, mut from_stdin, mut archive, mut script) = (false, false, false, None);
    let mut operands = Vec::new();
    let mut members = Vec::new();
    while let Some(arg) = scan.next() {
        match arg {
            Arg::Operand(word) if archive => members.push(word),
            Arg::Operand(word) => {
                archive = true;
                known_path(word, Reach::Named, &mut operands);
            }
            // Patterns follow, up to the end.
            Arg::Short('x' | 'i') => break,
            Arg::Short('r' | 'R') => recursive = true,
            Arg::Short('@') => from_stdin = true,
            Arg::Short('T') if scan.bundle_rest() == "T" => {
                scan.attached();
                script = scan.value();
            }
            Arg::Short('b' | 't' | 'n' | 's' | 'P') => scan.skip_value(),
            _ if is(arg, "recurse-paths recurse-patterns") => recursive = true,
            _ if is(arg, "names-stdin") => from_stdin = true,
            _ if is(arg, "unzip-command") => script = scan.value(),
            _ => {}
        }
    }
    let reach = if recursive { Reach::Walked } else { Reach::Named };
    for member in members {
        known_path(member, reach, &mut operands);
    }
    match script {
        Some(script) => Program::shell_with(script, operands),
        None if from_stdin => {
            let argv = vec![Text::literal("cat")];
            Program::wrapper(names_from(argv, None, Separator::Line, operands))
        }
        None => Program::files(operands),
    }
}

/// `7z a ARCHIVE FILE…`, `rar a ARCHIVE FILE…`
pub(super) fn seven_zip(words: &[Text]) -> Program {
    let mut rest = words.iter().skip(1).filter(|word| !word.as_str().starts_with('-'));
    let packs = rest.next().is_some_and(|verb| matches!(verb.as_str(), "a" | "u" | "m"));
    let mut operands = Vec::new();
    if let Some(archive) = rest.next() {
        known_path(archive, Reach::Named, &mut operands);
    }
    for word in rest.filter(|_| packs) {
        if word.as_str().starts_with('@') {
            operands.push(Operand::named(word.slice(1, word.len())));
        } else {
            known_path(word, Reach::Walked, &mut operands);
        }
    }
    Program::files(operands)
}

pub(super) fn pax(words: &[Text]) -> Program {
    let mut scan = Scan::new(words.get(1..).unwrap_or(&[]));
    let (mut writes, mut operands, mut members) = (false, Vec::new(), Vec::new());
    while let Some(arg) = scan.next() {
        match arg {
            Arg::Operand(word) => members.push(Operand::new(word.clone(), Reach::Walked)),
            Arg::Short('w') => writes = true,
            Arg::Short('f') => operands.extend(scan.value().map(Operand::named)),
            Arg::Short('b' | 'o' | 'p' | 's' | 'x' | 'B' | 'E' | 'G' | 'T' | 'U') => {
                scan.skip_value();
            }
            _ => {}
        }
    }
    if writes && members.is_empty() {
        let argv = vec![Text::literal("cat")];
        return Program::wrapper(names_from(argv, None, Separator::Line, operands));
    }
    if writes {
        operands.append(&mut members);
    }
    Program::files(operands)
}

/// `wc --files0-from=F`, `du --files0-from=F`, `sort --files0-from=F` and plain operands.
pub(super) fn counted(words: &[Text]) -> Program {
    let mut scan = Scan::new(words.get(1..).unwrap_or(&[]));
    let mut operands = Vec::new();
    while let Some(arg) = scan.next() {
        match arg {
            Arg::Operand(word) => known_path(word, Reach::Named, &mut operands),
            _ if is(arg, "files0-from") => {
                let argv = vec![Text::literal("cat")];
                let list = scan.value();
                return Program::wrapper(names_from(argv, list, Separator::Nul, operands));
            }
            _ => {}
        }
    }
    Program::files(operands)
}

/// The names that `rsync --files-from` reads, as a command that takes them as operands.
pub(super) fn from_list(directory: Option<Text>, list: Text, operands: Vec<Operand>) -> Program {
    let mut argv = vec![Text::literal("tar"), Text::literal("-c")];
    if let Some(directory) = directory {
        argv.push(Text::literal("-C"));
        argv.push(directory);
    }
    Program::wrapper(names_from(argv, Some(list), Separator::Line, operands))
}
