//! What methods of strings, lists and numbers make of known values.
//!
//! Names that languages share mean the same in all of them, or near enough.

use std::rc::Rc;

use super::Language;
use super::codec;
use super::elements::Elements;
use super::fold::Folder;
use super::format::braces;
use super::functions::based;
use super::primary::first_in_case;
use super::value::{LIST_MAX, Value, concatenated, from_bytes, mapped};
use crate::audit::shell::text::{Step, Text};

impl Folder {
    /// A member that is no method.
    pub fn property(&mut self, value: &Value, name: &str) -> Option<Value> {
        match (name, value) {
            ("length" | "size", Value::Text(text)) if text.is_literal() => {
                Some(Value::Int(self.length(value)))
            }
            ("length" | "size", Value::List(values)) => Some(Value::Int(values.len() as i64)),
            ("parent" | "parents", Value::Text(_)) => {
                self.method(value, "dirname", &Elements::default())
            }
            ("name", Value::Text(_)) => self.method(value, "basename", &Elements::default()),
            _ => None,
        }
    }

    /// A method of a value; `None` when it is not known.
    pub fn method(&mut self, subject: &Value, name: &str, given: &Elements) -> Option<Value> {
        self.spend(1 + subject.weight() / 16);
        match subject {
            Value::Text(text) => self
                .text_method(text, subject, name, given)
                .or_else(|| self.common_method(subject, name, given)),
            Value::List(values) => self
                .list_method(values, subject, name, given)
                .or_else(|| self.common_method(subject, name, given)),
            Value::Int(number) => self
                .number_method(*number, name, given)
                .or_else(|| self.common_method(subject, name, given)),
            Value::Map(pairs) => match name {
                "get" | "fetch" | "dig" => {
                    let key = given.values.first()?.text();
                    let found = pairs.iter().find(|(name, _)| name == key.as_str());
                    found.map(|(_, value)| value.clone()).or_else(|| given.values.get(1).cloned())
                }
                "values" => {
                    Some(Value::list(pairs.iter().map(|(_, value)| value.clone()).collect()))
                }
                "keys" => Some(Value::list(self.items(subject)?)),
                _ => None,
            },
            // `new TextDecoder().decode(bytes)`
            Value::Unknown(_) if name == "decode" && self.language == Language::Node => {
                match given.values.first()? {
                    Value::List(values) => Some(Value::Text(self.bytes_of_list(values))),
                    text @ Value::Text(_) => Some(text.clone()),
                    _ => None,
                }
            }
            Value::Unknown(_) => self.common_method(subject, name, given),
            _ => None,
        }
    }

    /// What any value can do.
    fn common_method(&mut self, subject: &Value, name: &str, given: &Elements) -> Option<Value> {
        let first = given.values.first();
        match (self.language, name) {
            (Language::Ruby, "then" | "yield_self") => {
                let function = first?.clone();
                Some(self.apply(&function, vec![subject.clone()]))
            }
            (Language::Ruby, "send" | "public_send" | "__send__") => {
                let method = first?.as_str()?.to_owned();
                let rest = given.values.get(1..)?.to_vec();
                Some(self.call(Some(subject.clone()), &method, Elements::of(rest)))
            }
            (Language::Python, "__add__") | (Language::Ruby, "+") => {
                Some(self.binary("+", subject.clone(), first?.clone()))
            }
            (Language::Python, "__radd__") => {
                Some(self.binary("+", first?.clone(), subject.clone()))
            }
            (Language::Python, "__mul__") | (Language::Ruby, "*") => {
                Some(self.binary("*", subject.clone(), first?.clone()))
            }
            (Language::Python, "__mod__") | (Language::Ruby, "%") => {
                Some(self.binary("%", subject.clone(), first?.clone()))
            }
            (Language::Python, "__xor__") | (Language::Ruby, "^") => {
                Some(self.binary("^", subject.clone(), first?.clone()))
            }
            (Language::Ruby, "-") => Some(self.binary("-", subject.clone(), first?.clone())),
            (Language::Python, "__getitem__") => Some(self.element(subject, first?)),
            (_, "fetch" | "at" | "slice" | "dig") if given.values.len() == 1 => {
                if name == "slice" {
                    return None;
                }
                Some(self.element(subject, first?))
            }
            _ => None,
        }
    }

    fn text_method(
        &mut self,
        text: &Text,
        subject: &Value,
        name: &str,
        given: &Elements,
    ) -> Option<Value> {
        use Language::{Lua, Node, Python, Ruby};
        let language = self.language;
        let values = &given.values;
        let first = values.first();
        let number = |at: usize| values.get(at).and_then(Value::as_int);
        let map = |map: fn(&str) -> String| Value::Text(mapped(text, map));
        Some(match name {
            "lower" | "toLowerCase" | "downcase" | "casefold" | "toLocaleLowerCase" => {
                map(str::to_lowercase)
            }
            "upper" | "toUpperCase" | "upcase" | "toLocaleUpperCase" => map(str::to_uppercase),
            "swapcase" => map(|text| {
                let swap = |c: char| match c.is_uppercase() {
                    true => c.to_lowercase().to_string(),
                    false => c.to_uppercase().to_string(),
                };
                text.chars().map(swap).collect()
            }),
            "capitalize" => map(|text| first_in_case(&text.to_lowercase(), true)),
            "title" => map(titled),
            "reverse" | "strrev" => self.reversed(subject),
            "strip" | "trim" | "lstrip" | "rstrip" | "trimStart" | "trimEnd" | "trimLeft"
            | "trimRight" | "chomp" | "chop" | "ltrim" | "rtrim" => {
                self.stripped(text, name, first)?
            }
            // The text stays what it is: bytes and text are one here.
            "encode" | "decode" | "toString" | "to_s" | "to_str" | "to_sym" | "valueOf"
            | "freeze" | "dup" | "clone" | "itself" | "b" | "force_encoding"
            | "unicode_normalize" | "normalize" | "as_posix" | "to_path" | "resolve"
            | "absolute" | "expanduser" | "__str__" | "intern" | "tobytes" | "getvalue"
            | "scrub" | "toWellFormed" | "unpack_text" | "expand_path" | "__format__" | "raw" => {
                let codec = first.map(Value::text).unwrap_or_default();
                match language {
                    Python if !codec.is_empty() && matches!(name, "encode" | "decode") => {
                        self.python_codec(subject, codec.as_str())
                    }
                    Node if name == "toString" && codec.as_str() == "base64" => return None,
                    Node if name == "toString" && codec.as_str() == "hex" => return None,
                    _ => subject.clone(),
                }
            }
            "replace" | "replaceAll" | "gsub" | "sub" if language != Lua => {
                let all = match language {
                    Python => name == "replace",
                    Ruby => name == "gsub",
                    _ => name == "replaceAll",
                };
                let (from, to) = (first?.clone(), values.get(1)?.clone());
                self.replaced(subject, &from, &to, all)?
            }
            "gsub" => {
                let (from, to) = (first?.as_str()?, values.get(1)?.clone());
                // A percent sign makes the next character stand for itself.
                let magic = from.replace('%', "\\");
                let pattern = Value::Pattern(Rc::new((magic, "g".to_owned())));
                self.replaced(subject, &pattern, &to, true)?
            }
            "tr" | "tr_s" => {
                let (from, to) = (first?.as_str()?, values.get(1)?.as_str()?);
                Value::Text(mapped(text, |run| codec::transliterated(run, from, to, to.is_empty())))
            }
            "delete" if language == Ruby => {
                let set = first?.as_str()?;
                Value::Text(mapped(text, |run| codec::transliterated(run, set, "", true)))
            }
            "translate" => match first? {
                Value::Map(pairs) => {
                    let table: std::collections::HashMap<&str, Text> =
                        pairs.iter().map(|(key, value)| (&**key, value.text())).collect();
                    self.spend(pairs.len() + text.len());
                    let with = |c: char| {
                        let mut utf8 = [0; 4];
                        let code = u32::from(c).to_string();
                        match table.get(&*c.encode_utf8(&mut utf8)).or_else(|| table.get(&*code)) {
                            Some(to) => to.as_str().to_owned(),
                            None => c.to_string(),
                        }
                    };
                    Value::Text(mapped(text, |run| run.chars().map(with).collect()))
                }
                _ => return None,
            },
            "split" | "chars" | "each_char" | "graphemes" => {
                let separator = if name == "split" { first.cloned() } else { None };
                if separator.is_none() && (name != "split") {
                    Value::list(self.items(subject)?)
                } else {
                    self.split(subject, separator.as_ref())
                }
            }
            "scan" | "match" | "matchAll" | "gmatch" => {
                let pattern = match first? {
                    Value::Pattern(pattern) => pattern.0.clone(),
                    other => other.as_str()?.to_owned(),
                };
                Value::list(self.chunks(text, &pattern)?)
            }
            "bytes" | "codepoints" | "each_byte" => Value::list(
                text.as_literal()?
                    .chars()
                    .take(LIST_MAX)
                    .map(|c| Value::Int(i64::from(u32::from(c))))
                    .collect(),
            ),
            "splitlines" | "lines" => Value::list(
                text.as_literal()?.lines().map(|line| Value::built(line, text.steps)).collect(),
            ),
            "join" => {
                // Python: the separator's method.
                let items = match first? {
                    Value::List(items) => items.to_vec(),
                    other => self.items(other)?,
                };
                Value::Text(self.joined(&items, text.as_str()))
            }
            "concat" | "prepend" | "insert" if language != Lua => {
                let mut parts: Vec<Value> = values.clone();
                match name {
                    "prepend" => parts.push(subject.clone()),
                    "insert" => return None,
                    _ => parts.insert(0, subject.clone()),
                }
                Value::Text(self.joined(&parts, ""))
            }
            "slice" if language == Node => self.slice(subject, number(0), number(1), 1),
            "substring" => {
                let length = self.length(subject);
                let (from, to) = (number(0)?.max(0), number(1).unwrap_or(length).max(0));
                self.slice(subject, Some(from.min(to)), Some(from.max(to)), 1)
            }
            "substr" | "slice" | "byteslice" => self.part(
                subject,
                number(0),
                number(1).or((name != "substr" && language == Ruby).then_some(1)),
            ),
            "sub" => {
                // Lua: from and to, both counted from one.
                let from = number(0)?;
                let from = if from > 0 { from - 1 } else { from };
                let to = number(1).filter(|to| *to != -1);
                let to = to.map(|to| if to < 0 { to + 1 } else { to });
                self.slice(subject, Some(from), to, 1)
            }
            "charAt" | "at" => self.part(subject, Some(number(0).unwrap_or(0)), Some(1)),
            "charCodeAt" | "codePointAt" => {
                let character = self.part(subject, Some(number(0).unwrap_or(0)), Some(1));
                self.code_point(&character)
            }
            "byte" => {
                let at = number(0).unwrap_or(1) - 1;
                let stop = number(1).map_or(at + 1, |stop| if stop < 0 { i64::MAX } else { stop });
                let part = self.slice(subject, Some(at), Some(stop), 1);
                let codes: Vec<Value> =
                    self.items(&part)?.iter().map(|item| self.code_point(item)).collect();
                match codes.as_slice() {
                    [one] => one.clone(),
                    _ => Value::list(codes),
                }
            }
            "ord" | "codepoint" => self.code_point(subject),
            "hex" if language == Ruby => based(subject, 16)?,
            "oct" => based(subject, 8)?,
            "to_i" => based(subject, number(0).unwrap_or(10))?,
            "chr" => self.part(subject, Some(0), Some(1)),
            "len" | "length" | "size" => Value::Int(self.length(subject)),
            "repeat" | "rep" => self.repeated(text, number(0)?),
            "format" if language == Python => {
                let format = text.as_literal()?;
                self.spend(1 + format.len() / 4);
                let mut result = braces(format, values, &given.named);
                result.steps.extend(text.steps);
                Value::Text(result)
            }
            "format" => self.formatted(subject, values, &given.named),
            "format_map" => match first? {
                Value::Map(pairs) => Value::Text(braces(text.as_literal()?, &[], pairs)),
                _ => return None,
            },
            "unpack" | "unpack1" => {
                let format = first?.as_str()?;
                let known = text.as_literal()?;
                let step = match format.bytes().next() {
                    Some(b'm' | b'u') => Step::Base64,
                    Some(b'H' | b'h') => Step::Hex,
                    _ => Step::OtherLanguage,
                };
                let mut parts = codec::unpack(format, known)?;
                for part in &mut parts {
                    if let Value::Text(part) = part {
                        part.steps.extend(text.steps.with(step));
                    }
                }
                if name == "unpack1" { parts.into_iter().next()? } else { Value::list(parts) }
            }
            "zfill" | "ljust" | "rjust" | "center" | "padStart" | "padEnd" => {
                let width = usize::try_from(number(0)?).ok().filter(|width| *width <= 4096)?;
                let fill = values.get(1).map(Value::text);
                let fill =
                    fill.as_ref().map_or(if name == "zfill" { "0" } else { " " }, Text::as_str);
                let literal = text.as_literal()?;
                let missing = width.saturating_sub(literal.chars().count());
                let padding: String = fill.chars().cycle().take(missing).collect();
                let after = matches!(name, "ljust" | "padEnd");
                let padded = if after {
                    format!("{literal}{padding}")
                } else {
                    format!("{padding}{literal}")
                };
                Value::built(padded, text.steps)
            }
            "removeprefix" | "delete_prefix" => {
                let prefix = first?.text();
                let kept = text.as_str().strip_prefix(prefix.as_str()).map_or(0, |_| prefix.len());
                Value::Text(text.slice(kept, text.len()).with_step(Step::OtherLanguage))
            }
            "removesuffix" | "delete_suffix" => {
                let suffix = first?.text();
                let cut = text.as_str().strip_suffix(suffix.as_str()).map_or(0, |_| suffix.len());
                Value::Text(text.slice(0, text.len() - cut).with_step(Step::OtherLanguage))
            }
            "joinpath" | "join_path" => {
                let parts: Vec<Value> = std::iter::once(subject).chain(values).cloned().collect();
                self.joined_path(&parts)
            }
            "dirname" | "basename" | "parent" => {
                let path = text.as_str();
                let at = path.rfind('/')?;
                let (from, to) =
                    if name == "basename" { (at + 1, path.len()) } else { (0, at.max(1)) };
                Value::Text(text.slice(from, to).with_step(Step::OtherLanguage))
            }
            "with_name" => {
                let directory = self.method(subject, "dirname", &Elements::default())?;
                self.joined_path(&[directory, first?.clone()])
            }
            "with_suffix" => {
                let stem = text.as_str().rfind('.').unwrap_or(text.len());
                Value::Text(concatenated(text.slice(0, stem), &first?.text()))
            }
            "read_text" | "read_bytes" | "open" | "exists" | "iterdir" => return None,
            "glob" | "rglob" if language == Python => {
                let pattern = Value::Text(first?.text().activated());
                let whole = self.joined_path(&[subject.clone(), pattern]);
                self.emit(&whole);
                Value::UNKNOWN
            }
            "to_a" | "toArray" => Value::list(self.items(subject)?),
            "map" | "each" | "forEach" => return None,
            "decode64" => {
                self.decoded(subject, Step::Base64, |t| Some(from_bytes(&codec::base64(t))))
            }
            "hexdigest" | "digest" | "startswith" | "endswith" => return None,
            _ => return None,
        })
    }

    fn list_method(
        &mut self,
        list: &Rc<Vec<Value>>,
        subject: &Value,
        name: &str,
        given: &Elements,
    ) -> Option<Value> {
        let values = &given.values;
        let first = values.first();
        let number = |at: usize| values.get(at).and_then(Value::as_int);
        Some(match name {
            "join" => {
                let default = if self.language == Language::Node { "," } else { "" };
                let separator = first.map(Value::text);
                let separator = separator.as_ref().map_or(default, Text::as_str);
                Value::Text(self.joined(list, separator))
            }
            "reverse" | "toReversed" | "reverse_each" => self.reversed(subject),
            "map" | "collect" | "flat_map" => {
                let function = first?.clone();
                self.each(&function, subject)?
            }
            "each" | "forEach" | "each_with_index" | "some" | "every" | "find" | "each_entry"
            | "select" | "filter" | "reject" => {
                let function = first?.clone();
                match function {
                    Value::Function(_) => self.each(&function, subject)?,
                    _ => return None,
                };
                subject.clone()
            }
            "reduce" | "inject" | "sum" => {
                // Ruby: a start, an operator's name, or a block; JavaScript: a function, a start.
                let plus = Value::Text(Text::literal("+"));
                match (first, values.get(1)) {
                    (Some(function @ (Value::Function(_) | Value::Name(_))), start) => {
                        self.reduced(&function.clone(), subject, start)?
                    }
                    (Some(start), Some(function)) if name != "sum" => {
                        self.reduced(&function.clone(), subject, Some(start))?
                    }
                    (Some(start), _) if name == "sum" => {
                        self.reduced(&plus, subject, Some(start))?
                    }
                    (Some(operator), None) => self.reduced(&operator.clone(), subject, None)?,
                    _ => self.reduced(&plus, subject, None)?,
                }
            }
            "slice" if self.language == Language::Node => {
                self.slice(subject, number(0), number(1), 1)
            }
            "concat" => {
                self.spend(list.len());
                let mut all = list.to_vec();
                let more = self.flattened(values);
                all.extend(more);
                all.truncate(LIST_MAX);
                Value::list(all)
            }
            "pack" => {
                let format = first?.as_str()?;
                self.spend(list.len());
                // `m` encodes.
                let packed = codec::pack(format, list)?;
                let steps = subject.steps();
                let steps = if format.contains(['H', 'h']) { steps.with(Step::Hex) } else { steps };
                Value::built(packed, steps)
            }
            "rotate" => {
                let by = number(0).unwrap_or(1).rem_euclid(list.len().max(1) as i64);
                let mut turned = list.to_vec();
                let by = usize::try_from(by).unwrap_or(0).min(turned.len());
                turned.rotate_left(by);
                self.spend(turned.len());
                Value::list(turned)
            }
            "first" | "shift" => list.first()?.clone(),
            "last" | "pop" => list.last()?.clone(),
            "flatten" | "flat" => Value::list(self.flattened(list)),
            "to_a" | "values" | "entries" | "compact" | "each_char" | "toArray" | "freeze" => {
                subject.clone()
            }
            "toString" | "decode" | "tobytes" => match self.language {
                // Of bytes; of an array of JavaScript it has commas.
                Language::Node if !list.iter().all(|item| matches!(item, Value::Int(_))) => {
                    Value::Text(self.joined(list, ","))
                }
                _ => Value::Text(self.bytes_of_list(list)),
            },
            "length" | "size" | "count" if values.is_empty() => Value::Int(list.len() as i64),
            "with_index" | "map!" => return None,
            _ => return None,
        })
    }

    fn number_method(&mut self, number: i64, name: &str, given: &Elements) -> Option<Value> {
        let first = given.values.first();
        Some(match name {
            "chr" => self.character(&Value::Int(number)),
            "to_s" | "toString" | "inspect" => {
                let radix = first.and_then(Value::as_int).unwrap_or(10);
                Value::built(in_base(number, radix)?, Default::default())
            }
            "to_i" | "ord" | "to_int" | "valueOf" => Value::Int(number),
            "to_bytes" => {
                let length =
                    usize::try_from(first?.as_int()?).ok().filter(|length| *length <= 64)?;
                let order = given.values.get(1).map(Value::text).unwrap_or_default();
                let mut bytes = number.to_be_bytes().to_vec();
                while bytes.len() < length {
                    bytes.insert(0, 0);
                }
                let mut bytes = bytes.split_off(bytes.len() - length);
                if order.as_str() == "little" {
                    bytes.reverse();
                }
                Value::built(from_bytes(&bytes), Default::default())
            }
            "times" | "upto" | "step" => {
                let (from, to) = match name {
                    "times" => (0, number - 1),
                    _ => (number, first?.as_int()?),
                };
                let list = self.range(from, to, 1, true);
                match given.values.last() {
                    Some(function @ Value::Function(_)) => {
                        self.each(&function.clone(), &list)?;
                        Value::Int(number)
                    }
                    _ => list,
                }
            }
            _ => return None,
        })
    }

    fn stripped(&mut self, text: &Text, name: &str, set: Option<&Value>) -> Option<Value> {
        let set: Option<Vec<char>> = match set {
            Some(Value::Text(set)) => Some(set.as_str().chars().take(256).collect()),
            _ => None,
        };
        let removes = |c: char| match &set {
            Some(set) => set.contains(&c),
            None => c.is_whitespace() || c == '\0',
        };
        let literal = text.as_str();
        let left = matches!(name, "strip" | "trim" | "lstrip" | "trimStart" | "trimLeft" | "ltrim");
        let right = !matches!(name, "lstrip" | "trimStart" | "trimLeft" | "ltrim");
        if name == "chop" && self.language == Language::Ruby {
            let end = literal.char_indices().next_back().map_or(0, |(at, _)| at);
            return Some(Value::Text(text.slice(0, end).with_step(Step::OtherLanguage)));
        }
        let end = if right { literal.trim_end_matches(removes).len() } else { literal.len() };
        let kept = literal.get(..end)?;
        let start = if left { end - kept.trim_start_matches(removes).len() } else { 0 };
        self.spend(1 + literal.len() / 4);
        Some(Value::Text(text.slice(start, end).with_step(Step::OtherLanguage)))
    }
}

fn titled(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for character in text.chars() {
        if inside {
            out.extend(character.to_lowercase());
        } else {
            out.extend(character.to_uppercase());
        }
        inside = character.is_alphabetic();
    }
    out
}

fn in_base(number: i64, radix: i64) -> Option<String> {
    let radix = u32::try_from(radix).ok().filter(|radix| (2..=36).contains(radix))?;
    let mut rest = u64::try_from(number).ok()?;
    let mut digits = Vec::new();
    loop {
        digits.push(char::from_digit((rest % u64::from(radix)) as u32, radix)?);
        rest /= u64::from(radix);
        if rest == 0 {
            break;
        }
    }
    Some(digits.iter().rev().collect())
}
