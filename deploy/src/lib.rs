//! Has the hands: builds a toplevel, looks at a host, copies and activates.
#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        reason = "tests start real programs and wait in real time"
    )
)]

mod action;
mod activate;
mod attribute;
mod build;
mod build_on;
mod collect;
mod command;
mod copy;
mod destination;
mod evaluate;
mod flake;
mod nix;
mod observe;
mod outcome;
mod platform;
mod reboot;
mod runner;
mod sign;
mod space;
mod ssh;
mod toplevel;
mod trouble;
mod words;

pub use attribute::{Attribute, AttributeError};
pub use build::{BuildError, BuildRequest, BuildRoot};
pub use build_on::BuildOn;
pub use collect::{
    CollectError, CollectOnHostError, Freed, HostCollection, HostCollectionRequest,
    HostCollectionResult, collect_on_host,
};
pub use copy::{CopyError, is_valid_on};
pub use evaluate::{EvaluateError, Evaluated};
pub use flake::FlakeSource;
pub use nix::environment::UnusableToken;
pub use nix::fetch::FetchCause;
pub use platform::platform_of;
pub use runner::{InputAccess, Nix, NixSettings};
pub use space::MinFree;
pub use toplevel::{DerivationPath, StorePathError, Toplevel};
pub use trouble::NixTrouble;

pub use action::{Action, UnknownAction};
pub use activate::{
    ActivateError, ActivationReport, ActivationRequest, ActivationVerdict, DeploymentId,
    DeploymentIdError, FromOutside, HostProbe, OnDegraded, OnRollbackFailed, Proof, RollbackReason,
    Started, Step, acknowledge, clean_up, start, wait,
};
pub use destination::{AddressError, Destination, Sudo};
pub use observe::{
    DeploymentTrace, MAX_DEPLOYMENTS, MAX_FAILED_UNITS, Observation, ObserveError, RebootReason,
    SwitchLock, observe,
};
pub use outcome::{Outcome, Retry, Transience};
pub use reboot::{BootEntry, RebootError, Told, reboot};
pub use ssh::{
    Completed, Connection, Connections, DestinationFailure, LoginFault, Privilege, RemoteCommand,
    SessionPermit, SshError, SshSettings,
};
