//! The demo's own Kafka clients: one that writes the log, one that reads the alerts.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, DefaultConsumerContext};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::{Offset, TopicPartitionList};

use super::{Audience, DemoError, SOURCE_PARTITIONS, Stage};
use crate::config::Config;
use crate::ingest::kafka::reader_config;

/// Writes to the source topic.
pub(super) struct Player {
    producer: BaseProducer<DefaultProducerContext>,
    topic: String,
    /// Sent so far.
    pub(super) records: u64,
    pub(super) events: u64,
}

impl Player {
    pub(super) fn new(config: &Config, stage: &Stage) -> Result<Self, DemoError> {
        let mut client: ClientConfig = config.client_config();
        client.set("linger.ms", "2");
        Ok(Player {
            producer: client.create()?,
            topic: stage.topics()[0].0.clone(),
            records: 0,
            events: 0,
        })
    }

    pub(super) fn send(&mut self, bytes: &[u8], hint: u32, events: u64) -> Result<(), DemoError> {
        let partition = i32::try_from(hint as usize % SOURCE_PARTITIONS).unwrap_or(0);
        let mut record =
            BaseRecord::<(), [u8]>::to(&self.topic).payload(bytes).partition(partition);
        loop {
            match self.producer.send(record) {
                Ok(()) => break,
                Err((error, back))
                    if error.rdkafka_error_code()
                        == Some(rdkafka::error::RDKafkaErrorCode::QueueFull) =>
                {
                    record = back;
                    self.producer.poll(Duration::from_millis(10));
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
        self.records += 1;
        self.events += events;
        self.producer.poll(Duration::ZERO);
        Ok(())
    }

    pub(super) fn poll(&self) {
        self.producer.poll(Duration::ZERO);
    }

    pub(super) fn flush(&self) -> Result<(), DemoError> {
        Ok(self.producer.flush(Duration::from_secs(10))?)
    }
}

/// Reads the alerts topic as a SIEM's connector would.
pub(super) struct AlertReader {
    consumer: BaseConsumer<DefaultConsumerContext>,
    /// Ids of alerts that may come again.
    seen: HashSet<String>,
    pub(super) first_by_rule: BTreeMap<String, u64>,
    pub(super) repeats: u64,
}

impl AlertReader {
    pub(super) fn new(config: &Config, topic: &str) -> Result<Self, DemoError> {
        let mut client = reader_config(&config.client_config(), "earliest");
        client.set("fetch.wait.max.ms", "20").set("group.id", "kubetell-demo-reader");
        let consumer: BaseConsumer<DefaultConsumerContext> = client.create()?;
        let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(10))?;
        let partitions =
            metadata.topics().first().map_or(1, |topic| topic.partitions().len().max(1));
        let mut assignment = TopicPartitionList::new();
        for partition in 0..partitions {
            assignment.add_partition_offset(
                topic,
                i32::try_from(partition).unwrap_or(0),
                Offset::Beginning,
            )?;
        }
        consumer.assign(&assignment)?;
        Ok(AlertReader {
            consumer,
            seen: HashSet::new(),
            first_by_rule: BTreeMap::new(),
            repeats: 0,
        })
    }

    /// Shows at most one alert; whether there was a record.
    pub(super) fn poll(
        &mut self,
        timeout: Duration,
        audience: &mut dyn Audience,
    ) -> Result<bool, DemoError> {
        let Some(message) = self.consumer.poll(timeout) else { return Ok(false) };
        let message = message?;
        let payload = message.payload().unwrap_or_default();
        let alert: serde_json::Value =
            serde_json::from_slice(payload).map_err(std::io::Error::other)?;
        let id = alert.pointer("/event/id").and_then(|id| id.as_str()).unwrap_or_default();
        let first = self.seen.insert(id.to_owned());
        if first {
            let rule = alert.pointer("/rule/id").and_then(|id| id.as_str()).unwrap_or_default();
            *self.first_by_rule.entry(rule.to_owned()).or_default() += 1;
        } else {
            // The same alert with its outcome: a SIEM that upserts replaces the first by it.
            self.repeats += 1;
        }
        audience.alert(&alert, !first)?;
        Ok(true)
    }

    pub(super) fn drain(&mut self, audience: &mut dyn Audience) -> Result<(), DemoError> {
        while self.poll(Duration::from_millis(150), audience)? {}
        Ok(())
    }

    /// What was played is settled: its alerts do not come again.
    pub(super) fn forget(&mut self) {
        self.seen.clear();
    }
}
