//! `reconcile suspend`, `resume` and `unpin`.

use clap::Args;
use planning::model::requests::{Override, OverrideRequest};

use super::backend::{Backend, asker};
use super::exit::{CliError, Exit};
use super::hosts::HostsArguments;
use super::output;
use crate::config::Loaded;

/// Which hosts, and why.
#[derive(Debug, Args)]
pub struct ReasonedArguments {
    #[command(flatten)]
    hosts: HostsArguments,
    /// The reason, for whoever wonders later
    #[arg(long, value_name = "REASON")]
    why: String,
}

/// Suspends hosts.
pub async fn suspend(loaded: &Loaded, arguments: ReasonedArguments) -> Result<Exit, CliError> {
    let words = ("suspended", "was suspended for that reason already");
    run(loaded, Override::Suspend, arguments, words).await
}

/// Resumes hosts.
pub async fn resume(loaded: &Loaded, arguments: ReasonedArguments) -> Result<Exit, CliError> {
    run(
        loaded,
        Override::Resume,
        arguments,
        ("resumed", "was not suspended"),
    )
    .await
}

/// Unpins hosts.
pub async fn unpin(loaded: &Loaded, hosts: HostsArguments) -> Result<Exit, CliError> {
    let arguments = ReasonedArguments {
        hosts,
        why: String::new(),
    };
    run(
        loaded,
        Override::Unpin,
        arguments,
        ("follows its branch again", "was not pinned"),
    )
    .await
}

async fn run(
    loaded: &Loaded,
    change: Override,
    arguments: ReasonedArguments,
    (changed, unchanged): (&str, &str),
) -> Result<Exit, CliError> {
    let request = OverrideRequest {
        hosts: arguments.hosts.into_selection(),
        why: arguments.why,
        by: asker(),
    };
    let backend = Backend::find(&loaded.config).await?;
    let done = backend.change(change, &request).await?;
    let changed = done
        .changed
        .iter()
        .map(|host| format!("{host}: {changed}\n"));
    let unchanged = done
        .unchanged
        .iter()
        .map(|host| format!("{host}: {unchanged}\n"));
    output::print(&changed.chain(unchanged).collect::<String>())
}
