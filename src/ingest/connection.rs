//! What librdkafka says about its connections.
//!
//! Owns what of it is logged and how often, and what is kept of it for whoever asks why a request
//! failed.

use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;

use crate::clock;
use crate::ingest::oauth::{self, LastToken};
use crate::stats::client::ClientFigures;

/// What librdkafka reports about its connections, turned into log lines: a lost cluster is said
/// once and again every minute, and so is its return.
pub struct ConnectionLog {
    name: &'static str,
    lost: AtomicBool,
    said: Paced,
    /// Of errors that reading a topic brings.
    reading_said: Paced,
    /// What the client tells of itself.
    figures: Arc<ClientFigures>,
    token: LastToken,
}

const REPEAT_AFTER_MS: u64 = 60_000;
const READING_REPEAT_AFTER_MS: u64 = 10_000;

/// When something was said last, so that what stands is said again only after a while.
#[derive(Default)]
struct Paced(AtomicU64);

impl Paced {
    fn due(&self, every_ms: u64) -> bool {
        let now = u64::try_from(clock::since_boot_ms()).unwrap_or(0).max(1);
        let said = self.0.load(Ordering::Relaxed);
        let due = said == 0 || now.saturating_sub(said) >= every_ms;
        if due {
            self.0.store(now, Ordering::Relaxed);
        }
        due
    }
}

impl ConnectionLog {
    pub fn new(name: &'static str) -> Self {
        ConnectionLog::telling(name, Arc::default())
    }

    /// Of a client whose statistics are kept.
    pub fn telling(name: &'static str, figures: Arc<ClientFigures>) -> Self {
        let (said, reading_said) = (Paced::default(), Paced::default());
        let (lost, token) = (AtomicBool::new(false), LastToken::default());
        ConnectionLog { name, lost, said, reading_said, figures, token }
    }

    fn due(&self) -> bool {
        self.said.due(REPEAT_AFTER_MS)
    }

    /// Whether an error that reading a topic brings is to be said, not only kept for debugging.
    pub fn reading_is_due(&self) -> bool {
        self.reading_said.due(READING_REPEAT_AFTER_MS)
    }

    /// No broker can be reached, as far as is known.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Something came back from a broker.
    pub fn reached(&self) {
        if self.lost.load(Ordering::Relaxed) && self.lost.swap(false, Ordering::Relaxed) {
            self.said.0.store(0, Ordering::Relaxed);
            tracing::info!(client = self.name, "the brokers can be reached again");
        }
    }
}

impl ClientContext for ConnectionLog {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;
    fn generate_oauth_token(&self, settings: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        oauth::token_noted(settings, &self.token)
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let client = self.name;
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(target: "librdkafka", client, facility, "{message}");
            }
            // Connection failures come through `error` as well, once and in words.
            _ => tracing::debug!(target: "librdkafka", client, facility, "{message}"),
        }
    }

    fn stats(&self, statistics: Statistics) {
        // Where nothing is read or written, nothing else tells that the brokers are back.
        if self.figures.take(&statistics) {
            self.reached();
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let client = self.name;
        match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::OperationTimedOut,
            ) => {
                let all = error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown);
                if all && (!self.lost.swap(true, Ordering::Relaxed) || self.due()) {
                    self.due();
                    let token = self.token.lack(clock::now_ms());
                    let token = token.map(|why| format!(" (no new token for them: {why})"));
                    tracing::warn!(
                        client,
                        "no broker can be reached: {reason}{}; trying again until one can",
                        token.unwrap_or_default()
                    );
                } else {
                    tracing::debug!(client, %error, "{reason}");
                }
            }
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed) => {
                if self.due() {
                    let lack = self.token.lack(clock::now_ms());
                    tracing::error!(client, "{}", unsigned_text(reason, lack.as_deref()));
                }
            }
            _ if self.due() => tracing::warn!(client, %error, "{reason}"),
            _ => tracing::debug!(client, %error, "{reason}"),
        }
    }
}

impl ConsumerContext for ConnectionLog {}

/// What a client's background threads ran into, kept for whoever asks why a request failed: the
/// request itself often only says that it timed out.
#[derive(Clone, Default)]
pub struct Overheard(Arc<Mutex<Heard>>);

#[derive(Default)]
struct Heard {
    errors: Vec<(RDKafkaErrorCode, String)>,
    /// Why there is no token, while there is none.
    no_token: Option<String>,
}

impl Heard {
    /// What is in the way of a token first: nothing else is tried without one.
    fn all(&self) -> impl Iterator<Item = (RDKafkaErrorCode, &String)> {
        let no_token =
            self.no_token.iter().map(|reason| (RDKafkaErrorCode::Authentication, reason));
        no_token.chain(self.errors.iter().map(|(code, reason)| (*code, reason)))
    }
}

/// Errors kept of one client; the first ones tell the cause.
const OVERHEARD_MAX: usize = 32;

impl Overheard {
    /// Has a client tell its connections' ends too: they are no errors to the library, though they
    /// may be all that is heard of a listener of another kind.
    pub fn listens(client: &mut ClientConfig) {
        if (client.log_level as i32) < RDKafkaLogLevel::Info as i32 {
            client.set_log_level(RDKafkaLogLevel::Info);
        }
    }

    pub fn note(&self, error: &KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        let mut heard = self.heard();
        if is_of_token(reason) {
            heard.no_token = Some(reason.to_owned());
        } else if heard.errors.len() < OVERHEARD_MAX {
            heard.errors.push((code, reason.to_owned()));
        }
    }

    /// Whether a client could sign in; if not, in the words in which the library says it of one that is
    /// polled.
    pub fn signed_in(&self, result: Result<(), &KafkaError>) {
        let reason = result.err().map(|error| match error {
            KafkaError::ClientCreation(reason) => format!("{NO_TOKEN}: {reason}"),
            other => format!("{NO_TOKEN}: {other}"),
        });
        self.heard().no_token = reason;
    }

    /// Why a connection is refused, by the brokers or by this client itself, where that is certain and
    /// will not pass by itself.
    pub fn refusal(&self) -> Option<Refusal> {
        self.heard().all().find_map(|(code, reason)| refusal_of(code, reason))
    }

    /// What tells why no broker answers and may pass: a token that can't be fetched, what looks
    /// like TLS on one side alone, as brokers that go away do for a moment, or else an address where
    /// nobody is.
    pub fn cause(&self) -> Option<String> {
        let heard = self.heard();
        let first = |hint: fn(&str) -> Option<&'static str>| {
            heard.all().map(|(_, reason)| reason).find(|reason| hint(reason).is_some())
        };
        let address = || first(address_hint).map(|reason| short(reason).to_owned());
        first(cause_hint).cloned().or_else(address)
    }

    /// The text of the first error with one of these codes.
    pub fn find(&self, codes: &[RDKafkaErrorCode]) -> Option<String> {
        let heard = self.heard();
        heard.all().find(|(code, _)| codes.contains(code)).map(|(_, reason)| reason.clone())
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Overheard {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;
    fn generate_oauth_token(&self, settings: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        oauth::token(settings)
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", facility, "{message}");
        // Errors come through `error` as well; a lost connection is a warning with requests under way.
        let told = RDKafkaLogLevel::Warning as i32..=RDKafkaLogLevel::Info as i32;
        if facility == "FAIL" && told.contains(&(level as i32)) {
            // Without the name of the thread that says it.
            let message = message.split_once("]: ").map_or(message, |(_, message)| message);
            let ended = KafkaError::Global(RDKafkaErrorCode::BrokerTransportFailure);
            self.note(&ended, message);
        }
    }
    fn error(&self, error: KafkaError, reason: &str) {
        self.note(&error, reason);
    }
}

impl ConsumerContext for Overheard {}

/// A connection that one side refuses: what is said and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub message: String,
    pub hint: &'static str,
}

/// librdkafka has one code for everything that goes wrong with TLS, and that of a lost connection for
/// what the broker says of a certificate afterwards: the texts, its own and OpenSSL's, tell them apart.
fn refusal_of(code: RDKafkaErrorCode, reason: &str) -> Option<Refusal> {
    use RDKafkaErrorCode as Code;
    let refused =
        |what: &str, hint| Some(Refusal { message: format!("{what}: {}", short(reason)), hint });
    if is_of_token(reason) {
        return reason
            .contains(oauth::REFUSED)
            .then(|| Refusal { message: short(reason).to_owned(), hint: TOKEN_HINT });
    }
    if matches!(code, Code::Authentication | Code::SaslAuthenticationFailed) {
        return refused(
            "the brokers refuse the credentials",
            "see `security.protocol`, `sasl.mechanism`, `sasl.username` and `sasl.password` in \
             `kafka.properties`",
        );
    }
    if !matches!(code, Code::SSL | Code::BrokerTransportFailure) {
        return None;
    }
    // An internal error (80) of a broker may pass; what it says of a certificate does not.
    if reason.contains("SSL alert number") && !reason.contains("alert number 80") {
        return refused(
            "the brokers refuse this client's certificate or its way of TLS",
            "the listener may ask for a client's certificate: see `ssl.certificate.location` and \
             `ssl.key.location` in `kafka.properties`, and whether the brokers trust its CA",
        );
    }
    if ["certificate verify failed", "verify broker certificate"]
        .iter()
        .any(|text| reason.contains(text))
    {
        return refused(
            "the brokers' certificate is not one that this client trusts",
            "`ssl.ca.location` in `kafka.properties` has to name the CA that signed it, and the host \
             names in `kafka.bootstrap_servers` and in the brokers' `advertised.listeners` have to \
             stand in the certificate",
        );
    }
    if code == Code::SSL {
        return refused(
            "TLS with the brokers fails",
            "see `security.protocol` and `ssl.…` in `kafka.properties`; is this a listener with TLS?",
        );
    }
    None
}

/// What a lost connection looks like where one side has TLS, or SASL, and the other has not. `reason` is
/// `NAME: TEXT (after … in state STATE)`, the name with its protocol in front, unless that is plain.
fn mismatch_hint(reason: &str) -> Option<&'static str> {
    if reason.contains("connecting to a PLAINTEXT broker listener?") {
        return Some(
            "this listener seems to be one without TLS: see `security.protocol` in \
             `kafka.properties` and the port in `kafka.bootstrap_servers`",
        );
    }
    let has = |protocol: &str| reason.starts_with(protocol);
    // Whether the end is noticed while reading or while writing is chance, and each has a text of its
    // own. A broker that does not answer in time is another matter.
    if reason.contains("imed out") || has("sasl_") || reason.contains("SSL alert") {
        return None;
    }
    // The first request is answered even to those who still have to say who they are.
    if reason.contains("in state APIVERSION_QUERY") && !has("ssl://") {
        return Some(
            "this listener seems to be one with TLS: set `security.protocol` in `kafka.properties` to \
             `SSL` or `SASL_SSL`, or use the port of another listener",
        );
    }
    reason.contains("in state UP").then_some(
        "this listener seems to ask for SASL: set `security.protocol` in `kafka.properties` to \
         `SASL_SSL`, and `sasl.mechanism`",
    )
}

/// What librdkafka says before the words of whoever was to fetch a token.
const NO_TOKEN: &str = "Failed to acquire SASL OAUTHBEARER token";
/// The same where it connects before there was any token.
const NEVER_A_TOKEN: &str = "OAUTHBEARER cannot log in because there is no token";

fn is_of_token(reason: &str) -> bool {
    reason.contains(NO_TOKEN) || reason.contains(NEVER_A_TOKEN)
}

/// Why a client can't sign in. A token that has ended is refused by the brokers, though what keeps the
/// next one away is the cause: `lack`.
fn unsigned_text(reason: &str, lack: Option<&str>) -> String {
    match lack {
        _ if is_of_token(reason) => format!("there is no token for the brokers: {reason}"),
        Some(why) => {
            format!(
                "there is no new token for the brokers: {why}; they refuse the last one: {reason}"
            )
        }
        None => format!("the brokers refuse the credentials: {reason}"),
    }
}

const TOKEN_HINT: &str = "see `sasl.oauthbearer.token.endpoint.url`, `sasl.oauthbearer.client.id`, \
                          `sasl.oauthbearer.client.secret` and `https.ca.location` in `kafka.properties`";

fn cause_hint(reason: &str) -> Option<&'static str> {
    if is_of_token(reason) { Some(TOKEN_HINT) } else { mismatch_hint(reason) }
}

/// What is wrong with an address, where nobody is reached at all.
fn address_hint(reason: &str) -> Option<&'static str> {
    if reason.contains("Failed to resolve") {
        return Some(
            "this machine does not know that name: is `kafka.bootstrap_servers` right, and do the \
             brokers' `advertised.listeners` name what can be reached from here?",
        );
    }
    reason.contains("Connection refused").then_some(
        "nothing listens there: are host and port in `kafka.bootstrap_servers` right, and does the \
         broker run?",
    )
}

/// What to do where no broker answered, for that reason.
pub fn unreachable_hint(reason: &str) -> &'static str {
    cause_hint(reason).or_else(|| address_hint(reason)).unwrap_or(UNKNOWN_HINT)
}

/// What to do where nothing is known of the reason.
pub const UNKNOWN_HINT: &str =
    "is `kafka.bootstrap_servers` right, and do `kafka.properties` fit the listener (TLS, SASL)?";

/// Without the remark about how long the client was in which state.
fn short(reason: &str) -> &str {
    reason.rsplit_once(" (after ").map_or(reason, |(reason, _)| reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Once a token had ended while its endpoint was away, the log blamed the credentials.
    #[test]
    fn a_token_that_has_ended_is_no_matter_of_the_credentials() {
        let refused = "sasl_ssl://a:1/1: SASL authentication error: {\"status\":\"invalid_token\"}";
        let told = unsigned_text(refused, None);
        assert_eq!(told, format!("the brokers refuse the credentials: {refused}"));
        let away = "the token endpoint `login.example:443` can't be reached";
        let told = unsigned_text(refused, Some(away));
        let start =
            format!("there is no new token for the brokers: {away}; they refuse the last one: ");
        assert_eq!(told, start + refused);
        for of_token in [
            format!("{NO_TOKEN}: {away}"),
            format!("sasl_ssl://a:1/1: {NEVER_A_TOKEN} available; last error: {away}"),
        ] {
            let told = unsigned_text(&of_token, Some(away));
            assert_eq!(told, format!("there is no token for the brokers: {of_token}"));
        }
    }

    /// Texts of librdkafka 2.12 with OpenSSL 3.6 and Apache Kafka 4.3.
    #[test]
    fn what_will_not_pass_is_told_from_what_may() {
        use RDKafkaErrorCode as Code;
        let check = |code: Code, reason: &str, refusal: Option<&str>, hint: &str| {
            let overheard = Overheard::default();
            overheard.note(&KafkaError::Global(code), reason);
            let found = overheard.refusal();
            match (&found, refusal) {
                (Some(found), Some(start)) => {
                    assert!(found.message.starts_with(start), "{}", found.message);
                    assert!(!found.message.contains("(after"), "{}", found.message);
                    assert!(found.hint.contains(hint), "{}", found.hint);
                }
                (None, None) => assert!(unreachable_hint(reason).contains(hint), "{reason}"),
                _ => panic!("{reason}: {found:?}"),
            }
            let told = refusal.is_none() && hint != "bootstrap_servers";
            assert_eq!(overheard.cause().is_some(), told, "{reason}");
        };
        check(
            Code::Authentication,
            "sasl_ssl://a:1/bootstrap: SASL authentication error: Authentication failed: Invalid \
             username or password (after 5ms in state AUTH_REQ)",
            Some("the brokers refuse the credentials: sasl_ssl://a:1/bootstrap: SASL"),
            "sasl.password",
        );
        check(
            Code::SSL,
            "ssl://a:1/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate \
             verify failed: broker certificate could not be verified (after 5ms in state SSL_HANDSHAKE)",
            Some("the brokers' certificate is not one"),
            "ssl.ca.location",
        );
        check(
            Code::SSL,
            "ssl://a:1/bootstrap: SSL handshake failed: error:0A00010B:SSL routines::wrong version \
             number (after 5ms in state SSL_HANDSHAKE)",
            Some("TLS with the brokers fails"),
            "security.protocol",
        );
        check(
            Code::BrokerTransportFailure,
            "ssl://a:1/bootstrap: Receive failed: error:0A000412:SSL routines::ssl/tls alert bad \
             certificate: SSL alert number 42 (after 1ms in state UP)",
            Some("the brokers refuse this client's certificate"),
            "ssl.certificate.location",
        );
        check(
            Code::BrokerTransportFailure,
            "sasl_ssl://a:1/bootstrap: Receive failed: error:0A000438:SSL routines::tlsv1 alert \
             internal error: SSL alert number 80 (after 1ms in state AUTH_REQ)",
            None,
            "bootstrap_servers",
        );
        check(
            Code::BrokerTransportFailure,
            "ssl://a:1/bootstrap: SSL handshake failed: Disconnected: SSL connection closed by peer: \
             connecting to a PLAINTEXT broker listener? (after 4ms in state SSL_HANDSHAKE)",
            None,
            "without TLS",
        );
        let lost = |name: &str, state: &str| {
            format!("{name}: Disconnected: connection closed by peer (after 5ms in state {state})")
        };
        for (name, state, hint) in [
            ("a:1/bootstrap", "APIVERSION_QUERY", "one with TLS"),
            ("ssl://a:1/bootstrap", "APIVERSION_QUERY", "bootstrap_servers"),
            ("a:1/bootstrap", "UP", "ask for SASL"),
            ("ssl://a:1/bootstrap", "UP", "ask for SASL"),
            ("ssl://a:1/bootstrap: SSL transport error: Broken pipe", "UP", "ask for SASL"),
            ("a:1/bootstrap: 1 request(s) timed out", "UP", "bootstrap_servers"),
            ("sasl_ssl://a:1/bootstrap", "UP", "bootstrap_servers"),
            ("a:1/bootstrap", "CONNECT", "bootstrap_servers"),
        ] {
            check(Code::BrokerTransportFailure, &lost(name, state), None, hint);
        }
    }

    #[test]
    fn an_address_where_nobody_is_is_told_unless_there_is_a_better_reason() {
        let check = |reasons: &[&str], told: &str, hint: &str| {
            let overheard = Overheard::default();
            for reason in reasons {
                overheard.note(&KafkaError::Global(RDKafkaErrorCode::Resolve), reason);
            }
            let cause = overheard.cause().unwrap();
            assert_eq!(cause, told);
            assert!(unreachable_hint(&cause).contains(hint), "{cause}");
        };
        let refused = "a:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after \
                       0ms in state CONNECT)";
        let unknown = "b:1/bootstrap: Failed to resolve 'b:1': Name or service not known (after 7ms \
                       in state CONNECT)";
        let sasl = "c:1/bootstrap: Disconnected (after 5ms in state UP)";
        check(
            &["1/1 brokers are down", refused, unknown],
            "a:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused",
            "nothing listens there",
        );
        check(
            &[unknown],
            "b:1/bootstrap: Failed to resolve 'b:1': Name or service not known",
            "does not know that name",
        );
        check(&[refused, sasl], sasl, "ask for SASL");
    }

    #[test]
    fn lost_connections_are_heard_of_in_the_log() {
        let overheard = Overheard::default();
        let line = "[thrd:a:1/bootstrap]: a:1/bootstrap: Disconnected (after 5ms in state UP)";
        overheard.log(RDKafkaLogLevel::Debug, "FAIL", line);
        overheard.log(RDKafkaLogLevel::Info, "STATE", line);
        assert_eq!(overheard.cause(), None);
        for level in [RDKafkaLogLevel::Info, RDKafkaLogLevel::Warning] {
            let overheard = Overheard::default();
            overheard.log(level, "FAIL", line);
            let heard = "a:1/bootstrap: Disconnected (after 5ms in state UP)";
            assert_eq!(overheard.cause().as_deref(), Some(heard));
        }
    }
}
