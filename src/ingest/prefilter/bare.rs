//! What the bytes of bare events tell of a few fields, for rules with a query.
//!
//! Owns which texts of a record count as values of such a field. `"verb"` stands before the verb
//! and, within a string, nowhere: a string's own quotes have backslashes before them. Where
//! something else follows it than `:"` and a text, nothing is known, and so where `verb\"` says that
//! there may be an event within a string. Objects in a body may have such a name too, and a record
//! may hold several events: their values count as well, so that the answer is never too strict.
//! Letters that are written as escapes are for the caller to notice.

use std::collections::HashMap;

use memchr::memmem::Finder;
use smallvec::SmallVec;

use crate::rules::query::{Clause, ClauseField, OfRules};

/// How a record begins whose events stand in it as objects, as an API server writes them.
const BEGINNINGS: [&[u8]; 2] = [
    b"{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/",
    b"{\"kind\":\"EventList\",\"apiVersion\":\"audit.k8s.io/",
];
/// With more values of a field in one record every query is taken for possible.
const VALUES_MAX: usize = 64;
const FIELDS: usize = ClauseField::ALL.len();

/// Queries with clauses.
#[derive(Debug, Clone)]
pub(super) struct BareEvents {
    /// `NAME`, where any query asks for it.
    keys: [Option<Finder<'static>>; FIELDS],
    /// By field and text of the first clause of a query: its other clauses.
    queries: [HashMap<Box<[u8]>, Vec<Others>, OfRules>; FIELDS],
}

/// Field and texts.
type Others = Vec<(usize, Vec<Box<[u8]>>)>;

/// Most records have one or two of a field.
type Values<'r> = SmallVec<[&'r [u8]; 4]>;

/// Whether the record is one that [`BareEvents::may_match`] can judge.
pub(super) fn is_bare(record: &[u8]) -> bool {
    let record = record.trim_ascii_start();
    BEGINNINGS.iter().any(|beginning| record.starts_with(beginning))
}

impl BareEvents {
    /// Each query has at least one clause.
    pub fn new<'c>(queries: impl Iterator<Item = &'c [Clause]>) -> BareEvents {
        let mut bare = BareEvents {
            keys: [const { None }; FIELDS],
            queries: std::array::from_fn(|_| HashMap::default()),
        };
        for clauses in queries {
            for clause in clauses {
                let name = clause.field.name().as_bytes();
                bare.keys[clause.field as usize].get_or_insert_with(|| Finder::new(name));
            }
            let bytes =
                |texts: &[String]| texts.iter().map(|text| text.as_bytes().into()).collect();
            let Some((first, others)) = clauses.split_first() else { continue };
            let others: Others =
                others.iter().map(|clause| (clause.field as usize, bytes(&clause.texts))).collect();
            for text in &first.texts {
                let of_text = bare.queries[first.field as usize].entry(text.as_bytes().into());
                let known = of_text.or_default();
                if !known.contains(&others) {
                    known.push(others.clone());
                }
            }
        }
        bare
    }

    /// Whether an event of the record may have what any query needs.
    pub fn may_match(&self, record: &[u8]) -> bool {
        let mut values: [Values<'_>; FIELDS] = Default::default();
        for (key, values) in self.keys.iter().zip(&mut values) {
            let Some(key) = key else { continue };
            if !collect(key, record, values) {
                return true;
            }
        }
        let has = |(field, texts): &(usize, Vec<Box<[u8]>>)| {
            values[*field].iter().any(|value| texts.iter().any(|text| **text == **value))
        };
        let mut possible =
            self.queries.iter().zip(&values).flat_map(|(queries, values)| {
                values.iter().filter_map(|value| queries.get(*value))
            });
        possible.any(|queries| queries.iter().any(|others| others.iter().all(has)))
    }
}

/// Finds the distinct values; `false` if that can't be done.
fn collect<'r>(key: &Finder<'_>, record: &'r [u8], values: &mut Values<'r>) -> bool {
    for at in key.find_iter(record) {
        let rest = record.get(at + key.needle().len()..).unwrap_or_default();
        let before = at.checked_sub(1).and_then(|before| record.get(before));
        match (before, rest.first()) {
            (_, Some(b'\\')) => return false,
            (Some(b'"'), Some(b'"')) => {}
            // Part of another text.
            _ => continue,
        }
        let Some(rest) = rest.strip_prefix(b"\":\"") else { return false };
        let Some(end) = memchr::memchr2(b'"', b'\\', rest) else { return false };
        // A text with an escape is written otherwise than it reads.
        if rest.get(end) != Some(&b'"') {
            return false;
        }
        let value = rest.get(..end).unwrap_or_default();
        if values.contains(&value) {
            continue;
        }
        if values.len() == VALUES_MAX {
            return false;
        }
        values.push(value);
    }
    true
}
