//! Files of test cases among others.

use std::fs;
use std::path::{Path, PathBuf};

use crate::limits;
use crate::rules::cases::beside::is_cases_file;

/// Deepest folder that is looked into, as for rules.
const FOLDERS_MAX: usize = 16;

/// The files of cases among these, and in folders. What cannot be looked into is left out: it is
/// told where the rules are read.
pub(super) fn cases_files(paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            folder(path, 0, &mut files);
        } else if is_cases_file(path) {
            files.push(path.clone());
        }
    }
    files
}

fn folder(path: &Path, depth: usize, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut entries: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    entries.sort_unstable();
    for entry in entries {
        let hidden =
            entry.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if hidden || files.len() >= limits::RULE_FILES_MAX {
            continue;
        }
        if entry.is_dir() {
            if depth < FOLDERS_MAX {
                folder(&entry, depth + 1, files);
            }
        } else if is_cases_file(&entry) {
            files.push(entry);
        }
    }
}
