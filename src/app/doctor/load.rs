//! The load of the input, from the times of a sample. Pure.
//!
//! A topic's load is the sum of its partitions': of each, the records of the sample over the time
//! from its first to the last of all. A file has no times but those of its events. A few records, or
//! many that came at once, tell nothing of what is to be expected.

use indicatif::HumanBytes;
use serde::Serialize;

use super::tally::Tally;

/// Fewer records tell no rate.
const MIN_RECORDS: u64 = 100;
/// In a shorter time bursts, which producers make of what is steady, look like the load.
const MIN_MS: i64 = 5_000;
/// With fewer records in so short a time a partition has just begun, and is no burst.
const BURST_MIN_RECORDS: u64 = 10;

/// What comes in a second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Load {
    pub records_a_second: f64,
    pub events_a_second: f64,
    pub bytes_a_second: f64,
    /// The partition with most, and its records a second.
    #[serde(skip)]
    pub busiest: Option<(usize, f64)>,
}

impl Load {
    /// None where the sample is too short to tell.
    pub fn of(tally: &Tally) -> Option<Load> {
        let mut load = Load {
            records_a_second: 0.0,
            events_a_second: 0.0,
            bytes_a_second: 0.0,
            busiest: None,
        };
        if tally.records < MIN_RECORDS {
            return None;
        }
        if tally.parts.is_empty() {
            let ms = tally.times.length_ms();
            if ms < MIN_MS {
                return None;
            }
            load.records_a_second = tally.records as f64 / seconds(ms);
            load.bytes_a_second = tally.bytes as f64 / seconds(ms);
        }
        let last =
            tally.parts.iter().filter_map(|part| part.times.bounds).map(|(_, last)| last).max();
        for (number, part) in tally.parts.iter().enumerate() {
            let (Some((first, _)), Some(last)) = (part.times.bounds, last) else { continue };
            let ms = last.saturating_sub(first);
            if ms < MIN_MS && part.records >= BURST_MIN_RECORDS {
                return None;
            }
            // Between so many records there is one interval less.
            let intervals = part.records.saturating_sub(1) as f64;
            let rate = intervals / seconds(ms.max(MIN_MS));
            load.records_a_second += rate;
            load.bytes_a_second += rate * part.bytes as f64 / part.records.max(1) as f64;
            if load.busiest.is_none_or(|(_, most)| rate > most) {
                load.busiest = Some((number, rate));
            }
        }
        if load.records_a_second <= 0.0 {
            return None;
        }
        load.events_a_second =
            load.records_a_second * tally.events as f64 / tally.records.max(1) as f64;
        Some(load)
    }

    /// For people.
    pub fn text(&self) -> String {
        let events = match self.events_a_second {
            ..0.1 => "less than 0.1".to_owned(),
            events => format!("{events:.1}"),
        };
        format!("{events} events and {} a second", HumanBytes(self.bytes_a_second as u64))
    }
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}
