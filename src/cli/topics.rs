//! `kubetell topics`: do the topics have the settings that correctness needs; make them.

use clap::{Args, Subcommand};

use crate::config::Loaded;
use crate::output::terminal::{self, Align};
use crate::topics::Topics;

use super::args::ConfigArgs;
use super::context::Context;
use super::exit::Exit;
use super::{help, report, rule_files, run, stdout};

/// Checks or creates the topics that alerts, observations and dead letters go to
#[derive(Debug, Clone, Args)]
#[command(after_help = help::TOPICS)]
pub struct TopicsArgs {
    #[command(subcommand)]
    pub command: TopicsCommand,
}

#[derive(Debug, Clone, Subcommand)]
pub enum TopicsCommand {
    /// Says of each topic whether it is there and has the settings that correctness needs
    #[command(after_help = help::TOPICS_CHECK)]
    Check(ConfigArgs),
    /// Creates the topics that are absent, with the settings that correctness needs
    #[command(after_help = help::TOPICS_CREATE)]
    Create(ConfigArgs),
}

pub fn run(args: &TopicsArgs, context: &Context) -> Exit {
    let (TopicsCommand::Check(config) | TopicsCommand::Create(config)) = &args.command;
    match (context.load_config(config), &args.command) {
        (Ok(loaded), TopicsCommand::Check(_)) => check(&loaded, context),
        (Ok(loaded), TopicsCommand::Create(_)) => create(&loaded, context),
        (Err(exit), _) => exit,
    }
}

fn check(loaded: &Loaded, context: &Context) -> Exit {
    survey(loaded, false, context)
}

fn create(loaded: &Loaded, context: &Context) -> Exit {
    survey(loaded, true, context)
}

/// A line for each topic on stdout, what is wrong with it on stderr.
fn survey(loaded: &Loaded, create: bool, context: &Context) -> Exit {
    let config = &loaded.config;
    let rules = match rule_files::in_force(&config.rules, &config.enabled_rules, Exit::Internal) {
        Ok(rules) => rules,
        Err(exit) => return exit,
    };
    let surveyed = Topics::new(&loaded.config)
        .and_then(|topics| topics.survey(rules.longest_window_ms(), create));
    let report = match surveyed {
        Ok(report) => report,
        Err(error) => return run::topics_failed(&error),
    };
    report.warnings.iter().for_each(report::warning);
    let rows: Vec<Vec<String>> = report
        .topics
        .iter()
        .map(|topic| {
            let verdict = match (topic.problems.is_empty(), topic.created) {
                (true, true) => "created",
                (true, false) => "ok",
                (false, _) => "not ok",
            };
            let partitions = topic.partitions.map_or_else(|| "-".to_owned(), |n| n.to_string());
            vec![topic.name.clone(), topic.role.to_owned(), partitions, verdict.to_owned()]
        })
        .collect();
    let columns = [
        ("topic", Align::Left),
        ("role", Align::Left),
        ("partitions", Align::Right),
        ("verdict", Align::Left),
    ];
    let printed = stdout::print(&terminal::table(&columns, &rows, context.stdout_is_terminal));
    if printed != Exit::Done {
        return printed;
    }
    let problems = report.problems();
    for problem in &problems {
        report::error(&problem.message, Some(&problem.hint));
    }
    if problems.is_empty() { Exit::Done } else { Exit::Configuration }
}
