//! The producing end of one half: sends outputs, keeps what the queue has no room for, sends again
//! what failed, and hands back the tickets of what the brokers acknowledged.
//!
//! Owns the producer and the outputs under way. Knows nothing of offsets: a ticket is the
//! caller's and comes back as it was. Correctness rests on one rule: a ticket comes back only
//! after its output was acknowledged by all in-sync replicas.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};

use crate::clock;
use crate::ingest::kafka::{ConnectionLog, HalfError};

/// How many messages may stand in librdkafka's queue; as many outputs again may wait in ours.
const QUEUE_MAX_MESSAGES: usize = 50_000;
/// Pause before an output that a broker refused is sent again.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// How often a standing refusal is logged.
const REFUSAL_LOG_EVERY: Duration = Duration::from_secs(10);

/// Where in the input an output came from; opaque to the producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// The caller's number for a topic's partition.
    pub slot: u32,
    /// The assignment under which the record was read.
    pub epoch: u64,
    pub offset: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputKind {
    Alert,
    Observation,
    Marker,
    DeadLetter,
}

impl OutputKind {
    pub fn as_str(self) -> &'static str {
        match self {
            OutputKind::Alert => "alert",
            OutputKind::Observation => "observation",
            OutputKind::Marker => "marker",
            OutputKind::DeadLetter => "dead letter",
        }
    }
}

/// One record to produce.
#[derive(Debug)]
pub struct Output {
    pub kind: OutputKind,
    pub topic: Arc<str>,
    /// `None` leaves the choice to librdkafka's partitioner (by key).
    pub partition: Option<i32>,
    pub key: Option<Vec<u8>>,
    pub payload: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// What is sent instead when a broker says that the record is too large.
    pub reduced: Option<Vec<u8>>,
    pub ticket: Ticket,
    /// Which one of the ticket's outputs this is; the caller's, as the ticket is.
    pub serial: u32,
}

impl Output {
    /// Bytes that this output keeps in memory.
    pub fn size(&self) -> usize {
        self.payload.as_ref().map_or(0, Vec::len)
            + self.reduced.as_ref().map_or(0, Vec::len)
            + self.key.as_ref().map_or(0, Vec::len)
            + self.headers.iter().map(header_size).sum::<usize>()
            + 128
    }
}

/// A dead letter carries the headers of its record, however many.
fn header_size((name, value): &(String, Option<Vec<u8>>)) -> usize {
    name.len() + value.as_ref().map_or(0, Vec::len) + 64
}

struct Delivery {
    output: Arc<Output>,
    reduced: bool,
    result: Result<(), KafkaError>,
}

struct Context {
    deliveries: Sender<Delivery>,
    log: ConnectionLog,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.log.log(level, facility, message);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        self.log.error(error, reason);
    }
}

/// What rides through librdkafka with each message.
struct Riding {
    output: Arc<Output>,
    reduced: bool,
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Riding>;

    fn delivery(&self, result: &DeliveryResult<'_>, riding: Box<Riding>) {
        let result = match result {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(error.clone()),
        };
        if result.is_ok() {
            self.log.reached();
        }
        let delivery = Delivery { output: riding.output, reduced: riding.reduced, result };
        // The channel holds as many as librdkafka's queue and its owner drains it, so this waits
        // only while the owner is busy. A gone owner needs no more acknowledgements.
        let _ = self.deliveries.send(delivery);
    }
}

/// The producer can't go on; the process has to start anew.
#[derive(Debug, thiserror::Error)]
pub enum ProducerFatal {
    #[error("the producer failed for good: {0}")]
    Client(String),
    #[error("no right to write to the topic `{topic}`")]
    NoRight { topic: String },
}

impl From<ProducerFatal> for HalfError {
    fn from(error: ProducerFatal) -> Self {
        match error {
            ProducerFatal::NoRight { topic } => HalfError::Configuration {
                message: format!("no right to write to the topic `{topic}`"),
                hint: format!(
                    "grant the principal of `kafka.properties` the operation `Write` on `{topic}`"
                ),
            },
            ProducerFatal::Client(reason) => HalfError::Producer(reason),
        }
    }
}

pub struct OutputProducer {
    producer: ThreadedProducer<Context>,
    deliveries: Receiver<Delivery>,
    /// Not in librdkafka's queue: it was full, or the broker refused.
    backlog: VecDeque<(Arc<Output>, bool)>,
    /// Outputs in the backlog or in librdkafka's hands.
    outstanding: usize,
    retry_at: Option<Instant>,
    refusal_logged: Option<Instant>,
    refused: u64,
}

impl OutputProducer {
    /// `properties` are the operator's; what correctness needs is set on top of them.
    pub fn new(properties: &ClientConfig, name: &'static str) -> Result<Self, KafkaError> {
        let (sender, deliveries) = bounded(QUEUE_MAX_MESSAGES * 2);
        let mut config = properties.clone();
        let mut default = |key: &str, value: &str| {
            if properties.get(key).is_none() {
                config.set(key, value);
            }
        };
        default("linger.ms", "5");
        default("compression.codec", "lz4");
        default("queue.buffering.max.kbytes", "131072");
        default("message.max.bytes", "67108864");
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // An output is never given up: a lost broker is waited for.
            .set("message.timeout.ms", "0")
            .set("queue.buffering.max.messages", QUEUE_MAX_MESSAGES.to_string());
        let context = Context { deliveries: sender, log: ConnectionLog::new(name) };
        let producer = config.create_with_context(context)?;
        Ok(OutputProducer {
            producer,
            deliveries,
            backlog: VecDeque::new(),
            outstanding: 0,
            retry_at: None,
            refusal_logged: None,
            refused: 0,
        })
    }

    /// Outputs whose tickets have not come back.
    pub fn outstanding(&self) -> usize {
        self.outstanding
    }

    pub fn client(&self) -> &rdkafka::client::Client<impl ClientContext> {
        self.producer.client()
    }

    pub fn send(&mut self, output: Output) -> Result<(), ProducerFatal> {
        self.outstanding += 1;
        let output = Arc::new(output);
        if self.backlog.is_empty() {
            self.enqueue(output, false)
        } else {
            self.backlog.push_back((output, false));
            Ok(())
        }
    }

    fn enqueue(&mut self, output: Arc<Output>, reduced: bool) -> Result<(), ProducerFatal> {
        let sent = Arc::clone(&output);
        let riding = Box::new(Riding { output: Arc::clone(&output), reduced });
        let mut record = BaseRecord::with_opaque_to(&sent.topic, riding);
        let payload = if reduced { sent.reduced.as_ref() } else { sent.payload.as_ref() };
        if let Some(payload) = payload {
            record = record.payload(payload.as_slice());
        }
        if let Some(key) = &sent.key {
            record = record.key(key.as_slice());
        }
        if let Some(partition) = sent.partition {
            record = record.partition(partition);
        }
        if !sent.headers.is_empty() {
            let mut headers = OwnedHeaders::new_with_capacity(sent.headers.len() + 1);
            for (key, value) in &sent.headers {
                headers = headers.insert(Header { key, value: value.as_deref() });
            }
            if reduced {
                headers = headers.insert(Header { key: "kubetell-reduced", value: Some("true") });
            }
            record = record.headers(headers);
        }
        match self.producer.send(record) {
            Ok(()) => Ok(()),
            Err((error, _)) => self.refuse(output, reduced, &error, true),
        }
    }

    /// An output that did not go out goes to the backlog, unless nothing can help it.
    fn refuse(
        &mut self,
        output: Arc<Output>,
        reduced: bool,
        error: &KafkaError,
        front: bool,
    ) -> Result<(), ProducerFatal> {
        if let Some((_, reason)) = self.producer.client().fatal_error() {
            return Err(ProducerFatal::Client(reason));
        }
        let code = error.rdkafka_error_code();
        if code == Some(RDKafkaErrorCode::TopicAuthorizationFailed) {
            return Err(ProducerFatal::NoRight { topic: output.topic.to_string() });
        }
        let too_large = code == Some(RDKafkaErrorCode::MessageSizeTooLarge);
        let reduced = reduced || (too_large && output.reduced.is_some());
        if code != Some(RDKafkaErrorCode::QueueFull) {
            self.refused += 1;
            let now = clock::monotonic();
            if self.refusal_logged.is_none_or(|at| now - at >= REFUSAL_LOG_EVERY) {
                self.refusal_logged = Some(now);
                tracing::warn!(
                    topic = &*output.topic,
                    kind = output.kind.as_str(),
                    refused = self.refused,
                    %error,
                    "an output was refused and will be sent again"
                );
            }
            self.retry_at = Some(now + RETRY_AFTER);
        }
        if front {
            self.backlog.push_front((output, reduced));
        } else {
            self.backlog.push_back((output, reduced));
        }
        Ok(())
    }

    /// Collects acknowledgements into `acknowledged` and sends what waits. Waits up to `wait` for
    /// the first acknowledgement; not at all when it is zero.
    pub fn pump(
        &mut self,
        wait: Duration,
        acknowledged: &mut Vec<Arc<Output>>,
    ) -> Result<(), ProducerFatal> {
        if !wait.is_zero()
            && let Ok(delivery) = self.deliveries.recv_timeout(wait)
        {
            self.delivered(delivery, acknowledged)?;
        }
        while let Ok(delivery) = self.deliveries.try_recv() {
            self.delivered(delivery, acknowledged)?;
        }
        self.send_backlog()
    }

    fn delivered(
        &mut self,
        delivery: Delivery,
        acknowledged: &mut Vec<Arc<Output>>,
    ) -> Result<(), ProducerFatal> {
        match delivery.result {
            Ok(()) => {
                self.outstanding -= 1;
                acknowledged.push(delivery.output);
                Ok(())
            }
            Err(error) => self.refuse(delivery.output, delivery.reduced, &error, false),
        }
    }

    fn send_backlog(&mut self) -> Result<(), ProducerFatal> {
        if self.backlog.is_empty() || self.retry_at.is_some_and(|at| clock::monotonic() < at) {
            return Ok(());
        }
        self.retry_at = None;
        // One pass over what stands here now: what is refused again goes behind it or stops it.
        for _ in 0..self.backlog.len() {
            let Some((output, reduced)) = self.backlog.pop_front() else { break };
            self.enqueue(output, reduced)?;
            if self.retry_at.is_some() || self.queue_is_full() {
                break;
            }
        }
        Ok(())
    }

    fn queue_is_full(&self) -> bool {
        usize::try_from(self.producer.in_flight_count()).unwrap_or(0) >= QUEUE_MAX_MESSAGES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_count_in_the_size_of_an_output() {
        let output = |headers| Output {
            kind: OutputKind::DeadLetter,
            topic: "dead".into(),
            partition: None,
            key: None,
            payload: None,
            headers,
            reduced: None,
            ticket: Ticket { slot: 0, epoch: 0, offset: 0 },
            serial: 0,
        };
        let header = ("name".to_owned(), Some(vec![0; 1_000]));
        let bare = output(Vec::new()).size();
        assert!(output(vec![header.clone(), header]).size() >= bare + 2_000);
    }
}
