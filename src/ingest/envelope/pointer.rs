//! One field of a record by its JSON pointer.
//!
//! Owns the reading of a field that the configuration names, such as the name of the cluster.
//! Everything else of the record is skipped unread.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::compressed::{Expansion, is_gzip};
use crate::limits;

/// The string or number at `pointer` (RFC 6901) in the first document of a record, after gzip.
/// Nothing where the record does not reach so far or the value is of another type.
pub fn field_at(record: &[u8], pointer: &str) -> Option<String> {
    if record.len() > limits::RECORD_MAX_BYTES {
        return None;
    }
    let steps: Vec<String> = match pointer.strip_prefix('/') {
        Some(rest) => {
            rest.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect()
        }
        None if pointer.is_empty() => Vec::new(),
        None => return None,
    };
    if steps.len() > limits::JSON_MAX_DEPTH {
        return None;
    }
    let text;
    let record = if is_gzip(record) {
        text = Expansion::new().gunzip(record).ok()?;
        &text
    } else {
        record
    };
    let record = record.strip_prefix(b"\xef\xbb\xbf").unwrap_or(record);
    let mut deserializer = serde_json::Deserializer::from_slice(record);
    Steps(&steps).deserialize(&mut deserializer).ok().flatten()
}

/// What is left of the way to the field.
struct Steps<'p>(&'p [String]);

impl<'de> DeserializeSeed<'de> for Steps<'_> {
    type Value = Option<String>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Steps<'_> {
    fn here(&self, text: impl FnOnce() -> String) -> Option<String> {
        self.0.is_empty().then(text)
    }
}

impl<'de> Visitor<'de> for Steps<'_> {
    type Value = Option<String>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(self.here(|| value.to_string()))
    }
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(self.here(|| value.to_string()))
    }
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(self.here(|| value.to_string()))
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(self.here(|| text.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let wanted = self.0.split_first().and_then(|(step, rest)| {
            // RFC 6901 allows no leading zeros and no sign.
            let index: usize = step.parse().ok()?;
            (index.to_string() == *step).then_some((index, rest))
        });
        let mut found = None;
        if let Some((index, rest)) = wanted {
            for _ in 0..index {
                if list.next_element::<IgnoredAny>()?.is_none() {
                    return Ok(None);
                }
            }
            found = list.next_element_seed(Steps(rest))?.flatten();
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = object.next_key_seed(KeySeed(self.0.first().map(String::as_str)))? {
            match self.0.split_first() {
                Some((_, rest)) if key => found = object.next_value_seed(Steps(rest))?,
                _ => {
                    object.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }
}

/// Whether a key is the wanted one.
struct KeySeed<'p>(Option<&'p str>);

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = bool;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeySeed<'_> {
    type Value = bool;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<bool, E> {
        Ok(self.0 == Some(text))
    }
}
