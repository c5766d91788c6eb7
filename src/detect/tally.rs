//! What one batch is counted as: collected by the worker, added to the counters of all once.

use std::sync::Arc;

use crate::ingest::envelope::Wrapper;
use crate::stats::Stats;

/// A batch has events of few topics and wrappers, and matches of few rules, so a look through a
/// short list finds the count.
#[derive(Debug, Default)]
pub struct Tally {
    events: Vec<(Arc<str>, Wrapper, u64)>,
    matches: Vec<(String, u64)>,
}

impl Tally {
    pub fn event(&mut self, topic: &Arc<str>, wrapper: Wrapper) {
        let known = self.events.iter_mut().find(|(other, with, _)| {
            *with == wrapper && (Arc::ptr_eq(other, topic) || other == topic)
        });
        match known {
            Some((_, _, count)) => *count += 1,
            None => self.events.push((Arc::clone(topic), wrapper, 1)),
        }
    }

    pub fn matched(&mut self, rule: &str) {
        match self.matches.iter_mut().find(|(other, _)| other == rule) {
            Some((_, count)) => *count += 1,
            None => self.matches.push((rule.to_owned(), 1)),
        }
    }

    pub fn publish(self, stats: &Stats) {
        for (topic, wrapper, count) in self.events {
            stats.events.add(count);
            stats.events_by.add(&topic, wrapper.as_str(), count);
        }
        for (rule, count) in self.matches {
            stats.matches.add(&rule, count);
        }
    }
}
