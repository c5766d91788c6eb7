//! A hit: one alert of one set of rules, as small as counting and showing it allow.
//!
//! Owns what makes two hits the same alert, and what makes alerts of two sets a pair: the rule's id
//! and the identity of the event, whatever the rule's version. Pure.

use serde::{Deserialize, Serialize};

/// Which set of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    Current = 0,
    Candidate = 1,
}

impl Side {
    pub const BOTH: [Side; 2] = [Side::Current, Side::Candidate];

    pub fn index(self) -> usize {
        self as usize
    }

    /// As one bit of a set of sides.
    pub fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Where an event stands in the source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// Among the configuration's topics.
    pub topic: u16,
    pub partition: i32,
    pub offset: i64,
    /// 0-based index of the event within the record.
    pub item: u32,
}

impl Place {
    /// For people; `topics` are the configuration's.
    pub fn text(&self, topics: &[String]) -> String {
        let topic = topics.get(usize::from(self.topic)).map_or("?", String::as_str);
        format!("{topic}, partition {}, offset {}", self.partition, self.offset)
    }

    /// Bytes that sort as places do, for what is not negative.
    fn put(&self, key: &mut Vec<u8>) {
        key.extend(self.topic.to_be_bytes());
        key.extend(self.partition.to_be_bytes());
        key.extend(self.offset.to_be_bytes());
        key.extend(self.item.to_be_bytes());
    }
}

/// A moment and a place: no two events share it. Earlier is less.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Seen {
    /// Of the event, milliseconds since the epoch.
    pub time_ms: i64,
    pub place: Place,
}

impl Seen {
    /// Bytes that sort as the values do.
    pub fn put(&self, key: &mut Vec<u8>) {
        // With the sign's bit turned, negative numbers come first.
        key.extend((self.time_ms ^ i64::MIN).to_be_bytes());
        self.place.put(key);
    }
}

/// What is shown of an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// As authenticated; bounded; empty where the event has none.
    pub user: String,
    pub audit_id: String,
    /// What was done, in a line; bounded. Not safe for a terminal.
    pub what: String,
}

/// One alert, seen at one stage of its event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    /// Among the ids of the rules of both sets.
    pub rule: u16,
    /// Of the cluster, the rule's id and the event, by which alerts of two sets are compared.
    pub pair: String,
    pub side: Side,
    /// Tells the alerts of one rule and event apart: its terms. Empty for a stateless rule.
    pub terms: String,
    /// Its rule's suppression withholds it.
    pub withheld: bool,
    pub seen: Seen,
    pub shown: Shown,
}

impl Hit {
    /// Sorts by rule, pair, side and terms, what is raised before what is withheld, then by what was
    /// seen first. Unique.
    pub fn key(&self) -> Vec<u8> {
        let mut key = Vec::with_capacity(96);
        key.extend(self.rule.to_be_bytes());
        // Both texts are hexadecimal digits.
        key.extend(self.pair.as_bytes());
        key.extend([0, self.side as u8]);
        key.extend(self.terms.as_bytes());
        key.extend([0, u8::from(self.withheld)]);
        self.seen.put(&mut key);
        key
    }

    /// Whether both are the same alert, seen at stages or in copies of its event.
    pub fn is_same_alert(&self, other: &Hit) -> bool {
        self.is_pair(other) && self.side == other.side && self.terms == other.terms
    }

    /// Whether both are of the same rule and event.
    pub fn is_pair(&self, other: &Hit) -> bool {
        self.rule == other.rule && self.pair == other.pair
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_what_they_are_of() {
        let mut hits = Vec::new();
        for (rule, pair) in [(0, "0a"), (0, "0b"), (1, "00"), (256, "00")] {
            for (side, terms) in [(Side::Current, ""), (Side::Current, "0f"), (Side::Candidate, "")]
            {
                for (time_ms, offset) in [(-1, 9), (0, 3), (0, 300), (1 << 40, 0)] {
                    let place = Place { offset, ..Place::default() };
                    hits.push(Hit {
                        rule,
                        pair: pair.to_owned(),
                        side,
                        terms: terms.to_owned(),
                        withheld: offset == 0,
                        seen: Seen { time_ms, place },
                        shown: Shown {
                            user: String::new(),
                            audit_id: String::new(),
                            what: String::new(),
                        },
                    });
                }
            }
        }
        let mut sorted = hits.clone();
        sorted.reverse();
        sorted.sort_by_key(Hit::key);
        assert_eq!(sorted, hits);
    }
}
