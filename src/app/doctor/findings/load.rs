//! What is to be expected of the load, and how it is spread.

use indicatif::HumanBytes;

use super::ids::Id;
use super::{Findings, Severity, of};
use crate::app::doctor::load::Load;
use crate::plural::several;

/// Brokers take records of up to 1 MiB unless they are told otherwise.
const LARGE_BYTES: u64 = 768 * 1024;
/// A partition that carries more than this for long is better divided. A rule of thumb.
const PARTITION_MAX_BYTES_A_SECOND: f64 = 10.0 * 1024.0 * 1024.0;
/// Shares of the load are judged from so many records a second on.
const UNEVEN_MIN_RECORDS_A_SECOND: f64 = 5.0;
/// So many times its even share is too much for a partition.
const UNEVEN_TIMES: f64 = 3.0;

impl Findings<'_> {
    pub(super) fn load(&mut self) {
        let tally = self.tally;
        if tally.sizes.max() >= LARGE_BYTES {
            let text = format!(
                "the largest record has {}, 99 in 100 have {} at most",
                HumanBytes(tally.sizes.max()),
                HumanBytes(tally.sizes.percentile(99))
            );
            self.add(Id::LargeRecords, Severity::Warning, self.needs.all(), text);
        }
        let load = Load::of(tally);
        if let Some(load) = &load {
            let concerned = of(tally.concerned, tally.records, "records may concern a rule");
            let text = format!("{}; {concerned}", load.text());
            self.add(Id::Load, Severity::Ok, Vec::new(), text);
        } else if tally.records > 0 {
            let text = format!(
                "{}, too few or within too short a time to tell what comes in a second",
                several(tally.records, "record")
            );
            self.add(Id::ShortSample, Severity::Note, Vec::new(), text);
        }
        let Some(partitions) = self.facts.partitions else { return };
        if partitions == 1 {
            let text = "the topic has 1 partition".to_owned();
            self.add(Id::SinglePartition, Severity::Note, Vec::new(), text);
        }
        let Some(load) = load else { return };
        let wanted = (load.bytes_a_second / PARTITION_MAX_BYTES_A_SECOND).ceil() as usize;
        if wanted > partitions {
            let text = format!(
                "{} on {}; {wanted} would carry {} a second each at most",
                load.text(),
                several(partitions as u64, "partition"),
                HumanBytes(PARTITION_MAX_BYTES_A_SECOND as u64)
            );
            self.add(Id::MorePartitions, Severity::Note, Vec::new(), text);
        }
        let even = load.records_a_second / partitions.max(1) as f64;
        if let Some((number, busiest)) = load.busiest
            && load.records_a_second >= UNEVEN_MIN_RECORDS_A_SECOND
            && busiest > UNEVEN_TIMES * even
        {
            let text = format!(
                "partition {number} has {busiest:.1} of {:.1} records a second, of {partitions} partitions",
                load.records_a_second
            );
            self.add(Id::UnevenPartitions, Severity::Note, Vec::new(), text);
        }
    }
}
