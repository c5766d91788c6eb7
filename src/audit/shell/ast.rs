//! The tree of a script: what POSIX sh, bash and busybox's ash write, as one superset.
//!
//! Shapes only. Source of the grammar: POSIX.1-2024, Shell Command Language, and the manual of
//! GNU bash 5.

use std::rc::Rc;

use compact_str::CompactString;
use smallvec::SmallVec;

use super::text::Step;

/// A range of bytes in the source that was parsed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

impl Span {
    pub const fn new(start: usize, end: usize) -> Span {
        Span { start, end }
    }
}

/// A parsed source.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Script {
    pub items: Vec<Item>,
    /// A bound was exceeded (nesting, number of nodes): not all of the source is in the tree.
    pub incomplete: bool,
}

/// A pipeline in a list, and what stands before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    pub connector: Connector,
    pub node: Node,
    /// `&` follows.
    pub background: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connector {
    /// First, or after `;`, `&` or a newline.
    Then,
    And,
    Or,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    Simple(Simple),
    /// Two commands at least, or one behind `!`. `time` is left out.
    Pipeline {
        commands: Vec<Node>,
        negated: bool,
    },
    Subshell(Script),
    /// `{ …; }`
    Group(Script),
    /// Conditions with what follows them: `if` and each `elif`.
    If {
        arms: Vec<(Script, Script)>,
        otherwise: Option<Script>,
    },
    /// `for` and `select`; without `in`, the positional parameters.
    For {
        name: String,
        words: Option<Vec<Word>>,
        body: Script,
    },
    /// `for ((first; condition; next))`, the expressions as words.
    ForArithmetic(Box<ForArithmetic>),
    /// `while`, and `until` with `until` set.
    While {
        condition: Script,
        body: Script,
        until: bool,
    },
    Case {
        subject: Word,
        arms: Vec<CaseArm>,
    },
    Function {
        name: String,
        body: Rc<Node>,
    },
    /// `[[ … ]]`: its words and operators in order, operators such as `&&`, `(`, `=~`, `<` as
    /// words of one literal.
    Test {
        words: Vec<Word>,
        span: Span,
    },
    /// `((…))`
    Arithmetic(Word),
    /// A compound command with redirections behind it.
    Redirected {
        node: Box<Node>,
        redirects: Vec<Redirect>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub struct ForArithmetic {
    pub first: Word,
    pub condition: Word,
    pub next: Word,
    pub body: Script,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CaseArm {
    pub patterns: Vec<Word>,
    pub body: Script,
}

/// Assignments, words and redirections; any of the three may be empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Simple {
    pub assignments: Vec<Assignment>,
    /// The command's name first. Words behind the name that look like assignments are words.
    pub words: Vec<Word>,
    pub redirects: Vec<Redirect>,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    pub name: String,
    /// `a[1]=x`
    pub index: Option<Word>,
    /// `a+=x`
    pub append: bool,
    pub value: AssignedValue,
}

#[derive(Debug, Clone, PartialEq)]
pub enum AssignedValue {
    Word(Word),
    Array {
        elements: Vec<Element>,
        /// `declare -A a=(…)`
        associative: bool,
    },
}

/// Of `a=(x [3]=y [3]+=z)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Element {
    pub key: Option<Word>,
    pub append: bool,
    pub value: Word,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Redirect {
    /// `None` is what the operator implies: 0 for reading, 1 for writing. `{name}>` is `None`.
    pub descriptor: Option<u32>,
    pub kind: RedirectKind,
    /// File name, descriptor (`1`, `-`), or the content of a here-document or here-string.
    pub target: Word,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedirectKind {
    /// `<`
    Read,
    /// `>`, `>|`
    Write,
    /// `>>`
    Append,
    /// `<>`
    ReadWrite,
    /// `<&`
    DuplicateInput,
    /// `>&`; with a file name it is `Both`.
    DuplicateOutput,
    /// `&>`, `&>>`
    Both,
    /// `<<`, `<<-` with its leading tabs removed. A body whose delimiter was quoted is one
    /// `Part::Quoted`; otherwise its expansions are parts of a `Part::Double`.
    HereDocument,
    /// `<<<`
    HereString,
}

/// Most words have one part.
pub type WordParts = SmallVec<[Part; 1]>;

/// Parts that stand together. `""` is one `Part::Double` without parts: an empty word is a word.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Word {
    pub parts: WordParts,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Unquoted characters: `*`, `?`, `[`, `~`, `{`, `,`, `}` in them are what they look like.
    Literal(CompactString),
    /// Characters that stand for themselves. The step is how they were quoted: `Quotes` for
    /// `'…'` and for text within `"…"`, `Backslash`, `AnsiQuotes` (decoded already).
    Quoted {
        text: CompactString,
        step: Step,
    },
    /// `"…"` or `$"…"`: holds `Quoted`, `Parameter`, `Command`, `Arithmetic`.
    Double(Vec<Part>),
    Parameter(Box<Parameter>),
    /// `$(…)`, `` `…` ``, `${ …; }`
    Command(Script),
    /// `$((…))`, `$[…]`: its text with its expansions, as within double quotes.
    Arithmetic(Box<Word>),
    /// `<(…)`
    ProcessInput(Script),
    /// `>(…)`
    ProcessOutput(Script),
    /// `?(a|b)`, `*(…)`, `+(…)`, `@(…)`, `!(…)`; `kind` is the first character.
    Extended {
        kind: char,
        alternatives: Vec<Word>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// A name, digits, or one of `@ * # ? - $ ! 0 _`.
    pub name: String,
    /// `${a[1]}`; `@` and `*` as a literal.
    pub index: Option<Word>,
    pub operator: Operator,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Operator {
    /// `$a`, `${a}`
    None,
    /// `${#a}`
    Length,
    /// `${a:-x}`, and `${a-x}` with `colon` unset.
    Default { colon: bool, word: Word },
    /// `${a:=x}`
    Assign { colon: bool, word: Word },
    /// `${a:+x}`
    Alternative { colon: bool, word: Word },
    /// `${a:?x}`
    Error { colon: bool, word: Word },
    /// `${a#x}`, `${a##x}`
    RemovePrefix { longest: bool, pattern: Word },
    /// `${a%x}`, `${a%%x}`
    RemoveSuffix { longest: bool, pattern: Word },
    /// `${a:1:2}`: arithmetic expressions.
    Substring { offset: Word, length: Option<Word> },
    /// `${a/x/y}`
    Replace { which: Replace, pattern: Word, with: Word },
    /// `${a^x}`, `${a^^x}`, `${a,x}`, `${a,,x}`, and `~`, `~~` with `upper` set.
    ChangeCase { upper: bool, all: bool, pattern: Option<Word> },
    /// `${!a}`
    Indirect,
    /// `${!a*}`, `${!a@}`, `${!a[@]}`
    Names,
    /// `${a@Q}`: the letter.
    Transform(char),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// `${a/x/y}`
    First,
    /// `${a//x/y}`
    All,
    /// `${a/#x/y}`
    Prefix,
    /// `${a/%x/y}`
    Suffix,
}
