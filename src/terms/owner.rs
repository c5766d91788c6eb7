//! The first-seen half: owns partitions of the observations topic, folds their records, and sends
//! what the fold raises.
//!
//! The order of every step is what the protocol rests on: entries, `next` and outbox in one atomic
//! write → send → acknowledgement → commit of the offset with the log's id → a later write drops
//! the outbox below the commit. The state may run ahead of the commit, never the commit ahead of
//! an alert that is not acknowledged.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use crate::alert::{self, FirstSeen, Origin};
use crate::clock;
use crate::detect::pool::alert_output;
use crate::detect::runner::{CONFIRM_EVERY, CONFIRM_TIMEOUT, HalfError, consumer_error};
use crate::ingest::kafka::{GroupConsumer, GroupHandler};
use crate::ingest::watermark::{Watermark, WatermarkError};
use crate::limits;
use crate::output::producer::{Output, OutputKind, OutputProducer, Ticket};
use crate::stats::Stats;
use crate::terms::fold::{self, Batch, Decision, OutboxRecord, PartitionState, Verdict};
use crate::terms::observation::Observation;
use crate::terms::record::{self, HASH_VERSION, Marker, Record};
use crate::terms::restore::{Epochs, Request, Restored};
use crate::terms::store::{Store, StoreError};
use crate::terms::takeover::has_been_away;

/// Records folded into one write.
const BATCH_RECORDS: usize = 500;
/// Alerts under way before reading stops.
const OUTSTANDING_MAX: usize = 10_000;
const POLLS_A_TURN: usize = 1_000;
const POLL_BUSY: Duration = Duration::from_millis(1);
const POLL_IDLE: Duration = Duration::from_millis(20);
const COMMIT_EVERY: Duration = Duration::from_millis(1_000);
const SWEEP_EVERY: Duration = Duration::from_millis(1_000);
const SWEEP_ENTRIES: usize = 2_000;
const DRAIN_MAX: Duration = Duration::from_secs(30);
/// How long a step waits for a marker's acknowledgement before it is tried again.
const MARKER_MAX: Duration = Duration::from_secs(10);

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
    /// The offset of the last commit that was asked for, and of the last that succeeded.
    committed: i64,
    commit_confirmed: i64,
    queue: VecDeque<Pending>,
    /// One past the last record taken in.
    expected: i64,
    /// The last marker appended by this owner, folded or not.
    appended: Option<Marker>,
    /// Clock since boot at the last step, and at the takeover, milliseconds.
    last_step_boot_ms: i64,
    begun_boot_ms: i64,
    /// Where the log ended at the takeover.
    log_end: i64,
    sweep_cursor: Option<Vec<u8>>,
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
    acknowledged: Vec<Arc<Output>>,
    /// Markers acknowledged, by partition.
    markers_acknowledged: Vec<i32>,
    fatal: Option<HalfError>,
    last_commit: Instant,
    last_confirm: Instant,
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
            markers_acknowledged: Vec::new(),
            fatal: None,
            last_commit: clock::monotonic(),
            last_confirm: clock::monotonic(),
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

    /// Takes a record in, to be folded with others.
    fn receive(&mut self, message: &BorrowedMessage<'_>) {
        let (partition, offset) = (message.partition(), message.offset());
        let stats = Arc::clone(&self.stats);
        let Some(active) = self.active(partition) else { return };
        if offset < active.expected {
            return;
        }
        active.expected = offset + 1;
        let record = match record::decode(message.key(), message.payload()) {
            Ok(record) => Some(record),
            Err(error) => {
                stats.poison.add(1);
                tracing::warn!(partition, offset, %error,
                    "a record of the observations topic was passed over");
                None
            }
        };
        let append_ms = message.timestamp().to_millis().unwrap_or(0);
        active.queue.push_back(Pending { offset, append_ms, record });
        if active.queue.len() >= BATCH_RECORDS {
            self.step(partition);
        }
    }

    /// Folds what a partition has taken in, writes the state, sends what was raised.
    fn step(&mut self, partition: i32) {
        let now_boot_ms = clock::since_boot_ms();
        // Taken out for the step, so that the rest of the half can be called meanwhile.
        if self.active(partition).is_none() {
            return;
        }
        let Some(Owned::Active(mut active)) = self.owned.remove(&partition) else { return };
        let catching_up = active.state.next < active.log_end;
        if has_been_away(active.last_step_boot_ms, now_boot_ms)
            || catching_up && has_been_away(active.begun_boot_ms, now_boot_ms)
        {
            tracing::warn!(
                partition,
                "this instance was away for longer than the protocol allows; taking the partition over anew"
            );
            self.take_over(partition);
            return;
        }
        active.last_step_boot_ms = now_boot_ms;
        let mut batch = Batch {
            state: active.state.clone(),
            prune_below: Some(active.commit_confirmed),
            ..Batch::default()
        };
        let mut outputs: Vec<(i64, Vec<Output>)> = Vec::new();
        while let Some(pending) = active.queue.pop_front() {
            match self.fold_one(partition, &mut active, &mut batch, &pending) {
                Ok(raised) => outputs.push((pending.offset, raised)),
                Err(StepError::MarkerLate) => {
                    active.queue.push_front(pending);
                    break;
                }
                Err(StepError::Store(error)) => {
                    // What was folded so far is in memory only: it is folded again later.
                    self.storage(error);
                    return;
                }
                Err(StepError::Encode(error)) => {
                    self.fail(HalfError::Internal(error));
                    return;
                }
            }
        }
        if batch.state.next != active.state.next
            && let Err(error) = self.store.apply(partition, active.epoch, &batch)
        {
            self.storage(error);
            return;
        }
        active.state = batch.state;
        let epoch = active.epoch;
        for (offset, raised) in outputs {
            let result = self.send_all(&mut active.mark, offset, raised);
            self.check_mark(result);
        }
        if active.state.marker.as_ref().is_some_and(|marker| marker.partitions != self.partitions) {
            self.refuse_partition_count(&active.state);
        }
        if active.state.marker_owed
            && active.appended.as_ref() != active.state.marker.as_ref()
            && let Some(marker) = active.state.marker.clone()
        {
            // Until it is acknowledged nothing behind it is committed; a later step tries again.
            self.append_marker(partition, epoch, &mut active, marker);
        }
        self.owned.insert(partition, Owned::Active(active));
    }

    fn send_all(
        &mut self,
        mark: &mut Watermark,
        offset: i64,
        outputs: Vec<Output>,
    ) -> Result<(), WatermarkError> {
        if outputs.is_empty() {
            return mark.pass(offset);
        }
        mark.admit(offset)?;
        mark.settle(offset, u32::try_from(outputs.len()).unwrap_or(u32::MAX))?;
        for output in outputs {
            if let Err(error) = self.producer.send(output) {
                self.fail(error.into());
            }
        }
        Ok(())
    }

    fn fold_one(
        &mut self,
        partition: i32,
        active: &mut Active,
        batch: &mut Batch,
        pending: &Pending,
    ) -> Result<Vec<Output>, StepError> {
        let Some(record) = &pending.record else {
            fold::pass(batch, pending.offset, pending.append_ms);
            return Ok(Vec::new());
        };
        if let Record::Observation { observation, .. } = record
            && let Some(marker) = self.missing_marker(&batch.state, active, observation, pending)
            && !self.append_marker(partition, active.epoch, active, marker)
        {
            return Err(StepError::MarkerLate);
        }
        let store = Arc::clone(&self.store);
        let decision = fold::fold(batch, pending.offset, pending.append_ms, record, |key| {
            store.entry(partition, key)
        })?;
        let Record::Observation { observation, .. } = record else { return Ok(Vec::new()) };
        self.stats.terms_folded.add(1);
        if decision.verdict == Verdict::Silent {
            self.stats.learned.add(1);
        }
        if !decision.raises() {
            return Ok(Vec::new());
        }
        let ticket = Ticket {
            slot: u32::try_from(partition).unwrap_or(0),
            epoch: active.epoch,
            offset: pending.offset,
        };
        let output = self.alert(observation, decision, pending.append_ms, ticket)?;
        batch.outbox.push((pending.offset, outbox_record(&output)));
        Ok(vec![output])
    }

    fn alert(
        &self,
        observation: &Observation,
        decision: Decision,
        append_ms: i64,
        ticket: Ticket,
    ) -> Result<Output, StepError> {
        let created_ms = clock::now_ms();
        let is_revision = decision.verdict == Verdict::Revision;
        let first_seen =
            FirstSeen { first_event_id: decision.first_event_id.unwrap_or_default(), is_revision };
        let origin = Origin {
            instance: self.instance.to_string(),
            created_ms,
            latency_ms: Some((created_ms - append_ms).max(0)),
        };
        let alert = alert::from_observation(observation, &first_seen, &origin);
        if is_revision {
            self.stats.revisions.add(1);
        }
        self.stats.alerts.add(&alert.rule.id, 1);
        if let Some(time) = observation.event_time_ms {
            self.stats.event_to_alert.add(created_ms - time);
        }
        self.stats.append_to_alert.add(created_ms - append_ms);
        alert_output(&alert, &self.alerts_topic, ticket)
            .map_err(|error| StepError::Encode(error.to_string()))
    }

    /// The marker that has to stand in the log before this observation is folded.
    fn missing_marker(
        &self,
        state: &PartitionState,
        active: &Active,
        observation: &Observation,
        pending: &Pending,
    ) -> Option<Marker> {
        let latest = active.appended.as_ref().or(state.marker.as_ref());
        let version = &observation.terms_version;
        let known = latest.is_some_and(|marker| marker.learning_starts.contains_key(version));
        let stale = state.marker.is_some()
            && active.appended.is_none()
            && pending.append_ms - state.marker_append_ms
                > limits::observation_retention_ms(observation.window_ms) / 2;
        if known && !stale && !state.lacks_learning_start(observation) {
            return None;
        }
        if known && !stale && active.appended.is_some() {
            // Appended and acknowledged, not folded yet: it stands at a higher offset.
            return None;
        }
        let mut marker = match (latest, state.marker.as_ref()) {
            (Some(latest), merged) => {
                let mut marker = latest.clone();
                for (version, start) in merged.iter().flat_map(|merged| &merged.learning_starts) {
                    marker.learning_starts.entry(version.clone()).or_insert(*start);
                }
                marker
            }
            (None, _) => self.new_marker(),
        };
        marker.learning_starts.entry(version.clone()).or_insert(pending.append_ms);
        Some(marker)
    }

    fn new_marker(&self) -> Marker {
        Marker {
            log_id: uuid::Uuid::new_v4().to_string(),
            partitions: self.partitions,
            hash_version: HASH_VERSION,
            learning_starts: BTreeMap::new(),
        }
    }

    /// Appends a marker and waits for its acknowledgement; `false` when it is late.
    fn append_marker(
        &mut self,
        partition: i32,
        epoch: u64,
        active: &mut Active,
        marker: Marker,
    ) -> bool {
        let payload = match record::marker_value(&marker) {
            Ok(payload) => payload,
            Err(error) => {
                self.fail(HalfError::Internal(error.to_string()));
                return false;
            }
        };
        let slot = u32::try_from(partition).unwrap_or(0);
        let output = Output {
            kind: OutputKind::Marker,
            topic: Arc::clone(&self.topic),
            partition: Some(partition),
            key: Some(record::marker_key().to_vec()),
            payload: Some(payload),
            headers: Vec::new(),
            reduced: None,
            ticket: Ticket { slot, epoch, offset: -1 },
        };
        self.markers_acknowledged.retain(|other| *other != partition);
        if let Err(error) = self.producer.send(output) {
            self.fail(error.into());
            return false;
        }
        let deadline = clock::monotonic() + MARKER_MAX;
        while clock::monotonic() < deadline && self.fatal.is_none() {
            self.pump(Duration::from_millis(10), Some((partition, active)));
            if self.markers_acknowledged.contains(&partition) {
                active.appended = Some(marker);
                return true;
            }
        }
        false
    }

    /// Collects acknowledgements. `apart` is a partition that is out of the map for a step.
    fn pump(&mut self, wait: Duration, mut apart: Option<(i32, &mut Active)>) {
        let mut acknowledged = std::mem::take(&mut self.acknowledged);
        let result = if wait.is_zero() {
            self.producer.pump(&mut acknowledged)
        } else {
            self.producer.pump_waiting(wait, &mut acknowledged)
        };
        if let Err(error) = result {
            self.fail(error.into());
        }
        for output in acknowledged.drain(..) {
            let partition = i32::try_from(output.ticket.slot).unwrap_or(-1);
            if output.kind == OutputKind::Marker {
                self.markers_acknowledged.push(partition);
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

    fn refuse_partition_count(&mut self, state: &PartitionState) {
        let (began, now) = (state.marker.as_ref().map_or(0, |m| m.partitions), self.partitions);
        let topic = Arc::clone(&self.topic);
        self.fail(HalfError::Configuration {
            message: format!(
                "the observations topic `{topic}` has {now} partitions, but its log began with {began}: users have moved to other partitions and lost their history"
            ),
            hint: format!(
                "stop every instance, delete the topic `{topic}` and let it be made anew; its terms are then learned anew"
            ),
        });
    }

    /// Takes over what the restorer has finished.
    fn activate(&mut self, consumer: &GroupConsumer<Self>, restored: Restored) {
        let Restored { partition, epoch, state, acknowledged, resend, log_end, begun_boot_ms } =
            restored;
        match self.owned.get(&partition) {
            Some(Owned::Restoring(current)) if *current == epoch => {}
            _ => return,
        }
        if state.marker.as_ref().is_some_and(|marker| marker.partitions != self.partitions) {
            self.refuse_partition_count(&state);
            return;
        }
        let next = state.next;
        let mut active = Box::new(Active {
            epoch,
            mark: Watermark::new(acknowledged),
            committed: acknowledged,
            commit_confirmed: acknowledged,
            queue: VecDeque::new(),
            expected: next,
            appended: None,
            last_step_boot_ms: clock::since_boot_ms(),
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
            by_offset.entry(offset).or_default().push(to_output(
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
        if now - self.last_commit >= COMMIT_EVERY {
            self.last_commit = now;
            self.commit(consumer, None, CommitMode::Async);
        }
        if now - self.last_confirm >= CONFIRM_EVERY {
            self.confirm(consumer);
            self.last_confirm = clock::monotonic();
        }
        if now - self.last_sweep >= SWEEP_EVERY {
            self.last_sweep = now;
            self.sweep();
        }
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

    fn commit(
        &mut self,
        consumer: &GroupConsumer<Self>,
        only: Option<&TopicPartitionList>,
        mode: CommitMode,
    ) {
        let topic = Arc::clone(&self.topic);
        let sync = matches!(mode, CommitMode::Sync);
        let mut offsets = TopicPartitionList::new();
        for (partition, owned) in &mut self.owned {
            let Owned::Active(active) = owned else { continue };
            if only.is_some_and(|only| only.find_partition(&topic, *partition).is_none()) {
                continue;
            }
            let Some(log_id) = active.state.log_id() else { continue };
            let mut offset = active.mark.committable();
            if active.state.marker_owed && active.appended.as_ref() != active.state.marker.as_ref()
            {
                offset = offset.min(active.state.marker_offset);
            }
            if offset <= if sync { active.commit_confirmed } else { active.committed } {
                continue;
            }
            let mut element = offsets.add_partition(&topic, *partition);
            if element.set_offset(Offset::Offset(offset)).is_ok() {
                element.set_metadata(log_id);
                active.committed = offset;
            }
        }
        if offsets.count() == 0 {
            return;
        }
        match consumer.commit(&offsets, mode) {
            Ok(()) if sync => self.committed(&offsets),
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(%error, "offsets could not be committed; the next commit will try again");
                self.ask_again();
            }
        }
    }

    /// What is not known to be committed is committed again.
    fn ask_again(&mut self) {
        for owned in self.owned.values_mut() {
            if let Owned::Active(active) = owned {
                active.committed = active.commit_confirmed;
            }
        }
    }

    fn committed(&mut self, offsets: &TopicPartitionList) {
        for element in offsets.elements() {
            let Offset::Offset(offset) = element.offset() else { continue };
            if element.error().is_ok()
                && let Some(active) = self.active(element.partition())
                && active.state.log_id() == Some(element.metadata())
                && offset <= active.committed
            {
                active.commit_confirmed = active.commit_confirmed.max(offset);
            }
        }
    }

    /// Looks up which commits have succeeded, as nobody reports that of an asynchronous one (see
    /// [`CONFIRM_EVERY`]): without it no outbox would ever be pruned. What was refused, as in the
    /// middle of a rebalance, is asked for again.
    fn confirm(&mut self, consumer: &GroupConsumer<Self>) {
        let open = self.owned.iter().filter_map(|(partition, owned)| match owned {
            Owned::Active(active) if active.committed > active.commit_confirmed => Some(*partition),
            _ => None,
        });
        let open = self.list(open);
        if open.count() == 0 {
            return;
        }
        match consumer.committed_offsets(open, CONFIRM_TIMEOUT) {
            Ok(offsets) => self.committed(&offsets),
            Err(error) => tracing::debug!(%error, "the group's offsets could not be looked up"),
        }
        self.ask_again();
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

    fn busy(&self) -> bool {
        self.producer.outstanding() > 0
            || self.owned.values().any(|owned| matches!(owned, Owned::Restoring(_)))
    }

    fn drain(&mut self, partitions: &TopicPartitionList) {
        let deadline = clock::monotonic() + DRAIN_MAX;
        self.step_all();
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
                return;
            }
            if clock::monotonic() >= deadline {
                tracing::warn!(
                    under_way,
                    "gave up waiting for acknowledgements; the alerts will be sent again"
                );
                return;
            }
            self.pump(Duration::from_millis(20), None);
        }
    }
}

enum StepError {
    MarkerLate,
    Store(StoreError),
    Encode(String),
}

impl From<StoreError> for StepError {
    fn from(error: StoreError) -> Self {
        StepError::Store(error)
    }
}

fn outbox_record(output: &Output) -> OutboxRecord {
    OutboxRecord {
        key: output.key.clone().unwrap_or_default(),
        payload: output.payload.clone().unwrap_or_default(),
        reduced: output.reduced.clone(),
        headers: output
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.clone().unwrap_or_default()))
            .collect(),
    }
}

fn to_output(record: OutboxRecord, topic: &Arc<str>, ticket: Ticket) -> Output {
    Output {
        kind: OutputKind::Alert,
        topic: Arc::clone(topic),
        partition: None,
        key: Some(record.key),
        payload: Some(record.payload),
        headers: record.headers.into_iter().map(|(name, value)| (name, Some(value))).collect(),
        reduced: record.reduced,
        ticket,
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

    fn revoked(
        &mut self,
        consumer: &GroupConsumer<Self>,
        partitions: &TopicPartitionList,
        lost: bool,
    ) -> TopicPartitionList {
        if !lost {
            self.drain(partitions);
            self.commit(consumer, Some(partitions), CommitMode::Sync);
        }
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
}

/// The first-seen half's thread: until `stop` is set, then drains, commits and leaves the group.
pub fn run(consumer: GroupConsumer<FirstSeenHandler>, stop: &AtomicBool) -> Result<(), HalfError> {
    let mut result = Ok(());
    while !stop.load(Ordering::Relaxed) {
        let busy = {
            let mut handler = consumer.context().handler();
            handler.turn(&consumer);
            if let Some(error) = handler.fatal.take() {
                result = Err(error);
                break;
            }
            handler.busy()
        };
        if let Err(error) = poll_many(&consumer, busy) {
            result = Err(error);
            break;
        }
    }
    // Dropping the consumer leaves the group, which revokes through the handler.
    drop(consumer);
    result
}

fn poll_many(consumer: &GroupConsumer<FirstSeenHandler>, busy: bool) -> Result<(), HalfError> {
    let mut wait = if busy { POLL_BUSY } else { POLL_IDLE };
    for _ in 0..POLLS_A_TURN {
        match consumer.poll(wait) {
            None => return Ok(()),
            Some(Ok(message)) => {
                consumer.context().connection.reached();
                consumer.context().handler().receive(&message);
            }
            Some(Err(error)) => consumer_error(&error)?,
        }
        wait = Duration::ZERO;
    }
    Ok(())
}
