//! `kubetell completions`: what a shell needs to complete our arguments.

use clap::builder::PossibleValuesParser;
use clap::{Arg, Args, Command};
use clap_complete::Shell;

use super::exit::Exit;
use super::{help, report, stdout};

/// Prints completions for a shell
#[derive(Debug, Clone, Args)]
#[command(after_help = help::COMPLETIONS)]
pub struct CompletionsArgs {
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

pub fn run(args: &CompletionsArgs) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut visible(&super::command()), "kubetell", &mut script);
    match String::from_utf8(script) {
        Ok(script) => stdout::print(&script),
        Err(error) => {
            report::error(format_args!("cannot generate completions: {error}"), None);
            Exit::Internal
        }
    }
}

/// The command without what is hidden: the generators offer some of it all the same.
fn visible(command: &Command) -> Command {
    let arguments = command.get_arguments().filter(|argument| !argument.is_hide_set());
    // clap wants a name that lives as long as the program: a few bytes, once.
    let name: &'static str = command.get_name().to_owned().leak();
    let mut out = Command::new(name)
        .args(arguments.map(visible_values))
        .subcommands(command.get_subcommands().map(visible))
        .subcommand_required(command.is_subcommand_required_set())
        .disable_help_subcommand(true);
    if let Some(about) = command.get_about() {
        out = out.about(about.clone());
    }
    if command.get_version().is_some() {
        out = out.version(env!("CARGO_PKG_VERSION"));
    }
    out
}

fn visible_values(argument: &Arg) -> Arg {
    let (hidden, shown): (Vec<_>, Vec<_>) =
        argument.get_possible_values().into_iter().partition(|value| value.is_hide_set());
    match hidden.is_empty() {
        true => argument.clone(),
        false => argument.clone().value_parser(PossibleValuesParser::new(shown)),
    }
}
