//! What a host says about itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::specialisation::{Specialisation, SpecialisationOf};
use crate::toplevel::Toplevel;

/// What a host said about itself just now; by default, nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// The target of `/run/current-system`.
    pub running: Option<Toplevel>,
    /// The systems that what runs is a specialisation of, at most [`MAX_SPECIALISED`]; the profile's first.
    #[serde(default)]
    pub specialisation_of: Vec<SpecialisationOf>,
    /// The target of `/run/booted-system`.
    pub booted: Option<Toplevel>,
    /// The target of the system profile, `/nix/var/nix/profiles/system`.
    pub profile: Option<Toplevel>,
    /// The generation of the system profile, as in `system-42-link` (nix-env(1), "Profiles").
    pub generation: Option<u32>,
    /// `/proc/sys/kernel/random/boot_id`: another one means that the host has booted since.
    pub boot_id: String,
    /// `/etc/machine-id` (`machine-id(5)`); empty if the host has none.
    pub machine_id: String,
    /// The platforms that it can run, as Nix names them (`aarch64-linux`): its kernel's, and that of the
    /// system that runs.
    pub platforms: Vec<String>,
    /// The answer of `systemctl is-system-running`: `running`, `degraded`, `starting` …
    pub system_state: String,
    /// The failed units, at most [`MAX_FAILED_UNITS`].
    pub failed_units: Vec<String>,
    /// Whether `/run/nixos/{start,restart,reload}-list` are left over from an interrupted switch.
    pub unfinished_lists: bool,
    /// In what the booted system differs from the running one so that only a reboot brings it.
    pub reboot_reasons: Vec<RebootReason>,
    /// Bytes that are free for unprivileged processes on `/`, `/nix` and `/boot`, as far as they exist.
    pub free_bytes: BTreeMap<String, u64>,
    /// Who holds the lock of `switch-to-configuration`.
    pub switch_lock: SwitchLock,
    /// The deployments of ours that left a trace, at most [`MAX_DEPLOYMENTS`].
    pub deployments: Vec<DeploymentTrace>,
}

/// More failed units than this are not listed; nobody reads them one by one.
pub const MAX_FAILED_UNITS: usize = 50;
/// A specialisation that many systems have in common is known by the first of them.
pub const MAX_SPECIALISED: usize = 20;
/// More traces than this mean that something is wrong with cleaning up, not with the host.
pub const MAX_DEPLOYMENTS: usize = 20;

/// Why a reboot is needed to be wholly on the running system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RebootReason {
    /// Another kernel.
    Kernel,
    /// Another initial RAM disk.
    Initrd,
    /// Other kernel modules.
    KernelModules,
    /// Other kernel parameters.
    KernelParams,
}

/// Who holds `/run/nixos/switch-to-configuration.lock`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SwitchLock {
    /// Nobody.
    #[default]
    Free,
    /// A running switch.
    Held {
        /// Process id, command and unit of the holder, as far as they can be seen.
        by: String,
    },
}

/// What a deployment left on the host: `/run/reconcile/<id>`, what outlives a boot of it, or its GC roots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentTrace {
    /// Its id.
    pub id: String,
    /// systemd's `ActiveState` of its unit: `active`, `inactive`, `failed` …
    pub unit_state: String,
    /// Its verdict, if it has one.
    pub verdict: Option<String>,
}

impl Observation {
    /// The name of the specialisation of `toplevel` that runs, if one does.
    pub fn specialisation_of(&self, toplevel: &Toplevel) -> Option<&Specialisation> {
        let mut known = self.specialisation_of.iter();
        let of_it = known.find(|one| one.toplevel == *toplevel);
        of_it.map(|one| &one.name)
    }

    /// Whether the specialisation of `toplevel` that has this name runs: two names may be the same system.
    pub fn is_specialised(&self, toplevel: &Toplevel, name: &Specialisation) -> bool {
        let mut known = self.specialisation_of.iter();
        known.any(|one| one.toplevel == *toplevel && one.name == *name)
    }

    /// The name of the specialisation that runs, of whichever system, if one does.
    pub fn specialisation(&self) -> Option<&Specialisation> {
        self.specialisation_of.first().map(|one| &one.name)
    }

    /// Whether `toplevel` runs, or a specialisation of it.
    pub fn runs(&self, toplevel: &Toplevel) -> bool {
        self.running.as_ref() == Some(toplevel) || self.specialisation_of(toplevel).is_some()
    }

    /// Whether `toplevel` was booted, or a specialisation of it that still runs: an entry each of the boot menu.
    pub fn has_booted(&self, toplevel: &Toplevel) -> bool {
        self.booted.as_ref() == Some(toplevel)
            || (self.booted == self.running && self.runs(toplevel))
    }
}

impl RebootReason {
    /// Every reason.
    pub const ALL: [RebootReason; 4] = [
        RebootReason::Kernel,
        RebootReason::Initrd,
        RebootReason::KernelModules,
        RebootReason::KernelParams,
    ];

    /// The reason as a metric label and in tables, as NixOS names the file that differs.
    pub const fn label(self) -> &'static str {
        match self {
            RebootReason::Kernel => "kernel",
            RebootReason::Initrd => "initrd",
            RebootReason::KernelModules => "kernel-modules",
            RebootReason::KernelParams => "kernel-params",
        }
    }

    /// The reason that a file of the toplevel stands for.
    pub(super) fn named(file: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.label() == file)
    }
}
