//! Tokens of seven languages, read tolerantly: everything is a token, nothing is an error.
//!
//! Owns names, numbers, symbols, comments and brackets; string literals are for `quote`.

use std::cell::RefCell;
use std::rc::Rc;

use super::Language;
use crate::audit::shell::names::Names;
use crate::audit::shell::text::Text;

/// A piece of code in tokens.
#[derive(Debug)]
pub(super) struct Unit {
    pub source: String,
    pub tokens: Vec<Token>,
    /// For each token, whether a literal was evaluated. What was not by the end is taken as it is.
    pub visited: RefCell<Vec<bool>>,
}

#[derive(Debug)]
pub(super) struct Token {
    pub kind: Kind,
    /// Bytes of the source.
    pub start: usize,
    pub end: usize,
    /// Of an opening bracket: the index of the closing one, or the number of tokens.
    pub close: usize,
    /// White space stands before it.
    pub spaced: bool,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// A literal without anything to evaluate in it.
    Text(Text),
    /// A literal with expressions in it.
    Template(Vec<Piece>),
    /// A shell command between backticks or the like.
    Command(Vec<Piece>),
    /// `qw(a b)`, `%w[a b]`
    Words(Vec<String>),
    /// A regular expression and its flags.
    Pattern(String, String),
    /// Perl's `s/…/…/flags`.
    Substitute(String, String, String),
    /// Perl's `tr/…/…/flags`.
    Transliterate(String, String, String),
    Number(i64),
    /// A number that is not whole or too large.
    Decimal,
    /// With the sigil where the language has one.
    Name(Rc<str>),
    Symbol(&'static str),
    /// A line ends that may end a statement; `indent` is how far the next one is indented.
    Newline {
        indent: usize,
    },
}

/// A part of a literal.
#[derive(Debug, Clone)]
pub(super) enum Piece {
    Text(Text),
    /// An expression, as written.
    Code(String),
    /// Perl's `\U`, `\L`, `\E`, `\u`, `\l`: changes the case of what follows.
    Case(Case),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Upper,
    Lower,
    End,
    UpperNext,
    LowerNext,
}

/// Longest first where one begins another.
const SYMBOLS: &[&str] = &[
    "<=>", "===", "!==", "**=", "...", "<<=", ">>=", "//=", "||=", "&&=", "??=", "?->", "=>", "->",
    "::", "==", "!=", "<=", ">=", "=~", "!~", "&&", "||", "??", "?.", "&.", "**", "//", "..", "<<",
    ">>", "+=", "-=", "*=", ".=", "/=", "%=", "|=", "^=", "&=", ":=", "++", "--", "~~", "~=",
];

/// The second characters of these, a bit each.
const SECONDS: u128 = {
    let mut bits = 0;
    let mut at = 0;
    while at < SYMBOLS.len() {
        bits |= 1 << SYMBOLS[at].as_bytes()[1];
        at += 1;
    }
    bits
};

const SINGLE: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

/// Words after which a slash begins a regular expression.
const BEFORE_TERM: &[&str] = &[
    "return", "and", "or", "not", "if", "unless", "while", "until", "split", "grep", "map", "join",
    "print", "push", "x", "lt", "gt", "eq", "ne", "in", "case", "when", "then", "do", "else",
    "elsif", "elif", "typeof", "puts", "p", "say", "yield", "await", "xor", "cmp", "begin", "echo",
    "die", "warn", "system", "exec", "eval", "exit", "lambda", "new", "open", "unlink", "printf",
];
const MAY_BE_BEFORE_TERM: Names = Names::of(BEFORE_TERM);

/// About so many bytes of code are one token.
const BYTES_A_TOKEN: usize = 4;
/// For so many there is room at once; for more as they come.
const TOKENS_EXPECTED: usize = 512;

pub(super) fn lex(language: Language, source: String) -> Unit {
    let mut lexer = Lexer::new(language, &source);
    lexer.run();
    let mut tokens = lexer.tokens;
    pair_brackets(&mut tokens);
    let visited = RefCell::new(vec![false; tokens.len()]);
    Unit { source, tokens, visited }
}

impl Unit {
    pub fn kind(&self, at: usize) -> Option<&Kind> {
        self.tokens.get(at).map(|token| &token.kind)
    }

    pub fn name(&self, at: usize) -> Option<&Rc<str>> {
        match self.kind(at) {
            Some(Kind::Name(name)) => Some(name),
            _ => None,
        }
    }

    pub fn is_name(&self, at: usize, name: &str) -> bool {
        self.name(at).is_some_and(|found| &**found == name)
    }

    pub fn symbol(&self, at: usize) -> Option<&'static str> {
        match self.kind(at) {
            Some(Kind::Symbol(symbol)) => Some(symbol),
            _ => None,
        }
    }

    pub fn is_symbol(&self, at: usize, symbol: &str) -> bool {
        self.symbol(at) == Some(symbol)
    }

    pub fn is_newline(&self, at: usize) -> bool {
        matches!(self.kind(at), Some(Kind::Newline { .. }))
    }

    pub fn close(&self, at: usize) -> usize {
        self.tokens.get(at).map_or(self.tokens.len(), |token| token.close)
    }

    pub fn spaced(&self, at: usize) -> bool {
        self.tokens.get(at).is_some_and(|token| token.spaced)
    }

    /// The tokens `from..to` as written.
    pub fn written(&self, from: usize, to: usize) -> &str {
        let (Some(first), Some(last)) =
            (self.tokens.get(from), to.checked_sub(1).and_then(|to| self.tokens.get(to)))
        else {
            return "";
        };
        self.source.get(first.start..last.end).unwrap_or("")
    }
}

/// Finds the closing bracket of each opening one. A closing bracket that fits none is ignored;
/// those that stay open within a closed one end with it.
fn pair_brackets(tokens: &mut [Token]) {
    let count = tokens.len();
    let mut open: Vec<(usize, u8)> = Vec::new();
    let mut waiting = [0_usize; 3];
    for at in 0..count {
        let Some(Token { kind: Kind::Symbol(symbol), .. }) = tokens.get(at) else { continue };
        let (shape, opens) = match *symbol {
            "(" => (0, true),
            "[" => (1, true),
            "{" => (2, true),
            ")" => (0, false),
            "]" => (1, false),
            "}" => (2, false),
            _ => continue,
        };
        if opens {
            waiting[usize::from(shape)] += 1;
            open.push((at, shape));
            continue;
        }
        if waiting[usize::from(shape)] == 0 {
            continue;
        }
        while let Some((opened, kind)) = open.pop() {
            waiting[usize::from(kind)] -= 1;
            if let Some(token) = tokens.get_mut(opened) {
                token.close = at;
            }
            if kind == shape {
                break;
            }
        }
    }
    for (opened, _) in open {
        if let Some(token) = tokens.get_mut(opened) {
            token.close = count;
        }
    }
}

pub(super) struct Lexer<'s> {
    pub language: Language,
    pub source: &'s str,
    pub at: usize,
    pub tokens: Vec<Token>,
    /// The last token is a value, so that an operator can follow.
    pub after_value: bool,
    spaced: bool,
    brackets: Vec<u8>,
    /// No regular expression ends before this place.
    pub no_pattern_until: usize,
    /// No expression within a string ends after this place: looked for once.
    pub unclosed: bool,
    /// Bodies of here-documents, skipped when the line ends: from, to.
    pub documents: Option<(usize, usize)>,
}

impl<'s> Lexer<'s> {
    pub fn new(language: Language, source: &'s str) -> Lexer<'s> {
        Lexer {
            language,
            source,
            at: 0,
            tokens: Vec::with_capacity((source.len() / BYTES_A_TOKEN).min(TOKENS_EXPECTED)),
            after_value: false,
            spaced: false,
            brackets: Vec::new(),
            no_pattern_until: 0,
            unclosed: false,
            documents: None,
        }
    }

    pub fn byte(&self, ahead: usize) -> Option<u8> {
        self.source.as_bytes().get(self.at + ahead).copied()
    }

    pub fn rest(&self) -> &'s str {
        self.source.get(self.at..).unwrap_or("")
    }

    pub fn character(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn run(&mut self) {
        while let Some(byte) = self.byte(0) {
            match byte {
                b'\n' => self.newline(),
                b' ' | b'\t' | b'\r' | 0x0b | 0x0c => {
                    self.spaced = true;
                    self.at += 1;
                }
                b'\\' if self.rest().starts_with("\\\n") => {
                    self.spaced = true;
                    self.at += 2;
                }
                _ if self.comment() => self.spaced = true,
                _ => self.token(byte),
            }
        }
    }

    fn token(&mut self, byte: u8) {
        let start = self.at;
        let kind = if let Some(kind) = self.literal() {
            kind
        } else if byte.is_ascii_digit() {
            self.number()
        } else if let Some(kind) = self.word() {
            kind
        } else {
            self.symbol()
        };
        if self.at == start {
            self.at += self.character().map_or(1, char::len_utf8);
        }
        self.push(kind, start);
    }

    fn push(&mut self, kind: Kind, start: usize) {
        self.after_value = match &kind {
            Kind::Name(name) => {
                let after_dot = matches!(
                    self.tokens.last(),
                    Some(Token { kind: Kind::Symbol("." | "->" | "::" | ":" | "?." | "&."), .. })
                );
                after_dot || !MAY_BE_BEFORE_TERM.may_hold(name) || !BEFORE_TERM.contains(&&**name)
            }
            Kind::Symbol(symbol) => matches!(*symbol, ")" | "]" | "}"),
            Kind::Newline { .. } => false,
            _ => true,
        };
        if let Kind::Symbol(symbol) = &kind {
            match *symbol {
                "(" | "[" | "{" => self.brackets.push(symbol.as_bytes()[0]),
                ")" | "]" | "}" => drop(self.brackets.pop()),
                _ => {}
            }
        }
        let (end, spaced) = (self.at, std::mem::take(&mut self.spaced));
        self.tokens.push(Token { kind, start, end, close: 0, spaced });
    }

    fn newline(&mut self) {
        let start = self.at;
        self.at += 1;
        if let Some((_, to)) = self.documents.take_if(|(from, _)| *from <= start) {
            self.at = to.max(self.at);
        }
        self.spaced = true;
        let rest = self.rest();
        let indent = rest.bytes().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let counts = match (self.language, self.brackets.last()) {
            (Language::Python, open) => open.is_none(),
            (Language::Ruby, open) => {
                // A line that begins with a dot goes on with the last one.
                let next = rest.get(indent..).unwrap_or("");
                !matches!(open, Some(b'(' | b'['))
                    && (!next.starts_with('.') || next.starts_with(".."))
            }
            (Language::Awk, open) => !matches!(open, Some(b'(' | b'[')),
            _ => false,
        };
        // Of blank lines one newline stays, with the last one's indentation.
        if let Some(Token { kind: Kind::Newline { indent: last }, .. }) = self.tokens.last_mut() {
            *last = indent;
        } else if counts {
            self.push(Kind::Newline { indent }, start);
        }
    }

    /// Skips a comment; whether there was one.
    fn comment(&mut self) -> bool {
        let rest = self.rest();
        let line = match self.language {
            Language::Python | Language::Perl | Language::Ruby | Language::Awk => {
                rest.starts_with('#')
            }
            Language::Php => {
                rest.starts_with('#') && !rest.starts_with("#[") || rest.starts_with("//")
            }
            Language::Node => {
                rest.starts_with("//") && self.byte(2) != Some(b'=')
                    || self.at == 0 && rest.starts_with("#!")
            }
            Language::Lua => rest.starts_with("--"),
        };
        let length = if self.language == Language::Lua && rest.starts_with("--[") {
            let level = rest.bytes().skip(3).take_while(|byte| *byte == b'=').count();
            if rest.as_bytes().get(3 + level) == Some(&b'[') {
                let close = format!("]{}]", "=".repeat(level));
                rest.find(&close).map_or(rest.len(), |at| at + close.len())
            } else {
                line_length(rest)
            }
        } else if line {
            line_length(rest)
        } else if matches!(self.language, Language::Node | Language::Php) {
            if rest.starts_with("/*") {
                rest.get(2..).and_then(|body| body.find("*/")).map_or(rest.len(), |at| at + 4)
            } else if self.language == Language::Php {
                // Tags between code and text that is printed.
                ["<?php", "<?=", "<?", "?>"]
                    .iter()
                    .find(|tag| rest.starts_with(**tag))
                    .map_or(0, |tag| tag.len())
            } else {
                0
            }
        } else {
            0
        };
        self.at += length;
        length > 0
    }

    fn number(&mut self) -> Kind {
        let rest = self.rest();
        let radix = match rest.as_bytes() {
            [b'0', b'x' | b'X', ..] => 16,
            [b'0', b'b' | b'B', ..] => 2,
            [b'0', b'o' | b'O', ..] => 8,
            _ => 10,
        };
        let prefix = if radix == 10 { 0 } else { 2 };
        let digits = rest.get(prefix..).unwrap_or("");
        let length = digits
            .bytes()
            .take_while(|byte| char::from(*byte).is_digit(radix) || *byte == b'_')
            .count();
        let written: String =
            digits.get(..length).unwrap_or("").chars().filter(|c| *c != '_').collect();
        self.at += prefix + length;
        let octal = written.len() > 1
            && written.starts_with('0')
            && matches!(self.language, Language::Perl | Language::Ruby | Language::Php)
            && written.bytes().all(|digit| digit < b'8');
        let value = i64::from_str_radix(&written, if octal { 8 } else { radix }).ok();
        // A fraction or an exponent.
        let mut whole = true;
        if radix == 10 {
            if self.byte(0) == Some(b'.') && self.byte(1).is_some_and(|b| b.is_ascii_digit()) {
                let fraction = self.rest().bytes().skip(1).take_while(u8::is_ascii_digit);
                let fraction: Vec<u8> = fraction.collect();
                whole &= fraction.iter().all(|digit| *digit == b'0');
                self.at += 1 + fraction.len();
            }
            let sign = usize::from(matches!(self.byte(1), Some(b'+' | b'-')));
            if matches!(self.byte(0), Some(b'e' | b'E'))
                && self.byte(1 + sign).is_some_and(|b| b.is_ascii_digit())
            {
                whole = false;
                self.at += 1 + sign;
                self.at += self.rest().bytes().take_while(u8::is_ascii_digit).count();
            }
        }
        if matches!(self.byte(0), Some(b'n' | b'L' | b'l' | b'j')) {
            self.at += 1;
        }
        match value {
            Some(value) if whole => Kind::Number(value),
            _ => Kind::Decimal,
        }
    }

    /// A name, or a literal that begins with one (`r'…'`, `qw(…)`).
    fn word(&mut self) -> Option<Kind> {
        let start = self.at;
        let sigil = self.sigil();
        if let Some(name) = sigil {
            return Some(Kind::Name(name));
        }
        let length = self.identifier_length();
        if length == 0 {
            return None;
        }
        let mut name = self.rest().get(..length)?;
        let repeats = self.language == Language::Perl
            && self.after_value
            && name
                .strip_prefix('x')
                .is_some_and(|count| count.bytes().all(|b| b.is_ascii_digit()));
        if repeats {
            // `'a'x3` repeats.
            name = "x";
        }
        self.at += name.len();
        if let Some(kind) = self.prefixed_literal(name, start) {
            return Some(kind);
        }
        if self.language == Language::Ruby
            && matches!(self.byte(0), Some(b'!' | b'?'))
            && self.byte(1) != Some(b'=')
            && matches!(self.tokens.last(), Some(Token { kind: Kind::Symbol("." | "&."), .. }))
        {
            // `gsub!` does what `gsub` does.
            self.at += 1;
        }
        Some(Kind::Name(Rc::from(name)))
    }

    /// How many bytes of a name stand here.
    pub fn identifier_length(&self) -> usize {
        let rest = self.rest();
        let mut length = 0;
        for (at, c) in rest.char_indices() {
            let fits = c == '_'
                || c.is_ascii_alphabetic()
                || c.is_ascii_digit() && at > 0
                || !c.is_ascii() && c.is_alphanumeric()
                || c == '$' && self.language == Language::Node;
            let colons = self.language == Language::Perl
                && at > 0
                && c == ':'
                && (rest.get(at..at + 2) == Some("::") || rest.get(at - 1..at + 1) == Some("::"));
            if !fits && !colons {
                break;
            }
            length = at + c.len_utf8();
        }
        length
    }

    /// A variable with its sigil.
    fn sigil(&mut self) -> Option<Rc<str>> {
        let start = self.at;
        let first = self.byte(0)?;
        let sigil = match (self.language, first) {
            (Language::Perl, b'$') => {
                if self.byte(1) == Some(b'#') && matches!(self.byte(2), Some(b'$' | b'{')) {
                    // Of what follows, the last index: no comment begins here.
                    self.at += 2;
                    return Some(Rc::from("$#"));
                }
                1 + usize::from(self.byte(1) == Some(b'#'))
            }
            (Language::Perl, b'@') => 1,
            (Language::Perl, b'%' | b'&') if !self.after_value => 1,
            (Language::Php, b'$') => 1,
            (Language::Ruby, b'$') => 1,
            (Language::Ruby, b'@') => 1 + usize::from(self.byte(1) == Some(b'@')),
            _ => return None,
        };
        self.at += sigil;
        let length = self.identifier_length();
        if length > 0 {
            self.at += length;
            return self.source.get(start..self.at).map(Rc::from);
        }
        if self.language == Language::Perl && self.byte(0) == Some(b'{') {
            // `${name}` is `$name`.
            let inner = self.source.get(self.at + 1..).unwrap_or("");
            let word = inner.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_');
            let length = word.count();
            if length > 0 && inner.as_bytes().get(length) == Some(&b'}') {
                let sigil = self.source.get(start..start + sigil)?;
                let name = format!("{sigil}{}", inner.get(..length)?);
                self.at += length + 2;
                return Some(Rc::from(name));
            }
        }
        let special = match (self.language, self.byte(0)) {
            (Language::Perl, Some(byte)) if sigil == 1 && first == b'$' => {
                byte.is_ascii_digit() || b"&`'+!/\\,;.0@_|\"<>()[]-^~=%:?".contains(&byte)
            }
            (Language::Ruby, Some(byte)) if first == b'$' => {
                byte.is_ascii_digit() || b"!@&`'+~=/\\,;.<>_0*$?:\"".contains(&byte)
            }
            _ => false,
        };
        if special {
            self.at += 1;
            return self.source.get(start..self.at).map(Rc::from);
        }
        self.at = start;
        None
    }

    fn symbol(&mut self) -> Kind {
        let rest = self.rest();
        let second = rest.as_bytes().get(1);
        let may_be_long = second.is_some_and(|byte| byte.is_ascii() && SECONDS & 1 << byte != 0);
        let long = SYMBOLS.iter().filter(|_| may_be_long).find(|symbol| {
            rest.starts_with(**symbol)
                && match self.language {
                    // `[::-1]` has two colons.
                    Language::Python => **symbol != "::",
                    Language::Lua => !matches!(**symbol, "..." | "++" | "--" | "**"),
                    // A question mark before a fraction.
                    Language::Node => {
                        **symbol != "?." || !rest.as_bytes().get(2).is_some_and(u8::is_ascii_digit)
                    }
                    _ => true,
                }
        });
        if let Some(symbol) = long {
            self.at += symbol.len();
            return Kind::Symbol(symbol);
        }
        let first = rest.as_bytes().first();
        let single = first
            .and_then(|byte| SINGLE.as_bytes().binary_search(byte).ok())
            .and_then(|at| SINGLE.get(at..=at))
            .unwrap_or("");
        self.at += self.character().map_or(1, char::len_utf8);
        Kind::Symbol(single)
    }
}

fn line_length(text: &str) -> usize {
    memchr::memchr(b'\n', text.as_bytes()).unwrap_or(text.len())
}
