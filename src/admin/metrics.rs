//! Every metric: its name, type, unit, labels and meaning, and where its figures come from.
//!
//! One table, in parts: a metric that is not in it is not exported, and `docs/metrics.md` lists what
//! is. Names and units are Prometheus' own: base units, `_total` for what only grows.

mod detect;
mod kafka;
mod source;
mod state;

use super::exposition::{self, Format, Kind, Metric, Series};
use super::snapshot::Snapshot;
use crate::stats::Labelled;

/// A metric and what writes its series.
pub struct Family {
    pub metric: Metric,
    pub read: fn(&Snapshot<'_>, &mut Series<'_>),
}

/// All of them, in the order in which they leave.
pub fn families() -> impl Iterator<Item = &'static Family> {
    [source::FAMILIES, detect::FAMILIES, state::FAMILIES, kafka::FAMILIES].into_iter().flatten()
}

/// What `/metrics` answers.
pub fn text(format: Format, snapshot: &Snapshot<'_>) -> String {
    let mut text = exposition::begin();
    for family in families() {
        exposition::family(format, &family.metric, &mut text, |series| {
            (family.read)(snapshot, series);
        });
    }
    exposition::end(format, &mut text);
    text
}

const fn metric(
    kind: Kind,
    name: &'static str,
    unit: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    let unit = if unit.is_empty() { None } else { Some(unit) };
    Metric { name, kind, unit, labels, help }
}

const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    read: fn(&Snapshot<'_>, &mut Series<'_>),
) -> Family {
    Family { metric: metric(Kind::Counter, name, "", labels, help), read }
}

const fn gauge(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    read: fn(&Snapshot<'_>, &mut Series<'_>),
) -> Family {
    Family { metric: metric(Kind::Gauge, name, "", labels, help), read }
}

const fn seconds_by_length(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    read: fn(&Snapshot<'_>, &mut Series<'_>),
) -> Family {
    Family { metric: metric(Kind::Histogram, name, "seconds", labels, help), read }
}

const fn info(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    read: fn(&Snapshot<'_>, &mut Series<'_>),
) -> Family {
    Family { metric: metric(Kind::Info, name, "", labels, help), read }
}

/// The same family with the unit that its name ends with.
const fn of(unit: &'static str, family: Family) -> Family {
    let Family { metric, read } = family;
    Family { metric: Metric { unit: Some(unit), ..metric }, read }
}

/// The counts by one label.
fn labelled(counts: &Labelled, series: &mut Series<'_>) {
    for (label, count) in counts.snapshot() {
        series.value(&[&label], count);
    }
}

fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1e3
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
