//! `[defaults.reboot]` and `[hosts.NAME.reboot]`.

use std::time::Duration;

use planning::model::spec::RebootPolicy;

use crate::config::testing::{BASE, config, mistakes};

#[test]
fn no_host_is_rebooted_where_nobody_says_so() {
    let reboot = &config(BASE).hosts["spare"].reboot;
    assert_eq!(reboot.policy, RebootPolicy::Never);
    assert_eq!(reboot.windows, None);
    assert_eq!(reboot.deadline, Duration::from_secs(600));
}

#[test]
fn a_host_takes_from_the_defaults_what_it_does_not_say_about_reboots() {
    let config = config(&format!(
        r#"{BASE}
[hosts.any.reboot]
windows = []
[hosts.server.reboot]
deadline = "20m"
[defaults.reboot]
policy = "when-required"
windows = [{{ days = ["sun"], from = "03:00", to = "05:00", time_zone = "Europe/Berlin" }}]
"#
    ));
    let of = |name: &str| &config.hosts[name].reboot;
    assert_eq!(of("spare").policy, RebootPolicy::WhenRequired);
    assert_eq!(of("spare").windows.as_ref().map(Vec::len), Some(1));
    assert_eq!(of("any").windows.as_ref().map(Vec::len), Some(0));
    assert_eq!(of("server").windows, of("spare").windows);
    assert_eq!(of("server").deadline, Duration::from_secs(1200));
}

#[test]
fn what_cannot_be_said_about_reboots_is_told_with_its_mend() {
    let found = mistakes(&format!(
        "{BASE}[hosts.spare.reboot]\npolicy = \"always\"\ndeadline = \"0s\"\nwindow = []\n"
    ))
    .to_string();
    for part in [
        "`always` is not one of the choices",
        "deadline",
        "did you mean `windows`?",
    ] {
        assert!(found.contains(part), "expected {part:?} in:\n{found}");
    }
}
