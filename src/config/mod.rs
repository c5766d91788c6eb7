//! Configuration: a TOML file, overridden by `KUBETELL_…` variables, overridden by `--set`.
//!
//! Owns every key with its default (`keys`), where values come from (`sources`), what they mean
//! (`resolve`), which properties of librdkafka may be set (`properties`), which of them stand in
//! files or variables of their own (`secrets`), and the forms in which the whole is shown (`show`,
//! `template`, `schema`). All that is wrong is reported at once, each problem with its place. It
//! asks no broker and touches no state: it only reads its file and those that properties name.

mod error;
pub(crate) mod keys;
mod properties;
mod raw;
mod resolve;
mod schema;
mod secrets;
mod show;
mod sources;
mod template;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::PathBuf;

pub use error::{ConfigErrors, Expected, Found, Problem, ProblemKind, Source};
pub use properties::{HIDDEN, Properties, is_secret};
pub use resolve::{Provenance, names_a_listener};
pub use schema::schema;
pub use show::{show_json, show_toml};
pub use sources::{Setting, SettingError};
pub use template::template;

use crate::faults;
use crate::ingest::oauth;

/// What the name of every variable begins with that sets a key.
pub const ENVIRONMENT_PREFIX: &str = "KUBETELL_";
/// Names the configuration file when `--config` does not.
pub const ENVIRONMENT_CONFIG: &str = "KUBETELL_CONFIG";
/// What is logged: a filter of `tracing`, e.g. `debug` or `kubetell::ingest=trace`.
pub const ENVIRONMENT_LOG: &str = "KUBETELL_LOG";
/// Variables with our prefix that are no keys.
const ENVIRONMENT_RESERVED: &[&str] = if cfg!(debug_assertions) {
    &[ENVIRONMENT_CONFIG, ENVIRONMENT_LOG, faults::VARIABLE]
} else {
    // A release has no faults and refuses to be asked for one.
    &[ENVIRONMENT_CONFIG, ENVIRONMENT_LOG]
};

/// All that a configuration is made of.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    pub file: Option<PathBuf>,
    /// The whole environment of the process; what is not ours is not looked at.
    pub environment: Vec<(OsString, OsString)>,
    /// In the order given.
    pub settings: Vec<Setting>,
}

/// A valid configuration and where it came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub config: Config,
    pub provenance: Provenance,
    /// What the operator should know although it is no error.
    pub notes: Vec<String>,
}

/// The configuration, checked. `Debug` shows no secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Never empty.
    pub cluster: String,
    /// Files or folders with rules. Read by whoever knows the rules.
    pub rules: Vec<PathBuf>,
    /// Files or folders with exceptions. Read by whoever knows the rules.
    pub exceptions: Vec<PathBuf>,
    /// Ids of rules that are off by default. Checked by whoever knows the rules.
    pub enabled_rules: Vec<String>,
    /// How often the files of `rules` are looked at while the service runs; 0 is never.
    pub rules_check_every_ms: u64,
    pub delivery: Delivery,
    pub kafka: KafkaConfig,
    pub source: SourceConfig,
    pub alerts: AlertsConfig,
    pub observations: ObservationsConfig,
    pub dead_letters: DeadLettersConfig,
    pub topics: TopicsConfig,
    pub state: StateConfig,
    pub new_terms: NewTermsConfig,
    pub detect: DetectConfig,
    pub admin: AdminConfig,
}

impl Config {
    /// Consumer group of the first-seen half.
    pub fn terms_group_id(&self) -> String {
        format!("{}-terms", self.kafka.group_id)
    }

    /// What every Kafka client of this process is made with: the bootstrap servers and the
    /// operator's properties, secrets in clear.
    pub fn client_config(&self) -> rdkafka::ClientConfig {
        let mut client = rdkafka::ClientConfig::new();
        client.set("bootstrap.servers", &self.kafka.bootstrap_servers);
        client.set("client.id", "kubetell");
        // The library's own choice asks a log that nobody has set up.
        if tracing::enabled!(target: "librdkafka", tracing::Level::DEBUG) {
            client.set_log_level(rdkafka::config::RDKafkaLogLevel::Debug);
        }
        let properties = self.kafka.properties.expose();
        for (name, value) in properties.filter(|(name, _)| !properties::is_of_tokens(name)) {
            client.set(name, value);
        }
        if let Ok(Some(settings)) = self.kafka.properties.tokens() {
            // Before any client does, whose way of it would take TLS down when the process ends, under
            // a request for a token that is still under way.
            openssl::init();
            client.set(oauth::CARRIER, settings.to_text());
        }
        client
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    AtLeastOnce,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaConfig {
    /// `host:port`, separated by commas, as librdkafka reads it.
    pub bootstrap_servers: String,
    pub group_id: String,
    pub properties: Properties,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceConfig {
    /// At least one; valid names, none twice.
    pub topics: Vec<String>,
    pub start: Start,
    pub cluster_from: ClusterFrom,
    /// The one wrapper to expect; `None` recognises it record by record. The name is checked by
    /// whoever knows the wrappers.
    pub wrapper: Option<String>,
}

/// Where a group without committed offsets begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Earliest,
    Latest,
}

/// Where a record names its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterFrom {
    /// Nowhere: `cluster` holds for all.
    None,
    /// The topic's name is the cluster's.
    Topic,
    /// The value of the record's header of this name.
    Header(String),
    /// A JSON pointer (RFC 6901) into the record's value; begins with `/`.
    Field(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertsConfig {
    pub topic: String,
    pub format: AlertFormat,
    /// What must not leave. Regular expressions, checked by whoever compiles them.
    pub redact: Vec<String>,
    /// Whether the default patterns are in force as well.
    pub redact_defaults: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertFormat {
    Ecs,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservationsConfig {
    pub topic: String,
    /// 1 to `limits::OBSERVATION_PARTITIONS_MAX`.
    pub partitions: i32,
    /// At least 1.
    pub replication_factor: i16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLettersConfig {
    pub topic: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicsConfig {
    /// Whether topics of our own are created when absent.
    pub create: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateConfig {
    /// Resolved; it need not exist yet.
    pub directory: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTermsConfig {
    /// Milliseconds; 0 alerts from the first event.
    pub learning_ms: i64,
    /// What the cache of recent observations may take; 0: none.
    pub cache_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetectConfig {
    /// 0: one a core.
    pub workers: usize,
    /// Bytes of records read and not yet acknowledged.
    pub max_in_flight_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminConfig {
    /// `host:port` where metrics and health are served; port 0: any that is free.
    pub listen: Option<String>,
    /// Whether the newest alerts are shown to whoever asks there.
    pub alerts: bool,
}

/// Reads and checks everything.
///
/// # Errors
/// All problems at once; nothing has been changed.
pub fn load(inputs: &Inputs) -> Result<Loaded, ConfigErrors> {
    let file = match &inputs.file {
        None => sources::Layer::default(),
        Some(path) => match sources::read_file(path) {
            Ok(text) => sources::from_file(path, &text),
            Err(kind) => sources::Layer {
                problems: vec![Problem { source: None, kind }],
                ..sources::Layer::default()
            },
        },
    };
    load_layers(file, inputs)
}

/// As `load`, the file being given as text.
#[cfg(test)]
fn load_text(text: &str, inputs: &Inputs) -> Result<Loaded, ConfigErrors> {
    load_layers(sources::from_file(std::path::Path::new("kubetell.toml"), text), inputs)
}

fn load_layers(file: sources::Layer, inputs: &Inputs) -> Result<Loaded, ConfigErrors> {
    let environment = sources::from_environment(&inputs.environment);
    let settings = sources::from_settings(&inputs.settings);
    resolve::resolve([file, environment, settings], &inputs.environment)
}
