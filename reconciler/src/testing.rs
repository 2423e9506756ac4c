//! What unit tests of several modules begin with.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use deploy::{Action, Observation, SwitchLock, Toplevel};

use crate::api::{HostStatus, StoreStatus};
use crate::world::World;

/// The boot that [`observation`] is of.
pub const BOOT: &str = "5f0c2a57-0000-4000-8000-000000000000";

/// A toplevel by its name.
pub fn toplevel(name: &str) -> Toplevel {
    format!("/nix/store/0c2wdbdjv3dsqnw5q1j9vkdkfg3gd7b8-{name}")
        .parse()
        .unwrap()
}

/// What a host says that runs and would boot these, and has nothing else to tell.
pub fn observation(running: &str, profile: &str) -> Observation {
    Observation {
        running: Some(toplevel(running)),
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

/// A host that wants a commit, and of which nothing else is known.
pub fn status(host: &str) -> HostStatus {
    HostStatus {
        host: host.parse().unwrap(),
        repository: "infra-team/infra".parse().unwrap(),
        branch: "main".parse().unwrap(),
        branch_state: None,
        policy: "enforce".into(),
        action: Action::Switch,
        desired_revision: Some("a".repeat(40).parse().unwrap()),
        desired_toplevel: None,
        running_toplevel: None,
        drift: None,
        drifted_since: None,
        quarantine: None,
        waits: None,
        waits_until: None,
        outcome: None,
        outcome_at: None,
        consecutive_failures: 0,
        next_attempt: None,
        last_seen: None,
        unreachable: None,
        overdue_since: None,
        last_converged: None,
        failed_units: Vec::new(),
        reboot_required: Vec::new(),
        reboot: None,
        reboot_waits: None,
        store: StoreStatus {
            free_bytes: Some(7),
            last_collection: None,
        },
        suspended: None,
        pinned_by: None,
        pinned_branch: None,
    }
}

/// The world of a configuration with one repository and these tables, in this folder.
pub async fn world(folder: &Path, tables: &str) -> Arc<World> {
    let file = folder.join("reconcile.toml");
    let text = format!(
        "state_directory = \"state\"\n[repositories.\"a/b\"]\nurl = \"file:///nowhere\"\n{tables}\n"
    );
    std::fs::write(&file, text).unwrap();
    let loaded = crate::config::load(&file, &Default::default()).unwrap();
    World::open(Arc::clone(&loaded.config)).await.unwrap()
}
