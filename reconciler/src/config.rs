//! What the operator wrote in `reconcile.toml`, read once and whole.
//!
//! [`locate()`] finds the file, [`Source::read`] reads it, [`parse`] turns it into a [`Config`] or into every mistake
//! that it holds ([`Diagnostics`]), [`check()`] looks at the files it names, and [`watch()`] takes up later changes.
//! Only `locate`, `Source::read`, `check`, `load_secrets`, `owner_instead_of_root` and `watch` touch the disk, and
//! whatever reads a time zone; the environment is an argument everywhere.
//!
//! `reader` is how a TOML file and the environment are read, whatever their keys mean; `tables` are ours.

mod check;
mod fingerprint;
mod loaded;
mod locate;
mod model;
mod owner;
mod reader;
mod tables;
#[cfg(test)]
mod testing;
mod watch;
mod webhook_secrets;

pub use check::check;
pub use fingerprint::Fingerprint;
pub use loaded::Loaded;
pub use locate::{LocateError, locate};
pub use model::{
    Config, LimitsConfig, LogConfig, LogFormat, NixConfig, SshConfig, StoreConfig, WebhookConfig,
};
pub use owner::{name_of, owner_instead_of_root};
pub use reader::{
    Diagnostic, Diagnostics, Environment, NamedPath, Origin, PathRole, Place, Source, Warnings,
    environment, nearest,
};
pub use tables::{load, parse};
pub use watch::{Change, WatchSettings, watch};
pub use webhook_secrets::{LoadSecretsError, load_secrets};
