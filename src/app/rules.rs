//! Files of rules and of exceptions, from folders to the rules in force.
//!
//! Owns where they are read from. What a file means is for `rules`; nothing is printed here.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::limits;
use crate::rules::cases::beside::is_cases_file;
use crate::rules::compile::RuleError;
use crate::rules::exceptions::{self, Exception, ExceptionError};
use crate::rules::published::PublishedError;
use crate::rules::rule::Rule;
use crate::rules::set::{RuleSet, UnknownRule};

/// What became of one file.
#[derive(Debug)]
pub struct RuleFile {
    /// As it was named, or found below a folder that was.
    pub path: PathBuf,
    pub outcome: Result<Found, FileError>,
}

#[derive(Debug)]
pub struct Found {
    pub rule: Rule,
    /// What of the file has no meaning here.
    pub notes: Vec<String>,
}

/// Why a file gives no rule.
#[derive(Debug, Error)]
pub enum FileError {
    #[error("`{}` cannot be read: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("`{}` is larger than {} KiB", path.display(), limits::RULE_FILE_MAX_BYTES / 1024)]
    TooLarge { path: PathBuf },
    #[error("`{}` is no UTF-8", path.display())]
    Encoding { path: PathBuf },
    #[error(transparent)]
    Rule(#[from] RuleError),
    #[error(transparent)]
    Exception(#[from] ExceptionError),
    #[error("`{}` holds more than {} files", path.display(), limits::RULE_FILES_MAX)]
    TooMany { path: PathBuf },
}

impl FileError {
    /// The file is well, and a rule of a kind that is not supported.
    pub fn is_unsupported(&self) -> bool {
        let FileError::Rule(RuleError::Published { source, .. }) = self else { return false };
        matches!(source, PublishedError::Unsupported(_))
    }

    /// It is a file of exceptions, where one of a rule was looked for.
    pub fn is_exceptions(&self) -> bool {
        matches!(self, FileError::Rule(RuleError::IsExceptions { .. }))
    }
}

/// The rules of a configuration or a command, and what is to be told about them.
#[derive(Debug)]
pub struct Loaded {
    pub rules: RuleSet,
    /// Files that are left out, and what of others has no meaning here: file, text.
    pub notes: Vec<(PathBuf, String)>,
}

/// Why rules cannot be put in force; all that is wrong at once.
#[derive(Debug)]
pub enum LoadError {
    Files(Vec<FileError>),
    Set(RuleError),
    Unknown(UnknownRule),
    /// The built-in rules: a mistake of the program.
    Builtin(RuleError),
}

/// Of a rule without needles.
pub const ASKS_EVERYTHING: &str = "no text is certain of the events that the rule matches: while it is in \
     force, every record is parsed and asked, where others are let go by their bytes";

/// The built-in rules and those of files and folders, with those of these ids in force too. A file
/// of a kind that is not supported is left out.
pub fn load(paths: &[PathBuf], enabled: &[String]) -> Result<Loaded, LoadError> {
    load_excepting(paths, &[], enabled)
}

/// The same with the exceptions of other files and folders.
pub fn load_excepting(
    paths: &[PathBuf],
    exceptions: &[PathBuf],
    enabled: &[String],
) -> Result<Loaded, LoadError> {
    let builtin = RuleSet::builtin().map_err(LoadError::Builtin)?;
    let (mut rules, mut ids) = (Vec::new(), Vec::new());
    let (mut notes, mut errors) = (Vec::new(), Vec::new());
    for RuleFile { path, outcome } in read(paths) {
        match outcome {
            Ok(found) => {
                notes.extend(found.notes.into_iter().map(|note| (path.clone(), note)));
                ids.push((path.clone(), found.rule.id().to_owned()));
                rules.push((path.display().to_string(), found.rule));
            }
            Err(error) if error.is_unsupported() => {
                notes.push((path, format!("left out: {error}")));
            }
            Err(error) => errors.push(error),
        }
    }
    let mut excepted = Vec::new();
    for ExceptionFile { outcome, .. } in read_exceptions(exceptions) {
        match outcome {
            Ok(found) => excepted.extend(found),
            Err(wrong) => errors.extend(wrong),
        }
    }
    if !errors.is_empty() {
        return Err(LoadError::Files(errors));
    }
    let own = RuleSet::of(rules).map_err(LoadError::Set)?;
    let rules = builtin.merged(own).map_err(LoadError::Set)?;
    let wrong = |errors: Vec<ExceptionError>| {
        LoadError::Files(errors.into_iter().map(FileError::from).collect())
    };
    let rules = rules.excepting(excepted).map_err(wrong)?;
    let rules = rules.with(enabled).map_err(LoadError::Unknown)?;
    for (path, id) in ids {
        if rules.asks_everything(&id) {
            notes.push((path, ASKS_EVERYTHING.to_owned()));
        }
    }
    Ok(Loaded { rules, notes })
}

/// What became of one file of exceptions.
#[derive(Debug)]
pub struct ExceptionFile {
    pub path: PathBuf,
    /// All that is wrong.
    pub outcome: Result<Vec<Exception>, Vec<FileError>>,
}

/// Reads files, and folders with all below them: files that end with `.toml`, in the order of their
/// names, those that begin with a dot left out. Files of test cases are for `app::cases`.
pub fn read(paths: &[PathBuf]) -> Vec<RuleFile> {
    let compiled = |(path, text): (PathBuf, Result<String, FileError>)| {
        let outcome = text.and_then(|text| {
            let (rule, notes) = Rule::read(&path.display().to_string(), &text)?;
            Ok(Found { rule, notes })
        });
        RuleFile { path, outcome }
    };
    texts(paths).into_iter().map(compiled).collect()
}

/// The same for exceptions.
pub fn read_exceptions(paths: &[PathBuf]) -> Vec<ExceptionFile> {
    let compiled = |(path, text): (PathBuf, Result<String, FileError>)| {
        let outcome = text.map_err(|error| vec![error]).and_then(|text| {
            let found = exceptions::read_file(&path.display().to_string(), &text);
            found.map_err(|errors| errors.into_iter().map(FileError::from).collect())
        });
        ExceptionFile { path, outcome }
    };
    texts(paths).into_iter().map(compiled).collect()
}

/// A hash of all that [`read`] and [`read_exceptions`] would see: names, texts, and what cannot be
/// read.
pub fn fingerprint(rules: &[PathBuf], exceptions: &[PathBuf]) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    let all = [(b"rule", rules), (b"exce", exceptions)];
    let all = all
        .into_iter()
        .flat_map(|(kind, paths)| texts(paths).into_iter().map(move |it| (kind, it)));
    for (kind, (path, text)) in all {
        part(kind);
        part(path.as_os_str().as_encoded_bytes());
        match text {
            Ok(text) => part(text.as_bytes()),
            Err(error) => part(error.to_string().as_bytes()),
        }
    }
    hash.finalize().into()
}

/// The files' texts, as [`read`] finds them.
fn texts(paths: &[PathBuf]) -> Vec<(PathBuf, Result<String, FileError>)> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            folder(path, 0, &mut files);
        } else if !is_cases_file(path) {
            files.push((path.clone(), text(path)));
        }
    }
    files
}

/// Deepest folder that is looked into.
const FOLDERS_MAX: usize = 16;

fn folder(path: &Path, depth: usize, files: &mut Vec<(PathBuf, Result<String, FileError>)>) {
    let failed = |path: &Path, error| (path.to_owned(), Err(error));
    let entries = fs::read_dir(path).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
    let mut entries: Vec<PathBuf> = match entries {
        Ok(entries) => entries.iter().map(fs::DirEntry::path).collect(),
        Err(source) => {
            files.push(failed(path, FileError::Io { path: path.to_owned(), source }));
            return;
        }
    };
    entries.sort_unstable();
    for entry in entries {
        let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        if files.len() >= limits::RULE_FILES_MAX {
            files.push(failed(path, FileError::TooMany { path: path.to_owned() }));
            return;
        }
        if entry.is_dir() {
            if depth < FOLDERS_MAX {
                folder(&entry, depth + 1, files);
            }
        } else if name.ends_with(".toml") && !is_cases_file(&entry) {
            let text = text(&entry);
            files.push((entry, text));
        }
    }
}

/// The text of a file, which may be as large as one of rules.
pub fn text(path: &Path) -> Result<String, FileError> {
    let failed = |source| FileError::Io { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let limit = limits::RULE_FILE_MAX_BYTES + 1;
    let file = File::open(path).map_err(failed)?;
    file.take(limit as u64).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() == limit {
        return Err(FileError::TooLarge { path: path.to_owned() });
    }
    String::from_utf8(bytes).map_err(|_| FileError::Encoding { path: path.to_owned() })
}
