//! From an entry as written to the components that are compared.

use super::ending::Ending;
use super::{ENTRY_ALTERNATIVES_MAX, PathEntry, PathError};
use crate::audit::shell::pattern::Pattern;
use crate::audit::shell::text::Text;
use crate::limits;

/// Deepest nesting of braces.
const BRACES_MAX: usize = 8;

/// One of the paths that an entry's braces stand for.
#[derive(Debug, Clone)]
pub(super) struct Alternative {
    pub(super) entry: usize,
    /// Without a `**` in front or at the end.
    pub(super) components: Vec<Component>,
    /// It ends with `/**`.
    pub(super) directory: bool,
    /// It begins at the root, not with `**/`.
    pub(super) anchored: bool,
    /// See [`PathEntry::walks`].
    pub(super) walks: bool,
    /// There is a `**` in the middle.
    pub(super) deep: bool,
    /// The whole path from the root on, without what follows the components.
    pub(super) whole: Pattern,
}

/// What stands between two slashes.
#[derive(Debug, Clone)]
pub(super) struct Component {
    shape: Shape,
    /// As people read it: a `*` at the end of a name is left out.
    pub(super) text: String,
    /// What patterns are compared with: the same.
    pub(super) core: Pattern,
}

#[derive(Debug, Clone)]
enum Shape {
    Literal,
    /// `name*`: the text is what it begins with.
    Prefix,
    /// `*`
    Any,
    /// `**`
    Deep,
    Glob(Pattern),
}

impl Alternative {
    /// The components with which a path may begin, and their names: the first of all, and, for a
    /// path whose beginning is unknown, each after which enough is left to tell the entry by.
    pub(super) fn starts(&self) -> impl Iterator<Item = (usize, &str)> {
        let names = self.components.iter().enumerate();
        names.filter_map(|(at, component)| {
            let name = component.literal()?;
            let rest = self.components.get(at..).unwrap_or_default();
            let named = rest.iter().filter(|component| !component.is_deep()).count();
            let telling = self.directory && name.starts_with('.');
            (at == 0 || named >= 2 || telling).then_some((at, name))
        })
    }

    pub(super) fn begins_loosely(&self) -> bool {
        self.components.first().is_some_and(|first| first.literal().is_none())
    }

    /// Whether the first component matches the name.
    pub(super) fn begins_with(&self, name: &str) -> bool {
        self.components.first().is_none_or(|component| component.matches(name))
    }

    /// Whether the path's first components are what the alternative's are from the given one on.
    pub(super) fn begins(&self, from: usize, path: &[&str]) -> bool {
        let Some(mut wanted) = self.components.get(from..) else { return false };
        let mut path = path;
        // Where to go on when what follows a `**` does not fit: one directory further.
        let mut retry: Option<(&[Component], &[&str])> = None;
        loop {
            let Some((component, more)) = wanted.split_first() else { return true };
            if component.is_deep() {
                retry = Some((more, path));
                wanted = more;
                continue;
            }
            match path.split_first() {
                None => return false,
                Some((name, rest)) if component.matches(name) => (wanted, path) = (more, rest),
                Some(_) => {
                    let Some((after, [_, rest @ ..])) = retry else { return false };
                    retry = Some((after, rest));
                    (wanted, path) = (after, rest);
                }
            }
        }
    }
}

impl Component {
    fn literal(&self) -> Option<&str> {
        matches!(self.shape, Shape::Literal).then_some(&*self.text)
    }

    /// The byte with which every name begins that it matches, where it spells it.
    pub(super) fn first_byte(&self) -> Option<u8> {
        let spells = matches!(self.shape, Shape::Literal | Shape::Prefix);
        self.text.bytes().next().filter(|_| spells)
    }

    pub(super) fn is_deep(&self) -> bool {
        matches!(self.shape, Shape::Deep)
    }

    pub(super) fn is_any(&self) -> bool {
        matches!(self.shape, Shape::Any)
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        match &self.shape {
            Shape::Literal => name == self.text,
            Shape::Prefix => name.starts_with(&self.text),
            Shape::Any | Shape::Deep => true,
            Shape::Glob(pattern) => pattern.matches(name),
        }
    }
}

/// The alternatives of an entry, and those that are mere endings of names.
pub(super) fn compile(
    index: usize,
    entry: &PathEntry,
) -> Result<(Vec<Alternative>, Vec<Ending>), PathError> {
    let name = || entry.name.clone();
    let wrong = |problem| PathError::Syntax { name: name(), problem };
    if entry.path.len() > limits::PATTERN_MAX_BYTES {
        return Err(PathError::TooLong { name: name() });
    }
    let paths = match braces(&entry.path) {
        Ok(paths) => paths,
        Err(BraceError::Syntax(problem)) => return Err(wrong(problem)),
        Err(BraceError::TooMany) => return Err(PathError::TooManyAlternatives { name: name() }),
    };
    let (mut alternatives, mut endings) = (Vec::new(), Vec::new());
    for path in paths {
        let (anchored, rest) = match (path.strip_prefix('/'), path.strip_prefix("**/")) {
            (Some(rest), _) if rest != "**" && !rest.starts_with("**/") => (true, rest),
            (Some(rest), _) => (false, rest.strip_prefix("**/").unwrap_or_default()),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(wrong("must begin with `/` or `**/`")),
        };
        let (directory, rest) = match rest.strip_suffix("/**") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        if rest.is_empty() {
            return Err(PathError::MatchesEverything { name: name() });
        }
        let components =
            rest.split('/').map(component).collect::<Result<Vec<_>, _>>().map_err(wrong)?;
        if !anchored
            && !directory
            && let Some(ending) = Ending::new(index, rest)
        {
            endings.push(ending);
            continue;
        }
        if components.iter().all(|component| component.core.literals() == 0) {
            return Err(PathError::MatchesEverything { name: name() });
        }
        let mut whole = Text::literal("/");
        for (at, part) in rest.split('/').enumerate() {
            if at > 0 {
                whole.push('/');
            }
            if part == "**" {
                whole.push_hole();
            } else {
                whole.append(&text(without_last_star(part)).map_err(wrong)?);
            }
        }
        alternatives.push(Alternative {
            entry: index,
            directory,
            anchored,
            walks: entry.walks,
            deep: components.iter().any(Component::is_deep),
            components,
            whole: Pattern::new(&whole).with_dots(),
        });
    }
    Ok((alternatives, endings))
}

fn component(written: &str) -> Result<Component, &'static str> {
    if written.is_empty() {
        return Err("has an empty component; `/**` at the end makes it a directory");
    }
    if matches!(written, "." | "..") {
        return Err("holds `.` or `..`");
    }
    if written.replace("**", "").len() != written.len() && written != "**" {
        return Err("holds a `**` that is no whole component");
    }
    let core = text(without_last_star(written))?;
    let all = text(written)?;
    let shape = match written {
        "**" => Shape::Deep,
        "*" => Shape::Any,
        _ if all.is_literal() => Shape::Literal,
        _ if core.is_literal() => Shape::Prefix,
        _ => Shape::Glob(Pattern::new(&all).with_dots()),
    };
    let text = core.as_str().to_owned();
    Ok(Component { shape, text, core: Pattern::new(&core).with_dots() })
}

/// `shadow*` without the star; a star alone stays.
fn without_last_star(written: &str) -> &str {
    match written.strip_suffix('*') {
        Some(rest) if !rest.is_empty() && !rest.ends_with(['\\', ']', '?', '*']) => rest,
        _ => written,
    }
}

/// Pattern characters active, escapes undone.
fn text(written: &str) -> Result<Text, &'static str> {
    let mut out = Text::new();
    let mut in_class = false;
    let mut characters = written.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => out.push(characters.next().ok_or("ends with a backslash")?),
            '[' if !in_class => {
                in_class = true;
                out.push_active('[');
            }
            ']' if in_class => {
                in_class = false;
                out.push_active(']');
            }
            '!' | '^' | '-' if in_class => out.push_active(character),
            '*' | '?' if !in_class => out.push_active(character),
            ']' => return Err("holds a `]` without its `[`"),
            _ => out.push(character),
        }
    }
    if in_class { Err("holds a `[` without its `]`") } else { Ok(out) }
}

enum BraceError {
    Syntax(&'static str),
    TooMany,
}

/// The paths that the braces stand for, in the order in which they are written.
fn braces(written: &str) -> Result<Vec<String>, BraceError> {
    let mut characters = written.chars().peekable();
    let paths = brace_sequence(&mut characters, 0)?;
    match characters.next() {
        None => Ok(paths),
        Some(_) => Err(BraceError::Syntax("holds a `}` without its `{`")),
    }
}

/// Up to the end, to a `}`, or, within braces, to a `,`.
fn brace_sequence(
    characters: &mut std::iter::Peekable<std::str::Chars<'_>>,
    depth: usize,
) -> Result<Vec<String>, BraceError> {
    let mut paths = vec![String::new()];
    while let Some(character) = characters.peek().copied() {
        if character == '}' || character == ',' && depth > 0 {
            break;
        }
        characters.next();
        if character == '{' {
            let either = brace_group(characters, depth + 1)?;
            if paths.len() * either.len() > ENTRY_ALTERNATIVES_MAX {
                return Err(BraceError::TooMany);
            }
            paths = paths
                .iter()
                .flat_map(|path| either.iter().map(move |more| format!("{path}{more}")))
                .collect();
            continue;
        }
        // An escaped character keeps its backslash until patterns are read.
        let escaped = if character == '\\' { characters.next() } else { None };
        for path in &mut paths {
            path.push(character);
            path.extend(escaped);
        }
    }
    Ok(paths)
}

fn brace_group(
    characters: &mut std::iter::Peekable<std::str::Chars<'_>>,
    depth: usize,
) -> Result<Vec<String>, BraceError> {
    if depth > BRACES_MAX {
        return Err(BraceError::Syntax("nests braces too deep"));
    }
    let mut either = Vec::new();
    loop {
        either.extend(brace_sequence(characters, depth)?);
        if either.len() > ENTRY_ALTERNATIVES_MAX {
            return Err(BraceError::TooMany);
        }
        match characters.next() {
            Some(',') => {}
            Some('}') => return Ok(either),
            _ => return Err(BraceError::Syntax("holds a `{` without its `}`")),
        }
    }
}
