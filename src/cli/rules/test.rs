//! `kubetell rules test`: the test cases that stand with the rules, run.

mod junit;
mod report;

use std::path::PathBuf;

use clap::Args;

use crate::alert::visible::visible;
use crate::app::cases::{self, Runner, Suites};
use crate::cli::args::{ConfigArgs, TextOrJson};
use crate::cli::context::Context;
use crate::cli::exit::Exit;
use crate::cli::{report as say, stdout};
use crate::clock;

use self::report::{Ran, Report, Skipped};

#[derive(Debug, Clone, Args)]
pub struct TestArgs {
    /// Files and folders with rules; without any, the built-in rules and those of the configuration
    #[arg(value_name = "PATH", conflicts_with_all = ["config", "set"])]
    pub paths: Vec<PathBuf>,

    #[command(flatten)]
    pub config: ConfigArgs,

    /// A file or a folder with rules to test beside the others (repeatable)
    #[arg(long, value_name = "PATH")]
    pub rules: Vec<PathBuf>,

    /// Runs only the cases whose `RULE: NAME` holds this text
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,

    /// Fails when a rule has no cases, and when cases are skipped because their rule is left out
    #[arg(long)]
    pub strict: bool,

    /// Writes the results to a file too, as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,

    /// A line for each case, or one JSON object
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: TextOrJson,
}

/// Longest line of an error that is told.
const LINE_MAX_CHARS: usize = 2_000;

pub(super) fn test(args: &TestArgs, context: &Context) -> Exit {
    let suites = match gathered(args, context) {
        Ok(suites) => suites,
        Err(exit) => return exit,
    };
    for left_out in &suites.left_out {
        say::warning(shown(&format!("left out: {}", left_out.error)));
    }
    for (_, error) in &suites.errors {
        say::error_text(&shown(&error.to_string()));
    }
    let none = suites.left_out.iter().all(|left_out| left_out.cases.is_empty());
    if suites.suites.is_empty() && suites.errors.is_empty() && none {
        say::error("there is no rule file", Some("rule files end with `.toml`"));
        return Exit::Configuration;
    }
    let report = match ran(args, &suites) {
        Ok(report) => report,
        Err(exit) => return exit,
    };
    // A mistyped filter must not pass for a success.
    let nothing = report.cases.is_empty() && report.skipped.is_empty();
    if report.invalid.is_empty() && nothing && args.filter.is_some() {
        let hint = "it is compared with `RULE: NAME` of each case";
        say::error("no case holds the text of `--filter`", Some(hint));
        return Exit::Usage;
    }
    if let Some(path) = &args.junit
        && let Err(error) = std::fs::write(path, junit::document(&report))
    {
        let hint = "choose a place that can be written to with `--junit`";
        say::error(format_args!("cannot write `{}`: {error}", path.display()), Some(hint));
        return Exit::Usage;
    }
    let shown = match args.format {
        TextOrJson::Text => stdout::print(&report.text()),
        TextOrJson::Json => stdout::print_json(&serde_json::json!(report)),
    };
    match shown {
        Exit::Done => verdict(&report),
        other => other,
    }
}

/// A text of several lines in which names of files and lines of them may stand.
fn shown(text: &str) -> String {
    text.lines().map(|line| visible(line, LINE_MAX_CHARS) + "\n").collect()
}

fn verdict(report: &Report) -> Exit {
    if !report.invalid.is_empty() {
        Exit::Configuration
    } else if report.has_failed() {
        Exit::AlertsFound
    } else {
        Exit::Done
    }
}

/// The rules to test.
fn gathered(args: &TestArgs, context: &Context) -> Result<Suites, Exit> {
    let mut paths = args.paths.clone();
    paths.extend(args.rules.iter().cloned());
    if !args.paths.is_empty() {
        return Ok(cases::of_files(&paths));
    }
    let builtin = cases::builtin().map_err(|error| {
        say::error_text(&error.to_string());
        Exit::Internal
    })?;
    let mut all = context.load_config(&args.config)?.config.rules;
    all.extend(paths);
    Ok(builtin.and(cases::of_files(&all)))
}

fn ran(args: &TestArgs, suites: &Suites) -> Result<Report, Exit> {
    let mut report = Report::new(args.strict);
    let invalid = suites.errors.iter();
    report.invalid =
        invalid.map(|(path, error)| (path.clone(), error.to_string()).into()).collect();
    let rules = match suites.rules() {
        Ok(rules) => rules,
        // Whoever reads the results in a file is told as well.
        Err(error) => {
            let error = error.to_string();
            say::error_text(&shown(&error));
            let paths = suites.suites.iter().filter(|suite| !suite.builtin);
            let mut named = paths.filter(|suite| error.contains(&suite.path.display().to_string()));
            let path =
                named.next_back().map_or_else(|| PathBuf::from("rules"), |it| it.path.clone());
            report.invalid.push((path, error).into());
            return Ok(report);
        }
    };
    let failed = |text: String| {
        say::error(text, None);
        Exit::Internal
    };
    let runner = Runner::new(rules).map_err(|error| failed(error.to_string()))?;
    let filter = args.filter.as_deref().unwrap_or_default();
    let begun = clock::monotonic();
    for suite in &suites.suites {
        let id = suite.rule.id();
        if suite.cases.is_empty() && id.contains(filter) {
            report.without_cases.push(id.to_owned());
        }
        for placed in &suite.cases {
            if !format!("{id}: {}", placed.case.name).contains(filter) {
                report.filtered_out += 1;
                continue;
            }
            let begun = clock::monotonic();
            let outcome = runner.run(suite, placed).map_err(|error| {
                failed(format!("{id}: {}: {error}", placed.case.name.escape_debug()))
            })?;
            let seconds = begun.elapsed().as_secs_f64();
            report.cases.push(Ran::new(id, placed, outcome, seconds));
        }
    }
    for left_out in &suites.left_out {
        for placed in &left_out.cases {
            let skipped = Skipped::new(left_out, placed);
            if format!("{}: {}", skipped.rule, skipped.name).contains(filter) {
                report.skipped.push(skipped);
            } else {
                report.filtered_out += 1;
            }
        }
    }
    report.seconds = begun.elapsed().as_secs_f64();
    Ok(report)
}
