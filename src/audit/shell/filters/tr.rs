//! `tr`: bytes exchanged, deleted and squeezed.
//!
//! Source: POSIX tr and the manuals of GNU coreutils and BusyBox.

use super::escapes::number;
use super::options::{Spec, options};
use super::{Call, Output, Unknown};
use crate::audit::shell::text::{Step, Text};

const SPEC: Spec = Spec {
    flags: "cCdst",
    values: "",
    long: &[("complement", 'c'), ("delete", 'd'), ("squeeze-repeats", 's'), ("truncate-set1", 't')],
    permute: false,
};

/// A set may name every byte several times, but not without end.
const SET_MAX: usize = 64 * 1024;

pub(super) fn tr(call: &Call) -> Output {
    let options = options(call.args, &SPEC);
    let complement = options.has('c') || options.has('C');
    let (deletes, squeezes) = (options.has('d'), options.has('s'));
    if options.unknown || options.operands.iter().any(|set| set.has_hole()) {
        return Err(Unknown::Plain);
    }
    let Some((first, rest)) = options.operands.split_first() else { return Err(Unknown::Plain) };
    let mut first = expand(first, None)?;
    if complement {
        let mut named = [false; 256];
        first.iter().for_each(|byte| named[usize::from(*byte)] = true);
        first = (0..=u8::MAX).filter(|byte| !named[usize::from(*byte)]).collect();
    }
    let second = match rest.first() {
        Some(second) => expand(second, Some(first.len()))?,
        None => Vec::new(),
    };
    let translates = !deletes && !rest.is_empty();
    let map = translates.then(|| table(&first, &second, options.has('t')));
    let data = call.input().map_err(|why| {
        why.max_decoded(map.as_ref().is_some_and(|map| is_cipher(map) && !complement))
    })?;
    let members = |set: &[u8]| {
        let mut members = [false; 256];
        set.iter().for_each(|byte| members[usize::from(*byte)] = true);
        members
    };
    let deleted = if deletes { members(&first) } else { [false; 256] };
    let squeezed = match (squeezes, rest.is_empty()) {
        (false, _) => [false; 256],
        (true, true) => members(&first),
        (true, false) => members(&second),
    };
    let mut out = Vec::with_capacity(data.bytes.len());
    for byte in &data.bytes {
        // What stands for something unknown stays as it is.
        if data.marked && !byte.is_ascii() {
            out.push(*byte);
            continue;
        }
        if deleted[usize::from(*byte)] {
            continue;
        }
        let byte = map.as_ref().map_or(*byte, |map| map[usize::from(*byte)]);
        if squeezed[usize::from(byte)] && out.last() == Some(&byte) {
            continue;
        }
        out.push(byte);
    }
    call.changed(&data, data.with(out), Step::Filter)
}

fn table(first: &[u8], second: &[u8], truncate: bool) -> [u8; 256] {
    let mut map = [0; 256];
    (0..=u8::MAX).for_each(|byte| map[usize::from(byte)] = byte);
    for (place, byte) in first.iter().enumerate() {
        let last = if truncate { None } else { second.last() };
        if let Some(to) = second.get(place).or(last) {
            map[usize::from(*byte)] = *to;
        }
    }
    map
}

/// Whether letters become other letters, many of them: what rot13 does, and changing case does not.
fn is_cipher(map: &[u8; 256]) -> bool {
    let changed = (b'a'..=b'z').filter(|letter| {
        let to = map[usize::from(*letter)];
        to.is_ascii_alphanumeric() && !to.eq_ignore_ascii_case(letter)
    });
    changed.count() >= 8
}

/// The bytes of a set in order. `fill` is how long the first set is, for the second.
fn expand(set: &Text, fill: Option<usize>) -> Result<Vec<u8>, Unknown> {
    let text = set.as_str().as_bytes();
    let mut out = Vec::new();
    let mut rest = text;
    // Where `[x*]` stands, and what: it fills the set up.
    let mut filler = None;
    while !rest.is_empty() {
        if let Some((members, tail)) = class(rest) {
            out.extend(members);
            rest = tail;
        } else if let Some((byte, count, tail)) =
            repeat(rest).filter(|repeat| fill.is_some() || repeat.1 > 0)
        {
            if count == 0 {
                filler = Some((out.len(), byte));
            } else {
                out.resize(out.len() + count.min(SET_MAX), byte);
            }
            rest = tail;
        } else {
            let (from, tail) = character(rest);
            rest = tail;
            match rest.split_first() {
                Some((b'-', tail)) if !tail.is_empty() => {
                    let (to, tail) = character(tail);
                    if to < from {
                        return Err(Unknown::Plain);
                    }
                    out.extend(from..=to);
                    rest = tail;
                }
                _ => out.push(from),
            }
        }
        if out.len() > SET_MAX {
            return Err(Unknown::Decoded);
        }
    }
    if let (Some((at, byte)), Some(length)) = (filler, fill) {
        let missing = length.saturating_sub(out.len());
        out.splice(at..at, std::iter::repeat_n(byte, missing));
    }
    Ok(out)
}

fn character(text: &[u8]) -> (u8, &[u8]) {
    let Some((first, tail)) = text.split_first() else { return (0, text) };
    let (b'\\', Some((escaped, behind))) = (*first, tail.split_first()) else {
        return (*first, tail);
    };
    let byte = match escaped {
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        b'0'..=b'7' => {
            let (mut value, mut digits) = number(tail, 8, 3);
            if value > 0xFF {
                (value, digits) = number(tail, 8, 2);
            }
            return (value as u8, &tail[digits..]);
        }
        other => *other,
    };
    (byte, behind)
}

type Members = Vec<u8>;

/// `[:name:]` or `[=x=]` at the start of a text.
fn class(text: &[u8]) -> Option<(Members, &[u8])> {
    if let [b'[', b'=', byte, b'=', b']', tail @ ..] = text {
        return Some((vec![*byte], tail));
    }
    let inside = text.strip_prefix(b"[:")?;
    // No name is longer.
    let end = inside.windows(2).take(16).position(|pair| pair == b":]")?;
    let holds = class_test(&inside[..end])?;
    Some(((0..=u8::MAX).filter(holds).collect(), &inside[end + 2..]))
}

/// What a class of characters holds.
pub(super) fn class_test(name: &[u8]) -> Option<fn(&u8) -> bool> {
    Some(match name {
        b"alpha" => u8::is_ascii_alphabetic,
        b"digit" => u8::is_ascii_digit,
        b"alnum" => u8::is_ascii_alphanumeric,
        b"upper" => u8::is_ascii_uppercase,
        b"lower" => u8::is_ascii_lowercase,
        b"space" => |byte| matches!(byte, b' ' | 9..=13),
        b"blank" => |byte| matches!(byte, b' ' | b'\t'),
        b"punct" => u8::is_ascii_punctuation,
        b"cntrl" => u8::is_ascii_control,
        b"print" => |byte| matches!(byte, b' '..=b'~'),
        b"graph" => u8::is_ascii_graphic,
        b"xdigit" => u8::is_ascii_hexdigit,
        _ => return None,
    })
}

/// `[x*n]` at the start of a text: the byte, how often (0: as often as is needed), what follows.
fn repeat(text: &[u8]) -> Option<(u8, usize, &[u8])> {
    let (byte, tail) = character(text.strip_prefix(b"[")?);
    let tail = tail.strip_prefix(b"*")?;
    let digits = tail.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let behind = tail[digits..].strip_prefix(b"]")?;
    let count = std::str::from_utf8(&tail[..digits]).ok()?;
    let radix = if count.starts_with('0') { 8 } else { 10 };
    let count = if count.is_empty() { 0 } else { usize::from_str_radix(count, radix).ok()? };
    Some((byte, count, behind))
}
