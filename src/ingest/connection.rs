//! What librdkafka says about its connections.
//!
//! Owns what of it is logged and how often, and what is kept of it for whoever asks why a request
//! failed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;

use crate::clock;
use crate::stats::client::ClientFigures;

/// What librdkafka reports about its connections, turned into log lines: a lost cluster is said
/// once and again every minute, and so is its return.
pub struct ConnectionLog {
    name: &'static str,
    lost: AtomicBool,
    said: Paced,
    /// Of errors that reading a topic brings.
    reading_said: Paced,
    /// What the client tells of itself.
    figures: Arc<ClientFigures>,
}

const REPEAT_AFTER_MS: u64 = 60_000;
const READING_REPEAT_AFTER_MS: u64 = 10_000;

/// When something was said last, so that what stands is said again only after a while.
#[derive(Default)]
struct Paced(AtomicU64);

impl Paced {
    fn due(&self, every_ms: u64) -> bool {
        let now = u64::try_from(clock::since_boot_ms()).unwrap_or(0).max(1);
        let said = self.0.load(Ordering::Relaxed);
        let due = said == 0 || now.saturating_sub(said) >= every_ms;
        if due {
            self.0.store(now, Ordering::Relaxed);
        }
        due
    }
}

impl ConnectionLog {
    pub fn new(name: &'static str) -> Self {
        ConnectionLog::telling(name, Arc::default())
    }

    /// Of a client whose statistics are kept.
    pub fn telling(name: &'static str, figures: Arc<ClientFigures>) -> Self {
        let (said, reading_said) = (Paced::default(), Paced::default());
        ConnectionLog { name, lost: AtomicBool::new(false), said, reading_said, figures }
    }

    fn due(&self) -> bool {
        self.said.due(REPEAT_AFTER_MS)
    }

    /// Whether an error that reading a topic brings is to be said, not only kept for debugging.
    pub fn reading_is_due(&self) -> bool {
        self.reading_said.due(READING_REPEAT_AFTER_MS)
    }

    /// No broker can be reached, as far as is known.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Something came back from a broker.
    pub fn reached(&self) {
        if self.lost.load(Ordering::Relaxed) && self.lost.swap(false, Ordering::Relaxed) {
            self.said.0.store(0, Ordering::Relaxed);
            tracing::info!(client = self.name, "the brokers can be reached again");
        }
    }
}

impl ClientContext for ConnectionLog {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let client = self.name;
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(target: "librdkafka", client, facility, "{message}");
            }
            // Connection failures come through `error` as well, once and in words.
            _ => tracing::debug!(target: "librdkafka", client, facility, "{message}"),
        }
    }

    fn stats(&self, statistics: Statistics) {
        // Where nothing is read or written, nothing else tells that the brokers are back.
        if self.figures.take(&statistics) {
            self.reached();
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
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
}

impl ConsumerContext for ConnectionLog {}

/// What a client's background threads ran into, kept for whoever asks why a request failed: the
/// request itself often only says that it timed out.
#[derive(Clone, Default)]
pub struct Overheard(Arc<Mutex<Vec<(RDKafkaErrorCode, String)>>>);

/// Errors kept of one client; the first ones tell the cause.
const OVERHEARD_MAX: usize = 32;

impl Overheard {
    pub fn note(&self, error: &KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        let mut errors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if errors.len() < OVERHEARD_MAX {
            errors.push((code, reason.to_owned()));
        }
    }

    /// The text of the first error with one of these codes.
    pub fn find(&self, codes: &[RDKafkaErrorCode]) -> Option<String> {
        let errors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        errors.iter().find(|(code, _)| codes.contains(code)).map(|(_, reason)| reason.clone())
    }
}

impl ClientContext for Overheard {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", facility, "{message}");
    }
    fn error(&self, error: KafkaError, reason: &str) {
        self.note(&error, reason);
    }
}

impl ConsumerContext for Overheard {}
