//! Which event is which: what the stages of one request share and no other request has.
//!
//! An `auditID` alone names no request: the API server takes the one that a client sends in the
//! header `Audit-ID`, and a client may send the same one twice. The second request would pass for
//! a later stage of the first, and nobody would be told of it. So an identity also holds what the
//! server wrote into every stage of the request and a client can't repeat: when it was received.
//!
//! # Formula
//! SHA-256 over a sequence of parts, each written as its length in bytes (64 bits, big-endian) and
//! its bytes; a part that is absent is empty. The first part is a tag, the second says by what the
//! event is named, and the others are:
//! - `audit-id`: `auditID`, `requestReceivedTimestamp`, `requestURI`, `user.username`
//! - `wrapper`, where there is no `auditID`: the wrapper's own id, `verb`, of `objectRef` the
//!   `resource`, `subresource`, `namespace` and `name`, `requestURI`, and the command of a GKE
//!   entry. No time and no user: the entries of one GKE operation have times of their own.
//! - `content`, where there is neither: the event's JSON as this program writes it, whose order of
//!   keys is fixed.
//!
//! The first 128 bits, but for the six that make it a UUID of version 8, in a UUID's usual
//! spelling: bounded whatever a client sends, and as small in the view as an audit id.

use sha2::{Digest, Sha256};
use uuid::Builder;

use crate::audit::event::{Event, ObjectRef, Text};
use crate::audit::exec;
use crate::detect::tuples::bounded;
use crate::limits;

const TAG: &str = "kubetell.event.v1";

/// The identity of an event. `wrapper_id` is the id by which a wrapper names it.
pub fn event_id(event: &Event<'_>, wrapper_id: Option<&str>) -> String {
    let uri = text(&event.request_uri);
    if let Some(audit_id) = Event::nonempty(&event.audit_id) {
        let received = text(&event.request_received_timestamp);
        let user = event.user.as_ref().map_or("", |user| text(&user.username));
        return of(&["audit-id", audit_id, received, uri, user]);
    }
    if let Some(id) = wrapper_id.filter(|id| !id.is_empty()) {
        let nothing = ObjectRef::default();
        let object = event.object_ref.as_ref().unwrap_or(&nothing);
        return of(&[
            "wrapper",
            id,
            text(&event.verb),
            text(&object.resource),
            text(&object.subresource),
            text(&object.namespace),
            text(&object.name),
            uri,
            event.annotation(exec::GKE_COMMAND).unwrap_or_default(),
        ]);
    }
    // Serializing plain strings and numbers cannot fail; if it ever does, an id that is stable
    // within this build is better than one that all such events share.
    let json = serde_json::to_string(event).unwrap_or_else(|_| format!("{event:?}"));
    of(&["content", &json])
}

fn text<'t>(field: &'t Option<Text<'_>>) -> &'t str {
    field.as_deref().unwrap_or_default()
}

fn of(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in std::iter::once(&TAG).chain(parts) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let mut first = [0; 16];
    first.copy_from_slice(&hash.finalize()[..16]);
    Builder::from_custom_bytes(first).into_uuid().hyphenated().to_string()
}

/// The event with an `auditID` of bounded length: a longer one, which a client may send, stands as
/// its beginning and the SHA-256 of the whole.
pub fn with_bounded_id(mut event: Event<'_>) -> Event<'_> {
    if let Some(id) = &mut event.audit_id
        && id.len() > limits::AUDIT_ID_MAX_BYTES
    {
        *id = bounded(id, limits::AUDIT_ID_MAX_BYTES).into();
    }
    event
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
