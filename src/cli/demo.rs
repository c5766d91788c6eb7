//! `kubetell demo`: the whole pipeline with nothing to install.

use clap::{Args, value_parser};

use super::args::AlertFormat;
use super::context::Context;
use super::exit::Exit;
use super::{help, not_in_this_build};

/// Plays a bundled audit log through an in-process Kafka and shows what is detected
///
/// Starts a cluster inside the process, creates the topics, plays about a minute of a cluster's
/// life through the code of `run` (routine traffic, an intruder's execs in several disguises, a
/// stolen kubeconfig that reads secrets), prints each alert as it leaves the alerts topic, and
/// ends with a summary.
#[derive(Debug, Clone, Args)]
#[command(after_help = help::DEMO)]
pub struct DemoArgs {
    /// Plays a generated log of so many events instead of the bundled one
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=EVENTS_MAX))]
    pub events: Option<u64>,

    /// How alerts are printed [default: text on a terminal, ecs otherwise]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<AlertFormat>,

    /// Uses a real cluster instead of the one in the process
    #[arg(long, value_name = "HOST:PORT")]
    pub bootstrap: Option<String>,
}

const EVENTS_MAX: u64 = 1_000_000_000;

pub fn run(args: &DemoArgs, context: &Context) -> Exit {
    match AlertFormat::or_default(args.format, context) {
        Ok(format) => play(args, format, context),
        Err(exit) => exit,
    }
}

/// The demo itself; `format` is what to print.
fn play(_args: &DemoArgs, _format: AlertFormat, _context: &Context) -> Exit {
    not_in_this_build("demo")
}
