//! The parts of a record's way that need neither Kafka nor a thread, each over a fixed input: the
//! seeded log, the wrappers and the commands among the fixtures. The same input each time, so that
//! times and counts of instructions can be compared from one day to the next.

use std::collections::HashMap;
use std::convert::Infallible;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use kubetell::alert::{self, FirstSeen, Origin};
use kubetell::audit::event::Event;
use kubetell::audit::exec;
use kubetell::detect::command::{Command, judge};
use kubetell::detect::finding::{ExecCommand, Finding};
use kubetell::detect::harmless::Harmless;
use kubetell::detect::matcher::{Context, Detection, Matcher};
use kubetell::ingest::envelope::{self, Outcome};
use kubetell::ingest::prefilter::{Prefilter, Verdict};
use kubetell::limits;
use kubetell::position::Position;
use kubetell::rules::rule::{ExecRule, RuleKind};
use kubetell::rules::set::RuleSet;
use kubetell::terms::fold::{self, Batch, Entry};
use kubetell::terms::observation::Observation;
use kubetell::terms::record::{self, HASH_VERSION, Marker, Record};

use crate::audit::{AuditLog, Plan};
use crate::execs;

/// Events of the log that most parts go over.
const EVENTS: u64 = 4_000;
/// Of these, in 100, so many concern the rules.
const CANDIDATES: u64 = 5;
/// The parts that come behind the rules go over what is found in that many events, which all
/// concern them: half of the execs in them alert.
const CONCERNING: u64 = 1_200;

pub struct Part {
    pub name: &'static str,
    /// What is counted as one.
    pub unit: &'static str,
    /// How many of these one run goes over.
    pub count: u64,
    /// Of the input of one run.
    pub bytes: u64,
    pub run: Box<dyn FnMut()>,
}

impl Part {
    fn new<I: 'static>(
        name: &'static str,
        unit: &'static str,
        inputs: Vec<I>,
        bytes_of: impl Fn(&I) -> usize,
        mut over: impl FnMut(&[I]) + 'static,
    ) -> Part {
        let bytes = inputs.iter().map(|input| bytes_of(input) as u64).sum();
        let count = inputs.len() as u64;
        assert!(count > 0 && bytes > 0, "{name} has no input");
        Part { name, unit, count, bytes, run: Box::new(move || over(black_box(&inputs))) }
    }
}

/// All of them, in the order of a record's way.
pub fn parts() -> Vec<Part> {
    let rules = Arc::new(RuleSet::builtin().unwrap());
    let matcher = Matcher::new(Arc::clone(&rules), 7 * limits::DAY_MS);
    let records = log(Plan::new(EVENTS, CANDIDATES));
    let (bare, wrapped): (Vec<_>, Vec<_>) = records.iter().cloned().partition(|it| is_bare(it));
    let concerning = log(Plan { sensitive: 500, ..Plan::new(CONCERNING, 100) });
    let (findings, observations) = detections(&matcher, &concerning);
    vec![
        prefilter(&rules, records.clone()),
        events("event", bare),
        events("wrapper", wrapped.into_iter().chain(fixtures()).collect()),
        uris(&concerning),
        as_written(exec_rule(&rules)),
        normal_form(),
        judgement(exec_rule(&rules)),
        way(&rules, matcher, records),
        folded(&observations),
        alerts(findings),
        new_terms(observations),
    ]
}

fn log(plan: Plan) -> Vec<Vec<u8>> {
    AuditLog::new(plan).map(|record| record.bytes).collect()
}

fn is_bare(record: &[u8]) -> bool {
    record.starts_with(b"{\"kind\":\"Event\",")
}

/// One record of each wrapper, as pipelines really write them.
fn fixtures() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wrappers");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

fn exec_rule(rules: &RuleSet) -> ExecRule {
    let RuleKind::Exec(rule) = rules.get("pod-exec-sensitive-path").unwrap().kind() else {
        panic!("an exec rule")
    };
    rule.as_ref().clone()
}

fn prefilter(rules: &RuleSet, records: Vec<Vec<u8>>) -> Part {
    let prefilter = Prefilter::new(rules);
    Part::new("prefilter", "record", records, Vec::len, move |records| {
        for record in records {
            black_box(prefilter.verdict(record));
        }
    })
}

/// From the bytes of a record to its events.
fn events(name: &'static str, records: Vec<Vec<u8>>) -> Part {
    Part::new(name, "record", records, Vec::len, |records| {
        for record in records {
            envelope::read(record, None, &mut |_, outcome| {
                black_box(outcome);
            });
        }
    })
}

/// From an exec's event to its arguments.
fn uris(records: &[Vec<u8>]) -> Part {
    let mut execs = Vec::new();
    for record in records {
        envelope::read(record, None, &mut |_, outcome| {
            if let Outcome::Event(item) = outcome
                && exec::decode(&item.event).is_some()
            {
                execs.push(item.event.into_owned());
            }
        });
    }
    let length = |event: &Event<'_>| event.request_uri.as_deref().map_or(0, str::len);
    Part::new("uri", "exec", execs, length, |events| {
        for event in events {
            black_box(exec::decode(event));
        }
    })
}

/// The commands of the two corpora.
fn commands() -> Vec<ExecCommand> {
    [execs::harmless(), execs::hidden()].concat()
}

fn of_commands(name: &'static str, mut each: impl FnMut(&ExecCommand) + 'static) -> Part {
    Part::new(
        name,
        "command",
        commands(),
        |command| command.text.len(),
        move |commands| commands.iter().for_each(&mut each),
    )
}

/// The sets of regular expressions over the text as it was written.
fn as_written(rule: ExecRule) -> Part {
    of_commands("as_written", move |command| {
        let text = rule.mask.apply(&command.text);
        black_box(rule.sensitive_paths.find(&text, 32));
        black_box(rule.labels.matching(&text));
    })
}

fn normal_form() -> Part {
    of_commands("normal_form", |command| {
        black_box(Command::new(command).reading());
    })
}

/// The normal form and the sets over both.
fn judgement(rule: ExecRule) -> Part {
    of_commands("judgement", move |command| {
        black_box(judge(&rule, &Command::new(command)));
    })
}

fn context(number: usize) -> Context<'static> {
    let offset = i64::try_from(number).unwrap();
    let position =
        Position::Kafka { topic: "kubernetes-audit".to_owned(), partition: 3, offset, item: 0 };
    Context { cluster: "prod-eu-1", position, wrapper_id: None, wrapper_time_ms: None }
}

/// From a record's bytes to detections, the prefilter first: what `run` does for each record. No command
/// is known before the first.
fn way(rules: &RuleSet, matcher: Matcher, records: Vec<Vec<u8>>) -> Part {
    let prefilter = Prefilter::new(rules);
    Part::new("way", "record", records, Vec::len, move |records| {
        let mut harmless = Harmless::default();
        for (number, record) in records.iter().enumerate() {
            if prefilter.verdict(record) == Verdict::Pass {
                black_box(examined(&matcher, &mut harmless, record, number));
            }
        }
    })
}

fn examined(
    matcher: &Matcher,
    harmless: &mut Harmless,
    record: &[u8],
    number: usize,
) -> Vec<Detection> {
    let mut found = Vec::new();
    envelope::read(record, None, &mut |_, outcome| {
        if let Outcome::Event(item) = outcome {
            matcher.examine_knowing(harmless, item.event, context(number), &mut found);
        }
    });
    found
}

fn detections(matcher: &Matcher, records: &[Vec<u8>]) -> (Vec<Finding>, Vec<Observation>) {
    let (mut findings, mut observations) = (Vec::new(), Vec::new());
    for (number, record) in records.iter().enumerate() {
        for detection in examined(matcher, &mut Harmless::default(), record, number) {
            match detection {
                Detection::Finding(finding) => findings.push(*finding),
                Detection::Observation(observation) => observations.push(*observation),
                other => panic!("{other:?}"),
            }
        }
    }
    (findings, observations)
}

/// Records of the observations log, from their bytes on.
fn folded(observations: &[Observation]) -> Part {
    let records: Vec<(Vec<u8>, Vec<u8>)> = observations
        .iter()
        .map(|observation| (record::key(observation), record::value(observation).unwrap()))
        .collect();
    let version = observations.first().unwrap().terms_version.clone();
    let marker = Marker {
        log_id: "00000000-0000-4000-8000-0000000000aa".to_owned(),
        partitions: 12,
        hash_version: HASH_VERSION,
        learning_starts: [(version, 0)].into(),
    };
    let length = |(key, value): &(Vec<u8>, Vec<u8>)| key.len() + value.len();
    Part::new("fold", "observation", records, length, move |records| {
        let mut batch = Batch::default();
        let stored: HashMap<Vec<u8>, Entry> = HashMap::new();
        let mut step = |offset: i64, record: &Record| {
            let append_ms = 40 * limits::DAY_MS + offset;
            let known = |key: &[u8]| Ok::<_, Infallible>(stored.get(key).cloned());
            black_box(fold::fold(&mut batch, offset, append_ms, record, known).unwrap());
        };
        step(0, &Record::Marker(marker.clone()));
        for (offset, (key, value)) in (1..).zip(records) {
            step(offset, &record::decode(Some(key), Some(value)).unwrap());
        }
        black_box(batch);
    })
}

fn origin() -> Origin {
    Origin {
        instance: "kubetell-0".to_owned(),
        created_ms: 1_772_630_400_042,
        latency_ms: Some(42),
    }
}

/// From a finding to the alert's JSON.
fn alerts(findings: Vec<Finding>) -> Part {
    let length = |finding: &Finding| encoded(&alert::from_finding(finding, &origin()));
    Part::new("exec_alert", "alert", findings, length, |findings| {
        for finding in findings {
            black_box(encoded(&alert::from_finding(finding, &origin())));
        }
    })
}

/// From an observation to its record and to the alert's JSON.
fn new_terms(observations: Vec<Observation>) -> Part {
    let alert_of = |observation: &Observation| {
        let first_event_id = observation.event_id.clone();
        let first_seen = FirstSeen { first_event_id, is_revision: false };
        encoded(&alert::from_observation(observation, &first_seen, &origin()))
    };
    Part::new("new_terms_alert", "alert", observations, alert_of, move |observations| {
        for observation in observations {
            black_box(record::value(observation).unwrap());
            black_box(alert_of(observation));
        }
    })
}

fn encoded(alert: &alert::Alert) -> usize {
    alert.to_json().unwrap().len()
}
