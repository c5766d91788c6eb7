//! kubetell reads Kubernetes audit events from Kafka and raises alerts.
//!
//! ```text
//!  source topics ─► ingest::kafka ─► ingest::prefilter ─► detect::pool ─► output::producer ─► alerts
//!                   (one thread)     (bytes in place)     (workers)            │
//!                        ▲                                    │                ├─► observations
//!                        └── commits ◄── ingest::watermark ◄──┴── acks ◄───────┤
//!                                                                              └─► dead letters
//!  observations ─► terms::restore, terms::owner ─► terms::fold ─► terms::store ─► alerts
//!                  (takeover, then one thread)     (pure)         (sled)
//! ```
//!
//! A worker's way from bytes to a verdict: `ingest::envelope` (wrappers → audit events) →
//! `detect::matcher` (`audit::exec`, `rules`) → a finding or an observation → `alert`. `scan` goes
//! the same way over files, with `terms::local` for the fold.
//!
//! # Invariants
//! 1. An offset is committed only when every output of every offset below it is acknowledged:
//!    [`ingest::watermark`].
//! 2. What is under way carries (topic, partition, assignment epoch); results of a past epoch are
//!    dropped: [`detect::ledger`], [`terms::store`].
//! 3. A revoke drains within a bound, commits synchronously and gives back; a lost partition is
//!    dropped without a commit: [`ingest::kafka`].
//! 4. The prefilter has no false negatives: [`ingest::prefilter`].
//! 5. The new-terms state is a pure function of the observations log; what is sent again after a
//!    crash is what was sent before: [`terms::fold`], [`terms::takeover`].
//! 6. Memory is bounded: every channel, cache and batch; [`limits`].
//! 7. Nothing is swallowed: every error is retriable, poison or fatal ([`failure`]), and every drop
//!    has a counter and a reason ([`stats`]).
//!
//! Data goes one way down this list of modules; a module never reaches up.

pub mod admin;
pub mod alert;
pub mod app;
pub mod audit;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod detect;
pub mod duration;
pub mod failure;
pub mod faults;
pub mod heap;
pub mod ingest;
pub mod limits;
pub mod output;
pub mod plural;
pub mod position;
pub mod quiet;
pub mod rules;
pub mod stats;
pub mod terms;
pub mod topics;
