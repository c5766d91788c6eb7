//! Durations and sizes as people write them: `250ms`, `7d`, `64MiB`.

use thiserror::Error;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{text}` is no duration\n\nhint: write a whole number and a unit, e.g. `5m` (units: ms, s, m, h, d)"
)]
pub struct DurationError {
    text: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{text}` is no size\n\nhint: write a whole number and a unit, e.g. `64MiB` (units: B, KiB, MiB, GiB)"
)]
pub struct SizeError {
    text: String,
}

const DURATION_UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZE_UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

fn parse(text: &str, units: &[(&str, u64)], max: u64) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor).filter(|value| *value <= max)
}

/// Reads `250ms`, `5m` or `7d` into milliseconds. Never negative.
pub fn parse_duration_ms(text: &str) -> Result<i64, DurationError> {
    parse(text, &DURATION_UNITS, i64::MAX as u64)
        .map(|value| value as i64)
        .ok_or_else(|| DurationError { text: text.to_owned() })
}

/// The shortest text that reads back as `ms`.
pub fn format_duration(ms: i64) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    let (unit, factor) = DURATION_UNITS
        .iter()
        .rev()
        .find(|(_, factor)| ms % *factor as i64 == 0)
        .copied()
        .unwrap_or(("ms", 1));
    format!("{}{unit}", ms / factor as i64)
}

/// Reads `64MiB` into bytes.
pub fn parse_size_bytes(text: &str) -> Result<u64, SizeError> {
    parse(text, &SIZE_UNITS, u64::MAX).ok_or_else(|| SizeError { text: text.to_owned() })
}
