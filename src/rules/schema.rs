//! The JSON Schemas of rule files and of files of test cases and exceptions, for editors and
//! checkers.
//!
//! The schema is written by hand, since what it says is for people. Tests tie it to the code: a key
//! that a rule file may have and that is not described, or the other way round, is a failure that
//! names the key. To add one, describe it in `schemas/rule.schema.json`; to add a table, name it in
//! the test too.

use serde_json::{Value, json};

/// JSON Schema 2020-12 of a rule file of the project's own layout.
pub fn rule() -> &'static str {
    include_str!("../../schemas/rule.schema.json")
}

/// JSON Schema 2020-12 of a file of cases beside a rule's: the same `tests`, and nothing else.
pub fn rule_tests() -> Value {
    let rule: Value = serde_json::from_str(rule()).unwrap_or_default();
    let mut tests = json!({
        "$schema": rule["$schema"],
        "$id": "urn:kubetell:schema:rule-tests:1",
        "title": "kubetell test cases of a rule",
        "description": "The file `NAME.tests.toml` beside a rule file `NAME.toml`.",
        "type": "object",
        "additionalProperties": false,
        "required": ["tests"],
        "properties": { "tests": rule["properties"]["tests"] },
    });
    // Those that a case does not lead to say nothing here.
    let named = ["case", "events", "event", "eventFile", "eventUser"];
    let kept = named.map(|name| (name.to_owned(), rule["$defs"][name].clone()));
    tests["$defs"] = Value::Object(kept.into_iter().collect());
    tests
}

/// JSON Schema 2020-12 of a file of exceptions: those of a rule's file, each with its rules.
pub fn exceptions() -> Value {
    let rule_file: Value = serde_json::from_str(rule()).unwrap_or_default();
    let mut exception = rule_file["$defs"]["exception"].clone();
    let text = json!({ "type": "string", "minLength": 1 });
    exception["properties"]["rule"] = json!({
        "description": "The rule of which it is an exception; `*` for all, or a list.",
        "oneOf": [text, { "type": "array", "minItems": 1, "items": text }],
    });
    exception["properties"]["rules"] = exception["properties"]["rule"].clone();
    exception["oneOf"] = json!([{ "required": ["rule"] }, { "required": ["rules"] }]);
    json!({
        "$schema": rule_file["$schema"],
        "$id": "urn:kubetell:schema:exceptions:1",
        "title": "kubetell exceptions",
        "description": "A file of exceptions: of which events rules say nothing.",
        "type": "object",
        "additionalProperties": false,
        "required": ["exception"],
        "properties": {
            "exception": {
                "description": "The exceptions.",
                "type": "array",
                "minItems": 1,
                "items": exception,
            },
        },
        "$defs": { "exceptionValues": rule_file["$defs"]["exceptionValues"] },
    })
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
