//! `kubetell config`: is it valid, what is in force and why, a file to start from, the schema.

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::config::{self, Config};
use crate::topics::Topics;

use super::args::{self, ConfigArgs, TextOrJson};
use super::context::Context;
use super::exit::Exit;
use super::{help, run, stdout};

/// Checks, shows and describes the configuration
#[derive(Debug, Clone, Args)]
#[command(after_help = help::CONFIG)]
pub struct ConfigCommandArgs {
    #[command(subcommand)]
    pub command: ConfigCommand,
}

#[derive(Debug, Clone, Subcommand)]
pub enum ConfigCommand {
    /// Says whether the configuration is valid and the brokers can be reached
    #[command(after_help = help::CONFIG_CHECK)]
    Check(CheckArgs),
    /// Prints what is in force and where each value came from, secrets hidden
    #[command(after_help = help::CONFIG_SHOW)]
    Show(ShowArgs),
    /// Prints the JSON Schema of the configuration file
    #[command(after_help = help::CONFIG_SCHEMA)]
    Schema,
    /// Prints a commented configuration file to start from
    #[command(after_help = help::CONFIG_TEMPLATE)]
    Template,
}

#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub config: ConfigArgs,

    /// Asks no broker
    #[arg(long)]
    pub offline: bool,

    /// Waits so long for a broker to answer
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "5s",
        conflicts_with = "offline",
        value_parser = args::wait
    )]
    pub timeout: Duration,
}

#[derive(Debug, Clone, Args)]
pub struct ShowArgs {
    #[command(flatten)]
    pub config: ConfigArgs,

    /// TOML with comments, or one JSON object
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: TextOrJson,
}

pub fn run(args: &ConfigCommandArgs, context: &Context) -> Exit {
    match &args.command {
        ConfigCommand::Check(args) => check(args, context),
        ConfigCommand::Show(args) => show(args, context),
        ConfigCommand::Schema => stdout::print_json(&config::schema()),
        ConfigCommand::Template => stdout::print(&config::template()),
    }
}

fn check(args: &CheckArgs, context: &Context) -> Exit {
    let loaded = match context.load_config(&args.config) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let printed = stdout::print("configuration: valid\n");
    if printed != Exit::Done || args.offline {
        return printed;
    }
    check_brokers(&loaded.config, args.timeout)
}

/// Asks the brokers who they are and says so. `Unreachable` and `Configuration` (missing rights)
/// are how it fails.
fn check_brokers(config: &Config, timeout: Duration) -> Exit {
    match Topics::new(config).and_then(|topics| topics.connect(timeout)) {
        Ok(brokers) => stdout::print(&format!("brokers: {brokers} answered\n")),
        Err(error) => run::topics_failed(&error),
    }
}

fn show(args: &ShowArgs, context: &Context) -> Exit {
    match context.load_config(&args.config) {
        Err(exit) => exit,
        Ok(loaded) => match args.format {
            TextOrJson::Text => stdout::print(&config::show_toml(&loaded.provenance)),
            TextOrJson::Json => stdout::print_json(&config::show_json(&loaded.provenance)),
        },
    }
}
