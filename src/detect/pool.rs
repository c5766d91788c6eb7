//! The worker pool: batches of candidate records in, settled records out.
//!
//! A worker owns nothing between two batches but what it need not find out again. It decodes, matches
//! and encodes; it sends nothing and commits nothing. What a batch turns into depends on the batch
//! alone, so the order of the workers never shows. All that hangs on the moment is which
//! observations are left unwritten, since they are likely to be spared: should one be sent after
//! all, its record is settled once more, and everything is written.

use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use crate::alert::{self, Alert, EncodeError, Origin, wire};
use crate::audit::event::EventOutcome;
use crate::clock;
use crate::detect::harmless::Harmless;
use crate::detect::in_force::InForce;
use crate::detect::likely::Likely;
use crate::detect::matcher::{Context, Detection, ExamineStats, Matcher};
use crate::detect::recent::ObservationMark;
use crate::detect::suppress::Suppression;
use crate::detect::tally::Tally;
use crate::ingest::envelope::{self, Outcome, Wrapper};
use crate::ingest::headers::Headers;
use crate::limits::EXCEPTION_NAMES_MAX;
use crate::output::dead_letter::{self, Reason};
use crate::output::producer::{Output, OutputKind, Ticket};
use crate::position::Position;
use crate::stats::Stats;
use crate::terms::observation::Observation;
use crate::terms::record;

/// A record that the prefilter let through, copied out of librdkafka's buffer.
#[derive(Debug)]
pub struct Candidate {
    pub ticket: Ticket,
    pub topic: Arc<str>,
    pub partition: i32,
    /// In the batch's bytes.
    pub payload: Range<usize>,
    /// Bytes that it keeps in memory.
    pub size: usize,
    pub key: Option<Vec<u8>>,
    pub headers: Headers,
    pub append_ms: Option<i64>,
    /// From the topic's name or a header, where the configuration asks for it.
    pub cluster: Option<String>,
}

/// The class of events that have more values than a query looks at.
const NOT_ASKED: &str = "not-asked";
/// Of a longer record, or one with more events, everything is written.
const UNWRITTEN_MAX_BYTES: usize = 16 * 1024;
const UNWRITTEN_MAX_ITEMS: usize = 16;
/// What a header takes beside its name and value, rounded up.
const HEADER_OVERHEAD_BYTES: usize = 96;

/// Bytes that a candidate keeps in memory.
pub fn size_of_record(payload: &[u8], key: Option<&[u8]>, headers: &Headers) -> usize {
    let headers: usize = headers
        .iter()
        .map(|(name, value)| {
            HEADER_OVERHEAD_BYTES + name.len() + value.as_ref().map_or(0, Vec::len)
        })
        .sum();
    size_of::<Candidate>() + payload.len() + key.map_or(0, <[u8]>::len) + headers
}

/// Candidates with their bytes in one buffer.
#[derive(Debug, Default)]
pub struct Batch {
    pub bytes: Vec<u8>,
    pub candidates: Vec<Candidate>,
}

/// A batch, and the rules that let its records through.
#[derive(Debug)]
pub struct Job {
    pub batch: Batch,
    pub rules: Arc<InForce>,
}

/// A job that is done; it is at hand for what is to be settled once more.
#[derive(Debug)]
pub struct Done {
    pub job: Job,
    /// Parallel to the job's candidates.
    pub settled: Vec<Settled>,
}

/// What one alert needs to be told apart from the stages before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertMark {
    pub id: String,
    pub rule_id: String,
    pub revision: u8,
    pub outcome_known: bool,
    pub event_time_ms: Option<i64>,
    pub append_ms: Option<i64>,
    pub suppression: Option<Suppression>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    Alert(AlertMark),
    Observation(ObservationMark),
    DeadLetter,
}

#[derive(Debug)]
pub struct Product {
    pub output: Output,
    pub mark: Mark,
}

/// A candidate whose outputs are all known.
#[derive(Debug)]
pub struct Settled {
    pub ticket: Ticket,
    /// The candidate's, to be taken off what is in flight.
    pub size: usize,
    pub products: Vec<Product>,
    /// Observations that are likely to be spared, and so are not among the products.
    pub unwritten: Vec<ObservationMark>,
}

/// What a worker needs to know; the same for all of them.
#[derive(Clone)]
pub struct Worker {
    pub stats: Arc<Stats>,
    pub instance: Arc<str>,
    /// Where the configuration names none for a record.
    pub cluster: Arc<str>,
    /// JSON pointer to the cluster's name in the record.
    pub cluster_field: Option<Arc<str>>,
    pub forced_wrapper: Option<Wrapper>,
    pub alerts_topic: Arc<str>,
    pub observations_topic: Arc<str>,
    pub observations_partitions: u32,
    pub dead_letters_topic: Arc<str>,
    /// `None`: everything is written.
    pub likely: Option<Arc<Likely>>,
}

impl Worker {
    /// Until the channel of jobs closes.
    pub fn run(&self, jobs: &Receiver<Job>, done: &Sender<Done>) {
        let own = self.stats.pool.worker();
        let mut harmless = Harmless::default();
        for job in jobs {
            let settled = own.busy(|| self.process(&job, &mut harmless));
            if done.send(Done { job, settled }).is_err() {
                return;
            }
        }
    }

    pub fn process(&self, job: &Job, harmless: &mut Harmless) -> Vec<Settled> {
        let mut tally = Tally::default();
        let candidates = job.batch.candidates.iter();
        let settled = candidates.map(|one| self.guarded(one, job, harmless, &mut tally)).collect();
        tally.publish(&self.stats);
        settled
    }

    /// The same worker for records that were settled before: it leaves nothing unwritten, and what it
    /// counts is seen by nobody.
    pub fn writing_all(&self) -> Worker {
        Worker { stats: Arc::default(), likely: None, ..self.clone() }
    }

    /// Settles one candidate of the job, which was settled before.
    pub fn settle_again(&self, candidate: &Candidate, job: &Job) -> Settled {
        self.guarded(candidate, job, &mut Harmless::default(), &mut Tally::default())
    }

    fn guarded(
        &self,
        candidate: &Candidate,
        job: &Job,
        harmless: &mut Harmless,
        tally: &mut Tally,
    ) -> Settled {
        let (bytes, matcher) = (&job.batch.bytes, &job.rules.matcher);
        // No input is known to panic. Should one, it costs its own record, not the stream.
        let settle = AssertUnwindSafe(|| self.settle(candidate, bytes, matcher, harmless, tally));
        std::panic::catch_unwind(settle).unwrap_or_else(|_| self.panicked(candidate, bytes))
    }

    fn panicked(&self, candidate: &Candidate, bytes: &[u8]) -> Settled {
        self.stats.unreadable.add("internal", 1);
        let reason = Reason {
            class: "internal",
            text: "reading the record panicked".to_owned(),
            item: 0,
            unreadable_items: 1,
        };
        let payload = bytes.get(candidate.payload.clone()).unwrap_or_default();
        Settled {
            ticket: candidate.ticket,
            size: candidate.size,
            products: vec![self.dead_letter(candidate, payload, &reason)],
            unwritten: Vec::new(),
        }
    }

    fn dead_letter(&self, candidate: &Candidate, payload: &[u8], reason: &Reason) -> Product {
        let original = dead_letter::Original {
            topic: &candidate.topic,
            partition: candidate.partition,
            key: candidate.key.as_deref(),
            payload: Some(payload),
            headers: candidate.headers.clone(),
        };
        Product {
            output: dead_letter::output(
                &self.dead_letters_topic,
                &original,
                reason,
                candidate.ticket,
            ),
            mark: Mark::DeadLetter,
        }
    }

    fn settle(
        &self,
        candidate: &Candidate,
        bytes: &[u8],
        matcher: &Matcher,
        harmless: &mut Harmless,
        tally: &mut Tally,
    ) -> Settled {
        let payload = bytes.get(candidate.payload.clone()).unwrap_or_default();
        let mut cluster = candidate.cluster.clone();
        if let (None, Some(pointer)) = (&cluster, &self.cluster_field) {
            cluster = envelope::field_at(payload, pointer);
        }
        let cluster = cluster.unwrap_or_else(|| self.cluster.to_string());
        let mut products = Vec::new();
        let mut unwritten = Vec::new();
        let mut detections = Vec::new();
        let mut unreadable: Option<Reason> = None;
        let mut items = 0;
        let bodies = matcher.bodies();
        envelope::read_asking(payload, self.forced_wrapper, bodies, &mut |item, outcome| {
            match outcome {
                Outcome::Event(read) => {
                    items += 1;
                    tally.event(&candidate.topic, read.wrapper);
                    let context = Context {
                        cluster: &cluster,
                        position: Position::Kafka {
                            topic: candidate.topic.to_string(),
                            partition: candidate.partition,
                            offset: candidate.ticket.offset,
                            item,
                        },
                        wrapper_id: read.wrapper_id.as_deref(),
                        wrapper_time_ms: read.wrapper_time.map(|time| time.as_millisecond()),
                    };
                    let found = &mut detections;
                    let examined = matcher.examine_knowing(harmless, read.event, context, found);
                    self.count(examined);
                }
                Outcome::Skipped(reason) => self.stats.skipped.add(reason.as_str(), 1),
                Outcome::Unreadable(error) => {
                    self.stats.unreadable.add(error.label(), 1);
                    let reason = unreadable.get_or_insert_with(|| Reason {
                        class: error.label(),
                        text: error.to_string(),
                        item,
                        unreadable_items: 0,
                    });
                    reason.unreadable_items += 1;
                }
            }
        });
        // What is left unwritten may have to be settled once more by the thread that polls.
        let is_small = payload.len() <= UNWRITTEN_MAX_BYTES && items <= UNWRITTEN_MAX_ITEMS;
        let likely = self.likely.as_deref().filter(|_| is_small);
        for detection in detections {
            let product = match detection {
                Detection::NotAsked(reason) => {
                    self.stats.unreadable.add(NOT_ASKED, 1);
                    let reason = unreadable.get_or_insert(Reason {
                        class: NOT_ASKED,
                        text: format!("the rules with a query could not be asked: {reason}"),
                        item: 0,
                        unreadable_items: 0,
                    });
                    reason.unreadable_items += 1;
                    continue;
                }
                Detection::Finding(finding) => {
                    tally.matched(&finding.rule.id);
                    let alert = alert::from_finding(&finding, &self.origin(candidate));
                    self.alert(candidate, &alert, finding.event_time_ms)
                        .map_err(|error| error.to_string())
                }
                Detection::Request(finding) => {
                    tally.matched(&finding.rule.id);
                    let alert = alert::from_request(&finding, &self.origin(candidate));
                    self.alert(candidate, &alert, finding.event_time_ms)
                        .map_err(|error| error.to_string())
                }
                Detection::Observation(observation) => {
                    tally.matched(&observation.rule.id);
                    match self.observation(candidate, &observation, likely, &mut unwritten) {
                        Some(product) => product.map_err(|error| error.to_string()),
                        None => continue,
                    }
                }
                Detection::Excepted(excepted) => {
                    self.stats.excepted.add_up_to(EXCEPTION_NAMES_MAX, &excepted.by.name);
                    for observation in excepted.history.iter().flatten() {
                        let known =
                            self.observation(candidate, observation, likely, &mut unwritten);
                        if let Some(known) = known {
                            let known = known.map_err(|error| error.to_string());
                            push(known, &mut products, &mut unreadable);
                        }
                    }
                    continue;
                }
                Detection::ExceptionExpired(exception) => {
                    self.stats.exceptions_expired.add_up_to(EXCEPTION_NAMES_MAX, &exception.name);
                    continue;
                }
            };
            push(product, &mut products, &mut unreadable);
        }
        if let Some(reason) = unreadable {
            products.push(self.dead_letter(candidate, payload, &reason));
        }
        Settled { ticket: candidate.ticket, size: candidate.size, products, unwritten }
    }

    fn count(&self, examined: ExamineStats) {
        self.stats.terms_cut.add(examined.sources_over_limit + examined.tuples_over_limit);
        for (reason, count) in [
            ("source-no-address", examined.source_no_address),
            ("field-missing", examined.field_missing),
        ] {
            if count > 0 {
                self.stats.without_terms.add(reason, count);
            }
        }
    }

    fn origin(&self, candidate: &Candidate) -> Origin {
        let created_ms = clock::now_ms();
        Origin {
            instance: self.instance.to_string(),
            created_ms,
            latency_ms: candidate.append_ms.map(|append| (created_ms - append).max(0)),
        }
    }

    fn alert(
        &self,
        candidate: &Candidate,
        alert: &Alert,
        event_time_ms: Option<i64>,
    ) -> Result<Product, EncodeError> {
        Ok(Product {
            mark: Mark::Alert(AlertMark {
                id: alert.id.clone(),
                rule_id: alert.rule.id.clone(),
                revision: alert.revision,
                outcome_known: alert.outcome_known,
                event_time_ms,
                append_ms: candidate.append_ms,
                suppression: alert.suppression,
            }),
            output: wire::output(alert, &self.alerts_topic, candidate.ticket)?,
        })
    }

    /// Nothing, but its mark in `unwritten`, if it is likely to be spared.
    fn observation(
        &self,
        candidate: &Candidate,
        observation: &Observation,
        likely: Option<&Likely>,
        unwritten: &mut Vec<ObservationMark>,
    ) -> Option<Result<Product, serde_json::Error>> {
        let key = record::key(observation);
        let outcome_known = observation.event.outcome() != EventOutcome::Unknown;
        let (event_id, window_ms) = (&observation.event_id, observation.window_ms);
        let mark = ObservationMark::new(&key, event_id, outcome_known, window_ms);
        if likely.is_some_and(|likely| likely.spares(&mark, clock::since_boot_ms())) {
            unwritten.push(mark);
            return None;
        }
        let partition = record::partition_for(&observation.shard_key, self.observations_partitions);
        Some(record::value(observation).map(|payload| Product {
            mark: Mark::Observation(mark),
            output: Output {
                kind: OutputKind::Observation,
                topic: Arc::clone(&self.observations_topic),
                partition: Some(i32::try_from(partition).unwrap_or(0)),
                key: Some(key),
                payload: Some(payload),
                headers: Vec::new(),
                reduced: None,
                ticket: candidate.ticket,
                serial: 0,
            },
        }))
    }
}

/// Encoding our own types can't fail; if it does, the record is not lost.
fn push(
    product: Result<Product, String>,
    products: &mut Vec<Product>,
    unreadable: &mut Option<Reason>,
) {
    match product {
        Ok(product) => products.push(product),
        Err(error) => {
            tracing::error!(%error, "a result could not be encoded");
            unreadable.get_or_insert_with(|| Reason {
                class: "internal",
                text: format!("a result could not be encoded: {error}"),
                item: 0,
                unreadable_items: 1,
            });
        }
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
