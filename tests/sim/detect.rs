//! The detect half of one instance, driven as the Kafka driver does it: a thread that polls, a pool
//! of workers that finish in any order, a producer behind them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use kubetell::detect::ledger::{Admission, Ledger};
use kubetell::detect::pool::{AlertMark, Mark, Product, Settled};
use kubetell::detect::recent::ObservationMark;
use kubetell::ingest::watermark::WatermarkError;
use kubetell::limits::REVISION_MAX_MS;
use kubetell::output::producer::{Output, OutputKind, Ticket};

use crate::coverage::Reached;
use crate::first_seen::{Me, Step};
use crate::group::{GroupOffset, Told};
use crate::producer::Producer;
use crate::setup::Observed;
use crate::world::{
    ALERT_LANES, DEAD_LETTERS, DETECT, Item, Kind, Message, OBSERVATIONS, World, say,
};

/// Records under way before reading stops.
const UNDER_WAY_MAX: usize = 24;

#[derive(Debug)]
struct UnderWay {
    message: Message,
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Micro {
    Hear,
    Fetch,
    Work,
    Broker,
    Acknowledge,
    Commit,
    CommitArrives,
    AskAgain,
}

pub struct DetectHalf {
    ledger: Ledger,
    /// By source partition: where the client reads on.
    positions: Vec<Option<i64>>,
    /// Records in the pool, and whether they are there again.
    work: Vec<(Ticket, bool)>,
    producer: Producer<UnderWay>,
    asked: Vec<i64>,
    joined: bool,
    /// Events that were sent without an outcome, with the time of the last sending.
    untold: BTreeMap<(u32, usize), i64>,
    topic: Arc<str>,
}

impl DetectHalf {
    pub fn new(world: &World) -> DetectHalf {
        let partitions = world.setup.source_partitions;
        DetectHalf {
            ledger: Ledger::new(world.faults, world.setup.cache_bytes),
            positions: vec![None; partitions],
            work: Vec::new(),
            producer: Producer::new(OBSERVATIONS + world.setup.partitions),
            asked: vec![0; partitions],
            joined: false,
            untold: BTreeMap::new(),
            topic: "t".into(),
        }
    }

    pub fn into_unsent(self) -> Vec<VecDeque<Message>> {
        let lanes = self.producer.into_unsent();
        lanes.into_iter().map(|lane| lane.into_iter().map(|one| one.message).collect()).collect()
    }

    pub fn is_at_rest(&self, world: &World, me: Me) -> bool {
        self.work.is_empty()
            && self.producer.outstanding() == 0
            && !world.groups[DETECT].has_told(me.number)
            && !world.groups[DETECT].has_commits(me.number)
    }

    pub fn micro(&mut self, world: &mut World, me: Me) -> Step {
        let group = &world.groups[DETECT];
        let hear = if group.is_zombie(me.number) { 2 } else { 8 };
        let choices = [
            (if group.has_told(me.number) || !self.joined { hear } else { 0 }, Micro::Hear),
            (if self.positions.iter().any(Option::is_some) { 8 } else { 0 }, Micro::Fetch),
            (if self.work.is_empty() { 0 } else { 14 }, Micro::Work),
            (if self.producer.has_unsent() { 12 } else { 0 }, Micro::Broker),
            (if self.producer.has_unacknowledged() { 10 } else { 0 }, Micro::Acknowledge),
            (5, Micro::Commit),
            (if group.has_commits(me.number) { 8 } else { 0 }, Micro::CommitArrives),
            (2, Micro::AskAgain),
        ];
        let Some(micro) = world.rng.weighted(&choices) else { return Step::Idle };
        if group.is_zombie(me.number) {
            world.note(Reached::Zombie);
        }
        let lanes = OBSERVATIONS + world.setup.partitions;
        match micro {
            Micro::Hear => self.hear(world, me),
            Micro::Fetch => {
                let at = world.rng.below(self.positions.len());
                let most = 1 + world.rng.below(6);
                self.fetch(at, most, world, me)
            }
            Micro::Work => {
                let at = world.rng.below(self.work.len());
                self.work(at, world, me)
            }
            Micro::Broker => {
                let nth = world.rng.below(lanes);
                let twice = world.rng.percent(4);
                self.broker(nth, twice, world)
            }
            Micro::Acknowledge => {
                let nth = world.rng.below(lanes);
                self.acknowledge(nth, world, me)
            }
            Micro::Commit => self.commit(world, me),
            Micro::CommitArrives => {
                if world.rng.percent(15) {
                    say!(world, "{} commit lost", me.number);
                    world.groups[DETECT].lose_commit(me.number);
                    world.note(Reached::CommitLost);
                } else {
                    world.commit_arrives(DETECT, me.number);
                }
                Step::Done
            }
            Micro::AskAgain => {
                self.ask_again(world);
                Step::Done
            }
        }
    }

    /// Everything once, in the order of the driver's loop, as far as it goes.
    pub fn turn(&mut self, world: &mut World, me: Me) -> Step {
        while world.groups[DETECT].has_told(me.number) || !self.joined {
            if self.hear(world, me) == Step::Died {
                return Step::Died;
            }
        }
        for partition in 0..self.positions.len() {
            while self.fetch(partition, usize::MAX, world, me) == Step::Done {
                self.pump(world, me);
            }
        }
        self.pump(world, me);
        self.ask_again(world);
        self.commit(world, me);
        while world.groups[DETECT].has_commits(me.number) {
            world.commit_arrives(DETECT, me.number);
        }
        Step::Done
    }

    /// Works off what was read, up to the acknowledgements.
    pub fn pump(&mut self, world: &mut World, me: Me) {
        while !self.work.is_empty() {
            self.work(0, world, me);
        }
        while self.broker(0, false, world) == Step::Done {}
        while self.acknowledge(0, world, me) == Step::Done {}
    }

    fn refused(&self, result: Result<(), WatermarkError>, world: &mut World) {
        if let Err(error) = result {
            world.fail(Kind::Refused, format!("the ledger refused a step: {error}"));
        }
    }

    pub fn hear(&mut self, world: &mut World, me: Me) -> Step {
        if self.join(world, me) {
            return Step::Done;
        }
        let Some(told) = world.groups[DETECT].hear(me.number) else { return Step::Idle };
        say!(world, "{} hears: {told:?} (source)", me.number);
        match told {
            Told::Assigned(partitions) => {
                for partition in partitions {
                    let committed = world.groups[DETECT].offsets[partition].as_ref();
                    let start = committed.map_or(0, |one| one.offset);
                    let start = start.max(world.source_start[partition]);
                    self.ledger.assigned(slot(partition), start);
                    self.positions[partition] = Some(start);
                    self.asked[partition] = start;
                }
                Step::Done
            }
            Told::Revoked(partitions) => self.revoke(&partitions, world, me),
            Told::Lost => {
                let all: Vec<usize> = (0..self.positions.len()).collect();
                self.release(&all);
                self.joined = false;
                world.note(Reached::Lost);
                Step::Done
            }
        }
    }

    /// Joins the group, if it is not in it.
    pub fn join(&mut self, world: &mut World, me: Me) -> bool {
        if self.joined {
            return false;
        }
        say!(world, "{} joins the detect group", me.number);
        world.groups[DETECT].join(me.number);
        self.joined = true;
        true
    }

    fn release(&mut self, partitions: &[usize]) {
        self.ledger.released(partitions.iter().map(|partition| slot(*partition)));
        for partition in partitions {
            self.positions[*partition] = None;
        }
    }

    fn revoke(&mut self, partitions: &[usize], world: &mut World, me: Me) -> Step {
        world.note(Reached::Revoke);
        let mut patience = if world.calm { 200 } else { *world.rng.pick(&[0, 2, 60, 60, 60]) };
        let lanes = OBSERVATIONS + world.setup.partitions;
        while patience > 0 && self.under_way(partitions) > 0 {
            patience -= 1;
            if !self.work.is_empty() {
                self.work(0, world, me);
            }
            let nth = world.rng.below(lanes);
            self.broker(nth, false, world);
            self.acknowledge(nth, world, me);
        }
        if self.under_way(partitions) > 0 {
            world.note(Reached::UndrainedRevoke);
        }
        if world.mishap(5) {
            return Step::Died;
        }
        while world.groups[DETECT].has_commits(me.number) {
            world.commit_arrives(DETECT, me.number);
        }
        if !world.mishap(10) {
            let offsets = self.committable(world, Some(partitions));
            if !offsets.is_empty() {
                world.groups[DETECT].send_commit(me.number, offsets);
                if !world.mishap(15) {
                    world.commit_arrives(DETECT, me.number);
                }
            }
        }
        if world.mishap(5) {
            return Step::Died;
        }
        self.release(partitions);
        world.groups[DETECT].gave_back(me.number, partitions);
        Step::Done
    }

    pub fn stop(&mut self, world: &mut World, me: Me) -> Step {
        let all: Vec<usize> = (0..self.positions.len()).collect();
        let step = self.revoke(&all, world, me);
        world.groups[DETECT].leave(me.number);
        step
    }

    fn under_way(&self, partitions: &[usize]) -> usize {
        partitions.iter().map(|partition| self.ledger.under_way(slot(*partition))).sum()
    }

    /// Takes records in; `Idle` when there is nothing new or no room for it.
    fn fetch(&mut self, partition: usize, most: usize, world: &mut World, me: Me) -> Step {
        let Some(position) = &mut self.positions[partition] else { return Step::Idle };
        let start = world.source_start[partition];
        if *position < start {
            // Out of range: goes on where the log begins. What was deleted is done with.
            say!(world, "{} reads source {partition} out of range", me.number);
            *position = start;
            if let Admission::New(ticket) = self.ledger.look(slot(partition), start - 1) {
                let passed = self.ledger.pass(ticket);
                self.refused(passed, world);
            }
            return Step::Done;
        }
        let mut read = 0;
        while read < most && self.work.len() < UNDER_WAY_MAX {
            let records = &world.source[partition];
            let Some(items) = records.get(usize::try_from(*position).unwrap()) else { break };
            let taken = match self.ledger.look(slot(partition), *position) {
                Admission::New(ticket) if items.is_empty() => self.ledger.pass(ticket),
                Admission::New(ticket) => {
                    self.work.push((ticket, false));
                    self.ledger.admit(ticket)
                }
                Admission::AlreadySeen | Admission::NotOwned => Ok(()),
            };
            *position += 1;
            read += 1;
            if let Err(error) = taken {
                world.fail(Kind::Refused, format!("the ledger refused a record: {error}"));
            }
        }
        if read > 0 {
            say!(world, "{} takes in {read} of source {partition}", me.number);
        }
        if read == 0 { Step::Idle } else { Step::Done }
    }

    /// A worker is done with a record.
    fn work(&mut self, at: usize, world: &mut World, me: Me) -> Step {
        let (ticket, again) = self.work.swap_remove(at);
        let partition = ticket.slot as usize;
        let items = world.source[partition][usize::try_from(ticket.offset).unwrap()].clone();
        let mut products: Vec<Product> = items
            .iter()
            .enumerate()
            .map(|(at, item)| self.product(ticket, at, *item, world))
            .collect();
        // What workers take for likely to be spared may be anything: here every other one.
        let left = products.extract_if(.., |product| {
            let nth = ticket.offset + i64::from(product.output.payload.as_ref().unwrap()[0]);
            product.output.kind == OutputKind::Observation && !again && nth % 2 == 0
        });
        let marks = left.map(|product| product.mark);
        let unwritten = marks.filter_map(|mark| match mark {
            Mark::Observation(mark) => Some(mark),
            Mark::Alert(_) | Mark::DeadLetter => None,
        });
        let unwritten = unwritten.collect();
        let settled = Settled { ticket, size: 1, products, unwritten };
        let mut send = Vec::new();
        let current = self.ledger.look(ticket.slot, i64::MAX - 1);
        let current = matches!(current, Admission::New(now) if now.epoch == ticket.epoch);
        let counted = match self.ledger.settle(settled, me.times.boot_ms, &mut send) {
            Ok(Some(counted)) => counted,
            Ok(None) => {
                say!(world, "{} settles source {partition}@{} again", me.number, ticket.offset);
                world.note(Reached::SettledAgain);
                self.work.push((ticket, true));
                return Step::Done;
            }
            Err(error) => {
                self.refused(Err(error), world);
                return Step::Done;
            }
        };
        world.coverage.note(Reached::ExecRepeat, counted.repeats);
        let mut sent = vec![false; items.len()];
        for output in send {
            let at = usize::from(output.payload.as_ref().unwrap()[0]);
            sent[at] = true;
            let (lane, message) = lane_and_message(&items[at], ticket, world);
            say!(world, "{} sends {message:?} of source {partition}@{}", me.number, ticket.offset);
            if world.groups[DETECT].is_zombie(me.number) {
                world.note(Reached::ZombieSend);
            }
            if let Item::Seen { act, term, outcome: false } = items[at] {
                self.untold.insert((act, term), world.now_ms);
            }
            self.producer.send(lane, UnderWay { message, output });
        }
        for (item, sent) in items.iter().zip(sent) {
            if let (true, false, Item::Seen { act, term, outcome }) = (current, sent, *item) {
                say!(world, "{} leaves out {item:?}", me.number);
                world.check_skip(act, term, outcome);
                let untold = self.untold.get(&(act, term));
                if outcome && untold.is_some_and(|sent| world.now_ms - sent < REVISION_MAX_MS) {
                    world.fail(
                        Kind::Skip,
                        format!("the outcome of {act} was left out, which it sent without one"),
                    );
                }
            }
        }
        Step::Done
    }

    fn product(&self, ticket: Ticket, at: usize, item: Item, world: &World) -> Product {
        let (kind, key, mark) = match item {
            Item::Exec { act, outcome } => (
                OutputKind::Alert,
                act.to_string().into_bytes(),
                Mark::Alert(AlertMark {
                    id: act.to_string(),
                    rule_id: String::new(),
                    revision: if outcome { 3 } else { 1 },
                    outcome_known: outcome,
                    event_time_ms: None,
                    append_ms: None,
                    suppression: None,
                }),
            ),
            Item::Seen { act, term, outcome } => (
                OutputKind::Observation,
                world.setup.terms[term].key.clone(),
                Mark::Observation(ObservationMark::new(
                    &world.setup.terms[term].key,
                    &act.to_string(),
                    outcome,
                    world.setup.window_ms(term),
                )),
            ),
            Item::Unreadable => (OutputKind::DeadLetter, Vec::new(), Mark::DeadLetter),
        };
        let output = Output {
            kind,
            topic: Arc::clone(&self.topic),
            partition: None,
            key: Some(key),
            payload: Some(vec![u8::try_from(at).unwrap()]),
            headers: Vec::new(),
            reduced: None,
            ticket,
            serial: 0,
        };
        Product { output, mark }
    }

    fn broker(&mut self, nth: usize, answer_lost: bool, world: &mut World) -> Step {
        let is_down = |lane: usize| world.is_down(lane);
        let Some(one) = self.producer.append(nth, answer_lost, is_down) else { return Step::Idle };
        if answer_lost {
            world.note(Reached::AppendTwice);
        }
        world.land(&one.message);
        Step::Done
    }

    /// What the ledger keeps of outputs is what is under way.
    fn check_bounds(&self, world: &mut World) {
        if self.ledger.open() != self.producer.outstanding() {
            world.fail(
                Kind::Bound,
                format!(
                    "the ledger keeps {} outputs, and {} are under way",
                    self.ledger.open(),
                    self.producer.outstanding()
                ),
            );
        }
    }

    fn acknowledge(&mut self, nth: usize, world: &mut World, me: Me) -> Step {
        let Some(one) = self.producer.acknowledge(nth) else { return Step::Idle };
        say!(world, "{} hears that {:?} is acknowledged", me.number, one.message);
        let times = if world.mishap(3) { 2 } else { 1 };
        for _ in 0..times {
            let result = self.ledger.acknowledge(&one.output, me.times.boot_ms).map(|_| ());
            self.refused(result, world);
        }
        if let Message::Observation(Observed { act, term, outcome: true, .. }) = one.message {
            self.untold.remove(&(act, term));
        }
        self.check_bounds(world);
        Step::Done
    }

    fn committable(&mut self, world: &World, only: Option<&[usize]>) -> Vec<(usize, GroupOffset)> {
        let mut offsets = Vec::new();
        for partition in 0..self.positions.len() {
            let Some(offset) = self.ledger.committable(slot(partition)) else { continue };
            if only.is_none_or(|only| only.contains(&partition)) && offset > self.asked[partition] {
                self.asked[partition] = offset;
                let log = world.making;
                offsets.push((partition, GroupOffset { offset, metadata: String::new(), log }));
            }
        }
        offsets
    }

    fn commit(&mut self, world: &mut World, me: Me) -> Step {
        let offsets = self.committable(world, None);
        if offsets.is_empty() {
            return Step::Idle;
        }
        say!(world, "{} commits {offsets:?} (source)", me.number);
        world.groups[DETECT].send_commit(me.number, offsets);
        Step::Done
    }

    /// Looks up which commits succeeded; the others are asked for again.
    fn ask_again(&mut self, world: &World) {
        for (partition, asked) in self.asked.iter_mut().enumerate() {
            let known = world.groups[DETECT].offsets[partition].as_ref();
            *asked = (*asked).min(known.map_or(0, |one| one.offset));
        }
    }
}

fn slot(partition: usize) -> u32 {
    u32::try_from(partition).unwrap()
}

fn lane_and_message(item: &Item, ticket: Ticket, world: &World) -> (usize, Message) {
    match *item {
        Item::Exec { act, outcome } => (act as usize % ALERT_LANES, Message::Exec { act, outcome }),
        Item::Seen { act, term, outcome } => (
            OBSERVATIONS + world.setup.terms[term].partition,
            Message::Observation(Observed { term, act, outcome, history: false }),
        ),
        Item::Unreadable => (
            DEAD_LETTERS,
            Message::DeadLetter { partition: ticket.slot as usize, offset: ticket.offset },
        ),
    }
}
