use std::collections::BTreeMap;

use super::show::{age, overview_text, term_text};
use super::transfer::imported_text;
use crate::app::state::import::{Imported, ImportedRule};
use crate::app::state::input::Counts;
use crate::app::state::show::{LearningView, Overview, PartitionView, RuleView, TermView, Totals};
use crate::limits::{DAY_MS, HOUR_MS};

const NOW: i64 = 1_800_000_000_000;

#[test]
fn an_age_is_told_in_its_two_largest_units() {
    let check = |ms: i64, text: &str| assert_eq!(age(ms), text, "{ms}");
    check(-5, "0s");
    check(999, "0s");
    check(59_000, "59s");
    check(60_000, "1m");
    check(61_500, "1m 1s");
    check(DAY_MS, "1d");
    check(DAY_MS + 60_000, "1d");
    check(2 * DAY_MS + 3 * HOUR_MS + 4, "2d 3h");
}

fn overview() -> Overview {
    let learning = |partition: i32, since: Option<i64>| LearningView {
        partition,
        since,
        until: since.map(|since| since + 7 * DAY_MS),
        learns: since.is_some_and(|since| since + 7 * DAY_MS > NOW),
    };
    Overview {
        topic: "kubetell.observations".to_owned(),
        group: "kubetell-terms".to_owned(),
        at: NOW,
        partitions: vec![
            PartitionView {
                partition: 0,
                log_start: 10,
                log_end: 1_510,
                committed: Some(1_500),
                lag: Some(10),
                records: 1_200,
                bytes: 2_400_000,
                log_id: Some("2f1e7d0e-7f3c-4d55-a8f8-7d0c6a3e4b21".to_owned()),
                partitions_at_start: Some(2),
                hash_version: Some(1),
                terms: 310,
                oldest: Some(NOW - 6 * DAY_MS - 5 * HOUR_MS),
                newest: Some(NOW - 4_000),
                ..PartitionView::default()
            },
            PartitionView { partition: 1, ..PartitionView::default() },
        ],
        rules: vec![
            RuleView {
                rule: "a".to_owned(),
                terms_version: "a/1".to_owned(),
                in_force: true,
                terms: 300,
                learning: vec![
                    learning(0, Some(NOW - 6 * DAY_MS)),
                    learning(2, Some(NOW - 8 * DAY_MS)),
                    learning(3, None),
                ],
            },
            RuleView {
                rule: "b".to_owned(),
                terms_version: "b/1".to_owned(),
                in_force: false,
                terms: 10,
                learning: vec![],
            },
        ],
        totals: Totals {
            terms: 310,
            records: 1_200,
            bytes: 2_400_000,
            unreadable: 0,
            lag: Some(10),
        },
        problems: Vec::new(),
    }
}

#[test]
fn the_overview_reads_well() {
    let mut overview = overview();
    let mut text = overview_text(&overview, 7 * DAY_MS, false);
    overview.rules.truncate(1);
    overview.totals.lag = None;
    text.push_str("--- learning off\n");
    text.push_str(&overview_text(&overview, 0, false));
    insta::assert_snapshot!(text);
}

#[test]
fn the_overview_is_json_with_stable_names() {
    insta::assert_snapshot!(serde_json::to_string_pretty(&overview()).unwrap());
}

#[test]
fn a_term_stays_on_its_line() {
    let term = TermView {
        rule: "secret-access-unusual-client".to_owned(),
        terms_version: "secret-access-unusual-client/1".to_owned(),
        cluster: "prod".to_owned(),
        fields: vec!["source.ip".to_owned(), "user.name".to_owned()],
        terms: vec!["10.0.0.1".to_owned(), "mal\nlory\u{1b}[2J".to_owned(), "more".to_owned()],
        partition: 3,
        first_append: NOW - DAY_MS,
        last_append: NOW - HOUR_MS - 7,
        age_ms: HOUR_MS,
        known_until: NOW,
        raised: true,
    };
    insta::assert_snapshot!(term_text(&term));
}

#[test]
fn what_an_import_came_to_reads_well() {
    let mut imported = Imported {
        dry_run: false,
        topic: "kubetell.observations".to_owned(),
        partitions: 12,
        read: Counts {
            events: 12_034,
            baseline_terms: 480,
            outside_window: 311,
            without_time: 2,
            without_term: 1,
            skipped: 4,
            unreadable: BTreeMap::from([("bad-term".to_owned(), 2), ("truncated".to_owned(), 1)]),
        },
        written: 1_520,
        rules: vec![
            ImportedRule {
                rule: "a".to_owned(),
                terms_version: "a/1".to_owned(),
                in_force: true,
                terms: 1_500,
                learning_ended: true,
            },
            ImportedRule {
                rule: "b".to_owned(),
                terms_version: "b/1".to_owned(),
                in_force: false,
                terms: 20,
                learning_ended: false,
            },
        ],
        markers: 12,
        new_logs: 4,
    };
    let mut text = imported_text(&imported, false);
    imported.dry_run = true;
    imported.new_logs = 0;
    imported.read = Counts::default();
    text.push_str("--- a dry run\n");
    text.push_str(&imported_text(&imported, false));
    insta::assert_snapshot!(text);
}
