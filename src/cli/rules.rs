//! `kubetell rules`: which rules are in force, and what one of them is.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use crate::app::rules::{self, RuleFile};
use crate::rules::compile::{Rule, RuleKind, RuleSet};
use crate::rules::format::{RuleInfo, Severity};

use super::args::{AlertFormat, TextOrJson};
use super::context::Context;
use super::exit::Exit;
use super::scan::{self, ScanArgs};
use super::{help, report, rule_files, stdout};

/// Lists the rules in force and shows what they look for
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
    Check(CheckArgs),
    /// Runs a query over files: what it would raise
    ///
    /// Prints every event that matches, each stage of a request once, as `kubetell scan` prints
    /// alerts.
    #[command(after_help = help::RULES_TRY)]
    Try(TryArgs),
}

#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// Files and folders with rules
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,

    /// Counts files of a kind that is not supported as errors
    #[arg(long)]
    pub strict: bool,

    /// A line for each file, or one JSON array
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: TextOrJson,
}

#[derive(Debug, Clone, Args)]
pub struct TryArgs {
    /// A query in KQL, e.g. `event.action:delete and kubernetes.audit.objectRef.resource:secrets`
    #[arg(value_name = "QUERY")]
    pub query: String,

    /// Files and directories; `-`, or nothing, reads standard input
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// How events are written [default: text on a terminal, ecs otherwise]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<AlertFormat>,
}

#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    /// A file or a folder with rules beside the built-in ones (repeatable)
    #[arg(long, value_name = "PATH")]
    pub rules: Vec<PathBuf>,

    /// A table, or one JSON array
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: TextOrJson,
}

#[derive(Debug, Clone, Args)]
pub struct ShowArgs {
    /// A file or a folder with rules beside the built-in ones (repeatable)
    #[arg(long, value_name = "PATH")]
    pub rules: Vec<PathBuf>,

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
    /// What the rule cannot see.
    blind_spots: Vec<String>,
    /// What is known to match without being an intrusion.
    known_noise: Vec<String>,
}

pub fn run(args: &RulesArgs, context: &Context) -> Exit {
    let files = match &args.command {
        RulesCommand::List(args) => &args.rules,
        RulesCommand::Show(args) => &args.rules,
        RulesCommand::Check(args) => return check(args),
        RulesCommand::Try(args) => return try_query(args, context),
    };
    let entries = match rule_files::in_force(files, &[], Exit::Usage) {
        Ok(rules) => entries(&rules),
        Err(exit) => return exit,
    };
    match &args.command {
        RulesCommand::Check(_) | RulesCommand::Try(_) => Exit::Internal,
        RulesCommand::List(args) => match args.format {
            TextOrJson::Text => stdout::print(&table(&entries)),
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

/// What became of one rule file, for programs.
#[derive(Debug, Serialize)]
struct Checked {
    path: String,
    /// `ok`, `unsupported` or `invalid`.
    verdict: &'static str,
    rule: Option<String>,
    kind: Option<&'static str>,
    /// What of the file has no meaning here.
    notes: Vec<String>,
    error: Option<String>,
}

fn check(args: &CheckArgs) -> Exit {
    let files = rules::read(&args.paths);
    let mut checked = Vec::with_capacity(files.len());
    let mut valid = Vec::new();
    for RuleFile { path, outcome } in files {
        let path = path.display().to_string();
        checked.push(match outcome {
            Ok(found) => {
                let entry = Checked {
                    path: path.clone(),
                    verdict: "ok",
                    rule: Some(found.rule.id().to_owned()),
                    kind: Some(kind_of(&found.rule)),
                    notes: found.notes,
                    error: None,
                };
                valid.push((path, found.rule));
                entry
            }
            Err(error) => Checked {
                path,
                verdict: if error.is_unsupported() { "unsupported" } else { "invalid" },
                rule: None,
                kind: None,
                notes: Vec::new(),
                error: Some(error.to_string()),
            },
        });
    }
    // What is wrong with all of them together: two of one id, or too much.
    let together = RuleSet::of(valid).and_then(|own| RuleSet::builtin()?.merged(own));
    let none = checked.is_empty();
    let failed = |it: &Checked| it.verdict == "invalid" || args.strict && it.verdict != "ok";
    let bad = checked.iter().any(failed) || together.is_err() || none;
    let shown = match args.format {
        TextOrJson::Json => stdout::print_json(&json!(checked)),
        TextOrJson::Text => {
            let mut lines = String::new();
            for it in &checked {
                let what = match (&it.rule, it.kind) {
                    (Some(rule), Some(kind)) => format!("{kind} rule `{rule}`"),
                    _ => it.verdict.to_owned(),
                };
                lines.push_str(&format!("{}: {what}\n", it.path));
            }
            stdout::print(&lines)
        }
    };
    for it in &checked {
        if args.format == TextOrJson::Text {
            for note in &it.notes {
                report::note(format_args!("`{}`: {note}", it.path));
            }
        }
        match &it.error {
            Some(error) if failed(it) => report::error_text(error),
            Some(error) => report::warning(error),
            None => {}
        }
    }
    if let Err(error) = together {
        report::error_text(&error.to_string());
    }
    if none {
        report::error("there is no rule file", Some("rule files end with `.toml`"));
    }
    match shown {
        Exit::Done if bad => Exit::Configuration,
        shown => shown,
    }
}

/// What `scan` does with the query as its only rule.
fn try_query(args: &TryArgs, context: &Context) -> Exit {
    let rules = || {
        let rule = Rule::of_query(&args.query).map_err(|error| error.to_string());
        let set = |rule| {
            let own = RuleSet::of([(String::new(), rule)]).map_err(|error| error.to_string())?;
            let all = RuleSet::builtin().and_then(|builtin| builtin.merged(own));
            let all = all.map_err(|error| error.to_string())?;
            all.only(&[Rule::QUERY_ID]).map_err(|error| error.to_string())
        };
        rule.and_then(set).map_err(|error| {
            report::error_text(&error);
            Exit::Usage
        })
    };
    let scan = ScanArgs { paths: args.paths.clone(), format: args.format, ..ScanArgs::default() };
    scan::run_with(&scan, context, rules)
}

fn kind_of(rule: &Rule) -> &'static str {
    match rule.kind() {
        RuleKind::Exec(_) => "exec",
        RuleKind::NewTerms(_) => "new-terms",
        RuleKind::Query(_) => "query",
    }
}

/// The rules, in their order.
fn entries(rules: &RuleSet) -> Vec<Entry> {
    let all = rules.rules().iter().chain(rules.off());
    all.map(|rule| Entry {
        info: Arc::clone(rule.info()),
        kind: kind_of(rule),
        enabled: rule.enabled(),
        blind_spots: rule.notes().blind_spots.clone(),
        known_noise: rule.notes().known_noise.clone(),
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
    let head = ["ID", "SEVERITY", "RISK", "KIND", "NAME"].map(str::to_owned);
    let rows: Vec<&[String; 5]> = std::iter::once(&head).chain(&rows).collect();
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let widths: [usize; 5] = std::array::from_fn(width);
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
    for (head, lines) in
        [("What it cannot see:", &entry.blind_spots), ("Known noise:", &entry.known_noise)]
    {
        if !lines.is_empty() {
            out.push_str(&format!("\n{head}\n"));
            lines.iter().for_each(|line| out.push_str(&format!("- {}\n", line.trim())));
        }
    }
    out
}

fn kind(entry: &Entry) -> String {
    format!("{}{}", entry.kind, if entry.enabled { "" } else { ", off by default" })
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
        };
        Entry {
            info: Arc::new(info),
            kind: "exec",
            enabled: true,
            blind_spots: vec!["Commands typed into a shell.".to_owned()],
            known_noise: Vec::new(),
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
