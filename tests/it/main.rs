//! The integration tests: one binary, so that what is slow to start is started once.

mod cli;
mod demo;
mod full_disk;
mod kafka;
mod mock;
mod pipeline;
mod scan;
mod source;
mod state;
mod support;
mod texts;
