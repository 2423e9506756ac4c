//! `reconcile suspend`, `resume` and `unpin`.

use clap::Args;
use desired_state::HostName;

use super::backend::{Backend, asker};
use super::exit::{CliError, Exit};
use super::output;
use crate::api::{Hold, HoldRequest, Hosts};
use crate::config::Loaded;

/// Which hosts.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub struct HostsArguments {
    /// This host; may be given several times
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<HostName>,
    /// Every host
    #[arg(long, conflicts_with = "hosts")]
    all: bool,
}

/// Which hosts, and why.
#[derive(Debug, Args)]
pub struct ReasonedArguments {
    #[command(flatten)]
    hosts: HostsArguments,
    /// The reason, for whoever wonders later
    #[arg(long, value_name = "REASON")]
    why: String,
}

impl HostsArguments {
    /// As the API says it.
    pub fn into_hosts(self) -> Hosts {
        if self.all {
            Hosts::All
        } else {
            Hosts::Named(self.hosts)
        }
    }
}

/// Suspends hosts.
pub async fn suspend(loaded: &Loaded, arguments: ReasonedArguments) -> Result<Exit, CliError> {
    let words = ("suspended", "was suspended for that reason already");
    run(loaded, Hold::Suspend, arguments, words).await
}

/// Resumes hosts.
pub async fn resume(loaded: &Loaded, arguments: ReasonedArguments) -> Result<Exit, CliError> {
    run(
        loaded,
        Hold::Resume,
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
        Hold::Unpin,
        arguments,
        ("follows its branch again", "was not pinned"),
    )
    .await
}

async fn run(
    loaded: &Loaded,
    hold: Hold,
    arguments: ReasonedArguments,
    (changed, unchanged): (&str, &str),
) -> Result<Exit, CliError> {
    let request = HoldRequest {
        hosts: arguments.hosts.into_hosts(),
        why: arguments.why,
        by: asker(),
    };
    let backend = Backend::find(&loaded.config).await?;
    let held = backend.hold(hold, &request).await?;
    let changed = held
        .changed
        .iter()
        .map(|host| format!("{host}: {changed}\n"));
    let unchanged = held
        .unchanged
        .iter()
        .map(|host| format!("{host}: {unchanged}\n"));
    output::print(&changed.chain(unchanged).collect::<String>())
}
