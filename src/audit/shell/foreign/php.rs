//! What PHP's string functions make of known values.

use std::rc::Rc;

use super::codec;
use super::elements::Elements;
use super::fold::Folder;
use super::functions::based;
use super::primary::first_in_case;
use super::value::{Value, mapped};
use crate::audit::shell::text::{Step, Text};

impl Folder {
    pub fn php_function(&mut self, name: &str, given: &Elements) -> Option<Value> {
        let values = &given.values;
        let first = values.first();
        let text = |map: fn(&str) -> String| Some(Value::Text(mapped(&first?.text(), map)));
        Some(match name {
            "strrev" => self.reversed(first?),
            "strtolower" | "mb_strtolower" => text(str::to_lowercase)?,
            "strtoupper" | "mb_strtoupper" => text(str::to_uppercase)?,
            "ucfirst" => text(|text| first_in_case(text, true))?,
            "lcfirst" => text(|text| first_in_case(text, false))?,
            "trim" | "ltrim" | "rtrim" | "chop" => {
                return self.method(first?, name, &Elements::of(values.get(1..)?.to_vec()));
            }
            "implode" | "join" => match values.as_slice() {
                [Value::List(list)] => Value::Text(self.joined(list, "")),
                [Value::List(list), separator] | [separator, Value::List(list)] => {
                    let separator = separator.text();
                    Value::Text(self.joined(list, separator.as_str()))
                }
                _ => return None,
            },
            "explode" => self.split(values.get(1)?, first),
            "str_split" | "mb_str_split" => match values.get(1).and_then(Value::as_int) {
                None | Some(1) => self.split(first?, Some(&Value::Text(Text::new()))),
                Some(size) if size > 1 => {
                    let text = first?.as_str()?;
                    let size = usize::try_from(size).ok()?;
                    let characters: Vec<char> = text.chars().collect();
                    let parts = characters.chunks(size).map(|part| {
                        Value::built(part.iter().collect::<String>(), Default::default())
                    });
                    Value::list(parts.collect())
                }
                _ => return None,
            },
            "str_replace" | "str_ireplace" => {
                let subject = values.get(2)?.clone();
                let from = self.flattened(std::slice::from_ref(first?));
                let to = values.get(1)?;
                let mut result = subject;
                for (at, from) in from.iter().enumerate().take(256) {
                    let to = match to {
                        Value::List(list) => {
                            list.get(at).cloned().unwrap_or(Value::Text(Text::new()))
                        }
                        one => one.clone(),
                    };
                    result = self.replaced(&result, from, &to, true)?;
                }
                result
            }
            "preg_replace" => {
                let pattern = first?.as_str()?;
                let inner = pattern.get(1..pattern.rfind(pattern.get(..1)?)?)?;
                let pattern = Value::Pattern(Rc::new((inner.to_owned(), "g".to_owned())));
                self.replaced(values.get(2)?, &pattern, values.get(1)?, true)?
            }
            "strtr" => match (first?, values.get(1)?, values.get(2)) {
                (Value::Text(text), from, Some(to)) => {
                    let (from, to) = (from.as_str()?, to.as_str()?);
                    self.spend(1 + text.len() / 4);
                    // Unlike `tr`, the longer set is cut, and a dash is a dash.
                    let table: std::collections::HashMap<char, char> =
                        from.chars().zip(to.chars()).collect();
                    Value::Text(mapped(text, |run| {
                        run.chars().map(|c| table.get(&c).copied().unwrap_or(c)).collect()
                    }))
                }
                (text, Value::Map(pairs), None) => {
                    let mut result = text.clone();
                    for (from, to) in pairs.iter().take(256) {
                        let from = Value::Text(Text::literal(from.clone()));
                        result = self.replaced(&result, &from, to, true)?;
                    }
                    result
                }
                _ => return None,
            },
            "substr" | "mb_substr" => {
                let at = values.get(1)?.as_int();
                self.part(first?, at, values.get(2).and_then(Value::as_int))
            }
            "str_repeat" => self.repeated(&first?.text(), values.get(1)?.as_int()?),
            "vsprintf" => self.formatted(first?, values.get(1..)?, &[]),
            "array_map" => self.each(&first?.clone(), values.get(1)?)?,
            "array_reverse" => self.reversed(first?),
            "array" if given.named.is_empty() => Value::list(values.clone()),
            "array" => super::elements::map_of(given.clone()),
            "array_merge" => Value::list(self.flattened(values)),
            "array_values" => match first? {
                Value::Map(pairs) => {
                    Value::list(pairs.iter().map(|(_, value)| value.clone()).collect())
                }
                other => other.clone(),
            },
            "array_keys" => Value::list(self.items(first?)?),
            "range" => match (first?, values.get(1)?) {
                (Value::Int(from), Value::Int(to)) => {
                    self.range(*from, *to, if to < from { -1 } else { 1 }, true)
                }
                (from, to) => self.binary("...", from.clone(), to.clone()),
            },
            "hexdec" => based(first?, 16)?,
            "octdec" => based(first?, 8)?,
            "bindec" => based(first?, 2)?,
            "intval" => Value::Int(first?.as_int()?),
            "strval" | "realpath" | "addslashes" | "escapeshellarg" | "escapeshellcmd" => {
                first?.clone()
            }
            "stripcslashes" | "stripslashes" => {
                self.decoded(first?, Step::EscapesDecoded, |text| {
                    Some(super::quote::decoded(super::Language::Php, text))
                })
            }
            "strlen" | "count" => Value::Int(self.length(first?)),
            "define" => {
                let name = first?.as_str()?.to_owned();
                self.set_variable(&name, values.get(1)?.clone());
                Value::UNKNOWN
            }
            "constant" => {
                let name = first?.as_str()?.to_owned();
                self.variable(&name)?
            }
            "call_user_func" => {
                let rest = values.get(1..)?.to_vec();
                self.invoke(first?.clone(), Elements::of(rest))
            }
            "call_user_func_array" => {
                let rest = self.items(values.get(1)?)?;
                self.invoke(first?.clone(), Elements::of(rest))
            }
            "dirname" | "basename" => return self.method(first?, name, &Elements::default()),
            "convert_uudecode" => {
                let text = first?.as_str()?.to_owned();
                let parts = codec::unpack("u", &text)?;
                self.spend(1 + text.len() / 4);
                parts.into_iter().next()?
            }
            _ => return None,
        })
    }
}
