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
