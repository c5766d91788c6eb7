//! What a check-up tells: one JSON object, from which the text is made too.
//!
//! Owns the object's names and orders. Times are RFC 3339 in UTC.

use std::collections::BTreeMap;

use serde::Serialize;

use super::counts::{Counts, Spread};
use super::findings::{self, Facts, Finding, Severity};
use super::load::Load;
use super::needs::Needs;
use super::tally::{Span, Tally};
use crate::app::state::baseline::time_text;

/// Of the JSON object.
pub const SCHEMA: &str = "kubetell.doctor";
pub const SCHEMA_VERSION: u32 = 1;
/// Most values of one kind that are listed; the others are counted.
const LISTED_MAX: usize = 50;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    pub schema: &'static str,
    pub version: u32,
    /// Not all of the sample was read.
    pub partial: bool,
    /// The gravest severity of all findings.
    pub verdict: Severity,
    /// A topic each, or the files.
    pub sources: Vec<SourceView>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SourceView {
    /// The topic; `files` for files.
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<usize>,
    pub sample: SampleView,
    pub execs: ExecsView,
    pub secret_reads: SecretReadsView,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<Load>,
    /// The gravest first.
    pub findings: Vec<Finding>,
    /// Every rule in force, by id.
    pub rules: Vec<RuleView>,
    /// What occurs in the events, by kind.
    pub seen: BTreeMap<&'static str, ValuesView>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SampleView {
    pub records: u64,
    /// Of the records' values.
    pub bytes: u64,
    /// Bytes of a record's value.
    pub record_bytes: SpreadView,
    /// From the stage of an event to its record; none for files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<SpreadView>,
    pub events: u64,
    /// Records of which a part could not be read.
    pub unreadable: u64,
    /// Deleted while they were read, and damaged.
    pub lost: u64,
    pub damaged: u64,
    /// Times of the first and the last event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_event: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_event: Option<String>,
}

/// How numbers are spread. The percentiles are at most an eighth too high.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SpreadView {
    pub median: u64,
    pub p95: u64,
    pub p99: u64,
    pub max: u64,
}

impl SpreadView {
    fn of(spread: &Spread) -> SpreadView {
        let [median, p95, p99] = [50, 95, 99].map(|percent| spread.percentile(percent));
        SpreadView { median, p95, p99, max: spread.max() }
    }
}

/// Events of `pods/exec`, and of execs and runs through a node's proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ExecsView {
    pub events: u64,
    pub without_request_uri: u64,
    /// With a request URI that holds none.
    pub without_command: u64,
    pub through_nodes: u64,
}

/// `get` and `list` of `secrets`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SecretReadsView {
    pub events: u64,
    /// Without a user, a source address or a user agent.
    pub incomplete: u64,
    /// Not among the others.
    pub watches: u64,
}

/// What the findings come to for a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleState {
    /// Concerned by nothing grave.
    Sees,
    /// By a warning.
    Limited,
    /// By an error.
    Blind,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleView {
    pub id: String,
    pub state: RuleState,
    /// The ids of what concerns it.
    pub findings: Vec<&'static str>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ValuesView {
    /// Those that occur most often first.
    pub values: Vec<ValueView>,
    /// Occurrences of values that are not listed.
    pub others: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ValueView {
    pub value: String,
    pub events: u64,
}

/// What the figures of one topic, or of the files, come to.
pub fn source(name: &str, tally: &Tally, needs: &Needs, facts: Facts) -> SourceView {
    let findings = findings::find(tally, needs, facts);
    let (first_event, last_event) = texts(tally.times);
    let seen = [
        ("wrappers", &tally.wrappers),
        ("api_versions", &tally.api_versions),
        ("levels", &tally.levels),
        ("stages", &tally.stages),
        ("verbs", &tally.verbs),
        ("resources", &tally.resources),
        ("namespaces", &tally.namespaces),
    ];
    SourceView {
        name: name.to_owned(),
        partitions: facts.partitions,
        sample: SampleView {
            records: tally.records,
            bytes: tally.bytes,
            record_bytes: SpreadView::of(&tally.sizes),
            delay_ms: Some(&tally.clocks.delay_ms)
                .filter(|delay| delay.count() > 0)
                .map(SpreadView::of),
            events: tally.events,
            unreadable: tally.unreadable_count(),
            lost: tally.lost,
            damaged: tally.damaged,
            first_event,
            last_event,
        },
        execs: ExecsView {
            events: tally.execs.all,
            without_request_uri: tally.execs.without_uri,
            without_command: tally.execs.without_command,
            through_nodes: tally.execs.by_node,
        },
        secret_reads: SecretReadsView {
            events: tally.secrets.all,
            incomplete: tally.secrets.incomplete,
            watches: tally.secrets.watches,
        },
        load: Load::of(tally),
        rules: needs.rules.iter().map(|rule| rule_view(&rule.id, &findings)).collect(),
        seen: seen.into_iter().map(|(kind, counts)| (kind, values(counts))).collect(),
        findings,
    }
}

pub fn build(sources: Vec<SourceView>, partial: bool) -> Report {
    let severities = sources.iter().flat_map(|source| &source.findings).map(|it| it.severity);
    let verdict = severities.min().unwrap_or(Severity::Ok);
    Report { schema: SCHEMA, version: SCHEMA_VERSION, partial, verdict, sources }
}

fn rule_view(id: &str, findings: &[Finding]) -> RuleView {
    let concerning = || findings.iter().filter(|it| it.rules.iter().any(|rule| rule == id));
    let state = match concerning().map(|finding| finding.severity).min() {
        Some(Severity::Error) => RuleState::Blind,
        Some(Severity::Warning) => RuleState::Limited,
        _ => RuleState::Sees,
    };
    RuleView { id: id.to_owned(), state, findings: concerning().map(|it| it.id).collect() }
}

fn values(counts: &Counts) -> ValuesView {
    let sorted = counts.sorted();
    let (listed, rest) = sorted.split_at(sorted.len().min(LISTED_MAX));
    let listed = listed.iter();
    ValuesView {
        values: listed
            .map(|(value, events)| ValueView { value: (*value).to_owned(), events: *events })
            .collect(),
        others: counts.other() + rest.iter().map(|(_, events)| events).sum::<u64>(),
    }
}

fn texts(times: Span) -> (Option<String>, Option<String>) {
    let text = |ms| Some(time_text(ms));
    times.bounds.map_or((None, None), |(first, last)| (text(first), text(last)))
}
