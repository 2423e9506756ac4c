//! What observe.sh prints, in every shell that may be /bin/sh on a host.

use std::fs;

use crate::fakehost::{FakeHost, NEW, OBSERVE, OLD, shells};

#[test]
fn a_host_tells_what_it_runs() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        for (system, kernel) in [(OLD, "a"), (NEW, "b")] {
            host.write(&format!("nix/store/{kernel}/bzImage"), "the same text");
            host.write("nix/store/modules/x", "");
            // Links are compared by where they lead, files by what is in them.
            host.link(
                &format!("{system}/kernel"),
                &format!("nix/store/{kernel}/bzImage"),
            );
            host.link(&format!("{system}/kernel-modules"), "nix/store/modules");
            host.write(&format!("{system}/initrd"), kernel);
            host.write(&format!("{system}/kernel-params"), "same");
        }
        host.write(&format!("{NEW}/system"), "armv7l-linux");
        host.program("stubs/uname", "echo aarch64");
        host.link("run/current-system", NEW);
        host.link("nix/var/nix/profiles/system-42-link", OLD);
        let profile = host.path("nix/var/nix/profiles/system");
        fs::remove_file(&profile).unwrap();
        std::os::unix::fs::symlink("system-42-link", profile).unwrap();
        host.write("run/nixos/start-list", "a.service\n");
        host.write("run/nixos/reload-list", "");
        host.write("failed", "x.service loaded failed failed X\n");
        host.write("run/reconcile/d-12345678/verdict", "failed test 2\n");
        host.write("units/reconcile-d-87654321.service", "active\n");
        host.write("run/reconcile/d-87654321/steps", "");
        let output = host.run(&host.script(OBSERVE), &[]);
        let answer = String::from_utf8(output.stdout).unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{shell:?}");
        let kept: Vec<&str> = answer
            .lines()
            .filter(|line| !line.starts_with("free "))
            .collect();
        assert_eq!(
            kept,
            [
                &format!("running {NEW}"),
                &format!("booted {OLD}"),
                &format!("profile {OLD}"),
                "generation 42",
                "reboot kernel",
                "reboot initrd",
                "boot-id the-boot-id",
                "machine-id the-machine-id",
                "platform aarch64-linux",
                "platform armv7l-linux",
                "system-state degraded",
                "failed-unit x.service",
                "unfinished start-list",
                "deployment d-12345678 inactive failed test 2",
                "deployment d-87654321 active ",
                "end",
            ]
        );
        assert_eq!(answer.matches("\nfree /").count(), 3, "{answer}");
    }
}

#[test]
fn what_a_deployment_has_left_is_seen_also_after_a_boot_has_emptied_run() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        host.write(
            "var/lib/reconcile-supervisor/d-11111111/verdict",
            "rollback-failed restore 1 not-acknowledged\n",
        );
        host.write(
            "var/lib/reconcile-supervisor/d-33333333/verdict",
            "succeeded\n",
        );
        fs::create_dir_all(host.path("nix/var/nix/gcroots/reconcile")).unwrap();
        for end in ["old", "new"] {
            for id in ["d-11111111", "d-22222222"] {
                host.link(&format!("nix/var/nix/gcroots/reconcile/{id}-{end}"), OLD);
            }
        }
        let output = host.run(&host.script(OBSERVE), &[]);
        let answer = String::from_utf8(output.stdout).unwrap();
        let traces: Vec<&str> = answer
            .lines()
            .filter(|line| line.starts_with("deployment "))
            .collect();
        assert_eq!(
            traces,
            [
                "deployment d-11111111 inactive rollback-failed restore 1 not-acknowledged",
                "deployment d-22222222 inactive ",
                "deployment d-33333333 inactive succeeded",
            ]
        );
        for id in ["d-11111111", "d-22222222", "d-33333333"] {
            host.call(&["clean", id]);
        }
        let output = host.run(&host.script(OBSERVE), &[]);
        let answer = String::from_utf8(output.stdout).unwrap();
        assert!(!answer.contains("deployment "), "{answer}");
    }
}

#[test]
fn a_bare_host_answers_too() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        for name in ["run", "nix", "boot", "etc"] {
            fs::remove_dir_all(host.path(name)).unwrap();
        }
        let output = host.run(&host.script(OBSERVE), &[]);
        let answer = String::from_utf8(output.stdout).unwrap();
        assert!(answer.ends_with("end\n"), "{answer}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{shell:?}");
    }
}
