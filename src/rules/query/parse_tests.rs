use super::super::Query;
use super::super::generate::{self, Random};
use super::*;
use crate::limits;

/// Each case: a text, and how the tree is written.
#[track_caller]
fn check(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let node = parse(text).unwrap_or_else(|error| panic!("`{text}`\n{error}"));
        assert_eq!(node.to_string(), *expected, "`{text}`");
    }
}

fn without_spans(node: &Node) -> Node {
    let name =
        |name: &Arc<Name>| Arc::new(Name { pattern: name.pattern.clone(), span: Span::default() });
    let value = |value: &Value| Value { span: Span::default(), ..value.clone() };
    match node {
        Node::Or(nodes) => Node::Or(nodes.iter().map(without_spans).collect()),
        Node::And(nodes) => Node::And(nodes.iter().map(without_spans).collect()),
        Node::Not(node) => Node::Not(Box::new(without_spans(node))),
        Node::Is { field, value: v } => {
            Node::Is { field: field.as_ref().map(name), value: value(v) }
        }
        Node::Compare { field, comparison, value: v } => {
            Node::Compare { field: name(field), comparison: *comparison, value: value(v) }
        }
        Node::Nested { path, query } => {
            Node::Nested { path: name(path), query: Box::new(without_spans(query)) }
        }
    }
}

#[test]
fn not_binds_before_and_and_before_or() {
    check(&[
        ("a:1 or b:2 and c:3", "a: 1 or b: 2 and c: 3"),
        ("(a:1 or b:2) and c:3", "(a: 1 or b: 2) and c: 3"),
        ("not a:1 and b:2", "not a: 1 and b: 2"),
        ("not (a:1 and b:2)", "not (a: 1 and b: 2)"),
        ("not (not a:1)", "not (not a: 1)"),
        ("a:1 AND NOT b:2 Or c:3", "a: 1 and not b: 2 or c: 3"),
        ("((a:1))", "a: 1"),
        // Grouping is kept.
        ("a:1 and (b:2 and c:3)", "a: 1 and (b: 2 and c: 3)"),
        ("a:1 or (b:2 or c:3)", "a: 1 or (b: 2 or c: 3)"),
    ]);
    let Node::Or(nodes) = parse("a:1 or b:2 and not c:3").unwrap() else { panic!() };
    let Node::And(inner) = &nodes[1] else { panic!() };
    assert!(matches!(inner[1], Node::Not(_)));
}

#[test]
fn blanks_may_stand_around_everything() {
    check(&[
        ("  a : b  ", "a: b"),
        ("a\n:\n\tb\r\n and \n c:d", "a: b and c: d"),
        ("(\n a:b \n)", "a: b"),
        ("a:\n(\nb\nor\nc\n)", "a: b or a: c"),
        ("a\n>=\n5", "a >= 5"),
        ("a>5", "a > 5"),
        ("f:{\na:b\n}", "f: { a: b }"),
        ("f : { a:b }", "f: { a: b }"),
        ("a:b\u{a0}and\u{a0}c:d", "a: b and c: d"),
        // Within a value they are part of it.
        ("a: quick  brown", "a: quick\\u0020\\u0020brown"),
        ("quick brown:x", "quick\\u0020brown: x"),
    ]);
}

#[test]
fn a_value_list_spreads_its_field() {
    check(&[
        ("f:(a or b)", "f: a or f: b"),
        ("f:(a and b or c)", "f: a and f: b or f: c"),
        ("f:(not a)", "not f: a"),
        ("f:(a or not (b* and c))", "f: a or not (f: b* and f: c)"),
        ("f:((a))", "f: a"),
        ("f:(\"x y\" or z)", "f: \"x y\" or f: z"),
        ("not f:(a or b)", "not (f: a or f: b)"),
        ("f:(* and not x)", "f: * and not f: x"),
    ]);
}

#[test]
fn wildcards_stand_anywhere_outside_of_quotes() {
    let pieces = |text: &str| match parse(text).unwrap() {
        Node::Is { field, value } => {
            (field.map(|field| field.pattern.pieces.clone()), value.pattern.pieces)
        }
        node => panic!("{node:?}"),
    };
    let field = |pieces: &[&str]| Some(pieces.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>());
    assert_eq!(pieces("f:*"), (field(&["f"]), vec!["".into(), "".into()]));
    assert_eq!(pieces("f:a*b*"), (field(&["f"]), vec!["a".into(), "b".into(), "".into()]));
    assert_eq!(pieces("f:a***b"), (field(&["f"]), vec!["a".into(), "b".into()]));
    assert_eq!(pieces("f:\"a*b\""), (field(&["f"]), vec!["a*b".into()]));
    assert_eq!(pieces("f:a\\*b*"), (field(&["f"]), vec!["a*b".into(), "".into()]));
    assert_eq!(pieces("f:a?"), (field(&["f"]), vec!["a?".into()]));
    assert_eq!(pieces("a.*.c:x"), (field(&["a.", ".c"]), vec!["x".into()]));
    assert_eq!(pieces("*:x"), (field(&["", ""]), vec!["x".into()]));
    assert_eq!(pieces("\"a.*\":x"), (field(&["a.*"]), vec!["x".into()]));
    assert_eq!(pieces("x*"), (None, vec!["x".into(), "".into()]));
    assert_eq!(pieces("f:\\u002a"), (field(&["f"]), vec!["*".into()]));
}

#[test]
fn escapes_stand_for_characters() {
    let literal = |text: &str| match parse(text).unwrap() {
        Node::Is { value, .. } => value.pattern.as_literal().unwrap().to_owned(),
        node => panic!("{node:?}"),
    };
    for (text, expected) in [
        (r"f:system\:x", "system:x"),
        (r#"f:\\ \( \) \: \< \> \" \* \{ \}"#, r#"\ ( ) : < > " * { }"#),
        (r"f:a\tb\r\nc", "a\tb\r\nc"),
        (r"f:\u0041\u00e9", "Aé"),
        (r"f:\ud83d\ude00", "😀"),
        (r"f:\and", "and"),
        (r"f:\AND", "AND"),
        (r"f:a \and b \or c", "a and b or c"),
        (r"f:a \not b", "a not b"),
        (r"\not", "not"),
        (r"f:\order", "order"),
        // A line break, then `othing`.
        (r"f:\nothing", "\nothing"),
        (r#"f:"a \"b\" \\c""#, r#"a "b" \c"#),
        (r#"f:"a\tb\nc\rd""#, "a\tb\nc\rd"),
        (r#"f:"\u0041""#, "A"),
        // Within quotes a backslash before anything else is a backslash.
        (r#"f:"C:\dir\*""#, r"C:\dir\*"),
        (r#"f:"\u12""#, r"\u12"),
        (r#"f:"\(\)""#, r"\(\)"),
        (r#"f:"""#, ""),
        (r#"f:" a ""#, " a "),
        (r#"f:"(a and b)""#, "(a and b)"),
        ("f: a ", "a"),
        ("f: a\u{2003}", "a"),
        // Keywords are words of their own.
        ("f:android", "android"),
        ("f:notes", "notes"),
        ("f:a andb", "a andb"),
        ("f:or", "or"),
        (
            "f:a-b_c.d/e@f,g;h#i$j%k&l+m=n~o`p!q?r[s]t|u'v",
            "a-b_c.d/e@f,g;h#i$j%k&l+m=n~o`p!q?r[s]t|u'v",
        ),
    ] {
        assert_eq!(literal(text), expected, "{text}");
    }
}

#[test]
fn spans_are_those_of_the_text() {
    let text = "  user.name : \"a b\" and x.* : (c\u{e9} or d )";
    let Node::And(nodes) = parse(text).unwrap() else { panic!() };
    let mut found = Vec::new();
    let mut stack: Vec<&Node> = nodes.iter().rev().collect();
    while let Some(node) = stack.pop() {
        match node {
            Node::Or(nodes) => stack.extend(nodes.iter().rev()),
            Node::Is { field: Some(field), value } => {
                found.push((
                    &text[field.span.start..field.span.end],
                    &text[value.span.start..value.span.end],
                ));
            }
            node => panic!("{node:?}"),
        }
    }
    assert_eq!(found, [("user.name", "\"a b\""), ("x.*", "c\u{e9}"), ("x.*", "d")]);
}

#[test]
fn errors_name_the_place_and_what_to_do() {
    // Text, place, and parts of the message and the hint.
    for (text, offset, message, hint) in [
        ("", 0, "empty", "`*` matches every event"),
        (" \n ", 0, "empty", "`*`"),
        ("user.name = alice", 10, "`=`", "write `user.name: alice`"),
        ("user.name == alice", 10, "`=`", "write `user.name: alice`"),
        ("user.name=\"alice\"", 9, "`=`", "write `user.name: …`"),
        ("a:b and user.name != x", 18, "`=`", "write `not user.name: x`"),
        ("code => 5", 5, "`=`", "code >= …"),
        ("f:=x", 2, "`=`", "quote a value"),
        ("f:x:y", 3, "found `:`", "quote a value that holds `:`"),
        ("a:b c:d", 5, "found `:`", "`and`"),
        ("a:b && c:d", 8, "found `:`", "`and` and `or`"),
        ("f::x", 2, "after `:`, found `:`", "one `:`"),
        (":x", 0, "found `:`", "name comes before"),
        ("> 5", 0, "found `>`", "name comes before"),
        ("f:", 2, "the query ends", ""),
        ("f >", 3, "a value after `>`", ""),
        ("(a:b", 0, "never closed", "add a `)`"),
        ("a:(b or (c)", 2, "never closed", "add a `)`"),
        ("f:{ a:b", 2, "never closed", "add a `}`"),
        ("a:b)", 3, "found `)`", "no open bracket"),
        ("()", 1, "found `)`", "nothing between"),
        ("f:()", 3, "found `)`", "nothing between"),
        ("f:a{b", 3, "found `{`", "`\\{`"),
        ("f:}", 2, "found `}`", "`\\}`"),
        ("f:(a or g:b)", 9, "found `:`", "values alone"),
        ("f:\"x", 2, "never closed", "add a `\"`"),
        ("f:\"x\\\"", 2, "never closed", "`\\\\`"),
        ("f:\"x\" y", 6, "found `y`", "joined by"),
        ("f:a\"b\"", 3, "found `\"`", "is written `\\\"`"),
        ("f:Mozilla/5.0 (X11)", 14, "found `(`", "is written `\\(`"),
        ("\u{201c}x\u{201d}", 0, "typographic", "plain quotes"),
        ("f:\u{201c}x y\u{201d}", 2, "typographic", "plain quotes"),
        ("not", 0, "missing after `not`", "`\"not\"`"),
        ("AND", 0, "missing after `AND`", ""),
        ("a:b and", 4, "missing after `and`", ""),
        ("a:b and ", 8, "the query ends", ""),
        ("a:b or or", 7, "missing after `or`", ""),
        ("not not a", 4, "cannot follow", "not (not"),
        ("f:(a or not)", 8, "missing after `not`", ""),
        ("not(a:b)", 0, "a blank is missing", "between a keyword and"),
        ("a:b and(c:d)", 4, "a blank is missing", "between a keyword and"),
        ("(a:b)and (c:d)", 5, "found `a`", "blanks have to stand around"),
        ("f:cannot do", 5, "found `n`", "quote a value"),
        ("f:not x", 2, "found `n`", "`\"not\"`"),
        ("f:a\\d", 3, "no such escape", "`\\\\`"),
        ("f:\\u12g4", 2, "no such escape", "`\\\\`"),
        ("f:a\\", 3, "no such escape", "`\\\\`"),
        ("f:\\ud83d", 2, "surrogate", ""),
        ("\"\":x", 0, "name is empty", ""),
        ("é:x and ü:y:z", 13, "found `:`", ""),
    ] {
        let error = parse(text).map(|node| node.to_string()).expect_err(text);
        assert_eq!(error.offset, offset, "`{text}`\n{error}");
        assert!(error.message.contains(message), "`{text}`\n{error}");
        assert!(error.hint.as_deref().unwrap_or_default().contains(hint), "`{text}`\n{error}");
    }
}

#[test]
fn an_error_shows_its_line() {
    let error = parse("a:b\n  and user.name = ali\u{e9}\n  and c:d").unwrap_err();
    assert_eq!((error.line, error.column), (2, 17));
    let expected = "\
`=` compares nothing at line 2, column 17
  |
2 |   and user.name = alié
  |                 ^

hint: write `user.name: alié`; to search for the text, quote it";
    assert_eq!(error.to_string(), expected);
    // Of a long line only the part around the place is shown.
    let long = format!("{}:{}:y {}", "a".repeat(400), "b".repeat(400), "c".repeat(400));
    let error = parse(&long).unwrap_err();
    assert_eq!((error.line, error.column), (1, 802));
    let shown = error.to_string();
    assert!(shown.lines().all(|line| line.chars().count() < 130), "{shown}");
    let lines: Vec<&str> = shown.lines().collect();
    let caret = lines[3].chars().position(|c| c == '^').unwrap();
    assert_eq!(lines[2].chars().nth(caret), Some(':'));
}

#[test]
fn size_depth_and_number_are_bounded() {
    let nested = |depth: usize| format!("{}a:b{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parse(&nested(limits::QUERY_DEPTH_MAX)).is_ok());
    assert!(parse(&nested(limits::QUERY_DEPTH_MAX + 1)).unwrap_err().message.contains("nests"));
    let list = |depth: usize| format!("f:{}b{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parse(&list(limits::QUERY_DEPTH_MAX)).is_ok());
    assert!(parse(&list(30_000)).unwrap_err().message.contains("nests"));
    let objects = format!("{}x", "f:{".repeat(20_000));
    assert!(parse(&objects).unwrap_err().message.contains("nests"));
    assert!(parse(&"not (".repeat(10_000)).unwrap_err().message.contains("nests"));

    let long = format!("f:{}", "a".repeat(limits::QUERY_MAX_BYTES - 2));
    assert!(parse(&long).is_ok());
    assert!(parse(&format!("{long}a")).unwrap_err().message.contains("longer"));

    let many = |count: usize| vec!["a"; count].join(" or ");
    assert!(parse(&many(limits::QUERY_NODES_MAX - 1)).is_ok());
    assert!(parse(&many(limits::QUERY_NODES_MAX + 1)).unwrap_err().message.contains("more than"));
}

#[test]
fn takes_time_in_proportion_to_the_text() {
    // Each of these would take minutes if something were looked at again for every character.
    for text in [
        " ".repeat(limits::QUERY_MAX_BYTES),
        format!("a{}b", " ".repeat(limits::QUERY_MAX_BYTES - 2)),
        "a ".repeat(limits::QUERY_MAX_BYTES / 2),
        format!("({}", " ".repeat(limits::QUERY_MAX_BYTES - 1)),
        "\\u0020".repeat(limits::QUERY_MAX_BYTES / 6),
        format!("\"{}", "\\\"".repeat(limits::QUERY_MAX_BYTES / 2 - 1)),
        "* ".repeat(limits::QUERY_MAX_BYTES / 2),
        "n o t an d ".repeat(limits::QUERY_MAX_BYTES / 11),
    ] {
        let _ = parse(&text);
    }
}

#[test]
fn a_written_tree_reads_as_the_same_tree() {
    let mut count = 0;
    for seed in 0..20_000 {
        let random = &mut Random::new(seed);
        let text = generate::query(random, seed as usize % 4, false);
        let node = parse(&text).unwrap_or_else(|error| panic!("{text}\n{error}"));
        let written = node.to_string();
        let again = parse(&written).unwrap_or_else(|error| panic!("{text}\n{written}\n{error}"));
        assert_eq!(without_spans(&again), without_spans(&node), "{text}\n{written}");
        assert_eq!(again.to_string(), written);
        count += 1;
    }
    println!("{count} trees");
}

/// Texts that nobody would write: they are read or refused, and never more than that.
#[test]
fn nothing_panics_and_every_error_is_within_the_text() {
    const PARTS: [&str; 48] = [
        "a", "b.c", ":", "(", ")", "{", "}", "\"", "\\", "*", "<", ">", "=", "<=", ">=", " ", "\n",
        "\t", "\u{a0}", "and", "or", "not", " and ", " or ", "not ", " AND ", "\\and", "\\not",
        "\\u00", "\\u0041", "\\ud83d", "\\ude00", "\\t", "é", "\u{2003}", "\u{feff}", "\u{201c}",
        "😀", "\0", "null", "true", "5", "!", "&&", "f:", "\"x\"", "==", "\u{301}",
    ];
    let (mut read, mut refused) = (0, 0);
    for seed in 0..150_000 {
        let random = &mut Random::new(seed);
        let text: String = (0..random.below(14)).map(|_| random.pick(&PARTS)).collect();
        match parse(&text) {
            Ok(node) => {
                read += 1;
                let written = node.to_string();
                let again = parse(&written).unwrap_or_else(|e| panic!("{text:?}\n{written}\n{e}"));
                assert_eq!(without_spans(&again), without_spans(&node), "{text:?}\n{written}");
            }
            Err(error) => {
                refused += 1;
                assert!(text.is_char_boundary(error.offset), "{text:?}");
                assert!(error.line >= 1 && error.line <= text.matches('\n').count() + 1);
                let line = text.split('\n').nth(error.line - 1).unwrap();
                assert!(error.column >= 1 && error.column <= line.chars().count() + 1, "{text:?}");
                assert!(error.to_string().contains('^'));
            }
        }
    }
    println!("{read} read, {refused} refused");
    assert!(read > 10_000 && refused > 10_000);
}

#[test]
fn any_bytes_are_read_or_refused() {
    for seed in 0..50_000 {
        let random = &mut Random::new(seed);
        let bytes: Vec<u8> = (0..random.below(24)).map(|_| random.below(256) as u8).collect();
        let _ = Query::parse(&String::from_utf8_lossy(&bytes)).map(|query| query.to_string());
        let ascii: String =
            (0..random.below(24)).map(|_| random.below(128) as u8 as char).collect();
        let _ = Query::parse(&ascii).map(|query| query.to_string());
    }
}
