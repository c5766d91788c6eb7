//! Bringing history in: the latest sighting of each term as an observation that never alerts,
//! then, in every partition, a marker that ends learning.
//!
//! Beside running instances: an owner folds what is imported like any other record, and its rule
//! about markers (the first log id stays, the earliest start of learning wins, whatever lacks
//! something is followed by the whole) holds for the markers written here too, so that the two
//! may write at the same time. A marker goes out only after all of the history is acknowledged.

use std::collections::BTreeMap;
use std::convert::Infallible;

use serde::Serialize;

use super::baseline::in_force;
use super::input::{self, Counts, Inputs};
use super::log::ObservationsLog;
use super::write::{Entry, LogWriter};
use super::{StateError, Watcher, other_sharding};
use crate::app::latest::Sorted;
use crate::config::Config;
use crate::output::producer::OutputKind;
use crate::rules::rule::RuleKind;
use crate::rules::set::RuleSet;
use crate::terms::fold::{self, Batch, PartitionState};
use crate::terms::observation::Observation;
use crate::terms::record::{self, HASH_VERSION, Marker, Record};
use crate::topics::TopicsError;

/// The start of learning that is written where learning is over: whatever the configured length,
/// it has passed since.
pub const LEARNING_ENDED_MS: i64 = 0;

/// Of which rules learning ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learning {
    /// Of those that have a term among the history.
    EndsOfImported,
    /// Of all that are in force as well.
    EndsOfAll,
    GoesOn,
}

/// Where and how history is written.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    pub log: &'a ObservationsLog,
    pub config: &'a Config,
    pub rules: &'a RuleSet,
    pub learning: Learning,
    /// Nothing is written.
    pub dry_run: bool,
}

/// The history, ready to be written.
pub struct History {
    sorted: Sorted,
    pub counts: Counts,
    /// Terms.
    pub terms: u64,
}

/// A term as it is written.
pub struct HistoryTerm {
    pub partition: u32,
    pub key: Vec<u8>,
    pub observation: Observation,
    /// The record's value.
    value: Vec<u8>,
    /// When it was seen last, milliseconds since the epoch.
    pub seen_ms: i64,
}

/// What an import came to, or would come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Imported {
    pub dry_run: bool,
    pub topic: String,
    pub partitions: u32,
    pub read: Counts,
    /// Terms.
    pub written: u64,
    pub rules: Vec<ImportedRule>,
    /// Markers written: partitions in which something was left to end.
    pub markers: u32,
    /// Partitions whose log begins with this import.
    pub new_logs: u32,
}

/// What an import means to one version of a rule's terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportedRule {
    pub rule: String,
    pub terms_version: String,
    /// Whether this program has it.
    pub in_force: bool,
    pub terms: u64,
    /// Whether the import ended its learning (or found it ended by an earlier one).
    pub learning_ended: bool,
}

/// Refuses a topic whose settings would lose what is written.
pub fn check(log: &ObservationsLog) -> Result<(), StateError> {
    if log.problems.is_empty() {
        Ok(())
    } else {
        Err(TopicsError::Problems(log.problems.clone()).into())
    }
}

impl History {
    pub fn read(inputs: &Inputs<'_>, watcher: &mut dyn Watcher) -> Result<History, StateError> {
        let (sorted, counts) = input::read(inputs, watcher)?;
        let terms = sorted.count().map_err(StateError::Scratch)?;
        Ok(History { sorted, counts, terms })
    }

    /// In the order of their keys.
    pub fn each(
        &self,
        partitions: u32,
        each: &mut dyn FnMut(HistoryTerm) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        for item in self.sorted.items().map_err(StateError::Scratch)? {
            let item = item.map_err(StateError::Scratch)?;
            let observation: Observation = serde_json::from_slice(&item.payload)?;
            each(HistoryTerm {
                partition: record::partition_for(&observation.shard_key, partitions),
                key: item.key,
                observation,
                value: item.payload,
                seen_ms: item.rank,
            })?;
        }
        Ok(())
    }

    /// Writes the history and ends learning; in a dry run, only says what that would be. `each`
    /// sees every term on its way.
    pub fn write(
        &self,
        target: &Target<'_>,
        each: &mut dyn FnMut(&HistoryTerm) -> Result<(), StateError>,
        watcher: &mut dyn Watcher,
    ) -> Result<Imported, StateError> {
        let Target { log, config, rules, learning, dry_run } = *target;
        let states = read_markers(log, watcher)?;
        let mut writer = if dry_run { None } else { Some(LogWriter::new(config)?) };
        let mut terms_of: BTreeMap<String, (String, u64)> = BTreeMap::new();
        watcher.stage("writing the terms", Some(self.terms));
        let mut done = 0;
        self.each(log.partitions(), &mut |term| {
            each(&term)?;
            let observation = &term.observation;
            let version = observation.terms_version.clone();
            terms_of.entry(version).or_insert_with(|| (observation.rule.id.clone(), 0)).1 += 1;
            if let Some(writer) = &mut writer {
                writer.send(Entry {
                    kind: OutputKind::Observation,
                    partition: term.partition,
                    key: term.key,
                    value: term.value,
                })?;
            }
            done += 1;
            watcher.at(done);
            Ok(())
        })?;
        if let Some(writer) = &mut writer {
            writer.settle()?;
        }
        let ended: Vec<&str> = match learning {
            Learning::GoesOn => Vec::new(),
            Learning::EndsOfImported => terms_of.keys().map(String::as_str).collect(),
            Learning::EndsOfAll => {
                terms_of.keys().map(String::as_str).chain(versions_in_force(rules)).collect()
            }
        };
        let mut markers = 0;
        let mut new_logs = 0;
        for (partition, state) in (0..).zip(&states) {
            let Some(marker) = ending_marker(state, log.partitions(), &ended) else { continue };
            markers += 1;
            new_logs += u32::from(state.marker.is_none());
            if let Some(writer) = &mut writer {
                writer.send(Entry {
                    kind: OutputKind::Marker,
                    partition,
                    key: record::marker_key().to_vec(),
                    value: record::marker_value(&marker)?,
                })?;
            }
        }
        if let Some(writer) = &mut writer {
            writer.settle()?;
        }
        Ok(Imported {
            dry_run,
            topic: log.topic().to_owned(),
            partitions: log.partitions(),
            read: self.counts.clone(),
            written: self.terms,
            rules: imported_rules(rules, &terms_of, &ended),
            markers,
            new_logs,
        })
    }
}

/// The markers of every partition, merged as the fold merges them.
fn read_markers(
    log: &ObservationsLog,
    watcher: &mut dyn Watcher,
) -> Result<Vec<PartitionState>, StateError> {
    watcher.stage("reading the log's markers", Some(log.length()));
    let mut states = Vec::new();
    for partition in 0..log.partitions() {
        let mut batch = Batch::default();
        log.read(i32::try_from(partition).unwrap_or(i32::MAX), &mut |logged| {
            watcher.at(logged.read);
            if let Ok(record @ Record::Marker(_)) = &logged.record {
                let nothing = |_: &[u8]| Ok::<_, Infallible>(None);
                let Ok(_) =
                    fold::fold(&mut batch, logged.offset, logged.append_ms, record, nothing);
            }
            Ok(())
        })?;
        let marker = batch.state.marker.as_ref();
        if let Some(problem) =
            marker.and_then(|marker| other_sharding(log.topic(), log.partitions(), marker))
        {
            return Err(TopicsError::Problems(vec![problem]).into());
        }
        states.push(batch.state);
    }
    Ok(states)
}

/// The marker that ends learning of these versions in a partition: the whole of what its log
/// says, under its log's id. `None` where nothing is left to end.
fn ending_marker(state: &PartitionState, partitions: u32, ended: &[&str]) -> Option<Marker> {
    let over = |marker: &Marker, version: &str| {
        marker.learning_starts.get(version).is_some_and(|start| *start <= LEARNING_ENDED_MS)
    };
    let known = state.marker.as_ref();
    if ended.iter().all(|version| known.is_some_and(|marker| over(marker, version))) {
        return None;
    }
    let mut marker = known.cloned().unwrap_or_else(|| Marker {
        log_id: uuid::Uuid::new_v4().to_string(),
        partitions,
        hash_version: HASH_VERSION,
        learning_starts: BTreeMap::new(),
    });
    for version in ended {
        marker.learning_starts.insert((*version).to_owned(), LEARNING_ENDED_MS);
    }
    Some(marker)
}

fn versions_in_force(rules: &RuleSet) -> impl Iterator<Item = &str> {
    rules.rules().iter().filter_map(|rule| match rule.kind() {
        RuleKind::NewTerms(terms) => Some(terms.terms_version.as_str()),
        RuleKind::Exec(_) | RuleKind::Query(_) => None,
    })
}

/// The versions in force and those of the history.
fn imported_rules(
    rules: &RuleSet,
    terms_of: &BTreeMap<String, (String, u64)>,
    ended: &[&str],
) -> Vec<ImportedRule> {
    let mut versions: BTreeMap<&str, (&str, u64)> = versions_in_force(rules)
        .map(|version| (version, (in_force(rules, version).map_or(version, |(id, _)| id), 0)))
        .collect();
    versions.extend(
        terms_of.iter().map(|(version, (rule, terms))| (version.as_str(), (rule.as_str(), *terms))),
    );
    versions
        .into_iter()
        .map(|(version, (rule, terms))| ImportedRule {
            rule: rule.to_owned(),
            terms_version: version.to_owned(),
            in_force: in_force(rules, version).is_some(),
            terms,
            learning_ended: ended.contains(&version),
        })
        .collect()
}

#[cfg(test)]
mod tests;
