//! Panics of other crates that are expected and made into errors: they are not printed as the
//! process's own.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo};
use std::sync::{Mutex, Once, PoisonError};

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs `call`; a panic in it is the error, and stands in the log at the level `debug` only.
pub fn catch<T>(call: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        hook(|info| {
            if QUIET.get() {
                tracing::debug!("another crate panicked: {info}");
            }
            QUIET.get()
        });
    });
    let outer = QUIET.replace(true);
    let result = std::panic::catch_unwind(AssertUnwindSafe(call));
    QUIET.set(outer);
    result
}

/// Puts a hook before those that there are: they hear of a panic only when it answers `false`.
/// Hooks are put there by this function alone, since two at a time would lose one.
pub fn hook(takes: impl Fn(&PanicHookInfo<'_>) -> bool + Send + Sync + 'static) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !takes(info) {
            previous(info);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_and_the_next_one_is_heard_again() {
        assert_eq!(catch(|| 7).ok(), Some(7));
        let text = catch(|| panic!("expected")).err().and_then(|it| it.downcast::<&str>().ok());
        assert_eq!(text.as_deref(), Some(&"expected"));
        assert!(!QUIET.get());
        assert_eq!(catch(|| catch(|| panic!("within")).is_err() && QUIET.get()).ok(), Some(true));
    }
}
