//! What a host refuses before anything is changed, in every shell that may be /bin/sh there.

use crate::fakehost::{FakeHost, NEW, OLD, shells};

const MEBIBYTE: u64 = 1024 * 1024;

/// A host whose kernel says that.
fn with_kernel(shell: &[&'static str], machine: &str) -> FakeHost {
    let host = FakeHost::new(shell);
    host.program("stubs/uname", &format!("echo {machine}"));
    host
}

#[test]
fn a_system_for_another_platform_is_refused_and_both_are_named() {
    for shell in shells() {
        for (machine, system) in [
            ("x86_64", "aarch64-linux"),
            ("aarch64", "x86_64-linux"),
            ("armv7l", "aarch64-linux"),
        ] {
            for action in ["switch", "boot", "test", "dry-activate"] {
                let host = with_kernel(&shell, machine);
                // As nixpkgs writes it: no line feed at the end.
                host.write(&format!("{NEW}/system"), system);
                let refusal = format!("wrong-platform {system} {machine}-linux");
                assert_eq!(host.deploy(action), refusal, "{shell:?}");
                assert_eq!(host.calls(), "", "{shell:?} {action}");
            }
        }
    }
}

#[test]
fn a_system_for_this_platform_and_one_that_does_not_say_are_let_through() {
    for shell in shells() {
        for (machine, system) in [
            ("x86_64", Some("x86_64-linux")),
            ("i686", Some("i686-linux")),
            ("i586", Some("i686-linux")),
            ("armv8l", Some("armv7l-linux")),
            ("ppc64le", Some("powerpc64le-linux")),
            ("riscv64", Some("riscv64-linux")),
            ("x86_64", None),
        ] {
            let host = with_kernel(&shell, machine);
            if let Some(system) = system {
                host.write(&format!("{NEW}/system"), system);
            }
            assert_eq!(host.deploy("switch"), "done", "{shell:?} {machine}");
        }
        // A system of 32 bits that runs on a kernel of 64 may be replaced by its like.
        let host = with_kernel(&shell, "aarch64");
        host.write(&format!("{OLD}/system"), "armv7l-linux");
        host.write(&format!("{NEW}/system"), "armv7l-linux");
        assert_eq!(host.deploy("switch"), "done", "{shell:?}");
    }
}

/// A host whose new system has a kernel of 3000 bytes and an initrd of 2000, and whose `/boot` is a file
/// system of its own with so much free.
fn with_boot(shell: &[&'static str], free: u64) -> FakeHost {
    let host = FakeHost::new(shell);
    for (system, name) in [(OLD, "old"), (NEW, "new")] {
        for (part, size) in [("kernel", 3000), ("initrd", 2000)] {
            host.write(&format!("nix/store/{name}/{part}"), &"x".repeat(size));
            host.link(
                &format!("{system}/{part}"),
                &format!("nix/store/{name}/{part}"),
            );
        }
    }
    let root = host.root();
    host.program(
        "stubs/stat",
        &format!(
            "case $* in\n\
             \"-c %d {root}/boot/.\") echo 2 ;;\n\
             \"-c %d {root}/.\") echo 1 ;;\n\
             \"-f -c %a %S {root}/boot\") echo {free} 1 ;;\n\
             *) exec /usr/bin/stat \"$@\" ;;\n\
             esac"
        ),
    );
    host
}

const TOO_LITTLE: u64 = MEBIBYTE + 4999;
const REFUSAL: &str = "no-space /boot 5000 1053575 1048576";

#[test]
fn a_kernel_that_does_not_fit_on_boot_is_refused_before_anything_is_changed() {
    for shell in shells() {
        for action in ["switch", "boot"] {
            let host = with_boot(&shell, TOO_LITTLE);
            assert_eq!(host.deploy(action), REFUSAL, "{shell:?} {action}");
            assert_eq!(host.calls(), "", "{shell:?} {action}");
            let host = with_boot(&shell, TOO_LITTLE + 1);
            assert_eq!(host.deploy(action), "done", "{shell:?} {action}");
        }
    }
}

#[test]
fn what_has_to_stay_free_on_boot_is_as_the_plan_says() {
    for shell in shells() {
        for (reserve, verdict) in [(4999, "done"), (5000, "no-space /boot 5000 9999 5000")] {
            let mut host = with_boot(&shell, 9999);
            host.plan(&format!("boot_reserve={reserve}"));
            assert_eq!(host.deploy("switch"), verdict, "{shell:?}");
        }
    }
}

#[test]
fn boot_is_not_asked_for_room_where_nothing_is_brought_there() {
    for shell in shells() {
        let host = with_boot(&shell, 0);
        assert_eq!(host.deploy("test"), "done", "{shell:?}");

        let host = with_boot(&shell, 0);
        for part in ["kernel", "initrd"] {
            host.link(&format!("{NEW}/{part}"), &format!("nix/store/old/{part}"));
        }
        assert_eq!(host.deploy("switch"), "done", "the same kernel, {shell:?}");

        let mut host = with_boot(&shell, 0);
        host.plan("check_boot=no");
        assert_eq!(host.deploy("switch"), "done", "not looked at, {shell:?}");

        let host = with_boot(&shell, 0);
        host.program(
            "stubs/stat",
            "case $2 in %d) echo 1 ;; *) exec /usr/bin/stat \"$@\" ;; esac",
        );
        assert_eq!(
            host.deploy("switch"),
            "done",
            "no file system of its own, {shell:?}"
        );
    }
}

#[test]
fn only_the_part_that_is_new_needs_room() {
    for shell in shells() {
        let host = with_boot(&shell, MEBIBYTE + 2999);
        host.link(&format!("{NEW}/initrd"), "nix/store/old/initrd");
        assert_eq!(
            host.deploy("switch"),
            "no-space /boot 3000 1051575 1048576",
            "{shell:?}"
        );
    }
}

#[test]
fn a_kernel_that_another_entry_has_on_boot_needs_no_room_and_device_trees_of_extlinux_do() {
    for shell in shells() {
        for copies in [
            ["EFI/nixos/new-kernel.efi", "EFI/nixos/new-initrd.efi"],
            ["nixos/new-kernel", "nixos/new-initrd"],
            ["kernels/new-kernel", "kernels/new-initrd"],
        ] {
            let host = with_boot(&shell, 0);
            for copy in copies {
                host.write(&format!("boot/{copy}"), "x");
            }
            assert_eq!(host.deploy("switch"), "done", "{shell:?} {copies:?}");
        }
        let host = with_boot(&shell, TOO_LITTLE + 1);
        host.write("boot/extlinux/extlinux.conf", "");
        host.write("nix/store/dtbs/pi.dtb", &"x".repeat(500));
        host.link(&format!("{NEW}/dtbs"), "nix/store/dtbs");
        let verdict = host.deploy("switch");
        assert!(verdict.starts_with("no-space /boot "), "{verdict}");
    }
}

#[test]
fn a_boot_loader_that_is_about_to_remove_old_kernels_is_let_through() {
    for shell in shells() {
        let generations = |entries: &[u32], links: &[u32]| {
            let host = with_boot(&shell, TOO_LITTLE);
            for number in entries {
                host.write(
                    &format!("boot/loader/entries/nixos-generation-{number}.conf"),
                    "",
                );
            }
            for number in links {
                host.link(&format!("nix/var/nix/profiles/system-{number}-link"), OLD);
            }
            host.deploy("switch")
        };
        assert_eq!(
            generations(&[7, 8], &[7, 8]),
            REFUSAL,
            "nothing to remove, {shell:?}"
        );
        assert_eq!(
            generations(&[8], &[7, 8]),
            "done",
            "it keeps fewer, {shell:?}"
        );
        assert_eq!(
            generations(&[7, 8], &[8]),
            "done",
            "a generation is gone, {shell:?}"
        );
    }
}
