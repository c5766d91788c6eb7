//! sled against its twin in memory, and what opening does with files that are damaged, foreign or
//! in use.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::memory::MemoryStore;
use super::sled::{Expectation, OpenError, Opened, SledStore, discard, lock, views};
use super::*;
use crate::faults::{Fault, Faults};
use crate::terms::testing::marker;

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
            let mut cursor = None;
            let mut answers = String::new();
            loop {
                let swept = store.sweep(partition, *epoch, *now, cursor, *max);
                // Where to go on is each store's own affair, but not whether.
                answers += &format!("{:?};", swept.as_ref().map(Option::is_some));
                match swept {
                    Ok(Some(next)) => cursor = Some(next),
                    _ => return answers,
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

#[test]
fn a_directory_in_use_is_locked() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path());
    first.store.begin(0, 1);
    first.store.apply(0, 1, &batch(1, &[(b"a", 5)], &[], None)).unwrap();
    for other in [expectation("o", 3), expectation("other", 4)] {
        match SledStore::open(directory.path(), &other) {
            Err(error @ OpenError::Locked(_)) => {
                assert!(error.to_string().contains("another process"), "{error}");
                assert!(error.hint().contains("state.directory"));
            }
            Err(error) => panic!("{error}"),
            Ok(opened) => panic!("opened twice: {:?}", opened.set_aside),
        }
    }
    assert_eq!(asides(directory.path()), 0, "what is in use is not moved");
    assert_eq!(first.store.entry(0, b"a").unwrap(), Some(entry(5)));
}

fn asides(directory: &Path) -> usize {
    let names = std::fs::read_dir(directory).unwrap().map(|item| item.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().contains("aside")).count()
}

#[test]
fn a_state_of_another_log_is_set_aside_and_few_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let mut expected = 0;
    let mut before: Option<Expectation> = None;
    let mut group = expectation("p", 7);
    group.group = "another group".to_owned();
    for now in
        [expectation("o", 3), expectation("p", 3), expectation("p", 7), group, expectation("o", 3)]
    {
        let opened = SledStore::open(path, &now).unwrap();
        match (&before, opened.set_aside) {
            (None, None) => {}
            (Some(before), Some(reason)) => {
                expected = 2.min(expected + 1);
                assert!(reason.contains(&format!("`{}`", before.topic)), "{reason}");
                assert!(reason.contains(&before.partitions.to_string()), "{reason}");
            }
            (before, reason) => panic!("{before:?} {reason:?}"),
        }
        assert_eq!(asides(path), expected);
        assert_eq!(opened.store.load(0).unwrap(), None, "a new state is empty");
        opened.store.begin(0, 1);
        opened.store.apply(0, 1, &batch(4, &[(b"a", 5)], &[3], None)).unwrap();
        drop(opened.store);
        let again = SledStore::open(path, &now).unwrap();
        assert_eq!(again.set_aside, None);
        assert_eq!(again.store.entry(0, b"a").unwrap(), Some(entry(5)));
        before = Some(now);
    }
}

fn files_under(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for item in std::fs::read_dir(directory).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() { files.extend(files_under(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in files_under(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(&file, target).unwrap();
    }
}

const FILLED: i64 = 300;

/// A closed state with so many entries that its files hold more than a header.
fn filled(directory: &Path) {
    let store = open(directory).store;
    store.begin(0, 1);
    for number in 0..FILLED {
        let key = format!("term-{number}");
        store
            .apply(0, 1, &batch(number + 1, &[(key.as_bytes(), number)], &[number], None))
            .unwrap();
    }
}

/// What was done to a closed state.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Damage {
    /// The end of a file is missing, as after a crash: what is left is an older whole.
    LostTail,
    /// A file's content was replaced, as by a broken disk. sled does not notice every lost page,
    /// so parts may be missing; what is there has to be what was written.
    Overwritten,
}

/// Whatever is still readable is what was written; nothing else is made up.
fn only_holds_what_was_written(store: &SledStore, damage: Damage, name: &str) {
    match store.load(0) {
        Ok(Some(state)) => {
            assert!((1..=FILLED).contains(&state.next), "{name}: {state:?}");
            assert_eq!(state, batch(state.next, &[], &[], None).state, "{name}");
            // One atomic write each: the state never stands without its entries.
            for number in 0..state.next {
                let found = store.entry(0, format!("term-{number}").as_bytes());
                assert!(
                    matches!(&found, Ok(Some(found)) if *found == entry(number))
                        || damage == Damage::Overwritten && matches!(found, Ok(None))
                        || matches!(found, Err(StoreError::Corrupt(_) | StoreError::Storage(_))),
                    "{name}: {number} of {}: {found:?}",
                    state.next
                );
            }
        }
        Ok(None) | Err(StoreError::Corrupt(_) | StoreError::Storage(_)) => {}
        Err(error) => panic!("{name}: {error}"),
    }
    if let Ok(records) = store.outbox(0, 0, i64::MAX) {
        for (offset, record) in &records {
            assert_eq!(*record, outbox_record(*offset), "{name}");
        }
        if let (Damage::LostTail, Ok(Some(state))) = (damage, store.load(0)) {
            let offsets: Vec<i64> = records.iter().map(|(offset, _)| *offset).collect();
            let expected: Vec<i64> = (0..state.next).collect();
            assert_eq!(offsets, expected, "{name}: a state without all of its outbox");
        }
    }
}

fn damage(damage: Damage, name: &str, change: impl Fn(&Path)) {
    let original = tempfile::tempdir().unwrap();
    filled(original.path());
    for file in files_under(original.path()) {
        let relative = file.strip_prefix(original.path()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        copy(original.path(), directory.path());
        change(&directory.path().join(relative));
        let name = format!("{name} {}", relative.display());
        let opened = open(directory.path());
        only_holds_what_was_written(&opened.store, damage, &name);
        // And it can be used from now on.
        opened.store.begin(1, 1);
        opened.store.apply(1, 1, &batch(1, &[(b"a", 5)], &[], None)).unwrap();
        assert_eq!(opened.store.entry(1, b"a").unwrap(), Some(entry(5)), "{name}");
    }
}

#[test]
fn truncated_files_open_or_are_set_aside() {
    for eighths in 1..8 {
        damage(Damage::LostTail, &format!("{eighths} eighths of"), |file| {
            let bytes = std::fs::read(file).unwrap();
            std::fs::write(file, &bytes[..bytes.len() * eighths / 8]).unwrap();
        });
    }
    damage(Damage::LostTail, "nothing of", |file| std::fs::write(file, b"").unwrap());
}

#[test]
fn files_with_a_hole_open_or_are_set_aside() {
    for eighth in 0..8 {
        damage(Damage::Overwritten, &format!("a hole at eighth {eighth} of"), |file| {
            let mut bytes = std::fs::read(file).unwrap();
            let (from, until) = (bytes.len() * eighth / 8, bytes.len() * (eighth + 1) / 8);
            bytes[from..until].fill(0);
            std::fs::write(file, bytes).unwrap();
        });
    }
}

#[test]
fn garbage_in_place_of_files_opens_or_is_set_aside() {
    damage(Damage::Overwritten, "garbage for", |file| {
        let length = std::fs::metadata(file).unwrap().len();
        let bytes: Vec<u8> = (0..length).map(|i| u8::try_from(i * 37 % 251).unwrap()).collect();
        std::fs::write(file, bytes).unwrap();
    });
    damage(Damage::Overwritten, "text for", |file| {
        std::fs::write(file, b"not a database\n").unwrap()
    });
}

#[test]
fn a_missing_file_opens_or_is_set_aside() {
    damage(Damage::Overwritten, "without", |file| std::fs::remove_file(file).unwrap());
}

#[test]
fn a_file_in_place_of_the_database_is_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("terms"), b"not a directory\n").unwrap();
    let opened = open(directory.path());
    assert!(opened.set_aside.is_some());
    assert_eq!(asides(directory.path()), 1);
    assert_eq!(opened.store.load(0).unwrap(), None);
}

#[test]
fn a_place_that_is_no_directory_is_unusable() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, b"x").unwrap();
    for path in [file.clone(), file.join("below"), PathBuf::from("/proc/kubetell")] {
        match SledStore::open(&path, &expectation("o", 3)) {
            Err(error @ OpenError::Unusable { .. }) => {
                assert!(error.to_string().contains(&path.display().to_string()), "{error}");
                assert!(error.hint().contains("write"));
            }
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("{} was opened", path.display()),
        }
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"x", "the file is left as it was");
}

#[test]
fn the_terms_of_a_partition_are_listed_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).store;
    for partition in [1, 2] {
        store.begin(partition, 1);
        let written = batch(3, &[(b"b", 2), (b"a", 1), (b"", 3)], &[2], None);
        store.apply(partition, 1, &written).unwrap();
    }
    let listed: Vec<_> = store.entries(1).map(Result::unwrap).collect();
    let expected = [(b"".to_vec(), entry(3)), (b"a".to_vec(), entry(1)), (b"b".to_vec(), entry(2))];
    assert_eq!(listed, expected);
    assert_eq!(store.entries(3).count(), 0);
}

#[test]
fn views_are_discarded_only_while_nobody_uses_them() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(views(&dir.path().join("none")).unwrap(), []);
    discard(&dir.path().join("none")).unwrap();

    let held = open(dir.path());
    std::fs::create_dir(dir.path().join("terms.aside-1")).unwrap();
    std::fs::write(dir.path().join("terms.aside-1/db"), [0; 1_000]).unwrap();
    std::fs::write(dir.path().join("other"), "kept").unwrap();
    let found = views(dir.path()).unwrap();
    assert_eq!(found.len(), 2);
    assert!(found[0].1 > 0 && found[1].1 == 1_000, "{found:?}");
    assert!(matches!(lock(dir.path()), Err(OpenError::Locked(_))));
    assert!(matches!(discard(dir.path()), Err(OpenError::Locked(_))));
    assert_eq!(views(dir.path()).unwrap().len(), 2);

    drop(held);
    let locked = lock(dir.path()).unwrap();
    assert!(locked.is_some());
    assert!(matches!(SledStore::open(dir.path(), &expectation("o", 3)), Err(OpenError::Locked(_))));
    drop(locked);
    // What an earlier attempt left behind goes too.
    std::fs::create_dir(dir.path().join("terms.discarded")).unwrap();
    discard(dir.path()).unwrap();
    assert_eq!(views(dir.path()).unwrap(), []);
    assert!(dir.path().join("other").exists());
    assert!(open(dir.path()).set_aside.is_none());
}
