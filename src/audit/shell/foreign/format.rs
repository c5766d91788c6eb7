//! Format strings: `sprintf` and `%` of all languages, and Python's `format`.

use super::value::{TEXT_MAX_BYTES, Value, capped};
use crate::audit::shell::text::{Step, Text};

/// Widest field that is filled up; a wider one says nothing about paths.
const WIDTH_MAX: usize = 1024;

/// `%s/%s` with its values; a value that is missing or unknown is a hole. `named` are those of
/// `%(name)s` and `%{name}`.
pub(super) fn sprintf(format: &str, values: &[Value], named: &[(String, Value)]) -> Text {
    let mut out = Text::new();
    out.steps.add(Step::OtherLanguage);
    let mut values_left = values.iter();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(rest.get(..at).unwrap_or(""));
        rest = rest.get(at + 1..).unwrap_or("");
        let (spec, used) = Spec::read(rest);
        if used == 0 {
            out.push('%');
            continue;
        }
        rest = rest.get(used..).unwrap_or("");
        if spec.conversion == '%' {
            out.push('%');
            continue;
        }
        let value = match (&spec.name, spec.position) {
            (Some(name), _) => named.iter().find(|(key, _)| key == name).map(|(_, value)| value),
            (None, Some(position)) => values.get(position.saturating_sub(1)),
            (None, None) => values_left.next(),
        };
        append(&mut out, &spec, value.unwrap_or(&Value::UNKNOWN));
        if out.len() > TEXT_MAX_BYTES {
            return capped(out);
        }
    }
    out.push_str(rest);
    out
}

#[derive(Default)]
struct Spec {
    name: Option<String>,
    position: Option<usize>,
    left: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
    conversion: char,
}

impl Spec {
    /// What follows a `%`, and how many bytes of it; none when it is no specification.
    fn read(text: &str) -> (Spec, usize) {
        let mut spec = Spec::default();
        let bytes = text.as_bytes();
        let mut at = 0;
        let bracket = match bytes.first() {
            Some(b'(') => Some(b')'),
            Some(b'{') => Some(b'}'),
            Some(b'<') => Some(b'>'),
            _ => None,
        };
        if let Some(close) = bracket {
            let Some(end) = bytes.iter().take(WIDTH_MAX).position(|byte| *byte == close) else {
                return (spec, 0);
            };
            spec.name = text.get(1..end).map(str::to_owned);
            at = end + 1;
            if close == b'}' {
                spec.conversion = 's';
                return (spec, at);
            }
        }
        loop {
            match bytes.get(at) {
                Some(b'-') => spec.left = true,
                Some(b'0') => spec.zero = true,
                Some(b'+' | b' ' | b'#' | b'\'') => {}
                _ => break,
            }
            at += 1;
        }
        let (width, digits) = number(bytes.get(at..).unwrap_or(&[]));
        at += digits;
        if digits > 0 && bytes.get(at) == Some(&b'$') {
            spec.position = Some(width);
            let rest = text.get(at + 1..).unwrap_or("");
            let (inner, used) = Spec::read(rest);
            return (Spec { position: Some(width), ..inner }, at + 1 + used);
        }
        spec.width = width;
        if bytes.get(at) == Some(&b'.') {
            let (precision, digits) = number(bytes.get(at + 1..).unwrap_or(&[]));
            spec.precision = Some(precision);
            at += 1 + digits;
        }
        while matches!(bytes.get(at), Some(b'l' | b'h' | b'L' | b'q')) {
            at += 1;
        }
        match text.get(at..).and_then(|rest| rest.chars().next()) {
            Some(c) if c == '%' || c.is_ascii_alphabetic() => {
                spec.conversion = c;
                (spec, at + 1)
            }
            _ => (spec, 0),
        }
    }
}

fn number(bytes: &[u8]) -> (usize, usize) {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let value = bytes.iter().take(digits).fold(0_usize, |value, digit| {
        value.saturating_mul(10).saturating_add(usize::from(digit - b'0'))
    });
    (value, digits)
}

fn append(out: &mut Text, spec: &Spec, value: &Value) {
    out.steps.extend(value.steps());
    let body = match (spec.conversion, value.as_int()) {
        ('c', _) => value.as_code().and_then(char::from_u32).map(String::from),
        ('d' | 'i' | 'u', Some(number)) => Some(number.to_string()),
        ('x', Some(number)) => Some(format!("{number:x}")),
        ('X', Some(number)) => Some(format!("{number:X}")),
        ('o', Some(number)) => Some(format!("{number:o}")),
        ('b' | 'B', Some(number)) => Some(format!("{number:b}")),
        ('s' | 'r' | 'a' | 'v' | 'q' | 'b', _) => match value {
            Value::Text(text) if text.has_hole() => {
                out.append(text);
                return;
            }
            Value::Text(text) => Some(text.as_str().to_owned()),
            Value::Int(number) => Some(number.to_string()),
            _ => None,
        },
        _ => None,
    };
    let Some(mut body) = body else {
        out.push_hole();
        return;
    };
    if let Some(precision) = spec.precision.filter(|_| spec.conversion == 's') {
        body = body.chars().take(precision).collect();
    }
    let missing = spec.width.min(WIDTH_MAX).saturating_sub(body.chars().count());
    let fill = if spec.zero && spec.conversion != 's' && !spec.left { "0" } else { " " };
    if !spec.left {
        out.push_str(&fill.repeat(missing));
    }
    out.push_str(&body);
    if spec.left {
        out.push_str(&" ".repeat(missing));
    }
}

/// Python's `'{}/{name}'.format(…)`.
pub(super) fn braces(format: &str, values: &[Value], named: &[(String, Value)]) -> Text {
    let mut out = Text::new();
    out.steps.add(Step::OtherLanguage);
    let mut next = 0;
    let mut rest = format;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(rest.get(..at).unwrap_or(""));
        let doubled = rest.get(at..at + 2).filter(|pair| *pair == "{{" || *pair == "}}");
        if let Some(pair) = doubled {
            out.push_str(pair.get(..1).unwrap_or(""));
            rest = rest.get(at + 2..).unwrap_or("");
            continue;
        }
        let field = rest.get(at + 1..).unwrap_or("");
        let end = field.find('}').filter(|_| rest.as_bytes().get(at) == Some(&b'{'));
        let Some(end) = end else {
            if !field.contains('}') {
                // No field can follow: looked for once, so that this stays linear.
                rest = rest.get(at..).unwrap_or("");
                break;
            }
            out.push_str(rest.get(at..=at).unwrap_or(""));
            rest = field;
            continue;
        };
        let (name, spec) = field
            .get(..end)
            .unwrap_or("")
            .split_once(':')
            .unwrap_or((field.get(..end).unwrap_or(""), ""));
        let name = name.split('!').next().unwrap_or("");
        let value = if name.is_empty() {
            next += 1;
            values.get(next - 1)
        } else if let Ok(position) = name.parse::<usize>() {
            values.get(position)
        } else {
            named.iter().find(|(key, _)| key == name).map(|(_, value)| value)
        };
        let conversion = spec.chars().next_back().filter(|c| "cdxXob".contains(*c)).unwrap_or('s');
        let spec = Spec { conversion, ..Spec::default() };
        append(&mut out, &spec, value.unwrap_or(&Value::UNKNOWN));
        rest = field.get(end + 1..).unwrap_or("");
        if out.len() > TEXT_MAX_BYTES {
            return capped(out);
        }
    }
    out.push_str(rest);
    out
}
