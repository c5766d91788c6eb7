//! The functions of `awk`, and the formats of its `printf`.

use super::super::Unknown;
use super::super::data::Data;
use super::super::escapes::{Item as FormatItem, conversion, convert};
use super::super::sed::substitute::{Piece, Substitution};
use super::parse::Expression;
use super::run::{ELEMENT_WORK, Machine, Ran};
use super::value::Value;
use crate::audit::shell::text::Text;

impl Machine {
    pub(super) fn format(&mut self, list: &[Expression]) -> Ran<Vec<u8>> {
        let Some((format, args)) = list.split_first() else { return Err(Unknown::Decoded) };
        let format = self.value(format)?.text();
        let mut values = Vec::new();
        for arg in args {
            values.push(self.value(arg)?);
        }
        let mut values = values.into_iter();
        let mut out = Data::default();
        let mut rest = format.as_bytes();
        while let Some(at) = memchr::memchr(b'%', rest) {
            out.bytes.extend_from_slice(&rest[..at]);
            let Some((item, tail)) = conversion(&rest[at + 1..]) else {
                return Err(Unknown::Decoded);
            };
            match item {
                FormatItem::Text(text) => out.bytes.extend_from_slice(&text),
                FormatItem::Stop => break,
                FormatItem::Conversion(conversion) => {
                    let mut args = Vec::new();
                    for _ in 0..conversion.sizes() {
                        args.push(Text::literal(values.next().unwrap_or_default().text()));
                    }
                    let value = values.next().unwrap_or_default();
                    args.push(Text::literal(match (conversion.letter, &value) {
                        (b'c', Value::Number(code)) => {
                            char::from_u32(*code as u32).map(String::from).unwrap_or_default()
                        }
                        (b'd' | b'i' | b'o' | b'x' | b'X' | b'u', value) => {
                            (value.number() as i64).to_string()
                        }
                        (b'f' | b'F', value) => value.number().to_string(),
                        (b's' | b'c', value) => value.text(),
                        _ => return Err(Unknown::Decoded),
                    }));
                    convert(&conversion, &mut args.iter(), &mut out)?;
                }
            }
            self.work.spend(1)?;
            out.check_size()?;
            rest = tail;
        }
        out.bytes.extend_from_slice(rest);
        self.work.spend(out.bytes.len())?;
        Ok(out.bytes)
    }

    pub(super) fn call(&mut self, name: &str, arguments: &[Expression]) -> Ran<Value> {
        match name {
            "split" => return self.split_into(arguments),
            "sub" | "gsub" => return self.substitute(name == "gsub", arguments),
            "match" => {
                let [text, pattern] = arguments else { return Err(Unknown::Decoded) };
                let text = self.value(text)?.text();
                let pattern = self.pattern_of(pattern)?;
                let found = pattern.find(text.as_bytes(), 0, &mut self.work)?;
                let place = found.and_then(|groups| groups.first().copied().flatten());
                let count = |end: usize| text.get(..end).map_or(0, |part| part.chars().count());
                let (start, length) = match place {
                    Some((start, end)) => {
                        (count(start) as f64 + 1.0, (count(end) - count(start)) as f64)
                    }
                    None => (0.0, -1.0),
                };
                self.set_value("RSTART", Value::Number(start));
                self.set_value("RLENGTH", Value::Number(length));
                return Ok(Value::Number(start));
            }
            "sprintf" => {
                let text = self.format(arguments)?;
                return Ok(Value::Text(String::from_utf8_lossy(&text).into_owned()));
            }
            "length" => {
                if let [Expression::Variable(name)] = arguments
                    && let Some(array) = self.arrays.get(name)
                {
                    return Ok(Value::Number(array.len() as f64));
                }
            }
            "fflush" => return Ok(Value::Number(0.0)),
            _ => {}
        }
        let mut values = Vec::new();
        for argument in arguments.iter().take(3) {
            values.push(self.value(argument)?);
        }
        let text = match values.first() {
            Some(value) => value.text(),
            None => self.line.clone(),
        };
        self.work.spend(text.len())?;
        let number = |at: usize| values.get(at).map(Value::number);
        Ok(match name {
            "length" => Value::Number(text.chars().count() as f64),
            "toupper" => Value::Text(text.to_ascii_uppercase()),
            "tolower" => Value::Text(text.to_ascii_lowercase()),
            "int" => Value::Number(number(0).unwrap_or(0.0).trunc()),
            "strtonum" => {
                let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
                let parsed = match hexadecimal {
                    Some(digits) => i64::from_str_radix(digits, 16),
                    None if text.starts_with('0') => i64::from_str_radix(&text, 8),
                    None => return Ok(Value::Number(number(0).unwrap_or(0.0))),
                };
                Value::Number(parsed.unwrap_or(0) as f64)
            }
            "index" => {
                let wanted = values.get(1).map(Value::text).unwrap_or_default();
                let at = text.find(&wanted).and_then(|at| text.get(..at));
                Value::Number(at.map_or(0.0, |before| before.chars().count() as f64 + 1.0))
            }
            "substr" => {
                // Both ends are rounded, and what lies before the first character counts.
                let start = number(1).unwrap_or(1.0).round();
                let end = start + number(2).map_or(f64::INFINITY, f64::round);
                let skip = (start.max(1.0) - 1.0) as usize;
                let take = (end - start.max(1.0)).max(0.0);
                let take = if take.is_finite() { take as usize } else { usize::MAX };
                Value::Text(text.chars().skip(skip).take(take).collect())
            }
            _ => return Err(Unknown::Decoded),
        })
    }

    fn split_into(&mut self, arguments: &[Expression]) -> Ran<Value> {
        let (Some(text), Some(Expression::Variable(array))) = (arguments.first(), arguments.get(1))
        else {
            return Err(Unknown::Decoded);
        };
        let text = self.value(text)?.text();
        let fields = match arguments.get(2) {
            Some(Expression::Pattern(pattern)) if !text.is_empty() => {
                self.split_by(&text, pattern)?
            }
            Some(Expression::Pattern(_)) => Vec::new(),
            Some(separator) => {
                let separator = self.value(separator)?.text();
                self.split(&text, &separator)?
            }
            None => {
                let separator = self.special("FS");
                self.split(&text, &separator)?
            }
        };
        self.work.spend(fields.len() * ELEMENT_WORK)?;
        let count = fields.len();
        let elements = fields.into_iter().enumerate();
        let elements = elements.map(|(at, field)| ((at + 1).to_string(), Value::Input(field)));
        self.arrays.insert(array.clone(), elements.collect());
        Ok(Value::Number(count as f64))
    }

    fn substitute(&mut self, global: bool, arguments: &[Expression]) -> Ran<Value> {
        let (Some(pattern), Some(replacement)) = (arguments.first(), arguments.get(1)) else {
            return Err(Unknown::Decoded);
        };
        let pattern = self.pattern_of(pattern)?;
        let replacement = pieces(&self.value(replacement)?.text());
        let line = Expression::Field(Box::new(Expression::Number(0.0)));
        let target = arguments.get(2).unwrap_or(&line);
        let text = self.value(target)?.text();
        let substitution =
            Substitution { pattern: None, replacement, nth: 1, global, prints: false };
        let replaced = substitution.apply(&pattern, text.as_bytes(), &mut self.work)?;
        let Some(replaced) = replaced else { return Ok(Value::Number(0.0)) };
        self.work.spend(replaced.len())?;
        let replaced = String::from_utf8_lossy(&replaced).into_owned();
        self.assign(target, Value::Text(replaced))?;
        Ok(Value::Number(1.0))
    }
}

/// A replacement: `&` is what matched, `\&` the character.
fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if matches!(characters.peek(), Some('&' | '\\')) => {
                plain.extend(characters.next())
            }
            '&' => {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
                pieces.push(Piece::Group(0));
            }
            other => plain.push(other),
        }
    }
    pieces.push(Piece::Text(plain));
    pieces
}
