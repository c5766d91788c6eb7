//! Tests against a real Apache Kafka, and the harness that they share.
//!
//! The harness starts Kafka from its jars, whose place `tests/run` passes in
//! `KUBETELL_KAFKA_LIBS`; without it these tests fail rather than pass unseen. Kafka's own
//! command-line tools are the oracle wherever a test claims something of Kafka: what they print
//! does not depend on our client. Nothing here knows what kubetell's records mean.
//!
//! Nothing sleeps: waiting is a blocking call with a deadline, whose end is an event.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]
// A test binary uses of its harness what its tests need so far.
#![allow(dead_code)]

pub mod broker;
pub mod client;
pub mod cluster;
pub mod process;
pub mod secured;
pub mod server;
pub mod tools;

#[cfg(test)]
mod harness;

use std::time::Duration;

/// The deadline of everything that is waited for. Far above what a loaded machine with two cores
/// needs, since reaching it is a failure; nothing takes this long when all is well.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// A name that no other test uses: `prefix` and the number of the call.
pub fn unique(prefix: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{prefix}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
