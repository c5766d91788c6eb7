//! Records that someone wrote to do harm, and records that were damaged on their way.

use proptest::prelude::*;

use super::*;

#[test]
fn bounds_hold() {
    let deep_list = "[".repeat(1_000_000);
    let deep_object = "{\"a\":".repeat(1_000_000);
    let deep_log = "{\"log\":".repeat(1_000_000);
    let deep_extra = format!("{{\"user\":{{\"extra\":{deep_object}");
    for deep in [&deep_list, &deep_object, &deep_log, &deep_extra] {
        assert_eq!(shape(deep), ["too-deep"]);
    }
    let closed = format!("{}{EVENT}{}", "[".repeat(100), "]".repeat(100));
    assert_eq!(shape(closed), ["nested-too-deep"]);
    let mut nested = EVENT.to_owned();
    for _ in 0..limits::WRAPPER_MAX_DEPTH {
        nested = format!("{{\"log\":{}}}", quoted(&nested));
    }
    assert_eq!(shape(&nested), ["+"]);
    assert_eq!(shape(format!("{{\"log\":{}}}", quoted(&nested))), ["nested-too-deep"]);

    assert_eq!(shape(vec![b' '; limits::RECORD_MAX_BYTES + 1]), ["too-large"]);
    assert_eq!(shape(""), ["empty"]);
    assert_eq!(shape(" \n"), ["empty"]);

    let many = format!("[{}0]", "0,".repeat(limits::RECORD_MAX_ITEMS));
    assert_eq!(shape(many), ["too-many-items"]);
    let lines = shape("{}\n".repeat(limits::RECORD_MAX_ITEMS + 5));
    assert_eq!(lines.len(), limits::RECORD_MAX_ITEMS + 1);
    assert_eq!(lines.last(), Some(&"too-many-items"));
}

#[test]
fn lists_within_strings_within_lists_do_not_exhaust_the_stack() {
    let mut nested = EVENT.to_owned();
    for _ in 0..limits::WRAPPER_MAX_DEPTH {
        nested = quoted(&format!("{}{nested}{}", "[".repeat(14), "]".repeat(14)));
    }
    assert_eq!(shape(&nested), ["+"]);
}

#[test]
fn text_that_never_closes_is_not_read_again_from_each_line() {
    for line in ["[\n", "{\"a\":\n", "[[[1,\n"] {
        let shape = shape(line.repeat(1_000_000));
        assert!(shape.len() < 10, "{line:?}: {}", shape.len());
    }
}

#[test]
fn compression_is_bounded_and_errors_are_told_apart() {
    let bomb = gzip(&vec![b' '; limits::DECOMPRESSED_FREE_BYTES + 1]);
    assert_eq!(shape(&bomb), ["decompression-limit"]);
    let lambda = |data: &str| format!(r#"{{"awslogs":{{"data":"{data}"}}}}"#);
    assert_eq!(shape(lambda(&base64(&bomb))), ["decompression-limit"]);
    // Once the budget is spent, the next part of the same record gets none.
    let twice = format!("[{0},{0},{1}]", lambda(&base64(&bomb)), lambda(&base64(&gzip(b"{}"))));
    assert_eq!(shape(twice), ["decompression-limit"; 3]);
    let members = [gzip(EVENT.as_bytes()), gzip(b"\n"), gzip(EVENT.as_bytes())].concat();
    assert_eq!(shape(&members), ["+", "+"]);
    assert_eq!(shape(&members[..20]), ["truncated"]);
    let mut damaged = gzip(EVENT.as_bytes());
    let last = damaged.len() - 6;
    damaged[last] ^= 1;
    assert_eq!(shape(&damaged), ["bad-compression"]);
    assert_eq!(shape(lambda("***")), ["bad-base64"]);
    assert_eq!(shape(lambda("")), ["empty"]);
    assert_eq!(shape(lambda(base64(EVENT.as_bytes()).trim_end_matches('='))), ["+"]);
}

#[test]
fn error_texts_hold_no_content_of_the_record() {
    let secret = "hunter2";
    for record in [
        format!("{{\"auditID\":[\"{secret}\"]}}"),
        format!("{{\"kind\":\"{secret}\"}}"),
        secret.to_owned(),
        format!("{{\"log\":\"{secret}\"}}"),
        format!("{{\"auditID\":\"a\",\"user\":\"{secret}\",\"{secret}\":{secret}}}"),
        format!("{{\"awslogs\":{{\"data\":\"{secret}!\"}}}}"),
    ] {
        read(record.as_bytes(), None, &mut |_, outcome| match outcome {
            Outcome::Unreadable(error) => {
                assert!(!error.to_string().contains(secret), "{error}");
            }
            other => panic!("{record}: {other:?}"),
        });
    }
}

#[test]
fn fields_are_found_by_pointer() {
    let record = r#"{"a":{"b/c":["x",{"d":7}],"~":1.5},"t":true,"e":"é\n","e2":null}"#;
    for (pointer, expected) in [
        ("/a/b~1c/0", Some("x")),
        ("/a/b~1c/1/d", Some("7")),
        ("/a/~0", Some("1.5")),
        ("/e", Some("é\n")),
        ("/e2", None),
        ("/t", None),
        ("/a", None),
        ("", None),
        ("a", None),
        ("/a/b~1c/01", None),
        ("/a/b~1c/9", None),
        ("/none/at/all", None),
    ] {
        assert_eq!(field_at(record.as_bytes(), pointer).as_deref(), expected, "{pointer}");
        assert_eq!(field_at(&gzip(record.as_bytes()), pointer).as_deref(), expected, "{pointer}");
    }
    assert_eq!(field_at(b"\"top\"", "").as_deref(), Some("top"));
    assert_eq!(field_at("[".repeat(1_000_000).as_bytes(), &"/0".repeat(1_000)), None);
}

#[test]
fn every_strict_prefix_of_a_fixture_is_unreadable_somewhere() {
    for (name, bytes) in all_fixtures() {
        for end in 0..bytes.len() {
            let all = seen(&bytes[..end]);
            let unreadable = all.iter().any(|seen| matches!(seen, Seen::Unreadable(_)));
            assert!(unreadable, "{name} cut at {end}: {all:?}");
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_have_an_outcome(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        seen(&bytes);
        field_at(&bytes, "/a/0");
    }

    #[test]
    fn arbitrary_json_like_text_has_an_outcome(
        parts in proptest::collection::vec(
            prop_oneof![
                Just("{"), Just("}"), Just("["), Just("]"), Just(","), Just(":"), Just("\n"),
                Just("\"log\""), Just("\"message\""), Just("\"auditID\""), Just("\"items\""),
                Just("\"data\""), Just("\"protoPayload\""), Just("\"user\""), Just("\"verb\""),
                Just("\"{}\""), Just("null"), Just("1e9"), Just("\"\\u00e9\""),
            ],
            0..60,
        )
    ) {
        seen(parts.concat());
    }

    #[test]
    fn flipped_and_cut_fixtures_have_an_outcome(
        which in any::<prop::sample::Index>(),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), 0..8_u32), 0..6),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let all = all_fixtures();
        let mut bytes = which.get(&all).1.clone();
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        seen(&bytes);
        for wrapper in Wrapper::ALL {
            seen_as(&bytes, Some(wrapper));
        }
    }
}
