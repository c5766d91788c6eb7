//! From an audit event to the command it runs.
//!
//! Owns the decoding of request URIs as the API server and the kubelet do it. It judges nothing:
//! what a command means is for the rules. Pure; every input, however malformed, yields an answer.
//!
//! Sources of the formats: Kubernetes `PodExecOptions` and apimachinery's query conversion
//! (`Convert_Slice_string_To_bool`), the kubelet's server (`getExec`, `getRun`), Go's
//! `url.ParseQuery`.

use std::borrow::Cow;

use crate::audit::event::{Event, ObjectRef};
use crate::detect::finding::{ExecCommand, ExecVia};

/// The annotation that carries a GKE entry's label of the same name.
pub const GKE_COMMAND: &str = "command.gke.io/command";

/// The command of an exec, if the event is one: `pods/exec`, or `nodes/proxy` to one of the
/// kubelet's `exec` and `run` routes.
///
/// Whether it is one is told by `objectRef`, which the API server derived itself; the path's
/// text can be spelled in many ways (`/%65xec`) that mean the same. The verb does not matter:
/// `get` is WebSocket, `create` is SPDY.
pub fn decode(event: &Event<'_>) -> Option<ExecCommand> {
    let object = event.object_ref.as_ref()?;
    match Target::of(object.resource.as_deref()?, object.subresource.as_deref()?)? {
        Target::Pod => Some(decode_pod_exec(event, object)),
        Target::Node => decode_node_proxy(event),
    }
}

/// Whether an event about this object may be an exec.
pub fn may_be_exec(resource: Option<&str>, subresource: Option<&str>) -> bool {
    resource.zip(subresource).and_then(|(resource, sub)| Target::of(resource, sub)).is_some()
}

/// What a request asks to run a command.
enum Target {
    Pod,
    Node,
}

impl Target {
    fn of(resource: &str, subresource: &str) -> Option<Target> {
        match (resource, subresource) {
            ("pods", "exec") => Some(Target::Pod),
            ("nodes", "proxy") => Some(Target::Node),
            _ => None,
        }
    }
}

/// The command of a request URI that stands alone, with or without scheme and host. What kind of
/// request it is can only be told by its path then: `None` when it is no exec.
pub fn decode_uri(uri: &str) -> Option<ExecCommand> {
    let uri = match uri.split_once("://") {
        Some((scheme, rest)) if scheme.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
            rest.find('/').map_or("", |at| &rest[at..])
        }
        _ => uri,
    };
    let path = unescape(split_uri(uri).0.as_bytes(), Plus::Literal)?;
    let path = String::from_utf8_lossy(&path).into_owned();
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let after = |name: &str| segments.iter().position(|segment| *segment == name);
    let object = |resource: &'static str, subresource: &'static str| ObjectRef {
        resource: Some(resource.into()),
        subresource: Some(subresource.into()),
        ..ObjectRef::default()
    };
    let object_ref = match (after("nodes"), after("pods")) {
        (Some(at), _) if segments.get(at + 2) == Some(&"proxy") => object("nodes", "proxy"),
        (_, Some(at)) if segments.get(at + 2) == Some(&"exec") => ObjectRef {
            name: segments.get(at + 1).map(|name| (*name).to_owned().into()),
            namespace: after("namespaces")
                .filter(|namespaces| namespaces + 2 == at)
                .and_then(|at| segments.get(at + 1))
                .map(|name| (*name).to_owned().into()),
            ..object("pods", "exec")
        },
        _ => return None,
    };
    let event = Event {
        request_uri: Some(uri.to_owned().into()),
        object_ref: Some(object_ref),
        ..Event::default()
    };
    decode(&event)
}

fn decode_pod_exec(event: &Event<'_>, object: &ObjectRef<'_>) -> ExecCommand {
    let namespace = Event::nonempty(&object.namespace).map(str::to_owned);
    let pod = Event::nonempty(&object.name).map(str::to_owned);

    let Some(uri) = Event::nonempty(&event.request_uri) else {
        if let Some(command) = event.annotation(GKE_COMMAND) {
            return ExecCommand { namespace, pod, ..from_gke_label(command) };
        }
        return ExecCommand { namespace, pod, ..ExecCommand::new(ExecVia::PodsExec, Vec::new()) };
    };

    let mut argv = Vec::new();
    let (mut container, mut stdin, mut tty) = (None, None, None);
    for (key, value) in query_pairs(split_uri(uri).1) {
        match &*key {
            b"command" => argv.push(text_of(value)),
            b"container" => keep_first(&mut container, value),
            b"stdin" => keep_first(&mut stdin, value),
            b"tty" => keep_first(&mut tty, value),
            _ => {}
        }
    }
    ExecCommand {
        container: container.map(text_of).filter(|name| !name.is_empty()),
        namespace,
        pod,
        stdin: stdin.is_some_and(|value| is_true_for_api_server(&value)),
        tty: tty.is_some_and(|value| is_true_for_api_server(&value)),
        ..ExecCommand::new(ExecVia::PodsExec, argv)
    }
}

/// What `/proxy/` is followed by on the kubelet, already split into segments.
struct KubeletRoute {
    via: ExecVia,
    namespace: String,
    pod: String,
    container: String,
}

fn decode_node_proxy(event: &Event<'_>) -> Option<ExecCommand> {
    let (path, query) = split_uri(Event::nonempty(&event.request_uri)?);
    let route = kubelet_route(path)?;

    let mut argv = Vec::new();
    let (mut stdin, mut tty) = (None, None);
    for (key, value) in query_pairs(query) {
        match (&*key, route.via) {
            (b"command", ExecVia::NodesProxyExec) => argv.push(text_of(value)),
            // The kubelet splits `cmd` at single spaces, with no regard to quotes. It runs the
            // first `cmd` of the request body or, without one there, of the URI. As the body is
            // never seen, every `cmd` of the URI counts here.
            (b"cmd", ExecVia::NodesProxyRun) => {
                argv.extend(text_of(value).split(' ').map(str::to_owned));
            }
            (b"input", _) => keep_first(&mut stdin, value),
            (b"tty", _) => keep_first(&mut tty, value),
            _ => {}
        }
    }
    if route.via == ExecVia::NodesProxyRun && argv.iter().all(String::is_empty) {
        // An empty `cmd` names no command, as none does.
        argv.clear();
    }
    Some(ExecCommand {
        container: Some(route.container),
        namespace: Some(route.namespace),
        pod: Some(route.pod),
        stdin: stdin.is_some_and(|value| &*value == b"1"),
        tty: tty.is_some_and(|value| &*value == b"1"),
        ..ExecCommand::new(route.via, argv)
    })
}

/// Reads `…/nodes/NAME/proxy/exec/NS/POD[/UID]/CONTAINER`, or `run` in the place of `exec`.
///
/// A path is decoded before it is split, unlike a query: that is what the API server routes by.
/// What follows `proxy` it cleans of empty, `.` and `..` segments before it passes it on.
fn kubelet_route(path: &str) -> Option<KubeletRoute> {
    let path = unescape(path.as_bytes(), Plus::Literal)?;
    let path = String::from_utf8_lossy(&path);
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    // `nodes`, the node's name (whatever it looks like), `proxy`.
    segments.find(|segment| *segment == "nodes")?;
    segments.next()?;
    if segments.next()? != "proxy" {
        return None;
    }
    let mut rest: Vec<&str> = Vec::new();
    for segment in segments {
        match segment {
            "." => {}
            ".." => {
                rest.pop();
            }
            _ => rest.push(segment),
        }
    }
    let (kind, namespace, pod, container) = match rest.as_slice() {
        [kind, namespace, pod, container] | [kind, namespace, pod, _, container] => {
            (*kind, *namespace, *pod, *container)
        }
        _ => return None,
    };
    let via = match kind {
        "exec" => ExecVia::NodesProxyExec,
        "run" => ExecVia::NodesProxyRun,
        _ => return None,
    };
    Some(KubeletRoute {
        via,
        namespace: namespace.to_owned(),
        pod: pod.to_owned(),
        container: container.to_owned(),
    })
}

/// The command text of a GKE label, whose argument boundaries are gone.
fn from_gke_label(command: &str) -> ExecCommand {
    let words = command.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
    // The text stays as it came: runs of spaces in it are the caller's.
    ExecCommand { text: command.to_owned(), ..ExecCommand::new(ExecVia::GkeLabel, words) }
}

/// Path and query. The first `?` divides them; a `#` divides nothing in a request URI.
fn split_uri(uri: &str) -> (&str, &str) {
    uri.split_once('?').unwrap_or((uri, ""))
}

/// The pairs of a raw query, decoded, in order.
///
/// As Go's `url.ParseQuery`, whose errors the servers ignore: a pair with a malformed `%` or a
/// raw `;` is dropped and the others live on; an empty pair is none; a key without `=` has an
/// empty value.
fn query_pairs(query: &str) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
    query
        .as_bytes()
        .split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty() && !pair.contains(&b';'))
        .filter_map(|pair| {
            let (key, value) = match pair.iter().position(|byte| *byte == b'=') {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &pair[pair.len()..]),
            };
            Some((unescape(key, Plus::Space)?, unescape(value, Plus::Space)?))
        })
}

/// A parameter of a request, as whoever writes the URI anew is asked about it.
#[derive(Debug)]
pub struct Parameter<'q> {
    pub key: &'q str,
    pub value: &'q str,
    /// Whether the servers take it; they drop what is malformed.
    pub counts: bool,
}

/// The URI with other values in its query: `change` is asked for each parameter, in order. What
/// it leaves as it is keeps its spelling.
pub fn rewrite_query(uri: &str, mut change: impl FnMut(Parameter<'_>) -> Option<String>) -> String {
    let Some((path, query)) = uri.split_once('?') else { return uri.to_owned() };
    let mut out = format!("{path}?");
    for (at, pair) in query.split('&').enumerate() {
        if at > 0 {
            out.push('&');
        }
        let (raw_key, raw_value) = pair.split_once('=').unwrap_or((pair, ""));
        let strict = query_pairs(pair).next();
        let counts = strict.is_some();
        let (key, value) = match strict {
            Some((key, value)) => (text_of(key), text_of(value)),
            None => (lenient(raw_key), lenient(raw_value)),
        };
        match change(Parameter { key: &key, value: &value, counts }) {
            Some(new) => {
                let encoded = percent_encoding::utf8_percent_encode(&new, UNRESERVED);
                out.push_str(&format!("{raw_key}={encoded}"));
            }
            None => out.push_str(pair),
        }
    }
    out
}

/// A text with what can be decoded of it.
fn lenient(raw: &str) -> String {
    let spaced = raw.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

/// What a query's value may hold as it is: the unreserved characters of RFC 3986.
const UNRESERVED: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[derive(Clone, Copy, PartialEq, Eq)]
enum Plus {
    /// In a query.
    Space,
    /// In a path.
    Literal,
}

/// Percent-decoding; `None` when a `%` is not followed by two hexadecimal digits.
fn unescape(raw: &[u8], plus: Plus) -> Option<Cow<'_, [u8]>> {
    let special = |byte: &u8| *byte == b'%' || (*byte == b'+' && plus == Plus::Space);
    let Some(plain) = raw.iter().position(special) else { return Some(Cow::Borrowed(raw)) };

    let mut decoded = Vec::with_capacity(raw.len());
    decoded.extend_from_slice(&raw[..plain]);
    let mut rest = raw[plain..].iter();
    while let Some(byte) = rest.next() {
        decoded.push(match byte {
            b'%' => hex_digit(*rest.next()?)? << 4 | hex_digit(*rest.next()?)?,
            b'+' if plus == Plus::Space => b' ',
            _ => *byte,
        });
    }
    Some(Cow::Owned(decoded))
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Bytes that are no UTF-8 become U+FFFD.
fn text_of(bytes: Cow<'_, [u8]>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Of a parameter that is given several times, the servers take the first.
fn keep_first<'a>(kept: &mut Option<Cow<'a, [u8]>>, value: Cow<'a, [u8]>) {
    if kept.is_none() {
        *kept = Some(value);
    }
}

/// A boolean parameter that is present is true unless it says `0` or, in any case, `false`; an
/// empty one is true.
fn is_true_for_api_server(value: &[u8]) -> bool {
    value != b"0" && !value.eq_ignore_ascii_case(b"false")
}

#[cfg(test)]
#[path = "exec_tests.rs"]
mod tests;
