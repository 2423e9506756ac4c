//! What the programs of a host are built for.

use serde::{Deserialize, Serialize};

/// What the programs of a host are built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Architecture {
    /// What this machine is.
    Native,
    /// 64-bit ARM, emulated: every program of the host runs under QEMU, its kernel is this machine's.
    Aarch64,
}

impl Architecture {
    /// The platform as Nix names it.
    #[must_use]
    pub fn platform(self) -> String {
        match self {
            Self::Native => format!("{}-linux", std::env::consts::ARCH),
            Self::Aarch64 => "aarch64-linux".to_owned(),
        }
    }

    /// How many times as long as a native host it may take: an emulated one needs about ten times as much of a core.
    pub(super) const fn patience(self) -> u32 {
        match self {
            Self::Native => 1,
            Self::Aarch64 => 10,
        }
    }

    /// What Debian calls it, where that is not this machine's own.
    pub(super) const fn debian(self) -> Option<&'static str> {
        match self {
            Self::Native => None,
            Self::Aarch64 => Some("arm64"),
        }
    }

    /// Packages that its hosts have besides: a busybox for flakes whose systems are built without the builder's own
    /// programs.
    pub(super) const fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Native => &[],
            Self::Aarch64 => &["busybox-static"],
        }
    }

    /// Further lines of its nix.conf: QEMU does not load system call filters.
    pub(super) const fn nix_conf(self) -> &'static str {
        match self {
            Self::Native => "",
            Self::Aarch64 => "filter-syscalls = false\n",
        }
    }

    /// Further files: where, and what.
    pub(super) const fn files(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Native => &[],
            Self::Aarch64 => &[
                (
                    "etc/systemd/system/service.d/emulated.conf",
                    include_str!("../../testbed/host/emulated.conf"),
                ),
                // Masked: it wants a mount namespace of its own. Logins do without.
                ("etc/systemd/system/systemd-logind.service", ""),
            ],
        }
    }
}
