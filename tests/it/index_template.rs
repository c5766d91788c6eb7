//! The index template against the schema of the alerts, the ECS field list, and alerts as they are
//! raised: code and template can't part.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use serde_json::Value;

use crate::markdown::root;
use crate::support::{json_lines, program};

/// Bytes of the longest term that the index takes.
const TERM_MAX_BYTES: u64 = 32_766;

/// A field of the schema: what its values can be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Shape {
    Text,
    Time,
    Address,
    Whole,
    Number,
    Truth,
    /// An object with keys that nobody knows beforehand.
    Open,
}

fn read(path: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(root().join(path)).unwrap()).unwrap()
}

fn mappings() -> Value {
    read("schemas/index-template.json")["template"]["mappings"].clone()
}

/// Every field that an alert can have, lists taken for what they hold.
fn shapes() -> BTreeMap<String, Shape> {
    let schema: Value = serde_json::from_str(kubetell::alert::schema::ecs()).unwrap();
    let mut out = BTreeMap::new();
    shapes_of(&schema, &schema, "", &mut out);
    out
}

fn shapes_of(root: &Value, schema: &Value, path: &str, out: &mut BTreeMap<String, Shape>) {
    if let Some(reference) = schema["$ref"].as_str() {
        return shapes_of(root, root.pointer(&reference[1..]).unwrap(), path, out);
    }
    if let Some(items) = schema.get("items") {
        return shapes_of(root, items, path, out);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        return choices.iter().for_each(|choice| shapes_of(root, choice, path, out));
    }
    if let Some(properties) = schema["properties"].as_object() {
        assert_eq!(schema["additionalProperties"], false, "{path} is open and has properties");
        for (name, below) in properties {
            let dot = if path.is_empty() { "" } else { "." };
            shapes_of(root, below, &format!("{path}{dot}{name}"), out);
        }
        return;
    }
    let example = || schema.get("const").or_else(|| schema["enum"].get(0)).unwrap();
    let shape = match schema["type"].as_str() {
        Some("object") => Shape::Open,
        Some("integer") => Shape::Whole,
        Some("number") => Shape::Number,
        Some("boolean") => Shape::Truth,
        Some("string") if schema["format"] == "date-time" => Shape::Time,
        Some("string") if schema["anyOf"][0]["format"] == "ipv4" => Shape::Address,
        Some("string") => Shape::Text,
        None if example().is_string() => Shape::Text,
        None if example().is_u64() => Shape::Whole,
        None if example().is_boolean() => Shape::Truth,
        _ => panic!("{path}: {schema} is of no known shape"),
    };
    let before = out.insert(path.to_owned(), shape.clone());
    assert!(before.is_none_or(|before| before == shape), "{path} has two shapes");
}

/// Every mapped field, and every object that says something of itself.
fn mapped() -> BTreeMap<String, Value> {
    fields_of(&mappings())
}

/// As [`mapped`], of another mapping.
pub fn fields_of(mapping: &Value) -> BTreeMap<String, Value> {
    let mut out = BTreeMap::new();
    mapped_in(mapping, "", &mut out);
    out
}

fn mapped_in(mapping: &Value, path: &str, out: &mut BTreeMap<String, Value>) {
    let properties = mapping["properties"].as_object();
    if properties.is_none() || !path.is_empty() && mapping.get("dynamic").is_some() {
        out.insert(path.to_owned(), mapping.clone());
    }
    for (name, below) in properties.into_iter().flatten() {
        let dot = if path.is_empty() { "" } else { "." };
        mapped_in(below, &format!("{path}{dot}{name}"), out);
    }
}

/// The types of the ECS field list, by field.
fn ecs_types() -> BTreeMap<String, String> {
    let list = std::fs::read_to_string(root().join("schemas/ecs-fields.txt")).unwrap();
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    let types: BTreeMap<String, String> = lines
        .map(|line| {
            let mut cells = line.split('\t');
            (cells.next().unwrap().to_owned(), cells.next().unwrap().to_owned())
        })
        .collect();
    assert!(types.len() > 40);
    types
}

/// The types that suit a field which ECS does not know.
fn types_for(path: &str, shape: &Shape) -> &'static [&'static str] {
    match (path, shape) {
        // Texts of an event, which can be anything: see `what_an_event_brings_costs_no_alert`.
        ("kubernetes.audit.sourceIPs", _) => &["ip"],
        (path, Shape::Text)
            if path.starts_with("kubernetes.audit.")
                && path.to_lowercase().ends_with("timestamp") =>
        {
            &["date"]
        }
        ("kubernetes.audit.requestURI", _) => &["wildcard"],
        ("kubetell.revision", _) => &["byte"],
        (_, Shape::Text) => &["keyword"],
        (_, Shape::Time) => &["date"],
        (_, Shape::Address) => &["ip"],
        (_, Shape::Whole) => &["long"],
        (_, Shape::Number) => &["float"],
        (_, Shape::Truth) => &["boolean"],
        (_, Shape::Open) => &["object"],
    }
}

#[test]
fn every_field_of_an_alert_is_mapped_with_its_type_and_no_other() {
    let (shapes, mapped, ecs) = (shapes(), mapped(), ecs_types());
    assert!(shapes.len() > 100, "{}", shapes.len());
    for (path, shape) in &shapes {
        let field = mapped.get(path).unwrap_or_else(|| panic!("`{path}` is not mapped"));
        if *shape == Shape::Open {
            // Nothing below it is mapped by itself, or it is not even looked into.
            assert!(field["dynamic"] == "false" || field["enabled"] == false, "{path}: {field}");
            continue;
        }
        let kind = field["type"].as_str().unwrap();
        match ecs.get(path) {
            Some(wanted) => assert_eq!(kind, wanted, "{path} in ECS"),
            None => assert!(types_for(path, shape).contains(&kind), "{path} ({shape:?}) is {kind}"),
        }
    }
    for path in mapped.keys() {
        let open = shapes.iter().any(|(above, shape)| {
            *shape == Shape::Open && path.strip_prefix(above).is_some_and(|it| it.starts_with('.'))
        });
        assert!(shapes.contains_key(path) || open, "`{path}` is mapped, and no alert has it");
    }
}

#[test]
fn alerts_as_they_are_raised_have_no_field_that_is_not_mapped() {
    let fixtures = root().join("tests/fixtures/wrappers");
    let output =
        program(&["scan", "--format", "ecs", fixtures.to_str().unwrap()]).output().unwrap();
    let alerts = json_lines(&output.stdout);
    assert!(alerts.len() >= 14, "{}", alerts.len());
    let mapped = mapped();
    let mut fields = 0;
    for alert in &alerts {
        each_field(alert, "", &mut |path, value| {
            fields += 1;
            let open = mapped.iter().any(|(above, field)| {
                path.strip_prefix(above.as_str()).is_some_and(|it| it.starts_with('.'))
                    && (field["dynamic"] == "false" || field["enabled"] == false)
            });
            let Some(field) = mapped.get(path) else {
                return assert!(open, "`{path}` is in an alert and not mapped");
            };
            let fits = match field["type"].as_str().unwrap() {
                "long" | "byte" => value.is_i64(),
                "float" => value.is_number(),
                "boolean" => value.is_boolean(),
                _ => value.is_string(),
            };
            assert!(fits, "{path}: {value} for {field}");
        });
    }
    assert!(fields > 500, "{fields}");
}

/// Every value of a document that is no object or list, with its field.
fn each_field(value: &Value, path: &str, found: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| each_field(item, path, found)),
        Value::Object(fields) => {
            for (name, below) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                each_field(below, &format!("{path}{dot}{name}"), found);
            }
        }
        _ => found(path, value),
    }
}

#[test]
fn what_an_event_brings_costs_no_alert() {
    let mappings = mappings();
    assert_eq!(mappings["dynamic"], "false", "an unknown field is kept and not mapped");
    assert_eq!(mappings["date_detection"], false);
    for (path, field) in mapped() {
        match field["type"].as_str() {
            // A character has at most four bytes.
            Some("keyword") => {
                let longest = field["ignore_above"].as_u64().unwrap_or(u64::MAX);
                assert!(longest.saturating_mul(4) <= TERM_MAX_BYTES, "{path}: {longest}");
            }
            Some("ip") => assert_eq!(field["ignore_malformed"], true, "{path}"),
            Some("date" | "long") if path.starts_with("kubernetes.audit.") => {
                assert_eq!(field["ignore_malformed"], true, "{path}");
            }
            // Both refuse a document for a value that is too long, or are made of keys.
            Some("flattened" | "flat_object") => panic!("{path} can be refused for what is in it"),
            _ => {}
        }
    }
}

#[test]
fn template_and_pipeline_name_each_other_and_the_schema() {
    let template = read("schemas/index-template.json");
    let schema: Value = serde_json::from_str(kubetell::alert::schema::ecs()).unwrap();
    let versions = &schema["properties"];
    assert_eq!(
        template["_meta"]["alert_schema"],
        versions["kubetell"]["properties"]["schema_version"]["const"]
    );
    assert_eq!(template["_meta"]["ecs"], versions["ecs"]["properties"]["version"]["const"]);
    assert_eq!(template["template"]["settings"]["index"]["final_pipeline"], "kubetell-alerts");
    assert_eq!(template["index_patterns"][0], "kubetell-alerts*");
    let limit = &template["template"]["settings"]["index"]["mapping"]["total_fields"]["limit"];
    assert!(limit.as_u64().unwrap() > mapped().len() as u64, "objects count too");
    let pipeline = read("schemas/ingest-pipeline.json").to_string();
    assert!(pipeline.contains("kubetell.revision") && pipeline.contains("external_gte"));
}
