//! The identity of an alert: a pure function of what raised it.
//!
//! A replay, another instance and `scan` arrive at the same id, so a sink that stores by id ends
//! with each alert once. Nothing of a process, a clock or an offset may enter.
//!
//! # Formula
//! SHA-256 over a sequence of parts, each written as its length in bytes (64 bits, big-endian)
//! and its UTF-8 text; the first part is a tag that names the kind of alert and the version of
//! the formula. A list is its number of elements (64 bits, big-endian), then the elements. The
//! lengths make the encoding injective: no two different inputs give the same bytes to hash. The
//! id is the first 128 bits as 32 lower-case hexadecimal digits.
//!
//! # Why 128 bits
//! By the birthday bound, n ids collide with a probability of about n² / 2¹²⁹: for a million
//! million alerts that is 10⁻¹⁵. Users choose parts of the input (a user agent). To overwrite an
//! alert that is already stored they would need a second preimage, 2¹²⁸ work; to prepare two
//! of their own that share an id, 2⁶⁴, which gains them one alert fewer. 32 digits still fit in a
//! log line and in every sink's key.

use sha2::{Digest, Sha256};

const EVENT_TAG: &str = "kubetell.alert.event.v1";
const TERMS_TAG: &str = "kubetell.alert.terms.v1";
const ID_BYTES: usize = 16;

/// The id of a stateless rule's alert: one for each rule and event, whatever its stages.
pub fn for_event(cluster: &str, rule_id: &str, event_id: &str) -> String {
    let mut hash = Sha256::new();
    for part in [EVENT_TAG, cluster, rule_id, event_id] {
        put(&mut hash, part);
    }
    shorten(hash)
}

/// The id of a new-terms alert: one for each rule, terms and event that opened their window.
/// `terms` are the values in the order of the rule's fields.
pub fn for_terms(cluster: &str, rule_id: &str, terms: &[String], first_event_id: &str) -> String {
    let mut hash = Sha256::new();
    for part in [TERMS_TAG, cluster, rule_id] {
        put(&mut hash, part);
    }
    put_length(&mut hash, terms.len());
    for term in terms {
        put(&mut hash, term);
    }
    put(&mut hash, first_event_id);
    shorten(hash)
}

fn put_length(hash: &mut Sha256, length: usize) {
    hash.update((length as u64).to_be_bytes());
}

fn put(hash: &mut Sha256, part: &str) {
    put_length(hash, part.len());
    hash.update(part.as_bytes());
}

fn shorten(hash: Sha256) -> String {
    hash.finalize()[..ID_BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(terms: &[&str]) -> Vec<String> {
        terms.iter().map(|term| (*term).to_owned()).collect()
    }

    /// Computed from the formula in the module's header with another SHA-256 (Python's hashlib).
    #[test]
    fn event_ids_equal_the_published_vectors() {
        for (cluster, rule, event, want) in [
            (
                "prod-eu-1",
                "pod-exec-sensitive-path",
                "a472e9b9-0069-42bf-9dd3-b9d9e3c02c85",
                "3094521083dd0608cb4401ce9e86d420",
            ),
            ("", "", "", "2b97eb9c9190f45ed4863acb3615e6f7"),
            ("größe", "規則", "\n\0", "ca1a8869dba47a8fb52915e56df0f62b"),
        ] {
            assert_eq!(for_event(cluster, rule, event), want);
        }
    }

    /// Computed as above.
    #[test]
    fn terms_ids_equal_the_published_vectors() {
        for (cluster, rule, terms, event, want) in [
            (
                "prod-eu-1",
                "secret-access-unusual-client",
                &["203.0.113.9", "jane", "curl/8.4.0"][..],
                "0b7c1d9e-5f7a-4b52-9a55-7d0f2f6f9d11",
                "e303dabf0033491bbe5553e7e721e0e1",
            ),
            ("c", "r", &[], "e", "cc4faaac7dd8d23be8a63f7668f78bf8"),
            ("c", "r", &["a", "b"], "e", "c4892ba7f7292d167f800374a8a80fdf"),
            ("c", "r", &["ab"], "e", "f92c1b808a8f5abcae4a3e193347c93e"),
        ] {
            assert_eq!(for_terms(cluster, rule, &strings(terms), event), want);
        }
    }

    #[test]
    fn moving_text_between_parts_changes_the_id() {
        assert_ne!(for_event("ab", "c", "d"), for_event("a", "bc", "d"));
        assert_ne!(
            for_terms("c", "r", &strings(&["a", "e"]), "e"),
            for_terms("c", "r", &strings(&["a"]), "e")
        );
        assert_ne!(for_event("c", "r", "e"), for_terms("c", "r", &[], "e"));
    }
}
