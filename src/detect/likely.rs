//! Which terms were observed a moment ago, as far as the workers know: what is likely to be spared
//! need not be written before that is decided.
//!
//! The detect thread notes and forgets, the workers ask. A hint only: being wrong either way costs
//! time and nothing else, since what is sent is for [`Recent`](crate::detect::recent::Recent) to
//! say. So a place is one number, of the latest term that was noted there, and whoever looks at the
//! same moment may see the one or the other.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::detect::recent::{Key, ObservationMark};

/// With 8 bytes each. More terms than that overwrite each other.
const PLACES_MAX: u64 = 64 * 1024;

#[derive(Debug, Default)]
pub struct Likely {
    /// What tells the term that was noted there last (upper half, never 0) and the second since
    /// boot at which it was handed over; 0: none.
    places: Box<[AtomicU64]>,
}

impl Likely {
    /// One that knows none, for about so many terms.
    pub fn new(terms: u64) -> Self {
        Likely { places: (0..terms.min(PLACES_MAX)).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Whether the observation is likely to be spared. `boot_ms`: since boot, counting suspension.
    pub fn spares(&self, mark: &ObservationMark, boot_ms: i64) -> bool {
        let Some((place, told)) = self.place(mark.term()) else { return false };
        let noted = place.load(Ordering::Relaxed);
        let handed_ms = i64::from(lower(noted)) * 1_000;
        upper(noted) == told && boot_ms - handed_ms <= mark.interval_ms()
    }

    /// An observation of the term that was handed over then is acknowledged.
    pub(super) fn note(&self, term: &Key, handed_ms: i64) {
        if let Some((place, told)) = self.place(term) {
            let second = u32::try_from(handed_ms / 1_000).unwrap_or(0);
            place.store(u64::from(told) << 32 | u64::from(second), Ordering::Relaxed);
        }
    }

    pub(super) fn forget(&self, term: &Key) {
        // Another one's is left.
        if let Some((place, told)) = self.place(term)
            && upper(place.load(Ordering::Relaxed)) == told
        {
            place.store(0, Ordering::Relaxed);
        }
    }

    /// A key is the beginning of a hash: one part says where, another one which.
    fn place(&self, term: &Key) -> Option<(&AtomicU64, u32)> {
        let [a, b, c, d, e, f, g, h, ..] = *term;
        let at = u32::from_ne_bytes([a, b, c, d]) as usize;
        let place = self.places.get(at.checked_rem(self.places.len())?)?;
        Some((place, u32::from_ne_bytes([e, f, g, h]).max(1)))
    }
}

fn upper(noted: u64) -> u32 {
    (noted >> 32) as u32
}

fn lower(noted: u64) -> u32 {
    noted as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::HOUR_MS;

    fn mark(key: &[u8]) -> ObservationMark {
        ObservationMark::new(key, "event", true, 168 * HOUR_MS)
    }

    #[test]
    fn knows_what_was_noted_for_as_long_as_it_may_be_spared() {
        let likely = Likely::new(64);
        let one = mark(b"one");
        assert!(!likely.spares(&one, 0));
        likely.note(one.term(), 5_000);
        assert!(likely.spares(&one, HOUR_MS + 5_000) && !likely.spares(&one, HOUR_MS + 5_001));
        assert!(!likely.spares(&mark(b"another"), 5_000));
        likely.forget(mark(b"another").term());
        assert!(likely.spares(&one, 6_000), "another one was forgotten");
        likely.forget(one.term());
        assert!(!likely.spares(&one, 6_000));
    }

    #[test]
    fn who_comes_later_takes_the_place() {
        let (likely, one, other) = (Likely::new(1), mark(b"one"), mark(b"other"));
        likely.note(one.term(), 0);
        likely.note(other.term(), 0);
        likely.forget(one.term());
        assert!(!likely.spares(&one, 0) && likely.spares(&other, 0));
        let none = Likely::new(0);
        none.note(one.term(), 0);
        assert!(!none.spares(&one, 0));
    }
}
