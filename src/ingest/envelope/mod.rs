//! One record, as it came, to the audit events in it.
//!
//! Owns the telling apart of wrappers, by content alone, and the way from bytes to each event:
//! gzip, base64, lists, documents within strings. Every part of a record has an outcome: an
//! event, a reason to skip it, or an error. Bytes of a stranger are read here, so everything is
//! bounded by `limits` and nothing panics. Does not judge events and knows no rules.
//!
//! Text is borrowed from the record wherever its escapes allow.

mod compressed;
mod document;
mod error;
mod gke;
mod lenient;
mod pointer;
mod unwrap;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde::de::{DeserializeSeed, IgnoredAny};
use serde_json::de::{Read, SliceRead, StrRead};

pub use self::error::{Lack, ReadError, SkipReason};
pub use self::pointer::field_at;

use self::compressed::{Expansion, is_gzip};
use self::document::{Budget, Node, NodeSeed, Salvage};
use crate::audit::event::Event;
use crate::limits;

/// What an event was delivered in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wrapper {
    /// kube-apiserver's log backend: the event and nothing else.
    Bare,
    /// kube-apiserver's webhook backend.
    EventList,
    /// Fluent Bit with a JSON parser: the event's fields plus `@timestamp` as a number.
    FluentBit,
    /// The event in `log`: Fluent Bit without a parser.
    LogString,
    /// The event in `message`: Fluentd and others.
    MessageString,
    Vector,
    ElasticAgent,
    Filebeat,
    /// EKS through a CloudWatch Logs subscription.
    CloudWatch,
    /// AKS through Event Hubs.
    Aks,
    /// A Cloud Logging entry.
    Gke,
    /// A push or pull message of Pub/Sub.
    PubSub,
    OpenShift,
    Otlp,
    /// The event as one JSON string.
    QuotedString,
    /// A JSON array.
    Array,
}

impl Wrapper {
    pub const ALL: [Wrapper; 16] = [
        Wrapper::Bare,
        Wrapper::EventList,
        Wrapper::FluentBit,
        Wrapper::LogString,
        Wrapper::MessageString,
        Wrapper::Vector,
        Wrapper::ElasticAgent,
        Wrapper::Filebeat,
        Wrapper::CloudWatch,
        Wrapper::Aks,
        Wrapper::Gke,
        Wrapper::PubSub,
        Wrapper::OpenShift,
        Wrapper::Otlp,
        Wrapper::QuotedString,
        Wrapper::Array,
    ];

    /// The name in the configuration, in metrics and in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Wrapper::Bare => "bare",
            Wrapper::EventList => "event-list",
            Wrapper::FluentBit => "fluent-bit",
            Wrapper::LogString => "log-string",
            Wrapper::MessageString => "message-string",
            Wrapper::Vector => "vector",
            Wrapper::ElasticAgent => "elastic-agent",
            Wrapper::Filebeat => "filebeat",
            Wrapper::CloudWatch => "cloudwatch",
            Wrapper::Aks => "aks",
            Wrapper::Gke => "gke",
            Wrapper::PubSub => "pubsub",
            Wrapper::OpenShift => "openshift",
            Wrapper::Otlp => "otlp",
            Wrapper::QuotedString => "quoted-string",
            Wrapper::Array => "array",
        }
    }

    pub fn from_name(name: &str) -> Option<Wrapper> {
        Wrapper::ALL.into_iter().find(|wrapper| wrapper.as_str() == name)
    }
}

/// An audit event and what its wrappers say about it.
#[derive(Debug)]
pub struct Item<'a> {
    pub event: Event<'a>,
    /// The wrapper closest to the event; [`Wrapper::Array`] only where there is no other.
    pub wrapper: Wrapper,
    /// What identifies the event within its source where the wrapper has such an id: a
    /// CloudWatch log event, a Cloud Logging entry, a Pub/Sub message.
    pub wrapper_id: Option<Cow<'a, str>>,
    /// When the wrapper says that the event was logged or collected.
    pub wrapper_time: Option<jiff::Timestamp>,
}

/// What became of one part of a record.
// Not boxed: an outcome is passed once, and nearly every one is an event.
#[allow(clippy::large_enum_variant)]
#[derive(Debug)]
pub enum Outcome<'a> {
    Event(Item<'a>),
    Skipped(SkipReason),
    Unreadable(ReadError),
}

/// Reads a record and calls `each` for every outcome, with its index from 0. There is always at
/// least one outcome, and at most [`limits::RECORD_MAX_ITEMS`] and one.
///
/// `forced` is the wrapper that every document of the record must have, whatever it looks like.
/// Compression, arrays and several documents in one record need no forcing.
pub fn read(record: &[u8], forced: Option<Wrapper>, each: &mut dyn FnMut(u32, Outcome<'_>)) {
    read_asking(record, forced, Bodies::Skipped, each);
}

/// [`read`], with the bodies of requests and responses where rules ask about them.
pub fn read_asking(
    record: &[u8],
    forced: Option<Wrapper>,
    bodies: Bodies,
    each: &mut dyn FnMut(u32, Outcome<'_>),
) {
    let bodies = bodies == Bodies::PointedAt;
    let expansion = Expansion::new();
    let mut reader = Reader { each, bodies, next_index: 0, stopped: false, expansion };
    if record.len() > limits::RECORD_MAX_BYTES {
        return reader.unreadable(ReadError::TooLarge { bytes: record.len() });
    }
    let context = Context { wrapper: Wrapper::Bare, depth: 0, forced, id: None, time: None };
    if is_gzip(record) {
        match reader.expansion.gunzip(record) {
            Ok(text) => reader.stream(&text, context),
            Err(error) => reader.unreadable(error),
        }
    } else {
        reader.stream(record, context);
    }
}

/// What is done about `requestObject` and `responseObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bodies {
    /// They are read over.
    Skipped,
    /// The event says where they stand in the record.
    PointedAt,
}

/// What is known of a document from the wrappers around it.
#[derive(Debug, Clone, Copy)]
struct Context<'c> {
    wrapper: Wrapper,
    /// How many wrappers are around it.
    depth: usize,
    forced: Option<Wrapper>,
    id: Option<&'c str>,
    time: Option<jiff::Timestamp>,
}

impl<'c> Context<'c> {
    /// The context of what `wrapper` holds.
    fn within(self, wrapper: Wrapper) -> Self {
        Context { wrapper, depth: self.depth + 1, forced: None, ..self }
    }

    /// The same with what this wrapper itself says; what it leaves out stays.
    fn with(self, id: Option<&'c str>, time: Option<jiff::Timestamp>) -> Self {
        let id = id.filter(|id| !id.is_empty());
        Context { id: id.or(self.id), time: time.or(self.time), ..self }
    }
}

/// One record being read.
struct Reader<'f> {
    each: &'f mut dyn FnMut(u32, Outcome<'_>),
    bodies: bool,
    next_index: u32,
    /// No further outcome: the limit of items is reached.
    stopped: bool,
    expansion: Expansion,
}

impl Reader<'_> {
    fn emit(&mut self, outcome: Outcome<'_>) {
        if self.stopped {
            return;
        }
        let outcome = if self.next_index as usize >= limits::RECORD_MAX_ITEMS {
            self.stopped = true;
            Outcome::Unreadable(ReadError::TooManyItems)
        } else {
            outcome
        };
        (self.each)(self.next_index, outcome);
        self.next_index = self.next_index.saturating_add(1);
    }

    fn unreadable(&mut self, error: ReadError) {
        self.emit(Outcome::Unreadable(error));
    }

    fn lacks(&mut self, lack: Lack) {
        self.unreadable(ReadError::NotAnAuditEvent(lack));
    }

    /// Reads the documents of a text, one after the other. A bad one costs the rest of the line
    /// that it begins on; of a list that breaks off, the elements before the break are read.
    fn stream(&mut self, text: &[u8], context: Context<'_>) {
        let mut at = if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let mut seen = false;
        // Only hostile text can be read in vain again and again, from each of its lines on.
        let mut wasted_bytes = 0_usize;
        // Once for all of it is cheaper than once for each string.
        let utf8 = std::str::from_utf8(text).ok();
        while !self.stopped {
            let rest = text.get(at..).unwrap_or_default();
            let rest = rest.trim_ascii_start();
            at = text.len() - rest.len();
            if rest.is_empty() {
                break;
            }
            seen = true;
            let budget = Budget::new();
            let salvage = Salvage::default();
            let seed = NodeSeed::new(&budget, &salvage, self.bodies);
            let (result, used) = match utf8 {
                Some(text) => first_value(StrRead::new(text.get(at..).unwrap_or_default()), seed),
                None => first_value(SliceRead::new(rest), seed),
            };
            let mut skip = 0;
            match result {
                // A line of plain text may begin with a number; what follows is no document.
                Ok(Node::Scalar | Node::Absent) => self.lacks(Lack::Scalar),
                Ok(node) => {
                    self.node(node, context);
                    at += used;
                    continue;
                }
                Err(error) => {
                    if let Some(node) = salvage.take() {
                        self.node(node, context);
                        // The lines up to the break are read.
                        skip = used;
                    }
                    let is_wrapped = context.depth > 0;
                    let too_many = budget.is_exhausted();
                    self.unreadable(classify(&error, rest, used, too_many, is_wrapped));
                    if budget.is_exhausted() {
                        self.stopped = true;
                    }
                }
            }
            wasted_bytes = wasted_bytes.saturating_add(used);
            if wasted_bytes / 4 > text.len() {
                break;
            }
            match memchr::memchr(b'\n', rest.get(skip..).unwrap_or_default()) {
                Some(newline) => at += skip + newline + 1,
                None => break,
            }
        }
        if !seen {
            self.unreadable(ReadError::Empty);
        }
    }
}

/// The value that a text begins with, and how far the parser came.
fn first_value<'a, R: Read<'a>>(
    text: R,
    seed: NodeSeed<'_, 'a>,
) -> (serde_json::Result<Node<'a>>, usize) {
    let mut deserializer = serde_json::Deserializer::new(text);
    let result = seed.deserialize(&mut deserializer);
    (result, deserializer.into_iter::<IgnoredAny>().byte_offset())
}

/// The error of a text that does not parse. `used` is how far the parser came.
fn classify(
    error: &serde_json::Error,
    text: &[u8],
    used: usize,
    too_many: bool,
    is_wrapped: bool,
) -> ReadError {
    if too_many {
        return ReadError::TooManyItems;
    }
    if error.is_eof() {
        return if is_too_deep(text) { ReadError::TooDeep } else { ReadError::Truncated };
    }
    // serde_json gives this one no category of its own; its text holds no content.
    if error.to_string().starts_with("recursion limit exceeded") {
        return ReadError::TooDeep;
    }
    let line_end = memchr::memchr(b'\n', text).unwrap_or(text.len());
    let looked_at = text.get(..line_end.max(used)).unwrap_or(text);
    match std::str::from_utf8(looked_at) {
        // A character cut in two by `used` is no fault of the text.
        Err(fault) if fault.error_len().is_some() || looked_at.len() == text.len() => {
            ReadError::NotUtf8
        }
        _ => ReadError::NotJson { line: error.line(), column: error.column(), is_wrapped },
    }
}

/// Whether brackets are open deeper than JSON may nest: tells an endless nest from a document
/// that was cut off. Values are skipped without recursion, so the parser itself does not say.
fn is_too_deep(text: &[u8]) -> bool {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for &byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > limits::JSON_MAX_DEPTH {
                    return true;
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}
