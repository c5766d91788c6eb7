//! What the rules make of one command, with all that led there.
//!
//! Owns the explanation as data; how it is drawn is for the terminal. It judges nothing itself.

use std::ops::Range;

use serde::Serialize;

use crate::audit::event::Event;
use crate::audit::shell::reading::{Access, Hidden, Line, Reach};
use crate::audit::shell::text::Steps;
use crate::detect::command::{self, Command};
use crate::detect::exceptions::{Answer, Asking};
use crate::detect::finding::{Confidence, ExecCommand, ExecVia, Match};
use crate::detect::queries::Asker;
use crate::rules::format::Severity;
use crate::rules::rule::RuleKind;
use crate::rules::set::RuleSet;

/// Most lines and paths of a normal form that are listed.
const LISTED_MAX: usize = 1_000;

/// Everything about one command. Spans are bytes of `command_line`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    pub via: ExecVia,
    pub argv: Vec<String>,
    /// The arguments joined by one space.
    pub command_line: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    pub stdin: bool,
    pub tty: bool,
    pub normal_form: NormalForm,
    /// Whether any rule raises it.
    pub alert: bool,
    /// Of the rules that match it, in their order.
    pub verdicts: Vec<Verdict>,
    /// Why no rule raises it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
}

/// The command as a shell would read it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct NormalForm {
    pub lines: Vec<LineRead>,
    pub paths: Vec<PathRead>,
    pub hidden: Vec<HiddenPart>,
    /// Lines and paths that are not listed.
    pub omitted: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LineRead {
    pub text: String,
    pub steps: Vec<&'static str>,
    pub span: Range<usize>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PathRead {
    /// `…` where any text may stand.
    pub path: String,
    /// `named`, `walked`, `searched` or `listed`.
    pub reach: &'static str,
    /// What the names of the files reached below it look like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub steps: Vec<&'static str>,
    pub span: Range<usize>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HiddenPart {
    pub reason: &'static str,
    pub steps: Vec<&'static str>,
    pub span: Range<usize>,
}

/// An alert as it would be raised.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    pub rule: String,
    pub name: String,
    pub severity: Severity,
    pub risk_score: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Confidence>,
    pub access_type: String,
    pub access_types: Vec<String>,
    pub matches: Vec<Match>,
    /// The exception that holds, so that there is no alert.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excepted: Option<ExceptedBy>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExceptedBy {
    pub exception: String,
    pub place: String,
    pub reason: String,
}

/// The request that a command came in, which exceptions are asked about.
#[derive(Debug, Clone, Copy)]
pub struct Request<'e> {
    pub event: &'e Event<'e>,
    pub cluster: &'e str,
    /// Milliseconds since the epoch.
    pub time_ms: Option<i64>,
}

/// Asks every exec rule about a command.
pub fn explain(exec: &ExecCommand, rules: &RuleSet) -> Explanation {
    explain_request(exec, rules, None)
}

/// The same, and asks the rules' exceptions about the request, where it is at hand.
pub fn explain_request(
    exec: &ExecCommand,
    rules: &RuleSet,
    request: Option<Request<'_>>,
) -> Explanation {
    let command = Command::new(exec);
    let mut asking = request.map(|Request { event, cluster, time_ms }| {
        Asking::new(Asker { rules, event, command: Some(&command) }, cluster, time_ms)
    });
    let mut verdicts: Vec<Verdict> = Vec::new();
    for rule in rules.rules() {
        let RuleKind::Exec(exec_rule) = rule.kind() else { continue };
        let Some(verdict) = command::judge(exec_rule, &command) else { continue };
        let info = rule.info();
        let (severity, risk_score) = verdict.severity.unwrap_or((info.severity, info.risk_score));
        verdicts.push(Verdict {
            rule: info.id.clone(),
            name: info.name.clone(),
            severity,
            risk_score,
            confidence: verdict.confidence,
            access_type: verdict.access_types.first().cloned().unwrap_or_default(),
            access_types: verdict.access_types,
            matches: verdict.matches,
            excepted: asking.as_mut().and_then(|asking| excepted_by(asking, &info.id)),
        });
    }
    let reading = command.reading();
    let alert = verdicts.iter().any(|verdict| verdict.excepted.is_none());
    let reason = (!alert).then_some(if !verdicts.is_empty() {
        "an exception holds"
    } else if exec.argv.is_empty() {
        "the request names no command"
    } else {
        "no sensitive path stands in the command as written, none is read in its normal form, and \
         nothing in it stays hidden"
    });
    Explanation {
        via: exec.via,
        argv: exec.argv.clone(),
        command_line: exec.text.clone(),
        namespace: exec.namespace.clone(),
        pod: exec.pod.clone(),
        container: exec.container.clone(),
        stdin: exec.stdin,
        tty: exec.tty,
        normal_form: NormalForm {
            lines: reading.lines.iter().take(LISTED_MAX).map(LineRead::from).collect(),
            paths: reading.accesses.iter().take(LISTED_MAX).map(PathRead::from).collect(),
            hidden: reading.hidden.iter().map(HiddenPart::from).collect(),
            omitted: reading.lines.len().saturating_sub(LISTED_MAX)
                + reading.accesses.len().saturating_sub(LISTED_MAX),
        },
        alert,
        verdicts,
        reason,
    }
}

fn excepted_by(asking: &mut Asking<'_, '_>, rule_id: &str) -> Option<ExceptedBy> {
    match asking.of_rule(rule_id)? {
        Answer::Holds(exception) => Some(ExceptedBy {
            exception: exception.name.clone(),
            place: exception.place(),
            reason: exception.reason.clone(),
        }),
        Answer::Expired(_) => None,
    }
}

fn told(steps: Steps) -> Vec<&'static str> {
    steps.iter().map(|step| step.as_str()).collect()
}

impl From<&Line> for LineRead {
    fn from(line: &Line) -> LineRead {
        LineRead { text: line.text.clone(), steps: told(line.steps), span: line.span.clone() }
    }
}

impl From<&Access> for PathRead {
    fn from(access: &Access) -> PathRead {
        PathRead {
            path: access.path.to_string(),
            reach: match access.reach {
                Reach::Named => "named",
                Reach::Walked => "walked",
                Reach::Searched => "searched",
                Reach::Listed => "listed",
            },
            name: access.name.as_ref().map(ToString::to_string),
            steps: told(access.path.steps),
            span: access.span.clone(),
        }
    }
}

impl From<&Hidden> for HiddenPart {
    fn from(hidden: &Hidden) -> HiddenPart {
        HiddenPart {
            reason: hidden.why.as_str(),
            steps: told(hidden.steps),
            span: hidden.span.clone(),
        }
    }
}
