//! `kubetell backtest`: what rules would have raised over a range of the real topic.

mod text;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, value_parser};
use indicatif::{ProgressBar, ProgressStyle};

use crate::alert::visible::visible;
use crate::app::backtest::report::{PartitionView, Report};
use crate::app::backtest::{
    self as engine, BacktestError, BacktestOptions, Outcome, Sides, Watcher,
};
use crate::clock;
use crate::config::Config;
use crate::duration::format_duration;
use crate::limits;
use crate::plural::several;
use crate::rules::set::RuleSet;

use super::args::{self, ConfigArgs, Moment, TextOrJson};
use super::context::Context;
use super::exit::Exit;
use super::signals::{self, Signals};
use super::{help, report, rule_files, run as service, scan, stdout};

/// Counts what the rules would have raised over a range of the source topics
///
/// Reads the topics of the configuration between two times and asks the rules, and beside them a
/// candidate's, if one is given. Joins no group, commits nothing and writes nothing to Kafka or to
/// the state directory.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = help::BACKTEST)]
pub struct BacktestArgs {
    #[command(flatten)]
    pub config: ConfigArgs,

    /// Where the range begins: a timestamp, a date (UTC) or a duration before now
    #[arg(long, value_name = "TIME", required_unless_present = "last")]
    pub from: Option<Moment>,

    /// Where it ends; what stands at this time does not count [default: now]
    #[arg(long, value_name = "TIME")]
    pub to: Option<Moment>,

    /// The range from so long ago until now
    #[arg(
        long,
        value_name = "DURATION",
        conflicts_with_all = ["from", "to"],
        value_parser = args::duration_ms
    )]
    pub last: Option<i64>,

    /// How much before the range is read for new-terms rules alone: with `0s` every term of the
    /// range is new [default: the longest window of the rules]
    #[arg(long, value_name = "DURATION", value_parser = args::learning_ms)]
    pub history: Option<i64>,

    /// A file or a folder with rules to compare: the built-in rules and these against the
    /// configuration's (repeatable)
    #[arg(long, value_name = "PATH")]
    pub candidate: Vec<PathBuf>,

    /// Puts a rule in force that is off by default, in the candidate where there is one (repeatable)
    #[arg(long, value_name = "ID")]
    pub enable: Vec<String>,

    /// Runs this rule only (repeatable)
    #[arg(long, value_name = "ID")]
    pub only: Vec<String>,

    /// Partitions read at a time, and threads that ask the rules; 0 is one a core
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        value_parser = value_parser!(u16).range(0..=limits::WORKERS_MAX)
    )]
    pub jobs: u16,

    /// Lists so many users; the others are summed up
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = value_parser!(u16))]
    pub top: u16,

    /// Shows so many alerts of each rule, and of each part of the difference [default: 5 when a
    /// candidate is compared, else 0]
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(0..=1_000))]
    pub examples: Option<u16>,

    /// Tables, or one JSON object
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: TextOrJson,

    /// Shows no progress
    #[arg(long, short)]
    pub quiet: bool,
}

pub fn run(args: &BacktestArgs, context: &Context) -> Exit {
    match prepare(args, context) {
        Ok(prepared) => read(args, &prepared, context),
        Err(exit) => exit,
    }
}

struct Prepared {
    config: Config,
    sides: Sides,
    options: BacktestOptions,
}

fn prepare(args: &BacktestArgs, context: &Context) -> Result<Prepared, Exit> {
    let (from_ms, to_ms) = range(args, clock::now_ms())?;
    let config = context.load_config(&args.config)?.config;
    let sides = sides(args, &config)?;
    let options = BacktestOptions {
        from_ms,
        to_ms,
        history_ms: args.history.unwrap_or(sides.longest_window_ms()),
        jobs: match args.jobs {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            jobs => usize::from(jobs),
        },
        examples: match args.examples {
            Some(examples) => usize::from(examples),
            None if sides.candidate.is_some() => 5,
            None => 0,
        },
        users: usize::from(args.top),
    };
    Ok(Prepared { config, sides, options })
}

/// First moment and end, milliseconds since the epoch.
fn range(args: &BacktestArgs, now_ms: i64) -> Result<(i64, i64), Exit> {
    let from = args.last.map(Moment::Ago).or(args.from).unwrap_or(Moment::Ago(0));
    let from_ms = from.resolve_ms(now_ms);
    let to_ms = args.to.map_or(now_ms, |to| to.resolve_ms(now_ms));
    if from_ms < to_ms {
        return Ok((from_ms, to_ms));
    }
    let message = match (args.last, args.to) {
        (Some(_), _) => "`--last` is no time at all: no record can lie within it",
        (None, Some(_)) => "`--from` is not before `--to`: no record can lie between them",
        (None, None) => "`--from` is not before now: no record can lie between them",
    };
    report::error(message, None);
    Err(Exit::Usage)
}

/// The rules of the configuration, and those of the candidate.
fn sides(args: &BacktestArgs, config: &Config) -> Result<Sides, Exit> {
    let (own, exceptions) = (&config.rules, &config.exceptions);
    let current =
        rule_files::in_force_excepting(own, exceptions, &config.enabled_rules, Exit::Internal)?;
    let sets = if args.candidate.is_empty() {
        vec![enable(current, &args.enable)?]
    } else {
        let candidate = rule_files::in_force(&args.candidate, &[], Exit::Usage)?;
        let candidate = rule_files::excepting_known(candidate, exceptions)?;
        // The configuration may turn rules on that only its own files have.
        let known = config.enabled_rules.iter().filter(|id| candidate.get(id).is_some());
        let enabled: Vec<&String> = known.chain(&args.enable).collect();
        vec![current, enable(candidate, &enabled)?]
    };
    if let Some(id) = args.only.iter().find(|id| sets.iter().all(|set| set.get(id).is_none()))
        && let Some(set) = sets.last()
    {
        report::unknown_rule(&set.unknown(id).to_string());
        return Err(Exit::Usage);
    }
    let mut sets = sets.into_iter().map(|set| only(set, &args.only).map(Arc::new));
    let current = sets.next().ok_or(Exit::Internal)??;
    Ok(Sides { current, candidate: sets.next().transpose()? })
}

fn enable(set: RuleSet, ids: &[impl AsRef<str>]) -> Result<RuleSet, Exit> {
    set.with(ids).map_err(|unknown| {
        report::unknown_rule(&unknown.to_string());
        Exit::Usage
    })
}

/// Of a set the rules of these ids that it has; all of them where no id is given.
fn only(set: RuleSet, ids: &[String]) -> Result<RuleSet, Exit> {
    let known: Vec<&String> = ids.iter().filter(|id| set.get(id).is_some()).collect();
    if known.is_empty() && !ids.is_empty() {
        return RuleSet::from_sources([]).map_err(|error| {
            report::error_text(&error.to_string());
            Exit::Internal
        });
    }
    set.only(&known).map_err(|unknown| {
        report::unknown_rule(&unknown.to_string());
        Exit::Usage
    })
}

fn read(args: &BacktestArgs, prepared: &Prepared, context: &Context) -> Exit {
    let Prepared { config, sides, options } = prepared;
    let (signals, _runtime) = match signals::hear() {
        Ok(heard) => heard,
        Err(exit) => return exit,
    };
    if args.history.is_none() && options.history_ms > 0 && !args.quiet {
        report::note(format_args!(
            "{} before the range are read as well, for the new-terms rules; `--history` sets how much",
            format_duration(options.history_ms)
        ));
    }
    let mut progress = Progress::new(args.quiet, context, Arc::clone(&signals));
    let begun = clock::monotonic();
    let outcome = engine::backtest(config, sides, options, &signals.stop, &mut progress);
    let seconds = begun.elapsed().as_secs_f64();
    progress.end();
    match outcome {
        Ok(outcome) => {
            if context.stderr_is_terminal && !args.quiet {
                say_speed(&outcome.report, seconds);
            }
            tell(&outcome, args, prepared, context)
        }
        Err(error) => failed(&error),
    }
}

fn say_speed(report: &Report, seconds: f64) {
    let records = report.read.records + report.read.history_records;
    let rate = (records as f64 / seconds.max(0.001)).round();
    let records = several(records, "record");
    report::note(format_args!("{records} in {seconds:.1} s, {rate} a second"));
}

/// Prints the report and what is to be known of it; the exit code.
fn tell(outcome: &Outcome, args: &BacktestArgs, prepared: &Prepared, context: &Context) -> Exit {
    let Outcome { report, failure } = outcome;
    let printed = match args.format {
        TextOrJson::Text => {
            let options = &prepared.options;
            let colours = context.stdout_is_terminal
                && anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never;
            let range = (options.from_ms, options.to_ms);
            stdout::print(&text::report(report, range, colours))
        }
        TextOrJson::Json => stdout::print_json(&serde_json::json!(report)),
    };
    say_what_is_missing(report, &prepared.sides, &prepared.options);
    if !report.excepted.is_empty() {
        let by = scan::counted(&report.excepted);
        report::note(format_args!("exceptions held of events (once for each rule): {by}"));
    }
    if let Some(error) = failure {
        report::warning("what is shown is only what was read before the error");
        return failed(error);
    }
    if report.partial {
        report::warning("stopped by a signal: what is shown is only what was read by then");
    }
    let whole = !report.partial
        && report.unreadable.is_empty()
        && report.read.damaged == 0
        && report.read.lost == 0;
    match printed {
        Exit::Done if !whole => Exit::Partial,
        printed => printed,
    }
}

/// What the topic no longer has, and what could not be read.
fn say_what_is_missing(report: &Report, sides: &Sides, options: &BacktestOptions) {
    let cut: Vec<&PartitionView> = report.partitions.iter().filter(|it| it.range_cut).collect();
    let all = report.partitions.len();
    if !cut.is_empty() {
        let latest = latest_begin(&cut);
        report::warning(format_args!(
            "{} of {all} partitions begin later than the range{latest}: what stood before was deleted by retention, and is missing here",
            cut.len()
        ));
    }
    let history: Vec<&PartitionView> =
        report.partitions.iter().filter(|it| it.history_cut && !it.range_cut).collect();
    if options.history_ms > 0 && !history.is_empty() {
        report::note(format_args!(
            "{} of {all} partitions begin later than the history of {}{}: a term that was seen only before is new here",
            history.len(),
            format_duration(options.history_ms),
            latest_begin(&history)
        ));
    }
    if options.history_ms == 0 && sides.longest_window_ms() > 0 {
        report::note("no history is read: every term of the range is new to the new-terms rules");
    }
    if report.read.lost > 0 {
        report::warning(format_args!(
            "{} records were deleted by retention while they were read",
            report.read.lost
        ));
    }
    if report.read.damaged > 0 {
        report::warning("damaged records were passed over: no client can read them");
    }
}

/// When the last of the partitions that were read begins, in words; nothing where none was.
fn latest_begin(partitions: &[&PartitionView]) -> String {
    let begins = partitions.iter().filter_map(|partition| partition.first_record.as_ref());
    begins.max().map(|time| format!(" (what was read is whole from {time} on)")).unwrap_or_default()
}

fn failed(error: &BacktestError) -> Exit {
    match error {
        BacktestError::Reading(error) => service::reading_failed(error),
        BacktestError::Scratch(_) => {
            let hint = "it is made where the variable TMPDIR says, and needs space there";
            report::error(error, Some(hint));
            Exit::Internal
        }
        BacktestError::Redaction(_) | BacktestError::Encode(_) | BacktestError::Thread(_) => {
            report::error(error, None);
            Exit::Internal
        }
    }
}

/// How many unreadable records are named one by one.
const UNREADABLE_SAID_MAX: u64 = 10;

/// Shows on stderr how the reading gets on.
struct Progress {
    bar: Option<ProgressBar>,
    unreadable: u64,
    quiet: bool,
    signals: Arc<Signals>,
}

impl Progress {
    fn new(quiet: bool, context: &Context, signals: Arc<Signals>) -> Progress {
        let bar = (context.stderr_is_terminal && !quiet).then(|| {
            let bar = ProgressBar::new_spinner();
            bar.enable_steady_tick(Duration::from_millis(200));
            bar.set_message("looking up the offsets");
            bar
        });
        Progress { bar, unreadable: 0, quiet, signals }
    }

    fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Watcher for Progress {
    fn at(&mut self, done: u64, total: u64, records: u64) {
        self.signals.begin();
        let Some(bar) = &self.bar else { return };
        if bar.length() != Some(total) {
            bar.set_length(total);
            bar.reset_elapsed();
            let template = "{bar:30} {percent}% {msg}, {eta} left";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
        }
        bar.set_position(done);
        bar.set_message(format!("{records} records, {:.0} a second", bar.per_sec()));
    }

    fn unreadable(&mut self, place: &str, reason: &str) {
        self.unreadable += 1;
        if self.quiet || self.unreadable > UNREADABLE_SAID_MAX {
            return;
        }
        let place = visible(place, 1_000);
        let text = format!("{place}: not read: {reason}");
        match &self.bar {
            Some(bar) => bar.suspend(|| report::warning(text)),
            None => report::warning(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_two_ends_in_their_order() {
        let now_ms = 1_800_000_000_000;
        let check = |from: Option<&str>, to: Option<&str>, last: Option<i64>, expected| {
            let moment = |text: Option<&str>| text.map(|text| text.parse().unwrap());
            let args =
                BacktestArgs { from: moment(from), to: moment(to), last, ..Default::default() };
            assert_eq!(range(&args, now_ms).ok(), expected, "{from:?} {to:?} {last:?}");
        };
        let day_ms = limits::DAY_MS;
        check(None, None, Some(day_ms), Some((now_ms - day_ms, now_ms)));
        check(Some("2d"), Some("1d"), None, Some((now_ms - 2 * day_ms, now_ms - day_ms)));
        check(Some("1970-01-02"), None, None, Some((day_ms, now_ms)));
        check(
            Some("1970-01-02"),
            Some("1970-01-02T00:00:01Z"),
            None,
            Some((day_ms, day_ms + 1_000)),
        );
        check(Some("1d"), Some("2d"), None, None);
        check(Some("1d"), Some("1d"), None, None);
        check(Some("2100-01-01"), None, None, None);
        check(None, None, Some(0), None);
    }
}
