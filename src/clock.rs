//! The only place that reads a clock.
//!
//! The pure core takes times as arguments; whatever needs "now" asks here, so that one search
//! finds every reading and the ban in `clippy.toml` has one exception.
#![allow(clippy::disallowed_methods)]

use std::time::Instant;

/// Wall clock, in milliseconds since 1970-01-01T00:00:00Z.
pub fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Wall clock.
pub fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// A clock that only goes forward, for timeouts and latencies within the process.
pub fn monotonic() -> Instant {
    Instant::now()
}

/// Milliseconds by a clock that only goes forward and does not count suspension: what "does it still
/// turn?" must be asked of.
pub fn monotonic_ms() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(time.tv_sec * 1_000 + time.tv_nsec / 1_000_000).unwrap_or(0)
}

/// Milliseconds since boot, counting the time the machine was suspended: what "how long have I
/// been away" must be asked of.
pub fn since_boot_ms() -> i64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    time.tv_sec * 1_000 + time.tv_nsec / 1_000_000
}

/// The two clocks that the protocol asks, read together; an argument of the pure core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Wall clock, milliseconds since the epoch.
    pub now_ms: i64,
    /// Milliseconds since boot, counting suspension.
    pub boot_ms: i64,
}

pub fn times() -> Times {
    Times { now_ms: now_ms(), boot_ms: since_boot_ms() }
}
