//! The text of a check-up.
//!
//! Names of resources, verbs and the like come from whoever sent the requests: all of them pass
//! through `alert::visible`, here or by way of the tables of `output::terminal`.

use anstyle::{AnsiColor, Style};
use indicatif::HumanBytes;

use crate::alert::visible::visible;
use crate::app::doctor::findings::{Finding, Severity};
use crate::app::doctor::report::{Report, RuleState, SourceView, ValuesView};
use crate::output::terminal::{self, Align};
use crate::plural::several;

/// Longest value that is listed, longest name, and longest sentence.
const VALUE_MAX_CHARS: usize = 60;
const NAME_MAX_CHARS: usize = 250;
const SENTENCE_MAX_CHARS: usize = 2_000;
/// Values of one kind that are listed; the JSON object has more.
const VALUES_LISTED: usize = 8;
/// Columns of the text.
const WIDTH: usize = 100;
const INDENT: usize = 9;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const NOTE: Style = AnsiColor::Cyan.on_default().bold();
const OK: Style = AnsiColor::Green.on_default().bold();
const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

pub fn report(report: &Report, colours: bool) -> String {
    let parts = report.sources.iter().map(|source| of_source(source, colours));
    let mut out = parts.collect::<Vec<_>>().join("\n");
    if report.partial {
        out.insert_str(0, "PARTIAL: not all of the sample was read\n\n");
    }
    out
}

fn of_source(source: &SourceView, colours: bool) -> String {
    let mut out = head(source, colours);
    for finding in &source.findings {
        out.push('\n');
        out.push_str(&of_finding(finding, colours));
    }
    let mut part = |title: &str, table: String| {
        if !table.is_empty() {
            out.push_str(&format!("\n{}\n{table}", paint(BOLD, title, colours)));
        }
    };
    let rows: Vec<Vec<String>> = source
        .rules
        .iter()
        .map(|rule| vec![rule.id.clone(), state(rule.state).to_owned(), rule.findings.join(", ")])
        .collect();
    let columns = [("rule", Align::Left), ("", Align::Left), ("findings", Align::Left)];
    part(
        "rules",
        if rows.is_empty() { String::new() } else { terminal::table(&columns, &rows, colours) },
    );
    let rows: Vec<Vec<String>> = source
        .seen
        .iter()
        .filter(|(_, values)| !values.values.is_empty())
        .map(|(kind, values)| vec![kind.replace('_', " "), listed(values)])
        .collect();
    let columns = [("", Align::Left), ("", Align::Left)];
    part("what is there, in events", terminal::table(&columns, &rows, colours));
    out
}

fn head(source: &SourceView, colours: bool) -> String {
    let name = visible(&source.name, NAME_MAX_CHARS);
    let name = match source.partitions {
        Some(partitions) => format!("topic {name}, {}", several(partitions as u64, "partition")),
        None => name,
    };
    let sample = &source.sample;
    let mut out = format!(
        "{}\n{} ({}), {}",
        paint(BOLD, &name, colours),
        several(sample.records, "record"),
        HumanBytes(sample.bytes),
        several(sample.events, "event")
    );
    if let (Some(first), Some(last)) = (&sample.first_event, &sample.last_event) {
        out.push_str(&format!(" of {first} to {last}"));
    }
    let size = &sample.record_bytes;
    if sample.records > 0 {
        out.push_str(&format!(
            "\na record has {} (median), {} (99 in 100), {} (most)",
            HumanBytes(size.median),
            HumanBytes(size.p99),
            HumanBytes(size.max)
        ));
    }
    if let Some(load) = &source.load {
        out.push_str(&format!("\nabout {}", load.text()));
    }
    out.push('\n');
    out
}

fn of_finding(finding: &Finding, colours: bool) -> String {
    let style = match finding.severity {
        Severity::Error => ERROR,
        Severity::Warning => WARNING,
        Severity::Note => NOTE,
        Severity::Ok => OK,
    };
    let severity = paint(style, &format!("{:<8}", finding.severity.as_str()), colours);
    let mut out = format!("{severity} {}\n", paint(BOLD, finding.id, colours));
    let mut paragraph = |name: &str, text: &str| {
        if text.is_empty() {
            return;
        }
        let text = visible(text, SENTENCE_MAX_CHARS);
        let indent = " ".repeat(INDENT + if name.is_empty() { 0 } else { "means ".len() });
        for (number, line) in wrapped(&text, WIDTH - indent.len()).iter().enumerate() {
            if number == 0 && !name.is_empty() {
                let name = paint(DIM, &format!("{name:<5}"), colours);
                out.push_str(&format!("{}{name} {line}\n", " ".repeat(INDENT)));
            } else {
                out.push_str(&format!("{indent}{line}\n"));
            }
        }
    };
    paragraph("", &finding.text);
    paragraph("means", finding.means);
    if !finding.means.is_empty() {
        paragraph("rules", &finding.rules.join(", "));
    }
    paragraph("do", finding.remedy);
    out
}

fn state(state: RuleState) -> &'static str {
    match state {
        RuleState::Sees => "sees what it needs",
        RuleState::Limited => "limited",
        RuleState::Blind => "BLIND",
    }
}

/// `VALUE COUNT`, those that occur most often first.
fn listed(values: &ValuesView) -> String {
    let shown = values.values.iter().take(VALUES_LISTED);
    let mut out: Vec<String> =
        shown.map(|it| format!("{} {}", visible(&it.value, VALUE_MAX_CHARS), it.events)).collect();
    let rest = values.values.iter().skip(VALUES_LISTED).map(|it| it.events).sum::<u64>();
    if rest + values.others > 0 {
        out.push(format!("(others) {}", rest + values.others));
    }
    out.join(", ")
}

fn paint(style: Style, text: &str, colours: bool) -> String {
    if colours { format!("{style}{text}{style:#}") } else { text.to_owned() }
}

/// Lines of at most `width` characters, broken at spaces; a longer word has a line of its own.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::app::doctor::findings::ids::{Id, Input};
    use crate::app::doctor::report::{
        self, ExecsView, RuleView, SampleView, SecretReadsView, SpreadView, ValueView,
    };

    const HOSTILE: &str = "eve\u{1b}[2J\u{202e}\nerror    forged";

    fn finding(id: Id, severity: Severity, text: &str, rules: &[&str]) -> Finding {
        Finding {
            id: id.as_str(),
            severity,
            text: text.to_owned(),
            means: id.means(Input::Topic),
            rules: rules.iter().map(|rule| (*rule).to_owned()).collect(),
            remedy: id.remedy(Input::Topic),
        }
    }

    fn made() -> Report {
        let value = |value: &str, events| ValueView { value: value.to_owned(), events };
        let verbs = (1..=9).map(|n| value(&format!("verb-{n}"), 10 - n)).collect();
        let seen = BTreeMap::from([
            ("wrappers", ValuesView { values: vec![value("bare", 900)], others: 0 }),
            ("verbs", ValuesView { values: verbs, others: 5 }),
            ("namespaces", ValuesView { values: vec![value(HOSTILE, 3)], others: 0 }),
            ("levels", ValuesView::default()),
        ]);
        let exec = "pod-exec-sensitive-path";
        report::build(
            vec![SourceView {
                name: "kubernetes-audit".to_owned(),
                partitions: Some(6),
                sample: SampleView {
                    records: 900,
                    bytes: 900 << 10,
                    record_bytes: SpreadView { median: 1_000, p95: 2_000, p99: 9_000, max: 60_000 },
                    delay_ms: None,
                    events: 900,
                    unreadable: 1,
                    lost: 0,
                    damaged: 0,
                    first_event: Some("2026-03-01T08:00:00Z".to_owned()),
                    last_event: Some("2026-03-01T08:15:00Z".to_owned()),
                },
                execs: ExecsView {
                    events: 3,
                    without_request_uri: 2,
                    without_command: 1,
                    through_nodes: 0,
                },
                secret_reads: SecretReadsView { events: 12, incomplete: 0, watches: 4 },
                load: None,
                findings: vec![
                    finding(Id::ExecsWithoutCommand, Severity::Error, "3 of 3 execs", &[exec]),
                    finding(Id::SharedSource, Severity::Warning, HOSTILE, &[]),
                    finding(Id::SecretReads, Severity::Ok, "12 events of reads", &[]),
                ],
                rules: vec![
                    RuleView {
                        id: exec.to_owned(),
                        state: RuleState::Blind,
                        findings: vec![Id::ExecsWithoutCommand.as_str()],
                    },
                    RuleView {
                        id: "other".to_owned(),
                        state: RuleState::Sees,
                        findings: Vec::new(),
                    },
                ],
                seen,
            }],
            true,
        )
    }

    #[test]
    fn a_report_reads_well_and_hostile_text_stays_in_its_line() {
        let text = report(&made(), false);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        assert!(!text.contains('\u{202e}'));
        assert!(text.lines().all(|line| !line.starts_with("error    forged")), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn colours_are_there_when_they_are_asked_for_and_change_no_word() {
        let (plain, coloured) = (report(&made(), false), report(&made(), true));
        assert!(coloured.contains("\u{1b}["));
        assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), plain);
    }

    #[test]
    fn the_object_has_stable_names() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&made()).unwrap());
    }

    #[test]
    fn lines_are_broken_at_spaces() {
        assert_eq!(wrapped("a bc def", 4), ["a bc", "def"]);
        assert_eq!(wrapped("abcdefgh ij", 4), ["abcdefgh", "ij"]);
        assert_eq!(wrapped("", 4), [""]);
    }
}
