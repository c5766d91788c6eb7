//! `kubetell rules check` and `kubetell rules try`: what rule files and queries are worth before they
//! are in force.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::app::cases;
use crate::app::rules::{self, ExceptionFile, FileError, RuleFile};
use crate::cli::args::{AlertFormat, TextOrJson};
use crate::cli::context::Context;
use crate::cli::exit::Exit;
use crate::cli::scan::{self, ScanArgs};
use crate::cli::{report, stdout};
use crate::clock;
use crate::plural::several;
use crate::rules::exceptions::{Exception, ExceptionError};
use crate::rules::rule::Rule;
use crate::rules::set::RuleSet;

use super::kind_of;

#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// Files and folders with rules and exceptions
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

/// What became of one rule file, for programs.
#[derive(Debug, Default, Serialize)]
struct Checked {
    path: String,
    /// `ok`, `unsupported` or `invalid`.
    verdict: &'static str,
    rule: Option<String>,
    /// `exec`, `new-terms`, `query`, or `exceptions`.
    kind: Option<&'static str>,
    /// How many test cases it has.
    cases: usize,
    /// How many there are in it.
    exceptions: usize,
    /// What of the file has no meaning here.
    notes: Vec<String>,
    error: Option<String>,
    /// The same one by one, where there are several.
    #[serde(skip)]
    errors: Vec<String>,
}

impl Checked {
    /// A file that gives no rule.
    fn without(verdict: &'static str, path: String, error: &impl ToString) -> Checked {
        let error = Some(error.to_string());
        Checked { path, verdict, error, ..Checked::default() }
    }
}

pub(super) fn check(args: &CheckArgs) -> Exit {
    let files = rules::read(&args.paths);
    let mut checked = Vec::with_capacity(files.len());
    let (mut valid, mut excepted) = (Vec::new(), Vec::new());
    for RuleFile { path, outcome } in files {
        if outcome.as_ref().is_err_and(FileError::is_exceptions) {
            for file in rules::read_exceptions(&[path]) {
                checked.push(check_exceptions(file, &mut excepted));
            }
            continue;
        }
        let shown = path.display().to_string();
        checked.push(match outcome {
            Ok(found) => {
                let cases = cases::of_rule(&path);
                let entry = Checked {
                    path: shown.clone(),
                    verdict: if cases.is_ok() { "ok" } else { "invalid" },
                    rule: Some(found.rule.id().to_owned()),
                    kind: Some(kind_of(&found.rule)),
                    cases: cases.as_ref().map_or(0, Vec::len),
                    exceptions: found.rule.exceptions().len(),
                    notes: found.notes,
                    error: cases.err().map(|error| error.to_string()),
                    errors: Vec::new(),
                };
                valid.push((shown, found.rule));
                entry
            }
            Err(error) if error.is_unsupported() => Checked::without("unsupported", shown, &error),
            Err(error) => Checked::without("invalid", shown, &error),
        });
    }
    for (path, error) in cases::without_rule(&args.paths) {
        checked.push(Checked::without("invalid", path.display().to_string(), &error));
    }
    let together = together(valid, excepted);
    if let Ok(all) = &together {
        for it in &mut checked {
            if it.rule.as_ref().is_some_and(|id| all.asks_everything(id)) {
                it.notes.push(rules::ASKS_EVERYTHING.to_owned());
            }
        }
    }
    let none = checked.is_empty();
    let failed = |it: &Checked| it.verdict == "invalid" || args.strict && it.verdict != "ok";
    let bad = checked.iter().any(failed) || together.is_err() || none;
    let shown = match args.format {
        TextOrJson::Json => stdout::print_json(&json!(checked)),
        TextOrJson::Text => {
            let mut lines = String::new();
            for it in &checked {
                let parts = [counted(it.exceptions, "exception"), counted(it.cases, "test case")];
                let parts = parts.into_iter().flatten();
                let what = match (&it.rule, it.kind) {
                    (Some(rule), Some(kind)) if it.error.is_none() => {
                        let rule = format!("{kind} rule `{rule}`");
                        std::iter::once(rule).chain(parts).collect::<Vec<_>>().join(", ")
                    }
                    (None, Some(_)) => parts.collect::<Vec<_>>().join(", "),
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
            Some(_) if !it.errors.is_empty() => {
                it.errors.iter().for_each(|error| report::error_text(error));
            }
            Some(error) if failed(it) => report::error_text(error),
            Some(error) => report::warning(error),
            None => {}
        }
    }
    match together {
        Ok(rules) => rules.exception_warnings(clock::now_ms()).iter().for_each(report::warning),
        Err(errors) => errors.iter().for_each(|error| report::error_text(error)),
    }
    if none {
        report::error("there is no rule file", Some("rule files end with `.toml`"));
    }
    match shown {
        Exit::Done if bad => Exit::Configuration,
        shown => shown,
    }
}

fn check_exceptions(file: ExceptionFile, excepted: &mut Vec<Exception>) -> Checked {
    let path = file.path.display().to_string();
    let mut checked = Checked { path, verdict: "invalid", ..Checked::default() };
    match file.outcome {
        Ok(found) => {
            (checked.verdict, checked.kind) = ("ok", Some("exceptions"));
            checked.exceptions = found.len();
            excepted.extend(found);
        }
        Err(errors) => {
            checked.errors = errors.iter().map(ToString::to_string).collect();
            checked.error = Some(checked.errors.join("\n"));
        }
    }
    checked
}

/// What is wrong with all of them together: two of one id, too much, an exception of a rule that
/// is not there.
fn together(
    rules: Vec<(String, Rule)>,
    exceptions: Vec<Exception>,
) -> Result<RuleSet, Vec<String>> {
    let all = RuleSet::of(rules).and_then(|own| RuleSet::builtin()?.merged(own));
    let all = all.map_err(|error| vec![error.to_string()])?;
    let told = |errors: Vec<ExceptionError>| errors.iter().map(ToString::to_string).collect();
    all.excepting(exceptions).map_err(told)
}

/// `3 exceptions`; nothing where there is none.
fn counted(count: usize, what: &str) -> Option<String> {
    (count > 0).then(|| several(count as u64, what))
}

/// What `scan` does with the query as its only rule.
pub(super) fn try_query(args: &TryArgs, context: &Context) -> Exit {
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
