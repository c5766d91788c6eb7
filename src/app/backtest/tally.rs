//! Counting hits that come sorted.
//!
//! Owns the difference between two sets of rules: of the alerts of one rule and one event, as many
//! are in both as each side has; what a side has more is its own. Bounded: users beyond
//! [`USERS_MAX`] and hours beyond [`HOURS_MAX`] are summed up. Pure.

use std::collections::{BTreeMap, HashMap};

use super::BacktestError;
use super::hits::{Hit, Seen, Side};
use crate::app::latest::Sorted;
use crate::limits::HOUR_MS;

/// Most users that are told apart. The alerts of a rule come in an order that is as good as random,
/// so a user of many is most likely among them.
pub const USERS_MAX: usize = 10_000;
/// Most hours that are told apart: of two years.
pub const HOURS_MAX: usize = 2 * 366 * 24;

/// Alerts of the current rules and of the candidate's.
pub type BySide = [u64; 2];

/// Which part of the difference an alert is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Share {
    OnlyCurrent,
    OnlyCandidate,
    Both,
}

/// The counts of one rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleTally {
    pub alerts: BySide,
    /// Alerts that the rule's suppression withholds; not among the others.
    pub withheld: BySide,
    pub both: u64,
    /// The earliest ones of each share.
    pub examples: BTreeMap<Share, BTreeMap<Seen, Hit>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// By the rule's number.
    pub rules: Vec<RuleTally>,
    pub users: HashMap<String, BySide>,
    /// Of users that are not told apart.
    pub other_users: BySide,
    /// By the first moment of the hour, milliseconds since the epoch.
    pub hours: BTreeMap<i64, BySide>,
    pub other_hours: BySide,
}

/// Counts `hits`, sorted by their keys.
pub fn count(hits: &Sorted, rules: usize, examples: usize) -> Result<Tally, BacktestError> {
    let mut counting = Counting {
        tally: Tally { rules: vec![RuleTally::default(); rules], ..Tally::default() },
        examples,
        open: Vec::new(),
    };
    for item in hits.items()? {
        counting.take(serde_json::from_slice(&item?.payload)?);
    }
    counting.close();
    Ok(counting.tally)
}

struct Counting {
    tally: Tally,
    examples: usize,
    /// The distinct alerts of one rule and event, those of the current rules first.
    open: Vec<Hit>,
}

impl Counting {
    fn take(&mut self, hit: Hit) {
        if self.open.last().is_some_and(|last| !last.is_pair(&hit)) {
            self.close();
        }
        // A later stage, or a copy, of what was seen.
        if !self.open.last().is_some_and(|last| last.is_same_alert(&hit)) {
            self.open.push(hit);
        }
    }

    fn close(&mut self) {
        let mut open = std::mem::take(&mut self.open);
        for hit in open.extract_if(.., |hit| hit.withheld) {
            if let Some(rule) = self.tally.rules.get_mut(usize::from(hit.rule)) {
                rule.withheld[hit.side.index()] += 1;
            }
        }
        let count = |side| open.iter().filter(|hit| hit.side == side).count();
        let counts = Side::BOTH.map(count);
        let both = counts[0].min(counts[1]);
        let mut seen = [0; 2];
        for hit in open {
            let side = hit.side.index();
            seen[side] += 1;
            self.user(&hit.shown.user, side);
            self.hour(hit.seen.time_ms, side);
            let share = match hit.side {
                _ if seen[side] <= both => Share::Both,
                Side::Current => Share::OnlyCurrent,
                Side::Candidate => Share::OnlyCandidate,
            };
            let Some(rule) = self.tally.rules.get_mut(usize::from(hit.rule)) else { continue };
            rule.alerts[side] += 1;
            // One of each two that are in both.
            if share == Share::Both && hit.side == Side::Candidate {
                rule.both += 1;
                continue;
            }
            let examples = rule.examples.entry(share).or_default();
            examples.insert(hit.seen, hit);
            if examples.len() > self.examples {
                examples.pop_last();
            }
        }
    }

    fn user(&mut self, user: &str, side: usize) {
        let users = &mut self.tally.users;
        if !users.contains_key(user) {
            if users.len() >= USERS_MAX {
                self.tally.other_users[side] += 1;
                return;
            }
            users.insert(user.to_owned(), BySide::default());
        }
        if let Some(count) = users.get_mut(user) {
            count[side] += 1;
        }
    }

    fn hour(&mut self, time_ms: i64, side: usize) {
        let hour = time_ms.div_euclid(HOUR_MS).saturating_mul(HOUR_MS);
        let hours = &mut self.tally.hours;
        if hours.len() >= HOURS_MAX && !hours.contains_key(&hour) {
            self.tally.other_hours[side] += 1;
        } else {
            hours.entry(hour).or_default()[side] += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::hits::{Place, Shown};
    use super::*;
    use crate::app::latest::Latest;

    /// A hit of rule 0: side, pair, terms, hour of the event.
    fn hit(side: Side, pair: &str, terms: &str, hour: i64, offset: i64) -> Hit {
        Hit {
            rule: 0,
            pair: pair.to_owned(),
            side,
            terms: terms.to_owned(),
            withheld: false,
            seen: Seen { time_ms: hour * HOUR_MS, place: Place { offset, ..Place::default() } },
            shown: Shown {
                user: format!("user of {pair}"),
                audit_id: String::new(),
                what: String::new(),
            },
        }
    }

    fn tally(hits: &[Hit], examples: usize) -> Tally {
        let mut latest = Latest::default();
        for hit in hits {
            latest.push(hit.key(), 0, serde_json::to_vec(hit).unwrap()).unwrap();
        }
        count(&latest.sorted().unwrap(), 1, examples).unwrap()
    }

    #[test]
    fn an_alert_is_counted_once_whatever_its_stages_and_copies() {
        let stages = [3, 1, 2].map(|offset| hit(Side::Current, "a", "", 5, offset));
        let found = tally(&stages, 5);
        assert_eq!(found.rules[0].alerts, [1, 0]);
        assert_eq!(found.users["user of a"], [1, 0]);
        assert_eq!(found.hours[&(5 * HOUR_MS)], [1, 0]);
        let examples = &found.rules[0].examples[&Share::OnlyCurrent];
        let offsets: Vec<i64> = examples.keys().map(|seen| seen.place.offset).collect();
        assert_eq!(offsets, [1], "the one that stands first");
    }

    #[test]
    fn alerts_of_two_sets_meet_by_rule_and_event() {
        use Side::{Candidate, Current};
        let hits = [
            hit(Current, "a", "", 0, 1),
            hit(Candidate, "a", "", 0, 1),
            hit(Current, "b", "", 0, 2),
            hit(Candidate, "c", "", 1, 3),
            // Other terms in the candidate's version: the same event all the same.
            hit(Current, "d", "x", 2, 4),
            hit(Candidate, "d", "y", 2, 4),
            hit(Candidate, "d", "z", 2, 4),
        ];
        let found = tally(&hits, 5);
        let rule = &found.rules[0];
        assert_eq!((rule.alerts, rule.both), ([3, 4], 2));
        let example = |share| {
            let examples = rule.examples[&share].values();
            examples.map(|hit| format!("{}{}", hit.pair, hit.terms)).collect::<Vec<_>>()
        };
        assert_eq!(example(Share::OnlyCurrent), ["b"]);
        assert_eq!(example(Share::OnlyCandidate), ["c", "dz"]);
        assert_eq!(example(Share::Both), ["a", "dx"]);
        assert_eq!(found.hours.values().collect::<Vec<_>>(), [&[2, 1], &[0, 1], &[1, 2]]);
    }

    #[test]
    fn what_is_withheld_is_counted_apart_unless_a_stage_of_it_is_raised() {
        let withheld =
            |pair, offset| Hit { withheld: true, ..hit(Side::Candidate, pair, "", 0, offset) };
        let hits = [
            hit(Side::Current, "a", "", 0, 1),
            withheld("a", 1),
            withheld("a", 2),
            withheld("b", 3),
            hit(Side::Candidate, "b", "", 0, 4),
        ];
        let found = tally(&hits, 5);
        let rule = &found.rules[0];
        assert_eq!((rule.alerts, rule.withheld, rule.both), ([1, 1], [0, 1], 0));
        assert_eq!(found.users.len(), 2);
    }

    #[test]
    fn examples_are_the_earliest_ones() {
        let hits: Vec<Hit> =
            (0..9).map(|n| hit(Side::Current, &format!("{n}"), "", 9 - n, n)).collect();
        let found = tally(&hits, 2);
        let examples = &found.rules[0].examples[&Share::OnlyCurrent];
        assert_eq!(examples.values().map(|hit| hit.pair.as_str()).collect::<Vec<_>>(), ["8", "7"]);
        assert!(tally(&hits, 0).rules[0].examples[&Share::OnlyCurrent].is_empty());
    }

    #[test]
    fn users_and_hours_beyond_the_bounds_are_summed_up() {
        let more = USERS_MAX.max(HOURS_MAX) + 7;
        let hits: Vec<Hit> = (0..more)
            .map(|n| hit(Side::Current, &format!("{n:06}"), "", n as i64, n as i64))
            .collect();
        let found = tally(&hits, 0);
        assert_eq!((found.users.len(), found.hours.len()), (USERS_MAX, HOURS_MAX));
        let sum = |kept: u64, other: BySide| kept + other[0];
        let users = found.users.values().map(|count| count[0]).sum();
        assert_eq!(sum(users, found.other_users), more as u64);
        let hours = found.hours.values().map(|count| count[0]).sum();
        assert_eq!(sum(hours, found.other_hours), more as u64);
    }
}
