//! Schedules: one from its seed, many, and the smallest that still fails.

use std::panic::{AssertUnwindSafe, catch_unwind};

use kubetell::faults::Faults;

use crate::coverage::{Coverage, Totals};
use crate::rng::Rng;
use crate::sim::Sim;
use crate::world::{Kind, Violation};

pub struct Outcome {
    pub coverage: Coverage,
    pub violation: Option<Violation>,
    /// Of the schedule.
    pub actions: usize,
}

/// Plays the schedule of a seed. Every action draws from a stream of its own, so that one can be
/// left out and the others stay what they are: `left_out` says which.
pub fn play(seed: u64, faults: Faults, left_out: &[bool], verbose: bool) -> Outcome {
    let mut sim = Sim::new(seed, faults, verbose);
    let actions = sim.world.setup.actions;
    if verbose {
        println!("{:#?}", sim.world.setup);
    }
    for number in 0..actions {
        if sim.failed() {
            break;
        }
        if left_out.get(number).copied().unwrap_or(false) {
            continue;
        }
        sim.world.rng = Rng::new(seed, number as u64);
        sim.act();
    }
    if !sim.failed() {
        sim.world.rng = Rng::new(seed, u64::MAX - 2);
        sim.settle(true);
        if !sim.failed() {
            sim.world.check_end();
        }
    }
    Outcome { coverage: sim.world.coverage, violation: sim.world.violation, actions }
}

/// As [`play`]; a panic is a violation too.
pub fn play_guarded(seed: u64, faults: Faults, left_out: &[bool], verbose: bool) -> Outcome {
    let played = catch_unwind(AssertUnwindSafe(|| play(seed, faults, left_out, verbose)));
    played.unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default();
        let violation = Some(Violation { kind: Kind::Panic, text });
        Outcome { coverage: Coverage::default(), violation, actions: 0 }
    })
}

/// The first schedule of a run that failed.
pub struct Failure {
    pub seed: u64,
    /// How many schedules it took.
    pub nth: u64,
    pub violation: Violation,
}

/// Plays up to `count` schedules, of the seeds from `first` on; ends with the first that fails.
pub fn play_many(first: u64, count: u64, faults: Faults) -> (Totals, Option<Failure>) {
    let mut totals = Totals::default();
    for nth in 0..count {
        let seed = first + nth;
        let outcome = play_guarded(seed, faults, &[], false);
        totals.add(&outcome.coverage);
        if let Some(violation) = outcome.violation {
            return (totals, Some(Failure { seed, nth: nth + 1, violation }));
        }
    }
    (totals, None)
}

/// The actions of a failing schedule that can be left out, and it still fails in the same way.
pub fn minimize(seed: u64, faults: Faults) -> Option<Vec<bool>> {
    let outcome = play_guarded(seed, faults, &[], false);
    let kind = outcome.violation?.kind;
    let fails = |left_out: &[bool]| {
        let outcome = play_guarded(seed, faults, left_out, false);
        outcome.violation.is_some_and(|violation| violation.kind == kind)
    };
    let mut left_out = vec![false; outcome.actions];
    let mut size = outcome.actions.next_power_of_two() / 2;
    while size > 0 {
        for start in (0..left_out.len()).step_by(size) {
            let mut attempt = left_out.clone();
            let end = (start + size).min(left_out.len());
            attempt[start..end].fill(true);
            if attempt != left_out && fails(&attempt) {
                left_out = attempt;
            }
        }
        size /= 2;
    }
    Some(left_out)
}
