//! What a running instance keeps in memory: it takes over a million terms, and then a steady
//! stream of events flows for as long as one likes.
//!
//! `KUBETELL_KAFKA_LIBS=… cargo bench --bench memory -- [--seconds S] [--terms N] [--rate R]
//! [--out FOLDER]` writes `memory.csv` and `memory.svg` into `docs/measurements`. Of the events 7 in
//! 10 concern no rule, 1 in 50 is a sensitive exec, 1 in 100 a read of a secret by a new client, and
//! the others are reads by the clients that are known.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

#[path = "support/curves.rs"]
mod curves;
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

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use curves::{Axis, Curve};
use kafka::broker::{Broker, Options};
use kafka::process::{Process, kubetell};
use kubetell::clock;

const SOURCE: &str = "kubernetes-audit";
const PARTITIONS: u32 = 12;
const TICKS_A_SECOND: u64 = 20;

#[derive(Debug, Parser)]
struct Args {
    #[arg(long, default_value_t = 900)]
    seconds: u64,
    #[arg(long, default_value_t = 1_000_000)]
    terms: u64,
    /// Events a second.
    #[arg(long, default_value_t = 2_000)]
    rate: u64,
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/measurements"))]
    out: PathBuf,
    /// Further settings of the instance, `KEY=VALUE`.
    #[arg(long = "set")]
    settings: Vec<String>,
    /// Given by `cargo bench`.
    #[arg(long)]
    bench: bool,
}

fn main() {
    let args = Args::parse();
    let broker = Broker::start(Options::default());
    log::fill(&broker, args.terms, PARTITIONS);
    broker.create_topic(SOURCE, i32::try_from(PARTITIONS).unwrap(), &[]);
    let state = tempfile::tempdir().unwrap();
    let mut settings = vec![
        format!("kafka.bootstrap_servers={}", broker.bootstrap()),
        format!("source.topics=[\"{SOURCE}\"]"),
        format!("cluster={}", log::CLUSTER),
        format!("observations.topic={}", log::TOPIC),
        "observations.replication_factor=1".to_owned(),
        format!("state.directory={}", state.path().display()),
    ];
    settings.extend(args.settings.iter().cloned());
    let mut arguments = vec!["run"];
    for setting in &settings {
        arguments.extend(["--set", setting]);
    }
    let instance = Process::spawn(kubetell(&arguments));
    let begun = clock::monotonic();
    let producer: BaseProducer =
        broker.client_config().set("compression.codec", "lz4").create().unwrap();

    let (mut at, mut resident_mb, mut produced) = (Vec::new(), Vec::new(), Vec::new());
    let mut peak = 0;
    let mut sent = 0;
    let mut next_sample = Duration::ZERO;
    while begun.elapsed().as_secs() < args.seconds {
        let due = begun.elapsed().as_millis() as u64 * args.rate / 1_000;
        while sent < due {
            send(&producer, sent, args.terms);
            sent += 1;
        }
        producer.poll(Duration::from_millis(1_000 / TICKS_A_SECOND));
        if begun.elapsed() >= next_sample {
            next_sample += Duration::from_millis(args.seconds * 1_000 / 300);
            let Some((resident, most)) = process::memory_bytes(instance.id()) else { break };
            peak = most;
            at.push(begun.elapsed().as_secs_f64());
            resident_mb.push(resident as f64 / 1e6);
            produced.push(sent);
        }
    }
    producer.flush(kafka::DEADLINE).unwrap();
    let stopping = clock::monotonic();
    let finished = instance.terminate(kafka::DEADLINE);
    let stopped = stopping.elapsed().as_secs_f64();
    println!(
        "{} terms and {sent} events in {} s: at most {} MB resident; {:.0} MB of state on disk; \
         stopped in {stopped:.1} s with {:?}",
        args.terms,
        args.seconds,
        peak / 1_000_000,
        process::bytes_under(state.path()) as f64 / 1e6,
        finished.code()
    );
    let flow = finished.stderr.lines().rfind(|line| line.contains("flow so far"));
    eprintln!("{}", flow.unwrap_or(&finished.stderr));
    let axis = Axis { unit: "seconds", at };
    let curves = [Curve { name: "resident", colour: "#1d4ed8", mb: resident_mb }];
    std::fs::create_dir_all(&args.out).unwrap();
    let more = [("events", produced)];
    std::fs::write(args.out.join("memory.csv"), curves::csv(&axis, &curves, &more)).unwrap();
    std::fs::write(args.out.join("memory.svg"), curves::svg(&axis, &curves)).unwrap();
}

fn send(producer: &BaseProducer, number: u64, terms: u64) {
    let time = clock::now().to_string();
    let id = log::audit_id(number + (1 << 40));
    let value = match number % 100 {
        0..70 => {
            let text = log::event_text(number % terms.max(1), &id, &time);
            text.replace("\"secrets\"", "\"pods\"").replace("/secrets/", "/pods/")
        }
        70..72 => {
            let text = log::event_text(number % terms.max(1), &id, &time);
            text.replace("\"secrets\"", "\"pods\",\"subresource\":\"exec\"")
                .replace("/secrets/", "/pods/")
                .replace("\"requestURI\":\"", "\"requestURI\":\"/api/v1/namespaces/n/pods/p/exec?command=cat&command=%2Fetc%2Fshadow&from=")
        }
        72 => log::event_text(terms + number, &id, &time),
        _ => log::event_text(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % terms.max(1), &id, &time),
    };
    let partition = i32::try_from(number % u64::from(PARTITIONS)).unwrap();
    let record = BaseRecord::<(), [u8]>::to(SOURCE).partition(partition).payload(value.as_bytes());
    // A queue that is full stands for a broker that can't keep up: the event is then not sent.
    if producer.send(record).is_err() {
        producer.poll(Duration::from_millis(100));
    }
}
