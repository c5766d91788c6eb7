//! `run` under load while brokers are away or take nothing, and while it is asked to stop: memory
//! stays bounded, it goes on by itself, and a graceful stop leaves nothing to replay.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::Value;

use crate::kafka::DEADLINE;
use crate::kafka::broker::{self, Broker, Options};
use crate::kafka::process::Process;
use crate::pipeline::{PATIENT, Stream, assert_offsets_at_the_end, produce};
use crate::support;

/// Resident memory that no instance of these tests may exceed, in KiB: far below what would be
/// read if nothing bounded it, far above what it takes.
const RESIDENT_MAX_KIB: u64 = 200 * 1024;

/// Acts among routine, in an order that spreads them over the partitions; each is one event of its
/// own client, so that nothing later raises a lost alert again. `from` is the first one's number.
fn load(from: usize, records: usize, acts: usize) -> Vec<Vec<u8>> {
    let quiet = support::quiet_event();
    let every = records / acts;
    (from..from + records)
        .map(|number| match (number % every, number / every) {
            (0, act) if act % 2 == 0 => support::exec_event(&format!("act-{act}")),
            (0, act) => support::secret_event(&format!("act-{act}"), &format!("client-{act}")),
            _ => quiet.clone(),
        })
        .collect()
}

/// Acts alone, of about 12 KB each.
fn heavy_load(acts: usize) -> Vec<Vec<u8>> {
    let heavier = |event: Vec<u8>| {
        let mut event: Value = serde_json::from_slice(&event).unwrap();
        event["annotations"] = serde_json::json!({ "note": "x".repeat(11_000) });
        event.to_string().into_bytes()
    };
    load(0, acts, acts).into_iter().map(heavier).collect()
}

/// How often each act was raised, by its audit id.
fn raised(kafka: &Broker, stream: &Stream) -> BTreeMap<String, usize> {
    let mut raised = BTreeMap::new();
    for record in kafka.consume_all(&stream.alerts()) {
        let alert: Value = serde_json::from_slice(record.value.as_deref().unwrap()).unwrap();
        let id = alert["kubernetes"]["audit"]["auditID"].as_str().unwrap().to_owned();
        *raised.entry(id).or_default() += 1;
    }
    raised
}

fn resident_peak_kib(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Waits until nothing was acknowledged for so long, by what the process says of it.
fn wait_until_quiet_for(run: &Process, seconds: u64) {
    run.wait_for_stderr(DEADLINE, |line| {
        line.contains("no output was acknowledged")
            && serde_json::from_str::<Value>(line).unwrap()["seconds"].as_u64() >= Some(seconds)
    });
}

fn start(stream: &Stream, instance: &str) -> Process {
    let mut command = stream.command(instance, &[]);
    command.env("KUBETELL_LOG", "kubetell=debug");
    Process::spawn(command)
}

/// The last thing that was said of backpressure.
fn backpressure(run: &Process) -> Option<Value> {
    let stderr = run.stderr();
    let last = stderr.lines().rev().find(|line| line.contains("backpressure"))?;
    Some(serde_json::from_str(last).unwrap())
}

/// Waits until the last thing that was said of backpressure is that reading pauses.
fn wait_until_paused(run: &Process) {
    support::eventually(DEADLINE, "reading pauses at the bound", || {
        backpressure(run).is_some_and(|line| {
            line["pause"] == true && line["in_flight_bytes"].as_u64() >= Some(1 << 20)
        })
    });
}

/// Lets the brokers stand still at a moment at which reading pauses, and goes on to: what has come
/// from them by then may let it go on, and nothing to read comes after it.
fn freeze_while_paused(kafka: &Broker, run: &Process) {
    let mut looks = 0;
    support::eventually(DEADLINE, "the brokers stand still while reading pauses", || {
        if backpressure(run).is_some_and(|line| line["pause"] == true) {
            kafka.freeze();
            looks += 1;
        } else {
            kafka.thaw();
            looks = 0;
        }
        looks > 5
    });
}

/// Waits until reading pauses and nothing is said of it for some seconds: it is not a pause for the
/// workers to catch up.
fn wait_until_paused_for_good(run: &Process) {
    let (mut last, mut times) = (None, 0);
    support::eventually(DEADLINE, "reading pauses at the bound, and goes on to", || {
        let line = backpressure(run);
        times = if line == last { times + 1 } else { 0 };
        last = line;
        times >= 15 && last.as_ref().is_some_and(|line| line["pause"] == true)
    });
}

const ACTS: usize = 8_000;

#[test]
fn brokers_away_under_load_pause_reading_and_lose_nothing() {
    let mut kafka = Broker::start(Options::default());
    let mut stream = Stream::new(&kafka, "outage");
    stream.extra = vec!["detect.max_in_flight_bytes=1MiB".to_owned()];
    produce(&kafka, &stream.source(), &heavy_load(ACTS));
    let run = start(&stream, "one");
    run.wait_for_stderr(DEADLINE, |line| line.contains("backpressure"));
    freeze_while_paused(&kafka, &run);
    wait_until_quiet_for(&run, 20);
    wait_until_paused(&run);
    // Those whose time stood still may have answered; those that are gone have not.
    kafka.kill();
    wait_until_quiet_for(&run, 40);
    let peak = resident_peak_kib(&run);
    kafka.restart();
    stream.wait_until_read(&kafka);
    let finished = run.terminate(DEADLINE);
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    assert!(finished.stderr.contains("reached again"), "{}", finished.stderr);
    assert!(peak < RESIDENT_MAX_KIB, "{peak} KiB");
    assert_eq!(raised(&kafka, &stream).len(), ACTS);
    assert_offsets_at_the_end(&kafka, &stream);
}

#[test]
fn outputs_that_are_refused_pause_reading_and_lose_nothing() {
    let kafka = broker::shared();
    let mut stream = Stream::new(kafka, "refusing");
    stream.extra = vec!["detect.max_in_flight_bytes=1MiB".to_owned()];
    // Every record comes too late for it, but one that reaches it within its own millisecond.
    kafka.create_topic(&stream.alerts(), 6, &[("message.timestamp.before.max.ms", "0")]);
    produce(kafka, &stream.source(), &heavy_load(ACTS));
    let run = start(&stream, "one");
    run.wait_for_stderr(DEADLINE, |line| line.contains("an output was refused"));
    wait_until_paused(&run);
    let peak = resident_peak_kib(&run);
    kafka.alter_topic(&stream.alerts(), "message.timestamp.before.max.ms", "3600000");
    stream.wait_until_read(kafka);
    let finished = run.terminate(DEADLINE);
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    assert!(peak < RESIDENT_MAX_KIB, "{peak} KiB");
    assert_eq!(raised(kafka, &stream).len(), ACTS);
    assert_offsets_at_the_end(kafka, &stream);
}

/// Such records have no output of their own whose bytes could be counted.
#[test]
fn records_that_only_wait_for_another_ones_alert_pause_reading_too() {
    let kafka = broker::shared();
    let mut stream = Stream::new(kafka, "repeats");
    stream.extra = vec!["detect.max_in_flight_bytes=1MiB".to_owned(), PATIENT.to_owned()];
    let run = start(&stream, "one");
    run.wait_for_stderr(DEADLINE, |line| line.contains("source partitions assigned"));
    // A topic that is gone takes nothing, and somebody may make it anew.
    kafka.delete_topic(&stream.alerts());
    produce(kafka, &stream.source(), &vec![support::exec_event("act"); 30_000]);
    run.wait_for_stderr(DEADLINE, |line| line.contains("an output was refused"));
    wait_until_paused_for_good(&run);
    kafka.create_topic(&stream.alerts(), 6, &[]);
    stream.wait_until_read(kafka);
    let finished = run.terminate(DEADLINE);
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    assert_eq!(raised(kafka, &stream), BTreeMap::from([("act".to_owned(), 1)]));
    assert_offsets_at_the_end(kafka, &stream);
}

/// Ends the producing thread also when the test fails.
struct StopAtEnd<'s>(&'s AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Records of a partition that stand in the log, of all partitions.
fn records_in(kafka: &Broker, topic: &str) -> i64 {
    let consumer: BaseConsumer = kafka.client_config().create().unwrap();
    let Ok(metadata) = consumer.fetch_metadata(Some(topic), DEADLINE) else { return 0 };
    let partitions = metadata.topics()[0].partitions().iter();
    partitions
        .map(|partition| {
            let bounds = consumer.fetch_watermarks(topic, partition.id(), DEADLINE);
            bounds.map_or(0, |(low, high)| high - low)
        })
        .sum()
}

#[test]
fn a_stop_under_load_leaves_nothing_to_replay() {
    let kafka = broker::shared();
    let mut stream = Stream::new(kafka, "stop-load");
    // A stop has seconds to drain what is under way, on a slow machine too; a session that is lost
    // would let records be read again.
    stream.extra =
        ["detect.workers=1", "detect.max_in_flight_bytes=1MiB", PATIENT].map(str::to_owned).into();
    let (source, stopping) = (stream.source(), AtomicBool::new(false));
    let first = 50_000;
    produce(kafka, &source, &load(0, first, first / 10));
    let begun = |instance: &str| {
        let run = stream.run(instance, &[]);
        run.wait_for_stderr(DEADLINE, |line| line.contains("source partitions assigned"));
        run
    };
    let produced = std::thread::scope(|scope| {
        let _stop = StopAtEnd(&stopping);
        // More comes for as long as somebody reads.
        let producer = scope.spawn(|| {
            let mut produced = first;
            while !stopping.load(Ordering::Relaxed) {
                produce(kafka, &source, &load(produced, 2_000, 200));
                produced += 2_000;
            }
            produced
        });
        let (one, two) = (begun("one"), begun("two"));
        support::eventually(DEADLINE, "both are at work", || {
            records_in(kafka, &stream.alerts()) > 500
        });
        for instance in [one, two] {
            let finished = instance.terminate(DEADLINE);
            assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
            assert!(finished.stderr.contains("what was read is drained"), "{}", finished.stderr);
        }
        stopping.store(true, Ordering::Relaxed);
        producer.join().unwrap()
    });
    assert_ne!(stream.lag(kafka), 0, "the stop came in the middle");
    let last = stream.run("one", &[]);
    stream.wait_until_read(kafka);
    assert_eq!(last.terminate(DEADLINE).code(), Some(0));

    let raised = raised(kafka, &stream);
    assert_eq!(raised.len(), produced / 10);
    let repeated: Vec<_> = raised.iter().filter(|(_, times)| **times > 1).collect();
    assert!(repeated.is_empty(), "{repeated:?}");
    assert_offsets_at_the_end(kafka, &stream);
}
