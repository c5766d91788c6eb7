//! The first-seen half of one instance: which partitions it has, under which assignment epoch,
//! and what they want sent, read and committed.
//!
//! A machine without I/O but for the view; `owner` drives it with Kafka, the simulation with logs
//! in memory. Owns the epochs: what comes back under a past one is dropped.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::Times;
use crate::failure::Class;
use crate::faults::{Fault, Faults};
use crate::ingest::commit::Commits;
use crate::ingest::watermark::WatermarkError;
use crate::terms::fold::PartitionState;
use crate::terms::partition::{
    Counts, Env, Outgoing, Partition, PartitionError, Progress, StepEnd,
};
use crate::terms::record::{HASH_VERSION, Marker, Record};
use crate::terms::store::{Store, StoreError};
use crate::terms::takeover::{Request, Restored};

/// Something to send, of a partition under an epoch; both come back with the acknowledgement.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    pub partition: i32,
    pub epoch: u64,
    pub outgoing: Outgoing,
}

/// What may be committed of a partition.
pub struct PartitionCommit<'a> {
    pub partition: i32,
    pub offset: i64,
    pub log_id: &'a str,
    pub commits: &'a mut Commits,
}

/// The partition count and the hash are part of the state: with others, users would be looked for
/// where they are not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopologyError {
    #[error(
        "the observations topic has {has} partitions, but its log began with {began}: users have moved to other partitions and lost their history"
    )]
    Partitions { has: u32, began: u32 },
    #[error(
        "the observations log was sharded by version {has} of the hash, and this program has version {HASH_VERSION}"
    )]
    Hash { has: u32 },
}

impl TopologyError {
    /// Whether users are elsewhere than where this program looks for them, in a topic of so many
    /// partitions.
    pub fn of(marker: &Marker, partitions: u32) -> Option<TopologyError> {
        if marker.partitions != partitions {
            return Some(TopologyError::Partitions { has: partitions, began: marker.partitions });
        }
        (marker.hash_version != HASH_VERSION)
            .then_some(TopologyError::Hash { has: marker.hash_version })
    }

    /// What to do about it.
    pub fn hint(&self, topic: &str) -> String {
        match self {
            TopologyError::Partitions { .. } => format!(
                "to keep the history: stop every instance, `kubetell state export --output terms.ndjson`, delete the topic `{topic}`, `kubetell topics create`, `kubetell state import terms.ndjson`, start again"
            ),
            TopologyError::Hash { .. } => format!(
                "use the version that wrote it, or stop every instance, delete the topic `{topic}` and let it be made anew; its terms are then learned anew"
            ),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum FirstSeenError {
    #[error(transparent)]
    Partition(#[from] PartitionError),
    #[error(transparent)]
    Topology(#[from] TopologyError),
}

impl FirstSeenError {
    /// With another topology every further step would lose history.
    pub fn class(&self) -> Class {
        match self {
            FirstSeenError::Partition(error) => error.class(),
            FirstSeenError::Topology(_) => Class::Fatal,
        }
    }
}

impl From<StoreError> for FirstSeenError {
    fn from(error: StoreError) -> Self {
        FirstSeenError::Partition(error.into())
    }
}

impl From<WatermarkError> for FirstSeenError {
    fn from(error: WatermarkError) -> Self {
        FirstSeenError::Partition(error.into())
    }
}

enum Owned {
    /// Being taken over under this epoch.
    Restoring(u64),
    Active(Box<Partition>),
}

pub struct FirstSeen {
    store: Arc<dyn Store>,
    /// Of the topic.
    partitions: u32,
    owned: BTreeMap<i32, Owned>,
    epoch: u64,
    counts: Counts,
    /// Records that one write holds at most, if not as many as usual.
    batch_records: Option<usize>,
    faults: Faults,
}

impl FirstSeen {
    pub fn new(store: Arc<dyn Store>, partitions: u32, faults: Faults) -> Self {
        FirstSeen {
            store,
            partitions,
            owned: BTreeMap::new(),
            epoch: 0,
            counts: Counts::default(),
            batch_records: None,
            faults,
        }
    }

    /// Folds so many records into one write at most: what a simulation of short logs needs.
    #[must_use]
    pub fn folding_at_most(mut self, records: usize) -> Self {
        self.batch_records = Some(records);
        self
    }

    fn next_epoch(&mut self, partition: i32) -> u64 {
        self.epoch += 1;
        // Whatever still writes under an older one is refused from here on.
        self.store.begin(partition, self.epoch);
        self.epoch
    }

    /// The partition is this instance's, and has to be taken over.
    pub fn assigned(&mut self, partition: i32) -> Request {
        let epoch = self.next_epoch(partition);
        self.owned.insert(partition, Owned::Restoring(epoch));
        Request { partition, epoch }
    }

    /// The partition is no longer this instance's. The epoch from which on nothing of it counts.
    pub fn released(&mut self, partition: i32) -> u64 {
        self.owned.remove(&partition);
        self.next_epoch(partition)
    }

    /// Whether a takeover is still wanted.
    pub fn is_current(&self, request: Request) -> bool {
        matches!(self.owned.get(&request.partition), Some(Owned::Restoring(epoch)) if *epoch == request.epoch)
    }

    pub fn is_active(&self, partition: i32) -> bool {
        matches!(self.owned.get(&partition), Some(Owned::Active(_)))
    }

    pub fn is_restoring(&self) -> bool {
        self.owned.values().any(|owned| matches!(owned, Owned::Restoring(_)))
    }

    /// Partitions that are folded.
    pub fn active(&self) -> impl Iterator<Item = i32> {
        self.owned
            .iter()
            .filter(|(_, owned)| matches!(owned, Owned::Active(_)))
            .map(|(partition, _)| *partition)
    }

    pub fn state(&self, partition: i32) -> Option<&PartitionState> {
        match self.owned.get(&partition) {
            Some(Owned::Active(active)) => Some(active.state()),
            _ => None,
        }
    }

    fn of(&mut self, partition: i32) -> Option<&mut Partition> {
        match self.owned.get_mut(&partition) {
            Some(Owned::Active(active)) => Some(active),
            _ => None,
        }
    }

    fn of_epoch(&mut self, partition: i32, epoch: u64) -> Option<&mut Partition> {
        let any = self.faults.has(Fault::PastEpochAccepted);
        self.of(partition).filter(|active| any || active.epoch() == epoch)
    }

    /// Bytes of the records taken in and not folded.
    pub fn queued_bytes(&self) -> usize {
        self.owned
            .values()
            .map(|owned| match owned {
                Owned::Active(active) => active.queued_bytes(),
                Owned::Restoring(_) => 0,
            })
            .sum()
    }

    /// Records of a partition with alerts that are not acknowledged.
    pub fn under_way(&self, partition: i32) -> usize {
        match self.owned.get(&partition) {
            Some(Owned::Active(active)) => active.under_way(),
            _ => 0,
        }
    }

    /// What was counted since the last call.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    /// A takeover is done: from which offset on the partition is to be read, `None` when it is no
    /// longer wanted.
    pub fn restored(
        &mut self,
        restored: Restored,
        out: &mut Vec<Sent>,
    ) -> Result<Option<i64>, FirstSeenError> {
        let Request { partition, epoch } = restored.request;
        if !self.is_current(restored.request) {
            return Ok(None);
        }
        self.check_topology(&restored.state)?;
        let next = restored.state.next;
        let mut outgoing = Vec::new();
        let mut active = Partition::open(restored, self.partitions, self.faults, &mut outgoing)?;
        if let Some(records) = self.batch_records {
            active.fold_at_most(records);
        }
        self.owned.insert(partition, Owned::Active(Box::new(active)));
        out.extend(outgoing.into_iter().map(|outgoing| Sent { partition, epoch, outgoing }));
        Ok(Some(next))
    }

    fn check_topology(&self, state: &PartitionState) -> Result<(), TopologyError> {
        let marker = state.marker.as_ref();
        marker.and_then(|marker| TopologyError::of(marker, self.partitions)).map_or(Ok(()), Err)
    }

    /// Takes a record in; of a partition that is not active it is let go, since it will be read
    /// again. Whether it was taken. `bytes` is what it takes of memory, roughly.
    pub fn receive(
        &mut self,
        partition: i32,
        offset: i64,
        append_ms: i64,
        bytes: usize,
        record: impl FnOnce() -> Option<Record>,
    ) -> bool {
        match self.of(partition) {
            Some(active) => active.receive(offset, append_ms, bytes, record),
            None => false,
        }
    }

    /// A step of every partition, also of those that took nothing in: it is how a partition
    /// notices that this instance was suspended. Returns what has to be taken over anew; it must
    /// not be read before it is.
    ///
    /// # Errors
    /// The view can't be written, or a bug: no further step must be taken.
    pub fn step(
        &mut self,
        env: &Env<'_>,
        out: &mut Vec<Sent>,
    ) -> Result<Vec<Request>, FirstSeenError> {
        let mut anew = Vec::new();
        let numbers: Vec<i32> = self.active().collect();
        for partition in numbers {
            anew.extend(self.step_one(partition, env, out)?);
        }
        Ok(anew)
    }

    /// A step of one partition.
    pub fn step_one(
        &mut self,
        partition: i32,
        env: &Env<'_>,
        out: &mut Vec<Sent>,
    ) -> Result<Option<Request>, FirstSeenError> {
        let Some(Owned::Active(active)) = self.owned.get_mut(&partition) else { return Ok(None) };
        let epoch = active.epoch();
        let mut outgoing = Vec::new();
        let end = active.step(env, &*self.store, &mut outgoing, &mut self.counts);
        out.extend(outgoing.into_iter().map(|outgoing| Sent { partition, epoch, outgoing }));
        match end {
            Ok(StepEnd::Kept) => {
                if let Some(state) = self.state(partition) {
                    self.check_topology(state)?;
                }
                Ok(None)
            }
            Ok(StepEnd::Away) => {
                tracing::warn!(
                    partition,
                    "this instance was away for longer than the protocol allows; taking the partition over anew"
                );
                Ok(Some(self.assigned(partition)))
            }
            Err(PartitionError::Store(StoreError::Corrupt(what))) => {
                Ok(Some(self.fold_anew(partition, epoch, what)?))
            }
            // Somebody else holds it: there is nothing to do here any more.
            Err(PartitionError::Store(StoreError::PastEpoch)) => {
                self.owned.remove(&partition);
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Everything that is folded has to be taken over anew, as after a gap that was read over.
    pub fn take_over_all(&mut self) -> Vec<Request> {
        let active: Vec<i32> = self.active().collect();
        active.into_iter().map(|partition| self.assigned(partition)).collect()
    }

    /// An alert of the record at `offset` is acknowledged.
    pub fn alert_acknowledged(
        &mut self,
        partition: i32,
        epoch: u64,
        offset: i64,
    ) -> Result<(), FirstSeenError> {
        let lenient = self.faults.has(Fault::PastEpochAccepted);
        let Some(active) = self.of_epoch(partition, epoch) else { return Ok(()) };
        match active.alert_acknowledged(offset) {
            Err(_) if lenient => Ok(()),
            result => Ok(result?),
        }
    }

    pub fn marker_acknowledged(&mut self, partition: i32, epoch: u64, serial: u64, times: Times) {
        if let Some(active) = self.of_epoch(partition, epoch) {
            active.marker_acknowledged(serial, times);
        }
    }

    /// What may be committed now, of every partition that has a log id.
    pub fn committable(&mut self) -> impl Iterator<Item = PartitionCommit<'_>> {
        self.owned.iter_mut().filter_map(|(partition, owned)| {
            let Owned::Active(active) = owned else { return None };
            let (offset, log_id, commits) = active.committable()?;
            Some(PartitionCommit { partition: *partition, offset, log_id, commits })
        })
    }

    /// How far each owned partition is; `None` of one that is being taken over.
    pub fn progress(&self) -> impl Iterator<Item = (i32, Option<Progress>)> {
        self.owned.iter().map(|(partition, owned)| match owned {
            Owned::Active(active) => (*partition, Some(active.progress())),
            Owned::Restoring(_) => (*partition, None),
        })
    }

    /// Forgets some of the expired terms of every partition. Returns what has to be taken over anew.
    pub fn sweep(&mut self, times: Times) -> Result<Vec<Request>, FirstSeenError> {
        let mut corrupt = Vec::new();
        for (partition, owned) in &mut self.owned {
            let Owned::Active(active) = owned else { continue };
            match active.sweep(&*self.store, times) {
                Ok(()) | Err(StoreError::PastEpoch) => {}
                Err(StoreError::Corrupt(what)) => corrupt.push((*partition, active.epoch(), what)),
                Err(error) => return Err(error.into()),
            }
        }
        corrupt
            .into_iter()
            .map(|(partition, epoch, what)| self.fold_anew(partition, epoch, what))
            .collect()
    }

    fn fold_anew(
        &mut self,
        partition: i32,
        epoch: u64,
        what: &'static str,
    ) -> Result<Request, FirstSeenError> {
        tracing::warn!(partition, what, "the view can't be read; folding it anew");
        self.store.clear(partition, epoch)?;
        Ok(self.assigned(partition))
    }
}
