//! How long a fresh instance needs to take the whole observations topic over, and what it takes.
//!
//! Starts a real Kafka, fills an observations topic with distinct terms, commits the group's
//! offsets at its end, and lets a process of its own (whose memory is then its own, too) restore
//! all partitions into an empty state directory, and once more with the view that is there then.
//!
//! `KUBETELL_KAFKA_LIBS=… cargo bench --bench restore -- [--terms N] [--partitions N] [--wrap CMD]`;
//! `tests/run --help` says where the jars come from. `--wrap` is put before the restoring process,
//! e.g. `--wrap 'perf record -g -o /tmp/perf.data'`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

// Without a test harness its tests are left out, but not what they import.
#[allow(unused_imports)]
#[path = "../tests/it/kafka/mod.rs"]
mod kafka;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::Parser;
use crossbeam_channel::bounded;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use kubetell::audit::event::Event;
use kubetell::clock;
use kubetell::detect::matcher::{Context, Detection, Matcher};
use kubetell::faults::Faults;
use kubetell::ingest::kafka::group_config;
use kubetell::limits;
use kubetell::position::Position;
use kubetell::rules::compile::RuleSet;
use kubetell::stats::Stats;
use kubetell::terms::observation::Observation;
use kubetell::terms::record::{self, HASH_VERSION, Marker};
use kubetell::terms::restore::{Epochs, Restorer};
use kubetell::terms::store::Store;
use kubetell::terms::store::open::Expectation;
use kubetell::terms::store::sled::SledStore;
use kubetell::terms::takeover::Request;

const TOPIC: &str = "kubetell.observations";
const GROUP: &str = "kubetell-terms";
const LOG_ID: &str = "00000000-0000-4000-8000-0000000000aa";
/// Terms of one user: clients and addresses that differ.
const TERMS_A_USER: u64 = 10;

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
    /// The restoring process: where the brokers are.
    #[arg(long)]
    restore_from: Option<String>,
    #[arg(long, default_value = "")]
    state: PathBuf,
    /// Given by `cargo bench`.
    #[arg(long)]
    bench: bool,
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
    let retention_ms = limits::observation_retention_ms(7 * limits::DAY_MS).to_string();
    broker.create_topic(
        TOPIC,
        i32::try_from(args.partitions).unwrap(),
        &[
            ("cleanup.policy", "compact,delete"),
            ("message.timestamp.type", "LogAppendTime"),
            ("min.compaction.lag.ms", &limits::COMPACTION_LAG_MS.to_string()),
            ("retention.ms", &retention_ms),
            ("compression.type", "producer"),
        ],
    );
    let started = clock::monotonic();
    let (bytes, ends) = fill(&broker, args);
    eprintln!(
        "{} terms, {} bytes a record, produced in {:.1} s",
        args.terms,
        bytes / args.terms.max(1),
        started.elapsed().as_secs_f64()
    );
    commit(&broker, &ends);
    let state = tempfile::tempdir().unwrap();
    for what in ["into an empty state", "with the view of before"] {
        println!("{what}: {}", restoring_process(&broker, args, state.path()));
    }
}

/// A process of its own, and what it prints.
fn restoring_process(broker: &kafka::broker::Broker, args: &Args, state: &Path) -> String {
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
        .arg("--state")
        .arg(state)
        .stderr(Stdio::inherit());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// What the cluster of the example looks like to the rule on secrets.
fn observation(matcher: &Matcher, number: u64) -> Observation {
    let (user, client) = (number / TERMS_A_USER, number % TERMS_A_USER);
    let json = serde_json::json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
        "auditID": format!("{number:08x}-7a10-4c3e-9f4e-{:012x}", number.wrapping_mul(0x9e37_79b9_7f4a) & 0xffff_ffff_ffff),
        "stage": "ResponseComplete",
        "requestURI": format!("/api/v1/namespaces/team-{}/secrets/credentials-{}", user % 211, client),
        "verb": "get",
        "user": {
            "username": format!("system:serviceaccount:team-{}:worker-{user}", user % 211),
            "uid": format!("{user:08x}-1c2d-4e3f-8a9b-0123456789ab"),
            "groups": ["system:serviceaccounts", format!("system:serviceaccounts:team-{}", user % 211), "system:authenticated"],
            "extra": {
                "authentication.kubernetes.io/credential-id": [format!("JTI={number:08x}-5555-4444-8888-0123456789ab")],
                "authentication.kubernetes.io/node-name": [format!("node-{}", user % 97)],
                "authentication.kubernetes.io/pod-name": [format!("worker-{user}-{client}")],
                "authentication.kubernetes.io/pod-uid": [format!("{number:08x}-aaaa-4bbb-8ccc-0123456789ab")],
            },
        },
        "sourceIPs": [format!("10.{}.{}.{}", user / 250 % 250, user % 250, client)],
        "userAgent": format!("worker/v1.{client}.0 (linux/amd64) kubernetes/{:07x}", user % 1_000),
        "objectRef": {"resource": "secrets", "namespace": format!("team-{}", user % 211), "name": format!("credentials-{client}"), "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 200},
        "requestReceivedTimestamp": "2026-02-03T04:05:01.000001Z",
        "stageTimestamp": "2026-02-03T04:05:01.004002Z",
        "annotations": {
            "authorization.k8s.io/decision": "allow",
            "authorization.k8s.io/reason": "RBAC: allowed by RoleBinding \"secret-reader/team\" of Role \"secret-reader\" to ServiceAccount",
        },
    });
    let text = json.to_string();
    let event: Event<'_> = serde_json::from_str(&text).unwrap();
    let mut found = Vec::new();
    let position = Position::Kafka {
        topic: "kubernetes-audit".to_owned(),
        partition: i32::try_from(number % 24).unwrap(),
        offset: i64::try_from(number).unwrap(),
        item: 0,
    };
    let context =
        Context { cluster: "prod-eu-1", position, wrapper_id: None, wrapper_time_ms: None };
    matcher.examine(event, context, &mut found);
    let [Detection::Observation(observation)] = &found[..] else { panic!("{found:?}") };
    observation.as_ref().clone()
}

/// Writes markers and observations as the two halves do; bytes of the values, and the log's ends.
fn fill(broker: &kafka::broker::Broker, args: &Args) -> (u64, Vec<i64>) {
    let matcher = Matcher::new(Arc::new(RuleSet::builtin().unwrap()), 7 * limits::DAY_MS);
    let producer: BaseProducer = broker
        .client_config()
        .set("compression.codec", "lz4")
        .set("linger.ms", "5")
        .set("acks", "all")
        .set("queue.buffering.max.kbytes", "65536")
        .create()
        .unwrap();
    let mut ends = vec![0; args.partitions as usize];
    let mut send = |partition: u32, key: &[u8], value: &[u8]| {
        let partition_number = i32::try_from(partition).unwrap();
        let mut next = BaseRecord::to(TOPIC).partition(partition_number).key(key).payload(value);
        loop {
            match producer.send(next) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    producer.poll(Duration::from_millis(20));
                    next = back;
                }
                Err((error, _)) => panic!("{error}"),
            }
        }
        producer.poll(Duration::ZERO);
        ends[partition as usize] += 1;
    };
    let version = observation(&matcher, 0).terms_version;
    let marker = Marker {
        log_id: LOG_ID.to_owned(),
        partitions: args.partitions,
        hash_version: HASH_VERSION,
        learning_starts: [(version, clock::now_ms())].into(),
    };
    for partition in 0..args.partitions {
        send(partition, record::marker_key(), &record::marker_value(&marker).unwrap());
    }
    let mut bytes = 0;
    for number in 0..args.terms {
        let observation = observation(&matcher, number);
        let value = record::value(&observation).unwrap();
        bytes += value.len() as u64;
        let partition = record::partition_for(&observation.shard_key, args.partitions);
        send(partition, &record::key(&observation), &value);
    }
    producer.flush(kafka::DEADLINE).unwrap();
    (bytes, ends)
}

fn commit(broker: &kafka::broker::Broker, ends: &[i64]) {
    let consumer: BaseConsumer = broker.client_config().set("group.id", GROUP).create().unwrap();
    let mut offsets = TopicPartitionList::new();
    for (partition, end) in ends.iter().enumerate() {
        let partition = i32::try_from(partition).unwrap();
        offsets.add_partition(TOPIC, partition);
        let mut element = offsets.find_partition(TOPIC, partition).unwrap();
        element.set_offset(Offset::Offset(*end)).unwrap();
        element.set_metadata(LOG_ID);
    }
    consumer.commit(&offsets, CommitMode::Sync).unwrap();
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
    let mut reader = group_config(&client, GROUP, "error");
    reader.set("enable.partition.eof", "true");
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
        reached += restored.recv().unwrap().state.next - 1;
    }
    let seconds = begun.elapsed().as_secs_f64();
    drop(request_sender);
    restorers.into_iter().for_each(|restorer| restorer.join().unwrap());
    drop(shared);
    let (resident, peak) = memory_mb();
    let disk_mb = store.disk_bytes().unwrap() / 1_000_000;
    println!(
        "{reached} terms in {seconds:.2} s, {:.0} terms/s; opening took {:.2} s; \
         resident {resident} MB, at most {peak} MB; {disk_mb} MB on disk; {:.2} s of CPU",
        reached as f64 / seconds,
        opened.as_secs_f64(),
        cpu_seconds(),
    );
    let closing = clock::monotonic();
    drop(store);
    eprintln!("closed in {:.2} s", closing.elapsed().as_secs_f64());
}

/// `VmRSS` and `VmHWM` of this process, in millions of bytes.
fn memory_mb() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1_024 / 1_000_000
    };
    (field("VmRSS:"), field("VmHWM:"))
}

/// User and system time of this process so far.
fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
