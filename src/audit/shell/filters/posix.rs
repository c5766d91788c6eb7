//! Regular expressions as `sed`, `grep` and `awk` write them, matched within a bound of work.
//!
//! Translates basic and extended expressions (POSIX chapter 9, with GNU's additions) into those of
//! the `regex` crate, which has no back-references: a pattern with one is not followed.

use std::cell::OnceCell;

use regex_automata::meta::Regex;
use regex_automata::util::captures::Captures;
use regex_automata::util::syntax;
use regex_automata::{Input, Span};

use super::tr::class_test;
use super::{Allowance, Unknown};

const PATTERN_MAX_BYTES: usize = 4 * 1024;
const NESTING_MAX: u32 = 32;
/// Largest compiled pattern.
const COMPILED_MAX_BYTES: usize = 256 * 1024;
/// Most repetitions of a part, as `RE_DUP_MAX` is 255 at least.
const REPEAT_MAX: usize = 1_000;
/// Largest weight of a pattern: about its states.
const WEIGHT_MAX: usize = 4 * 1024;
/// What matching in one run may cost: bytes looked at, times the pattern's weight.
const WORK_MAX: usize = 8 * 1024 * 1024;

/// What is left of the work that one run of a tool may do.
#[derive(Debug)]
pub(super) struct Work {
    left: usize,
    /// Of the whole reading.
    allowance: Allowance,
}

impl Work {
    pub fn new(allowance: &Allowance) -> Work {
        Work { left: WORK_MAX.min(allowance.left()), allowance: allowance.clone() }
    }

    pub fn spend(&mut self, work: usize) -> Result<(), Unknown> {
        let left = self.left.checked_sub(work);
        // What a bound cuts short was paid for too.
        self.allowance.take(work.min(self.left));
        self.left = left.ok_or(Unknown::Decoded)?;
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    /// `\(…\)`, `\{1,2\}`
    Basic,
    /// `(…)`, `{1,2}`, `|`, `+`, `?`
    Extended,
    /// Extended, with escapes inside brackets.
    Awk,
    /// Every character stands for itself.
    Fixed,
    Perl,
}

/// Byte ranges of a match and of its groups.
pub(super) type Groups = Vec<Option<(usize, usize)>>;

#[derive(Debug, Clone)]
pub(super) struct Pattern {
    regex: Lazy,
    /// The same for exactly a whole text, where the crate's leftmost-first rule may find a shorter
    /// match than the leftmost-longest one of POSIX.
    whole: Option<Lazy>,
    weight: usize,
    /// A search may look at all of the text although it matches little of it.
    unbounded: bool,
}

/// An expression that is compiled once there is something to match it with: mostly there is not.
#[derive(Debug, Clone)]
struct Lazy {
    pattern: String,
    unicode: bool,
    ignore_case: bool,
    regex: OnceCell<Option<Regex>>,
}

impl Lazy {
    fn get(&self) -> Result<&Regex, Unknown> {
        let compiled = self.regex.get_or_init(|| {
            let syntax = syntax::Config::new()
                .utf8(false)
                .unicode(self.unicode)
                .case_insensitive(self.ignore_case)
                .dot_matches_new_line(true)
                .nest_limit(NESTING_MAX * 4);
            // It is matched a few times: the automata of the others cost more than they save.
            let config = Regex::config()
                .utf8_empty(false)
                .nfa_size_limit(Some(COMPILED_MAX_BYTES))
                .hybrid_cache_capacity(COMPILED_MAX_BYTES)
                .dfa(false)
                .onepass(false);
            Regex::builder().configure(config).syntax(syntax).build(&self.pattern).ok()
        });
        compiled.as_ref().ok_or(Unknown::Decoded)
    }

    /// The groups of the first match at or behind `from`.
    fn captures(&self, text: &[u8], from: usize) -> Result<Option<Captures>, Unknown> {
        let regex = self.get()?;
        let mut captures = regex.create_captures();
        regex.search_captures(&Input::new(text).range(from..), &mut captures);
        Ok(captures.is_match().then_some(captures))
    }
}

impl Pattern {
    /// `text`: whether characters of several bytes are one.
    pub fn new(
        pattern: &str,
        syntax: Syntax,
        ignore_case: bool,
        text: bool,
    ) -> Result<Pattern, Unknown> {
        if pattern.len() > PATTERN_MAX_BYTES {
            return Err(Unknown::Decoded);
        }
        let mut translation = Translation { syntax, ..Translation::new(pattern) };
        match syntax {
            Syntax::Fixed => pattern.chars().for_each(|c| translation.literal(c)),
            Syntax::Perl => translation.perl(pattern)?,
            _ => translation.run()?,
        }
        let unicode = text || !pattern.is_ascii();
        let weight = translation.total().saturating_mul(if unicode { 4 } else { 1 });
        if weight > WEIGHT_MAX {
            return Err(Unknown::Decoded);
        }
        let lazy = |pattern: String| Lazy { pattern, unicode, ignore_case, regex: OnceCell::new() };
        let ambiguous = translation.ambiguous && !translation.anchored;
        let whole = ambiguous.then(|| lazy(format!(r"\A(?:{})\z", translation.out)));
        let unbounded = translation.unbounded;
        Ok(Pattern { regex: lazy(translation.out), whole, weight, unbounded })
    }

    pub fn is_match(&self, text: &[u8], work: &mut Work) -> Result<bool, Unknown> {
        work.spend(self.weight.saturating_mul(text.len() + 8))?;
        Ok(self.regex.get()?.is_match(text))
    }

    /// The first match at or behind `from`.
    pub fn find(
        &self,
        text: &[u8],
        from: usize,
        work: &mut Work,
    ) -> Result<Option<Groups>, Unknown> {
        let ahead = text.len().saturating_sub(from);
        if self.weight.saturating_mul(ahead) > work.left {
            return Err(Unknown::Decoded);
        }
        let Some(captures) = self.regex.captures(text, from)? else {
            work.spend(self.weight.saturating_mul(ahead + 8))?;
            return Ok(None);
        };
        let groups: Groups =
            captures.iter().map(|group| group.map(|group| (group.start, group.end))).collect();
        let Some(Some((start, end))) = groups.first().copied() else { return Ok(None) };
        let looked = end.saturating_sub(from) + 8 + groups.len();
        work.spend(self.weight.saturating_mul(looked) + if self.unbounded { ahead } else { 0 })?;
        Ok(Some(self.longest(text, start, end, work)?.unwrap_or(groups)))
    }

    /// A longer match that starts at the same place, if there is one.
    fn longest(
        &self,
        text: &[u8],
        start: usize,
        end: usize,
        work: &mut Work,
    ) -> Result<Option<Groups>, Unknown> {
        let Some(whole) = &self.whole else { return Ok(None) };
        for longer in (end + 1..=text.len()).rev() {
            let Some(part) = text.get(start..longer) else { break };
            work.spend(self.weight.saturating_mul(part.len()))?;
            if let Some(captures) = whole.captures(part, 0)? {
                let group = |group: Span| (group.start + start, group.end + start);
                return Ok(Some(captures.iter().map(|found| found.map(group)).collect()));
            }
        }
        Ok(None)
    }
}

/// An expression on its way into the crate's syntax.
struct Translation<'a> {
    rest: std::str::Chars<'a>,
    syntax: Syntax,
    out: String,
    /// Where the last atom starts in `out`, if a repetition may follow, and its weight.
    atom: Option<(usize, usize)>,
    /// For every open group: where it starts in `out`, and the weight before it.
    groups: Vec<(usize, usize)>,
    /// Of the innermost group.
    weight: usize,
    ambiguous: bool,
    anchored: bool,
    unbounded: bool,
}

impl<'a> Translation<'a> {
    fn new(pattern: &'a str) -> Translation<'a> {
        Translation {
            rest: pattern.chars(),
            syntax: Syntax::Basic,
            out: String::new(),
            atom: None,
            groups: Vec::new(),
            weight: 1,
            ambiguous: false,
            anchored: false,
            unbounded: false,
        }
    }

    fn total(&self) -> usize {
        self.groups.iter().fold(self.weight, |sum, (_, weight)| sum.saturating_add(*weight))
    }

    fn basic(&self) -> bool {
        self.syntax == Syntax::Basic
    }

    /// At the start of the expression, of a group or of an alternative.
    fn at_start(&self) -> bool {
        self.out.is_empty() || self.out.ends_with(r"\A") || self.atom.is_none()
    }

    fn run(&mut self) -> Result<(), Unknown> {
        while let Some(character) = self.rest.next() {
            match character {
                '\\' => self.escape()?,
                '[' => self.bracket()?,
                '.' => self.atom("."),
                '*' if self.atom.is_some() => self.repeat(0, None)?,
                '+' | '?' if !self.basic() && self.atom.is_some() => {
                    self.plus_or_optional(character)?;
                }
                '^' if !self.basic() || self.out.is_empty() || self.opens() => self.anchor(r"\A"),
                '$' if !self.basic() || self.closes() => self.anchor(r"\z"),
                '(' if !self.basic() => self.open()?,
                ')' if !self.basic() && !self.groups.is_empty() => self.close(),
                '|' if !self.basic() => self.alternative(),
                '{' if !self.basic() && self.atom.is_some() => {
                    let before = self.rest.clone();
                    match self.interval("}")? {
                        Some((least, most)) => self.repeat(least, most)?,
                        None => {
                            self.rest = before;
                            self.literal('{');
                        }
                    }
                }
                other => self.literal(other),
            }
        }
        if self.groups.is_empty() { Ok(()) } else { Err(Unknown::Decoded) }
    }

    /// Right behind the start of a group or of an alternative.
    fn opens(&self) -> bool {
        self.atom.is_none() && (self.out.ends_with('(') || self.out.ends_with('|'))
    }

    /// Right before the end of the expression, a group or an alternative, in a basic one.
    fn closes(&self) -> bool {
        let rest = self.rest.as_str();
        rest.is_empty() || rest.starts_with(r"\)") || rest.starts_with(r"\|")
    }

    fn atom(&mut self, translated: &str) {
        self.atom = Some((self.out.len(), 1));
        self.weight = self.weight.saturating_add(1);
        self.out.push_str(translated);
    }

    fn literal(&mut self, character: char) {
        self.atom = Some((self.out.len(), 1));
        self.weight = self.weight.saturating_add(1);
        push_escaped(character, &mut self.out);
    }

    fn anchor(&mut self, translated: &str) {
        self.anchored = true;
        self.atom = None;
        self.out.push_str(translated);
    }

    fn open(&mut self) -> Result<(), Unknown> {
        if self.groups.len() >= NESTING_MAX as usize {
            return Err(Unknown::Decoded);
        }
        self.groups.push((self.out.len(), self.weight));
        self.weight = 1;
        self.out.push('(');
        self.atom = None;
        Ok(())
    }

    fn close(&mut self) {
        let Some((start, before)) = self.groups.pop() else { return };
        self.out.push(')');
        self.atom = Some((start, self.weight));
        self.weight = self.weight.saturating_add(before);
    }

    fn alternative(&mut self) {
        self.ambiguous = true;
        self.out.push('|');
        self.atom = None;
    }

    fn plus_or_optional(&mut self, sign: char) -> Result<(), Unknown> {
        if sign == '+' { self.repeat(1, None) } else { self.repeat(0, Some(1)) }
    }

    fn repeat(&mut self, least: usize, most: Option<usize>) -> Result<(), Unknown> {
        let Some((start, weight)) = self.atom else { return Ok(()) };
        let times = most.unwrap_or(least + 1).max(1);
        if least > REPEAT_MAX || times > REPEAT_MAX {
            return Err(Unknown::Decoded);
        }
        let more = weight.saturating_mul(times - 1);
        self.weight = self.weight.saturating_add(more);
        self.ambiguous |= self.out.get(start..).is_some_and(|atom| atom.starts_with('('));
        self.unbounded |= most.is_none();
        match (least, most) {
            (0, None) => self.out.push('*'),
            (1, None) => self.out.push('+'),
            (0, Some(1)) => self.out.push('?'),
            (least, None) => self.out.push_str(&format!("{{{least},}}")),
            (least, Some(most)) => self.out.push_str(&format!("{{{least},{most}}}")),
        }
        // A group of its own, so that a `?` behind it does not make it lazy.
        self.out.insert_str(start, "(?:");
        self.out.push(')');
        self.atom = Some((start, weight.saturating_add(more)));
        Ok(())
    }

    /// `1`, `1,`, `,2` or `1,2` up to the end of the interval.
    fn interval(&mut self, end: &str) -> Result<Option<(usize, Option<usize>)>, Unknown> {
        let rest = self.rest.as_str();
        let Some(at) = rest.find(end) else { return Ok(None) };
        let Some(inside) = rest.get(..at) else { return Ok(None) };
        let number = |digits: &str| digits.parse::<usize>().ok();
        let parsed = match inside.split_once(',') {
            None => number(inside).map(|count| (count, Some(count))),
            Some(("", "")) => Some((0, None)),
            Some((least, "")) => number(least).map(|least| (least, None)),
            Some(("", most)) => number(most).map(|most| (0, Some(most))),
            Some((least, most)) => number(least).zip(number(most).map(Some)),
        };
        if parsed.is_some() {
            self.rest = rest.get(at + end.len()..).unwrap_or_default().chars();
        }
        match parsed {
            Some((least, Some(most))) if least > most => Err(Unknown::Decoded),
            parsed => Ok(parsed),
        }
    }

    fn escape(&mut self) -> Result<(), Unknown> {
        let basic = self.basic();
        let Some(character) = self.rest.next() else {
            self.literal('\\');
            return Ok(());
        };
        match character {
            '(' if basic => self.open()?,
            ')' if basic => {
                if self.groups.is_empty() {
                    return Err(Unknown::Decoded);
                }
                self.close();
            }
            '|' if basic => self.alternative(),
            '+' | '?' if basic && !self.at_start() => self.plus_or_optional(character)?,
            '{' if basic => match self.interval(r"\}")? {
                Some((least, most)) => self.repeat(least, most)?,
                None => return Err(Unknown::Decoded),
            },
            '1'..='9' => return Err(Unknown::Decoded),
            'n' => self.literal('\n'),
            't' => self.literal('\t'),
            'f' => self.literal('\u{c}'),
            'v' => self.literal('\u{b}'),
            'r' => self.literal('\r'),
            'a' => self.literal('\u{7}'),
            'w' => self.atom("[0-9A-Za-z_]"),
            'W' => self.atom("[^0-9A-Za-z_]"),
            's' => self.atom(r"[ \t\n\r\x0b\x0c]"),
            'S' => self.atom(r"[^ \t\n\r\x0b\x0c]"),
            'b' => self.anchor(r"(?-u:\b)"),
            'y' if self.syntax == Syntax::Awk => self.anchor(r"(?-u:\b)"),
            'B' => self.anchor(r"(?-u:\B)"),
            '<' => self.anchor(r"(?-u:\b{start})"),
            '>' => self.anchor(r"(?-u:\b{end})"),
            '`' => self.anchor(r"\A"),
            '\'' => self.anchor(r"\z"),
            'x' => self.code(16, 2)?,
            'o' => self.code(8, 3)?,
            'd' if self.syntax != Syntax::Awk => self.code(10, 3)?,
            other => self.literal(other),
        }
        Ok(())
    }

    /// `\x2f`: the character itself, even where it would be special.
    fn code(&mut self, radix: u32, most: usize) -> Result<(), Unknown> {
        let digits: String =
            self.rest.clone().take(most).take_while(|digit| digit.is_digit(radix)).collect();
        let value = u32::from_str_radix(&digits, radix).map_err(|_| Unknown::Decoded)?;
        let character = u8::try_from(value).ok().filter(u8::is_ascii).ok_or(Unknown::Decoded)?;
        self.rest = self.rest.as_str().get(digits.len()..).unwrap_or_default().chars();
        self.literal(char::from(character));
        Ok(())
    }

    fn bracket(&mut self) -> Result<(), Unknown> {
        let start = self.out.len();
        self.out.push('[');
        if self.rest.as_str().starts_with('^') {
            self.rest.next();
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let character = self.rest.next().ok_or(Unknown::Decoded)?;
            match character {
                ']' if !first => break,
                '[' if self.rest.as_str().starts_with(':') => {
                    let rest = self.rest.as_str();
                    let end = rest.find(":]").ok_or(Unknown::Decoded)?;
                    let name = rest.get(1..end).unwrap_or_default();
                    class_test(name.as_bytes()).ok_or(Unknown::Decoded)?;
                    self.out.push_str(&format!("[:{name}:]"));
                    self.rest = rest.get(end + 2..).unwrap_or_default().chars();
                }
                _ => {
                    let from = self.bracket_character(character)?;
                    let rest = self.rest.as_str();
                    push_escaped(from, &mut self.out);
                    if rest.starts_with('-') && !rest.starts_with("-]") {
                        self.rest.next();
                        let to = self.rest.next().ok_or(Unknown::Decoded)?;
                        let to = self.bracket_character(to)?;
                        self.out.push('-');
                        push_escaped(to, &mut self.out);
                    }
                }
            }
            first = false;
        }
        self.out.push(']');
        self.atom = Some((start, 1));
        self.weight = self.weight.saturating_add(1);
        Ok(())
    }

    /// One character of a bracket expression, `[.x.]` and `[=x=]` among them.
    fn bracket_character(&mut self, character: char) -> Result<char, Unknown> {
        let rest = self.rest.as_str();
        if character == '[' && (rest.starts_with('.') || rest.starts_with('=')) {
            let mut inside = rest.chars().skip(1);
            let member = inside.next().ok_or(Unknown::Decoded)?;
            let taken = 1 + member.len_utf8() + 2;
            self.rest = rest.get(taken..).ok_or(Unknown::Decoded)?.chars();
            return Ok(member);
        }
        if character != '\\' {
            return Ok(character);
        }
        let escaped = match rest.chars().next() {
            Some('n') => '\n',
            Some('t') => '\t',
            Some(other) if self.syntax == Syntax::Awk => other,
            _ => return Ok('\\'),
        };
        self.rest.next();
        Ok(escaped)
    }

    /// As it is, since the crate's syntax is Perl's. Counted repetitions make it heavy.
    fn perl(&mut self, pattern: &str) -> Result<(), Unknown> {
        let mut weight = pattern.len();
        for (at, _) in pattern.match_indices('{') {
            let digits = pattern.get(at + 1..).unwrap_or_default();
            let largest = digits
                .split('}')
                .next()
                .unwrap_or_default()
                .split(',')
                .filter_map(|number| number.parse::<usize>().ok())
                .max();
            weight = weight.saturating_mul(largest.unwrap_or(1).max(1));
            if weight > WEIGHT_MAX {
                return Err(Unknown::Decoded);
            }
        }
        self.weight = weight;
        self.unbounded = true;
        self.out.push_str(pattern);
        Ok(())
    }
}

fn push_escaped(character: char, out: &mut String) {
    if character.is_ascii_punctuation() && !matches!(character, '<' | '>') {
        out.push('\\');
    }
    out.push(character);
}
