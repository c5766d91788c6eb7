//! What a sample holds, counted.
//!
//! Takes records one by one and keeps figures of them: no event, no command, no body stays. Its
//! size is bounded whatever is read. What the figures mean is for [`super::findings`]. Pure; the
//! time is an argument.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::clients::Clients;
use super::counts::{Counts, Spread};
use crate::audit::event::{Event, ObjectRef, Text};
use crate::audit::exec;
use crate::detect::identity;
use crate::ingest::envelope::{self, Bodies, Item, Outcome, Wrapper};

/// Most events that are compared to find copies; later ones are not.
const COMPARED_MAX: usize = 250_000;
/// A clock may be so much ahead of another before it is said.
pub const CLOCK_TOLERANCE_MS: i64 = 2_000;
/// What an API server marks an event with that it cut.
const TRUNCATED: &str = "audit.k8s.io/truncated";
/// Resources whose bodies are secrets themselves, with their subresources.
const SECRET_BODIES: [(&str, &str); 3] =
    [("secrets", ""), ("tokenreviews", ""), ("serviceaccounts", "token")];

/// One record and where it stands.
pub struct Record<'r> {
    /// None: a tombstone.
    pub payload: Option<&'r [u8]>,
    /// The record's own time, milliseconds since the epoch.
    pub record_ms: Option<i64>,
    /// The wall clock now.
    pub now_ms: i64,
    /// Its partition's number among those that are read; none for files.
    pub partition: Option<usize>,
    /// Whether it passes the prefilter of the rules.
    pub concerned: bool,
    /// It should name its cluster, and does not.
    pub lacks_cluster: bool,
    /// Where it stands, in words. Asked only when that is told.
    pub place: &'r dyn Fn() -> String,
}

/// What could not be read, of one class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    pub count: u64,
    /// Where the first one stands, and why it could not be read.
    pub place: String,
    pub reason: String,
}

/// A span of times, milliseconds since the epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    pub bounds: Option<(i64, i64)>,
}

impl Span {
    fn add(&mut self, ms: i64) {
        let (first, last) = self.bounds.unwrap_or((ms, ms));
        self.bounds = Some((first.min(ms), last.max(ms)));
    }

    /// Milliseconds between the first and the last.
    pub fn length_ms(&self) -> i64 {
        self.bounds.map_or(0, |(first, last)| last.saturating_sub(first))
    }
}

/// What was read of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartTally {
    pub records: u64,
    pub bytes: u64,
    pub times: Span,
}

/// Requests that run, or open, something in a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Execs {
    /// Events of `pods/exec`.
    pub all: u64,
    /// Of these, without a request URI, and without a command otherwise.
    pub without_uri: u64,
    pub without_command: u64,
    /// By stage.
    pub stages: Counts,
    /// Of `nodes/proxy`, by whether they are execs or runs.
    pub by_node: u64,
    pub proxies_without_uri: u64,
    /// All of these and the like, by resource and subresource.
    pub kinds: Counts,
}

/// Reads of Secrets: `get` and `list`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecretReads {
    pub all: u64,
    pub watches: u64,
    pub without_user: u64,
    pub without_source: u64,
    pub without_agent: u64,
    /// Any of the three.
    pub incomplete: u64,
}

/// Fields that events lack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missing {
    pub users: u64,
    pub sources: u64,
    pub agents: u64,
    /// Neither an audit ID nor an id by the wrapper.
    pub ids: u64,
    pub times: u64,
}

/// Bodies of requests and responses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BodyTally {
    /// Events with a body.
    pub events: u64,
    pub bytes: u64,
    /// Events with the body of a Secret or a token, or at a level that holds it.
    pub secret: u64,
}

/// Times of events against other clocks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Clocks {
    /// Events whose stage is later than their record, or than now.
    pub ahead: u64,
    pub ahead_max_ms: i64,
    /// Records whose own time is later than now.
    pub records_ahead: u64,
    pub records_ahead_max_ms: i64,
    /// From the stage to the record, milliseconds.
    pub delay_ms: Spread,
}

/// The figures of one sample.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    pub records: u64,
    pub bytes: u64,
    pub tombstones: u64,
    pub sizes: Spread,
    /// Records that the rules cannot pass over by their bytes.
    pub concerned: u64,
    /// Records that do not name their cluster where they should.
    pub without_cluster: u64,
    pub parts: Vec<PartTally>,
    pub damaged: u64,
    pub lost: u64,
    /// Parts of records that are no audit events and not meant to be, by reason.
    pub skipped: BTreeMap<&'static str, u64>,
    pub unreadable: BTreeMap<&'static str, Unreadable>,
    pub events: u64,
    pub wrappers: Counts,
    pub api_versions: Counts,
    pub levels: Counts,
    pub stages: Counts,
    pub verbs: Counts,
    pub resources: Counts,
    pub namespaces: Counts,
    /// Times of the events.
    pub times: Span,
    pub execs: Execs,
    pub secrets: SecretReads,
    /// `verb resource` of every request, for the rules of new terms.
    pub requests: Counts,
    pub missing: Missing,
    pub truncated: u64,
    pub cut_uris: u64,
    pub bodies: BodyTally,
    pub clients: Clients,
    pub clocks: Clocks,
    compared: HashSet<u64>,
    /// Of the events that were compared, copies of others.
    pub copies: u64,
    pub compared_events: u64,
}

impl Tally {
    pub fn record(&mut self, record: &Record<'_>, forced: Option<Wrapper>) {
        self.records += 1;
        let size = record.payload.map_or(0, <[u8]>::len) as u64;
        if let Some(number) = record.partition {
            if self.parts.len() <= number {
                self.parts.resize(number + 1, PartTally::default());
            }
            if let Some(part) = self.parts.get_mut(number) {
                part.records += 1;
                part.bytes += size;
                record.record_ms.into_iter().for_each(|ms| part.times.add(ms));
            }
        }
        if let Some(ahead_ms) = record.record_ms.map(|ms| ms.saturating_sub(record.now_ms))
            && ahead_ms > CLOCK_TOLERANCE_MS
        {
            self.clocks.records_ahead += 1;
            let max = &mut self.clocks.records_ahead_max_ms;
            *max = ahead_ms.max(*max);
        }
        let Some(payload) = record.payload else {
            self.tombstones += 1;
            return;
        };
        self.bytes += size;
        self.sizes.add(size);
        self.concerned += u64::from(record.concerned);
        self.without_cluster += u64::from(record.lacks_cluster);
        let mut failed = None;
        envelope::read_asking(
            payload,
            forced,
            Bodies::PointedAt,
            &mut |_, outcome| match outcome {
                Outcome::Event(item) => self.event(&item, record.record_ms, record.now_ms),
                Outcome::Skipped(reason) => *self.skipped.entry(reason.as_str()).or_default() += 1,
                Outcome::Unreadable(error) => {
                    failed.get_or_insert((error.label(), error.to_string()));
                }
            },
        );
        if let Some((class, reason)) = failed {
            self.unreadable(class, record.place, reason);
        }
    }

    /// Something of a class could not be read.
    pub fn unreadable(&mut self, class: &'static str, place: &dyn Fn() -> String, reason: String) {
        let known = self.unreadable.entry(class);
        known.or_insert_with(|| Unreadable { count: 0, place: place(), reason }).count += 1;
    }

    /// Records of which something could not be read.
    pub fn unreadable_count(&self) -> u64 {
        self.unreadable.values().map(|class| class.count).sum()
    }

    fn event(&mut self, item: &Item<'_>, record_ms: Option<i64>, now_ms: i64) {
        let event = &item.event;
        let nothing = ObjectRef::default();
        let object = event.object_ref.as_ref().unwrap_or(&nothing);
        let (verb, resource) = (text(&event.verb), text(&object.resource));
        let subresource = text(&object.subresource);
        let kind = match subresource {
            "" => resource.to_owned(),
            subresource => format!("{}/{}", short(resource), short(subresource)),
        };
        self.events += 1;
        self.wrappers.add(item.wrapper.as_str());
        self.api_versions.add(or_none(text(&event.api_version)));
        self.levels.add(or_none(text(&event.level)));
        self.stages.add(or_none(text(&event.stage)));
        self.verbs.add(or_none(verb));
        self.resources.add(if kind.is_empty() { "(no resource)" } else { &kind });
        match text(&object.namespace) {
            "" => {}
            namespace => self.namespaces.add(namespace),
        }
        if !resource.is_empty() {
            self.requests.add(&request(verb, resource));
        }
        self.fields(item);
        self.exec(event, resource, subresource, &kind);
        self.secret_read(event, verb, resource);
        self.body(event, resource, subresource);
        self.clocks(item, record_ms, now_ms);
        self.clients.add(event);
        self.compare(item);
    }

    fn fields(&mut self, item: &Item<'_>) {
        let event = &item.event;
        let missing = &mut self.missing;
        missing.users += u64::from(user(event).is_empty());
        missing.sources += u64::from(!has_source(event));
        missing.agents += u64::from(text(&event.user_agent).is_empty());
        let has_id = !text(&event.audit_id).is_empty() || item.wrapper_id.is_some();
        missing.ids += u64::from(!has_id);
        self.truncated += u64::from(event.annotation(TRUNCATED) == Some("true"));
        self.cut_uris += u64::from(is_cut(text(&event.request_uri)));
    }

    fn exec(&mut self, event: &Event<'_>, resource: &str, subresource: &str, kind: &str) {
        let has_uri = !text(&event.request_uri).is_empty();
        let execs = &mut self.execs;
        match (resource, subresource) {
            ("pods", "exec") => {
                execs.all += 1;
                execs.stages.add(or_none(text(&event.stage)));
                let command = exec::decode(event);
                if command.is_none_or(|command| command.argv.is_empty()) {
                    if has_uri {
                        execs.without_command += 1;
                    } else {
                        execs.without_uri += 1;
                    }
                }
            }
            ("nodes", "proxy") => {
                execs.by_node += u64::from(exec::decode(event).is_some());
                execs.proxies_without_uri += u64::from(!has_uri);
            }
            ("pods", "attach" | "portforward" | "proxy" | "ephemeralcontainers")
            | ("services", "proxy") => {}
            _ => return,
        }
        execs.kinds.add(kind);
    }

    fn secret_read(&mut self, event: &Event<'_>, verb: &str, resource: &str) {
        if resource != "secrets" {
            return;
        }
        let secrets = &mut self.secrets;
        match verb {
            "get" | "list" => secrets.all += 1,
            "watch" => {
                secrets.watches += 1;
                return;
            }
            _ => return,
        }
        let lacks =
            [user(event).is_empty(), !has_source(event), text(&event.user_agent).is_empty()];
        secrets.without_user += u64::from(lacks[0]);
        secrets.without_source += u64::from(lacks[1]);
        secrets.without_agent += u64::from(lacks[2]);
        secrets.incomplete += u64::from(lacks.contains(&true));
    }

    fn body(&mut self, event: &Event<'_>, resource: &str, subresource: &str) {
        let bodies = [event.request_object, event.response_object];
        let present: u64 = bodies.iter().flatten().map(|body| body.json().len() as u64).sum();
        self.bodies.events += u64::from(present > 0);
        self.bodies.bytes += present;
        let has_level = matches!(text(&event.level), "Request" | "RequestResponse");
        if (present > 0 || has_level) && SECRET_BODIES.contains(&(resource, subresource)) {
            self.bodies.secret += 1;
        }
    }

    fn clocks(&mut self, item: &Item<'_>, record_ms: Option<i64>, now_ms: i64) {
        let event = &item.event;
        let time = event.time().or(item.wrapper_time);
        let Some(received) = time.map(jiff::Timestamp::as_millisecond) else {
            self.missing.times += 1;
            return;
        };
        self.times.add(received);
        let stage = event.stage_timestamp.as_deref().and_then(|text| text.parse().ok());
        let stage_ms = stage.map_or(received, |stage: jiff::Timestamp| {
            // Go's zero time stands for a missing one.
            stage.as_millisecond().max(received)
        });
        // The record's own clock may be wrong too, so now counts as well.
        let limit = record_ms.map_or(now_ms, |record_ms| record_ms.min(now_ms));
        let ahead_ms = stage_ms.saturating_sub(limit);
        let clocks = &mut self.clocks;
        if ahead_ms > CLOCK_TOLERANCE_MS {
            clocks.ahead += 1;
            clocks.ahead_max_ms = clocks.ahead_max_ms.max(ahead_ms);
        }
        if let Some(record_ms) = record_ms {
            let delay_ms = record_ms.saturating_sub(stage_ms);
            clocks.delay_ms.add(u64::try_from(delay_ms).unwrap_or(0));
        }
    }

    /// The same stage of the same request twice is a copy.
    fn compare(&mut self, item: &Item<'_>) {
        if self.compared.len() >= COMPARED_MAX {
            return;
        }
        let id = identity::event_id(&item.event, item.wrapper_id.as_deref());
        self.compared_events += 1;
        let is_new = self.compared.insert(hash(&(id, text(&item.event.stage))));
        self.copies += u64::from(!is_new);
    }
}

pub(super) fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// As [`Tally::requests`] counts it.
pub fn request(verb: &str, resource: &str) -> String {
    format!("{} {}", short(verb), short(resource))
}

/// Enough to tell a name from others, so that nothing long is put together.
fn short(text: &str) -> &str {
    text.char_indices().nth(100).map_or(text, |(end, _)| &text[..end])
}

fn text<'t>(field: &'t Option<Text<'_>>) -> &'t str {
    field.as_deref().unwrap_or_default()
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "(none)" } else { text }
}

pub(super) fn user<'t>(event: &'t Event<'_>) -> &'t str {
    event.user.as_ref().map_or("", |user| text(&user.username))
}

fn has_source(event: &Event<'_>) -> bool {
    event.source_ips.iter().flatten().any(|source| !source.is_empty())
}

/// Whether a request URI looks cut off: it ends within an escape, or in the dots of whoever cut it.
fn is_cut(uri: &str) -> bool {
    let bytes = uri.as_bytes();
    let [.., before, last] = bytes else { return false };
    *last == b'%'
        || *before == b'%'
        || uri.ends_with("...")
        || uri.ends_with('…')
        || uri.ends_with("[Truncated...]")
}

#[cfg(test)]
#[path = "tally_tests.rs"]
mod tests;
