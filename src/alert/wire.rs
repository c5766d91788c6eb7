//! An alert as a record of the alerts topic.

use std::sync::Arc;

use super::{Alert, EncodeError};
use crate::output::producer::{Output, OutputKind, Ticket};

/// Alerts over this size carry a smaller form for brokers that refuse them. Kafka's default for
/// `message.max.bytes` is 1,048,588 bytes with the batch's overhead.
const REDUCED_ABOVE_BYTES: usize = 900_000;

/// The record of an alert: key, headers, and a smaller form beside a very large one.
pub fn output(alert: &Alert, topic: &Arc<str>, ticket: Ticket) -> Result<Output, EncodeError> {
    let payload = alert.to_json()?;
    let reduced =
        if payload.len() > REDUCED_ABOVE_BYTES { Some(alert.to_reduced_json()?) } else { None };
    Ok(Output {
        kind: OutputKind::Alert,
        topic: Arc::clone(topic),
        partition: None,
        key: Some(alert.key().as_bytes().to_vec()),
        payload: Some(payload),
        headers: alert
            .headers()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Some(value.into_bytes())))
            .collect(),
        reduced,
        ticket,
    })
}
