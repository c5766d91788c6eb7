//! Dead letters: records that could not be read, unchanged, with headers that say why and where
//! they came from.

use std::sync::Arc;

use crate::limits::REDUCED_ABOVE_BYTES;
use crate::output::producer::{Output, OutputKind, Ticket};

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
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// What is kept of a record that the dead-letter topic refuses as too large.
const REDUCED_BYTES: usize = 256 * 1024;

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
        |key: &str, value: String| headers.push((key.to_owned(), Some(value.into_bytes())));
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
        reduced: original
            .payload
            .filter(|payload| payload.len() > REDUCED_ABOVE_BYTES)
            .map(|payload| payload[..REDUCED_BYTES.min(payload.len())].to_vec()),
        ticket,
        serial: 0,
    }
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

    #[test]
    fn very_large_record_has_a_smaller_form_beside_it() {
        let check = |size: usize, reduced: Option<usize>| {
            let payload = vec![b'x'; size];
            let output = of(None, Some(&payload));
            assert_eq!(output.payload.map(|payload| payload.len()), Some(size));
            assert_eq!(output.reduced.map(|reduced| reduced.len()), reduced, "{size}");
        };
        check(REDUCED_ABOVE_BYTES, None);
        check(REDUCED_ABOVE_BYTES + 1, Some(REDUCED_BYTES));
    }
}
