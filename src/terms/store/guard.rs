//! Keeps sled's failures in bounds: its panics become errors, and its threads' panics are noticed.
//!
//! sled 0.34 panics on some damaged files. A panic inside a guarded call is not printed as the
//! process's own; its text becomes the error. One of a thread of sled's own (which writes, cleans
//! and syncs in the background) is remembered, since sled goes on without that thread: nothing
//! would be cleaned up any more, and closing would wait for it for ever.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

static BACKGROUND_PANICS: AtomicU64 = AtomicU64::new(0);

/// How many of sled's own threads have panicked in this process so far.
pub(super) fn background_panics() -> u64 {
    BACKGROUND_PANICS.load(Ordering::Relaxed)
}

/// Runs `call`; the text of a panic is the error.
pub(super) fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if GUARDED.get() {
                tracing::debug!("the database panicked: {info}");
            } else if is_of_sled() {
                BACKGROUND_PANICS.fetch_add(1, Ordering::Relaxed);
                tracing::error!("a thread of the database panicked: {}", text_of(info));
            } else {
                previous(info);
            }
        }));
    });
    let outer = GUARDED.replace(true);
    let result = std::panic::catch_unwind(AssertUnwindSafe(call));
    GUARDED.set(outer);
    result.map_err(|payload| {
        let text = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied());
        format!("it panicked: {}", first_line(text.unwrap_or("without a text")))
    })
}

fn is_of_sled() -> bool {
    std::thread::current()
        .name()
        .is_some_and(|name| name == "log flusher" || name.starts_with("sled-io"))
}

fn text_of(info: &PanicHookInfo<'_>) -> String {
    let text = info.payload_as_str().unwrap_or("without a text");
    match info.location() {
        Some(place) => format!("{} ({}:{})", first_line(text), place.file(), place.line()),
        None => first_line(text),
    }
}

/// sled's texts can hold whole pages.
fn first_line(text: &str) -> String {
    const MAX_CHARS: usize = 200;
    text.lines().next().unwrap_or_default().chars().take(MAX_CHARS).collect()
}
