//! How Kafka is used: the groups' progress, commits, what is sent, the clients; and the process.

use super::super::exposition::Series;
use super::super::snapshot::Snapshot;
use super::{Family, counter, gauge, info, of, seconds, seconds_by_length};
use crate::failure::{Class, Doing};
use crate::output::producer::OutputKind;
use crate::stats::OTHERS;
use crate::stats::client::Figures;

/// One value for each client that has told of itself.
fn of_clients(from: &Snapshot<'_>, series: &mut Series<'_>, value: fn(&Figures) -> f64) {
    for half in &from.halves {
        for (end, figures) in [("consumer", &half.consumer), ("producer", &half.producer)] {
            if let Some(figures) = figures {
                series.value(&[half.half.as_str(), end], value(figures));
            }
        }
    }
}

pub const FAMILIES: &[Family] = &[
    gauge(
        "kubetell_consumer_assigned_partitions",
        &["half"],
        "Partitions that this instance has",
        |from, series| {
            for half in &from.halves {
                series.value(&[half.half.as_str()], half.assigned_partitions);
            }
        },
    ),
    gauge(
        "kubetell_consumer_lag_records",
        &["half", "topic", "partition"],
        "Offsets up to the end of the log that are not done",
        |from, series| {
            for half in &from.halves {
                let name = half.half.as_str();
                for place in &half.places {
                    if let Some(lag) = place.lag {
                        series.value(&[name, &place.topic, &place.partition.to_string()], lag);
                    }
                }
                if half.others.partitions > 0 {
                    series.value(&[name, OTHERS, OTHERS], half.others.lag);
                }
            }
        },
    ),
    of(
        "seconds",
        gauge(
            "kubetell_consumer_watermark_age_seconds",
            &["half", "topic", "partition"],
            "How long ago the latest record that is done was appended; 0 with no lag",
            |from, series| {
                for half in &from.halves {
                    let name = half.half.as_str();
                    for place in &half.places {
                        if let Some(age) = place.age_seconds {
                            series.value(&[name, &place.topic, &place.partition.to_string()], age);
                        }
                    }
                    if half.others.partitions > 0 {
                        series.value(&[name, OTHERS, OTHERS], half.others.age_seconds);
                    }
                }
            },
        ),
    ),
    counter(
        "kubetell_consumer_rebalances",
        &["half"],
        "Assignments and revocations of partitions",
        |from, series| {
            for half in &from.halves {
                series.value(&[half.half.as_str()], half.stats.rebalances.get());
            }
        },
    ),
    gauge(
        "kubetell_consumer_paused",
        &["half"],
        "1 while reading is paused, since too much is under way",
        |from, series| {
            for half in &from.halves {
                series.value(&[half.half.as_str()], u64::from(half.stats.pauses.is_on()));
            }
        },
    ),
    of(
        "seconds",
        counter(
            "kubetell_consumer_paused_seconds",
            &["half"],
            "Time for which reading was paused",
            |from, series| {
                for half in &from.halves {
                    series.value(&[half.half.as_str()], seconds(half.stats.pauses.total_ms()));
                }
            },
        ),
    ),
    counter(
        "kubetell_consumer_commits",
        &["half", "result"],
        "Commits of offsets: asked for; known to have succeeded; overtaken by a rebalance; failed; refused",
        |from, series| {
            for half in &from.halves {
                let commits = &half.stats.commits;
                for (result, counter) in [
                    ("asked", &commits.asked),
                    ("confirmed", &commits.confirmed),
                    ("overtaken", &commits.moved_on),
                    ("failed", &commits.failed),
                    ("refused", &commits.refused),
                ] {
                    series.value(&[half.half.as_str(), result], counter.get());
                }
            }
        },
    ),
    seconds_by_length(
        "kubetell_consumer_commit_seconds",
        &["half"],
        "How long the group's coordinator took to answer a commit, or the look-up of one",
        |from, series| {
            for half in &from.halves {
                series.histogram(&[half.half.as_str()], &half.stats.commits.answer.snapshot());
            }
        },
    ),
    seconds_by_length(
        "kubetell_produce_seconds",
        &["half", "kind"],
        "From handing an output to the client to its acknowledgement, repeated attempts included",
        |from, series| {
            for half in &from.halves {
                for (kind, outputs) in OutputKind::ALL.iter().zip(&half.stats.outputs) {
                    let times = outputs.acknowledged.snapshot();
                    if times.count() > 0 {
                        series.histogram(&[half.half.as_str(), kind.as_str()], &times);
                    }
                }
            }
        },
    ),
    of(
        "bytes",
        counter(
            "kubetell_produced_bytes",
            &["half", "kind"],
            "Bytes of acknowledged outputs, before compression",
            |from, series| {
                for half in &from.halves {
                    for (kind, outputs) in OutputKind::ALL.iter().zip(&half.stats.outputs) {
                        let labels = [half.half.as_str(), kind.as_str()];
                        series.value(&labels, outputs.bytes.get());
                    }
                }
            },
        ),
    ),
    gauge(
        "kubetell_outstanding_outputs",
        &["half"],
        "Outputs that are not acknowledged",
        |from, series| {
            for half in &from.halves {
                series.value(&[half.half.as_str()], half.stats.outstanding.get());
            }
        },
    ),
    of(
        "bytes",
        gauge(
            "kubetell_outstanding_bytes",
            &["half"],
            "What they keep in memory",
            |from, series| {
                for half in &from.halves {
                    series.value(&[half.half.as_str()], half.stats.outstanding_bytes.get());
                }
            },
        ),
    ),
    counter(
        "kubetell_shortened_outputs",
        &["kind"],
        "Outputs too large for their topic that left shortened",
        |from, series| super::labelled(&from.stats.shortened, series),
    ),
    counter(
        "kubetell_diverted_outputs",
        &["reason"],
        "Outputs that their topic refuses and that went to the dead letters",
        |from, series| super::labelled(&from.stats.diverted, series),
    ),
    counter(
        "kubetell_refused_outputs",
        &["code"],
        "Refusals of outputs that were sent again, by the broker's or the client's code",
        |from, series| super::labelled(&from.stats.refused, series),
    ),
    counter(
        "kubetell_errors",
        &["doing", "class"],
        "Errors of Kafka while reading, writing and committing, by what they mean",
        |from, series| {
            for doing in Doing::ALL {
                for class in [Class::Retriable, Class::Poison, Class::Fatal] {
                    let of_commits = from.halves.iter().map(|half| match (doing, class) {
                        (Doing::Committing, Class::Retriable) => half.stats.commits.failed.get(),
                        (Doing::Committing, Class::Fatal) => half.stats.commits.refused.get(),
                        _ => 0,
                    });
                    let count = from.stats.errors.get(doing, class) + of_commits.sum::<u64>();
                    series.value(&[doing.as_str(), class.as_str()], count);
                }
            }
        },
    ),
    gauge(
        "kubetell_client_brokers",
        &["half", "client"],
        "Brokers that librdkafka knows",
        |from, series| of_clients(from, series, |figures| figures.brokers as f64),
    ),
    gauge(
        "kubetell_client_brokers_up",
        &["half", "client"],
        "Brokers that librdkafka is connected to",
        |from, series| of_clients(from, series, |figures| figures.brokers_up as f64),
    ),
    gauge(
        "kubetell_client_queued_records",
        &["half", "client"],
        "Records in librdkafka's queues: fetched and not read, or not acknowledged",
        |from, series| of_clients(from, series, |figures| figures.queued_records as f64),
    ),
    of(
        "bytes",
        gauge(
            "kubetell_client_queued_bytes",
            &["half", "client"],
            "Bytes of the records in librdkafka's queues",
            |from, series| of_clients(from, series, |figures| figures.queued_bytes as f64),
        ),
    ),
    gauge(
        "kubetell_client_waiting_events",
        &["half", "client"],
        "Events in librdkafka that wait to be polled",
        |from, series| of_clients(from, series, |figures| figures.waiting_events as f64),
    ),
    of(
        "bytes",
        counter(
            "kubetell_client_sent_bytes",
            &["half", "client"],
            "Bytes that librdkafka sent to brokers",
            |from, series| of_clients(from, series, |figures| figures.sent_bytes as f64),
        ),
    ),
    of(
        "bytes",
        counter(
            "kubetell_client_received_bytes",
            &["half", "client"],
            "Bytes that librdkafka received from brokers",
            |from, series| of_clients(from, series, |figures| figures.received_bytes as f64),
        ),
    ),
    counter(
        "kubetell_client_requests",
        &["half", "client"],
        "Requests that librdkafka sent",
        |from, series| of_clients(from, series, |figures| figures.requests as f64),
    ),
    counter(
        "kubetell_client_request_timeouts",
        &["half", "client"],
        "Requests that no broker answered in time",
        |from, series| of_clients(from, series, |figures| figures.request_timeouts as f64),
    ),
    counter(
        "kubetell_client_request_retries",
        &["half", "client"],
        "Requests that librdkafka sent again",
        |from, series| of_clients(from, series, |figures| figures.request_retries as f64),
    ),
    of(
        "seconds",
        gauge(
            "kubetell_client_average_rtt_seconds",
            &["half", "client"],
            "Mean time that the slowest broker took to answer, in librdkafka's latest interval",
            |from, series| {
                of_clients(from, series, |figures| figures.rtt_average_us as f64 / 1e6);
            },
        ),
    ),
    of(
        "seconds",
        gauge(
            "kubetell_client_max_rtt_seconds",
            &["half", "client"],
            "Longest time that a broker took to answer, in librdkafka's latest interval",
            |from, series| of_clients(from, series, |figures| figures.rtt_max_us as f64 / 1e6),
        ),
    ),
    info("kubetell_build", &["version"], "The version that runs", |from, series| {
        series.value(&[from.facts.version], 1);
    }),
    info(
        "kubetell_instance",
        &["role", "cluster", "group"],
        "What this instance is",
        |from, series| {
            let facts = from.facts;
            series.value(&[facts.role, &facts.cluster, &facts.group], 1);
        },
    ),
    of(
        "seconds",
        counter("process_cpu_seconds", &[], "Processor time that was taken", |from, series| {
            series.value(&[], from.process.cpu_seconds);
        }),
    ),
    of(
        "bytes",
        gauge("process_resident_memory_bytes", &[], "Resident memory", |from, series| {
            from.process.resident_bytes.iter().for_each(|bytes| series.value(&[], bytes));
        }),
    ),
    of(
        "bytes",
        gauge("process_virtual_memory_bytes", &[], "Virtual memory", |from, series| {
            from.process.virtual_bytes.iter().for_each(|bytes| series.value(&[], bytes));
        }),
    ),
    gauge("process_threads", &[], "Threads", |from, series| {
        from.process.threads.iter().for_each(|count| series.value(&[], count));
    }),
    gauge("process_open_fds", &[], "Open file descriptors", |from, series| {
        from.process.open_files.iter().for_each(|count| series.value(&[], count));
    }),
    gauge("process_max_fds", &[], "Most file descriptors that may be open", |from, series| {
        from.process.max_files.iter().for_each(|count| series.value(&[], count));
    }),
    of(
        "seconds",
        gauge(
            "process_start_time_seconds",
            &[],
            "When the process began, since 1970-01-01T00:00:00Z",
            |from, series| series.value(&[], from.facts.started_ms as f64 / 1e3),
        ),
    ),
];
