//! The state of the service in one JSON document: what the status page shows, for scripts too.
//!
//! Everything is bounded: partitions, rules, minutes, alerts and the length of their texts.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::health::{self, Live, Ready};
use super::rates::Flow;
use super::snapshot::{HalfSnapshot, Snapshot};
use super::{Watched, warnings};
use crate::stats::alerts::{MINUTES_KEPT, Sent};
use crate::stats::flow::SourceFlow;

/// Longest text of an alert that is repeated here.
const TEXT_MAX_CHARS: usize = 600;
/// Rules that are told apart in the counts over time.
const RULES_MAX: usize = 20;

#[derive(Debug, Serialize)]
pub struct Status {
    version: &'static str,
    instance: String,
    role: &'static str,
    cluster: String,
    group: String,
    /// RFC 3339, as every time here.
    now: String,
    started: String,
    live: Live,
    ready: Ready,
    topology: Topology,
    rules: Rules,
    partitions: Vec<Partition>,
    /// Partitions that are not listed.
    partitions_left_out: usize,
    pool: Pool,
    state: State,
    alerts: Alerts,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Topology {
    sources: Vec<Source>,
    /// The halves that this process runs.
    halves: Vec<&'static str>,
    alerts_topic: String,
    observations_topic: String,
    dead_letters_topic: String,
    totals: Flow,
    per_second: Flow,
}

#[derive(Debug, Serialize)]
struct Source {
    topic: String,
    records: u64,
    records_per_second: f64,
    bytes: u64,
    prefiltered: u64,
}

#[derive(Debug, Serialize)]
struct Rules {
    hash: String,
    count: u64,
    exceptions: u64,
    reloads: BTreeMap<String, u64>,
}

#[derive(Debug, Serialize)]
struct Partition {
    half: &'static str,
    topic: String,
    partition: i32,
    next: i64,
    done: i64,
    committed: i64,
    end: Option<i64>,
    lag: Option<u64>,
    age_seconds: Option<f64>,
    restoring: bool,
}

#[derive(Debug, Serialize)]
struct Pool {
    workers: usize,
    in_flight_bytes: u64,
    in_flight_limit_bytes: u64,
    queued_jobs: u64,
    queued_results: u64,
    paused: bool,
}

#[derive(Debug, Serialize)]
struct State {
    restores: Vec<Restore>,
    learning: Vec<Learning>,
    folded: u64,
    learned: u64,
}

#[derive(Debug, Serialize)]
struct Restore {
    partition: i32,
    from: i64,
    next: i64,
    until: i64,
}

#[derive(Debug, Serialize)]
struct Learning {
    terms_version: String,
    until: String,
    learns: bool,
}

#[derive(Debug, Serialize)]
struct Alerts {
    total: u64,
    by_rule: BTreeMap<String, u64>,
    over_time: OverTime,
    /// The newest first; `None` where the configuration shows none.
    newest: Option<Vec<Alert>>,
}

#[derive(Debug, Serialize)]
struct OverTime {
    /// The beginning of the first minute.
    from: String,
    minutes: usize,
    /// By rule, a number a minute.
    by_rule: BTreeMap<String, Vec<u64>>,
}

/// What an alert says, as it left: redacted, and shortened here.
#[derive(Debug, Default, Serialize)]
pub struct Alert {
    pub id: String,
    pub time: Option<String>,
    pub rule: Option<String>,
    pub severity: Option<i64>,
    pub confidence: Option<String>,
    pub outcome: Option<String>,
    pub cluster: Option<String>,
    pub user: Option<String>,
    pub message: Option<String>,
}

pub fn status(watched: &Watched, snapshot: &Snapshot<'_>) -> Status {
    let (facts, stats) = (snapshot.facts, snapshot.stats);
    let live = health::live(snapshot);
    let ready = health::ready(snapshot);
    let warnings = warnings::of(snapshot, &live);
    Status {
        version: facts.version,
        instance: facts.instance.clone(),
        role: facts.role,
        cluster: facts.cluster.clone(),
        group: facts.group.clone(),
        now: time(snapshot.now_ms),
        started: time(facts.started_ms),
        live,
        ready,
        topology: topology(watched, snapshot),
        rules: Rules {
            hash: stats.ruleset.get(),
            count: stats.rules.get(),
            exceptions: stats.exceptions.get(),
            reloads: stats.reloads.snapshot(),
        },
        partitions: snapshot.halves.iter().flat_map(partitions).collect(),
        partitions_left_out: snapshot.halves.iter().map(|half| half.others.partitions).sum(),
        pool: Pool {
            workers: stats.pool.workers().len(),
            in_flight_bytes: stats.pool.in_flight_bytes.get(),
            in_flight_limit_bytes: stats.pool.in_flight_max_bytes.get(),
            queued_jobs: stats.pool.jobs_waiting.get(),
            queued_results: stats.pool.results_waiting.get(),
            paused: stats.detect.pauses.is_on(),
        },
        state: state(snapshot),
        alerts: alerts(snapshot),
        warnings,
    }
}

/// An RFC 3339 time of milliseconds since the epoch; empty where there is none.
fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map(|time| format!("{time:.3}")).unwrap_or_default()
}

fn topology(watched: &Watched, snapshot: &Snapshot<'_>) -> Topology {
    // Of those of the configuration nothing may have been read yet.
    let configured = &snapshot.facts.source_topics;
    let mut flows: BTreeMap<Arc<str>, Arc<SourceFlow>> =
        configured.iter().map(|topic| (topic.as_str().into(), Arc::default())).collect();
    flows.extend(snapshot.stats.sources.snapshot());
    let sources = flows.into_iter().map(|(topic, flow)| Source {
        records: flow.records.get(),
        records_per_second: watched.rates.records_per_second(&topic),
        bytes: flow.bytes.get(),
        prefiltered: flow.prefiltered.get(),
        topic: topic.to_string(),
    });
    Topology {
        sources: sources.collect(),
        halves: snapshot.halves.iter().map(|half| half.half.as_str()).collect(),
        alerts_topic: snapshot.facts.alerts_topic.clone(),
        observations_topic: snapshot.facts.observations_topic.clone(),
        dead_letters_topic: snapshot.facts.dead_letters_topic.clone(),
        totals: Flow::totals(snapshot.stats),
        per_second: watched.rates.per_second(),
    }
}

fn partitions<'h>(half: &'h HalfSnapshot<'_>) -> impl Iterator<Item = Partition> + 'h {
    half.places.iter().map(|place| Partition {
        half: half.half.as_str(),
        topic: place.topic.clone(),
        partition: place.partition,
        next: place.next,
        done: place.done,
        committed: place.committed,
        end: place.end,
        lag: place.lag,
        age_seconds: place.age_seconds,
        restoring: place.restoring,
    })
}

fn state(snapshot: &Snapshot<'_>) -> State {
    let restores = snapshot.stats.restores.snapshot().into_iter().map(|(partition, restore)| {
        let crate::stats::flow::Restore { from, next, until } = restore;
        Restore { partition, from, next, until }
    });
    let learning = snapshot.learning().map(|one| Learning {
        terms_version: one.terms_version,
        until: time(one.until_ms),
        learns: one.learns,
    });
    State {
        restores: restores.collect(),
        learning: learning.collect(),
        folded: snapshot.stats.terms_folded.get(),
        learned: snapshot.stats.learned.get(),
    }
}

fn alerts(snapshot: &Snapshot<'_>) -> Alerts {
    let by_rule = snapshot.stats.alerts.snapshot();
    let newest = snapshot
        .facts
        .shows_alerts
        .then(|| snapshot.stats.newest_alerts.snapshot().iter().map(Alert::of).collect());
    Alerts { total: by_rule.values().sum(), by_rule, over_time: over_time(snapshot), newest }
}

fn over_time(snapshot: &Snapshot<'_>) -> OverTime {
    const MINUTE_MS: i64 = 60_000;
    let this_minute = snapshot.now_ms.div_euclid(MINUTE_MS);
    let first = this_minute - i64::try_from(MINUTES_KEPT).unwrap_or(0) + 1;
    let mut by_rule = BTreeMap::<String, Vec<u64>>::new();
    for minute in snapshot.stats.alerts_over_time.snapshot(snapshot.now_ms) {
        let number = usize::try_from(minute.start_ms.div_euclid(MINUTE_MS) - first).ok();
        for (rule, count) in minute.by_rule {
            let known = by_rule.len() < RULES_MAX || by_rule.contains_key(&rule);
            let rule = if known { rule } else { crate::stats::OTHERS.to_owned() };
            let counts = by_rule.entry(rule).or_insert_with(|| vec![0; MINUTES_KEPT]);
            if let Some(sum) = number.and_then(|number| counts.get_mut(number)) {
                *sum += count;
            }
        }
    }
    OverTime { from: time(first * MINUTE_MS), minutes: MINUTES_KEPT, by_rule }
}

impl Alert {
    fn of(sent: &Sent) -> Alert {
        let id = shortened(&String::from_utf8_lossy(&sent.key));
        let document = sent.document.as_deref().map(serde_json::from_slice::<Value>);
        let Some(Ok(document)) = document else { return Alert { id, ..Alert::default() } };
        let text = |pointer: &str| document.pointer(pointer)?.as_str().map(shortened);
        Alert {
            id,
            time: text("/@timestamp"),
            rule: text("/rule/id"),
            severity: document.pointer("/event/severity").and_then(Value::as_i64),
            confidence: text("/kubetell/confidence"),
            outcome: text("/event/outcome"),
            cluster: text("/orchestrator/cluster/name"),
            user: text("/user/name"),
            message: text("/message"),
        }
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(TEXT_MAX_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
