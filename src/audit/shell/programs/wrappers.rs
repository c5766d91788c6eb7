//! Programs that run another command: who runs it, where, with which environment.

use crate::audit::shell::text::{Step, Text};

use super::operands;
use super::options::{Arg, Scan, Unit, assignment, effect, is, joined, units};
use super::{Inner, Operand, Wrapper, shell_argv};

/// A wrapper with options as `options` lists them (see `table`) and `skipped` operands before
/// the inner command.
pub(super) fn through<'a>(
    skipped: usize,
    options: &'static str,
    words: &'a [Text],
    outer: &mut Wrapper,
) -> Inner<'a> {
    let mut scan = Scan::new(words.get(1..).unwrap_or(&[]));
    let mut script = None;
    let mut runs = true;
    let found = loop {
        let Some(arg) = scan.next() else { break &[][..] };
        if let Arg::Operand(_) = arg {
            break scan.operand_and_rest();
        }
        match effect(arg, options) {
            Some('-') => scan.skip_value(),
            Some('?') => _ = scan.attached(),
            Some('<') => outer.operands.extend(scan.value().map(Operand::named)),
            Some('/') => outer.directory = scan.value(),
            Some('=') => outer.assignments.extend(scan.value().as_ref().and_then(assignment)),
            Some('$') => script = scan.value(),
            Some('x') => runs = false,
            _ => operands::unknown_option(arg, &mut scan, &mut outer.operands),
        }
    };
    if let Some(script) = script {
        return Inner::Owned(shell_argv(script));
    }
    let rest = found.get(skipped..).unwrap_or(&[]);
    let rest = after_dashes(rest);
    if rest.is_empty() || !runs { Inner::Nothing } else { Inner::Words(rest) }
}

pub(super) fn after_dashes(words: &[Text]) -> &[Text] {
    match words.split_first() {
        Some((first, rest)) if first.as_literal() == Some("--") => rest,
        _ => words,
    }
}

fn behind_name(words: &[Text]) -> &[Text] {
    words.get(1..).unwrap_or(&[])
}

/// The assignments at the front go to the inner command; what follows is the command.
fn take_assignments<'a>(words: &'a [Text], outer: &mut Wrapper) -> &'a [Text] {
    let mut rest = words;
    while let Some((word, behind)) = rest.split_first() {
        let Some(assignment) = assignment(word) else { break };
        outer.assignments.push(assignment);
        rest = behind;
    }
    rest
}

fn words_or_nothing(words: &[Text]) -> Inner<'_> {
    if words.is_empty() { Inner::Nothing } else { Inner::Words(words) }
}

/// A program that starts a shell when it is given no command.
fn words_or_shell(words: &[Text]) -> Inner<'_> {
    if words.is_empty() { Inner::Owned(vec![Text::literal("sh")]) } else { Inner::Words(words) }
}

pub(super) fn env<'a>(words: &'a [Text], outer: &mut Wrapper) -> Inner<'a> {
    let mut scan = Scan::new(behind_name(words));
    let rest = loop {
        let Some(arg) = scan.next() else { break &[][..] };
        match arg {
            Arg::Operand(word) if word.as_literal() == Some("-") => {}
            Arg::Operand(_) => break scan.operand_and_rest(),
            _ if is(arg, "S split-string") => {
                let Some(value) = scan.value() else { break &[] };
                let mut argv = vec![Text::literal("env")];
                argv.extend(split(&value));
                argv.extend_from_slice(scan.rest());
                return Inner::Owned(argv);
            }
            _ if is(arg, "C chdir") => outer.directory = scan.value(),
            _ if is(arg, "u unset") => {
                let name = scan.value();
                let name = name.as_ref().and_then(Text::as_literal);
                outer.assignments.extend(name.map(|name| (name.to_owned(), Text::new())));
            }
            _ if is(arg, "f file") => outer.operands.extend(scan.value().map(Operand::named)),
            _ if is(arg, "a argv0 P L U") => scan.skip_value(),
            _ => {}
        }
    };
    words_or_nothing(take_assignments(rest, outer))
}

/// The words of `env -S`: blanks divide them; quotes, backslashes and `${NAME}` are read.
fn split(text: &Text) -> Vec<Text> {
    let mut words = Vec::new();
    let mut word: Option<Text> = None;
    let mut quote = None;
    let mut places = units(text).peekable();
    while let Some(unit) = places.next() {
        let Some(character) = unit.plain() else {
            unit.push_to(word.get_or_insert_default());
            continue;
        };
        match character {
            '\\' => {
                let escaped = places.next();
                let Some(escaped) = escaped.and_then(Unit::plain) else {
                    escaped.into_iter().for_each(|e| e.push_to(word.get_or_insert_default()));
                    continue;
                };
                let stands_for = match escaped {
                    '_' if quote.is_none() => {
                        words.extend(word.take());
                        continue;
                    }
                    'c' if quote != Some('\'') => break,
                    '_' => ' ',
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    'f' => '\u{c}',
                    'v' => '\u{b}',
                    other => other,
                };
                let word = word.get_or_insert_default();
                if quote == Some('\'') && !matches!(escaped, '\'' | '\\') {
                    word.push('\\');
                    word.push(escaped);
                } else {
                    word.push(stands_for);
                }
                word.steps.add(Step::Backslash);
            }
            '\'' | '"' if quote.is_none() => {
                quote = Some(character);
                word.get_or_insert_default().steps.add(Step::Quotes);
            }
            _ if quote == Some(character) => quote = None,
            '$' if quote != Some('\'') && places.peek() == Some(&Unit::Plain('{')) => {
                places.by_ref().take_while(|unit| *unit != Unit::Plain('}')).for_each(drop);
                word.get_or_insert_default().push_hole();
            }
            ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}' if quote.is_none() => {
                words.extend(word.take());
            }
            '#' if quote.is_none() && word.is_none() => break,
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    for word in &mut words {
        word.steps.extend(text.steps);
    }
    words
}

pub(super) fn sudo<'a>(words: &'a [Text], outer: &mut Wrapper) -> Inner<'a> {
    let mut scan = Scan::new(behind_name(words));
    let (mut shell, mut edits) = (false, false);
    let rest = loop {
        let Some(arg) = scan.next() else { break &[][..] };
        match arg {
            Arg::Operand(_) => break scan.operand_and_rest(),
            _ if is(arg, "D chdir") => outer.directory = scan.value(),
            _ if is(arg, "R chroot") => {
                scan.skip_value();
                outer.directory = Some(Text::literal("/"));
            }
            _ if is(arg, "i login") => {
                shell = true;
                outer.directory = Some(Text::literal("/root"));
            }
            _ if is(arg, "s shell") => shell = true,
            _ if is(arg, "e edit") => edits = true,
            _ if is(
                arg,
                "C close-from g group h host p prompt r role t type T command-timeout \
                 U other-user u user a",
            ) =>
            {
                scan.skip_value();
            }
            _ => {}
        }
    };
    let rest = take_assignments(rest, outer);
    if edits {
        outer.operands.extend(rest.iter().cloned().map(Operand::named));
        return Inner::Nothing;
    }
    if !shell {
        return words_or_nothing(rest);
    }
    match rest {
        [script] if script.as_str().contains(char::is_whitespace) => {
            Inner::Owned(shell_argv(script.clone()))
        }
        _ => words_or_shell(rest),
    }
}

pub(super) fn doas<'a>(words: &'a [Text], outer: &mut Wrapper) -> Inner<'a> {
    let mut scan = Scan::new(behind_name(words));
    let mut shell = false;
    let rest = loop {
        let Some(arg) = scan.next() else { break &[][..] };
        match arg {
            Arg::Operand(_) => break scan.operand_and_rest(),
            Arg::Short('C') => outer.operands.extend(scan.value().map(Operand::named)),
            Arg::Short('u' | 'a') => scan.skip_value(),
            Arg::Short('s') => shell = true,
            _ => {}
        }
    };
    if shell { words_or_shell(rest) } else { words_or_nothing(rest) }
}

/// `su` and `runuser`: options on either side of the user; what is left goes to a shell.
pub(super) fn su<'a>(words: &'a [Text], outer: &mut Wrapper) -> Inner<'a> {
    let mut scan = Scan::new(behind_name(words));
    let mut shell = Text::literal("sh");
    let (mut script, mut user, mut login, mut direct) = (None, None, false, false);
    let mut arguments = Vec::new();
    while let Some(arg) = scan.next() {
        match arg {
            Arg::Operand(word) if word.as_literal() == Some("-") && user.is_none() => login = true,
            Arg::Operand(_) if direct => return words_or_nothing(scan.operand_and_rest()),
            Arg::Operand(word) if user.is_none() => user = Some(word),
            Arg::Operand(word) => arguments.push(word.clone()),
            _ if is(arg, "l login") => login = true,
            _ if is(arg, "c command session-command T C") => script = scan.value(),
            _ if is(arg, "s shell") => shell = scan.value().unwrap_or(shell),
            _ if is(arg, "u user") => {
                direct = true;
                scan.skip_value();
            }
            _ if is(arg, "g group G supp-group w whitelist-environment") => scan.skip_value(),
            _ => {}
        }
    }
    if login && user.is_none_or(|user| user.as_literal() == Some("root")) {
        outer.directory = Some(Text::literal("/root"));
    }
    let mut argv = vec![shell];
    if let Some(script) = script {
        argv.push(Text::literal("-c"));
        argv.push(script);
    }
    argv.append(&mut arguments);
    Inner::Owned(argv)
}

/// `sg GROUP -c SCRIPT`, `sg GROUP SCRIPT`
pub(super) fn sg<'a>(words: &'a [Text], _: &mut Wrapper) -> Inner<'a> {
    let mut rest = behind_name(words).iter().filter(|word| !word.as_str().starts_with('-')).skip(1);
    rest.next().map_or(Inner::Nothing, |script| Inner::Owned(shell_argv(script.clone())))
}

pub(super) fn nsenter<'a>(words: &'a [Text], outer: &mut Wrapper) -> Inner<'a> {
    let mut scan = Scan::new(behind_name(words));
    let mut directory = None;
    let rest = loop {
        let Some(arg) = scan.next() else { break &[][..] };
        match arg {
            Arg::Operand(_) => break scan.operand_and_rest(),
            _ if is(arg, "t target S setuid G setgid N") => scan.skip_value(),
            _ if is(arg, "w wd W wdns") => {
                directory = scan.attached().or_else(|| Some(Text::literal("/")));
            }
            _ if is(arg, "m mount r root") => {
                outer.operands.extend(scan.attached().map(Operand::named));
                directory = directory.or_else(|| Some(Text::literal("/")));
            }
            _ if is(arg, "a all") => directory = directory.or_else(|| Some(Text::literal("/"))),
            _ => _ = scan.attached().filter(|_| matches!(arg, Arg::Long(_))),
        }
    };
    outer.directory = directory;
    words_or_shell(rest)
}

pub(super) fn unshare<'a>(words: &'a [Text], outer: &mut Wrapper) -> Inner<'a> {
    let mut scan = Scan::new(behind_name(words));
    let rest = loop {
        let Some(arg) = scan.next() else { break &[][..] };
        match arg {
            Arg::Operand(_) => break scan.operand_and_rest(),
            _ if is(arg, "R root") => {
                scan.skip_value();
                outer.directory.get_or_insert_with(|| Text::literal("/"));
            }
            _ if is(arg, "w wd") => outer.directory = scan.value(),
            _ if is(
                arg,
                "S setuid G setgid propagation setgroups map-user map-group map-users map-groups \
                 monotonic boottime load-interp l",
            ) =>
            {
                scan.skip_value();
            }
            _ => {}
        }
    };
    words_or_shell(rest)
}

pub(super) fn chroot<'a>(words: &'a [Text], outer: &mut Wrapper) -> Inner<'a> {
    let mut scan = Scan::new(behind_name(words));
    let rest = loop {
        let Some(arg) = scan.next() else { break &[][..] };
        match arg {
            Arg::Operand(_) => break scan.operand_and_rest(),
            // The forms of other systems: `-u USER -g GROUP`.
            _ if is(arg, "u g G n") => scan.skip_value(),
            _ => {}
        }
    };
    if rest.is_empty() {
        return Inner::Nothing;
    }
    outer.directory = Some(Text::literal("/"));
    words_or_shell(after_dashes(rest.get(1..).unwrap_or(&[])))
}

pub(super) fn capsh<'a>(words: &'a [Text], outer: &mut Wrapper) -> Inner<'a> {
    for (at, word) in words.iter().enumerate().skip(1) {
        match word.as_str() {
            "--" | "==" => {
                let mut argv = vec![Text::literal("bash")];
                argv.extend_from_slice(words.get(at + 1..).unwrap_or(&[]));
                return Inner::Owned(argv);
            }
            option if option.starts_with("--chroot=") => {
                outer.directory = Some(Text::literal("/"));
            }
            _ => {}
        }
    }
    Inner::Nothing
}

pub(super) fn flock<'a>(words: &'a [Text], outer: &mut Wrapper) -> Inner<'a> {
    let mut scan = Scan::new(behind_name(words));
    while let Some(arg) = scan.next() {
        match arg {
            Arg::Operand(file) => {
                outer.operands.push(Operand::named(file.clone()));
                return match scan.rest() {
                    [option, script, ..] if is_command_option(option) => {
                        Inner::Owned(shell_argv(script.clone()))
                    }
                    rest => words_or_nothing(after_dashes(rest)),
                };
            }
            _ if is(arg, "w wait timeout E conflict-exit-code") => scan.skip_value(),
            _ if is(arg, "c command") => {
                return scan.value().map_or(Inner::Nothing, |s| Inner::Owned(shell_argv(s)));
            }
            _ => {}
        }
    }
    Inner::Nothing
}

fn is_command_option(word: &Text) -> bool {
    matches!(word.as_literal(), Some("-c" | "--command"))
}

/// `script -c CMD FILE`, and `script FILE CMD ARG…` of other systems.
pub(super) fn script<'a>(words: &'a [Text], outer: &mut Wrapper) -> Inner<'a> {
    let mut scan = Scan::new(behind_name(words));
    let (mut script, mut file) = (None, false);
    while let Some(arg) = scan.next() {
        match arg {
            Arg::Operand(word) => {
                if file && script.is_none() {
                    return Inner::Words(scan.operand_and_rest());
                }
                file = true;
                outer.operands.push(Operand::named(word.clone()));
            }
            _ if is(arg, "c command") => script = scan.value(),
            _ if is(arg, "I log-in O log-out B log-io T log-timing") => {
                outer.operands.extend(scan.value().map(Operand::named));
            }
            _ if is(arg, "o output-limit m logging-format E echo F") => scan.skip_value(),
            _ if is(arg, "t timing") => _ = scan.attached(),
            _ => {}
        }
    }
    Inner::Owned(script.map_or_else(|| vec![Text::literal("sh")], shell_argv))
}

pub(super) fn watch<'a>(words: &'a [Text], _: &mut Wrapper) -> Inner<'a> {
    let mut scan = Scan::new(behind_name(words));
    let mut directly = false;
    while let Some(arg) = scan.next() {
        match arg {
            Arg::Operand(_) if directly => return Inner::Words(scan.operand_and_rest()),
            Arg::Operand(_) => return Inner::Owned(shell_argv(joined(scan.operand_and_rest()))),
            _ if is(arg, "x exec") => directly = true,
            _ if is(arg, "n interval q equexit s shotsdir") => scan.skip_value(),
            _ if is(arg, "d differences") => _ = scan.attached(),
            _ => {}
        }
    }
    Inner::Nothing
}

/// Programs that hand their words to a shell, joined: `hyperfine 'cat x'`, `entr -s 'cat x'`.
pub(super) fn shell_words<'a>(words: &'a [Text], _: &mut Wrapper) -> Inner<'a> {
    let start = words.iter().skip(1).position(|word| !word.as_str().starts_with('-'));
    let Some(start) = start else { return Inner::Nothing };
    Inner::Owned(shell_argv(joined(words.get(start + 1..).unwrap_or(&[]))))
}

pub(super) fn applets<'a>(words: &'a [Text], _: &mut Wrapper) -> Inner<'a> {
    let rest = behind_name(words);
    match rest.first().map(Text::as_str) {
        None => Inner::Nothing,
        Some(first) => match first.strip_prefix("--coreutils-prog=") {
            Some(name) => {
                let mut argv = vec![Text::literal(name)];
                argv.extend_from_slice(rest.get(1..).unwrap_or(&[]));
                Inner::Owned(argv)
            }
            None if first.starts_with('-') => Inner::Nothing,
            None => Inner::Words(rest),
        },
    }
}

/// `setarch [ARCH] [OPTION…] [CMD]`
pub(super) fn setarch<'a>(words: &'a [Text], outer: &mut Wrapper) -> Inner<'a> {
    const ARCHITECTURES: [&str; 12] = [
        "x86_64", "i386", "i486", "i586", "i686", "linux32", "linux64", "uname26", "aarch64",
        "arm64", "s390x", "ppc64le",
    ];
    let rest = behind_name(words);
    let named = rest.first().is_some_and(|word| ARCHITECTURES.contains(&word.as_str()));
    through(0, "p-", if named { rest } else { words }, outer)
}

/// `timeout 5 CMD`; old busybox writes `timeout -t 5 CMD`.
pub(super) fn timeout<'a>(words: &'a [Text], outer: &mut Wrapper) -> Inner<'a> {
    let option = words.get(1).map(Text::as_str);
    let old = option.is_some_and(|option| option.starts_with("-t"));
    through(usize::from(!old), "s- signal- k- kill-after- t-", words, outer)
}

/// `perf stat CMD`, `perf record CMD`
pub(super) fn perf<'a>(words: &'a [Text], outer: &mut Wrapper) -> Inner<'a> {
    match words.get(1).map(Text::as_str) {
        Some("stat" | "record" | "trace" | "mem" | "lock" | "sched") => through(
            0,
            "e- event- o< output< p- pid- t- C- I- r- x- F- c- G- call-graph- D- s-",
            behind_name(words),
            outer,
        ),
        _ => Inner::Nothing,
    }
}

/// `ip netns exec NAME CMD`
pub(super) fn ip<'a>(words: &'a [Text], _: &mut Wrapper) -> Inner<'a> {
    let start = words.iter().position(|word| word.as_str() == "exec");
    match start.filter(|at| words.iter().take(*at).any(|word| word.as_str().starts_with("net"))) {
        Some(at) => words_or_nothing(words.get(at + 2..).unwrap_or(&[])),
        None => Inner::Nothing,
    }
}

/// `tmux new -d 'CMD'`
pub(super) fn tmux<'a>(words: &'a [Text], outer: &mut Wrapper) -> Inner<'a> {
    const SERVER: &str = "L- S< f< c$";
    let inner = match through(0, SERVER, words, outer) {
        Inner::Words(verb) => through(0, "s- n- c/ t- F- x- y- e=", verb, outer),
        inner => inner,
    };
    match inner {
        Inner::Words(rest) => Inner::Owned(shell_argv(joined(rest))),
        inner => inner,
    }
}

pub(super) fn start_stop_daemon<'a>(words: &'a [Text], outer: &mut Wrapper) -> Inner<'a> {
    let mut scan = Scan::new(behind_name(words));
    let mut program = None;
    let mut rest: &[Text] = &[];
    while let Some(arg) = scan.next() {
        match arg {
            Arg::Operand(_) => {
                rest = scan.operand_and_rest();
                break;
            }
            _ if is(arg, "S start K stop T status t test H help V version") => {}
            _ if is(arg, "a startas x exec") => program = scan.value(),
            _ if is(arg, "d chdir") => outer.directory = scan.value(),
            _ if is(arg, "r chroot") => {
                scan.skip_value();
                outer.directory = Some(Text::literal("/"));
            }
            _ if is(arg, "p pidfile O output") => {
                outer.operands.extend(scan.value().map(Operand::named));
            }
            _ if is(
                arg,
                "n name u user c chuid g group s signal R retry N nicelevel k umask P I",
            ) =>
            {
                scan.skip_value();
            }
            _ => {}
        }
    }
    let Some(program) = program else { return Inner::Nothing };
    let mut argv = vec![program];
    argv.extend_from_slice(rest);
    Inner::Owned(argv)
}

/// `gdb --args CMD…`, `gdb -ex 'shell CMD'`
pub(super) fn gdb<'a>(words: &'a [Text], outer: &mut Wrapper) -> Inner<'a> {
    let mut script = Text::new();
    let mut at = 1;
    while let Some(word) = words.get(at) {
        let text = word.as_str();
        at += 1;
        match text.trim_start_matches('-') {
            _ if !text.starts_with('-') => outer.operands.push(Operand::named(word.clone())),
            "args" => return words_or_nothing(words.get(at..).unwrap_or(&[])),
            "ex" | "eval-command" | "iex" => {
                if let Some(value) = words.get(at) {
                    let command = value.as_str();
                    let shell = command.strip_prefix('!').or(command.strip_prefix("shell "));
                    if let Some(rest) = shell {
                        script.append(&value.slice(command.len() - rest.len(), command.len()));
                        script.push('\n');
                    }
                }
                at += 1;
            }
            "x" | "command" => {
                outer.operands.extend(words.get(at).cloned().map(Operand::named));
                at += 1;
            }
            _ => {}
        }
    }
    if script.is_empty() { Inner::Nothing } else { Inner::Owned(shell_argv(script)) }
}

/// `bwrap`: options of one or two values each, then the command.
pub(super) fn bwrap<'a>(words: &'a [Text], outer: &mut Wrapper) -> Inner<'a> {
    let mut at = 1;
    while let Some(word) = words.get(at) {
        let Some(option) = word.as_str().strip_prefix("--") else { break };
        at += 1;
        match option {
            "" => break,
            "bind" | "bind-try" | "dev-bind" | "dev-bind-try" | "ro-bind" | "ro-bind-try" => {
                outer.operands.extend(words.get(at).cloned().map(Operand::named));
                at += 2;
            }
            "setenv" | "symlink" | "file" | "bind-data" | "ro-bind-data" | "chmod" => at += 2,
            "chdir" => {
                outer.directory = words.get(at).cloned();
                at += 1;
            }
            "args" | "unsetenv" | "proc" | "dev" | "tmpfs" | "mqueue" | "dir" | "hostname"
            | "uid" | "gid" | "seccomp" | "lock-file" | "sync-fd" | "block-fd" | "info-fd"
            | "exec-label" | "file-label" | "cap-add" | "cap-drop" | "perms" | "size"
            | "remount-ro" | "argv0" => at += 1,
            _ => {}
        }
    }
    words_or_nothing(words.get(at..).unwrap_or(&[]))
}
