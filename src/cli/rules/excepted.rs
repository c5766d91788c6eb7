//! Exceptions as `rules list`, `rules show` and `explain` draw them.

use crate::alert::visible::visible;
use crate::limits;
use crate::rules::exceptions::{Exceptions, Shown};

/// A table below that of the rules; nothing where there are none.
pub(super) fn table(exceptions: &Exceptions, now_ms: i64) -> String {
    if exceptions.is_empty() {
        return String::new();
    }
    let row = |shown: Shown| {
        let until = expiry(&shown).unwrap_or_else(|| "never".to_owned());
        [shown.name, shown.rules.join(", "), until, short(&shown.reason)]
    };
    let rows: Vec<[String; 4]> =
        exceptions.iter().map(|exception| row(exception.shown(now_ms))).collect();
    format!("\n{}", super::columns(["EXCEPTION", "RULES", "EXPIRES", "REASON"], &rows))
}

/// The exceptions of one rule.
pub(super) fn list(exceptions: &[Shown]) -> String {
    let mut out = String::new();
    for (nth, shown) in exceptions.iter().enumerate() {
        if nth == 0 {
            out.push_str("\nExceptions:\n");
        }
        let expiry = match (shown.expired, expiry(shown)) {
            (_, None) => String::new(),
            (true, Some(expiry)) => format!(" ({expiry})"),
            (false, Some(expiry)) => format!(" (until {expiry})"),
        };
        out.push_str(&format!("- {}{expiry}: {}\n", shown.name, short(&shown.reason)));
        for condition in &shown.conditions {
            out.push_str(&format!("    {}\n", short(&condition.to_string())));
        }
    }
    out
}

fn expiry(shown: &Shown) -> Option<String> {
    let text = shown.expires.as_ref()?;
    Some(if shown.expired { format!("expired {text}") } else { text.clone() })
}

fn short(text: &str) -> String {
    visible(text, limits::TERMINAL_VALUE_MAX_CHARS)
}
