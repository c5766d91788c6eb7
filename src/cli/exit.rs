//! Exit codes: a contract with scripts and supervisors.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Exit {
    /// Done, nothing found.
    Done = 0,
    /// `scan` found something to alert on, or a case of `rules test` failed.
    AlertsFound = 1,
    /// Some input could not be read or processed. Wins over `AlertsFound`.
    Partial = 2,
    /// Wrong arguments (`EX_USAGE`).
    Usage = 64,
    /// The brokers were not reached at start, after the stated wait (`EX_UNAVAILABLE`).
    Unreachable = 69,
    /// An error of the program's own (`EX_SOFTWARE`).
    Internal = 70,
    /// The configuration, which includes missing topics and missing rights (`EX_CONFIG`).
    Configuration = 78,
}

impl Exit {
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}
