//! A member of a consumer group: the client's configuration, the rebalance protocol, and what
//! librdkafka says about the connection.
//!
//! Owns the mapping from librdkafka's callbacks to [`GroupHandler`]. Each half of the stream is a
//! handler; what it does with its partitions is its own affair. Assignment is cooperative
//! (incremental) and done by hand, since the default callback ignores the returned error.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::ClientConfig;
use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;

use crate::clock;

/// What librdkafka reports about its connections, turned into log lines: a lost cluster is said
/// once and again every minute, and so is its return.
pub struct ConnectionLog {
    name: &'static str,
    lost: AtomicBool,
    said_at_ms: AtomicU64,
}

const REPEAT_AFTER_MS: u64 = 60_000;

impl ConnectionLog {
    pub fn new(name: &'static str) -> Self {
        ConnectionLog { name, lost: AtomicBool::new(false), said_at_ms: AtomicU64::new(0) }
    }

    fn due(&self) -> bool {
        let now = u64::try_from(clock::since_boot_ms()).unwrap_or(0).max(1);
        let said = self.said_at_ms.load(Ordering::Relaxed);
        let due = said == 0 || now.saturating_sub(said) >= REPEAT_AFTER_MS;
        if due {
            self.said_at_ms.store(now, Ordering::Relaxed);
        }
        due
    }

    pub fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let client = self.name;
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(target: "librdkafka", client, facility, "{message}");
            }
            // Connection failures come through `error` as well, once and in words.
            _ => tracing::debug!(target: "librdkafka", client, facility, "{message}"),
        }
    }

    pub fn error(&self, error: &KafkaError, reason: &str) {
        let client = self.name;
        match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::OperationTimedOut,
            ) => {
                let all = error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown);
                if all && (!self.lost.swap(true, Ordering::Relaxed) || self.due()) {
                    self.due();
                    tracing::warn!(
                        client,
                        "no broker can be reached: {reason}; trying again until one can"
                    );
                } else {
                    tracing::debug!(client, %error, "{reason}");
                }
            }
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed) => {
                if self.due() {
                    tracing::error!(client, "the brokers refuse the credentials: {reason}");
                }
            }
            _ if self.due() => tracing::warn!(client, %error, "{reason}"),
            _ => tracing::debug!(client, %error, "{reason}"),
        }
    }

    /// Something came back from a broker.
    pub fn reached(&self) {
        if self.lost.load(Ordering::Relaxed) && self.lost.swap(false, Ordering::Relaxed) {
            self.said_at_ms.store(0, Ordering::Relaxed);
            tracing::info!(client = self.name, "the brokers can be reached again");
        }
    }
}

/// One half of the stream, as the group protocol sees it. Both calls happen inside `poll`, on the
/// thread that polls, and have to be well under `max.poll.interval.ms`.
pub trait GroupHandler: Send + Sized + 'static {
    /// Has to answer by `incremental_assign`, with explicit offsets. It may take fewer partitions
    /// than it was given, or none, and the others later.
    fn assigned(&mut self, consumer: &GroupConsumer<Self>, partitions: &TopicPartitionList);
    /// Has to finish or drop what is under way, and returns those of the partitions that it had
    /// taken: they are given back by the caller of this, right after. `lost`: another member may
    /// own them already, so nothing is committed.
    fn revoked(
        &mut self,
        consumer: &GroupConsumer<Self>,
        partitions: &TopicPartitionList,
        lost: bool,
    ) -> TopicPartitionList;
}

pub type GroupConsumer<H> = BaseConsumer<GroupContext<H>>;

pub struct GroupContext<H> {
    handler: Mutex<H>,
    pub connection: ConnectionLog,
}

impl<H> GroupContext<H> {
    pub fn new(handler: H, name: &'static str) -> Self {
        GroupContext { handler: Mutex::new(handler), connection: ConnectionLog::new(name) }
    }

    /// Never hold this across `poll`: the rebalance callback takes it.
    pub fn handler(&self) -> MutexGuard<'_, H> {
        self.handler.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<H: GroupHandler> ClientContext for GroupContext<H> {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.connection.log(level, facility, message);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        self.connection.error(&error, reason);
    }
}

impl<H: GroupHandler> ConsumerContext for GroupContext<H> {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        err: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        match err {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                self.handler().assigned(consumer, partitions);
            }
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => {
                let lost = consumer.assignment_lost();
                let taken = self.handler().revoked(consumer, partitions, lost);
                if let Err(error) = consumer.incremental_unassign(&taken) {
                    tracing::error!(%error, "partitions could not be given back");
                }
            }
            other => {
                tracing::error!(error = ?other, "the group could not be rebalanced");
                if let Err(error) = consumer.unassign() {
                    tracing::error!(%error, "partitions could not be given back");
                }
            }
        }
    }
}

/// The client's configuration for a member of `group_id`: the operator's properties, our defaults
/// where the operator is silent, and what correctness needs on top.
pub fn group_config(properties: &ClientConfig, group_id: &str, reset: &str) -> ClientConfig {
    let mut config = reader_config(properties, reset);
    config.set("group.id", group_id).set("partition.assignment.strategy", "cooperative-sticky");
    config
}

/// As [`group_config`], without a group: for readers that assign themselves explicit offsets.
pub fn reader_config(properties: &ClientConfig, reset: &str) -> ClientConfig {
    let mut config = properties.clone();
    for (key, value) in [
        ("fetch.min.bytes", "1"),
        ("fetch.wait.max.ms", "100"),
        ("fetch.message.max.bytes", "4194304"),
        ("queued.min.messages", "100000"),
        ("queued.max.messages.kbytes", "65536"),
        ("fetch.queue.backoff.ms", "20"),
        ("topic.metadata.refresh.interval.ms", "30000"),
    ] {
        if properties.get(key).is_none() {
            config.set(key, value);
        }
    }
    config
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", reset);
    config
}
