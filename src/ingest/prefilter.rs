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
//! A record that is written plainly enough is judged by the few fields that tell most events apart,
//! which are found in its bytes (see `early`): it passes if what the rules ask of these may be
//! fulfilled. Without rules with a query that is done only where a word was found; with them all at
//! once, since they have many words.
//!
//! What carries events in base64 does so under keys that the record shows (`data`, behind which its
//! quote follows, with backslashes before it in a string), or shows no mark of an audit event at all. The escapes that Go's encoder writes into nearly every request
//! URI (`\u0026`, `\u003c`, `\u003e`) stand for no character of a word and let nothing through.

mod early;
mod needles;

use std::sync::Arc;

use memchr::memmem::Finder;

use crate::limits;
use crate::rules::format::MatchTable;
use crate::rules::query::{self, EarlyField, Known, Program};
use crate::rules::rule::{Condition, NewTermsRule, RuleKind};
use crate::rules::set::RuleSet;
use needles::Needles;

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
    /// How a plain record is judged.
    plain: Plain,
    marks: [Finder<'static>; 3],
}

/// What the rules ask of an event.
#[derive(Debug, Clone, Default)]
struct Plain {
    /// Of those with a query.
    program: Option<Arc<Program>>,
    /// One of them looks at the commands of execs.
    execs: bool,
    tables: Vec<MatchTable>,
}

impl Plain {
    fn of(rules: &RuleSet) -> Plain {
        let mut plain =
            Plain { program: rules.queries().map(|it| it.shared_program()), ..Plain::default() };
        for rule in rules.rules() {
            match rule.kind() {
                RuleKind::Exec(_) => plain.execs = true,
                RuleKind::NewTerms(NewTermsRule { condition: Condition::Match(table), .. }) => {
                    plain.tables.push(table.clone());
                }
                RuleKind::NewTerms(_) | RuleKind::Query(_) => {}
            }
        }
        plain
    }

    fn may_match(&self, event: &early::Fields<'_>) -> bool {
        let is_absent = |field| matches!(event.known(field), Known::Text(None));
        self.execs && !is_absent(EarlyField::Derived)
            || self.tables.iter().any(|table| may_count(table, event))
            || self.program.as_ref().is_some_and(|it| it.may_match(|field| event.known(field)))
    }
}

/// Whether the event may be one that counts for a new-terms rule.
fn may_count(table: &MatchTable, event: &early::Fields<'_>) -> bool {
    let fits = |field, wanted: &dyn Fn(&str) -> bool| match event.known(field) {
        Known::Text(text) => text.is_some_and(wanted),
        Known::Unknown => true,
    };
    fits(EarlyField::Resource, &|resource| resource == table.resource)
        && fits(EarlyField::Verb, &|verb| table.verbs.iter().any(|wanted| wanted == verb))
}

impl Prefilter {
    pub fn new(rules: &RuleSet) -> Prefilter {
        let mut always: Vec<String> = OPAQUE.iter().map(|&key| key.to_owned()).collect();
        for word in rules.rules().iter().flat_map(|rule| rule.object_words()) {
            always.extend(LEADS.iter().map(|lead| format!("{lead}{word}")));
        }
        let plain = Plain::of(rules);
        let Some(queries) = rules.queries() else {
            return Prefilter::of(Needles::of(always), plain);
        };
        // What a log entry of GKE becomes has names that the entry has not.
        always.push(GKE_PAYLOAD.to_owned());
        for (_, of_rule) in queries.in_force() {
            match of_rule {
                // What a query needs may stand anywhere in the event.
                query::Needles::AnyOf(any) => always.extend(any.iter().cloned()),
                query::Needles::Unknown => return Prefilter::of(Needles::Unknown, plain),
            }
        }
        Prefilter::of(Needles::of(always), plain)
    }

    fn of(needles: Needles, plain: Plain) -> Prefilter {
        let marks = MARKS.map(|mark| Finder::new(mark.as_bytes()).into_owned());
        Prefilter { needles, plain, marks }
    }

    /// Judges one record's raw value.
    pub fn verdict(&self, record: &[u8]) -> Verdict {
        if record.len() > limits::RECORD_MAX_BYTES {
            return Verdict::Pass;
        }
        let has_queries = self.plain.program.is_some();
        let may_match = &mut |event: &early::Fields<'_>| self.plain.may_match(event);
        let plainly = if has_queries { early::any(record, may_match) } else { None };
        let passes = plainly.unwrap_or_else(|| {
            if self.needles.are_in(record) {
                // To take a wrapper apart costs more than the few that need no parsing would save.
                has_queries || early::one(record, may_match) != Some(false)
            } else {
                !self.is_whole_audit_record(record)
            }
        });
        if passes { Verdict::Pass } else { Verdict::Drop }
    }

    /// Whether the record looks like JSON text with its two ends in place, and like audit events.
    /// One that was cut off leaves braces open.
    fn is_whole_audit_record(&self, record: &[u8]) -> bool {
        let record = record.trim_ascii();
        let ends_match = matches!(
            (record.first(), record.last()),
            (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']')) | (Some(b'"'), Some(b'"'))
        );
        ends_match && record.len() > 1 && self.has_mark(record) && closes(record, 0)
    }

    /// Most records show one where they begin.
    fn has_mark(&self, record: &[u8]) -> bool {
        record.starts_with(early::EVENT)
            || self.marks.iter().any(|mark| mark.find(record).is_some())
    }
}

/// Whether so many braces are closed that were not opened there, those in strings included. Brackets
/// tell no more: where a record of objects is cut off, a brace is open.
fn closes(text: &[u8], braces: usize) -> bool {
    bytecount::count(text, b'{') + braces == bytecount::count(text, b'}')
}

#[cfg(test)]
#[path = "prefilter_tests.rs"]
mod tests;
#[cfg(test)]
#[path = "prefilter_wrapper_tests.rs"]
mod wrapper_tests;
