//! The form of a case in a file. Shapes only: what they mean is for the module above.

use std::fmt;

use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use toml::Spanned;

/// One table of `tests`. Unknown keys are refused.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseEntry {
    pub name: Spanned<String>,
    /// What came before the events; what it raises does not count.
    pub given: Option<Spanned<InputsEntry>>,
    pub events: Spanned<InputsEntry>,
    pub expect: Option<Expect>,
    /// How many alerts there must be.
    pub alerts: Option<Spanned<u32>>,
    /// What the alerts must hold.
    pub fields: Option<Spanned<FieldsEntry>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expect {
    /// At least one.
    Alert,
    None,
}

/// Events.
#[derive(Debug, Clone)]
pub enum InputsEntry {
    /// JSON documents, one after the other.
    Text(String),
    List(Vec<Spanned<InputEntry>>),
}

#[derive(Debug, Clone)]
pub enum InputEntry {
    /// JSON documents, one after the other.
    Text(String),
    /// An event, or `file` alone.
    Table(Vec<(Spanned<String>, toml::Value)>),
}

/// Expected fields.
#[derive(Debug, Clone)]
pub enum FieldsEntry {
    Each(Vec<FieldEntry>),
    OneByOne(Vec<Vec<FieldEntry>>),
}

#[derive(Debug, Clone)]
pub struct FieldEntry {
    pub name: Spanned<String>,
    pub value: toml::Value,
}

// By hand: what serde derives for one of several forms forgets the places and says no more than
// that none of them fits.

impl<'de> Deserialize<'de> for InputsEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Inputs;
        impl<'de> Visitor<'de> for Inputs {
            type Value = InputsEntry;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON in a text, or a list of events")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<InputsEntry, E> {
                Ok(InputsEntry::Text(text.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<InputsEntry, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = list.next_element()? {
                    entries.push(entry);
                }
                Ok(InputsEntry::List(entries))
            }
        }
        deserializer.deserialize_any(Inputs)
    }
}

impl<'de> Deserialize<'de> for InputEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Input;
        impl<'de> Visitor<'de> for Input {
            type Value = InputEntry;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an event: a table, or JSON in a text")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<InputEntry, E> {
                Ok(InputEntry::Text(text.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<InputEntry, A::Error> {
                let mut keys = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    keys.push(entry);
                }
                Ok(InputEntry::Table(keys))
            }
        }
        deserializer.deserialize_any(Input)
    }
}

impl<'de> Deserialize<'de> for FieldsEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = FieldsEntry;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of fields and values, or a list with one for each alert")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<FieldsEntry, A::Error> {
                let mut lists = Vec::new();
                while let Some(OneAlert(fields)) = list.next_element()? {
                    lists.push(fields);
                }
                Ok(FieldsEntry::OneByOne(lists))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FieldsEntry, A::Error> {
                entries(map).map(FieldsEntry::Each)
            }
        }
        deserializer.deserialize_any(Fields)
    }
}

struct OneAlert(Vec<FieldEntry>);

impl<'de> Deserialize<'de> for OneAlert {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = OneAlert;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of fields and values")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OneAlert, A::Error> {
                entries(map).map(OneAlert)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

fn entries<'de, A: MapAccess<'de>>(mut map: A) -> Result<Vec<FieldEntry>, A::Error> {
    let mut fields = Vec::new();
    while let Some((name, value)) = map.next_entry()? {
        fields.push(FieldEntry { name, value });
    }
    Ok(fields)
}
