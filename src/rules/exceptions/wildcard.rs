//! Texts with wildcards: `*` stands for any characters, also none, `?` for one character, and a
//! backslash before either, or before another backslash, makes it a plain character.
//!
//! Compared whole and case-sensitively. A text is read once from the left: each piece between two
//! stars is looked for where the one before ended, and the first place is as good as any other.

use std::fmt;

use memchr::memmem::Finder;

/// Most characters between two stars if a question mark is among them: each is a bit of a word.
const PIECE_WITH_ANY_MAX_CHARS: usize = 64;

/// What a text has to be like.
#[derive(Debug, Clone)]
pub struct Wildcard {
    /// As it was written.
    text: String,
    /// What stands before the first star; the whole if there is none.
    first: Piece,
    /// What stands between the stars, and after the last one; `None` without a star.
    rest: Option<(Vec<Piece>, Piece)>,
}

/// Characters that stand side by side.
#[derive(Debug, Clone)]
enum Piece {
    Plain(Box<Finder<'static>>),
    /// `None` is any character.
    WithAny(Vec<Option<char>>),
}

impl Wildcard {
    /// # Errors
    /// Says what is wrong, for a message that begins with the name of the key.
    pub fn parse(text: &str) -> Result<Wildcard, String> {
        let mut pieces = vec![Vec::new()];
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            let piece = match c {
                '*' => {
                    pieces.push(Vec::new());
                    continue;
                }
                '?' => None,
                '\\' => match chars.next() {
                    Some(c @ ('*' | '?' | '\\')) => Some(c),
                    _ => {
                        let problem = "holds a backslash that stands before no `*`, `?` or `\\`: \
                                       a backslash itself is written `\\\\`";
                        return Err(problem.to_owned());
                    }
                },
                c => Some(c),
            };
            if let Some(last) = pieces.last_mut() {
                last.push(piece);
            }
        }
        let stars = pieces.len() - 1;
        let mut pieces = pieces.into_iter().map(Piece::new);
        let first = pieces.next().unwrap_or_else(Piece::empty);
        let mut rest: Vec<Piece> = pieces.collect();
        let last = rest.pop().unwrap_or_else(Piece::empty);
        if rest.iter().any(Piece::is_too_long) {
            return Err(format!(
                "has more than {PIECE_WITH_ANY_MAX_CHARS} characters between two `*` with a `?` \
                 among them"
            ));
        }
        // Stars side by side are one.
        rest.retain(|piece| !piece.is_empty());
        let rest = (stars > 0).then_some((rest, last));
        Ok(Wildcard { text: text.to_owned(), first, rest })
    }

    /// The pattern that is like this text and no other, as it is written.
    pub fn literal(text: &str) -> String {
        let mut escaped = String::with_capacity(text.len());
        for c in text.chars() {
            if matches!(c, '*' | '?' | '\\') {
                escaped.push('\\');
            }
            escaped.push(c);
        }
        escaped
    }

    /// Whether every text is like it.
    pub fn is_any(&self) -> bool {
        let star = |(middle, last): &(Vec<Piece>, Piece)| middle.is_empty() && last.is_empty();
        self.first.is_empty() && self.rest.as_ref().is_some_and(star)
    }

    /// Linear in the text.
    pub fn matches(&self, text: &str) -> bool {
        let Some(after) = self.first.strip_prefix(text) else { return false };
        let Some((middle, last)) = &self.rest else { return after.is_empty() };
        let Some(mut between) = last.strip_suffix(after) else { return false };
        for piece in middle {
            let Some(end) = piece.find_end(between) else { return false };
            between = &between[end..];
        }
        true
    }
}

impl PartialEq for Wildcard {
    fn eq(&self, other: &Wildcard) -> bool {
        self.text == other.text
    }
}

/// As it was written.
impl fmt::Display for Wildcard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Piece {
    fn new(chars: Vec<Option<char>>) -> Piece {
        match chars.iter().copied().collect::<Option<String>>() {
            Some(text) => Piece::Plain(Box::new(Finder::new(text.as_bytes()).into_owned())),
            None => Piece::WithAny(chars),
        }
    }

    fn is_too_long(&self) -> bool {
        matches!(self, Piece::WithAny(chars) if chars.len() > PIECE_WITH_ANY_MAX_CHARS)
    }

    fn empty() -> Piece {
        Piece::WithAny(Vec::new())
    }

    fn is_empty(&self) -> bool {
        match self {
            Piece::Plain(finder) => finder.needle().is_empty(),
            Piece::WithAny(chars) => chars.is_empty(),
        }
    }

    /// What follows the piece at the start of the text.
    fn strip_prefix<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            // Of whole characters, so what is left begins with one.
            Piece::Plain(finder) => {
                text.as_bytes().strip_prefix(finder.needle())?;
                text.get(finder.needle().len()..)
            }
            Piece::WithAny(chars) => {
                let mut rest = text.chars();
                for wanted in chars {
                    let found = rest.next()?;
                    if wanted.is_some_and(|wanted| wanted != found) {
                        return None;
                    }
                }
                Some(rest.as_str())
            }
        }
    }

    /// What stands before the piece at the end of the text.
    fn strip_suffix<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Piece::Plain(finder) => {
                let before = text.as_bytes().strip_suffix(finder.needle())?;
                text.get(..before.len())
            }
            Piece::WithAny(chars) => {
                let mut rest = text.chars();
                for wanted in chars.iter().rev() {
                    let found = rest.next_back()?;
                    if wanted.is_some_and(|wanted| wanted != found) {
                        return None;
                    }
                }
                Some(rest.as_str())
            }
        }
    }

    /// Where the first place ends at which the text holds the piece.
    fn find_end(&self, text: &str) -> Option<usize> {
        match self {
            Piece::Plain(finder) => {
                finder.find(text.as_bytes()).map(|at| at + finder.needle().len())
            }
            Piece::WithAny(chars) => find_end(chars, text),
        }
    }
}

/// Bit `n` of the state says that the first `n + 1` characters of the piece end where the reading
/// is: every character of the text is looked at once, whatever the piece.
fn find_end(piece: &[Option<char>], text: &str) -> Option<usize> {
    let Some(last) = piece.len().checked_sub(1) else { return Some(0) };
    let bits = |wanted: Option<char>| {
        let at = piece.iter().enumerate().filter(move |(_, c)| **c == wanted);
        at.fold(0u64, |bits, (at, _)| bits | 1 << at)
    };
    let any = bits(None);
    let mut by_char: Vec<(char, u64)> = Vec::with_capacity(piece.len());
    for c in piece.iter().flatten() {
        if !by_char.iter().any(|(known, _)| known == c) {
            by_char.push((*c, bits(Some(*c))));
        }
    }
    by_char.sort_unstable();
    let mut state = 0u64;
    for (at, c) in text.char_indices() {
        let same = by_char.binary_search_by_key(&c, |(known, _)| *known);
        let accepted = any | same.map_or(0, |nth| by_char[nth].1);
        state = (state << 1 | 1) & accepted;
        if state >> last & 1 == 1 {
            return Some(at + c.len_utf8());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(pattern: &str, like: &[&str], unlike: &[&str]) {
        let wildcard = Wildcard::parse(pattern).unwrap();
        assert_eq!(wildcard.to_string(), pattern);
        for text in like {
            assert!(wildcard.matches(text), "{pattern:?} is like {text:?}");
        }
        for text in unlike {
            assert!(!wildcard.matches(text), "{pattern:?} is not like {text:?}");
        }
    }

    #[test]
    fn stars_and_question_marks_are_wildcards_and_nothing_else_is() {
        check("a", &["a"], &["", "A", "aa", "ba", "ab"]);
        check("", &[""], &["a"]);
        check("*", &["", "a", "a\nb"], &[]);
        check("a*", &["a", "ab", "a\n"], &["", "ba"]);
        check("*a", &["a", "ba"], &["", "ab"]);
        check("a*a", &["aa", "aba", "aaa"], &["a", "ab"]);
        check("a*b*c", &["abc", "axxbyyc", "abbc"], &["acb", "ab", "bc", "abcx"]);
        check("?", &["a", "ü", "*", "\n"], &["", "ab"]);
        check("a?c", &["abc", "a?c", "aüc"], &["ac", "abbc"]);
        check("*a?c*", &["abc", "xaacx", "xxabcabc"], &["ac", "aabx", "acb"]);
        check("??*", &["ab", "abc", "üü"], &["a", ""]);
        check("*??", &["ab", "cab", "üü"], &["a", ""]);
        check("?*?", &["ab", "axb"], &["a"]);
        check(r"\*\?\\", &[r"*?\"], &["a", "*?"]);
        check(r"a\**", &["a*", "a*b"], &["ab"]);
        check("[a-c]{b}.+", &["[a-c]{b}.+"], &["ab"]);
        check(
            "system:serviceaccount:vault:*",
            &["system:serviceaccount:vault:agent"],
            &["system:serviceaccount:vaults:agent", "xsystem:serviceaccount:vault:agent"],
        );
    }

    #[test]
    fn what_is_no_pattern_is_told() {
        for wrong in [r"a\b", r"a\", r"DOMAIN\user"] {
            assert!(Wildcard::parse(wrong).unwrap_err().contains("backslash"), "{wrong}");
        }
        assert!(Wildcard::parse(&format!("*{}?*", "a".repeat(64))).is_err());
        assert!(Wildcard::parse(&format!("*{}?*", "a".repeat(63))).is_ok());
        for long in ["a".repeat(10_000), format!("?{}*", "a".repeat(10_000))] {
            assert!(Wildcard::parse(&long).is_ok());
        }
    }

    #[test]
    fn what_is_like_everything_is_known() {
        for (pattern, any) in
            [("*", true), ("**", true), ("", false), ("?*", false), ("*a", false), (r"\*", false)]
        {
            assert_eq!(Wildcard::parse(pattern).unwrap().is_any(), any, "{pattern}");
        }
    }

    /// What the words of the module's header say, without a thought for the time it takes.
    fn oracle(pattern: &[char], text: &[char]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['*', rest @ ..] => (0..=text.len()).any(|at| oracle(rest, &text[at..])),
            ['?', rest @ ..] => !text.is_empty() && oracle(rest, &text[1..]),
            ['\\', c, rest @ ..] | [c, rest @ ..] => {
                text.first() == Some(c) && oracle(rest, &text[1..])
            }
        }
    }

    proptest! {
        #[test]
        fn equals_the_plain_reading(pattern in r"([ab?*]|\\\*){0,8}", text in "[abü*]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<char>>();
            let expected = oracle(&chars(&pattern), &chars(&text));
            prop_assert_eq!(Wildcard::parse(&pattern).unwrap().matches(&text), expected);
        }

        #[test]
        fn a_literal_is_like_its_text_alone(text in any::<String>(), other in any::<String>()) {
            let wildcard = Wildcard::parse(&Wildcard::literal(&text)).unwrap();
            prop_assert!(wildcard.matches(&text));
            prop_assert_eq!(wildcard.matches(&other), text == other);
        }
    }
}
