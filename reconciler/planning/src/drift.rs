//! What *there* means.

use deploy::{Action, Observation, Toplevel};

use crate::model::host_state::{Drift, HostState};

/// Whether the host is where `action` is to bring it.
///
/// - `switch`: `/run/current-system` and the system profile are the toplevel;
/// - `test`: `/run/current-system` is; `boot`: the profile is, and its boot entry was written;
/// - `build`, `dry-activate`: done once for the toplevel.
///
/// `switch-to-configuration` moves `/run/current-system` even when it then fails, and before units
/// start, so a host is never there after an activation that broke off, nor while
/// `/run/nixos/{start,restart,reload}-list` has entries (nixpkgs, switch-to-configuration-ng).
pub fn drift(
    action: Action,
    wanted: &Toplevel,
    observed: &Observation,
    state: &HostState,
) -> Drift {
    let running = observed.running.as_ref() == Some(wanted)
        && !observed.unfinished_lists
        && state
            .traces
            .broken_activation
            .as_ref()
            .is_none_or(|(toplevel, boot)| toplevel != wanted || *boot != observed.boot_id);
    let profile = observed.profile.as_ref() == Some(wanted);
    let there = match action {
        Action::Switch => running && profile,
        Action::Test => running,
        Action::Boot => profile && state.traces.half_installed.as_ref() != Some(wanted),
        Action::Build | Action::DryActivate => {
            state.traces.done_once.as_ref() == Some(&(action, wanted.clone()))
        }
    };
    if there { Drift::InSync } else { Drift::Drifted }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::host_state::Traces;
    use crate::testing::{BOOT, observation, toplevel};

    #[test]
    fn an_activation_that_broke_off_says_nothing_about_what_the_host_boots() {
        let state = HostState {
            traces: Traces {
                broken_activation: Some((toplevel("new"), BOOT.into())),
                ..Traces::default()
            },
            ..HostState::default()
        };
        let mut observed = observation("new", "new");
        observed.unfinished_lists = true;
        for (action, expected) in [
            (Action::Switch, Drift::Drifted),
            (Action::Test, Drift::Drifted),
            (Action::Boot, Drift::InSync),
        ] {
            let drift = drift(action, &toplevel("new"), &observed, &state);
            assert_eq!(drift, expected, "{action:?}");
        }
    }

    #[test]
    fn what_was_built_is_not_tried_out_and_what_was_for_another_system_is_not_for_this_one() {
        let state = HostState {
            traces: Traces {
                done_once: Some((Action::Build, toplevel("new"))),
                ..Traces::default()
            },
            ..HostState::default()
        };
        for (action, wanted, expected) in [
            (Action::Build, "new", Drift::InSync),
            (Action::DryActivate, "new", Drift::Drifted),
            (Action::Build, "newer", Drift::Drifted),
        ] {
            let observed = observation("old", "old");
            let drift = drift(action, &toplevel(wanted), &observed, &state);
            assert_eq!(drift, expected, "{action:?} of {wanted}");
        }
    }
}
