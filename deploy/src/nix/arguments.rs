//! The argument vectors of the Nix commands that are used.
//!
//! `nix-store` is preferred where both could do: its options have not changed since 2.3, and it needs
//! no experimental features. Flakes exist only in `nix`.

use std::path::Path;

use crate::attribute::Attribute;
use crate::flake::{FlakeSource, push_encoded};
use crate::toplevel::{DerivationPath, Toplevel};

/// `nix eval` of hosts of one revision, all in one call, printing JSON for [`super::output::evaluated`].
///
/// The lock file is never updated. (`--no-write-lock-file` is not enough: it evaluates with an updated
/// lock file, and only does not save it.) The evaluation cache is off: it would answer with derivations
/// that have been garbage-collected, and it costs more than it saves when each revision is evaluated
/// once. `pure-eval` is stated because a `nix.conf` could turn it off.
pub(crate) fn evaluate<'a>(
    flake: &FlakeSource,
    hosts: impl IntoIterator<Item = &'a Attribute>,
) -> Vec<String> {
    let mut names = String::new();
    for host in hosts {
        // An Attribute has no character that a Nix string would interpret.
        names.push_str(&format!("\"{host}\" "));
    }
    [
        "eval",
        "--json",
        "--no-update-lock-file",
        "--option",
        "eval-cache",
        "false",
        "--option",
        "pure-eval",
        "true",
        "--apply",
        // The names are not `drvPath` and `outPath`: a set that has an `outPath` is printed as that
        // path alone (nix `value-to-json.cc`).
        &format!(
            "all: {{ available = builtins.attrNames all; hosts = builtins.listToAttrs (map (name: {{ \
             inherit name; value = if all ? ${{name}} then (toplevel: {{ derivation = toplevel.drvPath; \
             toplevel = toplevel.outPath; inherit (toplevel) system; }}) \
             all.${{name}}.config.system.build.toplevel else null; }}) [ {names}]); }}"
        ),
        &format!("{}#nixosConfigurations", flake.reference()),
    ]
    .map(str::to_owned)
    .to_vec()
}

/// A builder's log is not printed as it comes but quoted in Nix's error, where what it says cannot be taken for
/// Nix's own words (nix-store(1), `--no-build-output`): its last lines, as many as are shown.
fn quoting_logs() -> [String; 4] {
    ["--no-build-output", "--option", "log-lines", "20"].map(str::to_owned)
}

/// `nix-store --realise` of a derivation's `out`, with a GC root.
pub(crate) fn realise(derivation: &DerivationPath, root: &Path) -> Vec<String> {
    rooted(&format!("{derivation}!out"), root)
}

/// `nix-store --realise` of a path: makes it valid by a substituter if it is not, never by a build.
pub(crate) fn substitute(toplevel: &Toplevel, root: &Path) -> Vec<String> {
    rooted(toplevel.as_str(), root)
}

/// `nix-store --realise` of a derivation in a host's store, by the host's Nix. The root is made after
/// it: Nix makes roots only in stores that it has at hand.
pub(crate) fn realise_at(store: &str, derivation: &DerivationPath) -> Vec<String> {
    let mut arguments = vec![
        "--store".into(),
        store.into(),
        "--realise".into(),
        format!("{derivation}!out"),
    ];
    arguments.extend(quoting_logs());
    arguments
}

fn rooted(what: &str, root: &Path) -> Vec<String> {
    // `--indirect` is the default since 2.5 and what we need before.
    let mut arguments = [
        "--realise",
        what,
        "--add-root",
        &root.to_string_lossy(),
        "--indirect",
    ]
    .map(str::to_owned)
    .to_vec();
    arguments.extend(quoting_logs());
    arguments
}

/// What makes a realisation happen on a builder alone.
///
/// `builder` is an ssh destination, or a whole line of the `builders` setting
/// (`nix.conf(5)`, "builders": URI, systems, key, jobs, …; a line has spaces, a destination has none).
pub(crate) fn on_builder(builder: &str, system: &str) -> Vec<String> {
    let line = if builder.trim().contains(char::is_whitespace) {
        builder.trim().to_owned()
    } else {
        format!("{} {system}", store_url(builder))
    };
    vec!["--builders".into(), line, "--max-jobs".into(), "0".into()]
}

/// `nix copy` of a toplevel and all that it needs.
///
/// `--no-check-sigs` lets a host take what we built and did not sign; the host heeds it only from root
/// and its trusted users. `--substitute-on-destination` is not given: each path would wait for the
/// host's caches, which a closed network does not have.
pub(crate) fn copy(toplevel: &Toplevel, to: &str) -> Vec<String> {
    ["copy", "--no-check-sigs", "--to", to, toplevel.as_str()]
        .map(str::to_owned)
        .to_vec()
}

/// `nix store sign` of a toplevel and all that it needs; a path that has the key's signature keeps it.
pub(crate) fn sign(toplevel: &Toplevel, key: &Path) -> Vec<String> {
    [
        "store",
        "sign",
        "--recursive",
        "--key-file",
        &key.to_string_lossy(),
        toplevel.as_str(),
    ]
    .map(str::to_owned)
    .to_vec()
}

/// `nix key convert-secret-to-public`, which reads the secret key and prints the public one.
pub(crate) const PUBLIC_KEY: [&str; 4] = [
    "--extra-experimental-features",
    "nix-command",
    "key",
    "convert-secret-to-public",
];

/// `nix-store --gc`: deletes what no root needs.
pub(crate) const COLLECT: [&str; 1] = ["--gc"];

/// `nix path-info` of a toplevel and all that it needs, with the size of each for
/// [`super::output::closure_sizes`].
pub(crate) fn closure_sizes(toplevel: &Toplevel) -> Vec<String> {
    ["path-info", "--recursive", "--size", toplevel.as_str()]
        .map(str::to_owned)
        .to_vec()
}

/// `nix copy` of a derivation and all that it needs to be built elsewhere, not of what it builds.
pub(crate) fn copy_derivation(derivation: &DerivationPath, to: &str) -> Vec<String> {
    [
        "copy",
        "--derivation",
        "--no-check-sigs",
        "--to",
        to,
        derivation.as_str(),
    ]
    .map(str::to_owned)
    .to_vec()
}

/// The configuration as JSON, by the name that the command has now.
pub(crate) const SHOW_CONFIGURATION: [&str; 3] = ["config", "show", "--json"];
/// The same, by its name before 2.20.
pub(crate) const SHOW_CONFIGURATION_OLD: [&str; 2] = ["show-config", "--json"];

/// An ssh destination as the URL of a store.
///
/// A port is left out: Nix 2.8 would hand `host:port` to ssh as a name; see [`ssh_port`].
pub(crate) fn store_url(address: &str) -> String {
    let (authority, _) = split_address(address);
    format!("ssh-ng://{authority}")
}

/// The port of `ssh://user@host:port`, which goes into ssh's own options.
pub(crate) fn ssh_port(address: &str) -> Option<&str> {
    split_address(address).1
}

/// The same, for a user that becomes root by `sudo -n`.
///
/// The program is split at spaces, by the remote shell (2.8) or by Nix (newer).
pub(crate) fn store_url_by_sudo(address: &str) -> String {
    let mut url = store_url(address);
    url.push_str("?remote-program=");
    push_encoded(&mut url, "sudo -n nix-daemon");
    url
}

/// `user@host` and the port of an address as ssh takes it.
fn split_address(address: &str) -> (&str, Option<&str>) {
    let Some(authority) = address
        .strip_prefix("ssh-ng://")
        .or_else(|| address.strip_prefix("ssh://"))
    else {
        return (address, None);
    };
    let authority = authority.trim_end_matches('/');
    match authority.rsplit_once(':') {
        Some((rest, port))
            if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            (rest, Some(port))
        }
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/nix/store/0c2wdbdjv3dsqnw5q1j9vkdkfg3gd7b8-nixos-system-cyt-pi";

    #[test]
    fn one_evaluation_names_all_hosts_and_never_touches_the_lock_file() {
        let flake = FlakeSource {
            mirror: "/m".into(),
            folder: ".".into(),
            revision: "ab".repeat(20),
        };
        let hosts: Vec<Attribute> = ["cyt-pi", "a.b"].map(|name| name.parse().unwrap()).into();
        let arguments = evaluate(&flake, &hosts);
        assert_eq!(
            arguments.last().unwrap(),
            &format!(
                "git+file:///m?ref={0}&rev={0}#nixosConfigurations",
                "ab".repeat(20)
            )
        );
        assert!(
            arguments
                .iter()
                .any(|argument| argument.ends_with("[ \"cyt-pi\" \"a.b\" ]); }")),
            "{arguments:?}"
        );
        assert!(arguments.contains(&"--no-update-lock-file".into()));
        for never in [
            "--impure",
            "--no-write-lock-file",
            "--accept-flake-config",
            "--recreate-lock-file",
        ] {
            assert!(!arguments.contains(&never.into()));
        }
    }

    #[test]
    fn a_realisation_asks_for_the_one_output_and_a_root() {
        let derivation: DerivationPath = format!("{PATH}.drv").parse().unwrap();
        assert_eq!(
            realise(&derivation, Path::new("/roots/cyt-pi/ab")),
            [
                "--realise",
                &format!("{PATH}.drv!out"),
                "--add-root",
                "/roots/cyt-pi/ab",
                "--indirect",
                "--no-build-output",
                "--option",
                "log-lines",
                "20"
            ]
        );
        assert_eq!(substitute(&PATH.parse().unwrap(), Path::new("/r"))[1], PATH);
    }

    #[test]
    fn a_builder_is_a_destination_or_a_whole_line() {
        assert_eq!(
            on_builder("root@arm", "aarch64-linux"),
            [
                "--builders",
                "ssh-ng://root@arm aarch64-linux",
                "--max-jobs",
                "0"
            ]
        );
        assert_eq!(
            on_builder("ssh://arm x86_64-linux - 4", "aarch64-linux")[1],
            "ssh://arm x86_64-linux - 4"
        );
    }

    #[test]
    fn an_address_becomes_a_store_and_a_port() {
        for (address, url, port) in [
            ("cyt-pi", "ssh-ng://cyt-pi", None),
            ("root@10.0.0.7", "ssh-ng://root@10.0.0.7", None),
            ("ssh://root@pi:2424", "ssh-ng://root@pi", Some("2424")),
            (
                "ssh://root@[fd00::7]:22",
                "ssh-ng://root@[fd00::7]",
                Some("22"),
            ),
            ("ssh://root@[fd00::7]", "ssh-ng://root@[fd00::7]", None),
            ("ssh://pi", "ssh-ng://pi", None),
        ] {
            assert_eq!(
                (store_url(address).as_str(), ssh_port(address)),
                (url, port)
            );
        }
        assert_eq!(
            store_url_by_sudo("ai-worker@box"),
            "ssh-ng://ai-worker@box?remote-program=sudo%20-n%20nix-daemon"
        );
    }
}
