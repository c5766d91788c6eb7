//! What the threads of a storm share: whether it still blows, who is to be struck, and what was
//! done so far.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use kubetell::clock;

use super::INSTANCES;

#[derive(Default)]
struct State {
    over: bool,
    struck: [bool; INSTANCES],
    /// Process ids of the instances that run.
    running: [Option<u32>; INSTANCES],
}

/// Counts of what was done.
#[derive(Default)]
pub struct Tally {
    pub kills: AtomicU64,
    pub kills_with_state: AtomicU64,
    pub suspensions: AtomicU64,
    pub broker_kills: AtomicU64,
    pub records: AtomicU64,
    pub records_acknowledged: AtomicU64,
}

impl Tally {
    pub fn instance_kills(&self) -> u64 {
        get(&self.kills) + get(&self.kills_with_state)
    }

    pub fn all_kills(&self) -> u64 {
        self.instance_kills() + get(&self.broker_kills)
    }
}

pub fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

pub fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Why a pause ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    Due,
    Struck,
    Over,
}

pub struct Sky {
    state: Mutex<State>,
    changed: Condvar,
    begun: Instant,
    pub tally: Tally,
}

impl Sky {
    pub fn new() -> Self {
        Sky {
            state: Mutex::default(),
            changed: Condvar::new(),
            begun: clock::monotonic(),
            tally: Tally::default(),
        }
    }

    /// Waits for a time, for the end of the storm, or for the stroke that hits this instance.
    pub fn pause(&self, until: Instant, instance: Option<usize>) -> Wake {
        let mut state = self.state.lock().unwrap();
        loop {
            if state.over {
                return Wake::Over;
            }
            if instance.is_some_and(|instance| std::mem::take(&mut state.struck[instance])) {
                return Wake::Struck;
            }
            let left = until.saturating_duration_since(clock::monotonic());
            if left.is_zero() {
                return Wake::Due;
            }
            state = self.changed.wait_timeout(state, left).unwrap().0;
        }
    }

    pub fn pause_for(&self, time: Duration) -> Wake {
        self.pause(clock::monotonic() + time, None)
    }

    pub fn strike(&self, instance: usize) {
        self.state.lock().unwrap().struck[instance] = true;
        self.changed.notify_all();
    }

    /// An instance runs under this process id; it does not with `None`.
    pub fn runs(&self, instance: usize, pid: Option<u32>) {
        let mut state = self.state.lock().unwrap();
        state.running[instance] = pid;
        state.struck[instance] = false;
    }

    pub fn running(&self) -> [Option<u32>; INSTANCES] {
        self.state.lock().unwrap().running
    }

    pub fn end(&self) {
        self.state.lock().unwrap().over = true;
        self.changed.notify_all();
    }

    /// Ends the storm when the thread that holds the result panics.
    pub fn ends_with_this_thread(&self) -> impl Drop {
        struct Guard<'s>(&'s Sky);
        impl Drop for Guard<'_> {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    self.0.end();
                }
            }
        }
        Guard(self)
    }

    pub fn elapsed(&self) -> Duration {
        clock::monotonic() - self.begun
    }

    /// A line of the storm's log, with the time.
    pub fn say(&self, text: &str) {
        eprintln!("{:7.1} s  {text}", self.elapsed().as_secs_f64());
    }
}
