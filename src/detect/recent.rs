//! Observations that need not be sent: those of a term that was observed a moment ago.
//!
//! Owns which terms were observed lately and which of their events have yet to tell an outcome.
//! Does no I/O and reads no clock; its times are milliseconds since boot, by a clock that counts
//! suspension. In memory only, and good for the log that the acknowledgements came from: the
//! observations topic is made anew only while no instance runs.
//!
//! What it must keep, as long as an observation reaches the log within much less than a window:
//! - Never an alert less. An observation is left out only when one of its term was acknowledged
//!   and had been handed to the producer within the last 168th of the window (an hour of seven
//!   days). That one was appended later than it was handed over, so the term is known. Leaving out
//!   refreshes nothing, so the log's last sighting of a term is at most that much too old: a term
//!   may expire that much early.
//! - Never a revision less of what this instance sent: an observation that tells the outcome of an
//!   event that was sent without one goes out. Events are kept for as long as the fold would revise
//!   their alert; where there is no room, whatever tells an outcome goes out for that long.
//!
//! What workers may know of it, a hint, is published as it changes ([`Likely`]).
//!
//! Bounded: what was acknowledged by the bytes that the operator gives, what is on its way by what
//! the driver lets be on its way.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::detect::likely::Likely;
use crate::faults::{Fault, Faults};
use crate::limits::{CACHE_SHARE_OF_WINDOW, REVISION_MAX_MS};

/// What an entry may take, spare room included: 25 bytes of a hash table that is 7/32 full at the
/// least (removals leave marks, and it grows to be rid of them), 24 of a queue that is half full.
const ENTRY_BYTES: u64 = 160;

/// The beginning of a SHA-256: nobody can write a term that is taken for another.
pub type Key = [u8; 16];

/// What one observation needs to be told apart from those of the same term before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservationMark {
    term: Key,
    event: Key,
    outcome_known: bool,
    /// Milliseconds.
    window_ms: i64,
}

impl ObservationMark {
    /// `key` is that of the observation's record.
    pub fn new(key: &[u8], event_id: &str, outcome_known: bool, window_ms: i64) -> Self {
        let term = Sha256::digest(key);
        let event = Sha256::new()
            .chain_update(key.len().to_be_bytes())
            .chain_update(key)
            .chain_update(event_id)
            .finalize();
        ObservationMark {
            term: start_of(term.into()),
            event: start_of(event.into()),
            outcome_known,
            window_ms,
        }
    }

    pub fn term(&self) -> &Key {
        &self.term
    }

    /// For so long after a sighting of its term it is left out, in milliseconds.
    pub fn interval_ms(&self) -> i64 {
        self.window_ms / CACHE_SHARE_OF_WINDOW
    }
}

#[derive(Debug)]
pub struct Recent {
    faults: Faults,
    /// What the workers know of it.
    likely: Arc<Likely>,
    /// When the latest acknowledged observation of a term was handed to the producer.
    terms: Times,
    /// Until when the alert of an acknowledged event without an outcome may be revised.
    events: Times,
    /// Events on their way without an outcome: how often.
    on_their_way: HashMap<Key, u32>,
    /// Until when there may be events that had no room.
    forgot_until_ms: i64,
}

impl Recent {
    /// Takes about `bytes` at most, and what is known to the workers 512 KiB. With 0 it leaves nothing
    /// out.
    pub fn new(bytes: u64, faults: Faults) -> Self {
        let entries = |bytes: u64| usize::try_from(bytes / ENTRY_BYTES).unwrap_or(usize::MAX);
        // Most terms have no event that waits for its outcome.
        let events = bytes / 4;
        let terms = bytes - events;
        Recent {
            faults,
            likely: Arc::new(Likely::new(terms / ENTRY_BYTES)),
            terms: Times::new(entries(terms)),
            events: Times::new(entries(events)),
            on_their_way: HashMap::new(),
            forgot_until_ms: i64::MIN,
        }
    }

    pub fn likely(&self) -> &Arc<Likely> {
        &self.likely
    }

    fn is_off(&self) -> bool {
        self.terms.max == 0
    }

    /// Whether the observation need not be sent.
    pub fn spares(&self, mark: &ObservationMark, boot_ms: i64) -> bool {
        if self.is_off() {
            return false;
        }
        let Some(handed_ms) = self.terms.get(&mark.term) else { return false };
        if boot_ms - handed_ms > mark.interval_ms() {
            return false;
        }
        if !mark.outcome_known {
            return true;
        }
        boot_ms > self.forgot_until_ms
            && !self.on_their_way.contains_key(&mark.event)
            && self.events.get(&mark.event).is_none_or(|until| until < boot_ms)
    }

    /// The observation is handed to the producer.
    pub fn sent(&mut self, mark: &ObservationMark, boot_ms: i64) {
        if self.is_off() {
            return;
        }
        self.likely.forget(&mark.term);
        if !mark.outcome_known {
            *self.on_their_way.entry(mark.event).or_default() += 1;
        }
        if self.faults.has(Fault::CacheEntryOnSend) {
            self.terms.insert(mark.term, boot_ms);
        }
    }

    /// The observation that was handed over at `handed_ms` is acknowledged.
    pub fn acknowledged(&mut self, mark: &ObservationMark, handed_ms: i64, boot_ms: i64) {
        if self.is_off() {
            return;
        }
        if self.terms.get(&mark.term).is_none_or(|known| known < handed_ms)
            && let Some((forgotten, _)) = self.terms.insert(mark.term, handed_ms)
        {
            self.likely.forget(&forgotten);
        }
        // What tells no outcome yet is followed by what does, and that goes out: see `spares`.
        if mark.outcome_known
            && boot_ms > self.forgot_until_ms
            && self.terms.get(&mark.term) == Some(handed_ms)
        {
            self.likely.note(&mark.term, handed_ms);
        }
        if mark.outcome_known {
            self.events.remove(&mark.event);
            return;
        }
        self.arrived(&mark.event);
        // It was appended by now, so the fold revises its alert until then at the latest.
        let until = boot_ms.saturating_add(REVISION_MAX_MS);
        if let Some((_, forgotten)) = self.events.insert(mark.event, until) {
            self.forgot_until_ms = self.forgot_until_ms.max(forgotten);
        }
    }

    /// The observation went to the dead letters: it is not on its way any more, and the log has
    /// nothing of it.
    pub fn diverted(&mut self, mark: &ObservationMark) {
        if !self.is_off() && !mark.outcome_known {
            self.arrived(&mark.event);
        }
    }

    fn arrived(&mut self, event: &Key) {
        if let Some(count) = self.on_their_way.get_mut(event) {
            *count -= 1;
            if *count == 0 {
                self.on_their_way.remove(event);
            }
        }
    }

    #[cfg(test)]
    pub fn on_their_way(&self) -> usize {
        self.on_their_way.len()
    }
}

/// The latest keys that were given a time, and the times.
#[derive(Debug)]
struct Times {
    by_key: HashMap<Key, i64>,
    /// What was inserted, in order. What is in `by_key` with the same time stands for it.
    order: VecDeque<(Key, i64)>,
    max: usize,
}

impl Times {
    fn new(max: usize) -> Self {
        Times { by_key: HashMap::new(), order: VecDeque::new(), max }
    }

    fn get(&self, key: &Key) -> Option<i64> {
        self.by_key.get(key).copied()
    }

    /// What had to go for it, and its time.
    fn insert(&mut self, key: Key, time: i64) -> Option<(Key, i64)> {
        if self.max == 0 {
            return Some((key, time));
        }
        let mut forgotten = None;
        if self.order.len() >= self.max
            && let Some((oldest, inserted)) = self.order.pop_front()
            && self.by_key.get(&oldest) == Some(&inserted)
        {
            self.by_key.remove(&oldest);
            forgotten = Some((oldest, inserted));
        }
        self.by_key.insert(key, time);
        self.order.push_back((key, time));
        forgotten
    }

    fn remove(&mut self, key: &Key) {
        self.by_key.remove(key);
    }
}

fn start_of(hash: [u8; 32]) -> Key {
    let mut key = Key::default();
    key.copy_from_slice(&hash[..16]);
    key
}

#[cfg(test)]
#[path = "recent_tests.rs"]
mod tests;
