//! The `s` command.

use std::rc::Rc;

use super::super::posix::{Groups, Pattern, Work};
use super::super::{OUTPUT_MAX_BYTES, Unknown};

#[derive(Debug)]
pub struct Substitution {
    /// `None`: the pattern used last.
    pub pattern: Option<Rc<Pattern>>,
    pub replacement: Vec<Piece>,
    /// The first match that is replaced, from 1 on.
    pub nth: usize,
    /// So are all that follow.
    pub global: bool,
    pub prints: bool,
}

#[derive(Debug)]
pub enum Piece {
    Text(String),
    /// `\1`, and `&` for 0.
    Group(usize),
    Case(Case),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// `\U`
    Upper,
    /// `\L`
    Lower,
    /// `\u`
    UpperNext,
    /// `\l`
    LowerNext,
    /// `\E`
    End,
}

impl Substitution {
    /// Whether two groups beside each other change places, as in `s/\(.\)\(.\)/\2\1/g`.
    pub fn swaps(&self) -> bool {
        let falls = |pair: &[Piece]| matches!(pair, [Piece::Group(first), Piece::Group(second)] if first > second && *second > 0);
        self.replacement.windows(2).any(falls)
    }

    /// The text after it; `None` when nothing matched.
    pub fn apply(
        &self,
        pattern: &Pattern,
        text: &[u8],
        work: &mut Work,
    ) -> Result<Option<Vec<u8>>, Unknown> {
        let mut out = Vec::new();
        let (mut from, mut count, mut replaced) = (0, 0, false);
        let mut previous_end = None;
        while from <= text.len() {
            let Some(groups) = pattern.find(text, from, work)? else { break };
            let Some(Some((start, end))) = groups.first().copied() else { break };
            // Nothing matches right behind a match.
            let skipped = start == end && previous_end == Some(start);
            out.extend_from_slice(text.get(from..start).unwrap_or_default());
            if !skipped {
                count += 1;
                if count >= self.nth {
                    replaced = true;
                    self.replace(text, &groups, &mut out);
                    work.spend(self.replacement.len())?;
                } else {
                    out.extend_from_slice(text.get(start..end).unwrap_or_default());
                }
            }
            previous_end = Some(end);
            from = end;
            if start == end {
                let length = character_length(text.get(end..).unwrap_or_default());
                out.extend_from_slice(text.get(end..end + length).unwrap_or_default());
                from = end + length.max(1);
            }
            if out.len() > OUTPUT_MAX_BYTES {
                return Err(Unknown::Decoded);
            }
            if replaced && !self.global {
                break;
            }
        }
        if !replaced {
            return Ok(None);
        }
        let rest = text.get(from..).unwrap_or_default();
        work.spend(rest.len())?;
        out.extend_from_slice(rest);
        Ok(Some(out))
    }

    fn replace(&self, text: &[u8], groups: &Groups, out: &mut Vec<u8>) {
        let (mut case, mut next) = (Case::End, Case::End);
        for piece in &self.replacement {
            let bytes = match piece {
                Piece::Text(text) => text.as_bytes(),
                Piece::Group(group) => {
                    let range = groups.get(*group).copied().flatten();
                    range.and_then(|(start, end)| text.get(start..end)).unwrap_or_default()
                }
                Piece::Case(change @ (Case::UpperNext | Case::LowerNext)) => {
                    next = *change;
                    continue;
                }
                Piece::Case(change) => {
                    case = *change;
                    continue;
                }
            };
            let from = out.len();
            out.extend_from_slice(bytes);
            let added = &mut out[from..];
            match case {
                Case::Upper => added.make_ascii_uppercase(),
                Case::Lower => added.make_ascii_lowercase(),
                _ => {}
            }
            if let Some(first) = added.first_mut() {
                match std::mem::replace(&mut next, Case::End) {
                    Case::UpperNext => first.make_ascii_uppercase(),
                    Case::LowerNext => first.make_ascii_lowercase(),
                    _ => {}
                }
            }
        }
    }
}

/// Of the first character, in bytes; 0 at the end.
fn character_length(text: &[u8]) -> usize {
    let more = text.iter().skip(1).take(3).take_while(|byte| matches!(byte, 0x80..=0xBF)).count();
    match text.first() {
        None => 0,
        Some(0xC0..) => 1 + more,
        Some(_) => 1,
    }
}
