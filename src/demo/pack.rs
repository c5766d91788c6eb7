//! From events to records of a topic: most are bare lines, the others come in the wrappers of
//! log pipelines, as where several clusters' pipelines meet in one topic.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;

use super::event::{later, push_string};
use super::random::Random;
use super::weave::Emitted;

/// One record and the events in it.
pub struct Packed {
    /// When its last event was written, in microseconds after the start of the log.
    pub at_us: u64,
    pub partition_hint: u32,
    pub bytes: Vec<u8>,
    pub events: Vec<Emitted>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Bare,
    /// A batch of the webhook backend.
    EventList,
    /// Vector's file source with its JSON codec.
    Vector,
    /// Fluent Bit without a parser: the line as a string under `log`.
    FluentBitLine,
    /// Fluent Bit with a JSON parser: the event's fields beside `@timestamp`.
    FluentBitParsed,
    /// Amazon EKS through a CloudWatch Logs subscription: gzip around a list of messages.
    CloudWatch,
}

pub struct Pack<I> {
    events: I,
    random: Random,
    start: Timestamp,
}

impl<I: Iterator<Item = Emitted>> Pack<I> {
    pub fn new(events: I, random: Random, start: Timestamp) -> Self {
        Self { events, random, start }
    }
}

impl<I: Iterator<Item = Emitted>> Iterator for Pack<I> {
    type Item = Packed;

    fn next(&mut self) -> Option<Packed> {
        let (form, most) = match self.random.below(1_000) {
            0..930 => (Form::Bare, 1),
            930..945 => (Form::EventList, self.random.within(3..10)),
            945..962 => (Form::Vector, 1),
            962..976 => (Form::FluentBitLine, 1),
            976..990 => (Form::FluentBitParsed, 1),
            _ => (Form::CloudWatch, self.random.within(2..6)),
        };
        let most = usize::try_from(most).unwrap_or(1);
        let events: Vec<Emitted> = self.events.by_ref().take(most).collect();
        let (first, last) = (events.first()?, events.last()?);
        let at_us = last.at_us;
        // The stages of one request go to one partition where each has its own record, as with
        // a producer that uses the audit id as the key.
        let partition_hint = partition_hint(&first.request.audit_id);
        let bytes = bytes(form, &events, self.start, at_us);
        Some(Packed { at_us, partition_hint, bytes, events })
    }
}

/// FNV-1a: any even spread will do, and this one is short.
pub fn partition_hint(key: &str) -> u32 {
    key.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

fn bytes(form: Form, events: &[Emitted], start: Timestamp, at_us: u64) -> Vec<u8> {
    let written = later(start, at_us);
    // Shippers read a line some time after it was written.
    let shipped = later(written, 180_000);
    let wrapped = match form {
        Form::Bare => joined(events, start, true),
        Form::EventList => event_list(events, start),
        Form::Vector => vector(&joined(events, start, true), shipped),
        Form::FluentBitLine => fluent_bit_line(&joined(events, start, true), written),
        Form::FluentBitParsed => {
            // The event's own members follow, so its opening brace goes.
            let event = joined(events, start, true);
            format!(r#"{{"@timestamp":{},{}"#, seconds(written), &event[1..])
        }
        Form::CloudWatch => return gzip(cloudwatch(events, start).as_bytes()),
    };
    wrapped.into_bytes()
}

fn cloudwatch(events: &[Emitted], start: Timestamp) -> String {
    let mut messages = Vec::new();
    for (index, event) in events.iter().enumerate() {
        let time_ms = later(start, event.at_us).as_millisecond();
        messages.push(format!(
            r#"{{"id":"{time_ms:020}{index:036}","timestamp":{time_ms},"message":{}}}"#,
            quoted(&event.json(start, true))
        ));
    }
    format!(
        r#"{{"messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":"/aws/eks/shop/cluster","logStream":"kube-apiserver-audit-0c9f3d","subscriptionFilters":["to-kafka"],"logEvents":[{}]}}"#,
        messages.join(",")
    )
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory cannot fail; should it, the text itself is a readable record too.
    match encoder.write_all(text).and_then(|()| encoder.finish()) {
        Ok(bytes) => bytes,
        Err(_) => text.to_vec(),
    }
}

/// Seconds since the epoch with six decimals.
fn seconds(time: Timestamp) -> String {
    let micros = time.as_microsecond();
    format!("{}.{:06}", micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000))
}

/// Events, one after the other with commas between them; see [`Emitted::json`].
fn joined(events: &[Emitted], start: Timestamp, typed: bool) -> String {
    let items: Vec<String> = events.iter().map(|event| event.json(start, typed)).collect();
    items.join(",")
}

/// A batch of the webhook backend.
pub fn event_list(events: &[Emitted], start: Timestamp) -> String {
    format!(
        r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{{}},"items":[{}]}}"#,
        joined(events, start, false)
    )
}

/// A line as Vector's file source leaves it.
pub fn vector(line: &str, shipped: Timestamp) -> String {
    format!(
        r#"{{"file":"/var/log/kubernetes/audit.log","host":"control-plane-1","message":{},"source_type":"file","timestamp":"{shipped:.9}"}}"#,
        quoted(line)
    )
}

/// A line as Fluent Bit leaves it without a parser.
pub fn fluent_bit_line(line: &str, written: Timestamp) -> String {
    format!(r#"{{"@timestamp":{},"log":{}}}"#, seconds(written), quoted(line))
}

fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + text.len() / 8);
    push_string(&mut quoted, text);
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::event::micros;

    #[test]
    fn seconds_keep_their_microseconds() {
        let time: Timestamp = "2026-11-23T07:16:11.000042Z".parse().unwrap();
        assert_eq!(seconds(time), "1795418171.000042");
        assert_eq!(micros(time), "2026-11-23T07:16:11.000042Z");
    }
}
