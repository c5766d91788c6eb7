//! What is known of the worker pool of the detect half.

use std::sync::{Arc, Mutex, PoisonError};

use super::half::Beat;
use super::{Counter, Gauge};
use crate::clock;

/// One worker thread.
#[derive(Debug, Default)]
pub struct WorkerStats {
    /// Turns when a batch begins and rests when it is done.
    pub batch: Beat,
    pub busy_us: Counter,
    pub batches: Counter,
}

impl WorkerStats {
    /// Does the work of one batch, and counts how long that took.
    pub fn busy<T>(&self, work: impl FnOnce() -> T) -> T {
        self.batch.turn();
        let begun = clock::monotonic();
        let done = work();
        let took = clock::monotonic() - begun;
        self.busy_us.add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        self.batches.add(1);
        self.batch.rest();
        done
    }
}

#[derive(Debug, Default)]
pub struct PoolStats {
    workers: Mutex<Vec<Arc<WorkerStats>>>,
    /// Batches that wait for a worker, and batches whose results wait for the detect thread.
    pub jobs_waiting: Gauge,
    pub results_waiting: Gauge,
    /// Of records and outputs, and what the bound is.
    pub in_flight_bytes: Gauge,
    pub in_flight_max_bytes: Gauge,
}

impl PoolStats {
    /// For one more worker.
    pub fn worker(&self) -> Arc<WorkerStats> {
        let worker = Arc::<WorkerStats>::default();
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&worker));
        worker
    }

    pub fn workers(&self) -> Vec<Arc<WorkerStats>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
