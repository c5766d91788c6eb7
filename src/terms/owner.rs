//! The first-seen half: drives `first_seen` with a consumer group, a producer and the restorer.
//!
//! Owns what the client reads and what is on its way to the brokers. Decides nothing about terms.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use rdkafka::consumer::Consumer;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use crate::alert::{self, FirstSeen as FirstSeenTerms, Origin, wire};
use crate::clock;
use crate::faults::Faults;
use crate::ingest::commit::Committable;
use crate::ingest::kafka::{GroupConsumer, GroupHandler, HalfError, Intake};
use crate::output::producer::{Acknowledged, Output, OutputKind, OutputProducer, Ticket};
use crate::stats::half::{PartitionFigures, Places};
use crate::stats::{Half, Stats};
use crate::terms::first_seen::{FirstSeen, FirstSeenError, Sent};
use crate::terms::fold::{OutboxRecord, Verdict};
use crate::terms::partition::{Env, Outgoing, PartitionError, Raised};
use crate::terms::record;
use crate::terms::restore::{Epochs, passed_over, read_record};
use crate::terms::store::Store;
use crate::terms::takeover::{Request, Restored};

/// Alerts under way, their bytes, and bytes of records taken in and not folded, before reading
/// stops.
const OUTSTANDING_MAX: usize = 10_000;
const OUTSTANDING_MAX_BYTES: usize = 16 * 1024 * 1024;
const QUEUED_MAX_BYTES: usize = 4 * 1024 * 1024;
/// What a record that was taken in takes beside its bytes.
const PENDING_BYTES: usize = 256;
const SWEEP_EVERY: Duration = Duration::from_millis(1_000);

pub struct FirstSeenHandler {
    core: FirstSeen,
    alerts: Alerts,
    topic: Arc<str>,
    producer: OutputProducer,
    stats: Arc<Stats>,
    epochs: Arc<Epochs>,
    requests: Sender<Request>,
    unsent_requests: VecDeque<Request>,
    restored: Receiver<Result<Restored, HalfError>>,
    /// Partitions that the client reads. A partition is read only while it is active, from an
    /// explicit offset: whatever has to be taken over again is given up first.
    reading: BTreeSet<i32>,
    /// What the core wants sent.
    sent: Vec<Sent>,
    acknowledged: Vec<Acknowledged>,
    /// The half has failed: what is left is to leave the group, without another step.
    ended: bool,
    fatal: Option<HalfError>,
    last_sweep: Instant,
    paused: bool,
    /// Of the partitions that are folded.
    places: BTreeMap<i32, Places>,
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
    pub restored: Receiver<Result<Restored, HalfError>>,
    pub faults: Faults,
}

/// Makes alerts of observations.
struct Alerts {
    topic: Arc<str>,
    instance: Arc<str>,
    stats: Arc<Stats>,
}

impl Alerts {
    fn encode(&self, raised: &Raised<'_>) -> Result<Option<OutboxRecord>, String> {
        let Raised { append_ms, decision, .. } = raised;
        let observation = match record::observation(raised.key, raised.value) {
            Ok(observation) => observation,
            Err(error) => {
                passed_over(&self.stats, raised.offset, &error);
                return Ok(None);
            }
        };
        let created_ms = clock::now_ms();
        let is_revision = decision.verdict == Verdict::Revision;
        let first_event_id = decision.first_event_id.clone().unwrap_or_default();
        let first_seen = FirstSeenTerms { first_event_id, is_revision };
        let origin = Origin {
            instance: self.instance.to_string(),
            created_ms,
            latency_ms: Some((created_ms - append_ms).max(0)),
        };
        let alert = alert::from_observation(&observation, &first_seen, &origin);
        if is_revision {
            self.stats.revisions.add(1);
        }
        let event_delay = observation.event_time_ms.map(|time| created_ms - time);
        self.stats.delayed(Half::FirstSeen, event_delay, Some(created_ms - append_ms));
        let nowhere = Ticket { slot: 0, epoch: 0, offset: 0 };
        let output =
            wire::output(&alert, &self.topic, nowhere).map_err(|error| error.to_string())?;
        Ok(Some(OutboxRecord {
            key: output.key.unwrap_or_default(),
            payload: output.payload.unwrap_or_default(),
            reduced: output.reduced,
            headers: output
                .headers
                .into_iter()
                .map(|(name, value)| (name, value.unwrap_or_default()))
                .collect(),
        }))
    }

    fn to_output(&self, record: OutboxRecord, ticket: Ticket) -> Output {
        Output {
            kind: OutputKind::Alert,
            topic: Arc::clone(&self.topic),
            partition: None,
            key: Some(record.key),
            payload: Some(record.payload),
            headers: record.headers.into_iter().map(|(name, value)| (name, Some(value))).collect(),
            reduced: record.reduced,
            ticket,
            serial: 0,
        }
    }
}

impl FirstSeenHandler {
    pub fn new(parts: Parts) -> Self {
        FirstSeenHandler {
            core: FirstSeen::new(parts.store, parts.partitions, parts.faults),
            alerts: Alerts {
                topic: parts.alerts_topic,
                instance: parts.instance,
                stats: Arc::clone(&parts.stats),
            },
            topic: parts.topic,
            producer: parts.producer,
            stats: parts.stats,
            epochs: parts.epochs,
            requests: parts.requests,
            unsent_requests: VecDeque::new(),
            restored: parts.restored,
            reading: BTreeSet::new(),
            sent: Vec::new(),
            acknowledged: Vec::new(),
            ended: false,
            fatal: None,
            last_sweep: clock::monotonic(),
            paused: false,
            places: BTreeMap::new(),
        }
    }

    fn fail(&mut self, error: HalfError) {
        self.fatal.get_or_insert(error);
    }

    fn failed(&mut self, error: &FirstSeenError) {
        let error = match error {
            FirstSeenError::Topology(error) => HalfError::Configuration {
                message: format!("`{}`: {error}", self.topic),
                hint: error.hint(&self.topic),
            },
            FirstSeenError::Partition(PartitionError::Store(error)) => error.clone().into(),
            error => HalfError::Internal(error.to_string()),
        };
        self.fail(error);
    }

    fn list(&self, partitions: impl IntoIterator<Item = i32>) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(&self.topic, partition);
        }
        list
    }

    /// Begins takeovers that the core asks for.
    fn take_over(&mut self, requests: impl IntoIterator<Item = Request>) {
        for request in requests {
            self.epochs.set(request.partition, request.epoch);
            self.unsent_requests.push_back(request);
        }
        while let Some(request) = self.unsent_requests.pop_front() {
            if !self.core.is_current(request) {
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

    /// Sends what the core wants sent.
    fn send(&mut self) {
        for Sent { partition, epoch, outgoing } in std::mem::take(&mut self.sent) {
            let slot = u32::try_from(partition).unwrap_or(0);
            let output = match outgoing {
                Outgoing::Alert { offset, record } => {
                    self.alerts.to_output(record, Ticket { slot, epoch, offset })
                }
                Outgoing::Marker { serial, marker } => {
                    let payload = match record::marker_value(&marker) {
                        Ok(payload) => payload,
                        Err(error) => return self.fail(HalfError::Internal(error.to_string())),
                    };
                    Output {
                        kind: OutputKind::Marker,
                        topic: Arc::clone(&self.topic),
                        partition: Some(partition),
                        key: Some(record::marker_key().to_vec()),
                        payload: Some(payload),
                        headers: Vec::new(),
                        reduced: None,
                        ticket: Ticket { slot, epoch, offset: i64::try_from(serial).unwrap_or(0) },
                        serial: 0,
                    }
                }
            };
            if let Err(error) = self.producer.send(output) {
                return self.fail(error.into());
            }
        }
    }

    /// Collects acknowledgements.
    fn pump(&mut self, wait: Duration) {
        let mut acknowledged = std::mem::take(&mut self.acknowledged);
        if let Err(error) = self.producer.pump(wait, &mut acknowledged) {
            self.fail(error.into());
        }
        for output in acknowledged.drain(..) {
            let Ticket { slot, epoch, offset } = output.ticket;
            let partition = i32::try_from(slot).unwrap_or(-1);
            if output.kind == OutputKind::Marker {
                let serial = u64::try_from(offset).unwrap_or(0);
                self.core.marker_acknowledged(partition, epoch, serial, clock::times());
                continue;
            }
            if !output.diverted {
                self.stats.alerted(rule_id(&output));
            }
            if let Err(error) = self.core.alert_acknowledged(partition, epoch, offset) {
                self.failed(&error);
            }
        }
        self.acknowledged = acknowledged;
    }

    /// Folds what was taken in, of one partition or of all, and sends what that raised.
    fn step(&mut self, only: Option<i32>) {
        if self.fatal.is_some() || self.ended {
            return;
        }
        let alerts = &self.alerts;
        let env = Env {
            times: clock::times(),
            encode: &|raised| alerts.encode(raised),
            new_log_id: &|| uuid::Uuid::new_v4().to_string(),
        };
        let anew = match only {
            Some(partition) => self
                .core
                .step_one(partition, &env, &mut self.sent)
                .map(|request| request.into_iter().collect()),
            None => self.core.step(&env, &mut self.sent),
        };
        match anew {
            Ok(anew) => self.take_over(anew),
            Err(error) => self.failed(&error),
        }
        let counts = self.core.take_counts();
        self.stats.terms_folded.add(counts.folded);
        self.stats.learned.add(counts.learned);
        self.send();
    }

    /// Takes over what the restorer has finished.
    fn activate(&mut self, consumer: &GroupConsumer<Self>, restored: Restored) {
        let partition = restored.request.partition;
        let resent = restored.resend.len();
        let next = match self.core.restored(restored, &mut self.sent) {
            Ok(Some(next)) => next,
            Ok(None) => return,
            Err(error) => return self.failed(&error),
        };
        let mut explicit = TopicPartitionList::new();
        let begun = explicit
            .add_partition_offset(&self.topic, partition, Offset::Offset(next))
            .and_then(|()| consumer.incremental_assign(&explicit));
        if let Err(error) = begun {
            tracing::warn!(partition, %error, "reading could not begin; taking the partition over again");
            self.sent.clear();
            let request = self.core.assigned(partition);
            return self.take_over([request]);
        }
        self.reading.insert(partition);
        self.pause(consumer, self.paused);
        self.send();
        tracing::info!(partition, next, resent, "observations partition taken over");
    }

    /// Stops reading what is not active any more, before it can be taken over anew.
    fn give_up_reading(&mut self, consumer: &GroupConsumer<Self>) {
        let idle: Vec<i32> = self
            .reading
            .iter()
            .copied()
            .filter(|partition| !self.core.is_active(*partition))
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

    /// Shows others how far the partitions are.
    fn publish(&mut self) {
        let mut partitions = Vec::new();
        let mut starts = BTreeMap::new();
        let mut places = std::mem::take(&mut self.places);
        for (partition, progress) in self.core.progress() {
            let mut figures = PartitionFigures {
                topic: Arc::clone(&self.topic),
                partition,
                next: 0,
                done: 0,
                committed: 0,
                done_append_ms: None,
                restoring: true,
            };
            if let Some(progress) = progress {
                let mut known = places.remove(&partition).unwrap_or_default();
                if progress.folded_append_ms > 0 {
                    known.read(progress.folded, progress.folded_append_ms);
                }
                figures.restoring = false;
                figures.next = progress.next;
                figures.done = progress.done;
                figures.committed = progress.committed;
                figures.done_append_ms = known.at(progress.done);
                self.places.insert(partition, known);
            }
            partitions.push(figures);
            let marker = self.core.state(partition).and_then(|state| state.marker.as_ref());
            for (version, start) in marker.iter().flat_map(|marker| &marker.learning_starts) {
                let latest = starts.entry(version.clone()).or_insert(*start);
                *latest = (*latest).max(*start);
            }
        }
        self.stats.learning_starts.publish(starts);
        let half = &self.stats.first_seen;
        half.outstanding.set(self.producer.outstanding() as u64);
        half.outstanding_bytes.set(self.producer.outstanding_bytes() as u64);
        half.publish(partitions);
    }

    fn is_sending_enough(&self) -> bool {
        self.producer.outstanding() >= OUTSTANDING_MAX
            || self.producer.outstanding_bytes() >= OUTSTANDING_MAX_BYTES
    }

    fn is_full(&self) -> bool {
        self.is_sending_enough() || self.core.queued_bytes() >= QUEUED_MAX_BYTES
    }

    fn has_room(&self) -> bool {
        self.producer.outstanding() <= OUTSTANDING_MAX / 2
            && self.producer.outstanding_bytes() <= OUTSTANDING_MAX_BYTES / 2
            && self.core.queued_bytes() <= QUEUED_MAX_BYTES / 2
    }

    /// Pauses or resumes everything that is read. librdkafka keeps a partition paused that was
    /// paused when it was last read here, so what is read anew is told either way.
    fn pause(&mut self, consumer: &GroupConsumer<Self>, pause: bool) {
        let list = self.list(self.reading.iter().copied());
        let result = if pause { consumer.pause(&list) } else { consumer.resume(&list) };
        match result {
            Ok(()) => {
                self.paused = pause;
                self.stats.first_seen.pauses.set(pause);
            }
            Err(error) => {
                tracing::warn!(%error, pause, "partitions could not be paused or resumed")
            }
        }
    }
}

/// The rule of an alert, as its headers say.
fn rule_id(output: &Output) -> &str {
    let header = output.headers.iter().find(|(name, _)| name == "rule-id");
    let value = header.and_then(|(_, value)| value.as_deref()).unwrap_or_default();
    std::str::from_utf8(value).unwrap_or_default()
}

impl GroupHandler for FirstSeenHandler {
    fn assigned(&mut self, consumer: &GroupConsumer<Self>, partitions: &TopicPartitionList) {
        // Nothing is read yet: reading begins, at an explicit offset, when a takeover is done.
        // (Assigning at a logical offset and seeking later races with the offset's look-up.)
        if let Err(error) = consumer.incremental_assign(&TopicPartitionList::new()) {
            self.fail(HalfError::Consumer(error));
            return;
        }
        let requests: Vec<Request> = partitions
            .elements()
            .iter()
            .map(|element| self.core.assigned(element.partition()))
            .collect();
        let (added, in_all) = (partitions.count(), self.core.progress().count());
        tracing::info!(added, in_all, "observations partitions assigned");
        self.take_over(requests);
        // Nobody takes an assignment for one that is taken over already.
        self.publish();
    }

    fn committable(&mut self) -> Vec<Committable<'_>> {
        let topic = &*self.topic;
        let owned = self.core.committable().map(|one| Committable {
            topic,
            partition: one.partition,
            offset: one.offset,
            metadata: Some(one.log_id),
            commits: one.commits,
        });
        owned.collect()
    }

    /// Folds what the partitions have taken in and waits for its acknowledgement, or the deadline;
    /// whether all is acknowledged.
    fn drain(&mut self, partitions: &TopicPartitionList, within: Duration) -> bool {
        let deadline = clock::monotonic() + within;
        let partitions: Vec<i32> =
            partitions.elements().iter().map(|element| element.partition()).collect();
        for partition in &partitions {
            self.step(Some(*partition));
        }
        loop {
            let under_way: usize =
                partitions.iter().map(|partition| self.core.under_way(*partition)).sum();
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
            self.pump(Duration::from_millis(20));
        }
    }

    fn release(&mut self, partitions: &TopicPartitionList, lost: bool) -> TopicPartitionList {
        let partitions: Vec<i32> =
            partitions.elements().iter().map(|element| element.partition()).collect();
        for partition in &partitions {
            let epoch = self.core.released(*partition);
            self.epochs.set(*partition, epoch);
        }
        tracing::info!(partitions = partitions.len(), lost, "observations partitions revoked");
        let taken: Vec<i32> =
            partitions.into_iter().filter(|partition| self.reading.remove(partition)).collect();
        self.list(taken)
    }

    fn has_ended(&self) -> bool {
        self.ended
    }

    /// Takes a record in, to be folded with others.
    fn receive(&mut self, message: &BorrowedMessage<'_>) -> Intake {
        let bytes = message.payload_len() + message.key_len() + PENDING_BYTES;
        let append_ms = message.timestamp().to_millis().unwrap_or(0);
        let stats = &self.stats;
        let (partition, offset) = (message.partition(), message.offset());
        let taken =
            self.core.receive(partition, offset, append_ms, bytes, || read_record(message, stats));
        if !taken {
            // Of a partition that is taken over, or delivered again.
            self.stats.let_go.add("not-assigned", 1);
        }
        if self.core.queued_bytes() >= QUEUED_MAX_BYTES { Intake::Enough } else { Intake::More }
    }

    fn turn(&mut self, consumer: &GroupConsumer<Self>) {
        self.take_over([]);
        self.give_up_reading(consumer);
        while let Ok(restored) = self.restored.try_recv() {
            match restored {
                Ok(restored) => self.activate(consumer, restored),
                Err(error) => self.fail(error),
            }
        }
        // What is folded is sent: with no room for that, nothing is folded.
        if !self.is_sending_enough() {
            self.step(None);
        }
        self.pump(Duration::ZERO);
        if self.is_full() && !self.paused {
            self.pause(consumer, true);
        } else if self.paused && self.has_room() {
            self.pause(consumer, false);
        }
        let now = clock::monotonic();
        if now - self.last_sweep >= SWEEP_EVERY && !self.ended {
            self.last_sweep = now;
            self.publish();
            match self.core.sweep(clock::times()) {
                Ok(anew) => self.take_over(anew),
                Err(error) => self.failed(&error),
            }
        }
    }

    fn busy(&self) -> bool {
        self.producer.outstanding() > 0 || self.core.is_restoring()
    }

    fn overtaken(&mut self) {
        tracing::warn!(
            "records were deleted before they were read; taking all partitions over anew"
        );
        let requests = self.core.take_over_all();
        self.take_over(requests);
    }

    fn take_fatal(&mut self) -> Option<HalfError> {
        self.ended = self.ended || self.fatal.is_some();
        self.fatal.take()
    }

    fn stats(&self) -> &Stats {
        &self.stats
    }
}
