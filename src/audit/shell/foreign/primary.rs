//! Operands: literals, names, brackets, and what may follow them (members, indices, calls).

use std::rc::Rc;

use super::Language;
use super::elements::{Elements, map_of};
use super::fold::Folder;
use super::functions::{is_list_operator, is_unary_operator};
use super::lex::{Case, Kind, Piece};
use super::operators::{is_declaration, power};
use super::statement::is_keyword;
use super::value::{TEXT_MAX_BYTES, Value, concatenated, mapped};
use crate::audit::shell::text::{Step, Text};

impl Folder {
    /// An operand with what stands before and behind it.
    pub fn unary(&mut self) -> Value {
        let start = self.pos;
        if self.pos >= self.end {
            return Value::UNKNOWN;
        }
        let unit = Rc::clone(&self.unit);
        if let Some(symbol) = unit.symbol(self.pos) {
            let operand = |folder: &mut Folder| {
                folder.pos += 1;
                let value = folder.expression(power::UNARY);
                folder.stored = false;
                value
            };
            match symbol {
                "-" | "~" => {
                    let value = operand(self);
                    return match value.as_int() {
                        Some(number) if symbol == "-" => Value::Int(number.wrapping_neg()),
                        Some(number) => Value::Int(!number),
                        None => {
                            self.emit(&value);
                            Value::UNKNOWN
                        }
                    };
                }
                "!" => {
                    let value = operand(self);
                    return self.negated(value);
                }
                "++" | "--" => {
                    let value = operand(self);
                    let target = self.target(start + 1, self.pos);
                    return self.step(target, &value, symbol);
                }
                "$" if self.language == Language::Awk => {
                    let value = operand(self);
                    self.emit(&value);
                    return Value::UNKNOWN;
                }
                "$" | "@" | "%" if matches!(self.language, Language::Perl | Language::Php) => {
                    return self.dereferenced(symbol);
                }
                "+" | "\\" | "&" | "*" | "**" | "..." | "@" | "::" => return operand(self),
                "->" if self.language == Language::Ruby => {
                    let value = self.ruby_lambda();
                    return self.postfix(value, start);
                }
                "(" | "[" | "{" => {}
                _ => return Value::UNKNOWN,
            }
        }
        if let Some(name) = unit.name(self.pos) {
            match &**name {
                "not" => {
                    self.pos += 1;
                    let value = self.expression(power::COMPARE);
                    return self.negated(value);
                }
                "new" | "await" | "typeof" | "void" | "yield" | "throw" | "async" | "raise"
                | "lambda" | "return"
                    if self.language != Language::Perl
                        && !unit.is_symbol(self.pos + 1, ".")
                        && !(self.language == Language::Ruby && &**name == "lambda") =>
                {
                    self.pos += 1;
                    return if &**name == "lambda" {
                        self.python_lambda()
                    } else {
                        self.expression(power::UNARY)
                    };
                }
                name if is_declaration(name) => {
                    self.pos += 1;
                    return self.expression(power::UNARY);
                }
                _ => {}
            }
        }
        let value = self.primary();
        self.postfix(value, start)
    }

    fn negated(&mut self, value: Value) -> Value {
        self.stored = false;
        match value.truth() {
            Some(truth) => Value::Int(i64::from(!truth)),
            None => {
                self.emit(&value);
                Value::UNKNOWN
            }
        }
    }

    /// `++` and `--`.
    pub fn step(&mut self, target: Option<String>, value: &Value, operator: &str) -> Value {
        let by = if operator == "++" { 1 } else { -1 };
        let next = match value {
            Value::Int(number) => Value::Int(number.wrapping_add(by)),
            _ => Value::UNKNOWN,
        };
        if let Some(target) = target {
            self.set_variable(&target, next.clone());
            self.stored = true;
        }
        next
    }

    /// Perl's `@{…}`, `$$name`; PHP's variable whose name is in another.
    fn dereferenced(&mut self, sigil: &str) -> Value {
        self.pos += 1;
        let value = if self.unit.is_symbol(self.pos, "{") {
            let close = self.unit.close(self.pos);
            self.pos += 1;
            let elements = self.elements(close, false);
            self.pos = close + 1;
            elements.values.into_iter().next().unwrap_or(Value::UNKNOWN)
        } else {
            self.expression(power::UNARY)
        };
        match value.as_str().map(|name| format!("{sigil}{name}")) {
            Some(name) => self.variable(&name).unwrap_or(value),
            None => value,
        }
    }

    /// The literal that stands here.
    pub fn literal(&mut self) -> Option<Value> {
        let unit = Rc::clone(&self.unit);
        let at = self.pos;
        let value = match unit.kind(at)? {
            Kind::Text(text) => {
                self.spend(1 + text.len() / 16);
                Value::Text(text.clone())
            }
            Kind::Template(pieces) => match pieces.as_slice() {
                [Piece::Code(code)] if self.language != Language::Perl => {
                    let value = self.code(code);
                    Value::Text(value.text().with_step(Step::OtherLanguage))
                }
                // Perl's globs are patterns as they are.
                [Piece::Code(code)] if code.starts_with("glob(") => self.code(code),
                _ => Value::Text(self.template(pieces)),
            },
            Kind::Command(pieces) => {
                let command = self.template(pieces);
                self.tell_shell(command);
                Value::UNKNOWN
            }
            Kind::Words(words) => {
                self.spend(words.len());
                Value::list(words.iter().map(|w| Value::Text(Text::literal(w.clone()))).collect())
            }
            _ => return None,
        };
        if let Some(visited) = unit.visited.borrow_mut().get_mut(at) {
            *visited = true;
        }
        self.pos = at + 1;
        Some(value)
    }

    fn template(&mut self, pieces: &[Piece]) -> Text {
        let mut out = Text::new();
        let (mut case, mut next) = (Case::End, Case::End);
        for piece in pieces {
            let part = match piece {
                Piece::Text(text) => text.clone(),
                Piece::Code(code) => {
                    out.steps.add(Step::OtherLanguage);
                    match self.code(code) {
                        // A list within a string: its elements with a space between them.
                        Value::List(values) if self.language == Language::Perl => {
                            self.joined(&values, " ")
                        }
                        value => value.text(),
                    }
                }
                Piece::Case(change @ (Case::UpperNext | Case::LowerNext)) => {
                    next = *change;
                    continue;
                }
                Piece::Case(change) => {
                    case = *change;
                    continue;
                }
            };
            if !self.spend(1 + part.len() / 16) {
                out.push_hole();
                break;
            }
            let part = match case {
                Case::Upper => mapped(&part, str::to_uppercase),
                Case::Lower => mapped(&part, str::to_lowercase),
                _ => part,
            };
            let part = match next {
                Case::UpperNext => mapped(&part, |text| first_in_case(text, true)),
                Case::LowerNext => mapped(&part, |text| first_in_case(text, false)),
                _ => part,
            };
            next = Case::End;
            let steps = out.steps;
            out = concatenated(out, &part);
            if pieces.len() == 1 {
                out.steps = steps.and(part.steps);
            }
        }
        out
    }

    /// The texts of a list with a separator between them.
    pub fn joined(&mut self, values: &[Value], separator: &str) -> Text {
        let separator = Text::literal(separator);
        let mut out = Text::new();
        for (at, value) in values.iter().enumerate() {
            if at > 0 && !separator.is_empty() {
                out = concatenated(out, &separator);
            }
            let text = value.text();
            out = concatenated(out, &text);
            if !self.spend(1 + text.len() / 16) || out.len() >= TEXT_MAX_BYTES {
                out.push_hole();
                break;
            }
        }
        out.steps.add(Step::OtherLanguage);
        out
    }

    fn primary(&mut self) -> Value {
        if let Some(value) = self.literal() {
            return self.adjacent(value);
        }
        let unit = Rc::clone(&self.unit);
        match unit.kind(self.pos) {
            Some(Kind::Number(number)) => {
                self.pos += 1;
                Value::Int(*number)
            }
            Some(Kind::Decimal) => {
                self.pos += 1;
                Value::UNKNOWN
            }
            Some(Kind::Pattern(body, flags)) => {
                self.pos += 1;
                Value::Pattern(Rc::new((body.clone(), flags.clone())))
            }
            Some(Kind::Substitute(..) | Kind::Transliterate(..)) => {
                // Without a target it is applied to `$_`.
                let value = self.variable("$_").unwrap_or(Value::UNKNOWN);
                self.bound(value, Some("$_".to_owned()))
            }
            Some(Kind::Name(name)) => self.named(name),
            Some(Kind::Symbol("(")) => self.group(),
            Some(Kind::Symbol("[")) => {
                let elements = self.bracket();
                let is_map = !elements.named.is_empty() && self.language == Language::Php;
                if is_map { map_of(elements) } else { Value::list(elements.values) }
            }
            Some(Kind::Symbol("{")) => {
                let elements = self.bracket();
                if elements.named.is_empty() {
                    Value::list(elements.values)
                } else {
                    map_of(elements)
                }
            }
            _ => Value::UNKNOWN,
        }
    }

    /// Literals side by side are one.
    fn adjacent(&mut self, first: Value) -> Value {
        let joins = matches!(self.language, Language::Python | Language::Ruby);
        let mut value = first;
        while joins
            && self.pos < self.end
            && matches!(value, Value::Text(_))
            && matches!(self.unit.kind(self.pos), Some(Kind::Text(_) | Kind::Template(_)))
        {
            let Some(next) = self.literal() else { break };
            value = Value::Text(concatenated(value.into_text(), &next.into_text()));
        }
        value
    }

    /// `(…)`: an expression, a tuple, or the parameters of an arrow function.
    fn group(&mut self) -> Value {
        let open = self.pos;
        let close = self.unit.close(open);
        if self.language == Language::Node && self.unit.is_symbol(close + 1, "=>") {
            let parameters = self.parameters(open + 1, close);
            self.pos = close + 2;
            return self.arrow_body(parameters);
        }
        let mut elements = self.bracket();
        match elements.values.len() {
            1 if !elements.several && !elements.generated => {
                elements.values.pop().unwrap_or(Value::UNKNOWN)
            }
            // All but the last value of a JavaScript sequence are dropped.
            count if self.language == Language::Node && count > 1 => {
                let last = elements.values.pop().unwrap_or(Value::UNKNOWN);
                self.emit(&Value::list(elements.values));
                last
            }
            // Awk: `(i, j) in a`; anything else is one value.
            _ => Value::list(elements.values),
        }
    }

    /// A name: a variable, a function with or without parentheses, a constant.
    fn named(&mut self, name: &Rc<str>) -> Value {
        let at = self.pos;
        let unit = Rc::clone(&self.unit);
        let language = self.language;
        match &**name {
            "function" | "fn"
                if matches!(language, Language::Node | Language::Php | Language::Lua) =>
            {
                self.pos += 1;
                return self.definition();
            }
            "sub" if language == Language::Perl => {
                self.pos += 1;
                return self.definition();
            }
            "lambda" | "proc" if language == Language::Ruby => {
                self.pos += 1;
                return self.ruby_block(Vec::new()).unwrap_or(Value::UNKNOWN);
            }
            "True" | "true" | "TRUE" => {
                self.pos += 1;
                return Value::Int(1);
            }
            "False" | "false" | "FALSE" => {
                self.pos += 1;
                return Value::Int(0);
            }
            "None" | "null" | "nil" | "undefined" | "undef" | "NULL" => {
                self.pos += 1;
                return Value::UNKNOWN;
            }
            "getline" if language == Language::Awk => return self.awk_getline(),
            word if is_keyword(language, word) => return Value::UNKNOWN,
            _ => {}
        }
        self.pos += 1;
        if language == Language::Node && unit.is_symbol(self.pos, "=>") {
            self.pos += 1;
            return self.arrow_body(vec![name.to_string()]);
        }
        if language == Language::Perl {
            let element = match unit.symbol(self.pos).filter(|_| !unit.spaced(self.pos)) {
                Some("[") => name.strip_prefix('$').map(|rest| format!("@{rest}")),
                Some("{") => name.strip_prefix('$').map(|rest| format!("%{rest}")),
                _ => None,
            };
            if let Some(array) = element {
                let value = self.variable(&array).or_else(|| self.variable(name));
                return value.unwrap_or(Value::UNKNOWN);
            }
            if let Some(array) = name.strip_prefix("$#") {
                let array = self.variable(&format!("@{array}"));
                return match array {
                    Some(Value::List(values)) => Value::Int(values.len() as i64 - 1),
                    _ => Value::UNKNOWN,
                };
            }
        }
        if matches!(unit.symbol(self.pos), Some("=" | ":=")) && self.pos < self.end {
            // It is written, not read.
            return Value::UNKNOWN;
        }
        if let Some(value) = self.variable(name) {
            return value;
        }
        if name.starts_with(['$', '@', '%']) {
            // Perl's `&name(…)` is a call, any other sigil a variable.
            return Value::UNKNOWN;
        }
        let name = name.strip_prefix('&').unwrap_or(name);
        let bare = !unit.is_symbol(self.pos, "(") && !unit.is_symbol(self.pos, "=>");
        if language == Language::Perl && matches!(name, "push" | "unshift") {
            return self.perl_push(name == "push");
        }
        if bare && matches!(language, Language::Perl | Language::Ruby) {
            if let Some(value) = self.without_parentheses(name) {
                return value;
            }
            if language == Language::Perl
                && unit.is_symbol(self.pos, "}")
                && unit.is_symbol(at.wrapping_sub(1), "{")
            {
                // A key of a hash.
                return Value::Text(Text::literal(name));
            }
        }
        let is_own = name.bytes().any(|byte| byte.is_ascii_lowercase());
        if language == Language::Awk && is_own && bare {
            // A variable that nothing has set is empty.
            return Value::Text(Text::new());
        }
        if let Some(constant) = super::functions::constant(language, name) {
            return Value::built(constant, Default::default());
        }
        Value::name(name)
    }

    /// `join '', map { chr } 47, 101`
    fn without_parentheses(&mut self, name: &str) -> Option<Value> {
        if is_unary_operator(self.language, name) {
            let least = if name == "eval" { power::ASSIGN } else { power::BIT_OR };
            if name == "eval" && self.unit.is_symbol(self.pos, "{") {
                return None;
            }
            let reversed = name == "scalar" && self.unit.is_name(self.pos, "reverse");
            let before = self.pos;
            let argument = self.expression(least);
            self.stored = false;
            let arguments = if self.pos == before { Vec::new() } else { vec![argument] };
            if reversed && let Some(Value::List(values)) = arguments.first() {
                return Some(self.reversed_whole(values));
            }
            return Some(self.call(None, name, Elements::of(arguments)));
        }
        if !is_list_operator(self.language, name) {
            return None;
        }
        let mut block = None;
        if self.language == Language::Perl && self.unit.is_symbol(self.pos, "{") {
            if matches!(name, "map" | "grep" | "sort" | "first") {
                block = Some(self.braced_function(vec!["$_".to_owned()]));
            } else if matches!(name, "system" | "exec") {
                let program = self.bracket();
                self.emit(&Value::list(program.values));
            }
        }
        let mut arguments = self.bare_arguments();
        if let Some(block) = block {
            arguments.values.insert(0, block);
        }
        Some(self.call(None, name, arguments))
    }
}

pub(super) fn first_in_case(text: &str, upper: bool) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) if upper => first.to_uppercase().chain(characters).collect(),
        Some(first) => first.to_lowercase().chain(characters).collect(),
        None => String::new(),
    }
}
