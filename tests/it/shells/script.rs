//! Scripts that open files of the tree in ways made up at random.
//!
//! Owns what the parts of a script share: the dialect, fresh names, the working directory as it is
//! then, what has to run first. How a word is spelled is in `spell`, how a path is named in
//! `locate`, how files are read in `reads`, and what stands around that in `wrap`.

use super::choices::Choices;
use super::tree::{FILES, SCRATCH};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dialect {
    Posix,
    /// What busybox adds to it, and bash has as well.
    Ash,
    Bash,
}

pub struct Script {
    pub text: String,
    pub dialect: Dialect,
    /// Nothing in it depends on what is not known: whatever is read as opened is opened.
    pub pure: bool,
}

pub struct Generator<'c> {
    pub choices: &'c mut Choices,
    pub root: String,
    dialect: Dialect,
    /// Statements that have to run before the one that is being made.
    pub before: Vec<String>,
    /// How many more ways of being complicated there are.
    pub fuel: usize,
    /// The working directory below the root; `None` where it is not known to the reader.
    pub directory: Option<String>,
    pub pure: bool,
    /// Extended patterns are patterns.
    pub extended: bool,
    /// How often the working directory was changed.
    pub moves: usize,
    names: usize,
}

/// How complicated a script gets.
const FUEL: usize = 22;
const STATEMENTS_MAX: usize = 3;

pub fn generate(choices: &mut Choices, root: &str) -> Script {
    let dialect = [Dialect::Posix, Dialect::Bash, Dialect::Ash][choices.below(3)];
    let fuel = choices.below(FUEL);
    let mut generator = Generator {
        choices,
        root: root.to_owned(),
        dialect,
        before: Vec::new(),
        fuel,
        directory: None,
        pure: true,
        extended: false,
        moves: 0,
        names: 0,
    };
    let mut text = String::new();
    if dialect == Dialect::Bash && generator.choices.chance(20) {
        // Known before the next line is read.
        text.push_str("shopt -s extglob\n");
        generator.extended = true;
    }
    text.push_str(&generator.block());
    Script { text, dialect, pure: generator.pure }
}

impl Generator<'_> {
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub fn is(&self, dialect: Dialect) -> bool {
        self.dialect == dialect
    }

    pub fn allows(&self, dialect: Dialect) -> bool {
        self.dialect >= dialect
    }

    /// A name that nothing has yet.
    pub fn name(&mut self) -> String {
        self.names += 1;
        let kind = self.choices.below(4);
        format!("{}{}", ["v", "x_", "PATHX", "q"][kind], self.names)
    }

    /// A file that nothing has written yet.
    pub fn scratch(&mut self) -> String {
        self.names += 1;
        format!("{}/{SCRATCH}/s{}", self.root, self.names)
    }

    pub fn file(&mut self) -> &'static str {
        FILES[self.choices.below(FILES.len())]
    }

    /// A few statements, one after another.
    pub fn block(&mut self) -> String {
        let mut statements = vec![self.statement()];
        for _ in 1..STATEMENTS_MAX {
            if self.fuel > 0 && self.choices.chance(25) {
                statements.push(self.statement());
            }
        }
        self.sequence(&statements)
    }

    /// One statement with what has to run before it.
    pub fn statement(&mut self) -> String {
        let around = std::mem::take(&mut self.before);
        let statement = if self.fuel > 1 && self.choices.chance(45) {
            self.fuel -= 2;
            self.wrapped()
        } else if self.fuel > 0 && self.choices.chance(20) {
            self.decoy()
        } else {
            self.reads()
        };
        let mut statements = std::mem::replace(&mut self.before, around);
        statements.push(statement);
        self.sequence(&statements)
    }

    /// A block that may be run elsewhere: the working directory is then what it was.
    pub fn apart(&mut self) -> String {
        let directory = self.directory.clone();
        let block = self.block();
        self.directory = directory;
        block
    }

    fn sequence(&mut self, statements: &[String]) -> String {
        let mut out = String::new();
        for statement in statements {
            if !out.is_empty() {
                // A here-document and a comment end with their line.
                let line = out.contains('\n') || out.contains('#') || self.choices.chance(30);
                let ends = out.ends_with('\n') || out.ends_with('&');
                out.push_str(match (line, ends) {
                    (_, true) => " ",
                    (true, false) => "\n",
                    (false, false) => "; ",
                });
            }
            out.push_str(statement);
        }
        out
    }
}
