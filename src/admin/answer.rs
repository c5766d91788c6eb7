//! What is answered to which request.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Response, StatusCode};
use serde::Serialize;

use super::exposition::Format;
use super::snapshot::Snapshot;
use super::{Watched, health, metrics, page, status};

/// Largest answer; a larger one is refused rather than cut.
pub const ANSWER_MAX_BYTES: usize = 16 * 1024 * 1024;

pub type Answer = Response<Full<Bytes>>;

/// What is asked of a request; its body is never looked at.
pub struct Question<'q> {
    pub method: &'q Method,
    pub path: &'q str,
    /// The headers of these names; empty where there is none.
    pub accept: &'q str,
    pub host: &'q str,
}

pub fn answer(question: &Question<'_>, watched: &Watched) -> Answer {
    if ![Method::GET, Method::HEAD].contains(question.method) {
        let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".to_owned());
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    if watched.local && !is_of_this_machine(question.host) {
        let what = "listening on the loopback alone: ask by an address or as localhost\n";
        return text(StatusCode::MISDIRECTED_REQUEST, what.to_owned());
    }
    match question.path {
        "/metrics" => {
            let format = Format::accepted(question.accept);
            let text = metrics::text(format, &Snapshot::take(watched));
            respond(StatusCode::OK, format.content_type(), text.into())
        }
        "/livez" => {
            let live = health::live(&Snapshot::take(watched));
            json(passing(live.live), &live)
        }
        "/readyz" => {
            let ready = health::ready(&Snapshot::take(watched));
            json(passing(ready.ready), &ready)
        }
        "/status" => {
            let snapshot = Snapshot::take(watched);
            json(StatusCode::OK, &status::status(watched, &snapshot))
        }
        path => match page::file(path) {
            Some(file) => {
                let body = Bytes::from_static(file.text.as_bytes());
                let mut answer = respond(StatusCode::OK, file.content_type, body);
                let headers = answer.headers_mut();
                headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(page::POLICY));
                headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
                answer
            }
            None => text(
                StatusCode::NOT_FOUND,
                "nothing here: see /, /status, /metrics, /livez, /readyz\n".to_owned(),
            ),
        },
    }
}

/// Whether a `Host` is an address or a name that only this machine gives itself. A page from
/// elsewhere, whose name was made to lead here, asks by its own name.
fn is_of_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    // An address of version 6 stands in brackets.
    let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    name.is_empty()
        || name.eq_ignore_ascii_case("localhost")
        || address.parse::<std::net::IpAddr>().is_ok()
}

fn passing(ok: bool) -> StatusCode {
    if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

fn text(status: StatusCode, text: String) -> Answer {
    respond(status, "text/plain; charset=utf-8", text.into())
}

fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(mut bytes) => {
            bytes.push(b'\n');
            respond(status, "application/json", bytes.into())
        }
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn respond(status: StatusCode, content_type: &'static str, body: Bytes) -> Answer {
    if body.len() > ANSWER_MAX_BYTES {
        return text(StatusCode::INTERNAL_SERVER_ERROR, "the answer is too large\n".to_owned());
    }
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &Method, path: &str, host: &str, local: bool) -> Answer {
        let watched = Watched { local, ..Watched::default() };
        answer(&Question { method, path, accept: "", host }, &watched)
    }

    #[test]
    fn a_page_from_elsewhere_cannot_ask_a_listener_on_the_loopback() {
        let check = |host: &str, status: StatusCode| {
            assert_eq!(asked(&Method::GET, "/status", host, true).status(), status, "{host}");
        };
        for host in ["", "localhost", "LOCALHOST:9464", "127.0.0.1:9464", "[::1]:9464", "[::1]"] {
            check(host, StatusCode::OK);
        }
        for host in ["evil.example", "evil.example:9464", "localhost.evil.example", "127.0.0.1.x:1"]
        {
            check(host, StatusCode::MISDIRECTED_REQUEST);
        }
        // Others may be known by any name.
        assert_eq!(asked(&Method::GET, "/status", "kubetell:9464", false).status(), StatusCode::OK);
    }

    #[test]
    fn whatever_is_answered_is_of_its_type_alone_and_never_kept() {
        for path in ["/", "/status.js", "/status", "/metrics", "/livez", "/readyz", "/other"] {
            let answer = asked(&Method::GET, path, "", true);
            let header =
                |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap());
            assert_eq!(header("x-content-type-options"), Some("nosniff"), "{path}");
            assert_eq!(header("cache-control"), Some("no-store"), "{path}");
            assert!(header("access-control-allow-origin").is_none(), "{path}");
            let is_page = ["/", "/status.js"].contains(&path);
            let policy = header("content-security-policy");
            assert_eq!(policy, is_page.then_some(page::POLICY), "{path}");
        }
    }
}
