//! The rules that a command puts in force, and what is said about their files.

use std::path::PathBuf;

use crate::app::rules::{self, LoadError, Loaded};
use crate::clock;
use crate::rules::set::RuleSet;

use super::exit::Exit;
use super::report;

/// The built-in rules and those of the paths, with those of these ids in force too. What is wrong
/// was said; `unknown` is how a command ends that names a rule which is not there.
pub(super) fn in_force(
    paths: &[PathBuf],
    enabled: &[String],
    unknown: Exit,
) -> Result<RuleSet, Exit> {
    in_force_excepting(paths, &[], enabled, unknown)
}

/// The same with the exceptions of these paths, and what people should know of them.
pub(super) fn in_force_excepting(
    paths: &[PathBuf],
    exceptions: &[PathBuf],
    enabled: &[String],
    unknown: Exit,
) -> Result<RuleSet, Exit> {
    let rules = loaded(paths, exceptions, enabled, unknown)?;
    rules.exception_warnings(clock::now_ms()).iter().for_each(report::warning);
    Ok(rules)
}

/// The same without a word about exceptions that have expired.
pub(super) fn loaded(
    paths: &[PathBuf],
    exceptions: &[PathBuf],
    enabled: &[String],
    unknown: Exit,
) -> Result<RuleSet, Exit> {
    let Loaded { rules, notes } = rules::load_excepting(paths, exceptions, enabled)
        .map_err(|error| refused(&error, unknown))?;
    for (path, note) in notes {
        report::note(format_args!("`{}`: {note}", path.display()));
    }
    Ok(rules)
}

/// The rules with those exceptions of files that are valid and of rules which are there. What is
/// wrong with the others is said where the files are those of the rules in force.
pub(super) fn excepting_known(rules: RuleSet, exceptions: &[PathBuf]) -> Result<RuleSet, Exit> {
    let files = rules::read_exceptions(exceptions);
    let mut found: Vec<_> = files.into_iter().flat_map(|it| it.outcome).flatten().collect();
    found.retain_mut(|exception| exception.keep_known(|id| rules.get(id).is_some()));
    rules.excepting(found).map_err(|errors| {
        errors.iter().for_each(|error| report::error_text(&error.to_string()));
        Exit::Configuration
    })
}

/// Says what is wrong, and how the command ends.
pub(super) fn refused(error: &LoadError, unknown: Exit) -> Exit {
    match error {
        LoadError::Files(errors) => {
            errors.iter().for_each(|error| report::error_text(&error.to_string()));
            Exit::Configuration
        }
        LoadError::Set(error) => {
            report::error_text(&error.to_string());
            Exit::Configuration
        }
        LoadError::Unknown(error) => {
            let text = error.to_string();
            let (message, hint) = report::split_hint(&text);
            report::error(message, Some(hint.unwrap_or("`kubetell rules list` lists the rules")));
            unknown
        }
        LoadError::Builtin(error) => {
            report::error_text(&error.to_string());
            Exit::Internal
        }
    }
}
