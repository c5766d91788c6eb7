//! The rules that a command puts in force, and what is said about their files.

use std::path::PathBuf;

use crate::app::rules::{self, LoadError, Loaded};
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
    let Loaded { rules, notes } =
        rules::load(paths, enabled).map_err(|error| refused(&error, unknown))?;
    for (path, note) in notes {
        report::note(format_args!("`{}`: {note}", path.display()));
    }
    Ok(rules)
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
