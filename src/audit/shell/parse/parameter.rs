//! Parameters: `$a` and `${…}` with all its operators.

use super::word::{Close, Parts, Quoting, Stop, is_constant};
use super::{Closers, Parser};
use crate::audit::shell::ast::{Operator, Parameter, Part, Replace, Word, WordParts};

/// `$a`
pub(super) fn plain(name: String) -> Part {
    Part::Parameter(Box::new(Parameter { name, index: None, operator: Operator::None }))
}

impl Parser<'_, '_> {
    /// A name, digits (`one`: a single one) or a special parameter.
    pub(super) fn parameter_name(&mut self, one: bool) -> Option<String> {
        match self.cursor.peek()? {
            b'0'..=b'9' => {
                let mut digits = String::new();
                while let Some(digit @ b'0'..=b'9') = self.cursor.peek() {
                    digits.push(char::from(digit));
                    self.cursor.bump();
                    if one {
                        break;
                    }
                }
                Some(digits)
            }
            special @ (b'@' | b'*' | b'#' | b'?' | b'-' | b'$' | b'!') => {
                self.cursor.bump();
                Some(char::from(special).to_string())
            }
            _ => Some(self.cursor.name()).filter(|name| !name.is_empty()),
        }
    }

    /// Behind `${`.
    pub(super) fn braced(&mut self, parts: &mut Parts, quoting: Quoting) {
        if let Some(b' ' | b'\t' | b'\n' | b'|') = self.cursor.peek() {
            self.cursor.eat("|");
            let script = self.substitution(Closers::BRACE);
            parts.push(Part::Command(script));
            return;
        }
        if !self.enter() {
            self.skip_balanced(b'{', b'}');
            return;
        }
        if let Some(parameter) = self.parameter(quoting) {
            parts.push(Part::Parameter(Box::new(parameter)));
        }
        if self.cursor.peek() != Some(b'}') {
            // No shell takes it; what is left is read as a word, so that quotes in it are quotes.
            self.value(quoting);
        }
        let closed = self.cursor.eat("}");
        self.state.unclosed |= !closed;
        self.leave();
    }

    fn parameter(&mut self, quoting: Quoting) -> Option<Parameter> {
        if let Some(parameter) = self.length_of() {
            return Some(parameter);
        }
        if self.cursor.peek() == Some(b'!')
            && self.cursor.second().is_some_and(|byte| {
                byte == b'_' || byte.is_ascii_alphanumeric() || matches!(byte, b'@' | b'*' | b'#')
            })
        {
            let before = self.cursor;
            self.cursor.bump();
            if let Some(parameter) = self.indirect(quoting) {
                return Some(parameter);
            }
            self.cursor = before;
        }
        let name = self.parameter_name(false)?;
        let index = self.parameter_index();
        let operator = self.operator(quoting).unwrap_or(Operator::None);
        Some(Parameter { name, index, operator })
    }

    /// `${#a}`, `${#a[@]}`; of the special parameter `#` only `${##}`.
    fn length_of(&mut self) -> Option<Parameter> {
        let before = self.cursor;
        if self.cursor.eat("#")
            && let Some(name) = self.parameter_name(false)
        {
            // An index is part of a variable's name only, so nothing is parsed twice.
            let is_variable = name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic());
            let index = if is_variable { self.parameter_index() } else { None };
            if is_variable || self.cursor.peek() == Some(b'}') {
                return Some(Parameter { name, index, operator: Operator::Length });
            }
        }
        self.cursor = before;
        None
    }

    /// Behind `${!`. `None`: `!` is the parameter, with an operator.
    fn indirect(&mut self, quoting: Quoting) -> Option<Parameter> {
        let name = self.parameter_name(false)?;
        let is_variable = name.starts_with(|c: char| c == '_' || c.is_ascii_alphanumeric());
        if !is_variable {
            let closed = self.cursor.peek() == Some(b'}');
            return closed.then_some(Parameter { name, index: None, operator: Operator::Indirect });
        }
        if matches!(self.cursor.peek(), Some(b'@' | b'*')) && self.cursor.second() == Some(b'}') {
            self.cursor.bump();
            return Some(Parameter { name, index: None, operator: Operator::Names });
        }
        let index = self.parameter_index();
        if let Some(Word { parts, .. }) = &index
            && let [Part::Literal(all)] = &**parts
            && (all == "@" || all == "*")
            && self.cursor.peek() == Some(b'}')
        {
            return Some(Parameter { name, index, operator: Operator::Names });
        }
        // The tree has one operator for a parameter. One that may run something is kept, under a
        // name that no variable has; any other gives way to the indirection.
        let (name, operator) = match self.operator(quoting) {
            Some(
                Operator::Default { colon, word }
                | Operator::Assign { colon, word }
                | Operator::Alternative { colon, word },
            ) => (format!("!{name}"), Operator::Default { colon, word }),
            Some(operator) if runs(&operator) => (format!("!{name}"), operator),
            _ => (name, Operator::Indirect),
        };
        Some(Parameter { name, index, operator })
    }

    fn parameter_index(&mut self) -> Option<Word> {
        if !self.cursor.eat("[") {
            return None;
        }
        let word = self.index();
        self.cursor.eat("]");
        Some(word)
    }

    fn operator(&mut self, quoting: Quoting) -> Option<Operator> {
        let byte = self.cursor.peek()?;
        let operator = match byte {
            b':' => {
                self.cursor.bump();
                match self.cursor.peek() {
                    Some(byte @ (b'-' | b'=' | b'+' | b'?')) => {
                        self.cursor.bump();
                        self.choice(byte, true, quoting)
                    }
                    _ => self.substring(),
                }
            }
            b'-' | b'=' | b'+' | b'?' => {
                self.cursor.bump();
                self.choice(byte, false, quoting)
            }
            b'#' => {
                let longest = self.doubled("#");
                Operator::RemovePrefix { longest, pattern: self.pattern(false) }
            }
            b'%' => {
                let longest = self.doubled("%");
                Operator::RemoveSuffix { longest, pattern: self.pattern(false) }
            }
            b'/' => self.replace(),
            b'^' | b',' | b'~' => {
                let all = self.doubled(match byte {
                    b'^' => "^",
                    b',' => ",",
                    _ => "~",
                });
                let pattern = (self.cursor.peek() != Some(b'}')).then(|| self.pattern(false));
                Operator::ChangeCase { upper: byte != b',', all, pattern }
            }
            b'@' => {
                let mut ahead = self.cursor;
                ahead.bump();
                let letter = ahead.peek().filter(u8::is_ascii_alphabetic)?;
                ahead.bump();
                self.cursor = ahead;
                Operator::Transform(char::from(letter))
            }
            _ => return None,
        };
        Some(operator)
    }

    /// Consumes the operator; whether it is there twice.
    fn doubled(&mut self, operator: &str) -> bool {
        self.cursor.eat(operator);
        self.cursor.eat(operator)
    }

    fn choice(&mut self, byte: u8, colon: bool, quoting: Quoting) -> Operator {
        let word = self.value(quoting);
        match byte {
            b'-' => Operator::Default { colon, word },
            b'=' => Operator::Assign { colon, word },
            b'+' => Operator::Alternative { colon, word },
            _ => Operator::Error { colon, word },
        }
    }

    fn substring(&mut self) -> Operator {
        let offset = self.quoted_word(Close::Offset);
        let length = self.cursor.eat(":").then(|| self.quoted_word(Close::Offset));
        Operator::Substring { offset, length }
    }

    fn replace(&mut self) -> Operator {
        self.cursor.eat("/");
        let which = match self.cursor.peek() {
            Some(b'/') => Replace::All,
            Some(b'#') => Replace::Prefix,
            Some(b'%') => Replace::Suffix,
            _ => Replace::First,
        };
        if which != Replace::First {
            self.cursor.bump();
        }
        let pattern = self.pattern(true);
        let with = if self.cursor.eat("/") {
            self.word_up_to(Stop::Brace { slash: false, pattern: false })
        } else {
            Word { parts: WordParts::new(), span: self.span_from(self.cursor.at()) }
        };
        Operator::Replace { which, pattern, with }
    }

    /// Patterns are patterns even within double quotes.
    fn pattern(&mut self, slash: bool) -> Word {
        self.word_up_to(Stop::Brace { slash, pattern: true })
    }

    /// An operand that is quoted as the parameter is.
    fn value(&mut self, quoting: Quoting) -> Word {
        match quoting {
            Quoting::None => self.word_up_to(Stop::Brace { slash: false, pattern: false }),
            _ => self.quoted_word(Close::Brace),
        }
    }
}

/// Whether an operand holds an expansion.
fn runs(operator: &Operator) -> bool {
    match operator {
        Operator::RemovePrefix { pattern, .. }
        | Operator::RemoveSuffix { pattern, .. }
        | Operator::ChangeCase { pattern: Some(pattern), .. } => !is_constant(pattern),
        Operator::Substring { offset, length } => {
            !is_constant(offset) || length.as_ref().is_some_and(|length| !is_constant(length))
        }
        Operator::Replace { pattern, with, .. } => !is_constant(pattern) || !is_constant(with),
        Operator::Error { word, .. } => !is_constant(word),
        _ => false,
    }
}
