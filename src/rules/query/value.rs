//! What texts are as numbers, times and addresses.
//!
//! Source of the date format: Elasticsearch `strict_date_optional_time||epoch_millis`, in UTC.

use std::cmp::Ordering;
use std::net::IpAddr;

use jiff::civil::{Date, Time};
use jiff::tz::Offset;

/// A number of a query or of an event's JSON.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Integer(i64),
    /// Above `i64`, or with a fraction or an exponent.
    Float(f64),
}

impl Number {
    /// A decimal number with an optional fraction and exponent.
    pub fn parse(text: &str) -> Option<Number> {
        let plain = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
        if !text.bytes().all(plain) || !text.bytes().any(|byte| byte.is_ascii_digit()) {
            return None;
        }
        if let Ok(number) = text.parse() {
            return Some(Number::Integer(number));
        }
        text.parse().ok().filter(|number: &f64| number.is_finite()).map(Number::Float)
    }

    /// Without its fraction, as an integer field stores it.
    pub fn truncated(self) -> Number {
        match self {
            // The conversion saturates, and no status code comes near.
            Number::Float(number) => Number::Integer(number as i64),
            integer => integer,
        }
    }

    pub fn compare(self, other: Number) -> Ordering {
        match (self, other) {
            (Number::Integer(a), Number::Integer(b)) => a.cmp(&b),
            // Neither is ever NaN.
            (a, b) => a.float().partial_cmp(&b.float()).unwrap_or(Ordering::Equal),
        }
    }

    fn float(self) -> f64 {
        match self {
            Number::Integer(number) => number as f64,
            Number::Float(number) => number,
        }
    }
}

/// A time that is known to some precision: the first and last millisecond that it may be, since
/// 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instant {
    pub first_ms: i64,
    pub last_ms: i64,
}

impl Instant {
    /// `2026-11-23T07:16:11.206Z`, from the year alone to nanoseconds, with an optional offset
    /// after a time; or milliseconds since 1970, unless it is four digits, which are a year.
    pub fn parse(text: &str) -> Option<Instant> {
        let mut reader = Reader(text);
        let date = reader.date();
        if let Some(instant) = date {
            return Some(instant);
        }
        let digits = text.strip_prefix('-').unwrap_or(text);
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let millis = text.parse().ok().filter(|_| plain)?;
        Some(Instant { first_ms: millis, last_ms: millis })
    }
}

/// Reads a date from the front of a text.
struct Reader<'t>(&'t str);

impl Reader<'_> {
    fn date(&mut self) -> Option<Instant> {
        let (mut parts, mut count) = ([1, 1, 1, 0, 0, 0], 1);
        parts[0] = self.digits(4)?;
        for (nth, separator) in [(1, '-'), (2, '-'), (3, 'T'), (4, ':'), (5, ':')] {
            if !self.eat(separator) {
                break;
            }
            // Nothing has to follow the `T`.
            if separator == 'T' && (self.0.is_empty() || self.0 == "Z") {
                break;
            }
            parts[nth] = self.digits(2)?;
            count = nth + 1;
        }
        let [year, month, day, hour, minute, second] = parts;
        let narrow = |part: i64| i8::try_from(part).ok();
        let mut millis = 0;
        let mut has_fraction = false;
        if count == 6 && (self.eat('.') || self.eat(',')) {
            let digits = self.0.bytes().take_while(u8::is_ascii_digit).count();
            if !(1..=9).contains(&digits) {
                return None;
            }
            let fraction = format!("{:0<3}", &self.0[..digits]);
            millis = fraction[..3].parse().ok()?;
            self.0 = &self.0[digits..];
            has_fraction = true;
        }
        let offset = if count >= 4 || self.0 == "Z" { self.offset()? } else { Offset::UTC };
        if !self.0.is_empty() {
            return None;
        }
        let at = |month, day, hour, minute, second, millis: i32| {
            let date = Date::new(i16::try_from(year).ok()?, narrow(month)?, day).ok()?;
            let time =
                Time::new(narrow(hour)?, narrow(minute)?, narrow(second)?, millis * 1_000_000)
                    .ok()?;
            offset.to_timestamp(date.to_datetime(time)).ok().map(|time| time.as_millisecond())
        };
        let last = |nth: usize, part: i64, most: i64| if count > nth { part } else { most };
        let last_month = last(1, month, 12);
        let last_day = match count {
            0..3 => {
                Date::new(i16::try_from(year).ok()?, narrow(last_month)?, 1).ok()?.days_in_month()
            }
            _ => narrow(day)?,
        };
        Some(Instant {
            first_ms: at(month, narrow(day)?, hour, minute, second, millis)?,
            last_ms: at(
                last_month,
                last_day,
                last(3, hour, 23),
                last(4, minute, 59),
                last(5, second, 59),
                if has_fraction { millis } else { 999 },
            )?,
        })
    }

    /// `Z`, `+01`, `+0100`, `+01:00` or nothing.
    fn offset(&mut self) -> Option<Offset> {
        if self.0.is_empty() || self.eat('Z') {
            return Some(Offset::UTC);
        }
        let sign = if self.eat('-') { -1 } else { 1 };
        if sign == 1 && !self.eat('+') {
            return None;
        }
        let hours = self.digits(2)?;
        self.eat(':');
        let minutes = if self.0.is_empty() { 0 } else { self.digits(2)? };
        let seconds = i32::try_from(sign * (hours * 3_600 + minutes * 60)).ok()?;
        Offset::from_seconds(seconds).ok().filter(|_| hours <= 18 && minutes < 60)
    }

    fn digits(&mut self, count: usize) -> Option<i64> {
        let digits = self.0.get(..count)?;
        let number = digits.parse().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()))?;
        self.0 = &self.0[count..];
        Some(number)
    }

    fn eat(&mut self, c: char) -> bool {
        let rest = self.0.strip_prefix(c);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }
}

/// Addresses as 128 bits, those of IPv4 mapped into IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    pub first: u128,
    pub last: u128,
}

impl Network {
    /// An address, or a prefix with its length; bits beyond the length do not count.
    pub fn parse(text: &str) -> Option<Network> {
        let Some((address, length)) = text.split_once('/') else {
            let address = parse_address(text)?;
            return Some(Network { first: address, last: address });
        };
        let plain = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
        let length: u32 = length.parse().ok().filter(|_| plain)?;
        let (bits, length) = match address.parse().ok()? {
            IpAddr::V4(address) if length <= 32 => {
                (address.to_ipv6_mapped().to_bits(), 96 + length)
            }
            IpAddr::V6(address) if length <= 128 => (address.to_bits(), length),
            _ => return None,
        };
        let host = u128::MAX.checked_shr(length).unwrap_or(0);
        Some(Network { first: bits & !host, last: bits | host })
    }

    /// Whether the text is an address within it. An IPv4 address and the same within IPv6 are one.
    pub fn holds(&self, address: &str) -> bool {
        parse_address(address).is_some_and(|address| (self.first..=self.last).contains(&address))
    }

    /// Whether it holds every IPv4 address.
    pub fn is_all(&self) -> bool {
        self.holds("0.0.0.0") && self.holds("255.255.255.255")
    }
}

pub(super) fn parse_address(text: &str) -> Option<u128> {
    match text.parse().ok()? {
        IpAddr::V4(address) => Some(address.to_ipv6_mapped().to_bits()),
        IpAddr::V6(address) => Some(address.to_bits()),
    }
}

#[cfg(test)]
#[path = "value_tests.rs"]
mod tests;
