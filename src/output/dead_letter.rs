//! Dead letters: records that could not be read, and outputs that their topic refuses, with headers
//! that say why and where they came from.

use std::sync::Arc;

pub use crate::ingest::headers::Headers;
use crate::output::producer::{Output, OutputKind, Ticket};
use crate::position::Position;

/// Why a record is a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Stable name of the kind of error.
    pub class: &'static str,
    /// For people; never holds content of the record.
    pub text: String,
    /// 0-based index of the first unreadable item of the record.
    pub item: u32,
    /// How many items of the record could not be read; the others were processed.
    pub unreadable_items: u32,
}

pub struct Original<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub key: Option<&'a [u8]>,
    pub payload: Option<&'a [u8]>,
    pub headers: Headers,
}

/// Our headers, bounded in size: those that a letter keeps when all else has to be cut.
pub const OURS: [&str; 11] = [
    "kubetell-error-class",
    "kubetell-error",
    "kubetell-topic",
    "kubetell-partition",
    "kubetell-offset",
    "kubetell-item",
    "kubetell-unreadable-items",
    "kubetell-size",
    "kubetell-output",
    "kubetell-output-topic",
    "kubetell-output-partition",
];

/// Key, value and headers as they were, and ours behind them: `kubetell-error-class`,
/// `kubetell-error`, `kubetell-topic`, `kubetell-partition`, `kubetell-offset`, `kubetell-item`,
/// `kubetell-unreadable-items`, `kubetell-size` (bytes).
pub fn output(
    topic: &Arc<str>,
    original: &Original<'_>,
    reason: &Reason,
    ticket: Ticket,
) -> Output {
    let size = original.payload.map_or(0, <[u8]>::len);
    let mut headers = original.headers.clone();
    let mut add =
        |name: &str, value: String| headers.push((name.to_owned(), Some(value.into_bytes())));
    add("kubetell-error-class", reason.class.to_owned());
    add("kubetell-error", reason.text.clone());
    add("kubetell-topic", original.topic.to_owned());
    add("kubetell-partition", original.partition.to_string());
    add("kubetell-offset", ticket.offset.to_string());
    add("kubetell-item", reason.item.to_string());
    add("kubetell-unreadable-items", reason.unreadable_items.to_string());
    add("kubetell-size", size.to_string());
    Output {
        kind: OutputKind::DeadLetter,
        topic: Arc::clone(topic),
        partition: None,
        key: original.key.map(<[u8]>::to_vec),
        payload: original.payload.map(<[u8]>::to_vec),
        headers,
        reduced: None,
        ticket,
        serial: 0,
    }
}

/// The headers of an output that its topic refuses: its own, and ours behind them. `position` is
/// that of the event that it was made of.
pub fn headers_of(
    output: &Output,
    class: &str,
    text: &str,
    position: Option<&Position>,
) -> Headers {
    let mut headers = output.headers.clone();
    let mut add =
        |name: &str, value: String| headers.push((name.to_owned(), Some(value.into_bytes())));
    add("kubetell-error-class", class.to_owned());
    add("kubetell-error", text.to_owned());
    if let Some(Position::Kafka { topic, partition, offset, item }) = position {
        add("kubetell-topic", topic.clone());
        add("kubetell-partition", partition.to_string());
        add("kubetell-offset", offset.to_string());
        add("kubetell-item", item.to_string());
    }
    add("kubetell-size", output.payload.as_ref().map_or(0, Vec::len).to_string());
    add("kubetell-output", output.kind.as_str().to_owned());
    add("kubetell-output-topic", output.topic.to_string());
    if let Some(partition) = output.partition {
        add("kubetell-output-partition", partition.to_string());
    }
    headers
}

/// Of the headers those that we wrote, which come last, and an alert's id.
pub fn ours(headers: &Headers) -> Headers {
    let kept = OURS.into_iter().chain(["alert-id"]);
    kept.filter_map(|name| headers.iter().rev().find(|(key, _)| key == name).cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICKET: Ticket = Ticket { slot: 3, epoch: 9, offset: 81_234 };

    fn reason() -> Reason {
        Reason {
            class: "not-json",
            text: "no JSON begins here".to_owned(),
            item: 2,
            unreadable_items: 4,
        }
    }

    fn of(key: Option<&[u8]>, payload: Option<&[u8]>) -> Output {
        let headers = vec![
            ("trace".to_owned(), Some(b"\x00\xff".to_vec())),
            ("empty".to_owned(), None),
            // A name of ours: a dead letter that was produced to the source again.
            ("kubetell-error".to_owned(), Some(b"before".to_vec())),
        ];
        let original = Original { topic: "audit", partition: 5, key, payload, headers };
        output(&"dead".into(), &original, &reason(), TICKET)
    }

    #[test]
    fn record_is_unchanged_and_our_headers_come_last() {
        let output = of(Some(b"\xfekey"), Some(b"\xff{not json"));
        assert_eq!((output.kind, output.topic.as_ref()), (OutputKind::DeadLetter, "dead"));
        assert_eq!(output.key.as_deref(), Some(&b"\xfekey"[..]));
        assert_eq!(output.payload.as_deref(), Some(&b"\xff{not json"[..]));
        assert_eq!((output.partition, output.ticket, output.reduced), (None, TICKET, None));
        let text = |value: &str| Some(value.as_bytes().to_vec());
        let headers: Vec<(&str, Option<Vec<u8>>)> =
            output.headers.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        assert_eq!(
            headers,
            [
                ("trace", Some(b"\x00\xff".to_vec())),
                ("empty", None),
                ("kubetell-error", text("before")),
                ("kubetell-error-class", text("not-json")),
                ("kubetell-error", text("no JSON begins here")),
                ("kubetell-topic", text("audit")),
                ("kubetell-partition", text("5")),
                ("kubetell-offset", text("81234")),
                ("kubetell-item", text("2")),
                ("kubetell-unreadable-items", text("4")),
                ("kubetell-size", text("10")),
            ]
        );
    }

    #[test]
    fn absent_stays_absent() {
        let output = of(None, None);
        assert_eq!((output.key, output.payload, output.reduced), (None, None, None));
    }
}
