//! From a text's active characters to the tree of a pattern.

use super::class::{self, Class};
use super::{ATOMS_MAX, DEPTH_MAX, Kind, Node};
use crate::audit::shell::text::{Mark, MarkKind, Text};

/// Longest name within `[:…:]`.
const CLASS_NAME_MAX: usize = 16;
/// Most characters of a text that is a pattern; those in classes are no atoms.
const TOKENS_MAX: usize = 16 * ATOMS_MAX;

/// Most patterns have no more nodes: room for them at once.
const SEQUENCE_EXPECTED: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Token {
    Plain(char),
    Active(char),
    Hole,
}

/// The tree, `None` where it exceeds the bounds.
pub(super) fn nodes(text: &Text) -> Option<Vec<Node>> {
    if text.len() > TOKENS_MAX {
        return None;
    }
    let tokens = tokens(text);
    let last_close = tokens.iter().rposition(|token| *token == Token::Active(']'));
    let mut parser = Parser { tokens: &tokens, at: 0, last_close, atoms: 0 };
    let mut nodes = parser.sequence(0)?;
    // A `)` without its `(` ends a sequence, though marks never hold one.
    while parser.at < tokens.len() {
        parser.at += 1;
        nodes.extend(parser.sequence(0)?);
    }
    Some(nodes)
}

fn tokens(text: &Text) -> Vec<Token> {
    let mut marks = text.marks().iter().peekable();
    let mut tokens = Vec::with_capacity(text.len());
    for (at, character) in text.as_str().char_indices() {
        let mut active = false;
        while let Some(Mark { kind, .. }) = marks.next_if(|mark| mark.at <= at) {
            match kind {
                MarkKind::Hole => tokens.push(Token::Hole),
                MarkKind::Active => active = true,
            }
        }
        tokens.push(if active { Token::Active(character) } else { Token::Plain(character) });
    }
    if marks.any(|mark| mark.kind == MarkKind::Hole) {
        tokens.push(Token::Hole);
    }
    tokens
}

struct Parser<'t> {
    tokens: &'t [Token],
    at: usize,
    /// Where the last `]` stands: no `[` after it begins a class.
    last_close: Option<usize>,
    atoms: usize,
}

impl Parser<'_> {
    fn peek(&self, ahead: usize) -> Option<Token> {
        self.tokens.get(self.at + ahead).copied()
    }

    /// Up to the end, or to the `|` or `)` that ends an alternative.
    fn sequence(&mut self, depth: usize) -> Option<Vec<Node>> {
        let mut nodes =
            Vec::with_capacity(self.tokens.len().saturating_sub(self.at).min(SEQUENCE_EXPECTED));
        while let Some(token) = self.peek(0) {
            if matches!(token, Token::Active('|' | ')')) {
                break;
            }
            let node = self.node(token, depth)?;
            // What two stars match one matches.
            let again = matches!(node, Node::Star | Node::Hole) && nodes.last() == Some(&node);
            if !again {
                nodes.push(node);
            }
            self.atoms += 1;
            if self.atoms > ATOMS_MAX {
                return None;
            }
        }
        Some(nodes)
    }

    fn node(&mut self, token: Token, depth: usize) -> Option<Node> {
        if let Some(kind) = self.group_kind(token) {
            self.at += 2;
            return self.group(kind, depth + 1);
        }
        if token == Token::Active('[')
            && self.last_close.is_some_and(|close| self.at < close)
            && let Some(class) = self.class()
        {
            return Some(Node::Class(class));
        }
        self.at += 1;
        Some(match token {
            Token::Hole => Node::Hole,
            Token::Active('*') => Node::Star,
            Token::Active('?') => Node::Any,
            Token::Active(character) | Token::Plain(character) => Node::Char(character),
        })
    }

    fn group_kind(&self, token: Token) -> Option<Kind> {
        let Token::Active(character) = token else { return None };
        if self.peek(1) != Some(Token::Active('(')) {
            return None;
        }
        Some(match character {
            '?' => Kind::Optional,
            '*' => Kind::Repeated,
            '+' => Kind::Some,
            '@' => Kind::One,
            '!' => Kind::Not,
            _ => return None,
        })
    }

    /// After `(`. One that nothing closes ends with the pattern.
    fn group(&mut self, kind: Kind, depth: usize) -> Option<Node> {
        if depth > DEPTH_MAX {
            return None;
        }
        let mut alternatives = vec![self.sequence(depth)?];
        while self.peek(0) == Some(Token::Active('|')) {
            self.at += 1;
            self.atoms += 1;
            alternatives.push(self.sequence(depth)?);
        }
        self.at += 1;
        Some(Node::Group { kind, alternatives })
    }

    /// At `[`. `None`, and nothing taken, where no `]` closes it.
    fn class(&mut self) -> Option<Class> {
        let mut at = self.at + 1;
        let negated = matches!(self.tokens.get(at), Some(Token::Active('!' | '^')));
        at += usize::from(negated);
        let first = at;
        let mut ranges = Vec::new();
        loop {
            match *self.tokens.get(at)? {
                Token::Active(']') if at > first => break,
                // Something unknown: it may be any character, and any number of them.
                Token::Hole => {
                    ranges.push((0, char::MAX as u32));
                    at += 1;
                    continue;
                }
                Token::Active('[') => {
                    if let Some((named, after)) = self.named(at) {
                        ranges.extend(named);
                        at = after;
                        continue;
                    }
                }
                _ => {}
            }
            let (from, after) = self.member(at)?;
            at = after;
            let is_range = self.tokens.get(at) == Some(&Token::Active('-'))
                && !matches!(self.tokens.get(at + 1), None | Some(Token::Active(']')));
            if is_range && let Some((to, after)) = self.member(at + 1) {
                ranges.push((from as u32, to as u32));
                at = after;
            } else {
                ranges.push((from as u32, from as u32));
            }
        }
        self.at = at + 1;
        Some(Class::new(ranges, negated))
    }

    /// One character of a class, which may be written `[.x.]`, and the place after it.
    fn member(&self, at: usize) -> Option<(char, usize)> {
        let (character, dot) = (self.character(at)?, self.character(at + 1));
        if character == '['
            && dot == Some('.')
            && let Some(inner) = self.character(at + 2)
            && self.character(at + 3) == Some('.')
            && self.character(at + 4) == Some(']')
        {
            return Some((inner, at + 5));
        }
        Some((character, at + 1))
    }

    fn character(&self, at: usize) -> Option<char> {
        match *self.tokens.get(at)? {
            Token::Plain(character) | Token::Active(character) => Some(character),
            Token::Hole => None,
        }
    }

    /// `[:name:]` or `[=x=]`, and the place after it. A name that does not exist holds nothing.
    fn named(&self, at: usize) -> Option<(Vec<(u32, u32)>, usize)> {
        let kind = self.character(at + 1).filter(|kind| matches!(kind, ':' | '='))?;
        let mut name = String::new();
        for length in 0..CLASS_NAME_MAX {
            let from = at + 2 + length;
            let character = self.character(from)?;
            if character == kind && self.character(from + 1) == Some(']') {
                let ranges = match (kind, name.chars().next()) {
                    ('=', Some(only)) if name.len() == only.len_utf8() => {
                        vec![(only as u32, only as u32)]
                    }
                    _ => class::named(&name)
                        .unwrap_or_default()
                        .iter()
                        .map(|(first, last)| (*first as u32, *last as u32))
                        .collect(),
                };
                return Some((ranges, from + 2));
            }
            name.push(character);
        }
        None
    }
}
