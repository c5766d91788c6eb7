//! `kubetell run`: the service.

use clap::{Args, ValueEnum};

use crate::config::Loaded;

use super::args::ConfigArgs;
use super::context::Context;
use super::exit::Exit;
use super::{help, not_in_this_build};

/// Runs the service: reads audit events from Kafka and raises alerts
#[derive(Debug, Clone, Args)]
#[command(after_help = help::RUN)]
pub struct RunArgs {
    #[command(flatten)]
    pub config: ConfigArgs,

    /// Which half of the stream this process is
    #[arg(long, value_enum, default_value_t, value_name = "ROLE")]
    pub role: Role,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Both halves in one process
    #[default]
    All,
    /// From audit events to alerts of stateless rules and to observations
    Detect,
    /// From observations to alerts of new-terms rules
    FirstSeen,
}

pub fn run(args: &RunArgs, context: &Context) -> Exit {
    match context.load_config(&args.config) {
        Ok(loaded) => serve(&loaded, args.role, context),
        Err(exit) => exit,
    }
}

/// The service itself, until a signal ends it.
fn serve(_loaded: &Loaded, _role: Role, _context: &Context) -> Exit {
    not_in_this_build("run")
}
