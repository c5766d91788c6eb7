use super::testing::glob;
use super::*;
use proptest::prelude::*;

#[track_caller]
fn check_string(pattern: &str, value: &str, expected: bool) {
    let matches = Pattern::new(&glob(pattern)).matches_string(value);
    assert_eq!(matches, expected, "`{pattern}` on `{value}`");
}

#[test]
fn strings_match_as_in_case() {
    for (pattern, value, expected) in [
        ("", "", true),
        ("", "a", false),
        ("abc", "abc", true),
        ("abc", "abcd", false),
        ("*", "", true),
        ("*", "a/b.c", true),
        ("**", "x", true),
        ("?", "é", true),
        ("?", "", false),
        ("a*c", "a/b/c", true),
        ("*.pem", ".pem", true),
        ("[abc]", "b", true),
        ("[abc]", "d", false),
        ("[a-c]x", "bx", true),
        ("[c-a]", "b", false),
        ("[!a]", "b", true),
        ("[!a]", "a", false),
        ("[^a]", "/", true),
        ("[]a]", "]", true),
        ("[!]a]", "]", false),
        ("[!]a]", "b", true),
        ("[a-]", "-", true),
        ("[-a]", "-", true),
        ("[\\!a]", "!", true),
        ("[a\\-c]", "b", false),
        ("[a\\-c]", "-", true),
        ("[a", "[a", true),
        ("[a", "a", false),
        ("[", "[", true),
        ("a]", "a]", true),
        ("[]", "[]", true),
        ("[[]", "[", true),
        ("[[:alpha:]]", "q", true),
        ("[[:alpha:]]", "1", false),
        ("[![:digit:]]", "1", false),
        ("[[:alpha:][:digit:]_]", "_", true),
        ("[[:nothing:]]", "n", false),
        ("[[=a=]b]", "a", true),
        ("[[.-.]]", "-", true),
        ("[é-ü]", "ö", true),
        ("\\*", "*", true),
        ("\\*", "a", false),
        ("?(a|b)c", "c", true),
        ("?(a|b)c", "bc", true),
        ("?(a|b)c", "abc", false),
        ("*(ab)", "ababab", true),
        ("*(ab)", "", true),
        ("*(ab)", "aba", false),
        ("+(ab)", "", false),
        ("+(a|b)", "abba", true),
        ("@(a|b)", "a", true),
        ("@(a|b)", "ab", false),
        ("@(sh|gsh)adow", "gshadow", true),
        ("!(a)", "a", false),
        ("!(a)", "aa", true),
        ("!(a)", "", true),
        ("!(*.txt)", "x.pem", true),
        ("!(*.txt)", "x.txt", false),
        ("a!(b)c", "abc", false),
        ("a!(b)c", "abbc", true),
        ("!(!(a))", "a", true),
        ("!(!(a))", "b", false),
        ("+(?(a)b)", "bab", true),
        ("*(*(*(a)))b", "aaab", true),
        ("@()x", "x", true),
        ("a…b", "a/x/b", true),
        ("…", "", true),
        ("a…", "b", false),
        ("[a…z]", "q", true),
    ] {
        check_string(pattern, value, expected);
    }
}

#[test]
fn file_names_match_within_their_component() {
    for (pattern, path, expected) in [
        ("/etc/*", "/etc/shadow", true),
        ("/etc/*", "/etc/ssl/x", false),
        ("/etc?shadow", "/etc/shadow", false),
        ("/etc[!a]shadow", "/etc/shadow", false),
        ("/*/shadow", "/etc/shadow", true),
        ("*", ".ssh", false),
        ("?ssh", ".ssh", false),
        ("[.]ssh", ".ssh", false),
        (".*", ".ssh", true),
        ("@(.ssh|x)", ".ssh", true),
        ("!(x)", ".ssh", false),
        ("!(x)", "ssh", true),
        ("/root/*", "/root/.ssh", false),
        ("/root/…", "/root/.ssh", true),
        ("/etc/…", "/etc/a/b", true),
        ("a*", "a.b", true),
        ("+(a|/)", "a/a", true),
    ] {
        let matches = Pattern::new(&glob(pattern)).matches(path);
        assert_eq!(matches, expected, "`{pattern}` on `{path}`");
    }
    assert!(Pattern::new(&glob("*ssh")).with_dots().matches(".ssh"));
}

#[test]
fn prefixes_and_suffixes_are_removed() {
    for (pattern, value, prefix, longest_prefix, suffix, longest_suffix) in [
        ("*/", "a/b/c", Some(2), Some(4), None, None),
        ("/*", "a/b/c", None, None, Some(2), Some(4)),
        ("*", "abc", Some(0), Some(3), Some(0), Some(3)),
        ("b", "abc", None, None, None, None),
        ("ab", "abc", Some(2), Some(2), None, None),
        ("bc", "abc", None, None, Some(2), Some(2)),
        ("?", "éa", Some(2), Some(2), Some(1), Some(1)),
        ("?", "aé", Some(1), Some(1), Some(2), Some(2)),
        ("+(a)", "aab", Some(1), Some(2), None, None),
        ("+(b)", "abb", None, None, Some(1), Some(2)),
        ("@(a|ab)", "abc", Some(1), Some(2), None, None),
        ("*(a)b", "aab", Some(3), Some(3), Some(1), Some(3)),
        ("!(b)", "ab", Some(0), Some(2), Some(0), Some(2)),
    ] {
        let compiled = Pattern::new(&glob(pattern));
        let removed = [
            compiled.remove_prefix(value, false),
            compiled.remove_prefix(value, true),
            compiled.remove_suffix(value, false),
            compiled.remove_suffix(value, true),
        ];
        let expected = [prefix, longest_prefix, suffix, longest_suffix];
        assert_eq!(removed, expected, "`{pattern}` on `{value}`");
    }
}

#[test]
fn places_are_found_as_a_replacement_needs_them() {
    for (pattern, value, expected) in [
        ("b", "abcb", &[(1, 2), (3, 4)][..]),
        ("?", "aé", &[(0, 1), (1, 3)]),
        ("a*z", "xayzaz", &[(1, 6)]),
        ("*", "abc", &[(0, 3)]),
        ("*", "", &[(0, 0)]),
        ("+(a)", "baab", &[(1, 3)]),
        ("*(b)", "aba", &[(0, 0), (1, 2), (2, 2)]),
        ("x", "abc", &[]),
        ("[a-b]", "cab", &[(1, 2), (2, 3)]),
        ("a*([z])", "aaa", &[(0, 1), (1, 2), (2, 3)]),
        ("ab", "aab", &[(1, 3)]),
    ] {
        let expected: Vec<Range<usize>> = expected.iter().map(|(a, b)| *a..*b).collect();
        let compiled = Pattern::new(&glob(pattern));
        assert_eq!(compiled.find_all(value), Some(expected.clone()), "`{pattern}` in `{value}`");
        assert_eq!(compiled.find(value, 0), expected.first().cloned(), "`{pattern}` in `{value}`");
    }
    assert_eq!(Pattern::literal("é").find("aéé", 3), Some(3..5));
    assert_eq!(Pattern::literal("é").find("aéé", 2), None);
}

#[track_caller]
fn check_intersects(one: &str, other: &str, expected: bool) {
    let (a, b) = (Pattern::new(&glob(one)), Pattern::new(&glob(other)));
    assert_eq!(a.intersects(&b), expected, "`{one}` and `{other}`");
    assert_eq!(b.intersects(&a), expected, "`{other}` and `{one}`");
}

#[test]
fn patterns_intersect_where_a_path_matches_both() {
    for (one, other, expected) in [
        ("abc", "abc", true),
        ("abc", "abd", false),
        ("a*", "*b", true),
        ("a*", "b*", false),
        ("*.pem", "x*", true),
        ("*.pem", "*.key", false),
        ("/etc/*", "/etc/shadow", true),
        ("/etc/*", "/*/shadow", true),
        ("/etc/*", "/*/*/shadow", false),
        ("/???/sh?dow", "/e*/*w", true),
        ("/????/sh?dow", "/etc/*w", false),
        ("[a-c]x", "[c-e]?", true),
        ("[a-b]x", "[c-e]?", false),
        ("[!a]", "a", false),
        ("[!a]", "[ab]", true),
        ("[!ab]", "[ab]", false),
        ("[!a]", "[^b]", true),
        ("[[:digit:]]", "[5-z]", true),
        ("[[:upper:]]", "[a-z]", false),
        ("@(a|b)*", "*c", true),
        ("@(a|b)", "c*", false),
        ("+(ab)", "abab?", false),
        ("+(ab)", "abab*", true),
        ("*(a)b", "aaa*", true),
        ("?(x)y", "y*", true),
        ("!(hosts)", "shadow", true),
        ("!(x)*z", "y*", true),
        ("/etc/!(x)", "/etc/*/shadow", false),
        ("/root/*", "/root/.ssh", false),
        ("/root/.*", "/root/.ssh", true),
        ("/root/*", "/root/.*", false),
        ("/root/?ssh", "/root/.*", false),
        ("/root/[.]ssh", "/root/.*", false),
        ("/root/a*", "/root/*.ssh", true),
        ("/etc/…", "/etc/a/b", true),
        ("/…/shadow", "/etc/shadow", true),
        ("/…/shadow", "/*/*/shadow", true),
        ("/root/…", "/root/.ssh/*", true),
        ("…", "*", true),
        ("…x", "*y", false),
        ("*", "", true),
        ("?*", "", false),
    ] {
        check_intersects(one, other, expected);
    }
    let dots = Pattern::new(&glob("*ssh")).with_dots();
    assert!(dots.intersects(&Pattern::new(&glob(".s*"))));
}

#[test]
fn what_exceeds_the_bounds_matches() {
    let long = Pattern::new(&glob(&"?".repeat(5_000)));
    assert!(long.too_large());
    assert!(long.matches("x") && long.matches_string("x") && long.intersects(&long));
    assert_eq!(long.remove_prefix("x", true), None);
    assert_eq!(long.find("x", 0), None);
    assert_eq!(long.find_all("x"), None);
    let deep = format!("{}a{}", "@(".repeat(40), ")".repeat(40));
    assert!(Pattern::new(&glob(&deep)).too_large());
    assert!(!Pattern::new(&glob("*")).too_large());
    assert!(!Pattern::literal(&"a".repeat(1 << 20)).too_large());
}

#[test]
fn no_pattern_takes_long() {
    let value = "a".repeat(1 << 20);
    let stars = "*a".repeat(1_000) + "b";
    let nested = format!("{}a{}", "*(".repeat(16), ")".repeat(16));
    let opened = "[".repeat(4_000);
    for pattern in [stars.as_str(), &nested, &opened, "!(a|!(b))*", "?*z", "@(a|a*z)", "+(a|aa)b"] {
        let compiled = Pattern::new(&glob(pattern));
        compiled.matches_string(&value);
        compiled.remove_prefix(&value, false);
        compiled.remove_suffix(&value, true);
        compiled.find_all(&value);
    }
    let wide = Pattern::new(&glob(&"@(a|b|*)".repeat(500)));
    wide.intersects(&Pattern::new(&glob(&"*?(x)".repeat(500))));
}

#[test]
fn literal_characters_are_those_that_every_match_holds() {
    for (pattern, literals) in [
        ("", 0),
        ("shadow", 6),
        ("sh*w", 3),
        ("*", 0),
        ("…x", 1),
        ("[pk]em", 3),
        ("[a-z]em", 2),
        ("[!a]", 0),
        ("@(abc|d)e", 2),
        ("+(ab)", 2),
        ("?(ab)", 0),
        ("!(ab)", 0),
    ] {
        assert_eq!(Pattern::new(&glob(pattern)).literals(), literals, "{pattern}");
    }
}

const PATTERNS: &str =
    r"([ab/.]|\*|\?|\[ab\]|\[!a\]|\?\(a\|b\)|\*\(ab\)|\+\(a\)|@\(\.\|b\)|…){0,6}";

proptest! {
    #[test]
    fn a_path_that_both_match_is_an_intersection(
        one in PATTERNS, other in PATTERNS, path in "[ab/.]{0,6}",
    ) {
        let (a, b) = (Pattern::new(&glob(&one)), Pattern::new(&glob(&other)));
        if a.matches(&path) && b.matches(&path) {
            prop_assert!(a.intersects(&b));
        }
        let exact = Pattern::literal(&path);
        prop_assert_eq!(exact.intersects(&a), a.matches(&path));
    }

    #[test]
    fn one_star_at_a_time_finds_what_sets_of_places_find(
        pattern in PATTERNS, value in "[ab/.]{0,8}", names: bool, dots: bool,
    ) {
        let pattern = Pattern::new(&glob(&pattern));
        if let Body::Nodes(nodes) = &pattern.body {
            let ends = Search::new(&value, names, dots).ends(nodes, 0);
            let found = ends.is_some_and(|ends| ends.last() == Some(&value.len()));
            let greedily = Search::new(&value, names, dots).greedily(nodes);
            prop_assert!(greedily.is_none_or(|greedily| greedily == found));
            prop_assert!(!found || edges_fit(nodes, &value));
        }
    }

    #[test]
    fn two_automata_agree_with_a_match(one in PATTERNS, path in "[ab/.]{0,6}") {
        // An active character that is no wildcard keeps the path from being compared as a string.
        let a = Pattern::new(&glob(&one));
        let mut path_text = Text::literal(path.clone());
        path_text.push_active('-');
        let mut longer = glob(&one);
        longer.push_str("-");
        let longer = Pattern::new(&longer);
        prop_assert_eq!(longer.intersects(&Pattern::new(&path_text)), longer.matches(&format!("{path}-")));
        prop_assert_eq!(a.matches(&path), Pattern::literal(&path).intersects(&a));
    }

    #[test]
    fn nothing_panics(pattern in r"[\[\]()|!?*@+:.=ab/…é^-]{0,24}", value in "[ab/.é]{0,12}") {
        let mut text = Text::new();
        for character in pattern.chars() {
            if character == '…' { text.push_hole() } else { text.push_active(character) }
        }
        let compiled = Pattern::new(&text);
        compiled.matches(&value);
        compiled.intersects(&Pattern::new(&glob("*a/[!b]")));
        for longest in [false, true] {
            if let Some(bytes) = compiled.remove_prefix(&value, longest) {
                prop_assert!(value.get(bytes..).is_some());
                let (head, _) = value.split_at(bytes);
                prop_assert!(compiled.matches_string(head));
            }
            if let Some(bytes) = compiled.remove_suffix(&value, longest) {
                let (_, tail) = value.split_at(value.len() - bytes);
                prop_assert!(compiled.matches_string(tail));
            }
        }
        for place in compiled.find_all(&value).unwrap_or_default() {
            prop_assert!(compiled.matches_string(&value[place]));
        }
    }
}

#[test]
fn an_ending_is_begun_by_the_characters_behind_the_only_dot() {
    for (pattern, begun) in [
        ("a*", Some("")),
        ("a*b*", Some("")),
        ("a.p*", Some("p")),
        ("a.*", Some("")),
        ("a.b.p*", Some("")),
        ("*.ke*", Some("ke")),
        ("*.k*y*", Some("k")),
        ("*.pem", None),
        ("a?p*", None),
        ("[a.]p*", None),
        ("abc", None),
    ] {
        assert_eq!(Pattern::new(&glob(pattern)).begun_ending().as_deref(), begun, "{pattern}");
    }
}
