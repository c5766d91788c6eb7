//! What becomes of the workers' results, in one thread: put back in the input's order, observations
//! are folded, alerts written, everything counted.

use std::collections::{BTreeMap, HashSet, VecDeque};

use crossbeam_channel::Receiver;

use super::examine::{Examined, Item};
use super::{ScanError, ScanOptions, ScanSink, ScanStats};
use crate::alert::{self, Alert, Origin};
use crate::app::held::Held;
use crate::clock;
use crate::detect::matcher::{Detection, Excepted};
use crate::detect::suppress::Suppressor;
use crate::limits::EXCEPTION_NAMES_MAX;
use crate::stats::count_up_to;
use crate::terms::local::{LocalFold, LocalVerdict};
use crate::terms::observation::Observation;

/// Puts the workers' results back in order.
pub(super) struct Merge<'a, 'fold> {
    options: &'a ScanOptions,
    fold: &'a mut LocalFold<'fold>,
    sink: &'a mut dyn ScanSink,
    held: Held,
    suppressor: Suppressor,
    released: Vec<Alert>,
    withheld: Withheld,
    stats: ScanStats,
    /// The running maximum of the event times: `scan`'s clock for new terms.
    time_ms: i64,
}

impl<'a, 'fold> Merge<'a, 'fold> {
    pub(super) fn new(
        options: &'a ScanOptions,
        fold: &'a mut LocalFold<'fold>,
        sink: &'a mut dyn ScanSink,
    ) -> Self {
        // A kept state may have seen later times than this input begins with.
        let time_ms = fold.time_ms();
        Merge {
            options,
            fold,
            sink,
            held: Held::default(),
            suppressor: Suppressor::default(),
            released: Vec::new(),
            withheld: Withheld::default(),
            stats: ScanStats::default(),
            time_ms,
        }
    }

    /// Owns the channel: should this end early, the workers must not wait for it.
    pub(super) fn run(mut self, examined: Receiver<Examined>) -> Result<ScanStats, ScanError> {
        let mut waiting: BTreeMap<u64, Examined> = BTreeMap::new();
        let mut next = 0;
        for result in &examined {
            waiting.insert(result.number, result);
            while let Some(result) = waiting.remove(&next) {
                next += 1;
                self.merge(result)?;
            }
            if waiting.is_empty() && examined.is_empty() {
                self.sink.flush()?;
            }
        }
        self.settle()?;
        Ok(self.stats)
    }

    /// No outcome is waited for any longer.
    pub(super) fn settle(&mut self) -> Result<(), ScanError> {
        self.held.release_all(&mut self.released);
        self.print()?;
        Ok(self.sink.flush()?)
    }

    pub(super) fn merge(&mut self, result: Examined) -> Result<(), ScanError> {
        let before = self.stats.events + self.stats.prefiltered;
        for item in result.items {
            match item {
                Item::Failure(failure) => {
                    *self.stats.unreadable.entry(failure.class.to_owned()).or_default() += 1;
                    self.sink.unreadable(
                        &failure.path,
                        failure.line,
                        &failure.reason,
                        failure.record.as_deref(),
                    )?;
                }
                Item::Detection(number, detection) => {
                    let event = before + number;
                    self.held.release(event, &mut self.released);
                    if let Some(alert) = self.decide(detection)? {
                        self.held.push(alert, event);
                    }
                }
            }
        }
        self.stats.events += result.events;
        self.stats.records += result.records;
        self.stats.prefiltered += result.prefiltered;
        self.stats.bytes += result.bytes;
        for (reason, count) in result.skipped {
            *self.stats.skipped.entry(reason.to_owned()).or_default() += count;
        }
        let passed = self.stats.events + self.stats.prefiltered;
        self.held.release(passed, &mut self.released);
        self.print()?;
        self.sink.progress(result.read, result.total);
        Ok(())
    }

    fn decide(&mut self, detection: Detection) -> Result<Option<Alert>, ScanError> {
        let origin = Origin {
            instance: self.options.instance.clone(),
            created_ms: clock::now_ms(),
            latency_ms: None,
        };
        match detection {
            Detection::Finding(finding) => {
                let alert = alert::from_finding(&finding, &origin);
                Ok(self.unless_withheld(alert, finding.event_time_ms))
            }
            Detection::Request(finding) => {
                let alert = alert::from_request(&finding, &origin);
                Ok(self.unless_withheld(alert, finding.event_time_ms))
            }
            // Told with what could not be read.
            Detection::NotAsked(_) => Ok(None),
            Detection::Excepted(excepted) => {
                self.except(&excepted)?;
                Ok(None)
            }
            Detection::ExceptionExpired(exception) => {
                let counts = &mut self.stats.exceptions_expired;
                count_up_to(EXCEPTION_NAMES_MAX, &exception.name, 1, counts);
                Ok(None)
            }
            Detection::Observation(observation) => {
                match self.observe(&observation)? {
                    // History is that of exceptions alone.
                    LocalVerdict::Nothing | LocalVerdict::History => Ok(None),
                    LocalVerdict::Learned => {
                        self.stats.learned += 1;
                        Ok(None)
                    }
                    LocalVerdict::Alert(first_seen) => {
                        Ok(Some(alert::from_observation(&observation, &first_seen, &origin)))
                    }
                }
            }
        }
    }

    fn unless_withheld(&mut self, alert: Alert, time_ms: Option<i64>) -> Option<Alert> {
        let withheld =
            alert.suppression.is_some_and(|by| self.suppressor.withholds(&alert.id, time_ms, by));
        if withheld {
            *self.stats.suppressed.entry(alert.rule.id.clone()).or_default() += 1;
        }
        (!withheld).then_some(alert)
    }

    fn observe(&mut self, observation: &Observation) -> Result<LocalVerdict, ScanError> {
        self.time_ms = self.time_ms.max(observation.event_time_ms.unwrap_or(0));
        Ok(self.fold.observe(observation, self.time_ms)?)
    }

    /// Counts the alerts that are not raised, and folds what is known from then on.
    fn except(&mut self, excepted: &Excepted) -> Result<(), ScanError> {
        let alerts = match &excepted.history {
            None => u64::from(self.withheld.is_new(&excepted.rule.id, &excepted.event_id)),
            Some(history) => {
                let mut alerts = 0;
                for observation in history {
                    match self.observe(observation)? {
                        LocalVerdict::History => alerts += 1,
                        LocalVerdict::Learned => self.stats.learned += 1,
                        LocalVerdict::Nothing | LocalVerdict::Alert(_) => {}
                    }
                }
                alerts
            }
        };
        for _ in 0..alerts {
            count_up_to(EXCEPTION_NAMES_MAX, &excepted.by.name, 1, &mut self.stats.withheld);
        }
        Ok(())
    }

    fn print(&mut self) -> Result<(), ScanError> {
        for alert in self.released.drain(..) {
            *self.stats.alerts.entry(alert.rule.id.clone()).or_default() += 1;
            self.sink.alert(&alert)?;
        }
        Ok(())
    }
}

/// Which alerts were withheld, the latest of them: the stages of a request are one.
#[derive(Default)]
struct Withheld {
    known: HashSet<(String, String)>,
    order: VecDeque<(String, String)>,
}

/// Stages stand close together in a log.
const WITHHELD_MAX: usize = 65_536;

impl Withheld {
    fn is_new(&mut self, rule_id: &str, event_id: &str) -> bool {
        let key = (rule_id.to_owned(), event_id.to_owned());
        if !self.known.insert(key.clone()) {
            return false;
        }
        if self.order.len() >= WITHHELD_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(key);
        true
    }
}
