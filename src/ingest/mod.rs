//! From bytes to audit events: records of Kafka and of files, their wrappers, the prefilter and
//! the watermark.

pub mod commit;
pub mod connection;
pub mod envelope;
pub mod file;
pub mod headers;
pub mod kafka;
pub mod oauth;
pub mod prefilter;
pub mod start;
pub mod watermark;
