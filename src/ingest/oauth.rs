//! Tokens for SASL OAUTHBEARER, by client credentials (RFC 6749, section 4.4).
//!
//! The client library asks for a token whenever it needs another one, and fetches none itself: it is
//! built without an HTTP client. What it hands back to who is asked is one text of its
//! configuration, which it keeps out of its own log: the settings stand there. Owns the request and
//! what is made of the answer; keeps nothing. No message holds the secret or the token.

use std::error::Error;
use std::ffi::CString;
use std::pin::Pin;
use std::time::Duration;

use base64::Engine;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use openssl::ssl::{SslConnector, SslMethod};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rdkafka::ClientConfig;
use rdkafka::client::{Client, ClientContext, OAuthToken};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::clock;
use crate::limits;

/// The property that carries the settings to where a token is asked for.
pub const CARRIER: &str = "sasl.oauthbearer.config";
/// What the message of a refusal begins with, which will not pass by itself.
pub const REFUSED: &str = "the token endpoint refuses";

/// How long a token may take.
const REQUEST_MAX: Duration = Duration::from_secs(10);
/// How long a token holds that does not say it.
const LIFETIME_DEFAULT_S: u64 = 300;
/// One that holds longer is fetched again all the same; the client library counts in microseconds.
const LIFETIME_MAX_S: u64 = 24 * 60 * 60;

/// Where the authorities of the system stand, by the first that is there: OpenSSL is linked in and
/// knows no place of its own.
const AUTHORITIES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

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

type Failure = Box<dyn Error + Send + Sync>;

/// A token for the client that asks, by its [`CARRIER`].
///
/// # Errors
/// In words; the client tries again, and says it.
pub fn token(settings: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
    let settings: Settings = serde_json::from_str(settings.unwrap_or_default())
        .map_err(|_| "`sasl.oauthbearer.method` is not `oidc`")?;
    // The thread that asks may be one of a runtime, in which no other one can be begun.
    let fetched = std::thread::scope(|scope| {
        let fetching = scope.spawn(|| -> Result<OAuthToken, Failure> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let result = runtime
                .block_on(async { tokio::time::timeout(REQUEST_MAX, fetch(&settings)).await });
            // A runtime that is dropped waits for a look-up of a name that hangs.
            runtime.shutdown_background();
            result.unwrap_or_else(|_| {
                Err(format!("the token endpoint did not answer in {REQUEST_MAX:?}").into())
            })
        });
        fetching.join().unwrap_or_else(|_| Err("the token could not be fetched".into()))
    });
    fetched.map_err(|error| error.to_string().into())
}

/// Whether clients of this configuration sign in by tokens.
pub fn is_used(config: &ClientConfig) -> bool {
    config.get(CARRIER).is_some()
}

/// Gives a client a token before its first request, which nobody polls until that is answered.
/// Does nothing where another mechanism is configured.
///
/// # Errors
/// As [`token`].
#[allow(unsafe_code)]
pub fn sign_in<C: ClientContext>(
    client: &Client<C>,
    config: &ClientConfig,
) -> Result<(), KafkaError> {
    let Some(settings) = config.get(CARRIER) else { return Ok(()) };
    let failed = |reason: String| KafkaError::ClientCreation(reason);
    let token = token(Some(settings)).map_err(|error| failed(error.to_string()))?;
    let text = |text: String| CString::new(text).map_err(|_| failed(UNREADABLE.to_owned()));
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

const UNREADABLE: &str = "the answer of the token endpoint holds no token";

async fn fetch(settings: &Settings) -> Result<OAuthToken, Failure> {
    let uri: Uri = settings.endpoint.parse()?;
    let host = uri.host().unwrap_or_default().to_owned();
    let secure = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let place = format!("the token endpoint `{host}:{port}`");
    let stream = TcpStream::connect((bare.as_str(), port))
        .await
        .map_err(|error| format!("{place} can't be reached: {error}"))?;
    let request = request(settings, &uri)?;
    let (status, body) = if secure {
        let mut connector = SslConnector::builder(SslMethod::tls())?;
        let system =
            || AUTHORITIES.iter().copied().find(|path| std::fs::exists(path).is_ok_and(|is| is));
        if let Some(path) = settings.authorities.as_deref().or_else(system) {
            connector.set_ca_file(path).map_err(|_| format!("`{path}` holds no authorities"))?;
        }
        let ssl = connector.build().configure()?.into_ssl(&bare)?;
        let mut stream = tokio_openssl::SslStream::new(ssl, stream)?;
        Pin::new(&mut stream)
            .connect()
            .await
            .map_err(|error| format!("TLS with {place} fails: {error}"))?;
        exchange(stream, request).await
    } else {
        exchange(stream, request).await
    }
    .map_err(|error| format!("{place} does not answer as one: {error}"))?;
    if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS {
        return Err(format!("{REFUSED}: {status}{}", told(&body)).into());
    }
    if !status.is_success() {
        return Err(format!("{place} answers {status}").into());
    }
    read(&body, &settings.client_id)
}

fn request(settings: &Settings, uri: &Uri) -> Result<Request<Full<Bytes>>, Failure> {
    let quoted = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    // Section 2.3.1: both are quoted as in a form before they are joined.
    let pair = format!("{}:{}", quoted(&settings.client_id), quoted(&settings.client_secret));
    let pair = base64::engine::general_purpose::STANDARD.encode(pair);
    let mut body = "grant_type=client_credentials".to_owned();
    if let Some(scope) = &settings.scope {
        body.push_str(&format!("&scope={}", quoted(scope)));
    }
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(HOST, authority)
        .header(AUTHORIZATION, format!("Basic {pair}"))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(ACCEPT, "application/json");
    Ok(request.body(Full::from(body))?)
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), Failure> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), limits::TOKEN_ANSWER_MAX_BYTES);
    Ok((status, body.collect().await?.to_bytes()))
}

/// The code of a refusal (section 5.2), such as `invalid_client`, behind a comma.
fn told(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    let is_code = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match serde_json::from_slice(body) {
        Ok(Refusal { error }) if error.len() <= 64 && error.chars().all(is_code) => {
            format!(", {error}")
        }
        _ => String::new(),
    }
}

/// The token of an answer (section 5.1).
fn read(body: &[u8], client_id: &str) -> Result<OAuthToken, Failure> {
    #[derive(Deserialize)]
    struct Answer {
        access_token: String,
        expires_in: Option<Seconds>,
    }
    /// A number by the standard. Some endpoints write it as text.
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Seconds {
        Whole(u64),
        Float(f64),
        Text(String),
    }
    // The parser's own words may repeat what is there.
    let answer: Answer = serde_json::from_slice(body).map_err(|_| UNREADABLE)?;
    if answer.access_token.is_empty() || answer.access_token.contains('\0') {
        return Err(UNREADABLE.into());
    }
    let lifetime_s = match answer.expires_in {
        None => LIFETIME_DEFAULT_S,
        Some(Seconds::Whole(seconds)) => seconds,
        Some(Seconds::Float(seconds)) => seconds as u64,
        Some(Seconds::Text(text)) => text.trim().parse().unwrap_or(LIFETIME_DEFAULT_S),
    };
    let lifetime = Duration::from_secs(lifetime_s.min(LIFETIME_MAX_S));
    Ok(OAuthToken {
        token: answer.access_token,
        // The broker takes the principal from the token; the client library wants some name.
        principal_name: client_id.to_owned(),
        lifetime_ms: clock::now_ms() + lifetime.as_millis() as i64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn answers_are_read_and_wrong_ones_not_repeated() {
        let lifetime = |body: &str| {
            let token = read(body.as_bytes(), "me").unwrap();
            assert_eq!((token.token.as_str(), token.principal_name.as_str()), ("t", "me"));
            (token.lifetime_ms - clock::now_ms() + 500) / 1_000
        };
        assert_eq!(lifetime(r#"{"access_token":"t","token_type":"Bearer","expires_in":60}"#), 60);
        assert_eq!(lifetime(r#"{"access_token":"t"}"#), 300);
        // As some endpoints write it; and more than the client library can count.
        for (told, expected) in [
            ("\"3599\"", 3_599),
            ("60.0", 60),
            ("\"soon\"", 300),
            ("null", 300),
            ("18446744073709551615", 86_400),
            ("1e300", 86_400),
            ("\"99999999\"", 86_400),
        ] {
            let body = format!(r#"{{"access_token":"t","expires_in":{told}}}"#);
            assert_eq!(lifetime(&body), expected, "{told}");
        }
        for body in ["", "hunter2", "{}", r#"{"access_token":""}"#, r#"{"access_token":"a\u0000"}"#]
        {
            assert_eq!(read(body.as_bytes(), "me").err().unwrap().to_string(), UNREADABLE);
        }
        assert_eq!(
            told(br#"{"error":"invalid_client","error_description":"x"}"#),
            ", invalid_client"
        );
        assert_eq!(told(br#"{"error":"<b>hunter2</b>"}"#), "");
        assert_eq!(told(b"hunter2"), "");
    }

    #[test]
    fn the_request_is_that_of_the_standard() {
        let settings = Settings {
            client_id: "a:b".to_owned(),
            client_secret: "c d".to_owned(),
            endpoint: "https://login.example/token?x=1".to_owned(),
            scope: Some("kafka read".to_owned()),
            authorities: None,
        };
        let request = request(&settings, &settings.endpoint.parse().unwrap()).unwrap();
        assert_eq!(request.uri(), "/token?x=1");
        let pair = base64::engine::general_purpose::STANDARD.encode("a%3Ab:c%20d");
        assert_eq!(request.headers()[AUTHORIZATION], format!("Basic {pair}"));
        assert_eq!(request.headers()[HOST], "login.example");
        let text = settings.to_text();
        assert!(serde_json::from_str::<Settings>(&text).unwrap() == settings);
        assert!(token(None).is_err() && token(Some("x")).is_err());
    }
}
