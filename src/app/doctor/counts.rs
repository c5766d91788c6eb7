//! Counters of bounded size: how often each value occurs, and how numbers are spread. Pure.

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Most values that are told apart; the others are counted together.
pub const VALUES_MAX: usize = 1_000;
/// Longest value that is told apart, in bytes; of a longer one only the beginning counts.
const VALUE_MAX_BYTES: usize = 200;

/// How often each value occurs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    known: BTreeMap<String, u64>,
    /// Of values that are not told apart.
    other: u64,
}

impl Counts {
    pub fn add(&mut self, value: &str) {
        let mut end = value.len().min(VALUE_MAX_BYTES);
        while !value.is_char_boundary(end) {
            end -= 1;
        }
        let value = &value[..end];
        if let Some(count) = self.known.get_mut(value) {
            *count += 1;
        } else if self.known.len() < VALUES_MAX {
            self.known.insert(value.to_owned(), 1);
        } else {
            self.other += 1;
        }
    }

    pub fn get(&self, value: &str) -> u64 {
        self.known.get(value).copied().unwrap_or(0)
    }

    /// The values that are told apart, those that occur most often first.
    pub fn sorted(&self) -> Vec<(&str, u64)> {
        let mut all: Vec<(&str, u64)> =
            self.known.iter().map(|(value, count)| (value.as_str(), *count)).collect();
        all.sort_by_key(|(value, count)| (Reverse(*count), *value));
        all
    }

    /// Occurrences of values that are not told apart.
    pub fn other(&self) -> u64 {
        self.other
    }
}

/// Each power of two is divided into so many buckets: a percentile is at most an eighth too high.
const BUCKETS_A_POWER: u32 = 8;
const BUCKETS: usize = 64 * BUCKETS_A_POWER as usize;

/// How numbers are spread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spread {
    buckets: Vec<u64>,
    count: u64,
    max: u64,
}

impl Default for Spread {
    fn default() -> Spread {
        Spread { buckets: vec![0; BUCKETS], count: 0, max: 0 }
    }
}

impl Spread {
    pub fn add(&mut self, number: u64) {
        if let Some(bucket) = self.buckets.get_mut(bucket_of(number)) {
            *bucket += 1;
        }
        self.count += 1;
        self.max = self.max.max(number);
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn max(&self) -> u64 {
        self.max
    }

    /// A number that so many in 100 do not exceed: it itself, or up to an eighth more. 0 without
    /// any.
    pub fn percentile(&self, percent: u64) -> u64 {
        let rank = self.count.saturating_mul(percent).div_ceil(100).max(1);
        let mut passed = 0;
        for (at, bucket) in self.buckets.iter().enumerate() {
            passed += bucket;
            if passed >= rank {
                return highest_of(at).min(self.max);
            }
        }
        self.max
    }
}

/// Numbers below the first powers have a bucket each.
fn bucket_of(number: u64) -> usize {
    if number < u64::from(BUCKETS_A_POWER) {
        return number as usize;
    }
    let power = number.ilog2();
    let shift = power - BUCKETS_A_POWER.ilog2();
    let within = (number >> shift) - u64::from(BUCKETS_A_POWER);
    ((shift + 1) * BUCKETS_A_POWER) as usize + within as usize
}

/// The highest number of a bucket.
fn highest_of(bucket: usize) -> u64 {
    let per = BUCKETS_A_POWER as usize;
    if bucket < per {
        return bucket as u64;
    }
    let (shift, within) = (bucket / per - 1, bucket % per);
    let end = u128::from(BUCKETS_A_POWER) + within as u128 + 1;
    u64::try_from((end << shift) - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_beyond_the_bound_are_counted_together() {
        let mut counts = Counts::default();
        (0..VALUES_MAX + 7).for_each(|n| counts.add(&format!("{n:05}")));
        counts.add("00003");
        assert_eq!((counts.sorted().len(), counts.other()), (VALUES_MAX, 7));
        assert_eq!(counts.sorted()[0], ("00003", 2));
        assert_eq!((counts.get("00003"), counts.get("none")), (2, 0));
    }

    #[test]
    fn a_long_value_is_cut_at_a_character() {
        let mut counts = Counts::default();
        counts.add(&format!("x{}", "é".repeat(10_000)));
        let (value, count) = counts.sorted()[0];
        assert_eq!((value.len(), count), (VALUE_MAX_BYTES - 1, 1));
    }

    #[test]
    fn every_number_lies_in_a_bucket_that_is_an_eighth_wide_at_most() {
        let numbers = (0..64)
            .flat_map(|power| [1_u64 << power, (1 << power) + 1, (1 << power) - 1 + (1 << power)]);
        for number in numbers.chain([0, 3, 7, 8, 9, 1_000, u64::MAX]) {
            let highest = highest_of(bucket_of(number));
            assert!(bucket_of(number) < BUCKETS, "{number}");
            assert!(highest >= number && highest - number <= number / 8, "{number}: {highest}");
        }
    }

    #[test]
    fn percentiles_are_those_of_the_numbers() {
        let mut spread = Spread::default();
        assert_eq!((spread.percentile(50), spread.max(), spread.count()), (0, 0, 0));
        (1..=1_000).for_each(|number| spread.add(number));
        for (percent, exact) in [(1, 10), (50, 500), (99, 990), (100, 1_000)] {
            let found = spread.percentile(percent);
            assert!(found >= exact && found <= exact + exact / 8, "{percent}: {found}");
        }
        assert_eq!((spread.max(), spread.count()), (1_000, 1_000));
    }
}
