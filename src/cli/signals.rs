//! What SIGTERM and SIGINT mean to a command that reads: once something is being read, the first
//! one ends the reading, and what is known by then is told; before that, and a second time, the
//! process ends at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};

use super::exit::Exit;
use super::report;

#[derive(Default)]
pub(super) struct Signals {
    /// The first one, once something is being read: the reading ends.
    pub stop: AtomicBool,
    reading: AtomicBool,
}

impl Signals {
    /// From now on there is something to tell.
    pub fn begin(&self) {
        self.reading.store(true, Ordering::Relaxed);
    }
}

/// The runtime has to be kept for as long as signals are to be heard.
///
/// # Errors
/// The handler could not be set, which has been reported.
pub(super) fn hear() -> Result<(Arc<Signals>, tokio::runtime::Runtime), Exit> {
    listen().map_err(|error| {
        report::error(format_args!("the signal handler could not be set: {error}"), None);
        Exit::Internal
    })
}

fn listen() -> std::io::Result<(Arc<Signals>, tokio::runtime::Runtime)> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().build()?;
    let (mut terminate, mut interrupt) = {
        let _entered = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    let signals = Arc::new(Signals::default());
    let heard = Arc::clone(&signals);
    runtime.spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if !heard.reading.load(Ordering::Relaxed) || heard.stop.swap(true, Ordering::Relaxed) {
                std::process::exit(i32::from(Exit::Partial.code()));
            }
        }
    });
    Ok((signals, runtime))
}
