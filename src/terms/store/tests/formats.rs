//! The bytes of the view.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::super::encoding::{self, CHECK_BYTES, RawEntry, Reader};
use super::super::page;
use crate::terms::fold::{Entry, OutboxRecord};

fn any_entry() -> impl Strategy<Value = Entry> {
    let time = || prop_oneof![any::<i64>(), 1_700_000_000_000..1_800_000_000_000i64, -3..3i64];
    let id = prop_oneof![
        any::<String>(),
        any::<[u8; 16]>().prop_map(|bytes| uuid::Uuid::from_bytes(bytes).to_string()),
        any::<[u8; 16]>().prop_map(|bytes| uuid::Uuid::from_bytes(bytes).simple().to_string()),
        any::<[u8; 16]>()
            .prop_map(|bytes| uuid::Uuid::from_bytes(bytes).to_string().to_uppercase()),
    ];
    (time(), time(), time(), id, any::<bool>(), any::<bool>()).prop_map(
        |(first_seen_ms, last_seen_ms, window_ms, first_event_id, raised, outcome_told)| Entry {
            first_seen_ms,
            last_seen_ms,
            window_ms,
            first_event_id,
            raised,
            outcome_told,
        },
    )
}

fn any_outbox_record() -> impl Strategy<Value = OutboxRecord> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..300);
    let headers = prop::collection::vec((any::<String>(), bytes()), 0..4);
    (bytes(), bytes(), prop::option::of(bytes()), headers).prop_map(
        |(key, payload, reduced, headers)| OutboxRecord { key, payload, reduced, headers },
    )
}

fn read_entry(bytes: &[u8]) -> Option<Entry> {
    let mut reader = Reader(bytes);
    let entry = RawEntry::read(&mut reader)?.to_entry()?;
    reader.0.is_empty().then_some(entry)
}

proptest! {
    #[test]
    fn an_entry_comes_back_as_it_was_written(entry in any_entry(), now in any::<i64>()) {
        let mut bytes = Vec::new();
        encoding::put_entry(&mut bytes, &entry);
        prop_assert_eq!(read_entry(&bytes), Some(entry.clone()));
        let raw = RawEntry::read(&mut Reader(&bytes)).unwrap();
        prop_assert_eq!(raw.is_expired(now), entry.is_expired(now));
        for cut in 0..bytes.len() {
            prop_assert_eq!(read_entry(&bytes[..cut]), None, "{} bytes", cut);
        }
    }

    #[test]
    fn an_outbox_record_comes_back_as_it_was_written(record in any_outbox_record()) {
        let mut bytes = Vec::new();
        encoding::put_outbox(&mut bytes, &record);
        prop_assert_eq!(encoding::read_outbox(&bytes), Some(record));
        for cut in 0..bytes.len() {
            prop_assert_eq!(encoding::read_outbox(&bytes[..cut]), None, "{} bytes", cut);
        }
        bytes.push(0);
        prop_assert_eq!(encoding::read_outbox(&bytes), None, "a byte more");
    }

    #[test]
    fn any_bytes_are_a_record_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(record) = encoding::read_outbox(&bytes) {
            let mut again = Vec::new();
            encoding::put_outbox(&mut again, &record);
            prop_assert_eq!(encoding::read_outbox(&again), Some(record));
        }
        read_entry(&bytes);
        for item in page::items(&bytes) {
            if item.is_none() {
                break;
            }
        }
    }

    /// Pages as they are added and taken away hold what a map holds, each entry where it is
    /// looked for.
    #[test]
    fn pages_hold_what_a_map_holds(
        steps in prop::collection::vec(
            (prop::collection::vec((0..400u32, any_entry()), 0..40), 1..40u32, 0..4u32),
            1..12,
        ),
    ) {
        let mut model: HashMap<u32, Entry> = HashMap::new();
        let mut pages: BTreeMap<u32, Vec<u8>> = BTreeMap::from([(0, page::empty())]);
        let hash_of = |term: u32| page::term_hash(&term.to_be_bytes());
        for (changes, count, forgotten) in steps {
            let changes: HashMap<u32, Entry> = changes.into_iter().collect();
            let mut sorted: Vec<_> =
                changes.iter().map(|(term, entry)| (hash_of(*term), entry)).collect();
            sorted.sort_unstable_by_key(|(hash, _)| *hash);
            let number = u32::try_from(pages.len()).unwrap();
            for (page_number, bytes) in &mut pages {
                let own: Vec<_> = sorted
                    .iter()
                    .copied()
                    .filter(|(hash, _)| page::page_of(hash, number) == *page_number)
                    .collect();
                let known = own.iter().filter(|(hash, _)| {
                    page::find(&bytes[CHECK_BYTES..], hash).unwrap().is_some()
                });
                let new = own.len() - known.count();
                let (merged, added) = page::merged(&bytes[CHECK_BYTES..], &own).unwrap();
                prop_assert_eq!(added, u64::try_from(new).unwrap());
                *bytes = merged;
            }
            model.extend(changes);
            // Some are forgotten.
            model.retain(|term, _| term % 4 >= forgotten);
            for bytes in pages.values_mut() {
                let kept: Vec<_> = model.keys().map(|term| hash_of(*term)).collect();
                *bytes = page::parted(&bytes[CHECK_BYTES..], |hash, _| kept.contains(hash))
                    .unwrap()
                    .0;
            }
            while u32::try_from(pages.len()).unwrap() < count {
                let added = u32::try_from(pages.len()).unwrap();
                let from = page::divided_from(added);
                let (kept, moved, _) = page::parted(&pages[&from][CHECK_BYTES..], |hash, _| {
                    page::page_of(hash, added + 1) == from
                })
                .unwrap();
                pages.insert(from, kept);
                pages.insert(added, moved);
            }
            while u32::try_from(pages.len()).unwrap() > count {
                let (last, other) = pages.pop_last().unwrap();
                let one = &pages[&page::divided_from(last)];
                let joined = page::joined(&one[CHECK_BYTES..], &other[CHECK_BYTES..]).unwrap();
                pages.insert(page::divided_from(last), joined);
            }
            let mut found = 0;
            for (page_number, bytes) in &pages {
                found += page::verified(&bytes[CHECK_BYTES..], *page_number, count).unwrap();
            }
            prop_assert_eq!(found, u64::try_from(model.len()).unwrap());
            for (term, entry) in &model {
                let hash = hash_of(*term);
                let bytes = &pages[&page::page_of(&hash, count)];
                prop_assert_eq!(
                    page::find(&bytes[CHECK_BYTES..], &hash),
                    Some(Some(entry.clone()))
                );
            }
        }
    }
}

#[test]
fn a_page_out_of_order_or_elsewhere_is_not_taken() {
    let entry = Entry {
        first_seen_ms: 1,
        last_seen_ms: 2,
        window_ms: 3,
        first_event_id: "a".to_owned(),
        raised: false,
        outcome_told: false,
    };
    let hashes = [[1; 16], [2; 16]];
    let two = |first: usize, second: usize| {
        let one = page::merged(&[], &[(hashes[first], &entry)]).unwrap().0;
        let other = page::merged(&[], &[(hashes[second], &entry)]).unwrap().0;
        [&one[CHECK_BYTES..], &other[CHECK_BYTES..]].concat()
    };
    assert_eq!(page::verified(&two(0, 1), 0, 1), Some(2));
    assert_eq!(page::verified(&two(1, 0), 0, 1), None, "out of order");
    assert_eq!(page::verified(&two(1, 1), 0, 1), None, "twice");
    assert_eq!(page::verified(&two(0, 1), 0, 2), None, "one belongs to page 1");
    assert_eq!(page::verified(&two(0, 1)[..40], 0, 1), None, "cut");
}

#[test]
fn the_number_of_pages_follows_that_of_entries_without_hurry() {
    let full = page::ENTRIES_A_PAGE;
    for (entries, pages, wanted) in [
        (0, 1, 1),
        (full, 1, 1),
        (full + 1, 1, 2),
        (full * 1_000, 1, 1_000),
        (full * 500, 1_000, 1_000),
        (full * 250, 1_000, 1_000),
        (full * 249, 1_000, 996),
        (0, 1_000, 1),
    ] {
        assert_eq!(page::pages_wanted(entries, pages), wanted, "{entries} in {pages}");
    }
}

#[test]
fn an_entry_is_small() {
    let entry = Entry {
        first_seen_ms: 1_790_000_000_000,
        last_seen_ms: 1_790_000_000_000 + 86_400_000,
        window_ms: 7 * 86_400_000,
        first_event_id: "c0ffee01-0000-4000-8000-000000000001".to_owned(),
        raised: true,
        outcome_told: true,
    };
    let mut bytes = Vec::new();
    encoding::put_entry(&mut bytes, &entry);
    assert_eq!(bytes.len(), 1 + 6 + 4 + 5 + 16);
}

#[test]
fn a_sealed_value_opens_under_its_own_key_only() {
    let (check, value) = encoding::seal(b"key", [0, 0, 0, 0, b'v'].to_vec());
    assert_eq!(encoding::open(b"key", &value), Some((check, &b"v"[..])));
    assert_eq!(encoding::open(b"kez", &value), None);
    for bit in 0..value.len() * 8 {
        let mut bad = value.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(encoding::open(b"key", &bad), None, "bit {bit}");
    }
    assert_eq!(encoding::open(b"key", &value[..3]), None);
}

#[test]
fn numbers_longer_than_they_can_be_are_refused() {
    let mut most = Vec::new();
    encoding::put_number(&mut most, u64::MAX);
    assert_eq!(Reader(&most).number(), Some(u64::MAX));
    assert_eq!(Reader(&[0xff; 11]).number(), None);
    most[9] = 2;
    assert_eq!(Reader(&most).number(), None, "65 bits");
    assert_eq!(Reader(&[0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2]).bytes(), None, "4 GB of 2 bytes");
}
