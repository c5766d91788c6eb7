//! An alert as a record of the alerts topic.

use std::sync::Arc;

use super::{Alert, EncodeError};
use crate::limits::REDUCED_ABOVE_BYTES;
use crate::output::producer::{Output, OutputKind, Ticket};

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
        serial: 0,
    })
}
