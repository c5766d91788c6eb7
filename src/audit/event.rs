//! The audit event, borrowed from the record where its JSON escapes allow.
//!
//! Source of the format: Kubernetes `audit.k8s.io/v1`, type `Event` (and `v1beta1`, which adds
//! `timestamp`). Request and response bodies are only pointed at, and only where a rule asks about
//! them: they are neither written nor copied, and so can never leave. Every field is optional, because real clients, policies and wrappers
//! leave each of them out.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A string that borrows from the input when it holds no escapes.
///
/// `Cow` alone would be owned inside `Option`, `Vec` and maps: serde borrows it only as a plain
/// field.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Text<'a>(pub Cow<'a, str>);

impl Text<'_> {
    pub fn as_str(&self) -> &str {
        &self.0
    }
    pub fn into_owned(self) -> Text<'static> {
        Text(Cow::Owned(self.0.into_owned()))
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::ops::Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

/// Compares and hashes as the string does, so maps can be asked with a `&str`.
impl std::borrow::Borrow<str> for Text<'_> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Text(Cow::Borrowed(text))
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Text(Cow::Owned(text))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
            fn visit_string<E: de::Error>(self, text: String) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text)))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// One audit event, without request and response bodies.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Event<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub level: Option<Text<'a>>,
    #[serde(borrow, rename = "auditID", skip_serializing_if = "Option::is_none")]
    pub audit_id: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Text<'a>>,
    #[serde(borrow, rename = "requestURI", skip_serializing_if = "Option::is_none")]
    pub request_uri: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub verb: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub user: Option<User<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub impersonated_user: Option<User<'a>>,
    #[serde(borrow, rename = "sourceIPs", skip_serializing_if = "Option::is_none")]
    pub source_ips: Option<Vec<Text<'a>>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub object_ref: Option<ObjectRef<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub response_status: Option<ResponseStatus<'a>>,
    /// RFC 3339 with microseconds.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub request_received_timestamp: Option<Text<'a>>,
    /// RFC 3339 with microseconds.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub stage_timestamp: Option<Text<'a>>,
    /// `v1beta1` only: RFC 3339, seconds.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Text<'a>>,
    /// Some wrappers replace the dots of the keys by underscores: ask through [`Event::annotation`].
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<Text<'a>, Text<'a>>>,
    /// `requestObject`, where it was asked for.
    #[serde(skip)]
    pub request_object: Option<Body<'a>>,
    /// `responseObject`, where it was asked for.
    #[serde(skip)]
    pub response_object: Option<Body<'a>>,
}

/// The body of a request or a response, as it stands in the record. It has no owned form and no
/// `Serialize`, and does not show itself.
#[derive(Clone, Copy)]
pub struct Body<'a>(pub &'a RawValue);

impl Body<'_> {
    /// JSON.
    pub fn json(&self) -> &str {
        self.0.get()
    }
}

impl PartialEq for Body<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.json() == other.json()
    }
}

impl fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.json().len())
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct User<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub username: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub uid: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<Text<'a>>>,
    /// Lists of strings by key; kept as they came, since wrappers reshape them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra: Option<serde_json::Map<String, serde_json::Value>>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectRef<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub resource: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub name: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub uid: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub api_group: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub subresource: Option<Text<'a>>,
}

/// `metav1.Status` without its metadata and details.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResponseStatus<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub status: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub message: Option<Text<'a>>,
    /// HTTP status code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<i64>,
}

/// What the audit log says became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventOutcome {
    Success,
    Failure,
    Unknown,
}

/// The stages in the order in which an API server emits them. The number is the alert's revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Stage {
    /// `RequestReceived`, or a stage that is absent or unknown.
    Received = 1,
    /// `ResponseStarted`
    Started = 2,
    /// `ResponseComplete` and `Panic`
    Complete = 3,
}

impl Event<'_> {
    /// The text of a field, absent when it is missing or empty.
    pub fn nonempty<'t>(text: &'t Option<Text<'_>>) -> Option<&'t str> {
        text.as_ref().map(Text::as_str).filter(|t| !t.is_empty())
    }

    /// An annotation by its real key, also where a wrapper wrote its dots as underscores.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        let annotations = self.annotations.as_ref()?;
        if let Some(value) = annotations.get(key) {
            return Some(value.as_str());
        }
        let underscored = key.replace('.', "_");
        annotations.get(underscored.as_str()).map(Text::as_str)
    }

    pub fn stage_rank(&self) -> Stage {
        match self.stage.as_deref() {
            Some("ResponseStarted") => Stage::Started,
            Some("ResponseComplete" | "Panic") => Stage::Complete,
            _ => Stage::Received,
        }
    }

    /// The outcome as far as this event tells it: a refusal by the authorizer or a code of 400
    /// and more is a failure; any other code (101 included: the connection was handed over) is a
    /// success; without a code an `allow` tells nothing yet.
    ///
    /// `Panic` without a code is a failure.
    pub fn outcome(&self) -> EventOutcome {
        if self.annotation("authorization.k8s.io/decision") == Some("forbid") {
            return EventOutcome::Failure;
        }
        match self.response_status.as_ref().and_then(|status| status.code) {
            Some(code) if code >= 400 => EventOutcome::Failure,
            Some(code) if code > 0 => EventOutcome::Success,
            _ if self.stage.as_deref() == Some("Panic") => EventOutcome::Failure,
            _ => EventOutcome::Unknown,
        }
    }

    /// When the request was received: `requestReceivedTimestamp`, else `timestamp` (v1beta1),
    /// else `stageTimestamp`; the first one that is a valid time. Before 1970 none is: Go's zero
    /// time, of the year 1, stands for a missing one.
    pub fn time(&self) -> Option<jiff::Timestamp> {
        [&self.request_received_timestamp, &self.timestamp, &self.stage_timestamp]
            .into_iter()
            .filter_map(|text| text.as_deref())
            .filter_map(|text| text.parse().ok())
            .find(|time| *time >= jiff::Timestamp::UNIX_EPOCH)
    }

    /// The event without its bodies, in a form that outlives the record.
    pub fn into_owned(self) -> Event<'static> {
        fn own(text: Option<Text<'_>>) -> Option<Text<'static>> {
            text.map(Text::into_owned)
        }
        fn own_all(texts: Option<Vec<Text<'_>>>) -> Option<Vec<Text<'static>>> {
            texts.map(|texts| texts.into_iter().map(Text::into_owned).collect())
        }
        fn own_user(user: User<'_>) -> User<'static> {
            User {
                username: own(user.username),
                uid: own(user.uid),
                groups: own_all(user.groups),
                extra: user.extra,
            }
        }
        Event {
            kind: own(self.kind),
            api_version: own(self.api_version),
            level: own(self.level),
            audit_id: own(self.audit_id),
            stage: own(self.stage),
            request_uri: own(self.request_uri),
            verb: own(self.verb),
            user: self.user.map(own_user),
            impersonated_user: self.impersonated_user.map(own_user),
            source_ips: own_all(self.source_ips),
            user_agent: own(self.user_agent),
            object_ref: self.object_ref.map(|o| ObjectRef {
                resource: own(o.resource),
                namespace: own(o.namespace),
                name: own(o.name),
                uid: own(o.uid),
                api_group: own(o.api_group),
                api_version: own(o.api_version),
                resource_version: own(o.resource_version),
                subresource: own(o.subresource),
            }),
            response_status: self.response_status.map(|s| ResponseStatus {
                status: own(s.status),
                reason: own(s.reason),
                message: own(s.message),
                code: s.code,
            }),
            request_received_timestamp: own(self.request_received_timestamp),
            stage_timestamp: own(self.stage_timestamp),
            timestamp: own(self.timestamp),
            annotations: self.annotations.map(|map| {
                map.into_iter().map(|(k, v)| (k.into_owned(), v.into_owned())).collect()
            }),
            request_object: None,
            response_object: None,
        }
    }
}

/// For fields that keep an event longer than the text it is read from.
pub fn deserialize_owned<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Event<'static>, D::Error> {
    Event::deserialize(deserializer).map(Event::into_owned)
}
