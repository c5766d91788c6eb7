//! The results as JUnit XML, which build servers read: a suite for each rule.
//!
//! Source of the form: the JUnit report of Apache Ant, `testsuites` around it, as the readers of
//! build servers take it. What XML 1.0 has no character for is shown escaped.

use super::report::{Invalid, Ran, Report, Skipped};
use crate::alert::visible::visible;

const TEXT_MAX_CHARS: usize = 2_000;

/// The whole document.
pub fn document(report: &Report) -> String {
    let failed = report.cases.iter().filter(|case| !case.passed).count();
    let without = report.without_cases.len() + report.skipped.len();
    let (failures, skipped) = match report.strict {
        true => (failed + without, 0),
        false => (failed, without),
    };
    let totals = Totals {
        tests: report.cases.len() + without + report.invalid.len(),
        failures,
        errors: report.invalid.len(),
        skipped,
        seconds: report.seconds,
    };
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    out.push_str(&format!("<testsuites name=\"kubetell rules test\"{}>\n", totals.attributes()));
    for cases in report.cases.chunk_by(|a, b| a.rule == b.rule) {
        suite(cases, &mut out);
    }
    for rule in &report.without_cases {
        without_cases(rule, report.strict, &mut out);
    }
    for cases in report.skipped.chunk_by(|a, b| a.rule == b.rule) {
        left_out(cases, report.strict, &mut out);
    }
    for file in &report.invalid {
        invalid(file, &mut out);
    }
    out.push_str("</testsuites>\n");
    out
}

/// What an element says of what is below it.
#[derive(Default)]
struct Totals {
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
    seconds: f64,
}

impl Totals {
    fn attributes(&self) -> String {
        let Totals { tests, failures, errors, skipped, seconds } = self;
        format!(
            " tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\" time=\"{seconds:.6}\""
        )
    }
}

fn suite(cases: &[Ran], out: &mut String) {
    let Some(first) = cases.first() else { return };
    let totals = Totals {
        tests: cases.len(),
        failures: cases.iter().filter(|case| !case.passed).count(),
        seconds: cases.iter().map(|case| case.seconds).sum(),
        ..Totals::default()
    };
    let rule = attribute(&first.rule);
    out.push_str(&format!("  <testsuite name=\"{rule}\"{}>\n", totals.attributes()));
    for case in cases {
        let (name, file) = (attribute(&case.name), attribute(&case.file));
        let (line, seconds) = (case.line, case.seconds);
        out.push_str(&format!(
            "    <testcase classname=\"{rule}\" name=\"{name}\" file=\"{file}\" line=\"{line}\" time=\"{seconds:.6}\""
        ));
        if case.passed {
            out.push_str("/>\n");
            continue;
        }
        let summary = case
            .mismatches
            .first()
            .map(|it| format!("{}: expected {}, actual {}", it.what, it.expected, it.actual));
        let message = attribute(&summary.unwrap_or_default());
        let text = lines(&case.failure());
        out.push_str(&format!(
            ">\n      <failure type=\"mismatch\" message=\"{message}\">{text}</failure>\n    </testcase>\n"
        ));
    }
    out.push_str("  </testsuite>\n");
}

fn without_cases(rule: &str, strict: bool, out: &mut String) {
    let rule = attribute(rule);
    let totals = match strict {
        true => Totals { tests: 1, failures: 1, ..Totals::default() },
        false => Totals { tests: 1, skipped: 1, ..Totals::default() },
    };
    let element = match strict {
        true => "<failure type=\"no-cases\" message=\"the rule has no cases\"/>",
        false => "<skipped message=\"the rule has no cases\"/>",
    };
    out.push_str(&format!(
        "  <testsuite name=\"{rule}\"{}>\n    <testcase classname=\"{rule}\" name=\"(no cases)\" time=\"0\">{element}</testcase>\n  </testsuite>\n",
        totals.attributes()
    ));
}

/// The cases of a rule that is left out.
fn left_out(cases: &[Skipped], strict: bool, out: &mut String) {
    let Some(first) = cases.first() else { return };
    let rule = attribute(&first.rule);
    let tests = cases.len();
    let totals = match strict {
        true => Totals { tests, failures: tests, ..Totals::default() },
        false => Totals { tests, skipped: tests, ..Totals::default() },
    };
    out.push_str(&format!("  <testsuite name=\"{rule}\"{}>\n", totals.attributes()));
    for case in cases {
        let (name, file, line) = (attribute(&case.name), attribute(&case.file), case.line);
        let reason = attribute(case.reason.lines().next().unwrap_or_default());
        let element = match strict {
            true => format!("<failure type=\"skipped\" message=\"{reason}\"/>"),
            false => format!("<skipped message=\"{reason}\"/>"),
        };
        out.push_str(&format!(
            "    <testcase classname=\"{rule}\" name=\"{name}\" file=\"{file}\" line=\"{line}\" time=\"0\">{element}</testcase>\n"
        ));
    }
    out.push_str("  </testsuite>\n");
}

fn invalid(file: &Invalid, out: &mut String) {
    let (name, text) = (attribute(&file.file), lines(&file.error));
    let message = attribute(file.error.lines().next().unwrap_or_default());
    let totals = Totals { tests: 1, errors: 1, ..Totals::default() };
    out.push_str(&format!(
        "  <testsuite name=\"{name}\"{}>\n    <testcase classname=\"{name}\" name=\"(invalid file)\" file=\"{name}\" time=\"0\">\n      <error type=\"invalid\" message=\"{message}\">{text}</error>\n    </testcase>\n  </testsuite>\n",
        totals.attributes()
    ));
}

/// A text on one line, bounded, and nothing invisible in it.
fn attribute(text: &str) -> String {
    escaped(&visible(text, TEXT_MAX_CHARS))
}

/// The same of each line.
fn lines(text: &str) -> String {
    text.lines().map(|line| attribute(line) + "\n").collect()
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            // What is visible and no character of XML's all the same.
            '\u{fffe}' | '\u{ffff}' => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
#[path = "junit_tests.rs"]
mod tests;
