//! One request to a token endpoint: client credentials (RFC 6749, section 4.4) over HTTP.
//!
//! Owns the request and what is made of the answer; keeps nothing. No message holds the secret or the
//! token.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::{Duration, Instant};

use base64::Engine;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use openssl::ssl::{SslConnector, SslMethod};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rdkafka::client::OAuthToken;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::{REFUSED, REQUEST_MAX, Settings};
use crate::clock;
use crate::limits;

/// How long a token holds that does not say it.
const LIFETIME_DEFAULT_S: u64 = 300;
/// One that holds longer is fetched again all the same; the client library counts in microseconds.
const LIFETIME_MAX_S: u64 = 24 * 60 * 60;
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;

/// Where the authorities of the system stand, by the first that is there: OpenSSL is linked in and
/// knows no place of its own.
const AUTHORITIES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

type Failure = Box<dyn Error + Send + Sync>;

/// Asks for a token, for [`REQUEST_MAX`] at most.
///
/// # Errors
/// In words.
pub fn fetch(settings: &Settings) -> Result<OAuthToken, String> {
    let build = || tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = build().map_err(|error| error.to_string())?;
    let until = clock::monotonic() + REQUEST_MAX;
    let result =
        runtime.block_on(async { tokio::time::timeout(REQUEST_MAX, ask(settings, until)).await });
    // A runtime that is dropped waits for a look-up of a name that hangs.
    runtime.shutdown_background();
    match result {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err(format!("the token endpoint did not answer in {REQUEST_MAX:?}")),
    }
}

async fn ask(settings: &Settings, until: Instant) -> Result<OAuthToken, Failure> {
    let uri: Uri = settings.endpoint.parse()?;
    let host = uri.host().unwrap_or_default().to_owned();
    let secure = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let place = format!("the token endpoint `{host}:{port}`");
    let stream = reach(&bare, port, until)
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

/// A connection to the first address of a name that takes one.
async fn reach(host: &str, port: u16, until: Instant) -> io::Result<TcpStream> {
    let addresses = tokio::net::lookup_host((host, port)).await?;
    reach_one_of(&addresses.take(ADDRESSES_MAX).collect::<Vec<_>>(), until).await
}

/// Tries each address for its share of the time that is left, so that one behind which nobody answers
/// leaves enough for the others, and for the request.
async fn reach_one_of(addresses: &[SocketAddr], until: Instant) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
    let mut shares = addresses.len() as u32 + 1;
    for address in addresses {
        let left = until.saturating_duration_since(clock::monotonic());
        let share: Duration = left / shares;
        shares -= 1;
        match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failure = error,
            Err(_) => failure = io::Error::new(io::ErrorKind::TimedOut, "no answer"),
        }
    }
    Err(failure)
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

const UNREADABLE: &str = "the answer of the token endpoint holds no token";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::oauth::tests::settings;

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
        let settings = settings();
        let request = request(&settings, &settings.endpoint.parse().unwrap()).unwrap();
        assert_eq!(request.uri(), "/token?x=1");
        let pair = base64::engine::general_purpose::STANDARD.encode("a%3Ab:c%20d");
        assert_eq!(request.headers()[AUTHORIZATION], format!("Basic {pair}"));
        assert_eq!(request.headers()[HOST], "login.example");
    }

    /// A name with a dead address before a good one once took all the time there.
    #[test]
    fn an_address_where_nobody_answers_leaves_time_for_the_others() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            // Nobody accepts, and the queue is full: whoever comes now waits.
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
            let full = socket.listen(1).unwrap();
            let dead = full.local_addr().unwrap();
            let mut queued = Vec::new();
            let short = Duration::from_millis(300);
            while let Ok(stream) = tokio::time::timeout(short, TcpStream::connect(dead)).await {
                queued.push(stream.unwrap());
                assert!(queued.len() < 64, "the queue is never full");
            }
            let open = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let good = open.local_addr().unwrap();
            let until = || clock::monotonic() + Duration::from_secs(2);
            let reached = reach_one_of(&[dead, dead, good], until()).await.unwrap();
            assert_eq!(reached.peer_addr().unwrap(), good);
            let failure = reach_one_of(&[good, dead][1..], until()).await.unwrap_err();
            assert_eq!(failure.to_string(), "no answer");
            let failure = reach_one_of(&[], until()).await.unwrap_err();
            assert_eq!(failure.to_string(), "its name has no address");
        });
    }
}
