//! Whether a system can be built here, by what Nix says of this machine and its builders.

use std::path::Path;
use std::time::Duration;

use crate::nix::platforms::Platforms;
use crate::nix::trouble::NixTrouble;
use crate::nix::{Nix, arguments, diagnosis, private_files};

/// Reading Nix's configuration takes 30 ms; on a machine that swaps, seconds.
const CONFIGURATION_TIMEOUT: Duration = Duration::from_secs(30);

/// Whether a system can be built for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Buildable {
    /// Here, or on a builder that Nix knows.
    Yes,
    /// Not at all.
    No {
        /// What this machine is instead.
        ours: String,
    },
}

impl Nix {
    /// Whether this machine, or a builder that its Nix has, can build for a system.
    ///
    /// What Nix said once counts until it would be a refusal: then Nix is asked again, because a person
    /// may have set it right meanwhile.
    pub(crate) async fn can_build(&self, system: &str) -> Result<Buildable, NixTrouble> {
        let mut known = self.platforms.lock().await;
        if let Some(platforms) = known.as_ref()
            && platforms.can_build(system, &builder_lines(platforms).await)
        {
            return Ok(Buildable::Yes);
        }
        let platforms = self.ask_platforms().await?;
        let answer = if platforms.can_build(system, &builder_lines(&platforms).await) {
            Buildable::Yes
        } else {
            Buildable::No {
                ours: platforms.system.clone(),
            }
        };
        *known = Some(platforms);
        Ok(answer)
    }

    /// Learns what this machine can build for, if that is not known yet; a failure shows later.
    pub(crate) async fn learn_platforms(&self) {
        let mut known = self.platforms.lock().await;
        if known.is_none() {
            *known = self.ask_platforms().await.ok();
        }
    }

    async fn ask_platforms(&self) -> Result<Platforms, NixTrouble> {
        let ask = |arguments: &[&str]| {
            let arguments = arguments
                .iter()
                .map(|argument| (*argument).to_owned())
                .collect();
            self.run("nix", arguments, Vec::new(), CONFIGURATION_TIMEOUT)
        };
        let mut finished = ask(&arguments::SHOW_CONFIGURATION).await?;
        if !finished.status.success() {
            finished = ask(&arguments::SHOW_CONFIGURATION_OLD).await?;
        }
        if !finished.status.success() {
            return Err(
                NixTrouble::of(&finished).unwrap_or_else(|| NixTrouble::Configuration {
                    detail: diagnosis::summary(&finished.stderr),
                }),
            );
        }
        Platforms::read(&finished.stdout).map_err(|error| NixTrouble::Configuration {
            detail: error.to_string(),
        })
    }
}

/// The lines of builders: the setting, or the file that it points to (which need not exist).
async fn builder_lines(platforms: &Platforms) -> String {
    match platforms.builders_file() {
        Some(file) => private_files::read(Path::new(file))
            .await
            .unwrap_or_default(),
        None => platforms.builders.clone(),
    }
}
