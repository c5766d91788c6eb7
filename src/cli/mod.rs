//! The command line: one file a command.
//!
//! Owns what the commands are called, what they take, what they print and their exit codes. Data
//! goes to stdout, everything else to stderr. It must not know how a detection works: a command
//! reads its arguments, calls the library and says how it went.

mod args;
pub mod backtest;
mod completions;
pub mod config;
mod context;
pub mod demo;
mod exit;
mod explain;
mod help;
mod logging;
pub mod report;
mod rule_files;
pub mod rules;
pub mod run;
pub mod scan;
mod schema;
mod signals;
pub mod state;
pub mod stdout;
pub mod topics;

use std::ffi::OsString;

use clap::{CommandFactory, Parser, Subcommand};

pub use args::{AlertFormat, Cluster, ConfigArgs, TextOrJson};
pub use context::Context;
pub use exit::Exit;
pub use logging::LogFormat;

/// Detects intrusions in Kubernetes audit logs as they pass through Kafka.
#[derive(Debug, Parser)]
#[command(
    name = "kubetell",
    version,
    after_help = help::KUBETELL,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub struct Cli {
    /// Form of the log on stderr
    ///
    /// What is logged is the variable KUBETELL_LOG's to say, e.g. `debug` or
    /// `kubetell::ingest=trace`.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT",
        display_order = 100
    )]
    pub log_format: LogFormat,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Demo(demo::DemoArgs),
    Run(run::RunArgs),
    Scan(scan::ScanArgs),
    Backtest(backtest::BacktestArgs),
    Explain(explain::ExplainArgs),
    Rules(rules::RulesArgs),
    Config(config::ConfigCommandArgs),
    Topics(topics::TopicsArgs),
    State(state::StateArgs),
    Schema(schema::SchemaArgs),
    Completions(completions::CompletionsArgs),
}

/// The clap command, e.g. to render its help elsewhere.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the program. Nothing unwinds out of it: a panic is an internal error.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let outcome = std::panic::catch_unwind(|| {
        let context = Context::of_process();
        match Cli::try_parse_from(&arguments) {
            Ok(cli) => dispatch(&cli, &context),
            Err(error) => not_parsed(&error),
        }
    });
    // The panic's message and place are on stderr already.
    outcome.unwrap_or(Exit::Internal)
}

/// Help and version are data; everything else that clap stops at is a usage error.
fn not_parsed(error: &clap::Error) -> Exit {
    if error.use_stderr() {
        // Without a stderr there is nobody to tell; the exit code says it still.
        let _ = error.print();
        return Exit::Usage;
    }
    stdout::outcome(error.print())
}

fn dispatch(cli: &Cli, context: &Context) -> Exit {
    let default_level = match cli.command {
        Command::Run(_) => "info",
        _ => "warn",
    };
    if let Err(error) = logging::init(cli.log_format, default_level, context) {
        report::error_text(&error.to_string());
        return Exit::Usage;
    }
    match &cli.command {
        Command::Demo(args) => demo::run(args, context),
        Command::Run(args) => run::run(args, context),
        Command::Scan(args) => scan::run(args, context),
        Command::Backtest(args) => backtest::run(args, context),
        Command::Explain(args) => explain::run(args, context),
        Command::Rules(args) => rules::run(args, context),
        Command::Config(args) => config::run(args, context),
        Command::Topics(args) => topics::run(args, context),
        Command::State(args) => state::run(args, context),
        Command::Schema(args) => schema::run(args),
        Command::Completions(args) => completions::run(args),
    }
}

#[cfg(test)]
mod tests;
