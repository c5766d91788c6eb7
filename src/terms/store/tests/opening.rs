//! What opening does with a directory that is in use, foreign, of another format, or no directory.

use std::path::{Path, PathBuf};

use super::super::open::{OpenError, discard, lock, views};
use super::*;

#[test]
fn a_directory_in_use_is_locked() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path());
    first.store.begin(0, 1);
    first.store.apply(0, 1, &batch(1, &[(b"a", 5)], &[], None)).unwrap();
    for other in [expectation("o", 3), expectation("other", 4)] {
        match SledStore::open(directory.path(), &other) {
            Err(error @ OpenError::Locked(_)) => {
                assert!(error.to_string().contains("another process"), "{error}");
                assert!(error.hint().contains("state.directory"));
            }
            Err(error) => panic!("{error}"),
            Ok(opened) => panic!("opened twice: {:?}", opened.set_aside),
        }
    }
    assert_eq!(asides(directory.path()), 0, "what is in use is not moved");
    assert_eq!(first.store.entry(0, b"a").unwrap(), Some(entry(5)));
}

fn asides(directory: &Path) -> usize {
    let names = std::fs::read_dir(directory).unwrap().map(|item| item.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().contains("aside")).count()
}

#[test]
fn a_state_of_another_log_is_set_aside_and_few_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let mut expected = 0;
    let mut before: Option<Expectation> = None;
    let mut group = expectation("p", 7);
    group.group = "another group".to_owned();
    for now in
        [expectation("o", 3), expectation("p", 3), expectation("p", 7), group, expectation("o", 3)]
    {
        let opened = SledStore::open(path, &now).unwrap();
        match (&before, opened.set_aside) {
            (None, None) => {}
            (Some(before), Some(aside)) => {
                let reason = aside.reason;
                assert!(aside.path.exists(), "{}", aside.path.display());
                expected = 2.min(expected + 1);
                assert!(reason.contains(&format!("`{}`", before.topic)), "{reason}");
                assert!(reason.contains(&before.partitions.to_string()), "{reason}");
            }
            (before, reason) => panic!("{before:?} {reason:?}"),
        }
        assert_eq!(asides(path), expected);
        assert_eq!(opened.store.load(0).unwrap(), None, "a new state is empty");
        opened.store.begin(0, 1);
        opened.store.apply(0, 1, &batch(4, &[(b"a", 5)], &[3], None)).unwrap();
        drop(opened.store);
        let again = SledStore::open(path, &now).unwrap();
        assert_eq!(again.set_aside, None);
        assert_eq!(again.store.entry(0, b"a").unwrap(), Some(entry(5)));
        before = Some(now);
    }
}

pub(super) fn files_under(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for item in std::fs::read_dir(directory).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() { files.extend(files_under(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

pub(super) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in files_under(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(&file, target).unwrap();
    }
}

#[test]
fn a_file_in_place_of_the_database_is_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("terms"), b"not a directory\n").unwrap();
    let opened = open(directory.path());
    assert!(opened.set_aside.is_some());
    assert_eq!(asides(directory.path()), 1);
    assert_eq!(opened.store.load(0).unwrap(), None);
}

#[test]
fn a_place_that_is_no_directory_is_unusable() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, b"x").unwrap();
    for path in [file.clone(), file.join("below"), PathBuf::from("/proc/kubetell")] {
        match SledStore::open(&path, &expectation("o", 3)) {
            Err(error @ OpenError::Unusable { .. }) => {
                assert!(error.to_string().contains(&path.display().to_string()), "{error}");
                assert!(error.hint().contains("write"));
            }
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("{} was opened", path.display()),
        }
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"x", "the file is left as it was");
}

/// A state in a directory whose meta record says `format`.
fn written_with_format(directory: &Path, format: u32) {
    let store = open(directory).store;
    store.begin(0, 1);
    store.apply(0, 1, &batch(1, &[(b"a", 5)], &[], None)).unwrap();
    drop(store);
    let path = directory.join("terms");
    let db = std::iter::repeat_with(|| ::sled::open(&path)).find_map(Result::ok).unwrap();
    let key = b"\xff\xff\xff\xffmeta";
    let mut meta: serde_json::Value =
        serde_json::from_slice(&db.get(key).unwrap().unwrap()).unwrap();
    meta["format"] = format.into();
    // What another version may have added.
    meta["other"] = true.into();
    db.insert(key, meta.to_string().into_bytes()).unwrap();
}

#[test]
fn another_format_is_set_aside_and_says_whose_it_is() {
    for (format, whose) in [(1, "an older version"), (3, "a newer version"), (u32::MAX, "newer")] {
        let directory = tempfile::tempdir().unwrap();
        written_with_format(directory.path(), format);
        let opened = open(directory.path());
        let aside = opened.set_aside.unwrap();
        assert!(aside.reason.contains(whose), "{}", aside.reason);
        assert!(aside.reason.contains(&format!("format {format};")), "{}", aside.reason);
        assert_eq!(aside.path, directory.path().join("terms.aside-1"));
        assert_eq!(opened.store.load(0).unwrap(), None);
    }
}

#[test]
fn what_failed_while_it_was_used_is_set_aside_at_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    std::fs::write(directory.path().join("terms.damaged"), "a page was gone").unwrap();
    let aside = open(directory.path()).set_aside.unwrap();
    assert!(aside.reason.contains("a page was gone"), "{}", aside.reason);
    assert!(aside.path.is_dir());
    assert_eq!(open(directory.path()).set_aside, None, "once");
}

#[test]
fn a_snapshot_of_sleds_that_is_gone_is_no_damage() {
    let directory = tempfile::tempdir().unwrap();
    written_with_format(directory.path(), 2);
    for file in files_under(&directory.path().join("terms")) {
        if file.file_name().unwrap().to_string_lossy().starts_with("snap.") {
            std::fs::remove_file(file).unwrap();
        }
    }
    let opened = SledStore::open(directory.path(), &expectation("o", 3)).unwrap();
    match opened.set_aside {
        // An unknown field in the meta record is none of this version's.
        None => assert_eq!(opened.store.entry(0, b"a").unwrap(), Some(entry(5))),
        Some(aside) => panic!("{}", aside.reason),
    }
}

#[test]
fn views_are_discarded_only_while_nobody_uses_them() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(views(&dir.path().join("none")).unwrap(), []);

    let held = open(dir.path());
    std::fs::create_dir(dir.path().join("terms.aside-1")).unwrap();
    std::fs::write(dir.path().join("terms.aside-1/db"), [0; 1_000]).unwrap();
    std::fs::write(dir.path().join("other"), "kept").unwrap();
    let found = views(dir.path()).unwrap();
    assert_eq!(found.len(), 2);
    assert!(found[0].1 > 0 && found[1].1 == 1_000, "{found:?}");
    assert!(matches!(lock(dir.path()), Err(OpenError::Locked(_))));
    assert!(matches!(discard(dir.path()), Err(OpenError::Locked(_))));
    assert_eq!(views(dir.path()).unwrap().len(), 2);

    drop(held);
    std::fs::write(dir.path().join("terms.damaged"), "it was").unwrap();
    discard(dir.path()).unwrap();
    assert_eq!(views(dir.path()).unwrap(), []);
    assert!(dir.path().join("other").exists());
    assert!(open(dir.path()).set_aside.is_none());
}
