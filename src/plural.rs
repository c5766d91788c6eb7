//! Numbers of things, in words.

/// `1 event`, `2 events`.
pub fn several(number: u64, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}
