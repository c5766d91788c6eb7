//! New terms: observations, their fold, and the state that is a view of the log.
//!
//! `observation` and `record` are what stands in the log, `fold` what a record does, `takeover`
//! what an owner begins with: all pure. `store` keeps the view. `restore` and `owner` are the
//! Kafka half; `local` is the fold for files.

pub mod fold;
pub mod local;
pub mod observation;
pub mod owner;
pub mod record;
pub mod restore;
pub mod store;
pub mod takeover;
#[cfg(test)]
pub(crate) mod testing;
