//! One partition of the observations topic, as its owner: folds what it takes in, says what has
//! to be sent and what may be committed.
//!
//! A machine without I/O but for the view. The order of every step is what the protocol rests on:
//! entries, `next` and outbox in one atomic write → send → acknowledgement → commit of the offset
//! with the log's id → a later write drops the outbox below the commit. The state may run ahead of
//! the commit, never the commit ahead of an alert that is not acknowledged.
//!
//! Markers: what needs one is not folded before it is acknowledged, and nothing behind a marker
//! that lacks a part of the merge is committed before the whole one is.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::clock::Times;
use crate::failure::Class;
use crate::faults::{Fault, Faults};
use crate::ingest::commit::Commits;
use crate::ingest::watermark::{Watermark, WatermarkError};
use crate::limits;
use crate::terms::fold::{self, Batch, Decision, OutboxRecord, PartitionState, Verdict};
use crate::terms::observation::Sighting;
use crate::terms::record::{HASH_VERSION, Marker, Record};
use crate::terms::store::{Store, StoreError};
use crate::terms::takeover::{Restored, has_been_away};

/// Records folded into one write.
const BATCH_RECORDS: usize = 1_000;
const SWEEP_ENTRIES: usize = 2_000;

/// What a step needs of the world.
pub struct Env<'e> {
    pub times: Times,
    /// Makes an alert. `None`: the observation turns out to be none of ours, which was counted.
    pub encode: &'e dyn Fn(&Raised<'_>) -> Result<Option<OutboxRecord>, String>,
    pub new_log_id: &'e dyn Fn() -> String,
}

/// An observation that raises an alert.
pub struct Raised<'r> {
    pub offset: i64,
    /// Milliseconds.
    pub append_ms: i64,
    pub key: &'r [u8],
    pub sighting: &'r Sighting,
    /// The observation's JSON.
    pub value: &'r [u8],
    pub decision: Decision,
}

/// What has to be sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Outgoing {
    /// Of the record at `offset`.
    Alert { offset: i64, record: OutboxRecord },
    /// Known by its number when it is acknowledged.
    Marker { serial: u64, marker: Marker },
}

#[derive(Debug, thiserror::Error)]
pub enum PartitionError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("an alert could not be encoded: {0}")]
    Encode(String),
    #[error("the watermark refused a step: {0}")]
    Watermark(#[from] WatermarkError),
}

impl PartitionError {
    /// Without its alert an observation must not be folded.
    pub fn class(&self) -> Class {
        match self {
            PartitionError::Store(error) => error.class(),
            PartitionError::Encode(_) => Class::Fatal,
            PartitionError::Watermark(error) => error.class(),
        }
    }
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepEnd {
    Kept,
    /// The owner was away for longer than the protocol allows: the partition has to be taken over
    /// anew.
    Away,
}

/// What the steps did, for the counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Observations.
    pub folded: u64,
    /// First sightings that stayed silent.
    pub learned: u64,
}

/// How far a partition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// One past the last record taken in.
    pub next: i64,
    /// Everything below it is done.
    pub done: i64,
    /// The last commit that is known to have succeeded.
    pub committed: i64,
    /// One past the last record folded, and the highest append time by then, milliseconds.
    pub folded: i64,
    pub folded_append_ms: i64,
}

struct Pending {
    offset: i64,
    append_ms: i64,
    /// `None`: it could not be decoded, which was counted and said.
    record: Option<Record>,
    bytes: usize,
}

pub struct Partition {
    number: i32,
    epoch: u64,
    state: PartitionState,
    mark: Watermark,
    commits: Commits,
    queue: VecDeque<Pending>,
    queued_bytes: usize,
    /// One past the last record taken in.
    expected: i64,
    /// The last marker appended by this owner and not folded yet.
    appended: Option<Marker>,
    /// A marker that was sent and is not acknowledged, with its number.
    awaiting: Option<(u64, Marker)>,
    markers_sent: u64,
    /// When a marker was last acknowledged, by this machine's clock: what paces appending it again.
    appended_ms: i64,
    /// Clock since boot at the last step, and at the takeover, milliseconds.
    last_step_boot_ms: i64,
    begun_boot_ms: i64,
    /// Where the log ended at the takeover.
    log_end: i64,
    sweep_cursor: Option<Vec<u8>>,
    /// Of the topic.
    partitions: u32,
    batch_records: usize,
    faults: Faults,
}

impl Partition {
    /// Goes on where the takeover ended; what was not acknowledged is sent again.
    pub fn open(
        restored: Restored,
        partitions: u32,
        faults: Faults,
        out: &mut Vec<Outgoing>,
    ) -> Result<Partition, PartitionError> {
        let Restored { request, state, acknowledged, resend, log_end, begun_boot_ms, .. } =
            restored;
        let mut partition = Partition {
            number: request.partition,
            epoch: request.epoch,
            mark: Watermark::with_faults(acknowledged, faults),
            commits: Commits::new(acknowledged),
            queue: VecDeque::new(),
            queued_bytes: 0,
            expected: state.next,
            appended: None,
            awaiting: None,
            markers_sent: 0,
            appended_ms: 0,
            // Since then others may have owned the partition.
            last_step_boot_ms: begun_boot_ms,
            begun_boot_ms,
            log_end,
            sweep_cursor: None,
            partitions,
            batch_records: BATCH_RECORDS,
            faults,
            state,
        };
        let mut by_offset: BTreeMap<i64, Vec<OutboxRecord>> = BTreeMap::new();
        for (offset, record) in resend {
            by_offset.entry(offset).or_default().push(record);
        }
        for (offset, records) in by_offset {
            partition.send(offset, records, out)?;
        }
        if partition.state.next > partition.mark.next() {
            partition.mark.pass(partition.state.next - 1)?;
        }
        Ok(partition)
    }

    /// Folds so many records into one write at most.
    pub fn fold_at_most(&mut self, records: usize) {
        self.batch_records = records;
    }

    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    pub fn state(&self) -> &PartitionState {
        &self.state
    }

    /// Bytes of the records taken in and not folded.
    pub fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// Records with alerts that are not acknowledged.
    pub fn under_way(&self) -> usize {
        self.mark.under_way()
    }

    /// Takes a record in, to be folded by a later step. One that was taken in before is let go.
    pub fn receive(
        &mut self,
        offset: i64,
        append_ms: i64,
        bytes: usize,
        record: impl FnOnce() -> Option<Record>,
    ) -> bool {
        if offset < self.expected {
            return false;
        }
        self.expected = offset + 1;
        self.queued_bytes += bytes;
        self.queue.push_back(Pending { offset, append_ms, record: record(), bytes });
        true
    }

    /// Folds what was taken in, as far as markers allow.
    pub fn step(
        &mut self,
        env: &Env<'_>,
        store: &dyn Store,
        out: &mut Vec<Outgoing>,
        counts: &mut Counts,
    ) -> Result<StepEnd, PartitionError> {
        // Between taking records in and folding them: what was read after so long a time may be
        // compacted.
        if self.is_away(env.times.boot_ms) {
            return Ok(StepEnd::Away);
        }
        self.last_step_boot_ms = env.times.boot_ms;
        while self.fold_batch(env, store, out, counts)? {}
        self.repeat_marker(env, out);
        Ok(StepEnd::Kept)
    }

    fn is_away(&self, now_boot_ms: i64) -> bool {
        if self.faults.has(Fault::SuspendedOwnerGoesOn) {
            return false;
        }
        let catching_up = self.state.next < self.log_end;
        has_been_away(self.last_step_boot_ms, now_boot_ms)
            || catching_up && has_been_away(self.begun_boot_ms, now_boot_ms)
    }

    /// Folds some of the queue, writes the state, and sends what was raised; whether there is more
    /// to fold.
    fn fold_batch(
        &mut self,
        env: &Env<'_>,
        store: &dyn Store,
        out: &mut Vec<Outgoing>,
        counts: &mut Counts,
    ) -> Result<bool, PartitionError> {
        if self.queue.is_empty() {
            // A log without an id is given one before anything stands in it.
            if self.state.marker.is_none() || self.state.marker_owed_from.is_some() {
                self.need_marker(&self.state.clone(), None, env, out);
            }
            return Ok(false);
        }
        let mut batch = Batch {
            state: self.state.clone(),
            prune_below: Some(self.commits.confirmed()),
            ..Batch::default()
        };
        let mut raised: Vec<(i64, Option<OutboxRecord>)> = Vec::new();
        let mut opened: HashMap<Vec<u8>, i64> = HashMap::new();
        while raised.len() < self.batch_records
            && let Some(pending) = self.queue.pop_front()
        {
            let Pending { offset, append_ms, record, bytes } = &pending;
            let observed = match record {
                Some(Record::Observation { sighting, .. }) => Some((sighting, *append_ms)),
                _ => None,
            };
            if self.need_marker(&batch.state, observed, env, out) {
                self.queue.push_front(pending);
                break;
            }
            self.queued_bytes -= bytes;
            let Some(record) = record else {
                fold::pass(&mut batch, *offset, *append_ms);
                raised.push((*offset, None));
                continue;
            };
            let number = self.number;
            let stored = |key: &[u8]| store.entry(number, key);
            let decision = fold::fold(&mut batch, *offset, *append_ms, record, stored)?;
            counts.folded += u64::from(matches!(record, Record::Observation { .. }));
            if let Record::Marker(marker) = record {
                // From here on the state knows it, and what comes behind it may lack it. Its
                // acknowledgement may come later than the record itself.
                self.appended.take_if(|appended| appended == marker);
                self.awaiting.take_if(|(_, awaited)| awaited == marker);
            }
            counts.learned += u64::from(decision.verdict == Verdict::Silent);
            let alert = match record {
                Record::Observation { key, sighting, value } if decision.raises() => {
                    let (offset, append_ms) = (*offset, *append_ms);
                    (env.encode)(&Raised { offset, append_ms, key, sighting, value, decision })
                        .map_err(PartitionError::Encode)?
                        .map(|alert| (key, alert))
                }
                _ => None,
            };
            let Some((key, alert)) = alert else {
                raised.push((*offset, None));
                continue;
            };
            if self.faults.has(Fault::FirstOffsetInsteadOfOutbox)
                && let Some(earlier) = opened.insert(key.clone(), *offset)
            {
                batch.outbox.retain(|(offset, _)| *offset != earlier);
            }
            if !self.faults.has(Fault::OutboxLeftOut) {
                batch.outbox.push((*offset, alert.clone()));
            }
            raised.push((*offset, Some(alert)));
        }
        if raised.is_empty() {
            return Ok(false);
        }
        store.apply(self.number, self.epoch, &batch)?;
        self.state = batch.state;
        for (offset, alert) in raised {
            self.send(offset, alert, out)?;
        }
        Ok(true)
    }

    fn send(
        &mut self,
        offset: i64,
        records: impl IntoIterator<Item = OutboxRecord>,
        out: &mut Vec<Outgoing>,
    ) -> Result<(), WatermarkError> {
        let before = out.len();
        out.extend(records.into_iter().map(|record| Outgoing::Alert { offset, record }));
        match u32::try_from(out.len() - before).unwrap_or(u32::MAX) {
            0 => self.mark.pass(offset),
            sent => {
                self.mark.admit(offset)?;
                self.mark.settle(offset, sent)
            }
        }
    }

    /// Sees to the markers that have to stand in the log, as of `state` and before the observation
    /// is folded; whether that has to wait for one.
    fn need_marker(
        &mut self,
        state: &PartitionState,
        observed: Option<(&Sighting, i64)>,
        env: &Env<'_>,
        out: &mut Vec<Outgoing>,
    ) -> bool {
        let mut wanted = None;
        let mut blocks = false;
        if state.marker.is_none() && self.appended.is_none() {
            wanted = Some(self.whole_marker(state, env));
            blocks = true;
        }
        if let Some((sighting, append_ms)) = observed {
            let version = &sighting.terms_version;
            let stands = !state.lacks_learning_start(sighting)
                || self.appended.as_ref().is_some_and(|marker| marker.starts(version));
            if !stands {
                let marker = wanted.get_or_insert_with(|| self.whole_marker(state, env));
                marker.learning_starts.entry(version.clone()).or_insert(append_ms);
                blocks = true;
            }
        }
        if wanted.is_none() && self.owed_from(state).is_some() {
            wanted = Some(self.whole_marker(state, env));
        }
        if let Some(marker) = wanted {
            self.append(marker, out);
        }
        blocks && !self.faults.has(Fault::MarkerUnacknowledged)
    }

    /// Where the markers begin that lack a part of the merge, unless the whole is appended.
    fn owed_from(&self, state: &PartitionState) -> Option<i64> {
        let whole = state.marker.as_ref()?;
        if self.appended.as_ref().is_some_and(|appended| appended.covers(whole))
            || self.faults.has(Fault::MarkerNotRepeated)
        {
            return None;
        }
        state.marker_owed_from
    }

    /// Everything known of the log's markers: those folded, and the last one appended here.
    fn whole_marker(&self, state: &PartitionState, env: &Env<'_>) -> Marker {
        // The id of the first marker folded stays.
        let mut marker = match (&state.marker, &self.appended) {
            (Some(folded), _) => folded.clone(),
            (None, Some(appended)) => appended.clone(),
            (None, None) => match &self.awaiting {
                Some((_, sent)) => sent.clone(),
                None => Marker {
                    log_id: (env.new_log_id)(),
                    partitions: self.partitions,
                    hash_version: HASH_VERSION,
                    learning_starts: BTreeMap::new(),
                },
            },
        };
        for (version, start) in self.appended.iter().flat_map(|other| &other.learning_starts) {
            let earliest = marker.learning_starts.entry(version.clone()).or_insert(*start);
            *earliest = (*earliest).min(*start);
        }
        marker
    }

    /// Sends a marker. One at a time: another waits until it is acknowledged.
    fn append(&mut self, marker: Marker, out: &mut Vec<Outgoing>) {
        if self.awaiting.is_some() {
            return;
        }
        self.markers_sent += 1;
        let serial = self.markers_sent;
        self.awaiting = Some((serial, marker.clone()));
        out.push(Outgoing::Marker { serial, marker });
    }

    /// Appends the marker again long before retention would delete it: without it neither the
    /// group's offset nor the view would count, and learning would begin anew.
    fn repeat_marker(&mut self, env: &Env<'_>, out: &mut Vec<Outgoing>) {
        let latest = self.appended_ms.max(self.state.marker_append_ms);
        if env.times.now_ms - latest > limits::MARKER_REPEAT_MS
            && !self.faults.has(Fault::MarkerNotRepeated)
        {
            let marker = self.whole_marker(&self.state, env);
            self.append(marker, out);
        }
    }

    pub fn marker_acknowledged(&mut self, serial: u64, times: Times) {
        if let Some((_, marker)) = self.awaiting.take_if(|(awaited, _)| *awaited == serial) {
            self.appended = Some(marker);
            self.appended_ms = times.now_ms;
        }
    }

    /// An alert of the record at `offset` is acknowledged.
    pub fn alert_acknowledged(&mut self, offset: i64) -> Result<(), WatermarkError> {
        self.mark.acknowledge(offset)
    }

    /// What may be committed, with the log's id, and what is known of the commits. A log without
    /// an id has nothing to commit, and what stands behind a marker that lacks something waits for
    /// the whole one.
    pub fn committable(&mut self) -> Option<(i64, &str, &mut Commits)> {
        let offset = self.done();
        Some((offset, self.state.log_id()?, &mut self.commits))
    }

    fn done(&self) -> i64 {
        let offset = if self.faults.has(Fault::CommitBeforeAcknowledgement) {
            self.mark.next()
        } else {
            self.mark.committable()
        };
        self.owed_from(&self.state).map_or(offset, |owed| offset.min(owed))
    }

    /// How far it is, for whoever watches.
    pub fn progress(&self) -> Progress {
        Progress {
            next: self.expected,
            done: self.done(),
            committed: self.commits.confirmed(),
            folded: self.state.next,
            folded_append_ms: self.state.last_append_ms,
        }
    }

    /// Forgets some of the expired terms.
    pub fn sweep(&mut self, store: &dyn Store, times: Times) -> Result<(), StoreError> {
        let now_ms = if self.faults.has(Fault::ViewDroppedByWallClock) {
            times.now_ms
        } else {
            self.state.last_append_ms
        };
        let cursor = self.sweep_cursor.take();
        self.sweep_cursor = store.sweep(self.number, self.epoch, now_ms, cursor, SWEEP_ENTRIES)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
