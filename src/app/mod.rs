//! The composition root: the only place that creates threads and channels.

pub mod backtest;
pub mod cases;
pub mod demo;
mod held;
mod latest;
pub mod reload;
pub mod rules;
pub mod run;
pub mod scan;
mod stall;
pub mod state;
pub mod watch;
