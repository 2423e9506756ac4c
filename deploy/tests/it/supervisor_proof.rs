//! What a system has to prove before the supervisor commits it, and the end of one that does not, in every
//! shell that may be /bin/sh on a host.

use crate::fakehost::{FakeHost, ID, NEW, OLD, shells, until};

/// A host whose unit was killed while it waited, and systemd's ending of it too.
fn left_without_an_end(shell: &[&'static str]) -> FakeHost {
    let host = FakeHost::that_waits(shell, 30);
    let run = host.read("stubs/systemd-run");
    host.program("stubs/systemd-run", &run.replace("$post\n", "true\n"));
    host.begin_and_await();
    host.kill_unit();
    until("the unit is gone", || {
        !host.path(&format!("units/reconcile-{ID}.service")).exists()
    });
    host
}

#[test]
fn an_acknowledged_system_is_committed_and_nothing_of_it_before() {
    for shell in shells() {
        let host = FakeHost::that_waits(&shell, 30);
        host.begin_and_await();
        assert_eq!(
            (host.running().as_str(), host.profile().as_str()),
            (NEW, OLD)
        );
        let report = host.call(&["acknowledge", ID, "20"]);
        assert!(report.starts_with("acknowledgement given\n"), "{report}");
        assert!(report.contains("\nverdict done\n"), "{report}");
        assert_eq!(host.profile(), NEW);
        // Said once more, it is still true.
        let report = host.call(&["acknowledge", ID, "20"]);
        assert!(report.starts_with("acknowledgement given\n"), "{report}");
    }
}

#[test]
fn a_system_that_nobody_acknowledges_is_rolled_back() {
    for shell in shells() {
        let host = FakeHost::that_waits(&shell, 1);
        assert_eq!(host.begin("switch"), "new");
        until("it goes back", || {
            host.verdict() == "rolled-back not-acknowledged"
        });
        assert_eq!(
            (host.running().as_str(), host.profile().as_str()),
            (OLD, OLD)
        );
        let report = host.call(&["acknowledge", ID, "20"]);
        assert!(report.starts_with("acknowledgement late\n"), "{report}");
        assert!(
            report.contains("\nverdict rolled-back not-acknowledged\n"),
            "{report}"
        );
    }
}

#[test]
fn who_waits_before_the_unit_has_its_locks_still_sees_that_it_awaits() {
    for shell in shells() {
        let host = FakeHost::that_waits(&shell, 10);
        // The unit is slow between its two locks.
        host.program(
            "stubs/flock",
            "[ \"$*\" != 5 ] || sleep 1\nPATH=/usr/bin:/bin\nexec flock \"$@\"",
        );
        host.begin_and_await();
        host.call(&["acknowledge", ID, "20"]);
        assert_eq!(host.verdict(), "done");
    }
}

#[test]
fn a_system_that_ran_before_is_not_rolled_back_to_itself() {
    for shell in shells() {
        let host = FakeHost::that_waits(&shell, 1);
        host.link("run/current-system", NEW);
        std::fs::create_dir(host.path(&format!("run/reconcile/{ID}"))).unwrap();
        host.call(&["run", ID, "switch", NEW, NEW]);
        host.call(&["ended", ID]);
        assert_eq!(host.verdict(), "failed not-acknowledged 1");
        assert_eq!(
            (host.running().as_str(), host.profile().as_str()),
            (NEW, OLD)
        );
    }
}

#[test]
fn an_acknowledgement_that_comes_before_its_time_does_not_count() {
    for shell in shells() {
        let host = FakeHost::that_waits(&shell, 1);
        host.activation(
            NEW,
            &format!(
                "until [ -e {0}/go ]; do sleep 0.01; done\nln -sfn {0}{NEW} {0}/run/current-system",
                host.root()
            ),
        );
        assert_eq!(host.begin("switch"), "new");
        until("it is activated", || host.calls().contains("test /nix"));
        let report = host.call(&["acknowledge", ID, "0"]);
        assert!(report.starts_with("acknowledgement early\n"), "{report}");
        host.write("go", "");
        until("it goes back", || {
            host.verdict() == "rolled-back not-acknowledged"
        });
    }
}

#[test]
fn an_activation_that_takes_too_long_is_ended_and_undone() {
    for shell in shells() {
        let mut host = FakeHost::new(&shell);
        host.plan("activate_seconds=1");
        host.activation(
            NEW,
            &format!(
                "ln -sfn {0}{NEW} {0}/run/current-system\nsleep 1000",
                host.root()
            ),
        );
        assert_eq!(host.deploy("switch"), "rolled-back timed-out test");
        assert_eq!(host.running(), OLD);
    }
}

#[test]
fn a_commit_that_fails_puts_profile_boot_entry_and_system_back() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        host.activation(
            NEW,
            &format!(
                "[ $1 = boot ] && exit 1\nln -sfn {0}{NEW} {0}/run/current-system",
                host.root()
            ),
        );
        assert_eq!(host.deploy("switch"), "rolled-back failed boot 1");
        assert_eq!(
            (host.running().as_str(), host.profile().as_str()),
            (OLD, OLD)
        );
        let calls = host.calls();
        let of_old: Vec<_> = calls.lines().filter(|line| line.ends_with(OLD)).collect();
        assert_eq!(
            of_old,
            [
                format!("nix-env -p /nix/var/nix/profiles/system --set {OLD}"),
                format!("boot {OLD}"),
                format!("test {OLD}")
            ]
        );
    }
}

#[test]
fn a_rollback_that_fails_is_told_as_that_with_both_reasons() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        host.activation(
            NEW,
            &format!(
                "ln -sfn {0}{NEW} {0}/run/current-system\nexit 2",
                host.root()
            ),
        );
        host.activation(OLD, "exit 2");
        assert_eq!(
            host.deploy("switch"),
            "rollback-failed restore 2 failed test 2"
        );
        assert_eq!(host.running(), NEW);
    }
}

#[test]
fn the_last_resort_is_a_reboot_into_the_old_system_where_that_is_wanted_and_the_verdict_outlives_it()
 {
    for shell in shells() {
        let last_resort = |policy: &str, fails: &str| {
            let mut host = FakeHost::new(&shell);
            host.plan(&format!("on_rollback_failed={policy}"));
            for system in [NEW, OLD] {
                host.activation(
                    system,
                    &format!(
                        "case $1 in test) ln -sfn {0}{system} {0}/run/current-system; esac\n{fails}",
                        host.root()
                    ),
                );
            }
            let verdict = host.deploy("switch");
            until("the unit has ended", || {
                !host.path(&format!("units/reconcile-{ID}.service")).exists()
            });
            let rebooted = host.calls().contains("systemctl reboot\n");
            (host, verdict, rebooted)
        };
        let both = "exit 2";
        let (_, verdict, rebooted) = last_resort("stay", both);
        assert_eq!(verdict, "rollback-failed restore 2 failed test 2");
        assert!(!rebooted);
        // A boot entry that cannot be put back may boot anything.
        let (_, verdict, rebooted) = last_resort("reboot", "[ $1 = test ]");
        assert_eq!(verdict, "rollback-failed restore-boot 1 failed boot 1");
        assert!(!rebooted);

        let (host, verdict, rebooted) = last_resort("reboot", both);
        assert_eq!(verdict, "rollback-failed restore 2 failed test 2");
        assert!(rebooted);
        std::fs::remove_dir_all(host.path("run/reconcile")).unwrap();
        let report = host.call(&["wait", ID, "20"]);
        assert!(
            report.contains(&format!("\nverdict {verdict}\n")),
            "{report}"
        );
        assert_eq!(host.call(&["clean", ID]), "clean\n");
        assert!(!host.path("var/lib/reconcile-supervisor").exists());
        assert!(host.call(&["wait", ID, "1"]).contains("verdict vanished"));
    }
}

#[test]
fn what_a_person_changes_meanwhile_is_theirs() {
    const THEIRS: &str = "/nix/store/2c2wdbdjv3dsqnw5q1j9vkdkfg3gd7b8-nixos-system-theirs";
    for shell in shells() {
        for (link, profile_after, running_after, said) in [
            (
                "nix/var/nix/profiles/system",
                THEIRS,
                NEW,
                "changed-meanwhile the system profile, to ",
            ),
            (
                "run/current-system",
                OLD,
                THEIRS,
                "changed-meanwhile the running system, to ",
            ),
        ] {
            let host = FakeHost::that_waits(&shell, 30);
            host.install(THEIRS, 0);
            host.begin_and_await();
            host.link(link, THEIRS);
            let report = host.call(&["acknowledge", ID, "20"]);
            assert!(
                report.contains(&format!("\nverdict {said}{THEIRS}\n")),
                "{report}"
            );
            assert_eq!(host.profile(), profile_after);
            assert_eq!(host.running(), running_after);
        }
        // Theirs is also left alone by a rollback; what is still ours goes back.
        let host = FakeHost::that_waits(&shell, 5);
        host.install(THEIRS, 0);
        host.begin_and_await();
        host.link("run/current-system", THEIRS);
        until("it ends", || !host.verdict().is_empty());
        assert_eq!(host.running(), THEIRS);
        assert!(
            host.verdict()
                .starts_with("changed-meanwhile the running system")
        );
    }
}

#[test]
fn whatever_moment_it_is_killed_at_the_host_ends_where_the_decision_was() {
    for shell in shells() {
        // Before anybody decided: back.
        let host = FakeHost::that_waits(&shell, 30);
        host.begin_and_await();
        host.kill_unit();
        until("it goes back", || {
            host.verdict() == "rolled-back interrupted signal"
        });
        assert_eq!(
            (host.running().as_str(), host.profile().as_str()),
            (OLD, OLD)
        );

        // In the commit: it is finished.
        let host = FakeHost::new(&shell);
        host.activation(
            NEW,
            &format!(
                "if [ $1 = boot ] && [ ! -e {0}/killed ]; then : >{0}/killed; kill -9 $(cat {0}/main-pid); exit 1; fi\n\
                 ln -sfn {0}{NEW} {0}/run/current-system",
                host.root()
            ),
        );
        assert_eq!(host.begin("switch"), "new");
        until("the commit is finished", || host.verdict() == "done");
        assert_eq!(
            (host.running().as_str(), host.profile().as_str()),
            (NEW, NEW)
        );
    }
}

#[test]
fn who_waits_for_one_that_died_with_its_end_has_it_ended() {
    for shell in shells() {
        let host = left_without_an_end(&shell);
        assert_eq!(
            (host.running().as_str(), host.verdict().as_str()),
            (NEW, "")
        );
        let report = host.call(&["wait", ID, "20"]);
        assert!(
            report.contains("\nverdict rolled-back interrupted unknown\n"),
            "{report}"
        );
        assert_eq!(host.running(), OLD);
    }
}

#[test]
fn what_an_earlier_deployment_left_unfinished_is_ended_before_a_new_one_begins() {
    for shell in shells() {
        let host = left_without_an_end(&shell);
        // The next one was decided on what the host ran then, which is proven no more than before.
        std::fs::create_dir(host.path("run/reconcile/d-87654321")).unwrap();
        host.call(&["run", "d-87654321", "switch", NEW, NEW]);
        assert_eq!(host.verdict(), "rolled-back interrupted unknown");
        let next = host.read("run/reconcile/d-87654321/verdict");
        assert_eq!(next, format!("observed-changed {OLD}\n"));
        assert_eq!(
            (host.running().as_str(), host.profile().as_str()),
            (OLD, OLD)
        );
    }
}
