//! Alerts and tables as text for people.
//!
//! Works on the alert's document, so an alert that was read back from its topic looks as one
//! that was just made. Makes strings and prints nothing. Whatever an event says passes through
//! `alert::visible`: the only control characters in the result are line breaks and, where the
//! caller asks for colours, the escapes of this module.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use crate::alert::ecs::{Document, User};
use crate::alert::visible::{excerpt, visible};
use crate::audit::event::{EventOutcome, Text};
use crate::detect::finding::{ExecVia, Match, View};
use crate::limits::{MESSAGE_MAX_CHARS, TERMINAL_MATCHES_MAX, TERMINAL_VALUE_MAX_CHARS};

const PLAIN: Style = Style::new();
const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

/// Width of the column of detail names.
const NAME_WIDTH: usize = 9;

/// Several lines, the last one ended: severity, time and rule; the sentence; the details.
/// Ends without an empty line.
pub fn alert(document: &Document, colours: bool) -> String {
    let paint = Paint { colours };
    let (severity, style) = severity(document.event.severity);
    let mut out = format!(
        "{}  {}  {}\n",
        paint.with(style, &format!("{severity:<8}")),
        shown(&document.timestamp),
        paint.with(BOLD, &shown(&document.rule.id)),
    );
    let _ = writeln!(out, "  {}", visible(&document.message, MESSAGE_MAX_CHARS));
    let mut detail = |name: &str, value: &str| {
        if !value.is_empty() {
            let name = paint.with(DIM, &format!("{name:<NAME_WIDTH$}"));
            let _ = writeln!(out, "    {name} {value}");
        }
    };
    let ours = &document.kubetell;
    let command = document.process.as_ref().and_then(|process| process.command_line.as_deref());
    if let Some(command) = command {
        let focus = first_as_written(&ours.matches).map(|found| found.span.clone());
        let text = excerpt(command, focus, TERMINAL_VALUE_MAX_CHARS);
        detail("command", &paint.with(BOLD, &shown(&text)));
    }
    detail("access", &list(&ours.access_types));
    for (index, found) in ours.matches.iter().take(TERMINAL_MATCHES_MAX).enumerate() {
        detail(if index == 0 { "matched" } else { "" }, &matched(found, command));
    }
    if ours.matches.len() > TERMINAL_MATCHES_MAX {
        detail("", &format!("and {} more", ours.matches.len() - TERMINAL_MATCHES_MAX));
    }
    for (index, (field, term)) in ours.new_terms_fields.iter().zip(&ours.new_terms).enumerate() {
        let term = format!("{} = {}", shown(field), shown(term));
        detail(if index == 0 { "new" } else { "" }, &term);
    }
    detail("user", &user(document.user.as_ref()));
    let audit = &document.kubernetes.audit;
    detail("source", &list(audit.source_ips.as_deref().unwrap_or_default()));
    detail("client", &shown(document.user_agent.as_ref().map_or("", |agent| &agent.original)));
    detail("where", &place(document));
    detail("outcome", &outcome(document));
    // The revision tells a repetition, which adds the outcome, from the alert's first appearance.
    detail("alert", &format!("{} (revision {})", shown(&document.event.id), ours.revision));
    out
}

/// One line for an alert that was shown before and now tells its outcome.
pub fn revision(document: &Document, colours: bool) -> String {
    let paint = Paint { colours };
    format!(
        "{}  {}  {}  outcome {} (revision {})\n",
        paint.with(DIM, "REVISED "),
        shown(&document.timestamp),
        shown(&document.event.id),
        outcome(document),
        document.kubetell.revision
    )
}

/// How the cells of a column stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// A table with aligned columns, two spaces between them, each line ended.
///
/// `columns` are titles and alignments; without any title there is no title line. A row may be
/// shorter than `columns`; cells beyond them are left out.
pub fn table(columns: &[(&str, Align)], rows: &[Vec<String>], colours: bool) -> String {
    let paint = Paint { colours };
    let titles: Vec<String> = columns.iter().map(|(title, _)| shown(title)).collect();
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| shown(cell)).collect()).collect();
    let widths: Vec<usize> = (0..columns.len())
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.chain(&titles[column..=column]).map(|c| c.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut out = String::new();
    let mut line = |cells: &[String], style: Style| {
        let mut text = String::new();
        for ((cell, (_, align)), width) in cells.iter().zip(columns).zip(&widths) {
            if !text.is_empty() {
                text.push_str("  ");
            }
            let _ = match align {
                Align::Left => write!(text, "{cell:<width$}"),
                Align::Right => write!(text, "{cell:>width$}"),
            };
        }
        out.push_str(&paint.with(style, text.trim_end()));
        out.push('\n');
    };
    if titles.iter().any(|title| !title.is_empty()) {
        line(&titles, DIM);
    }
    for row in &rows {
        line(row, PLAIN);
    }
    out
}

struct Paint {
    colours: bool,
}

impl Paint {
    fn with(&self, style: Style, text: &str) -> String {
        if self.colours && style != PLAIN && !text.is_empty() {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }
}

fn shown(text: &str) -> String {
    visible(text, TERMINAL_VALUE_MAX_CHARS)
}

/// A comma between the items and a bound on the whole.
fn list<T: AsText>(items: &[T]) -> String {
    let mut joined = String::new();
    for item in items {
        if joined.len() > TERMINAL_VALUE_MAX_CHARS {
            break;
        }
        if !joined.is_empty() {
            joined.push_str(", ");
        }
        joined.push_str(item.as_text());
    }
    shown(&joined)
}

trait AsText {
    fn as_text(&self) -> &str;
}

impl AsText for String {
    fn as_text(&self) -> &str {
        self
    }
}

impl AsText for Text<'_> {
    fn as_text(&self) -> &str {
        self.as_str()
    }
}

/// By the numbers that alerts carry: 21 low, 47 medium, 73 high, 99 critical.
fn severity(number: u8) -> (&'static str, Style) {
    match number {
        99.. => ("CRITICAL", AnsiColor::BrightRed.on_default().bold().invert()),
        73.. => ("HIGH", AnsiColor::BrightRed.on_default().bold()),
        47.. => ("MEDIUM", AnsiColor::Yellow.on_default().bold()),
        _ => ("LOW", AnsiColor::Cyan.on_default().bold()),
    }
}

fn first_as_written(matches: &[Match]) -> Option<&Match> {
    matches.iter().find(|found| found.view == View::AsWritten)
}

/// The text that matched where it stands in the command as written; the pattern where only the
/// normal form has it.
fn matched(found: &Match, command: Option<&str>) -> String {
    match found.view {
        View::AsWritten => {
            let text = command.and_then(|command| command.get(found.span.clone()));
            format!("{} (as written)", shown(text.unwrap_or(&found.pattern)))
        }
        View::NormalForm => {
            let what = found.reads.as_deref().unwrap_or(&found.pattern);
            let mut out = format!("{} ({}, normal form)", shown(what), found.confidence.as_str());
            if !found.steps.is_empty() {
                let _ = write!(out, ": {}", list(&found.steps));
            }
            out
        }
    }
}

fn user(user: Option<&User>) -> String {
    let Some(user) = user else { return String::new() };
    let name = |user: &User| shown(user.name.as_deref().unwrap_or("unnamed"));
    let mut out = name(user);
    if let Some(effective) = &user.effective {
        let _ = write!(out, " acting as {}", name(effective));
    }
    out
}

/// Cluster, namespace, object and container, from the widest to the narrowest.
fn place(document: &Document) -> String {
    let orchestrator = &document.orchestrator;
    let mut parts = Vec::new();
    if let Some(cluster) = &orchestrator.cluster {
        parts.push(format!("cluster {}", shown(&cluster.name)));
    }
    if let Some(node) = &document.kubetell.node {
        parts.push(format!("node {}", shown(node)));
    }
    if let Some(namespace) = &orchestrator.namespace {
        parts.push(format!("namespace {}", shown(namespace)));
    }
    if let Some(resource) = &orchestrator.resource {
        let kind = match resource.kind.as_deref() {
            Some("pods") => "pod",
            Some("secrets") => "secret",
            Some(other) => other,
            None => "object",
        };
        parts.push(match &resource.name {
            Some(name) => format!("{} {}", shown(kind), shown(name)),
            None => format!("all {}", shown(resource.kind.as_deref().unwrap_or("objects"))),
        });
    }
    if let Some(container) = &document.container {
        parts.push(format!("container {}", shown(&container.name)));
    }
    let mut out = parts.join(", ");
    match document.kubetell.via {
        Some(ExecVia::NodesProxyExec) => out.push_str(" (nodes/proxy exec)"),
        Some(ExecVia::NodesProxyRun) => out.push_str(" (nodes/proxy run)"),
        Some(ExecVia::PodsExec | ExecVia::GkeLabel | ExecVia::ShellText) | None => {}
    }
    out
}

fn outcome(document: &Document) -> String {
    let word = match document.event.outcome {
        EventOutcome::Success => "success",
        EventOutcome::Failure => "failure",
        EventOutcome::Unknown => "unknown",
    };
    let status = document.kubernetes.audit.response_status.as_ref();
    match status.and_then(|status| status.code) {
        Some(code) => format!("{word} ({code})"),
        None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::{fixtures, from_finding, from_observation};
    use crate::detect::finding::Finding;

    fn text(finding: &Finding) -> String {
        alert(&from_finding(finding, &fixtures::origin()).document, false)
    }

    #[test]
    fn alerts_read_well() {
        let read = fixtures::secret_read("ResponseComplete");
        let read = from_observation(&read, &fixtures::first_seen(true), &fixtures::origin());
        let all = [
            text(&fixtures::shell_exec()),
            text(&fixtures::nodes_proxy_run()),
            text(&fixtures::denied_exec()),
            text(&fixtures::gke_exec()),
            alert(&read.document, false),
        ];
        insta::assert_snapshot!(all.join("\n"));
    }

    #[test]
    fn hostile_text_stays_on_its_line() {
        let mut finding = fixtures::shell_exec();
        finding.exec.text = "cat /etc/shadow\nHIGH  forged\u{1b}[2J\u{202e}".to_owned();
        finding.exec.argv = vec![finding.exec.text.clone()];
        finding.exec.pod = Some("p\r\n    user      root".into());
        finding.event.user_agent = Some("a\u{9b}31mb\u{2028}c\u{0}\u{7f}".into());
        finding.event.user.as_mut().unwrap().username =
            Some("x\" ran \"ls\u{1b}]0;title\u{7}".into());
        finding.event.source_ips = Some(vec!["10.0.0.1\n".into()]);
        insta::assert_snapshot!(text(&finding));
    }

    #[test]
    fn colours_change_nothing_but_colours() {
        let document = from_finding(&fixtures::shell_exec(), &fixtures::origin()).document;
        let coloured = alert(&document, true);
        assert!(coloured.contains('\u{1b}'));
        assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), alert(&document, false));
    }

    #[test]
    fn a_long_command_is_cut_and_a_late_match_still_shown() {
        let mut finding = fixtures::shell_exec();
        let exec = &mut finding.exec;
        exec.text = format!("echo {}; cat /etc/shadow", "x".repeat(60_000));
        exec.argv = vec![exec.text.clone()];
        let start = exec.text.len() - "/etc/shadow".len();
        finding.matches[0].span = start..exec.text.len();
        let text = text(&finding);
        for line in text.lines() {
            assert!(line.chars().count() < 4_200);
        }
        assert!(text.lines().nth(1).unwrap().contains("cat /etc/shadow\" (HOST"), "{text}");
        let command = text.lines().find(|line| line.contains("command ")).unwrap();
        assert!(command.ends_with("; cat /etc/shadow"));
    }

    #[test]
    fn many_matches_are_counted() {
        let mut finding = fixtures::shell_exec();
        let found = finding.matches[1].clone();
        finding.matches.extend(std::iter::repeat_n(found, 30));
        assert!(text(&finding).contains("\n              and 28 more\n"), "{}", text(&finding));
    }

    #[test]
    fn tables_align_their_columns() {
        let rows = [
            vec!["pod-exec-sensitive-path".to_owned(), "12".to_owned()],
            vec!["évil\nrule".to_owned(), "1,204".to_owned()],
            vec!["short".to_owned()],
        ];
        let columns = [("rule", Align::Left), ("alerts", Align::Right)];
        assert_eq!(
            table(&columns, &rows, false),
            "rule                     alerts\n\
             pod-exec-sensitive-path      12\n\
             évil\\nrule                1,204\n\
             short\n"
        );
        let untitled = [("", Align::Left), ("", Align::Right)];
        assert_eq!(table(&untitled, &rows[2..], false), "short\n");
        assert_eq!(table(&[], &rows, false).trim(), "");
    }
}
