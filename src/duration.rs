//! Durations and sizes as people write them: `250ms`, `7d`, `64MiB`.
//!
//! Owns the two notations of rule files, the configuration and the command line. A value is a
//! whole number with a unit; there are no fractions and no sums, so each value has one reading.

use thiserror::Error;

use crate::limits::{DAY_MS, HOUR_MS, SECOND_MS};

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UnitError {
    #[error(
        "`{text}` is no {what}\n\nhint: write a whole number and a unit, e.g. `{example}` (units: {units})"
    )]
    Malformed { text: String, what: &'static str, example: &'static str, units: &'static str },
    #[error("`{text}` is too large for a {what}")]
    TooLarge { text: String, what: &'static str },
}

/// A kind of quantity: its name, an example, and its units with what each is worth.
struct Quantity {
    what: &'static str,
    example: &'static str,
    units_text: &'static str,
    units: &'static [(&'static str, u64)],
}

const DURATION: Quantity = Quantity {
    what: "duration",
    example: "5m",
    units_text: "ms, s, m, h, d",
    units: &[
        ("ms", 1),
        ("s", SECOND_MS as u64),
        ("m", 60 * SECOND_MS as u64),
        ("h", HOUR_MS as u64),
        ("d", DAY_MS as u64),
    ],
};

const SIZE: Quantity = Quantity {
    what: "size",
    example: "64MiB",
    units_text: "B, KiB, MiB, GiB, TiB, kB, MB, GB, TB",
    units: &[
        ("B", 1),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
    ],
};

impl Quantity {
    fn parse(&self, text: &str, max: u64) -> Result<u64, UnitError> {
        let malformed = || UnitError::Malformed {
            text: text.to_owned(),
            what: self.what,
            example: self.example,
            units: self.units_text,
        };
        let too_large = || UnitError::TooLarge { text: text.to_owned(), what: self.what };
        let trimmed = text.trim();
        let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = trimmed.split_at(digits);
        let unit = unit.trim_start();
        let factor = self.units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
        let (Some(factor), false) = (factor, number.is_empty()) else { return Err(malformed()) };
        // Digits alone fail to parse only by being too many.
        let number: u64 = number.parse().map_err(|_| too_large())?;
        number.checked_mul(factor).filter(|value| *value <= max).ok_or_else(too_large)
    }
}

/// Reads `250ms`, `30s`, `5m`, `8h` or `7d` into milliseconds. Never negative.
pub fn parse_duration_ms(text: &str) -> Result<i64, UnitError> {
    DURATION.parse(text, i64::MAX as u64).map(|ms| ms as i64)
}

/// Writes milliseconds with the largest unit that leaves a whole number, so that
/// [`parse_duration_ms`] reads the same value back. Zero is `0s`.
pub fn format_duration(ms: i64) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    let sign = if ms < 0 { "-" } else { "" };
    let amount = ms.unsigned_abs();
    let (unit, factor) = DURATION
        .units
        .iter()
        .rev()
        .find(|(_, factor)| amount.is_multiple_of(*factor))
        .copied()
        .unwrap_or(("ms", 1));
    format!("{sign}{}{unit}", amount / factor)
}

/// Reads `512B`, `64MiB` or `10MB` into bytes.
pub fn parse_size_bytes(text: &str) -> Result<u64, UnitError> {
    SIZE.parse(text, u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_durations_with_every_unit() {
        for (text, ms) in [
            ("0s", 0),
            ("250ms", 250),
            ("30s", 30_000),
            ("5m", 300_000),
            ("8h", 28_800_000),
            ("7d", 604_800_000),
            (" 7 d ", 604_800_000),
        ] {
            assert_eq!(parse_duration_ms(text), Ok(ms), "{text}");
        }
    }

    #[test]
    fn refuses_what_has_no_unit_or_no_number() {
        for text in ["", "7", "d", "7 days", "-1s", "1.5h", "1h30m", "7D", "½d", "٣d"] {
            assert!(
                matches!(parse_duration_ms(text), Err(UnitError::Malformed { .. })),
                "{text}: {:?}",
                parse_duration_ms(text)
            );
        }
        let message = parse_duration_ms("7 days").unwrap_err().to_string();
        assert!(message.starts_with("`7 days` is no duration\n\nhint: "), "{message}");
    }

    #[test]
    fn refuses_what_does_not_fit() {
        for text in ["106751991168d", "99999999999999999999999s", "9223372036854775808ms"] {
            assert!(matches!(parse_duration_ms(text), Err(UnitError::TooLarge { .. })), "{text}");
        }
        assert_eq!(parse_duration_ms("9223372036854775807ms"), Ok(i64::MAX));
        assert!(parse_size_bytes("16777216TiB").is_err());
    }

    #[test]
    fn reads_sizes_with_binary_and_decimal_units() {
        for (text, bytes) in [
            ("0B", 0),
            ("512B", 512),
            ("4KiB", 4_096),
            ("64MiB", 67_108_864),
            ("2GiB", 2_147_483_648),
            ("10MB", 10_000_000),
            ("3kB", 3_000),
        ] {
            assert_eq!(parse_size_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["64", "64mib", "MiB", "1 megabyte"] {
            assert!(parse_size_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn formats_with_the_largest_whole_unit() {
        for (ms, text) in
            [(0, "0s"), (604_800_000, "7d"), (90_000, "90s"), (1_500, "1500ms"), (-60_000, "-1m")]
        {
            assert_eq!(format_duration(ms), text);
        }
    }

    proptest! {
        #[test]
        fn reading_returns_what_was_formatted(ms in 0..=i64::MAX) {
            prop_assert_eq!(parse_duration_ms(&format_duration(ms)), Ok(ms));
        }

        #[test]
        fn never_panics(text in "\\PC*") {
            let _ = parse_duration_ms(&text);
            let _ = parse_size_bytes(&text);
        }

        #[test]
        fn formats_any_number(ms in any::<i64>()) {
            let _ = format_duration(ms);
        }
    }
}
