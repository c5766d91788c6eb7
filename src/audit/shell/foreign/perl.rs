//! What Perl's functions make of known values.

use std::rc::Rc;

use super::elements::Elements;
use super::fold::Folder;
use super::functions::based;
use super::primary::first_in_case;
use super::value::{Value, mapped};

impl Folder {
    pub fn perl_function(&mut self, name: &str, given: &Elements) -> Option<Value> {
        let values = &given.values;
        let first = values.first();
        Some(match name {
            "lc" | "fc" => Value::Text(mapped(&first?.text(), str::to_lowercase)),
            "uc" => Value::Text(mapped(&first?.text(), str::to_uppercase)),
            "ucfirst" => Value::Text(mapped(&first?.text(), |t| first_in_case(t, true))),
            "lcfirst" => Value::Text(mapped(&first?.text(), |t| first_in_case(t, false))),
            "hex" => based(first?, 16)?,
            "oct" => {
                let text = first?.as_str()?;
                let hexadecimal = text.starts_with("0x") || text.starts_with('x');
                based(first?, if hexadecimal { 16 } else { 8 })?
            }
            "int" | "abs" => first?.clone(),
            "length" => Value::Int(self.length(first?)),
            "scalar" | "quotemeta" => match first? {
                Value::List(values) => Value::Int(values.len() as i64),
                _ if values.len() > 1 => Value::Text(self.joined(values, "")),
                other => other.clone(),
            },
            "join" => {
                let separator = first?.text();
                Value::Text(self.joined(values.get(1..)?, separator.as_str()))
            }
            "reverse" => match values.as_slice() {
                [one] => self.reversed(one),
                several => {
                    self.spend(several.len());
                    Value::list(several.iter().rev().cloned().collect())
                }
            },
            "map" => {
                let list = Value::list(values.get(1..)?.to_vec());
                match first? {
                    function @ (Value::Function(_) | Value::Name(_)) => {
                        self.each(&function.clone(), &list)?
                    }
                    _ => return None,
                }
            }
            "grep" | "sort" | "first" => match first? {
                function @ Value::Function(_) => {
                    self.emit(&function.clone());
                    Value::list(values.get(1..)?.to_vec())
                }
                _ => Value::list(values.clone()),
            },
            "split" => self.split(values.get(1)?, first),
            "substr" => {
                let at = values.get(1)?.as_int();
                self.part(first?, at, values.get(2).and_then(Value::as_int))
            }
            "catfile" | "catdir" | "join_path" => self.joined_path(values),
            "shift" | "pop" => {
                let name = if self.frames > 0 { "@_" } else { "@ARGV" };
                let list = match first {
                    Some(Value::List(values)) => Some(Rc::clone(values)),
                    _ => match self.variable(name) {
                        Some(Value::List(values)) => Some(values),
                        _ => None,
                    },
                };
                let list = list?;
                let (taken, rest) = list.split_first()?;
                let taken = taken.clone();
                if !matches!(first, Some(Value::List(_))) {
                    self.set_variable(name, Value::list(rest.to_vec()));
                    // Arguments are no strings of the code.
                    self.variable(name);
                }
                taken
            }
            "open" | "sysopen" => {
                self.perl_open(values);
                Value::UNKNOWN
            }
            "unpack" => return None,
            _ => return None,
        })
    }

    /// `open(F, '<', path)`, `open(F, 'command |')`, `open(F, '-|', word…)`.
    pub fn perl_open(&mut self, values: &[Value]) {
        if let Some(first @ Value::Text(_)) = values.first() {
            self.emit(first);
        }
        let Some(mode) = values.get(1) else { return };
        let text = mode.text();
        let written = text.as_str().trim();
        let is_mode = written.starts_with(['<', '>', '+', '|', '-']);
        if values.len() > 2 {
            let rest = values.get(2..).unwrap_or_default();
            if written == "-|" || written == "|-" {
                let arguments = Elements::of(rest.to_vec());
                self.run_command(None, "system", &arguments);
            } else {
                if !is_mode {
                    // `sysopen(F, path, flags)`
                    self.emit(mode);
                }
                for value in rest {
                    self.emit(value);
                }
            }
            return;
        }
        let leading =
            text.len() - text.as_str().trim_start_matches(['<', '>', '+', ' ', '|']).len();
        let is_command = written.starts_with('|') || written.ends_with('|');
        let trailing = if is_command {
            text.as_str().trim_end_matches(['|', ' ']).len().max(leading)
        } else {
            text.len()
        };
        let rest = text.slice(leading, trailing);
        if is_command {
            self.tell_shell(rest);
        } else {
            self.emit(&Value::Text(rest));
        }
    }

    /// The characters of all texts, last first.
    pub fn reversed_whole(&mut self, values: &[Value]) -> Value {
        // The list was reversed already: each of its texts still has to be.
        let texts: Vec<Value> = values.iter().map(|value| self.reversed(value)).collect();
        Value::Text(self.joined(&texts, ""))
    }

    /// `push @list, …` and `unshift`, behind the word.
    pub fn perl_push(&mut self, behind: bool) -> Value {
        let at = self.pos + usize::from(self.unit.is_symbol(self.pos, "("));
        let target = self.unit.name(at).filter(|name| name.starts_with('@')).cloned();
        let arguments = if self.unit.is_symbol(self.pos, "(") {
            self.call_arguments()
        } else {
            self.bare_arguments()
        };
        let mut values = arguments.values;
        let Some(target) = target else {
            self.emit(&Value::list(values));
            return Value::UNKNOWN;
        };
        let known = match self.variable(&target) {
            Some(Value::List(known)) => known.len().min(values.len()),
            _ => {
                // The array stood for one value that is unknown.
                if !values.is_empty() {
                    values.remove(0);
                }
                0
            }
        };
        // The list's own elements come first among the arguments.
        if !behind {
            values.rotate_left(known);
        }
        self.set_variable(&target, Value::list(values));
        self.stored = true;
        Value::UNKNOWN
    }
}
