//! The alerts of a while ago: how many by rule and minute, and the newest as they left.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use super::count_up_to;

/// Minutes that are kept, and rules that are told apart in each.
pub const MINUTES_KEPT: usize = 120;
const RULES_A_MINUTE_MAX: usize = 20;
const MINUTE_MS: i64 = 60_000;

/// Newest alerts that are kept, and the largest of them; of a larger one only the key is.
const NEWEST_MAX: usize = 50;
const NEWEST_MAX_BYTES: usize = 64 * 1024;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Minute {
    /// When it began, milliseconds since the epoch.
    pub start_ms: i64,
    pub by_rule: BTreeMap<String, u64>,
}

/// Counts by rule for each minute that had an alert.
#[derive(Debug, Default)]
pub struct OverTime(Mutex<VecDeque<Minute>>);

impl OverTime {
    pub fn add(&self, rule: &str, now_ms: i64) {
        let start_ms = now_ms.div_euclid(MINUTE_MS) * MINUTE_MS;
        let mut minutes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back adds to the latest minute.
        if minutes.back().is_none_or(|last| last.start_ms < start_ms) {
            minutes.push_back(Minute { start_ms, by_rule: BTreeMap::new() });
            if minutes.len() > MINUTES_KEPT {
                minutes.pop_front();
            }
        }
        if let Some(last) = minutes.back_mut() {
            count_up_to(RULES_A_MINUTE_MAX, rule, 1, &mut last.by_rule);
        }
    }

    /// Those of the last [`MINUTES_KEPT`] minutes, oldest first.
    pub fn snapshot(&self, now_ms: i64) -> Vec<Minute> {
        let kept_from = now_ms - i64::try_from(MINUTES_KEPT).unwrap_or(0) * MINUTE_MS;
        let minutes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        minutes.iter().filter(|minute| minute.start_ms > kept_from).cloned().collect()
    }
}

/// An alert as it was sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Sent {
    pub key: Vec<u8>,
    /// The document; `None` of one that is too large to be kept.
    pub document: Option<Vec<u8>>,
}

/// The alerts that were acknowledged last. A revision takes the place of what it revises.
#[derive(Default)]
pub struct Newest(Mutex<VecDeque<Sent>>);

/// The documents are no business of a log.
impl std::fmt::Debug for Newest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Newest").finish_non_exhaustive()
    }
}

impl Newest {
    pub fn add(&self, key: &[u8], document: &[u8]) {
        let kept = document.len() <= NEWEST_MAX_BYTES;
        let sent = Sent { key: key.to_vec(), document: kept.then(|| document.to_vec()) };
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        newest.retain(|one| one.key != sent.key);
        newest.push_back(sent);
        if newest.len() > NEWEST_MAX {
            newest.pop_front();
        }
    }

    /// The newest first.
    pub fn snapshot(&self) -> Vec<Sent> {
        let newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        newest.iter().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_stand_by_minute_and_rule_and_old_minutes_go() {
        let counts = OverTime::default();
        for (rule, now_ms) in [("a", 60_000), ("a", 119_999), ("b", 120_000), ("a", 90_000)] {
            counts.add(rule, now_ms);
        }
        let minute = |start_ms, by_rule: &[(&str, u64)]| Minute {
            start_ms,
            by_rule: by_rule.iter().map(|(rule, count)| ((*rule).to_owned(), *count)).collect(),
        };
        let expected = [minute(60_000, &[("a", 2)]), minute(120_000, &[("a", 1), ("b", 1)])];
        assert_eq!(counts.snapshot(130_000), expected);
        for number in 0..500 {
            counts.add("a", number * 60_000);
        }
        let kept = counts.snapshot(499 * 60_000);
        assert_eq!((kept.len(), kept[0].start_ms), (MINUTES_KEPT, 380 * 60_000));
        assert_eq!(counts.snapshot(1_000 * 60_000), []);
    }

    #[test]
    fn the_newest_stand_first_and_a_revision_replaces_what_it_revises() {
        let newest = Newest::default();
        for number in 0..60_u8 {
            newest.add(&[number], &[number]);
        }
        newest.add(&[30], b"revised");
        newest.add(&[99], &vec![0; NEWEST_MAX_BYTES + 1]);
        let kept = newest.snapshot();
        assert_eq!(kept.len(), NEWEST_MAX);
        assert!(kept[0] == Sent { key: vec![99], document: None });
        assert!(kept[1] == Sent { key: vec![30], document: Some(b"revised".to_vec()) });
        assert_eq!(kept.iter().filter(|one| one.key == [30]).count(), 1);
    }
}
