//! Programs whose operands follow rules of their own.

use crate::audit::shell::reading::Reach;
use crate::audit::shell::text::Text;

use super::operands::{Found, Kind, Words, known_path, loose};
use super::options::{Arg, Scan, is};
use super::{Operand, Program};

/// `echo`, `printf`: of their words only patterns touch files; the shell lists what they match.
pub(super) fn printed(words: &[Text]) -> Program {
    let patterns = words.iter().skip(1).filter(|word| word.has_active());
    Program::files(patterns.map(|word| Operand::new(word.clone(), Reach::Listed)).collect())
}

/// `test`, `[`: what stands behind `-e` and its like, and whatever looks like a path.
pub(super) fn test(words: &[Text]) -> Program {
    let mut operands = Vec::new();
    let mut tested = false;
    for word in words.iter().skip(1) {
        let text = word.as_str();
        let operator = text.starts_with('-') || matches!(text, "!" | "(" | ")" | "]" | "=" | "!=");
        if !operator && tested {
            known_path(word, Reach::Listed, &mut operands);
        } else if !operator {
            loose(word, Reach::Listed, &mut operands);
        }
        tested = matches!(
            text,
            "-e" | "-f"
                | "-d"
                | "-r"
                | "-s"
                | "-w"
                | "-x"
                | "-L"
                | "-h"
                | "-b"
                | "-c"
                | "-p"
                | "-S"
                | "-u"
                | "-g"
                | "-k"
                | "-O"
                | "-G"
                | "-N"
                | "-nt"
                | "-ot"
                | "-ef"
        );
    }
    Program::files(operands)
}

/// `getent DATABASE KEY…` shows lines of a file in `/etc`.
pub(super) fn getent(words: &[Text]) -> Program {
    let database = words.iter().skip(1).find(|word| !word.as_str().starts_with('-'));
    let file = database.and_then(|database| match database.as_str() {
        "passwd" | "shadow" | "gshadow" | "group" | "hosts" | "services" | "protocols"
        | "networks" | "aliases" | "rpc" | "ethers" | "subuid" | "subgid" => {
            let mut path = Text::literal("/etc/");
            path.append(database);
            Some(path)
        }
        _ => None,
    });
    Program::files(file.into_iter().map(Operand::named).collect())
}

/// `yq [eval] EXPRESSION FILE…`
pub(super) fn yq(words: &[Text]) -> Program {
    let verb = words.get(1).map(Text::as_str);
    let verb = matches!(verb, Some("eval" | "e" | "eval-all" | "ea" | "read" | "r"));
    let mut found = Found::new(Kind::new(Words::AfterFirst, Reach::Named));
    found.read(
        "from-file% I- indent- p- input-format- o- output-format- expression# f- s- arg2 argjson2",
        words.get(1 + usize::from(verb)..).unwrap_or(&[]),
    );
    found.finish()
}

/// sed: its files, those its script reads (`r FILE`), and the commands it runs (`e COMMAND`).
pub(super) fn sed(words: &[Text]) -> Program {
    let mut scan = Scan::new(words.get(1..).unwrap_or(&[]));
    let (mut scripts, mut operands, mut paths) = (Vec::new(), Vec::new(), Vec::new());
    let mut from_file = false;
    while let Some(arg) = scan.next() {
        match arg {
            Arg::Operand(word) => paths.push(word),
            _ if is(arg, "e expression") => scripts.extend(scan.value()),
            _ if is(arg, "f file") => {
                from_file = true;
                operands.extend(scan.value().map(Operand::named));
            }
            _ if is(arg, "i in-place") => _ = scan.attached(),
            _ if is(arg, "l line-length") => scan.skip_value(),
            _ => {}
        }
    }
    let mut paths = paths.into_iter();
    if scripts.is_empty() && !from_file {
        scripts.extend(paths.next().cloned());
    }
    let mut commands = Text::new();
    for script in &scripts {
        sed_script(script, &mut operands, &mut commands);
    }
    for path in paths {
        known_path(path, Reach::Named, &mut operands);
    }
    if commands.is_empty() {
        return Program::files(operands);
    }
    Program::shell_with(commands, operands)
}

fn sed_script(script: &Text, operands: &mut Vec<Operand>, commands: &mut Text) {
    let mut start = 0;
    for line in script.as_str().split('\n') {
        let end = start + line.len();
        let mut at = start;
        for part in line.split(';') {
            // An address comes first: a number, `$`, or a pattern between slashes.
            let mut command = part.trim_start_matches(|c: char| {
                c.is_ascii_digit() || matches!(c, '$' | ',' | '!' | ' ' | '{' | '~' | '+')
            });
            if let Some(pattern) = command.strip_prefix('/') {
                command = pattern.split_once('/').map_or("", |(_, rest)| rest).trim_start();
            }
            let rest = command.get(1..).unwrap_or("");
            let argument_at = at + part.len() - rest.trim_start().len();
            let given = rest.starts_with([' ', '/', '\t']);
            match command.chars().next() {
                Some('r' | 'R' | 'w' | 'W') if given => {
                    operands.push(Operand::named(script.slice(argument_at, end)));
                    break;
                }
                Some('e') if given => {
                    commands.append(&script.slice(argument_at, end));
                    commands.push('\n');
                    break;
                }
                _ => {}
            }
            at += part.len() + 1;
        }
        start = end + 1;
    }
}
