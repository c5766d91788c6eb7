//! The integration tests: one binary, so that what is slow to start is started once.

mod cli;
mod kafka;
mod pipeline;
mod support;
