//! The half as a member of its group: joining, being given partitions and giving them back,
//! commits.

use super::{FirstHalf, Me, Step, index, number};
use crate::coverage::Reached;
use crate::group::{GroupOffset, Told};
use crate::world::{ALERT_LANES, FIRST_SEEN, Kind, World, say};

impl FirstHalf {
    pub fn hear(&mut self, world: &mut World, me: Me) -> Step {
        if self.join(world, me) {
            return Step::Done;
        }
        let Some(told) = world.groups[FIRST_SEEN].hear(me.number) else { return Step::Idle };
        say!(world, "{} hears: {told:?} (observations)", me.number);
        match told {
            Told::Assigned(partitions) => {
                for partition in partitions {
                    let request = self.core.assigned(number(partition));
                    self.ask(request);
                }
                Step::Done
            }
            Told::Revoked(partitions) => self.revoke(&partitions, world, me),
            Told::Lost => {
                let all: Vec<usize> = (0..self.readers.len()).collect();
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
        say!(world, "{} joins the first-seen group", me.number);
        world.groups[FIRST_SEEN].join(me.number);
        self.joined = true;
        true
    }

    /// A commit that it has not heard of has succeeded.
    pub fn has_unheard_commit(&mut self, world: &World) -> bool {
        self.core.committable().any(|one| {
            let known = world.groups[FIRST_SEEN].offsets[index(one.partition)].as_ref();
            known.is_some_and(|known| known.offset > one.commits.confirmed())
        })
    }

    pub(super) fn release(&mut self, partitions: &[usize]) {
        for partition in partitions {
            self.core.released(number(*partition));
            self.give_up(*partition);
        }
    }

    /// Drains, commits and gives back; each of it may fail, and the process may die in between.
    pub(super) fn revoke(&mut self, partitions: &[usize], world: &mut World, me: Me) -> Step {
        world.note(Reached::Revoke);
        if !world.mishap(15) {
            for partition in partitions {
                if self.fold(Some(*partition), world, me) == Step::Died {
                    return Step::Died;
                }
            }
            self.send(world, me);
        }
        let mut patience = if world.calm { 200 } else { *world.rng.pick(&[0, 2, 60, 60, 60]) };
        while patience > 0 && self.under_way(partitions) > 0 {
            patience -= 1;
            let nth = world.rng.below(ALERT_LANES + self.readers.len());
            self.broker(nth, false, world);
            self.acknowledge(nth, world, me);
        }
        if self.under_way(partitions) > 0 {
            world.note(Reached::UndrainedRevoke);
        }
        if world.mishap(5) {
            return Step::Died;
        }
        while world.groups[FIRST_SEEN].has_commits(me.number) {
            world.commit_arrives(FIRST_SEEN, me.number);
        }
        if !world.mishap(10) {
            let offsets = self.committable(world, Some(partitions));
            if !offsets.is_empty() {
                world.groups[FIRST_SEEN].send_commit(me.number, offsets);
                if !world.mishap(15) {
                    world.commit_arrives(FIRST_SEEN, me.number);
                }
            }
        }
        if world.mishap(5) {
            return Step::Died;
        }
        self.release(partitions);
        world.groups[FIRST_SEEN].gave_back(me.number, partitions);
        Step::Done
    }

    /// Drains and commits everything, and leaves: a stop in order.
    pub fn stop(&mut self, world: &mut World, me: Me) -> Step {
        if self.send(world, me) == Step::Died {
            return Step::Died;
        }
        let all: Vec<usize> = (0..self.readers.len()).collect();
        let step = self.revoke(&all, world, me);
        world.groups[FIRST_SEEN].leave(me.number);
        step
    }

    pub(super) fn under_way(&self, partitions: &[usize]) -> usize {
        partitions.iter().map(|partition| self.core.under_way(number(*partition))).sum()
    }

    /// What may be committed and was not asked for.
    pub(super) fn committable(
        &mut self,
        world: &mut World,
        only: Option<&[usize]>,
    ) -> Vec<(usize, GroupOffset)> {
        let mut offsets = Vec::new();
        for one in self.core.committable() {
            let partition = index(one.partition);
            let wanted = match only {
                Some(only) => only.contains(&partition) && one.offset > one.commits.confirmed(),
                None => one.offset > self.asked[partition],
            };
            if wanted {
                self.asked[partition] = one.offset;
                let (offset, metadata) = (one.offset, one.log_id.to_owned());
                offsets.push((partition, GroupOffset { offset, metadata, log: world.making }));
            }
        }
        for (partition, offset) in &offsets {
            self.check_sent(*partition, offset.offset, world);
        }
        offsets
    }

    /// Whatever this owner sent of what it commits is on the alerts topic, right or wrong.
    fn check_sent(&mut self, partition: usize, offset: i64, world: &mut World) {
        let behind = self.sent.split_off(&(partition, offset));
        let below = self.sent.split_off(&(partition, 0));
        self.sent.extend(behind);
        let missing = below.values().flatten().find(|alert| !world.outputs.has(**alert));
        if let (Some(alert), true) = (missing, world.commits_matter) {
            let text = format!("{alert:?} is sent and not acknowledged, and committed: {offset}");
            world.fail(Kind::Commit, format!("observations partition {partition}: {text}"));
        }
    }

    pub(super) fn commit(&mut self, world: &mut World, me: Me) -> Step {
        let offsets = self.committable(world, None);
        if offsets.is_empty() {
            return Step::Idle;
        }
        say!(world, "{} commits {offsets:?} (observations)", me.number);
        world.groups[FIRST_SEEN].send_commit(me.number, offsets);
        Step::Done
    }

    /// Looks up which commits succeeded; the others are asked for again.
    pub(super) fn confirm(&mut self, world: &World) {
        for one in self.core.committable() {
            let partition = index(one.partition);
            let asked = &mut self.asked[partition];
            if let Some(known) = &world.groups[FIRST_SEEN].offsets[partition]
                && known.metadata == one.log_id
                && known.offset <= *asked
            {
                one.commits.confirm(known.offset);
            }
            *asked = one.commits.confirmed();
        }
    }
}
