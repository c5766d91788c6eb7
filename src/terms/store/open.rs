//! Brings a state directory into use, whatever is found in it.
//!
//! A database that is damaged, of another format or of another topic is set aside (kept and named)
//! and a new one begun, since the log holds everything. What an operator has to mend (a directory
//! that is in use, that can't be written to, a full disk) is refused instead, and nothing in it is
//! touched.
//!
//! In the directory: `terms`, the database; `terms.lock`, held while it is used; `terms.aside-1`
//! and `-2`, what was set aside last; `terms.damaged`, why the database should be set aside.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::guard;
use super::sled::{SledStore, close, disk_trouble, in_words};
use crate::clock;
use crate::failure::Class;
use crate::limits::STATE_CACHE_BYTES;

/// Outside every partition's keys: partitions are never negative.
const META_KEY: &[u8] = b"\xff\xff\xff\xffmeta";
/// Of keys and values. With another one the database is set aside and folded anew from the log:
/// there is nothing in it that the log does not hold, so no format is ever converted.
const FORMAT: u32 = 2;
/// How many damaged or foreign states are kept beside the good one.
const ASIDE_MAX: u32 = 2;
const FLUSH_EVERY_MS: u64 = 1_000;
const LOCK_MAX: Duration = Duration::from_secs(2);
const LOCK_RETRY_AFTER: Duration = Duration::from_millis(50);
/// What has to fit on the disk for a start: two of sled's segments.
const ROOM_BYTES: usize = 1024 * 1024;

/// What the state has to belong to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expectation {
    pub topic: String,
    pub partitions: u32,
    pub group: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Meta {
    format: u32,
    #[serde(flatten)]
    belongs_to: Expectation,
}

/// A state ready for use.
pub struct Opened {
    pub store: SledStore,
    pub set_aside: Option<SetAside>,
}

/// An older state that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    pub reason: String,
    /// Where it is kept.
    pub path: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the state directory `{}` is in use by another process", .0.display())]
    Locked(PathBuf),
    #[error("the state directory `{}` can't be used: {reason}", .directory.display())]
    Unusable { directory: PathBuf, reason: String },
    #[error("the state can't be written to `{}`: {reason}", .directory.display())]
    Full { directory: PathBuf, reason: String },
}

impl OpenError {
    /// Without a place for its state first-seen can't begin.
    pub fn class(&self) -> Class {
        Class::Fatal
    }

    pub fn hint(&self) -> &'static str {
        match self {
            OpenError::Locked(_) => {
                "each instance needs a directory of its own: set `state.directory`, or stop the other process"
            }
            OpenError::Unusable { .. } => {
                "`state.directory` has to name a directory that this user can write to, with everything in it"
            }
            OpenError::Full { .. } => {
                "make room on that disk, then start again; `terms.aside-1` and `terms.aside-2` in it are old states that nothing needs"
            }
        }
    }

    /// Whether it can pass by itself, so that starting again may help.
    pub fn may_pass(&self) -> bool {
        matches!(self, OpenError::Full { .. })
    }

    fn of(directory: &Path, error: &std::io::Error) -> OpenError {
        let directory = directory.to_owned();
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                OpenError::Full { directory, reason: system_text(error) }
            }
            _ => OpenError::Unusable { directory, reason: system_text(error) },
        }
    }
}

/// The system's words without its number.
fn system_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

impl SledStore {
    pub fn open(directory: &Path, expectation: &Expectation) -> Result<Opened, OpenError> {
        let place = Place { directory };
        let meta = Meta { format: FORMAT, belongs_to: expectation.clone() };
        place.prepare()?;
        let lock = place.lock()?;
        let first = match place.noted_damage() {
            Some(reason) => Err(Refused::Aside(reason)),
            None => place.open(&meta),
        };
        let (db, set_aside) = match first {
            Ok(db) => (db, None),
            Err(Refused::Operator(error)) => return Err(error),
            Err(Refused::Aside(reason)) => {
                let path = place.set_aside().map_err(|error| OpenError::of(directory, &error))?;
                let db = place.open(&meta).map_err(|refused| match refused {
                    Refused::Operator(error) => error,
                    Refused::Aside(reason) => {
                        OpenError::Unusable { directory: directory.to_owned(), reason }
                    }
                })?;
                (db, Some(SetAside { reason, path }))
            }
        };
        Ok(Opened { store: SledStore::new(db, place.damage_note(), lock), set_aside })
    }
}

/// Why a database is not used.
enum Refused {
    /// It is unusable, and a new one can take its place.
    Aside(String),
    /// Nothing helps but the operator.
    Operator(OpenError),
}

struct Place<'d> {
    directory: &'d Path,
}

impl Place<'_> {
    fn database(&self) -> PathBuf {
        self.directory.join("terms")
    }

    fn damage_note(&self) -> PathBuf {
        self.directory.join("terms.damaged")
    }

    /// Writability and room are asked of the file system, not of sled, whose errors are many.
    fn prepare(&self) -> Result<(), OpenError> {
        let probe = || {
            std::fs::create_dir_all(self.directory)?;
            let mut file = tempfile::tempfile_in(self.directory)?;
            file.write_all(&vec![0; ROOM_BYTES])
        };
        probe().map_err(|error| OpenError::of(self.directory, &error))
    }

    /// A process that is being replaced may be about to end: the lock is waited for, shortly.
    fn lock(&self) -> Result<File, OpenError> {
        let path = self.directory.join("terms.lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(|error| OpenError::of(self.directory, &error))?;
        let deadline = clock::monotonic() + LOCK_MAX;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if clock::monotonic() < deadline => {
                    std::thread::park_timeout(LOCK_RETRY_AFTER);
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(OpenError::Locked(self.directory.to_owned()));
                }
                Err(TryLockError::Error(error)) => {
                    return Err(OpenError::of(self.directory, &error));
                }
            }
        }
    }

    /// What an earlier process left word of: that the database failed while it was used.
    fn noted_damage(&self) -> Option<String> {
        let note = std::fs::read(self.damage_note()).ok()?;
        Some(format!("it failed while it was used ({})", String::from_utf8_lossy(&note)))
    }

    fn open(&self, meta: &Meta) -> Result<::sled::Db, Refused> {
        let db = self.guarded(|| open_patiently(&self.database()))?;
        match self.guarded(|| belongs(&db, meta)) {
            Ok(()) => Ok(db),
            Err(refused) => {
                close(db);
                Err(refused)
            }
        }
    }

    fn guarded<T>(&self, call: impl FnOnce() -> Result<T, Unfit>) -> Result<T, Refused> {
        let directory = self.directory.to_owned();
        match guard::guarded(call) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(Unfit::Foreign(reason))) | Err(reason) => Err(Refused::Aside(reason)),
            Ok(Err(Unfit::Locked)) => Err(Refused::Operator(OpenError::Locked(directory))),
            Ok(Err(Unfit::Sled(error))) => Err(match disk_trouble(&error) {
                Some(error) => Refused::Operator(OpenError::of(self.directory, &error)),
                None => Refused::Aside(in_words(&error)),
            }),
        }
    }

    /// Moves the database out of the way, keeping the latest few; where it is now.
    fn set_aside(&self) -> std::io::Result<PathBuf> {
        let name = |number: u32| self.directory.join(format!("terms.aside-{number}"));
        for number in (1..=ASIDE_MAX).rev() {
            let older = name(number);
            if !exists(&older) {
                continue;
            }
            if number == ASIDE_MAX {
                remove(&older)?;
            } else {
                std::fs::rename(&older, name(number + 1))?;
            }
        }
        if exists(&self.database()) {
            std::fs::rename(self.database(), name(1))?;
        }
        // Only now: a process that ends in between sets aside once more.
        if exists(&self.damage_note()) {
            remove(&self.damage_note())?;
        }
        Ok(name(1))
    }
}

/// The lock that an instance holds on its state directory, which exists.
pub fn lock(directory: &Path) -> Result<File, OpenError> {
    Place { directory }.lock()
}

/// The view in a state directory and those that were set aside, with their sizes in bytes.
pub fn views(directory: &Path) -> Result<Vec<(PathBuf, u64)>, OpenError> {
    let failed = |error: std::io::Error| OpenError::of(directory, &error);
    let found = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        found => found.map_err(failed)?,
    };
    let mut views = Vec::new();
    for item in found {
        let item = item.map_err(failed)?;
        let name = item.file_name();
        if name == "terms" || name.to_string_lossy().starts_with("terms.aside-") {
            views.push((item.path(), size(&item.path()).map_err(failed)?));
        }
    }
    views.sort();
    Ok(views)
}

fn size(path: &Path) -> std::io::Result<u64> {
    let found = path.symlink_metadata()?;
    if !found.is_dir() {
        return Ok(found.len());
    }
    std::fs::read_dir(path)?.try_fold(0, |sum, item| Ok(sum + size(&item?.path())?))
}

/// Removes all of [`views`] while nobody uses the directory: what they hold is in the log. Never
/// opens a database: it may be damaged.
pub fn discard(directory: &Path) -> Result<(), OpenError> {
    let _locked = lock(directory)?;
    let failed = |error: std::io::Error| OpenError::of(directory, &error);
    for (path, _) in views(directory)? {
        remove(&path).map_err(failed)?;
    }
    let note = Place { directory }.damage_note();
    if exists(&note) { remove(&note).map_err(failed) } else { Ok(()) }
}

/// Also of a link to nowhere.
fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn remove(path: &Path) -> std::io::Result<()> {
    if path.symlink_metadata()?.is_dir() {
        std::fs::remove_dir_all(path)
    } else {
        std::fs::remove_file(path)
    }
}

enum Unfit {
    Foreign(String),
    Locked,
    Sled(::sled::Error),
}

impl From<::sled::Error> for Unfit {
    fn from(error: ::sled::Error) -> Self {
        Unfit::Sled(error)
    }
}

/// sled gives its own lock up a moment after the database is dropped.
fn open_patiently(path: &Path) -> Result<::sled::Db, Unfit> {
    let deadline = clock::monotonic() + LOCK_MAX;
    loop {
        let opened = ::sled::Config::new()
            .path(path)
            .cache_capacity(STATE_CACHE_BYTES)
            .flush_every_ms(Some(FLUSH_EVERY_MS))
            .mode(::sled::Mode::HighThroughput)
            .open();
        match opened {
            Err(error) if error.to_string().contains("could not acquire lock") => {
                if clock::monotonic() >= deadline {
                    return Err(Unfit::Locked);
                }
                std::thread::park_timeout(LOCK_RETRY_AFTER);
            }
            other => return Ok(other?),
        }
    }
}

/// Checks the meta record, or writes it into an empty database; then that sled can read all of it.
/// What its records say is the partitions' affair.
fn belongs(db: &::sled::Db, meta: &Meta) -> Result<(), Unfit> {
    match db.get(META_KEY)? {
        Some(bytes) => check_meta(&bytes, meta).map_err(Unfit::Foreign)?,
        None if db.is_empty() => {
            let bytes =
                serde_json::to_vec(meta).map_err(|error| Unfit::Foreign(error.to_string()))?;
            db.insert(META_KEY, bytes)?;
            db.flush()?;
        }
        None => return Err(Unfit::Foreign("it has no meta record".to_owned())),
    }
    for item in db.iter() {
        item?;
    }
    Ok(())
}

fn check_meta(bytes: &[u8], meta: &Meta) -> Result<(), String> {
    /// All that a format of any version has.
    #[derive(Deserialize)]
    struct Version {
        format: u32,
    }
    let unreadable = |_| "its meta record can't be read".to_owned();
    let Version { format } = serde_json::from_slice(bytes).map_err(unreadable)?;
    if format > FORMAT {
        return Err(format!(
            "it was written by a newer version (format {format}; this version writes {FORMAT})"
        ));
    }
    if format < FORMAT {
        return Err(format!(
            "it was written by an older version (format {format}; this version writes {FORMAT})"
        ));
    }
    let found: Meta = serde_json::from_slice(bytes).map_err(unreadable)?;
    if found == *meta {
        return Ok(());
    }
    Err(format!(
        "it belongs to the topic `{}` with {} partitions of the group `{}`",
        found.belongs_to.topic, found.belongs_to.partitions, found.belongs_to.group
    ))
}
