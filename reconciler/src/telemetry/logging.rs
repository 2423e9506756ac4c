//! Where log lines go, and how they look.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use crate::config::{LogConfig, LogFormat};

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoggingError {
    /// The level is no filter.
    #[error("log.level is not a filter such as `info` or `info,reconciler=debug`")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    /// The journal cannot be reached.
    #[error("cannot reach systemd's journal; set log.format to text or json")]
    Journal(#[source] std::io::Error),
    /// Somebody set it up before.
    #[error("logging is set up already")]
    Twice(#[from] TryInitError),
}

impl LoggingError {
    /// Never: a person has to change the config.
    pub fn is_worth_retrying(&self) -> bool {
        false
    }
}

/// Sends log lines to standard error, or to systemd's journal with fields.
///
/// # Errors
/// When the filter makes no sense, the journal cannot be reached, or it is called twice.
pub fn set_up(config: &LogConfig) -> Result<(), LoggingError> {
    let registry = tracing_subscriber::registry().with(EnvFilter::try_new(&config.level)?);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match concrete(config.format) {
        LogFormat::Journald => {
            let journal = tracing_journald::layer().map_err(LoggingError::Journal)?;
            registry.with(journal).try_init()?;
        }
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init()?,
        LogFormat::Text | LogFormat::Auto => registry
            .with(lines.with_ansi(std::io::stderr().is_terminal()))
            .try_init()?,
    }
    Ok(())
}

/// What `auto` means here: text on a terminal, the journal under systemd, JSON elsewhere.
fn concrete(format: LogFormat) -> LogFormat {
    match format {
        LogFormat::Auto if std::io::stderr().is_terminal() => LogFormat::Text,
        // systemd.exec(5): set when standard error goes to the journal.
        LogFormat::Auto if std::env::var_os("JOURNAL_STREAM").is_some() => LogFormat::Journald,
        LogFormat::Auto => LogFormat::Json,
        chosen => chosen,
    }
}
