//! Taking over a partition: reads the log with a consumer of its own until the view has caught
//! up with the group's offset, a partition at a time, off the thread that polls.
//!
//! Owns no state beyond one takeover. Sends nothing: what has to be sent again is handed to the
//! owner. Every write to the view carries the assignment's epoch, so a takeover that was
//! cancelled by the next rebalance can't write any more.

use std::collections::{HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::clock;
use crate::ingest::kafka::ConnectionLog;
use crate::stats::Stats;
use crate::terms::fold::{self, Batch, OutboxRecord, PartitionState};
use crate::terms::record::{self, Record};
use crate::terms::store::{Store, StoreError};
use crate::terms::takeover::{self, Committed, Log, Plan, Silent, View};

const REQUEST_MAX: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(100);
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Records folded into one write.
const BATCH_RECORDS: usize = 1_000;

/// A partition that this instance was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    pub partition: i32,
    pub epoch: u64,
}

/// A partition whose view has caught up.
#[derive(Debug)]
pub struct Restored {
    pub partition: i32,
    pub epoch: u64,
    pub state: PartitionState,
    /// Everything below is acknowledged.
    pub acknowledged: i64,
    /// What was folded but perhaps not acknowledged, to be sent again as it was.
    pub resend: Vec<(i64, OutboxRecord)>,
    /// Where the log ended when the takeover began.
    pub log_end: i64,
    /// Clock since boot when the takeover began, milliseconds.
    pub begun_boot_ms: i64,
}

/// Which assignment of each partition is the current one. Written by the owner, read here.
#[derive(Debug, Default)]
pub struct Epochs(Mutex<HashMap<i32, Arc<AtomicU64>>>);

impl Epochs {
    fn of(&self, partition: i32) -> Arc<AtomicU64> {
        let mut epochs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(epochs.entry(partition).or_default())
    }
    pub fn set(&self, partition: i32, epoch: u64) {
        self.of(partition).store(epoch, Ordering::Release);
    }
    pub fn is_current(&self, request: Request) -> bool {
        self.of(request.partition).load(Ordering::Acquire) == request.epoch
    }
}

#[derive(Debug, thiserror::Error)]
enum RestoreError {
    #[error("cancelled by a rebalance")]
    Cancelled,
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

type Reader = BaseConsumer<ConnectionLog>;

pub struct Restorer {
    client: ClientConfig,
    topic: Arc<str>,
    store: Arc<dyn Store>,
    stop: Arc<AtomicBool>,
    epochs: Arc<Epochs>,
    stats: Arc<Stats>,
}

impl Restorer {
    /// `client` names the group, whose offsets are read; it is never joined.
    pub fn new(
        client: ClientConfig,
        topic: Arc<str>,
        store: Arc<dyn Store>,
        stop: Arc<AtomicBool>,
        epochs: Arc<Epochs>,
        stats: Arc<Stats>,
    ) -> Self {
        Restorer { client, topic, store, stop, epochs, stats }
    }

    /// Until the channel of requests closes.
    pub fn run(&self, requests: &Receiver<Request>, restored: &Sender<Restored>) {
        let mut reader = None;
        let mut queue = VecDeque::new();
        loop {
            if queue.is_empty() {
                match requests.recv() {
                    Ok(request) => queue.push_back(request),
                    Err(_) => return,
                }
            }
            queue.extend(requests.try_iter());
            let Some(request) = queue.pop_front() else { continue };
            if self.cancelled(request) {
                continue;
            }
            match self.guarded(request, &mut reader) {
                Ok(done) => {
                    if restored.send(done).is_err() {
                        return;
                    }
                }
                Err(RestoreError::Cancelled) => {}
                Err(error) => {
                    tracing::warn!(
                        partition = request.partition, %error,
                        "taking over a partition failed; trying again"
                    );
                    // The others first: one partition without a leader must not hold them up.
                    queue.push_back(request);
                    if let Some(reader) = &reader {
                        let _ = Reader::poll(reader, RETRY_AFTER);
                    } else {
                        std::thread::park_timeout(RETRY_AFTER);
                    }
                }
            }
        }
    }

    /// One attempt. A view that can't be read or that panics the database is cleared, so that the
    /// next attempt folds it anew from the log.
    fn guarded(
        &self,
        request: Request,
        reader: &mut Option<Reader>,
    ) -> Result<Restored, RestoreError> {
        let attempt = AssertUnwindSafe(|| self.attempt(request, reader));
        let result = std::panic::catch_unwind(attempt)
            .unwrap_or_else(|_| Err(StoreError::Corrupt("its takeover panicked").into()));
        if let Err(RestoreError::Store(StoreError::Corrupt(_))) = &result {
            self.store.clear(request.partition, request.epoch)?;
        }
        result
    }

    fn cancelled(&self, request: Request) -> bool {
        self.stop.load(Ordering::Relaxed) || !self.epochs.is_current(request)
    }

    fn attempt(
        &self,
        request: Request,
        reader: &mut Option<Reader>,
    ) -> Result<Restored, RestoreError> {
        let reader = match reader {
            Some(reader) => reader,
            None => reader
                .insert(self.client.create_with_context(ConnectionLog::new("takeover reader"))?),
        };
        let result = self.take_over(request, reader);
        reader.unassign()?;
        result
    }

    fn take_over(&self, request: Request, reader: &Reader) -> Result<Restored, RestoreError> {
        let Request { partition, epoch } = request;
        let begun_boot_ms = clock::since_boot_ms();
        let committed = self.committed(reader, partition)?;
        let (start, end) = reader.fetch_watermarks(&self.topic, partition, REQUEST_MAX)?;
        // A view that can't be read is no view: the log has everything.
        let view = match self.store.load(partition) {
            Err(StoreError::Corrupt(what)) => {
                tracing::warn!(partition, what, "the view can't be read; folding it anew");
                None
            }
            other => other?,
        };
        let id = self.log_id(request, reader, view.as_ref(), start, end)?;
        let log = Log { start, end, id };
        let known = view
            .as_ref()
            .map(|view| View { next: view.next, log_id: view.log_id().map(str::to_owned) });
        let plan = takeover::plan(committed.as_ref(), known.as_ref(), &log, clock::now_ms());
        if plan.gap > 0 {
            self.stats.gap.add(plan.gap);
            tracing::error!(
                partition,
                lost = plan.gap,
                log_start = start,
                "observations were deleted from the log before they were folded"
            );
        }
        let mut state = PartitionState { next: plan.from, ..PartitionState::default() };
        if plan.keep_view {
            state = view.unwrap_or(state);
            // The log's start may have moved past what the view has reached.
            state.next = state.next.max(plan.from);
        } else {
            self.store.clear(partition, epoch)?;
        }
        tracing::debug!(partition, ?plan, ?log, "taking over");
        self.fold_silently(request, reader, &plan, end, &mut state)?;
        let acknowledged = match plan.committed {
            // The outbox of a kept view covers also what the log has lost meanwhile.
            Some(committed) if plan.keep_view => committed,
            Some(committed) => committed.max(start),
            None => state.next,
        };
        let resend = self.store.outbox(partition, acknowledged, state.next)?;
        Ok(Restored { partition, epoch, state, acknowledged, resend, log_end: end, begun_boot_ms })
    }

    fn committed(
        &self,
        reader: &Reader,
        partition: i32,
    ) -> Result<Option<Committed>, RestoreError> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition(&self.topic, partition);
        let committed = reader.committed_offsets(asked, REQUEST_MAX)?;
        let Some(element) = committed.find_partition(&self.topic, partition) else {
            return Ok(None);
        };
        element.error()?;
        Ok(match element.offset() {
            Offset::Offset(offset) => {
                Some(Committed { offset, log_id: element.metadata().to_owned() })
            }
            _ => None,
        })
    }

    /// The id of the log: looked up where the view folded its last marker, else of the first
    /// marker from the log's start on.
    fn log_id(
        &self,
        request: Request,
        reader: &Reader,
        view: Option<&PartitionState>,
        start: i64,
        end: i64,
    ) -> Result<Option<String>, RestoreError> {
        if let Some(view) = view
            && let Some(id) = view.log_id()
            && (start..end).contains(&view.marker_offset)
        {
            let mut found = false;
            self.read(request, reader, view.marker_offset, end, &mut |message| {
                found = message.offset() == view.marker_offset
                    && matches!(
                        record::decode(message.key(), message.payload()),
                        Ok(Record::Marker(marker)) if marker.log_id == id
                    );
                Ok(false)
            })?;
            if found {
                return Ok(Some(id.to_owned()));
            }
        }
        let mut found = None;
        self.read(request, reader, start, end, &mut |message| {
            if message.key() == Some(record::marker_key())
                && let Ok(Record::Marker(marker)) = record::decode(message.key(), message.payload())
            {
                found = Some(marker.log_id);
            }
            Ok(found.is_none())
        })?;
        Ok(found)
    }

    fn fold_silently(
        &self,
        request: Request,
        reader: &Reader,
        plan: &Plan,
        end: i64,
        state: &mut PartitionState,
    ) -> Result<(), RestoreError> {
        let until = match plan.silent {
            Silent::Below(offset) => offset.min(end),
            Silent::AppendedBefore(_) => end,
        };
        let mut batch = Batch { state: state.clone(), ..Batch::default() };
        let mut folded = 0;
        self.read(request, reader, state.next, until, &mut |message| {
            let append_ms = message.timestamp().to_millis().unwrap_or(0);
            if let Silent::AppendedBefore(cutoff) = plan.silent
                && append_ms >= cutoff
            {
                return Ok(false);
            }
            match read_record(message, &self.stats) {
                Some(record) => {
                    fold::fold(&mut batch, message.offset(), append_ms, &record, |key| {
                        self.store.entry(request.partition, key)
                    })?;
                }
                None => fold::pass(&mut batch, message.offset(), append_ms),
            }
            folded += 1;
            if batch.entries.len() >= BATCH_RECORDS {
                self.store.apply(request.partition, request.epoch, &batch)?;
                batch.entries.clear();
            }
            Ok(true)
        })?;
        if let Silent::Below(offset) = plan.silent {
            // Compaction leaves gaps: reading ended on the position, not on the last record.
            batch.state.next = batch.state.next.max(offset);
        }
        self.store.apply(request.partition, request.epoch, &batch)?;
        *state = batch.state;
        if folded > 0 {
            tracing::info!(partition = request.partition, folded, "the view has caught up");
        }
        Ok(())
    }

    /// Reads `from..until` until `each` returns `false`. Ends on the position, or at the log's
    /// end: records may be missing through compaction.
    fn read(
        &self,
        request: Request,
        reader: &Reader,
        from: i64,
        until: i64,
        each: &mut dyn FnMut(&BorrowedMessage<'_>) -> Result<bool, RestoreError>,
    ) -> Result<(), RestoreError> {
        if from >= until {
            return Ok(());
        }
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(&self.topic, request.partition, Offset::Offset(from))?;
        reader.assign(&assignment)?;
        loop {
            if self.cancelled(request) {
                return Err(RestoreError::Cancelled);
            }
            match reader.poll(POLL) {
                Some(Ok(message)) => {
                    if message.partition() != request.partition || message.offset() < from {
                        continue;
                    }
                    if message.offset() >= until || !each(&message)? {
                        return Ok(());
                    }
                    if message.offset() + 1 >= until {
                        return Ok(());
                    }
                }
                // Everything up to the end was read; the last records may be compacted away.
                Some(Err(KafkaError::PartitionEOF(partition)))
                    if partition == request.partition =>
                {
                    return Ok(());
                }
                Some(Err(KafkaError::PartitionEOF(_))) | None => {}
                Some(Err(error)) => return Err(error.into()),
            }
        }
    }
}

/// The record of a message; one that is none of ours is counted, said, and to be passed over.
pub fn read_record(message: &impl Message, stats: &Stats) -> Option<Record> {
    record::decode(message.key(), message.payload())
        .inspect_err(|error| {
            stats.poison.add(1);
            tracing::warn!(
                partition = message.partition(),
                offset = message.offset(),
                %error,
                "a record of the observations topic was passed over"
            );
        })
        .ok()
}
