//! Why a record, or a part of one, gave no event.
//!
//! The texts name positions, limits and our own field names. They never hold content of the
//! record: what an attacker wrote must not reach a log line or a header through an error.

use crate::failure::Class;
use crate::limits;

/// A part of a record that is well formed and holds no audit event on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SkipReason {
    /// A CloudWatch control message: the destination's health is being checked.
    ControlMessage,
    /// A CloudWatch log stream of another component of the control plane.
    OtherLogStream,
    /// An Azure record of a category other than `kube-audit` and `kube-audit-admin`.
    OtherCategory,
    /// A Cloud Logging entry of a Google service other than the Kubernetes API.
    OtherService,
    /// A list without items.
    EmptyList,
}

impl SkipReason {
    /// The name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            SkipReason::ControlMessage => "control-message",
            SkipReason::OtherLogStream => "other-log-stream",
            SkipReason::OtherCategory => "other-category",
            SkipReason::OtherService => "other-service",
            SkipReason::EmptyList => "empty-list",
        }
    }
}

/// What a readable JSON value lacks to be an audit event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lack {
    /// Neither the fields of an event nor those of a known wrapper.
    Unknown,
    /// A number, a boolean or null where a document was expected.
    Scalar,
    /// The wrapper that the configuration names does not fit.
    Forced,
    /// A known wrapper without the field that holds the event.
    Content,
    /// A Cloud Logging entry of the Kubernetes API that names no method or no resource.
    Resource,
    /// An OTLP body that is no string: the collector has to leave the event as text.
    StringBody,
}

impl Lack {
    fn as_str(self) -> &'static str {
        match self {
            Lack::Unknown => "it has neither the fields of one nor a known wrapper",
            Lack::Scalar => "it is no JSON object",
            Lack::Forced => "it does not have the wrapper that the configuration forces",
            Lack::Content => "its wrapper lacks the field that holds the event",
            Lack::Resource => "the log entry names no method or no resource",
            Lack::StringBody => "the OTLP body is no `stringValue`: export the event as text",
        }
    }
}

/// Why a record, or a part of one, could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("the text is empty")]
    Empty,
    /// Both count from 1, within the text that holds the document. `is_wrapped`: what is around that
    /// text is JSON.
    #[error("{}not JSON: syntax error at line {line}, column {column}", wrapped_text(*.is_wrapped))]
    NotJson { line: usize, column: usize, is_wrapped: bool },
    #[error("the text ends in the middle of a document")]
    Truncated,
    #[error("nested deeper than {} levels of JSON", limits::JSON_MAX_DEPTH)]
    TooDeep,
    #[error("{bytes} bytes are more than the limit of {}", limits::RECORD_MAX_BYTES)]
    TooLarge { bytes: usize },
    #[error("more than {} items in one record", limits::RECORD_MAX_ITEMS)]
    TooManyItems,
    #[error(
        "expands to more than {} bytes, or to more than {} times its size",
        limits::DECOMPRESSED_MAX_BYTES,
        limits::DECOMPRESSED_MAX_RATIO
    )]
    DecompressionLimit,
    #[error("damaged gzip data")]
    BadCompression,
    #[error("invalid base64")]
    BadBase64,
    #[error("the field `{field}` of the audit event has an unexpected type")]
    BadField { field: &'static str },
    #[error("not an audit event: {}", .0.as_str())]
    NotAnAuditEvent(Lack),
    #[error("more than {} wrappers within each other", limits::WRAPPER_MAX_DEPTH)]
    NestedTooDeep,
    #[error("not UTF-8")]
    NotUtf8,
}

fn wrapped_text(is_wrapped: bool) -> &'static str {
    if is_wrapped { "the text in the wrapper's field is " } else { "" }
}

impl ReadError {
    /// A record that can't be read never will be: it goes to the dead letters.
    pub fn class(&self) -> Class {
        Class::Poison
    }

    /// The kind of error: the label of metrics and the header of dead letters.
    pub fn label(&self) -> &'static str {
        match self {
            ReadError::Empty => "empty",
            ReadError::NotJson { .. } => "not-json",
            ReadError::Truncated => "truncated",
            ReadError::TooDeep => "too-deep",
            ReadError::TooLarge { .. } => "too-large",
            ReadError::TooManyItems => "too-many-items",
            ReadError::DecompressionLimit => "decompression-limit",
            ReadError::BadCompression => "bad-compression",
            ReadError::BadBase64 => "bad-base64",
            ReadError::BadField { .. } => "bad-field",
            ReadError::NotAnAuditEvent(_) => "not-an-audit-event",
            ReadError::NestedTooDeep => "nested-too-deep",
            ReadError::NotUtf8 => "not-utf8",
        }
    }
}
