//! The headers of a record, read once and copied.
//!
//! The protocol has names as bytes of any kind; rdkafka panics on one that is no UTF-8. Whoever
//! writes to a topic could end every reader with it, so headers are read here and nowhere else.

use rdkafka::message::{Headers as _, Message};

use crate::quiet;

/// Names and values in the record's order.
pub type Headers = Vec<(String, Option<Vec<u8>>)>;

/// A name is no UTF-8: nothing is known of any of the headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

/// The headers of a message; none when it has none.
///
/// # Errors
/// [`Unreadable`].
pub fn read(message: &impl Message) -> Result<Headers, Unreadable> {
    let Some(headers) = message.headers() else { return Ok(Headers::new()) };
    let copy = || {
        headers
            .iter()
            .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
            .collect()
    };
    quiet::catch(copy).map_err(|_| Unreadable)
}

/// The value of the first header of that name, as a text; none when it is empty.
pub fn text(headers: &Headers, name: &str) -> Option<String> {
    let (_, value) = headers.iter().find(|(key, _)| key == name)?;
    let value = String::from_utf8_lossy(value.as_deref()?).into_owned();
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::Timestamp;
    use rdkafka::message::{Header, OwnedHeaders, OwnedMessage};

    fn message(headers: Option<OwnedHeaders>) -> OwnedMessage {
        OwnedMessage::new(None, None, "t".to_owned(), Timestamp::NotAvailable, 0, 0, headers)
    }

    #[test]
    fn headers_come_as_they_are() {
        assert_eq!(read(&message(None)), Ok(Headers::new()));
        let headers = OwnedHeaders::new()
            .insert(Header { key: "empty", value: None::<&str> })
            .insert(Header { key: "cluster", value: Some(&b"\xffa"[..]) })
            .insert(Header { key: "cluster", value: Some("second") });
        let read = read(&message(Some(headers))).unwrap();
        assert_eq!(
            read,
            [
                ("empty".to_owned(), None),
                ("cluster".to_owned(), Some(b"\xffa".to_vec())),
                ("cluster".to_owned(), Some(b"second".to_vec())),
            ]
        );
        assert_eq!(text(&read, "cluster").as_deref(), Some("\u{fffd}a"));
        assert_eq!((text(&read, "empty"), text(&read, "other")), (None, None));
    }
}
