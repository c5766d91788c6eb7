//! From one audit event to findings and observations.
//!
//! Owns which rules are asked. Most events concern no rule: they are rejected by comparing two short
//! strings, and nothing of them is copied. Pure.

use std::sync::Arc;

use crate::alert::redact::Redaction;
use crate::audit::event::Event;
use crate::audit::exec;
use crate::detect::command::{self, Command, CommandVerdict};
use crate::detect::exceptions::{self, Answer};
use crate::detect::finding::{ExecCommand, Finding, RequestFinding};
use crate::detect::harmless::Harmless;
use crate::detect::identity::{event_id, with_bounded_id};
use crate::detect::queries::{self, Asker};
use crate::detect::triage::{Triaged, triage};
use crate::detect::tuples::{self, Absent, Tuple, Tuples};
use crate::ingest::envelope::Bodies;
use crate::limits;
use crate::position::Position;
use crate::rules::exceptions::Exception;
use crate::rules::format::{RuleInfo, Severity};
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
    /// A rule matches and says nothing.
    Excepted(Box<Excepted>),
    /// This exception would hold of what follows it if it had not ended.
    ExceptionExpired(Arc<Exception>),
}

/// An event of which a rule says nothing, since an exception holds of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Excepted {
    pub by: Arc<Exception>,
    pub rule: Arc<RuleInfo>,
    pub event_id: String,
    /// Of a new-terms rule what it knows from now on, marked as history. Empty for the first stage
    /// of a request, which does not tell all that may decide: what follows it will.
    pub history: Option<Vec<Observation>>,
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
    fn tuples(&mut self, found: Tuples) -> Vec<Tuple> {
        self.sources_over_limit += found.sources_over_limit;
        self.tuples_over_limit += u64::from(found.over_limit);
        match found.absent {
            Some(Absent::SourceNoAddress) => self.source_no_address += 1,
            Some(Absent::Field(_)) => self.field_missing += 1,
            None => {}
        }
        found.tuples
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
    /// At least one tuple.
    Terms(&'r Rule, &'r NewTermsRule, Vec<Tuple>),
    /// A query, of an event that is no exec.
    Request(&'r Rule),
}

impl<'r> Match<'r> {
    /// Severity and risk score: the rule's, unless the verdict is of a kind with its own.
    fn grade(&self) -> (Severity, u8) {
        let of_verdict = match self {
            Match::Exec(_, _, verdict) => verdict.severity,
            Match::Terms(..) | Match::Request(_) => None,
        };
        let info = self.rule().info();
        of_verdict.unwrap_or((info.severity, info.risk_score))
    }

    /// How many copies of the event are made for it at most.
    fn copies(&self) -> usize {
        match self {
            Match::Exec(..) | Match::Request(_) => 1,
            Match::Terms(_, _, tuples) => tuples.len(),
        }
    }

    /// Nothing if there is no tuple.
    fn terms(rule: &'r Rule, of: &'r NewTermsRule, tuples: Vec<Tuple>) -> Option<Match<'r>> {
        (!tuples.is_empty()).then_some(Match::Terms(rule, of, tuples))
    }

    fn rule(&self) -> &'r Rule {
        match self {
            Match::Exec(rule, ..) | Match::Terms(rule, ..) | Match::Request(rule) => rule,
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
        if self.rules.asks_about_bodies() { Bodies::PointedAt } else { Bodies::Skipped }
    }

    /// Appends to `out` what the rules find: those without a query first, in the order of the
    /// rules.
    pub fn examine(
        &self,
        event: Event<'_>,
        context: Context<'_>,
        out: &mut Vec<Detection>,
    ) -> ExamineStats {
        self.examine_with(None, event, context, out)
    }

    /// [`Matcher::examine`], with the commands that need not be judged again.
    pub fn examine_knowing(
        &self,
        harmless: &mut Harmless,
        event: Event<'_>,
        context: Context<'_>,
        out: &mut Vec<Detection>,
    ) -> ExamineStats {
        self.examine_with(Some(harmless), event, context, out)
    }

    fn examine_with(
        &self,
        mut harmless: Option<&mut Harmless>,
        event: Event<'_>,
        context: Context<'_>,
        out: &mut Vec<Detection>,
    ) -> ExamineStats {
        let mut stats = ExamineStats::default();
        let exec = exec::decode(&event);
        let command = exec.as_ref().map(Command::new);
        let is_harmless = match (&mut harmless, &exec) {
            (Some(harmless), Some(exec)) => harmless.knows(&self.rules, exec),
            _ => false,
        };
        let to_judge = command.as_ref().filter(|_| !is_harmless);
        let asker = Asker { rules: &self.rules, event: &event, command: command.as_ref() };
        let mut matches: Vec<Match<'_>> = Vec::new();
        for rule in self.rules.rules() {
            match rule.kind() {
                RuleKind::Exec(exec_rule) => {
                    if let Some(command) = to_judge
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
                        matches.extend(Match::terms(rule, terms_rule, tuples));
                    }
                }
                // All together, below.
                RuleKind::Query(_) => {}
            }
        }
        if let Some(harmless) = harmless
            && to_judge.is_some()
            && !matches.iter().any(|found| matches!(found, Match::Exec(..)))
        {
            harmless.learn();
        }
        if let Some(queries) = self.rules.queries() {
            match asker.matching(queries) {
                Ok(found) => {
                    for queries::Found { rule, values } in found {
                        if let RuleKind::NewTerms(terms_rule) = rule.kind() {
                            let tuples = stats.tuples(tuples::of(terms_rule, &event, &values));
                            matches.extend(Match::terms(rule, terms_rule, tuples));
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
            self.tell(matches, event, context, command.as_ref(), out);
        }
        stats
    }

    /// What is told of the matches: nothing of those of which an exception holds.
    fn tell(
        &self,
        matches: Vec<Match<'_>>,
        event: Event<'_>,
        context: Context<'_>,
        command: Option<&Command<'_>>,
        out: &mut Vec<Detection>,
    ) {
        let asker = Asker { rules: &self.rules, event: &event, command };
        let time_ms = time_ms(&event, &context);
        let mut exceptions = exceptions::Asking::new(asker, context.cluster, time_ms);
        let asked = matches.iter().map(|found| {
            let rule = found.rule();
            match exceptions.of_rule(rule.id()) {
                holds @ Some(Answer::Holds(_)) => (holds, Triaged::default()),
                answer => (answer, triage(rule, found.grade().0, context.cluster, &asker)),
            }
        });
        let asked: Vec<(Option<Answer>, Triaged)> = asked.collect();
        let is_first_stage = exceptions::is_first_stage(&event);
        let mut seen = Seen::new(event, context, matches.iter().map(Match::copies).sum());
        let exec = command.map(Command::exec);
        for (found, (answer, triaged)) in matches.into_iter().zip(asked) {
            match answer {
                Some(Answer::Holds(by)) => {
                    let excepted = self.excepted(by, found, &mut seen, exec, is_first_stage);
                    out.push(Detection::Excepted(Box::new(excepted)));
                    continue;
                }
                Some(Answer::Expired(by)) => out.push(Detection::ExceptionExpired(by)),
                None => {}
            }
            self.raise(found, triaged, &mut seen, exec, out);
        }
    }

    fn raise(
        &self,
        found: Match<'_>,
        triaged: Triaged,
        seen: &mut Seen,
        exec: Option<&ExecCommand>,
        out: &mut Vec<Detection>,
    ) {
        let grade = found.grade();
        match found {
            Match::Exec(rule, exec, verdict) => {
                let finding = seen.finding(rule, grade, exec, verdict, triaged);
                let finding = self.redaction.apply(finding);
                out.push(Detection::Finding(Box::new(finding)));
            }
            Match::Request(rule) => {
                out.push(Detection::Request(Box::new(seen.request(rule, triaged))));
            }
            Match::Terms(rule, of, tuples) => out.extend(tuples.into_iter().map(|tuple| {
                let labels = triaged.labels.clone();
                let observation = seen.observation(rule, of, tuple, labels, self.learning_ms);
                Detection::Observation(Box::new(self.redacted_observation(observation, exec)))
            })),
        }
    }

    fn excepted(
        &self,
        by: Arc<Exception>,
        found: Match<'_>,
        seen: &mut Seen,
        exec: Option<&ExecCommand>,
        is_first_stage: bool,
    ) -> Excepted {
        let rule = Arc::clone(found.rule().info());
        let event_id = seen.event_id.clone();
        let Match::Terms(of, terms, tuples) = found else {
            return Excepted { by, rule, event_id, history: None };
        };
        let tuples = tuples.into_iter().filter(|_| !is_first_stage);
        let known = tuples.map(|tuple| {
            // No alert is made of it, so it needs no labels.
            let observation = seen.observation(of, terms, tuple, Vec::new(), self.learning_ms);
            Observation { history: true, ..self.redacted_observation(observation, exec) }
        });
        Excepted { by, rule, event_id, history: Some(known.collect()) }
    }

    fn redacted_observation(
        &self,
        mut observation: Observation,
        exec: Option<&ExecCommand>,
    ) -> Observation {
        if let Some(exec) = exec {
            self.redaction.apply_to_event(&mut observation.event, exec);
        }
        observation
    }
}

/// The event's own time, milliseconds since the epoch, or what stands in for it.
fn time_ms(event: &Event<'_>, context: &Context<'_>) -> Option<i64> {
    event.time().map(jiff::Timestamp::as_millisecond).or(context.wrapper_time_ms)
}

/// An event that matched, in a form that outlives the record it came in.
struct Seen {
    event: Event<'static>,
    /// How many copies of it may still be asked for.
    copies: usize,
    event_id: String,
    event_time_ms: Option<i64>,
    cluster: String,
    position: Position,
}

impl Seen {
    fn new(event: Event<'_>, context: Context<'_>, copies: usize) -> Seen {
        Seen {
            copies,
            event_id: event_id(&event, context.wrapper_id),
            event_time_ms: time_ms(&event, &context),
            event: with_bounded_id(with_few_sources(event)).into_owned(),
            cluster: context.cluster.to_owned(),
            position: context.position,
        }
    }

    /// The event; the last one that may be asked for is no copy.
    fn event(&mut self) -> Event<'static> {
        self.copies -= 1;
        if self.copies == 0 { std::mem::take(&mut self.event) } else { self.event.clone() }
    }

    fn finding(
        &mut self,
        rule: &Rule,
        (severity, risk_score): (Severity, u8),
        exec: ExecCommand,
        verdict: CommandVerdict,
        triaged: Triaged,
    ) -> Finding {
        Finding {
            rule: Arc::clone(rule.info()),
            severity,
            risk_score,
            cluster: self.cluster.clone(),
            event: self.event(),
            event_id: self.event_id.clone(),
            event_time_ms: self.event_time_ms,
            position: self.position.clone(),
            exec,
            matches: verdict.matches,
            // A rule has labels of the one kind or the other.
            access_types: [verdict.access_types, triaged.labels].concat(),
            suppression: triaged.suppression,
            confidence: verdict.confidence,
        }
    }

    fn request(&mut self, rule: &Rule, triaged: Triaged) -> RequestFinding {
        RequestFinding {
            rule: Arc::clone(rule.info()),
            cluster: self.cluster.clone(),
            event: self.event(),
            event_id: self.event_id.clone(),
            event_time_ms: self.event_time_ms,
            position: self.position.clone(),
            access_types: triaged.labels,
            suppression: triaged.suppression,
        }
    }

    fn observation(
        &mut self,
        rule: &Rule,
        of: &NewTermsRule,
        tuple: Tuple,
        labels: Vec<String>,
        learning_ms: i64,
    ) -> Observation {
        Observation {
            rule: Arc::clone(rule.info()),
            terms_version: of.terms_version.clone(),
            cluster: self.cluster.clone(),
            fields: of.fields.iter().map(|field| field.name().to_owned()).collect(),
            terms: tuple.terms,
            access_types: labels,
            shard_key: tuple.shard_key,
            window_ms: of.window_ms,
            learning_ms,
            event: self.event(),
            event_id: self.event_id.clone(),
            event_time_ms: self.event_time_ms,
            position: self.position.clone(),
            history: false,
            reduced: false,
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
