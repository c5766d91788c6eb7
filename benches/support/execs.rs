//! The commands among the fixtures, as execs.

use kubetell::detect::finding::{ExecCommand, ExecVia};

use crate::corpus;

pub fn harmless() -> Vec<ExecCommand> {
    corpus::harmless_argvs().into_iter().map(exec).collect()
}

/// Those that are not long by repetition.
pub fn hidden() -> Vec<ExecCommand> {
    let cases = corpus::hidden().into_iter().flat_map(|group| group.case);
    cases.filter(|case| !case.is_repeated()).map(|case| exec(case.argv)).collect()
}

fn exec(argv: Vec<String>) -> ExecCommand {
    ExecCommand::new(ExecVia::PodsExec, argv)
}
