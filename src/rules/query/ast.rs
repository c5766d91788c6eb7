//! The syntax tree of a query, and how it is written again.
//!
//! Value lists are spread: `f:(a or b)` is the same tree as `f:a or f:b`, but for its spans.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::sync::Arc;

/// A range of bytes in the query's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

/// Text with wildcards: one literal more than there are wildcards. A wildcard stands for any
/// characters, also none.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pattern {
    /// Never empty; only the first and the last may be empty texts (wildcards side by side are
    /// one).
    pub pieces: Vec<String>,
}

/// A field's name, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    pub pattern: Pattern,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    pub pattern: Pattern,
    /// A quoted value has no wildcards.
    pub quoted: bool,
    pub span: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// Two or more.
    Or(Vec<Node>),
    /// Two or more.
    And(Vec<Node>),
    Not(Box<Node>),
    /// `field:value`, or a value alone, which any field may have.
    Is {
        field: Option<Arc<Name>>,
        value: Value,
    },
    /// `field > value`
    Compare {
        field: Arc<Name>,
        comparison: Comparison,
        value: Value,
    },
    /// `path:{ … }`: the conditions meet within one object.
    Nested {
        path: Arc<Name>,
        query: Box<Node>,
    },
}

impl Pattern {
    pub fn literal(text: impl Into<String>) -> Pattern {
        Pattern { pieces: vec![text.into()] }
    }

    /// The text, if there are no wildcards.
    pub fn as_literal(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// A wildcard alone.
    pub fn is_star(&self) -> bool {
        self.pieces.len() == 2 && self.pieces.iter().all(String::is_empty)
    }

    /// The pieces with stars between them. Not unambiguous: a piece may hold a star itself.
    pub fn shown(&self) -> String {
        self.pieces.join("*")
    }
}

impl Comparison {
    pub fn sign(self) -> &'static str {
        match self {
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
        }
    }
}

impl Node {
    /// Adds the names of fields as the query writes them, those in `path:{ … }` with their path.
    pub(super) fn collect_fields(&self, path: &str, names: &mut BTreeSet<String>) {
        match self {
            Node::Or(nodes) | Node::And(nodes) => {
                nodes.iter().for_each(|node| node.collect_fields(path, names));
            }
            Node::Not(node) => node.collect_fields(path, names),
            Node::Is { field, .. } => {
                let name = field.as_ref().map_or("*".to_owned(), |field| field.pattern.shown());
                names.insert(format!("{path}{name}"));
            }
            Node::Compare { field, .. } => {
                names.insert(format!("{path}{}", field.pattern.shown()));
            }
            Node::Nested { path: inner, query } => {
                query.collect_fields(&format!("{path}{}.", inner.pattern.shown()), names);
            }
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Node::Or(nodes) => Self::write_joined(f, nodes, " or ", |n| matches!(n, Node::Or(_))),
            Node::And(nodes) => {
                Self::write_joined(f, nodes, " and ", |n| matches!(n, Node::Or(_) | Node::And(_)))
            }
            Node::Not(node) => {
                f.write_str("not ")?;
                let grouped = matches!(**node, Node::Or(_) | Node::And(_) | Node::Not(_));
                node.write_grouped(f, grouped)
            }
            Node::Is { field: None, value } => write_value(f, value, true),
            Node::Is { field: Some(field), value } => {
                write_unquoted(f, &field.pattern, true)?;
                f.write_str(": ")?;
                write_value(f, value, false)
            }
            Node::Compare { field, comparison, value } => {
                write_unquoted(f, &field.pattern, true)?;
                write!(f, " {} ", comparison.sign())?;
                write_value(f, value, false)
            }
            Node::Nested { path, query } => {
                write_unquoted(f, &path.pattern, true)?;
                f.write_str(": { ")?;
                query.write(f)?;
                f.write_str(" }")
            }
        }
    }

    fn write_joined(
        f: &mut fmt::Formatter<'_>,
        nodes: &[Node],
        by: &str,
        grouped: impl Fn(&Node) -> bool,
    ) -> fmt::Result {
        for (nth, node) in nodes.iter().enumerate() {
            if nth > 0 {
                f.write_str(by)?;
            }
            node.write_grouped(f, grouped(node))?;
        }
        Ok(())
    }

    fn write_grouped(&self, f: &mut fmt::Formatter<'_>, grouped: bool) -> fmt::Result {
        if !grouped {
            return self.write(f);
        }
        f.write_char('(')?;
        self.write(f)?;
        f.write_char(')')
    }
}

/// Reads back as the same tree.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f)
    }
}

fn write_value(f: &mut fmt::Formatter<'_>, value: &Value, alone: bool) -> fmt::Result {
    match value.pattern.as_literal() {
        Some(text) if value.quoted => write_quoted(f, text),
        _ => write_unquoted(f, &value.pattern, alone),
    }
}

fn write_quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            _ => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

/// Escapes whatever could mean something else. `first` tells that the text begins an expression
/// (a field's name or a value alone), where more is looked for.
fn write_unquoted(f: &mut fmt::Formatter<'_>, pattern: &Pattern, first: bool) -> fmt::Result {
    if pattern.as_literal() == Some("") {
        return f.write_str("\"\"");
    }
    let keyword = pattern.as_literal().is_some_and(is_keyword);
    // With a blank after it, `not` is a keyword even at the end of a word.
    let ends = |piece: &str| piece.get(piece.len().wrapping_sub(3)..).map(str::to_ascii_lowercase);
    let last = pattern.pieces.last().filter(|last| ends(last).as_deref() == Some("not"));
    let not_at = last.map(|last| (pattern.pieces.len() - 1, last.len() - 3));
    for (nth, piece) in pattern.pieces.iter().enumerate() {
        if nth > 0 {
            f.write_char('*')?;
        }
        for (at, c) in piece.char_indices() {
            let at_start = nth == 0 && at == 0;
            match c {
                _ if super::parse::is_special(c) => write!(f, "\\{c}")?,
                '=' if first || at_start => write_unicode(f, c)?,
                _ if c.is_whitespace() || c == '\u{feff}' || is_smart_quote(c) => {
                    write_unicode(f, c)?;
                }
                _ if keyword && at_start => write_unicode(f, c)?,
                _ if not_at == Some((nth, at)) => write_unicode(f, c)?,
                _ => f.write_char(c)?,
            }
        }
    }
    Ok(())
}

fn write_unicode(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
    write!(f, "\\u{:04x}", c as u32)
}

pub(super) fn is_keyword(text: &str) -> bool {
    ["and", "or", "not"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// All are in the Basic Multilingual Plane.
pub(super) fn is_smart_quote(c: char) -> bool {
    matches!(c, '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{201f}' | '\u{ab}' | '\u{bb}')
}
