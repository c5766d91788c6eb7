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
use serde::de::DeserializeOwned;

const FAMILIES_MIN: usize = 20;
const FAMILY_CASES_MIN: usize = 8;
const HARMLESS_MIN: usize = 420;
/// A command is shown up to here.
const COMMAND_SHOWN_MAX_CHARS: usize = 240;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HiddenCommands {
    family: Vec<Family>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Family {
    name: String,
    #[serde(rename = "about")]
    _about: String,
    case: Vec<HiddenCase>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HiddenCase {
    name: String,
    argv: Vec<String>,
    #[serde(default)]
    repeat: Vec<Repeat>,
    /// For readers, and for whoever runs the case for real.
    #[serde(rename = "path")]
    _path: Option<String>,
    confidence: Allowed,
    /// The access type that comes first.
    label: Option<String>,
    /// An access type that is among those told.
    among: Option<String>,
    #[serde(default)]
    steps: Vec<String>,
}

/// The text to put `times` times in the place of the one `mark` in an argument.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Repeat {
    arg: usize,
    mark: String,
    text: String,
    times: usize,
}

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainCommands {
    group: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    name: String,
    #[serde(rename = "about")]
    _about: String,
    case: Vec<PlainCase>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainCase {
    argv: Vec<String>,
    reason: Option<String>,
}

fn fixture<T: DeserializeOwned>(text: &str) -> T {
    toml::from_str(text).unwrap_or_else(|error| panic!("{error}"))
}

fn hidden_commands() -> HiddenCommands {
    fixture(include_str!("../fixtures/commands/hidden.toml"))
}

fn harmless_commands() -> PlainCommands {
    fixture(include_str!("../fixtures/commands/harmless.toml"))
}

fn noisy_commands() -> PlainCommands {
    fixture(include_str!("../fixtures/commands/noisy.toml"))
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

impl HiddenCase {
    fn whole_argv(&self) -> Vec<String> {
        let mut argv = self.argv.clone();
        for Repeat { arg, mark, text, times } in &self.repeat {
            assert_eq!(argv[*arg].matches(mark).count(), 1, "{}: `{mark}`", self.name);
            argv[*arg] = argv[*arg].replace(mark, &text.repeat(*times));
        }
        argv
    }

    /// What is wrong with the verdict, if anything is.
    fn complaint(&self, verdict: Option<&CommandVerdict>) -> Option<String> {
        let Some(verdict) = verdict else { return Some("missed".to_owned()) };
        if verdict.matches.iter().any(|found| found.view == View::AsWritten) {
            return Some("stands there as written, so it proves nothing".to_owned());
        }
        let confidence = verdict.confidence?;
        if !self.confidence.has(confidence) {
            let (is, expected) = (confidence.as_str(), self.confidence.words());
            return Some(format!("{is} in place of {expected}"));
        }
        // What could not be resolved has no path whose label and steps could be told.
        if confidence == Confidence::Suspicious {
            return None;
        }
        let labels = &verdict.access_types;
        if let Some(label) = self.label.as_ref().filter(|label| labels.first() != Some(label)) {
            return Some(format!("{labels:?} in place of {label} first"));
        }
        if let Some(label) = self.among.as_ref().filter(|label| !labels.contains(label)) {
            return Some(format!("{labels:?} without {label}"));
        }
        let told: BTreeSet<&str> =
            verdict.matches.iter().flat_map(|found| &found.steps).map(String::as_str).collect();
        let untold: Vec<_> = self.steps.iter().filter(|step| !told.contains(&***step)).collect();
        (!untold.is_empty()).then(|| format!("told {told:?} without {untold:?}"))
    }
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
        for family in &hidden_commands().family {
            for case in &family.case {
                let argv = case.whole_argv();
                let verdict = judge_argv(rule, &argv);
                let place = format!("{} / {}", family.name, case.name);
                failures.check(&place, &case.argv, case.complaint(verdict.as_ref()));
            }
        }
        failures.tell();
    });
}

#[test]
fn a_harmless_command_stays_silent() {
    with_exec_rule(|rule| {
        let mut failures = Failures::default();
        for group in &harmless_commands().group {
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
        for group in &noisy_commands().group {
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
    let families = hidden_commands().family;
    assert!(families.len() >= FAMILIES_MIN, "{} families", families.len());
    let mut names = BTreeSet::new();
    for family in &families {
        let cases = family.case.len();
        assert!(cases >= FAMILY_CASES_MIN, "{}: {cases} cases", family.name);
        for case in &family.case {
            assert!(names.insert(&case.name), "`{}` twice", case.name);
        }
    }
    let harmless = harmless_commands().group;
    let commands: Vec<_> = harmless.iter().flat_map(|group| &group.case).collect();
    assert!(commands.len() >= HARMLESS_MIN, "{} harmless commands", commands.len());
    let different: BTreeSet<_> = commands.iter().map(|case| &case.argv).collect();
    assert_eq!(different.len(), commands.len());
}
