//! Properties of librdkafka that an operator may set.
//!
//! Any property passes, but for those that the program's promises rest on: these are refused,
//! each with its reason. Owns what counts as a secret. It creates no client.

use std::collections::BTreeMap;
use std::fmt;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;

use super::error::{ProblemKind, visible};
use super::keys;
use super::secrets::Place;
use crate::ingest::oauth;

/// What is shown instead of a secret.
pub const HIDDEN: &str = "********";

/// The value of one property.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Property {
    /// In clear.
    pub value: String,
    /// Where it was looked up, in part or in full; empty where it is what was written.
    pub places: Vec<Place>,
}

impl Property {
    /// The value fit to be shown.
    pub fn shown(&self, name: &str) -> &str {
        if is_secret(name) || !self.places.is_empty() { HIDDEN } else { &self.value }
    }
}

/// The properties in force. Neither `Debug` nor any message shows a secret one's value.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties(BTreeMap<String, Property>);

impl Properties {
    /// Names and values, secret ones included, for the client library alone.
    pub fn expose(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, property)| (name.as_str(), property.value.as_str()))
    }

    /// Names and values fit to be shown.
    pub fn shown(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, property)| (name.as_str(), property.shown(name)))
    }

    /// How tokens are fetched, where brokers are asked by OAUTHBEARER.
    ///
    /// # Errors
    /// The name of a property that is missing for it.
    pub fn tokens(&self) -> Result<Option<oauth::Settings>, &'static str> {
        let value = |name: &str| self.0.get(name).map(|property| property.value.clone());
        let mechanism = value("sasl.mechanism").or_else(|| value("sasl.mechanisms"));
        if mechanism.as_deref() != Some("OAUTHBEARER") {
            return Ok(None);
        }
        if value(TOKEN_METHOD).as_deref() != Some("oidc") {
            return Err(TOKEN_METHOD);
        }
        Ok(Some(oauth::Settings {
            client_id: value(TOKEN_CLIENT).ok_or(TOKEN_CLIENT)?,
            client_secret: value(TOKEN_SECRET).ok_or(TOKEN_SECRET)?,
            endpoint: value(TOKEN_ENDPOINT).ok_or(TOKEN_ENDPOINT)?,
            scope: value(TOKEN_SCOPE),
            authorities: value(TOKEN_AUTHORITIES),
        }))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(String, Property)> for Properties {
    fn from_iter<I: IntoIterator<Item = (String, Property)>>(items: I) -> Properties {
        Properties(items.into_iter().collect())
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.shown()).finish()
    }
}

/// Whether a property's value must never be displayed. Wide on purpose: a hidden path costs
/// little, a shown password much.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["password", "secret", "token", "key.pem", "jaas", "kinit.cmd", "credential"]
        .iter()
        .any(|part| name.contains(part))
        || ["sasl.oauthbearer.", "ssl.key", "https.proxy", "ssl_engine"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

const TOKEN_METHOD: &str = "sasl.oauthbearer.method";
const TOKEN_CLIENT: &str = "sasl.oauthbearer.client.id";
const TOKEN_SECRET: &str = "sasl.oauthbearer.client.secret";
const TOKEN_ENDPOINT: &str = "sasl.oauthbearer.token.endpoint.url";
const TOKEN_SCOPE: &str = "sasl.oauthbearer.scope";
const TOKEN_AUTHORITIES: &str = "https.ca.location";

/// Whether kubetell itself does what the property is for: librdkafka knows it, but is built without
/// an HTTP client and takes no value.
pub(crate) fn is_of_tokens(name: &str) -> bool {
    [TOKEN_METHOD, TOKEN_CLIENT, TOKEN_SECRET, TOKEN_ENDPOINT, TOKEN_SCOPE, TOKEN_AUTHORITIES]
        .contains(&name)
}

const POSITION: &str = "kubetell commits a position itself, once everything before it is delivered";
const GROUP: &str =
    "a hand-over between instances relies on the classic protocol with cooperative-sticky";
const DELIVERY: &str = "an alert survives a broker only with `acks=all`: kubetell sets it";
const IDEMPOTENCE: &str = "an idempotent producer may take a batch for written that was lost with its leader: kubetell \
     turns it off and repeats by id";
const CALLBACK: &str = "it is a pointer within the program, not a text";

/// Refused names, each with the reason. A trailing `*` stands for any rest, a leading one for
/// any beginning.
const REFUSED: &[(&str, &str)] = &[
    ("bootstrap.servers", "use `kafka.bootstrap_servers`"),
    ("metadata.broker.list", "use `kafka.bootstrap_servers`"),
    ("group.id", "use `kafka.group_id`"),
    ("auto.offset.reset", "use `source.start`"),
    ("enable.auto.commit", POSITION),
    ("auto.commit.*", POSITION),
    ("enable.auto.offset.store", POSITION),
    ("offset.store.*", POSITION),
    ("enable.partition.eof", "kubetell sets it where it reads up to the end of a partition"),
    ("partition.assignment.strategy", GROUP),
    ("group.protocol", GROUP),
    ("group.protocol.type", GROUP),
    ("group.remote.assignor", GROUP),
    ("isolation.level", "events and observations of aborted transactions must stay unseen"),
    ("enable.idempotence", IDEMPOTENCE),
    ("acks", DELIVERY),
    ("request.required.acks", DELIVERY),
    ("enable.gapless.guarantee", "a failed delivery is sent again; it must not stop the producer"),
    ("transactional.id", "transactions are not available in this version"),
    (
        "message.timeout.ms",
        "how long a delivery is tried must outlast a broker's restart: kubetell sets it",
    ),
    (
        "delivery.timeout.ms",
        "how long a delivery is tried must outlast a broker's restart: kubetell sets it",
    ),
    (
        "delivery.report.only.error",
        "a position is committed only past acknowledged output, so every acknowledgement counts",
    ),
    (
        "allow.auto.create.topics",
        "a topic made by the broker lacks the settings that correctness needs; \
         use `topics.create` or `kubetell topics create`",
    ),
    (oauth::CARRIER, "use `sasl.oauthbearer.method = \"oidc\"` and what belongs to it"),
    ("enabled_events", "the client library sets it"),
    ("*_cb", CALLBACK),
    ("opaque", CALLBACK),
    ("interceptors", CALLBACK),
    ("default_topic_conf", CALLBACK),
    ("ssl_engine_callback_data", CALLBACK),
];

/// Why the property must not be set, if so.
pub(crate) fn refusal(name: &str) -> Option<&'static str> {
    REFUSED
        .iter()
        .find(|(pattern, _)| {
            if let Some(prefix) = pattern.strip_suffix('*') {
                name.starts_with(prefix)
            } else if let Some(suffix) = pattern.strip_prefix('*') {
                name.ends_with(suffix)
            } else {
                name == *pattern
            }
        })
        .map(|(_, reason)| *reason)
}

/// Names that people set, to suggest one for a misspelt one. The library cannot list its own.
const COMMON: &[&str] = &[
    "broker.address.family",
    "client.dns.lookup",
    "client.id",
    "client.rack",
    "compression.level",
    "compression.type",
    "debug",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "fetch.min.bytes",
    "fetch.wait.max.ms",
    "group.instance.id",
    "heartbeat.interval.ms",
    "linger.ms",
    "max.poll.interval.ms",
    "message.max.bytes",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "receive.message.max.bytes",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "request.timeout.ms",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.method",
    "sasl.oauthbearer.scope",
    "sasl.oauthbearer.token.endpoint.url",
    "sasl.password",
    "sasl.username",
    "security.protocol",
    "session.timeout.ms",
    "socket.keepalive.enable",
    "socket.timeout.ms",
    "ssl.ca.location",
    "ssl.ca.pem",
    "ssl.certificate.location",
    "ssl.certificate.pem",
    "ssl.endpoint.identification.algorithm",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "statistics.interval.ms",
];

fn invalid(name: &str, message: &str, nearest: Option<&str>) -> Result<(), ProblemKind> {
    let (message, nearest) = (message.to_owned(), nearest.map(str::to_owned));
    Err(ProblemKind::PropertyInvalid { name: visible(name), message, nearest })
}

/// Whether the property may be set and librdkafka knows it, whatever its value.
pub(crate) fn check_name(name: &str) -> Result<(), ProblemKind> {
    match check(name, "", true) {
        Err(ProblemKind::PropertyInvalid { message, .. })
            if message != UNKNOWN && message != UNNAMED =>
        {
            Ok(())
        }
        result => result,
    }
}

const UNKNOWN: &str = "librdkafka knows no such property";
const UNNAMED: &str = "no property has such a name";

/// Whether the property may be set and librdkafka knows it and takes the value. The value of a
/// secret one is not repeated, nor that of any where `hidden` is set.
pub(crate) fn check(name: &str, value: &str, hidden: bool) -> Result<(), ProblemKind> {
    if let Some(reason) = refusal(name) {
        return Err(ProblemKind::PropertyRefused { name: visible(name), reason });
    }
    if name.is_empty() || name.contains('\0') {
        return invalid(name, UNNAMED, None);
    }
    if value.contains('\0') {
        return invalid(name, "the value holds a NUL character", None);
    }
    if is_of_tokens(name) {
        let problem = match name {
            TOKEN_METHOD if value == "oidc" => None,
            TOKEN_METHOD => Some("must be `oidc`: a token is fetched by client credentials"),
            TOKEN_ENDPOINT => oauth::endpoint_problem(value),
            _ if value.is_empty() => Some("must not be empty"),
            _ => None,
        };
        return problem.map_or(Ok(()), |problem| invalid(name, problem, None));
    }
    // Setting this one loads the libraries it names: not in a mere check.
    if name == "plugin.library.paths" {
        return Ok(());
    }
    let mut config = ClientConfig::new();
    config.set(name, value);
    match config.create_native_config() {
        Ok(_) => Ok(()),
        Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..)) => {
            invalid(name, UNKNOWN, keys::best_match(name, COMMON.iter().copied(), |_| false))
        }
        // The library's text repeats the value.
        Err(KafkaError::ClientConfig(_, description, ..)) if !hidden && !is_secret(name) => {
            invalid(name, &visible(description.trim()), None)
        }
        Err(KafkaError::ClientConfig(_, description, ..))
            if description.contains("not supported in this build") =>
        {
            invalid(name, "this build of librdkafka does not support it", None)
        }
        Err(_) => invalid(name, "librdkafka does not take the value", None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_property_that_correctness_needs_is_refused() {
        for name in [
            "acks",
            "allow.auto.create.topics",
            "auto.commit.enable",
            "auto.commit.interval.ms",
            "auto.offset.reset",
            "bootstrap.servers",
            "default_topic_conf",
            "delivery.report.only.error",
            "delivery.timeout.ms",
            "dr_cb",
            "dr_msg_cb",
            "enable.auto.commit",
            "enable.auto.offset.store",
            "enable.gapless.guarantee",
            "enable.idempotence",
            "enable.partition.eof",
            "enabled_events",
            "error_cb",
            "group.id",
            "group.protocol",
            "group.protocol.type",
            "group.remote.assignor",
            "interceptors",
            "isolation.level",
            "message.timeout.ms",
            "metadata.broker.list",
            "offset.store.method",
            "offset.store.path",
            "opaque",
            "partition.assignment.strategy",
            "rebalance_cb",
            "request.required.acks",
            "ssl_engine_callback_data",
            "transactional.id",
        ] {
            let result = check(name, "1", false);
            assert!(
                matches!(result, Err(ProblemKind::PropertyRefused { .. })),
                "{name}: {result:?}"
            );
        }
    }

    /// A suggestion must not lead to the next error, and the list must not go stale.
    #[test]
    fn suggested_properties_are_known_and_allowed() {
        for name in COMMON {
            let known = !matches!(check_name(name), Err(ProblemKind::PropertyRefused { .. })) && {
                let mut config = ClientConfig::new();
                config.set(*name, "");
                !matches!(
                    config.create_native_config(),
                    Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..))
                )
            };
            assert!(known, "{name}");
        }
    }

    #[test]
    fn other_properties_pass_with_values_that_librdkafka_takes() {
        let check = |name: &str, value: &str, expected: Option<&str>| {
            let message = check(name, value, false).err().map(|problem| {
                let hint = problem.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
                format!("{problem}{hint}")
            });
            assert_eq!(message.as_deref(), expected);
        };
        check("security.protocol", "SASL_SSL", None);
        check("group.instance.id", "a", None);
        check("max.poll.interval.ms", "300000", None);
        check("linger.ms", "0.5", None);
        check("check.crcs", "false", None);
        check("sasl.password", "hunter2", None);
        check(
            "security.protokol",
            "SSL",
            Some(
                "property `security.protokol`: librdkafka knows no such property \
                 (did you mean `security.protocol`?)",
            ),
        );
        check(
            "queued.min.messages",
            "0",
            Some(
                "property `queued.min.messages`: Configuration property \"queued.min.messages\" \
                 value 0 is outside allowed range 1..10000000",
            ),
        );
        check(
            "ssl.key.password",
            "a\0b",
            Some("property `ssl.key.password`: the value holds a NUL character"),
        );
        check("", "x", Some("property ``: no property has such a name"));
        check("sasl.oauthbearer.method", "oidc", None);
        check(
            "sasl.oauthbearer.method",
            "hunter2",
            Some(
                "property `sasl.oauthbearer.method`: must be `oidc`: a token is fetched by client \
                 credentials",
            ),
        );
        check("sasl.oauthbearer.token.endpoint.url", "https://login.example/token", None);
        check(
            "sasl.oauthbearer.token.endpoint.url",
            "http://login.example/token",
            Some("property `sasl.oauthbearer.token.endpoint.url`: has to begin with `https://`"),
        );
    }

    #[test]
    fn secrets_are_recognised_by_name() {
        for name in [
            "sasl.password",
            "ssl.key.password",
            "ssl.key.pem",
            "ssl.key.location",
            "ssl.keystore.password",
            "sasl.oauthbearer.config",
            "sasl.oauthbearer.client.secret",
            "sasl.jaas.config",
            "sasl.kerberos.kinit.cmd",
            "SASL.PASSWORD",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["sasl.username", "security.protocol", "ssl.ca.location", "client.id"] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn debug_hides_secrets_and_shows_the_rest() {
        let written = |value: &str| Property { value: value.to_owned(), places: Vec::new() };
        let found =
            Property { value: "hunter3".to_owned(), places: vec![Place::Variable("A".to_owned())] };
        let properties: Properties = [
            ("sasl.password".to_owned(), written("hunter2")),
            ("client.id".to_owned(), written("a")),
            ("sasl.username".to_owned(), found),
        ]
        .into_iter()
        .collect();
        let debug = format!("{properties:?}");
        assert_eq!(
            debug,
            r#"{"client.id": "a", "sasl.password": "********", "sasl.username": "********"}"#
        );
    }
}
