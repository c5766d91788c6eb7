//! What Python's functions make of known values.

use std::rc::Rc;

use super::Language;
use super::codec;
use super::elements::Elements;
use super::fold::Folder;
use super::functions::based;
use super::value::{Value, bytes_of, from_bytes};
use crate::audit::shell::text::{Step, Text};

impl Folder {
    pub fn python_function(&mut self, module: &str, name: &str, given: &Elements) -> Option<Value> {
        let values = &given.values;
        let first = values.first();
        Some(match name {
            "str" | "unicode" | "repr" | "String" | "fspath" | "expanduser" | "expandvars"
            | "normpath" | "abspath" | "realpath" | "compile" | "memoryview" | "BytesIO"
            | "StringIO" | "u" | "b" => match first? {
                Value::Int(number) => Value::built(number.to_string(), Default::default()),
                other => other.clone(),
            },
            "bytes" | "bytearray" => match first? {
                Value::List(values) => Value::Text(self.bytes_of_list(values)),
                Value::Int(_) => Value::UNKNOWN,
                other => other.clone(),
            },
            "list" | "tuple" | "iter" => Value::list(self.items(first?)?),
            "reversed" => {
                let items = self.items(first?)?;
                Value::list(items.into_iter().rev().collect())
            }
            "sorted" | "set" | "filter" | "next" => return None,
            "int" => match values.get(1).and_then(Value::as_int) {
                Some(radix) => based(first?, radix)?,
                None => Value::Int(first?.as_int()?),
            },
            "len" => Value::Int(match first? {
                Value::Text(text) if !text.is_literal() => return Some(Value::UNKNOWN),
                Value::Text(_) | Value::List(_) => self.length(first?),
                _ => return None,
            }),
            "hex" => Value::built(format!("{:#x}", first?.as_int()?), Default::default()),
            "range" | "xrange" => {
                let at = |which: usize| values.get(which).and_then(Value::as_int);
                match (at(0), at(1)) {
                    (Some(from), Some(to)) => self.range(from, to, at(2).unwrap_or(1), false),
                    (Some(to), None) if values.len() == 1 => self.range(0, to, 1, false),
                    _ => return Some(Value::UNKNOWN),
                }
            }
            "map" => match values.get(2) {
                Some(_) => return None,
                None => self.each(&first?.clone(), values.get(1)?)?,
            },
            "zip" => {
                let lists: Vec<Vec<Value>> =
                    values.iter().map(|list| self.items(list)).collect::<Option<_>>()?;
                let length = lists.iter().map(Vec::len).min().unwrap_or(0);
                self.spend(length * lists.len());
                let pair = |at: usize| {
                    Value::list(lists.iter().filter_map(|list| list.get(at).cloned()).collect())
                };
                Value::list((0..length).map(pair).collect())
            }
            "enumerate" => {
                let items = self.items(first?)?;
                let pair = |(at, value)| Value::list(vec![Value::Int(at as i64), value]);
                Value::list(items.into_iter().enumerate().map(pair).collect())
            }
            "reduce" => self.reduced(&first?.clone(), values.get(1)?, values.get(2))?,
            "getattr" => {
                let member = values.get(1)?.as_str()?;
                match first? {
                    Value::Name(path) if path.len() < 200 => {
                        Value::name(format!("{path}.{member}"))
                    }
                    Value::Method(_) => return None,
                    other => Value::Method(Rc::new((other.clone(), member.to_owned()))),
                }
            }
            "globals" | "locals" | "vars" => match first {
                Some(module @ Value::Name(_)) => module.clone(),
                _ => Value::name("__dict__"),
            },
            "decode" | "encode" if module == "codecs" => {
                let codec = values.get(1).map(Value::text).unwrap_or_default();
                self.python_codec(first?, codec.as_str())
            }
            "join" => self.joined_path(values),
            "Path" | "PurePath" | "PosixPath" | "PurePosixPath" => self.joined_path(values),
            "maketrans" => {
                let (from, to) = (first?.as_str(), values.get(1).and_then(Value::as_str));
                match (from, to) {
                    (Some(from), Some(to)) => {
                        self.spend(from.len());
                        let pairs = from.chars().zip(to.chars()).map(|(from, to)| {
                            (from.to_string(), Value::Text(Text::literal(to.to_string())))
                        });
                        Value::Map(Rc::new(pairs.collect()))
                    }
                    _ => first?.clone(),
                }
            }
            "dict" => Value::Map(Rc::new(given.named.clone())),
            // `str.join(sep, list)`, `str.lower('X')`: the first argument is the object.
            _ if matches!(module, "str" | "bytes" | "bytearray" | "unicode" | "string") => {
                let rest = Elements {
                    values: values.get(1..)?.to_vec(),
                    named: given.named.clone(),
                    ..Elements::default()
                };
                return self.method(first?, name, &rest);
            }
            _ => return None,
        })
    }

    /// Python's codecs that turn text into text.
    pub fn python_codec(&mut self, value: &Value, codec: &str) -> Value {
        let codec = codec.to_ascii_lowercase().replace(['-', '_', ' '], "");
        match &*codec {
            "rot13" => self.decoded(value, Step::Filter, |text| Some(codec::rot13(text))),
            "hex" | "hexcodec" => {
                self.decoded(value, Step::Hex, |t| Some(from_bytes(&codec::hex(t)?)))
            }
            "base64" | "base64codec" => {
                self.decoded(value, Step::Base64, |t| Some(from_bytes(&codec::base64(t))))
            }
            "zlib" | "zip" | "zlibcodec" => self.decoded(value, Step::Decompressed, |text| {
                Some(from_bytes(&codec::inflate(&bytes_of(text))?))
            }),
            "unicodeescape" | "stringescape" | "rawunicodeescape" => {
                self.decoded(value, Step::EscapesDecoded, |text| {
                    Some(super::quote::decoded(Language::Python, text))
                })
            }
            "bz2" | "uu" | "quopri" => self.hidden(value),
            _ => match value {
                Value::List(values) => Value::Text(self.bytes_of_list(values)),
                other => other.clone(),
            },
        }
    }
}
