//! Arguments to exit code, nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    kubetell::cli::main(std::env::args_os()).into()
}
