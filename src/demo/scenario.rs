//! The two logs that the demo plays, and what is to be found in them.

use std::collections::BTreeSet;
use std::iter::Take;

use jiff::Timestamp;

use super::cluster::Cluster;
use super::event::{Concern, Request};
use super::pack::Pack;
use super::random::Random;
use super::story;
use super::weave::Weave;

/// How long the cluster's life is played, in milliseconds.
pub const LENGTH_MS: u64 = 60_000;
/// Each usual client of the secrets has read one by then, and the intruder has done nothing yet:
/// a learning period that ends here makes the usual clients known. Milliseconds after the start.
pub const LEARNING_UNTIL_MS: u64 = 10_000;

const SEED: u64 = 0x6b75_6265_7465_6c6c;
/// Mean time between two requests of the scenario: about 25 events a second, in all.
const GAP_US: u64 = 85_000;
/// Mean time between two requests of a generated log.
const GENERATED_GAP_US: u64 = 1_000;
/// One request in so many of a generated log is an exec that alerts, and one in as many a read
/// by an unusual client.
const GENERATED_ALERT_RATE: u64 = 2_000;

/// One record of the scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScenarioRecord {
    /// Milliseconds after the start at which the last event in it was written.
    pub at_ms: u64,
    /// To be taken modulo the number of partitions.
    pub partition_hint: u32,
    pub bytes: Vec<u8>,
    /// How many audit events it holds.
    pub events: u32,
}

/// What the detections have to find in the scenario: this, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Audit ids of the execs that touch something sensitive.
    pub exec: BTreeSet<String>,
    /// (source.ip, user.name, user_agent.original) of the unusual clients.
    pub new_terms: BTreeSet<[String; 3]>,
    /// The same of the usual clients, which alert only where nothing was learned.
    pub learned: BTreeSet<[String; 3]>,
}

/// How many alerts a generated log stands for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub events: u64,
    pub exec: u64,
    pub new_terms: u64,
    /// Usual clients seen, each of which alerts once where nothing was learned.
    pub learned: u64,
}

/// A minute of a cluster's life, an intruder included, whose first event is of the time `start`.
/// In the order of `at_ms`; the same for each call but for the times.
pub fn scenario(start: Timestamp) -> Vec<ScenarioRecord> {
    let events = Weave::new(requests().into_iter());
    Pack::new(events, Random::new(SEED ^ 1), start)
        .map(|packed| ScenarioRecord {
            at_ms: packed.at_us / 1_000,
            partition_hint: packed.partition_hint,
            events: u32::try_from(packed.events.len()).unwrap_or(u32::MAX),
            bytes: packed.bytes,
        })
        .collect()
}

/// What is to be found in [`scenario`].
pub fn expected() -> Expected {
    let requests = requests();
    let of = |concern: Concern| {
        requests.iter().map(|(_, request)| request).filter(move |r| r.concern == concern)
    };
    Expected {
        exec: of(Concern::Exec).map(|request| request.audit_id.clone()).collect(),
        new_terms: of(Concern::UnusualClient).flat_map(Request::terms).collect(),
        learned: of(Concern::UsualClient).flat_map(Request::terms).collect(),
    }
}

/// The requests of the scenario in the order of their times (microseconds after the start).
fn requests() -> Vec<(u64, Request)> {
    let mut random = Random::new(SEED);
    let cluster = Cluster::new();
    let mut requests = story::story(&mut random);
    // Whoever reads secrets does so while that is still being learned.
    let readers = cluster.secret_readers() as u64;
    for index in 0..cluster.secret_readers() {
        let at_us = 300_000 + index as u64 * 8_000_000 / readers;
        requests.push((at_us, cluster.secret_read(&mut random, index)));
    }
    let mut at_us = 0;
    while at_us < LENGTH_MS * 1_000 {
        requests.push((at_us, cluster.routine(&mut random)));
        at_us += random.within(1..2 * GAP_US);
    }
    requests.sort_by_key(|(at_us, _)| *at_us);
    requests
}

/// A log of exactly `events` events, made while it is read: as in the scenario about 3 in 100
/// concern the rules, and the intruder is at work all the time. Memory does not grow with the
/// size. The same `events` and `seed` give the same log but for its times.
pub fn generated(events: u64, seed: u64, start: Timestamp) -> Generated {
    let weave = Weave::new(GeneratedRequests {
        cluster: Cluster::new(),
        random: Random::new(seed),
        at_us: 0,
        unusual: 0,
    });
    let limited = weave.take(usize::try_from(events).unwrap_or(usize::MAX));
    Generated {
        records: Pack::new(limited, Random::new(seed ^ 1), start),
        counts: Counts::default(),
        learned: BTreeSet::new(),
    }
}

/// The records of a generated log. See [`generated`].
pub struct Generated {
    records: Pack<Take<Weave<GeneratedRequests>>>,
    counts: Counts,
    /// Users of the usual clients: a handful, however long the log is.
    learned: BTreeSet<String>,
}

impl Generated {
    /// What is to be found in the records taken so far; in the whole log after the last one.
    pub fn counts(&self) -> Counts {
        self.counts
    }
}

impl Iterator for Generated {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let packed = self.records.next()?;
        for event in &packed.events {
            self.counts.events += 1;
            // The first stage alone raises the alert; the others only tell more about it.
            if !event.is_first() {
                continue;
            }
            match event.request.concern {
                Concern::Neither => {}
                Concern::Exec => self.counts.exec += 1,
                Concern::UnusualClient => self.counts.new_terms += 1,
                Concern::UsualClient => {
                    let user = &event.request.client.user;
                    if !self.learned.contains(user) {
                        self.learned.insert(user.clone());
                        self.counts.learned += 1;
                    }
                }
            }
        }
        Some(packed.bytes)
    }
}

struct GeneratedRequests {
    cluster: Cluster,
    random: Random,
    at_us: u64,
    unusual: u64,
}

impl Iterator for GeneratedRequests {
    type Item = (u64, Request);

    fn next(&mut self) -> Option<(u64, Request)> {
        let random = &mut self.random;
        let request = match random.below(GENERATED_ALERT_RATE) {
            0 => {
                let index = random.below(story::SENSITIVE_EXECS);
                story::sensitive_exec(random, index)
            }
            1 => {
                self.unusual += 1;
                story::unusual_read(random, self.unusual)
            }
            _ => self.cluster.routine(random),
        };
        let at_us = self.at_us;
        self.at_us += random.within(1..2 * GENERATED_GAP_US);
        Some((at_us, request))
    }
}
