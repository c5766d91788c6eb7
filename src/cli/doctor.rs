//! `kubetell doctor`: what the input holds, and what it means for the rules.

mod text;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, value_parser};
use indicatif::{ProgressBar, ProgressStyle};

use crate::app::doctor::findings::Severity;
use crate::app::doctor::report::Report;
use crate::app::doctor::{self as engine, DoctorError, DoctorOptions, Outcome, Watcher};
use crate::clock;
use crate::config::Config;
use crate::rules::set::RuleSet;

use super::args::{self, ConfigArgs, Moment, TextOrJson};
use super::context::Context;
use super::exit::Exit;
use super::signals::{self, Signals};
use super::{help, report, rule_files, run as service, stdout};

/// Records of each topic where nothing else is said.
const SAMPLE_DEFAULT: u64 = 20_000;
const SAMPLE_MAX: u64 = 100_000_000;

/// Says what a sample of the input holds, and what it means for the rules
///
/// Reads the newest records of the source topics of the configuration, or files: which wrappers,
/// stages and verbs there are, whether execs and reads of Secrets are among them, what is missing,
/// late or cut. Joins no group, commits nothing and writes nothing.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = help::DOCTOR)]
pub struct DoctorArgs {
    /// Files and directories, `-` for standard input, in the place of the topics
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    #[command(flatten)]
    pub config: ConfigArgs,

    /// Reads so many records of each topic, the newest, spread over its partitions [default:
    /// 20000]; of each PATH the first ones [default: all]
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=SAMPLE_MAX))]
    pub sample: Option<u64>,

    /// Leaves out records before this time: a timestamp, a date (UTC) or a duration before now
    #[arg(long, value_name = "TIME", conflicts_with = "paths")]
    pub from: Option<Moment>,

    /// Leaves out records that are older than this
    #[arg(
        long,
        value_name = "DURATION",
        conflicts_with_all = ["from", "paths"],
        value_parser = args::duration_ms
    )]
    pub last: Option<i64>,

    /// A report for people, or one JSON object
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: TextOrJson,

    /// Exits 1 for a warning too
    #[arg(long)]
    pub strict: bool,

    /// Shows no progress
    #[arg(long, short)]
    pub quiet: bool,
}

pub fn run(args: &DoctorArgs, context: &Context) -> Exit {
    match prepare(args, context) {
        Ok((config, rules)) => read(args, &config, &rules, context),
        Err(exit) => exit,
    }
}

fn prepare(args: &DoctorArgs, context: &Context) -> Result<(Config, Arc<RuleSet>), Exit> {
    let config = context.load_config(&args.config)?.config;
    let (rules, exceptions) = (&config.rules, &config.exceptions);
    let rules =
        rule_files::in_force_excepting(rules, exceptions, &config.enabled_rules, Exit::Internal)?;
    Ok((config, Arc::new(rules)))
}

fn read(args: &DoctorArgs, config: &Config, rules: &Arc<RuleSet>, context: &Context) -> Exit {
    let (signals, _runtime) = match signals::hear() {
        Ok(heard) => heard,
        Err(exit) => return exit,
    };
    let mut progress = Progress::new(args, context, Arc::clone(&signals));
    let from = args.last.map(Moment::Ago).or(args.from);
    let outcome = if args.paths.is_empty() {
        let options = DoctorOptions {
            sample: args.sample.unwrap_or(SAMPLE_DEFAULT),
            from_ms: from.map(|from| from.resolve_ms(clock::now_ms())),
        };
        engine::topics(config, rules, &options, &signals.stop, &mut progress)
    } else {
        let stop = &signals.stop;
        engine::files(config, rules, &args.paths, args.sample, stop, &mut progress)
    };
    progress.end();
    match outcome {
        Ok(outcome) => tell(&outcome, args, context),
        Err(error) => failed(&error),
    }
}

/// Prints the report and what is to be known of it; the exit code.
fn tell(outcome: &Outcome, args: &DoctorArgs, context: &Context) -> Exit {
    let Outcome { report, failure } = outcome;
    let printed = match args.format {
        TextOrJson::Text => {
            let colours = context.stdout_is_terminal
                && anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never;
            stdout::print(&text::report(report, colours))
        }
        TextOrJson::Json => stdout::print_json(&serde_json::json!(report)),
    };
    if let Some(error) = failure {
        report::warning("what is shown is only what was read before the error");
        return failed(error);
    }
    if report.partial {
        report::warning("stopped by a signal: what is shown is only what was read by then");
    }
    match printed {
        Exit::Done => verdict(report, args.strict),
        printed => printed,
    }
}

fn verdict(report: &Report, strict: bool) -> Exit {
    let samples = report.sources.iter().map(|source| &source.sample);
    let is_whole = |sample: &engine::report::SampleView| {
        sample.unreadable == 0 && sample.lost == 0 && sample.damaged == 0
    };
    let grave = if strict { Severity::Warning } else { Severity::Error };
    if report.partial || !samples.clone().all(is_whole) {
        Exit::Partial
    } else if report.verdict <= grave {
        Exit::AlertsFound
    } else {
        Exit::Done
    }
}

fn failed(error: &DoctorError) -> Exit {
    match error {
        DoctorError::Reading(error) => service::reading_failed(error),
        DoctorError::Thread(_) => {
            report::error(error, None);
            Exit::Internal
        }
    }
}

/// Shows on stderr how the reading gets on.
struct Progress {
    bar: Option<ProgressBar>,
    /// The bar counts bytes, not offsets.
    bytes: bool,
    signals: Arc<Signals>,
}

impl Progress {
    fn new(args: &DoctorArgs, context: &Context, signals: Arc<Signals>) -> Progress {
        let bytes = !args.paths.is_empty();
        let bar = (context.stderr_is_terminal && !args.quiet).then(|| {
            let bar = ProgressBar::new_spinner();
            bar.enable_steady_tick(Duration::from_millis(200));
            bar.set_message(if bytes { "reading" } else { "looking up the offsets" });
            bar
        });
        Progress { bar, bytes, signals }
    }

    fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Watcher for Progress {
    fn at(&mut self, done: u64, total: Option<u64>, records: u64) {
        self.signals.begin();
        let Some(bar) = &self.bar else { return };
        if let Some(total) = total
            && bar.length() != Some(total)
        {
            bar.set_length(total);
            bar.reset_elapsed();
            let template = if self.bytes {
                "{bar:30} {bytes}/{total_bytes} {msg}, {eta} left"
            } else {
                "{bar:30} {percent}% {msg}, {eta} left"
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
        }
        bar.set_position(done);
        bar.set_message(format!("{records} records"));
    }
}
