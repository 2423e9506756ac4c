//! What has to hold of deliveries that were accepted.

use std::time::Duration;

use desired_state::RepositoryName;
use reconciler::context::ports::Clock as _;

use crate::world::World;

/// A repository that answers is fetched for a delivery within this, a wait after failed fetches included.
const PATIENCE: Duration = Duration::from_secs(20 * 60);

/// A delivery is on record by the time that it is answered.
pub async fn is_on_record(world: &World, repository: &RepositoryName, id: &str) {
    let Ok(deliveries) = world.witness.deliveries_to_fetch(repository).await else {
        return;
    };
    if !deliveries.iter().any(|one| one.id.as_str() == id) {
        let what = format!("delivery {id} is answered and not on record");
        world
            .ledger
            .breaks("is_on_record_when_answered", None, what);
    }
}

/// No accepted delivery stays without a fetch while the controller lives and the server answers.
pub async fn none_is_lost(world: &World) {
    let has_lived = world
        .lives_since()
        .is_some_and(|since| since.elapsed() > PATIENCE);
    if !has_lived || !world.ledger.is_calm_for(PATIENCE) || !world.clock.is_steady_for(PATIENCE * 2)
    {
        return;
    }
    let now = world.clock.now();
    for name in world.repositories.keys() {
        let deliveries = world
            .witness
            .deliveries_to_fetch(name)
            .await
            .unwrap_or_default();
        for one in deliveries {
            let waited =
                Duration::try_from(now.duration_since(one.received_at)).unwrap_or_default();
            if waited > PATIENCE {
                let what = format!("delivery {} has waited for a fetch for {waited:?}", one.id);
                world.ledger.breaks("none_is_lost", None, what);
            }
        }
    }
}
