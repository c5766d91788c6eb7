//! The sentence of an alert: who did what to what, from where, with what, and how it ended.
//!
//! Everything that a request's sender wrote stands between quotes that it cannot close, with
//! invisible characters escaped, and is bounded: a sentence is one line and at most
//! `limits::MESSAGE_MAX_CHARS` long.

use std::net::IpAddr;

use crate::alert::ecs::build::{OutcomeDetail, outcome_detail};
use crate::alert::visible::{excerpt, quoted, visible};
use crate::audit::event::{Event, Text, User};
use crate::detect::finding::{ExecVia, Finding, RequestFinding, View};
use crate::limits::{
    DAY_MS, HOUR_MS, MESSAGE_COMMAND_MAX_CHARS, MESSAGE_NAME_MAX_CHARS, SECOND_MS,
};
use crate::terms::observation::Observation;

/// Most source addresses that a sentence names.
const SOURCES_NAMED_MAX: usize = 3;
/// Longest address (an IPv6 address has at most 45 characters) and longest label.
const WORD_MAX_CHARS: usize = 64;

/// The sentence of an exec alert.
pub fn exec(finding: &Finding) -> String {
    let event = &finding.event;
    let exec = &finding.exec;
    let outcome = outcome_detail(event);
    let mut out = actor(event);
    out.push_str(match outcome {
        OutcomeDetail::Success => " ran ",
        OutcomeDetail::Denied | OutcomeDetail::Failed => " tried to run ",
        OutcomeDetail::Unknown => " asked to run ",
    });
    if exec.argv.is_empty() {
        out.push_str("a command that the audit log does not show");
    } else {
        let focus = finding.matches.iter().find(|m| m.view == View::AsWritten);
        let text =
            excerpt(&exec.text, focus.map(|found| found.span.clone()), MESSAGE_COMMAND_MAX_CHARS);
        out.push_str(&quoted(&text, MESSAGE_COMMAND_MAX_CHARS));
    }
    if let Some(label) = finding.access_types.first() {
        out.push_str(&format!(" ({})", visible(label, WORD_MAX_CHARS)));
    }
    if let Some(container) = exec.container.as_deref().filter(|name| !name.is_empty()) {
        out.push_str(&format!(" in container {} of", name(container)));
    } else {
        out.push_str(" in");
    }
    match exec.pod.as_deref().filter(|pod| !pod.is_empty()) {
        Some(pod) => {
            out.push_str(" pod ");
            out.push_str(&qualified(exec.namespace.as_deref(), pod));
        }
        None => out.push_str(" a pod"),
    }
    if let Some(node) = node(finding) {
        out.push_str(&format!(" through the kubelet of node {}", name(node)));
    }
    let sources: Vec<&str> = event.source_ips.iter().flatten().map(Text::as_str).collect();
    push_client(&mut out, &sources, event);
    push_outcome(&mut out, outcome, event);
    out
}

/// The node that a `nodes/proxy` exec went through. The API server accepts `NAME`, `NAME:PORT`
/// and `SCHEME:NAME:PORT`.
pub fn node(finding: &Finding) -> Option<&str> {
    if !matches!(finding.exec.via, ExecVia::NodesProxyExec | ExecVia::NodesProxyRun) {
        return None;
    }
    let node = Event::nonempty(&finding.event.object_ref.as_ref()?.name)?;
    let node = ["https:", "http:"].iter().find_map(|s| node.strip_prefix(s)).unwrap_or(node);
    let node = match node.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => node,
    };
    Some(node).filter(|node| !node.is_empty())
}

/// The sentence of a query rule's alert.
pub fn request(finding: &RequestFinding) -> String {
    let event = &finding.event;
    let sources: Vec<&str> = event.source_ips.iter().flatten().map(Text::as_str).collect();
    let mut out = did(event, &sources);
    out.push_str(&format!("; this is what {} looks for", name(&finding.rule.name)));
    out
}

/// Who did what to what, from where, with what, and how it ended.
fn did(event: &Event<'_>, sources: &[&str]) -> String {
    let outcome = outcome_detail(event);
    let mut out = actor(event);
    let (infinitive, past) = match event.verb.as_deref().unwrap_or("") {
        "get" => ("read", "read"),
        "list" => ("list", "listed"),
        "watch" => ("watch", "watched"),
        "create" => ("create", "created"),
        "update" => ("update", "updated"),
        "patch" => ("patch", "patched"),
        "delete" | "deletecollection" => ("delete", "deleted"),
        _ => ("use", "used"),
    };
    match outcome {
        OutcomeDetail::Success => out.push_str(&format!(" {past} ")),
        OutcomeDetail::Denied | OutcomeDetail::Failed => {
            out.push_str(&format!(" tried to {infinitive} "));
        }
        OutcomeDetail::Unknown => out.push_str(&format!(" asked to {infinitive} ")),
    }
    out.push_str(&object(event));
    push_client(&mut out, sources, event);
    push_outcome(&mut out, outcome, event);
    out
}

/// The sentence of a new-terms alert.
pub fn new_terms(observation: &Observation) -> String {
    let event = &observation.event;
    // Of several addresses, the alert is about the one of its terms.
    let term = observation.fields.iter().position(|field| field == "source.ip");
    let sources: Vec<&str> = match term.and_then(|at| observation.terms.get(at)) {
        Some(term) => vec![term],
        None => event.source_ips.iter().flatten().map(Text::as_str).collect(),
    };
    let mut out = did(event, &sources);
    let what = match observation.fields.as_slice() {
        [field] => format!("this {field}"),
        [fields @ .., last] => {
            format!("this combination of {} and {last}", fields.join(", "))
        }
        [] => "this".to_owned(),
    };
    out.push_str(&format!(
        "; {} was not seen in the last {}",
        visible(&what, MESSAGE_NAME_MAX_CHARS),
        duration(observation.window_ms)
    ));
    out
}

fn name(text: &str) -> String {
    quoted(text, MESSAGE_NAME_MAX_CHARS)
}

fn qualified(namespace: Option<&str>, object: &str) -> String {
    match namespace.filter(|namespace| !namespace.is_empty()) {
        Some(namespace) => {
            let half = (MESSAGE_NAME_MAX_CHARS - 1) / 2;
            // Two bounded halves, so that a long namespace cannot push the name out of sight.
            let bounded = |text: &str| visible(text, half);
            if namespace.len() + object.len() < MESSAGE_NAME_MAX_CHARS {
                name(&format!("{namespace}/{object}"))
            } else {
                name(&format!("{}/{}", bounded(namespace), bounded(object)))
            }
        }
        None => name(object),
    }
}

fn actor(event: &Event<'_>) -> String {
    fn username<'e>(user: &'e Option<User<'_>>) -> Option<&'e str> {
        user.as_ref().and_then(|user| Event::nonempty(&user.username))
    }
    let mut out = match username(&event.user) {
        Some(user) => format!("User {}", name(user)),
        None => "An unnamed user".to_owned(),
    };
    if event.impersonated_user.is_some() {
        match username(&event.impersonated_user) {
            Some(user) => out.push_str(&format!(", acting as {},", name(user))),
            None => out.push_str(", acting as another user,"),
        }
    }
    out
}

fn object(event: &Event<'_>) -> String {
    let Some(object) = &event.object_ref else {
        return match Event::nonempty(&event.request_uri) {
            Some(uri) => name(uri),
            None => "the API".to_owned(),
        };
    };
    let resource = Event::nonempty(&object.resource).unwrap_or("objects");
    let subresource = Event::nonempty(&object.subresource);
    let kind = |resource: &str| match subresource {
        Some(subresource) => word(&format!("{resource}/{subresource}")),
        None => word(resource),
    };
    let namespace = Event::nonempty(&object.namespace);
    match Event::nonempty(&object.name) {
        Some(object) => {
            let singular = match resource {
                "secrets" => "secret",
                "configmaps" => "configmap",
                "pods" => "pod",
                "serviceaccounts" => "serviceaccount",
                other => other,
            };
            format!("{} {}", kind(singular), qualified(namespace, object))
        }
        None => match namespace {
            Some(namespace) => format!("{} in namespace {}", kind(resource), name(namespace)),
            None => format!("{} of the whole cluster", kind(resource)),
        },
    }
}

/// A resource's name as it is when it is one, else in quotes: paths that name no resource reach
/// the audit log too.
fn word(text: &str) -> String {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-./".contains(&b));
    if plain && text.len() <= WORD_MAX_CHARS { text.to_owned() } else { name(text) }
}

fn push_client(out: &mut String, sources: &[&str], event: &Event<'_>) {
    for (index, source) in sources.iter().take(SOURCES_NAMED_MAX).enumerate() {
        out.push_str(if index == 0 { " from " } else { ", " });
        if source.parse::<IpAddr>().is_ok() {
            out.push_str(source);
        } else {
            out.push_str(&quoted(source, WORD_MAX_CHARS));
        }
    }
    if sources.len() > SOURCES_NAMED_MAX {
        out.push_str(&format!(" and {} more", sources.len() - SOURCES_NAMED_MAX));
    }
    if let Some(agent) = Event::nonempty(&event.user_agent) {
        out.push_str(&format!(" with {}", name(agent)));
    }
}

fn push_outcome(out: &mut String, outcome: OutcomeDetail, event: &Event<'_>) {
    let code = event.response_status.as_ref().and_then(|status| status.code);
    out.push_str(match outcome {
        // Switching protocols says only that the API server passed the connection on.
        OutcomeDetail::Success if code == Some(101) => "; the connection was handed over",
        OutcomeDetail::Success => "; the request succeeded",
        OutcomeDetail::Denied => "; the request was denied",
        OutcomeDetail::Failed => "; the request failed",
        OutcomeDetail::Unknown => return,
    });
    if let Some(code) = code {
        out.push_str(&format!(" ({code})"));
    }
}

/// A duration in the largest unit that divides it.
fn duration(ms: i64) -> String {
    let (count, unit) = [(DAY_MS, "day"), (HOUR_MS, "hour"), (60 * SECOND_MS, "minute")]
        .into_iter()
        .find(|(unit_ms, _)| ms != 0 && ms % unit_ms == 0)
        .map_or((ms / SECOND_MS, "second"), |(unit_ms, unit)| (ms / unit_ms, unit));
    if count == 1 { unit.to_owned() } else { format!("{count} {unit}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::fixtures;

    #[test]
    fn windows_read_as_people_say_them() {
        for (ms, want) in [
            (7 * DAY_MS, "7 days"),
            (DAY_MS, "day"),
            (36 * HOUR_MS, "36 hours"),
            (90 * SECOND_MS, "90 seconds"),
            (0, "0 seconds"),
        ] {
            assert_eq!(duration(ms), want);
        }
    }

    #[test]
    fn the_node_is_named_without_scheme_and_port() {
        for (object_name, want) in [
            ("worker-1", Some("worker-1")),
            ("worker-1:10250", Some("worker-1")),
            ("https:worker-1:10250", Some("worker-1")),
            ("https:", None),
            ("", None),
        ] {
            let mut finding = fixtures::nodes_proxy_run();
            finding.event.object_ref.as_mut().unwrap().name = Some(object_name.into());
            assert_eq!(node(&finding), want, "{object_name}");
        }
        assert_eq!(node(&fixtures::shell_exec()), None);
    }

    #[test]
    fn a_user_cannot_write_the_rest_of_the_sentence() {
        let mut finding = fixtures::shell_exec();
        let user = finding.event.user.as_mut().unwrap();
        user.username = Some("bob\" ran \"ls\" in pod \"a/b\"\nUser \"eve".into());
        let sentence = exec(&finding);
        assert!(
            sentence
                .starts_with(r#"User "bob\" ran \"ls\" in pod \"a/b\"\nUser \"eve", acting as"#),
            "{sentence}"
        );
        assert!(!sentence.contains('\n'));
    }

    #[test]
    fn several_sources_are_named_and_counted() {
        let mut finding = fixtures::shell_exec();
        finding.event.source_ips = Some(
            ["198.51.100.1", "not an ip", "::1", "10.0.0.1", "10.0.0.2"].map(Text::from).into(),
        );
        let sentence = exec(&finding);
        assert!(
            sentence.contains(r#" from 198.51.100.1, "not an ip", ::1 and 2 more with "#),
            "{sentence}"
        );
    }

    #[test]
    fn objects_of_every_kind_are_named() {
        for (object_ref, uri, want) in [
            (r#"{"resource":"secrets","namespace":"a","name":"b"}"#, "", r#"secret "a/b""#),
            (r#"{"resource":"secrets","namespace":"a"}"#, "", r#"secrets in namespace "a""#),
            (r#"{"resource":"secrets"}"#, "", "secrets of the whole cluster"),
            (
                r#"{"resource":"pods","subresource":"log","namespace":"a","name":"b"}"#,
                "",
                r#"pod/log "a/b""#,
            ),
            (r#"{"resource":"x\ny","name":"b"}"#, "", r#""x\ny" "b""#),
            ("null", "/healthz?\u{1b}", r#""/healthz?\u{1b}""#),
            ("null", "", "the API"),
        ] {
            let event = Event {
                object_ref: serde_json::from_str(object_ref).unwrap(),
                request_uri: Some(uri.into()),
                ..Event::default()
            };
            assert_eq!(object(&event), want, "{object_ref} {uri}");
        }
    }
}
