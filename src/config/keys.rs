//! Every key of the configuration, as data.
//!
//! The file reader, the environment, `--set`, `config show`, the template and the JSON Schema
//! all go through this one table, so that none of them can know a key that another does not.
//! It must not decide what a value means beyond its type: that is `resolve`'s.

use crate::limits;

/// One key of the configuration.
pub(crate) struct Key {
    /// Dotted path, e.g. `kafka.group_id`.
    pub path: &'static str,
    pub kind: Kind,
    /// The default, as it would stand in the file.
    pub default: &'static str,
    /// What a person needs to know to set it: sentences, one a line of the template.
    pub about: &'static [&'static str],
    /// Whether the template sets the key (else it stands there as a comment).
    pub in_template: bool,
}

/// The type of a key's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// Texts.
    List,
    Boolean,
    Integer {
        min: i64,
        max: i64,
    },
    /// A number with a unit, at most so many milliseconds.
    Duration {
        max_ms: i64,
    },
    /// A number with a unit.
    Size {
        min_bytes: u64,
        max_bytes: u64,
    },
    /// One of some texts. `later` are those that the format names and this version lacks.
    Choice {
        values: &'static [&'static str],
        later: &'static [&'static str],
    },
}

impl Kind {
    /// What an error says it expected.
    pub fn expected(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::List => "a list of texts",
            Kind::Boolean => "`true` or `false`",
            Kind::Integer { .. } => "a whole number",
            Kind::Duration { .. } => "a duration, e.g. \"5m\"",
            Kind::Size { .. } => "a size, e.g. \"64MiB\"",
            Kind::Choice { .. } => "text",
        }
    }
}

/// The table below which any name is a property of librdkafka.
pub(crate) const PROPERTIES: &str = "kafka.properties";

const fn key(
    path: &'static str,
    kind: Kind,
    default: &'static str,
    about: &'static [&'static str],
) -> Key {
    Key { path, kind, default, about, in_template: false }
}

const fn shown(mut key: Key) -> Key {
    key.in_template = true;
    key
}

/// In the order of the template: keys of one table stand together, top-level keys first (TOML
/// demands the latter).
pub(crate) const KEYS: &[Key] = &[
    shown(key(
        "cluster",
        Kind::Text,
        "\"default\"",
        &[
            "Name of the Kubernetes cluster: part of the new-terms key, of the alert id and of every",
            "alert. Two clusters must not share a name.",
        ],
    )),
    key(
        "rules",
        Kind::List,
        "[]",
        &[
            "Files or folders with rules beside the built-in ones: those of this project, and those",
            "in the layout of published rules with a KQL query.",
        ],
    ),
    key(
        "exceptions",
        Kind::List,
        "[]",
        &[
            "Files or folders with exceptions: of which events the rules say nothing. Rules are updated",
            "without touching them.",
        ],
    ),
    key(
        "enabled_rules",
        Kind::List,
        "[]",
        &[
            "Ids of built-in rules to put in force that are off by default, e.g.",
            "\"pod-exec-interactive-shell\".",
        ],
    ),
    key(
        "rules_check_every",
        Kind::Duration { max_ms: limits::DAY_MS },
        "\"10s\"",
        &[
            "How often the files of `rules` are looked at while the service runs. Changed ones are put",
            "in force all together, or not at all. \"0s\" leaves it to the signal SIGHUP.",
        ],
    ),
    key(
        "delivery",
        Kind::Choice { values: &["at-least-once"], later: &["exactly-once"] },
        "\"at-least-once\"",
        &["Alerts carry deterministic ids, so that a sink that upserts by key holds each once."],
    ),
    shown(key(
        "kafka.bootstrap_servers",
        Kind::Text,
        "\"localhost:9092\"",
        &["Brokers to ask first, as host:port, separated by commas."],
    )),
    shown(key(
        "kafka.group_id",
        Kind::Text,
        "\"kubetell\"",
        &["Consumer group of the detect half. First-seen uses \"<group_id>-terms\"."],
    )),
    shown(key(
        "source.topics",
        Kind::List,
        "[\"kubernetes-audit\"]",
        &["Topics with audit events. They are only read, never created."],
    )),
    shown(key(
        "source.start",
        Kind::Choice { values: &["earliest", "latest"], later: &[] },
        "\"earliest\"",
        &[
            "Where a group without committed offsets begins: earliest or latest. The start is",
            "committed at once; partitions added later begin at their start.",
        ],
    )),
    key(
        "source.cluster_from",
        Kind::Text,
        "\"\"",
        &[
            "Several clusters in one topic: \"topic\", \"header:NAME\" or \"field:/json/pointer\" say",
            "where a record names its cluster. `cluster` is then the fallback.",
        ],
    ),
    key(
        "source.wrapper",
        Kind::Text,
        "\"auto\"",
        &["What the events are wrapped in. \"auto\" recognises it record by record."],
    ),
    key(
        "alerts.topic",
        Kind::Text,
        "\"kubetell.alerts\"",
        &["Topic that alerts leave by, keyed by alert id."],
    ),
    key(
        "alerts.format",
        Kind::Choice { values: &["ecs"], later: &["ocsf"] },
        "\"ecs\"",
        &["Form of an alert: Elastic Common Schema."],
    ),
    key(
        "alerts.redact",
        Kind::List,
        "[]",
        &[
            "Regular expressions of what must not leave in an alert's command line, beside the",
            "default ones. A group named `secret` is what is replaced, else the whole match.",
        ],
    ),
    key(
        "alerts.redact_defaults",
        Kind::Boolean,
        "true",
        &[
            "Whether the default patterns are in force: bearer tokens, passwords in options, URLs and",
            "variables, keys of AWS and of code hosts, private keys.",
        ],
    ),
    key(
        "observations.topic",
        Kind::Text,
        "\"kubetell.observations\"",
        &["Internal topic of the new-terms rules: their stream, changelog and backup in one."],
    ),
    key(
        "observations.partitions",
        Kind::Integer { min: 1, max: limits::OBSERVATION_PARTITIONS_MAX },
        "12",
        &["Partitions of the topic when it is created. Part of the state: do not change it later."],
    ),
    key(
        "observations.replication_factor",
        Kind::Integer { min: 1, max: i16::MAX as i64 },
        "3",
        &[
            "Copies of each partition when it is created. Lowered, with a warning, when the cluster",
            "has fewer brokers.",
        ],
    ),
    key(
        "dead_letters.topic",
        Kind::Text,
        "\"kubetell.dead-letters\"",
        &["Topic for records that could not be read."],
    ),
    key(
        "topics.create",
        Kind::Boolean,
        "true",
        &["Whether topics of our own are created when absent. Source topics never are."],
    ),
    key(
        "state.directory",
        Kind::Text,
        "\"\"",
        &[
            "Where first-seen keeps its view of the observations topic. When empty: $STATE_DIRECTORY,",
            "else $XDG_STATE_HOME/kubetell, else ~/.local/state/kubetell.",
        ],
    ),
    shown(key(
        "new_terms.learning",
        Kind::Duration { max_ms: limits::WINDOW_MAX_MS },
        "\"7d\"",
        &[
            "How long a new-terms rule only learns before it alerts. \"0s\" alerts from the first",
            "event.",
        ],
    )),
    key(
        "new_terms.cache",
        Kind::Size { min_bytes: 0, max_bytes: limits::CACHE_MAX_BYTES },
        "\"16MiB\"",
        &[
            "Memory of the detect half for what was observed a moment ago, which then is not sent",
            "again for a 168th of the rule's window (an hour of seven days). \"0B\" sends everything.",
        ],
    ),
    key(
        "detect.workers",
        Kind::Integer { min: 0, max: limits::WORKERS_MAX },
        "0",
        &["Worker threads of the detect half. 0: one a core."],
    ),
    key(
        "detect.max_in_flight_bytes",
        Kind::Size {
            min_bytes: limits::IN_FLIGHT_MIN_BYTES,
            max_bytes: limits::IN_FLIGHT_MAX_BYTES,
        },
        "\"64MiB\"",
        &["Bytes of records read and not yet acknowledged. Partitions are paused above it."],
    ),
    key(
        "admin.listen",
        Kind::Text,
        "\"127.0.0.1:9464\"",
        &[
            "Where metrics and health are served, as host:port; without passwords or TLS, so leave it to",
            "the loopback or to a network that you trust. \"\" turns it off. The default is taken only",
            "where it is free; what you set yourself has to be.",
        ],
    ),
    key(
        "admin.alerts",
        Kind::Boolean,
        "true",
        &["Whether the newest alerts are shown there. Metrics and counts are in any case."],
    ),
];

/// The key with exactly this path.
pub(crate) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// Whether `path` names a table, i.e. something that has keys below it.
pub(crate) fn is_table(path: &str) -> bool {
    path == PROPERTIES
        || KEYS
            .iter()
            .any(|key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

/// The table a key stands in (empty for the top level) and its name there.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

/// The environment variable that sets a key: `kafka.group_id` is `KUBETELL_KAFKA__GROUP_ID`.
pub(crate) fn environment_name(path: &str) -> String {
    format!("{}{}", super::ENVIRONMENT_PREFIX, path.replace('.', "__").to_uppercase())
}

/// The known key that a wrong one was probably meant to be.
pub(crate) fn nearest(path: &str) -> Option<&'static str> {
    let (table, name) = split(path);
    // Two keys of one table are alike by their beginning alone, so there the names are compared.
    let within = |key: &&Key| split(key.path).0 == table;
    let sibling =
        best_match(name, KEYS.iter().filter(within).map(|key| split(key.path).1), |_| false)
            .and_then(|name| KEYS.iter().filter(within).find(|key| split(key.path).1 == name))
            .map(|key| key.path);
    sibling.or_else(|| {
        // The right name in the wrong table is as good as a small slip.
        let elsewhere = KEYS.iter().filter(|key| !within(key)).map(|key| key.path);
        best_match(path, elsewhere, |candidate| split(candidate).1 == name)
    })
}

/// The candidate most like `text`, when one is like it at all.
pub(crate) fn best_match<'a>(
    text: &str,
    candidates: impl Iterator<Item = &'a str>,
    same: impl Fn(&str) -> bool,
) -> Option<&'a str> {
    // A longer text is no slip of the finger, and the comparison is quadratic.
    if text.len() > limits::CONFIG_QUOTED_MAX_CHARS {
        return None;
    }
    candidates
        .map(|candidate| {
            let like = strsim::jaro_winkler(text, candidate);
            (if same(candidate) { like.max(0.9) } else { like }, candidate)
        })
        .filter(|(like, _)| *like >= 0.85)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_one_table_stand_together_and_top_level_keys_first() {
        let mut tables: Vec<&str> = Vec::new();
        for key in KEYS {
            let (table, _) = split(key.path);
            if tables.last() != Some(&table) {
                assert!(!tables.contains(&table), "`{table}` is opened twice");
                tables.push(table);
            }
        }
        assert_eq!(tables.first(), Some(&""));
    }

    #[test]
    fn nearest_key_is_found_across_tables_and_slips() {
        let check = |wrong: &str, right: Option<&str>| assert_eq!(nearest(wrong), right, "{wrong}");
        check("clutser", Some("cluster"));
        check("group_id", Some("kafka.group_id"));
        check("source.topic", Some("source.topics"));
        check("kafka.group-id", Some("kafka.group_id"));
        check("detect.learning", Some("new_terms.learning"));
        check("kafak.group_id", Some("kafka.group_id"));
        check("kafka.security", None);
        check("zzz", None);
        check(&"x".repeat(10_000), None);
    }
}
