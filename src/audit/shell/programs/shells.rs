//! Shells: where the script comes from and which positional parameters it gets.

use crate::audit::shell::text::Text;

use super::options::{Arg, Scan, is, joined};
use super::{Operand, Program, Wrapper};

/// `sh`, `bash`, `zsh`, `ksh` and their kin.
pub(super) fn classify(words: &[Text]) -> Program {
    let mut at = 1;
    let (mut from_text, mut from_stdin, mut interactive) = (false, false, false);
    let mut start_file = None;
    while let Some(word) = words.get(at) {
        let text = word.as_str();
        if text == "-" || text == "--" {
            at += 1;
            break;
        }
        if let Some(long) = text.strip_prefix("--") {
            at += 1;
            match long.split_once('=') {
                None if matches!(long, "rcfile" | "init-file") => {
                    start_file = words.get(at).cloned();
                    at += 1;
                }
                Some(("rcfile" | "init-file", value)) => {
                    start_file = Some(word.slice(text.len() - value.len(), text.len()));
                }
                _ => {}
            }
            continue;
        }
        let sets = text.starts_with('-');
        if text.len() < 2 || !sets && !text.starts_with('+') {
            break;
        }
        at += 1;
        for flag in text.chars().skip(1) {
            match flag {
                'c' if sets => from_text = true,
                's' if sets => from_stdin = true,
                'i' if sets => interactive = true,
                'o' | 'O' => {
                    // Its name is the next word, wherever in the bundle the letter stands.
                    let named = words.get(at).is_some_and(|w| !w.as_str().starts_with(['-', '+']));
                    at += usize::from(named);
                }
                _ => {}
            }
        }
    }
    let rest = words.get(at..).unwrap_or(&[]);
    let itself = || words.first().cloned().unwrap_or_default();
    if from_text {
        let Some((script, positional)) = rest.split_first() else {
            return Program::files(Vec::new());
        };
        if let Some(file) = start_file {
            let mut argv = vec![itself(), Text::literal("-c")];
            argv.extend_from_slice(rest);
            let operands = vec![Operand::named(file)];
            return Program::wrapper(Wrapper { argv, operands, ..Wrapper::default() });
        }
        let positional = if positional.is_empty() { vec![itself()] } else { positional.to_vec() };
        return Program::ShellText { script: script.clone(), positional };
    }
    let stdin = |file: &Text| file.as_literal().is_some_and(is_stdin);
    let from_stdin = from_stdin || rest.first().is_some_and(stdin);
    if from_stdin {
        let arguments = rest.get(usize::from(rest.first().is_some_and(stdin))..).unwrap_or(&[]);
        let mut positional = vec![itself()];
        positional.extend_from_slice(arguments);
        return Program::ShellStdin { positional };
    }
    if let Some(file) = rest.first() {
        return Program::ShellFile { file: file.clone(), positional: rest.to_vec() };
    }
    match start_file {
        Some(file) if interactive && file.as_literal() != Some("/dev/null") => {
            Program::ShellFile { file, positional: vec![itself()] }
        }
        _ => Program::ShellStdin { positional: vec![itself()] },
    }
}

/// Other names of a program's own stdin.
pub(super) fn is_stdin(path: &str) -> bool {
    matches!(path, "-" | "/dev/stdin" | "/dev/fd/0" | "/proc/self/fd/0" | "/proc/thread-self/fd/0")
}

/// `. FILE`, `source FILE`
pub(super) fn sourced(words: &[Text]) -> Program {
    let rest = words.get(1..).unwrap_or(&[]);
    let rest = match rest.split_first() {
        Some((first, rest)) if first.as_literal() == Some("--") => rest,
        _ => rest,
    };
    let Some((file, arguments)) = rest.split_first() else { return Program::files(Vec::new()) };
    let mut positional = vec![words.first().cloned().unwrap_or_default()];
    positional.extend_from_slice(arguments);
    if file.as_literal().is_some_and(|path| path != "-" && is_stdin(path)) {
        return Program::ShellStdin { positional };
    }
    Program::ShellFile { file: file.clone(), positional }
}

/// Shells whose `-c` takes its script as a value: fish, nushell.
pub(super) fn with_values(words: &[Text]) -> Program {
    let mut scan = Scan::new(words.get(1..).unwrap_or(&[]));
    let mut script: Option<Text> = None;
    let mut positional = vec![words.first().cloned().unwrap_or_default()];
    while let Some(arg) = scan.next() {
        match arg {
            Arg::Operand(word) if script.is_none() && is_stdin(word.as_str()) => {}
            Arg::Operand(word) if script.is_none() => {
                let positional = scan.operand_and_rest().to_vec();
                return Program::ShellFile { file: word.clone(), positional };
            }
            Arg::Operand(_) => {
                positional.extend_from_slice(scan.operand_and_rest());
                break;
            }
            _ if is(arg, "c commands C init-command e execute") => {
                let Some(value) = scan.value() else { break };
                match &mut script {
                    Some(script) => {
                        script.push('\n');
                        script.append(&value);
                    }
                    None => script = Some(value),
                }
            }
            _ if is(arg, "d debug D debug-stack-frames o debug-output f features") => {
                scan.skip_value();
            }
            _ => {}
        }
    }
    match script {
        Some(script) => Program::ShellText { script, positional },
        None => Program::ShellStdin { positional },
    }
}

pub(super) fn powershell(words: &[Text]) -> Program {
    for (at, word) in words.iter().enumerate().skip(1) {
        let rest = words.get(at + 1..).unwrap_or(&[]);
        match word.as_str().to_ascii_lowercase().as_str() {
            "-c" | "-command" | "-commandwithargs" => return Program::shell(joined(rest)),
            "-f" | "-file" => {
                let Some(file) = rest.first() else { break };
                return Program::ShellFile { file: file.clone(), positional: rest.to_vec() };
            }
            _ => {}
        }
    }
    Program::ShellStdin { positional: words.get(..1).unwrap_or(&[]).to_vec() }
}

/// `at`, `batch`: the script comes from stdin or a file.
pub(super) fn at(words: &[Text]) -> Program {
    let mut scan = Scan::new(words.get(1..).unwrap_or(&[]));
    let positional = || vec![Text::literal("sh")];
    while let Some(arg) = scan.next() {
        match arg {
            Arg::Short('f') => {
                let Some(file) = scan.value() else { break };
                return Program::ShellFile { file, positional: positional() };
            }
            Arg::Short('t' | 'q') => scan.skip_value(),
            Arg::Short('l' | 'r' | 'd' | 'c') => return Program::files(Vec::new()),
            _ => {}
        }
    }
    Program::ShellStdin { positional: positional() }
}
