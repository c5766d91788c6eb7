//! The few fields of plainly written events by which most are told apart, found in a record's bytes
//! without parsing it.
//!
//! Owns what is certain of a record: that it is one event, or one list of events, as an API server
//! writes them, alone or in a wrapper that keeps it as it is, and what these fields of each are. Of
//! anything that is written in another way (a key that no event has, a key twice, an escape in a
//! name, a value of another type, a second line) it says that it does not know, and the reader
//! decides. Values that no query is told about are skipped by their brackets and quotes alone: what
//! is broken in one of them is not noticed.
//!
//! Of a wrapper these hold events: the text of `log` or `message` that begins as a document, and the
//! object `kubernetes.audit`. What else it holds may be anything that has no mark of an event: no
//! name that makes an object one, nothing in base64, nothing written as an escape.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::packed;
use memchr::memmem::Finder;
use smallvec::SmallVec;

use crate::audit::exec;
use crate::limits;
use crate::rules::query::{EarlyField, Known};

/// What of an event is known.
#[derive(Debug, Default)]
pub(super) struct Fields<'r> {
    texts: [Found<'r>; EarlyField::ALL.len()],
    has_id: bool,
    /// `kind` and `apiVersion` say that it is one.
    kind: Option<Kind>,
    is_audit_version: bool,
}

#[derive(Debug, Clone, Copy, Default)]
enum Found<'r> {
    #[default]
    Absent,
    Text(&'r str),
    Unknown,
}

impl<'r> Found<'r> {
    fn known(self) -> Known<'r> {
        match self {
            Found::Absent => Known::Text(None),
            Found::Text(text) => Known::Text(Some(text)),
            Found::Unknown => Known::Unknown,
        }
    }
}

/// So many fields has an `objectRef`.
const OBJECT_FIELDS: usize = 8;

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

    fn set(&mut self, field: EarlyField, text: Option<&'r [u8]>) {
        let text = text.and_then(|text| std::str::from_utf8(text).ok());
        self.texts[field as usize] = text.map_or(Found::Unknown, Found::Text);
    }
}

/// Whether an event may match.
pub(super) type MayMatch<'m> = &'m mut dyn FnMut(&Fields<'_>) -> bool;

/// Whether any event of the record is one that `may_match` says may match; `None` if the record is
/// not plain enough to tell.
pub(super) fn any(record: &[u8], may_match: MayMatch<'_>) -> Option<bool> {
    document(record, 0, may_match)
}

/// The same only of a record that is one event as API servers write it, for which little has to be
/// looked at.
pub(super) fn one(record: &[u8], may_match: MayMatch<'_>) -> Option<bool> {
    let record = record.trim_ascii();
    let told = beginning(record, may_match)?;
    memchr::memchr(b'\n', record).is_none().then_some(told)
}

/// The most texts of documents within each other.
const TEXTS_MAX_DEPTH: usize = 2;

fn document(text: &[u8], depth: usize, may_match: MayMatch<'_>) -> Option<bool> {
    let text = text.trim_ascii();
    // After what is broken the reader goes on with the next line.
    if text.first() != Some(&b'{') || memchr::memchr(b'\n', text).is_some() {
        return None;
    }
    let is_plain = BEGINNINGS.iter().any(|beginning| text.starts_with(beginning));
    let judged = if is_plain { events(text, may_match) } else { None };
    judged.or_else(|| wrapped(text, depth, may_match))
}

/// An event, or a list of them.
fn events(text: &[u8], may_match: MayMatch<'_>) -> Option<bool> {
    if let Some(told) = beginning(text, may_match) {
        return Some(told);
    }
    let mut cursor = Cursor::new(text);
    let mut found = false;
    let top = cursor.event(&mut |cursor| {
        cursor.list(&mut |cursor| {
            let item = cursor.event(&mut |_| None)?;
            let is_event = item.has_id && matches!(item.kind, None | Some(Kind::Event));
            found |= is_event.then(|| may_match(&item))?;
            Some(())
        })
    })?;
    if cursor.at != text.len() {
        return None;
    }
    match top.kind? {
        Kind::List => Some(found),
        Kind::Event => top.is_audit_version.then(|| may_match(&top)),
        Kind::Other => None,
    }
}

/// How an API server begins an event.
pub(super) const EVENT: &[u8] = br#"{"kind":"Event","apiVersion":"audit.k8s.io/"#;

/// An event by its beginning alone: API servers write what tells most events apart in one order,
/// and before the bodies and annotations. What follows is only searched for what could change it.
fn beginning(text: &[u8], may_match: MayMatch<'_>) -> Option<bool> {
    let mut cursor = Cursor::new(text);
    let mut event = Fields::default();
    cursor.literal(EVENT)?;
    cursor.string()?;
    cursor.literal(br#","level":""#)?;
    event.set(EarlyField::Level, cursor.string()?);
    cursor.literal(br#","auditID":""#)?;
    cursor.string()?;
    cursor.literal(br#","stage":""#)?;
    event.set(EarlyField::Stage, cursor.string()?);
    cursor.literal(br#","requestURI":""#)?;
    cursor.string()?;
    cursor.literal(br#","verb":""#)?;
    event.set(EarlyField::Verb, cursor.string()?);
    cursor.literal(br#","user":"#)?;
    cursor.user(&mut event)?;
    cursor.literal(br#","sourceIPs":"#)?;
    cursor.skip()?;
    cursor.literal(br#","userAgent":""#)?;
    event.set(EarlyField::UserAgent, cursor.string()?);
    // What is about no object has none.
    if cursor.literal(br#","objectRef":"#).is_some() {
        cursor.object_ref(&mut event)?;
    }
    let rest = text.get(cursor.at..)?;
    let changes_nothing = REST_SEARCH.has_none_in(rest) && ESCAPE.find(rest).is_none();
    let is_whole = rest.last() == Some(&b'}') && super::closes(rest, 1);
    (changes_nothing && is_whole).then(|| may_match(&event))
}

/// Ends of names of fields that would count for the event if they came again, or that make it
/// something else; and what a second document behind it would need to hold an event, in whatever
/// wrapper. An escape could spell one, too.
static REST_SEARCH: LazyLock<Marks> = LazyLock::new(|| {
    let again =
        ["user\"", "userAgent\"", "objectRef\"", "stage\"", "level\"", "items\"", "log_type\""];
    Marks::new(&[&again[..], &marks()].concat())
});

static ESCAPE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\\u"));

/// What may make an object outside of what is looked at one that holds events.
static MARKS_SEARCH: LazyLock<Marks> = LazyLock::new(|| Marks::new(&marks()));

/// What any audit event shows, what may hide one, and what else the reader knows one by.
fn marks() -> Vec<&'static str> {
    let others = ["verb", "EventList", "\"items\"", super::GKE_PAYLOAD];
    [&super::MARKS[..], &super::OPAQUE, &others].concat()
}

/// Texts that are looked for all at once, many bytes at a time.
struct Marks(Option<packed::Searcher>);

impl Marks {
    fn new(texts: &[&str]) -> Marks {
        Marks(packed::Builder::new().extend(texts).build())
    }

    /// What could not be built finds something in everything.
    fn has_none_in(&self, text: &[u8]) -> bool {
        self.0.as_ref().is_some_and(|marks| marks.find(text).is_none())
    }
}

/// A wrapper that keeps events as they are, in a text or as an object.
fn wrapped(text: &[u8], depth: usize, may_match: MayMatch<'_>) -> Option<bool> {
    let mut cursor = Cursor::new(text);
    let mut found = None;
    let mut looked_at: SmallVec<[Range<usize>; 2]> = SmallVec::new();
    cursor.object(&mut |cursor, key| {
        let first = cursor.peek()?;
        let begin = cursor.at;
        match (key, first) {
            (b"log" | b"message", b'"') => {
                cursor.text()?;
                let inner = cursor.bytes.get(begin..cursor.at)?;
                if !inner.get(1..)?.trim_ascii_start().starts_with(b"{") {
                    return Some(());
                }
                if depth == TEXTS_MAX_DEPTH {
                    return None;
                }
                let inner: Cow<'_, str> = serde_json::from_slice(inner).ok()?;
                let judged = document(inner.as_bytes(), depth + 1, may_match)?;
                found = Some(found == Some(true) || judged);
            }
            (b"kubernetes", b'{') => {
                return cursor.object(&mut |cursor, key| {
                    if key != b"audit" || cursor.peek()? != b'{' {
                        return cursor.skip();
                    }
                    let begin = cursor.at;
                    let event = cursor.event(&mut |_| None)?;
                    if event.kind != Some(Kind::Event) || !event.is_audit_version {
                        return None;
                    }
                    found = Some(found == Some(true) || may_match(&event));
                    looked_at.push(begin..cursor.at);
                    Some(())
                });
            }
            _ => return cursor.skip(),
        }
        looked_at.push(begin..cursor.at);
        Some(())
    })?;
    if cursor.at != text.len() {
        return None;
    }
    let mut from = 0;
    let beside = looked_at.iter().map(|range| range.start).chain([text.len()]);
    for (to, next) in beside.zip(looked_at.iter().map(|range| range.end).chain([text.len()])) {
        let beside = text.get(from..to)?;
        if !MARKS_SEARCH.has_none_in(beside) || ESCAPE.find(beside).is_some() {
            return None;
        }
        from = next;
    }
    // In what holds no event the reader finds something to say.
    found
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
    fn new(bytes: &'r [u8]) -> Cursor<'r> {
        Cursor { bytes, at: 0 }
    }

    /// An object with the keys of an event, or of a list of events if `items` reads its value.
    fn event(&mut self, items: &mut dyn FnMut(&mut Self) -> Option<()>) -> Option<Fields<'r>> {
        let mut fields = Fields::default();
        let mut seen = 0_u32;
        let mut has_items = false;
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
                Key::Items => {
                    has_items = true;
                    items(cursor)?;
                }
                _ => cursor.skip()?,
            }
            Some(())
        })?;
        // A list has items, and nothing else has; an event it may be too, where the configuration says
        // that every record is one.
        let is_list = fields.kind == Some(Kind::List);
        (is_list == has_items && !(is_list && seen & Key::AuditId.bit() != 0)).then_some(fields)
    }

    fn user(&mut self, fields: &mut Fields<'r>) -> Option<()> {
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
                return cursor.skip();
            }
            let again = std::mem::replace(&mut seen, true);
            fields.set(EarlyField::UserName, cursor.text()?);
            (!again).then_some(())
        })
    }

    fn object_ref(&mut self, fields: &mut Fields<'r>) -> Option<()> {
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
    fn object(&mut self, each: &mut dyn FnMut(&mut Self, &'r [u8]) -> Option<()>) -> Option<()> {
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
        self.string()
    }

    /// The same behind its opening quote.
    #[inline]
    fn string(&mut self) -> Option<Option<&'r [u8]>> {
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
    fn literal(&mut self, expected: &[u8]) -> Option<()> {
        self.bytes.get(self.at..)?.starts_with(expected).then(|| self.at += expected.len())
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

/// How far a string goes on without an escape. Most are short, and a search by vectors begins slowly:
/// the first bytes are looked at eight at a time.
fn end_or_escape(rest: &[u8]) -> Option<usize> {
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
enum Key {
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

#[cfg(test)]
#[path = "early_tests.rs"]
mod tests;
