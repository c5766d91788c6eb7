//! Writing to the observations log and waiting for the acknowledgements.
//!
//! Owns the producer and the bound on what is under way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;

use super::StateError;
use crate::app::run;
use crate::app::stall::STALL_MAX;
use crate::clock;
use crate::config::Config;
use crate::ingest::kafka::HalfError;
use crate::output::producer::{
    Acknowledged, Output, OutputKind, OutputProducer, ProducerFatal, Ticket,
};
use crate::stats::Half;

/// Bytes sent and not acknowledged.
const UNDER_WAY_MAX_BYTES: usize = 32 * 1024 * 1024;
const WAIT: Duration = Duration::from_millis(50);

pub struct LogWriter {
    topic: Arc<str>,
    producer: OutputProducer,
    under_way_bytes: usize,
    acknowledged: Vec<Acknowledged>,
    /// When something was acknowledged, or nothing was under way.
    moved: Instant,
}

/// A record for the log.
pub struct Entry {
    pub kind: OutputKind,
    pub partition: u32,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
}

impl LogWriter {
    pub fn new(config: &Config) -> Result<LogWriter, StateError> {
        let settings = run::producer("state producer", Half::FirstSeen, config, &Arc::default());
        Ok(LogWriter {
            topic: config.observations.topic.as_str().into(),
            producer: OutputProducer::new(&config.client_config(), settings)?,
            under_way_bytes: 0,
            acknowledged: Vec::new(),
            moved: clock::monotonic(),
        })
    }

    /// Sends a record once there is room for it.
    pub fn send(&mut self, entry: Entry) -> Result<(), StateError> {
        let output = Output {
            kind: entry.kind,
            topic: Arc::clone(&self.topic),
            partition: i32::try_from(entry.partition).ok(),
            key: Some(entry.key),
            payload: Some(entry.value),
            headers: Vec::new(),
            reduced: None,
            ticket: Ticket { slot: entry.partition, epoch: 0, offset: 0 },
            serial: 0,
        };
        if self.producer.outstanding() == 0 {
            self.moved = clock::monotonic();
        }
        self.under_way_bytes += output.size();
        self.producer.send(output).map_err(|error| self.failed(error))?;
        while self.under_way_bytes > UNDER_WAY_MAX_BYTES && self.producer.outstanding() > 1 {
            self.pump()?;
        }
        Ok(())
    }

    /// Waits until everything is acknowledged.
    pub fn settle(&mut self) -> Result<(), StateError> {
        while self.producer.outstanding() > 0 {
            self.pump()?;
        }
        Ok(())
    }

    fn pump(&mut self) -> Result<(), StateError> {
        let pumped = self.producer.pump(WAIT, &mut self.acknowledged);
        pumped.map_err(|error| self.failed(error))?;
        if !self.acknowledged.is_empty() {
            self.moved = clock::monotonic();
        }
        let mut diverted = false;
        for output in self.acknowledged.drain(..) {
            self.under_way_bytes -= output.size();
            diverted |= output.diverted;
        }
        if diverted {
            return Err(StateError::configuration(
                format!("the topic `{}` refuses a term as too large", self.topic),
                "raise its `max.message.bytes` (`topics check` says to what); the term went to the dead letters"
                    .to_owned(),
            ));
        }
        if clock::monotonic() - self.moved < STALL_MAX {
            return Ok(());
        }
        Err(StateError::Lost {
            doing: "writing to the log",
            reason: format!("{} records are not acknowledged", self.producer.outstanding()),
        })
    }

    fn failed(&self, error: ProducerFatal) -> StateError {
        match error {
            // A principal without the right to write to any topic may not even begin.
            ProducerFatal::Refused {
                code:
                    RDKafkaErrorCode::TopicAuthorizationFailed
                    | RDKafkaErrorCode::ClusterAuthorizationFailed,
                ..
            } => self.no_right(),
            ProducerFatal::Client(reason) => StateError::Producer(reason),
            refused => {
                let refused = HalfError::from(refused);
                let (_, hint) = refused.remedy();
                StateError::configuration(refused.to_string(), hint)
            }
        }
    }

    fn no_right(&self) -> StateError {
        let topic = &self.topic;
        StateError::configuration(
            format!("no right to write to the topic `{topic}`"),
            format!("grant the principal of `kafka.properties` the operation `Write` on `{topic}`"),
        )
    }
}
