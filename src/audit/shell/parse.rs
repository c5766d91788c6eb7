//! The parser: from the source of a script to its tree.
//!
//! Owns the entry, the bounds, and lists and pipelines. Below it: `simple` and `compound`
//! (commands), `redirect` and `document` (redirections and here-documents), `word`, `parameter`
//! and `ansi` (what words are made of), `scan` (looking ahead) and `cursor` (characters and line
//! continuations).
//!
//! Reads the superset of POSIX sh (dash), bash 5 and busybox's ash. Never fails: what is out of
//! place is left out, and parsing goes on behind it. Must not expand or judge anything.
//!
//! Time is linear: nothing is parsed twice by the same reading, nesting is bounded, and looking
//! ahead and copying take from an allowance that is a multiple of the source's size.

mod ansi;
mod compound;
mod cursor;
mod document;
mod parameter;
mod redirect;
mod scan;
mod simple;
mod word;

use smallvec::{SmallVec, smallvec};

use self::cursor::Cursor;
use self::document::{Pending, fill_parts, fill_script};
use self::word::Close;
use super::ast::{Connector, Item, Node, Part, Redirect, RedirectKind, Script, Span, Word};
use super::reading::HiddenWhy;

/// Deepest nesting of commands, substitutions and expansions within each other.
const NESTING_MAX: usize = 64;
/// Most commands, words and parts of words in a tree.
const NODES_MAX: usize = 200_000;
/// What looking ahead and copying may cost in bytes: a part that every source has, and one for
/// each of its bytes.
const SCAN_BASE_BYTES: usize = 64 * 1024;
const SCAN_PER_BYTE: usize = 8;

/// The tree of a script.
///
/// Where a shell without bash's constructs would read other commands (`[[ a || b c ]]`, `((a))`),
/// the reading of such a shell is the first item, as a subshell: it shares nothing with the other.
pub fn parse(source: &str) -> Script {
    parse_within_bounds(source).0
}

/// The same, with the bound that an incomplete tree has met.
pub fn parse_within_bounds(source: &str) -> (Script, HiddenWhy) {
    let mut state = State::new(source.len(), Dialect::Bash);
    let mut script = Parser::new(source, &mut state, None).script();
    let mut too_much = state.too_much();
    if state.differs {
        let mut state = State::new(source.len(), Dialect::Posix);
        let other = Parser::new(source, &mut state, None).script();
        too_much |= state.too_much();
        if other.items != script.items {
            script.incomplete |= other.incomplete;
            let node = Node::Subshell(other);
            script.items.insert(0, Item { connector: Connector::Then, node, background: false });
        }
    }
    (script, if too_much { HiddenWhy::Work } else { HiddenWhy::Depth })
}

/// A text whose expansions work as within double quotes, and whose double quotes are characters:
/// the body of a here-document, a prompt.
pub fn parse_document(body: &str) -> Vec<Part> {
    let mut state = State::new(body.len(), Dialect::Bash);
    Parser::new(body, &mut state, None).document()
}

/// What the constructs mean that only some shells have.
#[derive(Clone, Copy, PartialEq)]
enum Dialect {
    Bash,
    /// What dash and busybox's ash do: `((`, `[[`, `$'` and `$[` are not special; single quotes
    /// within `"${…}"` neither; substitutions in a here-document go on behind its delimiter; no
    /// here-document starts behind the newline after a `for` and its words, or behind a
    /// substitution.
    Posix,
}

/// What a parser shares with those for the texts inside its own.
struct State {
    depth: usize,
    nodes: usize,
    /// What is left for looking ahead and copying.
    allowance: usize,
    incomplete: bool,
    /// Too many nodes: every parser stops where it is.
    exhausted: bool,
    dialect: Dialect,
    /// The other dialect may read other commands.
    differs: bool,
    /// A substitution or an expansion was not closed.
    unclosed: bool,
}

impl State {
    fn new(bytes: usize, dialect: Dialect) -> State {
        State {
            depth: 0,
            nodes: 0,
            allowance: bytes.saturating_mul(SCAN_PER_BYTE).saturating_add(SCAN_BASE_BYTES),
            incomplete: false,
            exhausted: false,
            dialect,
            differs: false,
            unclosed: false,
        }
    }

    /// Whether there were too many parts, or too much to look ahead at.
    fn too_much(&self) -> bool {
        self.exhausted || self.allowance == 0
    }
}

/// What ends a list, as a set.
#[derive(Clone, Copy, PartialEq)]
struct Closers(u16);

impl Closers {
    const NONE: Closers = Closers(0);
    const PARENTHESIS: Closers = Closers(1);
    const BRACE: Closers = Closers(1 << 1);
    const THEN: Closers = Closers(1 << 2);
    const ELIF: Closers = Closers(1 << 3);
    const ELSE: Closers = Closers(1 << 4);
    const FI: Closers = Closers(1 << 5);
    const DO: Closers = Closers(1 << 6);
    const DONE: Closers = Closers(1 << 7);
    const ESAC: Closers = Closers(1 << 8);
    /// `;;`, `;&`, `;;&`
    const ARM: Closers = Closers(1 << 9);

    const fn or(self, other: Closers) -> Closers {
        Closers(self.0 | other.0)
    }

    const fn meets(self, other: Closers) -> bool {
        self.0 & other.0 != 0
    }
}

/// Words that are special where a command may start.
#[derive(Clone, Copy, PartialEq)]
enum Reserved {
    Not,
    Time,
    If,
    For,
    Select,
    While,
    Until,
    Case,
    In,
    Function,
    Coproc,
    OpenBrace,
    OpenTest,
    /// Ends a list.
    Closer(Closers),
}

const LONGEST_RESERVED: usize = 8;

/// A reserved word that is next, and where it ends.
type Ahead<'a> = (Reserved, Cursor<'a>);

fn reserved_word(word: &[u8], dialect: Dialect) -> Option<Reserved> {
    Some(match word {
        b"!" => Reserved::Not,
        b"time" => Reserved::Time,
        b"if" => Reserved::If,
        b"for" => Reserved::For,
        b"select" => Reserved::Select,
        b"while" => Reserved::While,
        b"until" => Reserved::Until,
        b"case" => Reserved::Case,
        b"in" => Reserved::In,
        b"function" => Reserved::Function,
        b"coproc" => Reserved::Coproc,
        b"{" => Reserved::OpenBrace,
        b"[[" if dialect == Dialect::Bash => Reserved::OpenTest,
        b"}" => Reserved::Closer(Closers::BRACE),
        b"then" => Reserved::Closer(Closers::THEN),
        b"elif" => Reserved::Closer(Closers::ELIF),
        b"else" => Reserved::Closer(Closers::ELSE),
        b"fi" => Reserved::Closer(Closers::FI),
        b"do" => Reserved::Closer(Closers::DO),
        b"done" => Reserved::Closer(Closers::DONE),
        b"esac" => Reserved::Closer(Closers::ESAC),
        _ => return None,
    })
}

const fn begins_reserved(byte: u8) -> bool {
    matches!(
        byte,
        b'!' | b'[' | b'c'..=b'f' | b'i' | b's'..=b'u' | b'w' | b'{' | b'}'
    )
}

/// Blanks, newlines and the characters of operators: what ends a word.
const fn ends_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')')
}

struct Parser<'a, 's> {
    cursor: Cursor<'a>,
    state: &'s mut State,
    /// The span of everything, when the text is not as it stands in the source.
    place: Option<Span>,
    /// What ends the lists around, outermost first, up to the nearest substitution.
    open: SmallVec<[Closers; 8]>,
    /// How many `$(` are open in this text.
    substitutions: usize,
    /// Here-documents whose bodies start after the next newline.
    pending: Vec<Pending>,
    /// Bodies of here-documents in the order of their operators; empty until they are read.
    bodies: Vec<Word>,
}

impl<'a, 's> Parser<'a, 's> {
    fn new(source: &'a str, state: &'s mut State, place: Option<Span>) -> Parser<'a, 's> {
        Parser {
            cursor: Cursor::new(source),
            state,
            place,
            open: SmallVec::new(),
            substitutions: 0,
            pending: Vec::new(),
            bodies: Vec::new(),
        }
    }

    fn script(mut self) -> Script {
        let mut script = self.list(Closers::NONE);
        self.read_documents();
        if !self.bodies.is_empty() {
            fill_script(&mut script, &mut self.bodies);
        }
        script.incomplete = self.state.incomplete;
        script
    }

    fn document(mut self) -> Vec<Part> {
        let mut parts = self.quoted(Close::End);
        self.read_documents();
        if !self.bodies.is_empty() {
            fill_parts(&mut parts, &mut self.bodies);
        }
        parts
    }

    /// A script whose text is not a part of this one as it stands.
    fn inner_script(&mut self, text: &str, span: Span) -> Script {
        if !self.enter() {
            return Script { items: Vec::new(), incomplete: true };
        }
        let around = std::mem::take(&mut self.state.incomplete);
        let script = Parser::new(text, self.state, Some(span)).script();
        self.state.incomplete |= around;
        self.leave();
        script
    }

    fn span_from(&self, start: usize) -> Span {
        self.place.unwrap_or(Span::new(start, self.cursor.at()))
    }

    /// Goes one level deeper, unless that is too deep.
    fn enter(&mut self) -> bool {
        if self.state.depth >= NESTING_MAX {
            self.state.incomplete = true;
            return false;
        }
        self.state.depth += 1;
        true
    }

    fn leave(&mut self) {
        self.state.depth -= 1;
        if self.state.exhausted {
            self.cursor.stop();
        }
    }

    fn count_node(&mut self) {
        self.state.nodes += 1;
        if self.state.nodes > NODES_MAX {
            self.state.incomplete = true;
            self.state.exhausted = true;
            self.cursor.stop();
        }
    }

    /// Whether anything is left for looking ahead.
    fn may_scan(&self) -> bool {
        self.state.allowance > 0
    }

    /// Takes from the allowance for looking ahead and copying.
    fn spend(&mut self, bytes: usize) -> bool {
        match self.state.allowance.checked_sub(bytes) {
            Some(left) => {
                self.state.allowance = left;
                true
            }
            None => {
                self.state.allowance = 0;
                self.state.incomplete = true;
                false
            }
        }
    }

    /// Parses the text up to `end` alone, and goes to `end`.
    fn up_to<T>(&mut self, end: usize, parse: impl FnOnce(&mut Self) -> T) -> T {
        let around = self.cursor.limit(end);
        let parsed = parse(self);
        self.cursor.go_to(end);
        self.cursor.limit(around);
        if self.state.exhausted {
            self.cursor.stop();
        }
        parsed
    }

    /// Blanks and comments. Only called where a word may start.
    #[inline]
    fn skip_blanks(&mut self) {
        loop {
            match self.cursor.peek() {
                Some(b' ' | b'\t') => self.cursor.bump(),
                Some(b'#') => self.cursor.skip_to_line_end(),
                _ => return,
            }
        }
    }

    /// Blanks, comments and newlines.
    fn skip_lines(&mut self) {
        self.skip_blanks();
        while self.cursor.peek() == Some(b'\n') {
            self.newline();
            self.skip_blanks();
        }
    }

    fn newline(&mut self) {
        self.cursor.bump();
        self.read_documents();
    }

    /// Blanks must have been skipped.
    fn reserved(&mut self) -> Option<Ahead<'a>> {
        let mut ahead = self.cursor;
        if !ahead.peek().is_some_and(begins_reserved) {
            return None;
        }
        // Mostly it stands there in one piece.
        let rest = ahead.rest().as_bytes();
        let rest = rest.get(..=LONGEST_RESERVED).unwrap_or(rest);
        let ends = |byte: &u8| ends_word(*byte) || *byte == b'\\';
        let length = rest.iter().position(ends).unwrap_or(rest.len());
        if rest.get(length) != Some(&b'\\') {
            let reserved = reserved_word(rest.get(..length)?, self.state.dialect)?;
            ahead.go_to(ahead.at() + length);
            return Some((reserved, ahead));
        }
        let mut word = [0; LONGEST_RESERVED];
        let mut length = 0;
        while let Some(byte) = ahead.peek().filter(|byte| !ends_word(*byte)) {
            *word.get_mut(length)? = byte;
            length += 1;
            ahead.bump();
        }
        let reserved = reserved_word(word.get(..length)?, self.state.dialect)?;
        Some((reserved, ahead))
    }

    fn eat_reserved(&mut self, wanted: Reserved) -> bool {
        self.skip_blanks();
        match self.reserved() {
            Some((found, after)) if found == wanted => {
                self.cursor = after;
                true
            }
            _ => false,
        }
    }

    fn eat_closer(&mut self, wanted: Closers) -> bool {
        self.eat_reserved(Reserved::Closer(wanted))
    }

    /// Whether a list within this one, or around it, waits for the closer.
    fn awaits(&self, closer: Closers) -> bool {
        self.open.iter().any(|open| open.meets(closer))
    }

    /// Commands up to a closer of `until`, which is not consumed, or to one of a list around.
    fn list(&mut self, until: Closers) -> Script {
        let around = std::mem::take(&mut self.state.incomplete);
        self.open.push(until);
        let mut items: Vec<Item> = Vec::new();
        let mut connector = Connector::Then;
        loop {
            self.skip_lines();
            let at = self.cursor.at();
            match self.cursor.peek() {
                None => break,
                Some(b';') => {
                    let ends_arm = matches!(self.cursor.second(), Some(b';' | b'&'));
                    if ends_arm && self.awaits(Closers::ARM) {
                        break;
                    }
                    self.cursor.bump();
                    connector = Connector::Then;
                    continue;
                }
                Some(b')') => {
                    if self.awaits(Closers::PARENTHESIS) {
                        break;
                    }
                    self.cursor.bump();
                    continue;
                }
                Some(b'&') if self.cursor.second() != Some(b'>') => {
                    self.cursor.bump();
                    continue;
                }
                Some(b'|') => {
                    self.cursor.bump();
                    continue;
                }
                _ => {}
            }
            let reserved = self.reserved();
            if let Some((Reserved::Closer(closer), after)) = reserved {
                if self.awaits(closer) {
                    break;
                }
                self.cursor = after;
                continue;
            }
            if let Some(node) = self.pipeline(reserved) {
                items.push(Item { connector, node, background: false });
                connector = self.connector(items.last_mut());
            } else if self.cursor.at() == at {
                // Nothing starts here: never stand still.
                self.cursor.take_char();
            }
        }
        self.open.pop();
        let incomplete = self.state.incomplete;
        self.state.incomplete |= around;
        Script { items, incomplete }
    }

    /// What follows a pipeline, up to the next one. A `;` is left for the list.
    fn connector(&mut self, item: Option<&mut Item>) -> Connector {
        self.skip_blanks();
        if self.cursor.eat("&&") {
            return Connector::And;
        }
        if self.cursor.eat("||") {
            return Connector::Or;
        }
        if self.cursor.peek() == Some(b'&') && self.cursor.second() != Some(b'>') {
            self.cursor.bump();
            if let Some(item) = item {
                item.background = true;
            }
        }
        Connector::Then
    }

    /// `reserved` is the reserved word that is next.
    fn pipeline(&mut self, reserved: Option<Ahead<'a>>) -> Option<Node> {
        let (mut negated, reserved) = self.pipeline_prefix(reserved);
        let first = self.command(reserved);
        self.skip_blanks();
        // Most are of one command.
        if !negated && self.cursor.peek() != Some(b'|') {
            return first;
        }
        let mut commands: Vec<Node> = Vec::new();
        commands.extend(first);
        loop {
            self.skip_blanks();
            if self.cursor.peek() != Some(b'|') || self.cursor.second() == Some(b'|') {
                break;
            }
            self.cursor.bump();
            if self.cursor.eat("&") {
                let last = commands.pop();
                commands.extend(last.map(with_errors_piped));
            }
            self.skip_lines();
            let reserved = self.reserved();
            let (again, reserved) = self.pipeline_prefix(reserved);
            negated ^= again;
            commands.extend(self.command(reserved));
        }
        if commands.len() > 1 || negated && !commands.is_empty() {
            return Some(Node::Pipeline { commands, negated });
        }
        commands.pop()
    }

    /// `!` and `time`; whether an odd number of `!` was there, and the reserved word behind them.
    fn pipeline_prefix(&mut self, next: Option<Ahead<'a>>) -> (bool, Option<Ahead<'a>>) {
        let mut negated = false;
        let mut reserved = next;
        loop {
            match reserved {
                Some((Reserved::Not, after)) => {
                    negated = !negated;
                    self.cursor = after;
                }
                Some((Reserved::Time, after)) => {
                    let before = std::mem::replace(&mut self.cursor, after);
                    self.skip_blanks();
                    while self.eat_word("-p") || self.eat_word("--") {
                        self.skip_blanks();
                    }
                    // With other options it is the program of that name.
                    if self.cursor.peek() == Some(b'-') {
                        self.cursor = before;
                        return (negated, reserved);
                    }
                }
                _ => return (negated, reserved),
            }
            self.skip_blanks();
            reserved = self.reserved();
        }
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let mut ahead = self.cursor;
        let found = ahead.eat(word) && ahead.peek().is_none_or(ends_word);
        if found {
            self.cursor = ahead;
        }
        found
    }
}

/// `|&` is `2>&1 |`.
fn with_errors_piped(node: Node) -> Node {
    let one = Word { parts: smallvec![Part::Literal("1".into())], span: Span::default() };
    let redirect =
        Redirect { descriptor: Some(2), kind: RedirectKind::DuplicateOutput, target: one };
    match node {
        Node::Simple(mut simple) => {
            simple.redirects.push(redirect);
            Node::Simple(simple)
        }
        node => Node::Redirected { node: Box::new(node), redirects: vec![redirect] },
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
