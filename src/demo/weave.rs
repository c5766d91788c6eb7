//! From requests to their events, in the order in which a server writes them: the stages of one
//! request are interleaved with those of others. Holds only the stages that are still to come.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::iter::Peekable;
use std::sync::Arc;

use jiff::Timestamp;

use super::event::{Request, Stage, later};

/// One stage of a request, not yet written.
#[derive(Debug, Clone)]
pub struct Emitted {
    /// Microseconds after the start of the log.
    pub at_us: u64,
    pub stage: Stage,
    pub request: Arc<Request>,
    received_us: u64,
}

impl Emitted {
    pub fn json(&self, start: Timestamp, typed: bool) -> String {
        self.request.event(self.stage, later(start, self.received_us), typed)
    }

    /// Whether nothing of the request was written before.
    pub fn is_first(&self) -> bool {
        self.stage == Stage::Received
    }
}

pub struct Weave<I: Iterator<Item = (u64, Request)>> {
    /// In the order of their times, in microseconds after the start of the log.
    requests: Peekable<I>,
    /// By time, then by the order in which they entered.
    pending: BinaryHeap<Reverse<Pending>>,
    entered: u64,
}

struct Pending {
    order: (u64, u64),
    event: Emitted,
}

impl PartialEq for Pending {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Pending {}

impl PartialOrd for Pending {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pending {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order.cmp(&other.order)
    }
}

impl<I: Iterator<Item = (u64, Request)>> Weave<I> {
    pub fn new(requests: I) -> Self {
        Self { requests: requests.peekable(), pending: BinaryHeap::new(), entered: 0 }
    }
}

impl<I: Iterator<Item = (u64, Request)>> Iterator for Weave<I> {
    type Item = Emitted;

    fn next(&mut self) -> Option<Emitted> {
        loop {
            let next_at = self.pending.peek().map(|Reverse(pending)| pending.event.at_us);
            let request = match (self.requests.peek(), next_at) {
                (Some((at, _)), Some(next_at)) if next_at < *at => None,
                _ => self.requests.next(),
            };
            let Some((received_us, request)) = request else {
                return self.pending.pop().map(|Reverse(pending)| pending.event);
            };
            let request = Arc::new(request);
            for (stage, after_us) in request.timeline() {
                let at_us = received_us.saturating_add(after_us);
                let request = Arc::clone(&request);
                let event = Emitted { at_us, stage, request, received_us };
                self.pending.push(Reverse(Pending { order: (at_us, self.entered), event }));
                self.entered += 1;
            }
        }
    }
}
