//! What a query means, once more: slowly, from the syntax tree and the whole document, and sharing
//! nothing with the program. Only for tests.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::LazyLock;

use serde_json::Value as Json;

use super::ast::{Comparison, Node, Pattern, Value};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Type {
    Keyword,
    Integer,
    Boolean,
    Date,
    Address,
    Any,
}

const FIXED: &str = "kind apiVersion level auditID stage requestURI verb userAgent sourceIPs \
    user.username user.uid user.groups impersonatedUser.username impersonatedUser.uid \
    impersonatedUser.groups objectRef.resource objectRef.namespace objectRef.name objectRef.uid \
    objectRef.apiGroup objectRef.apiVersion objectRef.resourceVersion objectRef.subresource \
    responseStatus.kind responseStatus.apiVersion responseStatus.status responseStatus.reason \
    responseStatus.message responseStatus.code requestReceivedTimestamp stageTimestamp timestamp \
    authenticationMetadata.impersonationConstraint";
const OPEN: &str = "annotations user.extra impersonatedUser.extra requestObject responseObject \
    responseStatus.details responseStatus.metadata metadata";
const ECS: &str = "@timestamp event.action event.outcome event.kind event.module event.dataset \
    data_stream.dataset data_stream.namespace user.name user.id user_agent.original source.ip \
    client.ip orchestrator.type orchestrator.api_version orchestrator.namespace \
    orchestrator.resource.name orchestrator.resource.type exec.command exec.args exec.normal_form \
    exec.access_type exec.interactive container.name";

fn type_of(name: &str) -> Type {
    match name {
        "kubernetes.audit.responseStatus.code" => Type::Integer,
        "exec.interactive" => Type::Boolean,
        "source.ip" | "client.ip" => Type::Address,
        "@timestamp"
        | "kubernetes.audit.timestamp"
        | "kubernetes.audit.stageTimestamp"
        | "kubernetes.audit.requestReceivedTimestamp" => Type::Date,
        _ if is_fixed(name) => Type::Keyword,
        _ => Type::Any,
    }
}

fn is_fixed(name: &str) -> bool {
    static NAMES: LazyLock<HashSet<String>> = LazyLock::new(|| {
        let event = FIXED.split_whitespace().map(|path| format!("kubernetes.audit.{path}"));
        event.chain(ECS.split_whitespace().map(str::to_owned)).collect()
    });
    NAMES.contains(name)
}

fn is_open(path: &str) -> bool {
    let within =
        |open| path.strip_prefix(open).map(|rest| rest.is_empty() || rest.starts_with('.'));
    OPEN.split_whitespace().any(|open| within(open) == Some(true))
}

fn is_open_itself(name: &str) -> bool {
    OPEN.split_whitespace().any(|open| name.strip_prefix("kubernetes.audit.") == Some(open))
}

/// Fields that Kubernetes' schema makes booleans: nothing else is asked of them.
fn is_boolean(name: &str) -> bool {
    let within = |object: &str| name.starts_with(&format!("kubernetes.audit.{object}."));
    let ends = ["spec.hostPID", "spec.hostIPC", "spec.hostNetwork", "securityContext.privileged"];
    (within("requestObject") || within("responseObject"))
        && ends.iter().any(|end| name.ends_with(&format!(".{end}")))
}

/// Every value of an event under its full name.
pub(super) struct Document {
    values: Vec<(String, Type, Json)>,
    event: Json,
}

impl Document {
    /// `derived` are names and values that are not in the event.
    pub fn new(event: &Json, derived: &[(&str, Json)]) -> Document {
        let mut paths = Vec::new();
        flatten(event, String::new(), &mut paths);
        let mut values: Vec<(String, Json)> = Vec::new();
        for (path, value) in &paths {
            let name = format!("kubernetes.audit.{path}");
            if is_open(path) || is_fixed(&name) {
                values.push((name, value.clone()));
            }
        }
        let at = |wanted: &str| -> Vec<Json> {
            paths
                .iter()
                .filter(|(path, _)| path == wanted)
                .map(|(_, value)| value.clone())
                .collect()
        };
        let mut add = |name: &str, found: Vec<Json>| {
            values.extend(found.into_iter().map(|value| (name.to_owned(), value)));
        };
        for (name, path) in [
            ("event.action", "verb"),
            ("user.name", "user.username"),
            ("user.id", "user.uid"),
            ("user_agent.original", "userAgent"),
            ("orchestrator.api_version", "apiVersion"),
            ("orchestrator.namespace", "objectRef.namespace"),
            ("orchestrator.resource.name", "objectRef.name"),
            ("orchestrator.resource.type", "objectRef.resource"),
        ] {
            add(name, at(path).into_iter().filter(|value| *value != "").collect());
        }
        for (name, value) in [
            ("event.kind", "event"),
            ("event.module", "kubernetes"),
            ("event.dataset", "kubernetes.audit_logs"),
            ("data_stream.dataset", "kubernetes.audit_logs"),
            ("data_stream.namespace", "default"),
            ("orchestrator.type", "kubernetes"),
        ] {
            add(name, vec![value.into()]);
        }
        for decision in at("annotations.authorization_k8s_io/decision") {
            match decision.as_str() {
                Some("allow") => add("event.outcome", vec!["success".into()]),
                Some("forbid") => add("event.outcome", vec!["failure".into()]),
                _ => {}
            }
        }
        let dates = |path: &str| -> Vec<Json> {
            at(path).into_iter().filter(|value| event_time(value).is_some()).collect()
        };
        let received = dates("requestReceivedTimestamp");
        add("@timestamp", if received.is_empty() { dates("stageTimestamp") } else { received });
        let sources = at("sourceIPs");
        if sources.iter().all(|source| address(source).is_some()) {
            add("source.ip", sources.clone());
            add("client.ip", sources);
        }
        for (name, value) in derived {
            add(name, vec![value.clone()]);
        }
        let typed = |(name, value): (String, Json)| (name.clone(), type_of(&name), value);
        Document { values: values.into_iter().map(typed).collect(), event: event.clone() }
    }

    pub fn matches(&self, query: &Node) -> bool {
        self.holds(query, "")
    }

    fn holds(&self, query: &Node, within: &str) -> bool {
        match query {
            Node::Or(nodes) => nodes.iter().any(|node| self.holds(node, within)),
            Node::And(nodes) => nodes.iter().all(|node| self.holds(node, within)),
            Node::Not(node) => !self.holds(node, within),
            Node::Is { field, value } => self.is(field.as_ref().map(|f| &f.pattern), value, within),
            Node::Compare { field, comparison, value } => {
                let Some(text) = value.pattern.as_literal() else { return false };
                let name = field.pattern.as_literal().map(|name| format!("{within}{name}"));
                if name.is_some_and(|name| is_boolean(&name) || is_open_itself(&name)) {
                    return false;
                }
                self.any(&field.pattern, within, |kind, found| {
                    compare(kind, found, *comparison, text)
                })
            }
            Node::Nested { path, query } => {
                let Some(name) = path.pattern.as_literal() else { return false };
                let name = format!("{within}{name}");
                let Some(path) = name.strip_prefix("kubernetes.audit") else { return false };
                let path = path.trim_start_matches('.');
                if is_fixed(&name) || path == "annotations" || path.starts_with("annotations.") {
                    return false;
                }
                let mut objects = Vec::new();
                objects_at(&self.event, path, &mut objects);
                objects.into_iter().any(|object| {
                    let mut inner = Json::Null;
                    put(&mut inner, path, object.clone());
                    let mut document = Document::new(&inner, &[]);
                    document.values.retain(|(known, ..)| known.starts_with(&format!("{name}.")));
                    document.holds(query, &format!("{name}."))
                })
            }
        }
    }

    fn is(&self, field: Option<&Pattern>, value: &Value, within: &str) -> bool {
        let everywhere = Pattern { pieces: vec![String::new(), String::new()] };
        let field = field.unwrap_or(&everywhere);
        let exists = is_star(&value.pattern);
        if exists && is_star(field) {
            return true;
        }
        if !value.quoted && value.pattern.pieces == ["null"] {
            return false;
        }
        if let Some(name) = field.as_literal() {
            let name = underscored(&format!("{within}{name}"));
            if exists {
                let below = format!("{name}.");
                return self.values.iter().any(|(known, kind, found)| {
                    (*known == name || (known.starts_with(&below) && !is_fixed(&name)))
                        && is_valid(*kind, found)
                });
            }
            if is_boolean(&name) && !matches!(value.pattern.as_literal(), Some("true" | "false")) {
                return false;
            }
            if is_open_itself(&name) {
                return false;
            }
        }
        self.any(field, within, |kind, found| equal(kind, found, &value.pattern))
    }

    fn any(&self, field: &Pattern, within: &str, accept: impl Fn(Type, &Json) -> bool) -> bool {
        let mut field = field.clone();
        field.pieces[0].insert_str(0, within);
        if field.as_literal().is_some() {
            field.pieces[0] = underscored(&field.pieces[0]);
        } else if let Some(rest) = field.pieces[0].strip_prefix("kubernetes.audit.annotations.") {
            field.pieces[0] = format!("kubernetes.audit.annotations.{}", rest.replace('.', "_"));
            field.pieces[1..].iter_mut().for_each(|piece| *piece = piece.replace('.', "_"));
        }
        self.values.iter().any(|(name, kind, found)| like(&field, name) && accept(*kind, found))
    }
}

/// Adds each value under its path. Dots in annotations' names become underscores.
fn flatten(value: &Json, path: String, paths: &mut Vec<(String, Json)>) {
    match value {
        Json::Null => {}
        Json::Array(items) => items.iter().for_each(|item| flatten(item, path.clone(), paths)),
        Json::Object(fields) => {
            for (key, value) in fields {
                let key = if path == "annotations" { key.replace('.', "_") } else { key.clone() };
                let path = if path.is_empty() { key } else { format!("{path}.{key}") };
                flatten(value, path, paths);
            }
        }
        scalar => paths.push((path, scalar.clone())),
    }
}

fn objects_at<'j>(value: &'j Json, path: &str, objects: &mut Vec<&'j Json>) {
    match value {
        Json::Array(items) => items.iter().for_each(|item| objects_at(item, path, objects)),
        Json::Object(_) if path.is_empty() => objects.push(value),
        Json::Object(fields) => {
            for (key, value) in fields {
                if key == path {
                    objects_at(value, "", objects);
                } else if let Some(rest) = path.strip_prefix(&format!("{key}.")) {
                    objects_at(value, rest, objects);
                }
            }
        }
        _ => {}
    }
}

fn put(root: &mut Json, path: &str, value: Json) {
    *root = match path.rsplit('.').filter(|part| !part.is_empty()).collect::<Vec<_>>().as_slice() {
        [] => value,
        parts => parts.iter().fold(value, |inner, part| serde_json::json!({ *part: inner })),
    };
}

fn underscored(name: &str) -> String {
    match name.strip_prefix("kubernetes.audit.annotations.") {
        Some(rest) => format!("kubernetes.audit.annotations.{}", rest.replace('.', "_")),
        None => name.to_owned(),
    }
}

fn is_star(pattern: &Pattern) -> bool {
    pattern.pieces == ["", ""]
}

/// Where a star stands, what it swallows grows until the rest fits.
fn like(pattern: &Pattern, text: &str) -> bool {
    if let Some(literal) = pattern.as_literal() {
        return literal == text;
    }
    let mut tokens: Vec<Option<u8>> = Vec::new();
    for (nth, piece) in pattern.pieces.iter().enumerate() {
        if nth > 0 {
            tokens.push(None);
        }
        tokens.extend(piece.bytes().map(Some));
    }
    let text = text.as_bytes();
    let (mut token, mut at) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while at < text.len() {
        match tokens.get(token) {
            Some(None) => {
                star = Some((token, at));
                token += 1;
            }
            Some(Some(byte)) if *byte == text[at] => {
                token += 1;
                at += 1;
            }
            _ => match &mut star {
                Some((of_star, swallowed)) => {
                    *swallowed += 1;
                    at = *swallowed;
                    token = *of_star + 1;
                }
                None => return false,
            },
        }
    }
    tokens[token..].iter().all(Option::is_none)
}

fn text_of(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn number(text: &str) -> Option<f64> {
    let plain = text.chars().all(|c| "0123456789+-.eE".contains(c));
    text.parse().ok().filter(|_| plain)
}

fn integer(value: &Json) -> Option<f64> {
    match value {
        Json::Number(found) => found.as_f64().map(f64::trunc),
        Json::String(text) => number(text).map(f64::trunc),
        _ => None,
    }
}

fn boolean(value: &Json) -> Option<bool> {
    match value {
        Json::Bool(found) => Some(*found),
        Json::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn address(value: &Json) -> Option<IpAddr> {
    value.as_str()?.parse().ok().map(|address: IpAddr| match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        v4 => v4,
    })
}

fn event_time(value: &Json) -> Option<i64> {
    match value {
        Json::String(text) => asked_time(text).map(|(first, _)| first),
        Json::Number(number) => number.as_i64(),
        _ => None,
    }
}

/// The first and the last millisecond of what is written as a time.
fn asked_time(text: &str) -> Option<(i64, i64)> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        let first = time.as_millisecond();
        return Some((first, if text.contains('.') { first } else { first + 999 }));
    }
    let ms = |date: jiff::civil::Date| -> Option<i64> {
        let time: jiff::Timestamp = format!("{date}T00:00:00Z").parse().ok()?;
        Some(time.as_millisecond())
    };
    let (first, next) = match text.len() {
        4 => {
            let first: jiff::civil::Date = format!("{text}-01-01").parse().ok()?;
            (first, first.checked_add(jiff::Span::new().years(1)).ok()?)
        }
        7 => {
            let first: jiff::civil::Date = format!("{text}-01").parse().ok()?;
            (first, first.checked_add(jiff::Span::new().months(1)).ok()?)
        }
        10 if text.contains('-') => {
            let first: jiff::civil::Date = text.parse().ok()?;
            (first, first.tomorrow().ok()?)
        }
        _ => return text.parse().ok().map(|millis| (millis, millis)),
    };
    Some((ms(first)?, ms(next)? - 1))
}

fn in_network(asked: &str, found: IpAddr) -> bool {
    let Some((address, length)) = asked.split_once('/') else {
        return self::address(&asked.into()) == Some(found);
    };
    let (Ok(address), Ok(length)) = (address.parse::<IpAddr>(), length.parse::<usize>()) else {
        return false;
    };
    let bits = |address: IpAddr| -> String {
        match address {
            IpAddr::V4(v4) => v4.octets().iter().map(|octet| format!("{octet:08b}")).collect(),
            IpAddr::V6(v6) => v6.octets().iter().map(|octet| format!("{octet:08b}")).collect(),
        }
    };
    let found = match (address, found) {
        (IpAddr::V6(_), IpAddr::V4(v4)) => IpAddr::V6(v4.to_ipv6_mapped()),
        (_, found) => found,
    };
    let (asked, found) = (bits(address), bits(found));
    length <= asked.len() && asked.len() == found.len() && asked[..length] == found[..length]
}

fn is_valid(kind: Type, found: &Json) -> bool {
    match kind {
        Type::Keyword | Type::Any => true,
        Type::Integer => integer(found).is_some(),
        Type::Boolean => boolean(found).is_some(),
        Type::Date => event_time(found).is_some(),
        Type::Address => address(found).is_some(),
    }
}

fn equal(kind: Type, found: &Json, asked: &Pattern) -> bool {
    if is_star(asked) {
        return is_valid(kind, found);
    }
    let literal = asked.as_literal();
    match (kind, literal) {
        (Type::Keyword, _) => like(asked, &text_of(found)),
        (Type::Any, None) => like(asked, &text_of(found)),
        (Type::Any, Some(text)) => {
            text_of(found) == text
                || found.as_f64().is_some_and(|found| number(text) == Some(found))
        }
        (_, None) => false,
        (Type::Integer, Some(text)) => {
            integer(found).is_some_and(|found| number(text) == Some(found))
        }
        (Type::Boolean, Some(text)) => {
            boolean(found).is_some_and(|found| text.parse() == Ok(found))
        }
        (Type::Date, Some(text)) => match (event_time(found), asked_time(text)) {
            (Some(found), Some((first, last))) => first <= found && found <= last,
            _ => false,
        },
        (Type::Address, Some(text)) => address(found).is_some_and(|found| in_network(text, found)),
    }
}

fn compare(kind: Type, found: &Json, comparison: Comparison, text: &str) -> bool {
    let holds = |order: Ordering| match comparison {
        Comparison::Greater => order == Ordering::Greater,
        Comparison::GreaterOrEqual => order != Ordering::Less,
        Comparison::Less => order == Ordering::Less,
        Comparison::LessOrEqual => order != Ordering::Greater,
    };
    let numbers = |found: Option<f64>| match (found, number(text)) {
        (Some(found), Some(asked)) => found.partial_cmp(&asked).is_some_and(holds),
        _ => false,
    };
    match kind {
        Type::Keyword => holds(text_of(found).as_str().cmp(text)),
        Type::Integer => numbers(integer(found)),
        Type::Boolean => false,
        Type::Any => match found {
            Json::String(found) if number(text).is_none() => holds(found.as_str().cmp(text)),
            Json::String(found) => numbers(number(found)),
            found => numbers(found.as_f64()),
        },
        Type::Date => match (event_time(found), asked_time(text)) {
            (Some(found), Some((first, last))) => match comparison {
                Comparison::Greater => found > last,
                Comparison::GreaterOrEqual => found >= first,
                Comparison::Less => found < first,
                Comparison::LessOrEqual => found <= last,
            },
            _ => false,
        },
        Type::Address => {
            let mapped = |address: IpAddr| match address {
                IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
                IpAddr::V6(v6) => v6.octets(),
            };
            match (address(found), address(&text.into())) {
                (Some(found), Some(asked)) => holds(mapped(found).cmp(&mapped(asked))),
                _ => false,
            }
        }
    }
}
