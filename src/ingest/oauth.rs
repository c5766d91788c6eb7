//! Tokens for SASL OAUTHBEARER, by client credentials (RFC 6749, section 4.4).
//!
//! The client library asks for a token whenever it needs another one, and fetches none itself: it is
//! built without an HTTP client. It asks on the thread that polls the client and wants its answer at
//! once, so what is handed over is what is [held](held) for all clients of the process, and the
//! [request](endpoint) is made beside them. What it hands back to who is asked is one text of its
//! configuration, which it keeps out of its own log: the settings stand there. No message holds the
//! secret or the token.

mod endpoint;
mod held;
mod last;

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::CString;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::Uri;
use rdkafka::ClientConfig;
use rdkafka::client::{Client, ClientContext, OAuthToken};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use serde::{Deserialize, Serialize};

use held::Held;
pub use last::LastToken;

/// The property that carries the settings to where a token is asked for.
pub const CARRIER: &str = "sasl.oauthbearer.config";
/// What the message of a refusal begins with, which will not pass by itself.
pub const REFUSED: &str = "the token endpoint refuses";

/// How long one request for a token may take.
pub const REQUEST_MAX: Duration = Duration::from_secs(10);
/// How long the thread that polls a client may wait, where no token is held that still holds.
const HAND_OVER_MAX: Duration = Duration::from_millis(250);

/// Who asks whom. Never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    pub client_id: String,
    pub client_secret: String,
    /// `https://host[:port]/path`; `http` for the loopback.
    pub endpoint: String,
    pub scope: Option<String>,
    /// A file of authorities in PEM; the system's otherwise.
    pub authorities: Option<String>,
}

impl Settings {
    /// The text that a client is configured with.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Whether a token may be fetched there: its secret goes with the request.
pub fn endpoint_problem(endpoint: &str) -> Option<&'static str> {
    let Ok(uri) = endpoint.parse::<Uri>() else { return Some("is no URL") };
    let host = uri.host().unwrap_or_default();
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    match uri.scheme_str() {
        _ if host.is_empty() => Some("is no URL"),
        // It would not be sent.
        _ if authority.contains('@') => Some("must not hold a user: there are properties for it"),
        Some("https") => None,
        Some("http") if ["127.0.0.1", "localhost", "[::1]"].contains(&host) => None,
        _ => Some("has to begin with `https://`"),
    }
}

/// What is held for whom, by the text of the settings. A process has one configuration, so one of
/// these.
static HELD: Mutex<BTreeMap<String, Arc<Held>>> = Mutex::new(BTreeMap::new());

fn held(text: Option<&str>) -> Result<Arc<Held>, String> {
    let text = text.unwrap_or_default();
    let settings: Settings = serde_json::from_str(text)
        .map_err(|_| "`sasl.oauthbearer.method` is not `oidc`".to_owned())?;
    let mut all = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    let new = || Arc::new(Held::new(move || endpoint::fetch(&settings)));
    Ok(Arc::clone(all.entry(text.to_owned()).or_insert_with(new)))
}

/// A token for the client that asks, by its [`CARRIER`]; at once, but for [`HAND_OVER_MAX`].
///
/// # Errors
/// In words; the client says it, and asks again after ten seconds.
pub fn token(settings: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
    Ok(held(settings)?.ask(HAND_OVER_MAX)?)
}

/// The same for a client of which it is to be known why it has none.
///
/// # Errors
/// As [`token`].
pub fn token_noted(settings: Option<&str>, last: &LastToken) -> Result<OAuthToken, Box<dyn Error>> {
    let held = held(settings)?;
    let given = held.ask(HAND_OVER_MAX);
    last.note(&held, given.as_ref().ok());
    Ok(given?)
}

/// Whether clients of this configuration sign in by tokens.
pub fn is_used(config: &ClientConfig) -> bool {
    config.get(CARRIER).is_some()
}

/// Gives a client a token before its first request, which nobody polls until that is answered. Waits
/// for one where none is held. Does nothing where another mechanism is configured.
///
/// # Errors
/// [`KafkaError::ClientCreation`] with the reason in words.
#[allow(unsafe_code)]
pub fn sign_in<C: ClientContext>(
    client: &Client<C>,
    config: &ClientConfig,
    wait: Duration,
) -> Result<(), KafkaError> {
    let Some(settings) = config.get(CARRIER) else { return Ok(()) };
    let failed = KafkaError::ClientCreation;
    let token = held(Some(settings)).and_then(|held| held.ask(wait)).map_err(failed)?;
    let text = |text: String| CString::new(text).map_err(|error| failed(error.to_string()));
    let (value, principal) = (text(token.token)?, text(token.principal_name)?);
    let mut reason = [0; 256];
    // SAFETY: the client lives as long as the reference to it; the texts end with NUL and are copied
    // by the call, as is what it writes, bounded, into `reason`. No extensions are passed.
    let code = unsafe {
        rdkafka::bindings::rd_kafka_oauthbearer_set_token(
            client.native_ptr(),
            value.as_ptr(),
            token.lifetime_ms,
            principal.as_ptr(),
            std::ptr::null_mut(),
            0,
            reason.as_mut_ptr(),
            reason.len(),
        )
    };
    match code {
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        code => Err(failed(format!("the token is not taken: {}", RDKafkaErrorCode::from(code)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn settings() -> Settings {
        Settings {
            client_id: "a:b".to_owned(),
            client_secret: "c d".to_owned(),
            endpoint: "https://login.example/token?x=1".to_owned(),
            scope: Some("kafka read".to_owned()),
            authorities: None,
        }
    }

    #[test]
    fn secrets_go_over_tls_or_the_loopback_alone() {
        let check = |endpoint: &str, problem: Option<&str>| {
            assert_eq!(endpoint_problem(endpoint), problem, "{endpoint}");
        };
        check("https://login.example/oauth2/token", None);
        check("https://login.example:8443/token?tenant=a", None);
        check("http://127.0.0.1:8080/token", None);
        check("http://[::1]:8080/token", None);
        check("http://login.example/token", Some("has to begin with `https://`"));
        check("ftp://login.example/token", Some("has to begin with `https://`"));
        check("login.example/token", Some("is no URL"));
        check("/token", Some("is no URL"));
        let user = Some("must not hold a user: there are properties for it");
        check("https://me:hunter2@login.example/token", user);
        check("http://127.0.0.1@login.example/token", user);
        check("", Some("is no URL"));
    }

    #[test]
    fn settings_come_back_from_their_text_and_nothing_else_does() {
        let settings = settings();
        let text = settings.to_text();
        assert!(serde_json::from_str::<Settings>(&text).unwrap() == settings);
        assert!(token(None).is_err() && token(Some("x")).is_err());
        assert!(Arc::ptr_eq(&held(Some(&text)).unwrap(), &held(Some(&text)).unwrap()));
    }
}
