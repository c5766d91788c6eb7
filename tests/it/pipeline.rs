//! `run` on a real Kafka, against `scan` over the same events.
//!
//! The oracle for what should be raised is `scan`; the oracle for what was raised is Kafka's own
//! console consumer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use kubetell::terms::record;
use serde_json::Value;

use crate::kafka::broker::{self, Broker, NOBODY, Options, Security};
use crate::kafka::client::Record;
use crate::kafka::process::{Process, Signal, kubetell};
use crate::kafka::server::reserved_ports;
use crate::kafka::tools::Consumed;
use crate::kafka::{DEADLINE, unique};
use crate::support;

pub(crate) const PARTITIONS: i32 = 6;
/// A setting for instances that nobody kills.
pub(crate) const PATIENT: &str = "kafka.properties.session.timeout.ms=45000";

/// One stream with topics, groups and state of its own on a broker.
pub(crate) struct Stream {
    prefix: String,
    bootstrap: String,
    dir: tempfile::TempDir,
    pub(crate) extra: Vec<String>,
}

impl Stream {
    pub(crate) fn new(kafka: &Broker, name: &str) -> Self {
        let stream = Stream {
            prefix: unique(name),
            bootstrap: kafka.bootstrap(),
            dir: tempfile::tempdir().unwrap(),
            extra: Vec::new(),
        };
        kafka.create_topic(&stream.source(), PARTITIONS, &[("max.message.bytes", "20000000")]);
        stream
    }

    pub(crate) fn source(&self) -> String {
        format!("{}.audit", self.prefix)
    }
    pub(crate) fn alerts(&self) -> String {
        format!("{}.alerts", self.prefix)
    }
    pub(crate) fn observations(&self) -> String {
        format!("{}.observations", self.prefix)
    }
    pub(crate) fn dead_letters(&self) -> String {
        format!("{}.dead", self.prefix)
    }
    /// The alerts in their topic.
    pub(crate) fn raised(&self, kafka: &Broker) -> Vec<Value> {
        let records = kafka.consume_all(&self.alerts());
        let values = records.iter().map(|record| record.value.as_deref().unwrap());
        values.map(|value| serde_json::from_slice(value).unwrap()).collect()
    }
    fn state(&self, instance: &str) -> PathBuf {
        self.dir.path().join(instance)
    }

    fn settings(&self, instance: &str) -> Vec<String> {
        let mut settings = vec![
            format!("kafka.bootstrap_servers={}", self.bootstrap),
            format!("kafka.group_id={}", self.prefix),
            format!("source.topics=[\"{}\"]", self.source()),
            format!("alerts.topic={}", self.alerts()),
            format!("observations.topic={}", self.observations()),
            "observations.partitions=4".to_owned(),
            "observations.replication_factor=1".to_owned(),
            format!("dead_letters.topic={}", self.dead_letters()),
            format!("state.directory={}", self.state(instance).display()),
            "new_terms.learning=0s".to_owned(),
            "cluster=test".to_owned(),
            "kafka.properties.session.timeout.ms=6000".to_owned(),
            // Many in a session: one that is late on a busy machine costs no membership.
            "kafka.properties.heartbeat.interval.ms=500".to_owned(),
        ];
        settings.extend(self.extra.iter().cloned());
        settings
    }

    pub(crate) fn run(&self, instance: &str, more: &[&str]) -> Process {
        Process::spawn(self.command(instance, more))
    }

    pub(crate) fn command(&self, instance: &str, more: &[&str]) -> std::process::Command {
        self.command_of(&["run"], instance, more)
    }

    /// Another command than `run`, with the settings of an instance.
    pub(crate) fn command_of(
        &self,
        command: &[&str],
        instance: &str,
        more: &[&str],
    ) -> std::process::Command {
        let mut arguments: Vec<String> = command.iter().map(|text| (*text).to_owned()).collect();
        for setting in self.settings(instance) {
            arguments.push("--set".to_owned());
            arguments.push(setting);
        }
        arguments.extend(more.iter().map(|text| (*text).to_owned()));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        kubetell(&arguments)
    }

    /// Lag of both groups: how many records are not committed, 1 while nobody can say.
    pub(crate) fn lag(&self, kafka: &Broker) -> i64 {
        let of = |group: &str, topic: &str| kafka.lag(group, topic).unwrap_or(1);
        of(&self.prefix, &self.source())
            + of(&format!("{}-terms", self.prefix), &self.observations())
    }

    pub(crate) fn wait_until_read(&self, kafka: &Broker) {
        // Every log of observations begins with a marker.
        let begun = |ends: BTreeMap<i32, (i64, i64)>| ends.values().all(|(_, end)| *end > 0);
        support::eventually(DEADLINE, "both groups have read everything", || {
            kafka.watermarks(&self.observations()).is_ok_and(begun) && self.lag(kafka) == 0
        });
    }
}

/// The ids of exec alerts, and the (rule, terms) of new-terms alerts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Raised {
    pub(crate) execs: BTreeSet<String>,
    pub(crate) terms: BTreeSet<(String, Vec<String>)>,
}

impl Raised {
    fn add(&mut self, alert: &Value) {
        let rule = alert["rule"]["id"].as_str().unwrap().to_owned();
        match alert["kubetell"].get("new_terms") {
            Some(terms) => {
                let terms =
                    terms.as_array().unwrap().iter().map(|t| t.as_str().unwrap().to_owned());
                self.terms.insert((rule, terms.collect()));
            }
            None => {
                self.execs.insert(alert["event"]["id"].as_str().unwrap().to_owned());
            }
        }
    }
}

pub(crate) fn raised_on(records: &[Consumed]) -> Raised {
    let mut raised = Raised::default();
    let mut by_id: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for record in records {
        let alert: Value = serde_json::from_slice(record.value.as_deref().unwrap()).unwrap();
        support::assert_valid_ecs(&alert);
        assert_eq!(record.key_text(), alert["event"]["id"].as_str().unwrap(), "keyed by its id");
        raised.add(&alert);
        by_id.entry(record.key_text().to_owned()).or_default().push(alert);
    }
    // What was raised twice by one event is the same but for the times of raising it. (Fixtures
    // hold one event in several wrappers: those stand at positions of their own.)
    for alerts in by_id.values() {
        for (at, one) in alerts.iter().enumerate() {
            for other in &alerts[at + 1..] {
                if one["kubetell"]["position"] == other["kubetell"]["position"] {
                    assert_eq!(support::without_times(one), support::without_times(other));
                }
            }
        }
    }
    raised
}

/// What `scan` raises over the same records, one file each, and how many it can't read.
fn scanned(records: &[Vec<u8>]) -> (Raised, usize) {
    let dir = tempfile::tempdir().unwrap();
    for (number, record) in records.iter().enumerate() {
        std::fs::write(dir.path().join(format!("{number:06}")), record).unwrap();
    }
    let path = dir.path().to_str().unwrap();
    let finished =
        Process::spawn(kubetell(&["scan", path, "--format", "ecs", "--cluster", "test"]))
            .wait(DEADLINE);
    // The fixtures hold messages that CloudWatch has cut off.
    assert_eq!(finished.code(), Some(2), "{}", finished.stderr);
    let unreadable = finished.stderr.lines().filter(|line| line.contains("not read")).count();
    let mut raised = Raised::default();
    for line in finished.stdout_text().lines() {
        raised.add(&serde_json::from_str(line).unwrap());
    }
    assert!(!raised.execs.is_empty() && !raised.terms.is_empty());
    (raised, unreadable)
}

/// Real and own events in every wrapper.
fn events() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut records = Vec::new();
    let fixtures = root.join("tests/fixtures/wrappers");
    let mut files: Vec<_> =
        std::fs::read_dir(fixtures).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 14, "a fixture for every wrapper");
    records.extend(files.iter().map(|file| std::fs::read(file).unwrap()));
    records.extend(support::story().into_iter().map(|record| record.bytes));
    let shared = root.join("../shared/data/apiserver");
    if let Ok(log) = std::fs::read_to_string(shared.join("audit.jsonl")) {
        records.extend(log.lines().map(|line| line.as_bytes().to_vec()));
        let batches = std::fs::read_to_string(shared.join("webhook.jsonl")).unwrap();
        records.extend(batches.lines().map(|line| line.as_bytes().to_vec()));
    }
    records
}

pub(crate) fn produce(kafka: &Broker, topic: &str, records: &[Vec<u8>]) {
    let records: Vec<Record> = records
        .iter()
        .enumerate()
        .map(|(number, record)| {
            Record::value(record.clone()).partition(i32::try_from(number).unwrap() % PARTITIONS)
        })
        .collect();
    kafka.produce(topic, &records);
}

pub(crate) fn assert_offsets_at_the_end(kafka: &Broker, stream: &Stream) {
    for group in [stream.prefix.clone(), format!("{}-terms", stream.prefix)] {
        let offsets = kafka.group_offsets(&group);
        assert!(!offsets.is_empty());
        for ((topic, partition), offset) in offsets {
            let committed = offset.committed.unwrap_or(0);
            if committed == offset.log_end {
                continue;
            }
            // A partition that was taken over last may have a marker that its owner did not read
            // before it stopped. It tells nothing new to whoever comes next.
            let is_marker = |one: &Consumed| {
                let is_left = one.partition == partition && one.offset >= committed;
                is_left && one.key.as_deref() == Some(record::marker_key())
            };
            let markers = kafka.consume_all(&topic).iter().filter(|one| is_marker(one)).count();
            let left = offset.log_end - committed;
            assert_eq!(markers as i64, left, "{group} in {topic} {partition}: {offset:?}");
        }
    }
}

#[test]
fn two_instances_raise_what_scan_raises() {
    let kafka = broker::shared();
    let mut stream = Stream::new(kafka, "equal");
    stream.extra.push(PATIENT.to_owned());
    let records = events();
    let (expected, unreadable) = scanned(&records);
    let (first, second) = records.split_at(records.len() / 2);
    produce(kafka, &stream.source(), first);
    let one = stream.run("one", &[]);
    let two = stream.run("two", &[]);
    produce(kafka, &stream.source(), second);
    stream.wait_until_read(kafka);
    for run in [&one, &two] {
        run.wait_for_stderr(DEADLINE, |line| line.contains("source partitions assigned"));
    }
    // One ends as an operator would end it: the other takes over what it had.
    assert_eq!(one.terminate(DEADLINE).code(), Some(0));
    let finished = two.terminate(DEADLINE);
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);

    assert_eq!(raised_on(&kafka.consume_all(&stream.alerts())), expected);
    assert_offsets_at_the_end(kafka, &stream);
    assert_eq!(kafka.consume_all(&stream.dead_letters()).len(), unreadable);
}

#[test]
fn a_stop_and_a_kill_in_the_middle_change_nothing() {
    let kafka = broker::shared();
    let mut stream = Stream::new(kafka, "restart");
    // A stop has seconds to drain what is under way, on a slow machine too.
    stream.extra =
        ["detect.workers=1", "detect.max_in_flight_bytes=1MiB"].map(str::to_owned).into();
    let records = events();
    let (expected, _) = scanned(&records);
    let parts: Vec<&[Vec<u8>]> = records.chunks(records.len().div_ceil(4)).collect();
    produce(kafka, &stream.source(), parts[0]);
    let one = stream.run("one", &[]);
    one.wait_for_stderr(DEADLINE, |line| line.contains("source partitions assigned"));
    produce(kafka, &stream.source(), parts[1]);
    assert_eq!(one.terminate(DEADLINE).code(), Some(0));
    // The same state directory again; this one is killed.
    let killed = stream.run("one", &[]);
    killed.wait_for_stderr(DEADLINE, |line| line.contains("source partitions assigned"));
    produce(kafka, &stream.source(), parts[2]);
    killed.signal(Signal::KILL);
    killed.wait(DEADLINE);
    // Another state directory: the view is folded anew from the log.
    let last = stream.run("two", &[]);
    produce(kafka, &stream.source(), parts[3]);
    stream.wait_until_read(kafka);
    let finished = last.terminate(DEADLINE);
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);

    assert_eq!(raised_on(&kafka.consume_all(&stream.alerts())), expected);
    assert_offsets_at_the_end(kafka, &stream);
}

#[test]
fn each_half_runs_alone() {
    let kafka = broker::shared();
    let stream = Stream::new(kafka, "halves");
    let records = events();
    let (expected, _) = scanned(&records);
    produce(kafka, &stream.source(), &records);
    let detect = stream.run("detect", &["--role", "detect"]);
    let first_seen = stream.run("first-seen", &["--role", "first-seen"]);
    stream.wait_until_read(kafka);
    assert_eq!(detect.terminate(DEADLINE).code(), Some(0));
    assert_eq!(first_seen.terminate(DEADLINE).code(), Some(0));
    assert_eq!(raised_on(&kafka.consume_all(&stream.alerts())), expected);
}

#[test]
fn bad_records_go_to_the_dead_letters_and_the_stream_goes_on() {
    let kafka = broker::shared();
    let mut stream = Stream::new(kafka, "bad");
    stream.extra.push(PATIENT.to_owned());
    let good = std::fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures/wrappers/01_bare_file_line.json"),
    )
    .unwrap();
    let bad: Vec<(&str, Vec<u8>)> = vec![
        (
            "random bytes",
            (0..4096u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect(),
        ),
        ("empty", Vec::new()),
        ("10 MB of text", vec![b'a'; 10_000_000]),
        ("deeply nested", [vec![b'['; 100_000], vec![b']'; 100_000]].concat()),
        ("deeply nested objects", "{\"a\":".repeat(50_000).into_bytes()),
        ("gzip bomb", support::gzip_bomb()),
        ("truncated", good[..good.len() / 2].to_vec()),
        ("no audit event", br#"{"kind":"Event","apiVersion":"v1"}"#.to_vec()),
    ];
    let mut records = Vec::new();
    for (at, (name, bytes)) in bad.iter().enumerate() {
        let partition = i32::try_from(at).unwrap() % PARTITIONS;
        records.push(
            Record::value(bytes.clone()).partition(partition).key(*name).header("trace", "abc"),
        );
        records.push(Record::default().key("tombstone").partition(partition));
        records
            .push(Record::value(support::exec_event(&format!("after-{at}"))).partition(partition));
    }
    kafka.produce(&stream.source(), &records);
    let run = stream.run("one", &[]);
    stream.wait_until_read(kafka);
    assert_eq!(run.terminate(DEADLINE).code(), Some(0));

    let alerts = kafka.consume_all(&stream.alerts());
    assert_eq!(raised_on(&alerts).execs.len(), bad.len(), "an alert after each bad record");
    let dead = kafka.consume_all(&stream.dead_letters());
    let by_key: BTreeMap<&str, &Consumed> =
        dead.iter().map(|record| (record.key_text(), record)).collect();
    assert_eq!(dead.len(), bad.len());
    for (name, bytes) in &bad {
        let letter = by_key.get(name).unwrap_or_else(|| panic!("{name} is not there"));
        assert!(
            letter.value.as_deref().unwrap_or_default() == bytes.as_slice(),
            "{name} is unchanged"
        );
        assert_eq!(letter.header("trace"), Some("abc"), "{name} keeps its headers");
        assert_eq!(letter.header("kubetell-topic"), Some(stream.source().as_str()));
        assert!(!letter.header("kubetell-error-class").unwrap().is_empty());
        assert!(!letter.header("kubetell-error").unwrap().is_empty());
        assert!(letter.header("kubetell-offset").unwrap().parse::<i64>().is_ok());
    }
}

#[test]
fn a_broker_that_goes_away_is_waited_for() {
    let mut kafka = Broker::start(Options::default());
    let stream = Stream::new(&kafka, "away");
    let records = events();
    let (expected, _) = scanned(&records);
    let (first, second) = records.split_at(records.len() / 2);
    produce(&kafka, &stream.source(), first);
    let run = stream.run("one", &[]);
    stream.wait_until_read(&kafka);
    kafka.kill();
    run.wait_for_stderr(DEADLINE, |line| line.contains("no broker can be reached"));
    kafka.restart();
    produce(&kafka, &stream.source(), second);
    stream.wait_until_read(&kafka);
    let finished = run.terminate(DEADLINE);
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    assert!(finished.stderr.contains("reached again"), "{}", finished.stderr);
    assert_eq!(raised_on(&kafka.consume_all(&stream.alerts())), expected);
}

/// Runs to its end, which is an error: its exit code and what it says.
fn check_refusal(process: Process, code: i32, says: &[&str]) {
    let finished = process.wait(DEADLINE);
    assert_eq!(finished.code(), Some(code), "{}", finished.stderr);
    for text in says {
        assert!(finished.stderr.contains(text), "`{text}` is not in:\n{}", finished.stderr);
    }
}

#[test]
fn what_keeps_run_from_starting_is_said() {
    let kafka = broker::shared();
    let mut stream = Stream::new(kafka, "refused");

    stream.extra = vec![format!("source.topics=[\"{}-none\"]", stream.prefix)];
    check_refusal(stream.run("a", &[]), 78, &["does not exist", "hint:"]);

    stream.extra = vec![format!("state.directory={}", "/proc/kubetell")];
    check_refusal(stream.run("a", &[]), 78, &["/proc/kubetell", "hint:"]);

    // The topics are there from the run before; another number of partitions is refused.
    stream.extra = vec!["observations.partitions=5".to_owned()];
    check_refusal(stream.run("a", &[]), 78, &["has 4 partitions", "hint:"]);
    check_refusal(stream.run("a", &["--role", "detect"]), 78, &["has 4 partitions"]);

    stream.extra = vec!["delivery=exactly-once".to_owned()];
    check_refusal(stream.run("a", &[]), 78, &["exactly-once", "not available in this version"]);
    stream.extra = vec!["alerts.format=ocsf".to_owned()];
    check_refusal(stream.run("a", &[]), 78, &["ocsf", "not available in this version"]);

    stream.extra = Vec::new();
    let holder = stream.run("held", &[]);
    holder.wait_for_stderr(DEADLINE, |line| line.contains("source partitions assigned"));
    check_refusal(stream.run("held", &[]), 78, &["another process", "hint:"]);
    assert_eq!(holder.terminate(DEADLINE).code(), Some(0));
}

#[test]
fn a_topic_without_rights_is_refused() {
    let kafka = Broker::start(Options { security: Security::Acl, ..Options::default() });
    let mut stream = Stream::new(&kafka, "rights");
    stream.extra = kafka
        .security_properties(NOBODY)
        .into_iter()
        .map(|(key, value)| format!("kafka.properties.{key}={value}"))
        .collect();
    let run = stream.run("one", &[]);
    let finished = run.wait(DEADLINE);
    assert_eq!(finished.code(), Some(78), "{}", finished.stderr);
    assert!(finished.stderr.contains("no right"), "{}", finished.stderr);
    assert!(finished.stderr.contains("hint:"), "{}", finished.stderr);
    assert!(!finished.stderr.contains(NOBODY.1), "a password in {}", finished.stderr);
}

#[test]
fn unreachable_brokers_end_the_start_with_69() {
    let dir = tempfile::tempdir().unwrap();
    // A port that was free a moment ago: nobody listens there.
    let [port] = reserved_ports();
    let process = Process::spawn(kubetell(&[
        "run",
        "--set",
        &format!("kafka.bootstrap_servers=127.0.0.1:{port}"),
        "--set",
        &format!("state.directory={}", dir.path().display()),
    ]));
    check_refusal(process, 69, &["no broker", "hint:"]);
}

#[test]
fn observations_topic_is_made_as_correctness_needs_it_and_checked() {
    let kafka = broker::shared();
    let stream = Stream::new(kafka, "settings");
    let mut arguments = vec!["topics".to_owned(), "create".to_owned()];
    for setting in stream.settings("one") {
        arguments.extend(["--set".to_owned(), setting]);
    }
    let command = |verb: &str| {
        let mut arguments = arguments.clone();
        arguments[1] = verb.to_owned();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Process::spawn(kubetell(&arguments)).wait(DEADLINE)
    };
    assert_eq!(command("check").code(), Some(78), "nothing is there yet");
    assert_eq!(command("create").code(), Some(0));
    assert_eq!(command("check").code(), Some(0));
    let settings = kafka.topic_settings(&stream.observations());
    assert_eq!(settings.get("cleanup.policy").map(String::as_str), Some("compact,delete"));
    assert_eq!(settings.get("message.timestamp.type").map(String::as_str), Some("LogAppendTime"));
    assert_eq!(settings.get("min.compaction.lag.ms").map(String::as_str), Some("86400000"));
    assert_eq!(settings.get("retention.ms").map(String::as_str), Some("691200000"));

    // A topic somebody made by hand, with settings that lose state.
    let by_hand = unique("by-hand");
    kafka.create_topic(&by_hand, 4, &[("cleanup.policy", "delete")]);
    arguments.extend(["--set".to_owned(), format!("observations.topic={by_hand}")]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let finished = Process::spawn(kubetell(&arguments)).wait(DEADLINE);
    assert_eq!(finished.code(), Some(78));
    for text in [
        "cleanup.policy",
        "message.timestamp.type",
        "kafka-configs.sh --bootstrap-server 127.0.0.1:",
    ] {
        assert!(finished.stderr.contains(text) || finished.stdout_text().contains(text), "{text}");
    }
}

#[test]
fn a_restart_goes_on_from_its_view_and_a_lost_view_is_folded_anew() {
    let kafka = broker::shared();
    let stream = Stream::new(kafka, "view");
    let records = events();
    produce(kafka, &stream.source(), &records);
    let first = stream.run("one", &[]);
    stream.wait_until_read(kafka);
    assert_eq!(first.terminate(DEADLINE).code(), Some(0));
    let alerts = kafka.consume_all(&stream.alerts());

    let again = |instance: &str| {
        let mut command = stream.command(instance, &[]);
        command.env("KUBETELL_LOG", "kubetell=debug");
        let process = Process::spawn(command);
        for partition in 0..4 {
            let field = format!("\"partition\":{partition},");
            process.wait_for_stderr(DEADLINE, |line| {
                line.contains("observations partition taken over") && line.contains(&field)
            });
        }
        let finished = process.terminate(DEADLINE);
        assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
        finished.stderr
    };
    let log = again("one");
    assert_eq!(log.matches("keep_view: true").count(), 4, "{log}");
    let log = again("two");
    assert_eq!(log.matches("keep_view: false").count(), 4, "{log}");
    assert!(log.contains("the view has caught up"), "{log}");
    // Nothing was new to either of them.
    assert_eq!(kafka.consume_all(&stream.alerts()).len(), alerts.len());
}

#[test]
fn the_demo_plays_on_a_real_cluster_too() {
    let kafka = broker::shared();
    let finished =
        Process::spawn(kubetell(&["demo", "--format", "ecs", "--bootstrap", &kafka.bootstrap()]))
            .wait(DEADLINE);
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    let mut raised = Raised::default();
    for line in finished.stdout_text().lines() {
        let alert: Value = serde_json::from_str(line).unwrap();
        support::assert_valid_ecs(&alert);
        raised.add(&alert);
    }
    let expected = kubetell::demo::scenario::expected();
    assert_eq!(raised.execs.len(), expected.exec.len());
    assert_eq!(raised.terms.len(), expected.new_terms.len());
}

/// Acts that come as one event, from clients seen once: nothing later raises a lost alert again.
pub(crate) fn single_acts(round: usize, count: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|number| {
            let id = format!("act-{round}-{number}");
            if number % 2 == 0 {
                support::exec_event(&id)
            } else {
                support::secret_event(&id, &format!("client-{round}-{number}"))
            }
        })
        .collect()
}

#[test]
fn kills_and_a_lost_state_in_a_group_of_three_lose_and_invent_nothing() {
    let kafka = broker::shared();
    let stream = Stream::new(kafka, "kills");
    let names = ["a", "b", "c"];
    let mut instances: Vec<Process> = names.iter().map(|name| stream.run(name, &[])).collect();
    let mut all = Vec::new();
    for round in 0..6 {
        let acts = single_acts(round, 200);
        produce(kafka, &stream.source(), &acts);
        all.extend(acts);
        let victim = round % names.len();
        let killed = instances.remove(victim);
        killed.signal(Signal::KILL);
        killed.wait(DEADLINE);
        if round % 2 == 1 {
            // It may not have come as far as to make one.
            let removed = std::fs::remove_dir_all(stream.state(names[victim]));
            let is_gone = |error: std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
            assert!(removed.is_ok() || removed.is_err_and(is_gone));
        }
        instances.insert(victim, stream.run(names[victim], &[]));
    }
    stream.wait_until_read(kafka);
    for instance in &instances {
        instance.wait_for_stderr(DEADLINE, |line| line.contains("source partitions assigned"));
    }
    for instance in instances {
        let finished = instance.terminate(DEADLINE);
        assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    }
    let raised = raised_on(&kafka.consume_all(&stream.alerts()));
    assert_eq!(raised.execs.len(), all.len() / 2);
    assert_eq!(raised.terms.len(), all.len() / 2);
    assert_offsets_at_the_end(kafka, &stream);
}

#[test]
fn a_suspended_instance_is_replaced_and_a_zombie_invents_nothing() {
    let kafka = broker::shared();
    let stream = Stream::new(kafka, "zombie");
    let one = stream.run("one", &[]);
    let first = single_acts(0, 200);
    produce(kafka, &stream.source(), &first);
    stream.wait_until_read(kafka);
    // More is under way when its time stops, for longer than the session lasts.
    let second = single_acts(1, 200);
    produce(kafka, &stream.source(), &second);
    one.signal(Signal::STOP);
    let two = stream.run("two", &[]);
    let third = single_acts(2, 200);
    produce(kafka, &stream.source(), &third);
    stream.wait_until_read(kafka);
    one.signal(Signal::CONT);
    one.wait_for_stderr(DEADLINE, |line| {
        line.contains("source partitions revoked") && line.contains("\"lost\":true")
    });
    let fourth = single_acts(3, 200);
    produce(kafka, &stream.source(), &fourth);
    stream.wait_until_read(kafka);
    for instance in [one, two] {
        let finished = instance.terminate(DEADLINE);
        assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    }
    let raised = raised_on(&kafka.consume_all(&stream.alerts()));
    assert_eq!((raised.execs.len(), raised.terms.len()), (400, 400));
    assert_offsets_at_the_end(kafka, &stream);
}

#[test]
fn a_stop_without_brokers_says_that_it_did_not_drain_and_loses_nothing() {
    let mut kafka = Broker::start(Options::default());
    let stream = Stream::new(&kafka, "stop");
    let run = stream.run("one", &[]);
    produce(&kafka, &stream.source(), &single_acts(0, 100));
    stream.wait_until_read(&kafka);
    produce(&kafka, &stream.source(), &single_acts(1, 100));
    kafka.kill();
    run.wait_for_stderr(DEADLINE, |line| line.contains("no broker can be reached"));
    let finished = run.terminate(DEADLINE);
    // Whether all of the second batch was through before the kill is a race; both ends are honest.
    let drained = finished.stderr.contains("what was read is drained");
    let undrained = finished.stderr.contains("will be read again");
    let code = finished.code();
    assert!(
        code == Some(0) && drained || code == Some(70) && undrained && !drained,
        "{code:?} {}",
        finished.stderr
    );
    kafka.restart();
    let again = stream.run("one", &[]);
    stream.wait_until_read(&kafka);
    assert_eq!(again.terminate(DEADLINE).code(), Some(0));
    let raised = raised_on(&kafka.consume_all(&stream.alerts()));
    assert_eq!((raised.execs.len(), raised.terms.len()), (100, 100));
}
