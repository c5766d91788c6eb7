//! From layers to the configuration: which value wins, what it means, whether all fit together.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::error::{Problem, ProblemKind, Source, visible};
use super::keys::{self, KEYS};
use super::properties::{self, Properties, Property};
use super::raw::{self, Value};
use super::secrets::Given;
use super::sources::Layer;
use super::{
    AdminConfig, AlertFormat, AlertsConfig, ClusterFrom, Config, ConfigErrors, DeadLettersConfig,
    Delivery, DetectConfig, KafkaConfig, Loaded, NewTermsConfig, ObservationsConfig, SourceConfig,
    Start, StateConfig, TopicsConfig,
};
use crate::limits;

/// The value in force of every key, and where it came from. `Debug` shows names only.
#[derive(Clone, Default)]
pub struct Provenance {
    pub(super) values: BTreeMap<&'static str, (Value, Source)>,
    /// Values in clear: `show` hides the secret ones.
    pub(super) properties: BTreeMap<String, (Property, Source)>,
}

impl Provenance {
    /// Where a key's value came from, e.g. of `kafka.group_id` or `kafka.properties.client.id`.
    pub fn source(&self, path: &str) -> Option<&Source> {
        let property = path.strip_prefix(keys::PROPERTIES).and_then(|rest| rest.strip_prefix('.'));
        match property {
            Some(name) => self.properties.get(name).map(|(_, source)| source),
            None => self.values.get(path).map(|(_, source)| source),
        }
    }

    /// Nobody has set the key.
    pub fn is_default(&self, path: &str) -> bool {
        self.source(path) == Some(&Source::Default)
    }
}

impl std::fmt::Debug for Provenance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.values.keys()).entries(self.properties.keys()).finish()
    }
}

/// A value that is of the right type and still wrong.
struct Invalid {
    message: String,
    hint: Option<String>,
}

impl Invalid {
    fn new(message: impl Into<String>) -> Invalid {
        Invalid { message: message.into(), hint: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Invalid {
        self.hint = Some(hint.into());
        self
    }
}

/// Reads keys out of what is in force; a problem found goes to the list and the reading on.
struct Reader {
    provenance: Provenance,
    problems: Vec<Problem>,
}

impl Reader {
    fn problem(&mut self, path: &str, invalid: Invalid) {
        let source = self.provenance.source(path).cloned();
        // "default:" before a message would send the reader looking for a file of that name.
        let source = source.filter(|source| *source != Source::Default);
        let Invalid { message, hint } = invalid;
        let kind = ProblemKind::Invalid { key: path.to_owned(), message, hint };
        self.problems.push(Problem { source, kind });
    }

    fn text(&self, path: &str) -> String {
        match self.provenance.values.get(path) {
            Some((Value::Text(text), _)) => text.clone(),
            _ => String::new(),
        }
    }

    fn list(&self, path: &str) -> Vec<String> {
        match self.provenance.values.get(path) {
            Some((Value::List(items), _)) => items.clone(),
            _ => Vec::new(),
        }
    }

    fn boolean(&self, path: &str) -> bool {
        matches!(self.provenance.values.get(path), Some((Value::Boolean(true), _)))
    }

    /// An integer, milliseconds or bytes. Ranges are the table's; the conversion cannot fail
    /// within them.
    fn number<T: TryFrom<i64> + Default>(&self, path: &str) -> T {
        let number = match self.provenance.values.get(path) {
            Some((Value::Integer(number) | Value::DurationMs(number), _)) => *number,
            Some((Value::SizeBytes { bytes, .. }, _)) => i64::try_from(*bytes).unwrap_or(i64::MAX),
            _ => 0,
        };
        T::try_from(number).unwrap_or_default()
    }

    /// A text that `parse` makes something of.
    fn parsed<T>(
        &mut self,
        path: &str,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Option<T> {
        match parse(&self.text(path)) {
            Ok(value) => Some(value),
            Err(invalid) => {
                self.problem(path, invalid);
                None
            }
        }
    }
}

/// Later layers override earlier ones.
pub(super) fn resolve(
    layers: [Layer; 3],
    environment: &[(OsString, OsString)],
) -> Result<Loaded, ConfigErrors> {
    let mut reader = Reader { provenance: defaults(), problems: Vec::new() };
    let mut given = BTreeMap::new();
    for layer in layers {
        reader.provenance.values.extend(layer.values);
        given.extend(layer.properties);
        reader.problems.extend(layer.problems);
    }
    for (name, (given, source)) in given {
        match property(&name, &given, environment) {
            Ok(property) => {
                reader.provenance.properties.insert(name, (property, source));
            }
            Err(kind) => reader.problems.push(Problem { source: Some(source), kind }),
        }
    }
    let config = read(&mut reader, environment);
    match config {
        Some(config) if reader.problems.is_empty() => {
            let notes = notes(&config);
            Ok(Loaded { config, provenance: reader.provenance, notes })
        }
        _ => Err(ConfigErrors::new(reader.problems)),
    }
}

/// A property with its value looked up, where it stands elsewhere. Its name has been checked.
fn property(
    name: &str,
    given: &Given,
    environment: &[(OsString, OsString)],
) -> Result<Property, ProblemKind> {
    let found = given.look_up(environment).map_err(|missing| ProblemKind::PropertyMissing {
        key: visible(&given.key(name)),
        message: missing.message,
        hint: missing.hint,
    })?;
    if given.plain().is_none() {
        properties::check(name, &found.value, true)?;
    }
    Ok(Property { value: found.value, places: found.places })
}

fn defaults() -> Provenance {
    let mut provenance = Provenance::default();
    for key in KEYS {
        // A default that did not parse would be missing here; a test holds that none is.
        if let Ok(parsed) = DeValue::parse(key.default)
            && let Ok(value) = raw::from_toml(key, parsed.get_ref())
        {
            provenance.values.insert(key.path, (value, Source::Default));
        }
    }
    provenance
}

/// `None` only with a problem in the list.
fn read(reader: &mut Reader, environment: &[(OsString, OsString)]) -> Option<Config> {
    let cluster = reader.parsed("cluster", name);
    let bootstrap_servers = reader.parsed("kafka.bootstrap_servers", bootstrap_servers);
    let group_id = reader.parsed("kafka.group_id", name);
    let cluster_from = reader.parsed("source.cluster_from", cluster_from);
    let wrapper = reader.parsed("source.wrapper", wrapper);
    let listen = reader.parsed("admin.listen", listen);
    let source_topics = source_topics(reader);
    let outputs = OUTPUT_TOPICS.map(|path| reader.parsed(path, topic));
    distinct_topics(reader, &source_topics);
    let directory = state_directory(reader, environment);

    let [alerts_topic, observations_topic, dead_letters_topic] = outputs;
    let properties: Properties = (reader.provenance.properties.iter())
        .map(|(name, (property, _))| (name.clone(), property.clone()))
        .collect();
    if let Err(missing) = properties.tokens() {
        let path = ["sasl.mechanism", "sasl.mechanisms"]
            .map(|name| format!("{}.{name}", keys::PROPERTIES))
            .into_iter()
            .find(|path| reader.provenance.source(path).is_some());
        let invalid = Invalid::new(format!("OAUTHBEARER needs `{missing}` as well"))
            .hint("docs/security.md has a whole configuration");
        reader.problem(&path.unwrap_or_default(), invalid);
    }
    Some(Config {
        cluster: cluster?,
        rules: reader.list("rules").into_iter().map(PathBuf::from).collect(),
        exceptions: reader.list("exceptions").into_iter().map(PathBuf::from).collect(),
        enabled_rules: reader.list("enabled_rules"),
        rules_check_every_ms: reader.number("rules_check_every"),
        delivery: Delivery::AtLeastOnce,
        kafka: KafkaConfig {
            bootstrap_servers: bootstrap_servers?,
            group_id: group_id?,
            properties,
        },
        source: SourceConfig {
            topics: source_topics,
            start: match reader.text("source.start").as_str() {
                "latest" => Start::Latest,
                _ => Start::Earliest,
            },
            cluster_from: cluster_from?,
            wrapper: wrapper?,
        },
        alerts: AlertsConfig {
            topic: alerts_topic?,
            format: AlertFormat::Ecs,
            redact: reader.list("alerts.redact"),
            redact_defaults: reader.boolean("alerts.redact_defaults"),
        },
        observations: ObservationsConfig {
            topic: observations_topic?,
            partitions: reader.number("observations.partitions"),
            replication_factor: reader.number("observations.replication_factor"),
        },
        dead_letters: DeadLettersConfig { topic: dead_letters_topic? },
        topics: TopicsConfig { create: reader.boolean("topics.create") },
        state: StateConfig { directory: directory? },
        new_terms: NewTermsConfig {
            learning_ms: reader.number("new_terms.learning"),
            cache_bytes: reader.number("new_terms.cache"),
        },
        detect: DetectConfig {
            workers: reader.number("detect.workers"),
            max_in_flight_bytes: reader.number("detect.max_in_flight_bytes"),
        },
        admin: AdminConfig { listen: listen?, alerts: reader.boolean("admin.alerts") },
    })
}

fn notes(config: &Config) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(listen) = config.admin.listen.as_deref().filter(|listen| !is_loopback(listen)) {
        let what = if config.admin.alerts { "metrics and the newest alerts" } else { "metrics" };
        notes.push(format!(
            "`admin.listen`: whoever reaches `{listen}` can read {what}; nobody is asked who they are"
        ));
    }
    notes
}

/// Whether an address is of this machine alone, as far as its text says.
fn is_loopback(address: &str) -> bool {
    let of_localhost = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    address.parse::<std::net::SocketAddr>().is_ok_and(|address| address.ip().is_loopback())
        || address.strip_prefix("localhost:").is_some_and(of_localhost)
}

/// A name that ends up in keys, ids and metadata.
fn name(text: &str) -> Result<String, Invalid> {
    if text.trim().is_empty() {
        return Err(Invalid::new("must not be empty"));
    }
    if text.trim() != text {
        return Err(Invalid::new("must not begin or end with a space"));
    }
    if text.chars().any(char::is_control) {
        return Err(Invalid::new("must not hold control characters"));
    }
    if text.len() > limits::NAME_MAX_BYTES {
        let max = limits::NAME_MAX_BYTES;
        return Err(Invalid::new(format!("is longer than {max} bytes")));
    }
    Ok(text.to_owned())
}

fn bootstrap_servers(text: &str) -> Result<String, Invalid> {
    let hint = "write host:port, several separated by commas, e.g. `kafka-1:9092,kafka-2:9092`";
    let servers: Vec<&str> = text.split(',').map(str::trim).filter(|s| !s.is_empty()).collect();
    if servers.is_empty() {
        return Err(Invalid::new("must name a broker").hint(hint));
    }
    for server in &servers {
        // librdkafka also takes `PROTOCOL://host:port`.
        let address = server.split_once("://").map_or(*server, |(_, address)| address);
        if !is_address(address, false) {
            return Err(Invalid::new(format!("`{}` is no host:port", visible(server))).hint(hint));
        }
    }
    Ok(servers.join(","))
}

/// `host:port`, `[v6]:port`, and without the port unless it is needed.
fn is_address(text: &str, port_needed: bool) -> bool {
    let after_bracket = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (host, port) = match after_bracket {
        Some((host, "")) => (host, None),
        Some((host, rest)) => match rest.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None => return false,
        },
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let bracketed = after_bracket.is_some();
    let host_char =
        |c: char| c.is_ascii_alphanumeric() || "-._".contains(c) || (bracketed && ":%".contains(c));
    let host_valid = !host.is_empty() && host.chars().all(host_char);
    let port_valid = match port {
        Some(port) => {
            port.bytes().all(|byte| byte.is_ascii_digit())
                && port.parse::<u16>().is_ok_and(|port| port > 0)
        }
        None => !port_needed,
    };
    host_valid && port_valid
}

fn cluster_from(text: &str) -> Result<ClusterFrom, Invalid> {
    let hint = "use \"topic\", \"header:NAME\" or \"field:/json/pointer\"";
    match text.split_once(':') {
        None if text.is_empty() => Ok(ClusterFrom::None),
        None if text == "topic" => Ok(ClusterFrom::Topic),
        Some(("header", "")) => Err(Invalid::new("the header has no name").hint(hint)),
        Some(("header", name)) => Ok(ClusterFrom::Header(name.to_owned())),
        Some(("field", pointer)) => {
            // RFC 6901: reference tokens each behind a slash; `~` only as `~0` or `~1`.
            let escapes_valid = pointer.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
            if !pointer.starts_with('/') || !escapes_valid {
                let message = format!("`{}` is no JSON pointer", visible(pointer));
                return Err(Invalid::new(message)
                    .hint("a JSON pointer looks like `/metadata/cluster`; `~` is `~0` in it"));
            }
            Ok(ClusterFrom::Field(pointer.to_owned()))
        }
        _ => Err(Invalid::new(format!("\"{}\" is unknown", visible(text))).hint(hint)),
    }
}

fn wrapper(text: &str) -> Result<Option<String>, Invalid> {
    match text {
        "auto" => Ok(None),
        "" => Err(Invalid::new("must not be empty").hint("use \"auto\"")),
        name => Ok(Some(name.to_owned())),
    }
}

/// Whether a text is `host:port`, to listen on.
pub fn names_a_listener(text: &str) -> bool {
    // Port 0 asks the system for one that is free, which is of use here alone.
    let host_of_any_port = text.strip_suffix(":0").map(|host| format!("{host}:1"));
    is_address(host_of_any_port.as_deref().unwrap_or(text), true)
}

fn listen(text: &str) -> Result<Option<String>, Invalid> {
    if text.is_empty() {
        return Ok(None);
    }
    if !names_a_listener(text) {
        return Err(Invalid::new(format!("`{}` is no host:port", visible(text)))
            .hint("write e.g. `127.0.0.1:9464`, or \"\" to turn it off"));
    }
    Ok(Some(text.to_owned()))
}

/// A name that a broker takes for a topic.
fn topic(text: &str) -> Result<String, Invalid> {
    if text.is_empty() {
        return Err(Invalid::new("the topic's name is empty"));
    }
    if text == "." || text == ".." {
        return Err(Invalid::new(format!("`{text}` is no valid topic name")));
    }
    if text.len() > limits::TOPIC_NAME_MAX_BYTES {
        let max = limits::TOPIC_NAME_MAX_BYTES;
        return Err(Invalid::new(format!("the topic's name is longer than {max} characters")));
    }
    let valid = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !text.chars().all(valid) {
        let invalid = Invalid::new(format!("`{}` is no valid topic name", visible(text)));
        let hint = if text.starts_with('^') {
            "patterns are not supported: list the topics"
        } else {
            "a topic's name has letters, digits, `.`, `_` and `-`"
        };
        return Err(invalid.hint(hint));
    }
    Ok(text.to_owned())
}

fn source_topics(reader: &mut Reader) -> Vec<String> {
    let path = "source.topics";
    let topics = reader.list(path);
    if topics.is_empty() {
        reader.problem(path, Invalid::new("must name at least one topic"));
    }
    if topics.len() > limits::SOURCE_TOPICS_MAX {
        let max = limits::SOURCE_TOPICS_MAX;
        reader.problem(path, Invalid::new(format!("names more than {max} topics")));
        return Vec::new();
    }
    for (i, name) in topics.iter().enumerate() {
        if let Err(invalid) = topic(name) {
            reader.problem(path, invalid);
        } else if topics[..i].contains(name) {
            reader.problem(path, Invalid::new(format!("`{name}` is listed twice")));
        }
    }
    topics
}

const OUTPUT_TOPICS: [&str; 3] = ["alerts.topic", "observations.topic", "dead_letters.topic"];

/// Reading what we write would feed the stream to itself; two kinds of records in one topic would
/// each be garbage to the other's reader.
fn distinct_topics(reader: &mut Reader, source_topics: &[String]) {
    for (i, path) in OUTPUT_TOPICS.iter().enumerate() {
        let topic = reader.text(path);
        if topic.is_empty() {
            continue;
        }
        let other = if source_topics.contains(&topic) {
            Some("source.topics")
        } else {
            OUTPUT_TOPICS[..i].iter().find(|other| reader.text(other) == topic).copied()
        };
        if let Some(other) = other {
            // The place to look at is the key that somebody set.
            let (at, with) =
                if reader.provenance.is_default(path) { (other, *path) } else { (*path, other) };
            let message = format!("`{}` is the topic of `{with}` too", visible(&topic));
            reader.problem(at, Invalid::new(message).hint("each needs a topic of its own"));
        }
    }
}

/// The directory, by the first of: the key, systemd's, the XDG base directory, the home.
fn state_directory(reader: &mut Reader, environment: &[(OsString, OsString)]) -> Option<PathBuf> {
    let path = "state.directory";
    let explicit = reader.text(path);
    if explicit.contains('\0') {
        reader.problem(path, Invalid::new("holds a NUL character"));
        return None;
    }
    if !explicit.is_empty() {
        return Some(PathBuf::from(explicit));
    }
    let variable = |name: &str| {
        let found = environment.iter().find(|(variable, _)| variable == name);
        found.map(|(_, value)| value.as_os_str()).filter(|value| !value.is_empty())
    };
    // Relative paths in these two are to be ignored (XDG Base Directory Specification).
    let absolute = |name: &str| variable(name).map(Path::new).filter(|path| path.is_absolute());
    let (directory, name) = if let Some(value) = variable("STATE_DIRECTORY") {
        (first_directory(value), "STATE_DIRECTORY")
    } else if let Some(state_home) = absolute("XDG_STATE_HOME") {
        (state_home.join("kubetell"), "XDG_STATE_HOME")
    } else if let Some(home) = absolute("HOME") {
        (home.join(".local/state/kubetell"), "HOME")
    } else {
        let invalid = Invalid::new("no place for the state: $HOME is not set")
            .hint("set `state.directory` (or KUBETELL_STATE__DIRECTORY)");
        reader.problem(path, invalid);
        return None;
    };
    let shown = Value::Text(directory.to_string_lossy().into_owned());
    reader.provenance.values.insert(path, (shown, Source::Environment(name.to_owned())));
    Some(directory)
}

/// systemd joins several directories with colons: the first is ours.
fn first_directory(value: &OsStr) -> PathBuf {
    std::env::split_paths(value).find(|path| !path.as_os_str().is_empty()).unwrap_or_default()
}
