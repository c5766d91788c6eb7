//! What a shell pattern can match.
//!
//! Owns the meaning of active characters and holes: whether a string matches, which part of a value
//! a parameter expansion removes, and whether two patterns have a string in common. It knows no
//! files and nothing of paths beyond `/` and a leading dot.
//!
//! A pattern is kept as a tree and run over sets of positions, so that no input makes it go back
//! and forth; two patterns are compared as automata, pair of states by pair of states. Both stop
//! at a bound, and what is not found out counts as a match: a bound never hides anything.

#[path = "pattern/automaton.rs"]
mod automaton;
#[path = "pattern/class.rs"]
mod class;
#[path = "pattern/parse.rs"]
mod parse;
#[path = "pattern/search.rs"]
mod search;

use std::ops::Range;

use compact_str::CompactString;

use self::automaton::Automaton;
use self::class::Class;
use self::search::Search;
use super::text::Text;

/// Most characters, wildcards and classes of one pattern. Linux refuses longer paths.
const ATOMS_MAX: usize = 4_096;
/// Deepest nesting of extended patterns.
const DEPTH_MAX: usize = 16;
/// A class of so few characters tells almost as much as one character does.
const CLASS_TELLING_MAX: u32 = 4;

/// A compiled pattern, or a plain string.
#[derive(Debug, Clone)]
pub struct Pattern {
    body: Body,
    /// Wildcards match a leading dot, as in `find -name` and in a rule's paths.
    dots: bool,
}

#[derive(Debug, Clone)]
enum Body {
    Literal(CompactString),
    Nodes(Vec<Node>),
    TooLarge,
}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Char(char),
    /// `?`
    Any,
    /// `*`
    Star,
    Class(Class),
    /// Any text, slashes included.
    Hole,
    Group {
        kind: Kind,
        alternatives: Vec<Vec<Node>>,
    },
}

/// Which extended pattern a group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `?(…)`
    Optional,
    /// `*(…)`
    Repeated,
    /// `+(…)`
    Some,
    /// `@(…)`
    One,
    /// `!(…)`
    Not,
}

impl Pattern {
    /// A pattern as a shell takes it: wildcards do not match a dot that begins a file name.
    pub fn new(text: &Text) -> Pattern {
        let body = match text.as_literal() {
            Some(literal) => Body::Literal(literal.into()),
            None => parse::nodes(text).map_or(Body::TooLarge, Body::Nodes),
        };
        Pattern { body, dots: false }
    }

    pub fn literal(text: &str) -> Pattern {
        Pattern { body: Body::Literal(text.into()), dots: false }
    }

    /// The same, but wildcards match a leading dot too, as in `find -name`.
    pub fn with_dots(mut self) -> Pattern {
        self.dots = true;
        self
    }

    /// The pattern exceeds the bounds: it counts as one that matches everything.
    pub fn too_large(&self) -> bool {
        matches!(self.body, Body::TooLarge)
    }

    /// The string, where the pattern is none.
    pub fn as_literal(&self) -> Option<&str> {
        match &self.body {
            Body::Literal(text) => Some(text),
            _ => None,
        }
    }

    /// Of plain characters and wildcards for any text, of which one stands at the end: the letters
    /// with which an ending begins. Empty where it may be any: without a dot, or with more to come.
    pub fn begun_ending(&self) -> Option<String> {
        let Body::Nodes(nodes) = &self.body else { return None };
        let plain = |node: &Node| matches!(node, Node::Char(_) | Node::Star | Node::Hole);
        if !matches!(nodes.last(), Some(Node::Star | Node::Hole)) || !nodes.iter().all(plain) {
            return None;
        }
        let is_dot = |node: &&Node| **node == Node::Char('.');
        let begins = nodes.iter().position(|node| is_dot(&node)).map_or(nodes.len(), |at| at + 1);
        if nodes.iter().filter(is_dot).count() != 1 {
            return Some(String::new());
        }
        let letters = nodes.iter().skip(begins).map_while(|node| match node {
            Node::Char(character) => Some(*character),
            _ => None,
        });
        Some(letters.collect())
    }

    /// As a file name or path: only a hole and a slash itself match `/`.
    pub fn matches(&self, path: &str) -> bool {
        self.whole(path, true)
    }

    /// As a string, in `case`, `[[ == ]]`: wildcards match everything.
    pub fn matches_string(&self, value: &str) -> bool {
        self.whole(value, false)
    }

    fn whole(&self, value: &str, names: bool) -> bool {
        match &self.body {
            Body::Literal(text) => text == value,
            Body::TooLarge => true,
            Body::Nodes(nodes) if !edges_fit(nodes, value) => false,
            Body::Nodes(nodes) => {
                let mut search = Search::new(value, names, self.dots);
                search.greedily(nodes).unwrap_or_else(|| {
                    search.ends(nodes, 0).is_none_or(|ends| ends.last() == Some(&value.len()))
                })
            }
        }
    }

    /// How many bytes `${value#pattern}` (or `##`, the longest) removes from the front. `None`:
    /// nothing matches, or it could not be found out.
    pub fn remove_prefix(&self, value: &str, longest: bool) -> Option<usize> {
        match &self.body {
            Body::Literal(text) => value.starts_with(text.as_str()).then_some(text.len()),
            Body::TooLarge => None,
            Body::Nodes(nodes) => {
                let ends = Search::new(value, false, self.dots).ends(nodes, 0)?;
                if longest { ends.last().copied() } else { ends.first().copied() }
            }
        }
    }

    /// How many bytes `${value%pattern}` (or `%%`) removes from the end.
    pub fn remove_suffix(&self, value: &str, longest: bool) -> Option<usize> {
        match &self.body {
            Body::Literal(text) => value.ends_with(text.as_str()).then_some(text.len()),
            Body::TooLarge => None,
            Body::Nodes(nodes) => {
                let starts = Search::backwards(value).ends(nodes, value.len())?;
                let start = if longest { starts.first() } else { starts.last() };
                start.map(|start| value.len() - start)
            }
        }
    }

    /// The longest match at the leftmost place from `from` on, in bytes of `value`; it may be
    /// empty.
    pub fn find(&self, value: &str, from: usize) -> Option<Range<usize>> {
        let rest = value.get(from..)?;
        match &self.body {
            Body::Literal(text) => {
                rest.find(text.as_str()).map(|at| from + at..from + at + text.len())
            }
            Body::TooLarge => None,
            Body::Nodes(nodes) => Search::new(value, false, self.dots).find(nodes, from),
        }
    }

    /// All matches from left to right, as `${value//pattern/…}` replaces them: an empty match
    /// takes no place in which another ended, and none at the end of a value that is not empty.
    /// `None` when it could not be found out within the bounds.
    pub fn find_all(&self, value: &str) -> Option<Vec<Range<usize>>> {
        let mut search = Search::new(value, false, self.dots);
        let (mut found, mut from) = (Vec::new(), 0);
        loop {
            let next = match &self.body {
                Body::Literal(text) if text.is_empty() => None,
                Body::Literal(_) => self.find(value, from),
                Body::TooLarge => return None,
                Body::Nodes(nodes) => search.find(nodes, from),
            };
            if search.exhausted() {
                return None;
            }
            let Some(next) = next else { break };
            if next.is_empty() {
                if next.start == value.len() && !value.is_empty() {
                    break;
                }
                let width = value.get(next.start..).and_then(|rest| rest.chars().next());
                from = next.start + width.map_or(1, char::len_utf8);
            } else {
                from = next.end;
            }
            found.push(next);
            if from > value.len() || from == value.len() && !value.is_empty() {
                break;
            }
        }
        Some(found)
    }

    /// Whether there is a path that both match. `true` as well where the patterns are too large
    /// to tell.
    pub fn intersects(&self, other: &Pattern) -> bool {
        match (&self.body, &other.body) {
            (Body::TooLarge, _) | (_, Body::TooLarge) => true,
            (Body::Literal(mine), Body::Literal(other)) => mine == other,
            (Body::Literal(text), Body::Nodes(_)) => other.matches(text),
            (Body::Nodes(_), Body::Literal(text)) => self.matches(text),
            (Body::Nodes(mine), Body::Nodes(others)) if !edges_meet(mine, others) => false,
            (Body::Nodes(mine), Body::Nodes(others)) => {
                let mine = Automaton::new(mine, self.dots);
                mine.intersects(&Automaton::new(others, other.dots))
            }
        }
    }

    /// It says nothing of what it matches, but for how long that may be.
    pub fn is_wild(&self) -> bool {
        match &self.body {
            Body::Nodes(nodes) => {
                nodes.iter().all(|node| matches!(node, Node::Any | Node::Star | Node::Hole))
            }
            Body::Literal(_) | Body::TooLarge => false,
        }
    }

    /// The character with which every match ends, where the pattern spells it.
    pub fn last_character(&self) -> Option<char> {
        match &self.body {
            Body::Literal(text) => text.chars().next_back(),
            Body::Nodes(nodes) => match nodes.last() {
                Some(Node::Char(character)) => Some(*character),
                _ => None,
            },
            Body::TooLarge => None,
        }
    }

    /// How many characters every match is known to hold: those that the pattern spells, or
    /// narrows down to a few.
    pub fn literals(&self) -> usize {
        match &self.body {
            Body::Literal(text) => text.chars().count(),
            Body::Nodes(nodes) => fewest_literals(nodes),
            Body::TooLarge => 0,
        }
    }
}

/// Whether a value begins and ends with the characters that the pattern spells there.
fn edges_fit(nodes: &[Node], value: &str) -> bool {
    let spelled = |node: &Node| match node {
        Node::Char(wanted) => Some(*wanted),
        _ => None,
    };
    let (mut ahead, mut back) = (value.chars(), value.chars());
    nodes.iter().map_while(spelled).all(|wanted| ahead.next() == Some(wanted))
        && nodes.iter().rev().map_while(spelled).all(|wanted| back.next_back() == Some(wanted))
}

/// Whether the characters that two patterns spell at their beginnings and at their ends agree.
fn edges_meet(mine: &[Node], others: &[Node]) -> bool {
    let differ = |(mine, other): (&Node, &Node)| match (mine, other) {
        (Node::Char(mine), Node::Char(other)) => Some(mine != other),
        _ => None,
    };
    let begins = mine.iter().zip(others).map_while(differ).any(|differs| differs);
    !begins && !mine.iter().rev().zip(others.iter().rev()).map_while(differ).any(|differs| differs)
}

fn fewest_literals(nodes: &[Node]) -> usize {
    let of_node = |node: &Node| match node {
        Node::Char(_) => 1,
        Node::Class(class) => usize::from(class.size() <= CLASS_TELLING_MAX),
        Node::Group { kind: Kind::One | Kind::Some, alternatives } => {
            alternatives.iter().map(|nodes| fewest_literals(nodes)).min().unwrap_or(0)
        }
        Node::Any | Node::Star | Node::Hole | Node::Group { .. } => 0,
    };
    nodes.iter().map(of_node).sum()
}

/// Texts of tests.
#[cfg(test)]
pub(crate) mod testing {
    use super::Text;

    /// What an unquoted word becomes: pattern characters active, `…` a hole, a backslash quotes.
    pub(crate) fn glob(written: &str) -> Text {
        let mut text = Text::new();
        let mut depth = 0;
        let mut characters = written.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '…' => text.push_hole(),
                '\\' => text.push(characters.next().unwrap_or('\\')),
                '?' | '*' | '+' | '@' | '!' if characters.peek() == Some(&'(') => {
                    text.push_active(character);
                    text.push_active('(');
                    characters.next();
                    depth += 1;
                }
                ')' if depth > 0 => {
                    text.push_active(')');
                    depth -= 1;
                }
                '|' if depth > 0 => text.push_active('|'),
                '*' | '?' | '[' | ']' | '!' | '^' | '-' => text.push_active(character),
                _ => text.push(character),
            }
        }
        // A text that only holds active characters such as `-` is what a shell makes of a
        // plain word.
        if written.contains(['*', '?', '[', '…', '(']) { text } else { text.quoted() }
    }
}

#[cfg(test)]
#[path = "pattern_tests.rs"]
mod tests;
