//! Many queries as one decision program.
//!
//! A program is a list of expressions, each made of earlier ones; equal ones are one, whichever
//! queries they are from. Asking an event fills the values once and then evaluates the roots. Each
//! expression is evaluated at most once an event, and only if an answer depends on it.

use std::borrow::Cow;
use std::cell::RefCell;

use thiserror::Error;

use super::dispatch::{Dispatch, GroupId, Step};
use super::early::{EarlyField, FieldSet, Known};
use super::error::QueryError;
use super::extract::{Plan, Scopes, Slot, Values, extract};
use super::fields::{DerivedField, Kind};
use super::needles::Needles;
use super::predicate::{Scalar, Test};

/// How strict a program is about what no event can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// An unknown field, or a value that cannot be one of its field, is an error.
    #[default]
    Strict,
    /// It is a warning, and the condition never holds: for queries that were written for other
    /// documents too.
    Lenient,
}

/// What is wrong with one of the queries.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{error}")]
pub struct Problem {
    /// Which of the queries that were given, from 0.
    pub query: usize,
    pub error: QueryError,
}

/// Why an event could not be asked.
#[derive(Debug, Error)]
pub enum RunError {
    #[error("the event is no UTF-8")]
    Encoding,
    #[error("the event is no JSON object")]
    NotAnObject,
    #[error("the event is larger than 4 GiB")]
    TooLarge,
    #[error("the event has more values than are kept, {}", crate::limits::EVENT_VALUES_MAX)]
    TooManyValues,
    #[error("the event is no valid JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Reads what is not in an event's JSON. Asked only if an answer depends on it, and at most once a
/// field and event.
pub trait Derived {
    /// Gives all values of the field; none if the event has none.
    fn derive(&mut self, field: DerivedField, values: &mut DerivedValues<'_>);
}

/// For events that are no exec.
#[derive(Debug, Clone, Copy, Default)]
pub struct NotDerived;

impl Derived for NotDerived {
    fn derive(&mut self, _: DerivedField, _: &mut DerivedValues<'_>) {}
}

/// Where [`Derived`] puts the values of a field.
pub struct DerivedValues<'v> {
    values: &'v mut Values,
    slot: Slot,
}

impl DerivedValues<'_> {
    pub fn text(&mut self, text: &str) {
        self.values.push_text(self.slot, text);
    }

    pub fn boolean(&mut self, value: bool) {
        self.values.push_boolean(self.slot, value);
    }
}

pub(super) type ExprId = usize;
pub(super) type SourceId = usize;
pub(super) type TestId = usize;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Expr {
    True,
    False,
    /// Some value of some of the sources is what is asked.
    Test {
        sources: Box<[SourceId]>,
        test: TestId,
    },
    /// Some object of a scope fulfilled the scope's root of this number.
    Hit(usize),
    Not(ExprId),
    /// Cheap ones first.
    And(Box<[ExprId]>),
    Or(Box<[ExprId]>),
}

/// The values of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// Of the event itself (scope 0), or of an object of a scope.
    Slot {
        slot: Slot,
        kind: Kind,
        scope: usize,
    },
    Nonempty(Slot),
    Outcome(Slot),
    Time {
        received: Slot,
        stage: Slot,
    },
    Addresses(Slot),
    Derived {
        field: DerivedField,
        slot: Slot,
        kind: Kind,
    },
    Constant(&'static str),
}

/// A nested query's objects, and what is asked of each.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    /// What is kept of one object.
    pub slots: Vec<Slot>,
    pub exprs: Vec<ExprId>,
    /// Hits of the scopes within.
    pub hits: Vec<usize>,
    /// A condition, and the hit that it sets.
    pub roots: Vec<(ExprId, usize)>,
}

/// Compiled queries. Free of state: what an event needs is in a [`Scratch`].
#[derive(Debug, Clone)]
pub struct Program {
    pub(super) plan: Plan,
    /// For each slot the path of its values in the event, if it is one.
    pub(super) paths: Vec<Option<Box<str>>>,
    pub(super) hits: usize,
    pub(super) sources: Vec<Source>,
    pub(super) tests: Vec<Test>,
    pub(super) exprs: Vec<Expr>,
    pub(super) scopes: Vec<Scope>,
    pub(super) roots: Vec<ExprId>,
    pub(super) dispatch: Dispatch,
    pub(super) reads: Vec<SourceId>,
    /// For each source the field that may be known early.
    pub(super) early: Vec<Option<EarlyField>>,
    /// For each query the fields that an event must have for it to match.
    pub(super) required: Vec<FieldSet>,
    pub(super) needles: Vec<Needles>,
    pub(super) warnings: Vec<Problem>,
}

const UNKNOWN: u8 = 0;
const NO: u8 = 1;
const YES: u8 = 2;

thread_local! {
    /// Of each expression whether it may be false, and whether it may be true.
    static MAY_BE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What asking an event takes, to be used again for the next. It may serve several programs.
#[derive(Debug, Default)]
pub struct Scratch {
    values: Values,
    state: State,
    matched: Vec<usize>,
}

#[derive(Debug, Default)]
struct State {
    /// What is known of each expression.
    known: Vec<u8>,
    /// Which groups were looked at.
    looked_at: Vec<bool>,
    candidates: Vec<usize>,
    hits: Vec<bool>,
    /// A bit for each derived field that was asked for.
    derived: u8,
}

impl Program {
    /// How many queries it has.
    pub fn len(&self) -> usize {
        self.roots.len()
    }

    pub fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    /// What was let pass in [`Mode::Lenient`].
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// What an event's JSON has to hold for a query to match, query by query.
    pub fn needles(&self) -> &[Needles] {
        &self.needles
    }

    /// The fields that [`Derived`] may be asked for, for any of the queries.
    pub fn derives(&self) -> Vec<DerivedField> {
        let derived = |source: &Source| match source {
            Source::Derived { field, .. } => Some(*field),
            _ => None,
        };
        self.sources.iter().filter_map(derived).collect()
    }

    /// Whether a query matches every event or none, if that is known beforehand.
    pub fn fixed_answer(&self, query: usize) -> Option<bool> {
        match self.exprs.get(*self.roots.get(query)?)? {
            Expr::True => Some(true),
            Expr::False => Some(false),
            _ => None,
        }
    }

    /// Whether any query may match an event of which `known` tells some fields; `false` is
    /// certain. Costs a look-up for each field by which the queries are told apart, and what those
    /// that are left ask of known fields.
    pub fn may_match<'v>(&self, known: impl Fn(EarlyField) -> Known<'v>) -> bool {
        let is_absent = |field: &EarlyField| known(*field) == Known::Text(None);
        let absent = EarlyField::ALL.into_iter().filter(is_absent).map(EarlyField::bit);
        let absent = absent.fold(0, |all, bit| all | bit);
        let known = |source: SourceId| self.early[source].map_or(Known::Unknown, &known);
        MAY_BE.with_borrow_mut(|answers| {
            answers.clear();
            answers.resize(2 * self.exprs.len(), UNKNOWN);
            self.any_may_match(&known, absent, answers)
        })
    }

    fn any_may_match<'v>(
        &self,
        known: &impl Fn(SourceId) -> Known<'v>,
        absent: FieldSet,
        answers: &mut [u8],
    ) -> bool {
        let mut may = |query: &usize| {
            self.required[*query] & absent == 0
                && self.may_be(self.roots[*query], true, known, answers)
        };
        if self.dispatch.always.iter().any(&mut may) {
            return true;
        }
        let mut opens = |gate: &GroupId| {
            let group = &self.dispatch.groups[*gate];
            match known(group.source) {
                Known::Unknown => group.queries().any(&mut may),
                Known::Text(value) => value.is_some_and(|value| {
                    let mut any = false;
                    group.told(value, |told| any = any || told.queries.iter().any(&mut may));
                    any
                }),
            }
        };
        self.dispatch.gates.iter().any(&mut opens)
    }

    /// Whether the expression may have this value. Recurses as deep as the queries nest, and finds
    /// each answer once: rules ask much of the same.
    fn may_be<'v>(
        &self,
        id: ExprId,
        wanted: bool,
        known: &impl Fn(SourceId) -> Known<'v>,
        answers: &mut [u8],
    ) -> bool {
        let place = 2 * id + usize::from(wanted);
        if answers[place] != UNKNOWN {
            return answers[place] == YES;
        }
        let answer = match &self.exprs[id] {
            Expr::True => wanted,
            Expr::False => !wanted,
            Expr::Hit(_) => true,
            Expr::Not(inner) => self.may_be(*inner, !wanted, known, answers),
            Expr::And(inner) if wanted => {
                // Mostly what another query asks as well has said no.
                let is_no = |id: &ExprId| answers[2 * id + 1] == NO;
                !inner.iter().any(is_no)
                    && inner.iter().all(|id| self.may_be(*id, true, known, answers))
            }
            Expr::And(inner) => inner.iter().any(|id| self.may_be(*id, false, known, answers)),
            Expr::Or(inner) if wanted => {
                inner.iter().any(|id| self.may_be(*id, true, known, answers))
            }
            Expr::Or(inner) => inner.iter().all(|id| self.may_be(*id, false, known, answers)),
            Expr::Test { sources, test } => self
                .may_hold(sources, &self.tests[*test], known)
                .is_none_or(|holds| holds == wanted),
        };
        answers[place] = if answer { YES } else { NO };
        answer
    }

    /// Whether any of the values is what is asked; `None` if one is not known.
    fn may_hold<'v>(
        &self,
        sources: &[SourceId],
        test: &Test,
        known: &impl Fn(SourceId) -> Known<'v>,
    ) -> Option<bool> {
        let mut holds = false;
        for source in sources {
            let Known::Text(value) = known(*source) else { return None };
            let value = value.map(Scalar::Text);
            holds |= value.is_some_and(|value| match self.sources[*source] {
                Source::Slot { kind, .. } => test.holds(kind, value),
                _ => value != Scalar::Text("") && test.holds(Kind::Keyword, value),
            });
        }
        Some(holds)
    }

    /// How many fields the caller reads.
    pub fn reads(&self) -> usize {
        self.reads.len()
    }

    /// Asks one event: the JSON object of an audit event, without what a log pipeline wrapped it
    /// in. Linear in its size, and hardly dearer for many queries than for one.
    ///
    /// # Errors
    /// If it is no JSON object, nests deeper than 128 where a query looks, or has too many values.
    pub fn run<'r>(
        &'r self,
        event: &'r [u8],
        scratch: &'r mut Scratch,
        derived: &'r mut dyn Derived,
    ) -> Result<Matches<'r>, RunError> {
        let event = std::str::from_utf8(event).map_err(|_| RunError::Encoding)?;
        if event.len() >= u32::MAX as usize {
            return Err(RunError::TooLarge);
        }
        if !event.trim_start().starts_with('{') {
            return Err(RunError::NotAnObject);
        }
        let Scratch { values, state, matched } = scratch;
        values.reset(self.paths.len());
        matched.clear();
        state.known.clear();
        state.known.resize(self.exprs.len(), UNKNOWN);
        state.candidates.clear();
        state.looked_at.clear();
        state.looked_at.resize(self.dispatch.groups.len(), false);
        state.hits.clear();
        state.hits.resize(self.hits, false);
        state.derived = 0;

        let extracted = extract(&self.plan, event, values, &mut InScopes { program: self, state });
        if values.too_many() {
            return Err(RunError::TooManyValues);
        }
        extracted?;
        let mut asked = Asking { program: self, event, values, state, derived: Some(derived) };
        self.dispatch.gates.iter().for_each(|gate| asked.look_at(*gate));
        let mut candidates = std::mem::take(&mut asked.state.candidates);
        let queries = candidates.drain(..).chain(self.dispatch.always.iter().copied());
        matched.extend(queries.filter(|query| asked.holds(self.roots[*query])));
        // A query may have been worth looking at for several values of a field.
        matched.sort_unstable();
        matched.dedup();
        state.candidates = candidates;
        if values.too_many() {
            return Err(RunError::TooManyValues);
        }
        Ok(Matches { program: self, event, scratch, derived })
    }
}

/// The answer for one event.
pub struct Matches<'r> {
    program: &'r Program,
    event: &'r str,
    scratch: &'r mut Scratch,
    derived: &'r mut dyn Derived,
}

impl Matches<'_> {
    /// The numbers of the queries that match, ascending.
    pub fn queries(&self) -> &[usize] {
        &self.scratch.matched
    }

    pub fn contains(&self, query: usize) -> bool {
        self.scratch.matched.binary_search(&query).is_ok()
    }

    /// The values of one of the fields that the program was told to read, as text, in the event's
    /// order and with repetitions; none if the event has none.
    pub fn values(&mut self, read: usize) -> Vec<Cow<'_, str>> {
        let Some(source) = self.program.reads.get(read) else { return Vec::new() };
        let Matches { program, event, scratch: Scratch { values, state, .. }, derived } = self;
        let mut asking = Asking { program, event, values, state, derived: Some(*derived) };
        asking.fetch(*source);
        let mut texts = Vec::new();
        let values = &self.scratch.values;
        program.sources[*source].any(values, event, &mut |kind, value| {
            if value.is_of(kind) {
                texts.push(value.text());
            }
            false
        });
        texts
    }
}

struct Asking<'a> {
    program: &'a Program,
    event: &'a str,
    values: &'a mut Values,
    state: &'a mut State,
    /// Not within a scope, where nothing is derived.
    derived: Option<&'a mut dyn Derived>,
}

impl Asking<'_> {
    /// Recurses as deep as the queries nest.
    fn holds(&mut self, id: ExprId) -> bool {
        match self.state.known[id] {
            UNKNOWN => {}
            known => return known == YES,
        }
        let program = self.program;
        let holds = match &program.dispatch.steps[id] {
            Step::Fixed(holds) => *holds,
            Step::Test { sources, test } => {
                sources.iter().any(|source| self.tests(*source, &program.tests[*test]))
            }
            Step::Group(group) => {
                self.look_at(*group);
                self.state.known[id] == YES
            }
            Step::Hit(hit) => self.state.hits[*hit],
            Step::Not(inner) => !self.holds(*inner),
            Step::And(inner) => inner.iter().all(|id| self.holds(*id)),
            Step::Or { groups, others } => {
                groups.iter().for_each(|group| self.look_at(*group));
                self.state.known[id] == YES || others.iter().any(|id| self.holds(*id))
            }
        };
        self.state.known[id] = if holds { YES } else { NO };
        holds
    }

    /// Marks every expression that the values of the group's field make true, and notes the
    /// queries that are worth looking at then.
    fn look_at(&mut self, id: GroupId) {
        if std::mem::replace(&mut self.state.looked_at[id], true) {
            return;
        }
        let group = &self.program.dispatch.groups[id];
        self.fetch(group.source);
        let State { known, candidates, .. } = self.state;
        self.program.sources[group.source].any(self.values, self.event, &mut |_, value| {
            group.told(&value.text(), |told| {
                // The same value again says nothing new.
                if told.exprs.first().is_some_and(|id| known[*id] != YES) {
                    told.exprs.iter().for_each(|id| known[*id] = YES);
                    candidates.extend(&told.queries);
                }
            });
            false
        });
    }

    fn tests(&mut self, source: SourceId, test: &Test) -> bool {
        self.fetch(source);
        self.program.sources[source]
            .any(self.values, self.event, &mut |kind, value| test.holds(kind, value))
    }

    fn fetch(&mut self, source: SourceId) {
        let Source::Derived { field, slot, .. } = self.program.sources[source] else { return };
        let bit = 1 << field as u8;
        if self.state.derived & bit == 0 {
            self.state.derived |= bit;
            if let Some(derived) = &mut self.derived {
                derived.derive(field, &mut DerivedValues { values: self.values, slot });
            }
        }
    }
}

struct InScopes<'a> {
    program: &'a Program,
    state: &'a mut State,
}

impl Scopes for InScopes<'_> {
    fn begin(&mut self, values: &mut Values, scope: usize) {
        let scope = &self.program.scopes[scope];
        values.forget(&scope.slots);
        scope.exprs.iter().for_each(|expr| self.state.known[*expr] = UNKNOWN);
        scope.hits.iter().for_each(|hit| self.state.hits[*hit] = false);
    }

    fn end(&mut self, values: &mut Values, event: &str, scope: usize) {
        for (root, hit) in &self.program.scopes[scope].roots {
            if !self.state.hits[*hit] {
                let program = self.program;
                let mut asking =
                    Asking { program, event, values, state: self.state, derived: None };
                self.state.hits[*hit] = asking.holds(*root);
            }
        }
    }
}

impl Source {
    /// Whether `accept` accepts any of the values, asked with the kind as which they are read.
    fn any<'v>(
        self,
        values: &'v Values,
        event: &'v str,
        accept: &mut dyn FnMut(Kind, Scalar<'v>) -> bool,
    ) -> bool {
        match self {
            Source::Slot { slot, kind, .. } | Source::Derived { slot, kind, .. } => {
                values.of(event, slot).any(|value| accept(kind, value))
            }
            Source::Nonempty(slot) => values
                .of(event, slot)
                .any(|value| value != Scalar::Text("") && accept(Kind::Keyword, value)),
            Source::Outcome(slot) => values.of(event, slot).any(|value| match value {
                Scalar::Text("allow") => accept(Kind::Keyword, Scalar::Text("success")),
                Scalar::Text("forbid") => accept(Kind::Keyword, Scalar::Text("failure")),
                _ => false,
            }),
            Source::Time { received, stage } => {
                let first = [received, stage]
                    .into_iter()
                    .find(|slot| values.of(event, *slot).any(|value| value.is_of(Kind::Date)));
                first.is_some_and(|slot| {
                    values.of(event, slot).any(|value| accept(Kind::Date, value))
                })
            }
            Source::Addresses(slot) => {
                values.of(event, slot).all(|value| value.is_of(Kind::Address))
                    && values.of(event, slot).any(|value| accept(Kind::Address, value))
            }
            Source::Constant(text) => accept(Kind::Keyword, Scalar::Text(text)),
        }
    }
}

#[cfg(test)]
#[path = "program_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "document_tests.rs"]
mod document_tests;
