//! A `sed` script into commands.

use std::collections::HashMap;
use std::rc::Rc;

use super::super::Unknown;
use super::super::posix::{Pattern, Syntax};
use super::substitute::{Case, Piece, Substitution};
use super::{Action, Address, Branch, Command};

/// Most commands of a script, and patterns in it.
const COMMANDS_MAX: usize = 4_096;
const PATTERNS_MAX: usize = 256;
const NESTING_MAX: usize = 64;

pub(super) fn parse(script: &str, extended: bool, text: bool) -> Result<Vec<Command>, Unknown> {
    let mut parser = Parser {
        rest: script.chars(),
        syntax: if extended { Syntax::Extended } else { Syntax::Basic },
        text,
        patterns: 0,
    };
    let mut commands: Vec<Command> = Vec::new();
    let mut blocks: Vec<usize> = Vec::new();
    let mut labels: HashMap<String, usize> = HashMap::new();
    let mut jumps: Vec<(usize, String)> = Vec::new();
    loop {
        parser.skip(|c| c.is_whitespace() || c == ';');
        let Some(start) = parser.peek() else { break };
        if commands.len() > COMMANDS_MAX || blocks.len() > NESTING_MAX {
            return Err(Unknown::Decoded);
        }
        if start == '#' {
            parser.line();
            continue;
        }
        let (from, to, negated) = parser.addresses()?;
        let letter = parser.rest.next().ok_or(Unknown::Decoded)?;
        let at = commands.len();
        let action = match letter {
            '{' => {
                blocks.push(at);
                Action::Block(usize::MAX)
            }
            '}' => {
                let open = blocks.pop().ok_or(Unknown::Decoded)?;
                if let Some(command) = commands.get_mut(open) {
                    command.action = Action::Block(at);
                }
                Action::Nothing
            }
            ':' => {
                let label = parser.label(|c| c.is_whitespace() || c == ';');
                labels.insert(label, at);
                Action::Nothing
            }
            'b' | 't' | 'T' => {
                let label = parser.label(|c| c.is_whitespace() || c == ';' || c == '}');
                let when = match letter {
                    'b' => Branch::Always,
                    't' => Branch::Substituted,
                    _ => Branch::NotSubstituted,
                };
                if !label.is_empty() {
                    jumps.push((at, label));
                }
                Action::Branch { to: usize::MAX, when }
            }
            's' => Action::Substitute(Box::new(parser.substitution()?)),
            'y' => Action::Exchange(parser.exchange()?),
            'a' => Action::Append(parser.text()),
            'i' => Action::Insert(parser.text()),
            'c' => Action::Change(parser.text()),
            'd' => Action::Delete,
            'D' => Action::DeleteFirst,
            'p' => Action::Print,
            'P' => Action::PrintFirst,
            'q' | 'Q' => {
                parser.skip(|c| c.is_ascii_digit() || c == ' ');
                Action::Quit { prints: letter == 'q' }
            }
            'n' => Action::Next,
            'N' => Action::Join,
            'h' => Action::Hold { appends: false },
            'H' => Action::Hold { appends: true },
            'g' => Action::Get { appends: false },
            'G' => Action::Get { appends: true },
            'x' => Action::Swap,
            '=' => Action::Number,
            'z' => Action::Clear,
            'w' => match parser.line().trim() {
                "/dev/stdout" => Action::Print,
                _ => Action::Nothing,
            },
            _ => return Err(Unknown::Decoded),
        };
        commands.push(Command { from, to, negated, action });
        parser.skip(|c| c == ' ' || c == '\t');
        let ends = matches!(parser.peek(), None | Some(';' | '\n' | '\r' | '}' | '#'));
        if !ends && !matches!(letter, '{' | '}') {
            return Err(Unknown::Decoded);
        }
    }
    if !blocks.is_empty() {
        return Err(Unknown::Decoded);
    }
    for (at, label) in jumps {
        let target = *labels.get(&label).ok_or(Unknown::Decoded)?;
        if let Some(Action::Branch { to, .. }) = commands.get_mut(at).map(|c| &mut c.action) {
            *to = target;
        }
    }
    Ok(commands)
}

struct Parser<'a> {
    rest: std::str::Chars<'a>,
    syntax: Syntax,
    text: bool,
    patterns: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<char> {
        self.rest.clone().next()
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.rest.next();
        }
        found
    }

    fn skip(&mut self, is: impl Fn(char) -> bool) {
        self.rest = self.rest.as_str().trim_start_matches(is).chars();
    }

    /// Up to the end of the line, which is taken too.
    fn line(&mut self) -> &'a str {
        let rest = self.rest.as_str();
        let (line, behind) = rest.split_once('\n').unwrap_or((rest, ""));
        self.rest = behind.chars();
        line
    }

    fn label(&mut self, ends: impl Fn(char) -> bool) -> String {
        self.skip(|c| c == ' ' || c == '\t');
        let rest = self.rest.as_str();
        let end = rest.find(ends).unwrap_or(rest.len());
        let (label, behind) = rest.split_at(end);
        self.rest = behind.chars();
        label.to_owned()
    }

    fn number(&mut self) -> Option<usize> {
        let rest = self.rest.as_str();
        let behind = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let digits = rest.get(..rest.len() - behind.len())?;
        self.rest = behind.chars();
        digits.parse().ok()
    }

    fn addresses(&mut self) -> Result<(Option<Address>, Option<Address>, bool), Unknown> {
        let from = self.address()?;
        self.skip(|c| c == ' ' || c == '\t');
        let mut to = None;
        if from.is_some() && self.take(',') {
            self.skip(|c| c == ' ' || c == '\t');
            to = match self.peek() {
                Some('+') => {
                    self.rest.next();
                    Some(Address::Further(self.number().ok_or(Unknown::Decoded)?))
                }
                Some('~') => {
                    self.rest.next();
                    Some(Address::Multiple(self.number().ok_or(Unknown::Decoded)?))
                }
                _ => Some(self.address()?.ok_or(Unknown::Decoded)?),
            };
        }
        self.skip(|c| c == ' ' || c == '\t');
        let mut negated = false;
        while self.take('!') {
            negated = true;
            self.skip(|c| c == ' ' || c == '\t');
        }
        Ok((from, to, negated))
    }

    fn address(&mut self) -> Result<Option<Address>, Unknown> {
        Ok(match self.peek() {
            Some('0'..='9') => {
                let first = self.number().ok_or(Unknown::Decoded)?;
                if self.take('~') {
                    Some(Address::Every(first, self.number().unwrap_or(0)))
                } else {
                    Some(Address::Line(first))
                }
            }
            Some('$') => {
                self.rest.next();
                Some(Address::Last)
            }
            Some('/') => {
                self.rest.next();
                Some(self.pattern_address('/')?)
            }
            Some('\\') => {
                self.rest.next();
                let delimiter = self.rest.next().ok_or(Unknown::Decoded)?;
                Some(self.pattern_address(delimiter)?)
            }
            _ => None,
        })
    }

    fn pattern_address(&mut self, delimiter: char) -> Result<Address, Unknown> {
        let pattern = self.until(delimiter, true)?;
        let ignore_case = self.take('I');
        Ok(Address::Pattern(self.pattern(&pattern, ignore_case)?))
    }

    fn pattern(
        &mut self,
        pattern: &str,
        ignore_case: bool,
    ) -> Result<Option<Rc<Pattern>>, Unknown> {
        if pattern.is_empty() {
            return Ok(None);
        }
        self.patterns += 1;
        if self.patterns > PATTERNS_MAX {
            return Err(Unknown::Decoded);
        }
        let pattern = Pattern::new(pattern, self.syntax, ignore_case, self.text)?;
        Ok(Some(Rc::new(pattern)))
    }

    /// The text up to a delimiter, which may stand in it behind a backslash or, in a pattern, in
    /// brackets.
    fn until(&mut self, delimiter: char, is_pattern: bool) -> Result<String, Unknown> {
        let mut out = String::new();
        loop {
            let character = self.rest.next().ok_or(Unknown::Decoded)?;
            match character {
                '\\' => {
                    let escaped = self.rest.next().ok_or(Unknown::Decoded)?;
                    if escaped != delimiter || delimiter == 'n' {
                        out.push('\\');
                    } else if is_pattern && ".*[]^$".contains(delimiter) {
                        // It stands for itself, not for what it means in a pattern.
                        out.push('\\');
                    }
                    out.push(escaped);
                }
                '[' if is_pattern && delimiter != '[' => {
                    out.push('[');
                    self.bracket(delimiter, &mut out);
                }
                _ if character == delimiter => return Ok(out),
                _ => out.push(character),
            }
        }
    }

    /// The rest of a bracket expression, if it holds the delimiter and is closed behind it.
    fn bracket(&mut self, delimiter: char, out: &mut String) {
        let rest = self.rest.as_str();
        let start = rest.strip_prefix('^').unwrap_or(rest);
        let start = start.strip_prefix(']').unwrap_or(start);
        // No sensible one is longer.
        let window = start.char_indices().take(256);
        let mut inner = false;
        for (at, character) in window {
            match character {
                '[' if start
                    .get(at + 1..)
                    .is_some_and(|next| next.starts_with([':', '.', '='])) =>
                {
                    inner = true;
                }
                ']' if inner => inner = false,
                ']' => {
                    let end = rest.len() - start.len() + at + 1;
                    let inside = rest.get(..end).unwrap_or_default();
                    if inside.contains(delimiter) {
                        out.push_str(inside);
                        self.rest = rest.get(end..).unwrap_or_default().chars();
                    }
                    return;
                }
                '\n' => return,
                _ => {}
            }
        }
    }

    fn substitution(&mut self) -> Result<Substitution, Unknown> {
        let delimiter = self.rest.next().filter(|c| !matches!(c, '\\' | '\n'));
        let delimiter = delimiter.ok_or(Unknown::Decoded)?;
        let pattern = self.until(delimiter, true)?;
        let replacement = self.until(delimiter, false)?;
        let mut substitution = Substitution {
            pattern: None,
            replacement: pieces(&replacement),
            nth: 1,
            global: false,
            prints: false,
        };
        let mut ignore_case = false;
        while let Some(flag) = self.peek() {
            match flag {
                'g' => substitution.global = true,
                'p' => substitution.prints = true,
                'i' | 'I' => ignore_case = true,
                '0'..='9' => {
                    substitution.nth = self.number().unwrap_or(1).max(1);
                    continue;
                }
                'w' => {
                    self.rest.next();
                    substitution.prints |= self.line().trim() == "/dev/stdout";
                    break;
                }
                'e' | 'm' | 'M' => return Err(Unknown::Decoded),
                _ => break,
            }
            self.rest.next();
        }
        substitution.pattern = self.pattern(&pattern, ignore_case)?;
        Ok(substitution)
    }

    fn exchange(&mut self) -> Result<HashMap<char, char>, Unknown> {
        let delimiter = self.rest.next().ok_or(Unknown::Decoded)?;
        let plain = |text: String| {
            let mut out = Vec::new();
            let mut characters = text.chars();
            while let Some(character) = characters.next() {
                out.push(match (character, character == '\\') {
                    (_, true) => match characters.next() {
                        Some('n') => '\n',
                        Some('t') => '\t',
                        Some('r') => '\r',
                        Some(other) => other,
                        None => '\\',
                    },
                    (other, false) => other,
                });
            }
            out
        };
        let from = plain(self.until(delimiter, false)?);
        let to = plain(self.until(delimiter, false)?);
        if from.len() != to.len() {
            return Err(Unknown::Decoded);
        }
        let mut map = HashMap::new();
        for (from, to) in from.into_iter().zip(to) {
            map.entry(from).or_insert(to);
        }
        Ok(map)
    }

    /// The text of `a`, `i` and `c`, in one line or behind a backslash.
    fn text(&mut self) -> String {
        self.skip(|c| c == ' ' || c == '\t');
        if self.take('\\') {
            self.skip(|c| c == ' ' || c == '\t');
            self.take('\n');
        }
        let mut out = String::new();
        while let Some(character) = self.peek() {
            if character == '\n' {
                break;
            }
            self.rest.next();
            if character == '\\' {
                out.extend(self.rest.next());
            } else {
                out.push(character);
            }
        }
        out
    }
}

fn pieces(replacement: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = replacement.chars();
    while let Some(character) = rest.next() {
        let piece = match character {
            '&' => Piece::Group(0),
            '\\' => match rest.next() {
                Some(digit @ '0'..='9') => Piece::Group(digit as usize - '0' as usize),
                Some('U') => Piece::Case(Case::Upper),
                Some('L') => Piece::Case(Case::Lower),
                Some('u') => Piece::Case(Case::UpperNext),
                Some('l') => Piece::Case(Case::LowerNext),
                Some('E') => Piece::Case(Case::End),
                Some(escaped) => {
                    text.push(escaped_character(escaped, &mut rest));
                    continue;
                }
                None => {
                    text.push('\\');
                    continue;
                }
            },
            other => {
                text.push(other);
                continue;
            }
        };
        if !text.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut text)));
        }
        pieces.push(piece);
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    pieces
}

fn escaped_character(escaped: char, rest: &mut std::str::Chars) -> char {
    let (radix, most) = match escaped {
        'n' => return '\n',
        't' => return '\t',
        'r' => return '\r',
        'f' => return '\u{c}',
        'v' => return '\u{b}',
        'a' => return '\u{7}',
        'x' => (16, 2),
        'o' => (8, 3),
        'd' => (10, 3),
        other => return other,
    };
    let digits: String =
        rest.clone().take(most).take_while(|digit| digit.is_digit(radix)).collect();
    match u32::from_str_radix(&digits, radix).ok().and_then(char::from_u32) {
        Some(character) => {
            *rest = rest.as_str().get(digits.len()..).unwrap_or_default().chars();
            character
        }
        None => escaped,
    }
}
