//! Simple commands: assignments, words and redirections, and the head of a function.

use smallvec::smallvec;

use super::redirect::begins_redirect;
use super::{Parser, word};
use crate::audit::shell::ast::{
    AssignedValue, Assignment, Connector, Element, Item, Node, Part, Script, Simple, Span, Word,
    WordParts,
};

/// Programs behind whose names `a=(…)` is an assignment still.
const DECLARATIONS: [&str; 5] = ["declare", "export", "local", "readonly", "typeset"];

/// Most commands have no more words: room for them at once.
const WORDS_EXPECTED: usize = 8;

impl Parser<'_, '_> {
    pub(super) fn simple(&mut self) -> Option<Node> {
        let start = self.cursor.at();
        let mut end = start;
        let mut simple = Simple::default();
        // Arrays that a declaration sets: assignments that outlast the command.
        let mut arrays: Vec<Assignment> = Vec::new();
        loop {
            self.skip_blanks();
            let at = self.cursor.at();
            let Some(next) = self.cursor.peek() else { break };
            if let Some(redirect) = begins_redirect(next).then(|| self.redirect()).flatten() {
                simple.redirects.extend(redirect);
            } else if next == b'(' {
                match self.function_name(&simple) {
                    Some(name) => return Some(self.function_body(name)),
                    None => break,
                }
            } else if let Some(assignment) =
                simple.words.is_empty().then(|| self.assignment()).flatten()
            {
                simple.assignments.push(assignment);
            } else if let Some(word) = self.word() {
                match self.declared_array(&simple.words, &word) {
                    Some((array, name)) => {
                        arrays.push(array);
                        simple.words.push(name);
                    }
                    None => {
                        if simple.words.is_empty() {
                            simple.words.reserve(WORDS_EXPECTED);
                        }
                        simple.words.push(word);
                    }
                }
            } else if self.cursor.at() == at {
                break;
            }
            end = self.cursor.at();
        }
        if simple.words.is_empty() && simple.assignments.is_empty() && simple.redirects.is_empty() {
            return None;
        }
        self.count_node();
        simple.span = self.place.unwrap_or(Span::new(start, end));
        let command = Node::Simple(simple);
        if arrays.is_empty() {
            return Some(command);
        }
        let span = self.place.unwrap_or(Span::new(start, end));
        let set = Node::Simple(Simple { assignments: arrays, span, ..Simple::default() });
        let items =
            [set, command].map(|node| Item { connector: Connector::Then, node, background: false });
        Some(Node::Group(Script { items: items.into(), incomplete: false }))
    }

    /// At a `(`: the name, when the command so far is one and `()` follows. Consumes `()`.
    fn function_name(&mut self, simple: &Simple) -> Option<String> {
        let [word] = &*simple.words else { return None };
        if !simple.assignments.is_empty() || !simple.redirects.is_empty() {
            return None;
        }
        let name = word::as_literal(word)?;
        self.eat_empty_parentheses().then_some(name)
    }

    pub(super) fn eat_empty_parentheses(&mut self) -> bool {
        let mut ahead = self.cursor;
        let found = ahead.eat("(") && {
            while matches!(ahead.peek(), Some(b' ' | b'\t')) {
                ahead.bump();
            }
            ahead.eat(")")
        };
        if found {
            self.cursor = ahead;
        }
        found
    }

    /// `a=x`, `a+=x`, `a[1]=x`, `a=(x y)`.
    fn assignment(&mut self) -> Option<Assignment> {
        let target = self.assignment_target(self.cursor)?;
        let name = self.cursor.name();
        let index = target.index_end.map(|end| {
            self.cursor.eat("[");
            self.up_to(end, Self::index)
        });
        self.cursor = target.value;
        let value = if self.cursor.peek() == Some(b'(') {
            AssignedValue::Array { elements: self.array(), associative: false }
        } else {
            let start = self.cursor.at();
            AssignedValue::Word(
                self.word()
                    .unwrap_or(Word { parts: WordParts::new(), span: self.span_from(start) }),
            )
        };
        self.count_node();
        Some(Assignment { name, index, append: target.append, value })
    }

    /// At `(`: the elements up to `)`.
    fn array(&mut self) -> Vec<Element> {
        let mut elements = Vec::new();
        self.cursor.bump();
        loop {
            self.skip_lines();
            let at = self.cursor.at();
            let (mut key, mut append) = (None, false);
            match self.cursor.peek() {
                None => return elements,
                Some(b')') => {
                    self.cursor.bump();
                    return elements;
                }
                Some(b'[') => {
                    if let Some(target) = self.element_target(self.cursor) {
                        self.cursor.bump();
                        let end = target.index_end.unwrap_or(self.cursor.at());
                        key = Some(self.up_to(end, Self::index));
                        append = target.append;
                        self.cursor = target.value;
                    }
                }
                _ => {}
            }
            let start = self.cursor.at();
            match self.word() {
                Some(value) => elements.push(Element { key, append, value }),
                None if key.is_some() => {
                    let value = Word { parts: WordParts::new(), span: self.span_from(start) };
                    elements.push(Element { key, append, value });
                }
                // An operator is out of place here.
                None if self.cursor.at() == at => self.cursor.bump(),
                None => {}
            }
        }
    }

    /// `declare a=(x y)`: behind the word `a=`, its array, and the word that is left.
    fn declared_array(&mut self, words: &[Word], word: &Word) -> Option<(Assignment, Word)> {
        if self.cursor.peek() != Some(b'(') {
            return None;
        }
        let program = word::as_literal(words.first()?)?;
        if !DECLARATIONS.contains(&&*program) {
            return None;
        }
        let target = word::as_literal(word)?;
        let name = target.strip_suffix('=')?;
        let (name, append) = match name.strip_suffix('+') {
            Some(name) => (name, true),
            None => (name, false),
        };
        let mut options = words.iter().filter_map(word::as_literal);
        let associative = options.any(|it| it.starts_with('-') && it.contains('A'));
        let value = AssignedValue::Array { elements: self.array(), associative };
        let array = Assignment { name: name.to_owned(), index: None, append, value };
        let left = Word { parts: smallvec![Part::Literal(name.into())], span: word.span };
        Some((array, left))
    }
}
