//! From bytes to audit events: records of Kafka and of files, their wrappers, the prefilter and
//! the watermark.

pub mod envelope;
pub mod prefilter;
