//! `kubetell topics`: do the topics have the settings that correctness needs; make them.

use clap::{Args, Subcommand};

use crate::config::Loaded;

use super::args::ConfigArgs;
use super::context::Context;
use super::exit::Exit;
use super::{help, not_in_this_build};

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

fn check(_loaded: &Loaded, _context: &Context) -> Exit {
    not_in_this_build("topics check")
}

fn create(_loaded: &Loaded, _context: &Context) -> Exit {
    not_in_this_build("topics create")
}
