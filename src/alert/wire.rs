//! An alert as a record of the alerts topic.

use std::sync::Arc;

use serde::Deserialize;

use super::{Alert, EncodeError, ecs, shrink};
use crate::output::producer::{Output, OutputKind, Ticket};
use crate::position::Position;

/// What of an alert says which one it is: never cut.
const IDENTITY: [&str; 3] = ["/event/id", "/rule/id", "/kubetell/position"];

/// The record of an alert: key, headers and document.
pub fn output(alert: &Alert, topic: &Arc<str>, ticket: Ticket) -> Result<Output, EncodeError> {
    Ok(Output {
        kind: OutputKind::Alert,
        topic: Arc::clone(topic),
        partition: None,
        key: Some(alert.key().as_bytes().to_vec()),
        payload: Some(alert.to_json()?),
        headers: alert
            .headers()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Some(value.into_bytes())))
            .collect(),
        reduced: None,
        ticket,
        serial: 0,
    })
}

/// A shorter form of an alert's value, for a topic that refuses the whole as too large: of the
/// event only its identity is left, and texts and lists are cut until it takes `below` bytes or
/// can't be cut any more. Says so in `kubetell.reduced`. The same value makes the same form.
///
/// `None` when the value is none of ours.
pub fn reduced(value: &[u8], below: usize) -> Option<Vec<u8>> {
    let document: ecs::Document = serde_json::from_slice(value).ok()?;
    let document = serde_json::to_value(document.reduced()).ok()?;
    serde_json::to_vec(&shrink::to_fit(document, &IDENTITY, below)).ok()
}

/// Where the event of an alert stood, by the alert's value.
pub fn position(value: &[u8]) -> Option<Position> {
    let document: serde_json::Value = serde_json::from_slice(value).ok()?;
    Position::deserialize(document.pointer("/kubetell/position")?).ok()
}
