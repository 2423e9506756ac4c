//! The scripts that run on a host, by themselves, in every shell that may be /bin/sh there.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests start real programs, wait in real time, and fail by panicking"
)]

mod fakehost;

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fakehost::{FakeHost, NEW, OLD, shells};

const SUPERVISOR: &str = concat!(
    include_str!("../src/holder.sh"),
    include_str!("../src/supervisor.sh")
);
const OBSERVE: &str = concat!(
    include_str!("../src/holder.sh"),
    include_str!("../src/observe.sh")
);
const ID: &str = "d-12345678";

trait Supervised {
    fn call(&self, words: &[&str]) -> String;
    fn begin(&self, action: &str) -> String;
    fn verdict(&self) -> String;
    fn deploy(&self, action: &str) -> String;
}

impl Supervised for FakeHost {
    /// One verb of the supervisor, as it comes over ssh.
    fn call(&self, words: &[&str]) -> String {
        let output = self.run(&self.script(SUPERVISOR), words);
        String::from_utf8(output.stdout).unwrap()
    }

    /// `start`, from a file as the real one.
    fn begin(&self, action: &str) -> String {
        let file = self.path("run/reconcile/.received");
        fs::write(&file, self.script(SUPERVISOR)).unwrap();
        let output = self
            .command()
            .arg(&file)
            .args(["start", ID, action, NEW, OLD, "60"])
            .output()
            .unwrap();
        assert!(
            output.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn verdict(&self) -> String {
        self.read(&format!("run/reconcile/{ID}/verdict"))
            .trim()
            .to_owned()
    }

    /// Starts, waits, and gives the verdict.
    fn deploy(&self, action: &str) -> String {
        assert_eq!(self.begin(action), "new");
        let report = self.call(&["wait", ID, "20"]);
        assert!(report.contains("boot-id the-boot-id\n"), "{report}");
        assert!(
            report.contains(&format!("\nverdict {}\n", self.verdict())),
            "{report}"
        );
        self.verdict()
    }
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

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
                "[ $1 = boot ] && exit 0; ln -sfn {0}{NEW} {0}/run/current-system; exit 4",
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
            ("exit 1", true, "failed test 1"),
            ("exit 2", true, "failed test 2"),
            ("exit 100", false, "reboot-required"),
            ("exit 101", true, "failed test 101"),
            ("kill -9 $$", true, "failed test 137"),
            ("exit 11", false, "locked a switch that has ended by now"),
            ("exit 0", false, "failed verify 1"),
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
        }
    }
}

#[test]
fn a_boot_loader_that_cannot_be_written_is_a_failure() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        host.activation(NEW, "exit 1");
        assert_eq!(host.deploy("boot"), "failed boot 1");
        let host = FakeHost::new(&shell);
        host.program("stubs/nix-env", "echo no space left >&2; exit 9");
        assert_eq!(host.deploy("boot"), "failed set-profile 9");
        assert!(host.call(&["wait", ID, "1"]).ends_with("no space left\n"));
        assert!(!host.calls().contains("boot /nix"));
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
        let mut holder = hold(&lock, &words);
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
        end_group(&mut holder);
    }
}

#[test]
fn two_deployments_of_ours_do_not_run_at_once() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        let mut other = hold(&host.path("run/reconcile/lock"), &["sleep", "1000"]);
        let verdict = host.deploy("switch");
        assert!(
            verdict.starts_with(&format!("locked pid {} ", other.id())),
            "{verdict}"
        );
        end_group(&mut other);
    }
}

#[test]
fn an_id_is_activated_once_however_often_it_is_started() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        // Something that ended between making the folder and starting the unit.
        fs::create_dir(host.path(&format!("run/reconcile/{ID}"))).unwrap();
        assert_eq!(host.begin("test"), "already");
        assert!(host.call(&["wait", ID, "20"]).contains("verdict done"));
        assert_eq!(host.begin("test"), "already");
        assert_eq!(
            host.call(&["run", ID, "test", NEW, OLD]),
            "",
            "it ran again"
        );
        assert_eq!(host.calls().matches("test /nix").count(), 1);
        assert!(!host.path("run/reconcile/.received").exists());
    }
}

#[test]
fn a_script_that_was_cut_off_does_nothing() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        let script = host.script(SUPERVISOR);
        let last = script.trim_end().rfind("main").unwrap();
        for length in (0..last).step_by(211).chain([last]) {
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
fn whoever_is_killed_leaves_a_verdict_and_no_second_one_replaces_it() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        host.activation(NEW, "sleep 1000");
        assert_eq!(host.begin("switch"), "new");
        until("it runs", || host.calls().contains("test /nix"));
        // The unit's whole cgroup, as systemd does it.
        let main = host.read("main-pid");
        let status = Command::new("sh")
            .args(["-c", "pkill -9 -P $1; kill -9 $1", "sh", main.trim()])
            .status()
            .unwrap();
        assert!(status.success());
        let report = host.call(&["wait", ID, "20"]);
        assert!(
            report.contains("\nverdict interrupted signal\n"),
            "{report}"
        );
        assert!(report.contains(" begin test\n") && !report.contains(" end test"));
        host.call(&["ended", ID]);
        assert_eq!(host.verdict(), "interrupted signal");
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
fn cleaning_up_leaves_nothing_and_sweeps_what_others_left() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        // A root of a deployment that a power cut ended, and one of another's that still runs.
        host.write("run/reconcile/d-stillruns/begun/x", "");
        fs::create_dir_all(host.path("nix/var/nix/gcroots/reconcile")).unwrap();
        for name in ["d-poweroff-old", "d-stillruns-new"] {
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
        assert_eq!(left, ["d-stillruns", "lock"]);
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

#[test]
fn a_host_tells_what_it_runs() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        for (system, kernel) in [(OLD, "a"), (NEW, "b")] {
            for file in ["kernel", "initrd"] {
                host.write(&format!("{system}/{file}"), kernel);
            }
            host.write(&format!("{system}/kernel-params"), "same");
        }
        host.link("run/current-system", NEW);
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
                "reboot kernel",
                "reboot initrd",
                "boot-id the-boot-id",
                "machine-id the-machine-id",
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

#[test]
fn the_scripts_are_clean_for_shellcheck() {
    for (name, script) in [("supervisor", SUPERVISOR), ("observe", OBSERVE)] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        fs::write(&file, script).unwrap();
        let Ok(output) = Command::new("shellcheck")
            .args(["-s", "sh"])
            .arg(&file)
            .output()
        else {
            println!("skipped: no shellcheck");
            return;
        };
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
}

/// A process group of its own that holds a lock.
fn hold(lock: &Path, words: &[&str]) -> Child {
    let holder = Command::new("flock")
        .arg(lock)
        .args(words)
        .process_group(0)
        .spawn()
        .unwrap();
    until("the lock is held", || !is_free(lock));
    holder
}

fn is_free(lock: &Path) -> bool {
    let status = Command::new("flock")
        .arg("-n")
        .arg(lock)
        .arg("true")
        .status();
    status.unwrap().success()
}

fn end_group(child: &mut Child) {
    let group = format!("-{}", child.id());
    let status = Command::new("kill").args(["-9", "--", &group]).status();
    assert!(status.unwrap().success());
    child.wait().unwrap();
}
