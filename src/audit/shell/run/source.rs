//! How a text that was computed is written as a script.

use std::borrow::Cow;

use super::super::text::{MarkKind, Text};

/// A text as a source: what is unknown in the middle of a path stands there as a parameter that
/// is unknown. Anywhere else it is left out, since what stands beside it may be read all the same.
pub(super) fn spelled(source: &Text) -> Cow<'_, str> {
    let text = source.as_str();
    if !source.has_hole() {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for mark in source.marks().iter().filter(|mark| mark.kind == MarkKind::Hole) {
        let (before, behind) = text.split_at(mark.at);
        if before.ends_with('/') && behind.starts_with('/') {
            out.push_str(before.get(from..).unwrap_or_default());
            out.push_str("$$");
            from = mark.at;
        }
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out.into()
}
