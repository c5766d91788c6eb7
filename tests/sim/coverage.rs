//! What the schedules reached, so that a generator that has gone blind is noticed.

macro_rules! reached {
    ($($name:ident => $text:literal,)*) => {
        /// Something that a schedule should now and then reach.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Reached { $($name,)* }

        const TEXTS: &[&str] = &[$($text,)*];
    };
}

reached! {
    Crash => "crashes",
    CrashInWrite => "crashes between two writes of a step or takeover",
    CrashBeforeSend => "crashes between a write and what it sends",
    Stop => "stops in order",
    Suspension => "suspensions",
    SuspensionLong => "suspensions longer than the longest outage",
    Away => "owners that noticed that they were away",
    Session => "sessions that expired",
    Zombie => "steps of zombies",
    ZombieSend => "sends of zombies",
    LateLanding => "records of dead or past producers that landed late",
    Rebalance => "rebalances that moved a partition",
    Revoke => "partitions given back",
    UndrainedRevoke => "partitions given back undrained",
    Lost => "partitions lost",
    CommitLost => "commits lost",
    CommitRefused => "commits refused",
    CommitUnheard => "commits that succeeded unheard",
    OffsetsGone => "group offsets that vanished",
    AppendTwice => "records appended twice",
    Leaderless => "partitions that took nothing for a while",
    ClockStep => "broker clocks that stepped",
    Compaction => "records compacted away",
    Retention => "records deleted by retention",
    MarkerExpired => "markers deleted by retention",
    StartPastView => "views that the log's start had moved past",
    Remade => "topics deleted and made again",
    RemadeWithOffsets => "topics made again with the group's offsets still there",
    ViewKept => "takeovers that kept a view",
    ViewBehind => "takeovers whose view was behind the group's offset",
    ViewAnew => "takeovers without a view",
    NoOffset => "takeovers without a group's offset",
    StaleTakeover => "takeovers that went on after they were cancelled",
    ViewTruncated => "views cut back to an earlier state",
    ViewDeleted => "views deleted",
    Resent => "alerts sent again from an outbox",
    ViewDamaged => "views with a page that can't be read",
    SourceCut => "source partitions whose start moved",
    SourceGap => "source records deleted before they were answered",
    New => "alerts raised",
    Reopened => "alerts raised anew after a term's window",
    Revision => "revisions raised",
    Learned => "first sightings that stayed silent",
    LearningOver => "alerts of rules that had learned",
    WindowTwice => "batches that opened one term's window twice",
    VersionAdded => "rules added while running",
    MarkerOwed => "markers that lacked a part of the merge",
    MarkerRepeated => "markers appended again",
    History => "history imported",
    Foreign => "records of the log that are none of ours",
    Skipped => "observations that the cache skipped",
    SettledAgain => "records settled again, of which an observation was left unwritten",
    ExecRepeat => "stages of an alerted event that told nothing new",
    Swept => "sweeps of expired terms",
    SlowTakeover => "takeovers near the limit, after outages near the limit",
    Void => "outages longer than the protocol allows",
    Days => "days that passed with an owner at work",
}

pub const REACHED: usize = TEXTS.len();

/// Of one schedule.
#[derive(Debug, Clone)]
pub struct Coverage {
    counts: [u64; REACHED],
    pub steps: u64,
}

impl Default for Coverage {
    fn default() -> Self {
        Coverage { counts: [0; REACHED], steps: 0 }
    }
}

impl Coverage {
    pub fn note(&mut self, what: Reached, times: u64) {
        self.counts[what as usize] += times;
    }
}

/// Of many schedules.
#[derive(Debug, Clone)]
pub struct Totals {
    counts: [u64; REACHED],
    schedules_with: [u64; REACHED],
    pub schedules: u64,
    pub steps: u64,
}

impl Default for Totals {
    fn default() -> Self {
        Totals { counts: [0; REACHED], schedules_with: [0; REACHED], schedules: 0, steps: 0 }
    }
}

impl Totals {
    pub fn add(&mut self, coverage: &Coverage) {
        self.schedules += 1;
        self.steps += coverage.steps;
        for (at, count) in coverage.counts.iter().enumerate() {
            self.counts[at] += count;
            self.schedules_with[at] += u64::from(*count > 0);
        }
    }

    pub fn merge(&mut self, other: &Totals) {
        self.schedules += other.schedules;
        self.steps += other.steps;
        for at in 0..REACHED {
            self.counts[at] += other.counts[at];
            self.schedules_with[at] += other.schedules_with[at];
        }
    }

    pub fn never(&self) -> Vec<&'static str> {
        (0..REACHED).filter(|at| self.counts[*at] == 0).map(|at| TEXTS[at]).collect()
    }

    pub fn table(&self) -> String {
        let mut table = format!(
            "{:>12}  schedules\n{:>12}  steps\n\n{:>12}  {:>9}  of schedules\n",
            self.schedules, self.steps, "times", "in"
        );
        for (at, text) in TEXTS.iter().enumerate() {
            let share = 100.0 * self.schedules_with[at] as f64 / self.schedules.max(1) as f64;
            table += &format!("{:>12}  {share:>7.2} %  {text}\n", self.counts[at]);
        }
        table
    }
}
