//! Where results go: Kafka, files, the terminal.

pub mod dead_letter;
pub mod producer;
pub mod terminal;
