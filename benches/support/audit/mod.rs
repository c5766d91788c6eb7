//! A seeded audit log of a busy cluster, of any size, and what is to be found in it.
//!
//! Made while it is read: memory does not grow with its size, but for what it says is expected.
//! The same plan gives the same bytes. It knows nothing of the detections: a request is made to
//! alert or not to, so what is expected is an independent claim.
//!
//! ```text
//! cast (who asks, for what) ─► requests in time order ─► weave: their stages ─► pack: records
//! ```
//!
//! Sizes follow those of real logs: a median of about 1 KB, a 99th percentile of about 9 KB, up to
//! 66 KB. A share of the events concerns the two built-in rules: execs, of which most are harmless
//! commands that people and machines really run, and reads of Secrets, of which most are repeated
//! by their usual clients. Besides, 1 in 100 of the others is about Secrets without being a read.
// Each user needs a part of it.
#![allow(dead_code)]
#![allow(clippy::unwrap_used)]

mod bodies;
mod cast;
mod pack;

use std::collections::BTreeSet;
use std::iter::Take;
use std::sync::Arc;

use kubetell::demo::event::{Client, Concern, Request};
use kubetell::demo::random::Random;
use kubetell::demo::weave::{Emitted, Weave};

use cast::Cast;
use pack::Pack;

/// What the log is to be like.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub events: u64,
    /// Of the events, how many in 100 concern the rules.
    pub candidates: u64,
    /// Of the execs, how many in 1,000 are sensitive.
    pub sensitive: u64,
    /// Of the reads of Secrets, how many in 1,000 are by a client that nobody saw before.
    pub unusual: u64,
    /// Begins and ends with a sensitive exec in each of so many partitions, as records of their
    /// own beside `events`: their alerts tell when the first and the last record were handled.
    pub sentinels: u32,
    /// Makes every event about this long, in bytes, by a body, and every record a bare event. What
    /// an event has without one is the least. `None`: sizes and wrappers as in real logs.
    pub event_bytes: Option<usize>,
    pub seed: u64,
}

impl Plan {
    pub fn new(events: u64, candidates: u64) -> Plan {
        Plan {
            events,
            candidates,
            sensitive: 40,
            unusual: 4,
            sentinels: 0,
            event_bytes: None,
            seed: 1,
        }
    }
}

/// One record of the topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub partition: Partition,
    pub bytes: Vec<u8>,
}

/// Where a record goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partition {
    /// To this one.
    Exactly(u32),
    /// To this one, modulo the number of partitions.
    Hint(u32),
}

impl Partition {
    pub fn of(self, partitions: u32) -> i32 {
        let (Partition::Exactly(number) | Partition::Hint(number)) = self;
        i32::try_from(number % partitions.max(1)).unwrap_or(0)
    }
}

/// What the log holds so far, and what the detections have to find in it where nothing was learned:
/// this, and nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    pub events: u64,
    /// Events that concern the rules.
    pub concerning: u64,
    pub records: u64,
    pub bytes: u64,
    /// Audit ids of the sensitive execs.
    pub execs: BTreeSet<String>,
    /// (source.ip, user.name, user_agent.original) of all clients that read Secrets.
    pub terms: BTreeSet<[String; 3]>,
}

/// The records of the log.
pub struct AuditLog {
    plan: Plan,
    records: Pack<Take<Weave<Requests>>>,
    opening: u32,
    closing: u32,
    random: Random,
    expected: Expected,
}

impl AuditLog {
    pub fn new(plan: Plan) -> AuditLog {
        let requests = Requests::new(&plan);
        let events = usize::try_from(plan.events).unwrap_or(usize::MAX);
        let limited = Weave::new(requests).take(events);
        AuditLog {
            plan,
            records: Pack::new(limited, Random::new(plan.seed ^ 1), plan.event_bytes),
            opening: plan.sentinels,
            closing: plan.sentinels,
            random: Random::new(plan.seed ^ 2),
            expected: Expected::default(),
        }
    }

    /// Of the records taken so far; of the whole log after the last one.
    pub fn expected(&self) -> &Expected {
        &self.expected
    }

    pub fn into_expected(self) -> Expected {
        self.expected
    }

    fn note(&mut self, event: &Emitted) {
        let request = &event.request;
        self.expected.events += 1;
        self.expected.concerning +=
            u64::from(request.concern != Concern::Neither || is_exec(request));
        // The first stage alone raises the alert; the others only tell more about it.
        if !event.is_first() {
            return;
        }
        match request.concern {
            Concern::Neither => {}
            Concern::Exec => {
                self.expected.execs.insert(request.audit_id.clone());
            }
            Concern::UsualClient | Concern::UnusualClient => {
                for terms in request.terms() {
                    self.expected.terms.insert(terms);
                }
            }
        }
    }

    fn sentinel(&mut self, partition: u32) -> Record {
        let request = cast::sentinel(&mut self.random);
        self.expected.execs.insert(request.audit_id.clone());
        self.expected.events += 1;
        self.expected.concerning += 1;
        Record { partition: Partition::Exactly(partition), bytes: pack::bare_first(&request) }
    }
}

/// Whether the request is one into a container, whatever its command.
fn is_exec(request: &Request) -> bool {
    request.object.as_ref().is_some_and(|object| object.subresource == "exec")
}

impl Iterator for AuditLog {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let record = if self.opening > 0 {
            self.opening -= 1;
            self.sentinel(self.opening)
        } else if let Some(packed) = self.records.next() {
            for event in &packed.events {
                self.note(event);
            }
            Record { partition: Partition::Hint(packed.hint), bytes: packed.bytes }
        } else if self.closing > 0 {
            self.closing -= 1;
            self.sentinel(self.closing)
        } else {
            return None;
        };
        self.expected.records += 1;
        self.expected.bytes += record.bytes.len() as u64;
        Some(record)
    }
}

/// About what an event takes without a body.
const PLAIN_BYTES: usize = 1_024;

/// Leaves out what no rule asks about.
fn bare_of_identity(request: &mut Request) {
    let client = request.client.as_ref();
    request.client = Arc::new(Client {
        uid: String::new(),
        groups: Vec::new(),
        extra: Vec::new(),
        ..client.clone()
    });
    request.reason.clear();
}

/// Mean time between two requests, in microseconds: about 5,000 events a second.
const GAP_US: u64 = 450;

struct Requests {
    cast: Cast,
    random: Random,
    plan: Plan,
    at_us: u64,
    /// Events that the requests so far stand for, and those of them that concern the rules.
    events: u64,
    concerning: u64,
    unusual: u64,
}

impl Requests {
    fn new(plan: &Plan) -> Requests {
        Requests {
            cast: Cast::new(plan.seed),
            random: Random::new(plan.seed),
            plan: *plan,
            at_us: 0,
            events: 0,
            concerning: 0,
            unusual: 0,
        }
    }

    fn concerning(&mut self) -> Request {
        let (random, plan) = (&mut self.random, &self.plan);
        if random.below(2) == 0 {
            return if random.below(1_000) < plan.sensitive {
                cast::sensitive_exec(random)
            } else {
                self.cast.harmless_exec(random)
            };
        }
        if random.below(1_000) < plan.unusual {
            self.unusual += 1;
            cast::unusual_read(random, self.unusual)
        } else {
            self.cast.usual_read(random)
        }
    }
}

impl Iterator for Requests {
    type Item = (u64, Request);

    fn next(&mut self) -> Option<(u64, Request)> {
        // Kept at the share all along, so that no part of the log is busier than another.
        let concerns = self.concerning * 100 < self.plan.candidates * self.events.max(1);
        let mut request =
            if concerns { self.concerning() } else { self.cast.routine(&mut self.random) };
        if let Some(bytes) = self.plan.event_bytes {
            (request.request_body, request.response_body) = (None, None);
            request.annotations.clear();
            if bytes < PLAIN_BYTES {
                bare_of_identity(&mut request);
            }
        }
        let stages = request.timeline().len() as u64;
        self.events += stages;
        self.concerning += if concerns { stages } else { 0 };
        let at_us = self.at_us;
        self.at_us += self.random.within(1..2 * GAP_US);
        Some((at_us, request))
    }
}
