//! Which offsets of which partitions belong to a range of time.
//!
//! A record belongs to the range by its own timestamp; the offsets, from the brokers' index of
//! timestamps, only say where such records may stand. Nothing of the range stands before its first.
//! Behind the first record past the end some may stand that were late: they are read for
//! [`LATE_MAX_MS`] more.

use rdkafka::Offset;

use super::BacktestOptions;
use crate::app::offsets::{self, Index, Offsets};
use crate::app::reading::ReadingError;
use crate::config::Config;
use crate::limits::HOUR_MS;

/// How long after the end of the range records are looked for that belong into it.
pub const LATE_MAX_MS: i64 = HOUR_MS;

/// A partition and what of it is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Among the configuration's topics.
    pub topic: u16,
    pub partition: i32,
    /// Where reading begins: the history, where there is any.
    pub start: i64,
    /// One past the last offset that may be read: the end of the log.
    pub until: i64,
    /// From here on reading ends once records come that are too late, and nothing else. (The index
    /// tells where the first one stands; one that a producer dated wrongly may stand anywhere.)
    pub late_from: i64,
    /// What stood before was deleted, and may belong to the range, or to its history.
    pub range_cut: bool,
    pub history_cut: bool,
}

impl Part {
    pub fn length(&self) -> u64 {
        u64::try_from(self.until.saturating_sub(self.start)).unwrap_or(0)
    }
}

/// The partitions that have something to read, those with most of it first.
pub fn longest_first(parts: &[Part]) -> Vec<&Part> {
    let mut wanted: Vec<&Part> = parts.iter().filter(|part| part.length() > 0).collect();
    wanted.sort_by_key(|part| std::cmp::Reverse(part.length()));
    wanted
}

/// Every partition of the source topics, in their order. Waits for a broker as `run` does.
pub fn find(config: &Config, options: &BacktestOptions) -> Result<Vec<Part>, ReadingError> {
    let index = Index::new(config, offsets::partitions(config)?)?;
    let moment = |ms: i64| Offset::Offset(ms.max(0));
    let lows = index.ask(Offset::Beginning)?;
    let highs = index.ask(Offset::End)?;
    let from = index.ask(moment(options.from_ms))?;
    let history = match options.history_ms {
        0 => from.clone(),
        history_ms => index.ask(moment(options.from_ms.saturating_sub(history_ms)))?,
    };
    let until = index.ask(moment(options.to_ms.saturating_add(LATE_MAX_MS)))?;
    let parts = index.partitions.iter().map(|&(topic, partition)| {
        let at = |offsets: &Offsets| offsets.get(&(topic, partition)).copied().flatten();
        part(
            topic,
            partition,
            Found {
                low: at(&lows).unwrap_or(0),
                high: at(&highs).unwrap_or(0),
                history: at(&history),
                from: at(&from),
                until: at(&until),
            },
        )
    });
    Ok(parts.collect())
}

/// What the index says of a partition; nothing where no record is as late.
struct Found {
    low: i64,
    high: i64,
    history: Option<i64>,
    from: Option<i64>,
    until: Option<i64>,
}

fn part(topic: u16, partition: i32, found: Found) -> Part {
    let Found { low, high, history, from, until } = found;
    let start = history.unwrap_or(high).clamp(low, high.max(low));
    // Something was deleted, and nothing that is left is older than the time.
    let cut = |first: Option<i64>| low > 0 && first.unwrap_or(high) <= low;
    Part {
        topic,
        partition,
        start,
        until: high.max(start),
        late_from: until.unwrap_or(high).clamp(start, high.max(start)),
        range_cut: cut(from),
        history_cut: cut(history),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_lies_within_its_log() {
        let check = |low, high, history, from, until, expected: (i64, i64, bool, bool)| {
            let found = Found { low, high, history, from, until };
            let part = part(0, 0, found);
            let what = (part.start, part.late_from, part.range_cut, part.history_cut);
            assert_eq!(part.until, high);
            assert_eq!(what, expected, "{low} {high} {history:?} {from:?} {until:?}");
        };
        check(0, 100, Some(10), Some(20), Some(30), (10, 30, false, false));
        // The range reaches past the end: up to where the log ended when it was asked.
        check(0, 100, Some(10), Some(20), None, (10, 100, false, false));
        // Nothing as late as the range.
        check(0, 100, None, None, None, (100, 100, false, false));
        // Empty, never written to; and emptied.
        check(0, 0, None, None, None, (0, 0, false, false));
        check(7, 7, None, None, None, (7, 7, true, true));
        // Retention took the beginning of the history, and of the range.
        check(15, 100, Some(15), Some(20), Some(30), (15, 30, false, true));
        check(25, 100, Some(25), Some(25), Some(30), (25, 30, true, true));
        // A young topic lacks nothing.
        check(0, 100, Some(0), Some(0), Some(30), (0, 30, false, false));
        // Retention moved on between two answers.
        check(50, 100, Some(10), Some(20), Some(30), (50, 50, true, true));
    }
}
