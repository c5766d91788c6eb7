//! The tests, and what `tests/simulate` runs.

use kubetell::faults::{Fault, Faults};

use crate::schedule::{Failure, Play, minimize, play, play_guarded, play_many};

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("`{name}` is not a number: {text}")))
}

/// As the environment asks for.
fn asked() -> Play {
    let faults = match std::env::var("KUBETELL_SIM_FAULT") {
        Ok(name) => {
            Faults::planted(Fault::from_name(&name).unwrap_or_else(|| panic!("no fault `{name}`")))
        }
        Err(_) => Faults::NONE,
    };
    let commits_matter = std::env::var_os("KUBETELL_SIM_OUTCOME_ONLY").is_none();
    Play { commits_matter, ..Play::with(faults) }
}

fn text(failure: &Failure) -> String {
    let Failure { seed, violation } = failure;
    format!("the schedule of seed {seed}: {:?}: {}", violation.kind, violation.text)
}

#[test]
fn nothing_is_lost_and_nothing_invented() {
    let count = variable("KUBETELL_SIM_SCHEDULES").unwrap_or(3_000);
    let first = variable("KUBETELL_SIM_FIRST").unwrap_or(1);
    let threads = variable("KUBETELL_SIM_THREADS").unwrap_or(1);
    let (totals, failure) = play_many(first..first + count, asked(), threads as usize);
    println!("{}", totals.table());
    if let Some(failure) = failure {
        let seed = failure.seed;
        panic!("{}\nhint: `tests/simulate --seed {seed}` tells it step by step", text(&failure));
    }
    let never = totals.never();
    assert!(count < 1_000 || never.is_empty(), "no schedule reached: {}", never.join(", "));
}

/// Tells the schedule of `KUBETELL_SIM_SEED` again, without the actions that do not matter.
#[test]
fn replay() {
    let Some(seed) = variable("KUBETELL_SIM_SEED") else { return };
    let how = asked();
    let left_out = minimize(seed, how).unwrap_or_default();
    let outcome = play_guarded(seed, Play { verbose: true, ..how }, &left_out);
    match outcome.violation {
        Some(violation) => println!("{:?}: {}", violation.kind, violation.text),
        None => println!("nothing is wrong with it"),
    }
}

#[test]
fn a_seed_always_tells_the_same_schedule() {
    for seed in 1..40 {
        let [one, other] = [0, 1].map(|_| play(seed, Play::with(Faults::NONE), &[]));
        assert_eq!(one.fingerprint, other.fingerprint, "seed {seed}");
    }
}

/// How many schedules it takes to find each planted fault, and how that shows.
#[test]
fn faults_table() {
    let most = variable("KUBETELL_SIM_SCHEDULES").unwrap_or(1_000);
    for fault in Fault::ALL {
        let how = Play { faults: Faults::planted(fault), ..asked() };
        let (totals, failure) = play_many(1..most + 1, how, 1);
        match failure {
            Some(failure) => {
                println!("{:<32} {:>6} {}", fault.name(), totals.schedules, text(&failure));
            }
            None => println!("{:<32} not found in {most}", fault.name()),
        }
    }
}
