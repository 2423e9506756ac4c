//! What the supervisor makes of the ends that a real switch-to-configuration comes to, in every shell that may be /bin/sh
//! on a host: its exit code alone says little.

use crate::fakehost::{FakeHost, ID, NEW, OLD, shells};

/// A host whose new system's `test` runs that script; `@` stands for the host's folder.
fn host_whose_switch(shell: &[&'static str], script: &str) -> FakeHost {
    let host = FakeHost::new(shell);
    host.activation(NEW, &tested(&host, script));
    host
}

fn tested(host: &FakeHost, script: &str) -> String {
    format!(
        "[ $1 = test ] || exit 0\n{}",
        script.replace('@', &host.root())
    )
}

/// The link is moved, and something is still to be started.
const HALF_WAY: &str = "ln -sfn @/nix/store/1c2wdbdjv3dsqnw5q1j9vkdkfg3gd7b8-nixos-system-new @/run/current-system\n\
                        echo app.service >@/run/nixos/start-list\n";
/// The lists are gone, as at the end.
const TO_THE_END: &str = "ln -sfn @/nix/store/1c2wdbdjv3dsqnw5q1j9vkdkfg3gd7b8-nixos-system-new @/run/current-system\n\
                          rm -f @/run/nixos/start-list\n";

#[test]
fn a_switch_that_loses_logind_half_way_with_the_code_of_a_lock_goes_back() {
    for shell in shells() {
        let loses = format!(
            "{HALF_WAY}echo 'Unable to list users with logind: Did not receive a reply'\nexit 11"
        );
        let host = host_whose_switch(&shell, &loses);
        host.activation(
            OLD,
            &format!(
                "rm -f {0}/run/nixos/start-list\nln -sfn {0}{OLD} {0}/run/current-system",
                host.root()
            ),
        );
        assert_eq!(host.deploy("switch"), "rolled-back failed test 11");
        assert_eq!(host.running(), OLD);
    }
}

#[test]
fn a_lock_that_somebody_took_meanwhile_is_no_failure_even_where_an_older_switch_left_a_list() {
    for shell in shells() {
        let host = host_whose_switch(
            &shell,
            "echo 'Could not acquire lock: Resource temporarily unavailable' >&2\nexit 11",
        );
        host.write("run/nixos/start-list", "app.service\n");
        let verdict = host.deploy("switch");
        assert_eq!(verdict, "locked a switch that has ended by now");
        assert_eq!(host.calls().matches("test /nix").count(), 1);
    }
}

#[test]
fn a_switch_that_breaks_off_is_begun_again_and_goes_on_where_it_stopped() {
    for shell in shells() {
        // A user logs out while the switch reloads what users have.
        let once = format!(
            "if [ -e @/run/nixos/start-list ]; then {TO_THE_END}exit 0; fi\n{HALF_WAY}\
             echo 'Error: Failed to get GID for gitsvc: Unknown object'\nexit 1"
        );
        let host = host_whose_switch(&shell, &once);
        assert_eq!(host.deploy("switch"), "done", "{}", host.calls());
        let report = host.call(&["wait", ID, "1"]);
        assert!(report.contains(" end test 1\n"), "{report}");
        assert!(report.contains(" end test 0\n"), "{report}");
    }
}

#[test]
fn a_way_back_that_breaks_off_is_begun_again_without_the_checks_of_the_old_system() {
    for shell in shells() {
        let host = host_whose_switch(&shell, &format!("{TO_THE_END}exit 2"));
        let root = host.root();
        host.activation(
            OLD,
            &format!(
                "[ \"$NIXOS_NO_CHECK\" = 1 ] || exit 1\n\
                 if [ -e {root}/again ]; then rm -f {root}/run/nixos/start-list; exit 0; fi\n\
                 touch {root}/again; echo app.service >{root}/run/nixos/start-list\n\
                 ln -sfn {root}{OLD} {root}/run/current-system; exit 1"
            ),
        );
        assert_eq!(host.deploy("switch"), "rolled-back failed test 2");
        assert_eq!(host.running(), OLD);
        assert!(
            host.calls().contains("systemctl start app.service\n"),
            "{}",
            host.calls()
        );
    }
}

#[test]
fn a_bus_and_a_logind_that_a_switch_has_killed_are_started_before_the_way_back() {
    for shell in shells() {
        let host = host_whose_switch(
            &shell,
            &format!("{HALF_WAY}touch @/busctl-is-dead @/loginctl-is-dead\nexit 1"),
        );
        host.activation(
            OLD,
            &format!(
                "rm -f {0}/run/nixos/start-list\nln -sfn {0}{OLD} {0}/run/current-system",
                host.root()
            ),
        );
        assert_eq!(host.deploy("switch"), "rolled-back failed test 1");
        let calls = host.calls();
        let wakes = "systemctl start dbus.socket dbus.service\n\
                     systemctl restart systemd-logind.service\n";
        assert!(calls.contains(&format!("{wakes}test {NEW}\n")), "{calls}");
        assert!(calls.contains(&format!("{wakes}test {OLD}\n")), "{calls}");
    }
}

#[test]
fn a_failed_activation_script_is_one_whatever_failed_besides() {
    for shell in shells() {
        let host = host_whose_switch(
            &shell,
            &format!(
                "{TO_THE_END}echo 'Failed to run activate script'\n\
                 echo 'warning: the following units failed: loop.service'\nexit 4"
            ),
        );
        assert_eq!(host.deploy("switch"), "rolled-back failed test 2");
    }
}

#[test]
fn units_of_a_user_that_fail_are_noted_and_degrade_nothing() {
    for shell in shells() {
        let host = host_whose_switch(
            &shell,
            &format!("{TO_THE_END}echo 'user activation for gitsvc failed'\nexit 4"),
        );
        assert_eq!(host.deploy("switch"), "done");
        let report = host.call(&["wait", ID, "1"]);
        assert!(report.contains("user activation for gitsvc failed"));
    }
}

#[test]
fn a_failure_that_has_no_name_goes_back() {
    for shell in shells() {
        let host = host_whose_switch(&shell, &format!("{TO_THE_END}exit 4"));
        assert_eq!(host.deploy("switch"), "rolled-back failed test 4");
    }
}

#[test]
fn a_job_that_failed_and_left_its_unit_inactive_sends_it_back_by_name() {
    for shell in shells() {
        let host = host_whose_switch(
            &shell,
            &format!(
                "{TO_THE_END}echo 'warning: the following units failed: a.service, web.service'\nexit 4"
            ),
        );
        host.write("units/a.service", "active\n");
        let verdict = host.deploy("switch");
        std::fs::remove_file(host.path("units/a.service")).unwrap();
        // What runs again by now is well.
        assert_eq!(verdict, "rolled-back degraded web.service");
    }
}

#[test]
fn an_unproven_system_is_never_what_a_later_deployment_goes_back_to() {
    for shell in shells() {
        let proven = "/nix/store/2c2wdbdjv3dsqnw5q1j9vkdkfg3gd7b8-nixos-system-proven";
        let host = host_whose_switch(&shell, &format!("{TO_THE_END}exit 2"));
        host.install(proven, 0);
        // OLD runs, and came to run by attempts that have not proven it.
        host.write("run/reconcile/unproven", &format!("{proven}\n{OLD}\n"));
        assert_eq!(host.deploy("switch"), "rolled-back failed test 2");
        assert_eq!(host.running(), proven);
        assert!(!host.path("run/reconcile/unproven").exists());
    }
}

#[test]
fn a_refusal_leaves_what_is_remembered_as_it_was() {
    for shell in shells() {
        let refuses = |remembered: Option<&str>| {
            let host = host_whose_switch(&shell, "exit 1");
            host.install("/nix/store/2c2wdbdjv3dsqnw5q1j9vkdkfg3gd7b8-proven", 0);
            if let Some(remembered) = remembered {
                host.write("run/reconcile/unproven", remembered);
            }
            assert_eq!(host.deploy("switch"), "refused");
            host.read("run/reconcile/unproven")
        };
        assert_eq!(refuses(None), "");
        let proven = "/nix/store/2c2wdbdjv3dsqnw5q1j9vkdkfg3gd7b8-proven";
        let left = refuses(Some(&format!("{proven}\n{OLD}\n")));
        assert!(left.starts_with(&format!("{proven}\n{OLD}\n")), "{left}");
    }
}

#[test]
fn what_a_person_switched_to_since_is_gone_back_to() {
    for shell in shells() {
        let host = host_whose_switch(&shell, &format!("{TO_THE_END}exit 2"));
        host.install("/nix/store/2c2wdbdjv3dsqnw5q1j9vkdkfg3gd7b8-other", 0);
        let stale = "/nix/store/2c2wdbdjv3dsqnw5q1j9vkdkfg3gd7b8-other\n/nix/store/3-unproven\n";
        host.write("run/reconcile/unproven", stale);
        assert_eq!(host.deploy("switch"), "rolled-back failed test 2");
        assert_eq!(host.running(), OLD);
    }
}

#[test]
fn a_check_that_waits_for_somebody_is_a_refusal_and_nothing_was_changed() {
    for shell in shells() {
        let mut host = host_whose_switch(&shell, "sleep 1000");
        host.plan("activate_seconds=1");
        assert_eq!(
            host.deploy("switch"),
            "refused a check before the switch did not end in time"
        );
        assert_eq!(host.calls().matches("test /nix").count(), 1);
    }
}

#[test]
fn nothing_is_switched_while_the_host_boots() {
    for shell in shells() {
        let boots = |ends_in: &str| {
            let host = FakeHost::new(&shell);
            host.write("state", "starting\n");
            host.write("booted", ends_in);
            (host.deploy("switch"), host.calls())
        };
        let (verdict, calls) = boots("running\n");
        assert_eq!(verdict, "done");
        assert!(calls.starts_with("wait\n"), "{calls}");
        let (verdict, calls) = boots("starting\n");
        assert_eq!(
            verdict,
            "refused the host has not come to the end of its boot"
        );
        assert!(!calls.contains("test /nix"), "{calls}");
    }
}
