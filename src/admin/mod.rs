//! What an operator can ask of a running service: its metrics, its health, its state. Read-only.
//!
//! Owns the HTTP server and every name and form in which figures leave; the figures themselves are
//! the [`Stats`]'. Runs on a thread of its own, so that it answers whatever the halves do.

pub mod answer;
pub mod exposition;
pub mod health;
pub mod metrics;
pub mod page;
pub mod process;
pub mod rates;
pub mod server;
pub mod snapshot;
pub mod status;
mod warnings;

use std::sync::Arc;

use crate::admin::rates::Rates;
use crate::stats::Stats;

/// What does not change while the process runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    pub version: &'static str,
    pub instance: String,
    pub role: &'static str,
    pub cluster: String,
    /// Of the detect half.
    pub group: String,
    pub source_topics: Vec<String>,
    pub alerts_topic: String,
    pub observations_topic: String,
    pub dead_letters_topic: String,
    /// Whether the newest alerts are shown.
    pub shows_alerts: bool,
    /// How long a new-terms rule learns, milliseconds.
    pub learning_ms: i64,
    /// Milliseconds since the epoch.
    pub started_ms: i64,
}

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct Watched {
    pub stats: Arc<Stats>,
    pub facts: Arc<Facts>,
    /// The server listens on the loopback alone.
    pub local: bool,
    /// Sampled by the server.
    pub rates: Arc<Rates>,
}
