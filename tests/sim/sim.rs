//! The whole: instances and their world, random steps of all of them, time that passes, and coming
//! to rest.

use kubetell::faults::Faults;
use kubetell::limits::{HOUR_MS, OUTAGE_MAX_MS};

use crate::coverage::Reached;
use crate::first_seen::Step;
use crate::instance::{Instance, Power, View};
use crate::rng::Rng;
use crate::setup::{MINUTE_MS, Setup};
use crate::world::{DETECT, FIRST_SEEN, Kind, World, say};

/// Rounds in which everything has to come to rest.
const ROUNDS_MAX: usize = 60;
/// What is left of the longest outage when things are set right: coming to rest takes time too.
const MARGIN_MS: i64 = 10 * MINUTE_MS;

pub struct Sim {
    pub world: World,
    pub instances: Vec<Instance>,
}

impl Sim {
    pub fn new(seed: u64, faults: Faults, verbose: bool) -> Sim {
        let setup = Setup::new(&mut Rng::new(seed, u64::MAX));
        let roles = setup.instances.clone();
        let world = World::new(setup, Rng::new(seed, u64::MAX - 1), faults, verbose);
        let instances = roles
            .into_iter()
            .enumerate()
            .map(|(number, roles)| Instance::new(number, roles, &world))
            .collect();
        Sim { world, instances }
    }

    pub fn failed(&self) -> bool {
        self.world.violation.is_some()
    }

    /// Numbers of the instances that `wanted` is true of.
    pub fn numbers(&self, wanted: impl Fn(&Instance) -> bool) -> Vec<usize> {
        self.instances.iter().filter(|one| wanted(one)).map(|one| one.number).collect()
    }

    /// A random one of the instances that `wanted` is true of.
    pub fn some(&mut self, wanted: impl Fn(&Instance) -> bool) -> Option<usize> {
        let numbers = self.numbers(wanted);
        (!numbers.is_empty()).then(|| *self.world.rng.pick(&numbers))
    }

    pub fn random_view(&mut self) -> View {
        match self.world.rng.below(10) {
            0..=5 => View::AsItWas,
            6..=7 => View::CutBack,
            _ => View::Deleted,
        }
    }

    /// Random micro-steps of everything that runs.
    pub fn run(&mut self, steps: usize) {
        for _ in 0..steps {
            if self.failed() {
                return;
            }
            self.world.coverage.steps += 1;
            self.world.now_ms += self.world.rng.between(0, 200);
            if self.world.rng.percent(8) {
                self.outside();
                continue;
            }
            let Some(number) = self.some(Instance::is_on) else {
                self.outside();
                continue;
            };
            self.instances[number].micro(&mut self.world);
        }
    }

    /// Random micro-steps of one instance.
    pub fn run_alone(&mut self, number: usize, steps: usize) {
        for _ in 0..steps {
            if self.failed() || !self.instances[number].is_on() {
                return;
            }
            self.world.coverage.steps += 1;
            self.world.now_ms += self.world.rng.between(0, 200);
            self.instances[number].micro(&mut self.world);
        }
    }

    /// What happens by itself outside: the coordinators' affairs, late arrivals.
    fn outside(&mut self) {
        let Sim { world, instances } = self;
        match world.rng.below(3) {
            0 => land_late(world, 1),
            1 => {
                for group in &mut world.groups {
                    for instance in instances.iter() {
                        if group.is_dead_member(instance.number) && world.rng.percent(30) {
                            group.expire(instance.number);
                        }
                    }
                }
            }
            _ => {
                for group in [DETECT, FIRST_SEEN] {
                    if world.groups[group].rebalance_due {
                        rebalance(world, group, false);
                    }
                }
            }
        }
        let number = world.rng.below(instances.len());
        if world.groups[DETECT].is_dead_member(number) && world.rng.percent(20) {
            for group in [DETECT, FIRST_SEEN] {
                if world.groups[group].has_commits(number) {
                    world.commit_arrives(group, number);
                }
            }
        }
    }

    /// How much time may pass before the first-seen half has to come to rest once more.
    pub fn budget_ms(&self) -> i64 {
        let oldest = self.world.settled_ms.iter().min().copied().unwrap_or(0);
        oldest + OUTAGE_MAX_MS - MARGIN_MS - self.world.now_ms
    }

    /// Time passes, and who runs goes on running. Real outages of the first-seen half stay within
    /// the protocol's limit, unless the schedule is one that goes past it.
    pub fn pass(&mut self, time_ms: i64) {
        let end_ms = self.world.now_ms + time_ms;
        while self.world.now_ms < end_ms && !self.failed() {
            let most = self.world.rng.between(HOUR_MS / 2, 4 * HOUR_MS);
            let chunk_ms = self.keep_to_limit(most.min(end_ms - self.world.now_ms));
            self.leap(chunk_ms);
            for number in self.numbers(Instance::is_on) {
                if self.world.rng.percent(50) {
                    let steps = 4 + self.world.rng.below(10);
                    self.run_alone(number, steps);
                } else {
                    self.instances[number].turn_detect(&mut self.world);
                    if self.instances[number].is_on() {
                        self.instances[number].turn_first_seen(&mut self.world);
                    }
                }
            }
            self.look_who_is_settled();
        }
    }

    /// As [`Sim::pass`], but nobody gets to do anything meanwhile.
    pub fn pass_unused(&mut self, time_ms: i64) {
        let time_ms = self.keep_to_limit(time_ms);
        self.leap(time_ms);
    }

    /// A time that keeps to the limit of outages, after coming to rest if need be.
    fn keep_to_limit(&mut self, time_ms: i64) -> i64 {
        if time_ms <= self.budget_ms() {
            return time_ms;
        }
        if self.world.setup.exceeds_outage && self.world.rng.percent(70) {
            let until = self.world.now_ms + time_ms;
            for partition in 0..self.world.truths.len() {
                let settled = self.world.settled_ms[partition];
                if settled + OUTAGE_MAX_MS - MARGIN_MS < until && !self.world.truths[partition].void
                {
                    say!(self.world, "the outage of {partition} exceeds the limit");
                    self.world.truths[partition].void = true;
                    self.world.note(Reached::Void);
                }
            }
            return time_ms;
        }
        if self.world.rng.percent(50) && self.budget_ms() > MINUTE_MS {
            return self.budget_ms();
        }
        self.settle(false);
        time_ms.min(self.budget_ms().max(MINUTE_MS))
    }

    /// Time jumps. What can't outlast it is over.
    pub fn leap(&mut self, time_ms: i64) {
        let Sim { world, instances } = self;
        if time_ms > MINUTE_MS || world.calm {
            world.mend();
            land_late(world, usize::MAX);
            for instance in instances.iter() {
                for group in [DETECT, FIRST_SEEN] {
                    if instance.power == Power::Suspended
                        && world.groups[group].is_member(instance.number)
                    {
                        world.note(Reached::Session);
                        world.groups[group].expire(instance.number);
                    }
                    if world.groups[group].is_dead_member(instance.number) {
                        world.groups[group].expire(instance.number);
                    }
                }
            }
            // Awake, it notices within the session's time.
            for instance in instances.iter_mut().filter(|one| one.is_on()) {
                instance.hear_of_loss(world);
            }
        }
        world.now_ms += time_ms;
        say!(world, "{} minutes have passed", time_ms / MINUTE_MS);
        for group in [DETECT, FIRST_SEEN] {
            if world.groups[group].rebalance_due {
                rebalance(world, group, false);
            }
        }
    }

    /// Whether the partition's owner has folded and committed it to its end.
    fn is_done(&mut self, partition: usize) -> bool {
        let end = self.world.logs[partition].end;
        let owner = self.world.groups[FIRST_SEEN].owner(partition);
        owner.is_some_and(|owner| self.instances[owner].is_done(partition, end))
    }

    fn look_who_is_settled(&mut self) {
        for partition in 0..self.world.logs.len() {
            if self.is_done(partition) {
                self.world.settled_ms[partition] = self.world.now_ms;
            }
        }
    }

    /// Somebody has to run each half.
    fn someone_runs(&mut self) {
        for detect in [true, false] {
            let has_role = |one: &Instance| {
                if detect { one.roles.detect } else { one.roles.first_seen }
            };
            if self.some(|one| one.is_on() && has_role(one)).is_some() {
                continue;
            }
            if let Some(number) = self.some(|one| one.power == Power::Off && has_role(one)) {
                let view = self.random_view();
                self.instances[number].start(view, &mut self.world);
            } else if let Some(number) = self.some(has_role) {
                self.instances[number].power = Power::On;
            }
        }
    }

    /// Everything that runs goes on until there is nothing left to do. With `all`, everything
    /// runs.
    pub fn settle(&mut self, all: bool) {
        say!(self.world, "coming to rest");
        self.world.calm = true;
        self.rest(all);
        self.world.calm = false;
    }

    fn rest(&mut self, all: bool) {
        for round in 0..ROUNDS_MAX {
            if self.failed() {
                return;
            }
            if all {
                for number in 0..self.instances.len() {
                    match self.instances[number].power {
                        Power::On => {}
                        Power::Suspended => self.instances[number].power = Power::On,
                        Power::Off => {
                            let view = self.random_view();
                            self.instances[number].start(view, &mut self.world);
                        }
                    }
                }
            }
            self.someone_runs();
            self.leap(if round == 0 { 2 * MINUTE_MS } else { 1_000 });
            for number in self.numbers(Instance::is_on) {
                self.instances[number].spare();
                self.instances[number].turn_detect(&mut self.world);
            }
            for number in self.numbers(Instance::is_on) {
                self.instances[number].turn_first_seen(&mut self.world);
            }
            self.world.coverage.steps += 1;
            if self.is_at_rest() {
                self.world.settled_ms.fill(self.world.now_ms);
                return;
            }
        }
        if !self.failed() {
            let what = self.what_is_left();
            self.world.fail(Kind::Stuck, what);
        }
    }

    fn is_at_rest(&mut self) -> bool {
        let world = &self.world;
        world.limbo.is_empty()
            && !world.groups.iter().any(|group| group.rebalance_due)
            && self.instances.iter().filter(|one| one.is_on()).all(|one| one.is_at_rest(world))
            && (0..world.source.len()).all(|partition| world.is_source_done(partition))
            && (0..self.world.logs.len()).all(|partition| self.is_done(partition))
    }

    fn what_is_left(&mut self) -> String {
        let mut left = Vec::new();
        for partition in 0..self.world.logs.len() {
            if !self.is_done(partition) {
                left.push(format!(
                    "observations {partition} of {:?} is not committed to its end {}",
                    self.world.groups[FIRST_SEEN].owner(partition),
                    self.world.logs[partition].end
                ));
            }
        }
        let world = &self.world;
        for partition in (0..world.source.len()).filter(|at| !world.is_source_done(*at)) {
            left.push(format!("source {partition} is not committed to its end"));
        }
        for instance in self.instances.iter().filter(|one| one.is_on()) {
            if !instance.is_at_rest(world) {
                left.push(format!("{} has work", instance.number));
            }
        }
        if world.groups.iter().any(|group| group.rebalance_due) {
            left.push("a rebalance is due".to_owned());
        }
        format!("there is no end to it: {}", left.join("; "))
    }

    pub fn micro_first_seen(&mut self, number: usize) -> Step {
        self.instances[number].micro_first_seen(&mut self.world)
    }
}

/// Late arrivals of dead producers. With `most` without a limit whatever does not arrive now never
/// does.
pub fn land_late(world: &mut World, most: usize) {
    let mut left = most;
    while left > 0 && !world.limbo.is_empty() {
        let at = world.rng.below(world.limbo.len());
        if world.rng.percent(30) {
            world.limbo.swap_remove(at);
            continue;
        }
        if let Some(message) = world.limbo[at].pop_front() {
            say!(world, "late:");
            world.note(Reached::LateLanding);
            world.land(&message);
        }
        if world.limbo[at].is_empty() {
            world.limbo.swap_remove(at);
        }
        left -= 1;
    }
}

pub fn rebalance(world: &mut World, group: usize, shuffle: bool) {
    let World { groups, rng, .. } = world;
    if groups[group].rebalance(shuffle, rng) {
        say!(world, "group {group} is rebalanced");
        world.note(Reached::Rebalance);
    }
}
