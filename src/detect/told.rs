//! What has been told of an alert: the memory that turns the stages of one event into one alert
//! and one revision.
//!
//! Bounded and forgetful by design: what is forgotten is sent once more under the same id, which
//! costs a repeat and never an alert.

use crate::detect::remembered::Remembered;

/// What to do with an alert of a given id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tell {
    First,
    /// Sent before without an outcome, which this one brings.
    Revision,
    /// Tells nothing that was not told before.
    Repeat,
}

#[derive(Debug)]
pub struct Told {
    outcome_by_id: Remembered<Box<str>, bool>,
}

impl Told {
    /// Remembers the latest `capacity` ids.
    pub fn new(capacity: usize) -> Self {
        Told { outcome_by_id: Remembered::new(capacity) }
    }

    pub fn clear(&mut self) {
        self.outcome_by_id.clear();
    }

    /// The alert was not told after all.
    pub fn forget(&mut self, id: &str) {
        self.outcome_by_id.remove(id);
    }

    pub fn tell(&mut self, id: &str, outcome_known: bool) -> Tell {
        if let Some(known) = self.outcome_by_id.get_mut(id) {
            if outcome_known && !*known {
                *known = true;
                return Tell::Revision;
            }
            return Tell::Repeat;
        }
        self.outcome_by_id.insert(id.into(), outcome_known);
        Tell::First
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_alert_and_one_revision_an_event() {
        let mut told = Told::new(10);
        assert_eq!(told.tell("a", false), Tell::First);
        assert_eq!(told.tell("a", false), Tell::Repeat);
        assert_eq!(told.tell("a", true), Tell::Revision);
        assert_eq!(told.tell("a", true), Tell::Repeat);
        assert_eq!(told.tell("a", false), Tell::Repeat, "a late first stage takes nothing back");
        assert_eq!(told.tell("b", true), Tell::First);
        assert_eq!(told.tell("b", true), Tell::Repeat);
    }

    #[test]
    fn what_is_forgotten_is_told_anew_and_takes_no_more_room() {
        let mut told = Told::new(2);
        for _ in 0..5 {
            assert_eq!(told.tell("a", true), Tell::First);
            told.forget("a");
        }
        let (ids, places) = told.outcome_by_id.sizes();
        assert!(places <= 2 && ids == 0);
        assert_eq!(told.tell("b", true), Tell::First);
        assert_eq!(told.tell("b", true), Tell::Repeat);
    }

    #[test]
    fn forgets_the_oldest_beyond_its_capacity() {
        let mut told = Told::new(2);
        for id in ["a", "b", "c"] {
            assert_eq!(told.tell(id, true), Tell::First);
        }
        assert_eq!(told.tell("a", true), Tell::First);
        assert_eq!(told.tell("c", true), Tell::Repeat);
        assert_eq!(told.outcome_by_id.sizes(), (2, 2));
    }
}
