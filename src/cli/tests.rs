//! The command line as a whole, without running it: arguments, help and examples.

use clap::error::ErrorKind;

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    // What stands between single quotes is one word.
    let words = line.split('\'').enumerate().flat_map(|(at, part)| match at % 2 {
        0 => part.split_whitespace().collect(),
        _ => vec![part],
    });
    Cli::try_parse_from(words)
}

/// Every command and subcommand with its full name.
fn commands() -> Vec<(String, clap::Command)> {
    fn walk(prefix: &str, command: &clap::Command, all: &mut Vec<(String, clap::Command)>) {
        let name = format!("{prefix} {}", command.get_name()).trim().to_owned();
        all.push((name.clone(), command.clone()));
        command.get_subcommands().for_each(|sub| walk(&name, sub, all));
    }
    let mut all = Vec::new();
    walk("", &command(), &mut all);
    all
}

#[test]
fn definitions_of_arguments_are_sound() {
    command().debug_assert();
}

#[test]
fn every_help_ends_with_examples_that_parse() {
    for (name, command) in commands() {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let examples: Vec<&str> = help
            .lines()
            .filter(|line| line.starts_with("  "))
            .filter_map(|line| line.rsplit('|').next())
            .filter_map(|line| line.split('>').next())
            .collect();
        assert!(!examples.is_empty(), "`{name}` has no examples");
        for example in examples {
            assert!(example.trim().starts_with(&name), "`{example}` is no example of `{name}`");
            parse(example).unwrap_or_else(|error| panic!("`{example}`: {error}"));
        }
    }
}

#[test]
fn every_command_and_argument_is_described() {
    for (name, command) in commands() {
        assert!(command.get_about().is_some(), "`{name}`");
        for argument in command.get_arguments() {
            let described = argument.get_help().is_some() || name.ends_with("completions");
            assert!(described, "`{name}`: {}", argument.get_id());
        }
    }
}

#[test]
fn what_comes_later_is_not_listed() {
    for (name, command) in commands() {
        let help = command.clone().render_long_help().to_string();
        for later in ["ocsf", "exactly-once"] {
            assert!(!help.contains(later), "help of `{name}` names `{later}`:\n{help}");
        }
    }
}

#[test]
fn arguments_are_checked_by_the_parser() {
    let check = |line: &str, kind: Option<ErrorKind>| {
        assert_eq!(parse(line).err().map(|error| error.kind()), kind, "{line}");
    };
    let invalid = Some(ErrorKind::ValueValidation);
    check("kubetell", Some(ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand));
    check("kubetell explain --uri /x", None);
    check("kubetell explain", Some(ErrorKind::MissingRequiredArgument));
    check("kubetell explain --uri /x --command x", Some(ErrorKind::ArgumentConflict));
    check("kubetell rules check x", None);
    check("kubetell rules check", Some(ErrorKind::MissingRequiredArgument));
    check("kubetell rules try", Some(ErrorKind::MissingRequiredArgument));
    check("kubetell schema avro", Some(ErrorKind::InvalidValue));
    check("kubetell schema rule", None);
    check("kubetell scan --learning 91d x", invalid);
    check("kubetell scan --learning 7 x", invalid);
    check("kubetell scan --since whenever x", invalid);
    check("kubetell scan --cluster= x", invalid);
    check("kubetell scan --threads 1025 x", invalid);
    check("kubetell scan --threads 1024 -q --stats -", None);
    check("kubetell scan --rules a --rules b x", None);
    check("kubetell demo --events 0", invalid);
    check("kubetell demo --serve", None);
    check("kubetell demo --serve 127.0.0.1:0 --events 9", None);
    check("kubetell demo --serve nowhere", invalid);
    check("kubetell demo --serve=", invalid);
    check("kubetell run --role both", Some(ErrorKind::InvalidValue));
    check("kubetell run --role first-seen --log-format json", None);
    check("kubetell --log-format text topics check --set cluster=a", None);
}

#[test]
fn settings_stay_out_of_debug_output() {
    let cli = parse("kubetell run --set kafka.properties.sasl.password=hunter2").unwrap();
    assert!(!format!("{cli:?}").contains("hunter2"));
}
