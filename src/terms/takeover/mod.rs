//! Taking over a partition: brings its view up to date with the log before it is owned.
//!
//! A machine without I/O: it says what it wants read, is fed the records, and ends with what the
//! owner begins with. `plan` is the decision, made of the group's offset, the view and the log's
//! bounds. Sends nothing: what has to be sent again is handed to the owner. Every write to the
//! view carries the assignment's epoch, so a takeover that was cancelled can't write any more.

mod plan;

use crate::clock::Times;
use crate::faults::{Fault, Faults};
use crate::terms::fold::{self, Batch, OutboxRecord, PartitionState};
use crate::terms::record::Record;
use crate::terms::store::{Store, StoreError};

pub use plan::{Committed, Log, Plan, Silent, View, has_been_away, plan};

/// Records folded into one write, and bytes of their keys and ids: a write costs the view's pages that it
/// touches, which in a batch of terms are soon all of them.
const BATCH_RECORDS: usize = 16_384;
const BATCH_TEXT_BYTES: usize = 8 * 1024 * 1024;

/// A partition that this instance was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    pub partition: i32,
    pub epoch: u64,
}

/// A partition whose view has caught up.
#[derive(Debug)]
pub struct Restored {
    pub request: Request,
    pub state: PartitionState,
    /// Everything below is acknowledged.
    pub acknowledged: i64,
    /// What was folded but perhaps not acknowledged, to be sent again as it was.
    pub resend: Vec<(i64, OutboxRecord)>,
    /// Where the log ended when the takeover began.
    pub log_end: i64,
    /// Clock since boot when the takeover began, milliseconds.
    pub begun_boot_ms: i64,
    /// Records that were deleted from the log before they were folded.
    pub gap: u64,
    /// Records folded on the way.
    pub folded: u64,
}

/// What a takeover needs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// The records of `from..until`, in order. Never empty.
    Read { from: i64, until: i64 },
    /// It is done.
    Nothing,
}

/// A record as it is read.
pub struct Seen<'r> {
    pub offset: i64,
    pub append_ms: i64,
    pub is_marker: bool,
    /// `None`: it is none of ours.
    pub decode: &'r mut dyn FnMut() -> Option<Record>,
}

/// Whether a takeover takes more records of the range that it wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    More,
    /// What it wants has changed.
    Enough,
}

#[derive(Debug)]
enum Stage {
    /// Looks for a marker that names the log of which the view was made. Any one will do, since
    /// ids are random; the first may be compacted away.
    VerifyView {
        view: PartitionState,
        from: i64,
    },
    /// No view counts. Folds up to the group's offset, and looks for its log's id on the way.
    FoldAnew {
        until: i64,
        found: bool,
    },
    /// No marker up to the group's offset had its id; one behind it may.
    FindMarker {
        from: i64,
    },
    Fold {
        plan: Plan,
        until: i64,
    },
    Done {
        plan: Plan,
    },
}

pub struct Takeover {
    request: Request,
    committed: Option<Committed>,
    start: i64,
    end: i64,
    begun: Times,
    stage: Stage,
    /// What was folded and not written yet, with the state so far.
    batch: Batch,
    unwritten: usize,
    unwritten_text_bytes: usize,
    batch_records: usize,
    folded: u64,
    faults: Faults,
}

impl Takeover {
    /// `start` and `end` are the log's bounds, `committed` is the group's offset.
    ///
    /// # Errors
    /// Those of the store, here and in the other calls. After one that is not
    /// [`StoreError::PastEpoch`] the partition's view has to be cleared and the takeover begun
    /// again.
    pub fn begin(
        request: Request,
        committed: Option<Committed>,
        (start, end): (i64, i64),
        store: &dyn Store,
        times: Times,
        faults: Faults,
    ) -> Result<Takeover, StoreError> {
        let partition = request.partition;
        // A view that can't be read is no view: the log has everything.
        let view = match store.load(partition) {
            Err(StoreError::Corrupt(what)) => {
                tracing::warn!(partition, what, "the view can't be read; folding it anew");
                None
            }
            other => other?,
        };
        let mut takeover = Takeover {
            request,
            committed,
            start,
            end,
            begun: times,
            stage: Stage::FindMarker { from: end },
            batch: Batch::default(),
            unwritten: 0,
            unwritten_text_bytes: 0,
            batch_records: BATCH_RECORDS,
            folded: 0,
            faults,
        };
        if let (true, Some(committed)) =
            (faults.has(Fault::StateLostAtRestart), &takeover.committed)
        {
            let offset = committed.offset.clamp(start, end);
            store.clear(partition, request.epoch)?;
            takeover.batch.state.next = offset;
            takeover.stage = Stage::Done {
                plan: Plan {
                    keep_view: false,
                    from: offset,
                    silent: Silent::Below(offset),
                    committed: Some(offset),
                    gap: 0,
                },
            };
            return Ok(takeover);
        }
        // A view of another log than the offset is of: one of the two is past. The offset decides.
        let of_one_log = |view: &PartitionState| match (view.log_id(), &takeover.committed) {
            (Some(id), Some(committed)) => committed.log_id == id,
            (id, None) => id.is_some(),
            (None, _) => false,
        };
        match view.filter(|view| of_one_log(view) && view.next <= end) {
            Some(view) if faults.has(Fault::LogIdOnlyInView) => takeover.go_on(view, store)?,
            Some(view) => {
                let from = view.marker_offset.max(start);
                takeover.stage = Stage::VerifyView { view, from };
            }
            None => takeover.fold_anew(store)?,
        }
        takeover.skip_empty_reads(store)?;
        Ok(takeover)
    }

    /// Writes after so many records: what a simulation of short logs needs.
    #[must_use]
    pub fn writing_after(mut self, records: usize) -> Takeover {
        self.batch_records = records;
        self
    }

    pub fn request(&self) -> Request {
        self.request
    }

    fn range(&self) -> Option<(i64, i64)> {
        match &self.stage {
            Stage::VerifyView { from, .. } | Stage::FindMarker { from } => Some((*from, self.end)),
            Stage::FoldAnew { until, .. } | Stage::Fold { until, .. } => {
                Some((self.batch.state.next, *until))
            }
            Stage::Done { .. } => None,
        }
    }

    pub fn wants(&self) -> Wants {
        self.range().map_or(Wants::Nothing, |(from, until)| Wants::Read { from, until })
    }

    /// Takes the next record of the range that is wanted.
    pub fn record(&mut self, seen: Seen<'_>, store: &dyn Store) -> Result<Flow, StoreError> {
        match &mut self.stage {
            Stage::VerifyView { view, .. } => {
                let found = seen.is_marker
                    && matches!(
                        (seen.decode)(),
                        Some(Record::Marker(marker)) if Some(&*marker.log_id) == view.log_id()
                    );
                if !found {
                    return Ok(Flow::More);
                }
                let view = std::mem::take(view);
                self.go_on(view, store)?;
            }
            Stage::FindMarker { .. } => {
                let found = seen.is_marker
                    && (seen.decode)().is_some_and(|record| self.names_our_log(&record));
                if !found {
                    return Ok(Flow::More);
                }
                self.identified(true, store)?;
            }
            Stage::FoldAnew { .. } => {
                let named = self.fold(seen, store)?;
                if let Stage::FoldAnew { found, .. } = &mut self.stage {
                    *found |= named;
                }
                return Ok(Flow::More);
            }
            Stage::Fold { plan, .. } => {
                if let Silent::AppendedBefore(cutoff) = plan.silent
                    && seen.append_ms >= cutoff
                {
                    self.folded_all(store)?;
                } else {
                    self.fold(seen, store)?;
                    return Ok(Flow::More);
                }
            }
            Stage::Done { .. } => return Ok(Flow::Enough),
        }
        self.skip_empty_reads(store)?;
        Ok(Flow::Enough)
    }

    /// The reader's position has reached the end of the range: what is missing of it was
    /// compacted away.
    pub fn read_ended(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        self.end_stage(store)?;
        self.skip_empty_reads(store)
    }

    fn skip_empty_reads(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        while self.range().is_some_and(|(from, until)| from >= until) {
            self.end_stage(store)?;
        }
        Ok(())
    }

    fn end_stage(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        match &self.stage {
            Stage::VerifyView { .. } => self.fold_anew(store),
            Stage::FindMarker { .. } => self.identified(false, store),
            Stage::FoldAnew { until, found } => {
                let (until, found) = (*until, *found);
                if self.waits_for_last_record(until) {
                    return Ok(());
                }
                self.batch.state.next = self.batch.state.next.max(until);
                if found {
                    return self.identified(true, store);
                }
                self.stage = Stage::FindMarker { from: until };
                Ok(())
            }
            Stage::Fold { plan, until } => {
                let until = *until;
                if matches!(plan.silent, Silent::Below(_)) {
                    if self.waits_for_last_record(until) {
                        return Ok(());
                    }
                    // Compaction leaves gaps: reading ended on the position, not on a record.
                    self.batch.state.next = self.batch.state.next.max(until);
                }
                self.folded_all(store)
            }
            Stage::Done { .. } => Ok(()),
        }
    }

    fn waits_for_last_record(&self, until: i64) -> bool {
        self.faults.has(Fault::RestoreEndsOnLastRecord) && self.batch.state.next < until
    }

    /// The view is of this log.
    fn go_on(&mut self, view: PartitionState, store: &dyn Store) -> Result<(), StoreError> {
        let id = view.log_id().map(str::to_owned);
        let known = View { next: view.next, log_id: id.clone() };
        let plan = self.plan(Some(&known), id);
        self.follow(plan, view, store)
    }

    /// No view counts: begins with what the group's offset asks for, should it be of this log.
    fn fold_anew(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let Some(committed) = self.committed.as_ref().filter(|one| one.offset <= self.end) else {
            return self.identified(false, store);
        };
        let until = committed.offset.max(self.start);
        store.clear(self.request.partition, self.request.epoch)?;
        self.batch.state = PartitionState { next: self.start, ..PartitionState::default() };
        self.stage = Stage::FoldAnew { until, found: false };
        Ok(())
    }

    /// Whether the group's offset was committed of the log that this marker names. Any marker of
    /// the log will do, since ids are random: the first one may be gone.
    fn names_our_log(&self, record: &Record) -> bool {
        match (record, &self.committed) {
            (Record::Marker(marker), Some(committed)) => marker.log_id == committed.log_id,
            _ => false,
        }
    }

    /// Without a view: whether the group's offset is of this log. What was folded up to it stays
    /// if it is.
    fn identified(&mut self, ours: bool, store: &dyn Store) -> Result<(), StoreError> {
        let id = self.committed.as_ref().filter(|_| ours).map(|one| one.log_id.clone());
        let plan = self.plan(None, id.clone());
        if matches!(plan.silent, Silent::Below(_)) {
            if let (Some(marker), Some(id)) = (&mut self.batch.state.marker, id) {
                // Should the log hold several ids, the one that is committed goes on.
                marker.log_id = id;
            }
            self.stage = Stage::Fold { until: self.batch.state.next, plan };
            return Ok(());
        }
        self.follow(plan, PartitionState::default(), store)
    }

    fn plan(&self, view: Option<&View>, id: Option<String>) -> Plan {
        let log = Log { start: self.start, end: self.end, id };
        let plan = plan(self.committed.as_ref(), view, &log, self.begun.now_ms);
        tracing::debug!(partition = self.request.partition, ?plan, ?log, "taking over");
        plan
    }

    fn follow(
        &mut self,
        plan: Plan,
        view: PartitionState,
        store: &dyn Store,
    ) -> Result<(), StoreError> {
        self.batch = Batch::default();
        self.unwritten = 0;
        self.unwritten_text_bytes = 0;
        if plan.keep_view {
            self.batch.state = view;
            // The log's start may have moved past what the view has reached.
            self.batch.state.next = self.batch.state.next.max(plan.from);
        } else {
            store.clear(self.request.partition, self.request.epoch)?;
            self.batch.state.next = plan.from;
        }
        let until = match plan.silent {
            Silent::Below(offset) => offset.min(self.end),
            Silent::AppendedBefore(_) => self.end,
        };
        self.stage = Stage::Fold { plan, until };
        Ok(())
    }

    /// Folds a record; whether it is a marker that names the log of the group's offset.
    fn fold(&mut self, seen: Seen<'_>, store: &dyn Store) -> Result<bool, StoreError> {
        let partition = self.request.partition;
        let mut named = false;
        match (seen.decode)() {
            Some(record) => {
                named = self.names_our_log(&record);
                if let Record::Observation { key, sighting, .. } = &record {
                    self.unwritten_text_bytes += key.len() + sighting.event_id.len();
                }
                fold::fold(&mut self.batch, seen.offset, seen.append_ms, &record, |key| {
                    store.entry(partition, key)
                })?;
            }
            None => fold::pass(&mut self.batch, seen.offset, seen.append_ms),
        }
        self.folded += 1;
        self.unwritten += 1;
        if self.unwritten >= self.batch_records || self.unwritten_text_bytes >= BATCH_TEXT_BYTES {
            self.write(store)?;
        }
        Ok(named)
    }

    fn write(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let Request { partition, epoch } = self.request;
        if matches!(self.stage, Stage::FoldAnew { .. }) {
            // The group's offset may turn out to be of another log. Should this end here, what was
            // folded on its word must not count as a view: nobody sent what it passed over.
            let state = std::mem::take(&mut self.batch.state);
            let written = store.apply(partition, epoch, &self.batch);
            self.batch.state = state;
            written?;
        } else {
            store.apply(partition, epoch, &self.batch)?;
        }
        self.batch.entries.clear();
        self.unwritten = 0;
        self.unwritten_text_bytes = 0;
        Ok(())
    }

    fn folded_all(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        self.write(store)?;
        if let Stage::Fold { plan, .. } = &self.stage {
            self.stage = Stage::Done { plan: plan.clone() };
        }
        Ok(())
    }

    /// What the owner begins with, once nothing is wanted any more.
    pub fn finish(self, store: &dyn Store) -> Result<Restored, StoreError> {
        let Stage::Done { plan } = self.stage else {
            return Err(StoreError::Corrupt("a takeover that is not done"));
        };
        let state = self.batch.state;
        let acknowledged = match plan.committed {
            // The outbox of a kept view covers also what the log has lost meanwhile.
            Some(committed) if plan.keep_view => committed,
            Some(committed) => committed.max(self.start),
            None => state.next,
        };
        let resend = store.outbox(self.request.partition, acknowledged, state.next)?;
        Ok(Restored {
            request: self.request,
            state,
            acknowledged,
            resend,
            log_end: self.end,
            begun_boot_ms: self.begun.boot_ms,
            gap: plan.gap,
            folded: self.folded,
        })
    }
}

#[cfg(test)]
mod tests;
