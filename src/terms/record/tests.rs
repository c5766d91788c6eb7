use proptest::prelude::*;

use super::*;
use crate::terms::testing::{marker, observation};

/// Strings that try to look like parts of a key: quotes, brackets, separators, escapes, NUL.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        "[\"\\[\\],\\\\ab\u{0}\u{e9}\u{1f600}]{0,6}",
        Just(r#"","#.to_owned()),
        Just(r#"["marker"]"#.to_owned()),
        Just("term".to_owned()),
        any::<String>(),
    ]
}

fn with_key(rule: String, version: String, cluster: String, terms: Vec<String>) -> Observation {
    let mut observation = observation("u", "t", "e", None);
    let mut info = (*observation.rule).clone();
    info.id = rule;
    observation.rule = std::sync::Arc::new(info);
    observation.terms_version = version;
    observation.cluster = cluster;
    observation.terms = terms;
    observation
}

#[test]
fn an_observation_comes_back_as_it_was_written() {
    let mut full = observation("Zoë \"x\"\n", "secrets", "event-1", Some(201));
    full.history = true;
    full.event.verb = Some("get".into());
    for observation in [observation("", "", "e", None), full] {
        let (key_bytes, value_bytes) = (key(&observation), value(&observation).unwrap());
        assert_eq!(
            decode(Some(&key_bytes), Some(&value_bytes)).unwrap(),
            Record::Observation {
                key: key_bytes.clone(),
                sighting: Sighting::of(&observation),
                value: value_bytes.clone(),
            }
        );
        assert_eq!(super::observation(&key_bytes, &value_bytes).unwrap(), observation);
    }
}

#[test]
fn a_key_reads_as_rule_version_cluster_and_terms() {
    let key = key(&observation("kubernetes-admin", "secrets", "e", None));
    assert_eq!(
        String::from_utf8(key).unwrap(),
        r#"["term","rule","rule@1","c1",["kubernetes-admin","secrets"]]"#
    );
}

#[test]
fn a_marker_comes_back_as_it_was_written() {
    for marker in [marker("a", &[]), marker("b", &[("rule@1", 5), ("other@2", i64::MAX)])] {
        let value = marker_value(&marker).unwrap();
        assert_eq!(decode(Some(marker_key()), Some(&value)).unwrap(), Record::Marker(marker));
    }
}

#[test]
fn a_record_without_a_value_is_a_tombstone_whatever_its_key() {
    for key in [None, Some(marker_key()), Some(&b"\xff\x00"[..])] {
        assert_eq!(decode(key, None).unwrap(), Record::Tombstone);
    }
}

#[test]
fn refuses_what_is_not_ours() {
    let observation = observation("u", "t", "e", None);
    let (good_key, good_value) = (key(&observation), value(&observation).unwrap());
    let mut other = observation.clone();
    other.terms = vec!["somebody else".to_owned(), "t".to_owned()];
    let respaced = String::from_utf8(good_key.clone()).unwrap().replace(",", ", ");
    type IsExpected = fn(&DecodeError) -> bool;
    type Case<'c> = (Option<&'c [u8]>, &'c [u8], IsExpected);
    let cases: [Case<'_>; 8] = [
        (None, &good_value, |error| matches!(error, DecodeError::NoKey)),
        (Some(b""), &good_value, |error| matches!(error, DecodeError::Key)),
        (Some(b"[\"other\",1]"), &good_value, |error| matches!(error, DecodeError::Key)),
        (Some(respaced.as_bytes()), &good_value, |error| matches!(error, DecodeError::Mismatch)),
        (Some(&good_key), b"", |error| matches!(error, DecodeError::Value { .. })),
        (Some(&good_key), b"{}", |error| matches!(error, DecodeError::Value { .. })),
        (Some(marker_key()), &good_value, |error| matches!(error, DecodeError::Value { .. })),
        (Some(&key(&other)), &good_value, |error| matches!(error, DecodeError::Mismatch)),
    ];
    for (key, value, is_expected) in cases {
        // No alert is made of any, and what has no place in the state is not folded either.
        let error = match decode(key, Some(value)) {
            Ok(Record::Observation { key, value, .. }) => super::observation(&key, &value).err(),
            other => other.err(),
        };
        assert!(error.as_ref().is_some_and(is_expected), "{key:?}: {error:?}");
    }
}

/// The expected numbers come from another implementation:
/// `int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % partitions`.
#[test]
fn the_partition_of_a_shard_key_never_changes() {
    let vectors: [(&str, [u32; 5]); 8] = [
        ("", [0, 0, 1, 4, 20]),
        ("a", [0, 0, 1, 10, 458]),
        ("system:serviceaccount:kube-system:default", [0, 1, 1, 1, 633]),
        ("kubernetes-admin", [0, 1, 2, 11, 859]),
        ("Zoë", [0, 0, 2, 8, 272]),
        ("用户", [0, 1, 1, 7, 119]),
        ("a\0b", [0, 1, 2, 11, 467]),
        (&"x".repeat(1_000), [0, 1, 0, 3, 515]),
    ];
    for (key, expected) in vectors {
        let found = [1, 2, 3, 12, 1_024].map(|partitions| partition_for(key, partitions));
        assert_eq!(found, expected, "{key:?}");
    }
    assert_eq!(partition_for("a", 0), 0, "no partitions is no reason to divide by zero");
}

proptest! {
    #[test]
    fn two_terms_never_share_a_key(
        a in (hostile(), hostile(), hostile(), prop::collection::vec(hostile(), 0..4)),
        b in (hostile(), hostile(), hostile(), prop::collection::vec(hostile(), 0..4)),
    ) {
        let key_of = |(rule, version, cluster, terms): (String, String, String, Vec<String>)| {
            key(&with_key(rule, version, cluster, terms))
        };
        let (key_a, key_b) = (key_of(a.clone()), key_of(b.clone()));
        prop_assert_eq!(a == b, key_a == key_b);
        prop_assert_ne!(&key_a[..], marker_key());
        prop_assert!(key_a.starts_with(br#"["term","#));
    }

    /// Moving a boundary between neighbouring parts makes another key.
    #[test]
    fn the_boundaries_of_a_key_count(text in hostile(), cut in any::<prop::sample::Index>()) {
        let chars: Vec<char> = text.chars().collect();
        let at = cut.index(chars.len() + 1);
        let split = vec![chars[..at].iter().collect::<String>(), chars[at..].iter().collect()];
        let key_of = |terms| key(&with_key("r".into(), "v".into(), "c".into(), terms));
        prop_assert_ne!(key_of(vec![text]), key_of(split));
    }

    #[test]
    fn hostile_observations_come_back(
        parts in (hostile(), hostile(), hostile(), prop::collection::vec(hostile(), 0..4)),
    ) {
        let observation = with_key(parts.0, parts.1, parts.2, parts.3);
        let (key_bytes, value_bytes) = (key(&observation), value(&observation).unwrap());
        let expected = Record::Observation {
            key: key_bytes.clone(),
            sighting: Sighting::of(&observation),
            value: value_bytes.clone(),
        };
        prop_assert_eq!(decode(Some(&key_bytes), Some(&value_bytes)).unwrap(), expected);
        prop_assert_eq!(super::observation(&key_bytes, &value_bytes).unwrap(), observation);
    }

    /// Arbitrary bytes, and valid records with one byte changed or cut short: an error or a
    /// record, never a panic.
    #[test]
    fn decoding_survives_any_bytes(
        key_bytes in prop::option::of(prop::collection::vec(any::<u8>(), 0..40)),
        value_bytes in prop::option::of(prop::collection::vec(any::<u8>(), 0..80)),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let _ = decode(key_bytes.as_deref(), value_bytes.as_deref());
        let _ = decode(Some(marker_key()), value_bytes.as_deref());
        let observation = observation("u", "t", "e", Some(200));
        let (good_key, good_value) = (key(&observation), value(&observation).unwrap());
        let _ = decode(Some(&good_key), value_bytes.as_deref());
        let mut changed = good_value.clone();
        let index = at.index(changed.len());
        changed[index] = byte;
        if let Ok(observation) = super::observation(&good_key, &changed) {
            // What makes an alert can be folded, and means the same there.
            let Ok(Record::Observation { key: decoded, sighting, .. }) =
                decode(Some(&good_key), Some(&changed))
            else {
                panic!("an observation that can't be folded")
            };
            prop_assert_eq!(decoded, key(&observation));
            prop_assert_eq!(sighting, Sighting::of(&observation));
        }
        prop_assert!(decode(Some(&good_key), Some(&good_value[..index])).is_err());
    }

    #[test]
    fn every_key_has_a_partition_of_the_topic(key in any::<String>(), partitions in 1u32..2_000) {
        prop_assert!(partition_for(&key, partitions) < partitions);
    }
}

#[test]
fn a_reduced_observation_is_small_and_means_the_same() {
    let mut observation = crate::alert::fixtures::secret_read("ResponseComplete");
    observation.event.source_ips = Some(vec![crate::audit::event::Text::from("10.0.0.1"); 200_000]);
    observation.event.request_uri = Some("\u{1}".repeat(300_000).into());
    let reduced = reduced_value(&observation).unwrap();
    assert!(reduced.len() < 600_000, "{}", reduced.len());
    let read = super::observation(&key(&observation), &reduced).unwrap();
    assert_eq!(read.terms, observation.terms);
    assert_eq!(read.event_id, observation.event_id);
    assert_eq!(read.event.verb, observation.event.verb);
    assert_eq!(read.event.stage, observation.event.stage);
}
