//! `kubetell scan`: the same detections over files, directories or stdin.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, value_parser};

use crate::alert::Alert;
use crate::alert::redact::Redaction;
use crate::app::run::instance_name;
use crate::app::scan::{self as engine, ScanError, ScanOptions, ScanSink, ScanStats};
use crate::clock;
use crate::detect::matcher::Matcher;
use crate::limits;
use crate::output::terminal;
use crate::plural::several;
use crate::rules::set::RuleSet;
use crate::terms::local::LocalFold;
use crate::terms::store::Store;
use crate::terms::store::memory::MemoryStore;
use crate::terms::store::open::Expectation;
use crate::terms::store::sled::SledStore;

use super::args::{self, AlertFormat, Cluster, Moment};
use super::context::Context;
use super::exit::Exit;
use super::{help, report, rule_files, stdout};

/// Runs the detections over files, directories or standard input, without Kafka
///
/// Takes any wrapper, NDJSON or one document a file, gzip and zstd by content. The order of the
/// output is the input's and does not depend on the number of threads.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = help::SCAN)]
pub struct ScanArgs {
    /// Files and directories; `-`, or nothing, reads standard input
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// How alerts are written [default: text on a terminal, ecs otherwise]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<AlertFormat>,

    /// Writes alerts to a file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// A file or a folder with rules beside the built-in ones (repeatable)
    #[arg(long, value_name = "PATH")]
    pub rules: Vec<PathBuf>,

    /// A file or a folder with exceptions (repeatable)
    #[arg(long, value_name = "PATH")]
    pub exceptions: Vec<PathBuf>,

    /// Runs this rule only (repeatable)
    #[arg(long, value_name = "ID")]
    pub only: Vec<String>,

    /// Puts a rule in force that is off by default (repeatable)
    #[arg(long, value_name = "ID")]
    pub enable: Vec<String>,

    /// Shows passwords, tokens and keys in command lines as they are
    #[arg(long)]
    pub no_redact: bool,

    /// How long a new-terms rule only learns: with `0s` every first sighting alerts
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "0s",
        value_parser = args::learning_ms
    )]
    pub learning: i64,

    /// Leaves out events before this time: a timestamp, a date (UTC) or a duration before now
    #[arg(long, value_name = "TIME")]
    pub since: Option<Moment>,

    /// Leaves out events at this time and after it
    #[arg(long, value_name = "TIME")]
    pub until: Option<Moment>,

    /// Keeps the new-terms state in a directory between runs
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,

    /// Writes records that could not be read to a file; implies `--read-all`
    #[arg(long, value_name = "FILE")]
    pub unreadable: Option<PathBuf>,

    /// Reads records that can match no rule too, so that all that is broken is told (slower)
    #[arg(long)]
    pub read_all: bool,

    /// Name of the cluster that the events are from
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub cluster: Cluster,

    /// Number of threads; 0 is one a core
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        value_parser = value_parser!(u16).range(0..=limits::WORKERS_MAX)
    )]
    pub threads: u16,

    /// Shows no progress and no summary on stderr
    #[arg(long, short)]
    pub quiet: bool,

    /// Ends with one JSON line on stderr: records, bytes, seconds, alerts by rule, unreadable
    #[arg(long)]
    pub stats: bool,
}

/// A scan whose arguments are settled.
#[derive(Debug, Clone)]
pub struct Scan<'a> {
    pub args: &'a ScanArgs,
    /// `Text` or `Ecs`.
    pub format: AlertFormat,
    /// Milliseconds since the epoch, inclusive.
    pub since_ms: Option<i64>,
    /// Milliseconds since the epoch, exclusive.
    pub until_ms: Option<i64>,
}

pub fn run(args: &ScanArgs, context: &Context) -> Exit {
    let rules =
        || rule_files::in_force_excepting(&args.rules, &args.exceptions, &args.enable, Exit::Usage);
    run_with(args, context, rules)
}

/// The same with other rules.
pub(super) fn run_with(
    args: &ScanArgs,
    context: &Context,
    rules: impl FnOnce() -> Result<RuleSet, Exit>,
) -> Exit {
    let scanned = settle(args, context, clock::now_ms())
        .and_then(|scan| Ok((scan, rules()?)))
        .map(|(scan, rules)| scan_inputs(&scan, &rules, context));
    scanned.unwrap_or_else(|exit| exit)
}

/// Checks what clap cannot: what is not available yet and what contradicts itself.
fn settle<'a>(args: &'a ScanArgs, context: &Context, now_ms: i64) -> Result<Scan<'a>, Exit> {
    let format = AlertFormat::or_default(args.format, context);
    // A file is read by programs, whatever stdout is.
    let format = match (args.format, &args.output) {
        (None, Some(_)) => AlertFormat::Ecs,
        _ => format?,
    };
    let since_ms = args.since.map(|since| since.resolve_ms(now_ms));
    let until_ms = args.until.map(|until| until.resolve_ms(now_ms));
    if let (Some(since_ms), Some(until_ms)) = (since_ms, until_ms)
        && since_ms >= until_ms
    {
        report::error("`--since` is not before `--until`: no event can lie between them", None);
        return Err(Exit::Usage);
    }
    if args.paths.is_empty() && context.stdin_is_terminal {
        let hint = "name files or directories, or `-` to type events in";
        report::error("nothing to scan: standard input is a terminal", Some(hint));
        return Err(Exit::Usage);
    }
    Ok(Scan { args, format, since_ms, until_ms })
}

/// The scan itself. Without paths it reads standard input.
fn scan_inputs(scan: &Scan<'_>, rules: &RuleSet, context: &Context) -> Exit {
    let args = scan.args;
    let rules = match rules.only(&args.only) {
        Ok(rules) => Arc::new(rules),
        Err(unknown) => {
            report::unknown_rule(&unknown.to_string());
            return Exit::Usage;
        }
    };
    let store = match open_state(args) {
        Ok(store) => store,
        Err(exit) => return exit,
    };
    let mut sink = match Sink::new(scan, context) {
        Ok(sink) => sink,
        Err((what, path, error)) => {
            let hint = format!("choose a place that can be written to with `{what}`");
            report::error(format_args!("cannot write `{}`: {error}", path.display()), Some(&hint));
            return Exit::Usage;
        }
    };
    let begun = clock::monotonic();
    let result = run_engine(scan, &rules, store.as_ref(), &mut sink);
    let seconds = begun.elapsed().as_secs_f64();
    sink.end();
    match result {
        Ok(stats) => {
            if args.stats {
                print_stats(&stats, seconds);
            }
            if !args.quiet {
                summarize(&stats, &sink);
            }
            verdict(&stats)
        }
        // A reader that has seen enough is no error, but nobody has seen the whole either.
        Err(ScanError::Output(error)) if stdout::is_closed(&error) => Exit::AlertsFound,
        Err(error) => {
            report::error(&error, None);
            Exit::Internal
        }
    }
}

fn verdict(stats: &ScanStats) -> Exit {
    if !stats.unreadable.is_empty() {
        Exit::Partial
    } else if !stats.alerts.is_empty() {
        Exit::AlertsFound
    } else {
        Exit::Done
    }
}

fn run_engine(
    scan: &Scan<'_>,
    rules: &Arc<RuleSet>,
    store: &dyn Store,
    sink: &mut Sink,
) -> Result<ScanStats, ScanError> {
    let args = scan.args;
    let paths = if args.paths.is_empty() { vec![PathBuf::from("-")] } else { args.paths.clone() };
    let threads = if args.threads > 0 {
        usize::from(args.threads)
    } else {
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
    };
    let options = ScanOptions {
        paths,
        cluster: args.cluster.0.clone(),
        threads,
        since_ms: scan.since_ms,
        until_ms: scan.until_ms,
        // Whoever asks for what could not be read asks for all of it.
        read_all: args.read_all || args.unreadable.is_some(),
        instance: instance_name(),
    };
    let redaction = if args.no_redact {
        Redaction::none()
    } else {
        Redaction::compile(true, &[]).map_err(io::Error::other)?
    };
    let matcher = Matcher::new(Arc::clone(rules), args.learning).redacting(redaction);
    let mut fold = LocalFold::new(store)?;
    let stats = engine::scan(&options, &matcher, &mut fold, sink)?;
    fold.save()?;
    // Nobody could fold it again: there is no log.
    store.flush()?;
    Ok(stats)
}

fn open_state(args: &ScanArgs) -> Result<Box<dyn Store>, Exit> {
    let Some(directory) = &args.state else { return Ok(Box::new(MemoryStore::default())) };
    let expectation =
        Expectation { topic: "scan".to_owned(), partitions: 1, group: "scan".to_owned() };
    match SledStore::open(directory, &expectation) {
        Ok(opened) => {
            if let Some(aside) = opened.set_aside {
                report::warning(format_args!(
                    "the state in `{}` could not be used and is kept as `{}`: {}",
                    directory.display(),
                    aside.path.display(),
                    aside.reason
                ));
            }
            Ok(Box::new(opened.store))
        }
        Err(error) => {
            report::error(&error, Some("`--state` has to name a directory of this scan's own"));
            Err(if error.may_pass() { Exit::Internal } else { Exit::Configuration })
        }
    }
}

/// One JSON line on stderr.
fn print_stats(stats: &ScanStats, seconds: f64) {
    let mut line = serde_json::json!(stats);
    line["seconds"] = serde_json::json!(seconds);
    let mut stderr = io::stderr().lock();
    // A closed stderr loses the line and nothing else.
    let _ = writeln!(stderr, "{line}");
}

fn summarize(stats: &ScanStats, sink: &Sink) {
    let unreadable: u64 = stats.unreadable.values().sum();
    if unreadable > sink.unreadable_said {
        report::warning(format_args!(
            "{} more items could not be read\nhint: `--unreadable FILE` keeps them, `--stats` counts them by reason",
            unreadable - sink.unreadable_said
        ));
    }
    let withheld: u64 = stats.withheld.values().sum();
    if withheld > 0 {
        let by = counted(&stats.withheld);
        report::note(format_args!("{withheld} {} withheld by exceptions: {by}", were(withheld)));
    }
    if !stats.exceptions_expired.is_empty() {
        let by = counted(&stats.exceptions_expired);
        report::warning(format_args!(
            "exceptions that have expired would have held of events: {by}"
        ));
    }
    if sink.show_summary {
        let alerts: u64 = stats.alerts.values().sum();
        let skipped: u64 = stats.skipped.values().sum();
        let withheld: u64 = stats.suppressed.values().sum();
        let withheld =
            if withheld > 0 { format!(", {withheld} alike withheld") } else { String::new() };
        report::note(format_args!(
            "{}, {}{withheld}, {unreadable} unreadable, {skipped} of other kinds",
            several(stats.records, "record"),
            several(alerts, "alert"),
        ));
    }
}

fn were(alerts: u64) -> &'static str {
    if alerts == 1 { "alert was" } else { "alerts were" }
}

/// `NAME (COUNT)` of each, the highest counts first.
pub(super) fn counted(counts: &BTreeMap<String, u64>) -> String {
    let mut counts: Vec<(&String, &u64)> = counts.iter().collect();
    counts.sort_by_key(|(name, count)| (Reverse(**count), *name));
    let counts = counts.iter().map(|(name, count)| format!("`{name}` ({count})"));
    counts.collect::<Vec<_>>().join(", ")
}

/// How many unreadable items are named one by one.
const UNREADABLE_SAID_MAX: u64 = 10;

struct Sink {
    out: Box<dyn Write>,
    text: bool,
    colours: bool,
    unreadable: Option<BufWriter<File>>,
    unreadable_said: u64,
    quiet: bool,
    show_summary: bool,
    bar: Option<indicatif::ProgressBar>,
}

impl Sink {
    fn new(scan: &Scan<'_>, context: &Context) -> Result<Sink, (&'static str, PathBuf, io::Error)> {
        let args = scan.args;
        let create = |what: &'static str, path: &PathBuf| {
            File::create(path).map(BufWriter::new).map_err(|error| (what, path.clone(), error))
        };
        let out: Box<dyn Write> = match &args.output {
            Some(path) => Box::new(create("--output", path)?),
            None => Box::new(BufWriter::new(io::stdout())),
        };
        let colours = args.output.is_none()
            && context.stdout_is_terminal
            && anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never;
        let unreadable =
            args.unreadable.as_ref().map(|path| create("--unreadable", path)).transpose()?;
        // A bar between alerts on the same terminal would tear both.
        let shares_terminal = context.stdout_is_terminal && args.output.is_none();
        let bar = (!args.quiet && context.stderr_is_terminal && !shares_terminal).then(|| {
            let bar = indicatif::ProgressBar::new_spinner();
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Ok(Sink {
            out,
            text: scan.format == AlertFormat::Text,
            colours,
            unreadable,
            unreadable_said: 0,
            quiet: args.quiet,
            show_summary: context.stderr_is_terminal,
            bar,
        })
    }

    fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl ScanSink for Sink {
    fn alert(&mut self, alert: &Alert) -> io::Result<()> {
        if self.text {
            self.out.write_all(terminal::alert(&alert.document, self.colours).as_bytes())
        } else {
            engine::write_json_line(&mut self.out, alert)
        }
    }

    fn unreadable(
        &mut self,
        path: &str,
        line: Option<u64>,
        reason: &str,
        record: Option<&[u8]>,
    ) -> io::Result<()> {
        if let (Some(file), Some(record)) = (&mut self.unreadable, record) {
            file.write_all(record)?;
            file.write_all(b"\n")?;
        }
        if !self.quiet && self.unreadable_said < UNREADABLE_SAID_MAX {
            self.unreadable_said += 1;
            let place = match line {
                Some(line) => format!("{path}:{line}"),
                None => path.to_owned(),
            };
            let place = crate::alert::visible::visible(&place, 1_000);
            let text = format!("{place}: not read: {reason}");
            match &self.bar {
                Some(bar) => bar.suspend(|| report::warning(text)),
                None => report::warning(text),
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some(file) = &mut self.unreadable {
            file.flush()?;
        }
        self.out.flush()
    }

    fn progress(&mut self, read: u64, total: Option<u64>) {
        let Some(bar) = &self.bar else { return };
        if let Some(total) = total
            && bar.length() != Some(total)
        {
            bar.set_length(total);
            if let Ok(style) = indicatif::ProgressStyle::with_template(
                "{bar:30} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left",
            ) {
                bar.set_style(style);
            }
        }
        bar.set_position(read);
    }
}
