//! What each wrapper looks like, and the way through it.
//!
//! Owns the decision what a document is. The order of the questions matters where wrappers look
//! alike: the event itself comes first, then what only one wrapper has, then `log` and `message`,
//! which many have.

use jiff::Timestamp;

use super::document::{Document, Fields, Node};
use super::error::{Lack, ReadError, SkipReason};
use super::gke::{self, Entry};
use super::lenient::Scalar;
use super::{Context, Item, Outcome, Reader, Wrapper};
use crate::audit::event::{Event, Text};
use crate::limits;

/// How CloudWatch Logs marks a message that it cut off.
const CLOUDWATCH_CUT: &str = "[Truncated...]";
/// EKS log streams of the audit log, and of what else a cluster's log group holds.
const EKS_AUDIT_STREAM: &str = "kube-apiserver-audit";
const EKS_OTHER_STREAMS: [&str; 5] = [
    "kube-apiserver-",
    "authenticator-",
    "kube-controller-manager-",
    "kube-scheduler-",
    "cloud-controller-manager-",
];
const AUDIT_LEVELS: [&str; 4] = ["None", "Metadata", "Request", "RequestResponse"];

/// The wrapper of a document by its content.
fn detect(document: &Document<'_>) -> Option<Wrapper> {
    let fields: &Fields<'_> = &document.wrapper;
    if document.event.kind.as_deref() == Some("EventList") && fields.items.is_list() {
        return Some(Wrapper::EventList);
    }
    if document.is_event() {
        return Some(own_wrapper(document));
    }
    if fields.items.is_list() {
        return Some(Wrapper::EventList);
    }
    if fields.message_type.is_some() || fields.log_events.is_list() || has_data(&fields.awslogs) {
        return Some(Wrapper::CloudWatch);
    }
    if fields.payload.is_some() {
        return Some(Wrapper::Gke);
    }
    if fields.resource_logs.is_list() {
        return Some(Wrapper::Otlp);
    }
    let is_message =
        fields.data.is_some() && (fields.message_id.is_some() || fields.publish_time.is_some());
    if fields.received_messages.is_list() || is_message || has_data(&fields.message) {
        return Some(Wrapper::PubSub);
    }
    let is_azure = fields.category.is_some()
        && (fields.properties.object().is_some() || fields.operation_name.is_some());
    if fields.records.is_list() || is_azure {
        return Some(Wrapper::Aks);
    }
    if fields.kubernetes.object().is_some_and(|inner| inner.wrapper.audit.is_content()) {
        return Some(Wrapper::ElasticAgent);
    }
    detect_line(fields)
}

/// The shippers that leave a log line as text, in `log` or in `message`. An object in `log`
/// beside a `message` is where Elastic's shippers name the file.
fn detect_line(fields: &Fields<'_>) -> Option<Wrapper> {
    let by_log = match (&fields.log, &fields.message) {
        (Node::Text(log), Node::Text(_)) => log.trim_start().starts_with(['{', '[', '"']),
        (Node::Text(_), _) => true,
        (_, Node::Text(_)) => false,
        (log, message) => {
            if !log.is_content() && !message.is_content() {
                return None;
            }
            log.is_content()
        }
    };
    Some(if by_log {
        Wrapper::LogString
    } else if fields.source_type.is_some() {
        Wrapper::Vector
    } else if fields.shipper {
        Wrapper::Filebeat
    } else {
        Wrapper::MessageString
    })
}

/// The wrapper of a document that is an event: what collectors add beside its fields.
fn own_wrapper(document: &Document<'_>) -> Wrapper {
    let fields: &Fields<'_> = &document.wrapper;
    if fields.log_type.is_some() || fields.audit_level.is_some() {
        Wrapper::OpenShift
    } else if matches!(fields.at_timestamp, Some(Scalar::Integer(_) | Scalar::Float(_))) {
        Wrapper::FluentBit
    } else {
        Wrapper::Bare
    }
}

/// Whether this is an object whose `data` is text.
fn has_data(node: &Node<'_>) -> bool {
    node.object().is_some_and(|inner| inner.wrapper.data.is_some())
}

impl Reader<'_> {
    /// Reads whatever stands where an event may be.
    pub(super) fn node(&mut self, node: Node<'_>, context: Context<'_>) {
        if context.depth > limits::WRAPPER_MAX_DEPTH {
            return self.unreadable(ReadError::NestedTooDeep);
        }
        match node {
            Node::Object(document) => self.document(*document, context),
            Node::Text(text) => {
                let quoted = Context {
                    forced: context.forced.filter(|forced| *forced != Wrapper::QuotedString),
                    ..context.within(Wrapper::QuotedString)
                };
                self.text(&text, quoted);
            }
            Node::List(nodes) => {
                let wrapper = match context.wrapper {
                    Wrapper::Bare => Wrapper::Array,
                    other => other,
                };
                let forced = context.forced.filter(|forced| *forced != Wrapper::Array);
                self.list(nodes, Context { wrapper, forced, ..context });
            }
            Node::Absent | Node::Scalar => self.lacks(Lack::Scalar),
            Node::TooDeep => self.unreadable(ReadError::NestedTooDeep),
        }
    }

    fn list(&mut self, nodes: Vec<Node<'_>>, context: Context<'_>) {
        if nodes.is_empty() {
            return self.emit(Outcome::Skipped(SkipReason::EmptyList));
        }
        for node in nodes {
            self.node(node, context);
        }
    }

    /// Reads a text of documents within a wrapper.
    fn text(&mut self, text: &str, context: Context<'_>) {
        if context.depth > limits::WRAPPER_MAX_DEPTH {
            return self.unreadable(ReadError::NestedTooDeep);
        }
        self.stream(text.as_bytes(), context);
    }

    /// Reads what a wrapper holds: a document, or a document as text.
    fn content(&mut self, node: Node<'_>, context: Context<'_>) {
        match node {
            Node::Text(text) => self.text(&text, context),
            Node::Absent | Node::Scalar => self.lacks(Lack::Content),
            other => self.node(other, context),
        }
    }

    /// Reads base64 within a wrapper.
    fn encoded(&mut self, data: &str, context: Context<'_>) {
        if context.depth > limits::WRAPPER_MAX_DEPTH {
            return self.unreadable(ReadError::NestedTooDeep);
        }
        match self.expansion.decode(data) {
            Ok(bytes) => self.stream(&bytes, context),
            Err(error) => self.unreadable(error),
        }
    }

    fn document(&mut self, document: Document<'_>, context: Context<'_>) {
        let detected = detect(&document);
        let Some(wrapper) = context.forced.or(detected) else {
            return self.lacks(Lack::Unknown);
        };
        let lack = if context.forced.is_some() { Lack::Forced } else { Lack::Content };
        let Document { wrapper: fields, event, .. } = match wrapper {
            Wrapper::Bare | Wrapper::FluentBit | Wrapper::OpenShift => {
                return if document.is_event() {
                    self.event(document, context)
                } else {
                    self.lacks(lack)
                };
            }
            _ => document,
        };
        let mut fields = fields.into_fields();
        match wrapper {
            Wrapper::EventList => match fields.items {
                Node::List(items) => self.list(items, context.within(wrapper)),
                _ => self.lacks(lack),
            },
            Wrapper::LogString => self.line(fields.log, wrapper, fields.at_timestamp, context),
            Wrapper::MessageString | Wrapper::Filebeat => {
                self.line(fields.message, wrapper, fields.at_timestamp, context);
            }
            Wrapper::Vector => {
                self.line(fields.message, wrapper, event.timestamp.map(Scalar::Text), context);
            }
            Wrapper::ElasticAgent => match fields.kubernetes {
                Node::Object(inner) => {
                    self.line(
                        inner.wrapper.into_fields().audit,
                        wrapper,
                        fields.at_timestamp,
                        context,
                    );
                }
                _ => self.lacks(lack),
            },
            Wrapper::CloudWatch => self.cloudwatch(fields, context, lack),
            Wrapper::Aks => match fields.records {
                Node::List(records) => {
                    if records.is_empty() {
                        return self.emit(Outcome::Skipped(SkipReason::EmptyList));
                    }
                    for record in records {
                        match record {
                            Node::Object(record) => {
                                self.azure(record.wrapper.into_fields(), context, Lack::Content);
                            }
                            _ => self.lacks(Lack::Content),
                        }
                    }
                }
                _ => self.azure(fields, context, lack),
            },
            Wrapper::Gke => match fields.payload.take() {
                Some(payload) => {
                    let entry = gke::convert(*payload, &mut fields, event.timestamp);
                    self.entry(entry, context);
                }
                None => self.lacks(lack),
            },
            Wrapper::PubSub => self.pubsub(fields, context, lack),
            Wrapper::Otlp => match fields.resource_logs {
                Node::List(resources) => self.otlp(resources, context.within(wrapper)),
                _ => self.lacks(lack),
            },
            // Neither can hold for an object, so both are forced. The others went above.
            _ => self.lacks(Lack::Forced),
        }
    }

    /// The content of a wrapper that holds one line of a log.
    fn line(
        &mut self,
        node: Node<'_>,
        wrapper: Wrapper,
        time: Option<Scalar<'_>>,
        context: Context<'_>,
    ) {
        let time = time.and_then(|time| time_in_seconds(&time));
        self.content(node, context.within(wrapper).with(None, time));
    }

    fn event(&mut self, document: Document<'_>, context: Context<'_>) {
        if let Some(field) = document.bad_field() {
            return self.unreadable(ReadError::BadField { field });
        }
        let own = own_wrapper(&document);
        let Document { mut event, wrapper: fields, .. } = document;
        let time = fields.at_timestamp.as_ref().and_then(time_in_seconds);
        if own == Wrapper::OpenShift {
            // `level` is the forwarder's own log level there.
            event.level = (fields.into_fields().audit_level)
                .or_else(|| event.level.filter(|level| AUDIT_LEVELS.contains(&level.as_str())));
        }
        let wrapper = if own == Wrapper::Bare { context.wrapper } else { own };
        self.item(event, wrapper, context.with(None, context.time.or(time)));
    }

    fn item<'a>(&mut self, event: Event<'a>, wrapper: Wrapper, context: Context<'a>) {
        self.emit(Outcome::Event(Item {
            event,
            wrapper,
            wrapper_id: context.id.map(Into::into),
            wrapper_time: context.time,
        }));
    }

    fn cloudwatch(&mut self, fields: Fields<'_>, context: Context<'_>, lack: Lack) {
        if let Node::Object(inner) = &fields.awslogs
            && let Some(data) = &inner.wrapper.data
        {
            return self.encoded(data, context.within(Wrapper::CloudWatch));
        }
        if fields.message_type.as_deref() == Some("CONTROL_MESSAGE") {
            return self.emit(Outcome::Skipped(SkipReason::ControlMessage));
        }
        let is_other_stream = fields.log_stream.as_deref().is_some_and(|stream| {
            !stream.starts_with(EKS_AUDIT_STREAM)
                && EKS_OTHER_STREAMS.iter().any(|other| stream.starts_with(other))
        });
        if is_other_stream {
            return self.emit(Outcome::Skipped(SkipReason::OtherLogStream));
        }
        let Node::List(events) = fields.log_events else {
            return self.lacks(lack);
        };
        if events.is_empty() {
            return self.emit(Outcome::Skipped(SkipReason::EmptyList));
        }
        for event in events {
            let Node::Object(event) = event else {
                self.lacks(Lack::Content);
                continue;
            };
            let fields = event.wrapper.into_fields();
            let time = match fields.timestamp {
                Some(Scalar::Integer(ms)) => Timestamp::from_millisecond(ms).ok(),
                Some(Scalar::Float(ms)) => Timestamp::from_millisecond(ms as i64).ok(),
                _ => None,
            };
            let within = context.within(Wrapper::CloudWatch).with(fields.id.as_deref(), time);
            match fields.message {
                Node::Text(text) if text.trim_ascii_end().ends_with(CLOUDWATCH_CUT) => {
                    self.unreadable(ReadError::Truncated);
                }
                other => self.content(other, within),
            }
        }
    }

    /// One record of Azure's diagnostic logs.
    fn azure(&mut self, fields: Fields<'_>, context: Context<'_>, lack: Lack) {
        let is_other = fields.category.as_deref().is_some_and(|category| {
            !["kube-audit", "kube-audit-admin"]
                .iter()
                .any(|audit| category.eq_ignore_ascii_case(audit))
        });
        if is_other {
            return self.emit(Outcome::Skipped(SkipReason::OtherCategory));
        }
        let time = fields.time.as_deref().and_then(|time| time.parse().ok());
        match fields.properties {
            Node::Object(properties) => {
                self.content(
                    properties.wrapper.into_fields().log,
                    context.within(Wrapper::Aks).with(None, time),
                );
            }
            _ => self.lacks(lack),
        }
    }

    fn entry(&mut self, entry: Entry<'_>, context: Context<'_>) {
        match entry {
            Entry::Event { event, id } => {
                let time = event.time();
                let context = Context { forced: None, ..context };
                self.item(*event, Wrapper::Gke, context.with(id.as_deref(), time));
            }
            Entry::Skipped(reason) => self.emit(Outcome::Skipped(reason)),
            Entry::Unreadable(error) => self.unreadable(error),
        }
    }

    /// The push form has one message, the pull form a list of them; a connector may pass on
    /// the message alone.
    fn pubsub(&mut self, mut fields: Fields<'_>, context: Context<'_>, lack: Lack) {
        if let Node::List(messages) = fields.received_messages {
            if messages.is_empty() {
                return self.emit(Outcome::Skipped(SkipReason::EmptyList));
            }
            for message in messages {
                match message {
                    Node::Object(received) => match received.wrapper.into_fields().message {
                        Node::Object(message) => {
                            self.pubsub_message(
                                message.wrapper.into_fields(),
                                context,
                                Lack::Content,
                            );
                        }
                        _ => self.lacks(Lack::Content),
                    },
                    _ => self.lacks(Lack::Content),
                }
            }
            return;
        }
        match std::mem::take(&mut fields.message) {
            Node::Object(message) => {
                self.pubsub_message(message.wrapper.into_fields(), context, lack)
            }
            _ => self.pubsub_message(fields, context, lack),
        }
    }

    fn pubsub_message(&mut self, message: Fields<'_>, context: Context<'_>, lack: Lack) {
        let time = message.publish_time.as_deref().and_then(|time| time.parse().ok());
        let within = context.within(Wrapper::PubSub).with(message.message_id.as_deref(), time);
        match &message.data {
            Some(data) => self.encoded(data, within),
            None => self.lacks(lack),
        }
    }

    fn otlp(&mut self, resources: Vec<Node<'_>>, context: Context<'_>) {
        let mut any = false;
        for resource in resources {
            let Node::Object(resource) = resource else { continue };
            let Node::List(scopes) = resource.wrapper.into_fields().scope_logs else { continue };
            for scope in scopes {
                let Node::Object(scope) = scope else { continue };
                let Node::List(records) = scope.wrapper.into_fields().log_records else { continue };
                for record in records {
                    any = true;
                    let Node::Object(record) = record else {
                        self.lacks(Lack::Content);
                        continue;
                    };
                    self.otlp_record(record.wrapper.into_fields(), context);
                }
            }
        }
        if !any {
            self.emit(Outcome::Skipped(SkipReason::EmptyList));
        }
    }

    fn otlp_record(&mut self, record: Fields<'_>, context: Context<'_>) {
        let time = [&record.time_unix_nano, &record.observed_time_unix_nano]
            .into_iter()
            .flatten()
            .find_map(time_in_nanoseconds);
        let body = match record.body {
            Node::Object(body) => body.wrapper.into_fields().string_value,
            _ => None,
        };
        match body {
            Some(Text(text)) => self.text(&text, context.with(None, time)),
            None => self.lacks(Lack::StringBody),
        }
    }
}

/// RFC 3339, or seconds since 1970 as a number.
fn time_in_seconds(time: &Scalar<'_>) -> Option<Timestamp> {
    match time {
        Scalar::Text(text) => text.parse().ok(),
        Scalar::Integer(seconds) => Timestamp::from_second(*seconds).ok(),
        // A float has no more than microseconds to give for the times of this century.
        Scalar::Float(seconds) => Timestamp::from_microsecond((seconds * 1e6).round() as i64).ok(),
    }
}

/// Nanoseconds since 1970; in JSON, 64-bit integers are strings. Zero is "unknown".
fn time_in_nanoseconds(time: &Scalar<'_>) -> Option<Timestamp> {
    let nanoseconds = match time {
        Scalar::Text(text) => text.parse().ok()?,
        Scalar::Integer(nanoseconds) => i128::from(*nanoseconds),
        Scalar::Float(nanoseconds) => *nanoseconds as i128,
    };
    if nanoseconds == 0 { None } else { Timestamp::from_nanosecond(nanoseconds).ok() }
}
