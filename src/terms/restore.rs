//! Taking over a partition: reads the log with a consumer of its own until the view has caught
//! up with the group's offset, a partition at a time, off the thread that polls.
//!
//! Owns no state beyond one takeover. Sends nothing: what has to be sent again is handed to the
//! owner. Every write to the view carries the assignment's epoch, so a takeover that was
//! cancelled by the next rebalance can't write any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::clock;
use crate::ingest::kafka::ConnectionLog;
use crate::stats::Stats;
use crate::terms::fold::{Mode, PartitionFold};
use crate::terms::record::{self, Record};
use crate::terms::store::{Store, StoreError};
use crate::terms::takeover::{self, Committed, Found, View};

const REQUEST_MAX: Duration = Duration::from_secs(10);
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Records folded into one write.
const BATCH_RECORDS: usize = 1_000;

/// A partition that this instance was given.
#[derive(Debug, Clone)]
pub struct Request {
    pub partition: i32,
    pub epoch: u64,
}

/// A partition whose view has caught up.
pub struct Restored {
    pub partition: i32,
    pub epoch: u64,
    pub fold: PartitionFold,
    /// The group's offset; what lies between it and the state's `next` is in the outbox.
    pub commit_from: i64,
    /// Where the log ended when the takeover began.
    pub log_end: i64,
    /// Clock since boot, when the takeover began.
    pub begun_boot_ms: i64,
}
