//! How a program evaluates its expressions: what many queries ask of one field is looked up once.
//!
//! Tests for whole texts on one field form a group: a table from texts to the expressions that are
//! then true, alternatives of several texts among them. So a list of a thousand names costs as much
//! as one name, and a query that needs one of them is looked at only if it is there. Texts that are
//! looked for anywhere in a field are found in one pass, once there are enough of them.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use aho_corasick::{AhoCorasick, MatchKind};
use memchr::memmem::Finder;

use super::fields::Kind;
use super::predicate::Test;
use super::program::{Expr, ExprId, Source, SourceId, TestId};

pub(super) type GroupId = usize;

/// Fields with few values, each of which many events have.
const FEW_VALUES: [&str; 6] =
    ["verb", "stage", "level", "kind", "apiVersion", "objectRef.apiVersion"];
/// How much worse one of them tells queries apart.
const LITTLE: usize = 64;

/// With fewer texts that are looked for in one field, each is looked for alone.
const TOGETHER_MIN: usize = 6;

/// How many places of each part, on average, are looked at in one text.
const PLACES_PER_PART_MAX: usize = 8;

/// How an expression is evaluated.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Fixed(bool),
    Test {
        sources: Box<[SourceId]>,
        test: TestId,
    },
    /// Looking at the group tells; if it says nothing, it is false.
    Group(GroupId),
    Hit(usize),
    Not(ExprId),
    And(Box<[ExprId]>),
    /// Looking at the groups tells, or else one of the others.
    Or {
        groups: Box<[GroupId]>,
        others: Box<[ExprId]>,
    },
}

#[derive(Debug, Clone)]
pub(super) struct Group {
    pub source: SourceId,
    texts: HashMap<Box<str>, Told, OfRules>,
    longest: usize,
    parts: Option<Parts>,
}

/// What follows from a text.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    /// These are true: the test itself, and alternatives that it is one of.
    pub exprs: Vec<ExprId>,
    /// These queries may match.
    pub queries: Vec<usize>,
}

/// Texts that are looked for anywhere in a value.
#[derive(Debug, Clone)]
struct Parts {
    automaton: AhoCorasick,
    told: Vec<(Finder<'static>, Told)>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Dispatch {
    pub steps: Vec<Step>,
    pub groups: Vec<Group>,
    /// Groups without which some queries are not looked at.
    pub gates: Vec<GroupId>,
    /// The queries that are always looked at.
    pub always: Vec<usize>,
}

impl Group {
    fn new(source: SourceId) -> Group {
        Group { source, texts: HashMap::default(), longest: 0, parts: None }
    }

    /// What follows from a value of the field.
    pub fn told(&self, value: &str, mut then: impl FnMut(&Told)) {
        if value.len() <= self.longest
            && let Some(told) = self.texts.get(value)
        {
            then(told);
        }
        if let Some(parts) = &self.parts {
            parts.told(value, then);
        }
    }

    /// Those for which the field has to have one of the texts.
    pub fn queries(&self) -> impl Iterator<Item = &usize> {
        self.texts.values().flat_map(|told| &told.queries)
    }

    fn entry(&mut self, text: &str) -> &mut Told {
        self.longest = self.longest.max(text.len());
        self.texts.entry(text.into()).or_default()
    }
}

impl Parts {
    /// The automaton tells every place of every part. In a text that repeats them there may be very
    /// many; then whether it holds a part is found out for each alone.
    fn told(&self, value: &str, mut then: impl FnMut(&Told)) {
        let enough = PLACES_PER_PART_MAX * self.told.len();
        for (nth, found) in self.automaton.find_overlapping_iter(value).enumerate() {
            if nth == enough {
                let held = |part: &&(Finder, Told)| part.0.find(value.as_bytes()).is_some();
                return self.told.iter().filter(held).for_each(|(_, told)| then(told));
            }
            then(&self.told[found.pattern().as_usize()].1);
        }
    }
}

impl Dispatch {
    /// `paths`: of the values of each slot.
    pub fn new(
        exprs: &[Expr],
        sources: &[Source],
        tests: &[Test],
        roots: &[ExprId],
        paths: &[Option<Box<str>>],
    ) -> Dispatch {
        let mut dispatch = Dispatch::default();
        let mut group_of: Vec<Option<GroupId>> = vec![None; exprs.len()];
        dispatch.group_texts(exprs, sources, tests, &mut group_of);
        dispatch.group_parts(exprs, sources, tests, &mut group_of);
        let steps = exprs
            .iter()
            .zip(&group_of)
            .map(|(expr, group)| match (expr, group) {
                (_, Some(group)) => Step::Group(*group),
                (Expr::True, _) => Step::Fixed(true),
                (Expr::False, _) => Step::Fixed(false),
                (Expr::Test { sources, test }, _) => {
                    Step::Test { sources: sources.clone(), test: *test }
                }
                (Expr::Hit(hit), _) => Step::Hit(*hit),
                (Expr::Not(inner), _) => Step::Not(*inner),
                (Expr::And(inner), _) => Step::And(inner.clone()),
                (Expr::Or(inner), _) => {
                    let together = |id: &ExprId| {
                        group_of[*id].filter(|group| !dispatch.is_derived(*group, sources))
                    };
                    let mut groups: Vec<GroupId> = inner.iter().filter_map(together).collect();
                    groups.sort_unstable();
                    groups.dedup();
                    let others = inner.iter().copied().filter(|id| together(id).is_none());
                    Step::Or { groups: groups.into(), others: others.collect() }
                }
            })
            .collect();
        dispatch.steps = steps;
        dispatch.lift_alternatives(exprs);
        dispatch.gate(exprs, sources, tests, roots, paths, &group_of);
        dispatch
    }

    /// What costs something to have is looked at only if an answer depends on it.
    fn is_derived(&self, group: GroupId, sources: &[Source]) -> bool {
        matches!(sources[self.groups[group].source], Source::Derived { .. })
    }

    fn group_texts(
        &mut self,
        exprs: &[Expr],
        sources: &[Source],
        tests: &[Test],
        group_of: &mut [Option<GroupId>],
    ) {
        let mut groups: HashMap<SourceId, GroupId> = HashMap::new();
        for (id, expr) in exprs.iter().enumerate() {
            let Some((source, test)) = alone(expr, sources) else { continue };
            let Some(text) = tests[test].whole_text() else { continue };
            let group = *groups.entry(source).or_insert(self.groups.len());
            if group == self.groups.len() {
                self.groups.push(Group::new(source));
            }
            self.groups[group].entry(text).exprs.push(id);
            group_of[id] = Some(group);
        }
    }

    fn group_parts(
        &mut self,
        exprs: &[Expr],
        sources: &[Source],
        tests: &[Test],
        group_of: &mut [Option<GroupId>],
    ) {
        let mut by_source: HashMap<SourceId, Vec<(ExprId, &str)>> = HashMap::new();
        for (id, expr) in exprs.iter().enumerate() {
            let Some((source, test)) = alone(expr, sources) else { continue };
            let Some(part) = tests[test].part() else { continue };
            by_source.entry(source).or_default().push((id, part));
        }
        let mut by_source: Vec<_> = by_source.into_iter().collect();
        by_source.sort_unstable_by_key(|(source, _)| *source);
        for (source, parts) in by_source {
            if parts.len() < TOGETHER_MIN {
                continue;
            }
            let texts = parts.iter().map(|(_, part)| part);
            // Too large an automaton is not built; each part is looked for alone then.
            let built = AhoCorasick::builder().match_kind(MatchKind::Standard).build(texts);
            let Ok(automaton) = built else { continue };
            let group = self.groups.len();
            parts.iter().for_each(|(id, _)| group_of[*id] = Some(group));
            let told = parts.iter().map(|(id, part)| {
                let told = Told { exprs: vec![*id], queries: Vec::new() };
                (Finder::new(part.as_bytes()).into_owned(), told)
            });
            let told = told.collect();
            self.groups
                .push(Group { parts: Some(Parts { automaton, told }), ..Group::new(source) });
        }
    }

    /// Whatever makes an alternative true makes the alternatives true of which it is one.
    fn lift_alternatives(&mut self, exprs: &[Expr]) {
        let mut parents: HashMap<ExprId, Vec<ExprId>> = HashMap::new();
        for (id, expr) in exprs.iter().enumerate() {
            if let Expr::Or(inner) = expr {
                inner.iter().for_each(|child| parents.entry(*child).or_default().push(id));
            }
        }
        let lift = |told: &mut Vec<ExprId>| {
            let lifted: Vec<ExprId> =
                told.iter().filter_map(|id| parents.get(id)).flatten().copied().collect();
            told.extend(lifted);
        };
        for group in &mut self.groups {
            group.texts.values_mut().for_each(|told| lift(&mut told.exprs));
            let parts = group.parts.iter_mut().flat_map(|parts| &mut parts.told);
            parts.for_each(|(_, told)| lift(&mut told.exprs));
        }
    }

    /// Finds for each query the texts of one field without which it cannot match.
    fn gate(
        &mut self,
        exprs: &[Expr],
        sources: &[Source],
        tests: &[Test],
        roots: &[ExprId],
        paths: &[Option<Box<str>>],
        group_of: &[Option<GroupId>],
    ) {
        let tells_little = |group: GroupId| match sources[self.groups[group].source] {
            Source::Slot { slot, .. } | Source::Nonempty(slot) => {
                let path = paths.get(slot).and_then(Option::as_deref);
                path.is_some_and(|path| FEW_VALUES.contains(&path))
            }
            _ => true,
        };
        let little: Vec<bool> = (0..self.groups.len()).map(tells_little).collect();
        let tells_little = |group: GroupId| little[group];
        let texts_of = |id: ExprId| -> Option<(GroupId, Vec<&str>)> {
            let text = |id: &ExprId| match &exprs[*id] {
                Expr::Test { test, .. } => tests[*test].whole_text(),
                _ => None,
            };
            let alone = [id];
            let inner = match &exprs[id] {
                Expr::Or(inner) => &**inner,
                _ => &alone,
            };
            let group = group_of[*inner.first()?]?;
            if self.is_derived(group, sources) {
                return None;
            }
            let same = inner.iter().all(|id| group_of[*id] == Some(group));
            let texts: Vec<&str> = inner.iter().filter_map(text).collect();
            (same && texts.len() == inner.len()).then_some((group, texts))
        };
        // How many queries ask for a text says how likely it is to come up.
        let mut asked: HashMap<(GroupId, &str), usize> = HashMap::new();
        let mut candidates = Vec::new();
        for root in roots {
            let inner = match &exprs[*root] {
                Expr::And(inner) => inner.to_vec(),
                _ => vec![*root],
            };
            let gates: Vec<_> = inner.into_iter().filter_map(texts_of).collect();
            for (group, texts) in &gates {
                texts.iter().for_each(|text| *asked.entry((*group, text)).or_default() += 1);
            }
            candidates.push(gates);
        }
        for (query, gates) in candidates.into_iter().enumerate() {
            let weight = |(group, texts): &(GroupId, Vec<&str>)| -> usize {
                let asked: usize = texts.iter().map(|text| asked[&(*group, *text)]).sum();
                if tells_little(*group) { asked * LITTLE } else { asked }
            };
            match gates.into_iter().min_by_key(weight) {
                Some((group, texts)) => {
                    for text in texts {
                        self.groups[group].entry(text).queries.push(query);
                    }
                    if !self.gates.contains(&group) {
                        self.gates.push(group);
                    }
                }
                None => self.always.push(query),
            }
        }
    }
}

/// The one source of a test, if its values are texts, and not those of an object of a scope.
fn alone(expr: &Expr, sources: &[Source]) -> Option<(SourceId, TestId)> {
    let Expr::Test { sources: of, test } = expr else { return None };
    let [source] = **of else { return None };
    match sources[source] {
        Source::Slot { kind: Kind::Keyword | Kind::Any, scope: 0, .. }
        | Source::Nonempty(_)
        | Source::Outcome(_)
        | Source::Derived { kind: Kind::Keyword, .. } => Some((source, *test)),
        _ => None,
    }
}

/// For tables whose texts come from rules.
pub type OfRules = BuildHasherDefault<Fnv>;

/// The hash FNV-1a. Only rules put texts into the tables, so nobody can make them collide.
#[derive(Debug, Clone)]
pub struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}
