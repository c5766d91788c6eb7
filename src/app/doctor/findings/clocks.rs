//! Times, stages and copies.

use super::ids::Id;
use super::{Findings, Severity, is_share, of};
use crate::app::doctor::tally::CLOCK_TOLERANCE_MS;
use crate::duration::format_duration;
use crate::limits::SECOND_MS;

/// A delay of the slowest twentieth that is worth a word, and one that is a warning.
const DELAY_NOTE_MS: u64 = 10_000;
const DELAY_WARNING_MS: u64 = 60_000;
/// Since when a topic in which nothing is written is stale.
const STALE_MS: i64 = 15 * 60 * SECOND_MS;
/// From so many in 100 on copies are said.
const COPIES_PERCENT: u64 = 1;

impl Findings<'_> {
    pub(super) fn clocks(&mut self) {
        let (tally, clocks) = (self.tally, &self.tally.clocks);
        let terms = self.needs.of_terms();
        if clocks.ahead > 0 {
            let timed = tally.events - tally.missing.times;
            let text = format!(
                "{}, by {} at most",
                of(clocks.ahead, timed, "events are ahead of their record, or of now"),
                rounded(clocks.ahead_max_ms)
            );
            self.add(Id::ClockAhead, Severity::Warning, self.needs.all(), text);
        }
        if clocks.records_ahead > 0 {
            let text = format!(
                "{}, by {} at most",
                of(clocks.records_ahead, tally.records, "records are ahead of now"),
                rounded(clocks.records_ahead_max_ms)
            );
            self.add(Id::RecordsAhead, Severity::Warning, terms.clone(), text);
        }
        let delay = &clocks.delay_ms;
        let late = delay.percentile(95);
        if delay.count() > 0 && late >= DELAY_NOTE_MS {
            let severity =
                if late >= DELAY_WARNING_MS { Severity::Warning } else { Severity::Note };
            let text = format!("{} from the stage of an event to its record", self.delays());
            self.add(Id::LateArrival, severity, self.needs.all(), text);
        }
        let newest = tally.parts.iter().filter_map(|part| part.times.bounds).map(|(_, last)| last);
        if let Some(newest) = newest.max()
            && self.facts.now_ms.saturating_sub(newest) > STALE_MS
        {
            let ago = rounded(self.facts.now_ms.saturating_sub(newest));
            let text = format!("the newest record is {ago} old");
            self.add(Id::StaleTopic, Severity::Warning, self.needs.all(), text);
        }
        if self.has(&[Id::ClockAhead, Id::RecordsAhead, Id::LateArrival]) {
            return;
        }
        let mut text = format!(
            "no event is ahead of its record or of now by more than {}",
            format_duration(CLOCK_TOLERANCE_MS)
        );
        if delay.count() > 0 {
            text = format!("{text}; {} from the stage to the record", self.delays());
        }
        self.add(Id::Clocks, Severity::Ok, Vec::new(), text);
    }

    fn delays(&self) -> String {
        let delay = &self.tally.clocks.delay_ms;
        let of = |percent| rounded(i64::try_from(delay.percentile(percent)).unwrap_or(i64::MAX));
        let most = rounded(i64::try_from(delay.max()).unwrap_or(i64::MAX));
        format!("{} (median), {} (95 in 100), {most} (most)", of(50), of(95))
    }

    pub(super) fn stages(&mut self) {
        let tally = self.tally;
        if is_share(tally.copies, tally.compared_events, COPIES_PERCENT) {
            let text = of(tally.copies, tally.compared_events, "events are copies of others");
            self.add(Id::DuplicateEvents, Severity::Note, self.needs.all(), text);
        }
        if tally.stages.get("RequestReceived") == tally.events {
            let text = format!("all {} events are of the stage `RequestReceived`", tally.events);
            self.add(Id::OnlyReceived, Severity::Warning, self.needs.all(), text);
        }
        let old = ["audit.k8s.io/v1beta1", "audit.k8s.io/v1alpha1"];
        let old: u64 = old.iter().map(|version| tally.api_versions.get(version)).sum();
        if old > 0 {
            let text = of(old, tally.events, "events are of an API version before `v1`");
            self.add(Id::OldApiVersion, Severity::Note, Vec::new(), text);
        }
    }
}

/// A duration for people: two units at most, milliseconds only below a minute.
fn rounded(ms: i64) -> String {
    let ms = ms.max(0);
    let (seconds, minutes, hours) = (ms / 1_000, ms / 60_000, ms / 3_600_000);
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{:.1} s", ms as f64 / 1_000.0),
        60_000..3_600_000 => format!("{minutes} min {} s", seconds % 60),
        3_600_000..86_400_000 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{} d {} h", hours / 24, hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_rounded_for_people() {
        for (ms, text) in [
            (-5, "0 ms"),
            (999, "999 ms"),
            (2_540, "2.5 s"),
            (61_000, "1 min 1 s"),
            (3_600_000 * 2 + 59_000, "2 h 0 min"),
            (86_400_000 * 3 + 3_600_000, "3 d 1 h"),
            (i64::MAX, "106751991167 d 7 h"),
        ] {
            assert_eq!(rounded(ms), text);
        }
    }
}
