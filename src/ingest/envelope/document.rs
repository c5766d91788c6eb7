//! One JSON document as the union of an audit event and of everything that may wrap one.
//!
//! Owns the single pass over the text: fields of an event and fields of wrappers are filled as
//! they come, because which of them a document is shows only at its end. Unknown keys and the
//! bodies of requests and responses are skipped unread. Does not decide what a document is.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::LazyLock;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::gke::{Operation, Payload};
use super::lenient::{Labels, Present, Scalar, Slot, keys, optional, value};
use crate::audit::event::{Body, Event, Text};
use crate::limits;

/// Deepest nesting of lists and documents that can lead to an event within one text. OTLP needs
/// eight; the rest is room. What lies deeper is skipped and reported.
const NODE_MAX_DEPTH: usize = 16;

/// How many elements of lists the reading of one text may still collect.
#[derive(Debug)]
pub(super) struct Budget {
    left: Cell<usize>,
    exhausted: Cell<bool>,
}

impl Budget {
    pub(super) fn new() -> Self {
        Budget { left: Cell::new(limits::RECORD_MAX_ITEMS), exhausted: Cell::new(false) }
    }

    pub(super) fn is_exhausted(&self) -> bool {
        self.exhausted.get()
    }

    fn take<E: de::Error>(&self) -> Result<(), E> {
        match self.left.get().checked_sub(1) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => {
                self.exhausted.set(true);
                Err(E::custom("too many items"))
            }
        }
    }
}

/// What was read of a text before it broke off: the lists on the way to the break, each with
/// the elements that are whole.
#[derive(Debug, Default)]
pub(super) struct Salvage<'a>(RefCell<Option<Node<'a>>>);

impl<'a> Salvage<'a> {
    pub(super) fn take(&self) -> Option<Node<'a>> {
        self.0.borrow_mut().take()
    }

    fn keep(&self, node: Node<'a>) {
        *self.0.borrow_mut() = Some(node);
    }
}

/// A value where an event may be.
#[derive(Debug, Default)]
pub(super) enum Node<'a> {
    /// Missing or `null`.
    #[default]
    Absent,
    Text(Text<'a>),
    Object(Box<Document<'a>>),
    List(Vec<Node<'a>>),
    /// A number or a boolean.
    Scalar,
    TooDeep,
}

impl<'a> Node<'a> {
    pub(super) fn object(&self) -> Option<&Document<'a>> {
        match self {
            Node::Object(document) => Some(document),
            _ => None,
        }
    }
    pub(super) fn is_list(&self) -> bool {
        matches!(self, Node::List(_))
    }
    /// Whether there can be an event in it.
    pub(super) fn is_content(&self) -> bool {
        matches!(self, Node::Text(_) | Node::Object(_) | Node::List(_) | Node::TooDeep)
    }
}

/// The event fields whose type is not negotiable, since rules depend on them.
#[derive(Debug, Clone, Copy)]
enum Strict {
    AuditId,
    Stage,
    RequestUri,
    Verb,
    User,
    ImpersonatedUser,
    SourceIps,
    UserAgent,
    ObjectRef,
    ResponseStatus,
    RequestReceivedTimestamp,
    Annotations,
}

const STRICT_NAMES: [&str; 12] = [
    "auditID",
    "stage",
    "requestURI",
    "verb",
    "user",
    "impersonatedUser",
    "sourceIPs",
    "userAgent",
    "objectRef",
    "responseStatus",
    "requestReceivedTimestamp",
    "annotations",
];

/// One JSON object.
#[derive(Debug, Default)]
pub(super) struct Document<'a> {
    pub(super) event: Event<'a>,
    /// One bit for each strict field that has a wrong type.
    bad_fields: u16,
    /// `kind` or `apiVersion` is there and no string.
    pub(super) foreign_type: bool,
    pub(super) wrapper: Wrapped<'a>,
}

/// What only wrappers have. Events, which most documents are, have none of it, and no room for it.
#[derive(Debug, Default)]
pub(super) struct Wrapped<'a>(Option<Box<Fields<'a>>>);

impl<'a> Wrapped<'a> {
    pub(super) fn into_fields(self) -> Fields<'a> {
        self.0.map(|fields| *fields).unwrap_or_default()
    }
}

impl<'a> std::ops::Deref for Wrapped<'a> {
    type Target = Fields<'a>;
    fn deref(&self) -> &Fields<'a> {
        self.0.as_deref().unwrap_or(&NO_FIELDS)
    }
}

impl std::ops::DerefMut for Wrapped<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.0.get_or_insert_default()
    }
}

static NO_FIELDS: LazyLock<Fields<'static>> = LazyLock::new(Fields::default);

/// The fields of all wrappers.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    pub(super) log: Node<'a>,
    pub(super) message: Node<'a>,
    pub(super) at_timestamp: Option<Scalar<'a>>,
    /// `timestamp` where it is a number; as text it is the event's.
    pub(super) timestamp: Option<Scalar<'a>>,
    pub(super) items: Node<'a>,
    /// Elastic Agent: `kubernetes.audit`.
    pub(super) kubernetes: Node<'a>,
    pub(super) audit: Node<'a>,
    /// Written by Vector.
    pub(super) source_type: Option<Present>,
    /// Written by Elastic's shippers: `agent`, `ecs`, `@metadata`.
    pub(super) shipper: bool,
    /// OpenShift: `log_type`, `k8s_audit_level`.
    pub(super) log_type: Option<Present>,
    pub(super) audit_level: Option<Text<'a>>,
    /// CloudWatch.
    pub(super) awslogs: Node<'a>,
    pub(super) message_type: Option<Text<'a>>,
    pub(super) log_stream: Option<Text<'a>>,
    pub(super) log_events: Node<'a>,
    pub(super) id: Option<Text<'a>>,
    /// Azure.
    pub(super) records: Node<'a>,
    pub(super) category: Option<Text<'a>>,
    pub(super) operation_name: Option<Present>,
    pub(super) properties: Node<'a>,
    pub(super) time: Option<Text<'a>>,
    /// Pub/Sub.
    pub(super) received_messages: Node<'a>,
    pub(super) data: Option<Text<'a>>,
    pub(super) message_id: Option<Text<'a>>,
    pub(super) publish_time: Option<Text<'a>>,
    /// Cloud Logging.
    pub(super) payload: Option<Box<Payload<'a>>>,
    pub(super) operation: Option<Operation<'a>>,
    pub(super) labels: Option<Labels<'a>>,
    pub(super) insert_id: Option<Text<'a>>,
    /// OTLP.
    pub(super) resource_logs: Node<'a>,
    pub(super) scope_logs: Node<'a>,
    pub(super) log_records: Node<'a>,
    pub(super) body: Node<'a>,
    pub(super) string_value: Option<Text<'a>>,
    pub(super) time_unix_nano: Option<Scalar<'a>>,
    pub(super) observed_time_unix_nano: Option<Scalar<'a>>,
}

impl<'a> Document<'a> {
    /// The field of that key where it is one that can hold an event.
    fn node_field(&mut self, key: Key) -> Option<&mut Node<'a>> {
        let wrapper = &mut self.wrapper;
        Some(match key {
            Key::Log => &mut wrapper.log,
            Key::Message => &mut wrapper.message,
            Key::Items => &mut wrapper.items,
            Key::Kubernetes => &mut wrapper.kubernetes,
            Key::Audit => &mut wrapper.audit,
            Key::AwsLogs => &mut wrapper.awslogs,
            Key::LogEvents => &mut wrapper.log_events,
            Key::Records => &mut wrapper.records,
            Key::Properties => &mut wrapper.properties,
            Key::ReceivedMessages => &mut wrapper.received_messages,
            Key::ResourceLogs => &mut wrapper.resource_logs,
            Key::ScopeLogs => &mut wrapper.scope_logs,
            Key::LogRecords => &mut wrapper.log_records,
            Key::Body => &mut wrapper.body,
            _ => return None,
        })
    }

    fn mark(&mut self, field: Strict, bad: bool) {
        let bit = 1_u16 << field as u16;
        if bad {
            self.bad_fields |= bit;
        } else {
            self.bad_fields &= !bit;
        }
    }

    fn is_bad(&self, field: Strict) -> bool {
        self.bad_fields & (1_u16 << field as u16) != 0
    }

    /// The first of the strict fields whose value has a wrong type.
    pub(super) fn bad_field(&self) -> Option<&'static str> {
        STRICT_NAMES.get(self.bad_fields.trailing_zeros() as usize).copied()
    }

    /// Whether the document itself is an audit event. A field of a wrong type is there, too: an
    /// event that has one is an event, and unreadable.
    pub(super) fn is_event(&self) -> bool {
        let event = &self.event;
        if event.audit_id.is_some() || self.is_bad(Strict::AuditId) {
            return true;
        }
        let version = event.api_version.as_deref();
        let audit_version = version.is_some_and(|version| version.starts_with("audit.k8s.io/"));
        let kind = event.kind.as_deref();
        if kind == Some("Event") && audit_version {
            return true;
        }
        !self.foreign_type
            && (version.is_none() || audit_version)
            && (kind.is_none() || kind == Some("Event"))
            && (event.verb.is_some() || self.is_bad(Strict::Verb))
            && (event.request_uri.is_some()
                || event.object_ref.is_some()
                || event.user.is_some()
                || self.is_bad(Strict::RequestUri)
                || self.is_bad(Strict::ObjectRef)
                || self.is_bad(Strict::User))
    }
}

/// Reads one value as a [`Node`].
#[derive(Debug, Clone, Copy)]
pub(super) struct NodeSeed<'b, 'a> {
    budget: &'b Budget,
    salvage: &'b Salvage<'a>,
    /// Bodies are pointed at.
    bodies: bool,
    depth: usize,
}

impl<'b, 'a> NodeSeed<'b, 'a> {
    pub(super) fn new(budget: &'b Budget, salvage: &'b Salvage<'a>, bodies: bool) -> Self {
        NodeSeed { budget, salvage, bodies, depth: 0 }
    }

    fn below(self) -> Option<Self> {
        (self.depth < NODE_MAX_DEPTH).then_some(NodeSeed { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for NodeSeed<'_, 'de> {
    type Value = Node<'de>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NodeSeed<'_, 'de> {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_unit<E: de::Error>(self) -> Result<Node<'de>, E> {
        Ok(Node::Absent)
    }
    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Node<'de>, E> {
        Ok(Node::Scalar)
    }
    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Node<'de>, E> {
        Ok(Node::Scalar)
    }
    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Node<'de>, E> {
        Ok(Node::Scalar)
    }
    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Node<'de>, E> {
        Ok(Node::Scalar)
    }
    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Text(text.into()))
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Node<'de>, E> {
        Ok(Node::Text(text.to_owned().into()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node<'de>, A::Error> {
        let Some(below) = self.below() else {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Node::TooDeep);
        };
        let mut nodes = Vec::new();
        loop {
            let next = list.next_element_seed(below).and_then(|node| {
                if node.is_some() {
                    self.budget.take()?;
                }
                Ok(node)
            });
            match next {
                Ok(Some(node)) => nodes.push(node),
                Ok(None) => return Ok(Node::List(nodes)),
                Err(error) => {
                    // Of the element that broke off, only a list within it is of use.
                    nodes.extend(self.salvage.take());
                    if !nodes.is_empty() {
                        self.salvage.keep(Node::List(nodes));
                    }
                    return Err(error);
                }
            }
        }
    }
    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Node<'de>, A::Error> {
        let Some(below) = self.below() else {
            while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Node::TooDeep);
        };
        read_document(&mut object, below).map(Node::Object)
    }
}

keys!(Key {
    Kind: "kind",
    ApiVersion: "apiVersion",
    Level: "level",
    AuditId: "auditID",
    Stage: "stage",
    RequestUri: "requestURI",
    Verb: "verb",
    User: "user",
    ImpersonatedUser: "impersonatedUser",
    SourceIps: "sourceIPs",
    UserAgent: "userAgent",
    ObjectRef: "objectRef",
    ResponseStatus: "responseStatus",
    RequestReceivedTimestamp: "requestReceivedTimestamp",
    StageTimestamp: "stageTimestamp",
    Timestamp: "timestamp",
    Annotations: "annotations",
    RequestObject: "requestObject",
    ResponseObject: "responseObject",
    Log: "log",
    Message: "message",
    AtTimestamp: "@timestamp",
    Items: "items",
    Kubernetes: "kubernetes",
    Audit: "audit",
    SourceType: "source_type",
    Shipper: "agent" | "ecs" | "@metadata",
    LogType: "log_type",
    AuditLevel: "k8s_audit_level" | "openshift_audit_level",
    AwsLogs: "awslogs",
    MessageType: "messageType",
    LogStream: "logStream",
    LogEvents: "logEvents",
    Id: "id",
    Records: "records",
    Category: "category",
    OperationName: "operationName",
    Properties: "properties",
    Time: "time",
    ReceivedMessages: "receivedMessages",
    Data: "data",
    MessageId: "messageId" | "message_id",
    PublishTime: "publishTime" | "publish_time",
    ProtoPayload: "protoPayload",
    Operation: "operation",
    Labels: "labels",
    InsertId: "insertId",
    ResourceLogs: "resourceLogs",
    ScopeLogs: "scopeLogs",
    LogRecords: "logRecords",
    Body: "body",
    StringValue: "stringValue",
    TimeUnixNano: "timeUnixNano",
    ObservedTimeUnixNano: "observedTimeUnixNano",
});

/// Boxed from the start: a document is large, and as many may be on the stack as they nest.
fn read_document<'de, A: MapAccess<'de>>(
    map: &mut A,
    seed: NodeSeed<'_, 'de>,
) -> Result<Box<Document<'de>>, A::Error> {
    let mut document = Box::<Document<'de>>::default();
    loop {
        let key = match map.next_key::<Key>() {
            Ok(Some(key)) => key,
            Ok(None) => return Ok(document),
            Err(error) => {
                salvage(document, seed);
                return Err(error);
            }
        };
        if let Err(error) = read_field(&mut document, key, map, seed) {
            if let Some(node) = seed.salvage.take()
                && let Some(field) = document.node_field(key)
            {
                *field = node;
            }
            salvage(document, seed);
            return Err(error);
        }
    }
}

/// A document that broke off is kept for the list in it: it says what the elements are. An event
/// that broke off is none.
fn salvage<'a>(document: Box<Document<'a>>, seed: NodeSeed<'_, 'a>) {
    let fields = &document.wrapper;
    let holds = [
        &fields.items,
        &fields.log_events,
        &fields.records,
        &fields.received_messages,
        &fields.resource_logs,
        &fields.scope_logs,
        &fields.log_records,
    ];
    if holds.into_iter().any(Node::is_list) && !document.is_event() {
        seed.salvage.keep(Node::Object(document));
    }
}

fn read_field<'de, A: MapAccess<'de>>(
    document: &mut Document<'de>,
    key: Key,
    map: &mut A,
    seed: NodeSeed<'_, 'de>,
) -> Result<(), A::Error> {
    /// A field of the event that must have its type.
    macro_rules! strict {
        ($field:ident, $target:ident) => {{
            let bad = value(map)?.store(&mut document.event.$target);
            document.mark(Strict::$field, bad);
        }};
    }
    if let Some(field) = document.node_field(key) {
        *field = map.next_value_seed(seed)?;
        return Ok(());
    }
    let wrapper = &mut document.wrapper;
    match key {
        Key::AuditId => strict!(AuditId, audit_id),
        Key::Stage => strict!(Stage, stage),
        Key::RequestUri => strict!(RequestUri, request_uri),
        Key::Verb => strict!(Verb, verb),
        Key::User => strict!(User, user),
        Key::ImpersonatedUser => strict!(ImpersonatedUser, impersonated_user),
        Key::SourceIps => strict!(SourceIps, source_ips),
        Key::UserAgent => strict!(UserAgent, user_agent),
        Key::ObjectRef => strict!(ObjectRef, object_ref),
        Key::ResponseStatus => strict!(ResponseStatus, response_status),
        Key::RequestReceivedTimestamp => {
            strict!(RequestReceivedTimestamp, request_received_timestamp);
        }
        Key::Annotations => strict!(Annotations, annotations),
        Key::RequestObject if seed.bodies => {
            document.event.request_object = Some(Body(map.next_value()?));
        }
        Key::ResponseObject if seed.bodies => {
            document.event.response_object = Some(Body(map.next_value()?));
        }
        Key::Kind => document.foreign_type |= value(map)?.store(&mut document.event.kind),
        Key::ApiVersion => {
            document.foreign_type |= value(map)?.store(&mut document.event.api_version);
        }
        Key::Level => document.event.level = optional(map)?,
        Key::StageTimestamp => document.event.stage_timestamp = optional(map)?,
        Key::Timestamp => {
            (document.event.timestamp, wrapper.timestamp) = match value(map)? {
                Slot::Value(Scalar::Text(text)) => (Some(text), None),
                other => (None, other.ok()),
            }
        }
        Key::AtTimestamp => wrapper.at_timestamp = optional(map)?,
        Key::SourceType => wrapper.source_type = optional(map)?,
        Key::Shipper => wrapper.shipper |= optional::<Present, A>(map)?.is_some(),
        Key::LogType => wrapper.log_type = optional(map)?,
        Key::AuditLevel => wrapper.audit_level = optional(map)?,
        Key::MessageType => wrapper.message_type = optional(map)?,
        Key::LogStream => wrapper.log_stream = optional(map)?,
        Key::Id => wrapper.id = optional(map)?,
        Key::Category => wrapper.category = optional(map)?,
        Key::OperationName => wrapper.operation_name = optional(map)?,
        Key::Time => wrapper.time = optional(map)?,
        Key::Data => wrapper.data = optional(map)?,
        Key::MessageId => wrapper.message_id = optional(map)?,
        Key::PublishTime => wrapper.publish_time = optional(map)?,
        Key::ProtoPayload => wrapper.payload = optional::<Payload<'de>, A>(map)?.map(Box::new),
        Key::Operation => wrapper.operation = optional(map)?,
        Key::Labels => wrapper.labels = optional(map)?,
        Key::InsertId => wrapper.insert_id = optional(map)?,
        Key::StringValue => wrapper.string_value = optional(map)?,
        Key::TimeUnixNano => wrapper.time_unix_nano = optional(map)?,
        Key::ObservedTimeUnixNano => wrapper.observed_time_unix_nano = optional(map)?,
        // The keys of `node_field` went above.
        _ => {
            map.next_value::<IgnoredAny>()?;
        }
    }
    Ok(())
}
