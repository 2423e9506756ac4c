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
                     echo 'new.service loaded failed failed X' >>{0}/failed\n\
                     echo 'warning: the following units failed: new.service'\nexit 4",
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

/// A host whose new system is the running one after a switch that leaves what the script does; `@` is its folder.
fn spoilt(shell: &[&'static str], plan: &str, script: &str) -> FakeHost {
    let mut host = FakeHost::new(shell);
    host.plan(plan);
    let script = script.replace('@', &host.root());
    host.activation(
        NEW,
        &format!(
            "[ $1 = boot ] && exit 0\nln -sfn {0}{NEW} {0}/run/current-system\n{script}",
            host.root()
        ),
    );
    host
}

#[test]
fn a_service_that_waits_for_its_next_start_after_a_failure_is_a_failed_one() {
    for shell in shells() {
        let loops = "echo 'loop.service loaded activating auto-restart X' >@/failed\n\
                     echo 'warning: the following units failed: loop.service'\nexit 4";
        let host = spoilt(&shell, "", loops);
        assert_eq!(host.deploy("switch"), "rolled-back degraded loop.service");
        let kept = spoilt(&shell, "on_degraded=keep", loops);
        assert_eq!(kept.deploy("switch"), "degraded");
        let report = kept.call(&["wait", ID, "1"]);
        assert!(report.contains("\nfailed-unit loop.service\n"), "{report}");
        // One that is started again and again by design has ended well.
        let by_design = spoilt(
            &shell,
            "",
            "mkdir @/status; echo 0 >@/status/poll.service\n\
             echo 'poll.service loaded activating auto-restart X' >@/failed",
        );
        assert_eq!(by_design.deploy("switch"), "done");
    }
}

#[test]
fn a_service_that_dies_again_and_again_is_seen_by_how_often_it_was_started() {
    for shell in shells() {
        // At the moment of each look it runs.
        let restarts = |before: &str, at_first: &str, later: &str| {
            let host = spoilt(
                &shell,
                "settle_seconds=1",
                &format!("printf '{at_first}' >@/restarts"),
            );
            host.write("restarts", before);
            host.program(
                "stubs/sleep",
                // Not whoever waits for the verdict.
                &format!(
                    "[ \"$1\" = 1 ] || exec /bin/sleep \"$1\"\nprintf '{later}' >{}/restarts",
                    host.root()
                ),
            );
            host.deploy("switch")
        };
        let is = |name: &str, times: u32| format!("NRestarts={times}\\nId={name}\\n\\n");
        let app = |times| is("app.service", times);
        assert_eq!(
            restarts("", &app(0), &app(2)),
            "rolled-back degraded app.service"
        );
        // It was in the way of something once, and runs since.
        assert_eq!(restarts("", &app(1), &app(1)), "done");
        // It has done so all the time, and the switch has not touched it.
        let before = "NRestarts=40\nId=app.service\n\n";
        assert_eq!(restarts(before, &app(40), &app(42)), "done");
        // The switch started it anew, and it began to count anew.
        assert_eq!(
            restarts(before, &app(0), &app(2)),
            "rolled-back degraded app.service"
        );
    }
}

#[test]
fn what_dies_after_the_acknowledgement_asked_for_is_not_committed() {
    for shell in shells() {
        let host = spoilt(&shell, "acknowledge_seconds=30", "");
        host.begin_and_await();
        host.write("failed", "late.service loaded failed failed X\n");
        host.call(&["acknowledge", ID, "20"]);
        assert_eq!(host.verdict(), "rolled-back degraded late.service");
        assert_eq!(host.running(), OLD);
    }
}

#[test]
fn units_that_do_not_matter_are_named_by_patterns() {
    for shell in shells() {
        let fails = |unit: &str| {
            let host = spoilt(
                &shell,
                "ignored_units='home-manager-*.service\nuser@[0-9]*.service\na\\\\x2db.mount'",
                "cp @/fails @/failed",
            );
            host.write("fails", &format!("{unit} loaded failed failed X\n"));
            host.deploy("switch")
        };
        assert_eq!(fails("home-manager-anna.service"), "done");
        assert_eq!(fails("user@1000.service"), "done");
        assert_eq!(fails("a\\x2db.mount"), "done");
        assert_eq!(
            fails("user@anna.service"),
            "rolled-back degraded user@anna.service"
        );
    }
}

#[test]
fn a_unit_that_its_timer_started_meanwhile_condemns_nobody_unless_the_switch_names_it() {
    for shell in shells() {
        let fails = |more: &str| {
            spoilt(
                &shell,
                "",
                &format!(
                    "mkdir @/triggers; echo restic.timer >@/triggers/restic.service\n\
                     echo 'restic.service loaded failed failed X' >@/failed\n{more}"
                ),
            )
        };
        let by_itself = fails("");
        assert_eq!(by_itself.deploy("switch"), "done");
        let report = by_itself.call(&["wait", ID, "1"]);
        assert!(
            report.contains(" excused restic.service: its timer started it\n"),
            "{report}"
        );
        assert!(
            report.contains("\nfailed-unit restic.service\n"),
            "{report}"
        );
        let named = "echo 'warning: the following units failed: restic.service'\nexit 4";
        assert_eq!(
            fails(named).deploy("switch"),
            "rolled-back degraded restic.service"
        );
    }
}

#[test]
fn the_fifty_first_failed_unit_counts_like_the_first() {
    for shell in shells() {
        let host = spoilt(
            &shell,
            "",
            "echo 'zz.service loaded failed failed X' >>@/failed",
        );
        let before: String = (0..60)
            .map(|number| format!("a{number}.service loaded failed failed X\n"))
            .collect();
        host.write("failed", &before);
        assert_eq!(host.deploy("switch"), "rolled-back degraded zz.service");
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
