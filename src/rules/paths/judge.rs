//! Whether an access counts against the entries of a set, and how.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::ending::Asking;
use super::language::{Alternative, Component};
use super::{How, PathMatch, PathSet};
use crate::audit::shell::path;
use crate::audit::shell::pattern::Pattern;
use crate::audit::shell::reading::{Access, Reach};
use crate::audit::shell::text::{MarkKind, Step, Text};

/// Characters of the last name that a pattern has to spell where names are only listed, and that
/// something unknown has to leave known.
const LITERALS_MIN: usize = 2;
/// Characters of a name that may stand anywhere (`**/id_rsa`).
const ANYWHERE_LITERALS_MIN: usize = 3;
/// So many characters of a searched name tell what is looked for; fewer must be half of it.
const NAME_LITERALS_TELLING: usize = 4;
/// Deepest path that is compared with a `**` in the middle of an entry.
const DEEP_COMPONENTS_MAX: usize = 64;

pub(super) struct Judge<'s> {
    set: &'s PathSet,
    found: Vec<PathMatch>,
}

/// A component of the access, compiled.
struct Piece {
    text: Text,
    pattern: Pattern,
    literals: usize,
}

impl Piece {
    fn new(text: Text) -> Piece {
        let pattern = Pattern::new(&text);
        Piece { literals: pattern.literals(), text, pattern }
    }

    fn literal(&self) -> Option<&str> {
        self.text.as_literal()
    }

    fn fits(&self, component: &Component) -> bool {
        match self.literal() {
            Some(name) => component.matches(name),
            None => component.is_any() || component.core.intersects(&self.pattern),
        }
    }
}

fn pieces_of(path: &Text) -> Vec<Piece> {
    path::components(path).into_iter().map(Piece::new).collect()
}

/// How the components of an alternative lie along those of a path.
#[derive(Default)]
struct Alignment {
    /// Numbers of the path's components after which all of the alternative's have been found.
    ends: Vec<usize>,
    /// The path ends while some of the alternative are still to come.
    above: bool,
}

impl<'s> Judge<'s> {
    pub(super) fn new(set: &'s PathSet) -> Judge<'s> {
        Judge { set, found: Vec::new() }
    }

    pub(super) fn judge(mut self, access: &Access) -> Vec<PathMatch> {
        let path = path::cleaned(&access.path);
        match path.as_literal() {
            Some(literal) => self.literal(literal, assumes_root(&path)),
            None => self.pattern(&path, access.reach),
        }
        if matches!(access.reach, Reach::Walked | Reach::Searched) {
            self.walk(&path, access);
        }
        self.found.sort_by_key(|found| found.entry);
        self.found
    }

    fn add(&mut self, entry: usize, how: How, example: impl FnOnce() -> String) {
        match self.found.iter_mut().find(|found| found.entry == entry) {
            Some(found) if found.how <= how => {}
            Some(found) => *found = PathMatch { entry, how, example: example() },
            None => self.found.push(PathMatch { entry, how, example: example() }),
        }
    }

    /// `assumed`: the root may be any other directory.
    fn literal(&mut self, literal: &str, assumed: bool) {
        let names = names_of(literal);
        let unknown_start = !literal.starts_with('/');
        self.names(&names, unknown_start, How::Read, || literal.to_owned());
        if assumed {
            self.names(&names, true, How::BehindUnknown, || format!("…{literal}"));
        }
    }

    /// Components without patterns: those that an entry describes, at any place.
    fn names(
        &mut self,
        names: &[&str],
        unknown_start: bool,
        how: How,
        example: impl Fn() -> String,
    ) {
        let set = self.set;
        for (at, name) in names.iter().enumerate() {
            let rest = names.get(at..).unwrap_or_default();
            let starts = set.starts.get(*name).filter(|starts| starts.may_go_on(rest));
            for start in starts.into_iter().flat_map(|starts| &starts.all) {
                let Some(alternative) = set.alternatives.get(start.alternative) else { continue };
                if (start.component == 0 || unknown_start && at == 0)
                    && start.may_begin(rest)
                    && alternative.begins(start.component, rest)
                {
                    self.add(alternative.entry, how, &example);
                }
            }
            for alternative in set.loose.iter().filter_map(|at| set.alternatives.get(*at)) {
                if alternative.begins(0, rest) {
                    self.add(alternative.entry, how, &example);
                }
            }
            self.endings(name, how, &example);
        }
    }

    /// `x.pem`, and `x.pem.bak`, but not `x.pems`.
    fn endings(&mut self, name: &str, how: How, example: impl Fn() -> String) {
        let set = self.set;
        if !name.bytes().any(|byte| byte == b'.') {
            return;
        }
        let mut rest = name;
        while let Some((_, after)) = rest.split_once('.') {
            let end = after.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(after.len());
            let letters = after.get(..end).unwrap_or_default();
            for at in set.by_ending.get(letters).into_iter().flatten() {
                if let Some(ending) = set.endings.get(*at) {
                    self.add(ending.entry, how, &example);
                }
            }
            rest = after.get(end..).unwrap_or_default();
        }
    }

    /// A path with patterns or holes in it.
    fn pattern(&mut self, path: &Text, reach: Reach) {
        let pieces = pieces_of(path);
        self.literal_runs(path, &pieces);
        self.asked_for(&pieces, reach);

        let rooted = anchored(path);
        let Some(rooted) = rooted else { return };
        let pieces = if rooted == *path { pieces } else { pieces_of(&rooted) };
        match pieces.iter().position(|piece| piece.text.has_hole()) {
            None => self.anchored_pattern(&pieces, reach),
            Some(hole) => self.anchored_hole(&rooted, &pieces, hole, reach),
        }
    }

    /// Components beside each other in which nothing is a pattern: what they hold is reached
    /// whatever the others match.
    fn literal_runs(&mut self, path: &Text, pieces: &[Piece]) {
        let mut at = 0;
        for run in pieces.chunk_by(|a, b| a.literal().is_some() && b.literal().is_some()) {
            let names: Vec<&str> = run.iter().filter_map(Piece::literal).collect();
            let unknown_start = at > 0 || !path::is_absolute(path) || assumes_root(path);
            let below = at + run.len() < pieces.len();
            at += run.len();
            if names.is_empty() {
                continue;
            }
            self.names(&names, unknown_start, How::GlobCovers, || {
                let slash = if unknown_start { "" } else { "/" };
                let more = if below { "/*" } else { "" };
                format!("{slash}{}{more}", names.join("/"))
            });
        }
    }

    /// Endings, and names that may stand anywhere, by the last components of a pattern.
    fn asked_for(&mut self, pieces: &[Piece], reach: Reach) {
        let set = self.set;
        let Some(last) = pieces.last().filter(|last| last.literal().is_none()) else { return };
        let listed = matches!(reach, Reach::Listed | Reach::Searched);
        if listed && last.literals < LITERALS_MIN {
            return;
        }
        let mut asking = Asking::new(&last.pattern);
        for ending in set.endings.iter().filter(|ending| asking.asks_for(ending)) {
            self.add(ending.entry, How::GlobCovers, || format!("*.{}", ending.letters()));
        }
        if last.literals < ANYWHERE_LITERALS_MIN {
            return;
        }
        for alternative in set.alternatives.iter().filter(|it| !it.anchored && !it.deep) {
            let wanted = &alternative.components;
            let from = pieces.len().checked_sub(wanted.len());
            let Some(pieces) = from.and_then(|from| pieces.get(from..)) else { continue };
            if pieces.iter().zip(wanted).all(|(piece, component)| piece.fits(component)) {
                self.add(alternative.entry, How::GlobCovers, || example(alternative, &[]));
            }
        }
    }

    fn anchored_pattern(&mut self, pieces: &[Piece], reach: Reach) {
        let set = self.set;
        let listed = matches!(reach, Reach::Listed | Reach::Searched);
        for alternative in anchored_alternatives(set, pieces) {
            let told = align(alternative, pieces).ends.iter().any(|end| {
                let literals = end.checked_sub(1).and_then(|at| pieces.get(at));
                let literals = literals.map_or(0, |piece| piece.literals);
                let at_end = *end == pieces.len();
                if !alternative.directory && !at_end {
                    return false;
                }
                let wanted = if listed { LITERALS_MIN } else { usize::from(alternative.directory) };
                literals >= wanted
            });
            if told {
                self.add(alternative.entry, How::GlobCovers, || example(alternative, pieces));
            }
        }
    }

    /// `hole` is the first component that holds one.
    fn anchored_hole(&mut self, path: &Text, pieces: &[Piece], hole: usize, reach: Reach) {
        let set = self.set;
        let listed = matches!(reach, Reach::Listed | Reach::Searched);
        let (known, unknown) = pieces.split_at_checked(hole).unwrap_or((pieces, &[]));
        let Some(first_unknown) = unknown.first() else { return };
        let before_hole = Piece::new(up_to_hole(&first_unknown.text));
        let after_hole: usize = unknown.iter().map(|piece| piece.literals).sum();
        let last_literals = pieces.last().map_or(0, |piece| piece.literals);
        let whole = Pattern::new(path);
        let named = pieces.get(..hole).unwrap_or_default();
        for alternative in anchored_alternatives(set, named).filter(|it| !it.deep) {
            let components = &alternative.components;
            if !known.iter().zip(components).all(|(piece, component)| piece.fits(component)) {
                continue;
            }
            let told = match components.get(hole) {
                // All of it stands before the hole.
                None => {
                    let last = components.len().checked_sub(1).and_then(|at| known.get(at));
                    alternative.directory && last.is_some_and(|last| last.literals > 0)
                }
                // The hole continues the last name.
                Some(component) if components.len() == hole + 1 => {
                    let spelled = if alternative.directory {
                        before_hole.literals
                    } else {
                        first_unknown.literals
                    };
                    let fits = if alternative.directory {
                        before_hole.fits_beginning(component)
                    } else {
                        alternative.whole.intersects(&whole)
                    };
                    spelled >= LITERALS_MIN && fits
                }
                // The hole stands for directories too: what comes after it has to tell the name.
                Some(_) => {
                    let after = after_hole.saturating_sub(before_hole.literals);
                    !alternative.directory
                        && after >= LITERALS_MIN
                        && alternative.whole.intersects(&whole)
                }
            };
            if told && !(listed && last_literals < LITERALS_MIN) {
                self.add(alternative.entry, How::GlobCovers, || example(alternative, known));
            }
        }
    }

    /// A directory whose files are read, or searched by name.
    fn walk(&mut self, path: &Text, access: &Access) {
        let set = self.set;
        let name = access.name.as_ref().map(Name::new).filter(|name| name.literals > 0);
        let rooted = match path::from_above(path) {
            Some(above) => Some(path::without_roots(&above)),
            // `cp -r "$SOURCE"/. x`: a directory that only the container knows, as `.` is.
            None if path.as_str() == "/" && assumes_root(path) => None,
            None if path::is_absolute(path) => Some(path::without_roots(path)),
            // Containers mostly start in the root.
            None if name.is_some() => anchored(path),
            None => None,
        };
        let pieces = rooted.filter(|rooted| !rooted.has_hole()).map(|rooted| pieces_of(&rooted));
        let Some(name) = name else {
            let Some(pieces) = pieces.filter(|_| access.reach == Reach::Walked) else { return };
            for alternative in anchored_alternatives(set, &pieces).filter(|it| it.walks) {
                if align(alternative, &pieces).above {
                    self.add(alternative.entry, How::ParentCovers, || {
                        example(alternative, &pieces)
                    });
                }
            }
            return;
        };
        let mut asking = Asking::new(&name.pattern);
        for ending in set.endings.iter().filter(|ending| asking.asks_for(ending)) {
            self.add(ending.entry, How::ParentCovers, || match name.pattern.as_literal() {
                Some(literal) => literal.to_owned(),
                None => format!("*.{}", ending.letters()),
            });
        }
        for alternative in &set.alternatives {
            let told = match &pieces {
                _ if !alternative.anchored => name.tells(alternative),
                Some(pieces) => align(alternative, pieces).above && name.tells(alternative),
                None => name.tells_anywhere(alternative),
            };
            if told {
                let pieces = pieces.as_deref().unwrap_or_default();
                self.add(alternative.entry, How::ParentCovers, || example(alternative, pieces));
            }
        }
    }
}

impl Piece {
    /// Whether a name that begins as the piece says can be the component.
    fn fits_beginning(&self, component: &Component) -> bool {
        let mut text = self.text.clone();
        text.push_active('*');
        Piece::new(text).fits(component)
    }
}

/// Whether the path begins at the root only because something before it is taken for empty: a
/// variable of the container, the working directory at the start.
fn assumes_root(path: &Text) -> bool {
    let assumed = [Step::UnsetVariable, Step::UnknownDirectory];
    path::is_absolute(path) && assumed.into_iter().any(|step| path.steps.has(step))
}

/// The path from the root on, its other names removed; a relative one that begins with a plain
/// name or with `..` as what it is when the working directory is the root.
fn anchored(path: &Text) -> Option<Text> {
    if path::is_absolute(path) {
        return Some(path::without_roots(path));
    }
    if let Some(above) = path::from_above(path) {
        return Some(path::without_roots(&above));
    }
    let first = path.as_str().split('/').next().unwrap_or_default();
    let plain = path.marks().first().is_none_or(|mark| mark.at > first.len());
    (plain && !matches!(first, "" | "." | ".."))
        .then(|| path::join(&Text::literal("/"), path))
        .map(|joined| path::without_roots(&joined))
}

fn up_to_hole(text: &Text) -> Text {
    let hole = text.marks().iter().find(|mark| mark.kind == MarkKind::Hole);
    let end = hole.map_or(text.len(), |mark| mark.at);
    if end < text.len() {
        return text.slice(0, end);
    }
    // A slice up to the end would hold the hole.
    let mut out = Text::new();
    let mut marks = text.marks().iter().peekable();
    for (at, character) in text.as_str().char_indices() {
        match marks.next_if(|mark| mark.at == at) {
            Some(_) => out.push_active(character),
            None => out.push(character),
        }
    }
    out
}

/// The alternatives that begin at the root, with the first name that the path has there.
fn anchored_alternatives<'s>(
    set: &'s PathSet,
    pieces: &'s [Piece],
) -> impl Iterator<Item = &'s Alternative> {
    let first = pieces.first().and_then(Piece::literal);
    let spelled = first.and_then(|first| set.starts.get(first));
    let spelled = spelled.into_iter().flat_map(|starts| &starts.all);
    let spelled = spelled.filter(|start| start.component == 0);
    // With a name that is not known it may be any.
    let all = if first.is_none() { 0..set.alternatives.len() } else { 0..0 };
    let loose = set.loose.iter().filter(move |at| {
        let begins = |first| set.alternatives.get(**at).is_some_and(|it| it.begins_with(first));
        first.is_some_and(begins)
    });
    let places = spelled.map(|start| start.alternative).chain(loose.copied()).chain(all);
    places.filter_map(|at| set.alternatives.get(at)).filter(|alternative| alternative.anchored)
}

/// The names between the slashes, those in front left out that only go up.
fn names_of(path: &str) -> SmallVec<[&str; 8]> {
    let mut names = SmallVec::new();
    let mut start = 0;
    for (at, byte) in path.bytes().chain([b'/']).enumerate() {
        if byte != b'/' {
            continue;
        }
        let name = path.get(start..at).unwrap_or_default();
        let skipped = names.is_empty() && name == "..";
        if !name.is_empty() && !skipped {
            names.push(name);
        }
        start = at + 1;
    }
    names
}

fn align(alternative: &Alternative, pieces: &[Piece]) -> Alignment {
    if alternative.deep {
        return align_deep(alternative, pieces);
    }
    let wanted = &alternative.components;
    let fits = pieces.iter().zip(wanted).all(|(piece, component)| piece.fits(component));
    if !fits {
        return Alignment::default();
    }
    if wanted.len() > pieces.len() {
        Alignment { ends: Vec::new(), above: true }
    } else {
        Alignment { ends: vec![wanted.len()], above: false }
    }
}

/// With a `**` in the middle: all numbers of components that the alternative's first ones can take.
fn align_deep(alternative: &Alternative, pieces: &[Piece]) -> Alignment {
    let pieces = pieces.get(..DEEP_COMPONENTS_MAX).unwrap_or(pieces);
    let mut taken = vec![0];
    let mut above = false;
    for component in &alternative.components {
        above |= taken.contains(&pieces.len());
        if component.is_deep() {
            let first = taken.first().copied().unwrap_or(pieces.len());
            taken = if taken.is_empty() { taken } else { (first..=pieces.len()).collect() };
        } else {
            taken.retain(|at| pieces.get(*at).is_some_and(|piece| piece.fits(component)));
            taken.iter_mut().for_each(|at| *at += 1);
        }
    }
    Alignment { ends: taken, above }
}

/// A path of the alternative, with the names that the access has.
fn example(alternative: &Alternative, pieces: &[Piece]) -> String {
    let mut out = String::new();
    for (at, component) in alternative.components.iter().enumerate() {
        let known = pieces.get(at).and_then(Piece::literal);
        let name = match known {
            Some(name) if !alternative.deep && component.matches(name) => Cow::Borrowed(name),
            _ if component.is_deep() => Cow::Borrowed("*"),
            _ => Cow::Borrowed(&*component.text),
        };
        if at > 0 || alternative.anchored {
            out.push('/');
        }
        out.push_str(&name);
    }
    out
}

/// The names that a search looks for.
struct Name {
    pattern: Pattern,
    literals: usize,
    /// Literal characters without those of the ending: `*.conf` says nothing of a file.
    stem_literals: usize,
}

impl Name {
    fn new(text: &Text) -> Name {
        // `find -name` and `grep --include` match leading dots, and go by names alone.
        let dot = text.as_str().rfind('.').filter(|at| *at > 0).unwrap_or(text.len());
        let stem = if text.is_literal() { text.clone() } else { text.slice(0, dot) };
        let pattern = Pattern::new(text).with_dots();
        let literals = pattern.literals();
        Name { literals, stem_literals: Pattern::new(&stem).literals(), pattern }
    }

    /// Whether the file or directory at the end of the alternative is what is looked for.
    fn tells(&self, alternative: &Alternative) -> bool {
        self.share(alternative).is_some_and(|length| {
            self.pattern.as_literal().is_some()
                || self.stem_literals >= NAME_LITERALS_TELLING
                || 2 * self.stem_literals >= length
        })
    }

    /// The same, where it is not known in which directory the search begins.
    fn tells_anywhere(&self, alternative: &Alternative) -> bool {
        let dotted = alternative.components.last().is_some_and(|last| last.text.starts_with('.'));
        (dotted || !alternative.directory)
            && self.share(alternative).is_some_and(|length| {
                self.pattern.as_literal().is_some() || 4 * self.stem_literals >= 3 * length
            })
    }

    /// How many characters the name has that it can match.
    fn share(&self, alternative: &Alternative) -> Option<usize> {
        let last = alternative.components.last()?;
        let length = last.core.literals();
        let found = length > 0 && last.core.intersects(&self.pattern);
        found.then_some(length)
    }
}
