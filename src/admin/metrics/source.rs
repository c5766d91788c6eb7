//! What is read and what is in it.

use super::{Family, counter, labelled, of};

pub const FAMILIES: &[Family] = &[
    counter(
        "kubetell_source_records",
        &["topic"],
        "Records read from the source topics, tombstones included",
        |from, series| {
            for (topic, flow) in from.stats.sources.snapshot() {
                series.value(&[&topic], flow.records.get());
            }
        },
    ),
    of(
        "bytes",
        counter(
            "kubetell_source_bytes",
            &["topic"],
            "Bytes of the values of the records read",
            |from, series| {
                for (topic, flow) in from.stats.sources.snapshot() {
                    series.value(&[&topic], flow.bytes.get());
                }
            },
        ),
    ),
    counter(
        "kubetell_source_prefiltered_records",
        &["topic"],
        "Records set aside by their bytes alone, since nothing in them can concern a rule",
        |from, series| {
            for (topic, flow) in from.stats.sources.snapshot() {
                series.value(&[&topic], flow.prefiltered.get());
            }
        },
    ),
    counter("kubetell_source_tombstones", &["topic"], "Records without a value", |from, series| {
        for (topic, flow) in from.stats.sources.snapshot() {
            series.value(&[&topic], flow.tombstones.get());
        }
    }),
    counter(
        "kubetell_events",
        &["topic", "wrapper"],
        "Audit events parsed, by source topic and by what they were wrapped in",
        |from, series| {
            for ((topic, wrapper), count) in from.stats.events_by.snapshot() {
                series.value(&[&topic, wrapper], count);
            }
        },
    ),
    counter(
        "kubetell_skipped_items",
        &["reason"],
        "Items that are no audit events and not meant to be",
        |from, series| labelled(&from.stats.skipped, series),
    ),
    counter(
        "kubetell_unreadable_items",
        &["reason"],
        "Items that could not be read, by the class of the dead letter",
        |from, series| labelled(&from.stats.unreadable, series),
    ),
    counter(
        "kubetell_unreadable_headers",
        &[],
        "Records whose headers could not be read and that went on without any",
        |from, series| series.value(&[], from.stats.headers_unreadable.get()),
    ),
    counter(
        "kubetell_damaged_batches",
        &[],
        "Batches of records that no client can read and that were passed over",
        |from, series| series.value(&[], from.stats.damaged.get()),
    ),
    counter(
        "kubetell_lost_offsets",
        &[],
        "Offsets that were gone from a log before they were read",
        |from, series| series.value(&[], from.stats.gap.get()),
    ),
    counter(
        "kubetell_let_go_records",
        &["reason"],
        "Records and results let go since another assignment reads, or has read, them: no loss",
        |from, series| labelled(&from.stats.let_go, series),
    ),
];
