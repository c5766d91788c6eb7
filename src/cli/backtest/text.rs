//! The text of a backtest's report.
//!
//! Users, names and commands come from whoever sent the requests: all of them pass through
//! `alert::visible`, by way of the tables of `output::terminal`.

use indicatif::HumanBytes;

use crate::alert::visible::visible;
use crate::app::backtest::report::{self, Difference, ExampleView, Report, RuleView, Sides};
use crate::app::state::baseline::time_text;
use crate::limits::HOUR_MS;
use crate::output::terminal::{self, Align};
use crate::plural::several;

/// Longest text of a cell.
const CELL_MAX_CHARS: usize = 100;
/// Longest bar of an hour.
const BAR_MAX_CHARS: u64 = 30;
/// A range of up to so many hours is shown with its empty hours.
const EMPTY_HOURS_MAX: i64 = 72;

type Columns = Vec<(&'static str, Align)>;

/// `range` is that of the options, milliseconds since the epoch.
pub fn report(report: &Report, range: (i64, i64), colours: bool) -> String {
    let mut parts = vec![head(report)];
    let mut part = |title: &str, columns: &Columns, rows: Vec<Vec<String>>| {
        if !rows.is_empty() {
            parts.push(format!("{title}\n{}", terminal::table(columns, &rows, colours)));
        }
    };
    let compared = report.compared;
    part("unreadable records", &unreadable_columns(), unreadable(report));
    part("alerts by rule", &rule_columns(report), rules(report));
    part("alerts by user", &columns("user", compared, false), users(report));
    part("alerts by hour (UTC)", &columns("hour", compared, true), hours(report, range));
    for (share, title) in [
        (None, "examples, the earliest of each rule"),
        (Some("only_current"), "only the current rules raise"),
        (Some("only_candidate"), "only the candidate raises"),
        (Some("both"), "both raise"),
    ] {
        part(title, &example_columns(), examples(report, share));
    }
    parts.join("\n")
}

fn head(report: &Report) -> String {
    let (range, read) = (&report.range, &report.read);
    let mut topics: Vec<&str> = report.partitions.iter().map(|it| it.topic.as_str()).collect();
    topics.dedup();
    let topics: Vec<String> = topics.iter().map(|topic| cell(topic)).collect();
    let mut out = format!(
        "{} to {}, topic {}, {}\n{} ({}), {} parsed",
        range.from,
        range.to,
        topics.join(", "),
        several(report.partitions.len() as u64, "partition"),
        several(read.records, "record"),
        HumanBytes(read.bytes),
        several(read.events, "event"),
    );
    if let Some(history_from) = &range.history_from {
        let records = several(read.history_records, "record");
        out.push_str(&format!("; {records} of history since {history_from}"));
    }
    out.push('\n');
    if report.partial {
        out.push_str("PARTIAL: not all of the range was read\n");
    }
    let Difference { sides, both, only_current, only_candidate } = report.alerts;
    out.push_str(&match (sides.candidate, both, only_current, only_candidate) {
        (Some(candidate), Some(both), Some(only_current), Some(only_candidate)) => format!(
            "{} alerts of the current rules, {candidate} of the candidate: {both} in both, {only_current} only in the current, {only_candidate} only in the candidate\n",
            sides.current
        ),
        _ => format!("{} alerts\n", sides.current),
    });
    out
}

/// A first column, the counts of the sides, and a bar.
fn columns(first: &'static str, compared: bool, bar: bool) -> Columns {
    let mut columns = vec![(first, Align::Left)];
    if compared {
        columns.extend([("current", Align::Right), ("candidate", Align::Right)]);
    } else {
        columns.push(("alerts", Align::Right));
    }
    if bar {
        columns.push(("", Align::Left));
    }
    columns
}

fn counts(sides: Sides) -> impl Iterator<Item = String> {
    std::iter::once(sides.current).chain(sides.candidate).map(|count| count.to_string())
}

fn rule_columns(report: &Report) -> Columns {
    let mut columns = columns("rule", report.compared, false);
    if report.compared {
        let names = ["both", "only current", "only candidate"];
        columns.extend(names.map(|name| (name, Align::Right)));
    }
    if !report.withheld.is_zero() {
        columns.push(("withheld", Align::Right));
    }
    if report.compared {
        columns.push(("", Align::Left));
    }
    columns
}

fn rules(report: &Report) -> Vec<Vec<String>> {
    let row = |name: String, alerts: Difference, withheld: Sides, note: &str| {
        let more = [alerts.both, alerts.only_current, alerts.only_candidate];
        let mut cells = vec![name];
        cells.extend(counts(alerts.sides));
        cells.extend(more.into_iter().flatten().map(|count| count.to_string()));
        if !report.withheld.is_zero() {
            // Of both sides, with a stroke between them.
            cells.push(counts(withheld).collect::<Vec<_>>().join(" / "));
        }
        cells.push(note.to_owned());
        cells
    };
    let raised = |rule: &&RuleView| !rule.alerts.sides.is_zero() || !rule.withheld.is_zero();
    let mut rows: Vec<Vec<String>> = report
        .rules
        .iter()
        .filter(raised)
        .map(|rule| {
            let note = match (rule.in_current, rule.in_candidate) {
                (true, Some(false)) => "not in the candidate",
                (false, Some(true)) => "new in the candidate",
                _ => "",
            };
            row(cell(&rule.id), rule.alerts, rule.withheld, note)
        })
        .collect();
    let silent = report.rules.len() - rows.len();
    if silent > 0 {
        let nothing = Difference::nothing(report.compared);
        rows.push(row(
            format!("({})", several(silent as u64, "other rule")),
            nothing,
            nothing.sides,
            "",
        ));
    }
    if report.rules.len() > 1 {
        rows.push(row("(all)".to_owned(), report.alerts, report.withheld, ""));
    }
    rows
}

fn users(report: &Report) -> Vec<Vec<String>> {
    let row = |name: String, sides: Sides| std::iter::once(name).chain(counts(sides)).collect();
    let name = |user: &str| if user.is_empty() { "(none)".to_owned() } else { cell(user) };
    let mut rows: Vec<Vec<String>> =
        report.users.iter().map(|user| row(name(&user.user), user.alerts)).collect();
    if let Some(others) = &report.other_users {
        let name = match others.users {
            Some(1) => "(1 other user)".to_owned(),
            Some(users) => format!("({users} other users)"),
            None => "(others)".to_owned(),
        };
        rows.push(row(name, others.alerts));
    }
    rows
}

fn hours(report: &Report, (from_ms, to_ms): (i64, i64)) -> Vec<Vec<String>> {
    let mut hours: Vec<(i64, Sides)> =
        report.hours.iter().map(|hour| (hour.start_ms, hour.alerts)).collect();
    if !hours.is_empty() && to_ms.saturating_sub(from_ms) <= EMPTY_HOURS_MAX * HOUR_MS {
        let nothing = Sides { current: 0, candidate: report.compared.then_some(0) };
        let first = from_ms.div_euclid(HOUR_MS) * HOUR_MS;
        for number in 0..=EMPTY_HOURS_MAX {
            let hour = first + number * HOUR_MS;
            let known = hours.binary_search_by_key(&hour, |(start, _)| *start);
            if let (Err(at), true) = (known, report::is_within(hour, from_ms, to_ms)) {
                hours.insert(at, (hour, nothing));
            }
        }
    }
    let longest = |sides: Sides| sides.current.max(sides.candidate.unwrap_or(0));
    let max = hours.iter().map(|(_, sides)| longest(*sides)).max().unwrap_or(0).max(1);
    let mut rows: Vec<Vec<String>> = hours
        .iter()
        .map(|(start_ms, sides)| {
            let shown = sides.candidate.unwrap_or(sides.current);
            // Whatever is not nothing is seen.
            let length = (shown.saturating_mul(BAR_MAX_CHARS)).div_ceil(max);
            let bar = "█".repeat(usize::try_from(length).unwrap_or(0));
            let time: String =
                time_text(*start_ms).chars().take("2026-01-31T09:00".len()).collect();
            std::iter::once(time.replace('T', " ")).chain(counts(*sides)).chain([bar]).collect()
        })
        .collect();
    let others = report.other_hours;
    if !others.is_zero() {
        rows.push(std::iter::once("(other hours)".to_owned()).chain(counts(others)).collect());
    }
    rows
}

fn unreadable_columns() -> Columns {
    vec![
        ("class", Align::Left),
        ("records", Align::Right),
        ("the first one", Align::Left),
        ("", Align::Left),
    ]
}

fn unreadable(report: &Report) -> Vec<Vec<String>> {
    let row = |class: &report::UnreadableView| {
        let place = place(&class.topic, class.partition, class.offset);
        vec![class.class.to_owned(), class.records.to_string(), place, cell(&class.reason)]
    };
    report.unreadable.iter().map(row).collect()
}

fn example_columns() -> Columns {
    vec![
        ("rule", Align::Left),
        ("time", Align::Left),
        ("user", Align::Left),
        ("what", Align::Left),
        ("where", Align::Left),
    ]
}

fn examples(report: &Report, share: Option<&str>) -> Vec<Vec<String>> {
    let of_rule = |rule: &RuleView| {
        let of_share = |example: &&ExampleView| example.share == share;
        let rows: Vec<Vec<String>> = rule
            .examples
            .iter()
            .filter(of_share)
            .map(|example| {
                vec![
                    cell(&rule.id),
                    example.time.clone(),
                    cell(&example.user),
                    cell(&example.what),
                    place(&example.topic, example.partition, example.offset),
                ]
            })
            .collect();
        rows
    };
    report.rules.iter().flat_map(of_rule).collect()
}

fn place(topic: &str, partition: i32, offset: i64) -> String {
    format!("{}/{partition}@{offset}", cell(topic))
}

fn cell(text: &str) -> String {
    visible(text, CELL_MAX_CHARS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::app::backtest::report::{
        HourView, OtherUsers, PartitionView, Range, ReadCounts, UnreadableView, UserView,
    };

    fn sides(current: u64, candidate: Option<u64>) -> Sides {
        Sides { current, candidate }
    }

    fn difference(counts: [u64; 3], compared: bool) -> Difference {
        let [current, candidate, both] = counts;
        let known = |count: u64| compared.then_some(count);
        Difference {
            sides: sides(current, known(candidate)),
            both: known(both),
            only_current: known(current.saturating_sub(both)),
            only_candidate: known(candidate.saturating_sub(both)),
        }
    }

    fn example(share: Option<&'static str>, user: &str, what: &str) -> ExampleView {
        ExampleView {
            share,
            time: "2026-03-01T08:15:30.25Z".to_owned(),
            user: user.to_owned(),
            what: what.to_owned(),
            audit_id: "a1".to_owned(),
            topic: "audit".to_owned(),
            partition: 3,
            offset: 4711,
        }
    }

    fn rule(id: &str, counts: [u64; 3], compared: bool, examples: Vec<ExampleView>) -> RuleView {
        RuleView {
            id: id.to_owned(),
            in_current: counts[0] > 0,
            in_candidate: compared.then_some(counts[1] > 0),
            alerts: difference(counts, compared),
            withheld: sides(0, compared.then_some(if id == "execs" { 7 } else { 0 })),
            examples,
        }
    }

    /// 2026-03-01T08:00:00Z.
    const T0: i64 = 1_772_352_000_000;

    fn made(compared: bool) -> Report {
        let count = |current, candidate| sides(current, compared.then_some(candidate));
        let hostile = "eve\u{1b}[2J\u{202e}\nroot   999999";
        let share = |name| compared.then_some(name);
        let examples = vec![
            example(share("only_current"), "ada", "get pods/exec n/p: cat /etc/shadow"),
            example(share("only_candidate"), hostile, "list secrets\r\u{9b}31m"),
        ];
        let hour = |number: i64, current, candidate| HourView {
            hour: time_text(T0 + number * HOUR_MS),
            start_ms: T0 + number * HOUR_MS,
            alerts: count(current, candidate),
        };
        Report {
            schema: report::SCHEMA,
            version: report::SCHEMA_VERSION,
            partial: compared,
            compared,
            range: Range {
                from: "2026-03-01T08:00:00Z".to_owned(),
                to: "2026-03-01T12:30:00Z".to_owned(),
                history_from: compared.then(|| "2026-02-22T08:00:00Z".to_owned()),
                late_seconds: 3_600,
            },
            read: ReadCounts { records: 5_000, bytes: 5 << 20, events: 900, ..Default::default() },
            partitions: vec![PartitionView {
                topic: "audit".to_owned(),
                partition: 3,
                from_offset: 0,
                to_offset: 5_000,
                read_to_offset: 5_000,
                records: 5_000,
                range_cut: false,
                history_cut: false,
                first_record: None,
            }],
            unreadable: vec![UnreadableView {
                class: "json",
                records: 2,
                topic: "audit".to_owned(),
                partition: 3,
                offset: 12,
                reason: format!("no JSON: {hostile}"),
            }],
            skipped: BTreeMap::new(),
            excepted: BTreeMap::new(),
            alerts: difference([30, 14, 12], compared),
            withheld: count(0, if compared { 7 } else { 0 }),
            rules: vec![
                rule("execs", [30, 12, 12], compared, examples),
                rule("new", [0, 2, 0], compared, Vec::new()),
                rule("silent", [0, 0, 0], compared, Vec::new()),
            ],
            users: vec![
                UserView { user: "ada".to_owned(), alerts: count(18, 9) },
                UserView { user: hostile.to_owned(), alerts: count(7, 3) },
                UserView { user: String::new(), alerts: count(3, 1) },
            ],
            other_users: Some(OtherUsers { alerts: count(2, 1), users: Some(2) }),
            // The event of one was received before its record was written.
            hours: vec![hour(-1, 1, 0), hour(0, 20, 1), hour(3, 9, 13)],
            other_hours: count(0, 0),
        }
    }

    #[test]
    fn a_report_reads_well_and_hostile_text_stays_in_its_cell() {
        let range = (T0, T0 + 9 * HOUR_MS / 2);
        let text = report(&made(false), range, false);
        insta::assert_snapshot!(format!("{text}\n----\n\n{}", report(&made(true), range, false)));
    }

    #[test]
    fn the_object_has_stable_names() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&made(true)).unwrap());
    }

    #[test]
    fn of_a_long_range_only_hours_with_alerts_are_shown() {
        let rows = |hours: i64| super::hours(&made(false), (T0, T0 + hours * HOUR_MS)).len();
        assert_eq!((rows(4), rows(EMPTY_HOURS_MAX)), (5, 73));
        assert_eq!(rows(EMPTY_HOURS_MAX + 1), 3);
    }
}
