//! How long a fresh instance needs to take the whole observations topic over, and what it takes.
//!
//! Starts a real Kafka, fills an observations topic with distinct terms, commits the group's
//! offsets at its end, and lets a process of its own (whose memory is then its own, too) restore
//! all partitions into an empty state directory, and once more with the view that is there then.
//!
//! `KUBETELL_KAFKA_LIBS=… cargo bench --bench restore -- [--terms N] [--partitions N] [--wrap CMD] [--property K=V]`;
//! `tests/run --help` says where the jars come from. `--wrap` is put before the restoring process,
//! e.g. `--wrap 'perf record -g -o /tmp/perf.data'`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

// Without a test harness its tests are left out, but not what they import.
#[allow(unused_imports)]
#[path = "../tests/it/kafka/mod.rs"]
mod kafka;
#[path = "support/log.rs"]
mod log;
#[allow(dead_code)]
#[path = "support/process.rs"]
mod process;
// What the harness's tests import.
#[allow(dead_code, unused_imports)]
#[path = "../tests/it/support.rs"]
mod support;

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Parser;
use crossbeam_channel::bounded;
use rdkafka::ClientConfig;
use serde::{Deserialize, Serialize};

use kubetell::clock;
use kubetell::faults::Faults;
use kubetell::stats::Stats;
use kubetell::terms::restore::{Epochs, Restorer, reader_config};
use kubetell::terms::store::Store;
use kubetell::terms::store::open::Expectation;
use kubetell::terms::store::sled::SledStore;
use kubetell::terms::takeover::Request;

use log::{GROUP, TOPIC};

#[derive(Debug, Parser)]
struct Args {
    #[arg(long, default_value_t = 1_000_000)]
    terms: u64,
    #[arg(long, default_value_t = 12)]
    partitions: u32,
    /// Threads that take over; `run` has two on two cores.
    #[arg(long, default_value_t = 2)]
    restorers: u32,
    #[arg(long, default_value = "")]
    wrap: String,
    /// Appends what is measured to this file, one line of JSON for each restore.
    #[arg(long)]
    json: Option<PathBuf>,
    /// `KEY=VALUE` of librdkafka's for the restoring process.
    #[arg(long = "property")]
    properties: Vec<String>,
    /// The restoring process: where the brokers are.
    #[arg(long)]
    restore_from: Option<String>,
    #[arg(long, default_value = "unused")]
    state: PathBuf,
    /// Given by `cargo bench`.
    #[arg(long)]
    bench: bool,
}

/// What one process did.
#[derive(Debug, Serialize, Deserialize)]
struct Restored {
    terms: i64,
    seconds: f64,
    opening_seconds: f64,
    resident_mb: u64,
    resident_at_most_mb: u64,
    disk_mb: f64,
    cpu_seconds: f64,
}

fn main() {
    let args = Args::parse();
    match &args.restore_from {
        Some(servers) => restore(servers, &args),
        None => measure(&args),
    }
}

fn measure(args: &Args) {
    let broker = kafka::broker::Broker::start(kafka::broker::Options::default());
    let value_bytes = log::fill(&broker, args.terms, args.partitions);
    let log_bytes = broker.topic_bytes(TOPIC);
    let state = tempfile::tempdir().unwrap();
    for what in ["into an empty state", "with the view of before"] {
        let restored = restoring_process(&broker, args, state.path());
        println!(
            "{what}: {} terms in {:.2} s, {:.0} terms/s; opening took {:.2} s; resident {} MB, at \
             most {} MB; {:.0} MB on disk; {:.2} s of CPU",
            restored.terms,
            restored.seconds,
            restored.terms as f64 / restored.seconds,
            restored.opening_seconds,
            restored.resident_mb,
            restored.resident_at_most_mb,
            restored.disk_mb,
            restored.cpu_seconds,
        );
        if let Some(file) = &args.json {
            let mut line = serde_json::to_value(&restored).unwrap();
            line["bench"] = "restore".into();
            line["what"] = what.into();
            line["partitions"] = args.partitions.into();
            line["restorers"] = args.restorers.into();
            line["value_bytes"] = value_bytes.into();
            line["log_bytes"] = log_bytes.into();
            line["load"] = process::load().into();
            let mut file = File::options().create(true).append(true).open(file).unwrap();
            writeln!(file, "{line}").unwrap();
        }
    }
}

/// A process of its own, and what it prints.
fn restoring_process(broker: &kafka::broker::Broker, args: &Args, state: &Path) -> Restored {
    let program = std::env::current_exe().unwrap();
    let mut words = args.wrap.split_whitespace();
    let mut command = match words.next() {
        Some(wrapper) => {
            let mut command = Command::new(wrapper);
            command.args(words).arg(program);
            command
        }
        None => Command::new(program),
    };
    command
        .args(["--restore-from", &broker.bootstrap(), "--partitions", &args.partitions.to_string()])
        .args(["--restorers", &args.restorers.to_string()])
        .args(args.properties.iter().map(|property| format!("--property={property}")))
        .arg("--state")
        .arg(state)
        .stderr(Stdio::inherit());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The restoring process: `Restorer` as `run` has it, and a state directory.
fn restore(servers: &str, args: &Args) {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let started = clock::monotonic();
    let expectation = Expectation {
        topic: TOPIC.to_owned(),
        partitions: args.partitions,
        group: GROUP.to_owned(),
    };
    let store = Arc::new(SledStore::open(&args.state, &expectation).unwrap().store);
    let opened = started.elapsed();
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", servers);
    for property in &args.properties {
        let (key, value) = property.split_once('=').unwrap();
        client.set(key, value);
    }
    let reader = reader_config(&client, GROUP);
    let epochs = Arc::new(Epochs::default());
    let shared: Arc<dyn Store> = Arc::clone(&store) as Arc<dyn Store>;
    let (request_sender, requests) = bounded(args.partitions as usize);
    let (restored_sender, restored) = bounded(args.partitions as usize);
    let restorers: Vec<_> = (0..args.restorers)
        .map(|_| {
            let restorer = Restorer::new(
                reader.clone(),
                TOPIC.into(),
                Arc::clone(&shared),
                Arc::new(AtomicBool::new(false)),
                Arc::clone(&epochs),
                Arc::new(Stats::default()),
                Faults::NONE,
            );
            let (requests, restored) = (requests.clone(), restored_sender.clone());
            std::thread::spawn(move || restorer.run(&requests, &restored))
        })
        .collect();
    let begun = clock::monotonic();
    for partition in 0..args.partitions {
        let request = Request { partition: i32::try_from(partition).unwrap(), epoch: 1 };
        epochs.set(request.partition, request.epoch);
        store.begin(request.partition, request.epoch);
        request_sender.send(request).unwrap();
    }
    let mut reached = 0;
    for _ in 0..args.partitions {
        reached += restored.recv().unwrap().unwrap().state.next - 1;
    }
    let seconds = begun.elapsed().as_secs_f64();
    drop(request_sender);
    restorers.into_iter().for_each(|restorer| restorer.join().unwrap());
    drop(shared);
    let (resident, peak) = process::memory_bytes(std::process::id()).unwrap();
    let restored = Restored {
        terms: reached,
        seconds,
        opening_seconds: opened.as_secs_f64(),
        resident_mb: resident / 1_000_000,
        resident_at_most_mb: peak / 1_000_000,
        disk_mb: process::bytes_under(&args.state) as f64 / 1e6,
        cpu_seconds: cpu_seconds(),
    };
    println!("{}", serde_json::to_string(&restored).unwrap());
    let closing = clock::monotonic();
    drop(store);
    eprintln!("closed in {:.2} s", closing.elapsed().as_secs_f64());
}

/// User and system time of this process so far.
fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
