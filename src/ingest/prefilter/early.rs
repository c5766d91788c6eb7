//! The few fields of plainly written events by which most are told apart, found in a record's bytes
//! without parsing it.
//!
//! Owns what is certain of a record: that it is one event, or one list of events, as an API server
//! writes them, and what these fields of each are. Of anything that is written in another way (a key
//! that no event has, a key twice, an escape in a name, a value of another type, a second line) it
//! says that it does not know, and the reader decides. Values that no query is told about are
//! skipped by their brackets and quotes alone: what is broken in one of them is not noticed.

use crate::audit::exec;
use crate::limits;
use crate::rules::query::{EarlyField, Known};

/// What of an event is known.
#[derive(Debug, Default)]
pub(super) struct Fields<'r> {
    texts: [Found<'r>; EarlyField::ALL.len()],
    /// The strings of `objectRef`.
    object: [&'r [u8]; OBJECT_TEXTS_MAX],
    object_length: usize,
    has_id: bool,
    /// `kind` and `apiVersion` say that it is one.
    kind: Option<Kind>,
    is_audit_version: bool,
}

/// A text as it is written, which may not be UTF-8.
#[derive(Debug, Clone, Copy, Default)]
enum Found<'r> {
    #[default]
    Absent,
    Text(&'r [u8]),
    Unknown,
}

impl<'r> Found<'r> {
    fn known(self) -> Known<'r> {
        match self {
            Found::Absent => Known::Text(None),
            Found::Text(text) => {
                std::str::from_utf8(text).map_or(Known::Unknown, |text| Known::Text(Some(text)))
            }
            Found::Unknown => Known::Unknown,
        }
    }
}

/// `objectRef` has eight fields.
const OBJECT_TEXTS_MAX: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Event,
    List,
    Other,
}

impl<'r> Fields<'r> {
    pub fn known(&self, field: EarlyField) -> Known<'r> {
        let text = |field: EarlyField| self.texts[field as usize].known();
        if field != EarlyField::Derived {
            return text(field);
        }
        match (text(EarlyField::Resource), text(EarlyField::Subresource)) {
            (Known::Text(resource), Known::Text(subresource))
                if !exec::may_be_exec(resource, subresource) =>
            {
                Known::Text(None)
            }
            _ => Known::Unknown,
        }
    }

    /// The strings of `objectRef`, as they are written: without escapes.
    pub fn object(&self) -> &[&'r [u8]] {
        &self.object[..self.object_length]
    }

    fn set(&mut self, field: EarlyField, text: Option<&'r [u8]>) {
        self.texts[field as usize] = text.map_or(Found::Unknown, Found::Text);
    }
}

/// Whether any event of the record is one that `may_match` says may match; `None` if the record is
/// not plain enough to tell.
pub(super) fn any(record: &[u8], mut may_match: impl FnMut(&Fields<'_>) -> bool) -> Option<bool> {
    let record = record.trim_ascii();
    // After what is broken the reader goes on with the next line.
    if !BEGINNINGS.iter().any(|beginning| record.starts_with(beginning))
        || memchr::memchr(b'\n', record).is_some()
    {
        return None;
    }
    let mut cursor = Cursor { bytes: record, at: 0 };
    let mut found = false;
    let top = cursor.event(&mut |cursor| {
        cursor.list(&mut |cursor| {
            let item = cursor.event(&mut |_| None)?;
            let is_event = item.has_id && matches!(item.kind, None | Some(Kind::Event));
            found |= is_event.then(|| may_match(&item))?;
            Some(())
        })
    })?;
    if cursor.at != record.len() {
        return None;
    }
    match top.kind? {
        Kind::List => Some(found),
        Kind::Event => top.is_audit_version.then(|| may_match(&top)),
        Kind::Other => None,
    }
}

/// An event or a list of events as an API server writes it, or an event as Fluent Bit's parser
/// leaves it.
const BEGINNINGS: [&[u8]; 2] = [b"{\"kind\":\"Event", b"{\"@timestamp\":"];

/// A place in a record. Each step gives `None` where the record is not as expected.
struct Cursor<'r> {
    bytes: &'r [u8],
    at: usize,
}

impl<'r> Cursor<'r> {
    /// An object with the keys of an event, or of a list of events if `items` reads its value.
    fn event(&mut self, items: &mut dyn FnMut(&mut Self) -> Option<()>) -> Option<Fields<'r>> {
        let mut fields = Fields::default();
        let mut seen = 0_u32;
        let mut has_items = false;
        self.object(&mut |cursor, key| {
            let number = KEYS.iter().position(|known| *known == key)?;
            if seen & (1 << number) != 0 {
                return None;
            }
            seen |= 1 << number;
            match key {
                b"kind" => {
                    fields.kind = Some(match cursor.text()?? {
                        b"Event" => Kind::Event,
                        b"EventList" => Kind::List,
                        _ => Kind::Other,
                    });
                }
                b"apiVersion" => {
                    fields.is_audit_version = cursor.text()??.starts_with(b"audit.k8s.io/");
                }
                b"auditID" => fields.has_id = !cursor.text()??.is_empty(),
                b"verb" => fields.set(EarlyField::Verb, cursor.text()?),
                b"stage" => fields.set(EarlyField::Stage, cursor.text()?),
                b"level" => fields.set(EarlyField::Level, cursor.text()?),
                b"userAgent" => fields.set(EarlyField::UserAgent, cursor.text()?),
                b"user" => cursor.user(&mut fields)?,
                b"objectRef" => cursor.object_ref(&mut fields)?,
                b"items" => {
                    has_items = true;
                    items(cursor)?;
                }
                _ => cursor.skip()?,
            }
            Some(())
        })?;
        // A list has items, and nothing else has.
        ((fields.kind == Some(Kind::List)) == has_items).then_some(fields)
    }

    fn user(&mut self, fields: &mut Fields<'r>) -> Option<()> {
        let mut seen = false;
        self.object(&mut |cursor, key| {
            if key != b"username" {
                return cursor.skip();
            }
            let again = std::mem::replace(&mut seen, true);
            fields.set(EarlyField::UserName, cursor.text()?);
            (!again).then_some(())
        })
    }

    fn object_ref(&mut self, fields: &mut Fields<'r>) -> Option<()> {
        let mut seen = [b"".as_slice(); OBJECT_TEXTS_MAX];
        self.object(&mut |cursor, key| {
            let number = fields.object_length;
            if seen.get(..number)?.contains(&key) {
                return None;
            }
            *seen.get_mut(number)? = key;
            // Any may be a word of a rule; what has an escape is for the reader.
            let text = cursor.text()??;
            fields.object[number] = text;
            fields.object_length += 1;
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
    fn object(&mut self, each: &mut dyn FnMut(&mut Self, &'r [u8]) -> Option<()>) -> Option<()> {
        self.take(b'{')?;
        if self.peek()? == b'}' {
            return self.take(b'}');
        }
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
    fn list(&mut self, each: &mut dyn FnMut(&mut Self) -> Option<()>) -> Option<()> {
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
    fn text(&mut self) -> Option<Option<&'r [u8]>> {
        self.take(b'"')?;
        let begin = self.at;
        let mut escaped = false;
        loop {
            let rest = self.bytes.get(self.at..)?;
            let end = end_or_escape(rest)?;
            if rest.get(end) == Some(&b'"') {
                let text = self.bytes.get(begin..self.at + end)?;
                self.at += end + 1;
                return Some((!escaped).then_some(text));
            }
            escaped = true;
            self.at += end + 2;
        }
    }

    fn skip(&mut self) -> Option<()> {
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

    fn peek(&mut self) -> Option<u8> {
        while let b' ' | b'\t' | b'\r' = self.bytes.get(self.at)? {
            self.at += 1;
        }
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }
}

/// How far a string goes on without an escape. Most are short, and a search by vectors begins slowly.
fn end_or_escape(rest: &[u8]) -> Option<usize> {
    const SHORT: usize = 12;
    let ends = |byte: &u8| matches!(byte, b'"' | b'\\');
    if let Some(at) = rest.iter().take(SHORT).position(ends) {
        return Some(at);
    }
    Some(SHORT + memchr::memchr2(b'"', b'\\', rest.get(SHORT..)?)?)
}

/// What an event or a list of events may have. Nothing else is known to mean nothing.
const KEYS: [&[u8]; 22] = [
    b"kind",
    b"apiVersion",
    b"level",
    b"auditID",
    b"stage",
    b"requestURI",
    b"verb",
    b"user",
    b"impersonatedUser",
    b"sourceIPs",
    b"userAgent",
    b"objectRef",
    b"responseStatus",
    b"requestObject",
    b"responseObject",
    b"requestReceivedTimestamp",
    b"stageTimestamp",
    b"timestamp",
    b"annotations",
    b"metadata",
    b"items",
    b"@timestamp",
];

#[cfg(test)]
#[path = "early_tests.rs"]
mod tests;
