//! Which file holds the cases of which rule: those of `NAME.toml` stand in `NAME.tests.toml`.

use std::path::{Path, PathBuf};

const ENDING: &str = ".tests.toml";

/// Whether a file holds the cases of the rule beside it, by its name.
pub fn is_cases_file(path: &Path) -> bool {
    stem(path).is_some()
}

/// The rule file beside which a file of cases stands; `None` for any other file.
pub fn rule_beside(path: &Path) -> Option<PathBuf> {
    Some(path.with_file_name(format!("{}.toml", stem(path)?)))
}

/// The file of cases that may stand beside a rule's.
pub fn cases_beside(path: &Path) -> PathBuf {
    path.with_extension(ENDING.trim_start_matches('.'))
}

fn stem(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()?.strip_suffix(ENDING).filter(|stem| !stem.is_empty())
}
