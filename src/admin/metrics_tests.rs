use super::*;
use crate::admin::{Facts, Watched};
use crate::failure::{Class, Doing};
use crate::stats::half::PartitionFigures;
use crate::stats::{Half, OTHERS};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A service of which every metric has something to say.
fn watched() -> Watched {
    let facts = Facts { version: "1.2.3", role: "all", learning_ms: 1_000, ..Facts::default() };
    let watched = Watched { facts: Arc::new(facts), ..Watched::default() };
    let stats = &watched.stats;
    let topic: Arc<str> = "audit".into();
    stats.sources.of(&topic).records.add(5);
    stats.events_by.add(&topic, "bare", 4);
    for counts in [
        &stats.skipped,
        &stats.unreadable,
        &stats.let_go,
        &stats.matches,
        &stats.alerts,
        &stats.suppressed,
        &stats.excepted,
        &stats.exceptions_expired,
        &stats.reloads,
        &stats.without_terms,
        &stats.shortened,
        &stats.diverted,
        &stats.refused,
    ] {
        counts.add("some", 3);
    }
    stats.ruleset.set("5f0e2a91c47b83d6");
    stats.restores.set(2, crate::stats::flow::Restore { from: 0, next: 40, until: 100 });
    stats.errors.add(Doing::Consuming, Class::Poison);
    for (_, half) in Half::ALL.map(|half| (half, stats.half(half))) {
        half.runs.set(true);
        half.outputs[0].acknowledged.add_ms(7);
        half.publish(vec![place("audit", 0)]);
        for client in [&half.consumer, &half.producer] {
            client.take(&serde_json::from_str(STATISTICS).unwrap());
        }
    }
    watched
}

fn place(topic: &str, partition: i32) -> PartitionFigures {
    PartitionFigures {
        topic: topic.into(),
        partition,
        next: 8,
        done: 6,
        committed: 5,
        done_append_ms: Some(1_000),
        restoring: false,
    }
}

/// As librdkafka writes them, shortened to one broker and one partition.
const STATISTICS: &str = include_str!("statistics.json");

fn exported(format: Format, watched: &Watched) -> String {
    text(format, &Snapshot::take(watched))
}

/// The samples of a text, by name and labels.
fn samples(text: &str) -> BTreeMap<&str, &str> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(' ').unwrap()).collect()
}

#[test]
fn names_and_units_are_as_prometheus_wants_them() {
    let mut names = BTreeSet::new();
    for family in families() {
        let Metric { name, unit, labels, help, kind } = family.metric;
        assert!(names.insert(name), "{name} stands twice");
        assert!(name.starts_with("kubetell_") || name.starts_with("process_"), "{name}");
        let word = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        assert!(word(name) && labels.iter().all(|label| word(label)), "{name}");
        assert!(!name.ends_with("_total") && !name.ends_with("_info"), "{name}");
        for ending in ["seconds", "bytes"] {
            let has = unit == Some(ending);
            assert_eq!(name.ends_with(&format!("_{ending}")), has, "{name}: {unit:?}");
        }
        assert!(kind != Kind::Histogram || unit == Some("seconds"), "{name}");
        assert!(!help.is_empty() && !help.ends_with('.'), "{name}");
        assert!(!labels.contains(&"le"), "{name}");
    }
}

#[test]
fn every_metric_is_exported_and_documented() {
    let watched = watched();
    let text = exported(Format::Prometheus, &watched);
    for family in families() {
        let name = family.metric.sample_name();
        assert!(text.contains(&format!("# TYPE {name} ")), "{name} is not exported:\n{text}");
    }
    let documented = include_str!("../../docs/metrics.md");
    let row = |metric: &Metric| {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        format!(
            "| `{}` | {} | {} | {} | {} |",
            metric.sample_name(),
            metric.kind.as_str(),
            labels.join(", "),
            metric.unit.unwrap_or_default(),
            metric.help,
        )
    };
    let rows: Vec<String> = families().map(|family| row(&family.metric)).collect();
    let is_metric =
        |line: &&str| line.starts_with("| `kubetell_") || line.starts_with("| `process_");
    let found: Vec<&str> = documented.lines().filter(is_metric).collect();
    assert_eq!(found, rows, "docs/metrics.md needs these rows:\n{}", rows.join("\n"));
}

#[test]
fn both_forms_hold_the_same_samples() {
    let watched = watched();
    let (old, new) =
        (exported(Format::Prometheus, &watched), exported(Format::OpenMetrics, &watched));
    // What changes by itself between two looks.
    let steady = |text| {
        let mut samples = samples(text);
        samples.retain(|name, _| !name.starts_with("process_") && !name.contains("_age_seconds"));
        samples
    };
    assert_eq!(steady(&old), steady(&new));
    assert!(new.ends_with("\n# EOF\n") && !old.contains("# EOF"));
}

#[test]
fn figures_are_those_that_were_counted() {
    let watched = watched();
    let text = exported(Format::Prometheus, &watched);
    let samples = samples(&text);
    let check = |name: &str, value: &str| {
        assert_eq!(samples.get(name), Some(&value), "{name}\n{text}");
    };
    check("kubetell_source_records_total{topic=\"audit\"}", "5");
    check("kubetell_events_total{topic=\"audit\",wrapper=\"bare\"}", "4");
    check("kubetell_alerts_total{rule=\"some\"}", "3");
    check("kubetell_ruleset_info{hash=\"5f0e2a91c47b83d6\"}", "1");
    check("kubetell_build_info{version=\"1.2.3\"}", "1");
    check("kubetell_restore_remaining_records{partition=\"2\"}", "60");
    check("kubetell_errors_total{doing=\"reading\",class=\"poison\"}", "1");
    let detect = "half=\"detect\",topic=\"audit\",partition=\"0\"";
    check(&format!("kubetell_consumer_lag_records{{{detect}}}"), "4");
    check("kubetell_produce_seconds_count{half=\"detect\",kind=\"alert\"}", "1");
    check("kubetell_produce_seconds_bucket{half=\"detect\",kind=\"alert\",le=\"0.01\"}", "1");
    check("kubetell_client_brokers{half=\"first-seen\",client=\"producer\"}", "1");
    check("kubetell_client_brokers_up{half=\"first-seen\",client=\"producer\"}", "1");
    check("kubetell_client_max_rtt_seconds{half=\"detect\",client=\"consumer\"}", "0.0125");
    check("kubetell_client_queued_records{half=\"detect\",client=\"consumer\"}", "17");
}

#[test]
fn the_number_of_series_is_bounded_whatever_comes() {
    let watched = watched();
    let stats = &watched.stats;
    for number in 0..5_000 {
        let hostile = format!("rule\"}} 1\nkubetell_up{{x=\"{number}");
        stats.alerts.add(&hostile, 1);
        stats.unreadable.add(&hostile, 1);
    }
    let topic = "t\"\n\\";
    stats.detect.publish((0..5_000).map(|number| place(topic, number)).collect());
    let text = exported(Format::OpenMetrics, &watched);
    let samples = samples(&text);
    assert!(samples.len() < 10_000, "{}", samples.len());
    for (name, value) in &samples {
        assert!(name.starts_with("kubetell_") || name.starts_with("process_"), "{name}");
        assert!(value.parse::<f64>().is_ok(), "{name} {value}");
        assert!(!name.starts_with("kubetell_up"), "{name}");
    }
    let of_rules: u64 = samples
        .iter()
        .filter(|(name, _)| name.starts_with("kubetell_alerts_total{"))
        .map(|(_, value)| value.parse::<u64>().unwrap())
        .sum();
    assert_eq!(of_rules, 5_003, "what is not told apart is counted");
    assert!(samples.contains_key(format!("kubetell_alerts_total{{rule=\"{OTHERS}\"}}").as_str()));
}

#[test]
fn the_dashboard_and_the_alert_rules_name_what_is_exported() {
    let documented = include_str!("../../docs/metrics.md");
    let rows = documented.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let exported: BTreeSet<&str> = rows.collect();
    for text in [
        include_str!("../../docker/grafana/dashboards/kubetell.json"),
        include_str!("../../docker/prometheus/alerts.yaml"),
    ] {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let names = words.filter(|it| it.starts_with("kubetell_") || it.starts_with("process_"));
        let mut named = BTreeSet::new();
        for name in names {
            let suffix = ["_bucket", "_sum", "_count"].into_iter().find(|it| name.ends_with(it));
            let of_histogram = suffix.and_then(|suffix| name.strip_suffix(suffix));
            named.insert(of_histogram.unwrap_or(name));
        }
        let unknown: Vec<&&str> = named.difference(&exported).collect();
        assert!(unknown.is_empty() && named.len() > 5, "{unknown:?}");
    }
}
