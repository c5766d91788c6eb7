//! What is made of an event once a rule has matched it: labels, and what alerts are the same to a
//! person. Both rest on values of fields that are read only then.

use std::sync::Arc;

use crate::rules::patterns::PatternList;
use crate::rules::query::Program;

/// Of a rule that has labels over a field, or a suppression.
#[derive(Debug, Clone)]
pub struct Triage {
    /// Reads the fields that the others name by number; asks nothing.
    pub(super) fields: Arc<Program>,
    pub(super) names: Vec<String>,
    pub(super) labels: Option<Labels>,
    pub(super) suppress: Option<Suppress>,
}

/// Ordered patterns over the values of one field.
#[derive(Debug, Clone)]
pub struct Labels {
    /// Number of the field.
    pub field: usize,
    /// By label. One applies if it matches any value.
    pub patterns: PatternList,
    /// Where none applies.
    pub default: Option<String>,
}

/// Alerts with the same values within a time are one to a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppress {
    /// Numbers of the fields.
    pub by: Vec<usize>,
    /// More than 0.
    pub for_ms: i64,
}

impl Triage {
    pub fn fields(&self) -> &Program {
        &self.fields
    }

    /// A field's name by its number.
    pub fn name(&self, field: usize) -> &str {
        self.names.get(field).map_or("", String::as_str)
    }

    pub fn labels(&self) -> Option<&Labels> {
        self.labels.as_ref()
    }

    pub fn suppress(&self) -> Option<&Suppress> {
        self.suppress.as_ref()
    }
}

impl Labels {
    /// The labels that apply, in their order; the first one is the alert's.
    pub fn of<'v>(&self, values: impl IntoIterator<Item = &'v str>) -> Vec<String> {
        let mut applies = vec![false; self.patterns.len()];
        for value in values {
            for index in self.patterns.matching(value) {
                if let Some(applies) = applies.get_mut(index) {
                    *applies = true;
                }
            }
        }
        let names = self.patterns.names().iter().zip(applies);
        let labels: Vec<String> =
            names.filter(|(_, applies)| *applies).map(|(name, _)| name.clone()).collect();
        if labels.is_empty() { self.default.iter().cloned().collect() } else { labels }
    }
}

/// Where the name stands, at the end if it was not there.
pub(super) fn number_of(names: &mut Vec<String>, name: &str) -> usize {
    names.iter().position(|known| known == name).unwrap_or_else(|| {
        names.push(name.to_owned());
        names.len() - 1
    })
}
