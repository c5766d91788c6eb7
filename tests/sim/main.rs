//! A seeded, single-threaded simulation of the whole protocol over the pure core: instances with
//! both halves, logs with compaction and retention, a group coordinator, producers, and everything
//! that goes wrong with them. No Kafka, no threads, no clock.
//!
//! `oracle` says what is right; `generate` what happens. A violation names its seed:
//! `KUBETELL_SIM_SEED=… cargo test --test sim -- --nocapture replay` tells the schedule again, and
//! `tests/simulate` runs as many as one likes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod alerts;
mod coverage;
mod detect;
mod disk;
mod first_seen;
mod generate;
mod group;
mod instance;
mod log;
mod oracle;
mod producer;
mod restorer;
mod rng;
mod schedule;
mod setup;
mod sim;
mod stories;
mod tests;
mod world;
