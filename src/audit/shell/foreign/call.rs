//! Calls: which function is meant, and what is done with arguments that none takes up.

use super::Language;
use super::elements::Elements;
use super::fold::Folder;
use super::value::Value;
use crate::audit::shell::text::{Step, Text};

impl Folder {
    /// Calls a value.
    pub fn invoke(&mut self, callee: Value, arguments: Elements) -> Value {
        match callee {
            Value::Function(function) => {
                for extra in arguments.values.iter().skip(function.parameters.len()) {
                    self.emit(extra);
                }
                for (_, value) in &arguments.named {
                    self.emit(value);
                }
                self.apply_function(&function, &arguments.values)
            }
            Value::Name(path) => match path.rsplit_once('.') {
                Some((prefix, name)) => self.call(Some(Value::name(prefix)), name, arguments),
                None => self.call(None, &path, arguments),
            },
            Value::Method(method) => {
                let (receiver, name) = (&method.0, &method.1);
                self.call(Some(receiver.clone()), name, arguments)
            }
            Value::Text(name) => match name.as_literal() {
                Some(name) if name.len() < 128 => self.call(None, name, arguments),
                _ => self.call(None, "", arguments),
            },
            _ => self.call(None, "", arguments),
        }
    }

    /// What a function, given as a value, makes of one argument or several.
    pub fn apply(&mut self, callee: &Value, arguments: Vec<Value>) -> Value {
        match callee {
            // Ruby's `&:name` calls the method of that name.
            Value::Text(name) if self.language == Language::Ruby => {
                let mut arguments = arguments.into_iter();
                let receiver = arguments.next();
                let name = name.as_str().to_owned();
                self.call(receiver, &name, Elements::of(arguments.collect()))
            }
            Value::Function(function) => self.apply_function(function, &arguments),
            other => self.invoke(other.clone(), Elements::of(arguments)),
        }
    }

    /// Calls a function by its name, or a method of `receiver`.
    pub fn call(&mut self, receiver: Option<Value>, name: &str, arguments: Elements) -> Value {
        self.stored = false;
        let called = self.deeper(|folder| folder.called(receiver.as_ref(), name, &arguments));
        match called {
            Some(Some(value)) => value,
            _ => {
                // Nothing is known of it: what it was given is all there is. What was decoded
                // stays that.
                let decoded = receiver
                    .iter()
                    .chain(&arguments.values)
                    .any(|value| value.steps().has(Step::UnknownDecoded));
                if let Some(receiver) = &receiver {
                    self.emit(receiver);
                }
                for value in &arguments.values {
                    self.emit(value);
                }
                for (_, value) in &arguments.named {
                    self.emit(value);
                }
                if decoded { Value::Unknown(Step::UnknownDecoded.into()) } else { Value::UNKNOWN }
            }
        }
    }

    fn called(
        &mut self,
        receiver: Option<&Value>,
        name: &str,
        arguments: &Elements,
    ) -> Option<Value> {
        self.spend(1 + arguments.values.len() / 4);
        // `MIME::Base64::decode_base64`
        let (module, name) = match name.rsplit_once("::") {
            Some((module, name)) => (module, name),
            None => ("", name),
        };
        if receiver.is_none() {
            let defined = self.variable(name);
            if let Some(function @ (Value::Function(_) | Value::Method(_))) = defined {
                return Some(self.invoke(function, arguments.clone()));
            }
        }
        match receiver {
            Some(Value::Function(function)) if matches!(name, "call" | "apply" | "()") => {
                return Some(self.apply_function(function, &arguments.values));
            }
            Some(Value::Map(pairs)) => {
                let member = pairs.iter().find(|(key, _)| key == name);
                if let Some((_, function @ Value::Function(_))) = member {
                    return Some(self.invoke(function.clone(), arguments.clone()));
                }
            }
            _ => {}
        }
        if let Some(value) = self.run_command(receiver, name, arguments) {
            return Some(value);
        }
        match receiver {
            None => self.function(module, name, arguments),
            Some(Value::Name(path)) => {
                let path = path.rsplit(['.', ':']).next().unwrap_or("").to_owned();
                self.by_name(receiver?, name, arguments)
                    .or_else(|| self.function(&path, name, arguments))
            }
            Some(value) => self.method(value, name, arguments),
        }
    }

    /// Calls that name another function: `String.fromCharCode.apply(null, …)`, `send(:system, …)`.
    fn by_name(&mut self, receiver: &Value, name: &str, arguments: &Elements) -> Option<Value> {
        let values = &arguments.values;
        match (self.language, name) {
            (Language::Node, "apply") => {
                let list = values.get(1).and_then(|list| self.items(list)).unwrap_or_default();
                Some(self.invoke(receiver.clone(), Elements::of(list)))
            }
            (Language::Node, "call") => {
                let rest = values.get(1..).unwrap_or_default().to_vec();
                Some(self.invoke(receiver.clone(), Elements::of(rest)))
            }
            (Language::Node, "bind") => Some(receiver.clone()),
            (Language::Ruby, "send" | "public_send" | "__send__") => {
                let method = values.first()?.as_str()?.to_owned();
                let rest = values.get(1..).unwrap_or_default().to_vec();
                Some(self.call(Some(receiver.clone()), &method, Elements::of(rest)))
            }
            (Language::Ruby, "method" | "const_get") => {
                let method = values.first()?.as_str()?;
                Some(if name == "method" {
                    match receiver {
                        Value::Name(path) => Value::name(format!("{path}.{method}")),
                        _ => Value::name(method),
                    }
                } else {
                    Value::name(method)
                })
            }
            (Language::Python, "__getattribute__" | "__getattr__") => {
                let member = values.last()?.as_str()?;
                match receiver {
                    Value::Name(path) => Some(Value::name(format!("{path}.{member}"))),
                    _ => None,
                }
            }
            (Language::Python, "__call__") => {
                Some(self.invoke(receiver.clone(), arguments.clone()))
            }
            _ => None,
        }
    }

    /// A known text decoded; of an unknown one, what comes out is unknown, and hidden.
    pub fn decoded(
        &mut self,
        value: &Value,
        step: Step,
        decode: impl FnOnce(&str) -> Option<String>,
    ) -> Value {
        self.spend(1 + value.weight() / 4);
        let unknown = value.steps().with(Step::UnknownDecoded);
        let text = match value {
            Value::List(values) => self.bytes_of_list(values),
            other => other.text(),
        };
        match text.as_literal() {
            Some(literal) => match decode(literal) {
                Some(decoded) => Value::built(decoded, text.steps.with(step)),
                None => Value::Unknown(unknown),
            },
            None => {
                if !text.as_str().is_empty() {
                    self.emit(value);
                }
                Value::Unknown(unknown)
            }
        }
    }

    /// Numbers and characters as one string; a hole for what is unknown.
    pub fn bytes_of_list(&mut self, values: &[Value]) -> Text {
        let mut out = Text::new();
        for value in values {
            match value {
                Value::Int(code) => match u32::try_from(*code).ok().and_then(char::from_u32) {
                    Some(character) => out.push(character),
                    None => out.push_hole(),
                },
                other => {
                    let text = other.text();
                    if out.len() + text.len() > super::value::TEXT_MAX_BYTES {
                        out.push_hole();
                        break;
                    }
                    out.append(&text);
                }
            }
        }
        self.spend(1 + out.len() / 4);
        super::value::capped(out.with_step(Step::OtherLanguage))
    }
}
