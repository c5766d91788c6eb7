//! Names and values within one text: `password=x`, `"password": "x"`, `X-Api-Key: x`,
//! `Password=x;Server=y`, `?api_key=x&a=b`.
//!
//! Owns where such a value begins and ends in a text that no shell takes apart any further: the
//! body of a request, a connection string, a header, a file that is written.

use std::ops::Range;

use super::{REDACTED, names};

/// How far is looked ahead for the name of the next pair.
const NEXT_NAME_MAX_BYTES: usize = 48;
/// How many spaces may stand between a name and its value.
const SPACES_MAX: usize = 64;
/// Kinds of `Authorization`.
const SCHEMES: [&str; 7] = ["basic", "bearer", "digest", "negotiate", "token", "apikey", "aws4"];

/// The values whose names are those of secrets, in order.
pub fn values(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut past = 0;
    for at in memchr::memchr2_iter(b'=', b':', bytes) {
        if at < past {
            continue;
        }
        if let Some(value) = value_of(text, at) {
            past = value.end;
            if !value.is_empty() && !names::is_open(&text[value.clone()]) {
                out.push(value);
            }
        }
    }
    out
}

/// The value of the pair whose sign is at `at`, if its name is that of a secret.
fn value_of(text: &str, at: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let colon = bytes[at] == b':';
    let byte = |at: usize| bytes.get(at).copied();
    let before = |at: usize| at.checked_sub(1).and_then(byte);

    // `a[token]`, `"token"`, `\"token\"`, `token `.
    let mut end = at;
    while at - end < 4 && matches!(before(end), Some(b' ' | b'\t')) {
        end -= 1;
    }
    let spaced = end < at;
    if colon && spaced && !matches!(before(end), Some(b'"' | b'\'')) {
        return None;
    }
    if matches!(before(end), Some(b'+' | b':')) && !colon {
        end -= 1;
    }
    let quoted = matches!(before(end), Some(b'"' | b'\''));
    while matches!(before(end), Some(b'"' | b'\'' | b']' | b'\\')) && at - end < 8 {
        end -= 1;
    }
    let mut start = end;
    while before(start).is_some_and(is_name_byte) {
        start -= 1;
        if end - start > names::NAME_MAX_BYTES {
            return None;
        }
    }
    let name = &text[start..end];
    let left = before(start);
    let apart = left.is_none_or(|byte| byte.is_ascii_whitespace() || b"{,\"'[(\\".contains(&byte));
    // `http.extraheader=X-Token: x`
    let header_apart = left == Some(b'=') && byte(at + 1) == Some(b' ');
    if colon && !apart && !header_apart {
        return None;
    }
    let header = names::is_secret_header(name);
    if !header && !names::is_secret(name) {
        return None;
    }

    let mut from = at + 1;
    match (colon, byte(from)) {
        // A comparison, a scheme, a name in another.
        (false, Some(b'=' | b'~')) | (true, Some(b'/' | b':' | b'-' | b'+')) => return None,
        (false, Some(b'>')) => from += 1,
        (true, Some(b'=')) => from += 1,
        _ => {}
    }
    let sign_end = from;
    while from - sign_end < SPACES_MAX && matches!(byte(from), Some(b' ' | b'\t')) {
        from += 1;
    }
    if !colon && from > sign_end && !spaced && bytes[sign_end - 1] != b'>' {
        // `PASSWORD= command`
        return None;
    }
    let whole_line = colon && !quoted && matches!(left, None | Some(b'\n'));
    let value = match whole_line {
        true => line(text, from),
        false => value(text, from, colon, quoted, left),
    };
    if header { Some(without_scheme(text, value)) } else { Some(value) }
}

/// What is left of the line, without quotes around the whole.
fn line(text: &str, from: usize) -> Range<usize> {
    let rest = text.get(from..).unwrap_or_default();
    let line = rest.split(['\n', '\r']).next().unwrap_or_default().trim_end();
    let quote = line.chars().next().filter(|c| matches!(c, '"' | '\''));
    match quote.and_then(|quote| line[1..].strip_suffix(quote).filter(|in_| !in_.contains(quote))) {
        Some(inner) => from + 1..from + 1 + inner.len(),
        None => from..from + line.len(),
    }
}

/// The value that begins at `from`.
fn value(text: &str, from: usize, colon: bool, quoted: bool, left: Option<u8>) -> Range<usize> {
    let bytes = text.as_bytes();
    let rest = &bytes[from.min(bytes.len())..];
    let escaped = rest.first() == Some(&b'\\') && matches!(rest.get(1), Some(b'"' | b'\''));
    let open = from + usize::from(escaped);
    if let Some(quote @ (b'"' | b'\'')) = bytes.get(open).copied() {
        return open + 1..closing(bytes, open + 1, quote, escaped);
    }
    let mut end = from;
    if rest.starts_with(b".*") {
        return from..from + 2;
    }
    while let Some(&byte) = bytes.get(end) {
        if byte == b'[' && text[end..].starts_with(REDACTED) {
            end += REDACTED.len();
            continue;
        }
        let after = bytes.get(end + 1).copied();
        let stops = match byte {
            b'\n' | b'\r' | b'"' | b'\'' => true,
            b'\\' if matches!(after, Some(b'n' | b'"' | b'\'')) => true,
            b' ' | b'\t' if !colon => true,
            b' ' | b'\t' => after == Some(b'#') || quoted,
            b'&' if matches!(left, Some(b'?' | b'&')) => true,
            b';' | b',' | b'&' if colon && !quoted => next_is_name(bytes, end + 1) && byte == b',',
            b';' | b',' | b'&' => quoted || ends(after) || next_is_name(bytes, end + 1),
            b')' | b'}' | b']' | b'>' => ends(after) || quoted,
            b'|' | b'<' => !colon && ends(after),
            _ => false,
        };
        if stops {
            break;
        }
        end += 1;
    }
    let trimmed = text.get(from..end).unwrap_or_default().trim_end();
    from..from + trimmed.len()
}

/// Where the quotation that begins at `from` ends: before its quote, else with the text.
fn closing(bytes: &[u8], from: usize, quote: u8, escaped: bool) -> usize {
    let mut at = from;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' if escaped && bytes.get(at + 1) == Some(&quote) => return at,
            b'\\' => at += 2,
            byte if byte == quote => return at,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Whether a value may end before such a byte.
fn ends(next: Option<u8>) -> bool {
    next.is_none_or(|byte| byte.is_ascii_whitespace() || b",;)}]\"'".contains(&byte))
}

/// Whether another pair begins here: `Server=`, ` User Id =`, `"user":`.
fn next_is_name(bytes: &[u8], from: usize) -> bool {
    let rest = bytes.get(from..).unwrap_or_default();
    let rest = &rest[..rest.len().min(NEXT_NAME_MAX_BYTES)];
    let is_name = |byte: &u8| is_name_byte(*byte) || b" \"'".contains(byte);
    let end = rest.iter().position(|byte| !is_name(byte));
    end.is_some_and(|end| end > 0 && matches!(rest[end], b'=' | b':'))
}

/// `Bearer x` without its first word.
fn without_scheme(text: &str, value: Range<usize>) -> Range<usize> {
    let Some((first, rest)) = text[value.clone()].split_once(' ') else { return value };
    let rest = rest.trim_start();
    if !rest.is_empty() && SCHEMES.iter().any(|scheme| first.eq_ignore_ascii_case(scheme)) {
        return value.end - rest.len()..value.end;
    }
    value
}

pub fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)
}

/// Whether a word is one that says how an `Authorization` is to be read.
pub fn is_scheme(word: &str) -> bool {
    SCHEMES.iter().any(|scheme| word.eq_ignore_ascii_case(scheme))
}
