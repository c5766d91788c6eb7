//! `$'…'`: its escapes. Source: the manual of GNU bash 5, "ANSI-C Quoting".

/// What a quoted text decodes to.
pub(super) struct Decoded {
    pub(super) text: String,
    /// Bytes of the source up to and with the closing quote, or all of them.
    pub(super) length: usize,
    /// `\'` is in it: a shell without this quoting sees its end there.
    pub(super) escaped_quote: bool,
}

/// Decodes from behind the opening quote. A zero byte ends the text, as in bash; bytes that are
/// no UTF-8 together become U+FFFD.
pub(super) fn decode(source: &str) -> Decoded {
    let bytes = source.as_bytes();
    let mut out: Vec<u8> = Vec::new();
    let mut escaped_quote = false;
    let mut at = 0;
    loop {
        match bytes.get(at) {
            None => break,
            Some(b'\'') => {
                at += 1;
                break;
            }
            Some(b'\\') => {
                escaped_quote |= bytes.get(at + 1) == Some(&b'\'');
                at += 1 + escape(bytes.get(at + 1..).unwrap_or_default(), &mut out);
            }
            Some(byte) => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    if let Some(zero) = out.iter().position(|byte| *byte == 0) {
        out.truncate(zero);
    }
    let text = match String::from_utf8(out) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    };
    Decoded { text, length: at.min(bytes.len()), escaped_quote }
}

/// One escape behind its backslash; how many bytes it takes. What is no escape stays with its
/// backslash.
fn escape(rest: &[u8], out: &mut Vec<u8>) -> usize {
    let Some(&letter) = rest.first() else {
        out.push(b'\\');
        return 0;
    };
    let digits = rest.get(1..).unwrap_or_default();
    let decoded = match letter {
        b'n' => b'\n',
        b't' => b'\t',
        b'a' => 7,
        b'b' => 8,
        b'e' | b'E' => 27,
        b'f' => 12,
        b'r' => b'\r',
        b'v' => 11,
        b'\\' | b'\'' | b'"' | b'?' => letter,
        b'0'..=b'7' => {
            let (value, length) = number(rest, 8, 3);
            out.push((value & 0xff) as u8);
            return length;
        }
        b'x' if digits.first() == Some(&b'{') => {
            let (value, length) = number(digits.get(1..).unwrap_or_default(), 16, usize::MAX);
            out.push((value & 0xff) as u8);
            let closed = digits.get(1 + length) == Some(&b'}');
            return 2 + length + usize::from(closed);
        }
        b'x' => match number(digits, 16, 2) {
            (_, 0) => return keep(b'x', out),
            (value, length) => {
                out.push((value & 0xff) as u8);
                return 1 + length;
            }
        },
        b'u' | b'U' => match number(digits, 16, if letter == b'u' { 4 } else { 8 }) {
            (_, 0) => return keep(letter, out),
            (value, length) => {
                let character = char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                return 1 + length;
            }
        },
        b'c' => match digits.first() {
            None | Some(b'\'') => return keep(b'c', out),
            Some(b'?') => {
                out.push(0x7f);
                return 2;
            }
            Some(control) if control.is_ascii() => {
                out.push(control.to_ascii_uppercase() & 0x1f);
                // A backslash is written twice here.
                let twice = *control == b'\\' && digits.get(1) == Some(&b'\\');
                return 2 + usize::from(twice);
            }
            Some(_) => return keep(b'c', out),
        },
        letter if letter.is_ascii() => return keep(letter, out),
        _ => {
            out.push(b'\\');
            return 0;
        }
    };
    out.push(decoded);
    1
}

fn keep(letter: u8, out: &mut Vec<u8>) -> usize {
    out.extend([b'\\', letter]);
    1
}

/// Up to `most` digits, and how many there were. What is too large is cut at its upper end.
fn number(digits: &[u8], radix: u32, most: usize) -> (u32, usize) {
    let mut value = 0_u32;
    let mut length = 0;
    for digit in digits.iter().take(most) {
        let Some(digit) = char::from(*digit).to_digit(radix) else { break };
        value = value.wrapping_mul(radix).wrapping_add(digit);
        length += 1;
    }
    (value, length)
}
