//! Paths in URLs that name local files.

use crate::audit::shell::text::{Mark, MarkKind, Step, Text};

/// How often a text is decoded, while decoding still changes it.
const DECODINGS_MAX: usize = 3;
/// How many wrappers (`jar:`, `url:`) are looked into.
const WRAPPERS_MAX: usize = 4;

/// Schemes after which a local path stands, `//HOST` before it or not (RFC 8089), and those that
/// other programs know for the same.
const FILE_SCHEMES: [&str; 6] =
    ["file:", "local_file:", "netdoc:", "compress.zlib:", "compress.bzip2:", "glob:"];
/// Schemes after which another URL stands.
const WRAPPERS: [&str; 4] = ["jar:", "url:", "view-source:", "phar:"];

/// The local path that a URL names: `file:///etc/%73hadow`, `file://localhost/etc/…`,
/// `file:/etc/…`, in any case of letters; percent-encodings are decoded, those of encodings too.
/// Also what curl makes of `{a,b}` and `[a-z]` in it, as a pattern, and the `resource=` of PHP's
/// filters. `None` for anything else. Not cleaned.
pub fn url_path(url: &Text) -> Option<Text> {
    // Schemes are letters.
    if url.as_str().starts_with('/') {
        return None;
    }
    let mut from = 0;
    for _ in 0..WRAPPERS_MAX {
        let wrapper = WRAPPERS.iter().find(|scheme| begins_with(url, from, scheme));
        from += wrapper.map_or(0, |scheme| scheme.len());
        if wrapper.is_none() {
            break;
        }
    }
    let start = if begins_with(url, from, "php://filter/") {
        const RESOURCE: &str = "resource=";
        let rest = url.as_str().get(from..)?;
        from + rest.find(RESOURCE)? + RESOURCE.len()
    } else {
        let scheme = FILE_SCHEMES.iter().find(|scheme| begins_with(url, from, scheme))?;
        path_start(url, from + scheme.len())?
    };
    let mut path = with_sets(&url.slice(start, end(url, start)));
    for _ in 0..DECODINGS_MAX {
        match percent_decoded(&path) {
            Some(decoded) => path = decoded,
            None => break,
        }
    }
    Some(path)
}

/// Whether the word stands at the place, whatever the case of its letters, and as plain text.
fn begins_with(url: &Text, at: usize, word: &str) -> bool {
    let end = at + word.len();
    url.as_str().get(at..end).is_some_and(|found| found.eq_ignore_ascii_case(word))
        && url.marks().iter().take_while(|mark| mark.at < end).all(|mark| mark.at < at)
}

/// Where the path begins, after the host if there is one.
fn path_start(url: &Text, after_scheme: usize) -> Option<usize> {
    let rest = url.as_str().get(after_scheme..)?;
    let unknown = |at: usize| url.marks().iter().any(|mark| mark.at == at);
    match rest.strip_prefix("//") {
        Some(authority) => {
            let start = after_scheme + 2;
            // Without a slash after the host, what stands there can only be meant as a path.
            Some(authority.find('/').map_or(start, |at| start + at))
        }
        None if rest.starts_with('/') || unknown(after_scheme) => Some(after_scheme),
        None => None,
    }
}

/// A query or a fragment is no part of the path, nor is an entry within an archive. A `?` is a
/// query even where a shell would take it for a pattern: no file is named like a URL.
fn end(url: &Text, start: usize) -> usize {
    let rest = url.as_str().get(start..).unwrap_or_default();
    let query = rest.find(['?', '#']).unwrap_or(rest.len());
    let entry = rest.find("!/").unwrap_or(rest.len());
    start + query.min(entry)
}

/// What stands in curl's braces and brackets, as active characters of a shell's pattern.
fn with_sets(path: &Text) -> Text {
    if !path.as_str().contains(['{', '[']) || path.has_active() {
        return path.clone();
    }
    let text = path.as_str();
    let (braces, brackets) = (text.rfind('}'), text.rfind(']'));
    let mut out = Text::new();
    out.steps = path.steps;
    let mut holes = path.marks().iter().map(|mark: &Mark| mark.at).peekable();
    let (mut in_braces, mut in_brackets) = (false, false);
    for (at, character) in text.char_indices() {
        while holes.next_if(|hole| *hole <= at).is_some() {
            out.push_hole();
        }
        match character {
            '{' if !in_braces && !in_brackets && braces.is_some_and(|end| at < end) => {
                in_braces = true;
                out.push_active('@');
                out.push_active('(');
            }
            ',' if in_braces => out.push_active('|'),
            '}' if in_braces => {
                in_braces = false;
                out.push_active(')');
            }
            '[' if !in_braces && !in_brackets && brackets.is_some_and(|end| at < end) => {
                in_brackets = true;
                // A range of numbers may be of any width.
                let rest = text.get(at + 1..).unwrap_or_default();
                if rest.starts_with(|first: char| first.is_ascii_digit()) {
                    out.push_active('+');
                    out.push_active('(');
                    push_class(&mut out, "0-9");
                    out.push_active(')');
                } else {
                    let range = rest.split([']', ':']).next().unwrap_or_default();
                    push_class(&mut out, range);
                }
            }
            ']' if in_brackets => in_brackets = false,
            _ if in_brackets => {}
            _ => out.push(character),
        }
    }
    if holes.next().is_some() {
        out.push_hole();
    }
    out
}

fn push_class(out: &mut Text, members: &str) {
    out.push_active('[');
    for character in members.chars() {
        if character == '-' {
            out.push_active('-');
        } else {
            out.push(character);
        }
    }
    out.push_active(']');
}

/// The text with every `%XX` decoded; `None` when there is none.
fn percent_decoded(path: &Text) -> Option<Text> {
    let text = path.as_str();
    if !text.contains('%') {
        return None;
    }
    let mut marks = path.marks().iter().peekable();
    let mut out = Text::new();
    out.steps = path.steps;
    let mut bytes: Vec<u8> = Vec::new();
    let mut found = false;
    let mut at = 0;
    while let Some(character) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let mut active = false;
        while let Some(mark) = marks.next_if(|mark| mark.at <= at) {
            match mark.kind {
                MarkKind::Active => active = true,
                MarkKind::Hole => {
                    flush(&mut bytes, &mut out);
                    out.push_hole();
                }
            }
        }
        let marked_within = marks.peek().is_some_and(|mark| mark.at < at + 3);
        if !marked_within && let Some(byte) = encoded(text, at) {
            bytes.push(byte);
            found = true;
            at += 3;
            continue;
        }
        flush(&mut bytes, &mut out);
        if active {
            out.push_active(character);
        } else {
            out.push(character);
        }
        at += character.len_utf8();
    }
    flush(&mut bytes, &mut out);
    if marks.next().is_some() {
        out.push_hole();
    }
    found.then(|| out.with_step(Step::PercentDecoded))
}

fn encoded(text: &str, at: usize) -> Option<u8> {
    let digits = text.get(at..at + 3)?.strip_prefix('%')?;
    let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u8::from_str_radix(digits, 16).ok().filter(|_| plain)
}

fn flush(bytes: &mut Vec<u8>, out: &mut Text) {
    if !bytes.is_empty() {
        out.push_str(&String::from_utf8_lossy(bytes));
        bytes.clear();
    }
}
