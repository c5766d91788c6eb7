//! When a range of a log has been read, if no record at its end says so.
//!
//! Compaction leaves gaps, so a range may end without a record; but the client's word that a
//! partition has ended is not enough: a leader that was just elected may for a while know less than
//! was committed before. Pure; times are arguments.

use std::time::{Duration, Instant};

/// How often a leader that knows the whole range has to say that the partition has ended before a
/// record that should come is given up.
const ENDS_MAX: u32 = 5;
/// How long a leader may know less than the range. It learns the rest from its followers within a
/// few seconds, unless it was elected without having it.
const SHORT_MAX: Duration = Duration::from_secs(30);

/// What the end of a partition means for a range of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Nothing more of the range will come.
    Read,
    /// More may come: read on from where it stopped, or from the log's start if that is later.
    NotYet,
    /// The log ends within the range and goes on to: what stood behind is lost.
    Shrunk,
}

/// The ends of the partition since the last record.
#[derive(Debug, Default)]
pub struct Ends {
    whole: u32,
    short_since: Option<Instant>,
}

impl Ends {
    /// The partition is said to have ended; `bounds` are the log's first offset and its high
    /// watermark as of now, the range ends before `until`.
    pub fn said(&mut self, bounds: (i64, i64), until: i64, now: Instant) -> End {
        let (low, high) = bounds;
        // The rest was deleted.
        if low >= until {
            return End::Read;
        }
        if high >= until {
            self.short_since = None;
            // With nothing but the marks of transactions at the end, it is said again and again.
            self.whole += 1;
            return if self.whole >= ENDS_MAX { End::Read } else { End::NotYet };
        }
        let since = *self.short_since.get_or_insert(now);
        if now - since >= SHORT_MAX { End::Shrunk } else { End::NotYet }
    }

    /// The log is said to hold no place `next`: its start has moved past it, or it ends before. As
    /// for [`Ends::said`].
    pub fn refused(&mut self, bounds: (i64, i64), next: i64, until: i64, now: Instant) -> End {
        if bounds.1 < next { self.said(bounds, until, now) } else { End::NotYet }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const UNTIL: i64 = 100;

    #[test]
    fn a_leader_that_knows_the_range_is_believed_after_a_few_times() {
        let (mut ends, now) = (Ends::default(), clock::monotonic());
        let said: Vec<End> = (0..5).map(|_| ends.said((0, UNTIL), UNTIL, now)).collect();
        assert_eq!(said, [End::NotYet, End::NotYet, End::NotYet, End::NotYet, End::Read]);
    }

    #[test]
    fn a_leader_that_knows_less_is_not_believed_however_often_it_says_so() {
        let (mut ends, begun) = (Ends::default(), clock::monotonic());
        for second in 0..30 {
            let now = begun + Duration::from_secs(second);
            assert_eq!(ends.said((0, UNTIL - 1), UNTIL, now), End::NotYet, "{second} s");
        }
        assert_eq!(
            ends.said((0, UNTIL), UNTIL, begun + SHORT_MAX),
            End::NotYet,
            "it has learnt it"
        );
        let again = begun + 2 * SHORT_MAX;
        assert_eq!(ends.said((0, UNTIL - 1), UNTIL, again), End::NotYet, "counted from anew");
    }

    /// It was waited for without an end.
    #[test]
    fn a_log_that_has_become_shorter_for_good_is_said_to_be() {
        let (mut ends, begun) = (Ends::default(), clock::monotonic());
        assert_eq!(ends.said((0, 7), UNTIL, begun), End::NotYet);
        assert_eq!(ends.said((0, 9), UNTIL, begun + SHORT_MAX), End::Shrunk);
    }

    #[test]
    fn a_range_that_is_deleted_is_read() {
        let now = clock::monotonic();
        assert_eq!(Ends::default().said((UNTIL, UNTIL), UNTIL, now), End::Read);
    }

    #[test]
    fn a_place_that_the_log_has_not_is_waited_for_but_not_for_ever() {
        let (mut ends, now) = (Ends::default(), clock::monotonic());
        // Retention has moved the start, or a leader knows the place again.
        assert_eq!(ends.refused((50, UNTIL), 10, UNTIL, now), End::NotYet);
        assert_eq!(ends.refused((0, UNTIL), 10, UNTIL, now), End::NotYet);
        // The log ends before it.
        assert_eq!(ends.refused((0, 5), 10, UNTIL, now), End::NotYet);
        assert_eq!(ends.refused((0, 5), 10, UNTIL, now + SHORT_MAX), End::Shrunk);
    }
}
