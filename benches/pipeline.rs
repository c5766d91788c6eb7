//! `kubetell run` beside a consumer that only reads, over the same topic of a real Kafka.
//!
//! `tests/bench pipeline [--events N] [--rounds R] [--candidates 5,20] [--partitions P] [--seed S]`
//! fills a topic of 12 partitions (lz4) with a made-up audit log of which that many events in 100
//! concern the built-in rules, and then lets the two read it in turn, each in a process of its own and, each time, in a
//! fresh group with fresh state and fresh topics for what it writes.
//!
//! What is measured:
//! - Start: from the start of the process to its first record handled. Of kubetell that is the
//!   append of its first alert: each partition begins with an exec that alerts.
//! - Wall: from there until every offset is committed; of the reader, until its own commit of them
//!   all is answered. Also, of kubetell, until its last alert is appended, by which time the last
//!   record of each partition, which alerts, is handled: commits come once a second.
//! - Processor time of the whole process until then, in user and kernel, by `/proc`.
//! - The largest resident memory until then.
//! - Exactness: the alerts are read back and have to be those that the log was made with.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

#[path = "support/audit/mod.rs"]
mod audit;
#[path = "../tests/fixtures/commands/corpus.rs"]
mod corpus;
#[path = "support/deployment.rs"]
mod deployment;
// Without a test harness its tests are left out, but not what they import.
#[allow(unused_imports)]
#[path = "../tests/it/kafka/mod.rs"]
mod kafka;
#[allow(dead_code)]
#[path = "support/process.rs"]
mod process;
#[path = "support/series.rs"]
mod series;
// What the harness's tests import.
#[allow(dead_code, unused_imports)]
#[path = "../tests/it/support.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Parser;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde::{Deserialize, Serialize};

use audit::{AuditLog, Expected, Plan};
use deployment::{Deployment, PARTITIONS, Progress, SOURCE};
use kafka::broker::{Broker, Options};
use kafka::process::Process;
use kubetell::clock;
use kubetell::ingest::kafka::group_config;
use series::Series;

#[derive(Debug, Parser)]
struct Args {
    #[arg(long, default_value_t = 3_000_000)]
    events: u64,
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// How many events in 100 concern the rules; several are measured one after the other.
    #[arg(long, value_delimiter = ',', default_value = "5")]
    candidates: Vec<u64>,
    /// Of the source topic.
    #[arg(long, default_value_t = PARTITIONS)]
    partitions: u32,
    /// Makes every event about this long, in bytes, by a body, and all records bare events.
    #[arg(long)]
    event_bytes: Option<usize>,
    /// Sets `detect.workers`.
    #[arg(long)]
    workers: Option<u32>,
    /// Appends the medians to this file, one line of JSON for each share of candidates.
    #[arg(long)]
    json: Option<PathBuf>,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Further settings of kubetell, `KEY=VALUE`.
    #[arg(long = "set")]
    settings: Vec<String>,
    /// Writes a profile of the last kubetell, with chains of calls, to this file, with `perf`.
    #[arg(long)]
    perf: Option<String>,
    /// The reading process: where the brokers are.
    #[arg(long, hide = true)]
    read_from: Option<String>,
    #[arg(long, hide = true, default_value = "")]
    group: String,
    /// The reading process: how many records there are.
    #[arg(long, hide = true, default_value_t = 0)]
    records: u64,
    /// Given by `cargo bench`.
    #[arg(long)]
    bench: bool,
}

/// What one process did. Times are milliseconds since the epoch.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Run {
    started_ms: i64,
    first_ms: i64,
    /// The last record was handled.
    handled_ms: i64,
    committed_ms: i64,
    cpu_seconds: f64,
    cpu_by_thread: BTreeMap<String, f64>,
    resident_bytes: u64,
    /// Records and bytes on the broker's disk of what kubetell wrote.
    #[serde(default)]
    written: Written,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Written {
    alerts: u64,
    alert_bytes: u64,
    observations: u64,
    observation_bytes: u64,
}

/// How often what cannot be waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(25);
const RUN_MAX: Duration = Duration::from_secs(600);

fn main() {
    let mut args = Args::parse();
    args.settings.extend(args.workers.map(|workers| format!("detect.workers={workers}")));
    let args = args;
    if let Some(servers) = &args.read_from {
        let run = read(servers, &args);
        println!("{}", serde_json::to_string(&run).unwrap());
        return;
    }
    let mut exact = true;
    for candidates in &args.candidates {
        exact &= measure(*candidates, &args);
    }
    assert!(exact, "what was raised is not what the log holds: see above");
}

/// Whether all was exact.
fn measure(candidates: u64, args: &Args) -> bool {
    let broker = Broker::start(Options { heap_mb: 1_024, ..Options::default() });
    let plan = Plan {
        seed: args.seed,
        sentinels: args.partitions,
        event_bytes: args.event_bytes,
        ..Plan::new(args.events, candidates)
    };
    let (expected, event_bytes) = fill(&broker, plan, args.partitions);
    let mut table = Table::default();
    // Into the page cache, and every code path of the broker warm.
    read_apart(&broker, "warm-up", expected.records);
    let mut exact = true;
    for round in 0..args.rounds {
        let name = format!("round-{candidates}-{round}");
        let load = process::load();
        let reader = || read_apart(&broker, &format!("{name}-reader"), expected.records);
        let last = round + 1 == args.rounds;
        let (bare, ours, wrong) = if round % 2 == 0 {
            let bare = reader();
            let (ours, wrong) = kubetell(&broker, &name, &expected, args, last);
            (bare, ours, wrong)
        } else {
            let (ours, wrong) = kubetell(&broker, &name, &expected, args, last);
            (reader(), ours, wrong)
        };
        eprintln!(
            "round {round}: reader {:.2} s, {:.2} s of processor; kubetell {:.2} s, {:.2} s; load before {load:.1}",
            wall(&bare),
            bare.cpu_seconds,
            wall(&ours),
            ours.cpu_seconds
        );
        for difference in &wrong {
            println!("NOT EXACT in round {round}: {difference}");
        }
        exact &= wrong.is_empty();
        table.add(&bare, &ours, &expected);
    }
    let verdict =
        if exact { "exactly those that the log holds" } else { "NOT those that the log holds" };
    println!(
        "Alerts in every round: {} execs, {} new terms: {verdict}.",
        expected.execs.len(),
        expected.terms.len()
    );
    table.print();
    if let Some(file) = &args.json {
        let mut line = table.json(&expected);
        line["candidates"] = candidates.into();
        line["partitions"] = args.partitions.into();
        line["workers"] = args.workers.into();
        line["event_bytes"] = event_bytes.into();
        line["exact"] = exact.into();
        line["source_bytes"] = broker.topic_bytes(SOURCE).into();
        append(file, &line);
    }
    exact
}

fn append(file: &Path, line: &serde_json::Value) {
    let mut file = File::options().create(true).append(true).open(file).unwrap();
    writeln!(file, "{line}").unwrap();
}

fn wall(run: &Run) -> f64 {
    (run.committed_ms - run.first_ms) as f64 / 1e3
}

#[derive(Default)]
struct Table {
    wall: [Series; 3],
    handled: [Series; 3],
    cpu: [Series; 3],
    resident: [Series; 3],
    start: [Series; 3],
    rate: [Series; 3],
    /// Of kubetell, in all rounds.
    threads: BTreeMap<String, f64>,
    /// In the last round.
    written: Written,
}

impl Table {
    fn add(&mut self, bare: &Run, ours: &Run, expected: &Expected) {
        let millions = expected.events as f64 / 1e6;
        let mut add = |series: fn(&mut Table) -> &mut [Series; 3], value: &dyn Fn(&Run) -> f64| {
            let (bare, ours) = (value(bare), value(ours));
            for (series, value) in series(self).iter_mut().zip([bare, ours, ours / bare]) {
                series.push(value);
            }
        };
        add(|table| &mut table.wall, &wall);
        add(|table| &mut table.handled, &|run| (run.handled_ms - run.first_ms) as f64 / 1e3);
        add(|table| &mut table.rate, &|run| {
            expected.events as f64 / 1e3 / ((run.handled_ms - run.first_ms) as f64 / 1e3)
        });
        add(|table| &mut table.cpu, &|run| run.cpu_seconds / millions);
        add(|table| &mut table.resident, &|run| run.resident_bytes as f64 / 1e6);
        add(|table| &mut table.start, &|run| (run.first_ms - run.started_ms) as f64);
        self.written = ours.written.clone();
        for (thread, seconds) in &ours.cpu_by_thread {
            *self.threads.entry(thread.clone()).or_insert(0.0) += seconds;
        }
    }

    /// The medians, of the reader, of kubetell and of the ratio round by round.
    fn json(&self, expected: &Expected) -> serde_json::Value {
        let of = |series: &[Series; 3]| {
            let [reader, kubetell, ratio] = series.each_ref().map(Series::median);
            serde_json::json!({"reader": reader, "kubetell": kubetell, "ratio": ratio})
        };
        serde_json::json!({
            "bench": "pipeline",
            "rounds": self.wall[0].len(),
            "events": expected.events,
            "records": expected.records,
            "bytes": expected.bytes,
            "wall_seconds": of(&self.wall),
            "handled_seconds": of(&self.handled),
            "cpu_seconds_a_million": of(&self.cpu),
            "resident_mb": of(&self.resident),
            "start_ms": of(&self.start),
            "kubetell_cpu_seconds_by_thread": self.threads,
            "written": self.written,
            "load": process::load(),
        })
    }

    fn print(&self) {
        println!("Median (least–most) of {} rounds:", self.wall[0].len());
        println!("| | reader | kubetell | ratio |\n|---|---|---|---|");
        for (name, [bare, ours, ratio], digits) in [
            ("s from the first record until all is committed", &self.wall, 2),
            ("s until the last record is handled", &self.handled, 2),
            ("thousand events a second", &self.rate, 0),
            ("s of processor a million events", &self.cpu, 2),
            ("MB resident at most", &self.resident, 0),
            ("ms from the start to the first record", &self.start, 0),
        ] {
            println!("| {name} | {bare:.digits$} | {ours:.digits$} | {ratio:.2} |");
        }
        let all: f64 = self.threads.values().sum();
        let mut threads: Vec<_> = self.threads.iter().collect();
        threads.sort_by(|a, b| b.1.total_cmp(a.1));
        let shares: Vec<String> = (threads.iter())
            .filter(|(_, seconds)| **seconds >= 0.005 * all)
            .map(|(name, seconds)| format!("{name} {:.0} %", 100.0 * *seconds / all))
            .collect();
        println!("Processor time of kubetell by thread: {}.", shares.join(", "));
    }
}

/// Writes the log; what is to be found in it, and the median size of a bare event, in bytes.
fn fill(broker: &Broker, plan: Plan, partitions: u32) -> (Expected, f64) {
    deployment::create_topic(broker, SOURCE, partitions);
    let begun = clock::monotonic();
    let producer: BaseProducer = broker
        .client_config()
        .set("compression.codec", "lz4")
        .set("linger.ms", "20")
        .set("acks", "1")
        .set("queue.buffering.max.kbytes", "65536")
        .create()
        .unwrap();
    let mut log = AuditLog::new(plan);
    let mut sizes = Series::default();
    for record in log.by_ref() {
        if record.bytes.starts_with(b"{\"kind\":\"Event\",") {
            sizes.push(record.bytes.len() as f64);
        }
        let mut next: BaseRecord<'_, (), [u8]> = BaseRecord::to(SOURCE)
            .partition(record.partition.of(partitions))
            .payload(&record.bytes);
        while let Err((error, back)) = producer.send(next) {
            assert!(
                matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)),
                "{error}"
            );
            producer.poll(Duration::from_millis(20));
            next = back;
        }
        producer.poll(Duration::ZERO);
    }
    producer.flush(kafka::DEADLINE).unwrap();
    let expected = log.into_expected();
    let written: i64 = broker.watermarks(SOURCE).unwrap().values().map(|(_, end)| end).sum();
    assert_eq!(u64::try_from(written).unwrap(), expected.records, "records were not taken");
    println!(
        "\n{} events, of which {:.1} in 100 concern the rules, in {} records of {} MB; a bare event has {:.0} bytes (median), {:.0} (p99), {:.0} (most). Written in {:.0} s.",
        expected.events,
        100.0 * expected.concerning as f64 / expected.events as f64,
        expected.records,
        expected.bytes / 1_000_000,
        sizes.median(),
        sizes.at(0.99),
        sizes.at(1.0),
        begun.elapsed().as_secs_f64(),
    );
    (expected, sizes.median())
}

/// The reader, in a process of its own.
fn read_apart(broker: &Broker, group: &str, records: u64) -> Run {
    let started_ms = clock::now_ms();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--read-from", &broker.bootstrap(), "--group", group])
        .args(["--records", &records.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "the reader failed");
    let run: Run = serde_json::from_slice(&output.stdout).unwrap();
    Run { started_ms, ..run }
}

/// Reads the whole topic as a member of a group with the settings of kubetell's, counts, commits.
fn read(servers: &str, args: &Args) -> Run {
    let mut properties = ClientConfig::new();
    properties.set("bootstrap.servers", servers);
    let consumer: BaseConsumer =
        group_config(&properties, &args.group, "earliest").create().unwrap();
    consumer.subscribe(&[SOURCE]).unwrap();
    let (mut first_ms, mut count, mut bytes) = (0, 0, 0);
    while count < args.records {
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        let message = message.unwrap();
        if count == 0 {
            first_ms = clock::now_ms();
        }
        count += 1;
        bytes += message.payload_len();
    }
    assert!(bytes > 0);
    let handled_ms = clock::now_ms();
    // Positions are what would be read next.
    consumer.commit(&consumer.position().unwrap(), CommitMode::Sync).unwrap();
    let committed_ms = clock::now_ms();
    let id = std::process::id();
    Run {
        started_ms: 0,
        first_ms,
        handled_ms,
        committed_ms,
        cpu_seconds: process::cpu_seconds(id).unwrap(),
        cpu_by_thread: process::cpu_by_thread(id),
        resident_bytes: process::memory_bytes(id).unwrap().1,
        written: Written::default(),
    }
}

/// One `kubetell run` until it has committed everything, and what is wrong with its alerts.
fn kubetell(
    broker: &Broker,
    name: &str,
    expected: &Expected,
    args: &Args,
    profiled: bool,
) -> (Run, Vec<String>) {
    let deployment = Deployment::new(broker, name, &args.settings);
    let source = Progress::new(broker, &deployment.group, SOURCE, args.partitions);
    let observations = &deployment.observations;
    let terms = Progress::new(broker, &deployment.terms_group(), observations, PARTITIONS);
    let started_ms = clock::now_ms();
    let process = deployment.run();
    let profile = args.perf.as_ref().filter(|_| profiled).map(|file| profile(&process, file));
    let (cpu_seconds, committed_ms) = await_committed(&process, "the source", || {
        source.committed() == i64::try_from(expected.records).unwrap()
    });
    // The terms follow a moment later; they are part of the work, and of its processor time.
    let (cpu_of_terms, terms_committed_ms) = await_committed(&process, "the observations", || {
        let ends = broker.watermarks(&deployment.observations).unwrap();
        terms.committed() == ends.values().map(|(_, end)| end).sum::<i64>()
    });
    let (_, resident_bytes) = process::memory_bytes(process.id()).unwrap();
    let cpu_by_thread = process::cpu_by_thread(process.id());
    if let Some(mut profile) = profile {
        process::interrupt(&profile);
        profile.wait().unwrap();
    }
    let finished = process.terminate(kafka::DEADLINE);
    let flow = finished.stderr.lines().rfind(|line| line.contains("flow so far"));
    eprintln!("{}", flow.unwrap_or(&finished.stderr).trim());
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    let alerts = deployment.raised(broker);
    let appended = |alert: &deployment::Alert| alert.appended_ms;
    let run = Run {
        started_ms,
        first_ms: alerts.iter().map(appended).min().unwrap(),
        handled_ms: alerts.iter().map(appended).max().unwrap(),
        committed_ms: committed_ms.max(terms_committed_ms),
        cpu_seconds: cpu_seconds.max(cpu_of_terms),
        cpu_by_thread,
        resident_bytes,
        written: Written {
            alerts: alerts.len() as u64,
            alert_bytes: broker.topic_bytes(&deployment.alerts),
            observations: u64::try_from(terms.committed()).unwrap(),
            observation_bytes: broker.topic_bytes(observations),
        },
    };
    let dead_letters = deployment.dead_letters(broker);
    (run, deployment::differences(&alerts, dead_letters, expected))
}

/// Waits; the processor time of the process and the time at the end.
fn await_committed(process: &Process, what: &str, done: impl Fn() -> bool) -> (f64, i64) {
    let until = clock::monotonic() + RUN_MAX;
    loop {
        let committed = done();
        let Some(cpu) = process::cpu_seconds(process.id()) else {
            panic!("kubetell ended: {}", process.stderr())
        };
        if committed {
            return (cpu, clock::now_ms());
        }
        assert!(clock::monotonic() < until, "{what} not committed: {}", process.stderr());
        std::thread::park_timeout(LOOK_EVERY);
    }
}

fn profile(process: &Process, file: &str) -> std::process::Child {
    Command::new("perf")
        .args(["record", "-q", "-F", "499", "--call-graph", "dwarf,16384", "-o", file])
        .args(["-p", &process.id().to_string()])
        .stdin(Stdio::null())
        .spawn()
        .expect("`--perf` needs `perf`")
}
