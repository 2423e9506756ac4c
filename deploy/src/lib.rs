//! Has the hands: builds a toplevel, looks at a host, copies and activates.
#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        reason = "tests start real programs and wait in real time"
    )
)]

mod action;
mod attribute;
mod build_on;
mod bytes;
mod command;
mod destination;
mod flake;
mod host;
mod min_free;
mod nix;
mod outcome;
mod printable;
mod shell;
mod specialisation;
mod ssh;
mod toplevel;

pub use action::{Action, UnknownAction};
pub use attribute::{Attribute, AttributeError};
pub use build_on::BuildOn;
pub use destination::{AddressError, Destination, Sudo};
pub use flake::FlakeSource;
pub use min_free::MinFree;
pub use outcome::{Outcome, Retry, Transience};
pub use shell::NulByte;
pub use specialisation::{RunsAs, Specialisation, SpecialisationError, SpecialisationOf};
pub use toplevel::{DerivationPath, StorePathError, Toplevel};

pub use nix::access::{InputAccess, UnusableToken};
pub use nix::build::{BuildError, BuildRequest, BuildRoot};
pub use nix::collect::CollectError;
pub use nix::copy::{CopyError, is_valid_on};
pub use nix::evaluate::EvaluateError;
pub use nix::fetch::FetchCause;
pub use nix::output::{Evaluated, Freed};
pub use nix::trouble::NixTrouble;
pub use nix::{Nix, NixSettings};

pub use host::activate::{
    ActivateError, ActivationReport, ActivationRequest, ActivationVerdict, DeploymentId,
    DeploymentIdError, FromOutside, HostProbe, OnDegraded, OnRollbackFailed, Proof, RollbackReason,
    Started, Step, acknowledge, clean_up, start, wait,
};
pub use host::collect::{
    CollectOnHostError, HostCollection, HostCollectionRequest, HostCollectionResult,
    collect_on_host,
};
pub use host::observation::{
    DeploymentTrace, MAX_DEPLOYMENTS, MAX_FAILED_UNITS, MAX_SPECIALISED, Observation, RebootReason,
    SwitchLock,
};
pub use host::observe::{ObserveError, observe};
pub use host::platform::platform_of;
pub use host::reboot::{BootEntry, RebootError, Told, reboot};
pub use host::switchable::unswitchable;

pub use ssh::{
    Completed, Connection, Connections, DestinationFailure, LoginFault, Privilege, RemoteCommand,
    SshError, SshSettings,
};
