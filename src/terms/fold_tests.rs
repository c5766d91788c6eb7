//! The fold against its text, and against the two simplifications that lose an alert.

use proptest::prelude::*;

use super::*;
use crate::limits::{DAY_MS, HOUR_MS};
use crate::terms::record::{self, HASH_VERSION};
use crate::terms::store::memory::MemoryStore;
use crate::terms::store::{Store, StoreError};

const WINDOW: i64 = 7 * DAY_MS;

fn observation(term: &str, event_id: &str, code: Option<i64>) -> Observation {
    let mut observation = crate::alert::fixtures::secret_read("RequestReceived");
    observation.terms = vec![term.to_owned()];
    observation.fields = vec!["user.name".to_owned()];
    observation.window_ms = WINDOW;
    observation.learning_ms = 0;
    observation.history = false;
    observation.terms_version = "v1".to_owned();
    observation.event_id = event_id.to_owned();
    observation.event.annotations = None;
    observation.event.response_status = code
        .map(|code| crate::audit::event::ResponseStatus { code: Some(code), ..Default::default() });
    observation
}

fn record_of(observation: Observation) -> Record {
    Record::Observation { key: record::key(&observation), observation: Box::new(observation) }
}

fn marker(id: &str, starts: &[(&str, i64)]) -> Marker {
    Marker {
        log_id: id.to_owned(),
        partitions: 4,
        hash_version: HASH_VERSION,
        learning_starts: starts.iter().map(|(v, t)| ((*v).to_owned(), *t)).collect(),
    }
}

fn nothing_stored(_: &[u8]) -> Result<Option<Entry>, StoreError> {
    Ok(None)
}

/// Folds records in order, each at its append time; the verdicts.
fn verdicts(log: &[(i64, Record)]) -> Vec<Verdict> {
    let mut batch = Batch::default();
    log.iter()
        .enumerate()
        .map(|(offset, (append_ms, record))| {
            let offset = i64::try_from(offset).unwrap();
            fold(&mut batch, offset, *append_ms, record, nothing_stored).unwrap().verdict
        })
        .collect()
}

fn check(what: &str, log: &[(i64, Record)], expected: &[Verdict]) {
    assert_eq!(verdicts(log), expected, "{what}");
}

#[test]
fn a_term_is_new_once_a_window() {
    use Verdict::{New, Nothing};
    let at = |time: i64, event: &str| (time, record_of(observation("t", event, Some(200))));
    check("seen again", &[at(0, "a"), at(5, "b")], &[New, Nothing]);
    check("exactly the window's age still counts", &[at(0, "a"), at(WINDOW, "b")], &[New, Nothing]);
    check("a millisecond later is new", &[at(0, "a"), at(WINDOW + 1, "b")], &[New, New]);
    check(
        "each sighting refreshes",
        &[at(0, "a"), at(WINDOW, "b"), at(2 * WINDOW, "c"), at(3 * WINDOW + 1, "d")],
        &[New, Nothing, Nothing, New],
    );
    check(
        "the broker's clock steps back",
        &[at(1_000, "a"), at(0, "b"), at(WINDOW, "c")],
        &[New, Nothing, Nothing],
    );
    let other = |time: i64| (time, record_of(observation("u", "c", Some(200))));
    check("another term is another history", &[at(0, "a"), other(1)], &[New, New]);
    let mut foreign = observation("t", "b", None);
    foreign.cluster = "elsewhere".to_owned();
    check("so is another cluster", &[at(0, "a"), (1, record_of(foreign))], &[New, New]);
    let mut later = observation("t", "b", None);
    later.terms_version = "v2".to_owned();
    check("and another version of the terms", &[at(0, "a"), (1, record_of(later))], &[New, New]);
}

#[test]
fn learning_begins_at_a_marker_at_a_lower_offset() {
    use Verdict::{New, Nothing, Silent};
    let learns = |time: i64, term: &str| {
        let mut observation = observation(term, &format!("{term}{time}"), Some(200));
        observation.learning_ms = HOUR_MS;
        (time, record_of(observation))
    };
    let mark = |time: i64, start: i64| (time, Record::Marker(marker("log", &[("v1", start)])));
    check("no marker yet", &[learns(0, "a"), learns(2 * HOUR_MS, "b")], &[Silent, Silent]);
    check(
        "silent until the start and the period are over",
        &[mark(0, 0), learns(HOUR_MS - 1, "a"), learns(HOUR_MS, "b")],
        &[Nothing, Silent, New],
    );
    check(
        "the earliest start counts",
        &[mark(0, 500), mark(1, 0), mark(2, 900), learns(HOUR_MS, "a")],
        &[Nothing, Nothing, Nothing, New],
    );
    check(
        "a marker of another version does not",
        &[(0, Record::Marker(marker("log", &[("v0", 0)]))), learns(9 * HOUR_MS, "a")],
        &[Nothing, Silent],
    );
    check(
        "what was learned is known",
        &[learns(0, "a"), mark(1, 0), learns(2 * HOUR_MS, "a")],
        &[Silent, Nothing, Nothing],
    );
    let plain = (0, record_of(observation("t", "a", Some(200))));
    check("without learning no marker is needed", &[plain], &[New]);
}

#[test]
fn history_counts_and_never_alerts() {
    let mut imported = observation("t", "a", Some(200));
    imported.history = true;
    let again = observation("t", "a", Some(200));
    check(
        "imported, then seen",
        &[(0, record_of(imported)), (1, record_of(again))],
        &[Verdict::Silent, Verdict::Nothing],
    );
}

#[test]
fn a_later_stage_revises_once_and_only_its_own_alert() {
    use Verdict::{New, Nothing, Revision, Silent};
    let at = |time: i64, event: &str, code: Option<i64>| {
        (time, record_of(observation("t", event, code)))
    };
    check(
        "the outcome, once",
        &[at(0, "a", None), at(1, "a", Some(200)), at(2, "a", Some(200))],
        &[New, Revision, Nothing],
    );
    check(
        "an outcome that was told at once",
        &[at(0, "a", Some(200)), at(1, "a", Some(403))],
        &[New, Nothing],
    );
    check("another event's outcome", &[at(0, "a", None), at(1, "b", Some(200))], &[New, Nothing]);
    check(
        "too late",
        &[at(0, "a", None), at(REVISION_MAX_MS + 1, "a", Some(200))],
        &[New, Nothing],
    );
    check(
        "just in time",
        &[at(0, "a", None), at(REVISION_MAX_MS, "a", Some(200))],
        &[New, Revision],
    );
    let mut silent = observation("t", "a", None);
    silent.history = true;
    check(
        "nothing to revise",
        &[(0, record_of(silent)), at(1, "a", Some(200))],
        &[Silent, Nothing],
    );
}

#[test]
fn alerts_are_named_after_the_event_that_opened_the_window() {
    let mut batch = Batch::default();
    let mut ids = Vec::new();
    let log = [("a", None, 0), ("b", None, 1), ("a", Some(200), 2), ("c", None, WINDOW + 3)];
    for (offset, (event, code, time)) in log.into_iter().enumerate() {
        let record = record_of(observation("t", event, code));
        let offset = i64::try_from(offset).unwrap();
        ids.push(fold(&mut batch, offset, time, &record, nothing_stored).unwrap().first_event_id);
    }
    assert_eq!(ids, [Some("a".to_owned()), None, Some("a".to_owned()), Some("c".to_owned())]);
}

#[test]
fn a_marker_that_lacks_a_part_of_the_merge_is_owed() {
    let mut batch = Batch::default();
    let mut step = |offset: i64, marker: Marker| {
        fold(&mut batch, offset, offset, &Record::Marker(marker), nothing_stored).unwrap();
        (batch.state.marker_owed, batch.state.log_id().map(str::to_owned))
    };
    let first = Some("first".to_owned());
    assert_eq!(step(0, marker("first", &[])), (false, first.clone()));
    assert_eq!(step(1, marker("first", &[("a", 5)])), (false, first.clone()));
    assert_eq!(step(2, marker("second", &[("a", 5)])), (true, first.clone()), "another id");
    assert_eq!(step(3, marker("first", &[("b", 7)])), (true, first.clone()), "lacks `a`");
    assert_eq!(
        step(4, marker("first", &[("a", 9), ("b", 7)])),
        (true, first.clone()),
        "a later start"
    );
    assert_eq!(step(5, marker("first", &[("a", 5), ("b", 7)])), (false, first));
}

/// What an owner does with its crash, simplified in the ways that are known to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Real,
    /// Sends again only what the fold raises again: a term that the state knows stays silent.
    WithoutOutbox,
    /// Remembers of a term only the offset that opened its window, and sends again when it meets
    /// that offset.
    FirstOffsetOnly,
}

/// Folds `log` in one batch, dies after the state is written and before anything is acknowledged,
/// and starts again from the committed offset 0: the event ids of the alerts that were sent.
fn sent_after_a_crash(owner: Owner, log: &[(i64, Record)]) -> Vec<String> {
    let store = MemoryStore::default();
    store.begin(0, 1);
    let mut batch = Batch::default();
    let mut first_offsets = std::collections::HashMap::new();
    for (offset, (time, record)) in log.iter().enumerate() {
        let offset = i64::try_from(offset).unwrap();
        let decision = fold(&mut batch, offset, *time, record, |key| store.entry(0, key)).unwrap();
        if decision.verdict == Verdict::New {
            let id = decision.first_event_id.unwrap();
            if let Record::Observation { key, .. } = record {
                first_offsets.insert(key.clone(), (offset, id.clone()));
            }
            let payload = id.into_bytes();
            batch.outbox.push((
                offset,
                OutboxRecord { key: Vec::new(), payload, reduced: None, headers: Vec::new() },
            ));
        }
    }
    store.apply(0, 1, &batch).unwrap();
    // The crash: nothing of the first life was sent. The second life begins at offset 0.
    let state = store.load(0).unwrap().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    match owner {
        Owner::Real => store
            .outbox(0, 0, state.next)
            .unwrap()
            .iter()
            .map(|(_, record)| text(&record.payload))
            .collect(),
        Owner::WithoutOutbox => {
            let mut again = Batch { state, ..Batch::default() };
            log.iter()
                .enumerate()
                .filter_map(|(offset, (time, record))| {
                    let offset = i64::try_from(offset).unwrap();
                    let decision =
                        fold(&mut again, offset, *time, record, |key| store.entry(0, key)).unwrap();
                    (decision.verdict == Verdict::New).then_some(decision.first_event_id?)
                })
                .collect()
        }
        Owner::FirstOffsetOnly => log
            .iter()
            .enumerate()
            .filter_map(|(offset, (_, record))| match record {
                Record::Observation { key, .. } => {
                    let (first, id) = first_offsets.get(key)?;
                    (*first == i64::try_from(offset).unwrap()).then(|| id.clone())
                }
                _ => None,
            })
            .collect(),
    }
}

#[test]
fn an_alert_between_the_state_and_its_acknowledgement_needs_the_outbox() {
    let one = |time: i64, event: &str| (time, record_of(observation("t", event, Some(200))));
    let once = [one(0, "a")];
    assert_eq!(sent_after_a_crash(Owner::Real, &once), ["a"]);
    assert!(sent_after_a_crash(Owner::WithoutOutbox, &once).is_empty(), "the model lost its alert");
    // One batch that opens the same term's window twice.
    let twice = [one(0, "a"), one(WINDOW + 1, "b")];
    assert_eq!(sent_after_a_crash(Owner::Real, &twice), ["a", "b"]);
    assert_eq!(
        sent_after_a_crash(Owner::FirstOffsetOnly, &twice),
        ["b"],
        "the model lost an alert"
    );
}

fn arbitrary_log() -> impl Strategy<Value = Vec<(i64, Record)>> {
    let step = prop_oneof![
        8 => 0i64..1_000,
        1 => Just(WINDOW),
        1 => Just(WINDOW + HOUR_MS + 1),
        1 => -1_000i64..0,
    ];
    let record = prop_oneof![
        10 => (0u8..4, 0u8..6, prop::option::of(Just(200i64)), any::<bool>(), 0u8..8).prop_map(
            |(term, event, code, learns, history)| {
                let mut observation =
                    observation(&format!("t{term}"), &format!("e{event}"), code);
                observation.learning_ms = if learns { 2_000 } else { 0 };
                observation.history = history == 0;
                record_of(observation)
            }
        ),
        1 => (0u8..3, 0i64..3_000).prop_map(|(id, start)| {
            Record::Marker(marker(&format!("log{id}"), &[("v1", start)]))
        }),
        1 => Just(Record::Tombstone),
    ];
    prop::collection::vec((step, record), 0..60).prop_map(|records| {
        let mut now = 10_000;
        records
            .into_iter()
            .map(|(step, record)| {
                now += step;
                (now, record)
            })
            .collect()
    })
}

proptest! {
    /// However the log is cut into batches, whenever the owner dies and goes on from its state,
    /// and whenever expired entries are swept: the verdicts are those of one uninterrupted fold.
    #[test]
    fn the_state_is_a_function_of_the_log(
        log in arbitrary_log(),
        cuts in prop::collection::vec(any::<bool>(), 60),
        sweeps in prop::collection::vec(any::<bool>(), 60),
    ) {
        let whole: Vec<_> = {
            let mut batch = Batch::default();
            log.iter().enumerate().map(|(offset, (time, record))| {
                let offset = i64::try_from(offset).unwrap();
                fold(&mut batch, offset, *time, record, nothing_stored).unwrap()
            }).collect()
        };
        let store = MemoryStore::default();
        store.begin(0, 1);
        let mut batch = Batch::default();
        let mut parts = Vec::new();
        for (at, (time, record)) in log.iter().enumerate() {
            let offset = i64::try_from(at).unwrap();
            parts.push(fold(&mut batch, offset, *time, record, |key| store.entry(0, key)).unwrap());
            if cuts[at] {
                store.apply(0, 1, &batch).unwrap();
                if sweeps[at] {
                    store.sweep(0, 1, batch.state.last_append_ms, None, 1_000).unwrap();
                }
                // A new life: only what was written is known.
                batch = Batch { state: store.load(0).unwrap().unwrap(), ..Batch::default() };
            }
        }
        prop_assert_eq!(parts, whole);
    }

    #[test]
    fn entries_survive_their_encoding(
        first in any::<i64>(), last in any::<i64>(), window in any::<i64>(), id in ".{0,40}",
        raised in any::<bool>(), outcome_told in any::<bool>(),
    ) {
        let entry = Entry {
            first_seen_ms: first, last_seen_ms: last, window_ms: window, first_event_id: id,
            raised, outcome_told,
        };
        prop_assert_eq!(Entry::decode(&entry.encode()), Some(entry));
    }

    #[test]
    fn no_bytes_panic_the_decoder(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = Entry::decode(&bytes);
        let _ = record::decode(Some(&bytes), Some(&bytes));
        let _ = record::decode(Some(record::marker_key()), Some(&bytes));
    }
}
