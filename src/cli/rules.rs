//! `kubetell rules`: which rules are in force, and what one of them is.

mod check;
mod except;
mod excepted;
mod test;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use crate::clock;
use crate::duration::format_duration;
use crate::limits::SECOND_MS;
use crate::rules::exceptions::Shown;
use crate::rules::format::{RuleInfo, Severity, UnseenCommand};
use crate::rules::paths::PathEntry;
use crate::rules::rule::{ExecRule, Rule, RuleKind};
use crate::rules::set::RuleSet;
use crate::rules::triage::Triage;

use super::args::{ConfigArgs, TextOrJson};
use super::context::Context;
use super::exit::Exit;
use super::{help, report, rule_files, stdout};

/// Lists, shows, checks, tests and tries rules, and writes exceptions
#[derive(Debug, Clone, Args)]
#[command(after_help = help::RULES)]
pub struct RulesArgs {
    #[command(subcommand)]
    pub command: RulesCommand,
}

#[derive(Debug, Clone, Subcommand)]
pub enum RulesCommand {
    /// Lists the rules in force
    #[command(after_help = help::RULES_LIST)]
    List(ListArgs),
    /// Shows one rule: what it finds, what it cannot see, its references
    #[command(after_help = help::RULES_SHOW)]
    Show(ShowArgs),
    /// Says what is wrong with rule files, all of it, with file, line and column
    #[command(after_help = help::RULES_CHECK)]
    Check(check::CheckArgs),
    /// Writes an exception for a rule, made from one of its alerts
    ///
    /// Every value is the alert's own, and all of them have to be met: the exception holds of
    /// requests like this one and no others. `--by` chooses the values.
    #[command(after_help = help::RULES_EXCEPT)]
    Except(except::ExceptArgs),
    /// Runs the test cases of rules: the built-in ones, the configuration's, or those of files
    ///
    /// A case says what its rule has to make of some events. Each is run as `kubetell scan` runs
    /// files, with its rule alone in force.
    #[command(after_help = help::RULES_TEST)]
    Test(test::TestArgs),
    /// Runs a query over files: what it would raise
    ///
    /// Prints every event that matches, each stage of a request once, as `kubetell scan` prints
    /// alerts.
    #[command(after_help = help::RULES_TRY)]
    Try(check::TryArgs),
}

#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    #[command(flatten)]
    pub config: ConfigArgs,

    /// A file or a folder with rules beside the built-in ones and the configuration's (repeatable)
    #[arg(long, value_name = "PATH")]
    pub rules: Vec<PathBuf>,

    /// A file or a folder with exceptions beside the configuration's (repeatable)
    #[arg(long, value_name = "PATH")]
    pub exceptions: Vec<PathBuf>,

    /// A table, or one JSON array
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: TextOrJson,
}

#[derive(Debug, Clone, Args)]
pub struct ShowArgs {
    #[command(flatten)]
    pub config: ConfigArgs,

    /// A file or a folder with rules beside the built-in ones and the configuration's (repeatable)
    #[arg(long, value_name = "PATH")]
    pub rules: Vec<PathBuf>,

    /// A file or a folder with exceptions beside the configuration's (repeatable)
    #[arg(long, value_name = "PATH")]
    pub exceptions: Vec<PathBuf>,

    /// The rule's id
    #[arg(value_name = "ID")]
    pub id: String,

    /// Text, or one JSON object
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: TextOrJson,
}

/// What these commands show of a rule.
#[derive(Debug, Clone, Serialize)]
struct Entry {
    #[serde(flatten)]
    info: Arc<RuleInfo>,
    /// `exec`, `new-terms` or `query`.
    kind: &'static str,
    /// Whether it is in force without being asked for.
    enabled: bool,
    /// Whether it is, by itself or by the configuration.
    in_force: bool,
    /// What the rule cannot see.
    blind_spots: Vec<String>,
    /// What is known to match without being an intrusion.
    known_noise: Vec<String>,
    /// What an exec rule looks for, for people.
    #[serde(skip)]
    exec: Option<ExecText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<String>,
    /// Of a new-terms rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    new_terms: Option<NewTermsEntry>,
    /// Labels over a field; those of an exec rule are over its command.
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<LabelsEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suppress: Option<SuppressEntry>,
    /// Those of every rule included.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exceptions: Vec<Shown>,
}

#[derive(Debug, Clone, Serialize)]
struct LabelsEntry {
    field: String,
    /// Label and pattern.
    patterns: Vec<(String, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
struct SuppressEntry {
    by: Vec<String>,
    for_seconds: i64,
}

#[derive(Debug, Clone, Serialize)]
struct NewTermsEntry {
    fields: Vec<String>,
    window_seconds: i64,
}

fn labels(triage: &Triage) -> Option<LabelsEntry> {
    let labels = triage.labels()?;
    let pattern = |at: usize| labels.patterns.pattern(at).unwrap_or_default().to_owned();
    let patterns = labels.patterns.names().iter().enumerate();
    Some(LabelsEntry {
        field: triage.name(labels.field).to_owned(),
        patterns: patterns.map(|(at, name)| (name.clone(), pattern(at))).collect(),
        default: labels.default.clone(),
    })
}

fn suppress(triage: &Triage) -> Option<SuppressEntry> {
    let suppress = triage.suppress()?;
    Some(SuppressEntry {
        by: suppress.by.iter().map(|field| triage.name(*field).to_owned()).collect(),
        for_seconds: suppress.for_ms / SECOND_MS,
    })
}

/// What an exec rule says beside its information, as lines.
#[derive(Debug, Clone, Default, PartialEq)]
struct ExecText {
    /// How sure it may be, and what an alert has then.
    grades: Vec<String>,
    paths: Vec<String>,
}

pub fn run(args: &RulesArgs, context: &Context) -> Exit {
    let (config, files, exceptions) = match &args.command {
        RulesCommand::List(args) => (&args.config, &args.rules, &args.exceptions),
        RulesCommand::Show(args) => (&args.config, &args.rules, &args.exceptions),
        RulesCommand::Check(args) => return check::check(args),
        RulesCommand::Test(args) => return test::test(args, context),
        RulesCommand::Except(args) => return except::run(args),
        RulesCommand::Try(args) => return check::try_query(args, context),
    };
    let now_ms = clock::now_ms();
    let config = match context.load_config(config) {
        Ok(loaded) => loaded.config,
        Err(exit) => return exit,
    };
    let files = [config.rules.as_slice(), files].concat();
    let exceptions = [config.exceptions.as_slice(), exceptions].concat();
    let enabled = &config.enabled_rules;
    let rules = match rule_files::in_force_excepting(&files, &exceptions, enabled, Exit::Usage) {
        Ok(rules) => rules,
        Err(exit) => return exit,
    };
    let entries = entries(&rules, now_ms);
    match &args.command {
        RulesCommand::Check(_)
        | RulesCommand::Except(_)
        | RulesCommand::Test(_)
        | RulesCommand::Try(_) => Exit::Internal,
        RulesCommand::List(args) => match args.format {
            TextOrJson::Text => {
                let exceptions = excepted::table(rules.exceptions(), now_ms);
                stdout::print(&(table(&entries) + &exceptions))
            }
            TextOrJson::Json => stdout::print_json(&json!(entries)),
        },
        RulesCommand::Show(args) => {
            match (entries.iter().find(|entry| entry.info.id == args.id), args.format) {
                (Some(entry), TextOrJson::Text) => stdout::print(&text(entry)),
                (Some(entry), TextOrJson::Json) => stdout::print_json(&json!(entry)),
                (None, _) => unknown(&args.id, &entries),
            }
        }
    }
}

fn kind_of(rule: &Rule) -> &'static str {
    match rule.kind() {
        RuleKind::Exec(_) => "exec",
        RuleKind::NewTerms(_) => "new-terms",
        RuleKind::Query(_) => "query",
    }
}

/// The rules, in their order.
fn entries(rules: &RuleSet, now_ms: i64) -> Vec<Entry> {
    rules
        .all()
        .map(|rule| Entry {
            info: Arc::clone(rule.info()),
            kind: kind_of(rule),
            enabled: rule.enabled(),
            in_force: rules.rules().iter().any(|it| it.id() == rule.id()),
            blind_spots: rule.notes().blind_spots.clone(),
            known_noise: rule.notes().known_noise.clone(),
            exec: match rule.kind() {
                RuleKind::Exec(exec) => Some(exec_text(rule.info(), exec)),
                RuleKind::NewTerms(_) | RuleKind::Query(_) => None,
            },
            query: rule.query().map(|query| query.text().trim().to_owned()),
            new_terms: match rule.kind() {
                RuleKind::NewTerms(terms) => Some(NewTermsEntry {
                    fields: terms.fields.iter().map(|field| field.name().to_owned()).collect(),
                    window_seconds: terms.window_ms / SECOND_MS,
                }),
                RuleKind::Exec(_) | RuleKind::Query(_) => None,
            },
            labels: rule.triage().and_then(labels),
            suppress: rule.triage().and_then(suppress),
            exceptions: rules
                .exceptions()
                .of_rule(rule.id())
                .map(|(it, _)| it.shown(now_ms))
                .collect(),
        })
        .collect()
}

fn unknown(id: &str, entries: &[Entry]) -> Exit {
    let nearest = entries
        .iter()
        .map(|entry| (strsim::jaro_winkler(id, &entry.info.id), entry.info.id.as_str()))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    let hint = match nearest {
        Some((_, nearest)) => format!("did you mean `{nearest}`?"),
        None => "`kubetell rules list` lists the rules".to_owned(),
    };
    // The debug form of a text escapes what could rewrite the terminal.
    report::error(format_args!("there is no rule {id:?}"), Some(&hint));
    Exit::Usage
}

fn table(entries: &[Entry]) -> String {
    let rows: Vec<[String; 5]> = entries
        .iter()
        .map(|entry| {
            let info = &entry.info;
            let severity = severity(info.severity).to_owned();
            let risk = info.risk_score.to_string();
            [info.id.clone(), severity, risk, kind(entry), info.name.clone()]
        })
        .collect();
    columns(["ID", "SEVERITY", "RISK", "KIND", "NAME"], &rows)
}

/// Rows below their heads, each column as wide as its widest cell.
fn columns<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let head = head.map(str::to_owned);
    let rows: Vec<&[String; N]> = std::iter::once(&head).chain(rows).collect();
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let mut out = String::new();
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

fn text(entry: &Entry) -> String {
    let info = &entry.info;
    let mut out = format!("{}\n{}\n\n", info.id, info.name);
    let mut field = |name: &str, value: &str| out.push_str(&format!("{name:<12}{value}\n"));
    field("severity", &format!("{}, risk score {}", severity(info.severity), info.risk_score));
    field("kind", &kind(entry));
    field("version", &info.version);
    field("uuid", &info.uuid);
    field("license", &info.license);
    for threat in &info.threat {
        field("tactic", &format!("{} {}", threat.tactic.id, threat.tactic.name));
        for technique in &threat.techniques {
            field("", &format!("{} {}", technique.id, technique.name));
            for sub in &technique.subtechniques {
                field("", &format!("{} {}", sub.id, sub.name));
            }
        }
    }
    for reference in &info.references {
        field("reference", reference);
    }
    out.push_str(&format!("\n{}\n", info.description.trim()));
    if let Some(query) = &entry.query {
        out.push_str(&format!("\nQuery:\n{query}\n"));
    }
    if let Some(terms) = &entry.new_terms {
        let window = format_duration(terms.window_seconds * SECOND_MS);
        let fields: Vec<String> = terms.fields.iter().map(|field| format!("  {field}\n")).collect();
        let fields = fields.concat();
        out.push_str(&format!(
            "\nRaised when these were not seen together within {window}:\n{fields}"
        ));
    }
    if let Some(labels) = &entry.labels {
        out.push_str(&format!("\nLabels over {}, the first that applies first:\n", labels.field));
        for (label, pattern) in &labels.patterns {
            out.push_str(&format!("- {label}  {pattern}\n"));
        }
        labels.default.iter().for_each(|label| out.push_str(&format!("- {label}  otherwise\n")));
    }
    if let Some(suppress) = &entry.suppress {
        let time = format_duration(suppress.for_seconds * SECOND_MS);
        let by = suppress.by.join(", ");
        out.push_str(&format!(
            "\nOne alert within {time} for the same {by}; the others are withheld, at best effort.\n"
        ));
    }
    let exec = entry.exec.clone().unwrap_or_default();
    for (head, lines) in [
        ("How sure it is:", &exec.grades),
        ("Paths in the normal form:", &exec.paths),
        ("What it cannot see:", &entry.blind_spots),
        ("Known noise:", &entry.known_noise),
    ] {
        if !lines.is_empty() {
            out.push_str(&format!("\n{head}\n"));
            lines.iter().for_each(|line| out.push_str(&format!("- {}\n", line.trim())));
        }
    }
    out.push_str(&excepted::list(&entry.exceptions));
    out
}

fn exec_text(info: &RuleInfo, rule: &ExecRule) -> ExecText {
    let grade = |severity_of, risk: u8| format!("{}, risk score {risk}", severity(severity_of));
    let labelled = |command: &UnseenCommand| {
        format!("{}, as {}", grade(command.severity, command.risk_score), command.label)
    };
    let mut grades = Vec::new();
    if !rule.paths.entries().is_empty() {
        grades.push(format!("certain: {}", grade(info.severity, info.risk_score)));
    }
    let likely = rule.likely.map(|likely| grade(likely.severity, likely.risk_score));
    grades.extend(likely.map(|grade| format!("likely: {grade}")));
    let hidden = rule.hidden_command.as_ref().map(labelled);
    grades.extend(hidden.map(|grade| format!("suspicious: {grade}")));
    let unseen = rule.unseen_command.as_ref().map(labelled);
    grades.extend(unseen.map(|grade| format!("a run without a command: {grade}")));

    let entries = rule.paths.entries();
    let label = |entry: &PathEntry| entry.label.clone().unwrap_or_default();
    let name_width = entries.iter().map(|entry| entry.name.len()).max().unwrap_or_default();
    let label_width = entries.iter().map(|entry| label(entry).len()).max().unwrap_or_default();
    let path = |entry: &PathEntry| {
        let (name, label) = (&entry.name, label(entry));
        let above = if entry.walks { "" } else { "  (not by a directory above it)" };
        format!("{name:<name_width$}  {label:<label_width$}  {}{above}", entry.path)
    };
    ExecText { grades, paths: entries.iter().map(path).collect() }
}

fn kind(entry: &Entry) -> String {
    let told = match (entry.enabled, entry.in_force) {
        (true, _) => "",
        (false, true) => ", enabled",
        (false, false) => ", off by default",
    };
    format!("{}{told}", entry.kind)
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::format::{AttackName, Technique, Threat};

    fn entry(id: &str, severity: Severity) -> Entry {
        let named = |id: &str, name: &str| AttackName { id: id.to_owned(), name: name.to_owned() };
        let info = RuleInfo {
            id: id.to_owned(),
            uuid: "00000000-0000-4000-8000-000000000000".to_owned(),
            name: format!("The rule {id}"),
            description: "Finds what tests look for.\n".to_owned(),
            version: "3".to_owned(),
            license: "Apache-2.0".to_owned(),
            severity,
            risk_score: 21,
            references: vec!["https://attack.mitre.org/techniques/T1552/".to_owned()],
            threat: vec![Threat {
                tactic: named("TA0006", "Credential Access"),
                techniques: vec![Technique {
                    id: "T1552".to_owned(),
                    name: "Unsecured Credentials".to_owned(),
                    subtechniques: vec![named("T1552.007", "Container API")],
                }],
            }],
            ruleset: String::new(),
        };
        Entry {
            info: Arc::new(info),
            kind: "exec",
            enabled: true,
            in_force: true,
            blind_spots: vec!["Commands typed into a shell.".to_owned()],
            known_noise: Vec::new(),
            exec: Some(ExecText {
                grades: vec!["certain: low, risk score 21".to_owned()],
                paths: vec!["etc-shadow  HOST_CREDENTIALS  /etc/shadow*".to_owned()],
            }),
            query: None,
            new_terms: None,
            labels: None,
            suppress: None,
            exceptions: Vec::new(),
        }
    }

    #[test]
    fn table_and_text_read_well() {
        let entries = [entry("a", Severity::Low), entry("a-longer-id", Severity::Critical)];
        insta::assert_snapshot!("table", table(&entries));
        insta::assert_snapshot!("text", text(&entries[0]));
    }

    #[test]
    fn json_is_flat() {
        let value = json!(entry("a", Severity::High));
        assert_eq!(value["id"], "a");
        assert_eq!(value["severity"], "high");
        assert_eq!(value["kind"], "exec");
    }
}
