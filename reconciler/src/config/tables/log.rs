//! The table `[log]`: how the daemon logs.

use crate::config::model::{LogConfig, LogFormat};
use crate::config::reader::values::{Given, choice, text};
use crate::config::reader::{Problem, Section, did_you_mean, quoted};

/// Reads the table.
pub(super) fn log(mut table: Section<'_>) -> LogConfig {
    const FORMATS: [(&str, LogFormat); 4] = [
        ("auto", LogFormat::Auto),
        ("text", LogFormat::Text),
        ("json", LogFormat::Json),
        ("journald", LogFormat::Journald),
    ];
    let config = LogConfig {
        format: table.or("format", choice(&FORMATS), LogFormat::Auto),
        level: table.or("level", filter, "info".to_owned()),
    };
    table.finish();
    config
}

/// Directives of `tracing_subscriber::EnvFilter`: a level, or `target=level`, separated by commas.
fn filter(given: Given<'_>) -> Result<String, Problem> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let written = text(given)?;
    // EnvFilter takes a bare word for a target at its loudest level, and so a misspelled level in silence.
    let bare = written.split(',').map(str::trim).find(|part| {
        !part.contains(['=', '[']) && !LEVELS.iter().any(|level| part.eq_ignore_ascii_case(level))
    });
    if let Some(bare) = bare {
        return Err(Problem::new(
            format!("{} is not a level", quoted(bare)),
            format!("the levels are: {}", LEVELS.join(", ")),
            did_you_mean(bare, &LEVELS),
        ));
    }
    match tracing_subscriber::EnvFilter::builder().parse(&written) {
        Ok(_) => Ok(written),
        Err(error) => Err(Problem::new(
            format!("{} is not a log filter", quoted(&written)),
            error.to_string(),
            "write a level, or target=level, separated by commas, such as \"info,reconciler=debug\"",
        )),
    }
}
