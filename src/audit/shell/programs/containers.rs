//! Programs that run a command in another container, pod or machine.

use crate::audit::shell::reading::Reach;
use crate::audit::shell::text::Text;

use super::operands::{known_path, loose, unknown_option};
use super::options::{Arg, Scan, is, joined};
use super::wrappers::after_dashes;
use super::{Inner, Operand, Wrapper, shell_argv};

const KUBECTL_VALUES: &str = "n namespace c container context cluster user s server token as \
    as-group l selector o output image request-timeout field-selector p patch type v sort-by \
    tail since port target overrides restart";

pub(super) fn kubectl<'a>(words: &'a [Text], outer: &mut Wrapper) -> Inner<'a> {
    let mut scan = Scan::new(words.get(1..).unwrap_or(&[]));
    let (mut verb, mut target, mut copies) = (None, false, Vec::new());
    let mut dashes = words.iter().skip(1).position(|word| word.as_literal() == Some("--"));
    dashes = dashes.map(|at| at + 2);
    while let Some(arg) = scan.next() {
        match arg {
            Arg::Operand(word) => match (verb, word.as_str()) {
                (None, text) => verb = Some(text),
                (Some("exec" | "debug" | "run"), _) if !target => {
                    target = true;
                    if verb == Some("exec") && dashes.is_none() {
                        return plain_exec(scan.rest(), outer);
                    }
                }
                (Some("exec" | "debug" | "run"), _) => break,
                (Some("cp"), _) => copies.push(word),
                _ => loose(word, Reach::Named, &mut outer.operands),
            },
            _ if is(arg, "f filename k kustomize kubeconfig") => {
                outer.operands.extend(scan.value().map(Operand::named));
            }
            _ if is(arg, "client-certificate client-key certificate-authority key cert") => {
                outer.operands.extend(scan.value().map(Operand::named));
            }
            _ if is(arg, "from-file from-env-file") => from_file(scan.value(), outer),
            _ if is(arg, KUBECTL_VALUES) => scan.skip_value(),
            _ => unknown_option(arg, &mut scan, &mut outer.operands),
        }
    }
    copied(&copies, outer);
    let runs = matches!(verb, Some("exec" | "debug" | "run"));
    match dashes.and_then(|at| words.get(at..)) {
        Some(inner @ [_, ..]) if runs => Inner::Words(inner),
        _ => Inner::Nothing,
    }
}

/// `kubectl exec POD [OPTION…] CMD…`: the old form without dashes.
fn plain_exec<'a>(words: &'a [Text], outer: &mut Wrapper) -> Inner<'a> {
    let mut scan = Scan::new(words);
    while let Some(arg) = scan.next() {
        match arg {
            Arg::Operand(_) => return Inner::Words(scan.operand_and_rest()),
            _ if is(arg, "kubeconfig f filename") => {
                outer.operands.extend(scan.value().map(Operand::named));
            }
            _ if is(arg, KUBECTL_VALUES) => scan.skip_value(),
            _ => {}
        }
    }
    Inner::Nothing
}

/// `--from-file=KEY=PATH`
fn from_file(value: Option<Text>, outer: &mut Wrapper) {
    let Some(value) = value else { return };
    let start = value.as_str().find('=').map_or(0, |at| at + 1);
    outer.operands.push(Operand::named(value.slice(start, value.len())));
}

/// Sources are read with all below them; what stands behind `NAME:` is a path there.
fn copied(words: &[&Text], outer: &mut Wrapper) {
    let last = words.len().saturating_sub(1);
    for (at, word) in words.iter().enumerate() {
        let reach = if at < last || last == 0 { Reach::Walked } else { Reach::Named };
        let colon = word.as_str().find(':').map_or(0, |colon| colon + 1);
        known_path(&word.slice(colon, word.len()), reach, &mut outer.operands);
    }
}

/// `docker`, `podman`, `nerdctl`, `crictl`, `ctr`: what `exec` and `run` start, what they mount.
pub(super) fn docker<'a>(words: &'a [Text], outer: &mut Wrapper) -> Inner<'a> {
    let containerd = words.first().is_some_and(|name| name.as_str().ends_with("ctr"));
    let mut scan = Scan::new(words.get(1..).unwrap_or(&[]));
    let mut verb: Option<&str> = None;
    let mut entry = None;
    let mut named = 0;
    let mut copies = Vec::new();
    while let Some(arg) = scan.next() {
        match arg {
            Arg::Operand(word) => match (verb, word.as_str()) {
                (None, "container" | "tasks" | "task" | "t" | "c" | "containers" | "compose") => {}
                (None, text) => verb = Some(text),
                (Some("cp"), _) => copies.push(word),
                (Some("exec" | "run" | "create"), _) => {
                    named += 1;
                    // containerd's `run` names an image and then the container.
                    let last = if containerd && verb == Some("run") { 2 } else { 1 };
                    if named == last {
                        return entered(entry, scan.rest());
                    }
                }
                _ => loose(word, Reach::Named, &mut outer.operands),
            },
            _ if verb.is_some() && is(arg, "v volume") => {
                if let Some(value) = scan.value() {
                    let end = value.as_str().find(':').unwrap_or(value.len());
                    outer.operands.push(Operand::named(value.slice(0, end)));
                }
            }
            _ if is(arg, "mount") => mounted(scan.value(), outer),
            _ if is(arg, "env-file f file cidfile label-file") => {
                outer.operands.extend(scan.value().map(Operand::named));
            }
            _ if is(arg, "entrypoint") => entry = scan.value(),
            _ if is(arg, "w workdir cwd") => outer.directory = scan.value(),
            _ if is(
                arg,
                "e env u user name h hostname network net p publish l label exec-id n namespace \
                 a address c context H host cpus m memory pid ipc uts userns security-opt \
                 cap-add cap-drop device restart log-driver add-host tmpfs platform pull runtime \
                 ulimit shm-size gpus group-add dns volumes-from r runtime-endpoint timeout \
                 image-endpoint snapshotter",
            ) =>
            {
                scan.skip_value();
            }
            _ => unknown_option(arg, &mut scan, &mut outer.operands),
        }
    }
    copied(&copies, outer);
    outer.directory = None;
    Inner::Nothing
}

fn entered(entry: Option<Text>, rest: &[Text]) -> Inner<'_> {
    match entry {
        Some(entry) => {
            let mut argv = vec![entry];
            argv.extend_from_slice(rest);
            Inner::Owned(argv)
        }
        None => {
            let rest = after_dashes(rest);
            if rest.is_empty() { Inner::Nothing } else { Inner::Words(rest) }
        }
    }
}

/// `--mount type=bind,source=/etc,target=/x`
fn mounted(value: Option<Text>, outer: &mut Wrapper) {
    let Some(value) = value else { return };
    let text = value.as_str();
    let mut start = 0;
    for field in text.split(',') {
        let source = field.strip_prefix("source=").or_else(|| field.strip_prefix("src="));
        if let Some(source) = source {
            let end = start + field.len();
            outer.operands.push(Operand::named(value.slice(end - source.len(), end)));
        }
        start += field.len() + 1;
    }
}

/// `ssh HOST CMD…`: the words are joined and a shell reads them there.
pub(super) fn ssh<'a>(words: &'a [Text], outer: &mut Wrapper) -> Inner<'a> {
    let mut scan = Scan::new(words.get(1..).unwrap_or(&[]));
    let mut host = false;
    let mut proxy = None;
    while let Some(arg) = scan.next() {
        match arg {
            Arg::Operand(_) if host => {
                return Inner::Owned(shell_argv(joined(scan.operand_and_rest())));
            }
            Arg::Operand(_) => host = true,
            Arg::Short('i' | 'F' | 'E' | 'S') => {
                outer.operands.extend(scan.value().map(Operand::named));
            }
            Arg::Short('o') => {
                if let Some(value) = scan.value() {
                    proxy = ssh_setting(&value, outer).or(proxy);
                }
            }
            Arg::Short(
                'B' | 'b' | 'c' | 'D' | 'e' | 'I' | 'J' | 'L' | 'l' | 'm' | 'O' | 'p' | 'Q' | 'R'
                | 'W' | 'w',
            ) => scan.skip_value(),
            _ => {}
        }
    }
    match proxy {
        Some(script) => Inner::Owned(shell_argv(script)),
        None => Inner::Nothing,
    }
}

/// `-o NAME=VALUE`: a command that ssh runs here, or a file.
pub(super) fn ssh_setting(value: &Text, outer: &mut Wrapper) -> Option<Text> {
    let text = value.as_str();
    let (name, _) = text.split_once(['=', ' '])?;
    let setting = value.slice(name.len() + 1, text.len());
    match name.to_ascii_lowercase().as_str() {
        "proxycommand" | "localcommand" | "knownhostscommand" => Some(setting),
        name if name.ends_with("file") => {
            outer.operands.push(Operand::named(setting));
            None
        }
        _ => None,
    }
}
