//! Here-documents: takes their bodies from behind a newline, and puts them into the tree.
//!
//! A body comes after the rest of its line, so its redirection is in the tree already: there its
//! number stands in its place until the whole text is parsed.

use std::rc::Rc;

use smallvec::smallvec;

use super::word::{Close, Parts};
use super::{Dialect, Parser};
use crate::audit::shell::ast::{
    AssignedValue, ForArithmetic, Node, Operator, Part, Redirect, RedirectKind, Script, Simple,
    Span, Word, WordParts,
};
use crate::audit::shell::text::Step;

pub(super) struct Pending {
    /// Of its body.
    pub(super) number: usize,
    pub(super) delimiter: String,
    /// Nothing in the body is expanded.
    pub(super) quoted: bool,
    /// `<<-`
    pub(super) strip: bool,
}

impl<'a> Parser<'a, '_> {
    /// Takes the bodies of all that are pending from here on.
    pub(super) fn read_documents(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        for pending in std::mem::take(&mut self.pending) {
            let start = self.cursor.at();
            let (parts, end) = if self.state.dialect == Dialect::Posix && !pending.quoted {
                self.streamed(&pending)
            } else {
                let end = self.document_end(&pending);
                let span = self.place.unwrap_or(Span::new(start, end));
                (self.body(&pending, start, end, span), end)
            };
            let span = self.place.unwrap_or(Span::new(start, end));
            if let Some(body) = self.bodies.get_mut(pending.number) {
                *body = Word { parts, span };
            }
        }
    }

    /// A body that is parsed to know where it ends; and where that is.
    fn streamed(&mut self, pending: &Pending) -> (WordParts, usize) {
        self.count_node();
        let mut parts = Parts::default();
        if !self.enter() {
            let end = self.document_end(pending);
            return (WordParts::new(), end);
        }
        let end = loop {
            let line_start = self.cursor.at();
            if pending.strip {
                self.cursor.take_while(|byte| byte == b'\t');
            }
            let mut ahead = self.cursor;
            if ahead.eat(&pending.delimiter) && matches!(ahead.raw(), None | Some(b'\n')) {
                ahead.bump();
                self.cursor = ahead;
                break line_start;
            }
            if self.cursor.raw().is_none() {
                break self.cursor.at();
            }
            parts.extend(self.quoted(Close::Line));
        };
        self.leave();
        (smallvec![Part::Double(parts.finish().into_vec())], end)
    }

    fn body(&mut self, pending: &Pending, start: usize, end: usize, span: Span) -> WordParts {
        let body = self.cursor.slice(start, end);
        // A body within a body is looked through once more for each that it stands in.
        if !self.spend(body.len()) {
            return WordParts::new();
        }
        if !pending.strip {
            return self.body_parts(body, pending.quoted, span);
        }
        let mut stripped = String::with_capacity(body.len());
        body.split_inclusive('\n')
            .for_each(|line| stripped.push_str(line.trim_start_matches('\t')));
        self.body_parts(&stripped, pending.quoted, span)
    }

    fn body_parts(&mut self, body: &str, quoted: bool, span: Span) -> WordParts {
        self.count_node();
        if quoted || !self.enter() {
            return smallvec![Part::Quoted { text: body.into(), step: Step::HereDocument }];
        }
        let around = std::mem::take(&mut self.state.unclosed);
        let parts = Parser::new(body, self.state, Some(span)).document();
        self.state.differs |= self.state.unclosed;
        self.state.unclosed = around;
        self.leave();
        smallvec![Part::Double(parts)]
    }

    /// Goes behind the line that ends the document; returns where the body ends.
    fn document_end(&mut self, pending: &Pending) -> usize {
        let delimiter = &*pending.delimiter;
        // Lines that a backslash joins are one; `matched`: how much of the delimiter it has been.
        let mut line_start = self.cursor.at();
        let mut matched = Some(0);
        loop {
            let at = self.cursor.at();
            let rest = self.cursor.rest();
            if rest.is_empty() {
                return at;
            }
            let (line, ended) = self.cursor.take_until('\n');
            let tabs = if pending.strip && at == line_start {
                line.len() - line.trim_start_matches('\t').len()
            } else {
                0
            };
            let text = line.get(tabs..).unwrap_or_default();
            let backslashes = text.len() - text.trim_end_matches('\\').len();
            let continues = !pending.quoted && ended && backslashes % 2 == 1;
            let text = if continues { text.strip_suffix('\\').unwrap_or(text) } else { text };
            let wanted = matched.and_then(|matched| delimiter.get(matched..));
            if !continues && wanted == Some(text) {
                return line_start;
            }
            // bash takes `EOF)` as the end within `$(…)`.
            if self.substitutions > 0
                && !delimiter.is_empty()
                && wanted == Some(delimiter)
                && let Some(behind) = text.strip_prefix(delimiter)
                && behind.contains(')')
            {
                self.cursor.go_to(at + tabs + delimiter.len());
                return line_start;
            }
            if continues {
                matched = wanted
                    .filter(|wanted| wanted.starts_with(text))
                    .map(|wanted| delimiter.len() - wanted.len() + text.len());
            } else {
                line_start = self.cursor.at();
                matched = Some(0);
            }
        }
    }
}

/// Puts the bodies in the place of their numbers.
pub(super) fn fill_script(script: &mut Script, bodies: &mut [Word]) {
    script.items.iter_mut().for_each(|item| fill_node(&mut item.node, bodies));
}

fn fill_node(node: &mut Node, bodies: &mut [Word]) {
    match node {
        Node::Simple(simple) => fill_simple(simple, bodies),
        Node::Pipeline { commands, .. } => {
            commands.iter_mut().for_each(|command| fill_node(command, bodies));
        }
        Node::Subshell(script) | Node::Group(script) => fill_script(script, bodies),
        Node::If { arms, otherwise } => {
            for (condition, body) in arms {
                fill_script(condition, bodies);
                fill_script(body, bodies);
            }
            otherwise.iter_mut().for_each(|script| fill_script(script, bodies));
        }
        Node::For { words, body, .. } => {
            words.iter_mut().for_each(|words| fill_words(words, bodies));
            fill_script(body, bodies);
        }
        Node::ForArithmetic(parts) => {
            let ForArithmetic { first, condition, next, body } = &mut **parts;
            [first, condition, next].into_iter().for_each(|word| fill_word(word, bodies));
            fill_script(body, bodies);
        }
        Node::While { condition, body, .. } => {
            fill_script(condition, bodies);
            fill_script(body, bodies);
        }
        Node::Case { subject, arms } => {
            fill_word(subject, bodies);
            for arm in arms {
                fill_words(&mut arm.patterns, bodies);
                fill_script(&mut arm.body, bodies);
            }
        }
        Node::Function { body, .. } => {
            if let Some(body) = Rc::get_mut(body) {
                fill_node(body, bodies);
            }
        }
        Node::Test { words, .. } => fill_words(words, bodies),
        Node::Arithmetic(word) => fill_word(word, bodies),
        Node::Redirected { node, redirects } => {
            fill_node(node, bodies);
            fill_redirects(redirects, bodies);
        }
    }
}

fn fill_simple(simple: &mut Simple, bodies: &mut [Word]) {
    for assignment in &mut simple.assignments {
        assignment.index.iter_mut().for_each(|word| fill_word(word, bodies));
        match &mut assignment.value {
            AssignedValue::Word(word) => fill_word(word, bodies),
            AssignedValue::Array { elements, .. } => {
                for element in elements {
                    element.key.iter_mut().for_each(|word| fill_word(word, bodies));
                    fill_word(&mut element.value, bodies);
                }
            }
        }
    }
    fill_words(&mut simple.words, bodies);
    fill_redirects(&mut simple.redirects, bodies);
}

fn fill_redirects(redirects: &mut [Redirect], bodies: &mut [Word]) {
    for redirect in redirects {
        let Span { start: number, end } = redirect.target.span;
        if redirect.kind != RedirectKind::HereDocument {
            fill_word(&mut redirect.target, bodies);
        } else if end == usize::MAX
            && let Some(body) = bodies.get_mut(number)
        {
            redirect.target = std::mem::take(body);
        }
    }
}

fn fill_words(words: &mut [Word], bodies: &mut [Word]) {
    words.iter_mut().for_each(|word| fill_word(word, bodies));
}

fn fill_word(word: &mut Word, bodies: &mut [Word]) {
    fill_parts(&mut word.parts, bodies);
}

pub(super) fn fill_parts(parts: &mut [Part], bodies: &mut [Word]) {
    for part in parts {
        match part {
            Part::Literal(_) | Part::Quoted { .. } => {}
            Part::Double(parts) => fill_parts(parts, bodies),
            Part::Parameter(parameter) => {
                parameter.index.iter_mut().for_each(|word| fill_word(word, bodies));
                fill_operator(&mut parameter.operator, bodies);
            }
            Part::Command(script) | Part::ProcessInput(script) | Part::ProcessOutput(script) => {
                fill_script(script, bodies);
            }
            Part::Arithmetic(word) => fill_word(word, bodies),
            Part::Extended { alternatives, .. } => fill_words(alternatives, bodies),
        }
    }
}

fn fill_operator(operator: &mut Operator, bodies: &mut [Word]) {
    match operator {
        Operator::None
        | Operator::Length
        | Operator::Indirect
        | Operator::Names
        | Operator::Transform(_) => {}
        Operator::Default { word, .. }
        | Operator::Assign { word, .. }
        | Operator::Alternative { word, .. }
        | Operator::Error { word, .. } => fill_word(word, bodies),
        Operator::RemovePrefix { pattern, .. } | Operator::RemoveSuffix { pattern, .. } => {
            fill_word(pattern, bodies);
        }
        Operator::Substring { offset, length } => {
            fill_word(offset, bodies);
            length.iter_mut().for_each(|word| fill_word(word, bodies));
        }
        Operator::Replace { pattern, with, .. } => {
            fill_word(pattern, bodies);
            fill_word(with, bodies);
        }
        Operator::ChangeCase { pattern, .. } => {
            pattern.iter_mut().for_each(|word| fill_word(word, bodies));
        }
    }
}
