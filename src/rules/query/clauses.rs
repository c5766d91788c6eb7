//! Texts that a few fields of an event must have for a query to match, for a look at an event's
//! bytes before it is parsed.

use super::program::{Expr, ExprId, Program, Source};

/// Fields whose values tell most events apart, each known by the last name of its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClauseField {
    Resource,
    Subresource,
    Namespace,
    Verb,
}

impl ClauseField {
    /// The most telling first.
    pub const ALL: [ClauseField; 4] = [
        ClauseField::Resource,
        ClauseField::Subresource,
        ClauseField::Namespace,
        ClauseField::Verb,
    ];

    /// The name under which the value stands in the event's JSON.
    pub fn name(self) -> &'static str {
        match self {
            ClauseField::Resource => "resource",
            ClauseField::Subresource => "subresource",
            ClauseField::Namespace => "namespace",
            ClauseField::Verb => "verb",
        }
    }

    fn at(path: &str) -> Option<ClauseField> {
        match path {
            "objectRef.resource" => Some(ClauseField::Resource),
            "objectRef.subresource" => Some(ClauseField::Subresource),
            "objectRef.namespace" => Some(ClauseField::Namespace),
            "verb" => Some(ClauseField::Verb),
            _ => None,
        }
    }
}

/// The field has one of the texts, which consist of letters, digits, `-`, `.` and `_`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    pub field: ClauseField,
    /// Sorted.
    pub texts: Vec<String>,
}

/// For each query what all has to hold; nothing where nothing is certain. At most one clause a
/// field.
pub(super) fn of(program: &Program) -> Vec<Vec<Clause>> {
    let clauses = |root: &ExprId| {
        let mut found: Vec<Clause> = Vec::new();
        let whole = [*root];
        let all: &[ExprId] = match &program.exprs[*root] {
            Expr::And(inner) => inner,
            _ => &whole,
        };
        for clause in all.iter().filter_map(|id| clause(program, *id)) {
            match found.iter_mut().find(|known| known.field == clause.field) {
                // The shorter of two lists for one field tells more.
                Some(known) if known.texts.len() > clause.texts.len() => *known = clause,
                Some(_) => {}
                None => found.push(clause),
            }
        }
        found.sort_by_key(|clause| clause.field);
        found
    };
    program.roots.iter().map(clauses).collect()
}

/// What has to hold for the expression to.
fn clause(program: &Program, id: ExprId) -> Option<Clause> {
    match &program.exprs[id] {
        Expr::Test { sources, test } => {
            let clauses = sources.iter().map(|source| of_source(program, *source, *test));
            together(clauses)
        }
        Expr::Or(inner) => together(inner.iter().map(|id| clause(program, *id))),
        _ => None,
    }
}

/// One of them holds: that is a clause if all are, for the same field.
fn together(mut clauses: impl Iterator<Item = Option<Clause>>) -> Option<Clause> {
    let mut all = clauses.next()??;
    for clause in clauses {
        let clause = clause.filter(|clause| clause.field == all.field)?;
        all.texts.extend(clause.texts);
    }
    all.texts.sort_unstable();
    all.texts.dedup();
    Some(all)
}

fn of_source(program: &Program, source: usize, test: usize) -> Option<Clause> {
    let slot = match program.sources[source] {
        Source::Slot { slot, scope: 0, .. } | Source::Nonempty(slot) => slot,
        // Only execs have values that are derived; see `audit::exec`.
        Source::Derived { .. } => {
            let texts = ["exec", "proxy"].map(str::to_owned).to_vec();
            return Some(Clause { field: ClauseField::Subresource, texts });
        }
        _ => return None,
    };
    let field = ClauseField::at(program.paths.get(slot)?.as_deref()?)?;
    let text = program.tests[test].whole_text()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    (!text.is_empty() && text.chars().all(plain))
        .then(|| Clause { field, texts: vec![text.to_owned()] })
}

#[cfg(test)]
mod tests {
    use super::super::{Mode, Query};
    use super::*;

    #[test]
    fn what_has_to_hold_is_found_and_nothing_else() {
        let check = |text: &str, expected: &[(ClauseField, &[&str])]| {
            let query = Query::parse(text).unwrap();
            let program = Program::compile(&[query], &[], Mode::Strict).unwrap();
            let expected: Vec<Clause> = expected
                .iter()
                .map(|(field, texts)| Clause {
                    field: *field,
                    texts: texts.iter().map(|text| (*text).to_owned()).collect(),
                })
                .collect();
            assert_eq!(program.clauses()[0], expected, "{text}");
        };
        use ClauseField::{Namespace, Resource, Subresource, Verb};
        let roles: &[&str] = &["rolebindings", "roles"];
        check(
            "event.action:create and kubernetes.audit.objectRef.resource:(roles or rolebindings)",
            &[(Resource, roles), (Verb, &["create"])],
        );
        check("kubernetes.audit.verb:get and user.name:a", &[(Verb, &["get"])]);
        check("kubernetes.audit.objectRef.namespace:kube-system", &[(Namespace, &["kube-system"])]);
        check("exec.command:*shadow* and user.name:a", &[(Subresource, &["exec", "proxy"])]);
        for open in [
            "event.action:create or user.name:a",
            "event.action:(create or p*)",
            "event.action:cr*te",
            "event.action:*",
            "not event.action:create",
            "not exec.command:*",
            "event.action:create or kubernetes.audit.objectRef.resource:roles",
            "event.action:\"a b\"",
            "create",
            "kubernetes.audit.requestObject.verb:create",
        ] {
            check(open, &[]);
        }
    }
}
