//! Where reading the source partitions begins, and where it goes on when the log no longer holds
//! the place it stood at.
//!
//! Owns the look-ups of the group's offsets and of the logs' bounds. Assigns nothing and decides
//! nothing about what is under way.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use crate::stats::Stats;

const LOOK_UP_MAX: Duration = Duration::from_secs(20);

/// The group's offsets of these partitions, each where it has one.
pub fn committed<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &TopicPartitionList,
) -> Result<TopicPartitionList, KafkaError> {
    let mut asked = TopicPartitionList::new();
    for element in partitions.elements() {
        asked.add_partition(element.topic(), element.partition());
    }
    let committed = consumer.committed_offsets(asked, LOOK_UP_MAX)?;
    for element in committed.elements() {
        element.error()?;
    }
    Ok(committed)
}

/// The same partitions, each at the offset that is wanted, else at the log's start. A wanted
/// offset that the log no longer holds is a gap, which is counted and said.
pub fn within_log<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    wanted: &TopicPartitionList,
    stats: &Stats,
) -> Result<TopicPartitionList, KafkaError> {
    let mut found = Vec::new();
    for element in wanted.elements() {
        let (topic, partition) = (element.topic(), element.partition());
        let bounds = consumer.fetch_watermarks(topic, partition, LOOK_UP_MAX)?;
        found.push((topic.to_owned(), partition, element.offset(), bounds));
    }
    let mut places = TopicPartitionList::new();
    for (topic, partition, wanted, (low, high)) in found {
        let start = match wanted {
            Offset::Offset(offset) if offset < low => {
                let lost = u64::try_from(low - offset).unwrap_or(0);
                stats.gap.add(lost);
                tracing::error!(
                    topic,
                    partition,
                    lost,
                    offset,
                    log_start = low,
                    "records were deleted from the topic before they were read"
                );
                low
            }
            Offset::Offset(offset) if offset > high => {
                tracing::warn!(
                    topic,
                    partition,
                    offset,
                    log_end = high,
                    "the offset to read on from is past the log's end (was the topic made anew?); beginning at its start"
                );
                low
            }
            Offset::Offset(offset) => offset,
            _ => low,
        };
        places.add_partition_offset(&topic, partition, Offset::Offset(start))?;
    }
    Ok(places)
}

/// The same partitions at the group's offsets, which librdkafka then asks for by itself.
pub fn stored(partitions: &TopicPartitionList) -> Result<TopicPartitionList, KafkaError> {
    let mut stored = TopicPartitionList::new();
    for element in partitions.elements() {
        stored.add_partition_offset(element.topic(), element.partition(), Offset::Stored)?;
    }
    Ok(stored)
}
