//! Byte strings without which an event's JSON cannot match, so that most events need not be asked.
//!
//! Only what every encoder writes as it is counts: ASCII letters, digits, `-`, `.` and `_` within a
//! name or a text. A slash may be `\/`, and Go writes `&`, `<` and `>` as escapes. Digits alone do
//! not count either, since a number can be written in many ways.

use std::collections::HashMap;

use super::extract::Slot;
use super::fields::{self, Kind, Open};
use super::predicate::Scalar;
use super::program::{Expr, ExprId, Program, Source, SourceId, TestId};
use crate::limits;

/// What an event's JSON has to hold for a query to match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Needles {
    /// At least one of these; without any, no event matches.
    AnyOf(Vec<String>),
    /// Nothing is certain: the query has to be asked of every event.
    Unknown,
}

/// Words that stand in nearly every event: they spare nothing.
const COMMON: &str = "Event Metadata Request RequestResponse allow annotations apiGroup apiVersion \
    audit auditID authenticated authorization code decision false io k8s kind kubernetes level \
    metadata name namespace objectRef reason resource responseStatus sourceIPs stage system true \
    uid user userAgent username verb";

pub(super) fn of(program: &Program) -> Vec<Needles> {
    let mut hits = HashMap::new();
    for scope in &program.scopes {
        hits.extend(scope.roots.iter().map(|(root, hit)| (*hit, *root)));
    }
    let mut finder = NeedleFinder { program, hits, known: HashMap::new() };
    let needles = |id: &ExprId| match finder.needed(*id, true) {
        Some(set) if set.worth() > COMMON_WORTH => Needles::AnyOf(set.0),
        _ => Needles::Unknown,
    };
    program.roots.iter().map(needles).collect()
}

struct NeedleFinder<'p> {
    program: &'p Program,
    /// The condition behind each hit.
    hits: HashMap<usize, ExprId>,
    known: HashMap<(ExprId, bool), Option<Set>>,
}

/// Sorted and distinct, none within another.
#[derive(Debug, Clone)]
struct Set(Vec<String>);

/// From here on a value is better than a name.
const VALUE_WORTH_MIN: usize = 3;

/// What a needle of a common word is worth; others are worth their length.
const COMMON_WORTH: usize = 1;

impl Set {
    fn one(needle: &str) -> Option<Set> {
        Some(Set(vec![needle.to_owned()]))
    }

    /// What the worst one is worth; most if there are none.
    fn worth(&self) -> usize {
        self.0.iter().map(|needle| worth(needle)).min().unwrap_or(usize::MAX)
    }

    fn better(self, other: Set) -> Set {
        let rank = |set: &Set| (set.worth(), std::cmp::Reverse(set.0.len()));
        if rank(&other) > rank(&self) { other } else { self }
    }

    fn union(mut self, other: Set) -> Option<Set> {
        for needle in other.0 {
            if self.0.iter().any(|known| needle.contains(known.as_str())) {
                continue;
            }
            self.0.retain(|known| !known.contains(needle.as_str()));
            self.0.push(needle);
        }
        self.0.sort();
        (self.0.len() <= limits::NEEDLES_MAX).then_some(self)
    }
}

fn worth(needle: &str) -> usize {
    if COMMON.split(' ').any(|common| common == needle) { COMMON_WORTH } else { needle.len() }
}

impl NeedleFinder<'_> {
    /// What is needed for the expression to be `holds`.
    fn needed(&mut self, id: ExprId, holds: bool) -> Option<Set> {
        if let Some(known) = self.known.get(&(id, holds)) {
            return known.clone();
        }
        let program = self.program;
        let needed = match &program.exprs[id] {
            Expr::True => {
                if holds {
                    None
                } else {
                    Some(Set(Vec::new()))
                }
            }
            Expr::False => {
                if holds {
                    Some(Set(Vec::new()))
                } else {
                    None
                }
            }
            Expr::Test { sources, test } if holds => self.any_source(sources, *test),
            Expr::Hit(hit) if holds => {
                let root = self.hits.get(hit).copied();
                root.and_then(|root| self.needed(root, true))
            }
            Expr::Test { .. } | Expr::Hit(_) => None,
            Expr::Not(inner) => self.needed(*inner, !holds),
            Expr::And(inner) if holds => self.best(inner, holds),
            Expr::Or(inner) if !holds => self.best(inner, holds),
            Expr::And(inner) | Expr::Or(inner) => self.all(inner, holds),
        };
        self.known.insert((id, holds), needed.clone());
        needed
    }

    /// All of them are the case: the best alone is enough.
    fn best(&mut self, inner: &[ExprId], holds: bool) -> Option<Set> {
        inner.iter().filter_map(|id| self.needed(*id, holds)).reduce(Set::better)
    }

    /// Any of them is the case.
    fn all(&mut self, inner: &[ExprId], holds: bool) -> Option<Set> {
        inner.iter().try_fold(Set(Vec::new()), |set, id| set.union(self.needed(*id, holds)?))
    }

    fn any_source(&self, sources: &[SourceId], test: TestId) -> Option<Set> {
        sources
            .iter()
            .try_fold(Set(Vec::new()), |set, source| set.union(self.source(*source, test)?))
    }

    fn source(&self, source: SourceId, test: TestId) -> Option<Set> {
        let asked = &self.program.tests[test];
        let (slot, textual) = match self.program.sources[source] {
            Source::Slot { slot, kind, .. } => (slot, matches!(kind, Kind::Keyword | Kind::Any)),
            Source::Nonempty(slot) => (slot, true),
            Source::Outcome(_) => {
                let words = [("success", "allow"), ("failure", "forbid")].into_iter();
                let holds = |outcome| asked.holds(Kind::Keyword, Scalar::Text(outcome));
                let accepted = words.filter(|(outcome, _)| holds(outcome));
                return Some(Set(accepted.map(|(_, word)| word.to_owned()).collect()));
            }
            Source::Addresses(slot) => (slot, false),
            Source::Time { .. } | Source::Derived { .. } | Source::Constant(_) => return None,
        };
        let pieces = asked.pieces();
        let runs = pieces.iter().flat_map(|piece| piece.split(|c| !is_plain(c)));
        let value = if textual { longest(runs.filter(|run| is_no_number(run))) } else { None };
        // A name says less than a value: every event of its kind has it.
        match (value, self.key(slot)) {
            (Some(value), Some(key)) if value.worth() < VALUE_WORTH_MIN => Some(value.better(key)),
            (value, key) => value.or(key),
        }
    }

    /// The name under which a value of the slot stands, if only some events have it.
    fn key(&self, slot: Slot) -> Option<Set> {
        let path = self.program.paths.get(slot)?.as_deref()?;
        let prefix = fields::OPEN.iter().map(Open::path).find(|open| path.starts_with(open))?;
        let mut names = path[prefix.len()..].rsplit(|c| !is_plain(c) || c == '.' || c == '_');
        let last = names.find(|name| worth(name) > COMMON_WORTH);
        last.and_then(Set::one).or_else(|| longest(prefix.split('.')))
    }
}

fn longest<'r>(runs: impl Iterator<Item = &'r str>) -> Option<Set> {
    let runs = runs.filter(|run| !run.is_empty());
    runs.max_by_key(|run| worth(run)).and_then(Set::one)
}

/// What no encoder has a reason to escape.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_')
}

/// Whether it cannot be part of a number, which the event may have written in another way.
fn is_no_number(run: &str) -> bool {
    run.bytes().any(|byte| byte.is_ascii_alphabetic() && !byte.eq_ignore_ascii_case(&b'e'))
}

#[cfg(test)]
#[path = "needles_tests.rs"]
mod tests;
