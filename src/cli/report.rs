//! What people are told on stderr: `error: …`, `warning: …`, `note: …` and the hint behind it.
//!
//! Colours appear on a terminal only, and not with `NO_COLOR`. A closed stderr is not an error:
//! the exit code says what happened.

use std::fmt::Display;
use std::io::Write;

use anstyle::{AnsiColor, Style};

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const NOTE: Style = AnsiColor::Cyan.on_default().bold();
const HINT: Style = AnsiColor::Green.on_default().bold();

/// Says what went wrong and, where there is something to do about it, what.
pub fn error(message: impl Display, hint: Option<&str>) {
    say("error", ERROR, &message.to_string(), hint);
}

/// As `error`, for the text of an error that carries its hint within it, behind a blank line.
pub fn error_text(text: &str) {
    let (message, hint) = split_hint(text);
    error(message, hint);
}

/// An id of a rule that there is not. Where nothing is like it, the hint says how to see them all.
pub fn unknown_rule(text: &str) {
    let (message, hint) = split_hint(text);
    error(message, Some(hint.unwrap_or("`kubetell rules list` lists the rules")));
}

pub fn warning(message: impl Display) {
    let text = message.to_string();
    let (message, hint) = split_hint(&text);
    say("warning", WARNING, message, hint);
}

pub fn note(message: impl Display) {
    say("note", NOTE, &message.to_string(), None);
}

/// The message and the hint of a text `MESSAGE`, blank line, `hint: HINT`.
pub fn split_hint(text: &str) -> (&str, Option<&str>) {
    let text = text.trim_end();
    match text.split_once("\n\nhint: ").or_else(|| text.split_once("\nhint: ")) {
        Some((message, hint)) => (message, Some(hint)),
        None => (text, None),
    }
}

fn say(label: &str, style: Style, message: &str, hint: Option<&str>) {
    let mut text = format!("{style}{label}:{style:#} {message}\n");
    if let Some(hint) = hint {
        text.push_str(&format!("{HINT}hint:{HINT:#} {hint}\n"));
    }
    let mut stderr = anstream::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hint_is_found_with_and_without_a_blank_line() {
        assert_eq!(split_hint("a b"), ("a b", None));
        assert_eq!(split_hint("a\n\nhint: b"), ("a", Some("b")));
        assert_eq!(split_hint("a\nhint: b\n"), ("a", Some("b")));
        assert_eq!(split_hint("a\nb"), ("a\nb", None));
    }
}
