//! The path language of rules: which paths are sensitive, and how a command may reach them.
//!
//! Owns what an entry means and when an access counts against it. It reads no commands; what they
//! reach comes as an [`Access`]. What an alert says of a match is for `detect`.
//!
//! An entry is an absolute path in which
//!
//! | written | stands for |
//! |---|---|
//! | `*`, `?`, `[a-z]` | as in a shell, but leading dots too; never a slash |
//! | `{a,b}` | either; may hold slashes and further braces |
//! | `/**` at the end | a directory: itself and everything below it |
//! | `/**/` | any number of directories |
//! | `**/` in front | anywhere: `**/*.pem` is every file with this ending |
//! | `\x` | the character itself |
//!
//! A `*` at the end (`/etc/shadow*`) takes in a backup of a file that is named outright. It does
//! not count for patterns, or else `/etc/*.conf` could reach `/etc/shadow.conf`.
//!
//! # What counts
//! - A path without patterns: one that an entry describes, or one below it, wherever the root is
//!   mounted (`/mnt/x/etc/shadow`). A relative one has to hold at least two components of the
//!   entry, a directory with a leading dot alone being enough.
//! - A pattern: only where it says enough. From the root on it has to be able to match the entry;
//!   a directory has to be spelled at least in part; an ending (`*.pe?`) likewise. What is only
//!   listed needs two characters of the last name.
//! - A walk over a directory in which an entry lies; with the name that a search looks for, only
//!   if that name tells the entry apart. Endings never count without such a name.

#[path = "paths/ending.rs"]
mod ending;
#[path = "paths/judge.rs"]
mod judge;
#[path = "paths/language.rs"]
mod language;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use serde::Deserialize;

use self::ending::Ending;
use self::judge::Judge;
use self::language::{Alternative, Component};
use crate::audit::shell::reading::Access;
use crate::limits;

/// Most paths that the braces of one entry, and of all entries together, may stand for.
const ENTRY_ALTERNATIVES_MAX: usize = 256;
const ALTERNATIVES_MAX: usize = 8 * limits::RULE_PATTERNS_MAX;

/// A sensitive path as a rule writes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathEntry {
    pub name: String,
    pub path: String,
    /// The kind of access, e.g. `K8S_CONFIG`.
    pub label: Option<String>,
    /// Whether reading a directory above it counts. Off for places that hold nothing sensitive as
    /// a rule, such as `/var/lib/*/.ssh`.
    #[serde(default = "on")]
    pub walks: bool,
}

fn on() -> bool {
    true
}

/// A path that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("path `{name}` {problem}")]
    Syntax { name: String, problem: &'static str },
    #[error("path `{name}` matches everything")]
    MatchesEverything { name: String },
    #[error("path `{name}` is longer than {} bytes", limits::PATTERN_MAX_BYTES)]
    TooLong { name: String },
    #[error("the braces of path `{name}` stand for more than {ENTRY_ALTERNATIVES_MAX} paths")]
    TooManyAlternatives { name: String },
    #[error("there are more than {} paths", limits::RULE_PATTERNS_MAX)]
    TooMany,
    #[error("the braces of all paths stand for more than {ALTERNATIVES_MAX} paths")]
    TooLarge,
}

/// How sure it is that an access reaches a sensitive path; the surest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// The path itself is a sensitive one.
    Read,
    /// What stands before it is not known: it may be one.
    BehindUnknown,
    /// A pattern can match one.
    GlobCovers,
    /// A directory that is walked, or searched for such a name, holds one.
    ParentCovers,
}

/// An entry that an access counts against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathMatch {
    /// Index into [`PathSet::entries`].
    pub entry: usize,
    pub how: How,
    /// A sensitive path that it reaches or can reach, e.g. `/etc/shadow`. `*` stays where any
    /// name will do.
    pub example: String,
}

/// The sensitive paths of a rule, ready to be asked.
#[derive(Debug, Clone, Default)]
pub struct PathSet {
    entries: Vec<PathEntry>,
    alternatives: Vec<Alternative>,
    endings: Vec<Ending>,
    /// Where a match can begin, by the first component of the path.
    starts: HashMap<Box<str>, Starts, Hashes>,
    /// Alternatives whose first component is a pattern.
    loose: Vec<usize>,
    /// Endings by their letters, without the dot.
    by_ending: HashMap<Box<str>, Vec<usize>, Hashes>,
}

/// A plain hash will do (FNV-1a): the keys are the rules' own, and are few.
type Hashes = BuildHasherDefault<NameHasher>;

#[derive(Debug, Clone)]
struct NameHasher(u64);

impl Default for NameHasher {
    fn default() -> NameHasher {
        NameHasher(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        self.0 = bytes.iter().fold(self.0, step);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A component of an alternative that is the first one of a path.
#[derive(Debug, Clone, Copy)]
struct Start {
    alternative: usize,
    /// Index of the component. Above 0 only for paths whose beginning is not known.
    component: usize,
    /// What the path's next name begins with, where the alternative says so.
    next: Option<u8>,
}

impl Start {
    /// Whether the path's names, from the component on, may be what the alternative's are: a
    /// directory such as `/etc` is where many begin.
    fn may_begin(&self, names: &[&str]) -> bool {
        let next = || names.get(1).and_then(|name| name.bytes().next());
        self.next.is_none() || next() == self.next
    }
}

/// All that can begin with one name.
#[derive(Debug, Clone, Default)]
struct Starts {
    all: Vec<Start>,
    /// Bits of the bytes that their next names begin with, and whether one may go on in any way.
    nexts: [u64; 4],
    any: bool,
}

impl Starts {
    fn push(&mut self, start: Start) {
        match start.next {
            Some(byte) => self.nexts[usize::from(byte >> 6)] |= 1 << (byte & 63),
            None => self.any = true,
        }
        self.all.push(start);
    }

    /// Whether [`Start::may_begin`] may hold for one of them.
    fn may_go_on(&self, names: &[&str]) -> bool {
        let next = names.get(1).and_then(|name| name.bytes().next());
        self.any || next.is_some_and(|it| self.nexts[usize::from(it >> 6)] & 1 << (it & 63) != 0)
    }
}

impl PathSet {
    /// Compiles the entries, in the order of the rule.
    pub fn compile(entries: Vec<PathEntry>) -> Result<PathSet, PathError> {
        if entries.len() > limits::RULE_PATTERNS_MAX {
            return Err(PathError::TooMany);
        }
        let mut set = PathSet::default();
        for (index, entry) in entries.iter().enumerate() {
            let (alternatives, endings) = language::compile(index, entry)?;
            set.alternatives.extend(alternatives);
            set.endings.extend(endings);
            if set.alternatives.len() + set.endings.len() > ALTERNATIVES_MAX {
                return Err(PathError::TooLarge);
            }
        }
        for (at, alternative) in set.alternatives.iter().enumerate() {
            for (component, name) in alternative.starts() {
                let next = alternative.components.get(component + 1);
                let next = next.and_then(Component::first_byte);
                let start = Start { alternative: at, component, next };
                set.starts.entry(name.into()).or_default().push(start);
            }
            if alternative.begins_loosely() {
                set.loose.push(at);
            }
        }
        for (at, ending) in set.endings.iter().enumerate() {
            set.by_ending.entry(ending.letters().into()).or_default().push(at);
        }
        set.entries = entries;
        Ok(set)
    }

    pub fn entries(&self) -> &[PathEntry] {
        &self.entries
    }

    /// The entries that the access counts against, in their order, each once, with the surest way
    /// in which it does.
    pub fn judge(&self, access: &Access) -> Vec<PathMatch> {
        Judge::new(self).judge(access)
    }
}

#[cfg(test)]
#[path = "paths_tests.rs"]
mod tests;
