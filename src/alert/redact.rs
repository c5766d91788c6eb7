//! What must not leave in an alert: passwords, tokens and keys that a command line carries.
//!
//! Owns how a finding is rewritten: arguments, text, spans, the request URI and what else repeats
//! the command. It is applied to what leaves, never to what is matched. What is secret is found by
//! - `lex`, which takes a command apart into words, of which each byte has its place (`word`),
//! - `search`, which asks of each word whether it is a value: by the name before it (`names`), by
//!   the program it is for (`programs`), by a pair within it (`pairs`), by its form (`shapes`),
//! - the operator's own patterns, which are looked for in the text and hide whatever they match.
//!
//! Which file was read is what an alert is about, so it stays:
//! - a path is no secret, whatever its name (`names::is_path`);
//! - of a secret, what a rule matched as written stays, if the match begins within the secret. A
//!   secret that begins within a longer match is hidden;
//! - what a normal form reads is not taken for a value by its name when it is one word. A secret
//!   that comes up again is replaced where it stands alone, never within a path
//!   (`token=shadow; cat /etc/$token` reads `/etc/shadow`), and not when it is short and plain.

mod cut;
mod lex;
mod names;
mod pairs;
mod programs;
mod search;
mod shapes;
mod word;

use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use self::cut::{Cut, merged, replaced};
use crate::audit::event::{Event, Text};
use crate::audit::exec;
use crate::detect::finding::{ExecCommand, ExecVia, Finding, Match, View};
use crate::rules::patterns::{PatternError, PatternList};

/// What stands in the place of a secret.
pub const REDACTED: &str = "[redacted]";
/// The group of a pattern that is the secret; without it the whole match is.
const GROUP: &str = "secret";
/// Secrets, and parts of secrets, that are looked for elsewhere in an alert.
const REPEATED_MAX: usize = 1024;
/// The longest of them.
const REPEATED_MAX_BYTES: usize = 4096;
/// How often a text is gone over. What hides a secret can show that of another kind.
const PASSES_MAX: usize = 16;

/// The rules in force.
#[derive(Debug, Clone)]
pub struct Redaction {
    /// The forms of known secrets; without them there are no defaults.
    shapes: Option<PatternList>,
    own: Option<PatternList>,
}

impl Redaction {
    /// Nothing is redacted.
    pub fn none() -> Redaction {
        Redaction { shapes: None, own: None }
    }

    /// The defaults, if wanted, and the patterns of the operator.
    ///
    /// # Errors
    /// A pattern is not valid; it is named by its text.
    pub fn compile(defaults: bool, patterns: &[String]) -> Result<Redaction, PatternError> {
        let own = patterns.iter().map(|pattern| (pattern.as_str(), pattern.as_str()));
        Ok(Redaction {
            shapes: defaults.then(|| PatternList::compile(shapes::SHAPES)).transpose()?,
            own: (!patterns.is_empty()).then(|| PatternList::compile(own)).transpose()?,
        })
    }

    fn is_none(&self) -> bool {
        self.shapes.is_none() && self.own.is_none()
    }

    /// The finding as it may leave.
    pub fn apply(&self, mut finding: Finding) -> Finding {
        if self.is_none() {
            return finding;
        }
        let nothing = Repeated { automaton: None };
        for _ in 0..PASSES_MAX {
            let hidden = self.hidden(&finding.exec, &finding.matches);
            let cut = Cut::new(&finding.exec, &hidden.spans);
            for found in &mut finding.matches {
                found.span = cut.place(found.span.start, false)..cut.place(found.span.end, true);
                if let Some(reads) = &mut found.reads {
                    // A path is what the alert is about, whatever else was given its name.
                    let path = reads.contains('/') && !reads.contains(char::is_whitespace);
                    self.rewrite(reads, if path { &nothing } else { &hidden.repeated });
                }
                for step in &mut found.steps {
                    self.rewrite(step, &hidden.repeated);
                }
            }
            self.event(&mut finding.event, &finding.exec, &cut, &hidden.repeated);
            finding.exec.argv = cut.argv;
            finding.exec.text = cut.text;
            if hidden.spans.is_empty() {
                break;
            }
        }
        finding
    }

    /// The event of an exec that is told of without its command.
    pub fn apply_to_event(&self, event: &mut Event<'static>, exec: &ExecCommand) {
        if self.is_none() {
            return;
        }
        let hidden = self.hidden(exec, &[]);
        let cut = Cut::new(exec, &hidden.spans);
        self.event(event, exec, &cut, &hidden.repeated);
    }

    fn secrets(&self, exec: &ExecCommand) -> search::Found {
        self.shapes.as_ref().map(|shapes| search::command(exec, shapes)).unwrap_or_default()
    }

    fn own(&self, text: &str) -> Vec<Range<usize>> {
        self.own.as_ref().map(|own| own.spans_of(GROUP, text)).unwrap_or_default()
    }

    /// What of a command is to be hidden.
    fn hidden(&self, exec: &ExecCommand, matches: &[Match]) -> Hidden {
        let text = &exec.text;
        let mut found = self.secrets(exec);
        let own = self.own(text);
        found.values.extend(own.iter().filter_map(|span| text.get(span.clone()).map(Into::into)));
        let repeated = Repeated::new(&found.values);
        found.spans.extend(repeated.places(text));
        let matched = matches.iter().filter(|found| found.view == View::AsWritten);
        let matched = matched.map(|found| found.span.clone()).collect();
        let mut spans = without(merged(found.spans), &sorted(matched));
        spans.extend(own);
        let spans = fresh(text, merged(spans));
        Hidden { spans, repeated }
    }

    /// The request URI and the annotations, which repeat the command.
    fn event(
        &self,
        event: &mut Event<'static>,
        exec: &ExecCommand,
        cut: &Cut,
        repeated: &Repeated,
    ) {
        if let Some(uri) = &event.request_uri {
            let key = match exec.via {
                ExecVia::NodesProxyRun => "cmd",
                _ => "command",
            };
            // The values follow one another in the text, a space between two.
            let mut start = 0;
            let changed = exec::rewrite_query(uri, |parameter| {
                let end = start + parameter.value.len();
                let new = if parameter.counts
                    && parameter.key == key
                    && exec.text.get(start..end) == Some(parameter.value)
                {
                    let new = cut.text.get(cut.place(start, false)..cut.place(end, true));
                    start = end + 1;
                    new.unwrap_or(REDACTED).to_owned()
                } else {
                    let mut new = parameter.value.to_owned();
                    self.rewrite(&mut new, repeated);
                    new
                };
                (new != parameter.value).then_some(new)
            });
            if changed != uri.as_str() {
                event.request_uri = Some(changed.into());
            }
        }
        for value in event.annotations.iter_mut().flat_map(|all| all.values_mut()) {
            let mut new = value.as_str().to_owned();
            if new == exec.text {
                new.clone_from(&cut.text);
            } else {
                self.rewrite(&mut new, repeated);
            }
            if new != value.as_str() {
                *value = Text::from(new);
            }
        }
    }

    /// Rewrites a text that may repeat a part of the command.
    fn rewrite(&self, text: &mut String, repeated: &Repeated) {
        for _ in 0..PASSES_MAX {
            let mut spans = self.own(text);
            if let Some(shapes) = &self.shapes {
                if text.contains(char::is_whitespace) {
                    spans.extend(search::text(text, shapes).spans);
                } else {
                    spans.extend(shapes::spans(shapes, text));
                }
            }
            spans.extend(repeated.places(text));
            let spans = fresh(text, merged(spans));
            if spans.is_empty() {
                return;
            }
            *text = replaced(text, &spans);
        }
    }
}

struct Hidden {
    spans: Vec<Range<usize>>,
    repeated: Repeated,
}

/// Secrets that may come up again.
struct Repeated {
    automaton: Option<AhoCorasick>,
}

impl Repeated {
    fn new(values: &[String]) -> Repeated {
        // Another shell may take a secret with quotes or signs in it apart.
        let parts = values.iter().flat_map(|value| {
            let parts = value.split(|c: char| c.is_whitespace() || "'\"`;|&<>()".contains(c));
            std::iter::once(value.as_str()).chain(parts)
        });
        let is_rare = |part: &&str| part.len() <= REPEATED_MAX_BYTES && !names::is_common(part);
        let mut rare: Vec<&str> = parts.filter(is_rare).collect();
        rare.sort_unstable();
        rare.dedup();
        rare.truncate(REPEATED_MAX);
        if rare.is_empty() {
            return Repeated { automaton: None };
        }
        // The kind whose building costs no more than its patterns are long.
        let automaton = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::NoncontiguousNFA))
            .match_kind(MatchKind::LeftmostLongest)
            .build(rare);
        Repeated { automaton: automaton.ok() }
    }

    /// Where one of them stands alone: within no longer word, and no path.
    fn places(&self, text: &str) -> Vec<Range<usize>> {
        let Some(automaton) = &self.automaton else { return Vec::new() };
        let bytes = text.as_bytes();
        let continues = |byte: &u8| {
            byte.is_ascii_alphanumeric() || !byte.is_ascii() || b"_-./~+".contains(byte)
        };
        automaton
            .find_iter(text)
            .map(|found| found.range())
            .filter(|found| {
                let before = found.start.checked_sub(1).and_then(|at| bytes.get(at));
                !before.is_some_and(continues) && !bytes.get(found.end).is_some_and(continues)
            })
            .collect()
    }
}

fn sorted(mut spans: Vec<Range<usize>>) -> Vec<Range<usize>> {
    spans.sort_unstable_by_key(|span| (span.start, span.end));
    spans
}

/// The secrets but for the matches that begin within them. Both in ascending order.
fn without(secrets: Vec<Range<usize>>, matches: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut out = Vec::with_capacity(secrets.len());
    for secret in secrets {
        let first = matches.partition_point(|found| found.start < secret.start);
        let mut from = secret.start;
        for found in matches[first..].iter().take_while(|found| found.start < secret.end) {
            if from < found.start {
                out.push(from..found.start);
            }
            from = from.max(found.end.min(secret.end));
        }
        if from < secret.end {
            out.push(from..secret.end);
        }
    }
    out
}

/// The spans of which something is still to be seen. What stands in the place of a secret and is
/// touched by another becomes one with it, so that hiding again changes nothing.
fn fresh(text: &str, spans: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let mut old = memchr::memmem::find_iter(text.as_bytes(), REDACTED)
        .map(|start| start..start + REDACTED.len())
        .peekable();
    let mut out = Vec::with_capacity(spans.len());
    for span in spans {
        while old.next_if(|old| old.end < span.start).is_some() {}
        let (mut hull, mut from) = (span.clone(), span.start);
        let (mut touched, mut tells) = (false, false);
        let mut look = |piece: Range<usize>| {
            let piece = text.get(piece).unwrap_or_default();
            tells |= piece.chars().any(char::is_alphanumeric);
        };
        while let Some(old) = old.next_if(|old| old.start <= span.end) {
            touched = true;
            look(from..old.start.max(from));
            from = old.end;
            hull = hull.start.min(old.start)..hull.end.max(old.end);
        }
        look(from..span.end.max(from));
        if tells || !touched {
            out.push(hull);
        }
    }
    merged(out)
}

#[cfg(test)]
#[path = "redact/corpus_tests.rs"]
mod corpus_tests;
#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
