//! kubetell reads Kubernetes audit events from Kafka and raises alerts.

pub mod alert;
pub mod audit;
pub mod cli;
pub mod clock;
pub mod config;
pub mod detect;
pub mod duration;
pub mod ingest;
pub mod limits;
pub mod output;
pub mod position;
pub mod rules;
pub mod terms;
