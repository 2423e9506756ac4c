//! What unit tests of several modules begin with.
//!
//! - [`scene`]: a context over a scripted outside, in simulated time, and what a test does in it.
//! - [`context`]: a context over the real one, which is not reached.

mod hosts;
mod outside;
mod scene;
mod script;

use std::path::Path;
use std::sync::Arc;

use deploy::{Action, Toplevel};
use desired_state::{HostName, Revision};
use jiff::Timestamp;
use planning::model::status::{HostStatus, NixStoreStatus};

use crate::config::Config;
use crate::context::Context;

pub use hosts::{THIS_MACHINE, lost, refused};
pub use outside::evaluated;
pub use scene::{Scene, scene};

/// When a scene begins: Friday, 15 January 2027, 8:00 in UTC.
pub const BEGINNING: Timestamp = Timestamp::constant(1_800_000_000, 0);

/// The configuration with one repository and these tables, in this folder.
pub fn config(folder: &Path, tables: &str) -> Arc<Config> {
    let file = folder.join("reconcile.toml");
    let text = format!(
        "state_directory = \"state\"\n[repositories.\"a/b\"]\nurl = \"file:///nowhere\"\n{tables}\n"
    );
    std::fs::write(&file, text).unwrap();
    let loaded = crate::config::load(&file, &Default::default()).unwrap();
    Arc::clone(&loaded.config)
}

/// The context of that configuration.
pub async fn context(folder: &Path, tables: &str) -> Arc<Context> {
    Context::open(config(folder, tables)).await.unwrap()
}

/// A host by its name.
pub fn host(name: &str) -> HostName {
    name.parse().unwrap()
}

/// A commit by the digit that its id consists of.
pub fn revision(digit: char) -> Revision {
    digit.to_string().repeat(40).parse().unwrap()
}

/// The system of that commit.
pub fn system(digit: char) -> Toplevel {
    let path = format!("/nix/store/0c2wdbdjv3dsqnw5q1j9vkdkfg3gd7b8-system-{digit}");
    path.parse().unwrap()
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
        running_specialisation: None,
        drift: None,
        drifted_since: None,
        set_back: 0,
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
        store: NixStoreStatus {
            free_bytes: Some(7),
            last_collection: None,
        },
        same_machine_as: Vec::new(),
        suspended: None,
        pinned_by: None,
        pinned_branch: None,
    }
}
