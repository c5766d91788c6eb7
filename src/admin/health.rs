//! Whether the process lives, and whether it is ready.
//!
//! Alive: its loops turn. What does not is not mended by itself, so an orchestrator may end it.
//! Ready: it reads and folds what it is assigned. Brokers that are away make it unready, never dead.

use serde::Serialize;

use super::snapshot::{HalfSnapshot, Snapshot};
use crate::stats::Half;

/// How long a loop may not turn. The longest that one is known to need is a rebalance that waits
/// 30 s for what is under way and then for a commit; librdkafka puts a member out of its group after
/// 300 s.
pub const SILENT_MAX_MS: u64 = 120_000;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Live {
    pub live: bool,
    pub loops: Vec<Loop>,
}

/// A thread that has to turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Loop {
    pub name: String,
    /// Milliseconds since it turned; of a worker, since it took its batch. `None`: nothing is
    /// expected of it.
    pub silent_ms: Option<u64>,
    pub turns: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ready {
    pub ready: bool,
    pub checks: Vec<Check>,
    /// No condition: a backlog does not shrink by waiting for it elsewhere.
    pub lag: Vec<Lag>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub half: Option<&'static str>,
    pub ok: bool,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lag {
    pub half: &'static str,
    pub records: u64,
    pub age_seconds: f64,
}

pub fn live(snapshot: &Snapshot<'_>) -> Live {
    let turning = |name: String, silent_ms: Option<u64>| Loop {
        name,
        silent_ms,
        turns: silent_ms.is_none_or(|ms| ms <= SILENT_MAX_MS),
    };
    let now = snapshot.monotonic_ms;
    let mut loops: Vec<Loop> = snapshot
        .halves
        .iter()
        .map(|half| turning(half.half.as_str().to_owned(), half.stats.beat.silent_ms(now)))
        .collect();
    for (number, worker) in snapshot.stats.pool.workers().iter().enumerate() {
        loops.push(turning(format!("detect-worker-{number}"), worker.batch.silent_ms(now)));
    }
    Live { live: loops.iter().all(|one| one.turns), loops }
}

pub fn ready(snapshot: &Snapshot<'_>) -> Ready {
    let running = snapshot.stats.started.get();
    let mut checks = vec![Check {
        name: "started",
        half: None,
        ok: running,
        reason: if running {
            "the service runs".to_owned()
        } else {
            "the service is starting: it waits for brokers, topics or its state".to_owned()
        },
    }];
    for half in &snapshot.halves {
        checks.extend(half_checks(half));
    }
    let lag = snapshot.halves.iter().map(|half| Lag {
        half: half.half.as_str(),
        records: half.lag(),
        age_seconds: half.age_seconds(),
    });
    Ready { ready: checks.iter().all(|check| check.ok), lag: lag.collect(), checks }
}

fn half_checks(half: &HalfSnapshot<'_>) -> Vec<Check> {
    let check =
        |name, ok, reason: String| Check { name, half: Some(half.half.as_str()), ok, reason };
    let assigned = half.stats.is_assigned();
    let mut checks = vec![
        check(
            "assigned",
            assigned,
            if assigned {
                format!("the group has assigned {} partitions", half.assigned_partitions)
            } else {
                "the group has assigned nothing yet".to_owned()
            },
        ),
        {
            let lost = half.stats.lost.get();
            let reason = if lost { "no broker can be reached" } else { "brokers can be reached" };
            check("brokers", !lost, reason.to_owned())
        },
    ];
    if half.half == Half::FirstSeen {
        let restoring = half.restoring();
        checks.push(check(
            "restored",
            restoring == 0,
            match restoring {
                0 => "every assigned partition is taken over".to_owned(),
                count => format!("{count} partitions are being taken over"),
            },
        ));
    }
    checks
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
