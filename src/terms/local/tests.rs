use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::terms::store::memory::MemoryStore;
use crate::terms::testing::{T0, WINDOW_MS, observation};

fn first(id: &str) -> LocalVerdict {
    LocalVerdict::Alert(FirstSeen { first_event_id: id.to_owned(), is_revision: false })
}

fn revision(id: &str) -> LocalVerdict {
    LocalVerdict::Alert(FirstSeen { first_event_id: id.to_owned(), is_revision: true })
}

#[test]
fn without_learning_every_first_sighting_alerts_once() {
    let store = MemoryStore::default();
    let mut fold = LocalFold::new(&store).unwrap();
    for (user, term, id, code, expected) in [
        ("u", "t", "a", None, first("a")),
        ("u", "t", "b", None, LocalVerdict::Nothing),
        ("u", "t", "a", Some(200), revision("a")),
        ("u", "t", "a", Some(200), LocalVerdict::Nothing),
        ("u", "other", "c", None, first("c")),
        ("v", "t", "d", Some(200), first("d")),
        ("v", "t", "d", Some(200), LocalVerdict::Nothing),
    ] {
        let found = fold.observe(&observation(user, term, id, code), T0).unwrap();
        assert_eq!(found, expected, "{user} {term} {id} {code:?}");
    }
}

#[test]
fn learning_lasts_from_the_rules_first_observation() {
    let store = MemoryStore::default();
    let mut fold = LocalFold::new(&store).unwrap();
    let mut observe = |term: &str, version: &str, at: i64| {
        let mut observation = observation("u", term, term, None);
        observation.learning_ms = 1_000;
        observation.terms_version = version.to_owned();
        fold.observe(&observation, T0 + at).unwrap()
    };
    assert_eq!(observe("a", "r@1", 0), LocalVerdict::Learned);
    assert_eq!(observe("b", "r@1", 999), LocalVerdict::Learned);
    assert_eq!(observe("b", "r@1", 1_000), LocalVerdict::Nothing);
    assert_eq!(observe("c", "r@1", 1_000), first("c"));
    assert_eq!(observe("d", "r@2", 5_000), LocalVerdict::Learned, "another version learns anew");
    assert_eq!(observe("e", "r@2", 6_000), first("e"));
}

#[test]
fn a_later_scan_goes_on_where_the_last_one_ended() {
    let store = MemoryStore::default();
    let mut fold = LocalFold::new(&store).unwrap();
    assert_eq!(fold.time_ms(), 0);
    assert_eq!(fold.observe(&observation("u", "t", "a", None), T0).unwrap(), first("a"));
    fold.save().unwrap();
    let mut fold = LocalFold::new(&store).unwrap();
    assert_eq!(fold.time_ms(), T0);
    let known = fold.observe(&observation("u", "t", "b", None), T0 + WINDOW_MS).unwrap();
    assert_eq!(known, LocalVerdict::Nothing);
    fold.save().unwrap();
    // Older files are read later: time doesn't go back, and the term isn't forgotten early.
    let mut fold = LocalFold::new(&store).unwrap();
    let older = fold.observe(&observation("u", "t", "c", None), T0 - 9 * WINDOW_MS).unwrap();
    assert_eq!(older, LocalVerdict::Nothing);
    assert_eq!(fold.time_ms(), T0 + WINDOW_MS);
    let known = fold.observe(&observation("u", "t", "d", None), T0 + 2 * WINDOW_MS).unwrap();
    assert_eq!(known, LocalVerdict::Nothing);
    let late = fold.observe(&observation("u", "t", "e", None), T0 + 3 * WINDOW_MS + 1).unwrap();
    assert_eq!(late, first("e"));
}

#[test]
fn what_was_not_saved_is_folded_again() {
    let store = MemoryStore::default();
    let mut fold = LocalFold::new(&store).unwrap();
    fold.observe(&observation("u", "t", "a", None), T0).unwrap();
    drop(fold);
    let mut fold = LocalFold::new(&store).unwrap();
    assert_eq!(fold.observe(&observation("u", "t", "a", None), T0).unwrap(), first("a"));
}

/// Said as plainly as it can be: a term is new when it was not seen within the window before.
#[derive(Default)]
struct Naive {
    now: i64,
    last: HashMap<String, i64>,
    learning_from: Option<i64>,
}

impl Naive {
    fn observe(&mut self, term: &str, id: &str, at: i64, learning_ms: i64) -> LocalVerdict {
        self.now = self.now.max(at);
        let learning_from = *self.learning_from.get_or_insert(self.now);
        match self.last.insert(term.to_owned(), self.now) {
            Some(last) if self.now - last <= WINDOW_MS => LocalVerdict::Nothing,
            _ if self.now < learning_from + learning_ms => LocalVerdict::Learned,
            _ => first(id),
        }
    }
}

proptest! {
    #[test]
    fn equals_a_naive_model(
        steps in prop::collection::vec(
            (
                prop::sample::select(vec!["a", "b", "c"]),
                prop_oneof![-WINDOW_MS..WINDOW_MS, Just(WINDOW_MS), Just(WINDOW_MS + 1)],
                prop::bool::weighted(0.2),
            ),
            0..60,
        ),
        learning_ms in prop::sample::select(vec![0, 3 * WINDOW_MS]),
    ) {
        let store = MemoryStore::default();
        let mut fold = LocalFold::new(&store).unwrap();
        let mut naive = Naive::default();
        let mut time = T0;
        for (number, (term, step, save)) in steps.into_iter().enumerate() {
            time += step;
            let id = format!("event-{number}");
            // Its outcome is told at once, so that nothing is revised.
            let mut observation = observation("u", term, &id, Some(200));
            observation.learning_ms = learning_ms;
            let found = fold.observe(&observation, time).unwrap();
            prop_assert_eq!(found, naive.observe(term, &id, time, learning_ms));
            if save {
                fold.save().unwrap();
                fold = LocalFold::new(&store).unwrap();
            }
        }
    }
}
