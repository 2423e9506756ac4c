//! How a system has to be doing on its host before the supervisor commits it, in every shell that may be
//! /bin/sh on a host.

use crate::fakehost::{FakeHost, ID, NEW, OLD, shells};

#[test]
fn a_unit_that_newly_fails_sends_it_back_unless_it_does_not_matter_or_is_to_be_kept() {
    for shell in shells() {
        let fails = |plan: &str| {
            let mut host = FakeHost::new(&shell);
            host.plan(plan);
            host.write("failed", "old.service loaded failed failed X\n");
            host.activation(
                NEW,
                &format!(
                    "[ $1 = boot ] && exit 0\nln -sfn {0}{NEW} {0}/run/current-system\n\
                     echo 'new.service loaded failed failed X' >>{0}/failed\nexit 4",
                    host.root()
                ),
            );
            let verdict = host.deploy("switch");
            (verdict, host.running())
        };
        assert_eq!(
            fails(""),
            ("rolled-back degraded new.service".into(), OLD.into())
        );
        assert_eq!(fails("on_degraded=keep"), ("degraded".into(), NEW.into()));
        assert_eq!(
            fails("ignored_units='x.service\nnew.service'"),
            ("degraded".into(), NEW.into())
        );
    }
}

#[test]
fn a_probe_is_tried_as_often_as_it_may_be_and_then_sends_it_back() {
    for shell in shells() {
        let probed = |command: &str, on_degraded: &str| {
            let mut host = FakeHost::new(&shell);
            host.plan(&format!(
                "on_degraded={on_degraded}\nprobes() {{\n probe web 3 0 5 sh -c '{}' || return 1\n}}",
                command.replace('@', &host.root())
            ));
            let verdict = host.deploy("switch");
            let tries = host.read("tries").lines().count();
            (verdict, tries, host.running())
        };
        let third_time = "echo x >>@/tries; [ $(wc -l <@/tries) = 3 ]";
        assert_eq!(
            probed(third_time, "rollback"),
            ("done".into(), 3, NEW.into())
        );
        let never = "echo x >>@/tries; exit 1";
        assert_eq!(
            probed(never, "rollback"),
            ("rolled-back probe web".into(), 3, OLD.into())
        );
        assert_eq!(probed(never, "keep"), ("degraded".into(), 3, NEW.into()));
        let hangs = "echo x >>@/tries; [ $(wc -l <@/tries) = 2 ] || sleep 1000";
        let mut host = FakeHost::new(&shell);
        host.plan(&format!(
            "probes() {{\n probe web 3 0 1 sh -c '{}' || return 1\n}}",
            hangs.replace('@', &host.root())
        ));
        assert_eq!(host.deploy("switch"), "done");
    }
}

#[test]
fn a_host_that_falls_into_rescue_mode_or_runs_full_goes_back() {
    for shell in shells() {
        let spoilt = |before: &str, by_activation: &str, plan: &str| {
            let mut host = FakeHost::new(&shell);
            host.plan(plan);
            // stat(1) says that the file systems named in `full` have 3 blocks left.
            host.program(
                "stubs/stat",
                &format!(
                    "shift 3\n\
                     for place; do\n\
                     blocks=1000000\n\
                     if grep -qx \"${{place#{0}}}\" {0}/full 2>/dev/null; then blocks=3; fi\n\
                     echo \"$place $blocks 4096\"\n\
                     done",
                    host.root()
                ),
            );
            let run = |script: &str| script.replace('@', &host.root());
            std::process::Command::new("sh")
                .args(["-c", &run(before)])
                .status()
                .unwrap();
            host.activation(
                NEW,
                &format!(
                    "ln -sfn {0}{NEW} {0}/run/current-system\n{1}",
                    host.root(),
                    run(by_activation)
                ),
            );
            (host.deploy("switch"), host.running())
        };
        let back = |reason: &str| (format!("rolled-back probe {reason}"), OLD.to_owned());
        let rescue = "echo maintenance >@/state";
        assert_eq!(spoilt("", rescue, ""), back("is-system-running"));
        let full = "echo /boot >@/full";
        assert_eq!(spoilt("", full, ""), back("free-space:/boot"));
        assert_eq!(
            spoilt("", "echo / >@/full", "on_degraded=keep"),
            ("degraded".to_owned(), NEW.to_owned())
        );
        // What was so before is not the new system's doing.
        let both = format!("{rescue}; {full}");
        assert_eq!(
            spoilt(&both, &both, ""),
            ("done".to_owned(), NEW.to_owned())
        );
        assert_eq!(
            spoilt(full, "printf '/boot\\n/nix\\n' >@/full", ""),
            back("free-space:/nix")
        );
    }
}

#[test]
fn what_the_caller_finds_amiss_sends_it_back_unless_it_is_to_be_kept() {
    for shell in shells() {
        let told = |on_degraded: &str, words: &[&str]| {
            let mut host = FakeHost::new(&shell);
            host.plan(&format!(
                "acknowledge_seconds=30\non_degraded={on_degraded}"
            ));
            host.begin_and_await();
            let report = host.call(&[&["acknowledge", ID, "20"], words].concat());
            assert!(report.starts_with("acknowledgement given\n"), "{report}");
            (host.verdict(), host.running())
        };
        assert_eq!(told("rollback", &[]), ("done".into(), NEW.into()));
        assert_eq!(
            told("rollback", &["web"]),
            ("rolled-back probe web".into(), OLD.into())
        );
        assert_eq!(told("keep", &["web"]), ("degraded".into(), NEW.into()));
    }
}

#[test]
fn who_says_something_else_than_who_came_first_is_late() {
    for shell in shells() {
        let host = FakeHost::that_waits(&shell, 30);
        host.activation(
            OLD,
            &format!(
                "until [ -e {0}/go ]; do sleep 0.1; done; ln -sfn {0}{OLD} {0}/run/current-system",
                host.root()
            ),
        );
        host.begin_and_await();
        std::thread::scope(|scope| {
            let first = scope.spawn(|| host.call(&["acknowledge", ID, "20", "web"]));
            let decision = host.path(&format!("run/reconcile/{ID}/decision"));
            crate::fakehost::until("it is decided", || decision.is_symlink());
            let second = scope.spawn(|| host.call(&["acknowledge", ID, "20"]));
            host.write("go", "");
            assert!(first.join().unwrap().starts_with("acknowledgement given\n"));
            assert!(second.join().unwrap().starts_with("acknowledgement late\n"));
        });
        assert_eq!(host.verdict(), "rolled-back probe web");
    }
}
