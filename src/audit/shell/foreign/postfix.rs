//! What may follow an operand: members, indices, calls.

use std::rc::Rc;

use super::Language;
use super::elements::{Elements, map_of};
use super::fold::Folder;
use super::functions::constant;
use super::lex::Kind;
use super::statement::is_keyword;
use super::value::{LIST_MAX, Value};

impl Folder {
    /// Members, indices and calls behind a value.
    pub fn postfix(&mut self, value: Value, start: usize) -> Value {
        let mut value = value;
        while self.pos < self.end && self.pos > start && self.spend(1) {
            let unit = Rc::clone(&self.unit);
            let language = self.language;
            let spaced = unit.spaced(self.pos);
            let symbol = unit.symbol(self.pos);
            let is_member = match symbol {
                Some(".") => !matches!(language, Language::Perl | Language::Php | Language::Awk),
                Some("?." | "&." | "?->") => true,
                Some("->") => language != Language::Ruby,
                Some("::") => language != Language::Lua,
                Some(":") => {
                    language == Language::Lua
                        && matches!(
                            (unit.kind(self.pos + 2), unit.name(self.pos + 1)),
                            (Some(Kind::Symbol("(" | "{") | Kind::Text(_)), Some(_))
                        )
                }
                _ => false,
            };
            let after = self.pos + 1;
            if is_member && let Some(member) = unit.name(after) {
                let target = matches!(value, Value::List(_) | Value::Name(_))
                    .then(|| self.target(start, self.pos))
                    .flatten();
                self.pos += 2;
                value = match target.filter(|target| adds_to_list(member) && self.is_set(target)) {
                    Some(target) => self.added(&target, value, member),
                    None => self.member(value, member),
                };
            } else if is_member && matches!(unit.symbol(after), Some("[" | "{" | "(")) {
                self.pos += 1;
                continue;
            } else if symbol == Some("[") {
                if spaced && matches!(language, Language::Ruby | Language::Awk | Language::Perl) {
                    break;
                }
                value = self.index(value);
            } else if symbol == Some("{") && language == Language::Perl && !spaced {
                value = self.index(value);
            } else if symbol == Some("(") {
                let callable = match &value {
                    Value::Name(_) | Value::Function(_) | Value::Method(_) => true,
                    Value::Text(_) => matches!(language, Language::Php | Language::Perl),
                    Value::Unknown(_) => true,
                    _ => false,
                };
                let joined = spaced
                    && matches!(language, Language::Awk)
                    && !matches!(value, Value::Function(_));
                if !callable || joined {
                    break;
                }
                if let (Language::Awk, Value::Name(name)) = (language, &value)
                    && matches!(&**name, "sub" | "gsub" | "split")
                {
                    let name = Rc::clone(name);
                    value = self.awk_changing(&name);
                    continue;
                }
                let arguments = self.call_arguments();
                value = self.invoke(value, arguments);
            } else if matches!(symbol, Some("++" | "--")) {
                self.pos += 1;
                let target = self.target(start, self.pos - 1);
                self.step(target, &value, symbol.unwrap_or(""));
                self.stored = true;
                break;
            } else if self.is_bare_call(&value, spaced) {
                let arguments = if symbol == Some("{") {
                    let elements = self.bracket();
                    let table = if elements.named.is_empty() {
                        Value::list(elements.values)
                    } else {
                        map_of(elements)
                    };
                    Elements::of(vec![table])
                } else {
                    Elements::of(self.literal().into_iter().collect())
                };
                value = self.invoke(value, arguments);
            } else {
                break;
            }
            if self.stored {
                break;
            }
            if self.has_compound_variables()
                && matches!(value, Value::Unknown(_) | Value::Name(_))
                && let Some(name) = self.target(start, self.pos)
                && let Some(known) = self.variable(&name)
            {
                value = known;
            }
        }
        value
    }

    /// `list.append(x)` and its kin, which change the list.
    fn added(&mut self, target: &str, list: Value, how: &str) -> Value {
        let arguments = if self.unit.is_symbol(self.pos, "(") {
            self.call_arguments()
        } else if self.language == Language::Ruby {
            self.bare_arguments()
        } else {
            return Value::UNKNOWN;
        };
        let Value::List(old) = list else { return Value::UNKNOWN };
        if !self.spend(2 * (old.len() + arguments.values.len())) {
            return Value::UNKNOWN;
        }
        let more = match how {
            "extend" => self.flattened(&arguments.values),
            _ => arguments.values,
        };
        let (before, after) = match how {
            "unshift" | "prepend" => (more, old.to_vec()),
            _ => (old.to_vec(), more),
        };
        let mut all = before;
        all.extend(after);
        all.truncate(LIST_MAX);
        self.set_variable(target, Value::list(all));
        self.stored = true;
        Value::UNKNOWN
    }

    /// Lua's `f"text"` and `f{…}`, JavaScript's tagged templates.
    fn is_bare_call(&self, value: &Value, spaced: bool) -> bool {
        if !matches!(value, Value::Name(_) | Value::Function(_)) {
            return false;
        }
        match (self.language, self.unit.kind(self.pos)) {
            (Language::Lua, Some(Kind::Text(_) | Kind::Symbol("{"))) => true,
            (Language::Node, Some(Kind::Template(_) | Kind::Text(_))) => {
                !spaced
                    && self.unit.tokens.get(self.pos).is_some_and(|token| {
                        self.unit.source.as_bytes().get(token.start) == Some(&b'`')
                    })
            }
            _ => false,
        }
    }

    /// The arguments between the parentheses that begin here, with a block behind them.
    pub fn call_arguments(&mut self) -> Elements {
        let close = self.unit.close(self.pos);
        self.pos += 1;
        if self.language == Language::Perl && self.unit.is_symbol(self.pos, "{") {
            // `map({ … } @list)`
            let block = self.braced_function(vec!["$_".to_owned()]);
            let mut elements = self.elements(close, true);
            elements.values.insert(0, block);
            self.pos = close + 1;
            return elements;
        }
        let mut elements = self.elements(close, true);
        self.pos = close + 1;
        if elements.generated {
            elements.values = vec![Value::list(std::mem::take(&mut elements.values))];
        }
        if self.language == Language::Ruby
            && self.pos < self.end
            && let Some(block) = self.ruby_block(Vec::new())
        {
            elements.values.push(block);
        }
        elements
    }

    /// `.name` behind a value, with its arguments if there are any.
    fn member(&mut self, value: Value, name: &str) -> Value {
        if self.unit.is_symbol(self.pos, "(")
            && !(self.unit.spaced(self.pos) && self.language == Language::Ruby)
        {
            let arguments = self.call_arguments();
            return self.call(Some(value), name, arguments);
        }
        let lua_literal = self.language == Language::Lua
            && matches!(self.unit.kind(self.pos), Some(Kind::Text(_)))
            && !matches!(value, Value::Name(_));
        if lua_literal {
            let arguments = self.literal().into_iter().collect();
            return self.call(Some(value), name, Elements::of(arguments));
        }
        if self.language == Language::Ruby {
            return self.ruby_member(value, name);
        }
        match value {
            Value::Name(prefix) => {
                let path = format!("{prefix}.{name}");
                if let Some(value) = self.variable(&path) {
                    return value;
                }
                match constant(self.language, &path) {
                    Some(constant) => Value::built(constant, Default::default()),
                    None if path.len() > 256 => Value::UNKNOWN,
                    None => Value::name(path),
                }
            }
            Value::Map(pairs) => {
                let found = pairs.iter().find(|(key, _)| key == name);
                found.map_or(Value::UNKNOWN, |(_, value)| value.clone())
            }
            Value::Method(_) => Value::UNKNOWN,
            value => match self.property(&value, name) {
                Some(property) => property,
                None => Value::Method(Rc::new((value, name.to_owned()))),
            },
        }
    }

    /// A method without parentheses: `'…'.reverse`, `File.read '…'`, `list.map { … }`.
    fn ruby_member(&mut self, value: Value, name: &str) -> Value {
        let is_module = name.starts_with(|c: char| c.is_ascii_uppercase());
        if let (true, Value::Name(prefix)) = (is_module, &value) {
            let path = format!("{prefix}.{name}");
            return match constant(self.language, &path) {
                Some(constant) => Value::built(constant, Default::default()),
                None => Value::name(path),
            };
        }
        let begins_argument = match self.unit.kind(self.pos) {
            _ if self.pos >= self.end || !self.unit.spaced(self.pos) => false,
            Some(Kind::Text(_) | Kind::Template(_) | Kind::Words(_) | Kind::Number(_)) => true,
            Some(Kind::Name(word)) => !is_keyword(self.language, word),
            Some(Kind::Symbol("[" | "(")) => true,
            _ => false,
        };
        let mut arguments =
            if begins_argument { self.bare_arguments() } else { Elements::default() };
        if let Some(block) = (self.pos < self.end).then(|| self.ruby_block(Vec::new())).flatten() {
            arguments.values.push(block);
        }
        self.call(Some(value), name, arguments)
    }
}

/// Methods that put their arguments into a list.
fn adds_to_list(method: &str) -> bool {
    matches!(method, "append" | "push" | "extend" | "unshift" | "prepend" | "add")
}
