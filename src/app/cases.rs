//! The test cases of rules: found, checked and run.
//!
//! Owns where cases are read from and what becomes of each. A case is run by what `scan` runs, with
//! its rule alone in force, off by default or not, without learning and with a state of its own.
//! Nothing is printed here.

mod find;
mod run;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::alert::schema;
use crate::app::rules::{self, FileError, RuleFile};
use crate::ingest::envelope::{self, Outcome};
use crate::limits;
use crate::rules::cases::{self, BUILTIN, Case, CaseError, Input, Source, beside};
use crate::rules::compile::RuleError;
use crate::rules::rule::Rule;
use crate::rules::set::RuleSet;

pub use run::{Mismatch, Outcome as CaseOutcome, Runner};

/// Why cases cannot be run.
#[derive(Debug, Error)]
pub enum CasesError {
    /// Of a rule's file, or of the file beside it.
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Case(#[from] CaseError),
    #[error("there is no rule file `{}` beside `{}`\n\nhint: the cases of `NAME.toml` stand in `NAME.tests.toml`", rule.display(), file.display())]
    NoRule { file: PathBuf, rule: PathBuf },
}

/// A rule and its cases.
#[derive(Debug)]
pub struct Suite {
    pub rule: Arc<Rule>,
    pub builtin: bool,
    /// Where the rule is from.
    pub path: PathBuf,
    pub cases: Vec<Placed>,
}

/// A case and the file that it stands in.
#[derive(Debug)]
pub struct Placed {
    pub case: Case,
    pub file: PathBuf,
}

/// All rules and their cases.
#[derive(Debug, Default)]
pub struct Suites {
    pub suites: Vec<Suite>,
    /// What is wrong with files.
    pub errors: Vec<(PathBuf, CasesError)>,
    pub left_out: Vec<LeftOut>,
}

/// A file of a rule that is not supported, and the cases that cannot be run for that.
#[derive(Debug)]
pub struct LeftOut {
    pub path: PathBuf,
    pub error: FileError,
    pub cases: Vec<Placed>,
}

/// The built-in rules and their cases.
///
/// # Errors
/// If the built-in rules are none: a mistake of the program.
pub fn builtin() -> Result<Suites, RuleError> {
    let rules = RuleSet::builtin()?;
    let mut all = Suites::default();
    for rule in rules.all() {
        let mut cases = Vec::new();
        for (id, file, text) in BUILTIN {
            if id == rule.id() {
                let path = Path::new(file);
                match checked(path, Source { file, text }, cases::beside_rule) {
                    Ok(found) => cases.extend(found),
                    Err(error) => all.errors.push((path.to_owned(), error)),
                }
            }
        }
        let path = PathBuf::from(format!("builtin/{}.toml", rule.id()));
        all.suites.push(Suite { rule: Arc::clone(rule), builtin: true, path, cases });
    }
    Ok(all)
}

/// The rules of files and folders, and their cases. A file of cases that is named stands for the
/// rule beside it.
pub fn of_files(paths: &[PathBuf]) -> Suites {
    let mut all = Suites::default();
    let mut named: Vec<PathBuf> = Vec::new();
    for path in paths {
        let path = beside::rule_beside(path).unwrap_or_else(|| path.clone());
        if !named.contains(&path) {
            named.push(path);
        }
    }
    for (file, error) in without_rule(paths) {
        named.retain(|path| beside::rule_beside(&file).as_ref() != Some(path));
        all.errors.push((file, error));
    }
    for RuleFile { path, outcome } in rules::read(&named) {
        match outcome {
            Ok(found) => match of_rule(&path) {
                Ok(cases) => {
                    all.suites.push(Suite {
                        rule: Arc::new(found.rule),
                        builtin: false,
                        path,
                        cases,
                    });
                }
                Err(error) => all.errors.push((path, error)),
            },
            Err(error) if error.is_unsupported() => match of_rule(&path) {
                Ok(cases) => all.left_out.push(LeftOut { path, error, cases }),
                Err(wrong) => {
                    all.left_out.push(LeftOut { path: path.clone(), error, cases: Vec::new() });
                    all.errors.push((path, wrong));
                }
            },
            Err(error) => all.errors.push((path, error.into())),
        }
    }
    all
}

/// The files of cases among these, and in folders, that have no rule file beside them.
pub fn without_rule(paths: &[PathBuf]) -> Vec<(PathBuf, CasesError)> {
    let files = find::cases_files(paths).into_iter();
    let alone = files.filter_map(|file| {
        let rule = beside::rule_beside(&file).filter(|rule| !rule.is_file())?;
        Some((file.clone(), CasesError::NoRule { file, rule }))
    });
    alone.collect()
}

impl Suites {
    /// Those of both.
    pub fn and(mut self, other: Suites) -> Suites {
        self.suites.extend(other.suites);
        self.errors.extend(other.errors);
        self.left_out.extend(other.left_out);
        self
    }

    /// The rules of all, the built-in ones among them: what a query asks of commands is theirs to
    /// tell.
    ///
    /// # Errors
    /// If they cannot be in force together.
    pub fn rules(&self) -> Result<RuleSet, RuleError> {
        let own = self.suites.iter().filter(|suite| !suite.builtin);
        let own = own.map(|suite| (suite.path.display().to_string(), Rule::clone(&suite.rule)));
        RuleSet::builtin()?.merged(RuleSet::of(own)?)
    }
}

/// The cases in a rule's file and in the one beside it.
///
/// # Errors
/// The first thing that is wrong with them.
pub fn of_rule(path: &Path) -> Result<Vec<Placed>, CasesError> {
    let mut cases = read(path, cases::of_rule)?;
    let beside = beside::cases_beside(path);
    if beside.is_file() {
        cases.extend(read(&beside, cases::beside_rule)?);
    }
    Ok(cases)
}

type Reader = fn(Source<'_>) -> Result<Vec<Case>, CaseError>;

fn read(path: &Path, reader: Reader) -> Result<Vec<Placed>, CasesError> {
    let text = rules::text(path)?;
    checked(path, Source { file: &path.display().to_string(), text: &text }, reader)
}

/// The cases of a text, each of whose events is one, and whose fields alerts have.
fn checked(path: &Path, source: Source<'_>, reader: Reader) -> Result<Vec<Placed>, CasesError> {
    let cases = reader(source)?;
    for case in &cases {
        for input in case.given.iter().chain(&case.events) {
            check_input(path, source, input)?;
        }
        for field in case.expected.fields.all() {
            if let Err(unknown) = schema::check_field(&field.path) {
                let message = format!("no alert has a field `{}`", field.path.escape_debug());
                let hint = unknown.nearest.map(|near| format!("did you mean `{near}`?"));
                let hint = hint.or_else(|| Some("`kubetell schema ecs` lists them".to_owned()));
                return Err(source.error(field.span.clone(), message, hint).into());
            }
        }
    }
    Ok(cases.into_iter().map(|case| Placed { case, file: path.to_owned() }).collect())
}

/// Why not all of a record is events that the rule is asked about.
fn not_asked(record: &[u8]) -> Option<String> {
    let mut wrong = None;
    envelope::read(record, None, &mut |_, outcome| {
        let problem = match outcome {
            Outcome::Event(_) => return,
            Outcome::Skipped(reason) => format!("it is left out ({})", reason.as_str()),
            Outcome::Unreadable(error) => error.to_string(),
        };
        wrong.get_or_insert(problem);
    });
    wrong
}

fn check_input(path: &Path, source: Source<'_>, input: &Input) -> Result<(), CaseError> {
    match input {
        Input::Record { record, span } => match not_asked(record) {
            Some(problem) => {
                let message = format!("the event cannot be read: {problem}");
                Err(source.error(span.clone(), message, None))
            }
            None => Ok(()),
        },
        Input::File { path: named, span } => file_of_events(path, named)
            .map(drop)
            .map_err(|(message, hint)| source.error(span.clone(), message, hint)),
    }
}

/// The file of events that a case in the file `cases` names.
///
/// # Errors
/// Says why it cannot be read, and what to do.
fn file_of_events(cases: &Path, named: &str) -> Result<PathBuf, (String, Option<String>)> {
    let without_hint = |message: String| (message, None);
    if Path::new(named).is_absolute() {
        let hint = "write it relative to the file that the case stands in".to_owned();
        return Err(("the path of the events is absolute".to_owned(), Some(hint)));
    }
    let file = cases.with_file_name(named);
    let shown = file.display();
    let failed = |error| without_hint(format!("`{shown}` cannot be read: {error}"));
    let found = std::fs::metadata(&file).map_err(failed)?;
    // Links may lead to where the name does not.
    let folder = match cases.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let folder = folder.canonicalize().map_err(failed)?;
    if !file.canonicalize().map_err(failed)?.starts_with(&folder) {
        let hint = "the events of a case stand in its folder, or below".to_owned();
        return Err((format!("`{shown}` leaves the folder of the case"), Some(hint)));
    }
    if !found.is_file() {
        return Err(without_hint(format!("`{shown}` is no file")));
    }
    if found.len() == 0 {
        return Err(without_hint(format!("`{shown}` is empty: no event is in it")));
    }
    if found.len() > limits::CASE_FILE_MAX_BYTES {
        let most = limits::CASE_FILE_MAX_BYTES / (1024 * 1024);
        return Err(without_hint(format!("`{shown}` is larger than {most} MiB")));
    }
    Ok(file)
}

#[cfg(test)]
mod tests;
