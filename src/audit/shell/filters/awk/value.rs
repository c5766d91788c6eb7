//! Values of `awk`: numbers, strings, and strings that came from the input, which are numbers where
//! they look like one.

use std::cmp::Ordering;

#[derive(Debug, Clone, Default)]
pub(super) enum Value {
    #[default]
    Unset,
    Number(f64),
    Text(String),
    /// From the input.
    Input(String),
}

impl Value {
    pub fn number(&self) -> f64 {
        match self {
            Value::Unset => 0.0,
            Value::Number(number) => *number,
            Value::Text(text) | Value::Input(text) => leading_number(text),
        }
    }

    pub fn text(&self) -> String {
        match self {
            Value::Unset => String::new(),
            Value::Number(number) => number_text(*number),
            Value::Text(text) | Value::Input(text) => text.clone(),
        }
    }

    pub fn holds(&self) -> bool {
        match self {
            Value::Unset => false,
            Value::Number(number) => *number != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::Input(text) => match whole_number(text) {
                Some(number) => number != 0.0,
                None => !text.is_empty(),
            },
        }
    }

    /// As a number, where it is compared as one.
    fn numeric(&self) -> Option<f64> {
        match self {
            Value::Unset => Some(0.0),
            Value::Number(number) => Some(*number),
            Value::Text(_) => None,
            Value::Input(text) => whole_number(text),
        }
    }

    pub fn compare(&self, other: &Value) -> Ordering {
        match self.numeric().zip(other.numeric()) {
            Some((a, b)) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
            None => self.text().cmp(&other.text()),
        }
    }
}

fn whole_number(text: &str) -> Option<f64> {
    let text = text.trim();
    let plain =
        text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    if plain { text.parse().ok() } else { None }
}

fn leading_number(text: &str) -> f64 {
    let text = text.trim_start();
    let sign = text.len() - text.strip_prefix(['+', '-']).unwrap_or(text).len();
    let (mut point, mut end) = (false, sign);
    for byte in text.bytes().skip(sign) {
        match byte {
            b'0'..=b'9' => {}
            b'.' if !point => point = true,
            _ => break,
        }
        end += 1;
    }
    let exponent = text.get(end..).unwrap_or_default();
    if let Some(digits) = exponent.strip_prefix(['e', 'E']) {
        let unsigned = digits.strip_prefix(['+', '-']).unwrap_or(digits);
        let count = unsigned.bytes().take_while(u8::is_ascii_digit).count();
        if count > 0 {
            end += 1 + digits.len() - unsigned.len() + count;
        }
    }
    text.get(..end).unwrap_or_default().parse().unwrap_or(0.0)
}

/// Whole numbers as they are, others with six significant digits, as `%.6g` does.
pub(super) fn number_text(number: f64) -> String {
    if number == number.trunc() && number.abs() < 1e16 {
        return format!("{}", number as i64);
    }
    if !number.is_finite() {
        return number.to_string().to_ascii_lowercase();
    }
    let scientific = format!("{number:.5e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| {
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text.to_owned()
        }
    };
    if (-5..6).contains(&exponent) {
        let decimals = usize::try_from(5 - exponent).unwrap_or(0);
        return trim(&format!("{number:.decimals$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trim(digits), exponent.abs())
}
