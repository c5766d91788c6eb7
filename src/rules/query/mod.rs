//! Queries over audit events in KQL, the language of Kibana's search bar.
//!
//! Owns the language, the fields that a document has, and how many queries are asked of an event
//! at once. Pure: no I/O, no clock. Which queries there are, and what a match means, is for the
//! rules.
//!
//! Source of the language: the published reference of the Kibana Query Language; what its text
//! leaves open was settled by what Elasticsearch finds. Strings are keywords here: compared whole
//! and case-sensitively.
//!
//! ```text
//! text ── parse ──▸ Query ── compile, many together ──▸ Program ── run, with an event ──▸ Matches
//! ```
//!
//! # What differs from Kibana, on purpose
//! - A keyword that joins nothing (`a and`, `not` alone), `field = value` and typographic quotes
//!   are errors, where Kibana would search for such a text.
//! - An empty query is an error; `*` matches every event.
//! - A field that no event can have is an error ([`Mode::Strict`]), as is a value that cannot be
//!   one of its field.
//! - `?` is a plain character. `\not` is the word, not a line break before `ot`. Escaped blanks at
//!   the ends of a value stay.
//! - Below `path:{ … }` any list of objects is looked at object by object, whatever a mapping says.
//! - There is no clock, so no `now`.

mod ast;
mod compile;
mod dispatch;
mod early;
mod error;
mod extract;
mod fields;
mod needles;
mod parse;
mod predicate;
mod program;
mod value;

#[cfg(test)]
mod generate;
#[cfg(test)]
mod reference;

use std::collections::BTreeSet;
use std::fmt;

pub use dispatch::OfRules;
pub use early::{EarlyField, Known};
pub use error::QueryError;
pub use fields::{DerivedField, Kind, catalogue, open_prefixes};
pub use needles::Needles;
pub use program::{
    Derived, DerivedValues, Matches, Mode, NotDerived, Problem, Program, RunError, Scratch,
};
pub use value::Network;

/// A query that was read. Whether its fields exist is for [`Program::compile`] to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    text: String,
    node: ast::Node,
}

impl Query {
    /// # Errors
    /// If the text is no query, or larger than `limits` allow; with the place, and a hint.
    pub fn parse(text: &str) -> Result<Query, QueryError> {
        Ok(Query { node: parse::parse(text)?, text: text.to_owned() })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The names of the fields as the query writes them, sorted; wildcards as stars, and a single
    /// star for a value without a field. Names within `path:{ … }` come with their path.
    pub fn fields(&self) -> Vec<String> {
        let mut names = BTreeSet::new();
        self.node.collect_fields("", &mut names);
        names.into_iter().collect()
    }

    /// Whether a field of it is below a body, or may be.
    pub fn asks_about_bodies(&self) -> bool {
        const BODIES: [&str; 2] =
            ["kubernetes.audit.requestObject", "kubernetes.audit.responseObject"];
        self.fields().iter().any(|field| {
            let known = field.split('*').next().unwrap_or_default();
            BODIES
                .iter()
                .any(|body| field.starts_with(body) || known != field && body.starts_with(known))
        })
    }
}

/// One line without value lists that reads as the same query.
impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.node.fmt(f)
    }
}
