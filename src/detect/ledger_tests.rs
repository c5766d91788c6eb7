use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::*;
use crate::detect::pool::{AlertMark, Product};
use crate::detect::recent::ObservationMark;
use crate::limits::HOUR_MS;
use crate::output::producer::OutputKind;

fn alert(ticket: Ticket, id: &str, outcome_known: bool) -> Product {
    Product {
        output: Output {
            kind: OutputKind::Alert,
            topic: "alerts".into(),
            partition: None,
            key: Some(id.as_bytes().to_vec()),
            payload: Some(vec![u8::from(outcome_known)]),
            headers: Vec::new(),
            reduced: None,
            ticket,
            serial: 0,
        },
        mark: Mark::Alert(AlertMark {
            id: id.to_owned(),
            rule_id: "rule".to_owned(),
            revision: 1 + u8::from(outcome_known),
            outcome_known,
            event_time_ms: None,
            append_ms: None,
            suppression: None,
        }),
    }
}

fn take(ledger: &Ledger, slot: u32, offset: i64) -> Ticket {
    let Admission::New(ticket) = ledger.look(slot, offset) else { panic!("{slot} {offset}") };
    ticket
}

/// Admits and settles a record that raises alerts of these ids, each with whether the outcome is
/// known; what is sent of it.
fn raise(ledger: &mut Ledger, slot: u32, offset: i64, ids: &[(&str, bool)]) -> Vec<Output> {
    let ticket = take(ledger, slot, offset);
    ledger.admit(ticket).unwrap();
    let products = ids.iter().map(|(id, known)| alert(ticket, id, *known)).collect();
    let mut send = Vec::new();
    ledger
        .settle(Settled { ticket, size: 1, products, unwritten: Vec::new() }, 0, &mut send)
        .unwrap();
    send
}

#[test]
fn commits_only_what_is_acknowledged_whole() {
    let mut ledger = Ledger::new(Faults::NONE, 0);
    ledger.assigned(1, 10);
    assert_eq!((ledger.committable(0), ledger.committable(1)), (None, Some(10)));
    let sent = raise(&mut ledger, 1, 10, &[("a", true), ("b", true)]);
    ledger.pass(take(&ledger, 1, 12)).unwrap();
    assert_eq!(sent.len(), 2);
    ledger.acknowledge(&sent[1], 0).unwrap();
    assert_eq!((ledger.committable(1), ledger.under_way(1)), (Some(10), 1));
    ledger.acknowledge(&sent[0], 0).unwrap();
    assert_eq!((ledger.committable(1), ledger.under_way(1)), (Some(13), 0));
}

#[test]
fn an_acknowledgement_that_comes_twice_counts_once() {
    let mut ledger = Ledger::new(Faults::NONE, 0);
    ledger.assigned(0, 0);
    let sent = raise(&mut ledger, 0, 0, &[("a", true), ("b", true)]);
    assert!(ledger.acknowledge(&sent[0], 0).unwrap().is_some());
    assert_eq!(ledger.acknowledge(&sent[0], 0), Ok(None));
    assert_eq!(ledger.committable(0), Some(0), "the other one is not acknowledged");
}

/// A mark was kept by ticket and id once, so that the second of these two took the first one's
/// place and one alert went uncounted.
#[test]
fn two_stages_in_one_record_are_an_alert_and_a_revision() {
    let mut ledger = Ledger::new(Faults::NONE, 0);
    ledger.assigned(0, 0);
    let sent = raise(&mut ledger, 0, 0, &[("a", false), ("a", true), ("a", true)]);
    assert_eq!(sent.len(), 2);
    let revisions: Vec<u8> = sent
        .iter()
        .map(|output| match ledger.acknowledge(output, 0) {
            Ok(Some(Mark::Alert(mark))) => mark.revision,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(revisions, [1, 2]);
    assert_eq!((ledger.open(), ledger.committable(0)), (0, Some(1)));
}

/// Two stages of one event in two partitions: the second record told nothing and was committed at
/// once, while the first one's alert was on its way. Had that record been deleted before somebody
/// read it again, nobody would have told.
#[test]
fn a_record_whose_alert_another_one_tells_is_done_when_that_is_acknowledged() {
    let mut ledger = Ledger::new(Faults::NONE, 0);
    ledger.assigned(0, 0);
    ledger.assigned(1, 0);
    let sent = raise(&mut ledger, 0, 0, &[("a", true)]);
    assert_eq!(raise(&mut ledger, 1, 0, &[("a", false)]).len(), 0);
    assert_eq!(raise(&mut ledger, 1, 1, &[("a", true)]).len(), 0);
    assert_eq!((ledger.committable(1), ledger.under_way(1)), (Some(0), 2));
    ledger.released([0]);
    ledger.acknowledge(&sent[0], 0).unwrap();
    assert_eq!((ledger.committable(1), ledger.under_way(1)), (Some(2), 0));
    assert!(ledger.telling.is_empty());
}

/// The dead letters have one stage of it. A later one passed for a repeat of what nobody had seen
/// in its place, though its own output might be taken.
#[test]
fn an_alert_that_went_to_the_dead_letters_does_not_count_as_told() {
    let mut ledger = Ledger::new(Faults::NONE, 0);
    ledger.assigned(0, 0);
    let received = raise(&mut ledger, 0, 0, &[("a", false)]);
    assert_eq!(raise(&mut ledger, 0, 1, &[("a", false)]).len(), 0);
    ledger.diverted(&received[0]).unwrap();
    assert_eq!(ledger.committable(0), Some(2), "what waited for it is done");
    let complete = raise(&mut ledger, 0, 2, &[("a", true)]);
    assert_eq!(complete.len(), 1);
    assert_eq!(ledger.committable(0), Some(2));
    ledger.acknowledge(&complete[0], 0).unwrap();
    assert_eq!(raise(&mut ledger, 0, 3, &[("a", true)]).len(), 0, "it is told now");
    assert_eq!((ledger.committable(0), ledger.open()), (Some(4), 0));
}

#[test]
fn a_dead_letter_takes_nothing_back_of_what_a_later_output_tells() {
    let mut ledger = Ledger::new(Faults::NONE, 0);
    ledger.assigned(0, 0);
    let received = raise(&mut ledger, 0, 0, &[("a", false)]);
    let complete = raise(&mut ledger, 0, 1, &[("a", true)]);
    ledger.diverted(&received[0]).unwrap();
    assert_eq!(raise(&mut ledger, 0, 2, &[("a", true)]).len(), 0);
    ledger.acknowledge(&complete[0], 0).unwrap();
    assert_eq!(raise(&mut ledger, 0, 3, &[("a", true)]).len(), 0);
    assert_eq!((ledger.committable(0), ledger.open()), (Some(4), 0));
    assert!(ledger.telling.is_empty());
}

/// The bytes of a record are let go when it is settled. One that tells what another tells has no
/// output of its own whose bytes would be counted, and there was no end to how many could wait.
#[test]
fn records_that_wait_for_an_output_count_until_it_is_done() {
    let mut ledger = Ledger::new(Faults::NONE, 0);
    ledger.assigned(0, 0);
    let sent = raise(&mut ledger, 0, 0, &[("a", true)]);
    assert_eq!(ledger.waiting_bytes(), 0);
    for offset in 1..=1_000 {
        assert_eq!(raise(&mut ledger, 0, offset, &[("a", true)]).len(), 0);
    }
    assert_eq!(ledger.under_way(0), 1_001);
    assert!(ledger.waiting_bytes() >= 1_000 * 4 * size_of::<Ticket>());
    ledger.released([0]);
    assert_ne!(ledger.waiting_bytes(), 0, "it is kept as long as the output is under way");
    ledger.acknowledge(&sent[0], 0).unwrap();
    assert_eq!(ledger.waiting_bytes(), 0);
}

#[test]
fn what_comes_back_from_a_past_assignment_counts_for_nothing() {
    let mut ledger = Ledger::new(Faults::NONE, 0);
    ledger.assigned(0, 5);
    let old = raise(&mut ledger, 0, 5, &[("a", true)]);
    let in_pool = take(&ledger, 0, 6);
    ledger.admit(in_pool).unwrap();
    ledger.released([0]);
    assert_eq!((ledger.look(0, 7), ledger.committable(0)), (Admission::NotOwned, None));

    ledger.assigned(0, 5);
    let new = raise(&mut ledger, 0, 5, &[("a", true)]);
    assert_eq!(new.len(), 1, "its alert may never have arrived, so it is sent again");
    ledger.acknowledge(&old[0], 0).unwrap();
    assert_eq!(ledger.committable(0), Some(5));

    let products = vec![alert(in_pool, "b", true)];
    let mut send = Vec::new();
    let counted = ledger.settle(
        Settled { ticket: in_pool, size: 1, products, unwritten: Vec::new() },
        0,
        &mut send,
    );
    let past = Counted { past: 1, ..Counted::default() };
    assert_eq!((counted, send.len()), (Ok(Some(past)), 0));
    assert_eq!(raise(&mut ledger, 0, 6, &[("b", true)]).len(), 1, "nor does it count as told");

    ledger.acknowledge(&new[0], 0).unwrap();
    assert_eq!((ledger.committable(0), ledger.open()), (Some(6), 1));
}

/// A driver that does not know where the group stands begins at 0 and is told by the first record.
#[test]
fn a_start_that_is_not_known_commits_nothing_before_the_first_record() {
    let mut ledger = Ledger::new(Faults::NONE, 0);
    ledger.assigned(0, 0);
    assert_eq!(ledger.committable(0), Some(0));
    let sent = raise(&mut ledger, 0, 500, &[("a", true)]);
    assert_eq!(ledger.committable(0), Some(500));
    ledger.acknowledge(&sent[0], 0).unwrap();
    assert_eq!(ledger.committable(0), Some(501));
}

#[test]
fn a_record_that_is_delivered_again_is_not_taken_twice() {
    let mut ledger = Ledger::new(Faults::NONE, 0);
    ledger.assigned(0, 0);
    ledger.pass(take(&ledger, 0, 3)).unwrap();
    assert_eq!(ledger.look(0, 3), Admission::AlreadySeen);
    assert_eq!(ledger.look(0, 0), Admission::AlreadySeen);
    assert_eq!(take(&ledger, 0, 4).offset, 4);
}

fn observe(ledger: &mut Ledger, offset: i64, event_id: &str, boot_ms: i64) -> Vec<Output> {
    observe_stage(ledger, offset, event_id, true, boot_ms)
}

fn observe_stage(
    ledger: &mut Ledger,
    offset: i64,
    event_id: &str,
    outcome_known: bool,
    boot_ms: i64,
) -> Vec<Output> {
    let ticket = take(ledger, 0, offset);
    ledger.admit(ticket).unwrap();
    let Product { output, .. } = alert(ticket, "term", true);
    let mark = ObservationMark::new(b"term", event_id, outcome_known, 7 * 24 * HOUR_MS);
    let products = vec![Product {
        output: Output { kind: OutputKind::Observation, ..output },
        mark: Mark::Observation(mark),
    }];
    let mut send = Vec::new();
    ledger
        .settle(Settled { ticket, size: 1, products, unwritten: Vec::new() }, boot_ms, &mut send)
        .unwrap();
    send
}

/// The fold never saw it: a cache that took it for observed would hide the term from it.
#[test]
fn an_observation_that_went_to_the_dead_letters_spares_no_other() {
    let mut ledger = Ledger::new(Faults::NONE, 1 << 20);
    ledger.assigned(0, 0);
    let sent = observe(&mut ledger, 0, "a", 0);
    ledger.diverted(&sent[0]).unwrap();
    assert_eq!((ledger.committable(0), ledger.open()), (Some(1), 0), "it is done");
    assert_eq!(observe(&mut ledger, 1, "b", 10).len(), 1);
}

/// The cache went on to wait for what would never arrive: it grew with every dead letter.
#[test]
fn nothing_is_waited_for_of_an_observation_that_went_to_the_dead_letters() {
    let mut ledger = Ledger::new(Faults::NONE, 1 << 20);
    ledger.assigned(0, 0);
    let first = observe_stage(&mut ledger, 0, "a", false, 0);
    let again = observe_stage(&mut ledger, 1, "a", false, 10);
    assert_eq!(ledger.recent.on_their_way(), 1);
    ledger.diverted(&first[0]).unwrap();
    assert_eq!(ledger.recent.on_their_way(), 1, "the other one is on its way");
    ledger.diverted(&again[0]).unwrap();
    assert_eq!(ledger.recent.on_their_way(), 0);
}

#[test]
fn an_observation_is_spared_once_one_of_its_term_is_acknowledged() {
    let mut ledger = Ledger::new(Faults::NONE, 1 << 20);
    ledger.assigned(0, 0);
    let first = observe(&mut ledger, 0, "a", 0);
    let second = observe(&mut ledger, 1, "b", 10);
    assert_eq!((first.len(), second.len()), (1, 1));
    ledger.acknowledge(&first[0], 20).unwrap();
    assert_eq!(observe(&mut ledger, 2, "c", 30).len(), 0);
    assert_eq!(ledger.committable(0), Some(1), "the second is not acknowledged");
    ledger.acknowledge(&second[0], 40).unwrap();
    assert_eq!(ledger.committable(0), Some(3), "what is spared is done");
    assert_eq!(observe(&mut ledger, 3, "d", HOUR_MS + 10).len(), 0);
    assert_eq!(observe(&mut ledger, 4, "e", HOUR_MS + 11).len(), 1);
}

/// What a past assignment sent is in the log all the same once it is acknowledged.
#[test]
fn an_acknowledgement_after_a_release_still_makes_the_term_known() {
    let mut ledger = Ledger::new(Faults::NONE, 1 << 20);
    ledger.assigned(0, 0);
    let sent = observe(&mut ledger, 0, "a", 0);
    ledger.released([0]);
    ledger.assigned(0, 0);
    ledger.acknowledge(&sent[0], 20).unwrap();
    assert_eq!(observe(&mut ledger, 0, "a", 30).len(), 0);
    assert_eq!((ledger.committable(0), ledger.open()), (Some(1), 0));
}

/// An alert's id with whether the stage tells the outcome.
type Stage = (u8, bool);

/// The records of each source partition: what they raise.
type Logs = Vec<Vec<Vec<Stage>>>;
type Schedule = (Logs, Vec<(u8, Index)>);

/// A world of source partitions, a group's offsets and one instance at a time, whose pool, producer
/// and brokers answer in any order.
struct World {
    ledger: Ledger,
    faults: Faults,
    logs: Logs,
    committed: Vec<usize>,
    /// Per partition that is owned: the next offset to read, and the epoch if it is known.
    position: Vec<Option<(usize, u64)>>,
    pool: Vec<Settled>,
    sent: Vec<Output>,
    acknowledged: Vec<Output>,
    arrived: BTreeSet<Stage>,
}

fn stage_of(output: &Output) -> Stage {
    (output.key.as_deref().unwrap()[0] - b'a', output.payload.as_deref().unwrap()[0] == 1)
}

impl World {
    fn new(logs: Logs, faults: Faults) -> World {
        World {
            ledger: Ledger::new(faults, 0),
            faults,
            committed: vec![0; logs.len()],
            position: vec![None; logs.len()],
            logs,
            pool: Vec::new(),
            sent: Vec::new(),
            acknowledged: Vec::new(),
            arrived: BTreeSet::new(),
        }
    }

    fn assign(&mut self, partition: usize) {
        if self.position[partition].is_none() {
            let start = self.committed[partition];
            self.ledger.assigned(u32::try_from(partition).unwrap(), i64::try_from(start).unwrap());
            self.position[partition] = Some((start, 0));
        }
    }

    fn release(&mut self, partition: usize) {
        self.ledger.released([u32::try_from(partition).unwrap()]);
        self.position[partition] = None;
    }

    fn read(&mut self, partition: usize) {
        let Some((offset, _)) = self.position[partition] else { return };
        let Some(stages) = self.logs[partition].get(offset) else { return };
        let slot = u32::try_from(partition).unwrap();
        let ticket = take(&self.ledger, slot, i64::try_from(offset).unwrap());
        self.position[partition] = Some((offset + 1, ticket.epoch));
        if stages.is_empty() {
            self.ledger.pass(ticket).unwrap();
            return;
        }
        self.ledger.admit(ticket).unwrap();
        let products = stages
            .iter()
            .map(|(id, known)| alert(ticket, &char::from(b'a' + id).to_string(), *known))
            .collect();
        self.pool.push(Settled { ticket, size: 1, products, unwritten: Vec::new() });
    }

    fn settle(&mut self, pick: impl FnOnce(usize) -> usize) {
        if !self.pool.is_empty() {
            let settled = self.pool.swap_remove(pick(self.pool.len()));
            self.ledger.settle(settled, 0, &mut self.sent).unwrap();
        }
    }

    /// The output arrives at its topic, or at the dead letters in its place.
    fn acknowledge(&mut self, diverted: bool, pick: impl FnOnce(usize) -> usize) {
        if !self.sent.is_empty() {
            let output = self.sent.swap_remove(pick(self.sent.len()));
            if diverted {
                self.ledger.diverted(&output).unwrap();
            } else {
                self.ledger.acknowledge(&output, 0).unwrap();
            }
            self.arrived.insert(stage_of(&output));
            self.acknowledged.push(output);
        }
    }

    fn commit(&mut self, partition: usize) -> Result<(), String> {
        let Some(offset) = self.ledger.committable(u32::try_from(partition).unwrap()) else {
            return Ok(());
        };
        let offset = usize::try_from(offset).unwrap();
        if offset < self.committed[partition] {
            return Err(format!("{partition} is committed backwards to {offset}"));
        }
        self.committed[partition] = offset;
        Ok(())
    }

    /// The process dies: what was not acknowledged never arrives.
    fn crash(&mut self) {
        self.ledger = Ledger::new(self.faults, 0);
        self.position.fill(None);
        self.pool.clear();
        self.sent.clear();
        self.acknowledged.clear();
    }

    fn act(&mut self, kind: u8, pick: Index) -> Result<(), String> {
        let partition = pick.index(self.logs.len());
        match kind {
            0..20 => self.read(partition),
            20..40 => self.settle(|len| pick.index(len)),
            40..55 => self.acknowledge(false, |len| pick.index(len)),
            55..60 => self.acknowledge(true, |len| pick.index(len)),
            60..70 => self.assign(partition),
            70..76 => self.release(partition),
            76..86 => self.commit(partition)?,
            86..90 if !self.acknowledged.is_empty() => {
                let again = pick.index(self.acknowledged.len());
                self.ledger.acknowledge(&self.acknowledged[again], 0).unwrap();
            }
            90.. => self.crash(),
            _ => {}
        }
        self.check()
    }

    /// Nothing is committable that is not settled and acknowledged, and whatever is below has been
    /// told: it need not come again.
    fn check(&self) -> Result<(), String> {
        for (partition, position) in self.position.iter().enumerate() {
            let Some((next, epoch)) = position else { continue };
            let slot = u32::try_from(partition).unwrap();
            let present = |ticket: &Ticket| ticket.slot == slot && ticket.epoch == *epoch;
            let unsettled = self.pool.iter().map(|settled| settled.ticket);
            let unacknowledged = self.sent.iter().map(|output| output.ticket);
            let first = unsettled.chain(unacknowledged).filter(present).map(|it| it.offset).min();
            let expected = first.unwrap_or(i64::try_from(*next).unwrap());
            let committable = self.ledger.committable(slot).unwrap();
            if committable > expected {
                return Err(format!("{partition}: {committable} instead of {expected}"));
            }
            self.check_told(partition, usize::try_from(committable).unwrap())?;
        }
        for (partition, committed) in self.committed.iter().enumerate() {
            self.check_told(partition, *committed)?;
        }
        Ok(())
    }

    /// Every id below an offset has arrived, and so has one that tells its outcome if one is below.
    fn check_told(&self, partition: usize, below: usize) -> Result<(), String> {
        for (id, known) in self.logs[partition][..below].iter().flatten() {
            let tells = |other: &Stage| other.0 == *id && (other.1 || !known);
            if !self.arrived.iter().any(tells) {
                return Err(format!("{partition}: {id} (outcome known: {known}) is not told"));
            }
        }
        Ok(())
    }

    /// One more instance reads the rest undisturbed.
    fn finish(&mut self) -> Result<(), String> {
        self.crash();
        for partition in 0..self.logs.len() {
            self.assign(partition);
            for _ in self.committed[partition]..self.logs[partition].len() {
                self.read(partition);
            }
        }
        while !self.pool.is_empty() || !self.sent.is_empty() {
            self.settle(|_| 0);
            self.acknowledge(false, |_| 0);
            self.check()?;
        }
        for partition in 0..self.logs.len() {
            self.commit(partition)?;
            if self.committed[partition] != self.logs[partition].len() {
                return Err(format!("{partition} is not committed whole"));
            }
        }
        if self.ledger.open() != 0 {
            return Err("something stays open".to_owned());
        }
        if self.ledger.waiting_bytes() != 0 {
            return Err("something still counts as waiting".to_owned());
        }
        self.check()
    }
}

fn schedules() -> impl Strategy<Value = Schedule> {
    let record = prop::collection::vec((0u8..6, any::<bool>()), 0..4);
    let log = prop::collection::vec(record, 1..8);
    (prop::collection::vec(log, 1..4), prop::collection::vec((0u8..92, any::<Index>()), 0..120))
}

fn run((logs, actions): Schedule, faults: Faults) -> Result<(), TestCaseError> {
    let mut world = World::new(logs, faults);
    for (kind, pick) in actions {
        world.act(kind, pick).map_err(TestCaseError::fail)?;
    }
    world.finish().map_err(TestCaseError::fail)
}

proptest! {
    #![proptest_config(Config::with_cases(512))]

    #[test]
    fn no_order_of_results_and_assignments_commits_past_what_is_unacknowledged(
        schedule in schedules(),
    ) {
        run(schedule, Faults::NONE)?;
    }
}

#[test]
fn planted_faults_are_noticed() {
    for fault in [
        Fault::CommitBeforeAcknowledgement,
        Fault::WatermarkNotContiguous,
        Fault::PastEpochAccepted,
    ] {
        let config = Config { cases: 1_024, failure_persistence: None, ..Config::default() };
        let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let mut runner = TestRunner::new_with_rng(config, rng);
        let result = runner.run(&schedules(), |schedule| run(schedule, Faults::planted(fault)));
        assert!(result.is_err(), "{} went unnoticed", fault.name());
    }
}

#[test]
fn a_record_whose_alert_is_withheld_is_done_when_the_one_it_is_like_is() {
    use crate::detect::suppress::Suppression;
    let like = |ledger: &mut Ledger, offset: i64, id: &str| {
        let ticket = take(ledger, 0, offset);
        ledger.admit(ticket).unwrap();
        let mut product = alert(ticket, id, true);
        if let Mark::Alert(mark) = &mut product.mark {
            mark.event_time_ms = Some(1_000 * offset);
            mark.suppression = Some(Suppression { key: [7; 16], for_ms: HOUR_MS });
        }
        let mut send = Vec::new();
        let settled = Settled { ticket, size: 1, products: vec![product], unwritten: Vec::new() };
        let counted = ledger.settle(settled, 0, &mut send).unwrap().unwrap();
        (send, counted.suppressed.len())
    };
    let mut ledger = Ledger::new(Faults::NONE, 0);
    ledger.assigned(0, 0);
    let (first, withheld) = like(&mut ledger, 0, "a");
    assert_eq!((first.len(), withheld), (1, 0));
    let (sent, withheld) = like(&mut ledger, 1, "b");
    assert_eq!((sent.len(), withheld), (0, 1));
    assert_eq!((ledger.committable(0), ledger.under_way(0)), (Some(0), 2));
    ledger.acknowledge(&first[0], 0).unwrap();
    assert_eq!((ledger.committable(0), ledger.waiting_bytes()), (Some(2), 0));
    // It is acknowledged: nothing to wait for. One that is read again is raised again.
    assert_eq!(like(&mut ledger, 2, "c").1, 1);
    assert_eq!(ledger.committable(0), Some(3));
    ledger.released([0]);
    ledger.assigned(0, 0);
    assert_eq!(like(&mut ledger, 0, "a").0.len(), 1);

    // One that went to the dead letters is what nothing is withheld for.
    let mut ledger = Ledger::new(Faults::NONE, 0);
    ledger.assigned(0, 0);
    let (first, _) = like(&mut ledger, 0, "a");
    ledger.diverted(&first[0]).unwrap();
    assert_eq!(like(&mut ledger, 1, "b").0.len(), 1);
}
