//! What should be on the alerts topic after a storm, and what is.
//!
//! Three oracles: the acts themselves (which execs, which terms), `kubetell scan` over the
//! produced records, and the fold of the observations log as it stands at the end, in its order
//! and from its beginning.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader};
use std::path::Path;

use kubetell::alert::{self, FirstSeen, Origin};
use kubetell::terms::fold::{self, Batch, Entry, Verdict};
use kubetell::terms::record::{self, Record};
use rdkafka::Message;
use serde_json::Value;

use super::acts::Produced;
use super::{CLUSTER, EXEC_RULE, Topics};
use crate::kafka::broker::Broker;
use crate::kafka::process::kubetell_at;
use crate::support;

/// Most examples of one problem that are listed.
const EXAMPLES: usize = 5;

/// An alert that was told at one stage of its event.
type Told = (String, u64);

/// What was found about the alerts of one rule.
#[derive(Debug, Default)]
pub struct Row {
    pub expected: usize,
    pub found: usize,
    pub missing: Vec<String>,
    pub invented: Vec<String>,
    /// Records beyond the first of each alert and stage.
    pub repeats: usize,
}

impl Row {
    fn new(expected: &BTreeSet<String>, found: &BTreeSet<String>) -> Self {
        Row {
            expected: expected.len(),
            found: found.len(),
            missing: expected.difference(found).cloned().collect(),
            invented: found.difference(expected).cloned().collect(),
            repeats: 0,
        }
    }
}

#[derive(Debug, Default)]
pub struct Judgement {
    pub execs: Row,
    pub terms: Row,
    pub observations: usize,
    /// Everything that is wrong, in words.
    pub problems: Vec<String>,
}

/// A document without what a replay may change, as a number. `place` says whether the position
/// counts: `scan` reads a file.
fn content(document: &Value, place: bool) -> u64 {
    let mut document = support::without_times(document);
    if !place {
        document["kubetell"].as_object_mut().unwrap().remove("position");
    }
    let mut hasher = DefaultHasher::new();
    document.to_string().hash(&mut hasher);
    hasher.finish()
}

fn told(document: &Value) -> Told {
    let id = document["event"]["id"].as_str().unwrap().to_owned();
    (id, document["kubetell"]["revision"].as_u64().unwrap())
}

fn is_exec(document: &Value) -> bool {
    document["rule"]["id"] == EXEC_RULE
}

fn terms_of(document: &Value) -> Vec<String> {
    serde_json::from_value(document["kubetell"]["new_terms"].clone()).unwrap()
}

/// What `scan` raises over the produced records.
#[derive(Default)]
struct Scanned {
    execs: HashMap<Told, u64>,
    terms: BTreeSet<Vec<String>>,
}

fn scan(program: &Path, records: &Path) -> Scanned {
    let output = records.with_extension("alerts");
    let status = kubetell_at(program, &["scan"])
        .arg(records)
        .args(["--format", "ecs", "--cluster", CLUSTER])
        .stdout(File::create(&output).unwrap())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1), "`scan` finds alerts and reads everything");
    let mut scanned = Scanned::default();
    for line in BufReader::new(File::open(output).unwrap()).lines() {
        let document: Value = serde_json::from_str(&line.unwrap()).unwrap();
        if is_exec(&document) {
            scanned.execs.insert(told(&document), content(&document, false));
        } else {
            scanned.terms.insert(terms_of(&document));
        }
    }
    scanned
}

/// What the fold of the whole observations log raises.
#[derive(Default)]
struct Folded {
    told: HashMap<Told, u64>,
    terms: BTreeSet<Vec<String>>,
    /// The terms of each alert, and where in the log they were seen.
    names: HashMap<String, Vec<String>>,
    sightings: HashMap<Vec<String>, Vec<String>>,
    observations: usize,
    problems: Vec<String>,
}

impl Folded {
    /// An alert in words: its terms and their sightings.
    fn describe(&self, id: &str, terms: Option<&Vec<String>>) -> String {
        let none = Vec::new();
        let terms = self.names.get(id).or(terms).unwrap_or(&none);
        let sightings = self.sightings.get(terms).unwrap_or(&none);
        let shown = &sightings[..sightings.len().min(EXAMPLES)];
        format!("{id} {terms:?} of {} sightings: {}", sightings.len(), shown.join(" "))
    }
}

fn fold_log(kafka: &Broker, topic: &str) -> Folded {
    let mut folded = Folded::default();
    let mut partitions: BTreeMap<i32, Batch> = BTreeMap::new();
    kafka.read_all(topic, |message| {
        let (partition, offset) = (message.partition(), message.offset());
        let batch = partitions.entry(partition).or_default();
        // Without compaction and transactions, offsets have no gaps.
        if offset != batch.state.next {
            let next = batch.state.next;
            folded.problems.push(format!(
                "the observations log lacks records: partition {partition}, {next} to {offset}"
            ));
        }
        let record = match record::decode(message.key(), message.payload()) {
            Ok(record) => record,
            Err(error) => {
                folded.problems.push(format!(
                    "a record of the observations log is none: partition {partition}, offset \
                     {offset}: {error}"
                ));
                return;
            }
        };
        let append_ms = message.timestamp().to_millis().unwrap();
        let nothing_else = |_: &[u8]| Ok::<Option<Entry>, std::convert::Infallible>(None);
        let decision = fold::fold(batch, offset, append_ms, &record, nothing_else).unwrap();
        let Record::Observation { key, value, .. } = &record else { return };
        folded.observations += 1;
        let observation = record::observation(key, value).unwrap();
        let seen = format!("{}@{partition}:{offset}", observation.event_id);
        folded.sightings.entry(observation.terms.clone()).or_default().push(seen);
        if !decision.raises() {
            return;
        }
        let first_seen = FirstSeen {
            first_event_id: decision.first_event_id.unwrap(),
            is_revision: decision.verdict == Verdict::Revision,
        };
        let origin = Origin { instance: String::new(), created_ms: 0, latency_ms: None };
        let alert = alert::from_observation(&observation, &first_seen, &origin);
        let document = serde_json::from_slice(&alert.to_json().unwrap()).unwrap();
        let told = told(&document);
        folded.names.insert(told.0.clone(), observation.terms.clone());
        folded.told.insert(told, content(&document, true));
        folded.terms.insert(observation.terms);
    });
    folded
}

/// What stands on the alerts topic.
#[derive(Default)]
struct Found {
    execs: HashMap<Told, Copies>,
    terms: HashMap<Told, Copies>,
    new_terms: BTreeSet<Vec<String>>,
    /// Where each alert stands first, and its terms.
    places: HashMap<String, (String, Vec<String>)>,
    /// Exec alerts that tell how the request ended.
    outcomes: BTreeSet<String>,
    problems: Vec<String>,
}

struct Copies {
    count: usize,
    content: u64,
    content_without_place: u64,
}

fn read_alerts(kafka: &Broker, topic: &str) -> Found {
    let mut found = Found::default();
    kafka.read_all(topic, |message| {
        let place = format!("partition {}, offset {}", message.partition(), message.offset());
        let document: Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
        let told = told(&document);
        if message.key() != Some(told.0.as_bytes()) {
            found.problems.push(format!("an alert is not keyed by its id: {place}"));
        }
        let copies = if is_exec(&document) {
            if document["event"]["outcome"] != "unknown" {
                found.outcomes.insert(told.0.clone());
            }
            &mut found.execs
        } else {
            let terms = terms_of(&document);
            found.new_terms.insert(terms.clone());
            found.places.entry(told.0.clone()).or_insert((place.clone(), terms));
            &mut found.terms
        };
        let content_now = content(&document, true);
        let copies = copies.entry(told).or_insert_with_key(|_| Copies {
            count: 0,
            content: content_now,
            content_without_place: content(&document, false),
        });
        copies.count += 1;
        if copies.content != content_now {
            found.problems.push(format!(
                "alert {} came with two contents, the second one at {place}",
                document["event"]["id"]
            ));
        }
    });
    found
}

fn ids<'a>(told: impl IntoIterator<Item = &'a Told>) -> BTreeSet<String> {
    told.into_iter().map(|(id, _)| id.clone()).collect()
}

/// Names each alert and the stage that told it.
fn stages<'a>(told: impl IntoIterator<Item = &'a Told>) -> BTreeSet<String> {
    told.into_iter().map(|(id, stage)| format!("{id} (stage {stage})")).collect()
}

/// Adds what one set has that the other has not to the problems.
fn compare<T: Ord + std::fmt::Debug>(
    problems: &mut Vec<String>,
    what: &str,
    wanted: &BTreeSet<T>,
    actual: &BTreeSet<T>,
) {
    for (how, one, other) in [("lacks", wanted, actual), ("has besides", actual, wanted)] {
        let difference: Vec<_> = one.difference(other).collect();
        if !difference.is_empty() {
            let examples = &difference[..difference.len().min(EXAMPLES)];
            problems.push(format!("{what} {how} {}: {examples:?} …", difference.len()));
        }
    }
}

/// Everything is at rest: the instances have stopped.
pub fn judge(kafka: &Broker, topics: &Topics, program: &Path, produced: &Produced) -> Judgement {
    let scanned = scan(program, &produced.file);
    let folded = fold_log(kafka, &topics.observations);
    let found = read_alerts(kafka, &topics.alerts);
    let expected = &produced.expected;
    let mut problems = [folded.problems.clone(), found.problems].concat();

    // The oracles agree with each other: no observation is lost, none is made up.
    let acts: BTreeSet<String> = expected.execs.keys().cloned().collect();
    compare(&mut problems, "`scan` (execs)", &acts, &ids(scanned.execs.keys()));
    compare(&mut problems, "`scan` (terms)", &expected.terms, &scanned.terms);
    compare(&mut problems, "the observations log (terms)", &scanned.terms, &folded.terms);

    // Execs.
    let mut execs = Row::new(&acts, &ids(found.execs.keys()));
    execs.repeats = found.execs.values().map(|copies| copies.count - 1).sum();
    for id in execs.missing.iter().take(EXAMPLES) {
        problems.push(format!("missing: {id}, exec {}", expected.execs[id]));
    }
    compare(&mut problems, "the alerts topic (execs)", &acts, &ids(found.execs.keys()));
    compare(&mut problems, "the alerts topic (outcomes of execs)", &acts, &found.outcomes);
    for (told, copies) in &found.execs {
        if scanned.execs.get(told).is_some_and(|scan| *scan != copies.content_without_place) {
            problems.push(format!("alert {told:?} differs from what `scan` raises"));
        }
    }

    // New terms.
    let mut raised = ids(folded.told.keys());
    // Of terms that never reached the log nobody can say which event comes first.
    raised.extend(scanned.terms.difference(&folded.terms).map(|terms| format!("{terms:?}")));
    let mut terms = Row::new(&raised, &ids(found.terms.keys()));
    terms.repeats = found.terms.values().map(|copies| copies.count - 1).sum();
    for id in terms.missing.iter().take(EXAMPLES) {
        problems.push(format!("missing: {}", folded.describe(id, None)));
    }
    for id in terms.invented.iter().take(EXAMPLES) {
        let (place, terms) = &found.places[id];
        problems.push(format!("invented ({place}): {}", folded.describe(id, Some(terms))));
    }
    let what = "the alerts topic (new terms)";
    compare(&mut problems, what, &stages(folded.told.keys()), &stages(found.terms.keys()));
    compare(&mut problems, what, &scanned.terms, &found.new_terms);
    for (told, copies) in &found.terms {
        if folded.told.get(told).is_some_and(|fold| *fold != copies.content) {
            problems.push(format!("alert {told:?} differs from what the fold raises"));
        }
    }

    let dead = kafka.watermarks(&topics.dead_letters).unwrap();
    let dead: i64 = dead.values().map(|(start, end)| end - start).sum();
    if dead > 0 {
        problems.push(format!("{dead} dead letters of readable records"));
    }
    Judgement { execs, terms, observations: folded.observations, problems }
}
