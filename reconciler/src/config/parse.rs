//! From the text of the file and the environment to a [`Config`], or to every mistake in them. Pure.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml_span::ErrorKind;
use toml_span::value::Table;

use super::complaint::{Complaint, quoted};
use super::environment::{Environment, refuse_unknown};
use super::hosts::hosts;
use super::mistake::{Mistakes, Warnings, did_you_mean};
use super::named::{NamedPath, PathRole};
use super::repositories::repositories;
use super::section::{Notes, Section};
use super::source::Source;
use super::values::{Given, address, address_or_off, choice, count, duration, integer, text};
use super::{
    Config, LimitsConfig, LogConfig, LogFormat, NixConfig, SshConfig, StoreConfig, WebhookConfig,
};

/// A second: whatever happens more often than that, or is given less time, is a slip of the unit.
pub(super) const SECOND: Duration = Duration::from_secs(1);

/// Linux keeps 108 bytes for a unix socket's path, the last of them NUL: `unix(7)`.
const LONGEST_SOCKET_PATH: usize = 107;

/// The largest body that may be set: a delivery is kept in memory while it is verified.
const LARGEST_BODY: u32 = 64 * 1024 * 1024;
/// The smallest body that may be set: no delivery of Gitea's is smaller.
const SMALLEST_BODY: u32 = 1024;

/// More of anything at once than one controller can carry.
const MOST_AT_ONCE: u32 = 1000;

/// A configuration as it was loaded, with what is needed to check it and to follow its files.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Arc<Config>,
    /// What does not stop the daemon and should still be looked at.
    pub warnings: Warnings,
    /// Every path that it names.
    pub paths: Vec<NamedPath>,
    /// The text that it was made from.
    pub source: Source,
}

/// Reads `file` and parses it: [`Source::read`], then [`parse`].
///
/// # Errors
/// Every mistake at once.
pub fn load(file: &Path, environment: &Environment) -> Result<Loaded, Mistakes> {
    parse(Source::read(file)?, environment)
}

/// Reads a whole configuration. Pure: no disk, no clock, no environment but the argument.
///
/// # Errors
/// Every mistake at once, except that a text that is not TOML shows only its first.
pub fn parse(source: Source, environment: &Environment) -> Result<Loaded, Mistakes> {
    let (config, warnings, paths) = read(&source, environment)?;
    Ok(Loaded {
        config: Arc::new(config),
        warnings,
        paths,
        source,
    })
}

fn read(
    source: &Source,
    environment: &Environment,
) -> Result<(Config, Warnings, Vec<NamedPath>), Mistakes> {
    let value = toml_span::parse(&source.text).map_err(|error| {
        Mistakes::one(not_toml(&error.kind, source).at(source.origin(error.span)))
    })?;
    let empty = Table::new();
    let notes = Notes::new(source, environment);
    let config = config(Section::top(&notes, value.as_table().unwrap_or(&empty)));
    refuse_unknown(&notes);
    Mistakes::among(notes.mistakes.take())?;
    Ok((
        config,
        Warnings::of(notes.warnings.take()),
        notes.paths.take(),
    ))
}

fn config(mut top: Section<'_>) -> Config {
    let state_directory = state_directory(&mut top);
    let control_socket = control_socket(&mut top, &state_directory);
    let webhook = webhook(top.section("webhook"));
    let operator_listen = operator(top.section("operator"));
    let log = log(top.section("log"));
    let ssh = ssh(top.section("ssh"));
    let nix = nix(top.section("nix"));
    let store = StoreConfig::read(top.section("store"));
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
            Complaint::new(
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

fn webhook(mut table: Section<'_>) -> Option<WebhookConfig> {
    let config = WebhookConfig {
        listen: table.or("listen", address, ([127, 0, 0, 1], 9080).into()),
        path: table.or("path", hook_path, "/hook".to_owned()),
        secret_files: table.paths_at("secret_files", PathRole::WebhookSecret),
        body_limit: table
            .or(
                "body_limit",
                integer(SMALLEST_BODY..=LARGEST_BODY),
                5 * 1024 * 1024,
            )
            .into(),
        delivery_grace: table.or(
            "delivery_grace",
            duration(Duration::ZERO),
            Duration::from_secs(30),
        ),
    };
    let present = table.is_present();
    if present && !table.has("secret_files") {
        table.missing("secret_files");
    }
    table.finish();
    present.then_some(config)
}

/// A path of plain segments, without a slash at the end.
fn hook_path(given: Given<'_>) -> Result<String, Complaint> {
    let written = text(given)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    let is_path = written.strip_prefix('/').is_some_and(|rest| {
        rest.split('/').all(|segment| {
            !segment.is_empty() && segment.chars().all(plain) && segment.chars().any(|c| c != '.')
        })
    });
    if is_path {
        return Ok(written);
    }
    Err(Complaint::new(
        format!("{} is not a path", quoted(&written)),
        "it begins with / and has names of letters, digits, -, ., _ and ~ between slashes, with none at the end",
        "write it as in \"/hook\"",
    ))
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

fn log(mut table: Section<'_>) -> LogConfig {
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
fn filter(given: Given<'_>) -> Result<String, Complaint> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let written = text(given)?;
    // EnvFilter takes a bare word for a target at its loudest level, and so a misspelled level in silence.
    let bare = written.split(',').map(str::trim).find(|part| {
        !part.contains(['=', '[']) && !LEVELS.iter().any(|level| part.eq_ignore_ascii_case(level))
    });
    if let Some(bare) = bare {
        return Err(Complaint::new(
            format!("{} is not a level", quoted(bare)),
            format!("the levels are: {}", LEVELS.join(", ")),
            did_you_mean(bare, &LEVELS),
        ));
    }
    match tracing_subscriber::EnvFilter::builder().parse(&written) {
        Ok(_) => Ok(written),
        Err(error) => Err(Complaint::new(
            format!("{} is not a log filter", quoted(&written)),
            error.to_string(),
            "write a level, or target=level, separated by commas, such as \"info,reconciler=debug\"",
        )),
    }
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

/// A fault of the text's form.
fn not_toml(kind: &ErrorKind, source: &Source) -> Complaint {
    let again = |what: String, first: &toml_span::Span| {
        let why = format!("it stands on line {} already", source.line(*first));
        Complaint::new(what, why, "keep one of the two")
    };
    match kind {
        ErrorKind::DuplicateKey { key, first } => {
            again(format!("key {} stands twice", quoted(key)), first)
        }
        ErrorKind::DuplicateTable { name, first } => {
            again(format!("table [{name}] stands twice"), first)
        }
        kind => Complaint::new(
            format!("this is not TOML: {kind}"),
            "nothing after it can be read; there may be more to mend",
            "texts stand in quotes, tables in [brackets]; see https://toml.io",
        ),
    }
}
