use proptest::prelude::*;
use serde::de::{Deserialize, IgnoredAny};
use serde_json::Value;

use super::*;

/// What serde_json makes of the value that a text begins with, and where that ends.
fn expected<'a, T: Deserialize<'a>>(text: &'a str) -> Option<(T, usize)> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = T::deserialize(&mut json).ok()?;
    Some((value, json.into_iter::<IgnoredAny>().byte_offset()))
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Option<(T, usize)> {
    let mut json = Json::new(text, 0);
    let value = T::deserialize(&mut json).ok()?;
    Some((value, json.at()))
}

/// Whether the text was taken. What is taken is what serde_json takes, and the same.
fn check(text: &str) -> bool {
    let value = read::<Value>(text);
    if value.is_some() {
        assert_eq!(value, expected(text), "{text}");
    }
    let skipped = read::<IgnoredAny>(text).map(|(_, end)| end);
    if skipped.is_some() {
        let all = expected::<IgnoredAny>(text).map(|(_, end)| end);
        assert_eq!(skipped, all, "{text}");
        let (Span(span), end) = read(text).unwrap();
        assert_eq!((Some(end), span), (skipped, text[..end].trim_ascii_start()), "{text}");
    }
    value.is_some() && skipped.is_some()
}

#[test]
fn json_is_taken_as_serde_json_takes_it() {
    for text in [
        "{}",
        " [ ] x",
        "[1,2.5,-3,-0,0,1e3,1E-3,123456789012345678,1234567890123456789,12345678901234567890]",
        r#"{"a":[{"b":null},true,false,"c"],"a":2}"#,
        r#""\"\\\/\b\f\n\r\t\u0041\u00e9\ud83d\ude00é😀""#,
        "\t{\r\n\"a\" : 1 , \"b\" : [ 1 , 2 ] }\n{}",
        r#"{"\u0061":1,"":2}"#,
        r#"{"$serde_json::private::Number":"1"}"#,
    ] {
        assert!(check(text), "{text}");
        // Cut off anywhere it is none, or ends earlier.
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
            check(&text[..end]);
        }
    }
}

#[test]
fn what_is_no_json_is_refused() {
    for text in [
        "",
        " ",
        "{",
        "[",
        "]",
        "}",
        "[1,]",
        "{\"a\":1,}",
        "[,1]",
        "{,}",
        "[1 2]",
        "{\"a\" 1}",
        "{a:1}",
        "{1:1}",
        "{\"a\":}",
        "[1}",
        "{\"a\":1]",
        "nul",
        "tru",
        "falsy",
        "01",
        "-",
        "-a",
        "+1",
        "1.",
        ".5",
        "1e",
        "1e+",
        "--1",
        "\"a",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\u+123\"",
        "\"\t\"",
        "\"\n\"",
        "\"\u{1}\"",
        "\u{a0}1",
        "'a'",
    ] {
        assert!(read::<Value>(text).is_none(), "{text}");
        assert!(read::<IgnoredAny>(text).is_none() && !check(text), "{text}");
    }
    // Halves of characters are for serde_json to refuse, and what has no value.
    for text in [r#""\ud800""#, r#""\udc00\ud800""#, r#""\ud800\u0041""#, r#""\ud800x""#, "1e999"] {
        assert!(read::<Value>(text).is_none() && expected::<Value>(text).is_none(), "{text}");
    }
    assert!(read::<Value>(r#"{"\ud800":1}"#).is_none());
}

/// As deep as serde_json goes, and no deeper.
#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(check(&nested(MAX_DEPTH)) && expected::<Value>(&nested(MAX_DEPTH)).is_some());
    assert!(!check(&nested(MAX_DEPTH + 1)) && expected::<Value>(&nested(MAX_DEPTH + 1)).is_none());
    let mut within = Json::new("[[]]", MAX_DEPTH - 1);
    assert!(Value::deserialize(&mut within).is_err());
    let objects = format!("{}1{}", "{\"a\":".repeat(200), "}".repeat(200));
    assert!(!check(&objects));
    assert!(!check(&"[".repeat(1_000_000)));
}

/// All strings of a record are kept while it is read.
#[test]
fn a_string_takes_little_more_than_it_has() {
    for text in ["\\n".to_owned(), "a".repeat(5_000) + "\\n", "\\n".repeat(5_000), "\\na".repeat(7)]
    {
        let json = format!("\"{text}\"");
        let (string, _) = read::<String>(&json).unwrap();
        let most = string.len() + string.len() / 2 + ROOM;
        assert!(string.capacity() <= most, "{} for {}", string.capacity(), string.len());
    }
}

/// A visitor may leave elements unread: that is no value.
#[test]
fn what_is_not_asked_for_is_not_passed_over() {
    assert!(read::<(u8, u8)>("[1,2,3]").is_none());
    assert_eq!(read::<Vec<Option<u8>>>("[1,null]"), Some((vec![Some(1), None], 8)));
}

fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "[a-z]{0,40}",
        "[a-c\"\\\\/<>&\u{e9}\u{1f600}\n\t\u{1}\u{7f}]{0,80}",
        ".{0,20}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((text.clone(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_serde_json_writes_is_taken(value in value(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        prop_assert!(check(&text.unwrap()));
    }

    #[test]
    fn what_is_taken_is_the_same(
        value in value(),
        edits in prop::collection::vec(
            (any::<prop::sample::Index>(), 0..3_usize, "[{}\\[\\]\",:\\\\0-9a-fu.eE+\\- \n\u{1}-]|true|\\\\u00|\\\\ud83d|\u{e9}"),
            1..4,
        ),
    ) {
        let mut text: Vec<char> = value.to_string().chars().collect();
        for (at, removed, added) in edits {
            let at = at.index(text.len() + 1);
            let end = (at + removed).min(text.len());
            text.splice(at..end, added.chars());
        }
        check(&text.into_iter().collect::<String>());
    }

    #[test]
    fn a_run_ends_where_a_string_may_not_go_on(
        bytes in prop::collection::vec(
            prop_oneof![20 => prop::num::u8::ANY, 4 => b' '..=b'#', 4 => b'['..=b']', 2 => 0..0x22_u8],
            0..160,
        ),
        from in 0..120_usize,
    ) {
        let plain = |byte: &u8| if is_end(byte) { b'x' } else { *byte };
        let text: Vec<u8> = bytes.iter().take(from).map(plain).chain(bytes.iter().skip(from).copied()).collect();
        let expected = text.iter().position(is_end).unwrap_or(text.len());
        prop_assert_eq!(plain_run(&text), expected, "{:?}", text);
    }
}
