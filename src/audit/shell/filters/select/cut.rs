//! `cut`: columns of every line.

use super::super::options::{Spec, options};
use super::super::{Call, Output, Unknown};
use crate::audit::shell::text::Step;

const SPEC: Spec = Spec {
    flags: "snzC",
    values: "bcfdODF",
    long: &[
        ("bytes", 'b'),
        ("characters", 'c'),
        ("fields", 'f'),
        ("delimiter", 'd'),
        ("only-delimited", 's'),
        ("output-delimiter", 'O'),
        ("complement", 'C'),
        ("zero-terminated", 'z'),
    ],
    permute: true,
};

/// Places to keep, from 1 on; ascending, apart from each other, both ends included.
type Ranges = Vec<(usize, usize)>;

fn ranges(list: &str) -> Option<Ranges> {
    let mut ranges = Ranges::new();
    for item in list.split([',', ' ', '\t']).filter(|item| !item.is_empty()) {
        let range = match item.split_once('-') {
            None => {
                let only = item.parse().ok()?;
                (only, only)
            }
            Some(("", "")) => return None,
            Some(("", to)) => (1, to.parse().ok()?),
            Some((from, "")) => (from.parse().ok()?, usize::MAX),
            Some((from, to)) => (from.parse().ok()?, to.parse().ok()?),
        };
        if range.0 == 0 || range.0 > range.1 {
            return None;
        }
        ranges.push(range);
    }
    ranges.sort_unstable();
    let mut merged = Ranges::new();
    for (from, to) in ranges {
        match merged.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    (!merged.is_empty()).then_some(merged)
}

fn complement(ranges: &Ranges) -> Ranges {
    let mut out = Ranges::new();
    let mut from = 1;
    for (start, end) in ranges {
        if *start > from {
            out.push((from, start - 1));
        }
        from = end.saturating_add(1);
    }
    if from < usize::MAX {
        out.push((from, usize::MAX));
    }
    out
}

/// Those of the items that the ranges name, and whether a new range starts with it.
fn kept<'a, T>(
    items: impl Iterator<Item = T> + 'a,
    ranges: &'a Ranges,
) -> impl Iterator<Item = (T, bool)> + 'a {
    let mut ranges = ranges.iter().peekable();
    (1usize..).zip(items).filter_map(move |(place, item)| {
        while ranges.next_if(|(_, end)| *end < place).is_some() {}
        let (start, _) = ranges.peek()?;
        (place >= *start).then_some((item, place == *start))
    })
}

pub(in super::super) fn cut(call: &Call) -> Output {
    let options = options(call.args, &SPEC);
    let data = call.read(&options.operands)?;
    let letter = ['f', 'b', 'c'].into_iter().find(|letter| options.has(*letter));
    let (Some(letter), false, false) = (letter, options.has('z'), options.unknown) else {
        return Err(Unknown::Plain);
    };
    let list = options.value(letter).and_then(|list| ranges(list.as_literal()?));
    let mut ranges = list.ok_or(Unknown::Plain)?;
    if options.has('C') {
        ranges = complement(&ranges);
    }
    let delimiter = options.value('d').or(options.value('D')).map_or("\t", |value| value.as_str());
    let delimiter = if delimiter.is_empty() { "\0" } else { delimiter };
    let separator = options.value('O').map(|value| value.as_str().as_bytes());
    let mut out = Vec::with_capacity(data.bytes.len());
    for line in data.lines() {
        if letter == 'f' {
            if !delimiter.bytes().next().is_some_and(|first| line.contains(&first)) {
                if !options.has('s') {
                    out.extend_from_slice(line);
                    out.push(b'\n');
                }
                continue;
            }
            let [byte] = delimiter.as_bytes() else { return Err(Unknown::Decoded) };
            let fields = kept(line.split(|other| other == byte), &ranges);
            for (at, (field, _)) in fields.enumerate() {
                if at > 0 {
                    out.extend_from_slice(separator.unwrap_or(delimiter.as_bytes()));
                }
                out.extend_from_slice(field);
            }
        } else {
            let mut put = |bytes: &[u8], starts: bool, first: bool| {
                if starts && !first {
                    out.extend_from_slice(separator.unwrap_or_default());
                }
                out.extend_from_slice(bytes);
            };
            // GNU's characters are bytes; where something is unknown it is one character.
            if data.marked {
                let text = String::from_utf8_lossy(line);
                for (at, (character, starts)) in kept(text.chars(), &ranges).enumerate() {
                    put(character.encode_utf8(&mut [0; 4]).as_bytes(), starts, at == 0);
                }
            } else {
                for (at, (byte, starts)) in kept(line.iter(), &ranges).enumerate() {
                    put(&[*byte], starts, at == 0);
                }
            }
        }
        out.push(b'\n');
        if out.len() > super::super::OUTPUT_MAX_BYTES {
            return Err(Unknown::Decoded);
        }
    }
    call.changed(&data, data.with(out), Step::Filter)
}
