//! `grep`: the lines, or parts of lines, that match.

use super::super::data::is_marked;
use super::super::options::{Options, Spec, options};
use super::super::posix::{Pattern, Syntax, Work};
use super::super::{Call, OUTPUT_MAX_BYTES, Output, Unknown};
use crate::audit::shell::text::{Step, Stream, Text};

const SPEC: Spec = Spec {
    flags: "ovivyEFGPaschHlLnqrRswxzZTbIU0123456789N",
    values: "efmABCdD",
    long: &[
        ("only-matching", 'o'),
        ("invert-match", 'v'),
        ("ignore-case", 'i'),
        ("extended-regexp", 'E'),
        ("fixed-strings", 'F'),
        ("basic-regexp", 'G'),
        ("perl-regexp", 'P'),
        ("regexp", 'e'),
        ("file", 'f'),
        ("text", 'a'),
        ("count", 'c'),
        ("color", 's'),
        ("colour", 's'),
        ("no-filename", 'h'),
        ("line-number", 'n'),
        ("quiet", 'q'),
        ("silent", 'q'),
        ("max-count", 'm'),
        ("word-regexp", 'w'),
        ("line-regexp", 'x'),
        ("after-context", 'A'),
        ("before-context", 'B'),
        ("context", 'C'),
        ("line-buffered", 's'),
        ("no-messages", 's'),
        ("null-data", 'z'),
    ],
    permute: true,
};

fn patterns(
    call: &Call,
    options: &Options,
    given: &[&Text],
    text: bool,
) -> Result<Vec<Pattern>, Unknown> {
    let mut syntax = match call.program {
        "egrep" => Syntax::Extended,
        "fgrep" => Syntax::Fixed,
        "rg" => Syntax::Perl,
        _ => Syntax::Basic,
    };
    for (letter, _) in &options.given {
        match letter {
            'E' => syntax = Syntax::Extended,
            'F' => syntax = Syntax::Fixed,
            'G' => syntax = Syntax::Basic,
            'P' => syntax = Syntax::Perl,
            _ => {}
        }
    }
    let ignore_case = options.has('i') || options.has('y');
    let (words, lines) = (options.has('w'), options.has('x'));
    let mut patterns = Vec::new();
    for pattern in given.iter().flat_map(|text| text.as_str().split('\n')) {
        // What surrounds a pattern has to be a pattern too.
        let escaped: String;
        let (mut pattern, mut syntax) = (pattern, syntax);
        if syntax == Syntax::Fixed && (words || lines) {
            let special = |c: char| c.is_ascii_punctuation() && !matches!(c, '<' | '>');
            escaped = pattern
                .chars()
                .flat_map(|c| special(c).then_some('\\').into_iter().chain([c]))
                .collect();
            (pattern, syntax) = (&escaped, Syntax::Perl);
        }
        let (open, close) = if syntax == Syntax::Basic { (r"\(", r"\)") } else { ("(", ")") };
        let around = match (words, lines) {
            (_, true) => format!("^{open}{pattern}{close}$"),
            (true, false) => format!(r"\b{open}{pattern}{close}\b"),
            (false, false) => pattern.to_owned(),
        };
        patterns.push(Pattern::new(&around, syntax, ignore_case, text)?);
        if patterns.len() > 64 {
            return Err(Unknown::Decoded);
        }
    }
    Ok(patterns)
}

pub(in super::super) fn grep(call: &Call) -> Output {
    let options = options(call.args, &SPEC);
    if options.has('q') {
        return Ok(Stream::Empty);
    }
    let refused = ['l', 'L', 'H', 'z', 'b', 'T'].iter().any(|letter| options.has(*letter));
    let unclear = options.unclear || call.args.iter().any(Text::has_hole);
    if refused || unclear || options.unknown {
        return Err(Unknown::Plain);
    }
    let mut given: Vec<&Text> = options.values('e').collect();
    let mut operands = options.operands.as_slice();
    if given.is_empty() && !options.has('f') {
        let Some((first, rest)) = operands.split_first() else { return Err(Unknown::Plain) };
        given.push(first);
        operands = rest;
    }
    let piped = !matches!(call.input, Stream::Empty);
    let walks = options.has('r') || options.has('R') || call.program == "rg" && !piped;
    if operands.len() > 1 && !options.has('h') || walks && operands.is_empty() {
        return Err(Unknown::Plain);
    }
    let data = call.read(operands)?;
    if options.has('f') {
        return Err(Unknown::Decoded);
    }
    let text = !data.bytes.is_ascii() && std::str::from_utf8(&data.bytes).is_ok();
    let patterns = patterns(call, &options, &given, text)?;
    let mut work = Work::new(call.allowance);
    let inverted = options.has('v');
    let context = |letter| options.number(letter).or(options.number('C')).unwrap_or(0);
    let (before, after) = (context('B'), context('A'));
    let most = options.number('m').unwrap_or(usize::MAX);
    let lines: Vec<&[u8]> = data.lines().collect();
    let mut out = Vec::new();
    let (mut found, mut shown, mut open_until, mut uncertain) = (0usize, 0usize, 0usize, false);
    for (at, line) in lines.iter().enumerate() {
        let marked = data.marked && is_marked(line);
        let matches = marked || any(&patterns, line, &mut work)? != inverted;
        uncertain |= marked;
        if matches && found < most {
            found += 1;
            if options.has('o') && !marked {
                if !inverted {
                    parts(line, &patterns, &mut work, &mut out)?;
                }
                continue;
            }
            let from = at.saturating_sub(before).max(shown);
            for line in lines.get(from..=at).unwrap_or_default() {
                put(line, from, &options, &mut out);
            }
            shown = at + 1;
            open_until = at.saturating_add(after);
        } else if at <= open_until && found > 0 && after > 0 {
            put(line, at, &options, &mut out);
            shown = at + 1;
        }
        if out.len() > OUTPUT_MAX_BYTES {
            return Err(Unknown::Decoded);
        }
    }
    if options.has('c') {
        if uncertain {
            return Err(Unknown::Plain);
        }
        out = format!("{found}\n").into_bytes();
    }
    call.changed(&data, data.with(out), Step::Filter)
}

fn any(patterns: &[Pattern], line: &[u8], work: &mut Work) -> Result<bool, Unknown> {
    for pattern in patterns {
        if pattern.is_match(line, work)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn put(line: &[u8], at: usize, options: &Options, out: &mut Vec<u8>) {
    if options.has('n') {
        out.extend_from_slice(format!("{}:", at + 1).as_bytes());
    }
    out.extend_from_slice(line);
    out.push(b'\n');
}

/// Every match on a line of its own.
fn parts(
    line: &[u8],
    patterns: &[Pattern],
    work: &mut Work,
    out: &mut Vec<u8>,
) -> Result<(), Unknown> {
    let mut from = 0;
    while from <= line.len() {
        let mut best: Option<(usize, usize)> = None;
        for pattern in patterns {
            let found = pattern.find(line, from, work)?;
            let Some(Some((start, end))) = found.and_then(|groups| groups.first().copied()) else {
                continue;
            };
            let better =
                best.is_none_or(|(first, last)| start < first || start == first && end > last);
            if better {
                best = Some((start, end));
            }
        }
        let Some((start, end)) = best else { break };
        if end > start {
            out.extend_from_slice(&line[start..end]);
            out.push(b'\n');
        }
        from = if end > start { end } else { end + 1 };
    }
    Ok(())
}
