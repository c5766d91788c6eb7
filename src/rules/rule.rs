//! A rule, ready to be asked, and what each type of rule is asked with.

use std::sync::Arc;

use crate::rules::exceptions::Exception;
use crate::rules::format::{Grade, MatchTable, RuleInfo, TermField, UnseenCommand};
use crate::rules::paths::PathSet;
use crate::rules::patterns::{Mask, PatternList};
use crate::rules::query::Query;
use crate::rules::triage::Triage;

/// A rule, ready to be asked.
#[derive(Debug, Clone)]
pub struct Rule {
    pub(super) info: Arc<RuleInfo>,
    /// SHA-256 of the file's text.
    pub(super) digest: [u8; 32],
    pub(super) notes: RuleNotes,
    pub(super) enabled: bool,
    pub(super) kind: RuleKind,
    pub(super) triage: Option<Box<Triage>>,
    /// Those in its own file.
    pub(super) exceptions: Vec<Exception>,
}

/// What people should know about a rule beside its description.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleNotes {
    pub blind_spots: Vec<String>,
    pub known_noise: Vec<String>,
}

#[derive(Debug, Clone)]
pub enum RuleKind {
    Exec(Box<ExecRule>),
    NewTerms(NewTermsRule),
    Query(QueryRule),
}

/// Raises every event that its query matches.
#[derive(Debug, Clone)]
pub struct QueryRule {
    pub query: Query,
}

/// Looks for patterns in the command of an exec.
#[derive(Debug, Clone)]
pub struct ExecRule {
    pub sensitive_paths: PatternList,
    /// In order: the first that applies is the alert's access type.
    pub labels: PatternList,
    pub default_label: String,
    pub mask: Mask,
    pub unseen_command: Option<UnseenCommand>,
    /// What globs and directories are tested against.
    pub paths: PathSet,
    pub likely: Option<Grade>,
    pub hidden_command: Option<UnseenCommand>,
    /// Every interactive shell is raised, under the default label.
    pub interactive_shell: bool,
}

/// Watches for tuples of values that were not seen within a window.
#[derive(Debug, Clone)]
pub struct NewTermsRule {
    pub condition: Condition,
    /// Distinct and not empty.
    pub fields: Vec<TermField>,
    pub window_ms: i64,
    /// One of `fields`.
    pub shard_by: Option<TermField>,
    /// The rule's id and a hash of `fields` and `window_ms`: whatever changes the meaning of a
    /// stored term starts another history.
    pub terms_version: String,
}

/// Which events count for a new-terms rule.
#[derive(Debug, Clone)]
pub enum Condition {
    Match(MatchTable),
    Query(Query),
}

impl Rule {
    pub fn id(&self) -> &str {
        &self.info.id
    }

    pub fn info(&self) -> &Arc<RuleInfo> {
        &self.info
    }

    /// The same rule as one of the set with this hash.
    pub(super) fn in_set(&self, ruleset: &str) -> Rule {
        let info = RuleInfo { ruleset: ruleset.to_owned(), ..(*self.info).clone() };
        Rule { info: Arc::new(info), ..self.clone() }
    }

    pub fn notes(&self) -> &RuleNotes {
        &self.notes
    }

    pub fn kind(&self) -> &RuleKind {
        &self.kind
    }

    /// What is read of an event that the rule has matched; `None` where that is nothing.
    pub fn triage(&self) -> Option<&Triage> {
        self.triage.as_deref()
    }

    /// Those in its own file.
    pub fn exceptions(&self) -> &[Exception] {
        &self.exceptions
    }

    /// Where it has one.
    pub fn query(&self) -> Option<&Query> {
        match &self.kind {
            RuleKind::Query(rule) => Some(&rule.query),
            RuleKind::NewTerms(NewTermsRule { condition: Condition::Query(query), .. }) => {
                Some(query)
            }
            RuleKind::NewTerms(_) | RuleKind::Exec(_) => None,
        }
    }

    /// Whether the rule is in force without being asked for by its id.
    pub fn enabled(&self) -> bool {
        self.enabled
    }

    /// Words of which every event that can match holds one as a whole value of its `objectRef`.
    /// They consist of lower-case letters, digits, `-` and `.`. The prefilter is built on them.
    pub fn object_words(&self) -> Vec<&str> {
        match &self.kind {
            // Subresources of pods/exec and nodes/proxy.
            RuleKind::Exec(_) => vec!["exec", "proxy"],
            RuleKind::NewTerms(rule) => match &rule.condition {
                Condition::Match(table) => vec![&table.resource],
                Condition::Query(_) => Vec::new(),
            },
            // Its needles are asked of all queries together.
            RuleKind::Query(_) => Vec::new(),
        }
    }
}
