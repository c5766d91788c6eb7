//! What must not leave in an alert: passwords, tokens and keys that a command line carries.
//!
//! Owns the patterns and how a finding is rewritten: arguments, text, spans, the request URI and
//! the annotation that repeat the command. It is applied to what leaves, never to what is
//! matched. Paths are no secrets: which file was read is what the alert is about.

use std::borrow::Cow;
use std::ops::Range;

use crate::audit::event::Text;
use crate::audit::exec;
use crate::detect::finding::{ExecCommand, ExecVia, Finding};
use crate::rules::patterns::{PatternError, PatternList};

/// What stands in the place of a secret.
pub const REDACTED: &str = "[redacted]";
/// The group of a pattern that is the secret; without it the whole match is.
const GROUP: &str = "secret";
/// Shortest secret that is also looked for elsewhere in an alert. Shorter ones are part of words.
const REPEATED_MIN_BYTES: usize = 4;

/// Name and pattern. A value that begins like a path or a variable is none: `--token-file=/x`,
/// `token=$(cat …)`.
const DEFAULTS: [(&str, &str); 14] = [
    // HTTP headers.
    ("authorization", r"(?i)\b(?:bearer|basic)\s+(?<secret>[a-z0-9._~+/=-]{8,})"),
    // JSON Web Tokens wherever they stand.
    ("jwt", r"(?<secret>\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*)"),
    // `PGPASSWORD=x`, `--password=x`, `api_key=x` in a URL.
    (
        "assignment",
        r#"(?i)(?:passwo?r?d|passwd|pwd|passphrase|secret|token|api[_-]?key|access[_-]?key|credentials?)[a-z0-9_]*=["']?(?<secret>[^\s"'&;|,)}/.~$\[][^\s"'&;|,)}]*)"#,
    ),
    // `"password": "x"` in JSON.
    (
        "json",
        r#"(?i)(?:password|passwd|secret|token|api_?key)[a-z0-9_]*["']\s*:\s*["'](?<secret>[^"']+)"#,
    ),
    // `--password x`
    (
        "option",
        r#"(?i)\s--?(?:password|passwd|pass|secret|token|api-?key|auth-token|secret-key)\s+["']?(?<secret>[^\s"'/.~$<>|&;-][^\s"']*)"#,
    ),
    // `mysql -px`, `sshpass -p x` (mysql takes no space; `-p` alone asks).
    ("mysql", r#"\b(?:mysql\w*|mariadb[\w-]*)\b[^|;&\n]*?\s-p["']?(?<secret>[^\s"'$-][^\s"']*)"#),
    ("sshpass", r#"\bsshpass\b[^|;&\n]*?\s-p\s*["']?(?<secret>[^\s"'$-][^\s"']*)"#),
    ("mongo", r#"\bmongo\w*\b[^|;&\n]*?\s-p\s*["']?(?<secret>[^\s"'$-][^\s"']*)"#),
    ("redis", r#"\bredis-cli\b[^|;&\n]*?\s-a\s*["']?(?<secret>[^\s"'$-][^\s"']*)"#),
    // `curl -u user:password`
    (
        "curl",
        r#"\b(?:curl|wget|http)\b[^|;&\n]*?\s(?:-u|--user|--proxy-user)[\s=]*["']?[^\s"':]+:(?<secret>[^\s"']+)"#,
    ),
    // `https://user:password@host`
    ("url", r#"://[^\s/:@"']*:(?<secret>[^\s/@"']+)@"#),
    ("aws", r"(?<secret>\b(?:AKIA|ASIA)[A-Z0-9]{16}\b)"),
    ("aws-secret", r"(?i)aws_(?:secret_access_key|session_token)\s+(?<secret>[a-z0-9/+=]{16,})"),
    // The published prefixes of GitHub, GitLab and Slack, and private keys.
    (
        "prefixed",
        r"(?<secret>\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abprs]-[A-Za-z0-9-]{10,})|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z))",
    ),
];

/// The patterns in force.
#[derive(Debug, Clone)]
pub struct Redaction {
    patterns: Option<PatternList>,
}

impl Redaction {
    /// Nothing is redacted.
    pub fn none() -> Redaction {
        Redaction { patterns: None }
    }

    /// The default patterns, if wanted, and those of the operator.
    ///
    /// # Errors
    /// A pattern is not valid; it is named by its text.
    pub fn compile(defaults: bool, patterns: &[String]) -> Result<Redaction, PatternError> {
        let defaults = DEFAULTS.iter().filter(|_| defaults).copied();
        let own = patterns.iter().map(|pattern| (pattern.as_str(), pattern.as_str()));
        let all: Vec<(&str, &str)> = defaults.chain(own).collect();
        if all.is_empty() {
            return Ok(Redaction::none());
        }
        Ok(Redaction { patterns: Some(PatternList::compile(all)?) })
    }

    /// The finding as it may leave.
    pub fn apply(&self, mut finding: Finding) -> Finding {
        let Some(patterns) = &self.patterns else { return finding };
        let secrets = merged(patterns.spans_of(GROUP, &finding.exec.text));
        if secrets.is_empty() {
            return finding;
        }
        let repeated: Vec<String> = secrets
            .iter()
            .filter_map(|span| finding.exec.text.get(span.clone()))
            .filter(|secret| secret.len() >= REPEATED_MIN_BYTES)
            .map(str::to_owned)
            .collect();
        let cut = Cut::new(&finding.exec, &secrets);
        for found in &mut finding.matches {
            found.span = cut.place(found.span.start, false)..cut.place(found.span.end, true);
            if let Some(reads) = &mut found.reads {
                *reads = self.text(reads, &repeated);
            }
            for step in &mut found.steps {
                *step = self.text(step, &repeated);
            }
        }
        if let Some(uri) = &finding.event.request_uri {
            let changed = |at: usize, value: &str| match finding.exec.via {
                ExecVia::PodsExec | ExecVia::NodesProxyExec => {
                    let (old, new) = (finding.exec.argv.get(at)?, cut.argv.get(at)?);
                    (old != new && old == value).then(|| new.clone())
                }
                _ => Some(self.text(value, &repeated)).filter(|new| new != value),
            };
            finding.event.request_uri = Some(exec::rewrite_commands(uri, changed).into());
        }
        if let Some(annotations) = &mut finding.event.annotations {
            for value in annotations.values_mut() {
                let new = self.text(value, &repeated);
                if new != value.as_str() {
                    *value = Text::from(new);
                }
            }
        }
        finding.exec.argv = cut.argv;
        finding.exec.text = cut.text;
        finding
    }

    /// A text that may repeat a part of the command.
    fn text(&self, text: &str, repeated: &[String]) -> String {
        let spans = self.patterns.as_ref().map(|patterns| patterns.spans_of(GROUP, text));
        let mut out = Cow::Borrowed(text);
        let spans = merged(spans.unwrap_or_default());
        if !spans.is_empty() {
            out = Cow::Owned(replaced(text, &spans));
        }
        for secret in repeated {
            if out.contains(secret.as_str()) {
                out = Cow::Owned(out.replace(secret.as_str(), REDACTED));
            }
        }
        out.into_owned()
    }
}

/// Spans in ascending order, those that touch made one.
fn merged(mut spans: Vec<Range<usize>>) -> Vec<Range<usize>> {
    spans.sort_unstable_by_key(|span| (span.start, span.end));
    let mut out: Vec<Range<usize>> = Vec::with_capacity(spans.len());
    for span in spans.into_iter().filter(|span| !span.is_empty()) {
        match out.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => out.push(span),
        }
    }
    out
}

fn replaced(text: &str, spans: &[Range<usize>]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for span in spans {
        out.push_str(text.get(from..span.start).unwrap_or_default());
        out.push_str(REDACTED);
        from = span.end;
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out
}

/// A command without its secrets, and where its bytes went.
struct Cut {
    argv: Vec<String>,
    text: String,
    /// A span of the text before, and the byte of the text after at which its replacement begins.
    cuts: Vec<(Range<usize>, usize)>,
}

impl Cut {
    fn new(exec: &ExecCommand, secrets: &[Range<usize>]) -> Cut {
        // A secret that runs over the end of an argument is one in each, so that there are as many
        // arguments after as before.
        let mut spans = Vec::with_capacity(secrets.len());
        let mut argv = Vec::with_capacity(exec.argv.len());
        let mut start = 0;
        let joined = exec.via != ExecVia::GkeLabel;
        if joined {
            let mut next = 0;
            for argument in &exec.argv {
                let end = start + argument.len();
                let mut inside = Vec::new();
                while next < secrets.len() && secrets[next].end <= start {
                    next += 1;
                }
                for secret in secrets[next..].iter().take_while(|secret| secret.start < end) {
                    let span = secret.start.max(start)..secret.end.min(end);
                    if !span.is_empty() {
                        spans.push(span.clone());
                        inside.push(span.start - start..span.end - start);
                    }
                }
                argv.push(replaced(argument, &inside));
                start = end + 1;
            }
        } else {
            spans.extend_from_slice(secrets);
        }
        let text = replaced(&exec.text, &spans);
        if !joined {
            let words = text.split(' ').filter(|word| !word.is_empty());
            argv = words.map(str::to_owned).collect();
        }
        let mut cuts = Vec::with_capacity(spans.len());
        let (mut from, mut at) = (0, 0);
        for span in spans {
            at += span.start - from;
            from = span.end;
            cuts.push((span, at));
            at += REDACTED.len();
        }
        Cut { argv, text, cuts }
    }

    /// Where a byte of the text before is in the text after; within a secret, the beginning or
    /// the end of what replaces it.
    fn place(&self, before: usize, end: bool) -> usize {
        let passed = self.cuts.partition_point(|(span, _)| span.start < before);
        let Some((span, at)) = passed.checked_sub(1).and_then(|at| self.cuts.get(at)) else {
            return before;
        };
        match before.checked_sub(span.end) {
            Some(beyond) => at + REDACTED.len() + beyond,
            None if end => at + REDACTED.len(),
            None => *at,
        }
    }
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
