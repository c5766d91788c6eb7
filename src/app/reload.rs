//! Changed rules are put in force while the service runs.
//!
//! Owns when the files are read again, and whether what they hold may replace what is in force. A
//! set is loaded as a whole or not at all: with anything wrong in it, the one before stays, and
//! that is said. The detect thread does the exchange; see `detect::in_force`.
//!
//! Files are compared by what they hold, not by their times: a mounted folder may be replaced by
//! a link, and come with any times. What has changed is read once it is the same at two looks in
//! a row, so that a folder which is still being written is not taken for a set.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use crate::alert::redact::Redaction;
use crate::app::rules::{self, LoadError, Loaded};
use crate::clock;
use crate::config::Config;
use crate::detect::in_force::InForce;
use crate::duration::format_duration;
use crate::rules::set::RuleSet;
use crate::stats::Stats;
use crate::topics::{Topics, TopicsError};

/// Why the rules in the files are not put in force.
#[derive(Debug, thiserror::Error)]
enum ReloadError {
    #[error("{}", load_text(.0))]
    Load(LoadError),
    /// The brokers may answer later.
    #[error("the topics could not be looked at: {0}")]
    Topics(#[from] TopicsError),
    #[error("{0}")]
    Window(String),
}

/// Watches the files of the rules; runs on a thread of its own until `asked` or `changes` closes.
pub struct Reloader {
    pub config: Arc<Config>,
    pub redaction: Arc<Redaction>,
    pub stats: Arc<Stats>,
    /// One message for each wish to read the files again, whether they changed or not.
    pub asked: Receiver<()>,
    pub changes: Sender<Arc<InForce>>,
    /// What is in force.
    pub rules: Arc<RuleSet>,
    /// What of the files was read last, with whatever success.
    pub tried: [u8; 32],
    /// Until when it was said which exceptions have expired, milliseconds since the epoch.
    pub expired_said_ms: i64,
}

/// How an attempt to put changed rules in force ends.
const LOADED: &str = "loaded";
const UNCHANGED: &str = "unchanged";
const REFUSED: &str = "refused";

/// How often it is looked whether exceptions have expired, where files are not looked at.
const EXPIRED_EVERY: Duration = Duration::from_secs(60);

impl Reloader {
    pub fn run(mut self) {
        // A count that begins at one has no increase to be alerted of.
        [LOADED, UNCHANGED, REFUSED].iter().for_each(|result| self.stats.reloads.add(result, 0));
        let mut seen = self.tried;
        loop {
            let every = self.config.rules_check_every_ms;
            let wait = if every == 0 { EXPIRED_EVERY } else { Duration::from_millis(every) };
            let asked = self.asked.recv_timeout(wait);
            self.say_what_expired();
            if every == 0 && asked == Err(RecvTimeoutError::Timeout) {
                continue;
            }
            let now = rules::fingerprint(&self.config.rules, &self.config.exceptions);
            let wanted = match asked {
                Ok(()) => true,
                Err(RecvTimeoutError::Timeout) => now != self.tried && now == seen,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            seen = now;
            if wanted && !self.reload(now) {
                return;
            }
        }
    }

    /// Which exceptions have expired since it was last said.
    fn say_what_expired(&mut self) {
        let now_ms = clock::now_ms();
        for exception in self.rules.exceptions().iter() {
            if !exception.is_expired(self.expired_said_ms)
                && let Some(warning) = exception.expiry_warning(now_ms)
            {
                tracing::warn!("{warning}");
            }
        }
        self.expired_said_ms = now_ms;
    }

    /// Whether there is still somebody who takes a set.
    fn reload(&mut self, fingerprint: [u8; 32]) -> bool {
        self.tried = fingerprint;
        match self.load() {
            Ok(rules) if rules.hash() == self.rules.hash() => {
                self.stats.reloads.add(UNCHANGED, 1);
                tracing::info!(ruleset = rules.hash(), "the rules were read again: no change");
                true
            }
            Ok(rules) => {
                self.stats.reloads.add(LOADED, 1);
                say_changes(&self.rules, &rules);
                self.rules = Arc::clone(&rules);
                let (learning_ms, redaction) =
                    (self.config.new_terms.learning_ms, Arc::clone(&self.redaction));
                self.changes.send(Arc::new(InForce::new(rules, learning_ms, redaction))).is_ok()
            }
            Err(error) => {
                self.stats.reloads.add(REFUSED, 1);
                if let ReloadError::Topics(_) = error {
                    // It is not the files that are wrong: they are tried again.
                    self.tried = [0; 32];
                }
                tracing::error!(
                    ruleset = self.rules.hash(),
                    "the changed rules are NOT in force, those before stay: {error}"
                );
                true
            }
        }
    }

    fn load(&self) -> Result<Arc<RuleSet>, ReloadError> {
        let Config { rules, exceptions, enabled_rules, .. } = &*self.config;
        let loaded = rules::load_excepting(rules, exceptions, enabled_rules);
        let Loaded { rules, notes } = loaded.map_err(ReloadError::Load)?;
        for (path, note) in notes {
            tracing::warn!("`{}`: {note}", path.display());
        }
        for warning in rules.exception_warnings(clock::now_ms()) {
            tracing::warn!("{warning}");
        }
        self.check_window(&rules)?;
        Ok(Arc::new(rules))
    }

    /// A longer window needs an observations topic that keeps its records longer.
    fn check_window(&self, rules: &RuleSet) -> Result<(), ReloadError> {
        let window_ms = rules.longest_window_ms();
        if window_ms <= self.rules.longest_window_ms() {
            return Ok(());
        }
        let report = Topics::new(&self.config)?.survey_observations(window_ms)?;
        let Some(first) = report.problems.first() else { return Ok(()) };
        let window = format_duration(window_ms);
        Err(ReloadError::Window(format!("a window of {window} is too long: {}", first.message)))
    }
}

fn say_changes(before: &RuleSet, after: &RuleSet) {
    let ids = |set: &RuleSet, other: &RuleSet| -> String {
        let only = set.rules().iter().map(|rule| rule.id()).filter(|id| other.get(id).is_none());
        only.collect::<Vec<_>>().join(",")
    };
    let removed = ids(before, after);
    if !removed.is_empty() {
        // On purpose, or a folder is not where it was.
        tracing::warn!(removed, "rules are no longer in the files, and no longer asked");
    }
    tracing::info!(
        before = before.hash(),
        ruleset = after.hash(),
        added = ids(after, before),
        removed,
        exceptions = after.exceptions().iter().count(),
        "the rules were read again"
    );
}

fn load_text(error: &LoadError) -> String {
    match error {
        LoadError::Files(errors) => {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            errors.join("\n")
        }
        LoadError::Set(error) | LoadError::Builtin(error) => error.to_string(),
        LoadError::Unknown(error) => error.to_string(),
    }
}
