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

mod cursor;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::packed;
use memchr::memmem::Finder;
use smallvec::SmallVec;

use self::cursor::{Cursor, Key};
use crate::audit::exec;
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

    /// Whether it is one by what it holds, wherever it stands.
    fn is_event(&self) -> bool {
        self.has_id && matches!(self.kind, None | Some(Kind::Event))
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
    let top = cursor.event(&mut |cursor, key| match key {
        Key::Items => cursor.list(&mut |cursor| {
            let item = cursor.event(&mut Cursor::skip_other)?;
            found |= item.is_event().then(|| may_match(&item))?;
            Some(())
        }),
        _ => cursor.skip(),
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

/// An event that is whole and of which the reader would say nothing but that it is one, as `json`, a
/// value of which it is known that it is JSON: what may be asked of an event has its type, and no
/// escape is half of a character.
pub(super) fn whole(json: &str) -> Option<Fields<'_>> {
    let mut cursor = Cursor { users_are_typed: true, ..Cursor::new(json.as_bytes()) };
    let event = cursor.event(&mut Cursor::typed)?;
    let is_alone = cursor.at == json.len();
    (is_alone && event.is_event() && !has_surrogates(json.as_bytes())).then_some(event)
}

/// Whether an escape stands for half of a character, which must have its other half.
fn has_surrogates(json: &[u8]) -> bool {
    ESCAPE.find_iter(json).any(|at| json.get(at + 2).is_none_or(|digit| b"dD".contains(digit)))
}

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
                    let event = cursor.event(&mut Cursor::skip_other)?;
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

#[cfg(test)]
#[path = "early_tests.rs"]
mod tests;
