//! The tests, and what `tests/simulate` runs.

use kubetell::faults::{Fault, Faults};

use crate::schedule::{minimize, play_guarded, play_many};

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("`{name}` is not a number: {text}")))
}

fn planted() -> Faults {
    match std::env::var("KUBETELL_SIM_FAULT") {
        Ok(name) => {
            Faults::planted(Fault::from_name(&name).unwrap_or_else(|| panic!("no fault {name}")))
        }
        Err(_) => Faults::NONE,
    }
}

#[test]
fn nothing_is_lost_and_nothing_invented() {
    let count = variable("KUBETELL_SIM_SCHEDULES").unwrap_or(1_000);
    let first = variable("KUBETELL_SIM_FIRST").unwrap_or(1);
    let (totals, failure) = play_many(first, count, planted());
    println!("{}", totals.table());
    if let Some(failure) = failure {
        panic!(
            "seed {}: {:?}: {}\nsay `KUBETELL_SIM_SEED={} cargo test --test sim replay -- --nocapture`",
            failure.seed, failure.violation.kind, failure.violation.text, failure.seed
        );
    }
    println!("never reached: {:?}", totals.never());
}

/// Tells the schedule of `KUBETELL_SIM_SEED` again, without the actions that do not matter.
#[test]
fn replay() {
    let Some(seed) = variable("KUBETELL_SIM_SEED") else { return };
    let left_out = minimize(seed, planted()).unwrap_or_default();
    let outcome = play_guarded(seed, planted(), &left_out, true);
    println!("{:?}", outcome.violation);
}

/// How many schedules it takes to find each planted fault, and how that shows.
#[test]
fn faults_table() {
    let most = variable("KUBETELL_SIM_SCHEDULES").unwrap_or(1_000);
    for fault in Fault::ALL {
        let (_, failure) = play_many(1, most, Faults::planted(fault));
        match failure {
            Some(failure) => println!(
                "{:<32} {:>6} {:?}: {}",
                fault.name(),
                failure.nth,
                failure.violation.kind,
                failure.violation.text
            ),
            None => println!("{:<32} not found in {most}", fault.name()),
        }
    }
}
