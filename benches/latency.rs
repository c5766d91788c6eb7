//! From an audit event in the topic to its alert in the topic, at steady rates, on a real Kafka.
//!
//! `tests/bench latency [--rates 1000,10000,20000] [--seconds S] [--candidates C]` lets a producer append
//! a made-up audit log at each rate to a topic of 12 partitions, while `kubetell run` reads it. Both
//! topics have `message.timestamp.type=LogAppendTime`: the broker, which is one process, writes the
//! time at which it appended a record, in whole milliseconds by one clock. An alert names the place
//! of its source record; the time between the two appends is what is measured, for the first record of each
//! alert. It holds everything in between: the fetch, the decision, `linger.ms` of the producer, and
//! for new terms also the way through the observations topic and the write to the view.
//!
//! What arrives in the first seconds, while the group forms and caches are cold, is left out. As in
//! `pipeline` the alerts have to be exactly those of the log.
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
#[allow(dead_code)]
#[path = "support/series.rs"]
mod series;
// What the harness's tests import.
#[allow(dead_code, unused_imports)]
#[path = "../tests/it/support.rs"]
mod support;

use std::collections::HashMap;
use std::time::Duration;

use clap::Parser;
use rdkafka::Message;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use audit::{AuditLog, Expected, Plan};
use deployment::{Alert, Deployment, EXEC, PARTITIONS, Progress, SOURCE, TERMS};
use kafka::broker::{Broker, Options};
use kafka::process::Process;
use kubetell::clock;
use series::Series;

#[derive(Debug, Parser)]
struct Args {
    /// Events a second; one run each.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,20000")]
    rates: Vec<u64>,
    /// How long each run lasts, without what is left out at its beginning.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Seconds at the beginning that are left out.
    #[arg(long, default_value_t = 5)]
    warm_up: u64,
    /// How many events in 100 concern the rules.
    #[arg(long, default_value_t = 5)]
    candidates: u64,
    /// How many in 1,000 execs are sensitive, and reads of Secrets by a new client: more than in
    /// a real log, so that there are alerts enough for percentiles.
    #[arg(long, default_value_t = 250)]
    alerting: u64,
    /// `linger.ms` of the producer that writes the source.
    #[arg(long, default_value_t = 5)]
    linger: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Further settings of kubetell, `KEY=VALUE`.
    #[arg(long = "set")]
    settings: Vec<String>,
    /// Given by `cargo bench`.
    #[arg(long)]
    bench: bool,
}

/// Between two sendings of the producer.
const TICK: Duration = Duration::from_millis(1);
const CATCH_UP_MAX: Duration = Duration::from_secs(120);

fn main() {
    let args = Args::parse();
    println!(
        "| events a second | alerts | count | p50 ms | p99 ms | p99.9 ms | most ms | reached | processor | load |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let exact: Vec<bool> = args.rates.iter().map(|rate| measure(*rate, &args)).collect();
    assert!(
        exact.iter().all(|exact| *exact),
        "what was raised is not what the log holds: see above"
    );
}

/// Whether the alerts were exact.
fn measure(rate: u64, args: &Args) -> bool {
    let broker = Broker::start(Options { heap_mb: 1_024, ..Options::default() });
    deployment::create_topic(&broker, SOURCE, PARTITIONS);
    let load = process::load();
    let deployment = Deployment::new(&broker, "latency", &args.settings);
    let process = deployment.run();
    process.wait_for_stderr(kafka::DEADLINE, |line| line.contains("source partitions assigned"));
    let cpu_before = process::cpu_seconds(process.id()).unwrap();
    let begun_ms = clock::now_ms();
    let begun = clock::monotonic();
    let expected = produce(&broker, rate, args);
    let seconds = begun.elapsed().as_secs_f64();
    let cores = (process::cpu_seconds(process.id()).unwrap() - cpu_before) / seconds;
    await_committed(&broker, &deployment, &process, &expected);
    let finished = process.terminate(kafka::DEADLINE);
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);

    let alerts = deployment.raised(&broker);
    let wrong = deployment::differences(&alerts, deployment.dead_letters(&broker), &expected);
    for difference in &wrong {
        println!("NOT EXACT at {rate} events a second: {difference}");
    }
    let appended = source_times(&broker, &alerts);
    let from_ms = begun_ms + i64::try_from(args.warm_up * 1_000).unwrap();
    let reached = expected.events as f64 / seconds;
    for (name, rule) in [("execs", EXEC), ("new terms", TERMS)] {
        let mut times = Series::default();
        for alert in deployment::first_of(&alerts, rule).values() {
            let source_ms = appended[&alert.source];
            if source_ms >= from_ms {
                times.push((alert.appended_ms - source_ms) as f64);
            }
        }
        println!(
            "| {rate} | {name} | {} | {:.0} | {:.0} | {:.0} | {:.0} | {reached:.0} | {:.0} % of a core | {load:.1} |",
            times.len(),
            times.median(),
            times.at(0.99),
            times.at(0.999),
            times.at(1.0),
            cores * 100.0
        );
    }
    wrong.is_empty()
}

/// Appends at the rate, in small steps; what is to be found in the log.
fn produce(broker: &Broker, rate: u64, args: &Args) -> Expected {
    let producer: ThreadedProducer<DefaultProducerContext> = broker
        .client_config()
        .set("compression.codec", "lz4")
        .set("linger.ms", args.linger.to_string())
        .set("acks", "1")
        .create()
        .unwrap();
    let plan = Plan {
        seed: args.seed,
        sensitive: args.alerting,
        unusual: args.alerting,
        ..Plan::new(rate * (args.seconds + args.warm_up), args.candidates)
    };
    let mut log = AuditLog::new(plan);
    let begun = clock::monotonic();
    let mut left = true;
    while left {
        // In nanoseconds, so that slow rates are not rounded away.
        let due =
            u64::try_from(begun.elapsed().as_nanos() * u128::from(rate) / 1_000_000_000).unwrap();
        while left && log.expected().events < due {
            let Some(record) = log.next() else {
                left = false;
                break;
            };
            let next = BaseRecord::<(), [u8]>::to(SOURCE)
                .partition(record.partition.of(PARTITIONS))
                .payload(&record.bytes);
            if let Err((error, _)) = producer.send(next) {
                panic!("the broker does not keep up with {rate} events a second: {error}");
            }
        }
        std::thread::park_timeout(TICK);
    }
    producer.flush(kafka::DEADLINE).unwrap();
    log.into_expected()
}

fn await_committed(
    broker: &Broker,
    deployment: &Deployment,
    process: &Process,
    expected: &Expected,
) {
    let source = Progress::new(broker, &deployment.group, SOURCE, PARTITIONS);
    let observations = &deployment.observations;
    let terms = Progress::new(broker, &deployment.terms_group(), observations, PARTITIONS);
    support::eventually(CATCH_UP_MAX, "everything is committed", || {
        assert!(
            process::cpu_seconds(process.id()).is_some(),
            "kubetell ended: {}",
            process.stderr()
        );
        let ends = || broker.watermarks(&deployment.observations).unwrap();
        source.committed() == i64::try_from(expected.records).unwrap()
            && terms.committed() == ends().values().map(|(_, end)| end).sum::<i64>()
    });
}

/// When the source records of the alerts were appended.
fn source_times(broker: &Broker, alerts: &[Alert]) -> HashMap<(i32, i64), i64> {
    let mut times: HashMap<(i32, i64), i64> =
        alerts.iter().map(|alert| (alert.source, 0)).collect();
    broker.read_all(SOURCE, |message| {
        if let Some(time) = times.get_mut(&(message.partition(), message.offset())) {
            *time = message.timestamp().to_millis().unwrap();
        }
    });
    times
}
