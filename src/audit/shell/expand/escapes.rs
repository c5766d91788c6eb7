//! Escapes of `$'…'` in a value, for `${a@E}`. Source: the manual of GNU bash 5, "ANSI-C Quoting".

/// Bytes that are no UTF-8 become U+FFFD. `\0` ends the text, as in C.
pub(super) fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'\\' {
            out.push(*byte);
            continue;
        }
        let Some((kind, after)) = rest.split_first() else {
            out.push(b'\\');
            break;
        };
        let code = match kind {
            b'0'..=b'7' => number(&mut rest, 8, 3),
            b'x' => prefixed(&mut rest, after, 2),
            b'u' => prefixed(&mut rest, after, 4),
            b'U' => prefixed(&mut rest, after, 8),
            b'c' => {
                rest = after;
                rest.split_first().map(|(control, after)| {
                    rest = after;
                    u32::from(control & 0x1f)
                })
            }
            kind => {
                rest = after;
                simple(*kind)
            }
        };
        match code {
            Some(0) => break,
            Some(code) if matches!(kind, b'u' | b'U') => {
                let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            Some(code) => out.push((code & 0xff) as u8),
            None => {
                out.extend_from_slice(&[b'\\', *kind]);
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn simple(kind: u8) -> Option<u32> {
    Some(u32::from(match kind {
        b'a' => 7,
        b'b' => 8,
        b'e' | b'E' => 27,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        b'\\' | b'\'' | b'"' | b'?' => kind,
        _ => return None,
    }))
}

/// Digits behind a letter, which stays as it is when there are none.
fn prefixed<'t>(rest: &mut &'t [u8], after: &'t [u8], most: usize) -> Option<u32> {
    *rest = after;
    number(rest, 16, most)
}

fn number(rest: &mut &[u8], base: u32, most: usize) -> Option<u32> {
    let mut code = None;
    for _ in 0..most {
        let Some((byte, after)) = rest.split_first() else { break };
        let Some(digit) = char::from(*byte).to_digit(base) else { break };
        code = Some(code.unwrap_or(0u32).wrapping_mul(base).wrapping_add(digit));
        *rest = after;
    }
    code
}
