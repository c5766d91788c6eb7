//! `kubetell state`: what the new-terms rules know, as the observations topic has it.

mod rebuild;
mod show;
mod transfer;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, value_parser};

use crate::app::state::log::ObservationsLog;
use crate::app::state::{StateError, Watcher};
use crate::config::Config;
use crate::rules::set::RuleSet;
use crate::topics::Problem;

use super::args::{Cluster, ConfigArgs, TextOrJson};
use super::context::Context;
use super::exit::Exit;
use super::{help, report, rule_files, run as service, stdout};

/// Shows, exports, imports and rebuilds what the new-terms rules know
#[derive(Debug, Clone, Args)]
#[command(after_help = help::STATE)]
pub struct StateArgs {
    #[command(subcommand)]
    pub command: StateCommand,
}

#[derive(Debug, Clone, Subcommand)]
pub enum StateCommand {
    /// Shows how far the state has come, which rules still learn, and the terms
    ///
    /// Reads the observations topic, beside running instances: an instance holds the lock of its
    /// view.
    #[command(after_help = help::STATE_SHOW)]
    Show(ShowArgs),
    /// Throws the view in the state directory away: the next start folds it anew from the topic
    ///
    /// Only while no instance uses the directory. Nothing is lost, and nothing is raised twice.
    #[command(after_help = help::STATE_REBUILD)]
    Rebuild(RebuildArgs),
    /// Writes a baseline: every term that is known, one line each
    #[command(after_help = help::STATE_EXPORT)]
    Export(ExportArgs),
    /// Takes baselines and audit logs in as history: what they hold is known from then on
    ///
    /// Of each term the latest sighting is written to the observations topic, if its rule's window
    /// is not over since; then learning ends for the rules that have terms among them. History
    /// raises no alert. Instances may run meanwhile, and importing again does no harm.
    #[command(after_help = help::STATE_IMPORT)]
    Import(ImportArgs),
}

#[derive(Debug, Clone, Args)]
pub struct ShowArgs {
    #[command(flatten)]
    pub config: ConfigArgs,

    /// Tables, or one JSON object
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: TextOrJson,

    /// Lists the terms as well
    #[arg(long)]
    pub terms: bool,

    /// Lists the terms of this rule only
    #[arg(long, value_name = "ID")]
    pub rule: Option<String>,

    /// Lists the terms of this user only
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,

    /// Lists so many terms at most
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
}

#[derive(Debug, Clone, Args)]
pub struct RebuildArgs {
    #[command(flatten)]
    pub config: ConfigArgs,

    /// Does not ask
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    pub config: ConfigArgs,

    /// Writes to a file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    #[command(flatten)]
    pub config: ConfigArgs,

    /// Baselines and audit logs: files and directories, also compressed; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    pub paths: Vec<PathBuf>,

    /// Ends learning for every rule in force, also those without a term in the input
    #[arg(long, conflicts_with = "keep_learning")]
    pub learned: bool,

    /// Leaves learning as it is
    #[arg(long)]
    pub keep_learning: bool,

    /// Writes nothing: lists the terms and says what an import would do
    #[arg(long)]
    pub dry_run: bool,

    /// Name of the cluster that the audit logs are from [default: that of the configuration]
    #[arg(long, value_name = "NAME", value_parser = value_parser!(Cluster))]
    pub cluster: Option<Cluster>,

    /// Text, or one JSON object
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: TextOrJson,
}

pub fn run(args: &StateArgs, context: &Context) -> Exit {
    let config = match &args.command {
        StateCommand::Show(args) => &args.config,
        StateCommand::Rebuild(args) => &args.config,
        StateCommand::Export(args) => &args.config,
        StateCommand::Import(args) => &args.config,
    };
    let config = match context.load_config(config) {
        Ok(loaded) => loaded.config,
        Err(exit) => return exit,
    };
    let rules = match rule_files::in_force(&config.rules, &config.enabled_rules, Exit::Internal) {
        Ok(rules) => rules,
        Err(exit) => return exit,
    };
    let result = match &args.command {
        StateCommand::Show(args) => show::run(args, &config, &rules, context),
        StateCommand::Rebuild(args) => return rebuild::run(args, &config, context),
        StateCommand::Export(args) => transfer::export(args, &config, &rules, context),
        StateCommand::Import(args) => transfer::import(args, &config, &rules, context),
    };
    match result {
        Ok(exit) => exit,
        // A reader that has seen enough is no error.
        Err(StateError::Output(error)) if stdout::is_closed(&error) => Exit::Done,
        Err(StateError::Topics(error)) => service::topics_failed(&error),
        Err(error @ (StateError::Lost { .. } | StateError::Shrunk { .. })) => {
            report::error(&error, Some("nothing is harmed; run the command again"));
            Exit::Unreachable
        }
        Err(error @ (StateError::Open(_) | StateError::Scratch(_) | StateError::Store(_))) => {
            let hint = "it is made where the variable TMPDIR says, and needs space there";
            report::error(&error, Some(hint));
            Exit::Internal
        }
        Err(error) => {
            report::error(&error, None);
            Exit::Internal
        }
    }
}

fn open_log(config: &Config, rules: &RuleSet) -> Result<ObservationsLog, StateError> {
    ObservationsLog::open(config, rules.longest_window_ms())
}

fn warn(problem: &Problem) {
    report::warning(format_args!("{}\nhint: {}", problem.message, problem.hint));
}

/// How many unreadable parts are named one by one.
const UNREADABLE_SAID_MAX: u64 = 10;

/// Shows on stderr how a command gets on.
struct Progress {
    bar: Option<indicatif::ProgressBar>,
    unreadable: u64,
}

impl Progress {
    /// `shares_terminal`: data goes to the terminal on the way, and a bar would tear it.
    fn new(context: &Context, shares_terminal: bool) -> Progress {
        let bar = (context.stderr_is_terminal && !shares_terminal).then(|| {
            let bar = indicatif::ProgressBar::new_spinner();
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Progress { bar, unreadable: 0 }
    }

    /// Takes the bar away and says what was not said one by one; the exit code.
    fn end(&mut self) -> Exit {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if self.unreadable > UNREADABLE_SAID_MAX {
            report::warning(format_args!(
                "{} more could not be read",
                self.unreadable - UNREADABLE_SAID_MAX
            ));
        }
        if self.unreadable > 0 { Exit::Partial } else { Exit::Done }
    }
}

impl Watcher for Progress {
    fn stage(&mut self, what: &'static str, total: Option<u64>) {
        let Some(bar) = &self.bar else { return };
        bar.set_position(0);
        bar.set_message(what);
        let template = match total {
            Some(total) => {
                bar.set_length(total);
                "{msg} {bar:30} {percent}%, {eta} left"
            }
            None => "{spinner} {msg}",
        };
        if let Ok(style) = indicatif::ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
    }

    fn at(&mut self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        }
    }

    fn unreadable(&mut self, place: &str, reason: &str) {
        self.unreadable += 1;
        if self.unreadable > UNREADABLE_SAID_MAX {
            return;
        }
        let place = crate::alert::visible::visible(place, 1_000);
        let text = format!("{place}: not read: {reason}");
        match &self.bar {
            Some(bar) => bar.suspend(|| report::warning(text)),
            None => report::warning(text),
        }
    }
}

#[cfg(test)]
mod tests;
