//! What is wrong with the brokers or the topics, in words, and what to do about it.

use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::config::keys;
use crate::failure::{Class, Remedy};
use crate::ingest::connection::{Overheard, UNKNOWN_HINT, unreachable_hint};
use crate::topics::CONNECT_MAX;

/// Said where the brokers that were asked are those that nobody named.
const DEFAULT_ASKED: &str = "This is the default: `--config FILE` or `KUBETELL_CONFIG` names a configuration, none is \
                             looked for";
/// Said where nobody answered in less time than the start takes, for no reason that is known.
const SLOW: &str = "A slow broker may need more time: see `--timeout`.";
/// Topics that a hint names.
const NAMED_MAX: usize = 5;

/// What keeps the stream from starting.
#[derive(Debug, thiserror::Error)]
pub enum TopicsError {
    #[error("no broker of `{servers}` answered within {} s: {reason}", waited.as_secs_f64())]
    Unreachable { servers: String, waited: Duration, reason: String },
    /// Everything that is wrong, in words, each with what to do.
    #[error("{}", problems_text(.0))]
    Problems(Vec<Problem>),
    #[error("the Kafka client could not be made: {0}")]
    Client(KafkaError),
}

/// One thing that is wrong with a topic, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub message: String,
    pub hint: String,
}

fn problems_text(problems: &[Problem]) -> String {
    problems.iter().map(|problem| problem.message.as_str()).collect::<Vec<_>>().join("\n")
}

impl TopicsError {
    /// The stream can't begin.
    pub fn class(&self) -> Class {
        Class::Fatal
    }

    pub fn remedy(&self) -> Remedy {
        match self {
            TopicsError::Unreachable { .. } => Remedy::Brokers,
            TopicsError::Problems(_) | TopicsError::Client(_) => Remedy::Configure,
        }
    }

    /// What to do about it, a line each.
    pub fn hints(&self) -> Vec<String> {
        match self {
            TopicsError::Unreachable { servers, waited, reason } => {
                let mut hint = unreachable_hint(reason).to_owned();
                if *waited < CONNECT_MAX && hint == UNKNOWN_HINT {
                    hint = format!("{hint} {SLOW}");
                }
                let key = keys::find("kafka.bootstrap_servers");
                let is_default = key.is_some_and(|key| key.default.trim_matches('"') == servers);
                vec![if is_default { format!("{hint} {DEFAULT_ASKED}") } else { hint }]
            }
            TopicsError::Problems(problems) => {
                problems.iter().map(|problem| problem.hint.clone()).collect()
            }
            TopicsError::Client(_) => {
                vec!["see `kafka.properties` in the configuration".to_owned()]
            }
        }
    }
}

/// What the client and the brokers refuse each other for, if they do.
pub fn refused_connection(overheard: &Overheard) -> Option<Problem> {
    let refusal = overheard.refusal()?;
    Some(Problem { message: refusal.message, hint: refusal.hint.to_owned() })
}

pub(super) fn is_absent(error: RDKafkaErrorCode) -> bool {
    matches!(error, RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic)
}

pub(super) fn absent(role: &str, name: &str, error: RDKafkaErrorCode, ours: bool) -> Problem {
    match error {
        error if is_absent(error) => Problem {
            message: format!("the {role} topic `{name}` does not exist"),
            hint: if ours {
                "run `kubetell topics create`, or leave `topics.create` at true".to_owned()
            } else {
                "make it, or name the right one in `source.topics` (the pipeline that writes audit events owns it; kubetell never makes it)".to_owned()
            },
        },
        RDKafkaErrorCode::TopicAuthorizationFailed => Problem {
            message: format!("no right to use the {role} topic `{name}`"),
            hint: format!(
                "grant the principal of `kafka.properties` {} on it",
                match role {
                    "source" => "`Read`",
                    "observations" =>
                        "`Read`, `Write` and `DescribeConfigs` (and `Create`, where kubetell is to make it)",
                    _ => "`Write` (and `Create`, where kubetell is to make it)",
                }
            ),
        },
        other => Problem {
            message: format!("the {role} topic `{name}` can't be used: {other}"),
            hint: "see the brokers' logs".to_owned(),
        },
    }
}

/// The nearest of the topics, else a few of them. Those of Kafka itself begin with two underscores.
pub(super) fn others_text<'a>(absent: &str, names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.filter(|name| !name.starts_with("__")).collect();
    names.sort_unstable();
    let lower = absent.to_lowercase();
    let nearest =
        keys::best_match(absent, names.iter().copied(), |name| name.to_lowercase() == lower);
    if let Some(nearest) = nearest {
        return format!("; did you mean `{nearest}`?");
    }
    let quoted: Vec<String> =
        names.iter().take(NAMED_MAX).map(|name| format!("`{name}`")).collect();
    match (names.is_empty(), names.len().saturating_sub(NAMED_MAX)) {
        (true, _) => "; there is no other topic that this client may see".to_owned(),
        (false, 0) => format!("; there are: {}", quoted.join(", ")),
        (false, more) => format!("; there are: {} and {more} more", quoted.join(", ")),
    }
}

pub(super) fn undescribed(name: &str, reason: &str) -> Problem {
    Problem {
        message: format!("the settings of the observations topic `{name}` can't be read: {reason}"),
        hint: "grant `DescribeConfigs` on it".to_owned(),
    }
}
