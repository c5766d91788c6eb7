//! Encodings that code undoes: pure functions on known texts.
//!
//! Owns no knowledge of languages. Results are bounded by `TEXT_MAX_BYTES`; what cannot be
//! decoded is `None`.

use std::io::Read;

use super::value::{TEXT_MAX_BYTES, Value, bytes_of, from_bytes};

/// Base64 of any alphabet; characters outside it are skipped, as most decoders do.
pub(super) fn base64(text: &str) -> Vec<u8> {
    let sextet = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    };
    let digits = text.bytes().take_while(|byte| *byte != b'=').filter_map(sextet);
    packed_bits(digits, 6)
}

/// Base32 of RFC 4648, in any case.
pub(super) fn base32(text: &str) -> Vec<u8> {
    let quintet = |byte: u8| match byte.to_ascii_uppercase() {
        letter @ b'A'..=b'Z' => Some(letter - b'A'),
        digit @ b'2'..=b'7' => Some(digit - b'2' + 26),
        _ => None,
    };
    packed_bits(text.bytes().take_while(|byte| *byte != b'=').filter_map(quintet), 5)
}

fn packed_bits(digits: impl Iterator<Item = u8>, width: u32) -> Vec<u8> {
    let (mut out, mut bits, mut held) = (Vec::new(), 0_u32, 0_u32);
    for digit in digits {
        bits = bits << width | u32::from(digit);
        held += width;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held & 0xff) as u8);
            bits &= (1 << held) - 1;
        }
    }
    out
}

/// Base85 as in RFC 1924 (git) or, with `ascii`, as Adobe's.
pub(super) fn base85(text: &str, ascii: bool) -> Option<Vec<u8>> {
    const RFC1924: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz\
                           !#$%&()*+-;<=>?@^_`{|}~";
    let digit = |byte: u8| {
        if ascii {
            byte.checked_sub(b'!').filter(|digit| *digit < 85).map(u64::from)
        } else {
            RFC1924.bytes().position(|known| known == byte).map(|at| at as u64)
        }
    };
    let text = text.trim();
    let text = text.strip_prefix("<~").unwrap_or(text);
    let text = text.strip_suffix("~>").unwrap_or(text);
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let mut out = Vec::new();
    for group in digits.chunks(5) {
        let missing = 5 - group.len();
        let mut number = 0_u64;
        for at in 0..5 {
            number = number * 85 + group.get(at).map_or(Some(84), |byte| digit(*byte))?;
        }
        let bytes = u32::try_from(number).ok()?.to_be_bytes();
        out.extend_from_slice(bytes.get(..4 - missing.min(4))?);
    }
    Some(out)
}

/// Pairs of hexadecimal digits; white space and separators between them are skipped.
pub(super) fn hex(text: &str) -> Option<Vec<u8>> {
    let mut digits = text.bytes().filter(|byte| !byte.is_ascii_whitespace() && *byte != b':');
    let mut out = Vec::with_capacity(text.len() / 2);
    while let Some(high) = digits.next() {
        let low = digits.next().unwrap_or(b'0');
        out.push(hex_digit(high)? << 4 | hex_digit(low)?);
    }
    Some(out)
}

pub(super) fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

pub(super) fn rot13(text: &str) -> String {
    let turn = |letter: u8, base: u8| char::from((letter - base + 13) % 26 + base);
    text.chars()
        .map(|c| match c {
            'a'..='z' => turn(c as u8, b'a'),
            'A'..='Z' => turn(c as u8, b'A'),
            _ => c,
        })
        .collect()
}

/// Percent-encoding with `%uXXXX`; what is malformed stays. The result's characters are bytes,
/// unless `%u` was used.
pub(super) fn percent(text: &str, plus_is_space: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let number = |from: usize, to: usize| {
            rest.get(from..to).and_then(|digits| u32::from_str_radix(digits, 16).ok())
        };
        let (decoded, used) = match character {
            '%' if rest.starts_with("%u") => (number(2, 6).and_then(char::from_u32), 6),
            '%' => (number(1, 3).and_then(char::from_u32), 3),
            '+' if plus_is_space => (Some(' '), 1),
            _ => (None, 0),
        };
        let used = if decoded.is_some() { used } else { character.len_utf8() };
        out.push(decoded.unwrap_or(character));
        rest = rest.get(used..).unwrap_or("");
    }
    out
}

/// What zlib, gzip or raw deflate hold, at most as much as is kept.
pub(super) fn inflate(bytes: &[u8]) -> Option<Vec<u8>> {
    let limit = TEXT_MAX_BYTES as u64;
    let mut out = Vec::new();
    let read = match bytes {
        [0x1f, 0x8b, ..] => {
            flate2::read::GzDecoder::new(bytes).take(limit).read_to_end(&mut out).is_ok()
        }
        [first, second, ..]
            if first & 0x0f == 8
                && (u32::from(*first) * 256 + u32::from(*second)).is_multiple_of(31) =>
        {
            flate2::read::ZlibDecoder::new(bytes).take(limit).read_to_end(&mut out).is_ok()
        }
        _ => flate2::read::DeflateDecoder::new(bytes).take(limit).read_to_end(&mut out).is_ok(),
    };
    // What came out before an error would come out of the real one, too.
    (read || !out.is_empty()).then_some(out)
}

/// `tr` and its kin: the nth character of `from` becomes the nth of `to`, whose last one counts
/// for the rest. `delete` removes those for which `to` has none.
pub(super) fn transliterated(text: &str, from: &str, to: &str, delete: bool) -> String {
    let complement = from.len() > 1 && from.starts_with('^');
    let from = expanded_ranges(from.strip_prefix('^').filter(|_| complement).unwrap_or(from));
    let to = expanded_ranges(to);
    let last = if delete { None } else { to.last().copied() };
    // Linear: both sets are looked up, not searched.
    let mut table: std::collections::HashMap<char, Option<char>> = Default::default();
    for (at, character) in from.iter().enumerate() {
        let with = to.get(at).copied().or(last);
        table.entry(*character).or_insert(with);
    }
    let keep_all = to.is_empty() && !delete;
    text.chars()
        .filter_map(|c| match (table.get(&c), complement) {
            (None, false) | (Some(_), true) => Some(c),
            (None, true) => last,
            (Some(_), false) if keep_all => Some(c),
            (Some(with), false) => *with,
        })
        .collect()
}

/// `a-e` written out.
fn expanded_ranges(set: &str) -> Vec<char> {
    let characters: Vec<char> = set.chars().collect();
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(first) = characters.get(at) {
        match (characters.get(at + 1), characters.get(at + 2)) {
            (Some('-'), Some(last)) if last >= first && out.len() < TEXT_MAX_BYTES => {
                out.extend((*first..=*last).take(0x1_0000));
                at += 3;
            }
            _ => {
                out.push(*first);
                at += 1;
            }
        }
    }
    out
}

/// Bytes combined with a key that repeats.
pub(super) fn xor(left: &str, right: &str, repeat: bool) -> String {
    let (left, key) = (bytes_of(left), bytes_of(right));
    if key.is_empty() {
        return from_bytes(&left);
    }
    let length = if repeat { left.len() } else { left.len().min(key.len()) };
    let mixed: Vec<u8> =
        left.iter().zip(key.iter().cycle()).take(length).map(|(a, b)| a ^ b).collect();
    from_bytes(&mixed)
}

/// The letters and counts of a `pack` template; no count is 1, `*` is all.
fn template(text: &str) -> Vec<(u8, Option<usize>)> {
    let mut items = Vec::new();
    let mut bytes = text.bytes().peekable();
    while let Some(letter) = bytes.next() {
        if !letter.is_ascii_alphabetic() {
            continue;
        }
        while bytes.next_if(|byte| matches!(byte, b'<' | b'>' | b'!' | b'_')).is_some() {}
        if bytes.next_if_eq(&b'*').is_some() {
            items.push((letter, None));
            continue;
        }
        let mut count = None;
        while let Some(digit) = bytes.next_if(u8::is_ascii_digit) {
            let digit = usize::from(digit - b'0');
            count = Some(count.unwrap_or(0_usize).saturating_mul(10).saturating_add(digit));
        }
        items.push((letter, Some(count.unwrap_or(1))));
    }
    items
}

/// Perl's and Ruby's `pack`, for the letters that make strings of numbers or of digits.
pub(super) fn pack(format: &str, values: &[Value]) -> Option<String> {
    let mut values = values.iter();
    let mut out = String::new();
    for (letter, count) in template(format) {
        if out.len() > TEXT_MAX_BYTES {
            return None;
        }
        match letter {
            b'a' | b'A' | b'Z' | b'H' | b'h' => {
                let value = values.next()?.text();
                let text = value.as_literal()?;
                let text = match count {
                    Some(count) if count > 1 => text.get(..count.min(text.len()))?,
                    _ => text,
                };
                match letter {
                    b'H' => out.push_str(&from_bytes(&hex(text)?)),
                    b'h' => {
                        let swapped: Vec<u8> =
                            hex(text)?.iter().map(|b| b.rotate_left(4)).collect();
                        out.push_str(&from_bytes(&swapped));
                    }
                    _ => out.push_str(text),
                }
            }
            b'c' | b'C' | b'U' | b'W' | b'n' | b'N' | b'v' | b'V' => {
                let take = count.unwrap_or(usize::MAX).min(values.len());
                for value in values.by_ref().take(take) {
                    let number = value.as_int()?;
                    match letter {
                        b'U' | b'W' => out.push(char::from_u32(u32::try_from(number).ok()?)?),
                        b'n' => out.push_str(&from_bytes(&(number as u16).to_be_bytes())),
                        b'N' => out.push_str(&from_bytes(&(number as u32).to_be_bytes())),
                        b'v' => out.push_str(&from_bytes(&(number as u16).to_le_bytes())),
                        b'V' => out.push_str(&from_bytes(&(number as u32).to_le_bytes())),
                        _ => out.push(char::from(number as u8)),
                    }
                }
            }
            b'x' => out.push('\0'),
            _ => return None,
        }
    }
    Some(out)
}

/// What `unpack` with `format` makes of `text`: the parts.
pub(super) fn unpack(format: &str, text: &str) -> Option<Vec<Value>> {
    let mut rest = text;
    let mut parts = Vec::new();
    for (letter, count) in template(format) {
        let built = |text: String| Value::built(text, Default::default());
        match letter {
            b'm' => parts.push(built(from_bytes(&base64(std::mem::take(&mut rest))))),
            b'u' => parts.push(built(from_bytes(&uuencoded(std::mem::take(&mut rest))))),
            b'H' => {
                let bytes = bytes_of(std::mem::take(&mut rest));
                parts.push(built(bytes.iter().map(|byte| format!("{byte:02x}")).collect()));
            }
            b'a' | b'A' | b'Z' => {
                let length = count.unwrap_or(usize::MAX);
                let at = rest.char_indices().nth(length).map_or(rest.len(), |(at, _)| at);
                let (part, tail) = rest.split_at(at);
                rest = tail;
                parts.push(built(part.to_owned()));
            }
            b'c' | b'C' | b'U' | b'W' => {
                for _ in 0..count.unwrap_or(usize::MAX) {
                    let Some(character) = rest.chars().next() else { break };
                    rest = rest.get(character.len_utf8()..)?;
                    parts.push(Value::Int(i64::from(u32::from(character))));
                }
            }
            _ => return None,
        }
    }
    Some(parts)
}

fn uuencoded(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for line in text.lines() {
        let Some((length, digits)) = line.as_bytes().split_first() else { continue };
        let length = usize::from(length.wrapping_sub(32) & 63);
        let mut bytes = packed_bits(digits.iter().map(|byte| byte.wrapping_sub(32) & 63), 6);
        bytes.truncate(length);
        out.extend(bytes);
    }
    out
}
