//! The log that the benchmarks are made with: it has to be what they say it is.

#[path = "../../benches/support/audit/mod.rs"]
mod audit;

use std::collections::BTreeSet;
use std::sync::Arc;

use kubetell::detect::matcher::{Context, Detection, Matcher};
use kubetell::ingest::envelope::{self, Outcome};
use kubetell::ingest::prefilter::{Prefilter, Verdict};
use kubetell::position::Position;
use kubetell::rules::set::RuleSet;

use audit::{AuditLog, Expected, Plan, Record};

fn made(plan: Plan) -> (Vec<Record>, Expected) {
    let mut log = AuditLog::new(plan);
    let records = log.by_ref().collect();
    (records, log.into_expected())
}

#[test]
fn a_plan_is_always_the_same_log_and_another_seed_another() {
    let plan = Plan { sentinels: 3, ..Plan::new(3_000, 5) };
    let (records, expected) = made(plan);
    assert_eq!((&records, &expected), (&made(plan).0, &made(plan).1));
    assert_ne!(records, made(Plan { seed: 2, ..plan }).0);
    assert_eq!(expected.events, 3_000 + 2 * 3);
    assert_eq!(expected.records, records.len() as u64);
    assert_eq!(expected.bytes, records.iter().map(|record| record.bytes.len() as u64).sum::<u64>());
}

#[test]
fn the_share_of_events_that_concern_the_rules_is_the_one_asked_for() {
    for candidates in [0, 5, 100] {
        let (_, expected) = made(Plan::new(6_000, candidates));
        let share = 100.0 * expected.concerning as f64 / expected.events as f64;
        // The last stages of an exec come later than those of other requests, at the end too late.
        let asked = candidates as f64;
        assert!((0.85 * asked..=asked + 0.1).contains(&share), "{share} in place of {asked}");
    }
}

#[test]
fn events_have_the_sizes_of_real_logs() {
    let (records, _) = made(Plan::new(15_000, 5));
    let bare = records.iter().filter(|record| record.bytes.starts_with(b"{\"kind\":\"Event\","));
    let mut sizes: Vec<usize> = bare.map(|record| record.bytes.len()).collect();
    sizes.sort_unstable();
    let at = |share: usize| sizes[sizes.len() * share / 1_000];
    assert!((900..1_250).contains(&at(500)), "median {}", at(500));
    // Of a log this short; of a million events it is 10,715.
    assert!((7_000..12_500).contains(&at(990)), "p99 {}", at(990));
    let most = sizes.last().copied();
    assert!(most.is_some_and(|most| (30_000..70_000).contains(&most)), "most {most:?}");
}

#[test]
fn every_event_has_the_size_that_is_asked_for() {
    for bytes in [700, 1_024, 4_096, 65_536] {
        let (records, _) = made(Plan { event_bytes: Some(bytes), ..Plan::new(300, 5) });
        let mut sizes: Vec<usize> = records.iter().map(|record| record.bytes.len()).collect();
        sizes.sort_unstable();
        let (median, most) = (sizes[sizes.len() / 2], sizes[sizes.len() - 1]);
        // An event has about 0.7 KB at the least, and one with a command in its URI more.
        assert!((bytes * 85 / 100..=bytes * 125 / 100).contains(&median), "{bytes}: {median}");
        assert!(most < bytes + 4_096, "{bytes}: {most}");
    }
}

/// What the log says is in it is what a scan of it finds: the way of `scan` and `run` from a record's
/// bytes to detections.
#[test]
fn what_is_expected_is_what_the_rules_find() {
    let plan = Plan { sensitive: 200, unusual: 50, sentinels: 2, ..Plan::new(8_000, 40) };
    let (records, expected) = made(plan);
    let rules = Arc::new(RuleSet::builtin().unwrap());
    let (prefilter, matcher) = (Prefilter::new(&rules), Matcher::new(Arc::clone(&rules), 0));
    let position = Position::Kafka { topic: "audit".into(), partition: 0, offset: 0, item: 0 };
    let (mut execs, mut terms, mut events) = (BTreeSet::new(), BTreeSet::new(), 0);
    let mut found = Vec::new();
    for record in &records {
        let dropped = prefilter.verdict(&record.bytes) == Verdict::Drop;
        envelope::read(&record.bytes, None, &mut |_, outcome| {
            let Outcome::Event(read) = outcome else { panic!("no event in a record") };
            events += 1;
            let context = Context {
                cluster: "bench",
                position: position.clone(),
                wrapper_id: None,
                wrapper_time_ms: None,
            };
            matcher.examine(read.event, context, &mut found);
        });
        assert!(found.is_empty() || !dropped);
        for detection in found.drain(..) {
            match detection {
                Detection::Finding(finding) => {
                    execs.insert(finding.event.audit_id.unwrap().to_string());
                }
                Detection::Observation(observation) => {
                    let observed: [String; 3] = observation.terms.clone().try_into().unwrap();
                    terms.insert(observed);
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(events, expected.events);
    assert!(execs.len() > 50 && terms.len() > 50);
    assert_eq!(execs, expected.execs);
    assert_eq!(terms, expected.terms);
}
