//! How far a reboot is.

use super::*;

fn seen(boot_id: &str, booted: &str, state: &str) -> Observation {
    Observation {
        booted: Some(toplevel(booted)),
        generation: Some(42),
        boot_id: boot_id.into(),
        system_state: state.into(),
        failed_units: vec!["old.service".into()],
        ..testing::observation(booted, "wanted")
    }
}

/// How far the reboot is when this is seen at that second.
fn when(seen: Result<&Observation, &str>, second: i64) -> Progress {
    progress(&reboot(), seen, &["ignored.service".into()], at(second))
}

#[test]
fn a_host_is_told_until_it_goes_and_waited_for_until_it_is_back() {
    let before = seen(OLD_BOOT, "old", "running");
    assert_eq!(when(Ok(&before), 100), Progress::Tell);
    let going = seen(OLD_BOOT, "old", "stopping");
    assert_eq!(when(Ok(&going), 110), Progress::Wait);
    assert_eq!(when(Err("connection refused"), 120), Progress::Wait);
    let early = seen(NEW_BOOT, "wanted", "starting");
    assert_eq!(when(Ok(&early), 130), Progress::Wait);
    let back = seen(NEW_BOOT, "wanted", "degraded");
    assert_eq!(when(Ok(&back), 140), Progress::Ended(Outcome::Rebooted));
    // Later than it might, while we were away ourselves.
    assert_eq!(when(Ok(&back), 9_999), Progress::Ended(Outcome::Rebooted));
}

#[test]
fn a_host_that_booted_a_specialisation_of_the_wanted_system_is_back() {
    let mut back = seen(NEW_BOOT, "wanted-travel", "running");
    assert!(matches!(
        when(Ok(&back), 140),
        Progress::Ended(Outcome::BootedAnother { .. })
    ));
    back.specialisation_of = testing::specialised("wanted", "travel").specialisation_of;
    assert_eq!(when(Ok(&back), 140), Progress::Ended(Outcome::Rebooted));
}

#[test]
fn units_that_failed_only_since_the_reboot_make_it_degraded() {
    let mut back = seen(NEW_BOOT, "wanted", "degraded");
    back.failed_units.push("ignored.service".into());
    back.failed_units.push("new.service".into());
    let degraded = Outcome::Degraded {
        units: vec!["new.service".into()],
    };
    assert_eq!(when(Ok(&back), 140), Progress::Ended(degraded));
}

#[test]
fn a_host_that_booted_another_system_is_said_with_both() {
    let back = seen(NEW_BOOT, "old", "starting");
    let Progress::Ended(outcome) = when(Ok(&back), 140) else {
        panic!("it is over");
    };
    assert!(outcome.is_failure());
    let said = outcome.to_string();
    assert!(said.contains("-old") && said.contains("-wanted"), "{said}");
}

#[test]
fn a_host_that_is_not_back_at_its_deadline_is_said_with_its_boot_entry() {
    assert_eq!(when(Err("timed out"), 699), Progress::Wait);
    let ended = Progress::Ended(did_not_come_back());
    assert_eq!(when(Err("timed out"), 700), ended);
    let said = did_not_come_back().to_string();
    assert!(said.contains("generation 42, /nix/store/"), "{said}");
}

#[test]
fn a_host_that_never_went_is_not_told_again_after_its_deadline() {
    let before = seen(OLD_BOOT, "old", "running");
    let ended = when(Ok(&before), 700);
    assert!(matches!(
        ended,
        Progress::Ended(Outcome::DidNotReboot { .. })
    ));
}

#[test]
fn a_host_that_came_back_late_on_what_it_was_to_boot_is_forgiven_and_no_other() {
    let mut state = needs_reboot();
    state.reboot = Some(failed(did_not_come_back()));
    for still_failed in [
        seen(OLD_BOOT, "wanted", "running"),
        seen(NEW_BOOT, "old", "running"),
    ] {
        state.note_observation(&still_failed, at(800));
        assert!(state.reboot.is_some());
    }
    state.note_observation(&seen(NEW_BOOT, "wanted", "running"), at(900));
    assert_eq!(state.reboot, None);
    // One that is under way is ended by who watches it.
    state.reboot = Some(reboot());
    state.note_observation(&seen(NEW_BOOT, "wanted", "running"), at(900));
    assert!(state.reboot.is_some());
}

#[test]
fn a_host_that_would_boot_another_system_or_is_being_switched_is_not_told_to() {
    let mut before = seen(OLD_BOOT, "old", "running");
    assert_eq!(obstacle(&toplevel("wanted"), &before), None);
    before.profile = Some(toplevel("by-hand"));
    assert!(matches!(
        obstacle(&toplevel("wanted"), &before),
        Some(RebootBlocked::AnotherBootDefault { .. })
    ));
    before.profile = Some(toplevel("wanted"));
    let trace = |state: &str, verdict: Option<&str>| DeploymentTrace {
        id: "d-12345678".into(),
        unit_state: state.into(),
        verdict: verdict.map(Into::into),
    };
    before.deployments = vec![
        trace("inactive", Some("done")),
        trace("inactive", None),
        trace("active", Some("done")),
    ];
    assert_eq!(obstacle(&toplevel("wanted"), &before), None);
    before.deployments.push(trace("active", None));
    let blocked = RebootBlocked::Locked {
        by: "reconcile-d-12345678.service".into(),
    };
    assert_eq!(obstacle(&toplevel("wanted"), &before), Some(blocked));
    before.switch_lock = SwitchLock::Held { by: "pid 7".into() };
    assert!(matches!(
        obstacle(&toplevel("wanted"), &before),
        Some(RebootBlocked::Locked { .. })
    ));
}

#[test]
fn a_config_change_does_not_have_a_failed_reboot_tried_again() {
    let mut state = needs_reboot();
    state.reboot = Some(failed(did_not_come_back()));
    state.forgive();
    assert!(state.reboot.is_some());
}
