//! What the way back leaves of the profile and the boot menu, in every shell that may be /bin/sh on a host.

use crate::fakehost::{FakeHost, NEW, OLD, shells};

const OTHER: &str = "/nix/store/2c2wdbdjv3dsqnw5q1j9vkdkfg3gd7b8-nixos-system-other";

/// A host whose profile is at that one of two generations, 4 and 5, of which 5 is the old system's, and whose new system
/// cannot be made the boot default.
fn host_at(shell: &[&'static str], generation: u32) -> FakeHost {
    let host = FakeHost::new(shell);
    let root = host.root();
    let profiles = format!("{root}/nix/var/nix/profiles");
    host.install(OTHER, 0);
    host.link("nix/var/nix/profiles/system-4-link", OTHER);
    host.link("nix/var/nix/profiles/system-5-link", OLD);
    let old = if generation == 4 { OTHER } else { OLD };
    host.link("run/current-system", old);
    let profile = host.path("nix/var/nix/profiles/system");
    std::fs::remove_file(&profile).unwrap();
    std::os::unix::fs::symlink(format!("system-{generation}-link"), profile).unwrap();
    // As nix-env(1): a new generation is one more than the last.
    host.program(
        "stubs/nix-env",
        &format!(
            "echo \"nix-env $*\" >>{root}/calls\n\
             case $3 in\n\
             --set) number=$(ls {profiles} | sed -n 's/system-\\([0-9]*\\)-link/\\1/p' | sort -n | tail -n 1)\n\
             ln -sfn \"{root}$4\" {profiles}/system-$((number + 1))-link\n\
             ln -sfn system-$((number + 1))-link {profiles}/system ;;\n\
             --switch-generation) ln -sfn system-$4-link {profiles}/system ;;\n\
             --delete-generations) rm {profiles}/system-$4-link ;;\n\
             esac"
        ),
    );
    host.activation(
        NEW,
        &format!("[ $1 = boot ] && exit 1\nln -sfn {root}{NEW} {root}/run/current-system"),
    );
    host
}

/// The generations that there are, and the current one.
fn generations(host: &FakeHost) -> (Vec<String>, String) {
    let profiles = host.path("nix/var/nix/profiles");
    let names = std::fs::read_dir(&profiles).unwrap();
    let mut names: Vec<String> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with("-link"))
        .collect();
    names.sort();
    let current = std::fs::read_link(profiles.join("system")).unwrap();
    (names, current.display().to_string())
}

#[test]
fn the_generation_of_a_system_that_could_not_stay_goes() {
    for shell in shells() {
        let host = host_at(&shell, 5);
        assert_eq!(host.deploy("switch"), "rolled-back failed boot 1");
        let (names, current) = generations(&host);
        assert_eq!(names, ["system-4-link", "system-5-link"], "{shell:?}");
        assert_eq!(current, "system-5-link");
        // Before its boot entry is written, which is made of what there is.
        let calls = host.calls();
        let deleted = calls.find("--delete-generations 6").unwrap();
        assert!(
            deleted < calls.find(&format!("boot {OLD}")).unwrap(),
            "{calls}"
        );
    }
}

#[test]
fn a_generation_that_is_not_the_last_is_made_anew_for_boot_loaders_that_boot_the_last() {
    for shell in shells() {
        let host = host_at(&shell, 4);
        let observed = OTHER;
        let file = host.path("run/reconcile/.received");
        std::fs::write(&file, host.script(crate::fakehost::SUPERVISOR)).unwrap();
        let id = crate::fakehost::ID;
        let mut begun = host.command();
        begun.arg(&file);
        let words = ["start", id, "switch", NEW, observed, "60"];
        assert!(begun.args(words).output().unwrap().status.success());
        host.call(&["wait", id, "20"]);
        assert_eq!(host.verdict(), "rolled-back failed boot 1");
        let (names, current) = generations(&host);
        let left = ["system-4-link", "system-5-link", "system-7-link"];
        assert_eq!(
            (names.as_slice(), current.as_str()),
            (&left.map(str::to_owned)[..], "system-7-link")
        );
        assert_eq!(host.profile(), OTHER);
    }
}

#[test]
fn a_boot_loader_that_goes_on_naming_another_system_is_a_rollback_that_failed() {
    for shell in shells() {
        let says = |system: &str| {
            let host = host_at(&shell, 5);
            host.write(
                "boot/loader/loader.conf",
                "timeout 5\ndefault nixos-generation-6.conf\n",
            );
            host.write(
                "boot/loader/entries/nixos-generation-6.conf",
                &format!("title NixOS\noptions init={system}/init quiet\n"),
            );
            host.deploy("switch")
        };
        assert_eq!(says(NEW), "rollback-failed verify-boot 1 failed boot 1");
        assert_eq!(says(OLD), "rolled-back failed boot 1");
        let host = host_at(&shell, 5);
        host.write(
            "boot/extlinux/extlinux.conf",
            &format!(
                "DEFAULT nixos-default\nLABEL nixos-default\n  APPEND init={NEW}/init quiet\n"
            ),
        );
        assert_eq!(
            host.deploy("switch"),
            "rollback-failed verify-boot 1 failed boot 1"
        );
    }
}
