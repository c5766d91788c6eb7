//! Where results go: Kafka, files, the terminal.
