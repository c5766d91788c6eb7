//! Hexadecimal: `xxd`, `od`, `hexdump`.

use super::super::data::Data;
use super::super::options::{Spec, options};
use super::super::{Call, OUTPUT_MAX_BYTES, Output, Unknown};
use super::finish;
use crate::audit::shell::text::{Step, Text};

#[derive(Default)]
struct Xxd<'a> {
    reverse: bool,
    plain: bool,
    upper: bool,
    bits: bool,
    other: bool,
    columns: Option<usize>,
    skip: usize,
    length: Option<usize>,
    operands: Vec<&'a Text>,
}

/// Its options are words of their own of which the beginning counts; BusyBox takes letters.
fn xxd_options<'a>(args: &'a [Text]) -> Xxd<'a> {
    let mut options = Xxd::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let text = arg.as_str();
        let Some(name) = text.strip_prefix('-').filter(|name| !name.is_empty()) else {
            options.operands.push(arg);
            continue;
        };
        let name = name.strip_prefix('-').unwrap_or(name);
        let letter = name.chars().next().unwrap_or_default();
        if matches!(letter, 'c' | 's' | 'l' | 'g' | 'o' | 'n') && !name.starts_with("cols-") {
            let digits = name.trim_start_matches(char::is_alphabetic);
            let value =
                if digits.is_empty() { args.next().map(Text::as_str) } else { Some(digits) };
            let value = value.and_then(parse_number);
            match letter {
                'c' => options.columns = value,
                's' => options.skip = value.unwrap_or(0),
                'l' => options.length = value,
                _ => {}
            }
            continue;
        }
        match name {
            "p" | "ps" | "postscript" | "plain" => options.plain = true,
            "r" | "revert" => options.reverse = true,
            "u" => options.upper = true,
            _ if name.chars().all(|letter| "rpsuaE".contains(letter)) => {
                options.reverse |= name.contains('r');
                options.plain |= name.contains('p');
                options.upper |= name.contains('u');
            }
            "b" | "bits" => options.bits = true,
            _ => options.other = true,
        }
    }
    options
}

fn parse_number(text: &str) -> Option<usize> {
    match text.strip_prefix("0x") {
        Some(digits) => usize::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

pub(in super::super) fn xxd(call: &Call) -> Output {
    let options = xxd_options(call.args);
    let operands = options.operands.get(..1).unwrap_or_default();
    let data = call.read(operands).map_err(|why| why.max_decoded(options.reverse))?;
    let bytes = data.known()?;
    if options.other || options.bits {
        return Err(Unknown::of(options.reverse));
    }
    if options.reverse {
        let out = if options.plain { plain_bytes(bytes) } else { dumped_bytes(&data, &options)? };
        return finish(call, &data, out, Step::Hex);
    }
    let bytes = bytes.get(options.skip..).unwrap_or_default();
    let bytes = bytes.get(..options.length.unwrap_or(usize::MAX)).unwrap_or(bytes);
    let out = if options.plain { plain_text(bytes, &options) } else { dump_text(bytes, &options) };
    finish(call, &data, out, Step::Filter)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Pairs of digits, with anything between them. A digit without its other half is dropped where
/// the line ends or something else stands.
fn plain_bytes(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() / 2);
    let mut high = None;
    for byte in text {
        match (digit(*byte), high) {
            (Some(value), None) => high = Some(value),
            (Some(value), Some(first)) => {
                out.push(first << 4 | value);
                high = None;
            }
            (None, _) if byte.is_ascii_whitespace() => {}
            (None, _) => high = None,
        }
    }
    out
}

/// The bytes of a dump: lines of an address, a colon, pairs of digits, and the characters behind
/// two spaces. Where an address leaves a gap, there are zeros.
fn dumped_bytes(data: &Data, options: &Xxd) -> Result<Vec<u8>, Unknown> {
    let mut out: Vec<u8> = Vec::new();
    let columns = options.columns.filter(|columns| *columns > 0).unwrap_or(16);
    for line in data.lines() {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let address = line[..colon].trim_ascii();
        let address = std::str::from_utf8(address).ok();
        let Some(at) = address.and_then(|address| usize::from_str_radix(address, 16).ok()) else {
            continue;
        };
        if at > OUTPUT_MAX_BYTES {
            return Err(Unknown::Decoded);
        }
        let hex = line[colon + 1..].trim_ascii_start();
        let mut at = at;
        let (mut high, mut spaces, mut count) = (None, 0, 0);
        for byte in hex {
            match digit(*byte) {
                Some(value) => {
                    spaces = 0;
                    let Some(first) = high.take() else {
                        high = Some(value);
                        continue;
                    };
                    if at >= out.len() {
                        out.resize(at + 1, 0);
                    }
                    out[at] = first << 4 | value;
                    at += 1;
                    count += 1;
                    if count == columns {
                        break;
                    }
                }
                None if *byte == b' ' && spaces == 0 => spaces = 1,
                None => break,
            }
        }
    }
    Ok(out)
}

fn push_pair(byte: u8, upper: bool, out: &mut Vec<u8>) {
    let digits = if upper { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
    out.push(digits[usize::from(byte >> 4)]);
    out.push(digits[usize::from(byte & 15)]);
}

fn plain_text(bytes: &[u8], options: &Xxd) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() * 2 + bytes.len() / 30 + 1);
    let columns = match options.columns {
        Some(0) => bytes.len().max(1),
        columns => columns.unwrap_or(30),
    };
    for line in bytes.chunks(columns) {
        line.iter().for_each(|byte| push_pair(*byte, options.upper, &mut out));
        out.push(b'\n');
    }
    out
}

fn dump_text(bytes: &[u8], options: &Xxd) -> Vec<u8> {
    let mut out = Vec::new();
    let columns = options.columns.filter(|columns| (1..=256).contains(columns)).unwrap_or(16);
    for (at, line) in bytes.chunks(columns).enumerate() {
        let mut shown = format!("{:08x}:", at * columns).into_bytes();
        let hex_width = shown.len() + columns * 2 + columns.div_ceil(2);
        for (place, byte) in line.iter().enumerate() {
            if place % 2 == 0 {
                shown.push(b' ');
            }
            push_pair(*byte, options.upper, &mut shown);
        }
        shown.resize(hex_width + 2, b' ');
        let shape = |byte: &u8| if (b' '..=b'~').contains(byte) { *byte } else { b'.' };
        shown.extend(line.iter().map(shape));
        shown.push(b'\n');
        out.append(&mut shown);
    }
    out
}

const OD: Spec = Spec {
    flags: "vbcdosxhC",
    values: "AtNjwSe n",
    long: &[
        ("address-radix", 'A'),
        ("format", 't'),
        ("read-bytes", 'N'),
        ("skip-bytes", 'j'),
        ("output-duplicates", 'v'),
    ],
    permute: true,
};

/// `od -An -tx1`, which is what `xxd -r -p` takes back; other formats are not made.
pub(in super::super) fn dump(call: &Call) -> Output {
    let options = options(call.args, &OD);
    let data = call.read(&options.operands)?;
    let bytes = data.known()?;
    let is = |letter, value: &str| options.value(letter).is_some_and(|v| v.as_str() == value);
    if call.program != "od" || !is('A', "n") || !(is('t', "x1") || is('t', "xC")) {
        return Err(Unknown::Plain);
    }
    let mut out = Vec::new();
    for line in bytes.chunks(16) {
        for byte in line {
            out.push(b' ');
            push_pair(*byte, false, &mut out);
        }
        out.push(b'\n');
    }
    finish(call, &data, out, Step::Filter)
}
