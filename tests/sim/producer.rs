//! The producing end of one half: what is queued, what the brokers have appended, and what is
//! acknowledged. In order within a lane, which is a partition of a topic; in any order across
//! lanes.

use std::collections::VecDeque;

/// One message under way.
#[derive(Debug)]
struct UnderWay<T> {
    message: T,
    appended: bool,
}

/// Lanes of messages: first those that are appended and not acknowledged, then the others.
#[derive(Debug)]
pub struct Producer<T> {
    lanes: Vec<VecDeque<UnderWay<T>>>,
}

impl<T> Producer<T> {
    pub fn new(lanes: usize) -> Producer<T> {
        Producer { lanes: (0..lanes).map(|_| VecDeque::new()).collect() }
    }

    pub fn send(&mut self, lane: usize, message: T) {
        self.lanes[lane].push_back(UnderWay { message, appended: false });
    }

    pub fn outstanding(&self) -> usize {
        self.lanes.iter().map(VecDeque::len).sum()
    }

    fn lane(
        &self,
        nth: usize,
        wanted: impl Fn(usize, &VecDeque<UnderWay<T>>) -> bool,
    ) -> Option<usize> {
        let lanes = self.lanes.len();
        (0..lanes).map(|at| (at + nth) % lanes).find(|lane| wanted(*lane, &self.lanes[*lane]))
    }

    /// The next message of some lane arrives at its broker. `nth` says where to begin looking.
    /// With `answer_lost` the producer does not hear of it and will send it again. Nothing arrives
    /// where `is_down`.
    pub fn append(
        &mut self,
        nth: usize,
        answer_lost: bool,
        is_down: impl Fn(usize) -> bool,
    ) -> Option<&T> {
        let waits = |at, lane: &VecDeque<UnderWay<T>>| {
            !is_down(at) && lane.back().is_some_and(|one| !one.appended)
        };
        let lane = self.lane(nth, waits)?;
        let one = self.lanes[lane].iter_mut().find(|one| !one.appended)?;
        one.appended = !answer_lost;
        Some(&one.message)
    }

    /// The next acknowledgement of some lane arrives here.
    pub fn acknowledge(&mut self, nth: usize) -> Option<T> {
        let lane = self.lane(nth, |_, lane| lane.front().is_some_and(|one| one.appended))?;
        self.lanes[lane].pop_front().map(|one| one.message)
    }

    pub fn has_unsent(&self) -> bool {
        self.lane(0, |_, lane| lane.back().is_some_and(|one| !one.appended)).is_some()
    }

    pub fn has_unacknowledged(&self) -> bool {
        self.lane(0, |_, lane| lane.front().is_some_and(|one| one.appended)).is_some()
    }

    /// The process is gone: what no broker has appended yet, by lane. A part of each may be on its
    /// way still.
    pub fn into_unsent(self) -> Vec<VecDeque<T>> {
        self.lanes
            .into_iter()
            .map(|lane| lane.into_iter().filter(|one| !one.appended).map(|one| one.message))
            .map(Iterator::collect)
            .collect()
    }
}
