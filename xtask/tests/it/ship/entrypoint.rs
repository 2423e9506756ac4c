//! What the image's entrypoint makes of /nix and nix.conf, with this machine's Nix, in every shell that may be /bin/sh.
//!
//! Each run has a mount namespace of its own in which /nix and /etc/nix are folders of the test.

mod container;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use anyhow::{Context, Result};
use container::Container;
use xtask::process::{finish, run, said};
use xtask::workspace::root;

const SHELLS: [&[&str]; 3] = [&["dash"], &["bash", "--posix"], &["busybox", "sh"]];

#[test]
fn an_empty_volume_is_filled_and_a_full_one_is_left_alone() -> Result<()> {
    let container = Container::new()?;
    for shell in SHELLS {
        container.empty()?;
        assert!(container.starts(shell)?.contains("filling /nix"));
        container.assert_filled()?;
        // What is gone stays gone: who removed it had a reason.
        fs::remove_file(container.in_store("-other")?)?;
        assert_eq!(container.starts(shell)?, "");
        assert!(!container.in_store("-other")?.exists());
    }
    Ok(())
}

#[test]
fn another_image_brings_what_it_has_and_keeps_what_is_there() -> Result<()> {
    let container = Container::new()?;
    container.starts(SHELLS[0])?;
    let own = container.path("nix/store/0c2wdbdjv3dsqnw5q1j9vkdkfg3gd7b8-own");
    fs::write(&own, "of the volume")?;
    fs::write(container.path("nix/.reconcile-seed"), "an older one\n")?;
    // Half of it is there, as what was killed while it was fetched.
    let other = container.in_store("-other")?;
    fs::set_permissions(&other, fs::Permissions::from_mode(0o600))?;
    fs::write(&other, "of the")?;
    container.starts(SHELLS[0])?;
    assert_eq!(fs::read_to_string(other)?, "of the image");
    assert_eq!(fs::read_to_string(own)?, "of the volume");
    Ok(())
}

/// Counts the calls of what is run, and at one of them leaves half of the work and ends all, as the end of a container does.
const KILLED: &str = r#"calls=$(cat "$CALLS" 2> /dev/null || echo 0)
calls=$((calls + 1))
echo $calls > "$CALLS"
if [ $calls = "$KILLED_AT" ]; then
    for last; do :; done
    case ${0##*/} in
        cp) mkdir "$last" && echo half > "$last/half" ;;
    esac
    kill -9 0
fi
exec "/usr/bin/${0##*/}" "$@""#;

#[test]
fn whenever_the_filling_is_killed_the_next_start_completes_it() -> Result<()> {
    let mut container = Container::new()?;
    let calls = container.path("calls");
    container.set("CALLS", &calls.display().to_string());
    for name in ["cp", "mv", "sync", "nix-store", "ln"] {
        container.program(name, KILLED)?;
    }
    let mut points = 0;
    for point in 1.. {
        let shell = SHELLS[point % SHELLS.len()];
        container.empty()?;
        let _ = fs::remove_file(&calls);
        container.set("KILLED_AT", &point.to_string());
        if container.start(shell, &[])?.status.success() {
            points = point;
            break;
        }
        container.set("KILLED_AT", "0");
        container
            .starts(shell)
            .with_context(|| format!("killed at {point}"))?;
        container
            .assert_filled()
            .with_context(|| format!("killed at {point}"))?;
    }
    // Two copies, two moves, the registration, the link, two times on disk, the mark, and nix.conf.
    assert!(points > 9, "only {points} points");
    Ok(())
}

#[test]
fn nix_conf_says_what_the_container_was_told() -> Result<()> {
    let usual = [
        "experimental-features = nix-command flakes",
        "build-users-group =",
        "trusted-users = root",
        "sandbox = false",
        "cores = 0",
        "max-jobs = auto",
        "min-free = 1073741824",
    ];
    let settings = [
        ("NIX_CORES", "2"),
        ("NIX_MAX_JOBS", "1"),
        ("NIX_MIN_FREE", "5G"),
        ("NIX_MAX_FREE", "20G"),
        (
            "NIX_SUBSTITUTERS",
            "https://cache.example https://other.example",
        ),
        ("NIX_TRUSTED_PUBLIC_KEYS", "cache.example:AAAA="),
        ("NIX_EXTRA_CONF", "fallback = true\nkeep-outputs = true"),
    ];
    let told = [
        "cores = 2",
        "max-jobs = 1",
        "min-free = 5368709120",
        "max-free = 21474836480",
        "substituters = https://cache.example https://other.example",
        "trusted-public-keys = cache.example:AAAA=",
        "fallback = true",
        "keep-outputs = true",
    ];
    for shell in SHELLS {
        let mut container = Container::new()?;
        container.starts(shell)?;
        assert_lines(&container.conf()?, &usual);
        assert!(!container.conf()?.contains("substituters"));
        for (name, value) in settings {
            container.set(name, value);
        }
        container.starts(shell)?;
        assert_lines(&container.conf()?, &told);
        // Nix understands it.
        run(container
            .covered("nix", "conf")
            .args(["nix", "show-config"]))?;
        container.set("NIX_SUBSTITUTERS", "none");
        container.starts(shell)?;
        assert_lines(&container.conf()?, &["substituters ="]);
    }
    Ok(())
}

fn assert_lines(conf: &str, lines: &[&str]) {
    for line in lines {
        assert!(conf.lines().any(|one| one == *line), "no {line} in {conf}");
    }
}

#[test]
fn a_setting_that_makes_no_sense_stops_the_start_with_its_name() -> Result<()> {
    for (name, value, words) in [
        ("NIX_SANDBOX", "perhaps", "NIX_SANDBOX is auto"),
        ("NIX_MIN_FREE", "5GB", "NIX_MIN_FREE is a size"),
        (
            "NIX_CORES",
            "2\nsandbox = true",
            "cores has more than one line",
        ),
    ] {
        let mut container = Container::new()?;
        container.set(name, value);
        for shell in SHELLS {
            let refused = container.start(shell, &[])?;
            assert_eq!(refused.status.code(), Some(2), "{shell:?} {name}");
            assert!(said(&refused).contains(words), "{}", said(&refused));
            assert!(!container.path("conf/nix.conf").exists());
        }
    }
    Ok(())
}

#[test]
fn a_user_without_a_name_is_told_so_before_ssh_refuses_it() -> Result<()> {
    let container = Container::new()?;
    for shell in SHELLS {
        let unnamed = [
            "unshare",
            "--user",
            "--map-user=4000000",
            "--map-group=4000000",
        ];
        let refused = container.start(&[&unnamed[..], shell].concat(), &[])?;
        assert_eq!(refused.status.code(), Some(2), "{shell:?}");
        assert!(
            said(&refused).contains("user 4000000 has no name"),
            "{}",
            said(&refused)
        );
    }
    Ok(())
}

#[test]
fn a_nix_conf_that_somebody_else_wrote_stays_as_it_is() -> Result<()> {
    let mut container = Container::new()?;
    container.set("NIX_SANDBOX", "auto");
    let theirs = "build-users-group =\nsandbox = false\ncores = 3\n";
    fs::write(container.path("conf/nix.conf"), theirs)?;
    assert!(container.starts(SHELLS[0])?.contains("stays as it is"));
    assert_eq!(container.conf()?, theirs);
    Ok(())
}

#[test]
fn whether_builds_are_sandboxed_is_found_by_trying() -> Result<()> {
    // What a sandbox needs of the kernel.
    let needs = [
        "--mount",
        "--pid",
        "--net",
        "--ipc",
        "--uts",
        "--fork",
        "--mount-proc",
    ];
    let allowed = finish(Command::new("unshare").args(needs).arg("true"))?;
    let mut container = Container::new()?;
    container.set("NIX_SANDBOX", "auto");
    container.starts(SHELLS[0])?;
    let expected = format!("\nsandbox = {}\n", allowed.status.success());
    assert!(
        container.conf()?.contains(&expected),
        "{}",
        container.conf()?
    );
    // The trial leaves nothing in the store.
    for entry in fs::read_dir(container.path("nix/store"))? {
        let name = entry?.file_name();
        assert!(!name.to_string_lossy().contains("trial"), "{name:?}");
    }

    // A kernel that lets nobody make another namespace, as a container's usually does.
    let mut container = Container::new()?;
    container.set("NIX_SANDBOX", "auto");
    let forbidding = "echo 0 > /proc/sys/user/max_pid_namespaces; exec \"$@\"";
    let start = container.starting(SHELLS[0], &[]);
    let output = finish(
        Command::new("unshare")
            .args([
                "--user",
                "--map-root-user",
                "--mount",
                "sh",
                "-c",
                forbidding,
                "sh",
            ])
            .arg(start.get_program())
            .args(start.get_args())
            .envs(
                start
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            ),
    )?;
    assert!(output.status.success(), "{}", said(&output));
    assert!(
        said(&output).contains("cannot sandbox"),
        "{}",
        said(&output)
    );
    assert!(container.conf()?.contains("\nsandbox = false\n"));
    Ok(())
}

#[test]
fn a_store_in_which_nothing_can_be_built_is_not_taken_for_a_container_that_cannot_sandbox()
-> Result<()> {
    let mut container = Container::new()?;
    container.starts(SHELLS[0])?;
    container.set("NIX_SANDBOX", "auto");
    fs::write(
        container.path("nix/var/nix/db/db.sqlite"),
        "not a database any more",
    )?;
    for shell in SHELLS {
        let refused = container.start(shell, &[])?;
        assert_eq!(
            refused.status.code(),
            Some(2),
            "{shell:?}: {}",
            said(&refused)
        );
        for words in ["nothing can be built here", "database"] {
            assert!(
                said(&refused).contains(words),
                "no {words}: {}",
                said(&refused)
            );
        }
        assert!(
            !container.conf()?.contains("sandbox ="),
            "{}",
            container.conf()?
        );
    }
    Ok(())
}

#[test]
fn arguments_are_those_of_the_program() -> Result<()> {
    let container = Container::new()?;
    for shell in SHELLS {
        let output = container.start(shell, &["--host", "cyt-pi"])?;
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "reconcile --host cyt-pi\n"
        );
    }
    Ok(())
}

#[test]
fn every_setting_is_described_and_compose_hands_it_on() -> Result<()> {
    let text = |file: &str| fs::read_to_string(root().join(file));
    let entrypoint = text("packaging/image/entrypoint.sh")?;
    let names = entrypoint
        .split("${")
        .skip(1)
        .filter_map(|rest| {
            rest.split(|c: char| !c.is_ascii_uppercase() && c != '_')
                .next()
        })
        // The image's own.
        .filter(|name| name.starts_with("NIX_") && *name != "NIX_SEED");
    let names: std::collections::BTreeSet<&str> = names.collect();
    assert!(names.len() > 7, "{names:?}");
    let (guide, compose) = (text("docs/container.md")?, text("compose.yaml")?);
    for name in names {
        assert!(
            guide.contains(&format!("\n| `{name}` |")),
            "the guide does not have {name}"
        );
        assert!(
            compose.contains(&format!("\n      {name}: \"${{{name}:-")),
            "compose does not hand on {name}"
        );
    }
    Ok(())
}

#[test]
fn the_scripts_of_the_image_are_clean_for_shellcheck() -> Result<()> {
    let folder = root().join("packaging/image");
    run(Command::new("shellcheck")
        .args(["entrypoint.sh", "health.sh", "make-seed.sh"].map(|name| folder.join(name))))
    .map(drop)
}
