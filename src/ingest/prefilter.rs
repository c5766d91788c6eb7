//! Which records need no parsing, decided on their raw bytes.
//!
//! Owns one invariant: a record that holds an event which matches a rule passes. It may let
//! through what matches nothing, and it must let through what it cannot judge: records that are
//! truncated, compressed, encoded or no audit events at all go on to the reader, which says what
//! is wrong with them.
//!
//! Why a dropped record can match nothing. Each rule names words of which a matching event's
//! `objectRef` holds one as a whole value. There are two ways in which it can come by one:
//!
//! - The event's own JSON has it as a string. Its opening quote and its first letter then follow
//!   each other in the record too, at any depth of JSON within JSON strings: encoding a string
//!   as JSON puts backslashes before a quote and nothing behind it, and leaves letters alone. The
//!   exception are escapes `\u00XX`. The encodings of an escape sequence all hold `\u00XX` for
//!   some character of the word, its quote or the escape itself (`\\u0065`, `\u005cu0065`,
//!   `\u005c\u00750065`), so a record in which any escape stands for such a character passes.
//! - A GKE log entry has it as one part of a method or resource name
//!   (`io.k8s.core.v1.pods.exec.create`, `core/v1/namespaces/n/pods/p/exec`), behind a dot or a
//!   slash.
//!
//! A rule with a query names texts of letters, digits, `-`, `.` and `_` of which a matching event's
//! JSON holds one in a name or a value: the same holds for these wherever they stand. One that
//! names none lets every record through. Names of a GKE log entry are not those of the event that
//! it becomes, so with such rules every entry passes.
//!
//! With rules with a query a record that is written plainly enough is judged by the few fields that
//! tell most events apart, which are found in its bytes (see `early`): it passes if what all rules
//! together ask of these may be fulfilled.
//!
//! What carries events in base64 does so under keys that the record shows (`data`, behind which its
//! quote follows, with backslashes before it in a string), or shows no mark of an audit event at all. The escapes that Go's encoder writes into nearly every request
//! URI (`\u0026`, `\u003c`, `\u003e`) stand for no character of a word and let nothing through.

mod early;

use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};
use memchr::memmem::Finder;

use crate::limits;
use crate::rules::query::{self, Program};
use crate::rules::set::RuleSet;

/// Whether a record is to be parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    /// No event in it can match a rule.
    Drop,
}

/// What stands before a word where it can become a value of `objectRef`.
const LEADS: [&str; 3] = ["\"", ".", "/"];

/// A key whose value may be base64 of anything: Pub/Sub's `message.data`, `awslogs.data`. The whole
/// name, since every record of Elastic Agent has a `data_stream`.
const OPAQUE: [&str; 3] = ["\"data\"", "\"data\\", "awslogs"];

/// What a record of audit events holds, in any wrapper that shows it as text. The last one is
/// the type of a GKE log entry's payload.
const MARKS: [&str; 3] = ["auditID", "audit.k8s.io", GKE_TYPE];
const GKE_TYPE: &str = "google.cloud.audit.AuditLog";

/// The key without which nothing is a log entry of GKE. Its type may be missing.
const GKE_PAYLOAD: &str = "protoPayload";

#[derive(Debug, Clone)]
pub struct Prefilter {
    /// Finds what lets a record through at once.
    needles: Needles,
    /// With rules with a query: how a plain record is judged.
    plain: Option<Plain>,
    marks: [Finder<'static>; 3],
    escape: Finder<'static>,
}

#[derive(Debug, Clone)]
struct Plain {
    program: Arc<Program>,
    object_words: Vec<Box<[u8]>>,
}

impl Plain {
    /// Whether an event of the record may match; `None` if it is not written plainly enough.
    fn may_match(&self, record: &[u8]) -> Option<bool> {
        early::any(record, |event| {
            let is_word = |text: &&[u8]| self.object_words.iter().any(|word| **word == **text);
            event.object().iter().any(is_word) || self.program.may_match(|it| event.known(it))
        })
    }
}

#[derive(Debug, Clone)]
enum Needles {
    Some(AhoCorasick),
    /// The search could not be built: every record passes.
    Unknown,
}

impl Needles {
    fn of(mut needles: Vec<String>) -> Needles {
        needles.sort_unstable();
        needles.dedup();
        // Leftmost matching lets the search run on packed comparisons, many bytes at a time.
        let built = AhoCorasickBuilder::new().match_kind(MatchKind::LeftmostFirst).build(&needles);
        built.map_or(Needles::Unknown, Needles::Some)
    }

    /// Whether the record holds one of them, or it is not known what would have to be held.
    fn are_in(&self, record: &[u8]) -> bool {
        match self {
            Needles::Some(needles) => needles.is_match(record),
            Needles::Unknown => true,
        }
    }
}

impl Prefilter {
    pub fn new(rules: &RuleSet) -> Prefilter {
        let mut always: Vec<String> = OPAQUE.iter().map(|&key| key.to_owned()).collect();
        let words = || rules.rules().iter().flat_map(|rule| rule.object_words());
        for word in words() {
            always.extend(LEADS.iter().map(|lead| format!("{lead}{word}")));
        }
        let Some(queries) = rules.queries() else {
            return Prefilter::of(Needles::of(always), None);
        };
        // What a log entry of GKE becomes has names that the entry has not.
        always.push(GKE_PAYLOAD.to_owned());
        let plain = Plain {
            program: queries.shared_program(),
            object_words: words().map(|word| word.as_bytes().into()).collect(),
        };
        for (_, of_rule) in queries.in_force() {
            match of_rule {
                // What a query needs may stand anywhere in the event.
                query::Needles::AnyOf(any) => always.extend(any.iter().cloned()),
                query::Needles::Unknown => return Prefilter::of(Needles::Unknown, Some(plain)),
            }
        }
        Prefilter::of(Needles::of(always), Some(plain))
    }

    fn of(needles: Needles, plain: Option<Plain>) -> Prefilter {
        Prefilter {
            needles,
            plain,
            marks: MARKS.map(|mark| Finder::new(mark.as_bytes()).into_owned()),
            escape: Finder::new(b"\\u00").into_owned(),
        }
    }

    /// Judges one record's raw value.
    pub fn verdict(&self, record: &[u8]) -> Verdict {
        if record.len() > limits::RECORD_MAX_BYTES {
            return Verdict::Pass;
        }
        if let Some(may_match) = self.plain.as_ref().and_then(|plain| plain.may_match(record)) {
            return if may_match { Verdict::Pass } else { Verdict::Drop };
        }
        if self.needles.are_in(record) {
            return Verdict::Pass;
        }
        if self.has_telling_escape(record) || !self.is_whole_audit_record(record) {
            return Verdict::Pass;
        }
        Verdict::Drop
    }

    /// Whether an escape `\u00XX` stands for a character that words, their leads or escapes are
    /// made of. Whether its backslash is itself escaped does not matter: in JSON within JSON it
    /// is.
    fn has_telling_escape(&self, record: &[u8]) -> bool {
        self.escape.find_iter(record).any(|at| {
            let digits = record.get(at + 4..at + 6).unwrap_or_default();
            let value = std::str::from_utf8(digits)
                .ok()
                .and_then(|digits| u8::from_str_radix(digits, 16).ok());
            // What is no escape of two digits is for the reader to judge.
            value.is_none_or(|byte| byte.is_ascii_alphanumeric() || b"\"\\/.-_".contains(&byte))
        })
    }

    /// Whether the record looks like JSON text with its two ends in place, and like audit events.
    /// One that was cut off leaves braces open.
    fn is_whole_audit_record(&self, record: &[u8]) -> bool {
        let record = record.trim_ascii();
        let ends_match = matches!(
            (record.first(), record.last()),
            (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']')) | (Some(b'"'), Some(b'"'))
        );
        ends_match
            && record.len() > 1
            && self.marks.iter().any(|mark| mark.find(record).is_some())
            && closes(record, 0)
    }
}

/// Whether so many braces are closed that were not opened there, and no brackets, those in strings
/// included.
fn closes(text: &[u8], braces: usize) -> bool {
    // Counted by vectors.
    let count = |byte| memchr::memchr_iter(byte, text).count();
    count(b'{') + braces == count(b'}') && count(b'[') == count(b']')
}

#[cfg(test)]
#[path = "prefilter_tests.rs"]
mod tests;
#[cfg(test)]
#[path = "prefilter_wrapper_tests.rs"]
mod wrapper_tests;
