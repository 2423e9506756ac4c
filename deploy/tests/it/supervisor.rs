//! What the supervisor does to a host, in every shell that may be /bin/sh there.

use std::fs;
use std::process::Command;

use crate::fakehost::{
    COLLECT, FakeHost, ID, NEW, OBSERVE, OLD, PLAN, REBOOT, SUPERVISOR, shells, until,
};
use crate::lock_holder::{Holder, is_free};

#[test]
fn a_switch_tests_first_and_then_makes_the_system_the_boot_default() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        assert_eq!(host.deploy("switch"), "done", "{shell:?}");
        assert_eq!(
            host.calls(),
            format!(
                "sync -f /nix/store\ntest {NEW}\nnix-env -p /nix/var/nix/profiles/system --set {NEW}\n\
                 sync -f /nix/var/nix/profiles\nboot {NEW}\nsync -f /boot\n"
            )
        );
        assert_eq!(host.target("run/current-system"), NEW);
        assert_eq!(host.target("nix/var/nix/profiles/system"), NEW);
        let report = host.call(&["wait", ID, "1"]);
        assert!(
            report.ends_with("output\noutput of test\noutput of boot\n"),
            "{report}"
        );
        for step in [
            "keep",
            "sync",
            "test",
            "verify",
            "set-profile",
            "sync-profile",
            "boot",
            "sync-boot",
        ] {
            assert!(report.contains(&format!(" begin {step}\n")), "{report}");
            assert!(report.contains(&format!(" end {step} 0\n")), "{report}");
        }
        // Both are kept from the garbage collector until the end is known.
        let root = |name: &str| {
            fs::read_link(host.path(&format!("nix/var/nix/gcroots/reconcile/{ID}-{name}")))
                .unwrap()
                .display()
                .to_string()
        };
        assert_eq!((root("old").as_str(), root("new").as_str()), (OLD, NEW));
        assert!(host.read("journal").contains("verdict done"));
    }
}

#[test]
fn the_other_actions_do_their_part_only() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        assert_eq!(host.deploy("test"), "done");
        assert_eq!(host.calls(), format!("sync -f /nix/store\ntest {NEW}\n"));
        assert_eq!(host.target("nix/var/nix/profiles/system"), OLD);

        let host = FakeHost::new(&shell);
        assert_eq!(host.deploy("boot"), "done");
        assert!(!host.calls().contains("test"));
        assert_eq!(host.target("run/current-system"), OLD);
        assert_eq!(host.target("nix/var/nix/profiles/system"), NEW);

        let host = FakeHost::new(&shell);
        assert_eq!(host.deploy("dry-activate"), "done");
        assert_eq!(
            host.calls(),
            format!("sync -f /nix/store\ndry-activate {NEW}\n")
        );

        let host = FakeHost::new(&shell);
        assert_eq!(host.deploy("build"), "refused unknown action build");
    }
}

#[test]
fn failed_units_make_it_degraded_and_are_listed_but_it_is_committed() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        host.activation(
            NEW,
            &format!(
                "[ $1 = boot ] && exit 0; ln -sfn {0}{NEW} {0}/run/current-system\n\
                 echo 'warning: the following units failed: a.service, b\\x2dc.mount'; exit 4",
                host.root()
            ),
        );
        host.write(
            "failed",
            "a.service loaded failed failed A\nb\\x2dc.mount loaded failed failed B\n",
        );
        assert_eq!(host.deploy("switch"), "degraded");
        assert_eq!(host.target("nix/var/nix/profiles/system"), NEW);
        let report = host.call(&["wait", ID, "1"]);
        assert!(
            report.contains("\nfailed-unit a.service\nfailed-unit b\\x2dc.mount\nverdict"),
            "{report}"
        );
    }
}

#[test]
fn an_activation_that_does_not_succeed_is_not_committed() {
    for shell in shells() {
        for (code, moves, verdict) in [
            ("exit 1", false, "refused"),
            ("exit 1", true, "rolled-back failed test 1"),
            ("exit 2", true, "rolled-back failed test 2"),
            ("exit 100", false, "reboot-required init-interface"),
            (
                "echo switchInhibitors; exit 1",
                false,
                "reboot-required switch-inhibitor",
            ),
            ("exit 101", true, "rolled-back failed test 101"),
            ("kill -9 $$", true, "rolled-back failed test 137"),
            ("exit 11", false, "locked a switch that has ended by now"),
            ("exit 0", false, "rolled-back failed verify 1"),
        ] {
            let host = FakeHost::new(&shell);
            let link = format!("ln -sfn {0}{NEW} {0}/run/current-system\n", host.root());
            host.activation(
                NEW,
                &format!("{}{code}", if moves { link } else { String::new() }),
            );
            assert_eq!(host.deploy("switch"), verdict, "{shell:?} {code}");
            assert!(!host.calls().contains("nix-env"), "{code}");
            assert_eq!(host.target("nix/var/nix/profiles/system"), OLD);
            assert_eq!(host.target("run/current-system"), OLD, "{code}");
        }
    }
}

#[test]
fn a_refusal_to_activate_once_more_what_runs_is_not_sure_to_have_changed_nothing() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        host.link("run/current-system", NEW);
        host.activation(NEW, "exit 1");
        fs::create_dir(host.path(&format!("run/reconcile/{ID}"))).unwrap();
        host.call(&["run", ID, "test", NEW, NEW]);
        host.call(&["ended", ID]);
        assert_eq!(host.verdict(), "failed test 1");
    }
}

#[test]
fn a_boot_loader_that_cannot_be_written_is_a_failure() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        host.activation(NEW, "exit 1");
        assert_eq!(host.deploy("boot"), "rolled-back failed boot 1");
        assert_eq!(host.target("nix/var/nix/profiles/system"), OLD);
        assert!(
            host.calls()
                .ends_with(&format!("boot {OLD}\nsync -f /boot\n"))
        );
        let host = FakeHost::new(&shell);
        host.program("stubs/nix-env", "echo no space left >&2; exit 9");
        assert_eq!(host.deploy("boot"), "rolled-back failed set-profile 9");
        assert!(host.call(&["wait", ID, "1"]).contains("\nno space left\n"));
        assert!(!host.calls().contains(&format!("boot {NEW}")));
    }
}

#[test]
fn nothing_is_touched_when_the_host_runs_something_else_by_now() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        host.link("run/current-system", NEW);
        assert_eq!(host.deploy("switch"), format!("observed-changed {NEW}"));
        let host = FakeHost::new(&shell);
        fs::remove_file(host.path("run/current-system")).unwrap();
        assert_eq!(host.deploy("switch"), "observed-changed nothing");
        assert_eq!(host.calls(), "");
    }
}

#[test]
fn a_system_that_is_not_whole_is_refused() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        // What a power cut makes of a copy that was not flushed.
        fs::write(host.path(&format!("{NEW}/bin/switch-to-configuration")), "").unwrap();
        let refusal = format!("refused {NEW} is not on this host, or not whole");
        assert_eq!(host.deploy("switch"), refusal);
        let host = FakeHost::new(&shell);
        fs::remove_dir_all(host.path(NEW)).unwrap();
        assert_eq!(host.deploy("switch"), refusal);
        assert_eq!(host.calls(), "");
    }
}

#[test]
fn who_holds_the_lock_of_another_switch_is_named() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        let lock = host.path("run/nixos/switch-to-configuration.lock");
        // A command line that tries to write lines of its own.
        let words = ["sh", "-c", "sleep 1000; : '\\nverdict done\nverdict done'"];
        let holder = Holder::flock(&lock, &words);
        let verdict = host.deploy("switch");
        assert!(
            verdict.starts_with(&format!("locked pid {} (flock ", holder.id())),
            "{verdict}"
        );
        assert!(verdict.contains(") in "), "{verdict}");
        assert_eq!(
            host.read(&format!("run/reconcile/{ID}/verdict"))
                .lines()
                .count(),
            1
        );
        assert_eq!(host.calls(), "");
        let seen = String::from_utf8(host.run(&host.script(OBSERVE), &[]).stdout).unwrap();
        assert!(
            seen.contains(&format!("\nlocked pid {} (flock ", holder.id())),
            "{seen}"
        );
    }
}

#[test]
fn who_holds_a_lock_that_was_taken_for_a_script_is_named_too() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        // flock(1) takes it for a descriptor of the shell and ends.
        let script = Holder::start(
            Command::new("sh")
                .args(["-c", "exec 9>$1; flock 9; sleep 1000; :", "sh"])
                .arg(host.path("run/nixos/switch-to-configuration.lock")),
            &host.path("run/nixos/switch-to-configuration.lock"),
        );
        let verdict = host.deploy("switch");
        assert!(
            verdict.starts_with(&format!("locked pid {} (sh -c exec 9>$1", script.id())),
            "{verdict}"
        );
    }
}

#[test]
fn what_an_activation_leaves_in_the_background_does_not_hold_the_locks() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        host.activation(
            NEW,
            &format!(
                "ln -sfn {0}{NEW} {0}/run/current-system\nsleep 30 & echo $! >{0}/orphan",
                host.root()
            ),
        );
        assert_eq!(host.deploy("test"), "done");
        for lock in [
            format!("run/reconcile/{ID}/lock"),
            "run/reconcile/lock".to_owned(),
        ] {
            until("the lock is free", || is_free(&host.path(&lock)));
        }
        let status = Command::new("kill")
            .arg(host.read("orphan").trim())
            .status()
            .unwrap();
        assert!(status.success(), "it had ended");
    }
}

#[test]
fn the_scripts_are_clean_for_shellcheck() {
    let supervisor = format!("{PLAN}{SUPERVISOR}");
    for (name, script) in [
        ("supervisor", supervisor.as_str()),
        ("observe", OBSERVE),
        ("reboot", REBOOT),
        ("collect", COLLECT),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        fs::write(&file, script).unwrap();
        let output = Command::new("shellcheck")
            .args(["-s", "sh"])
            .arg(&file)
            .output()
            .expect("shellcheck (apt-get install shellcheck)");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
}
