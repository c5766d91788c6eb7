//! Keeps sled's failures in bounds: its panics become errors, and its threads' panics are noticed.
//!
//! sled 0.34 panics on some damaged files. A panic inside a guarded call is not printed as the
//! process's own; its text becomes the error. One of a thread of sled's own (which writes, cleans
//! and syncs in the background) is remembered, since sled goes on without that thread: nothing
//! would be cleaned up any more, and closing would wait for it for ever.

use std::any::Any;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::quiet;

static BACKGROUND_PANICS: AtomicU64 = AtomicU64::new(0);

/// How many of sled's own threads have panicked in this process so far.
pub(super) fn background_panics() -> u64 {
    BACKGROUND_PANICS.load(Ordering::Relaxed)
}

/// Runs `call`; the text of a panic is the error.
pub(super) fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        quiet::hook(|info| {
            let is_of_sled = is_of_sled();
            if is_of_sled {
                BACKGROUND_PANICS.fetch_add(1, Ordering::Relaxed);
                let place = info.location().map(ToString::to_string).unwrap_or_default();
                let text = text_of(info.payload());
                tracing::error!("a thread of the database panicked: {text} ({place})");
            }
            is_of_sled
        });
    });
    quiet::catch(call).map_err(|payload| format!("it panicked: {}", text_of(payload.as_ref())))
}

fn is_of_sled() -> bool {
    std::thread::current()
        .name()
        .is_some_and(|name| name == "log flusher" || name.starts_with("sled-io"))
}

/// The first line of a panic's text. sled's can hold whole pages.
fn text_of(payload: &dyn Any) -> String {
    const MAX_CHARS: usize = 200;
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied());
    let line = text.and_then(|text| text.lines().next()).unwrap_or("without a text");
    line.chars().take(MAX_CHARS).collect()
}
