//! What an exec rule makes of one command.
//!
//! Owns the views of a command and the labels of what is found in them. It knows nothing of
//! events: `explain` asks it about commands that come from nowhere.

use std::cell::OnceCell;
use std::ops::Range;

use crate::audit::shell::{
    self, reading::Access, reading::Reach, reading::Reading, text::Step, text::Steps,
};
use crate::detect::finding::{Confidence, ExecCommand, ExecVia, Match, View};
use crate::limits;
use crate::rules::format::Severity;
use crate::rules::paths::{How, PathMatch};
use crate::rules::rule::ExecRule;

/// The pattern that a match names whose command could not be read.
const HIDDEN_COMMAND: &str = "hidden-command";

/// How it is told that quotes were left out.
const WITHOUT_QUOTES: &str = "all quotes and backslashes of the command left out";

/// Why a command is worth an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandVerdict {
    /// In the order of the views; at most [`limits::MATCHES_LISTED_MAX`] a view. Empty when the
    /// rule raises the command for what it is and not for what it holds.
    pub matches: Vec<Match>,
    /// Never empty; the first one is the alert's.
    pub access_types: Vec<String>,
    /// Of the best match.
    pub confidence: Option<Confidence>,
    /// Severity and risk score in the place of the rule's own.
    pub severity: Option<(Severity, u8)>,
}

/// A command with its normal form, which is made once, when a rule first asks for it.
#[derive(Debug)]
pub struct Command<'e> {
    exec: &'e ExecCommand,
    reading: OnceCell<Reading>,
}

impl<'e> Command<'e> {
    pub fn new(exec: &'e ExecCommand) -> Command<'e> {
        Command { exec, reading: OnceCell::new() }
    }

    pub fn exec(&self) -> &'e ExecCommand {
        self.exec
    }

    /// The command as a shell would read it. Its spans are bytes of the command as written.
    pub fn reading(&self) -> &Reading {
        self.reading.get_or_init(|| match self.exec.via {
            ExecVia::GkeLabel => read_without_boundaries(&self.exec.text),
            ExecVia::ShellText => shell::read_script(&self.exec.text),
            _ => shell::read(&self.exec.argv),
        })
    }
}

/// A command whose arguments run into each other: what stands behind a shell's `-c`, or behind an
/// interpreter's option for code, is taken for its script, and the whole for a line of a script
/// where there is no such thing.
fn read_without_boundaries(text: &str) -> Reading {
    let words: Vec<&str> = text.split(' ').collect();
    let script = (0..words.len()).find_map(|at| behind_code_option(&words, at));
    let Some(script) = script else { return shell::read_script(text) };
    let before = &words[..script];
    let mut argv: Vec<String> =
        before.iter().filter(|word| !word.is_empty()).map(|&word| word.into()).collect();
    let code_at = argv.iter().map(|word| word.len() + 1).sum::<usize>();
    // Blanks that stand beside each other are no words, but have their places.
    let left_out = before.len() - argv.len();
    // An option for code that ends the label has none, and no place behind it either.
    if script < words.len() {
        argv.push(words[script..].join(" "));
    }
    let mut reading = shell::read(&argv);
    let spans = reading.lines.iter_mut().map(|line| &mut line.span);
    let spans = spans.chain(reading.accesses.iter_mut().map(|access| &mut access.span));
    for span in spans.chain(reading.hidden.iter_mut().map(|hidden| &mut hidden.span)) {
        span.start += if span.start >= code_at { left_out } else { 0 };
        span.end += left_out;
    }
    reading
}

/// Where the code begins that the shell or interpreter at `at` is given, if it is one.
fn behind_code_option(words: &[&str], at: usize) -> Option<usize> {
    let name = words.get(at)?.rsplit('/').next()?;
    let is_shell = name.ends_with("sh");
    let letter = match name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.') {
        _ if is_shell => 'c',
        "python" => 'c',
        "perl" | "ruby" | "node" | "lua" => 'e',
        "php" => 'r',
        _ => return None,
    };
    let mut takes_value = false;
    for (place, word) in words.iter().enumerate().skip(at + 1) {
        let options = word.strip_prefix(['-', '+']).unwrap_or_default();
        if std::mem::take(&mut takes_value) || word.is_empty() {
            continue;
        }
        if options.is_empty() {
            return None;
        }
        if !options.starts_with('-') && options.contains(letter) {
            return Some(place + 1);
        }
        takes_value = is_shell
            && matches!(*word, "-o" | "+o" | "-O" | "+O" | "--rcfile" | "--init-file")
            || is_shell && !options.starts_with('-') && options.ends_with('o');
    }
    None
}

/// The verdict of `rule` on the command, `None` when nothing speaks against it.
pub fn judge(rule: &ExecRule, command: &Command<'_>) -> Option<CommandVerdict> {
    let exec = command.exec();
    if let Some(unseen) = &rule.unseen_command
        && exec.via == ExecVia::NodesProxyRun
        && exec.argv.is_empty()
    {
        return Some(CommandVerdict {
            matches: Vec::new(),
            access_types: vec![unseen.label.clone()],
            confidence: None,
            severity: Some((unseen.severity, unseen.risk_score)),
        });
    }
    if rule.interactive_shell && exec.stdin && exec.tty && command.reading().interactive {
        return Some(CommandVerdict {
            matches: Vec::new(),
            access_types: vec![rule.default_label.clone()],
            confidence: None,
            severity: None,
        });
    }
    if rule.sensitive_paths.is_empty() {
        return None;
    }

    let mut judging =
        Judging { rule, matches: Vec::new(), labels: Vec::new(), likely_labels: Vec::new() };
    judging.as_written(&exec.text);
    judging.normal_form(command.reading());
    if command.reading().evaluates {
        judging.without_quotes(&exec.text);
    }
    judging.verdict()
}

/// A verdict in the making.
struct Judging<'r> {
    rule: &'r ExecRule,
    matches: Vec<Match>,
    /// Which of the rule's labels apply to what is certain.
    labels: Vec<usize>,
    /// Which of them apply to what is likely.
    likely_labels: Vec<usize>,
}

// The mask of benign paths completes no path that was not there before it, so a text without a
// match needs none.
impl Judging<'_> {
    fn as_written(&mut self, text: &str) {
        if !self.rule.sensitive_paths.is_match(text) {
            return;
        }
        let text = self.rule.mask.apply(text);
        let found = self.rule.sensitive_paths.find(&text, limits::MATCHES_LISTED_MAX);
        if found.is_empty() {
            return;
        }
        let names = self.rule.sensitive_paths.names();
        let matches = found.into_iter().map(|(at, span)| Match::as_written(&*names[at], span));
        self.matches.extend(matches);
        self.label(&text);
    }

    fn normal_form(&mut self, reading: &Reading) {
        // Paths before lines, since they tell more; what is opened before what is only shown.
        let listed = |access: &&Access| access.reach == Reach::Listed;
        let opened = reading.accesses.iter().filter(|access| !listed(access));
        for access in opened.chain(reading.accesses.iter().filter(listed)) {
            for found in self.rule.paths.judge(access) {
                self.access(access, &found);
            }
            // What took no steps stands in the command as it is written.
            if let Some(path) = access.path.as_literal()
                && !access.path.steps.is_empty()
                && is_sure(access)
            {
                self.line(path, access.path.steps, &access.span);
            }
        }
        for line in reading.lines.iter().filter(|line| !line.steps.is_empty()) {
            self.line(&line.text, line.steps, &line.span);
        }
        if self.rule.hidden_command.is_some() {
            for hidden in &reading.hidden {
                let mut steps = told(hidden.steps);
                steps.push(hidden.why.as_str().to_owned());
                let name = HIDDEN_COMMAND.to_owned();
                self.add(name, hidden.span.clone(), Confidence::Suspicious, None, steps);
            }
        }
    }

    /// What stands there in one piece once all quotes are gone: some programs run what they are
    /// given in ways that are not read (`make`, `expect`, a subscript). Only where nothing else
    /// was found, since it knows of no shell.
    fn without_quotes(&mut self, text: &str) {
        let surer = self.matches.iter().any(|found| found.confidence > Confidence::Suspicious);
        if surer || self.rule.likely.is_none() || quotes(text).next().is_none() {
            return;
        }
        if !self.rule.sensitive_paths.is_match(&without_quotes(text)) {
            return;
        }
        let bare = without_quotes(&self.rule.mask.apply(text));
        let bare = self.rule.mask.apply(&bare);
        let found = self.rule.sensitive_paths.find(&bare, limits::MATCHES_LISTED_MAX);
        if found.is_empty() {
            return;
        }
        for (at, part) in found {
            let name = self.rule.sensitive_paths.names()[at].clone();
            let reads = Some(excerpt(bare.get(part).unwrap_or_default()));
            let steps = vec![WITHOUT_QUOTES.to_owned()];
            self.add(name, 0..text.len(), Confidence::Likely, reads, steps);
        }
        self.likely_labels.extend(self.rule.labels.matching(&bare));
    }

    /// Looks for the rule's patterns in a text of the normal form.
    fn line(&mut self, text: &str, steps: Steps, span: &Range<usize>) {
        if !self.rule.sensitive_paths.is_match(text) {
            return;
        }
        let text = self.rule.mask.apply(text);
        let found = self.rule.sensitive_paths.find(&text, limits::MATCHES_LISTED_MAX);
        if found.is_empty() {
            return;
        }
        for (at, part) in found {
            let name = self.rule.sensitive_paths.names()[at].clone();
            let reads = Some(excerpt(text.get(part).unwrap_or_default()));
            self.add(name, span.clone(), Confidence::Certain, reads, told(steps));
        }
        self.label(&text);
    }

    fn access(&mut self, access: &Access, found: &PathMatch) {
        let mut steps = told(access.path.steps);
        let path = access.path.to_string();
        let confidence = match found.how {
            How::Read if is_sure(access) => Confidence::Certain,
            How::Read => Confidence::Likely,
            How::BehindUnknown => {
                steps.push(format!("behind an unknown directory it can be {}", found.example));
                Confidence::Likely
            }
            How::GlobCovers => {
                steps.push(format!("glob {} can match {}", excerpt(&path), found.example));
                Confidence::Likely
            }
            How::ParentCovers => {
                let reached = match access.reach {
                    Reach::Searched => "is searched, which finds",
                    _ => "is read with all below it, which holds",
                };
                steps.push(format!("{} {reached} {}", excerpt(&path), found.example));
                Confidence::Likely
            }
        };
        if confidence == Confidence::Likely && self.rule.likely.is_none() {
            return;
        }
        let Some(entry) = self.rule.paths.entries().get(found.entry) else { return };
        let name = entry.name.clone();
        let reads = Some(excerpt(&path));
        let added = self.add(name, access.span.clone(), confidence, reads, steps);
        let certain = confidence == Confidence::Certain;
        if certain {
            self.label(&path);
        }
        if added {
            let mut applying = self.rule.labels.matching(&found.example);
            if let Some(label) = &entry.label {
                applying.extend(self.rule.labels.names().iter().position(|name| name == label));
            }
            let labels = if certain { &mut self.labels } else { &mut self.likely_labels };
            labels.extend(applying);
        }
    }

    /// Adds a match of the normal form, unless as good a one of the pattern is there; whether it
    /// did.
    fn add(
        &mut self,
        pattern: String,
        span: Range<usize>,
        confidence: Confidence,
        reads: Option<String>,
        steps: Vec<String>,
    ) -> bool {
        let better = |found: &Match| found.pattern == pattern && found.confidence >= confidence;
        if self.matches.iter().any(better) {
            return false;
        }
        self.matches.retain(|found| found.pattern != pattern || found.view == View::AsWritten);
        let normal = self.matches.iter().filter(|found| found.view == View::NormalForm);
        if normal.count() == limits::MATCHES_LISTED_MAX {
            return false;
        }
        let view = View::NormalForm;
        self.matches.push(Match { view, pattern, span, confidence, reads, steps });
        true
    }

    fn label(&mut self, text: &str) {
        self.labels.extend(self.rule.labels.matching(text));
    }

    fn verdict(mut self) -> Option<CommandVerdict> {
        let confidence = self.matches.iter().map(|found| found.confidence).max()?;
        // The surest first, but what stands there for everybody to read before all else.
        self.matches.sort_by_key(|found| (found.view, std::cmp::Reverse(found.confidence)));
        let mut access_types: Vec<String> = Vec::new();
        for labels in [&mut self.labels, &mut self.likely_labels] {
            labels.sort_unstable();
            labels.dedup();
            for label in labels.iter().filter_map(|at| self.rule.labels.names().get(*at)) {
                if !access_types.contains(label) {
                    access_types.push(label.clone());
                }
            }
        }
        let hidden = self.rule.hidden_command.as_ref();
        if let Some(hidden) = hidden.filter(|_| confidence == Confidence::Suspicious) {
            access_types.push(hidden.label.clone());
        }
        if access_types.is_empty() {
            access_types.push(self.rule.default_label.clone());
        }
        let severity = match confidence {
            Confidence::Certain => None,
            Confidence::Likely => {
                self.rule.likely.map(|likely| (likely.severity, likely.risk_score))
            }
            Confidence::Suspicious => hidden.map(|hidden| (hidden.severity, hidden.risk_score)),
        };
        Some(CommandVerdict {
            matches: self.matches,
            access_types,
            confidence: Some(confidence),
            severity,
        })
    }
}

/// Where quotes and backslashes stand.
fn quotes(text: &str) -> impl Iterator<Item = usize> {
    memchr::memchr3_iter(b'\'', b'"', b'\\', text.as_bytes())
}

fn without_quotes(text: &str) -> String {
    let mut bare = String::with_capacity(text.len());
    let mut from = 0;
    for at in quotes(text) {
        bare.push_str(&text[from..at]);
        from = at + 1;
    }
    bare.push_str(&text[from..]);
    bare
}

/// Whether the path is reached if the command runs as it is written.
fn is_sure(access: &Access) -> bool {
    !access.path.steps.has(Step::EarlierDirectory)
}

fn told(steps: Steps) -> Vec<String> {
    steps.iter().map(|step| step.as_str().to_owned()).collect()
}

fn excerpt(text: &str) -> String {
    let mut end = text.len().min(limits::NORMAL_FORM_SHOWN_MAX_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
