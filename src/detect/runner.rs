//! The detect half: one thread that polls the source, lets the prefilter look at the bytes in
//! place, hands candidates to the pool, sends what comes back, and commits what is acknowledged.
//!
//! Owns the Kafka side of the half; what may be sent and committed is for the [`Ledger`].
//! Backpressure pauses all partitions while too many bytes are in flight, so memory is bounded
//! whatever the brokers do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use crate::clock;
use crate::config::ClusterFrom;
use crate::detect::in_force::Changing;
use crate::detect::ledger::{Admission, Ledger};
use crate::detect::place;
use crate::detect::pool::{self, AlertMark, Batch, Candidate, Done, Job, Mark, Worker};
use crate::detect::slots::{Slot, Slots};
use crate::ingest::commit::Committable;
use crate::ingest::headers;
use crate::ingest::kafka::{GroupConsumer, GroupHandler, HalfError, Intake};
use crate::ingest::prefilter::Verdict;
use crate::ingest::watermark::WatermarkError;
use crate::output::producer::{Acknowledged, Output, OutputKind, OutputProducer};
use crate::stats::{Half, Stats};

/// A batch goes to the pool when it holds this much, or when the source has nothing more.
const BATCH_MAX_CANDIDATES: usize = 256;
const BATCH_MAX_BYTES: usize = 512 * 1024;
/// So many empty ones are kept.
const SPARE_BATCHES: usize = 4;
/// Pause before reading is placed again after a look-up that failed.
const PLACE_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// One wait for the pool; then it is asked again whether it takes something.
const POOL_WAIT: Duration = Duration::from_millis(10);
const DEAD_LETTER_LOG_EVERY: Duration = Duration::from_secs(60);
/// How often others are shown how far the partitions are and what waits.
const PUBLISH_EVERY: Duration = Duration::from_millis(500);

/// The channels to and from the pool, and a worker of the thread's own.
pub struct PoolHandle {
    pub jobs: Sender<Job>,
    pub done: Receiver<Done>,
    /// Settles a record once more of which a worker left unwritten what is to be sent after all. That is
    /// rare, and such records are small, so the detect thread does it.
    pub writer: Worker,
}

pub struct DetectHandler {
    slots: Slots,
    ledger: Ledger,
    batch: Batch,
    /// Of jobs that are done, empty: the next batches take their memory.
    spare: Vec<Batch>,
    pool: PoolHandle,
    rules: Changing,
    cluster_from: ClusterFrom,
    producer: OutputProducer,
    stats: Arc<Stats>,
    /// Of records in the batch and the pool, and of outputs.
    in_flight_bytes: usize,
    max_in_flight_bytes: usize,
    /// Batches in the pool.
    in_pool: usize,
    paused: bool,
    /// A partition stands where its log has no record; nothing more comes of it.
    lost_place: bool,
    place_again_at: Option<Instant>,
    /// Empty between two uses.
    to_send: Vec<Output>,
    acknowledged: Vec<Acknowledged>,
    fatal: Option<HalfError>,
    dead_letter_said: Option<Instant>,
    published: Instant,
}

impl DetectHandler {
    pub fn new(
        pool: PoolHandle,
        rules: Changing,
        cluster_from: ClusterFrom,
        producer: OutputProducer,
        stats: Arc<Stats>,
        max_in_flight_bytes: usize,
        ledger: Ledger,
    ) -> Self {
        let handler = DetectHandler {
            slots: Slots::default(),
            ledger,
            batch: Batch::default(),
            spare: Vec::new(),
            pool,
            rules,
            cluster_from,
            producer,
            stats,
            in_flight_bytes: 0,
            max_in_flight_bytes,
            in_pool: 0,
            paused: false,
            lost_place: false,
            place_again_at: None,
            to_send: Vec::new(),
            acknowledged: Vec::new(),
            fatal: None,
            dead_letter_said: None,
            published: clock::monotonic(),
        };
        handler.stats.pool.in_flight_max_bytes.set(max_in_flight_bytes as u64);
        handler.say_rules();
        handler
    }

    fn slot(&mut self, topic: &str, partition: i32) -> u32 {
        self.slots.number(topic, partition, &self.stats.sources)
    }

    /// What is read and not done takes so many bytes, in the pool, with the producer and waiting.
    fn in_flight(&self) -> usize {
        self.in_flight_bytes + self.ledger.waiting_bytes()
    }

    fn fail(&mut self, error: HalfError) {
        self.fatal.get_or_insert(error);
    }

    fn check_mark(&mut self, result: Result<(), WatermarkError>) {
        if let Err(error) = result {
            self.fail(HalfError::Internal(format!("the watermark refused a step: {error}")));
        }
    }

    /// Hands the open batch to the pool if there is room.
    fn dispatch(&mut self) {
        if self.batch.candidates.is_empty() {
            return;
        }
        let batch = std::mem::take(&mut self.batch);
        match self.pool.jobs.try_send(Job { batch, rules: Arc::clone(&self.rules.now) }) {
            Ok(()) => {
                self.in_pool += 1;
                self.batch = self.spare.pop().unwrap_or_default();
            }
            Err(TrySendError::Full(job)) => self.batch = job.batch,
            Err(TrySendError::Disconnected(job)) => {
                self.batch = job.batch;
                self.fail(HalfError::Internal("the worker pool is gone".to_owned()));
            }
        }
    }

    /// Goes on with the next set of rules, if there is one, once the open batch has left with the
    /// one that it was made under.
    fn change_rules(&mut self) {
        if !self.batch.candidates.is_empty() {
            return;
        }
        if self.rules.change() {
            self.say_rules();
        }
    }

    fn say_rules(&self) {
        let rules = self.rules.now.rules();
        self.stats.ruleset.set(rules.hash());
        self.stats.rules.set(rules.rules().len() as u64);
        self.stats.exceptions.set(rules.exceptions().iter().count() as u64);
        tracing::info!(ruleset = rules.hash(), count = rules.rules().len(), "rules in force");
    }

    fn collect(&mut self) {
        while let Ok(done) = self.pool.done.try_recv() {
            self.settle(done);
        }
        self.pump(Duration::ZERO);
    }

    fn settle(&mut self, done: Done) {
        self.in_pool -= 1;
        let Done { job, settled } = done;
        debug_assert_eq!(job.batch.candidates.len(), settled.len());
        let mut to_send = std::mem::take(&mut self.to_send);
        let mut boot_ms = clock::since_boot_ms();
        for (settled, candidate) in settled.into_iter().zip(&job.batch.candidates) {
            self.in_flight_bytes = self.in_flight_bytes.saturating_sub(settled.size);
            let mut counted = self.ledger.settle(settled, boot_ms, &mut to_send);
            if let Ok(None) = counted {
                self.stats.settled_again.add(1);
                let whole = self.pool.writer.settle_again(candidate, &job);
                boot_ms = clock::since_boot_ms();
                counted = self.ledger.settle(whole, boot_ms, &mut to_send);
            }
            match counted {
                Ok(Some(counted)) => {
                    self.stats.revisions.add(counted.revisions);
                    self.stats.repeats.add(counted.repeats);
                    if counted.past > 0 {
                        self.stats.let_go.add("past-assignment", counted.past);
                    }
                    self.stats.observations_spared.add(counted.spared);
                    for rule in &counted.suppressed {
                        self.stats.suppressed.add(rule, 1);
                    }
                }
                Ok(None) => self.fail(HalfError::Internal(
                    "a record was left unwritten where everything is written".to_owned(),
                )),
                Err(error) => self.check_mark(Err(error)),
            }
        }
        self.keep(job.batch);
        for output in to_send.drain(..) {
            if output.kind == OutputKind::DeadLetter {
                self.say_dead_letter(&output);
            }
            self.in_flight_bytes += output.size();
            if let Err(error) = self.producer.send(output) {
                self.fail(error.into());
                return;
            }
        }
        self.to_send = to_send;
    }

    /// Keeps the memory of a batch for one that is to come, if it is worth it and not too much.
    fn keep(&mut self, mut batch: Batch) {
        let worth = BATCH_MAX_BYTES / 16..=2 * BATCH_MAX_BYTES;
        if self.spare.len() < SPARE_BATCHES && worth.contains(&batch.bytes.capacity()) {
            batch.bytes.clear();
            batch.candidates.clear();
            self.spare.push(batch);
        }
    }

    /// One line in a while: where the latest unreadable record stood and why it was one.
    fn say_dead_letter(&mut self, output: &Output) {
        let now = clock::monotonic();
        if self.dead_letter_said.is_some_and(|said| now - said < DEAD_LETTER_LOG_EVERY) {
            return;
        }
        self.dead_letter_said = Some(now);
        let header = |name: &str| {
            let value = output.headers.iter().rev().find(|(key, _)| key == name);
            value
                .and_then(|(_, value)| value.as_deref())
                .map(|value| String::from_utf8_lossy(value).into_owned())
                .unwrap_or_default()
        };
        tracing::warn!(
            topic = header("kubetell-topic"),
            partition = header("kubetell-partition"),
            offset = header("kubetell-offset"),
            class = header("kubetell-error-class"),
            "a record goes to the dead letters: {} (said at most every {} s)",
            header("kubetell-error"),
            DEAD_LETTER_LOG_EVERY.as_secs()
        );
    }

    fn pump(&mut self, wait: Duration) {
        let mut acknowledged = std::mem::take(&mut self.acknowledged);
        if let Err(error) = self.producer.pump(wait, &mut acknowledged) {
            self.fail(error.into());
        }
        self.acknowledge(&mut acknowledged);
        self.acknowledged = acknowledged;
    }

    fn acknowledge(&mut self, acknowledged: &mut Vec<Acknowledged>) {
        let boot_ms = clock::since_boot_ms();
        for output in acknowledged.drain(..) {
            self.in_flight_bytes = self.in_flight_bytes.saturating_sub(output.size());
            let mark = if output.diverted {
                self.ledger.diverted(&output).map(|()| None)
            } else {
                self.ledger.acknowledge(&output, boot_ms)
            };
            match mark {
                Ok(None) => {}
                Ok(Some(Mark::Alert(mark))) => self.count_alert(&mark),
                Ok(Some(Mark::Observation(_))) => self.stats.observations.add(1),
                Ok(Some(Mark::DeadLetter)) => self.stats.dead_letters.add(1),
                Err(error) => self.check_mark(Err(error)),
            }
        }
    }

    fn count_alert(&self, mark: &AlertMark) {
        self.stats.alerted(&mark.rule_id);
        let since = |time: i64| clock::now_ms() - time;
        let (event, append) = (mark.event_time_ms.map(since), mark.append_ms.map(since));
        self.stats.delayed(Half::Detect, event, append);
    }

    /// Shows others how far the partitions are and what waits.
    fn publish(&mut self) {
        self.published = clock::monotonic();
        let partitions = self.slots.figures(&self.ledger);
        let pool = &self.stats.pool;
        pool.jobs_waiting.set(self.pool.jobs.len() as u64);
        pool.results_waiting.set(self.pool.done.len() as u64);
        pool.in_flight_bytes.set(self.in_flight() as u64);
        let half = &self.stats.detect;
        half.outstanding.set(self.producer.outstanding() as u64);
        half.outstanding_bytes.set(self.producer.outstanding_bytes() as u64);
        half.publish(partitions);
    }

    /// The slots that are assigned, with their numbers.
    fn owned(&self) -> impl Iterator<Item = (u32, &Slot)> {
        self.slots.iter().filter(|(number, _)| self.ledger.owns(*number))
    }

    /// Pauses or resumes everything that is assigned. librdkafka keeps a partition paused that was
    /// paused when it was last assigned here, so what is assigned anew is told either way.
    fn pause(&mut self, consumer: &GroupConsumer<Self>, pause: bool) {
        let mut partitions = TopicPartitionList::new();
        for (_, slot) in self.owned() {
            partitions.add_partition(&slot.topic, slot.partition);
        }
        let result = if pause { consumer.pause(&partitions) } else { consumer.resume(&partitions) };
        match result {
            Ok(()) => {
                if pause != self.paused {
                    tracing::debug!(pause, in_flight_bytes = self.in_flight(), "backpressure");
                }
                self.paused = pause;
                self.stats.detect.pauses.set(pause);
            }
            Err(error) => {
                tracing::warn!(%error, pause, "partitions could not be paused or resumed")
            }
        }
    }

    /// Goes on at places that the logs hold. Which partition lost its own is not told, so all are
    /// looked at.
    fn place_again(&mut self, consumer: &GroupConsumer<Self>) -> Result<(), KafkaError> {
        let mut wanted = TopicPartitionList::new();
        let mut unknown = TopicPartitionList::new();
        for (number, slot) in self.owned() {
            match self.ledger.next(number) {
                Some(next) if next > 0 => {
                    let offset = Offset::Offset(next);
                    wanted.add_partition_offset(&slot.topic, slot.partition, offset)?;
                }
                _ => {
                    unknown.add_partition(&slot.topic, slot.partition);
                }
            }
        }
        if unknown.count() > 0 {
            for element in place::committed(consumer, &unknown)?.elements() {
                let (topic, partition) = (element.topic(), element.partition());
                wanted.add_partition_offset(topic, partition, element.offset())?;
            }
        }
        let places = place::within_log(consumer, &wanted, &self.stats)?;
        consumer.incremental_unassign(&places)?;
        self.lost_place = false;
        if let Err(error) = consumer.incremental_assign(&places) {
            self.fail(HalfError::Consumer(error));
            return Ok(());
        }
        for element in places.elements() {
            let Offset::Offset(start) = element.offset() else { continue };
            let number = self.slot(element.topic(), element.partition());
            let next = self.ledger.next(number).unwrap_or(0);
            if next == 0 || start < next {
                self.ledger.released([number]);
                self.begin(number, start);
            } else if let Admission::New(ticket) = self.ledger.look(number, start - 1) {
                // What was deleted is done with.
                let passed = self.ledger.pass(ticket);
                self.check_mark(passed);
            }
        }
        self.pause(consumer, self.paused);
        Ok(())
    }

    fn begin(&mut self, number: u32, start: i64) {
        self.slots.begin(number, start);
        self.ledger.assigned(number, start);
    }
}

impl GroupHandler for DetectHandler {
    fn assigned(&mut self, consumer: &GroupConsumer<Self>, partitions: &TopicPartitionList) {
        let found = place::committed(consumer, partitions)
            .and_then(|committed| place::within_log(consumer, &committed, &self.stats));
        let explicit = found.or_else(|error| {
            // A broker went away in the middle. librdkafka goes on asking for the group's offsets
            // by itself.
            tracing::warn!(%error, "the group's offsets could not be fetched at once; waiting for them");
            place::stored(partitions)
        });
        let explicit = match explicit {
            Ok(explicit) => explicit,
            Err(error) => {
                self.fail(HalfError::Consumer(error));
                return;
            }
        };
        if let Err(error) = consumer.incremental_assign(&explicit) {
            self.fail(HalfError::Consumer(error));
            return;
        }
        for element in explicit.elements() {
            let start = match element.offset() {
                Offset::Offset(start) => start,
                // Not known yet: the watermark begins with the first record.
                _ => 0,
            };
            let number = self.slot(element.topic(), element.partition());
            self.begin(number, start);
        }
        self.pause(consumer, self.paused);
        // In a group that shares its partitions anew only the difference is told to a member.
        let in_all = consumer.assignment().map(|all| all.count()).unwrap_or_default();
        tracing::info!(added = explicit.count(), in_all, "source partitions assigned");
    }

    fn committable(&mut self) -> Vec<Committable<'_>> {
        let owned = self.slots.iter_mut().filter_map(|(number, slot)| {
            Some(Committable {
                topic: &slot.topic,
                partition: slot.partition,
                offset: self.ledger.committable(number)?,
                metadata: None,
                commits: &mut slot.commits,
            })
        });
        owned.collect()
    }

    /// Waits until nothing of the given partitions is under way, or the deadline; whether it is so.
    fn drain(&mut self, partitions: &TopicPartitionList, within: Duration) -> bool {
        let deadline = clock::monotonic() + within;
        loop {
            self.collect();
            self.dispatch();
            let under_way: usize = self
                .owned()
                .filter(|(_, slot)| {
                    partitions.find_partition(&slot.topic, slot.partition).is_some()
                })
                .map(|(number, _)| self.ledger.under_way(number))
                .sum();
            if under_way == 0 || self.fatal.is_some() {
                return under_way == 0;
            }
            if clock::monotonic() >= deadline {
                tracing::warn!(
                    under_way,
                    "gave up waiting for acknowledgements; the records will be read again"
                );
                return false;
            }
            if self.in_pool > 0 {
                if let Ok(done) = self.pool.done.recv_timeout(Duration::from_millis(5)) {
                    self.settle(done);
                }
            } else {
                self.pump(Duration::from_millis(20));
            }
        }
    }

    fn release(&mut self, partitions: &TopicPartitionList, lost: bool) -> TopicPartitionList {
        let elements = partitions.elements();
        let slots: Vec<u32> = elements
            .iter()
            .map(|element| self.slot(element.topic(), element.partition()))
            .collect();
        self.ledger.released(slots);
        tracing::info!(partitions = partitions.count(), lost, "source partitions revoked");
        partitions.clone()
    }

    /// Looks at one record where librdkafka holds it; copies it only when it may concern a rule.
    fn receive(&mut self, message: &BorrowedMessage<'_>) -> Intake {
        let number = self.slot(message.topic(), message.partition());
        let ticket = match self.ledger.look(number, message.offset()) {
            Admission::New(ticket) => ticket,
            Admission::AlreadySeen => {
                self.stats.let_go.add("read-before", 1);
                return Intake::More;
            }
            Admission::NotOwned => {
                self.stats.let_go.add("not-assigned", 1);
                return Intake::More;
            }
        };
        let Some(slot) = self.slots.get_mut(number) else { return Intake::More };
        let payload = message.payload();
        self.stats.under_way.set(1);
        slot.read.records.add(1);
        let append_ms = message.timestamp().to_millis().filter(|time| *time > 0);
        slot.append_ms = append_ms.or(slot.append_ms);
        let Some(payload) = payload else {
            slot.read.tombstones.add(1);
            let passed = self.ledger.pass(ticket);
            self.check_mark(passed);
            return Intake::More;
        };
        slot.read.bytes.add(payload.len() as u64);
        if self.rules.now.prefilter.verdict(payload) == Verdict::Drop {
            slot.read.prefiltered.add(1);
            let passed = self.ledger.pass(ticket);
            self.check_mark(passed);
            return Intake::More;
        }
        let headers = headers::read(message).unwrap_or_else(|headers::Unreadable| {
            self.stats.headers_unreadable.add(1);
            Vec::new()
        });
        let cluster = match &self.cluster_from {
            ClusterFrom::Topic => Some(slot.topic.to_string()),
            ClusterFrom::Header(name) => headers::text(&headers, name),
            ClusterFrom::None | ClusterFrom::Field(_) => None,
        };
        let key = message.key().map(<[u8]>::to_vec);
        let size = pool::size_of_record(payload, key.as_deref(), &headers);
        let start = self.batch.bytes.len();
        self.batch.bytes.extend_from_slice(payload);
        self.batch.candidates.push(Candidate {
            ticket,
            topic: Arc::clone(&slot.topic),
            partition: slot.partition,
            payload: start..self.batch.bytes.len(),
            size,
            key,
            headers,
            append_ms,
            cluster,
        });
        self.in_flight_bytes += size;
        let admitted = self.ledger.admit(ticket);
        self.check_mark(admitted);
        // What is read ahead of the pool is bounded by waiting for it: what comes out of it may be
        // many times as large as what went in.
        while self.batch.candidates.len() >= BATCH_MAX_CANDIDATES
            || self.batch.bytes.len() >= BATCH_MAX_BYTES
        {
            self.dispatch();
            if self.batch.candidates.is_empty() || self.fatal.is_some() {
                break;
            }
            if let Ok(done) = self.pool.done.recv_timeout(POOL_WAIT) {
                self.settle(done);
            }
        }
        if self.in_flight() >= self.max_in_flight_bytes { Intake::Enough } else { Intake::More }
    }

    fn turn(&mut self, consumer: &GroupConsumer<Self>) {
        self.collect();
        self.dispatch();
        self.change_rules();
        if self.lost_place && self.place_again_at.is_none_or(|at| at <= clock::monotonic()) {
            self.place_again_at = None;
            if let Err(error) = self.place_again(consumer) {
                tracing::warn!(%error, "reading could not be placed within the log; trying again");
                self.place_again_at = Some(clock::monotonic() + PLACE_AGAIN_AFTER);
            }
        }
        let in_flight = self.in_flight();
        let full = in_flight >= self.max_in_flight_bytes;
        if full && !self.paused {
            self.pause(consumer, true);
        } else if self.paused && in_flight <= self.max_in_flight_bytes / 2 {
            self.pause(consumer, false);
        }
        self.stats.under_way.set(u64::from(self.busy()));
        if clock::monotonic() - self.published >= PUBLISH_EVERY {
            self.publish();
        }
    }

    /// Whether results or acknowledgements are still to come.
    fn busy(&self) -> bool {
        self.in_pool > 0 || self.producer.outstanding() > 0 || !self.batch.candidates.is_empty()
    }

    fn overtaken(&mut self) {
        self.lost_place = true;
    }

    fn take_fatal(&mut self) -> Option<HalfError> {
        self.fatal.take()
    }

    fn stats(&self) -> &Stats {
        &self.stats
    }
}
