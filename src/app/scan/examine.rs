//! What a worker does: the records of a chunk to detections. Keeps nothing between two chunks but
//! the commands that need not be judged again.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ScanOptions;
use super::chunk::{Chunk, Failure, Part};
use crate::audit::event::Event;
use crate::detect::harmless::Harmless;
use crate::detect::matcher::{Context, Detection, Matcher};
use crate::ingest::envelope::{self, Outcome};
use crate::ingest::prefilter::{Prefilter, Verdict};
use crate::position::Position;

/// What a worker made of a chunk, in the order of its records.
pub(super) struct Examined {
    pub(super) number: u64,
    pub(super) items: Vec<Item>,
    pub(super) events: u64,
    pub(super) records: u64,
    pub(super) prefiltered: u64,
    pub(super) bytes: u64,
    pub(super) skipped: BTreeMap<&'static str, u64>,
    pub(super) read: u64,
    pub(super) total: Option<u64>,
}

pub(super) enum Item {
    /// After how many events of the chunk, records that were not read among them.
    Detection(u64, Detection),
    Failure(Failure),
}

/// What a worker knows.
#[derive(Clone, Copy)]
pub(super) struct Examiner<'a> {
    pub(super) options: &'a ScanOptions,
    pub(super) matcher: &'a Matcher,
    pub(super) prefilter: Option<&'a Prefilter>,
}

/// Where a record stands.
struct Place<'a> {
    path: &'a Arc<str>,
    line: u64,
}

impl Examiner<'_> {
    pub(super) fn examine(&self, chunk: Chunk, harmless: &mut Harmless) -> Examined {
        let mut result = Examined {
            number: chunk.number,
            items: Vec::new(),
            events: 0,
            records: 0,
            prefiltered: 0,
            bytes: 0,
            skipped: BTreeMap::new(),
            read: chunk.read,
            total: chunk.total,
        };
        for part in chunk.parts {
            let text = match part {
                Part::Failure(failure) => {
                    result.items.push(Item::Failure(failure));
                    continue;
                }
                Part::Text(text) => text,
            };
            let mut rest = chunk.bytes.get(text.range).unwrap_or_default();
            let mut place = Place { path: &text.path, line: text.line };
            while text.is_run
                && let Some(feed) = memchr::memchr(b'\n', rest)
            {
                let (record, after) = rest.split_at(feed);
                self.record(record, &place, harmless, &mut result);
                rest = after.get(1..).unwrap_or_default();
                place.line += 1;
            }
            if !text.is_run {
                self.record(rest, &place, harmless, &mut result);
            }
        }
        result
    }

    fn record(
        &self,
        bytes: &[u8],
        place: &Place<'_>,
        harmless: &mut Harmless,
        result: &mut Examined,
    ) {
        result.records += 1;
        result.bytes += bytes.len() as u64;
        if self.prefilter.is_some_and(|prefilter| prefilter.verdict(bytes) == Verdict::Drop) {
            result.prefiltered += 1;
            return;
        }
        let mut detections = Vec::new();
        let mut failed: Option<(&'static str, String, u64)> = None;
        let mut outcomes = 0;
        let bodies = self.matcher.bodies();
        envelope::read_asking(bytes, None, bodies, &mut |item, outcome| match outcome {
            Outcome::Event(read) => {
                outcomes = item + 1;
                result.events += 1;
                let wrapper_time_ms = read.wrapper_time.map(|time| time.as_millisecond());
                if !self.is_wanted(&read.event, wrapper_time_ms) {
                    return;
                }
                let path = place.path.to_string();
                let context = Context {
                    cluster: &self.options.cluster,
                    position: Position::File { path, line: place.line, item },
                    wrapper_id: read.wrapper_id.as_deref(),
                    wrapper_time_ms,
                };
                let found = &mut detections;
                self.matcher.examine_knowing(harmless, read.event, context, found);
                let number = result.events + result.prefiltered;
                for found in detections.drain(..) {
                    match found {
                        Detection::NotAsked(reason) => {
                            let text =
                                format!("the rules with a query could not be asked: {reason}");
                            failed.get_or_insert(("not-asked", text, 0)).2 += 1;
                        }
                        found => result.items.push(Item::Detection(number, found)),
                    }
                }
            }
            Outcome::Skipped(reason) => *result.skipped.entry(reason.as_str()).or_default() += 1,
            Outcome::Unreadable(error) => {
                outcomes = item + 1;
                let failed = failed.get_or_insert_with(|| (error.label(), error.to_string(), 0));
                failed.2 += 1;
            }
        });
        let Some((class, mut reason, count)) = failed else { return };
        if outcomes > 1 {
            reason = format!("{reason} ({count} of {outcomes} items in the record)");
        }
        let (path, line) = (Arc::clone(place.path), Some(place.line));
        let record = Some(bytes.to_vec());
        result.items.push(Item::Failure(Failure { path, line, class, reason, record }));
    }

    /// Whether the event lies in the span of time that is asked for; one without a time does.
    fn is_wanted(&self, event: &Event<'_>, wrapper_time_ms: Option<i64>) -> bool {
        let ScanOptions { since_ms, until_ms, .. } = self.options;
        if since_ms.is_none() && until_ms.is_none() {
            return true;
        }
        let Some(time) = event.time().map(|time| time.as_millisecond()).or(wrapper_time_ms) else {
            return true;
        };
        since_ms.is_none_or(|since| time >= since) && until_ms.is_none_or(|until| time < until)
    }
}
