//! `reconcile history`.

use clap::Args;
use clap::builder::PossibleValuesParser;
use desired_state::HostName;
use planning::model::history::HistoryKind;
use planning::model::requests::HistoryQuery;

use super::backend::Backend;
use super::exit::{CliError, Exit};
use super::output;
use crate::config::Loaded;

/// The options of `history`.
#[derive(Debug, Args)]
pub struct HistoryArguments {
    /// Only of this host
    #[arg(long, value_name = "HOST")]
    host: Option<HostName>,
    /// Only of this kind
    #[arg(long, value_name = "KIND", value_parser = kinds())]
    kind: Option<String>,
    /// At most this many entries
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

fn kinds() -> PossibleValuesParser {
    let mut kinds = HistoryKind::ALL.map(HistoryKind::label);
    kinds.sort_unstable();
    PossibleValuesParser::new(kinds)
}

/// Shows what happened.
pub async fn run(loaded: &Loaded, arguments: HistoryArguments) -> Result<Exit, CliError> {
    // Who asks for one host wants to know all; a fleet's history is read line by line.
    let detail = match arguments.host {
        Some(_) => output::shown,
        None => output::first_line,
    };
    let backend = Backend::find(&loaded.config).await?;
    let history = backend
        .history(&HistoryQuery {
            host: arguments.host,
            kind: arguments.kind,
            limit: arguments.limit,
        })
        .await?;
    if arguments.json {
        return output::print_json(&history);
    }
    let mut table = output::table(&[
        "TIME (UTC)",
        "HOST",
        "WHAT",
        "REVISION",
        "OUTCOME",
        "DETAIL",
    ]);
    for entry in &history.entries {
        let text = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        table.add_row(vec![
            entry.at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            text(entry.host.as_ref().map(ToString::to_string)),
            match &entry.action {
                Some(action) => format!("{} ({action})", entry.kind),
                None => entry.kind.clone(),
            },
            text(
                entry
                    .revision
                    .as_ref()
                    .map(|revision| revision.short().to_owned()),
            ),
            text(entry.outcome.clone()),
            detail(&entry.detail),
        ]);
    }
    output::print(&format!("{table}\n"))
}
