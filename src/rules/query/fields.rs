//! The fields that a document can have: their names, types, and where in an event they come from.
//!
//! Sources of the names: Kubernetes `audit.k8s.io/v1` and `v1beta1`, type `Event`, below
//! `kubernetes.audit.`; the Elastic Common Schema for the copies of its values. `exec.*` and
//! `container.*` are ours: the caller reads them from a command ([`DerivedField`]).

use super::ast::Pattern;

/// What the values of a field are read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Text that is compared whole; numbers and booleans are their text.
    Keyword,
    /// A whole number, also written as text.
    Integer,
    /// `true` or `false`, also written as text.
    Boolean,
    /// A time to the millisecond.
    Date,
    /// An IP address, compared as one.
    Address,
    /// Whatever the event holds: texts, numbers and booleans, each compared as what it is.
    Any,
}

/// A value that is not in the event's JSON: the caller reads it from the command of an exec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DerivedField {
    /// `exec.command`: the arguments joined by one space.
    ExecCommand,
    /// `exec.args`: each argument.
    ExecArgs,
    /// `exec.normal_form`: the command as a shell would read it.
    ExecNormalForm,
    /// `exec.access_type`: the label of the sensitive path that the command touches.
    ExecAccessType,
    /// `exec.interactive`: whether the command is an interactive shell (a boolean).
    ExecInteractive,
    /// `container.name`
    ContainerName,
}

/// Where the values of a field come from. Paths are those of the event's JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    /// The values at a path.
    Path(&'static str),
    /// The values at a path that are not empty.
    Nonempty(&'static str),
    /// The decision annotation, as an outcome.
    Outcome,
    /// The first of two times that there is.
    Time,
    /// The source addresses, if all of them are addresses.
    Addresses,
    /// The same for every event.
    Constant(&'static str),
    Derived(DerivedField),
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Field {
    pub name: &'static str,
    pub kind: Kind,
    pub origin: Origin,
}

/// A prefix below which an event may hold any name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Open {
    pub name: &'static str,
    /// The dots of a key read as underscores, so a name below it is one key.
    pub underscored: bool,
}

/// What stands before the path of every field of the event itself.
pub(super) const EVENT_PREFIX: &str = "kubernetes.audit.";
pub(super) const ANNOTATIONS: &str = "kubernetes.audit.annotations";
/// Paths that fields are computed from.
pub(super) const DECISION_PATH: &str = "annotations.authorization_k8s_io/decision";
pub(super) const RECEIVED_PATH: &str = "requestReceivedTimestamp";
pub(super) const STAGE_TIME_PATH: &str = "stageTimestamp";
pub(super) const SOURCE_IPS_PATH: &str = "sourceIPs";

macro_rules! event_fields {
    ($($kind:ident: $($path:literal)*;)*) => {
        [$($(Field {
            name: concat!("kubernetes.audit.", $path),
            kind: Kind::$kind,
            origin: Origin::Path($path),
        },)*)*]
    };
}

const fn copy(name: &'static str, path: &'static str) -> Field {
    Field { name, kind: Kind::Keyword, origin: Origin::Nonempty(path) }
}

const fn constant(name: &'static str, value: &'static str) -> Field {
    Field { name, kind: Kind::Keyword, origin: Origin::Constant(value) }
}

const fn of_kind(name: &'static str, kind: Kind, origin: Origin) -> Field {
    Field { name, kind, origin }
}

const fn derived(name: &'static str, kind: Kind, field: DerivedField) -> Field {
    Field { name, kind, origin: Origin::Derived(field) }
}

static EVENT_FIELDS: [Field; 30] = event_fields! {
    Keyword: "kind" "apiVersion" "level" "auditID" "stage" "requestURI" "verb" "userAgent"
        "sourceIPs"
        "user.username" "user.uid" "user.groups"
        "impersonatedUser.username" "impersonatedUser.uid" "impersonatedUser.groups"
        "objectRef.resource" "objectRef.namespace" "objectRef.name" "objectRef.uid"
        "objectRef.apiGroup" "objectRef.apiVersion" "objectRef.resourceVersion"
        "objectRef.subresource"
        "responseStatus.status" "responseStatus.reason" "responseStatus.message";
    Integer: "responseStatus.code";
    Date: "requestReceivedTimestamp" "stageTimestamp" "timestamp";
};

static OTHER_FIELDS: [Field; 24] = [
    of_kind("@timestamp", Kind::Date, Origin::Time),
    copy("event.action", "verb"),
    of_kind("event.outcome", Kind::Keyword, Origin::Outcome),
    constant("event.kind", "event"),
    constant("event.module", "kubernetes"),
    constant("event.dataset", "kubernetes.audit_logs"),
    constant("data_stream.dataset", "kubernetes.audit_logs"),
    constant("data_stream.namespace", "default"),
    copy("user.name", "user.username"),
    copy("user.id", "user.uid"),
    copy("user_agent.original", "userAgent"),
    of_kind("source.ip", Kind::Address, Origin::Addresses),
    of_kind("client.ip", Kind::Address, Origin::Addresses),
    constant("orchestrator.type", "kubernetes"),
    copy("orchestrator.api_version", "apiVersion"),
    copy("orchestrator.namespace", "objectRef.namespace"),
    copy("orchestrator.resource.name", "objectRef.name"),
    copy("orchestrator.resource.type", "objectRef.resource"),
    derived("exec.command", Kind::Keyword, DerivedField::ExecCommand),
    derived("exec.args", Kind::Keyword, DerivedField::ExecArgs),
    derived("exec.normal_form", Kind::Keyword, DerivedField::ExecNormalForm),
    derived("exec.access_type", Kind::Keyword, DerivedField::ExecAccessType),
    derived("exec.interactive", Kind::Boolean, DerivedField::ExecInteractive),
    derived("container.name", Kind::Keyword, DerivedField::ContainerName),
];

pub(super) static OPEN: [Open; 5] = [
    open(ANNOTATIONS, true),
    open("kubernetes.audit.user.extra", false),
    open("kubernetes.audit.impersonatedUser.extra", false),
    open("kubernetes.audit.requestObject", false),
    open("kubernetes.audit.responseObject", false),
];

const fn open(name: &'static str, underscored: bool) -> Open {
    Open { name, underscored }
}

impl Open {
    /// In the event's JSON.
    pub fn path(&self) -> &'static str {
        self.name.strip_prefix(EVENT_PREFIX).unwrap_or(self.name)
    }

    /// What a name has after the prefix and a dot.
    fn rest<'n>(&self, name: &'n str) -> Option<&'n str> {
        name.strip_prefix(self.name)?.strip_prefix('.')
    }
}

/// What a name without wildcards is the name of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Resolved {
    Fixed(&'static Field),
    /// A path in the event, below an open prefix. Annotations are underscored.
    Open {
        path: String,
        boolean: bool,
    },
    /// Fields stand below it, but it has no values itself: whether it exists can be asked.
    Object,
    Unknown,
}

pub(super) fn all() -> impl Iterator<Item = &'static Field> {
    EVENT_FIELDS.iter().chain(&OTHER_FIELDS)
}

/// Every field with a fixed name and what its values are read as. Below the names of
/// [`open_prefixes`] there are any others.
pub fn catalogue() -> impl Iterator<Item = (&'static str, Kind)> {
    all().map(|field| (field.name, field.kind))
}

/// The names below which an event may hold any further ones.
pub fn open_prefixes() -> impl Iterator<Item = &'static str> {
    OPEN.iter().map(|open| open.name)
}

pub(super) fn resolve(name: &str) -> Resolved {
    if let Some(field) = all().find(|field| field.name == name) {
        return Resolved::Fixed(field);
    }
    for open in &OPEN {
        if let Some(rest) = open.rest(name) {
            let rest = if open.underscored { rest.replace('.', "_") } else { rest.to_owned() };
            let path = format!("{}.{rest}", open.path());
            return Resolved::Open { boolean: is_boolean(&path), path };
        }
    }
    let within = |inner: &str| inner.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
    let is_open = OPEN.iter().any(|open| open.name == name || within(open.name));
    if is_open || all().any(|field| within(field.name)) {
        return Resolved::Object;
    }
    Resolved::Unknown
}

/// Whether the schema of Kubernetes has a boolean there.
fn is_boolean(path: &str) -> bool {
    if !path.starts_with("requestObject.") && !path.starts_with("responseObject.") {
        return false;
    }
    let ends =
        [".spec.hostPID", ".spec.hostIPC", ".spec.hostNetwork", ".securityContext.privileged"];
    ends.iter().any(|end| path.ends_with(end))
}

/// The pattern of names with the part after `annotations.` underscored, as the names are.
pub(super) fn underscored(pattern: &Pattern) -> Pattern {
    let mut pieces = pattern.pieces.clone();
    let Some((first, others)) = pieces.split_first_mut() else { return pattern.clone() };
    let prefix = format!("{ANNOTATIONS}.");
    if let Some(rest) = first.strip_prefix(&prefix) {
        *first = format!("{prefix}{}", rest.replace('.', "_"));
        others.iter_mut().for_each(|piece| *piece = piece.replace('.', "_"));
    }
    Pattern { pieces }
}

/// Whether a name at or below the prefix can match a pattern with wildcards.
pub(super) fn may_match_below(pattern: &Pattern, prefix: &str) -> bool {
    let first = pattern.pieces.first().map_or("", String::as_str);
    first.starts_with(prefix) || prefix.starts_with(first)
}

/// The name that was probably meant, for a hint.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let names = || all().map(|field| field.name).chain(OPEN.iter().map(|open| open.name));
    // Written without the prefix, or as another letter's case.
    let within_event = |known: &&str| {
        known.strip_prefix(EVENT_PREFIX).is_some_and(|short| short.eq_ignore_ascii_case(name))
    };
    if let Some(known) = names().find(within_event) {
        return Some(known);
    }
    if let Some(known) = names().find(|known| known.eq_ignore_ascii_case(name)) {
        return Some(known);
    }
    // The distance is quadratic in the lengths.
    let short: String = name.chars().take(NEAREST_NAME_MAX_CHARS).collect();
    names()
        .map(|known| (strsim::osa_distance(known, &short), known))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, known)| *distance <= known.len() / 3)
        .map(|(_, known)| known)
}

/// Longer names are like no other.
const NEAREST_NAME_MAX_CHARS: usize = 100;

#[cfg(test)]
#[path = "fields_tests.rs"]
mod tests;
