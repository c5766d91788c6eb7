//! A command rewritten without its secrets, and where its bytes went.
//!
//! Owns spans: there are as many arguments after as before, and every place of the text before has
//! one in the text after.

use std::ops::Range;

use super::REDACTED;
use crate::detect::finding::{ExecCommand, ExecVia};

/// Spans in ascending order, those that touch made one.
pub fn merged(mut spans: Vec<Range<usize>>) -> Vec<Range<usize>> {
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

pub fn replaced(text: &str, spans: &[Range<usize>]) -> String {
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
pub struct Cut {
    pub argv: Vec<String>,
    pub text: String,
    /// A span of the text before, and the byte of the text after at which its replacement begins.
    cuts: Vec<(Range<usize>, usize)>,
}

impl Cut {
    pub fn new(exec: &ExecCommand, secrets: &[Range<usize>]) -> Cut {
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
    pub fn place(&self, before: usize, end: bool) -> usize {
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
