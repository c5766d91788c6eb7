//! The resolved configuration as people and programs read it. Secrets are hidden.

use std::collections::BTreeMap;

use serde_json::json;

use super::error::Source;
use super::keys::{self, KEYS};
use super::properties::Property;
use super::raw;
use super::resolve::Provenance;

/// TOML, each key followed by a comment that says where its value came from. It can be read back,
/// but for the hidden secrets.
pub fn show_toml(provenance: &Provenance) -> String {
    let mut out = String::new();
    let mut table = "";
    for key in KEYS {
        let (in_table, name) = keys::split(key.path);
        if in_table != table {
            if table == "kafka" {
                properties(&mut out, provenance);
            }
            out.push_str(&format!("\n[{in_table}]\n"));
            table = in_table;
        }
        if let Some((value, source)) = provenance.values.get(key.path) {
            out.push_str(&line(name, &value.to_toml(), &source.to_string()));
        }
    }
    out
}

fn properties(out: &mut String, provenance: &Provenance) {
    out.push_str(&format!("\n[{}]\n", keys::PROPERTIES));
    for (name, (property, source)) in &provenance.properties {
        let value = raw::toml_text(property.shown(name));
        out.push_str(&line(&raw::toml_text(name), &value, &sources(source, property)));
    }
}

/// Where a property was set and where its value stands.
fn sources(source: &Source, property: &Property) -> String {
    property.places.iter().fold(source.to_string(), |text, place| format!("{text}, {place}"))
}

fn line(name: &str, value: &str, source: &str) -> String {
    let setting = format!("{name} = {value}");
    format!("{setting:<48} # {source}\n")
}

/// One object: each key's dotted path to `{"value": …, "source": …}`.
pub fn show_json(provenance: &Provenance) -> serde_json::Value {
    let mut all = BTreeMap::new();
    for (path, (value, source)) in &provenance.values {
        let entry = json!({ "value": value.to_json(), "source": source.to_string() });
        all.insert((*path).to_owned(), entry);
    }
    for (name, (property, source)) in &provenance.properties {
        let entry = json!({ "value": property.shown(name), "source": sources(source, property) });
        all.insert(format!("{}.{name}", keys::PROPERTIES), entry);
    }
    json!(all)
}
