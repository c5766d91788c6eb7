//! Whatever was done to the files of a closed state: what is found in them is what was written, as
//! a whole or as an earlier whole, or the damage is noticed. Never is a wrong view taken as right.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

const OWNED: [i32; 3] = [0, 1, 2];
const STEPS: i64 = 40;
const TERMS_A_STEP: i64 = 16;

type Write<'w> = &'w dyn Fn(&dyn Store);
/// The state of each partition after each write, as text, by what it had reached.
type History = BTreeMap<(i32, i64), Vec<String>>;

struct Original {
    directory: tempfile::TempDir,
    /// The files when half of the steps were done, and at the end.
    half: PathBuf,
    whole: PathBuf,
    history: History,
}

fn term(number: i64) -> Vec<u8> {
    format!("term-{number}").into_bytes()
}

fn step(number: i64) -> Batch {
    let mut batch = batch(number + 1, &[], &[number, number], (number > 8).then(|| number - 8));
    for i in 0..TERMS_A_STEP {
        // Half of them are updates of earlier ones.
        let term_number = number * TERMS_A_STEP / 2 + i;
        batch.entries.insert(term(term_number), entry(number * 100_000 + i));
    }
    batch
}

fn whole_contents(store: &dyn Store, partition: i32) -> String {
    let entries: Vec<_> = (0..STEPS * TERMS_A_STEP)
        .map(|number| store.entry(partition, &term(number)))
        .filter(|entry| !matches!(entry, Ok(None)))
        .collect();
    let outbox = store.outbox(partition, 0, i64::MAX);
    format!("{:?} {entries:?} {outbox:?}", store.load(partition))
}

fn original() -> &'static Original {
    static ORIGINAL: OnceLock<Original> = OnceLock::new();
    ORIGINAL.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let live = directory.path().join("live");
        let (half, whole) = (directory.path().join("half"), directory.path().join("whole"));
        let memory = MemoryStore::default();
        let mut history = History::new();
        for (range, target) in [(0..STEPS / 2, &half), (STEPS / 2..STEPS, &whole)] {
            let sled = open(&live).store;
            for number in range {
                for partition in OWNED {
                    let now = (number - 25) * 100_000 + 3_700_000;
                    let writes: [Write<'_>; 2] = [
                        &|store| {
                            store.begin(partition, 1);
                            store.apply(partition, 1, &step(number)).unwrap();
                        },
                        &|store| {
                            if number % 10 == 9 {
                                let cursor = store.sweep(partition, 1, now, None, usize::MAX);
                                assert_eq!(cursor, Ok(None));
                            }
                        },
                    ];
                    for write in writes {
                        write(&sled);
                        write(&memory);
                        let contents = whole_contents(&memory, partition);
                        history.entry((partition, number + 1)).or_default().push(contents);
                    }
                }
            }
            sled.flush().unwrap();
            drop(sled);
            opening::copy(&live, target);
        }
        Original { directory, half, whole, history }
    })
}

#[derive(Debug, Clone)]
enum Damage {
    Truncate(Index),
    Empty,
    Remove,
    Replace(Vec<u8>),
    /// Bits turned over.
    Flip(Vec<(Index, u8)>),
    /// A block of the disk with other content.
    Fill {
        at: Index,
        blocks: usize,
        with: u8,
    },
    /// A block as it was written, elsewhere.
    Move {
        from: Index,
        to: Index,
        blocks: usize,
    },
    /// A block, or all, as it was when half of the steps were done.
    Older {
        at: Index,
        blocks: usize,
    },
    OlderWhole,
}

const BLOCK: usize = 512;

fn any_damage() -> impl Strategy<Value = Damage> {
    let index = any::<Index>;
    prop_oneof![
        2 => index().prop_map(Damage::Truncate),
        1 => Just(Damage::Empty),
        1 => Just(Damage::Remove),
        1 => prop::collection::vec(any::<u8>(), 1..600).prop_map(Damage::Replace),
        6 => prop::collection::vec((index(), 1..=255u8), 1..4).prop_map(Damage::Flip),
        4 => (index(), 1..40usize, any::<u8>())
            .prop_map(|(at, blocks, with)| Damage::Fill { at, blocks, with }),
        2 => (index(), index(), 1..40usize)
            .prop_map(|(from, to, blocks)| Damage::Move { from, to, blocks }),
        6 => (index(), 1..2_000usize).prop_map(|(at, blocks)| Damage::Older { at, blocks }),
        1 => Just(Damage::OlderWhole),
    ]
}

fn blocks(at: Index, count: usize, bytes: &[u8]) -> std::ops::Range<usize> {
    let start = at.index(bytes.len().max(1)) / BLOCK * BLOCK;
    start.min(bytes.len())..(start + count * BLOCK).min(bytes.len())
}

fn damage(file: &Path, older: &Path, damage: &Damage) {
    let mut bytes = std::fs::read(file).unwrap();
    match damage {
        Damage::Truncate(at) => bytes.truncate(at.index(bytes.len() + 1)),
        Damage::Empty => bytes.clear(),
        Damage::Remove => return std::fs::remove_file(file).unwrap(),
        Damage::Replace(with) => bytes = with.clone(),
        Damage::Flip(places) => {
            for (at, mask) in places {
                let at = at.index(bytes.len().max(1));
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= mask;
                }
            }
        }
        Damage::Fill { at, blocks: count, with } => {
            let range = blocks(*at, *count, &bytes);
            bytes[range].fill(*with);
        }
        Damage::Move { from, to, blocks: count } => {
            let source = bytes[blocks(*from, *count, &bytes)].to_vec();
            let target = blocks(*to, *count, &bytes);
            let length = source.len().min(target.len());
            bytes[target.start..target.start + length].copy_from_slice(&source[..length]);
        }
        Damage::Older { at, blocks: count } => {
            let Ok(old) = std::fs::read(older) else { return };
            let range = blocks(*at, *count, &bytes);
            let end = range.end.min(old.len());
            if range.start < end {
                bytes[range.start..end].copy_from_slice(&old[range.start..end]);
            }
        }
        Damage::OlderWhole => match std::fs::read(older) {
            Ok(old) => bytes = old,
            Err(_) => return,
        },
    }
    std::fs::write(file, bytes).unwrap();
}

/// What was found of the partitions.
#[derive(Debug, Default)]
struct Found {
    whole: usize,
    older: usize,
    none: usize,
    noticed: usize,
}

fn check(directory: &Path, history: &History) -> Result<Found, TestCaseError> {
    let opened = open(directory);
    let mut found = Found::default();
    for partition in OWNED {
        match opened.store.load(partition) {
            Ok(Some(state)) => {
                let contents = whole_contents(&opened.store, partition);
                if contents.contains("Err(Damaged") {
                    found.noticed += 1;
                    continue;
                }
                let were = history.get(&(partition, state.next)).map_or(&[][..], Vec::as_slice);
                prop_assert!(were.contains(&contents), "{} was never {contents}", partition);
                if state.next == STEPS { found.whole += 1 } else { found.older += 1 }
            }
            Ok(None) => found.none += 1,
            Err(StoreError::Corrupt(_)) => {
                found.noticed += 1;
                // Clearing mends it.
                opened.store.begin(partition, 1);
                match opened.store.clear(partition, 1) {
                    Ok(()) => prop_assert_eq!(opened.store.load(partition), Ok(None)),
                    Err(StoreError::Damaged(_)) => {}
                    Err(error) => prop_assert!(false, "{error}"),
                }
            }
            Err(StoreError::Damaged(_)) => found.noticed += 1,
            Err(error) => prop_assert!(false, "{error}"),
        }
    }
    // What failed while it was used is set aside at the next start.
    let failed = matches!(opened.store.load(0), Err(StoreError::Damaged(_)));
    drop(opened);
    if failed {
        let next = open(directory);
        prop_assert!(next.set_aside.is_some());
        prop_assert_eq!(next.store.load(0), Ok(None));
    }
    Ok(found)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn damage_is_noticed_or_what_is_left_is_a_whole(
        damages in prop::collection::vec((any::<Index>(), any_damage()), 1..3),
    ) {
        let original = original();
        let place = tempfile::tempdir_in(original.directory.path()).unwrap();
        let live = place.path().join("live");
        opening::copy(&original.whole, &live);
        for (file, change) in &damages {
            let files = opening::files_under(&live);
            if files.is_empty() {
                continue;
            }
            let file = file.get(&files);
            let older = original.half.join(file.strip_prefix(&live).unwrap());
            damage(file, &older, change);
        }
        check(&live, &original.history)?;
    }
}

#[test]
fn undamaged_files_are_taken_as_they_are() {
    let original = original();
    let place = tempfile::tempdir().unwrap();
    opening::copy(&original.whole, place.path());
    let found = check(place.path(), &original.history).unwrap();
    assert_eq!((found.whole, found.older, found.none, found.noticed), (OWNED.len(), 0, 0, 0));
}

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// All records of the database in a directory, changed on the way.
fn changed(directory: &Path, change: impl FnOnce(&::sled::Db)) -> Records {
    let path = directory.join("terms");
    // The store's lock is its own; sled gives its one up a moment after it is closed.
    let db = std::iter::repeat_with(|| ::sled::open(&path)).find_map(Result::ok).unwrap();
    change(&db);
    let records = db.iter().map(|item| item.unwrap());
    records.map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

fn put(db: &::sled::Db, key: &[u8], value: Option<&Vec<u8>>) {
    match value {
        Some(value) => db.insert(key, value.as_slice()).unwrap(),
        None => db.remove(key).unwrap(),
    };
}

/// Each record by itself is whole: only together they are not what was written.
#[test]
fn a_record_that_is_lost_or_older_or_elsewhere_is_noticed() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path();
    let write = |steps: std::ops::Range<i64>| {
        let store = open(directory).store;
        store.begin(0, 1);
        steps.for_each(|number| store.apply(0, 1, &step(number)).unwrap());
        store.load(0).unwrap()
    };
    write(0..12);
    let older = changed(directory, |_| {});
    let state = write(12..16);
    let newer = changed(directory, |_| {});
    let view = newer.iter().filter(|(key, _)| key.starts_with(&0i32.to_be_bytes()));
    let mut kinds = std::collections::BTreeSet::new();
    for (key, value) in view {
        // Without its head a partition has no view; that is no damage.
        let lost = (key[4] != 0).then_some(None);
        let old = older.get(key).filter(|old| *old != value).map(Some);
        for change in lost.into_iter().chain(old) {
            changed(directory, |db| put(db, key, change));
            let loaded = open(directory).store.load(0);
            assert!(
                matches!(loaded, Err(StoreError::Corrupt(_))),
                "{key:?} {change:?}: {loaded:?}"
            );
            changed(directory, |db| put(db, key, Some(value)));
            kinds.insert((key[4], change.is_some()));
        }
    }
    // Pages (1) and outbox records (2) were lost, and the head (0) and pages older.
    assert!([(1, false), (2, false), (0, true), (1, true)].iter().all(|kind| kinds.contains(kind)));
    // One page's content under another's key.
    let pages: Vec<_> = newer.iter().filter(|(key, _)| key[4] == 1 && key.len() == 9).collect();
    changed(directory, |db| put(db, pages[0].0, Some(pages[1].1)));
    assert!(matches!(open(directory).store.load(0), Err(StoreError::Corrupt(_))));
    changed(directory, |db| put(db, pages[0].0, Some(pages[0].1)));
    assert_eq!(open(directory).store.load(0).unwrap(), state);
}
