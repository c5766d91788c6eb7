use super::super::generate::Random;
use super::*;

fn glob(text: &str) -> Glob {
    Glob::new(&Pattern { pieces: text.split('*').map(str::to_owned).collect() })
}

/// The plain definition: a star is nothing, or a character and a star.
fn plainly(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) if plainly(rest, text) => true,
        (Some((b'*', _)), Some((_, text))) => plainly(pattern, text),
        (Some((a, pattern)), Some((b, text))) => a == b && plainly(pattern, text),
        _ => false,
    }
}

#[test]
fn globs_match_as_they_are_defined() {
    let mut matched = 0;
    for seed in 0..40_000 {
        let random = &mut Random::new(seed);
        let mut text = |from: &[&str], most: usize| -> String {
            (0..random.below(most)).map(|_| random.pick(from)).collect()
        };
        let pattern = text(&["a", "b", "*", "ab"], 7);
        // Stars side by side are one, and there is at least one.
        let mut pattern = if pattern.contains('*') { pattern } else { format!("*{pattern}") };
        while pattern.contains("**") {
            pattern = pattern.replace("**", "*");
        }
        let text = text(&["a", "b", "ab", "ba"], 8);
        let expected = plainly(pattern.as_bytes(), text.as_bytes());
        assert_eq!(glob(&pattern).matches(&text), expected, "{pattern} {text}");
        matched += usize::from(expected);
    }
    assert!(matched > 2_000);
}

#[test]
fn a_glob_takes_time_in_proportion_to_the_text() {
    // Backtracking would try each of the places of each piece with each of the others.
    let pattern = glob(&format!("{}*c", "*a*b".repeat(200).replacen('*', "", 1)));
    assert!(!pattern.matches(&"ab".repeat(500_000)));
    assert!(pattern.matches(&format!("{}c", "ab".repeat(500_000))));
}

#[test]
fn what_cannot_be_asked_is_told() {
    let like = |pieces: &[&str]| {
        Test::new(&Asked::Like(Pattern { pieces: pieces.iter().map(|p| (*p).into()).collect() }))
    };
    let above = |text: &str| Test::new(&Asked::Compared(Comparison::Greater, text.into()));
    let exists = like(&["", ""]);
    for kind in [Kind::Keyword, Kind::Any, Kind::Integer, Kind::Boolean, Kind::Date, Kind::Address]
    {
        assert_eq!(exists.problem(kind, false), None, "{kind:?}");
    }
    for (test, kind, possible) in [
        (like(&["5"]), Kind::Integer, true),
        (like(&["5", ""]), Kind::Integer, false),
        (like(&["x"]), Kind::Integer, false),
        (above("5"), Kind::Integer, true),
        (like(&["true"]), Kind::Boolean, true),
        (like(&["True"]), Kind::Boolean, false),
        (above("false"), Kind::Boolean, false),
        (like(&["2026"]), Kind::Date, true),
        (like(&["20", ""]), Kind::Date, false),
        (above("now"), Kind::Date, false),
        (like(&["::1"]), Kind::Address, true),
        (like(&["10.0.0.0/8"]), Kind::Address, true),
        (like(&["10.", ""]), Kind::Address, false),
        (above("10.0.0.0/8"), Kind::Address, false),
        (above("10.0.0.1"), Kind::Address, true),
        (above("x"), Kind::Keyword, true),
        (like(&["x", ""]), Kind::Any, true),
    ] {
        assert_eq!(test.may_hold(kind), possible, "{test:?} {kind:?}");
        assert_eq!(test.problem(kind, false).is_none(), possible);
    }
}
