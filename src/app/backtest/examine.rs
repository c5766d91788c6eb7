//! From records to hits and sightings: the matcher of `run` and `scan`, asked for each set of rules.
//!
//! Owns the matchers and prefilters of the sides. What a record turns into depends on the record
//! alone, so the order of the workers never shows.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::Sides;
use super::alike::Alike;
use super::episodes::{Episodes, First, Term};
use super::hits::{Hit, Place, Seen, Shown, Side};
use super::reader::{Batch, Taken};
use crate::alert::id;
use crate::alert::redact::Redaction;
use crate::audit::event::{Event, ObjectRef};
use crate::config::{ClusterFrom, Config};
use crate::detect::finding::ExecCommand;
use crate::detect::matcher::{Context, Detection, Matcher};
use crate::detect::tuples::bounded;
use crate::ingest::envelope::{self, Bodies, Outcome, Wrapper};
use crate::ingest::prefilter::{Prefilter, Verdict};
use crate::limits;
use crate::position::Position;
use crate::rules::rule::RuleKind;
use crate::rules::set::RuleSet;
use crate::terms::observation::Observation;
use crate::terms::record;

/// The class of events that have more values than a query looks at.
const NOT_ASKED: &str = "not-asked";

/// What could not be read, of one class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    pub records: u64,
    /// The first of them, by its place.
    pub first: Place,
    /// Why that one could not be read.
    pub reason: String,
}

/// Counts of a batch, or of all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events of the range that were parsed.
    pub events: u64,
    /// Records by error class.
    pub unreadable: BTreeMap<&'static str, Unreadable>,
    /// Items that are no audit events and not meant to be, by reason.
    pub skipped: BTreeMap<&'static str, u64>,
    /// Events of the range of which an exception held, by exception; of the candidate if there is
    /// one.
    pub excepted: BTreeMap<String, u64>,
}

impl Counts {
    pub fn add(&mut self, other: Counts) {
        self.events += other.events;
        for (class, theirs) in other.unreadable {
            match self.unreadable.get_mut(class) {
                Some(ours) => {
                    ours.records += theirs.records;
                    if theirs.first < ours.first {
                        (ours.first, ours.reason) = (theirs.first, theirs.reason);
                    }
                }
                None => {
                    self.unreadable.insert(class, theirs);
                }
            }
        }
        for (reason, count) in other.skipped {
            *self.skipped.entry(reason).or_default() += count;
        }
        for (exception, count) in other.excepted {
            *self.excepted.entry(exception).or_default() += count;
        }
    }

    fn unreadable(&mut self, class: &'static str, first: Place, reason: String) {
        let one = Unreadable { records: 1, first, reason };
        self.add(Counts { unreadable: BTreeMap::from([(class, one)]), ..Counts::default() });
    }
}

/// What a worker made of a batch.
#[derive(Debug, Default)]
pub struct Examined {
    /// Of the stateless rules without a suppression, and of those with one.
    pub hits: Vec<Hit>,
    pub alike: Vec<Alike>,
    pub episodes: Episodes,
    pub counts: Counts,
}

/// One set of rules.
struct Asked {
    matcher: Matcher,
    prefilter: Prefilter,
    /// Its new-terms rules, for what stands before the range; none if it has none.
    history: Option<(Matcher, Prefilter)>,
    /// Windows of its new-terms rules by the rule's number, milliseconds.
    windows: BTreeMap<u16, i64>,
}

pub struct Examiner {
    sides: Vec<(Side, Asked)>,
    /// Of both sets, sorted. A rule's number is its place here.
    rule_ids: Vec<String>,
    cluster: String,
    cluster_field: Option<String>,
    wrapper: Option<Wrapper>,
    from_ms: i64,
}

impl Examiner {
    pub fn new(config: &Config, sides: &Sides, redaction: Redaction, from_ms: i64) -> Examiner {
        let ids = sides.all().flat_map(|set| set.rules().iter().map(|rule| rule.id().to_owned()));
        let mut rule_ids: Vec<String> = ids.collect();
        rule_ids.sort_unstable();
        rule_ids.dedup();
        let asked = |set: &Arc<RuleSet>| Asked::new(set, &redaction, &rule_ids);
        let mut asked_sides = vec![(Side::Current, asked(&sides.current))];
        asked_sides.extend(sides.candidate.iter().map(|set| (Side::Candidate, asked(set))));
        Examiner {
            sides: asked_sides,
            rule_ids,
            cluster: config.cluster.clone(),
            cluster_field: match &config.source.cluster_from {
                ClusterFrom::Field(pointer) => Some(pointer.clone()),
                _ => None,
            },
            wrapper: config.source.wrapper.as_deref().and_then(Wrapper::from_name),
            from_ms,
        }
    }

    pub fn rule_ids(&self) -> &[String] {
        &self.rule_ids
    }

    /// Whether a side has a rule of this number in force.
    pub fn has(&self, side: Side, rule: u16) -> bool {
        let id = self.rule_ids.get(usize::from(rule));
        let in_force = |asked: &Asked, id: &str| {
            asked.matcher.rules().rules().iter().any(|rule| rule.id() == id)
        };
        self.sides.iter().any(|(of, asked)| *of == side && id.is_some_and(|id| in_force(asked, id)))
    }

    pub fn has_candidate(&self) -> bool {
        self.sides.len() > 1
    }

    /// Window of a new-terms rule, milliseconds.
    pub fn window_ms(&self, side: Side, rule: u16) -> i64 {
        let asked = self.sides.iter().find(|(of, _)| *of == side);
        asked.and_then(|(_, asked)| asked.windows.get(&rule).copied()).unwrap_or(0)
    }

    /// The sides whose rules a record may concern, by their bits.
    pub fn concerned(&self, payload: &[u8], history: bool) -> u8 {
        let passes = |asked: &Asked| {
            let prefilter = if history {
                asked.history.as_ref().map(|(_, prefilter)| prefilter)
            } else {
                Some(&asked.prefilter)
            };
            prefilter.is_some_and(|prefilter| prefilter.verdict(payload) == Verdict::Pass)
        };
        let concerned = self.sides.iter().filter(|(_, asked)| passes(asked));
        concerned.fold(0, |sides, (side, _)| sides | side.bit())
    }

    pub fn examine(&self, batch: &Batch) -> Examined {
        let mut examined = Examined::default();
        for record in &batch.records {
            let payload = batch.bytes.get(record.payload.clone()).unwrap_or_default();
            let mut one = Examined::default();
            // No input is known to panic. Should one, it costs its own record, not the rest.
            let read = AssertUnwindSafe(|| self.record(record, payload, &mut one));
            if std::panic::catch_unwind(read).is_err() {
                let reason = "reading the record panicked".to_owned();
                one = Examined::default();
                one.counts.unreadable("internal", record.place, reason);
            }
            examined.hits.append(&mut one.hits);
            examined.alike.append(&mut one.alike);
            examined.episodes.merge(one.episodes);
            examined.counts.add(one.counts);
        }
        examined
    }

    /// The matchers that a record is for.
    fn matchers(&self, record: &Taken) -> Vec<(Side, &Matcher)> {
        let concerned = self.sides.iter().filter(|(side, _)| record.sides & side.bit() != 0);
        let matchers = concerned.filter_map(|(side, asked)| {
            let matcher = if record.history {
                asked.history.as_ref().map(|(matcher, _)| matcher)
            } else {
                Some(&asked.matcher)
            };
            Some((*side, matcher?))
        });
        matchers.collect()
    }

    fn record(&self, record: &Taken, payload: &[u8], out: &mut Examined) {
        let matchers = self.matchers(record);
        let mut cluster = record.cluster.clone();
        if let (None, Some(pointer)) = (&cluster, &self.cluster_field) {
            cluster = envelope::field_at(payload, pointer);
        }
        let cluster = cluster.as_ref().unwrap_or(&self.cluster);
        let asks_bodies = matchers.iter().any(|(_, it)| it.bodies() == Bodies::PointedAt);
        let bodies = if asks_bodies { Bodies::PointedAt } else { Bodies::Skipped };
        let mut failed: Option<(&'static str, u32, String)> = None;
        let mut detections = Vec::new();
        envelope::read_asking(payload, self.wrapper, bodies, &mut |item, outcome| match outcome {
            Outcome::Event(read) => {
                out.counts.events += u64::from(!record.history);
                let mut ask = |side: Side, matcher: &Matcher, event: Event<'_>| {
                    let context = Context {
                        cluster,
                        // Places are kept beside the findings, in a smaller form.
                        position: Position::File { path: String::new(), line: 0, item },
                        wrapper_id: read.wrapper_id.as_deref(),
                        wrapper_time_ms: read.wrapper_time.map(|time| time.as_millisecond()),
                    };
                    matcher.examine(event, context, &mut detections);
                    let place = Place { item, ..record.place };
                    for detection in detections.drain(..) {
                        if let Some(reason) = self.keep(detection, side, place, record, out) {
                            failed.get_or_insert((NOT_ASKED, item, reason));
                        }
                    }
                };
                if let Some(((last, matcher), others)) = matchers.split_last() {
                    for (side, matcher) in others {
                        ask(*side, matcher, read.event.clone());
                    }
                    ask(*last, matcher, read.event);
                }
            }
            Outcome::Skipped(reason) if !record.history => {
                *out.counts.skipped.entry(reason.as_str()).or_default() += 1;
            }
            Outcome::Skipped(_) => {}
            Outcome::Unreadable(error) => {
                failed.get_or_insert((error.label(), item, error.to_string()));
            }
        });
        if let Some((class, item, reason)) = failed {
            out.counts.unreadable(class, Place { item, ..record.place }, reason);
        }
    }

    /// Keeps what counting needs of a detection; why the queries could not be asked, if so.
    fn keep(
        &self,
        detection: Detection,
        side: Side,
        place: Place,
        record: &Taken,
        out: &mut Examined,
    ) -> Option<String> {
        let seen = |event_time_ms: Option<i64>| Seen {
            time_ms: event_time_ms.or(record.record_ms).unwrap_or(self.from_ms),
            place,
        };
        let (rule, cluster, event_id, event, exec, time_ms, by) = match &detection {
            Detection::NotAsked(reason) => {
                return Some(format!("the rules with a query could not be asked: {reason}"));
            }
            Detection::Excepted(excepted) => {
                let is_last = self.sides.last().is_some_and(|(last, _)| *last == side);
                if is_last && !record.history {
                    let count = out.counts.excepted.entry(excepted.by.name.clone());
                    *count.or_default() += 1;
                }
                for observation in excepted.history.iter().flatten() {
                    let seen = seen(observation.event_time_ms);
                    self.sighting(observation, side, seen, record, out);
                }
                return None;
            }
            Detection::ExceptionExpired(_) => return None,
            Detection::Observation(observation) => {
                self.sighting(observation, side, seen(observation.event_time_ms), record, out);
                return None;
            }
            Detection::Finding(it) => (
                &it.rule.id,
                &it.cluster,
                &it.event_id,
                &it.event,
                Some(&it.exec),
                it.event_time_ms,
                it.suppression,
            ),
            Detection::Request(it) => (
                &it.rule.id,
                &it.cluster,
                &it.event_id,
                &it.event,
                None,
                it.event_time_ms,
                it.suppression,
            ),
        };
        let hit = Hit {
            rule: self.number(rule),
            pair: id::for_event(cluster, rule, event_id),
            side,
            terms: String::new(),
            withheld: false,
            seen: seen(time_ms),
            shown: shown(event, what(event, exec, None)),
        };
        match by {
            // One without a time of its own is never withheld.
            Some(by) if time_ms.is_some() => out.alike.push(Alike { hit, by }),
            _ => out.hits.push(hit),
        }
        None
    }

    fn sighting(
        &self,
        observation: &Observation,
        side: Side,
        seen: Seen,
        record: &Taken,
        out: &mut Examined,
    ) {
        let rule = &observation.rule.id;
        let digest = Sha256::digest(record::key(observation));
        let hash = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        let term = Term { side, rule: self.number(rule), hash };
        out.episodes.sighting(term, observation.window_ms, seen, || First {
            seen,
            // An excepted sighting is known, and no alert.
            history: record.history || observation.history,
            pair: id::for_event(&observation.cluster, rule, &observation.event_id),
            shown: shown(&observation.event, what(&observation.event, None, Some(observation))),
        });
    }

    fn number(&self, rule: &str) -> u16 {
        let at = self.rule_ids.binary_search_by(|id| id.as_str().cmp(rule)).unwrap_or(usize::MAX);
        u16::try_from(at).unwrap_or(u16::MAX)
    }
}

impl Asked {
    fn new(set: &Arc<RuleSet>, redaction: &Redaction, rule_ids: &[String]) -> Asked {
        let new_terms = set.new_terms_ids();
        let history = match new_terms.is_empty() {
            // No ids would mean all.
            true => None,
            false => set.only(&new_terms).ok().map(Arc::new),
        };
        let matcher = |set: &Arc<RuleSet>| {
            // Every sighting alerts: what was known before is read, not waited for.
            Matcher::new(Arc::clone(set), 0).redacting(redaction.clone())
        };
        let windows = set.rules().iter().filter_map(|rule| match rule.kind() {
            RuleKind::NewTerms(terms) => {
                let at = rule_ids.iter().position(|id| id == rule.id())?;
                Some((u16::try_from(at).ok()?, terms.window_ms))
            }
            RuleKind::Exec(_) | RuleKind::Query(_) => None,
        });
        Asked {
            matcher: matcher(set),
            prefilter: Prefilter::new(set),
            history: history.map(|set| (matcher(&set), Prefilter::new(&set))),
            windows: windows.collect(),
        }
    }
}

fn shown(event: &Event<'_>, what: String) -> Shown {
    let user = event.user.as_ref().and_then(|user| user.username.as_deref()).unwrap_or_default();
    let audit_id = event.audit_id.as_deref().unwrap_or_default();
    Shown {
        user: bounded(user, limits::MESSAGE_NAME_MAX_CHARS),
        audit_id: audit_id.to_owned(),
        what,
    }
}

/// Longest line that an example shows.
const WHAT_MAX_CHARS: usize = 300;

/// What was done, in a line: the verb and the object, and the command or the terms.
fn what(event: &Event<'_>, exec: Option<&ExecCommand>, terms: Option<&Observation>) -> String {
    let nothing = ObjectRef::default();
    let object = event.object_ref.as_ref().unwrap_or(&nothing);
    let namespace = Event::nonempty(&object.namespace);
    let mut out = String::new();
    let mut add = |lead: &str, text: &str| {
        // Cut before it is copied: the parts may be long.
        out.push_str(lead);
        out.extend(text.chars().take(WHAT_MAX_CHARS));
    };
    let parts = [
        ("", Some(event.verb.as_deref().unwrap_or("-"))),
        (" ", Event::nonempty(&object.resource)),
        ("/", Event::nonempty(&object.subresource)),
        (" ", namespace),
        (if namespace.is_some() { "/" } else { " " }, Event::nonempty(&object.name)),
    ];
    parts
        .iter()
        .filter_map(|(lead, text)| Some((lead, (*text)?)))
        .for_each(|(lead, text)| add(lead, text));
    if let Some(exec) = exec {
        add(": ", &exec.text);
    }
    if let Some(observation) = terms {
        let mut lead = ": ";
        for (name, term) in observation.fields.iter().zip(&observation.terms) {
            add(lead, name);
            add("=", term);
            lead = ", ";
        }
    }
    if out.chars().count() > WHAT_MAX_CHARS {
        out = out.chars().take(WHAT_MAX_CHARS - 1).chain(['…']).collect();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::event::{Text, User};

    #[test]
    fn what_is_shown_of_an_event_is_bounded() {
        let long = || Some(Text::from("é".repeat(100_000)));
        let event = Event {
            verb: long(),
            audit_id: Some("a1".into()),
            user: Some(User { username: long(), ..User::default() }),
            object_ref: Some(ObjectRef {
                resource: long(),
                subresource: long(),
                namespace: long(),
                name: long(),
                ..ObjectRef::default()
            }),
            ..Event::default()
        };
        let shown = shown(&event, what(&event, None, None));
        assert_eq!(shown.what.chars().count(), WHAT_MAX_CHARS);
        assert!(shown.what.ends_with('…') && shown.user.len() < 400, "{}", shown.user.len());
    }

    #[test]
    fn what_an_event_lacks_is_left_out() {
        let check = |verb: &str, resource: &str, namespace: &str, name: &str, expected: &str| {
            let text = |text: &str| Some(Text::from(text.to_owned()));
            let object = ObjectRef {
                resource: text(resource),
                namespace: text(namespace),
                name: text(name),
                ..ObjectRef::default()
            };
            let event = Event { verb: text(verb), object_ref: Some(object), ..Event::default() };
            assert_eq!(what(&event, None, None), expected);
        };
        check("get", "secrets", "n", "s", "get secrets n/s");
        check("list", "secrets", "n", "", "list secrets n");
        check("list", "secrets", "", "", "list secrets");
        check("get", "nodes", "", "node-1", "get nodes node-1");
        check("get", "", "", "", "get");
        assert_eq!(what(&Event::default(), None, None), "-");
    }
}
