//! What the supervisor does about specialisations, and about systems that cannot be switched to.

use std::fs;

use crate::fakehost::{FakeHost, ID, NEW, OBSERVE, OLD, shells};

/// The store path of the new system's specialisation.
const TRAVEL: &str = "/nix/store/2c2wdbdjv3dsqnw5q1j9vkdkfg3gd7b8-nixos-system-new-travel";

/// A host whose new system has the specialisation `travel`, and that is to run it by this rule.
fn host(shell: &[&'static str], rule: &str) -> FakeHost {
    let mut host = FakeHost::new(shell);
    host.install(TRAVEL, 0);
    fs::create_dir(host.path(&format!("{NEW}/specialisation"))).unwrap();
    host.link(&format!("{NEW}/specialisation/travel"), TRAVEL);
    host.plan(&format!(
        "specialisation=travel\nspecialisation_rule={rule}"
    ));
    host
}

fn observed(host: &FakeHost) -> String {
    String::from_utf8(host.run(&host.script(OBSERVE), &[]).stdout).unwrap()
}

#[test]
fn a_specialisation_runs_while_the_system_that_it_is_one_of_becomes_the_boot_default() {
    for shell in shells() {
        for rule in ["kept", "wanted"] {
            let host = host(&shell, rule);
            assert_eq!(host.deploy("switch"), "done", "{shell:?}");
            assert_eq!(
                host.calls(),
                format!(
                    "sync -f /nix/store\ntest {TRAVEL}\nnix-env -p /nix/var/nix/profiles/system --set {NEW}\n\
                     sync -f /nix/var/nix/profiles\nboot {NEW}\nsync -f /boot\n"
                )
            );
            assert_eq!(
                (host.running(), host.profile()),
                (TRAVEL.into(), NEW.into())
            );
        }
    }
}

#[test]
fn a_specialisation_that_the_new_system_has_not_is_left_and_said_or_refused_where_it_is_wanted() {
    for shell in shells() {
        let host_without = |rule| {
            let host = host(&shell, rule);
            fs::remove_dir_all(host.path(&format!("{NEW}/specialisation"))).unwrap();
            host
        };
        let kept = host_without("kept");
        assert_eq!(kept.deploy("switch"), "done");
        assert_eq!((kept.running(), kept.profile()), (NEW.into(), NEW.into()));
        let report = kept.call(&["wait", ID, "1"]);
        let said = "the system has no specialisation travel: the system itself is activated";
        assert!(report.contains(said), "{report}");
        let wanted = host_without("wanted");
        assert_eq!(
            wanted.deploy("switch"),
            "unswitchable the system has no specialisation travel"
        );
        assert!(!wanted.calls().contains("test"), "{}", wanted.calls());
        assert_eq!(
            (wanted.running(), wanted.profile()),
            (OLD.into(), OLD.into())
        );
    }
}

#[test]
fn a_specialisation_that_fails_goes_back_and_so_does_its_boot_default() {
    for shell in shells() {
        let host = host(&shell, "kept");
        let link = format!("ln -sfn {0}{TRAVEL} {0}/run/current-system", host.root());
        host.activation(TRAVEL, &format!("{link}\nexit 2"));
        assert_eq!(host.deploy("switch"), "rolled-back failed test 2");
        assert_eq!((host.running(), host.profile()), (OLD.into(), OLD.into()));
        // Its boot entry cannot be written.
        let host = self::host(&shell, "kept");
        host.activation(NEW, "exit 1");
        assert_eq!(host.deploy("switch"), "rolled-back failed boot 1");
        assert_eq!((host.running(), host.profile()), (OLD.into(), OLD.into()));
    }
}

#[test]
fn a_host_tells_whose_specialisation_it_runs() {
    for shell in shells() {
        let host = host(&shell, "kept");
        assert!(!observed(&host).contains("specialisation"));
        // By hand, of what is installed.
        host.link("run/current-system", TRAVEL);
        assert!(!observed(&host).contains("specialisation"));
        host.link("nix/var/nix/profiles/system", NEW);
        let line = format!("\nspecialisation travel {NEW}\n");
        assert!(observed(&host).contains(&line), "{}", observed(&host));
        // Of an earlier generation.
        host.link("nix/var/nix/profiles/system", OLD);
        host.link("nix/var/nix/profiles/system-41-link", NEW);
        assert!(observed(&host).contains(&line), "{}", observed(&host));
    }
}

#[test]
fn a_kernel_that_only_the_specialisation_has_asks_for_no_reboot_and_one_that_both_have_does() {
    for shell in shells() {
        let host = host(&shell, "kept");
        host.link("run/current-system", TRAVEL);
        host.link("nix/var/nix/profiles/system", NEW);
        let with_kernels = |old: &str, new: &str, travel: &str| {
            for (system, kernel) in [(OLD, old), (NEW, new), (TRAVEL, travel)] {
                host.write(&format!("{system}/kernel"), kernel);
            }
            observed(&host).contains("\nreboot kernel\n")
        };
        assert!(
            !with_kernels("6.1", "6.1", "6.12"),
            "the boot default's kernel runs"
        );
        assert!(with_kernels("6.1", "6.6", "6.6"));
        assert!(!with_kernels("6.1", "6.6", "6.1"), "it booted what it runs");
    }
}

#[test]
fn a_host_tells_whose_specialisation_it_runs_where_no_profile_names_that_system() {
    for shell in shells() {
        let host = host(&shell, "wanted");
        assert_eq!(host.deploy("test"), "done");
        assert_eq!(
            (host.running(), host.profile()),
            (TRAVEL.into(), OLD.into())
        );
        let line = format!("\nspecialisation travel {NEW}\n");
        assert!(observed(&host).contains(&line), "{}", observed(&host));
    }
}

#[test]
fn a_system_without_a_switch_to_configuration_is_told_from_one_that_is_not_whole() {
    for shell in shells() {
        let host = FakeHost::new(&shell);
        fs::remove_file(host.path(&format!("{NEW}/bin/switch-to-configuration"))).unwrap();
        assert_eq!(
            host.deploy("switch"),
            "unswitchable system.switch.enable is off for this host"
        );
        assert_eq!(host.calls(), "");
    }
}
