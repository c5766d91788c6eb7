//! What is outside of the instances: clocks, topics, groups, and the eye of the oracle on
//! everything that reaches them.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use kubetell::faults::Faults;
use kubetell::limits::HOUR_MS;
use kubetell::terms::record::Marker;

use crate::coverage::{Coverage, Reached};
use crate::group::{Group, GroupOffset};
use crate::log::{Content, PartitionLog};
use crate::oracle::{Alert, Folded, Outputs, PartitionTruth};
use crate::rng::Rng;
use crate::setup::{Observed, Setup, T0};

/// Which half's group.
pub const DETECT: usize = 0;
pub const FIRST_SEEN: usize = 1;

/// Partitions of the topics that producers write to, in one row: two of the alerts, one of the dead
/// letters, then those of the observations.
pub const ALERT_LANES: usize = 2;
pub const DEAD_LETTERS: usize = ALERT_LANES;
pub const OBSERVATIONS: usize = DEAD_LETTERS + 1;

/// What is in a record of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// A stage of an event that a stateless rule alerts on.
    Exec { act: u32, outcome: bool },
    /// A stage of an event that a new-terms rule observes.
    Seen { act: u32, term: usize, outcome: bool },
    /// Goes to the dead letters.
    Unreadable,
}

/// A record on its way to a topic.
#[derive(Debug, Clone)]
pub enum Message {
    Alert(Alert),
    Marker { partition: usize, marker: Arc<Marker> },
    Exec { act: u32, outcome: bool },
    Observation(Observed),
    DeadLetter { partition: usize, offset: i64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Invented,
    Lost,
    /// A committed offset passed something that it must not pass.
    Commit,
    /// What was sent again differs from what was sent first.
    Bytes,
    /// A bound of memory.
    Bound,
    /// The cache left out what it must not leave out.
    Skip,
    /// Everything works, and the stream does not come to its end.
    Stuck,
    /// The core refused a step.
    Refused,
    Panic,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub kind: Kind,
    pub text: String,
}

/// An alert as it was encoded first.
#[derive(Debug, Clone)]
struct Encoded {
    payload: Vec<u8>,
    /// Making of the topic, partition, offset; known from the first time that it was sent.
    place: Option<(u32, usize, i64)>,
}

pub struct World {
    pub rng: Rng,
    pub setup: Setup,
    pub faults: Faults,
    pub now_ms: i64,
    /// How often the observations topic was made.
    pub making: u32,
    pub logs: Vec<PartitionLog>,
    pub truths: Vec<PartitionTruth>,
    pub source: Vec<Vec<Vec<Item>>>,
    /// By source partition: what is in front was deleted.
    pub source_start: Vec<i64>,
    /// Deleted before anybody had read it, or so it seemed.
    source_gap: BTreeSet<(usize, i64)>,
    source_checked: Vec<i64>,
    pub groups: [Group; 2],
    pub outputs: Outputs,
    encoded: Vec<Encoded>,
    /// What dead producers had under way: each lane lands in order, or a rest of it never does.
    pub limbo: Vec<VecDeque<Message>>,
    /// When an observation of the term was last appended to this making of the topic.
    seen_ms: Vec<Option<i64>>,
    skipped: BTreeSet<(u32, usize, bool)>,
    pub versions: usize,
    pub acts: u32,
    /// Acts whose outcome was not told yet.
    pub open_acts: VecDeque<Item>,
    /// When each partition was last known to be folded and committed to its end, with its owner
    /// at work.
    pub settled_ms: Vec<i64>,
    pub log_ids: u32,
    /// The partition, of those in one row, that has no leader and takes nothing.
    down: Option<usize>,
    /// Coming to rest: nothing goes wrong meanwhile.
    pub calm: bool,
    /// Whether an offset that is committed too early is a violation by itself. If not, it is only by
    /// what comes of it.
    pub commits_matter: bool,
    /// Of all that happened, to compare two plays of a seed.
    pub fingerprint: u64,
    pub coverage: Coverage,
    pub violation: Option<Violation>,
    pub verbose: bool,
}

/// A line of the trace, made only when somebody reads it.
macro_rules! say {
    ($world:expr, $($text:tt)*) => {
        if $world.verbose {
            println!("{} {}", $world.clock(), format_args!($($text)*));
        }
    };
}
pub(crate) use say;

impl World {
    pub fn new(setup: Setup, rng: Rng, faults: Faults, verbose: bool) -> World {
        let groups = [setup.source_partitions, setup.partitions]
            .map(|partitions| Group::new(partitions, setup.instances.len()));
        let mut world = World {
            logs: Vec::new(),
            truths: Vec::new(),
            source: vec![Vec::new(); setup.source_partitions],
            source_checked: vec![0; setup.source_partitions],
            source_start: vec![0; setup.source_partitions],
            source_gap: BTreeSet::new(),
            groups,
            outputs: Outputs::default(),
            encoded: Vec::new(),
            limbo: Vec::new(),
            seen_ms: Vec::new(),
            skipped: BTreeSet::new(),
            versions: setup.versions_at_start,
            acts: 0,
            open_acts: VecDeque::new(),
            settled_ms: Vec::new(),
            log_ids: 0,
            calm: false,
            commits_matter: true,
            fingerprint: 0,
            down: None,
            coverage: Coverage::default(),
            violation: None,
            verbose,
            now_ms: T0,
            making: 0,
            rng,
            setup,
            faults,
        };
        world.make_topic();
        world
    }

    pub fn make_topic(&mut self) {
        self.making += 1;
        self.logs = (0..self.setup.partitions).map(|_| PartitionLog::default()).collect();
        self.truths =
            (0..self.setup.partitions).map(|_| PartitionTruth::new(&self.setup)).collect();
        self.seen_ms = vec![None; self.setup.terms.len()];
        self.settled_ms = vec![self.now_ms; self.setup.partitions];
        for partition in 0..self.setup.partitions {
            self.step_broker_clock(partition);
        }
    }

    pub fn clock(&self) -> String {
        let passed = self.now_ms - T0;
        format!("{:>4}h{:02}m{:06.3}", passed / HOUR_MS, passed / 60_000 % 60, {
            (passed % 60_000) as f64 / 1_000.0
        })
    }

    pub fn fail(&mut self, kind: Kind, text: String) {
        say!(self, "VIOLATION {kind:?}: {text}");
        self.violation.get_or_insert(Violation { kind, text });
    }

    /// Whether a partition, of those in one row, takes nothing.
    pub fn is_down(&self, lane: usize) -> bool {
        !self.calm && self.down == Some(lane)
    }

    /// Some partition loses its leader, which another may have got back.
    pub fn break_one(&mut self) {
        let lane = self.rng.below(OBSERVATIONS + self.setup.partitions);
        say!(self, "nothing is taken by {lane}");
        self.down = Some(lane);
        self.note(Reached::Leaderless);
    }

    pub fn mend(&mut self) {
        self.down = None;
    }

    /// Whether something goes wrong that does so in this share of the cases.
    pub fn mishap(&mut self, percent: usize) -> bool {
        !self.calm && self.rng.percent(percent)
    }

    fn mark(&mut self, number: u64) {
        self.fingerprint = (self.fingerprint ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.fingerprint ^= self.fingerprint >> 29;
    }

    pub fn note(&mut self, what: Reached) {
        self.coverage.note(what, 1);
    }

    /// The next leader's clock is off by up to half an hour, so that a change steps an hour back
    /// at most.
    pub fn step_broker_clock(&mut self, partition: usize) {
        let skew_ms = *self.rng.pick(&[0, 0, -HOUR_MS / 2, HOUR_MS / 2, HOUR_MS / 4]);
        self.logs[partition].skew_ms = skew_ms;
    }

    /// A message reaches its topic.
    pub fn land(&mut self, message: &Message) {
        say!(self, "  lands: {message:?}");
        self.mark(self.now_ms as u64);
        match message {
            Message::Alert(alert) => self.outputs.alert(*alert),
            Message::Exec { act, outcome } => self.outputs.exec(*act, *outcome),
            Message::DeadLetter { partition, offset } => {
                self.outputs.dead_letter(*partition, *offset);
            }
            Message::Observation(observed) => {
                self.outputs.observation(*observed);
                self.seen_ms[observed.term] = Some(self.now_ms);
                let partition = self.setup.terms[observed.term].partition;
                self.append(partition, Content::Observed(*observed));
            }
            Message::Marker { partition, marker } => {
                self.append(*partition, Content::Marker(Arc::clone(marker)));
            }
        }
    }

    pub fn append(&mut self, partition: usize, content: Content) {
        let (offset, append_ms) = self.logs[partition].append(self.now_ms, content.clone());
        let folded = self.truths[partition].append(&self.setup, offset, append_ms, &content);
        let learns = match content {
            Content::Observed(observed) => {
                self.setup.versions[self.setup.terms[observed.term].version].learning_ms > 0
            }
            _ => false,
        };
        match folded {
            Folded::Nothing => {}
            Folded::New if learns => self.note(Reached::LearningOver),
            Folded::New => self.note(Reached::New),
            Folded::Reopened => self.note(Reached::Reopened),
            Folded::Revision => self.note(Reached::Revision),
            Folded::Learned => self.note(Reached::Learned),
        }
        say!(self, "  observations {partition}@{offset}: {content:?} → {folded:?}");
    }

    pub fn next_stamp(&self) -> u64 {
        self.encoded.len() as u64
    }

    pub fn encoded(&mut self, payloads: Vec<Vec<u8>>) {
        self.encoded.extend(payloads.into_iter().map(|payload| Encoded { payload, place: None }));
    }

    /// The oracle's look at an alert that is sent: `payload` as [`crate::alerts`] made it.
    pub fn check_send(&mut self, partition: usize, offset: i64, alert: Alert, payload: &[u8]) {
        let making = self.making;
        let stamp = crate::alerts::stamp(payload);
        let place = (making, partition, offset);
        let text = match self.encoded.get_mut(usize::try_from(stamp).unwrap_or(usize::MAX)) {
            Some(encoded) if encoded.payload == payload => {
                match *encoded.place.get_or_insert(place) {
                    first if first == place => None,
                    first => Some(format!("{alert:?} was sent of {first:?}, then of {place:?}")),
                }
            }
            _ => Some(format!("{alert:?} of {partition}@{offset} is not what was written first")),
        };
        if let Some(text) = text {
            self.fail(Kind::Bytes, text);
        }
        if !self.truths[partition].is_raised(offset, alert) {
            self.fail(
                Kind::Invented,
                format!("{alert:?} is sent of {partition}@{offset}, where the fold raises none"),
            );
        }
    }

    /// The oldest commit of a member arrives at the coordinator.
    pub fn commit_arrives(&mut self, group: usize, instance: usize) -> bool {
        let set = self.groups[group].take_commit(instance);
        say!(self, "  commit of {instance} in group {group} arrives: {set:?}");
        for (partition, offset) in &set {
            self.mark(offset.offset as u64);
            self.check_commit(group, *partition, offset);
        }
        if set.is_empty() {
            self.note(Reached::CommitRefused);
        }
        !set.is_empty()
    }

    fn check_commit(&mut self, group: usize, partition: usize, offset: &GroupOffset) {
        let problem = if group == FIRST_SEEN {
            self.truths[partition].check_commit(
                &self.setup,
                &self.outputs,
                offset.offset,
                &offset.metadata,
            )
        } else {
            self.check_source(partition, offset.offset)
        };
        if let (true, Err(text)) = (self.commits_matter, problem) {
            let group = ["source", "observations"][group];
            self.fail(Kind::Commit, format!("{group} partition {partition}: {text}"));
        }
    }

    fn check_source(&mut self, partition: usize, offset: i64) -> Result<(), String> {
        while self.source_checked[partition] < offset {
            let at = self.source_checked[partition];
            if let Some(item) = self.unanswered(partition, at)
                && self.commits_matter
            {
                return Err(format!(
                    "offset {offset} is committed, and {item:?} of offset {at} is not acknowledged"
                ));
            }
            self.source_checked[partition] += 1;
        }
        Ok(())
    }

    /// Whether the source partition is committed to its end.
    pub fn is_source_done(&self, partition: usize) -> bool {
        let done = self.source_checked[partition].max(self.source_start[partition]);
        done == self.source[partition].len() as i64
    }

    /// The source's retention deletes what is below `start`.
    pub fn cut_source(&mut self, partition: usize, start: i64) {
        say!(self, "source {partition} begins at {start} now");
        for offset in self.source_start[partition]..start {
            if self.unanswered(partition, offset).is_some() {
                self.source_gap.insert((partition, offset));
                self.note(Reached::SourceGap);
            }
        }
        self.source_start[partition] = start;
        self.note(Reached::SourceCut);
    }

    /// What of a source record has reached no topic.
    fn unanswered(&self, partition: usize, offset: i64) -> Option<Item> {
        if self.source_gap.contains(&(partition, offset)) {
            return None;
        }
        let items = &self.source[partition][usize::try_from(offset).unwrap()];
        items.iter().copied().find(|item| match *item {
            Item::Exec { act, outcome } => !self.outputs.has_exec(act, outcome),
            Item::Seen { act, term, outcome } => {
                !self.outputs.has_observation(act, term, outcome)
                    && !self.skipped.contains(&(act, term, outcome))
            }
            Item::Unreadable => !self.outputs.has_dead_letter(partition, offset),
        })
    }

    /// The cache left out an observation: only when one of its term is in the log, appended within
    /// the last 168th of the window.
    pub fn check_skip(&mut self, act: u32, term: usize, outcome: bool) {
        let span_ms = self.setup.window_ms(term) / 168;
        if self.seen_ms[term].is_none_or(|seen_ms| seen_ms < self.now_ms - span_ms) {
            self.fail(
                Kind::Skip,
                format!("event {act} of term {term} was left out, and the term is not in the log"),
            );
        }
        self.note(Reached::Skipped);
        self.skipped.insert((act, term, outcome));
    }

    /// After everything came to rest: nothing is missing on the output topics, nothing too much.
    pub fn check_end(&mut self) {
        for partition in 0..self.truths.len() {
            if let Some((offset, alert)) = self.truths[partition].lost(&self.outputs) {
                self.fail(
                    Kind::Lost,
                    format!("{alert:?} of {partition}@{offset} was never acknowledged"),
                );
            }
        }
        for partition in 0..self.source.len() {
            for offset in 0..self.source[partition].len() as i64 {
                if let Some(item) = self.unanswered(partition, offset) {
                    self.fail(
                        Kind::Lost,
                        format!("{item:?} of source {partition}@{offset} reached no topic"),
                    );
                }
            }
        }
        let invented = self.outputs.exec_acts().find(|act| {
            !self
                .source
                .iter()
                .flatten()
                .flatten()
                .any(|item| matches!(item, Item::Exec { act: known, .. } if known == act))
        });
        if let Some(act) = invented {
            self.fail(Kind::Invented, format!("the event {act} alerts and is not in the source"));
        }
    }
}
