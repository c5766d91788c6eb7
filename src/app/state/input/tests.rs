use std::io::Write;

use serde_json::json;

use super::*;
use crate::app::state::baseline::Origin;
use crate::config;
use crate::limits::{DAY_MS, HOUR_MS};
use crate::terms::record::HASH_VERSION;

const NOW: i64 = 1_800_000_000_000;

/// Keeps what was said.
#[derive(Default)]
struct Said(Vec<String>);

impl Watcher for Said {
    fn stage(&mut self, _: &'static str, _: Option<u64>) {}
    fn at(&mut self, _: u64) {}
    fn unreadable(&mut self, place: &str, reason: &str) {
        self.0.push(format!("{place}: {reason}"));
    }
}

fn event(user: &str, id: &str, ago_ms: i64) -> String {
    let time = baseline::time_text(NOW - ago_ms);
    json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": id,
        "stage": "ResponseComplete", "verb": "get", "user": { "username": user },
        "sourceIPs": ["203.0.113.9"], "userAgent": "curl/8",
        "objectRef": { "resource": "secrets", "namespace": "n", "name": "s" },
        "requestReceivedTimestamp": time,
        "responseObject": { "data": { "password": "hunter2" } }
    })
    .to_string()
}

struct Outcome {
    terms: Vec<(Observation, i64)>,
    counts: Counts,
    said: Vec<String>,
}

/// Reads files of these contents, with these settings.
fn read_with(settings: &[&str], files: &[&str]) -> Outcome {
    let dir = tempfile::tempdir().unwrap();
    for (number, text) in files.iter().enumerate() {
        std::fs::write(dir.path().join(format!("{number}.log")), text).unwrap();
    }
    let settings = settings.iter().chain(&["state.directory=/nowhere"]);
    let settings = settings.map(|text| text.parse().unwrap()).collect();
    let inputs = config::Inputs { file: None, environment: Vec::new(), settings };
    let config = config::load(&inputs).unwrap().config;
    let rules = RuleSet::builtin().unwrap();
    let mut said = Said::default();
    let inputs = Inputs {
        paths: &[dir.path().to_owned()],
        cluster: "c1",
        config: &config,
        rules: &rules,
        now_ms: NOW,
    };
    let (sorted, counts) = read(&inputs, &mut said).unwrap();
    let terms = sorted
        .items()
        .unwrap()
        .map(|item| {
            let item = item.unwrap();
            let observation: Observation = serde_json::from_slice(&item.payload).unwrap();
            assert_eq!(item.key, record::key(&observation));
            assert!(!String::from_utf8(item.payload).unwrap().contains("hunter2"));
            (observation, item.rank)
        })
        .collect();
    let prefix = format!("{}/", dir.path().display());
    let said = said.0.iter().map(|text| text.replace(&prefix, "")).collect();
    Outcome { terms, counts, said }
}

fn read_files(files: &[&str]) -> Outcome {
    read_with(&[], files)
}

fn baseline_of(terms: &[(&Observation, i64)], said_terms: u64) -> String {
    let origin = Origin {
        topic: "o",
        partitions: 3,
        hash_version: HASH_VERSION,
        log_ids: vec![None; 3],
        exported_at_ms: NOW,
    };
    let mut text = baseline::header_line(origin, said_terms).unwrap();
    for (observation, append_ms) in terms {
        let value = baseline::value((*observation).clone()).unwrap();
        text.push(b'\n');
        text.write_all(
            &baseline::term_line(&record::key(observation), &value, *append_ms).unwrap(),
        )
        .unwrap();
    }
    text.push(b'\n');
    String::from_utf8(text).unwrap()
}

#[test]
fn the_latest_sighting_of_each_term_is_history() {
    let first = [event("a", "a1", 3 * HOUR_MS), event("b", "b1", HOUR_MS)].join("\n");
    let second = [event("a", "a2", 2 * HOUR_MS), event("a", "a0", 5 * HOUR_MS)].join("\n");
    let read = read_files(&[&first, &second]);
    let found: Vec<_> = read
        .terms
        .iter()
        .map(|(found, time_ms)| {
            (found.terms[1].as_str(), found.event.audit_id.as_deref().unwrap(), *time_ms)
        })
        .collect();
    assert_eq!(found, [("a", "a2", NOW - 2 * HOUR_MS), ("b", "b1", NOW - HOUR_MS)]);
    assert!(read.terms.iter().all(|(found, _)| found.history && found.cluster == "c1"));
    assert_eq!(read.counts.events, 4);
    assert!(read.said.is_empty(), "{:?}", read.said);
}

#[test]
fn what_is_older_than_the_window_or_tells_no_time_is_no_history() {
    let mut timeless: serde_json::Value = serde_json::from_str(&event("c", "c1", 0)).unwrap();
    timeless.as_object_mut().unwrap().remove("requestReceivedTimestamp");
    let mut nameless: serde_json::Value = serde_json::from_str(&event("d", "d1", 0)).unwrap();
    nameless.as_object_mut().unwrap().remove("user");
    let log = [
        event("a", "a1", 7 * DAY_MS),
        event("b", "b1", 7 * DAY_MS + 1),
        timeless.to_string(),
        nameless.to_string(),
        // A clock that is ahead is no reason to forget.
        event("e", "e1", -HOUR_MS),
    ]
    .join("\n");
    let read = read_files(&[&log]);
    let users: Vec<&str> = read.terms.iter().map(|(found, _)| found.terms[1].as_str()).collect();
    assert_eq!(users, ["a", "e"]);
    let Counts { outside_window, without_time, without_term, .. } = read.counts;
    assert_eq!((outside_window, without_time, without_term), (1, 1, 1));
}

#[test]
fn the_cluster_comes_from_where_the_configuration_says() {
    let log = format!(
        "{}\n{}",
        event("a", "a1", 0).replacen('{', r#"{"where":"east","#, 1),
        event("b", "b1", 0)
    );
    let read = read_with(&["source.cluster_from=field:/where"], &[&log]);
    let clusters: Vec<&str> = read.terms.iter().map(|(found, _)| found.cluster.as_str()).collect();
    assert_eq!(clusters, ["c1", "east"], "sorted by key");
}

#[test]
fn a_baseline_is_told_by_its_header_and_its_terms_count_by_their_append_time() {
    let seen = read_files(&[&event("a", "a1", HOUR_MS)]).terms[0].0.clone();
    let mut gone = seen.clone();
    gone.terms[1] = "b".to_owned();
    gone.shard_key = "b".to_owned();
    let file = baseline_of(&[(&seen, NOW - HOUR_MS), (&gone, NOW - 8 * DAY_MS)], 2);
    let read = read_files(&[&file, &event("c", "c1", HOUR_MS), &format!("{file}{file}")]);
    let users: Vec<&str> = read.terms.iter().map(|(found, _)| found.terms[1].as_str()).collect();
    assert_eq!(users, ["a", "c"]);
    assert_eq!(read.terms[0].0.position, seen.position, "where it was seen first stays");
    assert_eq!((read.counts.baseline_terms, read.counts.outside_window), (6, 3));
    assert_eq!(read.counts.events, 1);
    assert!(read.said.is_empty(), "{:?}", read.said);
}

#[test]
fn what_is_wrong_with_a_baseline_is_said_by_file_and_line_and_costs_no_other() {
    let seen = read_files(&[&event("a", "a1", HOUR_MS)]).terms[0].0.clone();
    let good = baseline_of(&[(&seen, NOW)], 1);
    let (header, term) = good.trim_end().split_once('\n').unwrap();
    let forged = term.replacen("203.0.113.9", "10.9.9.9", 1);
    let files = [
        // Another hash, another format: nothing of the file counts.
        &format!("{}\n{term}\n", header.replace("\"hash_version\":1", "\"hash_version\":2")),
        &format!("{}\n{term}\n", header.replace("\"format\":1", "\"format\":7")),
        // No header at all.
        term,
        // Cut at the end of a line, and in the middle of one.
        &format!("{}\n{term}\n", header.replace("\"terms\":1", "\"terms\":3")),
        &format!("{header}\n{}", &term[..300]),
        // Lines that are no terms.
        &format!(
            "{}\n{{\"key\":1}}\n{forged}\nnonsense\n{term}\n",
            header.replace("\"terms\":1", "\"terms\":4")
        ),
        &event("b", "b1", 0),
    ];
    let read = read_files(&files);
    insta::assert_snapshot!(read.said.join("\n"), @r"
    0.log:1: the baseline is of a log that was sharded by version 2 of the hash, and this version of the program has version 1; nothing of it is imported
    1.log:1: the baseline has format 7, and this version reads format 1; nothing of it is imported
    2.log:1: a term of a baseline, but no header stands before it
    3.log: the baseline is not whole: its header says 3 terms, and the lines are 1
    4.log:2: not a term of a baseline: it ends too early (column 300)
    5.log:2: not a term of a baseline: a field is missing or has another type (column 8)
    5.log:3: the key does not belong to the value
    5.log:4: the line is not JSON
    ");
    let users: Vec<&str> = read.terms.iter().map(|(found, _)| found.terms[1].as_str()).collect();
    assert_eq!(users, ["a", "b"]);
    assert_eq!(read.counts.baseline_terms, 2);
}

#[test]
fn what_is_no_audit_event_is_said_by_file_and_line() {
    let log =
        format!("{}\n{{\"kind\":\"Event\",\n{}\n[1]\n", event("a", "a1", 0), event("b", "b1", 0));
    let read = read_files(&[&log, "no json at all\n"]);
    insta::assert_snapshot!(read.said.join("\n"), @r"
    0.log:2: the text ends in the middle of a document
    0.log:4: not an audit event: it is no JSON object
    1.log: the file is not JSON
    ");
    assert_eq!(read.terms.len(), 2);
}
