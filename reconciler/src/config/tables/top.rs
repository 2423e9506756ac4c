//! From the text of the file and the environment to a [`Config`], or to every mistake in them. Pure.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::hosts::hosts;
use super::log::log;
use super::repositories::repositories;
use super::store::store;
use super::webhook::webhook;
use crate::config::loaded::Loaded;
use crate::config::model::{Config, LimitsConfig, NixConfig, SshConfig};
use crate::config::reader::values::{address_or_off, count};
use crate::config::reader::{
    Diagnostics, Environment, PathRole, Problem, Section, Source, quoted, read,
};

/// Linux keeps 108 bytes for a unix socket's path, the last of them NUL: `unix(7)`.
const LONGEST_SOCKET_PATH: usize = 107;

/// More of anything at once than one controller can carry.
const MOST_AT_ONCE: u32 = 1000;

/// Reads `file` and parses it: [`Source::read`], then [`parse`].
///
/// # Errors
/// Every mistake at once.
pub fn load(file: &Path, environment: &Environment) -> Result<Loaded, Diagnostics> {
    parse(Source::read(file)?, environment)
}

/// Reads a whole configuration. Pure: no disk, no clock, no environment but the argument.
///
/// # Errors
/// Every mistake at once, except that a text that is not TOML shows only its first.
pub fn parse(source: Source, environment: &Environment) -> Result<Loaded, Diagnostics> {
    let reading = read(&source, environment, config)?;
    Ok(Loaded {
        config: Arc::new(reading.value),
        warnings: reading.warnings,
        paths: reading.paths,
        source,
    })
}

fn config(mut top: Section<'_>) -> Config {
    let state_directory = state_directory(&mut top);
    let control_socket = control_socket(&mut top, &state_directory);
    let webhook = webhook(top.section("webhook"));
    let operator_listen = operator(top.section("operator"));
    let log = log(top.section("log"));
    let ssh = ssh(top.section("ssh"));
    let nix = nix(top.section("nix"));
    let store = store(top.section("store"));
    let limits = limits(top.section("limits"));
    let repositories = repositories(&mut top, &ssh);
    let hosts = hosts(&mut top, &repositories);
    top.finish();
    let repositories = repositories.settings;
    Config {
        state_directory,
        control_socket,
        webhook,
        operator_listen,
        log,
        ssh,
        nix,
        store,
        limits,
        repositories,
        hosts,
    }
}

fn state_directory(top: &mut Section<'_>) -> PathBuf {
    const KEY: &str = "state_directory";
    top.path_at(KEY, PathRole::StateDirectory)
        .unwrap_or_else(|| {
            let default = PathBuf::from("/var/lib/reconcile");
            top.name_path(
                KEY,
                default.clone(),
                top.origin_of(KEY),
                PathRole::StateDirectory,
            );
            default
        })
}

fn control_socket(top: &mut Section<'_>, state_directory: &Path) -> PathBuf {
    const KEY: &str = "control_socket";
    let path = top
        .path_at(KEY, PathRole::Socket)
        .unwrap_or_else(|| state_directory.join("control.sock"));
    if path.as_os_str().len() > LONGEST_SOCKET_PATH {
        top.mistake_at(
            KEY,
            Problem::new(
                format!(
                    "{} is too long for a unix socket",
                    quoted(&path.to_string_lossy())
                ),
                format!(
                    "the system allows {LONGEST_SOCKET_PATH} bytes, this has {}",
                    path.as_os_str().len()
                ),
                "choose a shorter path, such as \"/run/reconcile/control.sock\"",
            ),
        );
    }
    path
}

fn operator(mut table: Section<'_>) -> Option<SocketAddr> {
    let listen = table.or(
        "listen",
        address_or_off,
        Some(([127, 0, 0, 1], 9090).into()),
    );
    table.finish();
    listen
}

fn ssh(mut table: Section<'_>) -> SshConfig {
    /// Without `MaxSessions` in its `sshd_config(5)`, a server allows ten sessions on one connection.
    const MAX_SESSIONS: u32 = 10;
    let config = SshConfig {
        config_file: table.path_at("config_file", PathRole::SshConfig),
        max_sessions: table.or("max_sessions", count(1..=MAX_SESSIONS), 8),
    };
    table.finish();
    config
}

fn nix(mut table: Section<'_>) -> NixConfig {
    let config = NixConfig {
        keep_builds: table.or("keep_builds", count(1..=MOST_AT_ONCE), 5),
    };
    table.finish();
    config
}

fn limits(mut table: Section<'_>) -> LimitsConfig {
    let config = LimitsConfig {
        builds: table.or("builds", count(1..=MOST_AT_ONCE), 2),
        copies: table.or("copies", count(1..=MOST_AT_ONCE), 4),
        activations: table.or("activations", count(1..=MOST_AT_ONCE), 8),
        rollbacks: table.or("rollbacks", count(1..=MOST_AT_ONCE), 2),
    };
    table.finish();
    config
}
