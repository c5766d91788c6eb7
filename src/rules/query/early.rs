//! Fields that are known before an event is asked: of its typed form, or of its bytes alone. They
//! tell most events apart from what any query asks for.

use super::program::{Expr, ExprId, Program, Source};

/// A field of an event, or all that is derived from a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EarlyField {
    Verb,
    Stage,
    Level,
    UserAgent,
    UserName,
    Resource,
    Subresource,
    Namespace,
    Name,
    ApiGroup,
    /// What is derived from the command of an exec: no text, but absent from any other event.
    Derived,
}

impl EarlyField {
    pub const ALL: [EarlyField; 11] = [
        EarlyField::Verb,
        EarlyField::Stage,
        EarlyField::Level,
        EarlyField::UserAgent,
        EarlyField::UserName,
        EarlyField::Resource,
        EarlyField::Subresource,
        EarlyField::Namespace,
        EarlyField::Name,
        EarlyField::ApiGroup,
        EarlyField::Derived,
    ];

    /// Where the event's JSON has it, names joined by dots; `None` for what no JSON has.
    pub fn path(self) -> Option<&'static str> {
        Some(match self {
            EarlyField::Verb => "verb",
            EarlyField::Stage => "stage",
            EarlyField::Level => "level",
            EarlyField::UserAgent => "userAgent",
            EarlyField::UserName => "user.username",
            EarlyField::Resource => "objectRef.resource",
            EarlyField::Subresource => "objectRef.subresource",
            EarlyField::Namespace => "objectRef.namespace",
            EarlyField::Name => "objectRef.name",
            EarlyField::ApiGroup => "objectRef.apiGroup",
            EarlyField::Derived => return None,
        })
    }

    pub(super) fn bit(self) -> FieldSet {
        1 << self as u16
    }
}

/// A set of early fields.
pub(super) type FieldSet = u16;

/// What is known of a field before an event is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Known<'v> {
    /// It is a text, or the event has no such field.
    Text(Option<&'v str>),
    #[default]
    Unknown,
}

/// For each source of a program which field it is.
pub(super) fn of(program: &Program) -> Vec<Option<EarlyField>> {
    let field = |source: &Source| match *source {
        Source::Slot { slot, scope: 0, .. } | Source::Nonempty(slot) => {
            let path = program.paths.get(slot)?.as_deref()?;
            EarlyField::ALL.into_iter().find(|field| field.path() == Some(path))
        }
        Source::Derived { .. } => Some(EarlyField::Derived),
        _ => None,
    };
    program.sources.iter().map(field).collect()
}

/// For each query the early fields without any of which it cannot match.
pub(super) fn required(program: &Program) -> Vec<FieldSet> {
    let field = |id: &ExprId| match &program.exprs[*id] {
        Expr::Test { sources, .. } => match **sources {
            [source] => program.early[source],
            _ => None,
        },
        _ => None,
    };
    let bit = |id: &ExprId| match &program.exprs[*id] {
        Expr::Or(inner) => {
            let mut fields = inner.iter().map(field);
            let first = fields.next().flatten()?;
            fields.all(|field| field == Some(first)).then(|| first.bit())
        }
        _ => field(id).map(EarlyField::bit),
    };
    let of = |root: &ExprId| match &program.exprs[*root] {
        Expr::And(inner) => inner.iter().filter_map(bit).fold(0, |all, bit| all | bit),
        _ => bit(root).unwrap_or(0),
    };
    program.roots.iter().map(of).collect()
}
