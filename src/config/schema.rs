//! The JSON Schema of the configuration file, made from the table of keys.

use serde_json::{Map, Value, json};
use toml::de::DeValue;

use super::keys::{self, KEYS, Kind};
use super::raw;

/// JSON Schema (draft 2020-12) of the file, for editors. It checks names, types and ranges;
/// `config check` knows more.
pub fn schema() -> Value {
    let mut root = Map::new();
    let mut tables: Vec<(&str, Map<String, Value>)> = Vec::new();
    for key in KEYS {
        let (table, name) = keys::split(key.path);
        let mut schema = kind(key.kind);
        schema.insert("description".to_owned(), key.about.join(" ").into());
        if let Ok(default) = DeValue::parse(key.default)
            && let Ok(default) = raw::from_toml(key, default.get_ref())
        {
            schema.insert("default".to_owned(), default.to_json());
        }
        if table.is_empty() {
            root.insert(name.to_owned(), schema.into());
            continue;
        }
        if tables.last().is_none_or(|(last, _)| *last != table) {
            tables.push((table, Map::new()));
        }
        if let Some((_, keys)) = tables.last_mut() {
            keys.insert(name.to_owned(), schema.into());
        }
    }
    for (table, mut keys) in tables {
        if table == "kafka" {
            keys.insert("properties".to_owned(), json!({ "$ref": "#/$defs/properties" }));
        }
        let schema = json!({
            "type": "object", "properties": keys, "additionalProperties": false,
        });
        root.insert(table.to_owned(), schema);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "kubetell configuration",
        "type": "object",
        "properties": root,
        "additionalProperties": false,
        "$defs": {
            "properties": {
                "description": concat!(
                    "Properties of librdkafka. Dots in a name may nest tables. `_file` behind a ",
                    "name names the file that holds the value; `${FILE:/path}` and `${ENV:NAME}` ",
                    "within a value stand for what is there.",
                ),
                "type": "object",
                "additionalProperties": {
                    "anyOf": [
                        { "type": ["string", "number", "boolean"] },
                        { "$ref": "#/$defs/properties" },
                    ],
                },
            },
        },
    })
}

fn kind(kind: Kind) -> Map<String, Value> {
    let schema = match kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::List => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Integer { min, max } => {
            json!({ "type": "integer", "minimum": min, "maximum": max })
        }
        Kind::Duration { .. } => {
            json!({ "type": "string", "pattern": "^[0-9]+ ?(ms|s|m|h|d)$" })
        }
        Kind::Size { .. } => {
            json!({ "type": "string", "pattern": "^[0-9]+ ?([KMGT]i)?B$|^[0-9]+ ?[kMGT]B$" })
        }
        Kind::Choice { values, .. } => json!({ "enum": values }),
    };
    match schema {
        Value::Object(schema) => schema,
        _ => Map::new(),
    }
}
