//! How the supervisor is started, followed, ended and cleaned up, in every shell that may be /bin/sh.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::fakehost::{FakeHost, ID, NEW, OLD, SUPERVISOR, shells, until};
use crate::lock_holder::Holder;

#[test]
fn two_deployments_of_ours_do_not_run_at_once() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        let _other = Holder::flock(&host.path("run/reconcile/lock"), &["sleep", "1000"]);
        host.write("run/reconcile/lock", "reconcile-d-87654321.service\n");
        assert_eq!(host.deploy("switch"), "locked reconcile-d-87654321.service");
    }
}

#[test]
fn an_id_is_activated_once_however_often_it_is_started() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        // Something that ended between making the folder and starting the unit.
        fs::create_dir(host.path(&format!("run/reconcile/{ID}"))).unwrap();
        assert_eq!(host.begin("dry-activate"), "new");
        assert!(host.call(&["wait", ID, "20"]).contains("verdict done"));
        assert_eq!(host.begin("dry-activate"), "already");
        assert_eq!(
            host.call(&["run", ID, "dry-activate", NEW, OLD]),
            "",
            "it ran again"
        );
        assert_eq!(host.calls().matches("dry-activate /nix").count(), 1);
        let names = fs::read_dir(host.path("run/reconcile")).unwrap();
        let received = names
            .map(|entry| entry.unwrap().file_name())
            .filter(|name| name.to_string_lossy().starts_with('.'));
        assert_eq!(received.count(), 0);
    }
}

#[test]
fn of_many_starts_at_once_one_starts_it() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        let answers = std::thread::scope(|scope| {
            let all: Vec<_> = (0..8).map(|_| scope.spawn(|| host.begin("test"))).collect();
            all.into_iter()
                .map(|one| one.join().unwrap())
                .collect::<Vec<_>>()
        });
        let count = |word: &str| answers.iter().filter(|answer| *answer == word).count();
        assert_eq!((count("new"), count("already")), (1, 7), "{answers:?}");
        assert!(host.call(&["wait", ID, "20"]).contains("verdict done"));
        assert_eq!(host.calls().matches("test /nix").count(), 1);
    }
}

#[test]
fn a_unit_that_cannot_be_started_leaves_nothing() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        host.program("stubs/systemd-run", "echo no bus >&2; exit 1");
        let file = host.path("cut");
        fs::write(&file, host.script(SUPERVISOR)).unwrap();
        let output = host
            .command()
            .arg(&file)
            .args(["start", ID, "switch", NEW, OLD, "60"])
            .output()
            .unwrap();
        assert_eq!(output.stdout, b"not-started\n");
        assert_eq!(output.stderr, b"no bus\n");
        assert!(!host.path(&format!("run/reconcile/{ID}")).exists());
    }
}

#[test]
fn a_script_that_was_cut_off_does_nothing() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        let script = host.script(SUPERVISOR);
        let last = script.trim_end().rfind("main").unwrap();
        for length in (0..last).step_by(211).chain([last]) {
            let length = script.floor_char_boundary(length);
            let file = host.path("cut");
            fs::write(&file, &script[..length]).unwrap();
            host.command()
                .arg(&file)
                .args(["start", ID, "switch", NEW, OLD, "60"])
                .stderr(Stdio::null())
                .stdout(Stdio::null())
                .status()
                .unwrap();
            host.run(&script[..length], &["clean", ID]);
        }
        assert_eq!(
            fs::read_dir(host.path("run/reconcile")).unwrap().count(),
            0,
            "{shell:?}"
        );
        assert_eq!(host.calls() + &host.read("systemd-run"), "");
    }
}

#[test]
fn a_waiter_returns_when_it_ends_or_when_its_time_is_over() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        assert!(
            host.call(&["wait", ID, "5"])
                .contains("\nverdict vanished\noutput\n")
        );
        host.activation(
            NEW,
            &format!(
                "echo half-way\nuntil [ -e {0}/go ]; do sleep 0.01; done\nln -sfn {0}{NEW} {0}/run/current-system",
                host.root()
            ),
        );
        assert_eq!(host.begin("test"), "new");
        until("it is half-way", || host.calls().contains("test /nix"));
        let began = Instant::now();
        let report = host.call(&["wait", ID, "1"]);
        assert!(began.elapsed() >= Duration::from_millis(900));
        assert!(
            report.contains(" begin test\nverdict running\noutput\nhalf-way\n"),
            "{report}"
        );
        assert_eq!(host.call(&["clean", ID]), "running\n");
        let host = &host;
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| (host.call(&["wait", ID, "60"]), Instant::now()));
            std::thread::sleep(Duration::from_millis(200));
            host.write("go", "");
            until("it has a verdict", || host.verdict() == "done");
            let ended = Instant::now();
            let (report, returned) = waiter.join().unwrap();
            assert!(report.contains("\nverdict done\n"), "{report}");
            assert!(returned.saturating_duration_since(ended) < Duration::from_secs(2));
        });
    }
}

#[test]
fn a_unit_that_is_gone_without_a_verdict_is_not_waited_for() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        host.write(&format!("run/reconcile/{ID}/begun/x"), "");
        let began = Instant::now();
        let report = host.call(&["wait", ID, "60"]);
        assert!(
            report.contains("\nverdict interrupted unknown\n"),
            "{report}"
        );
        assert!(began.elapsed() < Duration::from_secs(20));
    }
}

#[test]
fn whoever_is_killed_leaves_a_verdict_and_no_second_one_replaces_it() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        host.activation(NEW, "sleep 1000");
        assert_eq!(host.begin("switch"), "new");
        until("it runs", || host.calls().contains("test /nix"));
        host.kill_unit();
        let report = host.call(&["wait", ID, "20"]);
        assert!(
            report.contains("\nverdict rolled-back interrupted signal\n"),
            "{report}"
        );
        assert!(report.contains(" begin test\n") && !report.contains(" end test"));
        host.call(&["ended", ID]);
        assert_eq!(host.verdict(), "rolled-back interrupted signal");
    }
}

#[test]
fn cleaning_up_leaves_nothing_and_sweeps_what_others_left() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        // Roots of a deployment that a power cut ended, of one that still runs, and of one that nobody
        // came back for.
        host.write("run/reconcile/d-stillruns/begun/x", "");
        fs::create_dir_all(host.path("nix/var/nix/gcroots/reconcile")).unwrap();
        host.write("run/reconcile/d-notcleaned/verdict", "done\n");
        for name in ["d-poweroff-old", "d-stillruns-new", "d-notcleaned-old"] {
            host.link(&format!("nix/var/nix/gcroots/reconcile/{name}"), OLD);
        }
        host.write(&format!("run/reconcile/.{ID}.77"), "cut off");
        assert_eq!(host.deploy("switch"), "done");
        let mut roots: Vec<String> = fs::read_dir(host.path("nix/var/nix/gcroots/reconcile"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        roots.sort();
        assert_eq!(
            roots,
            [
                format!("{ID}-new"),
                format!("{ID}-old"),
                "d-stillruns-new".to_owned()
            ]
        );
        assert_eq!(host.call(&["clean", ID]), "clean\n");
        assert_eq!(host.call(&["clean", ID]), "clean\n");
        let mut left: Vec<String> = fs::read_dir(host.path("run/reconcile"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["d-notcleaned", "d-stillruns", "lock", "starting"]);
        assert!(host.call(&["wait", ID, "5"]).contains("verdict vanished"));
    }
}

#[test]
fn an_id_that_is_none_is_refused() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        for id in ["", "../x", "-x", "a b", "a/b", "A", "$(id)", "x\ny"] {
            let output = host.run(&host.script(SUPERVISOR), &["clean", id]);
            assert_eq!(output.status.code(), Some(2), "{id:?}");
        }
        assert!(host.path("run/reconcile").exists());
    }
}

#[test]
fn the_unit_is_told_where_its_programs_are_and_when_it_ends() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        host.deploy("test");
        let words = host.read("systemd-run");
        let has = |line: &str| words.lines().any(|word| word == line);
        assert!(
            words.contains(&format!("--setenv=PATH={OLD}/sw/bin:{NEW}/sw/bin:")),
            "{words}"
        );
        for word in [
            "--setenv=HOME=/root",
            "--service-type=exec",
            "--unit=reconcile-d-12345678",
            "--property=RuntimeMaxSec=60",
            "--property=KillSignal=SIGKILL",
        ] {
            assert!(has(word), "{words}");
        }
        for word in ["--pipe", "--wait", "--collect", "$"] {
            assert!(!words.contains(word), "{words}");
        }
    }
}
