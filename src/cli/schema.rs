//! `kubetell schema`: the JSON Schemas of what goes in and out.

use clap::{Args, ValueEnum};

use crate::alert;
use crate::config;
use crate::rules;

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
    /// A rule file
    Rule,
    /// A file of test cases beside a rule file
    RuleTests,
    /// A file of exceptions
    Exceptions,
    /// The configuration file
    Config,
    /// Named by the contract, not available in this version.
    #[value(hide = true)]
    Ocsf,
}

pub fn run(args: &SchemaArgs) -> Exit {
    let hint = "there are `ecs`, `rule`, `rule-tests`, `exceptions`, `config` and `observation`";
    match args.name {
        SchemaName::Ecs => ecs(),
        SchemaName::Observation => observation(),
        SchemaName::Config => stdout::print_json(&config::schema()),
        SchemaName::Ocsf => not_available("schema ocsf", hint),
        SchemaName::Rule => stdout::print(rules::schema::rule()),
        SchemaName::Exceptions => stdout::print_json(&rules::schema::exceptions()),
        SchemaName::RuleTests => stdout::print_json(&rules::schema::rule_tests()),
    }
}

fn ecs() -> Exit {
    stdout::print(alert::schema::ecs())
}

fn observation() -> Exit {
    stdout::print(alert::schema::observation())
}
