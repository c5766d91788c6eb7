//! Suppression without an order of arrival: of the alerts that are the same by their rule, the
//! first within a time is raised, by the times of the events.
//!
//! That is what the service's suppressor makes of events that arrive in order. Its memory is bounded
//! and begins with the process; here nothing is forgotten, and it begins with the range. Pure, but
//! for the temporary file.

use super::BacktestError;
use super::hits::Hit;
use crate::app::latest::{Latest, Sorted};
use crate::detect::suppress::Suppression;

/// A hit of a rule with a suppression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alike {
    pub hit: Hit,
    pub by: Suppression,
}

impl Alike {
    /// Moves it to where it is sorted: by side, rule and what it is the same by, then by time.
    pub fn keep(&self, into: &mut Latest) -> Result<(), BacktestError> {
        let mut key = vec![self.hit.side as u8];
        key.extend(self.hit.rule.to_be_bytes());
        key.extend(self.by.key);
        self.hit.seen.put(&mut key);
        // The time rides along in the rank: keys are unique.
        Ok(into.push(key, self.by.for_ms, serde_json::to_vec(&self.hit)?)?)
    }
}

/// The alert that others are withheld for.
struct Raised {
    group: Vec<u8>,
    pair: String,
    time_ms: i64,
}

/// What [`Alike::keep`] filled, each hit raised or withheld.
pub fn raise(
    sorted: &Sorted,
    mut each: impl FnMut(Hit) -> Result<(), BacktestError>,
) -> Result<(), BacktestError> {
    const GROUP_BYTES: usize = 1 + 2 + 16;
    let mut raised: Option<Raised> = None;
    for item in sorted.items()? {
        let item = item?;
        let (for_ms, group) = (item.rank, item.key.get(..GROUP_BYTES).unwrap_or_default());
        let mut hit: Hit = serde_json::from_slice(&item.payload)?;
        let time_ms = hit.seen.time_ms;
        match raised.as_ref().filter(|raised| raised.group == group) {
            // A stage of the alert itself.
            Some(raised) if raised.pair == hit.pair => {}
            Some(raised) if time_ms.saturating_sub(raised.time_ms) < for_ms => hit.withheld = true,
            _ => raised = Some(Raised { group: group.to_vec(), pair: hit.pair.clone(), time_ms }),
        }
        each(hit)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::hits::{Place, Seen, Shown, Side};
    use super::*;
    use crate::detect::suppress::Suppressor;

    fn alike(key: u8, time_ms: i64, offset: i64) -> Alike {
        let hit = Hit {
            rule: 0,
            // Two stages of one event.
            pair: format!("{key}-{time_ms}-{}", offset / 2),
            side: Side::Current,
            terms: String::new(),
            withheld: false,
            seen: Seen { time_ms, place: Place { offset, ..Place::default() } },
            shown: Shown { user: String::new(), audit_id: String::new(), what: String::new() },
        };
        Alike { hit, by: Suppression { key: [key; 16], for_ms: 10 } }
    }

    proptest! {
        /// In whatever order they come: what the service withholds of the same in order.
        #[test]
        fn withholds_what_the_service_withholds_in_order(
            found in prop::collection::vec((0..3u8, 0..60i64), 1..40),
            first in any::<prop::sample::Index>(),
        ) {
            let mut all: Vec<Alike> = (0..)
                .zip(&found)
                .map(|(offset, &(key, time_ms))| alike(key, time_ms, offset))
                .collect();
            let mut in_order = all.clone();
            in_order.sort_by_key(|it| it.hit.seen);
            let mut suppressor = Suppressor::default();
            let mut expected: Vec<(i64, bool)> = in_order
                .iter()
                .map(|Alike { hit, by }| {
                    let time_ms = Some(hit.seen.time_ms);
                    (hit.seen.place.offset, suppressor.withholds(&hit.pair, time_ms, *by))
                })
                .collect();
            expected.sort_unstable();

            let middle = first.index(all.len());
            all.rotate_left(middle);
            let mut latest = Latest::default();
            all.iter().for_each(|it| it.keep(&mut latest).unwrap());
            let mut raised = Vec::new();
            let mut each = |hit: Hit| {
                raised.push((hit.seen.place.offset, hit.withheld));
                Ok(())
            };
            raise(&latest.sorted().unwrap(), &mut each).unwrap();
            raised.sort_unstable();
            prop_assert_eq!(raised, expected);
        }
    }
}
