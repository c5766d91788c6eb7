//! What an operator should look at, in words.

use super::health::Live;
use super::snapshot::Snapshot;
use crate::duration::format_duration;

/// From this age on what is not done is said to be behind.
const BEHIND_MS: i64 = 300_000;
/// Most warnings, and exceptions that one of them names.
const WARNINGS_MAX: usize = 50;
const NAMES_MAX: usize = 5;

pub fn of(snapshot: &Snapshot<'_>, live: &Live) -> Vec<String> {
    let mut warnings = Vec::new();
    for one in live.loops.iter().filter(|one| !one.turns) {
        let silent = one.silent_ms.unwrap_or(0) / 1_000;
        warnings.push(format!("the thread of {} has not turned for {silent} s", one.name));
    }
    of_halves(snapshot, &mut warnings);
    of_counts(snapshot, &mut warnings);
    warnings.truncate(WARNINGS_MAX);
    warnings
}

fn of_halves(snapshot: &Snapshot<'_>, warnings: &mut Vec<String>) {
    for half in &snapshot.halves {
        let name = half.half.as_str();
        if half.stats.lost.get() {
            warnings.push(format!("{name}: no broker can be reached; trying again until one can"));
        }
        if half.stats.pauses.is_on() {
            warnings.push(format!("{name}: reading is paused, since too much is under way"));
        }
        let age_ms = (half.age_seconds() * 1e3) as i64;
        if age_ms >= BEHIND_MS {
            let age = format_duration(age_ms / 1_000 * 1_000);
            warnings.push(match half.lag() {
                1 => format!("{name}: 1 record is not done, behind by {age}"),
                lag => format!("{name}: {lag} records are not done, the oldest behind by {age}"),
            });
        }
        match half.restoring() {
            0 => {}
            1 => warnings.push(format!("{name}: 1 partition is being taken over")),
            many => warnings.push(format!("{name}: {many} partitions are being taken over")),
        }
    }
}

/// What was counted since the start and should not occur.
fn of_counts(snapshot: &Snapshot<'_>, warnings: &mut Vec<String>) {
    let stats = snapshot.stats;
    let mut counted = |count: u64, one: &str, many: &str| {
        if count > 0 {
            let what = if count == 1 { one } else { many };
            warnings.push(format!("since the start: {count} {what}"));
        }
    };
    counted(
        stats.gap.get(),
        "offset was gone from a log before it was read",
        "offsets were gone from a log before they were read",
    );
    counted(
        stats.damaged.get(),
        "batch of records was damaged and passed over",
        "batches of records were damaged and passed over",
    );
    counted(
        stats.dead_letters.get(),
        "record could not be read and went to the dead letters",
        "records could not be read and went to the dead letters",
    );
    counted(
        stats.diverted.snapshot().values().sum(),
        "output was refused by its topic and went to the dead letters",
        "outputs were refused by their topic and went to the dead letters",
    );
    counted(
        stats.poison.get(),
        "record of the observations topic is none of ours",
        "records of the observations topic are none of ours",
    );
    counted(
        stats.reloads.snapshot().get("refused").copied().unwrap_or(0),
        "attempt to put changed rules in force was refused; the log says why",
        "attempts to put changed rules in force were refused; the log says why",
    );
    let expired = stats.exceptions_expired.snapshot();
    let names: Vec<&str> = expired.keys().take(NAMES_MAX).map(String::as_str).collect();
    let what = format!("would have been excepted by what has expired: {}", names.join(", "));
    counted(expired.values().sum(), &format!("event {what}"), &format!("events {what}"));
}
