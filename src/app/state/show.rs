//! Looking at the state: folds the log with the very fold that an owner uses, into a temporary
//! store.
//!
//! The store is the one that instances use, so memory is bounded by its cache whatever the number
//! of terms. It knows terms by their hashes only, so what is told of them is sorted beside it by
//! their keys. What is told of a term is what an instance that begins with the log as it is now
//! would know: compaction may have removed a term's older records.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Serialize, Serializer};

use super::baseline::{in_force, time_text};
use super::log::{Logged, ObservationsLog};
use super::{StateError, Watcher, other_sharding};
use crate::app::latest::{Latest, Sorted};
use crate::config::Config;
use crate::ingest::start::group_offsets;
use crate::rules::rule::RuleKind;
use crate::rules::set::RuleSet;
use crate::terms::fold::{self, Batch, Entry};
use crate::terms::record::{self, Record};
use crate::terms::store::open::Expectation;
use crate::terms::store::sled::SledStore;
use crate::terms::store::{Store, StoreError};
use crate::topics::Problem;

/// Terms folded into one write.
const BATCH_TERMS: usize = 1_000;
/// Nobody else writes the temporary store.
const EPOCH: u64 = 1;

/// What there is to know but the terms themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Overview {
    pub topic: String,
    /// Of the first-seen half.
    pub group: String,
    #[serde(serialize_with = "time")]
    pub at: i64,
    pub partitions: Vec<PartitionView>,
    pub rules: Vec<RuleView>,
    pub totals: Totals,
    /// What the operator should know of the log and its topic.
    #[serde(skip)]
    pub problems: Vec<Problem>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PartitionView {
    pub partition: i32,
    pub log_start: i64,
    /// One past the last record.
    pub log_end: i64,
    /// The group's offset, where it has one of this log.
    pub committed: Option<i64>,
    pub lag: Option<i64>,
    /// Still in the log.
    pub records: u64,
    /// Keys and values of these, uncompressed.
    pub bytes: u64,
    /// Records that are none of ours.
    pub unreadable: u64,
    /// From the markers; absent before the first one.
    pub log_id: Option<String>,
    /// Partitions of the topic when the log began.
    pub partitions_at_start: Option<u32>,
    pub hash_version: Option<u32>,
    /// Terms that are within their window.
    pub terms: u64,
    /// When the term that has not been seen for longest was seen.
    #[serde(serialize_with = "optional_time")]
    pub oldest: Option<i64>,
    #[serde(serialize_with = "optional_time")]
    pub newest: Option<i64>,
}

/// A version of a rule's terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleView {
    pub rule: String,
    pub terms_version: String,
    /// Whether this program has it.
    pub in_force: bool,
    pub terms: u64,
    /// Of the partitions in which learning has begun.
    pub learning: Vec<LearningView>,
}

/// The learning of one rule version in one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LearningView {
    pub partition: i32,
    /// `null`: an import ended it.
    #[serde(serialize_with = "optional_time")]
    pub since: Option<i64>,
    /// By `new_terms.learning` of the configuration at hand; `null` where there is none.
    #[serde(serialize_with = "optional_time")]
    pub until: Option<i64>,
    pub learns: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    pub terms: u64,
    pub records: u64,
    pub bytes: u64,
    pub unreadable: u64,
    /// Absent where a partition with records has no offset.
    pub lag: Option<i64>,
}

/// A term that is within its window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TermView {
    pub rule: String,
    pub terms_version: String,
    pub cluster: String,
    /// Names of the terms; empty where no record tells them.
    pub fields: Vec<String>,
    pub terms: Vec<String>,
    pub partition: i32,
    #[serde(serialize_with = "time")]
    pub first_append: i64,
    #[serde(serialize_with = "time")]
    pub last_append: i64,
    /// Since the last append.
    pub age_ms: i64,
    /// When it is forgotten unless it is seen again.
    #[serde(serialize_with = "time")]
    pub known_until: i64,
    /// Its first sighting raised an alert.
    pub raised: bool,
}

/// Which terms are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    pub rule: Option<String>,
    pub user: Option<String>,
}

fn time<S: Serializer>(ms: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time_text(*ms))
}

fn optional_time<S: Serializer>(ms: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    ms.map(time_text).serialize(serializer)
}

/// The log, folded.
pub struct Survey {
    pub overview: Overview,
    folded: Folded,
}

/// The fold of all partitions, under way.
struct Folding {
    store: SledStore,
    /// By partition and key of a term, what its last record left of it.
    terms: Latest,
    /// Field names by version of the terms.
    fields: BTreeMap<String, Vec<String>>,
    // The store goes first.
    _directory: tempfile::TempDir,
}

/// What it leaves behind.
struct Folded {
    terms: Sorted,
    fields: BTreeMap<String, Vec<String>>,
    now_ms: i64,
}

/// What is told of an entry.
struct Seen {
    first_ms: i64,
    last_ms: i64,
    window_ms: i64,
    raised: bool,
}

impl Seen {
    /// Three big-endian `i64` and a flag.
    fn encode(entry: &Entry) -> Vec<u8> {
        let numbers = [entry.first_seen_ms, entry.last_seen_ms, entry.window_ms];
        let mut bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        bytes.push(u8::from(entry.raised));
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Seen> {
        let (first, rest) = bytes.split_first_chunk::<8>()?;
        let (last, rest) = rest.split_first_chunk::<8>()?;
        let (window, rest) = rest.split_first_chunk::<8>()?;
        Some(Seen {
            first_ms: i64::from_be_bytes(*first),
            last_ms: i64::from_be_bytes(*last),
            window_ms: i64::from_be_bytes(*window),
            raised: *rest.first()? != 0,
        })
    }
}

impl Survey {
    /// Folds the whole log. `now_ms` decides which windows and which learning are over.
    pub fn of(
        log: &ObservationsLog,
        config: &Config,
        rules: &RuleSet,
        now_ms: i64,
        watcher: &mut dyn Watcher,
    ) -> Result<Survey, StateError> {
        let group = config.terms_group_id();
        let committed = group_offsets(config, &group, log.topic(), log.partitions())?;
        let mut folding = Folding::begin(log.topic(), log.partitions())?;
        let mut partitions = Vec::new();
        let mut starts: BTreeMap<String, Vec<LearningView>> = BTreeMap::new();
        let mut problems = log.problems.clone();
        watcher.stage("reading the log", Some(log.length()));
        for (number, bounds) in (0..).zip(&log.bounds) {
            let mut view = PartitionView {
                partition: number,
                log_start: bounds.start,
                log_end: bounds.end,
                ..PartitionView::default()
            };
            let mut fold = PartitionFold::new(&mut folding, number);
            log.read(number, &mut |logged| {
                watcher.at(logged.read);
                let place = || log.place(number, logged.offset);
                match &logged.record {
                    Ok(record) if can_be_told(record) => {}
                    Ok(_) => watcher.unreadable(&place(), "the key is not one of ours"),
                    Err(error) => watcher.unreadable(&place(), &error.to_string()),
                }
                fold.record(&mut view, logged)
            })?;
            let state = fold.finish()?.state;
            if let Some(marker) = &state.marker {
                view.log_id = Some(marker.log_id.clone());
                view.partitions_at_start = Some(marker.partitions);
                view.hash_version = Some(marker.hash_version);
                for (version, start) in &marker.learning_starts {
                    let learning = learning(number, *start, config.new_terms.learning_ms, now_ms);
                    starts.entry(version.clone()).or_default().push(learning);
                }
                let problem = other_sharding(log.topic(), log.partitions(), marker);
                problems.extend(problem.filter(|problem| !problems.contains(problem)));
            }
            let element = committed.find_partition(log.topic(), number);
            view.committed = element
                .filter(|element| Some(element.metadata()) == view.log_id.as_deref())
                .and_then(|element| element.offset().to_raw())
                .filter(|offset| *offset >= 0);
            // The group may have gone on meanwhile.
            view.lag = view.committed.map(|offset| (bounds.end - offset).max(0));
            partitions.push(view);
        }
        let folded = folding.finish(now_ms)?;
        let mut terms_of: BTreeMap<String, (String, u64)> = BTreeMap::new();
        for term in folded.terms()? {
            let term = term?;
            terms_of.entry(term.terms_version).or_insert((term.rule, 0)).1 += 1;
            let at = usize::try_from(term.partition).unwrap_or(usize::MAX);
            let Some(view) = partitions.get_mut(at) else { continue };
            view.terms += 1;
            let seen = Some(term.last_append);
            view.oldest = if view.oldest.is_none() { seen } else { view.oldest.min(seen) };
            view.newest = view.newest.max(seen);
        }
        let mut totals = Totals { lag: Some(0), ..Totals::default() };
        for view in &partitions {
            totals.terms += view.terms;
            totals.records += view.records;
            totals.bytes += view.bytes;
            totals.unreadable += view.unreadable;
            let lag = view.lag.or((view.log_start == view.log_end).then_some(0));
            totals.lag = totals.lag.zip(lag).map(|(sum, lag)| sum + lag);
        }
        let overview = Overview {
            topic: log.topic().to_owned(),
            group,
            at: now_ms,
            partitions,
            rules: rule_views(rules, &terms_of, &starts),
            totals,
            problems,
        };
        Ok(Survey { overview, folded })
    }

    /// The terms within their windows, by partition and key.
    pub fn terms(
        &self,
        filter: Filter,
    ) -> Result<impl Iterator<Item = Result<TermView, StateError>>, StateError> {
        let taken = move |term: &Result<TermView, StateError>| {
            term.as_ref().map_or(true, |term| filter.takes(term))
        };
        Ok(self.folded.terms()?.filter(taken))
    }
}

impl Filter {
    fn takes(&self, term: &TermView) -> bool {
        let user = || {
            let named = term.fields.iter().position(|field| field == "user.name");
            named.and_then(|at| term.terms.get(at))
        };
        self.rule.as_ref().is_none_or(|rule| *rule == term.rule)
            && self.user.as_ref().is_none_or(|wanted| user() == Some(wanted))
    }
}

impl Folding {
    fn begin(topic: &str, partitions: u32) -> Result<Folding, StateError> {
        let directory = tempfile::Builder::new()
            .prefix("kubetell-state-")
            .tempdir()
            .map_err(StateError::Scratch)?;
        let expectation =
            Expectation { topic: topic.to_owned(), partitions, group: "state show".to_owned() };
        let store = SledStore::open(directory.path(), &expectation)?.store;
        Ok(Folding {
            store,
            terms: Latest::default(),
            fields: BTreeMap::new(),
            _directory: directory,
        })
    }

    fn finish(self, now_ms: i64) -> Result<Folded, StateError> {
        Ok(Folded {
            terms: self.terms.sorted().map_err(StateError::Scratch)?,
            fields: self.fields,
            now_ms,
        })
    }
}

impl Folded {
    fn terms(
        &self,
    ) -> Result<impl Iterator<Item = Result<TermView, StateError>> + use<'_>, StateError> {
        let terms = self.terms.items().map_err(StateError::Scratch)?;
        Ok(terms.filter_map(move |item| {
            let term = item.map_err(StateError::Scratch).and_then(|item| {
                let told = self.term(&item.key, &item.payload);
                told.ok_or(StoreError::Corrupt("what was sorted").into())
            });
            // Nothing, where the window is over.
            term.transpose()
        }))
    }

    /// The outer `None`: this is no term. The inner one: its window is over.
    fn term(&self, key: &[u8], seen: &[u8]) -> Option<Option<TermView>> {
        let (partition, key) = key.split_first_chunk::<4>()?;
        let seen = Seen::decode(seen)?;
        let age_ms = self.now_ms.saturating_sub(seen.last_ms);
        if age_ms > seen.window_ms {
            return Some(None);
        }
        let (_, rule, terms_version, cluster, terms) = read_key(key)?;
        Some(Some(TermView {
            fields: self.fields.get(&terms_version).cloned().unwrap_or_default(),
            rule,
            terms_version,
            cluster,
            terms,
            partition: i32::from_be_bytes(*partition),
            first_append: seen.first_ms,
            last_append: seen.last_ms,
            age_ms,
            known_until: seen.last_ms.saturating_add(seen.window_ms),
            raised: seen.raised,
        }))
    }
}

/// The fold of one partition into the store.
struct PartitionFold<'f> {
    all: &'f mut Folding,
    partition: i32,
    batch: Batch,
}

impl<'f> PartitionFold<'f> {
    fn new(all: &'f mut Folding, partition: i32) -> Self {
        all.store.begin(partition, EPOCH);
        PartitionFold { all, partition, batch: Batch::default() }
    }

    fn record(&mut self, view: &mut PartitionView, logged: Logged) -> Result<(), StateError> {
        view.records += 1;
        view.bytes += logged.bytes;
        let (offset, append_ms) = (logged.offset, logged.append_ms);
        let Some(record) = logged.record.ok().filter(can_be_told) else {
            view.unreadable += 1;
            fold::pass(&mut self.batch, offset, append_ms);
            return Ok(());
        };
        let (store, partition) = (&self.all.store, self.partition);
        fold::fold(&mut self.batch, offset, append_ms, &record, |key| store.entry(partition, key))?;
        if let Record::Observation { key, sighting, value } = record {
            if !self.all.fields.contains_key(&sighting.terms_version)
                && let Ok(observation) = record::observation(&key, &value)
            {
                self.all.fields.insert(observation.terms_version, observation.fields);
            }
            if let Some(entry) = self.batch.entries.get(&key) {
                let key = [&partition.to_be_bytes(), key.as_slice()].concat();
                let seen = Seen::encode(entry);
                self.all.terms.push(key, offset, seen).map_err(StateError::Scratch)?;
            }
        }
        if self.batch.entries.len() >= BATCH_TERMS { self.save() } else { Ok(()) }
    }

    fn save(&mut self) -> Result<(), StateError> {
        self.all.store.apply(self.partition, EPOCH, &self.batch)?;
        self.batch.entries.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<Batch, StateError> {
        self.save()?;
        Ok(self.batch)
    }
}

type Key = (String, String, String, String, Vec<String>);

fn read_key(key: &[u8]) -> Option<Key> {
    serde_json::from_slice(key).ok()
}

/// The fold takes any key that begins like a term's; one that names no term can't be told of.
fn can_be_told(record: &Record) -> bool {
    match record {
        Record::Observation { key, .. } => read_key(key).is_some(),
        Record::Marker(_) | Record::Tombstone => true,
    }
}

/// What the start of learning in a marker means now.
fn learning(partition: i32, start_ms: i64, learning_ms: i64, now_ms: i64) -> LearningView {
    let until = (learning_ms > 0).then(|| start_ms.saturating_add(learning_ms));
    let imported = start_ms <= super::import::LEARNING_ENDED_MS;
    LearningView {
        partition,
        since: (!imported).then_some(start_ms),
        until: until.filter(|_| !imported),
        learns: until.is_some_and(|until| now_ms < until),
    }
}

/// The versions that this program has, the log's markers name, or terms have.
fn rule_views(
    rules: &RuleSet,
    terms_of: &BTreeMap<String, (String, u64)>,
    starts: &BTreeMap<String, Vec<LearningView>>,
) -> Vec<RuleView> {
    let mut versions: BTreeSet<&str> = terms_of.keys().map(String::as_str).collect();
    versions.extend(starts.keys().map(String::as_str));
    versions.extend(rules.rules().iter().filter_map(|rule| match rule.kind() {
        RuleKind::NewTerms(terms) => Some(terms.terms_version.as_str()),
        RuleKind::Exec(_) | RuleKind::Query(_) => None,
    }));
    versions
        .into_iter()
        .map(|version| {
            let in_force = in_force(rules, version).map(|(id, _)| id);
            let counted = terms_of.get(version);
            // A version is named after its rule.
            let named = version.rsplit_once('/').map_or(version, |(id, _)| id);
            let rule = in_force.or(counted.map(|(rule, _)| rule.as_str())).unwrap_or(named);
            RuleView {
                rule: rule.to_owned(),
                terms_version: version.to_owned(),
                in_force: in_force.is_some(),
                terms: counted.map_or(0, |(_, terms)| *terms),
                learning: starts.get(version).cloned().unwrap_or_default(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
