//! The commands around the new-terms state: looking at it, taking it out, bringing history in.
//!
//! They read and write the observations topic alone, beside running instances: they join no
//! group, commit nothing and touch no instance's view. One thread each, and bounded memory: a
//! partition is folded into a temporary store ([`show`]), and what has to be sorted goes through
//! [`latest`].

pub mod baseline;
pub mod export;
pub mod import;
pub mod input;
pub mod log;
pub mod show;
mod write;

use rdkafka::error::KafkaError;

use crate::app::stall::STALL_MAX;
use crate::terms::first_seen::TopologyError;
use crate::terms::record::Marker;
use crate::terms::store::StoreError;
use crate::terms::store::open::OpenError;
use crate::topics::{Problem, TopicsError};

#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error(transparent)]
    Topics(#[from] TopicsError),
    #[error("the brokers have not answered for {} s while {doing}: {reason}", STALL_MAX.as_secs())]
    Lost { doing: &'static str, reason: String },
    #[error("partition {partition} of `{topic}` has lost its end while it was read")]
    Shrunk { topic: String, partition: i32 },
    #[error("the Kafka client failed: {0}")]
    Client(#[from] KafkaError),
    #[error("the temporary store failed: {0}")]
    Store(#[from] StoreError),
    #[error("the temporary store could not be opened: {0}")]
    Open(#[from] OpenError),
    #[error("the temporary file failed: {0}")]
    Scratch(std::io::Error),
    #[error("the output could not be written: {0}")]
    Output(std::io::Error),
    #[error("the producer failed for good: {0}")]
    Producer(String),
    #[error("a record could not be encoded: {0}")]
    Encode(#[from] serde_json::Error),
}

impl StateError {
    /// Something that the operator has to mend.
    fn configuration(message: String, hint: String) -> StateError {
        TopicsError::Problems(vec![Problem { message, hint }]).into()
    }
}

/// Who watches a command at work.
pub trait Watcher {
    /// Something begins that has `total` steps, where that is known.
    fn stage(&mut self, what: &'static str, total: Option<u64>);
    fn at(&mut self, done: u64);
    /// A part of the input that was not read: where it stands, and why.
    fn unreadable(&mut self, place: &str, reason: &str);
}

/// What keeps a log from being added to: its users are elsewhere than where they would be written.
fn other_sharding(topic: &str, partitions: u32, marker: &Marker) -> Option<Problem> {
    let error = TopologyError::of(marker, partitions)?;
    Some(Problem { message: error.to_string(), hint: error.hint(topic) })
}
