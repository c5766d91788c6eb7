//! What is wrong with a query's text, and where.

use std::fmt;
use std::ops::Range;

use super::ast::Span;

/// Widest part of a line that is shown, in characters.
const SHOWN_MAX_CHARS: usize = 100;

/// Why a text is no query, or a query that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryError {
    /// What is wrong, without the place.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// In bytes from the start of the text; at most its length, and on a character's boundary.
    pub offset: usize,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The part of the line around the place, and how many of its characters are before it.
    shown: String,
    shown_before: usize,
    /// How many characters are marked.
    marked: usize,
}

impl QueryError {
    pub(super) fn new(
        text: &str,
        span: Span,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> QueryError {
        let offset = boundary(text, span.start);
        let line_start = text[..offset].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[offset..].find('\n').map_or(text.len(), |at| offset + at);
        let before = text[line_start..offset].chars().count();
        let from = before.saturating_sub(SHOWN_MAX_CHARS / 2);
        let shown: String = text[line_start..line_end]
            .chars()
            .skip(from)
            .take(SHOWN_MAX_CHARS)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let end = boundary(text, span.end).clamp(offset, line_end);
        let shown_before = before - from;
        let room = SHOWN_MAX_CHARS - shown_before;
        QueryError {
            message: message.into(),
            hint,
            offset,
            line: 1 + text[..offset].matches('\n').count(),
            column: before + 1,
            shown,
            shown_before,
            marked: text[offset..end].chars().take(room).count().max(1),
        }
    }
}

impl QueryError {
    /// What is wrong at some bytes of a text that need not be a query.
    pub(in crate::rules) fn at(
        text: &str,
        span: Range<usize>,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> QueryError {
        let span = Span { start: span.start, end: span.end };
        QueryError::new(text, span, message, hint)
    }

    /// The same error in a text that holds the query from byte `start` on.
    pub fn within(&self, text: &str, start: usize) -> QueryError {
        let begin = boundary(text, start + self.offset);
        let marked: usize = text[begin..].chars().take(self.marked).map(char::len_utf8).sum();
        let span = Span { start: begin, end: begin + marked };
        QueryError::new(text, span, self.message.clone(), self.hint.clone())
    }
}

/// The nearest boundary of a character at or before `at`.
fn boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The message, the place with the line and a caret, and the hint after a blank line.
impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let margin = " ".repeat(self.line.to_string().len());
        writeln!(f, "{} at line {}, column {}", self.message, self.line, self.column)?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{} | {}", self.line, self.shown.trim_end())?;
        let (indent, carets) = (" ".repeat(self.shown_before), "^".repeat(self.marked));
        write!(f, "{margin} | {indent}{carets}")?;
        match &self.hint {
            Some(hint) => write!(f, "\n\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for QueryError {}
