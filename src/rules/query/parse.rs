//! From text to a syntax tree.
//!
//! A parser by hand, one pass and no backtracking over more than a name. The language is that of
//! Kibana (see the module's header); three things that Kibana reads as text to search for, and
//! nobody means, are errors here: a keyword alone, `=` where `:` belongs, and typographic quotes.

use std::sync::Arc;

use super::ast::{Comparison, Name, Node, Pattern, Span, Value, is_keyword, is_smart_quote};
use super::error::QueryError;
use crate::limits;

/// Longest name or value that a hint repeats.
const HINT_VALUE_MAX_BYTES: usize = 80;

/// The characters that an unquoted text holds only when escaped (the star is a wildcard then).
pub(super) fn is_special(c: char) -> bool {
    matches!(c, '\\' | '(' | ')' | ':' | '<' | '>' | '"' | '*' | '{' | '}')
}

/// What separates words.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | '\u{a0}')
}

/// What is cut off around an unquoted text.
fn is_trimmed(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}'
}

pub(super) fn parse(text: &str) -> Result<Node, QueryError> {
    if text.len() > limits::QUERY_MAX_BYTES {
        let message = format!("the query is longer than {} bytes", limits::QUERY_MAX_BYTES);
        let at = Span { start: limits::QUERY_MAX_BYTES, end: text.len() };
        return Err(QueryError::new(text, at, message, None));
    }
    let mut parser = Parser { text, at: 0, depth: 0, nodes: 0 };
    parser.skip_blanks();
    if parser.at == text.len() {
        let hint = "`*` matches every event".to_owned();
        return Err(parser.error(Span::default(), "the query is empty", Some(hint)));
    }
    let node = parser.or(None)?;
    parser.skip_blanks();
    match parser.peek() {
        None => Ok(node),
        Some(_) => Err(parser.after_condition(None)),
    }
}

struct Parser<'q> {
    text: &'q str,
    at: usize,
    depth: usize,
    nodes: usize,
}

/// A name or a value, before it is known which.
struct Text {
    pattern: Pattern,
    quoted: bool,
    /// Without the blanks around it.
    span: Span,
}

/// The field of the value list in which the parser is, if any.
type List<'l> = Option<&'l Arc<Name>>;

impl<'q> Parser<'q> {
    fn or(&mut self, list: List<'_>) -> Result<Node, QueryError> {
        let first = self.and(list)?;
        let mut nodes = vec![first];
        while self.operator("or") {
            nodes.push(self.and(list)?);
        }
        self.joined(nodes, Node::Or)
    }

    fn and(&mut self, list: List<'_>) -> Result<Node, QueryError> {
        let first = self.not(list)?;
        let mut nodes = vec![first];
        while self.operator("and") {
            nodes.push(self.not(list)?);
        }
        self.joined(nodes, Node::And)
    }

    fn joined(
        &mut self,
        mut nodes: Vec<Node>,
        join: impl Fn(Vec<Node>) -> Node,
    ) -> Result<Node, QueryError> {
        match nodes.pop() {
            Some(only) if nodes.is_empty() => Ok(only),
            last => {
                nodes.extend(last);
                self.count()?;
                Ok(join(nodes))
            }
        }
    }

    fn not(&mut self, list: List<'_>) -> Result<Node, QueryError> {
        if !self.not_keyword() {
            return self.operand(list);
        }
        self.at += "not".len();
        self.skip_blanks();
        if self.not_keyword() {
            let span = Span { start: self.at, end: self.at + "not".len() };
            let hint = "write `not (not …)`".to_owned();
            return Err(self.error(span, "`not` cannot follow `not`", Some(hint)));
        }
        let node = self.operand(list)?;
        self.count()?;
        Ok(Node::Not(Box::new(node)))
    }

    fn operand(&mut self, list: List<'_>) -> Result<Node, QueryError> {
        match self.peek() {
            Some('(') => self.bracketed(')', |parser| parser.or(list)),
            _ => match list {
                Some(field) => {
                    let text = self.text_or(|parser| parser.expected("a value"))?;
                    self.check_keyword(&text, true)?;
                    self.is(Some(field), text)
                }
                None => self.expression(),
            },
        }
    }

    /// A condition: a name followed by `:` or a comparison, or a value alone.
    fn expression(&mut self) -> Result<Node, QueryError> {
        let text = self.text_or(|parser| parser.expected("a field or a value"))?;
        let end = self.at;
        self.skip_blanks();
        match self.peek() {
            Some(':') => {
                let name = self.name(text)?;
                self.at += 1;
                self.skip_blanks();
                match self.peek() {
                    Some('{') => {
                        let query = self.bracketed('}', |parser| parser.or(None))?;
                        self.count()?;
                        Ok(Node::Nested { path: name, query: Box::new(query) })
                    }
                    Some('(') => self.bracketed(')', |parser| parser.or(Some(&name))),
                    _ => {
                        let value = self.text_or(|parser| parser.expected("a value after `:`"))?;
                        self.check_equals_first(&value)?;
                        self.check_keyword(&value, false)?;
                        self.is(Some(&name), value)
                    }
                }
            }
            Some(sign @ ('<' | '>')) => {
                let field = self.name(text)?;
                self.at += 1;
                let or_equal = self.peek() == Some('=');
                self.at += usize::from(or_equal);
                let comparison = match (sign, or_equal) {
                    ('<', false) => Comparison::Less,
                    ('<', true) => Comparison::LessOrEqual,
                    (_, false) => Comparison::Greater,
                    (_, true) => Comparison::GreaterOrEqual,
                };
                self.skip_blanks();
                let value = self.text_or(|parser| {
                    parser.expected(&format!("a value after `{}`", comparison.sign()))
                })?;
                self.count()?;
                Ok(Node::Compare { field, comparison, value: Value::from(value) })
            }
            _ => {
                self.at = end;
                self.check_keyword(&text, true)?;
                self.check_equals(&text)?;
                self.is(None, text)
            }
        }
    }

    fn is(&mut self, field: List<'_>, value: Text) -> Result<Node, QueryError> {
        self.count()?;
        Ok(Node::Is { field: field.cloned(), value: Value::from(value) })
    }

    fn name(&mut self, text: Text) -> Result<Arc<Name>, QueryError> {
        self.check_equals(&text)?;
        if text.pattern.as_literal() == Some("") {
            return Err(self.error(text.span, "a field's name is empty", None));
        }
        Ok(Arc::new(Name { pattern: text.pattern, span: text.span }))
    }

    /// What stands between an opening character, at which the parser is, and `closing`.
    fn bracketed(
        &mut self,
        closing: char,
        inner: impl FnOnce(&mut Self) -> Result<Node, QueryError>,
    ) -> Result<Node, QueryError> {
        let open = Span { start: self.at, end: self.at + 1 };
        if self.depth == limits::QUERY_DEPTH_MAX {
            let message = format!("the query nests deeper than {}", limits::QUERY_DEPTH_MAX);
            return Err(self.error(open, message, None));
        }
        self.depth += 1;
        self.at += 1;
        self.skip_blanks();
        let node = inner(self)?;
        self.skip_blanks();
        match self.peek() {
            Some(c) if c == closing => {
                self.at += 1;
                self.depth -= 1;
                Ok(node)
            }
            None => {
                let opening = if closing == ')' { '(' } else { '{' };
                let hint = format!("add a `{closing}`");
                Err(self.error(open, format!("`{opening}` is never closed"), Some(hint)))
            }
            Some(_) => Err(self.after_condition(Some(closing))),
        }
    }

    /// Steps over `and` or `or` with the blanks around it, or stays.
    fn operator(&mut self, word: &str) -> bool {
        let blanks = self.blanks_from(self.at);
        if blanks == self.at {
            return false;
        }
        let is_operator = self.keyword_at(blanks, word);
        if is_operator {
            self.at = self.blanks_from(blanks + word.len());
        }
        is_operator
    }

    /// Whether `not` and a blank come next.
    fn not_keyword(&self) -> bool {
        self.keyword_at(self.at, "not")
    }

    /// Whether the word and a blank stand there.
    fn keyword_at(&self, at: usize, word: &str) -> bool {
        let end = at + word.len();
        self.text.get(at..end).is_some_and(|found| found.eq_ignore_ascii_case(word))
            && self.text[end..].starts_with(is_blank)
    }

    fn text_or(&mut self, error: impl FnOnce(&mut Self) -> QueryError) -> Result<Text, QueryError> {
        let text = match self.peek() {
            Some('"') => Some(self.quoted()?),
            _ => self.unquoted()?,
        };
        match text {
            Some(text) => Ok(text),
            None => Err(error(self)),
        }
    }

    /// A backslash within quotes escapes a quote or itself, or stands for `\t`, `\r`, `\n` or a
    /// code point; before anything else it is a backslash.
    fn quoted(&mut self) -> Result<Text, QueryError> {
        let start = self.at;
        let mut at = start + 1;
        let mut literal = String::new();
        while let Some(c) = self.text[at..].chars().next() {
            match c {
                '"' => {
                    self.at = at + 1;
                    let span = Span { start, end: self.at };
                    return Ok(Text { pattern: Pattern::literal(literal), quoted: true, span });
                }
                '\\' => {
                    let next = self.text[at + 1..].chars().next();
                    let (escaped, length) = match next {
                        Some(quote @ ('"' | '\\')) => (quote, 2),
                        Some(letter @ ('t' | 'r' | 'n')) => (blank_of(letter), 2),
                        Some('u') => self.code_point(at)?.unwrap_or(('\\', 1)),
                        _ => ('\\', 1),
                    };
                    literal.push(escaped);
                    at += length;
                }
                _ => {
                    literal.push(c);
                    at += c.len_utf8();
                }
            }
        }
        let span = Span { start, end: start + 1 };
        let hint = "add a `\"`; within quotes, `\"` is written `\\\"` and a backslash before it \
                    `\\\\`";
        Err(self.error(span, "the quote is never closed", Some(hint.to_owned())))
    }

    /// Everything up to a special character, a keyword or the end; `None` if there is nothing.
    /// The parser then stands before the blanks that follow.
    fn unquoted(&mut self) -> Result<Option<Text>, QueryError> {
        let start = self.at;
        let mut at = start;
        // Where the blanks that end at `at` begin.
        let mut blanks = start;
        while let Some(c) = self.text[at..].chars().next() {
            if is_blank(c) {
                let end = self.blanks_from(at);
                if self.keyword_at(end, "and") || self.keyword_at(end, "or") {
                    blanks = at;
                    break;
                }
                blanks = at;
                at = end;
                continue;
            }
            let length = match c {
                '\\' => self.escape(at)?.1,
                '*' => 1,
                _ if is_special(c) || self.keyword_at(at, "not") => break,
                _ => c.len_utf8(),
            };
            at += length;
            blanks = at;
        }
        self.at = blanks;
        let whole = &self.text[start..blanks];
        let raw = whole.trim_matches(is_trimmed);
        if raw.is_empty() {
            return Ok(None);
        }
        let from = start + (whole.len() - whole.trim_start_matches(is_trimmed).len());
        let span = Span { start: from, end: from + raw.len() };
        if let Some((nth, _)) = raw
            .char_indices()
            .find(|(nth, c)| is_smart_quote(*c) && (*nth == 0 || nth + c.len_utf8() == raw.len()))
        {
            let at = Span { start: from + nth, end: from + nth + 1 };
            let hint = "write plain quotes (`\"`), or the whole value within them".to_owned();
            return Err(self.error(at, "a typographic quote is no quote", Some(hint)));
        }
        Ok(Some(Text { pattern: self.decode(span)?, quoted: false, span }))
    }

    fn decode(&self, span: Span) -> Result<Pattern, QueryError> {
        let mut pieces = Vec::new();
        let mut piece = String::new();
        let mut at = span.start;
        while let Some(c) = self.text[at..span.end].chars().next() {
            let mut length = c.len_utf8();
            match c {
                '*' if pieces.is_empty() || !piece.is_empty() => {
                    pieces.push(std::mem::take(&mut piece));
                }
                // A star beside a star says nothing new.
                '*' => {}
                '\\' => {
                    let escape = self.escape(at)?;
                    piece.push(escape.0);
                    length = escape.1;
                }
                _ => piece.push(c),
            }
            at += length;
        }
        pieces.push(piece);
        Ok(Pattern { pieces })
    }

    /// The first character that an escape outside of quotes stands for, and the escape's length
    /// so far: of a keyword only the first letter, since the others stand for themselves.
    fn escape(&self, at: usize) -> Result<(char, usize), QueryError> {
        let rest = &self.text[at + 1..];
        let keyword = ["and", "or", "not"].iter().any(|word| {
            rest.get(..word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word))
                && !(rest.starts_with("no")
                    && rest[word.len()..].starts_with(char::is_alphanumeric))
        });
        match rest.chars().next() {
            Some(c) if is_special(c) || keyword => Ok((c, 2)),
            Some(letter @ ('t' | 'r' | 'n')) => Ok((blank_of(letter), 2)),
            found => {
                if let Some(escape) = self.code_point(at)? {
                    return Ok(escape);
                }
                let length = 1 + found.map_or(0, char::len_utf8);
                let span = Span { start: at, end: at + length };
                let hint = "a backslash itself is written `\\\\`".to_owned();
                Err(self.error(span, "there is no such escape", Some(hint)))
            }
        }
    }

    /// `\uXXXX`, or two of them that are one character.
    fn code_point(&self, at: usize) -> Result<Option<(char, usize)>, QueryError> {
        let unit = |at: usize| -> Option<u32> {
            let digits = self.text.get(at..at + 6)?.strip_prefix("\\u")?;
            let hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            u32::from_str_radix(digits, 16).ok().filter(|_| hexadecimal)
        };
        let Some(first) = unit(at) else { return Ok(None) };
        if let Some(c) = char::from_u32(first) {
            return Ok(Some((c, 6)));
        }
        let second = unit(at + 6).filter(|second| (0xdc00..0xe000).contains(second));
        let pair = second.filter(|_| first < 0xdc00).and_then(|second| {
            char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + second - 0xdc00)
        });
        match pair {
            Some(c) => Ok(Some((c, 12))),
            None => {
                let span = Span { start: at, end: at + 6 };
                Err(self.error(span, "half of a surrogate pair is no character", None))
            }
        }
    }

    /// A keyword at the end of a text joins nothing. Alone it may be the value of a field.
    fn check_keyword(&self, text: &Text, alone: bool) -> Result<(), QueryError> {
        let raw = &self.text[text.span.start..text.span.end];
        let last = raw.rsplit(is_blank).next().unwrap_or(raw);
        if text.quoted || !is_keyword(last) || (last == raw && !alone) {
            return Ok(());
        }
        let span = Span { start: text.span.end - last.len(), end: text.span.end };
        if self.text[text.span.end..].starts_with('(') {
            let hint = "a blank stands between a keyword and `(`".to_owned();
            return Err(self.error(span, format!("a blank is missing after `{last}`"), Some(hint)));
        }
        let message = format!("a condition is missing after `{last}`");
        Err(self.error(span, message, Some(format!("to search for the word, write `\"{last}\"`"))))
    }

    /// `field = value`, `field == value`, `field != value`, `field => value`.
    fn check_equals(&self, text: &Text) -> Result<(), QueryError> {
        let raw = &self.text[text.span.start..text.span.end];
        let Some(at) = raw.find('=').filter(|_| !text.quoted) else { return Ok(()) };
        let negated = raw[..at].ends_with('!');
        let name = raw[..at].trim_end_matches('!').trim_end_matches(is_trimmed);
        let value = raw[at..].trim_start_matches(['=', '~']).trim_matches(is_trimmed);
        let follows = self.text[text.span.end..].trim_start_matches(is_blank).chars().next();
        let compared = matches!(follows, Some('<' | '>'));
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || "@_*".contains(c))
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "@_*./-".contains(c));
        let continues = matches!(follows, Some(':' | '"' | '(' | '<' | '>'));
        if !is_name || (value.is_empty() && !continues) {
            return Ok(());
        }
        let shown =
            if value.is_empty() || value.len() > HINT_VALUE_MAX_BYTES { "…" } else { value };
        let name = if name.len() > HINT_VALUE_MAX_BYTES { "…" } else { name };
        let hint = match (compared, negated) {
            (true, _) => format!("a comparison is written `{name} >= …` or `{name} <= …`"),
            (_, true) => format!("write `not {name}: {shown}`"),
            _ => format!("write `{name}: {shown}`; to search for the text, quote it"),
        };
        let start = text.span.start + at - usize::from(negated);
        let span = Span { start, end: start + 1 + usize::from(negated) };
        Err(self.error(span, "`=` compares nothing", Some(hint)))
    }

    fn check_equals_first(&self, value: &Text) -> Result<(), QueryError> {
        let raw = &self.text[value.span.start..value.span.end];
        if value.quoted || !raw.starts_with('=') {
            return Ok(());
        }
        let span = Span { start: value.span.start, end: value.span.start + 1 };
        let hint = "`:` alone compares; quote a value that begins with `=`".to_owned();
        Err(self.error(span, "`=` does not belong after `:`", Some(hint)))
    }

    /// Something is missing where the parser is.
    fn expected(&self, what: &str) -> QueryError {
        let Some(found) = self.peek() else {
            let end = Span { start: self.at, end: self.at };
            return self.error(end, format!("expected {what}, but the query ends"), None);
        };
        let before = self.text[..self.at].trim_end_matches(is_blank);
        let hint = match found {
            ':' if before.ends_with(':') => Some("one `:` is enough".to_owned()),
            ':' => Some("a field's name comes before `:`".to_owned()),
            '<' | '>' => Some("a field's name comes before a comparison".to_owned()),
            ')' if before.ends_with('(') => Some("there is nothing between `(` and `)`".to_owned()),
            '{' | '}' => Some(format!("a `{found}` in a value is written `\\{found}`, or quoted")),
            _ if self.not_keyword() => Some("to search for the word, write `\"not\"`".to_owned()),
            _ => None,
        };
        let span = Span { start: self.at, end: self.at + found.len_utf8() };
        self.error(span, format!("expected {what}, found `{found}`"), hint)
    }

    /// Something follows a condition that cannot.
    fn after_condition(&self, closing: Option<char>) -> QueryError {
        let found = self.peek().unwrap_or(' ');
        let span = Span { start: self.at, end: self.at + found.len_utf8() };
        let before = self.text[..self.at].trim_end_matches(is_blank);
        let joined = before.contains("&&") || before.contains("||");
        let word = |word: &str| {
            let rest = &self.text[self.at..];
            rest.get(..word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word))
        };
        let hint = match found {
            ')' | '}' => Some(format!("no open bracket is left for this `{found}`")),
            ':' if joined => Some("conditions are joined by `and` and `or`".to_owned()),
            ':' if closing == Some(')') => {
                let hint = "a value list holds values alone; a value with `:` is quoted, and \
                            conditions are joined by `and` or `or`";
                Some(hint.to_owned())
            }
            ':' => {
                let hint = "quote a value that holds `:`, or write `\\:`; conditions are joined by \
                            `and` or `or`";
                Some(hint.to_owned())
            }
            '{' => Some("a `{` in a value is written `\\{`, or the value is quoted".to_owned()),
            '<' | '>' => Some(format!("a `{found}` in a value is written `\\{found}`, or quoted")),
            '(' if before.ends_with(|c: char| c.is_alphabetic()) && {
                let last = before.rsplit(|c: char| !c.is_alphabetic()).next();
                last.is_some_and(is_keyword)
            } =>
            {
                Some("a blank has to stand between a keyword and `(`".to_owned())
            }
            '(' | '"' => Some(format!(
                "a `{found}` in a value is written `\\{found}`, or quoted; conditions are joined by \
                 `and` or `or`"
            )),
            _ if self.not_keyword() => {
                Some("write `and not`, or quote a value that holds `not`".to_owned())
            }
            _ if word("and") || word("or") => {
                Some("blanks have to stand around `and` and `or`".to_owned())
            }
            _ => Some("conditions are joined by `and` or `or`".to_owned()),
        };
        let message = match closing {
            Some(closing) => format!("expected `and`, `or` or `{closing}`, found `{found}`"),
            None => format!("expected `and`, `or` or the end, found `{found}`"),
        };
        self.error(span, message, hint)
    }

    fn count(&mut self) -> Result<(), QueryError> {
        self.nodes += 1;
        if self.nodes > limits::QUERY_NODES_MAX {
            let at = Span { start: self.at, end: self.at };
            let message = format!("the query has more than {} conditions", limits::QUERY_NODES_MAX);
            return Err(self.error(at, message, None));
        }
        Ok(())
    }

    fn error(&self, span: Span, message: impl Into<String>, hint: Option<String>) -> QueryError {
        QueryError::new(self.text, span, message, hint)
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn blanks_from(&self, at: usize) -> usize {
        let rest = &self.text[at..];
        at + (rest.len() - rest.trim_start_matches(is_blank).len())
    }

    fn skip_blanks(&mut self) {
        self.at = self.blanks_from(self.at);
    }
}

impl From<Text> for Value {
    fn from(text: Text) -> Value {
        Value { pattern: text.pattern, quoted: text.quoted, span: text.span }
    }
}

fn blank_of(letter: char) -> char {
    match letter {
        't' => '\t',
        'r' => '\r',
        _ => '\n',
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
