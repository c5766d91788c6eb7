//! Data to stdout. A reader that has seen enough (`kubetell … | head`) is no error.

use std::io::{self, Write};

use super::exit::Exit;
use super::report;

/// Writes a whole text and says how that went: `Exit::Done`, also when the reader is gone.
pub fn print(text: &str) -> Exit {
    let mut stdout = anstream::stdout().lock();
    outcome(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
}

/// A pretty JSON document and a newline.
pub fn print_json(value: &serde_json::Value) -> Exit {
    print(&format!("{value:#}\n"))
}

/// What a write to stdout comes to.
pub fn outcome(result: io::Result<()>) -> Exit {
    match result {
        Ok(()) => Exit::Done,
        Err(error) if is_closed(&error) => Exit::Done,
        Err(error) => {
            report::error(format_args!("cannot write to stdout: {error}"), None);
            Exit::Internal
        }
    }
}

/// Whether the reader of a pipe is gone.
pub fn is_closed(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}
