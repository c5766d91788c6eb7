//! From syntax trees to a program: which fields a name stands for, and what is asked of them.

use std::collections::HashMap;
use std::sync::Arc;

use super::Query;
use super::ast::{Name, Node, Pattern, Span, Value};
use super::dispatch::Dispatch;
use super::early;
use super::error::QueryError;
use super::extract::{Plan, Slot};
use super::fields::{
    self, ANNOTATIONS, DECISION_PATH, EVENT_PREFIX, Field, Kind, Origin, RECEIVED_PATH, Resolved,
    SOURCE_IPS_PATH, STAGE_TIME_PATH,
};
use super::needles;
use super::predicate::{Asked, Glob, Test};
use super::program::{Expr, ExprId, Mode, Problem, Program, Scope, Source, SourceId, TestId};
use crate::limits;

const TRUE: ExprId = 0;
const FALSE: ExprId = 1;
/// The event itself.
const ROOT: usize = 0;

impl Program {
    /// Compiles queries together. `reads` names fields whose values the caller asks for by
    /// [`Matches::values`](super::Matches::values), in this order; each is a single field.
    ///
    /// # Errors
    /// The problems of all queries, of each at most [`limits::CONFIG_PROBLEMS_MAX`]; those of `reads`
    /// count as of a query after the last.
    pub fn compile(queries: &[Query], reads: &[&str], mode: Mode) -> Result<Program, Vec<Problem>> {
        let mut compiler = Compiler::new(mode);
        let mut roots = Vec::new();
        for (nth, query) in queries.iter().enumerate() {
            compiler.query = nth;
            compiler.text = &query.text;
            if nth == limits::PROGRAM_QUERIES_MAX {
                let message =
                    format!("there are more than {} queries", limits::PROGRAM_QUERIES_MAX);
                compiler.refuse(Span::default(), message, None);
                compiler.fatal = true;
                break;
            }
            roots.push(compiler.node(&query.node, ROOT, ""));
            if compiler.exprs.len() > limits::PROGRAM_NODES_MAX {
                let message = "the queries have too many conditions together".to_owned();
                compiler.refuse(Span::default(), message, None);
                compiler.fatal = true;
                break;
            }
        }
        compiler.fatal |= compiler.wildcard_names > limits::PROGRAM_WILDCARD_NAMES_MAX;
        if compiler.wildcard_names > limits::PROGRAM_WILDCARD_NAMES_MAX {
            let max = limits::PROGRAM_WILDCARD_NAMES_MAX;
            let message = format!("the queries have more than {max} names with wildcards");
            compiler.refuse(Span::default(), message, None);
        }
        compiler.query = queries.len();
        let mut sources = Vec::new();
        for name in reads {
            compiler.text = name;
            sources.extend(compiler.read(name));
        }
        compiler.finish(roots, sources)
    }
}

/// What a source is known by, within its scope.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum SourceKey {
    Field(&'static str),
    /// Values at a path.
    At(String),
    /// Values at the path or below it.
    Tree(String),
    /// Values whose path, below an open prefix, is like this.
    Like(Pattern),
}

struct Compiler<'q> {
    mode: Mode,
    query: usize,
    text: &'q str,
    plan: Plan,
    slots: Vec<Option<Box<str>>>,
    hits: usize,
    paths: HashMap<(usize, String), Slot>,
    source_ids: HashMap<(usize, SourceKey), SourceId>,
    sources: Vec<Source>,
    test_ids: HashMap<Asked, TestId>,
    tests: Vec<Test>,
    expr_ids: HashMap<Expr, ExprId>,
    exprs: Vec<Expr>,
    costs: Vec<u64>,
    scope_ids: HashMap<(usize, String), usize>,
    scopes: Vec<Scope>,
    wildcard_names: usize,
    problems: Vec<Problem>,
    /// A limit was passed, in either mode.
    fatal: bool,
}

impl<'q> Compiler<'q> {
    fn new(mode: Mode) -> Compiler<'q> {
        let mut compiler = Compiler {
            mode,
            query: 0,
            text: "",
            plan: Plan::new("kubernetes.audit"),
            slots: Vec::new(),
            hits: 0,
            paths: HashMap::new(),
            source_ids: HashMap::new(),
            sources: Vec::new(),
            test_ids: HashMap::new(),
            tests: Vec::new(),
            expr_ids: HashMap::new(),
            exprs: Vec::new(),
            costs: Vec::new(),
            scope_ids: HashMap::new(),
            scopes: vec![Scope::default()],
            wildcard_names: 0,
            problems: Vec::new(),
            fatal: false,
        };
        // As `TRUE` and `FALSE`.
        compiler.expr(ROOT, Expr::True, 0);
        compiler.expr(ROOT, Expr::False, 0);
        compiler
    }

    fn finish(mut self, roots: Vec<ExprId>, reads: Vec<SourceId>) -> Result<Program, Vec<Problem>> {
        let unread = self.problems.iter().any(|problem| problem.query >= roots.len());
        let strict = self.mode == Mode::Strict;
        if self.fatal || unread || (strict && !self.problems.is_empty()) {
            return Err(self.problems);
        }
        self.plan.finish();
        let dispatch = Dispatch::new(&self.exprs, &self.sources, &self.tests, &roots, &self.slots);
        let mut program = Program {
            dispatch,
            plan: self.plan,
            paths: self.slots,
            hits: self.hits,
            sources: self.sources,
            tests: self.tests,
            exprs: self.exprs,
            scopes: self.scopes,
            roots,
            reads,
            early: Vec::new(),
            required: Vec::new(),
            needles: Vec::new(),
            warnings: self.problems,
        };
        program.early = early::of(&program);
        program.required = early::required(&program);
        program.needles = needles::of(&program);
        Ok(program)
    }

    /// `within` is the path of the scope, with a dot at its end, or nothing.
    fn node(&mut self, node: &Node, scope: usize, within: &str) -> ExprId {
        match node {
            Node::Or(nodes) => {
                let ids = nodes.iter().map(|node| self.node(node, scope, within)).collect();
                self.joined(scope, ids, false)
            }
            Node::And(nodes) => {
                let ids = nodes.iter().map(|node| self.node(node, scope, within)).collect();
                self.joined(scope, ids, true)
            }
            Node::Not(node) => {
                let id = self.node(node, scope, within);
                self.not(scope, id)
            }
            Node::Is { field: None, value } => self.anywhere(value, scope, within),
            Node::Is { field: Some(field), value } => {
                if field.pattern.is_star() {
                    return self.anywhere(value, scope, within);
                }
                if is_null(value) {
                    let hint = format!(
                        "`not {name}: *` finds what has no value; for the text, write `\"null\"`",
                        name = field.pattern.shown()
                    );
                    return self.refuse(value.span, "`null` is no value", Some(hint));
                }
                self.asked(field, Asked::Like(value.pattern.clone()), value.span, scope, within)
            }
            Node::Compare { field, comparison, value } => match value.pattern.as_literal() {
                Some(text) => {
                    let asked = Asked::Compared(*comparison, text.to_owned());
                    self.asked(field, asked, value.span, scope, within)
                }
                None => {
                    let hint = format!("`{}: *` asks for any value", field.pattern.shown());
                    self.refuse(value.span, "a comparison has no wildcards", Some(hint))
                }
            },
            Node::Nested { path, query } => self.nested(path, query, scope, within),
        }
    }

    /// A value that any field may have.
    fn anywhere(&mut self, value: &Value, scope: usize, within: &str) -> ExprId {
        if value.pattern.is_star() {
            return TRUE;
        }
        if is_null(value) {
            let hint = "for the text, write `\"null\"`".to_owned();
            return self.refuse(value.span, "`null` is no value", Some(hint));
        }
        let pattern = Pattern { pieces: vec![within.to_owned(), String::new()] };
        self.like(&pattern, Asked::Like(value.pattern.clone()), value.span, scope, within)
    }

    fn asked(
        &mut self,
        field: &Arc<Name>,
        asked: Asked,
        value: Span,
        scope: usize,
        within: &str,
    ) -> ExprId {
        let mut pattern = field.pattern.clone();
        if let Some(first) = pattern.pieces.first_mut() {
            first.insert_str(0, within);
        }
        let Some(name) = pattern.as_literal() else {
            return self.like(&pattern, asked, field.span, scope, within);
        };
        let test = self.test(asked);
        let exists = self.tests[test].is_exists();
        let (kind, boolean, source) = match fields::resolve(name) {
            Resolved::Fixed(field) => (field.kind, false, SourceKey::Field(field.name)),
            Resolved::Open { path, boolean: _ } if exists => {
                (Kind::Any, false, SourceKey::Tree(path))
            }
            Resolved::Open { path, boolean } => (Kind::Any, boolean, SourceKey::At(path)),
            Resolved::Object if exists => return self.object(name, test, scope, within),
            Resolved::Object => {
                let hint = format!("name a field below it, or any of them by `{name}.*`");
                let message = format!("`{name}` has no value of its own");
                return self.refuse(field.span, message, Some(hint));
            }
            Resolved::Unknown => return self.unknown(field.span, name),
        };
        if let Some(problem) = self.tests[test].problem(kind, boolean) {
            let written = &self.text[value.start.min(self.text.len())..];
            let hint = match kind {
                Kind::Date if written.trim_start_matches('"').starts_with("now") => {
                    Some("an event is looked at alone, so no time is relative to now".to_owned())
                }
                Kind::Date => Some("a time is written as in `2026-11-23T07:16:11Z`".to_owned()),
                Kind::Address => Some("a network is written as in `10.0.0.0/8`".to_owned()),
                Kind::Integer => Some("a range is written `>= 400`".to_owned()),
                _ => None,
            };
            return self.refuse(value, format!("`{name}` {problem}"), hint);
        }
        match self.source(scope, source) {
            Some(source) => self.tested(scope, vec![source], test),
            None => {
                self.refuse(field.span, format!("`{name}` is not part of the event itself"), None)
            }
        }
    }

    fn unknown(&mut self, span: Span, name: &str) -> ExprId {
        let hint = fields::nearest(name).map(|near| format!("did you mean `{near}`?"));
        self.refuse(span, format!("no event has a field `{name}`"), hint)
    }

    /// Whether there is anything below a name.
    fn object(&mut self, name: &str, test: TestId, scope: usize, within: &str) -> ExprId {
        let below = |inner: &str| {
            inner.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let mut sources = Vec::new();
        for field in fields::all().filter(|field| below(field.name)) {
            sources.extend(self.source(scope, SourceKey::Field(field.name)));
        }
        for open in fields::OPEN.iter().filter(|open| below(open.name)) {
            sources.extend(self.source(scope, SourceKey::Tree(open.path().to_owned())));
        }
        debug_assert!(within.is_empty() || name.starts_with(within));
        self.tested(scope, sources, test)
    }

    /// What is asked of any field whose name is like this.
    fn like(
        &mut self,
        pattern: &Pattern,
        asked: Asked,
        span: Span,
        scope: usize,
        within: &str,
    ) -> ExprId {
        let pattern = fields::underscored(pattern);
        let test = self.test(asked);
        let glob = Glob::new(&pattern);
        let mut sources = Vec::new();
        for field in fields::all() {
            if field.name.starts_with(within)
                && glob.matches(field.name)
                && self.tests[test].may_hold(field.kind)
            {
                sources.extend(self.source(scope, SourceKey::Field(field.name)));
            }
        }
        if fields::OPEN.iter().any(|open| fields::may_match_below(&pattern, open.name)) {
            sources.extend(self.source(scope, SourceKey::Like(pattern.clone())));
        } else if !fields::all().any(|field| glob.matches(field.name)) {
            return self.unknown(span, &pattern.shown());
        }
        self.tested(scope, sources, test)
    }

    fn nested(&mut self, path: &Arc<Name>, query: &Node, scope: usize, within: &str) -> ExprId {
        let Some(name) = path.pattern.as_literal() else {
            let message = "the name before `{` has no wildcards";
            return self.refuse(path.span, message, None);
        };
        let name = format!("{within}{name}");
        let below = name.strip_prefix(EVENT_PREFIX.trim_end_matches('.'));
        let path_in_event = match (fields::resolve(&name), below) {
            (Resolved::Open { path, .. }, _) if !name.starts_with(ANNOTATIONS) => path,
            (Resolved::Object, Some(below)) if name != ANNOTATIONS => {
                below.trim_start_matches('.').to_owned()
            }
            (Resolved::Unknown, _) => return self.unknown(path.span, &name),
            _ => {
                let message = format!("`{name}` is no list of objects of the event");
                let hint = "write the conditions with `and`".to_owned();
                return self.refuse(path.span, message, Some(hint));
            }
        };
        let inner = match self.scope_ids.get(&(scope, path_in_event.clone())) {
            Some(inner) => *inner,
            None => {
                let inner = self.scopes.len();
                self.scopes.push(Scope::default());
                self.plan.add_scope(&path_in_event, inner);
                self.scope_ids.insert((scope, path_in_event), inner);
                inner
            }
        };
        let root = self.node(query, inner, &format!("{name}."));
        if root == FALSE {
            return FALSE;
        }
        let known = self.scopes[inner].roots.iter().find(|(known, _)| *known == root);
        let hit = match known {
            Some((_, hit)) => *hit,
            None => {
                let hit = self.hits;
                self.hits += 1;
                self.scopes[inner].roots.push((root, hit));
                self.scopes[scope].hits.push(hit);
                hit
            }
        };
        self.expr(scope, Expr::Hit(hit), 1)
    }

    fn tested(&mut self, scope: usize, mut sources: Vec<SourceId>, test: TestId) -> ExprId {
        // What is the same for every event is known now.
        let mut always = false;
        sources.retain(|source| match self.sources[*source] {
            Source::Constant(text) => {
                always |=
                    self.tests[test].holds(Kind::Keyword, super::predicate::Scalar::Text(text));
                false
            }
            _ => true,
        });
        if always {
            return TRUE;
        }
        if sources.is_empty() {
            return FALSE;
        }
        sources.sort_by_key(|source| (cost_of(self.sources[*source]), *source));
        sources.dedup();
        let each: u64 = sources.iter().map(|source| cost_of(self.sources[*source])).sum();
        let cost = each.saturating_mul(self.tests[test].cost());
        self.expr(scope, Expr::Test { sources: sources.into(), test }, cost)
    }

    fn joined(&mut self, scope: usize, ids: Vec<ExprId>, all: bool) -> ExprId {
        let (neutral, decisive) = if all { (TRUE, FALSE) } else { (FALSE, TRUE) };
        let mut flat = Vec::new();
        for id in ids {
            match &self.exprs[id] {
                Expr::And(inner) if all => flat.extend_from_slice(inner),
                Expr::Or(inner) if !all => flat.extend_from_slice(inner),
                _ => flat.push(id),
            }
        }
        if flat.contains(&decisive) {
            return decisive;
        }
        flat.retain(|id| *id != neutral);
        flat.sort_by_key(|id| (self.costs[*id], *id));
        flat.dedup();
        match flat.as_slice() {
            [] => neutral,
            [only] => *only,
            _ => {
                let cost = flat.iter().fold(0, |sum: u64, id| sum.saturating_add(self.costs[*id]));
                let flat = flat.into_boxed_slice();
                self.expr(scope, if all { Expr::And(flat) } else { Expr::Or(flat) }, cost)
            }
        }
    }

    fn not(&mut self, scope: usize, id: ExprId) -> ExprId {
        match self.exprs[id] {
            Expr::True => FALSE,
            Expr::False => TRUE,
            Expr::Not(inner) => inner,
            _ => self.expr(scope, Expr::Not(id), self.costs[id]),
        }
    }

    fn expr(&mut self, scope: usize, expr: Expr, cost: u64) -> ExprId {
        if let Some(id) = self.expr_ids.get(&expr) {
            return *id;
        }
        let id = self.exprs.len();
        self.exprs.push(expr.clone());
        self.costs.push(cost);
        self.expr_ids.insert(expr, id);
        self.scopes[scope].exprs.push(id);
        id
    }

    fn test(&mut self, asked: Asked) -> TestId {
        if let Some(id) = self.test_ids.get(&asked) {
            return *id;
        }
        let id = self.tests.len();
        self.tests.push(Test::new(&asked));
        self.test_ids.insert(asked, id);
        id
    }

    fn read(&mut self, name: &str) -> Option<SourceId> {
        let whole = Span { start: 0, end: name.len() };
        let key = match fields::resolve(name) {
            Resolved::Fixed(field) => SourceKey::Field(field.name),
            Resolved::Open { path, .. } => SourceKey::At(path),
            Resolved::Object => {
                self.refuse(whole, format!("`{name}` has no value of its own"), None);
                return None;
            }
            Resolved::Unknown => {
                self.unknown(whole, name);
                return None;
            }
        };
        self.source(ROOT, key)
    }

    /// `None` if the scope has no such field.
    fn source(&mut self, scope: usize, key: SourceKey) -> Option<SourceId> {
        if let Some(id) = self.source_ids.get(&(scope, key.clone())) {
            return Some(*id);
        }
        let source = match &key {
            SourceKey::Field(name) => {
                let field = fields::all().find(|field| field.name == *name)?;
                self.field(scope, field)?
            }
            SourceKey::At(path) => {
                Source::Slot { slot: self.slot_at(scope, path), kind: Kind::Any, scope }
            }
            SourceKey::Tree(path) => {
                let slot = self.slot(scope, Some(path));
                self.plan.add_at(path, slot);
                self.plan.add_below(path, slot);
                Source::Slot { slot, kind: Kind::Any, scope }
            }
            SourceKey::Like(pattern) => {
                let slot = self.slot(scope, None);
                self.wildcard_names += 1;
                self.add_like(pattern, slot);
                Source::Slot { slot, kind: Kind::Any, scope }
            }
        };
        let id = self.sources.len();
        self.sources.push(source);
        self.source_ids.insert((scope, key), id);
        Some(id)
    }

    fn add_like(&mut self, pattern: &Pattern, slot: Slot) {
        // `prefix.*` needs no comparison of paths.
        if let [first, last] = pattern.pieces.as_slice()
            && last.is_empty()
            && let Some(name) = first.strip_suffix('.')
            && let Resolved::Open { path, .. } = fields::resolve(name)
            && !name.starts_with(ANNOTATIONS)
        {
            self.plan.add_below(&path, slot);
            return;
        }
        let may_match = |open: &&fields::Open| fields::may_match_below(pattern, open.name);
        let prefixes: Vec<&str> =
            fields::OPEN.iter().filter(may_match).map(fields::Open::path).collect();
        self.plan.add_pattern(&prefixes, Glob::new(pattern), slot);
    }

    fn field(&mut self, scope: usize, field: &Field) -> Option<Source> {
        if let Origin::Path(path) = field.origin {
            return Some(Source::Slot { slot: self.slot_at(scope, path), kind: field.kind, scope });
        }
        if scope != ROOT {
            return None;
        }
        Some(match field.origin {
            Origin::Path(_) => return None,
            Origin::Nonempty(path) => Source::Nonempty(self.slot_at(scope, path)),
            Origin::Outcome => Source::Outcome(self.slot_at(scope, DECISION_PATH)),
            Origin::Time => Source::Time {
                received: self.slot_at(scope, RECEIVED_PATH),
                stage: self.slot_at(scope, STAGE_TIME_PATH),
            },
            Origin::Addresses => Source::Addresses(self.slot_at(scope, SOURCE_IPS_PATH)),
            Origin::Constant(text) => Source::Constant(text),
            Origin::Derived(derived) => {
                Source::Derived { field: derived, slot: self.slot(scope, None), kind: field.kind }
            }
        })
    }

    fn slot_at(&mut self, scope: usize, path: &str) -> Slot {
        if let Some(slot) = self.paths.get(&(scope, path.to_owned())) {
            return *slot;
        }
        let slot = self.slot(scope, Some(path));
        self.plan.add_at(path, slot);
        self.paths.insert((scope, path.to_owned()), slot);
        slot
    }

    fn slot(&mut self, scope: usize, path: Option<&str>) -> Slot {
        let slot = self.slots.len();
        self.slots.push(path.map(Box::from));
        self.scopes[scope].slots.push(slot);
        slot
    }

    /// Notes a problem; the condition never holds then. Of one query only so many are told.
    fn refuse(&mut self, span: Span, message: impl Into<String>, hint: Option<String>) -> ExprId {
        let query = self.query;
        let told = self.problems.iter().rev().take_while(|problem| problem.query == query);
        if told.take(limits::CONFIG_PROBLEMS_MAX).count() == limits::CONFIG_PROBLEMS_MAX {
            return FALSE;
        }
        let error = QueryError::new(self.text, span, message, hint);
        self.problems.push(Problem { query: self.query, error });
        FALSE
    }
}

/// What `null` means is left open by Kibana: Elasticsearch refuses to search for it.
fn is_null(value: &Value) -> bool {
    !value.quoted && value.pattern.as_literal() == Some("null")
}

/// What it takes to have the values of a source, relative to a field of the event.
fn cost_of(source: Source) -> u64 {
    use super::fields::DerivedField::{ExecAccessType, ExecInteractive, ExecNormalForm};
    match source {
        Source::Constant(_) => 0,
        Source::Slot { kind: Kind::Keyword, .. } | Source::Nonempty(_) | Source::Outcome(_) => 1,
        Source::Slot { .. } => 2,
        Source::Addresses(_) => 20,
        Source::Time { .. } => 40,
        Source::Derived { field: ExecAccessType | ExecInteractive | ExecNormalForm, .. } => 10_000,
        Source::Derived { .. } => 500,
    }
}
