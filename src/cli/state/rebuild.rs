//! `kubetell state rebuild`: throws the view of a stopped instance away.

use std::io::{BufRead, Write};

use indicatif::HumanBytes;

use super::super::{report, stdout};
use super::{Context, Exit, RebuildArgs};
use crate::config::Config;
use crate::terms::store::open::{OpenError, discard, lock, views};

pub fn run(args: &RebuildArgs, config: &Config, context: &Context) -> Exit {
    let directory = &config.state.directory;
    let views = match views(directory) {
        Ok(views) => views,
        Err(error) => return refused(&error),
    };
    if views.is_empty() {
        report::note(format_args!("there is no view in `{}`", directory.display()));
        return Exit::Done;
    }
    if let Err(error) = lock(directory) {
        return refused(&error);
    }
    let listed: String = views
        .iter()
        .map(|(path, bytes)| format!("{} ({})\n", path.display(), HumanBytes(*bytes)))
        .collect();
    let topic = &config.observations.topic;
    if !args.yes {
        if !context.stdin_is_terminal {
            report::error(
                format_args!("nobody can be asked whether to throw away\n{}", listed.trim_end()),
                Some("`--yes` does it without asking"),
            );
            return Exit::Usage;
        }
        let question = format!(
            "{listed}Throw this away? The next start folds it anew from the topic `{topic}`. [y/N] "
        );
        if !agreed(&question) {
            report::note("nothing was thrown away");
            return Exit::Done;
        }
    }
    if let Err(error) = discard(directory) {
        return refused(&error);
    }
    let printed = stdout::print(
        &views
            .iter()
            .map(|(path, bytes)| format!("removed {} ({})\n", path.display(), HumanBytes(*bytes)))
            .collect::<String>(),
    );
    report::note(format_args!(
        "the next start folds the view anew from the topic `{topic}` and logs how far it has come"
    ));
    printed
}

fn refused(error: &OpenError) -> Exit {
    let hint = match error {
        OpenError::Locked(_) => "stop the instance that uses it; no other has to be stopped",
        OpenError::Unusable { .. } | OpenError::Full { .. } => error.hint(),
    };
    report::error(error, Some(hint));
    if error.may_pass() { Exit::Internal } else { Exit::Configuration }
}

fn agreed(question: &str) -> bool {
    let mut stderr = anstream::stderr().lock();
    let _ = stderr.write_all(question.as_bytes()).and_then(|()| stderr.flush());
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}
