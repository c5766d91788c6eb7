//! Where a path leads, by its text alone.
//!
//! Owns cleaning and joining, the other names that the root directory has in a container, and
//! paths in `file:` URLs. It follows no links but those that every Linux has, and knows nothing of
//! which paths matter.

#[path = "path/url.rs"]
mod url;

use std::borrow::Cow;

pub use self::url::url_path;
use super::text::{Mark, MarkKind, Step, Text};

/// Most times that links in a path are followed. A chain of `/proc/self/root` is one.
const LINKS_MAX: usize = 8;
/// As many `..` alone are taken for the root; fewer tell nothing.
const PARENTS_TELLING_MIN: usize = 3;

/// Where pods usually see the node's root directory.
const MOUNTS: [&str; 19] = [
    "/host",
    "/hostfs",
    "/host-fs",
    "/host_fs",
    "/hostroot",
    "/host-root",
    "/host_root",
    "/noderoot",
    "/node-root",
    "/node_root",
    "/nodefs",
    "/rootfs",
    "/sysroot",
    "/run/host",
    "/var/run/host",
    "/mnt/host",
    "/mnt/hostfs",
    "/mnt/rootfs",
    "/media/host",
];
/// The same, but the directory alone may be something else as well.
const MOUNTS_WITH_MORE: [&str; 5] = ["/node", "/mnt/node", "/mnt/root", "/chroot", "/target"];

/// A quick look at a path from the root on: true for all that begin with a mount point.
fn may_be_mount(path: &str) -> bool {
    let Some(rest) = path.as_bytes().get(1..) else { return false };
    let begins = |text: &[u8]| rest.starts_with(text);
    match rest.first() {
        Some(b'h') => begins(b"host"),
        Some(b'n') => begins(b"node"),
        Some(b'r') => begins(b"rootfs") || begins(b"run/host"),
        Some(b's') => begins(b"sysroot"),
        Some(b'v') => begins(b"var/run/host"),
        Some(b'm') => begins(b"mnt/") || begins(b"media/host"),
        Some(b'c') => begins(b"chroot"),
        Some(b't') => begins(b"target"),
        _ => false,
    }
}

/// Whether the path begins at the root, as far as is known.
pub fn is_absolute(path: &Text) -> bool {
    path.as_str().starts_with('/') && !starts_unknown(path)
}

fn starts_unknown(path: &Text) -> bool {
    path.marks().first().is_some_and(|mark| mark.at == 0 && mark.kind == MarkKind::Hole)
}

/// The path without `//`, `.` and, where what stands before it is known, `..`. A slash at the end
/// goes too, which alone is no step.
///
/// A component that holds a hole may be several, or none: together with a `..` after it, it becomes
/// a hole to which the next component is joined, so `a/…/../b` is `a/…b`.
pub fn clean(path: &Text) -> Text {
    cleaned(path).into_owned()
}

/// [`clean`], without copying what is clean.
pub fn cleaned(path: &Text) -> Cow<'_, Text> {
    if is_clean(path.as_str()) && (path.is_literal() || path.len() > 1) {
        return Cow::Borrowed(path);
    }
    let absolute = is_absolute(path);
    let mut kept: Vec<Text> = Vec::new();
    // Components that a hole before them may continue.
    let mut joined = false;
    let mut changed = false;
    let parts = raw_components(path);
    let last = parts.len().saturating_sub(1);
    for (at, part) in parts.into_iter().enumerate() {
        let literal = part.as_literal();
        match literal {
            Some("") => {
                changed |= at != 0 && at != last;
                continue;
            }
            Some(".") => {
                changed = true;
                continue;
            }
            Some("..") => {
                match kept.last() {
                    Some(before) if before.has_hole() => {
                        kept.pop();
                        kept.push(Text::hole());
                        joined = true;
                        changed = true;
                        continue;
                    }
                    Some(before) if before.as_literal() != Some("..") => {
                        leave(&mut kept, absolute);
                        changed = true;
                        continue;
                    }
                    None if absolute => {
                        changed = true;
                        continue;
                    }
                    _ => {}
                }
                kept.push(part);
            }
            _ => match kept.last_mut() {
                Some(before) if joined => before.append(&part),
                _ => kept.push(part),
            },
        }
        joined = false;
    }
    let mut out = Text::new();
    for (at, part) in kept.iter().enumerate() {
        if at > 0 || absolute {
            out.push('/');
        }
        out.append(part);
    }
    if kept.is_empty() && !path.is_empty() {
        out.push(if absolute { '/' } else { '.' });
    }
    out.steps = path.steps;
    if changed && out != *path {
        out.steps.add(Step::PathCleaned);
    }
    Cow::Owned(out)
}

/// What a `..` does to the components before it.
fn leave(kept: &mut Vec<Text>, absolute: bool) {
    // `/var/run` is a link to `/run`, so the directory above it is the root.
    let is_run = absolute
        && matches!(kept.as_slice(), [var, run]
            if var.as_literal() == Some("var") && run.as_literal() == Some("run"));
    kept.pop();
    if is_run {
        kept.pop();
    }
}

/// Whether there is nothing to clean, looked at in one pass. Of a path with patterns and holes its
/// characters: a part that is nothing but a hole is an empty one here, and not clean but as the first.
fn is_clean(path: &str) -> bool {
    let path = path.as_bytes();
    // How many characters the part has, and whether all of them are dots.
    let (mut length, mut dots) = (0_usize, true);
    for (at, byte) in path.iter().enumerate() {
        if *byte == b'/' {
            if at > 0 && dots && length <= 2 {
                return false;
            }
            (length, dots) = (0, true);
        } else {
            length += 1;
            dots &= *byte == b'.';
        }
    }
    path.len() <= 1 && length == 0 || !dots || length > 2
}

/// The parts of the path between its slashes, those that are empty left out. A hole belongs to the
/// part whose end or beginning it stands at; slashes within extended patterns part nothing.
pub fn components(path: &Text) -> Vec<Text> {
    let mut parts = raw_components(path);
    parts.retain(|part| !part.is_empty());
    parts
}

fn raw_components(path: &Text) -> Vec<Text> {
    if let Some(literal) = path.as_literal() {
        return literal.split('/').map(Text::literal).collect();
    }
    let slashes = path.as_str().bytes().filter(|byte| *byte == b'/').count();
    let mut parts = Vec::with_capacity(slashes + 1);
    let mut marks = path.marks().iter().peekable();
    let (mut start, mut depth) = (0, 0_usize);
    for (at, byte) in path.as_str().bytes().enumerate() {
        let (mut active, mut hole) = (false, false);
        while let Some(Mark { kind, .. }) = marks.next_if(|mark| mark.at <= at) {
            match kind {
                MarkKind::Active => active = true,
                MarkKind::Hole => hole = true,
            }
        }
        match byte {
            b'(' if active => depth += 1,
            b')' if active => depth = depth.saturating_sub(1),
            b'/' if depth == 0 => {
                let mut part = part(path, start, at);
                if hole {
                    part.push_hole();
                }
                parts.push(part);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(part(path, start, path.len()));
    parts
}

/// [`Text::slice`] without its steps.
fn part(path: &Text, start: usize, end: usize) -> Text {
    let mut part = Text::new();
    part.append_slice(path, start, end);
    part
}

/// The path as seen from `directory`; an absolute one stays as it is, as does one that begins with
/// something unknown and a slash, or is unknown altogether. Not cleaned.
pub fn join(directory: &Text, path: &Text) -> Text {
    let unknown = starts_unknown(path) && matches!(path.as_str().bytes().next(), None | Some(b'/'));
    if is_absolute(path) || unknown || directory.is_empty() {
        return path.clone();
    }
    if path.is_empty() {
        return directory.clone();
    }
    let mut out = directory.clone();
    if !directory.as_str().ends_with('/') || ends_unknown(directory) {
        out.push('/');
    }
    out.append(path);
    out
}

fn ends_unknown(path: &Text) -> bool {
    path.marks().last().is_some_and(|mark| mark.at == path.len())
}

/// The path from `directory` on, cleaned, links to the working directory and other names of the
/// root followed: all that can be said of where it leads.
pub fn resolve(directory: &Text, path: &Text) -> Text {
    if let Some(text) = path.as_literal() {
        let relative = !text.starts_with('/');
        // Seen from a directory that is not known, a relative path is what it is.
        let stays = if relative { directory.is_empty() && is_clean(text) } else { is_final(text) };
        if stays && !text.is_empty() {
            return path.clone();
        }
    }
    strip_roots(&clean(&join(directory, path)), directory)
}

/// Whether a clean path has none of the beginnings that stand for something else.
fn is_final(path: &str) -> bool {
    is_clean(path) && !path.starts_with("/proc/") && !may_be_mount(path)
}

/// [`without_roots`], and links to the working directory (`/proc/self/cwd`) replaced by it.
pub fn strip_roots(path: &Text, directory: &Text) -> Text {
    let mut out = without_roots(path);
    for _ in 0..LINKS_MAX {
        let Some(rest) = working_directory_link(&out) else { break };
        let mut next = without_roots(&clean(&join(directory, &rest)));
        next.steps.add(Step::WorkingDirectory);
        if next == out {
            break;
        }
        out = next;
    }
    out
}

/// What stands after `/proc/self/cwd` and the like: a relative path.
fn working_directory_link(path: &Text) -> Option<Text> {
    if !may_be_proc(path) {
        return None;
    }
    let parts = components(path);
    let length = link_of_proc(&parts, "cwd")?;
    Some(relative(parts.get(length..)?, path))
}

/// The path without the names by which the root directory is known: `/proc/self/root` and its
/// kin as often as they come, and one mount point of the node's root, before or after those.
/// Expects a clean path; a relative one stays as it is.
pub fn without_roots(path: &Text) -> Text {
    if !is_absolute(path) {
        return path.clone();
    }
    let mut out = Cow::Borrowed(path);
    let mut mounts = 1;
    for _ in 0..LINKS_MAX {
        let next = match without_proc_root(&out) {
            Some(next) => next,
            None if mounts > 0 => {
                mounts -= 1;
                match without_mount(&out) {
                    Some(next) => next,
                    None => break,
                }
            }
            None => break,
        };
        out = Cow::Owned(next);
    }
    out.into_owned()
}

fn without_proc_root(path: &Text) -> Option<Text> {
    if !may_be_proc(path) {
        return None;
    }
    let parts = components(path);
    let mut length = 0;
    // All that follow each other at once, so that a long chain costs no more than its length.
    while let Some(more) = parts.get(length..).and_then(|rest| link_of_proc(rest, "root")) {
        length += more;
    }
    let rest = parts.get(length..).filter(|_| length > 0)?;
    Some(rooted(rest, path))
}

/// Cheap: whether the first component is `proc` or a pattern.
fn may_be_proc(path: &Text) -> bool {
    path.as_str().starts_with("/proc/")
        || !path.is_literal() && path.as_str().starts_with('/') && first_is_pattern(path)
}

fn first_is_pattern(path: &Text) -> bool {
    let end =
        path.as_str().get(1..).and_then(|rest| rest.find('/')).map_or(path.len(), |at| at + 1);
    path.marks().first().is_some_and(|mark| mark.at < end)
}

/// How many components `/proc/PROCESS/NAME` or `/proc/PROCESS/task/THREAD/NAME` takes.
fn link_of_proc(parts: &[Text], name: &str) -> Option<usize> {
    if !spells(parts.first()?, "proc") || !is_process(parts.get(1)?) {
        return None;
    }
    if spells(parts.get(2)?, name) {
        return Some(3);
    }
    let is_task = spells(parts.get(2)?, "task")
        && parts.get(3).is_some_and(is_process)
        && parts.get(4).is_some_and(|part| spells(part, name));
    is_task.then_some(5)
}

/// The word itself, or a pattern that matches it and is not only wildcards.
fn spells(part: &Text, word: &str) -> bool {
    match part.as_literal() {
        Some(literal) => literal == word,
        None if part.has_hole() => false,
        None => {
            let pattern = super::pattern::Pattern::new(part);
            pattern.literals() > 0 && pattern.matches(word)
        }
    }
}

fn is_process(part: &Text) -> bool {
    match part.as_literal() {
        Some("self" | "thread-self") => true,
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.is_empty(),
        None => true,
    }
}

fn without_mount(path: &Text) -> Option<Text> {
    if !may_be_mount(path.as_str()) {
        return None;
    }
    let after = |mount: &str| {
        let rest = path.as_str().strip_prefix(mount)?;
        let ends = rest.is_empty() || rest.starts_with('/');
        let plain = path.marks().first().is_none_or(|mark| mark.at > mount.len());
        (ends && plain).then_some(mount.len())
    };
    // As a shell sees `/host*/etc`, the first component may be a pattern too.
    let alone = || MOUNTS.iter().find_map(|mount| after(mount));
    let with_more = || {
        let found = MOUNTS_WITH_MORE.iter().find_map(|mount| after(mount));
        found.filter(|from| *from < path.len())
    };
    let Some(from) = alone().or_else(with_more) else { return without_mount_pattern(path) };
    let mut out = path.slice(from, path.len());
    if out.is_empty() {
        out.push('/');
    }
    out.steps.add(Step::RootPrefix);
    Some(out)
}

/// `/host*/etc/…`: a pattern that begins like a mount point, with something below it.
fn without_mount_pattern(path: &Text) -> Option<Text> {
    if path.is_literal() || !path.as_str().starts_with("/host") || !first_is_pattern(path) {
        return None;
    }
    let parts = components(path);
    let first = super::pattern::Pattern::new(parts.first()?);
    let names = || MOUNTS.iter().filter_map(|mount| mount.strip_prefix('/'));
    if parts.len() < 2 || parts.first()?.has_hole() || !names().any(|name| first.matches(name)) {
        return None;
    }
    Some(rooted(parts.get(1..)?, path))
}

fn rooted(parts: &[Text], of: &Text) -> Text {
    let mut out = Text::literal("/");
    out.append(&relative(parts, of));
    out.steps.add(Step::RootPrefix);
    out
}

fn relative(parts: &[Text], of: &Text) -> Text {
    let mut out = Text::new();
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            out.push('/');
        }
        out.append(part);
    }
    out.steps = of.steps;
    out
}

/// The absolute path that a cleaned one with `..` in front can be, when these reach the root:
/// `../../etc/shadow` is `/etc/shadow`. `None` when it does not begin so, or is nothing but a few
/// `..`.
pub fn from_above(path: &Text) -> Option<Text> {
    let mut rest = path.as_str();
    let mut parents = 0;
    if path.marks().first().is_some_and(|mark| mark.at < 2) {
        return None;
    }
    while let Some(after) = rest.strip_prefix("../") {
        rest = after;
        parents += 1;
    }
    if rest == ".." {
        parents += 1;
        rest = "";
    }
    if parents == 0 {
        return None;
    }
    let from = path.len() - rest.len();
    let mut tail = path.slice(from, path.len());
    if tail.is_empty() && parents < PARENTS_TELLING_MIN {
        return None;
    }
    if tail.as_str() == ".." {
        tail = Text::new();
    }
    let mut out = Text::literal("/");
    out.append(&tail);
    out.steps.add(Step::PathCleaned);
    Some(out)
}

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
