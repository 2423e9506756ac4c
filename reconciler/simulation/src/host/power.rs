//! A host that goes down and comes back, and what people do to it by hand.

use std::sync::Arc;
use std::time::Duration;

use deploy::Toplevel;
use tokio::time::{Instant, sleep};

use super::{Host, State};
use crate::systems::Behaviour;

/// How long systemd takes to stop everything.
const STOPPING: Duration = Duration::from_secs(8);
/// How long a person's switch takes.
const BY_HAND: Duration = Duration::from_secs(20);

/// The power is cut: whatever runs there ends, and what was only in memory is gone.
pub fn cut_power(host: &Host) {
    host.change(|state| {
        for task in state.tasks.drain(..) {
            task.abort();
        }
        state.is_up = false;
        state.is_stopping = false;
        state.is_half_way = false;
        state.switched_by = None;
        state.units.clear();
        state.sessions.clear();
        state.is_warm = false;
    });
}

/// It boots what its profile names, or the generation before where that does not boot.
pub fn boot(host: &Host) {
    host.change(|state| {
        let system = boots_into(host, state);
        state.boots += 1;
        state.is_up = true;
        state.up_since = Instant::now();
        state.running = system.clone();
        state.booted = system;
    });
    let running = host.state().running.name().to_owned();
    host.tell(&format!("is up again, on {running}"));
}

fn boots_into(host: &Host, state: &State) -> Toplevel {
    let boots = |system: &&Toplevel| host.systems.behaviour(Some(system)) != Behaviour::DoesNotBoot;
    let generations = state.generations.range(..=state.generation).rev();
    let first = generations.map(|(_, system)| system).find(boots);
    first.unwrap_or(&state.booted).clone()
}

/// It loses its power for so long.
pub async fn lose_power(host: Arc<Host>, long: Duration) {
    host.tell(&format!("loses its power for {} s", long.as_secs()));
    cut_power(&host);
    sleep(long + host.boot).await;
    boot(&host);
}

/// It reboots, in an orderly way.
pub async fn reboot(host: Arc<Host>) {
    host.tell("reboots");
    host.change(|state| state.is_stopping = true);
    sleep(STOPPING).await;
    cut_power(&host);
    sleep(host.boot).await;
    boot(&host);
}

/// A person activates another system by hand, and makes it the boot default or not.
pub async fn switch_by_hand(host: Arc<Host>, system: Toplevel, is_permanent: bool) {
    let begins = host.change(|state| {
        let is_free = state.is_up && state.at_work().is_none_or(|unit| !unit.holds_the_switch());
        let begins = is_free && state.switched_by.is_none() && !state.is_stopping;
        if begins {
            state.switched_by =
                Some("pid 4242 (switch-to-configuration) in session-1.scope".to_owned());
        }
        begins
    });
    if !begins {
        return;
    }
    host.tell(&format!("a person switches it to {}", system.name()));
    let boots = host.state().boots;
    sleep(BY_HAND).await;
    host.change(|state| {
        if state.boots == boots && state.is_up {
            state.switched_by = None;
            state.store.insert(system.clone());
            state.running = system.clone();
            if is_permanent {
                state.set_profile(&system);
            }
        }
    });
}
