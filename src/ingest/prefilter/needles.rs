//! The search for what lets a record through at once: needles, and escapes that may spell one.
//!
//! Owns how they are looked for: all at once, many bytes at a time where the processor can.

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, Input, Match, MatchKind, Span, packed};

#[derive(Debug, Clone)]
pub(super) enum Needles {
    /// The last one is [`ESCAPE`].
    Some(Search),
    /// The search could not be built: every record passes.
    Unknown,
}

/// What begins the escape of a character below U+0100.
const ESCAPE: &str = "\\u00";

impl Needles {
    pub fn of(mut needles: Vec<String>) -> Needles {
        needles.sort_unstable();
        needles.dedup();
        needles.push(ESCAPE.to_owned());
        Search::of(&needles).map_or(Needles::Unknown, Needles::Some)
    }

    /// Whether the record holds one of them, or an escape that may spell one, or it is not known
    /// what would have to be held.
    pub fn are_in(&self, record: &[u8]) -> bool {
        let Needles::Some(search) = self else { return true };
        let mut at = 0;
        while let Some(found) = search.find(record, at) {
            if found.pattern().as_usize() + 1 < search.count()
                || is_telling(record.get(found.end()..))
            {
                return true;
            }
            // A needle may begin within an escape whose backslash is itself escaped.
            at = found.start() + 1;
        }
        false
    }
}

/// Texts that are looked for all at once.
#[derive(Debug, Clone)]
pub(super) enum Search {
    /// By packed comparisons, many bytes at a time; so many texts. It is asked without an automaton around
    /// it, since a search begins anew behind each escape.
    Packed(packed::Searcher, usize),
    /// Of more texts than it takes, or where the processor has no such comparisons.
    Automaton(AhoCorasick),
}

impl Search {
    fn of(texts: &[String]) -> Option<Search> {
        if let Some(packed) = packed::Builder::new().extend(texts).build() {
            return Some(Search::Packed(packed, texts.len()));
        }
        let built = AhoCorasickBuilder::new().match_kind(MatchKind::LeftmostFirst).build(texts);
        built.ok().map(Search::Automaton)
    }

    fn count(&self) -> usize {
        match self {
            Search::Packed(_, count) => *count,
            Search::Automaton(automaton) => automaton.patterns_len(),
        }
    }

    /// The first of them from this place on.
    fn find(&self, text: &[u8], from: usize) -> Option<Match> {
        match self {
            Search::Packed(packed, _) => packed.find_in(text, Span::from(from..text.len())),
            Search::Automaton(automaton) => automaton.find(Input::new(text).range(from..)),
        }
    }
}

/// Whether the escape with these digits stands for a character that words, their leads or escapes are
/// made of. Whether its backslash is itself escaped does not matter: in JSON within JSON it is.
fn is_telling(digits: Option<&[u8]>) -> bool {
    let digits = digits.and_then(|digits| std::str::from_utf8(digits.get(..2)?).ok());
    // What is no escape of two digits is for the reader to judge.
    digits
        .and_then(|digits| u8::from_str_radix(digits, 16).ok())
        .is_none_or(|byte| byte.is_ascii_alphanumeric() || b"\"\\/.-_".contains(&byte))
}

#[cfg(test)]
#[path = "needles_tests.rs"]
mod tests;
