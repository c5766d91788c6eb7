//! Where results go: Kafka, files, the terminal.

pub mod client;
pub mod dead_letter;
pub mod explanation;
pub mod forms;
pub mod producer;
pub mod terminal;
