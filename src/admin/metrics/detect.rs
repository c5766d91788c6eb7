//! What is found, and the pool that finds it.

use super::{Family, counter, gauge, info, labelled, of, seconds_by_length};

pub const FAMILIES: &[Family] = &[
    counter(
        "kubetell_matches",
        &["rule"],
        "Matches of a rule, before anything is withheld or told to have been told",
        |from, series| labelled(&from.stats.matches, series),
    ),
    counter(
        "kubetell_alerts",
        &["rule"],
        "Alerts that the brokers acknowledged, revisions included",
        |from, series| labelled(&from.stats.alerts, series),
    ),
    counter(
        "kubetell_alert_revisions",
        &[],
        "Alerts sent again with the outcome of the request",
        |from, series| series.value(&[], from.stats.revisions.get()),
    ),
    counter(
        "kubetell_alert_repeats",
        &[],
        "Later stages of an alerted event that told nothing new",
        |from, series| series.value(&[], from.stats.repeats.get()),
    ),
    counter(
        "kubetell_alerts_suppressed",
        &["rule"],
        "Alerts withheld since one that is the same was raised a while ago",
        |from, series| labelled(&from.stats.suppressed, series),
    ),
    seconds_by_length(
        "kubetell_alert_event_delay_seconds",
        &["half"],
        "From the event's own time to its alert: acknowledged (detect), or made (first-seen)",
        |from, series| {
            for half in &from.halves {
                series.histogram(&[half.half.as_str()], &half.stats.event_to_alert.snapshot());
            }
        },
    ),
    seconds_by_length(
        "kubetell_alert_append_delay_seconds",
        &["half"],
        "From the append of the record to its alert: of the source's (detect), of the observation (first-seen)",
        |from, series| {
            for half in &from.halves {
                series.histogram(&[half.half.as_str()], &half.stats.append_to_alert.snapshot());
            }
        },
    ),
    counter(
        "kubetell_exception_hits",
        &["exception"],
        "Events of which a rule said nothing, by the exception that held",
        |from, series| labelled(&from.stats.excepted, series),
    ),
    counter(
        "kubetell_expired_exception_hits",
        &["exception"],
        "Events that raised a rule although an exception would have held, had it not expired",
        |from, series| labelled(&from.stats.exceptions_expired, series),
    ),
    counter(
        "kubetell_dead_letters",
        &[],
        "Source records that went to the dead letters",
        |from, series| series.value(&[], from.stats.dead_letters.get()),
    ),
    info("kubetell_ruleset", &["hash"], "The set of rules in force", |from, series| {
        let hash = from.stats.ruleset.get();
        if !hash.is_empty() {
            series.value(&[&hash], 1);
        }
    }),
    gauge("kubetell_rules", &[], "Rules in force", |from, series| {
        series.value(&[], from.stats.rules.get());
    }),
    gauge("kubetell_exceptions", &[], "Exceptions in force", |from, series| {
        series.value(&[], from.stats.exceptions.get());
    }),
    counter(
        "kubetell_rule_reloads",
        &["result"],
        "Attempts to put changed rules in force: loaded, unchanged, refused",
        |from, series| labelled(&from.stats.reloads, series),
    ),
    gauge("kubetell_workers", &[], "Worker threads", |from, series| {
        series.value(&[], from.stats.pool.workers().len());
    }),
    of(
        "seconds",
        counter(
            "kubetell_worker_busy_seconds",
            &[],
            "Time that the workers spent on batches, all together",
            |from, series| {
                let workers = from.stats.pool.workers();
                let busy_us: u64 = workers.iter().map(|worker| worker.busy_us.get()).sum();
                series.value(&[], busy_us as f64 / 1e6);
            },
        ),
    ),
    counter("kubetell_worker_batches", &[], "Batches that the workers did", |from, series| {
        let workers = from.stats.pool.workers();
        series.value(&[], workers.iter().map(|worker| worker.batches.get()).sum::<u64>());
    }),
    gauge(
        "kubetell_pool_queued_batches",
        &["queue"],
        "Batches that wait for a worker (jobs), and for the detect thread (results)",
        |from, series| {
            series.value(&["jobs"], from.stats.pool.jobs_waiting.get());
            series.value(&["results"], from.stats.pool.results_waiting.get());
        },
    ),
    of(
        "bytes",
        gauge(
            "kubetell_in_flight_bytes",
            &[],
            "Bytes of records and outputs that are under way in the detect half",
            |from, series| series.value(&[], from.stats.pool.in_flight_bytes.get()),
        ),
    ),
    of(
        "bytes",
        gauge(
            "kubetell_in_flight_limit_bytes",
            &[],
            "What they may take before reading is paused",
            |from, series| series.value(&[], from.stats.pool.in_flight_max_bytes.get()),
        ),
    ),
];
