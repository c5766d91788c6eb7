//! What a reading of a command tells: the lines it runs, the paths it reaches, and what could not
//! be found out. Shapes only; what of it is sensitive is for the rules.

use std::ops::Range;

use super::text::{Steps, Text};

/// A command as the container's shell would make of it.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// In the order in which they are run; each once.
    pub lines: Vec<Line>,
    /// Paths that a command names, in the order in which they are run; each once.
    pub accesses: Vec<Access>,
    /// What stays hidden, and why.
    pub hidden: Vec<Hidden>,
    /// Something in it is code, or is given to a program that is not known: quotes in it may mean
    /// what they mean in a shell.
    pub evaluates: bool,
    /// A shell takes its commands from the standard input that the command is given.
    pub interactive: bool,
}

/// A simple command after its expansions, its words joined by one space; or a text that a decoder
/// yielded, or that a program in another language holds.
///
/// A hole in it is an empty text, so nothing is found that only an unknown text could hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub text: String,
    pub steps: Steps,
    /// Bytes of the command's text as written (argv joined by one space) that it comes from.
    pub span: Range<usize>,
}

/// A path that a command reaches.
#[derive(Debug, Clone, PartialEq)]
pub struct Access {
    /// Cleaned; a pattern where it has marks. Absolute, or relative when the directory it starts
    /// in is unknown.
    pub path: Text,
    pub reach: Reach,
    /// For `find -name x`, `grep -r --include x`: what the names of the files reached look like.
    pub name: Option<Text>,
    pub span: Range<usize>,
}

/// How far an access goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The path itself is opened, or named to a program that may open it.
    Named,
    /// The directory at the path and everything below it is read (`tar`, `cp -r`, `grep -r`).
    Walked,
    /// Names below the path are found, at any depth (`find`, `ls -R`).
    Searched,
    /// Names at the path are shown, nothing is read (`ls`, `echo /etc/*`, `test -e`).
    Listed,
}

/// Something that the reading could not resolve although it matters.
#[derive(Debug, Clone, PartialEq)]
pub struct Hidden {
    pub why: HiddenWhy,
    pub steps: Steps,
    pub span: Range<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HiddenWhy {
    /// Code runs that was decoded from something unknown.
    DecodedCode,
    /// The command is nested deeper than is followed.
    Depth,
    /// The command needs more steps than are taken.
    Work,
    /// The command grows to more text than is kept.
    Size,
}

impl HiddenWhy {
    /// As an alert tells it.
    pub fn as_str(self) -> &'static str {
        match self {
            HiddenWhy::DecodedCode => "runs code that it decodes from something unknown",
            HiddenWhy::Depth => "is nested deeper than is followed",
            HiddenWhy::Work => "needs more work to read than is done",
            HiddenWhy::Size => "grows to more text than is kept",
        }
    }
}
