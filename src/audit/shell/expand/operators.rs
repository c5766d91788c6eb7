//! What the operators of `${…}` make of one value whose operands are expanded already.
//!
//! Owns the operations on characters. A value that is partly unknown gives a hole, unless the
//! operation cannot touch the unknown part.

use super::{EXPANDED_MAX_BYTES, Shell, escapes, exhaust};
use crate::audit::shell::ast::Replace;
use crate::audit::shell::pattern::Pattern;
use crate::audit::shell::text::{MarkKind, Text};

/// `${#a}`; the length of what is not known is not known.
pub(super) fn length(value: &Text) -> Text {
    match value.as_literal() {
        Some(text) => Text::literal(text.chars().count().to_string()),
        None => Text::hole(),
    }
}

/// Characters `offset..offset + length`. Negative ones count from the end.
pub(super) fn substring(value: &Text, offset: i64, length: Option<i64>) -> Text {
    // The part before what is not known can be counted from its start.
    let known = known_head(value);
    let whole = known.len() == value.len() && value.is_literal();
    let count = known.chars().count();
    let Some((start, end)) = range(count, offset, length) else {
        return if whole { Text::new() } else { Text::hole() };
    };
    let counts_from_start = offset >= 0
        && length.is_some_and(|length| {
            length >= 0 && usize::try_from(offset.saturating_add(length)).is_ok_and(|n| n <= count)
        });
    if !whole && !counts_from_start {
        return Text::hole();
    }
    let mut bytes = known.char_indices().map(|(at, _)| at).chain([known.len()]);
    let from = bytes.nth(start).unwrap_or(known.len());
    let to = if end == start { from } else { bytes.nth(end - start - 1).unwrap_or(known.len()) };
    Text::literal(known.get(from..to).unwrap_or_default())
}

/// The elements that `offset` and `length` mean, out of `count`; `None` is none of them.
pub(super) fn range(count: usize, offset: i64, length: Option<i64>) -> Option<(usize, usize)> {
    let count_signed = i64::try_from(count).ok()?;
    let start = if offset < 0 { count_signed.checked_add(offset)? } else { offset };
    let end = match length {
        None => count_signed,
        Some(length) if length < 0 => count_signed.checked_add(length)?,
        Some(length) => start.checked_add(length).unwrap_or(count_signed).min(count_signed),
    };
    let (start, end) = (usize::try_from(start).ok()?, usize::try_from(end).ok()?);
    (start <= end && end <= count).then_some((start, end))
}

pub(super) fn remove_prefix(value: &Text, pattern: &Pattern, longest: bool) -> Text {
    let known = known_head(value);
    let whole = value.is_literal();
    match pattern.remove_prefix(known, longest) {
        Some(removed) if whole || !longest => value.slice(removed, value.len()),
        None if whole => value.clone(),
        _ => Text::hole(),
    }
}

pub(super) fn remove_suffix(value: &Text, pattern: &Pattern, longest: bool) -> Text {
    let known = known_tail(value);
    let whole = value.is_literal();
    match pattern.remove_suffix(known, longest) {
        // A hole at the very end of what is left belongs to it.
        Some(removed) if !whole && removed == known.len() && !longest => {
            let mut left = value.slice(0, value.len() - removed);
            if value.marks().last().is_some_and(|mark| mark.kind == MarkKind::Hole) {
                left.push_hole();
            }
            left
        }
        Some(removed) if whole || !longest => value.slice(0, value.len() - removed),
        None if whole => value.clone(),
        _ => Text::hole(),
    }
}

/// `with` is in pieces: between each two stands the text that matched.
pub(super) fn replace(
    value: &Text,
    which: Replace,
    pattern: &Pattern,
    with: &[Text],
    shell: &mut dyn Shell,
) -> Text {
    let Some(text) = value.as_literal() else { return Text::hole() };
    let found = match which {
        Replace::Prefix => pattern.remove_prefix(text, true).map(|end| 0..end),
        Replace::Suffix => {
            pattern.remove_suffix(text, true).map(|removed| text.len() - removed..text.len())
        }
        Replace::First => pattern.find(text, 0),
        Replace::All => None,
    };
    let found = match which {
        Replace::All => match pattern.find_all(text) {
            Some(found) => found,
            None => return Text::hole(),
        },
        _ => found.into_iter().collect(),
    };
    let mut out = Text::new();
    let mut copied = 0;
    for found in found {
        out.push_str(text.get(copied..found.start).unwrap_or_default());
        if !push_replacement(&mut out, with, text.get(found.clone()).unwrap_or_default(), shell) {
            return out;
        }
        copied = found.end;
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    out
}

fn push_replacement(out: &mut Text, with: &[Text], matched: &str, shell: &mut dyn Shell) -> bool {
    for (at, piece) in with.iter().enumerate() {
        let between = if at == 0 { "" } else { matched };
        let grown = out.len() + between.len() + piece.len();
        if grown > EXPANDED_MAX_BYTES {
            exhaust(shell);
        }
        if grown > EXPANDED_MAX_BYTES || !shell.spend(between.len() + piece.len() + 1) {
            out.push_hole();
            return false;
        }
        out.push_str(between);
        out.append(piece);
    }
    true
}

/// Changes the first character that matches, or all of them.
pub(super) fn change_case(value: &Text, upper: bool, all: bool, pattern: Option<&Pattern>) -> Text {
    if value.has_active() || !all && !value.is_literal() {
        return Text::hole();
    }
    let mut out = Text::new();
    let mut holes = value.marks().iter().peekable();
    let mut buffer = [0; 4];
    for (at, character) in value.as_str().char_indices() {
        if holes.next_if(|mark| mark.at <= at).is_some() {
            out.push_hole();
        }
        let matches = (all || at == 0)
            && pattern
                .is_none_or(|pattern| pattern.matches_string(character.encode_utf8(&mut buffer)));
        match matches {
            true if upper => out.push(one(character, character.to_uppercase())),
            true => out.push(one(character, character.to_lowercase())),
            false => out.push(character),
        }
    }
    if holes.next().is_some() {
        out.push_hole();
    }
    out
}

/// Shells change single characters: one that would become several stays.
fn one(character: char, mut changed: impl Iterator<Item = char>) -> char {
    match (changed.next(), changed.next()) {
        (Some(changed), None) => changed,
        _ => character,
    }
}

/// `${a@Q}` and its like. Quoting and prompts leave the value as it is: it is what is run that
/// counts, and there both are undone again.
pub(super) fn transform(value: &Text, letter: char) -> Text {
    match letter {
        'U' => change_case(value, true, true, None),
        'L' => change_case(value, false, true, None),
        'u' => change_case(value, true, false, None),
        'E' => match value.as_literal() {
            Some(text) => Text::literal(escapes::decode(text)),
            None => Text::hole(),
        },
        'a' => Text::new(),
        _ => value.clone(),
    }
}

fn known_head(value: &Text) -> &str {
    let end = value.marks().first().map_or(value.len(), |mark| mark.at);
    value.as_str().get(..end).unwrap_or_default()
}

fn known_tail(value: &Text) -> &str {
    let start = value.marks().last().map_or(0, |mark| match mark.kind {
        MarkKind::Hole => mark.at,
        MarkKind::Active => mark.at + 1,
    });
    value.as_str().get(start..).unwrap_or_default()
}
