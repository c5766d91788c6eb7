//! The HTTP server: one thread, a bounded number of connections, each of a bounded length. Whoever
//! keeps connections open keeps nobody else out.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, HOST};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use super::Watched;
use super::answer::{Answer, Question, answer};
use crate::clock;

/// Connections at a time. A new one takes the place of the oldest.
const CONNECTIONS_MAX: usize = 32;
/// For the head of a request, also of the next one on a connection that is kept.
const HEAD_MAX: Duration = Duration::from_secs(5);
/// After so long a connection is closed once its answer has left, and then at once.
const CONNECTION_MAX: Duration = Duration::from_secs(60);
const LAST_ANSWER_MAX: Duration = Duration::from_secs(10);
/// The head of a request.
const HEAD_MAX_BYTES: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;
/// How often totals are sampled for the rates.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// Before another attempt to accept, as when the process has no file left.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Nothing can be served.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("`admin.listen`: `{address}` names no address of this machine: {error}")]
    Unknown { address: String, error: std::io::Error },
    #[error("`admin.listen`: nothing can listen on `{address}`: {error}")]
    Refused { address: String, error: std::io::Error },
}

impl ListenError {
    pub fn hint(&self) -> &'static str {
        match self {
            ListenError::Unknown { .. } => {
                "write an address of this machine and a port, e.g. `127.0.0.1:9464`, or \"\" to turn \
                 it off"
            }
            ListenError::Refused { error, .. } if error.kind() == std::io::ErrorKind::AddrInUse => {
                "another process has the port, maybe another instance: give this one a port of its \
                 own with `admin.listen`, or \"\" to turn it off"
            }
            ListenError::Refused { .. } => {
                "give `admin.listen` an address of this machine and a port that this user may use, \
                 or \"\" to turn it off"
            }
        }
    }
}

/// Takes the address, so that one that is in use is known before anything begins.
pub fn bind(address: &str) -> Result<TcpListener, ListenError> {
    let unknown = |error| ListenError::Unknown { address: address.to_owned(), error };
    let addresses: Vec<SocketAddr> = address.to_socket_addrs().map_err(unknown)?.collect();
    let refused = |error| ListenError::Refused { address: address.to_owned(), error };
    let listener = TcpListener::bind(addresses.as_slice()).map_err(refused)?;
    listener.set_nonblocking(true).map_err(refused)?;
    Ok(listener)
}

/// Answers until the process ends; for a thread of its own.
pub fn run(listener: TcpListener, watched: Watched) {
    let served = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .and_then(|runtime| runtime.block_on(serve(listener, Arc::new(watched))));
    if let Err(error) = served {
        tracing::error!(%error, "metrics and health are not served any more");
    }
}

async fn serve(listener: TcpListener, watched: Arc<Watched>) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    tokio::spawn(sample(Arc::clone(&watched)));
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                open.retain(|connection| !connection.is_finished());
                if open.len() >= CONNECTIONS_MAX
                    && let Some(oldest) = open.pop_front()
                {
                    oldest.abort();
                }
                let connection = tokio::spawn(connection(stream, Arc::clone(&watched)));
                open.push_back(connection.abort_handle());
            }
            Err(error) => {
                tracing::debug!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
            }
        }
    }
}

async fn sample(watched: Arc<Watched>) {
    let mut ticks = tokio::time::interval(SAMPLE_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        watched.rates.sample(clock::monotonic_ms(), &watched.stats);
    }
}

async fn connection(stream: TcpStream, watched: Arc<Watched>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = answered(&request, &watched);
        async move { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_buf_size(HEAD_MAX_BYTES)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = match tokio::time::timeout(CONNECTION_MAX, connection.as_mut()).await {
        Ok(ended) => ended,
        Err(_) => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(LAST_ANSWER_MAX, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the admin server ended");
    }
}

fn answered(request: &Request<Incoming>, watched: &Watched) -> Answer {
    let header = |name| {
        let value = request.headers().get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default()
    };
    answer(
        &Question {
            method: request.method(),
            path: request.uri().path(),
            accept: header(ACCEPT),
            // What is no text is no name of this server.
            host: match request.headers().get(HOST).map(|host| host.to_str()) {
                Some(Err(_)) => "?",
                Some(Ok(host)) => host,
                None => "",
            },
        },
        watched,
    )
}
