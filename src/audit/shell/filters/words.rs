//! Tools whose output comes from their arguments: numbers, parts of paths.

use super::data::Data;
use super::options::{Options, Spec, options};
use super::posix::{Pattern, Syntax, Work};
use super::{Call, OUTPUT_MAX_BYTES, Output, Unknown};
use crate::audit::shell::text::{Step, Stream, Text};

/// Prints nothing.
pub(super) fn nothing(_: &Call) -> Output {
    Ok(Stream::Empty)
}

/// Prints something of the system.
pub(super) fn unknown(_: &Call) -> Output {
    Err(Unknown::Plain)
}

/// What the arguments say, with their steps.
fn said(call: &Call, mut data: Data, step: Option<Step>) -> Output {
    data.steps.extend(call.argument_steps());
    if let Some(step) = step {
        data.steps.add(step);
    }
    data.check_size()?;
    Ok(data.into_stream())
}

/// The format of `+FORMAT`, in which only line ends, tabs and percent signs are known.
pub(super) fn date(call: &Call) -> Output {
    let Some(format) = call.args.iter().find(|arg| arg.as_str().starts_with('+')) else {
        return Err(Unknown::Plain);
    };
    let coded = Data::of_text(&format.slice(1, format.len()));
    let mut data = coded.with(Vec::new());
    let mut rest = coded.bytes.as_slice();
    while let Some(at) = memchr::memchr(b'%', rest) {
        data.bytes.extend_from_slice(&rest[..at]);
        let flags = rest[at + 1..].iter().take_while(|flag| b"-_0^#:".contains(flag)).count();
        let letter = at + 1 + flags;
        match rest.get(letter) {
            Some(b'n') => data.push_char('\n'),
            Some(b't') => data.push_char('\t'),
            Some(b'%') => data.push_char('%'),
            _ => data.push_hole(),
        }
        rest = rest.get(letter + 1..).unwrap_or_default();
    }
    data.bytes.extend_from_slice(rest);
    data.push_char('\n');
    said(call, data, Some(Step::EscapesDecoded))
}

const SEQ: Spec = Spec {
    flags: "w",
    values: "sf",
    long: &[("separator", 's'), ("format", 'f'), ("equal-width", 'w')],
    permute: false,
};

/// In decimal.
fn push_number(data: &mut Data, number: i64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut left = number.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    if number < 0 {
        data.bytes.push(b'-');
    }
    data.bytes.extend_from_slice(&digits[at..]);
}

pub(super) fn seq(call: &Call) -> Output {
    // Negative numbers are no options.
    let number = |text: &Text| text.as_literal().and_then(|text| text.parse::<i64>().ok());
    let takes_value = |at: usize| {
        let before = at.checked_sub(1).and_then(|at| call.args.get(at));
        before.is_some_and(|option| matches!(option.as_str(), "-s" | "-f"))
    };
    let first = call.args.iter().enumerate();
    let first = first.clone().find(|(at, arg)| number(arg).is_some() && !takes_value(*at));
    let first = first.map_or(call.args.len(), |(at, _)| at);
    let (before, numbers) = call.args.split_at(first);
    let options = options(before, &SEQ);
    let numbers: Option<Vec<i64>> = numbers.iter().map(number).collect();
    let (from, step, to) = match numbers.as_deref() {
        Some([to]) => (1, 1, *to),
        Some([from, to]) => (*from, 1, *to),
        Some([from, step, to]) => (*from, *step, *to),
        _ => return Err(Unknown::Plain),
    };
    if step == 0 || options.unknown || !options.operands.is_empty() {
        return Err(Unknown::Plain);
    }
    let separator = options.value('s').map_or("\n", Text::as_str);
    let width = if options.has('w') { from.to_string().len().max(to.to_string().len()) } else { 0 };
    let format = match options.value('f').map(Text::as_str) {
        None => None,
        Some(format) => {
            let form = ["%g", "%.0f", "%f"].into_iter().find(|form| format.contains(form));
            Some(format.split_once(form.ok_or(Unknown::Plain)?).ok_or(Unknown::Plain)?)
        }
    };
    let mut data = Data::default();
    let mut current = from;
    while if step > 0 { current <= to } else { current >= to } {
        if !data.bytes.is_empty() {
            data.push_str(separator);
        }
        match format {
            Some((before, after)) => data.push_str(&format!("{before}{current}{after}")),
            None if width == 0 => push_number(&mut data, current),
            None => data.push_str(&format!("{current:0width$}")),
        }
        // A list of numbers hides nothing, however long.
        if data.bytes.len() > OUTPUT_MAX_BYTES {
            call.allowance.take(OUTPUT_MAX_BYTES);
            return Err(Unknown::Plain);
        }
        let Some(next) = current.checked_add(step) else { break };
        current = next;
    }
    if !data.bytes.is_empty() {
        data.push_char('\n');
    }
    said(call, data, None)
}

/// How many lines of `yes` are looked at: it never ends by itself.
const YES_LINES: usize = 8;

pub(super) fn yes(call: &Call) -> Output {
    let mut line = Data::default();
    for (at, arg) in call.args.iter().enumerate() {
        if at > 0 {
            line.push_char(' ');
        }
        line.push_text(arg);
    }
    if call.args.is_empty() {
        line.push_char('y');
    }
    line.push_char('\n');
    line.check_size()?;
    let lines = line.with(line.bytes.repeat(YES_LINES));
    said(call, lines, None)
}

// ---- parts of paths

const BASENAME: Spec = Spec {
    flags: "az",
    values: "s",
    long: &[("multiple", 'a'), ("suffix", 's'), ("zero", 'z')],
    permute: false,
};

pub(super) fn basename(call: &Call) -> Output {
    let options = options(call.args, &BASENAME);
    let mut suffix = options.value('s').map(Text::as_str);
    let mut paths = options.operands.as_slice();
    if let ([path, last], false, None) = (paths, options.has('a'), suffix) {
        suffix = Some(last.as_str());
        paths = std::slice::from_ref(path);
    }
    by_path(call, paths, &options, |path| {
        let trimmed = trim_slashes(path);
        if trimmed.is_empty() {
            return path.get(..1).unwrap_or_default();
        }
        let name = trimmed.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let suffix = suffix.unwrap_or_default().as_bytes();
        name.strip_suffix(suffix).filter(|rest| !rest.is_empty()).unwrap_or(name)
    })
}

pub(super) fn dirname(call: &Call) -> Output {
    let options = options(call.args, &BASENAME);
    by_path(call, &options.operands, &options, |path| {
        let trimmed = trim_slashes(path);
        match trimmed.iter().rposition(|byte| *byte == b'/') {
            _ if trimmed.is_empty() => path.get(..1).unwrap_or(b"."),
            None => b".",
            Some(at) => {
                let directory = trim_slashes(&trimmed[..at]);
                if directory.is_empty() { b"/" } else { directory }
            }
        }
    })
}

fn trim_slashes(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |at| at + 1);
    &path[..end]
}

fn by_path<'a>(
    call: &Call,
    paths: &[&Text],
    options: &Options,
    part: impl Fn(&[u8]) -> &[u8] + 'a,
) -> Output {
    if options.has('z') || options.unknown {
        return Err(Unknown::Plain);
    }
    let mut data = Data::default();
    let mut changed = false;
    for path in paths {
        let path = Data::of_text(path);
        let kept = part(&path.bytes);
        changed |= kept.len() < path.bytes.len();
        data.append(&path.with(kept.to_vec()));
        data.push_char('\n');
    }
    said(call, data, changed.then_some(Step::Filter))
}

const REALPATH: Spec = Spec {
    flags: "femnsqvzLP",
    values: "",
    long: &[("canonicalize", 'f'), ("canonicalize-existing", 'e'), ("canonicalize-missing", 'm')],
    permute: true,
};

/// The path itself: where its links lead is not known, and whoever follows it cleans it.
pub(super) fn realpath(call: &Call) -> Output {
    let options = options(call.args, &REALPATH);
    let follows = ['f', 'e', 'm'].iter().any(|letter| options.has(*letter));
    if options.unknown || options.has('z') || call.program == "readlink" && !follows {
        return Err(Unknown::Plain);
    }
    let mut data = Data::default();
    for path in &options.operands {
        data.append(&Data::of_text(path));
        data.push_char('\n');
    }
    if options.has('n') {
        data.bytes.pop();
    }
    said(call, data, None)
}

// ---- expr

pub(super) fn expr(call: &Call) -> Output {
    let words: Option<Vec<&str>> = call.args.iter().map(Text::as_literal).collect();
    let words = words.ok_or(Unknown::Plain)?;
    let data = match words.as_slice() {
        ["substr", text, position, length] => {
            let number = |text: &str| text.parse::<usize>().ok();
            let (position, length) = (number(position).unwrap_or(0), number(length).unwrap_or(0));
            let from = position.checked_sub(1);
            from.map_or(String::new(), |from| text.chars().skip(from).take(length).collect())
        }
        ["length", text] => text.chars().count().to_string(),
        ["index", text, set] => {
            text.chars().position(|c| set.contains(c)).map_or(0, |at| at + 1).to_string()
        }
        ["match", text, pattern] | [text, ":", pattern] => anchored(call, text, pattern)?,
        [only] | ["+", only] => (*only).to_owned(),
        [left, operator, right] => calculate(left, operator, right).ok_or(Unknown::Plain)?,
        _ => return Err(Unknown::Plain),
    };
    let data = Data { bytes: format!("{data}\n").into_bytes(), ..Data::default() };
    said(call, data, Some(Step::Filter))
}

/// The group of a pattern that matches at the start, or how long the match is.
fn anchored(call: &Call, text: &str, pattern: &str) -> Result<String, Unknown> {
    let has_group = pattern.contains(r"\(");
    let pattern = Pattern::new(&format!("^{pattern}"), Syntax::Basic, false, !text.is_ascii())?;
    let groups =
        pattern.find(text.as_bytes(), 0, &mut Work::new(call.allowance))?.unwrap_or_default();
    let group = |at: usize| {
        let (start, end) = groups.get(at).copied().flatten()?;
        text.get(start..end)
    };
    Ok(if has_group {
        group(1).unwrap_or_default().to_owned()
    } else {
        group(0).unwrap_or_default().chars().count().to_string()
    })
}

fn calculate(left: &str, operator: &str, right: &str) -> Option<String> {
    let numbers = left.parse::<i64>().ok().zip(right.parse::<i64>().ok());
    let truth = |holds: bool| Some(u8::from(holds).to_string());
    let order = match numbers {
        Some((left, right)) => left.cmp(&right),
        None => left.cmp(right),
    };
    match operator {
        "=" | "==" => return truth(order.is_eq()),
        "!=" => return truth(order.is_ne()),
        "<" => return truth(order.is_lt()),
        "<=" => return truth(order.is_le()),
        ">" => return truth(order.is_gt()),
        ">=" => return truth(order.is_ge()),
        "|" => return Some(if matches!(left, "" | "0") { right } else { left }.to_owned()),
        "&" => {
            let none = matches!(left, "" | "0") || matches!(right, "" | "0");
            return Some(if none { "0" } else { left }.to_owned());
        }
        _ => {}
    }
    let (left, right) = numbers?;
    let result = match operator {
        "+" => left.checked_add(right),
        "-" => left.checked_sub(right),
        "*" => left.checked_mul(right),
        "/" => left.checked_div(right),
        "%" => left.checked_rem(right),
        _ => None,
    };
    result.map(|result| result.to_string())
}

// ---- dc

/// Longest number that is turned into bytes, in digits: that takes time with their square.
const DC_DIGITS_MAX: usize = 4_096;

const DC: Spec =
    Spec { flags: "x", values: "ef", long: &[("expression", 'e'), ("file", 'f')], permute: true };

enum Value {
    /// Little-endian.
    Number(Vec<u8>),
    Text(String),
}

/// Numbers and strings printed: `P` prints a number's bytes, `n` and `p` its digits.
pub(super) fn dc(call: &Call) -> Output {
    let options = options(call.args, &DC);
    let given: Vec<&Text> = options.values('e').collect();
    let source = if given.is_empty() {
        let files: Vec<&Text> =
            options.values('f').chain(options.operands.iter().copied()).collect();
        call.read(&files)?
    } else {
        let mut source = Data::default();
        for text in given {
            source.append(&Data::of_text(text));
            source.push_char('\n');
        }
        source
    };
    let script = std::str::from_utf8(source.known()?).map_err(|_| Unknown::Decoded)?;
    let mut out = Vec::new();
    let mut stack: Vec<(Value, String)> = Vec::new();
    let mut radix = 10;
    let mut digits_left = DC_DIGITS_MAX;
    let mut rest = script.chars();
    while let Some(character) = rest.next() {
        match character {
            '0'..='9' | 'A'..='F' => {
                let tail = rest.as_str();
                let behind = tail.trim_start_matches(|c: char| matches!(c, '0'..='9' | 'A'..='F'));
                let more = tail.get(..tail.len() - behind.len()).unwrap_or_default();
                let digits = format!("{character}{more}");
                digits_left = digits_left.checked_sub(digits.len()).ok_or(Unknown::Decoded)?;
                rest = behind.chars();
                stack.push((Value::Number(big(&digits, radix)), digits));
            }
            '[' => {
                let tail = rest.as_str();
                let (text, behind) = tail.split_once(']').ok_or(Unknown::Decoded)?;
                if text.contains('[') {
                    return Err(Unknown::Decoded);
                }
                rest = behind.chars();
                stack.push((Value::Text(text.to_owned()), text.to_owned()));
            }
            'i' => match stack.pop() {
                Some((Value::Number(number), _)) => {
                    radix = number.first().copied().map_or(10, u32::from).clamp(2, 16);
                }
                _ => return Err(Unknown::Decoded),
            },
            'P' | 'n' | 'p' | 'a' => {
                let Some((value, digits)) = stack.pop() else { continue };
                match (character, &value) {
                    ('a', Value::Number(number)) => {
                        let byte = number.first().copied().map(char::from);
                        let text: String = byte.into_iter().collect();
                        stack.push((Value::Text(text.clone()), text));
                        continue;
                    }
                    ('P', Value::Number(number)) => out.extend(number.iter().rev()),
                    (_, Value::Text(text)) => out.extend_from_slice(text.as_bytes()),
                    _ if radix != 10 => return Err(Unknown::Decoded),
                    _ => out.extend_from_slice(digits.as_bytes()),
                }
                if character == 'p' {
                    // The value stays where it is.
                    out.push(b'\n');
                    stack.push((value, digits));
                }
            }
            'q' => break,
            'c' => stack.clear(),
            _ if character.is_whitespace() => {}
            _ => return Err(Unknown::Decoded),
        }
        if out.len() > OUTPUT_MAX_BYTES {
            return Err(Unknown::Decoded);
        }
    }
    call.changed(&source, source.with(out), Step::EscapesDecoded)
}

/// Little-endian bytes of a number.
fn big(digits: &str, radix: u32) -> Vec<u8> {
    let mut number: Vec<u8> = Vec::new();
    for digit in digits.chars() {
        let mut carry = digit.to_digit(16).unwrap_or(0);
        for byte in &mut number {
            carry += u32::from(*byte) * radix;
            *byte = carry as u8;
            carry >>= 8;
        }
        if carry > 0 {
            number.push(carry as u8);
        }
    }
    number
}
