//! One request to an API server, and the audit events that its stages leave, byte for byte as a
//! Go server writes them: the order of the fields, and `&`, `<` and `>` as escapes.
//!
//! Source of the format: Kubernetes `audit.k8s.io/v1`, type `Event`, through Go's `encoding/json`.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

/// Who asks, from where and with what.
#[derive(Debug, Clone, Default)]
pub struct Client {
    pub user: String,
    pub uid: String,
    pub groups: Vec<String>,
    /// `user.extra`, in the order of the keys.
    pub extra: Vec<(String, String)>,
    pub ips: Vec<String>,
    /// Some clients send none.
    pub agent: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub struct Object {
    pub resource: &'static str,
    pub namespace: String,
    pub name: String,
    pub api_group: &'static str,
    pub api_version: &'static str,
    pub subresource: &'static str,
}

/// Which stages a request leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stages {
    /// RequestReceived and ResponseComplete.
    Short,
    /// RequestReceived, ResponseStarted and, when it ends, ResponseComplete.
    LongRunning,
    /// RequestReceived and ResponseStarted: a watch that outlives the log.
    Open,
}

/// What a request means to the two rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concern {
    Neither,
    /// An exec that alerts.
    Exec,
    /// A secret read by one of the cluster's usual clients: known once it was learned.
    UsualClient,
    /// A secret read by a client that was not there while learning.
    UnusualClient,
}

#[derive(Debug, Clone)]
pub struct Request {
    pub audit_id: String,
    pub client: Arc<Client>,
    /// User and groups.
    pub impersonated: Option<(String, Vec<String>)>,
    pub verb: &'static str,
    pub uri: String,
    /// Absent for paths such as `/readyz`.
    pub object: Option<Object>,
    pub stages: Stages,
    pub code: u16,
    /// Text of `authorization.k8s.io/reason`.
    pub reason: String,
    /// What else the server and its webhooks note, once they have answered.
    pub annotations: Vec<(String, String)>,
    /// Microseconds until the response started.
    pub started_us: u64,
    /// Microseconds until the response was complete.
    pub duration_us: u64,
    /// JSON. With either body the level is `RequestResponse`, else `Metadata`.
    pub request_body: Option<String>,
    pub response_body: Option<String>,
    pub concern: Concern,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    Received,
    Started,
    Complete,
}

impl Request {
    /// The stages with the microseconds at which they come after the request.
    pub fn timeline(&self) -> Vec<(Stage, u64)> {
        let received = (Stage::Received, 0);
        let started = (Stage::Started, self.started_us);
        let complete = (Stage::Complete, self.duration_us.max(self.started_us));
        match self.stages {
            Stages::Short => vec![received, complete],
            Stages::LongRunning => vec![received, started, complete],
            Stages::Open => vec![received, started],
        }
    }

    /// The (source.ip, user.name, user_agent.original) tuples that a read of a secret stands for.
    pub fn terms(&self) -> Vec<[String; 3]> {
        let Some(agent) = &self.client.agent else { return Vec::new() };
        let of_ip = |ip: &String| [ip.clone(), self.client.user.clone(), agent.clone()];
        self.client.ips.iter().map(of_ip).collect()
    }

    /// The event of one stage as JSON. `typed` adds kind and API version, which the items of a
    /// list go without.
    pub fn event(&self, stage: Stage, received: Timestamp, typed: bool) -> String {
        let mut json = String::with_capacity(1_500);
        json.push('{');
        if typed {
            json.push_str(r#""kind":"Event","apiVersion":"audit.k8s.io/v1","#);
        }
        let bodies = self.request_body.is_some() || self.response_body.is_some();
        text(&mut json, "level", if bodies { "RequestResponse" } else { "Metadata" });
        text(&mut json, "auditID", &self.audit_id);
        let (stage_name, after_us) = match stage {
            Stage::Received => ("RequestReceived", 0),
            Stage::Started => ("ResponseStarted", self.started_us),
            Stage::Complete => ("ResponseComplete", self.duration_us.max(self.started_us)),
        };
        text(&mut json, "stage", stage_name);
        text(&mut json, "requestURI", &self.uri);
        text(&mut json, "verb", self.verb);
        self.push_user(&mut json);
        // A server learns whom a request impersonates after it has written the first stage.
        if let (Some((user, groups)), true) = (&self.impersonated, stage > Stage::Received) {
            json.push_str(r#""impersonatedUser":{"#);
            text(&mut json, "username", user);
            list(&mut json, "groups", groups);
            close_object(&mut json);
        }
        list(&mut json, "sourceIPs", &self.client.ips);
        if let Some(agent) = &self.client.agent {
            text(&mut json, "userAgent", agent);
        }
        if let Some(object) = &self.object {
            push_object(&mut json, object);
        }
        if stage > Stage::Received {
            self.push_status(&mut json);
        }
        if stage == Stage::Complete {
            for (name, body) in
                [("requestObject", &self.request_body), ("responseObject", &self.response_body)]
            {
                if let Some(body) = body {
                    json.push_str(&format!("\"{name}\":{body},"));
                }
            }
        }
        text(&mut json, "requestReceivedTimestamp", &micros(received));
        text(&mut json, "stageTimestamp", &micros(later(received, after_us)));
        if stage > Stage::Received {
            json.push_str(r#""annotations":{"#);
            let decision = if self.code == 403 { "forbid" } else { "allow" };
            text(&mut json, "authorization.k8s.io/decision", decision);
            text(&mut json, "authorization.k8s.io/reason", &self.reason);
            for (name, value) in &self.annotations {
                text(&mut json, name, value);
            }
            close_object(&mut json);
        }
        close_object(&mut json);
        json.pop();
        json
    }

    fn push_user(&self, json: &mut String) {
        let client = &self.client;
        json.push_str(r#""user":{"#);
        text(json, "username", &client.user);
        if !client.uid.is_empty() {
            text(json, "uid", &client.uid);
        }
        list(json, "groups", &client.groups);
        if !client.extra.is_empty() {
            json.push_str(r#""extra":{"#);
            for (key, value) in &client.extra {
                list(json, key, std::slice::from_ref(value));
            }
            close_object(json);
        }
        close_object(json);
    }

    fn push_status(&self, json: &mut String) {
        json.push_str(r#""responseStatus":{"metadata":{},"#);
        if let (403 | 404, Some(object)) = (self.code, &self.object) {
            let (resource, name) = (object.resource, &object.name);
            let (reason, message) = if self.code == 403 {
                ("Forbidden", self.refusal(object))
            } else {
                ("NotFound", format!("{resource} \"{name}\" not found"))
            };
            text(json, "status", "Failure");
            text(json, "message", &message);
            text(json, "reason", reason);
            json.push_str(r#""details":{"#);
            if !name.is_empty() {
                text(json, "name", name);
            }
            text(json, "kind", resource);
            close_object(json);
        }
        json.push_str(&format!("\"code\":{}}},", self.code));
    }

    /// How the authorizer words a refusal.
    fn refusal(&self, object: &Object) -> String {
        let Object { resource, namespace, name, api_group, subresource, .. } = object;
        let user = &self.client.user;
        let named = if name.is_empty() { String::new() } else { format!(" \"{name}\"") };
        let resource_path = if subresource.is_empty() {
            (*resource).to_owned()
        } else {
            format!("{resource}/{subresource}")
        };
        let scope = if namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace \"{namespace}\"")
        };
        format!(
            "{resource}{named} is forbidden: User \"{user}\" cannot {} resource \
             \"{resource_path}\" in API group \"{api_group}\" {scope}",
            self.verb
        )
    }
}

/// In the order in which Go writes them; what is empty is left out.
fn push_object(json: &mut String, object: &Object) {
    json.push_str(r#""objectRef":{"#);
    for (key, value) in [
        ("resource", object.resource),
        ("namespace", &object.namespace),
        ("name", &object.name),
        ("apiGroup", object.api_group),
        ("apiVersion", object.api_version),
        ("subresource", object.subresource),
    ] {
        if !value.is_empty() {
            text(json, key, value);
        }
    }
    close_object(json);
}

/// The time with microseconds, as the audit API writes it.
pub fn micros(time: Timestamp) -> String {
    format!("{time:.6}")
}

/// `time` and `after_us` microseconds; `time` where the calendar ends.
pub fn later(time: Timestamp, after_us: u64) -> Timestamp {
    let after = i64::try_from(after_us).unwrap_or(i64::MAX);
    time.checked_add(SignedDuration::from_micros(after)).unwrap_or(time)
}

/// Appends a member and a comma.
fn text(json: &mut String, key: &str, value: &str) {
    push_string(json, key);
    json.push(':');
    push_string(json, value);
    json.push(',');
}

fn list(json: &mut String, key: &str, values: &[String]) {
    if values.is_empty() {
        return;
    }
    push_string(json, key);
    json.push_str(":[");
    for value in values {
        push_string(json, value);
        json.push(',');
    }
    json.pop();
    json.push_str("],");
}

/// Turns the comma of the last member into the brace and a comma behind it.
fn close_object(json: &mut String) {
    if json.ends_with(',') {
        json.pop();
    }
    json.push_str("},");
}

/// A JSON string with the escapes that Go's encoder chooses.
pub fn push_string(json: &mut String, value: &str) {
    json.push('"');
    for character in value.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\u{8}' => json.push_str("\\b"),
            '\u{c}' => json.push_str("\\f"),
            '&' | '<' | '>' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                json.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            _ => json.push(character),
        }
    }
    json.push('"');
}
