//! What collect.sh does, in every shell that may be /bin/sh on a host.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use crate::fakehost::{COLLECT, FakeHost, NEW, OLD, shells};
use crate::lock_holder::Holder;

const DAY: u64 = 24 * 60 * 60;
const ANCIENT: &str = "/nix/store/2c2wdbdjv3dsqnw5q1j9vkdkfg3gd7b8-nixos-system-ancient";

/// A host with generations: number, system and age in days; the last is current.
fn host_with(shell: &[&'static str], generations: &[(u32, &str, u64)]) -> FakeHost {
    let host = FakeHost::new(shell);
    host.install(ANCIENT, 0);
    let root = host.root();
    host.program(
        "stubs/nix-env",
        &format!(
            "echo \"nix-env $*\" >>{root}/calls\n[ \"$1 $3\" = '-p --delete-generations' ] || exit 9\n\
             profile=$2; shift 3\nfor number; do rm \"$profile-$number-link\"; done"
        ),
    );
    host.program(
        "stubs/nix-store",
        &format!(
            "echo \"nix-store $*\" >>{root}/calls\necho deleting unused links... >&2\n\
             echo '2 store paths deleted, 1.00 MiB freed'"
        ),
    );
    let profile = host.path("nix/var/nix/profiles/system");
    let today = SystemTime::now();
    for (number, system, days) in generations {
        let link = host.path(&format!("nix/var/nix/profiles/system-{number}-link"));
        symlink(host.path(system), &link).unwrap();
        let age = Duration::from_secs(days * DAY);
        touch(&link, today - age);
        let _ = fs::remove_file(&profile);
        symlink(link.file_name().unwrap(), &profile).unwrap();
    }
    host
}

/// Sets the time of a link itself.
fn touch(link: &std::path::Path, at: SystemTime) {
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let status = std::process::Command::new("touch")
        .args(["--no-dereference", &format!("--date=@{seconds}")])
        .arg(link)
        .status()
        .unwrap();
    assert!(status.success());
}

/// What the host answers: generations of 30 days and `newest` of any age stay, and those with `systems`.
fn collect(host: &FakeHost, newest: u32, systems: &[&str]) -> String {
    collect_at(host, newest, systems, now())
}

fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

fn collect_at(host: &FakeHost, newest: u32, systems: &[&str], now: u64) -> String {
    collect_within(host, newest, systems, now, 60)
}

/// With so many seconds for the collection itself.
fn collect_within(
    host: &FakeHost,
    newest: u32,
    systems: &[&str],
    now: u64,
    seconds: u64,
) -> String {
    let numbers = [30 * DAY, u64::from(newest), seconds, now].map(|number| number.to_string());
    let words: Vec<&str> = numbers
        .iter()
        .map(String::as_str)
        .chain(systems.iter().copied())
        .collect();
    let output = host.run(&host.script(COLLECT), &words);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout).unwrap()
}

fn generations(host: &FakeHost) -> Vec<u32> {
    let mut numbers: Vec<u32> = fs::read_dir(host.path("nix/var/nix/profiles"))
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let number = name.strip_prefix("system-")?.strip_suffix("-link")?;
            number.parse().ok()
        })
        .collect();
    numbers.sort_unstable();
    numbers
}

const DONE: &str = "says 2 store paths deleted, 1.00 MiB freed\nend\n";

#[test]
fn old_generations_go_their_boot_entries_with_them_and_then_what_nothing_needs() {
    for shell in shells() {
        let host = host_with(&shell, &[(1, ANCIENT, 90), (2, ANCIENT, 40), (3, OLD, 1)]);
        assert_eq!(collect(&host, 1, &[]), format!("deleted 2\n{DONE}"));
        assert_eq!(generations(&host), [3]);
        assert_eq!(
            host.calls(),
            format!(
                "nix-env -p /nix/var/nix/profiles/system --delete-generations 2 1\nboot {OLD}\n\
                 sync -f /boot\nnix-store --gc\n"
            )
        );
        assert!(!host.path("nix/var/nix/gcroots/reconcile-retired").exists());
        // Where no generation goes, the boot loader is left alone.
        host.write("calls", "");
        assert_eq!(collect(&host, 1, &[]), format!("deleted 0\n{DONE}"));
        assert_eq!(host.calls(), "nix-store --gc\n");
    }
}

#[test]
fn what_runs_was_booted_boots_next_has_proven_itself_is_new_or_young_stays() {
    for shell in shells() {
        let running = "/nix/store/3c2wdbdjv3dsqnw5q1j9vkdkfg3gd7b8-nixos-system-running";
        let proven = "/nix/store/4c2wdbdjv3dsqnw5q1j9vkdkfg3gd7b8-nixos-system-proven";
        let all = [
            (1, ANCIENT, 99),
            (2, proven, 99),
            (3, running, 99),
            (4, OLD, 99),
            (5, ANCIENT, 99),
            (6, ANCIENT, 99),
            (7, ANCIENT, 29),
            (8, ANCIENT, 99),
            (9, NEW, 99),
        ];
        let host = host_with(&shell, &all);
        for system in [running, proven] {
            host.install(system, 0);
        }
        host.link("run/current-system", running);
        host.write(
            "boot/loader/loader.conf",
            "timeout 3\ndefault nixos-generation-5.conf\n",
        );
        host.write(
            "sys/firmware/efi/efivars/LoaderEntryOneShot-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f",
            "\u{6}\0\0\0n\0i\0x\0o\0s\0-\0g\0e\0n\0e\0r\0a\0t\0i\0o\0n\0-\x006\0.\0c\0o\0n\0f\0\0\0",
        );
        assert_eq!(collect(&host, 2, &[proven]), format!("deleted 1\n{DONE}"));
        assert_eq!(generations(&host), [2, 3, 4, 5, 6, 7, 8, 9]);
    }
}

#[test]
fn a_boot_menu_that_cannot_be_written_keeps_what_its_entries_lead_to() {
    for shell in shells() {
        let host = host_with(&shell, &[(1, ANCIENT, 90), (2, OLD, 1)]);
        host.activation(OLD, "echo 'no space left on /boot'; exit 1");
        assert_eq!(
            collect(&host, 1, &[]),
            format!("deleted 1\nfailed boot-menu 1\nsays no space left on /boot\n{DONE}")
        );
        let retired = "nix/var/nix/gcroots/reconcile-retired/1";
        let target = fs::read_link(host.path(retired)).unwrap();
        assert_eq!(target, std::path::Path::new(ANCIENT));
        // The next time, though there is no other generation to delete.
        host.install(OLD, 0);
        assert_eq!(collect(&host, 1, &[]), format!("deleted 0\n{DONE}"));
        assert!(
            host.calls()
                .ends_with(&format!("boot {OLD}\nsync -f /boot\nnix-store --gc\n"))
        );
        assert!(!host.path("nix/var/nix/gcroots/reconcile-retired").exists());
    }
}

#[test]
fn a_clock_that_runs_ahead_makes_nothing_old() {
    for shell in shells() {
        let host = host_with(&shell, &[(1, ANCIENT, 20), (2, OLD, 1)]);
        let a_while_ago = now() - 15 * DAY;
        assert_eq!(
            collect_at(&host, 1, &[], a_while_ago),
            format!("deleted 0\n{DONE}")
        );
        host.program("stubs/date", "echo 9999999999");
        assert_eq!(collect(&host, 1, &[]), format!("deleted 0\n{DONE}"));
    }
}

#[test]
fn nothing_is_collected_beside_a_deployment_or_a_switch() {
    for shell in shells() {
        let host = host_with(&shell, &[(1, ANCIENT, 90), (2, OLD, 1)]);
        host.write("run/reconcile/lock", "reconcile-d-12345678.service\n");
        let holder = Holder::flock(&host.path("run/reconcile/lock"), &["sleep", "60"]);
        assert_eq!(
            collect(&host, 1, &[]),
            "locked reconcile-d-12345678.service\n"
        );
        drop(holder);
        host.write("run/nixos/switch-to-configuration.lock", "");
        let lock = host.path("run/nixos/switch-to-configuration.lock");
        let holder = Holder::flock(&lock, &["sleep", "60"]);
        let answer = collect(&host, 1, &[]);
        assert!(answer.starts_with("locked pid "), "{answer}");
        assert_eq!(host.calls(), "");
        drop(holder);
        assert_eq!(collect(&host, 1, &[]), format!("deleted 1\n{DONE}"));
    }
}

#[test]
fn a_collection_that_takes_too_long_ends_by_itself_and_says_so() {
    for shell in shells() {
        let host = host_with(&shell, &[(2, OLD, 1)]);
        host.program(
            "stubs/nix-store",
            "echo 'finding garbage collector roots...' >&2\nexec sleep 1000",
        );
        assert_eq!(
            collect_within(&host, 1, &[], now(), 1),
            "deleted 0\nfailed collect 124\nsays finding garbage collector roots...\nend\n"
        );
    }
}
