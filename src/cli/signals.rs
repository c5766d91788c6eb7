//! Signals that end a command in order: what it has found by then is still told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::exit::Exit;

/// What a signal means.
#[derive(Default)]
pub(super) struct Signals {
    /// The first one, once something has begun: it is to end.
    pub stop: AtomicBool,
    /// Before there is something to tell, and a second time: the process ends.
    begun: AtomicBool,
}

impl Signals {
    /// From now on there is something to tell.
    pub fn begin(&self) {
        self.begun.store(true, Ordering::Relaxed);
    }
}

/// SIGTERM and SIGINT. The runtime has to be kept for as long as they are to be heard.
pub(super) fn hear() -> std::io::Result<(Arc<Signals>, tokio::runtime::Runtime)> {
    use tokio::signal::unix::{SignalKind, signal};
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
            if !heard.begun.load(Ordering::Relaxed) || heard.stop.swap(true, Ordering::Relaxed) {
                std::process::exit(i32::from(Exit::Partial.code()));
            }
        }
    });
    Ok((signals, runtime))
}
