//! The JSON Schemas of what leaves, as they are published with the program.
//!
//! They are written by hand, strict (a field that is not described is refused), and tied to the
//! code by tests: every alert of the tests validates, and every property that a schema describes
//! occurs in one of them. Integration tests read the same text through the functions below and
//! hand it to the `jsonschema` crate with `should_validate_formats(true)`.

use std::sync::LazyLock;

use serde_json::Value;

/// JSON Schema 2020-12 of an alert with `format = "ecs"`.
pub fn ecs() -> &'static str {
    include_str!("../../schemas/alert-ecs.schema.json")
}

/// JSON Schema 2020-12 of the value of a record in the observations topic.
pub fn observation() -> &'static str {
    include_str!("../../schemas/observation.schema.json")
}

/// A field that no alert has, and the nearest that one can have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownField {
    pub nearest: Option<String>,
}

/// Whether an ECS alert can have a field, by the names from the document down, joined by dots.
///
/// # Errors
/// If it can't.
pub fn check_field(path: &str) -> Result<(), UnknownField> {
    static KNOWN: LazyLock<Vec<Known>> = LazyLock::new(|| {
        let schema: Value = serde_json::from_str(ecs()).unwrap_or_default();
        let mut known = Vec::new();
        paths(&schema, &schema, String::new(), &mut known);
        known
    });
    let has = |field: &Known| match field {
        Known::Field(name) => name == path,
        Known::Below(prefix) => path.strip_prefix(prefix.as_str()).is_some_and(|it| it.len() > 1),
    };
    if KNOWN.iter().any(has) {
        return Ok(());
    }
    let names = KNOWN.iter().filter_map(|field| match field {
        Known::Field(name) => Some((strsim::jaro_winkler(path, name), name)),
        Known::Below(_) => None,
    });
    let near = names.filter(|(likeness, _)| *likeness > 0.8);
    let nearest = near.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name.clone());
    Err(UnknownField { nearest })
}

enum Known {
    Field(String),
    /// Every name below this one.
    Below(String),
}

/// What a schema describes, from `path` on.
fn paths(root: &Value, schema: &Value, path: String, out: &mut Vec<Known>) {
    let reference = schema["$ref"].as_str().and_then(|it| it.strip_prefix('#'));
    if let Some(target) = reference.and_then(|it| root.pointer(it)) {
        return paths(root, target, path, out);
    }
    for all in ["oneOf", "anyOf"] {
        for one in schema[all].as_array().into_iter().flatten() {
            paths(root, one, path.clone(), out);
        }
    }
    if let Some(items) = schema.get("items") {
        return paths(root, items, path, out);
    }
    let open = match schema.get("additionalProperties") {
        Some(others) => *others != false,
        None => schema["type"] == "object",
    };
    if open {
        out.push(Known::Below(format!("{path}.")));
    }
    for (name, below) in schema["properties"].as_object().into_iter().flatten() {
        let name = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        paths(root, below, name, out);
    }
    if !path.is_empty() {
        out.push(Known::Field(path));
    }
}

/// Panics with every violation when the alert is not valid.
#[cfg(test)]
pub fn assert_valid(json: &[u8]) {
    static VALIDATOR: LazyLock<jsonschema::Validator> = LazyLock::new(|| tests::compile(ecs()));
    tests::check(&VALIDATOR, json);
}

/// As [`assert_valid`], for an observation.
#[cfg(test)]
pub fn assert_valid_observation(json: &[u8]) {
    static VALIDATOR: LazyLock<jsonschema::Validator> =
        LazyLock::new(|| tests::compile(observation()));
    tests::check(&VALIDATOR, json);
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn compile(schema: &str) -> jsonschema::Validator {
        let schema = serde_json::from_str(schema).expect("the schema is JSON");
        jsonschema::options()
            .should_validate_formats(true)
            .build(&schema)
            .expect("the schema is a schema")
    }

    pub fn check(validator: &jsonschema::Validator, json: &[u8]) {
        let value: serde_json::Value = serde_json::from_slice(json).expect("the value is JSON");
        let errors: Vec<String> = validator
            .iter_errors(&value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{errors:#?}\n{value:#}");
    }

    #[test]
    fn a_field_is_one_that_an_alert_can_have() {
        for field in [
            "@timestamp",
            "rule.id",
            "user.name",
            "user.effective.name",
            "source.ip",
            "kubernetes.audit.objectRef.resource",
            "kubernetes.audit.user.extra.authentication.kubernetes.io/pod-name",
            "kubernetes.audit.annotations.authorization_k8s_io/decision",
            "kubetell.matches.pattern",
            "kubetell.position.line",
        ] {
            assert_eq!(check_field(field), Ok(()), "{field}");
        }
        for (field, nearest) in [
            ("user.nmae", Some("user.name")),
            ("kubetell.acces_type", Some("kubetell.access_type")),
            ("kubernetes.audit.requestObject", Some("kubernetes.audit.requestURI")),
            ("kubernetes.audit.annotations.", Some("kubernetes.audit.annotations")),
            ("zzz", None),
            ("", None),
        ] {
            let nearest = nearest.map(str::to_owned);
            assert_eq!(check_field(field), Err(UnknownField { nearest }), "{field}");
        }
    }

    #[test]
    fn unknown_fields_are_refused() {
        let alert = crate::alert::from_finding(
            &crate::alert::fixtures::shell_exec(),
            &crate::alert::fixtures::origin(),
        );
        let valid: serde_json::Value = serde_json::from_slice(&alert.to_json().unwrap()).unwrap();
        let validator = compile(ecs());
        assert!(validator.is_valid(&valid));
        for at in ["", "/event", "/kubetell", "/kubetell/position", "/kubernetes/audit", "/user"] {
            let mut changed = valid.clone();
            changed.pointer_mut(at).unwrap()["surplus"] = 1.into();
            assert!(!validator.is_valid(&changed), "a surplus field in `{at}` passed");
        }
        for (at, wrong) in [
            ("/event/id", "0123".into()),
            ("/event/severity", 50.into()),
            ("/source/ip/0", "nowhere".into()),
            ("/@timestamp", "2026-02-30T00:00:00.000Z".into()),
            ("/message", "two\nlines".into()),
            ("/user/name", "".into()),
            ("/user/roles", serde_json::Value::Array(Vec::new())),
        ] {
            let mut changed = valid.clone();
            *changed.pointer_mut(at).unwrap() = wrong;
            assert!(!validator.is_valid(&changed), "a wrong `{at}` passed");
        }
    }
}
