//! The acts that a storm's audit log tells of, what is to be found in them, and the steady
//! producer that writes them.
//!
//! Half of the acts come as one event, of a client that is seen once: nothing later raises their
//! alert again when it is lost. The other half come in stages, or from clients that come back:
//! nothing of theirs may be raised twice under two ids.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kubetell::alert::id;
use kubetell::audit::event::Event;
use kubetell::clock;
use kubetell::demo::random::Random;
use kubetell::detect::identity::event_id;
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use serde_json::{Value, json};

use super::schedule::fork;
use super::sky::{Sky, Tally, Wake, add};
use super::{CLUSTER, EXEC_RULE, PARTITIONS};
use crate::kafka::DEADLINE;
use crate::support;

const TICK: Duration = Duration::from_millis(50);
const ACTS_A_TICK: usize = 4;
/// Ticks between the stages of one event.
const STAGE_TICKS: usize = 2;

/// What the acts so far are expected to raise.
#[derive(Default)]
pub struct Expected {
    pub acts: usize,
    /// Alert ids of the exec rule, with the act's audit id.
    pub execs: BTreeMap<String, String>,
    /// Terms of the new-terms rule.
    pub terms: BTreeSet<Vec<String>>,
}

pub struct Acts {
    name: String,
    random: Random,
    pub expected: Expected,
    /// Events of the ticks to come.
    coming: Vec<Vec<Value>>,
    clients: usize,
}

impl Acts {
    pub fn new(seed: u64) -> Self {
        Acts {
            name: format!("storm-{seed}"),
            random: fork(seed, 100),
            expected: Expected::default(),
            coming: vec![Vec::new(); 2 * STAGE_TICKS + 1],
            clients: 0,
        }
    }

    /// The records of the next tick.
    fn tick(&mut self) -> Vec<Vec<u8>> {
        for _ in 0..ACTS_A_TICK {
            self.act();
        }
        self.coming.push(Vec::new());
        let events = self.coming.remove(0);
        if !events.is_empty() && self.random.below(4) == 0 {
            // As a webhook sends them: one record with all of them.
            let list =
                json!({ "kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": events });
            return vec![list.to_string().into_bytes()];
        }
        events.iter().map(|event| event.to_string().into_bytes()).collect()
    }

    /// The records of the stages that are still to come.
    fn rest(&mut self) -> Vec<Vec<u8>> {
        let events = self.coming.iter_mut().flat_map(std::mem::take);
        events.map(|event| event.to_string().into_bytes()).collect()
    }

    fn act(&mut self) {
        let number = self.expected.acts;
        self.expected.acts += 1;
        let audit_id = format!("{}-{number}", self.name);
        match number % 4 {
            0 => {
                let event = self.expect_exec(&audit_id);
                self.coming[0].push(event);
            }
            1 => {
                let event = self.read(&audit_id, &format!("once-{number}"));
                self.coming[0].push(event);
            }
            2 => {
                let event = self.expect_exec(&audit_id);
                self.come_in_stages(&event);
            }
            _ => {
                let known = self.clients;
                let client = if known == 0 || self.random.below(6) == 0 {
                    self.clients += 1;
                    known
                } else {
                    self.random.below(known as u64) as usize
                };
                let event = self.read(&audit_id, &format!("regular-{client}"));
                if number % 8 == 3 {
                    self.coming[0].push(event);
                } else {
                    self.come_in_stages(&event);
                }
            }
        }
        if number.is_multiple_of(8) {
            self.coming[0].push(serde_json::from_slice(&support::quiet_event()).unwrap());
        }
    }

    /// An exec that is expected to raise an alert.
    fn expect_exec(&mut self, audit_id: &str) -> Value {
        let json = support::exec_event(audit_id);
        let event: Event<'_> = serde_json::from_slice(&json).unwrap();
        let id = id::for_event(CLUSTER, EXEC_RULE, &event_id(&event, None));
        self.expected.execs.insert(id, audit_id.to_owned());
        serde_json::from_slice(&json).unwrap()
    }

    /// A read of a secret.
    fn read(&mut self, audit_id: &str, user: &str) -> Value {
        let event: Value = serde_json::from_slice(&support::secret_event(audit_id, user)).unwrap();
        let terms = [&event["sourceIPs"][0], &event["user"]["username"], &event["userAgent"]]
            .map(|term| term.as_str().unwrap().to_owned());
        self.expected.terms.insert(terms.into());
        event
    }

    fn come_in_stages(&mut self, complete: &Value) {
        let mut received = complete.clone();
        received["stage"] = "RequestReceived".into();
        received.as_object_mut().unwrap().remove("responseStatus");
        let mut started = complete.clone();
        started["stage"] = "ResponseStarted".into();
        for (at, event) in [received, started, complete.clone()].into_iter().enumerate() {
            self.coming[at * STAGE_TICKS].push(event);
        }
    }
}

/// What the producer did.
pub struct Produced {
    pub expected: Expected,
    /// All records, a line each.
    pub file: PathBuf,
}

/// Writes acts until the storm is over, and waits until all are acknowledged.
pub fn produce(sky: &Sky, config: ClientConfig, topic: &str, seed: u64, file: PathBuf) -> Produced {
    let _guard = sky.ends_with_this_thread();
    let mut lines = Lines(std::io::BufWriter::new(std::fs::File::create(&file).unwrap()));
    let mut config = config;
    config
        .set("acks", "all")
        .set("enable.idempotence", "true")
        // With more, a batch that was lost with its leader may be taken for written.
        .set("max.in.flight.requests.per.connection", "1")
        .set("linger.ms", "5")
        // A lost broker is waited for.
        .set("message.timeout.ms", "0");
    let context = Acknowledgements::default();
    let producer: ThreadedProducer<Acknowledgements> =
        config.create_with_context(context.clone()).unwrap();
    let mut partitions = fork(seed, 101);
    let mut send = |record: Vec<u8>| {
        let partition = partitions.below(PARTITIONS as u64);
        lines.write(&record);
        add(&sky.tally.records);
        loop {
            let base: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic)
                .payload(record.as_slice())
                .partition(i32::try_from(partition).unwrap());
            match producer.send(base) {
                Ok(()) => return,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    sky.pause_for(TICK);
                }
                Err((error, _)) => panic!("the source takes no record: {error}"),
            }
        }
    };
    let mut acts = Acts::new(seed);
    let mut next = clock::monotonic();
    while sky.pause(next, None) != Wake::Over {
        next += TICK;
        acts.tick().into_iter().for_each(&mut send);
        context.count(&sky.tally);
    }
    acts.rest().into_iter().for_each(&mut send);
    producer.flush(DEADLINE).expect("every source record is acknowledged");
    context.count(&sky.tally);
    drop(lines);
    Produced { expected: acts.expected, file }
}

struct Lines(std::io::BufWriter<std::fs::File>);

impl Lines {
    fn write(&mut self, record: &[u8]) {
        use std::io::Write;
        assert!(!record.contains(&b'\n'));
        self.0.write_all(record).unwrap();
        self.0.write_all(b"\n").unwrap();
    }
}

#[derive(Clone, Default)]
struct Acknowledgements(Arc<std::sync::atomic::AtomicU64>);

impl Acknowledgements {
    fn count(&self, tally: &Tally) {
        tally.records_acknowledged.store(self.0.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

impl ClientContext for Acknowledgements {}

impl ProducerContext for Acknowledgements {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            // The count stays behind what was produced, which the report shows.
            eprintln!("a source record was not taken: {error}");
            return;
        }
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
