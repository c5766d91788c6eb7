//! Compiled patterns: a list of them, and the mask of benign paths.
//!
//! Owns how text is searched. It is the only place that compiles regular expressions, always
//! within the bounds of `limits`; what the patterns mean is for the rules.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;
use regex::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

use crate::limits;

/// A pattern that cannot be used, and why.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    #[error("pattern `{name}` is not valid: {source}")]
    Syntax { name: String, source: Box<regex::Error> },
    #[error("pattern `{name}` matches the empty text, so it would match every command")]
    MatchesEverything { name: String },
    #[error("pattern `{name}` is longer than {} bytes", limits::PATTERN_MAX_BYTES)]
    TooLong { name: String },
    #[error("there are more than {} patterns", limits::RULE_PATTERNS_MAX)]
    TooMany,
    #[error("the patterns together are too large: {source}")]
    TooLarge { source: Box<regex::Error> },
}

/// Named patterns in the order of the rule.
///
/// One automaton over all of them answers whether any matches, in one pass; where the matches
/// are is asked only of those that do.
#[derive(Debug, Clone)]
pub struct PatternList {
    names: Vec<String>,
    set: RegexSet,
    regexes: Vec<Regex>,
}

impl PatternList {
    /// Compiles `(name, pattern)` pairs: case-sensitive, and `.` matches newlines.
    pub fn compile<'p>(
        patterns: impl IntoIterator<Item = (&'p str, &'p str)>,
    ) -> Result<PatternList, PatternError> {
        let (mut names, mut texts, mut regexes) = (Vec::new(), Vec::new(), Vec::new());
        for (name, text) in patterns {
            if names.len() == limits::RULE_PATTERNS_MAX {
                return Err(PatternError::TooMany);
            }
            if text.len() > limits::PATTERN_MAX_BYTES {
                return Err(PatternError::TooLong { name: name.to_owned() });
            }
            let regex = RegexBuilder::new(text)
                .dot_matches_new_line(true)
                .size_limit(limits::PATTERN_COMPILED_MAX_BYTES)
                .nest_limit(limits::PATTERN_NESTING_MAX)
                .build()
                .map_err(|source| PatternError::Syntax {
                    name: name.to_owned(),
                    source: Box::new(source),
                })?;
            if regex.is_match("") {
                return Err(PatternError::MatchesEverything { name: name.to_owned() });
            }
            names.push(name.to_owned());
            texts.push(text);
            regexes.push(regex);
        }
        let set = RegexSetBuilder::new(texts)
            .dot_matches_new_line(true)
            .size_limit(limits::PATTERN_COMPILED_MAX_BYTES)
            .nest_limit(limits::PATTERN_NESTING_MAX)
            .build()
            .map_err(|source| PatternError::TooLarge { source: Box::new(source) })?;
        Ok(PatternList { names, set, regexes })
    }

    pub fn names(&self) -> &[String] {
        &self.names
    }

    pub fn len(&self) -> usize {
        self.names.len()
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The pattern as the rule wrote it.
    pub fn pattern(&self, index: usize) -> Option<&str> {
        self.regexes.get(index).map(Regex::as_str)
    }

    /// All places that any pattern matches, pattern by pattern: of its group of this name, where it
    /// has one, else of the whole match.
    pub fn spans_of(&self, group: &str, text: &str) -> Vec<Range<usize>> {
        let mut spans = Vec::new();
        for at in self.set.matches(text) {
            for captures in self.regexes[at].captures_iter(text) {
                let found = captures.name(group).or_else(|| captures.get(0));
                spans.extend(found.map(|found| found.range()));
            }
        }
        spans
    }

    /// Whether any pattern matches anywhere.
    pub fn is_match(&self, text: &str) -> bool {
        self.set.is_match(text)
    }

    /// The indices of the patterns that match anywhere, in order.
    pub fn matching(&self, text: &str) -> Vec<usize> {
        self.set.matches(text).into_iter().collect()
    }

    /// Where the patterns match: index and byte range, in the order of the patterns, then of the
    /// text; at most `max`. Each pattern that matches is listed at least once as long as there
    /// are no more than `max` of them: one that matches often does not crowd out the others.
    pub fn find(&self, text: &str, max: usize) -> Vec<(usize, Range<usize>)> {
        let matching = self.matching(text);
        let mut found: Vec<(usize, Range<usize>)> = Vec::new();
        for (nth, index) in matching.iter().copied().enumerate() {
            let for_the_others = matching.len() - nth - 1;
            let room = max.saturating_sub(found.len());
            let take = room.saturating_sub(for_the_others).max(1).min(room);
            found.extend(self.spans(index, text).take(take).map(|span| (index, span)));
        }
        found
    }

    /// The places of one pattern. Groups cost more to find than matches, so they are asked for
    /// only where the pattern has the one that is marked.
    fn spans<'t>(
        &'t self,
        index: usize,
        text: &'t str,
    ) -> Box<dyn Iterator<Item = Range<usize>> + 't> {
        let regex = &self.regexes[index];
        if regex.capture_names().flatten().all(|name| name != "path") {
            return Box::new(regex.find_iter(text).map(|found| found.range()));
        }
        let marked = regex
            .captures_iter(text)
            .filter_map(|captures| captures.name("path").or_else(|| captures.get(0)))
            .map(|found| found.range());
        Box::new(marked)
    }
}

/// Benign paths that are taken out of a text before patterns are looked for in it.
#[derive(Debug, Clone, Default)]
pub struct Mask {
    paths: Vec<String>,
}

impl Mask {
    pub fn new(paths: Vec<String>) -> Mask {
        Mask { paths }
    }

    pub fn paths(&self) -> &[String] {
        &self.paths
    }

    /// The text with each benign path overwritten, byte for byte, so that positions stay right.
    ///
    /// A path counts only when it stands alone: `/etc/resolv.conf.bak` and
    /// `/host/etc/resolv.conf` are other files. Slashes overwrite it, since a separator or an
    /// end stands on both sides: they can complete no path that was not there before.
    pub fn apply<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut masked: Option<Vec<u8>> = None;
        for path in &self.paths {
            for start in memmem::find_iter(text.as_bytes(), path.as_bytes()) {
                let end = start + path.len();
                if stands_alone(text.as_bytes(), start, end) {
                    let bytes = masked.get_or_insert_with(|| text.as_bytes().to_vec());
                    bytes[start..end].fill(b'/');
                }
            }
        }
        // Whole characters were replaced by as many ASCII bytes, so it stays UTF-8.
        match masked.map(String::from_utf8) {
            Some(Ok(masked)) => Cow::Owned(masked),
            _ => Cow::Borrowed(text),
        }
    }
}

/// Whether nothing before or after continues the path. Quotes do not end a word in a shell, so
/// they are looked past: `'/etc/resolv.conf'.bak` is another file.
fn stands_alone(text: &[u8], start: usize, end: usize) -> bool {
    let is_quote = |byte: &&u8| matches!(byte, b'\'' | b'"');
    let separates = |byte: Option<&u8>| {
        byte.is_none_or(|byte| byte.is_ascii_whitespace() || b";|&<>()`,:=\0".contains(byte))
    };
    separates(text[..start].iter().rev().find(|byte| !is_quote(byte)))
        && separates(text[end..].iter().find(|byte| !is_quote(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn masks_a_path_only_where_it_stands_alone() {
        let mask = Mask::new(vec!["/etc/resolv.conf".to_owned()]);
        let hidden = "/".repeat("/etc/resolv.conf".len());
        for (text, masked) in [
            ("cat /etc/resolv.conf", true),
            ("/etc/resolv.conf", true),
            ("grep key </etc/resolv.conf|sort", true),
            ("sh -c 'cat \"/etc/resolv.conf\"'", true),
            ("--file=/etc/resolv.conf", true),
            ("cat\n/etc/resolv.conf\n", true),
            ("cat /etc/resolv.conf.bak", false),
            ("cat /etc/resolv.conf-token", false),
            ("cat /etc/resolv.conf/key", false),
            ("cat /host/etc/resolv.conf", false),
            ("cat x/etc/resolv.conf", false),
            ("cat '/etc/resolv.conf'.bak", false),
            ("cat /host''/etc/resolv.conf", false),
            ("cat /etc/resolv.conf\\.bak", false),
            ("cat /etc/resolv.conf{,.bak}", false),
            ("cat /etc/resolv.con", false),
            ("cat /etc/resolv.confé", false),
        ] {
            let expected =
                if masked { text.replace("/etc/resolv.conf", &hidden) } else { text.to_owned() };
            assert_eq!(mask.apply(text), expected, "{text}");
        }
        let both = mask.apply("cat /etc/resolv.conf /etc/resolv.conf.bak");
        assert_eq!(both, format!("cat {hidden} /etc/resolv.conf.bak"));
    }

    #[test]
    fn a_pattern_that_matches_often_leaves_room_for_the_others() {
        let list = PatternList::compile([("a", "a"), ("b", "b"), ("c", "c")]).unwrap();
        let text = format!("{}bbc", "a".repeat(50));
        let found = list.find(&text, 5);
        assert_eq!(found, [(0, 0..1), (0, 1..2), (0, 2..3), (1, 50..51), (2, 52..53)]);
        assert_eq!(list.find(&text, 2).len(), 2);
        assert_eq!(list.find(&text, 0).len(), 0);
        assert_eq!(list.find("xyz", 5), []);
    }

    #[test]
    fn marks_the_group_named_path() {
        let list = PatternList::compile([("p", r"(?<path>ab)(?:\s|\z)")]).unwrap();
        assert_eq!(list.find("abc ab ab", 9), [(0, 4..6), (0, 7..9)]);
    }

    #[test]
    fn refuses_patterns_that_are_broken_or_unbounded() {
        let check = |pattern: &str| PatternList::compile([("p", pattern)]).unwrap_err();
        assert!(matches!(check("("), PatternError::Syntax { .. }));
        assert!(matches!(check("a*"), PatternError::MatchesEverything { .. }));
        assert!(matches!(check(r"\w{1000}{1000}"), PatternError::Syntax { .. }));
        assert!(matches!(check(&"a".repeat(5_000)), PatternError::TooLong { .. }));
        let nested = format!("{}a{}", "(".repeat(100), ")".repeat(100));
        assert!(matches!(check(&nested), PatternError::Syntax { .. }));
        let many = (0..=limits::RULE_PATTERNS_MAX).map(|_| ("p", "a"));
        assert!(matches!(PatternList::compile(many), Err(PatternError::TooMany)));
    }

    proptest! {
        #[test]
        fn masking_keeps_every_position(text in "(/etc/resolv\\.conf|[ /.'\";]|\\PC){0,12}") {
            let mask = Mask::new(vec!["/etc/resolv.conf".to_owned()]);
            prop_assert_eq!(mask.apply(&text).len(), text.len());
        }
    }
}
