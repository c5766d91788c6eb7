//! The integration tests: one binary, so that what is slow to start is started once.

mod audit_log;
mod backtest;
mod cli;
mod commands;
mod demo;
mod exceptions;
mod explain;
mod full_disk;
mod fuzz;
mod kafka;
mod mock;
mod outage;
mod pipeline;
mod refusals;
mod reload;
mod rules;
mod rules_cases;
mod scan;
mod shells;
mod source;
mod state;
mod storm;
mod support;
mod texts;
mod wire;
mod xml;
