//! The command line: one file a command.

mod backend;
mod check;
mod exit;
#[cfg(test)]
mod guides;
mod history;
mod hosts;
mod output;
mod plan;
mod reboot;
mod reconcile;
mod rollback;
mod serve;
mod status;
mod suspend_and_unpin;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

use crate::config::{self, Environment, Loaded};
use exit::{CliError, Exit};

/// Brings every NixOS host to the commit that its branch points at.
///
/// With --host or --all: reconciles these hosts now, through the running daemon, or by itself
/// where none runs.
#[derive(Debug, Parser)]
#[command(
    name = "reconcile",
    version,
    subcommand_negates_reqs = true,
    arg_required_else_help = true,
    after_long_help = exit::TABLE,
)]
struct Arguments {
    /// The config file. Default: $RECONCILE_CONFIG, ./reconcile.toml, /etc/reconcile/reconcile.toml
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    now: reconcile::Now,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the daemon: hears deliveries, follows branches, watches hosts
    Serve,
    /// Says what would be done now, and changes nothing
    Plan(plan::PlanArguments),
    /// Shows what each host runs and should run
    Status(status::StatusArguments),
    /// Shows what happened, the newest first
    History(history::HistoryArguments),
    /// Brings hosts back to what proved itself before, and pins them there
    Rollback(rollback::RollbackArguments),
    /// Brings hosts to what is wanted and reboots them into it, one at a time
    Reboot(reboot::RebootArguments),
    /// Lets nothing be deployed to hosts until they are resumed
    Suspend(suspend_and_unpin::ReasonedArguments),
    /// Ends a suspension
    Resume(suspend_and_unpin::ReasonedArguments),
    /// Ends a pin: the hosts follow their branches again
    Unpin(hosts::HostsArguments),
    /// Reads the config whole, asks each repository's server, and reports every mistake
    Check(check::CheckArguments),
    /// Writes a completion script for a shell to standard output
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Writes the manual pages, one a command, into a folder
    ManPages {
        /// The folder, which has to be there
        folder: PathBuf,
    },
}

/// Runs the command line of the process.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // What we write is nobody else's, also where the state's folder was made open for all.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    let ended = match tokio::runtime::Builder::new_multi_thread()
        // The work is done by child processes and hosts; two threads carry hundreds of them.
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => {
            let ended = runtime.block_on(run(arguments));
            // A blocking read of a hung disk or server must not keep the process.
            runtime.shutdown_background();
            ended
        }
        Err(source) => Err(CliError::Runtime(source)),
    };
    let exit = ended.unwrap_or_else(|error| {
        output::error(&error);
        error.exit()
    });
    exit.into()
}

async fn run(arguments: Arguments) -> Result<Exit, CliError> {
    match &arguments.command {
        Some(Command::Completions { shell }) => return completions(*shell),
        Some(Command::ManPages { folder }) => return man_pages(folder),
        _ => {}
    }
    let environment = config::environment(std::env::vars_os());
    let file = config::locate(arguments.config.as_deref(), &environment)?;
    if let Some(Command::Check(check)) = &arguments.command {
        return check::run(&file, &environment, check).await;
    }
    let loaded = load(&file, &environment)?;
    if arguments.command.is_some() && arguments.now.is_asked_for() {
        return Err(CliError::Mixed);
    }
    match arguments.command {
        Some(Command::Serve) => serve::run(loaded, environment).await,
        Some(Command::Plan(plan)) => plan::run(&loaded, plan).await,
        Some(Command::Status(status)) => status::run(&loaded, &status).await,
        Some(Command::History(history)) => history::run(&loaded, history).await,
        Some(Command::Rollback(rollback)) => rollback::run(&loaded, rollback).await,
        Some(Command::Reboot(reboot)) => reboot::run(&loaded, reboot).await,
        Some(Command::Suspend(which)) => suspend_and_unpin::suspend(&loaded, which).await,
        Some(Command::Resume(which)) => suspend_and_unpin::resume(&loaded, which).await,
        Some(Command::Unpin(which)) => suspend_and_unpin::unpin(&loaded, which).await,
        Some(Command::Check(_) | Command::Completions { .. } | Command::ManPages { .. }) => {
            Ok(Exit::Done)
        }
        None if arguments.now.is_asked_for() => reconcile::run(&loaded, arguments.now).await,
        None => Err(CliError::NothingAsked),
    }
}

fn completions(shell: Shell) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "reconcile", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}

fn man_pages(folder: &Path) -> Result<Exit, CliError> {
    clap_mangen::generate_to(Arguments::command(), folder)
        .map(|()| Exit::Done)
        .map_err(|source| CliError::ManPages {
            folder: folder.to_owned(),
            source,
        })
}

fn load(file: &Path, environment: &Environment) -> Result<Arc<Loaded>, CliError> {
    Ok(Arc::new(config::load(file, environment)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_has_a_manual_page_and_the_first_tells_the_exit_codes() {
        let folder = tempfile::tempdir().unwrap();
        man_pages(folder.path()).unwrap();
        let read = |name: String| std::fs::read_to_string(folder.path().join(name)).unwrap();
        for command in Arguments::command().get_subcommands() {
            let page = read(format!("reconcile-{}.1", command.get_name()));
            assert!(page.contains(".SH SYNOPSIS"), "{page}");
        }
        let page = read("reconcile.1".into());
        assert!(
            page.contains("another process works on the state"),
            "{page}"
        );
        let error = man_pages(&folder.path().join("nowhere")).unwrap_err();
        assert!(error.to_string().contains("nowhere"), "{error}");
    }

    #[test]
    fn a_manual_override_is_not_mixed_with_a_command() {
        let mixed = Arguments::try_parse_from(["reconcile", "--host", "a", "status"]).unwrap();
        assert!(mixed.now.is_asked_for() && mixed.command.is_some());
        assert!(Arguments::try_parse_from(["reconcile", "--config", "f", "status"]).is_ok());
        assert!(Arguments::try_parse_from(["reconcile", "--host", "a", "--all"]).is_err());
        assert!(
            Arguments::try_parse_from([
                "reconcile",
                "--host",
                "a",
                "--branch",
                "x",
                "--revision",
                "y"
            ])
            .is_err()
        );
        assert!(Arguments::try_parse_from(["reconcile", "--branch", "x"]).is_err());
        assert!(
            Arguments::try_parse_from(["reconcile", "--host", "a", "--action", "boot"]).is_ok()
        );
    }
}
