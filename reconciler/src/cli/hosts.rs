//! Which hosts a command is for.

use clap::Args;
use desired_state::HostName;
use planning::model::requests::HostSelection;

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

impl HostsArguments {
    /// As the API says it.
    pub fn into_selection(self) -> HostSelection {
        if self.all {
            HostSelection::All
        } else {
            HostSelection::Named(self.hosts)
        }
    }
}
