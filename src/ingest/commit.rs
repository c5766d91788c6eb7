//! Committing the offsets of a group's partitions, and knowing which commits succeeded.
//!
//! Owns what was asked for and what is known to have succeeded. librdkafka reports an asynchronous
//! commit only to a callback in C, which rdkafka's consumers do not set, so the group's offsets
//! are looked up from time to time; what was refused, as in the middle of a rebalance, is asked
//! for again.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use crate::clock;
use crate::failure::{self, Class, Doing};
use crate::ingest::kafka::HalfError;
use crate::stats::half::CommitFigures;

const COMMIT_EVERY: Duration = Duration::from_millis(1_000);
/// A burst that is over is committed at once, if it is worth it: so long after the last commit at the
/// earliest, and of so many records.
const BURST_COMMIT_AFTER: Duration = Duration::from_millis(200);
const BURST_RECORDS: i64 = 100;
/// How often the success of commits is looked up.
const CONFIRM_EVERY: Duration = Duration::from_secs(5);
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(2);

/// The commits of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commits {
    /// The offset of the last commit that was asked for.
    asked: i64,
    /// The offset of the last commit that is known to have succeeded.
    confirmed: i64,
}

impl Commits {
    /// `start` is where the group stands.
    pub fn new(start: i64) -> Self {
        Commits { asked: start, confirmed: start }
    }

    pub fn confirmed(&self) -> i64 {
        self.confirmed
    }

    /// A commit of `offset` is known to have succeeded.
    pub fn confirm(&mut self, offset: i64) {
        self.confirmed = self.confirmed.max(offset);
    }

    /// A commit of `offset` is wanted: one that waits for its answer is also worth it where an
    /// earlier one may have failed unheard.
    fn wanted(&self, offset: i64, mode: CommitMode) -> bool {
        offset
            > match mode {
                CommitMode::Sync => self.confirmed,
                CommitMode::Async => self.asked,
            }
    }
}

/// A partition with what may be committed of it.
pub struct Committable<'p> {
    pub topic: &'p str,
    pub partition: i32,
    /// Everything below it is done.
    pub offset: i64,
    /// Committed beside the offset; only offsets with the same count as ours.
    pub metadata: Option<&'p str>,
    pub commits: &'p mut Commits,
}

/// How a commit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// Asked for or, where the mode is to wait for the answer, done.
    Done,
    /// The group moved on meanwhile: another member reads on from the last commit, and nothing is
    /// wrong with the brokers.
    MovedOn,
    /// The brokers could not be asked.
    Failed,
    /// The brokers refuse, and will go on to.
    Refused(RDKafkaErrorCode),
}

impl Commit {
    fn of(error: &KafkaError) -> Commit {
        let Some(code) = error.rdkafka_error_code() else { return Commit::Failed };
        if failure::is_group_moved_on(code) {
            return Commit::MovedOn;
        }
        match failure::class_of(code, Doing::Committing) {
            Class::Fatal => Commit::Refused(code),
            Class::Retriable | Class::Poison => Commit::Failed,
        }
    }

    fn counted(self, figures: &CommitFigures) -> Commit {
        match self {
            Commit::Done => {}
            Commit::MovedOn => figures.moved_on.add(1),
            Commit::Failed => figures.failed.add(1),
            Commit::Refused(_) => figures.refused.add(1),
        }
        self
    }

    fn refusal(self) -> Result<(), HalfError> {
        match self {
            Commit::Refused(code) => {
                let what = "the group's offsets".to_owned();
                Err(HalfError::Refused { doing: Doing::Committing, what, code })
            }
            Commit::Done | Commit::MovedOn | Commit::Failed => Ok(()),
        }
    }
}

/// Commits what is wanted, of the partitions in `only` or of all.
pub fn commit<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &mut [Committable<'_>],
    only: Option<&TopicPartitionList>,
    mode: CommitMode,
    figures: &CommitFigures,
) -> Commit {
    let mut offsets = TopicPartitionList::new();
    for one in partitions.iter_mut() {
        if only.is_some_and(|only| only.find_partition(one.topic, one.partition).is_none())
            || !one.commits.wanted(one.offset, mode)
        {
            continue;
        }
        let mut element = offsets.add_partition(one.topic, one.partition);
        if element.set_offset(Offset::Offset(one.offset)).is_ok() {
            if let Some(metadata) = one.metadata {
                element.set_metadata(metadata);
            }
            one.commits.asked = one.offset;
        }
    }
    if offsets.count() == 0 {
        return Commit::Done;
    }
    figures.asked.add(1);
    let asked = clock::monotonic();
    match consumer.commit(&offsets, mode) {
        Ok(()) => {
            if matches!(mode, CommitMode::Sync) {
                figures.answer.add(clock::monotonic() - asked);
                figures.confirmed.add(1);
                succeeded(partitions, &offsets);
            }
            Commit::Done
        }
        Err(error) => {
            // What was read will be read again by whoever comes next: repeats, no loss.
            tracing::warn!(%error, "offsets could not be committed; the next commit will try again");
            ask_again(partitions);
            Commit::of(&error).counted(figures)
        }
    }
}

/// How many records may be committed for which nobody has asked yet.
fn uncommitted(partitions: &[Committable<'_>]) -> i64 {
    partitions.iter().map(|one| (one.offset - one.commits.asked).max(0)).sum()
}

/// Whether everything that may be committed is known to be.
pub fn all_confirmed(partitions: &[Committable<'_>]) -> bool {
    partitions.iter().all(|one| !one.commits.wanted(one.offset, CommitMode::Sync))
}

/// Looks up which commits have succeeded, while any is open.
fn confirm<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &mut [Committable<'_>],
    figures: &CommitFigures,
) -> Commit {
    let mut open = TopicPartitionList::new();
    for one in partitions.iter().filter(|one| one.commits.asked > one.commits.confirmed) {
        open.add_partition(one.topic, one.partition);
    }
    if open.count() == 0 {
        return Commit::Done;
    }
    let asked = clock::monotonic();
    let looked_up = match consumer.committed_offsets(open, CONFIRM_TIMEOUT) {
        Ok(offsets) => {
            figures.answer.add(clock::monotonic() - asked);
            figures.confirmed.add(1);
            succeeded(partitions, &offsets);
            Commit::Done
        }
        Err(error) => {
            tracing::debug!(%error, "the group's offsets could not be looked up");
            Commit::of(&error).counted(figures)
        }
    };
    ask_again(partitions);
    looked_up
}

fn succeeded(partitions: &mut [Committable<'_>], offsets: &TopicPartitionList) {
    for one in partitions {
        let Some(element) = offsets.find_partition(one.topic, one.partition) else { continue };
        let Offset::Offset(offset) = element.offset() else { continue };
        let ours = one.metadata.is_none_or(|metadata| metadata == element.metadata());
        if element.error().is_ok() && ours && offset <= one.commits.asked {
            one.commits.confirm(offset);
        }
    }
}

/// What is not known to be committed is committed again.
fn ask_again(partitions: &mut [Committable<'_>]) {
    for one in partitions {
        one.commits.asked = one.commits.confirmed;
    }
}

/// When to commit and when to look commits up.
pub struct CommitClock {
    last_commit: Instant,
    last_confirm: Instant,
}

impl CommitClock {
    pub fn start() -> Self {
        let now = clock::monotonic();
        CommitClock { last_commit: now, last_confirm: now }
    }

    /// Whether there may be something to do. `idle`: nothing is at hand and nothing under way.
    pub fn is_due(&self, idle: bool) -> bool {
        let now = clock::monotonic();
        commits_after(now - self.last_commit, idle, i64::MAX)
            || now - self.last_confirm >= CONFIRM_EVERY
    }

    /// Commits, and looks commits up, each when its time has come. `idle` as for [`Self::is_due`].
    ///
    /// # Errors
    /// What the brokers refuse for good; whatever else fails is asked for again.
    pub fn tick<C: ConsumerContext>(
        &mut self,
        consumer: &BaseConsumer<C>,
        partitions: &mut [Committable<'_>],
        idle: bool,
        figures: &CommitFigures,
    ) -> Result<(), HalfError> {
        let since = clock::monotonic() - self.last_commit;
        if commits_after(since, idle, uncommitted(partitions)) {
            self.last_commit = clock::monotonic();
            commit(consumer, partitions, None, CommitMode::Async, figures).refusal()?;
        }
        if clock::monotonic() - self.last_confirm >= CONFIRM_EVERY {
            let looked_up = confirm(consumer, partitions, figures);
            self.last_confirm = clock::monotonic();
            looked_up.refusal()?;
        }
        Ok(())
    }
}

/// Whether it is time to commit so long after the last time.
fn commits_after(since: Duration, idle: bool, uncommitted: i64) -> bool {
    since >= COMMIT_EVERY || idle && since >= BURST_COMMIT_AFTER && uncommitted >= BURST_RECORDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_that_is_over_is_committed_before_its_time() {
        let after = |ms, idle, records| commits_after(Duration::from_millis(ms), idle, records);
        assert!(after(1_000, false, 0) && !after(999, false, 1_000_000));
        assert!(after(200, true, 100) && !after(199, true, 1_000_000));
        assert!(!after(999, true, 99), "a few records wait for their time");
    }

    #[test]
    fn what_was_asked_for_is_not_counted_again() {
        let mut commits = [Commits::new(7), Commits::new(0)];
        commits[0].asked = 10;
        let [one, other] = &mut commits;
        let of = |partition, offset, commits| Committable {
            topic: "audit",
            partition,
            offset,
            metadata: None,
            commits,
        };
        assert_eq!(uncommitted(&[of(0, 12, one), of(1, 40, other)]), 42);
    }
}
