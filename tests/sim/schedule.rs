//! Schedules: one from its seed, many, and the smallest that still fails.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kubetell::faults::Faults;

use crate::coverage::{Coverage, Totals};
use crate::rng::Rng;
use crate::sim::Sim;
use crate::world::{Kind, Violation};

pub struct Outcome {
    pub fingerprint: u64,
    pub coverage: Coverage,
    pub violation: Option<Violation>,
    /// Of the schedule.
    pub actions: usize,
}

/// How to play.
#[derive(Debug, Clone, Copy)]
pub struct Play {
    pub faults: Faults,
    /// As in [`crate::world::World`].
    pub commits_matter: bool,
    pub verbose: bool,
}

impl Play {
    pub fn with(faults: Faults) -> Play {
        Play { faults, commits_matter: true, verbose: false }
    }
}

/// Plays the schedule of a seed. Every action draws from a stream of its own, so that one can be
/// left out and the others stay what they are: `left_out` says which.
pub fn play(seed: u64, how: Play, left_out: &[bool]) -> Outcome {
    let mut sim = Sim::new(seed, how.faults, how.verbose);
    sim.world.commits_matter = how.commits_matter;
    let actions = sim.world.setup.actions;
    if how.verbose {
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
    Outcome {
        fingerprint: sim.world.fingerprint,
        coverage: sim.world.coverage,
        violation: sim.world.violation,
        actions,
    }
}

/// As [`play`]; a panic is a violation too.
pub fn play_guarded(seed: u64, how: Play, left_out: &[bool]) -> Outcome {
    let played = catch_unwind(AssertUnwindSafe(|| play(seed, how, left_out)));
    played.unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default();
        let violation = Some(Violation { kind: Kind::Panic, text });
        Outcome { fingerprint: 0, coverage: Coverage::default(), violation, actions: 0 }
    })
}

/// A schedule that failed.
#[derive(Debug, Clone)]
pub struct Failure {
    pub seed: u64,
    pub violation: Violation,
}

/// Plays the schedules of `seeds`, on so many threads, until one fails. What was reached, and the
/// failure of the lowest seed, of those that were played.
pub fn play_many(seeds: Range<u64>, how: Play, threads: usize) -> (Totals, Option<Failure>) {
    let next = AtomicU64::new(seeds.start);
    let failed = AtomicBool::new(false);
    let worker = || {
        let mut totals = Totals::default();
        let mut failure = None;
        while !failed.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                break;
            }
            let outcome = play_guarded(seed, how, &[]);
            totals.add(&outcome.coverage);
            if let Some(violation) = outcome.violation {
                failed.store(true, Ordering::Relaxed);
                failure = Some(Failure { seed, violation });
            }
        }
        (totals, failure)
    };
    let mut totals = Totals::default();
    let mut failures = Vec::new();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(worker)).collect();
        for worker in workers {
            let (one, failure) = worker.join().unwrap();
            totals.merge(&one);
            failures.extend(failure);
        }
    });
    (totals, failures.into_iter().min_by_key(|failure| failure.seed))
}

/// The actions of a failing schedule that can be left out, and it still fails in the same way.
pub fn minimize(seed: u64, how: Play) -> Option<Vec<bool>> {
    let outcome = play_guarded(seed, how, &[]);
    let kind = outcome.violation?.kind;
    let fails = |left_out: &[bool]| {
        let outcome = play_guarded(seed, how, left_out);
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
