//! Backslash escapes of each language.

use super::Language;
use crate::audit::shell::text::Text;

/// Longest name in `\N{…}`.
const NAME_MAX_BYTES: usize = 80;

/// Decodes the escape at the beginning of `text` onto `out`; how many bytes it takes.
pub(super) fn escape(language: Language, text: &str, out: &mut Text) -> usize {
    let rest = text.get(1..).unwrap_or("");
    let Some(letter) = rest.chars().next() else {
        out.push('\\');
        return 1;
    };
    let tail = rest.get(letter.len_utf8()..).unwrap_or("");
    let used = 1 + letter.len_utf8();
    let simple = match letter {
        'n' => Some('\n'),
        't' => Some('\t'),
        'r' => Some('\r'),
        'a' if language != Language::Node => Some('\x07'),
        'b' => Some('\x08'),
        'f' => Some('\x0c'),
        'v' if language != Language::Perl => Some('\x0b'),
        'e' if matches!(language, Language::Perl | Language::Ruby | Language::Php) => Some('\x1b'),
        's' if language == Language::Ruby => Some(' '),
        '\\' | '\'' | '"' | '`' | '/' | '$' | '@' | '#' => Some(letter),
        _ => None,
    };
    if let Some(simple) = simple {
        // Python, and PHP but for the dollar, keep a backslash that means nothing.
        let kept = match language {
            Language::Python => matches!(letter, '/' | '$' | '@' | '#' | '`'),
            Language::Php => matches!(letter, '\'' | '/' | '@' | '#' | 'a' | 'b'),
            _ => false,
        };
        if kept {
            out.push('\\');
            out.push(letter);
        } else {
            out.push(simple);
        }
        return used;
    }
    match letter {
        // A line goes on.
        '\n' if !matches!(language, Language::Perl | Language::Php | Language::Lua) => used,
        'z' if language == Language::Lua => used + tail.len() - tail.trim_start().len(),
        '0'..='9' if language == Language::Lua => number(out, rest, 10, 3, 1),
        '0'..='7' => number(out, rest, 8, 3, 1),
        'o' if tail.starts_with('{') => braced(out, tail, 8, used),
        'x' if tail.starts_with('{') => braced(out, tail, 16, used),
        'x' => number(out, tail, 16, 2, used),
        'u' if tail.starts_with('{') => braced(out, tail, 16, used),
        'u' if language == Language::Node => surrogates(out, tail, used),
        'u' if matches!(language, Language::Python | Language::Ruby) => {
            number(out, tail, 16, 4, used)
        }
        'U' if language == Language::Python => number(out, tail, 16, 8, used),
        'N' if tail.starts_with("{U+") => {
            let end = tail.bytes().take(NAME_MAX_BYTES).position(|byte| byte == b'}');
            let digits = end.and_then(|end| tail.get(3..end)).unwrap_or("");
            push_code(out, digits, 16);
            used + end.map_or(0, |end| end + 1)
        }
        'N' if tail.starts_with('{') && language == Language::Python => {
            let end = tail.bytes().take(NAME_MAX_BYTES).position(|byte| byte == b'}');
            match end.and_then(|end| tail.get(1..end)).and_then(named_character) {
                Some(character) => out.push(character),
                None => out.push_hole(),
            }
            used + end.map_or(0, |end| end + 1)
        }
        _ => {
            if matches!(language, Language::Python | Language::Php) {
                out.push('\\');
            }
            out.push(letter);
            used
        }
    }
}

/// Up to `max` digits at the beginning of `digits`; `before` is what was used already.
fn number(out: &mut Text, digits: &str, radix: u32, max: usize, before: usize) -> usize {
    let length = digits.chars().take(max).take_while(|c| c.is_digit(radix)).count();
    push_code(out, digits.get(..length).unwrap_or(""), radix);
    before + length
}

fn braced(out: &mut Text, tail: &str, radix: u32, before: usize) -> usize {
    let Some(end) = tail.bytes().take(NAME_MAX_BYTES).position(|byte| byte == b'}') else {
        return before;
    };
    // Ruby takes several in one pair of braces.
    for digits in tail.get(1..end).unwrap_or("").split_whitespace() {
        push_code(out, digits, radix);
    }
    before + end + 1
}

fn push_code(out: &mut Text, digits: &str, radix: u32) {
    let code = u32::from_str_radix(digits, radix).ok();
    if let Some(character) = code.and_then(char::from_u32) {
        out.push(character);
    }
}

/// `\uD83D\uDE00`: two halves of one character.
fn surrogates(out: &mut Text, tail: &str, before: usize) -> usize {
    let half = |text: &str| text.get(..4).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let Some(high) = half(tail) else { return before };
    let low = tail.get(4..).and_then(|rest| rest.strip_prefix("\\u")).and_then(half);
    match (high, low) {
        (0xd800..=0xdbff, Some(low @ 0xdc00..=0xdfff)) => {
            let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            out.push(char::from_u32(code).unwrap_or('\u{fffd}'));
            before + 10
        }
        _ => {
            out.push(char::from_u32(high).unwrap_or('\u{fffd}'));
            before + 4
        }
    }
}

/// Unicode names of the characters that paths and commands are made of.
fn named_character(name: &str) -> Option<char> {
    let name = name.to_ascii_uppercase();
    let letter = |rest: &str| rest.chars().next().filter(|_| rest.len() == 1);
    if let Some(rest) = name.strip_prefix("LATIN SMALL LETTER ") {
        return letter(rest).map(|c| c.to_ascii_lowercase());
    }
    if let Some(rest) = name.strip_prefix("LATIN CAPITAL LETTER ") {
        return letter(rest);
    }
    if let Some(rest) = name.strip_prefix("DIGIT ") {
        const DIGITS: [&str; 10] =
            ["ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE"];
        let digit = DIGITS.iter().position(|digit| *digit == rest)?;
        return char::from_digit(u32::try_from(digit).ok()?, 10);
    }
    Some(match &*name {
        "SOLIDUS" => '/',
        "FULL STOP" => '.',
        "HYPHEN-MINUS" => '-',
        "LOW LINE" => '_',
        "SPACE" => ' ',
        "TILDE" => '~',
        _ => return None,
    })
}
