//! From one audit event to findings and observations.
//!
//! Owns which rules are asked. Most events concern no rule: they are rejected by comparing two short
//! strings, and nothing of them is copied. Pure.

use std::sync::Arc;

use crate::alert::redact::Redaction;
use crate::audit::event::Event;
use crate::audit::exec;
use crate::detect::command::{self, Command, CommandVerdict};
use crate::detect::finding::{ExecCommand, Finding, RequestFinding};
use crate::detect::identity::{event_id, with_bounded_id};
use crate::detect::queries::{self, Asker};
use crate::detect::triage::{Triaged, triage};
use crate::detect::tuples::{self, Absent, Tuple, Tuples};
use crate::ingest::envelope::Bodies;
use crate::limits;
use crate::position::Position;
use crate::rules::rule::{Condition, NewTermsRule, Rule, RuleKind};
use crate::rules::set::RuleSet;
use crate::terms::observation::Observation;

/// What is known of an event beside the event.
#[derive(Debug, Clone)]
pub struct Context<'a> {
    pub cluster: &'a str,
    pub position: Position,
    /// The id by which a wrapper names the event; it stands in for a missing `auditID`.
    pub wrapper_id: Option<&'a str>,
    /// Milliseconds since the epoch; stands in when the event tells no time.
    pub wrapper_time_ms: Option<i64>,
}

/// One thing that one rule found in one event.
#[derive(Debug, Clone, PartialEq)]
pub enum Detection {
    Finding(Box<Finding>),
    Request(Box<RequestFinding>),
    Observation(Box<Observation>),
    /// The queries could not be asked about the event, for this reason.
    NotAsked(String),
}

/// What did not become a detection although it matched. Counted, so that nothing is lost in
/// silence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExamineStats {
    /// Source addresses beyond [`crate::limits::SOURCE_IPS_MAX`] of one event.
    pub sources_over_limit: u64,
    /// Events that matched a new-terms rule but have a source that is no address.
    pub source_no_address: u64,
    /// Events that matched a new-terms rule but lack the value of a field.
    pub field_missing: u64,
    /// Events with more than [`crate::limits::TUPLES_MAX`] tuples for a rule.
    pub tuples_over_limit: u64,
}

impl ExamineStats {
    /// Counts what an event did not give, and gives what it did.
    fn tuples(&mut self, found: Tuples) -> impl Iterator<Item = Tuple> + use<> {
        self.sources_over_limit += found.sources_over_limit;
        self.tuples_over_limit += u64::from(found.over_limit);
        match found.absent {
            Some(Absent::SourceNoAddress) => self.source_no_address += 1,
            Some(Absent::Field(_)) => self.field_missing += 1,
            None => {}
        }
        found.tuples.into_iter()
    }
}

impl std::ops::AddAssign for ExamineStats {
    fn add_assign(&mut self, other: ExamineStats) {
        self.sources_over_limit += other.sources_over_limit;
        self.source_no_address += other.source_no_address;
        self.field_missing += other.field_missing;
        self.tuples_over_limit += other.tuples_over_limit;
    }
}

/// Asks every rule about an event. Shared by the workers.
#[derive(Debug, Clone)]
pub struct Matcher {
    rules: Arc<RuleSet>,
    learning_ms: i64,
    redaction: Arc<Redaction>,
}

/// A detection that still lacks the event, which is copied once it is known that it is needed.
enum Match<'r> {
    Exec(&'r Rule, ExecCommand, CommandVerdict),
    Term(&'r Rule, &'r NewTermsRule, Tuple),
    /// A query, of an event that is no exec.
    Request(&'r Rule),
}

impl Match<'_> {
    fn rule(&self) -> &Rule {
        match self {
            Match::Exec(rule, ..) | Match::Term(rule, ..) | Match::Request(rule) => rule,
        }
    }
}

impl Matcher {
    /// `learning_ms`, 0 or more, is written into every observation.
    pub fn new(rules: Arc<RuleSet>, learning_ms: i64) -> Matcher {
        Matcher { rules, learning_ms, redaction: Arc::new(Redaction::none()) }
    }

    /// The same with what must not leave in a finding.
    pub fn redacting(self, redaction: impl Into<Arc<Redaction>>) -> Matcher {
        Matcher { redaction: redaction.into(), ..self }
    }

    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// What of an event's bodies its reader has to keep for the rules.
    pub fn bodies(&self) -> Bodies {
        match self.rules.queries() {
            Some(queries) if queries.asks_about_bodies() => Bodies::PointedAt,
            _ => Bodies::Skipped,
        }
    }

    /// Appends to `out` what the rules find: those without a query first, in the order of the
    /// rules.
    pub fn examine(
        &self,
        event: Event<'_>,
        context: Context<'_>,
        out: &mut Vec<Detection>,
    ) -> ExamineStats {
        let mut stats = ExamineStats::default();
        let exec = exec::decode(&event);
        let command = exec.as_ref().map(Command::new);
        let asker = Asker { rules: &self.rules, event: &event, command: command.as_ref() };
        let mut matches: Vec<Match<'_>> = Vec::new();
        for rule in self.rules.rules() {
            match rule.kind() {
                RuleKind::Exec(exec_rule) => {
                    if let Some(command) = &command
                        && let Some(verdict) = command::judge(exec_rule, command)
                    {
                        matches.push(Match::Exec(rule, command.exec().clone(), verdict));
                    }
                }
                RuleKind::NewTerms(terms_rule) => {
                    if let Condition::Match(table) = &terms_rule.condition
                        && tuples::counts(table, &event)
                    {
                        let tuples = stats.tuples(tuples::of(terms_rule, &event, &[]));
                        matches.extend(tuples.map(|tuple| Match::Term(rule, terms_rule, tuple)));
                    }
                }
                // All together, below.
                RuleKind::Query(_) => {}
            }
        }
        if let Some(queries) = self.rules.queries() {
            match asker.matching(queries) {
                Ok(found) => {
                    for queries::Found { rule, values } in found {
                        if let RuleKind::NewTerms(terms_rule) = rule.kind() {
                            let tuples = stats.tuples(tuples::of(terms_rule, &event, &values));
                            let tuples = tuples.map(|tuple| Match::Term(rule, terms_rule, tuple));
                            matches.extend(tuples);
                            continue;
                        }
                        matches.push(match &exec {
                            Some(exec) => Match::Exec(rule, exec.clone(), told_by_query()),
                            None => Match::Request(rule),
                        });
                    }
                }
                Err(reason) => out.push(Detection::NotAsked(reason)),
            }
        }
        if !matches.is_empty() {
            let triaged = matches.iter().map(|found| triage(found.rule(), context.cluster, &asker));
            let triaged: Vec<Triaged> = triaged.collect();
            let seen = Seen::new(event, context);
            out.extend(matches.into_iter().zip(triaged).map(
                |(found, triaged)| match seen.detection(found, triaged, self.learning_ms) {
                    Detection::Finding(finding) => {
                        Detection::Finding(Box::new(self.redaction.apply(*finding)))
                    }
                    found @ (Detection::Request(_) | Detection::NotAsked(_)) => found,
                    Detection::Observation(mut observation) => {
                        if let Some(exec) = &exec {
                            self.redaction.apply_to_event(&mut observation.event, exec);
                        }
                        Detection::Observation(observation)
                    }
                },
            ));
        }
        stats
    }
}

/// An event that matched, in a form that outlives the record it came in.
struct Seen {
    event: Event<'static>,
    event_id: String,
    event_time_ms: Option<i64>,
    cluster: String,
    position: Position,
}

impl Seen {
    fn new(event: Event<'_>, context: Context<'_>) -> Seen {
        Seen {
            event_id: event_id(&event, context.wrapper_id),
            event_time_ms: event
                .time()
                .map(jiff::Timestamp::as_millisecond)
                .or(context.wrapper_time_ms),
            event: with_bounded_id(with_few_sources(event)).into_owned(),
            cluster: context.cluster.to_owned(),
            position: context.position,
        }
    }

    fn detection(&self, found: Match<'_>, triaged: Triaged, learning_ms: i64) -> Detection {
        let Triaged { labels, suppression } = triaged;
        match found {
            Match::Exec(rule, exec, verdict) => {
                let info = rule.info();
                let (severity, risk_score) =
                    verdict.severity.unwrap_or((info.severity, info.risk_score));
                Detection::Finding(Box::new(Finding {
                    rule: Arc::clone(info),
                    severity,
                    risk_score,
                    cluster: self.cluster.clone(),
                    event: self.event.clone(),
                    event_id: self.event_id.clone(),
                    event_time_ms: self.event_time_ms,
                    position: self.position.clone(),
                    exec,
                    matches: verdict.matches,
                    // A rule has labels of the one kind or the other.
                    access_types: [verdict.access_types, labels].concat(),
                    suppression,
                    confidence: verdict.confidence,
                }))
            }
            Match::Request(rule) => Detection::Request(Box::new(RequestFinding {
                rule: Arc::clone(rule.info()),
                cluster: self.cluster.clone(),
                event: self.event.clone(),
                event_id: self.event_id.clone(),
                event_time_ms: self.event_time_ms,
                position: self.position.clone(),
                access_types: labels,
                suppression,
            })),
            Match::Term(rule, terms_rule, tuple) => Detection::Observation(Box::new(Observation {
                rule: Arc::clone(rule.info()),
                terms_version: terms_rule.terms_version.clone(),
                cluster: self.cluster.clone(),
                fields: terms_rule.fields.iter().map(|field| field.name().to_owned()).collect(),
                terms: tuple.terms,
                access_types: labels,
                shard_key: tuple.shard_key,
                window_ms: terms_rule.window_ms,
                learning_ms,
                event: self.event.clone(),
                event_id: self.event_id.clone(),
                event_time_ms: self.event_time_ms,
                position: self.position.clone(),
                history: false,
                reduced: false,
            })),
        }
    }
}

/// A query that matches an exec says nothing of its command.
fn told_by_query() -> CommandVerdict {
    CommandVerdict {
        matches: Vec::new(),
        access_types: Vec::new(),
        confidence: None,
        severity: None,
    }
}

/// A forged `X-Forwarded-For` may hold any number of addresses: the first ones stay, and the last
/// one, which is the peer.
fn with_few_sources(mut event: Event<'_>) -> Event<'_> {
    if let Some(sources) = &mut event.source_ips
        && sources.len() > limits::EVENT_SOURCES_MAX
    {
        let peer = sources.pop();
        sources.truncate(limits::EVENT_SOURCES_MAX - 1);
        sources.extend(peer);
    }
    event
}

#[cfg(test)]
#[path = "matcher_tests.rs"]
mod tests;
