//! Cloud Logging entries of a GKE cluster, turned into audit events.
//!
//! Source of the format: `google.logging.v2.LogEntry` with a `google.cloud.audit.AuditLog` as
//! `protoPayload`, in the JSON mapping of protocol buffers, which leaves zero values out. GKE
//! keeps neither the request URI nor the audit ID.

use std::collections::BTreeMap;

use serde::de::{IgnoredAny, MapAccess, SeqAccess};

use super::document::Fields;
use super::error::{Lack, ReadError, SkipReason};
use super::lenient::{Lenient, Slot, keys, optional};
use crate::audit::event::{Event, ObjectRef, ResponseStatus, Text, User};

const SERVICE: &str = "k8s.io";
const METHOD_PREFIX: &str = "io.k8s.";
const DECISION: &str = "authorization.k8s.io/decision";

/// `protoPayload`
#[derive(Debug, Default)]
pub(super) struct Payload<'a> {
    service_name: Option<Text<'a>>,
    method_name: Option<Text<'a>>,
    resource_name: Option<Text<'a>>,
    timestamp: Option<Text<'a>>,
    authentication: Option<Authentication<'a>>,
    authorization: Option<Authorizations<'a>>,
    request: Option<RequestMetadata<'a>>,
    status: Option<Status>,
}

#[derive(Debug, Default)]
struct Authentication<'a> {
    principal_email: Option<Text<'a>>,
    /// What stands there instead for callers without an account.
    authority_selector: Option<Text<'a>>,
}

/// Of the list, the first entry: it is about the resource of the request.
#[derive(Debug, Default)]
struct Authorizations<'a> {
    granted: Option<bool>,
    resource: Option<Text<'a>>,
}

#[derive(Debug, Default)]
struct RequestMetadata<'a> {
    caller_ip: Option<Text<'a>>,
    user_agent: Option<Text<'a>>,
}

/// `google.rpc.Status`
#[derive(Debug, Default)]
struct Status {
    code: Option<i64>,
}

/// `operation`
#[derive(Debug, Default)]
pub(super) struct Operation<'a> {
    id: Option<Text<'a>>,
    first: Option<bool>,
    last: Option<bool>,
}

/// Reads an object into a struct whose fields are all optional.
macro_rules! lenient_struct {
    ($type:ident $(<$life:lifetime>)?, $key:ident { $($variant:ident: $($text:literal)|+ => $field:ident),* $(,)? }) => {
        keys!($key { $($variant: $($text)|+,)* });
        impl<'de> Lenient<'de> for lenient_struct!(@type $type $($life)?) {
            fn object<A: MapAccess<'de>>(mut object: A) -> Result<Slot<Self>, A::Error> {
                let mut found = Self::default();
                while let Some(key) = object.next_key::<$key>()? {
                    match key {
                        $($key::$variant => found.$field = optional(&mut object)?,)*
                        $key::Other => {
                            object.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(Slot::Value(found))
            }
        }
    };
    (@type $type:ident) => { $type };
    (@type $type:ident $life:lifetime) => { $type<'de> };
}

lenient_struct!(Payload<'a>, PayloadKey {
    ServiceName: "serviceName" => service_name,
    MethodName: "methodName" => method_name,
    ResourceName: "resourceName" => resource_name,
    Timestamp: "timestamp" => timestamp,
    Authentication: "authenticationInfo" => authentication,
    Authorization: "authorizationInfo" => authorization,
    Request: "requestMetadata" => request,
    Status: "status" => status,
});
lenient_struct!(Authentication<'a>, AuthenticationKey {
    PrincipalEmail: "principalEmail" => principal_email,
    AuthoritySelector: "authoritySelector" => authority_selector,
});
lenient_struct!(RequestMetadata<'a>, RequestKey {
    CallerIp: "callerIp" | "callerIP" => caller_ip,
    UserAgent: "callerSuppliedUserAgent" => user_agent,
});
lenient_struct!(Status, StatusKey { Code: "code" => code, });
lenient_struct!(Operation<'a>, OperationKey {
    Id: "id" => id,
    First: "first" => first,
    Last: "last" => last,
});

keys!(AuthorizationKey { Granted: "granted", Resource: "resource" });

impl<'de> Lenient<'de> for Authorizations<'de> {
    fn object<A: MapAccess<'de>>(mut object: A) -> Result<Slot<Self>, A::Error> {
        let mut found = Self::default();
        while let Some(key) = object.next_key::<AuthorizationKey>()? {
            match key {
                AuthorizationKey::Granted => found.granted = optional(&mut object)?,
                AuthorizationKey::Resource => found.resource = optional(&mut object)?,
                AuthorizationKey::Other => {
                    object.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Slot::Value(found))
    }
    fn list<A: SeqAccess<'de>>(mut list: A) -> Result<Slot<Self>, A::Error> {
        let Some(first) = list.next_element::<Slot<Self>>()? else {
            return Ok(Slot::Absent);
        };
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(first)
    }
}

/// What became of a log entry.
pub(super) enum Entry<'a> {
    Event {
        event: Box<Event<'a>>,
        /// `insertId`, or the id of the operation that the entry is one part of.
        id: Option<Text<'a>>,
    },
    Skipped(SkipReason),
    Unreadable(ReadError),
}

/// Turns a log entry into the event that the API server would have logged. `timestamp` is the
/// entry's own.
pub(super) fn convert<'a>(
    payload: Payload<'a>,
    fields: &mut Fields<'a>,
    timestamp: Option<Text<'a>>,
) -> Entry<'a> {
    let service = payload.service_name.as_deref();
    let method = payload.method_name.as_deref();
    if service != Some(SERVICE) && !method.is_some_and(|name| name.starts_with(METHOD_PREFIX)) {
        return if service.is_some() || method.is_some() {
            Entry::Skipped(SkipReason::OtherService)
        } else {
            Entry::Unreadable(ReadError::NotAnAuditEvent(Lack::Resource))
        };
    }
    let authorization = payload.authorization.unwrap_or_default();
    let named = |name: Option<Text<'a>>| name.filter(|name| !name.is_empty());
    let resource = named(payload.resource_name).or_else(|| named(authorization.resource));
    let (Some(resource), Some(method)) = (resource, named(payload.method_name)) else {
        return Entry::Unreadable(ReadError::NotAnAuditEvent(Lack::Resource));
    };
    let verb: Text<'a> = match method {
        Text(std::borrow::Cow::Borrowed(method)) => last_segment(method).into(),
        Text(std::borrow::Cow::Owned(method)) => last_segment(&method).to_owned().into(),
    };
    let object_ref = object_ref(&resource);
    let request_uri = object_ref.is_none().then(|| {
        let path = resource.as_str();
        if path.starts_with('/') { resource.clone() } else { format!("/{path}").into() }
    });

    let operation = fields.operation.take().unwrap_or_default();
    let started = operation.first == Some(true) && operation.last != Some(true);
    let streams = object_ref
        .as_ref()
        .and_then(|object| object.subresource.as_deref())
        .is_some_and(|subresource| matches!(subresource, "exec" | "attach" | "portforward"));
    let response_status = payload.status.map(|status| ResponseStatus {
        code: Some(http_code(status.code.unwrap_or(0), streams)),
        ..ResponseStatus::default()
    });

    let mut annotations: BTreeMap<_, _> = fields.labels.take().unwrap_or_default().0;
    if let Some(granted) = authorization.granted
        && !annotations.contains_key(DECISION)
    {
        let decision = if granted { "allow" } else { "forbid" };
        annotations.insert(DECISION.into(), decision.into());
    }

    let authentication = payload.authentication.unwrap_or_default();
    let username = named(authentication.principal_email).or(authentication.authority_selector);
    let request = payload.request.unwrap_or_default();
    let event = Event {
        kind: Some("Event".into()),
        api_version: Some("audit.k8s.io/v1".into()),
        stage: Some(if started { "ResponseStarted" } else { "ResponseComplete" }.into()),
        request_uri,
        verb: Some(verb),
        user: username.map(|name| User { username: Some(name), ..User::default() }),
        source_ips: request.caller_ip.map(|address| vec![address]),
        user_agent: request.user_agent,
        object_ref,
        response_status,
        request_received_timestamp: timestamp.or(payload.timestamp),
        annotations: Some(annotations).filter(|annotations| !annotations.is_empty()),
        ..Event::default()
    };
    // The entries of one operation that spans several have its id in common, as the stages of
    // one request have the audit ID; `insertId` tells them apart.
    let (insert_id, operation_id) = (named(fields.insert_id.take()), named(operation.id));
    let spans_entries = operation.first != operation.last;
    let id = if spans_entries { operation_id.or(insert_id) } else { insert_id.or(operation_id) };
    Entry::Event { event: Box::new(event), id }
}

fn last_segment(method: &str) -> &str {
    method.rsplit('.').next().unwrap_or(method)
}

/// The object of a resource name (`core/v1/namespaces/NS/pods/NAME/exec`); none for a path that
/// is no resource (`readyz`).
fn object_ref(name: &str) -> Option<ObjectRef<'static>> {
    let own = |part: &str| Some(Text::from(part.to_owned())).filter(|part| !part.is_empty());
    let mut parts = name.split('/');
    let group = parts.next().filter(|group| !group.is_empty())?;
    let version = parts.next()?;
    let rest: Vec<&str> = parts.take(6).collect();
    let mut found = ObjectRef {
        api_group: own(group).filter(|group| group.as_str() != "core"),
        api_version: own(version),
        ..ObjectRef::default()
    };
    let own_at = |index: usize| rest.get(index).copied().and_then(own);
    let first = rest.first().copied().filter(|first| !first.is_empty())?;
    let namespaced = first == "namespaces"
        && rest.get(2).is_some_and(|third| !matches!(*third, "" | "status" | "finalize"));
    let at = if namespaced { 2 } else { 0 };
    if first == "namespaces" {
        // For a namespace itself the API server writes its name into both fields.
        found.namespace = own_at(1);
    }
    found.resource = own_at(at);
    found.name = own_at(at + 1);
    found.subresource = own_at(at + 2);
    Some(found)
}

/// The HTTP status code of a gRPC one. Success of a request that hands over its connection is
/// 101 in the audit log. Codes that are no gRPC ones are taken for HTTP codes.
fn http_code(grpc: i64, streams: bool) -> i64 {
    match grpc {
        0 if streams => 101,
        0 => 200,
        3 => 400,
        5 => 404,
        6 => 409,
        7 => 403,
        8 => 429,
        16 => 401,
        100..=599 => grpc,
        _ => 500,
    }
}
