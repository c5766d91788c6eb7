//! The rules that records are judged by, with what is built on them; one value, so that a record
//! is never looked at by the prefilter of one set and the matcher of another.
//!
//! A set is replaced as a whole: the detect thread takes the next one between two batches, and
//! each batch goes to the pool with the set that its records were let through by.

use std::sync::Arc;

use crossbeam_channel::Receiver;

use crate::alert::redact::Redaction;
use crate::detect::matcher::Matcher;
use crate::ingest::prefilter::Prefilter;
use crate::rules::set::RuleSet;

#[derive(Debug)]
pub struct InForce {
    pub matcher: Matcher,
    pub prefilter: Prefilter,
}

/// What is in force, and what comes after it.
#[derive(Debug)]
pub struct Changing {
    pub now: Arc<InForce>,
    pub next: Receiver<Arc<InForce>>,
}

impl Changing {
    /// Goes on with the next set, if there is one; whether there was.
    pub fn change(&mut self) -> bool {
        match self.next.try_recv() {
            Ok(next) => {
                self.now = next;
                true
            }
            Err(_) => false,
        }
    }
}

impl InForce {
    /// `learning_ms` as for [`Matcher::new`].
    pub fn new(rules: Arc<RuleSet>, learning_ms: i64, redaction: Arc<Redaction>) -> InForce {
        InForce {
            prefilter: Prefilter::new(&rules),
            matcher: Matcher::new(rules, learning_ms).redacting(redaction),
        }
    }

    pub fn rules(&self) -> &RuleSet {
        self.matcher.rules()
    }
}
