//! What reboot.sh does, in every shell that may be /bin/sh on a host.

use crate::fakehost::{FakeHost, REBOOT, shells};
use crate::lock_holder::Holder;

/// What a host answers that is told to reboot from a boot.
fn tell(host: &FakeHost, boot_id: &str) -> String {
    let output = host.run(&host.script(REBOOT), &[boot_id]);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_host_is_rebooted_from_the_boot_that_is_named_and_from_no_other() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        assert_eq!(tell(&host, "an-earlier-boot-id"), "has-rebooted\n");
        assert_eq!(host.calls(), "");
        assert_eq!(tell(&host, "the-boot-id"), "reboots\n");
        assert_eq!(host.calls(), "systemctl reboot\n");
    }
}

#[test]
fn a_host_is_not_rebooted_in_the_middle_of_a_switch() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        host.write("run/nixos/switch-to-configuration.lock", "");
        let lock = host.path("run/nixos/switch-to-configuration.lock");
        let holder = Holder::flock(&lock, &["sleep", "60"]);
        let answer = tell(&host, "the-boot-id");
        assert!(answer.starts_with("locked pid "), "{answer}");
        assert_eq!(host.calls(), "");
        drop(holder);
        assert_eq!(tell(&host, "the-boot-id"), "reboots\n");
    }
}

#[test]
fn a_host_whose_systemd_refuses_says_why_on_one_line() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        host.write("reboot-fails", "Access denied\nas the requested\n");
        assert_eq!(
            tell(&host, "the-boot-id"),
            "refused Access denied as the requested \n"
        );
    }
}
