//! What a run of test cases came to, for people and for programs.
//!
//! Names and values are a stranger's: for people they are made visible and bounded.

use std::path::PathBuf;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::alert::visible::visible;
use crate::app::cases::{CaseOutcome, LeftOut, Mismatch, Placed};
use crate::limits;

const OK: Style = AnsiColor::Green.on_default();
const FAILED: Style = AnsiColor::Red.on_default().bold();
const HEAD: Style = Style::new().bold();

const NAME_MAX_CHARS: usize = 200;
const VALUE_MAX_CHARS: usize = 1_000;

#[derive(Debug, Serialize)]
pub struct Report {
    pub cases: Vec<Ran>,
    /// Ids of rules.
    pub without_cases: Vec<String>,
    /// Files whose rule or cases are not valid.
    pub invalid: Vec<Invalid>,
    /// Cases whose rule is left out.
    pub skipped: Vec<Skipped>,
    pub filtered_out: usize,
    /// Whether a rule without cases, and a case that is skipped, is a failure.
    pub strict: bool,
    pub seconds: f64,
}

#[derive(Debug, Serialize)]
pub struct Ran {
    pub rule: String,
    pub name: String,
    pub file: String,
    /// From 1.
    pub line: usize,
    pub passed: bool,
    pub seconds: f64,
    pub mismatches: Vec<Difference>,
}

#[derive(Debug, Serialize)]
pub struct Invalid {
    pub file: String,
    pub error: String,
}

/// A case that is not run.
#[derive(Debug, Serialize)]
pub struct Skipped {
    /// The file of its rule.
    pub rule: String,
    pub name: String,
    pub file: String,
    /// From 1.
    pub line: usize,
    pub reason: String,
}

impl Skipped {
    pub fn new(left_out: &LeftOut, placed: &Placed) -> Skipped {
        Skipped {
            rule: left_out.path.display().to_string(),
            name: placed.case.name.clone(),
            file: placed.file.display().to_string(),
            line: placed.case.line,
            reason: format!("its rule is left out: {}", left_out.error),
        }
    }

    pub fn title(&self) -> String {
        let show = |text: &str| visible(text, NAME_MAX_CHARS);
        format!("{}: {}", show(&self.rule), show(&self.name))
    }
}

impl From<(PathBuf, String)> for Invalid {
    fn from((path, error): (PathBuf, String)) -> Invalid {
        Invalid { file: path.display().to_string(), error }
    }
}

/// What is not as expected, as texts.
#[derive(Debug, Serialize)]
pub struct Difference {
    /// `alerts`, `events`, or a field and of which alert.
    pub what: String,
    pub expected: String,
    pub actual: String,
    /// The alerts' sentences.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<String>,
}

impl Ran {
    pub fn new(rule: &str, placed: &Placed, outcome: CaseOutcome, seconds: f64) -> Ran {
        let mismatches: Vec<Difference> =
            outcome.mismatches.into_iter().map(Difference::from).collect();
        Ran {
            rule: rule.to_owned(),
            name: placed.case.name.clone(),
            file: placed.file.display().to_string(),
            line: placed.case.line,
            passed: mismatches.is_empty(),
            seconds,
            mismatches,
        }
    }

    fn title(&self) -> String {
        format!("{}: {}", self.rule, visible(&self.name, NAME_MAX_CHARS))
    }

    /// The place and what differs, a line each.
    pub fn failure(&self) -> String {
        let place = visible(&self.file, VALUE_MAX_CHARS);
        let mut out = format!("at {place}:{}\n", self.line);
        for it in &self.mismatches {
            let show = |text: &str| visible(text, VALUE_MAX_CHARS);
            out.push_str(&format!("{}\n", show(&it.what)));
            out.push_str(&format!("  expected: {}\n", show(&it.expected)));
            out.push_str(&format!("  actual:   {}\n", show(&it.actual)));
            for message in &it.messages {
                out.push_str(&format!("  - {}\n", show(message)));
            }
        }
        out
    }
}

impl From<Mismatch> for Difference {
    fn from(mismatch: Mismatch) -> Difference {
        match mismatch {
            Mismatch::Alerts { expected, actual, messages } => Difference {
                what: "alerts".to_owned(),
                expected,
                actual: match actual {
                    0 => "no alert".to_owned(),
                    1 => "1 alert".to_owned(),
                    number => format!("{number} alerts"),
                },
                messages,
            },
            Mismatch::Field { alert, field, expected, actual } => Difference {
                what: format!("`{field}` of alert {alert}"),
                expected,
                actual,
                messages: Vec::new(),
            },
            Mismatch::Unreadable(problem) => Difference {
                what: "events".to_owned(),
                expected: "events that can be read".to_owned(),
                actual: problem,
                messages: Vec::new(),
            },
            Mismatch::TooMany { actual } => Difference {
                what: "alerts".to_owned(),
                expected: format!(
                    "at most {} alerts, of which the fields are compared",
                    limits::CASE_ALERTS_MAX
                ),
                actual: format!("{actual} alerts"),
                messages: Vec::new(),
            },
        }
    }
}

impl Report {
    pub fn new(strict: bool) -> Report {
        Report {
            cases: Vec::new(),
            without_cases: Vec::new(),
            invalid: Vec::new(),
            skipped: Vec::new(),
            filtered_out: 0,
            strict,
            seconds: 0.0,
        }
    }

    /// Rules without cases, and cases that are skipped, included where these count.
    pub fn has_failed(&self) -> bool {
        !self.invalid.is_empty()
            || self.cases.iter().any(|case| !case.passed)
            || self.strict && !(self.without_cases.is_empty() && self.skipped.is_empty())
    }

    pub fn text(&self) -> String {
        let mut out = String::new();
        for case in &self.cases {
            let verdict = match case.passed {
                true => format!("{OK}ok{OK:#}"),
                false => format!("{FAILED}FAILED{FAILED:#}"),
            };
            out.push_str(&format!("{} ... {verdict}\n", case.title()));
        }
        for case in &self.skipped {
            let verdict = match self.strict {
                true => format!("{FAILED}skipped{FAILED:#}"),
                false => "skipped".to_owned(),
            };
            out.push_str(&format!("{} ... {verdict}\n", case.title()));
        }
        let failed: Vec<&Ran> = self.cases.iter().filter(|case| !case.passed).collect();
        if !failed.is_empty() {
            out.push_str("\nfailures:\n");
        }
        for case in &failed {
            out.push_str(&format!("\n{HEAD}{}{HEAD:#}\n", case.title()));
            case.failure().lines().for_each(|line| out.push_str(&format!("  {line}\n")));
        }
        if !self.without_cases.is_empty() {
            let ids = self.without_cases.join(", ");
            out.push_str(&format!("\nrules without cases: {ids}\n"));
        }
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&self.summary(failed.len()));
        out
    }

    fn summary(&self, failed: usize) -> String {
        let verdict = match self.has_failed() {
            false => format!("{OK}ok{OK:#}"),
            true => format!("{FAILED}FAILED{FAILED:#}"),
        };
        let mut parts = vec![
            format!("{} passed", self.cases.len() - failed),
            format!("{failed} failed"),
            format!("{} filtered out", self.filtered_out),
        ];
        let mut count = |number: usize, one: &str, several: &str| match number {
            0 => {}
            1 => parts.push(format!("1 {one}")),
            number => parts.push(format!("{number} {several}")),
        };
        count(self.skipped.len(), "case skipped", "cases skipped");
        count(self.without_cases.len(), "rule without cases", "rules without cases");
        count(self.invalid.len(), "invalid file", "invalid files");
        let parts = parts.join("; ");
        format!("test result: {verdict}. {parts}; finished in {:.2}s\n", self.seconds)
    }
}

#[cfg(test)]
#[path = "report_tests.rs"]
pub mod tests;
