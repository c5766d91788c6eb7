//! `echo` and `printf`, and the escapes that both know.
//!
//! Sources: POSIX echo and printf, the manuals of bash, dash, BusyBox and GNU coreutils.

use std::slice::Iter;

use super::data::{Data, is_marked};
use super::{Call, OUTPUT_MAX_BYTES, Output, Unknown};
use crate::audit::shell::text::{Step, Text};

/// Which escapes there are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `echo -e`, `%b`: all of them; an octal one may start with an extra 0.
    Echo,
    /// `echo` in dash: those of POSIX and `\e`.
    PlainEcho,
    /// A format of `printf`: the quotes too, and octal ones are of three digits in all.
    Format,
}

/// From so many characters on a number of an escape is complete.
const NUMBER_LONGEST: usize = 3;

/// Appends the text with its escapes decoded; false when `\c` ended the output.
pub(super) fn unescape(text: &[u8], dialect: Dialect, out: &mut Vec<u8>) -> bool {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        let Some((letter, tail)) = rest.split_first() else {
            out.push(b'\\');
            return true;
        };
        let begun = out.len();
        let taken = match letter {
            b'a' => simple(7, out),
            b'b' => simple(8, out),
            b'e' | b'E' => simple(27, out),
            b'f' => simple(12, out),
            b'n' => simple(b'\n', out),
            b'r' => simple(b'\r', out),
            b't' => simple(b'\t', out),
            b'v' => simple(11, out),
            b'\\' => simple(b'\\', out),
            b'"' | b'\'' | b'?' if dialect == Dialect::Format => simple(*letter, out),
            b'c' => return false,
            b'0' if dialect != Dialect::Format => {
                let (value, digits) = number(tail, 8, 3);
                out.push((value & 0xFF) as u8);
                1 + digits
            }
            b'0'..=b'7' => {
                let (value, digits) = number(rest, 8, 3);
                out.push((value & 0xFF) as u8);
                digits
            }
            b'x' if dialect != Dialect::PlainEcho => {
                let (value, digits) = number(tail, 16, 2);
                if digits == 0 { 0 } else { simple((value & 0xFF) as u8, out) + digits }
            }
            b'u' | b'U' if dialect != Dialect::PlainEcho => {
                let (value, digits) = number(tail, 16, if *letter == b'u' { 4 } else { 8 });
                match char::from_u32(value).filter(|_| digits > 0) {
                    Some(character) => {
                        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                        1 + digits
                    }
                    None => 0,
                }
            }
            _ => 0,
        };
        // The unknown text behind a backslash, or behind too few digits, is part of the escape.
        let open = matches!(letter, b'x' | b'u' | b'U' | b'0'..=b'7')
            && rest[..taken].len() < NUMBER_LONGEST
            && begins_marked(&rest[taken.max(1)..]);
        if open || taken == 0 && begins_marked(rest) {
            out.truncate(begun);
            rest = &rest[if open { taken.max(1) } else { 0 }..];
            continue;
        }
        if taken == 0 {
            out.push(b'\\');
        }
        rest = &rest[taken..];
    }
    out.extend_from_slice(rest);
    true
}

/// Whether something unknown comes first.
fn begins_marked(text: &[u8]) -> bool {
    text.get(..3).is_some_and(is_marked)
}

fn simple(byte: u8, out: &mut Vec<u8>) -> usize {
    out.push(byte);
    1
}

/// The number at the start of a text, and of how many digits (at most `most`) it is.
pub(super) fn number(text: &[u8], radix: u32, most: usize) -> (u32, usize) {
    let digits = text.iter().take(most).map_while(|byte| char::from(*byte).to_digit(radix));
    digits.fold((0, 0), |(value, count), digit| {
        (value.wrapping_mul(radix).wrapping_add(digit), count + 1)
    })
}

// ---- echo

pub(super) fn echo(call: &Call) -> Output {
    let (mut newline, mut escapes) = (true, None);
    let mut from = 0;
    for arg in call.args {
        let letters = arg.as_str().strip_prefix('-').unwrap_or_default();
        if letters.is_empty() || arg.has_hole() || !letters.chars().all(|l| "neE".contains(l)) {
            break;
        }
        for letter in letters.chars() {
            match letter {
                'n' => newline = false,
                letter => escapes = Some(letter == 'e'),
            }
        }
        from += 1;
    }
    let mut raw = Data::default();
    for (at, arg) in call.args.iter().skip(from).enumerate() {
        if at > 0 {
            raw.push_char(' ');
        }
        raw.push_text(arg);
        raw.steps.extend(arg.steps);
    }
    let mut out = raw.with(Vec::with_capacity(raw.bytes.len() + 1));
    let complete = match escapes {
        Some(false) => {
            out.bytes.clone_from(&raw.bytes);
            true
        }
        Some(true) => unescape(&raw.bytes, Dialect::Echo, &mut out.bytes),
        None => unescape(&raw.bytes, Dialect::PlainEcho, &mut out.bytes),
    };
    if escapes.is_none()
        && let Some(likelier) = ambiguity(&raw.bytes)
    {
        // Shells disagree on whether this is an escape: both readings stand there, a line each.
        let (mut first, mut second) = (raw.bytes.clone(), std::mem::take(&mut out.bytes));
        if likelier == Reading::Escape {
            std::mem::swap(&mut first, &mut second);
        }
        first.push(b'\n');
        first.append(&mut second);
        out.bytes = first;
    }
    if out.bytes != raw.bytes {
        out.steps.add(Step::EscapesDecoded);
    }
    if newline && complete {
        out.bytes.push(b'\n');
    }
    out.check_size()?;
    Ok(out.into_stream())
}

/// What a backslash and what stands behind it are.
#[derive(Clone, Copy, PartialEq)]
enum Reading {
    Escape,
    Characters,
}

fn is_octal(byte: u8) -> bool {
    matches!(byte, b'0'..=b'7')
}

/// What a backslash that stands in a path and may begin an escape is likelier to be: bash and
/// BusyBox print it as it is, and a shell that reads that would drop the backslash.
fn ambiguity(text: &[u8]) -> Option<Reading> {
    let mut in_path = false;
    let mut bytes = text.iter().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'/' => in_path = true,
            b' ' | b'\t' | b'\n' => in_path = false,
            b'\\' => {
                let letter = bytes.next();
                let mut ahead = bytes.clone();
                let inside = ahead.peek().is_some_and(|next| !next.is_ascii_whitespace());
                let found = match letter {
                    // At the end of a line they are meant.
                    Some(b'c' | b'n' | b'r' | b't') => inside.then_some(Reading::Escape),
                    Some(b'a' | b'b' | b'e' | b'f' | b'v') => Some(Reading::Characters),
                    // A number of a character that no path has.
                    Some(digit @ b'0'..=b'7') => {
                        let digits = std::iter::from_fn(|| ahead.next_if(|next| is_octal(**next)));
                        let more = digits.take(2).map(|digit| u32::from(digit - b'0'));
                        let code =
                            more.fold(u32::from(digit - b'0'), |code, digit| code * 8 + digit);
                        (code < 0x20).then_some(Reading::Characters)
                    }
                    _ => None,
                };
                if in_path && found.is_some() {
                    return found;
                }
            }
            _ => {}
        }
    }
    None
}

// ---- printf

pub(super) fn printf(call: &Call) -> Output {
    let args = match call.args {
        [option, _, ..] if option.as_str() == "-v" => return Ok(Default::default()),
        args => args,
    };
    Ok(format(args)?.into_stream())
}

/// What a format makes of its arguments, again and again until none is left.
pub(super) fn format(args: &[Text]) -> Result<Data, Unknown> {
    let args = match args {
        [dashes, rest @ ..] if dashes.as_str() == "--" => rest,
        args => args,
    };
    let Some((format, mut args)) = args.split_first() else { return Ok(Data::default()) };
    let coded = Data::of_text(format);
    let items = items(&coded.bytes);
    let takes = items.iter().any(Item::takes_argument);
    let mut out = coded.with(Vec::new());
    args.iter().for_each(|arg| out.steps.extend(arg.steps));
    let all = args;
    loop {
        let mut rest = args.iter();
        if !round(&items, &mut rest, &mut out)? {
            break;
        }
        let left = rest.as_slice();
        if left.is_empty() || !takes || left.len() == args.len() {
            break;
        }
        args = left;
    }
    if !is_copy(&out, format, all) {
        out.steps.add(Step::EscapesDecoded);
    }
    Ok(out)
}

/// Whether nothing happened but that one argument is printed.
fn is_copy(out: &Data, format: &Text, args: &[Text]) -> bool {
    let printed = out.bytes.strip_suffix(b"\n").unwrap_or(&out.bytes);
    let plain = format.as_str().strip_suffix("\\n").unwrap_or(format.as_str());
    match args {
        [] => printed == plain.as_bytes() || out.marked && !plain.contains(['\\', '%']),
        [only] => printed == only.as_str().as_bytes() || out.marked && plain == "%s",
        _ => false,
    }
}

pub(super) enum Item {
    Text(Vec<u8>),
    /// `\c`, or a conversion that there is not.
    Stop,
    Conversion(Conversion),
}

impl Item {
    fn takes_argument(&self) -> bool {
        matches!(self, Item::Conversion(_))
    }
}

pub(super) struct Conversion {
    left: bool,
    zero: bool,
    /// `+`, a space, or nothing.
    sign: &'static str,
    alternative: bool,
    width: Size,
    precision: Size,
    pub letter: u8,
}

impl Conversion {
    /// How many arguments its width and precision take.
    pub fn sizes(&self) -> usize {
        let is_argument = |size| usize::from(matches!(size, Size::Argument));
        is_argument(self.width) + is_argument(self.precision)
    }
}

#[derive(Clone, Copy)]
enum Size {
    None,
    Fixed(usize),
    Argument,
}

fn items(format: &[u8]) -> Vec<Item> {
    let mut items = Vec::new();
    let mut rest = format;
    while !rest.is_empty() {
        let end = memchr::memchr(b'%', rest).unwrap_or(rest.len());
        if end > 0 {
            let mut text = Vec::new();
            let complete = unescape(&rest[..end], Dialect::Format, &mut text);
            items.push(Item::Text(text));
            if !complete {
                items.push(Item::Stop);
                return items;
            }
            rest = &rest[end..];
            continue;
        }
        match conversion(&rest[1..]) {
            Some((item, tail)) => {
                items.push(item);
                rest = tail;
            }
            None => {
                items.push(Item::Stop);
                return items;
            }
        }
    }
    items
}

/// What follows a `%`, and what follows that.
pub(super) fn conversion(text: &[u8]) -> Option<(Item, &[u8])> {
    if let Some(tail) = text.strip_prefix(b"%") {
        return Some((Item::Text(vec![b'%']), tail));
    }
    let mut conversion = Conversion {
        left: false,
        zero: false,
        sign: "",
        alternative: false,
        width: Size::None,
        precision: Size::None,
        letter: b's',
    };
    let mut rest = text;
    while let Some((flag, tail)) = rest.split_first() {
        match flag {
            b'-' => conversion.left = true,
            b'0' => conversion.zero = true,
            b'+' => conversion.sign = "+",
            b' ' if conversion.sign.is_empty() => conversion.sign = " ",
            b' ' | b'\'' => {}
            b'#' => conversion.alternative = true,
            _ => break,
        }
        rest = tail;
    }
    (conversion.width, rest) = size(rest);
    if let Some(tail) = rest.strip_prefix(b".") {
        (conversion.precision, rest) = size(tail);
        if let Size::None = conversion.precision {
            conversion.precision = Size::Fixed(0);
        }
    }
    if let Some(date) = rest.strip_prefix(b"(") {
        let end = date.windows(2).position(|pair| pair == b")T")?;
        conversion.letter = b'T';
        return Some((Item::Conversion(conversion), &date[end + 2..]));
    }
    while let Some((b'h' | b'l' | b'L' | b'j' | b'z' | b't', tail)) = rest.split_first() {
        rest = tail;
    }
    let (letter, rest) = rest.split_first()?;
    conversion.letter = *letter;
    b"sbqQcdiouxXeEfFgGaAn".contains(letter).then_some((Item::Conversion(conversion), rest))
}

fn size(text: &[u8]) -> (Size, &[u8]) {
    if let Some(tail) = text.strip_prefix(b"*") {
        return (Size::Argument, tail);
    }
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (value, tail) = text.split_at(digits);
    if digits == 0 {
        return (Size::None, tail);
    }
    let value = value.iter().fold(0usize, |value, digit| {
        value.saturating_mul(10).saturating_add(usize::from(digit - b'0'))
    });
    (Size::Fixed(value), tail)
}

/// The format once; false when the output ends here.
fn round(items: &[Item], args: &mut Iter<Text>, out: &mut Data) -> Result<bool, Unknown> {
    for item in items {
        match item {
            Item::Text(text) => out.bytes.extend_from_slice(text),
            Item::Stop => return Ok(false),
            Item::Conversion(conversion) => {
                if !convert(conversion, args, out)? {
                    return Ok(false);
                }
            }
        }
        out.check_size()?;
    }
    Ok(true)
}

pub(super) fn convert(
    conversion: &Conversion,
    args: &mut Iter<Text>,
    out: &mut Data,
) -> Result<bool, Unknown> {
    let mut left = conversion.left;
    let width = match conversion.width {
        Size::None => 0,
        Size::Fixed(width) => width,
        Size::Argument => {
            let width = args.next().map_or(Some(0), integer);
            left |= width.is_some_and(|width| width < 0);
            usize::try_from(width.unwrap_or(0).unsigned_abs()).unwrap_or(usize::MAX)
        }
    };
    let precision = match conversion.precision {
        Size::None => None,
        Size::Fixed(precision) => Some(precision),
        Size::Argument => {
            let precision = args.next().map_or(Some(0), integer);
            precision.and_then(|precision| usize::try_from(precision).ok())
        }
    };
    if width.max(precision.unwrap_or(0)) > OUTPUT_MAX_BYTES {
        return Err(Unknown::Decoded);
    }
    let empty = Text::new();
    let arg = args.next().unwrap_or(&empty);
    if arg.has_hole() && conversion.letter != b'b' || arg.has_hole() && precision.is_some() {
        match conversion.letter {
            b's' | b'b' | b'q' | b'Q' if precision.is_none() => {
                out.push_text(arg);
                out.marked = true;
            }
            _ => out.push_hole(),
        }
        return Ok(true);
    }
    let mut complete = true;
    let mut field = Data::default();
    match conversion.letter {
        b's' => {
            field.push_text(arg);
            truncate(&mut field, precision);
        }
        b'b' => {
            let coded = Data::of_text(arg);
            field.marked = coded.marked;
            complete = unescape(&coded.bytes, Dialect::Echo, &mut field.bytes);
            truncate(&mut field, precision);
        }
        b'q' | b'Q' => quote(arg.as_str(), &mut field),
        b'c' => {
            field.push_text(arg);
            truncate(&mut field, Some(1));
        }
        b'T' | b'e' | b'E' | b'g' | b'G' | b'a' | b'A' => {
            out.push_hole();
            return Ok(true);
        }
        b'f' | b'F' => {
            let value: f64 = arg.as_str().trim().parse().unwrap_or(0.0);
            let digits = precision.unwrap_or(6).min(64);
            let sign = if value >= 0.0 { conversion.sign } else { "" };
            field.push_str(&format!("{sign}{value:.digits$}"));
        }
        b'n' => {}
        letter => match integer(arg) {
            Some(value) => field.push_str(&integer_text(conversion, letter, value, precision)),
            None => field.push_char('0'),
        },
    }
    let length = String::from_utf8_lossy(&field.bytes).chars().count();
    let padding = width.saturating_sub(length);
    let numeric = b"diouxXfF".contains(&conversion.letter);
    let zeros = conversion.zero && numeric && !left;
    let zeros = zeros && (precision.is_none() || b"fF".contains(&conversion.letter));
    out.marked |= field.marked;
    if left {
        out.bytes.extend_from_slice(&field.bytes);
        out.bytes.resize(out.bytes.len() + padding, b' ');
    } else if zeros {
        let prefix = prefix_length(&field.bytes);
        out.bytes.extend_from_slice(&field.bytes[..prefix]);
        out.bytes.resize(out.bytes.len() + padding, b'0');
        out.bytes.extend_from_slice(&field.bytes[prefix..]);
    } else {
        out.bytes.resize(out.bytes.len() + padding, b' ');
        out.bytes.extend_from_slice(&field.bytes);
    }
    Ok(complete)
}

/// How much of a number stands before the zeros that fill it up.
fn prefix_length(number: &[u8]) -> usize {
    let sign = usize::from(matches!(number.first(), Some(b'-' | b'+' | b' ')));
    let hexadecimal = matches!(number.get(sign..sign + 2), Some(b"0x" | b"0X"));
    if hexadecimal { sign + 2 } else { sign }
}

fn integer_text(
    conversion: &Conversion,
    letter: u8,
    value: i128,
    precision: Option<usize>,
) -> String {
    let signed = value.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
    let bits = if value < 0 { signed as i64 as u64 } else { value.min(u64::MAX.into()) as u64 };
    let (sign, digits) = match letter {
        b'd' | b'i' if signed < 0 => ("-", signed.unsigned_abs().to_string()),
        b'd' | b'i' => (conversion.sign, signed.to_string()),
        b'o' if conversion.alternative && bits != 0 => ("", format!("0{bits:o}")),
        b'o' => ("", format!("{bits:o}")),
        b'x' => (if conversion.alternative && bits != 0 { "0x" } else { "" }, format!("{bits:x}")),
        b'X' => (if conversion.alternative && bits != 0 { "0X" } else { "" }, format!("{bits:X}")),
        _ => ("", bits.to_string()),
    };
    let zeros = precision.unwrap_or(0).saturating_sub(digits.len());
    format!("{sign}{}{digits}", "0".repeat(zeros))
}

fn truncate(field: &mut Data, precision: Option<usize>) {
    let Some(most) = precision else { return };
    let text = String::from_utf8_lossy(&field.bytes);
    if let Some((end, _)) = text.char_indices().nth(most) {
        field.bytes = text.get(..end).unwrap_or_default().as_bytes().to_vec();
    }
}

/// A number as `printf` reads it: `0x1f`, `017`, `'a` for the character's code. What is none is 0,
/// or what it starts with; `None` only for a text that is not known.
fn integer(arg: &Text) -> Option<i128> {
    if arg.has_hole() {
        return None;
    }
    let text = arg.as_str().trim_start();
    if let Some(character) = text.strip_prefix(['\'', '"']) {
        return Some(character.chars().next().map_or(0, |character| character as i128));
    }
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let (radix, digits) = match hexadecimal {
        Some(digits) => (16, digits),
        None if text.starts_with('0') => (8, text),
        None => (10, text),
    };
    let mut value: i128 = 0;
    for digit in digits.chars().map_while(|character| character.to_digit(radix)) {
        value = (value * i128::from(radix) + i128::from(digit)).min(i128::from(u64::MAX));
    }
    Some(if negative { -value } else { value })
}

/// As the shell would need it quoted.
fn quote(text: &str, out: &mut Data) {
    if text.is_empty() {
        out.push_str("''");
    }
    for character in text.chars() {
        if character.is_ascii()
            && !character.is_ascii_alphanumeric()
            && !"/._-+:@%,=".contains(character)
        {
            out.push_char('\\');
        }
        out.push_char(character);
    }
}
