//! Arguments that several commands share.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::config::{Setting, SettingError};
use crate::duration;
use crate::limits;

use super::context::Context;
use super::exit::Exit;
use super::report;

/// Where the configuration comes from.
#[derive(Debug, Clone, Default, Args)]
pub struct ConfigArgs {
    /// Configuration file (TOML), else the one that KUBETELL_CONFIG names, else none
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Sets one key, over file and environment. Repeatable; the value is TOML or a bare text
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<SettingText>,
}

/// What stands behind `--set`, not looked at yet: the parser of arguments would repeat a wrong
/// one in its message, and it may hold a secret.
#[derive(Clone)]
pub struct SettingText(String);

impl SettingText {
    pub fn parse(&self) -> Result<Setting, SettingError> {
        self.0.parse()
    }
}

impl From<String> for SettingText {
    fn from(text: String) -> SettingText {
        SettingText(text)
    }
}

impl std::fmt::Debug for SettingText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// How a command prints what it knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum TextOrJson {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// How alerts are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AlertFormat {
    /// For people
    Text,
    /// One Elastic Common Schema document a line
    Ecs,
    /// Named by the contract, not available in this version.
    #[value(hide = true)]
    Ocsf,
}

impl AlertFormat {
    /// The format to write: the one asked for, else text on a terminal and ECS lines otherwise.
    /// Never `Ocsf`.
    ///
    /// # Errors
    /// It is not available in this version, which has been reported.
    pub fn or_default(asked: Option<AlertFormat>, context: &Context) -> Result<AlertFormat, Exit> {
        match asked {
            Some(AlertFormat::Ocsf) => Err(not_available("--format ocsf", "use `--format ecs`")),
            Some(format) => Ok(format),
            None if context.stdout_is_terminal => Ok(AlertFormat::Text),
            None => Ok(AlertFormat::Ecs),
        }
    }
}

/// Refuses, by its name, what the contract knows and this version lacks.
pub(crate) fn not_available(what: &str, hint: &str) -> Exit {
    report::error(format_args!("`{what}` is not available in this version"), Some(hint));
    Exit::Usage
}

/// A cluster's name: not empty, printable, bounded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster(pub String);

impl Default for Cluster {
    fn default() -> Cluster {
        Cluster("default".to_owned())
    }
}

impl std::str::FromStr for Cluster {
    type Err = String;

    fn from_str(text: &str) -> Result<Cluster, String> {
        if text.trim().is_empty() {
            return Err("must not be empty".to_owned());
        }
        if text.len() > limits::NAME_MAX_BYTES || text.chars().any(char::is_control) {
            let max = limits::NAME_MAX_BYTES;
            return Err(format!("must be printable and at most {max} bytes long"));
        }
        Ok(Cluster(text.to_owned()))
    }
}

impl std::fmt::Display for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Milliseconds, for arguments like `7d`.
pub(crate) fn duration_ms(text: &str) -> Result<i64, String> {
    duration::parse_duration_ms(text).map_err(|error| one_line(&error.to_string()))
}

/// A learning period: at most the longest window.
pub(crate) fn learning_ms(text: &str) -> Result<i64, String> {
    let ms = duration_ms(text)?;
    if ms > limits::WINDOW_MAX_MS {
        let max = duration::format_duration(limits::WINDOW_MAX_MS);
        return Err(format!("more than `{max}`"));
    }
    Ok(ms)
}

/// How long something is waited for: at least as long as one request, at most an hour.
pub(crate) fn wait(text: &str) -> Result<Duration, String> {
    let ms = u64::try_from(duration_ms(text)?).unwrap_or(0);
    let wait = Duration::from_millis(ms);
    if (WAIT_MIN..=WAIT_MAX).contains(&wait) {
        return Ok(wait);
    }
    Err("not from `100ms` to `1h`".to_owned())
}

const WAIT_MIN: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_secs(3_600);

/// clap puts the text of an error into a line of its own making.
fn one_line(text: &str) -> String {
    let (message, hint) = report::split_hint(text);
    match hint {
        Some(hint) => format!("{message}; {hint}"),
        None => message.to_owned(),
    }
}

/// A moment in time: a timestamp, or so long before now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Milliseconds since the epoch.
    At(i64),
    /// Milliseconds before now.
    Ago(i64),
}

impl Moment {
    /// Milliseconds since the epoch.
    pub fn resolve_ms(self, now_ms: i64) -> i64 {
        match self {
            Moment::At(ms) => ms,
            Moment::Ago(ms) => now_ms.saturating_sub(ms),
        }
    }
}

impl std::str::FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Moment, String> {
        if let Ok(timestamp) = text.parse::<jiff::Timestamp>() {
            return Ok(Moment::At(timestamp.as_millisecond()));
        }
        if let Ok(ago_ms) = duration::parse_duration_ms(text) {
            return Ok(Moment::Ago(ago_ms));
        }
        // A date alone is its first moment in UTC, like the times of audit events.
        let is_date = text.len() == "2026-01-31".len();
        if is_date && let Ok(midnight) = format!("{text}T00:00:00Z").parse::<jiff::Timestamp>() {
            return Ok(Moment::At(midnight.as_millisecond()));
        }
        Err("no moment in time; write e.g. 2026-01-31T09:30:00Z, 2026-01-31 or 2h (ago)".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_has_bounds() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(wait(text).ok(), expected.map(Duration::from_millis), "{text}");
        };
        check("100ms", Some(100));
        check("5s", Some(5_000));
        check("1h", Some(3_600_000));
        check("99ms", None);
        check("61m", None);
        check("5", None);
    }

    #[test]
    fn a_moment_is_a_timestamp_a_date_or_a_time_ago() {
        let check = |text: &str, expected: Option<Moment>| {
            assert_eq!(text.parse::<Moment>().ok(), expected, "{text}");
        };
        check("1970-01-01T00:00:01Z", Some(Moment::At(1_000)));
        check("1970-01-01T01:00:00.5+01:00", Some(Moment::At(500)));
        check("1970-01-02", Some(Moment::At(limits::DAY_MS)));
        check("90m", Some(Moment::Ago(5_400_000)));
        check("yesterday", None);
        check("", None);
        check("1970-13-01", None);
        assert_eq!(Moment::Ago(1).resolve_ms(i64::MIN), i64::MIN);
        assert_eq!(Moment::Ago(400).resolve_ms(1_000), 600);
        assert_eq!(Moment::At(400).resolve_ms(1_000), 400);
    }
}
