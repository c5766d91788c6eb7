//! Dead letters: records that could not be read, unchanged, with headers that say why and where
//! they came from.

use std::sync::Arc;

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
const REDUCED_ABOVE_BYTES: usize = 900_000;

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
    }
}
