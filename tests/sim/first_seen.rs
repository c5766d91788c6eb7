//! The first-seen half of one instance, driven as the Kafka driver does it: a thread that polls,
//! a restorer beside it, a producer behind it. Every micro-step is one thing that one of them
//! does, so that a crash or a suspension can stand between any two.

mod member;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use kubetell::clock::Times;
use kubetell::terms::first_seen::{FirstSeen, FirstSeenError, Sent};
use kubetell::terms::partition::{Env, Outgoing, PartitionError};
use kubetell::terms::store::Store;
use kubetell::terms::takeover::Request;

use crate::alerts;
use crate::coverage::Reached;
use crate::disk::Disk;
use crate::log::Stored;
use crate::oracle::Alert;
use crate::producer::Producer;
use crate::restorer::{Restorer, decode};
use crate::world::{ALERT_LANES, FIRST_SEEN, Kind, Message, OBSERVATIONS, World, say};

/// What waits to be folded, in records, before reading stops.
const QUEUED_MAX: usize = 24;

/// Who does something: the instance with its clocks.
#[derive(Debug, Clone, Copy)]
pub struct Me {
    pub number: usize,
    pub times: Times,
}

/// How a micro-step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Done,
    /// There was nothing to do.
    Idle,
    Died,
}

#[derive(Debug, Clone, Copy)]
enum Acknowledgement {
    Alert { partition: i32, epoch: u64, offset: i64 },
    Marker { partition: i32, epoch: u64, serial: u64 },
}

#[derive(Debug)]
struct UnderWay {
    message: Message,
    acknowledgement: Acknowledgement,
}

/// What the client reads of a partition.
#[derive(Debug, Default)]
struct Reader {
    position: i64,
    buffer: VecDeque<Stored>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Micro {
    Hear,
    Restore,
    Activate,
    Fetch,
    Deliver,
    Fold,
    Send,
    Broker,
    Acknowledge,
    Commit,
    CommitArrives,
    Confirm,
    Sweep,
}

pub struct FirstHalf {
    core: FirstSeen,
    disk: Arc<Disk>,
    restorer: Restorer,
    readers: Vec<Option<Reader>>,
    /// What the core wants sent: the poll thread does nothing else before it is handed on.
    to_send: VecDeque<Sent>,
    producer: Producer<UnderWay>,
    /// What this owner sent of each record, until it is committed.
    sent: BTreeMap<(usize, i64), Vec<Alert>>,
    /// By partition: the last commit that was asked for, and what the outbox was pruned below.
    asked: Vec<i64>,
    joined: bool,
}

impl FirstHalf {
    pub fn new(world: &World, disk: Arc<Disk>) -> FirstHalf {
        let partitions = world.setup.partitions;
        let store: Arc<dyn Store> = Arc::clone(&disk) as Arc<dyn Store>;
        FirstHalf {
            core: FirstSeen::new(store, u32::try_from(partitions).unwrap(), world.faults)
                .folding_at_most(world.setup.batch_records),
            restorer: Restorer::new(Arc::clone(&disk)),
            disk,
            readers: (0..partitions).map(|_| None).collect(),
            to_send: VecDeque::new(),
            producer: Producer::new(ALERT_LANES + partitions),
            sent: BTreeMap::new(),
            asked: vec![0; partitions],
            joined: false,
        }
    }

    pub fn into_unsent(self) -> Vec<VecDeque<Message>> {
        let lanes = self.producer.into_unsent();
        lanes.into_iter().map(|lane| lane.into_iter().map(|one| one.message).collect()).collect()
    }

    /// The partition is active, or its present takeover has begun.
    pub fn has_begun(&self, partition: usize) -> bool {
        self.core.is_active(number(partition)) || self.restorer.has_begun(&self.core, partition)
    }

    /// Everything up to the log's end is folded and acknowledged, and the group's offset is there
    /// or nothing was to be said to it.
    pub fn is_done(&mut self, partition: usize, end: i64) -> bool {
        let asked = self.asked[partition];
        let mut all = self.core.committable();
        all.any(|one| {
            index(one.partition) == partition
                && one.offset == end
                && asked == end
                && one.commits.confirmed() == end
        })
    }

    /// Nothing is under way, here or at the coordinator.
    pub fn is_at_rest(&self, world: &World, me: Me) -> bool {
        self.restorer.is_at_rest()
            && self.to_send.is_empty()
            && self.producer.outstanding() == 0
            && self.core.queued_bytes() == 0
            && !world.groups[FIRST_SEEN].has_told(me.number)
            && !world.groups[FIRST_SEEN].has_commits(me.number)
    }

    /// A random micro-step.
    pub fn micro(&mut self, world: &mut World, me: Me) -> Step {
        let poll = self.to_send.is_empty();
        let group = &world.groups[FIRST_SEEN];
        let hear = if group.is_zombie(me.number) { 2 } else { 8 };
        let if_polls = |weight: usize, can: bool| if poll && can { weight } else { 0 };
        let reading = self.readers.iter().flatten();
        let choices = [
            (if_polls(hear, group.has_told(me.number) || !self.joined), Micro::Hear),
            (if self.restorer.has_work() { 14 } else { 0 }, Micro::Restore),
            (if_polls(12, !self.restorer.restored.is_empty()), Micro::Activate),
            (if_polls(8, self.readers.iter().any(Option::is_some)), Micro::Fetch),
            (if_polls(10, reading.clone().any(|one| !one.buffer.is_empty())), Micro::Deliver),
            (if_polls(8, true), Micro::Fold),
            (if poll { 0 } else { 14 }, Micro::Send),
            (if self.producer.has_unsent() { 10 } else { 0 }, Micro::Broker),
            (if_polls(10, self.producer.has_unacknowledged()), Micro::Acknowledge),
            (if_polls(6, true), Micro::Commit),
            (if group.has_commits(me.number) { 8 } else { 0 }, Micro::CommitArrives),
            (if_polls(3, true), Micro::Confirm),
            (if_polls(2, true), Micro::Sweep),
        ];
        let Some(micro) = world.rng.weighted(&choices) else { return Step::Idle };
        self.do_one(micro, world, me)
    }

    pub fn do_one(&mut self, micro: Micro, world: &mut World, me: Me) -> Step {
        if world.groups[FIRST_SEEN].is_zombie(me.number) {
            world.note(Reached::Zombie);
        }
        match micro {
            Micro::Hear => self.hear(world, me),
            Micro::Restore => self.restorer.micro(&self.core, world, me),
            Micro::Activate => self.activate(world, me),
            Micro::Fetch => {
                let at = world.rng.below(self.readers.len());
                let most = 1 + world.rng.below(8);
                self.fetch(at, most, world, me)
            }
            Micro::Deliver => {
                let at = world.rng.below(self.readers.len());
                let most = 1 + world.rng.below(8);
                self.deliver(at, most, world, me)
            }
            Micro::Fold => {
                let only = world.rng.percent(30).then(|| world.rng.below(self.readers.len()));
                self.fold(only, world, me)
            }
            Micro::Send => self.send(world, me),
            Micro::Broker => {
                let nth = world.rng.below(ALERT_LANES + self.readers.len());
                let twice = world.rng.percent(4);
                self.broker(nth, twice, world)
            }
            Micro::Acknowledge => {
                let nth = world.rng.below(ALERT_LANES + self.readers.len());
                self.acknowledge(nth, world, me)
            }
            Micro::Commit => self.commit(world, me),
            Micro::CommitArrives => {
                if world.rng.percent(15) {
                    say!(world, "{} commit lost", me.number);
                    world.groups[FIRST_SEEN].lose_commit(me.number);
                    world.note(Reached::CommitLost);
                } else {
                    world.commit_arrives(FIRST_SEEN, me.number);
                }
                Step::Done
            }
            Micro::Confirm => {
                self.confirm(world);
                Step::Done
            }
            Micro::Sweep => self.sweep(world, me),
        }
    }

    /// Everything once, in the order of the driver's loop, as far as it goes.
    pub fn turn(&mut self, world: &mut World, me: Me) -> Step {
        while world.groups[FIRST_SEEN].has_told(me.number) || !self.joined {
            if self.hear(world, me) == Step::Died {
                return Step::Died;
            }
        }
        if self.restorer.turn(&self.core, world, me) == Step::Died {
            return Step::Died;
        }
        while !self.restorer.restored.is_empty() {
            self.activate(world, me);
            self.send(world, me);
        }
        for partition in 0..self.readers.len() {
            loop {
                self.fetch(partition, usize::MAX, world, me);
                if self.deliver(partition, usize::MAX, world, me) == Step::Idle {
                    break;
                }
                if self.fold(Some(partition), world, me) == Step::Died {
                    return Step::Died;
                }
                self.send(world, me);
            }
        }
        if self.fold(None, world, me) == Step::Died {
            return Step::Died;
        }
        self.send(world, me);
        while self.broker(0, false, world) == Step::Done {}
        while self.acknowledge(0, world, me) == Step::Done {}
        self.confirm(world);
        self.commit(world, me);
        while world.groups[FIRST_SEEN].has_commits(me.number) {
            world.commit_arrives(FIRST_SEEN, me.number);
        }
        self.confirm(world);
        Step::Done
    }

    /// Takes in all that there is and folds it in one step; nothing of it is sent yet.
    pub fn fold_at_once(&mut self, world: &mut World, me: Me) -> Step {
        if !self.to_send.is_empty() {
            return Step::Idle;
        }
        for partition in 0..self.readers.len() {
            self.fetch(partition, usize::MAX, world, me);
            self.deliver(partition, usize::MAX, world, me);
        }
        self.fold(None, world, me)
    }

    fn failed(&self, error: &FirstSeenError, world: &mut World) -> Step {
        if !matches!(error, FirstSeenError::Partition(PartitionError::Store(_))) {
            world.fail(Kind::Refused, format!("the core refused a step: {error}"));
        }
        // The half ends, and the process with it.
        Step::Died
    }

    /// The partition is not this owner's any more, as it was.
    fn give_up(&mut self, partition: usize) {
        self.readers[partition] = None;
        self.sent.retain(|(of, _), _| *of != partition);
    }

    fn ask(&mut self, request: Request) {
        self.give_up(index(request.partition));
        self.restorer.ask(request);
    }

    /// The restorer reads a record or two.
    pub fn restore_a_bit(&mut self, world: &mut World, me: Me) -> Step {
        self.restorer.a_bit(world, me)
    }

    /// Takeovers that were cancelled and have not noticed go on to their ends.
    pub fn end_stale(&mut self, world: &mut World, me: Me) -> Step {
        self.restorer.end_stale(&self.core, world, me)
    }

    fn activate(&mut self, world: &mut World, me: Me) -> Step {
        let Some(restored) = self.restorer.restored.pop_front() else { return Step::Idle };
        let partition = index(restored.request.partition);
        let (acknowledged, next) = (restored.acknowledged, restored.state.next);
        let resent = restored.resend.len() as u64;
        let mut sent = Vec::new();
        match self.core.restored(restored, &mut sent) {
            Ok(Some(from)) => {
                say!(
                    world,
                    "{} owns {partition}: acknowledged {acknowledged}, next {next}, {resent} sent again",
                    me.number
                );
                world.coverage.note(Reached::Resent, resent);
                self.asked[partition] = acknowledged;
                self.readers[partition] = Some(Reader { position: from, buffer: VecDeque::new() });
                self.to_send.extend(sent);
                Step::Done
            }
            Ok(None) => Step::Done,
            Err(error) => self.failed(&error, world),
        }
    }

    /// Reads on; `Idle` when there is nothing new or no room for it.
    fn fetch(&mut self, partition: usize, most: usize, world: &mut World, me: Me) -> Step {
        let log = &world.logs[partition];
        let Some(reader) = &mut self.readers[partition] else { return Step::Idle };
        if reader.position < log.start {
            say!(world, "{} reads {partition} out of range", me.number);
            for request in self.core.take_over_all() {
                self.ask(request);
            }
            return Step::Idle;
        }
        let mut read = 0;
        while read < most.min(QUEUED_MAX)
            && reader.buffer.len() < QUEUED_MAX
            && let Some(record) = log.at_or_after(reader.position)
        {
            reader.position = record.offset + 1;
            reader.buffer.push_back(record.clone());
            read += 1;
        }
        if read == 0 { Step::Idle } else { Step::Done }
    }

    fn deliver(&mut self, partition: usize, most: usize, world: &mut World, me: Me) -> Step {
        let Some(reader) = &mut self.readers[partition] else { return Step::Idle };
        let mut delivered = 0;
        while delivered < most
            && self.core.queued_bytes() < QUEUED_MAX
            && let Some(record) = reader.buffer.pop_front()
        {
            let setup = &world.setup;
            self.core.receive(number(partition), record.offset, record.append_ms, 1, || {
                decode(setup, &record.content)
            });
            delivered += 1;
        }
        if delivered > 0 {
            say!(world, "{} takes in {delivered} of {partition}", me.number);
        }
        if self.core.queued_bytes() > QUEUED_MAX {
            world.fail(Kind::Bound, "more waits to be folded than may".to_owned());
        }
        if delivered == 0 { Step::Idle } else { Step::Done }
    }

    /// A step of the core, of one partition or of all.
    fn fold(&mut self, only: Option<usize>, world: &mut World, me: Me) -> Step {
        let first = world.next_stamp();
        let payloads = RefCell::new(Vec::new());
        let id = RefCell::new(world.log_ids);
        let env = Env {
            times: me.times,
            encode: &|raised| {
                let mut payloads = payloads.borrow_mut();
                let record = alerts::encode(raised, first + payloads.len() as u64);
                payloads.push(record.payload.clone());
                Ok(Some(record))
            },
            new_log_id: &|| {
                *id.borrow_mut() += 1;
                format!("log{}", id.borrow())
            },
        };
        let mut sent = Vec::new();
        let before: Vec<Option<i64>> = (0..self.readers.len())
            .map(|partition| Some(self.core.state(number(partition))?.next))
            .collect();
        let anew = match only {
            Some(partition) => self
                .core
                .step_one(number(partition), &env, &mut sent)
                .map(|request| request.into_iter().collect::<Vec<_>>()),
            None => self.core.step(&env, &mut sent),
        };
        world.log_ids = id.into_inner();
        world.encoded(payloads.into_inner());
        let anew = match anew {
            Ok(anew) => anew,
            Err(error) => {
                if self.disk.is_dead() && !sent.is_empty() {
                    world.note(Reached::CrashInWrite);
                }
                return self.failed(&error, world);
            }
        };
        self.look_at_step(&before, &sent, world, me);
        for request in anew {
            say!(world, "{} was away and takes {} over anew", me.number, request.partition);
            world.note(Reached::Away);
            self.ask(request);
        }
        self.to_send.extend(sent);
        if !self.to_send.is_empty() && world.mishap(2) {
            world.note(Reached::CrashBeforeSend);
            return Step::Died;
        }
        Step::Done
    }

    /// Coverage, and the outbox's bound: a write leaves nothing below what was known to be
    /// committed.
    fn look_at_step(&mut self, before: &[Option<i64>], sent: &[Sent], world: &mut World, me: Me) {
        let confirmed: Vec<(usize, i64)> = self
            .core
            .committable()
            .map(|one| (index(one.partition), one.commits.confirmed()))
            .collect();
        for (partition, confirmed) in confirmed {
            let Some(state) = self.core.state(number(partition)) else { continue };
            if before[partition] == Some(state.next) {
                continue;
            }
            say!(world, "{} folds {partition} up to {}", me.number, state.next);
            if state.marker_owed_from.is_some() {
                world.note(Reached::MarkerOwed);
            }
            let outbox = self.disk.outbox(number(partition), 0, confirmed);
            if outbox.is_ok_and(|records| !records.is_empty()) {
                world.fail(
                    Kind::Bound,
                    format!("the outbox of {partition} holds what is committed below {confirmed}"),
                );
            }
        }
        let mut raised: Vec<(i32, Alert)> = Vec::new();
        for one in sent {
            if let Outgoing::Alert { record, .. } = &one.outgoing {
                let alert = alerts::decode(&record.payload);
                if !alert.revision
                    && raised.iter().any(|(partition, other)| {
                        *partition == one.partition && other.term == alert.term
                    })
                {
                    world.note(Reached::WindowTwice);
                }
                raised.push((one.partition, Alert { revision: false, ..alert }));
            }
        }
    }

    /// Hands everything that the core wants sent to the producer; the process may die at any of
    /// it.
    fn send(&mut self, world: &mut World, me: Me) -> Step {
        let zombie = world.groups[FIRST_SEEN].is_zombie(me.number);
        while let Some(Sent { partition, epoch, outgoing }) = self.to_send.pop_front() {
            if zombie {
                world.note(Reached::ZombieSend);
            }
            let (lane, message, acknowledgement) = match outgoing {
                Outgoing::Alert { offset, record } => {
                    let alert = alerts::decode(&record.payload);
                    say!(world, "{} sends {alert:?} of {partition}@{offset}", me.number);
                    world.check_send(index(partition), offset, alert, &record.payload);
                    self.sent.entry((index(partition), offset)).or_default().push(alert);
                    (
                        alert.first_act as usize % ALERT_LANES,
                        Message::Alert(alert),
                        Acknowledgement::Alert { partition, epoch, offset },
                    )
                }
                Outgoing::Marker { serial, marker } => {
                    say!(world, "{} sends {marker:?} to {partition}", me.number);
                    let partition_log = index(partition);
                    if world.truths[partition_log].markers() > 0 {
                        world.note(Reached::MarkerRepeated);
                    }
                    (
                        ALERT_LANES + partition_log,
                        Message::Marker { partition: partition_log, marker: Arc::new(marker) },
                        Acknowledgement::Marker { partition, epoch, serial },
                    )
                }
            };
            self.producer.send(lane, UnderWay { message, acknowledgement });
        }
        Step::Done
    }

    fn broker(&mut self, nth: usize, answer_lost: bool, world: &mut World) -> Step {
        let is_down = |lane: usize| {
            world.is_down(if lane < ALERT_LANES { lane } else { lane - ALERT_LANES + OBSERVATIONS })
        };
        let Some(one) = self.producer.append(nth, answer_lost, is_down) else { return Step::Idle };
        if answer_lost {
            world.note(Reached::AppendTwice);
        }
        world.land(&one.message);
        Step::Done
    }

    fn acknowledge(&mut self, nth: usize, world: &mut World, me: Me) -> Step {
        let Some(one) = self.producer.acknowledge(nth) else { return Step::Idle };
        say!(world, "{} hears that {:?} is acknowledged", me.number, one.message);
        match one.acknowledgement {
            Acknowledgement::Alert { partition, epoch, offset } => {
                if let Err(error) = self.core.alert_acknowledged(partition, epoch, offset) {
                    return self.failed(&error, world);
                }
            }
            Acknowledgement::Marker { partition, epoch, serial } => {
                self.core.marker_acknowledged(partition, epoch, serial, me.times);
            }
        }
        Step::Done
    }

    fn sweep(&mut self, world: &mut World, me: Me) -> Step {
        match self.core.sweep(me.times) {
            Ok(anew) => {
                world.note(Reached::Swept);
                for request in anew {
                    self.ask(request);
                }
                Step::Done
            }
            Err(error) => self.failed(&error, world),
        }
    }
}

pub fn number(partition: usize) -> i32 {
    i32::try_from(partition).unwrap()
}

pub fn index(partition: i32) -> usize {
    usize::try_from(partition).unwrap()
}
