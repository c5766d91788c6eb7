//! The audit log that `kubetell demo` plays: a cluster at work, and an intruder in it.
//!
//! Owns the making of that log, from a seed alone: no clock, no I/O, the same bytes each time.
//! It must not use the detections, so that what it says is expected stays an independent claim.
//!
//! ```text
//! cluster (routine) ┐
//!                   ├─► requests in time order ─► weave: their stages ─► pack: records
//! story (intruder)  ┘
//! ```

mod cluster;
// What is public beside the scenario is also what the benchmarks make their log of.
pub mod event;
pub mod pack;
pub mod random;
pub mod request;
pub mod scenario;
pub mod story;
pub mod weave;

#[cfg(test)]
mod tests;
