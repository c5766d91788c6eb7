//! Which alerts are withheld because one that is the same to a person was raised a while ago.
//!
//! Best effort by design: the memory is this process's, bounded, and gone with it. What it forgets
//! costs an alert more and never one less. An alert that was raised is never withheld later, so
//! its revisions and what is read a second time go the way of the first.

use crate::detect::remembered::Remembered;

/// What an alert is the same by, as its rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suppression {
    /// Hash of cluster, rule, severity, outcome, and the values of the fields.
    pub key: [u8; 16],
    /// More than 0.
    pub for_ms: i64,
}

/// Keys and ids that are remembered. Each takes some 200 bytes.
const KEYS_MAX: usize = 65_536;

#[derive(Debug)]
pub struct Suppressor {
    raised: Remembered<[u8; 16], Raised>,
    /// Of the alerts that were raised.
    ids: Remembered<Box<str>, ()>,
}

/// The alert that others are withheld for.
#[derive(Debug)]
struct Raised {
    id: Box<str>,
    time_ms: i64,
}

impl Default for Suppressor {
    fn default() -> Suppressor {
        Suppressor::new(KEYS_MAX)
    }
}

impl Suppressor {
    /// Remembers the latest `capacity` keys.
    pub fn new(capacity: usize) -> Suppressor {
        Suppressor { raised: Remembered::new(capacity), ids: Remembered::new(capacity) }
    }

    /// Whether the alert with this id is to be withheld. Otherwise it is the one that others are
    /// withheld for, from its time on and for as long. `time_ms` is the event's own; one without a
    /// time is never withheld.
    pub fn withholds(&mut self, id: &str, time_ms: Option<i64>, by: Suppression) -> bool {
        self.withheld_for(id, time_ms, by).is_some()
    }

    /// The id of the alert for which this one is to be withheld.
    pub fn withheld_for(
        &mut self,
        id: &str,
        time_ms: Option<i64>,
        by: Suppression,
    ) -> Option<&str> {
        let time_ms = time_ms?;
        let known = self.ids.get(id).is_some();
        // A revision may tell an outcome: what has the same later is then the same.
        let withholds = self.is_same(id, time_ms, by) && !known;
        if !withholds && !known {
            self.ids.insert(id.into(), ());
        }
        self.raised.get(&by.key).filter(|_| withholds).map(|raised| &*raised.id)
    }

    /// Whether another alert was raised under the key, near in time; if not, this one is it.
    fn is_same(&mut self, id: &str, time_ms: i64, by: Suppression) -> bool {
        if let Some(raised) = self.raised.get_mut(&by.key) {
            if *raised.id == *id {
                return false;
            }
            // Other partitions may be behind: what lies before the alert by less than the time is
            // the same as well.
            if time_ms.abs_diff(raised.time_ms) < by.for_ms.unsigned_abs() {
                return true;
            }
            if time_ms > raised.time_ms {
                *raised = Raised { id: id.into(), time_ms };
            }
            return false;
        }
        self.raised.insert(by.key, Raised { id: id.into(), time_ms });
        false
    }

    /// The alert was not raised after all: others are not withheld for it.
    pub fn forget(&mut self, id: &str, by: Suppression) {
        self.ids.remove(id);
        if self.raised.get(&by.key).is_some_and(|raised| *raised.id == *id) {
            self.raised.remove(&by.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const T: i64 = 1_700_000_000_000;

    fn by(key: u8) -> Suppression {
        Suppression { key: [key; 16], for_ms: HOUR }
    }

    #[test]
    fn one_alert_a_key_and_time() {
        let mut suppressor = Suppressor::new(8);
        let mut withheld = |id: &str, minutes: i64, key: u8| {
            suppressor.withholds(id, Some(T + minutes * 60_000), by(key))
        };
        assert!(!withheld("a", 0, 1));
        assert!(withheld("b", 1, 1));
        assert!(!withheld("c", 1, 2), "another key");
        assert!(withheld("d", 59, 1));
        assert!(withheld("e", -59, 1), "a partition that is behind");
        assert!(!withheld("f", -60, 1), "too long ago, and no reason to withhold what is later");
        assert!(withheld("g", 59, 1));
        assert!(!withheld("h", 60, 1), "exactly the time ago is over");
        assert!(withheld("i", 61, 1), "the hour of the second alert");
        assert!(!withheld("a", 90, 1), "a late revision, in the hour of another alert");
        assert!(!withheld("h", 60, 1), "read again");
        assert!(!suppressor.withholds("j", None, by(1)), "no time");
    }

    #[test]
    fn what_was_not_raised_withholds_nothing_and_what_is_forgotten_is_raised() {
        let mut suppressor = Suppressor::new(2);
        assert!(!suppressor.withholds("a", Some(T), by(1)));
        suppressor.forget("b", by(1));
        assert!(suppressor.withholds("b", Some(T), by(1)), "another one was not raised");
        suppressor.forget("a", by(1));
        assert!(!suppressor.withholds("b", Some(T), by(1)));
        for key in 2..20 {
            assert!(!suppressor.withholds(&format!("c{key}"), Some(T), by(key)));
            let sizes = [suppressor.raised.sizes(), suppressor.ids.sizes()];
            assert!(sizes.iter().all(|(keys, places)| *keys <= 2 && *places <= 2));
        }
        assert!(!suppressor.withholds("d", Some(T), by(1)), "it was the oldest");
    }

    #[test]
    fn times_at_the_ends_of_their_range_are_no_trouble() {
        let mut suppressor = Suppressor::default();
        for time in [i64::MIN, i64::MAX, 0, i64::MIN] {
            suppressor.withholds("a", Some(time), by(1));
            suppressor.withholds("b", Some(time), by(1));
        }
    }
}
