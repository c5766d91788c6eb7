//! Crash and replay: whatever the schedule, the alerts sent are those of one uninterrupted fold.
//!
//! The owner is modelled by a small function over the real fold, the real takeover and a real
//! store: batch → state written → some alerts sent → acknowledged → committed. A planted fault
//! replaces the outbox by one of two simplifications, which each have to lose an alert.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;

use proptest::prelude::*;

use super::*;
use crate::limits::HOUR_MS;
use crate::terms::record;
use crate::terms::store::Store;
use crate::terms::store::memory::MemoryStore;
use crate::terms::store::open::Expectation;
use crate::terms::store::sled::SledStore;
use crate::terms::takeover::{self, Committed, Log, Silent, View};
use crate::terms::testing::{T0, VERSION, WINDOW_MS, marker, observation, record_of};

const PARTITION: i32 = 2;
const LOG_ID: &str = "log";

/// Append time and record; `None` is a record that is none of ours. Offsets are the indexes.
type LogRecords = Vec<(i64, Option<Record>)>;
/// Key and payload of everything that was acknowledged.
type Sent = BTreeSet<(Vec<u8>, Vec<u8>)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// No outbox: a replayed record is sent when its term is not known yet.
    PlainSeen,
    /// No outbox: a replayed record is sent when the term's entry says that this offset opened it.
    FirstOffset,
}

/// One life of an owner: ends with a crash, but for the last one.
#[derive(Debug, Clone)]
struct Life {
    /// Which instance takes the partition over.
    instance: usize,
    /// The instance lost its view.
    lost_view: bool,
    /// Sizes of the batches; the crash comes in the step after them.
    batches: Vec<usize>,
    /// Every how many batches the offset is committed.
    commit_every: usize,
    /// How many of the last batch's alerts are acknowledged before the crash.
    acknowledged: usize,
}

fn alert(offset: i64, key: &[u8], decision: &Decision) -> OutboxRecord {
    let first = decision.first_event_id.clone().unwrap_or_default();
    OutboxRecord {
        key: [key, b" ", first.as_bytes()].concat(),
        payload: format!("{:?} of {offset}", decision.verdict).into_bytes(),
        reduced: (offset % 2 == 0).then(|| b"reduced".to_vec()),
        headers: vec![("severity".to_owned(), b"medium".to_vec())],
    }
}

/// Folds a record as an owner does; what it raises goes to the batch's outbox.
fn fold_into(batch: &mut Batch, log: &LogRecords, offset: i64, store: Option<&dyn Store>) {
    let (append_ms, record) = &log[usize::try_from(offset).unwrap()];
    let Some(record) = record else { return pass(batch, offset, *append_ms) };
    let decision = fold(batch, offset, *append_ms, record, |key| {
        store.map_or(Ok(None), |store| store.entry(PARTITION, key))
    })
    .unwrap();
    if let (true, Record::Observation { key, .. }) = (decision.raises(), record) {
        batch.outbox.push((offset, alert(offset, key, &decision)));
    }
}

fn sent_of(records: impl IntoIterator<Item = (i64, OutboxRecord)>) -> Sent {
    records.into_iter().map(|(_, record)| (record.key, record.payload)).collect()
}

/// The oracle: one fold from the log's beginning, in memory, without a store.
fn uninterrupted(log: &LogRecords) -> Batch {
    let mut batch = Batch::default();
    for offset in 0..end_of(log) {
        fold_into(&mut batch, log, offset, None);
    }
    batch
}

fn end_of(log: &LogRecords) -> i64 {
    i64::try_from(log.len()).unwrap()
}

/// What the group and the fault's own memory keep across crashes.
#[derive(Default)]
struct World {
    committed: Option<Committed>,
    sent: Sent,
    epoch: u64,
    opened_at: HashMap<Vec<u8>, i64>,
}

/// One life of the owner; it ends at the log's end, or with a crash after its batches.
fn live(world: &mut World, store: &dyn Store, log: &LogRecords, life: &Life, fault: Fault) {
    world.epoch += 1;
    store.begin(PARTITION, world.epoch);
    let epoch = world.epoch;
    if life.lost_view {
        store.clear(PARTITION, epoch).unwrap();
    }
    let kept = store.load(PARTITION).unwrap();
    let view = kept
        .as_ref()
        .map(|state| View { next: state.next, log_id: state.log_id().map(str::to_owned) });
    let bounds = Log { start: 0, end: end_of(log), id: Some(LOG_ID.to_owned()) };
    // No outage is longer than the protocol allows: nothing is old enough to stay silent.
    let plan = takeover::plan(world.committed.as_ref(), view.as_ref(), &bounds, log[0].0);
    let mut state = PartitionState { next: plan.from, ..PartitionState::default() };
    if plan.keep_view {
        state = kept.unwrap();
    } else {
        store.clear(PARTITION, epoch).unwrap();
    }
    if let Silent::Below(below) = plan.silent {
        let mut batch = Batch { state: state.clone(), ..Batch::default() };
        while batch.state.next < below {
            let offset = batch.state.next;
            fold_into(&mut batch, log, offset, Some(store));
        }
        batch.outbox.clear();
        store.apply(PARTITION, epoch, &batch).unwrap();
        state = batch.state;
    }
    let acknowledged = plan.committed.unwrap_or(state.next);
    replay(world, store, log, acknowledged..state.next, fault);
    let mut committed = acknowledged;
    for (number, size) in life.batches.iter().enumerate() {
        let mut batch =
            Batch { state: state.clone(), prune_below: Some(committed), ..Batch::default() };
        for offset in state.next..(state.next + i64::try_from(*size).unwrap()).min(end_of(log)) {
            fold_into(&mut batch, log, offset, Some(store));
        }
        for (offset, _) in &batch.outbox {
            if let Some(Record::Observation { key, .. }) = &log[usize::try_from(*offset).unwrap()].1
            {
                world.opened_at.insert(key.clone(), *offset);
            }
        }
        store.apply(PARTITION, epoch, &batch).unwrap();
        state = batch.state.clone();
        if number + 1 == life.batches.len() && state.next < end_of(log) {
            world.sent.extend(sent_of(batch.outbox.into_iter().take(life.acknowledged)));
            return;
        }
        world.sent.extend(sent_of(batch.outbox));
        if (number + 1) % life.commit_every == 0
            && let Some(log_id) = state.log_id()
        {
            committed = state.next;
            world.committed = Some(Committed { offset: committed, log_id: log_id.to_owned() });
        }
    }
}

/// Sends again what may not have been acknowledged.
fn replay(
    world: &mut World,
    store: &dyn Store,
    log: &LogRecords,
    offsets: std::ops::Range<i64>,
    fault: Fault,
) {
    if fault == Fault::None {
        world.sent.extend(sent_of(store.outbox(PARTITION, offsets.start, offsets.end).unwrap()));
        return;
    }
    for offset in offsets {
        let Some(Record::Observation { key, .. }) = &log[usize::try_from(offset).unwrap()].1 else {
            continue;
        };
        let mut batch = Batch::default();
        match fault {
            Fault::FirstOffset if world.opened_at.get(key) == Some(&offset) => {
                fold_into(&mut batch, log, offset, None);
            }
            Fault::FirstOffset | Fault::None => {}
            Fault::PlainSeen => fold_into(&mut batch, log, offset, Some(store)),
        }
        world.sent.extend(sent_of(batch.outbox));
    }
}

fn run(stores: &[&dyn Store], log: &LogRecords, lives: &[Life], fault: Fault) -> World {
    let mut world = World::default();
    // The last life has no crash in it: one batch for all that is left.
    let last = Life {
        instance: 0,
        lost_view: false,
        batches: vec![log.len()],
        commit_every: 1,
        acknowledged: 0,
    };
    for life in lives.iter().chain([&last]) {
        live(&mut world, stores[life.instance % stores.len()], log, life, fault);
    }
    world
}

/// A crash after the state of one batch was written, before any alert was acknowledged.
fn crash_in_one_batch(log: &LogRecords, size: usize, fault: Fault) -> (Sent, Sent) {
    let store = MemoryStore::default();
    // The first life's batch holds the marker, and is committed.
    let life = Life {
        instance: 0,
        lost_view: false,
        batches: vec![1, size],
        commit_every: 1,
        acknowledged: 0,
    };
    let world = run(&[&store], log, &[life], fault);
    (world.sent, sent_of(uninterrupted(log).outbox))
}

fn marker_at(at: i64, log_id: &str) -> (i64, Option<Record>) {
    (T0 + at, Some(Record::Marker(marker(log_id, &[(VERSION, T0)]))))
}

fn seen_at(at: i64, id: &str) -> (i64, Option<Record>) {
    (T0 + at, Some(record_of(observation("u", "t", id, None))))
}

#[test]
fn without_an_outbox_a_crash_before_the_acknowledgement_loses_the_alert() {
    let log = vec![marker_at(0, LOG_ID), seen_at(1, "a"), seen_at(2, "b"), seen_at(3, "c")];
    let (sent, expected) = crash_in_one_batch(&log, 2, Fault::None);
    assert_eq!(expected.len(), 1);
    assert_eq!(sent, expected);
    let (sent, _) = crash_in_one_batch(&log, 2, Fault::PlainSeen);
    assert!(sent.is_empty(), "the replay finds the term known: {sent:?}");
    let (sent, expected) = crash_in_one_batch(&log, 2, Fault::FirstOffset);
    assert_eq!(sent, expected, "a term's first offset is enough for a term that opens once");
}

#[test]
fn a_first_offset_instead_of_an_outbox_loses_a_term_that_opens_twice_in_a_batch() {
    let log = vec![
        marker_at(0, LOG_ID),
        seen_at(1, "a"),
        seen_at(WINDOW_MS + 2, "b"),
        seen_at(WINDOW_MS + 3, "c"),
    ];
    let (sent, expected) = crash_in_one_batch(&log, 2, Fault::None);
    assert_eq!(expected.len(), 2);
    assert_eq!(sent, expected);
    let (sent, _) = crash_in_one_batch(&log, 2, Fault::FirstOffset);
    assert_eq!(expected.difference(&sent).count(), 1, "the first opening is forgotten: {sent:?}");
}

fn arbitrary_record() -> impl Strategy<Value = Option<Record>> {
    let observed = (
        prop::sample::select(vec!["u1", "u2"]),
        prop::sample::select(vec!["t1", "t2"]),
        prop::sample::select(vec!["e1", "e2", "e3"]),
        prop::sample::select(vec![None, Some(200), Some(403)]),
        prop::sample::select(vec![0, 0, 0, HOUR_MS]),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(user, term, id, code, learning_ms, history)| {
            let mut observation = observation(user, term, id, code);
            if learning_ms > 0 {
                // Another version of the terms, as a rule that learns is.
                observation.terms_version = "learning@1".to_owned();
            }
            observation.learning_ms = learning_ms;
            observation.history = history;
            Some(record_of(observation))
        });
    let marked = (prop::sample::select(vec![LOG_ID, "other"]), 0..4i64, any::<bool>()).prop_map(
        |(log_id, hours, learning)| {
            let starts = [(VERSION, T0), ("learning@1", T0 + hours * HOUR_MS)];
            Some(Record::Marker(marker(log_id, &starts[..1 + usize::from(learning)])))
        },
    );
    prop_oneof![
        16 => observed,
        2 => marked,
        1 => Just(Some(Record::Tombstone)),
        1 => Just(None),
    ]
}

/// Logs whose time mostly goes on, sometimes past a window, and steps back by up to an hour.
fn arbitrary_log() -> impl Strategy<Value = LogRecords> {
    let step = prop_oneof![
        4 => 0..1_000i64,
        2 => Just(HOUR_MS),
        1 => prop::sample::select(vec![WINDOW_MS, WINDOW_MS + 1, WINDOW_MS + HOUR_MS + 1]),
    ];
    let back = prop_oneof![5 => Just(0), 1 => 0..=HOUR_MS];
    prop::collection::vec((step, back, arbitrary_record()), 1..40).prop_map(|steps| {
        let mut log = vec![marker_at(0, LOG_ID)];
        let mut time = T0;
        for (step, back, record) in steps {
            time += step;
            log.push((time - back, record));
        }
        log
    })
}

fn arbitrary_lives() -> impl Strategy<Value = Vec<Life>> {
    let life = (
        0..2usize,
        prop::bool::weighted(0.2),
        prop::collection::vec(1..12usize, 1..5),
        1..3usize,
        0..4usize,
    )
        .prop_map(|(instance, lost_view, batches, commit_every, acknowledged)| Life {
            instance,
            lost_view,
            batches,
            commit_every,
            acknowledged,
        });
    prop::collection::vec(life, 0..8)
}

/// Folds in batches through the store, sweeping in between where told to; what was raised.
fn through(
    store: &dyn Store,
    log: &LogRecords,
    batches: &[(usize, bool)],
) -> (PartitionState, Vec<(i64, OutboxRecord)>) {
    store.begin(PARTITION, 1);
    let mut raised = Vec::new();
    let mut state = PartitionState::default();
    for (size, sweep) in batches.iter().cycle() {
        if state.next >= end_of(log) {
            break;
        }
        let mut batch = Batch { state: state.clone(), ..Batch::default() };
        let until = (state.next + i64::try_from(*size).unwrap()).min(end_of(log));
        for offset in state.next..until {
            fold_into(&mut batch, log, offset, Some(store));
        }
        store.apply(PARTITION, 1, &batch).unwrap();
        state = store.load(PARTITION).unwrap().unwrap();
        assert_eq!(state, batch.state);
        raised.extend(batch.outbox);
        let mut cursor = None;
        if *sweep {
            loop {
                cursor = store.sweep(PARTITION, 1, state.last_append_ms, cursor, 2).unwrap();
                if cursor.is_none() {
                    break;
                }
            }
        }
    }
    (state, raised)
}

fn entries_of(store: &dyn Store, expected: &Batch) -> BTreeMap<Vec<u8>, Option<Entry>> {
    let entry = |key: &Vec<u8>| (key.clone(), store.entry(PARTITION, key).unwrap());
    expected.entries.keys().map(entry).collect()
}

fn expected_entries(expected: &Batch) -> BTreeMap<Vec<u8>, Option<Entry>> {
    expected.entries.iter().map(|(key, entry)| (key.clone(), Some(entry.clone()))).collect()
}

fn sled_in(directory: &std::path::Path) -> SledStore {
    let expectation = Expectation { topic: "o".to_owned(), partitions: 3, group: "g".to_owned() };
    SledStore::open(directory, &expectation).unwrap().store
}

fn batches() -> impl Strategy<Value = Vec<(usize, bool)>> {
    prop::collection::vec((1..9usize, any::<bool>()), 1..6)
}

proptest! {
    #[test]
    fn folding_in_batches_is_folding_in_one_go(log in arbitrary_log(), batches in batches()) {
        let expected = uninterrupted(&log);
        let store = MemoryStore::default();
        let unswept: Vec<_> = batches.iter().map(|(size, _)| (*size, false)).collect();
        let (state, raised) = through(&store, &log, &unswept);
        prop_assert_eq!(&state, &expected.state);
        prop_assert_eq!(&raised, &expected.outbox);
        prop_assert_eq!(entries_of(&store, &expected), expected_entries(&expected));
    }

    #[test]
    fn sweeping_expired_entries_changes_no_verdict(log in arbitrary_log(), batches in batches()) {
        let expected = uninterrupted(&log);
        let (state, raised) = through(&MemoryStore::default(), &log, &batches);
        prop_assert_eq!(state, expected.state);
        prop_assert_eq!(raised, expected.outbox);
    }

    #[test]
    fn any_crash_schedule_sends_what_one_fold_raises(
        log in arbitrary_log(),
        lives in arbitrary_lives(),
    ) {
        let expected = uninterrupted(&log);
        let stores = [MemoryStore::default(), MemoryStore::default()];
        let world = run(&[&stores[0], &stores[1]], &log, &lives, Fault::None);
        prop_assert_eq!(world.sent, sent_of(expected.outbox.clone()));
        // Much of it was folded silently, in another order of lives: the entries are the same.
        prop_assert_eq!(entries_of(&stores[0], &expected), expected_entries(&expected));
        prop_assert_eq!(stores[0].load(PARTITION).unwrap(), Some(expected.state));
    }

    /// A view whose owner was silent all the way holds the same entries as the owner's that sent.
    #[test]
    fn a_silent_fold_remembers_the_same(log in arbitrary_log(), cut in any::<prop::sample::Index>()) {
        let expected = uninterrupted(&log);
        let store = MemoryStore::default();
        let mut world = World {
            committed: Some(Committed {
                offset: i64::try_from(cut.index(log.len() + 1)).unwrap(),
                log_id: LOG_ID.to_owned(),
            }),
            ..World::default()
        };
        let below = world.committed.as_ref().unwrap().offset;
        let life = Life {
            instance: 0,
            lost_view: true,
            batches: vec![log.len()],
            commit_every: 1,
            acknowledged: 0,
        };
        live(&mut world, &store, &log, &life, Fault::None);
        let late = expected.outbox.iter().filter(|(offset, _)| *offset >= below).cloned();
        prop_assert_eq!(world.sent, sent_of(late));
        prop_assert_eq!(entries_of(&store, &expected), expected_entries(&expected));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn sled_folds_as_memory_does(
        log in arbitrary_log(),
        batches in batches(),
        lives in arbitrary_lives(),
    ) {
        let expected = uninterrupted(&log);
        let directory = tempfile::tempdir().unwrap();
        let (state, raised) = through(&sled_in(&directory.path().join("a")), &log, &batches);
        prop_assert_eq!(state, expected.state.clone());
        prop_assert_eq!(&raised, &expected.outbox);
        let store = sled_in(&directory.path().join("b"));
        let world = run(&[&store], &log, &lives, Fault::None);
        prop_assert_eq!(world.sent, sent_of(expected.outbox.clone()));
        prop_assert_eq!(entries_of(&store, &expected), expected_entries(&expected));
    }
}

/// The store lags behind the batch that is being folded.
#[test]
fn what_the_batch_holds_is_not_asked_of_the_store() {
    let mut batch = Batch::default();
    let first = record_of(observation("u", "t", "a", None));
    fold(&mut batch, 0, T0, &first, |_| Ok::<_, Infallible>(None)).unwrap();
    let again = record_of(observation("u", "t", "b", None));
    let decision = fold(&mut batch, 1, T0, &again, |_| Err("asked")).unwrap();
    assert_eq!(decision.verdict, Verdict::Nothing);
    let key = record::key(&observation("u", "t", "c", None));
    assert_eq!(batch.entries[&key].first_event_id, "a");
}
