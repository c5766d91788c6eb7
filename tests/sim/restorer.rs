//! The restorer of one instance: takeovers, driven as the Kafka driver does it, but that several may
//! go on at once, cancelled ones too: what a cancelled one still writes must not count.

use std::collections::VecDeque;
use std::sync::Arc;

use kubetell::terms::first_seen::FirstSeen;
use kubetell::terms::record::Record;
use kubetell::terms::store::{Store, StoreError};
use kubetell::terms::takeover::{Committed, Flow, Request, Restored, Seen, Takeover, Wants};

use crate::coverage::Reached;
use crate::disk::Disk;
use crate::first_seen::{Me, Step, index};
use crate::log::Content;
use crate::setup::Setup;
use crate::world::{FIRST_SEEN, World, say};

/// Ends of reads in one call: a takeover has a few stages.
const READS_MAX: usize = 8;

/// A takeover that the restorer was asked for.
struct Job {
    request: Request,
    /// `None`: not begun.
    takeover: Option<Takeover>,
    /// The read that is under way: where it stands and where it ends.
    read: Option<(i64, i64)>,
}

pub struct Restorer {
    disk: Arc<Disk>,
    jobs: Vec<Job>,
    /// What is done and not taken yet.
    pub restored: VecDeque<Restored>,
}

/// A record of the log, as the core reads it.
pub fn decode(setup: &Setup, content: &Content) -> Option<Record> {
    match content {
        Content::Observed(observed) => Some(setup.record(*observed)),
        Content::Marker(marker) => Some(Record::Marker(marker.as_ref().clone())),
        Content::Foreign => None,
    }
}

impl Restorer {
    pub fn new(disk: Arc<Disk>) -> Restorer {
        Restorer { disk, jobs: Vec::new(), restored: VecDeque::new() }
    }

    pub fn ask(&mut self, request: Request) {
        self.jobs.push(Job { request, takeover: None, read: None });
    }

    pub fn has_work(&self) -> bool {
        !self.jobs.is_empty()
    }

    pub fn is_at_rest(&self) -> bool {
        self.jobs.is_empty() && self.restored.is_empty()
    }

    /// The takeover of the partition that is wanted now has begun.
    pub fn has_begun(&self, core: &FirstSeen, partition: usize) -> bool {
        self.jobs.iter().any(|job| {
            index(job.request.partition) == partition
                && core.is_current(job.request)
                && job.takeover.is_some()
        })
    }

    /// Some of a takeover, at random.
    pub fn micro(&mut self, core: &FirstSeen, world: &mut World, me: Me) -> Step {
        let at = world.rng.below(self.jobs.len());
        let most = 1 + world.rng.below(6);
        self.go_on(at, most, core, world, me)
    }

    /// All of every takeover that is not cancelled.
    pub fn turn(&mut self, core: &FirstSeen, world: &mut World, me: Me) -> Step {
        for _ in 0..4 {
            for at in (0..self.jobs.len()).rev() {
                if self.go_on(at, usize::MAX, core, world, me) == Step::Died {
                    return Step::Died;
                }
            }
        }
        Step::Done
    }

    /// The restorer reads a record or two.
    pub fn a_bit(&mut self, world: &mut World, me: Me) -> Step {
        if self.jobs.is_empty() {
            return Step::Idle;
        }
        let at = world.rng.below(self.jobs.len());
        let most = 1 + world.rng.below(2);
        self.work(at, most, world, me)
    }

    /// Takeovers that were cancelled and have not noticed go on to their ends.
    pub fn end_stale(&mut self, core: &FirstSeen, world: &mut World, me: Me) -> Step {
        for at in (0..self.jobs.len()).rev() {
            if core.is_current(self.jobs[at].request) {
                continue;
            }
            world.note(Reached::StaleTakeover);
            if self.work(at, usize::MAX, world, me) == Step::Died {
                return Step::Died;
            }
        }
        Step::Done
    }

    /// The restorer does some of a takeover. One that is cancelled notices that sooner or later.
    fn go_on(
        &mut self,
        at: usize,
        most: usize,
        core: &FirstSeen,
        world: &mut World,
        me: Me,
    ) -> Step {
        let request = self.jobs[at].request;
        if !core.is_current(request) {
            if world.calm || world.rng.percent(4) {
                self.jobs.swap_remove(at);
                return Step::Done;
            }
            if most == usize::MAX || world.rng.percent(80) {
                return Step::Idle;
            }
            world.note(Reached::StaleTakeover);
        }
        self.work(at, most, world, me)
    }

    fn work(&mut self, at: usize, most: usize, world: &mut World, me: Me) -> Step {
        let disk = Arc::clone(&self.disk);
        match self.read(at, most, world, me) {
            Ok(true) => {
                let finished = self.jobs[at].takeover.take().map(|one| one.finish(&*disk));
                match finished {
                    Some(Ok(restored)) => {
                        self.jobs.swap_remove(at);
                        self.restored.push_back(restored);
                        Step::Done
                    }
                    _ => self.begin_again(at),
                }
            }
            Ok(false) => Step::Done,
            Err(StoreError::PastEpoch) => {
                self.jobs.swap_remove(at);
                Step::Done
            }
            Err(_) if disk.is_dead() => Step::Died,
            Err(error) => {
                say!(world, "{} takeover: {error}", me.number);
                self.begin_again(at)
            }
        }
    }

    /// The view of a takeover can't be read: it is cleared, and the takeover begun again.
    fn begin_again(&mut self, at: usize) -> Step {
        let Request { partition, epoch } = self.jobs[at].request;
        match self.disk.clear(partition, epoch) {
            Ok(()) => {
                self.jobs[at] = Job { request: self.jobs[at].request, takeover: None, read: None };
            }
            Err(StoreError::PastEpoch) => {
                self.jobs.swap_remove(at);
            }
            Err(_) => return Step::Died,
        }
        Step::Done
    }

    /// Whether the takeover is done.
    fn read(
        &mut self,
        at: usize,
        most: usize,
        world: &mut World,
        me: Me,
    ) -> Result<bool, StoreError> {
        let job = &mut self.jobs[at];
        let Request { partition, epoch } = job.request;
        let log = &world.logs[index(partition)];
        let Some(takeover) = &mut job.takeover else {
            let group = &world.groups[FIRST_SEEN];
            let committed = group.offsets[index(partition)]
                .as_ref()
                .map(|one| Committed { offset: one.offset, log_id: one.metadata.clone() });
            let bounds = (log.start, log.end);
            say!(
                world,
                "{} takes over {partition} (epoch {epoch}): {committed:?} {bounds:?}",
                me.number
            );
            note_takeover(world, &self.disk, partition, committed.as_ref());
            let store = &*self.disk;
            let begun =
                Takeover::begin(job.request, committed, bounds, store, me.times, world.faults)?;
            job.takeover = Some(begun.writing_after(world.setup.batch_records));
            return Ok(false);
        };
        let mut left = most;
        let mut reads = 0;
        while left > 0 && reads < READS_MAX {
            let Wants::Read { from, until } = takeover.wants() else { return Ok(true) };
            let (position, until) = *job.read.get_or_insert((from, until));
            if position < log.start {
                // Out of range: the reader fails, and the takeover begins again.
                say!(world, "{} begins the takeover of {partition} again", me.number);
                *job = Job { request: job.request, takeover: None, read: None };
                return Ok(false);
            }
            left -= 1;
            let record = log.at_or_after(position).filter(|one| one.offset < until);
            let Some(record) = record else {
                job.read = None;
                reads += 1;
                takeover.read_ended(&*self.disk)?;
                continue;
            };
            let setup = &world.setup;
            let seen = Seen {
                offset: record.offset,
                append_ms: record.append_ms,
                is_marker: matches!(record.content, Content::Marker(_)),
                decode: &mut || decode(setup, &record.content),
            };
            job.read = match takeover.record(seen, &*self.disk)? {
                Flow::Enough => None,
                Flow::More => Some((record.offset + 1, until)),
            };
        }
        Ok(takeover.wants() == Wants::Nothing)
    }
}

fn note_takeover(world: &mut World, disk: &Disk, partition: i32, committed: Option<&Committed>) {
    let Ok(view) = disk.load(partition) else { return };
    let start = world.logs[index(partition)].start;
    match &view {
        None => world.note(Reached::ViewAnew),
        Some(view) => {
            world.note(Reached::ViewKept);
            if committed.is_some_and(|committed| view.next < committed.offset) {
                world.note(Reached::ViewBehind);
            }
            if view.next < start {
                world.note(Reached::StartPastView);
            }
        }
    }
    if committed.is_none() {
        world.note(Reached::NoOffset);
    }
}
