//! The JSON Schemas of what leaves, as they are published with the program.
//!
//! They are written by hand, strict (a field that is not described is refused), and tied to the
//! code by tests: every alert of the tests validates, and every property that a schema describes
//! occurs in one of them. Integration tests read the same text through the functions below and
//! hand it to the `jsonschema` crate with `should_validate_formats(true)`.

/// JSON Schema 2020-12 of an alert with `format = "ecs"`.
pub fn ecs() -> &'static str {
    include_str!("../../schemas/alert-ecs.schema.json")
}

/// JSON Schema 2020-12 of the value of a record in the observations topic.
pub fn observation() -> &'static str {
    include_str!("../../schemas/observation.schema.json")
}

/// Panics with every violation when the alert is not valid.
#[cfg(test)]
pub fn assert_valid(json: &[u8]) {
    use std::sync::LazyLock;
    static VALIDATOR: LazyLock<jsonschema::Validator> = LazyLock::new(|| tests::compile(ecs()));
    tests::check(&VALIDATOR, json);
}

/// As [`assert_valid`], for an observation.
#[cfg(test)]
pub fn assert_valid_observation(json: &[u8]) {
    use std::sync::LazyLock;
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
