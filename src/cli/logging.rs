//! The log: to stderr, as text or as JSON lines.

use clap::ValueEnum;
use thiserror::Error;
use tracing_subscriber::EnvFilter;

use crate::config::ENVIRONMENT_LOG;

use super::context::Context;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, JSON lines otherwise
    #[default]
    Auto,
    Text,
    Json,
}

#[derive(Debug, Error)]
#[error(
    "{ENVIRONMENT_LOG} is no filter: {reason}\n\nhint: write a level, e.g. `debug`, or levels of \
     modules, e.g. `warn,kubetell::ingest=trace`"
)]
pub(crate) struct FilterError {
    reason: String,
}

/// Starts the log. A second start in one process (tests) keeps the first one.
pub(crate) fn init(
    format: LogFormat,
    default_level: &str,
    context: &Context,
) -> Result<(), FilterError> {
    let filter = context.variable(ENVIRONMENT_LOG).unwrap_or(default_level);
    let filter = EnvFilter::builder()
        .parse(filter)
        .map_err(|error| FilterError { reason: error.to_string() })?;
    let json = match format {
        LogFormat::Auto => !context.stderr_is_terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // An error means that a log is there already.
    if json {
        let _ = builder.json().flatten_event(true).with_ansi(false).try_init();
    } else {
        let colours = anstream::AutoStream::choice(&std::io::stderr());
        let colours = context.stderr_is_terminal && colours != anstream::ColorChoice::Never;
        let _ = builder.with_ansi(colours).try_init();
    }
    Ok(())
}
