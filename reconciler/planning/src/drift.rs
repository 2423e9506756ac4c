//! What *there* means.

use deploy::{Action, Observation, RunsAs, Specialisation, Toplevel};

use crate::model::host_state::{Drift, HostState};

/// Whether the host is where `action` is to bring it.
///
/// - `switch`: `/run/current-system` and the system profile are the toplevel;
/// - `test`: `/run/current-system` is, or is a specialisation of it: the `specialised` one where one is wanted, else
///   whichever a person has chosen; `boot`: the profile is, and its boot entry was written;
/// - `build`, `dry-activate`: done once for the toplevel.
///
/// `switch-to-configuration` moves `/run/current-system` even when it then fails, and before units
/// start, so a host is never there after an activation that broke off, nor while
/// `/run/nixos/{start,restart,reload}-list` has entries (nixpkgs, switch-to-configuration-ng).
pub fn drift(
    action: Action,
    wanted: &Toplevel,
    specialised: Option<&Specialisation>,
    observed: &Observation,
    state: &HostState,
) -> Drift {
    let runs = match specialised {
        Some(name) => observed.is_specialised(wanted, name),
        None => observed.runs(wanted),
    };
    let running = runs
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

/// What of a system is to run on a host: the specialisation that is wanted there, or else the one that a person has
/// chosen, which is kept.
pub fn runs_as(
    action: Action,
    specialised: Option<&Specialisation>,
    observed: &Observation,
) -> RunsAs {
    match (specialised, observed.specialisation()) {
        // It boots itself.
        _ if action == Action::Boot => RunsAs::Base,
        (Some(name), _) => RunsAs::Wanted(name.clone()),
        (None, Some(name)) => RunsAs::Kept(name.clone()),
        (None, None) => RunsAs::Base,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::host_state::Traces;
    use crate::testing::{BOOT, observation, specialised, toplevel};

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
            let drift = drift(action, &toplevel("new"), None, &observed, &state);
            assert_eq!(drift, expected, "{action:?}");
        }
    }

    #[test]
    fn a_host_in_a_specialisation_of_the_wanted_system_is_where_it_belongs() {
        let state = HostState::default();
        let of = |action, configured: Option<&str>, wanted| {
            let name = configured.map(|name| name.parse().unwrap());
            let observed = specialised("new", "travel");
            drift(action, &toplevel(wanted), name.as_ref(), &observed, &state)
        };
        for action in [Action::Switch, Action::Test] {
            assert_eq!(of(action, None, "new"), Drift::InSync, "{action:?}");
            assert_eq!(of(action, Some("travel"), "new"), Drift::InSync);
            assert_eq!(of(action, Some("home"), "new"), Drift::Drifted);
            assert_eq!(of(action, None, "newer"), Drift::Drifted);
        }
        let base = observation("new", "new");
        let travel = "travel".parse().unwrap();
        let of_base = |name| drift(Action::Switch, &toplevel("new"), name, &base, &state);
        assert_eq!(of_base(Some(&travel)), Drift::Drifted);
        assert_eq!(of_base(None), Drift::InSync);
    }

    #[test]
    fn the_specialisation_that_runs_is_kept_unless_another_is_wanted() {
        let (base, travel) = (observation("old", "old"), specialised("old", "travel"));
        let home: Specialisation = "home".parse().unwrap();
        let kept = |name: &str| RunsAs::Kept(name.parse().unwrap());
        for (action, wanted, observed, expected) in [
            (Action::Switch, None, &base, RunsAs::Base),
            (Action::Test, None, &travel, kept("travel")),
            (Action::Boot, Some(&home), &travel, RunsAs::Base),
            (
                Action::Switch,
                Some(&home),
                &travel,
                RunsAs::Wanted(home.clone()),
            ),
        ] {
            assert_eq!(runs_as(action, wanted, observed), expected);
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
            let drift = drift(action, &toplevel(wanted), None, &observed, &state);
            assert_eq!(drift, expected, "{action:?} of {wanted}");
        }
    }
}
