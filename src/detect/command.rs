//! What an exec rule makes of one command.
//!
//! Owns the views of a command and the labels of what is found in them. It knows nothing of
//! events: `explain` asks it about commands that come from nowhere.

use std::borrow::Cow;

use crate::detect::finding::{ExecCommand, ExecVia, Match, View};
use crate::limits;
use crate::rules::compile::ExecRule;
use crate::rules::format::Severity;

/// Why a command is worth an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandVerdict {
    /// In the order of the views, then of the patterns; at most
    /// [`limits::MATCHES_LISTED_MAX`] a view. Empty when the command could not be seen.
    pub matches: Vec<Match>,
    /// Never empty; the first one is the alert's.
    pub access_types: Vec<String>,
    /// Severity and risk score in the place of the rule's own.
    pub severity: Option<(Severity, u8)>,
}

/// The readings of a command in which patterns are looked for, in order.
pub fn views(exec: &ExecCommand) -> Vec<(View, Cow<'_, str>)> {
    vec![(View::AsWritten, Cow::Borrowed(&exec.text))]
}

/// The verdict of `rule` on the command, `None` when nothing speaks against it.
pub fn judge(rule: &ExecRule, exec: &ExecCommand) -> Option<CommandVerdict> {
    if let Some(unseen) = &rule.unseen_command
        && exec.via == ExecVia::NodesProxyRun
        && exec.argv.is_empty()
    {
        return Some(CommandVerdict {
            matches: Vec::new(),
            access_types: vec![unseen.label.clone()],
            severity: Some((unseen.severity, unseen.risk_score)),
        });
    }

    let mut matches = Vec::new();
    let mut label_applies = vec![false; rule.labels.names().len()];
    for (view, text) in views(exec) {
        let text = rule.mask.apply(&text);
        let found = rule.sensitive_paths.find(&text, limits::MATCHES_LISTED_MAX);
        if found.is_empty() {
            continue;
        }
        let names = rule.sensitive_paths.names();
        matches.extend(found.into_iter().map(|(at, span)| Match {
            view,
            pattern: names[at].clone(),
            span,
        }));
        for at in rule.labels.matching(&text) {
            label_applies[at] = true;
        }
    }
    if matches.is_empty() {
        return None;
    }
    let mut access_types: Vec<String> = rule
        .labels
        .names()
        .iter()
        .zip(&label_applies)
        .filter(|(_, applies)| **applies)
        .map(|(label, _)| label.clone())
        .collect();
    if access_types.is_empty() {
        access_types.push(rule.default_label.clone());
    }
    Some(CommandVerdict { matches, access_types, severity: None })
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
