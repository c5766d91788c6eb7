//! One process: its halves, its disk, its clocks, and how it dies.

use std::sync::Arc;

use kubetell::clock::Times;
use kubetell::terms::store::memory::Snapshot;

use crate::coverage::Reached;
use crate::detect::DetectHalf;
use crate::disk::Disk;
use crate::first_seen::{FirstHalf, Me, Step};
use crate::setup::{MINUTE_MS, Roles};
use crate::world::{DETECT, FIRST_SEEN, World, say};

const SNAPSHOTS_MAX: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    Off,
    On,
    /// The machine is suspended, or the process stopped: it goes on as if nothing had happened.
    Suspended,
}

/// What a process finds on its disk when it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    AsItWas,
    CutBack,
    Deleted,
}

pub struct Instance {
    pub number: usize,
    pub roles: Roles,
    pub power: Power,
    detect: Option<DetectHalf>,
    first_seen: Option<FirstHalf>,
    disk: Arc<Disk>,
    snapshots: Vec<Snapshot>,
    /// True time of the machine's boot.
    booted_ms: i64,
    /// How far its wall clock is off.
    skew_ms: i64,
}

impl Instance {
    pub fn new(number: usize, roles: Roles, world: &World) -> Instance {
        Instance {
            number,
            roles,
            power: Power::Off,
            detect: None,
            first_seen: None,
            disk: Arc::new(Disk::new(&Snapshot::default(), world.faults)),
            snapshots: Vec::new(),
            booted_ms: world.now_ms,
            skew_ms: 0,
        }
    }

    pub fn is_on(&self) -> bool {
        self.power == Power::On
    }

    pub fn me(&self, world: &World) -> Me {
        let times =
            Times { now_ms: world.now_ms + self.skew_ms, boot_ms: world.now_ms - self.booted_ms };
        Me { number: self.number, times }
    }

    pub fn keep_snapshot(&mut self, world: &mut World) {
        if self.snapshots.len() == SNAPSHOTS_MAX {
            let at = world.rng.below(SNAPSHOTS_MAX);
            self.snapshots.swap_remove(at);
        }
        self.snapshots.push(self.disk.snapshot());
    }

    pub fn start(&mut self, view: View, world: &mut World) {
        let snapshot = match view {
            View::CutBack if !self.snapshots.is_empty() => {
                world.note(Reached::ViewTruncated);
                world.rng.pick(&self.snapshots).clone()
            }
            View::Deleted => {
                world.note(Reached::ViewDeleted);
                Snapshot::default()
            }
            _ => self.disk.snapshot(),
        };
        say!(world, "{} starts, view {view:?}", self.number);
        let bad = self.disk.bad();
        self.disk = Arc::new(Disk::new(&snapshot, world.faults));
        if view == View::AsItWas {
            self.disk.go_bad(bad);
        }
        self.skew_ms = *world.rng.pick(&[0, 0, -10, 20]) * MINUTE_MS;
        self.booted_ms = world.now_ms - world.rng.between(0, 1_000);
        self.detect = self.roles.detect.then(|| DetectHalf::new(world));
        self.first_seen =
            self.roles.first_seen.then(|| FirstHalf::new(world, Arc::clone(&self.disk)));
        self.power = Power::On;
    }

    /// The process is gone at once. What its producers had under way may still land.
    pub fn die(&mut self, world: &mut World) {
        say!(world, "{} dies", self.number);
        if self.disk.is_dead() {
            world.note(Reached::CrashInWrite);
        }
        world.note(Reached::Crash);
        self.power = Power::Off;
        if self.first_seen.as_mut().is_some_and(|half| half.has_unheard_commit(world)) {
            world.note(Reached::CommitUnheard);
        }
        let detect = self.detect.take().map(DetectHalf::into_unsent);
        let first_seen = self.first_seen.take().map(FirstHalf::into_unsent);
        let lanes = detect.into_iter().chain(first_seen).flatten();
        world.limbo.extend(lanes.filter(|lane| !lane.is_empty()));
        for group in [DETECT, FIRST_SEEN] {
            world.groups[group].die(self.number);
        }
    }

    /// Stops in order: drains, commits, leaves. May die on the way.
    pub fn stop(&mut self, world: &mut World) {
        say!(world, "{} stops", self.number);
        world.note(Reached::Stop);
        let me = self.me(world);
        let detect = self.detect.as_mut().map(|half| half.stop(world, me));
        let first_seen = match detect {
            Some(Step::Died) => None,
            _ => self.first_seen.as_mut().map(|half| half.stop(world, me)),
        };
        let died = [detect, first_seen].contains(&Some(Step::Died));
        if died {
            return self.die(world);
        }
        self.die_quietly(world);
    }

    fn die_quietly(&mut self, world: &mut World) {
        self.power = Power::Off;
        let detect = self.detect.take().map(DetectHalf::into_unsent);
        let first_seen = self.first_seen.take().map(FirstHalf::into_unsent);
        let lanes = detect.into_iter().chain(first_seen).flatten();
        world.limbo.extend(lanes.filter(|lane| !lane.is_empty()));
    }

    /// The process will die in place of one of its next writes to the disk.
    pub fn doom(&mut self, writes: u32) {
        self.disk.die_after(Some(writes));
    }

    /// A page of a partition's view goes bad.
    pub fn damage(&mut self, partition: usize) {
        self.disk.go_bad(i32::try_from(partition).unwrap());
    }

    pub fn spare(&mut self) {
        if !self.disk.is_dead() {
            self.disk.die_after(None);
        }
    }

    fn ended(&mut self, step: Step, world: &mut World) -> Step {
        if step == Step::Died {
            self.die(world);
        }
        step
    }

    /// A random micro-step of one of its threads.
    pub fn micro(&mut self, world: &mut World) -> Step {
        let me = self.me(world);
        let both = self.detect.is_some() && self.first_seen.is_some();
        let first = self.detect.is_none() || both && world.rng.percent(55);
        let step = match (first, &mut self.detect, &mut self.first_seen) {
            (true, _, Some(half)) => half.micro(world, me),
            (false, Some(half), _) => half.micro(world, me),
            _ => Step::Idle,
        };
        self.ended(step, world)
    }

    pub fn turn_detect(&mut self, world: &mut World) -> Step {
        let me = self.me(world);
        let step = self.detect.as_mut().map_or(Step::Idle, |half| half.turn(world, me));
        self.ended(step, world)
    }

    pub fn turn_first_seen(&mut self, world: &mut World) -> Step {
        let me = self.me(world);
        let step = self.first_seen.as_mut().map_or(Step::Idle, |half| half.turn(world, me));
        self.ended(step, world)
    }

    /// A random micro-step of the first-seen half alone.
    pub fn micro_first_seen(&mut self, world: &mut World) -> Step {
        let me = self.me(world);
        let step = self.first_seen.as_mut().map_or(Step::Idle, |half| half.micro(world, me));
        self.ended(step, world)
    }

    /// The first-seen half hears what its group tells it next.
    pub fn hear_observations(&mut self, world: &mut World) -> Step {
        let me = self.me(world);
        let step = self.first_seen.as_mut().map_or(Step::Idle, |half| half.hear(world, me));
        self.ended(step, world)
    }

    /// The restorer reads a record or two.
    pub fn restore_a_bit(&mut self, world: &mut World) -> Step {
        let me = self.me(world);
        let step =
            self.first_seen.as_mut().map_or(Step::Idle, |half| half.restore_a_bit(world, me));
        self.ended(step, world)
    }

    /// Takeovers that were cancelled and have not noticed go on to their ends.
    pub fn end_stale(&mut self, world: &mut World) -> Step {
        let me = self.me(world);
        let step = self.first_seen.as_mut().map_or(Step::Idle, |half| half.end_stale(world, me));
        self.ended(step, world)
    }

    /// Takes in all that there is and folds it in one step, without sending it.
    pub fn fold_at_once(&mut self, world: &mut World) -> Step {
        let me = self.me(world);
        let step = self.first_seen.as_mut().map_or(Step::Idle, |half| half.fold_at_once(world, me));
        self.ended(step, world)
    }

    /// Hears that its session expired, if it did.
    pub fn hear_of_loss(&mut self, world: &mut World) {
        let me = self.me(world);
        if let Some(half) = &mut self.detect
            && world.groups[DETECT].is_zombie(me.number)
        {
            half.hear(world, me);
        }
        if let Some(half) = &mut self.first_seen
            && world.groups[FIRST_SEEN].is_zombie(me.number)
        {
            half.hear(world, me);
        }
    }

    /// Joins the groups, if it is not in them.
    pub fn join(&mut self, world: &mut World) {
        let me = self.me(world);
        if let Some(half) = &mut self.detect {
            half.join(world, me);
        }
        if let Some(half) = &mut self.first_seen {
            half.join(world, me);
        }
    }

    pub fn is_at_rest(&self, world: &World) -> bool {
        let me = self.me(world);
        self.detect.as_ref().is_none_or(|half| half.is_at_rest(world, me))
            && self.first_seen.as_ref().is_none_or(|half| half.is_at_rest(world, me))
    }

    /// Whether it owns the partition, or has begun to take it over.
    pub fn has_begun(&self, partition: usize) -> bool {
        self.is_on() && self.first_seen.as_ref().is_some_and(|half| half.has_begun(partition))
    }

    /// Whether it owns the partition, and has done and committed everything up to `end`.
    pub fn is_done(&mut self, partition: usize, end: i64) -> bool {
        self.is_on() && self.first_seen.as_mut().is_some_and(|half| half.is_done(partition, end))
    }
}
