//! The characters of `[…]`, as ranges of code points.

/// Ascending ranges, both ends included, that neither touch nor overlap.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Class {
    ranges: Vec<(u32, u32)>,
}

const SLASH: u32 = '/' as u32;
const LAST: u32 = char::MAX as u32;

impl Class {
    /// A range whose ends are in the wrong order holds nothing.
    pub(super) fn new(mut ranges: Vec<(u32, u32)>, negated: bool) -> Class {
        ranges.retain(|(first, last)| first <= last);
        ranges.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => {
                    before.1 = before.1.max(last);
                }
                _ => merged.push((first, last)),
            }
        }
        Class { ranges: if negated { complement(&merged) } else { merged } }
    }

    pub(super) fn has(&self, character: char) -> bool {
        self.holds(character as u32)
    }

    fn holds(&self, code: u32) -> bool {
        let after = self.ranges.partition_point(|(first, _)| *first <= code);
        after.checked_sub(1).and_then(|at| self.ranges.get(at)).is_some_and(|r| code <= r.1)
    }

    /// How many characters there are in it.
    pub(super) fn size(&self) -> u32 {
        self.ranges.iter().map(|(first, last)| last - first + 1).fold(0, u32::saturating_add)
    }

    /// Whether it holds a character other than a slash, and than a dot where `no_dot` says so.
    pub(super) fn has_other(&self, no_dot: bool) -> bool {
        self.meets(&Class::everything(), no_dot)
    }

    fn everything() -> Class {
        Class { ranges: vec![(0, LAST)] }
    }

    /// Whether both hold a character that is no slash, nor a dot where `no_dot` says so.
    pub(super) fn meets(&self, other: &Class, no_dot: bool) -> bool {
        let (mut mine, mut others) =
            (self.ranges.iter().peekable(), other.ranges.iter().peekable());
        while let (Some(a), Some(b)) = (mine.peek(), others.peek()) {
            let (first, last) = (a.0.max(b.0), a.1.min(b.1));
            // The dot and the slash stand beside each other, so three characters are enough.
            let counts = |code: u32| code != SLASH && !(no_dot && code == SLASH - 1);
            if first <= last && (first..=last.min(first.saturating_add(2))).any(counts) {
                return true;
            }
            if a.1 < b.1 {
                mine.next();
            } else {
                others.next();
            }
        }
        false
    }
}

fn complement(ranges: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let (mut out, mut from) = (Vec::with_capacity(ranges.len() + 1), 0);
    for (first, last) in ranges {
        if from < *first {
            out.push((from, first - 1));
        }
        from = last.saturating_add(1);
    }
    if from <= LAST {
        out.push((from, LAST));
    }
    out
}

/// The ranges of `[:name:]` in the C locale; `None` when there is no class of that name.
pub(super) fn named(name: &str) -> Option<&'static [(char, char)]> {
    Some(match name {
        "alpha" => &[('A', 'Z'), ('a', 'z')],
        "digit" => &[('0', '9')],
        "alnum" => &[('0', '9'), ('A', 'Z'), ('a', 'z')],
        "word" => &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
        "upper" => &[('A', 'Z')],
        "lower" => &[('a', 'z')],
        "xdigit" => &[('0', '9'), ('A', 'F'), ('a', 'f')],
        "space" => &[('\t', '\r'), (' ', ' ')],
        "blank" => &[('\t', '\t'), (' ', ' ')],
        "punct" => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        "graph" => &[('!', '~')],
        "print" => &[(' ', '~')],
        "cntrl" => &[('\0', '\u{1f}'), ('\u{7f}', '\u{7f}')],
        "ascii" => &[('\0', '\u{7f}')],
        _ => return None,
    })
}
