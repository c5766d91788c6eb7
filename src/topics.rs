//! The topics: whether the brokers answer, whether the topics are there with the settings that
//! correctness needs, and making our own when they are absent.
//!
//! Owns what the settings have to be and why. Never touches the source topics.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::clock;
use crate::config::{Config, keys};
use crate::duration::format_duration;
use crate::failure::{Class, Remedy};
use crate::ingest::connection::{Overheard, UNKNOWN_HINT, unreachable_hint};
use crate::ingest::oauth;
use crate::limits;

/// How long the start waits for brokers before it gives up.
pub const CONNECT_MAX: Duration = Duration::from_secs(30);
/// How long one attempt of a request may take; another one finds another broker.
const REQUEST_MAX: Duration = Duration::from_secs(5);
/// How long the very first may.
const FIRST_REQUEST_MAX: Duration = Duration::from_millis(500);
/// However little time is left.
const ATTEMPT_MIN: Duration = Duration::from_millis(100);
/// How long is listened after a request that failed; also what paces the attempts.
const LISTEN: Duration = Duration::from_millis(250);
/// Said where the brokers that were asked are those that nobody named.
const DEFAULT_ASKED: &str = "This is the default: `--config FILE` or `KUBETELL_CONFIG` names a configuration, none is \
                             looked for";
/// Said where nobody answered in less time than the start takes, for no reason that is known.
const SLOW: &str = "A slow broker may need more time: see `--timeout`.";
/// Topics that a hint names.
const NAMED_MAX: usize = 5;
/// How long a topic may take from its creation to its first leader.
const CREATED_MAX: Duration = Duration::from_secs(30);

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

/// One of our topics as it should be.
#[derive(Debug, Clone)]
struct Wanted {
    name: String,
    partitions: i32,
    settings: Vec<(&'static str, String)>,
}

/// How one topic was found, for `topics check`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicReport {
    pub name: String,
    pub role: &'static str,
    pub partitions: Option<usize>,
    pub created: bool,
    pub problems: Vec<Problem>,
}

/// What the stream needs to know of the topics.
#[derive(Debug, Clone)]
pub struct Report {
    pub topics: Vec<TopicReport>,
    pub warnings: Vec<String>,
}

impl Report {
    pub fn problems(&self) -> Vec<Problem> {
        self.topics.iter().flat_map(|topic| topic.problems.clone()).collect()
    }
}

/// A partition count for alerts and dead letters where we make the topics.
const OUTPUT_PARTITIONS: i32 = 6;

pub struct Topics<'a> {
    config: &'a Config,
    client_config: ClientConfig,
    reader: BaseConsumer<Overheard>,
    overheard: Overheard,
    admin: AdminClient<DefaultClientContext>,
    runtime: tokio::runtime::Runtime,
}

struct Found {
    partitions: usize,
    error: Option<RDKafkaErrorCode>,
}

impl<'a> Topics<'a> {
    pub fn new(config: &'a Config) -> Result<Self, TopicsError> {
        let client_config = config.client_config();
        let mut reader_config = client_config.clone();
        // A metadata request of a consumer does not make the topic it asks for.
        reader_config.set("allow.auto.create.topics", "false");
        let overheard = Overheard::default();
        Overheard::listens(&mut reader_config);
        let reader =
            reader_config.create_with_context(overheard.clone()).map_err(TopicsError::Client)?;
        let mut admin_config = client_config.clone();
        admin_config.set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg);
        let admin = admin_config.create().map_err(TopicsError::Client)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|error| TopicsError::Client(KafkaError::AdminOpCreation(error.to_string())))?;
        Ok(Topics { config, client_config, reader, overheard, admin, runtime })
    }

    /// Waits until a broker answers; the number of brokers. What brokers refuse is not waited for.
    pub fn connect(&self, wait: Duration) -> Result<usize, TopicsError> {
        let deadline = clock::monotonic() + wait;
        let mut attempt_max = FIRST_REQUEST_MAX;
        let mut said = false;
        loop {
            let left = deadline.saturating_duration_since(clock::monotonic());
            let attempt = attempt_time(left, attempt_max);
            match self.attempt(attempt) {
                Ok(brokers) => return Ok(brokers),
                Err(error) => {
                    // A refused connection comes back at once, and a request that waits for one
                    // does not hear what the client's threads ran into: so little by little.
                    attempt_max = (attempt_max * 2).min(REQUEST_MAX);
                    self.listen(LISTEN);
                    if let Some(problem) = refused_connection(&self.overheard) {
                        return Err(TopicsError::Problems(vec![problem]));
                    }
                    let reason = self.overheard.cause().unwrap_or_else(|| error.to_string());
                    if clock::monotonic() >= deadline {
                        let servers = self.config.kafka.bootstrap_servers.clone();
                        return Err(TopicsError::Unreachable { servers, waited: wait, reason });
                    }
                    if !said {
                        said = true;
                        tracing::warn!(reason, servers = %self.config.kafka.bootstrap_servers,
                            "no broker answers yet; trying for {} s", wait.as_secs_f64());
                    }
                }
            }
        }
    }

    /// Asks once who the brokers are. Nobody polls the clients by then, so each is given its token.
    fn attempt(&self, time: Duration) -> Result<usize, KafkaError> {
        let until = clock::monotonic() + time;
        let signed_in = oauth::sign_in(self.reader.client(), &self.client_config, time)
            .and_then(|()| oauth::sign_in(self.admin.inner(), &self.client_config, Duration::ZERO));
        self.overheard.signed_in(signed_in.as_ref().copied());
        signed_in?;
        let left = until.saturating_duration_since(clock::monotonic()).max(ATTEMPT_MIN);
        let metadata = self.reader.fetch_metadata(Some("kubetell.no-such-topic"), left)?;
        Ok(metadata.brokers().len())
    }

    /// Hears what the client's threads ran into, for so long.
    fn listen(&self, time: Duration) {
        let until = clock::monotonic() + time;
        loop {
            let left = until.saturating_duration_since(clock::monotonic());
            // What it brings went to the client's context, with the reason.
            let _ = self.reader.poll(left);
            if left.is_zero() {
                return;
            }
        }
    }

    /// Asks until there is an answer, while what is in the way passes by itself: a request to a
    /// broker that goes away fails, and the next one finds another.
    fn patiently<T>(
        &self,
        mut ask: impl FnMut() -> Result<T, KafkaError>,
    ) -> Result<T, KafkaError> {
        let deadline = clock::monotonic() + CONNECT_MAX;
        loop {
            match ask() {
                Err(error) if passes(&error) && clock::monotonic() < deadline => {
                    tracing::debug!(%error, "a request failed; trying again");
                    let _ = self.reader.poll(Duration::from_millis(250));
                }
                result => return result,
            }
        }
    }

    fn find(&self, topic: &str) -> Result<Found, KafkaError> {
        let metadata = self.patiently(|| self.reader.fetch_metadata(Some(topic), REQUEST_MAX))?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        Ok(match found {
            Some(found) => Found {
                partitions: found.partitions().len(),
                error: found.error().map(RDKafkaErrorCode::from),
            },
            None => Found { partitions: 0, error: Some(RDKafkaErrorCode::UnknownTopicOrPartition) },
        })
    }

    fn observations(&self, longest_window_ms: i64) -> Wanted {
        Wanted {
            name: self.config.observations.topic.clone(),
            partitions: self.config.observations.partitions,
            settings: vec![
                ("cleanup.policy", "compact,delete".to_owned()),
                ("message.timestamp.type", "LogAppendTime".to_owned()),
                ("min.compaction.lag.ms", limits::COMPACTION_LAG_MS.to_string()),
                ("retention.ms", limits::observation_retention_ms(longest_window_ms).to_string()),
                ("retention.bytes", "-1".to_owned()),
                ("segment.ms", limits::OBSERVATION_SEGMENT_MS.to_string()),
                ("min.cleanable.dirty.ratio", "0.1".to_owned()),
                ("compression.type", "producer".to_owned()),
                ("max.message.bytes", limits::RECORD_MAX_BYTES.to_string()),
            ],
        }
    }

    /// Looks at every topic; makes our own where they are absent and `create` says so.
    pub fn survey(&self, longest_window_ms: i64, create: bool) -> Result<Report, TopicsError> {
        let brokers = self.connect(CONNECT_MAX)?;
        let mut warnings = Vec::new();
        let wanted_replicas = self.config.observations.replication_factor;
        let wanted_replicas = i32::from(wanted_replicas);
        let replicas = wanted_replicas.min(i32::try_from(brokers).unwrap_or(1)).max(1);
        let mut topics = Vec::new();
        for name in &self.config.source.topics {
            topics.push(self.source(name)?);
        }
        let observations = self.observations(longest_window_ms);
        let plain = |name: &str| Wanted {
            name: name.to_owned(),
            partitions: OUTPUT_PARTITIONS,
            settings: vec![("max.message.bytes", limits::RECORD_MAX_BYTES.to_string())],
        };
        let own = [
            ("observations", observations),
            ("alerts", plain(&self.config.alerts.topic)),
            ("dead letters", plain(&self.config.dead_letters.topic)),
        ];
        for (role, wanted) in own {
            topics.push(self.own(role, &wanted, replicas, create)?);
        }
        if replicas < wanted_replicas && topics.iter().any(|topic| topic.created) {
            warnings.push(format!(
                "the cluster has {brokers} broker(s): topics were made with a replication factor of {replicas} instead of {wanted_replicas}"
            ));
        }
        Ok(Report { topics, warnings })
    }

    /// Looks at the observations topic alone; makes nothing.
    pub fn survey_observations(&self, longest_window_ms: i64) -> Result<TopicReport, TopicsError> {
        self.connect(CONNECT_MAX)?;
        self.own("observations", &self.observations(longest_window_ms), 1, false)
    }

    /// Looks at the source topics alone, in the configuration's order; makes nothing.
    pub fn survey_sources(&self) -> Result<Vec<TopicReport>, TopicsError> {
        self.connect(CONNECT_MAX)?;
        self.config.source.topics.iter().map(|name| self.source(name)).collect()
    }

    fn source(&self, name: &str) -> Result<TopicReport, TopicsError> {
        let found = self.find(name).map_err(|error| self.unreachable(&error))?;
        let mut report = TopicReport {
            name: name.to_owned(),
            role: "source",
            partitions: None,
            created: false,
            problems: Vec::new(),
        };
        match found.error {
            None => report.partitions = Some(found.partitions),
            Some(error) => {
                let mut problem = absent("source", name, error, false);
                if is_absent(error) {
                    problem.hint.push_str(&self.others(name));
                }
                report.problems.push(problem);
            }
        }
        Ok(report)
    }

    /// Which topics there are in the place of one that is absent, as the end of a sentence; empty where
    /// that can't be known.
    fn others(&self, absent: &str) -> String {
        let Ok(metadata) = self.reader.fetch_metadata(None, REQUEST_MAX) else {
            return String::new();
        };
        let own = [
            &self.config.observations.topic,
            &self.config.alerts.topic,
            &self.config.dead_letters.topic,
        ];
        let names: Vec<&str> = metadata.topics().iter().map(|topic| topic.name()).collect();
        others_text(absent, names.into_iter().filter(|name| own.iter().all(|own| own != name)))
    }

    fn own(
        &self,
        role: &'static str,
        wanted: &Wanted,
        replicas: i32,
        create: bool,
    ) -> Result<TopicReport, TopicsError> {
        let mut report = TopicReport {
            name: wanted.name.clone(),
            role,
            partitions: None,
            created: false,
            problems: Vec::new(),
        };
        let mut found = self.find(&wanted.name).map_err(|error| self.unreachable(&error))?;
        if found.error == Some(RDKafkaErrorCode::UnknownTopicOrPartition) && create {
            match self.create(wanted, replicas) {
                Ok(created) => report.created = created,
                Err(error) if passes(&error) => return Err(self.unreachable(&error)),
                Err(error) => {
                    report.problems.push(Problem {
                        message: format!("the topic `{}` could not be made: {error}", wanted.name),
                        hint: format!(
                            "grant `Create` on it, or make it beforehand with {} partitions and {}",
                            wanted.partitions,
                            settings_text(&wanted.settings)
                        ),
                    });
                    return Ok(report);
                }
            }
            found = self.await_created(wanted)?;
        }
        if let Some(error) = found.error {
            report.problems.push(absent(role, &wanted.name, error, true));
            return Ok(report);
        }
        report.partitions = Some(found.partitions);
        if role == "observations" {
            self.check_observations(wanted, found.partitions, &mut report)?;
        }
        Ok(report)
    }

    fn create(&self, wanted: &Wanted, replicas: i32) -> Result<bool, KafkaError> {
        let mut topic =
            NewTopic::new(&wanted.name, wanted.partitions, TopicReplication::Fixed(replicas));
        for (key, value) in &wanted.settings {
            topic = topic.set(key, value);
        }
        if replicas >= 3 {
            topic = topic
                .set("min.insync.replicas", "2")
                .set("unclean.leader.election.enable", "false");
        }
        let options = AdminOptions::new().operation_timeout(Some(REQUEST_MAX));
        self.patiently(|| {
            let results = self.runtime.block_on(self.admin.create_topics([&topic], &options))?;
            match results.into_iter().next() {
                Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(false),
                Some(Err((_, code))) => Err(KafkaError::AdminOp(code)),
                _ => Ok(true),
            }
        })
    }

    fn await_created(&self, wanted: &Wanted) -> Result<Found, TopicsError> {
        let deadline: Instant = clock::monotonic() + CREATED_MAX;
        loop {
            let found = self.find(&wanted.name).map_err(|error| self.unreachable(&error))?;
            if found.error.is_none() && found.partitions > 0 || clock::monotonic() >= deadline {
                return Ok(found);
            }
            let _ = self.reader.poll(Duration::from_millis(50));
        }
    }

    fn check_observations(
        &self,
        wanted: &Wanted,
        partitions: usize,
        report: &mut TopicReport,
    ) -> Result<(), TopicsError> {
        let name = &wanted.name;
        if i32::try_from(partitions) != Ok(wanted.partitions) {
            report.problems.push(Problem {
                message: format!(
                    "the observations topic `{name}` has {partitions} partitions, the configuration says {}: users would move to other partitions and lose their history",
                    wanted.partitions
                ),
                hint: format!(
                    "set `observations.partitions = {partitions}`; to change the number, stop every instance, `kubetell state export --output terms.ndjson`, delete the topic, `kubetell topics create`, `kubetell state import terms.ndjson`"
                ),
            });
        }
        let options = AdminOptions::new().request_timeout(Some(REQUEST_MAX));
        let specifier = ResourceSpecifier::Topic(name);
        let described = self.patiently(|| {
            let results =
                self.runtime.block_on(self.admin.describe_configs([&specifier], &options))?;
            results.into_iter().next().transpose().map_err(KafkaError::AdminOp)
        });
        let resource = match described {
            // What is refused comes back as a topic without settings. Every topic has some.
            Ok(Some(resource)) if resource.entries.is_empty() => {
                report.problems.push(undescribed(name, "the brokers tell none of them"));
                return Ok(());
            }
            Ok(Some(resource)) => resource,
            Ok(None) => return Ok(()),
            Err(error) if passes(&error) => return Err(self.unreachable(&error)),
            Err(error) => {
                report.problems.push(undescribed(name, &error.to_string()));
                return Ok(());
            }
        };
        let value = |key: &str| resource.get(key).and_then(|entry| entry.value.clone());
        for (key, wanted_value) in &wanted.settings {
            let Some(actual) = value(key) else { continue };
            let (fits, why) = setting_fits(key, &actual, wanted_value);
            if !fits {
                report.problems.push(Problem {
                    message: format!(
                        "the observations topic `{name}` has `{key}={actual}`: {why}"
                    ),
                    hint: format!(
                        "kafka-configs.sh --alter --entity-type topics --entity-name {name} --add-config '{key}={}'",
                        if wanted_value.contains(',') { format!("[{wanted_value}]") } else { wanted_value.clone() }
                    ),
                });
            }
        }
        Ok(())
    }

    fn unreachable(&self, error: &KafkaError) -> TopicsError {
        TopicsError::Unreachable {
            servers: self.config.kafka.bootstrap_servers.clone(),
            waited: CONNECT_MAX,
            reason: error.to_string(),
        }
    }

    /// The configuration that these clients were made with.
    pub fn client_config(&self) -> &ClientConfig {
        &self.client_config
    }
}

/// How long an attempt takes of the time that is left. One that would leave too little for the next one,
/// which takes twice as long, has all of it: a slow broker is heard rather late than not.
fn attempt_time(left: Duration, attempt_max: Duration) -> Duration {
    let time = if left < attempt_max * 3 { left.min(REQUEST_MAX) } else { attempt_max };
    time.max(ATTEMPT_MIN)
}

/// Whether what went wrong passes by itself: brokers come and go.
fn passes(error: &KafkaError) -> bool {
    let code = match error {
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    };
    matches!(
        code,
        Some(
            RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::BrokerDestroy
                | RDKafkaErrorCode::BrokerNotAvailable
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::NetworkException
                | RDKafkaErrorCode::NotController
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::RequestTimedOut
                | RDKafkaErrorCode::Resolve
        )
    )
}

/// What the client and the brokers refuse each other for, if they do.
pub fn refused_connection(overheard: &Overheard) -> Option<Problem> {
    let refusal = overheard.refusal()?;
    Some(Problem { message: refusal.message, hint: refusal.hint.to_owned() })
}

fn settings_text(settings: &[(&'static str, String)]) -> String {
    settings.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

fn is_absent(error: RDKafkaErrorCode) -> bool {
    matches!(error, RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic)
}

fn absent(role: &str, name: &str, error: RDKafkaErrorCode, ours: bool) -> Problem {
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
fn others_text<'a>(absent: &str, names: impl Iterator<Item = &'a str>) -> String {
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

fn undescribed(name: &str, reason: &str) -> Problem {
    Problem {
        message: format!("the settings of the observations topic `{name}` can't be read: {reason}"),
        hint: "grant `DescribeConfigs` on it".to_owned(),
    }
}

/// Whether a setting of the observations topic is as correctness needs it, and if not, why it
/// matters.
fn setting_fits(key: &str, actual: &str, wanted: &str) -> (bool, String) {
    let number = |text: &str| text.parse::<i64>().ok();
    let at_least = |what: &str| {
        let (Some(is), Some(should)) = (number(actual), number(wanted)) else {
            return (false, format!("`{wanted}` is expected"));
        };
        let fits = is < 0 || is >= should;
        (fits, format!("{what}; it has to be at least {wanted} ({})", format_duration(should)))
    };
    match key {
        "cleanup.policy" => {
            let mut policies: Vec<&str> = actual.split(',').map(str::trim).collect();
            policies.sort_unstable();
            (
                policies == ["compact", "delete"],
                "the state is a fold of this log, which compaction keeps small and deletion lets expire; `compact,delete` is needed".to_owned(),
            )
        }
        "message.timestamp.type" => (
            actual == "LogAppendTime",
            "time is what the broker says it is; `LogAppendTime` is needed".to_owned(),
        ),
        "min.compaction.lag.ms" => {
            at_least("a restarting instance has to find every record since its last commit")
        }
        "retention.ms" => at_least("terms would be forgotten before their window is over"),
        "retention.bytes" => (
            number(actual).is_some_and(|bytes| bytes < 0),
            "terms would be forgotten by size; `-1` is needed".to_owned(),
        ),
        // These only decide how soon compaction runs; ours are what we make the topic with.
        _ => (true, String::new()),
    }
}

#[cfg(test)]
#[path = "topics_tests.rs"]
mod tests;
