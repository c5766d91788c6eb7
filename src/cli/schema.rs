//! `kubetell schema`: the JSON Schemas of what goes in and out.

use clap::{Args, ValueEnum};

use crate::alert;
use crate::config;

use super::args::not_available;
use super::exit::Exit;
use super::{help, stdout};

/// Prints a JSON Schema
#[derive(Debug, Clone, Args)]
#[command(after_help = help::SCHEMA)]
pub struct SchemaArgs {
    /// What the schema describes
    #[arg(value_enum, value_name = "NAME")]
    pub name: SchemaName,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaName {
    /// An alert with `alerts.format = "ecs"`
    Ecs,
    /// A record of the observations topic
    Observation,
    /// The configuration file
    Config,
    /// Named by the contract, not available in this version.
    #[value(hide = true)]
    Ocsf,
    /// Named by the contract, not available in this version.
    #[value(hide = true)]
    Rule,
}

pub fn run(args: &SchemaArgs) -> Exit {
    let hint = "there are `ecs`, `observation` and `config`";
    match args.name {
        SchemaName::Ecs => ecs(),
        SchemaName::Observation => observation(),
        SchemaName::Config => stdout::print_json(&config::schema()),
        SchemaName::Ocsf => not_available("schema ocsf", hint),
        SchemaName::Rule => not_available("schema rule", hint),
    }
}

fn ecs() -> Exit {
    stdout::print(alert::schema::ecs())
}

fn observation() -> Exit {
    stdout::print(alert::schema::observation())
}
