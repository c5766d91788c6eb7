//! From the figures of a sample to what they mean. A pure function.
//!
//! Owns which figure is a finding, how grave it is and which rules it concerns. What it means in
//! words, and what to do, is said once for each id ([`ids`]). A sentence holds figures and names
//! of ours; what comes from events is shown escaped.

mod clocks;
mod content;
mod fields;
pub mod ids;
mod load;

use serde::Serialize;

use self::ids::{Id, Input};
use super::needs::Needs;
use super::tally::Tally;

/// How grave a finding is. Ordered: the gravest is the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Some rule can't work on this input.
    Error,
    /// Some rule sees less than it should, or something is exposed.
    Warning,
    /// To be known.
    Note,
    Ok,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
            Severity::Ok => "ok",
        }
    }
}

/// One thing that the sample tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub id: &'static str,
    pub severity: Severity,
    /// A sentence with figures.
    pub text: String,
    /// What it means for the rules.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub means: &'static str,
    /// Rules in force that it concerns.
    pub rules: Vec<String>,
    #[serde(rename = "do", skip_serializing_if = "str::is_empty")]
    pub remedy: &'static str,
}

/// What is known beside the figures.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Milliseconds since the epoch, when the reading ended.
    pub now_ms: i64,
    /// Of the topic; none for files.
    pub partitions: Option<usize>,
}

impl Facts {
    fn input(self) -> Input {
        if self.partitions.is_some() { Input::Topic } else { Input::Files }
    }
}

/// Everything that the figures tell, the gravest first.
pub fn find(tally: &Tally, needs: &Needs, facts: Facts) -> Vec<Finding> {
    let mut findings = Findings { tally, needs, facts, found: Vec::new() };
    findings.content();
    if tally.events > 0 {
        findings.requests();
        findings.fields();
        findings.sources();
        findings.clocks();
        findings.stages();
    }
    findings.load();
    let mut found = findings.found;
    // Within a severity they keep the order of their ids, that of the documentation.
    found.sort_by_key(|(id, finding)| (finding.severity, *id));
    found.into_iter().map(|(_, finding)| finding).collect()
}

struct Findings<'a> {
    tally: &'a Tally,
    needs: &'a Needs,
    facts: Facts,
    found: Vec<(Id, Finding)>,
}

impl Findings<'_> {
    fn add(&mut self, id: Id, severity: Severity, rules: Vec<String>, text: String) {
        let input = self.facts.input();
        let (means, remedy) = (id.means(input), id.remedy(input));
        self.found.push((id, Finding { id: id.as_str(), severity, text, means, rules, remedy }));
    }

    fn has(&self, ids: &[Id]) -> bool {
        self.found.iter().any(|(id, _)| ids.contains(id))
    }
}

/// `PART of WHOLE THINGS (SHARE %)`.
fn of(part: u64, whole: u64, things: &str) -> String {
    format!("{part} of {whole} {things} ({})", percent(part, whole))
}

fn percent(part: u64, whole: u64) -> String {
    let percent = 100.0 * part as f64 / whole.max(1) as f64;
    match percent {
        _ if part == 0 || part == whole => format!("{percent:.0} %"),
        ..0.01 => "less than 0.01 %".to_owned(),
        ..1.0 => format!("{percent:.2} %"),
        ..99.9 => format!("{percent:.1} %"),
        _ => "more than 99.9 %".to_owned(),
    }
}

/// Whether it is at least so many in 100, and not nothing.
fn is_share(part: u64, whole: u64, percent: u64) -> bool {
    part > 0 && part.saturating_mul(100) >= whole.saturating_mul(percent)
}

#[cfg(test)]
mod tests;
