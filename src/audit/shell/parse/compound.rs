//! Compound commands: what starts with a reserved word or a parenthesis.

use std::rc::Rc;

use super::word::{Close, Stop, as_literal};
use super::{Ahead, Closers, Dialect, Parser, Reserved};
use crate::audit::shell::ast::{
    CaseArm, Connector, ForArithmetic, Item, Node, Part, Script, Simple, Span, Word,
};

impl<'a> Parser<'a, '_> {
    /// A command of any kind, with the reserved word that is next. `None` where none starts; something
    /// may be consumed all the same.
    pub(super) fn command(&mut self, reserved: Option<Ahead<'a>>) -> Option<Node> {
        let parenthesis = self.cursor.peek() == Some(b'(');
        let (reserved, after) = match reserved {
            _ if parenthesis => (None, self.cursor),
            Some((Reserved::Closer(_), _)) => return None,
            Some((Reserved::In | Reserved::Not | Reserved::Time, _)) | None => {
                return self.simple();
            }
            Some((reserved, after)) => (Some(reserved), after),
        };
        if !self.enter() {
            // The list goes on behind it, as if it were not there.
            self.cursor = after;
            if parenthesis {
                self.cursor.bump();
            }
            return None;
        }
        self.cursor = after;
        self.count_node();
        let node = match reserved {
            None => self.parenthesised(),
            Some(Reserved::If) => self.if_clause(),
            Some(Reserved::For | Reserved::Select) => self.for_loop(),
            Some(Reserved::While) => self.while_loop(false),
            Some(Reserved::Until) => self.while_loop(true),
            Some(Reserved::Case) => self.case(),
            Some(Reserved::Function) => self.named_function(),
            Some(Reserved::Coproc) => self.coprocess(),
            Some(Reserved::OpenTest) => self.test(after.at().saturating_sub("[[".len())),
            _ => {
                let script = self.list(Closers::BRACE);
                self.eat_closer(Closers::BRACE);
                Node::Group(script)
            }
        };
        self.leave();
        self.with_redirects(node)
    }

    fn with_redirects(&mut self, node: Node) -> Option<Node> {
        let mut redirects = Vec::new();
        loop {
            self.skip_blanks();
            match self.redirect() {
                Some(redirect) => redirects.extend(redirect),
                None if redirects.is_empty() => return Some(node),
                None => return Some(Node::Redirected { node: Box::new(node), redirects }),
            }
        }
    }

    fn parenthesised(&mut self) -> Node {
        self.cursor.bump();
        let mut inside = self.cursor;
        if self.state.dialect == Dialect::Bash && inside.eat("(") {
            let outside = std::mem::replace(&mut self.cursor, inside);
            if let Some(end) = self.arithmetic_end() {
                self.state.differs |= self.may_be_commands(end);
                let word = self.expression(end);
                self.cursor.eat("))");
                return Node::Arithmetic(word);
            }
            self.cursor = outside;
        }
        let script = self.list(Closers::PARENTHESIS);
        self.skip_blanks();
        self.cursor.eat(")");
        Node::Subshell(script)
    }

    fn if_clause(&mut self) -> Node {
        let ends = Closers::ELIF.or(Closers::ELSE).or(Closers::FI);
        self.open.push(ends);
        let mut arms = Vec::new();
        loop {
            let condition = self.list(Closers::THEN);
            let body =
                if self.eat_closer(Closers::THEN) { self.list(ends) } else { Script::default() };
            arms.push((condition, body));
            if !self.eat_closer(Closers::ELIF) {
                break;
            }
            self.count_node();
        }
        let otherwise = self.eat_closer(Closers::ELSE).then(|| self.list(Closers::FI));
        self.eat_closer(Closers::FI);
        self.open.pop();
        Node::If { arms, otherwise }
    }

    fn while_loop(&mut self, until: bool) -> Node {
        self.open.push(Closers::DONE);
        let condition = self.list(Closers::DO);
        let body = self.loop_body();
        self.open.pop();
        Node::While { condition, body, until }
    }

    fn for_loop(&mut self) -> Node {
        self.skip_blanks();
        let mut inside = self.cursor;
        if inside.eat("((") {
            let outside = std::mem::replace(&mut self.cursor, inside);
            if let Some(end) = self.arithmetic_end() {
                let [first, condition, next] = self.up_to(end, |parser| {
                    [(); 3].map(|()| {
                        let word = parser.quoted_word(Close::Semicolon);
                        parser.cursor.eat(";");
                        word
                    })
                });
                self.cursor.eat("))");
                let body = self.loop_body();
                let parts = ForArithmetic { first, condition, next, body };
                return Node::ForArithmetic(Box::new(parts));
            }
            self.cursor = outside;
        }
        let name = self.word().as_ref().and_then(as_literal).unwrap_or_default();
        self.skip_lines();
        let words = self.eat_reserved(Reserved::In).then(|| self.loop_words());
        if words.is_some() && self.cursor.peek() == Some(b'\n') && !self.pending.is_empty() {
            self.state.differs = true;
            if self.state.dialect == Dialect::Posix {
                self.cursor.bump();
            }
        }
        let body = self.loop_body();
        Node::For { name, words, body }
    }

    fn loop_words(&mut self) -> Vec<Word> {
        let mut words = Vec::new();
        loop {
            self.skip_blanks();
            let at = self.cursor.at();
            match self.word() {
                Some(word) => words.push(word),
                None if self.cursor.at() == at => return words,
                None => {}
            }
        }
    }

    /// `do …; done` or `{ …; }`, with what separates it from the head.
    fn loop_body(&mut self) -> Script {
        self.skip_lines();
        if self.cursor.peek() == Some(b';') && self.cursor.second() != Some(b';') {
            self.cursor.bump();
            self.skip_lines();
        }
        if self.eat_closer(Closers::DO) {
            let body = self.list(Closers::DONE);
            self.eat_closer(Closers::DONE);
            return body;
        }
        if self.eat_reserved(Reserved::OpenBrace) {
            let body = self.list(Closers::BRACE);
            self.eat_closer(Closers::BRACE);
            return body;
        }
        // A condition without `do`.
        self.eat_closer(Closers::DONE);
        Script::default()
    }

    fn case(&mut self) -> Node {
        self.skip_blanks();
        let subject = self.word().unwrap_or_default();
        self.skip_lines();
        self.eat_reserved(Reserved::In);
        self.open.push(Closers::ESAC);
        let mut arms = Vec::new();
        loop {
            self.skip_lines();
            let at = self.cursor.at();
            if self.cursor.peek().is_none() || self.eat_closer(Closers::ESAC) {
                break;
            }
            let patterns = self.case_patterns();
            let stuck = patterns.is_empty() && self.cursor.at() == at;
            if stuck && (self.awaits(Closers::PARENTHESIS) || self.cursor.peek() != Some(b')')) {
                // Out of place: what is around the case may know.
                break;
            }
            self.cursor.eat(")");
            let body = self.list(Closers::ESAC.or(Closers::ARM));
            self.count_node();
            arms.push(CaseArm { patterns, body });
            let _ = self.cursor.eat(";;&") || self.cursor.eat(";&") || self.cursor.eat(";;");
        }
        self.open.pop();
        Node::Case { subject, arms }
    }

    /// Patterns up to the `)`, which is left.
    fn case_patterns(&mut self) -> Vec<Word> {
        let mut patterns = Vec::new();
        self.cursor.eat("(");
        loop {
            self.skip_blanks();
            patterns.extend(self.word());
            self.skip_blanks();
            if !self.cursor.eat("|") {
                return patterns;
            }
        }
    }

    /// Behind `function`.
    fn named_function(&mut self) -> Node {
        self.skip_blanks();
        let name = self.word().as_ref().and_then(as_literal).unwrap_or_default();
        self.skip_blanks();
        self.eat_empty_parentheses();
        self.function_body(name)
    }

    pub(super) fn function_body(&mut self, name: String) -> Node {
        self.skip_lines();
        self.count_node();
        let body = if self.enter() {
            let reserved = self.reserved();
            let body = self.command(reserved);
            self.leave();
            body
        } else {
            None
        };
        let body = Rc::new(body.unwrap_or_else(|| Node::Simple(Simple::default())));
        Node::Function { name, body }
    }

    /// Behind `coproc`: a command that runs beside the others.
    fn coprocess(&mut self) -> Node {
        self.skip_blanks();
        let mut ahead = self.cursor;
        if !ahead.name().is_empty() {
            let before = self.cursor;
            let mut named = self.reserved().is_none();
            self.cursor = ahead;
            named &= matches!(self.cursor.peek(), Some(b' ' | b'\t'));
            self.skip_blanks();
            named &= self.cursor.peek() == Some(b'(')
                || self.reserved().is_some_and(|(reserved, _)| reserved.starts_compound());
            if !named {
                self.cursor = before;
            }
        }
        self.skip_blanks();
        let reserved = self.reserved();
        let command = self.command(reserved);
        let items = command.map(|node| Item { connector: Connector::Then, node, background: true });
        Node::Subshell(Script { items: items.into_iter().collect(), incomplete: false })
    }

    /// Behind `[[`.
    fn test(&mut self, start: usize) -> Node {
        let mut words: Vec<Word> = Vec::new();
        let mut parentheses = 0_usize;
        let mut shape = Shape::default();
        let mut regex = false;
        let closed = loop {
            self.skip_blanks();
            let at = self.cursor.at();
            let Some(byte) = self.cursor.peek() else { break false };
            let second = self.cursor.second();
            let operator = match byte {
                b'\n' => {
                    self.newline();
                    shape.newline();
                    continue;
                }
                b'&' | b'|' if second == Some(byte) => Some(if byte == b'&' { "&&" } else { "||" }),
                b'&' | b'|' | b';' => break false,
                b'<' | b'>' if second != Some(b'(') => Some(if byte == b'<' { "<" } else { ">" }),
                b'(' if !regex => {
                    parentheses += 1;
                    Some("(")
                }
                b')' => match parentheses.checked_sub(1) {
                    Some(less) => {
                        parentheses = less;
                        Some(")")
                    }
                    None => break false,
                },
                _ => None,
            };
            let word = match operator {
                Some(operator) if !regex => {
                    self.cursor.eat(operator);
                    self.count_node();
                    let parts = smallvec::smallvec![Part::Literal(operator.into())];
                    Word { parts, span: self.span_from(at) }
                }
                _ => self.word_up_to(if regex { Stop::Regex } else { Stop::Word }),
            };
            let literal = as_literal(&word);
            if !regex && literal.as_deref() == Some("]]") {
                break true;
            }
            regex = literal.as_deref() == Some("=~");
            if !word.parts.is_empty() {
                shape.word(literal.as_deref(), operator.is_some());
                words.push(word);
            } else if self.cursor.at() == at {
                self.cursor.take_char();
            }
        };
        shape.finish();
        self.state.differs |= !closed || shape.odd;
        let span = self.place.unwrap_or(Span::new(start, self.cursor.at()));
        Node::Test { words, span }
    }
}

impl Reserved {
    fn starts_compound(self) -> bool {
        !matches!(
            self,
            Reserved::Not | Reserved::Time | Reserved::In | Reserved::Coproc | Reserved::Closer(_)
        )
    }
}

/// Whether the words of a `[[` are conditions, or rather commands for a shell that has no `[[`.
#[derive(Default)]
struct Shape {
    /// Words since the last `&&` or `||`, without `!` and parentheses.
    count: usize,
    /// The first of them is an operator such as `-f`.
    unary: bool,
    /// The second of them is an operator.
    binary: bool,
    /// It is behind a `&&` or `||`.
    later: bool,
    odd: bool,
}

impl Shape {
    fn word(&mut self, literal: Option<&str>, operator: bool) {
        match literal {
            Some("&&" | "||") if operator => {
                self.finish();
                *self = Shape { later: true, odd: self.odd, ..Shape::default() };
            }
            Some("(" | ")") if operator => {}
            Some("!") if self.count == 0 => {}
            literal => {
                self.count += 1;
                match self.count {
                    1 => self.unary = literal.is_some_and(|text| is_dashed(text, 2..=2)),
                    2 => {
                        self.binary = literal.is_some_and(|text| {
                            matches!(text, "=" | "==" | "!=" | "=~" | "<" | ">")
                                || is_dashed(text, 3..=3)
                        });
                    }
                    _ => {}
                }
            }
        }
    }

    /// A newline may stand between conditions only.
    fn newline(&mut self) {
        self.odd |= self.count > 0;
    }

    fn finish(&mut self) {
        self.odd |= match self.count {
            0 => true,
            1 => self.later,
            2 => !self.unary,
            3 => !self.binary,
            _ => true,
        };
    }
}

fn is_dashed(text: &str, lengths: std::ops::RangeInclusive<usize>) -> bool {
    text.starts_with('-') && lengths.contains(&text.len())
}
