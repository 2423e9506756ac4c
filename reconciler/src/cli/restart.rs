//! `reconcile reboot`.

use clap::Args;

use super::backend::asker;
use super::exit::{CliError, Exit};
use super::hold::HostsArguments;
use super::reconcile::{Shown, carry_out};
use crate::api::{Follow, ReconcileRequest, Then};
use crate::config::Loaded;
use crate::decide::Insistence;

/// The options of `reboot`.
#[derive(Debug, Args)]
pub struct RebootArguments {
    #[command(flatten)]
    hosts: HostsArguments,
    /// Reboot although the host is suspended, its window is closed or a freeze holds; else it is left as it is (exit code 6)
    #[arg(long)]
    force: bool,
    /// Write events as lines of JSON
    #[arg(long)]
    json: bool,
}

/// Brings the hosts to what is wanted, and reboots them into it, needed or not.
pub async fn run(loaded: &Loaded, arguments: RebootArguments) -> Result<Exit, CliError> {
    let request = ReconcileRequest {
        hosts: arguments.hosts.into_hosts(),
        instead: None,
        action: None,
        then: Then::Reboot,
        insistence: if arguments.force {
            Insistence::Forced
        } else {
            Insistence::Asked
        },
        follow: Follow::ToTheEnd,
        by: asker(),
    };
    carry_out(loaded, &request, Shown::from(arguments.json)).await
}
