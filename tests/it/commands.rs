//! What the built-in exec rule makes of the commands in `tests/fixtures/commands`.
//!
//! Owns nothing but the comparison: the commands, and what is expected of them, are data.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fmt::Write as _;

use kubetell::detect::command::{Command, CommandVerdict, judge};
use kubetell::detect::finding::{Confidence, ExecCommand, ExecVia, View};
use kubetell::rules::rule::{ExecRule, RuleKind};
use kubetell::rules::set::RuleSet;
use serde::Deserialize;

use crate::corpus::{self, Hidden};

const FAMILIES_MIN: usize = 20;
const FAMILY_CASES_MIN: usize = 8;
const HARMLESS_MIN: usize = 420;
/// A command is shown up to here.
const COMMAND_SHOWN_MAX_CHARS: usize = 240;

/// What a case says of how sure the verdict is to be.
#[derive(Deserialize)]
#[serde(untagged)]
enum Allowed {
    Only(Confidence),
    AnyOf(Vec<Confidence>),
}

impl Allowed {
    fn has(&self, confidence: Confidence) -> bool {
        match self {
            Allowed::Only(only) => *only == confidence,
            Allowed::AnyOf(several) => several.contains(&confidence),
        }
    }

    fn words(&self) -> String {
        match self {
            Allowed::Only(only) => only.as_str().to_owned(),
            Allowed::AnyOf(several) => {
                several.iter().map(|one| one.as_str()).collect::<Vec<_>>().join(" or ")
            }
        }
    }
}

fn with_exec_rule(ask: impl FnOnce(&ExecRule)) {
    let rules = RuleSet::builtin().unwrap();
    match rules.get("pod-exec-sensitive-path").unwrap().kind() {
        RuleKind::Exec(rule) => ask(rule),
        _ => panic!("an exec rule"),
    }
}

fn judge_argv(rule: &ExecRule, argv: &[String]) -> Option<CommandVerdict> {
    let exec = ExecCommand {
        via: ExecVia::PodsExec,
        text: argv.join(" "),
        argv: argv.to_vec(),
        container: Some("app".to_owned()),
        namespace: Some("shop".to_owned()),
        pod: Some("web-1".to_owned()),
        stdin: false,
        tty: false,
    };
    judge(rule, &Command::new(&exec))
}

/// What is wrong with the verdict, if anything is.
fn complaint(case: &Hidden, verdict: Option<&CommandVerdict>) -> Option<String> {
    let Some(verdict) = verdict else { return Some("missed".to_owned()) };
    if verdict.matches.iter().any(|found| found.view == View::AsWritten) {
        return Some("stands there as written, so it proves nothing".to_owned());
    }
    let confidence = verdict.confidence?;
    let allowed: Allowed = case.confidence.clone().try_into().unwrap();
    if !allowed.has(confidence) {
        let (is, expected) = (confidence.as_str(), allowed.words());
        return Some(format!("{is} in place of {expected}"));
    }
    // What could not be resolved has no path whose label and steps could be told.
    if confidence == Confidence::Suspicious {
        return None;
    }
    let labels = &verdict.access_types;
    if let Some(label) = case.label.as_ref().filter(|label| labels.first() != Some(label)) {
        return Some(format!("{labels:?} in place of {label} first"));
    }
    if let Some(label) = case.among.as_ref().filter(|label| !labels.contains(label)) {
        return Some(format!("{labels:?} without {label}"));
    }
    let told: BTreeSet<&str> =
        verdict.matches.iter().flat_map(|found| &found.steps).map(String::as_str).collect();
    let untold: Vec<_> = case.steps.iter().filter(|step| !told.contains(&***step)).collect();
    (!untold.is_empty()).then(|| format!("told {told:?} without {untold:?}"))
}

/// The failures of one file, told together: one that is alone says little.
#[derive(Default)]
struct Failures {
    cases: usize,
    lines: Vec<String>,
}

impl Failures {
    fn check(&mut self, place: &str, argv: &[String], complaint: Option<String>) {
        self.cases += 1;
        if let Some(complaint) = complaint {
            let command = format!("{argv:?}");
            let shown: String = command.chars().take(COMMAND_SHOWN_MAX_CHARS).collect();
            self.lines.push(format!("{place}: {complaint}\n        {shown}"));
        }
    }

    fn tell(self) {
        if self.lines.is_empty() {
            return;
        }
        let mut message = format!("{} of {} commands fail", self.lines.len(), self.cases);
        for line in &self.lines {
            let _ = write!(message, "\n    {line}");
        }
        panic!("{message}");
    }
}

#[test]
fn a_command_that_hides_what_it_reads_is_raised() {
    with_exec_rule(|rule| {
        let mut failures = Failures::default();
        for family in &corpus::hidden() {
            for case in &family.case {
                let argv = case.whole_argv();
                let verdict = judge_argv(rule, &argv);
                let place = format!("{} / {}", family.name, case.name);
                failures.check(&place, &case.argv, complaint(case, verdict.as_ref()));
            }
        }
        failures.tell();
    });
}

#[test]
fn a_harmless_command_stays_silent() {
    with_exec_rule(|rule| {
        let mut failures = Failures::default();
        for group in &corpus::harmless() {
            for case in &group.case {
                let complaint = judge_argv(rule, &case.argv).map(|verdict| {
                    let reason = case.reason.as_deref().unwrap_or("harmless");
                    format!("raised although: {reason} {:?}", verdict.matches)
                });
                failures.check(&group.name, &case.argv, complaint);
            }
        }
        failures.tell();
    });
}

/// The view as written compares text as the published rule does, and is as noisy.
#[test]
fn known_noise_is_raised_by_the_view_as_written() {
    with_exec_rule(|rule| {
        let mut failures = Failures::default();
        for group in &corpus::noisy() {
            for case in &group.case {
                let matches =
                    judge_argv(rule, &case.argv).map(|verdict| verdict.matches).unwrap_or_default();
                let as_written = matches.iter().any(|found| found.view == View::AsWritten);
                let complaint = (!as_written).then(|| "silent as written".to_owned());
                failures.check(&group.name, &case.argv, complaint);
                let no_reason = case.reason.is_none().then(|| "has no reason".to_owned());
                failures.check(&group.name, &case.argv, no_reason);
            }
        }
        failures.tell();
    });
}

#[test]
fn the_commands_are_many_and_told_apart() {
    let families = corpus::hidden();
    assert!(families.len() >= FAMILIES_MIN, "{} families", families.len());
    let mut names = BTreeSet::new();
    for family in &families {
        let cases = family.case.len();
        assert!(cases >= FAMILY_CASES_MIN, "{}: {cases} cases", family.name);
        for case in &family.case {
            assert!(names.insert(&case.name), "`{}` twice", case.name);
        }
    }
    let harmless = corpus::harmless();
    let commands: Vec<_> = harmless.iter().flat_map(|group| &group.case).collect();
    assert!(commands.len() >= HARMLESS_MIN, "{} harmless commands", commands.len());
    let different: BTreeSet<_> = commands.iter().map(|case| &case.argv).collect();
    assert_eq!(different.len(), commands.len());
}

/// Three commands once stood in the corpus and not in the table.
#[test]
fn the_page_counts_the_commands_as_they_are() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/detections.md")).unwrap();
    let families = corpus::hidden();
    for family in &families {
        let row = format!("| {} | {} | `", family.name, family.case.len());
        assert!(page.contains(&row), "docs/detections.md has no row `{row}`");
    }
    let (mut counts, mut commands) = ([0; 3], 0);
    with_exec_rule(|rule| {
        for case in families.iter().flat_map(|family| &family.case) {
            commands += 1;
            let verdict = judge_argv(rule, &case.whole_argv());
            if let Some(confidence) = verdict.and_then(|verdict| verdict.confidence) {
                counts[match confidence {
                    Confidence::Certain => 0,
                    Confidence::Likely => 1,
                    Confidence::Suspicious => 2,
                }] += 1;
            }
        }
    });
    let [certain, likely, suspicious] = counts;
    let told = page.split_whitespace().collect::<Vec<_>>().join(" ");
    for text in [
        format!("{commands} commands in {} families", families.len()),
        format!("{certain} certain, {likely} likely, {suspicious} suspicious"),
        format!("of {} harmless commands", corpus::harmless_argvs().len()),
        format!("The {} of `noisy.toml`", corpus::noisy_argvs().len()),
    ] {
        assert!(told.contains(&text), "docs/detections.md does not say `{text}`");
    }
}
