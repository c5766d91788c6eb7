//! Which terms were observed a moment ago, as far as the workers know: what is likely to be spared
//! need not be written before that is decided.
//!
//! The detect thread notes and forgets, the workers ask. A hint only: being wrong either way costs
//! time and nothing else, since what is sent is for [`Recent`](crate::detect::recent::Recent) to
//! say. So a place is one number, the latest that was noted there, and whoever looks at the same
//! moment may see the one or the other.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::detect::recent::Key;

/// With 8 bytes each. More terms than that overwrite each other.
const PLACES: usize = 64 * 1024;

#[derive(Debug)]
pub struct Likely {
    /// What tells the term that was noted there last; 0: none.
    places: Box<[AtomicU64]>,
}

impl Likely {
    /// One that knows none.
    pub fn new() -> Self {
        Likely { places: (0..PLACES).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Whether an observation of the term is likely to be spared.
    pub fn spares(&self, term: &Key) -> bool {
        let (place, told) = self.place(term);
        place.is_some_and(|place| place.load(Ordering::Relaxed) == told)
    }

    pub(super) fn note(&self, term: &Key) {
        let (place, told) = self.place(term);
        if let Some(place) = place {
            place.store(told, Ordering::Relaxed);
        }
    }

    pub(super) fn forget(&self, term: &Key) {
        let (place, told) = self.place(term);
        if let Some(place) = place {
            // Another one's is left.
            let _ = place.compare_exchange(told, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// A key is the beginning of a hash: one half says where, the other one which.
    fn place(&self, term: &Key) -> (Option<&AtomicU64>, u64) {
        let [a, b, c, d, e, f, g, h, told @ ..] = *term;
        let at = u64::from_ne_bytes([a, b, c, d, e, f, g, h]) % PLACES as u64;
        let place = usize::try_from(at).ok().and_then(|at| self.places.get(at));
        (place, u64::from_ne_bytes(told).max(1))
    }
}

impl Default for Likely {
    fn default() -> Self {
        Likely::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_was_noted_until_it_is_forgotten() {
        let likely = Likely::new();
        let (one, same_place) = ([7; 16], [7, 7, 7, 7, 7, 7, 7, 7, 8, 8, 8, 8, 8, 8, 8, 8]);
        assert!(!likely.spares(&one) && !likely.spares(&[0; 16]));
        likely.note(&one);
        assert!(likely.spares(&one) && !likely.spares(&same_place));
        likely.forget(&same_place);
        assert!(likely.spares(&one), "another one was forgotten");
        likely.note(&same_place);
        assert!(!likely.spares(&one), "another one took its place");
        likely.forget(&same_place);
        assert!(!likely.spares(&same_place));
    }
}
