use proptest::prelude::*;

use super::*;

const WORDS: [&str; 4] = ["\"exec", ".exec", "/exec", "\"data\""];

/// The words alone, and beside so many others that an automaton has to look for them.
fn either() -> [Needles; 2] {
    let words = WORDS.map(str::to_owned).to_vec();
    let others = (0..100).map(|number| format!("\"other-{number}\""));
    [Needles::of(words.clone()), Needles::of(words.iter().cloned().chain(others).collect())]
}

/// What the search is for, looked at one place after another.
fn holds(record: &[u8]) -> bool {
    (0..record.len()).any(|at| {
        let rest = record.get(at..).unwrap();
        let tells = |digits: &[u8]| {
            let Some(digits) = digits.get(..2).and_then(|two| std::str::from_utf8(two).ok()) else {
                return true;
            };
            match u8::from_str_radix(digits, 16) {
                Ok(byte) => {
                    matches!(byte, b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z')
                        || matches!(byte, b'"' | b'\\' | b'/' | b'.' | b'-' | b'_')
                }
                Err(_) => true,
            }
        };
        WORDS.iter().any(|word| rest.starts_with(word.as_bytes()))
            || rest.strip_prefix(b"\\u00").is_some_and(tells)
    })
}

#[test]
fn few_needles_are_looked_for_by_packed_comparisons_and_many_by_an_automaton() {
    let [few, many] = either();
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("ssse3") {
        assert!(matches!(few, Needles::Some(Search::Packed(_, 5))), "{few:?}");
    }
    assert!(matches!(many, Needles::Some(Search::Automaton(_))));
}

/// Each of the 256 escapes, in each spelling, where it stands alone and where another one comes first.
#[test]
fn an_escape_tells_by_its_character_alone() {
    for needles in either() {
        for byte in 0..=u8::MAX {
            for digits in [format!("{byte:02x}"), format!("{byte:02X}")] {
                let record =
                    format!(r"[\u00{digits}: here is more than a vector takes, \u2028 too]");
                assert_eq!(needles.are_in(record.as_bytes()), holds(record.as_bytes()), "{record}");
                for before in [r"\u0026", r"\\u003c", r"\u\u003e"] {
                    let record = format!("{before}{record}");
                    assert_eq!(
                        needles.are_in(record.as_bytes()),
                        holds(record.as_bytes()),
                        "{record}"
                    );
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn finds_what_a_plain_search_finds(
        parts in prop::collection::vec(
            prop_oneof![
                4 => prop::sample::select(vec![
                    "\\u00", "\\u0026", "\\u003c", "\\u003E", "\\u0065", "\\u00zz", "\\u001", "\\u0", "\\u",
                    "\\", "u00", "00", "2", "e", "\"", "\"exec", ".exe", "exec", "/exec", "\"data", "\"data\"", "\"other-7\"",
                ]).prop_map(str::to_owned),
                2 => "[ -~]{0,40}",
                1 => "\\PC{0,4}",
            ],
            0..12,
        ),
        cut in any::<prop::sample::Index>(),
    ) {
        let record = parts.concat().into_bytes();
        let [few, many] = either();
        for record in [&*record, record.get(..cut.index(record.len() + 1)).unwrap()] {
            prop_assert_eq!(few.are_in(record), holds(record), "{}", String::from_utf8_lossy(record));
            let other = b"\"other-7\"";
            let holds = holds(record) || record.windows(other.len()).any(|part| part == other);
            prop_assert_eq!(many.are_in(record), holds, "{}", String::from_utf8_lossy(record));
        }
    }
}
