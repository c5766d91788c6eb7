//! What a stateless rule found in one event: in the command of an exec, or in the request.

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::audit::event::Event;
use crate::detect::suppress::Suppression;
use crate::position::Position;
use crate::rules::format::{RuleInfo, Severity};

/// A match of an exec rule, ready to be made into an alert.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub rule: Arc<RuleInfo>,
    /// The rule's, unless the finding is of a kind for which the rule names another.
    pub severity: Severity,
    /// 0 to 100; the rule's, unless the finding is of a kind for which the rule names another.
    pub risk_score: u8,
    pub cluster: String,
    pub event: Event<'static>,
    /// What tells the event from others: see [`crate::detect::identity`]. Never empty.
    pub event_id: String,
    /// Milliseconds since the epoch; the event's own time, else the wrapper's, else none.
    pub event_time_ms: Option<i64>,
    pub position: Position,
    pub exec: ExecCommand,
    /// In the order of the views, then of the patterns. Empty for the labels that stand without
    /// a command (see `access_types`).
    pub matches: Vec<Match>,
    /// Every label that applies, in the order of the rule; the first one is the alert's.
    pub access_types: Vec<String>,
    pub suppression: Option<Suppression>,
    /// The best of the matches'. `None` for what stands without a match.
    pub confidence: Option<Confidence>,
}

/// A match of a query rule on a request, ready to be made into an alert. One on an exec is a
/// [`Finding`] without matches, so that its command is told.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestFinding {
    pub rule: Arc<RuleInfo>,
    pub cluster: String,
    pub event: Event<'static>,
    /// What tells the event from others: see [`crate::detect::identity`]. Never empty.
    pub event_id: String,
    /// Milliseconds since the epoch; the event's own time, else the wrapper's, else none.
    pub event_time_ms: Option<i64>,
    pub position: Position,
    /// Every label that applies, in the order of the rule; the first one is the alert's.
    pub access_types: Vec<String>,
    pub suppression: Option<Suppression>,
}

/// An exec as the API server or the kubelet understands it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecCommand {
    pub via: ExecVia,
    /// Decoded arguments in order. Bytes that are no UTF-8 are U+FFFD.
    pub argv: Vec<String>,
    /// `argv` joined by one space: the text of the as-written view.
    pub text: String,
    pub container: Option<String>,
    /// From the path for a node's proxy, from `objectRef` else.
    pub namespace: Option<String>,
    pub pod: Option<String>,
    pub stdin: bool,
    pub tty: bool,
}

impl ExecCommand {
    /// A command of which nothing else is known.
    pub fn new(via: ExecVia, argv: Vec<String>) -> ExecCommand {
        ExecCommand {
            via,
            text: argv.join(" "),
            argv,
            container: None,
            namespace: None,
            pod: None,
            stdin: false,
            tty: false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExecVia {
    /// `pods/NAME/exec`
    PodsExec,
    /// `nodes/NAME/proxy/exec/NS/POD/CONTAINER`
    NodesProxyExec,
    /// `nodes/NAME/proxy/run/NS/POD/CONTAINER`
    NodesProxyRun,
    /// The label `command.gke.io/command` of a GKE Cloud Logging entry. `argv` is its words
    /// split at spaces, since the label keeps no argument boundaries.
    GkeLabel,
    /// No request at all: a text given to `explain`, read as a shell's script. `argv` is the text.
    ShellText,
}

/// A reading of the command in which patterns are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum View {
    /// The decoded arguments joined by spaces, nothing else done to them.
    AsWritten,
    /// The command as a shell would read it.
    NormalForm,
}

/// How sure it is that a sensitive path is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// The command hides what it does, and that could not be found out.
    Suspicious,
    /// A glob or a directory covers the path.
    Likely,
    /// The path stands in the command as written or in its normal form.
    Certain,
}

impl Confidence {
    /// As alerts write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Confidence::Suspicious => "suspicious",
            Confidence::Likely => "likely",
            Confidence::Certain => "certain",
        }
    }
}

/// One pattern that matched in one view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Match {
    pub view: View,
    /// The pattern's name or its text as in the rule.
    pub pattern: String,
    /// Byte range in the command as written: of the text that matched, or of what the normal form
    /// was made of.
    pub span: Range<usize>,
    pub confidence: Confidence,
    /// What the normal form reads there: a path, or the part of a line that matched. At most
    /// [`crate::limits::NORMAL_FORM_SHOWN_MAX_BYTES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reads: Option<String>,
    /// How the normal form came about, e.g. `quotes removed`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<String>,
}

impl Match {
    /// A match in the command as written.
    pub fn as_written(pattern: impl Into<String>, span: Range<usize>) -> Match {
        Match {
            view: View::AsWritten,
            pattern: pattern.into(),
            span,
            confidence: Confidence::Certain,
            reads: None,
            steps: Vec::new(),
        }
    }
}
