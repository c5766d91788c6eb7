//! How much a reading may cost.
//!
//! One budget for all of a reading: work is counted in units of about one byte that is looked at
//! or made, so it bounds time and memory alike. It grows with the command, so that reading is
//! linear and a long harmless script is no suspicion. What text tools and other languages do with
//! what they are given is counted on its own, by `filters::Allowance`.

use crate::limits;

use super::super::reading::HiddenWhy;

#[derive(Debug)]
pub struct Budget {
    left: usize,
    depth: usize,
    exceeded: Vec<HiddenWhy>,
}

impl Budget {
    /// For a command of so many bytes.
    pub fn new(bytes: usize) -> Budget {
        let left = limits::SHELL_WORK_BASE + limits::SHELL_WORK_PER_BYTE.saturating_mul(bytes);
        Budget { left, depth: 0, exceeded: Vec::new() }
    }

    /// Takes `work`; false when there is not enough, now and from then on.
    pub fn spend(&mut self, work: usize) -> bool {
        match self.left.checked_sub(work) {
            Some(left) if left > 0 => {
                self.left = left;
                true
            }
            _ => {
                self.left = 0;
                self.exceed(HiddenWhy::Work);
                false
            }
        }
    }

    pub fn is_spent(&self) -> bool {
        self.left == 0
    }

    /// Goes `levels` deeper; false, and no deeper, when that is too deep.
    pub fn enter(&mut self, levels: usize) -> bool {
        if self.depth + levels > limits::SHELL_DEPTH_MAX {
            self.exceed(HiddenWhy::Depth);
            return false;
        }
        self.depth += levels;
        true
    }

    pub fn leave(&mut self, levels: usize) {
        self.depth = self.depth.saturating_sub(levels);
    }

    pub fn exceed(&mut self, why: HiddenWhy) {
        if !self.exceeded.contains(&why) {
            self.exceeded.push(why);
        }
    }

    /// The bounds that were exceeded, in the order in which it happened.
    pub fn exceeded(&self) -> &[HiddenWhy] {
        &self.exceeded
    }
}
