//! Whether a host can run a system, by what the system was built to run on.

use std::path::Path;

use crate::host::observation::Observation;
use crate::toplevel::Toplevel;

/// A platform's name is two words (`powerpc64le-linux`); a longer text is something else.
const LONGEST_NAME: usize = 64;

/// The platform that a toplevel in this machine's store was built to run on, as Nix names it: what its
/// file `system` says (nixpkgs, `nixos/modules/system/activation/top-level.nix`). Of a system that was
/// built on another platform than its own, that is its own. `None` if it does not say, or is not here.
pub async fn platform_of(toplevel: &Toplevel) -> Option<String> {
    let file = Path::new(toplevel.as_str()).join("system");
    let text = tokio::fs::read_to_string(file).await.ok()?;
    is_a_name(&text).then_some(text)
}

fn is_a_name(text: &str) -> bool {
    (1..=LONGEST_NAME).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

impl Observation {
    /// The host's own platform, where what it runs on is known and a system for `platform` cannot run.
    pub fn is_foreign(&self, platform: &str) -> Option<&str> {
        let own = self.platforms.first()?;
        let is_ours = self.platforms.iter().any(|ours| ours == platform);
        (!is_ours).then_some(own.as_str())
    }
}
