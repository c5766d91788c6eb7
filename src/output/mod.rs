//! Where results go: Kafka, files, the terminal.

pub mod terminal;
