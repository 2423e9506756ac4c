//! Which systems this machine can build for.

use std::collections::BTreeSet;

use serde::Deserialize;

/// The systems that a build started here can be for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Platforms {
    /// This machine's own, for example `x86_64-linux`.
    pub(crate) system: String,
    /// What it can emulate or run besides (`extra-platforms`).
    pub(crate) extra: BTreeSet<String>,
    /// The `builders` setting as it is: lines, or `@` and a file of lines.
    pub(crate) builders: String,
}

#[derive(Deserialize)]
struct Setting<T> {
    value: T,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Configuration {
    system: Setting<String>,
    extra_platforms: Setting<BTreeSet<String>>,
    builders: Setting<String>,
}

/// The system that names derivations which Nix builds by itself, anywhere.
const BUILTIN: &str = "builtin";

impl Platforms {
    /// Reads the JSON of `nix config show` (before 2.20: `nix show-config`).
    pub(crate) fn read(stdout: &[u8]) -> Result<Self, serde_json::Error> {
        let configuration: Configuration = serde_json::from_slice(stdout)?;
        Ok(Self {
            system: configuration.system.value,
            extra: configuration.extra_platforms.value,
            builders: configuration.builders.value,
        })
    }

    /// The file that the `builders` setting points to, if it does.
    pub(crate) fn builders_file(&self) -> Option<&str> {
        self.builders.trim().strip_prefix('@')
    }

    /// Whether a build for `system` can be done, with `builders` being the lines of the setting or of
    /// its file.
    pub(crate) fn can_build(&self, system: &str, builders: &str) -> bool {
        system == BUILTIN
            || system == self.system
            || self.extra.contains(system)
            || builder_systems(builders, &self.system).any(|theirs| theirs == system)
    }
}

/// The systems that lines of builders name: the second field, `-` standing for this machine's own
/// (`nix.conf(5)`, "builders").
fn builder_systems<'a>(lines: &'a str, own: &'a str) -> impl Iterator<Item = &'a str> {
    lines
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .flat_map(|line| line.split(';'))
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            fields.next()?;
            Some(fields.next().unwrap_or("-"))
        })
        .flat_map(move |systems| {
            systems
                .split(',')
                .map(move |system| if system == "-" { own } else { system })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cut from what Nix 2.8.0 prints; 2.26.3 differs only in descriptions.
    const PRINTED: &[u8] = br#"{"allow-dirty":{"value":true},
        "builders":{"aliases":[],"defaultValue":"@/etc/nix/machines","description":"A","documentDefault":true,"value":"@/etc/nix/machines"},
        "extra-platforms":{"aliases":[],"defaultValue":["i686-linux"],"description":"P","documentDefault":false,"value":["i686-linux","x86_64-v1-linux"]},
        "system":{"aliases":[],"defaultValue":"x86_64-linux","description":"T","documentDefault":true,"value":"x86_64-linux"}}"#;

    #[test]
    fn the_machine_builds_for_itself_and_its_extra_platforms() {
        let platforms = Platforms::read(PRINTED).unwrap();
        assert_eq!(platforms.builders_file(), Some("/etc/nix/machines"));
        for good in ["x86_64-linux", "i686-linux", "builtin"] {
            assert!(platforms.can_build(good, ""), "{good}");
        }
        assert!(!platforms.can_build("aarch64-linux", ""));
    }

    #[test]
    fn a_builder_that_nix_knows_counts() {
        let platforms = Platforms::read(PRINTED).unwrap();
        for builders in [
            "ssh://arm aarch64-linux",
            "# comment\nssh://x x86_64-linux\nssh-ng://arm armv7l-linux,aarch64-linux /key 4 1 big-parallel",
            "ssh://x - ; ssh://arm aarch64-linux",
        ] {
            assert!(platforms.can_build("aarch64-linux", builders), "{builders}");
        }
        for builders in ["", "ssh://arm", "# ssh://arm aarch64-linux", "ssh://x -"] {
            assert!(
                !platforms.can_build("aarch64-linux", builders),
                "{builders}"
            );
        }
    }
}
