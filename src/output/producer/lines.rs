//! The order that a reader of a topic counts on: of what it keeps by its key, the next one goes out when
//! the one before it was acknowledged.

use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap, RandomState};
use std::hash::BuildHasher as _;

use crate::output::client::Attempt;
use crate::output::producer::outgoing::{Output, OutputKind};

/// Outputs of one key, of which only the first is under way.
///
/// A line is known by the hash of its topic and key: two that share one wait for each other in
/// vain, and nothing worse.
#[derive(Default)]
pub(super) struct Lines {
    hasher: RandomState,
    waiting: HashMap<u64, VecDeque<Attempt>>,
}

impl Lines {
    /// `None` for what may be appended in any order: the time that the broker gives an observation
    /// decides, and no dead letter replaces another.
    pub(super) fn line_of(&self, output: &Output) -> Option<u64> {
        let key = match output.kind {
            OutputKind::Alert | OutputKind::Marker => output.key.as_ref()?,
            OutputKind::Observation | OutputKind::DeadLetter => return None,
        };
        Some(self.hasher.hash_one((&output.topic, output.partition, key)))
    }

    /// The attempt, if nothing of its line is under way; otherwise it waits.
    pub(super) fn enter(&mut self, attempt: Attempt) -> Option<Attempt> {
        let Some(line) = self.line_of(&attempt.output) else { return Some(attempt) };
        match self.waiting.entry(line) {
            Entry::Vacant(place) => {
                place.insert(VecDeque::new());
                Some(attempt)
            }
            Entry::Occupied(mut place) => {
                place.get_mut().push_back(attempt);
                None
            }
        }
    }

    /// What waited for this output, which has come to its end.
    pub(super) fn next_after(&mut self, output: &Output) -> Option<Attempt> {
        let line = self.line_of(output)?;
        let next = self.waiting.get_mut(&line)?.pop_front();
        if next.is_none() {
            self.waiting.remove(&line);
        }
        next
    }
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
