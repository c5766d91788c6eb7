//! A place in the bytes of a record, and the steps from one to the next.

use smallvec::SmallVec;

use super::{Fields, Kind};
use crate::limits;
use crate::rules::query::EarlyField;

/// So many fields has an `objectRef`.
const OBJECT_FIELDS: usize = 8;

/// A place in a record. Each step gives `None` where the record is not as expected.
pub(super) struct Cursor<'r> {
    pub(super) bytes: &'r [u8],
    pub(super) at: usize,
    /// Of a user everything has its type.
    pub(super) users_are_typed: bool,
}

impl<'r> Cursor<'r> {
    pub(super) fn new(bytes: &'r [u8]) -> Cursor<'r> {
        Cursor { bytes, at: 0, users_are_typed: false }
    }

    /// An object with the keys of an event, or of a list of events if `other` reads its items: it is
    /// called at the values of those by which no events are told apart.
    pub(super) fn event(
        &mut self,
        other: &mut dyn FnMut(&mut Self, Key) -> Option<()>,
    ) -> Option<Fields<'r>> {
        let mut fields = Fields::default();
        let mut seen = 0_u32;
        self.object(&mut |cursor, key| {
            let key = Key::of(key)?;
            if seen & key.bit() != 0 {
                return None;
            }
            seen |= key.bit();
            match key {
                Key::Kind => {
                    fields.kind = Some(match cursor.text()?? {
                        b"Event" => Kind::Event,
                        b"EventList" => Kind::List,
                        _ => Kind::Other,
                    });
                }
                Key::ApiVersion => {
                    fields.is_audit_version = cursor.text()??.starts_with(b"audit.k8s.io/");
                }
                Key::AuditId => fields.has_id = !cursor.text()??.is_empty(),
                Key::Verb => fields.set(EarlyField::Verb, cursor.text()?),
                Key::Stage => fields.set(EarlyField::Stage, cursor.text()?),
                Key::Level => fields.set(EarlyField::Level, cursor.text()?),
                Key::UserAgent => fields.set(EarlyField::UserAgent, cursor.text()?),
                Key::User => cursor.user(&mut fields)?,
                Key::ObjectRef => cursor.object_ref(&mut fields)?,
                other_key => other(cursor, other_key)?,
            }
            Some(())
        })?;
        let has_items = seen & Key::Items.bit() != 0;
        // A list has items, and nothing else has; an event it may be too, where the configuration says
        // that every record is one.
        let is_list = fields.kind == Some(Kind::List);
        (is_list == has_items && !(is_list && seen & Key::AuditId.bit() != 0)).then_some(fields)
    }

    /// Skips what a single event may have, whatever it is.
    pub(super) fn skip_other(&mut self, key: Key) -> Option<()> {
        if key == Key::Items { None } else { self.skip() }
    }

    /// What a single event may have, and nothing that the reader would take for something else.
    pub(super) fn typed(&mut self, key: Key) -> Option<()> {
        match key {
            Key::RequestUri
            | Key::RequestReceivedTimestamp
            | Key::StageTimestamp
            | Key::Timestamp => self.text().map(|_| ()),
            Key::SourceIps => self.texts(),
            Key::ImpersonatedUser => self.user(&mut Fields::default()),
            Key::ResponseStatus => self.object(&mut |cursor, key| match key {
                b"code" => cursor.number(),
                b"status" | b"reason" | b"message" => cursor.text().map(|_| ()),
                _ => cursor.skip(),
            }),
            Key::Annotations => self.object(&mut |cursor, _| cursor.text().map(|_| ())),
            Key::RequestObject | Key::ResponseObject | Key::Metadata => self.skip(),
            // With `@timestamp` it is in a wrapper of its own, with `items` a list.
            _ => None,
        }
    }

    fn texts(&mut self) -> Option<()> {
        self.list(&mut |cursor| cursor.text().map(|_| ()))
    }

    /// What the reader takes for a whole number.
    fn number(&mut self) -> Option<()> {
        self.peek()?;
        let digits = self.bytes.get(self.at..)?.iter().take_while(|byte| byte.is_ascii_digit());
        let count = digits.count();
        self.at += count;
        (1..10).contains(&count).then_some(())
    }

    pub(super) fn user(&mut self, fields: &mut Fields<'r>) -> Option<()> {
        let mut seen = false;
        if self.literal(b"{\"username\":").is_some() {
            seen = true;
            fields.set(EarlyField::UserName, self.text()?);
            if self.peek()? == b'}' {
                return self.take(b'}');
            }
            self.take(b',')?;
        } else {
            self.take(b'{')?;
            if self.peek()? == b'}' {
                return self.take(b'}');
            }
        }
        self.members(&mut |cursor, key| {
            if key != b"username" {
                return if cursor.users_are_typed { cursor.of_user(key) } else { cursor.skip() };
            }
            let again = std::mem::replace(&mut seen, true);
            fields.set(EarlyField::UserName, cursor.text()?);
            (!again).then_some(())
        })
    }

    fn of_user(&mut self, key: &[u8]) -> Option<()> {
        match key {
            b"uid" => self.text().map(|_| ()),
            b"groups" => self.texts(),
            b"extra" => self.object(&mut |cursor, _| cursor.texts()),
            _ => None,
        }
    }

    pub(super) fn object_ref(&mut self, fields: &mut Fields<'r>) -> Option<()> {
        let mut seen: SmallVec<[&[u8]; OBJECT_FIELDS]> = SmallVec::new();
        self.object(&mut |cursor, key| {
            if seen.contains(&key) || seen.len() == OBJECT_FIELDS {
                return None;
            }
            seen.push(key);
            let text = cursor.text()??;
            let field = match key {
                b"resource" => EarlyField::Resource,
                b"subresource" => EarlyField::Subresource,
                b"namespace" => EarlyField::Namespace,
                b"name" => EarlyField::Name,
                b"apiGroup" => EarlyField::ApiGroup,
                _ => return Some(()),
            };
            fields.set(field, Some(text));
            Some(())
        })
    }

    /// Calls `each` at the value of every key.
    pub(super) fn object(
        &mut self,
        each: &mut dyn FnMut(&mut Self, &'r [u8]) -> Option<()>,
    ) -> Option<()> {
        self.take(b'{')?;
        if self.peek()? == b'}' {
            return self.take(b'}');
        }
        self.members(each)
    }

    /// The same from the first of several keys on.
    fn members(&mut self, each: &mut dyn FnMut(&mut Self, &'r [u8]) -> Option<()>) -> Option<()> {
        loop {
            let key = self.text()??;
            self.take(b':')?;
            each(self, key)?;
            if self.peek()? == b'}' {
                return self.take(b'}');
            }
            self.take(b',')?;
        }
    }

    /// Calls `each` at every element.
    pub(super) fn list(&mut self, each: &mut dyn FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.take(b'[')?;
        if self.peek()? == b']' {
            return self.take(b']');
        }
        loop {
            each(self)?;
            if self.peek()? == b']' {
                return self.take(b']');
            }
            self.take(b',')?;
        }
    }

    /// A string, as it is written; `Some(None)` if it has an escape.
    pub(super) fn text(&mut self) -> Option<Option<&'r [u8]>> {
        self.take(b'"')?;
        self.string()
    }

    /// The same behind its opening quote.
    #[inline]
    pub(super) fn string(&mut self) -> Option<Option<&'r [u8]>> {
        let rest = self.bytes.get(self.at..)?;
        let end = end_or_escape(rest)?;
        if rest.get(end) == Some(&b'"') {
            self.at += end + 1;
            return Some(Some(rest.get(..end)?));
        }
        self.at += end + 2;
        self.escaped_string()
    }

    /// What follows the first escape of a string.
    fn escaped_string(&mut self) -> Option<Option<&'r [u8]>> {
        loop {
            let rest = self.bytes.get(self.at..)?;
            let end = end_or_escape(rest)?;
            if rest.get(end) == Some(&b'"') {
                self.at += end + 1;
                return Some(None);
            }
            self.at += end + 2;
        }
    }

    /// These bytes and no others.
    #[inline]
    pub(super) fn literal(&mut self, expected: &[u8]) -> Option<()> {
        self.bytes.get(self.at..)?.starts_with(expected).then(|| self.at += expected.len())
    }

    pub(super) fn skip(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.text().map(|_| ()),
            b'{' | b'[' => self.skip_nested(),
            _ => {
                let rest = self.bytes.get(self.at..)?;
                let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\r');
                self.at += rest.iter().position(ends).filter(|length| *length > 0)?;
                Some(())
            }
        }
    }

    fn skip_nested(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.bytes.get(self.at)? {
                b'"' => {
                    self.text()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Some(());
            }
            if depth > limits::JSON_MAX_DEPTH {
                return None;
            }
        }
    }

    pub(super) fn peek(&mut self) -> Option<u8> {
        while let b' ' | b'\t' | b'\r' = self.bytes.get(self.at)? {
            self.at += 1;
        }
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }
}

/// How far a string goes on without an escape. Most are short, and a search by vectors begins slowly:
/// the first bytes are looked at eight at a time.
pub(super) fn end_or_escape(rest: &[u8]) -> Option<usize> {
    const SHORT: usize = 32;
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    // The lowest bit that is set stands at the first byte that is zero.
    let zeros = |word: u64| word.wrapping_sub(EACH) & !word & (EACH << 7);
    let (words, _) = rest.get(..SHORT).unwrap_or_default().as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found =
            zeros(word ^ (EACH * u64::from(b'"'))) | zeros(word ^ (EACH * u64::from(b'\\')));
        if found != 0 {
            return Some(8 * at + found.trailing_zeros() as usize / 8);
        }
    }
    let from = 8 * words.len();
    Some(from + memchr::memchr2(b'"', b'\\', rest.get(from..)?)?)
}

/// What an event or a list of events may have. Nothing else is known to mean nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Kind,
    ApiVersion,
    Level,
    AuditId,
    Stage,
    RequestUri,
    Verb,
    User,
    ImpersonatedUser,
    SourceIps,
    UserAgent,
    ObjectRef,
    ResponseStatus,
    RequestObject,
    ResponseObject,
    RequestReceivedTimestamp,
    StageTimestamp,
    Timestamp,
    Annotations,
    Metadata,
    Items,
    AtTimestamp,
}

impl Key {
    fn of(name: &[u8]) -> Option<Key> {
        Some(match name {
            b"kind" => Key::Kind,
            b"apiVersion" => Key::ApiVersion,
            b"level" => Key::Level,
            b"auditID" => Key::AuditId,
            b"stage" => Key::Stage,
            b"requestURI" => Key::RequestUri,
            b"verb" => Key::Verb,
            b"user" => Key::User,
            b"impersonatedUser" => Key::ImpersonatedUser,
            b"sourceIPs" => Key::SourceIps,
            b"userAgent" => Key::UserAgent,
            b"objectRef" => Key::ObjectRef,
            b"responseStatus" => Key::ResponseStatus,
            b"requestObject" => Key::RequestObject,
            b"responseObject" => Key::ResponseObject,
            b"requestReceivedTimestamp" => Key::RequestReceivedTimestamp,
            b"stageTimestamp" => Key::StageTimestamp,
            b"timestamp" => Key::Timestamp,
            b"annotations" => Key::Annotations,
            b"metadata" => Key::Metadata,
            b"items" => Key::Items,
            b"@timestamp" => Key::AtTimestamp,
            _ => return None,
        })
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}
