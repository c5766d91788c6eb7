//! New terms: what is observed, folded and learned, and how far takeovers are.

use super::{Family, counter, gauge, labelled};

pub const FAMILIES: &[Family] = &[
    counter(
        "kubetell_observations",
        &[],
        "Observations that their topic acknowledged",
        |from, series| series.value(&[], from.stats.observations.get()),
    ),
    counter(
        "kubetell_observations_spared",
        &[],
        "Observations not sent, since one of the same terms was a moment ago",
        |from, series| series.value(&[], from.stats.observations_spared.get()),
    ),
    counter(
        "kubetell_records_settled_again",
        &[],
        "Records of which a worker took an observation for spared that was to be sent, and that were settled once more",
        |from, series| series.value(&[], from.stats.settled_again.get()),
    ),
    counter(
        "kubetell_observations_folded",
        &[],
        "Observations folded by the first-seen half",
        |from, series| series.value(&[], from.stats.terms_folded.get()),
    ),
    counter(
        "kubetell_observations_unreadable",
        &[],
        "Records of the observations topic that are none of ours",
        |from, series| series.value(&[], from.stats.poison.get()),
    ),
    counter(
        "kubetell_terms_learned",
        &[],
        "First sightings that stayed silent, while the rule learns or as history",
        |from, series| series.value(&[], from.stats.learned.get()),
    ),
    counter(
        "kubetell_terms_cut",
        &[],
        "Source addresses over the limit of one event",
        |from, series| series.value(&[], from.stats.terms_cut.get()),
    ),
    counter(
        "kubetell_events_without_terms",
        &["reason"],
        "Events that matched a new-terms rule and gave it nothing to look at",
        |from, series| labelled(&from.stats.without_terms, series),
    ),
    gauge(
        "kubetell_learning_rules",
        &[],
        "Versions of new-terms rules that still learn in a partition that this instance has",
        |from, series| series.value(&[], from.learning().filter(|one| one.learns).count()),
    ),
    gauge(
        "kubetell_restoring_partitions",
        &[],
        "Partitions of the observations topic that are being taken over",
        |from, series| series.value(&[], from.restoring_partitions()),
    ),
    gauge(
        "kubetell_restore_remaining_records",
        &["partition"],
        "Offsets that a takeover has still to read",
        |from, series| {
            for (partition, restore) in from.stats.restores.snapshot() {
                let left = (restore.until - restore.next).max(0);
                series.value(&[&partition.to_string()], left);
            }
        },
    ),
];
