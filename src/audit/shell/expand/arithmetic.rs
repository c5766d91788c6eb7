//! Integer arithmetic of `$((…))`, `((…))`, subscripts and substrings.
//!
//! Owns the language of expressions: one pass that evaluates as it reads, with variables taken from
//! the shell. `None` is an expression that is invalid or depends on something unknown. Source: the
//! manual of GNU bash 5, "Shell Arithmetic"; 64 bits, wrapping.

use super::parameter;
use super::{Shell, exhaust};
use crate::audit::shell::text::Text;

/// Deepest nesting: of parentheses, of operators that bind to the right, and of variables whose
/// values are expressions, all together.
const DEPTH_MAX: usize = 128;

pub(super) fn evaluate(text: &str, shell: &mut dyn Shell) -> Option<i64> {
    evaluate_at(text, shell, 0)
}

fn evaluate_at(text: &str, shell: &mut dyn Shell, depth: usize) -> Option<i64> {
    if !shell.spend(text.len() + 1) {
        return None;
    }
    let mut evaluator = Evaluator { text, at: 0, shell, depth, skipping: 0 };
    if evaluator.peek().is_none() {
        return Some(0);
    }
    let value = evaluator.comma()?;
    evaluator.peek().is_none().then_some(value)
}

/// A variable that may be assigned to.
#[derive(Clone, Copy)]
struct Place<'t> {
    name: &'t str,
    index: Option<i64>,
}

enum Term<'t> {
    Value(i64),
    Place(Place<'t>),
}

#[derive(Clone, Copy, PartialEq)]
enum Operator {
    Or,
    And,
    BitOr,
    BitXor,
    BitAnd,
    Equal,
    Unequal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    ShiftLeft,
    ShiftRight,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Power,
}

/// Written form and how tightly it binds; longer forms first.
const OPERATORS: [(&str, Operator, u8); 19] = [
    ("||", Operator::Or, 1),
    ("&&", Operator::And, 2),
    ("**", Operator::Power, 11),
    ("<<", Operator::ShiftLeft, 8),
    (">>", Operator::ShiftRight, 8),
    ("<=", Operator::LessEqual, 7),
    (">=", Operator::GreaterEqual, 7),
    ("==", Operator::Equal, 6),
    ("!=", Operator::Unequal, 6),
    ("|", Operator::BitOr, 3),
    ("^", Operator::BitXor, 4),
    ("&", Operator::BitAnd, 5),
    ("<", Operator::Less, 7),
    (">", Operator::Greater, 7),
    ("+", Operator::Add, 9),
    ("-", Operator::Subtract, 9),
    ("*", Operator::Multiply, 10),
    ("/", Operator::Divide, 10),
    ("%", Operator::Remainder, 10),
];

fn compute(operator: Operator, left: i64, right: i64) -> Option<i64> {
    // Only the lower six bits of a distance count, as on every 64-bit machine.
    let distance = (right & 63) as u32;
    Some(match operator {
        Operator::Or => i64::from(left != 0 || right != 0),
        Operator::And => i64::from(left != 0 && right != 0),
        Operator::BitOr => left | right,
        Operator::BitXor => left ^ right,
        Operator::BitAnd => left & right,
        Operator::Equal => i64::from(left == right),
        Operator::Unequal => i64::from(left != right),
        Operator::Less => i64::from(left < right),
        Operator::LessEqual => i64::from(left <= right),
        Operator::Greater => i64::from(left > right),
        Operator::GreaterEqual => i64::from(left >= right),
        Operator::ShiftLeft => left.wrapping_shl(distance),
        Operator::ShiftRight => left.wrapping_shr(distance),
        Operator::Add => left.wrapping_add(right),
        Operator::Subtract => left.wrapping_sub(right),
        Operator::Multiply => left.wrapping_mul(right),
        Operator::Divide if right == 0 => return None,
        Operator::Divide => left.wrapping_div(right),
        Operator::Remainder if right == 0 => return None,
        Operator::Remainder => left.wrapping_rem(right),
        Operator::Power => power(left, u64::try_from(right).ok()?),
    })
}

fn power(mut base: i64, mut exponent: u64) -> i64 {
    let mut out = 1i64;
    while exponent != 0 {
        if exponent & 1 == 1 {
            out = out.wrapping_mul(base);
        }
        base = base.wrapping_mul(base);
        exponent >>= 1;
    }
    out
}

struct Evaluator<'t, 's> {
    text: &'t str,
    at: usize,
    shell: &'s mut dyn Shell,
    depth: usize,
    /// Within a branch that is not taken: nothing is read or assigned.
    skipping: usize,
}

impl<'t> Evaluator<'t, '_> {
    fn rest(&self) -> &'t [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// The next byte that is not between tokens. Double quotes are removed before an expression is
    /// read.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.rest() {
                [b' ' | b'\t' | b'\n' | b'\r' | b'"', ..] => self.at += 1,
                [b'\\', b'\n', ..] => self.at += 2,
                rest => return rest.first().copied(),
            }
        }
    }

    fn eat(&mut self, token: &str) -> bool {
        self.peek();
        let found = self.rest().starts_with(token.as_bytes());
        if found {
            self.at += token.len();
        }
        found
    }

    fn enter(&mut self) -> Option<()> {
        if self.depth >= DEPTH_MAX {
            exhaust(self.shell);
            return None;
        }
        self.depth += 1;
        Some(())
    }

    fn comma(&mut self) -> Option<i64> {
        let mut value = self.assignment()?;
        while self.eat(",") {
            value = self.assignment()?;
        }
        Some(value)
    }

    fn assignment(&mut self) -> Option<i64> {
        self.enter()?;
        let term = self.binary(1)?;
        let value = match term {
            Term::Place(place) => match self.assignment_operator() {
                Some(operator) => {
                    let right = self.assignment()?;
                    let value = match operator {
                        None => right,
                        Some(_) if self.skipping > 0 => 0,
                        Some(operator) => compute(operator, self.load(place)?, right)?,
                    };
                    self.store(place, value);
                    value
                }
                None => self.conditional(Term::Place(place))?,
            },
            term => self.conditional(term)?,
        };
        self.depth -= 1;
        Some(value)
    }

    /// `Some(None)` is `=`, `Some(Some(Add))` is `+=`.
    fn assignment_operator(&mut self) -> Option<Option<Operator>> {
        self.peek();
        let rest = self.rest();
        if rest.starts_with(b"=") && !rest.starts_with(b"==") {
            self.at += 1;
            return Some(None);
        }
        let assigning = |operator: &Operator| {
            use Operator::*;
            matches!(
                operator,
                Multiply | Divide | Remainder | Add | Subtract | ShiftLeft | ShiftRight
            ) || matches!(operator, BitAnd | BitXor | BitOr)
        };
        let (written, operator, _) = OPERATORS.iter().find(|(written, operator, _)| {
            assigning(operator)
                && rest.starts_with(written.as_bytes())
                && rest.get(written.len()) == Some(&b'=')
        })?;
        self.at += written.len() + 1;
        Some(Some(*operator))
    }

    fn conditional(&mut self, condition: Term<'t>) -> Option<i64> {
        let condition = self.value(condition)?;
        if !self.eat("?") {
            return Some(condition);
        }
        let first = self.branch(condition != 0, Evaluator::comma)?;
        if !self.eat(":") {
            return None;
        }
        let second = self.branch(condition == 0, Evaluator::assignment)?;
        Some(if condition != 0 { first } else { second })
    }

    /// Reads an expression that is evaluated only when `taken`.
    fn branch(&mut self, taken: bool, read: impl FnOnce(&mut Self) -> Option<i64>) -> Option<i64> {
        self.skipping += usize::from(!taken);
        let value = read(self);
        self.skipping -= usize::from(!taken);
        value
    }

    fn binary(&mut self, minimum: u8) -> Option<Term<'t>> {
        let mut left = self.unary()?;
        while let Some((written, operator, precedence)) = self.operator() {
            if precedence < minimum {
                break;
            }
            self.at += written.len();
            let value = self.value(left)?;
            let taken = match operator {
                Operator::And => value != 0,
                Operator::Or => value == 0,
                _ => true,
            };
            let right = self.branch(taken, |this| {
                this.enter()?;
                // The power alone binds to the right.
                let term = this.binary(precedence + u8::from(operator != Operator::Power))?;
                this.depth -= 1;
                this.value(term)
            })?;
            left = Term::Value(match operator {
                _ if self.skipping > 0 => 0,
                operator => compute(operator, value, right)?,
            });
        }
        Some(left)
    }

    /// The operator that follows, unless it assigns.
    fn operator(&mut self) -> Option<(&'static str, Operator, u8)> {
        self.peek();
        let rest = self.rest();
        let found = OPERATORS.iter().find(|(written, ..)| rest.starts_with(written.as_bytes()))?;
        let (written, operator, _) = found;
        let compares = matches!(
            operator,
            Operator::Equal | Operator::Unequal | Operator::LessEqual | Operator::GreaterEqual
        );
        let assigns = !compares && rest.get(written.len()) == Some(&b'=');
        (!assigns).then_some(*found)
    }

    fn unary(&mut self) -> Option<Term<'t>> {
        self.enter()?;
        let term = self.unary_inner()?;
        self.depth -= 1;
        Some(term)
    }

    fn unary_inner(&mut self) -> Option<Term<'t>> {
        self.peek();
        match self.rest() {
            [sign @ (b'+' | b'-'), again, ..] if sign == again => {
                let step = if *sign == b'+' { 1 } else { -1 };
                self.at += 2;
                match self.unary()? {
                    Term::Place(place) => {
                        let value = self.load(place)?.wrapping_add(step);
                        self.store(place, value);
                        Some(Term::Value(value))
                    }
                    // Two signs: `--5` is 5.
                    value => Some(value),
                }
            }
            [sign @ (b'+' | b'-' | b'!' | b'~'), ..] => {
                self.at += 1;
                let term = self.unary()?;
                let value = self.value(term)?;
                Some(Term::Value(match sign {
                    b'-' => value.wrapping_neg(),
                    b'!' => i64::from(value == 0),
                    b'~' => !value,
                    _ => value,
                }))
            }
            [b'(', ..] => {
                self.at += 1;
                let value = self.comma()?;
                self.eat(")").then_some(Term::Value(value))
            }
            [b'0'..=b'9', ..] => self.number().map(Term::Value),
            [b'a'..=b'z' | b'A'..=b'Z' | b'_', ..] => self.variable(),
            _ => None,
        }
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'t str {
        let start = self.at;
        self.at += self.rest().iter().take_while(|byte| wanted(**byte)).count();
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn variable(&mut self) -> Option<Term<'t>> {
        let name = self.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let mut place = Place { name, index: None };
        if self.rest().first() == Some(&b'[') {
            self.at += 1;
            place.index = Some(self.comma()?);
            if !self.eat("]") {
                return None;
            }
        }
        for (written, step) in [("++", 1), ("--", -1)] {
            if self.eat(written) {
                let value = self.load(place)?;
                self.store(place, value.wrapping_add(step));
                return Some(Term::Value(value));
            }
        }
        Some(Term::Place(place))
    }

    fn number(&mut self) -> Option<i64> {
        let token =
            self.take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'#' | b'@' | b'_'));
        if let Some((base, digits)) = token.split_once('#') {
            let base = digits_of(base, 10)?;
            return if (2..=64).contains(&base) { digits_of(digits, base) } else { None };
        }
        match token.as_bytes() {
            [b'0', b'x' | b'X', ..] => digits_of(token.get(2..)?, 16),
            [b'0', _, ..] => digits_of(token, 8),
            _ => digits_of(token, 10),
        }
    }

    fn value(&mut self, term: Term<'t>) -> Option<i64> {
        match term {
            Term::Value(value) => Some(value),
            Term::Place(place) => self.load(place),
        }
    }

    fn load(&mut self, place: Place<'_>) -> Option<i64> {
        if self.skipping > 0 {
            return Some(0);
        }
        let value = match place.index {
            Some(index) => parameter::element(place.name, index, self.shell),
            None => parameter::variable(place.name, self.shell),
        };
        let Some(value) = value else { return Some(0) };
        let text = value.as_literal()?;
        if text == place.name {
            return None;
        }
        self.enter()?;
        let value = evaluate_at(text, self.shell, self.depth)?;
        self.depth -= 1;
        Some(value)
    }

    fn store(&mut self, place: Place<'_>, value: i64) {
        if self.skipping > 0 {
            return;
        }
        let value = Text::literal(value.to_string());
        match place.index {
            Some(index) => self.shell.set_variable(&format!("{}[{index}]", place.name), value),
            None => self.shell.set_variable(place.name, value),
        }
    }
}

/// Digits of bases to 64: `0-9a-zA-Z@_`; letters of either case mean the same up to base 36.
fn digits_of(digits: &str, base: i64) -> Option<i64> {
    if digits.is_empty() {
        return None;
    }
    digits.bytes().try_fold(0i64, |value, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'z' => byte - b'a' + 10,
            b'A'..=b'Z' if base <= 36 => byte - b'A' + 10,
            b'A'..=b'Z' => byte - b'A' + 36,
            b'@' => 62,
            b'_' => 63,
            _ => return None,
        };
        let digit = i64::from(digit);
        (digit < base).then(|| value.wrapping_mul(base).wrapping_add(digit))
    })
}
