//! The commands among the fixtures, as execs.

use serde::Deserialize;

use kubetell::detect::finding::{ExecCommand, ExecVia};

pub const HARMLESS: &str = include_str!("../../tests/fixtures/commands/harmless.toml");
pub const HIDDEN: &str = include_str!("../../tests/fixtures/commands/hidden.toml");

#[derive(Deserialize)]
struct Corpus {
    #[serde(alias = "family")]
    group: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    case: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    argv: Vec<String>,
    #[serde(default)]
    repeat: Vec<toml::Value>,
}

/// Those of a corpus that are not long by repetition.
pub fn execs(text: &str) -> Vec<ExecCommand> {
    let corpus: Corpus = toml::from_str(text).unwrap();
    let cases = corpus.group.into_iter().flat_map(|group| group.case);
    cases
        .filter(|case| case.repeat.is_empty())
        .map(|case| ExecCommand::new(ExecVia::PodsExec, case.argv))
        .collect()
}
