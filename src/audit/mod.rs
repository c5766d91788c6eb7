//! What an audit event is and what an exec's request URI says. Pure: no I/O, no clock.

pub mod event;
pub mod exec;
pub mod shell;
