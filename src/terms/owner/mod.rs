//! The first-seen half: owns partitions of the observations topic, folds their records, and sends
//! what the fold raises.
//!
//! The order of every step is what the protocol rests on: entries, `next` and outbox in one atomic
//! write → send → acknowledgement → commit of the offset with the log's id → a later write drops
//! the outbox below the commit. The state may run ahead of the commit, never the commit ahead of
//! an alert that is not acknowledged.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use rdkafka::consumer::Consumer;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use crate::clock;
use crate::ingest::commit::{Commits, Committable};
use crate::ingest::kafka::{GroupConsumer, GroupHandler, HalfError, Intake};
use crate::ingest::watermark::{Watermark, WatermarkError};
use crate::output::producer::{Acknowledged, Output, OutputKind, OutputProducer, Ticket};
use crate::stats::Stats;
use crate::terms::fold::PartitionState;
use crate::terms::record::{HASH_VERSION, Marker, Record};
use crate::terms::restore::{Epochs, Request, Restored, read_record};
use crate::terms::store::{Store, StoreError};

mod marker;
mod step;

/// Records folded into one write.
const BATCH_RECORDS: usize = 500;
/// Alerts under way before reading stops.
const MARKERS_KEPT: usize = 10_000;
const OUTSTANDING_MAX: usize = 10_000;
const SWEEP_EVERY: Duration = Duration::from_millis(1_000);
const SWEEP_ENTRIES: usize = 2_000;
const DRAIN_MAX: Duration = Duration::from_secs(30);

struct Pending {
    offset: i64,
    append_ms: i64,
    /// `None`: it could not be decoded, which was counted and said.
    record: Option<Record>,
}

/// A partition whose view has caught up.
struct Active {
    epoch: u64,
    state: PartitionState,
    mark: Watermark,
    commits: Commits,
    queue: VecDeque<Pending>,
    /// One past the last record taken in.
    expected: i64,
    /// The last marker appended by this owner, folded or not.
    appended: Option<Marker>,
    /// A marker that was sent and not acknowledged in time, with its number.
    unacknowledged: Option<(i64, Marker)>,
    /// When, by this machine's clock: what paces appending it again.
    appended_ms: i64,
    /// Clock since boot at the last step, and at the takeover, milliseconds.
    last_step_boot_ms: i64,
    begun_boot_ms: i64,
    /// Where the log ended at the takeover.
    log_end: i64,
    sweep_cursor: Option<Vec<u8>>,
}

impl Active {
    /// The last marker lacks a part of the merge, and the whole is not appended yet.
    fn owes_marker(&self) -> bool {
        self.state.marker_owed && self.appended != self.state.marker
    }
}

enum Owned {
    /// Being taken over under this epoch.
    Restoring(u64),
    Active(Box<Active>),
}

pub struct FirstSeenHandler {
    store: Arc<dyn Store>,
    topic: Arc<str>,
    alerts_topic: Arc<str>,
    partitions: u32,
    producer: OutputProducer,
    instance: Arc<str>,
    stats: Arc<Stats>,
    epochs: Arc<Epochs>,
    requests: Sender<Request>,
    unsent_requests: VecDeque<Request>,
    restored: Receiver<Restored>,
    owned: BTreeMap<i32, Owned>,
    /// Partitions that the client reads. A partition is read only while it is active, from an
    /// explicit offset: whatever has to be taken over again is given up first.
    reading: BTreeSet<i32>,
    epoch: u64,
    acknowledged: Vec<Acknowledged>,
    /// Numbers of the markers that were acknowledged and that nobody has asked for yet.
    markers_acknowledged: BTreeSet<i64>,
    markers_sent: i64,
    /// The half has failed: what is left is to leave the group, without another step.
    ended: bool,
    fatal: Option<HalfError>,
    last_sweep: Instant,
    paused: bool,
}

/// What the half is made of.
pub struct Parts {
    pub store: Arc<dyn Store>,
    pub topic: Arc<str>,
    pub alerts_topic: Arc<str>,
    pub partitions: u32,
    pub producer: OutputProducer,
    pub instance: Arc<str>,
    pub stats: Arc<Stats>,
    pub epochs: Arc<Epochs>,
    pub requests: Sender<Request>,
    pub restored: Receiver<Restored>,
}

impl FirstSeenHandler {
    pub fn new(parts: Parts) -> Self {
        FirstSeenHandler {
            store: parts.store,
            topic: parts.topic,
            alerts_topic: parts.alerts_topic,
            partitions: parts.partitions,
            producer: parts.producer,
            instance: parts.instance,
            stats: parts.stats,
            epochs: parts.epochs,
            requests: parts.requests,
            unsent_requests: VecDeque::new(),
            restored: parts.restored,
            owned: BTreeMap::new(),
            reading: BTreeSet::new(),
            epoch: 0,
            acknowledged: Vec::new(),
            markers_acknowledged: BTreeSet::new(),
            markers_sent: 0,
            ended: false,
            fatal: None,
            last_sweep: clock::monotonic(),
            paused: false,
        }
    }

    fn fail(&mut self, error: HalfError) {
        self.fatal.get_or_insert(error);
    }

    fn active(&mut self, partition: i32) -> Option<&mut Active> {
        match self.owned.get_mut(&partition) {
            Some(Owned::Active(active)) => Some(active),
            _ => None,
        }
    }

    fn check_mark(&mut self, result: Result<(), WatermarkError>) {
        if let Err(error) = result {
            self.fail(HalfError::Internal(format!("the watermark refused a step: {error}")));
        }
    }

    /// What a failed write means: a past assignment is no error, anything else ends the half.
    fn storage(&mut self, error: StoreError) {
        match error {
            StoreError::PastEpoch => {}
            other => self.fail(HalfError::Internal(other.to_string())),
        }
    }

    fn list(&self, partitions: impl IntoIterator<Item = i32>) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(&self.topic, partition);
        }
        list
    }

    /// Begins to take over a partition that this instance owns.
    fn take_over(&mut self, partition: i32) {
        self.epoch += 1;
        let request = Request { partition, epoch: self.epoch };
        self.epochs.set(partition, request.epoch);
        self.store.begin(partition, request.epoch);
        self.owned.insert(partition, Owned::Restoring(request.epoch));
        self.unsent_requests.push_back(request);
        self.send_requests();
    }

    fn send_requests(&mut self) {
        while let Some(request) = self.unsent_requests.pop_front() {
            if !self.epochs.is_current(request) {
                continue;
            }
            match self.requests.try_send(request) {
                Ok(()) => {}
                Err(TrySendError::Full(request)) => {
                    self.unsent_requests.push_front(request);
                    return;
                }
                Err(TrySendError::Disconnected(_)) => {
                    self.fail(HalfError::Internal("the restorer is gone".to_owned()));
                    return;
                }
            }
        }
    }

    /// Collects acknowledgements. `apart` is a partition that is out of the map for a step.
    fn pump(&mut self, wait: Duration, mut apart: Option<(i32, &mut Active)>) {
        let mut acknowledged = std::mem::take(&mut self.acknowledged);
        if let Err(error) = self.producer.pump(wait, &mut acknowledged) {
            self.fail(error.into());
        }
        for output in acknowledged.drain(..) {
            let partition = i32::try_from(output.ticket.slot).unwrap_or(-1);
            if output.kind == OutputKind::Marker {
                self.markers_acknowledged.insert(output.ticket.offset);
                // Those of past assignments are never asked for.
                while self.markers_acknowledged.len() > MARKERS_KEPT {
                    self.markers_acknowledged.pop_first();
                }
                continue;
            }
            let active = match &mut apart {
                Some((number, active)) if *number == partition => Some(&mut **active),
                _ => self.active(partition),
            };
            let Some(active) = active.filter(|active| active.epoch == output.ticket.epoch) else {
                continue;
            };
            let result = active.mark.acknowledge(output.ticket.offset);
            self.check_mark(result);
        }
        self.acknowledged = acknowledged;
    }

    /// The partition count and the hash are part of the state: with others, users would be looked
    /// for where they are not.
    fn check_topology(&mut self, state: &PartitionState) -> bool {
        let Some(marker) = &state.marker else { return true };
        if marker.partitions == self.partitions && marker.hash_version == HASH_VERSION {
            return true;
        }
        let topic = Arc::clone(&self.topic);
        let message = if marker.partitions == self.partitions {
            format!(
                "the log of `{topic}` was sharded by version {} of the hash, and this program has version {HASH_VERSION}",
                marker.hash_version
            )
        } else {
            format!(
                "the observations topic `{topic}` has {} partitions, but its log began with {}: users have moved to other partitions and lost their history",
                self.partitions, marker.partitions
            )
        };
        self.fail(HalfError::Configuration {
            message,
            hint: format!(
                "stop every instance, delete the topic `{topic}` and let it be made anew; its terms are then learned anew"
            ),
        });
        false
    }

    /// Takes over what the restorer has finished.
    fn activate(&mut self, consumer: &GroupConsumer<Self>, restored: Restored) {
        let Restored { partition, epoch, state, acknowledged, resend, log_end, begun_boot_ms } =
            restored;
        match self.owned.get(&partition) {
            Some(Owned::Restoring(current)) if *current == epoch => {}
            _ => return,
        }
        if !self.check_topology(&state) {
            return;
        }
        let next = state.next;
        let mut active = Box::new(Active {
            epoch,
            mark: Watermark::new(acknowledged),
            commits: Commits::new(acknowledged),
            queue: VecDeque::new(),
            expected: next,
            appended: None,
            unacknowledged: None,
            appended_ms: 0,
            // Since then others may have owned the partition.
            last_step_boot_ms: begun_boot_ms,
            begun_boot_ms,
            log_end,
            sweep_cursor: None,
            state,
        });
        if active.state.marker.is_none() {
            let marker = self.new_marker();
            if !self.append_marker(partition, epoch, &mut active, marker) {
                self.take_over(partition);
                return;
            }
        }
        let mut explicit = TopicPartitionList::new();
        let begun = explicit
            .add_partition_offset(&self.topic, partition, Offset::Offset(next))
            .and_then(|()| consumer.incremental_assign(&explicit));
        if let Err(error) = begun {
            tracing::warn!(partition, %error, "reading could not begin; taking the partition over again");
            self.take_over(partition);
            return;
        }
        self.reading.insert(partition);
        if self.paused {
            self.pause(consumer, true);
        }
        let resent = resend.len();
        let mut by_offset: BTreeMap<i64, Vec<Output>> = BTreeMap::new();
        for (offset, record) in resend {
            let slot = u32::try_from(partition).unwrap_or(0);
            let ticket = Ticket { slot, epoch, offset };
            by_offset.entry(offset).or_default().push(step::to_output(
                record,
                &self.alerts_topic,
                ticket,
            ));
        }
        for (offset, outputs) in by_offset {
            let result = self.send_all(&mut active.mark, offset, outputs);
            self.check_mark(result);
        }
        if next > active.mark.next() {
            let result = active.mark.pass(next - 1);
            self.check_mark(result);
        }
        tracing::info!(partition, next, resent, "observations partition taken over");
        self.owned.insert(partition, Owned::Active(active));
    }

    /// Stops reading what is not active any more, before it can be taken over anew.
    fn give_up_reading(&mut self, consumer: &GroupConsumer<Self>) {
        let idle: Vec<i32> = self
            .reading
            .iter()
            .copied()
            .filter(|partition| !matches!(self.owned.get(partition), Some(Owned::Active(_))))
            .collect();
        if idle.is_empty() {
            return;
        }
        if let Err(error) = consumer.incremental_unassign(&self.list(idle.iter().copied())) {
            self.fail(HalfError::Consumer(error));
            return;
        }
        for partition in idle {
            self.reading.remove(&partition);
        }
    }

    /// A step of every partition, also of those that took nothing in: it is how a partition
    /// notices that this instance was suspended.
    fn step_all(&mut self) {
        let partitions: Vec<i32> = self.owned.keys().copied().collect();
        for partition in partitions {
            if self.fatal.is_some() {
                return;
            }
            self.step(partition);
        }
    }

    fn pause(&mut self, consumer: &GroupConsumer<Self>, pause: bool) {
        let active = self
            .owned
            .iter()
            .filter(|(_, owned)| matches!(owned, Owned::Active(_)))
            .map(|(partition, _)| *partition);
        let list = self.list(active);
        let result = if pause { consumer.pause(&list) } else { consumer.resume(&list) };
        match result {
            Ok(()) => self.paused = pause,
            Err(error) => {
                tracing::warn!(%error, pause, "partitions could not be paused or resumed")
            }
        }
    }

    fn sweep(&mut self) {
        let store = Arc::clone(&self.store);
        let mut failure = None;
        for (partition, owned) in &mut self.owned {
            let Owned::Active(active) = owned else { continue };
            let swept = store.sweep(
                *partition,
                active.epoch,
                active.state.last_append_ms,
                active.sweep_cursor.take(),
                SWEEP_ENTRIES,
            );
            match swept {
                Ok(cursor) => active.sweep_cursor = cursor,
                Err(error) => failure = Some(error),
            }
        }
        if let Some(error) = failure {
            self.storage(error);
        }
    }
}

impl GroupHandler for FirstSeenHandler {
    fn assigned(&mut self, consumer: &GroupConsumer<Self>, partitions: &TopicPartitionList) {
        // Nothing is read yet: reading begins, at an explicit offset, when a takeover is done.
        // (Assigning at a logical offset and seeking later races with the offset's look-up.)
        if let Err(error) = consumer.incremental_assign(&TopicPartitionList::new()) {
            self.fail(HalfError::Consumer(error));
            return;
        }
        tracing::info!(partitions = partitions.count(), "observations partitions assigned");
        for element in partitions.elements() {
            self.take_over(element.partition());
        }
    }

    /// A partition whose log has no id yet has nothing to commit, and what stands behind a marker
    /// that lacks something waits for the whole one.
    fn committable(&mut self) -> Vec<Committable<'_>> {
        let topic = &*self.topic;
        let owned = self.owned.iter_mut().filter_map(|(partition, owned)| {
            let Owned::Active(active) = owned else { return None };
            let mut offset = active.mark.committable();
            if active.owes_marker() {
                offset = offset.min(active.state.marker_offset);
            }
            let metadata = Some(active.state.log_id()?);
            let commits = &mut active.commits;
            Some(Committable { topic, partition: *partition, offset, metadata, commits })
        });
        owned.collect()
    }

    /// Folds what the partitions have taken in and waits for its acknowledgement, or the deadline;
    /// whether all is acknowledged.
    fn drain(&mut self, partitions: &TopicPartitionList) -> bool {
        let deadline = clock::monotonic() + DRAIN_MAX;
        for element in partitions.elements() {
            self.step(element.partition());
        }
        loop {
            let under_way: usize = partitions
                .elements()
                .iter()
                .filter_map(|element| match self.owned.get(&element.partition()) {
                    Some(Owned::Active(active)) => Some(active.mark.under_way()),
                    _ => None,
                })
                .sum();
            if under_way == 0 || self.fatal.is_some() {
                return under_way == 0;
            }
            if clock::monotonic() >= deadline {
                tracing::warn!(
                    under_way,
                    "gave up waiting for acknowledgements; the alerts will be sent again"
                );
                return false;
            }
            self.pump(Duration::from_millis(20), None);
        }
    }

    fn release(&mut self, partitions: &TopicPartitionList, lost: bool) -> TopicPartitionList {
        for element in partitions.elements() {
            // A new epoch without an owner: whatever still writes under the old one is refused.
            self.epoch += 1;
            self.epochs.set(element.partition(), self.epoch);
            self.store.begin(element.partition(), self.epoch);
            self.owned.remove(&element.partition());
        }
        tracing::info!(partitions = partitions.count(), lost, "observations partitions revoked");
        let given: Vec<i32> =
            partitions.elements().iter().map(|element| element.partition()).collect();
        let taken: Vec<i32> =
            given.into_iter().filter(|partition| self.reading.remove(partition)).collect();
        self.list(taken)
    }

    fn has_ended(&self) -> bool {
        self.ended
    }

    /// Takes a record in, to be folded with others.
    fn receive(&mut self, message: &BorrowedMessage<'_>) -> Intake {
        let (partition, offset) = (message.partition(), message.offset());
        let stats = Arc::clone(&self.stats);
        let Some(active) = self.active(partition) else { return Intake::More };
        if offset < active.expected {
            return Intake::More;
        }
        active.expected = offset + 1;
        let record = read_record(message, &stats);
        let append_ms = message.timestamp().to_millis().unwrap_or(0);
        active.queue.push_back(Pending { offset, append_ms, record });
        if active.queue.len() >= BATCH_RECORDS {
            self.step(partition);
        }
        Intake::More
    }

    fn turn(&mut self, consumer: &GroupConsumer<Self>) {
        self.send_requests();
        self.give_up_reading(consumer);
        while let Ok(restored) = self.restored.try_recv() {
            self.activate(consumer, restored);
        }
        self.step_all();
        self.pump(Duration::ZERO, None);
        let full = self.producer.outstanding() >= OUTSTANDING_MAX;
        if full != self.paused && (full || self.producer.outstanding() <= OUTSTANDING_MAX / 2) {
            self.pause(consumer, full);
        }
        let now = clock::monotonic();
        if now - self.last_sweep >= SWEEP_EVERY {
            self.last_sweep = now;
            self.sweep();
            self.repeat_markers();
        }
    }

    fn busy(&self) -> bool {
        self.producer.outstanding() > 0
            || self.owned.values().any(|owned| matches!(owned, Owned::Restoring(_)))
    }

    fn overtaken(&mut self) {
        tracing::warn!(
            "records were deleted before they were read; taking all partitions over anew"
        );
        let active: Vec<i32> = self
            .owned
            .iter()
            .filter(|(_, owned)| matches!(owned, Owned::Active(_)))
            .map(|(partition, _)| *partition)
            .collect();
        for partition in active {
            self.take_over(partition);
        }
    }

    fn take_fatal(&mut self) -> Option<HalfError> {
        self.ended = self.ended || self.fatal.is_some();
        self.fatal.take()
    }

    fn stats(&self) -> &Stats {
        &self.stats
    }
}
