//! The composition root: the only place that creates threads and channels.

pub mod backtest;
pub mod cases;
pub mod demo;
pub mod doctor;
mod held;
mod latest;
mod offsets;
pub mod reading;
pub mod reload;
pub mod rules;
pub mod run;
pub mod scan;
mod stall;
pub mod state;
mod stretch;
pub mod watch;
