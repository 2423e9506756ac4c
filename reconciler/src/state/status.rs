//! What is known of the fleet, put together from the state.

use std::collections::BTreeMap;

use desired_state::{NixStore, StoreError};
use planning::model::spec::Identity;
use planning::model::status::{NixStoreStatus, Status};
use planning::status::{host_status, note_same_machines};

use crate::context::Context;
use crate::state::host::Stored;

/// What is known of the whole fleet.
///
/// # Errors
/// When the state cannot be read.
pub async fn of_fleet(context: &Context) -> Result<Status, StoreError> {
    let clients = context.clients();
    let mut machine_ids = BTreeMap::new();
    let mut hosts = Vec::with_capacity(clients.config.hosts.len());
    for (host, config) in &clients.config.hosts {
        let stored = Stored::load(context, host).await?;
        hosts.push(host_status(&stored.known(host, config)));
        if config.reach.identity == Identity::MachineId {
            let machine_id = stored.remembered.state.facts.machine_id;
            machine_ids.extend(machine_id.map(|id| (host.clone(), id)));
        }
    }
    note_same_machines(&mut hosts, &machine_ids);
    Ok(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        store: NixStoreStatus {
            free_bytes: clients.nix.free_bytes(),
            last_collection: context.store.last_collection(&NixStore::Controller).await?,
        },
        hosts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{host, revision, scene, system};

    #[tokio::test(start_paused = true)]
    async fn one_machine_under_two_names_is_said_of_both() {
        let tables = "[hosts.cyt-pi]\n[hosts.spare]\n[hosts.forgetful]\nidentity = \"host-key\"";
        let scene = scene(tables).await;
        for name in ["cyt-pi", "spare", "forgetful"] {
            let one = scene.of(name);
            one.change(|host| host.says.machine_id = "0123".into());
            one.reconcile().await;
        }
        let status = of_fleet(&scene.context).await.unwrap();
        let same = |name: &str| {
            let of = status.hosts.iter().find(|one| one.host == host(name));
            of.unwrap().same_machine_as.clone()
        };
        assert_eq!(same("cyt-pi"), [host("spare")]);
        assert_eq!(same("spare"), [host("cyt-pi")]);
        assert_eq!(same("forgetful"), []);
    }

    #[tokio::test(start_paused = true)]
    async fn the_fleet_is_shown_with_every_host_of_the_config_and_our_own_store() {
        let scene = scene("[hosts.cyt-pi]\n[hosts.spare]").await;
        *scene.outside.nix.free.lock() = Some(7);
        scene.settle().await;
        let status = of_fleet(&scene.context).await.unwrap();
        assert_eq!(status.store.free_bytes, Some(7));
        let [cyt_pi, spare] = &status.hosts[..] else {
            panic!("{:?}", status.hosts);
        };
        assert_eq!((&cyt_pi.host, &spare.host), (&scene.host, &host("spare")));
        assert_eq!(cyt_pi.running_toplevel, Some(system('a')));
        assert_eq!(spare.running_toplevel, None);
        assert_eq!(spare.desired_revision, Some(revision('a')));
    }
}
