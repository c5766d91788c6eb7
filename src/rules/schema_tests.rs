//! The schema says what the code takes, and no more.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use super::*;
use crate::audit::event;
use crate::rules::cases::{CaseEntry, EVENT_KEYS, beside};
use crate::rules::exceptions::{self, read_file, read_of_rule};
use crate::rules::format::{
    Grade, LabelPattern, MatchTable, NameEntry, NamedPattern, RuleFile, SuppressTable,
    TechniqueEntry, ThreatEntry, UnseenCommand, UserAgentCondition,
};
use crate::rules::paths::PathEntry;
use crate::rules::rule::Rule;

/// Notes the keys of the struct that is to be read from it, and gives nothing.
struct Keys<'k>(&'k RefCell<BTreeSet<&'static str>>);

impl<'de> Deserializer<'de> for Keys<'_> {
    type Error = de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom("no struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        keys: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        self.0.borrow_mut().extend(keys);
        Err(de::Error::custom("noted"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn keys<'de, T: Deserialize<'de>>() -> BTreeSet<&'static str> {
    let keys = RefCell::default();
    assert!(T::deserialize(Keys(&keys)).is_err());
    keys.into_inner()
}

fn schema() -> Value {
    serde_json::from_str(rule()).unwrap()
}

/// The keys that the schema describes at a place of it.
fn described<'s>(schema: &'s Value, at: &str) -> BTreeSet<&'s str> {
    let table = schema.pointer(at).unwrap_or_else(|| panic!("the schema has no `{at}`"));
    assert_eq!(table["additionalProperties"], false, "`{at}` takes any key");
    table["properties"].as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn every_key_that_a_rule_file_can_have_is_described_and_no_other() {
    let schema = schema();
    let check = |at: &str, keys: BTreeSet<&'static str>| {
        let described = described(&schema, at);
        let missing: Vec<_> = keys.difference(&described).collect();
        assert!(missing.is_empty(), "`{at}` of schemas/rule.schema.json lacks {missing:?}");
        let surplus: Vec<_> = described.difference(&keys).collect();
        assert!(surplus.is_empty(), "`{at}` of schemas/rule.schema.json has {surplus:?}");
    };
    check("", keys::<RuleFile>());
    check("/$defs/namedPattern", keys::<NamedPattern>());
    check("/$defs/labelPattern", keys::<LabelPattern>());
    check("/$defs/path", keys::<PathEntry>());
    check("/$defs/unseenCommand", keys::<UnseenCommand>());
    check("/$defs/grade", keys::<Grade>());
    check("/$defs/exception", exceptions::keys_of_rule().collect());
    check("/$defs/suppress", keys::<SuppressTable>());
    check("/$defs/match", keys::<MatchTable>());
    check("/$defs/userAgentCondition", keys::<UserAgentCondition>());
    check("/$defs/threat", keys::<ThreatEntry>());
    check("/$defs/attackName", keys::<NameEntry>());
    check("/$defs/technique", keys::<TechniqueEntry>());
    check("/$defs/case", keys::<CaseEntry>());
    check("/$defs/event", EVENT_KEYS.into_iter().chain(["exec"]).collect());
    check("/$defs/eventUser", keys::<event::User<'_>>());
    check("/$defs/event/properties/objectRef", keys::<event::ObjectRef<'_>>());
    // What the reader of events leaves out stands in real ones all the same.
    let mut event = keys::<event::Event<'_>>();
    event.extend(["requestObject", "responseObject"]);
    assert_eq!(event, EVENT_KEYS.into());
    let mut status = keys::<event::ResponseStatus<'_>>();
    status.extend(["metadata", "details"]);
    check("/$defs/event/properties/responseStatus", status);
}

#[test]
fn every_part_is_described() {
    fn walk(value: &Value, at: &str) {
        for name in ["properties", "$defs"] {
            for (key, part) in value[name].as_object().into_iter().flatten() {
                let at = format!("{at}/{name}/{key}");
                // `false` refuses, and a constant narrows what is described elsewhere.
                if part.is_boolean() || part.get("const").is_some() {
                    continue;
                }
                assert!(part["description"].as_str().is_some_and(|it| it.len() > 4), "{at}");
                walk(part, &at);
            }
        }
    }
    walk(&schema(), "");
}

fn validator(schema: &Value) -> jsonschema::Validator {
    jsonschema::meta::validate(schema).unwrap();
    jsonschema::options().should_validate_formats(true).build(schema).unwrap()
}

/// The TOML files below a folder of the repository, as JSON.
fn files(folder: &str) -> Vec<(String, String, Value)> {
    fn walk(folder: &Path, found: &mut Vec<(String, String, Value)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|it| it == "toml") {
                let text = fs::read_to_string(&path).unwrap();
                let value: toml::Value = toml::from_str(&text).unwrap();
                let value = serde_json::to_value(value).unwrap();
                found.push((path.display().to_string(), text, value));
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut found);
    found
}

#[test]
fn what_is_a_rule_fits_the_schema() {
    let (rules, tests) = (validator(&schema()), validator(&rule_tests()));
    let mut fitting = 0;
    for folder in ["src/rules/builtin", "tests/fixtures/rules/own", "tests/fixtures/cases/good"] {
        for (file, text, value) in files(folder) {
            let is_tests = beside::is_cases_file(Path::new(&file));
            if !is_tests && value.get("rule").is_some() {
                continue;
            }
            let validator = if is_tests { &tests } else { &rules };
            let errors: Vec<String> = validator
                .iter_errors(&value)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(errors.is_empty(), "{file}: {errors:#?}");
            assert!(is_tests || Rule::from_toml(&file, &text).is_ok(), "{file}");
            fitting += 1;
        }
    }
    assert!(fitting >= 10, "{fitting}");
}

#[test]
fn what_is_no_rule_does_not_fit() {
    let validator = validator(&schema());
    let text = include_str!("../../tests/fixtures/rules/own/secret-deleted.toml");
    let check = |from: &str, to: &str| {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "`{from}` is not there");
        let value: toml::Value = toml::from_str(&changed).unwrap();
        let value = serde_json::to_value(value).unwrap();
        assert!(!validator.is_valid(&value), "{to}");
        assert!(Rule::from_toml("x.toml", &changed).is_err(), "{to}");
    };
    check("id = ", "idd = ");
    check("id = \"secret-deleted\"", "id = \"Secret deleted\"");
    check("severity = \"medium\"", "severity = \"severe\"");
    check("risk_score = 47", "risk_score = 101");
    check("type = \"query\"", "type = \"new_terms\"");
    check("type = \"query\"", "type = \"query\"\nwindow = \"7d\"");
    check("type = \"query\"", "type = \"query\"\ndefault_label = \"X\"");
    check("type = \"query\"", "type = \"query\"\nlabel_field = \"user.name\"");
    check("type = \"query\"", "type = \"query\"\nsuppress = { by = [], for = \"1h\" }");
    check("type = \"query\"", "type = \"query\"\nsuppress = { by = [\"user.name\"] }");
    check("type = \"query\"", "type = \"query\"\ninteractive_shell = true");
    check("type = \"query\"", "type = \"exec\"");
    check("[[threat]]", "[[threat]]\nsurplus = 1");
}

#[test]
fn exceptions_fit_where_they_are_some_and_do_not_where_they_are_none() {
    let (own, file) = (validator(&schema()), validator(&super::exceptions()));
    let rule = include_str!("../../tests/fixtures/rules/own/secret-deleted.toml");
    let check = |keys: &str, valid: bool| {
        let json = |text: &str| {
            let value: toml::Value = toml::from_str(text).unwrap();
            serde_json::to_value(value).unwrap()
        };
        let text = format!("{rule}\n[[exceptions]]\n{keys}");
        assert_eq!(own.is_valid(&json(&text)), valid, "{keys}");
        assert_eq!(read_of_rule("x.toml", &text, "x").is_ok(), valid, "{keys}");
        for of in ["rule = '*'", "rules = ['a', 'b']"] {
            let text = format!("[[exception]]\n{of}\n{keys}");
            assert_eq!(file.is_valid(&json(&text)), valid, "{text}");
            assert_eq!(read_file("x.toml", &text).is_ok(), valid, "{text}");
        }
    };
    check("reason = 'r'\nuser = 'a'\nexpires = 2027-01-31\nid = 'x'", true);
    check("reason = 'r'\nsource = ['10.0.0.0/8']", true);
    check("reason = 'r'\nquery = 'user.name:a'", true);
    check("reason = 'r'", false);
    check("user = 'a'", false);
    check("reason = ' '\nuser = 'a'", false);
    check("reason = 'r'\nuser = []", false);
    check("reason = 'r'\nuser = ''", false);
    check("reason = 'r'\nuser = 7", false);
    check("reason = 'r'\nusr = 'a'", false);
    check("reason = 'r'\nuser = 'a'\nid = 'A b'", false);
}

#[test]
fn cases_that_are_none_do_not_fit() {
    let validator = validator(&rule_tests());
    let check = |case: &str, valid: bool| {
        let value: toml::Value = toml::from_str(&format!("[[tests]]\n{case}")).unwrap();
        let value = serde_json::to_value(value).unwrap();
        assert_eq!(validator.is_valid(&value), valid, "{case}");
    };
    check("name = 'a'\nevents = '{}'\nexpect = 'none'", true);
    check("name = 'a'\nevents = [{ verb = 'get' }, { file = 'x' }, '{}']\nalerts = 1", true);
    check("name = 'a'\nevents = '{}'\nfields = [{ a = 1 }]", true);
    check("name = 'a'\nevents = '{}'", false);
    check("events = '{}'\nexpect = 'none'", false);
    check("name = 'a'\nevents = '{}'\nexpect = 'none'\nalerts = 0", false);
    check("name = 'a'\nevents = [{ vreb = 'get' }]\nalerts = 1", false);
    check("name = 'a'\nevents = [{ verb = 'get', file = 'x' }]\nalerts = 1", false);
    check("name = 'a'\nevents = []\nalerts = 1", false);
    check("name = 'a'\nevents = '{}'\nexpect = 'maybe'", false);
}
