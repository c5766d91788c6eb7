//! Counters of what flowed: every drop has one, with its reason.
//!
//! Shared between threads; reading them never blocks the stream. How they are exported is for
//! [`admin`](crate::admin).

pub mod alerts;
pub mod client;
pub mod flow;
pub mod half;
pub mod histogram;
pub mod pool;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{DebugValue, debug};

use crate::clock;
use crate::failure::{Class, Doing};
use crate::limits::LABELS_MAX;

/// A counter that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
    /// For the log, where nothing says that nothing happened.
    fn shown(&self) -> Option<u64> {
        Some(self.get()).filter(|count| *count > 0)
    }
}

/// A value that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// A short text that changes now and then.
#[derive(Debug, Default)]
pub struct Text(Mutex<String>);

impl Text {
    pub fn set(&self, text: &str) {
        text.clone_into(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
    pub fn get(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    fn shown(&self) -> Option<String> {
        Some(self.get()).filter(|text| !text.is_empty())
    }
}

/// Counters by a label (rule ids, reasons): at most [`LABELS_MAX`] of them, what else there is
/// counts as [`OTHERS`].
#[derive(Debug, Default)]
pub struct Labelled(Mutex<BTreeMap<String, u64>>);

impl Labelled {
    pub fn add(&self, label: &str, count: u64) {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        count_up_to(LABELS_MAX, label, count, &mut map);
    }
    /// One more, by at most so many labels.
    pub fn add_up_to(&self, labels_max: usize, label: &str) {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        count_up_to(labels_max, label, 1, &mut map);
    }
    pub fn snapshot(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    fn shown(&self) -> Option<DebugValue<BTreeMap<String, u64>>> {
        let mut counts = self.snapshot();
        counts.retain(|_, count| *count > 0);
        Some(counts).filter(|counts| !counts.is_empty()).map(debug)
    }
}

/// What is counted together when there are too many labels.
pub const OTHERS: &str = "(others)";

/// So many more of a label, unless there are so many labels already that it is one of the others.
pub fn count_up_to(labels_max: usize, label: &str, more: u64, counts: &mut BTreeMap<String, u64>) {
    let known = counts.len() < labels_max || counts.contains_key(label);
    let label = if known { label } else { OTHERS };
    if let Some(count) = counts.get_mut(label) {
        *count += more;
    } else {
        counts.insert(label.to_owned(), more);
    }
}

/// Errors by what was being done and what they mean.
#[derive(Debug, Default)]
pub struct Errors([[Counter; 3]; 3]);

impl Errors {
    fn place(doing: Doing, class: Class) -> (usize, usize) {
        let doing = match doing {
            Doing::Consuming => 0,
            Doing::Producing => 1,
            Doing::Committing => 2,
        };
        let class = match class {
            Class::Retriable => 0,
            Class::Poison => 1,
            Class::Fatal => 2,
        };
        (doing, class)
    }
    pub fn add(&self, doing: Doing, class: Class) {
        let (doing, class) = Errors::place(doing, class);
        self.0[doing][class].add(1);
    }
    pub fn get(&self, doing: Doing, class: Class) -> u64 {
        let (doing, class) = Errors::place(doing, class);
        self.0[doing][class].get()
    }
}

/// Times in milliseconds, the latest of them, for percentiles.
#[derive(Debug, Default)]
pub struct Latencies(Mutex<Ring>);

#[derive(Debug, Default)]
struct Ring {
    values: Vec<u32>,
    next: usize,
}

const LATENCIES_KEPT: usize = 65_536;

impl Latencies {
    pub fn add(&self, milliseconds: i64) {
        let value = u32::try_from(milliseconds.max(0)).unwrap_or(u32::MAX);
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ring.values.len() < LATENCIES_KEPT {
            ring.values.push(value);
        } else {
            let at = ring.next;
            ring.values[at] = value;
            ring.next = (at + 1) % LATENCIES_KEPT;
        }
    }

    /// The values at the given shares (0.5 is the median), `None` when there are none.
    pub fn percentiles<const N: usize>(&self, shares: [f64; N]) -> Option<[u32; N]> {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner).values.clone();
        if values.is_empty() {
            return None;
        }
        values.sort_unstable();
        let last = values.len() - 1;
        Some(shares.map(|share| {
            let at = (share * last as f64).round();
            values[(at as usize).min(last)]
        }))
    }
}

#[derive(Debug, Default)]
pub struct Stats {
    /// What is read, by source topic.
    pub sources: flow::Sources,
    /// Every half of the role runs.
    pub started: half::Flag,
    /// Hash of the rules in force; empty where none are asked.
    pub ruleset: Text,
    /// Rules in force, and exceptions.
    pub rules: Gauge,
    pub exceptions: Gauge,
    /// Attempts to put changed rules in force: `loaded`, `unchanged`, `refused`.
    pub reloads: Labelled,
    /// 1 while records are under way in the detect half: in the pool, or sent and not acknowledged.
    pub under_way: Gauge,
    /// Audit events that were parsed.
    pub events: Counter,
    /// By topic and wrapper.
    pub events_by: flow::Events,
    /// What matched a rule, by rule: alerts and observations before anything is withheld or spared.
    pub matches: Labelled,
    /// Items that are no audit events and not meant to be (control messages, other log kinds).
    pub skipped: Labelled,
    /// Items that could not be read, by error class.
    pub unreadable: Labelled,
    pub dead_letters: Counter,
    /// Candidate records whose headers could not be read: they go on without any.
    pub headers_unreadable: Counter,
    /// Outputs that left shortened, since their topic refuses the whole as too large, by kind.
    pub shortened: Labelled,
    /// Outputs that went to the dead letters in place of a topic that refuses them, by class.
    pub diverted: Labelled,
    /// Refusals of outputs that were sent again, by the broker's or the client's reason.
    pub refused: Labelled,
    /// Alerts acknowledged by the brokers, by rule; a revision counts again in `revisions`.
    pub alerts: Labelled,
    pub revisions: Counter,
    /// Later stages of an alerted event that told nothing new.
    pub repeats: Counter,
    /// Alerts that were withheld since one that is the same was raised a while ago, by rule.
    pub suppressed: Labelled,
    /// Events of which a rule said nothing, by the exception that held.
    pub excepted: Labelled,
    /// Events of which one would have said nothing if this exception had not ended.
    pub exceptions_expired: Labelled,
    pub observations: Counter,
    /// Observations that were not sent because one of their term was a moment ago.
    pub observations_spared: Counter,
    /// Records that the detect thread settled once more, since a worker had taken an observation for
    /// spared that was to be sent.
    pub settled_again: Counter,
    /// Source addresses over the limit of one event.
    pub terms_cut: Counter,
    /// Events that matched a new-terms rule and gave it nothing to look at, by reason.
    pub without_terms: Labelled,
    pub terms_folded: Counter,
    /// First sightings that stayed silent because their rule is learning, or as history: imported,
    /// or of an event of which an exception held.
    pub learned: Counter,
    /// Records and results that were let go since another assignment reads, or has read, them:
    /// by reason. No loss: somebody has them or reads them again.
    pub let_go: Labelled,
    /// Observations that could not be decoded.
    pub poison: Counter,
    /// Batches of records that librdkafka passed over as damaged.
    pub damaged: Counter,
    /// Offsets that were gone from the log before they were read.
    pub gap: Counter,
    /// From the event's own time to the alert's acknowledgement, in milliseconds.
    pub event_to_alert: Latencies,
    /// From the record's append to the alert's acknowledgement, in milliseconds.
    pub append_to_alert: Latencies,
    pub alerts_over_time: alerts::OverTime,
    pub newest_alerts: alerts::Newest,
    pub errors: Errors,
    pub pool: pool::PoolStats,
    pub restores: flow::Restores,
    pub learning_starts: flow::LearningStarts,
    pub detect: Arc<half::HalfStats>,
    pub first_seen: Arc<half::HalfStats>,
}

/// Which half of the stream something is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    Detect,
    FirstSeen,
}

impl Half {
    pub const ALL: [Half; 2] = [Half::Detect, Half::FirstSeen];

    pub fn as_str(self) -> &'static str {
        match self {
            Half::Detect => "detect",
            Half::FirstSeen => "first-seen",
        }
    }
}

impl Stats {
    pub fn half(&self, half: Half) -> &Arc<half::HalfStats> {
        match half {
            Half::Detect => &self.detect,
            Half::FirstSeen => &self.first_seen,
        }
    }

    /// The halves that this process runs.
    pub fn halves(&self) -> impl Iterator<Item = (Half, &Arc<half::HalfStats>)> {
        let all = Half::ALL.into_iter().map(|half| (half, self.half(half)));
        all.filter(|(_, stats)| stats.runs.get())
    }

    /// An alert was acknowledged.
    pub fn alerted(&self, rule: &str) {
        self.alerts.add(rule, 1);
        self.alerts_over_time.add(rule, clock::now_ms());
    }

    /// How long an alert took, in milliseconds: since the event, and since the record of it.
    pub fn delayed(&self, half: Half, event_ms: Option<i64>, append_ms: Option<i64>) {
        let stats = self.half(half);
        if let Some(delay) = event_ms {
            self.event_to_alert.add(delay);
            stats.event_to_alert.add_ms(delay);
        }
        if let Some(delay) = append_ms {
            self.append_to_alert.add(delay);
            stats.append_to_alert.add_ms(delay);
        }
    }

    /// One line with every counter that is not zero. Those of the flow itself stand there always.
    pub fn log(&self) {
        let read = self.sources.totals();
        tracing::info!(
            records = read.records,
            events = self.events.get(),
            prefiltered = read.prefiltered,
            alerts = ?self.alerts.snapshot(),
            observations = self.observations.get(),
            observations_spared = self.observations_spared.shown(),
            settled_again = self.settled_again.shown(),
            folded = self.terms_folded.shown(),
            revisions = self.revisions.shown(),
            repeats = self.repeats.shown(),
            suppressed = self.suppressed.shown(),
            excepted = self.excepted.shown(),
            exceptions_expired = self.exceptions_expired.shown(),
            learned = self.learned.shown(),
            tombstones = Some(read.tombstones).filter(|count| *count > 0),
            skipped = self.skipped.shown(),
            terms_cut = self.terms_cut.shown(),
            without_terms = self.without_terms.shown(),
            unreadable = self.unreadable.shown(),
            dead_letters = self.dead_letters.shown(),
            headers_unreadable = self.headers_unreadable.shown(),
            shortened = self.shortened.shown(),
            diverted = self.diverted.shown(),
            refused = self.refused.shown(),
            let_go = self.let_go.shown(),
            poison = self.poison.shown(),
            damaged = self.damaged.shown(),
            gap = self.gap.shown(),
            reloads = self.reloads.shown(),
            ruleset = self.ruleset.shown(),
            "flow so far"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `log` writes, as JSON.
    fn logged(stats: &Stats) -> serde_json::Map<String, serde_json::Value> {
        #[derive(Clone, Default)]
        struct Buffer(Arc<Mutex<Vec<u8>>>);
        impl std::io::Write for Buffer {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || stats.log());
        let bytes = buffer.0.lock().unwrap().clone();
        let mut line: serde_json::Map<_, _> = serde_json::from_slice(&bytes).unwrap();
        for field in ["timestamp", "level", "target", "message"] {
            assert!(line.remove(field).is_some(), "{field}");
        }
        line
    }

    #[test]
    fn every_counter_is_shown_once_it_counts() {
        let stats = Stats::default();
        let names = |line: serde_json::Map<String, serde_json::Value>| -> Vec<String> {
            line.into_iter().map(|(name, _)| name).collect()
        };
        assert_eq!(
            names(logged(&stats)),
            ["alerts", "events", "observations", "prefiltered", "records"]
        );
        // Every field by its name: one that is new has to be decided about.
        let Stats {
            sources,
            started: _,
            ruleset,
            rules: _,
            exceptions: _,
            reloads,
            under_way: _,
            events,
            events_by: _,
            matches: _,
            skipped,
            unreadable,
            dead_letters,
            headers_unreadable,
            shortened,
            diverted,
            refused,
            alerts,
            revisions,
            repeats,
            suppressed,
            excepted,
            exceptions_expired,
            observations,
            observations_spared,
            settled_again,
            terms_cut,
            without_terms,
            terms_folded,
            learned,
            let_go,
            poison,
            damaged,
            gap,
            event_to_alert: _,
            append_to_alert: _,
            alerts_over_time: _,
            newest_alerts: _,
            errors: _,
            pool: _,
            restores: _,
            learning_starts: _,
            detect: _,
            first_seen: _,
        } = &stats;
        let read = sources.of(&"audit".into());
        let counters = [
            ("records", &read.records),
            ("tombstones", &read.tombstones),
            ("prefiltered", &read.prefiltered),
            ("events", events),
            ("dead_letters", dead_letters),
            ("headers_unreadable", headers_unreadable),
            ("revisions", revisions),
            ("repeats", repeats),
            ("observations", observations),
            ("observations_spared", observations_spared),
            ("settled_again", settled_again),
            ("terms_cut", terms_cut),
            ("folded", terms_folded),
            ("learned", learned),
            ("poison", poison),
            ("damaged", damaged),
            ("gap", gap),
        ];
        let labelled = [
            ("skipped", skipped),
            ("without_terms", without_terms),
            ("unreadable", unreadable),
            ("shortened", shortened),
            ("diverted", diverted),
            ("refused", refused),
            ("let_go", let_go),
            ("alerts", alerts),
            ("reloads", reloads),
            ("suppressed", suppressed),
            ("excepted", excepted),
            ("exceptions_expired", exceptions_expired),
        ];
        let numbers = 1..;
        for ((_, counter), number) in counters.iter().zip(numbers.clone()) {
            counter.add(number);
        }
        for (name, counter) in labelled {
            counter.add(name, 7);
        }
        ruleset.set("5f0e2a91c47b83d6");
        let line = logged(&stats);
        assert_eq!(line["ruleset"], "5f0e2a91c47b83d6");
        assert_eq!(line.len(), counters.len() + labelled.len() + 1);
        for ((name, _), number) in counters.iter().zip(numbers) {
            assert_eq!(line[*name], number, "{name}");
        }
        for (name, _) in labelled {
            assert_eq!(line[name], format!("{{{name:?}: 7}}"), "{name}");
        }
    }

    #[test]
    fn labels_past_the_bound_are_counted_together() {
        let labelled = Labelled::default();
        for label in ["a", "b", "c", "a", "d", "c"] {
            labelled.add_up_to(2, label);
        }
        let counts = labelled.snapshot();
        let expected = [("a", 2), ("b", 1), (OTHERS, 3)];
        assert_eq!(counts, expected.map(|(label, count)| (label.to_owned(), count)).into());
    }
}
