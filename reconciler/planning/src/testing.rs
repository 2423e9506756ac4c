//! What tests of several modules begin with.

use std::collections::BTreeMap;
use std::time::Duration;

use deploy::{
    Action, Observation, Outcome, RollbackReason, SpecialisationOf, SwitchLock, Toplevel,
};
use desired_state::{BranchState, HostName, Revision, Wish};
use jiff::Timestamp;

use crate::model::cause::Cause;
use crate::model::goal::{Goal, GoalKind, Target};
use crate::model::health_checks::ProofConfig;
use crate::model::host_state::Quarantine;
use crate::model::spec::{
    Availability, BackoffConfig, CareConfig, Follows, HostConfig, HostNix, Identity, Maintenance,
    Policy, Reach, RebootConfig, Timeouts,
};

/// The boot that [`observation`] is of.
pub const BOOT: &str = "5f0c2a57-0000-4000-8000-000000000000";

/// So many seconds after the beginning of time.
pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// The host that these are of.
pub fn host() -> HostName {
    "cyt-pi".parse().unwrap()
}

/// A commit by the digit that its id consists of.
pub fn revision(digit: char) -> Revision {
    digit.to_string().repeat(40).parse().unwrap()
}

/// That commit, to be switched to.
pub fn target(digit: char) -> Target {
    Target {
        revision: revision(digit),
        action: Action::Switch,
    }
}

/// That commit, wanted by the branch.
pub fn goal(digit: char) -> Goal {
    Goal {
        target: target(digit),
        since: at(0),
        cause: Cause::Branch(desired_state::Cause::Poll),
        kind: GoalKind::Persistent,
    }
}

/// What [`host`]'s branch asks for, by its config.
pub fn wish(revision: Option<Revision>, branch_state: BranchState) -> Wish {
    let config = host_config();
    Wish {
        host: host(),
        repository: config.follows.repository,
        branch: config.follows.branch,
        revision,
        branch_state,
        cause: desired_state::Cause::Poll,
        requested_at: at(5),
        recorded_at: at(6),
    }
}

/// A toplevel by its name.
pub fn toplevel(name: &str) -> Toplevel {
    format!("/nix/store/0c2wdbdjv3dsqnw5q1j9vkdkfg3gd7b8-{name}")
        .parse()
        .unwrap()
}

/// An activation that failed, and is tried again.
pub fn failed() -> Outcome {
    Outcome::ActivationFailed {
        step: "test".into(),
        code: Some(2),
        detail: "activate script failed".into(),
    }
}

/// A system that could not stay.
pub fn rolled_back(reason: RollbackReason) -> Outcome {
    Outcome::RolledBack {
        reason,
        detail: "went back".into(),
    }
}

/// This system could not stay.
pub fn quarantine(name: &str) -> Quarantine {
    Quarantine {
        toplevel: toplevel(name),
        outcome: rolled_back(RollbackReason::NotAcknowledged),
        since: at(7),
    }
}

/// Backoffs of 10 seconds, 20, 40 and so on to an hour, as the config has them where nobody says anything.
pub fn backoff_config() -> BackoffConfig {
    BackoffConfig {
        first: Duration::from_secs(10),
        factor: 2.0,
        max: Duration::from_secs(3600),
        jitter: 0.2,
    }
}

/// What a host says that runs and would boot these, and has nothing else to tell.
pub fn observation(running: &str, profile: &str) -> Observation {
    Observation {
        running: Some(toplevel(running)),
        specialisation_of: Vec::new(),
        booted: None,
        profile: Some(toplevel(profile)),
        generation: None,
        boot_id: BOOT.into(),
        machine_id: String::new(),
        platforms: Vec::new(),
        system_state: "running".into(),
        failed_units: Vec::new(),
        unfinished_lists: false,
        reboot_reasons: Vec::new(),
        free_bytes: BTreeMap::new(),
        switch_lock: SwitchLock::Free,
        deployments: Vec::new(),
    }
}

/// What a host says that boots this system, and runs the specialisation of this name of it.
pub fn specialised(profile: &str, name: &str) -> Observation {
    Observation {
        specialisation_of: vec![SpecialisationOf {
            name: name.parse().unwrap(),
            toplevel: toplevel(profile),
        }],
        ..observation(&format!("{profile}-{name}"), profile)
    }
}

/// A host of which nothing special is wanted.
pub fn host_config() -> HostConfig {
    let second = Duration::from_secs(1);
    HostConfig {
        follows: Follows {
            repository: "infra-team/infra".parse().unwrap(),
            branch: "main".parse().unwrap(),
            attribute: "cyt-pi".parse().unwrap(),
        },
        reach: Reach {
            destinations: Vec::new(),
            availability: Availability::Always,
            overdue_after: Duration::ZERO,
            interval: second,
            identity: Identity::MachineId,
        },
        action: Action::Switch,
        specialisation: None,
        policy: Policy::Enforce,
        timeouts: Timeouts {
            connect: second,
            observe: second,
            evaluate: second,
            build: second,
            copy: second,
            activate: second,
        },
        proof: ProofConfig::built_in(),
        reboot: RebootConfig::built_in(),
        backoff: backoff_config(),
        maintenance: Maintenance::default(),
        nix: HostNix {
            build_on: deploy::BuildOn::Here,
            min_free: deploy::MinFree::DEFAULT,
            min_free_boot: deploy::MinFree::BOOT,
            care: CareConfig::built_in(),
        },
    }
}
