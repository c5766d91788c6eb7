//! Here-documents: literals whose body stands behind the end of the line.

use super::Language;
use super::lex::{Kind, Lexer};
use super::quote::{Escapes, Interpolation, Style, WORD_MAX, template};

impl Lexer<'_> {
    /// `<<EOF`, `<<~'EOF'`, PHP's `<<<EOF`: the body stands behind the end of this line.
    pub fn document(&mut self) -> Option<Kind> {
        let rest = self.rest();
        let intro = if self.language == Language::Php { "<<<" } else { "<<" };
        let mut tail = rest.strip_prefix(intro)?;
        if self.language == Language::Php {
            tail = tail.trim_start_matches(' ');
        }
        let marked = tail.trim_start_matches(['~', '-']);
        let (quote, name) = match marked.chars().next()? {
            quote @ ('"' | '\'' | '`') => {
                let name = marked.get(1..)?;
                let end = name.bytes().take(WORD_MAX).position(|b| char::from(b) == quote)?;
                (Some(quote), name.get(..end)?)
            }
            first if first.is_ascii_alphabetic() || first == '_' => {
                let is_word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
                (None, marked.get(..marked.bytes().take_while(is_word).count())?)
            }
            _ => return None,
        };
        // `a <<b` appends; a mark is written in capitals or between quotes.
        let capital = name.starts_with(|c: char| c.is_ascii_uppercase());
        if self.language == Language::Ruby && quote.is_none() && !capital
            || self.after_value && self.language != Language::Php
        {
            return None;
        }
        let head = rest.len() - marked.len() + name.len() + if quote.is_some() { 2 } else { 0 };
        let (line_end, from) = match self.documents {
            Some((line_end, to)) => (line_end, to),
            None => {
                let line_end = self.at + memchr::memchr(b'\n', rest.as_bytes())?;
                (line_end, line_end + 1)
            }
        };
        let body = self.source.get(from..)?;
        let mut length = 0;
        let mut after = body.len();
        for line in body.split_inclusive('\n') {
            let mark = line.trim();
            let ends = mark == name
                || self.language == Language::Php
                    && mark
                        .strip_prefix(name)
                        .is_some_and(|rest| rest.starts_with([';', ',', ')']));
            if ends {
                after = length + line.len();
                if self.language == Language::Php {
                    after = length + line.find(name).unwrap_or(0) + name.len();
                }
                break;
            }
            length += line.len();
        }
        self.documents = Some((line_end, from + after));
        self.at += head;
        let body = body.get(..length)?;
        let dedented: String;
        let body = if tail.starts_with('~') || self.language == Language::Php {
            dedented = body
                .split_inclusive('\n')
                .map(|line| line.trim_start_matches([' ', '\t']))
                .collect();
            &dedented
        } else {
            body
        };
        let mut inner = Lexer::new(self.language, body);
        let raw = quote == Some('\'');
        let style = if raw {
            Style::new("", Escapes::Verbatim, Interpolation::None)
        } else {
            Style::new("", Escapes::Full, self.interpolation())
        };
        let pieces = inner.body(style);
        Some(if quote == Some('`') { Kind::Command(pieces) } else { template(pieces) })
    }
}
