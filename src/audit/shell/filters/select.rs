//! Tools that pass on what they read, or parts of it: whole inputs, lines, ends, columns.
//!
//! Sources: POSIX, the manuals of GNU coreutils, GNU grep and BusyBox.

mod arrange;
mod cut;
mod grep;

pub(super) use arrange::{fold, paste, sort, tac, uniq};
pub(super) use cut::cut;
pub(super) use grep::grep;

use super::data::Data;
use super::options::{Spec, options};
use super::{Call, Output, Unknown};
use crate::audit::shell::text::{Step, Stream, Text};

// ---- all of the input

const SAME: Spec = Spec {
    flags: "AbeEnstTuvacdxfiqrlLpPwk",
    values: "",
    long: &[
        ("show-all", 'A'),
        ("number", 'n'),
        ("number-nonblank", 'b'),
        ("show-ends", 'E'),
        ("show-tabs", 'T'),
    ],
    permute: true,
};

pub(super) fn same(call: &Call) -> Output {
    match call.program {
        "cat" => return cat(call),
        "dd" => return dd(call),
        "iconv" => return iconv(call),
        "tee" | "pv" | "mbuffer" | "buffer" => {
            return call.input().and_then(|data| call.changed(&data, data.clone(), Step::Filter));
        }
        _ => {}
    }
    let values = match call.program {
        "strings" => "nteTs",
        "fmt" => "wgp",
        "expand" | "unexpand" => "t",
        _ => "",
    };
    let options = options(call.args, &Spec { values, ..SAME });
    let data = call.read(&options.operands)?;
    match call.program {
        "sponge" | "dos2unix" if !options.operands.is_empty() => Ok(Stream::Empty),
        "dos2unix" => {
            let bytes = data.bytes.iter().copied().filter(|byte| *byte != b'\r').collect();
            call.changed(&data, data.with(bytes), Step::Filter)
        }
        _ => call.changed(&data, data.clone(), Step::Filter),
    }
}

fn cat(call: &Call) -> Output {
    let options = options(call.args, &SAME);
    let mut parts = Vec::new();
    for operand in &options.operands {
        parts.push(call.file(operand));
    }
    if options.operands.is_empty() {
        parts.push(call.input());
    }
    // One that is known beside one that is not stays known.
    let any_known = parts.iter().any(|part| part.as_ref().is_ok_and(|data| !data.bytes.is_empty()));
    let mut data = Data::default();
    for part in parts {
        match part {
            Ok(part) => data.append(&part),
            Err(why) if !any_known => return Err(why),
            Err(why) => {
                data.push_hole();
                if why == Unknown::Decoded {
                    data.steps.add(Step::UnknownDecoded);
                }
            }
        }
        data.check_size()?;
    }
    let ends = ['A', 'e', 'E'].iter().any(|letter| options.has(*letter));
    let (numbers, filled) = (options.has('n'), options.has('b'));
    if !ends && !numbers && !filled {
        return call.changed(&data, data.clone(), Step::Filter);
    }
    let mut out = Vec::new();
    let mut number = 0;
    for line in data.bytes.split_inclusive(|byte| *byte == b'\n') {
        if numbers || filled && line != b"\n" {
            number += 1;
            out.extend_from_slice(format!("{number:6}\t").as_bytes());
        }
        match line.strip_suffix(b"\n") {
            Some(line) if ends => {
                out.extend_from_slice(line);
                out.extend_from_slice(b"$\n");
            }
            _ => out.extend_from_slice(line),
        }
    }
    call.changed(&data, data.with(out), Step::Filter)
}

fn dd(call: &Call) -> Output {
    let mut input = None;
    let (mut block, mut skip, mut count) = (512usize, 0usize, None);
    let (mut upper, mut lower, mut pairs) = (false, false, false);
    for arg in call.args {
        let Some((name, value)) = arg.as_str().split_once('=') else { continue };
        let number = || size(value).ok_or(Unknown::Plain);
        match name {
            "if" => input = Some(arg.slice(name.len() + 1, arg.len())),
            "of" if !matches!(value, "/dev/stdout" | "/dev/fd/1") => return Ok(Stream::Empty),
            "bs" | "ibs" => block = number()?,
            "skip" | "iseek" => skip = number()?,
            "count" => count = Some(number()?),
            "conv" => {
                for word in value.split(',') {
                    match word {
                        "ucase" => upper = true,
                        "lcase" => lower = true,
                        "swab" => pairs = true,
                        "notrunc" | "noerror" | "sync" | "fsync" | "fdatasync" => {}
                        _ => return Err(Unknown::Decoded),
                    }
                }
            }
            _ => {}
        }
    }
    let data = match &input {
        Some(file) => call.file(file),
        None => call.input(),
    };
    let data = data.map_err(|why| why.max_decoded(pairs))?;
    let from = skip.saturating_mul(block).min(data.bytes.len());
    let most = count.map_or(usize::MAX, |count: usize| count.saturating_mul(block));
    let rest = &data.bytes[from..];
    let mut bytes = rest.get(..most).unwrap_or(rest).to_vec();
    if upper {
        bytes.make_ascii_uppercase();
    }
    if lower {
        bytes.make_ascii_lowercase();
    }
    if pairs {
        for pair in bytes.chunks_exact_mut(2) {
            pair.swap(0, 1);
        }
    }
    call.changed(&data, data.with(bytes), Step::Filter)
}

const ICONV: Spec = Spec {
    flags: "cs",
    values: "fto",
    long: &[("from-code", 'f'), ("to-code", 't'), ("output", 'o')],
    permute: true,
};

/// Between encodings that have ASCII in common; others are decoders of their own.
fn iconv(call: &Call) -> Output {
    let options = options(call.args, &ICONV);
    let common = |name: &Text| {
        let name = name.as_str().to_ascii_lowercase();
        let known = ["utf-8", "utf8", "ascii", "us-ascii", "latin", "iso-8859", "iso8859", "cp125"];
        known.iter().any(|known| name.starts_with(known))
    };
    if !options.values('f').chain(options.values('t')).all(common) {
        return Err(Unknown::Decoded);
    }
    let data = call.read(&options.operands)?;
    call.changed(&data, data.clone(), Step::Filter)
}

const NL: Spec = Spec { flags: "p", values: "bdfhilnsvw", long: &[], permute: true };

pub(super) fn nl(call: &Call) -> Output {
    let options = options(call.args, &NL);
    let data = call.read(&options.operands)?;
    let all = options.value('b').is_some_and(|style| style.as_str() == "a");
    if options.given.iter().any(|(letter, _)| *letter != 'b') {
        return Err(Unknown::Decoded);
    }
    let mut out = Vec::new();
    let mut number = 0;
    for line in data.lines() {
        if all || !line.is_empty() {
            number += 1;
            out.extend_from_slice(format!("{number:6}\t").as_bytes());
        } else {
            out.extend_from_slice(b"       ");
        }
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    call.changed(&data, data.with(out), Step::Filter)
}

pub(super) fn rev(call: &Call) -> Output {
    let options = options(call.args, &SAME);
    let data = call.read(&options.operands).map_err(|why| why.max_decoded(true))?;
    let mut out = Vec::with_capacity(data.bytes.len());
    for line in data.bytes.split_inclusive(|byte| *byte == b'\n') {
        let (line, end) = match line.strip_suffix(b"\n") {
            Some(line) => (line, &b"\n"[..]),
            None => (line, &b""[..]),
        };
        match std::str::from_utf8(line) {
            Ok(text) => out.extend_from_slice(text.chars().rev().collect::<String>().as_bytes()),
            Err(_) => out.extend(line.iter().rev()),
        }
        out.extend_from_slice(end);
    }
    call.changed(&data, data.with(out), Step::Filter)
}

// ---- ends

/// A count with its suffix: `2`, `1k`, `3M`, `4b`.
fn size(text: &str) -> Option<usize> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, suffix) = text.split_at_checked(digits)?;
    let factor = match suffix {
        "" | "c" => 1,
        "w" => 2,
        "b" => 512,
        "kB" => 1_000,
        "k" | "K" | "KiB" => 1_024,
        "MB" => 1_000_000,
        "m" | "M" | "MiB" => 1_048_576,
        "G" | "GB" | "GiB" => 1_073_741_824,
        _ => return None,
    };
    number.parse::<usize>().ok().map(|number| number.saturating_mul(factor))
}

const HEAD: Spec = Spec {
    flags: "qvzfFr",
    values: "ncs",
    long: &[
        ("lines", 'n'),
        ("bytes", 'c'),
        ("quiet", 'q'),
        ("silent", 'q'),
        ("verbose", 'v'),
        ("zero-terminated", 'z'),
        ("follow", 'f'),
        ("retry", 'F'),
    ],
    permute: true,
};

/// What `head` and `tail` are told.
struct Ends {
    data: Data,
    bytes: bool,
    /// `+` or `-` before the number.
    sign: Option<char>,
    count: usize,
}

fn ends(call: &Call) -> Result<Ends, Unknown> {
    // `-5` and `+5` stand for `-n 5` and `-n +5`.
    let mut args = call.args.to_vec();
    if let Some(first) = args.first_mut() {
        let text = first.as_str();
        let digits = text.strip_prefix(['-', '+']).unwrap_or_default();
        let starts = digits.starts_with(|c: char| c.is_ascii_digit());
        if starts && first.is_literal() && (text.starts_with('-') || call.program == "tail") {
            let sign = if text.starts_with('+') { "+" } else { "" };
            let bytes = digits.strip_suffix('c');
            let letter = if bytes.is_some() { 'c' } else { 'n' };
            *first = Text::literal(format!("-{letter}{sign}{}", bytes.unwrap_or(digits)));
        }
    }
    let options = options(&args, &HEAD);
    let bytes = options.given.iter().rev().find(|(letter, _)| "nc".contains(*letter));
    let (bytes, value) = match bytes {
        Some((letter, value)) => (*letter == 'c', value.clone()),
        None => (false, Text::literal("10")),
    };
    let several = options.operands.len() > 1 && !options.has('q') || options.has('v');
    if options.has('z') || several || options.unknown {
        return Err(Unknown::Plain);
    }
    let data = call.read(&options.operands)?;
    let value = value.as_literal().ok_or(Unknown::Plain)?;
    let sign = value.chars().next().filter(|sign| matches!(sign, '+' | '-'));
    let count = size(value.trim_start_matches(['+', '-'])).ok_or(Unknown::Plain)?;
    Ok(Ends { data, bytes, sign, count })
}

/// Offset behind the first `count` lines, or characters.
fn offset(data: &Data, bytes: bool, count: usize) -> usize {
    let all = data.bytes.len();
    if count == 0 {
        return 0;
    }
    if !bytes {
        let mut ends = memchr::memchr_iter(b'\n', &data.bytes);
        return ends.nth(count - 1).map_or(all, |at| at + 1);
    }
    if !data.marked {
        return count.min(all);
    }
    let text = String::from_utf8_lossy(&data.bytes);
    text.char_indices().nth(count).map_or(all, |(at, _)| at.min(all))
}

fn total(data: &Data, bytes: bool) -> usize {
    if !bytes {
        return data.lines().count();
    }
    if data.marked {
        String::from_utf8_lossy(&data.bytes).chars().count()
    } else {
        data.bytes.len()
    }
}

pub(super) fn head(call: &Call) -> Output {
    let Ends { data, bytes, sign, count } = ends(call)?;
    let count = match sign {
        Some('-') => total(&data, bytes).saturating_sub(count),
        _ => count,
    };
    let kept = data.bytes[..offset(&data, bytes, count)].to_vec();
    call.changed(&data, data.with(kept), Step::Filter)
}

pub(super) fn tail(call: &Call) -> Output {
    let Ends { data, bytes, sign, count } = ends(call)?;
    let dropped = match sign {
        Some('+') => count.saturating_sub(1),
        _ => total(&data, bytes).saturating_sub(count),
    };
    let kept = data.bytes[offset(&data, bytes, dropped)..].to_vec();
    call.changed(&data, data.with(kept), Step::Filter)
}

const WC: Spec = Spec {
    flags: "lcwmL",
    values: "",
    long: &[("lines", 'l'), ("bytes", 'c'), ("words", 'w'), ("chars", 'm')],
    permute: true,
};

pub(super) fn wc(call: &Call) -> Output {
    let options = options(call.args, &WC);
    let data = call.read(&options.operands)?;
    let bytes = data.known().map_err(|_| Unknown::Plain)?;
    let count = match options.given.as_slice() {
        [('l', _)] => memchr::memchr_iter(b'\n', bytes).count(),
        [('c', _)] => bytes.len(),
        [('m', _)] => String::from_utf8_lossy(bytes).chars().count(),
        [('w', _)] => bytes.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).count(),
        _ => return Err(Unknown::Plain),
    };
    let name = match options.operands.as_slice() {
        [] => String::new(),
        [name] => format!(" {}", name.as_str()),
        _ => return Err(Unknown::Plain),
    };
    call.changed(&data, data.with(format!("{count}{name}\n").into_bytes()), Step::Filter)
}
