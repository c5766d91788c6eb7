//! What a schedule is played with: partitions, instances, rules and terms.

use kubetell::limits::{self, HOUR_MS, SECOND_MS};
use kubetell::terms::observation::Sighting;
use kubetell::terms::record::Record;

use crate::rng::Rng;

/// Where time begins: 2027-01-15.
pub const T0: i64 = 1_800_000_000_000;
pub const MINUTE_MS: i64 = 60 * SECOND_MS;

/// A version of a rule's terms.
#[derive(Debug)]
pub struct Version {
    pub name: String,
    pub window_ms: i64,
    pub learning_ms: i64,
}

#[derive(Debug)]
pub struct Term {
    pub version: usize,
    pub partition: usize,
    pub key: Vec<u8>,
}

/// One observation, as the simulation keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Observed {
    pub term: usize,
    /// The event, which has an audit id for all of its stages.
    pub act: u32,
    /// This stage tells the outcome.
    pub outcome: bool,
    pub history: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles {
    pub detect: bool,
    pub first_seen: bool,
}

#[derive(Debug)]
pub struct Setup {
    pub source_partitions: usize,
    pub partitions: usize,
    pub instances: Vec<Roles>,
    pub versions: Vec<Version>,
    pub terms: Vec<Term>,
    /// Versions that are there from the beginning; the others are added while running.
    pub versions_at_start: usize,
    pub retention_ms: i64,
    /// What the cache of recent observations may take; 0: there is none.
    pub cache_bytes: u64,
    /// Records that one write of a view holds at most.
    pub batch_records: usize,
    /// The first-seen half may be away for longer than the protocol allows.
    pub exceeds_outage: bool,
    /// Actions in the schedule.
    pub actions: usize,
}

impl Setup {
    pub fn new(rng: &mut Rng) -> Setup {
        let partitions = 1 + rng.below(3);
        let roles = rng.below(10);
        let count = 1 + rng.below(3);
        let instances = (0..count + usize::from(roles >= 6))
            .map(|number| match roles {
                0..=5 => Roles { detect: true, first_seen: true },
                // The halves apart: one may be down while the other works.
                _ => Roles { detect: number == 0, first_seen: number > 0 },
            })
            .collect();
        let version_count = 1 + rng.below(3);
        let versions: Vec<Version> = (0..version_count)
            .map(|number| Version {
                name: format!("rule{number}@1"),
                window_ms: *rng.pick(&[2, 2, 5, 26, 60]) * HOUR_MS,
                learning_ms: *rng.pick(&[0, 0, 3, 30]) * HOUR_MS,
            })
            .collect();
        let users = partitions + rng.below(2);
        let values = 1 + rng.below(2);
        let mut terms = Vec::new();
        for version in 0..version_count {
            for user in 0..users {
                for value in 0..values {
                    terms.push(Term {
                        version,
                        partition: user % partitions,
                        key: format!("v{version}u{user}x{value}").into_bytes(),
                    });
                }
            }
        }
        let longest = versions.iter().map(|version| version.window_ms).max().unwrap();
        Setup {
            source_partitions: 1 + rng.below(2),
            partitions,
            instances,
            terms,
            versions_at_start: 1 + rng.below(version_count),
            versions,
            retention_ms: limits::observation_retention_ms(longest),
            cache_bytes: *rng.pick(&[0, 600, 2_000, 1_000_000]),
            batch_records: *rng.pick(&[1, 2, 3, 1_000]),
            exceeds_outage: rng.percent(12),
            actions: 10 + rng.below(50),
        }
    }

    pub fn window_ms(&self, term: usize) -> i64 {
        self.versions[self.terms[term].version].window_ms
    }

    /// The record that stands in the log. What the fold does not look at is two numbers.
    pub fn record(&self, observed: Observed) -> Record {
        let term = &self.terms[observed.term];
        let version = &self.versions[term.version];
        let mut value = u32::try_from(observed.term).unwrap().to_be_bytes().to_vec();
        value.extend_from_slice(&observed.act.to_be_bytes());
        Record::Observation {
            key: term.key.clone(),
            sighting: Sighting {
                terms_version: version.name.clone(),
                window_ms: version.window_ms,
                learning_ms: version.learning_ms,
                event_id: observed.act.to_string(),
                outcome_known: observed.outcome,
                history: observed.history,
            },
            value,
        }
    }
}
