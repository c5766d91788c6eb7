//! What is right: a plain fold of each log in append order, from its beginning, over all that was
//! ever appended, written from the design's text and sharing nothing with `terms::fold`; and what
//! has reached the output topics.

use std::collections::BTreeMap;
use std::sync::Arc;

use kubetell::limits::REVISION_MAX_MS;
use kubetell::terms::record::Marker;

use crate::log::Content;
use crate::setup::{Observed, Setup};

/// An alert as it leaves: what its id is made of, and whether it is a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alert {
    pub term: usize,
    pub first_act: u32,
    pub revision: bool,
}

#[derive(Debug, Clone, Copy)]
struct Remembered {
    first_ms: i64,
    last_ms: i64,
    first_act: u32,
    raised: bool,
    told: bool,
}

/// What the fold makes of the record at one offset.
#[derive(Debug, Clone, Copy, Default)]
pub struct Truth {
    pub raised: Option<Alert>,
    /// The rule version that a marker has to hold before this record is committed.
    pub needs: Option<usize>,
}

/// What the fold of one more record did, for the coverage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folded {
    Nothing,
    New,
    /// New again, after its window.
    Reopened,
    Revision,
    Learned,
}

/// One partition of one making of the topic.
#[derive(Debug)]
pub struct PartitionTruth {
    terms: Vec<Option<Remembered>>,
    markers: Vec<(i64, Arc<Marker>)>,
    pub by_offset: Vec<Truth>,
    /// Every offset below was found acknowledged when it was committed.
    pub checked: i64,
    /// The half was away for longer than the protocol allows: what the fold of the whole log says
    /// does not bind any more.
    pub void: bool,
}

impl PartitionTruth {
    pub fn new(setup: &Setup) -> PartitionTruth {
        PartitionTruth {
            terms: vec![None; setup.terms.len()],
            markers: Vec::new(),
            by_offset: Vec::new(),
            checked: 0,
            void: false,
        }
    }

    pub fn append(
        &mut self,
        setup: &Setup,
        offset: i64,
        append_ms: i64,
        content: &Content,
    ) -> Folded {
        let mut truth = Truth::default();
        let folded = match content {
            Content::Foreign => Folded::Nothing,
            Content::Marker(marker) => {
                self.markers.push((offset, Arc::clone(marker)));
                Folded::Nothing
            }
            Content::Observed(observed) => {
                truth.needs = Some(setup.terms[observed.term].version);
                self.observe(setup, append_ms, *observed, &mut truth)
            }
        };
        assert_eq!(i64::try_from(self.by_offset.len()).unwrap(), offset);
        self.by_offset.push(truth);
        folded
    }

    fn observe(
        &mut self,
        setup: &Setup,
        append_ms: i64,
        observed: Observed,
        truth: &mut Truth,
    ) -> Folded {
        let Observed { term, act, outcome, history } = observed;
        let learning = self.is_learning(setup, append_ms, term);
        let again = self.terms[term].is_some();
        if let Some(known) = &mut self.terms[term]
            && append_ms - known.last_ms <= setup.window_ms(term)
        {
            known.last_ms = append_ms;
            let revises = known.raised
                && !known.told
                && outcome
                && !history
                && known.first_act == act
                && append_ms - known.first_ms <= REVISION_MAX_MS;
            if !revises {
                return Folded::Nothing;
            }
            known.told = true;
            truth.raised = Some(Alert { term, first_act: act, revision: true });
            return Folded::Revision;
        }
        let raised = !history && !learning;
        self.terms[term] = Some(Remembered {
            first_ms: append_ms,
            last_ms: append_ms,
            first_act: act,
            raised,
            told: outcome,
        });
        if !raised {
            return Folded::Learned;
        }
        truth.raised = Some(Alert { term, first_act: act, revision: false });
        if again { Folded::Reopened } else { Folded::New }
    }

    /// The earliest start that any marker tells: those folded so far stand at lower offsets.
    fn is_learning(&self, setup: &Setup, append_ms: i64, term: usize) -> bool {
        let version = &setup.versions[setup.terms[term].version];
        if version.learning_ms == 0 {
            return false;
        }
        let start = self
            .markers
            .iter()
            .filter_map(|(_, marker)| marker.learning_starts.get(&version.name))
            .min();
        start.is_none_or(|start| append_ms < start + version.learning_ms)
    }

    pub fn log_id(&self) -> Option<&str> {
        self.markers.first().map(|(_, marker)| marker.log_id.as_str())
    }

    pub fn markers(&self) -> usize {
        self.markers.len()
    }

    /// How many markers were appended at these offsets.
    pub fn markers_between(&self, from: i64, until: i64) -> u64 {
        self.markers.iter().filter(|(at, _)| (from..until).contains(at)).count() as u64
    }

    /// Whether some marker in the log holds the version, wherever it stands.
    fn holds_version(&self, name: &str) -> bool {
        self.markers.iter().any(|(_, marker)| marker.starts(name))
    }

    /// The last marker below `offset` holds all that those before it hold, or one that does
    /// stands behind it.
    fn is_whole_below(&self, offset: i64) -> bool {
        let below = self.markers.partition_point(|(at, _)| *at < offset);
        let Some(last) = below.checked_sub(1) else { return true };
        let mut starts: BTreeMap<&str, i64> = BTreeMap::new();
        for (_, marker) in &self.markers[..below] {
            for (name, start) in &marker.learning_starts {
                let earliest = starts.entry(name).or_insert(*start);
                *earliest = (*earliest).min(*start);
            }
        }
        self.markers[last..].iter().any(|(_, marker)| {
            starts.iter().all(|(name, start)| {
                marker.learning_starts.get(*name).is_some_and(|other| other <= start)
            })
        })
    }

    /// Whether the alert may be sent of the record at `offset`.
    pub fn is_raised(&self, offset: i64, alert: Alert) -> bool {
        let truth = usize::try_from(offset).ok().and_then(|at| self.by_offset.get(at));
        self.void || truth.is_some_and(|truth| truth.raised == Some(alert))
    }

    /// What a commit of `offset` beside `metadata` passes that it must not pass.
    pub fn check_commit(
        &mut self,
        setup: &Setup,
        outputs: &Outputs,
        offset: i64,
        metadata: &str,
    ) -> Result<(), String> {
        if self.void {
            self.checked = self.checked.max(offset);
            return Ok(());
        }
        if !self.markers.iter().any(|(_, marker)| marker.log_id == metadata) {
            return Err(format!("an offset is committed for `{metadata}`, which is another log"));
        }
        if !self.is_whole_below(offset) {
            return Err(format!(
                "offset {offset} is committed, and the last marker below lacks a part of the merge"
            ));
        }
        while self.checked < offset {
            let truth = self.by_offset[usize::try_from(self.checked).unwrap()];
            if let Some(alert) = truth.raised
                && !outputs.has(alert)
            {
                return Err(format!(
                    "offset {offset} is committed, and {alert:?} of offset {} is not acknowledged",
                    self.checked
                ));
            }
            if let Some(version) = truth.needs
                && !self.holds_version(&setup.versions[version].name)
            {
                return Err(format!(
                    "offset {offset} is committed, and no marker holds the rule version of offset {}",
                    self.checked
                ));
            }
            self.checked += 1;
        }
        Ok(())
    }

    /// Raised, and not on the alerts topic.
    pub fn lost(&self, outputs: &Outputs) -> Option<(usize, Alert)> {
        if self.void {
            return None;
        }
        let raised = self.by_offset.iter().enumerate();
        raised
            .filter_map(|(offset, truth)| truth.raised.map(|alert| (offset, alert)))
            .find(|(_, alert)| !outputs.has(*alert))
    }
}

/// What has been appended to the output topics, ever.
#[derive(Debug, Default)]
pub struct Outputs {
    alerts: BTreeMap<(usize, u32), [bool; 2]>,
    /// By act: the alert of a stateless rule, without and with the outcome.
    execs: BTreeMap<u32, [bool; 2]>,
    /// Observations by act and term, without and with the outcome.
    observations: BTreeMap<(u32, usize), [bool; 2]>,
    dead_letters: BTreeMap<(usize, i64), bool>,
}

impl Outputs {
    pub fn alert(&mut self, alert: Alert) {
        self.alerts.entry((alert.term, alert.first_act)).or_default()
            [usize::from(alert.revision)] = true;
    }

    pub fn has(&self, alert: Alert) -> bool {
        self.alerts
            .get(&(alert.term, alert.first_act))
            .is_some_and(|has| has[usize::from(alert.revision)])
    }

    pub fn exec(&mut self, act: u32, outcome: bool) {
        self.execs.entry(act).or_default()[usize::from(outcome)] = true;
    }

    /// Whether the alert of the act has told as much as a stage that knows the outcome or not.
    pub fn has_exec(&self, act: u32, outcome: bool) -> bool {
        self.execs.get(&act).is_some_and(|has| has[1] || has[0] && !outcome)
    }

    pub fn exec_acts(&self) -> impl Iterator<Item = u32> {
        self.execs.keys().copied()
    }

    pub fn observation(&mut self, observed: Observed) {
        self.observations.entry((observed.act, observed.term)).or_default()
            [usize::from(observed.outcome)] = true;
    }

    pub fn has_observation(&self, act: u32, term: usize, outcome: bool) -> bool {
        self.observations.get(&(act, term)).is_some_and(|has| has[usize::from(outcome)])
    }

    pub fn dead_letter(&mut self, partition: usize, offset: i64) {
        self.dead_letters.insert((partition, offset), true);
    }

    pub fn has_dead_letter(&self, partition: usize, offset: i64) -> bool {
        self.dead_letters.contains_key(&(partition, offset))
    }
}
