use super::*;
use crate::limits::{DAY_MS, HOUR_MS, OUTAGE_MAX_MS};
use crate::terms::fold::Entry;
use crate::terms::record;
use crate::terms::store::memory::MemoryStore;
use crate::terms::testing::{T0, marker, observation, record_of};

const PARTITION: i32 = 3;
const EPOCH: u64 = 7;
const REQUEST: Request = Request { partition: PARTITION, epoch: EPOCH };

/// Offset, append time, record. Offsets may leave gaps, as compaction does.
type Log = Vec<(i64, i64, Record)>;

fn seen(term: &str, event: &str) -> Record {
    record_of(observation("mallory", term, event, Some(200)))
}

fn named(id: &str) -> Record {
    Record::Marker(marker(id, &[]))
}

fn key(term: &str) -> Vec<u8> {
    record::key(&observation("mallory", term, "e", None))
}

fn store_with(state: PartitionState) -> MemoryStore {
    let store = MemoryStore::default();
    store.begin(PARTITION, 1);
    let entry = Entry {
        first_seen_ms: T0,
        last_seen_ms: T0,
        window_ms: DAY_MS,
        first_event_id: "of the view".to_owned(),
        raised: true,
        outcome_told: true,
    };
    let entries = [(key("kept"), entry)].into_iter().collect();
    store.apply(PARTITION, 1, &Batch { state, entries, ..Batch::default() }).unwrap();
    store.begin(PARTITION, EPOCH);
    store
}

fn state(next: i64, id: &str, marker_offset: i64) -> PartitionState {
    PartitionState {
        next,
        marker: Some(marker(id, &[])),
        marker_offset,
        last_append_ms: T0,
        ..PartitionState::default()
    }
}

fn committed(offset: i64, id: &str) -> Option<Committed> {
    Some(Committed { offset, log_id: id.to_owned() })
}

/// Feeds a takeover from the log, to its end or until `most` records were read.
fn feed(takeover: &mut Takeover, log: &Log, store: &MemoryStore, most: usize) -> usize {
    let mut read = 0;
    'wants: while let Wants::Read { from, until } = takeover.wants() {
        assert!(from < until);
        for (offset, append_ms, record) in log {
            if !(from..until).contains(offset) {
                continue;
            }
            if read == most {
                return read;
            }
            read += 1;
            let seen = Seen {
                offset: *offset,
                append_ms: *append_ms,
                is_marker: matches!(record, Record::Marker(_)),
                decode: &mut || Some(record.clone()),
            };
            if takeover.record(seen, store).unwrap() == Flow::Enough {
                continue 'wants;
            }
        }
        takeover.read_ended(store).unwrap();
    }
    read
}

fn begin(committed: Option<Committed>, log: &Log, end: i64, store: &MemoryStore) -> Takeover {
    let start = log.first().map_or(end, |(offset, _, _)| *offset);
    let times = Times { now_ms: T0, boot_ms: 5 };
    Takeover::begin(REQUEST, committed, (start, end), store, times, Faults::NONE).unwrap()
}

fn take_over(
    committed: Option<Committed>,
    log: &Log,
    end: i64,
    store: &MemoryStore,
) -> (Restored, usize) {
    let mut takeover = begin(committed, log, end, store);
    let read = feed(&mut takeover, log, store, usize::MAX);
    (takeover.finish(store).unwrap(), read)
}

#[test]
fn a_view_of_this_log_is_kept_and_only_what_it_lacks_is_folded() {
    let log = vec![
        (0, T0, named("a")),
        (1, T0, seen("x", "1")),
        (2, T0, seen("y", "2")),
        (3, T0, seen("z", "3")),
    ];
    let store = store_with(state(2, "a", 0));
    let (restored, read) = take_over(committed(3, "a"), &log, 4, &store);
    assert_eq!((restored.state.next, restored.acknowledged, restored.folded), (3, 3, 1));
    assert_eq!(read, 2, "the marker, and what the view lacks");
    assert!(store.entry(PARTITION, &key("kept")).unwrap().is_some());
    assert!(store.entry(PARTITION, &key("y")).unwrap().is_some());
    assert!(store.entry(PARTITION, &key("z")).unwrap().is_none(), "the owner folds and sends it");
}

/// An entry keeps the id of its event: long ones waited in memory by the thousand once, since only
/// keys were counted.
#[test]
fn what_waits_to_be_written_is_bounded_by_its_ids_too() {
    let id = "x".repeat(1 << 20);
    let log: Log = (0..12).map(|at| (at, T0, seen(&format!("t{at}"), &id))).collect();
    let store = MemoryStore::default();
    store.begin(PARTITION, EPOCH);
    let mut takeover = begin(committed(12, "a"), &log, 12, &store);
    feed(&mut takeover, &log, &store, 11);
    assert!(takeover.batch.entries.len() < 8, "{}", takeover.batch.entries.len());
    assert!(store.entry(PARTITION, &key("t0")).unwrap().is_some());
}

#[test]
fn a_view_is_recognised_by_any_later_marker_when_its_own_was_compacted_away() {
    let log = vec![(3, T0, seen("x", "1")), (5, T0, named("a")), (6, T0, seen("y", "2"))];
    let store = store_with(state(4, "a", 1));
    let (restored, _) = take_over(committed(5, "a"), &log, 7, &store);
    assert_eq!((restored.state.next, restored.acknowledged), (5, 5));
    assert!(store.entry(PARTITION, &key("kept")).unwrap().is_some());
}

#[test]
fn a_view_of_another_log_is_cleared_and_the_log_folded_up_to_the_groups_offset() {
    let log = vec![(0, T0, named("b")), (1, T0, seen("x", "1")), (2, T0, seen("y", "2"))];
    let store = store_with(state(2, "a", 0));
    let (restored, _) = take_over(committed(2, "b"), &log, 3, &store);
    assert_eq!((restored.state.next, restored.acknowledged), (2, 2));
    assert_eq!(restored.state.log_id(), Some("b"));
    assert!(store.entry(PARTITION, &key("kept")).unwrap().is_none());
    assert!(store.entry(PARTITION, &key("x")).unwrap().is_some());
    assert_eq!(store.load(PARTITION).unwrap().unwrap(), restored.state);
}

#[test]
fn compaction_may_have_removed_the_records_below_the_offset() {
    let log = vec![(2, T0, named("a")), (9, T0, seen("x", "1"))];
    let store = MemoryStore::default();
    store.begin(PARTITION, EPOCH);
    let (restored, _) = take_over(committed(7, "a"), &log, 10, &store);
    assert_eq!((restored.state.next, restored.acknowledged), (7, 7));
}

#[test]
fn a_marker_behind_the_groups_offset_still_names_the_log() {
    let log = vec![(0, T0, seen("x", "1")), (1, T0, seen("y", "2")), (2, T0, named("a"))];
    let store = MemoryStore::default();
    store.begin(PARTITION, EPOCH);
    let (restored, _) = take_over(committed(1, "a"), &log, 3, &store);
    assert_eq!((restored.state.next, restored.acknowledged), (1, 1));
    assert!(store.entry(PARTITION, &key("x")).unwrap().is_some());
    assert!(store.entry(PARTITION, &key("y")).unwrap().is_none());
}

/// Retention deleted the marker whose id was folded first; a later one carries the id that was
/// committed.
#[test]
fn an_offset_counts_when_any_marker_of_the_log_has_its_id() {
    let log = vec![
        (5, T0, named("b")),
        (6, T0, seen("x", "1")),
        (7, T0, named("a")),
        (8, T0, seen("y", "2")),
    ];
    for offset in [7, 8, 9] {
        let store = MemoryStore::default();
        store.begin(PARTITION, EPOCH);
        let (restored, _) = take_over(committed(offset, "a"), &log, 9, &store);
        assert_eq!((restored.state.next, restored.acknowledged), (offset, offset));
        assert_eq!(restored.state.log_id(), Some("a"));
    }
}

#[test]
fn an_offset_of_another_log_sends_what_is_younger_than_the_longest_outage() {
    let old = T0 - OUTAGE_MAX_MS - 2 * HOUR_MS;
    let log = vec![
        (0, old, named("b")),
        (1, old, seen("x", "1")),
        (2, T0 - HOUR_MS, seen("y", "2")),
        (3, T0, seen("z", "3")),
    ];
    for offset in [committed(3, "a"), committed(9, "b"), None] {
        let store = MemoryStore::default();
        store.begin(PARTITION, EPOCH);
        let (restored, _) = take_over(offset.clone(), &log, 4, &store);
        assert_eq!((restored.state.next, restored.acknowledged), (2, 2), "{offset:?}");
        assert!(store.entry(PARTITION, &key("x")).unwrap().is_some());
        assert!(store.entry(PARTITION, &key("y")).unwrap().is_none(), "{offset:?}");
    }
}

/// What was folded silently on the word of an offset that belongs to another log, and then cut
/// short, looked like a view of this log that had passed over alerts nobody had sent.
#[test]
fn what_is_folded_before_the_log_is_known_counts_as_no_view() {
    let count = i64::try_from(BATCH_RECORDS).unwrap() + 10;
    let mut log = vec![(0, T0, named("b"))];
    log.extend((1..=count).map(|at| (at, T0, seen(&format!("t{at}"), "1"))));
    let store = MemoryStore::default();
    store.begin(PARTITION, EPOCH);
    let mut takeover = begin(committed(count, "a"), &log, count + 1, &store);
    feed(&mut takeover, &log, &store, BATCH_RECORDS + 5);
    drop(takeover);
    assert!(store.entry(PARTITION, &key("t1")).unwrap().is_some(), "something was written");

    // Another instance has committed little by little meanwhile.
    let (restored, _) = take_over(committed(3, "b"), &log, count + 1, &store);
    assert_eq!((restored.state.next, restored.acknowledged), (3, 3));
    assert!(store.entry(PARTITION, &key("t5")).unwrap().is_none());
}

#[test]
fn an_empty_log_wants_nothing_read() {
    let store = MemoryStore::default();
    store.begin(PARTITION, EPOCH);
    let takeover = begin(None, &Vec::new(), 0, &store);
    assert_eq!(takeover.wants(), Wants::Nothing);
    let restored = takeover.finish(&store).unwrap();
    assert_eq!((restored.state.next, restored.acknowledged, restored.log_end), (0, 0, 0));
}

#[test]
fn a_takeover_that_was_cancelled_writes_nothing() {
    let log = vec![(0, T0, named("a")), (1, T0, seen("x", "1"))];
    let store = MemoryStore::default();
    store.begin(PARTITION, EPOCH);
    let mut takeover = begin(committed(2, "a"), &log, 2, &store);
    store.begin(PARTITION, EPOCH + 1);
    let Wants::Read { .. } = takeover.wants() else { panic!("nothing is read") };
    assert!(matches!(takeover.read_ended(&store), Err(StoreError::PastEpoch)));
    assert_eq!(store.load(PARTITION).unwrap(), None);
}
