//! One value: from TOML or from plain text to what its key's type demands.
//!
//! Pure. It checks types and ranges, not meaning.

use toml::de::{DeTable, DeValue};

use super::error::{Expected, Found, ProblemKind, visible};
use super::keys::{Key, Kind};
use crate::duration;

/// A value of the type that its key has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    List(Vec<String>),
    Boolean(bool),
    Integer(i64),
    DurationMs(i64),
    SizeBytes { bytes: u64, text: String },
}

impl Value {
    /// As JSON; durations and sizes are their text.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.as_slice().into(),
            Value::Boolean(value) => (*value).into(),
            Value::Integer(value) => (*value).into(),
            Value::DurationMs(ms) => duration::format_duration(*ms).into(),
            Value::SizeBytes { text, .. } => text.as_str().into(),
        }
    }

    /// As it would stand in the file.
    pub fn to_toml(&self) -> String {
        match self {
            Value::Text(text) => toml_text(text),
            Value::List(items) => {
                let items: Vec<String> = items.iter().map(|item| toml_text(item)).collect();
                format!("[{}]", items.join(", "))
            }
            Value::Boolean(value) => value.to_string(),
            Value::Integer(value) => value.to_string(),
            Value::DurationMs(ms) => toml_text(&duration::format_duration(*ms)),
            Value::SizeBytes { text, .. } => toml_text(text),
        }
    }
}

/// A TOML basic string.
pub(crate) fn toml_text(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// How plain text from outside the file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quotes {
    /// An environment variable: texts are taken as they are.
    Literal,
    /// `--set`: a text may be a quoted TOML string.
    Toml,
}

/// Reads a value of the file.
pub(crate) fn from_toml(key: &Key, value: &DeValue<'_>) -> Result<Value, ProblemKind> {
    let wrong = || wrong_type(key, found(value));
    match key.kind {
        Kind::Boolean => value.as_bool().map(Value::Boolean).ok_or_else(wrong),
        Kind::Integer { .. } => {
            let integer = value.as_integer().ok_or_else(wrong)?;
            let number = i64::from_str_radix(integer.as_str(), integer.radix()).map_err(|_| {
                invalid(key, format!("`{}` is too large", visible(integer.as_str())))
            })?;
            ranged(key, number)
        }
        Kind::List => {
            let items = value.as_array().ok_or_else(wrong)?;
            let texts = items.iter().map(|item| match item.get_ref() {
                DeValue::String(text) => Ok(text.clone().into_owned()),
                other => Err(wrong_type(key, Found::ListWith(Box::new(found(other))))),
            });
            texts.collect::<Result<_, _>>().map(Value::List)
        }
        Kind::Text | Kind::Duration { .. } | Kind::Size { .. } | Kind::Choice { .. } => {
            text_value(key, value.as_str().ok_or_else(wrong)?)
        }
    }
}

/// Reads a value of an environment variable or of `--set`.
pub(crate) fn from_text(key: &Key, text: &str, quotes: Quotes) -> Result<Value, ProblemKind> {
    match key.kind {
        Kind::Boolean => match text.trim() {
            "true" => Ok(Value::Boolean(true)),
            "false" => Ok(Value::Boolean(false)),
            other => Err(wrong_type(key, Found::Written(other.to_owned()))),
        },
        Kind::Integer { .. } => {
            let wrong = |_| wrong_type(key, Found::Written(text.to_owned()));
            let number = text.trim().parse().map_err(wrong)?;
            ranged(key, number)
        }
        Kind::List if text.trim_start().starts_with('[') => {
            let value = DeValue::parse(text.trim()).map_err(|error| {
                invalid(key, format!("invalid TOML array: {}", visible(error.message())))
            })?;
            from_toml(key, value.get_ref())
        }
        Kind::List => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Ok(Value::List(items.map(str::to_owned).collect()))
        }
        Kind::Text | Kind::Duration { .. } | Kind::Size { .. } | Kind::Choice { .. } => {
            text_value(key, &unquote(text, quotes))
        }
    }
}

/// The text of a quoted TOML string where `quotes` allows it, else the text itself.
pub(crate) fn unquote(text: &str, quotes: Quotes) -> String {
    if quotes == Quotes::Toml
        && text.starts_with(['"', '\''])
        && let Ok(value) = DeValue::parse(text)
        && let Some(text) = value.get_ref().as_str()
    {
        return text.to_owned();
    }
    text.to_owned()
}

/// A value of a property of librdkafka as the library wants it, `None` for what is no scalar.
pub(crate) fn property_text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.clone().into_owned()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(|n| n.to_string())
        }
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(value) => Some(value.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// The entries of a table, with the byte offset of each one's name.
pub(crate) fn entries<'a, 'i>(
    table: &'a DeTable<'i>,
) -> impl Iterator<Item = (&'a str, usize, &'a DeValue<'i>)> {
    table.iter().map(|(name, value)| (name.get_ref().as_ref(), name.span().start, value.get_ref()))
}

fn text_value(key: &Key, text: &str) -> Result<Value, ProblemKind> {
    match key.kind {
        Kind::Duration { max_ms } => {
            let ms = duration::parse_duration_ms(text).map_err(|error| unit_error(key, &error))?;
            if ms > max_ms {
                let max = duration::format_duration(max_ms);
                return Err(invalid(key, format!("`{}` is more than `{max}`", visible(text))));
            }
            Ok(Value::DurationMs(ms))
        }
        Kind::Size { min_bytes, max_bytes } => {
            let bytes =
                duration::parse_size_bytes(text).map_err(|error| unit_error(key, &error))?;
            if !(min_bytes..=max_bytes).contains(&bytes) {
                let range = format!("{} MiB to {} MiB", min_bytes >> 20, max_bytes >> 20);
                return Err(invalid(key, format!("`{}` is not within {range}", visible(text))));
            }
            Ok(Value::SizeBytes { bytes, text: text.trim().to_owned() })
        }
        Kind::Choice { values, later } => {
            if later.contains(&text) {
                return Err(ProblemKind::NotAvailable {
                    key: key.path.to_owned(),
                    value: text.to_owned(),
                    available: values.join("\" or \""),
                });
            }
            if !values.contains(&text) {
                let values = values.join("\" or \"");
                return Err(invalid(key, format!("{} is not \"{values}\"", quoted(text))));
            }
            Ok(Value::Text(text.to_owned()))
        }
        _ => Ok(Value::Text(text.to_owned())),
    }
}

fn ranged(key: &Key, number: i64) -> Result<Value, ProblemKind> {
    if let Kind::Integer { min, max } = key.kind
        && !(min..=max).contains(&number)
    {
        return Err(invalid(key, format!("{number} is not within {min} to {max}")));
    }
    Ok(Value::Integer(number))
}

fn found(value: &DeValue<'_>) -> Found {
    match value {
        DeValue::String(text) => Found::Text(text.clone().into_owned()),
        DeValue::Integer(number) => Found::Number(number.as_str().to_owned()),
        DeValue::Float(number) => Found::Number(number.as_str().to_owned()),
        DeValue::Boolean(value) => Found::Boolean(*value),
        DeValue::Datetime(_) => Found::Date,
        DeValue::Array(_) => Found::List,
        DeValue::Table(_) => Found::Table,
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", visible(text))
}

fn wrong_type(key: &Key, found: Found) -> ProblemKind {
    ProblemKind::WrongType { key: key.path.to_owned(), expected: Expected::Value(key.kind), found }
}

fn invalid(key: &Key, message: String) -> ProblemKind {
    ProblemKind::Invalid { key: key.path.to_owned(), message, hint: None }
}

/// The reader's own text; a hint follows it after a blank line.
fn unit_error(key: &Key, error: &dyn std::fmt::Display) -> ProblemKind {
    let text = error.to_string();
    let (message, hint) = match text.split_once("\n\nhint: ") {
        Some((message, hint)) => (message, Some(hint.to_owned())),
        None => (text.as_str(), None),
    };
    ProblemKind::Invalid { key: key.path.to_owned(), message: visible(message), hint }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys;

    #[test]
    fn every_default_is_a_valid_value_of_its_key_and_prints_as_itself() {
        for key in keys::KEYS {
            let parsed = DeValue::parse(key.default).unwrap();
            let value = from_toml(key, parsed.get_ref()).unwrap();
            assert_eq!(value.to_toml(), key.default, "{}", key.path);
        }
    }

    #[test]
    fn text_is_read_by_the_type_of_its_key() {
        let check = |path: &str, text: &str, quotes, expected: &str| {
            let value = from_text(keys::find(path).unwrap(), text, quotes).unwrap();
            assert_eq!(value.to_toml(), expected, "{path}={text}");
        };
        check("cluster", "123", Quotes::Literal, "\"123\"");
        check("cluster", "123", Quotes::Toml, "\"123\"");
        check("cluster", "\"a b\"", Quotes::Toml, "\"a b\"");
        check("cluster", "'a\\b'", Quotes::Toml, r#""a\\b""#);
        check("cluster", "\"a\"", Quotes::Literal, r#""\"a\"""#);
        check("cluster", "\"open", Quotes::Toml, r#""\"open""#);
        check("source.topics", "a, b,,c ", Quotes::Literal, r#"["a", "b", "c"]"#);
        check("source.topics", "[\"a,b\"]", Quotes::Literal, r#"["a,b"]"#);
        check("source.topics", "", Quotes::Toml, "[]");
        check("topics.create", "false", Quotes::Literal, "false");
        check("observations.partitions", " 7 ", Quotes::Literal, "7");
        check("new_terms.learning", "120m", Quotes::Toml, "\"2h\"");
        check("detect.max_in_flight_bytes", "2MiB", Quotes::Toml, "\"2MiB\"");
    }

    #[test]
    fn toml_text_reads_back() {
        for text in ["", "plain", "a\"b\\c", "tab\tnl\nnul\0del\u{7f}", "ü\u{2028}"] {
            let literal = toml_text(text);
            let parsed = DeValue::parse(&literal).unwrap();
            assert_eq!(parsed.get_ref().as_str(), Some(text));
        }
    }
}
