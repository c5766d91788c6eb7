//! Lines in another order or shape: `tac`, `sort`, `uniq`, `paste`, `fold`.

use std::cmp::Ordering;

use super::super::options::{Spec, options};
use super::super::{Call, OUTPUT_MAX_BYTES, Output, Unknown};
use crate::audit::shell::text::{Step, Text};

const TAC: Spec = Spec { flags: "br", values: "s", long: &[("separator", 's')], permute: true };

pub(in super::super) fn tac(call: &Call) -> Output {
    let options = options(call.args, &TAC);
    let data = call.read(&options.operands)?;
    if !options.given.is_empty() || options.unknown {
        return Err(Unknown::Decoded);
    }
    let mut lines: Vec<&[u8]> = data.bytes.split_inclusive(|byte| *byte == b'\n').collect();
    lines.reverse();
    call.changed(&data, data.with(lines.concat()), Step::Filter)
}

const SORT: Spec = Spec {
    flags: "bdfgihMnRrVcCmsuz",
    values: "kotST",
    long: &[
        ("reverse", 'r'),
        ("numeric-sort", 'n'),
        ("general-numeric-sort", 'g'),
        ("human-numeric-sort", 'h'),
        ("unique", 'u'),
        ("key", 'k'),
        ("field-separator", 't'),
        ("ignore-case", 'f'),
        ("ignore-leading-blanks", 'b'),
        ("stable", 's'),
        ("version-sort", 'V'),
        ("random-sort", 'R'),
    ],
    permute: true,
};

/// A key: its first and last field, from 1 on, and how it is compared.
#[derive(Clone, Copy)]
struct Key {
    first: usize,
    last: usize,
    numeric: bool,
    reverse: bool,
}

/// The keys of a line, as texts and as numbers.
type Keys<'a> = Vec<(&'a [u8], f64)>;

/// `2`, `2,3`, `2n`, `2,2nr`
fn key(text: &str, numeric: bool, reverse: bool) -> Option<Key> {
    let (first, last) = text.split_once(',').unwrap_or((text, ""));
    let letters: String = text.chars().filter(char::is_ascii_alphabetic).collect();
    if text.contains('.') || !letters.chars().all(|letter| "nrgbh".contains(letter)) {
        return None;
    }
    let field = |text: &str| text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).parse().ok();
    Some(Key {
        first: field(first).filter(|first| *first > 0)?,
        last: if last.is_empty() { usize::MAX } else { field(last)? },
        numeric: numeric && letters.is_empty() || letters.contains(['n', 'g', 'h']),
        reverse: reverse && letters.is_empty() || letters.contains('r'),
    })
}

/// Fields `first..=last` of a line. Without a delimiter, a field starts with the blanks before it.
fn fields(line: &[u8], first: usize, last: usize, delimiter: Option<u8>) -> &[u8] {
    let (mut place, mut start, mut end) = (1, 0, line.len());
    let mut previous = b' ';
    for (at, byte) in line.iter().enumerate() {
        let boundary = match delimiter {
            Some(delimiter) => *byte == delimiter,
            None => at > 0 && matches!(byte, b' ' | b'\t') && !matches!(previous, b' ' | b'\t'),
        };
        previous = *byte;
        if boundary {
            if place == last {
                end = at;
                break;
            }
            place += 1;
            if place == first {
                start = if delimiter.is_some() { at + 1 } else { at };
            }
        }
    }
    if place < first { &[] } else { line.get(start..end).unwrap_or_default() }
}

fn numeric(text: &[u8]) -> f64 {
    let text = text.trim_ascii_start();
    let sign = usize::from(text.first() == Some(&b'-'));
    let digits = text.iter().skip(sign).take_while(|b| b.is_ascii_digit() || **b == b'.').count();
    let number = std::str::from_utf8(&text[..sign + digits]).unwrap_or_default();
    number.parse().unwrap_or(0.0)
}

pub(in super::super) fn sort(call: &Call) -> Output {
    let options = options(call.args, &SORT);
    let data = call.read(&options.operands)?;
    let refused = ['d', 'i', 'M', 'R', 'V', 'c', 'C', 'z', 'o'].iter().any(|l| options.has(*l));
    if refused || options.unknown {
        return Err(Unknown::Decoded);
    }
    let number = ['n', 'g', 'h'].iter().any(|letter| options.has(*letter));
    let (reverse, fold, blanks) = (options.has('r'), options.has('f'), options.has('b'));
    let delimiter = match options.value('t').map(|text| text.as_str().as_bytes()) {
        None => None,
        Some([byte]) => Some(*byte),
        Some(_) => return Err(Unknown::Decoded),
    };
    let keys: Option<Vec<Key>> =
        options.values('k').map(|text| key(text.as_str(), number, reverse)).collect();
    let mut keys = keys.filter(|keys| keys.len() <= 8).ok_or(Unknown::Decoded)?;
    if keys.is_empty() {
        keys.push(Key { first: 0, last: usize::MAX, numeric: number, reverse });
    }
    let texts = |a: &[u8], b: &[u8]| {
        if fold {
            let upper = |text: &[u8]| text.to_ascii_uppercase();
            upper(a).cmp(&upper(b))
        } else if blanks {
            a.trim_ascii_start().cmp(b.trim_ascii_start())
        } else {
            a.cmp(b)
        }
    };
    // Keys are taken out of a line once, not at every comparison.
    let mut lines: Vec<(Keys, &[u8])> = data
        .lines()
        .map(|line| {
            let keys = keys.iter().map(|key| {
                let text = fields(line, key.first, key.last, delimiter);
                (text, if key.numeric { numeric(text) } else { 0.0 })
            });
            (keys.collect(), line)
        })
        .collect();
    let by_keys = |a: &Keys, b: &Keys| {
        for (key, (a, b)) in keys.iter().zip(a.iter().zip(b)) {
            let order = if key.numeric { a.1.total_cmp(&b.1) } else { texts(a.0, b.0) };
            let order = if key.reverse { order.reverse() } else { order };
            if order != Ordering::Equal {
                return order;
            }
        }
        Ordering::Equal
    };
    let (unique, stable) = (options.has('u'), options.has('s'));
    lines.sort_by(|a, b| {
        let last = || {
            let order = a.1.cmp(b.1);
            if reverse { order.reverse() } else { order }
        };
        let order = by_keys(&a.0, &b.0);
        if unique || stable { order } else { order.then_with(last) }
    });
    if unique {
        lines.dedup_by(|a, b| by_keys(&a.0, &b.0) == Ordering::Equal);
    }
    let mut out = Vec::with_capacity(data.bytes.len() + 1);
    for (_, line) in lines {
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    call.changed(&data, data.with(out), Step::Filter)
}

const UNIQ: Spec = Spec {
    flags: "cduizD",
    values: "fsw",
    long: &[("count", 'c'), ("repeated", 'd'), ("unique", 'u'), ("ignore-case", 'i')],
    permute: true,
};

pub(in super::super) fn uniq(call: &Call) -> Output {
    let options = options(call.args, &UNIQ);
    let data = call.read(options.operands.get(..1).unwrap_or_default())?;
    if options.given.iter().any(|(letter, _)| !"cdui".contains(*letter)) {
        return Err(Unknown::Decoded);
    }
    let ignore_case = options.has('i');
    let same = |a: &[u8], b: &[u8]| if ignore_case { a.eq_ignore_ascii_case(b) } else { a == b };
    let mut out = Vec::new();
    let mut put = |line: &[u8], count: usize| {
        if options.has('d') && count == 1 || options.has('u') && count > 1 {
            return;
        }
        if options.has('c') {
            out.extend_from_slice(format!("{count:7} ").as_bytes());
        }
        out.extend_from_slice(line);
        out.push(b'\n');
    };
    let mut current: Option<(&[u8], usize)> = None;
    for line in data.lines() {
        current = match current {
            Some((first, count)) if same(first, line) => Some((first, count + 1)),
            Some((first, count)) => {
                put(first, count);
                Some((line, 1))
            }
            None => Some((line, 1)),
        };
    }
    if let Some((line, count)) = current {
        put(line, count);
    }
    call.changed(&data, data.with(out), Step::Filter)
}

const PASTE: Spec =
    Spec { flags: "sz", values: "d", long: &[("serial", 's'), ("delimiters", 'd')], permute: true };

pub(in super::super) fn paste(call: &Call) -> Output {
    let options = options(call.args, &PASTE);
    if options.has('z') || options.operands.len() > 64 {
        return Err(Unknown::Decoded);
    }
    let delimiters = delimiters(options.value('d').map_or("\t", Text::as_str));
    let delimiter = |at: usize| delimiters.get(at % delimiters.len().max(1)).copied().flatten();
    let stdin = Text::literal("-");
    let operands =
        if options.operands.is_empty() { vec![&stdin] } else { options.operands.clone() };
    let mut each = operands.clone();
    each.dedup();
    let all = call.read(&each)?;
    let mut out = Vec::new();
    if options.has('s') {
        for operand in &operands {
            let data = call.file(operand)?;
            for (at, line) in data.lines().enumerate() {
                if at > 0 {
                    out.extend(delimiter(at - 1));
                }
                out.extend_from_slice(line);
            }
            out.push(b'\n');
        }
        return call.changed(&all, all.with(out), Step::Filter);
    }
    // Stdin gives a line to each `-` in turn.
    let mut data = vec![call.file(&stdin).unwrap_or_default()];
    let mut sources = Vec::new();
    for operand in &operands {
        if matches!(operand.as_str(), "-" | "/dev/stdin") {
            sources.push(0);
        } else {
            sources.push(data.len());
            data.push(call.file(operand)?);
        }
    }
    let mut lines: Vec<_> = data.iter().map(|data| data.lines()).collect();
    loop {
        let row: Vec<Option<&[u8]>> = sources.iter().map(|source| lines[*source].next()).collect();
        if row.iter().all(Option::is_none) {
            break;
        }
        for (at, line) in row.iter().enumerate() {
            if at > 0 {
                out.extend(delimiter(at - 1));
            }
            out.extend_from_slice(line.unwrap_or_default());
        }
        out.push(b'\n');
        if out.len() > OUTPUT_MAX_BYTES {
            return Err(Unknown::Decoded);
        }
    }
    call.changed(&all, all.with(out), Step::Filter)
}

/// One after the other between lines; `\0` is none.
fn delimiters(list: &str) -> Vec<Option<u8>> {
    let mut out = Vec::new();
    let mut bytes = list.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(Some(byte));
            continue;
        }
        out.push(match bytes.next() {
            Some(b'0') => None,
            Some(b'n') => Some(b'\n'),
            Some(b't') => Some(b'\t'),
            Some(other) => Some(other),
            None => Some(b'\\'),
        });
    }
    out
}

const FOLD: Spec = Spec {
    flags: "bs0123456789",
    values: "w",
    long: &[("width", 'w'), ("bytes", 'b'), ("spaces", 's')],
    permute: true,
};

pub(in super::super) fn fold(call: &Call) -> Output {
    let options = options(call.args, &FOLD);
    let data = call.read(&options.operands)?;
    let old: String =
        options.given.iter().map(|(letter, _)| *letter).filter(char::is_ascii_digit).collect();
    let width = options.number('w').or(old.parse().ok()).unwrap_or(80);
    if options.has('s') || width == 0 {
        return Err(Unknown::Decoded);
    }
    let mut out = Vec::with_capacity(data.bytes.len());
    let mut column = 0;
    for byte in &data.bytes {
        if *byte == b'\n' {
            column = 0;
        } else if !matches!(byte, 0x80..=0xBF) || !data.marked {
            if column == width {
                out.push(b'\n');
                column = 0;
            }
            column += 1;
        }
        out.push(*byte);
    }
    call.changed(&data, data.with(out), Step::Filter)
}
