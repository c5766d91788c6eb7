//! Runs a pattern over a value: from a set of positions to the set of positions it can reach.
//!
//! Sets are ascending lists of byte offsets. Every node is applied to a whole set at once, so the
//! work is at most the value's length times the pattern's; only `!(…)` and repetitions may need
//! more, and all of it is bounded.

use std::ops::Range;

use super::{Kind, Node};

/// Most positions that one search looks at.
const WORK_MAX: usize = 1 << 21;

pub(super) struct Search<'v> {
    value: &'v str,
    /// Wildcards do not match slashes, nor leading dots.
    names: bool,
    dots: bool,
    /// From the end to the front.
    back: bool,
    work: usize,
}

impl<'v> Search<'v> {
    pub(super) fn new(value: &'v str, names: bool, dots: bool) -> Search<'v> {
        Search { value, names, dots, back: false, work: WORK_MAX }
    }

    /// Over a plain value, from its end.
    pub(super) fn backwards(value: &'v str) -> Search<'v> {
        Search { value, names: false, dots: true, back: true, work: WORK_MAX }
    }

    pub(super) fn exhausted(&self) -> bool {
        self.work == 0
    }

    /// Where matches from `start` can end; `None` when that takes more work than is done.
    pub(super) fn ends(&mut self, nodes: &[Node], start: usize) -> Option<Vec<usize>> {
        self.sequence(nodes, vec![start])
    }

    /// Whether the pattern matches all of the value. `None` for one with holes or groups, and where
    /// that takes more work than is done.
    ///
    /// A star takes as little as it can, and more of it only when what follows fails: without
    /// holes, every slash is one that the pattern spells, and what lies between two of them is
    /// matched on its own, so that the star before never has to be asked again.
    pub(super) fn greedily(&mut self, nodes: &[Node]) -> Option<bool> {
        let (mut node, mut place) = (0, 0);
        // Behind the last star, and how far that star reaches.
        let mut star: Option<(usize, usize)> = None;
        loop {
            self.spend(1)?;
            let found = self.step(place);
            let next = match nodes.get(node) {
                Some(Node::Star) => {
                    node += 1;
                    star = Some((node, place));
                    continue;
                }
                Some(Node::Hole | Node::Group { .. }) => return None,
                Some(Node::Char(wanted)) => found.filter(|(found, _)| found == wanted),
                Some(Node::Any) => found.filter(|(found, _)| !self.shut(place, *found)),
                Some(Node::Class(class)) => {
                    found.filter(|(found, _)| class.has(*found) && !self.shut(place, *found))
                }
                None if found.is_none() => return Some(true),
                None => None,
            };
            if let Some((_, next)) = next {
                node += 1;
                place = next;
                continue;
            }
            let Some((behind, reached)) = star else { return Some(false) };
            let Some((passed, next)) = self.step(reached) else { return Some(false) };
            if self.shut(reached, passed) {
                return Some(false);
            }
            star = Some((behind, next));
            (node, place) = (behind, next);
        }
    }

    /// The longest match at the leftmost place.
    pub(super) fn find(&mut self, nodes: &[Node], from: usize) -> Option<Range<usize>> {
        // Where a pattern that begins with a star fails, it fails further on too.
        let once = matches!(nodes.first(), Some(Node::Star | Node::Hole));
        let mut start = from;
        loop {
            if let Some(end) = self.ends(nodes, start)?.last() {
                return Some(start..*end);
            }
            if once {
                return None;
            }
            start = self.step(start)?.1;
        }
    }

    fn spend(&mut self, work: usize) -> Option<()> {
        self.work = self.work.saturating_sub(work);
        (self.work > 0).then_some(())
    }

    fn sequence(&mut self, nodes: &[Node], mut at: Vec<usize>) -> Option<Vec<usize>> {
        for index in 0..nodes.len() {
            let index = if self.back { nodes.len() - 1 - index } else { index };
            at = self.node(nodes.get(index)?, at)?;
            self.spend(at.len() + 1)?;
            if at.is_empty() {
                break;
            }
        }
        Some(at)
    }

    fn node(&mut self, node: &Node, at: Vec<usize>) -> Option<Vec<usize>> {
        match node {
            Node::Char(wanted) => Some(self.characters(at, |found| found == *wanted)),
            Node::Any => Some(self.wild(at, |_| true)),
            Node::Class(class) => Some(self.wild(at, |found| class.has(found))),
            Node::Star => self.stretch(&at, false),
            Node::Hole => self.stretch(&at, true),
            Node::Group { kind, alternatives } => self.group(*kind, alternatives, at),
        }
    }

    /// The next character and the place after it.
    fn step(&self, at: usize) -> Option<(char, usize)> {
        if self.back {
            let character = self.value.get(..at)?.chars().next_back()?;
            Some((character, at - character.len_utf8()))
        } else {
            let character = self.value.get(at..)?.chars().next()?;
            Some((character, at + character.len_utf8()))
        }
    }

    fn characters(&self, mut at: Vec<usize>, accept: impl Fn(char) -> bool) -> Vec<usize> {
        let mut kept = 0;
        for index in 0..at.len() {
            if let Some((found, next)) = at.get(index).and_then(|from| self.step(*from))
                && accept(found)
                && let Some(place) = at.get_mut(kept)
            {
                *place = next;
                kept += 1;
            }
        }
        at.truncate(kept);
        at
    }

    fn wild(&self, mut at: Vec<usize>, accept: impl Fn(char) -> bool) -> Vec<usize> {
        at.retain(|from| self.step(*from).is_some_and(|(found, _)| !self.shut(*from, found)));
        self.characters(at, accept)
    }

    /// Whether a wildcard must not match this character at this place.
    fn shut(&self, at: usize, found: char) -> bool {
        let leads = || at == 0 || self.value.as_bytes().get(at - 1) == Some(&b'/');
        self.names && (found == '/' || found == '.' && !self.dots && leads())
    }

    /// Everything from a position on, as far as a star reaches.
    fn stretch(&mut self, at: &[usize], slashes: bool) -> Option<Vec<usize>> {
        let mut reached = Vec::new();
        // Backwards the largest position comes first, so that none is walked twice.
        let starts: Box<dyn Iterator<Item = &usize>> =
            if self.back { Box::new(at.iter().rev()) } else { Box::new(at.iter()) };
        for start in starts {
            let mut place = *start;
            while self.is_further(&reached, place) {
                reached.push(place);
                match self.step(place) {
                    Some((found, next)) if slashes || !self.shut(place, found) => place = next,
                    _ => break,
                }
            }
            self.spend(1)?;
        }
        self.spend(reached.len())?;
        if self.back {
            reached.reverse();
        }
        Some(reached)
    }

    fn is_further(&self, reached: &[usize], place: usize) -> bool {
        reached.last().is_none_or(|last| if self.back { place < *last } else { place > *last })
    }

    fn group(
        &mut self,
        kind: Kind,
        alternatives: &[Vec<Node>],
        at: Vec<usize>,
    ) -> Option<Vec<usize>> {
        match kind {
            Kind::One => self.alternatives(alternatives, &at),
            Kind::Optional => {
                let once = self.alternatives(alternatives, &at)?;
                Some(union(at, once))
            }
            Kind::Repeated => self.repeated(alternatives, at),
            Kind::Some => {
                let once = self.alternatives(alternatives, &at)?;
                self.repeated(alternatives, once)
            }
            Kind::Not => self.not(alternatives, &at),
        }
    }

    fn alternatives(&mut self, alternatives: &[Vec<Node>], at: &[usize]) -> Option<Vec<usize>> {
        let mut all = Vec::new();
        for nodes in alternatives {
            self.spend(at.len() + 1)?;
            all.extend(self.sequence(nodes, at.to_vec())?);
        }
        all.sort_unstable();
        all.dedup();
        Some(all)
    }

    fn repeated(&mut self, alternatives: &[Vec<Node>], at: Vec<usize>) -> Option<Vec<usize>> {
        self.spend(self.value.len() / 8)?;
        let mut seen = vec![false; self.value.len() + 1];
        let mut all = Vec::new();
        let mut fresh = at;
        while !fresh.is_empty() {
            fresh.retain(|place| {
                seen.get_mut(*place).is_some_and(|seen| !std::mem::replace(seen, true))
            });
            all.extend_from_slice(&fresh);
            fresh = self.alternatives(alternatives, &fresh)?;
        }
        all.sort_unstable();
        Some(all)
    }

    /// Everything that a star reaches from a position, but for what the alternatives match there.
    fn not(&mut self, alternatives: &[Vec<Node>], at: &[usize]) -> Option<Vec<usize>> {
        let mut all = Vec::new();
        for start in at {
            let excluded = self.alternatives(alternatives, &[*start])?;
            let reached = self.stretch(&[*start], false)?;
            all.extend(reached.into_iter().filter(|end| excluded.binary_search(end).is_err()));
        }
        all.sort_unstable();
        all.dedup();
        Some(all)
    }
}

fn union(mut first: Vec<usize>, second: Vec<usize>) -> Vec<usize> {
    first.extend(second);
    first.sort_unstable();
    first.dedup();
    first
}
