use super::*;
use crate::admin::exposition::Format;
use crate::admin::{Facts, metrics};
use std::sync::Arc;

fn watched() -> Watched {
    let facts =
        Facts { version: "1.2.3", shows_alerts: true, learning_ms: 1_000, ..Facts::default() };
    Watched { facts: Arc::new(facts), ..Watched::default() }
}

fn shown(watched: &Watched) -> Value {
    serde_json::to_value(status(watched, &Snapshot::take(watched))).unwrap()
}

const HOSTILE: &str =
    "</script><script>alert(1)</script><img src=x onerror=\"alert(2)\"> \u{202e}'";

#[test]
fn an_alert_is_shown_as_it_left_and_nothing_more_than_that() {
    let watched = watched();
    let document = serde_json::json!({
        "@timestamp": "2026-03-01T08:00:00.000Z",
        "message": HOSTILE,
        "rule": { "id": "pod-exec-sensitive-path" },
        "event": { "severity": 73, "outcome": "success" },
        "kubetell": { "confidence": "certain" },
        "orchestrator": { "cluster": { "name": "prod" } },
        "user": { "name": "m".repeat(5_000) },
        "process": { "command_line": "not shown" },
    });
    watched.stats.newest_alerts.add(b"id-1", document.to_string().as_bytes());
    watched.stats.newest_alerts.add(b"id-2", b"no JSON");
    let newest = &shown(&watched)["alerts"]["newest"];
    assert_eq!(newest[0]["id"], "id-2");
    assert_eq!(newest[0]["message"], Value::Null);
    assert_eq!(newest[1]["message"], HOSTILE);
    assert_eq!(newest[1]["severity"], 73);
    assert_eq!(newest[1]["user"].as_str().unwrap().chars().count(), TEXT_MAX_CHARS + 1);
    assert!(!newest.to_string().contains("not shown"));
}

#[test]
fn no_alert_is_shown_where_the_configuration_says_so() {
    let mut watched = watched();
    watched.stats.newest_alerts.add(b"id-1", b"{\"message\": \"m\"}");
    watched.stats.alerted("some");
    watched.facts = Arc::new(Facts { shows_alerts: false, ..Facts::default() });
    let shown = shown(&watched);
    assert_eq!(shown["alerts"]["newest"], Value::Null);
    assert_eq!(shown["alerts"]["total"], 1, "counts are no secret");
    assert!(!shown.to_string().contains("id-1"));
}

#[test]
fn its_figures_are_those_of_the_metrics() {
    let watched = watched();
    let stats = &watched.stats;
    let source = stats.sources.of(&"audit".into());
    source.records.add(12);
    source.bytes.add(3_400);
    stats.events.add(9);
    stats.alerted("a");
    stats.alerted("a");
    stats.alerted("b");
    stats.dead_letters.add(2);
    let shown = shown(&watched);
    let text = metrics::text(Format::Prometheus, &Snapshot::take(&watched));
    let sum = |name: &str| -> f64 {
        let samples = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
        samples.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
    };
    let totals = &shown["topology"]["totals"];
    assert_eq!(totals["records"], sum("kubetell_source_records_total"));
    assert_eq!(totals["bytes"], sum("kubetell_source_bytes_total"));
    assert_eq!(totals["alerts"], sum("kubetell_alerts_total"));
    assert_eq!(shown["alerts"]["by_rule"], serde_json::json!({ "a": 2, "b": 1 }));
    let minutes = shown["alerts"]["over_time"]["by_rule"]["a"].as_array().unwrap();
    assert_eq!(minutes.len(), MINUTES_KEPT);
    assert_eq!(minutes.iter().map(|count| count.as_u64().unwrap()).sum::<u64>(), 2);
    let warnings = shown["warnings"].to_string();
    assert!(warnings.contains("2 records could not be read"), "{warnings}");
}

/// `1 attempts` once stood there.
#[test]
fn one_of_a_thing_is_said_as_one() {
    for (count, says) in [
        (
            1,
            ["1 record could not", "1 offset was gone", "1 attempt to put", "1 output was refused"],
        ),
        (2, ["2 records could not", "2 offsets were gone", "2 attempts to", "2 outputs were"]),
    ] {
        let watched = watched();
        let stats = &watched.stats;
        stats.dead_letters.add(count);
        stats.gap.add(count);
        stats.reloads.add("refused", count);
        stats.diverted.add("alerts", count);
        let warnings = shown(&watched)["warnings"].to_string();
        for text in says {
            assert!(warnings.contains(&format!("since the start: {text}")), "{warnings}");
        }
    }
}
