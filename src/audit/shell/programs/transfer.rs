//! Programs that copy files or send them away.

use crate::audit::shell::reading::Reach;
use crate::audit::shell::text::Text;

use super::archives::from_list;
use super::containers::ssh_setting;
use super::operands::{below, known_path, loose, pieces, unknown_option};
use super::options::{Arg, Scan, effect, is, joined};
use super::{OPERANDS_MAX, Operand, Program, Wrapper};

pub(super) fn cp(words: &[Text]) -> Program {
    copy(words, "r! R! a! recursive! archive! t< target-directory< S- suffix-", false)
}

/// Whole trees move without an option that says so.
pub(super) fn mv(words: &[Text]) -> Program {
    let walked = "t< target-directory< S- suffix-";
    match copy(words, walked, false) {
        Program::Files { mut operands } => {
            let last = operands.len().saturating_sub(1);
            for operand in operands.iter_mut().take(last) {
                operand.reach = Reach::Walked;
            }
            Program::files(operands)
        }
        other => other,
    }
}

pub(super) fn scp(words: &[Text]) -> Program {
    copy(words, "r! i< F< o- c- l- P- J- S$ D$ X-", true)
}

pub(super) fn rsync(words: &[Text]) -> Program {
    copy(
        words,
        "r! a! recursive! archive! e$ rsh$ rsync-path$ files-froml exclude-from< include-from< \
         password-file< config< log-file< f- filter- exclude- include- T< temp-dir< \
         compare-dest< copy-dest< link-dest< backup-dir< partial-dir- partial? backup? port- chmod- chown- \
         bwlimit- timeout- max-size- min-size- M- B- write-batch< read-batch<",
        true,
    )
}

/// Sources and, last, where they go. `remote`: a word may be `HOST:PATH`.
fn copy(words: &[Text], options: &'static str, remote: bool) -> Program {
    let mut scan = Scan::new(words.get(1..).unwrap_or(&[]));
    let mut reach = Reach::Named;
    let (mut operands, mut paths) = (Vec::new(), Vec::new());
    let (mut script, mut list, mut outer) = (None, None, Wrapper::default());
    let mut into = false;
    while let Some(arg) = scan.next() {
        match arg {
            Arg::Operand(word) if paths.len() < OPERANDS_MAX => paths.push(word),
            Arg::Operand(_) => {}
            _ => match effect(arg, options) {
                Some('!') => reach = Reach::Walked,
                Some('-') if matches!(arg, Arg::Short('o')) => {
                    if let Some(value) = scan.value() {
                        script = ssh_setting(&value, &mut outer).or(script);
                    }
                }
                Some('-') => scan.skip_value(),
                Some('<') => {
                    into |= is(arg, "t target-directory");
                    operands.extend(scan.value().map(Operand::named));
                }
                Some('$') => script = scan.value(),
                Some('l') => list = scan.value(),
                _ => unknown_option(arg, &mut scan, &mut operands),
            },
        }
    }
    let last = paths.len().saturating_sub(1);
    for (at, path) in paths.iter().enumerate() {
        let target = at == last && last > 0 && !into;
        let reach = if target { Reach::Named } else { reach };
        if remote && is_remote(path) {
            let colon = path.as_str().find(':').map_or(0, |colon| colon + 1);
            let there = path.slice(colon, path.len());
            // `host::module/path` and `rsync://…` name no path of this kind.
            if there.as_str().starts_with(['/', '~', '.']) && !there.as_str().starts_with("//") {
                operands.push(Operand::new(there, reach));
            }
        } else {
            known_path(path, reach, &mut operands);
        }
    }
    operands.append(&mut outer.operands);
    if let Some(list) = list {
        return from_list(paths.first().map(|path| (*path).clone()), list, operands);
    }
    match script {
        Some(script) => Program::shell_with(script, operands),
        None => Program::files(operands),
    }
}

fn is_remote(word: &Text) -> bool {
    let text = word.as_str();
    let colon = text.find(':');
    colon.is_some_and(|colon| colon > 0 && text.find('/').is_none_or(|slash| colon < slash))
}

/// `dd if=FILE of=FILE`
pub(super) fn dd(words: &[Text]) -> Program {
    let mut operands = Vec::new();
    for word in words.iter().skip(1) {
        let text = word.as_str();
        let Some((key, _)) = text.split_once('=') else { continue };
        if matches!(key, "if" | "of") {
            operands.push(Operand::named(word.slice(3, text.len())));
        }
    }
    Program::files(operands)
}

/// `socat ADDRESS ADDRESS`: `FILE:PATH`, `EXEC:COMMAND`, a bare path, with options behind commas.
pub(super) fn socat(words: &[Text]) -> Program {
    let mut operands = Vec::new();
    let mut scripts = Vec::new();
    let addresses = words.iter().skip(1).filter(|word| !word.as_str().starts_with('-'));
    for word in addresses {
        let text = word.as_str();
        // `A!!B` reads from A and writes to B.
        let mut start = 0;
        for half in text.split("!!") {
            socat_address(&word.slice(start, start + half.len()), &mut operands, &mut scripts);
            start += half.len() + 2;
        }
    }
    match scripts.as_slice() {
        [] => Program::files(operands),
        [script] => Program::shell_with(script.clone(), operands),
        several => {
            let mut all = Text::new();
            for script in several {
                all.append(script);
                all.push('\n');
            }
            Program::shell_with(all, operands)
        }
    }
}

fn socat_address(address: &Text, operands: &mut Vec<Operand>, scripts: &mut Vec<Text>) {
    let text = address.as_str();
    let Some((keyword, value)) = text.split_once(':') else {
        let end = text.find(',').unwrap_or(text.len());
        if text.get(..end).is_some_and(|path| path.contains('/')) {
            operands.push(Operand::named(address.slice(0, end)));
        }
        return;
    };
    let start = keyword.len() + 1;
    let end = start + unquoted_comma(value).unwrap_or(value.len());
    let value = address.slice(start, end);
    match keyword.to_ascii_uppercase().as_str() {
        "FILE" | "OPEN" | "GOPEN" | "CREATE" | "CREAT" | "PIPE" | "FIFO" | "UNIX-CONNECT"
        | "UNIX" | "UNIX-CLIENT" | "UNIX-LISTEN" => operands.push(Operand::named(value)),
        "EXEC" | "SYSTEM" | "SHELL" => scripts.push(value),
        _ => pieces(address, Reach::Named, operands),
    }
}

/// Where socat's options start: at the first comma outside of quotes.
fn unquoted_comma(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        if std::mem::take(&mut escaped) {
            continue;
        }
        match (quote, character) {
            (_, '\\') => escaped = true,
            (Some(open), _) if open == character => quote = None,
            (None, '\'' | '"') => quote = Some(character),
            (None, ',') => return Some(at),
            _ => {}
        }
    }
    None
}

/// `nc HOST PORT`, with `-e PROGRAM` or `-c SCRIPT`.
pub(super) fn netcat(words: &[Text]) -> Program {
    let mut scan = Scan::new(words.get(1..).unwrap_or(&[]));
    let mut operands = Vec::new();
    while let Some(arg) = scan.next() {
        match arg {
            Arg::Operand(_) => {}
            _ if is(arg, "e exec c sh-exec lua-exec") => {
                let Some(script) = scan.value() else { break };
                // busybox takes the program's words from the rest of the line.
                let rest = scan.rest();
                if matches!(arg, Arg::Short('e')) && !rest.is_empty() {
                    let mut all = vec![script];
                    all.extend_from_slice(rest);
                    return Program::shell(joined(&all));
                }
                return Program::shell(script);
            }
            _ if is(arg, "o output x hex-dump ssl-cert ssl-key ssl-trustfile proxy-auth") => {
                operands.extend(scan.value().map(Operand::named));
            }
            _ if is(arg, "p w i s q m g G T I O P X M V source-port wait") => scan.skip_value(),
            _ => {}
        }
    }
    Program::files(operands)
}

pub(super) fn git(words: &[Text]) -> Program {
    let mut scan = Scan::new(words.get(1..).unwrap_or(&[]));
    let (mut directory, mut script, mut operands) = (None, None, Vec::new());
    let mut verb = None;
    while let Some(arg) = scan.next() {
        match arg {
            Arg::Operand(word) => {
                verb = Some(word.as_str());
                break;
            }
            Arg::Short('C') => {
                directory = scan.value().map(|value| below(directory.as_ref(), &value));
            }
            Arg::Short('c') => {
                // `-c alias.x='!COMMAND'`, `-c core.pager=COMMAND`
                let Some(value) = scan.value() else { break };
                let Some((key, command)) = value.as_str().split_once('=') else { continue };
                let start = value.len() - command.len();
                let runs = matches!(
                    key.to_ascii_lowercase().as_str(),
                    "core.pager"
                        | "core.editor"
                        | "core.sshcommand"
                        | "core.fsmonitor"
                        | "sequence.editor"
                        | "diff.external"
                );
                if command.starts_with('!') {
                    script = Some(value.slice(start + 1, value.len()));
                } else if runs {
                    script = Some(value.slice(start, value.len()));
                }
            }
            Arg::Long("git-dir" | "work-tree") => {
                operands.extend(scan.value().map(Operand::named));
            }
            _ => {}
        }
    }
    let reads = matches!(verb, Some("diff" | "hash-object" | "blame" | "add" | "apply" | "am"));
    let mut scan = Scan::new(scan.rest());
    while let Some(arg) = scan.next() {
        let before = operands.len();
        match arg {
            Arg::Operand(word) if reads => known_path(word, Reach::Named, &mut operands),
            Arg::Operand(word) => loose(word, Reach::Named, &mut operands),
            _ if is(arg, "f file F") && verb != Some("push") => {
                operands.extend(scan.value().map(Operand::named));
            }
            _ => unknown_option(arg, &mut scan, &mut operands),
        }
        if directory.is_some() {
            for operand in operands.iter_mut().skip(before) {
                operand.path = below(directory.as_ref(), &operand.path);
            }
        }
    }
    match script {
        Some(script) => Program::shell_with(script, operands),
        None => Program::files(operands),
    }
}
