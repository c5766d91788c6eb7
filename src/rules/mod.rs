//! Rules: what they look for and what they are called. Pure: no I/O.

pub mod cases;
pub mod compile;
pub mod exceptions;
pub mod format;
pub mod paths;
pub mod patterns;
pub mod published;
pub mod query;
pub mod rule;
pub mod schema;
pub mod set;
pub mod triage;
