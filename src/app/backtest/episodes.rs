//! New terms without an order of arrival.
//!
//! An *episode* is a run of sightings of one term of which each comes within the rule's window of
//! the one before, by the time of the events. A term is new once an episode: at its first sighting.
//! That is what the fold of the service makes of sightings that arrive in order, and it can be
//! found in any order: joining what is not further apart than the window ends with the same
//! episodes whatever is joined first. So partitions are read side by side, and what is kept grows
//! with the terms, not with their sightings. Pure, but for the temporary file.

use std::collections::{BTreeMap, HashMap};
use std::io;

use serde::{Deserialize, Serialize};

use super::BacktestError;
use super::hits::{Hit, Seen, Shown, Side};
use crate::app::latest::{Latest, Sorted};

/// What may be kept in memory before it goes to the temporary file.
const MEMORY_MAX_BYTES: isize = 64 * 1024 * 1024;
/// What an episode takes beside its texts, roughly.
const EPISODE_BYTES: usize = 320;

/// A term of a rule of a set.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Term {
    pub side: Side,
    /// Among the ids of the rules of both sets.
    pub rule: u16,
    /// Hexadecimal, of the key that the term has in the log of observations.
    pub hash: String,
}

/// The first sighting of an episode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct First {
    pub seen: Seen,
    /// The record stands before the range: known, and no alert.
    pub history: bool,
    /// See [`Hit::pair`].
    pub pair: String,
    pub shown: Shown,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Episode {
    first: First,
    /// Time of the last sighting, milliseconds since the epoch.
    last_ms: i64,
}

impl Episode {
    fn joins(&self, other: &Episode, window_ms: i64) -> bool {
        other.first.seen.time_ms.saturating_sub(self.last_ms) <= window_ms
            && self.first.seen.time_ms.saturating_sub(other.last_ms) <= window_ms
    }

    fn join(&mut self, other: Episode) {
        self.last_ms = self.last_ms.max(other.last_ms);
        if other.first.seen < self.first.seen {
            self.first = other.first;
        }
    }

    fn bytes(&self) -> usize {
        let shown = &self.first.shown;
        EPISODE_BYTES + shown.user.len() + shown.audit_id.len() + shown.what.len()
    }
}

/// The episodes of one term: apart by more than the window, by what they begin with.
#[derive(Debug, Default)]
struct Line {
    window_ms: i64,
    episodes: BTreeMap<Seen, Episode>,
}

impl Line {
    /// Whether a sighting is in an episode that is there, or goes on with the only one.
    fn takes(&mut self, seen: Seen) -> bool {
        let only = self.episodes.len() == 1;
        let Some((_, before)) = self.episodes.range_mut(..seen).next_back() else { return false };
        if only && seen.time_ms.saturating_sub(before.last_ms) <= self.window_ms {
            before.last_ms = before.last_ms.max(seen.time_ms);
            return true;
        }
        seen.time_ms <= before.last_ms
    }

    /// Joins an episode with those that it belongs to; bytes that are kept more, or less.
    fn insert(&mut self, mut new: Episode) -> isize {
        let mut removed = 0;
        while let Some(key) = self.neighbour(&new) {
            let Some(other) = self.episodes.remove(&key) else { break };
            removed += other.bytes();
            new.join(other);
        }
        let added = new.bytes();
        self.episodes.insert(new.first.seen, new);
        added as isize - removed as isize
    }

    /// An episode next to this one that joins it.
    fn neighbour(&self, new: &Episode) -> Option<Seen> {
        let before = self.episodes.range(..=new.first.seen).next_back();
        let after = self.episodes.range(new.first.seen..).next();
        let mut neighbours = [before, after].into_iter().flatten();
        neighbours.find(|(_, other)| other.joins(new, self.window_ms)).map(|(seen, _)| *seen)
    }
}

/// The episodes of all terms so far.
#[derive(Debug, Default)]
pub struct Episodes {
    terms: HashMap<Term, Line>,
    bytes: isize,
}

impl Episodes {
    /// Takes a sighting. `first` is asked for only where it may begin an episode.
    pub fn sighting(
        &mut self,
        term: Term,
        window_ms: i64,
        seen: Seen,
        first: impl FnOnce() -> First,
    ) {
        let line = self.terms.entry(term).or_default();
        line.window_ms = window_ms;
        if !line.takes(seen) {
            self.bytes += line.insert(Episode { first: first(), last_ms: seen.time_ms });
        }
    }

    pub fn merge(&mut self, other: Episodes) {
        for (term, theirs) in other.terms {
            let line = self.terms.entry(term).or_default();
            line.window_ms = theirs.window_ms;
            for episode in theirs.episodes.into_values() {
                self.bytes += line.insert(episode);
            }
        }
    }

    pub fn is_large(&self) -> bool {
        self.bytes > MEMORY_MAX_BYTES
    }

    /// Moves everything to where it is sorted, in memory and on disk.
    pub fn spill(&mut self, into: &mut Latest) -> Result<(), BacktestError> {
        self.bytes = 0;
        for (term, line) in self.terms.drain() {
            for episode in line.episodes.into_values() {
                let mut key = vec![term.side as u8];
                key.extend(term.rule.to_be_bytes());
                key.extend(term.hash.as_bytes());
                episode.first.seen.put(&mut key);
                into.push(key, episode.last_ms, serde_json::to_vec(&(&term, episode))?)?;
            }
        }
        Ok(())
    }
}

/// The alerts: the first sighting of each episode, unless it is history. `sorted` is what
/// [`Episodes::spill`] filled; parts of one episode may have gone there at different times.
pub fn raise(
    sorted: &Sorted,
    window_ms: impl Fn(Side, u16) -> i64,
    mut each: impl FnMut(Hit) -> Result<(), BacktestError>,
) -> Result<(), BacktestError> {
    let mut open: Option<(Term, Episode)> = None;
    for item in sorted.items()? {
        let (term, episode) = read(&item?.payload)?;
        if let Some((open_term, open_episode)) = &mut open {
            let window_ms = window_ms(term.side, term.rule);
            if *open_term == term && open_episode.joins(&episode, window_ms) {
                open_episode.join(episode);
                continue;
            }
        }
        if let Some((term, episode)) = open.replace((term, episode)) {
            close(term, episode, &mut each)?;
        }
    }
    match open {
        Some((term, episode)) => close(term, episode, &mut each),
        None => Ok(()),
    }
}

fn read(payload: &[u8]) -> io::Result<(Term, Episode)> {
    Ok(serde_json::from_slice(payload)?)
}

fn close(
    term: Term,
    episode: Episode,
    each: &mut impl FnMut(Hit) -> Result<(), BacktestError>,
) -> Result<(), BacktestError> {
    let First { seen, history, pair, shown } = episode.first;
    if history {
        return Ok(());
    }
    // A rule of new terms has no suppression.
    let (rule, side, terms) = (term.rule, term.side, term.hash);
    each(Hit { rule, pair, side, terms, withheld: false, seen, shown })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::hits::Place;
    use super::*;
    use crate::terms::local::{LocalFold, LocalVerdict};
    use crate::terms::store::memory::MemoryStore;
    use crate::terms::testing::{self, WINDOW_MS};

    fn seen(time_ms: i64, offset: i64) -> Seen {
        Seen { time_ms, place: Place { offset, ..Place::default() } }
    }

    fn first(seen: Seen, history: bool) -> First {
        let shown = Shown { user: "u".to_owned(), audit_id: String::new(), what: String::new() };
        First { seen, history, pair: format!("{}", seen.place.offset), shown }
    }

    fn term(name: &str) -> Term {
        Term { side: Side::Current, rule: 0, hash: name.to_owned() }
    }

    fn raised(mut spilled: Latest, mut episodes: Episodes) -> Vec<(String, i64)> {
        episodes.spill(&mut spilled).unwrap();
        let mut raised = Vec::new();
        let mut each = |hit: Hit| {
            raised.push((hit.terms, hit.seen.place.offset));
            Ok(())
        };
        raise(&spilled.sorted().unwrap(), |_, _| WINDOW_MS, &mut each).unwrap();
        raised.sort();
        raised
    }

    proptest! {
        /// In whatever order, batches and parts it arrives: what the service's fold raises of the
        /// same sightings in the order of their times.
        #[test]
        fn no_order_of_arrival_changes_what_is_new(
            times in prop::collection::vec((0..12i64, 0..3usize), 1..40),
            order in any::<prop::sample::Index>(),
            batch in 1..5usize,
            spill_every in 1..6usize,
        ) {
            let sightings: Vec<(Seen, &str)> = times
                .iter()
                .zip(0..)
                .map(|(&(step, term), offset)| {
                    (seen(testing::T0 + step * WINDOW_MS / 3, offset), ["a", "b", "c"][term])
                })
                .collect();

            let mut sorted = sightings.clone();
            sorted.sort();
            let store = MemoryStore::default();
            let mut fold = LocalFold::new(&store).unwrap();
            let mut expected = Vec::new();
            for (seen, name) in sorted {
                let id = seen.place.offset.to_string();
                let observation = testing::observation("u", name, &id, Some(200));
                if let LocalVerdict::Alert(_) = fold.observe(&observation, seen.time_ms).unwrap() {
                    expected.push((name.to_owned(), seen.place.offset));
                }
            }
            expected.sort();

            let mut shuffled = sightings;
            let middle = order.index(shuffled.len());
            shuffled.rotate_left(middle);
            shuffled[..middle].reverse();
            let (mut all, mut spilled) = (Episodes::default(), Latest::default());
            for (number, part) in shuffled.chunks(batch).enumerate() {
                let mut local = Episodes::default();
                for (seen, name) in part {
                    local.sighting(term(name), WINDOW_MS, *seen, || first(*seen, false));
                }
                all.merge(local);
                if number % spill_every == 0 {
                    all.spill(&mut spilled).unwrap();
                }
            }
            prop_assert_eq!(raised(spilled, all), expected);
        }
    }

    #[test]
    fn what_is_known_from_before_the_range_is_not_new_until_its_window_is_over() {
        let mut episodes = Episodes::default();
        for (time_ms, history) in
            [(5, false), (0, true), (WINDOW_MS + 5, false), (2 * WINDOW_MS + 6, false)]
        {
            let seen = seen(time_ms, time_ms);
            episodes.sighting(term("a"), WINDOW_MS, seen, || first(seen, history));
        }
        assert_eq!(
            raised(Latest::default(), episodes),
            [("a".to_owned(), 2 * WINDOW_MS + 6)],
            "the window's age still counts as seen"
        );
    }

    #[test]
    fn memory_is_given_back_when_it_is_spilled() {
        let (mut episodes, mut spilled) = (Episodes::default(), Latest::default());
        let (terms, mut spills) = (25_000, 0);
        for offset in 0..terms {
            let (seen, name) = (seen(offset, offset), offset.to_string());
            let what = "x".repeat(4_000);
            episodes.sighting(term(&name), WINDOW_MS, seen, || First {
                shown: Shown { user: String::new(), audit_id: String::new(), what },
                ..first(seen, false)
            });
            if episodes.is_large() {
                episodes.spill(&mut spilled).unwrap();
                assert!(episodes.terms.is_empty());
                spills += 1;
            }
        }
        assert!(spills > 0);
        assert_eq!(raised(spilled, episodes).len(), terms as usize);
    }
}
