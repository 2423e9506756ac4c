//! `reconcile reboot`.

use clap::Args;
use planning::model::order::Then;

use super::exit::{CliError, Exit};
use super::hosts::HostsArguments;
use super::reconcile::{Shown, asked, carry_out};
use crate::config::Loaded;

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
    let mut request = asked(arguments.hosts.into_selection(), arguments.force);
    request.then = Then::Reboot;

    carry_out(loaded, &request, Shown::from(arguments.json)).await
}
