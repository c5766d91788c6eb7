//! Where a group without offsets begins.
//!
//! The start is committed at once, before anything is read: an instance that dies right after its
//! first start then goes on where the group began, and a partition that is added later, which has
//! no offset, begins at its start rather than at its end.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};

use crate::clock;
use crate::config::{Config, Start};
use crate::ingest::kafka::{Overheard, group_config};
use crate::ingest::oauth;
use crate::topics::{CONNECT_MAX, Problem, TopicsError, refused_connection};

const REQUEST_MAX: Duration = Duration::from_secs(10);
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// `partitions` are the source topics with their partition counts. A group coordinator that is
/// moving or loading is waited for.
pub fn commit_start(config: &Config, partitions: &[(String, usize)]) -> Result<(), TopicsError> {
    patiently(|| attempt(config, partitions))
}

/// Whether this principal may use a group. The answer of a moving coordinator is waited for.
pub fn check_group(config: &Config, group: &str, topic: &str) -> Result<(), TopicsError> {
    let mut asked = TopicPartitionList::new();
    asked.add_partition(topic, 0);
    patiently(|| committed(config, group, asked.clone()).map(|_| ()))
}

/// What a group has committed of a topic, with the metadata, by partition.
pub fn group_offsets(
    config: &Config,
    group: &str,
    topic: &str,
    partitions: u32,
) -> Result<TopicPartitionList, TopicsError> {
    let mut asked = TopicPartitionList::new();
    for partition in 0..partitions {
        asked.add_partition(topic, i32::try_from(partition).unwrap_or(i32::MAX));
    }
    patiently(|| committed(config, group, asked.clone()).map(|(_, offsets)| offsets))
}

fn patiently<T>(mut attempt: impl FnMut() -> Result<T, TopicsError>) -> Result<T, TopicsError> {
    let deadline = clock::monotonic() + CONNECT_MAX;
    loop {
        match attempt() {
            Err(TopicsError::Unreachable { reason, .. }) if clock::monotonic() < deadline => {
                tracing::debug!(reason, "the group's coordinator does not answer yet");
                std::thread::park_timeout(RETRY_AFTER);
            }
            result => return result,
        }
    }
}

/// A client of the group that has not joined it, and the group's offsets.
fn committed(
    config: &Config,
    group: &str,
    asked: TopicPartitionList,
) -> Result<(BaseConsumer<Overheard>, TopicPartitionList), TopicsError> {
    let client = group_config(&config.client_config(), group, "error");
    let overheard = Overheard::default();
    let consumer: BaseConsumer<Overheard> =
        client.create_with_context(overheard.clone()).map_err(TopicsError::Client)?;
    oauth::sign_in(consumer.client(), &client, oauth::REQUEST_MAX)
        .map_err(|error| unreachable(config, &error))?;
    let refused = |error: &KafkaError| {
        error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed)
    };
    let committed = consumer.committed_offsets(asked, REQUEST_MAX).map_err(|error| {
        // The look-up of the coordinator is refused in the background; the request times out.
        while let Some(Err(_)) = consumer.poll(Duration::from_millis(50)) {}
        if refused(&error)
            || overheard.find(&[RDKafkaErrorCode::GroupAuthorizationFailed]).is_some()
        {
            no_group_right(group)
        } else if let Some(problem) = refused_connection(&overheard) {
            TopicsError::Problems(vec![problem])
        } else {
            unreachable(config, &error)
        }
    })?;
    let unauthorized =
        |element: &TopicPartitionListElem<'_>| element.error().is_err_and(|error| refused(&error));
    if committed.elements().iter().any(unauthorized) {
        return Err(no_group_right(group));
    }
    Ok((consumer, committed))
}

fn attempt(config: &Config, partitions: &[(String, usize)]) -> Result<(), TopicsError> {
    let group = &config.kafka.group_id;
    let mut asked = TopicPartitionList::new();
    for (topic, count) in partitions {
        for partition in 0..*count {
            asked.add_partition(topic, i32::try_from(partition).unwrap_or(i32::MAX));
        }
    }
    let (consumer, committed) = committed(config, group, asked)?;
    if committed.elements().iter().any(|element| matches!(element.offset(), Offset::Offset(_))) {
        return Ok(());
    }
    let mut starts = TopicPartitionList::new();
    for element in committed.elements() {
        let (low, high) = consumer
            .fetch_watermarks(element.topic(), element.partition(), REQUEST_MAX)
            .map_err(|error| unreachable(config, &error))?;
        let offset = match config.source.start {
            Start::Earliest => low,
            Start::Latest => high,
        };
        starts
            .add_partition_offset(element.topic(), element.partition(), Offset::Offset(offset))
            .map_err(TopicsError::Client)?;
    }
    match consumer.commit(&starts, CommitMode::Sync) {
        Ok(()) => {
            tracing::info!(group, start = ?config.source.start, "a new group: its start is committed");
            Ok(())
        }
        Err(error) => match error.rdkafka_error_code() {
            // Members are in the group already: another instance committed the start.
            Some(
                RDKafkaErrorCode::UnknownMemberId
                | RDKafkaErrorCode::IllegalGeneration
                | RDKafkaErrorCode::RebalanceInProgress,
            ) => Ok(()),
            Some(RDKafkaErrorCode::GroupAuthorizationFailed) => Err(no_group_right(group)),
            _ => Err(unreachable(config, &error)),
        },
    }
}

fn no_group_right(group: &str) -> TopicsError {
    TopicsError::Problems(vec![Problem {
        message: format!("no right to use the consumer group `{group}`"),
        hint: "grant the principal of `kafka.properties` the operation `Read` on it".to_owned(),
    }])
}

fn unreachable(config: &Config, error: &KafkaError) -> TopicsError {
    TopicsError::Unreachable {
        servers: config.kafka.bootstrap_servers.clone(),
        waited: CONNECT_MAX,
        reason: error.to_string(),
    }
}
