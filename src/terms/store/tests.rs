//! sled against its twin in memory.

use std::path::Path;

use proptest::prelude::*;

use super::memory::MemoryStore;
use super::open::{Expectation, Opened};
use super::sled::SledStore;
use super::*;
use crate::faults::{Fault, Faults};
use crate::terms::testing::marker;

mod damage;
mod formats;
mod opening;

fn expectation(topic: &str, partitions: u32) -> Expectation {
    Expectation { topic: topic.to_owned(), partitions, group: "g".to_owned() }
}

fn open(directory: &Path) -> Opened {
    SledStore::open(directory, &expectation("o", 3)).unwrap()
}

fn entry(last_seen_ms: i64) -> Entry {
    Entry {
        first_seen_ms: 1,
        last_seen_ms,
        window_ms: 1_000,
        first_event_id: format!("event-{last_seen_ms}"),
        raised: true,
        outcome_told: false,
    }
}

fn outbox_record(number: i64) -> OutboxRecord {
    OutboxRecord {
        key: number.to_be_bytes().to_vec(),
        // Long enough for some hundred of them to fill several of sled's segments.
        payload: [0xff, 0, b'"'].repeat(1_000),
        reduced: None,
        headers: vec![("h".to_owned(), vec![0xfe])],
    }
}

fn batch(next: i64, entries: &[(&[u8], i64)], outbox: &[i64], prune_below: Option<i64>) -> Batch {
    Batch {
        state: PartitionState {
            next,
            last_append_ms: next * 3,
            marker: Some(marker("log", &[("a@1", next)])),
            ..PartitionState::default()
        },
        entries: entries.iter().map(|(key, at)| (key.to_vec(), entry(*at))).collect(),
        outbox: outbox.iter().map(|offset| (*offset, outbox_record(*offset))).collect(),
        prune_below,
    }
}

#[derive(Debug, Clone)]
enum Operation {
    Begin(u64),
    Apply(u64, Batch),
    Clear(u64),
    Sweep(u64, i64, usize),
    Outbox(i64, i64),
    Entry(Vec<u8>),
}

const TERMS: [&[u8]; 5] = [b"", b"a", b"ab", b"\x00", b"\xff\xff\xff\xff\xff"];

fn operation() -> impl Strategy<Value = Operation> {
    let epoch = || prop::sample::select(vec![0u64, 1, 1, 1, 2]);
    let offset = || prop::sample::select(vec![-1i64, 0, 1, 2, 255, 256, 1 << 40, i64::MAX]);
    let applied = (
        0..1_000i64,
        prop::collection::vec((prop::sample::select(TERMS.to_vec()), 0..5_000i64), 0..4),
        prop::collection::vec(prop::sample::select(vec![0i64, 1, 2, 255, 256, 1 << 40]), 0..4),
        prop::option::of(offset()),
    )
        .prop_map(|(next, entries, mut outbox, prune)| {
            // Ascending, as a fold writes them; one offset may hold several.
            outbox.sort_unstable();
            batch(next, &entries, &outbox, prune)
        });
    prop_oneof![
        1 => epoch().prop_map(Operation::Begin),
        6 => (epoch(), applied).prop_map(|(epoch, batch)| Operation::Apply(epoch, batch)),
        1 => epoch().prop_map(Operation::Clear),
        2 => (epoch(), 0..4_000_000i64, 1..4usize)
            .prop_map(|(epoch, now, max)| Operation::Sweep(epoch, now, max)),
        2 => (offset(), offset()).prop_map(|(from, below)| Operation::Outbox(from, below)),
        2 => prop::sample::select(TERMS.to_vec()).prop_map(|key| Operation::Entry(key.to_vec())),
    ]
}

/// What an operation answered, in words; sweeping goes on to the end.
fn answer(store: &dyn Store, partition: i32, operation: &Operation) -> String {
    match operation {
        Operation::Begin(epoch) => {
            store.begin(partition, *epoch);
            String::new()
        }
        Operation::Apply(epoch, batch) => format!("{:?}", store.apply(partition, *epoch, batch)),
        Operation::Clear(epoch) => format!("{:?}", store.clear(partition, *epoch)),
        Operation::Sweep(epoch, now, max) => {
            // How far each call comes is the store's own affair.
            let mut cursor = None;
            loop {
                match store.sweep(partition, *epoch, *now, cursor, *max) {
                    Ok(Some(next)) => cursor = Some(next),
                    end => return format!("{end:?}"),
                }
            }
        }
        Operation::Outbox(from, below) => format!("{:?}", store.outbox(partition, *from, *below)),
        Operation::Entry(key) => format!("{:?}", store.entry(partition, key)),
    }
}

fn contents(store: &dyn Store, partition: i32) -> String {
    let entries: Vec<_> = TERMS.iter().map(|key| store.entry(partition, key)).collect();
    format!("{:?} {entries:?} {:?}", store.load(partition), store.outbox(partition, 0, i64::MAX))
}

const PARTITIONS: [i32; 4] = [0, 1, 256, i32::MAX];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_twins_answer_alike(
        operations in prop::collection::vec(
            (prop::sample::select(PARTITIONS.to_vec()), operation()),
            1..60,
        ),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let sled = open(directory.path()).store;
        let memory = MemoryStore::default();
        for partition in PARTITIONS {
            for store in [&sled as &dyn Store, &memory] {
                store.begin(partition, 1);
            }
        }
        for (partition, operation) in &operations {
            prop_assert_eq!(
                answer(&sled, *partition, operation),
                answer(&memory, *partition, operation),
                "{} {:?}", partition, operation
            );
        }
        for partition in PARTITIONS {
            prop_assert_eq!(contents(&sled, partition), contents(&memory, partition));
        }
        // And after the directory was closed and opened again.
        drop(sled);
        let opened = open(directory.path());
        prop_assert_eq!(opened.set_aside, None);
        for partition in PARTITIONS {
            prop_assert_eq!(contents(&opened.store, partition), contents(&memory, partition));
        }
    }
}

fn with_each(check: impl Fn(&dyn Store)) {
    check(&MemoryStore::default());
    let directory = tempfile::tempdir().unwrap();
    check(&open(directory.path()).store);
}

#[test]
fn only_the_current_epoch_writes() {
    with_each(|store| {
        store.begin(0, 4);
        store.begin(1, 9);
        store.apply(0, 4, &batch(1, &[(b"a", 5)], &[0], None)).unwrap();
        let before = contents(store, 0);
        store.begin(0, 5);
        for past in [0, 4, 6, 9] {
            let refused = [
                store.apply(0, past, &batch(2, &[(b"a", 6)], &[1], Some(9))).err(),
                store.clear(0, past).err(),
                store.sweep(0, past, i64::MAX, None, 9).err(),
            ];
            for error in refused {
                assert!(matches!(error, Some(StoreError::PastEpoch)), "{past}: {error:?}");
            }
            assert_eq!(contents(store, 0), before);
        }
        store.apply(0, 5, &batch(2, &[(b"a", 6)], &[1], Some(1))).unwrap();
        assert_eq!(store.entry(0, b"a").unwrap(), Some(entry(6)));
        assert_eq!(store.outbox(0, 0, 9).unwrap(), [(1, outbox_record(1))]);
    });
}

#[test]
fn a_snapshot_stays_as_it_was_and_holds_no_epochs() {
    let store = MemoryStore::default();
    store.begin(0, 1);
    store.begin(1, 1);
    store.apply(0, 1, &batch(1, &[(b"a", 5)], &[0], None)).unwrap();
    let (snapshot, before) = (store.snapshot(), contents(&store, 0));
    store.apply(0, 1, &batch(2, &[(b"b", 6)], &[1], Some(1))).unwrap();
    store.apply(1, 1, &batch(2, &[(b"b", 6)], &[], None)).unwrap();
    assert_ne!(store.snapshot(), snapshot);
    let after = contents(&store, 0);
    store.clear(1, 1).unwrap();

    let older = MemoryStore::from_snapshot(&snapshot, Faults::NONE);

    assert_eq!(contents(&older, 0), before);
    assert_eq!(older.load(1).unwrap(), None);
    let refused = older.apply(0, 1, &batch(2, &[], &[], None));
    assert!(matches!(refused, Err(StoreError::PastEpoch)), "{refused:?}");
    older.begin(0, 1);
    older.apply(0, 1, &batch(2, &[(b"b", 6)], &[1], Some(1))).unwrap();
    assert_eq!(contents(&older, 0), after);
    assert_eq!(older.snapshot(), store.snapshot(), "the same views, however they came about");
}

#[test]
fn a_store_without_the_check_of_the_epoch_lets_anybody_write() {
    let store = MemoryStore::with_faults(Faults::planted(Fault::NoEpochCheckInWriter));
    store.begin(0, 2);
    store.apply(0, 1, &batch(1, &[(b"a", 5)], &[], None)).unwrap();
    assert_eq!(store.entry(0, b"a").unwrap(), Some(entry(5)));
    store.sweep(0, 1, i64::MAX, None, 9).unwrap();
    store.clear(0, 1).unwrap();
    assert_eq!(store.load(0).unwrap(), None);
}

#[test]
fn clearing_a_partition_leaves_the_others() {
    with_each(|store| {
        for partition in PARTITIONS {
            store.begin(partition, 1);
            store.apply(partition, 1, &batch(7, &[(b"a", 5)], &[3], None)).unwrap();
        }
        let full = contents(store, 0);
        store.clear(256, 1).unwrap();
        assert_eq!(store.load(256).unwrap(), None);
        assert_eq!(store.entry(256, b"a").unwrap(), None);
        assert_eq!(store.outbox(256, 0, i64::MAX).unwrap(), []);
        for partition in [0, 1, i32::MAX] {
            assert_eq!(contents(store, partition), full);
        }
    });
}

/// Enough terms for pages to be added and taken away again.
#[test]
fn many_terms_come_are_updated_and_expire() {
    let directory = tempfile::tempdir().unwrap();
    let mut sled = open(directory.path()).store;
    let memory = MemoryStore::default();
    let term = |number: i64| format!("term-{number}").into_bytes();
    let mut next = 0;
    let mut held = Vec::new();
    for round in 0..6i64 {
        if round == 4 {
            drop(sled);
            let opened = open(directory.path());
            assert_eq!(opened.set_aside, None);
            sled = opened.store;
        }
        for store in [&sled as &dyn Store, &memory] {
            store.begin(7, 1);
        }
        for _ in 0..4 {
            let mut batch = batch(next, &[], &[], None);
            // In the last rounds nothing comes, and all expires.
            for number in next..next + if round < 4 { 700 } else { 0 } {
                batch.entries.insert(term(number), entry(round * 10_000_000));
                // And some of before are seen again.
                if number % 5 == 0 {
                    batch.entries.insert(term(number / 2), entry(round * 10_000_000));
                }
            }
            next += 700;
            for store in [&sled as &dyn Store, &memory] {
                store.apply(7, 1, &batch).unwrap();
            }
        }
        for store in [&sled as &dyn Store, &memory] {
            let mut cursor = None;
            loop {
                // What is joined behind the cursor is looked at in the next round.
                cursor = store.sweep(7, 1, (round - 1) * 10_000_000, cursor, 300).unwrap();
                if cursor.is_none() {
                    break;
                }
            }
        }
        while sled.sweep(7, 1, (round - 1) * 10_000_000, None, usize::MAX).unwrap().is_some() {}
        let contents = |store: &dyn Store| -> Vec<_> {
            (0..next).map(|number| store.entry(7, &term(number)).unwrap()).collect()
        };
        assert_eq!(contents(&sled), contents(&memory), "round {round}");
        assert_eq!(sled.load(7).unwrap(), memory.load(7).unwrap());
        held.push(sled.entries(7).unwrap());
    }
    assert!(held[0] > 2_000 && held[5] == 0, "{held:?}");
}

#[test]
fn two_alerts_of_one_offset_are_both_kept() {
    with_each(|store| {
        store.begin(0, 1);
        store.apply(0, 1, &batch(9, &[], &[3, 3, 8], None)).unwrap();
        let offsets = |from, below| -> Vec<i64> {
            store.outbox(0, from, below).unwrap().iter().map(|(offset, _)| *offset).collect()
        };
        assert_eq!(offsets(0, 9), [3, 3, 8]);
        assert!(offsets(4, 8).is_empty());
        assert!(offsets(8, 4).is_empty(), "a range that ends before it begins is empty");
    });
}
