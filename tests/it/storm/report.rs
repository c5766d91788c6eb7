//! What a storm did and found, as a table; and the line that says how it goes.

use std::fmt;

use super::judgement::Judgement;
use super::sky::{Tally, get};
use super::{INSTANCES, NAMES, Plan};
use crate::kafka::process::Finished;

/// A storm of ten minutes has at least 60 kills.
const KILLS_A_MINUTE: f64 = 6.0;

/// Resident memory of the instances, in MiB.
#[derive(Default)]
pub struct Memory {
    now: [Option<u64>; INSTANCES],
    peak: [u64; INSTANCES],
}

impl Memory {
    pub fn sample(&mut self, running: [Option<u32>; INSTANCES]) {
        for (number, pid) in running.into_iter().enumerate() {
            let status =
                pid.and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/status")).ok());
            let field = |name: &str| -> Option<u64> {
                let line = status.as_ref()?.lines().find(|line| line.starts_with(name))?;
                Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
            };
            self.now[number] = field("VmRSS:");
            // What it reached since it was started, between two looks too.
            let reached = field("VmHWM:").unwrap_or(0);
            self.peak[number] = self.peak[number].max(reached);
        }
    }
}

pub fn progress(tally: &Tally, alerts: Option<i64>, memory: &Memory) -> String {
    let or_dash = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
    let memory: Vec<String> = (NAMES.iter().zip(memory.now))
        .map(|(name, now)| format!("{name} {}", or_dash(now)))
        .collect();
    format!(
        "kills {} (instances {}, brokers {}), suspensions {}; records {}, acknowledged {}, \
         alerts {}; memory in MiB {}",
        tally.all_kills(),
        tally.instance_kills(),
        get(&tally.broker_kills),
        get(&tally.suspensions),
        get(&tally.records),
        get(&tally.records_acknowledged),
        or_dash(alerts.and_then(|alerts| u64::try_from(alerts).ok())),
        memory.join(", ")
    )
}

pub struct Report {
    seed: u64,
    minutes: f64,
    tally: Tally,
    acts: usize,
    judgement: Judgement,
    /// Of the source's group, and of the observations'.
    lags: [i64; 2],
    memory: Memory,
    problems: Vec<String>,
}

impl Report {
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        plan: &Plan,
        tally: Tally,
        acts: usize,
        mut judgement: Judgement,
        lags: [i64; 2],
        memory: Memory,
        own_ends: Vec<String>,
        ends: Vec<(&'static str, Finished)>,
    ) -> Self {
        let mut problems = std::mem::take(&mut judgement.problems);
        if lags != [0, 0] {
            problems.push(format!("lag is left: {lags:?}"));
        }
        problems.extend(own_ends);
        problems.extend(ends.into_iter().filter(|(_, end)| end.code() != Some(0)).map(
            |(name, end)| format!("{name} did not stop well: {:?}\n{}", end.status, end.stderr),
        ));
        if get(&tally.records) != get(&tally.records_acknowledged) {
            problems.push("not all source records were taken".to_owned());
        }
        let minutes = plan.time.as_secs_f64() / 60.0;
        #[allow(clippy::cast_precision_loss)]
        if (tally.all_kills() as f64) < KILLS_A_MINUTE * minutes {
            problems.push("fewer kills than a storm has".to_owned());
        }
        for (what, count) in [
            ("kill of an instance", &tally.kills),
            ("lost state", &tally.kills_with_state),
            ("suspension", &tally.suspensions),
            ("kill of a broker", &tally.broker_kills),
        ] {
            if get(count) == 0 {
                problems.push(format!("no {what} in this storm"));
            }
        }
        Report { seed: plan.seed, minutes, tally, acts, judgement, lags, memory, problems }
    }

    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    pub fn shows_the_fault(&self) -> bool {
        [&self.judgement.execs, &self.judgement.terms]
            .iter()
            .any(|row| !row.missing.is_empty() || !row.invented.is_empty())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tally = &self.tally;
        let line = "-".repeat(78);
        writeln!(f, "{line}")?;
        writeln!(f, "storm of {:.1} minutes, seed {}", self.minutes, self.seed)?;
        writeln!(
            f,
            "kills {}: instances {}, of which {} lost their state, brokers {}; suspensions {}",
            tally.all_kills(),
            tally.instance_kills(),
            get(&tally.kills_with_state),
            get(&tally.broker_kills),
            get(&tally.suspensions)
        )?;
        writeln!(
            f,
            "acts {} in {} records, {} acknowledged; observations {}",
            self.acts,
            get(&tally.records),
            get(&tally.records_acknowledged),
            self.judgement.observations
        )?;
        writeln!(f, "lag: source {}, observations {}", self.lags[0], self.lags[1])?;
        let peaks: Vec<String> = (NAMES.iter().zip(self.memory.peak))
            .map(|(name, peak)| format!("{name} {peak}"))
            .collect();
        writeln!(f, "most memory, MiB: {}", peaks.join(", "))?;
        writeln!(f)?;
        writeln!(
            f,
            "{:<12}{:>10}{:>10}{:>10}{:>10}{:>10}",
            "alerts", "expected", "found", "missing", "invented", "repeats"
        )?;
        let rows = [("exec", &self.judgement.execs), ("new terms", &self.judgement.terms)];
        for (name, row) in rows {
            writeln!(
                f,
                "{name:<12}{:>10}{:>10}{:>10}{:>10}{:>10}",
                row.expected,
                row.found,
                row.missing.len(),
                row.invented.len(),
                row.repeats
            )?;
        }
        if self.problems.is_empty() {
            writeln!(f, "\nnothing lost, nothing invented")?;
        } else {
            writeln!(f, "\nwhat is wrong:")?;
        }
        for problem in &self.problems {
            writeln!(f, "- {problem}")?;
        }
        write!(f, "{line}")
    }
}
