//! The three layers that a configuration comes from: the file, the environment and `--set`.
//!
//! Owns the reading of each into typed values that remember where they stood. It must not decide
//! which layer wins: that is `resolve`'s.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;
use toml::de::{DeTable, DeValue};

use super::error::{Expected, Found, Problem, ProblemKind, Source, visible};
use super::keys::{self, Key};
use super::properties;
use super::raw::{self, Quotes, Value};
use super::secrets::Given;
use super::{ENVIRONMENT_PREFIX, ENVIRONMENT_RESERVED};
use crate::limits;

/// One `--set KEY=VALUE`.
#[derive(Clone, PartialEq, Eq)]
pub struct Setting {
    pub key: String,
    /// A TOML value or a bare text. May be a secret.
    pub value: String,
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=…", self.key)
    }
}

/// The text is no `KEY=VALUE`. It is not repeated: it may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected KEY=VALUE, e.g. kafka.group_id=kubetell")]
pub struct SettingError;

impl FromStr for Setting {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Setting, SettingError> {
        let (key, value) = text.split_once('=').ok_or(SettingError)?;
        let key = key.trim();
        if key.is_empty() {
            return Err(SettingError);
        }
        Ok(Setting { key: key.to_owned(), value: value.to_owned() })
    }
}

/// What one layer sets. Never printed: values of properties may be secrets.
#[derive(Default)]
pub(crate) struct Layer {
    pub values: BTreeMap<&'static str, (Value, Source)>,
    /// By the property that is set. Not yet looked up: only what is in force is.
    pub properties: BTreeMap<String, (Given, Source)>,
    pub problems: Vec<Problem>,
}

impl Layer {
    fn problem(&mut self, source: Source, kind: ProblemKind) {
        self.problems.push(Problem { source: Some(source), kind });
    }

    fn value(&mut self, key: &'static Key, source: Source, value: Result<Value, ProblemKind>) {
        match value {
            Ok(value) => {
                self.values.insert(key.path, (value, source));
            }
            Err(kind) => self.problem(source, kind),
        }
    }

    fn property(&mut self, name: &str, source: Source, value: String) {
        let (property, given) = Given::new(name, value);
        // Of `--set` the later one counts.
        if source != Source::Set && self.properties.contains_key(&property) {
            return self.problem(source, ProblemKind::PropertyTwice { name: visible(&property) });
        }
        let checked = match given.plain() {
            Some(value) => properties::check(&property, value, false),
            None => properties::check_name(&property),
        };
        match checked {
            Ok(()) => {
                self.properties.insert(property, (given, source));
            }
            Err(kind) => self.problem(source, kind),
        }
    }
}

/// Reads the file into its text, bounded.
pub(crate) fn read_file(path: &Path) -> Result<String, ProblemKind> {
    let unreadable =
        |reason: String| ProblemKind::Unreadable { path: visible(&path.to_string_lossy()), reason };
    let file = std::fs::File::open(path).map_err(|error| unreadable(error.to_string()))?;
    let mut bytes = Vec::new();
    file.take(limits::CONFIG_FILE_MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(error.to_string()))?;
    if bytes.len() as u64 > limits::CONFIG_FILE_MAX_BYTES {
        let max = limits::CONFIG_FILE_MAX_BYTES / 1024;
        return Err(unreadable(format!("it is larger than {max} KiB")));
    }
    String::from_utf8(bytes)
        .map_err(|error| unreadable(format!("it is not valid UTF-8: {}", error.utf8_error())))
}

/// Turns byte offsets of the file into lines and columns.
struct Locator<'a> {
    path: Arc<PathBuf>,
    text: &'a str,
}

impl Locator<'_> {
    fn at(&self, offset: usize) -> Source {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &self.text[..offset];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Source::File {
            path: Arc::clone(&self.path),
            line: 1 + before.bytes().filter(|byte| *byte == b'\n').count(),
            column: 1 + before[line_start..].chars().count(),
        }
    }
}

/// The layer of a TOML text. With a syntax error in it nothing else of it is looked at: what the
/// parser recovers from a broken text is a guess.
pub(crate) fn from_file(path: &Path, text: &str) -> Layer {
    let locator = Locator { path: Arc::new(path.to_owned()), text };
    let mut layer = Layer::default();
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let source = locator.at(error.span().map_or(0, |span| span.start));
        layer.problem(source, ProblemKind::Syntax { message: syntax_message(error.message()) });
    }
    if layer.problems.is_empty() {
        walk(&mut layer, &locator, "", table.get_ref());
    }
    layer
}

/// The parser's message without what it may repeat of the text: a password with a stray quote is
/// a syntax error too.
fn syntax_message(message: &str) -> String {
    visible(message).replace('\n', "; ")
}

/// Recursion is bounded: tables within tables are followed only along known paths.
fn walk(layer: &mut Layer, locator: &Locator<'_>, prefix: &str, table: &DeTable<'_>) {
    for (name, offset, value) in raw::entries(table) {
        let source = locator.at(offset);
        let path = join(prefix, name);
        // A quoted name with a dot in it spells the path of a key without being it.
        let known = !name.contains('.');
        let path = if known { path } else { join(prefix, &raw::toml_text(name)) };
        if known && path == keys::PROPERTIES {
            match value {
                DeValue::Table(table) => properties_below(layer, locator, "", table),
                _ => layer.problem(source, not_a_table(&path)),
            }
        } else if known && let Some(key) = keys::find(&path) {
            let value = raw::from_toml(key, value);
            layer.value(key, source, value);
        } else if known && keys::is_table(&path) {
            match value {
                DeValue::Table(table) => walk(layer, locator, &path, table),
                _ => layer.problem(source, not_a_table(&path)),
            }
        } else {
            layer.problem(source, unknown_key(&path));
        }
    }
}

/// `security.protocol = "SSL"` is a table in TOML, `"security.protocol" = "SSL"` is not: both
/// name the same property. Depth is bounded by the parser's own limit.
fn properties_below(layer: &mut Layer, locator: &Locator<'_>, prefix: &str, table: &DeTable<'_>) {
    for (name, offset, value) in raw::entries(table) {
        let source = locator.at(offset);
        let name = join(prefix, name);
        if let DeValue::Table(table) = value {
            properties_below(layer, locator, &name, table);
        } else if let Some(value) = raw::property_text(value) {
            layer.property(&name, source, value);
        } else {
            let message = "must be text, a number or `true` or `false`".to_owned();
            layer.problem(
                source,
                ProblemKind::PropertyInvalid { name: visible(&name), message, nearest: None },
            );
        }
    }
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

/// The layer of the process environment: `KUBETELL_KAFKA__GROUP_ID` and its like.
pub(crate) fn from_environment(environment: &[(OsString, OsString)]) -> Layer {
    let mut layer = Layer::default();
    let mut ours: Vec<(String, &OsString)> = environment
        .iter()
        .filter_map(|(name, value)| Some((name.to_str()?.to_owned(), value)))
        .filter(|(name, _)| name.starts_with(ENVIRONMENT_PREFIX))
        .filter(|(name, _)| !ENVIRONMENT_RESERVED.contains(&name.as_str()))
        .collect();
    ours.sort_by(|(a, _), (b, _)| a.cmp(b));

    let properties_prefix = format!("{}__", keys::environment_name(keys::PROPERTIES));
    for (name, value) in ours {
        let source = Source::Environment(name.clone());
        if let Some(property) = name.strip_prefix(&properties_prefix) {
            let property = property_name(property);
            match value.to_str() {
                Some(value) => layer.property(&property, source, value.to_owned()),
                None => layer.problem(source, ProblemKind::NotUtf8 { key: visible(&property) }),
            }
        } else if let Some(key) =
            keys::KEYS.iter().find(|key| keys::environment_name(key.path) == name)
        {
            match value.to_str() {
                Some(value) => {
                    let value = raw::from_text(key, value, Quotes::Literal);
                    layer.value(key, source, value);
                }
                None => layer.problem(source, ProblemKind::NotUtf8 { key: key.path.to_owned() }),
            }
        } else if !is_service_variable(&name) {
            let names: Vec<String> =
                keys::KEYS.iter().map(|key| keys::environment_name(key.path)).collect();
            let nearest = keys::best_match(&name, names.iter().map(String::as_str), |_| false);
            let kind = ProblemKind::UnknownVariable { nearest: nearest.map(str::to_owned) };
            layer.problem(source, kind);
        }
    }
    layer
}

/// `SASL_PASSWORD` is `sasl.password`; two underscores stand for one in the name. `SASL_PASSWORD_FILE`
/// is `sasl.password_file`, as in the images of other programs: no property is called `….file`.
fn property_name(variable: &str) -> String {
    let name = variable
        .split("__")
        .map(|part| part.replace('_', "."))
        .collect::<Vec<_>>()
        .join("_")
        .to_lowercase();
    match name.strip_suffix(".file") {
        Some(property) => format!("{property}_file"),
        None => name,
    }
}

/// Kubernetes puts variables for every service of the namespace into each container. A service
/// called `kubetell` gives `KUBETELL_SERVICE_HOST`, `KUBETELL_PORT_9464_TCP_ADDR` and more, which
/// nobody wrote and which must not stop the program.
fn is_service_variable(name: &str) -> bool {
    if name.ends_with("_SERVICE_HOST") || name.contains("_SERVICE_PORT") || name.ends_with("_PORT")
    {
        return true;
    }
    name.match_indices("_PORT_").any(|(at, mark)| {
        let rest = &name[at + mark.len()..];
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        digits > 0 && ["_TCP", "_UDP", "_SCTP"].iter().any(|p| rest[digits..].starts_with(p))
    })
}

/// The layer of `--set`. Of two settings of one key the later one counts.
pub(crate) fn from_settings(settings: &[Setting]) -> Layer {
    let mut layer = Layer::default();
    for setting in settings {
        let name =
            setting.key.strip_prefix(keys::PROPERTIES).and_then(|rest| rest.strip_prefix('.'));
        if let Some(name) = name {
            let value = raw::unquote(&setting.value, Quotes::Toml);
            layer.property(name, Source::Set, value);
        } else if let Some(key) = keys::find(&setting.key) {
            let value = raw::from_text(key, &setting.value, Quotes::Toml);
            layer.value(key, Source::Set, value);
        } else if keys::is_table(&setting.key) {
            layer.problem(Source::Set, not_a_table(&setting.key));
        } else {
            layer.problem(Source::Set, unknown_key(&setting.key));
        }
    }
    layer
}

fn unknown_key(path: &str) -> ProblemKind {
    let nearest = keys::nearest(path).map(str::to_owned);
    ProblemKind::UnknownKey { key: visible(path), nearest }
}

fn not_a_table(path: &str) -> ProblemKind {
    ProblemKind::WrongType { key: path.to_owned(), expected: Expected::Table, found: Found::Value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_kubernetes_services_are_not_taken_for_keys() {
        for name in [
            "KUBETELL_SERVICE_HOST",
            "KUBETELL_SERVICE_PORT",
            "KUBETELL_SERVICE_PORT_METRICS",
            "KUBETELL_PORT",
            "KUBETELL_PORT_9464_TCP",
            "KUBETELL_PORT_9464_TCP_ADDR",
            "KUBETELL_ADMIN_PORT_53_UDP_PROTO",
        ] {
            assert!(is_service_variable(name), "{name}");
        }
        for name in ["KUBETELL_CLUSTR", "KUBETELL_PORT_X_TCP", "KUBETELL_IMPORT_1"] {
            assert!(!is_service_variable(name), "{name}");
        }
    }

    #[test]
    fn a_setting_needs_a_key_and_an_equals_sign() {
        let check = |text: &str, expected: Option<(&str, &str)>| {
            let setting = text.parse::<Setting>().ok();
            let setting = setting.as_ref().map(|s| (s.key.as_str(), s.value.as_str()));
            assert_eq!(setting, expected, "{text}");
        };
        check("a=b", Some(("a", "b")));
        check("a = b=c", Some(("a", " b=c")));
        check("a=", Some(("a", "")));
        check("a", None);
        check("=a", None);
        check("", None);
    }

    #[test]
    fn underscores_of_a_variable_become_dots_of_a_property() {
        assert_eq!(property_name("SASL_PASSWORD"), "sasl.password");
        assert_eq!(property_name("A__B_C"), "a_b.c");
        assert_eq!(property_name("SASL_PASSWORD_FILE"), "sasl.password_file");
        assert_eq!(property_name("SASL_PASSWORD__FILE"), "sasl.password_file");
    }
}
