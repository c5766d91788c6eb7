//! Integration tests, in one binary.

mod cli;
