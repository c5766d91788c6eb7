//! Decoders and encoders of text: base64 and its kin, hexadecimal, uuencode.
//!
//! Sources: RFC 4648, POSIX uuencode, the manuals of GNU coreutils, BusyBox, xxd and openssl.

mod hex;

pub(super) use hex::{dump, xxd};

use super::data::Data;
use super::options::{Options, Spec, options};
use super::{Call, Output, Unknown};
use crate::audit::shell::text::{Step, Text};

/// Digits that are decoded, each worth as many bits as the alphabet's size has.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Alphabet {
    digits: &'static [u8],
    bits: u32,
    /// Digits that make whole bytes together.
    group: usize,
    step: Step,
}

const BASE64: Alphabet = Alphabet {
    digits: b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    bits: 6,
    group: 4,
    step: Step::Base64,
};
const BASE64_URL: Alphabet = Alphabet {
    digits: b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
    ..BASE64
};
const BASE32: Alphabet =
    Alphabet { digits: b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", bits: 5, group: 8, step: Step::Base32 };
const BASE32_HEX: Alphabet = Alphabet { digits: b"0123456789ABCDEFGHIJKLMNOPQRSTUV", ..BASE32 };
const BASE16: Alphabet =
    Alphabet { digits: b"0123456789ABCDEF", bits: 4, group: 2, step: Step::Hex };
const BASE2: Alphabet = Alphabet { digits: b"01", bits: 1, group: 8, step: Step::EscapesDecoded };
const BASE58: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// Decoding base58 takes time that grows with the square.
const BASE58_MAX_BYTES: usize = 4 * 1024;
/// What stands for a digit that there is not.
const NO_DIGIT: u8 = u8::MAX;

impl Alphabet {
    fn values(&self) -> [u8; 256] {
        let mut values = [NO_DIGIT; 256];
        for (value, digit) in (0u8..).zip(self.digits) {
            values[usize::from(*digit)] = value;
        }
        if self.bits == 4 {
            for (value, digit) in (10u8..).zip(b"abcdef") {
                values[usize::from(*digit)] = value;
            }
        }
        values
    }

    /// Decodes; digits that are no digits end the text, or are passed over with `tolerant`.
    /// True when the whole text was decoded without such.
    fn decode(&self, text: &[u8], tolerant: bool, out: &mut Vec<u8>) -> bool {
        let values = self.values();
        let (mut group, mut digits, mut clean) = (0u64, 0usize, true);
        let mut padded = false;
        for byte in text {
            let value = values[usize::from(*byte)];
            if value != NO_DIGIT {
                if padded {
                    (group, digits, padded) = (0, 0, false);
                }
                group = group << self.bits | u64::from(value);
                digits += 1;
                if digits == self.group {
                    self.flush(group, digits, out);
                    (group, digits) = (0, 0);
                }
            } else if *byte == b'=' {
                if !padded {
                    self.flush(group, digits, out);
                }
                padded = true;
            } else if *byte != b'\n' {
                clean = false;
                if !tolerant {
                    break;
                }
            }
        }
        if !padded {
            self.flush(group, digits, out);
        }
        clean
    }

    /// The whole bytes among the first digits of a group.
    fn flush(&self, group: u64, digits: usize, out: &mut Vec<u8>) {
        let bits = self.bits * digits as u32;
        for byte in 1..=bits / 8 {
            out.push((group >> (bits - byte * 8)) as u8);
        }
    }

    fn encode(&self, bytes: &[u8], out: &mut Vec<u8>) {
        let size = self.group * self.bits as usize / 8;
        for chunk in bytes.chunks(size) {
            let mut group = chunk.iter().fold(0u64, |group, byte| group << 8 | u64::from(*byte));
            let bits = chunk.len() * 8;
            let digits = bits.div_ceil(self.bits as usize);
            group <<= digits * self.bits as usize - bits;
            for digit in (0..digits).rev() {
                let value = group >> (digit * self.bits as usize) & ((1 << self.bits) - 1);
                out.push(self.digits[value as usize]);
            }
            if self.bits > 4 {
                out.resize(out.len() + self.group - digits, b'=');
            }
        }
    }
}

fn base58(text: &[u8], out: &mut Vec<u8>) -> Result<(), Unknown> {
    if text.len() > BASE58_MAX_BYTES {
        return Err(Unknown::Decoded);
    }
    let mut number: Vec<u8> = Vec::new();
    let mut zeros = 0;
    for digit in text.iter().filter(|byte| !byte.is_ascii_whitespace()) {
        let Some(value) = BASE58.iter().position(|known| known == digit) else { break };
        zeros += usize::from(value == 0 && number.is_empty());
        let mut carry = value as u32;
        for byte in &mut number {
            carry += u32::from(*byte) * 58;
            *byte = carry as u8;
            carry >>= 8;
        }
        if carry > 0 {
            number.push(carry as u8);
        }
    }
    out.resize(zeros, 0);
    out.extend(number.iter().rev());
    Ok(())
}

// ---- base64, base32, basenc

const BASE: Spec = Spec {
    flags: "dDio",
    values: "wbI",
    long: &[
        ("decode", 'd'),
        ("ignore-garbage", 'i'),
        ("wrap", 'w'),
        ("base64", '6'),
        ("base64url", 'u'),
        ("base32", '3'),
        ("base32hex", 'h'),
        ("base16", '1'),
        ("base2msbf", '2'),
        ("base2lsbf", 'l'),
        ("base58", '5'),
        ("z85", 'z'),
        ("break", 'b'),
        ("input", 'I'),
    ],
    permute: true,
};

pub(super) fn base(call: &Call) -> Output {
    let options = options(call.args, &BASE);
    let decodes = options.has('d') || options.has('D');
    if options.unclear {
        return Err(Unknown::Decoded);
    }
    let operands: Vec<&Text> =
        options.values('I').chain(options.operands.iter().copied()).collect();
    let data = call.read(&operands).map_err(|why| why.max_decoded(decodes))?;
    let bytes = data.known()?;
    let kind = match call.program {
        "base64" => '6',
        "base32" => '3',
        "base58" => '5',
        "base16" => '1',
        _ => options
            .given
            .iter()
            .rev()
            .map(|(letter, _)| *letter)
            .find(|l| "6u3h12l5z".contains(*l))
            .unwrap_or('6'),
    };
    let alphabet = match kind {
        '6' => BASE64,
        'u' => BASE64_URL,
        '3' => BASE32,
        'h' => BASE32_HEX,
        '1' => BASE16,
        '2' => BASE2,
        '5' if decodes => {
            let mut out = Vec::new();
            base58(bytes, &mut out)?;
            return finish(call, &data, out, Step::Base64);
        }
        _ => return Err(Unknown::of(decodes)),
    };
    let mut out = Vec::new();
    if decodes {
        decode_both(alphabet, bytes, options.has('i'), &mut out);
        return finish(call, &data, out, alphabet.step);
    }
    alphabet.encode(bytes, &mut out);
    let width = options.value('w').or(options.value('b')).map(|width| width.as_str().parse().ok());
    let width = width.unwrap_or(Some(76)).ok_or(Unknown::Plain)?;
    finish(call, &data, wrap(out, width), Step::Filter)
}

/// GNU's decoders stop at what is no digit, BusyBox's pass over it: where that matters, what the
/// second prints stands on lines of its own behind what the first does.
fn decode_both(alphabet: Alphabet, text: &[u8], tolerant: bool, out: &mut Vec<u8>) {
    if !alphabet.decode(text, tolerant, out) && !tolerant {
        let mut other = Vec::new();
        alphabet.decode(text, true, &mut other);
        if other != *out {
            out.push(b'\n');
            out.append(&mut other);
        }
    }
}

fn finish(call: &Call, data: &Data, bytes: Vec<u8>, step: Step) -> Output {
    call.changed(data, data.with(bytes), step)
}

/// In lines of `width` characters; 0 is one line without an end.
fn wrap(text: Vec<u8>, width: usize) -> Vec<u8> {
    if width == 0 {
        return text;
    }
    let mut out = Vec::with_capacity(text.len() + text.len() / width + 1);
    for line in text.chunks(width) {
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out
}

// ---- openssl

/// Its options are whole words behind one dash.
struct EncOptions<'a> {
    decodes: bool,
    base64: bool,
    other: bool,
    wraps: bool,
    input: Option<&'a Text>,
    output: Option<&'a Text>,
}

pub(super) fn openssl(call: &Call) -> Output {
    let Some((command, args)) = call.args.split_first() else { return Ok(Default::default()) };
    let command = command.as_str();
    let mut options = EncOptions {
        decodes: false,
        base64: command == "base64",
        other: false,
        wraps: true,
        input: None,
        output: None,
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let option = arg.as_str();
        match option.strip_prefix('-').map(|rest| rest.strip_prefix('-').unwrap_or(rest)) {
            Some("d" | "decrypt") => options.decodes = true,
            Some("a" | "base64") => options.base64 = true,
            Some("A") => options.wraps = false,
            Some("in") => options.input = args.next(),
            Some("out") => options.output = args.next(),
            Some("e" | "none" | "p" | "v") => {}
            Some("bufsize" | "engine" | "provider") => {
                args.next();
            }
            _ => options.other = true,
        }
    }
    match command {
        "base64" | "enc" => {}
        "zlib" => return Err(Unknown::of(options.decodes)),
        "rsautl" | "pkeyutl" | "cms" | "smime" => return Err(Unknown::Decoded),
        name => return Err(Unknown::of(options.decodes || name == "pkcs12")),
    }
    let data = match options.input {
        Some(file) => call.file(file),
        None => call.input(),
    };
    let data = data.map_err(|why| why.max_decoded(options.decodes))?;
    if options.output.is_some_and(|file| !matches!(file.as_str(), "-" | "/dev/stdout")) {
        return Ok(Default::default());
    }
    if options.other || !options.base64 {
        return Err(Unknown::of(options.decodes));
    }
    let mut out = Vec::new();
    if options.decodes {
        BASE64.decode(data.known()?, true, &mut out);
        return finish(call, &data, out, Step::Base64);
    }
    BASE64.encode(data.known()?, &mut out);
    finish(call, &data, wrap(out, if options.wraps { 64 } else { 0 }), Step::Filter)
}

// ---- uuencode

const UUDECODE: Spec =
    Spec { flags: "cps", values: "o", long: &[("output-file", 'o')], permute: true };

pub(super) fn uudecode(call: &Call) -> Output {
    let options = options(call.args, &UUDECODE);
    let data = call.read(&options.operands).map_err(|_| Unknown::Decoded)?;
    data.known()?;
    let mut lines = data.lines();
    let mut to_stdout = options.has('p') || options.has('c');
    to_stdout |= options.value('o').is_some_and(|to| matches!(to.as_str(), "-" | "/dev/stdout"));
    let mut out = Vec::new();
    let base64 = loop {
        let Some(line) = lines.next() else { return Ok(Default::default()) };
        let header = line.strip_suffix(b"\r").unwrap_or(line);
        if header.starts_with(b"begin") {
            to_stdout |= header.ends_with(b" /dev/stdout") || header.ends_with(b" -");
            break header.starts_with(b"begin-base64");
        }
    };
    for line in lines {
        if base64 {
            if line.starts_with(b"====") {
                break;
            }
            BASE64.decode(line, true, &mut out);
            continue;
        }
        let value = |byte: &u8| byte.wrapping_sub(32) & 63;
        let Some((length, digits)) = line.split_first() else { continue };
        let length = usize::from(value(length));
        if length == 0 || line == b"end" {
            break;
        }
        let from = out.len();
        for chunk in digits.chunks(4) {
            let group = chunk.iter().fold(0u32, |group, byte| group << 6 | u32::from(value(byte)));
            let group = group << (6 * (4 - chunk.len()));
            out.extend_from_slice(&[(group >> 16) as u8, (group >> 8) as u8, group as u8]);
        }
        out.truncate(from + length);
    }
    if !to_stdout {
        return Ok(Default::default());
    }
    finish(call, &data, out, Step::Base64)
}

pub(super) fn encoder(_: &Call) -> Output {
    Err(Unknown::Plain)
}

// ---- jq

const JQ: Spec = Spec {
    flags: "rnRjceMCSas",
    values: "fL",
    long: &[("raw-output", 'r'), ("null-input", 'n'), ("raw-input", 'R'), ("join-output", 'j')],
    permute: true,
};

/// The string that a program begins with, and of how many stages it is made: strings and variables
/// that are added to each other, or a list of them that is joined.
fn jq_string(call: &Call, program: &str) -> Option<(String, usize)> {
    let mut stages = program.split('|').map(str::trim);
    let first = stages.next()?;
    let list = first.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let (parts, between) = (first.split('+'), String::new());
    let Some(list) = list else {
        let parts = parts.map(|part| jq_value(call, part.trim()));
        return Some((parts.collect::<Option<Vec<_>>>()?.join(&between), 1));
    };
    let between = match stages.next()? {
        "add" => between,
        joins => jq_value(call, joins.strip_prefix("join(")?.strip_suffix(')')?)?,
    };
    let parts = list.split(',').map(|part| jq_value(call, part.trim()));
    Some((parts.collect::<Option<Vec<_>>>()?.join(&between), 2))
}

/// `"text"`, or `$name` that `--arg` gives.
fn jq_value(call: &Call, written: &str) -> Option<String> {
    if let Some(name) = written.strip_prefix('$') {
        let given = call.args.windows(3).find_map(|words| match words {
            [option, given, value] if option.as_str() == "--arg" && given.as_str() == name => {
                value.as_literal()
            }
            _ => None,
        });
        return given.map(str::to_owned);
    }
    let string = written.strip_prefix('"')?.strip_suffix('"')?;
    (!string.contains(['"', '\\'])).then(|| string.to_owned())
}

/// A string, a raw line, or something unknown, and whether that is decoded.
pub(super) fn jq(call: &Call) -> Output {
    // `--arg NAME VALUE` takes two words.
    let mut args = Vec::with_capacity(call.args.len());
    let mut rest = call.args.iter();
    while let Some(arg) = rest.next() {
        match arg.as_str() {
            "--arg" | "--argjson" => rest.by_ref().take(2).for_each(drop),
            _ => args.push(arg.clone()),
        }
    }
    let options: Options = options(&args, &JQ);
    let Some((program, files)) = options.operands.split_first() else {
        return Err(Unknown::Plain);
    };
    let text = program.as_str();
    let decodes =
        text.contains("@base64d") || text.contains("@base32d") || text.contains("implode");
    let raw = options.has('r') || options.has('j');
    let mut stages = text.split('|').map(str::trim);
    let first = stages.next().unwrap_or_default();
    let before = match first {
        "." if options.has('R') && !options.has('n') => call.read(files),
        "@base64d" if options.has('R') && !options.has('n') => {
            stages = text.split('|').map(str::trim);
            call.read(files)
        }
        _ if options.has('n') => {
            let (string, used) = jq_string(call, text).ok_or(Unknown::of(decodes))?;
            stages = text.split('|').map(str::trim);
            stages.by_ref().take(used).for_each(drop);
            Ok(Data::of_text(&Text::literal(string)))
        }
        _ => Err(Unknown::of(decodes)),
    };
    let mut data = before.map_err(|why| why.max_decoded(decodes))?;
    if !raw || program.has_hole() {
        return Err(Unknown::of(decodes));
    }
    data.steps.extend(program.steps);
    let original = data.clone();
    let mut step = Step::Filter;
    for stage in stages {
        let mut out = Vec::new();
        match stage {
            "@base64d" => BASE64.decode(data.known()?, true, &mut out),
            "." | "tostring" => continue,
            _ => return Err(Unknown::of(decodes)),
        };
        step = Step::Base64;
        data.bytes = out;
    }
    if !options.has('j') && !data.bytes.ends_with(b"\n") {
        data.bytes.push(b'\n');
    }
    call.changed(&original, data, step)
}
