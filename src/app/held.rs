//! Alerts held back by `scan` until their outcome is known.
//!
//! `scan` prints an alert once. The event that raises it may be the first of its stages, so it
//! waits, in the order of the input, for a later stage to tell the outcome, at most
//! [`HOLD_MAX_EVENTS`] events long. When it goes out depends on the input alone, never on threads
//! or clocks.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::alert::Alert;

/// How many events an alert waits for its outcome. The stages of a request stand close together
/// in a log; a session's end may be hours away, but its start tells the outcome.
pub const HOLD_MAX_EVENTS: u64 = 10_000;
/// Ids of printed alerts that are remembered, so that a late stage prints nothing.
const PRINTED_MAX: usize = 1_000_000;

struct Waiting {
    alert: Alert,
    since_event: u64,
}

#[derive(Default)]
pub struct Held {
    queue: VecDeque<Waiting>,
    /// Number of the queue's front, counted from the first alert ever held.
    front: u64,
    number_by_id: HashMap<String, u64>,
    printed: HashSet<String>,
    printed_order: VecDeque<String>,
}

impl Held {
    /// An alert raised or revised by event number `event` (counted through the whole input).
    pub fn push(&mut self, alert: Alert, event: u64) {
        if let Some(number) = self.number_by_id.get(&alert.id) {
            let at = usize::try_from(number - self.front).unwrap_or(usize::MAX);
            if let Some(waiting) = self.queue.get_mut(at)
                && !waiting.alert.outcome_known
                && alert.outcome_known
            {
                waiting.alert = alert;
            }
            return;
        }
        if self.printed.contains(&alert.id) {
            return;
        }
        self.number_by_id.insert(alert.id.clone(), self.front + self.queue.len() as u64);
        self.queue.push_back(Waiting { alert, since_event: event });
    }

    /// The alerts that need not wait any longer once the input has reached event number `event`.
    pub fn release(&mut self, event: u64, out: &mut Vec<Alert>) {
        while let Some(first) = self.queue.front() {
            if !first.alert.outcome_known && event < first.since_event + HOLD_MAX_EVENTS {
                return;
            }
            self.pop(out);
        }
    }

    /// At the end of the input.
    pub fn release_all(&mut self, out: &mut Vec<Alert>) {
        while !self.queue.is_empty() {
            self.pop(out);
        }
    }

    fn pop(&mut self, out: &mut Vec<Alert>) {
        let Some(first) = self.queue.pop_front() else { return };
        self.front += 1;
        self.number_by_id.remove(&first.alert.id);
        if self.printed_order.len() >= PRINTED_MAX
            && let Some(oldest) = self.printed_order.pop_front()
        {
            self.printed.remove(&oldest);
        }
        self.printed.insert(first.alert.id.clone());
        self.printed_order.push_back(first.alert.id.clone());
        out.push(first.alert);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::{self, fixtures};

    fn alert(id: &str, outcome_known: bool) -> Alert {
        let alert = alert::from_finding(&fixtures::shell_exec(), &fixtures::origin());
        Alert { id: id.to_owned(), outcome_known, ..alert }
    }

    /// Pushes (id, outcome known, event), then releases at `until`; the ids that went out, with a
    /// `!` where the outcome is known.
    fn check(held: &mut Held, pushed: &[(&str, bool, u64)], until: u64, expected: &[&str]) {
        for (id, known, event) in pushed {
            held.push(alert(id, *known), *event);
        }
        let mut out = Vec::new();
        held.release(until, &mut out);
        assert_eq!(shown(&out), expected, "{pushed:?} at {until}");
    }

    fn shown(alerts: &[Alert]) -> Vec<String> {
        let mark = |known| if known { "!" } else { "" };
        alerts.iter().map(|alert| format!("{}{}", alert.id, mark(alert.outcome_known))).collect()
    }

    #[test]
    fn known_outcome_goes_out_at_once() {
        let mut held = Held::default();
        check(&mut held, &[("a", true, 1), ("b", true, 2)], 2, &["a!", "b!"]);
        check(&mut held, &[], 3, &[]);
    }

    #[test]
    fn outcome_replaces_what_waits_and_keeps_its_place() {
        let mut held = Held::default();
        check(&mut held, &[("a", false, 1), ("b", true, 2)], 2, &[]);
        check(&mut held, &[("a", true, 3)], 3, &["a!", "b!"]);
        // Also when the front has moved on and the number is no index any more.
        check(&mut held, &[("c", false, 4), ("d", false, 5)], 5, &[]);
        check(&mut held, &[("d", true, 6)], 6, &[]);
        check(&mut held, &[("c", true, 7)], 7, &["c!", "d!"]);
    }

    #[test]
    fn known_outcome_is_not_taken_back() {
        let mut held = Held::default();
        check(&mut held, &[("first", false, 1), ("a", true, 2), ("a", false, 3)], 3, &[]);
        check(&mut held, &[("first", true, 4)], 4, &["first!", "a!"]);
    }

    #[test]
    fn waiting_ends_after_so_many_events() {
        let mut held = Held::default();
        let last = 7 + HOLD_MAX_EVENTS;
        check(&mut held, &[("a", false, 7), ("b", false, 8)], last - 1, &[]);
        check(&mut held, &[], last, &["a"]);
        check(&mut held, &[], last + 1, &["b"]);
        check(&mut held, &[("a", true, last + 2)], last + 2, &[]);
    }

    #[test]
    fn printed_id_is_not_printed_again() {
        let mut held = Held::default();
        check(&mut held, &[("a", true, 1)], 1, &["a!"]);
        check(&mut held, &[("a", true, 2), ("b", true, 2), ("a", false, 3)], 3, &["b!"]);
    }

    #[test]
    fn end_releases_everything_in_order() {
        let mut held = Held::default();
        check(&mut held, &[("a", false, 1), ("b", true, 2), ("c", false, 3)], 3, &[]);
        let mut out = Vec::new();
        held.release_all(&mut out);
        assert_eq!(shown(&out), ["a", "b!", "c"]);
        assert!(held.queue.is_empty() && held.number_by_id.is_empty());
    }
}
