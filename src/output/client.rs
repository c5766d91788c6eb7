//! librdkafka's producers as this program uses them: how they are configured, and the way back of
//! what they were given.
//!
//! Knows nothing of what a refusal means.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::Sender;
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaErrorCode;

use crate::ingest::kafka::ConnectionLog;
use crate::output::forms::{Body, Form};
use crate::output::producer::Output;
use crate::stats::client::ClientFigures;

/// Where an output is on its way through its forms.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub output: Arc<Output>,
    pub form: Form,
    /// It has to stand alone in its batch.
    pub alone: bool,
    /// Bytes of the form that was sent.
    pub size: usize,
    /// How often it was refused and is sent again.
    pub refusals: u32,
    /// When it was handed over first.
    pub handed: Instant,
}

pub struct Delivery {
    pub attempt: Attempt,
    pub result: Result<(), KafkaError>,
}

pub struct Context {
    deliveries: Sender<Delivery>,
    log: ConnectionLog,
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;
    fn generate_oauth_token(&self, settings: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.log.generate_oauth_token(settings)
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.log.log(level, facility, message);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        self.log.error(error, reason);
    }
    fn stats(&self, statistics: Statistics) {
        self.log.stats(statistics);
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Attempt>;

    fn delivery(&self, result: &DeliveryResult<'_>, attempt: Box<Attempt>) {
        let result = match result {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(error.clone()),
        };
        if result.is_ok() {
            self.log.reached();
        }
        // Waits for room while the owner is busy; it takes what is there whenever it polls. A gone owner
        // needs no more acknowledgements.
        let _ = self.deliveries.send(Delivery { attempt: *attempt, result });
    }
}

pub struct Client(ThreadedProducer<Context>);

impl Client {
    /// Sends batches. `properties` are the operator's; what correctness needs is set on top.
    ///
    /// Not idempotent, on purpose: with several batches under way, librdkafka's idempotent producer
    /// takes a batch for written when the next one of its partition was accepted, and a leader that
    /// has just taken over and knows nothing of the producer accepts any. A batch that was lost
    /// with the old leader is then acknowledged. The ids of what is sent make repetitions harmless,
    /// and [`super::producer`] keeps the order where one is needed.
    pub fn batching(
        properties: &ClientConfig,
        name: &'static str,
        deliveries: Sender<Delivery>,
        queue_max_messages: usize,
        figures: Arc<ClientFigures>,
    ) -> Result<Client, KafkaError> {
        let mut config = properties.clone();
        defaults(&mut config, properties);
        config.set("queue.buffering.max.messages", queue_max_messages.to_string());
        Client::new(config, ConnectionLog::telling(name, figures), deliveries)
    }

    /// Sends every record in a batch of its own, since a topic's limit is one for batches.
    pub fn lone(
        properties: &ClientConfig,
        name: &'static str,
        deliveries: Sender<Delivery>,
        queue_max_messages: usize,
    ) -> Result<Client, KafkaError> {
        let mut config = properties.clone();
        defaults(&mut config, properties);
        config
            .set("batch.num.messages", "1")
            .set("linger.ms", "0")
            .set("queue.buffering.max.messages", queue_max_messages.to_string())
            .remove("statistics.interval.ms");
        Client::new(config, ConnectionLog::new(name), deliveries)
    }

    fn new(
        mut config: ClientConfig,
        log: ConnectionLog,
        deliveries: Sender<Delivery>,
    ) -> Result<Client, KafkaError> {
        // An output is never given up: a lost broker is waited for.
        config.set("acks", "all").set("enable.idempotence", "false").set("message.timeout.ms", "0");
        let context = Context { deliveries, log };
        config.create_with_context(context).map(Client)
    }

    pub fn client(&self) -> &rdkafka::client::Client<Context> {
        self.0.client()
    }

    /// Why the client can't be used any more, once it can't.
    pub fn fatal_error(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.0.client().fatal_error()
    }

    /// Records that it holds.
    pub fn in_flight(&self) -> usize {
        usize::try_from(self.0.in_flight_count()).unwrap_or(0)
    }

    /// Hands a record to librdkafka, or back.
    pub fn send(
        &self,
        body: &Body<'_>,
        attempt: Attempt,
    ) -> Result<(), (KafkaError, Box<Attempt>)> {
        let mut record: BaseRecord<'_, [u8], [u8], Box<Attempt>> =
            BaseRecord::with_opaque_to(body.topic, Box::new(attempt));
        if let Some(payload) = &body.payload {
            record = record.payload(payload);
        }
        if let Some(key) = body.key {
            record = record.key(key);
        }
        if let Some(partition) = body.partition {
            record = record.partition(partition);
        }
        if !body.headers.is_empty() || body.cut {
            let mut headers = OwnedHeaders::new_with_capacity(body.headers.len() + 1);
            for (key, value) in body.headers.iter() {
                headers = headers.insert(Header { key, value: value.as_deref() });
            }
            if body.cut {
                headers = headers.insert(Header { key: "kubetell-reduced", value: Some("true") });
            }
            record = record.headers(headers);
        }
        self.0.send(record).map_err(|(error, record)| (error, record.delivery_opaque))
    }
}

fn defaults(config: &mut ClientConfig, properties: &ClientConfig) {
    for (key, value) in [
        // Of the way to an alert each producer on it is waited for once. What a backlog brings fills
        // batches within a millisecond too.
        ("linger.ms", "1"),
        ("compression.codec", "lz4"),
        ("queue.buffering.max.kbytes", "131072"),
        ("message.max.bytes", "67108864"),
    ] {
        if properties.get(key).is_none() {
            config.set(key, value);
        }
    }
}
