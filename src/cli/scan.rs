//! `kubetell scan`: the same detections over files, directories or stdin.

use std::path::PathBuf;

use clap::{Args, value_parser};

use crate::clock;
use crate::limits;

use super::args::{self, AlertFormat, Cluster, Moment, not_available};
use super::context::Context;
use super::exit::Exit;
use super::{help, not_in_this_build, report};

/// Runs the detections over files, directories or standard input, without Kafka
///
/// Takes any wrapper, NDJSON or one document a file, gzip and zstd by content. The order of the
/// output is the input's and does not depend on the number of threads.
#[derive(Debug, Clone, Args)]
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

    /// Named by the contract, not available in this version.
    #[arg(long, value_name = "PATH", hide = true)]
    pub rules: Vec<PathBuf>,

    /// Runs this rule only (repeatable)
    #[arg(long, value_name = "ID")]
    pub only: Vec<String>,

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

    /// Writes records that could not be read to a file
    #[arg(long, value_name = "FILE")]
    pub unreadable: Option<PathBuf>,

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

    /// Ends with one JSON line on stderr: events, bytes, seconds, alerts by rule, unreadable
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
    match settle(args, context, clock::now_ms()) {
        Ok(scan) => scan_inputs(&scan, context),
        Err(exit) => exit,
    }
}

/// Checks what clap cannot: what is not available yet and what contradicts itself.
fn settle<'a>(args: &'a ScanArgs, context: &Context, now_ms: i64) -> Result<Scan<'a>, Exit> {
    if !args.rules.is_empty() {
        return Err(not_available("--rules", "the built-in rules are always in force"));
    }
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
fn scan_inputs(_scan: &Scan<'_>, _context: &Context) -> Exit {
    not_in_this_build("scan")
}
