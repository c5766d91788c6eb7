//! What taking over a partition begins with: decided from the group's offset, the view and the
//! log's bounds. Pure.
//!
//! An offset or a view counts only for the log it was made of. A log is told apart by the id in
//! its markers: the topic may have been deleted and made anew under the same name, with the
//! group's offsets and the view still there.

use crate::limits::{HOUR_MS, OUTAGE_MAX_MS};

/// The group's offset, with the log id that was committed beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    pub offset: i64,
    pub log_id: String,
}

/// What the view has reached, of which log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    pub next: i64,
    pub log_id: Option<String>,
}

/// The log as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    pub start: i64,
    pub end: i64,
    /// Of the first marker found in it, `None` when it holds none.
    pub id: Option<String>,
}

/// Until where records are folded without sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silent {
    /// Up to, and without, this offset: the previous owner answered for them.
    Below(i64),
    /// While records were appended before this time, milliseconds: there is no offset to go by.
    AppendedBefore(i64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Whether the view is kept; else it is cleared first.
    pub keep_view: bool,
    /// First offset to fold.
    pub from: i64,
    pub silent: Silent,
    /// The offset that stands for "acknowledged up to here". What the outbox holds from here on
    /// is sent again. `None`: where the silent fold ends.
    pub committed: Option<i64>,
    /// Records that were gone from the log before they were processed.
    pub gap: u64,
}

pub fn plan(committed: Option<&Committed>, view: Option<&View>, log: &Log, now_ms: i64) -> Plan {
    let committed = committed
        .filter(|committed| {
            Some(&committed.log_id) == log.id.as_ref() && committed.offset <= log.end
        })
        .map(|committed| committed.offset);
    let view = view
        .filter(|view| view.log_id.is_some() && view.log_id == log.id && view.next <= log.end)
        .map(|view| view.next);
    let Some(committed) = committed else {
        // Nobody can say what was sent. What is older than the longest outage was, or is lost by
        // the protocol's own statement; the rest is sent, again or for the first time.
        return Plan {
            keep_view: false,
            from: log.start,
            silent: Silent::AppendedBefore(now_ms - OUTAGE_MAX_MS - HOUR_MS),
            committed: None,
            gap: 0,
        };
    };
    // What the view holds was folded in time, wherever the log begins now.
    let reached = view.map_or(committed, |next| next.max(committed));
    let gap = u64::try_from(log.start.saturating_sub(reached)).unwrap_or(0);
    let from = view.unwrap_or(log.start).max(log.start);
    Plan {
        keep_view: view.is_some(),
        from,
        silent: Silent::Below(committed.max(log.start)),
        committed: Some(committed),
        gap,
    }
}

/// Whether an owner has been away for so long that others may have taken over, and the log may
/// have lost what it needs: it then gives the partition up and takes it over anew. Times are of a
/// clock that counts suspension.
pub fn has_been_away(last_step_boot_ms: i64, now_boot_ms: i64) -> bool {
    now_boot_ms - last_step_boot_ms > OUTAGE_MAX_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    fn log(start: i64, end: i64, id: &str) -> Log {
        Log { start, end, id: (!id.is_empty()).then(|| id.to_owned()) }
    }

    fn check(
        committed: Option<(i64, &str)>,
        view: Option<(i64, &str)>,
        log: Log,
        expected: (bool, i64, Silent, Option<i64>, u64),
    ) {
        let committed = committed.map(|(offset, id)| Committed { offset, log_id: id.to_owned() });
        let view = view.map(|(next, id)| View { next, log_id: Some(id.to_owned()) });
        let (keep_view, from, silent, acknowledged, gap) = expected;
        assert_eq!(
            plan(committed.as_ref(), view.as_ref(), &log, NOW),
            Plan { keep_view, from, silent, committed: acknowledged, gap },
            "{committed:?} {view:?} {log:?}"
        );
    }

    #[test]
    fn offset_and_view_count_only_for_their_log() {
        let fresh = Silent::AppendedBefore(NOW - OUTAGE_MAX_MS - HOUR_MS);
        let below = Silent::Below;
        // The usual restart: the view is at or past the offset.
        check(
            Some((90, "a")),
            Some((100, "a")),
            log(0, 120, "a"),
            (true, 100, below(90), Some(90), 0),
        );
        // A view that is behind, and none.
        check(
            Some((90, "a")),
            Some((50, "a")),
            log(0, 120, "a"),
            (true, 50, below(90), Some(90), 0),
        );
        check(Some((90, "a")), None, log(10, 120, "a"), (false, 10, below(90), Some(90), 0));
        // Of another log, or past the end.
        check(
            Some((90, "a")),
            Some((100, "b")),
            log(0, 120, "a"),
            (false, 0, below(90), Some(90), 0),
        );
        check(
            Some((90, "a")),
            Some((130, "a")),
            log(0, 120, "a"),
            (false, 0, below(90), Some(90), 0),
        );
        check(Some((90, "b")), Some((100, "a")), log(0, 120, "a"), (false, 0, fresh, None, 0));
        check(Some((130, "a")), Some((100, "a")), log(0, 120, "a"), (false, 0, fresh, None, 0));
        // A first start, with a log and without one.
        check(None, None, log(5, 120, "a"), (false, 5, fresh, None, 0));
        check(None, Some((100, "a")), log(5, 120, "a"), (false, 5, fresh, None, 0));
        check(Some((0, "")), None, log(0, 0, ""), (false, 0, fresh, None, 0));
        // The offset fell out of the log: a gap, which is counted.
        check(
            Some((90, "a")),
            Some((95, "a")),
            log(100, 120, "a"),
            (true, 100, below(100), Some(90), 5),
        );
        check(Some((90, "a")), None, log(100, 120, "a"), (false, 100, below(100), Some(90), 10));
        check(
            Some((90, "a")),
            Some((110, "a")),
            log(100, 120, "a"),
            (true, 110, below(100), Some(90), 0),
        );
    }

    #[test]
    fn an_owner_that_was_away_takes_over_anew() {
        assert!(!has_been_away(1_000, 1_000 + OUTAGE_MAX_MS));
        assert!(has_been_away(1_000, 1_001 + OUTAGE_MAX_MS));
    }
}
