//! From an API server's log file to an alert, through a real rsyslog or a real OpenTelemetry Collector
//! and a real Kafka, with the configurations that the pages on them print.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use kubetell::clock;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Message, Offset, TopicPartitionList};
use serde_json::Value;

use crate::kafka::DEADLINE;
use crate::kafka::broker::{self, Broker};
use crate::kafka::process::{Process, Signal};
use crate::markdown::{Page, placed};
use crate::pipeline::{PARTITIONS, Stream, single_acts};
use crate::rsyslog;
use crate::support::{self, json_lines, program};

/// A pipeline from the file `audit.log` of a folder to a topic.
struct Pipeline {
    /// Starts it, with the configuration of its page.
    start: fn(kafka: &Broker, topic: &str, folder: &Path) -> Process,
    /// The lines that a record was.
    lines: fn(record: &[u8]) -> Vec<Vec<u8>>,
}

fn rsyslog(kafka: &Broker, topic: &str, folder: &Path) -> Process {
    let page = Page::read("docs/upstream/api-server-log.md");
    let configuration = placed(
        page.block("conf", "imfile"),
        &[
            ("/var/spool/rsyslog-audit", folder.to_str().unwrap()),
            ("/var/log/kubernetes/audit/audit.log", folder.join("audit.log").to_str().unwrap()),
            ("kafka:9092", &kafka.bootstrap()),
            ("topic=\"kubernetes-audit\"", &format!("topic=\"{topic}\"")),
        ],
    );
    rsyslog::start(folder, &configuration)
}

fn append(log: &Path, lines: &[Vec<u8>]) {
    let mut file = File::options().create(true).append(true).open(log).unwrap();
    for line in lines {
        file.write_all(&[line.as_slice(), b"\n"].concat()).unwrap();
    }
}

/// An exec of a sensitive file whose command line has about so many bytes.
fn long_exec(audit_id: &str, bytes: usize) -> Vec<u8> {
    let mut event: Value = serde_json::from_slice(&support::exec_event(audit_id)).unwrap();
    let uri = event["requestURI"].as_str().unwrap();
    let uri = uri.replace("&container", &format!("&command={}&container", "x".repeat(bytes)));
    event["requestURI"] = uri.into();
    event.to_string().into_bytes()
}

/// Reads a topic from its start while others write to it.
struct Reader {
    consumer: BaseConsumer,
    lines_of: fn(record: &[u8]) -> Vec<Vec<u8>>,
    /// All lines so far.
    count: usize,
    /// The different lines so far.
    lines: BTreeSet<Vec<u8>>,
}

impl Reader {
    fn new(kafka: &Broker, topic: &str, lines_of: fn(&[u8]) -> Vec<Vec<u8>>) -> Self {
        let mut config = kafka.client_config();
        // Nobody joins or commits under this name.
        config.set("group.id", "reads-on").set("enable.auto.commit", "false");
        let consumer: BaseConsumer = config.create().unwrap();
        let mut assignment = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            assignment.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&assignment).unwrap();
        Reader { consumer, lines_of, count: 0, lines: BTreeSet::new() }
    }

    /// Reads on until all of these lines have come.
    fn wait_for(&mut self, lines: &[Vec<u8>]) {
        let until = clock::monotonic() + DEADLINE;
        while !lines.iter().all(|line| self.lines.contains(line)) {
            let left = until.saturating_duration_since(clock::monotonic());
            let missing = || lines.iter().filter(|line| !self.lines.contains(*line)).count();
            assert!(!left.is_zero(), "{} of {} lines have not come", missing(), lines.len());
            if let Some(message) = self.consumer.poll(left) {
                let lines = (self.lines_of)(message.unwrap().payload().unwrap());
                self.count += lines.len();
                self.lines.extend(lines);
            }
        }
    }
}

#[test]
fn a_log_file_becomes_alerts_through_rotation_kills_and_long_lines() {
    becomes_alerts("upstream", &Pipeline { start: rsyslog, lines: |record| vec![record.to_vec()] });
}

fn becomes_alerts(name: &str, pipeline: &Pipeline) {
    let kafka = broker::shared();
    let stream = Stream::new(kafka, name);
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("audit.log");
    let mut reader = Reader::new(kafka, &stream.source(), pipeline.lines);

    let mut lines = single_acts(0, 100);
    // Go writes `&` so.
    lines.push(
        String::from_utf8(support::exec_event("escaped")).unwrap().replace('&', "\\u0026").into(),
    );
    lines.extend([66_000, 300_000].map(|bytes| long_exec(&format!("long-{bytes}"), bytes)));
    append(&log, &lines);
    let ships = (pipeline.start)(kafka, &stream.source(), folder.path());
    let run = stream.run("one", &[]);
    reader.wait_for(&lines);

    // The API server renames its file and begins another one.
    let more = single_acts(1, 100);
    append(&log, &more);
    fs::rename(&log, folder.path().join("audit-2026-03-01T08-00-00.000.log")).unwrap();
    let after = single_acts(2, 100);
    append(&log, &after);
    lines.extend(more.into_iter().chain(after));
    reader.wait_for(&lines);
    assert_eq!(reader.count, lines.len(), "nothing comes twice while nothing is killed");

    ships.signal(Signal::KILL);
    ships.wait(DEADLINE);
    let away = single_acts(3, 100);
    append(&log, &away);
    lines.extend(away);
    lines.push(long_exec("long-after", 66_000));
    append(&log, &lines[lines.len() - 1..]);
    let ships = (pipeline.start)(kafka, &stream.source(), folder.path());
    reader.wait_for(&lines);
    assert_eq!(reader.lines, lines.iter().cloned().collect(), "byte for byte, and no other");
    assert_eq!(ships.terminate(DEADLINE).code(), Some(0));

    stream.wait_until_read(kafka);
    let finished = run.terminate(DEADLINE);
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);

    // What was raised is what the lines hold, long ones whole.
    let all = folder.path().join("all.log");
    append(&all, &lines);
    let arguments = ["scan", "--format", "ecs", "--cluster", "test", all.to_str().unwrap()];
    let scanned = json_lines(&program(&arguments).output().unwrap().stdout);
    let ids = |alerts: &[Value]| -> BTreeSet<String> {
        alerts.iter().map(|alert| alert["event"]["id"].as_str().unwrap().to_owned()).collect()
    };
    let raised = stream.raised(kafka);
    assert_eq!(ids(&scanned).len(), lines.len(), "an alert a line");
    assert_eq!(ids(&raised), ids(&scanned));
    let longest = |alert: &Value| alert["process"]["command_line"].as_str().map_or(0, str::len);
    for bytes in [66_000, 300_000] {
        let whole = format!("cat /etc/shadow {}", "x".repeat(bytes));
        let has = raised.iter().any(|alert| alert["process"]["command_line"] == whole.as_str());
        assert!(has, "{bytes}: the longest is {:?}", raised.iter().map(longest).max());
    }
    assert_eq!(kafka.consume_all(&stream.dead_letters()).len(), 0);
}

#[cfg(feature = "collector")]
mod collector {
    use std::process::Command;

    use super::*;

    /// Of `raw`: a record is a line as a JSON string, in which Go writes some characters as escapes.
    fn raw(record: &[u8]) -> Vec<Vec<u8>> {
        vec![serde_json::from_slice::<String>(record).unwrap().into_bytes()]
    }

    /// Of `otlp_json`: a record is a batch of lines.
    fn otlp_json(record: &[u8]) -> Vec<Vec<u8>> {
        let record: Value = serde_json::from_slice(record).unwrap();
        let below = |value: &Value, key: &str| value[key].as_array().unwrap().clone();
        let scopes = below(&record, "resourceLogs").into_iter();
        let logs = scopes.flat_map(|resource| below(&resource, "scopeLogs"));
        let logs = logs.flat_map(|scope| below(&scope, "logRecords"));
        logs.map(|log| log["body"]["stringValue"].as_str().unwrap().into()).collect()
    }

    fn start(kafka: &Broker, topic: &str, folder: &Path) -> Process {
        start_with(kafka, topic, folder, &[])
    }

    /// Starts the Collector with more configurations of its page, merged into the first.
    fn start_with(kafka: &Broker, topic: &str, folder: &Path, more: &[&str]) -> Process {
        let page = Page::read("docs/upstream/opentelemetry.md");
        let storage = folder.join("otelcol");
        fs::create_dir_all(&storage).unwrap();
        let configuration = placed(
            page.block("yaml", "filelog"),
            &[
                ("/var/lib/otelcol", storage.to_str().unwrap()),
                ("/var/log/kubernetes/audit/audit.log", folder.join("audit.log").to_str().unwrap()),
                ("kafka:9092", &kafka.bootstrap()),
                ("topic: kubernetes-audit", &format!("topic: {topic}")),
            ],
        );
        let program = std::env::var_os("KUBETELL_COLLECTOR").expect("`tests/upstream` sets it");
        let mut command = Command::new(program);
        let more = more.iter().map(|part| page.block("yaml", part).to_owned());
        for (number, text) in std::iter::once(configuration).chain(more).enumerate() {
            let path = folder.join(format!("otelcol-{number}.yaml"));
            fs::write(&path, text).unwrap();
            command.arg("--config").arg(path);
        }
        // Its own metrics have one port, which another Collector may hold.
        command.arg("--set=service::telemetry::metrics::level=none");
        Process::spawn(command)
    }

    fn start_batches(kafka: &Broker, topic: &str, folder: &Path) -> Process {
        start_with(kafka, topic, folder, &["otlp_json"])
    }

    #[test]
    fn a_log_file_becomes_alerts_through_the_collector() {
        becomes_alerts("collector", &Pipeline { start, lines: raw });
    }

    #[test]
    fn a_log_file_becomes_alerts_through_the_collector_in_batches() {
        becomes_alerts("batches", &Pipeline { start: start_batches, lines: otlp_json });
    }

    /// More than one record may hold, waiting when the Collector starts.
    #[test]
    fn many_long_lines_at_once_come_through_the_collector() {
        many_long_lines_come("long", &Pipeline { start, lines: raw });
    }

    #[test]
    fn many_long_lines_at_once_come_through_the_collector_in_batches() {
        many_long_lines_come("batches", &Pipeline { start: start_batches, lines: otlp_json });
    }

    fn many_long_lines_come(name: &str, pipeline: &Pipeline) {
        let kafka = broker::shared();
        let stream = Stream::new(kafka, name);
        let folder = tempfile::tempdir().unwrap();
        let mut lines: Vec<_> =
            (0..200).map(|at| long_exec(&format!("long-{at}"), 100_000)).collect();
        // Close below the longest line that the page allows.
        lines.push(long_exec("longest", 4_150_000));
        append(&folder.path().join("audit.log"), &lines);
        let ships = (pipeline.start)(kafka, &stream.source(), folder.path());
        Reader::new(kafka, &stream.source(), pipeline.lines).wait_for(&lines);
        assert_eq!(ships.terminate(DEADLINE).code(), Some(0));
    }
}
