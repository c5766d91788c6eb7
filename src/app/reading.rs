//! Why a command could not read the source topics, or not to their end.

use rdkafka::error::KafkaError;

use super::stall::STALL_MAX;
use crate::topics::TopicsError;

#[derive(Debug, thiserror::Error)]
pub enum ReadingError {
    #[error(transparent)]
    Topics(#[from] TopicsError),
    #[error("the brokers have not answered for {} s: {reason}", STALL_MAX.as_secs())]
    Lost { reason: String },
    #[error("partition {partition} of `{topic}` has lost its end while it was read")]
    Shrunk { topic: String, partition: i32 },
    #[error("the Kafka client failed: {0}")]
    Client(#[from] KafkaError),
}
