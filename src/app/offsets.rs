//! Where times, and the ends of logs, stand in the source topics.
//!
//! Owns the question to the brokers' index of timestamps. It joins no group. The first record at a
//! time or after it is where the index says, so nothing of that time or later stands before.

use std::collections::HashMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::reading::ReadingError;
use crate::clock;
use crate::config::Config;
use crate::failure::{self, Class, Doing};
use crate::ingest::kafka::{Overheard, reader_config};
use crate::ingest::oauth;
use crate::topics::{CONNECT_MAX, Problem, Topics, TopicsError};

const REQUEST_MAX: Duration = Duration::from_secs(20);
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// A partition by its topic's number in the configuration.
pub type Place = (u16, i32);

/// Of each partition, where something stands; nothing where no record is as late.
pub type Offsets = HashMap<Place, Option<i64>>;

/// Every partition of the source topics, in their order. Waits for a broker as `run` does.
pub fn partitions(config: &Config) -> Result<Vec<Place>, ReadingError> {
    let mut partitions = Vec::new();
    for (topic, report) in Topics::new(config)?.survey_sources()?.into_iter().enumerate() {
        let Some(count) = report.partitions else {
            return Err(TopicsError::Problems(report.problems).into());
        };
        for partition in 0..i32::try_from(count).unwrap_or(i32::MAX) {
            partitions.push((u16::try_from(topic).unwrap_or(u16::MAX), partition));
        }
    }
    Ok(partitions)
}

/// Asks the brokers where times stand.
pub struct Index<'a> {
    config: &'a Config,
    client: BaseConsumer<Overheard>,
    pub partitions: Vec<Place>,
}

impl<'a> Index<'a> {
    pub fn new(config: &'a Config, partitions: Vec<Place>) -> Result<Self, ReadingError> {
        let properties = reader_config(&config.client_config(), "error");
        let client: BaseConsumer<Overheard> =
            properties.create_with_context(Overheard::default())?;
        oauth::sign_in(client.client(), &properties, oauth::REQUEST_MAX)?;
        Ok(Index { config, client, partitions })
    }

    /// The first offset at a time or after it, of every partition: the time in milliseconds as
    /// `Offset::Offset`, or one of the ends of the log.
    pub fn ask(&self, moment: Offset) -> Result<Offsets, ReadingError> {
        let deadline = clock::monotonic() + CONNECT_MAX;
        loop {
            let error = match self.attempt(moment) {
                Ok(offsets) => return Ok(offsets),
                Err(error) => error,
            };
            let code = error.rdkafka_error_code();
            if code == Some(RDKafkaErrorCode::TopicAuthorizationFailed) {
                return Err(no_right(&self.config.source.topics.join("`, `")).into());
            }
            let passes = code
                .is_none_or(|code| failure::class_of(code, Doing::Consuming) == Class::Retriable);
            if !passes || clock::monotonic() >= deadline {
                let servers = self.config.kafka.bootstrap_servers.clone();
                let reason = error.to_string();
                return Err(
                    TopicsError::Unreachable { servers, waited: CONNECT_MAX, reason }.into()
                );
            }
            // A partition may be between two leaders.
            tracing::debug!(%error, "the index of timestamps does not answer yet");
            let _ = self.client.poll(RETRY_AFTER);
        }
    }

    fn attempt(&self, moment: Offset) -> Result<Offsets, KafkaError> {
        let mut asked = TopicPartitionList::with_capacity(self.partitions.len());
        let topics = &self.config.source.topics;
        for &(topic, partition) in &self.partitions {
            asked.add_partition_offset(&topics[usize::from(topic)], partition, moment)?;
        }
        let answered = self.client.offsets_for_times(asked, REQUEST_MAX)?;
        let mut offsets = Offsets::new();
        for element in answered.elements() {
            element.error()?;
            let topic = topics.iter().position(|topic| topic == element.topic()).unwrap_or(0);
            let offset = match element.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            };
            offsets.insert((u16::try_from(topic).unwrap_or(0), element.partition()), offset);
        }
        Ok(offsets)
    }
}

pub fn no_right(topic: &str) -> TopicsError {
    let message = format!("no right to read the source topic `{topic}`");
    let hint = "grant the principal of `kafka.properties` the operation `Read` on it".to_owned();
    TopicsError::Problems(vec![Problem { message, hint }])
}
