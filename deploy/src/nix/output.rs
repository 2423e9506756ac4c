//! Reads what Nix prints when all went well.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::toplevel::{DerivationPath, Toplevel};

/// What the flake says that a host should run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluated {
    /// The derivation, present in this machine's store.
    pub derivation: DerivationPath,
    /// What it builds.
    pub toplevel: Toplevel,
    /// The system that can build it, for example `aarch64-linux`.
    pub system: String,
}

/// What a garbage collection took away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Freed {
    /// How many store paths.
    pub paths: u64,
    /// How many bytes, as Nix counts them: to a hundredth of a mebibyte.
    pub bytes: u64,
}

/// The answer of [`super::arguments::evaluate`].
#[derive(Debug, Deserialize)]
pub(crate) struct Evaluation {
    /// All names under `nixosConfigurations`.
    pub(crate) available: Vec<String>,
    /// What was asked for; `None` where the flake has no such name.
    pub(crate) hosts: BTreeMap<String, Option<EvaluatedHost>>,
}

/// One host of the answer.
#[derive(Debug, Deserialize)]
pub(crate) struct EvaluatedHost {
    derivation: DerivationPath,
    toplevel: Toplevel,
    system: String,
}

impl From<EvaluatedHost> for Evaluated {
    fn from(host: EvaluatedHost) -> Self {
        Self {
            derivation: host.derivation,
            toplevel: host.toplevel,
            system: host.system,
        }
    }
}

/// Reads an evaluation's JSON. The store paths in it are checked.
pub(crate) fn evaluated(stdout: &[u8]) -> Result<Evaluation, serde_json::Error> {
    serde_json::from_slice(stdout)
}

/// Reads the answer of [`super::arguments::closure_sizes`], a path and its size in bytes a line, and gives
/// it again without what aligns it. `None` if a line is something else.
pub(crate) fn closure_sizes(stdout: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(stdout).ok()?;
    let mut list = String::new();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let (path, size) = (words.next()?, words.next()?);
        let is_path = path.parse::<Toplevel>().is_ok() || path.parse::<DerivationPath>().is_ok();
        let _: u64 = size.parse().ok()?;
        if !is_path || words.next().is_some() {
            return None;
        }
        list.push_str(&format!("{path} {size}\n"));
    }
    (!list.is_empty()).then_some(list)
}

/// Reads what `nix-store --gc` says at its end: `12 store paths deleted, 3.40 MiB freed`.
pub(crate) fn freed(text: &str) -> Option<Freed> {
    const UNITS: [(&str, u32); 5] = [
        ("bytes", 0),
        ("KiB", 10),
        ("MiB", 20),
        ("GiB", 30),
        ("TiB", 40),
    ];
    text.lines().rev().find_map(|line| {
        let (count, rest) = line.split_once(" deleted, ")?;
        let mut amount = rest.strip_suffix(" freed")?.split_whitespace();
        let (number, unit) = (amount.next()?.parse::<f64>().ok()?, amount.next()?);
        let (_, shift) = UNITS.iter().find(|(name, _)| *name == unit)?;
        Some(Freed {
            paths: count.split_whitespace().next()?.parse().ok()?,
            bytes: (number.max(0.0) * f64::from(*shift).exp2()) as u64,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_collection_freed_is_read() {
        // Recorded: Nix 2.8.0, 2.26.3; the others as its printing of sizes has them since 2.30.
        let freed = |text| freed(text).map(|freed| (freed.paths, freed.bytes));
        let said = "deleting unused links...\n3 store paths deleted, 1.25 MiB freed\n";
        assert_eq!(freed(said), Some((3, 5 << 18)));
        assert_eq!(freed("0 store paths deleted, 0.00 MiB freed"), Some((0, 0)));
        assert_eq!(
            freed("1 store paths deleted, 2.0 GiB freed"),
            Some((1, 2 << 30))
        );
        for other in [
            "",
            "3 store paths deleted",
            "x store paths deleted, 1 MiB freed",
        ] {
            assert_eq!(freed(other), None, "{other}");
        }
    }

    #[test]
    fn hosts_and_names_are_read_and_a_missing_host_is_none() {
        // Nix 2.8.0 and 2.26.3 print the same.
        let printed = br#"{"available":["cyt-pi","uConsole"],"hosts":{"cyt-pi":{"derivation":"/nix/store/3pdbsidkadi5cl53808kqanpwbgd37zw-nixos-system-cyt-pi.drv","system":"aarch64-linux","toplevel":"/nix/store/d3ifx3cxrhwqfs79jycxk4b4hy6m46q7-nixos-system-cyt-pi"},"pi":null}}"#;
        let mut evaluation = evaluated(printed).unwrap();
        assert_eq!(evaluation.available, ["cyt-pi", "uConsole"]);
        assert!(evaluation.hosts["pi"].is_none());
        let host: Evaluated = evaluation.hosts.remove("cyt-pi").unwrap().unwrap().into();
        assert_eq!(host.system, "aarch64-linux");
        assert_eq!(host.toplevel.name(), "nixos-system-cyt-pi");
    }

    #[test]
    fn what_is_not_a_store_path_is_refused() {
        for bad in [
            r#"{"available":[],"hosts":{"a":{"derivation":"/tmp/x.drv","toplevel":"/nix/store/d3ifx3cxrhwqfs79jycxk4b4hy6m46q7-a","system":"s"}}}"#,
            r#"{"available":[],"hosts":{"a":{"derivation":"#,
            "",
        ] {
            assert!(evaluated(bad.as_bytes()).is_err());
        }
    }

    #[test]
    fn the_sizes_of_a_closure_are_read_and_what_is_no_path_is_refused() {
        const PATH: &str = "/nix/store/mf0mdgqm23fa5h6kxad0i3hg1if0fbag-linux-6.12.30";
        // Nix 2.8.0 and 2.26.3 align alike.
        let printed = format!("{PATH}                \t        816\n{PATH}.drv\t 4294967296\n");
        let list = format!("{PATH} 816\n{PATH}.drv 4294967296\n");
        assert_eq!(closure_sizes(printed.as_bytes()), Some(list));
        for bad in [
            "",
            "/tmp/x 1\n",
            &format!("{PATH}\n"),
            &format!("{PATH} 1 2\n"),
            &format!("{PATH} 1K\n"),
        ] {
            assert_eq!(closure_sizes(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
