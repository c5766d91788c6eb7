//! Brace expansion: one word as written becomes several, `{a,b}`, `{1..9}`.
//!
//! Owns the rewriting of a word's parts alone; nothing is evaluated here. Only unquoted characters
//! take part, everything else is carried along as it is. Source of the rules: the manual of GNU
//! bash 5, and what it does with braces that are not closed or hold no comma.

use std::borrow::Cow;

use super::Shell;
use crate::audit::shell::ast::{Part, Word};

/// Most words that one word may become.
const WORDS_MAX: usize = 4_096;
/// Deepest nesting of expansions; braces that expand to nothing do not count.
const DEPTH_MAX: usize = 64;

/// A part of a word after brace expansion. Literals beside each other are one.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece<'w> {
    Literal(Cow<'w, str>),
    Part(&'w Part),
}

pub(super) type Pieces<'w> = Vec<Piece<'w>>;

/// What a word becomes.
pub(super) struct Expanded<'w> {
    pub words: Vec<Pieces<'w>>,
    /// There was something to expand.
    pub changed: bool,
    /// A bound was met: words are missing.
    pub incomplete: bool,
}

/// Whether braces that have a meaning may stand there.
pub(super) fn may_expand(part: &Part) -> bool {
    matches!(part, Part::Literal(text) if text.contains('{'))
}

/// Whether the parts are the word's pieces as they are.
pub(super) fn are_pieces(parts: &[Part]) -> bool {
    let literal = |part: &Part| matches!(part, Part::Literal(_));
    !parts.windows(2).any(|pair| pair.iter().all(literal))
}

/// The pieces of a word whose braces are plain characters.
pub(super) fn pieces(parts: &[Part]) -> Pieces<'_> {
    let mut out = Pieces::new();
    for part in parts {
        match part {
            Part::Literal(text) => push_text(&mut out, text),
            part => out.push(Piece::Part(part)),
        }
    }
    out
}

/// The words that `word` becomes, at least one.
pub(super) fn expand<'w>(word: &'w Word, shell: &mut dyn Shell) -> Expanded<'w> {
    let braced = word.parts.iter().any(may_expand);
    let mut incomplete = false;
    if braced {
        let mut reader = Reader::default();
        for part in &word.parts {
            match part {
                Part::Literal(text) => reader.literal(text),
                part => reader.part(part),
            }
        }
        incomplete = reader.too_deep;
        if reader.changed {
            let words = product(&reader.nodes, shell, &mut incomplete);
            return Expanded { words, changed: true, incomplete };
        }
    }
    Expanded { words: vec![pieces(&word.parts)], changed: false, incomplete }
}

enum Node<'w> {
    Text(&'w str),
    Part(&'w Part),
    Alternatives { items: Vec<Vec<Node<'w>>>, depth: usize },
    Sequence(Sequence),
}

impl Node<'_> {
    fn depth(&self) -> usize {
        match self {
            Node::Alternatives { depth, .. } => *depth,
            _ => 0,
        }
    }
}

/// A brace that is open. All nodes stand in one list, so that a brace that turns out to be a plain
/// character costs nothing: its nodes stay where they are.
struct Open {
    /// Place of the `{` among the nodes.
    at: usize,
    /// Places of the commas that belong to this brace.
    commas: Vec<usize>,
    dots: bool,
    /// A comma stands somewhere within, in quotes or in another brace.
    nested: bool,
}

#[derive(Default)]
struct Reader<'w> {
    nodes: Vec<Node<'w>>,
    open: Vec<Open>,
    changed: bool,
    too_deep: bool,
}

impl<'w> Reader<'w> {
    fn literal(&mut self, text: &'w str) {
        let mut from = 0;
        for (at, byte) in text.bytes().enumerate() {
            if !matches!(byte, b'{' | b'}' | b',') {
                continue;
            }
            self.run(text, from, at);
            from = at + 1;
            let slice = text.get(at..from).unwrap_or_default();
            match byte {
                // `{}` at the start of a word is what `find -exec` is given. What stands behind an
                // expansion is read as a word of its own.
                b'{' if self.starts() && text.as_bytes().get(from) == Some(&b'}') => {
                    self.nodes.push(Node::Text(slice));
                }
                b'{' => {
                    let at = self.nodes.len();
                    self.open.push(Open { at, commas: Vec::new(), dots: false, nested: false });
                    self.nodes.push(Node::Text(slice));
                }
                b',' => {
                    if let Some(open) = self.open.last_mut() {
                        open.commas.push(self.nodes.len());
                    }
                    self.nodes.push(Node::Text(slice));
                }
                _ => self.close(slice),
            }
        }
        self.run(text, from, text.len());
    }

    fn starts(&self) -> bool {
        self.open.is_empty()
            && matches!(
                self.nodes.last(),
                None | Some(Node::Alternatives { .. } | Node::Sequence(_))
            )
    }

    /// Characters between braces and commas.
    fn run(&mut self, text: &'w str, start: usize, end: usize) {
        let Some(slice) = text.get(start..end).filter(|slice| !slice.is_empty()) else { return };
        if let Some(open) = self.open.last_mut() {
            let closed = text.as_bytes().get(end) == Some(&b'}');
            open.dots |= slice.find("..").is_some_and(|at| !closed || at + 2 < slice.len());
        }
        self.nodes.push(Node::Text(slice));
    }

    fn close(&mut self, brace: &'w str) {
        let outermost = self.open.len() == 1;
        let Some(open) = self.open.pop() else {
            self.nodes.push(Node::Text(brace));
            return;
        };
        if !open.commas.is_empty() || open.dots && open.nested {
            self.alternatives(open);
        } else if let Some(sequence) = self.sequence(&open) {
            self.nodes.truncate(open.at);
            self.nodes.push(Node::Sequence(sequence));
            self.expanded();
        } else {
            self.nodes.push(Node::Text(brace));
            if outermost && !open.dots {
                // `{a},b}` is `a}` and `b`: a brace is closed by the first `}` behind a comma.
                self.open.push(open);
            } else if open.nested {
                self.nest();
            }
        }
    }

    fn alternatives(&mut self, open: Open) {
        let depth = 1 + self.nodes.iter().skip(open.at).map(Node::depth).max().unwrap_or(0);
        if depth > DEPTH_MAX {
            self.too_deep = true;
            self.nodes.truncate(open.at);
            return;
        }
        let mut inner = self.nodes.drain(open.at..).enumerate();
        inner.next();
        let mut commas = open.commas.iter().map(|comma| comma - open.at).peekable();
        let mut items = Vec::with_capacity(open.commas.len() + 1);
        let mut item = Vec::new();
        for (at, node) in inner {
            if commas.next_if_eq(&at).is_some() {
                items.push(std::mem::take(&mut item));
            } else {
                item.push(node);
            }
        }
        items.push(item);
        self.nodes.push(Node::Alternatives { items, depth });
        self.expanded();
    }

    fn sequence(&self, open: &Open) -> Option<Sequence> {
        match self.nodes.get(open.at + 1..)? {
            [Node::Text(text)] => Sequence::read(text),
            _ => None,
        }
    }

    fn part(&mut self, part: &'w Part) {
        if matches!(part, Part::Quoted { text, .. } if text.contains(',')) {
            self.nest();
        }
        self.nodes.push(Node::Part(part));
    }

    fn expanded(&mut self) {
        self.changed = true;
        self.nest();
    }

    fn nest(&mut self) {
        if let Some(open) = self.open.last_mut() {
            open.nested = true;
        }
    }
}

/// `1..9`, `09..1..2`, `a..e`
struct Sequence {
    first: i64,
    count: usize,
    step: i64,
    /// Digits, with the sign, of numbers that are filled up with zeros; `None` for letters.
    width: Option<usize>,
}

impl Sequence {
    fn read(text: &str) -> Option<Sequence> {
        let mut ends = text.splitn(3, "..");
        let (first, last) = (ends.next()?, ends.next()?);
        let step = match ends.next() {
            Some(step) => integer(step)?.unsigned_abs(),
            None => 1,
        };
        let step = i64::try_from(step.max(1)).ok()?;
        let (first, last, width) = match (integer(first), integer(last)) {
            (Some(a), Some(b)) => {
                let filled = |text: &str| {
                    let digits = text.trim_start_matches(['-', '+']);
                    digits.len() > 1 && digits.starts_with('0')
                };
                let long = first.len().max(last.len());
                (a, b, Some(if filled(first) || filled(last) { long } else { 0 }))
            }
            (None, None) => (letter(first)?, letter(last)?, None),
            _ => return None,
        };
        let count = first.abs_diff(last) / step.unsigned_abs();
        let count = usize::try_from(count).unwrap_or(usize::MAX).saturating_add(1);
        Some(Sequence { first, count, step: if first <= last { step } else { -step }, width })
    }

    fn get(&self, at: usize) -> String {
        let offset = i64::try_from(at).unwrap_or(i64::MAX).wrapping_mul(self.step);
        let value = self.first.wrapping_add(offset);
        match self.width {
            Some(width) => format!("{value:0width$}"),
            None => u8::try_from(value).map(|b| char::from(b).to_string()).unwrap_or_default(),
        }
    }
}

/// Longer numbers would only be made to fill memory with zeros.
const DIGITS_MAX: usize = 20;

fn integer(text: &str) -> Option<i64> {
    if text.len() > DIGITS_MAX { None } else { text.parse().ok() }
}

fn letter(text: &str) -> Option<i64> {
    match text.as_bytes() {
        [byte] if byte.is_ascii_alphabetic() => Some(i64::from(*byte)),
        _ => None,
    }
}

fn push_text<'w>(word: &mut Pieces<'w>, text: &'w str) {
    match word.last_mut() {
        Some(Piece::Literal(last)) => last.to_mut().push_str(text),
        _ => word.push(Piece::Literal(Cow::Borrowed(text))),
    }
}

fn push_piece<'w>(word: &mut Pieces<'w>, piece: &Piece<'w>) {
    match (word.last_mut(), piece) {
        (Some(Piece::Literal(last)), Piece::Literal(text)) => last.to_mut().push_str(text),
        _ => word.push(piece.clone()),
    }
}

fn weight(word: &Pieces<'_>) -> usize {
    let texts = word.iter().map(|piece| match piece {
        Piece::Literal(text) => text.len(),
        Piece::Part(_) => 1,
    });
    1 + texts.sum::<usize>()
}

/// Every combination, the last node varying fastest. Recurses as deep as alternatives are nested.
fn product<'w>(
    nodes: &[Node<'w>],
    shell: &mut dyn Shell,
    incomplete: &mut bool,
) -> Vec<Pieces<'w>> {
    let mut words: Vec<Pieces<'w>> = vec![Pieces::new()];
    for node in nodes {
        let written = if let Node::Text(text) = node { text.len() } else { 0 };
        let affordable = shell.spend(words.len().saturating_mul(written + 1));
        if !affordable {
            *incomplete = true;
            words.truncate(1);
        }
        match node {
            Node::Text(text) => words.iter_mut().for_each(|word| push_text(word, text)),
            Node::Part(part) => words.iter_mut().for_each(|word| word.push(Piece::Part(part))),
            Node::Sequence(sequence) => {
                let shown = sequence.count.min(if affordable { WORDS_MAX } else { 1 });
                *incomplete |= shown < sequence.count;
                let ends = (0..shown)
                    .map(|at| vec![Piece::Literal(Cow::Owned(sequence.get(at)))])
                    .collect::<Vec<_>>();
                words = combine(words, &ends, shell, incomplete);
            }
            Node::Alternatives { items, .. } => {
                let mut ends = Vec::new();
                for item in items {
                    let room = WORDS_MAX.saturating_sub(ends.len());
                    let more = product(item, shell, incomplete);
                    *incomplete |= more.len() > room;
                    ends.extend(more.into_iter().take(room));
                    if room == 0 {
                        break;
                    }
                }
                words = combine(words, &ends, shell, incomplete);
            }
        }
    }
    words
}

fn combine<'w>(
    starts: Vec<Pieces<'w>>,
    ends: &[Pieces<'w>],
    shell: &mut dyn Shell,
    incomplete: &mut bool,
) -> Vec<Pieces<'w>> {
    let mut out = Vec::with_capacity(starts.len().saturating_mul(ends.len()).min(WORDS_MAX));
    let count = starts.len();
    for (nth, mut start) in starts.into_iter().enumerate() {
        for (at, end) in ends.iter().enumerate() {
            // What a word weighs is counted only while there is something to pay with.
            let full = out.len() >= WORDS_MAX
                || !shell.spend(0)
                || !shell.spend(weight(&start) + weight(end));
            if full && !out.is_empty() {
                *incomplete = true;
                return out;
            }
            // Where no more words are made the last one grows in its place.
            let mut word = if full || at + 1 == ends.len() {
                std::mem::take(&mut start)
            } else {
                start.clone()
            };
            end.iter().for_each(|piece| push_piece(&mut word, piece));
            out.push(word);
            if full {
                *incomplete |= at + 1 < ends.len() || nth + 1 < count;
                return out;
            }
        }
    }
    out
}
