use std::convert::Infallible;

use super::*;
use crate::limits::HOUR_MS;
use crate::terms::testing::{T0, VERSION, WINDOW_MS, marker, observation, record_of};

/// What the caller of the fold sees of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Nothing,
    Silent,
    /// With the id of the event that opened the window.
    New(&'static str),
    Revision(&'static str),
}
use Seen::{New, Nothing, Revision, Silent};

/// One record: when it is appended, counted from `T0`, and what it is.
type Step = (i64, Record, Seen);

fn fold_all(steps: &[(i64, Record)]) -> (Batch, Vec<Decision>) {
    let mut batch = Batch::default();
    let decisions = (0..)
        .zip(steps)
        .map(|(offset, (at, record))| {
            fold(&mut batch, offset, T0 + at, record, |_| Ok::<_, Infallible>(None)).unwrap()
        })
        .collect();
    (batch, decisions)
}

fn check(name: &str, steps: Vec<Step>) {
    let log: Vec<_> = steps.iter().map(|(at, record, _)| (*at, record.clone())).collect();
    let (_, decisions) = fold_all(&log);
    for (index, (decision, (_, _, expected))) in decisions.iter().zip(&steps).enumerate() {
        let (verdict, first) = match expected {
            Nothing => (Verdict::Nothing, None),
            Silent => (Verdict::Silent, None),
            New(id) => (Verdict::New, Some(*id)),
            Revision(id) => (Verdict::Revision, Some(*id)),
        };
        assert_eq!(decision.verdict, verdict, "{name}, record {index}");
        assert_eq!(decision.first_event_id.as_deref(), first, "{name}, record {index}");
        assert_eq!(
            decision.raises(),
            matches!(expected, New(_) | Revision(_)),
            "{name}, record {index}"
        );
    }
}

fn event(id: &str, code: Option<i64>) -> Record {
    record_of(observation("u", "t", id, code))
}

fn learning(id: &str, learning_ms: i64) -> Record {
    let mut observation = observation("u", id, id, None);
    observation.learning_ms = learning_ms;
    record_of(observation)
}

fn history(id: &str, code: Option<i64>) -> Record {
    let mut observation = observation("u", "t", id, code);
    observation.history = true;
    record_of(observation)
}

fn learns_from(start: i64) -> Record {
    Record::Marker(marker("log", &[(VERSION, T0 + start)]))
}

#[test]
fn a_term_is_new_until_it_is_seen_and_again_after_its_window() {
    check("new, then known", vec![(0, event("a", None), New("a")), (1, event("b", None), Nothing)]);
    check(
        "the window's last millisecond counts as seen",
        vec![(0, event("a", None), New("a")), (WINDOW_MS, event("b", None), Nothing)],
    );
    check(
        "one millisecond later is new, under the later event's id",
        vec![(0, event("a", None), New("a")), (WINDOW_MS + 1, event("b", None), New("b"))],
    );
    check(
        "every sighting opens the window anew",
        vec![
            (0, event("a", None), New("a")),
            (WINDOW_MS, event("b", None), Nothing),
            (2 * WINDOW_MS, event("c", None), Nothing),
            (3 * WINDOW_MS + 1, event("d", None), New("d")),
        ],
    );
    check(
        "other terms and other users are new for themselves",
        vec![
            (0, event("a", None), New("a")),
            (0, record_of(observation("u", "t2", "a", None)), New("a")),
            (0, record_of(observation("u2", "t", "b", None)), New("b")),
        ],
    );
}

#[test]
fn a_clock_that_steps_back_leaves_a_term_known() {
    check(
        "back, and forward within the window of the record appended last",
        vec![
            (HOUR_MS, event("a", None), New("a")),
            (0, event("b", None), Nothing),
            (WINDOW_MS, event("c", None), Nothing),
        ],
    );
    check(
        "the record appended last counts",
        vec![
            (HOUR_MS, event("a", None), New("a")),
            (0, event("b", None), Nothing),
            (WINDOW_MS + 1, event("c", None), New("c")),
        ],
    );
    let (batch, _) = fold_all(&[(HOUR_MS, event("a", None)), (0, event("b", None))]);
    assert_eq!(batch.state.last_append_ms, T0 + HOUR_MS, "the log's time never steps back");
    assert_eq!(batch.state.next, 2);
}

/// Compaction keeps the last record of a key. What comes after it must be told the same.
#[test]
fn a_compacted_log_folds_to_the_same_times() {
    for times in [vec![0, 5, HOUR_MS], vec![HOUR_MS, 0], vec![0, HOUR_MS, HOUR_MS / 2, 7]] {
        let log: Vec<_> = times.iter().map(|at| (*at, event("a", None))).collect();
        let last = log[log.len() - 1].clone();
        let at = last.0;
        for later in [at + WINDOW_MS, at + WINDOW_MS + 1] {
            let verdict_after = |mut log: Vec<(i64, Record)>| {
                log.push((later, event("z", None)));
                fold_all(&log).1.pop().map(|decision| decision.verdict)
            };
            assert_eq!(
                verdict_after(log.clone()),
                verdict_after(vec![last.clone()]),
                "{times:?} {later}"
            );
        }
    }
}

#[test]
fn learning_is_silent_until_its_time_from_the_marker_is_over() {
    const LEARNING: i64 = 1_000;
    check("no marker", vec![(0, learning("a", LEARNING), Silent)]);
    check(
        "a marker without the rule",
        vec![
            (0, Record::Marker(marker("log", &[("other@1", 0)])), Nothing),
            (LEARNING * 9, learning("a", LEARNING), Silent),
        ],
    );
    check(
        "a marker at a higher offset is too late for what is below it",
        vec![
            (LEARNING * 9, learning("a", LEARNING), Silent),
            (LEARNING * 9, learns_from(0), Nothing),
            (LEARNING * 9, learning("b", LEARNING), New("b")),
            (LEARNING * 9, learning("a", LEARNING), Nothing),
        ],
    );
    check(
        "before, at and after the end",
        vec![
            (0, learns_from(0), Nothing),
            (0, learning("a", LEARNING), Silent),
            (LEARNING - 1, learning("b", LEARNING), Silent),
            (LEARNING, learning("c", LEARNING), New("c")),
            (LEARNING + 1, learning("d", LEARNING), New("d")),
            (LEARNING + 2, learning("b", LEARNING), Nothing),
        ],
    );
    check(
        "without a learning time markers don't matter",
        vec![
            (0, learning("a", 0), New("a")),
            (0, learns_from(50), Nothing),
            (0, learning("b", 0), New("b")),
            (0, learning("c", -1), New("c")),
        ],
    );
    check(
        "a learning time past all time ends never, and panics not",
        vec![(0, learns_from(0), Nothing), (1, learning("a", i64::MAX), Silent)],
    );
}

#[test]
fn history_counts_and_never_alerts() {
    check(
        "what was seen in history is known",
        vec![(0, history("h", None), Silent), (1, event("a", Some(200)), Nothing)],
    );
    check(
        "history opens the window anew too",
        vec![
            (0, event("a", None), New("a")),
            (WINDOW_MS, history("h", None), Nothing),
            (2 * WINDOW_MS, event("b", None), Nothing),
        ],
    );
    check(
        "history never revises",
        vec![
            (0, event("a", None), New("a")),
            (1, history("a", Some(200)), Nothing),
            (2, event("a", Some(200)), Revision("a")),
        ],
    );
    check(
        "what history opened is not revised",
        vec![(0, history("a", None), Silent), (1, event("a", Some(200)), Nothing)],
    );
}

#[test]
fn a_later_stage_revises_once_and_only_what_was_raised() {
    let opened = || (0, event("a", None), New("a"));
    check(
        "the first outcome of the event that opened the window, once",
        vec![
            opened(),
            (1, event("a", None), Nothing),
            (2, event("b", Some(200)), Nothing),
            (3, event("a", Some(403)), Revision("a")),
            (4, event("a", Some(200)), Nothing),
        ],
    );
    check(
        "an alert that told its outcome is never revised",
        vec![(0, event("a", Some(101)), New("a")), (1, event("a", Some(403)), Nothing)],
    );
    let limit = REVISION_MAX_MS;
    check("up to the limit", vec![opened(), (limit, event("a", Some(200)), Revision("a"))]);
    check("not past the limit", vec![opened(), (limit + 1, event("a", Some(200)), Nothing)]);
    check(
        "learning raised nothing to revise",
        vec![
            (0, learns_from(0), Nothing),
            (1, learning("a", 10), Silent),
            (
                11,
                {
                    let mut told = observation("u", "a", "a", Some(200));
                    told.learning_ms = 10;
                    record_of(told)
                },
                Nothing,
            ),
        ],
    );
    check(
        "the same event's later stage, past the window, is a new sighting",
        vec![opened(), (WINDOW_MS + 1, event("a", Some(200)), New("a"))],
    );
    check(
        "a window opened again can be revised again, under its own event's id",
        vec![
            opened(),
            (1, event("a", Some(200)), Revision("a")),
            (WINDOW_MS + 2, event("b", None), New("b")),
            (WINDOW_MS + 3, event("a", Some(500)), Nothing),
            (WINDOW_MS + 4, event("b", Some(500)), Revision("b")),
        ],
    );
}

#[test]
fn markers_merge() {
    let (a, b) = ("a@1", "b@1");
    let check = |name: &str, markers: &[Marker], merged: Marker, owed: bool| {
        let log: Vec<_> =
            markers.iter().map(|marker| (7, Record::Marker(marker.clone()))).collect();
        let (batch, _) = fold_all(&log);
        let state = batch.state;
        assert_eq!(state.marker.as_ref(), Some(&merged), "{name}");
        assert_eq!(state.log_id(), Some(merged.log_id.as_str()), "{name}");
        assert_eq!(state.marker_owed, owed, "{name}");
        assert_eq!(state.marker_offset, i64::try_from(markers.len()).unwrap() - 1, "{name}");
        assert_eq!(state.marker_append_ms, T0 + 7, "{name}");
    };
    let x = |starts: &[(&str, i64)]| marker("x", starts);
    check("the first one", &[x(&[(a, 5)])], x(&[(a, 5)]), false);
    check("repeated", &[x(&[(a, 5)]), x(&[(a, 5)])], x(&[(a, 5)]), false);
    check(
        "one that knows more",
        &[x(&[(a, 5)]), x(&[(a, 5), (b, 6)])],
        x(&[(a, 5), (b, 6)]),
        false,
    );
    check(
        "one that lacks a rule",
        &[x(&[(a, 5), (b, 6)]), x(&[(b, 6)])],
        x(&[(a, 5), (b, 6)]),
        true,
    );
    check("a later start", &[x(&[(a, 5)]), x(&[(a, 9)])], x(&[(a, 5)]), true);
    check("an earlier start", &[x(&[(a, 5)]), x(&[(a, 3)])], x(&[(a, 3)]), false);
    check("another id", &[x(&[(a, 5)]), marker("y", &[(a, 5)])], x(&[(a, 5)]), true);
    check("another id that knows more", &[x(&[]), marker("y", &[(a, 5)])], x(&[(a, 5)]), true);
    check(
        "paid by the whole merge",
        &[x(&[(a, 5)]), marker("y", &[(b, 6)]), x(&[(a, 5), (b, 6)])],
        x(&[(a, 5), (b, 6)]),
        false,
    );
    check(
        "owed again when another one lands after the merge",
        &[x(&[(a, 5)]), x(&[(a, 5), (b, 6)]), x(&[(a, 5)])],
        x(&[(a, 5), (b, 6)]),
        true,
    );
}

#[test]
fn a_learning_start_is_lacking_until_a_marker_names_it() {
    let observation = Sighting::of(&observation("u", "t", "e", None));
    let mut state = PartitionState::default();
    assert!(state.lacks_learning_start(&observation));
    state.marker = Some(marker("x", &[("other@1", 1)]));
    assert!(state.lacks_learning_start(&observation));
    state.marker = Some(marker("x", &[(VERSION, 1)]));
    assert!(!state.lacks_learning_start(&observation));
}

#[test]
fn tombstones_and_foreign_records_only_move_on() {
    let (mut batch, _) = fold_all(&[(0, event("a", None))]);
    let before = batch.entries.clone();
    let decision =
        fold(&mut batch, 9, T0 + 5, &Record::Tombstone, |_| Ok::<_, Infallible>(None)).unwrap();
    assert_eq!(decision.verdict, Verdict::Nothing);
    pass(&mut batch, 12, T0 + 3);
    assert_eq!(batch.entries, before);
    assert_eq!((batch.state.next, batch.state.last_append_ms), (13, T0 + 5));
}

#[test]
fn a_store_that_fails_leaves_the_batch_as_it_was() {
    let (mut batch, _) = fold_all(&[(0, event("a", None))]);
    let before = batch.clone();
    let other = record_of(observation("u", "other", "e", None));
    assert_eq!(fold(&mut batch, 1, T0 + 1, &other, |_| Err("broken")), Err("broken"));
    assert_eq!(batch, before);
}

#[test]
fn an_entry_expires_an_hour_past_its_window() {
    let (batch, _) = fold_all(&[(0, event("a", None))]);
    let entry = batch.entries.values().next().unwrap();
    assert!(!entry.is_expired(T0 + WINDOW_MS + HOUR_MS));
    assert!(entry.is_expired(T0 + WINDOW_MS + HOUR_MS + 1));
    let endless = Entry { window_ms: i64::MAX, ..entry.clone() };
    assert!(!endless.is_expired(i64::MAX), "saturates");
}
