//! New terms: observations, their fold, and the state that is a view of the log.
//!
//! `observation` and `record` are what stands in the log, `fold` is what a record does to the state.
//! `takeover` brings a partition up to date, `partition` owns one, `first_seen` all of an instance:
//! machines without I/O but for the view, which `store` keeps. `restore` and `owner` drive them
//! with Kafka (`ends`: when a log has been read); `local` is the fold for files.

pub mod ends;
pub mod first_seen;
pub mod fold;
pub mod local;
pub mod observation;
pub mod owner;
pub mod partition;
pub mod record;
pub mod restore;
pub mod store;
pub mod takeover;
#[cfg(test)]
pub(crate) mod testing;
