//! Asking the brokers: until one answers, and again while what is in the way passes by itself.
//!
//! Owns the clients. Knows nothing of what a topic has to be.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::clock;
use crate::config::Config;
use crate::ingest::connection::Overheard;
use crate::ingest::oauth;
use crate::topics::CONNECT_MAX;
use crate::topics::problem::{TopicsError, refused_connection};
use crate::topics::wanted::Wanted;

/// How long one attempt of a request may take; another one finds another broker.
pub(super) const REQUEST_MAX: Duration = Duration::from_secs(5);
/// How long the very first may.
const FIRST_REQUEST_MAX: Duration = Duration::from_millis(500);
/// However little time is left.
pub(super) const ATTEMPT_MIN: Duration = Duration::from_millis(100);
/// How long is listened after a request that failed; also what paces the attempts.
const LISTEN: Duration = Duration::from_millis(250);
/// How long a topic may take from its creation to its first leader.
const CREATED_MAX: Duration = Duration::from_secs(30);

pub(super) struct Brokers<'a> {
    config: &'a Config,
    client_config: ClientConfig,
    reader: BaseConsumer<Overheard>,
    overheard: Overheard,
    admin: AdminClient<DefaultClientContext>,
    runtime: tokio::runtime::Runtime,
}

/// How a topic was found.
pub(super) struct Found {
    pub(super) partitions: usize,
    pub(super) error: Option<RDKafkaErrorCode>,
}

impl<'a> Brokers<'a> {
    pub(super) fn new(config: &'a Config) -> Result<Self, TopicsError> {
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
        Ok(Brokers { config, client_config, reader, overheard, admin, runtime })
    }

    /// Waits until a broker answers; the number of brokers. What brokers refuse is not waited for.
    pub(super) fn connect(&self, wait: Duration) -> Result<usize, TopicsError> {
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

    pub(super) fn find(&self, topic: &str) -> Result<Found, KafkaError> {
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

    /// The names of all topics that this client may see; `None` where that can't be known.
    pub(super) fn topics(&self) -> Option<Vec<String>> {
        let metadata = self.reader.fetch_metadata(None, REQUEST_MAX).ok()?;
        Some(metadata.topics().iter().map(|topic| topic.name().to_owned()).collect())
    }

    /// The settings of a topic; none where they are refused, `None` where nothing came back.
    pub(super) fn settings(&self, topic: &str) -> Result<Option<ConfigResource>, KafkaError> {
        let options = AdminOptions::new().request_timeout(Some(REQUEST_MAX));
        let specifier = ResourceSpecifier::Topic(topic);
        self.patiently(|| {
            let results =
                self.runtime.block_on(self.admin.describe_configs([&specifier], &options))?;
            results.into_iter().next().transpose().map_err(KafkaError::AdminOp)
        })
    }

    /// Makes a topic; whether it was not there before.
    pub(super) fn create(&self, wanted: &Wanted, replicas: i32) -> Result<bool, KafkaError> {
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

    /// Waits for the first leaders of a topic that was made.
    pub(super) fn await_created(&self, wanted: &Wanted) -> Result<Found, TopicsError> {
        let deadline: Instant = clock::monotonic() + CREATED_MAX;
        loop {
            let found = self.find(&wanted.name).map_err(|error| self.unreachable(&error))?;
            if found.error.is_none() && found.partitions > 0 || clock::monotonic() >= deadline {
                return Ok(found);
            }
            let _ = self.reader.poll(Duration::from_millis(50));
        }
    }

    /// What it means that a request failed after all patience.
    pub(super) fn unreachable(&self, error: &KafkaError) -> TopicsError {
        TopicsError::Unreachable {
            servers: self.config.kafka.bootstrap_servers.clone(),
            waited: CONNECT_MAX,
            reason: error.to_string(),
        }
    }

    /// The configuration that these clients were made with.
    pub(super) fn client_config(&self) -> &ClientConfig {
        &self.client_config
    }
}

/// How long an attempt takes of the time that is left. One that would leave too little for the next one,
/// which takes twice as long, has all of it: a slow broker is heard rather late than not.
pub(super) fn attempt_time(left: Duration, attempt_max: Duration) -> Duration {
    let time = if left < attempt_max * 3 { left.min(REQUEST_MAX) } else { attempt_max };
    time.max(ATTEMPT_MIN)
}

/// Whether what went wrong passes by itself: brokers come and go.
pub(super) fn passes(error: &KafkaError) -> bool {
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
