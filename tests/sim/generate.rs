//! What happens: the actions of a schedule. Random actions alone hardly reach compaction and
//! retention, so some of them are small stories.

use kubetell::limits::HOUR_MS;

use crate::coverage::Reached;
use crate::instance::{Instance, Power};
use crate::log::Content;
use crate::setup::MINUTE_MS;
use crate::sim::{Sim, rebalance};
use crate::world::{DETECT, FIRST_SEEN, Item, say};

/// Acts whose later stages may still come.
const OPEN_ACTS_MAX: usize = 6;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Produce,
    Run,
    Settle,
    Crash,
    Doom,
    Stop,
    Start,
    Suspend,
    Resume,
    SessionExpires,
    Rebalance,
    Minutes,
    Hours,
    BrokerClock,
    BrokerDown,
    Clean,
    OffsetsGone,
    Snapshot,
    Damage,
    SourceCut,
    AddVersion,
    Foreign,
    HistoryImport,
    TopicRemade,
    HandOver,
    LongSuspension,
    WindowTwice,
    Outage,
    SlowTakeover,
    MarkerRace,
    Reassignment,
    CancelledTakeover,
}

impl Sim {
    /// One action, at random.
    pub fn act(&mut self) {
        let on = self.numbers(Instance::is_on).len();
        let off = self.numbers(|one| one.power == Power::Off).len();
        let suspended = self.numbers(|one| one.power == Power::Suspended).len();
        let if_any = |weight: usize, count: usize| if count > 0 { weight } else { 0 };
        let more_versions = self.world.versions < self.world.setup.versions.len();
        let choices = [
            (20, Action::Produce),
            (22, Action::Run),
            (4, Action::Settle),
            (if_any(5, on), Action::Crash),
            (if_any(4, on), Action::Doom),
            (if_any(2, on), Action::Stop),
            (if_any(16, off), Action::Start),
            (if_any(2, on), Action::Suspend),
            (if_any(6, suspended), Action::Resume),
            (if_any(3, on), Action::SessionExpires),
            (if_any(5, on), Action::Rebalance),
            (6, Action::Minutes),
            (5, Action::Hours),
            (1, Action::BrokerClock),
            (4, Action::BrokerDown),
            (3, Action::Clean),
            (1, Action::OffsetsGone),
            (3, Action::Snapshot),
            (1, Action::Damage),
            (1, Action::SourceCut),
            (if more_versions { 3 } else { 0 }, Action::AddVersion),
            (1, Action::Foreign),
            (1, Action::HistoryImport),
            (1, Action::TopicRemade),
            (4, Action::HandOver),
            (if_any(2, on), Action::LongSuspension),
            (3, Action::WindowTwice),
            (if self.world.setup.exceeds_outage { 6 } else { 0 }, Action::Outage),
            (1, Action::SlowTakeover),
            (if_any(2, on), Action::MarkerRace),
            (if_any(3, on), Action::Reassignment),
            (if_any(2, on), Action::CancelledTakeover),
        ];
        let Some(action) = self.world.rng.weighted(&choices) else { return };
        say!(self.world, "— {action:?}");
        self.perform(action);
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Produce => {
                for _ in 0..=self.world.rng.below(4) {
                    self.produce();
                }
            }
            Action::Run => {
                let steps = 5 + self.world.rng.below(60);
                self.run(steps);
            }
            Action::Settle => self.settle(false),
            Action::Crash => {
                if let Some(number) = self.some(Instance::is_on) {
                    self.instances[number].die(&mut self.world);
                }
            }
            Action::Doom => {
                if let Some(number) = self.some(|one| one.is_on() && one.roles.first_seen) {
                    let writes = 1 + self.world.rng.below(4) as u32;
                    self.instances[number].doom(writes);
                }
            }
            Action::Stop => {
                if let Some(number) = self.some(Instance::is_on) {
                    self.instances[number].stop(&mut self.world);
                }
            }
            Action::Start => {
                if let Some(number) = self.some(|one| one.power == Power::Off) {
                    let view = self.random_view();
                    self.instances[number].start(view, &mut self.world);
                }
            }
            Action::Suspend => self.suspend(),
            Action::Resume => {
                if let Some(number) = self.some(|one| one.power == Power::Suspended) {
                    self.resume(number);
                }
            }
            Action::SessionExpires => self.session_expires(),
            Action::Rebalance => {
                let group = *self.world.rng.pick(&[DETECT, FIRST_SEEN, FIRST_SEEN]);
                rebalance(&mut self.world, group, true);
            }
            Action::Minutes => {
                let minutes = self.world.rng.between(1, 50);
                self.pass_unused(minutes * MINUTE_MS);
            }
            Action::Hours => {
                let hours = self.world.rng.between(1, 9);
                if self.world.rng.percent(50) {
                    self.pass(hours * HOUR_MS);
                } else {
                    self.pass_unused(hours * HOUR_MS);
                }
            }
            Action::BrokerClock => {
                let partition = self.world.rng.below(self.world.logs.len());
                self.world.step_broker_clock(partition);
                self.world.note(Reached::ClockStep);
            }
            Action::BrokerDown => self.world.break_one(),
            Action::Clean => self.clean(),
            Action::OffsetsGone => self.offsets_gone(),
            Action::Snapshot => {
                for instance in &mut self.instances {
                    instance.keep_snapshot(&mut self.world);
                }
            }
            Action::Damage => {
                if let Some(number) = self.some(|one| one.roles.first_seen) {
                    let partition = self.world.rng.below(self.world.logs.len());
                    say!(self.world, "{number} can't read its view of {partition}");
                    self.instances[number].damage(partition);
                    self.world.note(Reached::ViewDamaged);
                }
            }
            Action::SourceCut => self.cut_source(),
            Action::AddVersion => {
                if self.world.versions < self.world.setup.versions.len() {
                    self.world.versions += 1;
                    self.world.note(Reached::VersionAdded);
                    self.produce();
                }
            }
            Action::Foreign => {
                let partition = self.world.rng.below(self.world.logs.len());
                self.world.append(partition, Content::Foreign);
                self.world.note(Reached::Foreign);
            }
            Action::HistoryImport => self.import_history(),
            Action::TopicRemade => self.remake_topic(),
            Action::HandOver => self.hand_over(),
            Action::LongSuspension => self.suspend_for_long(),
            Action::WindowTwice => self.open_window_twice(),
            Action::Outage => self.outage(),
            Action::SlowTakeover => self.take_over_slowly(),
            Action::MarkerRace => self.race_markers(),
            Action::Reassignment => self.reassign(),
            Action::CancelledTakeover => self.cancel_takeover(),
        }
    }

    /// A record of the source with one event or a few.
    pub fn produce(&mut self) {
        let world = &mut self.world;
        let partition = world.rng.below(world.source.len());
        let mut items = Vec::new();
        for _ in 0..*world.rng.pick(&[0, 1, 1, 1, 1, 2, 3]) {
            if let (true, Some(open)) = (world.rng.percent(30), world.open_acts.front().copied()) {
                // A later stage of an event tells the outcome.
                if world.rng.percent(70) {
                    world.open_acts.pop_front();
                }
                items.push(match open {
                    Item::Exec { act, .. } => Item::Exec { act, outcome: true },
                    Item::Seen { act, term, .. } => Item::Seen { act, term, outcome: true },
                    Item::Unreadable => Item::Unreadable,
                });
                continue;
            }
            world.acts += 1;
            let act = world.acts;
            let outcome = world.rng.percent(40);
            match world.rng.below(10) {
                0 => items.push(Item::Unreadable),
                1..=2 => items.push(Item::Exec { act, outcome }),
                _ => {
                    let terms = world.setup.terms.len();
                    let active = world.versions * terms / world.setup.versions.len();
                    let term = world.rng.below(active);
                    items.push(Item::Seen { act, term, outcome });
                    // Another rule that observes the same.
                    let twin = (term + terms / world.setup.versions.len()) % active;
                    if twin != term && world.rng.percent(20) {
                        items.push(Item::Seen { act, term: twin, outcome });
                    }
                }
            }
            if let (false, Some(Item::Exec { .. } | Item::Seen { .. })) = (outcome, items.last()) {
                world.open_acts.extend(items.last());
            }
            if world.open_acts.len() > OPEN_ACTS_MAX {
                world.open_acts.pop_front();
            }
        }
        self.produce_record(partition, items);
    }

    fn produce_record(&mut self, partition: usize, items: Vec<Item>) {
        say!(self.world, "  source {partition}@{}: {items:?}", self.world.source[partition].len());
        self.world.source[partition].push(items);
    }

    /// A new event of a term; its detect half sends it on.
    pub fn observe(&mut self, term: usize) {
        self.world.acts += 1;
        let partition = self.world.rng.below(self.world.source.len());
        let item = Item::Seen { act: self.world.acts, term, outcome: true };
        self.produce_record(partition, vec![item]);
        for number in self.numbers(|one| one.is_on() && one.roles.detect) {
            self.instances[number].turn_detect(&mut self.world);
        }
    }

    pub fn some_term(&mut self) -> usize {
        let active =
            self.world.versions * self.world.setup.terms.len() / self.world.setup.versions.len();
        self.world.rng.below(active)
    }

    fn suspend(&mut self) {
        let Some(number) = self.some(Instance::is_on) else { return };
        say!(self.world, "{number} is suspended");
        self.world.note(Reached::Suspension);
        self.instances[number].power = Power::Suspended;
    }

    /// Back from a suspension, a zombie perhaps that has not noticed.
    pub fn resume(&mut self, number: usize) {
        say!(self.world, "{number} goes on");
        self.instances[number].power = Power::On;
        let steps = 3 + self.world.rng.below(30);
        self.run_alone(number, steps);
    }

    /// The session of a member expires, which it does not notice at once.
    fn session_expires(&mut self) {
        let Some(number) = self.some(Instance::is_on) else { return };
        self.world.note(Reached::Session);
        let which = self.world.rng.below(3);
        for group in [DETECT, FIRST_SEEN] {
            if which != group {
                self.world.groups[group].expire(number);
                rebalance(&mut self.world, group, false);
            }
        }
        if self.world.rng.percent(60) {
            self.produce();
            let steps = self.world.rng.below(40);
            self.run_alone(number, steps);
        }
    }

    /// Compaction and retention of all partitions.
    pub fn clean(&mut self) {
        let world = &mut self.world;
        let retention_ms = world.setup.retention_ms;
        for partition in 0..world.logs.len() {
            let log = &mut world.logs[partition];
            let compacted = log.compact(world.now_ms, &mut world.rng) as u64;
            let before = log.start;
            let deleted = if world.rng.percent(70) {
                log.expire(world.now_ms, retention_ms, &mut world.rng) as u64
            } else {
                0
            };
            let start = log.start;
            let markers = world.truths[partition].markers_between(before, start);
            if compacted + deleted > 0 {
                say!(
                    world,
                    "  {partition}: {compacted} compacted, {deleted} deleted, start {start}"
                );
            }
            world.coverage.note(Reached::Compaction, compacted);
            world.coverage.note(Reached::Retention, deleted);
            world.coverage.note(Reached::MarkerExpired, markers);
        }
    }

    /// Retention of the source: in front of the group's offset as a rule.
    fn cut_source(&mut self) {
        let world = &mut self.world;
        let partition = world.rng.below(world.source.len());
        let committed = world.groups[DETECT].offsets[partition].as_ref();
        let mut most = committed.map_or(0, |one| one.offset);
        if world.rng.percent(20) {
            most = world.source[partition].len() as i64;
        }
        let start = world.source_start[partition];
        if most > start {
            let start = world.rng.between(start + 1, most);
            world.cut_source(partition, start);
        }
    }

    fn offsets_gone(&mut self) {
        self.world.note(Reached::OffsetsGone);
        let group = *self.world.rng.pick(&[DETECT, FIRST_SEEN, FIRST_SEEN]);
        let all = self.world.rng.percent(50);
        let partitions = self.world.groups[group].offsets.len();
        let one = self.world.rng.below(partitions);
        for partition in (0..partitions).filter(|partition| all || *partition == one) {
            self.world.groups[group].offsets[partition] = None;
        }
    }
}
