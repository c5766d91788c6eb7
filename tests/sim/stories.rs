//! Small stories for the schedules: what random actions alone hardly reach.

use std::collections::BTreeMap;
use std::sync::Arc;

use kubetell::limits::{DAY_MS, HOUR_MS, OUTAGE_MAX_MS};
use kubetell::terms::record::{HASH_VERSION, Marker};

use crate::coverage::Reached;
use crate::group::GroupOffset;
use crate::instance::{Instance, Power, View};
use crate::log::Content;
use crate::setup::{MINUTE_MS, Observed};
use crate::sim::{Sim, rebalance};
use crate::world::{DETECT, FIRST_SEEN, say};

impl Sim {
    /// A member loses what it has and gets it back, with outputs of both times under way.
    pub fn reassign(&mut self) {
        let Some(number) = self.some(Instance::is_on) else { return };
        if self.world.rng.percent(70) {
            self.world.break_one();
        }
        for _ in 0..=self.world.rng.below(3) {
            self.produce();
        }
        let steps = 6 + self.world.rng.below(24);
        self.run_alone(number, steps);
        for group in [DETECT, FIRST_SEEN] {
            self.world.groups[group].expire(number);
        }
        self.world.note(Reached::Session);
        if !self.instances[number].is_on() {
            return;
        }
        self.instances[number].hear_of_loss(&mut self.world);
        self.instances[number].join(&mut self.world);
        for group in [DETECT, FIRST_SEEN] {
            rebalance(&mut self.world, group, false);
        }
        let steps = 10 + self.world.rng.below(40);
        self.run_alone(number, steps);
        self.run(10);
    }

    /// A takeover is cancelled in the middle and does not notice; the partition comes back.
    pub fn cancel_takeover(&mut self) {
        let Some(number) = self.some(|one| one.is_on() && one.roles.first_seen) else { return };
        self.instances[number].die(&mut self.world);
        self.world.groups[FIRST_SEEN].expire(number);
        let view = *self.world.rng.pick(&[View::CutBack, View::Deleted]);
        self.instances[number].start(view, &mut self.world);
        self.get_assignment(number);
        for _ in 0..2 + self.world.rng.below(3) {
            self.instances[number].restore_a_bit(&mut self.world);
        }
        self.world.groups[FIRST_SEEN].expire(number);
        self.world.note(Reached::Session);
        if !self.instances[number].is_on() {
            return;
        }
        self.instances[number].hear_of_loss(&mut self.world);
        self.get_assignment(number);
        if self.world.rng.percent(50) {
            self.instances[number].turn_first_seen(&mut self.world);
        } else {
            for _ in 0..self.world.rng.below(30) {
                self.micro_first_seen(number);
            }
        }
        let term = self.some_term();
        self.observe(term);
        if self.world.rng.percent(50) {
            self.world.break_one();
        }
        if self.world.rng.percent(50) {
            self.instances[number].fold_at_once(&mut self.world);
        } else {
            for _ in 0..self.world.rng.below(30) {
                self.micro_first_seen(number);
            }
        }
        self.instances[number].end_stale(&mut self.world);
        if self.world.rng.percent(50) {
            for _ in 0..self.world.rng.below(20) {
                self.micro_first_seen(number);
            }
        }
        if self.world.rng.percent(60) && self.instances[number].is_on() {
            self.instances[number].die(&mut self.world);
            self.instances[number].start(View::AsItWas, &mut self.world);
        }
    }

    /// An instance joins the first-seen group and hears what it is given.
    fn get_assignment(&mut self, number: usize) {
        self.instances[number].join(&mut self.world);
        rebalance(&mut self.world, FIRST_SEEN, false);
        self.instances[number].hear_observations(&mut self.world);
    }

    /// Observations of files: history, then a marker that ends learning.
    pub fn import_history(&mut self) {
        self.world.note(Reached::History);
        let term = self.some_term();
        let partition = self.world.setup.terms[term].partition;
        for _ in 0..=self.world.rng.below(2) {
            self.world.acts += 1;
            let act = self.world.acts;
            let observed = Observed { term, act, outcome: true, history: true };
            self.world.append(partition, Content::Observed(observed));
        }
        let version = &self.world.setup.versions[self.world.setup.terms[term].version];
        // Ids are random: no two logs have the same.
        self.world.log_ids += 1;
        let new_id = format!("import{}", self.world.log_ids);
        let marker = Marker {
            log_id: self.world.truths[partition].log_id().unwrap_or(&new_id).to_owned(),
            partitions: self.world.logs.len() as u32,
            hash_version: HASH_VERSION,
            learning_starts: BTreeMap::from([(version.name.clone(), 0)]),
        };
        self.world.append(partition, Content::Marker(Arc::new(marker)));
    }

    fn stop_or_kill(&mut self, numbers: Vec<usize>) {
        for number in numbers {
            match self.instances[number].power {
                Power::Off => {}
                Power::On if self.world.rng.percent(40) => {
                    self.instances[number].stop(&mut self.world);
                }
                _ => self.instances[number].die(&mut self.world),
            }
        }
    }

    /// Everything stops; the observations topic is deleted and made again.
    pub fn remake_topic(&mut self) {
        if self.world.rng.percent(70) {
            self.settle(false);
        }
        self.stop_or_kill((0..self.instances.len()).collect());
        self.leap(2 * MINUTE_MS);
        self.world.limbo.clear();
        self.world.note(Reached::Remade);
        self.world.make_topic();
        let world = &mut self.world;
        if world.rng.percent(60) {
            if world.groups[FIRST_SEEN].offsets.iter().any(Option::is_some) {
                world.note(Reached::RemadeWithOffsets);
            }
        } else {
            world.groups[FIRST_SEEN].offsets.fill(None);
        }
        say!(world, "the topic is made again ({})", world.making);
        for _ in 0..world.rng.below(12) {
            self.produce();
        }
        for number in 0..self.instances.len() {
            let view = if self.world.rng.percent(80) { View::AsItWas } else { View::Deleted };
            self.instances[number].start(view, &mut self.world);
        }
        for number in self.numbers(|one| one.roles.detect) {
            self.instances[number].turn_detect(&mut self.world);
            self.leap(1_000);
            self.instances[number].turn_detect(&mut self.world);
        }
    }

    /// An owner runs to the end and commits, and hours to days pass, with traffic or without; the
    /// broker cleans up; then it starts again, or another takes over, each with whatever view.
    pub fn hand_over(&mut self) {
        if self.world.rng.percent(70) {
            self.settle(false);
        }
        for instance in &mut self.instances {
            instance.keep_snapshot(&mut self.world);
        }
        let spared = self.some(|one| one.is_on() && one.roles.first_seen);
        if self.world.rng.percent(60) {
            // The others keep the views that they have now.
            let others = self.numbers(|one| Some(one.number) != spared && one.roles.first_seen);
            self.stop_or_kill(others);
        }
        let days = *self.world.rng.pick(&[1, 1, 2, 4]);
        for _ in 0..days {
            if self.failed() {
                return;
            }
            for _ in 0..self.world.rng.below(3) {
                self.produce();
            }
            let shorter = self.world.rng.between(0, 10);
            self.pass(DAY_MS - shorter * HOUR_MS);
            self.world.note(Reached::Days);
        }
        if self.world.rng.percent(80) {
            self.clean();
        }
        if self.world.rng.percent(50) {
            self.produce();
            let steps = self.world.rng.below(40);
            self.run(steps);
        }
        let all = self.numbers(|one| one.roles.first_seen);
        self.stop_or_kill(all);
        if self.world.rng.percent(50) {
            let hours = self.world.rng.between(1, 7);
            self.pass(hours * HOUR_MS);
        }
        for number in self.numbers(|one| one.power == Power::Off) {
            if self.world.rng.percent(70) {
                let view = self.random_view();
                self.instances[number].start(view, &mut self.world);
            }
        }
    }

    /// An owner is suspended for longer than anybody waits, with records in its hands; what it
    /// comes back to was processed by others, and compacted.
    pub fn suspend_for_long(&mut self) {
        let Some(number) = self.some(|one| one.is_on() && one.roles.first_seen) else { return };
        self.settle(false);
        let term = self.some_term();
        if self.world.rng.percent(50) {
            self.observe(term);
            let steps = self.world.rng.below(12);
            self.run_alone(number, steps);
        }
        if !self.instances[number].is_on() {
            return;
        }
        say!(self.world, "{number} is suspended for long");
        self.instances[number].power = Power::Suspended;
        self.world.note(Reached::Suspension);
        self.leap(2 * MINUTE_MS);
        self.settle(false);
        if self.instances[number].power != Power::Suspended {
            return;
        }
        let hours = *self.world.rng.pick(&[0, 3, 6, 30]);
        self.pass(hours * HOUR_MS);
        for _ in 0..3 {
            if self.world.rng.percent(80) {
                self.observe(term);
                let minutes = self.world.rng.between(1, 40);
                self.pass(minutes * MINUTE_MS);
            }
        }
        let hours = *self.world.rng.pick(&[9, 26, 30, 50]);
        self.pass(hours * HOUR_MS);
        self.clean();
        if self.instances[number].power == Power::Suspended {
            self.world.note(Reached::SuspensionLong);
            self.resume(number);
        }
    }

    /// Two observations of a term, further apart than its window, for one batch.
    pub fn open_window_twice(&mut self) {
        let term = self.some_term();
        let window_ms = self.world.setup.window_ms(term);
        let apart_ms = window_ms + self.world.rng.between(-5, 30) * MINUTE_MS;
        if self.budget_ms() < apart_ms {
            self.settle(false);
        }
        if apart_ms > self.budget_ms() || self.failed() {
            return;
        }
        for _ in 0..=1 + self.world.rng.below(2) {
            self.observe(term);
            if self.budget_ms() > apart_ms {
                self.pass_unused(apart_ms);
            }
        }
        self.observe(term);
        for number in self.numbers(Instance::is_on) {
            self.instances[number].fold_at_once(&mut self.world);
            if self.world.rng.percent(50) && self.instances[number].is_on() {
                self.instances[number].die(&mut self.world);
                let view = self.random_view();
                self.instances[number].start(view, &mut self.world);
            }
        }
    }

    /// The first-seen half is away for longer than the protocol allows, while events go on.
    pub fn outage(&mut self) {
        self.settle(false);
        let owners = self.numbers(|one| one.roles.first_seen);
        let apart = self.numbers(|one| one.roles.detect && !one.roles.first_seen);
        let last = self.some_term();
        if self.world.rng.percent(50) {
            self.observe(last);
            self.settle(false);
        }
        self.stop_or_kill(owners.clone());
        let hours = *self.world.rng.pick(&[9, 20, 30, 60, 120]);
        for _ in 0..3 {
            if !apart.is_empty() {
                let other = self.some_term();
                let term = *self.world.rng.pick(&[last, other]);
                self.observe(term);
            }
            self.pass_unused(hours * HOUR_MS / 3);
        }
        self.clean();
        for number in owners {
            if self.instances[number].power == Power::Off {
                let view = self.random_view();
                self.instances[number].start(view, &mut self.world);
            }
        }
    }

    /// An outage near the limit, then a takeover near the limit.
    pub fn take_over_slowly(&mut self) {
        self.settle(false);
        let no_offset = |offset: &Option<GroupOffset>| offset.is_none();
        if self.failed() || self.world.groups[FIRST_SEEN].offsets.iter().any(no_offset) {
            return;
        }
        let owners = self.numbers(|one| one.roles.first_seen);
        self.stop_or_kill(owners.clone());
        self.leap(2 * MINUTE_MS);
        for _ in 0..2 {
            let term = self.some_term();
            self.observe(term);
        }
        self.leap(OUTAGE_MAX_MS - 30 * MINUTE_MS);
        self.produce();
        for number in owners {
            if self.instances[number].power == Power::Off {
                let view = self.random_view();
                self.instances[number].start(view, &mut self.world);
            }
        }
        for number in self.numbers(Instance::is_on) {
            self.instances[number].turn_detect(&mut self.world);
            self.instances[number].join(&mut self.world);
        }
        for group in [DETECT, FIRST_SEEN] {
            rebalance(&mut self.world, group, false);
        }
        for _ in 0..self.world.rng.below(30) {
            if let Some(number) = self.some(Instance::is_on) {
                self.micro_first_seen(number);
            }
        }
        let begun = |sim: &Sim, partition| {
            let owner = sim.world.groups[FIRST_SEEN].owner(partition);
            owner.is_some_and(|owner| sim.instances[owner].has_begun(partition))
        };
        if (0..self.world.logs.len()).all(|partition| begun(self, partition)) {
            self.leap(OUTAGE_MAX_MS - 30 * MINUTE_MS);
            self.clean();
            self.world.note(Reached::SlowTakeover);
        }
        self.settle(false);
    }

    /// A new rule version comes up while one owner does not know yet that another took over.
    pub fn race_markers(&mut self) {
        if self.world.versions < self.world.setup.versions.len() {
            self.world.versions += 1;
            self.world.note(Reached::VersionAdded);
        }
        let Some(number) = self.some(|one| one.is_on() && one.roles.first_seen) else { return };
        let term = self.some_term();
        self.observe(term);
        let steps = self.world.rng.below(20);
        for _ in 0..steps {
            self.micro_first_seen(number);
        }
        self.world.groups[FIRST_SEEN].expire(number);
        self.world.note(Reached::Session);
        rebalance(&mut self.world, FIRST_SEEN, false);
        let term = self.some_term();
        self.observe(term);
        let steps = 20 + self.world.rng.below(60);
        self.run(steps);
    }
}
