//! The contiguous watermark of one partition: how far its offsets are done.
//!
//! Owns which offsets are still under way and how many outputs of each are unacknowledged. Does
//! no I/O and knows no topics. Workers finish out of order and one record can raise many outputs;
//! the offset that may be committed is the first one that is not done.

use std::collections::BTreeMap;

use crate::faults::{Fault, Faults};

/// Why a call did not fit the record's state. Always a bug of the caller; the watermark stays
/// where it was, so that nothing is committed on the strength of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WatermarkError {
    #[error("offset {offset} was admitted after {highest}")]
    OutOfOrder { offset: i64, highest: i64 },
    #[error("offset {0} is not under way")]
    NotUnderWay(i64),
    #[error("offset {0} has no unacknowledged output")]
    NothingOutstanding(i64),
}

/// What is left to do of a record.
#[derive(Debug)]
enum Pending {
    /// Its outputs are not known yet.
    Unsettled,
    /// So many outputs are sent and not acknowledged; never 0.
    Outstanding(u32),
}

/// Offsets are admitted in ascending order, gaps allowed (compaction, aborted transactions).
///
/// Keeps only what is not done: however far the records behind a stuck one get, they need no
/// memory once they are done.
#[derive(Debug)]
pub struct Watermark {
    /// One past the highest offset seen.
    next: i64,
    pending: BTreeMap<i64, Pending>,
    faults: Faults,
    /// One past the highest offset done; only a planted fault asks.
    past_done: i64,
}

impl Watermark {
    /// `start` is the first offset that will be read.
    pub fn new(start: i64) -> Self {
        Watermark::with_faults(start, Faults::NONE)
    }

    pub fn with_faults(start: i64, faults: Faults) -> Self {
        Watermark { next: start, pending: BTreeMap::new(), faults, past_done: start }
    }

    /// The offset to commit: every offset below it is done.
    pub fn committable(&self) -> i64 {
        if self.faults.has(Fault::WatermarkNotContiguous) {
            return self.past_done;
        }
        self.pending.first_key_value().map_or(self.next, |(offset, _)| *offset)
    }

    /// One past the highest offset seen.
    pub fn next(&self) -> i64 {
        self.next
    }

    /// Records under way.
    pub fn under_way(&self) -> usize {
        self.pending.len()
    }

    fn advance(&mut self, offset: i64) -> Result<(), WatermarkError> {
        if offset < self.next {
            return Err(WatermarkError::OutOfOrder { offset, highest: self.next - 1 });
        }
        self.next = offset + 1;
        Ok(())
    }

    /// A record that needs no work and raises no output.
    pub fn pass(&mut self, offset: i64) -> Result<(), WatermarkError> {
        self.advance(offset)?;
        self.past_done = offset + 1;
        Ok(())
    }

    /// A record whose outputs are not known yet.
    pub fn admit(&mut self, offset: i64) -> Result<(), WatermarkError> {
        self.advance(offset)?;
        self.pending.insert(offset, Pending::Unsettled);
        Ok(())
    }

    /// All outputs of an admitted record are known: `outputs` of them wait for acknowledgement.
    pub fn settle(&mut self, offset: i64, outputs: u32) -> Result<(), WatermarkError> {
        match self.pending.get_mut(&offset) {
            Some(pending @ Pending::Unsettled) if outputs > 0 => {
                *pending = Pending::Outstanding(outputs);
            }
            Some(Pending::Unsettled) => self.done(offset),
            _ => return Err(WatermarkError::NotUnderWay(offset)),
        }
        Ok(())
    }

    /// One output of a settled record is acknowledged.
    pub fn acknowledge(&mut self, offset: i64) -> Result<(), WatermarkError> {
        match self.pending.get_mut(&offset) {
            Some(Pending::Outstanding(outputs)) if *outputs > 1 => *outputs -= 1,
            Some(Pending::Outstanding(_)) => self.done(offset),
            Some(Pending::Unsettled) => return Err(WatermarkError::NothingOutstanding(offset)),
            None => return Err(WatermarkError::NotUnderWay(offset)),
        }
        Ok(())
    }

    fn done(&mut self, offset: i64) {
        self.pending.remove(&offset);
        self.past_done = self.past_done.max(offset + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn commits_only_past_acknowledged_output() {
        let mut mark = Watermark::new(10);
        assert_eq!(mark.committable(), 10);
        mark.pass(10).unwrap();
        mark.admit(11).unwrap();
        mark.pass(12).unwrap();
        mark.admit(15).unwrap();
        assert_eq!(mark.committable(), 11);
        mark.settle(15, 0).unwrap();
        assert_eq!(mark.committable(), 11, "a later record does not overtake an earlier one");
        mark.settle(11, 2).unwrap();
        mark.acknowledge(11).unwrap();
        assert_eq!(mark.committable(), 11, "one of two outputs is not acknowledged");
        mark.acknowledge(11).unwrap();
        assert_eq!(mark.committable(), 16);
        assert_eq!(mark.under_way(), 0);
    }

    #[test]
    fn keeps_nothing_of_what_is_done_behind_a_stuck_record() {
        let mut mark = Watermark::new(0);
        mark.admit(0).unwrap();
        mark.settle(0, 1).unwrap();
        for offset in 1..1_000 {
            mark.admit(offset).unwrap();
            mark.settle(offset, 1).unwrap();
            mark.acknowledge(offset).unwrap();
        }
        assert_eq!(mark.under_way(), 1);
        assert_eq!(mark.committable(), 0);
        mark.acknowledge(0).unwrap();
        assert_eq!(mark.committable(), 1_000);
    }

    #[test]
    fn a_planted_fault_makes_it_skip_what_is_not_done() {
        let mut mark = Watermark::with_faults(5, Faults::planted(Fault::WatermarkNotContiguous));
        mark.admit(5).unwrap();
        mark.admit(6).unwrap();
        assert_eq!(mark.committable(), 5);
        mark.settle(6, 0).unwrap();
        assert_eq!(mark.committable(), 7);
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        let mut mark = Watermark::new(0);
        mark.admit(3).unwrap();
        assert_eq!(mark.pass(3), Err(WatermarkError::OutOfOrder { offset: 3, highest: 3 }));
        assert_eq!(mark.acknowledge(3), Err(WatermarkError::NothingOutstanding(3)));
        assert_eq!(mark.settle(2, 1), Err(WatermarkError::NotUnderWay(2)));
        mark.settle(3, 1).unwrap();
        assert_eq!(mark.settle(3, 1), Err(WatermarkError::NotUnderWay(3)));
        assert_eq!(mark.committable(), 3);
    }

    proptest! {
        /// Against a model that keeps every offset: whatever the order of the workers and of the
        /// acknowledgements, the watermark is the first offset that is not done.
        #[test]
        fn is_the_first_offset_not_done(
            records in prop::collection::vec((0i64..3, prop::option::of(0u32..4)), 1..40),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..200),
        ) {
            let mut mark = Watermark::new(0);
            // What is left to do at each offset: None = to settle with n outputs.
            let mut steps: Vec<(i64, bool)> = Vec::new();
            let mut model: BTreeMap<i64, (u32, bool)> = BTreeMap::new();
            let mut outputs_of = BTreeMap::new();
            let mut offset = -1;
            for (gap, outputs) in records {
                offset += 1 + gap;
                match outputs {
                    None => mark.pass(offset).unwrap(),
                    Some(outputs) => {
                        mark.admit(offset).unwrap();
                        model.insert(offset, (outputs, false));
                        outputs_of.insert(offset, outputs);
                        steps.push((offset, true));
                    }
                }
            }
            let end = offset + 1;
            for pick in order {
                if steps.is_empty() { break; }
                let at = pick.index(steps.len());
                let (offset, settle) = steps.swap_remove(at);
                let entry = model.get_mut(&offset).unwrap();
                if settle {
                    mark.settle(offset, outputs_of[&offset]).unwrap();
                    entry.1 = true;
                    for _ in 0..outputs_of[&offset] { steps.push((offset, false)); }
                } else {
                    mark.acknowledge(offset).unwrap();
                    entry.0 -= 1;
                }
                let expected = model.iter()
                    .find(|(_, (left, settled))| *left > 0 || !settled)
                    .map_or(end, |(offset, _)| *offset);
                prop_assert_eq!(mark.committable(), expected);
            }
        }
    }
}
