//! The tests, and what `tests/simulate` runs.

use kubetell::faults::{Fault, Faults};

use crate::schedule::{Failure, Play, minimize, play, play_guarded, play_many};
use crate::world::Kind;

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

/// Plants a fault, and plays until it shows: within so many schedules it has to.
fn finds(fault: Fault, within: u64) {
    let (totals, failure) = play_many(1..within + 1, Play::with(Faults::planted(fault)), 1);
    match failure {
        Some(failure) => println!(
            "{} shows after {} schedules: {}",
            fault.name(),
            totals.schedules,
            text(&failure)
        ),
        None => panic!("{} does not show within {within} schedules", fault.name()),
    }
}

/// A test for each fault: its name, the fault, and the schedules within which it has to be found.
macro_rules! finds {
    ($($test:ident: $fault:ident within $within:literal,)*) => {
        $(
            #[test]
            fn $test() {
                finds(Fault::$fault, $within);
            }
        )*

        #[test]
        fn every_fault_has_a_test() {
            for fault in Fault::ALL {
                assert!([$(Fault::$fault),*].contains(&fault), "{} has none", fault.name());
            }
        }
    };
}

finds! {
    finds_a_commit_before_the_acknowledgement: CommitBeforeAcknowledgement within 100,
    finds_a_watermark_that_is_not_contiguous: WatermarkNotContiguous within 100,
    finds_that_results_of_a_past_epoch_are_accepted: PastEpochAccepted within 2_000,
    finds_that_the_outbox_is_left_out: OutboxLeftOut within 200,
    finds_a_first_offset_instead_of_the_outbox: FirstOffsetInsteadOfOutbox within 300,
    finds_a_restore_that_ends_on_the_last_record: RestoreEndsOnLastRecord within 2_000,
    finds_a_state_that_is_lost_at_restart: StateLostAtRestart within 100,
    finds_a_log_id_that_is_only_in_the_view: LogIdOnlyInView within 500,
    finds_a_marker_that_is_not_waited_for: MarkerUnacknowledged within 100,
    finds_a_marker_that_is_not_repeated: MarkerNotRepeated within 100,
    finds_a_view_that_forgets_by_the_wall_clock: ViewDroppedByWallClock within 500,
    finds_a_writer_that_does_not_check_the_epoch: NoEpochCheckInWriter within 500,
    finds_a_suspended_owner_that_goes_on: SuspendedOwnerGoesOn within 1_000,
    finds_a_cache_entry_on_send: CacheEntryOnSend within 100,
}

/// The bookkeeping of commits aside, what comes of a fault shows as well: an alert that is lost or
/// invented.
#[test]
fn finds_what_comes_of_a_fault() {
    let faults = [
        (Fault::CommitBeforeAcknowledgement, 200),
        (Fault::OutboxLeftOut, 200),
        (Fault::FirstOffsetInsteadOfOutbox, 300),
        (Fault::StateLostAtRestart, 100),
        (Fault::MarkerNotRepeated, 200),
    ];
    for (fault, within) in faults {
        let how = Play { commits_matter: false, ..Play::with(Faults::planted(fault)) };
        let (_, failure) = play_many(1..within + 1, how, 1);
        let failure = failure.unwrap_or_else(|| panic!("{} does not show", fault.name()));
        let kind = failure.violation.kind;
        assert!(
            matches!(kind, Kind::Lost | Kind::Invented),
            "{}: {}",
            fault.name(),
            text(&failure)
        );
    }
}
