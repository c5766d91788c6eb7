//! An `awk` program into a tree. What runs commands, reads other files or defines functions is
//! refused.

use std::rc::Rc;

use super::super::Unknown;
use super::super::posix::{Pattern, Syntax};
use super::lex::{Token, Tokens};

/// Deepest nesting, and most operators of a program: a tree is as deep as both together.
const NESTING_MAX: usize = 24;
const OPERATORS_MAX: usize = 400;

pub(super) struct Item {
    pub when: When,
    pub block: Block,
}

pub(super) enum When {
    Begin,
    End,
    Always,
    Holds(Expression),
}

pub(super) type Block = Vec<Statement>;

pub(super) enum Statement {
    Print(Vec<Expression>),
    Printf(Vec<Expression>),
    Expression(Expression),
    If(Expression, Block, Block),
    /// `first` runs the body before the condition is looked at.
    While {
        condition: Option<Expression>,
        body: Block,
        step: Block,
        first: bool,
    },
    ForIn(String, String, Block),
    Delete(String, Vec<Expression>),
    Next,
    Exit,
    Break,
    Continue,
    Block(Block),
}

pub(super) enum Expression {
    Number(f64),
    Text(Rc<str>),
    Pattern(Rc<Pattern>),
    Variable(String),
    Field(Box<Expression>),
    Element(String, Vec<Expression>),
    /// With the operator of `+=` and the like.
    Assign(Box<Expression>, Option<char>, Box<Expression>),
    /// One of `+ - * / % ^`.
    Calculate(char, Box<Expression>, Box<Expression>),
    Compare(&'static str, Box<Expression>, Box<Expression>),
    Join(Vec<Expression>),
    Match {
        negated: bool,
        text: Box<Expression>,
        pattern: Box<Expression>,
    },
    Not(Box<Expression>),
    Minus(Box<Expression>),
    Plus(Box<Expression>),
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
    Either(Box<Expression>, Box<Expression>, Box<Expression>),
    In(Vec<Expression>, String),
    Step {
        target: Box<Expression>,
        by: f64,
        before: bool,
    },
    Call(String, Vec<Expression>),
}

/// The functions that there are.
const FUNCTIONS: [&str; 13] = [
    "length", "substr", "index", "split", "sub", "gsub", "match", "toupper", "tolower", "sprintf",
    "int", "strtonum", "fflush",
];
const REFUSED: [&str; 4] = ["getline", "function", "func", "system"];
const COMPARISONS: [&str; 6] = ["<", "<=", "==", "!=", ">", ">="];

pub(super) fn parse(program: &str, text: bool) -> Result<Vec<Item>, Unknown> {
    let tokens = Tokens::new(program)?;
    let mut parser = Parser { tokens, at: 0, depth: 0, operators: 0, in_print: false, text };
    let mut items = Vec::new();
    loop {
        while parser.takes(";") || parser.takes("\n") {}
        if parser.ended() {
            return Ok(items);
        }
        items.push(parser.item()?);
    }
}

struct Parser {
    tokens: Tokens,
    at: usize,
    depth: usize,
    operators: usize,
    /// `>` is a redirection here.
    in_print: bool,
    text: bool,
}

type Parsed<T> = Result<T, Unknown>;

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn ended(&self) -> bool {
        self.peek().is_none()
    }

    fn is(&self, sign: &str) -> bool {
        matches!(self.peek(), Some(Token::Sign(other)) if *other == sign)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Name(name)) if name == word)
    }

    fn takes(&mut self, sign: &str) -> bool {
        let found = self.is(sign);
        self.at += usize::from(found);
        found
    }

    fn takes_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Parsed<()> {
        if self.takes(sign) { Ok(()) } else { Err(Unknown::Decoded) }
    }

    fn newlines(&mut self) {
        while self.takes("\n") {}
    }

    fn operator(&mut self) -> Parsed<()> {
        self.operators += 1;
        if self.operators > OPERATORS_MAX { Err(Unknown::Decoded) } else { Ok(()) }
    }

    fn nested<T>(&mut self, parse: impl FnOnce(&mut Parser) -> Parsed<T>) -> Parsed<T> {
        self.depth += 1;
        if self.depth > NESTING_MAX {
            return Err(Unknown::Decoded);
        }
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn item(&mut self) -> Parsed<Item> {
        let when = if self.takes_word("BEGIN") {
            When::Begin
        } else if self.takes_word("END") {
            When::End
        } else if self.is("{") {
            When::Always
        } else {
            let condition = self.expression()?;
            if self.is(",") {
                return Err(Unknown::Decoded);
            }
            When::Holds(condition)
        };
        let block = if self.is("{") {
            self.block()?
        } else if matches!(when, When::Holds(_)) {
            vec![Statement::Print(Vec::new())]
        } else {
            return Err(Unknown::Decoded);
        };
        Ok(Item { when, block })
    }

    fn block(&mut self) -> Parsed<Block> {
        self.expect("{")?;
        let mut block = Block::new();
        loop {
            while self.takes(";") || self.takes("\n") {}
            if self.takes("}") {
                return Ok(block);
            }
            block.push(self.nested(Parser::statement)?);
        }
    }

    /// A statement that another one controls.
    fn body(&mut self) -> Parsed<Block> {
        self.newlines();
        if self.takes(";") {
            return Ok(Block::new());
        }
        Ok(vec![self.nested(Parser::statement)?])
    }

    fn statement(&mut self) -> Parsed<Statement> {
        if self.is("{") {
            return Ok(Statement::Block(self.block()?));
        }
        let Some(Token::Name(name)) = self.peek() else { return self.simple() };
        match name.as_str() {
            "if" => {
                self.at += 1;
                let condition = self.condition()?;
                let then = self.body()?;
                let before = self.at;
                while self.takes(";") || self.takes("\n") {}
                let otherwise = if self.takes_word("else") {
                    self.body()?
                } else {
                    self.at = before;
                    Block::new()
                };
                Ok(Statement::If(condition, then, otherwise))
            }
            "while" => {
                self.at += 1;
                let condition = Some(self.condition()?);
                let body = self.body()?;
                Ok(Statement::While { condition, body, step: Block::new(), first: false })
            }
            "do" => {
                self.at += 1;
                let body = self.body()?;
                while self.takes(";") || self.takes("\n") {}
                if !self.takes_word("while") {
                    return Err(Unknown::Decoded);
                }
                let condition = Some(self.condition()?);
                Ok(Statement::While { condition, body, step: Block::new(), first: true })
            }
            "for" => self.for_loop(),
            _ => self.simple(),
        }
    }

    fn condition(&mut self) -> Parsed<Expression> {
        self.expect("(")?;
        let condition = self.expression()?;
        self.expect(")")?;
        Ok(condition)
    }

    fn for_loop(&mut self) -> Parsed<Statement> {
        self.at += 1;
        self.expect("(")?;
        if let (Some(Token::Name(name)), Some(Token::Name(word)), Some(Token::Name(array))) =
            (self.tokens.get(self.at), self.tokens.get(self.at + 1), self.tokens.get(self.at + 2))
            && word == "in"
        {
            let (name, array) = (name.clone(), array.clone());
            self.at += 3;
            self.expect(")")?;
            return Ok(Statement::ForIn(name, array, self.body()?));
        }
        let mut block = Block::new();
        if !self.is(";") {
            block.push(self.simple()?);
        }
        self.expect(";")?;
        self.newlines();
        let condition = if self.is(";") { None } else { Some(self.expression()?) };
        self.expect(";")?;
        self.newlines();
        let step = if self.is(")") { Block::new() } else { vec![self.simple()?] };
        self.expect(")")?;
        let body = self.body()?;
        block.push(Statement::While { condition, body, step, first: false });
        Ok(Statement::Block(block))
    }

    fn simple(&mut self) -> Parsed<Statement> {
        let Some(Token::Name(name)) = self.peek() else {
            return Ok(Statement::Expression(self.expression()?));
        };
        let statement = match name.as_str() {
            "print" => Statement::Print(self.printed()?),
            "printf" => Statement::Printf(self.printed()?),
            "next" | "nextfile" => self.word(Statement::Next),
            "break" => self.word(Statement::Break),
            "continue" => self.word(Statement::Continue),
            "exit" => {
                self.at += 1;
                if !self.is(";") && !self.is("}") && !self.is("\n") && !self.ended() {
                    self.expression()?;
                }
                Statement::Exit
            }
            "delete" => {
                self.at += 1;
                match self.primary()? {
                    Expression::Element(array, keys) => Statement::Delete(array, keys),
                    Expression::Variable(array) => Statement::Delete(array, Vec::new()),
                    _ => return Err(Unknown::Decoded),
                }
            }
            _ => Statement::Expression(self.expression()?),
        };
        let ends = self.is(";") || self.is("}") || self.is("\n") || self.is(")") || self.ended();
        // Anything else is a redirection or a pipe.
        if ends { Ok(statement) } else { Err(Unknown::Decoded) }
    }

    fn word(&mut self, statement: Statement) -> Statement {
        self.at += 1;
        statement
    }

    /// What `print` prints; parentheses around all of it are no part of it.
    fn printed(&mut self) -> Parsed<Vec<Expression>> {
        self.at += 1;
        let around = std::mem::replace(&mut self.in_print, true);
        let mut list = Vec::new();
        while !(self.is(";") || self.is("}") || self.is("\n") || self.ended()) {
            if list.is_empty() && self.is("(") {
                let before = (self.at, self.operators);
                self.at += 1;
                self.in_print = false;
                list = self.list(")")?;
                self.in_print = true;
                if self.is(";") || self.is("}") || self.is("\n") || self.ended() {
                    break;
                }
                (self.at, self.operators) = before;
                list.clear();
            }
            list.push(self.expression()?);
            if !self.takes(",") {
                break;
            }
            self.newlines();
        }
        self.in_print = around;
        Ok(list)
    }

    fn list(&mut self, end: &str) -> Parsed<Vec<Expression>> {
        let mut list = Vec::new();
        while !self.takes(end) {
            self.newlines();
            list.push(self.expression()?);
            self.newlines();
            if !self.takes(",") {
                self.expect(end)?;
                break;
            }
        }
        Ok(list)
    }

    fn expression(&mut self) -> Parsed<Expression> {
        self.nested(Parser::ternary)
    }

    fn ternary(&mut self) -> Parsed<Expression> {
        let condition = self.binary(0)?;
        if let Some(Token::Sign(sign)) = self.peek()
            && let Some(operator) = assignment(sign)
        {
            let is_target = matches!(
                condition,
                Expression::Variable(_) | Expression::Field(_) | Expression::Element(..)
            );
            if !is_target {
                return Err(Unknown::Decoded);
            }
            self.at += 1;
            self.newlines();
            let value = self.expression()?;
            return Ok(Expression::Assign(Box::new(condition), operator, Box::new(value)));
        }
        if !self.takes("?") {
            return Ok(condition);
        }
        self.newlines();
        let then = self.expression()?;
        self.newlines();
        self.expect(":")?;
        self.newlines();
        let otherwise = self.expression()?;
        Ok(Expression::Either(Box::new(condition), Box::new(then), Box::new(otherwise)))
    }

    /// Operators from `||` (level 0) to `^`.
    fn binary(&mut self, level: usize) -> Parsed<Expression> {
        let mut left = match level {
            8 => return self.power(),
            level => self.binary(level + 1)?,
        };
        loop {
            let sign = match self.peek() {
                Some(Token::Sign(sign)) => *sign,
                Some(Token::Name(word)) if word == "in" => "in",
                _ => "",
            };
            let operator = match (level, sign) {
                (0, "||") | (1, "&&") | (2, "in") | (3, "~" | "!~") => sign,
                (4, ">") if self.in_print => "",
                (4, _) => COMPARISONS.into_iter().find(|known| *known == sign).unwrap_or(""),
                (6, "+" | "-") | (7, "*" | "/" | "%") => sign,
                _ => "",
            };
            if level == 5 {
                if !self.starts_value() {
                    return Ok(left);
                }
                let right = self.binary(6)?;
                left = match left {
                    Expression::Join(mut parts) => {
                        parts.push(right);
                        Expression::Join(parts)
                    }
                    first => Expression::Join(vec![first, right]),
                };
                continue;
            }
            if operator.is_empty() {
                return Ok(left);
            }
            self.operator()?;
            self.at += 1;
            self.newlines();
            if operator == "in" {
                let Some(Token::Name(array)) = self.peek() else { return Err(Unknown::Decoded) };
                let array = array.clone();
                self.at += 1;
                left = Expression::In(vec![left], array);
                continue;
            }
            let (left_side, right) = (Box::new(left), Box::new(self.binary(level + 1)?));
            left = match operator {
                "||" => Expression::Or(left_side, right),
                "&&" => Expression::And(left_side, right),
                "~" | "!~" => {
                    Expression::Match { negated: operator == "!~", text: left_side, pattern: right }
                }
                "+" | "-" | "*" | "/" | "%" => {
                    let sign = operator.chars().next().unwrap_or('+');
                    Expression::Calculate(sign, left_side, right)
                }
                comparison => Expression::Compare(comparison, left_side, right),
            };
        }
    }

    /// Whether what follows is joined to what stands before it.
    fn starts_value(&self) -> bool {
        match self.peek() {
            Some(Token::Number(_) | Token::Text(_)) => true,
            Some(Token::Name(name)) => name != "in",
            Some(Token::Sign(sign)) => matches!(*sign, "$" | "!" | "(" | "++" | "--"),
            _ => false,
        }
    }

    fn power(&mut self) -> Parsed<Expression> {
        let sign = match self.peek() {
            Some(Token::Sign(sign @ ("!" | "-" | "+"))) => *sign,
            _ => {
                let base = self.postfix()?;
                if !self.takes("^") && !self.takes("**") {
                    return Ok(base);
                }
                self.operator()?;
                let exponent = self.nested(Parser::power)?;
                return Ok(Expression::Calculate('^', Box::new(base), Box::new(exponent)));
            }
        };
        self.at += 1;
        let operand = Box::new(self.nested(Parser::power)?);
        Ok(match sign {
            "!" => Expression::Not(operand),
            "-" => Expression::Minus(operand),
            _ => Expression::Plus(operand),
        })
    }

    fn postfix(&mut self) -> Parsed<Expression> {
        for (sign, by) in [("++", 1.0), ("--", -1.0)] {
            if self.takes(sign) {
                let target = Box::new(self.nested(Parser::primary)?);
                return Ok(Expression::Step { target, by, before: true });
            }
        }
        let operand = self.primary()?;
        let is_target = matches!(
            operand,
            Expression::Variable(_) | Expression::Field(_) | Expression::Element(..)
        );
        for (sign, by) in [("++", 1.0), ("--", -1.0)] {
            if is_target && self.takes(sign) {
                return Ok(Expression::Step { target: Box::new(operand), by, before: false });
            }
        }
        Ok(operand)
    }

    fn primary(&mut self) -> Parsed<Expression> {
        let token = self.peek().cloned().ok_or(Unknown::Decoded)?;
        self.at += 1;
        match token {
            Token::Number(number) => Ok(Expression::Number(number)),
            Token::Text(text) => Ok(Expression::Text(text.into())),
            Token::Pattern(pattern) => {
                let pattern = Pattern::new(&pattern, Syntax::Awk, false, self.text)?;
                Ok(Expression::Pattern(Rc::new(pattern)))
            }
            Token::Sign("$") => {
                let number = match self.peek() {
                    Some(Token::Sign("-")) => self.nested(Parser::power)?,
                    Some(Token::Sign("++" | "--")) => self.nested(Parser::postfix)?,
                    _ => self.nested(Parser::primary)?,
                };
                Ok(Expression::Field(Box::new(number)))
            }
            Token::Sign("(") => {
                let around = std::mem::replace(&mut self.in_print, false);
                let mut list = self.list(")")?;
                self.in_print = around;
                if self.takes_word("in") {
                    let Some(Token::Name(array)) = self.peek().cloned() else {
                        return Err(Unknown::Decoded);
                    };
                    self.at += 1;
                    return Ok(Expression::In(list, array));
                }
                // In a list of its own, so that it is no part of what it is joined to.
                match (list.pop(), list.is_empty()) {
                    (Some(only @ Expression::Join(_)), true) => Ok(Expression::Join(vec![only])),
                    (Some(only), true) => Ok(only),
                    _ => Err(Unknown::Decoded),
                }
            }
            Token::Name(name) if REFUSED.contains(&name.as_str()) => Err(Unknown::Decoded),
            Token::Name(name) if FUNCTIONS.contains(&name.as_str()) => {
                let around = std::mem::replace(&mut self.in_print, false);
                let arguments = if self.takes("(") { self.list(")")? } else { Vec::new() };
                self.in_print = around;
                Ok(Expression::Call(name, arguments))
            }
            Token::Name(name) if self.is("[") => {
                self.at += 1;
                let around = std::mem::replace(&mut self.in_print, false);
                let keys = self.list("]")?;
                self.in_print = around;
                Ok(Expression::Element(name, keys))
            }
            // A function that is not known, or something of the system.
            Token::Name(name) if self.is("(") && self.tokens.touches(self.at) => Err(Unknown::of(
                !matches!(name.as_str(), "rand" | "srand" | "systime" | "strftime"),
            )),
            Token::Name(name) if matches!(name.as_str(), "ENVIRON" | "ARGV" | "PROCINFO") => {
                Err(Unknown::Plain)
            }
            Token::Name(name) => Ok(Expression::Variable(name)),
            Token::Sign(_) => Err(Unknown::Decoded),
        }
    }
}

/// The operator of an assignment.
fn assignment(sign: &str) -> Option<Option<char>> {
    Some(match sign {
        "=" => None,
        "+=" => Some('+'),
        "-=" => Some('-'),
        "*=" => Some('*'),
        "/=" => Some('/'),
        "%=" => Some('%'),
        "^=" | "**=" => Some('^'),
        _ => return None,
    })
}
