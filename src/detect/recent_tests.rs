use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::terms::fold::{Batch, Verdict, fold};
use crate::terms::testing::{T0, WINDOW_MS, observation, record_of};

const SHARE_MS: i64 = WINDOW_MS / CACHE_SHARE_OF_WINDOW;
const MINUTE_MS: i64 = 60_000;

fn mark(event_id: &str, outcome_known: bool) -> ObservationMark {
    mark_of(b"term", event_id, outcome_known)
}

fn mark_of(key: &[u8], event_id: &str, outcome_known: bool) -> ObservationMark {
    ObservationMark::new(key, event_id, outcome_known, WINDOW_MS)
}

fn recent() -> Recent {
    Recent::new(1 << 20, Faults::NONE)
}

/// Sends an observation and has it acknowledged a second later.
fn observe(recent: &mut Recent, mark: &ObservationMark, boot_ms: i64) {
    recent.sent(mark, boot_ms);
    recent.acknowledged(mark, boot_ms, boot_ms + 1_000);
}

#[test]
fn spares_only_what_was_acknowledged() {
    let mut recent = recent();
    recent.sent(&mark("a", true), 0);
    assert!(!recent.spares(&mark("b", true), 1));
    recent.acknowledged(&mark("a", true), 0, 2);
    assert!(recent.spares(&mark("b", true), 3));
    assert!(!recent.spares(&mark_of(b"another term", "b", true), 3));
}

#[test]
fn counts_from_the_handing_over_and_a_spared_one_refreshes_nothing() {
    let mut recent = recent();
    let known = mark("a", true);
    recent.sent(&known, 0);
    recent.acknowledged(&known, 0, SHARE_MS / 2);
    assert!(recent.spares(&known, SHARE_MS));
    assert!(!recent.spares(&known, SHARE_MS + 1));
    // One that was sent before and is acknowledged after does not take the time back.
    observe(&mut recent, &known, 2 * SHARE_MS);
    recent.acknowledged(&known, SHARE_MS, 2 * SHARE_MS + 2_000);
    assert!(recent.spares(&known, 3 * SHARE_MS));
}

#[test]
fn an_outcome_goes_out_once_for_an_event_that_was_sent_without() {
    let mut recent = recent();
    observe(&mut recent, &mark("a", false), 0);
    assert!(recent.spares(&mark("a", false), 2_000));
    assert!(recent.spares(&mark("b", true), 2_000), "an event that is not in the log");
    assert!(!recent.spares(&mark("a", true), 2_000));
    recent.sent(&mark("a", true), 2_000);
    assert!(!recent.spares(&mark("a", true), 2_500), "not acknowledged yet");
    recent.acknowledged(&mark("a", true), 2_000, 3_000);
    assert!(recent.spares(&mark("a", true), 4_000));
}

/// An event's second stage may come before its first one is acknowledged, while another event has
/// made the term known.
#[test]
fn an_outcome_goes_out_while_its_event_is_on_its_way() {
    let mut recent = recent();
    recent.sent(&mark("a", false), 0);
    recent.sent(&mark("b", true), 0);
    recent.acknowledged(&mark("b", true), 0, 1_000);
    assert!(recent.spares(&mark("c", true), 2_000));
    assert!(!recent.spares(&mark("a", true), 2_000));
}

#[test]
fn an_event_is_remembered_for_as_long_as_its_alert_may_be_revised() {
    let mut recent = recent();
    observe(&mut recent, &mark("a", false), 0);
    observe(&mut recent, &mark("b", true), REVISION_MAX_MS);
    assert!(!recent.spares(&mark("a", true), REVISION_MAX_MS + 1_000));
    assert!(recent.spares(&mark("a", true), REVISION_MAX_MS + 1_001));
}

/// Both stages of a request are sent before either is acknowledged.
#[test]
fn workers_know_of_a_term_once_what_tells_an_outcome_is_acknowledged() {
    let mut recent = recent();
    let (received, complete) = (mark("a", false), mark("a", true));
    recent.sent(&received, 0);
    recent.sent(&complete, 0);
    recent.acknowledged(&received, 0, 1_000);
    assert!(!recent.likely().spares(&mark("b", true), 2_000));
    recent.acknowledged(&complete, 0, 1_000);
    assert!(recent.likely().spares(&mark("b", true), 2_000));
    recent.sent(&mark("c", true), 3_000);
    assert!(!recent.likely().spares(&mark("b", true), 4_000), "one is on its way");
}

#[test]
fn what_had_no_room_lets_every_outcome_out() {
    let mut recent = Recent::new(4 * 4 * ENTRY_BYTES, Faults::NONE);
    assert_eq!((recent.terms.max, recent.events.max), (12, 4));
    for event in ["a", "b", "c", "d", "e"] {
        observe(&mut recent, &mark(event, false), 0);
    }
    assert!(!recent.spares(&mark("a", true), 2_000), "it was forgotten");
    assert!(recent.spares(&mark("z", false), 2_000), "the term is still known");
    let later = REVISION_MAX_MS + 1_001;
    observe(&mut recent, &mark("y", true), later);
    assert!(recent.spares(&mark("a", true), later + 1));
}

#[test]
fn without_memory_everything_goes_out() {
    for bytes in [0, ENTRY_BYTES] {
        let mut recent = Recent::new(bytes, Faults::NONE);
        observe(&mut recent, &mark("a", false), 0);
        assert!(!recent.spares(&mark("a", false), 2_000), "{bytes}");
        assert!(recent.on_their_way.is_empty());
    }
}

#[test]
fn a_planted_fault_spares_what_is_not_acknowledged() {
    let mut recent = Recent::new(1 << 20, Faults::planted(Fault::CacheEntryOnSend));
    recent.sent(&mark("a", true), 0);
    assert!(recent.spares(&mark("b", true), 1));
}

#[test]
fn keeps_within_its_bytes_whatever_comes() {
    let bytes: u64 = 1 << 20;
    let mut recent = Recent::new(bytes, Faults::NONE);
    for step in 0..50_000_i64 {
        let key = (step * step % 40_009).to_be_bytes();
        let event = step.to_string();
        observe(&mut recent, &mark_of(&key, &event, false), step * 10);
        if step % 3 == 0 {
            observe(&mut recent, &mark_of(&key, &event, true), step * 10 + 5);
        }
    }
    // A table has a power of two of buckets and calls 7 of 8 its capacity.
    let size = |times: &Times| {
        let buckets = (times.by_key.capacity() * 8 / 7).next_power_of_two();
        buckets * (size_of::<(Key, i64)>() + 1) + times.order.capacity() * size_of::<(Key, i64)>()
    };
    let taken = size(&recent.terms) + size(&recent.events);
    assert!(u64::try_from(taken).unwrap() <= bytes, "{taken}");
    assert!(recent.terms.by_key.len() > recent.terms.max / 2, "and makes use of them");
    assert!(recent.on_their_way.is_empty());
}

/// One observation on its way: when it comes, and how long its append and its acknowledgement
/// take.
#[derive(Debug, Clone)]
struct Arrival {
    after_ms: i64,
    term: u8,
    event: u8,
    outcome_known: bool,
    append_ms: i64,
    acknowledgement_ms: i64,
}

const APPEND_MAX_MS: i64 = MINUTE_MS;

fn arrivals() -> impl Strategy<Value = Vec<Arrival>> {
    let after = prop_oneof![
        8 => 0..SHARE_MS / 4,
        2 => 0..2 * SHARE_MS,
        1 => 0..REVISION_MAX_MS,
        1 => WINDOW_MS - 3 * SHARE_MS..WINDOW_MS + 3 * SHARE_MS,
    ];
    let delay = || prop_oneof![4 => 0..100i64, 1 => 0..APPEND_MAX_MS];
    let arrival = (after, 0u8..3, 0u8..8, any::<bool>(), delay(), delay()).prop_map(
        |(after_ms, term, event, outcome_known, append_ms, acknowledgement_ms)| Arrival {
            after_ms,
            term,
            event,
            outcome_known,
            append_ms,
            acknowledgement_ms,
        },
    );
    prop::collection::vec(arrival, 1..120)
}

/// What the fold makes of a log: the arrivals that raise an alert, and those that revise one, each
/// with the event that the alert is named after.
#[derive(Debug, Default)]
struct Raised {
    alerts: BTreeSet<usize>,
    revisions: BTreeSet<usize>,
}

fn raised(log: &[(usize, i64, &Arrival)]) -> Raised {
    let mut raised = Raised::default();
    let mut batch = Batch::default();
    for (number, append_ms, arrival) in log {
        let term = arrival.term.to_string();
        let event = format!("{term}-{}", arrival.event);
        let code = arrival.outcome_known.then_some(200);
        let record = record_of(observation("user", &term, &event, code));
        let offset = batch.state.next;
        let stored = |_: &[u8]| Ok::<_, std::convert::Infallible>(None);
        let Ok(decision) = fold(&mut batch, offset, T0 + append_ms, &record, stored);
        match decision.verdict {
            Verdict::New => raised.alerts.insert(*number),
            Verdict::Revision => raised.revisions.insert(*number),
            Verdict::Nothing | Verdict::Silent => continue,
        };
    }
    raised
}

/// The arrivals that go out with a cache of so many bytes, and when each arrival is appended.
fn sent(arrivals: &[Arrival], bytes: u64) -> (Vec<bool>, Vec<i64>) {
    let mut recent = Recent::new(bytes, Faults::NONE);
    let mut now_ms = 0;
    let mut end_ms = 0;
    let mut acknowledgements: Vec<(i64, i64, ObservationMark)> = Vec::new();
    let (mut goes, mut appended) = (Vec::new(), Vec::new());
    for arrival in arrivals {
        now_ms += arrival.after_ms;
        acknowledgements.sort_by_key(|(at, ..)| *at);
        let due = acknowledgements.partition_point(|(at, ..)| *at <= now_ms);
        for (at, handed_ms, mark) in acknowledgements.drain(..due) {
            recent.acknowledged(&mark, handed_ms, at);
        }
        end_ms = end_ms.max(now_ms + arrival.append_ms);
        appended.push(end_ms);
        let mark = mark_of(&[arrival.term], &arrival.event.to_string(), arrival.outcome_known);
        let spared = recent.spares(&mark, now_ms);
        goes.push(!spared);
        if !spared {
            recent.sent(&mark, now_ms);
            acknowledgements.push((end_ms + arrival.acknowledgement_ms, now_ms, mark));
        }
    }
    (goes, appended)
}

proptest! {
    /// Of what one instance sends: every alert of the log with everything in it is one of the log
    /// that the cache leaves, named after the same event, and so is every revision. An alert more
    /// is of a term that was last seen all but a 168th of the window before.
    #[test]
    fn never_an_alert_less_and_a_term_expires_a_168th_early_at_most(
        arrivals in arrivals(),
        bytes in prop_oneof![Just(0), Just(8 * ENTRY_BYTES), Just(64 * ENTRY_BYTES), Just(1u64 << 20)],
    ) {
        let (goes, appended) = sent(&arrivals, bytes);
        let log: Vec<_> =
            (0..).zip(&arrivals).map(|(number, arrival)| (number, appended[number], arrival)).collect();
        let left: Vec<_> = log.iter().copied().filter(|(number, ..)| goes[*number]).collect();
        let (all, with_cache) = (raised(&log), raised(&left));
        prop_assert!(all.alerts.is_subset(&with_cache.alerts), "{all:?} {with_cache:?}");
        prop_assert!(all.revisions.is_subset(&with_cache.revisions), "{all:?} {with_cache:?}");
        for more in with_cache.alerts.difference(&all.alerts) {
            let (_, append_ms, arrival) = log[*more];
            let before = log[..*more].iter().rev().find(|(.., other)| other.term == arrival.term);
            let unseen_ms = append_ms - before.unwrap().1;
            prop_assert!(unseen_ms >= WINDOW_MS - SHARE_MS - APPEND_MAX_MS, "{unseen_ms}");
        }
        prop_assert!(bytes > 0 || left.len() == log.len());
    }
}

#[test]
fn a_busy_term_is_sent_once_an_interval() {
    let arrival = Arrival {
        after_ms: SHARE_MS / 100,
        term: 0,
        event: 0,
        outcome_known: true,
        append_ms: 5,
        acknowledgement_ms: 5,
    };
    let (goes, _) = sent(&vec![arrival; 1_000], 1 << 20);
    assert_eq!(goes.iter().filter(|goes| **goes).count(), 10);
}
